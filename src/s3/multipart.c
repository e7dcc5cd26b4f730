/* SPDX-License-Identifier: Apache-2.0
 *
 * Uploads in parts, call by call. Source: "Uploading and copying objects using
 * multipart upload", Amazon S3 User Guide.
 */
#include "s3/s3.h"

#include "base/text.h"
#include "crypto/crypto.h"
#include "crypto/digest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LIST_MAX = 4 * 1024 * 1024 /* bytes of the list of 10,000 parts */ };

static enum kb_status read_headers(struct kb_s3_object *out, const struct s3_call *call,
                                   struct kb_error *err)
{
    enum kb_status status = s3_read_object(out, call->answer.status,
                                           kb_buffer_view(&call->answer.headers), err);

    out->size = 0; /* of the answer */
    return status;
}

/* --- begin and give up ------------------------------------------------------------------ */

static enum kb_status read_upload(char **upload, struct s3_call *call, struct kb_error *err)
{
    struct s3_element *root;
    struct kb_bytes id;
    enum kb_status status = s3_xml_parse(&root, kb_buffer_view(&call->answer.body), &call->arena,
                                         err);

    if (status != KB_OK)
        return status;
    id = s3_xml_text(root, "UploadId");
    if (id.size == 0 || id.size > 4096)
        return kb_error_set(err, KB_ERR_REMOTE, "the server began an upload without a name");
    *upload = strndup((const char *)id.data, id.size);
    return *upload ? KB_OK : kb_error_set(err, KB_ERR_MEMORY, "no memory");
}

enum kb_status kb_s3_create_upload(struct kb_s3 *s3, const struct kb_s3_name *name,
                                   const struct kb_s3_put *put, char **upload,
                                   struct kb_s3_object *out, struct kb_error *err)
{
    struct s3_call call;
    enum kb_status status;

    *upload = NULL;
    kb_s3_object_free(out);
    s3_call_begin(&call, "POST", "CreateMultipartUpload", name);
    s3_call_query(&call, "uploads", NULL);
    status = s3_add_put(&call.request, put, &call.arena, err);
    if (status == KB_OK)
        status = s3_call_run(s3, &call, err);
    out->status = call.answer.status;
    if (status == KB_OK)
        status = read_headers(out, &call, err);
    if (status == KB_OK)
        status = read_upload(upload, &call, err);
    s3_call_end(&call);
    return status;
}

enum kb_status kb_s3_abort_upload(struct kb_s3 *s3, const struct kb_s3_name *name,
                                  const char *upload, struct kb_error *err)
{
    struct s3_call call;
    enum kb_status status;

    s3_call_begin(&call, "DELETE", "AbortMultipartUpload", name);
    s3_call_query(&call, "uploadId", upload);
    status = s3_call_run(s3, &call, err);
    s3_call_end(&call);
    return status;
}

/* --- parts -------------------------------------------------------------------------- */

static enum kb_status begin_part(struct s3_call *call, const char *operation,
                                 const struct kb_s3_name *name, const char *upload,
                                 const struct kb_s3_part *part, struct kb_error *err)
{
    char number[16];

    s3_call_begin(call, "PUT", operation, name);
    if (part->number < 1 || part->number > KB_S3_PARTS_MAX)
        return kb_error_set(err, KB_ERR_USAGE, "parts are numbered from 1 to %d", KB_S3_PARTS_MAX);
    snprintf(number, sizeof number, "%u", part->number);
    s3_call_query(call, "partNumber", number);
    s3_call_query(call, "uploadId", upload);
    return KB_OK;
}

enum kb_status kb_s3_upload_part(struct kb_s3 *s3, const struct kb_s3_name *name,
                                 const char *upload, struct kb_s3_part *part,
                                 const struct kb_s3_encryption *encryption, struct kb_bytes body,
                                 struct kb_s3_object *out, struct kb_error *err)
{
    const struct kb_s3_source *from = part->from;
    const struct kb_http_source source = {.read = from ? from->read_at : NULL,
                                          .ctx = from ? from->ctx : NULL,
                                          .size = from ? from->size : body.size};
    struct s3_call call;
    enum kb_status status = begin_part(&call, "UploadPart", name, upload, part, err);

