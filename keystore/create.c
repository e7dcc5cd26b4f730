/* SPDX-License-Identifier: Apache-2.0
 *
 * Makes, imports and destroys keys of the token.
 */
#include "keystore/helper.h"

#include <string.h>

/* Attributes that only add protection: a token that refuses one gets the key
 * without it, and the key is shown as not protected in that way.
 * CKA_MODIFIABLE stays true: SoftHSM makes no session copy of a key that may
 * not be modified, and without the copy every use costs several times more. */
enum { POLICY_MECHANISMS = 1, POLICY_UNWRAP = 2, POLICY_ALL = 3 };

struct new_key {
    const struct kb_key_spec *spec;
    uint8_t id[KEY_ID_SIZE];
    CK_KEY_TYPE type;
    CK_ULONG size;
    const uint8_t *value; /* NULL: to be generated */
    CK_MECHANISM_TYPE allowed;
};

static unsigned uses_of(enum kb_key_use use)
{
    return use == KB_KEY_WRAP   ? MAY_WRAP | MAY_UNWRAP
           : use == KB_KEY_SIGN ? MAY_SIGN | MAY_VERIFY
                                : MAY_ENCRYPT | MAY_DECRYPT;
}

static void fill(struct template *out, const struct new_key *key, unsigned policy)
{
    static CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
    static CK_ATTRIBUTE unwrapped[] = {
        {CKA_SENSITIVE, &yes, sizeof yes},
        {CKA_EXTRACTABLE, &no, sizeof no},
    };

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
    template_flag(out, CKA_MODIFIABLE, true);
    if (policy & POLICY_MECHANISMS)
        template_bytes(out, CKA_ALLOWED_MECHANISMS, &key->allowed, sizeof key->allowed);
    if (policy & POLICY_UNWRAP)
        template_bytes(out, CKA_UNWRAP_TEMPLATE, unwrapped, sizeof unwrapped);
}

