/* SPDX-License-Identifier: Apache-2.0
 *
 * One AES-GCM operation in the token.
 */
#include "keystore/gcm.h"

#include <string.h>

/* The caller's parameters are read, or written, until the end of the operation. */
static CK_RV run(struct helper *helper, bool encrypt, CK_GCM_PARAMS *params, struct gcm *gcm)
{
    CK_FUNCTION_LIST *f = helper->f;
    CK_MECHANISM mechanism = {mechanism_row(helper->vendor, MECHANISM_GCM)->number, params,
                              sizeof *params};
    CK_RV rv;

    /* p11-kit has names of its own for the members of the standard's structure. */
    params->aad_ptr = kb_input(gcm->aad);
    params->aad_len = gcm->aad.size;
    params->tag_bits = 8 * KB_GCM_TAG_SIZE;
    gcm->size = gcm->room;
    gcm->begun = false;
    gcm->call = encrypt ? "C_EncryptInit" : "C_DecryptInit";
    rv = encrypt ? f->C_EncryptInit(helper->session, &mechanism, gcm->key)
                 : f->C_DecryptInit(helper->session, &mechanism, gcm->key);
    if (rv == CKR_OK) {
        gcm->begun = true;
        gcm->call = encrypt ? "C_Encrypt" : "C_Decrypt";
        rv = encrypt ? f->C_Encrypt(helper->session, kb_input(gcm->in), gcm->in.size, gcm->out,
                                    &gcm->size)
                     : f->C_Decrypt(helper->session, kb_input(gcm->in), gcm->in.size, gcm->out,
                                    &gcm->size);
    }
    if (rv != CKR_OK || gcm->size > gcm->room)
        gcm->size = 0;
    return rv;
}

CK_RV gcm_encrypt(struct helper *helper, enum iv_origin origin, struct gcm *gcm)
{
    CK_GCM_PARAMS params = {gcm->iv, KB_GCM_IV_SIZE, 8 * KB_GCM_IV_SIZE, NULL, 0, 0};
    CK_RV rv = CKR_OK;

    memset(gcm->iv, 0, sizeof gcm->iv);
    if (origin == IV_APPENDED)
        params = (CK_GCM_PARAMS){0};
    gcm->call = "C_GenerateRandom";
    if (origin == IV_CALLER)
        rv = helper->f->C_GenerateRandom(helper->session, gcm->iv, sizeof gcm->iv);
    if (rv == CKR_OK)
        rv = run(helper, true, &params, gcm);
    if (rv == CKR_OK && origin == IV_APPENDED && gcm->size >= KB_GCM_IV_SIZE) {
        gcm->size -= KB_GCM_IV_SIZE;
        memcpy(gcm->iv, gcm->out + gcm->size, sizeof gcm->iv);
    }
    return rv;
}

CK_RV gcm_decrypt(struct helper *helper, struct gcm *gcm)
{
    CK_GCM_PARAMS params = {gcm->iv, KB_GCM_IV_SIZE, 8 * KB_GCM_IV_SIZE, NULL, 0, 0};

    return run(helper, false, &params, gcm);
}
