/* SPDX-License-Identifier: Apache-2.0 */
#include "base/reader.h"

struct kb_reader kb_reader_of(struct kb_bytes bytes)
{
    return (struct kb_reader){bytes.data, bytes.size, false};
}

struct kb_bytes kb_reader_take(struct kb_reader *reader, size_t size)
{
    struct kb_bytes taken = {reader->next, size};

    if (reader->failed || size > reader->left) {
        reader->failed = true;
        return (struct kb_bytes){NULL, 0};
    }
    if (size)
        reader->next += size;
    reader->left -= size;
    return taken;
}

static uint64_t take_number(struct kb_reader *reader, size_t width)
{
    struct kb_bytes bytes = kb_reader_take(reader, width);
    uint64_t value = 0;

    for (size_t i = 0; i < bytes.size; i++)
        value = value << 8 | bytes.data[i];
    return value;
}

uint8_t kb_reader_u8(struct kb_reader *reader)
{
    return (uint8_t)take_number(reader, 1);
}

uint16_t kb_reader_u16(struct kb_reader *reader)
{
    return (uint16_t)take_number(reader, 2);
}

uint32_t kb_reader_u32(struct kb_reader *reader)
{
    return (uint32_t)take_number(reader, 4);
}

uint64_t kb_reader_u64(struct kb_reader *reader)
{
    return take_number(reader, 8);
}

struct kb_bytes kb_reader_lv(struct kb_reader *reader)
{
    return kb_reader_take(reader, kb_reader_u32(reader));
}

uint32_t kb_reader_count(struct kb_reader *reader, uint32_t limit, size_t least)
{
    uint32_t count = kb_reader_u32(reader);

    if (count > limit || (least && count > reader->left / least)) {
        reader->failed = true;
        return 0;
    }
    return count;
}

bool kb_reader_done(const struct kb_reader *reader)
{
    return !reader->failed && reader->left == 0;
}
