/* SPDX-License-Identifier: Apache-2.0
 *
 * The AWS KMS API on the call path. Answers that hold a key are read in
 * buffers that are wiped; the key itself goes straight into a secret.
 */
#include <keybridge/kms.h>

#include "attr/attr.h"
#include "attr/json.h"
#include "aws/aws.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

enum {
    BODY_MAX = 128 * 1024,
    DATA_KEY_MAX = 1024,
    CONTEXT_MAX = 64, /* pairs; KMS counts bytes, 8,192 of them */
    GRANT_TOKENS_MAX = 10,
};

struct kb_kms {
    struct kb_aws *aws;
};

enum kb_status kb_kms_open(struct kb_kms **out, const struct kb_aws_options *options,
                           struct kb_error *err)
{
    static const struct kb_aws_options none;
    struct kb_kms *kms = calloc(1, sizeof *kms);
    enum kb_status status;

    *out = NULL;
    if (!kms)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    status = kb_aws_open(&kms->aws, &kb_aws_kms, options ? options : &none, err);
    if (status == KB_OK)
        *out = kms;
    else
        free(kms);
    return status;
}

void kb_kms_close(struct kb_kms *kms)
{
    if (!kms)
        return;
    kb_aws_close(kms->aws);
    free(kms);
}

/* --- requests -------------------------------------------------------------- */

static void put_name(struct kb_buffer *out, const char *name)
{
    kb_buffer_put_text(out, out->size == 1 ? "\"" : ",\"");
    kb_buffer_put_text(out, name);
    kb_buffer_put_text(out, "\":");
}

static void put_text(struct kb_buffer *out, const char *name, const char *text)
{
    put_name(out, name);
    kb_json_put_text(out, kb_bytes_text(text));
}

static void put_base64(struct kb_buffer *out, const char *name, struct kb_bytes bytes)
{
    put_name(out, name);
    kb_buffer_put_u8(out, '"');
    kb_base64_format(out, bytes);
    kb_buffer_put_u8(out, '"');
}

static enum kb_status put_context(struct kb_buffer *out, const struct kb_kms_job *job,
                                  struct kb_error *err)
{
    if (job->context_count > CONTEXT_MAX)
        return kb_error_set(err, KB_ERR_USAGE, "an encryption context of more than %d entries",
                            CONTEXT_MAX);
    if (!job->context_count)
        return KB_OK;
    put_name(out, "EncryptionContext");
    for (size_t i = 0; i < job->context_count; i++) {
        const struct kb_pair *pair = &job->context[i];

        if (!kb_utf8_valid(pair->name) || !kb_utf8_valid(pair->value))
            return kb_error_set(err, KB_ERR_USAGE, "the encryption context is not UTF-8");
        for (size_t j = 0; j < i; j++)
            if (kb_bytes_equal(pair->name, job->context[j].name))
                return kb_error_set(err, KB_ERR_USAGE,
                                    "the encryption context names '%.*s' twice",
                                    pair->name.size < 80 ? (int)pair->name.size : 80,
                                    pair->name.size ? (const char *)pair->name.data : "");
        kb_buffer_put_u8(out, i ? ',' : '{');
        kb_json_put_text(out, pair->name);
        kb_buffer_put_u8(out, ':');
        kb_json_put_text(out, pair->value);
    }
    kb_buffer_put_u8(out, '}');
    return KB_OK;
}

static enum kb_status put_tokens(struct kb_buffer *out, const struct kb_kms_job *job,
                                 struct kb_error *err)
{
    if (job->grant_token_count > GRANT_TOKENS_MAX)
        return kb_error_set(err, KB_ERR_USAGE, "more than %d grant tokens", GRANT_TOKENS_MAX);
    if (!job->grant_token_count)
        return KB_OK;
    put_name(out, "GrantTokens");
    for (size_t i = 0; i < job->grant_token_count; i++) {
        kb_buffer_put_u8(out, i ? ',' : '[');
        kb_json_put_text(out, kb_bytes_text(job->grant_tokens[i]));
    }
    kb_buffer_put_u8(out, ']');
    return KB_OK;
}

