/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows of the vault: their layout, and their MACs. A MAC is over the vault's id,
 * the table, the row's number and every column, each with its length.
 */
#include "keystore/vault_rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of each table the columns' types by letters: integer, text, blob. */
static const struct {
    const char *name;
    const char *kinds;
} tables[] = {
    [VAULT_KEYS] = {"keys", "ttiittib"},
    [VAULT_OBJECTS] = {"objects", "tttttitbitii"},
    [VAULT_UPLOADS] = {"uploads", "ittti"},
    [VAULT_PARTS] = {"parts", "iiitb"},
    [VAULT_EVENTS] = {"events", "itt"},
    [VAULT_STATE] = {"state", "tttttib"},
};

#define ROW " (row INTEGER PRIMARY KEY, "
#define MAC " mac BLOB NOT NULL) STRICT;"
#define TEXT(name) #name " TEXT NOT NULL, "
#define BLOB(name) #name " BLOB NOT NULL, "
#define INTEGER(name) #name " INTEGER NOT NULL, "

const char vault_layout[] =
    "CREATE TABLE keys" ROW TEXT(id) TEXT(fingerprint) INTEGER(purpose) INTEGER(state) TEXT(name)
    TEXT(scope) INTEGER(created) BLOB(wrapped) MAC
    "CREATE TABLE objects" ROW TEXT(endpoint) TEXT(bucket) TEXT(object_key) TEXT(version)
    TEXT(key_id) INTEGER(state) TEXT(encryption) BLOB(sha256) INTEGER(size) TEXT(etag)
    INTEGER(changed) INTEGER(later) MAC
    "CREATE TABLE uploads" ROW INTEGER(object_row) TEXT(upload) TEXT(source) TEXT(header)
    INTEGER(part_size) MAC
    "CREATE TABLE parts" ROW INTEGER(object_row) INTEGER(number) INTEGER(size) TEXT(etag)
    BLOB(sha256) MAC
    "CREATE TABLE events" ROW INTEGER(time) TEXT(key_id) TEXT(what) MAC
    "CREATE TABLE state" ROW TEXT(id) TEXT(serial) TEXT(label) TEXT(wrap_version)
    TEXT(sign_version) INTEGER(counter) BLOB(contents) MAC
    "CREATE UNIQUE INDEX keys_id ON keys (id);"
    "CREATE UNIQUE INDEX keys_fingerprint ON keys (fingerprint);"
    "CREATE UNIQUE INDEX keys_name ON keys (name) WHERE name <> '';"
    "CREATE INDEX keys_scope ON keys (scope) WHERE purpose = 1;"
    "CREATE INDEX objects_name ON objects (bucket, object_key);"
    "CREATE INDEX objects_key ON objects (key_id);"
    "CREATE UNIQUE INDEX uploads_object ON uploads (object_row);"
    "CREATE UNIQUE INDEX parts_number ON parts (object_row, number)";

/* Rows under way between the file and the token. */
struct vault_batch {
    size_t n;
    struct vault_row rows[KB_TOKEN_BATCH_MAX];
    uint8_t stored[KB_TOKEN_BATCH_MAX][VAULT_MAC_SIZE];
    bool odd[KB_TOKEN_BATCH_MAX];           /* what is stored is no MAC at all */
    struct kb_signature made[KB_TOKEN_BATCH_MAX];
    struct kb_bytes messages[KB_TOKEN_BATCH_MAX];
    struct kb_buffer values;  /* that the rows' cells point into */
    struct kb_buffer encoded; /* the messages */
};

const char *vault_table_name(enum vault_table table)
{
    return tables[table].name;
}

enum kb_status vault_batch_new(struct vault_batch **out, struct kb_error *err)
{
    struct vault_batch *batch = calloc(1, sizeof *batch);

    *out = batch;
    if (!batch)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory for a vault");
    batch->values.max = batch->encoded.max = SIZE_MAX / 2;
    return KB_OK;
}

void vault_batch_free(struct vault_batch *batch)
{
    if (!batch)
        return;
    kb_buffer_free(&batch->values);
    kb_buffer_free(&batch->encoded);
    free(batch);
}

/* --- values ---------------------------------------------------------------------------- */

struct vault_cell vault_text(const char *text)
{
    return (struct vault_cell){.bytes = kb_bytes_text(text)};
}

