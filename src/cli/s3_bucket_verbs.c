/* SPDX-License-Identifier: Apache-2.0
 *
 * keybridge s3 bucket: its verbs, and default encryption.
 */
#include "cli/s3_bucket.h"

#include <string.h>

/* --- default encryption ------------------------------------------------------------------ */

static const char *mode_of(enum kb_s3_sse sse)
{
    switch (sse) {
    case KB_S3_SSE_NONE:
        return "none";
    case KB_S3_SSE_S3:
        return kb_object_encryption_format(KB_OBJECT_SSE_S3);
    case KB_S3_SSE_KMS:
        return kb_object_encryption_format(KB_OBJECT_SSE_KMS);
    case KB_S3_SSE_DSSE:
        return "dsse-kms";
    default:
        return "other";
    }
}

static enum kb_status print_rule(struct cli *cli, const struct kb_s3_bucket_encryption *rule)
{
    const char *sse_c = !rule->blocks_told   ? "not told"
                        : rule->blocks_sse_c ? "blocked"
                                             : "allowed";
    cJSON *json;

    if (!cli->json) {
        cli_print("encryption  %s", mode_of(rule->sse));
        if (rule->kms_key[0])
            cli_print("KMS key     %s", rule->kms_key);
        if (rule->sse == KB_S3_SSE_KMS)
            cli_print("bucket key  %s", rule->bucket_key ? "yes" : "no");
        cli_print("SSE-C       %s", sse_c);
        return KB_OK;
    }
    json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "encryption", mode_of(rule->sse));
    cJSON_AddStringToObject(json, "kms_key", rule->kms_key);
    cJSON_AddBoolToObject(json, "bucket_key", rule->bucket_key);
    cJSON_AddStringToObject(json, "sse_c", sse_c);
    return cli_print_json(cli, json);
}

static enum kb_status run_encryption_get(struct cli *cli, int argc, char **argv)
{
    struct s3_bucket bucket = {.s3 = {.cli = cli}};
    const struct cli_option table[] = {
        S3_REMOTE_OPTIONS(bucket.s3.options),
        {NULL, 0, CLI_FLAG, NULL},
    };
    struct kb_s3_bucket_encryption rule = {.sse = KB_S3_SSE_NONE};
    enum kb_status status = s3_bucket_open(&bucket, table, 1, argc, argv);

    if (status == KB_OK)
        status = kb_s3_get_bucket_encryption(bucket.s3.client, bucket.name, &rule, &cli->error);
    if (status == KB_OK)
        status = print_rule(cli, &rule);
    s3_clear(&bucket.s3);
    return status;
}

static enum kb_status take_rule(struct s3_bucket *bucket, struct kb_s3_bucket_encryption *rule)
{
    const struct s3_options *o = &bucket->s3.options;
    struct cli *cli = bucket->s3.cli;
    enum kb_object_encryption encryption = KB_OBJECT_NONE;

    if (!o->encryption || !kb_object_encryption_parse(&encryption, o->encryption) ||
        (encryption != KB_OBJECT_SSE_S3 && encryption != KB_OBJECT_SSE_KMS))
        return kb_error_set(&cli->error, KB_ERR_USAGE,
                            "--encryption of a bucket is sse-s3 or sse-kms");
    if (encryption == KB_OBJECT_SSE_S3 && (o->kms_key || o->bucket_key))
        return kb_error_set(&cli->error, KB_ERR_USAGE, "%s is for --encryption sse-kms",
                            o->kms_key ? "--kms-key" : "--bucket-key");
    if (o->kms_key && strlen(o->kms_key) >= sizeof rule->kms_key)
        return kb_error_set(&cli->error, KB_ERR_USAGE, "--kms-key is too long");
    rule->sse = encryption == KB_OBJECT_SSE_S3 ? KB_S3_SSE_S3 : KB_S3_SSE_KMS;
    rule->bucket_key = o->bucket_key;
    memset(rule->kms_key, 0, sizeof rule->kms_key);
    if (o->kms_key)
        memcpy(rule->kms_key, o->kms_key, strlen(o->kms_key));
    return KB_OK;
}

/* What is not asked for stays: whether SSE-C is blocked is in the same rule. */
static enum kb_status run_encryption_set(struct cli *cli, int argc, char **argv)
{
    struct s3_bucket bucket = {.s3 = {.cli = cli}};
    const struct cli_option table[] = {
        S3_REMOTE_OPTIONS(bucket.s3.options),
        {"encryption", 0, CLI_TEXT, &bucket.s3.options.encryption},
        {"kms-key", 0, CLI_TEXT, &bucket.s3.options.kms_key},
        {"bucket-key", 0, CLI_FLAG, &bucket.s3.options.bucket_key},
        {NULL, 0, CLI_FLAG, NULL},
    };
    struct kb_s3_bucket_encryption rule = {.sse = KB_S3_SSE_NONE};
    enum kb_status status = s3_bucket_open(&bucket, table, 1, argc, argv);

    if (status == KB_OK)
        status = take_rule(&bucket, &(struct kb_s3_bucket_encryption){.sse = KB_S3_SSE_NONE});
    if (status == KB_OK)
        status = kb_s3_get_bucket_encryption(bucket.s3.client, bucket.name, &rule, &cli->error);
    if (status == KB_OK)
        status = take_rule(&bucket, &rule);
    if (status == KB_OK)
        status = kb_s3_set_bucket_encryption(bucket.s3.client, bucket.name, &rule, &cli->error);
    if (status == KB_OK && cli->json)
        status = print_rule(cli, &rule);
    s3_clear(&bucket.s3);
    return status;
}

