/* SPDX-License-Identifier: Apache-2.0
 *
 * Key attributes as bytes that sort as DynamoDB sorts the values.
 */
#include "table/table.h"

#include "attr/attr.h"
#include "base/reader.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

static enum kb_attr_type attr_type(char type)
{
    return type == 'N' ? KB_ATTR_N : type == 'B' ? KB_ATTR_B : KB_ATTR_S;
}

static enum kb_status check_size(const struct kb_table_key *key, size_t size, size_t max,
                                 enum kb_status refusal, struct kb_error *err)
{
    if (size == 0)
        return kb_error_set(err, refusal, "key attribute '%s' is empty", key->name);
    if (size > max)
        return kb_error_set(err, refusal, "key attribute '%s' has %zu bytes, DynamoDB takes %zu",
                            key->name, size, max);
    return KB_OK;
}

static enum kb_status encode_number(struct kb_buffer *out, const struct kb_table_key *key,
                                    struct kb_bytes text, enum kb_status refusal,
                                    struct kb_error *err)
{
    char canonical[KB_NUMBER_TEXT_MAX];
    size_t size;

    if (!kb_number_canonical(canonical, &size, text, true))
        return kb_error_set(err, refusal,
                            "key attribute '%s': '%.*s' is not a number DynamoDB takes", key->name,
                            text.size < 60 ? (int)text.size : 60,
                            text.size ? (const char *)text.data : "");
    kb_number_sort_key(out, (struct kb_bytes){(const uint8_t *)canonical, size});
    return kb_buffer_check(out, err);
}

/* `value` is text for S and N, raw bytes for B. */
static enum kb_status encode_value(struct kb_buffer *out, const struct kb_table_key *key,
                                   struct kb_bytes value, size_t max, enum kb_status refusal,
                                   struct kb_error *err)
{
    enum kb_status status;

    if (key->type == 'N')
        return encode_number(out, key, value, refusal, err);
    status = check_size(key, value.size, max, refusal, err);
    if (status != KB_OK)
        return status;
    kb_buffer_put_bytes(out, value);
    return kb_buffer_check(out, err);
}

/* --- of an item ------------------------------------------------------------ */

static enum kb_status encode_member(struct kb_buffer *out, const struct kb_table_key *key,
                                    const struct kb_item *item, size_t max, struct kb_error *err)
{
    const struct kb_attr *value = kb_item_find(item, kb_bytes_text(key->name));
    size_t start = out->size;
    enum kb_status status;
    size_t size;

    if (!value)
        return kb_error_set(err, KB_ERR_INPUT, "the item has no key attribute '%s'", key->name);
    if (value->type != attr_type(key->type))
        return kb_error_set(err, KB_ERR_INPUT,
                            "key attribute '%s' is of type %s, the table wants %c", key->name,
                            kb_attr_type_format(value->type), key->type);
    kb_buffer_put_u32(out, 0);
    status = encode_value(out, key, value->bytes, max, KB_ERR_INPUT, err);
    if (status != KB_OK)
        return status;
    size = out->size - start - 4;
    out->data[start + 2] = (uint8_t)(size >> 8);
    out->data[start + 3] = (uint8_t)size;
    return KB_OK;
}

enum kb_status kb_table_encode_parsed(struct kb_buffer *out, const struct kb_table_schema *schema,
                                      const struct kb_item *item, struct kb_error *err)
{
    enum kb_status status = kb_item_check_names(item, err);

    if (status == KB_OK)
        status = encode_member(out, &schema->partition, item, KB_PARTITION_KEY_MAX, err);
    if (status != KB_OK)
        return status;
    if (schema->sort.name[0])
        return encode_member(out, &schema->sort, item, KB_SORT_KEY_MAX, err);
    kb_buffer_put_u32(out, 0);
    return kb_buffer_check(out, err);
}

enum kb_status kb_table_encode_item(struct kb_buffer *out, const struct kb_table_schema *schema,
                                    struct kb_bytes item, struct kb_arena *arena,
                                    struct kb_error *err)
{
    struct kb_item parsed;
    enum kb_status status = kb_item_parse(&parsed, item, arena, err);

