/* SPDX-License-Identifier: Apache-2.0
 *
 * Tables in DynamoDB: putting items, many at once, until all are there.
 */
#include "table/dynamodb.h"

#include "base/reader.h"
#include "http/http.h"

#include <stdlib.h>
#include <string.h>

/* Requests under way together: enough that no connection waits for another. */
enum { CALLS_MAX = 32 };

struct batch {
    size_t indexes[DYNAMODB_BATCH_MAX]; /* of items */
    size_t count;
    size_t start, end; /* its request, within the body */
};

struct put {
    struct dynamodb *d;
    const struct kb_bytes *items;
    struct kb_bytes *keys; /* encoded, by item */
    size_t *pending;       /* indexes of the items that are still to be put */
    size_t pending_count;
    size_t left_count; /* of those, the ones this round left: first in `pending` */
    struct batch batches[CALLS_MAX];
    struct kb_aws_call calls[CALLS_MAX];
    size_t call_count;
    struct kb_arena arena; /* of an answer */
    size_t merged;         /* items of which a later one has the key */
    size_t *bad;
};

/* --- before anything is sent ----------------------------------------------- */

static enum kb_status check_items(struct dynamodb *d, const struct kb_bytes *items, size_t n,
                                  size_t *bad, struct kb_error *err)
{
    const struct kb_table_schema *schema = &d->table.schema;
    enum kb_status status = KB_OK;

    kb_buffer_reset(&d->keys);
    for (size_t i = 0; status == KB_OK && i < n; i++) {
        kb_arena_reset(&d->arena);
        status = kb_table_check_item(&d->keys, schema, items[i], &d->arena, err);
        if (status == KB_ERR_INPUT)
            *bad = i;
    }
    kb_arena_reset(&d->arena);
    return status;
}

/* Of items with one key only the last is sent. */
static enum kb_status list_pending(struct put *put, size_t n, struct kb_error *err)
{
    struct dynamodb *d = put->d;
    bool *stays = kb_arena_array(&d->arena, n, sizeof *stays);
    struct kb_reader reader = kb_reader_of(kb_buffer_view(&d->keys));
    enum kb_status status;
    size_t merged;

    put->keys = kb_arena_array(&d->arena, n, sizeof *put->keys);
    put->pending = kb_arena_array(&d->arena, n, sizeof *put->pending);
    if (!stays || !put->keys || !put->pending)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    status = kb_table_merge(stays, &merged, kb_buffer_view(&d->keys), n, &d->arena, err);
    for (size_t i = 0; status == KB_OK && i < n; i++) {
        put->keys[i].data = reader.next;
        kb_reader_lv(&reader);
        kb_reader_lv(&reader);
        put->keys[i].size = (size_t)(reader.next - put->keys[i].data);
        if (stays[i])
            put->pending[put->pending_count++] = i;
    }
    put->merged = merged;
    return status;
}

/* --- requests -------------------------------------------------------------- */

static void put_single(struct kb_buffer *out, const struct put *put, size_t index)
{
    dynamodb_put_start(out, put->d->name);
    kb_buffer_put_text(out, ",\"Item\":");
    kb_buffer_put_bytes(out, put->items[index]);
    kb_buffer_put_u8(out, '}');
}

/* The next items from pending[at] that make a request. */
static size_t put_batch(struct kb_buffer *out, struct put *put, struct batch *batch, size_t at,
                        size_t most)
{
    size_t bytes = 0;

    batch->count = 0;
    batch->start = out->size;
    while (batch->count < most && at < put->pending_count) {
        size_t index = put->pending[at];

        bytes += put->items[index].size;
        if (batch->count && bytes > DYNAMODB_BATCH_BYTES)
            break;
        batch->indexes[batch->count++] = index;
        at++;
    }
    if (batch->count == 1) {
        put_single(out, put, batch->indexes[0]);
    } else {
        kb_buffer_put_text(out, "{\"RequestItems\":{\"");
        kb_buffer_put_text(out, put->d->name);
        for (size_t i = 0; i < batch->count; i++) {
            kb_buffer_put_text(out, i ? "}},{\"PutRequest\":{\"Item\":"
                                      : "\":[{\"PutRequest\":{\"Item\":");
            kb_buffer_put_bytes(out, put->items[batch->indexes[i]]);
        }
        kb_buffer_put_text(out, "}}]}}");
    }
    batch->end = out->size;
    return at;
}

