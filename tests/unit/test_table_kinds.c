/* SPDX-License-Identifier: Apache-2.0
 *
 * What is the same for every kind of table: what goes in comes out, in the
 * order of its keys. Runs on local: always, and on dynamodb: when
 * KB_DYNALITE_URL names a server that speaks its protocol (it gets tables that
 * stay there).
 */
#include "tabletest.h"

#include "attr/attr.h"

#include <stdlib.h>
#include <string.h>

/* --- items of both kinds ------------------------------------------------------ */

static int compare_members(const void *a, const void *b)
{
    return kb_bytes_compare(((const struct kb_member *)a)->name,
                            ((const struct kb_member *)b)->name);
}

/* The item as a service may write it: its members in another order, its
 * numbers in canonical form. */
static void put_canonical(struct kb_buffer *out, struct kb_bytes json)
{
    struct kb_arena arena = KB_ARENA_INIT;
    struct kb_error err = {0};
    struct kb_item item;

    KBT_OK(kb_item_parse(&item, json, &arena, &err), &err);
    if (item.count)
        qsort(item.members, item.count, sizeof *item.members, compare_members);
    for (size_t i = 0; i < item.count; i++) {
        struct kb_attr *value = &item.members[i].value;
        char *text = kb_arena_take(&arena, KB_NUMBER_TEXT_MAX);

        if (value->type == KB_ATTR_N &&
            kb_number_canonical(text, &value->bytes.size, value->bytes, true))
            value->bytes.data = (const uint8_t *)text;
    }
    kb_item_format(out, &item);
    kb_arena_free(&arena);
}

/* local: keeps every byte. */
static void check_item(struct kb_bytes got, struct kb_bytes want)
{
    struct kb_buffer x = KB_BUFFER_INIT(100000), y = KB_BUFFER_INIT(100000);

    if (tabletest_remote) {
        put_canonical(&x, got);
        put_canonical(&y, want);
        KBT_BYTES(kb_buffer_view(&x), kb_buffer_view(&y));
    } else {
        KBT_BYTES(got, want);
    }
    kb_buffer_free(&x);
    kb_buffer_free(&y);
}

/* Appends each item and a line feed to the buffer `ctx`. */
static enum kb_status collect(void *ctx, struct kb_bytes item)
{
    if (!tabletest_remote)
        return tabletest_collect(ctx, item);
    put_canonical(ctx, item);
    kb_buffer_put_u8(ctx, '\n');
    return KB_OK;
}

/* --- items one by one -------------------------------------------------------- */

static enum kb_status count_item(void *ctx, struct kb_bytes item)
{
    uint64_t *found = ctx;

    (void)item;
    ++*found;
    return KB_OK;
}

static void check_count(struct kb_table *table, uint64_t items, uint64_t bytes)
{
    struct kb_error err = {0};
    struct kb_table_info info;
    uint64_t found = 0;

    KBT_OK(kb_table_describe(table, &info, &err), &err);
    if (tabletest_remote) {
        /* The service's own count is hours old. */
        CU_ASSERT_STRING_EQUAL(info.status, "ACTIVE");
        KBT_OK(kb_table_scan(table, 0,
            &(struct kb_table_sink){.item = count_item, .ctx = &found}, &err), &err);
        CU_ASSERT_EQUAL(found, items);
        return;
    }
    CU_ASSERT_EQUAL(info.items, items);
    CU_ASSERT_EQUAL(info.bytes, bytes);
    CU_ASSERT_STRING_EQUAL(info.status, "");
}

