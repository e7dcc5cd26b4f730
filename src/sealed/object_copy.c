/* SPDX-License-Identifier: Apache-2.0
 *
 * An object is copied with all that belongs to it: by the server in one request
 * or in parts, or through here.
 */
#include "s3ec/spec.h"
#include "sealed/lanes.h"
#include "sealed/object_pipe.h"
#include "sealed/object_rotate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Bytes of a part that the server copies: few requests, and small enough that one is
 * answered in time. */
#define COPY_PART (UINT64_C(256) << 20)
enum { TAGS_MAX = 16 * 1024 };

/* --- what the copy is to be ----------------------------------------------------------- */

static const char *text_or_null(const char *text)
{
    return *text ? text : NULL;
}

static bool is_format_name(struct kb_bytes name)
{
    static const char *const names[] = {
#define NAME(which, name) name,
        S3EC_FIELDS(NAME)
#undef NAME
    };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (kb_bytes_equal(name, kb_bytes_text(names[i])))
            return true;
    return false;
}

/* The object's metadata; what belongs to client-side encryption is replaced when
 * its key was wrapped anew. */
static enum kb_status fill_metadata(struct rotation *rotation, struct kb_error *err)
{
    const struct kb_s3_object *head = &rotation->found.head;
    const struct kb_s3ec_header *header =
        rotation->wrapped ? kb_s3ec_object_header(rotation->wrapped) : NULL;
    size_t count = 0;

    free(rotation->metadata);
    rotation->metadata = calloc(head->metadata_count + (header ? header->metadata_count : 0) + 1,
                                sizeof *rotation->metadata);
    if (!rotation->metadata)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    for (size_t i = 0; i < head->metadata_count; i++)
        if (!header || !is_format_name(head->metadata[i].name))
            rotation->metadata[count++] = head->metadata[i];
    for (size_t i = 0; header && i < header->metadata_count; i++)
        rotation->metadata[count++] = header->metadata[i];
    rotation->put.metadata = rotation->metadata;
    rotation->put.metadata_count = count;
    return KB_OK;
}

static void fill_encryption(struct rotation *rotation)
{
    struct kb_s3_encryption *encryption = &rotation->put.encryption;

    if (rotation->key.plain) {
        *encryption = object_key_encryption(&rotation->key);
        return;
    }
    memset(encryption, 0, sizeof *encryption);
    encryption->sse = rotation->sse;
    if (rotation->sse != KB_S3_SSE_KMS)
        return;
    if (rotation->asked->change) {
        *encryption = rotation->asked->kms;
        encryption->sse = KB_S3_SSE_KMS;
    } else {
        encryption->kms_key = text_or_null(rotation->found.head.kms_key);
        encryption->bucket_key = rotation->found.head.bucket_key;
    }
}

enum kb_status rotation_fill_put(struct rotation *rotation, struct kb_error *err)
{
    const struct kb_s3_object *head = &rotation->found.head;

    rotation->put = (struct kb_s3_put){
        .content_type = text_or_null(head->content_type),
        .cache_control = text_or_null(head->cache_control),
        .content_disposition = text_or_null(head->content_disposition),
        .content_encoding = text_or_null(head->content_encoding),
        .content_language = text_or_null(head->content_language),
        .expires = text_or_null(head->expires),
        .storage_class = text_or_null(head->storage_class),
        .lock_mode = text_or_null(head->lock_mode),
        .lock_until = text_or_null(head->lock_until),
        .legal_hold = head->legal_hold,
    };
    fill_encryption(rotation);
    return fill_metadata(rotation, err);
}

/* A copy in one request takes the tags along; others have to be told them. */
static enum kb_status fill_tags(struct rotation *rotation, struct kb_error *err)
{
    struct kb_error why = {.status = KB_OK};
    enum kb_status status;

    kb_buffer_free(&rotation->tags);
    rotation->tags = (struct kb_buffer)KB_BUFFER_INIT(TAGS_MAX);
    status = kb_s3_get_tags(rotation->objects->s3, &rotation->from, &rotation->tags, &why);
    if (status == KB_OK && rotation->tags.size) {
        kb_buffer_put_u8(&rotation->tags, 0);
        status = kb_buffer_check(&rotation->tags, &why);
        rotation->put.tags = (const char *)rotation->tags.data;
    }
    /* Some servers have no tags. */
    if (!rotation->found.head.tag_count &&
        (status == KB_ERR_NOT_FOUND || status == KB_ERR_UNSUPPORTED))
        return KB_OK;
    if (status != KB_OK && err && err->status == KB_OK)
        *err = why;
    return status;
}

/* What was got is still what is there, so that nobody's newer object is covered by it.
 * Servers disagree on If-Match for uploads: some refuse it always where there are versions. */
enum kb_status rotation_check_unchanged(const struct rotation *rotation, struct kb_error *err)
{
    const struct kb_s3_object *old = &rotation->found.head;
    const struct kb_s3_encryption encryption = object_key_encryption(&rotation->found.key);
    struct kb_s3_object now = {.status = 0};
    enum kb_status status;

