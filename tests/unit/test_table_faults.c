/* SPDX-License-Identifier: Apache-2.0
 *
 * The embedded table when things go wrong: full disks, killed and competing
 * processes, changed bytes.
 */
#include "tabletest.h"

#include "store/store.h"

#include <keybridge/file.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 10 };

/* Items "<series>-<number>" of `size` filler bytes: numbers from, from + 1, … */
static enum kb_status put_batch(struct kb_table *table, char series, unsigned from, size_t size,
                                struct kb_error *err)
{
    struct kb_bytes items[BATCH];
    char *json = calloc(BATCH, size + 100);
    enum kb_status status;

    if (!json)
        abort();
    for (unsigned i = 0; i < BATCH; i++) {
        char *at = json + i * (size + 100);
        int head = sprintf(at, "{\"p\":{\"S\":\"%c-%08u\"},\"f\":{\"S\":\"", series, from + i);

        memset(at + head, 'x', size);
        strcpy(at + head + size, "\"}}");
        items[i] = kb_bytes_text(at);
    }
    status = kb_table_put(table, items, BATCH, NULL, err);
    free(json);
    return status;
}

/* Which batches of a series are there; a batch must be whole. */
struct tally {
    char series;
    unsigned counts[100000];
};

static enum kb_status tally_item(void *ctx, struct kb_bytes item)
{
    struct tally *tally = ctx;
    unsigned number;
    char series, text[40] = "";

    memcpy(text, item.data, item.size < 39 ? item.size : 39);
    if (item.data[item.size - 1] != '}' ||
        sscanf(text, "{\"p\":{\"S\":\"%c-%8u\"", &series, &number) != 2)
        return KB_ERR_INPUT;
    if (series == tally->series && number / BATCH < 100000)
        tally->counts[number / BATCH]++;
    return KB_OK;
}

static int wait_for(pid_t child)
{
    int result = -1;

    if (waitpid(child, &result, 0) != child)
        return -1;
    return result;
}

/* --- full disk ---------------------------------------------------------------- */

/* In a child: files may not grow over a bound. 0 when every put either worked
 * or failed as it should, and failed at least once. */
static int fill_disk(const char *where)
{
    struct rlimit limit = {400 * 1024, 400 * 1024};
    struct kb_table *table;
    struct kb_table_info info;
    unsigned stored = 0, failed = 0;

    signal(SIGXFSZ, SIG_IGN);
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0 || kb_table_open(&table, where, NULL, NULL) != KB_OK)
        return 1;
    for (unsigned i = 0; i < 200 && failed < 3; i++) {
        struct kb_error err = {0};
        enum kb_status status = put_batch(table, 'a', i * BATCH, 5000, &err);

        if (status == KB_OK)
            stored += BATCH;
        else if (status == KB_ERR_SYSTEM && err.text[0])
            failed++;
        else
            return 2;
        if (kb_table_describe(table, &info, NULL) != KB_OK || info.items != stored)
            return 3;
    }
    kb_table_close(table);
    return failed == 3 && stored > 0 ? 0 : 4;
}

static void test_disk_full(void)
{
    struct kb_table *table = tabletest_new("full", "p", NULL);
    const char *where = tabletest_where("full");
    struct kb_error err = {0};
    struct kb_buffer out = KB_BUFFER_INIT(10000000);
    pid_t child;

    kb_table_close(table);
    child = fork();
    if (child == 0)
        _exit(fill_disk(where));
    CU_ASSERT_EQUAL(wait_for(child), 0);
    KBT_OK(kb_table_open(&table, where, NULL, &err), &err);
    KBT_OK(kb_table_scan(table, 0,
        &(struct kb_table_sink){.item = tabletest_collect, .ctx = &out}, &err), &err);
    KBT_OK(put_batch(table, 'b', 0, 5000, &err), &err);
    kb_buffer_free(&out);
    kb_table_close(table);
}

static void test_create_on_full_disk(void)
{
    pid_t child = fork();
    char path[512];

    if (child == 0) {
        struct rlimit limit = {8 * 1024, 8 * 1024};

        signal(SIGXFSZ, SIG_IGN);
        if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
            _exit(1);
        _exit(tabletest_create("nospace", "p", NULL, NULL) != KB_ERR_SYSTEM);
    }
    CU_ASSERT_EQUAL(wait_for(child), 0);
    snprintf(path, sizeof path, "test -z \"$(ls '%s' | grep nospace)\"", kbtest_folder());
    CU_ASSERT_EQUAL(system(path), 0);
}

/* --- processes at once --------------------------------------------------------- */