static enum kb_status check_job(const struct kb_kms_job *job, struct kb_error *err)
{
    const char *id = job->key_id;
    bool given = id && id[0];

    if (id && (strlen(id) > KB_KMS_KEY_ID_MAX || !kb_utf8_valid(kb_bytes_text(id))))
        return kb_error_set(err, KB_ERR_USAGE, "that is not the name of a KMS key");
    if (!given && job->operation != KB_KMS_DECRYPT)
        return kb_error_set(err, KB_ERR_USAGE, "the KMS key is missing");
    switch (job->operation) {
    case KB_KMS_ENCRYPT:
        if (job->in.size < 1 || job->in.size > KB_KMS_PLAIN_MAX)
            return kb_error_set(err, KB_ERR_USAGE, "KMS encrypts 1 to %d bytes, not %zu",
                                KB_KMS_PLAIN_MAX, job->in.size);
        return KB_OK;
    case KB_KMS_DECRYPT:
        if (job->in.size < 1 || job->in.size > KB_KMS_CIPHERTEXT_MAX)
            return kb_error_set(err, KB_ERR_USAGE, "KMS decrypts 1 to %d bytes, not %zu",
                                KB_KMS_CIPHERTEXT_MAX, job->in.size);
        return KB_OK;
    case KB_KMS_GENERATE_DATA_KEY:
        if (job->size < 1 || job->size > DATA_KEY_MAX)
            return kb_error_set(err, KB_ERR_USAGE, "a data key has 1 to %d bytes, not %zu",
                                DATA_KEY_MAX, job->size);
        return KB_OK;
    }
    return kb_error_set(err, KB_ERR_USAGE, "unknown KMS operation");
}

static enum kb_status put_job(struct kb_buffer *out, const struct kb_kms_job *job,
                              struct kb_error *err)
{
    enum kb_status status = check_job(job, err);
    char digits[5];
    size_t size = job->size, at = sizeof digits - 1;

    if (status != KB_OK)
        return status;
    kb_buffer_put_u8(out, '{');
    if (job->key_id && job->key_id[0])
        put_text(out, "KeyId", job->key_id);
    if (job->operation == KB_KMS_ENCRYPT)
        put_base64(out, "Plaintext", job->in);
    if (job->operation == KB_KMS_DECRYPT)
        put_base64(out, "CiphertextBlob", job->in);
    if (job->operation == KB_KMS_GENERATE_DATA_KEY) {
        for (digits[at] = 0; size; size /= 10)
            digits[--at] = (char)('0' + size % 10);
        put_name(out, "NumberOfBytes");
        kb_buffer_put_text(out, digits + at);
    }
    status = put_context(out, job, err);
    if (status == KB_OK)
        status = put_tokens(out, job, err);
    kb_buffer_put_u8(out, '}');
    return status == KB_OK ? kb_buffer_check(out, err) : status;
}

/* --- answers --------------------------------------------------------------- */

static enum kb_status refuse(const char *operation, struct kb_error *err)
{
    return kb_error_set(err, KB_ERR_REMOTE, "the server's answer to %s is not what KMS sends",
                        operation);
}

/* What stands in a string of base64; some servers escape its slashes. Nothing
 * is left of it elsewhere. */
static bool read_base64(struct kb_buffer *out, struct kb_bytes value)
{
    struct kb_buffer text = KB_BUFFER_INIT(2 * KB_KMS_CIPHERTEXT_MAX);
    bool good = value.size >= 2 && value.data[0] == '"' && value.size - 2 <= text.max;

    text.wipe = true;
    for (size_t i = 1; good && i + 1 < value.size; i++) {
        if (value.data[i] == '\\' && value.data[i + 1] == '/')
            continue;
        kb_buffer_put_u8(&text, value.data[i]);
    }
    good = good && !text.failed && kb_base64_parse(out, kb_buffer_view(&text));
    kb_buffer_free(&text);
    return good;
}

