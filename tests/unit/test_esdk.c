/* SPDX-License-Identifier: Apache-2.0
 *
 * Messages that are written and read again, in every way of handing bytes in
 * and out. What is forged or hostile is in test_esdk_forged.c.
 */
#include "esdktest.h"

#include <dirent.h>

#include <sys/resource.h>
#include <unistd.h>

static const uint16_t committing[] = {0x0478, 0x0578};
static const uint16_t others[] = {0x0114, 0x0146, 0x0178, 0x0214, 0x0346, 0x0378};

static enum kb_commitment policy_of(uint16_t suite)
{
    return suite == 0x0478 || suite == 0x0578 ? KB_COMMITMENT_REQUIRE_REQUIRE
                                              : KB_COMMITMENT_FORBID_ALLOW;
}

/* --- round trips ------------------------------------------------------------------ */

static size_t message_size(const struct kb_esdk_info *info, size_t size)
{
    const size_t frames = size / info->frame_length;

    return info->header_size + frames * ESDK_FRAME_OVERHEAD + ESDK_FINAL_OVERHEAD + size +
           (info->is_signed ? 2 + (info->suite == 0x0214 ? 71 : 103) : 0);
}

static void one_way(struct kb_esdk *esdk, const struct kb_esdk_encrypt_options *options,
                    size_t size, size_t feed, size_t room)
{
    struct kb_buffer sealed = KB_BUFFER_INIT(16 << 20), opened = KB_BUFFER_INIT(16 << 20);
    struct kb_error err = {.status = KB_OK};
    struct kb_esdk_message *message;

    KBT_OK(kb_esdk_encrypt(&message, 1, esdk, options, &err), &err);
    KBT_OK(esdktest_run(message, esdktest_plain(size), feed, room, &sealed, &err), &err);
    CU_ASSERT_EQUAL(sealed.size, message_size(kb_esdk_message_info(message), size));
    kb_esdk_free(message);
    KBT_OK(kb_esdk_decrypt(&message, esdk, NULL, &err), &err);
    KBT_OK(esdktest_run(message, kb_buffer_view(&sealed), feed, room, &opened, &err), &err);
    KBT_BYTES(kb_buffer_view(&opened), esdktest_plain(size));
    CU_ASSERT_EQUAL(kb_esdk_message_info(message)->suite, options->suite);
    kb_esdk_free(message);
    kb_buffer_free(&sealed);
    kb_buffer_free(&opened);
}

/* Sizes around the frames' boundaries, in steps of all sizes. */
static void round_trips(struct kb_esdk *esdk, uint16_t suite, uint32_t length)
{
    static const size_t feeds[] = {1, 7, SIZE_MAX}, rooms[] = {1, 33, 8 << 20};
    const size_t sizes[] = {0, 1, length - 1, length, length + 1, 2 * length,
                            length > 1 << 20 ? 2 * length + 5 : 3 * length + 5};
    const struct kb_esdk_encrypt_options options = {.suite = suite, .frame_length = length};

    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (size_t f = 0; f < 3; f++)
            for (size_t r = 0; r < 3; r++)
                if (sizes[s] < 20000 || (f == 2 && r == 2))
                    one_way(esdk, &options, sizes[s], feeds[f], rooms[r]);
    one_way(esdk, &options, sizes[6], 1000, 8 << 20);
    one_way(esdk, &options, sizes[6], SIZE_MAX, 100000);
}

static void every_suite(const uint16_t *suites, size_t n, unsigned workers)
{
    static const uint32_t lengths[] = {1, 13, 128, 4096, 65536, (1 << 20) + 1};
    struct kb_esdk *esdk = esdktest_new(policy_of(suites[0]), workers);

    for (size_t i = 0; i < n; i++)
        for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++)
            round_trips(esdk, suites[i], lengths[l]);
    kb_esdk_release(esdk);
}

static void test_committing_suites(void)
{
    every_suite(committing, 2, 1);
}

static void test_other_suites(void)
{
    every_suite(others, 6, 1);
}

/* Many frames in one call, so that threads get some. */
static void test_workers(void)
{
    static const uint16_t suites[] = {0x0478, 0x0578};
    static const uint32_t lengths[] = {128, 4096, 65536, 300000};

    for (unsigned workers = 2; workers <= 4; workers += 2)
        for (size_t i = 0; i < 2; i++) {
            struct kb_esdk *esdk = esdktest_new(KB_COMMITMENT_REQUIRE_REQUIRE, workers);

            for (size_t l = 0; l < 4; l++) {
                const struct kb_esdk_encrypt_options options = {.suite = suites[i],
                                                                .frame_length = lengths[l]};

                one_way(esdk, &options, 3 << 20, SIZE_MAX, 8 << 20);
                one_way(esdk, &options, (3 << 20) + 77, 1 << 20, 700000);
            }
            kb_esdk_release(esdk);
        }
}

/* Threads of this process, or 0 where that is not told. */
static size_t count_threads(void)
{
    DIR *tasks = opendir("/proc/self/task");
    size_t count = 0;

    if (!tasks)
        return 0;
    for (const struct dirent *entry; (entry = readdir(tasks));)
        count += entry->d_name[0] != '.';
    closedir(tasks);
    return count;
}

/* Threads that were joined are told for a moment more: the count once it is so
 * for 50 ms, or, after ten seconds, as it is. */
static size_t settled_threads(void)
{
    size_t count = count_threads(), before = count + 1;

    for (int i = 0; i < 200 && count != before; i++) {
        before = count;
        usleep(50000);
        count = count_threads();
    }
    return count;
}

