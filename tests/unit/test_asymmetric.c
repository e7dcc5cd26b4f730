/* SPDX-License-Identifier: Apache-2.0
 *
 * RSA and EC outside the token: encodings, paddings, ECDSA as DER, HKDF.
 */
#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "crypto/asymmetric.h"
#include "crypto/crypto.h"
#include "kbtest.h"

static struct kb_bytes view(const void *data, size_t size)
{
    return (struct kb_bytes){data, size};
}

/* --- PKCS#1 v1.5 ---------------------------------------------------------------------- */

static size_t pad(uint8_t block[256], size_t length)
{
    memset(block, 0x5a, 256);
    block[0] = 0;
    block[1] = 2;
    block[256 - length - 1] = 0;
    for (size_t i = 0; i < length; i++)
        block[256 - length + i] = (uint8_t)(i + 1);
    return 256;
}

static void pkcs1_by_every_byte(void)
{
    uint8_t block[256], otherwise[32], out[32];

    memset(otherwise, 0xee, sizeof otherwise);
    for (size_t length = 0; length <= 64; length++) {
        bool fits = length == 16 || length == 24 || length == 32;

        (void)pad(block, length);
        CU_ASSERT_EQUAL(kb_pkcs1_decode(view(block, 256), otherwise, out), fits ? length : 32);
        CU_ASSERT_EQUAL(memcmp(out, fits ? block + 256 - length : otherwise, fits ? length : 32),
                        0);
        /* Every zero before the message's, and every head, is a wrong one. */
        for (size_t i = 0; fits && i < 256 - length; i++)
            for (int value = 0; value < 256; value += i < 2 || i == 255 - length ? 1 : 255) {
                bool right = i == 0                ? value == 0
                             : i == 1              ? value == 2
                             : i == 256 - length - 1 ? value == 0
                                                   : value != 0;
                uint8_t before = block[i];

                /* A zero at another place for it begins another message. */
                if (value == 0 && i > 2 && (255 - i == 32 || 255 - i == 24))
                    right = true;
                block[i] = (uint8_t)value;
                (void)kb_pkcs1_decode(view(block, 256), otherwise, out);
                CU_ASSERT_EQUAL(memcmp(out, otherwise, length < 32 ? length : 32) != 0, right);
                block[i] = before;
            }
    }
    for (size_t size = 0; size < 43; size++)
        CU_ASSERT_EQUAL(kb_pkcs1_decode(view(block, size), otherwise, out), 32);
}

/* --- OAEP ---------------------------------------------------------------------------------- */

static void oaep_takes_no_nonsense(void)
{
    uint8_t block[600] = {0}, out[512];
    size_t size = 1;

    for (size_t length = 0; length <= sizeof block; length++)
        for (int a = KB_WRAP_AES; a <= KB_WRAP_PKCS1; a++) {
            CU_ASSERT_FALSE(kb_oaep_decode((enum kb_wrap_algorithm)a, view(block, length), out,
                                           sizeof out, &size));
            CU_ASSERT_EQUAL(size, 0);
        }
    CU_ASSERT_FALSE(kb_oaep_decode((enum kb_wrap_algorithm)99, view(block, 256), out, sizeof out,
                                   &size));
}

/* --- ECDSA ------------------------------------------------------------------------------------ */

