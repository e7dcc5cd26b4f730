/* SPDX-License-Identifier: Apache-2.0
 *
 * Tries the mechanisms of RSA and EC keys, on one throw-away pair of each kind.
 * What the public half does is done outside and is right; so a round trip
 * shows that the token's half is.
 */
#include "keystore/probe.h"

#include <stdio.h>
#include <string.h>

struct pair {
    CK_OBJECT_HANDLE public_object;
    CK_OBJECT_HANDLE private_object;
    struct kb_public_key *key; /* NULL: the token made none */
    unsigned bits;
    bool raw; /* raw RSA works */
};

static const uint8_t plain[32] = {0x6b, 0x65, 0x79, 0x62, 0x72, 0x69, 0x64, 0x67, 0x65};

/* --- a pair ---------------------------------------------------------------------------- */

static CK_RV generate(struct helper *helper, struct pair *pair, struct kb_bytes curve)
{
    static const uint8_t exponent[] = {1, 0, 1};
    bool rsa = curve.size == 0;
    CK_MECHANISM mechanism = mechanism_make(
        helper->vendor, rsa ? MECHANISM_RSA_KEY_PAIR_GEN : MECHANISM_EC_KEY_PAIR_GEN, NULL);
    struct template public = {.count = 0}, private = {.count = 0};

    template_number(&public, CKA_CLASS, CKO_PUBLIC_KEY);
    template_number(&public, CKA_KEY_TYPE, rsa ? CKK_RSA : CKK_EC);
    template_flag(&public, CKA_TOKEN, false);
    template_flag(&public, CKA_PRIVATE, false);
    template_public_uses(&public, rsa ? MAY_ENCRYPT | MAY_VERIFY : MAY_VERIFY);
    if (rsa) {
        template_number(&public, CKA_MODULUS_BITS, 2048);
        template_bytes(&public, CKA_PUBLIC_EXPONENT, exponent, sizeof exponent);
    } else {
        template_bytes(&public, CKA_EC_PARAMS, curve.data, curve.size);
    }
    template_number(&private, CKA_CLASS, CKO_PRIVATE_KEY);
    template_number(&private, CKA_KEY_TYPE, rsa ? CKK_RSA : CKK_EC);
    template_flag(&private, CKA_TOKEN, false);
    template_flag(&private, CKA_PRIVATE, true);
    template_flag(&private, CKA_SENSITIVE, true);
    template_flag(&private, CKA_EXTRACTABLE, false);
    template_private_uses(&private, rsa ? MAY_DECRYPT | MAY_SIGN : MAY_SIGN);
    return helper->f->C_GenerateKeyPair(helper->session, &mechanism, public.rows, public.count,
                                        private.rows, private.count, &pair->public_object,
                                        &pair->private_object);
}

static void make_pair(struct trial *trial, struct pair *pair, enum kb_key_type type)
{
    struct helper *helper = trial->helper;
    struct found_key found = {.name = NULL};

    memset(pair, 0, sizeof *pair);
    pair->public_object = pair->private_object = CK_INVALID_HANDLE;
    if (!trial_step(trial, "C_GenerateKeyPair",
                    generate(helper, pair, kb_curve_of_type(type))))
        return;
    found.object = pair->public_object;
    found.public_object = CK_INVALID_HANDLE;
    found.info.type = type;
    found.info.public_only = true;
    if (public_key_prepare(helper, &found, NULL) == KB_OK)
        pair->key = found.public_key;
    pair->bits = type == KB_KEY_EC_P384 ? 384 : 256;
}

static void end_pair(struct helper *helper, struct pair *pair)
{
    kb_public_key_free(pair->key);
    trial_end_key(helper, pair->public_object);
    trial_end_key(helper, pair->private_object);
}

/* --- RSA decryption ----------------------------------------------------------------------- */

