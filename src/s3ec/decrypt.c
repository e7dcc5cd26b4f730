/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading objects (decryption.md).
 */
#include "s3ec/s3ec.h"

#include <string.h>

#include "crypto/crypto.h"

static bool is_cbc(const struct kb_s3ec_object *object)
{
    return object->parsed.content == S3EC_CBC;
}

/* --- beginning ------------------------------------------------------------------- */

static bool may_be_body(const struct kb_s3ec_object *object, uint64_t size)
{
    if (is_cbc(object))
        return size > 0 && size % KB_AES_BLOCK == 0;
    return size >= KB_S3EC_TAG_SIZE && size - KB_S3EC_TAG_SIZE <= KB_S3EC_PLAINTEXT_MAX;
}

static enum kb_status start(struct kb_s3ec_object *object, struct kb_s3ec *s3ec,
                            const struct kb_s3ec_header *header, struct kb_error *err)
{
    struct kb_secret *data_key = NULL;
    enum kb_status status =
        s3ec_header_read(&object->parsed, header, &object->written.memory, err);

    if (status == KB_OK)
        status = s3ec_check_read(s3ec, &object->parsed, err);
    if (status == KB_OK)
        status = s3ec_unwrap(s3ec, &object->parsed, &data_key, err);
    if (status == KB_OK)
        status = s3ec_begin(object, kb_secret_view(data_key), false, err);
    if (status == KB_OK && !may_be_body(object, object->size))
        status = s3ec_refuse(err);
    kb_secret_free(data_key);
    return status;
}

enum kb_status kb_s3ec_decrypt(struct kb_s3ec_object **out, struct kb_s3ec *s3ec,
                               const struct kb_s3ec_header *header, uint64_t body_size,
                               struct kb_error *err)
{
    struct kb_s3ec_object *object = s3ec_object_new();
    enum kb_status status;

    *out = NULL;
    if (!object)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    object->state = S3EC_READY;
    object->size = body_size;
    object->may_range = s3ec->options.legacy_unauthenticated;
    status = start(object, s3ec, header, err);
    if (status == KB_OK)
        *out = object;
    else
        kb_s3ec_object_free(object);
    return status;
}

/* The cipher is known when the first piece comes. */
static enum kb_status begin_cipher(struct kb_s3ec_object *object, struct kb_error *err)
{
    enum kb_status status;

    object->state = S3EC_OPENING;
    if (!is_cbc(object))
        return s3ec_begin_gcm(object, false, err);
    status = kb_aes_stream_new(&object->stream, KB_AES_STREAM_CBC,
                               kb_secret_view(object->content_key), object->parsed.iv, err);
    kb_secret_free(object->content_key);
    object->content_key = NULL;
    return status;
}

/* --- a range --------------------------------------------------------------------- */

static enum kb_status check_range(const struct kb_s3ec_object *object, struct kb_error *err)
{
    if (object->state != S3EC_READY)
        return kb_error_set(err, KB_ERR_USAGE, "the object is being read already");
    if (!object->may_range) {
        kb_error_set(err, KB_ERR_DENIED,
                     "a part of an object cannot be verified: nobody notices when it is altered");
        kb_error_hint(err, "--legacy-unauthenticated reads it all the same");
        return KB_ERR_DENIED;
    }
    if (is_cbc(object)) {
        kb_error_set(err, KB_ERR_UNSUPPORTED, "an object that AES-CBC encrypted has no ranges");
        kb_error_hint(err, "read it as a whole");
        return KB_ERR_UNSUPPORTED;
    }
    return KB_OK;
}

/* The counter of GCM's first block of text is 2 (NIST SP 800-38D section 7.1). */
static enum kb_status begin_range(struct kb_s3ec_object *object, uint64_t first,
                                  struct kb_error *err)
{
    const uint32_t counter = (uint32_t)(2 + first / KB_AES_BLOCK);
    const struct kb_bytes skipped = {(const uint8_t[KB_AES_BLOCK]){0}, first % KB_AES_BLOCK};
    uint8_t iv[KB_AES_BLOCK] = {0}, nothing[KB_AES_BLOCK];
    enum kb_status status;

    memcpy(iv, object->parsed.content == S3EC_COMMITTING ? s3ec_committing_iv : object->parsed.iv,
           S3EC_IV_GCM);
    for (int i = 0; i < 4; i++)
        iv[S3EC_IV_GCM + i] = (uint8_t)(counter >> (24 - 8 * i));
    status = kb_aes_stream_new(&object->stream, KB_AES_STREAM_CTR,
                               kb_secret_view(object->content_key), iv, err);
    if (status == KB_OK)
        status = kb_aes_stream_decrypt(object->stream, nothing, skipped, err);
    kb_wipe(nothing, sizeof nothing);
    kb_secret_free(object->content_key);
    object->content_key = NULL;
    return status;
}

enum kb_status kb_s3ec_range(struct kb_s3ec_object *object, uint64_t first, uint64_t last,
                             uint64_t *from, uint64_t *to, struct kb_error *err)
{
    uint64_t text = object->size - KB_S3EC_TAG_SIZE;
    enum kb_status status = check_range(object, err);

    if (status != KB_OK)
        return status;
    if (first > last)
        return kb_error_set(err, KB_ERR_USAGE, "the range ends before it begins");
    if (first >= text)
        return kb_error_set(err, KB_ERR_NOT_FOUND, "the range begins behind the object's end");
    *from = first;
    *to = last < text ? last : text - 1;
    object->size = *to - first + 1;
    object->state = S3EC_RANGE;
    return begin_range(object, first, err);
}

