/* SPDX-License-Identifier: Apache-2.0 */
#include <keybridge/bytes.h>
#include <keybridge/secret.h>

#include <stdlib.h>
#include <string.h>

struct kb_bytes kb_bytes_text(const char *text)
{
    return (struct kb_bytes){(const uint8_t *)text, text ? strlen(text) : 0};
}

bool kb_bytes_equal(struct kb_bytes a, struct kb_bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

int kb_bytes_compare(struct kb_bytes a, struct kb_bytes b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    int order = common ? memcmp(a.data, b.data, common) : 0;

    if (order)
        return order;
    return (a.size > b.size) - (a.size < b.size);
}

void kb_buffer_free(struct kb_buffer *buffer)
{
    if (buffer->wipe && buffer->data)
        kb_wipe(buffer->data, buffer->capacity);
    free(buffer->data);
    buffer->data = NULL;
    buffer->size = buffer->capacity = 0;
    buffer->failed = false;
}

void kb_buffer_reset(struct kb_buffer *buffer)
{
    if (buffer->wipe && buffer->data)
        kb_wipe(buffer->data, buffer->size);
    buffer->size = 0;
    buffer->failed = false;
}

static bool grow(struct kb_buffer *buffer, size_t needed)
{
    size_t capacity = buffer->capacity ? buffer->capacity : 256;
    uint8_t *data;

    if (needed > buffer->max)
        return false;
    while (capacity < needed && capacity <= buffer->max / 2)
        capacity *= 2;
    if (capacity < needed || capacity > buffer->max)
        capacity = buffer->max;
    if (!buffer->wipe) {
        data = realloc(buffer->data, capacity);
        if (!data)
            return false;
    } else {
        data = malloc(capacity);
        if (!data)
            return false;
        if (buffer->size)
            memcpy(data, buffer->data, buffer->size);
        if (buffer->data)
            kb_wipe(buffer->data, buffer->capacity);
        free(buffer->data);
    }
    buffer->data = data;
    buffer->capacity = capacity;
    return true;
}

uint8_t *kb_buffer_extend(struct kb_buffer *buffer, size_t size)
{
    uint8_t *start;

    if (buffer->failed || size > SIZE_MAX - buffer->size)
        goto fail;
    if ((size > buffer->capacity - buffer->size || !buffer->data) &&
        !grow(buffer, buffer->size + size))
        goto fail;
    start = buffer->data + buffer->size;
    buffer->size += size;
    return start;
fail:
    buffer->failed = true;
    return NULL;
}

void kb_buffer_put(struct kb_buffer *buffer, const void *data, size_t size)
{
    uint8_t *room = kb_buffer_extend(buffer, size);

    if (room && size)
        memcpy(room, data, size);
}

void kb_buffer_put_bytes(struct kb_buffer *buffer, struct kb_bytes bytes)
{
    kb_buffer_put(buffer, bytes.data, bytes.size);
}

void kb_buffer_put_text(struct kb_buffer *buffer, const char *text)
{
    kb_buffer_put_bytes(buffer, kb_bytes_text(text));
}

static inline void put_number(struct kb_buffer *buffer, uint64_t value, size_t width)
{
    uint8_t *room = kb_buffer_extend(buffer, width);

    for (size_t i = width; room && i-- > 0; value >>= 8)
        room[i] = (uint8_t)value;
}

void kb_buffer_put_u8(struct kb_buffer *buffer, uint8_t value)
{
    put_number(buffer, value, 1);
}

void kb_buffer_put_u16(struct kb_buffer *buffer, uint16_t value)
{
    put_number(buffer, value, 2);
}

void kb_buffer_put_u32(struct kb_buffer *buffer, uint32_t value)
{
    put_number(buffer, value, 4);
}

void kb_buffer_put_u64(struct kb_buffer *buffer, uint64_t value)
{
    put_number(buffer, value, 8);
}

void kb_buffer_put_lv(struct kb_buffer *buffer, struct kb_bytes bytes)
{
    if (bytes.size > UINT32_MAX) {
        buffer->failed = true;
        return;
    }
    kb_buffer_put_u32(buffer, (uint32_t)bytes.size);
    kb_buffer_put_bytes(buffer, bytes);
}

struct kb_bytes kb_buffer_view(const struct kb_buffer *buffer)
{
    return (struct kb_bytes){buffer->data, buffer->size};
}

enum kb_status kb_buffer_check(const struct kb_buffer *buffer, struct kb_error *err)
{
    if (!buffer->failed)
        return KB_OK;
    return kb_error_set(err, KB_ERR_MEMORY, "no memory, or more than %zu bytes of output",
                        buffer->max);
}
