/* SPDX-License-Identifier: Apache-2.0
 *
 * Tables: one interface over what stores items. Items go in and come out as
 * DynamoDB JSON, byte for byte as they were given; a table knows nothing of
 * encryption.
 */
#ifndef KEYBRIDGE_TABLE_H
#define KEYBRIDGE_TABLE_H

#include <keybridge/aws.h>

#ifdef __cplusplus
extern "C" {
#endif

struct kb_table;

/* A key attribute: name and type 'S', 'N' or 'B'. */
struct kb_table_key {
    char name[256]; /* UTF-8, terminated; "" when there is none */
    char type;
};

/* A secondary index of a DynamoDB table; every attribute is projected. */
struct kb_table_index {
    char name[256];
    bool local; /* its partition key is the table's */
    struct kb_table_key partition;
    struct kb_table_key sort; /* name "" without a sort key */
};

enum { KB_TABLE_INDEXES_MAX = 25 };

struct kb_table_schema {
    char signed_name[256]; /* the table name that signatures cover */
    struct kb_table_key partition;
    struct kb_table_key sort; /* name "" without a sort key */
    const struct kb_table_index *indexes; /* borrowed when creating, the table's when opened */
    size_t index_count;
};

/* Who holds the key that DynamoDB encrypts its storage with: AWS, AWS's key in
 * the caller's account, or a key of the caller's in KMS. */
enum kb_table_sse { KB_SSE_OWNED, KB_SSE_AWS, KB_SSE_KMS };

/* A zero-filled one is the default; dynamodb: tables only, others refuse what
 * they do not have: KB_ERR_USAGE. */
struct kb_table_options {
    const struct kb_aws_options *aws; /* NULL: all defaults */
    enum kb_table_sse sse;            /* creating, and kb_table_set_sse */
    const char *sse_kms_key;          /* of KB_SSE_KMS: id, ARN or alias */
    uint64_t read_units, write_units; /* creating: provisioned; both 0: pay per request */
};

struct kb_table_info {
    uint64_t items;
    uint64_t bytes;       /* local: of their JSON; dynamodb: as the service counts, hours old */
    char arn[1024];       /* dynamodb, as all below; "" when not told */
    char status[40];      /* "ACTIVE" */
    char billing[32];     /* "PAY_PER_REQUEST", "PROVISIONED" */
    enum kb_table_sse sse;
    char sse_kms_key[1024];
};

/* What happened on the way to a table since it was opened. */
struct kb_table_stats {
    uint64_t requests;
    uint64_t retries;   /* requests sent again, and items that came back unprocessed */
    uint64_t throttled; /* answers that asked for less, and batches that came back in part */
    uint64_t stored;    /* items that the table took, repeats included */
    uint64_t merged;    /* items put together with another of the same key: the last one stays */
};

/* Name and type out of "Order ID:S"; without ":T" the type is S. A colon in
 * the name is part of it, but another single capital behind one at the end is
 * refused as a slip. KB_ERR_USAGE. */
KB_MUST_CHECK enum kb_status kb_table_key_parse(struct kb_table_key *out, const char *text,
                                                struct kb_error *err);

/* Creates the table `where` names: "local:FILE", an empty signed_name becomes
 * the file's base name without its extension; "dynamodb:NAME", the signed name
 * is not stored, the call returns when the table is active. KB_ERR_EXISTS when
 * it is there. */
KB_MUST_CHECK enum kb_status kb_table_create(const char *where,
                                             const struct kb_table_schema *schema,
                                             const struct kb_table_options *options,
                                             struct kb_error *err);

/* Opens a table that is there. *out is the caller's, for kb_table_close; one
 * thread at a time uses it. KB_ERR_NOT_FOUND; KB_ERR_INPUT when the file is
 * not a table of ours. */
KB_MUST_CHECK enum kb_status kb_table_open(struct kb_table **out, const char *where,
                                           const struct kb_table_options *options,
                                           struct kb_error *err);
void kb_table_close(struct kb_table *table);

const struct kb_table_schema *kb_table_schema(const struct kb_table *table);

KB_MUST_CHECK enum kb_status kb_table_describe(struct kb_table *table, struct kb_table_info *out,
                                               struct kb_error *err);

/* Changes who holds the storage key (UpdateTable); returns when it is done. */
KB_MUST_CHECK enum kb_status kb_table_set_sse(struct kb_table *table,
                                              const struct kb_table_options *options,
                                              struct kb_error *err);

void kb_table_stats(const struct kb_table *table, struct kb_table_stats *out);

/* Puts n items (JSON). local: in one transaction, all of them are durable on
 * return or none is; dynamodb: each item whole or not at all, after a failure
 * any of them may be there. An item of the same key is replaced; of two in one
 * call the last stays. KB_ERR_INPUT names the first
 * item without its key attributes or with one of another type, or over 400 KB;
 * *bad is its index. KB_ERR_SYSTEM: disk full, file locked too long. */
KB_MUST_CHECK enum kb_status kb_table_put(struct kb_table *table, const struct kb_bytes *items,
                                          size_t n, size_t *bad, struct kb_error *err);

/* What kb_table_put would refuse before it writes, without writing. */
KB_MUST_CHECK enum kb_status kb_table_check(struct kb_table *table, const struct kb_bytes *items,
                                            size_t n, size_t *bad, struct kb_error *err);

/* `key`: a JSON item; only its key attributes are looked at, all of them must
 * be there: KB_ERR_USAGE. KB_ERR_NOT_FOUND when no item has it; KB_ERR_INPUT when
 * it is not as it was written; KB_ERR_AUTH when a server gives another item. */
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
    const char *index;     /* dynamodb: a secondary index; NULL: the table */
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
    /* An item that is not as it was written, or not one that was asked for, in
     * its place. NULL: such an item ends the walk with KB_ERR_INPUT, or
     * KB_ERR_AUTH when a server gives what was not asked for. */
    enum kb_status (*damaged)(void *ctx, const struct kb_error *error);
    void *ctx;
};

/* The items of a partition for which the condition holds, in key order. What a
 * server gives out of that order ends it with KB_ERR_AUTH. */
KB_MUST_CHECK enum kb_status kb_table_query(struct kb_table *table,
                                            const struct kb_table_query *query,
                                            const struct kb_table_sink *sink,
                                            struct kb_error *err);

/* All items; local: partition by partition. limit 0: no limit. */
KB_MUST_CHECK enum kb_status kb_table_scan(struct kb_table *table, uint64_t limit,
                                           const struct kb_table_sink *sink, struct kb_error *err);

#ifdef __cplusplus
}
#endif
#endif
