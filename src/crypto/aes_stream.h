/* SPDX-License-Identifier: Apache-2.0
 *
 * AES without authentication, in pieces (NIST SP 800-38A): what old formats
 * need to be read, and parts of GCM texts. Encrypts nothing.
 */
#ifndef KB_CRYPTO_AES_STREAM_H
#define KB_CRYPTO_AES_STREAM_H

#include <keybridge/secret.h>

enum kb_aes_stream_mode {
    KB_AES_STREAM_CBC, /* whole blocks; padding is left alone */
    KB_AES_STREAM_CTR, /* the whole IV is the counter */
};

/* One thread at a time uses it. */
struct kb_aes_stream;

/* `key` has 16, 24 or 32 bytes, `iv` 16. *out is the caller's. */
KB_MUST_CHECK enum kb_status kb_aes_stream_new(struct kb_aes_stream **out,
                                               enum kb_aes_stream_mode mode, struct kb_bytes key,
                                               const uint8_t *iv, struct kb_error *err);
void kb_aes_stream_free(struct kb_aes_stream *stream); /* wipes; NULL is ignored */

/* Writes in.size bytes; with CBC that is a multiple of 16: KB_ERR_USAGE. `out`
 * may be where `in` is. */
KB_MUST_CHECK enum kb_status kb_aes_stream_decrypt(struct kb_aes_stream *stream, uint8_t *out,
                                                   struct kb_bytes in, struct kb_error *err);

#endif
