/* SPDX-License-Identifier: Apache-2.0
 *
 * CSV rows to items: the header's names, conditions, types.
 */
#include <keybridge/csv.h>

#include "attr/attr.h"
#include "table/condition.h"
#include "table/record.h"

#include <stdlib.h>
#include <string.h>

/* A text of n bytes takes up to 6n + 2 in JSON; names and cells come out of
 * two records. */
enum { ITEM_MAX = 2 * 6 * KB_RECORD_MAX + 32 * KB_RECORD_CELLS_MAX };

struct kb_csv {
    struct kb_record_reader reader;
    struct kb_buffer header; /* as it stands in the file */
    struct kb_bytes *names;  /* of the columns, into name_text */
    struct kb_buffer name_text;
    bool *numeric;
    size_t columns;
    struct kb_condition *conditions;
    size_t condition_count;
    enum kb_csv_empty empty;
    struct kb_bytes *cells;
    struct kb_buffer item;
    uint64_t read;
    uint64_t skipped;
};

/* --- header ---------------------------------------------------------------- */

static enum kb_status take_names(struct kb_csv *csv, struct kb_error *err)
{
    const char *file = csv->reader.name;
    const uint8_t *at;

    for (size_t i = 0; i < csv->columns; i++) {
        if (csv->cells[i].size == 0)
            return kb_error_set(err, KB_ERR_INPUT, "%s: column %zu has no name", file, i + 1);
        kb_buffer_put_bytes(&csv->name_text, csv->cells[i]);
    }
    if (csv->name_text.failed)
        return kb_buffer_check(&csv->name_text, err);
    at = csv->name_text.data;
    for (size_t i = 0; i < csv->columns; i++) {
        csv->names[i] = (struct kb_bytes){at, csv->cells[i].size};
        at += csv->cells[i].size;
        for (size_t j = 0; j < i; j++)
            if (kb_bytes_equal(csv->names[i], csv->names[j]))
                return kb_error_set(err, KB_ERR_INPUT, "%s: columns %zu and %zu have the same name",
                                    file, j + 1, i + 1);
    }
    return KB_OK;
}

static enum kb_status read_header(struct kb_csv *csv, struct kb_error *err)
{
    const char *file = csv->reader.name;
    struct kb_record record;
    bool more;
    enum kb_status status = kb_record_next(&csv->reader, &record, &more, err);

    if (status != KB_OK)
        return status;
    if (!more)
        return kb_error_set(err, KB_ERR_INPUT, "%s is empty: it has no header", file);
    if (record.error.status != KB_OK)
        return kb_error_set(err, KB_ERR_INPUT, "%s: the header: %s", file, record.error.text);
    /* Copied to another file, it would be lost there. */
    if (record.raw.size >= 3 && memcmp(record.raw.data, "\xef\xbb\xbf", 3) == 0)
        return kb_error_set(err, KB_ERR_INPUT, "%s: a byte order mark in the name of a column",
                            file);
    csv->columns = kb_record_split(&csv->reader, record.raw, NULL, 0);
    if (csv->columns > KB_RECORD_CELLS_MAX)
        return kb_error_set(err, KB_ERR_INPUT, "%s: more than %d columns", file,
                            KB_RECORD_CELLS_MAX);
    csv->names = calloc(csv->columns, sizeof *csv->names);
    csv->cells = calloc(csv->columns, sizeof *csv->cells);
    csv->numeric = calloc(csv->columns, sizeof *csv->numeric);
    kb_buffer_put_bytes(&csv->header, record.raw);
    if (!csv->names || !csv->cells || !csv->numeric || csv->header.failed)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    kb_record_split(&csv->reader, record.raw, csv->cells, csv->columns);
    return take_names(csv, err);
}

/* --- options --------------------------------------------------------------- */

static void hint_columns(const struct kb_csv *csv, struct kb_error *err)
{
    struct kb_buffer list = KB_BUFFER_INIT(200);

    for (size_t i = 0; i < csv->columns && !list.failed; i++) {
        kb_buffer_put_text(&list, i ? ", " : "");
        kb_buffer_put_bytes(&list, csv->names[i]);
    }
    if (list.size)
        kb_error_hint(err, "the columns are %.*s%s", (int)list.size, (const char *)list.data,
                      list.failed ? " …" : "");
    kb_buffer_free(&list);
}

