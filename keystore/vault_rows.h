/* SPDX-License-Identifier: Apache-2.0
 *
 * The vault's inside: one SQLite file of rows that have MACs, a state row over
 * all of them, and a counter on the token.
 *
 * Every transaction writes the state row anew: how many rows each table has, the
 * next row's number, and the sum of the MACs modulo 2^256, which also tells a
 * row that was put back as it once was. (Whoever kept thousands of old rows can
 * find a set of them with the same sum in some 2^40 steps.)
 */
#ifndef KB_KEYSTORE_VAULT_ROWS_H
#define KB_KEYSTORE_VAULT_ROWS_H

#include <pthread.h>

#include <keybridge/vault.h>

#include "keystore/counter.h"
#include "store/store.h"

enum {
    VAULT_MAC_SIZE = 32,
    VAULT_COLUMNS_MAX = 12,
    VAULT_TEXT_MAX = 64 * 1024,             /* bytes of a text in a row */
    VAULT_READ_MAX = 4 * 1024 * 1024,       /* bytes of the rows that are read at once */
    VAULT_COUNTER_NAME = 16 + KB_VAULT_ID_SIZE,
    VAULT_WHERE_SIZE = 128 + 2 * KB_VAULT_BATCH_MAX,
};

enum vault_table {
    VAULT_KEYS,
    VAULT_OBJECTS,
    VAULT_UPLOADS,
    VAULT_PARTS,
    VAULT_EVENTS,
    VAULT_TABLES,
    VAULT_STATE = VAULT_TABLES, /* has one row, which counts the others */
};

/* A value of a row: the one that the column's type says. */
struct vault_cell {
    int64_t integer;
    struct kb_bytes bytes;
};

/* A row without its MAC. Columns are numbered as vault_rows.c lists them. */
struct vault_row {
    int64_t row;
    struct vault_cell cells[VAULT_COLUMNS_MAX];
};

struct vault_contents {
    uint64_t count;
    uint64_t next; /* number of the next row */
    uint8_t sum[VAULT_MAC_SIZE];
};

struct vault_state {
    char id[KB_VAULT_ID_SIZE]; /* of the vault */
    char serial[17], label[33]; /* of the token */
    char wrap_version[33], sign_version[33];
    uint64_t counter;
    struct vault_contents tables[VAULT_TABLES];
};

struct vault_batch;

struct kb_vault {
    pthread_mutex_t lock; /* of all below, and the connection */
    struct kb_keystore *keystore;
    struct kb_token *token; /* leased while a call is under way */
    struct kb_store *store;
    char *path;
    char *wrap_key, *sign_key;
    struct vault_state state;
    uint8_t state_mac[VAULT_MAC_SIZE]; /* of the state as it is in the file */
    bool state_verified; /* it has that MAC, and the token's counter goes with it */
    struct vault_batch *batch;
};

/* --- vault_state.c: who works when, and what all rows add up to ---------------------- */

/* A call that reads: vault_leave ends it. */
KB_MUST_CHECK enum kb_status vault_enter(struct kb_vault *vault, struct kb_error *err);
enum kb_status vault_leave(struct kb_vault *vault, enum kb_status status);

/* A call that writes: a transaction from the start, with the state as it is now.
 * vault_end commits when `status` is KB_OK, and gives back what came of it. */
KB_MUST_CHECK enum kb_status vault_begin(struct kb_vault *vault, struct kb_error *err);
enum kb_status vault_end(struct kb_vault *vault, enum kb_status status, struct kb_error *err);
/* As vault_end, with a step of the counter. */
enum kb_status vault_end_step(struct kb_vault *vault, enum kb_status status, struct kb_error *err);

/* The state of a new file; into a store that is being made. */
KB_MUST_CHECK enum kb_status vault_state_write(struct kb_vault *vault, struct kb_error *err);
/* What the state row says of itself and the token, not verified yet: into
 * vault->state. KB_ERR_AUTH when it is of another token. */
KB_MUST_CHECK enum kb_status vault_state_peek(struct kb_vault *vault, struct kb_error *err);
/* The row that was peeked at, held against its MAC unless `trust` (repair). */
KB_MUST_CHECK enum kb_status vault_state_read(struct kb_vault *vault, bool trust,
                                              struct kb_error *err);
/* Inside a transaction: holds the counter against the token's, and steps that
 * when it is one behind. */
KB_MUST_CHECK enum kb_status vault_counter_check(struct kb_vault *vault, struct kb_error *err);
void vault_counter_name(char out[VAULT_COUNTER_NAME], const char *id);
/* Holds the rows of a table, by the MACs they come with, against the state; what is found
 * there replaces it when `adopt`. */
KB_MUST_CHECK enum kb_status vault_contents_check(struct kb_vault *vault, enum vault_table table,
                                                  bool adopt, struct kb_error *err);

/* --- vault_rows.c: rows and their MACs ------------------------------------------------ */

extern const char vault_layout[];
const char *vault_table_name(enum vault_table table);

KB_MUST_CHECK enum kb_status vault_batch_new(struct vault_batch **out, struct kb_error *err);
void vault_batch_free(struct vault_batch *batch);

/* Writes n rows; with `add` as new ones, whose row numbers are set unless they
 * have one, else in place of those of the same numbers: KB_ERR_NOT_FOUND. */
KB_MUST_CHECK enum kb_status vault_rows_put(struct kb_vault *vault, enum vault_table table,
                                            bool add, struct vault_row *rows, size_t n,
                                            struct kb_error *err);
