/* SPDX-License-Identifier: Apache-2.0
 *
 * The parts that requests and answers are made of. Writing latches
 * frame->failed, reading reader->failed.
 */
#ifndef KB_KEYSTORE_WIRE_H
#define KB_KEYSTORE_WIRE_H

#include "keystore/protocol.h"

void kb_wire_put_limited(struct kb_buffer *frame, struct kb_bytes bytes, size_t limit);
void kb_wire_put_text(struct kb_buffer *frame, const char *text); /* or NULL */
void kb_wire_put_name(struct kb_buffer *frame, const char *name); /* not NULL */

/* Views into what is read; NULL for none. */
const char *kb_wire_get_text(struct kb_reader *reader);
const char *kb_wire_get_name(struct kb_reader *reader);
struct kb_bytes kb_wire_get_limited(struct kb_reader *reader, size_t limit);
bool kb_wire_get_flag(struct kb_reader *reader);
uint8_t kb_wire_get_below(struct kb_reader *reader, unsigned bound);

/* Sets the length of a frame; false when it failed or is too long. */
bool kb_wire_end(struct kb_buffer *frame);

#endif
