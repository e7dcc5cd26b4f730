/* SPDX-License-Identifier: Apache-2.0
 *
 * CSV to items.
 */
#include "kbtest.h"

#include "attr/attr.h"

#include <keybridge/csv.h>
#include <keybridge/file.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A descriptor to read the bytes from. */
static int file_of(struct kb_bytes bytes)
{
    char path[512];
    int fd;

    snprintf(path, sizeof path, "%s/csv", kbtest_folder());
    fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    CU_ASSERT_TRUE_FATAL(fd >= 0);
    CU_ASSERT_EQUAL(write(fd, bytes.data, bytes.size), (ssize_t)bytes.size);
    lseek(fd, 0, SEEK_SET);
    return fd;
}

/* All rows on lines: "LINE item" or "LINE ! sentence". */
static enum kb_status read_all(struct kb_buffer *out, struct kb_bytes text,
                               const struct kb_csv_options *options, struct kb_error *err)
{
    int fd = file_of(text);
    struct kb_csv *csv;
    enum kb_status status = kb_csv_open(&csv, fd, "FILE", options, err);
    bool more = true;

    while (status == KB_OK && more) {
        struct kb_csv_row row;
        char line[32];

        status = kb_csv_next(csv, &row, &more, err);
        if (status != KB_OK || !more)
            break;
        snprintf(line, sizeof line, "%llu ", (unsigned long long)row.line);
        kb_buffer_put_text(out, line);
        if (row.error.status != KB_OK) {
            CU_ASSERT_EQUAL(row.error.status, KB_ERR_INPUT);
            CU_ASSERT_EQUAL(row.item.size, 0);
            kb_buffer_put_text(out, "! ");
            kb_buffer_put_text(out, row.error.text);
        }
        kb_buffer_put_bytes(out, row.item);
        kb_buffer_put_u8(out, '\n');
    }
    kb_csv_close(csv);
    close(fd);
    return status;
}

static void check_bytes(struct kb_bytes text, const struct kb_csv_options *options,
                        const char *want)
{
    struct kb_buffer out = KB_BUFFER_INIT(10000000);
    struct kb_error err = {0};

    KBT_OK(read_all(&out, text, options, &err), &err);
    KBT_TEXT(kb_buffer_view(&out), want);
    if (!kb_bytes_equal(kb_buffer_view(&out), kb_bytes_text(want)))
        fprintf(stderr, "got:\n%.*s", (int)out.size, (const char *)out.data);
    kb_buffer_free(&out);
}

static void check(const char *text, const char *want)
{
    check_bytes(kb_bytes_text(text), NULL, want);
}

static void check_refused(const char *text, const struct kb_csv_options *options,
                          enum kb_status want, const char *part)
{
    struct kb_buffer out = KB_BUFFER_INIT(1000);
    struct kb_error err = {0};

    CU_ASSERT_EQUAL(read_all(&out, kb_bytes_text(text), options, &err), want);
    if (!strstr(err.text, part))
        fprintf(stderr, "'%s' lacks '%s'\n", err.text, part);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, part));
    kb_buffer_free(&out);
}

#define A1 "{\"a\":{\"S\":\"1\"},\"b\":{\"S\":\"2\"}}\n"

/* --- form ---------------------------------------------------------------------- */

static void test_plain(void)
{
    check("a,b\n1,2\n", "2 " A1);
    check("a,b\n1,2", "2 " A1);
    check("a,b\r\n1,2\r\n", "2 " A1);
    check("a,b\r\n1,2\r", "2 " A1);
    check("\xef\xbb\xbf" "a,b\n1,2\n", "2 " A1);
    check("a,b", "");
    check("a,b\n", "");
    check("a,b\n\n\r\n1,2\n\n1,2\n\n", "4 " A1 "6 " A1);
    check("a\n1\n", "2 {\"a\":{\"S\":\"1\"}}\n");
    check("b,a\n1,2\n", "2 {\"b\":{\"S\":\"1\"},\"a\":{\"S\":\"2\"}}\n");
}

