/* SPDX-License-Identifier: Apache-2.0
 *
 * Cryptographic materials providers of the DynamoDB Encryption Client: where
 * an item's content key comes from and what signs the item.
 */
#ifndef KEYBRIDGE_PROVIDER_H
#define KEYBRIDGE_PROVIDER_H

#include <keybridge/keystore.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Shared by threads; counted. */
struct kb_provider;

/* A name and a value, both text. */
struct kb_pair {
    struct kb_bytes name;
    struct kb_bytes value;
};

struct kb_provider_options {
    const char *sign_key;       /* HMAC key in the token */
    const char *sign_algorithm; /* "HmacSHA224|256|384|512"; NULL: what the key's type says */
    const char *wrap_key;       /* wrapped provider: AES wrapping key in the token */
    unsigned content_key_bits;  /* wrapped provider: 128, 192, 256; 0: 256 */
    const char *content_key;    /* static provider: AES content key in the token; NULL: sign only */
    const struct kb_pair *description; /* extra entries of the material description; borrowed
                                          for the call */
    size_t description_count;
};

/* Both look the keys up at once, so a missing key or one of the wrong use is
 * said here: KB_ERR_NOT_FOUND, KB_ERR_AMBIGUOUS, KB_ERR_DENIED; KB_ERR_USAGE
 * for an algorithm that does not fit the key, or a reserved description name.
 * *out has one reference, the caller's; `keystore` must outlive it. */

/* One fresh data key an item, wrapped by a token key (RFC 3394, "AESWrap"). */
KB_MUST_CHECK enum kb_status kb_provider_wrapped(struct kb_provider **out,
                                                 struct kb_keystore *keystore,
                                                 const struct kb_provider_options *options,
                                                 struct kb_error *err);

/* One content key for all items, which stays in the token. */
KB_MUST_CHECK enum kb_status kb_provider_static(struct kb_provider **out,
                                                struct kb_keystore *keystore,
                                                const struct kb_provider_options *options,
                                                struct kb_error *err);

struct kb_provider *kb_provider_retain(struct kb_provider *provider);
void kb_provider_release(struct kb_provider *provider); /* NULL is ignored */

/* The keystore it was made with. */
struct kb_keystore *kb_provider_keystore(const struct kb_provider *provider);

#ifdef __cplusplus
}
#endif
#endif
