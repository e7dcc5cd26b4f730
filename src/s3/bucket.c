/* SPDX-License-Identifier: Apache-2.0
 *
 * Buckets and their settings. Documents are small, so each is written by hand.
 */
#include "s3/s3.h"

#include <string.h>

#define NAMESPACE "http://s3.amazonaws.com/doc/2006-03-01/"
enum { DOCUMENT_MAX = 64 * 1024 };

/* --- documents up and down ------------------------------------------------------------- */

/* A call about a bucket, or about one of its settings: `query`, or NULL. */
static void begin(struct s3_call *call, const char *method, const char *operation,
                  const char *bucket, const char *query)
{
    struct kb_s3_name name = {.bucket = bucket};

    s3_call_begin(call, method, operation, &name);
    if (query)
        s3_call_query(call, query, NULL);
}

static enum kb_status run(struct kb_s3 *s3, struct s3_call *call, struct kb_error *err)
{
    enum kb_status status = s3_call_run(s3, call, err);

    s3_call_end(call);
    return status;
}

/* PUT of a document; frees it. Some settings are refused without its MD5,
 * whatever else is signed. */
static enum kb_status put_document(struct kb_s3 *s3, struct s3_call *call,
                                   struct kb_buffer *document, struct kb_error *err)
{
    enum kb_status status = kb_buffer_check(document, err);

    call->request.body = kb_buffer_view(document);
    if (status == KB_OK)
        status = s3_add_md5(&call->request, NULL, &call->arena, err);
    if (status == KB_OK)
        status = s3_call_run(s3, call, err);
    s3_call_end(call);
    kb_buffer_free(document);
    return status;
}

/* GET of a document as a tree of the call's arena. */
static enum kb_status get_document(struct kb_s3 *s3, struct s3_call *call,
                                   struct s3_element **root, struct kb_error *err)
{
    enum kb_status status = s3_call_run(s3, call, err);

    if (status == KB_OK)
        status = s3_xml_parse(root, kb_buffer_view(&call->answer.body), &call->arena, err);
    return status;
}

static bool is_text(struct kb_bytes bytes, const char *text)
{
    return kb_bytes_equal(bytes, kb_bytes_text(text));
}

/* --- the bucket itself ------------------------------------------------------------------- */

enum kb_status kb_s3_create_bucket(struct kb_s3 *s3, const char *bucket, bool lock,
                                   struct kb_error *err)
{
    struct kb_buffer document = KB_BUFFER_INIT(DOCUMENT_MAX);
    const char *region = kb_s3_region(s3);
    struct s3_call call;

    begin(&call, "PUT", "CreateBucket", bucket, NULL);
    if (lock)
        s3_add_header(&call.request, "x-amz-bucket-object-lock-enabled", "true");
    /* us-east-1 is the default, and refused when it is named. */
    if (strcmp(region, "us-east-1") != 0) {
        kb_buffer_put_text(&document, "<CreateBucketConfiguration xmlns=\"" NAMESPACE "\">"
                                      "<LocationConstraint>");
        s3_xml_escape(&document, kb_bytes_text(region));
        kb_buffer_put_text(&document, "</LocationConstraint></CreateBucketConfiguration>");
    }
    return put_document(s3, &call, &document, err);
}

enum kb_status kb_s3_delete_bucket(struct kb_s3 *s3, const char *bucket, struct kb_error *err)
{
    struct s3_call call;

    begin(&call, "DELETE", "DeleteBucket", bucket, NULL);
    return run(s3, &call, err);
}

/* --- versioning ------------------------------------------------------------------------------ */

enum kb_status kb_s3_get_versioning(struct kb_s3 *s3, const char *bucket,
                                    enum kb_s3_versioning *out, struct kb_error *err)
{
    struct s3_call call;
    struct s3_element *root;
    enum kb_status status;

    begin(&call, "GET", "GetBucketVersioning", bucket, "versioning");
    status = get_document(s3, &call, &root, err);
    *out = KB_S3_VERSIONING_NEVER;
    if (status == KB_OK && strcmp(root->name, "VersioningConfiguration") != 0)
        status = kb_error_set(err, KB_ERR_REMOTE,
                              "s3:GetBucketVersioning answered with another document");
    if (status == KB_OK && is_text(s3_xml_text(root, "Status"), "Enabled"))
        *out = KB_S3_VERSIONING_ON;
    else if (status == KB_OK && s3_xml_text(root, "Status").size)
        *out = KB_S3_VERSIONING_SUSPENDED;
    s3_call_end(&call);
    return status;
}

