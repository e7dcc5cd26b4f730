/* SPDX-License-Identifier: Apache-2.0
 *
 * A counter of the token: a key that may do nothing, with the number as its
 * CKA_ID, which C_SetAttributeValue may change (PKCS#11 v3.0 section 4.8).
 * A data object would say better what it is, but NSS keeps none on its token.
 */
#include "keystore/helper.h"

#include <string.h>

/* The record in CKA_ID: a mark, then the number. */
enum { MARK_SIZE = 4, RECORD_SIZE = MARK_SIZE + 8 };
static const uint8_t mark[MARK_SIZE] = {'K', 'B', 'N', 1};

static void record_make(uint8_t out[RECORD_SIZE], uint64_t value)
{
    memcpy(out, mark, MARK_SIZE);
    for (size_t i = RECORD_SIZE; i-- > MARK_SIZE; value >>= 8)
        out[i] = (uint8_t)value;
}

static enum kb_status read_value(struct helper *helper, CK_OBJECT_HANDLE object, const char *name,
                                 uint64_t *out, struct kb_error *err)
{
    uint8_t record[RECORD_SIZE];
    CK_ULONG size = sizeof record;
    CK_RV rv = attribute_read(helper, object, CKA_ID, record, &size);
    struct kb_reader reader = kb_reader_of((struct kb_bytes){record, sizeof record});

    if (rv != CKR_OK && rv != CKR_BUFFER_TOO_SMALL)
        return helper_error(helper, err, rv, "reading the counter '%s'", name);
    if (rv != CKR_OK || size != RECORD_SIZE ||
        memcmp(kb_reader_take(&reader, MARK_SIZE).data, mark, MARK_SIZE) != 0)
        return kb_error_set(err, KB_ERR_AUTH, "the token's key '%s' is not a counter", name);
    *out = kb_reader_u64(&reader);
    return KB_OK;
}

static enum kb_status set_value(struct helper *helper, CK_OBJECT_HANDLE object, uint64_t value,
                                struct kb_error *err)
{
    uint8_t record[RECORD_SIZE];
    CK_ATTRIBUTE row = {CKA_ID, record, sizeof record};
    CK_RV rv;

    record_make(record, value);
    rv = helper->f->C_SetAttributeValue(helper->session, object, &row, 1);
    return rv == CKR_OK ? KB_OK : helper_error(helper, err, rv, "C_SetAttributeValue of CKA_ID");
}

static enum kb_status make_key(struct helper *helper, const char *name, CK_OBJECT_HANDLE *object,
                               struct kb_error *err)
{
    CK_MECHANISM mechanism = mechanism_make(helper->vendor, MECHANISM_AES_KEY_GEN, NULL);
    struct template wanted = {.count = 0};
    uint8_t record[RECORD_SIZE];
    CK_RV rv;

    record_make(record, 0);
    template_number(&wanted, CKA_CLASS, CKO_SECRET_KEY);
    template_number(&wanted, CKA_KEY_TYPE, CKK_AES);
    template_number(&wanted, CKA_VALUE_LEN, 32);
    template_flag(&wanted, CKA_TOKEN, true);
    template_flag(&wanted, CKA_PRIVATE, true);
    template_flag(&wanted, CKA_MODIFIABLE, true);
    template_flag(&wanted, CKA_SENSITIVE, true);
    template_flag(&wanted, CKA_EXTRACTABLE, false);
    template_bytes(&wanted, CKA_LABEL, name, strlen(name));
    template_bytes(&wanted, CKA_ID, record, sizeof record);
    template_uses(&wanted, 0);
    rv = helper->f->C_GenerateKey(helper->session, &mechanism, wanted.rows, wanted.count, object);
    return rv == CKR_OK ? KB_OK : helper_error(helper, err, rv, "C_GenerateKey for a counter");
}

/* From 0 to `to`, which shows at once whether the token can do it. */
static enum kb_status make_counter(struct helper *helper, const char *name, uint64_t to,
                                   struct kb_error *err)
{
    struct kb_error why = {.status = KB_OK};
    CK_OBJECT_HANDLE object;
    uint64_t now = 0;
    enum kb_status status = make_key(helper, name, &object, err);

    if (status != KB_OK)
        return status;
    status = set_value(helper, object, to, &why);
    if (status == KB_OK)
        status = read_value(helper, object, name, &now, &why);
    if (status == KB_OK && now == to)
        return KB_OK;
    (void)helper->f->C_DestroyObject(helper->session, object);
    if (helper->lost)
        return kb_error_set(err, status, "%s", why.text);
    return kb_error_set(err, KB_ERR_UNSUPPORTED, "the token cannot keep a counter: %.200s",
                        why.text[0] ? why.text : "it forgets what is set");
}

enum kb_status counter_serve(struct helper *helper, const struct kb_request *request,
                             struct kb_buffer *answer, struct kb_error *err)
{
    const char *name = request->name;
    CK_OBJECT_HANDLE object;
    CK_ULONG count;
    uint64_t now = 0;
    enum kb_status status;

    if (!key_name_valid(name) || (request->to && request->to <= request->from))
        return kb_error_set(err, KB_ERR_USAGE, "the request makes no sense of a counter");
    status = key_count(helper, name, &object, &count, err);
    if (status != KB_OK)
        return status;
    if (count > 1)
        return kb_error_set(err, KB_ERR_AMBIGUOUS, "the token has more than one counter '%s'",
                            name);
    if (count == 0 && (!request->to || request->from))
        return kb_error_set(err, KB_ERR_NOT_FOUND, "the token has no counter '%s'", name);
    if (count == 0) {
        status = make_counter(helper, name, request->to, err);
        now = request->to;
    } else {
        status = read_value(helper, object, name, &now, err);
        if (status == KB_OK && request->to && now == request->from) {
            status = set_value(helper, object, request->to, err);
            now = request->to;
        }
    }
    if (status == KB_OK)
        kb_buffer_put_u64(answer, now);
    return status;
}