struct vault_cell vault_blob(const void *data, size_t size)
{
    return (struct vault_cell){.bytes = {data, size}};
}

struct vault_cell vault_integer(uint64_t value)
{
    return (struct vault_cell){.integer = (int64_t)value};
}

enum kb_status vault_text_check(const char *text, size_t max, const char *what,
                                struct kb_error *err)
{
    struct kb_bytes bytes = kb_bytes_text(text);

    if (bytes.size > max)
        return kb_error_set(err, KB_ERR_USAGE, "%s of %zu bytes is too long; %zu are allowed",
                            what, bytes.size, max);
    if (!kb_utf8_valid(bytes))
        return kb_error_set(err, KB_ERR_USAGE, "%s is not UTF-8", what);
    return KB_OK;
}

bool vault_text_fill(char *out, size_t room, const struct vault_cell *cell)
{
    if (cell->bytes.size >= room || memchr(cell->bytes.data, 0, cell->bytes.size))
        return false;
    memcpy(out, cell->bytes.data, cell->bytes.size);
    out[cell->bytes.size] = 0;
    return true;
}

enum kb_status vault_text_copy(char **out, const char *text, struct kb_error *err)
{
    *out = strdup(text);
    return *out ? KB_OK : kb_error_set(err, KB_ERR_MEMORY, "no memory for what is in the vault");
}

char *vault_text_view(const struct vault_cell *cell)
{
    return (char *)(uintptr_t)cell->bytes.data;
}

bool vault_text_is(const struct vault_cell *cell, const char *text)
{
    return kb_bytes_equal(cell->bytes, kb_bytes_text(text));
}

enum kb_status vault_damaged(struct kb_vault *vault, const char *how, struct kb_error *err)
{
    return kb_store_damaged(vault->store, how, err);
}

/* --- MACs -------------------------------------------------------------------------------- */

static void encode(struct kb_buffer *out, const struct kb_vault *vault, enum vault_table table,
                   const struct vault_row *row)
{
    const char *kinds = tables[table].kinds;

    kb_buffer_put_lv(out, kb_bytes_text("keybridge vault 1"));
    kb_buffer_put_lv(out, kb_bytes_text(vault->state.id));
    kb_buffer_put_lv(out, kb_bytes_text(tables[table].name));
    kb_buffer_put_u64(out, (uint64_t)row->row);
    for (size_t i = 0; kinds[i]; i++)
        if (kinds[i] == 'i')
            kb_buffer_put_u64(out, (uint64_t)row->cells[i].integer);
        else
            kb_buffer_put_lv(out, row->cells[i].bytes);
}

/* MACs of n rows into batch->made. */
static enum kb_status make_macs(struct kb_vault *vault, enum vault_table table,
                                const struct vault_row *rows, size_t n, struct kb_error *err)
{
    struct vault_batch *batch = vault->batch;
    struct kb_sign_spec spec = {vault->sign_key, KB_SIGN_HMAC, KB_SHA256};
    size_t begins[KB_TOKEN_BATCH_MAX + 1] = {0};
    enum kb_status status;

    kb_buffer_reset(&batch->encoded);
    for (size_t i = 0; i < n; i++) {
        encode(&batch->encoded, vault, table, &rows[i]);
        begins[i + 1] = batch->encoded.size;
    }
    status = kb_buffer_check(&batch->encoded, err);
    if (status != KB_OK)
        return status;
    for (size_t i = 0; i < n; i++)
        batch->messages[i] =
            (struct kb_bytes){batch->encoded.data + begins[i], begins[i + 1] - begins[i]};
    return kb_token_sign(vault->token, &spec, batch->messages, n, batch->made, err);
}

/* sum += mac, or sum -= mac, modulo 2^256. */
static void sum_change(uint8_t sum[VAULT_MAC_SIZE], const uint8_t mac[VAULT_MAC_SIZE], bool add)
{
    unsigned carry = add ? 0 : 1;

    for (size_t i = VAULT_MAC_SIZE; i-- > 0;) {
        carry += sum[i] + (add ? mac[i] : (uint8_t)~mac[i]);
        sum[i] = (uint8_t)carry;
        carry >>= 8;
    }
}

/* --- writing ------------------------------------------------------------------------------ */