static size_t await_threads(size_t wanted)
{
    for (int i = 0; i < 1000 && count_threads() != wanted; i++)
        usleep(10000);
    return count_threads();
}

/* Small messages start no threads, large ones as many as there are workers
 * beside the caller; with the message they end. */
static void test_threads(void)
{
    static uint8_t out[2 << 20];
    struct kb_esdk *esdk = esdktest_new(KB_COMMITMENT_REQUIRE_REQUIRE, 3);
    const size_t before = settled_threads();
    static const struct {
        size_t size, threads;
    } rows[] = {{100, 0}, {64 * 1024, 0}, {1 << 20, 2}};

    for (size_t i = 0; i < 3; i++) {
        struct kb_esdk_step step = {.in = esdktest_plain(rows[i].size), .out = out,
                                    .room = sizeof out};
        struct kb_error err = {.status = KB_OK};
        struct kb_esdk_message *message;

        KBT_OK(kb_esdk_encrypt(&message, 1, esdk, NULL, &err), &err);
        KBT_OK(kb_esdk_process(message, &step, &err), &err);
        if (before)
            CU_ASSERT_EQUAL(count_threads(), before + rows[i].threads);
        kb_esdk_free(message);
        CU_ASSERT_EQUAL(await_threads(before), before);
    }
    kb_esdk_release(esdk);
}

/* --- defaults, policies and options --------------------------------------------------- */

static void test_defaults(void)
{
    struct kb_esdk *esdk = esdktest_new(KB_COMMITMENT_REQUIRE_REQUIRE, 1);
    struct kb_esdk *forbid = esdktest_new(KB_COMMITMENT_FORBID_ALLOW, 1);
    struct kb_error err = {.status = KB_OK};
    struct kb_esdk_message *message;

    KBT_OK(kb_esdk_encrypt(&message, 1, esdk, NULL, &err), &err);
    CU_ASSERT_EQUAL(kb_esdk_message_info(message)->suite, 0x0578);
    CU_ASSERT_EQUAL(kb_esdk_message_info(message)->frame_length, 4096);
    CU_ASSERT_FALSE(kb_esdk_done(message));
    kb_esdk_free(message);
    KBT_OK(kb_esdk_encrypt(&message, 1, forbid, NULL, &err), &err);
    CU_ASSERT_EQUAL(kb_esdk_message_info(message)->suite, 0x0378);
    kb_esdk_free(message);
    kb_esdk_free(NULL);
    kb_esdk_release(kb_esdk_retain(esdk));
    kb_esdk_release(esdk);
    kb_esdk_release(forbid);
    kb_esdk_release(NULL);
    CU_ASSERT_EQUAL(kb_esdk_new(&esdk, NULL, NULL, NULL), KB_ERR_USAGE);
}

static void test_policies(void)
{
    static const uint16_t all[] = {0x0014, 0x0046, 0x0078, 0x0114, 0x0146, 0x0178,
                                   0x0214, 0x0346, 0x0378, 0x0478, 0x0578};

    for (unsigned policy = 0; policy < 3; policy++) {
        struct kb_esdk *esdk = esdktest_new((enum kb_commitment)policy, 1);

        for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
            const bool commits = all[i] >= 0x0478, kdf = all[i] > 0x0078;
            const bool writes = kdf && commits == (policy != KB_COMMITMENT_FORBID_ALLOW);
            const bool reads = commits || policy != KB_COMMITMENT_REQUIRE_REQUIRE;
            struct kb_esdk_message *message = (struct kb_esdk_message *)&message;
            struct kb_buffer out = KB_BUFFER_INIT(4096);
            struct kb_error err = {.status = KB_OK};
            struct craft craft;

            CU_ASSERT_EQUAL(kb_esdk_encrypt(&message, 1, esdk,
                                            &(struct kb_esdk_encrypt_options){.suite = all[i]},
                                            &err),
                            writes ? KB_OK : KB_ERR_USAGE);
            CU_ASSERT_EQUAL(message != NULL, writes);
            CU_ASSERT_EQUAL(err.hint[0] != 0, !writes);
            kb_esdk_free(message);
            craft_header(&craft, all[i], 16);
            craft_frame(&craft, ESDK_FINAL, 1, esdktest_plain(7));
            craft_end(&craft);
            CU_ASSERT_EQUAL(esdktest_decrypt(esdk, NULL, kb_buffer_view(&craft.out), &out),
                            reads ? KB_OK : KB_ERR_DENIED);
            KBT_BYTES(kb_buffer_view(&out), esdktest_plain(reads ? 7 : 0));
            kb_buffer_free(&craft.out);
            kb_buffer_free(&out);
        }
        kb_esdk_release(esdk);
    }
}

static enum kb_status start(struct kb_esdk *esdk, struct kb_esdk_encrypt_options options)
{
    struct kb_esdk_message *message[2] = {NULL, NULL};
    enum kb_status status = kb_esdk_encrypt(message, 2, esdk, &options, NULL);

    CU_ASSERT_EQUAL(message[0] != NULL, status == KB_OK);
    CU_ASSERT_EQUAL(message[1] != NULL, status == KB_OK);
    kb_esdk_free(message[0]);
    kb_esdk_free(message[1]);
    return status;
}

static struct kb_pair pair(const char *name, const char *value)
{
    return (struct kb_pair){kb_bytes_text(name), kb_bytes_text(value)};
}

