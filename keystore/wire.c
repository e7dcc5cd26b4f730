/* SPDX-License-Identifier: Apache-2.0
 *
 * Texts travel with their terminator, so that a decoded one is used in place;
 * no text at all is an empty LV.
 */
#include "keystore/wire.h"

#include <string.h>

void kb_wire_put_limited(struct kb_buffer *frame, struct kb_bytes bytes, size_t limit)
{
    if (bytes.size > limit)
        frame->failed = true;
    kb_buffer_put_lv(frame, bytes);
}

void kb_wire_put_text(struct kb_buffer *frame, const char *text)
{
    struct kb_bytes bytes = {(const uint8_t *)text, text ? strlen(text) + 1 : 0};

    kb_wire_put_limited(frame, bytes, KB_REQUEST_TEXT_MAX);
}

void kb_wire_put_name(struct kb_buffer *frame, const char *name)
{
    if (!name)
        frame->failed = true;
    kb_wire_put_text(frame, name);
}

const char *kb_wire_get_text(struct kb_reader *reader)
{
    struct kb_bytes text = kb_reader_lv(reader);

    if (text.size == 0)
        return NULL;
    if (text.size > KB_REQUEST_TEXT_MAX ||
        memchr(text.data, 0, text.size) != text.data + text.size - 1)
        reader->failed = true;
    return reader->failed ? NULL : (const char *)text.data;
}

const char *kb_wire_get_name(struct kb_reader *reader)
{
    const char *name = kb_wire_get_text(reader);

    if (!name)
        reader->failed = true;
    return name;
}

struct kb_bytes kb_wire_get_limited(struct kb_reader *reader, size_t limit)
{
    struct kb_bytes bytes = kb_reader_lv(reader);

    if (bytes.size > limit)
        reader->failed = true;
    return bytes;
}

bool kb_wire_get_flag(struct kb_reader *reader)
{
    uint8_t value = kb_reader_u8(reader);

    if (value > 1)
        reader->failed = true;
    return value == 1;
}

uint8_t kb_wire_get_below(struct kb_reader *reader, unsigned bound)
{
    uint8_t value = kb_reader_u8(reader);

    if (value >= bound)
        reader->failed = true;
    return reader->failed ? 0 : value;
}

static void set_length(struct kb_buffer *frame)
{
    uint32_t size = (uint32_t)(frame->size - 4);

    for (size_t i = 4; i-- > 0; size >>= 8)
        frame->data[i] = (uint8_t)size;
}

bool kb_wire_end(struct kb_buffer *frame)
{
    if (frame->failed || frame->size < 4 || frame->size - 4 > KB_FRAME_MAX)
        return false;
    set_length(frame);
    return true;
}
