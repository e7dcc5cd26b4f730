/* SPDX-License-Identifier: Apache-2.0
 *
 * The numbers of RSA and EC keys, out of their encodings and back into one.
 */
#include "crypto/asymmetric.h"

#include <string.h>

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

enum { PARTS_ROOM = 4096, MODULUS_BYTES_MAX = 2048 };

struct curve {
    enum kb_key_type type;
    unsigned bits;
    const char *name;  /* OpenSSL's */
    uint8_t der_size;
    uint8_t der[10];   /* OBJECT IDENTIFIER */
};

static const struct curve curves[] = {
    {KB_KEY_EC_P256, 256, "prime256v1", 10,
     {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07}},
    {KB_KEY_EC_P384, 384, "secp384r1", 7, {0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22}},
};
enum { CURVES = sizeof curves / sizeof curves[0] };

enum kb_key_type kb_rsa_type(unsigned bits)
{
    return bits == 2048   ? KB_KEY_RSA_2048
           : bits == 3072 ? KB_KEY_RSA_3072
           : bits == 4096 ? KB_KEY_RSA_4096
                          : KB_KEY_RSA;
}

bool kb_key_type_is_rsa(enum kb_key_type type)
{
    return type == KB_KEY_RSA_2048 || type == KB_KEY_RSA_3072 || type == KB_KEY_RSA_4096 ||
           type == KB_KEY_RSA;
}

bool kb_key_type_is_ec(enum kb_key_type type)
{
    return type == KB_KEY_EC_P256 || type == KB_KEY_EC_P384 || type == KB_KEY_EC;
}

struct kb_bytes kb_curve_of_type(enum kb_key_type type)
{
    for (size_t i = 0; i < CURVES; i++)
        if (curves[i].type == type)
            return (struct kb_bytes){curves[i].der, curves[i].der_size};
    return (struct kb_bytes){NULL, 0};
}

enum kb_key_type kb_type_of_curve(struct kb_bytes curve)
{
    for (size_t i = 0; i < CURVES; i++)
        if (kb_bytes_equal(curve, (struct kb_bytes){curves[i].der, curves[i].der_size}))
            return curves[i].type;
    return KB_KEY_TYPE_UNKNOWN;
}

/* --- what a file holds ------------------------------------------------------------ */

static bool read_pkcs8(EVP_PKEY **key, const uint8_t *der, size_t size)
{
    const uint8_t *next = der;
    PKCS8_PRIV_KEY_INFO *info = d2i_PKCS8_PRIV_KEY_INFO(NULL, &next, (long)size);

    *key = info && next == der + size ? EVP_PKCS82PKEY(info) : NULL;
    PKCS8_PRIV_KEY_INFO_free(info);
    return *key != NULL;
}

static bool read_spki(EVP_PKEY **key, const uint8_t *der, size_t size)
{
    const uint8_t *next = der;

    *key = d2i_PUBKEY(NULL, &next, (long)size);
    if (*key && next != der + size) {
        EVP_PKEY_free(*key);
        *key = NULL;
    }
    return *key != NULL;
}

static bool is_type(int type, const uint8_t *der, size_t size)
{
    EVP_PKEY *key = d2i_PrivateKey(type, NULL, &der, (long)size);

    EVP_PKEY_free(key);
    return key != NULL;
}

static bool is_certificate(const uint8_t *der, size_t size)
{
    X509 *certificate = d2i_X509(NULL, &der, (long)size);

    X509_free(certificate);
    return certificate != NULL;
}

static bool is_encrypted(const uint8_t *der, size_t size)
{
    X509_SIG *sealed = d2i_X509_SIG(NULL, &der, (long)size);

    X509_SIG_free(sealed);
    return sealed != NULL;
}

enum content {
    CONTENT_STRANGE,
    CONTENT_PKCS8,
    CONTENT_SPKI,
    CONTENT_ENCRYPTED,
    CONTENT_PKCS1,
    CONTENT_SEC1,
    CONTENT_CERTIFICATE,
};

static enum content content_of_der(const uint8_t *der, size_t size)
{
    EVP_PKEY *key = NULL;
    enum content content = read_pkcs8(&key, der, size)          ? CONTENT_PKCS8
                           : read_spki(&key, der, size)         ? CONTENT_SPKI
                           : is_type(EVP_PKEY_RSA, der, size)   ? CONTENT_PKCS1
                           : is_type(EVP_PKEY_EC, der, size)    ? CONTENT_SEC1
                           : is_certificate(der, size)          ? CONTENT_CERTIFICATE
                           : is_encrypted(der, size)            ? CONTENT_ENCRYPTED
                                                                : CONTENT_STRANGE;

    EVP_PKEY_free(key);
    return content;
}

