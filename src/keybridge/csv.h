/* SPDX-License-Identifier: Apache-2.0
 *
 * CSV (RFC 4180) to items in DynamoDB JSON.
 */
#ifndef KEYBRIDGE_CSV_H
#define KEYBRIDGE_CSV_H

#include <keybridge/bytes.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What becomes of an empty cell. */
enum kb_csv_empty { KB_CSV_EMPTY_OMIT, KB_CSV_EMPTY_NULL, KB_CSV_EMPTY_STRING };

struct kb_csv_options {
    enum kb_csv_empty empty;
    const char *const *numeric; /* columns whose cells become N; borrowed */
    size_t numeric_count;
    const char *const *where; /* conditions, all must hold: "Item Type=Vegetables",
                                 "Total Revenue<500000"; borrowed */
    size_t where_count;
};

struct kb_csv;

/* A record of the file. */
struct kb_csv_row {
    uint64_t line;        /* line of the file it starts on, the header is line 1 */
    struct kb_bytes raw;  /* as it stands in the file, without its line end */
    struct kb_bytes item; /* DynamoDB JSON; empty when `error` is set */
    struct kb_error error; /* KB_ERR_INPUT when the row is bad: wrong number of cells, bad UTF-8,
                              a stray quote, no number where one is wanted */
};

/* Reads the header from descriptor `fd`, which stays the caller's. `name` is
 * for messages. Conditions and numeric columns must name columns of the
 * header: KB_ERR_USAGE. An empty file, names twice or empty: KB_ERR_INPUT. A
 * byte order mark is skipped; lines end with LF or CR LF. */
KB_MUST_CHECK enum kb_status kb_csv_open(struct kb_csv **out, int fd, const char *name,
                                         const struct kb_csv_options *options,
                                         struct kb_error *err);
void kb_csv_close(struct kb_csv *csv);

/* The header record as it stands in the file (for a reject file). */
struct kb_bytes kb_csv_header(const struct kb_csv *csv);

/* The next row for which all conditions hold, or a bad one. *more is false at
 * the end. Views live until the next call. Return value: reading failed. */
KB_MUST_CHECK enum kb_status kb_csv_next(struct kb_csv *csv, struct kb_csv_row *row, bool *more,
                                         struct kb_error *err);

/* Rows read and rows the conditions left out, so far. */
void kb_csv_counts(const struct kb_csv *csv, uint64_t *read, uint64_t *skipped);

/* What becomes of a column: none (-1; also of an empty file, which is in
 * *columns), strings (0) or numbers (1). */
int kb_csv_column(const struct kb_csv *csv, const char *name, size_t *columns);

/* Bytes of the file that the rows so far took. */
uint64_t kb_csv_position(const struct kb_csv *csv);

#ifdef __cplusplus
}
#endif
#endif
