/* SPDX-License-Identifier: Apache-2.0
 *
 * keybridge kms: AWS KMS, or any server that speaks its protocol.
 */
#include "cli/blob.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { CONTEXT_MAX = 64, DATA_KEY_MAX = 1024, DATA_KEY_BYTES = 32 };

struct kms_options {
    struct cli_remote remote;
    const char *key;
    struct cli_list context;
    struct cli_list grant_tokens;
    const char *in;
    const char *out;
    const char *ciphertext_out;
    const char *bytes;
    bool base64;
};
/* What every call with a key takes. */
#define KMS_OPTIONS(o)                                                                             \
    CLI_REMOTE_OPTIONS((o).remote), {"kms-key", 0, CLI_TEXT, &(o).key},                            \
        {"context", 'c', CLI_LIST, &(o).context},                                                  \
        {"grant-token", 0, CLI_LIST, &(o).grant_tokens}, {"base64", 0, CLI_FLAG, &(o).base64},     \
        {"output", 'o', CLI_TEXT, &(o).out}

static void kms_options_free(struct kms_options *options)
{
    cli_list_free(&options->context);
    cli_list_free(&options->grant_tokens);
}

static enum kb_status open_kms(struct kb_kms **out, struct cli *cli,
                               const struct cli_remote *remote, const char *key)
{
    struct cli_kms_remote kms;
    enum kb_status status = cli_remote_resolve_kms(cli, remote, key, &kms);

    *out = NULL;
    return status == KB_OK ? kb_kms_open(out, &kms.aws, &cli->error) : status;
}

/* One call; its answer is in the job, which the caller frees. */
static enum kb_status run_job(struct cli *cli, const struct kms_options *options,
                              struct kb_kms_job *job)
{
    struct kb_pair context[CONTEXT_MAX];
    struct kb_kms *kms;
    enum kb_status status = cli_pairs(cli, "context", &options->context, context, CONTEXT_MAX);

    if (status == KB_OK)
        status = open_kms(&kms, cli, &options->remote, options->key);
    if (status != KB_OK)
        return status;
    job->key_id = options->key;
    job->context = context;
    job->context_count = options->context.count;
    job->grant_tokens = options->grant_tokens.items;
    job->grant_token_count = options->grant_tokens.count;
    status = kb_kms_run(kms, job, 1, &cli->error);
    job->context = NULL;
    if (status == KB_OK && job->status != KB_OK) {
        cli->error = job->error;
        status = job->status;
    }
    kb_kms_close(kms);
    return status;
}

static enum kb_status missing(struct cli *cli, const char *option)
{
    kb_error_set(&cli->error, KB_ERR_USAGE, "--%s is missing", option);
    cli_hint_help(cli);
    return KB_ERR_USAGE;
}

/* The ciphertext and what was answered beside it. */
static enum kb_status print_ciphertext(struct cli *cli, const struct kb_kms_job *job)
{
    struct kb_buffer text = KB_BUFFER_INIT(2 * KB_KMS_CIPHERTEXT_MAX);
    cJSON *json = cJSON_CreateObject();
    enum kb_status status;

    cli_base64_put(&text, kb_buffer_view(&job->ciphertext));
    kb_buffer_put_u8(&text, 0);
    status = kb_buffer_check(&text, &cli->error);
    if (status == KB_OK) {
        cJSON_AddStringToObject(json, "key_id", job->answered_key_id);
        cJSON_AddStringToObject(json, "ciphertext", (const char *)text.data);
        status = cli_print_json(cli, json);
    } else {
        cJSON_Delete(json);
    }
    kb_buffer_free(&text);
    return status;
}

static enum kb_status give_ciphertext(struct cli *cli, const struct kb_kms_job *job, bool base64,
                                      const char *path)
{
    if (cli->json && !path)
        return print_ciphertext(cli, job);
    return cli_blob_write(cli, kb_buffer_view(&job->ciphertext), base64, path);
}

/* --- encrypt, decrypt ------------------------------------------------------------------- */

static enum kb_status run_encrypt(struct cli *cli, int argc, char **argv)
{
    struct kms_options options = {0};
    const struct cli_option table[] = {
        KMS_OPTIONS(options),
        {"input", 'i', CLI_TEXT, &options.in},
        {NULL, 0, CLI_FLAG, NULL},
    };
    struct kb_buffer plain = KB_BUFFER_INIT(KB_KMS_PLAIN_MAX);
    struct kb_kms_job job = {.operation = KB_KMS_ENCRYPT};
    enum kb_status status;
    int rest;

