/* SPDX-License-Identifier: Apache-2.0
 *
 * What can be asked of items and values.
 */
#include "attr/number.h"

#include "base/text.h"

const char *kb_attr_type_format(enum kb_attr_type type)
{
    static const char *const names[] = {"S",  "N",  "B",  "BOOL", "NULL",
                                        "SS", "NS", "BS", "L",    "M"};

    return (unsigned)type < sizeof names / sizeof *names ? names[type] : "?";
}

enum kb_status kb_item_check_names(const struct kb_item *item, struct kb_error *err)
{
    return kb_item_find(item, kb_bytes_text(""))
               ? kb_error_set(err, KB_ERR_INPUT, "an attribute's name is empty")
               : KB_OK;
}

struct kb_attr *kb_item_find(const struct kb_item *item, struct kb_bytes name)
{
    for (size_t i = 0; i < item->count; i++)
        if (kb_bytes_equal(item->members[i].name, name))
            return &item->members[i].value;
    return NULL;
}

int kb_attr_name_compare(struct kb_bytes a, struct kb_bytes b, enum kb_attr_dialect dialect)
{
    return dialect == KB_DIALECT_JAVA ? kb_utf8_compare_utf16(a, b) : kb_bytes_compare(a, b);
}

static size_t number_size(struct kb_bytes text)
{
    struct kb_decimal number;

    return kb_decimal_parse(&number, text) ? kb_decimal_size(&number) : text.size;
}

static size_t set_size(const struct kb_attr *value)
{
    size_t size = 0;

    for (size_t i = 0; i < value->set.count; i++)
        size += value->type == KB_ATTR_NS ? number_size(value->set.members[i])
                                          : value->set.members[i].size;
    return size;
}

static size_t value_size(const struct kb_attr *value);

static size_t members_size(const struct kb_member *members, size_t count)
{
    size_t size = 0;

    for (size_t i = 0; i < count; i++)
        size += members[i].name.size + value_size(&members[i].value);
    return size;
}

static size_t value_size(const struct kb_attr *value)
{
    size_t size = 3;

    switch (value->type) {
    case KB_ATTR_S:
    case KB_ATTR_B:
        return value->bytes.size;
    case KB_ATTR_N:
        return number_size(value->bytes);
    case KB_ATTR_BOOL:
    case KB_ATTR_NULL:
        return 1;
    case KB_ATTR_SS:
    case KB_ATTR_NS:
    case KB_ATTR_BS:
        return set_size(value);
    case KB_ATTR_L:
        for (size_t i = 0; i < value->list.count; i++)
            size += 1 + value_size(&value->list.elements[i]);
        return size;
    case KB_ATTR_M:
        return size + value->map.count + members_size(value->map.members, value->map.count);
    }
    return size;
}

size_t kb_item_size(const struct kb_item *item)
{
    return members_size(item->members, item->count);
}
