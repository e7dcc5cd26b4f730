/* SPDX-License-Identifier: Apache-2.0 */
#include "table/record.h"

#include "base/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Room for the largest record, its line end, and a read of useful size. */
enum { READ_SIZE = 64 * 1024, WINDOW_SIZE = KB_RECORD_MAX + 2 * READ_SIZE };

/* --- reading --------------------------------------------------------------- */

/* More bytes at the end of the window, or `at_end`. */
static enum kb_status fill(struct kb_record_reader *reader, struct kb_error *err)
{
    ssize_t got;

    if (WINDOW_SIZE - reader->end < READ_SIZE) {
        memmove(reader->window, reader->window + reader->begin, reader->end - reader->begin);
        reader->end -= reader->begin;
        reader->begin = 0;
    }
    do
        got = read(reader->fd, reader->window + reader->end, WINDOW_SIZE - reader->end);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return kb_error_errno(err, KB_ERR_SYSTEM, errno, "reading %s", reader->name);
    reader->end += (size_t)got;
    reader->total += (uint64_t)got;
    reader->at_end = got == 0;
    return KB_OK;
}

static bool begins(const struct kb_record_reader *reader, const char *text, size_t size)
{
    return reader->end - reader->begin >= size &&
           memcmp(reader->window + reader->begin, text, size) == 0;
}

enum kb_status kb_record_reader_init(struct kb_record_reader *reader, int fd, const char *name,
                                     struct kb_error *err)
{
    enum kb_status status = KB_OK;

    *reader = (struct kb_record_reader){.fd = fd, .name = name, .line = 1};
    reader->window = malloc(WINDOW_SIZE);
    reader->scratch = malloc(KB_RECORD_MAX);
    if (!reader->window || !reader->scratch)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    while (status == KB_OK && !reader->at_end && reader->end < 3)
        status = fill(reader, err);
    if (status == KB_OK && (begins(reader, "\xff\xfe", 2) || begins(reader, "\xfe\xff", 2))) {
        kb_error_set(err, KB_ERR_INPUT, "%s is UTF-16 text", name);
        kb_error_hint(err, "save it as UTF-8");
        return KB_ERR_INPUT;
    }
    if (begins(reader, "\xef\xbb\xbf", 3))
        reader->begin += 3;
    return status;
}

void kb_record_reader_free(struct kb_record_reader *reader)
{
    free(reader->window);
    free(reader->scratch);
    reader->window = reader->scratch = NULL;
}

/* --- where a record ends --------------------------------------------------- */

enum state {
    CELL_START,
    PLAIN,
    QUOTED,
    QUOTE_SEEN, /* in a quoted cell: its end, or the first of two */
    CR_SEEN,
    STRAY, /* malformed: quotes mean nothing up to the next line end */
    ENDED,
};

struct scan {
    enum state state;
    uint64_t quote_line;
    const char *problem;
    bool too_large;
};

static enum state stray(struct scan *scan, const char *problem)
{
    scan->problem = problem;
    return STRAY;
}

static enum state after(struct scan *scan, uint8_t byte)
{
    enum state state = scan->state;

    if (state == QUOTED)
        return byte == '"' ? QUOTE_SEEN : QUOTED;
    if (byte == '\n')
        return ENDED;
    if (state == STRAY)
        return STRAY;
    if (state == CR_SEEN)
        return stray(scan, "a carriage return that no line feed follows");
    if (byte == '\r')
        return CR_SEEN;
    if (byte == ',')
        return CELL_START;
    if (state == QUOTE_SEEN)
        return byte == '"' ? QUOTED : stray(scan, "text behind the closing quote of a cell");
    if (byte != '"')
        return PLAIN;
    return state == CELL_START ? QUOTED
                               : stray(scan, "a quote in a cell that does not begin with one");
}

/* Moves over the bytes that are there; `*used` counts those of this record. */
static void scan_window(struct kb_record_reader *reader, struct scan *scan, size_t *used)
{
    const uint8_t *bytes = reader->window + reader->begin;
    size_t there = reader->end - reader->begin;
    size_t at = *used;

    while (at < there && scan->state != ENDED) {
        enum state before = scan->state;

        scan->state = after(scan, bytes[at]);
        if (before == CELL_START && scan->state == QUOTED)
            scan->quote_line = reader->line;
        reader->line += bytes[at] == '\n';
        at++;
    }
    *used = at;
}