    plain.wipe = true;
    status = cli_parse(cli, argc, argv, table, 0, 0, &rest);
    if (status == KB_OK && !options.key)
        status = missing(cli, "kms-key");
    if (status == KB_OK)
        status = cli_blob_read(cli, &plain, options.in);
    if (status == KB_OK && !plain.size)
        status = kb_error_set(&cli->error, KB_ERR_INPUT,
                              "the input is empty: KMS takes 1 to %d bytes", KB_KMS_PLAIN_MAX);
    job.in = kb_buffer_view(&plain);
    if (status == KB_OK)
        status = run_job(cli, &options, &job);
    kb_buffer_free(&plain);
    if (status == KB_OK)
        status = give_ciphertext(cli, &job, options.base64, options.out);
    kb_kms_job_free(&job);
    kms_options_free(&options);
    return status;
}

/* Before anything is asked of the service: a plaintext that cannot be given out
 * is not fetched. */
static enum kb_status check_plain_out(struct cli *cli, const char *path)
{
    if (!path && cli->json)
        return kb_error_set(&cli->error, KB_ERR_USAGE,
                            "a plaintext is not printed as JSON: name a file with -o");
    return cli_secret_check(cli, path, false);
}

static enum kb_status say_plain(struct cli *cli, const struct kb_kms_job *job, const char *path)
{
    cJSON *json;

    if (!cli->json)
        return KB_OK;
    json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "key_id", job->answered_key_id);
    cJSON_AddStringToObject(json, "output", path);
    return cli_print_json(cli, json);
}

static enum kb_status run_decrypt(struct cli *cli, int argc, char **argv)
{
    struct kms_options options = {0};
    const struct cli_option table[] = {
        KMS_OPTIONS(options),
        {"input", 'i', CLI_TEXT, &options.in},
        {NULL, 0, CLI_FLAG, NULL},
    };
    struct kb_buffer blob = KB_BUFFER_INIT(2 * KB_KMS_CIPHERTEXT_MAX);
    struct kb_kms_job job = {.operation = KB_KMS_DECRYPT};
    enum kb_status status;
    int rest;

    status = cli_parse(cli, argc, argv, table, 0, 0, &rest);
    if (status == KB_OK)
        status = check_plain_out(cli, options.out);
    if (status == KB_OK)
        status = cli_blob_read(cli, &blob, options.in);
    if (status == KB_OK && options.base64)
        status = cli_blob_decode(cli, &blob);
    if (status == KB_OK && (!blob.size || blob.size > KB_KMS_CIPHERTEXT_MAX))
        status = kb_error_set(&cli->error, KB_ERR_INPUT, "a ciphertext has 1 to %d bytes, not %zu",
                              KB_KMS_CIPHERTEXT_MAX, blob.size);
    job.in = kb_buffer_view(&blob);
    if (status == KB_OK)
        status = run_job(cli, &options, &job);
    kb_buffer_free(&blob);
    if (status == KB_OK)
        status = cli_secret_write(cli, job.plain, options.out, false);
    if (status == KB_OK)
        status = say_plain(cli, &job, options.out);
    kb_kms_job_free(&job);
    kms_options_free(&options);
    return status;
}

/* --- keys -------------------------------------------------------------------------------- */

static enum kb_status run_generate(struct cli *cli, int argc, char **argv)
{
    struct kms_options options = {0};
    const struct cli_option table[] = {
        KMS_OPTIONS(options),
        {"bytes", 0, CLI_TEXT, &options.bytes},
        {"ciphertext-out", 0, CLI_TEXT, &options.ciphertext_out},
        {NULL, 0, CLI_FLAG, NULL},
    };
    struct kb_kms_job job = {.operation = KB_KMS_GENERATE_DATA_KEY};
    uint64_t bytes = DATA_KEY_BYTES;
    enum kb_status status;
    int rest;

    status = cli_parse(cli, argc, argv, table, 0, 0, &rest);
    if (status == KB_OK && (!options.key || !options.out))
        status = missing(cli, options.key ? "output" : "kms-key");
    if (status == KB_OK)
        status = cli_number(cli, "bytes", options.bytes, 1, DATA_KEY_MAX, &bytes);
    if (status == KB_OK)
        status = cli_secret_check(cli, options.out, true);
    job.size = (size_t)bytes;
    if (status == KB_OK)
        status = run_job(cli, &options, &job);
    /* The key last: without its ciphertext it is of no use. */
    if (status == KB_OK)
        status = give_ciphertext(cli, &job, options.base64, options.ciphertext_out);
    if (status == KB_OK)
        status = cli_secret_write(cli, job.plain, options.out, true);
    if (status == KB_OK && options.ciphertext_out)
        status = say_plain(cli, &job, options.out);
    kb_kms_job_free(&job);
    kms_options_free(&options);
    return status;
}

