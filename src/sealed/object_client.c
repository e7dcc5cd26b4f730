/* SPDX-License-Identifier: Apache-2.0
 *
 * Objects that were encrypted before they were sent. Nobody has a byte of an S3
 * Encryption Client's object before its tag, nor of a signed message before its
 * signature; frames of an unsigned message come out as each is verified.
 */
#include "sealed/object_reading.h"

#include <keybridge/file.h>

#include <errno.h>
#include <unistd.h>

enum {
    STEP = 256 * 1024, /* bytes of plaintext on their way */
    HEAD = 64 * 1024,  /* bytes of a message got at once until its header is whole */
    FRAME_EXTRA = 32,  /* bytes of a regular frame beside its plaintext, */
    FINAL_EXTRA = 8,   /* and of the last one beside those (message-body.md) */
};

/* --- where plaintext goes ---------------------------------------------------------------- */

static enum kb_status put_plain(void *ctx, struct kb_bytes bytes, struct kb_error *err)
{
    struct object_reading *reading = ctx;
    const struct kb_object_get *get = reading->get;
    enum kb_status status = kb_digest_update(reading->digest, bytes, err);

    reading->size += bytes.size;
    if (status != KB_OK || !bytes.size)
        return status;
    return reading->held ? kb_fd_write(get->scratch, bytes, "a scratch file", err)
                         : get->write(get->ctx, bytes, err);
}

/* Plaintext that nobody may have yet waits in the scratch file. */
static enum kb_status hold(struct object_reading *reading, struct kb_error *err)
{
    const struct kb_object_get *get = reading->get;

    if (get->unverified || reading->held)
        return KB_OK;
    if (get->scratch < 0)
        return kb_error_set(err, KB_ERR_USAGE,
                            "a scratch file is needed for plaintext that is not verified yet");
    reading->held = true;
    return KB_OK;
}

static enum kb_status release_held(struct object_reading *reading, struct kb_error *err)
{
    const struct kb_object_get *get = reading->get;
    enum kb_status status = KB_OK;
    off_t at = 0;
    ssize_t got = 1;

    if (!reading->held)
        return KB_OK;
    kb_buffer_reset(&reading->piece);
    if (!kb_buffer_extend(&reading->piece, STEP))
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    while (status == KB_OK && got != 0) {
        got = pread(get->scratch, reading->piece.data, STEP, at);
        if (got < 0 && errno != EINTR)
            status = kb_error_errno(err, KB_ERR_SYSTEM, errno, "a scratch file cannot be read");
        if (got > 0)
            status = get->write(get->ctx, (struct kb_bytes){reading->piece.data, (size_t)got},
                                err);
        at += got > 0 ? got : 0;
    }
    if (status == KB_OK && (uint64_t)at != reading->size)
        status = kb_error_set(err, KB_ERR_SYSTEM, "the scratch file changed");
    return status;
}

static enum kb_status start(struct object_reading *reading, struct kb_error *err)
{
    reading->piece = (struct kb_buffer)KB_BUFFER_INIT(SIZE_MAX / 2);
    reading->piece.wipe = true;
    return kb_digest_new(&reading->digest, KB_DIGEST_SHA256, err);
}

/* --- S3 Encryption Client ------------------------------------------------------------------ */

static enum kb_status pass_piece(struct object_reading *reading, struct kb_error *err)
{
    enum kb_status status = kb_buffer_check(&reading->piece, err);

    if (status == KB_OK)
        status = put_plain(reading, kb_buffer_view(&reading->piece), err);
    kb_buffer_reset(&reading->piece);
    return status;
}

static enum kb_status open_piece(void *ctx, struct kb_bytes bytes, struct kb_error *err)
{
    struct object_reading *reading = ctx;
    enum kb_status status = KB_OK;

    /* Parts are large, and need not be in memory a second time. */
    while (status == KB_OK && bytes.size) {
        const struct kb_bytes step = {bytes.data, bytes.size < STEP ? bytes.size : STEP};

        status = kb_s3ec_open_piece(reading->opening, &reading->piece, step, err);
        if (status == KB_OK)
            status = pass_piece(reading, err);
        bytes = (struct kb_bytes){bytes.data + step.size, bytes.size - step.size};
    }
    return status;
}