static enum kb_status read_secret(struct kb_secret **out, struct kb_bytes value,
                                  const char *operation, struct kb_error *err)
{
    struct kb_buffer plain = KB_BUFFER_INIT(KB_KMS_PLAIN_MAX);
    enum kb_status status;

    plain.wipe = true;
    if (read_base64(&plain, value) && plain.size)
        status = kb_secret_copy(out, kb_buffer_view(&plain), err);
    else
        status = refuse(operation, err);
    kb_buffer_free(&plain);
    return status;
}

static enum kb_status read_job(struct kb_kms_job *job, const char *operation,
                               struct kb_bytes answer, struct kb_error *err)
{
    struct kb_arena arena = KB_ARENA_INIT;
    struct kb_bytes whole, plain, blob;
    struct kb_json json;
    enum kb_status status = KB_OK;
    bool wants_plain = job->operation != KB_KMS_ENCRYPT;
    bool wants_blob = job->operation != KB_KMS_DECRYPT;

    kb_json_open(&json, answer, &arena);
    if (!kb_json_value(&json, &whole) || !kb_json_close(&json)) {
        status = refuse(operation, err);
    } else {
        plain = kb_json_find(whole, "Plaintext", &arena);
        blob = kb_json_find(whole, "CiphertextBlob", &arena);
        if (!kb_json_copy(job->answered_key_id, sizeof job->answered_key_id,
                          kb_json_find(whole, "KeyId", &arena), &arena) ||
            !job->answered_key_id[0])
            status = refuse(operation, err);
        if (status == KB_OK && wants_blob && (!read_base64(&job->ciphertext, blob) ||
                                              !job->ciphertext.size))
            status = refuse(operation, err);
        if (status == KB_OK && wants_plain)
            status = read_secret(&job->plain, plain, operation, err);
    }
    if (status == KB_OK && job->operation == KB_KMS_GENERATE_DATA_KEY &&
        kb_secret_view(job->plain).size != job->size)
        status = refuse(operation, err);
    kb_arena_free(&arena);
    return status;
}

/* What the service's codes mean beyond what they mean for every service. */
static enum kb_status explain(const struct kb_aws_call *call, const char *key_id,
                              struct kb_error *err)
{
    const char *key = key_id && key_id[0] ? key_id : "of the ciphertext";

    if (strcmp(call->code, "DisabledException") == 0)
        return kb_error_set(err, KB_ERR_DENIED, "the KMS key %.200s is disabled", key);
    if (strcmp(call->code, "KMSInvalidStateException") == 0) {
        kb_error_set(err, KB_ERR_DENIED, "the KMS key %.200s is in no state to be used", key);
        kb_error_hint(err, "it may be due for deletion, or wait for its key material");
        return KB_ERR_DENIED;
    }
    if (call->status == KB_ERR_NOT_FOUND) {
        kb_error_set(err, KB_ERR_NOT_FOUND, "there is no KMS key %.200s", key);
        kb_error_hint(err, "check the region, the account and the name");
        return KB_ERR_NOT_FOUND;
    }
    if (call->status == KB_ERR_AUTH)
        return kb_error_set(err, KB_ERR_AUTH, "KMS does not open it: it was altered, or is not "
                                              "under this key and encryption context");
    if (err && err->status == KB_OK)
        *err = call->error;
    return call->status;
}

/* --- many calls ------------------------------------------------------------ */

static const char *operation_name(enum kb_kms_operation operation)
{
    return operation == KB_KMS_ENCRYPT   ? "Encrypt"
           : operation == KB_KMS_DECRYPT ? "Decrypt"
                                         : "GenerateDataKey";
}

/* The key as permissions name it; they know no aliases. */
static void put_resource(struct kb_buffer *out, const struct kb_kms *kms, const char *key_id)
{
    bool key = key_id && key_id[0] && strncmp(key_id, "alias/", 6) != 0;

    if (key && strncmp(key_id, "arn:", 4) == 0 && !strstr(key_id, ":alias/")) {
        kb_buffer_put_text(out, key_id);
    } else {
        kb_buffer_put_text(out, "arn:aws:kms:");
        kb_buffer_put_text(out, kb_aws_region(kms->aws));
        kb_buffer_put_text(out, ":*:key/");
        kb_buffer_put_text(out, key && strncmp(key_id, "arn:", 4) != 0 ? key_id : "*");
    }
    kb_buffer_put_u8(out, 0);
}

