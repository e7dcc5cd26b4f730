/* SPDX-License-Identifier: Apache-2.0
 *
 * ECDSA (FIPS 186-5) over a stream, with a key made for that stream alone: P-256
 * with SHA-256 or P-384 with SHA-384.
 */
#ifndef KB_CRYPTO_SIGNATURE_H
#define KB_CRYPTO_SIGNATURE_H

#include <keybridge/keystore.h>

enum { KB_POINT_MAX = 49, KB_ECDSA_DER_MAX = 104 };

/* A running signature that is made or checked; one thread at a time. */
struct kb_signature_stream;

/* A new key. `hash` is KB_SHA256 or KB_SHA384 and gives the curve. `point` gets
 * the public key, SEC 1 (section 2.3.3) compressed: 33 or 49 bytes. */
KB_MUST_CHECK enum kb_status kb_signature_make(struct kb_signature_stream **out, enum kb_hash hash,
                                               uint8_t point[KB_POINT_MAX], size_t *point_size,
                                               struct kb_error *err);
/* To check one by its public key; KB_ERR_INPUT for bytes that are no compressed
 * point of the curve. */
KB_MUST_CHECK enum kb_status kb_signature_check(struct kb_signature_stream **out, enum kb_hash hash,
                                                struct kb_bytes point, struct kb_error *err);
void kb_signature_stream_free(struct kb_signature_stream *stream); /* wipes; NULL is ignored */

KB_MUST_CHECK enum kb_status kb_signature_update(struct kb_signature_stream *stream,
                                                 struct kb_bytes bytes, struct kb_error *err);

/* Bytes of the signatures we make: 71 or 103; 0 for a hash without a curve. */
size_t kb_signature_size(enum kb_hash hash);

/* The DER signature (RFC 3279 section 2.2.3), always of the same length,
 * kb_signature_size; *size is that. */
KB_MUST_CHECK enum kb_status kb_signature_sign(struct kb_signature_stream *stream,
                                               uint8_t out[KB_ECDSA_DER_MAX], size_t *size,
                                               struct kb_error *err);
/* KB_ERR_AUTH unless it is one of what was put in. */
KB_MUST_CHECK enum kb_status kb_signature_verify(struct kb_signature_stream *stream,
                                                 struct kb_bytes der, struct kb_error *err);

#endif
