/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/table.h"

#include <stdlib.h>
#include <string.h>

/* --- shared -------------------------------------------------------------------------- */

enum kb_status cli_table_only(struct kb_table **out, struct cli *cli, const char *where,
                              const struct cli_remote *remote)
{
    struct kb_aws_options aws;
    const struct kb_table_options options = {.aws = &aws};
    enum kb_status status;

    *out = NULL;
    if (!where)
        return kb_error_set(&cli->error, KB_ERR_USAGE, "--table is missing");
    status = cli_remote_resolve(cli, remote, &aws);
    return status == KB_OK ? kb_table_open(out, where, &options, &cli->error) : status;
}

/* Name and keys stand in the file, or are the service's word, where others may
 * change them. */
static enum kb_status check_schema(struct cli *cli, const char *where,
                                   const struct kb_table_schema *schema,
                                   const struct cli_sealing *sealing)
{
    const char *partition = sealing->expected_partition_key, *sort = sealing->expected_sort_key;

    if (sealing->table && strcmp(sealing->table, schema->signed_name) != 0)
        return kb_error_set(&cli->error, KB_ERR_AUTH, "%s is signed as table '%s', not '%s'",
                            where, schema->signed_name, sealing->table);
    if (partition && strcmp(partition, schema->partition.name) != 0)
        return kb_error_set(&cli->error, KB_ERR_AUTH,
                            "table %s has partition key '%s', not '%s'", where,
                            schema->partition.name, partition);
    if (sort && !*sort && schema->sort.name[0])
        return kb_error_set(&cli->error, KB_ERR_AUTH, "table %s has sort key '%s', not none",
                            where, schema->sort.name);
    if (sort && *sort && !schema->sort.name[0])
        return kb_error_set(&cli->error, KB_ERR_AUTH, "table %s has no sort key, not '%s'", where,
                            sort);
    if (sort && strcmp(sort, schema->sort.name) != 0)
        return kb_error_set(&cli->error, KB_ERR_AUTH, "table %s has sort key '%s', not '%s'",
                            where, schema->sort.name, sort);
    return KB_OK;
}

/* A table and KMS may be at one server, and then --endpoint-url is for both;
 * what is said of KMS alone goes before it. */
static enum kb_status choose_kms_endpoint(struct cli *cli, struct cli_sealing *sealing)
{
    const char *variable = getenv("AWS_ENDPOINT_URL_KMS");

    if (sealing->kms_endpoint_url && !*sealing->kms_endpoint_url)
        return kb_error_set(&cli->error, KB_ERR_USAGE, "--kms-endpoint-url is empty");
    if (!sealing->kms_endpoint_url && variable && *variable)
        sealing->kms_endpoint_url = variable;
    return KB_OK;
}

enum kb_status cli_table_open(struct cli_table *out, struct cli *cli, const char *where,
                              struct cli_sealing *sealing, enum cli_table_use use)
{
    const struct kb_table_schema *schema;
    enum kb_status status;

    memset(out, 0, sizeof *out);
    if (use == CLI_TABLE_PLAIN) {
        status = cli_sealing_check_unused(cli, sealing);
        if (status != KB_OK)
            return status;
    }
    status = cli_table_only(&out->table, cli, where, &sealing->remote);
    if (status != KB_OK)
        return status;
    schema = kb_table_schema(out->table);
    status = check_schema(cli, where, schema, sealing);
    if (status != KB_OK) {
        cli_table_close(out);
        return status;
    }
    if (use == CLI_TABLE_PLAIN)
        return KB_OK;
    sealing->schema = schema;
    sealing->writing = use == CLI_TABLE_WRITE;
    sealing->table = schema->signed_name;
    sealing->partition_key = schema->partition.name;
    sealing->sort_key = schema->sort.name[0] ? schema->sort.name : NULL;
    status = choose_kms_endpoint(cli, sealing);
    if (status == KB_OK)
        status = cli_sealing_open(&out->ddbec, cli, sealing, &out->session);
    if (status != KB_OK)
        cli_table_close(out);
    return status;
}

enum kb_status cli_table_stream(struct cli_table *table, struct cli *cli,
                                const struct cli_sealing *sealing,
                                struct kb_stream_options options)
{
    enum kb_status status = cli_sealing_workers(cli, sealing, &options.workers);

    if (status == KB_OK)
        status = kb_stream_new(&table->stream, table->ddbec, &options, &cli->error);
    return status;
}

void cli_table_close(struct cli_table *table)
{
    kb_stream_free(table->stream);
    kb_ddbec_release(table->ddbec);
    cli_session_close(&table->session);
    kb_table_close(table->table);
    memset(table, 0, sizeof *table);
}

enum kb_status cli_table_put(struct kb_table *table, struct kb_line *lines, size_t n, bool dry,
                             struct kb_error *err)
{
    struct kb_bytes items[KB_LINES_MAX];
    struct kb_line *of_item[KB_LINES_MAX];
    size_t count = 0, bad = 0;

