/* SPDX-License-Identifier: Apache-2.0 */
#include "foreign.h"

#include <p11-kit/p11-kit.h>
#include <p11-kit/pkcs11.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static CK_BBOOL yes = CK_TRUE, no = CK_FALSE;

struct rows {
    CK_ATTRIBUTE all[24];
    CK_ULONG count;
};

static void add(struct rows *rows, CK_ATTRIBUTE_TYPE type, void *value, size_t size)
{
    rows->all[rows->count++] = (CK_ATTRIBUTE){type, value, size};
}

static CK_RV make(CK_FUNCTION_LIST *f, CK_SESSION_HANDLE session, enum foreign_key what,
                  char *label)
{
    static CK_BYTE value[80] = {7};
    static CK_BYTE forged_id[15] = {'K', 'B', 1, KB_KEY_WRAP, KB_KEY_AES_256, KB_KEY_GENERATED, 0};
    static CK_BYTE id[20] = {0xab, 0xcd};
    CK_OBJECT_CLASS class = CKO_SECRET_KEY;
    CK_KEY_TYPE type = what == FOREIGN_SIGN_SHA512                         ? CKK_SHA512_HMAC
                       : what == FOREIGN_SIGN || what == FOREIGN_FORGED ? CKK_GENERIC_SECRET
                                                                        : CKK_AES;
    CK_OBJECT_HANDLE key;
    struct rows rows = {.count = 0};
    bool open = what == FOREIGN_OPEN, sign = type != CKK_AES, wrap = what == FOREIGN_WRAP;
    bool encrypt = open || what == FOREIGN_GCM;
    CK_MECHANISM_TYPE gcm = CKM_AES_GCM;

    add(&rows, CKA_CLASS, &class, sizeof class);
    add(&rows, CKA_KEY_TYPE, &type, sizeof type);
    add(&rows, CKA_TOKEN, &yes, 1);
    add(&rows, CKA_PRIVATE, &yes, 1);
    add(&rows, CKA_SENSITIVE, open ? &no : &yes, 1);
    add(&rows, CKA_EXTRACTABLE, open ? &yes : &no, 1);
    add(&rows, CKA_LABEL, label, strlen(label));
    if (what == FOREIGN_FORGED)
        add(&rows, CKA_ID, forged_id, sizeof forged_id);
    else
        add(&rows, CKA_ID, id, sizeof id);
    /* Some tokens replace a key of the same CKA_ID. */
    id[19]++;
    id[18] = (CK_BYTE)getpid();
    id[17] = (CK_BYTE)(getpid() >> 8);
    add(&rows, CKA_SIGN, sign ? &yes : &no, 1);
    add(&rows, CKA_VERIFY, sign ? &yes : &no, 1);
    add(&rows, CKA_WRAP, wrap ? &yes : &no, 1);
    add(&rows, CKA_UNWRAP, wrap ? &yes : &no, 1);
    add(&rows, CKA_ENCRYPT, encrypt ? &yes : &no, 1);
    add(&rows, CKA_DECRYPT, encrypt ? &yes : &no, 1);
    if (what == FOREIGN_GCM)
        add(&rows, CKA_ALLOWED_MECHANISMS, &gcm, sizeof gcm);
    add(&rows, CKA_VALUE, value, what == FOREIGN_SIGN_SHA512 ? 80 : open ? 16 : 32);
    return f->C_CreateObject(session, rows.all, rows.count, &key);
}

static CK_RV destroy(CK_FUNCTION_LIST *f, CK_SESSION_HANDLE session, char *label)
{
    CK_ATTRIBUTE wanted[] = {{CKA_LABEL, label, strlen(label)}, {CKA_TOKEN, &yes, 1}};
    CK_OBJECT_HANDLE found[16];
    CK_ULONG count = 0;
    CK_RV rv = f->C_FindObjectsInit(session, wanted, 2);

    if (rv == CKR_OK)
        rv = f->C_FindObjects(session, found, 16, &count);
    if (rv == CKR_OK)
        rv = f->C_FindObjectsFinal(session);
    for (CK_ULONG i = 0; i < count && rv == CKR_OK; i++)
        rv = f->C_DestroyObject(session, found[i]);
    return rv == CKR_OK && count == 0 ? CKR_OBJECT_HANDLE_INVALID : rv;
}

/* Of the public keys of that label: the id of the last, and an end to them. */
static CK_RV drop_public(CK_FUNCTION_LIST *f, CK_SESSION_HANDLE session, char *label, CK_BYTE *id,
                         CK_ULONG *id_size)
{
    CK_OBJECT_CLASS class = CKO_PUBLIC_KEY;
    CK_ATTRIBUTE wanted[] = {{CKA_LABEL, label, strlen(label)}, {CKA_CLASS, &class, sizeof class}};
    CK_ATTRIBUTE row = {CKA_ID, id, *id_size};
    CK_OBJECT_HANDLE found[16];
    CK_ULONG count = 0;
    CK_RV rv = f->C_FindObjectsInit(session, wanted, 2);

    if (rv == CKR_OK)
        rv = f->C_FindObjects(session, found, 16, &count);
    if (rv == CKR_OK)
        rv = f->C_FindObjectsFinal(session);
    for (CK_ULONG i = 0; i < count && rv == CKR_OK; i++) {
        rv = f->C_GetAttributeValue(session, found[i], &row, 1);
        *id_size = row.ulValueLen;
        if (rv == CKR_OK)
            rv = f->C_DestroyObject(session, found[i]);
    }
    return rv == CKR_OK && count == 0 ? CKR_OBJECT_HANDLE_INVALID : rv;
}

