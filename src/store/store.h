/* SPDX-License-Identifier: Apache-2.0
 *
 * Every use of SQLite: one file, one connection, prepared statements, one
 * mapping of its result codes to status and sentence.
 *
 * A connection is for one thread at a time and must not be carried over a
 * fork.
 */
#ifndef KB_STORE_STORE_H
#define KB_STORE_STORE_H

#include <keybridge/bytes.h>

struct kb_store;
struct kb_statement;

enum { KB_STORE_BUSY_SECONDS = 10 };

/* What a file is, kept in its header. */
struct kb_store_kind {
    uint32_t application_id;
    uint32_t version;
    const char *what;   /* "a keybridge table", for messages */
    const char *repair; /* what to do about a damaged one */
};

/*
 * Makes a file of mode 0600 that appears whole or not at all: of two that
 * create it at once one wins. `fill` makes what is in it, inside a transaction.
 * KB_ERR_EXISTS when the name is taken.
 */
KB_MUST_CHECK enum kb_status kb_store_create(const char *path, const struct kb_store_kind *kind,
                                             enum kb_status (*fill)(struct kb_store *store,
                                                                    const void *ctx,
                                                                    struct kb_error *err),
                                             const void *ctx, struct kb_error *err);

/* Opens a file that is there; a file of another kind is not touched and gives
 * KB_ERR_INPUT. *out is the caller's, for kb_store_close. KB_ERR_NOT_FOUND. */
KB_MUST_CHECK enum kb_status kb_store_open(struct kb_store **out, const char *path,
                                           const struct kb_store_kind *kind, struct kb_error *err);

/* Statements must be freed before. NULL is ignored. */
void kb_store_close(struct kb_store *store);


/* Runs SQL that gives no rows we want. */
KB_MUST_CHECK enum kb_status kb_store_run(struct kb_store *store, const char *sql,
                                          struct kb_error *err);

/* A write transaction from the start: waits for another writer up to
 * KB_STORE_BUSY_SECONDS. */
KB_MUST_CHECK enum kb_status kb_store_begin(struct kb_store *store, struct kb_error *err);

/* Durable on KB_OK; rolled back otherwise. */
KB_MUST_CHECK enum kb_status kb_store_commit(struct kb_store *store, struct kb_error *err);
void kb_store_rollback(struct kb_store *store);

/* Rows the last INSERT, UPDATE or DELETE changed. */
int64_t kb_store_changes(struct kb_store *store);

/* KB_ERR_INPUT: what was read from the file cannot be right. */
enum kb_status kb_store_damaged(const struct kb_store *store, const char *how,
                                struct kb_error *err);

/* *out is the caller's, for kb_statement_free. */
KB_MUST_CHECK enum kb_status kb_statement_prepare(struct kb_statement **out,
                                                  struct kb_store *store, const char *sql,
                                                  struct kb_error *err);
void kb_statement_free(struct kb_statement *statement);

/* Parameters count from 1. The bytes must live until the statement is reset; a
 * failure shows in the next step. */
void kb_statement_set_blob(struct kb_statement *statement, int index, struct kb_bytes bytes);
void kb_statement_set_text(struct kb_statement *statement, int index, struct kb_bytes text);
void kb_statement_set_integer(struct kb_statement *statement, int index, int64_t value);

/* *row tells whether there is one to read; at the end and on failure the
 * statement is reset. */
KB_MUST_CHECK enum kb_status kb_statement_step(struct kb_statement *statement, bool *row,
                                               struct kb_error *err);
void kb_statement_reset(struct kb_statement *statement);

/* A step that gives no row, then reset. */
KB_MUST_CHECK enum kb_status kb_statement_run(struct kb_statement *statement,
                                              struct kb_error *err);

/* Columns count from 0; the view lives until the next step or reset. */
struct kb_bytes kb_statement_bytes(struct kb_statement *statement, int column);
int64_t kb_statement_integer(struct kb_statement *statement, int column);

#endif