    return status == KB_OK ? kb_table_encode_parsed(out, schema, &parsed, err) : status;
}

enum kb_status kb_table_encode_asked(struct kb_buffer *out, const struct kb_table_schema *schema,
                                     struct kb_bytes item, struct kb_arena *arena,
                                     struct kb_error *err)
{
    struct kb_error why = {0};
    enum kb_status status = kb_table_encode_item(out, schema, item, arena, &why);

    if (status == KB_ERR_INPUT)
        return kb_error_set(err, KB_ERR_USAGE, "the key: %s", kb_error_text(&why));
    if (status != KB_OK && err && err->status == KB_OK)
        *err = why;
    return status;
}

static enum kb_status check_index_key(const struct kb_table_index *index,
                                      const struct kb_table_key *key, size_t max,
                                      const struct kb_item *item, struct kb_error *err)
{
    const struct kb_attr *value =
        key->name[0] ? kb_item_find(item, kb_bytes_text(key->name)) : NULL;

    if (!value)
        return KB_OK;
    if (value->type != attr_type(key->type))
        return kb_error_set(err, KB_ERR_INPUT,
                            "attribute '%s' is of type %s, index '%s' wants %c", key->name,
                            kb_attr_type_format(value->type), index->name, key->type);
    return key->type == 'N' ? KB_OK : check_size(key, value->bytes.size, max, KB_ERR_INPUT, err);
}

enum kb_status kb_table_check_indexes(const struct kb_table_schema *schema,
                                      const struct kb_item *item, struct kb_error *err)
{
    enum kb_status status = KB_OK;

    for (size_t i = 0; status == KB_OK && i < schema->index_count; i++) {
        const struct kb_table_index *index = &schema->indexes[i];

        status = check_index_key(index, &index->partition, KB_PARTITION_KEY_MAX, item, err);
        if (status == KB_OK)
            status = check_index_key(index, &index->sort, KB_SORT_KEY_MAX, item, err);
    }
    return status;
}

/* --- of one call ----------------------------------------------------------- */

struct place {
    struct kb_bytes key;
    size_t index;
};

static int compare_places(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    int order = kb_bytes_compare(x->key, y->key);

    return order ? order : x->index < y->index ? -1 : x->index > y->index;
}

enum kb_status kb_table_merge(bool *out, size_t *merged, struct kb_bytes keys, size_t n,
                              struct kb_arena *arena, struct kb_error *err)
{
    struct place *places = kb_arena_array(arena, n, sizeof *places);
    struct kb_reader reader = kb_reader_of(keys);

    *merged = 0;
    if (!places)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    for (size_t i = 0; i < n; i++) {
        places[i] = (struct place){{reader.next, 0}, i};
        kb_reader_lv(&reader);
        kb_reader_lv(&reader);
        places[i].key.size = (size_t)(reader.next - places[i].key.data);
        out[i] = true;
    }
    qsort(places, n, sizeof *places, compare_places);
    for (size_t i = 1; i < n; i++)
        if (kb_bytes_equal(places[i - 1].key, places[i].key)) {
            out[places[i - 1].index] = false;
            ++*merged;
        }
    return KB_OK;
}

/* --- of a query ------------------------------------------------------------ */

enum kb_status kb_table_encode_text(struct kb_buffer *out, const struct kb_table_key *key,
                                    size_t max, const char *text, struct kb_error *err)
{
    struct kb_buffer raw = KB_BUFFER_INIT(KB_PARTITION_KEY_MAX * 2);
    struct kb_bytes value = kb_bytes_text(text);
    enum kb_status status;

    if (!text)
        return kb_error_set(err, KB_ERR_USAGE, "the query gives no value for '%s'", key->name);
    if (key->type == 'S' && !kb_utf8_valid(value))
        return kb_error_set(err, KB_ERR_USAGE, "the value for '%s' is not UTF-8", key->name);
    if (key->type == 'B') {
        if (!kb_base64_parse(&raw, value)) {
            kb_buffer_free(&raw);
            return kb_error_set(err, KB_ERR_USAGE, "the value for '%s' is not base64 of a key",
                                key->name);
        }
        value = kb_buffer_view(&raw);
    }
    status = encode_value(out, key, value, max, KB_ERR_USAGE, err);
    kb_buffer_free(&raw);
    return status;
}

