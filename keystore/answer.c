/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers, and the records in them, as bytes.
 */
#include "keystore/protocol.h"

#include <string.h>

#include "keystore/wire.h"

static void put_head(struct kb_buffer *frame, const struct kb_error *err, bool lost)
{
    kb_buffer_reset(frame);
    kb_buffer_put_u32(frame, 0);
    kb_buffer_put_u16(frame, (uint16_t)err->status);
    kb_buffer_put_u8(frame, lost);
    kb_buffer_put_u8(frame, (uint8_t)err->detail_kind);
    kb_buffer_put_u64(frame, err->detail);
    kb_wire_put_text(frame, err->text);
    kb_wire_put_text(frame, err->hint);
}

void kb_answer_begin(struct kb_buffer *frame)
{
    static const struct kb_error none = {.status = KB_OK};

    put_head(frame, &none, false);
}

void kb_answer_fail(struct kb_buffer *frame, const struct kb_error *err, bool lost)
{
    put_head(frame, err, lost);
}

bool kb_answer_end(struct kb_buffer *frame)
{
    return kb_wire_end(frame);
}

bool kb_answer_decode(struct kb_answer_head *head, struct kb_reader *reader, struct kb_bytes body)
{
    struct kb_error *err = &head->err;
    const char *text;
    const char *hint;
    uint16_t status;

    *reader = kb_reader_of(body);
    status = kb_reader_u16(reader);
    head->lost = kb_wire_get_flag(reader);
    kb_error_clear(err);
    err->detail_kind = (enum kb_detail)kb_wire_get_below(reader, KB_DETAIL_HTTP + 1);
    err->detail = (unsigned long)kb_reader_u64(reader);
    text = kb_wire_get_text(reader);
    hint = kb_wire_get_text(reader);
    if (reader->failed || status >= KB_STATUS_COUNT || (head->lost && status == KB_OK))
        return false;
    head->status = (enum kb_status)status;
    if (status != KB_OK) {
        enum kb_detail kind = err->detail_kind;
        unsigned long detail = err->detail;

        kb_error_set(err, head->status, "%s", text ? text : "");
        if (hint && *hint)
            kb_error_hint(err, "%s", hint);
        err->detail_kind = kind;
        err->detail = detail;
    }
    return true;
}

/* Each record is one list of fields, which makes both directions. */
#define TOKEN_INFO_FIELDS(TEXT, FLAG)                                                              \
    TEXT(label) TEXT(manufacturer) TEXT(model) TEXT(serial) TEXT(uri) TEXT(module)                 \
    FLAG(initialized) FLAG(login_required) FLAG(pin_count_low) FLAG(pin_final_try)                 \
    FLAG(pin_locked) FLAG(write_protected)

#define KEY_INFO_FIELDS(TEXT, FLAG, NUMBER, ANSWER)                                                \
    TEXT(name) TEXT(version) TEXT(id) TEXT(mechanisms)                                             \
    NUMBER(use, KB_KEY_LEGACY) NUMBER(type, KB_KEY_EC) NUMBER(origin, KB_KEY_IMPORTED)           \
    NUMBER(bits, UINT32_MAX - 1) FLAG(public_only) FLAG(release_never)                             \
    ANSWER(release_never_enforced) ANSWER(mechanisms_enforced) ANSWER(on_token)                    \
    ANSWER(is_private) ANSWER(sensitive) ANSWER(always_sensitive) ANSWER(extractable)              \
    ANSWER(never_extractable) ANSWER(local) ANSWER(modifiable) ANSWER(may_wrap)                    \
    ANSWER(may_unwrap) ANSWER(may_sign) ANSWER(may_verify) ANSWER(may_encrypt) ANSWER(may_decrypt)

static void get_text_into(struct kb_reader *reader, char *out, size_t room)
{
    const char *text = kb_wire_get_text(reader);
    size_t size = text ? strlen(text) + 1 : 1;

    if (size > room) {
        reader->failed = true;
        return;
    }
    memcpy(out, text ? text : "", size);
}

static uint32_t get_number(struct kb_reader *reader, uint32_t last)
{
    uint32_t value = kb_reader_u32(reader);

    if (value > last)
        reader->failed = true;
    return reader->failed ? 0 : value;
}

#define PUT_TEXT(field) kb_wire_put_text(frame, info->field);
#define PUT_FLAG(field) kb_buffer_put_u8(frame, info->field);
#define PUT_NUMBER(field, last) kb_buffer_put_u32(frame, (uint32_t)info->field);
#define PUT_ANSWER(field) kb_buffer_put_u8(frame, (uint8_t)info->field);
#define GET_TEXT(field) get_text_into(reader, info->field, sizeof info->field);
#define GET_FLAG(field) info->field = kb_wire_get_flag(reader);
#define GET_NUMBER(field, last) info->field = get_number(reader, (uint32_t)(last));
#define GET_ANSWER(field)                                                                          \
    info->field = (enum kb_answer)kb_wire_get_below(reader, KB_ANSWER_UNKNOWN + 1);