static void test_put_get_delete(void)
{
    struct kb_table *table = tabletest_new("pgd", "p", "s:N");
    static const char *const first = " {\"s\":{\"N\":\"1.0\"}, \"p\" : {\"S\":\"\\u0061\"}}\n";
    static const char *const second =
        "{\"p\":{\"S\":\"a\"},\"s\":{\"N\":\"1\"},\"x\":{\"S\":\"y\"}}";
    struct kb_bytes key =
        kb_bytes_text("{\"p\":{\"S\":\"a\"},\"s\":{\"N\":\"10e-1\"},\"z\":{\"L\":[]}}");
    struct kb_buffer out = KB_BUFFER_INIT(10000);
    struct kb_error err = {0};

    CU_ASSERT_EQUAL(kb_table_get(table, key, &out, NULL), KB_ERR_NOT_FOUND);
    CU_ASSERT_EQUAL(kb_table_delete(table, key, NULL), KB_ERR_NOT_FOUND);
    check_count(table, 0, 0);
    tabletest_add(table, "%s", first);
    KBT_OK(kb_table_get(table, key, &out, &err), &err);
    check_item(kb_buffer_view(&out), kb_bytes_text(first));
    check_count(table, 1, strlen(first));
    tabletest_add(table, "%s", second);
    kb_buffer_reset(&out);
    KBT_OK(kb_table_get(table, key, &out, &err), &err);
    check_item(kb_buffer_view(&out), kb_bytes_text(second));
    check_count(table, 1, strlen(second));
    KBT_OK(kb_table_delete(table, key, &err), &err);
    check_count(table, 0, 0);
    CU_ASSERT_EQUAL(kb_table_get(table, key, &out, NULL), KB_ERR_NOT_FOUND);
    CU_ASSERT_EQUAL(kb_table_get(table, kb_bytes_text("{\"p\":{\"S\":\"a\"}}"), &out, NULL),
                    KB_ERR_USAGE);
    CU_ASSERT_EQUAL(kb_table_delete(table, kb_bytes_text("{}"), NULL), KB_ERR_USAGE);
    kb_buffer_free(&out);
    kb_table_close(table);
}

static void test_get_needs_room(void)
{
    struct kb_table *table = tabletest_new("room", "p", NULL);
    struct kb_buffer out = KB_BUFFER_INIT(5);

    tabletest_add(table, "{\"p\":{\"S\":\"a\"}}");
    CU_ASSERT_EQUAL(kb_table_get(table, kb_bytes_text("{\"p\":{\"S\":\"a\"}}"), &out, NULL),
                    KB_ERR_MEMORY);
    kb_buffer_free(&out);
    kb_table_close(table);
}

static void check_refused(struct kb_table *table, const char *json, const char *part)
{
    struct kb_error err = {0};

    CU_ASSERT_EQUAL(tabletest_put(table, json, &err), KB_ERR_INPUT);
    if (!strstr(err.text, part))
        fprintf(stderr, "'%s' lacks '%s'\n", err.text, part);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, part));
}

static void test_put_refuses(void)
{
    struct kb_table *table = tabletest_new("refuse", "p", "s:B");

    check_refused(table, "", "");
    check_refused(table, "{", "");
    check_refused(table, "[]", "");
    check_refused(table, "{}", "no key attribute 'p'");
    check_refused(table, "{\"p\":{\"S\":\"a\"}}", "no key attribute 's'");
    check_refused(table, "{\"p\":{\"N\":\"1\"},\"s\":{\"B\":\"YQ==\"}}",
                  "type N, the table wants S");
    check_refused(table, "{\"p\":{\"S\":\"1\"},\"s\":{\"S\":\"YQ==\"}}",
                  "type S, the table wants B");
    check_refused(table, "{\"p\":{\"S\":\"\"},\"s\":{\"B\":\"YQ==\"}}", "'p' is empty");
    check_refused(table, "{\"p\":{\"S\":\"a\"},\"s\":{\"B\":\"\"}}", "'s' is empty");
    check_count(table, 0, 0);
    kb_table_close(table);
}

/* {"p":{"S":"xx…"},"s":{"S":"xx…"},"f":{"S":"xx…"}} */
static char *sized_item(size_t partition, size_t sort, size_t filler)
{
    char *json = malloc(partition + sort + filler + 100), *at = json;
    size_t sizes[3] = {partition, sort, filler};

    CU_ASSERT_PTR_NOT_NULL_FATAL(json);
    for (int i = 0; i < 3; i++) {
        at += sprintf(at, "%c\"%c\":{\"S\":\"", i ? ',' : '{', "psf"[i]);
        memset(at, 'x', sizes[i]);
        at += sizes[i];
        at += sprintf(at, "\"}");
    }
    strcpy(at, "}");
    return json;
}