/* Bytes of the record without LF or CR LF. */
static size_t without_line_end(const uint8_t *bytes, size_t size, bool ended)
{
    if (ended && size && bytes[size - 1] == '\n')
        size--;
    if (size && bytes[size - 1] == '\r')
        size--;
    return size;
}

static void set_error(struct kb_record *record, const struct scan *scan)
{
    unsigned long long line = record->line;

    if (scan->state == QUOTED)
        kb_error_set(&record->error, KB_ERR_INPUT,
                     "line %llu: the quote opened on line %llu is never closed", line,
                     (unsigned long long)scan->quote_line);
    else if (scan->too_large)
        kb_error_set(&record->error, KB_ERR_INPUT, "line %llu: a record of more than %d bytes",
                     line, KB_RECORD_MAX);
    else if (scan->problem)
        kb_error_set(&record->error, KB_ERR_INPUT, "line %llu: %s", line, scan->problem);
    else if (!kb_utf8_valid(record->raw))
        kb_error_set(&record->error, KB_ERR_INPUT, "line %llu: not UTF-8 text", line);
}

static enum kb_status read_record(struct kb_record_reader *reader, struct kb_record *out,
                                  bool *more, struct kb_error *err)
{
    struct scan scan = {.state = CELL_START};
    enum kb_status status = KB_OK;
    size_t used = 0;

    memset(out, 0, sizeof *out);
    out->line = reader->line;
    for (;;) {
        scan_window(reader, &scan, &used);
        if (scan.state == ENDED || reader->at_end)
            break;
        /* One more for a CR that may belong to the line end. Where the record
         * ends is still followed, its bytes are dropped. */
        if (used > KB_RECORD_MAX + 1 || scan.too_large) {
            scan.too_large = true;
            reader->begin += used;
            used = 0;
        }
        status = fill(reader, err);
        if (status != KB_OK)
            return status;
    }
    *more = used > 0 || scan.too_large;
    out->raw.data = reader->window + reader->begin;
    out->raw.size = without_line_end(out->raw.data, used, scan.state == ENDED);
    reader->begin += used;
    if (scan.too_large || out->raw.size > KB_RECORD_MAX) {
        scan.too_large = true;
        out->raw.size = 0;
    }
    set_error(out, &scan);
    return KB_OK;
}

enum kb_status kb_record_next(struct kb_record_reader *reader, struct kb_record *out, bool *more,
                              struct kb_error *err)
{
    enum kb_status status;

    do
        status = read_record(reader, out, more, err);
    while (status == KB_OK && *more && out->raw.size == 0 && out->error.status == KB_OK);
    return status;
}

/* --- cells ----------------------------------------------------------------- */

/* Reads a quoted cell; the result is what follows its closing quote. */
static const uint8_t *quoted_cell(const uint8_t *at, const uint8_t *end, uint8_t **scratch,
                                  struct kb_bytes *cell)
{
    const uint8_t *quote = memchr(at, '"', (size_t)(end - at));
    uint8_t *start = *scratch;

    if (!quote)
        quote = end; /* not in a record without error */
    if (quote + 1 >= end || quote[1] != '"') {
        *cell = (struct kb_bytes){at, (size_t)(quote - at)};
        return quote < end ? quote + 1 : end;
    }
    for (;;) {
        memcpy(*scratch, at, (size_t)(quote - at));
        *scratch += quote - at;
        if (quote + 1 >= end || quote[1] != '"')
            break;
        *(*scratch)++ = '"';
        at = quote + 2;
        quote = memchr(at, '"', (size_t)(end - at));
        if (!quote)
            quote = end;
    }
    *cell = (struct kb_bytes){start, (size_t)(*scratch - start)};
    return quote < end ? quote + 1 : end;
}

size_t kb_record_split(struct kb_record_reader *reader, struct kb_bytes raw,
                       struct kb_bytes *cells, size_t max)
{
    const uint8_t *at = raw.data, *end = raw.data + raw.size;
    uint8_t *scratch = reader->scratch;
    size_t count = 0;

    for (;;) {
        const uint8_t *comma;
        struct kb_bytes cell;

        if (at < end && *at == '"') {
            comma = quoted_cell(at + 1, end, &scratch, &cell);
        } else {
            comma = at < end ? memchr(at, ',', (size_t)(end - at)) : NULL;
            comma = comma ? comma : end;
            cell = (struct kb_bytes){at, (size_t)(comma - at)};
        }
        if (count < max)
            cells[count] = cell;
        count++;
        if (comma >= end)
            return count;
        at = comma + 1;
    }
}
