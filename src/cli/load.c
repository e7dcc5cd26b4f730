/* SPDX-License-Identifier: Apache-2.0
 *
 * keybridge table load: CSV rows into a table.
 */
#include "cli/pace.h"
#include "cli/table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RATE_MAX = 1000000 };

struct load_options {
    const char *where_table;
    struct cli_sealing sealing;
    struct cli_list where;
    char *numeric_text;
    struct cli_list numeric;
    const char *empty;
    const char *rejects;
    const char *limit;
    const char *max_rate;
    bool plaintext;
    bool dry_run;
};

/* A row on its way: where it ends in the file, for the bar, and what it says if
 * there is a reject file. */
struct pending {
    struct pending *next;
    uint64_t position;
    size_t size;
    uint8_t raw[];
};

struct load {
    struct cli *cli;
    struct cli_table table;
    struct kb_csv *csv;
    struct cli_counts counts;
    struct cli_progress progress;
    const char *rejects_path;
    struct kb_outfile *rejects;
    bool rejected; /* some row is in it */
    struct pending *oldest, *newest;
    struct kb_stream_options stream;
    struct cli_plain plain; /* --plaintext */
    struct cli_pace pace;
    uint64_t limit; /* rows still to take */
    bool dry_run;
    bool plaintext;   /* asked for */
    bool unencrypted; /* a dry run without a token */
};

/* --- rejects -------------------------------------------------------------------------- */

static enum kb_status write_row(struct load *load, struct kb_bytes raw)
{
    enum kb_status status = kb_outfile_write(load->rejects, raw, &load->cli->error);

    return status == KB_OK
               ? kb_outfile_write(load->rejects, kb_bytes_text("\n"), &load->cli->error)
               : status;
}

/* `line` 0: the sentence names it. */
static enum kb_status reject(struct load *load, uint64_t line, struct kb_bytes raw,
                             const struct kb_error *error)
{
    enum kb_status status = KB_OK;

    load->counts.bad++;
    cli_progress_end(&load->progress);
    if (line)
        cli_say("line %llu: %s", (unsigned long long)line, kb_error_text(error));
    else
        cli_say("%s", kb_error_text(error));
    if (!load->rejects_path)
        return KB_OK;
    if (!load->rejected)
        status = write_row(load, kb_csv_header(load->csv));
    load->rejected = true;
    return status == KB_OK ? write_row(load, raw) : status;
}

static enum kb_status remember(struct load *load, struct kb_bytes raw)
{
    struct pending *row;

    if (!load->rejects_path)
        raw.size = 0;
    row = malloc(sizeof *row + raw.size);
    if (!row)
        return kb_error_set(&load->cli->error, KB_ERR_MEMORY, "no memory");
    row->next = NULL;
    row->position = kb_csv_position(load->csv);
    row->size = raw.size;
    if (raw.size)
        memcpy(row->raw, raw.data, raw.size);
    if (load->newest)
        load->newest->next = row;
    else
        load->oldest = row;
    load->newest = row;
    return KB_OK;
}

static void forget_oldest(struct load *load)
{
    struct pending *row = load->oldest;

    if (!row)
        return;
    load->oldest = row->next;
    load->progress.done = row->position;
    if (!load->oldest)
        load->newest = NULL;
    free(row);
}

static struct kb_bytes oldest_raw(const struct load *load)
{
    return load->oldest ? (struct kb_bytes){load->oldest->raw, load->oldest->size}
                        : (struct kb_bytes){NULL, 0};
}

/* --- rows into the table ------------------------------------------------------------------ */

/* A part of a batch: all of it without --max-rate. */
static enum kb_status store_step(struct load *load, struct kb_line *lines, size_t n,
                                 struct kb_error *err)
{
    struct kb_table_stats before, stats;
    enum kb_status status;