enum kb_status kb_s3_set_versioning(struct kb_s3 *s3, const char *bucket, bool on,
                                    struct kb_error *err)
{
    struct kb_buffer document = KB_BUFFER_INIT(DOCUMENT_MAX);
    struct s3_call call;

    begin(&call, "PUT", "PutBucketVersioning", bucket, "versioning");
    kb_buffer_put_text(&document, "<VersioningConfiguration xmlns=\"" NAMESPACE "\"><Status>");
    kb_buffer_put_text(&document, on ? "Enabled" : "Suspended");
    kb_buffer_put_text(&document, "</Status></VersioningConfiguration>");
    return put_document(s3, &call, &document, err);
}

/* --- default encryption ----------------------------------------------------------------------- */

static const struct {
    enum kb_s3_sse sse;
    const char *name;
} algorithms[] = {
    {KB_S3_SSE_S3, "AES256"},
    {KB_S3_SSE_KMS, "aws:kms"},
    {KB_S3_SSE_DSSE, "aws:kms:dsse"},
};

static enum kb_s3_sse find_algorithm(struct kb_bytes name)
{
    for (size_t i = 0; i < sizeof algorithms / sizeof *algorithms; i++)
        if (is_text(name, algorithms[i].name))
            return algorithms[i].sse;
    return name.size ? KB_S3_SSE_OTHER : KB_S3_SSE_NONE;
}

static const char *algorithm_name(enum kb_s3_sse sse)
{
    for (size_t i = 0; i < sizeof algorithms / sizeof *algorithms; i++)
        if (algorithms[i].sse == sse)
            return algorithms[i].name;
    return NULL;
}

static enum kb_status unsupported(struct kb_error *err)
{
    return kb_error_set(err, KB_ERR_UNSUPPORTED, "the server has no default encryption of buckets");
}

static bool is_unknown_call(unsigned http_status)
{
    return http_status == 400 || http_status == 405 || http_status == 501;
}

static enum kb_status read_rule(struct kb_s3_bucket_encryption *out, const struct s3_element *root,
                                struct kb_error *err)
{
    const struct s3_element *rule = s3_xml_child(root, "Rule");
    const struct s3_element *by_default =
        s3_xml_child(rule, "ApplyServerSideEncryptionByDefault");
    const struct s3_element *blocked = s3_xml_child(rule, "BlockedEncryptionTypes");
    struct kb_bytes kms_key = s3_xml_text(by_default, "KMSMasterKeyID");

    /* A server without the call sees a GET of the bucket and lists it. */
    if (strcmp(root->name, "ServerSideEncryptionConfiguration") != 0)
        return unsupported(err);
    if (kms_key.size >= sizeof out->kms_key)
        return kb_error_set(err, KB_ERR_REMOTE, "the bucket's KMS key has an absurd name");
    out->sse = find_algorithm(s3_xml_text(by_default, "SSEAlgorithm"));
    if (kms_key.size)
        memcpy(out->kms_key, kms_key.data, kms_key.size);
    out->bucket_key = is_text(s3_xml_text(rule, "BucketKeyEnabled"), "true");
    out->blocks_told = blocked != NULL;
    for (const struct s3_element *type = blocked ? blocked->first : NULL; type; type = type->next)
        if (strcmp(type->name, "EncryptionType") == 0 && is_text(type->text, "SSE-C"))
            out->blocks_sse_c = true;
    return KB_OK;
}

enum kb_status kb_s3_get_bucket_encryption(struct kb_s3 *s3, const char *bucket,
                                           struct kb_s3_bucket_encryption *out,
                                           struct kb_error *err)
{
    struct s3_call call;
    struct s3_element *root;
    struct kb_error error = {0};
    enum kb_status status;

    begin(&call, "GET", "GetBucketEncryption", bucket, "encryption");
    status = get_document(s3, &call, &root, &error);
    *out = (struct kb_s3_bucket_encryption){.sse = KB_S3_SSE_NONE};
    if (status == KB_OK)
        status = read_rule(out, root, err);
    else if (strcmp(call.answer.code, "ServerSideEncryptionConfigurationNotFoundError") == 0)
        status = KB_OK;
    else if (is_unknown_call(call.answer.status))
        status = unsupported(err);
    else if (err && err->status == KB_OK)
        *err = error;
    s3_call_end(&call);
    return status;
}

