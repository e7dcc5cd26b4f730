/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The first bytes of the file format, https://sqlite.org/fileformat.html */
enum { HEADER_SIZE = 100, HEADER_VERSION = 60, HEADER_APPLICATION = 68 };

struct kb_store {
    sqlite3 *db;
    char *path; /* as it was given */
    const struct kb_store_kind *kind;
};

struct kb_statement {
    sqlite3_stmt *statement;
    struct kb_store *store;
    int bind_result; /* first failure since the last reset */
};

static enum kb_status no_memory(struct kb_error *err)
{
    return kb_error_set(err, KB_ERR_MEMORY, "no memory");
}

/* The one place where a SQLite result code becomes a status. */
static enum kb_status store_failed(const struct kb_store *store, int code, struct kb_error *err)
{
    int number = sqlite3_system_errno(store->db);

    switch (code & 0xff) {
    case SQLITE_NOMEM:
        return no_memory(err);
    case SQLITE_FULL:
        return kb_error_set(err, KB_ERR_SYSTEM, "%s: no space is left on the disk", store->path);
    case SQLITE_IOERR:
        if (number)
            return kb_error_errno(err, KB_ERR_SYSTEM, number, "%s cannot be read or written",
                                  store->path);
        return kb_error_set(err, KB_ERR_SYSTEM, "%s cannot be read or written (code %d)",
                            store->path, code);
    case SQLITE_READONLY:
    case SQLITE_PERM:
        kb_error_set(err, KB_ERR_SYSTEM, "%s cannot be written", store->path);
        kb_error_hint(err, "check the permissions of the file and of its folder");
        return KB_ERR_SYSTEM;
    case SQLITE_CANTOPEN:
        kb_error_errno(err, KB_ERR_SYSTEM, number ? number : EACCES, "%s cannot be opened",
                       store->path);
        kb_error_hint(err, "the folder must be writable too");
        return KB_ERR_SYSTEM;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
        kb_error_set(err, KB_ERR_SYSTEM, "another process kept %s locked for %d seconds",
                     store->path, KB_STORE_BUSY_SECONDS);
        kb_error_hint(err, "try again when the other program is done");
        return KB_ERR_SYSTEM;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_FORMAT:
    case SQLITE_CONSTRAINT:
        return kb_store_damaged(store, sqlite3_errstr(code), err);
    default:
        return kb_error_set(err, KB_ERR_SYSTEM, "%s: %s", store->path, sqlite3_errmsg(store->db));
    }
}

enum kb_status kb_store_damaged(const struct kb_store *store, const char *how,
                                struct kb_error *err)
{
    kb_error_set(err, KB_ERR_INPUT, "%s is damaged: %s", store->path, how);
    kb_error_hint(err, "%s", store->kind->repair);
    return KB_ERR_INPUT;
}

/* --- connection ------------------------------------------------------------ */

