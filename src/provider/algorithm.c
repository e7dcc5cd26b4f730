/* SPDX-License-Identifier: Apache-2.0 */
#include "provider/algorithm.h"

#include "crypto/asymmetric.h"

#include <string.h>
#include <strings.h>

static const struct kb_sign_algorithm sign_algorithms[] = {
    {"HmacSHA224", KB_SIGN_HMAC, KB_SHA224},        {"HmacSHA256", KB_SIGN_HMAC, KB_SHA256},
    {"HmacSHA384", KB_SIGN_HMAC, KB_SHA384},        {"HmacSHA512", KB_SIGN_HMAC, KB_SHA512},
    {"SHA224withRSA", KB_SIGN_RSA, KB_SHA224},      {"SHA256withRSA", KB_SIGN_RSA, KB_SHA256},
    {"SHA384withRSA", KB_SIGN_RSA, KB_SHA384},      {"SHA512withRSA", KB_SIGN_RSA, KB_SHA512},
    {"SHA224withECDSA", KB_SIGN_ECDSA, KB_SHA224},  {"SHA256withECDSA", KB_SIGN_ECDSA, KB_SHA256},
    {"SHA384withECDSA", KB_SIGN_ECDSA, KB_SHA384},  {"SHA512withECDSA", KB_SIGN_ECDSA, KB_SHA512},
};
enum { SIGN_ALGORITHMS = sizeof sign_algorithms / sizeof *sign_algorithms };

static bool is_name(struct kb_bytes text, const char *name)
{
    return text.size == strlen(name) && strncasecmp((const char *)text.data, name, text.size) == 0;
}

const struct kb_sign_algorithm *kb_sign_algorithm_find(struct kb_bytes name)
{
    for (size_t i = 0; i < SIGN_ALGORITHMS; i++)
        if (is_name(name, sign_algorithms[i].name))
            return &sign_algorithms[i];
    return NULL;
}

static const struct kb_sign_algorithm *find(enum kb_sign_scheme scheme, enum kb_hash hash)
{
    for (size_t i = 0; i < SIGN_ALGORITHMS; i++)
        if (sign_algorithms[i].scheme == scheme && sign_algorithms[i].hash == hash)
            return &sign_algorithms[i];
    return NULL;
}

enum kb_status kb_sign_algorithm_choose(const struct kb_sign_algorithm **out, const char *wanted,
                                        const struct kb_key_info *key, struct kb_error *err)
{
    enum kb_hash of_key = key->type == KB_KEY_EC_P384 ? KB_SHA384 : KB_SHA256;
    bool hmac = kb_key_type_hash(key->type, &of_key);
    enum kb_sign_scheme scheme = kb_key_type_is_rsa(key->type)  ? KB_SIGN_RSA
                                 : kb_key_type_is_ec(key->type) ? KB_SIGN_ECDSA
                                                                : KB_SIGN_HMAC;

    if (scheme == KB_SIGN_HMAC && !hmac && key->type != KB_KEY_TYPE_UNKNOWN)
        return kb_error_set(err, KB_ERR_DENIED, "key '%s' (%s) cannot sign", key->name,
                            kb_key_type_format(key->type));
    *out = wanted ? kb_sign_algorithm_find(kb_bytes_text(wanted)) : find(scheme, of_key);
    if (!*out) {
        kb_error_set(err, KB_ERR_USAGE, "unknown signing algorithm '%s'", wanted ? wanted : "");
        kb_error_hint(err, "HmacSHA224, 256, 384 or 512, or SHA224, 256, 384 or 512 followed by "
                           "withRSA or withECDSA");
        return KB_ERR_USAGE;
    }
    /* The signature algorithm an item states is never looked at: what the key
     * is and what was configured decide. */
    if ((*out)->scheme != scheme || (hmac && (*out)->hash != of_key))
        return kb_error_set(err, KB_ERR_USAGE, "key '%s' is for %s, not for %s", key->name,
                            kb_key_type_format(key->type), (*out)->name);
    return KB_OK;
}

/* --- wrapping ------------------------------------------------------------------- */

static const struct {
    const char *name;
    enum kb_wrap_algorithm algorithm;
} rsa_names[] = {
    /* The first of each is the one that is written. */
    {"RSA/ECB/OAEPWithSHA-1AndMGF1Padding", KB_WRAP_OAEP_SHA1},
    {"RSA/ECB/OAEPWithSHA1AndMGF1Padding", KB_WRAP_OAEP_SHA1},
    {"RSA/ECB/OAEPPadding", KB_WRAP_OAEP_SHA1},
    {"RSA/ECB/OAEPWithSHA-256AndMGF1Padding", KB_WRAP_OAEP_SHA256},
    {"RSA/ECB/OAEPWithSHA256AndMGF1Padding", KB_WRAP_OAEP_SHA256},
    {"RSA/ECB/OAEPWithSHA-384AndMGF1Padding", KB_WRAP_OAEP_SHA384},
    {"RSA/ECB/OAEPWithSHA384AndMGF1Padding", KB_WRAP_OAEP_SHA384},
    {"RSA/ECB/OAEPWithSHA-512AndMGF1Padding", KB_WRAP_OAEP_SHA512},
    {"RSA/ECB/OAEPWithSHA512AndMGF1Padding", KB_WRAP_OAEP_SHA512},
    {"RSA/ECB/PKCS1Padding", KB_WRAP_PKCS1},
    {"RSA", KB_WRAP_PKCS1},
};
enum { RSA_NAMES = sizeof rsa_names / sizeof *rsa_names };

bool kb_wrap_algorithm_parse(enum kb_wrap_algorithm *out, struct kb_bytes name)
{
    if (is_name(name, "AESWrap") ||
        (name.size >= 3 && strncasecmp((const char *)name.data, "AES", 3) == 0 &&
         (name.size == 3 || name.data[3] == '/'))) {
        *out = KB_WRAP_AES;
        return true;
    }
    for (size_t i = 0; i < RSA_NAMES; i++) {
        if (!is_name(name, rsa_names[i].name))
            continue;
        *out = rsa_names[i].algorithm;
        return true;
    }
    return false;
}

const char *kb_wrap_algorithm_format(enum kb_wrap_algorithm algorithm)
{
    if (algorithm == KB_WRAP_AES)
        return "AESWrap";
    for (size_t i = 0; i < RSA_NAMES; i++)
        if (rsa_names[i].algorithm == algorithm)
            return rsa_names[i].name;
    return NULL;
}
