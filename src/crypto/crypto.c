/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/crypto.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>

#include "crypto/failure.h"

enum { KEY_SIZES = 3 };

struct kb_crypto {
    EVP_MD *sha256;
    EVP_MD_CTX *hash;
    EVP_CIPHER *cbc[KEY_SIZES]; /* 128, 192, 256 bits */
    EVP_CIPHER_CTX *encrypt;
    EVP_CIPHER_CTX *decrypt;
    size_t encrypt_size; /* bytes of the key a context is set up for; 0: none */
    size_t decrypt_size;
};

enum kb_status kb_crypto_new(struct kb_crypto **out, struct kb_error *err)
{
    static const char *const names[KEY_SIZES] = {"AES-128-CBC", "AES-192-CBC", "AES-256-CBC"};
    struct kb_crypto *crypto = calloc(1, sizeof *crypto);
    bool good;

    *out = NULL;
    if (!crypto)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    crypto->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    crypto->hash = EVP_MD_CTX_new();
    crypto->encrypt = EVP_CIPHER_CTX_new();
    crypto->decrypt = EVP_CIPHER_CTX_new();
    good = crypto->sha256 && crypto->hash && crypto->encrypt && crypto->decrypt &&
           EVP_DigestInit_ex(crypto->hash, crypto->sha256, NULL) == 1;
    for (size_t i = 0; i < KEY_SIZES; i++) {
        crypto->cbc[i] = EVP_CIPHER_fetch(NULL, names[i], NULL);
        good = good && crypto->cbc[i];
    }
    if (!good) {
        kb_crypto_free(crypto);
        return kb_openssl_failure(err, "set-up");
    }
    *out = crypto;
    return KB_OK;
}

void kb_crypto_free(struct kb_crypto *crypto)
{
    if (!crypto)
        return;
    EVP_MD_CTX_free(crypto->hash);
    EVP_MD_free(crypto->sha256);
    EVP_CIPHER_CTX_free(crypto->encrypt);
    EVP_CIPHER_CTX_free(crypto->decrypt);
    for (size_t i = 0; i < KEY_SIZES; i++)
        EVP_CIPHER_free(crypto->cbc[i]);
    free(crypto);
}

enum kb_status kb_crypto_sha256(struct kb_crypto *crypto, uint8_t out[KB_SHA256_SIZE],
                                const struct kb_bytes *parts, size_t n, struct kb_error *err)
{
    bool good = EVP_DigestInit_ex(crypto->hash, NULL, NULL) == 1;

    for (size_t i = 0; good && i < n; i++)
        good = EVP_DigestUpdate(crypto->hash, parts[i].data, parts[i].size) == 1;
    if (!good || EVP_DigestFinal_ex(crypto->hash, out, NULL) != 1)
        return kb_openssl_failure(err, "SHA-256");
    return KB_OK;
}

void kb_crypto_hex(char *out, struct kb_bytes bytes)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < bytes.size; i++) {
        *out++ = digits[bytes.data[i] >> 4];
        *out++ = digits[bytes.data[i] & 15];
    }
    *out = 0;
}

enum kb_status kb_crypto_sha256_hex(char out[2 * KB_SHA256_SIZE + 1], struct kb_bytes bytes,
                                    struct kb_error *err)
{
    uint8_t hash[KB_SHA256_SIZE];

    if (EVP_Digest(bytes.size ? bytes.data : (const uint8_t *)"", bytes.size, hash, NULL,
                   EVP_sha256(), NULL) != 1)
        return kb_openssl_failure(err, "SHA-256");
    kb_crypto_hex(out, (struct kb_bytes){hash, sizeof hash});
    return KB_OK;
}

enum kb_status kb_hmac(uint8_t *out, enum kb_hash hash, struct kb_bytes key,
                       struct kb_bytes bytes, struct kb_error *err)
{
    const EVP_MD *digests[] = {EVP_sha224(), EVP_sha256(), EVP_sha384(), EVP_sha512()};
    uint8_t mac[KB_HASH_SIZE_MAX];
    unsigned size = sizeof mac;
    bool good = key.size <= INT_MAX && (size_t)hash < sizeof digests / sizeof *digests &&
                HMAC(digests[hash], key.size ? key.data : (const uint8_t *)"", (int)key.size,
                     bytes.size ? bytes.data : (const uint8_t *)"", bytes.size, mac, &size);

    if (good)
        memcpy(out, mac, size);
    OPENSSL_cleanse(mac, sizeof mac);
    return good ? KB_OK : kb_openssl_failure(err, "HMAC");
}

enum kb_status kb_crypto_random(void *out, size_t size, struct kb_error *err)
{
    if (size > INT_MAX || RAND_bytes(out, (int)size) != 1)
        return kb_openssl_failure(err, "random bytes");
    return KB_OK;
}

