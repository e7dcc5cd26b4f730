/* SPDX-License-Identifier: Apache-2.0
 *
 * An item's JSON from anybody: refused, or an item that is the same after it
 * was formatted and parsed again.
 */
#include "attr/attr.h"

#include <stdlib.h>

enum { ROOM = 64 * 1024 * 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool truth)
{
    if (!truth)
        abort();
}

static void compare_values(const struct kb_attr *a, const struct kb_attr *b,
                           enum kb_attr_dialect dialect, bool exact)
{
    struct kb_buffer x = KB_BUFFER_INIT(ROOM), y = KB_BUFFER_INIT(ROOM);

    kb_attr_serialize(&x, a, dialect, exact);
    kb_attr_serialize(&y, b, dialect, exact);
    demand(!x.failed && !y.failed);
    demand(kb_bytes_equal(kb_buffer_view(&x), kb_buffer_view(&y)));
    kb_buffer_free(&x);
    kb_buffer_free(&y);
}

static void check_item(const struct kb_item *item, struct kb_arena *arena)
{
    struct kb_buffer text = KB_BUFFER_INIT(ROOM), plain = KB_BUFFER_INIT(ROOM);
    struct kb_item again;

    kb_item_format(&text, item);
    kb_item_format_plain(&plain, item);
    demand(!text.failed && !plain.failed);
    demand(kb_item_parse(&again, kb_buffer_view(&text), arena, NULL) == KB_OK);
    demand(again.count == item->count);
    demand(kb_item_size(&again) == kb_item_size(item));
    demand(kb_item_size(item) <= KB_ITEM_SIZE_MAX);
    for (size_t i = 0; i < item->count; i++) {
        const struct kb_attr *value = &item->members[i].value;

        demand(kb_bytes_equal(item->members[i].name, again.members[i].name));
        demand(kb_item_find(item, again.members[i].name) == value);
        demand(kb_attr_difference(value) == kb_attr_difference(&again.members[i].value));
        compare_values(value, &again.members[i].value, KB_DIALECT_PYTHON, true);
        compare_values(value, &again.members[i].value, KB_DIALECT_PYTHON, false);
        compare_values(value, &again.members[i].value, KB_DIALECT_JAVA, true);
    }
    kb_buffer_free(&text);
    kb_buffer_free(&plain);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kb_arena arena = KB_ARENA_INIT;
    struct kb_error err = {0};
    struct kb_item item;
    enum kb_status status = kb_item_parse(&item, (struct kb_bytes){data, size}, &arena, &err);

    demand(status == KB_OK || (status == KB_ERR_INPUT && err.text[0]));
    if (status == KB_OK)
        check_item(&item, &arena);
    kb_arena_free(&arena);
    return 0;
}
