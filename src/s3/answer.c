/* SPDX-License-Identifier: Apache-2.0
 *
 * What S3's answers mean. Sources: "Error responses", Amazon S3 API Reference;
 * Ceph 16, MinIO and moto as they were seen to answer. No state and no network.
 */
#include "s3/client.h"

#include <stdio.h>
#include <string.h>

/* No error's document is longer. */
enum { ERROR_MAX = 64 * 1024 };

enum meaning {
    BY_STATUS, /* the code says no more than the status */
    REPEAT,
    THROTTLED,
    DAMAGED,
    MISSING,
    EXISTS,
    CONDITION,
    WRONG_KEYS,
    CLOCK,
    EXPIRED,
    FORBIDDEN,
    UNKNOWN_CALL,
    ARGUMENT, /* may be about a customer key */
    CHANGED,
    ARCHIVED,
};

static const struct {
    const char *code;
    enum meaning meaning;
} codes[] = {
    {"InternalError", REPEAT},
    {"ServiceUnavailable", REPEAT},
    {"RequestTimeout", REPEAT},
    {"OperationAborted", REPEAT},
    {"ConditionalRequestConflict", REPEAT},
    {"ServerNotInitialized", REPEAT},
    {"XMinioServerNotInitialized", REPEAT},
    {"SlowDown", THROTTLED},
    {"SlowDownRead", THROTTLED},
    {"SlowDownWrite", THROTTLED},
    {"Throttling", THROTTLED},
    {"ThrottlingException", THROTTLED},
    {"RequestLimitExceeded", THROTTLED},
    {"BandwidthLimitExceeded", THROTTLED},
    {"TooManyRequests", THROTTLED},
    {"BadDigest", DAMAGED},
    {"IncompleteBody", DAMAGED},
    {"XAmzContentSHA256Mismatch", DAMAGED},
    {"XAmzContentChecksumMismatch", DAMAGED},
    {"NoSuchKey", MISSING},
    {"NoSuchBucket", MISSING},
    {"NoSuchVersion", MISSING},
    {"NoSuchUpload", MISSING},
    {"NoSuchBucketPolicy", MISSING},
    {"NoSuchTagSet", MISSING},
    {"NoSuchTagSetError", MISSING},
    {"NoSuchConfiguration", MISSING},
    {"NotFound", MISSING},
    {"ServerSideEncryptionConfigurationNotFoundError", MISSING},
    {"ObjectLockConfigurationNotFoundError", MISSING},
    {"BucketAlreadyExists", EXISTS},
    {"BucketAlreadyOwnedByYou", EXISTS},
    {"PreconditionFailed", CONDITION},
    {"InvalidAccessKeyId", WRONG_KEYS},
    {"SignatureDoesNotMatch", WRONG_KEYS},
    {"InvalidSecurity", WRONG_KEYS},
    {"InvalidToken", WRONG_KEYS},
    {"AuthorizationHeaderMalformed", WRONG_KEYS},
    {"RequestTimeTooSkewed", CLOCK},
    {"RequestExpired", CLOCK},
    {"ExpiredToken", EXPIRED},
    {"TokenRefreshRequired", EXPIRED},
    {"AccessDenied", FORBIDDEN},
    {"AllAccessDisabled", FORBIDDEN},
    {"AccountProblem", FORBIDDEN},
    {"NotSignedUp", FORBIDDEN},
    {"NotImplemented", UNKNOWN_CALL},
    {"MethodNotAllowed", UNKNOWN_CALL},
    {"InvalidArgument", ARGUMENT},
    {"InvalidRequest", ARGUMENT},
    {"InvalidPart", CHANGED},
    {"InvalidPartOrder", CHANGED},
    {"InvalidObjectState", ARCHIVED},
};

/* --- the document ---------------------------------------------------------------------- */

