/* SPDX-License-Identifier: Apache-2.0
 *
 * The embedded table: what goes in comes out, in the order of its keys.
 */
#include "tabletest.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static bool exists(const char *name, const char *suffix)
{
    char path[512];

    snprintf(path, sizeof path, "%s/%s%s", kbtest_folder(), name, suffix);
    return access(path, F_OK) == 0;
}

/* --- names, creation, opening ----------------------------------------------- */

static void check_key(const char *text, const char *name, char type)
{
    struct kb_table_key key;
    struct kb_error err = {0};

    KBT_OK(kb_table_key_parse(&key, text, &err), &err);
    CU_ASSERT_STRING_EQUAL(key.name, name);
    CU_ASSERT_EQUAL(key.type, type);
}

static void test_key_parse(void)
{
    struct kb_table_key key;
    char longest[300];

    check_key("Order ID", "Order ID", 'S');
    check_key("Order ID:S", "Order ID", 'S');
    check_key("n:N", "n", 'N');
    check_key("b:B", "b", 'B');
    check_key("a:b", "a:b", 'S');
    check_key("a:s", "a:s", 'S');
    check_key("a:N:S", "a:N", 'S');
    check_key("a:", "a:", 'S');
    CU_ASSERT_EQUAL(kb_table_key_parse(&key, "", NULL), KB_ERR_USAGE);
    CU_ASSERT_EQUAL(kb_table_key_parse(&key, NULL, NULL), KB_ERR_USAGE);
    CU_ASSERT_EQUAL(kb_table_key_parse(&key, ":N", NULL), KB_ERR_USAGE);
    CU_ASSERT_EQUAL(kb_table_key_parse(&key, "\xff:N", NULL), KB_ERR_USAGE);
    memset(longest, 'x', sizeof longest);
    strcpy(longest + 255, ":N");
    KBT_OK(kb_table_key_parse(&key, longest, NULL), NULL);
    CU_ASSERT_EQUAL(strlen(key.name), 255);
    strcpy(longest + 255, "x:N");
    CU_ASSERT_EQUAL(kb_table_key_parse(&key, longest, NULL), KB_ERR_USAGE);
}

static void test_create(void)
{
    struct kb_table_schema schema = {.partition = {"p", 'S'}};
    struct kb_error err = {0};
    struct stat info;
    char path[512];

    CU_ASSERT_EQUAL(kb_table_create("sqlite:x", &schema, &err), KB_ERR_USAGE);
    CU_ASSERT_STRING_NOT_EQUAL(err.hint, "");
    CU_ASSERT_EQUAL(kb_table_create("local:", &schema, NULL), KB_ERR_USAGE);
    CU_ASSERT_EQUAL(kb_table_create(NULL, &schema, NULL), KB_ERR_USAGE);
    CU_ASSERT_EQUAL(kb_table_create(tabletest_where("no/such"), &schema, NULL), KB_ERR_NOT_FOUND);
    schema.partition.type = 'X';
    CU_ASSERT_EQUAL(kb_table_create(tabletest_where("x"), &schema, NULL), KB_ERR_USAGE);
    CU_ASSERT_EQUAL(tabletest_create("x", "p", "p:N", NULL), KB_ERR_USAGE);
    CU_ASSERT_FALSE(exists("x", ""));

    kb_error_clear(&err);
    KBT_OK(tabletest_create("made.db", "p", NULL, &err), &err);
    snprintf(path, sizeof path, "%s/made.db", kbtest_folder());
    CU_ASSERT_EQUAL(stat(path, &info), 0);
    CU_ASSERT_EQUAL(info.st_mode & 07777, 0600);
    CU_ASSERT_FALSE(exists("made.db", "-wal"));
    CU_ASSERT_EQUAL(tabletest_create("made.db", "p", NULL, NULL), KB_ERR_EXISTS);
}

