/* SPDX-License-Identifier: Apache-2.0
 *
 * Text encodings: UTF-8, base64 (RFC 4648 section 4) and hexadecimal.
 */
#ifndef KB_BASE_TEXT_H
#define KB_BASE_TEXT_H

#include <keybridge/bytes.h>

/* Order of two UTF-8 texts by their UTF-16 code units, as Java compares. Both
 * must be valid. Negative, 0 or positive. */
int kb_utf8_compare_utf16(struct kb_bytes a, struct kb_bytes b);

/* Standard base64 with padding, without line breaks. */
void kb_base64_format(struct kb_buffer *out, struct kb_bytes bytes);
size_t kb_base64_formatted_size(size_t size);

/* Strict: whole groups of four, padding, zero spare bits. Appends the bytes;
 * false (and nothing appended) when the text is not that or no room is left. */
bool kb_base64_parse(struct kb_buffer *out, struct kb_bytes text);

/* Writes the bytes of strict base64 to `out`, which has room for
 * text.size / 4 * 3; *size is what was written. */
bool kb_base64_parse_into(uint8_t *out, size_t *size, struct kb_bytes text);

/* Lenient, as java.util and Python decoders: characters outside the alphabet
 * are skipped and padding may be missing. */
bool kb_base64_parse_lenient(struct kb_buffer *out, struct kb_bytes text);

/* Hexadecimal of either case; white space is skipped when `spaces`. */
bool kb_hex_parse(struct kb_buffer *out, struct kb_bytes text, bool spaces);

#endif
