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
    ROW(HMAC_SHA224, CKM_SHA224_HMAC, PARAMETER_NONE, "HMAC-SHA-224"),
    ROW(HMAC_SHA256, CKM_SHA256_HMAC, PARAMETER_NONE, "HMAC-SHA-256"),
    ROW(HMAC_SHA384, CKM_SHA384_HMAC, PARAMETER_NONE, "HMAC-SHA-384"),
    ROW(HMAC_SHA512, CKM_SHA512_HMAC, PARAMETER_NONE, "HMAC-SHA-512"),
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

enum mechanism mechanism_of_key(enum kb_key_use use, enum kb_key_type type)
{
    enum kb_hash hash;

    if (use == KB_KEY_WRAP)
        return MECHANISM_KEY_WRAP;
    if (use == KB_KEY_CONTENT)
        return MECHANISM_CBC_PAD;
    if (use == KB_KEY_SIGN && kb_key_type_hash(type, &hash))
        return mechanism_of_hash(hash);
    return MECHANISM_COUNT;
}