static enum content content_of_pem(const char *name)
{
    static const struct {
        const char *name;
        enum content content;
    } rows[] = {
        {PEM_STRING_PKCS8INF, CONTENT_PKCS8},     {PEM_STRING_PUBLIC, CONTENT_SPKI},
        {PEM_STRING_PKCS8, CONTENT_ENCRYPTED},    {PEM_STRING_RSA, CONTENT_PKCS1},
        {PEM_STRING_RSA_PUBLIC, CONTENT_PKCS1},   {PEM_STRING_ECPRIVATEKEY, CONTENT_SEC1},
        {PEM_STRING_X509, CONTENT_CERTIFICATE},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (strcmp(name, rows[i].name) == 0)
            return rows[i].content;
    return CONTENT_STRANGE;
}

static enum kb_status refuse(enum content content, bool public_only, struct kb_error *err)
{
    static const struct {
        const char *is;
        const char *hint;
    } rows[] = {
        [CONTENT_STRANGE] = {"something else, or damaged",
                             "one PKCS#8 private key or one public key is read, and nothing "
                             "behind it"},
        [CONTENT_PKCS8] = {"a private key", "import it as a key with a private half, or make its "
                                            "public key: openssl pkey -pubout"},
        [CONTENT_SPKI] = {"a public key", "import it as a public key only"},
        [CONTENT_ENCRYPTED] = {"an encrypted private key", "decrypt it first: openssl pkcs8"},
        [CONTENT_PKCS1] = {"an RSA key in PKCS#1",
                           "convert it: openssl pkcs8 -topk8 -nocrypt, or openssl rsa "
                           "-RSAPublicKey_in -pubout"},
        [CONTENT_SEC1] = {"an EC key in SEC 1", "convert it: openssl pkcs8 -topk8 -nocrypt"},
        [CONTENT_CERTIFICATE] = {"a certificate", "take its key: openssl x509 -pubkey -noout"},
    };

    ERR_clear_error();
    kb_error_set(err, KB_ERR_INPUT, "not a %s, but %s",
                 public_only ? "public key (SubjectPublicKeyInfo)" : "private key (PKCS#8)",
                 rows[content].is);
    kb_error_hint(err, "%s", rows[content].hint);
    return KB_ERR_INPUT;
}

/* --- reading ---------------------------------------------------------------------- */

static bool is_blank(struct kb_bytes text)
{
    for (size_t i = 0; i < text.size; i++)
        if (!text.data[i] || !strchr(" \t\r\n", text.data[i]))
            return false;
    return true;
}

/* The DER in the only PEM block there is, for the caller to clear and free. */
static uint8_t *open_pem(struct kb_bytes text, size_t *size, enum content *content)
{
    BIO *bio = BIO_new_mem_buf(text.data, (int)text.size);
    char *name = NULL, *header = NULL;
    uint8_t *der = NULL, *rest = NULL;
    long length = 0, left;
    bool good = bio && PEM_read_bio(bio, &name, &header, &der, &length) == 1;

    *content = good ? content_of_pem(name) : CONTENT_STRANGE;
    if (good && header[0])
        *content = CONTENT_ENCRYPTED;
    if (good) {
        left = BIO_get_mem_data(bio, (char **)&rest);
        if (left > 0 && !is_blank((struct kb_bytes){rest, (size_t)left}))
            *content = CONTENT_STRANGE;
    }
    *size = good ? (size_t)length : 0;
    OPENSSL_free(name);
    OPENSSL_free(header);
    BIO_free(bio);
    return der;
}

static bool is_pem(struct kb_bytes encoded)
{
    static const char mark[] = "-----BEGIN ";

    return encoded.size && encoded.data[0] != 0x30 &&
           memmem(encoded.data, encoded.size, mark, sizeof mark - 1);
}

static enum kb_status read_key(EVP_PKEY **key, struct kb_bytes encoded, bool public_only,
                               struct kb_error *err)
{
    enum content wanted = public_only ? CONTENT_SPKI : CONTENT_PKCS8, content = wanted;
    bool pem = is_pem(encoded), good;
    const uint8_t *der = encoded.data;
    size_t size = encoded.size;
    uint8_t *owned = NULL;

    *key = NULL;
    if (pem)
        der = owned = open_pem(encoded, &size, &content);
    good = der && size && content == wanted &&
           (public_only ? read_spki(key, der, size) : read_pkcs8(key, der, size));
    if (!good && !pem && size)
        content = content_of_der(der, size);
    if (owned)
        OPENSSL_clear_free(owned, size);
    if (good)
        return KB_OK;
    return refuse(content == wanted ? CONTENT_STRANGE : content, public_only, err);
}

/* --- into numbers -------------------------------------------------------------------- */

struct filler {
    EVP_PKEY *key;
    struct kb_key_parts *parts;
    size_t used;
    bool failed;
};

static struct kb_bytes put_number(struct filler *filler, const char *name, size_t width)
{
    uint8_t *to = kb_secret_data(filler->parts->memory) + filler->used;
    BIGNUM *number = NULL;
    struct kb_bytes out = {to, 0};

