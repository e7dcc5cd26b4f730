/* SPDX-License-Identifier: Apache-2.0
 *
 * Tables in DynamoDB: one item, and walks over many.
 */
#include "table/dynamodb.h"

#include "base/reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- one item -------------------------------------------------------------- */

/* ,"Key":{…} of the key attributes in `key_item`. */
static enum kb_status put_key(struct dynamodb *d, struct kb_bytes key_item, struct kb_error *err)
{
    const struct kb_table_schema *schema = &d->table.schema;
    struct kb_member members[2];
    struct kb_item item, key = {members, 1};
    enum kb_status status;

    kb_buffer_reset(&d->keys);
    kb_arena_reset(&d->arena);
    status = kb_table_encode_asked(&d->keys, schema, key_item, &d->arena, err);
    if (status == KB_OK)
        status = kb_item_parse(&item, key_item, &d->arena, err);
    if (status != KB_OK)
        return status;
    members[0].name = kb_bytes_text(schema->partition.name);
    members[0].value = *kb_item_find(&item, members[0].name);
    if (schema->sort.name[0]) {
        members[1].name = kb_bytes_text(schema->sort.name);
        members[1].value = *kb_item_find(&item, members[1].name);
        key.count = 2;
    }
    kb_buffer_put_text(&d->body, ",\"Key\":");
    kb_item_format(&d->body, &key);
    return KB_OK;
}

static enum kb_status misplaced(const struct dynamodb *d, struct kb_error *err)
{
    kb_error_set(err, KB_ERR_AUTH, "table '%s': an item stands under the key of another",
                 d->table.schema.signed_name);
    kb_error_hint(err, "the server gave an item that it was not asked for");
    return KB_ERR_AUTH;
}

static enum kb_status damaged(const struct dynamodb *d, const struct kb_error *why,
                              struct kb_error *err)
{
    return kb_error_set(err, KB_ERR_INPUT, "table '%s': an item is not one of its items: %s",
                        d->table.schema.signed_name, kb_error_text(why));
}

/* Is it the item of the key that is in `d->keys`? A server could let another
 * item answer for it, which is signed just as well. */
static enum kb_status check_own(struct dynamodb *d, struct kb_bytes item, struct kb_error *err)
{
    struct kb_buffer own = KB_BUFFER_INIT(8 * KB_PARTITION_KEY_MAX);
    struct kb_error why = {0};
    enum kb_status status;

    kb_arena_reset(&d->arena);
    status = kb_table_encode_item(&own, &d->table.schema, item, &d->arena, &why);
    if (status == KB_ERR_INPUT)
        damaged(d, &why, err);
    else if (status != KB_OK)
        kb_error_set(err, status, "%s", kb_error_text(&why));
    else if (!kb_bytes_equal(kb_buffer_view(&own), kb_buffer_view(&d->keys)))
        status = misplaced(d, err);
    kb_buffer_free(&own);
    return status;
}

/* A call on the item with a key; *item is in call->response, or empty, which
 * is KB_ERR_NOT_FOUND. */
static enum kb_status call_on_item(struct dynamodb *d, struct kb_aws_call *call,
                                   struct kb_bytes key, struct kb_bytes *item,
                                   struct kb_error *err)
{
    bool get = strcmp(call->operation, "GetItem") == 0;
    struct kb_error why = {0};
    enum kb_status status;

    kb_buffer_reset(&d->body);
    dynamodb_put_start(&d->body, d->name);
    status = put_key(d, key, err);
    if (status != KB_OK)
        return status;
    kb_buffer_put_text(&d->body, get ? ",\"ConsistentRead\":true}"
                                     : ",\"ReturnValues\":\"ALL_OLD\"}");
    status = kb_buffer_check(&d->body, err);
    if (status != KB_OK)
        return status;
    call->resource = d->resource;
    call->body = kb_buffer_view(&d->body);
    call->response_max = DYNAMODB_ITEMS_MAX;
    status = kb_aws_call_one(d->aws, call, &why);
    if (status != KB_OK)
        return dynamodb_explain(d, status, &why, err);
    kb_arena_reset(&d->arena);
    status = dynamodb_read_item(item, kb_buffer_view(&call->response), get ? "Item" : "Attributes",
                                &d->arena, err);
    if (status == KB_OK && item->size)
        return check_own(d, *item, err);
    /* The first try may have deleted it without our hearing of it. */
    if (status == KB_OK && (get || !call->repeated))
        status = kb_error_set(err, KB_ERR_NOT_FOUND, "no item has this key");
    return status;
}

