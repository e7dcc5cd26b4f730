/* SPDX-License-Identifier: Apache-2.0
 *
 * What uses, types and origins of keys are called, and the hash of a type.
 */
#include <keybridge/keystore.h>

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *const uses[] = {
    [KB_KEY_WRAP] = "wrap",
    [KB_KEY_SIGN] = "sign",
    [KB_KEY_CONTENT] = "content",
    [KB_KEY_ENVELOPE] = "envelope",
    [KB_KEY_LEGACY] = "legacy",
};

static const char *const types[] = {
    [KB_KEY_AES_128] = "aes-128",
    [KB_KEY_AES_192] = "aes-192",
    [KB_KEY_AES_256] = "aes-256",
    [KB_KEY_HMAC_SHA224] = "hmac-sha224",
    [KB_KEY_HMAC_SHA256] = "hmac-sha256",
    [KB_KEY_HMAC_SHA384] = "hmac-sha384",
    [KB_KEY_HMAC_SHA512] = "hmac-sha512",
    [KB_KEY_RSA_2048] = "rsa-2048",
    [KB_KEY_RSA_3072] = "rsa-3072",
    [KB_KEY_RSA_4096] = "rsa-4096",
    [KB_KEY_EC_P256] = "ec-p256",
    [KB_KEY_EC_P384] = "ec-p384",
    [KB_KEY_RSA] = "rsa",
    [KB_KEY_EC] = "ec",
};

static const char *const origins[] = {
    [KB_KEY_ADOPTED] = "adopted",
    [KB_KEY_GENERATED] = "generated",
    [KB_KEY_IMPORTED] = "imported",
};

/* The number of `text` in the names; 0, which no name has, when not there. */
static size_t find(const char *const *names, size_t count, const char *text)
{
    for (size_t i = 0; text && i < count; i++)
        if (names[i] && strcmp(names[i], text) == 0)
            return i;
    return 0;
}

const char *kb_key_use_format(enum kb_key_use use)
{
    return (size_t)use < COUNT(uses) ? uses[use] : NULL;
}

const char *kb_key_type_format(enum kb_key_type type)
{
    return (size_t)type < COUNT(types) ? types[type] : NULL;
}

const char *kb_key_origin_format(enum kb_key_origin origin)
{
    return (size_t)origin < COUNT(origins) ? origins[origin] : NULL;
}

bool kb_key_use_parse(enum kb_key_use *out, const char *text)
{
    *out = (enum kb_key_use)find(uses, COUNT(uses), text);
    return *out != KB_KEY_USE_UNKNOWN;
}

bool kb_key_type_parse(enum kb_key_type *out, const char *text)
{
    *out = (enum kb_key_type)find(types, COUNT(types), text);
    return *out != KB_KEY_TYPE_UNKNOWN;
}

size_t kb_hash_size(enum kb_hash hash)
{
    static const size_t sizes[] = {28, 32, 48, 64};

    return (size_t)hash < COUNT(sizes) ? sizes[hash] : 0;
}

bool kb_key_type_hash(enum kb_key_type type, enum kb_hash *out)
{
    if (type < KB_KEY_HMAC_SHA224 || type > KB_KEY_HMAC_SHA512)
        return false;
    *out = (enum kb_hash)(KB_SHA224 + (type - KB_KEY_HMAC_SHA224));
    return true;
}
