/* SPDX-License-Identifier: Apache-2.0
 *
 * Tables in DynamoDB: the JSON of requests and answers.
 */
#include "table/dynamodb.h"

#include "attr/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- answers --------------------------------------------------------------- */

static enum kb_status refuse(const struct kb_json *json, struct kb_error *err)
{
    if (json->no_memory)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory for an answer");
    return kb_error_set(err, KB_ERR_REMOTE,
                        "the server's answer is not what DynamoDB sends: %s (byte %zu)",
                        json->problem ? json->problem : "it lacks a part", json->offset);
}

static enum kb_status refuse_lacking(const char *part, struct kb_error *err)
{
    return kb_error_set(err, KB_ERR_REMOTE,
                        "the server's answer is not what DynamoDB sends: it has no %s", part);
}

/* Values of the members of a whole answer that have one of the names, which
 * end with a NULL. */
static enum kb_status read_members(struct kb_bytes *values, const char *const *names,
                                   struct kb_bytes answer, struct kb_arena *arena,
                                   struct kb_error *err)
{
    struct kb_json json;
    struct kb_bytes name, value;

    for (size_t i = 0; names[i]; i++)
        values[i] = (struct kb_bytes){NULL, 0};
    kb_json_open(&json, answer, arena);
    if (!kb_json_expect(&json, '{', "a JSON object is expected"))
        return refuse(&json, err);
    for (size_t count = 0; kb_json_next(&json, count, &name); count++) {
        if (!kb_json_value(&json, &value))
            break;
        for (size_t i = 0; names[i]; i++) {
            if (!kb_bytes_equal(name, kb_bytes_text(names[i])))
                continue;
            if (values[i].size)
                kb_json_fail(&json, json.next, "a member is there twice");
            values[i] = value;
        }
    }
    return kb_json_close(&json) ? KB_OK : refuse(&json, err);
}

/* Appends the values of an array to a page. */
static enum kb_status read_array(struct dynamodb_page *out, struct kb_bytes array,
                                 struct kb_arena *arena, struct kb_error *err)
{
    struct kb_json json;
    size_t room = out->count, count = 0;

    kb_json_open(&json, array, arena);
    if (!kb_json_expect(&json, '[', "an array is expected"))
        return refuse(&json, err);
    for (; kb_json_more(&json, count, ']'); count++) {
        if (out->count == room) {
            struct kb_bytes *more = kb_arena_array(arena, room * 2 + 32, sizeof *more);

            if (!more)
                return kb_error_set(err, KB_ERR_MEMORY, "no memory for an answer");
            if (out->count)
                memcpy(more, out->items, out->count * sizeof *more);
            out->items = more;
            room = room * 2 + 32;
        }
        if (!kb_json_value(&json, &out->items[out->count]))
            break;
        out->count++;
    }
    return kb_json_close(&json) ? KB_OK : refuse(&json, err);
}

static bool same_number(struct kb_bytes value, size_t number)
{
    char text[32];

    snprintf(text, sizeof text, "%zu", number);
    return kb_bytes_equal(value, kb_bytes_text(text));
}

static bool is_object(struct kb_bytes value)
{
    return value.size && value.data[0] == '{';
}

enum kb_status dynamodb_read_page(struct dynamodb_page *out, struct kb_bytes answer,
                                  struct kb_arena *arena, struct kb_error *err)
{
    static const char *const names[] = {"Items", "Count", "LastEvaluatedKey", NULL};
    struct kb_bytes values[3];
    enum kb_status status = read_members(values, names, answer, arena, err);

    *out = (struct dynamodb_page){.count = 0};
    if (status == KB_OK && !values[0].size)
        return refuse_lacking("Items", err);
    if (status == KB_OK)
        status = read_array(out, values[0], arena, err);
    if (status == KB_OK && values[1].size && !same_number(values[1], out->count))
        return kb_error_set(err, KB_ERR_REMOTE,
                            "the server's answer has %zu items and says %.*s", out->count,
                            values[1].size < 20 ? (int)values[1].size : 20, values[1].data);
    if (status == KB_OK && is_object(values[2]))
        out->last = values[2];
    else if (status == KB_OK && values[2].size && values[2].data[0] != 'n')
        return refuse_lacking("key to go on from", err);
    return status;
}

