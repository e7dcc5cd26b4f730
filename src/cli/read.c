/* SPDX-License-Identifier: Apache-2.0
 *
 * keybridge table get, query, scan.
 */
#include "cli/table.h"

#include <string.h>

struct read_run {
    struct cli *cli;
    struct cli_table table;
    struct cli_output output;
    struct cli_counts counts;
    struct cli_progress progress;
    bool plain_json;
    uint64_t number;
};

static enum kb_status print_item(struct read_run *run, struct kb_bytes item)
{
    struct kb_buffer plain = KB_BUFFER_INIT(64 * 1024 * 1024);
    enum kb_status status;

    if (!run->plain_json)
        return cli_output_line(&run->output, item);
    status = kb_item_to_plain_json(&plain, item, &run->cli->error);
    if (status == KB_OK)
        status = cli_output_line(&run->output, kb_buffer_view(&plain));
    kb_buffer_free(&plain);
    return status;
}

static enum kb_status print_results(void *ctx, const struct kb_line *lines, size_t n,
                                    struct kb_error *err)
{
    struct read_run *run = ctx;
    enum kb_status status = KB_OK;

    for (size_t i = 0; status == KB_OK && i < n; i++) {
        if (lines[i].error.status == KB_OK) {
            run->counts.good++;
            status = print_item(run, lines[i].out);
            continue;
        }
        run->counts.bad++;
        cli_progress_end(&run->progress);
        cli_say("item %llu: %s", (unsigned long long)lines[i].number,
                kb_error_text(&lines[i].error));
    }
    cli_progress_add(&run->progress, n);
    if (status != KB_OK)
        *err = run->cli->error;
    return status;
}

/* An item of the table: decrypted on its way out, or as it is stored. */
static enum kb_status take_stored(void *ctx, struct kb_bytes item)
{
    struct read_run *run = ctx;

    run->number++;
    if (run->table.stream)
        return kb_stream_put(run->table.stream, run->number, item, &run->cli->error);
    run->counts.good++;
    return print_item(run, item);
}

static enum kb_status take_damaged(void *ctx, const struct kb_error *error)
{
    struct read_run *run = ctx;

    run->number++;
    run->counts.bad++;
    cli_progress_end(&run->progress);
    cli_say("item %llu: %s", (unsigned long long)run->number, kb_error_text(error));
    return KB_OK;
}

static enum kb_status do_get(struct read_run *run, const char *key)
{
    struct kb_buffer item = KB_BUFFER_INIT(64 * 1024 * 1024);
    enum kb_status status =
        kb_table_get(run->table.table, kb_bytes_text(key), &item, &run->cli->error);

    if (status == KB_OK)
        status = take_stored(run, kb_buffer_view(&item));
    kb_buffer_free(&item);
    return status;
}

/* What a reading verb was asked for. */
struct read_request {
    const char *key; /* get */
    bool scan;
    struct kb_table_query query;
};

static enum kb_status do_read(struct read_run *run, const struct read_request *request)
{
    const struct kb_table_sink sink = {take_stored, take_damaged, run};
    struct kb_error *err = &run->cli->error;

    if (request->key)
        return do_get(run, request->key);
    if (request->scan)
        return kb_table_scan(run->table.table, request->query.limit, &sink, err);
    return kb_table_query(run->table.table, &request->query, &sink, err);
}

/* Reads with whichever verb: opens, walks, drains, closes. */
static enum kb_status read_items(struct read_run *run, const struct read_request *request,
                                 const char *where, struct cli_sealing *sealing, bool raw)
{
    struct kb_stream_options options = {.decrypt = true, .sink = print_results, .ctx = run};
    struct cli *cli = run->cli;
    enum kb_status status = cli_table_open(&run->table, cli, where, sealing,
                                           raw ? CLI_TABLE_PLAIN : CLI_TABLE_READ);
    enum kb_status closed;

    if (status != KB_OK)
        return status;
    if (!raw)
        status = cli_table_stream(&run->table, cli, sealing, options);
    if (status == KB_OK)
        status = cli_output_open(&run->output, cli, NULL, false);
    cli_progress_start(&run->progress, cli, "items read");
    if (status == KB_OK)
        status = do_read(run, request);
    if (status == KB_OK && run->table.stream)
        status = kb_stream_drain(run->table.stream, &cli->error);
    cli_progress_end(&run->progress);
    closed = cli_output_close(&run->output, status == KB_OK);
    if (status == KB_OK)
        status = closed;
    if (status == KB_OK)
        status = cli_counts_status(cli, &run->counts, "item");
    if (status == KB_ERR_INPUT && !raw && run->counts.bad)
        kb_error_hint(&cli->error, "what was loaded with --plaintext is printed with --raw");
    cli_table_close(&run->table);
    return status;
}

#define READ_OPTIONS(where, sealing, raw, plain)                                                   \
    CLI_TABLE_OPTIONS(where, sealing), {"raw", 0, CLI_FLAG, &(raw)},                               \
        {"plain-json", 0, CLI_FLAG, &(plain)}

