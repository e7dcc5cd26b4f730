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

struct kb_provider_options {
    const char *sign_key;       /* HMAC, RSA or EC key in the token; a public key verifies only */
    const char *sign_algorithm; /* JCA name: "HmacSHA224|256|384|512", "SHA224|256|384|512withRSA",
                                   "…withECDSA"; NULL: what the key's type says (SHA256withRSA,
                                   SHA256withECDSA for P-256, SHA384withECDSA for P-384) */
    const char *wrap_key;       /* wrapped provider: AES or RSA wrapping key in the token; of a
                                   public RSA key items can be written, not read */
    const char *wrap_algorithm; /* wrapped provider: JCA name, "AESWrap",
                                   "RSA/ECB/OAEPWithSHA-256AndMGF1Padding" (default of RSA keys),
                                   -1, -384, -512, "RSA/ECB/PKCS1Padding". When given, items
                                   wrapped otherwise are not read; NULL: any of the key's kind */
    unsigned content_key_bits;  /* wrapped provider: 128, 192, 256; 0: 256 */
    const char *content_key;    /* static provider: AES content key in the token; NULL: sign only */
    const struct kb_pair *description; /* extra entries of the material description; borrowed
                                          for the call */
    size_t description_count;
};

/* These look the keys up at once, so a missing key or one of the wrong use is
 * said here: KB_ERR_NOT_FOUND, KB_ERR_AMBIGUOUS, KB_ERR_DENIED; KB_ERR_USAGE
 * for an algorithm that does not fit the key, or a reserved description name.
 * *out has one reference, the caller's; `keystore` must outlive it. */

/* One fresh data key an item, wrapped by an AES or RSA key in the token. */
KB_MUST_CHECK enum kb_status kb_provider_wrapped(struct kb_provider **out,
                                                 struct kb_keystore *keystore,
                                                 const struct kb_provider_options *options,
                                                 struct kb_error *err);

/* One content key for all items, which stays in the token. */
KB_MUST_CHECK enum kb_status kb_provider_static(struct kb_provider **out,
                                                struct kb_keystore *keystore,
                                                const struct kb_provider_options *options,
                                                struct kb_error *err);

/* Content and signing key of each item derived from a data key that KMS makes
 * and opens (DirectKmsMaterialsProvider, AwsKmsCryptographicMaterialsProvider).
 * Needs no token. */
struct kb_kms;
struct kb_kms_provider_options {
    struct kb_kms *kms;        /* must outlive the provider */
    const char *key_id;        /* id, ARN or alias; items under other keys are not read */
    const char *sign_algorithm; /* "HmacSHA256" (NULL), or 224, 384, 512 */
    unsigned content_key_bits; /* 128, 192, 256; 0: 256 */
    const char *const *grant_tokens;
    size_t grant_token_count;
    const struct kb_pair *description;
    size_t description_count;
};
KB_MUST_CHECK enum kb_status kb_provider_kms(struct kb_provider **out,
                                             const struct kb_kms_provider_options *options,
                                             struct kb_error *err);

struct kb_provider *kb_provider_retain(struct kb_provider *provider);
void kb_provider_release(struct kb_provider *provider); /* NULL is ignored */

/* The keystore it was made with, or NULL. */
struct kb_keystore *kb_provider_keystore(const struct kb_provider *provider);

#ifdef __cplusplus
}
#endif
#endif
