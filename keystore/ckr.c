/* SPDX-License-Identifier: Apache-2.0 */
#include "keystore/ckr.h"

#include <stdarg.h>
#include <stdio.h>

/* Newer than the header. */
#ifndef CKR_AEAD_DECRYPT_FAILED
#define CKR_AEAD_DECRYPT_FAILED 0x42UL
#endif
#ifndef CKR_COPY_PROHIBITED
#define CKR_COPY_PROHIBITED 0x1aUL
#endif

#define HINT_LIST "list the token's keys: keybridge key list"
#define HINT_PIN "check the PIN and the token; a wrong PIN is never tried twice"
#define HINT_LOCKED "the token's security officer has to set a new user PIN"
#define HINT_MECHANISM "keybridge token probe shows what this token can do"
#define HINT_POLICY "the key or the token forbids it; keybridge key show tells what is allowed"
#define HINT_GONE "is the token plugged in, and its service running?"
#define HINT_FULL "destroy keys that are not needed, or end other programs that use the token"

/* X(name, status, class, hint) */
#define CKR_LIST(X)                                                                                \
    X(CKR_OK, KB_OK, FAIL, NULL)                                                                   \
    X(CKR_CANCEL, KB_ERR_TOKEN, FAIL, NULL)                                                        \
    X(CKR_HOST_MEMORY, KB_ERR_MEMORY, FAIL, NULL)                                                  \
    X(CKR_SLOT_ID_INVALID, KB_ERR_TOKEN, FAIL, HINT_GONE)                                          \
    X(CKR_GENERAL_ERROR, KB_ERR_TOKEN, DOUBT, HINT_GONE)                                           \
    X(CKR_FUNCTION_FAILED, KB_ERR_TOKEN, DOUBT, HINT_GONE)                                         \
    X(CKR_ARGUMENTS_BAD, KB_ERR_UNSUPPORTED, FAIL, HINT_MECHANISM)                                 \
    X(CKR_ATTRIBUTE_READ_ONLY, KB_ERR_DENIED, TEMPLATE, NULL)                                      \
    X(CKR_ATTRIBUTE_SENSITIVE, KB_ERR_DENIED, FAIL, HINT_POLICY)                                   \
    X(CKR_ATTRIBUTE_TYPE_INVALID, KB_ERR_UNSUPPORTED, TEMPLATE, NULL)                              \
    X(CKR_ATTRIBUTE_VALUE_INVALID, KB_ERR_UNSUPPORTED, TEMPLATE, NULL)                             \
    X(CKR_COPY_PROHIBITED, KB_ERR_DENIED, FAIL, HINT_POLICY)                                       \
    X(CKR_AEAD_DECRYPT_FAILED, KB_ERR_AUTH, BYTES, NULL)                                           \
    X(CKR_ACTION_PROHIBITED, KB_ERR_DENIED, FAIL, HINT_POLICY)                                     \
    X(CKR_DATA_INVALID, KB_ERR_TOKEN, BYTES, NULL)                                                 \
    X(CKR_DATA_LEN_RANGE, KB_ERR_TOKEN, BYTES, NULL)                                               \
    X(CKR_DEVICE_ERROR, KB_ERR_TOKEN, TEMPLATE, HINT_GONE)                                         \
    X(CKR_DEVICE_MEMORY, KB_ERR_TOKEN, FAIL, HINT_FULL)                                            \
    X(CKR_DEVICE_REMOVED, KB_ERR_TOKEN, FAIL, HINT_GONE)                                           \
    X(CKR_ENCRYPTED_DATA_INVALID, KB_ERR_AUTH, BYTES, NULL)                                        \
    X(CKR_ENCRYPTED_DATA_LEN_RANGE, KB_ERR_AUTH, BYTES, NULL)                                      \
    X(CKR_FUNCTION_CANCELED, KB_ERR_TOKEN, FAIL, NULL)                                             \
    X(CKR_FUNCTION_NOT_SUPPORTED, KB_ERR_UNSUPPORTED, FAIL, HINT_MECHANISM)                        \
    X(CKR_KEY_HANDLE_INVALID, KB_ERR_NOT_FOUND, FAIL, HINT_LIST)                                   \
    X(CKR_KEY_SIZE_RANGE, KB_ERR_UNSUPPORTED, FAIL, "the key's length does not fit the mechanism") \
    X(CKR_KEY_TYPE_INCONSISTENT, KB_ERR_DENIED, FAIL, HINT_POLICY)                                 \
    X(CKR_KEY_FUNCTION_NOT_PERMITTED, KB_ERR_DENIED, FAIL, HINT_POLICY)                            \
    X(CKR_KEY_NOT_WRAPPABLE, KB_ERR_DENIED, FAIL, HINT_POLICY)                                     \
    X(CKR_KEY_UNEXTRACTABLE, KB_ERR_DENIED, FAIL, HINT_POLICY)                                     \
    X(CKR_MECHANISM_INVALID, KB_ERR_UNSUPPORTED, FAIL, HINT_MECHANISM)                             \
    X(CKR_MECHANISM_PARAM_INVALID, KB_ERR_UNSUPPORTED, FAIL, HINT_MECHANISM)                       \
    X(CKR_OBJECT_HANDLE_INVALID, KB_ERR_NOT_FOUND, FAIL, HINT_LIST)                                \
    X(CKR_OPERATION_ACTIVE, KB_ERR_TOKEN, LOST, NULL)                                              \
    X(CKR_OPERATION_NOT_INITIALIZED, KB_ERR_TOKEN, LOST, NULL)                                     \
    X(CKR_PIN_INCORRECT, KB_ERR_PIN, FAIL, HINT_PIN)                                               \
    X(CKR_PIN_INVALID, KB_ERR_PIN, FAIL, HINT_PIN)                                                 \
    X(CKR_PIN_LEN_RANGE, KB_ERR_PIN, FAIL, "the PIN is shorter or longer than the token allows")   \
    X(CKR_PIN_EXPIRED, KB_ERR_PIN, FAIL, "the token wants a new PIN to be set")                    \
    X(CKR_PIN_LOCKED, KB_ERR_PIN, FAIL, HINT_LOCKED)                                               \
    X(CKR_PIN_TOO_WEAK, KB_ERR_PIN, FAIL, "choose a better PIN")                                   \
    X(CKR_SESSION_CLOSED, KB_ERR_TOKEN, LOST, NULL)                                                \
    X(CKR_SESSION_COUNT, KB_ERR_TOKEN, FAIL, HINT_FULL)                                            \
    X(CKR_SESSION_HANDLE_INVALID, KB_ERR_TOKEN, LOST, NULL)                                        \
    X(CKR_SESSION_READ_ONLY, KB_ERR_DENIED, FAIL, "the token is write protected")                  \
    X(CKR_SIGNATURE_INVALID, KB_ERR_AUTH, BYTES, NULL)                                             \
    X(CKR_SIGNATURE_LEN_RANGE, KB_ERR_AUTH, BYTES, NULL)                                           \
    X(CKR_TEMPLATE_INCOMPLETE, KB_ERR_UNSUPPORTED, TEMPLATE, NULL)                                 \
    X(CKR_TEMPLATE_INCONSISTENT, KB_ERR_UNSUPPORTED, TEMPLATE, NULL)                               \
    X(CKR_TOKEN_NOT_PRESENT, KB_ERR_TOKEN, FAIL, HINT_GONE)                                        \
    X(CKR_TOKEN_NOT_RECOGNIZED, KB_ERR_TOKEN, FAIL, HINT_GONE)                                     \
    X(CKR_TOKEN_WRITE_PROTECTED, KB_ERR_DENIED, FAIL, "the token is write protected")              \
    X(CKR_USER_NOT_LOGGED_IN, KB_ERR_TOKEN, LOST, NULL)                                            \
    X(CKR_USER_PIN_NOT_INITIALIZED, KB_ERR_PIN, FAIL, HINT_LOCKED)                                 \
    X(CKR_USER_TYPE_INVALID, KB_ERR_PIN, FAIL, NULL)                                               \
    X(CKR_WRAPPED_KEY_INVALID, KB_ERR_AUTH, BYTES, NULL)                                           \
    X(CKR_WRAPPED_KEY_LEN_RANGE, KB_ERR_AUTH, BYTES, NULL)                                         \
    X(CKR_WRAPPING_KEY_HANDLE_INVALID, KB_ERR_NOT_FOUND, FAIL, HINT_LIST)                          \
    X(CKR_UNWRAPPING_KEY_HANDLE_INVALID, KB_ERR_NOT_FOUND, FAIL, HINT_LIST)                        \
    X(CKR_WRAPPING_KEY_SIZE_RANGE, KB_ERR_UNSUPPORTED, FAIL, HINT_MECHANISM)                       \
    X(CKR_WRAPPING_KEY_TYPE_INCONSISTENT, KB_ERR_DENIED, FAIL, HINT_POLICY)                        \
    X(CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT, KB_ERR_DENIED, FAIL, HINT_POLICY)                      \
    X(CKR_RANDOM_NO_RNG, KB_ERR_UNSUPPORTED, FAIL, NULL)                                           \
    X(CKR_BUFFER_TOO_SMALL, KB_ERR_TOKEN, FAIL, NULL)                                              \
    X(CKR_CRYPTOKI_NOT_INITIALIZED, KB_ERR_TOKEN, LOST, NULL)                                      \
    X(CKR_FIPS_SELF_TEST_FAILED, KB_ERR_TOKEN, FAIL, NULL)                                         \
    X(CKR_FUNCTION_REJECTED, KB_ERR_DENIED, FAIL, HINT_POLICY)