static CK_RV make_once(struct helper *helper, const struct new_key *key, unsigned policy)
{
    struct template wanted;
    CK_OBJECT_HANDLE object;
    CK_MECHANISM mechanism;

    fill(&wanted, key, policy);
    if (key->value)
        return helper->f->C_CreateObject(helper->session, wanted.rows, wanted.count, &object);
    mechanism = mechanism_make(
        helper->vendor,
        key->type == CKK_AES ? MECHANISM_AES_KEY_GEN : MECHANISM_SECRET_KEY_GEN, NULL);
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
static CK_RV make(struct helper *helper, const struct new_key *key)
{
    static const unsigned without[] = {0, POLICY_UNWRAP, POLICY_MECHANISMS, POLICY_ALL};
    unsigned wanted = key->spec->release_never ? POLICY_ALL : POLICY_MECHANISMS;
    CK_RV rv = CKR_OK;

    for (size_t i = 0; i < sizeof without / sizeof without[0]; i++) {
        if (without[i] & ~wanted)
            continue;
        rv = make_once(helper, key, wanted & ~without[i]);
        if (rv == CKR_OK || !may_be_policy(rv))
            break;
    }
    return rv;
}

static size_t size_of_type(enum kb_key_type type)
{
    enum kb_hash hash;

    if (kb_key_type_hash(type, &hash))
        return kb_hash_size(hash);
    return type == KB_KEY_AES_128 ? 16 : type == KB_KEY_AES_192 ? 24 : 32;
}

static enum kb_status check_spec(const struct kb_key_spec *spec, struct kb_error *err)
{
    enum kb_hash hash;
    bool hmac = kb_key_type_hash(spec->type, &hash);

    if (!key_name_valid(spec->name)) {
        kb_error_set(err, KB_ERR_USAGE, "'%.80s' cannot be a key's name", spec->name);
        kb_error_hint(err, "1 to %d of A-Z a-z 0-9 . _ -", KB_TOKEN_NAME_MAX);
        return KB_ERR_USAGE;
    }
    if (spec->use == KB_KEY_USE_UNKNOWN || spec->type == KB_KEY_TYPE_UNKNOWN)
        return kb_error_set(err, KB_ERR_USAGE, "a new key needs a use and a type");
    if (hmac != (spec->use == KB_KEY_SIGN))
        return kb_error_set(err, KB_ERR_USAGE, "a %s key cannot be of type %s",
                            kb_key_use_format(spec->use), kb_key_type_format(spec->type));
    if (spec->release_never && spec->use != KB_KEY_WRAP)
        return kb_error_set(err, KB_ERR_USAGE,
                            "only a wrap key can keep data keys from being released");
    return KB_OK;
}

/* The name must be free. Another program may take it at this moment; then
 * there are two, and every use of the name is refused. */
static enum kb_status start(struct helper *helper, const struct kb_key_spec *spec,
                            enum kb_key_origin origin, struct new_key *key, struct kb_error *err)
{
    enum kb_status status = check_spec(spec, err);
    uint8_t random[8];
    CK_ULONG count;
    CK_RV rv;

    if (status == KB_OK)
        status = key_count(helper, spec->name, &count, err);
    if (status != KB_OK)
        return status;
    if (count > 0)
        return kb_error_set(err, KB_ERR_EXISTS, "the token has a key '%s' already", spec->name);
    rv = helper->f->C_GenerateRandom(helper->session, random, sizeof random);
    if (rv != CKR_OK)
        return helper_error(helper, err, rv, "C_GenerateRandom");
    *key = (struct new_key){
        .spec = spec,
        .type = spec->use == KB_KEY_SIGN ? CKK_GENERIC_SECRET : CKK_AES,
        .size = size_of_type(spec->type),
        .allowed =
            mechanism_row(helper->vendor, mechanism_of_key(spec->use, spec->type))->number,
    };
    key_id_make(key->id, spec, origin, random);
    return KB_OK;
}

enum kb_status key_create(struct helper *helper, const struct kb_key_spec *spec,
                          struct kb_error *err)
{
    struct new_key key;
    enum kb_status status = start(helper, spec, KB_KEY_GENERATED, &key, err);
    CK_RV rv;

    if (status != KB_OK)
        return status;
    rv = make(helper, &key);
    if (rv == CKR_OK)
        return KB_OK;
    return helper_error(
        helper, err, rv, "C_GenerateKey with %s",
        mechanism_row(helper->vendor, key.type == CKK_AES ? MECHANISM_AES_KEY_GEN
                                                          : MECHANISM_SECRET_KEY_GEN)
            ->name);
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
    if (value.size == 0 || value.size > KB_REQUEST_VALUE_MAX)
        return kb_error_set(err, KB_ERR_USAGE, "an HMAC key has 1 to %d bytes, not %zu",
                            KB_REQUEST_VALUE_MAX, value.size);
    if (value.size >= wanted || spec->allow_weak)
        return KB_OK;
    kb_error_set(err, KB_ERR_USAGE, "a key of %zu bytes is too short for %s, which wants %zu",
                 value.size, kb_key_type_format(spec->type), wanted);
    kb_error_hint(err, "--allow-weak imports it all the same, filled up with zeros");
    return KB_ERR_USAGE;
}

enum kb_status key_import(struct helper *helper, const struct kb_key_spec *spec,
                          struct kb_bytes value, struct kb_error *err)
{
    uint8_t padded[KB_REQUEST_VALUE_MAX] = {0};
    struct new_key key;
    enum kb_status status = start(helper, spec, KB_KEY_IMPORTED, &key, err);
    CK_RV rv;

    if (status == KB_OK)
        status = check_value(spec, value, key.size, err);
    if (status != KB_OK)
        return status;
    /* HMAC itself fills a key up with zeros, so that no MAC changes. */
    memcpy(padded, value.data, value.size);
    key.value = padded;
    if (value.size > key.size)
        key.size = value.size;
    rv = make(helper, &key);
    kb_wipe(padded, sizeof padded);
    return rv == CKR_OK ? KB_OK : helper_error(helper, err, rv, "C_CreateObject of a key");
}

enum kb_status key_destroy(struct helper *helper, const char *name, struct kb_error *err)
{
    const struct found_key *key;
    enum kb_status status = key_find(helper, name, &key, err);
    CK_RV rv;

    if (status != KB_OK)
        return status;
    rv = helper->f->C_DestroyObject(helper->session, key->object);
    return rv == CKR_OK ? KB_OK
                        : helper_error(helper, err, rv, "C_DestroyObject of key '%.80s'", name);
}
