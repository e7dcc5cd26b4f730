/* SPDX-License-Identifier: Apache-2.0
 *
 * Objects in the format of the S3 Encryption Client, written and read in a test.
 */
#ifndef S3EC_FIXTURE_H
#define S3EC_FIXTURE_H

#include "backends.h"

#include <keybridge/s3ec.h>

enum { ROOM = 1 << 18 }; /* of a buffer */

/* Makes the keys: s3ec-aes-256, s3ec-aes-128, s3ec-aes-other, s3ec-rsa; s3ec-wrap, s3ec-content.
 * False, said loudly, when there is no such token. */
bool s3ec_have_token(enum token_kind kind);

/* The caller's. */
struct kb_s3ec *s3ec_configure_all(enum token_kind kind, const struct kb_s3ec_options *options);
/* Version 2 or 3 is written; all are read, old wrapping and ranges as well. */
struct kb_s3ec *s3ec_configure(enum token_kind kind, const char *key, unsigned version);

/* Replaces what is in `out` by `size` bytes. */
struct kb_bytes s3ec_text(struct kb_buffer *out, size_t size);

/* The body, in pieces of `piece` bytes, encrypted in place. */
void s3ec_seal(struct kb_buffer *out, struct kb_s3ec_object *object, struct kb_bytes text,
               size_t piece);
/* A new object, which is the caller's. */
struct kb_s3ec_object *s3ec_write(struct kb_buffer *body, struct kb_s3ec *s3ec,
                                  const struct kb_s3ec_encrypt_options *options,
                                  struct kb_bytes text);

/* The body, or the part of it that was asked for, to its end. */
enum kb_status s3ec_feed(struct kb_buffer *out, struct kb_s3ec_object *object,
                         struct kb_bytes body, size_t piece, struct kb_error *err);
enum kb_status s3ec_read_pieces(struct kb_buffer *out, struct kb_s3ec *s3ec,
                                const struct kb_s3ec_header *header, struct kb_bytes body,
                                size_t piece, struct kb_error *err);
enum kb_status s3ec_read(struct kb_buffer *out, struct kb_s3ec *s3ec,
                         const struct kb_s3ec_header *header, struct kb_bytes body);

/* What an object may be refused with: never the token or the machine. */
bool s3ec_is_refusal(enum kb_status status);

#endif
