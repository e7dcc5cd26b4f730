/* SPDX-License-Identifier: Apache-2.0
 *
 * Through a message that is read: no byte comes out before its frame's tag is
 * verified, the last frame's of a signed message not before its signature
 * (client-apis/decrypt.md, client-apis/streaming.md).
 */
#include "esdk/message.h"

#include <string.h>

#include "base/reader.h"

enum {
    PIECES_LEAST = 1024 * 1024, /* a frame from here on comes out in pieces, where it may */
    SCRATCH = 4096,
};

#define HELD_DEFAULT (UINT64_C(64) * 1024 * 1024)

/* --- header -------------------------------------------------------------------- */

/* The header, when it is there: in the input, or gathered, with no byte more. */
static enum kb_status gather_header(struct kb_esdk_message *message, struct kb_esdk_step *step,
                                    struct kb_error *err)
{
    const unsigned max_edks = message->esdk->options.max_edks;
    bool there;
    enum kb_status status;

    if (!message->held.size) {
        status = esdk_header_read(&message->header, step->in, max_edks, &message->scan, err);
        if (status == KB_OK && message->header)
            esdk_take(step, message->header->info.header_size);
        if (status != KB_OK || message->header)
            return status;
    }
    status = esdk_gather(message, step, message->scan.need, &there, err);
    if (status == KB_OK && there)
        status = esdk_header_read(&message->header, kb_buffer_view(&message->held), max_edks,
                                  &message->scan, err);
    return status;
}

static enum kb_status read_header(struct kb_esdk_message *message, struct kb_esdk_step *step,
                                  struct kb_error *err)
{
    enum kb_status status, own = KB_OK;

    if (!step->in.size)
        return KB_OK;
    status = gather_header(message, step, err);
    if (status != KB_OK || !message->header)
        return status;
    kb_buffer_free(&message->held); /* frames may be much smaller */
    message->frame_length = message->header->info.frame_length;
    status = esdk_header_check(message, err);
    if (status != KB_OK)
        return status;
    message->state = ESDK_PAUSED;
    if (!message->options.pause)
        status = kb_esdk_unlock(&message, 1, &own, err);
    return status == KB_OK ? own : status;
}

/* --- behind a frame --------------------------------------------------------------- */

/* The plaintext in front of a frame. */
static uint64_t frame_start(const struct kb_esdk_message *message, uint64_t sequence)
{
    return (sequence - 1) * message->frame_length;
}

/* Regular frames are through up to the next one's number. */
static void next_frame(struct kb_esdk_message *message)
{
    message->state = ESDK_BODY;
    if (message->ranged && frame_start(message, message->sequence) > message->last)
        message->state = ESDK_END;
}

/* The frame was verified; from kept_at to kept_end it is held. */
static enum kb_status end_frame(struct kb_esdk_message *message, struct kb_error *err)
{
    const uint64_t start = frame_start(message, message->frame.sequence);

    message->sequence++;
    if (message->frame.kind == ESDK_REGULAR) {
        next_frame(message);
    } else if (message->signature) {
        message->state = ESDK_FOOTER;
        message->footer_at = message->held.size;
        return KB_OK;
    } else {
        message->state = ESDK_END;
        if (message->ranged && start + message->frame.size <= message->first)
            return kb_error_set(err, KB_ERR_NOT_FOUND, "the message ends before byte %llu",
                                (unsigned long long)message->first);
    }
    esdk_release(message, message->kept_at, message->kept_end);
    return KB_OK;
}

/* Of the plaintext at `at` of what is held, what is wanted. */
static void keep_wanted(struct kb_esdk_message *message, size_t at)
{
    const uint64_t start = frame_start(message, message->frame.sequence);
    const uint64_t size = message->frame.size;
    uint64_t from = message->first > start ? message->first - start : 0;
    uint64_t to = message->last - start < size ? message->last - start + 1 : size;

    from = from < to ? from : to;
    message->kept_at = at + (size_t)from;
    message->kept_end = at + (size_t)to;
}

/* --- frames that lie whole in the input ---------------------------------------- */

/* Regular frames that can go from memory to memory. When the last of them is
 * in its place then so are those in front of it, or the message is wrong. */
static size_t count_frames(const struct kb_esdk_message *message, const struct kb_esdk_step *step)
{
    const size_t length = message->frame_length, stride = length + ESDK_FRAME_OVERHEAD;
    const uint64_t start = frame_start(message, message->sequence);
    uint64_t count = step->in.size / stride;

    if (!length || start < message->first)
        return 0;
    if (count > (step->room - step->made) / length)
        count = (step->room - step->made) / length;
    if (count > ESDK_SEQUENCE_MAX - message->sequence)
        count = ESDK_SEQUENCE_MAX - message->sequence;
    if (message->ranged && count > (message->last - start) / length)
        count = (message->last - start) / length;
    for (; count; count--) {
        const struct kb_bytes number = {step->in.data + (count - 1) * stride, 4};
        struct kb_reader reader = kb_reader_of(number);

        if (kb_reader_u32(&reader) == message->sequence + count - 1)
            break;
    }
    return (size_t)count;
}