static void check_sized(struct kb_table *table, size_t partition, size_t sort, size_t filler,
                        enum kb_status want)
{
    char *json = sized_item(partition, sort, filler);

    CU_ASSERT_EQUAL(tabletest_put(table, json, NULL), want);
    free(json);
}

static void test_put_limits(void)
{
    struct kb_table *table = tabletest_new("limits", "p", "s");

    check_sized(table, 2048, 1024, 1, KB_OK);
    check_sized(table, 2049, 1, 1, KB_ERR_INPUT);
    check_sized(table, 1, 1025, 1, KB_ERR_INPUT);
    /* Three names of one byte and their values make 400 KB. */
    check_sized(table, 1, 1, 400 * 1024 - 5, KB_OK);
    check_sized(table, 1, 1, 400 * 1024 - 4, KB_ERR_INPUT);
    kb_table_close(table);
}

static void test_put_all_or_none(void)
{
    struct kb_table *table = tabletest_new("batch", "p", NULL);
    struct kb_bytes items[] = {
        kb_bytes_text("{\"p\":{\"S\":\"a\"}}"),
        kb_bytes_text("{\"p\":{\"S\":\"b\"}}"),
        kb_bytes_text("{\"p\":{\"S\":\"\"}}"),
        kb_bytes_text("{\"p\":{\"S\":\"a\"},\"v\":{\"N\":\"2\"}}"),
    };
    struct kb_buffer out = KB_BUFFER_INIT(1000);
    struct kb_error err = {0};
    size_t bad = 77;

    CU_ASSERT_EQUAL(kb_table_put(table, items, 4, &bad, NULL), KB_ERR_INPUT);
    CU_ASSERT_EQUAL(bad, 2);
    check_count(table, 0, 0);
    items[2] = items[3];
    KBT_OK(kb_table_put(table, items, 3, &bad, &err), &err);
    CU_ASSERT_EQUAL(bad, 3);
    check_count(table, 2, items[1].size + items[3].size);
    KBT_OK(kb_table_get(table, items[0], &out, &err), &err);
    check_item(kb_buffer_view(&out), items[3]);
    KBT_OK(kb_table_put(table, NULL, 0, NULL, &err), &err);
    kb_buffer_free(&out);
    kb_table_close(table);
}

/* --- order and queries ------------------------------------------------------- */

static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The lines in order, for what has none of its own. Frees nothing. */
static char *sort_lines(const char *text)
{
    char *copy = strdup(text), *out = calloc(1, strlen(text) + 2), *lines[100], *rest = copy;
    size_t count = 0;

    while (count < 100 && (lines[count] = strsep(&rest, "\n")))
        count += *lines[count] != 0;
    qsort(lines, count, sizeof *lines, compare_lines);
    for (size_t i = 0; i < count; i++) {
        strcat(out, lines[i]);
        strcat(out, "\n");
    }
    free(copy);
    return out;
}

/* `want`: lines as they are; in DynamoDB partitions have no order. */
static void check_scan(struct kb_table *table, uint64_t limit, const char *want, bool partitions)
{
    struct kb_buffer out = KB_BUFFER_INIT(100000), again = KB_BUFFER_INIT(100000);
    struct kb_error err = {0};

    KBT_OK(kb_table_scan(table, limit,
        &(struct kb_table_sink){.item = collect, .ctx = &out}, &err), &err);
    kb_buffer_put_u8(&out, 0);
    for (const char *at = want; *at; at = strchr(at, '\n') + 1)
        collect(&again, (struct kb_bytes){(const uint8_t *)at, strcspn(at, "\n")});
    kb_buffer_put_u8(&again, 0);
    if (tabletest_remote && partitions) {
        char *x = sort_lines((const char *)out.data), *y = sort_lines((const char *)again.data);

        CU_ASSERT_STRING_EQUAL(x, y);
        free(x);
        free(y);
    } else {
        KBT_BYTES(kb_buffer_view(&out), kb_buffer_view(&again));
    }
    kb_buffer_free(&out);
    kb_buffer_free(&again);
}

