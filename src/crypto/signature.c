/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/signature.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "crypto/failure.h"

enum {
    FIELD_MAX = 48,
    HASH_MAX = 48,
    /* A signature has its usual length in all but one of 128 tries. */
    TRIES = 100,
};

/* `usual` is the length of a signature of which one number has its top bit set
 * and the other has not, and neither has a byte of zeros in front: the one that
 * half of all signatures have. */
static const struct curve {
    enum kb_hash hash;
    const char *digest;
    const char *name;
    size_t field; /* bytes of a coordinate, and of the hash */
    size_t usual;
} curves[] = {
    {KB_SHA256, "SHA256", "P-256", 32, 71},
    {KB_SHA384, "SHA384", "P-384", FIELD_MAX, 103},
};

struct kb_signature_stream {
    const struct curve *curve;
    EVP_PKEY *key;
    EVP_MD_CTX *hash;
};

static const struct curve *curve_of(enum kb_hash hash)
{
    for (size_t i = 0; i < sizeof curves / sizeof *curves; i++)
        if (curves[i].hash == hash)
            return &curves[i];
    return NULL;
}

size_t kb_signature_size(enum kb_hash hash)
{
    const struct curve *curve = curve_of(hash);

    return curve ? curve->usual : 0;
}

/* A stream without its key. */
static enum kb_status stream_new(struct kb_signature_stream **out, enum kb_hash hash,
                                 struct kb_error *err)
{
    const struct curve *curve = curve_of(hash);
    struct kb_signature_stream *stream;
    EVP_MD *digest;
    bool good;

    *out = NULL;
    if (!curve)
        return kb_error_set(err, KB_ERR_USAGE, "no curve is used with this hash");
    stream = calloc(1, sizeof *stream);
    if (!stream)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory for a signature");
    stream->curve = curve;
    stream->hash = EVP_MD_CTX_new();
    digest = EVP_MD_fetch(NULL, curve->digest, NULL);
    good = stream->hash && digest && EVP_DigestInit_ex(stream->hash, digest, NULL) == 1;
    EVP_MD_free(digest);
    if (!good) {
        kb_signature_stream_free(stream);
        return kb_openssl_failure(err, curve->digest);
    }
    *out = stream;
    return KB_OK;
}

void kb_signature_stream_free(struct kb_signature_stream *stream)
{
    if (!stream)
        return;
    EVP_PKEY_free(stream->key);
    EVP_MD_CTX_free(stream->hash);
    free(stream);
}

/* SEC 1 section 2.3.3: 02 or 03 by the lowest bit of y, then x. OpenSSL gives
 * 04, x, y. */
static bool get_point(const struct kb_signature_stream *stream, uint8_t *point, size_t *size)
{
    size_t field = stream->curve->field;
    uint8_t *whole = NULL;
    bool good = EVP_PKEY_get1_encoded_public_key(stream->key, &whole) == 1 + 2 * field;

    if (good) {
        memcpy(point, whole, 1 + field);
        point[0] = 0x02 | (whole[2 * field] & 1);
        *size = 1 + field;
    }
    OPENSSL_free(whole);
    return good;
}

enum kb_status kb_signature_make(struct kb_signature_stream **out, enum kb_hash hash,
                                 uint8_t point[KB_POINT_MAX], size_t *point_size,
                                 struct kb_error *err)
{
    struct kb_signature_stream *stream;
    enum kb_status status = stream_new(&stream, hash, err);

    *out = NULL;
    *point_size = 0;
    if (status != KB_OK)
        return status;
    stream->key = EVP_EC_gen(stream->curve->name);
    if (!stream->key || !get_point(stream, point, point_size)) {
        kb_signature_stream_free(stream);
        return kb_openssl_failure(err, "a new EC key");
    }
    *out = stream;
    return KB_OK;
}

static EVP_PKEY *key_of_point(const struct curve *curve, struct kb_bytes point)
{
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    EVP_PKEY *key = NULL;
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME,
                                         (char *)(uintptr_t)curve->name, 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, (void *)(uintptr_t)point.data,
                                          point.size),
        OSSL_PARAM_construct_end(),
    };

    if (!context || EVP_PKEY_fromdata_init(context) != 1 ||
        EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
        key = NULL;
    EVP_PKEY_CTX_free(context);
    return key;
}