static void test_bad_options(void)
{
    struct kb_esdk *esdk = esdktest_new(KB_COMMITMENT_REQUIRE_REQUIRE, 1);
    const struct kb_pair twice[] = {pair("a", "1"), pair("b", "2"), pair("a", "3")};
    const struct kb_pair reserved = pair("aws-crypto-x", "1"), latin = pair("a", "\xe9");
    const struct kb_bytes absent = kb_bytes_text("c");
    static uint8_t big[65530];
    struct kb_pair huge = {kb_bytes_text("a"), {big, sizeof big}};
    struct kb_esdk_message *message;

    memset(big, 'x', sizeof big);
    CU_ASSERT_EQUAL(start(esdk, (struct kb_esdk_encrypt_options){.suite = 0x0579}), KB_ERR_USAGE);
    CU_ASSERT_EQUAL(
        start(esdk, (struct kb_esdk_encrypt_options){.context = twice, .context_count = 3}),
        KB_ERR_USAGE);
    CU_ASSERT_EQUAL(
        start(esdk, (struct kb_esdk_encrypt_options){.context = twice, .context_count = 2}), KB_OK);
    CU_ASSERT_EQUAL(
        start(esdk, (struct kb_esdk_encrypt_options){.context = &reserved, .context_count = 1}),
        KB_ERR_USAGE);
    CU_ASSERT_EQUAL(
        start(esdk, (struct kb_esdk_encrypt_options){.context = &latin, .context_count = 1}),
        KB_ERR_USAGE);
    CU_ASSERT_EQUAL(
        start(esdk, (struct kb_esdk_encrypt_options){.context = &huge, .context_count = 1}),
        KB_ERR_USAGE);
    CU_ASSERT_EQUAL(start(esdk, (struct kb_esdk_encrypt_options){.context = twice,
                                                                 .context_count = 2,
                                                                 .not_stored = &absent,
                                                                 .not_stored_count = 1}),
                    KB_ERR_USAGE);
    CU_ASSERT_EQUAL(kb_esdk_decrypt(&message, esdk,
                                    &(struct kb_esdk_decrypt_options){.reproduced = &reserved,
                                                                      .reproduced_count = 1},
                                    NULL),
                    KB_ERR_USAGE);
    CU_ASSERT_EQUAL(kb_esdk_decrypt(&message, esdk,
                                    &(struct kb_esdk_decrypt_options){.reproduced = twice,
                                                                      .reproduced_count = 3},
                                    NULL),
                    KB_ERR_USAGE);
    CU_ASSERT_PTR_NULL(message);
    kb_esdk_release(esdk);
}

static void test_recipients(void)
{
    struct kb_esdk *esdk = esdktest_new(KB_COMMITMENT_REQUIRE_REQUIRE, 1);
    struct esdktest_keyring *keyring = (struct esdktest_keyring *)esdk->keyring;

    keyring->copies = 16;
    CU_ASSERT_EQUAL(start(esdk, (struct kb_esdk_encrypt_options){0}), KB_OK);
    keyring->copies = 17;
    CU_ASSERT_EQUAL(start(esdk, (struct kb_esdk_encrypt_options){0}), KB_ERR_USAGE);
    kb_esdk_release(esdk);
}

/* --- the encryption context -------------------------------------------------------------- */

struct knowledge {
    const struct kb_pair *reproduced;
    size_t reproduced_count;
    const struct kb_pair *required;
    size_t required_count;
    enum kb_status want;
};

static void test_context(void)
{
    const struct kb_pair context[] = {pair("zone", "b"), pair("app", "x"), pair("name", "")};
    const struct kb_bytes secret[] = {kb_bytes_text("zone"), kb_bytes_text("name")};
    const struct kb_esdk_encrypt_options options = {.suite = 0x0478,
                                                    .context = context,
                                                    .context_count = 3,
                                                    .not_stored = secret,
                                                    .not_stored_count = 2};
    const struct kb_pair all[] = {pair("name", ""), pair("zone", "b"), pair("app", "x")};
    const struct kb_pair wrong_stored[] = {pair("name", ""), pair("zone", "b"), pair("app", "y")};
    const struct kb_pair wrong_value[] = {pair("name", ""), pair("zone", "c")};
    const struct kb_pair more[] = {pair("name", ""), pair("zone", "b"), pair("other", "1")};
    const struct kb_pair any[] = {{kb_bytes_text("app"), {NULL, 0}},
                                  {kb_bytes_text("zone"), {NULL, 0}}};
    const struct kb_pair value[] = {pair("app", "x"), pair("name", "")};
    const struct kb_pair other_value[] = {pair("app", "xx")};
    const struct kb_pair missing[] = {{kb_bytes_text("who"), {NULL, 0}}};
    const struct knowledge rows[] = {
        {all, 2, NULL, 0, KB_OK},
        {all, 3, NULL, 0, KB_OK},
        {all, 1, NULL, 0, KB_ERR_AUTH},
        {NULL, 0, NULL, 0, KB_ERR_AUTH},
        {wrong_stored, 3, NULL, 0, KB_ERR_AUTH},
        {wrong_value, 2, NULL, 0, KB_ERR_AUTH},
        {more, 3, NULL, 0, KB_ERR_AUTH},
        {all, 2, any, 2, KB_OK},
        {all, 2, value, 2, KB_OK},
        {all, 2, other_value, 1, KB_ERR_AUTH},
        {all, 2, missing, 1, KB_ERR_AUTH},
    };
    struct kb_esdk *esdk = esdktest_new(KB_COMMITMENT_REQUIRE_REQUIRE, 1);
    struct kb_buffer sealed = KB_BUFFER_INIT(1 << 16), opened = KB_BUFFER_INIT(1 << 16);
    struct kb_esdk_header *header;
    size_t need;

    esdktest_encrypt(esdk, &options, esdktest_plain(99), &sealed);
    CU_ASSERT_EQUAL(kb_esdk_header_read(&header, kb_buffer_view(&sealed), 1, &need, NULL), KB_OK);
    CU_ASSERT_EQUAL(kb_esdk_header_info(header)->context_count, 1);
    KBT_TEXT(kb_esdk_header_info(header)->context[0].name, "app");
    kb_esdk_header_free(header);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct kb_esdk_decrypt_options known = {
            .reproduced = rows[i].reproduced,
            .reproduced_count = rows[i].reproduced_count,
            .required = rows[i].required,
            .required_count = rows[i].required_count,
        };

        kb_buffer_reset(&opened);
        CU_ASSERT_EQUAL(esdktest_decrypt(esdk, &known, kb_buffer_view(&sealed), &opened),
                        rows[i].want);
        KBT_BYTES(kb_buffer_view(&opened), esdktest_plain(rows[i].want == KB_OK ? 99 : 0));
    }
    kb_buffer_free(&sealed);
    kb_buffer_free(&opened);
    kb_esdk_release(esdk);
}

