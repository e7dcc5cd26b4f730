/* SPDX-License-Identifier: Apache-2.0
 *
 * keybridge s3 bucket policy. A policy that denies uploads which are not
 * encrypted as asked is believed when it denied one.
 */
#include "cli/policy.h"
#include "cli/s3_bucket.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

enum { POLICY_MAX = 64 * 1024 };

static const char sid_other[] = "KeybridgeDenyOtherEncryption";
static const char sid_none[] = "KeybridgeDenyNoEncryption";

/* --- get and set ------------------------------------------------------------------------ */

enum kb_status s3_policy_get(struct cli *cli, int argc, char **argv)
{
    struct s3_bucket bucket = {.s3 = {.cli = cli}};
    const struct cli_option table[] = {
        S3_REMOTE_OPTIONS(bucket.s3.options),
        {NULL, 0, CLI_FLAG, NULL},
    };
    struct kb_buffer text = KB_BUFFER_INIT(POLICY_MAX);
    enum kb_status status = s3_bucket_open(&bucket, table, 1, argc, argv);

    if (status == KB_OK)
        status = kb_s3_get_bucket_policy(bucket.s3.client, bucket.name, &text, &cli->error);
    if (status == KB_OK)
        status = cli_put_json(cli, kb_buffer_view(&text));
    kb_buffer_free(&text);
    s3_clear(&bucket.s3);
    return status;
}

enum kb_status s3_policy_set(struct cli *cli, int argc, char **argv)
{
    struct s3_bucket bucket = {.s3 = {.cli = cli}};
    const struct cli_option table[] = {
        S3_REMOTE_OPTIONS(bucket.s3.options),
        {NULL, 0, CLI_FLAG, NULL},
    };
    struct kb_buffer text = KB_BUFFER_INIT(POLICY_MAX);
    enum kb_status status = s3_bucket_open(&bucket, table, 2, argc, argv);
    cJSON *json = NULL;

    if (status == KB_OK)
        status = kb_file_read(&text, strcmp(argv[1], "-") == 0 ? "/dev/stdin" : argv[1],
                              &cli->error);
    if (status == KB_OK) {
        json = cJSON_ParseWithLength((const char *)text.data, text.size);
        if (!cJSON_IsObject(json))
            status = kb_error_set(&cli->error, KB_ERR_INPUT, "%s is no JSON object",
                                  strcmp(argv[1], "-") == 0 ? "standard input" : argv[1]);
    }
    if (status == KB_OK)
        status = kb_s3_set_bucket_policy(bucket.s3.client, bucket.name, kb_buffer_view(&text),
                                         &cli->error);
    cJSON_Delete(json);
    if (status == KB_OK && cli->json) {
        json = cJSON_CreateObject();
        cJSON_AddStringToObject(json, "bucket", bucket.name);
        cJSON_AddStringToObject(json, "policy", "set");
        status = cli_print_json(cli, json);
    }
    kb_buffer_free(&text);
    s3_clear(&bucket.s3);
    return status;
}

/* --- statements ---------------------------------------------------------------------------- */

/* What uploads must say, by the mode that is required. */
struct requirement {
    enum kb_object_encryption mode;
    enum kb_s3_sse sse;
    const char *header; /* as a condition key */
    const char *value;  /* NULL: any */
};

static enum kb_status take_requirement(struct cli *cli, const char *require,
                                       struct requirement *out)
{
    static const char by_server[] = "s3:x-amz-server-side-encryption";
    enum kb_object_encryption encryption = KB_OBJECT_SSE_C;

    if (require && !kb_object_encryption_parse(&encryption, require))
        encryption = KB_OBJECT_NONE;
    switch (encryption) {
    case KB_OBJECT_SSE_C:
        *out = (struct requirement){
            encryption, KB_S3_SSE_C, "s3:x-amz-server-side-encryption-customer-algorithm", NULL};
        return KB_OK;
    case KB_OBJECT_SSE_S3:
        *out = (struct requirement){encryption, KB_S3_SSE_S3, by_server, "AES256"};
        return KB_OK;
    case KB_OBJECT_SSE_KMS:
        *out = (struct requirement){encryption, KB_S3_SSE_KMS, by_server, "aws:kms"};
        return KB_OK;
    default:
        kb_error_set(&cli->error, KB_ERR_USAGE,
                     "--require is sse-c, sse-s3 or sse-kms, not '%s'", require);
        cli_hint_help(cli);
        return KB_ERR_USAGE;
    }
}

