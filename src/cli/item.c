/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include <string.h>

struct run {
    struct cli *cli;
    struct kb_stream *stream;
    struct cli_output output;
    struct cli_counts counts;
    struct cli_progress progress;
    const char *description_attribute;
    const char *signature_attribute;
    uint64_t last; /* number of the last line that was put */
    uint64_t done; /* number of the last line that was answered */
};

static enum kb_status take_result(void *ctx, const struct kb_line *lines, size_t n,
                                  struct kb_error *err)
{
    struct run *run = ctx;
    enum kb_status status = KB_OK;

    for (size_t i = 0; status == KB_OK && i < n; i++) {
        run->done = lines[i].number;
        if (lines[i].error.status == KB_OK) {
            run->counts.good++;
            status = cli_output_line(&run->output, lines[i].out);
        } else {
            run->counts.bad++;
            cli_progress_end(&run->progress);
            cli_say("line %llu: %s", (unsigned long long)lines[i].number,
                    kb_error_text(&lines[i].error));
        }
    }
    cli_progress_add(&run->progress, n);
    if (status != KB_OK)
        *err = run->cli->error;
    return status;
}

static enum kb_status put_line(void *ctx, uint64_t number, struct kb_bytes text)
{
    struct run *run = ctx;

    run->last = number;
    return kb_stream_put(run->stream, number, text, &run->cli->error);
}

static enum kb_status pause_input(void *ctx)
{
    struct run *run = ctx;
    enum kb_status status = kb_stream_drain(run->stream, &run->cli->error);

    return status == KB_OK ? cli_output_flush(&run->output) : status;
}

/* The end of a run over many items: what the counts mean, and whether what
 * came out is published. What ended the run early wins over failed items. */
static enum kb_status finish(struct run *run, enum kb_status status)
{
    enum kb_status result = status;
    enum kb_status closed;

    cli_progress_end(&run->progress);
    if (status == KB_OK)
        result = cli_counts_status(run->cli, &run->counts, "item");
    else if (run->last > run->done && !run->output.file)
        cli_say("lines from %llu on were not processed", (unsigned long long)run->done + 1);
    closed = cli_output_close(&run->output, result == KB_OK || result == KB_ERR_PARTIAL);
    return closed == KB_OK ? result : closed;
}

static enum kb_status transform(struct cli *cli, int argc, char **argv, bool decrypt)
{
    struct cli_sealing sealing = {0};
    const char *in = NULL, *out = NULL;
    const struct cli_option table[] = {
        {"format", 0, CLI_TEXT, &sealing.format},
        {"table", 0, CLI_TEXT, &sealing.table},
        {"partition-key", 0, CLI_TEXT, &sealing.partition_key},
        {"sort-key", 0, CLI_TEXT, &sealing.sort_key},
        CLI_SEALING_OPTIONS(sealing),
        {"input", 'i', CLI_TEXT, &in},
        {"output", 'o', CLI_TEXT, &out},
        {NULL, 0, CLI_FLAG, NULL},
    };
    struct run run = {.cli = cli};
    struct kb_stream_options options = {.decrypt = decrypt, .sink = take_result, .ctx = &run};
    struct kb_ddbec *ddbec = NULL;
    struct cli_session session;
    enum kb_status status;
    int rest;

    status = cli_parse(cli, argc, argv, table, 0, 0, &rest);
    if (status == KB_OK)
        status = cli_sealing_workers(cli, &sealing, &options.workers);
    if (status == KB_OK && sealing.table && sealing.signed_name)
        status = kb_error_set(&cli->error, KB_ERR_USAGE,
                              "--table and --signed-name are the same here: give one");
    if (status == KB_OK)
        status = cli_sealing_open(&ddbec, cli, &sealing, &session);
    cli_sealing_free(&sealing);
    if (status != KB_OK)
        return status;
    status = kb_stream_new(&run.stream, ddbec, &options, &cli->error);
    if (status == KB_OK) {
        status = cli_output_open(&run.output, cli, out, decrypt);
        if (status == KB_OK) {
            cli_progress_start(&run.progress, cli, decrypt ? "items decrypted" : "items encrypted");
            status = finish(&run, cli_each_line(cli, in, put_line, pause_input, &run));
        }
    }
    kb_stream_free(run.stream);
    kb_ddbec_release(ddbec);
    cli_session_close(&session);
    return status;
}

static enum kb_status run_encrypt(struct cli *cli, int argc, char **argv)
{
    return transform(cli, argc, argv, false);
}

static enum kb_status run_decrypt(struct cli *cli, int argc, char **argv)
{
    return transform(cli, argc, argv, true);
}

/* --- inspect ------------------------------------------------------------------------- */