static int writer(const char *where, char series, unsigned batches)
{
    struct kb_table *table;

    if (kb_table_open(&table, where, NULL, NULL) != KB_OK)
        return 1;
    for (unsigned i = 0; i < batches; i++)
        if (put_batch(table, series, i * BATCH, 300, NULL) != KB_OK)
            return 2;
    kb_table_close(table);
    return 0;
}

static void test_two_writers(void)
{
    static struct tally tally;
    const char *where = tabletest_where("two");
    struct kb_error err = {0};
    struct kb_table *table = tabletest_new("two", "p", NULL);
    struct kb_table_info info = {0};
    pid_t children[2];

    kb_table_close(table);
    for (int i = 0; i < 2; i++) {
        children[i] = fork();
        if (children[i] == 0)
            _exit(writer(where, (char)('a' + i), 200));
    }
    KBT_OK(kb_table_open(&table, where, NULL, &err), &err);
    /* Every scan is held against the totals of its snapshot. */
    for (int scans = 0; scans < 1000 && info.items < 2 * 200 * BATCH; scans++) {
        KBT_OK(kb_table_scan(table, 0,
            &(struct kb_table_sink){.item = tally_item, .ctx = &tally}, &err), &err);
        KBT_OK(kb_table_describe(table, &info, &err), &err);
        usleep(10000);
    }
    CU_ASSERT_EQUAL(wait_for(children[0]), 0);
    CU_ASSERT_EQUAL(wait_for(children[1]), 0);
    KBT_OK(kb_table_describe(table, &info, &err), &err);
    CU_ASSERT_EQUAL(info.items, 2 * 200 * BATCH);
    kb_table_close(table);
}

static void test_create_race(void)
{
    struct kb_table *table;

    for (int round = 0; round < 10; round++) {
        pid_t children[4];
        char name[20];
        int made = 0;

        snprintf(name, sizeof name, "race%d", round);
        for (int i = 0; i < 4; i++) {
            children[i] = fork();
            if (children[i] == 0) {
                enum kb_status status = tabletest_create(name, "p", NULL, NULL);

                _exit(status == KB_OK ? 0 : status == KB_ERR_EXISTS ? 9 : 1);
            }
        }
        for (int i = 0; i < 4; i++) {
            int result = wait_for(children[i]);

            made += result == 0;
            CU_ASSERT_TRUE(result == 0 || (WIFEXITED(result) && WEXITSTATUS(result) == 9));
        }
        CU_ASSERT_EQUAL(made, 1);
        CU_ASSERT_EQUAL(kb_table_open(&table, tabletest_where(name), NULL, NULL), KB_OK);
        kb_table_close(table);
    }
}

/* --- killed -------------------------------------------------------------------- */

/* Puts batches until killed and says after each which one is durable. */
static void write_and_tell(const char *where, unsigned first, int ack)
{
    struct kb_table *table;

    if (kb_table_open(&table, where, NULL, NULL) != KB_OK)
        _exit(1);
    for (unsigned batch = first;; batch++) {
        if (put_batch(table, 'k', batch * BATCH, 700, NULL) != KB_OK ||
            write(ack, &batch, sizeof batch) != sizeof batch)
            _exit(1);
    }
}

/* Kills a writer after some time, at most so long; the first batch nobody has told of. */
static unsigned kill_writer(const char *where, unsigned first, bool acked[100000], unsigned most_us)
{
    unsigned batch = first, us = (unsigned)rand() % most_us;
    struct timespec delay = {us / 1000000, us % 1000000 * 1000L};
    int ends[2];
    pid_t child;

    CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
    child = fork();
    if (child == 0) {
        close(ends[0]);
        write_and_tell(where, first, ends[1]);
    }
    close(ends[1]);
    nanosleep(&delay, NULL);
    kill(child, SIGKILL);
    CU_ASSERT_TRUE(WIFSIGNALED(wait_for(child)));
    while (read(ends[0], &batch, sizeof batch) == sizeof batch) {
        CU_ASSERT_TRUE_FATAL(batch < 100000);
        acked[batch] = true;
    }
    close(ends[0]);
    return batch + 1;
}

static void test_killed_writer(void)
{
    static bool acked[100000];
    const char *where = tabletest_where("killed");
    struct kb_table *table = tabletest_new("killed", "p", NULL);
    struct kb_error err = {0};
    unsigned next = 0, most_us = 30000;
    bool durable = false;

    kb_table_close(table);
    srand(4711);
    /* A slow machine needs longer before something is durable. */
    for (int round = 0; round < 60 || (round < 70 && !durable); round++) {
        static struct tally tally;

        most_us *= round < 60 ? 1 : 2;
        memset(&tally, 0, sizeof tally);
        tally.series = 'k';
        /* One more: the last may be durable and not told. */
        next = kill_writer(where, next, acked, most_us) + 1;
        KBT_OK(kb_table_open(&table, where, NULL, &err), &err);
        KBT_OK(kb_table_scan(table, 0,
            &(struct kb_table_sink){.item = tally_item, .ctx = &tally}, &err), &err);
        kb_table_close(table);
        for (unsigned i = 0; i < next; i++) {
            CU_ASSERT_TRUE(tally.counts[i] == 0 || tally.counts[i] == BATCH);
            CU_ASSERT_TRUE(!acked[i] || tally.counts[i] == BATCH);
            durable = durable || acked[i];
        }
    }
    CU_ASSERT_TRUE(durable);
}