static void check_order(const char *name, char type, const char *const *values, size_t count)
{
    struct kb_table *by_partition, *by_sort;
    struct kb_buffer want = KB_BUFFER_INIT(10000);
    char key[8], file[32], json[200];

    snprintf(key, sizeof key, "k:%c", type);
    snprintf(file, sizeof file, "%s-p", name);
    by_partition = tabletest_new(file, key, "k2");
    snprintf(file, sizeof file, "%s-s", name);
    by_sort = tabletest_new(file, "k2", key);
    /* Stepping by 11 puts them out of order. */
    for (size_t i = 0; i < count; i++) {
        snprintf(json, sizeof json, "{\"k\":{\"%c\":\"%s\"},\"k2\":{\"S\":\"x\"}}", type,
                 values[i * 11 % count]);
        tabletest_add(by_partition, "%s", json);
        tabletest_add(by_sort, "%s", json);
    }
    for (size_t i = 0; i < count; i++) {
        snprintf(json, sizeof json, "{\"k\":{\"%c\":\"%s\"},\"k2\":{\"S\":\"x\"}}\n", type,
                 values[i]);
        kb_buffer_put_text(&want, json);
    }
    kb_buffer_put_u8(&want, 0);
    check_scan(by_partition, 0, (const char *)want.data, true);
    check_scan(by_sort, 0, (const char *)want.data, false);
    kb_buffer_free(&want);
    kb_table_close(by_partition);
    kb_table_close(by_sort);
}

static void test_key_order(void)
{
    static const char *const numbers[] = {
        "-9.9999999999999999999999999999999999999E+125", "-1000", "-999.5", "-10", "-9", "-1.5",
        "-1.25", "-1", "-0.1", "-1E-130", "0", "1E-130", "0.001", "0.01", "0.1", "0.99", "1",
        "1.0000000000000000000000000000000000001", "2", "9", "10", "99", "100",
        "9.9999999999999999999999999999999999999E+125"};
    static const char *const texts[] = {" ", "A", "AA", "B", "a", "a\\u0000", "a\\u0000b", "aa",
                                        "ab", "b", "é", "€", "\xee\x80\x80", "😀"};
    static const char *const binaries[] = {"AA==", "AAA=", "AAE=", "AQ==", "fw==", "gA==",
                                           "gAA=", "/w==", "/wA=", "//8="};

    check_order("number", 'N', numbers, sizeof numbers / sizeof *numbers);
    check_order("text", 'S', texts, sizeof texts / sizeof *texts);
    check_order("binary", 'B', binaries, sizeof binaries / sizeof *binaries);
}

/* Runs a query and gives the first character of each item's sort key value. */
static enum kb_status ask(struct kb_table *table, struct kb_table_query query, const char *want)
{
    struct kb_buffer out = KB_BUFFER_INIT(100000), letters = KB_BUFFER_INIT(1000);
    enum kb_status status = kb_table_query(table, &query,
        &(struct kb_table_sink){.item = collect, .ctx = &out}, NULL);

    for (size_t i = 0; i + 4 < out.size; i++)
        if (memcmp(out.data + i, "{\"i\"", 4) == 0)
            kb_buffer_put_u8(&letters, out.data[i + 11]);
    if (want)
        KBT_TEXT(kb_buffer_view(&letters), want);
    kb_buffer_free(&out);
    kb_buffer_free(&letters);
    return status;
}

#define ASK(table, want, ...)                                                                      \
    CU_ASSERT_EQUAL(ask((table), (struct kb_table_query){.partition = __VA_ARGS__}, (want)), KB_OK)
#define REFUSED(table, ...)                                                                        \
    CU_ASSERT_EQUAL(ask((table), (struct kb_table_query){.partition = __VA_ARGS__}, ""),           \
                    KB_ERR_USAGE)

