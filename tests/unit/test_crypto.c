/* SPDX-License-Identifier: Apache-2.0
 *
 * src/crypto, and OpenSSL where the token tests take it as their measure:
 * Wycheproof's AES-CBC, AES key wrap and HMAC.
 */
#include "crypto/crypto.h"
#include "crypto/digest.h"
#include "wycheproof.h"

#include <openssl/evp.h>
#include <string.h>

static struct kb_crypto *crypto;

static void check_cbc(const struct wycheproof *vector)
{
    uint8_t out[4096];
    size_t size = 0;
    enum kb_status status;

    KBT_OK(kb_crypto_cbc_key(crypto, false, vector->key, NULL), NULL);
    status = kb_crypto_cbc_decrypt(crypto, out, &size, vector->iv.data, vector->ct, NULL);
    CU_ASSERT_EQUAL(status, vector->valid ? KB_OK : KB_ERR_AUTH);
    if (!vector->valid)
        return;
    KBT_BYTES(((struct kb_bytes){out, size}), vector->msg);
    KBT_OK(kb_crypto_cbc_key(crypto, true, vector->key, NULL), NULL);
    KBT_OK(kb_crypto_cbc_encrypt(crypto, out, vector->iv.data, vector->msg, NULL), NULL);
    KBT_BYTES(((struct kb_bytes){out, kb_crypto_cbc_size(vector->msg.size)}), vector->ct);
}

static void test_cbc(void)
{
    KBT_OK(kb_crypto_new(&crypto, NULL), NULL);
    wycheproof_each("wycheproof/aes_cbc_pkcs5_test.json", check_cbc);
    kb_crypto_free(crypto);
}