enum kb_status dynamodb_get(struct kb_table *table, struct kb_bytes key, struct kb_buffer *out,
                            struct kb_error *err)
{
    struct kb_aws_call call = {.operation = "GetItem"};
    struct kb_bytes item;
    enum kb_status status = call_on_item((struct dynamodb *)table, &call, key, &item, err);

    if (status == KB_OK) {
        kb_buffer_put_bytes(out, item);
        status = kb_buffer_check(out, err);
    }
    kb_aws_call_free(&call);
    return status;
}

enum kb_status dynamodb_delete(struct kb_table *table, struct kb_bytes key, struct kb_error *err)
{
    struct kb_aws_call call = {.operation = "DeleteItem"};
    struct kb_bytes item;
    enum kb_status status = call_on_item((struct dynamodb *)table, &call, key, &item, err);

    kb_aws_call_free(&call);
    return status;
}

/* --- walks ----------------------------------------------------------------- */

/* A page on its way or being given out; the next one is under way meanwhile. */
struct leg {
    struct kb_buffer body;
    struct kb_aws_call call;
    struct kb_aws_flight *flight;
    struct kb_arena arena;
};

/* What a query asks for; its items are held against it. */
struct asked {
    struct kb_table_schema keys; /* of the table or of its index */
    struct kb_buffer partition;
    struct kb_table_range range;
    bool ties; /* an index: items may have the same keys */
    bool descending;
    struct kb_buffer item; /* sort key of the last item */
    struct kb_buffer from; /* and of the last place to go on from; both with its length */
};

struct walk {
    struct dynamodb *d;
    const struct kb_table_sink *sink;
    const char *operation;
    struct asked *asked;  /* NULL: a scan */
    struct kb_arena arena; /* of one item */
    struct kb_buffer key;  /* encoded, of one item */
    uint64_t empty; /* pages without an item, in a row */
    char resource[1400];
    struct kb_buffer start; /* the request without what changes and its end */
    struct leg legs[2];
    uint64_t limit, given;
    uint64_t pages, marked; /* the key after page `marked` is kept: */
    struct kb_buffer mark;
};

/* A server that goes round in circles comes back to the key that is kept,
 * which moves on at powers of two. */
static enum kb_status check_circle(struct walk *walk, struct kb_bytes last, struct kb_error *err)
{
    walk->pages++;
    if (walk->empty > DYNAMODB_EMPTY_MAX)
        return kb_error_set(err, KB_ERR_REMOTE,
                            "the server gives page after page of table '%s' without an item",
                            walk->d->table.schema.signed_name);
    if (walk->marked && kb_bytes_equal(last, kb_buffer_view(&walk->mark)))
        return kb_error_set(err, KB_ERR_REMOTE,
                            "the server gives the same page of table '%s' again and again",
                            walk->d->table.schema.signed_name);
    if (walk->marked && walk->pages < walk->marked * 2)
        return KB_OK;
    walk->marked = walk->pages;
    kb_buffer_reset(&walk->mark);
    kb_buffer_put_bytes(&walk->mark, last);
    return kb_buffer_check(&walk->mark, err);
}

/* --- what a query was given ------------------------------------------------ */

static bool in_range(const struct kb_table_range *range, struct kb_bytes sort)
{
    int lower = range->has_lower ? kb_bytes_compare(sort, kb_buffer_view(&range->lower)) : 1;
    int upper = range->has_upper ? kb_bytes_compare(sort, kb_buffer_view(&range->upper)) : -1;

    return (range->lower_open ? lower > 0 : lower >= 0) &&
           (range->upper_open ? upper < 0 : upper <= 0);
}

