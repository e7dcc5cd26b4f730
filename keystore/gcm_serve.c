/* SPDX-License-Identifier: Apache-2.0
 *
 * A request of many AES-GCM operations.
 */
#include "keystore/gcm.h"

#include <string.h>

static enum kb_status failed(struct helper *helper, const struct gcm *gcm, CK_RV rv,
                             struct kb_error *err)
{
    return helper_error(helper, err, rv, "%s with %s", gcm->call,
                        mechanism_row(helper->vendor, MECHANISM_GCM)->name);
}

static enum kb_status wrong_size(const struct gcm *gcm, struct kb_error *err)
{
    return kb_error_set(err, KB_ERR_TOKEN, "the token made %lu bytes of %zu by AES-GCM", gcm->size,
                        gcm->in.size);
}

static enum kb_status encrypt_one(struct helper *helper, struct gcm *gcm, struct kb_error *err)
{
    CK_RV rv = gcm_encrypt(helper, helper->iv_origin, gcm);

    if (rv != CKR_OK)
        return failed(helper, gcm, rv, err);
    /* What was so when it was tried need not stay so. */
    if (bytes_are_zero(gcm->iv, KB_GCM_IV_SIZE))
        return ivs_distrust(helper, "reports no IV", err);
    if (memcmp(gcm->iv, helper->last_iv, sizeof gcm->iv) == 0)
        return ivs_distrust(helper, "repeats an IV", err);
    memcpy(helper->last_iv, gcm->iv, sizeof gcm->iv);
    return gcm->size == gcm->in.size + KB_GCM_TAG_SIZE ? KB_OK : wrong_size(gcm, err);
}

/* *doubt: the bytes are wrong, unless it is the token. */
static enum kb_status decrypt_one(struct helper *helper, struct gcm *gcm, bool *doubt,
                                  struct kb_error *err)
{
    const struct ckr_row *row;
    CK_RV rv;
    bool unclear;

    if (gcm->in.size < KB_GCM_TAG_SIZE)
        return KB_ERR_AUTH;
    rv = gcm_decrypt(helper, gcm);
    if (rv == CKR_OK)
        return gcm->size == gcm->in.size - KB_GCM_TAG_SIZE ? KB_OK : wrong_size(gcm, err);
    row = ckr_find(rv);
    /* A value of the maker's own may say that the tag is wrong. */
    unclear = row->kind == CKR_CLASS_DOUBT || row->rv != rv;
    *doubt = *doubt || unclear;
    if (gcm->begun && (unclear || row->kind == CKR_CLASS_BYTES))
        return KB_ERR_AUTH;
    return failed(helper, gcm, rv, err);
}

static enum kb_status run_item(struct helper *helper, const struct kb_request *request,
                               struct gcm *gcm, bool *doubt, struct kb_buffer *answer,
                               struct kb_error *err)
{
    struct answer_text text;
    enum kb_status status;

    if (!answer_text_begin(&text, answer, request->encrypt ? KB_GCM_IV_SIZE : 0,
                           gcm->in.size + GCM_ROOM))
        return kb_buffer_check(answer, err);
    gcm->out = text.out;
    gcm->room = text.room;
    status = request->encrypt ? encrypt_one(helper, gcm, err)
                              : decrypt_one(helper, gcm, doubt, err);
    answer_text_end(&text, answer, status, gcm->iv, gcm->size);
    return status == KB_ERR_AUTH ? KB_OK : status;
}

enum kb_status gcm_serve(struct helper *helper, const struct kb_request *request,
                         struct kb_buffer *answer, struct kb_error *err)
{
    struct found_key *key;
    bool doubt = false;
    enum kb_status status = key_find_for(helper, request->name, KB_KEY_ENVELOPE, &key, err);

    if (status == KB_OK && request->encrypt)
        status = ivs_find(helper, err);
    for (uint32_t i = 0; i < request->count && status == KB_OK; i++) {
        const struct kb_request_item *item = &request->items[i];
        struct gcm gcm = {.key = key->working, .aad = item->aad, .in = item->bytes};

        memcpy(gcm.iv, item->iv, sizeof gcm.iv);
        status = run_item(helper, request, &gcm, &doubt, answer, err);
    }
    if (status == KB_OK && doubt && !ivs_token_is_well(helper)) {
        helper->lost = true;
        status = kb_error_set(err, KB_ERR_TOKEN, "the token fails at AES-GCM, whatever the bytes");
    }
    return status;
}