static enum kb_status open_frames(struct kb_esdk_message *message, struct kb_esdk_step *step,
                                  size_t count, struct kb_error *err)
{
    enum kb_status status = esdk_frames_run(message, step, count, err);

    next_frame(message);
    return status;
}

/* The last frame, or an unframed body, from memory to memory when it can. */
static enum kb_status open_last(struct kb_esdk_message *message, struct kb_esdk_step *step,
                                struct kb_error *err)
{
    const size_t least = message->frame_length ? ESDK_FINAL_OVERHEAD : ESDK_UNFRAMED_OVERHEAD;
    struct esdk_frame *frame = &message->frame;
    enum kb_status status;
    size_t prefix;

    if (message->signature || message->ranged || step->in.size < least)
        return KB_OK;
    status = esdk_frame_read(frame, step->in.data, message->sequence, message->frame_length, err);
    if (status != KB_OK || frame->kind == ESDK_REGULAR ||
        frame->size > step->in.size - least || frame->size > step->room - step->made)
        return status;
    prefix = esdk_frame_prefix(frame->kind);
    status = esdk_frame_open(message->gcm, frame, message->header->info.message_id,
                             step->in.data + prefix, step->out + step->made, err);
    if (status != KB_OK)
        return status;
    esdk_take(step, least + (size_t)frame->size);
    step->made += (size_t)frame->size;
    message->kept_at = message->kept_end = 0;
    return end_frame(message, err);
}

/* --- frames that come in parts ---------------------------------------------------- */

/* Plaintext goes out before its tag was seen, since the caller allowed it. */
static enum kb_status begin_pieces(struct kb_esdk_message *message, struct kb_error *err)
{
    uint8_t aad[ESDK_AAD_MAX];
    const struct esdk_frame *frame = &message->frame;
    const size_t size = esdk_frame_aad(aad, frame, message->header->info.message_id);
    enum kb_status status =
        esdk_sign_over(message, message->held.data, message->held.size, err);

    if (status == KB_OK)
        status = kb_gcm_begin(message->gcm, false, frame->iv, (struct kb_bytes){aad, size}, err);
    kb_buffer_reset(&message->held);
    message->piece_at = 0;
    message->state = ESDK_PIECES;
    return status;
}

static enum kb_status open_held(struct kb_esdk_message *message, struct kb_error *err)
{
    const size_t prefix = esdk_frame_prefix(message->frame.kind);
    uint8_t *ciphertext = message->held.data + prefix;
    enum kb_status status =
        esdk_sign_over(message, message->held.data, message->held.size, err);

    if (status == KB_OK)
        status = esdk_frame_open(message->gcm, &message->frame, message->header->info.message_id,
                                 ciphertext, ciphertext, err);
    if (status != KB_OK)
        return status;
    keep_wanted(message, prefix);
    return end_frame(message, err);
}

/* True once what is in front of the ciphertext is held. */
static enum kb_status gather_prefix(struct kb_esdk_message *message, struct kb_esdk_step *step,
                                    bool *there, struct kb_error *err)
{
    enum esdk_kind kind = ESDK_UNFRAMED;
    enum kb_status status = KB_OK;

    *there = true;
    if (message->frame_length) {
        struct kb_reader reader;

        if (message->held.size < 4)
            status = esdk_gather(message, step, 4, there, err);
        if (status != KB_OK || !*there)
            return status;
        reader = kb_reader_of(kb_buffer_view(&message->held));
        kind = kb_reader_u32(&reader) == ESDK_FINAL_FRAME ? ESDK_FINAL : ESDK_REGULAR;
    }
    if (message->held.size < esdk_frame_prefix(kind))
        status = esdk_gather(message, step, esdk_frame_prefix(kind), there, err);
    if (status == KB_OK && *there)
        status = esdk_frame_read(&message->frame, message->held.data, message->sequence,
                                 message->frame_length, err);
    return status;
}

/* What grows here is paid for by bytes that came, never by a length that was
 * read. */
static enum kb_status gather_frame(struct kb_esdk_message *message, struct kb_esdk_step *step,
                                   struct kb_error *err)
{
    const struct esdk_frame *frame = &message->frame;
    const uint64_t most =
        message->options.plaintext_held_max ? message->options.plaintext_held_max : HELD_DEFAULT;
    bool there;
    enum kb_status status = gather_prefix(message, step, &there, err);