enum kb_status dynamodb_read_unprocessed(struct dynamodb_page *out, struct kb_bytes answer,
                                         struct kb_arena *arena, struct kb_error *err)
{
    static const char *const names[] = {"UnprocessedItems", NULL};
    struct kb_bytes tables, name, requests;
    struct kb_json json;
    enum kb_status status = read_members(&tables, names, answer, arena, err);

    *out = (struct dynamodb_page){.count = 0};
    if (status != KB_OK)
        return status;
    /* Without it nobody knows what was put. */
    if (!is_object(tables))
        return refuse_lacking("UnprocessedItems", err);
    kb_json_open(&json, tables, arena);
    kb_json_expect(&json, '{', "a JSON object is expected");
    for (size_t count = 0; status == KB_OK && kb_json_next(&json, count, &name); count++)
        if (kb_json_value(&json, &requests))
            status = read_array(out, requests, arena, err);
    for (size_t i = 0; status == KB_OK && i < out->count; i++) {
        out->items[i] =
            kb_json_find(kb_json_find(out->items[i], "PutRequest", arena), "Item", arena);
        if (!is_object(out->items[i]))
            status = refuse_lacking("Item in what it did not process", err);
    }
    return status;
}

enum kb_status dynamodb_read_item(struct kb_bytes *out, struct kb_bytes answer, const char *name,
                                  struct kb_arena *arena, struct kb_error *err)
{
    const char *const names[] = {name, NULL};
    enum kb_status status = read_members(out, names, answer, arena, err);

    if (status == KB_OK && out->size && !is_object(*out))
        *out = (struct kb_bytes){NULL, 0}; /* null: none */
    return status;
}

/* --- DescribeTable --------------------------------------------------------- */

static uint64_t read_number(struct kb_bytes value)
{
    uint64_t number = 0;

    for (size_t i = 0; i < value.size && value.data[i] >= '0' && value.data[i] <= '9'; i++)
        number = number > UINT64_MAX / 10 - 1 ? number : number * 10 + (value.data[i] - '0');
    return number;
}

/* The type of an attribute, out of AttributeDefinitions; 0 when it is not there. */
static char type_of(const struct dynamodb_page *definitions, const char *name,
                    struct kb_arena *arena)
{
    struct kb_table_key key;
    char type[4];

    for (size_t i = 0; i < definitions->count; i++) {
        struct kb_bytes one = definitions->items[i];

        if (kb_json_copy(key.name, sizeof key.name, kb_json_find(one, "AttributeName", arena),
                         arena) &&
            strcmp(key.name, name) == 0 &&
            kb_json_copy(type, sizeof type, kb_json_find(one, "AttributeType", arena), arena) &&
            (strcmp(type, "S") == 0 || strcmp(type, "N") == 0 || strcmp(type, "B") == 0))
            return type[0];
    }
    return 0;
}

static enum kb_status read_keys(struct kb_table_key *partition, struct kb_table_key *sort,
                                struct kb_bytes owner, const struct dynamodb_page *definitions,
                                struct kb_arena *arena, struct kb_error *err)
{
    struct dynamodb_page elements = {.count = 0};
    enum kb_status status =
        read_array(&elements, kb_json_find(owner, "KeySchema", arena), arena, err);

    memset(partition, 0, sizeof *partition);
    memset(sort, 0, sizeof *sort);
    for (size_t i = 0; status == KB_OK && i < elements.count; i++) {
        struct kb_table_key *key;
        char role[8];

        if (!kb_json_copy(role, sizeof role, kb_json_find(elements.items[i], "KeyType", arena),
                          arena))
            return refuse_lacking("type of a key", err);
        key = strcmp(role, "HASH") == 0 ? partition : sort;
        if (!kb_json_copy(key->name, sizeof key->name,
                          kb_json_find(elements.items[i], "AttributeName", arena), arena))
            return refuse_lacking("name of a key", err);
        key->type = type_of(definitions, key->name, arena);
        if (!key->type)
            return refuse_lacking("type of a key attribute", err);
    }
    if (status == KB_OK && !partition->name[0])
        return refuse_lacking("partition key", err);
    return status;
}

