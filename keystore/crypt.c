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

bool answer_text_begin(struct answer_text *text, struct kb_buffer *answer, size_t iv_size,
                       size_t room)
{
    size_t head = 2 + iv_size + 4;

    *text = (struct answer_text){.before = answer->size, .iv_size = iv_size, .room = room};
    text->out = kb_buffer_extend(answer, head + room);
    if (text->out)
        text->out += head;
    return text->out != NULL;
}

void answer_text_end(const struct answer_text *text, struct kb_buffer *answer,
                     enum kb_status status, const uint8_t *iv, size_t size)
{
    if (status != KB_OK || size > text->room)
        size = 0;
    kb_wipe(text->out + size, text->room - size);
    answer->size = text->before;
    kb_buffer_put_u16(answer, (uint16_t)status);
    if (status != KB_OK)
        return;
    kb_buffer_put(answer, iv, text->iv_size);
    kb_buffer_put_u32(answer, (uint32_t)size);
    (void)kb_buffer_extend(answer, size); /* it is there already */
}

static enum kb_status run_item(struct helper *helper, bool encrypt, CK_OBJECT_HANDLE object,
                               const struct kb_request_item *item, struct kb_buffer *answer,
                               struct kb_error *err)
{
    size_t room = item->bytes.size + BLOCK;
    struct answer_text text;
    CK_ULONG size = room;
    enum kb_status status;

    if (!encrypt && (item->bytes.size == 0 || item->bytes.size % BLOCK)) {
        kb_buffer_put_u16(answer, KB_ERR_AUTH);
        return KB_OK;
    }
    status = start(helper, encrypt, object, item->iv, err);
    if (status != KB_OK)
        return status;
    if (!answer_text_begin(&text, answer, 0, room))
        return kb_buffer_check(answer, err);
    status = run(helper, encrypt, item->bytes, text.out, &size, err);
    answer_text_end(&text, answer, status, NULL, size);
    return status == KB_ERR_AUTH ? KB_OK : status;
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
