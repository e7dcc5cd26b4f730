/* SPDX-License-Identifier: Apache-2.0
 *
 * keybridge aws-policy: what verbs do with S3. Source: "Required permissions for
 * Amazon S3 API operations", Amazon S3 User Guide.
 */
#include "cli/policy.h"

#include <stdlib.h>
#include <string.h>

/* What actions are on. With -r, and below a prefix, objects are all those there. */
enum place {
    ON_SERVICE,
    ON_BUCKET,
    ON_LISTING,  /* the bucket, for this prefix alone */
    ON_OBJECT,   /* of cp: the source; */
    ON_FILE,     /* its instruction file */
    ON_TARGET,   /* of cp */
    ON_TRIAL,    /* what require-encryption and allow-sse-c upload */
};

enum { WHEN_MAX = 2, ROW_ACTIONS_MAX = 8 };

/* Parts are uploads, too; HEAD is s3:GetObject; what does not hold its trials is
 * deleted, that version alone. */
#define READ "s3:GetObject", "s3:GetObjectVersion"
#define WRITE "s3:PutObject", "s3:AbortMultipartUpload"
#define REMOVE "s3:DeleteObject", "s3:DeleteObjectVersion"
#define READ_MORE                                                                                  \
    "s3:GetObjectTagging", "s3:GetObjectVersionTagging", "s3:GetObjectRetention",                  \
        "s3:GetObjectLegalHold"
#define WRITE_MORE "s3:PutObjectTagging", "s3:PutObjectRetention", "s3:PutObjectLegalHold"

static const struct row {
    const char *verb;
    enum place on;
    const char *when[WHEN_MAX]; /* options that are given, or with a '!' are not */
    const char *actions[ROW_ACTIONS_MAX + 1];
} rows[] = {
    {"put", ON_OBJECT, {NULL}, {READ, WRITE, REMOVE}},
    {"put", ON_OBJECT, {"resume"}, {"s3:ListMultipartUploadParts"}},
    {"put", ON_OBJECT, {"tag"}, {"s3:PutObjectTagging"}},
    {"put", ON_FILE, {"instruction-file"}, {READ, WRITE, REMOVE}},
    {"encrypt", ON_OBJECT, {NULL}, {READ, WRITE, REMOVE}},
    {"get", ON_OBJECT, {NULL}, {READ}},
    {"get", ON_FILE, {"key"}, {READ}},
    {"get", ON_LISTING, {"recursive"}, {"s3:ListBucket"}},
    {"cat", ON_OBJECT, {NULL}, {READ}},
    {"cat", ON_FILE, {"key"}, {READ}},
    {"head", ON_OBJECT, {NULL}, {READ}},
    {"head", ON_FILE, {"key"}, {READ}},
    {"decrypt", ON_OBJECT, {NULL}, {READ}},
    {"ls", ON_LISTING, {"!versions"}, {"s3:ListBucket"}},
    {"ls", ON_LISTING, {"versions"}, {"s3:ListBucketVersions"}},
    {"rm", ON_OBJECT, {"!versions", "!version-id"}, {"s3:DeleteObject"}},
    {"rm", ON_OBJECT, {"versions"}, {"s3:DeleteObjectVersion"}},
    {"rm", ON_OBJECT, {"version-id"}, {"s3:DeleteObjectVersion"}},
    {"rm", ON_FILE, {"!versions", "!version-id"}, {"s3:DeleteObject", READ}},
    {"rm", ON_LISTING, {"recursive", "!versions"}, {"s3:ListBucket"}},
    {"rm", ON_LISTING, {"versions"}, {"s3:ListBucketVersions"}},
    {"mb", ON_BUCKET, {NULL}, {"s3:CreateBucket"}},
    {"mb", ON_BUCKET, {"versioning"}, {"s3:PutBucketVersioning"}},
    {"mb", ON_BUCKET, {"lock"}, {"s3:PutBucketObjectLockConfiguration", "s3:PutBucketVersioning"}},
    {"cp", ON_OBJECT, {NULL}, {READ, READ_MORE}},
    {"cp", ON_FILE, {"key"}, {READ}},
    {"cp", ON_TARGET, {NULL}, {READ, WRITE, REMOVE}},
    {"cp", ON_TARGET, {NULL}, {WRITE_MORE}},
    {"cp", ON_LISTING, {"recursive"}, {"s3:ListBucket"}},
    {"rotate", ON_OBJECT, {NULL}, {READ, WRITE, REMOVE}},
    {"rotate", ON_OBJECT, {NULL}, {READ_MORE, WRITE_MORE}},
    {"rotate", ON_FILE, {"key"}, {READ, WRITE, REMOVE}},
    {"rotate", ON_LISTING, {"recursive"}, {"s3:ListBucket"}},
    {"rotate", ON_LISTING, {"versions"}, {"s3:ListBucketVersions"}},
    {"verify", ON_OBJECT, {NULL}, {READ}},
    {"verify", ON_LISTING, {"!versions"}, {"s3:ListBucket"}},
    {"verify", ON_LISTING, {"versions"}, {"s3:ListBucketVersions"}},
    {"audit", ON_OBJECT, {NULL}, {READ}},
    {"audit", ON_LISTING, {NULL}, {"s3:ListBucket", "s3:ListBucketVersions"}},
    {"audit",
     ON_BUCKET,
     {NULL},
     {"s3:GetBucketVersioning", "s3:GetBucketPolicy", "s3:GetEncryptionConfiguration"}},
    {"with-key", ON_OBJECT, {"new"}, {READ}},
    {"bucket encryption get", ON_BUCKET, {NULL}, {"s3:GetEncryptionConfiguration"}},
    {"bucket encryption set",
     ON_BUCKET,
     {NULL},
     {"s3:GetEncryptionConfiguration", "s3:PutEncryptionConfiguration"}},
    {"bucket policy get", ON_BUCKET, {NULL}, {"s3:GetBucketPolicy"}},
    {"bucket policy set", ON_BUCKET, {NULL}, {"s3:PutBucketPolicy"}},
    {"bucket policy require-encryption",
     ON_BUCKET,
     {NULL},
     {"s3:DeleteBucketPolicy", "s3:GetBucketPolicy", "s3:PutBucketPolicy"}},
    {"bucket policy require-encryption", ON_TRIAL, {NULL}, {"s3:PutObject", REMOVE}},
    {"bucket allow-sse-c",
     ON_BUCKET,
     {NULL},
     {"s3:GetEncryptionConfiguration", "s3:PutEncryptionConfiguration"}},
    {"bucket allow-sse-c", ON_TRIAL, {NULL}, {"s3:PutObject", REMOVE}},
};

