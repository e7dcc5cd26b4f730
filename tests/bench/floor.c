/* SPDX-License-Identifier: Apache-2.0
 *
 * The floor under keybridge's speed: the PKCS#11 calls of each item and
 * nothing around them, on session copies, in one process.
 *
 *   bench_floor MODULE TOKEN-LABEL PIN-FILE ITEMS [MODULE-PARAMETERS]
 *
 * Prints one JSON line with items per CPU second (user and system) of:
 *   generate  C_GenerateKey, C_GetAttributeValue, C_WrapKey, C_DestroyObject, HMAC
 *   create    C_GenerateRandom, C_CreateObject, C_WrapKey, C_DestroyObject, HMAC
 *   decrypt   HMAC, C_UnwrapKey, C_GetAttributeValue, C_DestroyObject
 * and of their parts; the HMAC is SHA-256 over 1,376 bytes. Of envelopes:
 *   gcm_encrypt  C_GenerateRandom, C_EncryptInit and C_Encrypt of 32 bytes with AES-GCM
 *   gcm_decrypt  C_DecryptInit and C_Decrypt of that
 */
#include <p11-kit/p11-kit.h>
#include <p11-kit/pkcs11.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <keybridge/secret.h>

enum { MESSAGE_SIZE = 1376, BATCH = 128 };

static CK_FUNCTION_LIST *f;
static CK_SESSION_HANDLE session;
static CK_OBJECT_HANDLE wrap_key, mac_key, gcm_key;
static CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
static CK_MECHANISM key_wrap = {CKM_AES_KEY_WRAP, NULL, 0};
static CK_MECHANISM hmac = {CKM_SHA256_HMAC, NULL, 0};
static CK_BYTE message[MESSAGE_SIZE];
static CK_BYTE wrapped[64];
static CK_ULONG wrapped_size;

static void check(CK_RV rv, const char *call)
{
    if (rv == CKR_OK)
        return;
    fprintf(stderr, "bench_floor: %s: 0x%lx\n", call, rv);
    exit(1);
}

/* The rows of a key: what is common, then `extra`. */
static CK_ULONG fill(CK_ATTRIBUTE *rows, CK_KEY_TYPE *type, CK_BBOOL *token, CK_BBOOL *open,
                     CK_ATTRIBUTE extra)
{
    static CK_OBJECT_CLASS class = CKO_SECRET_KEY;
    CK_BBOOL *secret = open == &yes ? &no : &yes;
    const CK_ATTRIBUTE common[] = {
        {CKA_CLASS, &class, sizeof class},   {CKA_KEY_TYPE, type, sizeof *type},
        {CKA_TOKEN, token, 1},               {CKA_PRIVATE, token, 1},
        {CKA_SENSITIVE, secret, 1},          {CKA_EXTRACTABLE, open, 1},
        {CKA_ENCRYPT, &yes, 1},              {CKA_DECRYPT, &yes, 1},
        {CKA_SIGN, secret, 1},               {CKA_VERIFY, secret, 1},
        {CKA_WRAP, secret, 1},               {CKA_UNWRAP, secret, 1},
        {CKA_DERIVE, &no, 1},
    };
    CK_ULONG count = sizeof common / sizeof common[0];

    memcpy(rows, common, sizeof common);
    if (extra.ulValueLen)
        rows[count++] = extra;
    return count;
}

static CK_OBJECT_HANDLE session_copy(CK_MECHANISM_TYPE how, CK_KEY_TYPE type, CK_ULONG size)
{
    CK_MECHANISM mechanism = {how, NULL, 0};
    CK_ATTRIBUTE rows[16];
    CK_ATTRIBUTE in_session = {CKA_TOKEN, &no, 1};
    CK_OBJECT_HANDLE key, copy;
    CK_ATTRIBUTE length = {CKA_VALUE_LEN, &size, sizeof size};
    CK_ULONG count = fill(rows, &type, &yes, &no, length);

    check(f->C_GenerateKey(session, &mechanism, rows, count, &key), "C_GenerateKey on the token");
    check(f->C_CopyObject(session, key, &in_session, 1, &copy), "C_CopyObject");
    check(f->C_DestroyObject(session, key), "C_DestroyObject");
    return copy;
}