static void copy_text(char *out, size_t room, const struct s3_element *root, const char *name)
{
    struct kb_bytes text = s3_xml_text(root, name);

    snprintf(out, room, "%.*s", (int)(text.size < room ? text.size : room - 1),
             text.size ? (const char *)text.data : "");
}

void s3_trouble_read(struct s3_trouble *out, struct kb_bytes body)
{
    struct kb_arena arena = KB_ARENA_INIT;
    struct s3_element *root;

    *out = (struct s3_trouble){.there = false};
    if (body.size == 0 || body.size > ERROR_MAX || !memmem(body.data, body.size, "Error", 5))
        return;
    if (s3_xml_parse(&root, body, &arena, NULL) == KB_OK && strcmp(root->name, "Error") == 0) {
        out->there = true;
        copy_text(out->code, sizeof out->code, root, "Code");
        copy_text(out->message, sizeof out->message, root, "Message");
        copy_text(out->region, sizeof out->region, root, "Region");
    }
    kb_arena_free(&arena);
}

static enum meaning meaning_of(const char *code)
{
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (strcmp(codes[i].code, code) == 0)
            return codes[i].meaning;
    return BY_STATUS;
}

/* --- what was asked ----------------------------------------------------------------------- */

static const struct s3_request *request_of(const struct kb_aws_answer *answer)
{
    return answer->ctx;
}

static bool has_header(const struct s3_request *request, const char *name)
{
    for (size_t i = 0; i < request->header_count; i++)
        if (strcasecmp(request->headers[i].name, name) == 0)
            return true;
    return false;
}

static bool is_head(const struct s3_request *request)
{
    return strcmp(request->method, "HEAD") == 0;
}

static bool writes(const struct s3_request *request)
{
    return strcmp(request->method, "PUT") == 0 || strcmp(request->method, "POST") == 0;
}

/* "s3://bucket/key", for sentences. */
struct label {
    char text[200];
};
static struct label label_of(const struct s3_request *request)
{
    struct label label;

    if (!request->bucket)
        snprintf(label.text, sizeof label.text, "the service");
    else
        snprintf(label.text, sizeof label.text, "s3://%s%s%s", request->bucket,
                 request->key ? "/" : "", request->key ? request->key : "");
    return label;
}

/* --- sentences ---------------------------------------------------------------------------- */

static void say(const struct kb_aws_answer *answer, const struct s3_trouble *trouble,
                enum kb_status status, struct kb_error *err)
{
    const char *message = trouble->message, *code = trouble->code;

    if (message[0] && code[0])
        kb_error_set(err, status, "s3:%s of %s: %s (%s)", answer->operation,
                     label_of(request_of(answer)).text, message, code);
    else if (message[0] || code[0])
        kb_error_set(err, status, "s3:%s of %s: %s", answer->operation,
                     label_of(request_of(answer)).text, message[0] ? message : code);
    else
        kb_error_set(err, status, "s3:%s of %s: the server answered with HTTP status %u",
                     answer->operation, label_of(request_of(answer)).text, answer->status);
}

static void say_missing(const struct kb_aws_answer *answer, const struct s3_trouble *trouble,
                        struct kb_error *err)
{
    const struct s3_request *request = request_of(answer);

    if (strcmp(trouble->code, "NoSuchBucket") == 0)
        kb_error_set(err, KB_ERR_NOT_FOUND, "there is no bucket %s",
                     request->bucket ? request->bucket : "of that name");
    else if (strcmp(trouble->code, "NoSuchBucketPolicy") == 0)
        kb_error_set(err, KB_ERR_NOT_FOUND, "the bucket %s has no policy", request->bucket);
    else if (strcmp(trouble->code, "NoSuchUpload") == 0)
        kb_error_set(err, KB_ERR_NOT_FOUND, "the server does not know the upload of %s any more",
                     label_of(request).text);
    else if (kb_http_find_header(answer->headers, "x-amz-delete-marker").size)
        kb_error_set(err, KB_ERR_NOT_FOUND, "%s was deleted", label_of(request).text);
    else if (request->key)
        kb_error_set(err, KB_ERR_NOT_FOUND, "there is no %s", label_of(request).text);
    else
        say(answer, trouble, KB_ERR_NOT_FOUND, err);
}