/* --- what is named ------------------------------------------------------------------------ */

struct place_name {
    char bucket[KB_S3_BUCKET_MAX + 1];
    const char *key; /* "" when there is none */
};

struct asked {
    struct policy *policy;
    const struct cli_capture *capture;
    const char *verb, *region;
    struct place_name from, to; /* one, but of cp */
    bool all;    /* -r: the key is a prefix that ends with a slash */
    bool survey; /* the key is a prefix as it is */
};

/* "${" begins a variable of IAM. */
static enum kb_status take_url(struct asked *asked, const char *url, struct place_name *out)
{
    struct kb_error *err = &asked->policy->cli->error;
    enum kb_status status = kb_s3_url_parse(url, out->bucket, &out->key, err);

    if (status == KB_OK)
        status = policy_check_wild(asked->policy, "the object's name", out->key);
    if (status == KB_OK && out->key && strstr(out->key, "${"))
        status = kb_error_set(err, KB_ERR_USAGE, "the object's name '%.120s' has a '${' in it",
                              out->key);
    if (!out->key)
        out->key = "";
    return status;
}

static bool given(const struct asked *asked, const char *option)
{
    bool wanted = option[0] != '!';

    return (cli_capture_value(asked->capture, option + !wanted) != NULL) == wanted;
}

static bool is_needed(const struct asked *asked, const struct row *row)
{
    for (size_t i = 0; i < WHEN_MAX && row->when[i]; i++)
        if (!given(asked, row->when[i]))
            return false;
    return strcmp(row->verb, asked->verb) == 0;
}

/* --- as IAM names it ---------------------------------------------------------------------- */

static bool ends_with_slash(const char *text)
{
    size_t size = strlen(text);

    return size && text[size - 1] == '/';
}

/* What ends a prefix, for a tree. */
static const char *slash_of(const struct asked *asked, const struct place_name *name)
{
    return asked->all && *name->key && !ends_with_slash(name->key) ? "/" : "";
}

static void put_resource(struct policy_statement *out, const struct asked *asked, enum place on)
{
    const struct place_name *name = on == ON_TARGET ? &asked->to : &asked->from;
    const char *partition = policy_partition(asked->region);
    bool many = asked->all || asked->survey || !*name->key || ends_with_slash(name->key);

    memset(out, 0, sizeof *out);
    if (on == ON_LISTING && !*name->bucket)
        on = ON_SERVICE;
    switch (on) {
    case ON_SERVICE:
        memcpy(out->resource, "*", 2);
        break;
    case ON_BUCKET:
    case ON_LISTING:
        snprintf(out->resource, POLICY_TEXT_MAX, "arn:%s:s3:::%s", partition, name->bucket);
        if (on == ON_LISTING && *name->key)
            snprintf(out->values[POLICY_ON_PREFIX], POLICY_TEXT_MAX, "%s%s", name->key,
                     slash_of(asked, name));
        break;
    case ON_TRIAL:
        snprintf(out->resource, POLICY_TEXT_MAX, "arn:%s:s3:::%s/keybridge-policy-trial-*",
                 partition, name->bucket);
        break;
    case ON_OBJECT:
    case ON_FILE:
    case ON_TARGET:
        snprintf(out->resource, POLICY_TEXT_MAX, "arn:%s:s3:::%s/%s%s%s%s", partition,
                 name->bucket, name->key, slash_of(asked, name), many ? "*" : "",
                 !many && on == ON_FILE ? ".instruction" : "");
        break;
    }
}

