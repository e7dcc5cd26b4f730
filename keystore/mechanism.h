/* SPDX-License-Identifier: Apache-2.0
 *
 * The mechanisms keybridge needs, one row each, and how tokens differ in them.
 */
#ifndef KB_KEYSTORE_MECHANISM_H
#define KB_KEYSTORE_MECHANISM_H

#include <p11-kit/pkcs11.h>

#include <keybridge/keystore.h>

enum mechanism {
    MECHANISM_AES_KEY_GEN,
    MECHANISM_SECRET_KEY_GEN,
    MECHANISM_KEY_WRAP,
    MECHANISM_CBC_PAD,
    MECHANISM_GCM,
    MECHANISM_ECB,
    MECHANISM_HMAC_SHA224,
    MECHANISM_HMAC_SHA256,
    MECHANISM_HMAC_SHA384,
    MECHANISM_HMAC_SHA512,
    MECHANISM_RSA_KEY_PAIR_GEN,
    MECHANISM_RSA_OAEP,
    MECHANISM_RSA_X_509,
    MECHANISM_RSA_PKCS,
    MECHANISM_SHA224_RSA,
    MECHANISM_SHA256_RSA,
    MECHANISM_SHA384_RSA,
    MECHANISM_SHA512_RSA,
    MECHANISM_EC_KEY_PAIR_GEN,
    MECHANISM_ECDSA,
    MECHANISM_COUNT
};

enum mechanism_parameter {
    PARAMETER_NONE,
    PARAMETER_IV,      /* 16 bytes, given for each operation */
    PARAMETER_OAEP,    /* see mechanism_oaep */
    PARAMETER_GCM,     /* see gcm_run */
    PARAMETER_WRAP_IV, /* RFC 3394's default initial value, spelled out */
};

struct mechanism_row {
    enum mechanism which;
    CK_MECHANISM_TYPE number;
    enum mechanism_parameter parameter;
    const char *name; /* CKM_… */
    const char *what; /* for people */
};

/* A maker whose numbers or parameters differ. `rows` replace the common ones
 * of the same mechanism. A token is matched by the start of its texts; NULL
 * matches any. */
struct kb_vendor {
    const char *manufacturer;
    const char *model;
    const struct mechanism_row *rows;
    size_t count;
    bool unwrap_wants_length; /* CKA_VALUE_LEN has to be in unwrap templates */
};

const struct kb_vendor *vendor_find(const char *manufacturer, const char *model);

const struct mechanism_row *mechanism_row(const struct kb_vendor *vendor, enum mechanism which);

/* For one operation; `iv` has 16 bytes where the mechanism wants one. */
CK_MECHANISM mechanism_make(const struct kb_vendor *vendor, enum mechanism which,
                            const uint8_t *iv);

/* OAEP with an empty label; `params` is filled and pointed to. */
CK_MECHANISM mechanism_oaep(const struct kb_vendor *vendor, enum kb_wrap_algorithm algorithm,
                            CK_RSA_PKCS_OAEP_PARAMS *params);

/* "CKM_RSA_PKCS_OAEP with SHA-256 and MGF1-SHA-1" */
const char *mechanism_wrap_name(enum kb_wrap_algorithm algorithm);

enum mechanism mechanism_of_hash(enum kb_hash hash);
/* RSASSA-PKCS1-v1_5 with the hash done in the token. */
enum mechanism mechanism_of_rsa_hash(enum kb_hash hash);

enum { KEY_MECHANISMS_MAX = 5 };

/* What a key of this use and type is allowed to do. The first *must are asked
 * for when it is made; those behind stand in where the token lacks one of
 * them. 0 for a key that is for nothing we do. */
size_t mechanisms_of_key(enum mechanism out[KEY_MECHANISMS_MAX], size_t *must,
                         enum kb_key_use use, enum kb_key_type type, bool release_never);

bool key_type_is_rsa(enum kb_key_type type);
bool key_type_is_ec(enum kb_key_type type);

#endif