    for (size_t i = 0; i < n; i++) {
        if (lines[i].error.status != KB_OK)
            continue;
        items[count] = lines[i].out;
        of_item[count++] = &lines[i];
    }
    while (count) {
        struct kb_error error = {0};
        enum kb_status status = dry ? kb_table_check(table, items, count, &bad, &error)
                                    : kb_table_put(table, items, count, &bad, &error);

        if (status == KB_OK)
            return KB_OK;
        if (!kb_status_is_item(status) || bad >= count) {
            *err = error;
            return status;
        }
        of_item[bad]->error = error;
        count--;
        memmove(items + bad, items + bad + 1, (count - bad) * sizeof *items);
        memmove(of_item + bad, of_item + bad + 1, (count - bad) * sizeof *of_item);
    }
    return KB_OK;
}

enum kb_status cli_plain_put(struct cli_plain *plain, uint64_t number, struct kb_bytes item,
                             const struct kb_stream_options *to, struct kb_error *err)
{
    struct kb_line *line = &plain->lines[plain->count++];

    memset(line, 0, sizeof *line);
    line->number = number;
    line->out.size = item.size;
    kb_buffer_put_bytes(&plain->text, item);
    return plain->count == KB_LINES_MAX ? cli_plain_drain(plain, to, err) : KB_OK;
}

enum kb_status cli_plain_drain(struct cli_plain *plain, const struct kb_stream_options *to,
                               struct kb_error *err)
{
    enum kb_status status = kb_buffer_check(&plain->text, err);
    size_t at = 0;

    for (size_t i = 0; status == KB_OK && i < plain->count; i++) {
        plain->lines[i].out.data = plain->text.data + at;
        at += plain->lines[i].out.size;
    }
    if (status == KB_OK && plain->count)
        status = to->sink(to->ctx, plain->lines, plain->count, err);
    plain->count = 0;
    kb_buffer_reset(&plain->text);
    return status;
}

/* --- put -------------------------------------------------------------------------------- */

struct put_run {
    struct cli *cli;
    struct cli_table table;
    struct cli_counts counts;
    struct kb_stream_options stream;
    struct cli_plain *plain; /* --raw */
};

static enum kb_status put_results(void *ctx, const struct kb_line *lines, size_t n,
                                  struct kb_error *err)
{
    struct put_run *run = ctx;
    struct kb_line batch[KB_LINES_MAX];
    enum kb_status status;

    memcpy(batch, lines, n * sizeof *batch);
    status = cli_table_put(run->table.table, batch, n, false, err);
    for (size_t i = 0; status == KB_OK && i < n; i++) {
        if (batch[i].error.status == KB_OK) {
            run->counts.good++;
            continue;
        }
        run->counts.bad++;
        cli_say("line %llu: %s", (unsigned long long)batch[i].number,
                kb_error_text(&batch[i].error));
    }
    return status;
}

/* --raw: items as they stand, encrypted before or never. */
static enum kb_status put_raw_line(void *ctx, uint64_t number, struct kb_bytes text)
{
    struct put_run *run = ctx;

    return cli_plain_put(run->plain, number, text, &run->stream, &run->cli->error);
}

static enum kb_status put_raw_pause(void *ctx)
{
    struct put_run *run = ctx;

    return cli_plain_drain(run->plain, &run->stream, &run->cli->error);
}

static enum kb_status put_line(void *ctx, uint64_t number, struct kb_bytes text)
{
    struct put_run *run = ctx;

    return kb_stream_put(run->table.stream, number, text, &run->cli->error);
}

static enum kb_status put_pause(void *ctx)
{
    struct put_run *run = ctx;

    return kb_stream_drain(run->table.stream, &run->cli->error);
}

static enum kb_status put_raw(struct put_run *run, const char *in)
{
    enum kb_status status;

    run->plain = calloc(1, sizeof *run->plain);
    if (!run->plain)
        return kb_error_set(&run->cli->error, KB_ERR_MEMORY, "no memory");
    run->plain->text.max = CLI_PLAIN_BYTES;
    status = cli_each_line(run->cli, in, put_raw_line, put_raw_pause, run);
    kb_buffer_free(&run->plain->text);
    free(run->plain);
    return status;
}

static enum kb_status put_encrypted(struct put_run *run, const struct cli_sealing *sealing,
                                    const char *in)
{
    enum kb_status status = cli_table_stream(&run->table, run->cli, sealing, run->stream);

    return status == KB_OK ? cli_each_line(run->cli, in, put_line, put_pause, run) : status;
}

static enum kb_status run_put(struct cli *cli, int argc, char **argv)
{
    struct cli_sealing sealing = {0};
    const char *where = NULL, *in = NULL;
    bool raw = false;
    const struct cli_option options[] = {
        CLI_TABLE_OPTIONS(where, sealing),
        {"raw", 0, CLI_FLAG, &raw},
        {"input", 'i', CLI_TEXT, &in},
        {NULL, 0, CLI_FLAG, NULL},
    };
    struct put_run run = {.cli = cli, .stream = {.sink = put_results, .ctx = &run}};
    enum kb_status status;
    int rest;

