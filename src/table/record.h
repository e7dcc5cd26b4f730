/* SPDX-License-Identifier: Apache-2.0
 *
 * CSV records out of a descriptor: where one ends, and its cells. What the
 * cells mean is not known here.
 */
#ifndef KB_TABLE_RECORD_H
#define KB_TABLE_RECORD_H

#include <keybridge/bytes.h>

enum {
    KB_RECORD_MAX = 1024 * 1024, /* bytes of a record without its line end */
    KB_RECORD_CELLS_MAX = 4096,
};

struct kb_record {
    uint64_t line;         /* it starts on, from 1 */
    struct kb_bytes raw;   /* without its line end; empty when it is too large */
    struct kb_error error; /* KB_ERR_INPUT when it is malformed */
};

struct kb_record_reader {
    int fd;
    const char *name; /* for messages */
    uint8_t *window;  /* what was read and not yet used up: [begin, end) */
    size_t begin;
    size_t end;
    bool at_end;
    uint64_t total;   /* bytes that were read */
    uint64_t line;    /* of window[begin] */
    uint8_t *scratch; /* the last record's cells without doubled quotes */
};

/* Skips a byte order mark. Release with kb_record_reader_free in any case. */
KB_MUST_CHECK enum kb_status kb_record_reader_init(struct kb_record_reader *reader, int fd,
                                                   const char *name, struct kb_error *err);
void kb_record_reader_free(struct kb_record_reader *reader);

/* The next record that is not a blank line; *more is false at the end. Its
 * bytes live until the next call. Return value: reading failed. */
KB_MUST_CHECK enum kb_status kb_record_next(struct kb_record_reader *reader,
                                            struct kb_record *out, bool *more,
                                            struct kb_error *err);

/* Cells of a record without error; returns their number, and stores the first
 * `max`. They live as long as the record. */
size_t kb_record_split(struct kb_record_reader *reader, struct kb_bytes raw,
                       struct kb_bytes *cells, size_t max);

#endif
