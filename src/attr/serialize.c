/* SPDX-License-Identifier: Apache-2.0
 *
 * Canonical bytes: writing them, and saying where the dialects differ.
 */
#include "attr/canonical.h"
#include "attr/number.h"

#include "base/text.h"

#include <stdlib.h>

/* How many things are sorted on the stack; more take memory. */
enum { FEW = 16 };

/* A set member, or a map's name with its value. */
struct entry {
    struct kb_bytes key;
    const struct kb_attr *value;
};

struct entries {
    struct entry few[FEW];
    struct entry *all;
    size_t count;
    struct kb_buffer numbers; /* texts the keys of an NS are views of */
};

struct writer {
    struct kb_buffer *out;
    enum kb_attr_dialect dialect;
    bool number_exact;
};

typedef int compare_function(const void *a, const void *b);

static struct kb_bytes key_of(const void *entry)
{
    return ((const struct entry *)entry)->key;
}

static int compare_bytes(const void *a, const void *b)
{
    return kb_bytes_compare(key_of(a), key_of(b));
}

static int compare_utf16(const void *a, const void *b)
{
    return kb_utf8_compare_utf16(key_of(a), key_of(b));
}

static int compare_signed(const void *a, const void *b)
{
    struct kb_bytes x = key_of(a), y = key_of(b);
    size_t common = x.size < y.size ? x.size : y.size;

    for (size_t i = 0; i < common; i++)
        if (x.data[i] != y.data[i])
            return (int8_t)x.data[i] < (int8_t)y.data[i] ? -1 : 1;
    return (x.size > y.size) - (x.size < y.size);
}

static compare_function *order_of(enum kb_attr_type type, enum kb_attr_dialect dialect)
{
    if (dialect == KB_DIALECT_PYTHON || type == KB_ATTR_NS)
        return compare_bytes;
    return type == KB_ATTR_BS ? compare_signed : compare_utf16;
}

static bool is_sorted(const struct entries *entries, compare_function *compare)
{
    for (size_t i = 1; i < entries->count; i++)
        if (compare(&entries->all[i - 1], &entries->all[i]) > 0)
            return false;
    return true;
}

static void sort(struct entries *entries, compare_function *compare)
{
    if (!is_sorted(entries, compare))
        qsort(entries->all, entries->count, sizeof *entries->all, compare);
}

/* The number as the dialect writes it; its length, or 0. */
static size_t number_text(char out[KB_NUMBER_TEXT_MAX], struct kb_bytes text,
                          const struct writer *writer)
{
    struct kb_decimal number;

    if (!kb_decimal_parse(&number, text))
        return 0;
    if (writer->dialect == KB_DIALECT_PYTHON && !writer->number_exact)
        kb_decimal_round(&number, KB_NUMBER_PYTHON_DIGITS);
    else if (number.count == 0)
        number.negative = false;
    return kb_decimal_format(out, &number);
}

/* The set's numbers as they are written. Their texts move while the buffer
 * grows, so that views are made at the end. */
static bool collect_numbers(struct entries *entries, const struct kb_attr *set,
                            const struct writer *writer)
{
    const uint8_t *at;

    for (size_t i = 0; i < set->set.count; i++) {
        char text[KB_NUMBER_TEXT_MAX];
        size_t size = number_text(text, set->set.members[i], writer);

        if (!size)
            return false;
        kb_buffer_put(&entries->numbers, text, size);
        entries->all[i].key.size = size;
    }
    at = entries->numbers.data;
    for (size_t i = 0; i < set->set.count && !entries->numbers.failed; i++) {
        entries->all[i].key.data = at;
        at += entries->all[i].key.size;
    }
    return !entries->numbers.failed;
}

/* What is sorted in a set or map, in the order given; release with
 * entries_free in any case. `writer` is used for numbers only. */
