/* SPDX-License-Identifier: Apache-2.0
 *
 * Random IVs of 96 bits repeat sooner or later: a key may encrypt 2^32 times
 * (NIST SP 800-38D section 8.3), whichever process does it.
 */
#include "keystore/counts.h"

#include <libgen.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/store.h"

static const struct kb_store_kind counts_file = {
    .application_id = 0x6b626374, /* "kbct" */
    .version = 1,
    .what = "a file of keybridge's counts",
    .repair = "restore it from a backup; if it is removed, the counts of all keys begin at 0",
};

#define LAYOUT                                                                                     \
    "CREATE TABLE encryptions (token TEXT NOT NULL, key TEXT NOT NULL, count INTEGER NOT NULL,"    \
    " PRIMARY KEY (token, key)) STRICT, WITHOUT ROWID"
#define SELECT "SELECT count FROM encryptions WHERE token = ?1 AND key = ?2"
#define UPSERT                                                                                     \
    "INSERT INTO encryptions VALUES (?1, ?2, ?3)"                                                  \
    " ON CONFLICT (token, key) DO UPDATE SET count = ?3"

/* A key that is counted in memory. */
struct counted {
    struct counted *next;
    uint64_t count;
    char *token;
    char *key;
};

struct kb_counts {
    pthread_mutex_t lock; /* of all below */
    char *path;           /* NULL: in memory */
    struct kb_store *store; /* NULL: not opened yet */
    struct kb_statement *select;
    struct kb_statement *upsert;
    struct counted *list;
};

enum kb_status kb_counts_new(struct kb_counts **out, const char *path, struct kb_error *err)
{
    struct kb_counts *counts = calloc(1, sizeof *counts);

    *out = NULL;
    if (counts && path)
        counts->path = strdup(path);
    if (!counts || (path && !counts->path)) {
        free(counts);
        return kb_error_set(err, KB_ERR_MEMORY, "no memory for counts");
    }
    pthread_mutex_init(&counts->lock, NULL);
    *out = counts;
    return KB_OK;
}

static void close_store(struct kb_counts *counts)
{
    kb_statement_free(counts->select);
    kb_statement_free(counts->upsert);
    kb_store_close(counts->store);
    counts->select = counts->upsert = NULL;
    counts->store = NULL;
}

void kb_counts_free(struct kb_counts *counts)
{
    if (!counts)
        return;
    close_store(counts);
    while (counts->list) {
        struct counted *next = counts->list->next;

        free(counts->list->token);
        free(counts->list->key);
        free(counts->list);
        counts->list = next;
    }
    pthread_mutex_destroy(&counts->lock);
    free(counts->path);
    free(counts);
}

static enum kb_status too_many(struct kb_error *err)
{
    kb_error_set(err, KB_ERR_DENIED,
                 "the key has encrypted as often as a key may with random IVs, 2^32 times");
    kb_error_hint(err, "make a new key and encrypt with that; this one still decrypts");
    return KB_ERR_DENIED;
}

static bool fits(uint64_t count, uint64_t n)
{
    return n <= KB_GCM_ENCRYPTIONS_MAX && count <= KB_GCM_ENCRYPTIONS_MAX - n;
}

/* --- in memory ---------------------------------------------------------------------- */

static struct counted *find(struct kb_counts *counts, const char *token, const char *key)
{
    struct counted *found = counts->list;

    while (found && (strcmp(found->token, token) != 0 || strcmp(found->key, key) != 0))
        found = found->next;
    return found;
}

static enum kb_status add_in_memory(struct kb_counts *counts, const char *token, const char *key,
                                    uint64_t n, struct kb_error *err)
{
    struct counted *found = find(counts, token, key);

    if (!found) {
        found = calloc(1, sizeof *found);
        if (!found || !(found->token = strdup(token)) || !(found->key = strdup(key))) {
            free(found ? found->token : NULL);
            free(found);
            return kb_error_set(err, KB_ERR_MEMORY, "no memory for counts");
        }
        found->next = counts->list;
        counts->list = found;
    }
    if (!fits(found->count, n))
        return too_many(err);
    found->count += n;
    return KB_OK;
}

/* --- in the file -------------------------------------------------------------------- */

static enum kb_status make_layout(struct kb_store *store, const void *ctx, struct kb_error *err)
{
    (void)ctx;
    return kb_store_run(store, LAYOUT, err);
}

/* In a folder of our own, made when it is missing. Somebody else may be faster. */
static enum kb_status create_file(const char *path, struct kb_error *err)
{
    struct kb_error why = {.status = KB_OK};
    enum kb_status status = kb_store_create(path, &counts_file, make_layout, NULL, &why);
    char *copy;

    if (status == KB_ERR_NOT_FOUND && (copy = strdup(path))) {
        kb_error_clear(&why);
        (void)mkdir(dirname(copy), 0700);
        free(copy);
        status = kb_store_create(path, &counts_file, make_layout, NULL, &why);
    }
    if (status == KB_OK)
        return KB_OK;
    /* What is not found is a folder; for the caller that would be a key. */
    if (status == KB_ERR_NOT_FOUND)
        status = KB_ERR_SYSTEM;
    kb_error_set(err, status, "%s", why.text);
    kb_error_hint(err, "encryptions are counted there; make the folder, and let it be writable");
    return status;
}

/* A file that was cut in the middle of a page reads as one without those rows. */
static enum kb_status check_whole(struct kb_store *store, struct kb_error *err)
{
    struct kb_statement *check;
    enum kb_status status = kb_statement_prepare(&check, store, "PRAGMA quick_check(1)", err);
    bool row = false;