    if (!load->dry_run)
        cli_pace_wait(&load->pace, n);
    kb_table_stats(load->table.table, &before);
    status = cli_table_put(load->table.table, lines, n, load->dry_run, err);
    kb_table_stats(load->table.table, &stats);
    load->progress.retries = stats.retries;
    /* Of a step that ended the run, some may be in the table. */
    if (status != KB_OK)
        load->counts.good += stats.stored - before.stored < n ? stats.stored - before.stored : n;
    for (size_t i = 0; status == KB_OK && i < n; i++) {
        if (lines[i].error.status == KB_OK)
            load->counts.good++;
        else
            status = reject(load, lines[i].number, oldest_raw(load), &lines[i].error);
        forget_oldest(load);
        if (status != KB_OK)
            *err = load->cli->error;
    }
    cli_progress_add(&load->progress, n);
    return status;
}

static enum kb_status store(struct load *load, struct kb_line *lines, size_t n,
                            struct kb_error *err)
{
    enum kb_status status = KB_OK;
    size_t step;

    for (size_t at = 0; status == KB_OK && at < n; at += step) {
        step = cli_pace_step(&load->pace, n - at);
        status = store_step(load, lines + at, step, err);
    }
    return status;
}

static enum kb_status store_results(void *ctx, const struct kb_line *lines, size_t n,
                                    struct kb_error *err)
{
    struct kb_line batch[KB_LINES_MAX];

    memcpy(batch, lines, n * sizeof *batch);
    return store(ctx, batch, n, err);
}

static enum kb_status put_row(struct load *load, const struct kb_csv_row *row)
{
    enum kb_status status = remember(load, row->raw);

    if (status != KB_OK)
        return status;
    if (load->table.stream)
        return kb_stream_put(load->table.stream, row->line, row->item, &load->cli->error);
    return cli_plain_put(&load->plain, row->line, row->item, &load->stream, &load->cli->error);
}

/* Rows before a bad one are stored first, so that the reject file and the
 * messages keep the order of the lines. */
static enum kb_status settle(struct load *load)
{
    if (load->table.stream)
        return kb_stream_drain(load->table.stream, &load->cli->error);
    return cli_plain_drain(&load->plain, &load->stream, &load->cli->error);
}

static enum kb_status load_rows(struct load *load)
{
    enum kb_status status = KB_OK;
    struct kb_csv_row row;
    bool more = true;

    while (status == KB_OK && load->limit) {
        status = kb_csv_next(load->csv, &row, &more, &load->cli->error);
        if (status != KB_OK || !more)
            break;
        load->limit--;
        if (row.error.status == KB_OK) {
            status = put_row(load, &row);
            continue;
        }
        status = settle(load);
        if (status == KB_OK)
            status = reject(load, 0, row.raw, &row.error);
    }
    return status == KB_OK ? settle(load) : status;
}

static void say_stats(const struct load *load)
{
    struct kb_table_stats stats;

    kb_table_stats(load->table.table, &stats);
    if (stats.merged)
        cli_note(load->cli, "%llu rows had the key of a later one in the same batch, which stays",
                 (unsigned long long)stats.merged);
    if (load->cli->verbose)
        cli_note(load->cli, "%.0f rows a second, %llu requests, %llu retries, %llu throttled, "
                            "%llu merged",
                 cli_progress_rate(&load->progress), (unsigned long long)stats.requests,
                 (unsigned long long)stats.retries, (unsigned long long)stats.throttled,
                 (unsigned long long)stats.merged);
}

static void say_result(const struct load *load, enum kb_status status)
{
    const char *clear = !load->plaintext ? "" : " in the clear";
    const char *would = !load->dry_run     ? "loaded"
                        : load->unencrypted ? "pass (not encrypted: there is no token)"
                                            : "would be loaded";
    uint64_t read = 0, skipped = 0;

    kb_csv_counts(load->csv, &read, &skipped);
    cli_note(load->cli, "%llu rows %s%s, %llu left out by --where, %llu bad%s%s%s",
             (unsigned long long)load->counts.good, would, clear, (unsigned long long)skipped,
             (unsigned long long)load->counts.bad, load->rejected ? " (see " : "",
             load->rejected ? load->rejects_path : "", load->rejected ? ")" : "");
    say_stats(load);
    if (status != KB_OK && !load->dry_run)
        cli_say("the run ended early; what was loaded stays");
}