/* A job's request; lives while its call does. */
struct request {
    struct kb_buffer body;
    struct kb_buffer resource;
    struct kb_kms_job *job;
};

static enum kb_status prepare(struct request *request, struct kb_aws_call *call,
                              const struct kb_kms *kms, struct kb_kms_job *job,
                              struct kb_error *err)
{
    enum kb_status status;

    request->job = job;
    request->body = (struct kb_buffer)KB_BUFFER_INIT(BODY_MAX);
    request->body.wipe = job->operation == KB_KMS_ENCRYPT;
    request->resource = (struct kb_buffer)KB_BUFFER_INIT(BODY_MAX);
    status = put_job(&request->body, job, err);
    if (status != KB_OK)
        return status;
    put_resource(&request->resource, kms, job->key_id);
    *call = (struct kb_aws_call){
        .operation = operation_name(job->operation),
        .resource = (const char *)request->resource.data,
        .body = kb_buffer_view(&request->body),
        .secret = job->operation != KB_KMS_ENCRYPT,
    };
    return kb_buffer_check(&request->resource, err);
}

static void take_answer(struct kb_kms_job *job, struct kb_aws_call *call)
{
    if (call->status == KB_OK)
        job->status = read_job(job, call->operation, kb_buffer_view(&call->response), &job->error);
    else
        job->status = explain(call, job->key_id, &job->error);
    if (job->status != KB_OK) {
        kb_secret_free(job->plain);
        job->plain = NULL;
        kb_buffer_reset(&job->ciphertext);
    }
}

enum kb_status kb_kms_run(struct kb_kms *kms, struct kb_kms_job *jobs, size_t n,
                          struct kb_error *err)
{
    struct request *requests = calloc(n ? n : 1, sizeof *requests);
    struct kb_aws_call *calls = calloc(n ? n : 1, sizeof *calls);
    enum kb_status status = KB_OK;
    size_t count = 0;

    if (!requests || !calls)
        status = kb_error_set(err, KB_ERR_MEMORY, "no memory");
    for (size_t i = 0; i < n; i++) {
        jobs[i].plain = NULL;
        jobs[i].ciphertext = (struct kb_buffer)KB_BUFFER_INIT(KB_KMS_CIPHERTEXT_MAX);
        jobs[i].answered_key_id[0] = 0;
        kb_error_clear(&jobs[i].error);
        if (status != KB_OK)
            continue;
        jobs[i].status =
            prepare(&requests[count], &calls[count], kms, &jobs[i], &jobs[i].error);
        if (jobs[i].status == KB_OK) {
            count++;
        } else {
            kb_buffer_free(&requests[count].body);
            kb_buffer_free(&requests[count].resource);
        }
    }
    if (status == KB_OK && count)
        status = kb_aws_run(kms->aws, calls, count, err);
    for (size_t i = 0; i < count; i++) {
        if (status == KB_OK)
            take_answer(requests[i].job, &calls[i]);
        kb_aws_call_free(&calls[i]);
        kb_buffer_free(&requests[i].body);
        kb_buffer_free(&requests[i].resource);
    }
    free(requests);
    free(calls);
    return status;
}

void kb_kms_job_free(struct kb_kms_job *job)
{
    kb_secret_free(job->plain);
    job->plain = NULL;
    kb_buffer_free(&job->ciphertext);
}

/* --- keys ------------------------------------------------------------------ */

static enum kb_status read_key(struct kb_kms_key *out, const char *operation,
                               struct kb_bytes answer, struct kb_error *err)
{
    struct kb_arena arena = KB_ARENA_INIT;
    struct kb_json json;
    struct kb_bytes whole, key;
    enum kb_status status = KB_OK;
    const struct {
        const char *name;
        char *to;
        size_t room;
    } members[] = {
        {"KeyId", out->id, sizeof out->id},
        {"Arn", out->arn, sizeof out->arn},
        {"KeyState", out->state, sizeof out->state},
        {"KeyUsage", out->usage, sizeof out->usage},
        {"KeySpec", out->spec, sizeof out->spec},
        {"KeyManager", out->manager, sizeof out->manager},
        {"Origin", out->origin, sizeof out->origin},
        {"Description", out->description, sizeof out->description},
    };

