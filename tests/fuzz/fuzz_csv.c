/* SPDX-License-Identifier: Apache-2.0
 *
 * CSV reader: the first byte chooses options, the rest is the file. An item
 * that comes out parses, and its raw row read again gives the same item.
 */
#include "attr/attr.h"

#include <keybridge/csv.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static int file_of(struct kb_bytes first, const char *between, struct kb_bytes second)
{
    int fd = memfd_create("csv", MFD_CLOEXEC);

    require(fd >= 0);
    require(write(fd, first.data, first.size) == (ssize_t)first.size);
    require(write(fd, between, strlen(between)) == (ssize_t)strlen(between));
    require(write(fd, second.data, second.size) == (ssize_t)second.size);
    require(lseek(fd, 0, SEEK_SET) == 0);
    return fd;
}

static void read_again(const struct kb_csv *csv, const struct kb_csv_row *row,
                       const struct kb_csv_options *options)
{
    int fd = file_of(kb_csv_header(csv), "\n", row->raw);
    struct kb_csv_row again;
    struct kb_csv *second;
    bool more;

    require(kb_csv_open(&second, fd, "again", options, NULL) == KB_OK);
    require(kb_csv_next(second, &again, &more, NULL) == KB_OK && more);
    require(again.line >= 2 && kb_bytes_equal(again.item, row->item));
    kb_csv_close(second);
    close(fd);
}

static void check_row(const struct kb_csv *csv, const struct kb_csv_row *row,
                      const struct kb_csv_options *options)
{
    struct kb_arena arena = KB_ARENA_INIT;
    struct kb_item item;

    if (row->error.status != KB_OK) {
        require(row->error.status == KB_ERR_INPUT && row->item.size == 0);
        require(strncmp(row->error.text, "line ", 5) == 0);
        return;
    }
    if (row->item.size < KB_ITEM_SIZE_MAX)
        require(kb_item_parse(&item, row->item, &arena, NULL) == KB_OK);
    kb_arena_free(&arena);
    read_again(csv, row, options);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const numeric = "n";
    static const char *const where[] = {"n>=2", "a!=x"};
    struct kb_csv_options options = {0};
    struct kb_csv_row row;
    struct kb_csv *csv;
    uint64_t line = 0;
    bool more = true;
    int fd;

    if (size == 0)
        return 0;
    options.empty = (enum kb_csv_empty)(data[0] % 3);
    options.numeric = &numeric;
    options.numeric_count = data[0] / 3 % 2;
    options.where = where;
    options.where_count = data[0] / 6 % 3;
    fd = file_of((struct kb_bytes){data + 1, size - 1}, "", (struct kb_bytes){data, 0});
    if (kb_csv_open(&csv, fd, "fuzz", &options, NULL) == KB_OK) {
        while (kb_csv_next(csv, &row, &more, NULL) == KB_OK && more) {
            require(row.line > line);
            line = row.line;
            check_row(csv, &row, &options);
        }
        require(!more);
        kb_csv_close(csv);
    }
    close(fd);
    return 0;
}
