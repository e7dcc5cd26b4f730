/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls about one object. Source: "Actions", Amazon S3 API Reference.
 */
#include "s3/s3.h"

#include "aws/sigv4_steps.h"
#include "crypto/crypto.h"
#include "crypto/digest.h"

#include <stdio.h>
#include <string.h>

/* Whether a failed call was answered by headers that tell something: then *out
 * is that, else its status alone. */
static void read_failed(struct kb_s3_object *out, const struct s3_answer *answer)
{
    if (s3_read_object(out, answer->status, kb_buffer_view(&answer->headers), NULL) != KB_OK) {
        kb_s3_object_free(out);
        out->status = answer->status;
    }
    out->repeated = answer->repeated;
}

/* --- put -------------------------------------------------------------------------------- */

/* Of what is stored as it is, or under the server's own keys, the ETag is the
 * MD5 ("Checking object integrity", Amazon S3 User Guide). Other ETags of that
 * shape are no secret of ours to know. */
static enum kb_status check_etag(const struct kb_s3_object *object, struct kb_bytes body,
                                 struct kb_error *err)
{
    uint8_t hash[KB_MD5_SIZE];
    char want[2 * KB_MD5_SIZE + 1];
    enum kb_status status;

    if ((object->sse != KB_S3_SSE_NONE && object->sse != KB_S3_SSE_S3) ||
        strlen(object->etag) != sizeof want - 1)
        return KB_OK;
    status = kb_digest_once(hash, KB_DIGEST_MD5, body, NULL);
    if (status == KB_ERR_UNSUPPORTED) /* the body's SHA-256 was signed all the same */
        return KB_OK;
    if (status != KB_OK)
        return kb_error_set(err, status, "MD5 failed");
    kb_crypto_hex(want, (struct kb_bytes){hash, sizeof hash});
    if (strcasecmp(want, object->etag) != 0)
        return kb_error_set(err, KB_ERR_REMOTE,
                            "the server stored something else than it was sent: its ETag is not "
                            "the MD5");
    return KB_OK;
}

static enum kb_status add_put(struct s3_call *call, const struct kb_s3_put *put,
                              struct kb_error *err)
{
    enum kb_status status = s3_add_put(&call->request, put, &call->arena, err);

    if (status == KB_OK)
        status = s3_add_conditions(&call->request, put, err);
    /* "PutObject": a request with Object Lock has to have it. */
    if (status == KB_OK && ((put->lock_mode && put->lock_mode[0]) || put->legal_hold))
        status = s3_add_md5(&call->request, NULL, &call->arena, err);
    return status;
}

enum kb_status kb_s3_put_object(struct kb_s3 *s3, const struct kb_s3_name *name,
                                const struct kb_s3_put *put, struct kb_bytes body,
                                struct kb_s3_object *out, struct kb_error *err)
{
    struct s3_call call;
    enum kb_status status;

    kb_s3_object_free(out);
    if (body.size > KB_S3_SINGLE_MAX) {
        kb_error_set(err, KB_ERR_USAGE, "%zu bytes are too many for one PUT", body.size);
        kb_error_hint(err, "more than 5 GiB are stored in parts");
        return KB_ERR_USAGE;
    }
    s3_call_begin(&call, "PUT", "PutObject", name);
    call.request.body = body;
    call.request.sha256 = put->sha256;
    status = add_put(&call, put, err);
    if (status == KB_OK)
        status = s3_call_run(s3, &call, err);
    if (status == KB_OK)
        status = s3_read_object(out, call.answer.status, kb_buffer_view(&call.answer.headers),
                                err);
    else
        read_failed(out, &call.answer);
    out->size = body.size;
    if (status == KB_ERR_EXISTS && call.answer.repeated)
        kb_error_hint(err, "the request had to be repeated: it may be there from its first time");
    if (status == KB_OK && !out->etag[0])
        status = kb_error_set(err, KB_ERR_REMOTE, "the server's answer to PUT has no ETag");
    if (status == KB_OK && put->encryption.sse != KB_S3_SSE_C)
        status = check_etag(out, body, err);
    s3_call_end(&call);
    return status;
}