/* --- SSE-C --------------------------------------------------------------------------------- */

/* The settings say so; whether it holds yet, an upload tells. */
static enum kb_status tell_allowed(struct s3_bucket *bucket)
{
    struct kb_error why = {.status = KB_OK};
    struct cli *cli = bucket->s3.cli;
    enum kb_status status = KB_ERR_DENIED;
    cJSON *json;

    if (kb_s3_is_secure(bucket->s3.client))
        status = s3_try_sse_c(bucket, &why);
    if (status != KB_OK && status != KB_ERR_DENIED) {
        cli->error = why;
        return status;
    }
    if (cli->json) {
        json = cJSON_CreateObject();
        cJSON_AddStringToObject(json, "bucket", bucket->name);
        cJSON_AddStringToObject(json, "sse_c", "allowed");
        cJSON_AddBoolToObject(json, "tried", status == KB_OK);
        return cli_print_json(cli, json);
    }
    if (status == KB_OK)
        cli_note(cli, "SSE-C is allowed in %s, as tried", bucket->name);
    else if (why.status == KB_OK)
        cli_note(cli, "SSE-C is allowed in %s; over http it cannot be tried", bucket->name);
    else
        cli_note(cli, "SSE-C is allowed in %s; an upload was still denied: it may take the "
                      "service some minutes, or a policy forbids it",
                 bucket->name);
    return KB_OK;
}

static enum kb_status allow_sse_c(struct s3_bucket *bucket)
{
    struct kb_s3 *client = bucket->s3.client;
    struct cli *cli = bucket->s3.cli;
    struct kb_s3_bucket_encryption rule = {.sse = KB_S3_SSE_NONE};
    enum kb_status status = kb_s3_get_bucket_encryption(client, bucket->name, &rule, &cli->error);

    if (status != KB_OK)
        return status;
    if (rule.blocks_told && !rule.blocks_sse_c)
        return tell_allowed(bucket);
    /* Amazon S3 encrypts so when there is no rule. */
    if (rule.sse == KB_S3_SSE_NONE)
        rule.sse = KB_S3_SSE_S3;
    rule.blocks_told = true;
    rule.blocks_sse_c = false;
    status = kb_s3_set_bucket_encryption(client, bucket->name, &rule, &cli->error);
    if (status == KB_OK)
        status = kb_s3_get_bucket_encryption(client, bucket->name, &rule, &cli->error);
    if (status == KB_OK && rule.blocks_sse_c)
        status = kb_error_set(&cli->error, KB_ERR_REMOTE,
                              "the server took the change, and SSE-C is blocked in %s as before",
                              bucket->name);
    return status == KB_OK ? tell_allowed(bucket) : status;
}

static enum kb_status run_allow_sse_c(struct cli *cli, int argc, char **argv)
{
    struct s3_bucket bucket = {.s3 = {.cli = cli}};
    const struct cli_option table[] = {
        S3_REMOTE_OPTIONS(bucket.s3.options),
        {NULL, 0, CLI_FLAG, NULL},
    };
    enum kb_status status = s3_bucket_open(&bucket, table, 1, argc, argv);

    if (status == KB_OK)
        status = allow_sse_c(&bucket);
    s3_clear(&bucket.s3);
    return status;
}

/* --- verbs ---------------------------------------------------------------------------------- */

enum kb_status s3_run_bucket(struct cli *cli, int argc, char **argv)
{
    static const struct {
        const char *words[2];
        const char *name;
        enum kb_status (*run)(struct cli *cli, int argc, char **argv);
    } verbs[] = {
        {{"encryption", "get"}, "encryption get", run_encryption_get},
        {{"encryption", "set"}, "encryption set", run_encryption_set},
        {{"policy", "get"}, "policy get", s3_policy_get},
        {{"policy", "set"}, "policy set", s3_policy_set},
        {{"policy", "require-encryption"}, "policy require-encryption", s3_policy_require},
        {{"allow-sse-c", NULL}, "allow-sse-c", run_allow_sse_c},
    };

    const char *second = argc > 1 && strncmp(argv[1], "s3://", 5) != 0 ? argv[1] : "";
    bool begins = false;

    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        int words = verbs[i].words[1] ? 2 : 1;

        if (!argc || strcmp(argv[0], verbs[i].words[0]) != 0)
            continue;
        begins = words == 2 && !second[0];
        if (words == 2 && strcmp(second, verbs[i].words[1]) != 0)
            continue;
        if (cli->capture)
            cli->capture->part = verbs[i].name;
        return verbs[i].run(cli, argc - words, argv + words);
    }
    if (!argc || begins)
        kb_error_set(&cli->error, KB_ERR_USAGE, "a verb is missing behind 's3 bucket%s%s'",
                     argc ? " " : "", argc ? argv[0] : "");
    else
        kb_error_set(&cli->error, KB_ERR_USAGE, "s3 bucket has no verb '%s%s%s'", argv[0],
                     second[0] ? " " : "", second);
    cli_hint_help(cli);
    return KB_ERR_USAGE;
}
