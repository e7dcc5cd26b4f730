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
    MECHANISM_HMAC_SHA224,
    MECHANISM_HMAC_SHA256,
    MECHANISM_HMAC_SHA384,
    MECHANISM_HMAC_SHA512,
    MECHANISM_COUNT
};

enum mechanism_parameter {
    PARAMETER_NONE,
    PARAMETER_IV,      /* 16 bytes, given for each operation */
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

enum mechanism mechanism_of_hash(enum kb_hash hash);

/* What a key of this use and type is for; MECHANISM_COUNT when that is none. */
enum mechanism mechanism_of_key(enum kb_key_use use, enum kb_key_type type);

#endif