/* Requests of one size, as few as there can be: each costs the server much
 * more than an item of it does. */
static size_t batch_size(size_t count)
{
    size_t calls = (count + DYNAMODB_BATCH_MAX - 1) / DYNAMODB_BATCH_MAX;

    return (count + calls - 1) / calls;
}

/* Requests for pending items from `at` on; returns where the next ones begin. */
static size_t prepare(struct put *put, size_t at, size_t most)
{
    struct kb_buffer *body = &put->d->body;

    kb_buffer_reset(body);
    put->call_count = 0;
    while (at < put->pending_count && put->call_count < CALLS_MAX &&
           body->size < DYNAMODB_BODY_MAX / 2)
        at = put_batch(body, put, &put->batches[put->call_count++], at, most);
    for (size_t i = 0; i < put->call_count; i++) {
        const struct batch *batch = &put->batches[i];

        put->calls[i] = (struct kb_aws_call){
            .operation = batch->count == 1 ? "PutItem" : "BatchWriteItem",
            .resource = put->d->resource,
            .body = {body->data + batch->start, batch->end - batch->start},
            /* All of it may come back, with whatever is not ASCII escaped. */
            .response_max = KB_AWS_RESPONSE_MAX + 3 * (batch->end - batch->start),
        };
    }
    return at;
}

static void free_calls(struct put *put)
{
    for (size_t i = 0; i < put->call_count; i++)
        kb_aws_call_free(&put->calls[i]);
    put->call_count = 0;
}

/* --- answers --------------------------------------------------------------- */

/* What came back unprocessed is found among ours by its key: the server may
 * write it in its own way, and our bytes are sent again. */
static enum kb_status take_unprocessed(struct put *put, const struct batch *batch,
                                       struct kb_bytes answer, struct kb_error *err)
{
    struct kb_buffer key = KB_BUFFER_INIT(8 * KB_PARTITION_KEY_MAX);
    bool back[DYNAMODB_BATCH_MAX] = {false};
    struct dynamodb_page page;
    enum kb_status status;
    size_t i;

    kb_arena_reset(&put->arena);
    status = dynamodb_read_unprocessed(&page, answer, &put->arena, err);
    for (size_t u = 0; status == KB_OK && u < page.count; u++) {
        kb_buffer_reset(&key);
        if (kb_table_encode_item(&key, &put->d->table.schema, page.items[u], &put->arena, NULL) !=
            KB_OK)
            kb_buffer_reset(&key);
        for (i = 0; i < batch->count; i++)
            if (kb_bytes_equal(kb_buffer_view(&key), put->keys[batch->indexes[i]]))
                break;
        if (i == batch->count)
            status = kb_error_set(err, KB_ERR_REMOTE,
                                  "the server gave back an item that it was not sent");
        else
            back[i] = true;
    }
    for (i = 0; status == KB_OK && i < batch->count; i++)
        if (back[i])
            put->pending[put->left_count++] = batch->indexes[i];
    if (status == KB_OK)
        put->d->table.stats.stored += batch->count - page.count;
    if (status == KB_OK && page.count)
        put->d->table.stats.throttled++;
    kb_buffer_free(&key);
    return status;
}

static enum kb_status blame(struct put *put, size_t index, const struct kb_error *why,
                            struct kb_error *err)
{
    *put->bad = index;
    return kb_error_set(err, KB_ERR_INPUT, "%s", kb_error_text(why));
}

/* A request that the service finds not valid says not which item it means: it
 * gets them one by one. */
static enum kb_status find_culprit(struct put *put, const struct batch *batch,
                                   struct kb_error *err)
{
    struct dynamodb *d = put->d;
    enum kb_status status = KB_OK;

    for (size_t i = 0; status == KB_OK && i < batch->count; i++) {
        struct kb_buffer answer = KB_BUFFER_INIT(0);
        struct kb_error why = {0};

        kb_buffer_reset(&d->body);
        put_single(&d->body, put, batch->indexes[i]);
        status = dynamodb_call(d, "PutItem", &answer, &why);
        kb_buffer_free(&answer);
        d->table.stats.stored += status == KB_OK;
        if (status == KB_ERR_USAGE)
            return blame(put, batch->indexes[i], &why, err);
        if (status != KB_OK)
            return dynamodb_explain(d, status, &why, err);
    }
    return status;
}

/* A request was refused for what is in it. The keys of the table are looked at
 * first: nothing of ours is to blame when they are others now. */
