/* SPDX-License-Identifier: Apache-2.0
 *
 * RSA and EC keys by OpenSSL alone, to hold keybridge's against.
 */
#ifndef PKEYS_H
#define PKEYS_H

#include <openssl/evp.h>

#include <keybridge/keystore.h>

/* A new key; type is one of those with a size. Kept until the program ends:
 * the second call with a type gives the same key. */
EVP_PKEY *pkey_of(enum kb_key_type type);
/* A new RSA key of that many bits. */
EVP_PKEY *pkey_rsa(int bits);

/* Encodings, each in a buffer of the caller's. */
void pkey_pkcs8(EVP_PKEY *key, bool pem, struct kb_buffer *out);
void pkey_spki(EVP_PKEY *key, bool pem, struct kb_buffer *out);
EVP_PKEY *pkey_from_spki(struct kb_bytes der);

/* RSA encryption as the algorithm's name says; false when OpenSSL refuses. */
bool pkey_encrypt(EVP_PKEY *key, enum kb_wrap_algorithm algorithm, struct kb_bytes in,
                  uint8_t *out, size_t *size);
bool pkey_decrypt(EVP_PKEY *key, enum kb_wrap_algorithm algorithm, struct kb_bytes in,
                  uint8_t *out, size_t *size);

/* Raw RSA decryption: a block as long as the modulus. */
bool pkey_raw(EVP_PKEY *key, struct kb_bytes in, uint8_t *out, size_t *size);

bool pkey_verify(EVP_PKEY *key, enum kb_hash hash, struct kb_bytes message,
                 const struct kb_signature *signature);

#endif