static CK_RV make_public(CK_FUNCTION_LIST *f, CK_SESSION_HANDLE session, char *label, CK_BYTE *id,
                         CK_ULONG id_size)
{
    static CK_BYTE modulus[256] = {0xc1}, exponent[] = {1, 0, 1};
    CK_OBJECT_CLASS class = CKO_PUBLIC_KEY;
    CK_KEY_TYPE type = CKK_RSA;
    CK_OBJECT_HANDLE key;
    struct rows rows = {.count = 0};

    memset(modulus + 1, 0x5b, sizeof modulus - 1);
    add(&rows, CKA_CLASS, &class, sizeof class);
    add(&rows, CKA_KEY_TYPE, &type, sizeof type);
    add(&rows, CKA_TOKEN, &yes, 1);
    add(&rows, CKA_PRIVATE, &no, 1);
    add(&rows, CKA_LABEL, label, strlen(label));
    add(&rows, CKA_ID, id, id_size);
    add(&rows, CKA_WRAP, &yes, 1);
    add(&rows, CKA_ENCRYPT, &yes, 1);
    add(&rows, CKA_VERIFY, &no, 1);
    add(&rows, CKA_MODULUS, modulus, sizeof modulus);
    add(&rows, CKA_PUBLIC_EXPONENT, exponent, sizeof exponent);
    return f->C_CreateObject(session, rows.all, rows.count, &key);
}

static CK_RV meddle(CK_FUNCTION_LIST *f, CK_SESSION_HANDLE session, enum foreign_key what,
                    char *label)
{
    CK_BYTE id[64] = {0xde, 0xad};
    CK_ULONG size = what == FOREIGN_PUBLIC ? 2 : sizeof id;
    CK_RV rv = CKR_OK;

    if (what == FOREIGN_SPOOF || what == FOREIGN_DROP_PUBLIC)
        rv = drop_public(f, session, label, id, &size);
    return rv == CKR_OK && what != FOREIGN_DROP_PUBLIC ? make_public(f, session, label, id, size)
                                                       : rv;
}

static CK_RV work(CK_FUNCTION_LIST *f, const char *parameters, CK_UTF8CHAR *pin,
                  enum foreign_key what, char *label)
{
    CK_C_INITIALIZE_ARGS arguments = {.flags = CKF_OS_LOCKING_OK};
    CK_SESSION_HANDLE session;
    CK_SLOT_ID slots[16], slot = 0;
    CK_ULONG count = 16;
    CK_TOKEN_INFO info;
    CK_RV rv;

    arguments.pReserved = *parameters ? (void *)(uintptr_t)parameters : NULL;
    rv = f->C_Initialize(&arguments);
    if (rv == CKR_OK)
        rv = f->C_GetSlotList(CK_TRUE, slots, &count);
    for (CK_ULONG i = 0; rv == CKR_OK && i < count; i++)
        if (f->C_GetTokenInfo(slots[i], &info) == CKR_OK && info.flags & CKF_TOKEN_INITIALIZED &&
            info.flags & CKF_LOGIN_REQUIRED)
            slot = slots[i];
    if (rv == CKR_OK)
        rv = f->C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session);
    if (rv == CKR_OK)
        rv = f->C_Login(session, CKU_USER, pin, strlen((char *)pin));
    if (rv == CKR_OK)
        rv = what == FOREIGN_DESTROY   ? destroy(f, session, label)
             : what >= FOREIGN_PUBLIC ? meddle(f, session, what, label)
                                      : make(f, session, what, label);
    (void)f->C_Finalize(NULL);
    return rv;
}

/* PROGRAM --foreign MODULE PARAMETERS WHAT LABEL, the PIN on standard input */
bool foreign_main(int argc, char **argv, int *exit_code)
{
    CK_FUNCTION_LIST *f;
    char pin[64];
    CK_RV rv;

    if (argc != 6 || strcmp(argv[1], "--foreign") != 0)
        return false;
    f = p11_kit_module_load(argv[2], 0);
    *exit_code = 1;
    if (!f || !fgets(pin, sizeof pin, stdin))
        return true;
    pin[strcspn(pin, "\n")] = 0;
    rv = work(f, argv[3], (CK_UTF8CHAR *)pin, (enum foreign_key)atoi(argv[4]), argv[5]);
    if (rv != CKR_OK)
        fprintf(stderr, "foreign: 0x%lx\n", rv);
    p11_kit_module_release(f);
    *exit_code = rv != CKR_OK;
    return true;
}

bool foreign_do(const struct token_fixture *fixture, enum foreign_key what, const char *label)
{
    char command[2048], self[512];
    ssize_t size = readlink("/proc/self/exe", self, sizeof self - 1);
    struct kb_bytes pin = kb_secret_view(fixture->pin);
    FILE *child;

    if (size < 0)
        return false;
    self[size] = 0;
    snprintf(command, sizeof command, "SOFTHSM2_CONF='%s' '%s' --foreign '%s' \"%s\" %d '%s'",
             fixture->conf, self, fixture->options.module, fixture->parameters, what, label);
    child = popen(command, "w");
    if (!child)
        return false;
    fprintf(child, "%.*s\n", (int)pin.size, (const char *)pin.data);
    return pclose(child) == 0;
}