    if (status == KB_OK)
        status = kb_statement_step(check, &row, err);
    if (status == KB_OK &&
        !(row && kb_bytes_equal(kb_statement_bytes(check, 0), kb_bytes_text("ok"))))
        status = kb_store_damaged(store, "parts of it are missing", err);
    kb_statement_free(check);
    return status;
}

/* A power loss may take the last counts; waiting for the disk at each call
 * would cost more than the call. */
static enum kb_status prepare(struct kb_counts *counts, struct kb_error *err)
{
    enum kb_status status = check_whole(counts->store, err);

    if (status == KB_OK)
        status = kb_store_run(counts->store, "PRAGMA synchronous=NORMAL", err);
    if (status == KB_OK)
        status = kb_statement_prepare(&counts->select, counts->store, SELECT, err);
    if (status == KB_OK)
        status = kb_statement_prepare(&counts->upsert, counts->store, UPSERT, err);
    if (status != KB_OK)
        close_store(counts);
    return status;
}

/* KB_ERR_NOT_FOUND when there is no file and none is to be made. */
static enum kb_status open_store(struct kb_counts *counts, bool create, struct kb_error *err)
{
    struct kb_error missing = {.status = KB_OK}, made = {.status = KB_OK};
    enum kb_status status;

    if (counts->store)
        return KB_OK;
    status = kb_store_open(&counts->store, counts->path, &counts_file, &missing);
    if (status == KB_ERR_NOT_FOUND && create) {
        status = create_file(counts->path, &made);
        if (status == KB_OK || status == KB_ERR_EXISTS) {
            kb_error_clear(&missing);
            status = kb_store_open(&counts->store, counts->path, &counts_file, &missing);
        }
        if (status == KB_ERR_NOT_FOUND && made.status != KB_OK) {
            missing = made; /* what was in the way of making it */
            status = made.status;
        }
    }
    if (status == KB_OK)
        return prepare(counts, err);
    if (status == KB_ERR_INPUT)
        kb_error_hint(&missing, "%s", counts_file.repair);
    if (err && err->status == KB_OK)
        *err = missing;
    return status;
}

static enum kb_status read_count(struct kb_counts *counts, const char *token, const char *key,
                                 uint64_t *out, struct kb_error *err)
{
    enum kb_status status;
    int64_t count = 0;
    bool row;

    *out = 0;
    kb_statement_set_text(counts->select, 1, kb_bytes_text(token));
    kb_statement_set_text(counts->select, 2, kb_bytes_text(key));
    status = kb_statement_step(counts->select, &row, err);
    if (status == KB_OK && row) {
        count = kb_statement_integer(counts->select, 0);
        kb_statement_reset(counts->select);
    }
    if (status == KB_OK && count < 0)
        status = kb_store_damaged(counts->store, "a count is negative", err);
    if (status == KB_OK)
        *out = (uint64_t)count;
    return status;
}

static enum kb_status write_count(struct kb_counts *counts, const char *token, const char *key,
                                  uint64_t n, struct kb_error *err)
{
    uint64_t count;
    enum kb_status status = read_count(counts, token, key, &count, err);

    if (status == KB_OK && !fits(count, n))
        return too_many(err);
    if (status != KB_OK)
        return status;
    kb_statement_set_text(counts->upsert, 1, kb_bytes_text(token));
    kb_statement_set_text(counts->upsert, 2, kb_bytes_text(key));
    kb_statement_set_integer(counts->upsert, 3, (int64_t)(count + n));
    return kb_statement_run(counts->upsert, err);
}

static enum kb_status add_in_file(struct kb_counts *counts, const char *token, const char *key,
                                  uint64_t n, struct kb_error *err)
{
    enum kb_status status = open_store(counts, true, err);

    if (status == KB_OK)
        status = kb_store_begin(counts->store, err);
    if (status != KB_OK)
        return status;
    status = write_count(counts, token, key, n, err);
    if (status == KB_OK)
        return kb_store_commit(counts->store, err);
    kb_store_rollback(counts->store);
    return status;
}

/* --- both ------------------------------------------------------------------------------ */

enum kb_status kb_counts_add(struct kb_counts *counts, const char *token, const char *key,
                             uint64_t n, struct kb_error *err)
{
    enum kb_status status;

    pthread_mutex_lock(&counts->lock);
    status = counts->path ? add_in_file(counts, token, key, n, err)
                          : add_in_memory(counts, token, key, n, err);
    pthread_mutex_unlock(&counts->lock);
    return status;
}

enum kb_status kb_counts_get(struct kb_counts *counts, uint64_t *out, const char *token,
                             const char *key, struct kb_error *err)
{
    enum kb_status status = KB_OK;
    struct kb_error why = {.status = KB_OK};
    const struct counted *found;

    *out = 0;
    pthread_mutex_lock(&counts->lock);
    if (!counts->path) {
        found = find(counts, token, key);
        *out = found ? found->count : 0;
    } else {
        status = open_store(counts, false, &why);
        if (status == KB_OK)
            status = read_count(counts, token, key, out, &why);
        else if (status == KB_ERR_NOT_FOUND)
            status = KB_OK; /* nothing was counted yet */
        if (status != KB_OK && err && err->status == KB_OK)
            *err = why;
    }
    pthread_mutex_unlock(&counts->lock);
    return status;
}
