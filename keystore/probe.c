/* SPDX-License-Identifier: Apache-2.0
 *
 * What this token really can do: every mechanism is run with throw-away keys
 * and held against a known answer; lists of mechanisms promise too much.
 */
#include "keystore/probe.h"

#include <stdio.h>
#include <string.h>

static bool is_hex(const uint8_t *data, size_t size, const char *text)
{
    char got[2 * 128 + 1];

    key_id_format(got, sizeof got, data, size);
    return strcmp(got, text) == 0;
}

/* --- mechanisms -------------------------------------------------------------------- */

static void try_generation(struct helper *helper, struct trials *trials, enum mechanism which)
{
    struct trial trial = {.helper = helper};
    CK_MECHANISM mechanism = mechanism_make(helper->vendor, which, NULL);
    struct template wanted;
    CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;

    template_session_key(&wanted, which == MECHANISM_AES_KEY_GEN ? CKK_AES : CKK_GENERIC_SECRET,
                         true, false,
                         which == MECHANISM_AES_KEY_GEN ? MAY_ENCRYPT | MAY_DECRYPT
                                                        : MAY_SIGN | MAY_VERIFY);
    template_number(&wanted, CKA_VALUE_LEN, 32);
    (void)trial_step(&trial, "C_GenerateKey",
               helper->f->C_GenerateKey(helper->session, &mechanism, wanted.rows, wanted.count,
                                        &key));
    trial_conclude(trials, &trial, which, true);
    trial_end_key(helper, key);
}

/* RFC 3394 section 4.6: the key 00 01 .. 1f wraps 00 11 .. ff 00 01 .. 0f. */
static void try_key_wrap(struct helper *helper, struct trials *trials)
{
    struct trial trial = {.helper = helper};
    CK_MECHANISM mechanism = mechanism_make(helper->vendor, MECHANISM_KEY_WRAP, NULL);
    CK_OBJECT_HANDLE wrapping, data;
    uint8_t wrapping_value[32], value[32], wrapped[64];
    CK_ULONG size = sizeof wrapped;
    bool right = false;

    for (uint8_t i = 0; i < 32; i++) {
        wrapping_value[i] = i;
        value[i] = (uint8_t)(i < 16 ? i * 0x11 : i - 16);
    }
    if (trial_new_key(&trial, CKK_AES, wrapping_value, 32, false, MAY_WRAP | MAY_UNWRAP,
                      &wrapping) &&
        trial_new_key(&trial, CKK_AES, value, 32, true, MAY_ENCRYPT | MAY_DECRYPT, &data)) {
        (void)trial_step(&trial, "C_WrapKey",
                   helper->f->C_WrapKey(helper->session, &mechanism, wrapping, data, wrapped,
                                        &size));
        right = is_hex(wrapped, size > sizeof wrapped ? 0 : size,
                       "28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326"
                       "cbc7f0e71a99f43bfb988b9b7a02dd21");
        trial_end_key(helper, data);
    }
    trial_conclude(trials, &trial, MECHANISM_KEY_WRAP, right);
    trial_end_key(helper, wrapping);
}

/* RFC 4231 test case 6. */
static void try_hmac(struct helper *helper, struct trials *trials, enum kb_hash hash)
{
    static const char message[] = "Test Using Larger Than Block-Size Key - Hash Key First";
    static const char *const answers[] = {
        "95e9a0db962095adaebe9b2d6f0dbce2d499f112f2d2b7273fa6870e",
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        "4ece084485813e9088d2c63a041bc5b44f9ef1012a2b588f3cd11f05033ac4c6"
        "0c2ef6ab4030fe8296248df163f44952",
        "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f352"
        "6b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598",
    };
    struct trial trial = {.helper = helper};
    CK_MECHANISM mechanism = mechanism_make(helper->vendor, mechanism_of_hash(hash), NULL);
    CK_OBJECT_HANDLE key;
    uint8_t value[131], mac[64];
    CK_ULONG size = sizeof mac;
    bool right = false;

    memset(value, 0xaa, sizeof value);
    if (trial_new_key(&trial, CKK_GENERIC_SECRET, value, sizeof value, false, MAY_SIGN | MAY_VERIFY,
                &key) &&
        trial_step(&trial, "C_SignInit", helper->f->C_SignInit(helper->session, &mechanism, key)) &&
        trial_step(&trial, "C_Sign",
             helper->f->C_Sign(helper->session, (CK_BYTE *)(uintptr_t)message, sizeof message - 1,
                               mac, &size)))
        right = is_hex(mac, size, answers[hash]);
    trial_conclude(trials, &trial, mechanism_of_hash(hash), right);
    trial_end_key(helper, key);
}