/* The header's tag alone binds what is reproduced: here the data key would
 * open whatever the context is. */
static void test_context_in_header(void)
{
    const struct kb_pair context = pair("zone", "b"), other = pair("zone", "c");
    const struct kb_bytes name = kb_bytes_text("zone");
    const uint8_t any[32] = {0};
    struct kb_esdk *esdk = esdktest_new(KB_COMMITMENT_REQUIRE_REQUIRE, 1), *by_key;
    struct kb_buffer sealed = KB_BUFFER_INIT(1 << 16), opened = KB_BUFFER_INIT(1 << 16);
    struct kb_error err = {.status = KB_OK};
    struct kb_keyring *keyring;
    struct kb_esdk_header *header;
    uint8_t key[32];
    size_t need;

    esdktest_encrypt(esdk,
                     &(struct kb_esdk_encrypt_options){.context = &context,
                                                       .context_count = 1,
                                                       .not_stored = &name,
                                                       .not_stored_count = 1},
                     esdktest_plain(99), &sealed);
    KBT_OK(kb_esdk_header_read(&header, kb_buffer_view(&sealed), 1, &need, &err), &err);
    for (size_t i = 0; i < 32; i++)
        key[i] = kb_esdk_header_info(header)->edks[0].ciphertext.data[i] ^ 0x5a;
    kb_esdk_header_free(header);
    for (int right = 0; right < 3; right++) {
        const struct kb_esdk_decrypt_options known = {.reproduced = right == 1 ? &context : &other,
                                                      .reproduced_count = right != 2};

        KBT_OK(kb_keyring_data_key(&keyring, (struct kb_bytes){key, 32}, &err), &err);
        KBT_OK(kb_esdk_new(&by_key, keyring, NULL, &err), &err);
        CU_ASSERT_EQUAL(esdktest_decrypt(by_key, &known, kb_buffer_view(&sealed), &opened),
                        right == 1 ? KB_OK : KB_ERR_AUTH);
        kb_esdk_release(by_key);
        kb_keyring_release(keyring);
    }
    KBT_BYTES(kb_buffer_view(&opened), esdktest_plain(99));
    /* Another data key is found by the commitment. */
    KBT_OK(kb_keyring_data_key(&keyring, (struct kb_bytes){any, 32}, &err), &err);
    KBT_OK(kb_esdk_new(&by_key, keyring, NULL, &err), &err);
    CU_ASSERT_EQUAL(esdktest_decrypt(by_key, NULL, kb_buffer_view(&sealed), &opened), KB_ERR_AUTH);
    kb_esdk_release(by_key);
    kb_keyring_release(keyring);
    kb_buffer_free(&sealed);
    kb_buffer_free(&opened);
    kb_esdk_release(esdk);
}

/* --- many messages in one call --------------------------------------------------------------- */

static void test_unlock_many(void)
{
    enum { N = 5, FORGED = 2 };
    const struct kb_esdk_decrypt_options options = {.pause = true};
    struct kb_esdk *esdk = esdktest_new(KB_COMMITMENT_REQUIRE_REQUIRE, 1);
    struct esdktest_keyring *keyring = (struct esdktest_keyring *)esdk->keyring;
    struct kb_buffer sealed[N], opened = KB_BUFFER_INIT(1 << 16);
    struct kb_esdk_message *message[N];
    struct kb_error err = {.status = KB_OK};
    enum kb_status statuses[N];

    KBT_OK(kb_esdk_encrypt(message, N, esdk, NULL, &err), &err);
    CU_ASSERT_EQUAL(keyring->wraps, 1);
    for (size_t i = 0; i < N; i++) {
        sealed[i] = (struct kb_buffer)KB_BUFFER_INIT(1 << 16);
        KBT_OK(esdktest_run(message[i], esdktest_plain(i * 1000), 512, 512, &sealed[i], &err),
               &err);
        kb_esdk_free(message[i]);
        KBT_OK(kb_esdk_decrypt(&message[i], esdk, &options, &err), &err);
    }
    sealed[FORGED].data[20] ^= 1; /* of its message id */
    CU_ASSERT_EQUAL(kb_esdk_unlock(message, 1, statuses, NULL), KB_ERR_USAGE);
    for (size_t i = 0; i < N; i++) {
        struct kb_esdk_step step = {.in = kb_buffer_view(&sealed[i])};

        CU_ASSERT_PTR_NULL(kb_esdk_message_info(message[i]));
        KBT_OK(kb_esdk_process(message[i], &step, &err), &err);
        CU_ASSERT_TRUE(kb_esdk_paused(message[i]));
        CU_ASSERT_EQUAL(step.in.size,
                        sealed[i].size - kb_esdk_message_info(message[i])->header_size);
    }
    KBT_OK(kb_esdk_unlock(message, N, statuses, NULL), &err);
    CU_ASSERT_EQUAL(keyring->unwraps, 1);
    for (size_t i = 0; i < N; i++) {
        const size_t header = kb_esdk_message_info(message[i])->header_size;
        const struct kb_bytes body = {sealed[i].data + header, sealed[i].size - header};

        CU_ASSERT_EQUAL(statuses[i], i == FORGED ? KB_ERR_AUTH : KB_OK);
        kb_buffer_reset(&opened);
        CU_ASSERT_EQUAL(esdktest_run(message[i], body, 100, 100, &opened, NULL), statuses[i]);
        KBT_BYTES(kb_buffer_view(&opened), esdktest_plain(i == FORGED ? 0 : i * 1000));
        kb_esdk_free(message[i]);
        kb_buffer_free(&sealed[i]);
    }
    kb_buffer_free(&opened);
    kb_esdk_release(esdk);
}

