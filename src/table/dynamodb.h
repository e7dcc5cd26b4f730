/* SPDX-License-Identifier: Apache-2.0
 *
 * Tables in DynamoDB, or in a server that speaks its protocol. Items are put
 * into requests and cut out of answers as text; they are parsed only to look
 * at their keys before they are sent.
 * Source: Amazon DynamoDB API Reference, API version 2012-08-10.
 */
#ifndef KB_TABLE_DYNAMODB_H
#define KB_TABLE_DYNAMODB_H

#include "aws/aws.h"
#include "table/table.h"

enum {
    DYNAMODB_BATCH_MAX = 25,                /* items of a BatchWriteItem */
    DYNAMODB_BATCH_BYTES = 8 * 1024 * 1024, /* of its JSON; the service takes 16 MB */
    DYNAMODB_BODY_MAX = 64 * 1024 * 1024,
    DYNAMODB_ITEMS_MAX = 16 * 1024 * 1024,  /* of an answer: 1 MB of items, escaped at worst */
    DYNAMODB_EMPTY_MAX = 10000,             /* pages without an item, in a row */
};

struct dynamodb {
    struct kb_table table; /* first */
    struct kb_aws *aws;
    char name[1024];     /* as requests name it: a name or an ARN */
    char resource[1024]; /* ARN; '*' for what is not known */
    struct kb_table_index indexes[KB_TABLE_INDEXES_MAX];
    struct kb_arena arena; /* of one call of ours */
    struct kb_buffer keys; /* encoded, of one call of ours */
    struct kb_buffer body;
    unsigned max_tries;
};

/* What DescribeTable tells. */
struct dynamodb_description {
    struct kb_table_schema schema; /* its indexes are those below */
    struct kb_table_index indexes[KB_TABLE_INDEXES_MAX];
    struct kb_table_info info;
    char sse_status[32]; /* "" without one */
};

/* A page of a walk; views into its answer. */
struct dynamodb_page {
    struct kb_bytes *items;
    size_t count;
    struct kb_bytes last; /* LastEvaluatedKey; empty at the end */
};

/* --- JSON (dynamodb_json.c) ------------------------------------------------ */

/* KB_ERR_REMOTE when the answer is not what DynamoDB sends. What is read lives
 * as long as the answer and the arena. */
KB_MUST_CHECK enum kb_status dynamodb_read_description(struct dynamodb_description *out,
                                                       struct kb_bytes answer,
                                                       struct kb_arena *arena,
                                                       struct kb_error *err);
KB_MUST_CHECK enum kb_status dynamodb_read_page(struct dynamodb_page *out, struct kb_bytes answer,
                                                struct kb_arena *arena, struct kb_error *err);
/* The items that a BatchWriteItem did not put. */
KB_MUST_CHECK enum kb_status dynamodb_read_unprocessed(struct dynamodb_page *out,
                                                       struct kb_bytes answer,
                                                       struct kb_arena *arena,
                                                       struct kb_error *err);
/* The member `name`, an item; empty when the answer has none. */
KB_MUST_CHECK enum kb_status dynamodb_read_item(struct kb_bytes *out, struct kb_bytes answer,
                                                const char *name, struct kb_arena *arena,
                                                struct kb_error *err);

/* {"TableName":"…" without the closing brace. */
void dynamodb_put_start(struct kb_buffer *out, const char *table);
/* ,"name":"text" */
void dynamodb_put_member(struct kb_buffer *out, const char *name, const char *text);
/* ,"SSESpecification":{…}; nothing for a storage key of AWS when creating. */
void dynamodb_put_sse(struct kb_buffer *out, const struct kb_table_options *options, bool creating);
KB_MUST_CHECK enum kb_status dynamodb_put_create(struct kb_buffer *out, const char *table,
                                                 const struct kb_table_schema *schema,
                                                 const struct kb_table_options *options,
                                                 struct kb_error *err);
/* All of a Query but what changes from page to page. */
void dynamodb_put_query(struct kb_buffer *out, const char *table,
                        const struct kb_table_key *partition, const struct kb_table_key *sort,
                        const struct kb_table_query *query);

/* --- calls (dynamodb.c) ---------------------------------------------------- */

/* Makes one call with `d->body`. KB_OK: *answer is the caller's to free. */
KB_MUST_CHECK enum kb_status dynamodb_call(struct dynamodb *d, const char *operation,
                                           struct kb_buffer *answer, struct kb_error *err);

/* Turns what a call on items failed with into what it means for the table. */
enum kb_status dynamodb_explain(struct dynamodb *d, enum kb_status status,
                                const struct kb_error *why, struct kb_error *err);

enum kb_status dynamodb_put(struct kb_table *table, const struct kb_bytes *items, size_t n,
                            size_t *bad, struct kb_error *err);
enum kb_status dynamodb_get(struct kb_table *table, struct kb_bytes key, struct kb_buffer *out,
                            struct kb_error *err);
enum kb_status dynamodb_delete(struct kb_table *table, struct kb_bytes key, struct kb_error *err);
enum kb_status dynamodb_query(struct kb_table *table, const struct kb_table_query *query,
                              const struct kb_table_sink *sink, struct kb_error *err);
enum kb_status dynamodb_scan(struct kb_table *table, uint64_t limit,
                             const struct kb_table_sink *sink, struct kb_error *err);

#endif