static enum kb_status no_key(const struct object_reading *reading, const char *what,
                             struct kb_error *err)
{
    kb_error_set(err, KB_ERR_USAGE, "s3://%s/%s is encrypted %s: a key of the token opens it",
                 reading->name.bucket, reading->name.key, what);
    kb_error_hint(err, "--key KEY, or --raw for the bytes as they are stored");
    return KB_ERR_USAGE;
}

/* The row is of the bytes as they are stored, which were encrypted elsewhere. */
static bool is_held_as_stored(const struct object_reading *reading)
{
    return reading->found.has_row && !object_is_client(reading->row_encryption);
}

enum kb_status object_get_client(struct object_reading *reading, struct kb_error *err)
{
    const struct kb_object_get *get = reading->get;
    struct object_span span = {.ranged = get->ranged,
                               .no_sha256 = !is_held_as_stored(reading),
                               .write = open_piece,
                               .ctx = reading};
    struct kb_s3_downloaded downloaded = {.size = 0};
    enum kb_status status;

    if (!reading->objects->s3ec)
        return no_key(reading, "by the S3 Encryption Client", err);
    status = start(reading, err);
    if (status == KB_OK)
        status = kb_s3ec_decrypt(&reading->opening, reading->objects->s3ec,
                                 &reading->found.header, reading->found.head.size, err);
    if (status == KB_OK && get->ranged)
        status = kb_s3ec_range(reading->opening, get->first, get->last, &span.first, &span.last,
                               err);
    else if (status == KB_OK)
        status = hold(reading, err);
    if (status == KB_OK)
        status = object_download(reading, &span, &downloaded, err);
    kb_s3_object_free(&downloaded.object);
    if (status == KB_OK)
        status = kb_s3ec_open_end(reading->opening, &reading->piece, err);
    if (status == KB_OK)
        status = pass_piece(reading, err);
    if (status == KB_OK)
        status = kb_digest_end(reading->digest, reading->sha256, err);
    return status == KB_OK ? release_held(reading, err) : status;
}

/* --- messages of the Encryption SDK ----------------------------------------------------------- */

/* Frames of a signed message are verified by themselves; that they are all, and
 * by whom, only its signature says. */
static enum kb_status put_message(void *ctx, struct kb_bytes bytes, struct kb_error *err)
{
    struct object_reading *reading = ctx;
    const struct kb_esdk_info *info = kb_esdk_message_info(reading->message);
    enum kb_status status = KB_OK;

    if (info && info->is_signed && !reading->size)
        status = hold(reading, err);
    return status == KB_OK ? put_plain(reading, bytes, err) : status;
}

static enum kb_status push_bytes(struct object_reading *reading, struct kb_bytes bytes, bool last,
                                 struct kb_error *err)
{
    const struct kb_esdk_sink sink = {.write = put_message, .ctx = reading};

    return kb_esdk_push(reading->message, bytes, last, &sink, err);
}

static enum kb_status push_piece(void *ctx, struct kb_bytes bytes, struct kb_error *err)
{
    return push_bytes(ctx, bytes, false, err);
}

static enum kb_status get_message(struct object_reading *reading, struct kb_error *err)
{
    const struct object_span span = {
        .no_sha256 = !is_held_as_stored(reading), .write = push_piece, .ctx = reading};
    struct kb_s3_downloaded downloaded = {.size = 0};
    enum kb_status status = object_download(reading, &span, &downloaded, err);

    kb_s3_object_free(&downloaded.object);
    if (status == KB_OK)
        status = push_bytes(reading, (struct kb_bytes){NULL, 0}, true, err);
    if (status == KB_OK)
        status = kb_digest_end(reading->digest, reading->sha256, err);
    return status == KB_OK ? release_held(reading, err) : status;
}

/* --- a range of one --------------------------------------------------------------------------- */

/* Takes bytes until the message has what it wants of them: its header, or its
 * range. */
static enum kb_status take_bytes(struct object_reading *reading, struct kb_bytes bytes, bool last,
                                 struct kb_error *err)
{
    struct kb_esdk_step step = {.in = bytes, .last = last, .out = reading->piece.data,
                                .room = STEP};
    enum kb_status status = KB_OK;
    size_t before;

