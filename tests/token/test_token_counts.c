/* SPDX-License-Identifier: Apache-2.0
 *
 * How often a key has encrypted: counted before it does, across processes, and
 * up to the limit.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <keybridge/file.h>

#include "backends.h"
#include "foreign.h"
#include "keystore/pool.h"
#include "store/store.h"

enum { TAG = KB_GCM_TAG_SIZE, MANY = 300 };

static struct token_fixture fixture;

/* A keystore with counts in a file of its own, and a lease. */
struct counting {
    struct kb_keystore *keystore;
    struct kb_token *token;
    char path[512];
};

static void counting_start(struct counting *counting)
{
    struct kb_keystore_options options = fixture.options;
    struct kb_error err = {0};

    options.counts = counting->path[0] ? counting->path : NULL;
    KBT_OK(kb_keystore_open(&counting->keystore, &options, &err), &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(counting->keystore);
    KBT_OK(kb_token_lease(&counting->token, counting->keystore, &err), &err);
}

static void counting_stop(struct counting *counting)
{
    kb_token_return(counting->token);
    kb_keystore_close(counting->keystore);
    counting->keystore = NULL;
}

static struct counting counting_open(const char *file)
{
    struct counting counting = {NULL, NULL, ""};

    if (!fixture.pin)
        CU_ASSERT_TRUE_FATAL(token_fixture_make(&fixture, TOKEN_SOFTHSM, NULL));
    if (file)
        snprintf(counting.path, sizeof counting.path, "%s/%s", kbtest_folder(), file);
    counting_start(&counting);
    return counting;
}

static enum kb_status encrypt(struct kb_token *token, const char *key, size_t n,
                              struct kb_error *err)
{
    static struct kb_gcm_job jobs[MANY];
    static uint8_t out[MANY][TAG + 1];

    for (size_t i = 0; i < n; i++)
        jobs[i] = (struct kb_gcm_job){
            .in = kb_bytes_text("x"), .out = out[i], .room = sizeof out[i]};
    return kb_token_gcm(token, true, key, jobs, n, err);
}

static void decrypt(struct kb_token *token, const char *key)
{
    struct kb_error err = {0};
    uint8_t in[TAG + 5] = {0}, out[5];
    struct kb_gcm_job job = {.in = {in, sizeof in}, .out = out, .room = sizeof out};

    KBT_OK(kb_token_gcm(token, false, key, &job, 1, &err), &err);
    CU_ASSERT_EQUAL(job.status, KB_ERR_AUTH);
}

static uint64_t count_of(struct kb_token *token, const char *key)
{
    struct kb_error err = {0};
    struct kb_key_info info = {.encryptions = 12345};

    KBT_OK(kb_key_find(token, key, &info, &err), &err);
    return info.encryptions;
}

struct listed {
    const char *name;
    uint64_t count;
};

static void look(void *ctx, const struct kb_key_info *info)
{
    struct listed *listed = ctx;

    if (strcmp(info->name, listed->name) == 0)
        listed->count = info->encryptions;
}

/* --- counting --------------------------------------------------------------------------- */

static void every_encryption_counts(struct counting *counting, const char *name)
{
    struct kb_error err = {0};
    struct listed listed = {name, 0};
    struct kb_token *token = counting->token;

    backend_key(token, name, KB_KEY_ENVELOPE, KB_KEY_AES_256);
    backend_key(token, "another", KB_KEY_ENVELOPE, KB_KEY_AES_256);
    backend_key(token, "content", KB_KEY_CONTENT, KB_KEY_AES_256);
    CU_ASSERT_EQUAL(count_of(token, name), 0);
    KBT_OK(encrypt(token, name, 0, &err), &err);
    KBT_OK(encrypt(token, name, 1, &err), &err);
    KBT_OK(encrypt(token, "another", 7, &err), &err);
    KBT_OK(encrypt(token, name, MANY, &err), &err);
    KBT_OK(encrypt(token, name, 2, &err), &err);
    decrypt(token, name);
    FAILS(encrypt(token, "content", 3, &err), KB_ERR_DENIED, &err);
    CU_ASSERT_EQUAL(count_of(token, name), MANY + 3);
    CU_ASSERT_EQUAL(count_of(token, "content"), 0);
    KBT_OK(kb_key_list(token, look, &listed, &err), &err);
    CU_ASSERT_EQUAL(listed.count, MANY + 3);
    /* A new key of that name has done nothing yet. */
    KBT_OK(kb_key_destroy(token, name, &err), &err);
    backend_key(token, name, KB_KEY_ENVELOPE, KB_KEY_AES_256);
    CU_ASSERT_EQUAL(count_of(token, name), 0);
    KBT_OK(encrypt(token, name, 4, &err), &err);
    CU_ASSERT_EQUAL(count_of(token, name), 4);
}

static void counted_in_memory(void)
{
    struct counting counting = counting_open(NULL);

    every_encryption_counts(&counting, "in-memory");
    CU_ASSERT_EQUAL(count_of(counting.token, "another"), 7);
    counting_stop(&counting);
    counting_start(&counting);
    CU_ASSERT_EQUAL(count_of(counting.token, "in-memory"), 0);
    counting_stop(&counting);
}

static void counted_in_a_file(void)
{
    struct counting counting = counting_open("folder/counts.db");
    struct stat info;

    CU_ASSERT_EQUAL(count_of((backend_key(counting.token, "in-file", KB_KEY_ENVELOPE,
                                          KB_KEY_AES_256),
                              counting.token),
                             "in-file"),
                    0);
    CU_ASSERT_NOT_EQUAL(stat(counting.path, &info), 0); /* looking makes no file */
    every_encryption_counts(&counting, "in-file");
    CU_ASSERT_EQUAL(stat(counting.path, &info), 0);
    CU_ASSERT_EQUAL(info.st_mode & 0777, 0600);
    counting_stop(&counting);
    counting_start(&counting);
    CU_ASSERT_EQUAL(count_of(counting.token, "in-file"), 4);
    counting_stop(&counting);
}

/* The same key by a URI, and one that another program made. */
static void counted_by_what_the_key_is(void)
{
    struct counting counting = counting_open("by-key.db");
    struct kb_error err = {0};

    backend_key(counting.token, "by-key", KB_KEY_ENVELOPE, KB_KEY_AES_192);
    KBT_OK(encrypt(counting.token, "by-key", 2, &err), &err);
    KBT_OK(encrypt(counting.token, "pkcs11:object=by-key", 3, &err), &err);
    CU_ASSERT_EQUAL(count_of(counting.token, "by-key"), 5);
    CU_ASSERT_TRUE(foreign_do(&fixture, FOREIGN_GCM, "theirs"));
    KBT_OK(encrypt(counting.token, "theirs", 6, &err), &err);
    CU_ASSERT_EQUAL(count_of(counting.token, "theirs"), 6);
    CU_ASSERT_EQUAL(count_of(counting.token, "by-key"), 5);
    counting_stop(&counting);
}

/* What a lost helper was asked to do, it may have done. */
static void a_lost_helper_counts(void)
{
    struct counting counting = counting_open("lost.db");
    struct kb_error err = {0};

    backend_key(counting.token, "lost", KB_KEY_ENVELOPE, KB_KEY_AES_256);
    KBT_OK(encrypt(counting.token, "lost", 1, &err), &err);
    CU_ASSERT_EQUAL(kill(kb_token_pid(counting.token), SIGKILL), 0);
    KBT_OK(encrypt(counting.token, "lost", 5, &err), &err);
    CU_ASSERT_EQUAL(count_of(counting.token, "lost"), 1 + 2 * 5);
    counting_stop(&counting);
}

/* Before it is asked again, whatever comes of that. */
static void a_repeat_counts_before_it(void)
{
    static char path[512];
    struct counting counting = counting_open("repeat.db");
    const char *helper = fixture.options.helper;
    struct kb_error err = {0};

    backend_key(counting.token, "repeat", KB_KEY_ENVELOPE, KB_KEY_AES_256);
    counting_stop(&counting);
    snprintf(path, sizeof path, "%s/repeat-helper", kbtest_folder());
    CU_ASSERT_EQUAL_FATAL(symlink(getenv("KEYBRIDGE_TOKEN_HELPER"), path), 0);
    fixture.options.helper = path;
    counting_start(&counting);
    KBT_OK(encrypt(counting.token, "repeat", 1, &err), &err);
    CU_ASSERT_EQUAL(unlink(path), 0); /* so that there is no second helper */
    CU_ASSERT_EQUAL(kill(kb_token_pid(counting.token), SIGKILL), 0);
    CU_ASSERT_NOT_EQUAL(encrypt(counting.token, "repeat", 5, NULL), KB_OK);
    counting_stop(&counting);
    fixture.options.helper = helper;
    counting_start(&counting);
    CU_ASSERT_EQUAL(count_of(counting.token, "repeat"), 1 + 2 * 5);
    counting_stop(&counting);
}

static void processes_share_the_counts(void)
{
    enum { CHILDREN = 4, CALLS = 25, EACH = 3 };
    struct counting counting = counting_open("shared.db");
    pid_t children[CHILDREN];
    int code;

    backend_key(counting.token, "shared", KB_KEY_ENVELOPE, KB_KEY_AES_256);
    counting_stop(&counting);
    for (int i = 0; i < CHILDREN; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            bool good = true;

            counting_start(&counting);
            for (int call = 0; call < CALLS; call++)
                good = good && encrypt(counting.token, "shared", EACH, NULL) == KB_OK;
            counting_stop(&counting);
            _exit(good ? 0 : 1);
        }
    }
    for (int i = 0; i < CHILDREN; i++)
        CU_ASSERT_TRUE(waitpid(children[i], &code, 0) == children[i] && code == 0);
    counting_start(&counting);
    CU_ASSERT_EQUAL(count_of(counting.token, "shared"), CHILDREN * CALLS * EACH);
    counting_stop(&counting);
}