static bool entries_collect(struct entries *entries, const struct kb_attr *value,
                            const struct writer *writer)
{
    bool map = value->type == KB_ATTR_M;
    size_t count = map ? value->map.count : value->set.count;

    entries->all = entries->few;
    entries->count = count;
    entries->numbers = (struct kb_buffer)KB_BUFFER_INIT(SIZE_MAX / 2);
    if (count > FEW)
        entries->all = calloc(count, sizeof *entries->all);
    if (!entries->all)
        return false;
    if (value->type == KB_ATTR_NS)
        return collect_numbers(entries, value, writer);
    for (size_t i = 0; i < count; i++) {
        if (map)
            entries->all[i] =
                (struct entry){value->map.members[i].name, &value->map.members[i].value};
        else
            entries->all[i] = (struct entry){value->set.members[i], NULL};
    }
    return true;
}

static void entries_free(struct entries *entries)
{
    if (entries->all != entries->few)
        free(entries->all);
    kb_buffer_free(&entries->numbers);
}

static void put_tag(struct kb_buffer *out, uint8_t tag)
{
    kb_buffer_put_u16(out, tag);
}

static void put_text(struct kb_buffer *out, uint8_t tag, struct kb_bytes bytes)
{
    put_tag(out, tag);
    kb_buffer_put_lv(out, bytes);
}

static void put_count(struct kb_buffer *out, size_t count)
{
    if (count > UINT32_MAX)
        out->failed = true;
    kb_buffer_put_u32(out, (uint32_t)count);
}

static void put_number(const struct writer *writer, struct kb_bytes number)
{
    char text[KB_NUMBER_TEXT_MAX];
    size_t size = number_text(text, number, writer);

    if (!size)
        writer->out->failed = true;
    put_text(writer->out, KB_TAG_N, (struct kb_bytes){(const uint8_t *)text, size});
}

static void put_value(const struct writer *writer, const struct kb_attr *value, unsigned depth);

static void put_entries(const struct writer *writer, const struct kb_attr *value, unsigned depth)
{
    struct kb_buffer *out = writer->out;
    struct entries entries;

    if (!entries_collect(&entries, value, writer)) {
        out->failed = true;
    } else {
        sort(&entries, order_of(value->type, writer->dialect));
        put_count(out, entries.count);
    }
    for (size_t i = 0; i < entries.count && !out->failed; i++) {
        const struct entry *entry = &entries.all[i];

        if (value->type == KB_ATTR_M) {
            put_text(out, KB_TAG_S, entry->key);
            put_value(writer, entry->value, depth);
        } else {
            kb_buffer_put_lv(out, entry->key);
        }
    }
    entries_free(&entries);
}

static void put_list(const struct writer *writer, const struct kb_attr *value, unsigned depth)
{
    put_count(writer->out, value->list.count);
    for (size_t i = 0; i < value->list.count && !writer->out->failed; i++)
        put_value(writer, &value->list.elements[i], depth);
}

static void put_collection(const struct writer *writer, const struct kb_attr *value, unsigned depth)
{
    static const uint8_t tags[] = {
        [KB_ATTR_SS] = KB_TAG_SS, [KB_ATTR_NS] = KB_TAG_NS, [KB_ATTR_BS] = KB_TAG_BS,
        [KB_ATTR_L] = KB_TAG_L,   [KB_ATTR_M] = KB_TAG_M,
    };
    bool nests = value->type == KB_ATTR_L || value->type == KB_ATTR_M;

    /* What a reader would refuse must not be written. */
    if (nests && depth >= KB_ATTR_DEPTH_MAX)
        writer->out->failed = true;
    if (writer->out->failed)
        return;
    put_tag(writer->out, tags[value->type]);
    if (value->type == KB_ATTR_L)
        put_list(writer, value, depth + 1);
    else
        put_entries(writer, value, depth + 1);
}