enum kb_status cli_table_get(struct cli *cli, int argc, char **argv)
{
    struct read_run run = {.cli = cli};
    struct read_request request = {0};
    struct cli_sealing sealing = {0};
    const char *where = NULL;
    bool raw = false;
    const struct cli_option options[] = {
        READ_OPTIONS(where, sealing, raw, run.plain_json),
        {"key", 0, CLI_TEXT, &request.key},
        {NULL, 0, CLI_FLAG, NULL},
    };
    enum kb_status status;
    int rest;

    status = cli_parse(cli, argc, argv, options, 0, 0, &rest);
    if (status == KB_OK && !request.key)
        status = kb_error_set(&cli->error, KB_ERR_USAGE, "--key is missing");
    if (status == KB_OK)
        status = read_items(&run, &request, where, &sealing, raw);
    cli_sealing_free(&sealing);
    return status;
}

enum kb_status cli_table_scan(struct cli *cli, int argc, char **argv)
{
    struct read_run run = {.cli = cli};
    struct read_request request = {.scan = true};
    struct cli_sealing sealing = {0};
    const char *where = NULL, *limit = NULL;
    bool raw = false;
    const struct cli_option options[] = {
        READ_OPTIONS(where, sealing, raw, run.plain_json),
        {"limit", 0, CLI_TEXT, &limit},
        {NULL, 0, CLI_FLAG, NULL},
    };
    enum kb_status status;
    int rest;

    status = cli_parse(cli, argc, argv, options, 0, 0, &rest);
    if (status == KB_OK)
        status = cli_number(cli, "limit", limit, 1, UINT64_MAX, &request.query.limit);
    if (status == KB_OK)
        status = read_items(&run, &request, where, &sealing, raw);
    cli_sealing_free(&sealing);
    return status;
}

/* Sort-key conditions by option, in the order of enum kb_sort_op. */
static const char *const sort_options[] = {
    "sort-equals",  "sort-less",    "sort-at-most", "sort-greater",
    "sort-at-least", "sort-between", "sort-begins",
};
enum { SORT_OPTIONS = sizeof sort_options / sizeof *sort_options };

static enum kb_status set_sort(struct cli *cli, struct kb_table_query *query,
                               const char *const *values, int rest, char **argv)
{
    for (size_t i = 0; i < SORT_OPTIONS; i++) {
        if (!values[i])
            continue;
        if (query->op != KB_SORT_ANY)
            return kb_error_set(&cli->error, KB_ERR_USAGE,
                                "more than one condition on the sort key");
        query->op = (enum kb_sort_op)(KB_SORT_EQUAL + i);
        query->sort_a = values[i];
    }
    if (rest != (query->op == KB_SORT_BETWEEN))
        return rest ? kb_error_set(&cli->error, KB_ERR_USAGE, "unexpected argument '%s'", argv[0])
                    : kb_error_set(&cli->error, KB_ERR_USAGE, "--sort-between takes two values");
    query->sort_b = rest ? argv[0] : NULL;
    return KB_OK;
}

enum kb_status cli_table_query(struct cli *cli, int argc, char **argv)
{
    struct read_run run = {.cli = cli};
    struct read_request request = {0};
    struct cli_sealing sealing = {0};
    const char *where = NULL, *limit = NULL;
    const char *values[SORT_OPTIONS] = {NULL};
    bool raw = false;
    const struct cli_option options[] = {
        READ_OPTIONS(where, sealing, raw, run.plain_json),
        {"partition", 0, CLI_TEXT, &request.query.partition},
        {"index", 0, CLI_TEXT, &request.query.index},
        {"descending", 0, CLI_FLAG, &request.query.descending},
        {"limit", 0, CLI_TEXT, &limit},
        {sort_options[0], 0, CLI_TEXT, &values[0]},
        {sort_options[1], 0, CLI_TEXT, &values[1]},
        {sort_options[2], 0, CLI_TEXT, &values[2]},
        {sort_options[3], 0, CLI_TEXT, &values[3]},
        {sort_options[4], 0, CLI_TEXT, &values[4]},
        {sort_options[5], 0, CLI_TEXT, &values[5]},
        {sort_options[6], 0, CLI_TEXT, &values[6]},
        {NULL, 0, CLI_FLAG, NULL},
    };
    enum kb_status status;
    int rest;

    status = cli_parse(cli, argc, argv, options, 0, 1, &rest);
    if (status == KB_OK)
        status = set_sort(cli, &request.query, values, rest, argv);
    if (status == KB_OK && !request.query.partition)
        status = kb_error_set(&cli->error, KB_ERR_USAGE, "--partition is missing");
    if (status == KB_OK)
        status = cli_number(cli, "limit", limit, 1, UINT64_MAX, &request.query.limit);
    if (status == KB_OK)
        status = read_items(&run, &request, where, &sealing, raw);
    cli_sealing_free(&sealing);
    return status;
}