static void test_quoted(void)
{
    check("\"a\",\"b\"\n\"1\",\"2\"\n", "2 " A1);
    check("\"a\"\"\"\n\"\"\"\"\n", "2 {\"a\\\"\":{\"S\":\"\\\"\"}}\n");
    check("a,b\n\"x\"\"y\"\"\",\",\"\n", "2 {\"a\":{\"S\":\"x\\\"y\\\"\"},\"b\":{\"S\":\",\"}}\n");
    check("a,b\n\"x\ny\",\"\r\n\"\r\n1,2\n",
          "2 {\"a\":{\"S\":\"x\\ny\"},\"b\":{\"S\":\"\\r\\n\"}}\n5 " A1);
    check("a\n\"\"\n", "2 {}\n");
    check("a,b\n 1 ,\t\n", "2 {\"a\":{\"S\":\" 1 \"},\"b\":{\"S\":\"\\t\"}}\n");
}

static void test_bad_rows(void)
{
    check("a,b\n1\n1,2\n1,2,3\n", "2 ! line 2: 1 cells, the header has 2\n3 " A1
                                  "4 ! line 4: 3 cells, the header has 2\n");
    check("a,b\n1,x\"y\n1,2\n",
          "2 ! line 2: a quote in a cell that does not begin with one\n3 " A1);
    check("a,b\n\"1\"x,\"2\n1,2\n",
          "2 ! line 2: text behind the closing quote of a cell\n3 " A1);
    check("a,b\n1,2\r3\n1,2\n",
          "2 ! line 2: a carriage return that no line feed follows\n3 " A1);
    check("a,b\n1,\xff\n1,2\n", "2 ! line 2: not UTF-8 text\n3 " A1);
    check("a,b\n1,2\n1,\"2\n1,2\n",
          "2 " A1 "3 ! line 3: the quote opened on line 3 is never closed\n");
    check("a,b\n\"\n\n\",\"2\n1,2\n",
          "2 ! line 2: the quote opened on line 4 is never closed\n");
    check("a,b\n\"", "2 ! line 2: the quote opened on line 2 is never closed\n");
}

static void test_zero_bytes(void)
{
    static const char text[] = "a,b\n1,\0\n";

    check_bytes((struct kb_bytes){(const uint8_t *)text, sizeof text - 1}, NULL,
                "2 {\"a\":{\"S\":\"1\"},\"b\":{\"S\":\"\\u0000\"}}\n");
}

static void test_bad_headers(void)
{
    struct kb_buffer wide = KB_BUFFER_INIT(100000);

    check_refused("", NULL, KB_ERR_INPUT, "FILE is empty");
    check_refused("\xef\xbb\xbf", NULL, KB_ERR_INPUT, "FILE is empty");
    check_refused("\n\n", NULL, KB_ERR_INPUT, "FILE is empty");
    check_refused("a,,b\n", NULL, KB_ERR_INPUT, "column 2 has no name");
    check_refused("a,b,a\n", NULL, KB_ERR_INPUT, "columns 1 and 3");
    check_refused("a,\"b\n", NULL, KB_ERR_INPUT, "never closed");
    check_refused("a\rb\rc", NULL, KB_ERR_INPUT, "carriage return");
    check_refused("\xff\xfe" "a", NULL, KB_ERR_INPUT, "UTF-16");
    check_refused("\xef\xbb\xbf\xef\xbb\xbf" "a\n", NULL, KB_ERR_INPUT, "byte order mark");
    check_refused("a\xff\n", NULL, KB_ERR_INPUT, "UTF-8");
    for (int i = 0; i < 4097; i++) {
        char name[20];

        snprintf(name, sizeof name, "%sc%d", i ? "," : "", i);
        kb_buffer_put_text(&wide, name);
    }
    kb_buffer_put_u8(&wide, 0);
    check_refused((const char *)wide.data, NULL, KB_ERR_INPUT, "more than 4096 columns");
    wide.data[wide.size - sizeof ",c4096"] = 0;
    check((const char *)wide.data, "");
    kb_buffer_free(&wide);
}

static void test_raw_views(void)
{
    static const char text[] = "\xef\xbb\xbf\"a\",b\r\n1,\"2\"\r\nx\"y,\r\n";
    int fd = file_of(kb_bytes_text(text));
    struct kb_csv_row row;
    struct kb_error err = {0};
    struct kb_csv *csv;
    uint64_t read, skipped;
    bool more;

    KBT_OK(kb_csv_open(&csv, fd, "FILE", NULL, &err), &err);
    KBT_TEXT(kb_csv_header(csv), "\"a\",b");
    KBT_OK(kb_csv_next(csv, &row, &more, &err), &err);
    KBT_TEXT(row.raw, "1,\"2\"");
    KBT_OK(kb_csv_next(csv, &row, &more, &err), &err);
    KBT_TEXT(row.raw, "x\"y,");
    CU_ASSERT_TRUE(more);
    KBT_OK(kb_csv_next(csv, &row, &more, &err), &err);
    CU_ASSERT_FALSE(more);
    KBT_OK(kb_csv_next(csv, &row, &more, &err), &err);
    CU_ASSERT_FALSE(more);
    kb_csv_counts(csv, &read, &skipped);
    CU_ASSERT_EQUAL(read, 2);
    CU_ASSERT_EQUAL(skipped, 0);
    kb_csv_close(csv);
    close(fd);
}

