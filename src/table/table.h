/* SPDX-License-Identifier: Apache-2.0
 *
 * What a kind of table implements, and what kinds share.
 */
#ifndef KB_TABLE_TABLE_H
#define KB_TABLE_TABLE_H

#include "attr/attr.h"
#include "base/arena.h"

#include <keybridge/table.h>

/* DynamoDB's limits, bytes of a key attribute's value. */
enum { KB_PARTITION_KEY_MAX = 2048, KB_SORT_KEY_MAX = 1024 };

/* Contracts as of the public functions of the same names. */
struct kb_table_methods {
    void (*close)(struct kb_table *table);
    enum kb_status (*describe)(struct kb_table *table, struct kb_table_info *out,
                               struct kb_error *err);
    /* NULL: the kind has no such thing. */
    enum kb_status (*set_sse)(struct kb_table *table, const struct kb_table_options *options,
                              struct kb_error *err);
    /* Adds what the kind itself does not count in kb_table.stats; may be NULL. */
    void (*add_stats)(const struct kb_table *table, struct kb_table_stats *out);
    enum kb_status (*put)(struct kb_table *table, const struct kb_bytes *items, size_t n,
                          size_t *bad, struct kb_error *err);
    enum kb_status (*get)(struct kb_table *table, struct kb_bytes key, struct kb_buffer *out,
                          struct kb_error *err);
    enum kb_status (*delete)(struct kb_table *table, struct kb_bytes key, struct kb_error *err);
    enum kb_status (*query)(struct kb_table *table, const struct kb_table_query *query,
                            const struct kb_table_sink *sink,
                            struct kb_error *err);
    enum kb_status (*scan)(struct kb_table *table, uint64_t limit,
                           const struct kb_table_sink *sink,
                           struct kb_error *err);
};

/* First member of every kind's own struct. */
struct kb_table {
    const struct kb_table_methods *methods;
    struct kb_table_schema schema;
    struct kb_table_stats stats;
};

/* A kind of table; `name` is what stands behind the prefix. */
struct kb_table_kind {
    const char *prefix; /* "local:" */
    enum kb_status (*create)(const char *name, const struct kb_table_schema *schema,
                             const struct kb_table_options *options, struct kb_error *err);
    enum kb_status (*open)(struct kb_table **out, const char *name,
                           const struct kb_table_options *options, struct kb_error *err);
};

extern const struct kb_table_kind kb_table_local, kb_table_dynamodb;

/*
 * Keys as bytes whose unsigned order is DynamoDB's order of the values: S as
 * UTF-8, B as it is, N as kb_number_sort_key.
 */

/* Appends the encoded partition key and, if the table has one, sort key of an
 * item, each with its length before it; without a sort key an empty one. */
KB_MUST_CHECK enum kb_status kb_table_encode_item(struct kb_buffer *out,
                                                  const struct kb_table_schema *schema,
                                                  struct kb_bytes item, struct kb_arena *arena,
                                                  struct kb_error *err);

/* The same for an item that was parsed. */
KB_MUST_CHECK enum kb_status kb_table_encode_parsed(struct kb_buffer *out,
                                                    const struct kb_table_schema *schema,
                                                    const struct kb_item *item,
                                                    struct kb_error *err);

/* As kb_table_encode_item for a key that the caller asks for: what is wrong
 * with it is the caller's mistake (KB_ERR_USAGE), not bad data. */
KB_MUST_CHECK enum kb_status kb_table_encode_asked(struct kb_buffer *out,
                                                   const struct kb_table_schema *schema,
                                                   struct kb_bytes item, struct kb_arena *arena,
                                                   struct kb_error *err);

/* What the item has of the indexes' key attributes must be of their types. */
KB_MUST_CHECK enum kb_status kb_table_check_indexes(const struct kb_table_schema *schema,
                                                    const struct kb_item *item,
                                                    struct kb_error *err);

/* Which of the n items of one call, whose encoded keys follow one another in
 * `keys`, stand for themselves: out[i] is false for one that a later item of
 * the same key replaces. Returns how many are replaced. */
KB_MUST_CHECK enum kb_status kb_table_merge(bool *out, size_t *merged, struct kb_bytes keys,
                                            size_t n, struct kb_arena *arena,
                                            struct kb_error *err);

/* What every table asks of an item before it takes it: that it is one, its key
 * attributes, and the types of index keys. Appends the encoded key. */
KB_MUST_CHECK enum kb_status kb_table_check_item(struct kb_buffer *key,
                                                 const struct kb_table_schema *schema,
                                                 struct kb_bytes text, struct kb_arena *arena,
                                                 struct kb_error *err);

/* Appends the encoded form of a value given as text (see kb_table_query).
 * KB_ERR_USAGE. */
KB_MUST_CHECK enum kb_status kb_table_encode_text(struct kb_buffer *out,
                                                  const struct kb_table_key *key, size_t max,
                                                  const char *text, struct kb_error *err);

/* Part of a sorted range. */
struct kb_table_range {
    struct kb_buffer lower; /* encoded; nothing when there is no bound */
    struct kb_buffer upper;
    bool has_lower, has_upper;
    bool lower_open, upper_open; /* the bound itself is outside */
};

/* The range of sort keys a query asks for. KB_ERR_USAGE. Release it with
 * kb_table_range_free in any case. */
KB_MUST_CHECK enum kb_status kb_table_range_of(struct kb_table_range *out,
                                               const struct kb_table_key *key,
                                               const struct kb_table_query *query,
                                               struct kb_error *err);
void kb_table_range_free(struct kb_table_range *range);

#endif