/* One of them twice: opened, or refused, once. */
static void test_unlock_twice(void)
{
    const struct kb_esdk_decrypt_options options = {.pause = true};
    struct kb_esdk *esdk = esdktest_new(KB_COMMITMENT_REQUIRE_REQUIRE, 2);
    struct kb_buffer sealed = KB_BUFFER_INIT(1 << 16), opened = KB_BUFFER_INIT(1 << 16);
    struct kb_error err = {.status = KB_OK};

    esdktest_encrypt(esdk, NULL, esdktest_plain(5000), &sealed);
    for (int forged = 0; forged < 2; forged++) {
        const enum kb_status want = forged ? KB_ERR_AUTH : KB_OK;
        struct kb_esdk_message *message[3];
        enum kb_status statuses[3] = {KB_ERR_SYSTEM, KB_ERR_SYSTEM, KB_ERR_SYSTEM};
        struct kb_esdk_step step = {.in = kb_buffer_view(&sealed)};

        sealed.data[20] ^= (uint8_t)forged;
        KBT_OK(kb_esdk_decrypt(&message[0], esdk, &options, &err), &err);
        KBT_OK(kb_esdk_process(message[0], &step, &err), &err);
        message[1] = message[2] = message[0];
        KBT_OK(kb_esdk_unlock(message, 3, statuses, NULL), NULL);
        for (size_t i = 0; i < 3; i++)
            CU_ASSERT_EQUAL(statuses[i], want);
        CU_ASSERT_EQUAL(esdktest_run(message[0], step.in, 700, 700, &opened, NULL), want);
        kb_esdk_free(message[0]);
    }
    KBT_BYTES(kb_buffer_view(&opened), esdktest_plain(5000));
    kb_buffer_free(&sealed);
    kb_buffer_free(&opened);
    kb_esdk_release(esdk);
}

/* --- what is left of a message --------------------------------------------------------- */

static bool is_retired(const struct kb_esdk_message *message)
{
    return !message->workers && !message->gcm && !message->key && !message->signature &&
           message->held.capacity == 0;
}

/* Threads, keys and memory go with the end of a message, or its failure, and
 * not only when it is freed. */
static void test_retired(void)
{
    enum { SIZE = 1 << 20 };
    static uint8_t out[2 * SIZE];
    struct kb_esdk *esdk = esdktest_new(KB_COMMITMENT_REQUIRE_REQUIRE, 3);
    struct kb_buffer sealed = KB_BUFFER_INIT(4 << 20), opened = KB_BUFFER_INIT(4 << 20);
    struct kb_error err = {.status = KB_OK};
    struct kb_esdk_message *message;
    struct kb_esdk_step step = {.in = esdktest_plain(SIZE), .out = out, .room = sizeof out};

    KBT_OK(kb_esdk_encrypt(&message, 1, esdk, NULL, &err), &err);
    KBT_OK(kb_esdk_process(message, &step, &err), &err);
    kb_buffer_put(&sealed, out, step.made);
    CU_ASSERT_PTR_NOT_NULL(message->workers);
    KBT_OK(esdktest_run(message, esdktest_plain(1), 1, 9, &sealed, &err), &err);
    CU_ASSERT_TRUE(kb_esdk_done(message) && is_retired(message));
    kb_esdk_free(message);
    for (int forged = 0; forged < 2; forged++)
        for (size_t feed = 5000; feed <= 5000000; feed *= 1000) {
            kb_buffer_reset(&opened);
            KBT_OK(kb_esdk_decrypt(&message, esdk, NULL, &err), &err);
            sealed.data[sealed.size - 200] ^= (uint8_t)forged; /* in the last frame, or before */
            CU_ASSERT_EQUAL(esdktest_run(message, kb_buffer_view(&sealed), feed, 2 * SIZE, &opened,
                                         NULL),
                            forged ? KB_ERR_AUTH : KB_OK);
            sealed.data[sealed.size - 200] ^= (uint8_t)forged;
            CU_ASSERT_EQUAL(kb_esdk_done(message), !forged);
            CU_ASSERT_TRUE(is_retired(message));
            CU_ASSERT_PTR_NOT_NULL(kb_esdk_message_info(message));
            kb_esdk_free(message);
        }
    kb_buffer_free(&sealed);
    kb_buffer_free(&opened);
    kb_esdk_release(esdk);
}

