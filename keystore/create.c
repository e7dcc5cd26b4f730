/* SPDX-License-Identifier: Apache-2.0
 *
 * Makes, imports and destroys keys of the token.
 */
#include "keystore/helper.h"

#include <string.h>

static unsigned uses_of(enum kb_key_use use)
{
    return use == KB_KEY_WRAP     ? MAY_WRAP | MAY_UNWRAP
           : use == KB_KEY_SIGN   ? MAY_SIGN | MAY_VERIFY
           : use == KB_KEY_LEGACY ? MAY_UNWRAP | MAY_DECRYPT
                                  : MAY_ENCRYPT | MAY_DECRYPT;
}

static void fill(struct template *out, const struct new_key *key, unsigned policy)
{
    out->count = out->numbers_used = 0;
    template_number(out, CKA_CLASS, CKO_SECRET_KEY);
    template_number(out, CKA_KEY_TYPE, key->type);
    template_flag(out, CKA_TOKEN, true);
    template_flag(out, CKA_PRIVATE, true);
    template_flag(out, CKA_SENSITIVE, true);
    template_flag(out, CKA_EXTRACTABLE, false);
    template_bytes(out, CKA_LABEL, key->spec->name, strlen(key->spec->name));
    template_bytes(out, CKA_ID, key->id, sizeof key->id);
    template_uses(out, uses_of(key->spec->use));
    if (key->value)
        template_bytes(out, CKA_VALUE, key->value, key->size);
    else
        template_number(out, CKA_VALUE_LEN, key->size);
    policy_put(out, key, policy);
}

static CK_RV make_once(struct helper *helper, const struct new_key *key, unsigned policy,
                       const char **call)
{
    struct template wanted;
    CK_OBJECT_HANDLE object;
    CK_MECHANISM mechanism;
    enum mechanism which =
        key->type == CKK_AES ? MECHANISM_AES_KEY_GEN : MECHANISM_SECRET_KEY_GEN;

    if (key->type == CKK_RSA || key->type == CKK_EC)
        return pair_make(helper, key, policy, call);
    fill(&wanted, key, policy);
    *call = key->value                       ? "C_CreateObject of a key"
            : which == MECHANISM_AES_KEY_GEN ? "C_GenerateKey with CKM_AES_KEY_GEN"
                                             : "C_GenerateKey with CKM_GENERIC_SECRET_KEY_GEN";
    if (key->value)
        return helper->f->C_CreateObject(helper->session, wanted.rows, wanted.count, &object);
    mechanism = mechanism_make(helper->vendor, which, NULL);
    return helper->f->C_GenerateKey(helper->session, &mechanism, wanted.rows, wanted.count,
                                    &object);
}

/* Some tokens call an attribute they do not know a general error. */
static bool may_be_policy(CK_RV rv)
{
    enum ckr_class kind = ckr_find(rv)->kind;

    return kind == CKR_CLASS_TEMPLATE || kind == CKR_CLASS_DOUBT;
}

/* Drops as few policy attributes as the token makes us. */
static enum kb_status make(struct helper *helper, const struct new_key *key, struct kb_error *err)
{
    static const unsigned without[] = {0,
                                       POLICY_UNWRAP,
                                       POLICY_PIN,
                                       POLICY_MECHANISMS,
                                       POLICY_MECHANISMS | POLICY_UNWRAP,
                                       POLICY_MECHANISMS | POLICY_PIN};
    unsigned wanted = POLICY_MECHANISMS | (key->spec->release_never ? POLICY_UNWRAP : 0) |
                      (key->spec->public_only ? POLICY_PIN : 0);
    const char *call = "";
    CK_RV rv = CKR_OK;

    for (size_t i = 0; i < sizeof without / sizeof without[0]; i++) {
        if (without[i] & ~wanted)
            continue;
        rv = make_once(helper, key, wanted & ~without[i], &call);
        if (rv == CKR_OK || !may_be_policy(rv))
            break;
    }
    return rv == CKR_OK ? KB_OK : helper_error(helper, err, rv, "%s", call);
}

static size_t size_of_type(enum kb_key_type type)
{
    enum kb_hash hash;

    if (kb_key_type_hash(type, &hash))
        return kb_hash_size(hash);
    return type == KB_KEY_AES_128 ? 16 : type == KB_KEY_AES_192 ? 24 : 32;
}

static bool is_pair(enum kb_key_type type)
{
    return key_type_is_rsa(type) || key_type_is_ec(type);
}

