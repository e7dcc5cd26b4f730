/* SPDX-License-Identifier: Apache-2.0
 *
 * Canonical bytes: reading them.
 */
#include "attr/canonical.h"
#include "attr/names.h"
#include "attr/number.h"

#include "base/reader.h"
#include "base/text.h"

#include <string.h>

/* The least a value takes (NULL), and a map's entry: a name of no bytes. */
enum { VALUE_LEAST = 2, LENGTH_SIZE = 4, MEMBER_LEAST = 2 + LENGTH_SIZE + VALUE_LEAST };

struct unpacker {
    struct kb_reader reader;
    struct kb_arena *arena;
    size_t owed; /* the least that counted things not read yet will take */
    enum kb_status status;
    const char *problem; /* static text; NULL when bytes were missing */
    size_t left;         /* bytes behind the problem */
};

static bool fail(struct unpacker *from, enum kb_status status, const char *problem)
{
    if (from->status == KB_OK) {
        from->status = status;
        from->problem = problem;
        from->left = from->reader.left;
    }
    return false;
}

static bool check(struct unpacker *from)
{
    return !from->reader.failed || fail(from, KB_ERR_INPUT, "they end too early");
}

static void *take_array(struct unpacker *from, size_t count, size_t size)
{
    void *array = kb_arena_array(from->arena, count, size);

    if (!array)
        fail(from, KB_ERR_MEMORY, "no memory");
    return array;
}

static bool read_binary(struct unpacker *from, struct kb_bytes *out)
{
    *out = kb_reader_lv(&from->reader);
    return check(from);
}

static bool read_text(struct unpacker *from, struct kb_bytes *out)
{
    return read_binary(from, out) &&
           (kb_utf8_valid(*out) || fail(from, KB_ERR_INPUT, "a text is not UTF-8"));
}

static bool read_number(struct unpacker *from, struct kb_bytes *out)
{
    char text[KB_NUMBER_TEXT_MAX];
    size_t size;

    if (!read_binary(from, out))
        return false;
    if (!kb_number_canonical(text, &size, *out, false))
        return fail(from, KB_ERR_INPUT, "a number is not a number");
    if (out->size == size && memcmp(out->data, text, size) == 0)
        return true;
    *out = kb_arena_copy(from->arena, (struct kb_bytes){(const uint8_t *)text, size});
    return out->data || fail(from, KB_ERR_MEMORY, "no memory");
}

static bool read_boolean(struct unpacker *from, bool *out)
{
    uint8_t byte = kb_reader_u8(&from->reader);

    *out = byte == 1;
    return check(from) && (byte <= 1 || fail(from, KB_ERR_INPUT, "a BOOL is neither 0 nor 1"));
}

/* A count of things of at least `least` bytes, which is owed from now on:
 * bytes promised to an outer count are not there for an inner one. */
static uint32_t read_count(struct unpacker *from, size_t least)
{
    uint32_t count = kb_reader_count(&from->reader, KB_ITEM_SIZE_MAX, least);
    size_t left = from->reader.left;

    if (from->owed > left || count > (left - from->owed) / least) {
        from->reader.failed = true;
        return 0;
    }
    from->owed += count * least;
    return count;
}

static bool read_set(struct unpacker *from, struct kb_attr *out,
                     bool (*read_member)(struct unpacker *, struct kb_bytes *))
{
    out->set.count = read_count(from, LENGTH_SIZE);
    out->set.members = take_array(from, out->set.count, sizeof *out->set.members);
    if (!out->set.members || !check(from))
        return false;
    for (size_t i = 0; i < out->set.count; i++) {
        from->owed -= LENGTH_SIZE;
        if (!read_member(from, &out->set.members[i]))
            return false;
    }
    return true;
}

static bool read_value(struct unpacker *from, struct kb_attr *out, unsigned depth);

static bool read_list(struct unpacker *from, struct kb_attr *out, unsigned depth)
{
    out->list.count = read_count(from, VALUE_LEAST);
    out->list.elements = take_array(from, out->list.count, sizeof *out->list.elements);
    if (!out->list.elements || !check(from))
        return false;
    for (size_t i = 0; i < out->list.count; i++) {
        from->owed -= VALUE_LEAST;
        if (!read_value(from, &out->list.elements[i], depth))
            return false;
    }
    return true;
}

