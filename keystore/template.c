/* SPDX-License-Identifier: Apache-2.0 */
#include "keystore/template.h"

static CK_BBOOL yes = CK_TRUE;
static CK_BBOOL no = CK_FALSE;

void template_bytes(struct template *out, CK_ATTRIBUTE_TYPE type, const void *data, size_t size)
{
    CK_ATTRIBUTE *row;

    if (out->count == TEMPLATE_ROWS)
        return; /* cannot happen: the templates are ours, and tests make each */
    row = &out->rows[out->count++];
    row->type = type;
    /* The interface has no const; tokens only read templates. */
    row->pValue = (void *)(uintptr_t)data;
    row->ulValueLen = size;
}

void template_number(struct template *out, CK_ATTRIBUTE_TYPE type, CK_ULONG value)
{
    CK_ULONG *number = &out->numbers[out->numbers_used++ % TEMPLATE_NUMBERS];

    *number = value;
    template_bytes(out, type, number, sizeof *number);
}

void template_flag(struct template *out, CK_ATTRIBUTE_TYPE type, bool value)
{
    template_bytes(out, type, value ? &yes : &no, sizeof yes);
}

void template_uses(struct template *out, unsigned uses)
{
    template_flag(out, CKA_ENCRYPT, uses & MAY_ENCRYPT);
    template_flag(out, CKA_DECRYPT, uses & MAY_DECRYPT);
    template_flag(out, CKA_SIGN, uses & MAY_SIGN);
    template_flag(out, CKA_VERIFY, uses & MAY_VERIFY);
    template_flag(out, CKA_WRAP, uses & MAY_WRAP);
    template_flag(out, CKA_UNWRAP, uses & MAY_UNWRAP);
    template_flag(out, CKA_DERIVE, false);
}

void template_private_uses(struct template *out, unsigned uses)
{
    template_flag(out, CKA_DECRYPT, uses & MAY_DECRYPT);
    template_flag(out, CKA_SIGN, uses & MAY_SIGN);
    template_flag(out, CKA_SIGN_RECOVER, false);
    template_flag(out, CKA_UNWRAP, uses & MAY_UNWRAP);
    template_flag(out, CKA_DERIVE, false);
}

void template_public_uses(struct template *out, unsigned uses)
{
    template_flag(out, CKA_ENCRYPT, uses & MAY_ENCRYPT);
    template_flag(out, CKA_VERIFY, uses & MAY_VERIFY);
    template_flag(out, CKA_VERIFY_RECOVER, false);
    template_flag(out, CKA_WRAP, uses & MAY_WRAP);
    template_flag(out, CKA_DERIVE, false);
}

void template_session_key(struct template *out, CK_KEY_TYPE type, bool sensitive,
                          bool extractable, unsigned uses)
{
    out->count = out->numbers_used = 0;
    template_number(out, CKA_CLASS, CKO_SECRET_KEY);
    template_number(out, CKA_KEY_TYPE, type);
    template_flag(out, CKA_TOKEN, false);
    /* Dies with this process, so that hiding it from others gains nothing but
     * costs a decryption for each use. */
    template_flag(out, CKA_PRIVATE, false);
    template_flag(out, CKA_SENSITIVE, sensitive);
    template_flag(out, CKA_EXTRACTABLE, extractable);
    template_uses(out, uses);
}