static const struct {
    const char *name;
    const char *json;
    size_t offset;
} rows[] = {
#define ROW(name, field) {name, #field, offsetof(struct kb_kms_key, field)}
    ROW("key", id),
    ROW("arn", arn),
    ROW("state", state),
    ROW("usage", usage),
    ROW("spec", spec),
    ROW("manager", manager),
    ROW("origin", origin),
    ROW("description", description),
#undef ROW
};

static enum kb_status print_key(struct cli *cli, const struct kb_kms_key *key)
{
    cJSON *json = cli->json ? cJSON_CreateObject() : NULL;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *value = (const char *)key + rows[i].offset;

        if (json)
            cJSON_AddStringToObject(json, rows[i].json, value);
        else if (*value)
            cli_print("%-12s %s", rows[i].name, value);
    }
    return json ? cli_print_json(cli, json) : KB_OK;
}

/* `description`: a new key; else the one that is named. */
static enum kb_status one_key(struct cli *cli, const struct cli_remote *remote, bool create,
                              const char *text)
{
    struct kb_kms_key *key = calloc(1, sizeof *key);
    struct kb_kms *kms = NULL;
    enum kb_status status;

    if (!key)
        return kb_error_set(&cli->error, KB_ERR_MEMORY, "no memory");
    status = open_kms(&kms, cli, remote, create ? NULL : text);
    if (status == KB_OK)
        status = create ? kb_kms_create_key(kms, text, key, &cli->error)
                        : kb_kms_describe_key(kms, text, key, &cli->error);
    if (status == KB_OK)
        status = print_key(cli, key);
    kb_kms_close(kms);
    free(key);
    return status;
}

static enum kb_status run_create(struct cli *cli, int argc, char **argv)
{
    struct cli_remote remote = {0};
    const char *description = NULL;
    const struct cli_option table[] = {
        {"description", 0, CLI_TEXT, &description},
        CLI_REMOTE_OPTIONS(remote),
        {NULL, 0, CLI_FLAG, NULL},
    };
    enum kb_status status;
    int rest;

    status = cli_parse(cli, argc, argv, table, 0, 0, &rest);
    return status == KB_OK ? one_key(cli, &remote, true, description) : status;
}

static enum kb_status run_describe(struct cli *cli, int argc, char **argv)
{
    struct cli_remote remote = {0};
    const struct cli_option table[] = {
        CLI_REMOTE_OPTIONS(remote),
        {NULL, 0, CLI_FLAG, NULL},
    };
    enum kb_status status;
    int rest;

    status = cli_parse(cli, argc, argv, table, 1, 1, &rest);
    return status == KB_OK ? one_key(cli, &remote, false, argv[0]) : status;
}

#define REMOTE_SYNOPSIS                                                                            \
    "\n    [--endpoint-url U] [--region R] [--profile P] [--ca-file F] [--connections N]"
#define CONTEXT_SYNOPSIS "[-c|--context k=v]... [--grant-token G]... [--base64]"

const struct cli_verb cli_kms_verbs[] = {
    {"kms", "encrypt",
     "--kms-key K [-i FILE] [-o FILE]\n    " CONTEXT_SYNOPSIS REMOTE_SYNOPSIS,
     "encrypt up to 4,096 bytes under a KMS key", run_encrypt},
    {"kms", "decrypt",
     "[--kms-key K] [-i FILE] [-o FILE]\n    " CONTEXT_SYNOPSIS REMOTE_SYNOPSIS,
     "decrypt what KMS encrypted; the plaintext goes to a file or a pipe", run_decrypt},
    {"kms", "generate-data-key",
     "--kms-key K -o PLAINFILE [--ciphertext-out FILE] [--bytes N]\n    " CONTEXT_SYNOPSIS
         REMOTE_SYNOPSIS,
     "a new data key: in the clear into a file of mode 0600, and encrypted", run_generate},
    {"kms", "create-key", "[--description T]" REMOTE_SYNOPSIS, "make a symmetric key in KMS",
     run_create},
    {"kms", "describe-key", "K" REMOTE_SYNOPSIS, "a key as KMS describes it", run_describe},
    {NULL, NULL, NULL, NULL, NULL},
};