static void open_session(char **argv, const char *parameters)
{
    CK_C_INITIALIZE_ARGS arguments = {.flags = CKF_OS_LOCKING_OK};
    struct kb_error err = {.status = KB_OK};
    struct kb_secret *pin;
    CK_SLOT_ID slots[64];
    CK_ULONG count = 64, i;
    CK_TOKEN_INFO info;

    f = p11_kit_module_load(argv[1], 0);
    if (!f)
        check(CKR_GENERAL_ERROR, p11_kit_message());
    arguments.pReserved = (void *)(uintptr_t)parameters;
    check(parameters ? f->C_Initialize(&arguments) : p11_kit_module_initialize(f), "C_Initialize");
    check(f->C_GetSlotList(CK_TRUE, slots, &count), "C_GetSlotList");
    for (i = 0; i < count; i++) {
        check(f->C_GetTokenInfo(slots[i], &info), "C_GetTokenInfo");
        if (strlen(argv[2]) == p11_kit_space_strlen(info.label, sizeof info.label) &&
            memcmp(info.label, argv[2], strlen(argv[2])) == 0)
            break;
    }
    check(i < count ? CKR_OK : CKR_TOKEN_NOT_PRESENT, argv[2]);
    if (kb_secret_read_file(&pin, argv[3], 256, true, &err) != KB_OK) {
        fprintf(stderr, "bench_floor: %s\n", kb_error_text(&err));
        exit(1);
    }
    check(f->C_OpenSession(slots[i], CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session),
          "C_OpenSession");
    check(f->C_Login(session, CKU_USER, kb_secret_data(pin), kb_secret_view(pin).size), "C_Login");
    kb_secret_free(pin);
}

/* --- the parts ------------------------------------------------------------------ */

static void sign(void)
{
    CK_BYTE mac[64];
    CK_ULONG size = sizeof mac;

    check(f->C_SignInit(session, &hmac, mac_key), "C_SignInit");
    check(f->C_Sign(session, message, sizeof message, mac, &size), "C_Sign");
}

static void wrap_and_destroy(CK_OBJECT_HANDLE key)
{
    wrapped_size = sizeof wrapped;
    check(f->C_WrapKey(session, &key_wrap, wrap_key, key, wrapped, &wrapped_size), "C_WrapKey");
    check(f->C_DestroyObject(session, key), "C_DestroyObject");
}

static void read_value(CK_OBJECT_HANDLE key)
{
    CK_BYTE value[32];
    CK_ATTRIBUTE row = {CKA_VALUE, value, sizeof value};

    check(f->C_GetAttributeValue(session, key, &row, 1), "C_GetAttributeValue");
}

static void make_generated(unsigned long i)
{
    CK_MECHANISM mechanism = {CKM_AES_KEY_GEN, NULL, 0};
    CK_KEY_TYPE type = CKK_AES;
    CK_ULONG size = 32;
    CK_ATTRIBUTE rows[16];
    CK_OBJECT_HANDLE key;
    CK_ATTRIBUTE length = {CKA_VALUE_LEN, &size, sizeof size};
    CK_ULONG count = fill(rows, &type, &no, &yes, length);

    (void)i;
    check(f->C_GenerateKey(session, &mechanism, rows, count, &key), "C_GenerateKey");
    read_value(key);
    wrap_and_destroy(key);
}

static void make_created(unsigned long i)
{
    static CK_BYTE random[BATCH][32];
    CK_KEY_TYPE type = CKK_AES;
    CK_ATTRIBUTE rows[16];
    CK_OBJECT_HANDLE key;
    CK_ULONG count = fill(rows, &type, &no, &yes, (CK_ATTRIBUTE){CKA_VALUE, random[i % BATCH], 32});

    if (i % BATCH == 0)
        check(f->C_GenerateRandom(session, random[0], sizeof random), "C_GenerateRandom");
    check(f->C_CreateObject(session, rows, count, &key), "C_CreateObject");
    wrap_and_destroy(key);
}