static enum kb_status prepare(struct kb_statement **out, struct kb_vault *vault,
                              enum vault_table table, const char *before, const char *after,
                              struct kb_error *err)
{
    char sql[512];

    snprintf(sql, sizeof sql, "%s %s %s", before, tables[table].name, after);
    return kb_statement_prepare(out, vault->store, sql, err);
}

static void bind(struct kb_statement *statement, int index, char kind,
                 const struct vault_cell *cell)
{
    if (kind == 'i')
        kb_statement_set_integer(statement, index, cell->integer);
    else if (kind == 't')
        kb_statement_set_text(statement, index, cell->bytes);
    else
        kb_statement_set_blob(statement, index, cell->bytes);
}

static enum kb_status insert(struct kb_statement *statement, const char *kinds,
                             const struct vault_row *row, const uint8_t mac[VAULT_MAC_SIZE],
                             struct kb_error *err)
{
    int index = 1;

    kb_statement_set_integer(statement, index++, row->row);
    for (; *kinds; kinds++, index++)
        bind(statement, index, *kinds, &row->cells[index - 2]);
    kb_statement_set_blob(statement, index, (struct kb_bytes){mac, VAULT_MAC_SIZE});
    return kb_statement_run(statement, err);
}

/* What DELETE gives back is taken out of the state. */
static enum kb_status take_out(struct kb_vault *vault, enum vault_table table,
                               struct kb_statement *statement, uint64_t *removed,
                               struct kb_error *err)
{
    struct vault_contents *contents = &vault->state.tables[table];
    bool row = true;
    enum kb_status status = KB_OK;

    while (status == KB_OK) {
        struct kb_bytes mac;

        status = kb_statement_step(statement, &row, err);
        if (status != KB_OK || !row)
            break;
        mac = kb_statement_bytes(statement, 0);
        if (mac.size == VAULT_MAC_SIZE)
            sum_change(contents->sum, mac.data, false);
        contents->count--;
        ++*removed;
    }
    return status;
}

enum kb_status vault_rows_remove(struct kb_vault *vault, enum vault_table table,
                                 const char *column, int64_t value, uint64_t *removed,
                                 struct kb_error *err)
{
    struct kb_statement *statement;
    char where[64];
    enum kb_status status;

    *removed = 0;
    snprintf(where, sizeof where, "WHERE %s = ?1 RETURNING mac", column);
    status = prepare(&statement, vault, table, "DELETE FROM", where, err);
    if (status == KB_OK) {
        kb_statement_set_integer(statement, 1, value);
        status = take_out(vault, table, statement, removed, err);
    }
    kb_statement_free(statement);
    return status;
}

static enum kb_status remove_old(struct kb_vault *vault, enum vault_table table, int64_t row,
                                 struct kb_error *err)
{
    uint64_t removed;
    enum kb_status status = vault_rows_remove(vault, table, "row", row, &removed, err);

    if (status == KB_OK && removed == 0)
        status = kb_error_set(err, KB_ERR_NOT_FOUND, "the vault has no row %lld in %s",
                              (long long)row, tables[table].name);
    return status;
}

static enum kb_status insert_some(struct kb_vault *vault, enum vault_table table,
                                  struct kb_statement *statement, const struct vault_row *rows,
                                  size_t n, struct kb_error *err)
{
    struct vault_contents *contents = table == VAULT_STATE ? NULL : &vault->state.tables[table];
    enum kb_status status = make_macs(vault, table, rows, n, err);

    for (size_t i = 0; i < n && status == KB_OK; i++) {
        const uint8_t *mac = vault->batch->made[i].data;

        status = insert(statement, tables[table].kinds, &rows[i], mac, err);
        if (contents) {
            sum_change(contents->sum, mac, true);
            contents->count++;
        } else {
            memcpy(vault->state_mac, mac, VAULT_MAC_SIZE);
        }
    }
    return status;
}

void vault_where_write(char out[VAULT_WHERE_SIZE], const char *before, size_t n, const char *after)
{
    char *end = out + snprintf(out, VAULT_WHERE_SIZE, "%s (?", before);

    for (size_t i = 1; i < n; i++) {
        *end++ = ',';
        *end++ = '?';
    }
    snprintf(end, (size_t)(out + VAULT_WHERE_SIZE - end), ") %s", after);
}