static bool read_map(struct unpacker *from, struct kb_attr *out, unsigned depth)
{
    struct kb_member *members;

    out->map.count = read_count(from, MEMBER_LEAST);
    members = out->map.members = take_array(from, out->map.count, sizeof *members);
    if (!members || !check(from))
        return false;
    for (size_t i = 0; i < out->map.count; i++) {
        uint16_t tag = kb_reader_u16(&from->reader);

        from->owed -= MEMBER_LEAST;
        if (!check(from))
            return false;
        if (tag != KB_TAG_S)
            return fail(from, KB_ERR_INPUT, "a map's name is not text");
        if (!read_text(from, &members[i].name) || !read_value(from, &members[i].value, depth))
            return false;
    }
    return kb_names_keep_last(members, &out->map.count, from->arena) ||
           fail(from, KB_ERR_MEMORY, "no memory");
}

static bool read_nested(struct unpacker *from, struct kb_attr *out, unsigned depth)
{
    if (depth >= KB_ATTR_DEPTH_MAX)
        return fail(from, KB_ERR_INPUT, "lists and maps are more than 32 deep");
    return out->type == KB_ATTR_L ? read_list(from, out, depth + 1)
                                  : read_map(from, out, depth + 1);
}

static bool type_of_tag(enum kb_attr_type *out, uint16_t tag)
{
    static const struct {
        uint8_t tag;
        uint8_t type;
    } tags[] = {
        {KB_TAG_S, KB_ATTR_S},   {KB_TAG_N, KB_ATTR_N},       {KB_TAG_B, KB_ATTR_B},
        {KB_TAG_SS, KB_ATTR_SS}, {KB_TAG_BOOL, KB_ATTR_BOOL}, {KB_TAG_NULL, KB_ATTR_NULL},
        {KB_TAG_NS, KB_ATTR_NS}, {KB_TAG_BS, KB_ATTR_BS},     {KB_TAG_L, KB_ATTR_L},
        {KB_TAG_M, KB_ATTR_M},
    };

    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++) {
        if (tags[i].tag == tag) {
            *out = (enum kb_attr_type)tags[i].type;
            return true;
        }
    }
    return false;
}

/* `depth` is how many lists and maps are around the value. */
static bool read_value(struct unpacker *from, struct kb_attr *out, unsigned depth)
{
    uint16_t tag = kb_reader_u16(&from->reader);

    if (!check(from))
        return false;
    if (!type_of_tag(&out->type, tag))
        return fail(from, KB_ERR_INPUT, "a type is unknown");
    switch (out->type) {
    case KB_ATTR_S:
        return read_text(from, &out->bytes);
    case KB_ATTR_N:
        return read_number(from, &out->bytes);
    case KB_ATTR_B:
        return read_binary(from, &out->bytes);
    case KB_ATTR_BOOL:
        return read_boolean(from, &out->boolean);
    case KB_ATTR_NULL:
        return true;
    case KB_ATTR_SS:
        return read_set(from, out, read_text);
    case KB_ATTR_NS:
        return read_set(from, out, read_number);
    case KB_ATTR_BS:
        return read_set(from, out, read_binary);
    case KB_ATTR_L:
    case KB_ATTR_M:
        return read_nested(from, out, depth);
    }
    return false;
}

enum kb_status kb_attr_deserialize(struct kb_attr *out, struct kb_bytes bytes,
                                   struct kb_arena *arena, struct kb_error *err)
{
    struct unpacker from = {.reader = kb_reader_of(bytes), .arena = arena};

    *out = (struct kb_attr){.type = KB_ATTR_NULL};
    if (read_value(&from, out, 0) && !kb_reader_done(&from.reader))
        fail(&from, KB_ERR_INPUT, "more follows behind the value");
    if (from.status == KB_OK)
        return KB_OK;
    *out = (struct kb_attr){.type = KB_ATTR_NULL};
    if (from.status == KB_ERR_MEMORY)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory for a value");
    return kb_error_set(err, KB_ERR_INPUT, "a value's bytes are not valid: %s (byte %zu)",
                        from.problem, bytes.size - from.left);
}