static void put_rule(struct kb_buffer *out, const struct kb_s3_bucket_encryption *rule)
{
    kb_buffer_put_text(out, "<ServerSideEncryptionConfiguration xmlns=\"" NAMESPACE "\"><Rule>"
                            "<ApplyServerSideEncryptionByDefault><SSEAlgorithm>");
    kb_buffer_put_text(out, algorithm_name(rule->sse));
    kb_buffer_put_text(out, "</SSEAlgorithm>");
    if (rule->kms_key[0]) {
        kb_buffer_put_text(out, "<KMSMasterKeyID>");
        s3_xml_escape(out, kb_bytes_text(rule->kms_key));
        kb_buffer_put_text(out, "</KMSMasterKeyID>");
    }
    kb_buffer_put_text(out, "</ApplyServerSideEncryptionByDefault>");
    if (rule->blocks_told) {
        kb_buffer_put_text(out, "<BlockedEncryptionTypes><EncryptionType>");
        kb_buffer_put_text(out, rule->blocks_sse_c ? "SSE-C" : "NONE");
        kb_buffer_put_text(out, "</EncryptionType></BlockedEncryptionTypes>");
    }
    if (rule->bucket_key)
        kb_buffer_put_text(out, "<BucketKeyEnabled>true</BucketKeyEnabled>");
    kb_buffer_put_text(out, "</Rule></ServerSideEncryptionConfiguration>");
}

enum kb_status kb_s3_set_bucket_encryption(struct kb_s3 *s3, const char *bucket,
                                           const struct kb_s3_bucket_encryption *encryption,
                                           struct kb_error *err)
{
    struct kb_buffer document = KB_BUFFER_INIT(DOCUMENT_MAX);
    struct s3_call call;
    struct kb_s3_bucket_encryption rule, old;
    /* The call replaces the whole rule: what is not being set is kept. It also
     * keeps PUT from servers that would not know what it means. */
    enum kb_status status = kb_s3_get_bucket_encryption(s3, bucket, &old, err);

    if (status != KB_OK)
        return status;
    rule = encryption->sse == KB_S3_SSE_NONE ? old : *encryption;
    if (rule.sse == KB_S3_SSE_NONE)
        rule.sse = KB_S3_SSE_S3; /* AWS's own default */
    rule.blocks_told = encryption->blocks_told || old.blocks_told;
    rule.blocks_sse_c =
        encryption->blocks_told ? encryption->blocks_sse_c : old.blocks_sse_c;
    if (!algorithm_name(rule.sse))
        return kb_error_set(err, encryption->sse == KB_S3_SSE_NONE ? KB_ERR_REMOTE : KB_ERR_USAGE,
                            "buckets cannot have this kind of default encryption");
    put_rule(&document, &rule);
    begin(&call, "PUT", "PutBucketEncryption", bucket, "encryption");
    return put_document(s3, &call, &document, err);
}

/* --- policy ----------------------------------------------------------------------------------- */

enum kb_status kb_s3_get_bucket_policy(struct kb_s3 *s3, const char *bucket, struct kb_buffer *out,
                                       struct kb_error *err)
{
    struct s3_call call;
    enum kb_status status;

    begin(&call, "GET", "GetBucketPolicy", bucket, "policy");
    status = s3_call_run(s3, &call, err);
    if (status == KB_OK) {
        kb_buffer_put_bytes(out, kb_buffer_view(&call.answer.body));
        status = kb_buffer_check(out, err);
    }
    s3_call_end(&call);
    return status;
}

enum kb_status kb_s3_set_bucket_policy(struct kb_s3 *s3, const char *bucket, struct kb_bytes json,
                                       struct kb_error *err)
{
    struct kb_buffer document = KB_BUFFER_INIT(DOCUMENT_MAX);
    struct s3_call call;

    if (json.size > DOCUMENT_MAX)
        return kb_error_set(err, KB_ERR_USAGE, "the policy is too long");
    kb_buffer_put_bytes(&document, json);
    begin(&call, "PUT", "PutBucketPolicy", bucket, "policy");
    return put_document(s3, &call, &document, err);
}

enum kb_status kb_s3_delete_bucket_policy(struct kb_s3 *s3, const char *bucket,
                                          struct kb_error *err)
{
    struct s3_call call;

    begin(&call, "DELETE", "DeleteBucketPolicy", bucket, "policy");
    return run(s3, &call, err);
}