/* Partition and sort key out of an encoded key. */
static struct kb_bytes read_key(struct kb_bytes *sort, struct kb_bytes key)
{
    struct kb_reader reader = kb_reader_of(key);
    struct kb_bytes partition = kb_reader_lv(&reader);

    *sort = kb_reader_lv(&reader);
    return partition;
}

/* Whether a sort key comes behind `last`, which it then is. */
static bool moves_on(const struct asked *asked, struct kb_buffer *last, struct kb_bytes sort)
{
    if (last->size) {
        struct kb_reader reader = kb_reader_of(kb_buffer_view(last));
        int order = kb_bytes_compare(sort, kb_reader_lv(&reader));

        if (asked->descending ? order > 0 : order < 0)
            return false;
        if (order == 0 && !asked->ties)
            return false;
    }
    kb_buffer_reset(last);
    kb_buffer_put_lv(last, sort);
    return true;
}

/* The place from which a query goes on moves on as its items do. */
static enum kb_status check_from(struct walk *walk, struct kb_bytes from, struct kb_error *err)
{
    struct asked *asked = walk->asked;
    struct kb_bytes sort;
    enum kb_status status;

    if (!asked)
        return KB_OK;
    kb_arena_reset(&walk->arena);
    kb_buffer_reset(&walk->key);
    status = kb_table_encode_item(&walk->key, &asked->keys, from, &walk->arena, NULL);
    if (status == KB_ERR_MEMORY)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory for an answer");
    if (status != KB_OK ||
        !kb_bytes_equal(read_key(&sort, kb_buffer_view(&walk->key)),
                        kb_buffer_view(&asked->partition)) ||
        !moves_on(asked, &asked->from, sort))
        return kb_error_set(err, KB_ERR_REMOTE,
                            "the server goes on with a query of table '%s' from where it cannot be",
                            walk->d->table.schema.signed_name);
    return kb_buffer_check(&asked->from, err);
}

/* Has the item the table's keys, and those that were asked for? */
static enum kb_status check_item(struct walk *walk, struct kb_bytes text, struct kb_error *err)
{
    const struct asked *asked = walk->asked;
    struct kb_bytes partition, sort;
    struct kb_error why = {0};
    struct kb_item item;
    enum kb_status status;

    kb_arena_reset(&walk->arena);
    kb_buffer_reset(&walk->key);
    status = kb_item_parse(&item, text, &walk->arena, &why);
    if (status == KB_OK)
        status = kb_table_encode_parsed(&walk->key, &walk->d->table.schema, &item, &why);
    if (status == KB_OK) {
        kb_buffer_reset(&walk->key);
        status = kb_table_encode_parsed(&walk->key, &asked->keys, &item, &why);
    }
    if (status == KB_ERR_INPUT)
        return damaged(walk->d, &why, err);
    if (status != KB_OK)
        return kb_error_set(err, status, "%s", kb_error_text(&why));
    partition = read_key(&sort, kb_buffer_view(&walk->key));
    return kb_bytes_equal(partition, kb_buffer_view(&asked->partition)) &&
                   in_range(&asked->range, sort)
               ? KB_OK
               : misplaced(walk->d, err);
}

static enum kb_status give_item(struct walk *walk, struct kb_bytes item, struct kb_error *err)
{
    struct asked *asked = walk->asked;
    struct kb_error why = {0};
    struct kb_bytes sort;
    enum kb_status status;

    /* A scan asks for nothing that an item could be held against. */
    if (!asked)
        return walk->sink->item(walk->sink->ctx, item);
    status = check_item(walk, item, &why);
    if (kb_status_is_item(status) && walk->sink->damaged)
        return walk->sink->damaged(walk->sink->ctx, &why);
    if (status != KB_OK) {
        if (err && err->status == KB_OK)
            *err = why;
        return status;
    }
    read_key(&sort, kb_buffer_view(&walk->key));
    if (!moves_on(asked, &asked->item, sort))
        return kb_error_set(err, KB_ERR_AUTH, "table '%s': its items are out of order, or one "
                                              "is there twice",
                            walk->d->table.schema.signed_name);
    status = kb_buffer_check(&asked->item, err);
    return status == KB_OK ? walk->sink->item(walk->sink->ctx, item) : status;
}