/* Actions are named after the operations, but for these. */
static const char *action_of(const char *operation)
{
    static const struct {
        const char *operation, *action;
    } rows[] = {
        {"HeadObject", "GetObject"},
        {"CopyObject", "PutObject"},
        {"CreateMultipartUpload", "PutObject"},
        {"UploadPart", "PutObject"},
        {"UploadPartCopy", "PutObject"},
        {"CompleteMultipartUpload", "PutObject"},
        {"ListParts", "ListMultipartUploadParts"},
        {"ListObjectsV2", "ListBucket"},
        {"HeadBucket", "ListBucket"},
        {"ListObjectVersions", "ListBucketVersions"},
        {"ListMultipartUploads", "ListBucketMultipartUploads"},
        {"ListBuckets", "ListAllMyBuckets"},
        {"PutBucketEncryption", "PutEncryptionConfiguration"},
        {"GetBucketEncryption", "GetEncryptionConfiguration"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(rows[i].operation, operation) == 0)
            return rows[i].action;
    return operation;
}

/* "arn:aws:s3:::bucket/key" */
static void put_arn(char *out, size_t room, const struct kb_aws_answer *answer)
{
    const struct s3_request *request = request_of(answer);
    const char *partition = strncmp(answer->region, "cn-", 3) == 0        ? "aws-cn"
                            : strncmp(answer->region, "us-gov-", 7) == 0 ? "aws-us-gov"
                                                                          : "aws";

    snprintf(out, room, "arn:%s:s3:::%s%s%s", partition, request->bucket ? request->bucket : "*",
             request->key ? "/" : "", request->key ? request->key : "");
}

static void say_forbidden(const struct kb_aws_answer *answer, struct kb_error *err)
{
    const struct s3_request *request = request_of(answer);
    const char *action = action_of(answer->operation);
    bool version = request->query && strstr(request->query, "versionId=") &&
                   (strcmp(action, "GetObject") == 0 || strcmp(action, "DeleteObject") == 0);
    bool puts = writes(request) && request->key;
    bool amazon = strstr(answer->endpoint, ".amazonaws.com") != NULL;
    char arn[KB_S3_KEY_MAX + 128], hint[2048];

    put_arn(arn, sizeof arn, answer);
    if (request->with_key && writes(request)) {
        kb_error_set(err, KB_ERR_DENIED, "s3:%s with a customer key (SSE-C) is denied on %s",
                     action, label_of(request).text);
        if (amazon)
            kb_error_hint(err,
                          "AWS's new buckets refuse SSE-C until `keybridge s3 bucket allow-sse-c "
                          "s3://%s`; else the credentials' policy does not allow s3:%s, or the "
                          "bucket's denies it",
                          request->bucket, action);
        else
            kb_error_hint(err, "the credentials' policy does not allow s3:%s, or the bucket's "
                               "denies it: it may require another encryption",
                          action);
        return;
    }
    kb_error_set(err, KB_ERR_DENIED, "s3:%s%s is not allowed for these credentials on %s", action,
                 version ? "Version" : "", label_of(request).text);
    if (request->with_key)
        kb_error_hint(err, "or the customer key is not the object's: AWS says no more than this");
    snprintf(hint, sizeof hint,
             "their policy needs {\"Effect\":\"Allow\",\"Action\":\"s3:%s%s\",\"Resource\":"
             "\"%s\"}%s",
             action, version ? "Version" : "", arn,
             puts ? ", or the bucket's policy denies it: it may require encryption" : "");
    /* Half a statement would be no help. */
    if (strlen(hint) < sizeof err->hint)
        kb_error_hint(err, "%s", hint);
    else
        kb_error_hint(err, "their policy needs to allow s3:%s%s on it%s", action,
                      version ? "Version" : "",
                      puts ? ", and the bucket's not to deny it" : "");
}

/* "Blocking or unblocking SSE-C for a general purpose bucket", Amazon S3 User
 * Guide. The code is that of every denial; the message names the cause. */
static void say_blocked(const struct s3_request *request, struct kb_error *err)
{
    kb_error_set(err, KB_ERR_DENIED, "the bucket %s takes no uploads under customer keys (SSE-C)",
                 request->bucket);
    kb_error_hint(err, "AWS's buckets refuse them since April 2026; `keybridge s3 bucket "
                       "allow-sse-c s3://%s` lets them in", request->bucket);
}

static void say_wrong_keys(const struct kb_aws_answer *answer, const struct s3_trouble *trouble,
                           struct kb_error *err)
{
    if (trouble->region[0] && strcmp(trouble->region, answer->region) != 0) {
        kb_error_set(err, KB_ERR_DENIED, "%s does not take requests signed for region %s",
                     answer->endpoint, answer->region);
        kb_error_hint(err, "it names the region %s: --region or AWS_REGION sets it",
                      trouble->region);
        return;
    }
    kb_error_set(err, KB_ERR_DENIED, "%s does not accept the credentials from %s (%s)",
                 answer->endpoint, answer->source, trouble->code);
    /* Ceph has no other code for it. */
    if (has_header(request_of(answer), "x-amz-server-side-encryption-aws-kms-key-id"))
        kb_error_hint(err, "or there is no KMS key of that name: the server says no more");
    else
        kb_error_hint(err, "check the access key id and the secret key, and that they are of the "
                           "account that the endpoint belongs to");
}

static void say_clock(const struct kb_aws_answer *answer, const struct s3_trouble *trouble,
                      struct kb_error *err)
{
    kb_error_set(err, KB_ERR_DENIED, "%s does not accept the time of the signature (%s)",
                 answer->endpoint, trouble->code);
    kb_error_hint(err, "this machine's clock or the server's is wrong: set it, best by NTP");
}

static void say_condition(const struct kb_aws_answer *answer, struct kb_error *err)
{
    const struct s3_request *request = request_of(answer);

    if (has_header(request, "If-None-Match"))
        kb_error_set(err, KB_ERR_EXISTS, "%s exists already", label_of(request).text);
    else
        kb_error_set(err, KB_ERR_INPUT, "%s has changed in the meantime", label_of(request).text);
}

/* --- customer keys ------------------------------------------------------------------ */

/* Whether an error that is as good as any other is about the object's key. The
 * codes are the same as of other mistakes; the messages are not. */
static bool about_key(const struct s3_request *request, const struct s3_trouble *trouble)
{
    static const char *const words[] = {"server side encryption", "server-side encryption",
                                        "encryption parameters", "customer provided",
                                        "customer-provided", "SSE-C", "hash of the key",
                                        "secret key was"};

    bool new = writes(request) && !has_header(request, "x-amz-copy-source");

    /* What is new and without a key has none that could be wrong. */
    if (!request->key || (new && !request->with_key))
        return false;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcasestr(trouble->message, words[i]))
            return true;
    /* Ceph names no reason. */
    return request->with_key && !trouble->message[0] && !new;
}