    kb_s3_object_free(out);
    call.request.body = body;
    call.request.source = from ? &source : NULL;
    call.request.sha256 = part->sha256;
    call.request.unsigned_body = part->unsigned_payload && kb_s3_is_secure(s3);
    if (status == KB_OK && source.size > KB_S3_PART_MAX)
        status = kb_error_set(err, KB_ERR_USAGE, "a part of %llu bytes is too large",
                              (unsigned long long)source.size);
    if (status == KB_OK && from && (!part->sha256 || (part->md5 && !part->md5_hash)))
        status = kb_error_set(err, KB_ERR_USAGE,
                              "a part that is read as it is sent needs its hashes");
    if (status == KB_OK)
        status = s3_add_customer_key(&call.request, encryption, false, &call.arena, err);
    if (status == KB_OK && part->md5)
        status = s3_add_md5(&call.request, part->md5_hash, &call.arena, err);
    if (status == KB_OK)
        status = s3_call_run(s3, &call, err);
    out->status = call.answer.status;
    if (status == KB_OK)
        status = read_headers(out, &call, err);
    if (status == KB_OK && !out->etag[0])
        status = kb_error_set(err, KB_ERR_REMOTE, "the server's answer to a part has no ETag");
    if (status == KB_OK) {
        part->size = source.size;
        memcpy(part->etag, out->etag, sizeof part->etag);
    }
    s3_call_end(&call);
    return status;
}

enum kb_status kb_s3_copy_part(struct kb_s3 *s3, const struct kb_s3_name *name, const char *upload,
                               struct kb_s3_part *part, const struct kb_s3_copy *copy,
                               uint64_t first, uint64_t last, struct kb_s3_object *out,
                               struct kb_error *err)
{
    struct s3_call call;
    char range[64];
    enum kb_status status = begin_part(&call, "UploadPartCopy", name, upload, part, err);

    kb_s3_object_free(out);
    if (status == KB_OK && (first > last || last - first >= KB_S3_PART_MAX))
        status = kb_error_set(err, KB_ERR_USAGE, "a part of a copy is 1 byte to 5 GiB");
    snprintf(range, sizeof range, "bytes=%llu-%llu", (unsigned long long)first,
             (unsigned long long)last);
    s3_add_header(&call.request, "x-amz-copy-source-range", range);
    if (status == KB_OK)
        status = s3_add_source(&call, copy, err);
    if (status == KB_OK)
        status = s3_add_customer_key(&call.request, &copy->put.encryption, false, &call.arena,
                                     err);
    if (status == KB_OK)
        status = s3_call_run(s3, &call, err);
    out->status = call.answer.status;
    if (status == KB_OK)
        status = s3_read_copy(out, &call, err);
    if (status == KB_OK) {
        part->size = last - first + 1;
        memcpy(part->etag, out->etag, sizeof part->etag);
    }
    s3_call_end(&call);
    return status;
}

/* --- complete ----------------------------------------------------------------------- */

static void put_list(struct kb_buffer *out, const struct kb_s3_part *parts, size_t count)
{
    char number[64];

    kb_buffer_put_text(out, "<CompleteMultipartUpload "
                            "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    for (size_t i = 0; i < count; i++) {
        snprintf(number, sizeof number, "<Part><PartNumber>%u</PartNumber><ETag>&quot;",
                 parts[i].number);
        kb_buffer_put_text(out, number);
        s3_xml_escape(out, kb_bytes_text(parts[i].etag));
        kb_buffer_put_text(out, "&quot;</ETag></Part>");
    }
    kb_buffer_put_text(out, "</CompleteMultipartUpload>");
}

/* The ETag of an object of parts: the MD5 of the parts' MD5s, and their number.
 * False when theirs are no MD5s. */