/* The file is not looked into yet, and not made when it is missing. */
static enum kb_status connect_file(struct kb_store **out, const char *path,
                                   const struct kb_store_kind *kind, struct kb_error *err)
{
    struct kb_store *store = calloc(1, sizeof *store);
    /* Relative names get a folder: SQLite gives some plain ones a meaning. */
    size_t room = strlen(path) + sizeof "./";
    char *name = malloc(room);
    int result;

    *out = NULL;
    if (store) {
        store->kind = kind;
        store->path = strdup(path);
    }
    if (!store || !store->path || !name) {
        free(name);
        kb_store_close(store);
        return no_memory(err);
    }
    snprintf(name, room, "%s%s", path[0] == '/' ? "" : "./", path);
    result = sqlite3_open_v2(name, &store->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    free(name);
    if (result != SQLITE_OK) {
        enum kb_status status = store->db ? store_failed(store, result, err) : no_memory(err);

        kb_store_close(store);
        return status;
    }
    sqlite3_extended_result_codes(store->db, 1);
    sqlite3_busy_timeout(store->db, KB_STORE_BUSY_SECONDS * 1000);
    /* What a stranger put into the schema of a file must not run. */
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    *out = store;
    return KB_OK;
}

static uint32_t header_u32(const uint8_t *header, size_t offset)
{
    return (uint32_t)header[offset] << 24 | (uint32_t)header[offset + 1] << 16 |
           (uint32_t)header[offset + 2] << 8 | header[offset + 3];
}

/*
 * Looks at the header before SQLite does anything with the file, because
 * recovering or checkpointing would change a file that is not ours. It is read
 * through SQLite's own descriptor: closing another one of the same file would
 * drop the locks this process may hold on it through a second connection.
 */
static enum kb_status check_header(struct kb_store *store, const struct kb_store_kind *kind,
                                   struct kb_error *err)
{
    uint8_t header[HEADER_SIZE] = {0};
    sqlite3_file *file = NULL;
    int result = sqlite3_file_control(store->db, "main", SQLITE_FCNTL_FILE_POINTER, &file);

    if (result == SQLITE_OK && file && file->pMethods)
        result = file->pMethods->xRead(file, header, sizeof header, 0);
    if (result != SQLITE_OK && result != SQLITE_IOERR_SHORT_READ)
        return store_failed(store, result, err);
    if (memcmp(header, "SQLite format 3", 16) != 0 ||
        header_u32(header, HEADER_APPLICATION) != kind->application_id ||
        header_u32(header, HEADER_VERSION) == 0)
        return kb_error_set(err, KB_ERR_INPUT, "%s is not %s", store->path, kind->what);
    if (header_u32(header, HEADER_VERSION) > kind->version) {
        kb_error_set(err, KB_ERR_INPUT, "%s was made by a newer keybridge (layout %u, known is %u)",
                     store->path, header_u32(header, HEADER_VERSION), kind->version);
        kb_error_hint(err, "use that version of keybridge");
        return KB_ERR_INPUT;
    }
    return KB_OK;
}

static enum kb_status set_pragmas(struct kb_store *store, struct kb_error *err)
{
    return kb_store_run(store,
                        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                        "PRAGMA cell_size_check=ON; PRAGMA cache_size=-16384",
                        err);
}

enum kb_status kb_store_open(struct kb_store **out, const char *path,
                             const struct kb_store_kind *kind, struct kb_error *err)
{
    struct kb_store *store;
    enum kb_status status;
    struct stat info;

    *out = NULL;
    if (stat(path, &info) != 0)
        return kb_error_errno(err, errno == ENOENT ? KB_ERR_NOT_FOUND : KB_ERR_SYSTEM, errno, "%s",
                              path);
    if (!S_ISREG(info.st_mode))
        return kb_error_set(err, KB_ERR_INPUT, "%s is not %s, and not a file", path, kind->what);
    status = connect_file(&store, path, kind, err);
    if (status != KB_OK)
        return status;
    status = check_header(store, kind, err);
    if (status == KB_OK)
        status = set_pragmas(store, err);
    if (status != KB_OK) {
        kb_store_close(store);
        return status;
    }
    *out = store;
    return KB_OK;
}

void kb_store_close(struct kb_store *store)
{
    if (!store)
        return;
    sqlite3_close(store->db);
    free(store->path);
    free(store);
}

/* --- creation -------------------------------------------------------------- */

static bool beside_exists(const char *path, const char *suffix)
{
    size_t room = strlen(path) + strlen(suffix) + 1;
    char *name = malloc(room);
    struct stat info;
    bool found = false;

    if (name) {
        snprintf(name, room, "%s%s", path, suffix);
        found = lstat(name, &info) == 0;
    }
    free(name);
    return found;
}

static void remove_beside(const char *path, const char *suffix)
{
    size_t room = strlen(path) + strlen(suffix) + 1;
    char *name = malloc(room);

    if (name) {
        snprintf(name, room, "%s%s", path, suffix);
        unlink(name);
    }
    free(name);
}

static enum kb_status check_free(const char *path, struct kb_error *err)
{
    static const char *const suffixes[] = {"-wal", "-journal"};

    if (beside_exists(path, ""))
        return kb_error_set(err, KB_ERR_EXISTS, "%s is there already", path);
    /* The log of a file that is gone would be replayed into the new one. */
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++)
        if (beside_exists(path, suffixes[i])) {
            kb_error_set(err, KB_ERR_EXISTS, "%s%s is there, left over from another %s", path,
                         suffixes[i], path);
            kb_error_hint(err, "move it away, or put back the file it belongs to");
            return KB_ERR_EXISTS;
        }
    return KB_OK;
}