/* --- the body -------------------------------------------------------------------- */

/* Puts a piece of the end aside, which is no text: the tag, or CBC's last block
 * with its padding. */
static void put_aside(struct kb_s3ec_object *object, struct kb_bytes in)
{
    uint64_t end = object->size - KB_S3EC_TAG_SIZE;

    memcpy(object->tail + (object->done - end), in.data, in.size);
    object->done += in.size;
}

/* Whole blocks of CBC; a block that comes in parts waits in `tail`, which the
 * last block does not need yet. */
static enum kb_status open_blocks(struct kb_s3ec_object *object, struct kb_buffer *out,
                                  struct kb_bytes in, struct kb_error *err)
{
    enum kb_status status = KB_OK;

    while (status == KB_OK && in.size) {
        size_t held = object->done % KB_AES_BLOCK;
        size_t take = KB_AES_BLOCK - held < in.size ? KB_AES_BLOCK - held : in.size;
        struct kb_bytes block = {object->tail, KB_AES_BLOCK};
        uint8_t *room;

        if (held == 0 && in.size >= KB_AES_BLOCK) {
            take = in.size - in.size % KB_AES_BLOCK;
            block = (struct kb_bytes){in.data, take};
        } else {
            memcpy(object->tail + held, in.data, take);
        }
        if (held + take >= KB_AES_BLOCK) {
            room = kb_buffer_extend(out, block.size);
            status = room ? kb_aes_stream_decrypt(object->stream, room, block, err)
                          : kb_buffer_check(out, err);
        }
        object->done += take;
        in.data += take;
        in.size -= take;
    }
    return status;
}

static enum kb_status open_text(struct kb_s3ec_object *object, struct kb_buffer *out,
                                struct kb_bytes in, struct kb_error *err)
{
    uint8_t *room;

    if (in.size == 0)
        return KB_OK;
    if (object->state == S3EC_OPENING && is_cbc(object))
        return open_blocks(object, out, in, err);
    room = kb_buffer_extend(out, in.size);
    if (!room)
        return kb_buffer_check(out, err);
    object->done += in.size;
    return object->state == S3EC_RANGE ? kb_aes_stream_decrypt(object->stream, room, in, err)
                                       : kb_gcm_update(object->gcm, room, in, err);
}

enum kb_status kb_s3ec_open_piece(struct kb_s3ec_object *object, struct kb_buffer *out,
                                  struct kb_bytes in, struct kb_error *err)
{
    uint64_t text = 0, end = object->state == S3EC_RANGE ? 0 : KB_S3EC_TAG_SIZE;
    struct kb_bytes front = in;
    enum kb_status status = KB_OK;

    if (object->state == S3EC_READY)
        status = begin_cipher(object, err);
    else if (object->state != S3EC_OPENING && object->state != S3EC_RANGE)
        return kb_error_set(err, KB_ERR_USAGE, "the object is not being read");
    if (status == KB_OK && in.size > object->size - object->done) {
        object->state = S3EC_ENDED;
        return s3ec_refuse(err);
    }
    if (object->done < object->size - end)
        text = object->size - end - object->done;
    if (front.size > text)
        front.size = (size_t)text;
    if (status == KB_OK)
        status = open_text(object, out, front, err);
    if (status == KB_OK && in.size > front.size)
        put_aside(object, (struct kb_bytes){in.data + front.size, in.size - front.size});
    if (status != KB_OK)
        object->state = S3EC_ENDED;
    return status;
}

/* RFC 5652 section 6.3. A wrong key, a wrong body and a wrong padding look the
 * same. */
static enum kb_status open_last_block(struct kb_s3ec_object *object, struct kb_buffer *out,
                                      struct kb_error *err)
{
    uint8_t text[KB_AES_BLOCK], padding, wrong = 0;
    enum kb_status status = kb_aes_stream_decrypt(
        object->stream, text, (struct kb_bytes){object->tail, sizeof object->tail}, err);

    if (status != KB_OK)
        return status;
    padding = text[KB_AES_BLOCK - 1];
    for (unsigned i = 1; i <= KB_AES_BLOCK; i++)
        wrong |= (uint8_t)((i <= padding) & (text[KB_AES_BLOCK - i] != padding));
    if (wrong || padding == 0 || padding > KB_AES_BLOCK)
        status = s3ec_refuse(err);
    else
        kb_buffer_put(out, text, (size_t)(KB_AES_BLOCK - padding));
    kb_wipe(text, sizeof text);
    return status == KB_OK ? kb_buffer_check(out, err) : status;
}

enum kb_status kb_s3ec_open_end(struct kb_s3ec_object *object, struct kb_buffer *out,
                                struct kb_error *err)
{
    const enum s3ec_state state = object->state;
    enum kb_status status;

    object->state = S3EC_ENDED;
    if (state != S3EC_READY && state != S3EC_OPENING && state != S3EC_RANGE)
        return kb_error_set(err, KB_ERR_USAGE, "the object is not being read");
    if (object->done != object->size)
        return s3ec_refuse(err);
    if (state == S3EC_RANGE)
        return KB_OK;
    if (is_cbc(object))
        return open_last_block(object, out, err);
    status = kb_gcm_open(object->gcm, object->tail, NULL);
    return status == KB_ERR_AUTH ? s3ec_refuse(err) : status;
}