static enum kb_status set_numeric(struct kb_csv *csv, const struct kb_csv_options *options,
                                  struct kb_error *err)
{
    for (size_t i = 0; i < options->numeric_count; i++) {
        struct kb_bytes name = kb_bytes_text(options->numeric[i]);
        size_t column = 0;

        while (column < csv->columns && !kb_bytes_equal(csv->names[column], name))
            column++;
        if (column == csv->columns) {
            kb_error_set(err, KB_ERR_USAGE, "%s has no column '%.80s'", csv->reader.name,
                         options->numeric[i]);
            hint_columns(csv, err);
            return KB_ERR_USAGE;
        }
        csv->numeric[column] = true;
    }
    return KB_OK;
}

static enum kb_status set_conditions(struct kb_csv *csv, const struct kb_csv_options *options,
                                     struct kb_error *err)
{
    if (options->where_count == 0)
        return KB_OK;
    csv->conditions = calloc(options->where_count, sizeof *csv->conditions);
    if (!csv->conditions)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    csv->condition_count = options->where_count;
    for (size_t i = 0; i < options->where_count; i++) {
        enum kb_status status = kb_condition_parse(&csv->conditions[i], options->where[i],
                                                   csv->names, csv->columns, err);

        if (status != KB_OK) {
            hint_columns(csv, err);
            return status;
        }
    }
    return KB_OK;
}

enum kb_status kb_csv_open(struct kb_csv **out, int fd, const char *name,
                           const struct kb_csv_options *options, struct kb_error *err)
{
    static const struct kb_csv_options defaults;
    struct kb_csv *csv = calloc(1, sizeof *csv);
    enum kb_status status;

    *out = NULL;
    if (!csv)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    options = options ? options : &defaults;
    csv->empty = options->empty;
    csv->header = csv->name_text = (struct kb_buffer)KB_BUFFER_INIT(KB_RECORD_MAX);
    csv->item = (struct kb_buffer)KB_BUFFER_INIT(ITEM_MAX);
    status = kb_record_reader_init(&csv->reader, fd, name, err);
    if (status == KB_OK)
        status = read_header(csv, err);
    if (status == KB_OK)
        status = set_numeric(csv, options, err);
    if (status == KB_OK)
        status = set_conditions(csv, options, err);
    if (status != KB_OK) {
        kb_csv_close(csv);
        return status;
    }
    *out = csv;
    return KB_OK;
}

void kb_csv_close(struct kb_csv *csv)
{
    if (!csv)
        return;
    kb_record_reader_free(&csv->reader);
    kb_buffer_free(&csv->header);
    kb_buffer_free(&csv->name_text);
    kb_buffer_free(&csv->item);
    free(csv->names);
    free(csv->cells);
    free(csv->numeric);
    free(csv->conditions);
    free(csv);
}

struct kb_bytes kb_csv_header(const struct kb_csv *csv)
{
    return kb_buffer_view(&csv->header);
}

void kb_csv_counts(const struct kb_csv *csv, uint64_t *read, uint64_t *skipped)
{
    *read = csv->read;
    *skipped = csv->skipped;
}

int kb_csv_column(const struct kb_csv *csv, const char *name, size_t *columns)
{
    *columns = csv->columns;
    for (size_t i = 0; i < csv->columns; i++)
        if (kb_bytes_equal(csv->names[i], kb_bytes_text(name)))
            return csv->numeric[i] ? 1 : 0;
    return -1;
}

uint64_t kb_csv_position(const struct kb_csv *csv)
{
    return csv->reader.total - (csv->reader.end - csv->reader.begin);
}

/* --- rows ------------------------------------------------------------------ */

/* Bytes of the text to show, at most 40, no character cut. */
static int excerpt(struct kb_bytes text)
{
    size_t size = text.size;

    if (size > 40) {
        size = 40;
        while (size && (text.data[size] & 0xc0) == 0x80)
            size--;
    }
    return (int)size;
}