    if (status != KB_OK || !there)
        return status;
    if (message->options.unverified && frame->size > (most < PIECES_LEAST ? most : PIECES_LEAST))
        return begin_pieces(message, err);
    if (frame->size > most) {
        status = kb_error_set(err, KB_ERR_DENIED,
                              "%llu bytes would have to be kept back until they are verified",
                              (unsigned long long)frame->size);
        kb_error_hint(err, "decrypt to a file: it appears when all of it is verified");
        return status;
    }
    status = esdk_gather(message, step,
                         esdk_frame_prefix(frame->kind) + frame->size + KB_GCM_TAG_SIZE, &there,
                         err);
    return status == KB_OK && there ? open_held(message, err) : status;
}

static enum kb_status read_frame(struct kb_esdk_message *message, struct kb_esdk_step *step,
                                 struct kb_error *err)
{
    enum kb_status status = KB_OK;

    if (!message->held.size) {
        size_t count = count_frames(message, step);

        if (count)
            return open_frames(message, step, count, err);
        status = open_last(message, step, err);
    }
    return status == KB_OK && message->state == ESDK_BODY ? gather_frame(message, step, err)
                                                          : status;
}

/* --- pieces -------------------------------------------------------------------------- */

static enum kb_status read_piece(struct kb_esdk_message *message, struct kb_esdk_step *step,
                                 struct kb_error *err)
{
    const uint64_t at =
        frame_start(message, message->frame.sequence) + message->piece_at;
    const uint64_t left = message->frame.size - message->piece_at;
    const bool wanted = at >= message->first && at <= message->last;
    uint8_t scratch[SCRATCH]; /* what is not wanted only goes through the tag */
    uint64_t most = wanted ? step->room - step->made : sizeof scratch;
    uint8_t *out = wanted ? step->out + step->made : scratch;
    enum kb_status status;
    size_t size;

    if (at < message->first && most > message->first - at)
        most = message->first - at;
    if (wanted && most > message->last - at)
        most = message->last - at + 1;
    most = most < left ? most : left;
    size = most < step->in.size ? (size_t)most : step->in.size;
    if (!size)
        return KB_OK;
    status = esdk_sign_over(message, step->in.data, size, err);
    if (status == KB_OK)
        status = kb_gcm_update(message->gcm, out, (struct kb_bytes){step->in.data, size}, err);
    if (wanted && status == KB_OK)
        step->made += size;
    else
        kb_wipe(out, size);
    esdk_take(step, size);
    message->piece_at += size;
    return status;
}

static enum kb_status read_pieces(struct kb_esdk_message *message, struct kb_esdk_step *step,
                                  struct kb_error *err)
{
    enum kb_status status;
    bool there;

    if (message->piece_at < message->frame.size)
        return read_piece(message, step, err);
    status = esdk_gather(message, step, KB_GCM_TAG_SIZE, &there, err);
    if (status != KB_OK || !there)
        return status;
    status = esdk_sign_over(message, message->held.data, message->held.size, err);
    if (status == KB_OK)
        status = esdk_verdict(kb_gcm_open(message->gcm, message->held.data, NULL), err);
    if (status != KB_OK)
        return status;
    kb_buffer_reset(&message->held);
    message->kept_at = message->kept_end = 0;
    return end_frame(message, err);
}

/* --- footer (data-format/message-footer.md) ------------------------------------------ */

static enum kb_status read_footer(struct kb_esdk_message *message, struct kb_esdk_step *step,
                                  struct kb_error *err)
{
    const size_t at = message->footer_at;
    struct kb_reader reader;
    struct kb_bytes der;
    enum kb_status status = KB_OK;
    bool there = true;

    if (message->held.size < at + 2)
        status = esdk_gather(message, step, at + 2, &there, err);
    if (status != KB_OK || !there)
        return status;
    reader = kb_reader_of((struct kb_bytes){message->held.data + at, 2});
    der.size = kb_reader_u16(&reader);
    status = esdk_gather(message, step, at + 2 + der.size, &there, err);
    if (status != KB_OK || !there)
        return status;
    der.data = message->held.data + at + 2;
    status = esdk_verdict(kb_signature_verify(message->signature, der, NULL), err);
    if (status != KB_OK)
        return status;
    message->state = ESDK_END;
    esdk_release(message, message->kept_at, message->kept_end);
    return KB_OK;
}

enum kb_status esdk_read_some(struct kb_esdk_message *message, struct kb_esdk_step *step,
                              struct kb_error *err)
{
    switch (message->state) {
    case ESDK_HEADER:
        return read_header(message, step, err);
    case ESDK_BODY:
        return read_frame(message, step, err);
    case ESDK_PIECES:
        return read_pieces(message, step, err);
    case ESDK_FOOTER:
        return read_footer(message, step, err);
    case ESDK_PAUSED:
        return KB_OK;
    case ESDK_END:
        break;
    }
    if (step->in.size && !message->ranged)
        return kb_error_set(err, KB_ERR_INPUT, "there are bytes behind the end of the message");
    return KB_OK;
}
