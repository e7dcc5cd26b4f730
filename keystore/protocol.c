/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests as bytes.
 */
#include "keystore/protocol.h"

#include <string.h>

#include "keystore/wire.h"

static void put_spec(struct kb_buffer *frame, const struct kb_key_spec *spec)
{
    kb_wire_put_name(frame, spec->name);
    kb_buffer_put_u8(frame, (uint8_t)spec->use);
    kb_buffer_put_u8(frame, (uint8_t)spec->type);
    kb_buffer_put_u8(frame, spec->release_never);
    kb_buffer_put_u8(frame, spec->public_only);
    kb_buffer_put_u8(frame, spec->allow_weak);
}

static void get_spec(struct kb_reader *reader, struct kb_key_spec *spec)
{
    spec->name = kb_wire_get_name(reader);
    spec->use = (enum kb_key_use)kb_wire_get_below(reader, KB_KEY_LEGACY + 1);
    spec->type = (enum kb_key_type)kb_wire_get_below(reader, KB_KEY_EC + 1);
    spec->release_never = kb_wire_get_flag(reader);
    spec->public_only = kb_wire_get_flag(reader);
    spec->allow_weak = kb_wire_get_flag(reader);
}

static void put_open(struct kb_buffer *frame, const struct kb_request *request)
{
    kb_buffer_put_u32(frame, request->version);
    kb_wire_put_text(frame, request->module);
    kb_wire_put_text(frame, request->parameters);
    kb_wire_put_text(frame, request->uri);
    kb_buffer_put_u8(frame, request->session);
    kb_buffer_put_u8(frame, request->with_pin);
    kb_wire_put_limited(frame, request->pin, KB_REQUEST_PIN_MAX);
}

static void get_open(struct kb_reader *reader, struct kb_request *request)
{
    request->version = kb_reader_u32(reader);
    if (request->version != KB_PROTOCOL_VERSION) {
        /* What follows may look different there; the version says enough. */
        (void)kb_reader_take(reader, reader->left);
        return;
    }
    request->module = kb_wire_get_text(reader);
    request->parameters = kb_wire_get_text(reader);
    request->uri = kb_wire_get_text(reader);
    request->session = kb_wire_get_flag(reader);
    request->with_pin = kb_wire_get_flag(reader);
    request->pin = kb_wire_get_limited(reader, KB_REQUEST_PIN_MAX);
}

/* What every item of the verb consists of. */
enum { HAS_HANDLE = 1, HAS_IV = 2, HAS_BYTES = 4, HAS_ALGORITHM = 8, HAS_GCM = 16 };

static unsigned item_parts(enum kb_verb verb)
{
    switch (verb) {
    case KB_VERB_UNWRAP_KEYS:
        return HAS_ALGORITHM | HAS_BYTES;
    case KB_VERB_SIGN:
    case KB_VERB_WRAP_KEYS:
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
    kb_wire_put_limited(frame, item->aad, KB_TOKEN_AAD_MAX);
    kb_wire_put_limited(frame, item->bytes, GCM_BYTES_MAX);
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
    item->aad = kb_wire_get_limited(reader, KB_TOKEN_AAD_MAX);
    item->bytes = kb_wire_get_limited(reader, GCM_BYTES_MAX);
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
            item->algorithm =
                (enum kb_wrap_algorithm)kb_wire_get_below(reader, KB_WRAP_AES_ECB + 1);
        if (parts & HAS_BYTES)
            item->bytes = kb_reader_lv(reader);
        if (parts & HAS_GCM)
            get_gcm(reader, item);
    }
}

static void put_work(struct kb_buffer *frame, const struct kb_request *request)
{
    if (request->verb == KB_VERB_CIPHER)
        kb_wire_put_text(frame, request->name);
    else
        kb_wire_put_name(frame, request->name);
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
        kb_wire_put_name(frame, request->name);
        kb_wire_put_limited(frame, request->so_pin, KB_REQUEST_PIN_MAX);
        kb_wire_put_limited(frame, request->pin, KB_REQUEST_PIN_MAX);
        break;
    case KB_VERB_CREATE:
    case KB_VERB_IMPORT:
        put_spec(frame, &request->spec);
        kb_wire_put_limited(frame, request->value, KB_REQUEST_VALUE_MAX);
        break;
    case KB_VERB_DESTROY:
    case KB_VERB_FIND:
    case KB_VERB_TRY_EXTRACT:
    case KB_VERB_EXPORT_PUBLIC:
        kb_wire_put_name(frame, request->name);
        break;
    case KB_VERB_MAKE_KEYS:
    case KB_VERB_WRAP_KEYS:
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
    case KB_VERB_COUNTER:
        kb_wire_put_name(frame, request->name);
        kb_buffer_put_u64(frame, request->from);
        kb_buffer_put_u64(frame, request->to);
        break;
    default: /* no payload */
        break;
    }
    return kb_wire_end(frame);
}

static void get_work(struct kb_reader *reader, struct kb_request *request)
{
    request->name = request->verb == KB_VERB_CIPHER ? kb_wire_get_text(reader)
                                                    : kb_wire_get_name(reader);
    request->key_size = kb_reader_u8(reader);
    request->algorithm = (enum kb_wrap_algorithm)kb_wire_get_below(reader, KB_WRAP_AES_ECB + 1);
    request->release = kb_wire_get_flag(reader);
    request->encrypt = kb_wire_get_flag(reader);
    request->scheme = (enum kb_sign_scheme)kb_wire_get_below(reader, KB_SIGN_ECDSA + 1);
    request->hash = (enum kb_hash)kb_wire_get_below(reader, KB_SHA512 + 1);
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
        request->name = kb_wire_get_name(&reader);
        request->so_pin = kb_wire_get_limited(&reader, KB_REQUEST_PIN_MAX);
        request->pin = kb_wire_get_limited(&reader, KB_REQUEST_PIN_MAX);
        break;
    case KB_VERB_CREATE:
    case KB_VERB_IMPORT:
        get_spec(&reader, &request->spec);
        request->value = kb_wire_get_limited(&reader, KB_REQUEST_VALUE_MAX);
        break;
    case KB_VERB_DESTROY:
    case KB_VERB_FIND:
    case KB_VERB_TRY_EXTRACT:
    case KB_VERB_EXPORT_PUBLIC:
        request->name = kb_wire_get_name(&reader);
        break;
    case KB_VERB_MAKE_KEYS:
    case KB_VERB_WRAP_KEYS:
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
    case KB_VERB_COUNTER:
        request->name = kb_wire_get_name(&reader);
        request->from = kb_reader_u64(&reader);
        request->to = kb_reader_u64(&reader);
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