static enum kb_status bad_cell(const struct kb_csv *csv, struct kb_csv_row *row, size_t column,
                               const char *what)
{
    struct kb_bytes name = csv->names[column], cell = csv->cells[column];

    return kb_error_set(&row->error, KB_ERR_INPUT, "line %llu: column '%.*s': '%.*s' is not %s",
                        (unsigned long long)row->line, excerpt(name), (const char *)name.data,
                        excerpt(cell), (const char *)cell.data, what);
}

static void put_cell(struct kb_csv *csv, size_t column, const char *before, const char *after)
{
    kb_buffer_put_u8(&csv->item, csv->item.size > 1 ? ',' : '{');
    kb_json_put_text(&csv->item, csv->names[column]);
    kb_buffer_put_text(&csv->item, before);
    if (!after)
        return;
    kb_json_put_text(&csv->item, csv->cells[column]);
    kb_buffer_put_text(&csv->item, after);
}

static enum kb_status put_number(struct kb_csv *csv, struct kb_csv_row *row, size_t column)
{
    char number[KB_NUMBER_TEXT_MAX];
    size_t size;

    if (!kb_number_canonical(number, &size, csv->cells[column], true))
        return bad_cell(csv, row, column, "a number DynamoDB takes");
    put_cell(csv, column, ":{\"N\":\"", NULL);
    kb_buffer_put(&csv->item, number, size);
    kb_buffer_put_text(&csv->item, "\"}");
    return KB_OK;
}

/* The item of the row's cells. Row errors go to the row, the rest to `err`. */
static enum kb_status put_item(struct kb_csv *csv, struct kb_csv_row *row, struct kb_error *err)
{
    kb_buffer_reset(&csv->item);
    for (size_t i = 0; i < csv->columns; i++) {
        bool empty = csv->cells[i].size == 0;

        if (empty && csv->empty == KB_CSV_EMPTY_OMIT)
            continue;
        if (empty && csv->empty == KB_CSV_EMPTY_NULL)
            put_cell(csv, i, ":{\"NULL\":true}", NULL);
        else if (!csv->numeric[i])
            put_cell(csv, i, ":{\"S\":", "}");
        else if (put_number(csv, row, i) != KB_OK)
            return KB_OK;
    }
    kb_buffer_put_text(&csv->item, csv->item.size ? "}" : "{}");
    row->item = kb_buffer_view(&csv->item);
    return kb_buffer_check(&csv->item, err);
}

/* False as well when the row is bad. */
static bool conditions_hold(struct kb_csv *csv, struct kb_csv_row *row)
{
    bool holds = true;

    for (size_t i = 0; holds && i < csv->condition_count; i++) {
        const struct kb_condition *condition = &csv->conditions[i];

        if (kb_condition_check(condition, csv->cells[condition->column], &holds) != KB_OK) {
            bad_cell(csv, row, condition->column, "a number, which a condition needs");
            return false;
        }
    }
    return holds;
}

/* *wanted: the row is good and its conditions hold, or it is bad. */
static enum kb_status take_row(struct kb_csv *csv, struct kb_csv_row *row, bool *wanted,
                               struct kb_error *err)
{
    size_t count;

    *wanted = true;
    if (row->error.status != KB_OK)
        return KB_OK;
    count = kb_record_split(&csv->reader, row->raw, csv->cells, csv->columns);
    if (count != csv->columns) {
        kb_error_set(&row->error, KB_ERR_INPUT, "line %llu: %zu cells, the header has %zu",
                     (unsigned long long)row->line, count, csv->columns);
        return KB_OK;
    }
    if (conditions_hold(csv, row))
        return put_item(csv, row, err);
    *wanted = row->error.status != KB_OK;
    csv->skipped += !*wanted;
    return KB_OK;
}

enum kb_status kb_csv_next(struct kb_csv *csv, struct kb_csv_row *row, bool *more,
                           struct kb_error *err)
{
    enum kb_status status;
    bool wanted;

    do {
        struct kb_record record;

        memset(row, 0, sizeof *row);
        status = kb_record_next(&csv->reader, &record, more, err);
        if (status != KB_OK || !*more)
            return status;
        csv->read++;
        row->line = record.line;
        row->raw = record.raw;
        row->error = record.error;
        status = take_row(csv, row, &wanted, err);
    } while (status == KB_OK && !wanted);
    return status;
}