static void ecdsa_as_der(void)
{
    uint8_t raw[134], der[160];

    for (size_t half = 0; half <= 67; half++) {
        memset(raw, 0xff, sizeof raw);
        for (size_t zeros = 0; zeros <= half; zeros++) {
            size_t size, want;

            if (zeros)
                raw[zeros - 1] = 0;
            size = kb_ecdsa_to_der(view(raw, 2 * half), der, sizeof der);
            want = half == 0 || half > 66 || zeros == half
                       ? 0
                       : (half - zeros + 1 + 2) + (half + 1 + 2);
            if (want)
                want += want < 128 ? 2 : 3;
            CU_ASSERT_EQUAL(size, want);
            if (want) {
                CU_ASSERT_EQUAL(kb_ecdsa_to_der(view(raw, 2 * half), der, want - 1), 0);
                CU_ASSERT_EQUAL(der[0], 0x30);
            }
        }
    }
    CU_ASSERT_EQUAL(kb_ecdsa_to_der(view(raw, 63), der, sizeof der), 0);
    raw[0] = raw[1] = 1; /* no sign byte where the top bit is clear */
    CU_ASSERT_EQUAL(kb_ecdsa_to_der(view(raw, 2), der, sizeof der), 8);
    CU_ASSERT_EQUAL(memcmp(der, "\x30\x06\x02\x01\x01\x02\x01\x01", 8), 0);
}

/* --- encodings -------------------------------------------------------------------------------- */

static size_t spki_of(EVP_PKEY *key, uint8_t out[1024])
{
    int size = i2d_PUBKEY(key, &out);

    return size > 0 ? (size_t)size : 0;
}

/* Every cut is refused, and no flipped byte makes it crash; what is still read
 * can be written, and read again. */
static void public_keys_under_attack(void)
{
    EVP_PKEY *keys[] = {EVP_RSA_gen(1024), EVP_EC_gen("P-256"), EVP_EC_gen("P-384")};
    struct kb_error err = {0};

    for (size_t k = 0; k < 3; k++) {
        uint8_t der[1024];
        size_t size = spki_of(keys[k], der);
        struct kb_buffer again = KB_BUFFER_INIT(1024);
        struct kb_key_parts parts;
        struct kb_public_key *public;

        KBT_OK(kb_key_parts_read(&parts, view(der, size), true, &err), &err);
        KBT_OK(kb_key_parts_format(&again, &parts, &err), &err);
        KBT_BYTES(kb_buffer_view(&again), view(der, size));
        kb_key_parts_free(&parts);
        for (size_t cut = 0; cut < size; cut++) {
            kb_error_clear(&err);
            CU_ASSERT_EQUAL(kb_key_parts_read(&parts, view(der, cut), true, &err), KB_ERR_INPUT);
            kb_key_parts_free(&parts);
            CU_ASSERT_EQUAL(kb_public_key_new(&public, view(der, cut), NULL), KB_ERR_INPUT);
            CU_ASSERT_PTR_NULL(public);
        }
        for (size_t i = 0; i < size; i++) {
            der[i] ^= 0x41;
            kb_error_clear(&err);
            if (kb_key_parts_read(&parts, view(der, size), true, &err) == KB_OK) {
                kb_buffer_reset(&again);
                (void)!kb_key_parts_format(&again, &parts, NULL);
            }
            kb_key_parts_free(&parts);
            der[i] ^= 0x41;
        }
        kb_buffer_free(&again);
        EVP_PKEY_free(keys[k]);
    }
}