static void print_members(const char *title, const cJSON *object)
{
    const cJSON *member;

    cli_print("  %s", title);
    cJSON_ArrayForEach(member, object)
    {
        if (cJSON_IsString(member)) {
            cli_print("    %-28s %s", member->string, member->valuestring);
            continue;
        }
        const cJSON *bytes = cJSON_GetObjectItemCaseSensitive(member, "bytes");
        const cJSON *type = cJSON_GetObjectItemCaseSensitive(member, "type");

        char size[48] = "";

        if (cJSON_IsNumber(bytes))
            snprintf(size, sizeof size, ", %.0f bytes", bytes->valuedouble);
        cli_print("    %-28s %s%s%s", member->string, type ? type->valuestring : "", size,
                  cJSON_HasObjectItem(member, "looks_encrypted") ? ", looks encrypted" : "");
    }
}

static void print_inspection(uint64_t number, const char *text)
{
    cJSON *root = cJSON_Parse(text);
    const cJSON *member;

    cli_print("item %llu", (unsigned long long)number);
    cJSON_ArrayForEach(member, root)
    {
        const cJSON *bytes = cJSON_GetObjectItemCaseSensitive(member, "bytes");
        const cJSON *algorithm = cJSON_GetObjectItemCaseSensitive(member, "algorithm");

        if (strcmp(member->string, "wrapped_key") == 0)
            cli_print("  wrapped key: %s, %.0f bytes",
                      cJSON_IsString(algorithm) ? algorithm->valuestring : "algorithm not said",
                      cJSON_IsNumber(bytes) ? bytes->valuedouble : 0);
        else if (cJSON_IsObject(member))
            print_members(member->string, member);
        else if (cJSON_IsNumber(member))
            cli_print("  signature: %.0f bytes", member->valuedouble);
        else if (cJSON_IsString(member))
            cli_print("  description: %s", member->valuestring);
    }
    if (!cJSON_HasObjectItem(root, "signature_bytes"))
        cli_print("  no signature: not an encrypted item");
    cJSON_Delete(root);
}

static enum kb_status inspect_line(void *ctx, uint64_t number, struct kb_bytes text)
{
    struct run *run = ctx;
    struct kb_buffer json = KB_BUFFER_INIT(64 * 1024 * 1024);
    struct kb_error error = {0};
    enum kb_status status = kb_ddbec_inspect(&json, text, run->description_attribute,
                                             run->signature_attribute, &error);

    if (status == KB_OK) {
        run->counts.good++;
        if (run->cli->json) {
            status = cli_output_line(&run->output, kb_buffer_view(&json));
        } else {
            kb_buffer_put_u8(&json, 0);
            status = kb_buffer_check(&json, &run->cli->error);
            if (status == KB_OK)
                print_inspection(number, (const char *)json.data);
        }
    } else if (kb_status_is_item(status)) {
        run->counts.bad++;
        cli_say("line %llu: %s", (unsigned long long)number, kb_error_text(&error));
        status = KB_OK;
    } else {
        run->cli->error = error;
    }
    kb_buffer_free(&json);
    return status;
}

static enum kb_status inspect_pause(void *ctx)
{
    struct run *run = ctx;

    fflush(stdout);
    return cli_output_flush(&run->output);
}

static enum kb_status run_inspect(struct cli *cli, int argc, char **argv)
{
    struct run run = {.cli = cli};
    const char *in = NULL;
    const struct cli_option table[] = {
        {"input", 'i', CLI_TEXT, &in},
        {"description-attribute", 0, CLI_TEXT, &run.description_attribute},
        {"signature-attribute", 0, CLI_TEXT, &run.signature_attribute},
        {NULL, 0, CLI_FLAG, NULL},
    };
    enum kb_status status;
    int rest;

    status = cli_parse(cli, argc, argv, table, 0, 0, &rest);
    if (status == KB_OK)
        status = cli_output_open(&run.output, cli, NULL, false);
    if (status != KB_OK)
        return status;
    return finish(&run, cli_each_line(cli, in, inspect_line, inspect_pause, &run));
}

#define SEALING_SYNOPSIS                                                                           \
    "--format ddbec --table T --partition-key P [--sort-key S] [--index-key A]...\n"               \
    "    [--signed-name T] [--sign-key K] [--provider wrapped [--wrap-key W] [--wrap-alg A] |\n"   \
    "     --provider static [--content-key C] | --provider kms --kms-key ARN\n"                    \
    "     [--grant-token G]...] [--sign-alg A] [--content-key-bits N]\n"                           \
    "    [--endpoint-url U] [--region R] [--profile P] [--ca-file F] [--connections N]\n"          \
    "    [--actions FILE] [--description k=v]... [--description-attribute N]\n"                    \
    "    [--signature-attribute N] [--exact-numbers] [--workers N] [-i FILE] [-o FILE]"

const struct cli_verb cli_item_verbs[] = {
    {"item", "encrypt", SEALING_SYNOPSIS, "encrypt and sign DynamoDB-JSON items, one a line",
     run_encrypt},
    {"item", "decrypt", SEALING_SYNOPSIS, "verify and decrypt items, one a line", run_decrypt},
    {"item", "inspect", "[-i FILE] [--description-attribute N] [--signature-attribute N]",
     "what can be told of an encrypted item without a key", run_inspect},
    {NULL, NULL, NULL, NULL, NULL},
};
