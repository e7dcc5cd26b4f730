/* SPDX-License-Identifier: Apache-2.0
 *
 * AES-CBC in the token.
 */
#include "keystore/helper.h"

#include <string.h>

CK_BYTE *kb_input(struct kb_bytes bytes)
{
    static CK_BYTE nothing;

    return bytes.size ? (CK_BYTE *)(uintptr_t)bytes.data : &nothing;
}

enum { BLOCK = 16 };

static enum kb_status start(struct helper *helper, bool encrypt, CK_OBJECT_HANDLE object,
                            const uint8_t *iv, struct kb_error *err)
{
    CK_MECHANISM mechanism = mechanism_make(helper->vendor, MECHANISM_CBC_PAD, iv);
    CK_RV rv = encrypt ? helper->f->C_EncryptInit(helper->session, &mechanism, object)
                       : helper->f->C_DecryptInit(helper->session, &mechanism, object);

    if (rv == CKR_OK)
        return KB_OK;
    return helper_error(helper, err, rv, "%s with %s", encrypt ? "C_EncryptInit" : "C_DecryptInit",
                        mechanism_row(helper->vendor, MECHANISM_CBC_PAD)->name);
}

bool session_is_well(struct helper *helper)
{
    CK_SESSION_INFO info;

    return helper->f->C_GetSessionInfo(helper->session, &info) == CKR_OK;
}

static enum kb_status run(struct helper *helper, bool encrypt, struct kb_bytes in, uint8_t *out,
                          CK_ULONG *size, struct kb_error *err)
{
    CK_RV rv = encrypt
                   ? helper->f->C_Encrypt(helper->session, kb_input(in), in.size, out, size)
                   : helper->f->C_Decrypt(helper->session, kb_input(in), in.size, out, size);
    enum ckr_class kind = ckr_find(rv)->kind;

    if (rv == CKR_OK)
        return KB_OK;
    if (!encrypt &&
        (kind == CKR_CLASS_BYTES || (kind == CKR_CLASS_DOUBT && session_is_well(helper))))
        return KB_ERR_AUTH;
    return helper_error(helper, err, rv, "%s with %s", encrypt ? "C_Encrypt" : "C_Decrypt",
                        mechanism_row(helper->vendor, MECHANISM_CBC_PAD)->name);
}

static void put_failed(struct kb_buffer *answer)
{
    kb_buffer_put_u16(answer, KB_ERR_AUTH);
}

static enum kb_status run_item(struct helper *helper, bool encrypt, CK_OBJECT_HANDLE object,
                               const struct kb_request_item *item, struct kb_buffer *answer,
                               struct kb_error *err)
{
    size_t before = answer->size, room = item->bytes.size + BLOCK;
    CK_ULONG size = room;
    enum kb_status status;
    uint8_t *out;

    if (!encrypt && (item->bytes.size == 0 || item->bytes.size % BLOCK)) {
        put_failed(answer);
        return KB_OK;
    }
    status = start(helper, encrypt, object, item->iv, err);
    if (status != KB_OK)
        return status;
    kb_buffer_put_u16(answer, KB_OK);
    kb_buffer_put_u32(answer, 0);
    out = kb_buffer_extend(answer, room);
    if (!out)
        return kb_buffer_check(answer, err);
    status = run(helper, encrypt, item->bytes, out, &size, err);
    if (status != KB_OK || size > room)
        size = 0;
    kb_wipe(out + size, room - size);
    answer->size = before;
    if (status == KB_ERR_AUTH) {
        put_failed(answer);
        return KB_OK;
    }
    if (status == KB_OK) {
        kb_buffer_put_u16(answer, KB_OK);
        kb_buffer_put_u32(answer, (uint32_t)size);
        (void)kb_buffer_extend(answer, size); /* it is there already */
    }
    return status;
}

enum kb_status cipher_run(struct helper *helper, const struct kb_request *request,
                          struct kb_buffer *answer, struct kb_error *err)
{
    struct found_key *key = NULL;
    enum kb_status status = KB_OK;

    if (request->name)
        status = key_find_for(helper, request->name, KB_KEY_CONTENT, &key, err);
    for (uint32_t i = 0; i < request->count && status == KB_OK; i++) {
        const struct kb_request_item *item = &request->items[i];
        CK_OBJECT_HANDLE object = kept_find(helper, item->handle);

        if (item->handle == 0 && key)
            object = key->working;
        if (object == CK_INVALID_HANDLE)
            return kb_error_set(err, KB_ERR_USAGE, item->handle
                                                       ? "there is no such data key in the token"
                                                       : "no content key was named");
        status = run_item(helper, request->encrypt, object, item, answer, err);
    }
    return status;
}