    if (!rotation->in_place)
        return KB_OK;
    status = kb_s3_head_object(rotation->objects->s3, &rotation->to, &encryption, &now, err);
    if (status == KB_OK &&
        (strcmp(now.etag, old->etag) != 0 || strcmp(now.version, old->version) != 0))
        status = kb_error_set(err, KB_ERR_INPUT, "s3://%s/%s was changed meanwhile",
                              rotation->to.bucket, rotation->to.key);
    kb_s3_object_free(&now);
    return status;
}

static enum kb_status check_unchanged(void *ctx, struct kb_error *err)
{
    return rotation_check_unchanged(ctx, err);
}

/* --- by the server, in one request -------------------------------------------------------- */

static struct kb_s3_copy copy_of(const struct rotation *rotation)
{
    return (struct kb_s3_copy){
        .from = rotation->from,
        .from_encryption = object_key_encryption(&rotation->found.key),
        .from_etag = rotation->found.head.etag,
        .put = rotation->put,
    };
}

static bool is_echo(const struct rotation *rotation, const struct kb_s3_object *answer)
{
    return strcmp(answer->fingerprint, rotation->key.fingerprint) == 0;
}

/* The request itself is not for this server: it did nothing. */
static bool refuses_copies(enum kb_status status, const struct kb_s3_object *answer)
{
    return status == KB_ERR_UNSUPPORTED ||
           (status != KB_OK && (answer->status == 400 || answer->status == 405));
}

/* In place, an answer that was lost makes the second try fail: the old key does not open
 * the object any more. Then it is under the new one. */
static bool was_done(struct rotation *rotation)
{
    const struct kb_s3_encryption encryption = object_key_encryption(&rotation->key);
    struct kb_error none = {.status = KB_OK};

    return rotation->in_place && rotation->key.plain &&
           strcmp(rotation->key.fingerprint, rotation->found.key.fingerprint) != 0 &&
           kb_s3_head_object(rotation->objects->s3, &rotation->to, &encryption, &rotation->stored,
                             &none) == KB_OK &&
           is_echo(rotation, &rotation->stored);
}

static enum kb_status copy_whole(struct rotation *rotation, bool *cannot, struct kb_error *err)
{
    struct kb_s3_copy copy = copy_of(rotation);
    enum kb_status status;

    /* What is not replaced the server copies as it has it. */
    copy.replace_metadata = rotation->wrapped != NULL;
    if (!copy.replace_metadata) {
        copy.put.metadata = NULL;
        copy.put.metadata_count = 0;
        copy.put.content_type = copy.put.cache_control = copy.put.content_disposition = NULL;
        copy.put.content_encoding = copy.put.content_language = copy.put.expires = NULL;
    }
    status = kb_s3_copy_object(rotation->objects->s3, &rotation->to, &copy, &rotation->stored, err);
    *cannot = refuses_copies(status, &rotation->stored);
    rotation->echoed = is_echo(rotation, &rotation->stored);
    if (status == KB_OK || !was_done(rotation))
        return status;
    *cannot = false;
    rotation->echoed = true;
    kb_error_clear(err);
    return KB_OK;
}

/* --- by the server, in parts ----------------------------------------------------------------- */

struct parts {
    struct rotation *rotation;
    struct kb_s3_copy copy;
    const char *upload;
    uint64_t part_size;
    size_t count;
    struct kb_s3_part *parts;
    bool *echoed; /* of each */
    bool *refused; /* of each: the server cannot do it */
};

static enum kb_status copy_part(void *ctx, size_t i, struct kb_error *err)
{
    struct parts *parts = ctx;
    struct rotation *rotation = parts->rotation;
    uint64_t first = i * parts->part_size;
    uint64_t end = first + parts->part_size;
    struct kb_s3_object answer = {.status = 0};
    enum kb_status status;

    end = end < rotation->found.head.size ? end : rotation->found.head.size;
    parts->parts[i].number = (unsigned)i + 1;
    status = kb_s3_copy_part(rotation->objects->s3, &rotation->to, parts->upload, &parts->parts[i],
                             &parts->copy, first, end - 1, &answer, err);
    parts->echoed[i] = status == KB_OK && is_echo(rotation, &answer);
    parts->refused[i] = refuses_copies(status, &answer);
    kb_s3_object_free(&answer);
    return status;
}

static enum kb_status copy_all_parts(struct parts *parts, bool *cannot, struct kb_error *err)
{
    struct rotation *rotation = parts->rotation;
    struct kb_s3 *s3 = rotation->objects->s3;
    struct kb_error none = {.status = KB_OK};
    char *upload = NULL;
    enum kb_status status = kb_s3_create_upload(s3, &rotation->to, &rotation->put, &upload,
                                                &rotation->stored, err);