static enum kb_status read_indexes(struct dynamodb_description *out, struct kb_bytes list,
                                   bool local, const struct dynamodb_page *definitions,
                                   struct kb_arena *arena, struct kb_error *err)
{
    struct dynamodb_page indexes = {.count = 0};
    enum kb_status status = list.size && list.data[0] == '['
                                ? read_array(&indexes, list, arena, err)
                                : KB_OK;

    for (size_t i = 0; status == KB_OK && i < indexes.count &&
                       out->schema.index_count < KB_TABLE_INDEXES_MAX; i++) {
        struct kb_table_index *index = &out->indexes[out->schema.index_count];
        char state[32];

        /* One being deleted has no say in what an item may be. */
        kb_json_copy(state, sizeof state, kb_json_find(indexes.items[i], "IndexStatus", arena),
                     arena);
        if (strcmp(state, "DELETING") == 0)
            continue;
        index->local = local;
        if (!kb_json_copy(index->name, sizeof index->name,
                          kb_json_find(indexes.items[i], "IndexName", arena), arena))
            return refuse_lacking("name of an index", err);
        status = read_keys(&index->partition, &index->sort, indexes.items[i], definitions, arena,
                           err);
        out->schema.index_count++;
    }
    return status;
}

static void read_info(struct dynamodb_description *out, struct kb_bytes table,
                      struct kb_arena *arena)
{
    struct kb_table_info *info = &out->info;
    struct kb_bytes sse = kb_json_find(table, "SSEDescription", arena);
    char type[16];

    info->items = read_number(kb_json_find(table, "ItemCount", arena));
    info->bytes = read_number(kb_json_find(table, "TableSizeBytes", arena));
    kb_json_copy(info->arn, sizeof info->arn, kb_json_find(table, "TableArn", arena), arena);
    kb_json_copy(info->billing, sizeof info->billing,
                 kb_json_find(kb_json_find(table, "BillingModeSummary", arena), "BillingMode",
                              arena),
                 arena);
    /* A table that was always provisioned says nothing. */
    if (!info->billing[0])
        snprintf(info->billing, sizeof info->billing, "PROVISIONED");
    kb_json_copy(out->sse_status, sizeof out->sse_status, kb_json_find(sse, "Status", arena),
                 arena);
    kb_json_copy(type, sizeof type, kb_json_find(sse, "SSEType", arena), arena);
    kb_json_copy(info->sse_kms_key, sizeof info->sse_kms_key,
                 kb_json_find(sse, "KMSMasterKeyArn", arena), arena);
    if (strcmp(out->sse_status, "DISABLED") == 0 || !is_object(sse))
        info->sse = KB_SSE_OWNED;
    else if (strcmp(type, "KMS") == 0 && info->sse_kms_key[0])
        info->sse = KB_SSE_KMS;
    else
        info->sse = KB_SSE_AWS;
}

enum kb_status dynamodb_read_description(struct dynamodb_description *out, struct kb_bytes answer,
                                         struct kb_arena *arena, struct kb_error *err)
{
    static const char *const names[] = {"Table", NULL};
    struct dynamodb_page definitions = {.count = 0};
    struct kb_table_schema *schema = &out->schema;
    struct kb_bytes table;
    enum kb_status status = read_members(&table, names, answer, arena, err);

    memset(out, 0, sizeof *out);
    if (status == KB_OK &&
        (!kb_json_copy(schema->signed_name, sizeof schema->signed_name,
                       kb_json_find(table, "TableName", arena), arena) ||
         !kb_json_copy(out->info.status, sizeof out->info.status,
                       kb_json_find(table, "TableStatus", arena), arena)))
        return refuse_lacking("name and status of the table", err);
    if (status == KB_OK)
        status = read_array(&definitions, kb_json_find(table, "AttributeDefinitions", arena),
                            arena, err);
    if (status == KB_OK)
        status = read_keys(&schema->partition, &schema->sort, table, &definitions, arena, err);
    if (status == KB_OK)
        status = read_indexes(out, kb_json_find(table, "GlobalSecondaryIndexes", arena), false,
                              &definitions, arena, err);
    if (status == KB_OK)
        status = read_indexes(out, kb_json_find(table, "LocalSecondaryIndexes", arena), true,
                              &definitions, arena, err);
    schema->indexes = out->indexes;
    if (status == KB_OK)
        read_info(out, table, arena);
    return status;
}

