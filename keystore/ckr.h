/* SPDX-License-Identifier: Apache-2.0
 *
 * What the token's return values mean to us: one table.
 */
#ifndef KB_KEYSTORE_CKR_H
#define KB_KEYSTORE_CKR_H

#include <p11-kit/pkcs11.h>

#include <keybridge/status.h>

enum ckr_class {
    CKR_CLASS_FAIL,     /* ends the call */
    CKR_CLASS_LOST,     /* the session is gone: a new helper, then once more */
    CKR_CLASS_TEMPLATE, /* an attribute was not liked: perhaps without it */
    CKR_CLASS_BYTES,    /* the bytes to decrypt or unwrap are wrong */
    CKR_CLASS_DOUBT,    /* those bytes, or the token itself: ask it */
};

struct ckr_row {
    CK_RV rv;
    const char *name;
    enum kb_status status;
    enum ckr_class kind;
    const char *hint; /* or NULL */
};

/* The row of a value; one for unknown values when it has none. */
const struct ckr_row *ckr_find(CK_RV rv);

/* Records "<what>: CKR_…" with the status and hint of the row. */
enum kb_status ckr_error(struct kb_error *err, CK_RV rv, const char *format, ...) KB_PRINTF(3, 4);

#endif