static bool decrypt(struct trial *trial, const struct pair *pair, CK_MECHANISM *mechanism,
                    enum kb_wrap_algorithm algorithm, struct kb_buffer *out)
{
    struct helper *helper = trial->helper;
    uint8_t wrapped[KB_TOKEN_WRAPPED_MAX], *to = kb_buffer_extend(out, sizeof wrapped);
    size_t size = 0;
    CK_ULONG made = sizeof wrapped;
    bool good;

    if (!to || kb_public_key_wrap(pair->key, algorithm, wrapped, &size,
                                  (struct kb_bytes){plain, sizeof plain}, NULL) != KB_OK)
        return false;
    good = trial_step(trial, "C_DecryptInit",
                      helper->f->C_DecryptInit(helper->session, mechanism,
                                               pair->private_object)) &&
           trial_step(trial, "C_Decrypt",
                      helper->f->C_Decrypt(helper->session, wrapped, size, to, &made));
    out->size = good && made <= sizeof wrapped ? made : 0;
    return good;
}

static bool is_plain(struct kb_bytes bytes)
{
    return kb_bytes_equal(bytes, (struct kb_bytes){plain, sizeof plain});
}

static void try_raw(struct helper *helper, struct trials *trials, struct pair *pair)
{
    struct trial trial = {.helper = helper};
    CK_MECHANISM mechanism = mechanism_make(helper->vendor, MECHANISM_RSA_X_509, NULL);
    struct kb_buffer out = KB_BUFFER_INIT(KB_TOKEN_WRAPPED_MAX);
    uint8_t block[256] = {0}, back[256];
    size_t size = 0;

    if (decrypt(&trial, pair, &mechanism, KB_WRAP_OAEP_SHA1, &out) && out.size <= sizeof block) {
        memcpy(block + sizeof block - out.size, out.data, out.size);
        pair->raw = kb_oaep_decode(KB_WRAP_OAEP_SHA1, (struct kb_bytes){block, sizeof block},
                                   back, sizeof back, &size) &&
                    is_plain((struct kb_bytes){back, size});
    }
    trial_conclude(trials, &trial, MECHANISM_RSA_X_509, pair->raw);
    kb_buffer_free(&out);
}

static void try_pkcs1(struct helper *helper, struct trials *trials, const struct pair *pair)
{
    struct trial trial = {.helper = helper};
    CK_MECHANISM mechanism = mechanism_make(helper->vendor, MECHANISM_RSA_PKCS, NULL);
    struct kb_buffer out = KB_BUFFER_INIT(KB_TOKEN_WRAPPED_MAX);
    bool right = decrypt(&trial, pair, &mechanism, KB_WRAP_PKCS1, &out) &&
                 is_plain(kb_buffer_view(&out));

    trial_conclude(trials, &trial, MECHANISM_RSA_PKCS, right);
    kb_buffer_free(&out);
}

static void try_oaep(struct helper *helper, struct trials *trials, const struct pair *pair,
                     enum kb_wrap_algorithm algorithm)
{
    struct trial trial = {.helper = helper};
    CK_RSA_PKCS_OAEP_PARAMS params;
    CK_MECHANISM mechanism = mechanism_oaep(helper->vendor, algorithm, &params);
    struct kb_buffer out = KB_BUFFER_INIT(KB_TOKEN_WRAPPED_MAX);
    bool right = decrypt(&trial, pair, &mechanism, algorithm, &out) &&
                 is_plain(kb_buffer_view(&out));
    char what[sizeof trials->rows[0].what];

    snprintf(what, sizeof what, "RSA-OAEP (%s)", mechanism_wrap_name(algorithm));
    if (trial.rv == CKR_OK)
        trial_add(trials, right, CKR_OK, what, "%s",
                  right ? "works" : "gives a wrong result: do not use this token");
    else
        trial_add(trials, pair->raw, trial.rv, what, "%s: %s: %s",
                  pair->raw ? "done outside the token by raw RSA; refused" : "refused", trial.call,
                  ckr_find(trial.rv)->name);
    kb_buffer_free(&out);
}

