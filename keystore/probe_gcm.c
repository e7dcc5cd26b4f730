/* SPDX-License-Identifier: Apache-2.0
 *
 * The probe's part for AES-GCM: a known text, a changed one, and who makes IVs.
 */
#include "keystore/gcm.h"
#include "keystore/probe.h"

#include <string.h>

/* Test case 16 of McGrew and Viega, "The Galois/Counter Mode of Operation". */
static const uint8_t value[32] = {0xfe, 0xff, 0xe9, 0x92, 0x86, 0x65, 0x73, 0x1c, 0x6d, 0x6a, 0x8f,
                                  0x94, 0x67, 0x30, 0x83, 0x08, 0xfe, 0xff, 0xe9, 0x92, 0x86, 0x65,
                                  0x73, 0x1c, 0x6d, 0x6a, 0x8f, 0x94, 0x67, 0x30, 0x83, 0x08};
static const uint8_t iv[KB_GCM_IV_SIZE] = {0xca, 0xfe, 0xba, 0xbe, 0xfa, 0xce,
                                           0xdb, 0xad, 0xde, 0xca, 0xf8, 0x88};
static const uint8_t aad[20] = {0xfe, 0xed, 0xfa, 0xce, 0xde, 0xad, 0xbe, 0xef, 0xfe, 0xed,
                                0xfa, 0xce, 0xde, 0xad, 0xbe, 0xef, 0xab, 0xad, 0xda, 0xd2};
static const uint8_t text[60] = {
    0xd9, 0x31, 0x32, 0x25, 0xf8, 0x84, 0x06, 0xe5, 0xa5, 0x59, 0x09, 0xc5, 0xaf, 0xf5, 0x26,
    0x9a, 0x86, 0xa7, 0xa9, 0x53, 0x15, 0x34, 0xf7, 0xda, 0x2e, 0x4c, 0x30, 0x3d, 0x8a, 0x31,
    0x8a, 0x72, 0x1c, 0x3c, 0x0c, 0x95, 0x95, 0x68, 0x09, 0x53, 0x2f, 0xcf, 0x0e, 0x24, 0x49,
    0xa6, 0xb5, 0x25, 0xb1, 0x6a, 0xed, 0xf5, 0xaa, 0x0d, 0xe6, 0x57, 0xba, 0x63, 0x7b, 0x39};
static const uint8_t sealed[76] = {
    0x52, 0x2d, 0xc1, 0xf0, 0x99, 0x56, 0x7d, 0x07, 0xf4, 0x7f, 0x37, 0xa3, 0x2a, 0x84, 0x42,
    0x7d, 0x64, 0x3a, 0x8c, 0xdc, 0xbf, 0xe5, 0xc0, 0xc9, 0x75, 0x98, 0xa2, 0xbd, 0x25, 0x55,
    0xd1, 0xaa, 0x8c, 0xb0, 0x8e, 0x48, 0x59, 0x0d, 0xbb, 0x3d, 0xa7, 0xb0, 0x8b, 0x10, 0x56,
    0x82, 0x88, 0x38, 0xc5, 0xf6, 0x1e, 0x63, 0x93, 0xba, 0x7a, 0x0a, 0xbc, 0xc9, 0xf6, 0x62,
    0x76, 0xfc, 0x6e, 0xce, 0x0f, 0x4e, 0x17, 0x68, 0xcd, 0xdf, 0x88, 0x53, 0xbb, 0x2d, 0x55,
    0x1b};

static CK_RV open_sealed(struct helper *helper, struct gcm *gcm, const uint8_t in[sizeof sealed],
                         uint8_t out[sizeof sealed + GCM_ROOM])
{
    gcm->aad = (struct kb_bytes){aad, sizeof aad};
    gcm->in = (struct kb_bytes){in, sizeof sealed};
    memcpy(gcm->iv, iv, sizeof iv);
    gcm->out = out;
    gcm->room = sizeof sealed + GCM_ROOM;
    return gcm_decrypt(helper, gcm);
}

static void try_texts(struct helper *helper, struct trials *trials, struct trial *trial,
                      CK_OBJECT_HANDLE key)
{
    static const char what[] = "a changed text is refused by AES-GCM";
    struct gcm gcm = {.key = key};
    uint8_t changed[sizeof sealed], out[sizeof sealed + GCM_ROOM];
    CK_RV rv = open_sealed(helper, &gcm, sealed, out);

    trial_step(trial, gcm.call, rv);
    trial_conclude(trials, trial, MECHANISM_GCM,
                   gcm.size == sizeof text && memcmp(out, text, sizeof text) == 0);
    if (rv != CKR_OK)
        return;
    memcpy(changed, sealed, sizeof sealed);
    changed[sizeof sealed - 1] ^= 1;
    rv = open_sealed(helper, &gcm, changed, out);
    trial_step(trial, gcm.call, rv);
    trial_add(trials, rv != CKR_OK, rv, what, "%s%s",
              rv == CKR_OK ? "NOT refused: do not use this token" : "refused: ",
              rv == CKR_OK ? "" : ckr_find(rv)->name);
}

static void try_ivs(struct helper *helper, struct trials *trials)
{
    static const char *const makers[] = {
        [IV_CALLER] = "keybridge, with the token's random source; the token takes them",
        [IV_OVERWRITTEN] = "the token, in the place of the caller's",
        [IV_APPENDED] = "the token, behind the text",
    };
    static const char what[] = "who makes the IVs of AES-GCM";
    struct kb_error err = {.status = KB_OK};
    enum kb_status status = ivs_find(helper, &err);

    if (status == KB_OK)
        trial_add(trials, true, CKR_OK, what, "%s", makers[helper->iv_origin]);
    else if (helper->iv_fault)
        trial_add(trials, false, CKR_OK, what, "nobody: the token %s; nothing is encrypted with it",
                  helper->iv_fault);
    else
        trial_add(trials, false, err.detail, what, "nobody: %.140s", kb_error_text(&err));
}

void probe_gcm(struct helper *helper, struct trials *trials)
{
    struct trial trial = {.helper = helper};
    CK_OBJECT_HANDLE key;

    if (trial_new_key(&trial, CKK_AES, value, sizeof value, false, MAY_ENCRYPT | MAY_DECRYPT, &key))
        try_texts(helper, trials, &trial, key);
    else
        trial_conclude(trials, &trial, MECHANISM_GCM, false);
    trial_end_key(helper, key);
    try_ivs(helper, trials);
}
