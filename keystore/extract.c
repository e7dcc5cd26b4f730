/* SPDX-License-Identifier: Apache-2.0
 *
 * Really tries to get a key out of the token, in every way PKCS#11 has. What
 * an attempt makes is destroyed, and what it learns is wiped, unsaid.
 */
#include "keystore/probe.h"

#include <stdio.h>
#include <string.h>

struct attempt {
    struct helper *helper;
    struct trials *trials;
    CK_OBJECT_HANDLE key;
};

static void conclude(struct attempt *attempt, CK_RV rv, const char *what, const char *success)
{
    if (ckr_find(rv)->kind == CKR_CLASS_LOST)
        attempt->helper->lost = true;
    if (rv == CKR_OK)
        trial_add(attempt->trials, false, rv, what, "SUCCEEDED: %s", success);
    else if (ckr_find(rv)->rv == rv)
        trial_add(attempt->trials, true, rv, what, "refused: %s", ckr_find(rv)->name);
    else
        trial_add(attempt->trials, true, rv, what, "refused: CKR 0x%lx", rv);
}

static void read_value(struct attempt *attempt, bool rsa)
{
    uint8_t value[KB_REQUEST_VALUE_MAX];
    CK_ULONG size = sizeof value;
    CK_RV rv = attribute_read(attempt->helper, attempt->key,
                              rsa ? CKA_PRIVATE_EXPONENT : CKA_VALUE, value, &size);

    kb_wipe(value, sizeof value);
    conclude(attempt, rv,
             rsa ? "read its value (C_GetAttributeValue, CKA_PRIVATE_EXPONENT)"
                 : "read its value (C_GetAttributeValue, CKA_VALUE)",
             "the token shows the key to whoever has the PIN");
}

/* --- wrapping it under a key we know ----------------------------------------------- */

static bool may_wrap(const struct helper *helper, CK_MECHANISM_TYPE type)
{
    CK_MECHANISM_INFO info;

    return helper->f->C_GetMechanismInfo(helper->place.slot, type, &info) == CKR_OK &&
           info.flags & CKF_WRAP;
}

static CK_RV make_wrapping_key(struct helper *helper, CK_OBJECT_HANDLE *key)
{
    struct template wanted;
    uint8_t value[32];
    CK_RV rv = helper->f->C_GenerateRandom(helper->session, value, sizeof value);

    template_session_key(&wanted, CKK_AES, false, true, MAY_WRAP | MAY_ENCRYPT);
    template_bytes(&wanted, CKA_VALUE, value, sizeof value);
    if (rv == CKR_OK)
        rv = helper->f->C_CreateObject(helper->session, wanted.rows, wanted.count, key);
    kb_wipe(value, sizeof value);
    return rv;
}

static void wrap_it(struct attempt *attempt)
{
    static uint8_t iv[16];
    static const struct {
        CK_MECHANISM mechanism;
        const char *name;
    } ways[] = {
        {{CKM_AES_KEY_WRAP, NULL, 0}, "CKM_AES_KEY_WRAP"},
        {{CKM_AES_KEY_WRAP_PAD, NULL, 0}, "CKM_AES_KEY_WRAP_PAD"},
        {{0x210bUL, NULL, 0}, "CKM_AES_KEY_WRAP_KWP"},
        {{CKM_AES_CBC, iv, sizeof iv}, "CKM_AES_CBC"},
        {{CKM_AES_CBC_PAD, iv, sizeof iv}, "CKM_AES_CBC_PAD"},
        {{CKM_AES_ECB, NULL, 0}, "CKM_AES_ECB"},
    };
    struct helper *helper = attempt->helper;
    CK_OBJECT_HANDLE wrapping;
    CK_RV rv = make_wrapping_key(helper, &wrapping);

    if (rv != CKR_OK) {
        conclude(attempt, rv, "make a key to wrap it under", "");
        return;
    }
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        CK_MECHANISM mechanism = ways[i].mechanism;
        uint8_t out[KB_REQUEST_VALUE_MAX];
        CK_ULONG size = sizeof out;
        char what[96];

        if (!may_wrap(helper, mechanism.mechanism))
            continue;
        snprintf(what, sizeof what, "wrap it under a key made for that (%s)", ways[i].name);
        rv = helper->f->C_WrapKey(helper->session, &mechanism, wrapping, attempt->key, out, &size);
        kb_wipe(out, sizeof out);
        conclude(attempt, rv, what, "the token wraps the key under any key, extractable or not");
    }
    (void)helper->f->C_DestroyObject(helper->session, wrapping);
}