static void test_read_error(void)
{
    int fd = open(kbtest_folder(), O_RDONLY);
    struct kb_error err = {0};
    struct kb_csv *csv;

    CU_ASSERT_EQUAL(kb_csv_open(&csv, fd, "FOLDER", NULL, &err), KB_ERR_SYSTEM);
    CU_ASSERT_PTR_NULL(csv);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "FOLDER"));
    close(fd);
}

/* A record of `size` bytes, quoted or not, between two good ones. */
static void check_sized(size_t size, bool quoted, bool good)
{
    struct kb_buffer text = KB_BUFFER_INIT(8 * 1024 * 1024), out = KB_BUFFER_INIT(8 * 1024 * 1024);
    struct kb_error err = {0};
    uint8_t *room;
    char tail[200];

    kb_buffer_put_text(&text, "a,b\r\n1,2\r\n");
    room = kb_buffer_extend(&text, size);
    CU_ASSERT_PTR_NOT_NULL_FATAL(room);
    memset(room, quoted ? '\n' : 'x', size);
    if (quoted)
        room[0] = room[size - 3] = '"';
    memcpy(room + size - 2, ",2", 2);
    kb_buffer_put_text(&text, "\r\n1,2\r\n");
    KBT_OK(read_all(&out, kb_buffer_view(&text), NULL, &err), &err);
    snprintf(tail, sizeof tail, "%s%zu " A1,
             good ? "" : "2 " A1 "3 ! line 3: a record of more than 1048576 bytes\n",
             quoted ? size : 4);
    CU_ASSERT_TRUE(out.size >= strlen(tail) &&
                   memcmp(out.data + out.size - strlen(tail), tail, strlen(tail)) == 0);
    kb_buffer_free(&text);
    kb_buffer_free(&out);
}

static void test_record_limit(void)
{
    for (int quoted = 0; quoted < 2; quoted++) {
        check_sized(1024 * 1024 - 1, quoted, true);
        check_sized(1024 * 1024, quoted, true);
        check_sized(1024 * 1024 + 1, quoted, false);
        check_sized(1024 * 1024 + 2, quoted, false);
        check_sized(1024 * 1024 + 64 * 1024, quoted, false);
        check_sized(3 * 1024 * 1024, quoted, false);
    }
}

/* --- values and conditions -------------------------------------------------------- */

static void check_options(const char *text, enum kb_csv_empty empty, const char *numeric,
                          const char *where, const char *second, const char *want)
{
    const char *const conditions[] = {where, second};
    struct kb_csv_options options = {
        .empty = empty,
        .numeric = &numeric,
        .numeric_count = numeric != NULL,
        .where = conditions,
        .where_count = (where != NULL) + (second != NULL),
    };

    check_bytes(kb_bytes_text(text), &options, want);
}

static void test_empty_cells(void)
{
    static const char text[] = "a,n\n,\n\"\",1\n";

    check_options(text, KB_CSV_EMPTY_OMIT, "n", NULL, NULL, "2 {}\n3 {\"n\":{\"N\":\"1\"}}\n");
    check_options(text, KB_CSV_EMPTY_NULL, "n", NULL, NULL,
                  "2 {\"a\":{\"NULL\":true},\"n\":{\"NULL\":true}}\n"
                  "3 {\"a\":{\"NULL\":true},\"n\":{\"N\":\"1\"}}\n");
    check_options(text, KB_CSV_EMPTY_STRING, "n", NULL, NULL,
                  "2 ! line 2: column 'n': '' is not a number DynamoDB takes\n"
                  "3 {\"a\":{\"S\":\"\"},\"n\":{\"N\":\"1\"}}\n");
    check_options(text, KB_CSV_EMPTY_STRING, NULL, NULL, NULL,
                  "2 {\"a\":{\"S\":\"\"},\"n\":{\"S\":\"\"}}\n"
                  "3 {\"a\":{\"S\":\"\"},\"n\":{\"S\":\"1\"}}\n");
}