/* --- ranges -------------------------------------------------------------------------------- */

/* Bytes first to last of a message, which has `size`. */
static void one_range(struct kb_esdk *esdk, struct kb_bytes sealed, size_t size, uint64_t first,
                      uint64_t last, size_t step_size)
{
    const struct kb_esdk_decrypt_options options = {.pause = true};
    struct kb_buffer opened = KB_BUFFER_INIT(1 << 20);
    const size_t end = last < size ? (size_t)last + 1 : size;
    struct kb_error err = {.status = KB_OK};
    struct kb_esdk_message *message;
    struct kb_esdk_step step = {.in = sealed};
    enum kb_status status;
    uint64_t offset;

    KBT_OK(kb_esdk_decrypt(&message, esdk, &options, &err), &err);
    KBT_OK(kb_esdk_process(message, &step, &err), &err);
    KBT_OK(kb_esdk_unlock(&message, 1, &status, &err), &err);
    KBT_OK(kb_esdk_seek(message, first, last, &offset, &err), &err);
    if (offset > sealed.size)
        offset = sealed.size;
    status = esdktest_run(message, (struct kb_bytes){sealed.data + offset, sealed.size - offset},
                          step_size, step_size, &opened, &err);
    if (first < size) {
        const struct kb_bytes want = {esdktest_plain(size).data + first, end - (size_t)first};

        /* Bytes behind the last wanted frame are left where they are. */
        CU_ASSERT_TRUE(kb_esdk_done(message));
        CU_ASSERT_TRUE(status == KB_OK || status == KB_ERR_SYSTEM);
        KBT_BYTES(kb_buffer_view(&opened), want);
    } else {
        CU_ASSERT_FALSE(kb_esdk_done(message));
        CU_ASSERT_EQUAL(opened.size, 0);
        CU_ASSERT_TRUE(status == KB_ERR_NOT_FOUND || status == KB_ERR_INPUT);
        if (first < size + 10)
            CU_ASSERT_EQUAL(status, KB_ERR_NOT_FOUND);
    }
    kb_esdk_free(message);
    kb_buffer_free(&opened);
}

static void test_ranges(void)
{
    struct kb_esdk *esdk = esdktest_new(KB_COMMITMENT_REQUIRE_REQUIRE, 1);
    static const uint64_t marks[] = {0,   1,   98,  99,  100, 101, 199, 200,       256,
                                     299, 300, 301, 400, 499, 500, 501, UINT64_MAX};
    enum { MARKS = sizeof marks / sizeof *marks };

    for (size_t size = 0; size <= 500; size += 125) {
        const struct kb_esdk_encrypt_options options = {.suite = size % 2 ? 0x0478 : 0x0578,
                                                        .frame_length = 100};
        struct kb_buffer sealed = KB_BUFFER_INIT(1 << 16);

        esdktest_encrypt(esdk, &options, esdktest_plain(size), &sealed);
        for (size_t a = 0; a < MARKS; a++)
            for (size_t b = a; b < MARKS; b++) {
                if (marks[a] == UINT64_MAX)
                    continue;
                one_range(esdk, kb_buffer_view(&sealed), size, marks[a], marks[b], 1 << 16);
                one_range(esdk, kb_buffer_view(&sealed), size, marks[a], marks[b], 11);
            }
        kb_buffer_free(&sealed);
    }
    kb_esdk_release(esdk);
}

static void test_range_unframed(void)
{
    struct kb_esdk *esdk = esdktest_new(KB_COMMITMENT_REQUIRE_REQUIRE, 1);
    struct craft craft;

    craft_header(&craft, 0x0578, 0);
    craft_frame(&craft, ESDK_UNFRAMED, 1, esdktest_plain(300));
    craft_end(&craft);
    one_range(esdk, kb_buffer_view(&craft.out), 300, 0, UINT64_MAX, 7);
    one_range(esdk, kb_buffer_view(&craft.out), 300, 10, 20, 7);
    one_range(esdk, kb_buffer_view(&craft.out), 300, 10, 400, 1 << 16);
    one_range(esdk, kb_buffer_view(&craft.out), 300, 300, 400, 1 << 16);
    craft.out.data[craft.out.size - 130] ^= 1;
    kb_buffer_free(&craft.out);
    kb_esdk_release(esdk);
}

static void test_bad_ranges(void)
{
    const struct kb_esdk_decrypt_options options = {.pause = true};
    struct kb_esdk *esdk = esdktest_new(KB_COMMITMENT_REQUIRE_REQUIRE, 1);
    struct kb_buffer sealed = KB_BUFFER_INIT(1 << 16);
    struct kb_error err = {.status = KB_OK};
    struct kb_esdk_message *message;
    struct kb_esdk_step step = {0};
    enum kb_status status;
    uint64_t offset;

    esdktest_encrypt(esdk, NULL, esdktest_plain(300), &sealed);
    KBT_OK(kb_esdk_decrypt(&message, esdk, &options, &err), &err);
    CU_ASSERT_EQUAL(kb_esdk_seek(message, 0, 1, &offset, NULL), KB_ERR_USAGE);
    step.in = kb_buffer_view(&sealed);
    KBT_OK(kb_esdk_process(message, &step, &err), &err);
    CU_ASSERT_EQUAL(kb_esdk_seek(message, 0, 1, &offset, NULL), KB_ERR_USAGE);
    KBT_OK(kb_esdk_unlock(&message, 1, &status, &err), &err);
    CU_ASSERT_EQUAL(kb_esdk_seek(message, 2, 1, &offset, NULL), KB_ERR_USAGE);
    CU_ASSERT_EQUAL(kb_esdk_seek(message, UINT64_C(4096) * UINT32_MAX, UINT64_MAX, &offset, NULL),
                    KB_ERR_NOT_FOUND);
    KBT_OK(kb_esdk_seek(message, 1, 1, &offset, &err), &err);
    CU_ASSERT_EQUAL(kb_esdk_seek(message, 1, 1, &offset, NULL), KB_ERR_USAGE);
    kb_esdk_free(message);
    kb_buffer_free(&sealed);
    kb_esdk_release(esdk);
}

