/* SPDX-License-Identifier: Apache-2.0
 *
 * Makes the two objects of an RSA or EC key: a private one that never leaves
 * the token, and a public one of the same label and id.
 */
#include "keystore/helper.h"

#include <string.h>

enum { RSA_EXPONENT_SIZE = 3 };
static const uint8_t rsa_exponent[RSA_EXPONENT_SIZE] = {1, 0, 1};

static void common(struct template *out, const struct new_key *key, CK_OBJECT_CLASS class,
                   bool private)
{
    out->count = out->numbers_used = 0;
    template_number(out, CKA_CLASS, class);
    template_number(out, CKA_KEY_TYPE, key->type);
    template_flag(out, CKA_TOKEN, true);
    template_flag(out, CKA_PRIVATE, private);
    template_bytes(out, CKA_LABEL, key->spec->name, strlen(key->spec->name));
    template_bytes(out, CKA_ID, key->id, sizeof key->id);
}

static void fill_public(struct template *out, const struct new_key *key, unsigned policy)
{
    common(out, key, CKO_PUBLIC_KEY, policy & POLICY_PIN);
    template_public_uses(out, key->spec->use == KB_KEY_WRAP ? MAY_ENCRYPT | MAY_WRAP : MAY_VERIFY);
    policy_put(out, key, policy & ~(unsigned)POLICY_UNWRAP);
}

/* Under a --release never key nothing is decrypted, only unwrapped. */
static void fill_private(struct template *out, const struct new_key *key, unsigned policy)
{
    unsigned uses = key->spec->use == KB_KEY_SIGN ? MAY_SIGN
                    : key->spec->release_never    ? MAY_UNWRAP
                                                  : MAY_UNWRAP | MAY_DECRYPT;

    common(out, key, CKO_PRIVATE_KEY, true);
    template_flag(out, CKA_SENSITIVE, true);
    template_flag(out, CKA_EXTRACTABLE, false);
    template_private_uses(out, uses);
    policy_put(out, key, policy);
}

static void put(struct template *out, CK_ATTRIBUTE_TYPE type, struct kb_bytes bytes)
{
    template_bytes(out, type, bytes.data, bytes.size);
}

/* --- making -------------------------------------------------------------------------- */

static CK_RV generate(struct helper *helper, const struct new_key *key, unsigned policy)
{
    bool rsa = key->type == CKK_RSA;
    CK_MECHANISM mechanism = mechanism_make(
        helper->vendor, rsa ? MECHANISM_RSA_KEY_PAIR_GEN : MECHANISM_EC_KEY_PAIR_GEN, NULL);
    struct template public, private;
    CK_OBJECT_HANDLE made_public, made_private;
    enum kb_key_type type = key->spec->type;

    fill_public(&public, key, policy);
    fill_private(&private, key, policy);
    if (rsa) {
        template_number(&public, CKA_MODULUS_BITS,
                        type == KB_KEY_RSA_2048   ? 2048
                        : type == KB_KEY_RSA_3072 ? 3072
                                                  : 4096);
        template_bytes(&public, CKA_PUBLIC_EXPONENT, rsa_exponent, sizeof rsa_exponent);
    } else {
        put(&public, CKA_EC_PARAMS, kb_curve_of_type(type));
    }
    return helper->f->C_GenerateKeyPair(helper->session, &mechanism, public.rows, public.count,
                                        private.rows, private.count, &made_public, &made_private);
}

/* --- importing ------------------------------------------------------------------------- */

static CK_RV create_public(struct helper *helper, const struct new_key *key, unsigned policy,
                           CK_OBJECT_HANDLE *object)
{
    struct template wanted;

    fill_public(&wanted, key, policy);
    if (key->type == CKK_RSA) {
        put(&wanted, CKA_MODULUS, key->parts->modulus);
        put(&wanted, CKA_PUBLIC_EXPONENT, key->parts->public_exponent);
    } else {
        put(&wanted, CKA_EC_PARAMS, key->parts->curve);
        put(&wanted, CKA_EC_POINT, key->parts->point);
    }
    return helper->f->C_CreateObject(helper->session, wanted.rows, wanted.count, object);
}

/* Some tokens make an EC key only when they are told its public point too. */
static CK_RV create_private(struct helper *helper, const struct new_key *key, unsigned policy,
                            bool with_point)
{
    const struct kb_key_parts *parts = key->parts;
    struct template wanted;
    CK_OBJECT_HANDLE object;

    fill_private(&wanted, key, policy);
    if (key->type == CKK_RSA) {
        put(&wanted, CKA_MODULUS, parts->modulus);
        put(&wanted, CKA_PUBLIC_EXPONENT, parts->public_exponent);
        put(&wanted, CKA_PRIVATE_EXPONENT, parts->private_exponent);
        put(&wanted, CKA_PRIME_1, parts->prime1);
        put(&wanted, CKA_PRIME_2, parts->prime2);
        put(&wanted, CKA_EXPONENT_1, parts->exponent1);
        put(&wanted, CKA_EXPONENT_2, parts->exponent2);
        put(&wanted, CKA_COEFFICIENT, parts->coefficient);
    } else {
        put(&wanted, CKA_EC_PARAMS, parts->curve);
        put(&wanted, CKA_VALUE, parts->scalar);
        if (with_point)
            put(&wanted, CKA_EC_POINT, parts->point);
    }
    return helper->f->C_CreateObject(helper->session, wanted.rows, wanted.count, &object);
}

/* The public object first: should this process end between the two, what is
 * left holds no secret. */
static CK_RV create(struct helper *helper, const struct new_key *key, unsigned policy)
{
    CK_OBJECT_HANDLE public_object;
    CK_RV rv = create_public(helper, key, policy, &public_object);

    if (rv != CKR_OK || key->spec->public_only)
        return rv;
    rv = create_private(helper, key, policy, false);
    if (rv != CKR_OK && key->type == CKK_EC && ckr_find(rv)->kind != CKR_CLASS_LOST &&
        create_private(helper, key, policy, true) == CKR_OK)
        rv = CKR_OK;
    if (rv != CKR_OK)
        (void)helper->f->C_DestroyObject(helper->session, public_object);
    return rv;
}

CK_RV pair_make(struct helper *helper, const struct new_key *key, unsigned policy,
                const char **call)
{
    *call = key->parts             ? "C_CreateObject of a key"
            : key->type == CKK_RSA ? "C_GenerateKeyPair with CKM_RSA_PKCS_KEY_PAIR_GEN"
                                   : "C_GenerateKeyPair with CKM_EC_KEY_PAIR_GEN";
    return key->parts ? create(helper, key, policy) : generate(helper, key, policy);
}