    do {
        before = step.in.size;
        step.made = 0;
        status = kb_esdk_process(reading->message, &step, err);
        if (status == KB_OK && step.made)
            status = put_plain(reading, (struct kb_bytes){step.out, step.made}, err);
    } while (status == KB_OK && !kb_esdk_done(reading->message) &&
             !kb_esdk_paused(reading->message) && (step.made || step.in.size != before));
    return status;
}

static enum kb_status take_piece(void *ctx, struct kb_bytes bytes, struct kb_error *err)
{
    struct object_reading *reading = ctx;

    if (kb_esdk_done(reading->message) || kb_esdk_paused(reading->message))
        return KB_OK;
    return take_bytes(reading, bytes, false, err);
}

static enum kb_status get_span(struct object_reading *reading, uint64_t first, uint64_t last,
                               struct kb_error *err)
{
    const struct object_span span = {
        .ranged = true, .first = first, .last = last, .no_sha256 = true, .write = take_piece,
        .ctx = reading};
    struct kb_s3_downloaded downloaded = {.size = 0};
    enum kb_status status = object_download(reading, &span, &downloaded, err);

    kb_s3_object_free(&downloaded.object);
    return status;
}

static enum kb_status get_header(struct object_reading *reading, struct kb_error *err)
{
    const uint64_t size = reading->found.head.size;
    enum kb_status status = KB_OK, opened = KB_OK;

    for (uint64_t at = 0; status == KB_OK && !kb_esdk_paused(reading->message); at += HEAD) {
        if (at >= size)
            return take_bytes(reading, (struct kb_bytes){NULL, 0}, true, err);
        status = get_span(reading, at, size - at <= HEAD ? size - 1 : at + HEAD - 1, err);
    }
    if (status == KB_OK)
        status = kb_esdk_unlock(&reading->message, 1, &opened, err);
    return status == KB_OK ? opened : status;
}

/* The last byte of the message that the range can need. */
static uint64_t span_end(const struct object_reading *reading, uint64_t offset)
{
    const struct kb_object_get *get = reading->get;
    const uint64_t frame = kb_esdk_message_info(reading->message)->frame_length;
    const uint64_t end = reading->found.head.size - 1;
    uint64_t frames;

    if (!frame || get->last >= end)
        return end;
    frames = get->last / frame - get->first / frame + 1;
    if (frames > end / (frame + FRAME_EXTRA))
        return end;
    frames = offset + frames * (frame + FRAME_EXTRA) + FINAL_EXTRA;
    return frames < end ? frames : end;
}

static enum kb_status get_range(struct object_reading *reading, struct kb_error *err)
{
    const struct kb_object_get *get = reading->get;
    uint64_t offset, end, whole;
    enum kb_status status;

    if (!kb_buffer_extend(&reading->piece, STEP))
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    status = get_header(reading, err);
    if (status == KB_OK &&
        (!kb_esdk_plaintext_size(kb_esdk_message_info(reading->message), reading->found.head.size,
                                 &whole) ||
         get->first >= whole))
        return kb_error_set(err, KB_ERR_NOT_FOUND, "the message ends before the range");
    if (status == KB_OK)
        status = kb_esdk_seek(reading->message, get->first, get->last, &offset, err);
    if (status != KB_OK)
        return status;
    end = span_end(reading, offset);
    if (offset > end)
        return kb_error_set(err, KB_ERR_NOT_FOUND, "the message ends before the range");
    status = get_span(reading, offset, end, err);
    if (status == KB_OK && !kb_esdk_done(reading->message))
        status = take_bytes(reading, (struct kb_bytes){NULL, 0}, true, err);
    if (status == KB_OK && !kb_esdk_done(reading->message))
        status = kb_error_set(err, KB_ERR_INPUT, "the message is cut short");
    return status;
}

enum kb_status object_get_envelope(struct object_reading *reading, struct kb_error *err)
{
    struct kb_esdk_decrypt_options options = reading->get->envelope;
    enum kb_status status;

    if (!reading->objects->esdk)
        return no_key(reading, "as a message of the Encryption SDK", err);
    options.unverified = reading->get->unverified;
    options.pause = reading->get->ranged;
    status = start(reading, err);
    if (status == KB_OK)
        status = kb_esdk_decrypt(&reading->message, reading->objects->esdk, &options, err);
    if (status != KB_OK)
        return status;
    return reading->get->ranged ? get_range(reading, err) : get_message(reading, err);
}