enum kb_status vault_rows_put(struct kb_vault *vault, enum vault_table table, bool add,
                              struct vault_row *rows, size_t n, struct kb_error *err)
{
    struct kb_statement *statement;
    char values[VAULT_WHERE_SIZE];
    enum kb_status status = KB_OK;

    for (size_t i = 0; i < n && status == KB_OK; i++)
        if (add)
            rows[i].row = table == VAULT_STATE ? 1 : (int64_t)vault->state.tables[table].next++;
        else
            status = remove_old(vault, table, rows[i].row, err);
    if (status != KB_OK)
        return status;
    /* A parameter for the row's number, for every column, and for the MAC. */
    vault_where_write(values, "VALUES", strlen(tables[table].kinds) + 2, "");
    status = prepare(&statement, vault, table, "INSERT INTO", values, err);
    for (size_t done = 0; done < n && status == KB_OK; done += KB_TOKEN_BATCH_MAX) {
        size_t some = n - done < KB_TOKEN_BATCH_MAX ? n - done : KB_TOKEN_BATCH_MAX;

        status = insert_some(vault, table, statement, rows + done, some, err);
    }
    kb_statement_free(statement);
    return status;
}

/* --- reading ------------------------------------------------------------------------------- */

/* One row of the file to the batch; its cells are offsets until all are there. */
static void take_row(struct vault_batch *batch, const char *kinds, struct kb_statement *statement)
{
    struct vault_row *row = &batch->rows[batch->n];
    struct kb_bytes mac;
    int column = 1;

    row->row = kb_statement_integer(statement, 0);
    for (; *kinds; kinds++, column++) {
        struct vault_cell *cell = &row->cells[column - 1];

        *cell = (struct vault_cell){.integer = 0};
        if (*kinds == 'i') {
            cell->integer = kb_statement_integer(statement, column);
        } else {
            struct kb_bytes bytes = kb_statement_bytes(statement, column);

            cell->integer = (int64_t)batch->values.size;
            cell->bytes.size = bytes.size;
            kb_buffer_put_bytes(&batch->values, bytes);
            kb_buffer_put_u8(&batch->values, 0); /* so that texts can be used in place */
        }
    }
    mac = kb_statement_bytes(statement, column);
    batch->odd[batch->n] = mac.size != VAULT_MAC_SIZE;
    if (mac.size == VAULT_MAC_SIZE)
        memcpy(batch->stored[batch->n], mac.data, VAULT_MAC_SIZE);
    batch->n++;
}

/* As many rows as go to the token at once. */
static enum kb_status take_rows(struct vault_batch *batch, const char *kinds,
                                struct kb_statement *statement, bool *more, struct kb_error *err)
{
    enum kb_status status = KB_OK;

    batch->n = 0;
    kb_buffer_reset(&batch->values);
    while (batch->n < KB_TOKEN_BATCH_MAX && batch->values.size < VAULT_READ_MAX) {
        status = kb_statement_step(statement, more, err);
        if (status != KB_OK || !*more)
            break;
        take_row(batch, kinds, statement);
    }
    if (status == KB_OK)
        status = kb_buffer_check(&batch->values, err);
    for (size_t i = 0; i < batch->n && status == KB_OK; i++)
        for (size_t column = 0; kinds[column]; column++) {
            struct vault_cell *cell = &batch->rows[i].cells[column];

            if (kinds[column] != 'i') {
                cell->bytes.data = batch->values.data + cell->integer;
                cell->integer = 0;
            }
        }
    return status;
}

static enum kb_status was_altered(struct kb_vault *vault, enum vault_table table, int64_t row,
                                  struct kb_error *err)
{
    kb_error_set(err, KB_ERR_AUTH, "%s: row %lld of %s was altered", vault->path, (long long)row,
                 tables[table].name);
    kb_error_hint(err, "keybridge vault check finds all that is wrong; restore a backup");
    return KB_ERR_AUTH;
}

static enum kb_status give_rows(struct kb_vault *vault, enum vault_table table,
                                const struct vault_reader *reader, struct kb_error *err)
{
    struct vault_batch *batch = vault->batch;
    enum kb_status status = make_macs(vault, table, batch->rows, batch->n, err);

    for (size_t i = 0; i < batch->n && status == KB_OK; i++) {
        bool good = !batch->odd[i] &&
                    kb_secret_equal((struct kb_bytes){batch->stored[i], VAULT_MAC_SIZE},
                                    (struct kb_bytes){batch->made[i].data, VAULT_MAC_SIZE});

        if (good)
            status = reader->each(reader->ctx, &batch->rows[i], err);
        else if (reader->altered)
            reader->altered(reader->ctx, batch->rows[i].row);
        else
            status = was_altered(vault, table, batch->rows[i].row, err);
    }
    return status;
}