static enum kb_status take_refusal(struct put *put, const struct batch *batch,
                                   const struct kb_error *why, struct kb_error *err)
{
    struct kb_error meaning = {0};
    enum kb_status status = dynamodb_explain(put->d, KB_ERR_USAGE, why, &meaning);

    if (status != KB_ERR_USAGE) {
        kb_error_set(err, status, "%s", kb_error_text(&meaning));
        return status;
    }
    return batch->count == 1 ? blame(put, batch->indexes[0], why, err)
                             : find_culprit(put, batch, err);
}

/* Of calls that were done before another ended all: what is in the table. */
static void count_stored(struct put *put)
{
    for (size_t i = 0; i < put->call_count; i++) {
        struct kb_aws_call *call = &put->calls[i];

        if (call->status != KB_OK || !call->response.size)
            continue;
        if (put->batches[i].count == 1)
            put->d->table.stats.stored++;
        else
            (void)!take_unprocessed(put, &put->batches[i], kb_buffer_view(&call->response), NULL);
    }
}

static enum kb_status take_answers(struct put *put, struct kb_error *err)
{
    enum kb_status status = KB_OK;

    for (size_t i = 0; status == KB_OK && i < put->call_count; i++) {
        struct kb_aws_call *call = &put->calls[i];

        if (call->status == KB_OK && put->batches[i].count == 1)
            put->d->table.stats.stored++;
        else if (call->status == KB_OK)
            status = take_unprocessed(put, &put->batches[i], kb_buffer_view(&call->response), err);
        else if (call->status != KB_OK && call->status != KB_ERR_USAGE)
            status = dynamodb_explain(put->d, call->status, &call->error, err);
    }
    for (size_t i = 0; status == KB_OK && i < put->call_count; i++)
        if (put->calls[i].status == KB_ERR_USAGE)
            status = take_refusal(put, &put->batches[i], &put->calls[i].error, err);
    free_calls(put);
    return status;
}

/* --- rounds ---------------------------------------------------------------- */

/* Sends all that is pending once; what was not processed is pending then. */
static enum kb_status run_round(struct put *put, struct kb_error *err)
{
    size_t most = batch_size(put->pending_count), at = 0;
    enum kb_status status = KB_OK;

    put->left_count = 0;
    while (status == KB_OK && at < put->pending_count) {
        struct kb_error why = {0};

        at = prepare(put, at, most);
        status = kb_buffer_check(&put->d->body, err);
        if (status != KB_OK)
            break;
        status = kb_aws_run(put->d->aws, put->calls, put->call_count, &why);
        if (status == KB_OK) {
            status = take_answers(put, err);
        } else {
            count_stored(put);
            free_calls(put);
            status = dynamodb_explain(put->d, status, &why, err);
        }
    }
    return status;
}

static enum kb_status run_rounds(struct put *put, struct kb_error *err)
{
    struct kb_retry retry = {.max = put->d->max_tries};
    enum kb_status status = KB_OK;

    while (status == KB_OK && put->pending_count) {
        int wait;

        status = run_round(put, err);
        if (status != KB_OK || !put->left_count)
            break;
        put->d->table.stats.retries += put->left_count;
        if (put->left_count < put->pending_count)
            kb_retry_progress(&retry);
        put->pending_count = put->left_count;
        wait = kb_retry_next(&retry);
        if (wait < 0) {
            status = kb_error_set(err, KB_ERR_REMOTE,
                                  "table '%s' took none of %zu items, however often it was asked",
                                  put->d->table.schema.signed_name, put->pending_count);
            kb_error_hint(err, "its write capacity is used up: raise it, or write more slowly");
        } else {
            kb_aws_pause(wait);
        }
    }
    return status;
}

enum kb_status dynamodb_put(struct kb_table *table, const struct kb_bytes *items, size_t n,
                            size_t *bad, struct kb_error *err)
{
    struct dynamodb *d = (struct dynamodb *)table;
    struct put *put;
    enum kb_status status;

    *bad = n;
    status = check_items(d, items, n, bad, err);
    if (status != KB_OK || n == 0)
        return status;
    put = calloc(1, sizeof *put);
    if (!put)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    put->d = d;
    put->items = items;
    put->bad = bad;
    status = list_pending(put, n, err);
    if (status == KB_OK)
        status = run_rounds(put, err);
    if (status == KB_OK)
        d->table.stats.merged += put->merged;
    kb_arena_free(&put->arena);
    free(put);
    return status;
}