static void test_numeric(void)
{
    check_options("Units Sold\n1.50\n+7\n1e2\nabc\n 5\n1E126\n-0\n", KB_CSV_EMPTY_OMIT,
                  "Units Sold", NULL, NULL,
                  "2 {\"Units Sold\":{\"N\":\"1.5\"}}\n"
                  "3 {\"Units Sold\":{\"N\":\"7\"}}\n"
                  "4 {\"Units Sold\":{\"N\":\"100\"}}\n"
                  "5 ! line 5: column 'Units Sold': 'abc' is not a number DynamoDB takes\n"
                  "6 ! line 6: column 'Units Sold': ' 5' is not a number DynamoDB takes\n"
                  "7 ! line 7: column 'Units Sold': '1E126' is not a number DynamoDB takes\n"
                  "8 {\"Units Sold\":{\"N\":\"0\"}}\n");
}

static void test_long_cell_in_message(void)
{
    check_options("n\nxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxé€\n", KB_CSV_EMPTY_OMIT, "n", NULL,
                  NULL,
                  "2 ! line 2: column 'n': 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' is not a "
                  "number DynamoDB takes\n");
}

static const char five[] = "key,v w\na,1\nb,2.0\nc,10\nd,-3\ne,x\n";

static void check_where(const char *where, const char *want)
{
    char lines[300] = "";

    for (; *want; want++) {
        static const char *const values[] = {"1", "2.0", "10", "-3", "x"};
        size_t used = strlen(lines);
        int row = *want == '!' ? 4 : *want - 'a';

        if (*want == '!')
            snprintf(lines + used, sizeof lines - used,
                     "6 ! line 6: column 'v w': 'x' is not a number, which a condition needs\n");
        else
            snprintf(lines + used, sizeof lines - used,
                     "%d {\"key\":{\"S\":\"%c\"},\"v w\":{\"S\":\"%s\"}}\n", row + 2, *want,
                     values[row]);
    }
    check_options(five, KB_CSV_EMPTY_OMIT, NULL, where, NULL, lines);
}

static void test_conditions(void)
{
    check_where("v w=2.0", "b");
    check_where("v w = 2", "");
    check_where("\tv w !=2.0 ", "acde");
    check_where("v w!=", "abcde");
    check_where("v w=", "");
    check_where("v w<2", "ad!");
    check_where("v w <= 2", "abd!");
    check_where("v w>1", "bc!");
    check_where("v w>=1e0", "abc!");
    check_where("v w==2.0", "");
    check_where("v w=<2", "");
    check_options(five, KB_CSV_EMPTY_OMIT, NULL, "v w>1", "key!=e",
                  "3 {\"key\":{\"S\":\"b\"},\"v w\":{\"S\":\"2.0\"}}\n"
                  "4 {\"key\":{\"S\":\"c\"},\"v w\":{\"S\":\"10\"}}\n"
                  "6 ! line 6: column 'v w': 'x' is not a number, which a condition needs\n");
    check_options(five, KB_CSV_EMPTY_OMIT, NULL, "key!=e", "v w>1",
                  "3 {\"key\":{\"S\":\"b\"},\"v w\":{\"S\":\"2.0\"}}\n"
                  "4 {\"key\":{\"S\":\"c\"},\"v w\":{\"S\":\"10\"}}\n");
}

static void check_bad_option(const char *numeric, const char *where, const char *part)
{
    struct kb_csv_options options = {
        .numeric = &numeric,
        .numeric_count = numeric != NULL,
        .where = &where,
        .where_count = where != NULL,
    };

    check_refused(five, &options, KB_ERR_USAGE, part);
}

static void test_bad_options(void)
{
    check_bad_option("vw", NULL, "no column 'vw'");
    check_bad_option(NULL, "vw=1", "no column 'vw'");
    check_bad_option(NULL, "=1", "no column ''");
    check_bad_option(NULL, "v w", "no operator");
    check_bad_option(NULL, "v w!1", "no operator");
    check_bad_option(NULL, "", "no operator");
    check_bad_option(NULL, "v w<", "a number");
    check_bad_option(NULL, "v w<x", "a number");
}

