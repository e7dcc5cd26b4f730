/* SPDX-License-Identifier: Apache-2.0
 *
 * Byte views and the growable buffer that outputs are written to.
 */
#ifndef KEYBRIDGE_BYTES_H
#define KEYBRIDGE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <keybridge/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A view of bytes somebody else owns. Text is UTF-8, not terminated. */
struct kb_bytes {
    const uint8_t *data;
    size_t size; /* bytes */
};

/* A name and a value, both text. */
struct kb_pair {
    struct kb_bytes name;
    struct kb_bytes value;
};

/* View of a C string, without its terminator; NULL gives an empty view. */
struct kb_bytes kb_bytes_text(const char *text);

/* True when both hold the same bytes. Not constant time. */
bool kb_bytes_equal(struct kb_bytes a, struct kb_bytes b);

/* Order by unsigned bytes, the shorter of two with a common start first:
 * negative, 0 or positive. */
int kb_bytes_compare(struct kb_bytes a, struct kb_bytes b);

/* True for well-formed UTF-8 (RFC 3629): no overlong forms, no surrogates,
 * nothing above U+10FFFF. U+0000 is allowed. */
bool kb_utf8_valid(struct kb_bytes text);

/*
 * A buffer that grows up to `max` bytes. A write that does not fit, or for
 * which there is no memory, latches `failed` and changes nothing; so a run of
 * writes is checked once, with kb_buffer_check. Zero-initialise with
 * KB_BUFFER_INIT and release with kb_buffer_free. With `wipe` set, every byte
 * it ever held is overwritten before its memory is given back or reused.
 */
struct kb_buffer {
    uint8_t *data;
    size_t size;
    size_t capacity;
    size_t max;
    bool wipe;
    bool failed;
};

#define KB_BUFFER_INIT(maximum)                                                                    \
    {                                                                                              \
        .data = NULL, .size = 0, .capacity = 0, .max = (maximum), .wipe = false, .failed = false   \
    }

void kb_buffer_free(struct kb_buffer *buffer);

/* Empties it and clears `failed`; the memory is kept for reuse. */
void kb_buffer_reset(struct kb_buffer *buffer);

/* Room for `size` more bytes at the end, or NULL and `failed`. The bytes are
 * part of the buffer at once and not initialised. */
uint8_t *kb_buffer_extend(struct kb_buffer *buffer, size_t size);

void kb_buffer_put(struct kb_buffer *buffer, const void *data, size_t size);
void kb_buffer_put_bytes(struct kb_buffer *buffer, struct kb_bytes bytes);
void kb_buffer_put_text(struct kb_buffer *buffer, const char *text);
void kb_buffer_put_u8(struct kb_buffer *buffer, uint8_t value);
/* Big-endian. */
void kb_buffer_put_u16(struct kb_buffer *buffer, uint16_t value);
void kb_buffer_put_u32(struct kb_buffer *buffer, uint32_t value);
void kb_buffer_put_u64(struct kb_buffer *buffer, uint64_t value);
/* u32 length, then the bytes. */
void kb_buffer_put_lv(struct kb_buffer *buffer, struct kb_bytes bytes);

struct kb_bytes kb_buffer_view(const struct kb_buffer *buffer);

/* KB_OK, or KB_ERR_MEMORY when a write failed since the last reset. */
KB_MUST_CHECK enum kb_status kb_buffer_check(const struct kb_buffer *buffer, struct kb_error *err);

#ifdef __cplusplus
}
#endif
#endif
