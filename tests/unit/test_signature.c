/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/signature.h"
#include "kbtest.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

static const enum kb_hash hashes[] = {KB_SHA256, KB_SHA384};
static const size_t usual[] = {71, 103};

/* Makes a key, signs the text with it, in two parts. */
static void sign(enum kb_hash hash, const char *text, struct kb_buffer *point,
                 struct kb_buffer *der)
{
    struct kb_signature_stream *stream;
    struct kb_bytes bytes = kb_bytes_text(text);
    uint8_t out[KB_ECDSA_DER_MAX], key[KB_POINT_MAX];
    size_t size, half = bytes.size / 2;

    KBT_OK(kb_signature_make(&stream, hash, key, &size, NULL), NULL);
    kb_buffer_put(point, key, size);
    KBT_OK(kb_signature_update(stream, (struct kb_bytes){bytes.data, half}, NULL), NULL);
    KBT_OK(kb_signature_update(stream, (struct kb_bytes){bytes.data + half, bytes.size - half},
                               NULL),
           NULL);
    KBT_OK(kb_signature_sign(stream, out, &size, NULL), NULL);
    kb_buffer_put(der, out, size);
    kb_signature_stream_free(stream);
}

static enum kb_status verify(enum kb_hash hash, const char *text, struct kb_bytes point,
                             struct kb_bytes der)
{
    struct kb_signature_stream *stream;
    struct kb_error err = {0};
    enum kb_status status = kb_signature_check(&stream, hash, point, &err);

    if (status != KB_OK)
        return status;
    KBT_OK(kb_signature_update(stream, kb_bytes_text(text), &err), &err);
    status = kb_signature_verify(stream, der, &err);
    if (status != KB_OK)
        CU_ASSERT_STRING_EQUAL(kb_error_text(&err), kb_status_sentence(KB_ERR_AUTH));
    kb_signature_stream_free(stream);
    return status;
}

/* The numbers are random: what is rare (a short r or s) comes in so many. */
static void test_length(void)
{
    static const int times[] = {600, 60};

    for (size_t i = 0; i < 2; i++) {
        for (int n = 0; n < times[i]; n++) {
            struct kb_buffer point = KB_BUFFER_INIT(100), der = KB_BUFFER_INIT(200);
            char text[32];

            snprintf(text, sizeof text, "%d messages", n);
            sign(hashes[i], n ? text : "", &point, &der);
            CU_ASSERT_EQUAL(point.size, i ? 49 : 33);
            CU_ASSERT_EQUAL(der.size, usual[i]);
            CU_ASSERT_EQUAL(verify(hashes[i], n ? text : "", kb_buffer_view(&point),
                                   kb_buffer_view(&der)),
                            KB_OK);
            CU_ASSERT_EQUAL(verify(hashes[i], "another", kb_buffer_view(&point),
                                   kb_buffer_view(&der)),
                            KB_ERR_AUTH);
            kb_buffer_free(&point);
            kb_buffer_free(&der);
        }
    }
}

static void test_flipped(void)
{
    for (size_t i = 0; i < 2; i++) {
        struct kb_buffer point = KB_BUFFER_INIT(100), der = KB_BUFFER_INIT(200);
        struct kb_bytes key, good;

        sign(hashes[i], "text", &point, &der);
        key = kb_buffer_view(&point);
        good = kb_buffer_view(&der);
        for (size_t at = 0; at < der.size; at++) {
            der.data[at] ^= (uint8_t)(1 << at % 8);
            CU_ASSERT_EQUAL(verify(hashes[i], "text", key, good), KB_ERR_AUTH);
            der.data[at] ^= (uint8_t)(1 << at % 8);
            CU_ASSERT_EQUAL(verify(hashes[i], "text", key, (struct kb_bytes){good.data, at}),
                            KB_ERR_AUTH);
        }
        for (size_t at = 0; at < point.size; at++) {
            point.data[at] ^= 1;
            CU_ASSERT_NOT_EQUAL(verify(hashes[i], "text", key, good), KB_OK);
            point.data[at] ^= 1;
        }
        CU_ASSERT_EQUAL(verify(hashes[i], "text", key, good), KB_OK);
        kb_buffer_put_u8(&der, 0);
        CU_ASSERT_EQUAL(verify(hashes[i], "text", key, kb_buffer_view(&der)), KB_ERR_AUTH);
        kb_buffer_free(&point);
        kb_buffer_free(&der);
    }
}