/* Names that mean something to SQLite are names of files here. */
static void test_plain_names(void)
{
    struct kb_table_schema schema = {.partition = {"p", 'S'}};
    int result = -1;
    pid_t child = fork();

    if (child == 0)
        _exit(chdir(kbtest_folder()) != 0 ||
              kb_table_create("local::memory:", &schema, NULL) != KB_OK ||
              kb_table_create("local:file:x?mode=memory", &schema, NULL) != KB_OK ||
              access(":memory:", F_OK) != 0 || access("file:x?mode=memory", F_OK) != 0);
    CU_ASSERT_EQUAL(waitpid(child, &result, 0), child);
    CU_ASSERT_EQUAL(result, 0);
}

static void test_create_beside_old_log(void)
{
    struct kb_error err = {0};
    char path[512];
    FILE *file;

    snprintf(path, sizeof path, "%s/gone-wal", kbtest_folder());
    file = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    fclose(file);
    CU_ASSERT_EQUAL(tabletest_create("gone", "p", NULL, &err), KB_ERR_EXISTS);
    CU_ASSERT_STRING_NOT_EQUAL(err.hint, "");
    CU_ASSERT_FALSE(exists("gone", ""));
}

static void check_name(const char *file, const char *want)
{
    struct kb_table *table = tabletest_new(file, "p", NULL);

    CU_ASSERT_STRING_EQUAL(kb_table_schema(table)->signed_name, want);
    kb_table_close(table);
}

static void test_schema(void)
{
    struct kb_table_schema schema = {"Table 3", {"Größe", 'N'}, {"at", 'B'}};
    const struct kb_table_schema *read;
    struct kb_table *table;
    struct kb_error err = {0};

    KBT_OK(kb_table_create(tabletest_where("schema"), &schema, &err), &err);
    KBT_OK(kb_table_open(&table, tabletest_where("schema"), &err), &err);
    read = kb_table_schema(table);
    CU_ASSERT_STRING_EQUAL(read->signed_name, "Table 3");
    CU_ASSERT_STRING_EQUAL(read->partition.name, "Größe");
    CU_ASSERT_EQUAL(read->partition.type, 'N');
    CU_ASSERT_STRING_EQUAL(read->sort.name, "at");
    CU_ASSERT_EQUAL(read->sort.type, 'B');
    kb_table_close(table);
    check_name("Table3.db", "Table3");
    check_name("two.dots.db", "two.dots");
    check_name(".hidden", ".hidden");
    check_name("plain", "plain");
}

static void test_open_refuses(void)
{
    struct kb_table *table;
    struct kb_error err = {0};
    char command[1500];

    CU_ASSERT_EQUAL(kb_table_open(&table, tabletest_where("absent"), NULL), KB_ERR_NOT_FOUND);
    CU_ASSERT_PTR_NULL(table);
    CU_ASSERT_FALSE(exists("absent", ""));
    CU_ASSERT_EQUAL(kb_table_open(&table, "absent", NULL), KB_ERR_USAGE);
    CU_ASSERT_EQUAL(kb_table_open(&table, "local:/", NULL), KB_ERR_INPUT);
    snprintf(command, sizeof command,
             "cd '%s' && : >empty && echo 'not a table of any kind' >text && mkfifo fifo",
             kbtest_folder());
    CU_ASSERT_EQUAL(system(command), 0);
    CU_ASSERT_EQUAL(kb_table_open(&table, tabletest_where("empty"), NULL), KB_ERR_INPUT);
    CU_ASSERT_EQUAL(kb_table_open(&table, tabletest_where("fifo"), NULL), KB_ERR_INPUT);
    CU_ASSERT_EQUAL(kb_table_open(&table, tabletest_where("text"), &err), KB_ERR_INPUT);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "is not a keybridge table"));
    CU_ASSERT_FALSE(exists("empty", "-wal"));
}

static void test_one_file_after_close(void)
{
    struct kb_table *first = tabletest_new("one", "p", NULL), *second;
    struct kb_error err = {0};

    KBT_OK(kb_table_open(&second, tabletest_where("one"), &err), &err);
    tabletest_add(first, "{\"p\":{\"S\":\"a\"}}");
    tabletest_add(second, "{\"p\":{\"S\":\"b\"}}");
    CU_ASSERT_TRUE(exists("one", "-wal"));
    kb_table_close(first);
    tabletest_add(second, "{\"p\":{\"S\":\"c\"}}");
    kb_table_close(second);
    CU_ASSERT_FALSE(exists("one", "-wal"));
    CU_ASSERT_FALSE(exists("one", "-shm"));
    kb_table_close(NULL);
}

