/* SPDX-License-Identifier: Apache-2.0
 *
 * Undoes the paddings of raw RSA decryption, without telling by time or by
 * memory that is read what was wrong with them.
 */
/* RSA_padding_check_PKCS1_OAEP_mgf1 has no successor that takes a block. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "crypto/asymmetric.h"

#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "crypto/oaep.h"

enum { BLOCK_MAX = KB_RSA_BITS_MAX / 8 };

bool kb_oaep_hashes(enum kb_wrap_algorithm algorithm, const EVP_MD **hash, const EVP_MD **mgf)
{
    *hash = NULL;
    *mgf = EVP_sha1();
    switch (algorithm) {
    case KB_WRAP_OAEP_SHA1:
    case KB_WRAP_S3_GCM:
    case KB_WRAP_S3_115:
        *hash = EVP_sha1();
        break;
    case KB_WRAP_OAEP_SHA256:
        *hash = EVP_sha256();
        break;
    case KB_WRAP_OAEP_SHA384:
        *hash = EVP_sha384();
        break;
    case KB_WRAP_OAEP_SHA512:
        *hash = EVP_sha512();
        break;
    case KB_WRAP_OAEP_SHA256_MGF_SHA256:
        *hash = *mgf = EVP_sha256();
        break;
    case KB_WRAP_OAEP_SHA384_MGF_SHA384:
        *hash = *mgf = EVP_sha384();
        break;
    case KB_WRAP_OAEP_SHA512_MGF_SHA512:
        *hash = *mgf = EVP_sha512();
        break;
    default:
        break;
    }
    return *hash != NULL;
}

bool kb_oaep_decode(enum kb_wrap_algorithm algorithm, struct kb_bytes block, uint8_t *out,
                    size_t room, size_t *size)
{
    uint8_t message[BLOCK_MAX] = {0};
    const EVP_MD *hash, *mgf;
    int made;

    *size = 0;
    if (block.size > BLOCK_MAX || !kb_oaep_hashes(algorithm, &hash, &mgf))
        return false;
    if (room > sizeof message)
        room = sizeof message;
    /* Its error goes into OpenSSL's list in constant time too. */
    made = RSA_padding_check_PKCS1_OAEP_mgf1(message, (int)room, block.data, (int)block.size,
                                             (int)block.size, NULL, 0, hash, mgf);
    ERR_clear_error();
    if (made > 0) {
        memcpy(out, message, (size_t)made);
        *size = (size_t)made;
    }
    kb_wipe(message, sizeof message);
    return made >= 0;
}

/* One byte of size in front, and behind it the content algorithm, which binds
 * the data key to that (S3 Encryption Client specification, RSA keyring). */
static struct kb_bytes frame_end(enum kb_wrap_algorithm algorithm)
{
    return algorithm == KB_WRAP_S3_GCM   ? kb_bytes_text("AES/GCM/NoPadding")
           : algorithm == KB_WRAP_S3_115 ? kb_bytes_text("115")
                                         : (struct kb_bytes){NULL, 0};
}

size_t kb_oaep_frame(enum kb_wrap_algorithm algorithm, uint8_t *framed, struct kb_bytes key)
{
    struct kb_bytes end = frame_end(algorithm);
    size_t before = end.size ? 1 : 0;

    framed[0] = (uint8_t)key.size;
    memcpy(framed + before, key.data, key.size);
    if (end.size)
        memcpy(framed + before + key.size, end.data, end.size);
    return before + key.size + end.size;
}

bool kb_oaep_unframe(enum kb_wrap_algorithm algorithm, uint8_t *message, size_t *size)
{
    struct kb_bytes end = frame_end(algorithm);
    size_t key = *size - 1 - end.size;

    if (!end.size)
        return true;
    if (*size < 1 + end.size || message[0] != key ||
        memcmp(message + 1 + key, end.data, end.size) != 0)
        return false;
    memmove(message, message + 1, key);
    *size = key;
    return true;
}

/* --- PKCS#1 v1.5 ------------------------------------------------------------------ */

/* 0xff for 0, else 0. */
static uint8_t is_zero(uint8_t value)
{
    return (uint8_t)((((uint32_t)value - 1) >> 8) & 0xff);
}

static uint8_t choose(uint8_t mask, uint8_t a, uint8_t b)
{
    return (uint8_t)((mask & a) | (~mask & b));
}

size_t kb_pkcs1_decode(struct kb_bytes block, const uint8_t otherwise[32], uint8_t out[32])
{
    static const uint8_t lengths[] = {16, 24, 32};
    size_t size = block.size;
    uint8_t made = 32;

    memcpy(out, otherwise, 32);
    if (size < 11 + 32)
        return made;
    /* EM = 00 02 PS 00 M (RFC 8017 section 7.2.1): M has one of three lengths,
     * so that there are three places for the zero and nothing to search for. */
    for (size_t l = 0; l < sizeof lengths; l++) {
        size_t start = size - lengths[l];
        uint8_t good = is_zero(block.data[0]) & is_zero(block.data[1] ^ 2) &
                       is_zero(block.data[start - 1]);

        for (size_t i = 2; i < start - 1; i++)
            good &= (uint8_t)~is_zero(block.data[i]);
        for (size_t i = 0; i < lengths[l]; i++)
            out[i] = choose(good, block.data[start + i], out[i]);
        made = choose(good, lengths[l], made);
    }
    return made;
}