/* --- requests -------------------------------------------------------------- */

void dynamodb_put_start(struct kb_buffer *out, const char *table)
{
    kb_buffer_put_text(out, "{\"TableName\":");
    kb_json_put_text(out, kb_bytes_text(table));
}

void dynamodb_put_member(struct kb_buffer *out, const char *name, const char *text)
{
    kb_buffer_put_u8(out, ',');
    kb_json_put_text(out, kb_bytes_text(name));
    kb_buffer_put_u8(out, ':');
    kb_json_put_text(out, kb_bytes_text(text));
}

void dynamodb_put_sse(struct kb_buffer *out, const struct kb_table_options *options, bool creating)
{
    if (options->sse == KB_SSE_OWNED) {
        if (!creating)
            kb_buffer_put_text(out, ",\"SSESpecification\":{\"Enabled\":false}");
        return;
    }
    kb_buffer_put_text(out, ",\"SSESpecification\":{\"Enabled\":true,\"SSEType\":\"KMS\"");
    if (options->sse == KB_SSE_KMS)
        dynamodb_put_member(out, "KMSMasterKeyId", options->sse_kms_key);
    kb_buffer_put_u8(out, '}');
}

/* --- CreateTable ----------------------------------------------------------- */

static void put_units(struct kb_buffer *out, const struct kb_table_options *options)
{
    char text[120];

    if (!options->read_units)
        return;
    snprintf(text, sizeof text,
             ",\"ProvisionedThroughput\":{\"ReadCapacityUnits\":%llu,\"WriteCapacityUnits\":%llu}",
             (unsigned long long)options->read_units, (unsigned long long)options->write_units);
    kb_buffer_put_text(out, text);
}

static void put_key_schema(struct kb_buffer *out, const struct kb_table_key *partition,
                           const struct kb_table_key *sort)
{
    kb_buffer_put_text(out, ",\"KeySchema\":[{\"KeyType\":\"HASH\"");
    dynamodb_put_member(out, "AttributeName", partition->name);
    if (sort->name[0]) {
        kb_buffer_put_text(out, "},{\"KeyType\":\"RANGE\"");
        dynamodb_put_member(out, "AttributeName", sort->name);
    }
    kb_buffer_put_text(out, "}]");
}

/* The i-th key attribute of table and indexes; NULL behind the last. */
static const struct kb_table_key *key_at(const struct kb_table_schema *schema, size_t i)
{
    const struct kb_table_index *index;

    if (i < 2)
        return i ? &schema->sort : &schema->partition;
    if (i / 2 > schema->index_count)
        return NULL;
    index = &schema->indexes[i / 2 - 1];
    return i % 2 ? &index->sort : &index->partition;
}

/* Every key attribute once. */
static enum kb_status put_definitions(struct kb_buffer *out, const struct kb_table_schema *schema,
                                      struct kb_error *err)
{
    const struct kb_table_key *key, *before;
    bool first = true;

    kb_buffer_put_text(out, ",\"AttributeDefinitions\":[");
    for (size_t i = 0; (key = key_at(schema, i)) != NULL; i++) {
        char type[2] = {key->type, 0};
        bool known = !key->name[0];

        for (size_t j = 0; !known && j < i; j++) {
            before = key_at(schema, j);
            known = strcmp(before->name, key->name) == 0;
            if (known && before->type != key->type)
                return kb_error_set(err, KB_ERR_USAGE,
                                    "key attribute '%s' cannot be of type %c and of type %c",
                                    key->name, before->type, key->type);
        }
        if (known)
            continue;
        kb_buffer_put_text(out, first ? "{\"AttributeType\":" : ",{\"AttributeType\":");
        kb_json_put_text(out, kb_bytes_text(type));
        dynamodb_put_member(out, "AttributeName", key->name);
        kb_buffer_put_u8(out, '}');
        first = false;
    }
    kb_buffer_put_u8(out, ']');
    return KB_OK;
}