/* --- get -------------------------------------------------------------------------------- */

struct getting {
    const struct kb_s3_get *get;
    const struct kb_s3_name *name;
    struct kb_s3_object *out;
    uint64_t want, got; /* bytes of the body */
    bool begun;
};

/* A server may answer a range with all there is (RFC 9110, section 14.2): that
 * is the range when it is no more than was asked for. */
static void take_whole(const struct kb_s3_get *get, struct kb_s3_object *object)
{
    if (!get->ranged || get->first != 0 || object->status != 200 || object->ranged ||
        object->size == 0 || get->last < object->size - 1)
        return;
    object->status = 206;
    object->ranged = true;
    object->first = 0;
    object->last = object->size - 1;
}

static enum kb_status check_range(const struct getting *getting, struct kb_error *err)
{
    const struct kb_s3_get *get = getting->get;
    const struct kb_s3_object *object = getting->out;
    uint64_t last = get->last;

    if (get->ranged && object->status == 200 && !object->ranged)
        return kb_error_set(err, KB_ERR_REMOTE,
                            "the server gives the whole object, not the range that was asked for");
    if (object->status != (get->ranged ? 206u : 200u) || object->ranged != get->ranged)
        return kb_error_set(err, KB_ERR_REMOTE,
                            get->ranged ? "the server does not give the range that was asked for"
                                        : "the server gives a range that nobody asked for");
    if (!get->ranged)
        return KB_OK;
    if (object->size && last >= object->size)
        last = object->size - 1;
    if (object->first != get->first || object->last != last)
        return kb_error_set(err, KB_ERR_REMOTE,
                            "the server gives another range than was asked for");
    return KB_OK;
}

/* The answer's head: it is held against the request before a byte goes on. */
static enum kb_status begin(void *ctx, unsigned code, struct kb_bytes headers,
                            struct kb_error *err)
{
    struct getting *getting = ctx;
    struct kb_s3_object *object = getting->out;
    const char *etag = getting->get->if_match, *version = getting->name->version;
    enum kb_status status = s3_read_object(object, code, headers, err);

    getting->begun = true;
    if (status == KB_OK && !kb_http_find_header(headers, "content-length").size)
        status = kb_error_set(err, KB_ERR_REMOTE, "the server's answer does not tell its length");
    if (status == KB_OK) {
        take_whole(getting->get, object);
        status = check_range(getting, err);
    }
    if (status != KB_OK)
        return status;
    if (etag && strcmp(etag, object->etag) != 0)
        return kb_error_set(err, KB_ERR_INPUT, "s3://%.63s/%.100s has changed in the meantime",
                            getting->name->bucket, getting->name->key);
    if (version && object->version[0] && strcmp(version, object->version) != 0)
        return kb_error_set(err, KB_ERR_REMOTE,
                            "the server gives another version than was asked for");
    getting->want = object->ranged ? object->last - object->first + 1 : object->size;
    return KB_OK;
}

static enum kb_status take(void *ctx, struct kb_bytes bytes, struct kb_error *err)
{
    struct getting *getting = ctx;

    if (bytes.size > getting->want - getting->got)
        return kb_error_set(err, KB_ERR_REMOTE, "the server gives more bytes than it told");
    getting->got += bytes.size;
    return getting->get->write(getting->get->ctx, bytes, err);
}

static enum kb_status add_range(struct s3_call *call, const struct kb_s3_get *get,
                                struct kb_error *err)
{
    char *text = kb_arena_take(&call->arena, 64);

    if (!text)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    if (get->last == UINT64_MAX)
        snprintf(text, 64, "bytes=%llu-", (unsigned long long)get->first);
    else
        snprintf(text, 64, "bytes=%llu-%llu", (unsigned long long)get->first,
                 (unsigned long long)get->last);
    s3_add_header(&call->request, "Range", text);
    return KB_OK;
}

static enum kb_status run_get(struct kb_s3 *s3, struct s3_call *call, struct getting *getting,
                              struct kb_error *err)
{
    enum kb_status status = s3_call_run(s3, call, err);
    const struct s3_answer *answer = &call->answer;