/* Bytes unwrapped by OpenSSL, or -1. */
static int unwrap(uint8_t *out, struct kb_bytes key, struct kb_bytes wrapped)
{
    const EVP_CIPHER *cipher = key.size == 16   ? EVP_aes_128_wrap()
                               : key.size == 24 ? EVP_aes_192_wrap()
                                                : EVP_aes_256_wrap();
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    int size = -1;

    EVP_CIPHER_CTX_set_flags(context, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
    if (EVP_DecryptInit_ex(context, cipher, NULL, key.data, NULL) != 1 || wrapped.size == 0 ||
        EVP_DecryptUpdate(context, out, &size, wrapped.data, (int)wrapped.size) != 1)
        size = -1;
    EVP_CIPHER_CTX_free(context);
    return size;
}

static void check_wrap(const struct wycheproof *vector)
{
    uint8_t out[4096];
    int size = unwrap(out, vector->key, vector->ct);

    if (vector->valid)
        KBT_BYTES(((struct kb_bytes){out, size < 0 ? 0 : (size_t)size}), vector->msg);
    else if (!vector->acceptable)
        CU_ASSERT_TRUE(size <= 0);
}

static void test_wrap(void)
{
    wycheproof_each("wycheproof/aes_wrap_test.json", check_wrap);
}

static void check_hmac(const struct wycheproof *vector, enum kb_hash hash)
{
    size_t bits = (size_t)json_integer_value(json_object_get(vector->group, "tagSize"));
    uint8_t mac[KB_HASH_SIZE_MAX];

    KBT_OK(kb_hmac(mac, hash, vector->key, vector->msg, NULL), NULL);
    CU_ASSERT_EQUAL(kb_bytes_equal((struct kb_bytes){mac, bits / 8}, vector->tag), vector->valid);
}

static void check_hmac_256(const struct wycheproof *vector)
{
    check_hmac(vector, KB_SHA256);
}

static void check_hmac_384(const struct wycheproof *vector)
{
    check_hmac(vector, KB_SHA384);
}

static void check_hmac_512(const struct wycheproof *vector)
{
    check_hmac(vector, KB_SHA512);
}

static void test_hmac(void)
{
    wycheproof_each("wycheproof/hmac_sha256_test.json", check_hmac_256);
    wycheproof_each("wycheproof/hmac_sha384_test.json", check_hmac_384);
    wycheproof_each("wycheproof/hmac_sha512_test.json", check_hmac_512);
}

/* FIPS 180-4's example, in parts, twice with one context. */
static void test_sha256(void)
{
    static const uint8_t want[] = {0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea,
                                   0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23,
                                   0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c,
                                   0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad};
    struct kb_bytes parts[] = {kb_bytes_text("a"), kb_bytes_text(""), kb_bytes_text("bc")};
    uint8_t hash[KB_SHA256_SIZE];

    KBT_OK(kb_crypto_new(&crypto, NULL), NULL);
    for (int i = 0; i < 2; i++) {
        KBT_OK(kb_crypto_sha256(crypto, hash, parts, 3, NULL), NULL);
        KBT_BYTES(((struct kb_bytes){hash, sizeof hash}), ((struct kb_bytes){want, sizeof want}));
    }
    kb_crypto_free(crypto);
}

/* Keys of every size in turn on one context, and none behind forget. */
static void test_keys(void)
{
    static const uint8_t zero[64] = {0};
    uint8_t there[32], back[32];
    size_t size;

    KBT_OK(kb_crypto_new(&crypto, NULL), NULL);
    for (size_t i = 0; i < 12; i++) {
        struct kb_bytes key = {zero, 16 + i % 3 * 8};
        struct kb_bytes text = {zero, i};

        KBT_OK(kb_crypto_cbc_key(crypto, true, key, NULL), NULL);
        KBT_OK(kb_crypto_cbc_key(crypto, false, key, NULL), NULL);
        KBT_OK(kb_crypto_cbc_encrypt(crypto, there, zero, text, NULL), NULL);
        KBT_OK(kb_crypto_cbc_decrypt(crypto, back, &size, zero,
                                     (struct kb_bytes){there, kb_crypto_cbc_size(i)}, NULL),
               NULL);
        KBT_BYTES(((struct kb_bytes){back, size}), text);
        if (i % 4 == 3)
            kb_crypto_forget_keys(crypto);
    }
    CU_ASSERT_EQUAL(kb_crypto_cbc_encrypt(crypto, there, zero, (struct kb_bytes){zero, 1}, NULL),
                    KB_ERR_SYSTEM);
    CU_ASSERT_EQUAL(kb_crypto_cbc_key(crypto, true, (struct kb_bytes){zero, 17}, NULL),
                    KB_ERR_USAGE);
    for (size_t bad = 0; bad < 48; bad++)
        if (bad % 16)
            CU_ASSERT_EQUAL(kb_crypto_cbc_decrypt(crypto, back, &size, zero,
                                                  (struct kb_bytes){zero, bad}, NULL),
                            KB_ERR_AUTH);
    kb_crypto_free(crypto);
}

static void test_digest_peek(void)
{
    struct kb_digest *digest;
    uint8_t got[32], want[32];
    struct kb_error err = {0};

    KBT_OK(kb_digest_new(&digest, KB_DIGEST_SHA256, &err), &err);
    for (size_t i = 0; i <= 3; i++) {
        KBT_OK(kb_digest_peek(digest, got, &err), &err);
        KBT_OK(kb_digest_once(want, KB_DIGEST_SHA256, (struct kb_bytes){(const uint8_t *)"abc", i},
                              &err),
               &err);
        KBT_BYTES(((struct kb_bytes){got, 32}), ((struct kb_bytes){want, 32}));
        KBT_OK(kb_digest_update(digest, (struct kb_bytes){(const uint8_t *)"abc" + i, i < 3}, &err),
               &err);
    }
    kb_digest_free(digest);
}

int main(int argc, char **argv)
{
    static const struct kbtest tests[] = {
        {"SHA-256 in parts", test_sha256},
        {"digest so far", test_digest_peek},
        {"AES-CBC: keys of every size", test_keys},
        {"Wycheproof: AES-CBC with PKCS#7", test_cbc},
        {"Wycheproof: AES key wrap (OpenSSL)", test_wrap},
        {"Wycheproof: HMAC", test_hmac},
        {NULL, NULL},
    };

    return kbtest_main("crypto", tests, argc, argv);
}
