/* SPDX-License-Identifier: Apache-2.0
 *
 * Who makes the IVs of AES-GCM on this token. One IV used twice under a key
 * gives that key's messages away (NIST SP 800-38D section 8), and tokens differ:
 * some take the caller's, some only their own, and some say CKR_OK and use one
 * IV for everything. So it is tried, with a key made for that, and never taken
 * from CKR_OK.
 */
#include "keystore/gcm.h"

#include <string.h>

#include "crypto/gcm.h"

enum { VALUE_SIZE = 32, TEXT_SIZE = 32, TRIALS = 2 };

static const uint8_t text[TEXT_SIZE] = "the same text, encrypted twice";
static const char aad[] = "keybridge";

/* What trying one origin showed. */
struct finding {
    const char *fault; /* what is wrong with what it made; NULL: nothing, or it refused */
    CK_RV rv;          /* CKR_OK: it did not refuse */
    const char *call;
};

static void set_up(struct helper *helper, struct gcm *gcm, uint8_t out[TEXT_SIZE + GCM_ROOM])
{
    *gcm = (struct gcm){.key = helper->iv_key,
                        .aad = kb_bytes_text(aad),
                        .in = {text, sizeof text},
                        .out = out,
                        .room = TEXT_SIZE + GCM_ROOM};
}

/* The token decrypts it under the IV that was reported. */
static bool decrypts(struct helper *helper, const struct gcm *made)
{
    uint8_t out[2 * TEXT_SIZE + GCM_ROOM];
    struct gcm gcm = *made;

    gcm.in = (struct kb_bytes){made->out, made->size};
    gcm.out = out;
    gcm.room = sizeof out;
    return gcm_decrypt(helper, &gcm) == CKR_OK && gcm.size == sizeof text &&
           memcmp(out, text, sizeof text) == 0;
}

/* The same by OpenSSL, into room for text and tag. */
static bool seal_outside(struct helper *helper, const struct gcm *gcm, uint8_t *out)
{
    struct kb_gcm_text want = {gcm->iv, gcm->aad, gcm->in, out, out + gcm->in.size};

    return kb_gcm_encrypt(helper->iv_outside, &want, NULL) == KB_OK;
}

/* A token could be wrong in the same way both times, and decrypt what it made. */
static bool agrees(struct helper *helper, const struct gcm *made)
{
    uint8_t out[TEXT_SIZE + KB_GCM_TAG_SIZE];

    return !helper->iv_outside ||
           (seal_outside(helper, made, out) && memcmp(made->out, out, sizeof out) == 0);
}

static const char *fault_of(struct helper *helper, const struct gcm made[TRIALS])
{
    for (int i = 0; i < TRIALS; i++) {
        if (made[i].size != TEXT_SIZE + KB_GCM_TAG_SIZE)
            return "gives a result of the wrong size";
        if (bytes_are_zero(made[i].iv, KB_GCM_IV_SIZE))
            return "reports no IV";
    }
    if (memcmp(made[0].iv, made[1].iv, KB_GCM_IV_SIZE) == 0 ||
        memcmp(made[0].out, made[1].out, made[0].size) == 0)
        return "repeats its IVs";
    for (int i = 0; i < TRIALS; i++)
        if (!decrypts(helper, &made[i]) || !agrees(helper, &made[i]))
            return "uses another IV than it reports";
    return NULL;
}

static struct finding try_origin(struct helper *helper, enum iv_origin origin)
{
    uint8_t out[TRIALS][TEXT_SIZE + GCM_ROOM];
    struct gcm made[TRIALS] = {{0}};
    struct finding finding = {NULL, CKR_OK, NULL};

    for (int i = 0; i < TRIALS && finding.rv == CKR_OK; i++) {
        set_up(helper, &made[i], out[i]);
        finding.rv = gcm_encrypt(helper, origin, &made[i]);
        finding.call = made[i].call;
    }
    if (finding.rv == CKR_OK)
        finding.fault = fault_of(helper, made);
    return finding;
}

/* --- the key made for that ------------------------------------------------------------ */