    if (EVP_PKEY_get_bn_param(filler->key, name, &number) == 1) {
        out.size = width ? width : (size_t)BN_num_bytes(number);
        if (out.size == 0 || out.size > PARTS_ROOM - filler->used ||
            BN_bn2binpad(number, to, (int)out.size) < 0)
            out.size = 0;
    }
    BN_clear_free(number);
    filler->failed = filler->failed || out.size == 0;
    filler->used += out.size;
    return out;
}

static void put_rsa(struct filler *filler, bool public_only)
{
    struct kb_key_parts *parts = filler->parts;

    parts->modulus = put_number(filler, OSSL_PKEY_PARAM_RSA_N, 0);
    parts->public_exponent = put_number(filler, OSSL_PKEY_PARAM_RSA_E, 0);
    parts->bits = (unsigned)EVP_PKEY_get_bits(filler->key);
    parts->type = kb_rsa_type(parts->bits);
    if (public_only)
        return;
    parts->private_exponent = put_number(filler, OSSL_PKEY_PARAM_RSA_D, 0);
    parts->prime1 = put_number(filler, OSSL_PKEY_PARAM_RSA_FACTOR1, 0);
    parts->prime2 = put_number(filler, OSSL_PKEY_PARAM_RSA_FACTOR2, 0);
    parts->exponent1 = put_number(filler, OSSL_PKEY_PARAM_RSA_EXPONENT1, 0);
    parts->exponent2 = put_number(filler, OSSL_PKEY_PARAM_RSA_EXPONENT2, 0);
    parts->coefficient = put_number(filler, OSSL_PKEY_PARAM_RSA_COEFFICIENT1, 0);
}

static void put_ec(struct filler *filler, const struct curve *curve, bool public_only)
{
    struct kb_key_parts *parts = filler->parts;
    size_t width = curve->bits / 8;
    uint8_t *head = kb_secret_data(parts->memory) + filler->used;

    parts->type = curve->type;
    parts->bits = curve->bits;
    parts->curve = (struct kb_bytes){curve->der, curve->der_size};
    /* OCTET STRING of 04 || x || y (SEC 1 section 2.3.3); its length is short. */
    head[0] = 0x04;
    head[1] = (uint8_t)(1 + 2 * width);
    head[2] = 0x04;
    filler->used += 3;
    (void)put_number(filler, OSSL_PKEY_PARAM_EC_PUB_X, width);
    (void)put_number(filler, OSSL_PKEY_PARAM_EC_PUB_Y, width);
    parts->point = (struct kb_bytes){head, 3 + 2 * width};
    if (!public_only)
        parts->scalar = put_number(filler, OSSL_PKEY_PARAM_PRIV_KEY, width);
}

static const struct curve *curve_of(EVP_PKEY *key)
{
    char name[64];
    size_t size;
    int is_explicit = 0;

    (void)EVP_PKEY_get_int_param(key, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS,
                                 &is_explicit);
    if (is_explicit || EVP_PKEY_get_group_name(key, name, sizeof name, &size) != 1)
        return NULL;
    for (size_t i = 0; i < CURVES; i++)
        if (strcmp(name, curves[i].name) == 0)
            return &curves[i];
    return NULL;
}

/* The halves belong together, and are what their algorithm asks for. */
static bool is_sound(EVP_PKEY *key, bool public_only)
{
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    bool sound = context && EVP_PKEY_public_check(context) == 1 &&
                 (public_only || EVP_PKEY_pairwise_check(context) == 1);

    EVP_PKEY_CTX_free(context);
    return sound;
}

static bool has_more_primes(EVP_PKEY *key)
{
    BIGNUM *third = NULL;
    bool more = EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_FACTOR3, &third) == 1;

    BN_clear_free(third);
    return more;
}

static enum kb_status fill(struct filler *filler, bool public_only, struct kb_error *err)
{
    bool rsa = EVP_PKEY_is_a(filler->key, "RSA"), ec = EVP_PKEY_is_a(filler->key, "EC");
    const struct curve *curve = ec ? curve_of(filler->key) : NULL;