    if (status != KB_OK) {
        if (!getting->begun)
            read_failed(getting->out, answer);
        return status;
    }
    if (!getting->begun) /* nothing was in the body */
        status = begin(getting, answer->status, kb_buffer_view(&answer->headers), err);
    if (status == KB_OK && getting->got != getting->want)
        status = kb_error_set(err, KB_ERR_REMOTE, "the server gives fewer bytes than it told");
    return status;
}

enum kb_status kb_s3_get_object(struct kb_s3 *s3, const struct kb_s3_name *name,
                                const struct kb_s3_get *get, struct kb_s3_object *out,
                                struct kb_error *err)
{
    struct getting getting = {.get = get, .name = name, .out = out};
    struct s3_call call;
    enum kb_status status;

    kb_s3_object_free(out);
    if (get->ranged && get->first > get->last)
        return kb_error_set(err, KB_ERR_USAGE, "a range that ends before it begins");
    s3_call_begin(&call, "GET", "GetObject", name);
    call.request.begin = begin;
    call.request.write = take;
    call.request.ctx = &getting;
    status = s3_add_customer_key(&call.request, &get->encryption, false, &call.arena, err);
    if (status == KB_OK)
        status = s3_add_match(&call.request, "If-Match", get->if_match, &call.arena, err);
    if (status == KB_OK && get->ranged)
        status = add_range(&call, get, err);
    if (status == KB_OK)
        status = run_get(s3, &call, &getting, err);
    s3_call_end(&call);
    return status;
}

/* --- head, delete -------------------------------------------------------------------------- */

enum kb_status kb_s3_head_object(struct kb_s3 *s3, const struct kb_s3_name *name,
                                 const struct kb_s3_encryption *encryption,
                                 struct kb_s3_object *out, struct kb_error *err)
{
    struct s3_call call;
    enum kb_status status = KB_OK;

    kb_s3_object_free(out);
    s3_call_begin(&call, "HEAD", "HeadObject", name);
    if (encryption)
        status = s3_add_customer_key(&call.request, encryption, false, &call.arena, err);
    if (status == KB_OK)
        status = s3_call_run(s3, &call, err);
    if (status == KB_OK)
        status = s3_read_object(out, call.answer.status, kb_buffer_view(&call.answer.headers),
                                err);
    else
        read_failed(out, &call.answer);
    s3_call_end(&call);
    return status;
}

enum kb_status kb_s3_delete_object(struct kb_s3 *s3, const struct kb_s3_name *name,
                                   struct kb_s3_object *out, struct kb_error *err)
{
    struct s3_call call;
    enum kb_status status;

    s3_call_begin(&call, "DELETE", "DeleteObject", name);
    status = s3_call_run(s3, &call, err);
    if (status == KB_OK && out)
        status = s3_read_object(out, call.answer.status, kb_buffer_view(&call.answer.headers),
                                err);
    s3_call_end(&call);
    return status;
}

/* --- copy --------------------------------------------------------------------------- */

enum kb_status s3_add_source(struct s3_call *call, const struct kb_s3_copy *copy,
                             struct kb_error *err)
{
    struct kb_buffer text = KB_BUFFER_INIT(16 * 1024);
    struct kb_bytes kept;
    enum kb_status status;

    kb_buffer_put_text(&text, copy->from.bucket);
    kb_buffer_put_u8(&text, '/');
    s3_encode(&text, copy->from.key, true);
    if (copy->from.version) {
        kb_buffer_put_text(&text, "?versionId=");
        s3_encode(&text, copy->from.version, false);
    }
    kb_buffer_put_u8(&text, 0);
    status = kb_buffer_check(&text, err);
    kept = kb_arena_copy(&call->arena, kb_buffer_view(&text));
    kb_buffer_free(&text);
    if (status == KB_OK && !kept.data)
        status = kb_error_set(err, KB_ERR_MEMORY, "no memory");
    if (status != KB_OK)
        return status;
    s3_add_header(&call->request, "x-amz-copy-source", (const char *)kept.data);
    status = s3_add_match(&call->request, "x-amz-copy-source-if-match", copy->from_etag,
                          &call->arena, err);
    return status == KB_OK ? s3_add_customer_key(&call->request, &copy->from_encryption, true,
                                                 &call->arena, err)
                           : status;
}