static bool expect_etag(char out[KB_S3_ETAG_SIZE], const struct kb_s3_part *parts, size_t count)
{
    struct kb_buffer all = KB_BUFFER_INIT(KB_S3_PARTS_MAX * KB_MD5_SIZE);
    uint8_t hash[KB_MD5_SIZE];
    bool good = true;

    for (size_t i = 0; i < count && good; i++)
        good = strlen(parts[i].etag) == 2 * KB_MD5_SIZE &&
               kb_hex_parse(&all, kb_bytes_text(parts[i].etag), false);
    good = good && kb_digest_once(hash, KB_DIGEST_MD5, kb_buffer_view(&all), NULL) == KB_OK;
    kb_buffer_free(&all);
    if (good) {
        kb_crypto_hex(out, (struct kb_bytes){hash, sizeof hash});
        snprintf(out + 2 * KB_MD5_SIZE, KB_S3_ETAG_SIZE - 2 * KB_MD5_SIZE, "-%zu", count);
    }
    return good;
}

/* A completion that was sent again finds no upload when its first time was
 * carried out: then the object is there, and its ETag says so. *out is left alone
 * when it does not: that nothing is known of the object does not mean it is not there. */
static bool was_completed(struct kb_s3 *s3, const struct kb_s3_name *name,
                          const struct kb_s3_part *parts, size_t count,
                          const struct kb_s3_put *put, struct kb_s3_object *out)
{
    struct kb_s3_object found = {0};
    char want[KB_S3_ETAG_SIZE];

    if (expect_etag(want, parts, count) &&
        kb_s3_head_object(s3, name, put ? &put->encryption : NULL, &found, NULL) == KB_OK &&
        strcmp(want, found.etag) == 0) {
        *out = found;
        return true;
    }
    kb_s3_object_free(&found);
    return false;
}

/* Ceph's gateway (16.2) leaves the ETag empty: then it is what S3 makes of its parts'. */
static enum kb_status read_completed(struct kb_s3_object *out, struct s3_call *call,
                                     const struct kb_s3_part *parts, size_t count,
                                     struct kb_error *err)
{
    struct s3_element *root;
    enum kb_status status = read_headers(out, call, err);

    if (status == KB_OK)
        status = s3_xml_parse(&root, kb_buffer_view(&call->answer.body), &call->arena, err);
    if (status != KB_OK)
        return status;
    s3_read_etag(out->etag, s3_xml_text(root, "ETag"));
    if (!out->etag[0] && !expect_etag(out->etag, parts, count))
        return kb_error_set(err, KB_ERR_REMOTE, "the server's answer to an upload has no ETag");
    return KB_OK;
}

static enum kb_status add_completion(struct s3_call *call, const struct kb_s3_put *put,
                                     struct kb_error *err)
{
    enum kb_status status;

    s3_add_header(&call->request, "Content-Type", "application/xml");
    if (!put)
        return KB_OK;
    status = s3_add_conditions(&call->request, put, err);
    return status == KB_OK ? s3_add_customer_key(&call->request, &put->encryption, false,
                                                 &call->arena, err)
                           : status;
}

enum kb_status kb_s3_complete_upload(struct kb_s3 *s3, const struct kb_s3_name *name,
                                     const char *upload, const struct kb_s3_part *parts,
                                     size_t count, const struct kb_s3_put *put,
                                     struct kb_s3_object *out, struct kb_error *err)
{
    struct kb_buffer list = KB_BUFFER_INIT(LIST_MAX);
    struct kb_error error = {0};
    struct s3_call call;
    enum kb_status status;

    kb_s3_object_free(out);
    s3_call_begin(&call, "POST", "CompleteMultipartUpload", name);
    s3_call_query(&call, "uploadId", upload);
    put_list(&list, parts, count);
    call.request.body = kb_buffer_view(&list);
    status = kb_buffer_check(&list, &error);
    if (status == KB_OK)
        status = add_completion(&call, put, &error);
    if (status == KB_OK)
        status = s3_call_run(s3, &call, &error);
    out->status = call.answer.status;
    out->repeated = call.answer.repeated;
    if (status == KB_OK)
        status = read_completed(out, &call, parts, count, &error);
    else if (status == KB_ERR_NOT_FOUND && call.answer.repeated &&
             was_completed(s3, name, parts, count, put, out))
        status = KB_OK;
    if (status != KB_OK && err && err->status == KB_OK)
        *err = error;
    s3_call_end(&call);
    kb_buffer_free(&list);
    return status;
}