static void test_query_text(void)
{
    struct kb_table *table = tabletest_new("qtext", "p", "s");
    static const char *const sorts[] = {"a", "ab", "abc", "b", "ba", "c"};

    for (int i = 0; i < 6; i++)
        tabletest_add(table, "{\"i\":{\"N\":\"%d\"},\"p\":{\"S\":\"P\"},\"s\":{\"S\":\"%s\"}}", i,
                      sorts[i]);
    tabletest_add(table, "{\"i\":{\"N\":\"8\"},\"p\":{\"S\":\"O\"},\"s\":{\"S\":\"ab\"}}");
    tabletest_add(table, "{\"i\":{\"N\":\"9\"},\"p\":{\"S\":\"Q\"},\"s\":{\"S\":\"ab\"}}");
    ASK(table, "012345", "P");
    ASK(table, "543210", "P", .descending = true);
    ASK(table, "012", "P", .limit = 3);
    ASK(table, "54", "P", .limit = 2, .descending = true);
    ASK(table, "012345", "P", .limit = UINT64_MAX);
    ASK(table, "1", "P", KB_SORT_EQUAL, "ab");
    ASK(table, "", "P", KB_SORT_EQUAL, "abcd");
    ASK(table, "0", "P", KB_SORT_LESS, "ab");
    ASK(table, "01", "P", KB_SORT_LESS_EQUAL, "ab");
    ASK(table, "2345", "P", KB_SORT_GREATER, "ab");
    ASK(table, "12345", "P", KB_SORT_GREATER_EQUAL, "ab");
    ASK(table, "123", "P", KB_SORT_BETWEEN, "ab", "b");
    ASK(table, "1", "P", KB_SORT_BETWEEN, "ab", "ab");
    ASK(table, "12", "P", KB_SORT_BEGINS, "ab");
    ASK(table, "210", "P", KB_SORT_BEGINS, "a", .descending = true);
    ASK(table, "", "P", KB_SORT_BEGINS, "d");
    ASK(table, "", "R");
    REFUSED(table, NULL);
    REFUSED(table, "");
    REFUSED(table, "\xff");
    REFUSED(table, "P", KB_SORT_EQUAL, NULL);
    REFUSED(table, "P", KB_SORT_BEGINS, "");
    REFUSED(table, "P", KB_SORT_BETWEEN, "b");
    REFUSED(table, "P", KB_SORT_BETWEEN, "b", "a");
    REFUSED(table, "P", (enum kb_sort_op)99, "b", "a");
    kb_table_close(table);
}

static void test_query_number(void)
{
    struct kb_table *table = tabletest_new("qnumber", "p:N", "s:N");
    static const char *const sorts[] = {"-20", "-3", "-0.5", "0", "0.5", "3", "20"};

    for (int i = 0; i < 7; i++)
        tabletest_add(table, "{\"i\":{\"N\":\"%d\"},\"p\":{\"N\":\"-7\"},\"s\":{\"N\":\"%s\"}}", i,
                      sorts[i]);
    ASK(table, "0123456", "-7.00");
    ASK(table, "", "7");
    ASK(table, "1", "-7", KB_SORT_EQUAL, "-3.0");
    ASK(table, "012", "-7", KB_SORT_LESS, "0");
    ASK(table, "0123", "-7", KB_SORT_LESS_EQUAL, "-0");
    ASK(table, "56", "-7", KB_SORT_GREATER, "5e-1");
    ASK(table, "12345", "-7", KB_SORT_BETWEEN, "-3", "3");
    REFUSED(table, "x");
    REFUSED(table, "-7", KB_SORT_EQUAL, "");
    REFUSED(table, "-7", KB_SORT_BEGINS, "2");
    REFUSED(table, "-7", KB_SORT_BETWEEN, "3", "-3");
    kb_table_close(table);
}

static void test_query_binary(void)
{
    struct kb_table *table = tabletest_new("qbinary", "p:B", "s:B");
    /* fe ff | ff | ff 00 | ff ff | ff ff 01 */
    static const char *const sorts[] = {"/v8=", "/w==", "/wA=", "//8=", "//8B"};

    for (int i = 0; i < 5; i++)
        tabletest_add(table, "{\"i\":{\"N\":\"%d\"},\"p\":{\"B\":\"AAE=\"},\"s\":{\"B\":\"%s\"}}",
                      i, sorts[i]);
    ASK(table, "01234", "AAE=");
    ASK(table, "1234", "AAE=", KB_SORT_BEGINS, "/w==");
    ASK(table, "34", "AAE=", KB_SORT_BEGINS, "//8=");
    ASK(table, "0", "AAE=", KB_SORT_BEGINS, "/g==");
    ASK(table, "12", "AAE=", KB_SORT_BETWEEN, "/w==", "/wA=");
    REFUSED(table, "AAE");
    REFUSED(table, "AAE=", KB_SORT_EQUAL, "!");
    kb_table_close(table);
}