/* --- signatures --------------------------------------------------------------------------- */

static bool sign(struct trial *trial, const struct pair *pair, enum mechanism which,
                 struct kb_bytes in, struct kb_signature *out)
{
    struct helper *helper = trial->helper;
    CK_MECHANISM mechanism = mechanism_make(helper->vendor, which, NULL);
    CK_ULONG size = sizeof out->data;
    bool good = trial_step(trial, "C_SignInit",
                           helper->f->C_SignInit(helper->session, &mechanism,
                                                 pair->private_object)) &&
                trial_step(trial, "C_Sign",
                           helper->f->C_Sign(helper->session, kb_input(in), in.size, out->data,
                                             &size));

    out->size = (uint16_t)(good && size <= sizeof out->data ? size : 0);
    return good;
}

static void try_rsa_signature(struct helper *helper, struct trials *trials,
                              const struct pair *pair, enum kb_hash hash)
{
    struct trial trial = {.helper = helper};
    struct kb_bytes message = {plain, sizeof plain};
    struct kb_signature made;
    bool right = sign(&trial, pair, mechanism_of_rsa_hash(hash), message, &made) &&
                 kb_public_key_verify(pair->key, hash, message,
                                      (struct kb_bytes){made.data, made.size});

    trial_conclude(trials, &trial, mechanism_of_rsa_hash(hash), right);
}

/* Over a digest that is longer than the order of P-256, cut as it must be. */
static void try_ecdsa(struct helper *helper, struct trials *trials, enum kb_key_type type)
{
    struct trial trial = {.helper = helper};
    struct kb_bytes message = {plain, sizeof plain};
    struct kb_signature raw;
    struct pair pair;
    uint8_t digest[64], der[160];
    size_t size = kb_digest(KB_SHA512, message, digest);
    bool right = false;
    char what[64];

    make_pair(&trial, &pair, type);
    if (type == KB_KEY_EC_P256)
        trial_conclude(trials, &trial, MECHANISM_EC_KEY_PAIR_GEN, pair.key != NULL);
    if (trial.rv == CKR_OK && pair.key && size &&
        sign(&trial, &pair, MECHANISM_ECDSA, (struct kb_bytes){digest, pair.bits / 8}, &raw)) {
        size = kb_ecdsa_to_der((struct kb_bytes){raw.data, raw.size}, der, sizeof der);
        right = kb_public_key_verify(pair.key, KB_SHA512, message, (struct kb_bytes){der, size});
    }
    snprintf(what, sizeof what, "ECDSA, %s (CKM_ECDSA)", kb_key_type_format(type));
    if (trial.rv != CKR_OK)
        trial_add(trials, false, trial.rv, what, "refused: %s: %s", trial.call,
                  ckr_find(trial.rv)->name);
    else
        trial_add(trials, right, CKR_OK, what, "%s",
                  right ? "works" : "gives a wrong result: do not use this token");
    end_pair(helper, &pair);
}

void probe_pairs(struct helper *helper, struct trials *trials)
{
    struct trial trial = {.helper = helper};
    struct pair pair;

    make_pair(&trial, &pair, KB_KEY_RSA_2048);
    trial_conclude(trials, &trial, MECHANISM_RSA_KEY_PAIR_GEN, pair.key != NULL);
    if (pair.key) {
        try_raw(helper, trials, &pair);
        for (int i = KB_WRAP_OAEP_SHA1; i <= KB_WRAP_OAEP_SHA512_MGF_SHA512; i++)
            try_oaep(helper, trials, &pair, (enum kb_wrap_algorithm)i);
        try_pkcs1(helper, trials, &pair);
        for (enum kb_hash hash = KB_SHA224; hash <= KB_SHA512; hash++)
            try_rsa_signature(helper, trials, &pair, hash);
    }
    end_pair(helper, &pair);
    try_ecdsa(helper, trials, KB_KEY_EC_P256);
    try_ecdsa(helper, trials, KB_KEY_EC_P384);
}