static void test_killed_create(void)
{
    struct kb_table *table;

    srand(1);
    for (int round = 0; round < 60; round++) {
        struct timespec delay = {0, (rand() % 8000) * 1000L};
        enum kb_status status;
        char name[20];
        pid_t child;

        snprintf(name, sizeof name, "half%d", round);
        child = fork();
        if (child == 0)
            _exit(tabletest_create(name, "p", "s", NULL));
        nanosleep(&delay, NULL);
        kill(child, SIGKILL);
        wait_for(child);
        status = kb_table_open(&table, tabletest_where(name), NULL, NULL);
        CU_ASSERT_TRUE(status == KB_OK || status == KB_ERR_NOT_FOUND);
        if (status == KB_OK)
            kb_table_close(table);
        else
            CU_ASSERT_EQUAL(tabletest_create(name, "p", "s", NULL), KB_OK);
    }
}

/* --- changed bytes --------------------------------------------------------------- */

/* A small file with everything in it: short pages, a tree of two levels, an
 * item on overflow pages, an unused page. */
static void make_small(struct kb_buffer *file, struct kb_buffer *items)
{
    static const struct kb_store_kind kind = {0x6b627462, 1, "a keybridge table", "repair"};
    struct kb_table *table = tabletest_new("small", "p", NULL);
    struct kb_error err = {0};
    struct kb_store *store;
    char path[512];

    for (unsigned i = 0; i < 3; i++)
        KBT_OK(put_batch(table, 's', i * BATCH, i == 1 ? 20 : 3, &err), &err);
    tabletest_add(table, "{\"p\":{\"S\":\"t\"},\"f\":{\"S\":\"%01500d\"}}", 7);
    KBT_OK(kb_table_scan(table, 0,
        &(struct kb_table_sink){.item = tabletest_collect, .ctx = items}, &err), &err);
    kb_table_close(table);
    snprintf(path, sizeof path, "%s/small", kbtest_folder());
    KBT_OK(kb_store_open(&store, path, &kind, &err), &err);
    KBT_OK(kb_store_run(store,
                        "PRAGMA journal_mode=DELETE; PRAGMA page_size=512; VACUUM;"
                        "CREATE TABLE spare(x); DROP TABLE spare; PRAGMA journal_mode=WAL",
                        &err),
           &err);
    kb_store_close(store);
    KBT_OK(kb_file_read(file, path, &err), &err);
}

enum outcome { SAME, REFUSED, SILENT };

static enum outcome read_changed(struct kb_bytes want)
{
    struct kb_buffer got = KB_BUFFER_INIT(1000000);
    enum outcome outcome = REFUSED;
    struct kb_table *table = NULL;
    struct kb_error err = {0};
    enum kb_status status = kb_table_open(&table, tabletest_where("changed"), NULL, &err);

    if (status == KB_OK)
        status = kb_table_scan(table, 0,
            &(struct kb_table_sink){.item = tabletest_collect, .ctx = &got}, &err);
    if (status == KB_OK)
        outcome = kb_bytes_equal(kb_buffer_view(&got), want) ? SAME : SILENT;
    else
        CU_ASSERT_TRUE((status == KB_ERR_INPUT || status == KB_ERR_SYSTEM) && err.text[0]);
    if (table) {
        struct kb_error put_err = {0};

        status = tabletest_put(table, "{\"p\":{\"S\":\"s-00000005\"}}", &put_err);
        CU_ASSERT_TRUE(status == KB_OK || put_err.text[0]);
    }
    kb_table_close(table);
    kb_buffer_free(&got);
    return outcome;
}

static void put_changed(struct kb_bytes bytes)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};
    struct kb_error err = {0};
    char path[512];
    FILE *file;

    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/changed%s", kbtest_folder(), suffixes[i]);
        unlink(path);
    }
    snprintf(path, sizeof path, "%s/changed", kbtest_folder());
    file = fopen(path, "wb");
    if (!file || fwrite(bytes.data, 1, bytes.size, file) != bytes.size || fclose(file) != 0)
        kb_error_set(&err, KB_ERR_SYSTEM, "writing %s", path);
    KBT_OK(err.status, &err);
}