static bool fits(enum kb_key_use use, enum kb_key_type type)
{
    enum kb_hash hash;

    if (key_type_is_rsa(type))
        return use == KB_KEY_WRAP || use == KB_KEY_SIGN;
    return (use == KB_KEY_SIGN) == (kb_key_type_hash(type, &hash) || key_type_is_ec(type));
}

static enum kb_status check_spec(const struct kb_key_spec *spec, struct kb_error *err)
{
    if (!key_name_valid(spec->name)) {
        kb_error_set(err, KB_ERR_USAGE, "'%.80s' cannot be a key's name", spec->name);
        kb_error_hint(err, "1 to %d of A-Z a-z 0-9 . _ -", KB_TOKEN_NAME_MAX);
        return KB_ERR_USAGE;
    }
    if (spec->use == KB_KEY_USE_UNKNOWN || spec->type == KB_KEY_TYPE_UNKNOWN)
        return kb_error_set(err, KB_ERR_USAGE, "a new key needs a use and a type");
    if (!fits(spec->use, spec->type))
        return kb_error_set(err, KB_ERR_USAGE, "a key of use %s cannot be of type %s",
                            kb_key_use_format(spec->use), kb_key_type_format(spec->type));
    if (spec->public_only && !is_pair(spec->type))
        return kb_error_set(err, KB_ERR_USAGE, "a key of type %s has no public half",
                            kb_key_type_format(spec->type));
    if (spec->release_never && (spec->use != KB_KEY_WRAP || spec->public_only))
        return kb_error_set(err, KB_ERR_USAGE,
                            "only a wrap key can keep data keys from being released");
    return KB_OK;
}

/* By the list: C_GetMechanismInfo of SoftHSM knows those it was told not to do
 * as well. A list that cannot be read lacks nothing. */
static bool is_listed(struct helper *helper, CK_MECHANISM_TYPE wanted)
{
    CK_MECHANISM_TYPE list[512];
    CK_ULONG count = sizeof list / sizeof list[0];

    if (helper->f->C_GetMechanismList(helper->place.slot, list, &count) != CKR_OK)
        return true;
    for (CK_ULONG i = 0; i < count; i++)
        if (list[i] == wanted)
            return true;
    return false;
}

/* A mechanism that stands in for others is allowed where one of those is not
 * there. */
static void allow(struct helper *helper, struct new_key *key)
{
    enum mechanism which[KEY_MECHANISMS_MAX];
    size_t must, count = mechanisms_of_key(which, &must, key->spec->use, key->spec->type,
                                           key->spec->release_never);
    bool lacking = false;

    for (size_t i = 0; i < count && (i < must || lacking); i++) {
        CK_MECHANISM_TYPE number = mechanism_row(helper->vendor, which[i])->number;

        key->allowed[key->allowed_count++] = number;
        lacking = lacking || (must < count && !is_listed(helper, number));
    }
}

/* The name must be free. Another program may take it at this moment; then
 * there are two, and every use of the name is refused. */
static enum kb_status start(struct helper *helper, const struct kb_key_spec *spec,
                            enum kb_key_origin origin, struct new_key *key, struct kb_error *err)
{
    enum kb_status status = check_spec(spec, err);
    uint8_t random[8];
    CK_ULONG count;

    if (status == KB_OK)
        status = key_count(helper, spec->name, NULL, &count, err);
    if (status != KB_OK)
        return status;
    if (count > 0)
        return kb_error_set(err, KB_ERR_EXISTS, "the token has a key '%s' already", spec->name);
    status = random_fill(helper, random, sizeof random, err);
    if (status != KB_OK)
        return status;
    *key = (struct new_key){
        .spec = spec,
        .type = key_type_is_rsa(spec->type)   ? CKK_RSA
                : key_type_is_ec(spec->type)  ? CKK_EC
                : spec->use == KB_KEY_SIGN    ? CKK_GENERIC_SECRET
                                              : CKK_AES,
        .size = size_of_type(spec->type),
    };
    allow(helper, key);
    key_id_make(key->id, spec, origin, random);
    return KB_OK;
}

enum kb_status key_create(struct helper *helper, const struct kb_key_spec *spec,
                          struct kb_error *err)
{
    struct new_key key;
    enum kb_status status = start(helper, spec, KB_KEY_GENERATED, &key, err);