static cJSON *statement_of(const struct s3_bucket *bucket, const char *sid, const char *operator,
                           const char *key, const char *value)
{
    char resource[KB_S3_BUCKET_MAX + 32];
    cJSON *json = cJSON_CreateObject();
    cJSON *condition;

    snprintf(resource, sizeof resource, "arn:%s:s3:::%s/*",
             policy_partition(kb_s3_region(bucket->s3.client)), bucket->name);
    cJSON_AddStringToObject(json, "Sid", sid);
    cJSON_AddStringToObject(json, "Effect", "Deny");
    cJSON_AddStringToObject(json, "Principal", "*");
    cJSON_AddStringToObject(json, "Action", "s3:PutObject");
    cJSON_AddStringToObject(json, "Resource", resource);
    condition = cJSON_AddObjectToObject(json, "Condition");
    cJSON_AddStringToObject(cJSON_AddObjectToObject(condition, operator), key, value);
    return json;
}

static bool is_ours(const cJSON *statement)
{
    const cJSON *sid = cJSON_GetObjectItemCaseSensitive(statement, "Sid");

    return cJSON_IsString(sid) && (strcmp(sid->valuestring, sid_other) == 0 ||
                                   strcmp(sid->valuestring, sid_none) == 0);
}

/* The policy's statements as a list, without those of an earlier run. */
static cJSON *list_of(cJSON *policy)
{
    cJSON *list = cJSON_DetachItemFromObjectCaseSensitive(policy, "Statement");

    if (!cJSON_IsArray(list)) {
        cJSON *alone = list;

        list = cJSON_CreateArray();
        if (alone)
            cJSON_AddItemToArray(list, alone);
    }
    for (int i = cJSON_GetArraySize(list) - 1; i >= 0; i--)
        if (is_ours(cJSON_GetArrayItem(list, i)))
            cJSON_DeleteItemFromArray(list, i);
    cJSON_AddItemToObject(policy, "Statement", list);
    return list;
}

/* The former policy with our statements. The caller's, for cJSON_free. */
static char *policy_with(const struct s3_bucket *bucket, const struct kb_buffer *former,
                         const struct requirement *requirement)
{
    cJSON *policy = former->size ? cJSON_ParseWithLength((const char *)former->data, former->size)
                                 : cJSON_CreateObject();
    char *text = NULL;
    cJSON *list;

    if (cJSON_IsObject(policy)) {
        if (!cJSON_GetObjectItemCaseSensitive(policy, "Version"))
            cJSON_AddStringToObject(policy, "Version", "2012-10-17");
        list = list_of(policy);
        if (requirement->value)
            cJSON_AddItemToArray(list, statement_of(bucket, sid_other, "StringNotEquals",
                                                    requirement->header, requirement->value));
        cJSON_AddItemToArray(
            list, statement_of(bucket, sid_none, "Null", requirement->header, "true"));
        text = cJSON_PrintUnformatted(policy);
    }
    cJSON_Delete(policy);
    return text;
}

/* --- the trial ------------------------------------------------------------------------------- */

struct trial {
    const struct s3_bucket *bucket;
    char key[64];
    struct kb_secret *customer_key; /* of nothing else; for what is deleted at once */
};

static enum kb_status prepare_trial(struct trial *trial, struct kb_error *err)
{
    uint64_t random = 0;
    enum kb_status status = kb_secret_new(&trial->customer_key, KB_S3_KEY_SIZE, err);

    if (status == KB_OK &&
        (getrandom(&random, sizeof random, 0) != sizeof random ||
         getrandom(kb_secret_data(trial->customer_key), KB_S3_KEY_SIZE, 0) != KB_S3_KEY_SIZE))
        status = kb_error_errno(err, KB_ERR_SYSTEM, errno, "there are no random numbers");
    snprintf(trial->key, sizeof trial->key, "keybridge-policy-trial-%016llx",
             (unsigned long long)random);
    return status;
}

/* Sends an upload, and deletes what it stored; *out is how that was encrypted.
 * KB_ERR_DENIED: the upload was denied. */
static enum kb_status try_upload(const struct trial *trial, enum kb_s3_sse sse,
                                 enum kb_s3_sse *out, struct kb_error *err)
{
    struct kb_s3 *client = trial->bucket->s3.client;
    const struct kb_s3_put put = {
        .content_type = "application/octet-stream",
        .encryption = {.sse = sse,
                       .customer_key = sse == KB_S3_SSE_C ? trial->customer_key : NULL,
                       .kms_key = sse == KB_S3_SSE_KMS ? trial->bucket->s3.options.kms_key
                                                       : NULL}};
    struct kb_s3_name name = {.bucket = trial->bucket->name, .key = trial->key};
    struct kb_s3_object stored = {.status = 0};
    struct kb_error why = {.status = KB_OK};
    enum kb_status status =
        kb_s3_put_object(client, &name, &put, (struct kb_bytes){NULL, 0}, &stored, err);