/* OpenSSL takes an empty octet string, but not from NULL. */
static OSSL_PARAM octets(const char *name, struct kb_bytes bytes)
{
    static uint8_t nothing;

    return OSSL_PARAM_construct_octet_string(
        name, bytes.size ? (void *)(uintptr_t)bytes.data : &nothing, bytes.size);
}

enum kb_status kb_hkdf(enum kb_hash hash, const struct kb_hkdf_input *input, uint8_t *out,
                       size_t size, struct kb_error *err)
{
    static char names[][8] = {"SHA224", "SHA256", "SHA384", "SHA512"};
    EVP_KDF *kdf;
    EVP_KDF_CTX *context;
    OSSL_PARAM params[5];
    bool good;

    if ((size_t)hash >= sizeof names / sizeof names[0] || size == 0 ||
        size > 255 * kb_hash_size(hash))
        return kb_error_set(err, KB_ERR_USAGE, "HKDF does not make %zu bytes", size);
    params[0] = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, names[hash], 0);
    params[1] = octets(OSSL_KDF_PARAM_KEY, input->key);
    params[2] = octets(OSSL_KDF_PARAM_SALT, input->salt);
    params[3] = octets(OSSL_KDF_PARAM_INFO, input->info);
    params[4] = OSSL_PARAM_construct_end();
    kdf = EVP_KDF_fetch(NULL, OSSL_KDF_NAME_HKDF, NULL);
    context = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
    good = context && EVP_KDF_derive(context, out, size, params) == 1;
    EVP_KDF_CTX_free(context);
    EVP_KDF_free(kdf);
    return good ? KB_OK : kb_openssl_failure(err, "HKDF");
}

enum kb_status kb_crypto_cbc_key(struct kb_crypto *crypto, bool encrypt, struct kb_bytes key,
                                 struct kb_error *err)
{
    EVP_CIPHER_CTX *context = encrypt ? crypto->encrypt : crypto->decrypt;
    size_t *size = encrypt ? &crypto->encrypt_size : &crypto->decrypt_size;
    const EVP_CIPHER *cipher = NULL;

    if (key.size != 16 && key.size != 24 && key.size != 32)
        return kb_error_set(err, KB_ERR_USAGE, "an AES key has 16, 24 or 32 bytes, not %zu",
                            key.size);
    /* Naming the cipher again would make OpenSSL set the context up anew. */
    if (*size != key.size)
        cipher = crypto->cbc[key.size / 8 - 2];
    *size = key.size;
    if (EVP_CipherInit_ex(context, cipher, NULL, key.data, NULL, encrypt) != 1) {
        *size = 0;
        return kb_openssl_failure(err, "AES key");
    }
    return KB_OK;
}

void kb_crypto_forget_keys(struct kb_crypto *crypto)
{
    EVP_CIPHER_CTX_reset(crypto->encrypt);
    EVP_CIPHER_CTX_reset(crypto->decrypt);
    crypto->encrypt_size = crypto->decrypt_size = 0;
}

size_t kb_crypto_cbc_size(size_t size)
{
    return size / KB_AES_BLOCK * KB_AES_BLOCK + KB_AES_BLOCK;
}

enum kb_status kb_crypto_cbc_encrypt(struct kb_crypto *crypto, uint8_t *out,
                                     const uint8_t iv[KB_AES_BLOCK], struct kb_bytes in,
                                     struct kb_error *err)
{
    int head = 0, tail = 0;

    if (in.size > INT_MAX - KB_AES_BLOCK ||
        EVP_EncryptInit_ex(crypto->encrypt, NULL, NULL, NULL, iv) != 1 ||
        EVP_EncryptUpdate(crypto->encrypt, out, &head, in.data, (int)in.size) != 1 ||
        EVP_EncryptFinal_ex(crypto->encrypt, out + head, &tail) != 1)
        return kb_openssl_failure(err, "AES-CBC");
    return KB_OK;
}

enum kb_status kb_crypto_cbc_decrypt(struct kb_crypto *crypto, uint8_t *out, size_t *size,
                                     const uint8_t iv[KB_AES_BLOCK], struct kb_bytes in,
                                     struct kb_error *err)
{
    int head = 0, tail = 0;

    *size = 0;
    if (in.size == 0 || in.size % KB_AES_BLOCK || in.size > INT_MAX - KB_AES_BLOCK)
        return kb_openssl_refusal(err);
    if (EVP_DecryptInit_ex(crypto->decrypt, NULL, NULL, NULL, iv) != 1)
        return kb_openssl_failure(err, "AES-CBC");
    if (EVP_DecryptUpdate(crypto->decrypt, out, &head, in.data, (int)in.size) != 1 ||
        EVP_DecryptFinal_ex(crypto->decrypt, out + head, &tail) != 1)
        return kb_openssl_refusal(err);
    *size = (size_t)head + (size_t)tail;
    return KB_OK;
}