static void unwrap(unsigned long i)
{
    CK_KEY_TYPE type = CKK_AES;
    CK_ATTRIBUTE rows[16];
    CK_OBJECT_HANDLE key;
    CK_ULONG count = fill(rows, &type, &no, &yes, (CK_ATTRIBUTE){0, NULL, 0});

    (void)i;
    check(f->C_UnwrapKey(session, &key_wrap, wrap_key, wrapped, wrapped_size, rows, count, &key),
          "C_UnwrapKey");
    read_value(key);
    check(f->C_DestroyObject(session, key), "C_DestroyObject");
}

static void mac_only(unsigned long i)
{
    (void)i;
    sign();
}

static void encrypt_generated(unsigned long i)
{
    make_generated(i);
    sign();
}

static void encrypt_created(unsigned long i)
{
    make_created(i);
    sign();
}

static void decrypt(unsigned long i)
{
    sign();
    unwrap(i);
}

static CK_BYTE gcm_iv[12], gcm_text[32 + 16];
static CK_GCM_PARAMS gcm_parameters = {gcm_iv, sizeof gcm_iv, 8 * sizeof gcm_iv, NULL, 0, 128};
static CK_MECHANISM gcm = {CKM_AES_GCM, &gcm_parameters, sizeof gcm_parameters};

static void gcm_encrypt(unsigned long i)
{
    static CK_BYTE random[BATCH][32];
    CK_ULONG size = sizeof gcm_text;

    if (i % BATCH == 0)
        check(f->C_GenerateRandom(session, random[0], sizeof random), "C_GenerateRandom");
    check(f->C_EncryptInit(session, &gcm, gcm_key), "C_EncryptInit");
    check(f->C_Encrypt(session, random[i % BATCH], 32, gcm_text, &size), "C_Encrypt");
}

static void gcm_decrypt(unsigned long i)
{
    CK_BYTE key[sizeof gcm_text];
    CK_ULONG size = sizeof key;

    (void)i;
    check(f->C_DecryptInit(session, &gcm, gcm_key), "C_DecryptInit");
    check(f->C_Decrypt(session, gcm_text, sizeof gcm_text, key, &size), "C_Decrypt");
}

/* --- timing --------------------------------------------------------------------- */

static double cpu_seconds(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* The best of five rounds: what disturbs only ever adds. */
static double rate(void (*item)(unsigned long), unsigned long items)
{
    double best = 0;

    for (int round = 0; round < 5; round++) {
        double start = cpu_seconds(), took;

        for (unsigned long i = 0; i < items / 5; i++)
            item(i);
        took = cpu_seconds() - start;
        if (took > 0 && (double)(items / 5) / took > best)
            best = (double)(items / 5) / took;
    }
    return best;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*item)(unsigned long);
    } rows[] = {
        {"encrypt_generate", encrypt_generated},
        {"encrypt_create", encrypt_created},
        {"decrypt", decrypt},
        {"mac", mac_only},
        {"make_generate", make_generated},
        {"make_create", make_created},
        {"unwrap", unwrap},
        {"gcm_encrypt", gcm_encrypt},
        {"gcm_decrypt", gcm_decrypt},
    };
    unsigned long items = argc > 4 ? strtoul(argv[4], NULL, 10) : 0;

    if (items < 5) {
        fputs("usage: bench_floor MODULE TOKEN-LABEL PIN-FILE ITEMS [MODULE-PARAMETERS]\n", stderr);
        return 2;
    }
    open_session(argv, argc > 5 ? argv[5] : NULL);
    wrap_key = session_copy(CKM_AES_KEY_GEN, CKK_AES, 32);
    gcm_key = session_copy(CKM_AES_KEY_GEN, CKK_AES, 32);
    mac_key = session_copy(CKM_GENERIC_SECRET_KEY_GEN, CKK_GENERIC_SECRET, 32);
    printf("{\"items\":%lu", items);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        printf(",\"%s\":%.0f", rows[i].name, rate(rows[i].item, items));
    printf("}\n");
    if (argc > 5)
        check(f->C_Finalize(NULL), "C_Finalize");
    else
        check(p11_kit_module_finalize(f), "C_Finalize");
    p11_kit_module_release(f);
    return 0;
}