static void test_query_without_sort_key(void)
{
    struct kb_table *table = tabletest_new("nosort", "p", NULL);

    tabletest_add(table, "{\"i\":{\"N\":\"1\"},\"p\":{\"S\":\"a\"}}");
    ASK(table, "1", "a");
    REFUSED(table, "a", KB_SORT_EQUAL, "x");
    kb_table_close(table);
}

static void test_scan_limit(void)
{
    struct kb_table *table = tabletest_new("scan", "p", "s");

    check_scan(table, 0, "", false);
    tabletest_add(table, "{\"p\":{\"S\":\"x\"},\"s\":{\"S\":\"b\"}}");
    tabletest_add(table, "{\"p\":{\"S\":\"x\"},\"s\":{\"S\":\"a\"}}");
    check_scan(table, 1, "{\"p\":{\"S\":\"x\"},\"s\":{\"S\":\"a\"}}\n", false);
    for (uint64_t limit = 0; limit < 4; limit += limit ? 1 : 2)
        check_scan(table, limit,
                   "{\"p\":{\"S\":\"x\"},\"s\":{\"S\":\"a\"}}\n"
                   "{\"p\":{\"S\":\"x\"},\"s\":{\"S\":\"b\"}}\n", false);
    kb_table_close(table);
}

struct meddler {
    struct kb_table *table;
    unsigned calls;
};

/* Uses the table it walks over, and stops at the fourth item. */
static enum kb_status meddle(void *ctx, struct kb_bytes item)
{
    struct meddler *meddler = ctx;
    struct kb_buffer copy = KB_BUFFER_INIT(1000);
    struct kb_error err = {0};

    if (++meddler->calls == 4)
        return KB_ERR_PARTIAL;
    check_scan(meddler->table, 1, "{\"p\":{\"S\":\"x\"},\"s\":{\"S\":\"0\"}}\n", false);
    KBT_OK(kb_table_put(meddler->table, &item, 1, NULL, &err), &err);
    KBT_OK(kb_table_get(meddler->table, item, &copy, &err), &err);
    check_item(kb_buffer_view(&copy), item);
    kb_buffer_free(&copy);
    return KB_OK;
}

static void test_callback_uses_table(void)
{
    struct meddler meddler = {tabletest_new("meddle", "p", "s"), 0};

    for (int i = 0; i < 6; i++)
        tabletest_add(meddler.table, "{\"p\":{\"S\":\"x\"},\"s\":{\"S\":\"%d\"}}", i);
    CU_ASSERT_EQUAL(kb_table_scan(meddler.table, 0,
        &(struct kb_table_sink){.item = meddle, .ctx = &meddler}, NULL), KB_ERR_PARTIAL);
    CU_ASSERT_EQUAL(meddler.calls, 4);
    kb_table_close(meddler.table);
}

static void test_merged(void)
{
    struct kb_table *table = tabletest_new("merged", "p", "s:N");
    struct kb_bytes items[] = {
        kb_bytes_text("{\"p\":{\"S\":\"a\"},\"s\":{\"N\":\"1\"},\"v\":{\"S\":\"1\"}}"),
        kb_bytes_text("{\"p\":{\"S\":\"a\"},\"s\":{\"N\":\"2\"},\"v\":{\"S\":\"2\"}}"),
        kb_bytes_text("{\"p\":{\"S\":\"a\"},\"s\":{\"N\":\"1.0\"},\"v\":{\"S\":\"3\"}}"),
        kb_bytes_text("{\"p\":{\"S\":\"a\"},\"s\":{\"N\":\"10e-1\"},\"v\":{\"S\":\"4\"}}"),
    };
    struct kb_table_stats stats;
    struct kb_error err = {0};
    struct kb_buffer out = KB_BUFFER_INIT(1000);

    KBT_OK(kb_table_put(table, items, 4, NULL, &err), &err);
    kb_table_stats(table, &stats);
    CU_ASSERT_EQUAL(stats.merged, 2);
    KBT_OK(kb_table_get(table, items[0], &out, &err), &err);
    check_item(kb_buffer_view(&out), items[3]);
    check_count(table, 2, items[1].size + items[3].size);
    kb_buffer_free(&out);
    kb_table_close(table);
}

