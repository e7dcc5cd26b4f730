/* SPDX-License-Identifier: Apache-2.0
 *
 * Bytes that are encrypted here on their way to the server.
 */
#include "sealed/object.h"

#include "crypto/digest.h"

#include <stdlib.h>
#include <string.h>

struct object_source {
    struct kb_s3_source from;
    struct kb_s3ec_object *sealing;
    struct kb_esdk_message *message;
    struct kb_digest *digest; /* of the plaintext */
    uint64_t size;            /* bytes of it */
    bool ended;
    uint8_t tag[KB_S3EC_TAG_SIZE];
    size_t tag_left;
};

/* Plaintext. */
static enum kb_status read_plain(void *ctx, uint8_t *out, size_t room, size_t *size,
                                 struct kb_error *err)
{
    struct object_source *source = ctx;
    enum kb_status status = source->from.read(source->from.ctx, out, room, size, err);

    if (status != KB_OK)
        return status;
    source->size += *size;
    return kb_digest_update(source->digest, (struct kb_bytes){out, *size}, err);
}

/* One ciphertext, then its tag (S3 Encryption Client). */
static enum kb_status read_sealed(struct object_source *source, uint8_t *out, size_t room,
                                  size_t *size, struct kb_error *err)
{
    enum kb_status status = KB_OK;

    *size = 0;
    if (!source->ended) {
        status = read_plain(source, out, room, size, err);
        if (status == KB_OK && *size)
            return kb_s3ec_seal(source->sealing, out, (struct kb_bytes){out, *size}, err);
        if (status == KB_OK)
            status = kb_s3ec_seal_end(source->sealing, source->tag, err);
        source->ended = status == KB_OK;
        source->tag_left = sizeof source->tag;
    }
    if (status != KB_OK)
        return status;
    *size = room < source->tag_left ? room : source->tag_left;
    memcpy(out, source->tag + sizeof source->tag - source->tag_left, *size);
    source->tag_left -= *size;
    return KB_OK;
}

static enum kb_status read_any(void *ctx, uint8_t *out, size_t room, size_t *size,
                               struct kb_error *err)
{
    struct object_source *source = ctx;
    const struct kb_esdk_source plain = {.read = read_plain, .ctx = source};

    if (source->sealing)
        return read_sealed(source, out, room, size, err);
    return kb_esdk_pull(source->message, &plain, out, room, size, err);
}

static void cancel(void *ctx)
{
    const struct object_source *source = ctx;

    source->from.cancel(source->from.ctx);
}

enum kb_status object_source_new(struct object_source **out, const struct kb_s3_source *from,
                                 struct kb_s3ec_object *sealing, struct kb_esdk_message *message,
                                 struct kb_error *err)
{
    struct object_source *source = calloc(1, sizeof *source);
    enum kb_status status;

    *out = source;
    if (!source)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    source->from = *from;
    source->sealing = sealing;
    source->message = message;
    status = kb_digest_new(&source->digest, KB_DIGEST_SHA256, err);
    if (status != KB_OK) {
        free(source);
        *out = NULL;
    }
    return status;
}

void object_source_free(struct object_source *source)
{
    if (!source)
        return;
    kb_digest_free(source->digest);
    free(source);
}

struct kb_s3_source object_source_view(struct object_source *source)
{
    uint64_t size = source->from.size;

    if (size != KB_S3_SIZE_UNKNOWN && source->sealing)
        size += KB_S3EC_TAG_SIZE;
    if (source->message)
        size = KB_S3_SIZE_UNKNOWN;
    return (struct kb_s3_source){.read = read_any,
                                 .ctx = source,
                                 .size = size,
                                 .cancel = source->from.cancel ? cancel : NULL};
}

uint64_t object_source_size(const struct object_source *source)
{
    return source->size;
}

enum kb_status object_source_end(struct object_source *source, uint8_t sha256[32],
                                 struct kb_error *err)
{
    return kb_digest_end(source->digest, sha256, err);
}