/* How thorough: every `step`-th byte; KEYBRIDGE_TEST_STEP=1 takes all. */
static size_t step_of(size_t usual)
{
    const char *text = getenv("KEYBRIDGE_TEST_STEP");

    return text && atoi(text) > 0 ? (size_t)atoi(text) : usual;
}

static void test_changed_bytes(void)
{
    static const uint8_t changes[] = {0x01, 0x80, 0xff};
    struct kb_buffer file = KB_BUFFER_INIT(1000000), items = KB_BUFFER_INIT(1000000);
    unsigned outcomes[3] = {0};

    make_small(&file, &items);
    put_changed(kb_buffer_view(&file));
    CU_ASSERT_EQUAL(read_changed(kb_buffer_view(&items)), SAME);
    for (size_t i = 0; i < file.size; i += step_of(1)) {
        uint8_t change = changes[i % 3];

        file.data[i] ^= change;
        put_changed(kb_buffer_view(&file));
        outcomes[read_changed(kb_buffer_view(&items))]++;
        file.data[i] ^= change;
    }
    CU_ASSERT_EQUAL(outcomes[SILENT], 0);
    CU_ASSERT_TRUE(outcomes[REFUSED] > 0);
    fprintf(stderr, "%zu bytes: %u changes without effect, %u refused, %u unseen ", file.size,
            outcomes[SAME], outcomes[REFUSED], outcomes[SILENT]);
    kb_buffer_free(&file);
    kb_buffer_free(&items);
}

static void test_cut_short(void)
{
    struct kb_buffer file = KB_BUFFER_INIT(1000000);
    struct kb_error err = {0};
    struct kb_buffer items = KB_BUFFER_INIT(1000000);
    char path[512];

    snprintf(path, sizeof path, "%s/small", kbtest_folder());
    if (access(path, R_OK) != 0) {
        make_small(&file, &items);
    } else {
        struct kb_table *table;

        KBT_OK(kb_file_read(&file, path, &err), &err);
        KBT_OK(kb_table_open(&table, tabletest_where("small"), NULL, &err), &err);
        KBT_OK(kb_table_scan(table, 0,
            &(struct kb_table_sink){.item = tabletest_collect, .ctx = &items}, &err), &err);
        kb_table_close(table);
    }
    for (size_t size = 0; size < file.size; size += step_of(37)) {
        put_changed((struct kb_bytes){file.data, size});
        CU_ASSERT_NOT_EQUAL(read_changed(kb_buffer_view(&items)), SILENT);
    }
    kb_buffer_free(&file);
    kb_buffer_free(&items);
}

static void check_meddled(const char *name, const char *sql)
{
    static const struct kb_store_kind kind = {0x6b627462, 1, "a keybridge table", "repair"};
    struct kb_error err = {0};
    struct kb_table *table;
    struct kb_store *store;
    char path[512];

    kb_table_close(tabletest_new(name, "p", NULL));
    snprintf(path, sizeof path, "%s/%s", kbtest_folder(), name);
    KBT_OK(kb_store_open(&store, path, &kind, &err), &err);
    KBT_OK(kb_store_run(store, sql, &err), &err);
    kb_store_close(store);
    CU_ASSERT_EQUAL(kb_table_open(&table, tabletest_where(name), NULL, &err), KB_ERR_INPUT);
    CU_ASSERT_STRING_NOT_EQUAL(err.text, "");
}

static void test_strange_files(void)
{
    check_meddled("newer", "PRAGMA user_version=2");
    check_meddled("other", "PRAGMA application_id=7");
    check_meddled("unversioned", "PRAGMA user_version=0");
    check_meddled("trigger", "CREATE TRIGGER t AFTER INSERT ON items BEGIN DELETE FROM items; END");
    check_meddled("view", "CREATE VIEW v AS SELECT 1");
    check_meddled("noitems", "DROP TABLE items");
    check_meddled("renamed", "UPDATE meta SET value = 'q' WHERE name = 'partition'");
    check_meddled("nofield", "DELETE FROM meta WHERE name = 'sort_type'");
    check_meddled("nomark", "DELETE FROM meta WHERE name = 'mark'");
}

int main(int argc, char **argv)
{
    static const struct kbtest tests[] = {
        {"disk full: a put fails whole", test_disk_full},
        {"disk full: nothing is created", test_create_on_full_disk},
        {"processes: two writers and a reader", test_two_writers},
        {"processes: one of four creates", test_create_race},
        {"killed: what was told is there, batches are whole", test_killed_writer},
        {"killed: a table is there or not", test_killed_create},
        {"changed bytes are seen or without effect", test_changed_bytes},
        {"cut short: seen", test_cut_short},
        {"files of others are refused", test_strange_files},
        {NULL, NULL},
    };

    return kbtest_main("table faults", tests, argc, argv);
}
