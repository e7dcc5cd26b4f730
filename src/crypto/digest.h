/* SPDX-License-Identifier: Apache-2.0
 *
 * Hashes of what comes in pieces.
 */
#ifndef KB_CRYPTO_DIGEST_H
#define KB_CRYPTO_DIGEST_H

#include <keybridge/bytes.h>

/* MD5 (RFC 1321) only for names and checks that S3 defines by it. */
enum kb_digest_kind { KB_DIGEST_SHA256, KB_DIGEST_MD5 };
enum { KB_MD5_SIZE = 16, KB_MD5_BASE64_SIZE = 25 /* with its end */ };

/* One thread at a time uses it. */
struct kb_digest;

/* *out is the caller's, begun. KB_ERR_UNSUPPORTED for MD5 where OpenSSL's settings forbid it. */
KB_MUST_CHECK enum kb_status kb_digest_new(struct kb_digest **out, enum kb_digest_kind kind,
                                           struct kb_error *err);
void kb_digest_free(struct kb_digest *digest); /* NULL is ignored */
KB_MUST_CHECK enum kb_status kb_digest_update(struct kb_digest *digest, struct kb_bytes bytes,
                                              struct kb_error *err);
/* Writes 32 or 16 bytes and begins anew. */
KB_MUST_CHECK enum kb_status kb_digest_end(struct kb_digest *digest, uint8_t *out,
                                           struct kb_error *err);
/* Writes what kb_digest_end would, and goes on. */
KB_MUST_CHECK enum kb_status kb_digest_peek(const struct kb_digest *digest, uint8_t *out,
                                            struct kb_error *err);
/* The base64 of the MD5 of the bytes, as S3 names customer keys. */
KB_MUST_CHECK enum kb_status kb_md5_base64(char out[KB_MD5_BASE64_SIZE], struct kb_bytes bytes,
                                           struct kb_error *err);
/* All in one. */
KB_MUST_CHECK enum kb_status kb_digest_once(uint8_t *out, enum kb_digest_kind kind,
                                            struct kb_bytes bytes, struct kb_error *err);

#endif