static CK_RV generate_key(struct helper *helper)
{
    CK_MECHANISM mechanism = mechanism_make(helper->vendor, MECHANISM_AES_KEY_GEN, NULL);
    struct template wanted;

    template_session_key(&wanted, CKK_AES, true, false, MAY_ENCRYPT | MAY_DECRYPT);
    template_number(&wanted, CKA_VALUE_LEN, VALUE_SIZE);
    return helper->f->C_GenerateKey(helper->session, &mechanism, wanted.rows, wanted.count,
                                    &helper->iv_key);
}

/* Of a value that OpenSSL gets too; where the token takes no values, generated. */
static enum kb_status make_key(struct helper *helper, struct kb_error *err)
{
    uint8_t value[VALUE_SIZE];
    struct template wanted;
    enum kb_status status;
    CK_RV rv;

    if (helper->iv_key != CK_INVALID_HANDLE)
        return KB_OK;
    status = random_fill(helper, value, sizeof value, err);
    if (status == KB_OK)
        status = kb_gcm_new(&helper->iv_outside, (struct kb_bytes){value, sizeof value}, err);
    if (status != KB_OK)
        return status;
    template_session_key(&wanted, CKK_AES, true, false, MAY_ENCRYPT | MAY_DECRYPT);
    template_bytes(&wanted, CKA_VALUE, value, sizeof value);
    rv = helper->f->C_CreateObject(helper->session, wanted.rows, wanted.count, &helper->iv_key);
    kb_wipe(value, sizeof value);
    if (rv == CKR_OK)
        return KB_OK;
    kb_gcm_free(helper->iv_outside);
    helper->iv_outside = NULL;
    rv = generate_key(helper);
    if (rv == CKR_OK)
        return KB_OK;
    helper->iv_key = CK_INVALID_HANDLE;
    return helper_error(helper, err, rv, "making a key to try AES-GCM with");
}

/* --- finding out ---------------------------------------------------------------------- */

enum kb_status ivs_distrust(struct helper *helper, const char *fault, struct kb_error *err)
{
    helper->iv_fault = fault;
    kb_error_set(err, KB_ERR_UNSUPPORTED,
                 "the token cannot be trusted with AES-GCM: it %s, so nothing is encrypted with it",
                 fault);
    kb_error_hint(err, "keybridge token probe shows what this token can do");
    return KB_ERR_UNSUPPORTED;
}

/* A fault says more than a refusal, and the first refusal more than the next. */
static bool says_more(const struct finding *now, const struct finding *before)
{
    return !before->call || (now->fault && !before->fault);
}

static enum kb_status try_all(struct helper *helper, struct kb_error *err)
{
    struct finding worst = {NULL, CKR_OK, NULL};

    for (enum iv_origin origin = IV_CALLER; origin <= IV_APPENDED; origin++) {
        struct finding now = try_origin(helper, origin);

        if (now.rv == CKR_OK && !now.fault) {
            helper->iv_origin = origin;
            return KB_OK;
        }
        if (says_more(&now, &worst))
            worst = now;
    }
    if (worst.fault)
        return ivs_distrust(helper, worst.fault, err);
    return helper_error(helper, err, worst.rv, "%s with %s", worst.call,
                        mechanism_row(helper->vendor, MECHANISM_GCM)->name);
}

enum kb_status ivs_find(struct helper *helper, struct kb_error *err)
{
    enum kb_status status;

    if (helper->iv_fault)
        return ivs_distrust(helper, helper->iv_fault, err);
    if (helper->iv_origin != IV_UNKNOWN)
        return KB_OK;
    status = make_key(helper, err);
    return status == KB_OK ? try_all(helper, err) : status;
}

bool ivs_token_is_well(struct helper *helper)
{
    uint8_t out[TEXT_SIZE + GCM_ROOM];
    struct gcm gcm;
    bool made;

    if (make_key(helper, NULL) != KB_OK)
        return false;
    set_up(helper, &gcm, out);
    gcm.size = TEXT_SIZE + KB_GCM_TAG_SIZE;
    if (helper->iv_outside)
        made = seal_outside(helper, &gcm, out);
    else if (ivs_find(helper, NULL) == KB_OK)
        made = gcm_encrypt(helper, helper->iv_origin, &gcm) == CKR_OK;
    else
        return session_is_well(helper); /* there is nothing to try it with */
    return made && decrypts(helper, &gcm);
}
