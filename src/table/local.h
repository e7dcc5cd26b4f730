/* SPDX-License-Identifier: Apache-2.0
 *
 * The embedded table: one SQLite file.
 *
 *   meta    name -> value: the schema
 *   totals  one row: number of items, bytes of their JSON
 *   items   (partition, sort) -> mark, item
 *
 * Keys are encoded (table.h), so that SQLite's order of blobs is the table's
 * order; items are the JSON as it was given. SQLite does not notice every byte
 * that a disk changes: `mark` is a check over the row, and the totals are held
 * against a full scan.
 */
#ifndef KB_TABLE_LOCAL_H
#define KB_TABLE_LOCAL_H

#include "store/store.h"
#include "table/table.h"

enum local_statement {
    LOCAL_INSERT,
    LOCAL_REPLACE,
    LOCAL_GET,
    LOCAL_DELETE,
    LOCAL_TOTALS,
    LOCAL_TOTALS_ADD,
    LOCAL_STATEMENTS
};

struct local {
    struct kb_table table; /* first */
    struct kb_store *store;
    struct kb_statement *statements[LOCAL_STATEMENTS];
    struct kb_arena arena;
    struct kb_buffer row_key; /* of the row that is checked */
    struct kb_buffer keys;
    uint64_t changes; /* transactions through this handle */
};

/* An encoded key, views into somebody's buffer. */
struct local_key {
    struct kb_bytes partition;
    struct kb_bytes sort;
};

/* Check over a row, against accidents, not against an enemy. */
int64_t local_mark(struct local_key key, struct kb_bytes item);

enum kb_status local_describe(struct kb_table *table, struct kb_table_info *out,
                              struct kb_error *err);
enum kb_status local_put(struct kb_table *table, const struct kb_bytes *items, size_t n,
                         size_t *bad, struct kb_error *err);
enum kb_status local_get(struct kb_table *table, struct kb_bytes key, struct kb_buffer *out,
                         struct kb_error *err);
enum kb_status local_delete(struct kb_table *table, struct kb_bytes key, struct kb_error *err);
enum kb_status local_query(struct kb_table *table, const struct kb_table_query *query,
                           const struct kb_table_sink *sink,
                           struct kb_error *err);
enum kb_status local_scan(struct kb_table *table, uint64_t limit,
                          const struct kb_table_sink *sink,
                          struct kb_error *err);

#endif