    status = cli_parse(cli, argc, argv, options, 0, 0, &rest);
    if (status == KB_OK)
        status = cli_table_open(&run.table, cli, where, &sealing,
                                raw ? CLI_TABLE_PLAIN : CLI_TABLE_WRITE);
    if (status == KB_OK) {
        status = raw ? put_raw(&run, in) : put_encrypted(&run, &sealing, in);
        if (status == KB_OK)
            status = cli_counts_status(cli, &run.counts, "item");
        cli_table_close(&run.table);
    }
    cli_sealing_free(&sealing);
    return status;
}

static enum kb_status run_delete(struct cli *cli, int argc, char **argv)
{
    struct cli_remote remote = {0};
    const char *where = NULL, *key = NULL;
    const struct cli_option options[] = {
        {"table", 0, CLI_TEXT, &where},
        {"key", 0, CLI_TEXT, &key},
        CLI_REMOTE_OPTIONS(remote),
        {NULL, 0, CLI_FLAG, NULL},
    };
    struct kb_table *table = NULL;
    enum kb_status status;
    int rest;

    status = cli_parse(cli, argc, argv, options, 0, 0, &rest);
    if (status == KB_OK && !key)
        status = kb_error_set(&cli->error, KB_ERR_USAGE, "--key is missing");
    if (status == KB_OK)
        status = cli_table_only(&table, cli, where, &remote);
    if (status != KB_OK)
        return status;
    status = kb_table_delete(table, kb_bytes_text(key), &cli->error);
    kb_table_close(table);
    return status;
}

#define REMOTE_SYNOPSIS                                                                            \
    "\n    [--endpoint-url U] [--region R] [--profile P] [--ca-file F] [--connections N]"
#define TABLE_SYNOPSIS                                                                             \
    " [--name N] [--signed-name N]"                                                                \
    "\n    [--partition-key NAME] [--sort-key NAME]"                                               \
    "\n    [--provider wrapped|static|kms] [--wrap-key W] [--sign-key K] [--content-key C]"        \
    "\n    [--kms-key ARN] [--kms-endpoint-url U] [--grant-token G]... [--wrap-alg A]"             \
    "\n    [--sign-alg A]"                                                                         \
    "\n    [--content-key-bits N] [--actions FILE] [--index-key A]... [--description k=v]..."      \
    "\n    [--description-attribute N] [--signature-attribute N] [--exact-numbers] [--workers N]"  \
    REMOTE_SYNOPSIS
#define READ_SYNOPSIS " [--raw] [--plain-json]"

const struct cli_verb cli_table_verbs[] = {
    {"table", "create",
     "--table local:FILE|dynamodb:NAME --partition-key NAME[:T] [--sort-key NAME[:T]]\n"
     "    [--name N] [--billing pay-per-request|provisioned] [--read-units N] [--write-units N]\n"
     "    [--sse owned|aws|kms] [--sse-kms-key K] [--index NAME=PK[:T][,SK[:T]]]...\n"
     "    [--local-index NAME=SK[:T]]..." REMOTE_SYNOPSIS,
     "make a table in one file or in DynamoDB; T is S, N or B; N is the name a file signs",
     cli_table_create},
    {"table", "describe", "--table TABLE" REMOTE_SYNOPSIS, "its keys, signed name and size",
     cli_table_describe},
    {"table", "set-sse",
     "--table dynamodb:NAME --sse owned|aws|kms [--sse-kms-key K]" REMOTE_SYNOPSIS,
     "change the key that DynamoDB encrypts its storage with", cli_table_set_sse},
    {"table", "load",
     "CSV --table TABLE [--where C]... [--numeric A,B] [--empty omit|null|string]\n"
     "    [--rejects FILE] [--limit N] [--max-rate N] [--dry-run] [--plaintext]" TABLE_SYNOPSIS,
     "put the rows of a CSV file, encrypted", cli_table_load},
    {"table", "put", "--table TABLE [-i FILE] [--raw]" TABLE_SYNOPSIS,
     "put DynamoDB-JSON items, one a line, encrypted; with --raw as they are", run_put},
    {"table", "get", "--table TABLE --key JSON" READ_SYNOPSIS TABLE_SYNOPSIS,
     "one item, decrypted", cli_table_get},
    {"table", "query",
     "--table TABLE --partition V [--index NAME]\n"
     "    [--sort-between A B | --sort-begins P | --sort-equals V | --sort-less V |\n"
     "     --sort-at-most V | --sort-greater V | --sort-at-least V] [--descending] [--limit N]\n"
     "   " READ_SYNOPSIS TABLE_SYNOPSIS,
     "the items of a partition, decrypted, in the order of their sort keys", cli_table_query},
    {"table", "scan", "--table TABLE [--limit N]" READ_SYNOPSIS TABLE_SYNOPSIS,
     "all items, decrypted", cli_table_scan},
    {"table", "delete", "--table TABLE --key JSON" REMOTE_SYNOPSIS, "delete one item", run_delete},
    {NULL, NULL, NULL, NULL, NULL},
};