enum kb_status s3_read_copy(struct kb_s3_object *out, const struct s3_call *call,
                            struct kb_error *err)
{
    struct kb_arena arena = KB_ARENA_INIT;
    struct s3_element *root;
    enum kb_status status = s3_read_object(out, call->answer.status,
                                           kb_buffer_view(&call->answer.headers), err);

    out->size = 0; /* of the answer */
    if (status == KB_OK)
        status = s3_xml_parse(&root, kb_buffer_view(&call->answer.body), &arena, err);
    if (status == KB_OK) {
        s3_read_etag(out->etag, s3_xml_text(root, "ETag"));
        if (!out->etag[0])
            status = kb_error_set(err, KB_ERR_REMOTE, "the server's answer to a copy has no ETag");
    }
    kb_arena_free(&arena);
    return status;
}

static enum kb_status add_copy(struct s3_call *call, const struct kb_s3_copy *copy,
                               struct kb_error *err)
{
    struct kb_s3_put put = copy->put;
    enum kb_status status;

    if (copy->replace_metadata) {
        s3_add_header(&call->request, "x-amz-metadata-directive", "REPLACE");
    } else {
        put.content_type = "";
        put.cache_control = put.content_disposition = put.content_encoding =
            put.content_language = put.expires = NULL;
        put.metadata_count = 0;
    }
    if (copy->replace_tags)
        s3_add_header(&call->request, "x-amz-tagging-directive", "REPLACE");
    else
        put.tags = NULL;
    status = s3_add_put(&call->request, &put, &call->arena, err);
    if (status == KB_OK)
        status = s3_add_conditions(&call->request, &put, err);
    return status == KB_OK ? s3_add_source(call, copy, err) : status;
}

enum kb_status kb_s3_copy_object(struct kb_s3 *s3, const struct kb_s3_name *name,
                                 const struct kb_s3_copy *copy, struct kb_s3_object *out,
                                 struct kb_error *err)
{
    struct s3_call call;
    enum kb_status status;

    kb_s3_object_free(out);
    s3_call_begin(&call, "PUT", "CopyObject", name);
    status = add_copy(&call, copy, err);
    if (status == KB_OK)
        status = s3_call_run(s3, &call, err);
    if (status == KB_OK)
        status = s3_read_copy(out, &call, err);
    else
        read_failed(out, &call.answer);
    s3_call_end(&call);
    return status;
}

/* --- tags --------------------------------------------------------------------------- */

static void put_tag(struct kb_buffer *out, const struct s3_element *tag)
{
    struct kb_bytes name = s3_xml_text(tag, "Key"), value = s3_xml_text(tag, "Value");

    if (out->size)
        kb_buffer_put_u8(out, '&');
    kb_sigv4_encode(out, name, false);
    kb_buffer_put_u8(out, '=');
    kb_sigv4_encode(out, value, false);
}

enum kb_status kb_s3_get_tags(struct kb_s3 *s3, const struct kb_s3_name *name,
                              struct kb_buffer *out, struct kb_error *err)
{
    struct s3_call call;
    struct s3_element *root;
    enum kb_status status;

    s3_call_begin(&call, "GET", "GetObjectTagging", name);
    s3_call_query(&call, "tagging", NULL);
    status = s3_call_run(s3, &call, err);
    if (status == KB_OK)
        status = s3_xml_parse(&root, kb_buffer_view(&call.answer.body), &call.arena, err);
    if (status == KB_OK) {
        const struct s3_element *set = s3_xml_child(root, "TagSet");

        for (const struct s3_element *tag = set ? set->first : NULL; tag; tag = tag->next)
            put_tag(out, tag);
        status = kb_buffer_check(out, err);
    }
    s3_call_end(&call);
    return status;
}
