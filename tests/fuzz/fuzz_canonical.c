/* SPDX-License-Identifier: Apache-2.0
 *
 * Canonical bytes from anybody: refused, or a value that is the same after it
 * was serialized and deserialized again. The same bytes as a number's text.
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

static void check_value(const struct kb_attr *value, enum kb_attr_dialect dialect,
                        struct kb_arena *arena)
{
    struct kb_buffer once = KB_BUFFER_INIT(ROOM), twice = KB_BUFFER_INIT(ROOM);
    struct kb_attr again;

    kb_attr_serialize(&once, value, dialect, true);
    demand(!once.failed);
    demand(kb_attr_deserialize(&again, kb_buffer_view(&once), arena, NULL) == KB_OK);
    kb_attr_serialize(&twice, &again, dialect, true);
    demand(kb_bytes_equal(kb_buffer_view(&once), kb_buffer_view(&twice)));
    kb_buffer_free(&once);
    kb_buffer_free(&twice);
}

/* The orders differ exactly when the difference says so. */
static void check_difference(const struct kb_attr *value)
{
    struct kb_buffer python = KB_BUFFER_INIT(ROOM), java = KB_BUFFER_INIT(ROOM);
    bool differ = kb_attr_difference(value) & KB_DIFFERENCE_ORDER;

    kb_attr_serialize(&python, value, KB_DIALECT_PYTHON, true);
    kb_attr_serialize(&java, value, KB_DIALECT_JAVA, true);
    demand(differ != kb_bytes_equal(kb_buffer_view(&python), kb_buffer_view(&java)));
    kb_buffer_reset(&python);
    kb_attr_serialize(&python, value, KB_DIALECT_PYTHON, false);
    kb_buffer_free(&python);
    kb_buffer_free(&java);
}

static void check_number(struct kb_bytes text)
{
    struct kb_buffer key = KB_BUFFER_INIT(ROOM), again_key = KB_BUFFER_INIT(ROOM);
    char once[KB_NUMBER_TEXT_MAX], twice[KB_NUMBER_TEXT_MAX];
    struct kb_bytes canonical = {(const uint8_t *)once, 0};
    struct kb_bytes again = {(const uint8_t *)twice, 0};

    if (kb_number_canonical(once, &canonical.size, text, false)) {
        demand(kb_number_canonical(twice, &again.size, canonical, false));
        demand(kb_bytes_equal(canonical, again));
        demand(kb_number_compare(text, canonical) == 0);
        kb_number_sort_key(&key, canonical);
        kb_number_sort_key(&again_key, text);
        demand(!key.failed && kb_bytes_equal(kb_buffer_view(&key), kb_buffer_view(&again_key)));
    } else {
        demand(!kb_number_canonical(once, &canonical.size, text, true));
    }
    kb_buffer_free(&key);
    kb_buffer_free(&again_key);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kb_bytes bytes = {data, size};
    struct kb_arena arena = KB_ARENA_INIT;
    struct kb_error err = {0};
    struct kb_attr value;
    enum kb_status status = kb_attr_deserialize(&value, bytes, &arena, &err);

    demand(status == KB_OK || (status == KB_ERR_INPUT && err.text[0]));
    if (status == KB_OK) {
        check_value(&value, KB_DIALECT_PYTHON, &arena);
        check_value(&value, KB_DIALECT_JAVA, &arena);
        check_difference(&value);
    }
    check_number(bytes);
    kb_arena_free(&arena);
    return 0;
}