/* The least value above everything that begins with `prefix`; false when there
 * is none. */
static bool successor(struct kb_buffer *out, struct kb_bytes prefix)
{
    while (prefix.size && prefix.data[prefix.size - 1] == 0xff)
        prefix.size--;
    kb_buffer_put_bytes(out, prefix);
    if (!prefix.size || out->failed)
        return false;
    out->data[out->size - 1]++;
    return true;
}

static enum kb_status check_op(const struct kb_table_key *key, const struct kb_table_query *query,
                               struct kb_error *err)
{
    if (!key->name[0])
        return kb_error_set(err, KB_ERR_USAGE, "the table has no sort key to put a condition on");
    if (query->op > KB_SORT_BEGINS)
        return kb_error_set(err, KB_ERR_USAGE, "unknown condition on the sort key");
    if (query->op == KB_SORT_BEGINS && key->type == 'N')
        return kb_error_set(err, KB_ERR_USAGE,
                            "sort key '%s' is a number: a number has no beginning to compare",
                            key->name);
    return KB_OK;
}

/* Sets the bounds the operator says, out of `a` in the lower buffer. */
static enum kb_status set_bounds(struct kb_table_range *range, const struct kb_table_key *key,
                                 const struct kb_table_query *query, struct kb_error *err)
{
    switch (query->op) {
    case KB_SORT_GREATER:
    case KB_SORT_GREATER_EQUAL:
        range->has_lower = true;
        range->lower_open = query->op == KB_SORT_GREATER;
        return KB_OK;
    case KB_SORT_BEGINS:
        range->has_lower = true;
        range->has_upper = successor(&range->upper, kb_buffer_view(&range->lower));
        range->upper_open = true;
        return kb_buffer_check(&range->upper, err);
    case KB_SORT_BETWEEN:
        range->has_lower = range->has_upper = true;
        return kb_table_encode_text(&range->upper, key, KB_SORT_KEY_MAX, query->sort_b, err);
    default: /* EQUAL, LESS, LESS_EQUAL */
        range->has_lower = query->op == KB_SORT_EQUAL;
        range->has_upper = true;
        range->upper_open = query->op == KB_SORT_LESS;
        kb_buffer_put_bytes(&range->upper, kb_buffer_view(&range->lower));
        return kb_buffer_check(&range->upper, err);
    }
}

enum kb_status kb_table_range_of(struct kb_table_range *out, const struct kb_table_key *key,
                                 const struct kb_table_query *query, struct kb_error *err)
{
    enum kb_status status;

    *out = (struct kb_table_range){.lower = KB_BUFFER_INIT(2 * KB_PARTITION_KEY_MAX),
                                   .upper = KB_BUFFER_INIT(2 * KB_PARTITION_KEY_MAX)};
    if (query->op == KB_SORT_ANY)
        return KB_OK;
    status = check_op(key, query, err);
    if (status == KB_OK)
        status = kb_table_encode_text(&out->lower, key, KB_SORT_KEY_MAX, query->sort_a, err);
    if (status == KB_OK)
        status = set_bounds(out, key, query, err);
    if (status == KB_OK && query->op == KB_SORT_BETWEEN &&
        kb_bytes_compare(kb_buffer_view(&out->lower), kb_buffer_view(&out->upper)) > 0)
        status = kb_error_set(err, KB_ERR_USAGE, "the range of '%s' ends before it begins",
                              key->name);
    return status;
}

void kb_table_range_free(struct kb_table_range *range)
{
    kb_buffer_free(&range->lower);
    kb_buffer_free(&range->upper);
}