/* --- many ------------------------------------------------------------------------- */

static void count_rows(const char *const *where, size_t where_count, uint64_t rows, uint64_t least)
{
    static const char *const numeric[] = {"Units Sold", "Unit Price", "Total Revenue"};
    struct kb_csv_options options = {KB_CSV_EMPTY_OMIT, numeric, 3, where, where_count};
    int fd = open(kbtest_source("share/sales-records.csv"), O_RDONLY);
    struct kb_csv_row row;
    struct kb_error err = {0};
    struct kb_csv *csv;
    uint64_t read, skipped;
    bool more;

    CU_ASSERT_TRUE_FATAL(fd >= 0);
    KBT_OK(kb_csv_open(&csv, fd, "sales records", &options, &err), &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(csv);
    do {
        KBT_OK(kb_csv_next(csv, &row, &more, &err), &err);
        CU_ASSERT_EQUAL(row.error.status, KB_OK);
    } while (more);
    kb_csv_counts(csv, &read, &skipped);
    CU_ASSERT_EQUAL(read, rows);
    CU_ASSERT_TRUE(read - skipped >= least);
    if (where_count)
        CU_ASSERT_TRUE(skipped > rows / 2);
    kb_csv_close(csv);
    close(fd);
}

static void test_sales_records(void)
{
    static const char *const vegetables[] = {"Item Type=Vegetables", "Total Revenue<500000"};
    static const char *const europe[] = {"Region=Europe", "Item Type = Office Supplies"};
    static const char *const america[] = {"Region=North America", "Units Sold<1000"};

    count_rows(NULL, 0, 1000, 1000);
    count_rows(vegetables, 2, 1000, 25);
    count_rows(europe, 2, 1000, 25);
    count_rows(america, 2, 1000, 5);
}

/* Cents of a money column. */
static long cents(const struct kb_item *item, const char *name)
{
    const struct kb_attr *attr = kb_item_find(item, kb_bytes_text(name));
    long units, rest;
    char text[40] = "";

    CU_ASSERT_PTR_NOT_NULL_FATAL(attr);
    memcpy(text, attr->bytes.data, attr->bytes.size < 39 ? attr->bytes.size : 39);
    CU_ASSERT_EQUAL(sscanf(text, "%ld.%2ld", &units, &rest), 2);
    return units * 100 + rest;
}

static void test_sales_sums(void)
{
    int fd = open(kbtest_source("share/sales-records.csv"), O_RDONLY);
    struct kb_arena arena = KB_ARENA_INIT;
    struct kb_csv_row row;
    struct kb_error err = {0};
    struct kb_csv *csv;
    bool more;

    KBT_OK(kb_csv_open(&csv, fd, "sales records", NULL, &err), &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(csv);
    for (KBT_OK(kb_csv_next(csv, &row, &more, &err), &err); more;
         KBT_OK(kb_csv_next(csv, &row, &more, &err), &err)) {
        struct kb_item item;
        long units;

        KBT_OK(kb_item_parse(&item, row.item, &arena, &err), &err);
        CU_ASSERT_EQUAL(item.count, 14);
        units = atol((const char *)kb_item_find(&item, kb_bytes_text("Units Sold"))->bytes.data);
        CU_ASSERT_EQUAL(cents(&item, "Total Revenue"), units * cents(&item, "Unit Price"));
        CU_ASSERT_EQUAL(cents(&item, "Total Cost"), units * cents(&item, "Unit Cost"));
        CU_ASSERT_EQUAL(cents(&item, "Total Profit"),
                        cents(&item, "Total Revenue") - cents(&item, "Total Cost"));
        kb_arena_reset(&arena);
    }
    kb_arena_free(&arena);
    kb_csv_close(csv);
    close(fd);
}

/* Writes a cell, quoted where it must be and sometimes where it need not. */
static void put_cell(struct kb_buffer *out, struct kb_bytes cell)
{
    bool quoted = rand() % 3 == 0;

    for (size_t i = 0; i < cell.size; i++)
        quoted = quoted || strchr("\",\r\n", cell.data[i]);
    if (!quoted) {
        kb_buffer_put_bytes(out, cell);
        return;
    }
    kb_buffer_put_u8(out, '"');
    for (size_t i = 0; i < cell.size; i++) {
        kb_buffer_put_u8(out, cell.data[i]);
        if (cell.data[i] == '"')
            kb_buffer_put_u8(out, '"');
    }
    kb_buffer_put_u8(out, '"');
}

static void test_random_round_trip(void)
{
    static const char *const pieces[] = {"\"", ",", "\n", "\r", "\r\n", "x", " ", "é", "😀",
                                         "long text ", "\\", "\t"};
    enum { PIECES = sizeof pieces / sizeof *pieces };
    struct kb_csv_options options = {.empty = KB_CSV_EMPTY_STRING};
    struct kb_buffer text = KB_BUFFER_INIT(1 << 24), want = KB_BUFFER_INIT(1 << 24);
    struct kb_buffer cell = KB_BUFFER_INIT(10000);
    unsigned line = 2;
    char number[32];

    srand(42);
    kb_buffer_put_text(&text, "c0,c1,c2\n");
    for (int row = 0; row < 3000; row++) {
        snprintf(number, sizeof number, "%u {", line);
        kb_buffer_put_text(&want, number);
        for (int column = 0; column < 3; column++) {
            kb_buffer_reset(&cell);
            for (int i = rand() % 8; i > 0; i--)
                kb_buffer_put_text(&cell, pieces[(size_t)rand() % PIECES]);
            for (size_t i = 0; i < cell.size; i++)
                line += cell.data[i] == '\n';
            kb_buffer_put_text(&text, column ? "," : "");
            put_cell(&text, kb_buffer_view(&cell));
            snprintf(number, sizeof number, "%s\"c%d\":{\"S\":", column ? "," : "", column);
            kb_buffer_put_text(&want, number);
            kb_json_put_text(&want, kb_buffer_view(&cell));
            kb_buffer_put_text(&want, "}");
        }
        kb_buffer_put_text(&want, "}\n");
        kb_buffer_put_text(&text, rand() % 2 ? "\n" : "\r\n");
        line++;
    }
    kb_buffer_put_u8(&want, 0);
    check_bytes(kb_buffer_view(&text), &options, (const char *)want.data);
    kb_buffer_free(&cell);
    kb_buffer_free(&text);
    kb_buffer_free(&want);
}

/* Rows before the cut come out as they are; the last may be bad. */
static void test_every_cut(void)
{
    static const char text[] = "\xef\xbb\xbf" "a,\"b\"\r\n1,\"x\"\"y\r\n\"\n\"é\",2\r\n"
                               "z\"q,3\n4,\xf0\x9f\x98\x80\n5,6";
    static const uint8_t bytes[] = {0, '"', ',', '\n', '\r', 0xff, 'x'};
    struct kb_buffer out = KB_BUFFER_INIT(100000);

    for (size_t cut = 0; cut < sizeof text; cut++) {
        kb_buffer_reset(&out);
        if (read_all(&out, (struct kb_bytes){(const uint8_t *)text, cut}, NULL, NULL) != KB_OK)
            CU_ASSERT_TRUE(cut < 9); /* in the header */
    }
    for (size_t i = 0; i < (sizeof text - 1) * sizeof bytes; i++) {
        uint8_t changed[sizeof text];

        memcpy(changed, text, sizeof text);
        changed[i / sizeof bytes] = bytes[i % sizeof bytes];
        kb_buffer_reset(&out);
        if (read_all(&out, (struct kb_bytes){changed, sizeof text - 1}, NULL, NULL) != KB_OK)
            CU_ASSERT_TRUE(i / sizeof bytes < 10);
    }
    kb_buffer_free(&out);
}

int main(int argc, char **argv)
{
    static const struct kbtest tests[] = {
        {"plain cells", test_plain},
        {"quoted cells", test_quoted},
        {"bad rows; the rest goes on", test_bad_rows},
        {"zero bytes are text", test_zero_bytes},
        {"bad headers", test_bad_headers},
        {"raw views and counts", test_raw_views},
        {"reading fails", test_read_error},
        {"record size: the limit and around it", test_record_limit},
        {"empty cells", test_empty_cells},
        {"numeric columns", test_numeric},
        {"a long cell in a message", test_long_cell_in_message},
        {"conditions", test_conditions},
        {"options that do not fit", test_bad_options},
        {"sales records: rows for each table", test_sales_records},
        {"sales records: sums", test_sales_sums},
        {"random round trip", test_random_round_trip},
        {"every cut, and bytes changed", test_every_cut},
        {NULL, NULL},
    };

    return kbtest_main("csv", tests, argc, argv);
}
