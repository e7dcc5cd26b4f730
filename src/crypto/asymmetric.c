/* SPDX-License-Identifier: Apache-2.0
 *
 * What a public key does, and what a token that only signs digests leaves to
 * do.
 */
#include "crypto/asymmetric.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "crypto/oaep.h"

struct kb_public_key {
    EVP_PKEY *key;
    bool rsa;
};

static const EVP_MD *digest_of(enum kb_hash hash)
{
    switch (hash) {
    case KB_SHA224:
        return EVP_sha224();
    case KB_SHA256:
        return EVP_sha256();
    case KB_SHA384:
        return EVP_sha384();
    case KB_SHA512:
        return EVP_sha512();
    default:
        return NULL;
    }
}

enum kb_status kb_public_key_new(struct kb_public_key **out, struct kb_bytes spki,
                                 struct kb_error *err)
{
    const uint8_t *next = spki.data;
    EVP_PKEY *key = spki.size ? d2i_PUBKEY(NULL, &next, (long)spki.size) : NULL;
    bool rsa = key && EVP_PKEY_is_a(key, "RSA");
    enum kb_status status = KB_OK;

    *out = NULL;
    ERR_clear_error();
    if (!key || next != spki.data + spki.size || (!rsa && !EVP_PKEY_is_a(key, "EC")))
        status = kb_error_set(err, KB_ERR_INPUT, "not an RSA or EC public key");
    else if (rsa && (EVP_PKEY_get_bits(key) > KB_RSA_BITS_MAX ||
                     EVP_PKEY_get_bits(key) < KB_RSA_BITS_MIN))
        status = kb_error_set(err, KB_ERR_INPUT, "an RSA key has %d to %d bits, not %d",
                              KB_RSA_BITS_MIN, KB_RSA_BITS_MAX, EVP_PKEY_get_bits(key));
    if (status == KB_OK) {
        *out = malloc(sizeof **out);
        if (!*out)
            status = kb_error_set(err, KB_ERR_MEMORY, "no memory for a public key");
    }
    if (status != KB_OK) {
        EVP_PKEY_free(key);
        return status;
    }
    **out = (struct kb_public_key){key, rsa};
    return KB_OK;
}

void kb_public_key_free(struct kb_public_key *key)
{
    if (!key)
        return;
    EVP_PKEY_free(key->key);
    free(key);
}

bool kb_public_key_verify(const struct kb_public_key *key, enum kb_hash hash,
                          struct kb_bytes message, struct kb_bytes signature)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    const EVP_MD *digest = digest_of(hash);
    bool good = context && digest && signature.size &&
                EVP_DigestVerifyInit(context, NULL, digest, NULL, key->key) == 1 &&
                EVP_DigestVerify(context, signature.data, signature.size, message.data,
                                 message.size) == 1;

    EVP_MD_CTX_free(context);
    ERR_clear_error();
    return good;
}

static bool set_padding(EVP_PKEY_CTX *context, enum kb_wrap_algorithm algorithm)
{
    const EVP_MD *hash, *mgf;

    if (algorithm == KB_WRAP_PKCS1)
        return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) == 1;
    return kb_oaep_hashes(algorithm, &hash, &mgf) &&
           EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_OAEP_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_oaep_md(context, hash) == 1 &&
           EVP_PKEY_CTX_set_rsa_mgf1_md(context, mgf) == 1;
}

enum kb_status kb_public_key_wrap(const struct kb_public_key *key,
                                  enum kb_wrap_algorithm algorithm, uint8_t *out, size_t *size,
                                  struct kb_bytes plain, struct kb_error *err)
{
    uint8_t framed[KB_FRAMED_KEY_MAX];
    EVP_PKEY_CTX *context = NULL;
    size_t framed_size;
    bool good;

    *size = 0;
    if (!key->rsa || plain.size > KB_TOKEN_DATA_KEY_MAX)
        return kb_error_set(err, KB_ERR_USAGE, key->rsa ? "what is wrapped has at most 32 bytes"
                                                        : "an EC key wraps nothing");
    framed_size = kb_oaep_frame(algorithm, framed, plain);
    *size = (size_t)EVP_PKEY_get_size(key->key);
    context = EVP_PKEY_CTX_new_from_pkey(NULL, key->key, NULL);
    good = context && EVP_PKEY_encrypt_init(context) == 1 && set_padding(context, algorithm) &&
           EVP_PKEY_encrypt(context, out, size, framed, framed_size) == 1;
    EVP_PKEY_CTX_free(context);
    kb_wipe(framed, sizeof framed);
    ERR_clear_error();
    if (good)
        return KB_OK;
    *size = 0;
    return kb_error_set(err, KB_ERR_USAGE,
                        "%zu bytes cannot be wrapped by an RSA key of %d bits in this way",
                        plain.size, EVP_PKEY_get_bits(key->key));
}

size_t kb_digest(enum kb_hash hash, struct kb_bytes message, uint8_t out[64])
{
    const EVP_MD *digest = digest_of(hash);
    unsigned size = 0;

    if (!digest || EVP_Digest(message.data, message.size, out, &size, digest, NULL) != 1) {
        ERR_clear_error();
        return 0;
    }
    return size;
}

/* --- ECDSA-Sig-Value (RFC 3279 section 2.2.3) -------------------------------------- */

enum { HALF_MAX = 66 };

/* An INTEGER; at most 2 + 1 + HALF_MAX bytes. 0 for zero, which no part is. */
static size_t put_integer(uint8_t *to, struct kb_bytes number)
{
    size_t zeros = 0, size, sign;

    while (zeros < number.size && number.data[zeros] == 0)
        zeros++;
    size = number.size - zeros;
    if (size == 0)
        return 0;
    sign = number.data[zeros] >> 7;
    to[0] = 0x02;
    to[1] = (uint8_t)(size + sign);
    to[2] = 0;
    memcpy(to + 2 + sign, number.data + zeros, size);
    return 2 + sign + size;
}

size_t kb_ecdsa_to_der(struct kb_bytes raw, uint8_t *out, size_t room)
{
    uint8_t body[2 * (HALF_MAX + 3)];
    size_t half = raw.size / 2, r, s, size, head;

    if (raw.size == 0 || raw.size % 2 || half > HALF_MAX)
        return 0;
    r = put_integer(body, (struct kb_bytes){raw.data, half});
    s = put_integer(body + r, (struct kb_bytes){raw.data + half, half});
    size = r + s;
    head = size < 128 ? 2 : 3;
    if (r == 0 || s == 0 || head + size > room)
        return 0;
    out[0] = 0x30;
    out[1] = 0x81; /* the long form, when there is no place for it in one byte */
    out[head - 1] = (uint8_t)size;
    memcpy(out + head, body, size);
    return head + size;
}