static void say_key(const struct s3_request *request, struct kb_error *err)
{
    if (request->with_key)
        kb_error_set(err, KB_ERR_AUTH, "%s is not under the customer key that was given",
                     label_of(request).text);
    else
        kb_error_set(err, KB_ERR_AUTH,
                     "%s is under a customer key (SSE-C), and none was given",
                     label_of(request).text);
}

/* --- verdicts ----------------------------------------------------------------------- */

/* HEAD: there is a status and no more. */
static enum kb_verdict judge_head(const struct kb_aws_answer *answer,
                                  const struct s3_trouble *trouble, struct kb_error *err)
{
    const struct s3_request *request = request_of(answer);

    if (answer->status == 400 && request->key) {
        say_key(request, err);
    } else if (answer->status == 403 && request->with_key) {
        kb_error_set(err, KB_ERR_AUTH, "%s is not under the customer key that was given",
                     label_of(request).text);
        kb_error_hint(err, "or s3:GetObject is not allowed for these credentials: the server says "
                           "no more than 403");
    } else if (answer->status == 403 || answer->status == 401) {
        say_forbidden(answer, err);
    } else {
        say(answer, trouble, KB_ERR_USAGE, err);
    }
    return KB_VERDICT_WORDLESS;
}

static enum kb_verdict judge_status(const struct kb_aws_answer *answer,
                                    const struct s3_trouble *trouble, struct kb_error *err)
{
    unsigned status = answer->status;

    if (status >= 300 && status < 400) {
        kb_error_set(err, KB_ERR_REMOTE, "%s sends elsewhere (HTTP status %u)", answer->endpoint,
                     status);
        kb_error_hint(err, "the endpoint or the region %s may be wrong", answer->region);
        return KB_VERDICT_FAILED;
    }
    if (status == 501 || status == 405) {
        kb_error_set(err, KB_ERR_UNSUPPORTED, "%s has no s3:%s as it was asked for%s%s",
                     answer->endpoint, answer->operation, trouble->message[0] ? ": " : "",
                     trouble->message);
        return KB_VERDICT_FAILED;
    }
    if (status >= 500) {
        say(answer, trouble, KB_ERR_REMOTE, err);
        return status == 503 ? KB_VERDICT_THROTTLED : KB_VERDICT_BUSY;
    }
    if (status == 429) {
        say(answer, trouble, KB_ERR_REMOTE, err);
        return KB_VERDICT_THROTTLED;
    }
    if (status == 404 && (trouble->there || is_head(request_of(answer)))) {
        say_missing(answer, trouble, err);
        return KB_VERDICT_FAILED;
    }
    if (status == 412) {
        say_condition(answer, err);
        return KB_VERDICT_FAILED;
    }
    if (status == 416) {
        kb_error_set(err, KB_ERR_USAGE, "%s has no such range of bytes",
                     label_of(request_of(answer)).text);
        return KB_VERDICT_FAILED;
    }
    if (is_head(request_of(answer)))
        return judge_head(answer, trouble, err);
    /* Some servers deny without a word; a proxy that does has a page for it. */
    if (!trouble->there && status == 403 && !answer->body.size) {
        say_forbidden(answer, err);
        return KB_VERDICT_FAILED;
    }
    if (!trouble->there) {
        kb_error_set(err, KB_ERR_REMOTE,
                     "%s answered with something that is not of S3 (a proxy?)", answer->endpoint);
        kb_error_hint(err, "check the endpoint and HTTPS_PROXY; the HTTP status was %u", status);
        return KB_VERDICT_STRANGE;
    }
    if (strncmp(trouble->code, "KMS.", 4) == 0)
        say(answer, trouble, KB_ERR_DENIED, err);
    else if (status == 403 || status == 401)
        say_forbidden(answer, err);
    else
        say(answer, trouble, KB_ERR_USAGE, err);
    return KB_VERDICT_FAILED;
}

