/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests and answers as bytes. Texts travel with their terminator, so that a
 * decoded one is used in place; no text at all is an empty LV.
 */
#include "keystore/protocol.h"

#include <string.h>

static void put_limited(struct kb_buffer *frame, struct kb_bytes bytes, size_t limit)
{
    if (bytes.size > limit)
        frame->failed = true;
    kb_buffer_put_lv(frame, bytes);
}

static void put_text(struct kb_buffer *frame, const char *text)
{
    put_limited(frame, (struct kb_bytes){(const uint8_t *)text, text ? strlen(text) + 1 : 0},
                KB_REQUEST_TEXT_MAX);
}

static void put_name(struct kb_buffer *frame, const char *name)
{
    if (!name)
        frame->failed = true;
    put_text(frame, name);
}

static const char *get_text(struct kb_reader *reader)
{
    struct kb_bytes text = kb_reader_lv(reader);

    if (text.size == 0)
        return NULL;
    if (text.size > KB_REQUEST_TEXT_MAX ||
        memchr(text.data, 0, text.size) != text.data + text.size - 1)
        reader->failed = true;
    return reader->failed ? NULL : (const char *)text.data;
}

static const char *get_name(struct kb_reader *reader)
{
    const char *name = get_text(reader);

    if (!name)
        reader->failed = true;
    return name;
}

static struct kb_bytes get_limited(struct kb_reader *reader, size_t limit)
{
    struct kb_bytes bytes = kb_reader_lv(reader);

    if (bytes.size > limit)
        reader->failed = true;
    return bytes;
}

static bool get_flag(struct kb_reader *reader)
{
    uint8_t value = kb_reader_u8(reader);

    if (value > 1)
        reader->failed = true;
    return value == 1;
}

static uint8_t get_below(struct kb_reader *reader, unsigned bound)
{
    uint8_t value = kb_reader_u8(reader);

    if (value >= bound)
        reader->failed = true;
    return reader->failed ? 0 : value;
}

static void set_length(struct kb_buffer *frame)
{
    uint32_t size = (uint32_t)(frame->size - 4);

    for (size_t i = 4; i-- > 0; size >>= 8)
        frame->data[i] = (uint8_t)size;
}

static bool end_frame(struct kb_buffer *frame)
{
    if (frame->failed || frame->size < 4 || frame->size - 4 > KB_FRAME_MAX)
        return false;
    set_length(frame);
    return true;
}

/* --- requests ---------------------------------------------------------------- */

static void put_spec(struct kb_buffer *frame, const struct kb_key_spec *spec)
{
    put_name(frame, spec->name);
    kb_buffer_put_u8(frame, (uint8_t)spec->use);
    kb_buffer_put_u8(frame, (uint8_t)spec->type);
    kb_buffer_put_u8(frame, spec->release_never);
    kb_buffer_put_u8(frame, spec->public_only);
    kb_buffer_put_u8(frame, spec->allow_weak);
}

static void get_spec(struct kb_reader *reader, struct kb_key_spec *spec)
{
    spec->name = get_name(reader);
    spec->use = (enum kb_key_use)get_below(reader, KB_KEY_ENVELOPE + 1);
    spec->type = (enum kb_key_type)get_below(reader, KB_KEY_EC + 1);
    spec->release_never = get_flag(reader);
    spec->public_only = get_flag(reader);
    spec->allow_weak = get_flag(reader);
}

static void put_open(struct kb_buffer *frame, const struct kb_request *request)
{
    kb_buffer_put_u32(frame, request->version);
    put_text(frame, request->module);
    put_text(frame, request->parameters);
    put_text(frame, request->uri);
    kb_buffer_put_u8(frame, request->session);
    kb_buffer_put_u8(frame, request->with_pin);
    put_limited(frame, request->pin, KB_REQUEST_PIN_MAX);
}

static void get_open(struct kb_reader *reader, struct kb_request *request)
{
    request->version = kb_reader_u32(reader);
    if (request->version != KB_PROTOCOL_VERSION) {
        /* What follows may look different there; the version says enough. */
        (void)kb_reader_take(reader, reader->left);
        return;
    }
    request->module = get_text(reader);
    request->parameters = get_text(reader);
    request->uri = get_text(reader);
    request->session = get_flag(reader);
    request->with_pin = get_flag(reader);
    request->pin = get_limited(reader, KB_REQUEST_PIN_MAX);
}