void vault_row_pass_over(void *ctx, int64_t row)
{
    (void)ctx;
    (void)row;
}

enum kb_status vault_rows_read(struct kb_vault *vault, const struct vault_query *query,
                               const struct vault_reader *reader, struct kb_error *err)
{
    const char *kinds = query->kinds ? query->kinds : "";
    struct kb_statement *statement;
    bool more = true;
    enum kb_status status = prepare(&statement, vault, query->table, "SELECT * FROM",
                                    query->where ? query->where : "ORDER BY row", err);

    for (int i = 0; kinds[i] && status == KB_OK; i++)
        bind(statement, i + 1, kinds[i], &query->parameters[i]);
    while (more && status == KB_OK) {
        status = take_rows(vault->batch, tables[query->table].kinds, statement, &more, err);
        if (status == KB_OK && vault->batch->n)
            status = give_rows(vault, query->table, reader, err);
    }
    kb_statement_free(statement);
    return status;
}

static enum kb_status read_number(struct kb_statement *statement, int64_t *out,
                                  struct kb_error *err)
{
    bool row = false;
    enum kb_status status = kb_statement_step(statement, &row, err);

    *out = row ? kb_statement_integer(statement, 0) : 0;
    kb_statement_free(statement);
    return status;
}

enum kb_status vault_number_read(struct kb_vault *vault, const char *sql,
                                 struct kb_bytes parameter, int64_t *out, struct kb_error *err)
{
    struct kb_statement *statement;
    enum kb_status status = kb_statement_prepare(&statement, vault->store, sql, err);

    if (status != KB_OK)
        return status;
    kb_statement_set_text(statement, 1, parameter);
    return read_number(statement, out, err);
}

enum kb_status vault_number_find(struct kb_vault *vault, const char *sql,
                                 const int64_t *parameters, size_t n, int64_t *out,
                                 struct kb_error *err)
{
    struct kb_statement *statement;
    enum kb_status status = kb_statement_prepare(&statement, vault->store, sql, err);

    if (status != KB_OK)
        return status;
    for (size_t i = 0; i < n; i++)
        kb_statement_set_integer(statement, (int)i + 1, parameters[i]);
    return read_number(statement, out, err);
}

/* --- all rows together ------------------------------------------------------------------------ */

enum kb_status vault_contents_check(struct kb_vault *vault, enum vault_table table, bool adopt,
                                    struct kb_error *err)
{
    struct vault_contents *told = &vault->state.tables[table];
    struct vault_contents found = {.next = 1};
    struct kb_statement *statement;
    bool row = true;
    enum kb_status status =
        prepare(&statement, vault, table, "SELECT row, mac FROM", "ORDER BY row", err);

    while (status == KB_OK) {
        struct kb_bytes mac;

        status = kb_statement_step(statement, &row, err);
        if (status != KB_OK || !row)
            break;
        mac = kb_statement_bytes(statement, 1);
        if (mac.size == VAULT_MAC_SIZE)
            sum_change(found.sum, mac.data, true);
        found.count++;
        found.next = (uint64_t)kb_statement_integer(statement, 0) + 1;
    }
    kb_statement_free(statement);
    if (status != KB_OK)
        return status;
    if (adopt) {
        if (found.next < told->next)
            found.next = told->next;
        *told = found;
        return KB_OK;
    }
    if (found.count == told->count && memcmp(found.sum, told->sum, sizeof found.sum) == 0)
        return KB_OK;
    if (found.count == told->count)
        kb_error_set(err, KB_ERR_AUTH, "%s: rows of %s were altered, or put back as they once were",
                     vault->path, tables[table].name);
    else
        kb_error_set(err, KB_ERR_AUTH, "%s: %s has %llu rows where there were %llu", vault->path,
                     tables[table].name, (unsigned long long)found.count,
                     (unsigned long long)told->count);
    kb_error_hint(err, "restore a backup; keybridge vault repair goes on with what is there");
    return KB_ERR_AUTH;
}