/* --- making it weaker ---------------------------------------------------------------- */

static void copy_weaker(struct attempt *attempt, CK_ATTRIBUTE_TYPE type, bool value,
                        const char *what)
{
    struct helper *helper = attempt->helper;
    enum kb_answer weak = value ? KB_ANSWER_YES : KB_ANSWER_NO;
    struct template wanted = {.count = 0};
    CK_OBJECT_HANDLE copy;
    CK_RV rv;

    template_flag(&wanted, CKA_TOKEN, false);
    template_flag(&wanted, type, value);
    rv = helper->f->C_CopyObject(helper->session, attempt->key, wanted.rows, wanted.count, &copy);
    if (rv == CKR_OK && key_flag_read(helper, copy, type) != weak)
        trial_add(attempt->trials, true, rv, what, "no effect: the copy is as strong as the key");
    else
        conclude(attempt, rv, what, "the token gave a copy that can be taken out");
    if (rv == CKR_OK)
        (void)helper->f->C_DestroyObject(helper->session, copy);
}

/* On a copy in the session, which is under the same rules: the key itself must
 * not be weak for a moment, should this process end in it. */
static void set_weaker(struct attempt *attempt, CK_ATTRIBUTE_TYPE type, bool value,
                       const char *what)
{
    struct helper *helper = attempt->helper;
    enum kb_answer weak = value ? KB_ANSWER_YES : KB_ANSWER_NO;
    struct template session = {.count = 0}, wanted = {.count = 0};
    CK_OBJECT_HANDLE copy;
    CK_RV rv;

    if (key_flag_read(helper, attempt->key, type) == weak) {
        trial_add(attempt->trials, false, CKR_OK, what, "not needed: the key is like that");
        return;
    }
    template_flag(&session, CKA_TOKEN, false);
    template_flag(&wanted, type, value);
    rv = helper->f->C_CopyObject(helper->session, attempt->key, session.rows, session.count, &copy);
    if (rv != CKR_OK) {
        conclude(attempt, rv, what, "");
        return;
    }
    rv = helper->f->C_SetAttributeValue(helper->session, copy, wanted.rows, wanted.count);
    if (rv == CKR_OK && key_flag_read(helper, copy, type) != weak)
        trial_add(attempt->trials, true, rv, what, "no effect: the key is as it was");
    else
        conclude(attempt, rv, what, "the token weakened a copy of the key");
    (void)helper->f->C_DestroyObject(helper->session, copy);
}

enum kb_status extract_try(struct helper *helper, const char *name, struct kb_buffer *answer,
                           struct kb_error *err)
{
    struct trials trials = {.count = 0};
    struct attempt attempt = {.helper = helper, .trials = &trials};
    struct found_key *key;
    enum kb_status status = key_find(helper, name, &key, err);

    if (status != KB_OK)
        return status;
    if (key->info.public_only)
        return kb_error_set(err, KB_ERR_USAGE, "key '%.80s' is a public key: nothing is to be kept",
                            name);
    attempt.key = key->object;
    read_value(&attempt, key_type_is_rsa(key->info.type));
    wrap_it(&attempt);
    copy_weaker(&attempt, CKA_EXTRACTABLE, true, "copy it as extractable (C_CopyObject)");
    copy_weaker(&attempt, CKA_SENSITIVE, false, "copy it as not sensitive (C_CopyObject)");
    set_weaker(&attempt, CKA_EXTRACTABLE, true, "make it extractable (C_SetAttributeValue)");
    set_weaker(&attempt, CKA_SENSITIVE, false, "make it not sensitive (C_SetAttributeValue)");
    if (helper->lost)
        return kb_error_set(err, KB_ERR_TOKEN, "the session was lost while the key was tried");
    trials_put(&trials, answer);
    return KB_OK;
}