/* --- the verb --------------------------------------------------------------------------------- */

static enum kb_status csv_options(struct cli *cli, struct load_options *options,
                                  struct kb_csv_options *out)
{
    static const char *const names[] = {"omit", "null", "string"};
    size_t i = 0;

    *out = (struct kb_csv_options){
        .numeric = options->numeric.items,
        .numeric_count = options->numeric.count,
        .where = options->where.items,
        .where_count = options->where.count,
    };
    if (!options->empty)
        return KB_OK;
    while (i < 3 && strcmp(names[i], options->empty) != 0)
        i++;
    if (i == 3)
        return kb_error_set(&cli->error, KB_ERR_USAGE, "--empty is omit, null or string, not '%s'",
                            options->empty);
    out->empty = (enum kb_csv_empty)i;
    return KB_OK;
}

static enum kb_status open_csv(struct load *load, const char *path, int *fd,
                               const struct kb_csv_options *options)
{
    struct cli *cli = load->cli;
    bool standard_input = strcmp(path, "-") == 0;

    *fd = standard_input ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
    if (*fd < 0)
        return kb_error_errno(&cli->error, errno == ENOENT ? KB_ERR_NOT_FOUND : KB_ERR_SYSTEM,
                              errno, "%s", path);
    return kb_csv_open(&load->csv, *fd, standard_input ? "standard input" : path, options,
                       &cli->error);
}

/* The reject file appears when there is something in it. */
static enum kb_status keep_rejects(struct load *load, enum kb_status status)
{
    struct kb_error error = {0};
    enum kb_status kept = KB_OK;

    if (load->rejected)
        kept = kb_outfile_commit(load->rejects, &error);
    else
        kb_outfile_abort(load->rejects);
    if (status != KB_OK || kept == KB_OK)
        return status;
    load->cli->error = error;
    return kept;
}

/* Without a token a dry run still checks the rows, as they are in the file. */
static enum kb_status open_table(struct load *load, struct load_options *options)
{
    struct cli *cli = load->cli;
    enum kb_status status = cli_table_open(&load->table, cli, options->where_table,
                                           &options->sealing,
                                           options->plaintext ? CLI_TABLE_PLAIN : CLI_TABLE_WRITE);

    if (status == KB_ERR_TOKEN && options->dry_run) {
        kb_error_clear(&cli->error);
        load->unencrypted = true;
        status = cli_table_only(&load->table.table, cli, options->where_table,
                                &options->sealing.remote);
    }
    load->plaintext = options->plaintext;
    if (status == KB_OK && !options->plaintext && !load->unencrypted)
        status = cli_table_stream(&load->table, cli, &options->sealing, load->stream);
    return status;
}

/* A file that cannot be for this table is refused as a whole, not row by row. */
static enum kb_status check_key_column(struct load *load, const struct kb_table_key *key,
                                       const char *what)
{
    struct kb_error *error = &load->cli->error;
    size_t columns;
    int numeric = key->name[0] ? kb_csv_column(load->csv, key->name, &columns) : 0;

    if (!key->name[0] || (numeric < 0 && columns == 0))
        return KB_OK;
    if (numeric < 0)
        return kb_error_set(error, KB_ERR_USAGE,
                            "the file has no column '%s', which is the table's %s", key->name,
                            what);
    if (key->type == 'B' || (key->type == 'N') == (numeric == 1))
        return KB_OK;
    kb_error_set(error, KB_ERR_USAGE, "the table's %s '%s' is of type %c", what, key->name,
                 key->type);
    kb_error_hint(error, key->type == 'N' ? "name it with --numeric"
                                          : "leave it out of --numeric");
    return KB_ERR_USAGE;
}

static enum kb_status check_columns(struct load *load)
{
    const struct kb_table_schema *schema = kb_table_schema(load->table.table);
    enum kb_status status = check_key_column(load, &schema->partition, "partition key");