    if (!rsa && !ec)
        return kb_error_set(err, KB_ERR_INPUT, "the key is neither an RSA nor an EC key");
    if (ec && !curve)
        return kb_error_set(err, KB_ERR_INPUT, "the key's curve is neither P-256 nor P-384");
    if (rsa && EVP_PKEY_get_bits(filler->key) > KB_RSA_BITS_MAX)
        return kb_error_set(err, KB_ERR_INPUT, "an RSA key has at most %d bits, not %d",
                            KB_RSA_BITS_MAX, EVP_PKEY_get_bits(filler->key));
    if (rsa && !public_only && has_more_primes(filler->key))
        return kb_error_set(err, KB_ERR_INPUT, "the RSA key has more than two primes");
    if (rsa)
        put_rsa(filler, public_only);
    else
        put_ec(filler, curve, public_only);
    if (filler->failed || !is_sound(filler->key, public_only))
        return kb_error_set(err, KB_ERR_INPUT, "the numbers of the key do not fit together");
    return KB_OK;
}

enum kb_status kb_key_parts_read(struct kb_key_parts *out, struct kb_bytes encoded,
                                 bool public_only, struct kb_error *err)
{
    struct filler filler = {.parts = out};
    enum kb_status status;

    memset(out, 0, sizeof *out);
    status = read_key(&filler.key, encoded, public_only, err);
    if (status == KB_OK)
        status = kb_secret_new(&out->memory, PARTS_ROOM, err);
    if (status == KB_OK)
        status = fill(&filler, public_only, err);
    EVP_PKEY_free(filler.key);
    ERR_clear_error();
    return status;
}

void kb_key_parts_free(struct kb_key_parts *parts)
{
    kb_secret_free(parts->memory);
    memset(parts, 0, sizeof *parts);
}

/* --- back into an encoding ------------------------------------------------------------- */

/* A token's CKA_EC_POINT without its OCTET STRING, which some leave out. */
static struct kb_bytes bare_point(struct kb_bytes point, unsigned bits)
{
    size_t size = 1 + 2 * (bits / 8);

    if (point.size == size + 2 && point.data[0] == 0x04 && point.data[1] == size)
        return (struct kb_bytes){point.data + 2, size};
    return point.size == size ? point : (struct kb_bytes){NULL, 0};
}

static EVP_PKEY *from_params(const char *algorithm, OSSL_PARAM *params)
{
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, algorithm, NULL);
    EVP_PKEY *key = NULL;

    if (!params || !context || EVP_PKEY_fromdata_init(context) != 1 ||
        EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
        key = NULL;
    EVP_PKEY_CTX_free(context);
    return key;
}

static EVP_PKEY *rsa_key(const struct kb_key_parts *parts)
{
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    BIGNUM *n = BN_bin2bn(parts->modulus.data, (int)parts->modulus.size, NULL);
    BIGNUM *e = BN_bin2bn(parts->public_exponent.data, (int)parts->public_exponent.size, NULL);
    OSSL_PARAM *params = NULL;
    EVP_PKEY *key = NULL;

    if (builder && n && e && BN_is_odd(n) && BN_is_odd(e) && !BN_is_one(e) && BN_cmp(e, n) < 0 &&
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, e) == 1)
        params = OSSL_PARAM_BLD_to_param(builder);
    if (params)
        key = from_params("RSA", params);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(builder);
    BN_free(n);
    BN_free(e);
    return key;
}

static EVP_PKEY *ec_key(const struct kb_key_parts *parts)
{
    for (size_t i = 0; i < CURVES; i++) {
        struct kb_bytes point = bare_point(parts->point, curves[i].bits);
        OSSL_PARAM params[] = {
            OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME,
                                   (void *)(uintptr_t)curves[i].name, strlen(curves[i].name)),
            OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, (void *)(uintptr_t)point.data,
                                    point.size),
            OSSL_PARAM_END,
        };

        if (kb_type_of_curve(parts->curve) == curves[i].type && point.size)
            return from_params("EC", params);
    }
    return NULL;
}

enum kb_status kb_key_parts_format(struct kb_buffer *out, const struct kb_key_parts *parts,
                                   struct kb_error *err)
{
    bool rsa = parts->modulus.size > 0;
    EVP_PKEY *key = NULL;
    uint8_t *der = NULL;
    int size;

    if (parts->modulus.size <= MODULUS_BYTES_MAX &&
        parts->public_exponent.size <= MODULUS_BYTES_MAX)
        key = rsa ? rsa_key(parts) : ec_key(parts);
    size = key ? i2d_PUBKEY(key, &der) : -1;
    if (size > 0)
        kb_buffer_put(out, der, (size_t)size);
    OPENSSL_free(der);
    EVP_PKEY_free(key);
    ERR_clear_error();
    if (size <= 0)
        return kb_error_set(err, KB_ERR_INPUT, "the numbers make no %s public key",
                            rsa ? "RSA" : "EC");
    return kb_buffer_check(out, err);
}