/* More than one request, and more than one page. */
static void test_many(void)
{
    struct kb_table *table = tabletest_new("many", "p", "s:N");
    static char texts[300][9000];
    struct kb_bytes items[300];
    struct kb_error err = {0};
    char filler[8192];

    memset(filler, 'x', sizeof filler - 1);
    filler[sizeof filler - 1] = 0;
    for (int i = 0; i < 300; i++) {
        snprintf(texts[i], sizeof texts[i],
                 "{\"f\":{\"S\":\"%s\"},\"i\":{\"N\":\"%d\"},"
                  "\"p\":{\"S\":\"P\"},\"s\":{\"N\":\"%d\"}}",
                 filler, i, i);
        items[i] = kb_bytes_text(texts[i]);
    }
    KBT_OK(kb_table_put(table, items, 300, NULL, &err), &err);
    struct kb_buffer out = KB_BUFFER_INIT(10000000), want = KB_BUFFER_INIT(10000000);

    KBT_OK(kb_table_query(table, &(struct kb_table_query){.partition = "P", .descending = true},
        &(struct kb_table_sink){.item = collect, .ctx = &out}, &err), &err);
    for (int i = 299; i >= 0; i--)
        collect(&want, items[i]);
    KBT_BYTES(kb_buffer_view(&out), kb_buffer_view(&want));
    kb_buffer_reset(&out);
    kb_buffer_reset(&want);
    KBT_OK(kb_table_scan(table, 290,
        &(struct kb_table_sink){.item = collect, .ctx = &out}, &err), &err);
    for (int i = 0; i < 290; i++)
        collect(&want, items[i]);
    KBT_BYTES(kb_buffer_view(&out), kb_buffer_view(&want));
    kb_buffer_free(&out);
    kb_buffer_free(&want);
    kb_table_close(table);
}

static void test_exists(void)
{
    struct kb_table *table = tabletest_new("exists", "p", "s");
    struct kb_error err = {0};

    kb_table_close(table);
    CU_ASSERT_EQUAL(tabletest_create("exists", "p", "s", &err), KB_ERR_EXISTS);
    CU_ASSERT_EQUAL(kb_table_open(&table, tabletest_where("absent"), NULL, NULL), KB_ERR_NOT_FOUND);
    CU_ASSERT_PTR_NULL(table);
}