static void numbers_that_make_no_key(void)
{
    static const uint8_t even[128] = {0xc0}, one[] = {1}, three[] = {3};
    static const uint8_t p256[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
    static const uint8_t off[67] = {0x04, 0x41, 0x04, 1};
    struct kb_key_parts rows[] = {
        {.bits = 0},
        {.modulus = {even, sizeof even}, .public_exponent = {three, 1}},
        {.modulus = {three, 1}, .public_exponent = {three, 1}},
        {.modulus = {three, 1}, .public_exponent = {one, 1}},
        {.modulus = {three, 1}},
        {.curve = {p256, sizeof p256}},
        {.curve = {p256, sizeof p256}, .point = {off, sizeof off}},
        {.curve = {p256, sizeof p256 - 1}, .point = {off, sizeof off}},
    };
    struct kb_buffer out = KB_BUFFER_INIT(1024);

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        CU_ASSERT_EQUAL(kb_key_parts_format(&out, &rows[i], NULL), KB_ERR_INPUT);
    CU_ASSERT_EQUAL(out.size, 0);
    kb_buffer_free(&out);
}

static void types_and_curves(void)
{
    CU_ASSERT_EQUAL(kb_rsa_type(2048), KB_KEY_RSA_2048);
    CU_ASSERT_EQUAL(kb_rsa_type(3072), KB_KEY_RSA_3072);
    CU_ASSERT_EQUAL(kb_rsa_type(4096), KB_KEY_RSA_4096);
    CU_ASSERT_EQUAL(kb_rsa_type(2047), KB_KEY_RSA);
    for (enum kb_key_type type = KB_KEY_EC_P256; type <= KB_KEY_EC_P384; type++)
        CU_ASSERT_EQUAL(kb_type_of_curve(kb_curve_of_type(type)), type);
    CU_ASSERT_EQUAL(kb_curve_of_type(KB_KEY_AES_128).size, 0);
    CU_ASSERT_EQUAL(kb_type_of_curve(view("x", 1)), KB_KEY_TYPE_UNKNOWN);
}

/* --- HKDF (RFC 5869 appendix A.1) ------------------------------------------------------------- */

static void hkdf_known_answer(void)
{
    static const uint8_t want[42] = {
        0x3c, 0xb2, 0x5f, 0x25, 0xfa, 0xac, 0xd5, 0x7a, 0x90, 0x43, 0x4f, 0x64, 0xd0, 0x36,
        0x2f, 0x2a, 0x2d, 0x2d, 0x0a, 0x90, 0xcf, 0x1a, 0x5a, 0x4c, 0x5d, 0xb0, 0x2d, 0x56,
        0xec, 0xc4, 0xc5, 0xbf, 0x34, 0x00, 0x72, 0x08, 0xd5, 0xb8, 0x87, 0x18, 0x58, 0x65};
    static uint8_t out[255 * 32 + 1];
    uint8_t key[22], salt[13], info[10];
    struct kb_hkdf_input input = {view(key, 22), view(salt, 13), view(info, 10)};
    struct kb_error err = {0};

    memset(key, 0x0b, sizeof key);
    for (uint8_t i = 0; i < 13; i++)
        salt[i] = i;
    for (uint8_t i = 0; i < 10; i++)
        info[i] = (uint8_t)(0xf0 + i);
    KBT_OK(kb_hkdf(KB_SHA256, &input, out, sizeof want, &err), &err);
    KBT_BYTES(view(out, sizeof want), view(want, sizeof want));
    KBT_OK(kb_hkdf(KB_SHA256, &input, out, sizeof out - 1, &err), &err);
    CU_ASSERT_EQUAL(kb_hkdf(KB_SHA256, &input, out, sizeof out, NULL), KB_ERR_USAGE);
    CU_ASSERT_EQUAL(kb_hkdf(KB_SHA256, &input, out, 0, NULL), KB_ERR_USAGE);
    CU_ASSERT_EQUAL(kb_hkdf((enum kb_hash)9, &input, out, 16, NULL), KB_ERR_USAGE);
    input = (struct kb_hkdf_input){.key = view(key, 22)};
    KBT_OK(kb_hkdf(KB_SHA384, &input, out, 48, &err), &err);
}

static const struct kbtest tests[] = {
    {"pkcs1_by_every_byte", pkcs1_by_every_byte},
    {"oaep_takes_no_nonsense", oaep_takes_no_nonsense},
    {"ecdsa_as_der", ecdsa_as_der},
    {"public_keys_under_attack", public_keys_under_attack},
    {"numbers_that_make_no_key", numbers_that_make_no_key},
    {"types_and_curves", types_and_curves},
    {"hkdf_known_answer", hkdf_known_answer},
    {NULL, NULL},
};

int main(int argc, char **argv)
{
    return kbtest_main("asymmetric", tests, argc, argv);
}