/* What every item of the verb consists of. */
enum { HAS_HANDLE = 1, HAS_IV = 2, HAS_BYTES = 4, HAS_ALGORITHM = 8, HAS_GCM = 16 };

static unsigned item_parts(enum kb_verb verb)
{
    switch (verb) {
    case KB_VERB_UNWRAP_KEYS:
        return HAS_ALGORITHM | HAS_BYTES;
    case KB_VERB_SIGN:
        return HAS_BYTES;
    case KB_VERB_CIPHER:
        return HAS_HANDLE | HAS_IV | HAS_BYTES;
    case KB_VERB_GCM:
        return HAS_GCM;
    case KB_VERB_FORGET:
        return HAS_HANDLE;
    default:
        return 0;
    }
}

/* An IV, what is authenticated only, and a text or one with its tag. */
enum { GCM_BYTES_MAX = KB_TOKEN_GCM_MAX + KB_GCM_TAG_SIZE, GCM_LEAST = KB_GCM_IV_SIZE + 4 + 4 };

/* So every batch fits into one frame. */
_Static_assert(KB_TOKEN_BATCH_MAX * (GCM_LEAST + KB_TOKEN_AAD_MAX + GCM_BYTES_MAX) <
                   KB_FRAME_DATA_MAX,
               "a batch of GCM jobs fits into a frame");

static void put_gcm(struct kb_buffer *frame, const struct kb_request_item *item)
{
    kb_buffer_put(frame, item->iv, KB_GCM_IV_SIZE);
    put_limited(frame, item->aad, KB_TOKEN_AAD_MAX);
    put_limited(frame, item->bytes, GCM_BYTES_MAX);
}

static void get_iv(struct kb_reader *reader, uint8_t *out, size_t size)
{
    struct kb_bytes iv = kb_reader_take(reader, size);

    if (iv.data)
        memcpy(out, iv.data, size);
}

static void get_gcm(struct kb_reader *reader, struct kb_request_item *item)
{
    get_iv(reader, item->iv, KB_GCM_IV_SIZE);
    item->aad = get_limited(reader, KB_TOKEN_AAD_MAX);
    item->bytes = get_limited(reader, GCM_BYTES_MAX);
}

static void put_items(struct kb_buffer *frame, const struct kb_request *request)
{
    unsigned parts = item_parts(request->verb);

    kb_buffer_put_u32(frame, request->count);
    for (uint32_t i = 0; parts && i < request->count; i++) {
        const struct kb_request_item *item = &request->items[i];

        if (parts & HAS_HANDLE)
            kb_buffer_put_u32(frame, item->handle);
        if (parts & HAS_IV)
            kb_buffer_put(frame, item->iv, sizeof item->iv);
        if (parts & HAS_ALGORITHM)
            kb_buffer_put_u8(frame, (uint8_t)item->algorithm);
        if (parts & HAS_BYTES)
            kb_buffer_put_lv(frame, item->bytes);
        if (parts & HAS_GCM)
            put_gcm(frame, item);
    }
}

static void get_items(struct kb_reader *reader, struct kb_request *request)
{
    unsigned parts = item_parts(request->verb);
    size_t least = (parts & HAS_HANDLE ? 4 : 0) + (parts & HAS_IV ? 16 : 0) +
                   (parts & HAS_ALGORITHM ? 1 : 0) + (parts & HAS_BYTES ? 4 : 0) +
                   (parts & HAS_GCM ? GCM_LEAST : 0);

    request->count = kb_reader_count(reader, KB_TOKEN_BATCH_MAX, least);
    for (uint32_t i = 0; parts && i < request->count; i++) {
        struct kb_request_item *item = &request->items[i];

        *item = (struct kb_request_item){0};
        if (parts & HAS_HANDLE)
            item->handle = kb_reader_u32(reader);
        if (parts & HAS_IV)
            get_iv(reader, item->iv, sizeof item->iv);
        if (parts & HAS_ALGORITHM)
            item->algorithm = (enum kb_wrap_algorithm)get_below(reader, KB_WRAP_PKCS1 + 1);
        if (parts & HAS_BYTES)
            item->bytes = kb_reader_lv(reader);
        if (parts & HAS_GCM)
            get_gcm(reader, item);
    }
}

