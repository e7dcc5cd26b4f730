/* SPDX-License-Identifier: Apache-2.0 */
#include "pkeys.h"

#include <stdio.h>
#include <stdlib.h>

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

EVP_PKEY *pkey_rsa(int bits)
{
    return EVP_RSA_gen((unsigned)bits);
}

EVP_PKEY *pkey_of(enum kb_key_type type)
{
    static EVP_PKEY *made[KB_KEY_EC + 1];

    if (!made[type])
        made[type] = type == KB_KEY_RSA_2048   ? pkey_rsa(2048)
                     : type == KB_KEY_RSA_3072 ? pkey_rsa(3072)
                     : type == KB_KEY_RSA_4096 ? pkey_rsa(4096)
                     : type == KB_KEY_EC_P256  ? EVP_EC_gen("P-256")
                                               : EVP_EC_gen("P-384");
    if (!made[type]) {
        fprintf(stderr, "OpenSSL made no key\n");
        exit(1);
    }
    return made[type];
}

static void take(BIO *bio, bool good, struct kb_buffer *out)
{
    char *data;
    long size = BIO_get_mem_data(bio, &data);

    kb_buffer_reset(out);
    if (good && size > 0)
        kb_buffer_put(out, data, (size_t)size);
    BIO_free(bio);
}

void pkey_pkcs8(EVP_PKEY *key, bool pem, struct kb_buffer *out)
{
    BIO *bio = BIO_new(BIO_s_mem());

    take(bio, pem ? PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL)
                  : i2d_PKCS8PrivateKey_bio(bio, key, NULL, NULL, 0, NULL, NULL),
         out);
}

void pkey_spki(EVP_PKEY *key, bool pem, struct kb_buffer *out)
{
    BIO *bio = BIO_new(BIO_s_mem());

    take(bio, pem ? PEM_write_bio_PUBKEY(bio, key) : i2d_PUBKEY_bio(bio, key), out);
}

EVP_PKEY *pkey_from_spki(struct kb_bytes der)
{
    const uint8_t *next = der.data;

    return d2i_PUBKEY(NULL, &next, (long)der.size);
}

static const struct {
    const char *hash;
    const char *mgf;
} names[] = {
    [KB_WRAP_OAEP_SHA1] = {"SHA1", "SHA1"},
    [KB_WRAP_OAEP_SHA256] = {"SHA256", "SHA1"},
    [KB_WRAP_OAEP_SHA384] = {"SHA384", "SHA1"},
    [KB_WRAP_OAEP_SHA512] = {"SHA512", "SHA1"},
    [KB_WRAP_OAEP_SHA256_MGF_SHA256] = {"SHA256", "SHA256"},
    [KB_WRAP_OAEP_SHA384_MGF_SHA384] = {"SHA384", "SHA384"},
    [KB_WRAP_OAEP_SHA512_MGF_SHA512] = {"SHA512", "SHA512"},
};

static bool set_up(EVP_PKEY_CTX *context, enum kb_wrap_algorithm algorithm)
{
    if (algorithm == KB_WRAP_PKCS1)
        return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) == 1;
    return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_OAEP_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_oaep_md_name(context, names[algorithm].hash, NULL) == 1 &&
           EVP_PKEY_CTX_set_rsa_mgf1_md_name(context, names[algorithm].mgf, NULL) == 1;
}

bool pkey_encrypt(EVP_PKEY *key, enum kb_wrap_algorithm algorithm, struct kb_bytes in,
                  uint8_t *out, size_t *size)
{
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(key, NULL);
    bool good;

    *size = (size_t)EVP_PKEY_get_size(key);
    good = EVP_PKEY_encrypt_init(context) == 1 && set_up(context, algorithm) &&
           EVP_PKEY_encrypt(context, out, size, in.data, in.size) == 1;
    EVP_PKEY_CTX_free(context);
    return good;
}

bool pkey_decrypt(EVP_PKEY *key, enum kb_wrap_algorithm algorithm, struct kb_bytes in,
                  uint8_t *out, size_t *size)
{
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(key, NULL);
    bool good;

    *size = (size_t)EVP_PKEY_get_size(key);
    good = EVP_PKEY_decrypt_init(context) == 1 && set_up(context, algorithm) &&
           EVP_PKEY_decrypt(context, out, size, in.data, in.size) == 1;
    EVP_PKEY_CTX_free(context);
    return good;
}

bool pkey_raw(EVP_PKEY *key, struct kb_bytes in, uint8_t *out, size_t *size)
{
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(key, NULL);
    bool good;

    *size = (size_t)EVP_PKEY_get_size(key);
    good = EVP_PKEY_decrypt_init(context) == 1 &&
           EVP_PKEY_CTX_set_rsa_padding(context, RSA_NO_PADDING) == 1 &&
           EVP_PKEY_decrypt(context, out, size, in.data, in.size) == 1;
    EVP_PKEY_CTX_free(context);
    return good;
}

bool pkey_verify(EVP_PKEY *key, enum kb_hash hash, struct kb_bytes message,
                 const struct kb_signature *signature)
{
    static const char *const hashes[] = {"SHA224", "SHA256", "SHA384", "SHA512"};
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool good = EVP_DigestVerifyInit_ex(context, NULL, hashes[hash], NULL, NULL, key, NULL) == 1 &&
                EVP_DigestVerify(context, signature->data, signature->size, message.data,
                                 message.size) == 1;

    EVP_MD_CTX_free(context);
    return good;
}
