/* SPDX-License-Identifier: Apache-2.0
 *
 * A read cursor over bytes somebody else owns. A read past the end latches
 * `failed`; from then on every read gives zeros or an empty view. It is asked
 * once at the end, with kb_reader_done, which also refuses trailing bytes.
 */
#ifndef KB_BASE_READER_H
#define KB_BASE_READER_H

#include <keybridge/bytes.h>

struct kb_reader {
    const uint8_t *next;
    size_t left;
    bool failed;
};

struct kb_reader kb_reader_of(struct kb_bytes bytes);
uint8_t kb_reader_u8(struct kb_reader *reader);
uint16_t kb_reader_u16(struct kb_reader *reader); /* big-endian, as all below */
uint32_t kb_reader_u32(struct kb_reader *reader);
uint64_t kb_reader_u64(struct kb_reader *reader);
struct kb_bytes kb_reader_take(struct kb_reader *reader, size_t size);
struct kb_bytes kb_reader_lv(struct kb_reader *reader); /* u32 length, then bytes */

/* A u32 count, held against `limit` and against the bytes that are left if
 * each thing counted takes at least `least` bytes; 0 and failed otherwise. */
uint32_t kb_reader_count(struct kb_reader *reader, uint32_t limit, size_t least);

/* True when no read failed and nothing is left. */
bool kb_reader_done(const struct kb_reader *reader);

#endif
