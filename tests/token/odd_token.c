/* SPDX-License-Identifier: Apache-2.0
 *
 * A PKCS#11 module that stands before SoftHSM and treats the IVs of AES-GCM as
 * other tokens do, or as none should. KB_ODD_MODULE is SoftHSM; KB_ODD_TOKEN has
 * words in it, see test_token_ivs.c; KB_ODD_REFUSAL, when set, is returned for a
 * text that does not verify; while the file KB_ODD_BROKEN is there, nothing
 * decrypts.
 */
#include <dlfcn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <p11-kit/pkcs11.h>

enum { IV = 12, TAG = 16 };

static CK_FUNCTION_LIST *real;
static CK_FUNCTION_LIST odd;

static struct {
    bool gcm;            /* an operation of AES-GCM is under way */
    CK_GCM_PARAMS params; /* SoftHSM's */
    CK_BYTE iv[IV];      /* what it is really under */
    unsigned encrypted;  /* so far */
} now;

static bool is(const char *word)
{
    const char *words = getenv("KB_ODD_TOKEN");

    return words && strstr(words, word);
}

/* "later": only after the first four encryptions, of which two are the
 * helper's own trial. */
static bool is_now(const char *word)
{
    return is(word) && (!is("later") || now.encrypted >= 4);
}

static bool is_zero(const CK_BYTE *iv)
{
    static const CK_BYTE zero[IV];

    return memcmp(iv, zero, IV) == 0;
}

/* Which IV to encrypt under, and what to tell of it. */
static CK_RV choose_iv(CK_SESSION_HANDLE session, CK_GCM_PARAMS *given)
{
    bool appends = is("append"), overwrites = is("overwrite");

    if (appends ? given->iv_len != 0 : given->iv_len != IV)
        return CKR_MECHANISM_PARAM_INVALID;
    if (overwrites && !is_zero(given->iv_ptr))
        return CKR_MECHANISM_PARAM_INVALID;
    memset(now.iv, 0x55, IV);
    if (!is_now("repeat") && real->C_GenerateRandom(session, now.iv, IV) != CKR_OK)
        return CKR_RANDOM_NO_RNG;
    if (!appends && !overwrites && !is("ignore") && !is_now("repeat"))
        memcpy(now.iv, given->iv_ptr, IV);
    if (is_now("silent"))
        memset(now.iv, 0, IV);
    else if (overwrites)
        memcpy(given->iv_ptr, now.iv, IV);
    if (is("half"))
        memset(now.iv + IV / 2, 0, IV / 2);
    return CKR_OK;
}

static CK_RV begin(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key,
                   CK_BBOOL encrypt)
{
    CK_MECHANISM changed = *mechanism;
    CK_RV rv = CKR_OK;

    now.gcm = mechanism->mechanism == CKM_AES_GCM;
    if (now.gcm) {
        now.params = *(CK_GCM_PARAMS *)mechanism->pParameter;
        if (encrypt)
            rv = choose_iv(session, mechanism->pParameter);
        else
            memcpy(now.iv, now.params.iv_ptr, IV);
        if (is("half"))
            memset(now.iv + IV / 2, 0, IV / 2);
        now.params.iv_ptr = now.iv;
        now.params.iv_len = IV;
        now.params.iv_bits = 8 * IV;
        changed.pParameter = &now.params;
    }
    if (rv != CKR_OK)
        return rv;
    return encrypt ? real->C_EncryptInit(session, &changed, key)
                   : real->C_DecryptInit(session, &changed, key);
}

static CK_RV encrypt_init(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
    return begin(session, mechanism, key, CK_TRUE);
}

static CK_RV decrypt_init(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
    return begin(session, mechanism, key, CK_FALSE);
}

static CK_RV encrypt(CK_SESSION_HANDLE session, CK_BYTE *data, CK_ULONG data_size, CK_BYTE *out,
                     CK_ULONG *size)
{
    CK_RV rv = real->C_Encrypt(session, data, data_size, out, size);

    if (!now.gcm || rv != CKR_OK)
        return rv;
    if (is("append")) {
        memcpy(out + *size, now.iv, IV);
        *size += IV;
    }
    if (is_now("short"))
        --*size;
    now.encrypted++;
    return rv;
}

static CK_RV decrypt(CK_SESSION_HANDLE session, CK_BYTE *data, CK_ULONG data_size, CK_BYTE *out,
                     CK_ULONG *size)
{
    const char *refusal = getenv("KB_ODD_REFUSAL"), *broken = getenv("KB_ODD_BROKEN");
    CK_RV rv = real->C_Decrypt(session, data, data_size, out, size);

    if (!now.gcm)
        return rv;
    if (rv == CKR_OK && broken && access(broken, F_OK) == 0)
        return CKR_GENERAL_ERROR;
    if (rv == CKR_OK && is("brief"))
        --*size;
    return rv != CKR_OK && refusal ? strtoul(refusal, NULL, 0) : rv;
}

static CK_RV create_object(CK_SESSION_HANDLE session, CK_ATTRIBUTE *rows, CK_ULONG count,
                           CK_OBJECT_HANDLE *object)
{
    return is("closed") ? CKR_TEMPLATE_INCONSISTENT
                        : real->C_CreateObject(session, rows, count, object);
}

static CK_RV generate_random(CK_SESSION_HANDLE session, CK_BYTE *out, CK_ULONG size)
{
    return is("lazy") ? CKR_OK : real->C_GenerateRandom(session, out, size);
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST **list)
{
    void *module = dlopen(getenv("KB_ODD_MODULE"), RTLD_NOW | RTLD_LOCAL);
    CK_RV (*get)(CK_FUNCTION_LIST **) = NULL;

    if (module)
        *(void **)&get = dlsym(module, "C_GetFunctionList");
    if (!get || get(&real) != CKR_OK)
        return CKR_GENERAL_ERROR;
    odd = *real;
    odd.C_GetFunctionList = C_GetFunctionList;
    odd.C_EncryptInit = encrypt_init;
    odd.C_Encrypt = encrypt;
    odd.C_DecryptInit = decrypt_init;
    odd.C_Decrypt = decrypt;
    odd.C_CreateObject = create_object;
    odd.C_GenerateRandom = generate_random;
    *list = &odd;
    return CKR_OK;
}
