/* SPDX-License-Identifier: Apache-2.0
 *
 * AES-GCM in the token (NIST SP 800-38D), with 12-byte IVs and 16-byte tags.
 */
#ifndef KB_KEYSTORE_GCM_H
#define KB_KEYSTORE_GCM_H

#include "keystore/helper.h"

/* What the token may add to a text: the tag and, on some, the IV. */
enum { GCM_ROOM = KB_GCM_TAG_SIZE + KB_GCM_IV_SIZE };

/* One operation. */
struct gcm {
    CK_OBJECT_HANDLE key;
    struct kb_bytes aad;
    struct kb_bytes in;
    uint8_t iv[KB_GCM_IV_SIZE]; /* to encrypt: set */
    uint8_t *out;
    CK_ULONG room; /* in.size + GCM_ROOM */
    CK_ULONG size; /* of what came out */
    const char *call; /* the last one, which failed */
    bool begun;       /* it was C_Encrypt or C_Decrypt */
};

/* Encrypts with an IV of that origin. That the result is of the right size and
 * under the IV it reports is the caller's to see. */
CK_RV gcm_encrypt(struct helper *helper, enum iv_origin origin, struct gcm *gcm);
CK_RV gcm_decrypt(struct helper *helper, struct gcm *gcm);

/* --- ivs.c: who makes the IVs on this token ----------------------------------------- */

/* helper->iv_origin, found out now if need be. KB_ERR_UNSUPPORTED when there is
 * no safe way to encrypt. */
KB_MUST_CHECK enum kb_status ivs_find(struct helper *helper, struct kb_error *err);

/* After a failure that may be of the token as well as of the bytes: does the
 * token decrypt what it encrypts? */
bool ivs_token_is_well(struct helper *helper);

/* From now on nothing is encrypted with this token. */
enum kb_status ivs_distrust(struct helper *helper, const char *fault, struct kb_error *err);

#endif