/* The first block of NIST SP 800-38A F.2.5, and its padding. */
static void try_cbc(struct helper *helper, struct trials *trials)
{
    static const uint8_t value[32] = {0x60, 0x3d, 0xeb, 0x10, 0x15, 0xca, 0x71, 0xbe,
                                      0x2b, 0x73, 0xae, 0xf0, 0x85, 0x7d, 0x77, 0x81,
                                      0x1f, 0x35, 0x2c, 0x07, 0x3b, 0x61, 0x08, 0xd7,
                                      0x2d, 0x98, 0x10, 0xa3, 0x09, 0x14, 0xdf, 0xf4};
    static const uint8_t block[16] = {0x6b, 0xc1, 0xbe, 0xe2, 0x2e, 0x40, 0x9f, 0x96,
                                      0xe9, 0x3d, 0x7e, 0x11, 0x73, 0x93, 0x17, 0x2a};
    static const uint8_t iv[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    struct trial trial = {.helper = helper};
    CK_MECHANISM mechanism = mechanism_make(helper->vendor, MECHANISM_CBC_PAD, iv);
    CK_OBJECT_HANDLE key;
    uint8_t out[32], back[32];
    CK_ULONG size = sizeof out, back_size = sizeof back;
    bool right = false;

    if (trial_new_key(&trial, CKK_AES, value, sizeof value, false, MAY_ENCRYPT | MAY_DECRYPT,
                      &key) &&
        trial_step(&trial, "C_EncryptInit",
             helper->f->C_EncryptInit(helper->session, &mechanism, key)) &&
        trial_step(&trial, "C_Encrypt",
             helper->f->C_Encrypt(helper->session, (CK_BYTE *)(uintptr_t)block, sizeof block, out,
                                  &size)) &&
        trial_step(&trial, "C_DecryptInit",
             helper->f->C_DecryptInit(helper->session, &mechanism, key)) &&
        trial_step(&trial, "C_Decrypt",
             helper->f->C_Decrypt(helper->session, out, size, back, &back_size)))
        right = is_hex(out, size,
                       "f58c4c04d6e5f1ba779eabfb5f7bfbd6"
                       "485a5c81519cf378fa36d42b8547edc0") &&
                back_size == sizeof block && memcmp(back, block, sizeof block) == 0;
    trial_conclude(trials, &trial, MECHANISM_CBC_PAD, right);
    trial_end_key(helper, key);
}

/* --- policy ----------------------------------------------------------------------- */

static void try_policy(struct helper *helper, struct trials *trials)
{
    static const uint8_t value[32] = {1};
    struct trial trial = {.helper = helper};
    CK_MECHANISM mechanism = mechanism_make(helper->vendor, MECHANISM_KEY_WRAP, NULL);
    CK_OBJECT_HANDLE wrapping, closed = CK_INVALID_HANDLE, copy;
    CK_ATTRIBUTE row = {CKA_VALUE, NULL, 0};
    struct template wanted = {.count = 0};
    uint8_t out[64];
    CK_ULONG size = sizeof out;
    CK_RV rv;

    if (!trial_new_key(&trial, CKK_AES, value, 32, false, MAY_WRAP | MAY_UNWRAP, &wrapping) ||
        !trial_new_key(&trial, CKK_AES, value, 32, false, MAY_ENCRYPT | MAY_DECRYPT, &closed)) {
        trial_add(trials, false, trial.rv, "the token's policy", "not tried: %s: %s", trial.call,
                  ckr_find(trial.rv)->name);
    } else {
        rv = helper->f->C_WrapKey(helper->session, &mechanism, wrapping, closed, out, &size);
        trial_add(trials, rv != CKR_OK, rv, "a key that may not leave is not wrapped", "%s%s",
                  rv == CKR_OK ? "not enforced: the token wraps it" : "refused: ",
                  rv == CKR_OK ? "" : ckr_find(rv)->name);
        row.pValue = out;
        row.ulValueLen = sizeof out;
        rv = helper->f->C_GetAttributeValue(helper->session, closed, &row, 1);
        trial_add(trials, rv != CKR_OK, rv, "a sensitive value is not shown", "%s%s",
                  rv == CKR_OK ? "not enforced: the token shows it" : "refused: ",
                  rv == CKR_OK ? "" : ckr_find(rv)->name);
        template_flag(&wanted, CKA_TOKEN, false);
        rv = helper->f->C_CopyObject(helper->session, closed, wanted.rows, wanted.count, &copy);
        trial_add(trials, true, rv, "copies of keys in the session", "%s%s",
                  rv == CKR_OK ? "allowed" : "refused, so that every use reads the token: ",
                  rv == CKR_OK ? "" : ckr_find(rv)->name);
        if (rv == CKR_OK)
            trial_end_key(helper, copy);
    }
    kb_wipe(out, sizeof out);
    trial_end_key(helper, wrapping);
    trial_end_key(helper, closed);
}

/* A right MAC that is cut short, and one cut to nothing. */
static void try_short_mac(struct helper *helper, struct trials *trials)
{
    static const char what[] = "a MAC that is cut short is not accepted by C_Verify";
    static const uint8_t value[32] = {2};
    static const CK_ULONG sizes[] = {0, 1, 16};
    struct trial trial = {.helper = helper};
    CK_FUNCTION_LIST *f = helper->f;
    CK_MECHANISM mechanism = mechanism_make(helper->vendor, MECHANISM_HMAC_SHA256, NULL);
    CK_OBJECT_HANDLE key;
    uint8_t text[1] = {0}, mac[32];
    CK_ULONG size = sizeof mac;
    CK_RV rv = CKR_CANCEL;

    if (trial_new_key(&trial, CKK_GENERIC_SECRET, value, sizeof value, false, MAY_SIGN | MAY_VERIFY,
                &key) &&
        trial_step(&trial, "C_SignInit", f->C_SignInit(helper->session, &mechanism, key)))
        (void)trial_step(&trial, "C_Sign",
                         f->C_Sign(helper->session, text, sizeof text, mac, &size));
    for (size_t i = 0; trial.rv == CKR_OK && i < sizeof sizes / sizeof sizes[0]; i++) {
        if (!trial_step(&trial, "C_VerifyInit", f->C_VerifyInit(helper->session, &mechanism, key)))
            break;
        rv = f->C_Verify(helper->session, text, sizeof text, mac, sizes[i]);
        if (rv != CKR_OK)
            continue;
        trial_add(trials, false, rv, what,
                  "C_Verify accepts a MAC of length %s; keybridge never uses it",
                  sizes[i] == 0   ? "zero"
                  : sizes[i] == 1 ? "one"
                                  : "16");
        trial_end_key(helper, key);
        return;
    }
    if (trial.rv != CKR_OK)
        trial_add(trials, false, trial.rv, what, "not tried: %s: %s", trial.call,
                  ckr_find(trial.rv)->name);
    else
        trial_add(trials, true, rv, what, "refused: %s", ckr_find(rv)->name);
    trial_end_key(helper, key);
}

enum kb_status probe_run(struct helper *helper, struct kb_buffer *answer, struct kb_error *err)
{
    struct trials trials = {.count = 0};

    try_generation(helper, &trials, MECHANISM_AES_KEY_GEN);
    try_generation(helper, &trials, MECHANISM_SECRET_KEY_GEN);
    try_key_wrap(helper, &trials);
    for (enum kb_hash hash = KB_SHA224; hash <= KB_SHA512; hash++)
        try_hmac(helper, &trials, hash);
    try_cbc(helper, &trials);
    probe_gcm(helper, &trials);
    probe_pairs(helper, &trials);
    try_policy(helper, &trials);
    try_short_mac(helper, &trials);
    if (helper->lost)
        return kb_error_set(err, KB_ERR_TOKEN, "the session was lost while the token was tried");
    trials_put(&trials, answer);
    return KB_OK;
}
