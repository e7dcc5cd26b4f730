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

    CU_ASSERT_EQUAL(kb_table_create("sqlite:x", &schema, NULL, &err), KB_ERR_USAGE);
    CU_ASSERT_STRING_NOT_EQUAL(err.hint, "");
    CU_ASSERT_EQUAL(kb_table_create("local:", &schema, NULL, NULL), KB_ERR_USAGE);
    CU_ASSERT_EQUAL(kb_table_create(NULL, &schema, NULL, NULL), KB_ERR_USAGE);
    CU_ASSERT_EQUAL(kb_table_create(tabletest_where("no/such"), &schema, NULL, NULL),
                    KB_ERR_NOT_FOUND);
    schema.partition.type = 'X';
    CU_ASSERT_EQUAL(kb_table_create(tabletest_where("x"), &schema, NULL, NULL), KB_ERR_USAGE);
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
              kb_table_create("local::memory:", &schema, NULL, NULL) != KB_OK ||
              kb_table_create("local:file:x?mode=memory", &schema, NULL, NULL) != KB_OK ||
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
    struct kb_table_schema schema = {
        .signed_name = "Table 3", .partition = {"Größe", 'N'}, .sort = {"at", 'B'}};
    const struct kb_table_schema *read;
    struct kb_table *table;
    struct kb_error err = {0};

    KBT_OK(kb_table_create(tabletest_where("schema"), &schema, NULL, &err), &err);
    KBT_OK(kb_table_open(&table, tabletest_where("schema"), NULL, &err), &err);
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

    CU_ASSERT_EQUAL(kb_table_open(&table, tabletest_where("absent"), NULL, NULL), KB_ERR_NOT_FOUND);
    CU_ASSERT_PTR_NULL(table);
    CU_ASSERT_FALSE(exists("absent", ""));
    CU_ASSERT_EQUAL(kb_table_open(&table, "absent", NULL, NULL), KB_ERR_USAGE);
    CU_ASSERT_EQUAL(kb_table_open(&table, "local:/", NULL, NULL), KB_ERR_INPUT);
    snprintf(command, sizeof command,
             "cd '%s' && : >empty && echo 'not a table of any kind' >text && mkfifo fifo",
             kbtest_folder());
    CU_ASSERT_EQUAL(system(command), 0);
    CU_ASSERT_EQUAL(kb_table_open(&table, tabletest_where("empty"), NULL, NULL), KB_ERR_INPUT);
    CU_ASSERT_EQUAL(kb_table_open(&table, tabletest_where("fifo"), NULL, NULL), KB_ERR_INPUT);
    CU_ASSERT_EQUAL(kb_table_open(&table, tabletest_where("text"), NULL, &err), KB_ERR_INPUT);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "is not a keybridge table"));
    CU_ASSERT_FALSE(exists("empty", "-wal"));
}

static void test_one_file_after_close(void)
{
    struct kb_table *first = tabletest_new("one", "p", NULL), *second;
    struct kb_error err = {0};

    KBT_OK(kb_table_open(&second, tabletest_where("one"), NULL, &err), &err);
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
        {NULL, NULL},
    };

    return kbtest_main("table", tests, argc, argv);
}