static void put_work(struct kb_buffer *frame, const struct kb_request *request)
{
    if (request->verb == KB_VERB_CIPHER)
        put_text(frame, request->name);
    else
        put_name(frame, request->name);
    kb_buffer_put_u8(frame, request->key_size);
    kb_buffer_put_u8(frame, (uint8_t)request->algorithm);
    kb_buffer_put_u8(frame, request->release);
    kb_buffer_put_u8(frame, request->encrypt);
    kb_buffer_put_u8(frame, (uint8_t)request->scheme);
    kb_buffer_put_u8(frame, (uint8_t)request->hash);
    put_items(frame, request);
}

void kb_request_init(struct kb_request *request, enum kb_verb verb)
{
    /* The items are written as far as they are used; clearing them all would
     * be most of the work of a small request. */
    memset(request, 0, offsetof(struct kb_request, items));
    request->verb = verb;
}

bool kb_request_encode(struct kb_buffer *frame, const struct kb_request *request)
{
    kb_buffer_reset(frame);
    kb_buffer_put_u32(frame, 0);
    kb_buffer_put_u8(frame, (uint8_t)request->verb);
    switch (request->verb) {
    case KB_VERB_OPEN:
        put_open(frame, request);
        break;
    case KB_VERB_INIT_TOKEN:
        put_name(frame, request->name);
        put_limited(frame, request->so_pin, KB_REQUEST_PIN_MAX);
        put_limited(frame, request->pin, KB_REQUEST_PIN_MAX);
        break;
    case KB_VERB_CREATE:
    case KB_VERB_IMPORT:
        put_spec(frame, &request->spec);
        put_limited(frame, request->value, KB_REQUEST_VALUE_MAX);
        break;
    case KB_VERB_DESTROY:
    case KB_VERB_FIND:
    case KB_VERB_TRY_EXTRACT:
    case KB_VERB_EXPORT_PUBLIC:
        put_name(frame, request->name);
        break;
    case KB_VERB_MAKE_KEYS:
    case KB_VERB_UNWRAP_KEYS:
    case KB_VERB_SIGN:
    case KB_VERB_CIPHER:
    case KB_VERB_GCM:
        put_work(frame, request);
        break;
    case KB_VERB_RANDOM:
        kb_buffer_put_u32(frame, request->count);
        break;
    case KB_VERB_FORGET:
        put_items(frame, request);
        break;
    default: /* no payload */
        break;
    }
    return end_frame(frame);
}

static void get_work(struct kb_reader *reader, struct kb_request *request)
{
    request->name = request->verb == KB_VERB_CIPHER ? get_text(reader) : get_name(reader);
    request->key_size = kb_reader_u8(reader);
    request->algorithm = (enum kb_wrap_algorithm)get_below(reader, KB_WRAP_PKCS1 + 1);
    request->release = get_flag(reader);
    request->encrypt = get_flag(reader);
    request->scheme = (enum kb_sign_scheme)get_below(reader, KB_SIGN_ECDSA + 1);
    request->hash = (enum kb_hash)get_below(reader, KB_SHA512 + 1);
    get_items(reader, request);
}

bool kb_request_decode(struct kb_request *request, struct kb_bytes body)
{
    struct kb_reader reader = kb_reader_of(body);

    kb_request_init(request, (enum kb_verb)kb_reader_u8(&reader));
    switch (request->verb) {
    case KB_VERB_OPEN:
        get_open(&reader, request);
        break;
    case KB_VERB_INIT_TOKEN:
        request->name = get_name(&reader);
        request->so_pin = get_limited(&reader, KB_REQUEST_PIN_MAX);
        request->pin = get_limited(&reader, KB_REQUEST_PIN_MAX);
        break;
    case KB_VERB_CREATE:
    case KB_VERB_IMPORT:
        get_spec(&reader, &request->spec);
        request->value = get_limited(&reader, KB_REQUEST_VALUE_MAX);
        break;
    case KB_VERB_DESTROY:
    case KB_VERB_FIND:
    case KB_VERB_TRY_EXTRACT:
    case KB_VERB_EXPORT_PUBLIC:
        request->name = get_name(&reader);
        break;
    case KB_VERB_MAKE_KEYS:
    case KB_VERB_UNWRAP_KEYS:
    case KB_VERB_SIGN:
    case KB_VERB_CIPHER:
    case KB_VERB_GCM:
        get_work(&reader, request);
        break;
    case KB_VERB_RANDOM:
        request->count = kb_reader_count(&reader, KB_RANDOM_MAX, 0);
        break;
    case KB_VERB_FORGET:
        get_items(&reader, request);
        break;
    case KB_VERB_TOKENS:
    case KB_VERB_PROBE:
    case KB_VERB_LIST:
        break;
    default: /* unknown: whatever its payload is */
        return !reader.failed;
    }
    return kb_reader_done(&reader);
}