    if (status == KB_OK) {
        *out = stored.sse;
        name.version = stored.version[0] ? stored.version : NULL;
        if (kb_s3_delete_object(client, &name, NULL, &why) != KB_OK)
            status = kb_error_set(err, KB_ERR_REMOTE, "s3://%s/%s, a trial, cannot be deleted: %s",
                                  name.bucket, name.key, kb_error_text(&why));
    }
    kb_s3_object_free(&stored);
    return status;
}

/* An upload without the header has to be denied; a policy takes a moment to be
 * everywhere. */
static enum kb_status try_without(const struct trial *trial, struct kb_error *err)
{
    bool amazon = strstr(kb_s3_endpoint(trial->bucket->s3.client), ".amazonaws.com") != NULL;
    const struct timespec pause = {.tv_sec = amazon ? 2 : 0, .tv_nsec = amazon ? 0 : 300000000};
    struct kb_error why = {.status = KB_OK};
    unsigned tries = amazon ? 10 : 3;
    enum kb_s3_sse got = KB_S3_SSE_NONE;
    enum kb_status status = KB_OK;

    for (unsigned i = 0; status == KB_OK && i < tries; i++) {
        if (i)
            nanosleep(&pause, NULL);
        kb_error_clear(&why);
        status = try_upload(trial, KB_S3_SSE_NONE, &got, &why);
    }
    if (status == KB_ERR_DENIED)
        return KB_OK;
    if (status == KB_OK)
        return kb_error_set(err, KB_ERR_REMOTE,
                            "an upload without the header was not denied: the server does not "
                            "apply such a policy");
    *err = why;
    return status;
}

/* One with it must not be, and the answer has to say so. Servers that do not know the
 * condition's key deny all. What fails otherwise, such as for want of a KMS key, says
 * nothing about the policy: it is in *why then, and nothing is known. */
static enum kb_status try_with(const struct trial *trial, enum kb_s3_sse sse, struct kb_error *why,
                               struct kb_error *err)
{
    enum kb_s3_sse got = KB_S3_SSE_NONE;
    enum kb_status status = try_upload(trial, sse, &got, why);

    if (status == KB_OK && got != sse)
        return kb_error_set(err, KB_ERR_REMOTE,
                            "an upload with the header was stored, and the server did not say "
                            "that it is encrypted so");
    if (status == KB_ERR_DENIED)
        return kb_error_set(err, KB_ERR_REMOTE,
                            "an upload with the header was denied, too: the server does not know "
                            "the policy's condition, or these credentials may not make it");
    return KB_OK;
}

enum kb_status s3_try_sse_c(const struct s3_bucket *bucket, struct kb_error *err)
{
    struct trial trial = {.bucket = bucket};
    enum kb_s3_sse got = KB_S3_SSE_NONE;
    enum kb_status status = prepare_trial(&trial, err);

    if (status == KB_OK)
        status = try_upload(&trial, KB_S3_SSE_C, &got, err);
    if (status == KB_OK && got != KB_S3_SSE_C)
        status = kb_error_set(err, KB_ERR_REMOTE, "the server stored an upload under a customer "
                                                  "key, and did not confirm the key");
    kb_secret_free(trial.customer_key);
    return status;
}

static enum kb_status try_policy(const struct s3_bucket *bucket,
                                 const struct requirement *requirement, struct kb_error *why,
                                 struct kb_error *err)
{
    struct trial trial = {.bucket = bucket};
    enum kb_status status = prepare_trial(&trial, err);

    if (status == KB_OK)
        status = try_without(&trial, err);
    if (status == KB_OK)
        status = try_with(&trial, requirement->sse, why, err);
    kb_secret_free(trial.customer_key);
    return status;
}

/* A bucket that blocks SSE-C and a policy that wants it would let nothing in. */
static enum kb_status check_not_blocked(const struct s3_bucket *bucket,
                                        const struct requirement *requirement)
{
    struct kb_s3_bucket_encryption rule = {.blocks_sse_c = false};
    struct kb_error none = {.status = KB_OK};
    struct kb_error *err = &bucket->s3.cli->error;

    if (requirement->sse != KB_S3_SSE_C ||
        kb_s3_get_bucket_encryption(bucket->s3.client, bucket->name, &rule, &none) != KB_OK ||
        !rule.blocks_sse_c)
        return KB_OK;
    kb_error_set(err, KB_ERR_DENIED, "SSE-C is blocked in %s: with such a policy it would take "
                                     "no uploads at all",
                 bucket->name);
    kb_error_hint(err, "keybridge s3 bucket allow-sse-c s3://%s", bucket->name);
    return KB_ERR_DENIED;
}