    rotation->echoed = status == KB_OK && is_echo(rotation, &rotation->stored);
    parts->upload = upload;
    if (status == KB_OK)
        status = lanes_run(kb_s3_connections(s3), parts->count, copy_part, parts, err);
    for (size_t i = 0; i < parts->count; i++) {
        *cannot = *cannot || parts->refused[i];
        rotation->echoed = rotation->echoed && parts->echoed[i];
    }
    if (status == KB_OK) {
        const struct kb_s3_put put = {.encryption = rotation->put.encryption};

        status = rotation_check_unchanged(rotation, err);
        if (status == KB_OK)
            status = kb_s3_complete_upload(s3, &rotation->to, upload, parts->parts, parts->count,
                                           &put, &rotation->stored, err);
        if (rotation->echoed) /* by the answers before this one */
            memcpy(rotation->stored.fingerprint, rotation->key.fingerprint,
                   sizeof rotation->stored.fingerprint);
    }
    if (status != KB_OK && upload)
        (void)!kb_s3_abort_upload(s3, &rotation->to, upload, &none);
    free(upload);
    return status;
}

static enum kb_status copy_in_parts(struct rotation *rotation, bool *cannot, struct kb_error *err)
{
    uint64_t size = rotation->found.head.size;
    uint64_t least = (size + KB_S3_PARTS_MAX - 1) / KB_S3_PARTS_MAX;
    uint64_t asked = rotation->asked->upload.part_size;
    struct parts parts = {.rotation = rotation, .copy = copy_of(rotation)};
    enum kb_status status = fill_tags(rotation, err);

    parts.part_size = asked ? asked : COPY_PART;
    parts.part_size = parts.part_size > least ? parts.part_size : least;
    parts.count = (size_t)((size + parts.part_size - 1) / parts.part_size);
    parts.parts = calloc(parts.count, sizeof *parts.parts);
    parts.echoed = calloc(parts.count, sizeof *parts.echoed);
    parts.refused = calloc(parts.count, sizeof *parts.refused);
    if (status == KB_OK && (!parts.parts || !parts.echoed || !parts.refused))
        status = kb_error_set(err, KB_ERR_MEMORY, "no memory");
    if (status == KB_OK)
        status = copy_all_parts(&parts, cannot, err);
    free(parts.parts);
    free(parts.echoed);
    free(parts.refused);
    return status;
}

enum kb_status rotation_copy(struct rotation *rotation, bool *cannot, struct kb_error *err)
{
    uint64_t most = rotation->asked->upload.single_max;
    enum kb_status status;

    *cannot = false;
    most = most && most < KB_S3_SINGLE_MAX ? most : KB_S3_SINGLE_MAX;
    rotation->size = rotation->found.head.size;
    status = rotation->size <= most ? copy_whole(rotation, cannot, err)
                                    : copy_in_parts(rotation, cannot, err);
    if (*cannot)
        kb_error_clear(err);
    return status;
}

/* --- through here ----------------------------------------------------------------------------- */

enum kb_status rotation_stream(struct rotation *rotation, struct kb_error *err)
{
    const struct kb_object_rotate *asked = rotation->asked;
    /* The bytes that are stored are those the inventory knows unless they were
     * encrypted before they came to the server. */
    bool plain = rotation->found.encryption != KB_OBJECT_CLIENT &&
                 rotation->found.encryption != KB_OBJECT_CLIENT_ENVELOPE;
    struct kb_s3_download download = {
        .get = {.encryption = object_key_encryption(&rotation->found.key),
                .if_match = rotation->found.head.etag},
        .part_size = asked->upload.part_size,
        .connections = asked->upload.connections};
    struct kb_s3_upload upload = asked->upload;
    const struct object_pipe_from from = {
        .name = &rotation->from,
        .download = &download,
        .check = check_unchanged,
        .ctx = rotation,
        .sha256 = plain && rotation->has_known && rotation->known.has_sha256
                      ? rotation->known.sha256
                      : NULL};
    const struct object_pipe_to to = {
        .name = &rotation->to, .upload = &upload, .size = rotation->found.head.size};
    struct kb_object_result *result = &rotation->out->result;
    struct kb_s3_uploaded uploaded;
    enum kb_status status = fill_tags(rotation, err);

    memset(&uploaded, 0, sizeof uploaded);
    upload.put = rotation->put;
    upload.no_sha256 = !plain;
    if (status == KB_OK)
        status = object_pipe(&uploaded, rotation->objects->s3, &from, &to, err);
    kb_s3_object_free(&rotation->stored);
    rotation->stored = uploaded.object;
    rotation->echoed = uploaded.echoed;
    rotation->size = uploaded.size;
    result->parts = uploaded.parts;
    if (status == KB_OK && (plain || !rotation->has_known))
        result->size = uploaded.size;
    if (status == KB_OK && plain) {
        result->has_sha256 = true;
        memcpy(result->sha256, uploaded.sha256, sizeof result->sha256);
    }
    return status;
}