/* --- the limit ---------------------------------------------------------------------------- */

static void poke(const char *path, const char *sql)
{
    static const struct kb_store_kind kind = {0x6b626374, 1, "counts", "none"};
    struct kb_error err = {0};
    struct kb_store *store;

    KBT_OK(kb_store_open(&store, path, &kind, &err), &err);
    KBT_OK(kb_store_run(store, sql, &err), &err);
    kb_store_close(store);
}

static void the_limit_is_kept(void)
{
    struct counting counting = counting_open("limit.db");
    struct kb_error err = {0};

    backend_key(counting.token, "limit", KB_KEY_ENVELOPE, KB_KEY_AES_256);
    KBT_OK(encrypt(counting.token, "limit", 1, &err), &err);
    poke(counting.path, "UPDATE encryptions SET count = 4294967296 - 3");
    FAILS(encrypt(counting.token, "limit", 4, &err), KB_ERR_DENIED, &err);
    CU_ASSERT_EQUAL(count_of(counting.token, "limit"), KB_GCM_ENCRYPTIONS_MAX - 3);
    KBT_OK(encrypt(counting.token, "limit", 2, &err), &err);
    KBT_OK(encrypt(counting.token, "limit", 1, &err), &err);
    CU_ASSERT_EQUAL(count_of(counting.token, "limit"), KB_GCM_ENCRYPTIONS_MAX);
    CU_ASSERT_EQUAL(encrypt(counting.token, "limit", 1, &err), KB_ERR_DENIED);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.hint, "new key"));
    decrypt(counting.token, "limit");
    poke(counting.path, "UPDATE encryptions SET count = 9223372036854775807");
    FAILS(encrypt(counting.token, "limit", 1, &err), KB_ERR_DENIED, &err);
    counting_stop(&counting);
}