static enum kb_status fill_file(const char *path, const struct kb_store_kind *kind,
                                enum kb_status (*fill)(struct kb_store *store, const void *ctx,
                                                       struct kb_error *err),
                                const void *ctx, struct kb_error *err)
{
    struct kb_store *store;
    char identity[128];
    enum kb_status status = connect_file(&store, path, kind, err);

    if (status != KB_OK)
        return status;
    snprintf(identity, sizeof identity, "PRAGMA application_id=%u; PRAGMA user_version=%u",
             kind->application_id, kind->version);
    status = set_pragmas(store, err);
    if (status == KB_OK)
        status = kb_store_begin(store, err);
    if (status == KB_OK)
        status = kb_store_run(store, identity, err);
    if (status == KB_OK)
        status = fill(store, ctx, err);
    if (status == KB_OK)
        status = kb_store_commit(store, err);
    if (status == KB_OK)
        status = kb_store_run(store, "PRAGMA wal_checkpoint(TRUNCATE)", err);
    kb_store_close(store);
    return status;
}

/* link() is the call that gives a name only if nobody has it. */
static enum kb_status publish(const char *temporary, const char *path, struct kb_error *err)
{
    char *copy;
    int fd;

    if (link(temporary, path) != 0) {
        if (errno == EEXIST)
            return kb_error_set(err, KB_ERR_EXISTS, "%s is there already", path);
        return kb_error_errno(err, KB_ERR_SYSTEM, errno, "%s cannot be made", path);
    }
    copy = strdup(path);
    fd = copy ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    free(copy);
    if (fd >= 0) {
        (void)fsync(fd);
        close(fd);
    }
    return KB_OK;
}

enum kb_status kb_store_create(const char *path, const struct kb_store_kind *kind,
                               enum kb_status (*fill)(struct kb_store *store, const void *ctx,
                                                      struct kb_error *err),
                               const void *ctx, struct kb_error *err)
{
    size_t room = strlen(path) + sizeof ".XXXXXX";
    enum kb_status status = check_free(path, err);
    char *temporary;
    int fd;

    if (status != KB_OK)
        return status;
    temporary = malloc(room);
    if (!temporary)
        return no_memory(err);
    snprintf(temporary, room, "%s.XXXXXX", path);
    fd = mkostemp(temporary, O_CLOEXEC); /* mode 0600 */
    if (fd < 0) {
        status = kb_error_errno(err, errno == ENOENT ? KB_ERR_NOT_FOUND : KB_ERR_SYSTEM, errno,
                                "%s cannot be made", path);
        free(temporary);
        return status;
    }
    close(fd);
    status = fill_file(temporary, kind, fill, ctx, err);
    if (status == KB_OK)
        status = publish(temporary, path, err);
    remove_beside(temporary, "");
    remove_beside(temporary, "-wal");
    remove_beside(temporary, "-shm");
    free(temporary);
    return status;
}

/* --- running --------------------------------------------------------------- */

enum kb_status kb_store_run(struct kb_store *store, const char *sql, struct kb_error *err)
{
    int result = sqlite3_exec(store->db, sql, NULL, NULL, NULL);

    return result == SQLITE_OK ? KB_OK : store_failed(store, result, err);
}