/* `depth` is how many lists and maps are around the value. */
static void put_value(const struct writer *writer, const struct kb_attr *value, unsigned depth)
{
    switch (value->type) {
    case KB_ATTR_S:
        put_text(writer->out, KB_TAG_S, value->bytes);
        break;
    case KB_ATTR_B:
        put_text(writer->out, KB_TAG_B, value->bytes);
        break;
    case KB_ATTR_N:
        put_number(writer, value->bytes);
        break;
    case KB_ATTR_BOOL:
        put_tag(writer->out, KB_TAG_BOOL);
        kb_buffer_put_u8(writer->out, value->boolean);
        break;
    case KB_ATTR_NULL:
        put_tag(writer->out, KB_TAG_NULL);
        break;
    default:
        put_collection(writer, value, depth);
        break;
    }
}

void kb_attr_serialize(struct kb_buffer *out, const struct kb_attr *value,
                       enum kb_attr_dialect dialect, bool number_exact)
{
    struct writer writer = {out, dialect, number_exact};

    put_value(&writer, value, 0);
}

/* --- differences ----------------------------------------------------------- */

static unsigned number_difference(struct kb_bytes text)
{
    struct kb_decimal number;

    if (!kb_decimal_parse(&number, text))
        return KB_DIFFERENCE_NONE;
    if (number.count == 0)
        return number.negative ? KB_DIFFERENCE_NEGATIVE_ZERO : KB_DIFFERENCE_NONE;
    return number.count > KB_NUMBER_PYTHON_DIGITS ? KB_DIFFERENCE_DIGITS : KB_DIFFERENCE_NONE;
}

/* Orders of text differ where a character from U+E000 to U+FFFF (lead byte EE
 * or EF) meets one above (F0 and up); orders of binary where a byte with the
 * top bit meets one without. False when there is no such byte. */
static bool may_differ(const struct kb_attr *value)
{
    bool map = value->type == KB_ATTR_M;
    size_t count = map ? value->map.count : value->set.count;
    bool low = false, high = false;

    if (count < 2)
        return false;
    for (size_t i = 0; i < count; i++) {
        struct kb_bytes key = map ? value->map.members[i].name : value->set.members[i];

        for (size_t j = 0; j < key.size; j++) {
            uint8_t byte = key.data[j];

            if (value->type == KB_ATTR_BS) {
                high |= byte >= 0x80;
                low |= byte < 0x80;
            } else {
                high |= byte >= 0xf0;
                low |= byte == 0xee || byte == 0xef;
            }
        }
    }
    return low && high;
}

/* Sorted one way, are they in order the other way too? */
static unsigned order_difference(const struct kb_attr *value)
{
    struct entries entries;
    unsigned difference = KB_DIFFERENCE_ORDER;

    if (!may_differ(value))
        return KB_DIFFERENCE_NONE;
    /* Without memory it must be taken that they differ. */
    if (entries_collect(&entries, value, NULL)) {
        sort(&entries, order_of(value->type, KB_DIALECT_PYTHON));
        if (is_sorted(&entries, order_of(value->type, KB_DIALECT_JAVA)))
            difference = KB_DIFFERENCE_NONE;
    }
    entries_free(&entries);
    return difference;
}

static unsigned difference_of(const struct kb_attr *value, unsigned depth)
{
    unsigned difference = KB_DIFFERENCE_NONE;

    switch (value->type) {
    case KB_ATTR_N:
        return number_difference(value->bytes);
    case KB_ATTR_NS:
        for (size_t i = 0; i < value->set.count; i++)
            difference |= number_difference(value->set.members[i]);
        return difference;
    case KB_ATTR_SS:
    case KB_ATTR_BS:
        return order_difference(value);
    case KB_ATTR_L:
        for (size_t i = 0; depth < KB_ATTR_DEPTH_MAX && i < value->list.count; i++)
            difference |= difference_of(&value->list.elements[i], depth + 1);
        return difference;
    case KB_ATTR_M:
        for (size_t i = 0; depth < KB_ATTR_DEPTH_MAX && i < value->map.count; i++)
            difference |= difference_of(&value->map.members[i].value, depth + 1);
        return difference | order_difference(value);
    default:
        return difference;
    }
}

unsigned kb_attr_difference(const struct kb_attr *value)
{
    return difference_of(value, 0);
}
