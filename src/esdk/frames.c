/* SPDX-License-Identifier: Apache-2.0
 *
 * One frame: data-format/message-body.md and message-body-aad.md.
 */
#include "esdk/message.h"

#include <string.h>

#include "base/reader.h"

size_t esdk_frame_prefix(enum esdk_kind kind)
{
    static const size_t overheads[] = {
        [ESDK_REGULAR] = ESDK_FRAME_OVERHEAD,
        [ESDK_FINAL] = ESDK_FINAL_OVERHEAD,
        [ESDK_UNFRAMED] = ESDK_UNFRAMED_OVERHEAD,
    };

    return overheads[kind] - KB_GCM_TAG_SIZE;
}

static uint8_t *put_number(uint8_t *out, uint64_t value, size_t width)
{
    for (size_t i = width; i-- > 0; value >>= 8)
        out[i] = (uint8_t)value;
    return out + width;
}

static uint8_t *put_bytes(uint8_t *out, const void *data, size_t size)
{
    memcpy(out, data, size);
    return out + size;
}

size_t esdk_frame_aad(uint8_t out[ESDK_AAD_MAX], const struct esdk_frame *frame,
                      struct kb_bytes message_id)
{
    static const char *const contents[] = {
        [ESDK_REGULAR] = "AWSKMSEncryptionClient Frame",
        [ESDK_FINAL] = "AWSKMSEncryptionClient Final Frame",
        [ESDK_UNFRAMED] = "AWSKMSEncryptionClient Single Block",
    };
    uint8_t *at = put_bytes(out, message_id.data, message_id.size);

    at = put_bytes(at, contents[frame->kind], strlen(contents[frame->kind]));
    at = put_number(at, frame->sequence, 4);
    at = put_number(at, frame->size, 8);
    return (size_t)(at - out);
}

/* Writes what is in front of the ciphertext of a frame. */
static uint8_t *put_prefix(uint8_t *out, const struct esdk_frame *frame)
{
    if (frame->kind == ESDK_FINAL)
        out = put_number(out, ESDK_FINAL_FRAME, 4);
    out = put_number(out, frame->sequence, 4);
    out = put_bytes(out, frame->iv, sizeof frame->iv);
    if (frame->kind == ESDK_FINAL)
        out = put_number(out, frame->size, 4);
    return out;
}

enum kb_status esdk_frame_seal(struct kb_gcm *gcm, struct esdk_frame *frame,
                               struct kb_bytes message_id, const uint8_t *plain, uint8_t *out,
                               struct kb_error *err)
{
    uint8_t aad[ESDK_AAD_MAX];
    struct kb_gcm_text text = {.iv = frame->iv, .in = {plain, (size_t)frame->size}};

    put_number(frame->iv, frame->sequence, sizeof frame->iv);
    text.aad = (struct kb_bytes){aad, esdk_frame_aad(aad, frame, message_id)};
    text.out = put_prefix(out, frame);
    text.tag = text.out + frame->size;
    return kb_gcm_encrypt(gcm, &text, err);
}

enum kb_status esdk_frame_read(struct esdk_frame *frame, const uint8_t *in, uint64_t sequence,
                               uint32_t frame_length, struct kb_error *err)
{
    struct kb_reader reader = kb_reader_of((struct kb_bytes){in, ESDK_FINAL_OVERHEAD});
    uint32_t read = (uint32_t)sequence;

    frame->kind = ESDK_UNFRAMED;
    frame->size = frame_length;
    if (frame_length) {
        read = kb_reader_u32(&reader);
        frame->kind = read == ESDK_FINAL_FRAME ? ESDK_FINAL : ESDK_REGULAR;
        if (frame->kind == ESDK_FINAL)
            read = kb_reader_u32(&reader);
    }
    memcpy(frame->iv, kb_reader_take(&reader, sizeof frame->iv).data, sizeof frame->iv);
    if (frame->kind == ESDK_FINAL)
        frame->size = kb_reader_u32(&reader);
    if (frame->kind == ESDK_UNFRAMED)
        frame->size = kb_reader_u64(&reader);
    frame->sequence = read;
    if (read != sequence)
        return kb_error_set(err, KB_ERR_INPUT,
                            "frame %llu of the message is not where it should be",
                            (unsigned long long)sequence);
    if (frame->size > (frame_length ? frame_length : ESDK_UNFRAMED_MAX))
        return kb_error_set(err, KB_ERR_INPUT, "a frame of %llu bytes is longer than may be",
                            (unsigned long long)frame->size);
    return KB_OK;
}

enum kb_status esdk_frame_open(struct kb_gcm *gcm, const struct esdk_frame *frame,
                               struct kb_bytes message_id, const uint8_t *ciphertext, uint8_t *out,
                               struct kb_error *err)
{
    uint8_t aad[ESDK_AAD_MAX], tag[KB_GCM_TAG_SIZE];
    const struct kb_gcm_text text = {
        .iv = frame->iv,
        .aad = {aad, esdk_frame_aad(aad, frame, message_id)},
        .in = {ciphertext, (size_t)frame->size},
        .out = out,
        .tag = tag,
    };

    memcpy(tag, ciphertext + frame->size, sizeof tag);
    return esdk_verdict(kb_gcm_decrypt(gcm, &text, NULL), err);
}

enum kb_status esdk_sign_over(struct kb_esdk_message *message, const uint8_t *data, size_t size,
                              struct kb_error *err)
{
    if (!message->signature)
        return KB_OK;
    return kb_signature_update(message->signature, (struct kb_bytes){data, size}, err);
}