/* --- push and pull ---------------------------------------------------------------------------- */

static enum kb_status keep(void *ctx, struct kb_bytes bytes, struct kb_error *err)
{
    struct kb_buffer *out = ctx;

    kb_buffer_put_bytes(out, bytes);
    return kb_buffer_check(out, err);
}

struct source {
    struct kb_bytes in;
    size_t most;
};

static enum kb_status give(void *ctx, uint8_t *out, size_t room, size_t *size,
                           struct kb_error *err)
{
    struct source *source = ctx;

    (void)err;
    *size = room < source->most ? room : source->most;
    if (*size > source->in.size)
        *size = source->in.size;
    if (*size)
        memcpy(out, source->in.data, *size);
    source->in.data += *size;
    source->in.size -= *size;
    return KB_OK;
}

static enum kb_status pull_all(struct kb_esdk_message *message, struct kb_bytes in, size_t most,
                               size_t room, struct kb_buffer *out)
{
    struct source from = {in, most};
    const struct kb_esdk_source source = {give, &from};
    uint8_t *memory = malloc(room);
    enum kb_status status;
    size_t size;

    do {
        status = kb_esdk_pull(message, &source, memory, room, &size, NULL);
        kb_buffer_put(out, memory, size);
    } while (status == KB_OK && size);
    free(memory);
    return status;
}

static void test_push_and_pull(void)
{
    static const size_t steps[] = {1000, 70000, 4 << 20};
    struct kb_esdk *esdk = esdktest_new(KB_COMMITMENT_REQUIRE_REQUIRE, 2);
    const struct kb_bytes plain = esdktest_plain(1234567);
    struct kb_error err = {.status = KB_OK};

    for (size_t i = 0; i < 9; i++) {
        struct kb_buffer sealed = KB_BUFFER_INIT(4 << 20), opened = KB_BUFFER_INIT(4 << 20);
        const struct kb_esdk_sink to_sealed = {keep, &sealed}, to_opened = {keep, &opened};
        const size_t step = steps[i % 3], other = steps[i / 3];
        struct kb_esdk_message *message;

        KBT_OK(kb_esdk_encrypt(&message, 1, esdk, NULL, &err), &err);
        for (size_t at = 0; at < plain.size; at += step) {
            const size_t size = plain.size - at < step ? plain.size - at : step;

            KBT_OK(kb_esdk_push(message, (struct kb_bytes){plain.data + at, size},
                                at + size == plain.size, &to_sealed, &err),
                   &err);
        }
        CU_ASSERT_TRUE(kb_esdk_done(message));
        kb_esdk_free(message);
        KBT_OK(kb_esdk_decrypt(&message, esdk, NULL, &err), &err);
        CU_ASSERT_EQUAL(pull_all(message, kb_buffer_view(&sealed), step, other, &opened), KB_OK);
        KBT_BYTES(kb_buffer_view(&opened), plain);
        kb_esdk_free(message);

        kb_buffer_reset(&sealed);
        kb_buffer_reset(&opened);
        KBT_OK(kb_esdk_encrypt(&message, 1, esdk, NULL, &err), &err);
        CU_ASSERT_EQUAL(pull_all(message, plain, other, step, &sealed), KB_OK);
        kb_esdk_free(message);
        KBT_OK(kb_esdk_decrypt(&message, esdk, NULL, &err), &err);
        KBT_OK(kb_esdk_push(message, kb_buffer_view(&sealed), false, &to_opened, &err), &err);
        KBT_OK(kb_esdk_push(message, (struct kb_bytes){NULL, 0}, true, &to_opened, &err), &err);
        KBT_BYTES(kb_buffer_view(&opened), plain);
        kb_esdk_free(message);

        /* Cut short, and one byte too many. */
        KBT_OK(kb_esdk_decrypt(&message, esdk, NULL, &err), &err);
        kb_buffer_reset(&opened);
        CU_ASSERT_EQUAL(pull_all(message, (struct kb_bytes){sealed.data, sealed.size - 1}, step,
                                 other, &opened),
                        KB_ERR_INPUT);
        CU_ASSERT_TRUE(opened.size < plain.size && opened.size >= plain.size - 4096);
        kb_esdk_free(message);
        kb_buffer_put_u8(&sealed, 0);
        KBT_OK(kb_esdk_decrypt(&message, esdk, NULL, &err), &err);
        kb_buffer_reset(&opened);
        CU_ASSERT_EQUAL(kb_esdk_push(message, kb_buffer_view(&sealed), true, &to_opened, NULL),
                        KB_ERR_INPUT);
        /* What was verified before the failure has come out. */
        CU_ASSERT_TRUE_FATAL(opened.size <= plain.size && opened.size >= plain.size - 4096);
        KBT_BYTES(kb_buffer_view(&opened), ((struct kb_bytes){plain.data, opened.size}));
        kb_esdk_free(message);
        KBT_OK(kb_esdk_decrypt(&message, esdk, NULL, &err), &err);
        CU_ASSERT_EQUAL(pull_all(message, kb_buffer_view(&sealed), step, other, &opened),
                        KB_ERR_INPUT);
        kb_esdk_free(message);
        kb_buffer_free(&sealed);
        kb_buffer_free(&opened);
    }
    kb_esdk_release(esdk);
}

