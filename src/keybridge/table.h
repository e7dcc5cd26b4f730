/* SPDX-License-Identifier: Apache-2.0
 *
 * Tables: one interface over what stores items. Items go in and come out as
 * DynamoDB JSON, byte for byte as they were given; a table knows nothing of
 * encryption.
 */
#ifndef KEYBRIDGE_TABLE_H
#define KEYBRIDGE_TABLE_H

#include <keybridge/bytes.h>

#ifdef __cplusplus
extern "C" {
#endif

struct kb_table;

/* A key attribute: name and type 'S', 'N' or 'B'. */
struct kb_table_key {
    char name[256]; /* UTF-8, terminated; "" when there is none */
    char type;
};

struct kb_table_schema {
    char signed_name[256]; /* the table name that signatures cover */
    struct kb_table_key partition;
    struct kb_table_key sort; /* name "" without a sort key */
};

/* Name and type out of "Order ID:S"; without ":T" the type is S. A colon in
 * the name is part of it, but another single capital behind one at the end is
 * refused as a slip. KB_ERR_USAGE. */
KB_MUST_CHECK enum kb_status kb_table_key_parse(struct kb_table_key *out, const char *text,
                                                struct kb_error *err);

/* Creates the table `where` names ("local:FILE"); an empty signed_name becomes
 * the file's base name without its extension. KB_ERR_EXISTS when it is there. */
KB_MUST_CHECK enum kb_status kb_table_create(const char *where,
                                             const struct kb_table_schema *schema,
                                             struct kb_error *err);

/* Opens a table that is there. *out is the caller's, for kb_table_close; one
 * thread at a time uses it. KB_ERR_NOT_FOUND; KB_ERR_INPUT when the file is
 * not a table of ours. */
KB_MUST_CHECK enum kb_status kb_table_open(struct kb_table **out, const char *where,
                                           struct kb_error *err);
void kb_table_close(struct kb_table *table);

const struct kb_table_schema *kb_table_schema(const struct kb_table *table);

/* Items in it and bytes of their JSON. */
KB_MUST_CHECK enum kb_status kb_table_count(struct kb_table *table, uint64_t *items,
                                            uint64_t *bytes, struct kb_error *err);

/* Puts n items (JSON) in one transaction: all of them are durable on return or
 * none is. An item of the same key is replaced. KB_ERR_INPUT names the first
 * item without its key attributes or with one of another type, or over 400 KB;
 * *bad is its index. KB_ERR_SYSTEM: disk full, file locked too long. */
KB_MUST_CHECK enum kb_status kb_table_put(struct kb_table *table, const struct kb_bytes *items,
                                          size_t n, size_t *bad, struct kb_error *err);

/* `key`: a JSON item; only its key attributes are looked at, all of them must
 * be there: KB_ERR_USAGE. KB_ERR_NOT_FOUND when no item has it; KB_ERR_INPUT when
 * it is not as it was written. */
KB_MUST_CHECK enum kb_status kb_table_get(struct kb_table *table, struct kb_bytes key,
                                          struct kb_buffer *out, struct kb_error *err);
KB_MUST_CHECK enum kb_status kb_table_delete(struct kb_table *table, struct kb_bytes key,
                                             struct kb_error *err);

enum kb_sort_op {
    KB_SORT_ANY,
    KB_SORT_EQUAL,
    KB_SORT_LESS,
    KB_SORT_LESS_EQUAL,
    KB_SORT_GREATER,
    KB_SORT_GREATER_EQUAL,
    KB_SORT_BETWEEN, /* both ends included */
    KB_SORT_BEGINS,  /* S and B only */
};

struct kb_table_query {
    const char *partition; /* value as text: S as is, N a number, B base64 */
    enum kb_sort_op op;
    const char *sort_a;
    const char *sort_b; /* BETWEEN's second end */
    bool descending;
    uint64_t limit; /* 0: no limit */
};

/* Where the items of a walk go. A status other than KB_OK from either function
 * ends the walk and is returned. */
struct kb_table_sink {
    /* The JSON of an item; the view lives during the call. */
    enum kb_status (*item)(void *ctx, struct kb_bytes item);
    /* An item that is not as it was written, in the place of that item. NULL:
     * such an item ends the walk with KB_ERR_INPUT. */
    enum kb_status (*damaged)(void *ctx, const struct kb_error *error);
    void *ctx;
};

/* The items of a partition for which the condition holds, in key order. */
KB_MUST_CHECK enum kb_status kb_table_query(struct kb_table *table,
                                            const struct kb_table_query *query,
                                            const struct kb_table_sink *sink,
                                            struct kb_error *err);

/* All items, partition by partition. limit 0: no limit. */
KB_MUST_CHECK enum kb_status kb_table_scan(struct kb_table *table, uint64_t limit,
                                           const struct kb_table_sink *sink, struct kb_error *err);

#ifdef __cplusplus
}
#endif
#endif