void kb_token_info_put(struct kb_buffer *frame, const struct kb_token_info *info)
{
    TOKEN_INFO_FIELDS(PUT_TEXT, PUT_FLAG)
}

bool kb_token_info_get(struct kb_reader *reader, struct kb_token_info *info)
{
    memset(info, 0, sizeof *info);
    TOKEN_INFO_FIELDS(GET_TEXT, GET_FLAG)
    return !reader->failed;
}

void kb_key_info_put(struct kb_buffer *frame, const struct kb_key_info *info)
{
    KEY_INFO_FIELDS(PUT_TEXT, PUT_FLAG, PUT_NUMBER, PUT_ANSWER)
}

bool kb_key_info_get(struct kb_reader *reader, struct kb_key_info *info)
{
    memset(info, 0, sizeof *info);
    KEY_INFO_FIELDS(GET_TEXT, GET_FLAG, GET_NUMBER, GET_ANSWER)
    return !reader->failed;
}

void kb_trial_put(struct kb_buffer *frame, const struct kb_token_trial *trial)
{
    kb_wire_put_text(frame, trial->what);
    kb_wire_put_text(frame, trial->outcome);
    kb_buffer_put_u8(frame, trial->good);
    kb_buffer_put_u64(frame, trial->ck_rv);
}

bool kb_trial_get(struct kb_reader *reader, struct kb_token_trial *trial)
{
    memset(trial, 0, sizeof *trial);
    get_text_into(reader, trial->what, sizeof trial->what);
    get_text_into(reader, trial->outcome, sizeof trial->outcome);
    trial->good = kb_wire_get_flag(reader);
    trial->ck_rv = (unsigned long)kb_reader_u64(reader);
    return !reader->failed;
}

void kb_data_key_put(struct kb_buffer *frame, const struct kb_data_key *key, const uint8_t *plain)
{
    kb_buffer_put_u16(frame, (uint16_t)key->status);
    if (key->status != KB_OK)
        return;
    kb_buffer_put_u8(frame, (uint8_t)key->size);
    if (plain)
        kb_buffer_put(frame, plain, key->size);
    else
        kb_buffer_put_u32(frame, key->handle);
    kb_buffer_put_lv(frame, (struct kb_bytes){key->wrapped, key->wrapped_size});
}

bool kb_item_status_get(struct kb_reader *reader, enum kb_status *status)
{
    uint16_t value = kb_reader_u16(reader);

    *status = (enum kb_status)value;
    if (value >= KB_STATUS_COUNT || (value != KB_OK && !kb_status_is_item(*status)))
        reader->failed = true;
    return !reader->failed;
}

bool kb_data_key_get(struct kb_reader *reader, struct kb_data_key *key, uint8_t *plain)
{
    struct kb_bytes bytes;

    key->handle = key->size = key->wrapped_size = 0;
    if (!kb_item_status_get(reader, &key->status) || key->status != KB_OK)
        return !reader->failed;
    key->size = kb_wire_get_below(reader, KB_TOKEN_DATA_KEY_MAX + 1);
    if (plain) {
        bytes = kb_reader_take(reader, key->size);
        if (bytes.data)
            memcpy(plain, bytes.data, bytes.size);
    } else {
        key->handle = kb_reader_u32(reader);
    }
    bytes = kb_wire_get_limited(reader, sizeof key->wrapped);
    if (reader->failed)
        return false;
    key->wrapped_size = (uint16_t)bytes.size;
    if (bytes.size)
        memcpy(key->wrapped, bytes.data, bytes.size);
    return true;
}

void kb_signature_put(struct kb_buffer *frame, const struct kb_signature *signature)
{
    kb_buffer_put_lv(frame, (struct kb_bytes){signature->data, signature->size});
}

bool kb_signature_get(struct kb_reader *reader, struct kb_signature *signature)
{
    struct kb_bytes bytes = kb_wire_get_limited(reader, sizeof signature->data);

    signature->size = 0;
    if (reader->failed)
        return false;
    signature->size = (uint16_t)bytes.size;
    if (bytes.size)
        memcpy(signature->data, bytes.data, bytes.size);
    return true;
}

#define KEY_PARTS_FIELDS(FIELD)                                                                    \
    FIELD(modulus) FIELD(public_exponent) FIELD(private_exponent) FIELD(prime1) FIELD(prime2)      \
    FIELD(exponent1) FIELD(exponent2) FIELD(coefficient) FIELD(curve) FIELD(point) FIELD(scalar)

void kb_key_parts_put(struct kb_buffer *frame, const struct kb_key_parts *parts)
{
#define PUT_PART(field) kb_buffer_put_lv(frame, parts->field);
    KEY_PARTS_FIELDS(PUT_PART)
#undef PUT_PART
}

bool kb_key_parts_get(struct kb_reader *reader, struct kb_key_parts *parts)
{
    memset(parts, 0, sizeof *parts);
#define GET_PART(field) parts->field = kb_wire_get_limited(reader, KB_REQUEST_VALUE_MAX);
    KEY_PARTS_FIELDS(GET_PART)
#undef GET_PART
    return !reader->failed;
}