/* Only in DynamoDB. */
static void test_indexes(void)
{
    static const struct kb_table_index indexes[] = {
        {"by-region", false, {"region", 'S'}, {"sales", 'N'}},
        {"by-date", true, {"p", 'S'}, {"date", 'S'}},
        {"by-kind", false, {"kind", 'S'}, {"", 0}},
    };
    struct kb_table_schema schema = {
        .partition = {"p", 'S'}, .sort = {"s", 'S'}, .indexes = indexes, .index_count = 3};
    struct kb_table_query query = {.index = "by-region", .partition = "EU", .descending = true};
    struct kb_table_sink sink = {.item = collect};
    struct kb_buffer out = KB_BUFFER_INIT(100000);
    const struct kb_table_schema *read;
    struct kb_error err = {0};
    struct kb_table *table;

    if (!tabletest_remote) {
        CU_ASSERT_EQUAL(kb_table_create(tabletest_where("indexes"), &schema, NULL, NULL),
                        KB_ERR_USAGE);
        return;
    }
    KBT_OK(kb_table_create(tabletest_where("indexes"), &schema, NULL, &err), &err);
    KBT_OK(kb_table_open(&table, tabletest_where("indexes"), NULL, &err), &err);
    read = kb_table_schema(table);
    CU_ASSERT_EQUAL(read->index_count, 3);
    for (size_t i = 0; i < read->index_count; i++)
        for (size_t j = 0; j < 3; j++)
            if (strcmp(read->indexes[i].name, indexes[j].name) == 0) {
                CU_ASSERT_EQUAL(read->indexes[i].local, indexes[j].local);
                CU_ASSERT_STRING_EQUAL(read->indexes[i].partition.name, indexes[j].partition.name);
                CU_ASSERT_STRING_EQUAL(read->indexes[i].sort.name, indexes[j].sort.name);
                CU_ASSERT_EQUAL(read->indexes[i].sort.type, indexes[j].sort.type);
            }
    tabletest_add(table, "%s", "{\"p\":{\"S\":\"a\"},\"s\":{\"S\":\"1\"},"
                         "\"region\":{\"S\":\"EU\"},\"sales\":{\"N\":\"5\"}}");
    tabletest_add(table, "%s", "{\"p\":{\"S\":\"b\"},\"s\":{\"S\":\"2\"},"
                         "\"region\":{\"S\":\"EU\"},\"sales\":{\"N\":\"10\"}}");
    tabletest_add(table, "%s", "{\"p\":{\"S\":\"c\"},\"s\":{\"S\":\"3\"},\"kind\":{\"S\":\"k\"}}");
    check_refused(table, "{\"p\":{\"S\":\"a\"},\"s\":{\"S\":\"1\"},\"sales\":{\"S\":\"5\"}}",
                  "index 'by-region' wants N");
    check_refused(table, "{\"p\":{\"S\":\"a\"},\"s\":{\"S\":\"1\"},\"kind\":{\"S\":\"\"}}",
                  "'kind' is empty");
    sink.ctx = &out;
    KBT_OK(kb_table_query(table, &query, &sink, &err), &err);
    CU_ASSERT_PTR_NOT_NULL(strstr((char *)(kb_buffer_put_u8(&out, 0), out.data), "\"10\""));
    CU_ASSERT_TRUE(strstr((char *)out.data, "\"10\"") < strstr((char *)out.data, "\"5\""));
    query = (struct kb_table_query){.index = "by-region", .partition = "EU",
                                    .op = KB_SORT_GREATER, .sort_a = "7"};
    kb_buffer_reset(&out);
    KBT_OK(kb_table_query(table, &query, &sink, &err), &err);
    CU_ASSERT_PTR_NULL(strstr((char *)(kb_buffer_put_u8(&out, 0), out.data), "\"5\""));
    query.index = "nowhere";
    CU_ASSERT_EQUAL(kb_table_query(table, &query, &sink, NULL), KB_ERR_NOT_FOUND);
    query = (struct kb_table_query){.index = "by-kind", .partition = "k", .op = KB_SORT_EQUAL,
                                    .sort_a = "7"};
    CU_ASSERT_EQUAL(kb_table_query(table, &query, &sink, NULL), KB_ERR_USAGE);
    kb_buffer_free(&out);
    kb_table_close(table);
}

int main(int argc, char **argv)
{
    static const struct kbtest tests[] = {
        {"create: not twice; open: only what is there", test_exists},
        {"put, get, delete, count", test_put_get_delete},
        {"get: into a bounded buffer", test_get_needs_room},
        {"put: refusals", test_put_refuses},
        {"put: limits and one more", test_put_limits},
        {"put: all or none", test_put_all_or_none},
        {"order: of S, N and B keys", test_key_order},
        {"query: text", test_query_text},
        {"query: numbers", test_query_number},
        {"query: binary", test_query_binary},
        {"query: no sort key", test_query_without_sort_key},
        {"scan: limit", test_scan_limit},
        {"walk: the callback may use the table", test_callback_uses_table},
        {"put: of one key in one call the last stays", test_merged},
        {"put, query, scan: many requests and pages", test_many},
        {"indexes", test_indexes},
        {NULL, NULL},
    };
    const char *url = getenv("KB_DYNALITE_URL");
    int result = kbtest_main("table local:", tests, argc, argv);

    if (!url) {
        fprintf(stderr, "SKIP: table dynamodb: (set KB_DYNALITE_URL to a server's address)\n");
        return result;
    }
    tabletest_remote = true;
    setenv("AWS_ENDPOINT_URL", url, 1);
    setenv("AWS_REGION", "us-east-1", 1);
    setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "not-a-secret", 1);
    return kbtest_main("table dynamodb:", tests, argc, argv) || result;
}