enum kb_status kb_signature_check(struct kb_signature_stream **out, enum kb_hash hash,
                                  struct kb_bytes point, struct kb_error *err)
{
    struct kb_signature_stream *stream;
    enum kb_status status = stream_new(&stream, hash, err);

    *out = NULL;
    if (status != KB_OK)
        return status;
    if (point.size == 1 + stream->curve->field && (point.data[0] == 2 || point.data[0] == 3))
        stream->key = key_of_point(stream->curve, point);
    if (!stream->key) {
        status = kb_error_set(err, KB_ERR_INPUT, "the public key is no compressed point of %s",
                              stream->curve->name);
        ERR_clear_error();
        kb_signature_stream_free(stream);
        return status;
    }
    *out = stream;
    return KB_OK;
}

enum kb_status kb_signature_update(struct kb_signature_stream *stream, struct kb_bytes bytes,
                                   struct kb_error *err)
{
    if (bytes.size && EVP_DigestUpdate(stream->hash, bytes.data, bytes.size) != 1)
        return kb_openssl_failure(err, stream->curve->digest);
    return KB_OK;
}

/* Writes (r, n - s) for the signature (r, s), which is as good; 0 when it does
 * not fit. */
static size_t turn(const EVP_PKEY *key, uint8_t *der, size_t size)
{
    const uint8_t *next = der;
    ECDSA_SIG *signature = d2i_ECDSA_SIG(NULL, &next, (long)size);
    BIGNUM *order = NULL, *r, *s;
    uint8_t *to = der;
    int turned = 0;

    if (signature && EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_EC_ORDER, &order) == 1) {
        r = BN_dup(ECDSA_SIG_get0_r(signature));
        s = BN_new();
        if (r && s && BN_sub(s, order, ECDSA_SIG_get0_s(signature)) == 1 &&
            ECDSA_SIG_set0(signature, r, s) == 1) {
            turned = i2d_ECDSA_SIG(signature, NULL);
            turned = turned > 0 && turned <= KB_ECDSA_DER_MAX ? i2d_ECDSA_SIG(signature, &to) : 0;
        } else {
            BN_free(r);
            BN_free(s);
        }
    }
    BN_free(order);
    ECDSA_SIG_free(signature);
    return turned > 0 ? (size_t)turned : 0;
}

static EVP_PKEY_CTX *get_ready(struct kb_signature_stream *stream, uint8_t *hash,
                               int (*init)(EVP_PKEY_CTX *))
{
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, stream->key, NULL);

    if (context && EVP_DigestFinal_ex(stream->hash, hash, NULL) == 1 && init(context) == 1)
        return context;
    EVP_PKEY_CTX_free(context);
    return NULL;
}

enum kb_status kb_signature_sign(struct kb_signature_stream *stream, uint8_t out[KB_ECDSA_DER_MAX],
                                 size_t *size, struct kb_error *err)
{
    const struct curve *curve = stream->curve;
    uint8_t hash[HASH_MAX];
    EVP_PKEY_CTX *context = get_ready(stream, hash, EVP_PKEY_sign_init);
    bool good = context != NULL;

    *size = 0;
    for (int i = 0; good && *size != curve->usual && i < TRIES; i++) {
        *size = KB_ECDSA_DER_MAX;
        good = EVP_PKEY_sign(context, out, size, hash, curve->field) == 1;
        if (good && *size != curve->usual)
            *size = turn(stream->key, out, *size);
    }
    EVP_PKEY_CTX_free(context);
    if (good && *size == curve->usual)
        return KB_OK;
    *size = 0;
    return kb_openssl_failure(err, "ECDSA");
}

enum kb_status kb_signature_verify(struct kb_signature_stream *stream, struct kb_bytes der,
                                   struct kb_error *err)
{
    uint8_t hash[HASH_MAX];
    EVP_PKEY_CTX *context = get_ready(stream, hash, EVP_PKEY_verify_init);
    bool good;

    if (!context)
        return kb_openssl_failure(err, "ECDSA");
    good = der.size &&
           EVP_PKEY_verify(context, der.data, der.size, hash, stream->curve->field) == 1;
    EVP_PKEY_CTX_free(context);
    return good ? KB_OK : kb_openssl_refusal(err);
}