static enum kb_status add_row(const struct asked *asked, const struct row *row)
{
    bool buckets = row->on == ON_LISTING && !*asked->from.bucket;
    struct policy_statement wanted;
    enum kb_status status = KB_OK;

    put_resource(&wanted, asked, row->on);
    if (buckets)
        return policy_allow(asked->policy, &wanted, "s3:ListAllMyBuckets");
    for (size_t i = 0; status == KB_OK && row->actions[i]; i++)
        status = policy_allow(asked->policy, &wanted, row->actions[i]);
    return status;
}

/* Of the service's own KMS key everybody in the account may make use. Decrypt is
 * for uploads in parts. */
static enum kb_status add_kms(const struct asked *asked)
{
    const char *key = cli_capture_value(asked->capture, "kms-key");
    struct policy_statement wanted = {.count = 0};
    enum kb_status status;

    if (!key || strcmp(asked->verb, "bucket encryption set") == 0)
        return KB_OK;
    status = policy_kms_key(&wanted, asked->policy, asked->region, key);
    policy_put_service(&wanted, asked->policy, "s3", asked->region);
    if (status == KB_OK)
        status = policy_allow(asked->policy, &wanted, "kms:Decrypt");
    return status == KB_OK ? policy_allow(asked->policy, &wanted, "kms:GenerateDataKey") : status;
}

static enum kb_status add_rows(const struct asked *asked)
{
    enum kb_status status = KB_OK;
    bool known = false;

    for (size_t i = 0; status == KB_OK && i < sizeof rows / sizeof *rows; i++) {
        known = known || strcmp(rows[i].verb, asked->verb) == 0;
        if (is_needed(asked, &rows[i]))
            status = add_row(asked, &rows[i]);
    }
    if (status == KB_OK && !known)
        status = kb_error_set(&asked->policy->cli->error, KB_ERR_USAGE,
                              "what 's3 %s' needs is not known", asked->verb);
    return status == KB_OK ? add_kms(asked) : status;
}

/* --- a command ---------------------------------------------------------------------------- */

static bool is_url(const char *text)
{
    return text && strncmp(text, "s3://", 5) == 0;
}

static bool is_verb(const struct asked *asked, const char *verb)
{
    return strcmp(asked->verb, verb) == 0;
}

static enum kb_status missing(const struct asked *asked)
{
    return kb_error_set(&asked->policy->cli->error, KB_ERR_USAGE,
                        "'s3 %s' does not name its %s", asked->verb,
                        strncmp(asked->verb, "bucket", 6) == 0 || is_verb(asked, "mb") ? "bucket"
                                                                                       : "object");
}

/* Each s3:// that is named, by itself; of cp two; of put and of a policy's file,
 * what else is there is no matter of S3. */
static enum kb_status add_urls(struct asked *asked)
{
    const struct cli_capture *capture = asked->capture;
    bool copies = is_verb(asked, "cp"), one = is_verb(asked, "with-key");
    enum kb_status status = KB_OK;
    int done = 0, at = 0;

    for (; status == KB_OK && at < capture->count && !(one && done); at++) {
        if (!is_url(capture->arguments[at]))
            continue;
        done++;
        status = take_url(asked, capture->arguments[at],
                          copies && done == 2 ? &asked->to : &asked->from);
        if (status == KB_OK && (!copies || done == 2))
            status = add_rows(asked);
    }
    if (status == KB_OK && !done && is_verb(asked, "ls"))
        return add_rows(asked);
    if (status == KB_OK && done < (copies ? 2 : 1))
        status = missing(asked);
    return status;
}

enum kb_status policy_add_s3(struct policy *policy, const struct cli_verb *verb,
                             const struct cli_capture *capture, const char *region)
{
    struct asked asked = {.policy = policy,
                          .capture = capture,
                          .verb = verb->verb,
                          .region = region,
                          .from = {.key = ""},
                          .to = {.key = ""}};
    char part[64];
    enum kb_status status;

    if (strcmp(verb->noun, "envelope") == 0) {
        const char *option = is_verb(&asked, "encrypt") ? "output" : "input";
        const char *url = cli_capture_value(capture, option);

        if (!is_url(url))
            return KB_OK;
        status = take_url(&asked, url, &asked.from);
        return status == KB_OK ? add_rows(&asked) : status;
    }
    if (strcmp(verb->noun, "s3") != 0)
        return KB_OK;
    if (capture->part) {
        snprintf(part, sizeof part, "%s %s", verb->verb, capture->part);
        asked.verb = part;
    }
    asked.survey = is_verb(&asked, "verify") || is_verb(&asked, "audit");
    asked.all = cli_capture_value(capture, "recursive") && !asked.survey && !is_verb(&asked, "ls");
    return add_urls(&asked);
}