/* Those whose column, "row" or "object_row", has that value. */
KB_MUST_CHECK enum kb_status vault_rows_remove(struct kb_vault *vault, enum vault_table table,
                                               const char *column, int64_t value,
                                               uint64_t *removed, struct kb_error *err);

/* Which rows: SQL behind FROM, with parameters by the letters of `kinds`, 'i'
 * or 't'. The index that finds a row is not under a MAC: callers look at what they get. */
struct vault_query {
    enum vault_table table;
    const char *where; /* or NULL */
    const char *kinds;
    const struct vault_cell *parameters;
};

/* "before (?,…,?) after" with n parameters, at most KB_VAULT_BATCH_MAX. */
void vault_where_write(char out[VAULT_WHERE_SIZE], const char *before, size_t n, const char *after);

/* Gives every row that was verified; views live for the call. KB_ERR_AUTH for
 * the first that was altered, unless `altered` is not NULL: it gets their numbers. */
struct vault_reader {
    enum kb_status (*each)(void *ctx, const struct vault_row *row, struct kb_error *err);
    void (*altered)(void *ctx, int64_t row);
    void *ctx;
};
KB_MUST_CHECK enum kb_status vault_rows_read(struct kb_vault *vault,
                                             const struct vault_query *query,
                                             const struct vault_reader *reader,
                                             struct kb_error *err);
/* As `altered`: such rows are for kb_vault_check. */
void vault_row_pass_over(void *ctx, int64_t row);
/* An integer by SQL, not verified; 0 when there is none. The second one has n integers
 * as parameters. */
KB_MUST_CHECK enum kb_status vault_number_read(struct kb_vault *vault, const char *sql,
                                               struct kb_bytes parameter, int64_t *out,
                                               struct kb_error *err);
KB_MUST_CHECK enum kb_status vault_number_find(struct kb_vault *vault, const char *sql,
                                               const int64_t *parameters, size_t n,
                                               int64_t *out, struct kb_error *err);

struct vault_cell vault_text(const char *text); /* NULL: "" */
struct vault_cell vault_blob(const void *data, size_t size);
struct vault_cell vault_integer(uint64_t value);
/* KB_ERR_USAGE for a text that is too long, or no UTF-8. */
KB_MUST_CHECK enum kb_status vault_text_check(const char *text, size_t max, const char *what,
                                              struct kb_error *err);
/* False when it does not fit, or has a zero byte. */
bool vault_text_fill(char *out, size_t room, const struct vault_cell *cell);
/* That of a row that is read has its terminator. */
char *vault_text_view(const struct vault_cell *cell);
KB_MUST_CHECK enum kb_status vault_text_copy(char **out, const char *text, struct kb_error *err);
bool vault_text_is(const struct vault_cell *cell, const char *text);
enum kb_status vault_damaged(struct kb_vault *vault, const char *how, struct kb_error *err);

/* --- vault_keys.c ------------------------------------------------------------------------ */

enum vault_key_column {
    KEY_ID,
    KEY_FINGERPRINT,
    KEY_PURPOSE,
    KEY_STATE,
    KEY_NAME,
    KEY_SCOPE,
    KEY_CREATED,
    KEY_WRAPPED,
};

/* Random, in hexadecimal. */
KB_MUST_CHECK enum kb_status vault_ids_make(struct kb_vault *vault, char (*ids)[KB_VAULT_ID_SIZE],
                                            size_t n, struct kb_error *err);
/* Base64 of the MD5 of a key. */
/* A view of the row; KB_ERR_INPUT when it cannot be one. */
KB_MUST_CHECK enum kb_status vault_key_view(struct kb_vault *vault, struct kb_vault_key *out,
                                            const struct vault_row *row, struct kb_error *err);
/* Stores keys that are wrapped: in a transaction that was begun. KB_ERR_EXISTS. */
KB_MUST_CHECK enum kb_status vault_keys_add(struct kb_vault *vault,
                                            const struct kb_vault_key *keys,
                                            const struct kb_data_key *wrapped, size_t n,
                                            struct kb_error *err);

KB_MUST_CHECK enum kb_status vault_key_replace(struct kb_vault *vault, int64_t row,
                                               const struct kb_vault_key *key,
                                               struct kb_bytes wrapped, struct kb_error *err);

/* --- vault_object_rows.c ---------------------------------------------------------------------- */

KB_MUST_CHECK enum kb_status vault_object_view(struct kb_vault *vault,
                                               struct kb_vault_object *out,
                                               const struct vault_row *row,
                                               struct kb_error *err);
/* In a transaction that was begun; `changed` as it is. */
KB_MUST_CHECK enum kb_status vault_objects_put(struct kb_vault *vault, bool add,
                                               struct kb_vault_object *objects, size_t n,
                                               struct kb_error *err);
/* The key that a row names; "" when it names none, or was altered. */
KB_MUST_CHECK enum kb_status vault_object_key(struct kb_vault *vault, int64_t row,
                                              char id[KB_VAULT_ID_SIZE], struct kb_error *err);

/* --- vault_settle.c --------------------------------------------------------------------------- */

/* What follows from rows that were changed: in the same transaction. */
KB_MUST_CHECK enum kb_status vault_objects_settle(struct kb_vault *vault,
                                                  const struct kb_vault_object *objects, size_t n,
                                                  struct kb_error *err);
/* An active key of one object that no row uses is retired. "" is none. */
KB_MUST_CHECK enum kb_status vault_key_settle(struct kb_vault *vault, const char *id,
                                              struct kb_error *err);

/* --- vault_events.c --------------------------------------------------------------------------- */

KB_MUST_CHECK enum kb_status vault_event_add(struct kb_vault *vault, const char *key_id,
                                             const char *what, struct kb_error *err);

#endif
