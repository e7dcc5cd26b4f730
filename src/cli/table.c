/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/table.h"

#include <stdlib.h>
#include <string.h>

/* --- shared -------------------------------------------------------------------------- */

enum kb_status cli_table_open(struct cli_table *out, struct cli *cli, const char *where,
                              struct cli_sealing *sealing, bool plaintext)
{
    const struct kb_table_schema *schema;
    enum kb_status status;

    memset(out, 0, sizeof *out);
    if (!where)
        return kb_error_set(&cli->error, KB_ERR_USAGE, "--table is missing");
    status = kb_table_open(&out->table, where, &cli->error);
    if (status != KB_OK)
        return status;
    schema = kb_table_schema(out->table);
    /* The name stands in the file, where others may change it. */
    if (sealing && sealing->table && strcmp(sealing->table, schema->signed_name) != 0) {
        status = kb_error_set(&cli->error, KB_ERR_AUTH, "%s is signed as table '%s', not '%s'",
                              where, schema->signed_name, sealing->table);
        cli_table_close(out);
        return status;
    }
    if (plaintext)
        return KB_OK;
    sealing->table = schema->signed_name;
    sealing->partition_key = schema->partition.name;
    sealing->sort_key = schema->sort.name[0] ? schema->sort.name : NULL;
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

enum kb_status cli_table_put(struct kb_table *table, struct kb_line *lines, size_t n,
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
        enum kb_status status = kb_table_put(table, items, count, &bad, &error);

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

/* --- create, describe ------------------------------------------------------------------ */

static enum kb_status run_create(struct cli *cli, int argc, char **argv)
{
    const char *where = NULL, *name = NULL, *partition = NULL, *sort = NULL;
    const struct cli_option table[] = {
        {"table", 0, CLI_TEXT, &where},           {"name", 0, CLI_TEXT, &name},
        {"partition-key", 0, CLI_TEXT, &partition}, {"sort-key", 0, CLI_TEXT, &sort},
        {NULL, 0, CLI_FLAG, NULL},
    };
    struct kb_table_schema schema = {0};
    enum kb_status status;
    int rest;

    status = cli_parse(cli, argc, argv, table, 0, 0, &rest);
    if (status != KB_OK)
        return status;
    if (!where || !partition)
        return kb_error_set(&cli->error, KB_ERR_USAGE, "%s is missing",
                            where ? "--partition-key" : "--table");
    if (name && strlen(name) >= sizeof schema.signed_name)
        return kb_error_set(&cli->error, KB_ERR_USAGE, "--name is longer than 255 bytes");
    if (name)
        memcpy(schema.signed_name, name, strlen(name) + 1);
    status = kb_table_key_parse(&schema.partition, partition, &cli->error);
    if (status == KB_OK && sort)
        status = kb_table_key_parse(&schema.sort, sort, &cli->error);
    if (status == KB_OK)
        status = kb_table_create(where, &schema, &cli->error);
    if (status == KB_OK)
        cli_note(cli, "table %s is created", where);
    return status;
}

static void add_key(cJSON *json, const char *member, const struct kb_table_key *key)
{
    cJSON *object = cJSON_AddObjectToObject(json, member);

    cJSON_AddStringToObject(object, "name", key->name);
    cJSON_AddStringToObject(object, "type", (char[]){key->type, 0});
}

static enum kb_status describe(struct cli *cli, struct kb_table *table, const char *where)
{
    const struct kb_table_schema *schema = kb_table_schema(table);
    uint64_t items = 0, bytes = 0;
    enum kb_status status = kb_table_count(table, &items, &bytes, &cli->error);

    if (status != KB_OK)
        return status;
    if (cli->json) {
        cJSON *json = cJSON_CreateObject();

        cJSON_AddStringToObject(json, "table", where);
        cJSON_AddStringToObject(json, "signed_name", schema->signed_name);
        add_key(json, "partition_key", &schema->partition);
        if (schema->sort.name[0])
            add_key(json, "sort_key", &schema->sort);
        cJSON_AddNumberToObject(json, "items", (double)items);
        cJSON_AddNumberToObject(json, "bytes", (double)bytes);
        return cli_print_json(cli, json);
    }
    printf("table          %s\n", where);
    printf("signed name    %s\n", schema->signed_name);
    printf("partition key  %s (%c)\n", schema->partition.name, schema->partition.type);
    if (schema->sort.name[0])
        printf("sort key       %s (%c)\n", schema->sort.name, schema->sort.type);
    printf("items          %llu, %llu bytes of JSON\n", (unsigned long long)items,
           (unsigned long long)bytes);
    return KB_OK;
}

static enum kb_status run_describe(struct cli *cli, int argc, char **argv)
{
    const char *where = NULL;
    const struct cli_option options[] = {
        {"table", 0, CLI_TEXT, &where},
        {NULL, 0, CLI_FLAG, NULL},
    };
    struct cli_table table;
    enum kb_status status;
    int rest;

    status = cli_parse(cli, argc, argv, options, 0, 0, &rest);
    if (status == KB_OK)
        status = cli_table_open(&table, cli, where, NULL, true);
    if (status != KB_OK)
        return status;
    status = describe(cli, table.table, where);
    cli_table_close(&table);
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
    status = cli_table_put(run->table.table, batch, n, err);
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
        status = cli_table_open(&run.table, cli, where, &sealing, raw);
    if (status == KB_OK) {
        status = raw ? put_raw(&run, in) : put_encrypted(&run, &sealing, in);
        if (status == KB_OK)
            status = cli_counts_status(cli, &run.counts);
        cli_table_close(&run.table);
    }
    cli_sealing_free(&sealing);
    return status;
}

static enum kb_status run_delete(struct cli *cli, int argc, char **argv)
{
    const char *where = NULL, *key = NULL;
    const struct cli_option options[] = {
        {"table", 0, CLI_TEXT, &where},
        {"key", 0, CLI_TEXT, &key},
        {NULL, 0, CLI_FLAG, NULL},
    };
    struct cli_table table;
    enum kb_status status;
    int rest;

    status = cli_parse(cli, argc, argv, options, 0, 0, &rest);
    if (status == KB_OK && !key)
        status = kb_error_set(&cli->error, KB_ERR_USAGE, "--key is missing");
    if (status == KB_OK)
        status = cli_table_open(&table, cli, where, NULL, true);
    if (status != KB_OK)
        return status;
    status = kb_table_delete(table.table, kb_bytes_text(key), &cli->error);
    cli_table_close(&table);
    return status;
}

#define TABLE_SYNOPSIS                                                                             \
    " [--name N]\n    [--provider wrapped|static] [--wrap-key W] [--sign-key K] [--content-key C]"            \
    "\n    [--sign-alg A] [--content-key-bits N] [--actions FILE] [--index-key A]..."              \
    "\n    [--description k=v]... [--description-attribute N] [--signature-attribute N] "          \
    "[--exact-numbers]" "\n    [--workers N]"
#define READ_SYNOPSIS " [--raw] [--plain-json]"

const struct cli_verb cli_table_verbs[] = {
    {"table", "create", "--table local:FILE [--name N] --partition-key NAME[:T] [--sort-key NAME[:T]]",
     "make a table in one file; T is S, N or B; N is the name that is signed", run_create},
    {"table", "describe", "--table local:FILE", "its keys, signed name and size", run_describe},
    {"table", "load",
     "CSV --table local:FILE [--where C]... [--numeric A,B] [--empty omit|null|string]\n"
     "    [--rejects FILE] [--plaintext]" TABLE_SYNOPSIS,
     "put the rows of a CSV file, encrypted", cli_table_load},
    {"table", "put", "--table local:FILE [-i FILE] [--raw]" TABLE_SYNOPSIS,
     "put DynamoDB-JSON items, one a line, encrypted; with --raw as they are", run_put},
    {"table", "get", "--table local:FILE --key JSON" READ_SYNOPSIS TABLE_SYNOPSIS,
     "one item, decrypted", cli_table_get},
    {"table", "query",
     "--table local:FILE --partition V\n"
     "    [--sort-between A B | --sort-begins P | --sort-equals V | --sort-less V |\n"
     "     --sort-at-most V | --sort-greater V | --sort-at-least V] [--descending] [--limit N]"
     READ_SYNOPSIS TABLE_SYNOPSIS,
     "the items of a partition, decrypted, in the order of their sort keys", cli_table_query},
    {"table", "scan", "--table local:FILE [--limit N]" READ_SYNOPSIS TABLE_SYNOPSIS,
     "all items, decrypted", cli_table_scan},
    {"table", "delete", "--table local:FILE --key JSON", "delete one item", run_delete},
    {NULL, NULL, NULL, NULL, NULL},
};