    if (status != KB_OK)
        return status;
    if (spec->public_only)
        return kb_error_set(err, KB_ERR_USAGE, "a public key alone cannot be made, only imported");
    if (spec->use == KB_KEY_LEGACY)
        return kb_error_set(err, KB_ERR_USAGE,
                            "a legacy key reads what there is: it cannot be made, only imported");
    if (spec->type == KB_KEY_RSA || spec->type == KB_KEY_EC) {
        kb_error_set(err, KB_ERR_USAGE, "a new key needs a size: %s does not say which",
                     kb_key_type_format(spec->type));
        kb_error_hint(err, "rsa-2048, rsa-3072, rsa-4096, ec-p256 or ec-p384");
        return KB_ERR_USAGE;
    }
    return make(helper, &key, err);
}

static enum kb_status check_value(const struct kb_key_spec *spec, struct kb_bytes value,
                                  size_t wanted, struct kb_error *err)
{
    if (spec->use != KB_KEY_SIGN) {
        if (value.size == wanted)
            return KB_OK;
        return kb_error_set(err, KB_ERR_USAGE, "a key of type %s has %zu bytes, not %zu",
                            kb_key_type_format(spec->type), wanted, value.size);
    }
    if (value.size == 0 || value.size > KB_HMAC_KEY_MAX)
        return kb_error_set(err, KB_ERR_USAGE, "an HMAC key has 1 to %d bytes, not %zu",
                            KB_HMAC_KEY_MAX, value.size);
    if (value.size >= wanted || spec->allow_weak)
        return KB_OK;
    kb_error_set(err, KB_ERR_USAGE, "a key of %zu bytes is too short for %s, which wants %zu",
                 value.size, kb_key_type_format(spec->type), wanted);
    kb_error_hint(err, "--allow-weak imports it all the same, filled up with zeros");
    return KB_ERR_USAGE;
}

static enum kb_status import_secret(struct helper *helper, struct new_key *key,
                                    struct kb_bytes value, struct kb_error *err)
{
    uint8_t padded[KB_HMAC_KEY_MAX] = {0};
    enum kb_status status = check_value(key->spec, value, key->size, err);

    if (status != KB_OK)
        return status;
    /* HMAC itself fills a key up with zeros, so that no MAC changes. */
    memcpy(padded, value.data, value.size);
    key->value = padded;
    if (value.size > key->size)
        key->size = value.size;
    status = make(helper, key, err);
    kb_wipe(padded, sizeof padded);
    return status;
}

/* The client has read the encoding; that the numbers are those of its type is
 * all that is left to see. */
static enum kb_status import_pair(struct helper *helper, const struct new_key *key,
                                  struct kb_bytes value, struct kb_error *err)
{
    struct kb_reader reader = kb_reader_of(value);
    struct new_key with_parts = *key;
    struct kb_key_parts parts;
    bool rsa = key->type == CKK_RSA, good;

    good = kb_key_parts_get(&reader, &parts) && kb_reader_done(&reader);
    if (rsa)
        good = good && parts.modulus.size && parts.public_exponent.size &&
               (key->spec->public_only || (parts.private_exponent.size && parts.coefficient.size));
    else
        good = good && kb_type_of_curve(parts.curve) == key->spec->type && parts.point.size &&
               (key->spec->public_only || parts.scalar.size);
    if (!good)
        return kb_error_set(err, KB_ERR_INPUT, "the numbers are not those of a key of type %s",
                            kb_key_type_format(key->spec->type));
    with_parts.parts = &parts;
    return make(helper, &with_parts, err);
}

enum kb_status key_import(struct helper *helper, const struct kb_key_spec *spec,
                          struct kb_bytes value, struct kb_error *err)
{
    struct new_key key;
    enum kb_status status = start(helper, spec, KB_KEY_IMPORTED, &key, err);

    if (status != KB_OK)
        return status;
    return is_pair(spec->type) ? import_pair(helper, &key, value, err)
                               : import_secret(helper, &key, value, err);
}

enum kb_status key_destroy(struct helper *helper, const char *name, struct kb_error *err)
{
    struct found_key *key;
    enum kb_status status = key_find(helper, name, &key, err);
    CK_RV rv;

    if (status != KB_OK)
        return status;
    rv = helper->f->C_DestroyObject(helper->session, key->object);
    if (rv == CKR_OK && key->public_object != CK_INVALID_HANDLE)
        rv = helper->f->C_DestroyObject(helper->session, key->public_object);
    return rv == CKR_OK ? KB_OK
                        : helper_error(helper, err, rv, "C_DestroyObject of key '%.80s'", name);
}