/* --- answers ----------------------------------------------------------------- */

static void put_head(struct kb_buffer *frame, const struct kb_error *err, bool lost)
{
    kb_buffer_reset(frame);
    kb_buffer_put_u32(frame, 0);
    kb_buffer_put_u16(frame, (uint16_t)err->status);
    kb_buffer_put_u8(frame, lost);
    kb_buffer_put_u8(frame, (uint8_t)err->detail_kind);
    kb_buffer_put_u64(frame, err->detail);
    put_text(frame, err->text);
    put_text(frame, err->hint);
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
    return end_frame(frame);
}

bool kb_answer_decode(struct kb_answer_head *head, struct kb_reader *reader, struct kb_bytes body)
{
    struct kb_error *err = &head->err;
    const char *text;
    const char *hint;
    uint16_t status;

    *reader = kb_reader_of(body);
    status = kb_reader_u16(reader);
    head->lost = get_flag(reader);
    kb_error_clear(err);
    err->detail_kind = (enum kb_detail)get_below(reader, KB_DETAIL_HTTP + 1);
    err->detail = (unsigned long)kb_reader_u64(reader);
    text = get_text(reader);
    hint = get_text(reader);
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
    NUMBER(use, KB_KEY_ENVELOPE) NUMBER(type, KB_KEY_EC) NUMBER(origin, KB_KEY_IMPORTED)           \
    NUMBER(bits, UINT32_MAX - 1) FLAG(public_only) FLAG(release_never)                             \
    ANSWER(release_never_enforced) ANSWER(mechanisms_enforced) ANSWER(on_token)                    \
    ANSWER(is_private) ANSWER(sensitive) ANSWER(always_sensitive) ANSWER(extractable)              \
    ANSWER(never_extractable) ANSWER(local) ANSWER(modifiable) ANSWER(may_wrap)                    \
    ANSWER(may_unwrap) ANSWER(may_sign) ANSWER(may_verify) ANSWER(may_encrypt) ANSWER(may_decrypt)

static void get_text_into(struct kb_reader *reader, char *out, size_t room)
{
    const char *text = get_text(reader);
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

#define PUT_TEXT(field) put_text(frame, info->field);
#define PUT_FLAG(field) kb_buffer_put_u8(frame, info->field);
#define PUT_NUMBER(field, last) kb_buffer_put_u32(frame, (uint32_t)info->field);
#define PUT_ANSWER(field) kb_buffer_put_u8(frame, (uint8_t)info->field);
#define GET_TEXT(field) get_text_into(reader, info->field, sizeof info->field);
#define GET_FLAG(field) info->field = get_flag(reader);
#define GET_NUMBER(field, last) info->field = get_number(reader, (uint32_t)(last));
#define GET_ANSWER(field) info->field = (enum kb_answer)get_below(reader, KB_ANSWER_UNKNOWN + 1);

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
    put_text(frame, trial->what);
    put_text(frame, trial->outcome);
    kb_buffer_put_u8(frame, trial->good);
    kb_buffer_put_u64(frame, trial->ck_rv);
}

bool kb_trial_get(struct kb_reader *reader, struct kb_token_trial *trial)
{
    memset(trial, 0, sizeof *trial);
    get_text_into(reader, trial->what, sizeof trial->what);
    get_text_into(reader, trial->outcome, sizeof trial->outcome);
    trial->good = get_flag(reader);
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
    key->size = get_below(reader, KB_TOKEN_DATA_KEY_MAX + 1);
    if (plain) {
        bytes = kb_reader_take(reader, key->size);
        if (bytes.data)
            memcpy(plain, bytes.data, bytes.size);
    } else {
        key->handle = kb_reader_u32(reader);
    }
    bytes = get_limited(reader, sizeof key->wrapped);
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
    struct kb_bytes bytes = get_limited(reader, sizeof signature->data);

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
#define GET_PART(field) parts->field = get_limited(reader, KB_REQUEST_VALUE_MAX);
    KEY_PARTS_FIELDS(GET_PART)
#undef GET_PART
    return !reader->failed;
}