/* --- pages ----------------------------------------------------------------- */

static enum kb_status send_leg(struct walk *walk, struct leg *leg, struct kb_bytes from,
                               struct kb_error *err)
{
    uint64_t rest = walk->limit - walk->given;
    enum kb_status status;
    char text[40];

    kb_buffer_reset(&leg->body);
    kb_buffer_put_bytes(&leg->body, kb_buffer_view(&walk->start));
    if (walk->limit) {
        snprintf(text, sizeof text, ",\"Limit\":%llu",
                 (unsigned long long)(rest < INT32_MAX ? rest : INT32_MAX));
        kb_buffer_put_text(&leg->body, text);
    }
    if (from.size) {
        kb_buffer_put_text(&leg->body, ",\"ExclusiveStartKey\":");
        kb_buffer_put_bytes(&leg->body, from);
    }
    kb_buffer_put_u8(&leg->body, '}');
    status = kb_buffer_check(&leg->body, err);
    if (status != KB_OK)
        return status;
    leg->call = (struct kb_aws_call){
        .operation = walk->operation,
        .resource = walk->resource,
        .body = kb_buffer_view(&leg->body),
        .response_max = DYNAMODB_ITEMS_MAX,
    };
    return kb_aws_begin(&leg->flight, walk->d->aws, &leg->call, 1, err);
}

static enum kb_status take_leg(struct walk *walk, struct leg *leg, struct dynamodb_page *page,
                               struct kb_error *err)
{
    struct kb_error why = {0};
    enum kb_status status = kb_aws_finish(leg->flight, &why);

    leg->flight = NULL;
    if (status == KB_OK) {
        status = leg->call.status;
        why = leg->call.error;
    }
    if (status != KB_OK)
        return dynamodb_explain(walk->d, status, &why, err);
    kb_arena_reset(&leg->arena);
    return dynamodb_read_page(page, kb_buffer_view(&leg->call.response), &leg->arena, err);
}

static enum kb_status run_walk(struct walk *walk, struct kb_error *err)
{
    const struct kb_bytes nothing = {NULL, 0};
    enum kb_status status = send_leg(walk, &walk->legs[0], nothing, err);
    bool more = true;

    for (size_t turn = 0; status == KB_OK && more; turn ^= 1) {
        struct leg *leg = &walk->legs[turn];
        struct dynamodb_page page;

        status = take_leg(walk, leg, &page, err);
        if (status != KB_OK)
            break;
        if (walk->limit && page.count > walk->limit - walk->given)
            page.count = (size_t)(walk->limit - walk->given);
        walk->given += page.count;
        walk->empty = page.count ? 0 : walk->empty + 1;
        more = page.last.size && (!walk->limit || walk->given < walk->limit);
        if (more)
            status = check_circle(walk, page.last, err);
        if (more && status == KB_OK)
            status = check_from(walk, page.last, err);
        if (more && status == KB_OK)
            status = send_leg(walk, &walk->legs[turn ^ 1], page.last, err);
        for (size_t i = 0; status == KB_OK && i < page.count; i++)
            status = give_item(walk, page.items[i], err);
        kb_aws_call_free(&leg->call);
    }
    return status;
}

static enum kb_status new_walk(struct walk **out, struct dynamodb *d,
                               const struct kb_table_sink *sink, uint64_t limit,
                               struct kb_error *err)
{
    struct walk *walk = calloc(1, sizeof *walk);

    if (!walk)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    walk->d = d;
    walk->sink = sink;
    walk->operation = "Scan";
    walk->limit = limit;
    walk->start = walk->mark = walk->legs[0].body = walk->legs[1].body =
        (struct kb_buffer)KB_BUFFER_INIT(1024 * 1024);
    walk->key = (struct kb_buffer)KB_BUFFER_INIT(8 * KB_PARTITION_KEY_MAX);
    snprintf(walk->resource, sizeof walk->resource, "%s", d->resource);
    *out = walk;
    return KB_OK;
}

