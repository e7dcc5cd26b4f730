/* SPDX-License-Identifier: Apache-2.0
 *
 * AES-GCM (NIST SP 800-38D) outside the token: 12-byte IV, 16-byte tag.
 */
#ifndef KB_CRYPTO_GCM_H
#define KB_CRYPTO_GCM_H

#include <keybridge/keystore.h>

/* One key, set up for one thread at a time. */
struct kb_gcm;

/* `key` has 16, 24 or 32 bytes. *out is the caller's. */
KB_MUST_CHECK enum kb_status kb_gcm_new(struct kb_gcm **out, struct kb_bytes key,
                                        struct kb_error *err);
void kb_gcm_free(struct kb_gcm *gcm); /* wipes; NULL is ignored */

/* One text in one call. */
struct kb_gcm_text {
    const uint8_t *iv; /* KB_GCM_IV_SIZE bytes */
    struct kb_bytes aad;
    struct kb_bytes in;
    uint8_t *out; /* in.size bytes; may be where `in` is */
    uint8_t *tag; /* KB_GCM_TAG_SIZE bytes: made by encryption, checked by decryption */
};
KB_MUST_CHECK enum kb_status kb_gcm_encrypt(struct kb_gcm *gcm, const struct kb_gcm_text *text,
                                            struct kb_error *err);
/* KB_ERR_AUTH for a wrong tag. `out` is wiped after this and any failure. */
KB_MUST_CHECK enum kb_status kb_gcm_decrypt(struct kb_gcm *gcm, const struct kb_gcm_text *text,
                                            struct kb_error *err);

/* One text in pieces: begin, update as often as needed, then seal or open. What
 * update decrypts is unverified until kb_gcm_open said KB_OK. */
KB_MUST_CHECK enum kb_status kb_gcm_begin(struct kb_gcm *gcm, bool encrypt, const uint8_t *iv,
                                          struct kb_bytes aad, struct kb_error *err);
KB_MUST_CHECK enum kb_status kb_gcm_update(struct kb_gcm *gcm, uint8_t *out, struct kb_bytes in,
                                           struct kb_error *err);
KB_MUST_CHECK enum kb_status kb_gcm_seal(struct kb_gcm *gcm, uint8_t tag[KB_GCM_TAG_SIZE],
                                         struct kb_error *err);
KB_MUST_CHECK enum kb_status kb_gcm_open(struct kb_gcm *gcm, const uint8_t tag[KB_GCM_TAG_SIZE],
                                         struct kb_error *err);

#endif
