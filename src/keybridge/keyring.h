/* SPDX-License-Identifier: Apache-2.0
 *
 * Keyrings of the AWS Encryption SDK: who can open a message.
 */
#ifndef KEYBRIDGE_KEYRING_H
#define KEYBRIDGE_KEYRING_H

#include <keybridge/keystore.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Shared by threads; counted. */
struct kb_keyring;

struct kb_raw_keyring_options {
    const char *key;               /* in the token: AES made for "envelope", RSA made for "wrap" */
    struct kb_bytes key_namespace; /* UTF-8, 1 to 65,535 bytes, not "aws-kms"; a recipient's
                                      provider id */
    struct kb_bytes key_name;      /* UTF-8, 1 to 65,515 bytes; a recipient's provider info, or
                                      its start */
    enum kb_wrap_algorithm padding; /* RSA: KB_WRAP_PKCS1, KB_WRAP_OAEP_SHA1, or
                                       KB_WRAP_OAEP_…_MGF_… (one hash for both); KB_WRAP_AES (0):
                                       KB_WRAP_OAEP_SHA256_MGF_SHA256. AES: KB_WRAP_AES */
};

/* The raw AES keyring (AWS Encryption SDK specification,
 * framework/raw-aes-keyring.md) or the raw RSA keyring (raw-rsa-keyring.md), by
 * the type of the key, with a key in the token. Of a public RSA key messages
 * can be written, not read. The key is looked up at once: KB_ERR_NOT_FOUND,
 * KB_ERR_AMBIGUOUS, KB_ERR_DENIED for one of another use, KB_ERR_USAGE for
 * names that cannot be and a padding that is not for the key. *out has one
 * reference, the caller's; `keystore` must outlive it. */
KB_MUST_CHECK enum kb_status kb_keyring_raw(struct kb_keyring **out, struct kb_keystore *keystore,
                                            const struct kb_raw_keyring_options *options,
                                            struct kb_error *err);

/* The multi-keyring (framework/multi-keyring.md): what it encrypts is for all
 * of them, and any one opens; n is 1 or more. It keeps references. */
KB_MUST_CHECK enum kb_status kb_keyring_multi(struct kb_keyring **out,
                                              struct kb_keyring *const *keyrings, size_t n,
                                              struct kb_error *err);

/* Opens every message with one known data key (copied; 16, 24 or 32 bytes),
 * whoever its recipients are: for messages whose key was recovered by other
 * means. It cannot encrypt: KB_ERR_USAGE. */
KB_MUST_CHECK enum kb_status kb_keyring_data_key(struct kb_keyring **out, struct kb_bytes data_key,
                                                 struct kb_error *err);

struct kb_keyring *kb_keyring_retain(struct kb_keyring *keyring);
void kb_keyring_release(struct kb_keyring *keyring); /* NULL is ignored */

#ifdef __cplusplus
}
#endif
#endif