static enum kb_verdict judge_argument(const struct kb_aws_answer *answer,
                                      const struct s3_trouble *trouble, struct kb_error *err)
{
    if (!about_key(request_of(answer), trouble))
        return judge_status(answer, trouble, err);
    say_key(request_of(answer), err);
    return KB_VERDICT_FAILED;
}

static enum kb_verdict judge_forbidden(const struct kb_aws_answer *answer,
                                       const struct s3_trouble *trouble, struct kb_error *err)
{
    if (strcasestr(trouble->message, "expired")) {
        say_clock(answer, trouble, err);
        return KB_VERDICT_CLOCK;
    }
    if (request_of(answer)->with_key && writes(request_of(answer)) &&
        strcasestr(trouble->message, "blocked"))
        say_blocked(request_of(answer), err);
    else if (!writes(request_of(answer)) && about_key(request_of(answer), trouble))
        say_key(request_of(answer), err);
    else
        say_forbidden(answer, err);
    return KB_VERDICT_FAILED;
}

static enum kb_verdict judge_trouble(const struct kb_aws_answer *answer,
                                     const struct s3_trouble *trouble, struct kb_error *err)
{
    switch (meaning_of(trouble->code)) {
    case REPEAT:
        say(answer, trouble, KB_ERR_REMOTE, err);
        return KB_VERDICT_BUSY;
    case THROTTLED:
        say(answer, trouble, KB_ERR_REMOTE, err);
        kb_error_hint(err, "the server limits the rate of requests: use fewer --connections");
        return KB_VERDICT_THROTTLED;
    case DAMAGED:
        kb_error_set(err, KB_ERR_REMOTE, "what was sent for %s was damaged on its way (%s)",
                     label_of(request_of(answer)).text, trouble->code);
        return KB_VERDICT_DAMAGED;
    case MISSING:
        say_missing(answer, trouble, err);
        return KB_VERDICT_FAILED;
    case EXISTS:
        say(answer, trouble, KB_ERR_EXISTS, err);
        return KB_VERDICT_FAILED;
    case CONDITION:
        say_condition(answer, err);
        return KB_VERDICT_FAILED;
    case WRONG_KEYS:
        say_wrong_keys(answer, trouble, err);
        return KB_VERDICT_FAILED;
    case CLOCK:
        say_clock(answer, trouble, err);
        return KB_VERDICT_CLOCK;
    case EXPIRED:
        kb_error_set(err, KB_ERR_DENIED, "the credentials from %s have expired", answer->source);
        kb_error_hint(err, "sign in anew, or let a credential_process or an instance role fetch "
                           "fresh ones");
        return KB_VERDICT_EXPIRED;
    case FORBIDDEN:
        return judge_forbidden(answer, trouble, err);
    case UNKNOWN_CALL:
        if (kb_http_find_header(answer->headers, "x-amz-delete-marker").size) {
            say_missing(answer, trouble, err);
        } else {
            kb_error_set(err, KB_ERR_UNSUPPORTED, "%s has no s3:%s as it was asked for: %s",
                         answer->endpoint, answer->operation,
                         trouble->message[0] ? trouble->message : trouble->code);
        }
        return KB_VERDICT_FAILED;
    case ARGUMENT:
        return judge_argument(answer, trouble, err);
    case CHANGED:
        say(answer, trouble, KB_ERR_INPUT, err);
        return KB_VERDICT_FAILED;
    case ARCHIVED:
        say(answer, trouble, KB_ERR_USAGE, err);
        kb_error_hint(err, "an archived object has to be restored before it can be read");
        return KB_VERDICT_FAILED;
    case BY_STATUS:
        break;
    }
    return judge_status(answer, trouble, err);
}

enum kb_verdict s3_judge(const struct kb_aws_answer *answer, char code[KB_ANSWER_CODE_SIZE],
                         struct kb_error *err)
{
    enum kb_verdict verdict = KB_VERDICT_DONE;
    struct s3_trouble trouble;

    code[0] = 0;
    kb_error_clear(err);
    /* Copies and completions begin to answer before they know ("CopyObject"). */
    s3_trouble_read(&trouble, answer->body);
    if (answer->status < 200 || answer->status >= 300 || trouble.there) {
        memcpy(code, trouble.code, sizeof trouble.code);
        verdict = judge_trouble(answer, &trouble, err);
        err->detail_kind = KB_DETAIL_HTTP;
        err->detail = answer->status;
    }
    return verdict;
}