static enum kb_status full(void *ctx, struct kb_bytes bytes, struct kb_error *err)
{
    (void)ctx;
    (void)bytes;
    return kb_error_set(err, KB_ERR_SYSTEM, "no space");
}

static enum kb_status broken(void *ctx, uint8_t *out, size_t room, size_t *size,
                             struct kb_error *err)
{
    (void)ctx;
    (void)out;
    (void)room;
    *size = 0;
    return kb_error_set(err, KB_ERR_REMOTE, "gone");
}

/* What the caller's functions answer ends the message. */
static void test_callbacks_fail(void)
{
    struct kb_esdk *esdk = esdktest_new(KB_COMMITMENT_REQUIRE_REQUIRE, 1);
    const struct kb_esdk_sink sink = {full, NULL};
    const struct kb_esdk_source source = {broken, NULL};
    struct kb_error err = {.status = KB_OK};
    struct kb_esdk_message *message;
    uint8_t out[8192];
    size_t size;

    KBT_OK(kb_esdk_encrypt(&message, 1, esdk, NULL, &err), &err);
    CU_ASSERT_EQUAL(kb_esdk_push(message, esdktest_plain(1), true, &sink, &err), KB_ERR_SYSTEM);
    CU_ASSERT_STRING_EQUAL(kb_error_text(&err), "no space");
    CU_ASSERT_EQUAL(kb_esdk_push(message, esdktest_plain(1), true, &sink, NULL), KB_ERR_SYSTEM);
    CU_ASSERT_FALSE(kb_esdk_done(message));
    kb_esdk_free(message);
    kb_error_clear(&err);
    KBT_OK(kb_esdk_decrypt(&message, esdk, NULL, &err), &err);
    CU_ASSERT_EQUAL(kb_esdk_pull(message, &source, out, sizeof out, &size, &err), KB_ERR_REMOTE);
    CU_ASSERT_EQUAL(kb_esdk_pull(message, &source, out, sizeof out, &size, NULL), KB_ERR_REMOTE);
    kb_esdk_free(message);
    kb_esdk_release(esdk);
}

static void test_usage(void)
{
    struct kb_esdk *esdk = esdktest_new(KB_COMMITMENT_REQUIRE_REQUIRE, 1);
    struct kb_buffer out = KB_BUFFER_INIT(1 << 16);
    struct kb_error err = {.status = KB_OK};
    struct kb_esdk_step step = {0};
    struct kb_esdk_message *message;

    /* Nothing can be added to what was ended. */
    KBT_OK(kb_esdk_encrypt(&message, 1, esdk, NULL, &err), &err);
    KBT_OK(esdktest_run(message, esdktest_plain(5), 5, 4096, &out, &err), &err);
    step.in = esdktest_plain(1);
    CU_ASSERT_EQUAL(kb_esdk_process(message, &step, NULL), KB_ERR_USAGE);
    kb_esdk_free(message);
    /* A paused message is not pulled. */
    KBT_OK(kb_esdk_decrypt(&message, esdk, &(struct kb_esdk_decrypt_options){.pause = true}, &err),
           &err);
    CU_ASSERT_EQUAL(pull_all(message, kb_buffer_view(&out), 10, 10, &out), KB_ERR_USAGE);
    CU_ASSERT_TRUE(kb_esdk_paused(message));
    kb_esdk_free(message);
    /* The frames a message can have are counted. */
    KBT_OK(kb_esdk_encrypt(&message, 1, esdk, &(struct kb_esdk_encrypt_options){.frame_length = 1},
                           &err),
           &err);
    message->sequence = ESDK_SEQUENCE_MAX - 2;
    CU_ASSERT_EQUAL(esdktest_run(message, esdktest_plain(2), 1, 4096, &out, &err), KB_OK);
    kb_esdk_free(message);
    for (size_t feed = 1; feed < 4; feed += 2) {
        KBT_OK(kb_esdk_encrypt(&message, 1, esdk,
                               &(struct kb_esdk_encrypt_options){.frame_length = 1}, &err),
               &err);
        message->sequence = ESDK_SEQUENCE_MAX - 2;
        CU_ASSERT_EQUAL(esdktest_run(message, esdktest_plain(3), feed, 4096, &out, NULL),
                        KB_ERR_USAGE);
        kb_esdk_free(message);
    }
    kb_buffer_free(&out);
    kb_esdk_release(esdk);
}

int main(int argc, char **argv)
{
    static const struct kbtest tests[] = {
        {"committing suites", test_committing_suites},
        {"other suites", test_other_suites},
        {"workers", test_workers},
        {"threads", test_threads},
        {"defaults", test_defaults},
        {"policies", test_policies},
        {"bad options", test_bad_options},
        {"recipients", test_recipients},
        {"context", test_context},
        {"context in the header", test_context_in_header},
        {"unlock many", test_unlock_many},
        {"unlock twice", test_unlock_twice},
        {"retired", test_retired},
        {"ranges", test_ranges},
        {"range of an unframed message", test_range_unframed},
        {"bad ranges", test_bad_ranges},
        {"push and pull", test_push_and_pull},
        {"callbacks fail", test_callbacks_fail},
        {"usage", test_usage},
        {NULL, NULL},
    };

    return kbtest_main("esdk", tests, argc, argv);
}