enum kb_status kb_store_begin(struct kb_store *store, struct kb_error *err)
{
    return kb_store_run(store, "BEGIN IMMEDIATE", err);
}

enum kb_status kb_store_commit(struct kb_store *store, struct kb_error *err)
{
    enum kb_status status = kb_store_run(store, "COMMIT", err);

    if (status != KB_OK)
        kb_store_rollback(store);
    return status;
}

void kb_store_rollback(struct kb_store *store)
{
    /* Some failures have rolled back already. */
    if (!sqlite3_get_autocommit(store->db))
        sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
}

int64_t kb_store_changes(struct kb_store *store)
{
    return sqlite3_changes(store->db);
}

/* --- statements ------------------------------------------------------------ */

enum kb_status kb_statement_prepare(struct kb_statement **out, struct kb_store *store,
                                    const char *sql, struct kb_error *err)
{
    struct kb_statement *statement = calloc(1, sizeof *statement);
    int result;

    *out = NULL;
    if (!statement)
        return no_memory(err);
    statement->store = store;
    result = sqlite3_prepare_v3(store->db, sql, -1, SQLITE_PREPARE_PERSISTENT,
                                &statement->statement, NULL);
    if (result != SQLITE_OK) {
        free(statement);
        return store_failed(store, result, err);
    }
    *out = statement;
    return KB_OK;
}

void kb_statement_free(struct kb_statement *statement)
{
    if (statement)
        sqlite3_finalize(statement->statement);
    free(statement);
}

static void latch(struct kb_statement *statement, int result)
{
    if (statement->bind_result == SQLITE_OK)
        statement->bind_result = result;
}

/* A null pointer would bind NULL, which is not the empty value. */
static const void *never_null(struct kb_bytes bytes)
{
    return bytes.size ? (const void *)bytes.data : "";
}

void kb_statement_set_blob(struct kb_statement *statement, int index, struct kb_bytes bytes)
{
    latch(statement, sqlite3_bind_blob64(statement->statement, index, never_null(bytes),
                                         bytes.size, SQLITE_STATIC));
}

void kb_statement_set_text(struct kb_statement *statement, int index, struct kb_bytes text)
{
    latch(statement, sqlite3_bind_text64(statement->statement, index, never_null(text), text.size,
                                         SQLITE_STATIC, SQLITE_UTF8));
}

void kb_statement_set_integer(struct kb_statement *statement, int index, int64_t value)
{
    latch(statement, sqlite3_bind_int64(statement->statement, index, value));
}

enum kb_status kb_statement_step(struct kb_statement *statement, bool *row, struct kb_error *err)
{
    int result = statement->bind_result;
    enum kb_status status = KB_OK;

    if (result == SQLITE_OK)
        result = sqlite3_step(statement->statement);
    *row = result == SQLITE_ROW;
    if (!*row) {
        if (result != SQLITE_DONE)
            status = store_failed(statement->store, result, err);
        kb_statement_reset(statement);
    }
    return status;
}

void kb_statement_reset(struct kb_statement *statement)
{
    sqlite3_reset(statement->statement);
    statement->bind_result = SQLITE_OK;
}

enum kb_status kb_statement_run(struct kb_statement *statement, struct kb_error *err)
{
    bool row;
    enum kb_status status = kb_statement_step(statement, &row, err);

    if (row)
        kb_statement_reset(statement);
    return status;
}

struct kb_bytes kb_statement_bytes(struct kb_statement *statement, int column)
{
    const void *data = sqlite3_column_blob(statement->statement, column);
    int size = sqlite3_column_bytes(statement->statement, column);

    if (!data || size <= 0)
        return (struct kb_bytes){(const uint8_t *)"", 0};
    return (struct kb_bytes){data, (size_t)size};
}

int64_t kb_statement_integer(struct kb_statement *statement, int column)
{
    return sqlite3_column_int64(statement->statement, column);
}