static void free_walk(struct walk *walk)
{
    for (size_t i = 0; i < 2; i++) {
        struct leg *leg = &walk->legs[i];

        if (leg->flight)
            kb_aws_abandon(leg->flight);
        kb_aws_call_free(&leg->call);
        kb_buffer_free(&leg->body);
        kb_arena_free(&leg->arena);
    }
    kb_buffer_free(&walk->start);
    kb_buffer_free(&walk->mark);
    kb_buffer_free(&walk->key);
    kb_arena_free(&walk->arena);
    free(walk);
}

enum kb_status dynamodb_scan(struct kb_table *table, uint64_t limit,
                             const struct kb_table_sink *sink, struct kb_error *err)
{
    struct dynamodb *d = (struct dynamodb *)table;
    struct walk *walk;
    enum kb_status status = new_walk(&walk, d, sink, limit, err);

    if (status != KB_OK)
        return status;
    dynamodb_put_start(&walk->start, d->name);
    kb_buffer_put_text(&walk->start, ",\"ConsistentRead\":true");
    status = run_walk(walk, err);
    free_walk(walk);
    return status;
}

static const struct kb_table_index *find_index(const struct kb_table_schema *schema,
                                               const char *name)
{
    for (size_t i = 0; i < schema->index_count; i++)
        if (strcmp(schema->indexes[i].name, name) == 0)
            return &schema->indexes[i];
    return NULL;
}

/* The same rules as in a file, whatever the server would take. */
static enum kb_status ask(struct asked *asked, const struct kb_table_query *query,
                          struct kb_error *err)
{
    enum kb_status status;

    asked->partition = asked->item = asked->from =
        (struct kb_buffer)KB_BUFFER_INIT(2 * KB_PARTITION_KEY_MAX);
    asked->descending = query->descending;
    status = kb_table_range_of(&asked->range, &asked->keys.sort, query, err);
    if (status == KB_OK)
        status = kb_table_encode_text(&asked->partition, &asked->keys.partition,
                                      KB_PARTITION_KEY_MAX, query->partition, err);
    return status;
}

static void free_asked(struct asked *asked)
{
    kb_table_range_free(&asked->range);
    kb_buffer_free(&asked->partition);
    kb_buffer_free(&asked->item);
    kb_buffer_free(&asked->from);
}

static enum kb_status run_query(struct dynamodb *d, struct asked *asked,
                                const struct kb_table_index *index,
                                const struct kb_table_query *query,
                                const struct kb_table_sink *sink, struct kb_error *err)
{
    struct walk *walk;
    enum kb_status status = new_walk(&walk, d, sink, query->limit, err);

    if (status != KB_OK)
        return status;
    walk->operation = "Query";
    walk->asked = asked;
    dynamodb_put_query(&walk->start, d->name, &asked->keys.partition, &asked->keys.sort, query);
    /* Global indexes are written behind the table and cannot be asked for
     * what is in it now. */
    if (!index || index->local)
        kb_buffer_put_text(&walk->start, ",\"ConsistentRead\":true");
    if (index)
        snprintf(walk->resource, sizeof walk->resource, "%s/index/%s", d->resource, index->name);
    status = run_walk(walk, err);
    free_walk(walk);
    return status;
}

enum kb_status dynamodb_query(struct kb_table *table, const struct kb_table_query *query,
                              const struct kb_table_sink *sink, struct kb_error *err)
{
    const struct kb_table_index *index = NULL;
    struct asked asked = {.keys = table->schema};
    enum kb_status status;

    if (query->index) {
        index = find_index(&table->schema, query->index);
        if (!index)
            return kb_error_set(err, KB_ERR_NOT_FOUND, "table '%s' has no index '%s'",
                                table->schema.signed_name, query->index);
        asked.keys.partition = index->partition;
        asked.keys.sort = index->sort;
        asked.ties = true;
    }
    status = ask(&asked, query, err);
    if (status == KB_OK)
        status = run_query((struct dynamodb *)table, &asked, index, query, sink, err);
    free_asked(&asked);
    return status;
}