    memset(out, 0, sizeof *out);
    kb_json_open(&json, answer, &arena);
    if (!kb_json_value(&json, &whole) || !kb_json_close(&json))
        status = refuse(operation, err);
    key = status == KB_OK ? kb_json_find(whole, "KeyMetadata", &arena) : whole;
    for (size_t i = 0; status == KB_OK && i < sizeof members / sizeof *members; i++) {
        struct kb_bytes value = kb_json_find(key, members[i].name, &arena);

        if (value.size && value.data[0] == '"' &&
            !kb_json_copy(members[i].to, members[i].room, value, &arena))
            status = refuse(operation, err);
    }
    if (status == KB_OK && (!out->id[0] || !out->arn[0]))
        status = refuse(operation, err);
    kb_arena_free(&arena);
    return status;
}

static enum kb_status call_for_key(struct kb_kms *kms, struct kb_aws_call *call,
                                   const char *key_id, struct kb_kms_key *out,
                                   struct kb_error *err)
{
    struct kb_error why = {0};
    enum kb_status status = kb_aws_call_one(kms->aws, call, &why);

    if (status == KB_OK)
        status = read_key(out, call->operation, kb_buffer_view(&call->response), err);
    else if (call->status != KB_OK)
        status = explain(call, key_id, err);
    else if (err && err->status == KB_OK)
        *err = why;
    kb_aws_call_free(call);
    return status;
}

enum kb_status kb_kms_create_key(struct kb_kms *kms, const char *description,
                                 struct kb_kms_key *out, struct kb_error *err)
{
    struct kb_buffer body = KB_BUFFER_INIT(BODY_MAX);
    /* Sent twice, it may make two keys, each of which costs. */
    struct kb_aws_call call = {
        .operation = "CreateKey", .resource = "*", .repeatable_only_unsent = true};
    enum kb_status status;

    memset(out, 0, sizeof *out);
    if (description && !kb_utf8_valid(kb_bytes_text(description)))
        return kb_error_set(err, KB_ERR_USAGE, "the description of the key is not UTF-8");
    kb_buffer_put_u8(&body, '{');
    if (description)
        put_text(&body, "Description", description);
    put_text(&body, "KeyUsage", "ENCRYPT_DECRYPT");
    put_text(&body, "KeySpec", "SYMMETRIC_DEFAULT");
    kb_buffer_put_u8(&body, '}');
    status = kb_buffer_check(&body, err);
    call.body = kb_buffer_view(&body);
    if (status == KB_OK)
        status = call_for_key(kms, &call, NULL, out, err);
    kb_buffer_free(&body);
    return status;
}

enum kb_status kb_kms_describe_key(struct kb_kms *kms, const char *key_id,
                                   struct kb_kms_key *out, struct kb_error *err)
{
    struct kb_buffer body = KB_BUFFER_INIT(BODY_MAX), resource = KB_BUFFER_INIT(BODY_MAX);
    struct kb_aws_call call = {.operation = "DescribeKey"};
    enum kb_status status;

    memset(out, 0, sizeof *out);
    if (!key_id || !key_id[0] || strlen(key_id) > KB_KMS_KEY_ID_MAX ||
        !kb_utf8_valid(kb_bytes_text(key_id)))
        return kb_error_set(err, KB_ERR_USAGE, "that is not the name of a KMS key");
    kb_buffer_put_u8(&body, '{');
    put_text(&body, "KeyId", key_id);
    kb_buffer_put_u8(&body, '}');
    put_resource(&resource, kms, key_id);
    status = kb_buffer_check(&body, err);
    if (status == KB_OK)
        status = kb_buffer_check(&resource, err);
    call.body = kb_buffer_view(&body);
    call.resource = (const char *)resource.data;
    if (status == KB_OK)
        status = call_for_key(kms, &call, key_id, out, err);
    kb_buffer_free(&body);
    kb_buffer_free(&resource);
    return status;
}