static enum kb_status put_back(const struct s3_bucket *bucket, const struct kb_buffer *former,
                               struct kb_error *err)
{
    struct kb_s3 *client = bucket->s3.client;

    return former->size ? kb_s3_set_bucket_policy(client, bucket->name, kb_buffer_view(former), err)
                        : kb_s3_delete_bucket_policy(client, bucket->name, err);
}

static enum kb_status require(const struct s3_bucket *bucket,
                              const struct requirement *requirement, struct kb_error *untried)
{
    struct kb_s3 *client = bucket->s3.client;
    struct kb_error *err = &bucket->s3.cli->error;
    struct kb_error why = {.status = KB_OK};
    struct kb_buffer former = KB_BUFFER_INIT(POLICY_MAX);
    enum kb_status status = kb_s3_get_bucket_policy(client, bucket->name, &former, &why);
    char *policy = NULL;

    if (status == KB_OK || status == KB_ERR_NOT_FOUND) {
        policy = policy_with(bucket, &former, requirement);
        status = policy ? kb_s3_set_bucket_policy(client, bucket->name, kb_bytes_text(policy), err)
                        : kb_error_set(err, KB_ERR_INPUT, "the bucket's policy is no JSON object");
        if (status == KB_OK) {
            status = try_policy(bucket, requirement, untried, err);
            if (status != KB_OK && put_back(bucket, &former, NULL) == KB_OK)
                kb_error_hint(err, "the former policy was put back");
            else if (status != KB_OK)
                kb_error_hint(err, "the former policy could not be put back");
        }
    } else {
        *err = why;
    }
    cJSON_free(policy);
    kb_buffer_free(&former);
    return status;
}

static enum kb_status tell_tried(const struct s3_bucket *bucket, const char *mode,
                                 const struct kb_error *untried)
{
    struct cli *cli = bucket->s3.cli;
    cJSON *json;

    if (cli->json) {
        json = cJSON_CreateObject();
        cJSON_AddStringToObject(json, "bucket", bucket->name);
        cJSON_AddStringToObject(json, "required", mode);
        cJSON_AddBoolToObject(json, "denied_without", true);
        if (untried->status == KB_OK)
            cJSON_AddBoolToObject(json, "stored_with", true);
        else
            cJSON_AddNullToObject(json, "stored_with");
        return cli_print_json(cli, json);
    }
    if (untried->status == KB_OK)
        cli_note(cli, "uploads to %s without the header are denied, and with it not, as tried",
                 bucket->name);
    else
        cli_note(cli, "uploads to %s without the header are denied, as tried; one with it could "
                      "not be tried: %s",
                 bucket->name, kb_error_text(untried));
    return KB_OK;
}

enum kb_status s3_policy_require(struct cli *cli, int argc, char **argv)
{
    struct s3_bucket bucket = {.s3 = {.cli = cli}};
    const char *mode = NULL;
    const struct cli_option table[] = {
        S3_REMOTE_OPTIONS(bucket.s3.options),
        {"require", 0, CLI_TEXT, &mode},
        {"kms-key", 0, CLI_TEXT, &bucket.s3.options.kms_key},
        {NULL, 0, CLI_FLAG, NULL},
    };
    struct requirement requirement = {.sse = KB_S3_SSE_NONE};
    struct kb_error untried = {.status = KB_OK};
    enum kb_status status = s3_bucket_open(&bucket, table, 1, argc, argv);

    if (status == KB_OK)
        status = take_requirement(cli, mode, &requirement);
    if (status == KB_OK && requirement.sse != KB_S3_SSE_KMS && bucket.s3.options.kms_key)
        status = kb_error_set(&cli->error, KB_ERR_USAGE, "--kms-key is for --require sse-kms");
    if (status == KB_OK)
        status = check_not_blocked(&bucket, &requirement);
    if (status == KB_OK)
        status = require(&bucket, &requirement, &untried);
    if (status == KB_OK)
        status = tell_tried(&bucket, kb_object_encryption_format(requirement.mode), &untried);
    s3_clear(&bucket.s3);
    return status;
}
