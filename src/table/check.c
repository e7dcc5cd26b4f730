/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether a table would take items, without giving them to it.
 */
#include "table/table.h"

#include "attr/attr.h"

enum kb_status kb_table_check_item(struct kb_buffer *key, const struct kb_table_schema *schema,
                                   struct kb_bytes text, struct kb_arena *arena,
                                   struct kb_error *err)
{
    struct kb_item item;
    enum kb_status status = kb_item_parse(&item, text, arena, err);

    if (status == KB_OK)
        status = kb_table_encode_parsed(key, schema, &item, err);
    return status == KB_OK ? kb_table_check_indexes(schema, &item, err) : status;
}

enum kb_status kb_table_check(struct kb_table *table, const struct kb_bytes *items, size_t n,
                              size_t *bad, struct kb_error *err)
{
    struct kb_buffer key = KB_BUFFER_INIT(2 * (KB_PARTITION_KEY_MAX + KB_SORT_KEY_MAX));
    struct kb_arena arena = KB_ARENA_INIT;
    enum kb_status status = KB_OK;

    *bad = n;
    for (size_t i = 0; status == KB_OK && i < n; i++) {
        kb_arena_reset(&arena);
        kb_buffer_reset(&key);
        status = kb_table_check_item(&key, &table->schema, items[i], &arena, err);
        if (status == KB_ERR_INPUT)
            *bad = i;
    }
    kb_arena_free(&arena);
    kb_buffer_free(&key);
    return status;
}
