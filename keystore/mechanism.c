/* SPDX-License-Identifier: Apache-2.0 */
#include "keystore/mechanism.h"

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define ROW(which, number, parameter, what) {MECHANISM_##which, number, parameter, #number, what}

static const struct mechanism_row common[] = {
    ROW(AES_KEY_GEN, CKM_AES_KEY_GEN, PARAMETER_NONE, "AES key generation"),
    ROW(SECRET_KEY_GEN, CKM_GENERIC_SECRET_KEY_GEN, PARAMETER_NONE, "secret key generation"),
    ROW(KEY_WRAP, CKM_AES_KEY_WRAP, PARAMETER_NONE, "AES key wrap (RFC 3394)"),
    ROW(CBC_PAD, CKM_AES_CBC_PAD, PARAMETER_IV, "AES-CBC with padding"),
    ROW(GCM, CKM_AES_GCM, PARAMETER_GCM, "AES-GCM"),
    ROW(ECB, CKM_AES_ECB, PARAMETER_NONE, "AES-ECB"),
    ROW(HMAC_SHA224, CKM_SHA224_HMAC, PARAMETER_NONE, "HMAC-SHA-224"),
    ROW(HMAC_SHA256, CKM_SHA256_HMAC, PARAMETER_NONE, "HMAC-SHA-256"),
    ROW(HMAC_SHA384, CKM_SHA384_HMAC, PARAMETER_NONE, "HMAC-SHA-384"),
    ROW(HMAC_SHA512, CKM_SHA512_HMAC, PARAMETER_NONE, "HMAC-SHA-512"),
    ROW(RSA_KEY_PAIR_GEN, CKM_RSA_PKCS_KEY_PAIR_GEN, PARAMETER_NONE, "RSA key generation"),
    ROW(RSA_OAEP, CKM_RSA_PKCS_OAEP, PARAMETER_OAEP, "RSA-OAEP"),
    ROW(RSA_X_509, CKM_RSA_X_509, PARAMETER_NONE, "raw RSA"),
    ROW(RSA_PKCS, CKM_RSA_PKCS, PARAMETER_NONE, "RSA PKCS#1 v1.5 encryption"),
    ROW(SHA224_RSA, CKM_SHA224_RSA_PKCS, PARAMETER_NONE, "RSA signature, SHA-224"),
    ROW(SHA256_RSA, CKM_SHA256_RSA_PKCS, PARAMETER_NONE, "RSA signature, SHA-256"),
    ROW(SHA384_RSA, CKM_SHA384_RSA_PKCS, PARAMETER_NONE, "RSA signature, SHA-384"),
    ROW(SHA512_RSA, CKM_SHA512_RSA_PKCS, PARAMETER_NONE, "RSA signature, SHA-512"),
    ROW(EC_KEY_PAIR_GEN, CKM_EC_KEY_PAIR_GEN, PARAMETER_NONE, "EC key generation"),
    ROW(ECDSA, CKM_ECDSA, PARAMETER_NONE, "ECDSA"),
};

/* The last one is every other token. */
static const struct kb_vendor vendors[] = {
    {NULL, NULL, NULL, 0, false},
};

static bool starts_with(const char *text, const char *start)
{
    return !start || strncmp(text, start, strlen(start)) == 0;
}

const struct kb_vendor *vendor_find(const char *manufacturer, const char *model)
{
    size_t i = 0;

    while (i + 1 < COUNT(vendors) && !(starts_with(manufacturer, vendors[i].manufacturer) &&
                                       starts_with(model, vendors[i].model)))
        i++;
    return &vendors[i];
}

const struct mechanism_row *mechanism_row(const struct kb_vendor *vendor, enum mechanism which)
{
    for (size_t i = 0; i < vendor->count; i++)
        if (vendor->rows[i].which == which)
            return &vendor->rows[i];
    return &common[which];
}

CK_MECHANISM mechanism_make(const struct kb_vendor *vendor, enum mechanism which,
                            const uint8_t *iv)
{
    static const uint8_t wrap_iv[8] = {0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6};
    const struct mechanism_row *row = mechanism_row(vendor, which);
    CK_MECHANISM made = {row->number, NULL, 0};

    /* The interface has no const; tokens only read parameters. */
    if (row->parameter == PARAMETER_IV) {
        made.pParameter = (void *)(uintptr_t)iv;
        made.ulParameterLen = 16;
    } else if (row->parameter == PARAMETER_WRAP_IV) {
        made.pParameter = (void *)(uintptr_t)wrap_iv;
        made.ulParameterLen = sizeof wrap_iv;
    }
    return made;
}

enum mechanism mechanism_of_hash(enum kb_hash hash)
{
    return (enum mechanism)(MECHANISM_HMAC_SHA224 + (hash - KB_SHA224));
}

enum mechanism mechanism_of_rsa_hash(enum kb_hash hash)
{
    return (enum mechanism)(MECHANISM_SHA224_RSA + (hash - KB_SHA224));
}

/* --- OAEP ------------------------------------------------------------------------ */

static const struct {
    CK_MECHANISM_TYPE hash;
    CK_RSA_PKCS_MGF_TYPE mgf;
    const char *name;
} wraps[] = {
    [KB_WRAP_AES] = {0, 0, "CKM_AES_KEY_WRAP"},
    [KB_WRAP_OAEP_SHA1] = {CKM_SHA_1, CKG_MGF1_SHA1,
                           "CKM_RSA_PKCS_OAEP with SHA-1 and MGF1-SHA-1"},
    [KB_WRAP_OAEP_SHA256] = {CKM_SHA256, CKG_MGF1_SHA1,
                             "CKM_RSA_PKCS_OAEP with SHA-256 and MGF1-SHA-1"},
    [KB_WRAP_OAEP_SHA384] = {CKM_SHA384, CKG_MGF1_SHA1,
                             "CKM_RSA_PKCS_OAEP with SHA-384 and MGF1-SHA-1"},
    [KB_WRAP_OAEP_SHA512] = {CKM_SHA512, CKG_MGF1_SHA1,
                             "CKM_RSA_PKCS_OAEP with SHA-512 and MGF1-SHA-1"},
    [KB_WRAP_OAEP_SHA256_MGF_SHA256] = {CKM_SHA256, CKG_MGF1_SHA256,
                                        "CKM_RSA_PKCS_OAEP with SHA-256 and MGF1-SHA-256"},
    [KB_WRAP_OAEP_SHA384_MGF_SHA384] = {CKM_SHA384, CKG_MGF1_SHA384,
                                        "CKM_RSA_PKCS_OAEP with SHA-384 and MGF1-SHA-384"},
    [KB_WRAP_OAEP_SHA512_MGF_SHA512] = {CKM_SHA512, CKG_MGF1_SHA512,
                                        "CKM_RSA_PKCS_OAEP with SHA-512 and MGF1-SHA-512"},
    [KB_WRAP_PKCS1] = {0, 0, "CKM_RSA_PKCS"},
    [KB_WRAP_S3_GCM] = {CKM_SHA_1, CKG_MGF1_SHA1,
                        "CKM_RSA_PKCS_OAEP as the S3 Encryption Client does (version 2)"},
    [KB_WRAP_S3_115] = {CKM_SHA_1, CKG_MGF1_SHA1,
                        "CKM_RSA_PKCS_OAEP as the S3 Encryption Client does (version 3)"},
    [KB_WRAP_AES_ECB] = {0, 0, "CKM_AES_ECB"},
};

CK_MECHANISM mechanism_oaep(const struct kb_vendor *vendor, enum kb_wrap_algorithm algorithm,
                            CK_RSA_PKCS_OAEP_PARAMS *params)
{
    enum { DATA_SPECIFIED = 1 }; /* CKZ_DATA_SPECIFIED: no data is the empty label */

    *params = (CK_RSA_PKCS_OAEP_PARAMS){
        .hash_alg = wraps[algorithm].hash, .mgf = wraps[algorithm].mgf, .source = DATA_SPECIFIED};
    return (CK_MECHANISM){mechanism_row(vendor, MECHANISM_RSA_OAEP)->number, params,
                          sizeof *params};
}

const char *mechanism_wrap_name(enum kb_wrap_algorithm algorithm)
{
    return wraps[algorithm].name;
}

/* --- keys ------------------------------------------------------------------------ */

bool key_type_is_rsa(enum kb_key_type type)
{
    return (type >= KB_KEY_RSA_2048 && type <= KB_KEY_RSA_4096) || type == KB_KEY_RSA;
}

bool key_type_is_ec(enum kb_key_type type)
{
    return type == KB_KEY_EC_P256 || type == KB_KEY_EC_P384 || type == KB_KEY_EC;
}

static size_t one(enum mechanism out[KEY_MECHANISMS_MAX], size_t *must, enum mechanism which)
{
    out[0] = which;
    return *must = 1;
}

static size_t some(enum mechanism out[KEY_MECHANISMS_MAX], const enum mechanism *from,
                   size_t count)
{
    memcpy(out, from, count * sizeof *from);
    return count;
}

size_t mechanisms_of_key(enum mechanism out[KEY_MECHANISMS_MAX], size_t *must,
                         enum kb_key_use use, enum kb_key_type type, bool release_never)
{
    static const enum mechanism wrap[] = {MECHANISM_RSA_OAEP, MECHANISM_RSA_X_509,
                                          MECHANISM_RSA_PKCS};
    static const enum mechanism sign[] = {MECHANISM_SHA224_RSA, MECHANISM_SHA256_RSA,
                                          MECHANISM_SHA384_RSA, MECHANISM_SHA512_RSA,
                                          MECHANISM_RSA_PKCS};
    static const enum mechanism legacy[] = {MECHANISM_ECB, MECHANISM_KEY_WRAP};
    enum kb_hash hash;

    *must = 0;
    if (use == KB_KEY_WRAP && key_type_is_rsa(type))
        /* Raw RSA and PKCS#1 v1.5 give what they decrypt to the caller. */
        return *must = some(out, wrap, release_never ? 1 : COUNT(wrap));
    if (use == KB_KEY_SIGN && key_type_is_rsa(type)) {
        *must = COUNT(sign) - 1;
        return some(out, sign, COUNT(sign));
    }
    if (use == KB_KEY_SIGN && key_type_is_ec(type))
        return one(out, must, MECHANISM_ECDSA);
    if (use == KB_KEY_WRAP)
        return one(out, must, MECHANISM_KEY_WRAP);
    if (use == KB_KEY_CONTENT)
        return one(out, must, MECHANISM_CBC_PAD);
    if (use == KB_KEY_ENVELOPE)
        return one(out, must, MECHANISM_GCM);
    if (use == KB_KEY_LEGACY)
        return *must = some(out, legacy, COUNT(legacy));
    if (use == KB_KEY_SIGN && kb_key_type_hash(type, &hash))
        return one(out, must, mechanism_of_hash(hash));
    return 0;
}