/* --- items one by one -------------------------------------------------------- */

static void check_count(struct kb_table *table, uint64_t items, uint64_t bytes)
{
    struct kb_error err = {0};
    uint64_t got_items, got_bytes;

    KBT_OK(kb_table_count(table, &got_items, &got_bytes, &err), &err);
    CU_ASSERT_EQUAL(got_items, items);
    CU_ASSERT_EQUAL(got_bytes, bytes);
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
    KBT_TEXT(kb_buffer_view(&out), first);
    check_count(table, 1, strlen(first));
    tabletest_add(table, "%s", second);
    kb_buffer_reset(&out);
    KBT_OK(kb_table_get(table, key, &out, &err), &err);
    KBT_TEXT(kb_buffer_view(&out), second);
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
    KBT_BYTES(kb_buffer_view(&out), items[3]);
    KBT_OK(kb_table_put(table, NULL, 0, NULL, &err), &err);
    kb_buffer_free(&out);
    kb_table_close(table);
}

/* --- order and queries ------------------------------------------------------- */

static void check_scan(struct kb_table *table, uint64_t limit, const char *want)
{
    struct kb_buffer out = KB_BUFFER_INIT(100000);
    struct kb_error err = {0};

    KBT_OK(kb_table_scan(table, limit,
        &(struct kb_table_sink){.item = tabletest_collect, .ctx = &out}, &err), &err);
    KBT_TEXT(kb_buffer_view(&out), want);
    kb_buffer_free(&out);
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
    check_scan(by_partition, 0, (const char *)want.data);
    check_scan(by_sort, 0, (const char *)want.data);
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
        &(struct kb_table_sink){.item = tabletest_collect, .ctx = &out}, NULL);

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
    struct kb_table *table = tabletest_new("scan", "p", NULL);

    check_scan(table, 0, "");
    tabletest_add(table, "{\"p\":{\"S\":\"b\"}}");
    tabletest_add(table, "{\"p\":{\"S\":\"a\"}}");
    check_scan(table, 1, "{\"p\":{\"S\":\"a\"}}\n");
    check_scan(table, 2, "{\"p\":{\"S\":\"a\"}}\n{\"p\":{\"S\":\"b\"}}\n");
    check_scan(table, 3, "{\"p\":{\"S\":\"a\"}}\n{\"p\":{\"S\":\"b\"}}\n");
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
    check_scan(meddler->table, 1, "{\"p\":{\"S\":\"0\"}}\n");
    KBT_OK(kb_table_put(meddler->table, &item, 1, NULL, &err), &err);
    KBT_OK(kb_table_get(meddler->table, item, &copy, &err), &err);
    KBT_BYTES(kb_buffer_view(&copy), item);
    kb_buffer_free(&copy);
    return KB_OK;
}

static void test_callback_uses_table(void)
{
    struct meddler meddler = {tabletest_new("meddle", "p", NULL), 0};

    for (int i = 0; i < 6; i++)
        tabletest_add(meddler.table, "{\"p\":{\"S\":\"%d\"}}", i);
    CU_ASSERT_EQUAL(kb_table_scan(meddler.table, 0,
        &(struct kb_table_sink){.item = meddle, .ctx = &meddler}, NULL), KB_ERR_PARTIAL);
    CU_ASSERT_EQUAL(meddler.calls, 4);
    kb_table_close(meddler.table);
}

int main(int argc, char **argv)
{
    static const struct kbtest tests[] = {
        {"key: name and type", test_key_parse},
        {"create: refusals, mode, no second time", test_create},
        {"create: names that mean something to SQLite", test_plain_names},
        {"create: not beside the log of a lost file", test_create_beside_old_log},
        {"schema: as it was given", test_schema},
        {"open: only our files, and none made", test_open_refuses},
        {"close: the last one leaves one file", test_one_file_after_close},
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
        {NULL, NULL},
    };

    return kbtest_main("table", tests, argc, argv);
}
