/* SPDX-License-Identifier: Apache-2.0
 *
 * Every use of OpenSSL's ciphers, hashes and random bytes. A kb_crypto keeps
 * the contexts of one thread, so that nothing is fetched or allocated an item.
 */
#ifndef KB_CRYPTO_CRYPTO_H
#define KB_CRYPTO_CRYPTO_H

#include <keybridge/keystore.h>

struct kb_crypto;

struct kb_hkdf_input {
    struct kb_bytes key; /* input keying material */
    struct kb_bytes salt;
    struct kb_bytes info;
};

enum { KB_SHA256_SIZE = 32, KB_HASH_SIZE_MAX = 64, KB_AES_BLOCK = 16 };

/* *out is the caller's, for kb_crypto_free; one thread at a time uses it. */
KB_MUST_CHECK enum kb_status kb_crypto_new(struct kb_crypto **out, struct kb_error *err);
void kb_crypto_free(struct kb_crypto *crypto);

/* SHA-256 (FIPS 180-4) of the n parts, one behind the other. */
KB_MUST_CHECK enum kb_status kb_crypto_sha256(struct kb_crypto *crypto, uint8_t out[KB_SHA256_SIZE],
                                              const struct kb_bytes *parts, size_t n,
                                              struct kb_error *err);

/* The lower-case hexadecimal SHA-256 of `bytes`, with its terminator. For what
 * is not done an item: needs no kb_crypto. */
KB_MUST_CHECK enum kb_status kb_crypto_sha256_hex(char out[2 * KB_SHA256_SIZE + 1],
                                                  struct kb_bytes bytes, struct kb_error *err);

/* HMAC (RFC 2104); `out` has room for the hash's bytes and may be the key's own
 * memory. As the one above. */
KB_MUST_CHECK enum kb_status kb_hmac(uint8_t *out, enum kb_hash hash, struct kb_bytes key,
                                     struct kb_bytes bytes, struct kb_error *err);

/* Lower-case hexadecimal digits of `bytes`, with their terminator. */
void kb_crypto_hex(char *out, struct kb_bytes bytes);

KB_MUST_CHECK enum kb_status kb_crypto_random(void *out, size_t size, struct kb_error *err);

/* HKDF (RFC 5869): `size` bytes for one purpose, which `info` names, at most
 * 255 times the hash's. Salt and info may be empty. KB_ERR_USAGE for a size
 * that cannot be. */
KB_MUST_CHECK enum kb_status kb_hkdf(enum kb_hash hash, const struct kb_hkdf_input *input,
                                     uint8_t *out, size_t size, struct kb_error *err);

/* Sets the AES key (16, 24 or 32 bytes) for the CBC calls of that direction,
 * until the next one; kb_crypto_forget_keys wipes it. */
KB_MUST_CHECK enum kb_status kb_crypto_cbc_key(struct kb_crypto *crypto, bool encrypt,
                                               struct kb_bytes key, struct kb_error *err);
void kb_crypto_forget_keys(struct kb_crypto *crypto);

/* Bytes that CBC with PKCS#7 padding makes of `size` bytes. */
size_t kb_crypto_cbc_size(size_t size);

/* AES-CBC with PKCS#7 padding (NIST SP 800-38A, RFC 5652 section 6.3). `out`
 * has room for kb_crypto_cbc_size(in.size) bytes. */
KB_MUST_CHECK enum kb_status kb_crypto_cbc_encrypt(struct kb_crypto *crypto, uint8_t *out,
                                                   const uint8_t iv[KB_AES_BLOCK],
                                                   struct kb_bytes in, struct kb_error *err);

/* `out` has room for in.size bytes; *size is what came out. KB_ERR_AUTH for a
 * length or padding that cannot be, without saying which. */
KB_MUST_CHECK enum kb_status kb_crypto_cbc_decrypt(struct kb_crypto *crypto, uint8_t *out,
                                                   size_t *size, const uint8_t iv[KB_AES_BLOCK],
                                                   struct kb_bytes in, struct kb_error *err);

#endif
