/* SPDX-License-Identifier: Apache-2.0
 *
 * Items as JSON text: DynamoDB's, and the ordinary one. What stands around a
 * value is put together with it where that can be: this is on the path of
 * every item.
 */
#include "attr/json.h"
#include "attr/number.h"

#include "base/text.h"

#include <string.h>

static void put_escape(struct kb_buffer *out, uint8_t c)
{
    static const char digits[] = "0123456789abcdef";
    static const char plain[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    const char *found = c ? strchr(plain, c) : NULL;
    char text[] = {'\\', 'u', '0', '0', digits[c >> 4], digits[c & 15]};

    if (found)
        text[1] = letters[found - plain];
    kb_buffer_put(out, text, found ? 2 : sizeof text);
}

static void put_escaped(struct kb_buffer *out, struct kb_bytes text)
{
    const uint8_t *at = text.data, *end = text.data + text.size;

    while (at < end) {
        const uint8_t *stop = kb_json_plain_end(at, end);

        kb_buffer_put(out, at, (size_t)(stop - at));
        if (stop < end)
            put_escape(out, *stop++);
        at = stop;
    }
}

/* `before`, the JSON string for `text`, `after`; in one go unless the text
 * needs escapes, which is rare. */
static void put_string(struct kb_buffer *out, struct kb_bytes before, struct kb_bytes text,
                       struct kb_bytes after)
{
    const uint8_t *end = text.data + text.size;
    uint8_t *room;

    if (kb_json_plain_end(text.data, end) != end) {
        kb_buffer_put_bytes(out, before);
        kb_json_put_text(out, text);
        kb_buffer_put_bytes(out, after);
        return;
    }
    room = kb_buffer_extend(out, before.size + text.size + 2 + after.size);
    if (!room)
        return;
    memcpy(room, before.data, before.size);
    room += before.size;
    *room++ = '"';
    if (text.size)
        memcpy(room, text.data, text.size);
    room += text.size;
    *room++ = '"';
    memcpy(room, after.data, after.size);
}

void kb_json_put_text(struct kb_buffer *out, struct kb_bytes text)
{
    kb_buffer_put_u8(out, '"');
    put_escaped(out, text);
    kb_buffer_put_u8(out, '"');
}

/* The plain form's number: in JSON it cannot begin with '+' or '.'. */
static void put_number(struct kb_buffer *out, struct kb_bytes text)
{
    char canonical[KB_NUMBER_TEXT_MAX];
    size_t size;

    if (kb_number_canonical(canonical, &size, text, false))
        kb_buffer_put(out, canonical, size);
    else
        out->failed = true;
}

/* An S, N or B, or a member of their sets, between `before` and `after`. */
static void put_scalar(struct kb_buffer *out, enum kb_attr_type type, struct kb_bytes before,
                       struct kb_bytes bytes, struct kb_bytes after, bool plain)
{
    bool binary = type == KB_ATTR_B || type == KB_ATTR_BS;

    if (!binary && !(plain && (type == KB_ATTR_N || type == KB_ATTR_NS))) {
        put_string(out, before, bytes, after);
        return;
    }
    kb_buffer_put_bytes(out, before);
    if (binary) {
        kb_buffer_put_u8(out, '"');
        kb_base64_format(out, bytes);
        kb_buffer_put_u8(out, '"');
    } else {
        put_number(out, bytes);
    }
    kb_buffer_put_bytes(out, after);
}

static void put_value(struct kb_buffer *out, const struct kb_attr *value, bool plain);

static void put_members(struct kb_buffer *out, const struct kb_member *members, size_t count,
                        bool plain)
{
    kb_buffer_put_u8(out, '{');
    for (size_t i = 0; i < count; i++) {
        put_string(out, (struct kb_bytes){(const uint8_t *)",", i != 0}, members[i].name,
                   (struct kb_bytes){(const uint8_t *)":", 1});
        put_value(out, &members[i].value, plain);
    }
    kb_buffer_put_u8(out, '}');
}

static void put_set(struct kb_buffer *out, const struct kb_attr *value, bool plain)
{
    const struct kb_bytes nothing = {(const uint8_t *)"", 0};

    kb_buffer_put_u8(out, '[');
    for (size_t i = 0; i < value->set.count; i++)
        put_scalar(out, value->type, (struct kb_bytes){(const uint8_t *)",", i != 0},
                   value->set.members[i], nothing, plain);
    kb_buffer_put_u8(out, ']');
}

static void put_list(struct kb_buffer *out, const struct kb_attr *value, bool plain)
{
    kb_buffer_put_u8(out, '[');
    for (size_t i = 0; i < value->list.count; i++) {
        if (i)
            kb_buffer_put_u8(out, ',');
        put_value(out, &value->list.elements[i], plain);
    }
    kb_buffer_put_u8(out, ']');
}

/* Everything but S, N and B. */
static void put_content(struct kb_buffer *out, const struct kb_attr *value, bool plain)
{
    switch (value->type) {
    case KB_ATTR_BOOL:
        kb_buffer_put_text(out, value->boolean ? "true" : "false");
        break;
    case KB_ATTR_NULL:
        kb_buffer_put_text(out, plain ? "null" : "true");
        break;
    case KB_ATTR_L:
        put_list(out, value, plain);
        break;
    case KB_ATTR_M:
        put_members(out, value->map.members, value->map.count, plain);
        break;
    default:
        put_set(out, value, plain);
        break;
    }
}

static void put_value(struct kb_buffer *out, const struct kb_attr *value, bool plain)
{
    uint8_t text[12] = "{\""; /* {"NULL": is the longest */
    const char *type = kb_attr_type_format(value->type);
    struct kb_bytes opening = {text, 0}, closing = {(const uint8_t *)"}", !plain};

    if (!plain) {
        opening.size = 2;
        while (*type)
            text[opening.size++] = (uint8_t)*type++;
        text[opening.size++] = '"';
        text[opening.size++] = ':';
    }
    if (value->type <= KB_ATTR_B) {
        put_scalar(out, value->type, opening, value->bytes, closing, plain);
        return;
    }
    kb_buffer_put_bytes(out, opening);
    put_content(out, value, plain);
    kb_buffer_put_bytes(out, closing);
}

void kb_item_format(struct kb_buffer *out, const struct kb_item *item)
{
    put_members(out, item->members, item->count, false);
}

void kb_item_format_plain(struct kb_buffer *out, const struct kb_item *item)
{
    put_members(out, item->members, item->count, true);
}