    return status == KB_OK ? check_key_column(load, &schema->sort, "sort key") : status;
}

static enum kb_status run_load(struct load *load, struct load_options *options, const char *path)
{
    struct cli *cli = load->cli;
    struct kb_csv_options csv;
    enum kb_status status = csv_options(cli, options, &csv);
    int fd = -1;

    if (status == KB_OK)
        status = open_csv(load, path, &fd, &csv);
    if (status == KB_OK && load->rejects_path)
        status = kb_outfile_open(&load->rejects, load->rejects_path, 0600, KB_OUTFILE_REPLACE,
                                 &cli->error);
    if (status == KB_OK)
        status = open_table(load, options);
    if (status == KB_OK)
        status = check_columns(load);
    if (status == KB_OK) {
        cli_progress_start(&load->progress, cli, load->dry_run ? "rows checked" : "rows loaded");
        cli_progress_file(&load->progress, fd);
        status = load_rows(load);
        cli_progress_end(&load->progress);
        say_result(load, status);
    }
    status = keep_rejects(load, status);
    if (status == KB_OK)
        status = cli_counts_status(cli, &load->counts, "item");
    cli_table_close(&load->table);
    kb_csv_close(load->csv);
    if (fd >= 0)
        close(fd);
    return status;
}

static enum kb_status split_numeric(struct cli *cli, struct load_options *options,
                                    const char *numeric)
{
    if (!numeric)
        return KB_OK;
    options->numeric_text = strdup(numeric);
    return options->numeric_text ? cli_split(cli, &options->numeric, options->numeric_text)
                                 : kb_error_set(&cli->error, KB_ERR_MEMORY, "no memory");
}

static void load_free(struct load *load, struct load_options *options)
{
    while (load->oldest)
        forget_oldest(load);
    kb_buffer_free(&load->plain.text);
    cli_sealing_free(&options->sealing);
    cli_list_free(&options->where);
    cli_list_free(&options->numeric);
    free(options->numeric_text);
    free(load);
}

enum kb_status cli_table_load(struct cli *cli, int argc, char **argv)
{
    struct load_options options = {0};
    const char *numeric = NULL;
    const struct cli_option table[] = {
        CLI_TABLE_OPTIONS(options.where_table, options.sealing),
        {"where", 0, CLI_LIST, &options.where},
        {"numeric", 0, CLI_TEXT, &numeric},
        {"empty", 0, CLI_TEXT, &options.empty},
        {"rejects", 0, CLI_TEXT, &options.rejects},
        {"limit", 0, CLI_TEXT, &options.limit},
        {"max-rate", 0, CLI_TEXT, &options.max_rate},
        {"plaintext", 0, CLI_FLAG, &options.plaintext},
        {"dry-run", 0, CLI_FLAG, &options.dry_run},
        {NULL, 0, CLI_FLAG, NULL},
    };
    struct load *load = calloc(1, sizeof *load);
    enum kb_status status;
    int rest;

    if (!load)
        return kb_error_set(&cli->error, KB_ERR_MEMORY, "no memory");
    load->cli = cli;
    load->stream = (struct kb_stream_options){.sink = store_results, .ctx = load};
    load->plain.text.max = CLI_PLAIN_BYTES;
    load->limit = UINT64_MAX;
    status = cli_parse(cli, argc, argv, table, 1, 1, &rest);
    load->rejects_path = options.rejects;
    load->dry_run = options.dry_run;
    if (status == KB_OK)
        status = cli_number(cli, "limit", options.limit, 1, UINT64_MAX, &load->limit);
    if (status == KB_OK)
        status = cli_number(cli, "max-rate", options.max_rate, 1, RATE_MAX, &load->pace.per_second);
    if (status == KB_OK)
        status = split_numeric(cli, &options, numeric);
    if (status == KB_OK)
        status = run_load(load, &options, argv[0]);
    load_free(load, &options);
    return status;
}
