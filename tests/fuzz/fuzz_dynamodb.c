/* SPDX-License-Identifier: Apache-2.0
 *
 * What a server says it is DynamoDB answers: refused, or cut into values that
 * lie within the answer and are well-formed by themselves.
 */
#include "attr/json.h"
#include "table/dynamodb.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool truth)
{
    if (!truth)
        abort();
}

static void check_value(struct kb_bytes value, struct kb_bytes answer, struct kb_arena *arena)
{
    struct kb_json json;
    struct kb_bytes again;

    demand(value.data >= answer.data && value.size > 0);
    demand(value.data + value.size <= answer.data + answer.size);
    kb_json_open(&json, value, arena);
    demand(kb_json_value(&json, &again) && kb_json_close(&json));
    demand(kb_bytes_equal(value, again));
}

static void check_status(enum kb_status status, const struct kb_error *err)
{
    demand(status == KB_OK || (status == KB_ERR_REMOTE && err->text[0]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct dynamodb_description description;
    struct kb_bytes answer = {data, size}, item;
    struct kb_arena arena = KB_ARENA_INIT;
    struct dynamodb_page page;
    struct kb_error err = {0};
    enum kb_status status = dynamodb_read_page(&page, answer, &arena, &err);

    check_status(status, &err);
    for (size_t i = 0; status == KB_OK && i < page.count; i++)
        check_value(page.items[i], answer, &arena);
    if (status == KB_OK && page.last.size)
        check_value(page.last, answer, &arena);
    kb_error_clear(&err);
    status = dynamodb_read_unprocessed(&page, answer, &arena, &err);
    check_status(status, &err);
    for (size_t i = 0; status == KB_OK && i < page.count; i++)
        check_value(page.items[i], answer, &arena);
    kb_error_clear(&err);
    status = dynamodb_read_item(&item, answer, "Item", &arena, &err);
    check_status(status, &err);
    if (status == KB_OK && item.size)
        check_value(item, answer, &arena);
    kb_error_clear(&err);
    status = dynamodb_read_description(&description, answer, &arena, &err);
    check_status(status, &err);
    if (status == KB_OK)
        demand(description.schema.partition.name[0] && description.schema.signed_name[0] &&
               description.schema.index_count <= KB_TABLE_INDEXES_MAX);
    kb_arena_free(&arena);
    return 0;
}