#ifndef CKR_UNWRAPPING_KEY_HANDLE_INVALID
#define CKR_UNWRAPPING_KEY_HANDLE_INVALID 0xf0UL
#endif

static const struct ckr_row table[] = {
#define CKR_ROW(name, status, kind, hint) {name, #name, status, CKR_CLASS_##kind, hint},
    CKR_LIST(CKR_ROW)
#undef CKR_ROW
};

const struct ckr_row *ckr_find(CK_RV rv)
{
    static const struct ckr_row unknown = {0, "an unknown value", KB_ERR_TOKEN, CKR_CLASS_FAIL,
                                           NULL};

    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (table[i].rv == rv)
            return &table[i];
    return &unknown;
}

enum kb_status ckr_error(struct kb_error *err, CK_RV rv, const char *format, ...)
{
    const struct ckr_row *row = ckr_find(rv);
    char what[200];
    va_list args;

    va_start(args, format);
    if (vsnprintf(what, sizeof what, format, args) < 0)
        what[0] = 0;
    va_end(args);
    if (err && err->status == KB_OK) {
        if (row->rv == rv)
            kb_error_set(err, row->status, "%s: %s", what, row->name);
        else
            kb_error_set(err, row->status, "%s: CKR 0x%lx", what, rv);
        if (row->hint)
            kb_error_hint(err, "%s", row->hint);
        err->detail_kind = KB_DETAIL_CK_RV;
        err->detail = rv;
    }
    return row->status;
}