/* --- a file that cannot be believed ---------------------------------------------------------- */

/* No encryption, no count; but the key is there, and decrypts. */
static void expect_no_trust(struct counting *counting, enum kb_status status)
{
    struct kb_error err = {0};

    counting_start(counting);
    FAILS(encrypt(counting->token, "damage", 1, &err), status, &err);
    CU_ASSERT_EQUAL(count_of(counting->token, "damage"), KB_GCM_ENCRYPTIONS_UNKNOWN);
    decrypt(counting->token, "damage");
    counting_stop(counting);
}

static void write_file(const char *path, struct kb_bytes bytes)
{
    struct kb_error err = {0};

    KBT_OK(kb_file_write(path, 0600, bytes, &err), &err);
}

static void damaged_counts_are_not_zero(void)
{
    struct counting counting = counting_open("damage.db");
    struct kb_buffer whole = KB_BUFFER_INIT(1 << 20);
    struct kb_error err = {0};
    char beside[600];

    backend_key(counting.token, "damage", KB_KEY_ENVELOPE, KB_KEY_AES_256);
    KBT_OK(encrypt(counting.token, "damage", 9, &err), &err);
    counting_stop(&counting);
    KBT_OK(kb_file_read(&whole, counting.path, &err), &err);
    write_file(counting.path, kb_bytes_text("not a file of counts"));
    expect_no_trust(&counting, KB_ERR_INPUT);
    write_file(counting.path, kb_bytes_text(""));
    expect_no_trust(&counting, KB_ERR_INPUT);
    for (size_t size = 512; size < whole.size; size += 512) {
        write_file(counting.path, (struct kb_bytes){whole.data, size});
        expect_no_trust(&counting, KB_ERR_INPUT);
    }
    write_file(counting.path, kb_buffer_view(&whole));
    poke(counting.path, "UPDATE encryptions SET count = -1");
    expect_no_trust(&counting, KB_ERR_INPUT);
    poke(counting.path, "DROP TABLE encryptions");
    expect_no_trust(&counting, KB_ERR_SYSTEM);
    /* A log whose file is gone would be taken for the new file's. */
    unlink(counting.path);
    snprintf(beside, sizeof beside, "%s-wal", counting.path);
    write_file(beside, kb_bytes_text("log"));
    counting_start(&counting);
    FAILS(encrypt(counting.token, "damage", 1, &err), KB_ERR_EXISTS, &err);
    counting_stop(&counting);
    unlink(beside);
    CU_ASSERT_EQUAL(mkdir(counting.path, 0700), 0);
    expect_no_trust(&counting, KB_ERR_INPUT);
    CU_ASSERT_EQUAL(rmdir(counting.path), 0);
    /* The very file, put back, is believed again. */
    write_file(counting.path, kb_buffer_view(&whole));
    counting_start(&counting);
    CU_ASSERT_EQUAL(count_of(counting.token, "damage"), 9);
    counting_stop(&counting);
    kb_buffer_free(&whole);
}

static const struct kbtest tests[] = {
    {"counted_in_memory", counted_in_memory},
    {"counted_in_a_file", counted_in_a_file},
    {"counted_by_what_the_key_is", counted_by_what_the_key_is},
    {"a_lost_helper_counts", a_lost_helper_counts},
    {"a_repeat_counts_before_it", a_repeat_counts_before_it},
    {"processes_share_the_counts", processes_share_the_counts},
    {"the_limit_is_kept", the_limit_is_kept},
    {"damaged_counts_are_not_zero", damaged_counts_are_not_zero},
    {NULL, NULL},
};

int main(int argc, char **argv)
{
    int result;

    if (foreign_main(argc, argv, &result))
        return result;
    result = kbtest_main("token_counts", tests, argc, argv);
    token_fixture_free(&fixture);
    return result;
}