/* Bytes that are no point; *stream must be NULL then. */
static void refuse(enum kb_hash hash, const uint8_t *bytes, size_t size, enum kb_status want)
{
    struct kb_signature_stream *stream = (struct kb_signature_stream *)(uintptr_t)bytes;
    struct kb_error err = {0};

    CU_ASSERT_EQUAL(kb_signature_check(&stream, hash, (struct kb_bytes){bytes, size}, &err), want);
    CU_ASSERT_PTR_NULL(stream);
    CU_ASSERT_NOT_EQUAL(err.text[0], 0);
}

static void test_points(void)
{
    for (size_t i = 0; i < 2; i++) {
        struct kb_buffer point = KB_BUFFER_INIT(100), der = KB_BUFFER_INIT(200);
        uint8_t bytes[128] = {0};
        unsigned on_curve = 0;

        sign(hashes[i], "text", &point, &der);
        memcpy(bytes, point.data, point.size);
        for (size_t size = 0; size < sizeof bytes; size++)
            if (size != point.size)
                refuse(hashes[i], bytes, size, KB_ERR_INPUT);
        for (unsigned first = 0; first < 256; first++) {
            bytes[0] = (uint8_t)first;
            if (first != 2 && first != 3)
                refuse(hashes[i], bytes, point.size, KB_ERR_INPUT);
        }
        bytes[0] = 2;
        memset(bytes + 1, 0xff, sizeof bytes - 1); /* x is not below the field's prime */
        refuse(hashes[i], bytes, point.size, KB_ERR_INPUT);
        memset(bytes + 1, 0, sizeof bytes - 1);
        for (unsigned x = 0; x < 100; x++) { /* about half of all x have a y */
            struct kb_signature_stream *stream;

            bytes[point.size - 1] = (uint8_t)x;
            on_curve += kb_signature_check(&stream, hashes[i],
                                           (struct kb_bytes){bytes, point.size}, NULL) == KB_OK;
            kb_signature_stream_free(stream);
        }
        CU_ASSERT_TRUE(on_curve > 20 && on_curve < 80);
        refuse(hashes[1 - i], point.data, point.size, KB_ERR_INPUT);
        refuse(KB_SHA512, point.data, point.size, KB_ERR_USAGE);
        kb_buffer_free(&point);
        kb_buffer_free(&der);
    }
}

/* Signatures of all lengths, as OpenSSL makes them by itself. */
static void test_openssl(void)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    uint8_t *whole = NULL, point[33], der[KB_ECDSA_DER_MAX];
    bool seen[KB_ECDSA_DER_MAX + 1] = {false};

    CU_ASSERT_EQUAL_FATAL(EVP_PKEY_get1_encoded_public_key(key, &whole), 65);
    memcpy(point, whole, sizeof point);
    point[0] = 2 + whole[64] % 2;
    OPENSSL_free(whole);
    for (int n = 0; n < 400; n++) {
        EVP_MD_CTX *context = EVP_MD_CTX_new();
        size_t size = sizeof der;

        CU_ASSERT_EQUAL(EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key), 1);
        CU_ASSERT_EQUAL(EVP_DigestSign(context, der, &size, (const uint8_t *)"text", 4), 1);
        EVP_MD_CTX_free(context);
        seen[size] = true;
        CU_ASSERT_EQUAL(verify(KB_SHA256, "text", (struct kb_bytes){point, sizeof point},
                               (struct kb_bytes){der, size}),
                        KB_OK);
    }
    CU_ASSERT_TRUE(seen[70] && seen[71] && seen[72]);
    EVP_PKEY_free(key);
}

int main(int argc, char **argv)
{
    static const struct kbtest tests[] = {
        {"one length", test_length},
        {"every byte flipped, every truncation", test_flipped},
        {"what is no point", test_points},
        {"signatures of other lengths", test_openssl},
        {NULL, NULL},
    };

    return kbtest_main("signature", tests, argc, argv);
}