static void put_indexes(struct kb_buffer *out, const struct kb_table_schema *schema, bool local,
                        const struct kb_table_options *options)
{
    bool first = true;

    for (size_t i = 0; i < schema->index_count; i++) {
        const struct kb_table_index *index = &schema->indexes[i];

        if (index->local != local)
            continue;
        kb_buffer_put_text(out, !first ? ","
                                : local ? ",\"LocalSecondaryIndexes\":["
                                        : ",\"GlobalSecondaryIndexes\":[");
        first = false;
        kb_buffer_put_text(out, "{\"Projection\":{\"ProjectionType\":\"ALL\"}");
        dynamodb_put_member(out, "IndexName", index->name);
        put_key_schema(out, &index->partition, &index->sort);
        if (!local)
            put_units(out, options);
        kb_buffer_put_u8(out, '}');
    }
    if (!first)
        kb_buffer_put_u8(out, ']');
}

enum kb_status dynamodb_put_create(struct kb_buffer *out, const char *table,
                                   const struct kb_table_schema *schema,
                                   const struct kb_table_options *options, struct kb_error *err)
{
    enum kb_status status;

    dynamodb_put_start(out, table);
    dynamodb_put_member(out, "BillingMode", options->read_units ? "PROVISIONED"
                                                                : "PAY_PER_REQUEST");
    put_units(out, options);
    put_key_schema(out, &schema->partition, &schema->sort);
    status = put_definitions(out, schema, err);
    put_indexes(out, schema, false, options);
    put_indexes(out, schema, true, options);
    dynamodb_put_sse(out, options, true);
    kb_buffer_put_u8(out, '}');
    return status == KB_OK ? kb_buffer_check(out, err) : status;
}

/* --- Query ----------------------------------------------------------------- */

/* ":p":{"S":"…"} */
static void put_value(struct kb_buffer *out, const char *before, char type, const char *text)
{
    kb_buffer_put_text(out, before);
    kb_buffer_put_text(out, ":{\"");
    kb_buffer_put_u8(out, (uint8_t)type);
    kb_buffer_put_text(out, "\":");
    kb_json_put_text(out, kb_bytes_text(text));
    kb_buffer_put_u8(out, '}');
}

void dynamodb_put_query(struct kb_buffer *out, const char *table,
                        const struct kb_table_key *partition, const struct kb_table_key *sort,
                        const struct kb_table_query *query)
{
    static const char *const conditions[] = {
        [KB_SORT_ANY] = "#p = :p",
        [KB_SORT_EQUAL] = "#p = :p AND #s = :a",
        [KB_SORT_LESS] = "#p = :p AND #s < :a",
        [KB_SORT_LESS_EQUAL] = "#p = :p AND #s <= :a",
        [KB_SORT_GREATER] = "#p = :p AND #s > :a",
        [KB_SORT_GREATER_EQUAL] = "#p = :p AND #s >= :a",
        [KB_SORT_BETWEEN] = "#p = :p AND #s BETWEEN :a AND :b",
        [KB_SORT_BEGINS] = "#p = :p AND begins_with(#s, :a)",
    };

    dynamodb_put_start(out, table);
    if (query->index)
        dynamodb_put_member(out, "IndexName", query->index);
    dynamodb_put_member(out, "KeyConditionExpression", conditions[query->op]);
    kb_buffer_put_text(out, ",\"ExpressionAttributeNames\":{\"#p\":");
    kb_json_put_text(out, kb_bytes_text(partition->name));
    if (query->op != KB_SORT_ANY)
        dynamodb_put_member(out, "#s", sort->name);
    put_value(out, "},\"ExpressionAttributeValues\":{\":p\"", partition->type, query->partition);
    if (query->op != KB_SORT_ANY)
        put_value(out, ",\":a\"", sort->type, query->sort_a);
    if (query->op == KB_SORT_BETWEEN)
        put_value(out, ",\":b\"", sort->type, query->sort_b);
    kb_buffer_put_text(out, query->descending ? "},\"ScanIndexForward\":false" : "}");
}
