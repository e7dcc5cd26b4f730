/* SPDX-License-Identifier: Apache-2.0
 *
 * Parts that are too long for memory: their bytes are read twice, once for the
 * hashes and once on their way.
 */
#include "s3/transfer.h"

#include "crypto/digest.h"

#include <string.h>

enum kb_status s3_source_changed(struct kb_error *err, const char *how)
{
    return kb_error_set(err, KB_ERR_INPUT, "the source %s while it was being sent", how);
}

/* At least one byte of the span. */
static enum kb_status read_span(const struct s3_span *span, uint64_t at, uint8_t *out, size_t room,
                                size_t *got, struct kb_error *err)
{
    const struct kb_s3_source *source = span->source;
    uint64_t left = span->size - at;
    enum kb_status status;

    *got = 0;
    if (atomic_load(span->stopped))
        return s3_given_up(err);
    if (room > left)
        room = (size_t)left;
    status = source->read_at(source->ctx, span->offset + at, out, room, got, err);
    return status == KB_OK && *got == 0 ? s3_source_changed(err, "shrank") : status;
}

/* Behind its end a source has nothing. */
static enum kb_status check_end(const struct s3_span *span, struct kb_error *err)
{
    const struct kb_s3_source *source = span->source;
    uint8_t byte;
    size_t got = 0;
    enum kb_status status = KB_OK;

    if (span->offset + span->size == source->size)
        status = source->read_at(source->ctx, source->size, &byte, 1, &got, err);
    return status == KB_OK && got ? s3_source_changed(err, "grew") : status;
}

static enum kb_status update(struct kb_digest *digest, struct kb_bytes bytes, struct kb_error *err)
{
    return digest ? kb_digest_update(digest, bytes, err) : KB_OK;
}

static enum kb_status hash_span(struct s3_span *span, struct kb_digest *const digests[3],
                                uint8_t *piece, struct kb_error *err)
{
    enum kb_status status = KB_OK;
    size_t got;

    for (uint64_t at = 0; at < span->size && status == KB_OK; at += got) {
        status = read_span(span, at, piece, S3_PIECE_SIZE, &got, err);
        for (size_t i = 0; i < 3 && status == KB_OK; i++)
            status = update(digests[i], (struct kb_bytes){piece, got}, err);
    }
    return status;
}

enum kb_status s3_span_measure(struct s3_span *span, struct kb_digest *whole, uint8_t *piece,
                               struct kb_error *err)
{
    struct kb_digest *digests[3] = {whole};
    enum kb_status status = kb_digest_new(&digests[1], KB_DIGEST_SHA256, err);

    if (status == KB_OK && span->with_md5)
        status = kb_digest_new(&digests[2], KB_DIGEST_MD5, err);
    if (status == KB_OK)
        status = hash_span(span, digests, piece, err);
    if (status == KB_OK)
        status = check_end(span, err);
    if (status == KB_OK)
        status = kb_digest_end(digests[1], span->sha256, err);
    if (status == KB_OK && span->with_md5)
        status = kb_digest_end(digests[2], span->md5, err);
    kb_digest_free(digests[1]);
    kb_digest_free(digests[2]);
    return status;
}

static enum kb_status send_span(void *ctx, uint64_t offset, uint8_t *out, size_t room, size_t *got,
                                struct kb_error *err)
{
    struct s3_span *span = ctx;
    uint8_t sha256[32];
    enum kb_status status = read_span(span, offset, out, room, got, err);

    if (offset == 0) {
        s3_span_end(span);
        if (status == KB_OK)
            status = kb_digest_new(&span->sent, KB_DIGEST_SHA256, err);
    }
    if (status == KB_OK)
        status = kb_digest_update(span->sent, (struct kb_bytes){out, *got}, err);
    if (status != KB_OK || offset + *got < span->size)
        return status;
    status = kb_digest_end(span->sent, sha256, err);
    if (status == KB_OK && memcmp(sha256, span->sha256, sizeof sha256) != 0)
        status = s3_source_changed(err, "has changed");
    return status;
}

struct kb_s3_source s3_span_view(struct s3_span *span)
{
    return (struct kb_s3_source){.ctx = span, .size = span->size, .read_at = send_span};
}

void s3_span_end(struct s3_span *span)
{
    kb_digest_free(span->sent);
    span->sent = NULL;
}
