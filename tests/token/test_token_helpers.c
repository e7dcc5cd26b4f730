/* SPDX-License-Identifier: Apache-2.0
 *
 * Helper processes: killed, hung, recycled, shared by threads, without a token
 * or a module, and fed with nonsense.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "backends.h"
#include "fake_helper.h"
#include "keystore/pool.h"

enum { ROOM = KB_TOKEN_BATCH_MAX * KB_TOKEN_DATA_KEY_MAX };

static struct kb_keystore *open_with(const struct kb_keystore_options *options)
{
    struct kb_keystore *keystore;
    struct kb_error err = {0};

    KBT_OK(kb_keystore_open(&keystore, options, &err), &err);
    return keystore;
}

static struct kb_token *lease_from(struct kb_keystore *keystore)
{
    struct kb_token *token;
    struct kb_error err = {0};

    KBT_OK(kb_token_lease(&token, keystore, &err), &err);
    return token;
}

/* A signal to the helper, which must be there: kill(0, …) would be for us. */
static void signal_helper(const struct kb_token *token, int number)
{
    CU_ASSERT_FATAL(kb_token_pid(token) > 0);
    CU_ASSERT_EQUAL(kill(kb_token_pid(token), number), 0);
}

/* Makes and unwraps a few keys; true when all of it was right. */
static bool work(struct kb_token *token, size_t n)
{
    static _Thread_local struct kb_data_key keys[KB_TOKEN_BATCH_MAX];
    struct kb_error err = {0};
    struct kb_secret *made = NULL, *back = NULL;
    bool right = kb_secret_new(&made, ROOM, &err) == KB_OK &&
                 kb_secret_new(&back, ROOM, &err) == KB_OK &&
                 backend_make_keys(token, "kek", 32, keys, n, made, &err) == KB_OK &&
                 kb_token_unwrap_keys(token, "kek", keys, n, back, &err) == KB_OK &&
                 kb_secret_equal(kb_secret_view(made), kb_secret_view(back));

    if (!right)
        fprintf(stderr, "work: %s\n", kb_error_text(&err));
    kb_secret_free(made);
    kb_secret_free(back);
    return right;
}

/* --- lost helpers ------------------------------------------------------------------ */

static void a_killed_helper_is_replaced(enum token_kind kind)
{
    struct kb_token *token = backend_lease(kind);
    struct kb_error err = {0};
    struct kb_data_key key;
    struct kb_cipher_job job = {.in = kb_bytes_text("x")};
    pid_t before;

    backend_key(token, "kek", KB_KEY_WRAP, KB_KEY_AES_256);
    for (int round = 0; round < 3; round++) {
        before = kb_token_pid(token);
        signal_helper(token, SIGKILL);
        CU_ASSERT_TRUE(work(token, 8));
        CU_ASSERT_NOT_EQUAL(kb_token_pid(token), before);
    }
    /* A kept key dies with its helper, and says so. */
    KBT_OK(backend_make_keys(token, "kek", 32, &key, 1, NULL, &err), &err);
    job.handle = key.handle;
    KBT_OK(kb_token_cipher(token, true, NULL, &job, 1, &err), &err);
    signal_helper(token, SIGKILL);
    FAILS(kb_token_cipher(token, true, NULL, &job, 1, &err), KB_ERR_TOKEN, &err);
    FAILS(kb_token_cipher(token, true, NULL, &job, 1, &err), KB_ERR_TOKEN, &err);
    KBT_OK(kb_token_forget(token, &key.handle, 1, &err), &err);
    /* The number of a key of the new helper is another. */
    job.handle = key.handle;
    KBT_OK(backend_make_keys(token, "kek", 32, &key, 1, NULL, &err), &err);
    CU_ASSERT_NOT_EQUAL(job.handle, key.handle);
    FAILS(kb_token_cipher(token, true, NULL, &job, 1, &err), KB_ERR_TOKEN, &err);
    kb_token_return(token);
}
DEFINE_BOTH(a_killed_helper_is_replaced)

static void a_hung_helper_is_replaced(enum token_kind kind)
{
    struct token_fixture *fixture = backend_fixture(kind);
    struct kb_keystore_options options = fixture->options;
    struct kb_keystore *keystore;
    struct kb_token *token;
    struct kb_key_spec spec = {.name = "hung", .use = KB_KEY_WRAP, .type = KB_KEY_AES_256};
    struct kb_error err = {0};
    pid_t before;

    options.timeout_ms = 4000;
    keystore = open_with(&options);
    token = lease_from(keystore);
    backend_key(token, "kek", KB_KEY_WRAP, KB_KEY_AES_256);
    before = kb_token_pid(token);
    signal_helper(token, SIGSTOP);
    CU_ASSERT_TRUE(work(token, 8));
    CU_ASSERT_NOT_EQUAL(kb_token_pid(token), before);
    /* What may have been done is not done again. */
    signal_helper(token, SIGSTOP);
    FAILS(kb_key_create(token, &spec, &err), KB_ERR_TOKEN, &err);
    KBT_OK(kb_key_create(token, &spec, &err), &err);
    KBT_OK(kb_key_destroy(token, "hung", &err), &err);
    /* A helper that does not end when it should is ended. */
    signal_helper(token, SIGSTOP);
    kb_token_return(token);
    kb_keystore_close(keystore);
}
DEFINE_BOTH(a_hung_helper_is_replaced)

static void helpers_are_recycled(enum token_kind kind)
{
    struct token_fixture *fixture = backend_fixture(kind);
    struct kb_keystore_options options = fixture->options;
    struct kb_keystore *keystore;
    struct kb_token *token;
    struct kb_error err = {0};
    struct kb_data_key kept;
    struct kb_cipher_job job = {.in = kb_bytes_text("x")};
    unsigned replaced = 0;
    pid_t before;

    options.recycle_after = 20;
    keystore = open_with(&options);
    token = lease_from(keystore);
    backend_key(token, "kek", KB_KEY_WRAP, KB_KEY_AES_256);
    for (int round = 0; round < 10; round++) {
        before = kb_token_pid(token);
        CU_ASSERT_TRUE(work(token, 8));
        replaced += kb_token_pid(token) != before;
    }
    CU_ASSERT_TRUE(replaced >= 4 && replaced <= 8);
    /* Not while it holds keys for us. */
    KBT_OK(backend_make_keys(token, "kek", 32, &kept, 1, NULL, &err), &err);
    before = kb_token_pid(token);
    for (int round = 0; round < 10; round++)
        CU_ASSERT_TRUE(work(token, 8));
    CU_ASSERT_EQUAL(kb_token_pid(token), before);
    job.handle = kept.handle;
    KBT_OK(kb_token_cipher(token, true, NULL, &job, 1, &err), &err);
    KBT_OK(kb_token_forget(token, &kept.handle, 1, &err), &err);
    CU_ASSERT_TRUE(work(token, 8));
    CU_ASSERT_NOT_EQUAL(kb_token_pid(token), before);
    kb_token_return(token);
    kb_keystore_close(keystore);
}
DEFINE_BOTH(helpers_are_recycled)

static void other_helpers_learn_of_changes(enum token_kind kind)
{
    struct kb_token *one = backend_lease(kind);
    struct kb_token *two = backend_lease(kind);
    struct kb_error err = {0};
    struct kb_data_key key;

    backend_key(one, "shared", KB_KEY_WRAP, KB_KEY_AES_256);
    KBT_OK(backend_make_keys(one, "shared", 32, &key, 1, NULL, &err), &err);
    KBT_OK(kb_token_forget(one, &key.handle, 1, &err), &err);
    KBT_OK(kb_key_destroy(two, "shared", &err), &err);
    FAILS(backend_make_keys(one, "shared", 32, &key, 1, NULL, &err), KB_ERR_NOT_FOUND, &err);
    kb_token_return(one);
    kb_token_return(two);
}
DEFINE_BOTH(other_helpers_learn_of_changes)

/* --- threads ----------------------------------------------------------------------- */

static void *thread_main(void *keystore)
{
    bool right = true;

    for (int round = 0; round < 8; round++) {
        struct kb_token *token;

        if (kb_token_lease(&token, keystore, NULL) != KB_OK)
            return NULL;
        for (int i = 0; i < 4; i++)
            right = work(token, 16) && right;
        kb_token_return(token);
    }
    return right ? keystore : NULL;
}

static void threads_have_helpers_of_their_own(enum token_kind kind)
{
    struct kb_keystore *keystore = open_with(&backend_fixture(kind)->options);
    struct kb_token *token = lease_from(keystore);
    pthread_t threads[4];
    void *result;

    backend_key(token, "kek", KB_KEY_WRAP, KB_KEY_AES_256);
    kb_token_return(token);
    for (int i = 0; i < 4; i++)
        CU_ASSERT_EQUAL(pthread_create(&threads[i], NULL, thread_main, keystore), 0);
    for (int i = 0; i < 4; i++) {
        CU_ASSERT_EQUAL(pthread_join(threads[i], &result), 0);
        CU_ASSERT_PTR_NOT_NULL(result);
    }
    kb_keystore_close(keystore);
}
DEFINE_BOTH(threads_have_helpers_of_their_own)

/* --- PINs ---------------------------------------------------------------------------- */

static void note_pin(void *ctx, const struct kb_token_info *info)
{
    bool *low = ctx;

    if (info->initialized && info->login_required)
        *low = info->pin_count_low;
}

/* A script that counts how often a helper is started. */
static bool write_counter(char *path, size_t room)
{
    char text[1200];

    snprintf(path, room, "%s/counter.sh", kbtest_folder());
    snprintf(text, sizeof text, "#!/bin/sh\necho x >>'%s/starts'\nexec '%s'\n", kbtest_folder(),
             getenv("KEYBRIDGE_TOKEN_HELPER"));
    return token_file_write(path, text) && chmod(path, 0700) == 0;
}

/* As over ssh: pipes on both sides, and a process between. */
static void pipes_do_as_well(enum token_kind kind)
{
    struct kb_keystore_options options = backend_fixture(kind)->options;
    struct kb_keystore *keystore;
    struct kb_token *token;
    char path[400], text[1200];

    snprintf(path, sizeof path, "%s/pipes.sh", kbtest_folder());
    snprintf(text, sizeof text, "#!/bin/sh\ncat | '%s' | cat\n", getenv("KEYBRIDGE_TOKEN_HELPER"));
    CU_ASSERT_TRUE(token_file_write(path, text) && chmod(path, 0700) == 0);
    options.helper = path;
    keystore = open_with(&options);
    token = lease_from(keystore);
    backend_key(token, "kek", KB_KEY_WRAP, KB_KEY_AES_256);
    CU_ASSERT_TRUE(work(token, 128));
    kb_token_return(token);
    kb_keystore_close(keystore);
}
DEFINE_BOTH(pipes_do_as_well)

static unsigned starts(void)
{
    char path[400];
    struct stat info;

    snprintf(path, sizeof path, "%s/starts", kbtest_folder());
    return stat(path, &info) == 0 ? (unsigned)info.st_size / 2 : 0;
}

static void *lease_with_wrong_pin(void *keystore)
{
    struct kb_token *token;
    struct kb_error err = {0};
    enum kb_status status = kb_token_lease(&token, keystore, &err);

    return status == KB_ERR_PIN && err.text[0] ? keystore : NULL;
}

static void a_wrong_pin_is_tried_once(enum token_kind kind)
{
    struct token_fixture *fixture = backend_fixture(kind);
    struct kb_keystore_options options = fixture->options;
    struct kb_keystore *keystore;
    struct kb_token *token;
    struct kb_secret *pin;
    struct kb_error err = {0};
    pthread_t threads[4];
    char counter[400];
    bool low = false;
    unsigned before;
    void *result;

    KBT_OK(kb_secret_copy(&pin, kb_bytes_text("wrong-one"), &err), &err);
    CU_ASSERT_TRUE(write_counter(counter, sizeof counter));
    options.helper = counter;
    options.pin = pin;
    before = starts();
    FAILS(kb_keystore_open(&keystore, &options, &err), KB_ERR_PIN, &err);
    CU_ASSERT_EQUAL(starts(), before + 1);
    KBT_OK(kb_keystore_tokens(&fixture->options, note_pin, &low, &err), &err);
    CU_ASSERT_EQUAL(low, kind == TOKEN_SOFTHSM); /* NSS has no such flag */
    memcpy(kb_secret_data(pin), kb_secret_view(fixture->pin).data, kb_secret_view(pin).size);
    keystore = open_with(&options);
    token = lease_from(keystore);
    /* The PIN is changed behind us, and four threads want a helper at once. */
    kb_secret_data(pin)[0] ^= 1;
    before = starts();
    for (int i = 0; i < 4; i++)
        CU_ASSERT_EQUAL(pthread_create(&threads[i], NULL, lease_with_wrong_pin, keystore), 0);
    for (int i = 0; i < 4; i++) {
        CU_ASSERT_EQUAL(pthread_join(threads[i], &result), 0);
        CU_ASSERT_PTR_NOT_NULL(result);
    }
    CU_ASSERT_EQUAL(starts(), before + 1);
    kb_token_return(token);
    kb_keystore_close(keystore);
    kb_secret_free(pin);
}
DEFINE_BOTH(a_wrong_pin_is_tried_once)

static void pins_of_odd_lengths(enum token_kind kind)
{
    struct kb_keystore_options options = backend_fixture(kind)->options;
    struct kb_keystore *keystore;
    struct kb_secret *pin;
    struct kb_error err = {0};

    options.pin = NULL;
    FAILS(kb_keystore_open(&keystore, &options, &err), KB_ERR_PIN, &err);
    for (size_t size = 1; size <= 256; size += size == 1 ? 254 : 1) {
        KBT_OK(kb_secret_new(&pin, size, &err), &err);
        memset(kb_secret_data(pin), 'p', size);
        options.pin = pin;
        FAILS(kb_keystore_open(&keystore, &options, &err), KB_ERR_PIN, &err);
        kb_secret_free(pin);
    }
}
DEFINE_BOTH(pins_of_odd_lengths)

/* --- what is not there --------------------------------------------------------------- */

static void missing_things_are_named(enum token_kind kind)
{
    struct kb_keystore_options options = backend_fixture(kind)->options;
    struct kb_keystore *keystore;
    struct kb_error err = {0};
    char text_file[400];

    snprintf(text_file, sizeof text_file, "%s/not-a-module.so", kbtest_folder());
    CU_ASSERT_TRUE(token_file_write(text_file, "this is no program\n"));
    options.module = "/nowhere/module.so";
    CU_ASSERT_EQUAL(kb_keystore_open(&keystore, &options, &err), KB_ERR_TOKEN);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "/nowhere/module.so"));
    CU_ASSERT_NOT_EQUAL(err.hint[0], 0);
    options.module = text_file;
    FAILS(kb_keystore_open(&keystore, &options, &err), KB_ERR_TOKEN, &err);
    options.module = "no-such-module-in-p11-kit";
    FAILS(kb_keystore_open(&keystore, &options, &err), KB_ERR_TOKEN, &err);
    options = backend_fixture(kind)->options;
    options.helper = "/nowhere/keybridge-token";
    CU_ASSERT_EQUAL(kb_keystore_open(&keystore, &options, &err), KB_ERR_TOKEN);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "/nowhere/keybridge-token"));
    kb_error_clear(&err);
    options.helper = "/bin/true";
    FAILS(kb_keystore_open(&keystore, &options, &err), KB_ERR_TOKEN, &err);
    options.helper = "/bin/cat";
    FAILS(kb_keystore_open(&keystore, &options, &err), KB_ERR_TOKEN, &err);
    options = backend_fixture(kind)->options;
    options.softhsm2_conf = "/nowhere/softhsm2.conf";
    options.module_parameters = kind == TOKEN_NSS ? "configdir='sql:/nowhere'" : NULL;
    FAILS(kb_keystore_open(&keystore, &options, &err), KB_ERR_TOKEN, &err);
}
DEFINE_BOTH(missing_things_are_named)

static void a_token_that_goes_away(enum token_kind kind)
{
    struct token_fixture fixture;
    struct kb_keystore *keystore;
    struct kb_token *token;
    struct kb_error err = {0};
    struct kb_data_key key;
    char command[512];
    enum kb_status status;

    if (!token_fixture_open(&fixture, kind, &keystore)) {
        CU_FAIL("no token");
        return;
    }
    token = lease_from(keystore);
    backend_key(token, "kek", KB_KEY_WRAP, KB_KEY_AES_256);
    CU_ASSERT_TRUE(work(token, 8));
    snprintf(command, sizeof command, "rm -rf '%s'", fixture.folder);
    CU_ASSERT_EQUAL(system(command), 0);
    usleep(1100000);
    status = backend_make_keys(token, "kek", 32, &key, 1, NULL, &err);
    /* NSS keeps its database open, so that a deleted one works on. */
    CU_ASSERT_TRUE(status == KB_ERR_TOKEN || status == KB_ERR_NOT_FOUND ||
                   (kind == TOKEN_NSS && status == KB_OK));
    kb_error_clear(&err);
    kb_token_return(token);
    kb_keystore_close(keystore);
    status = kb_keystore_open(&keystore, &fixture.options, &err);
    CU_ASSERT_TRUE(status == KB_ERR_TOKEN || status == KB_ERR_NOT_FOUND);
    token_fixture_free(&fixture);
}
DEFINE_BOTH(a_token_that_goes_away)

/* --- poorer tokens --------------------------------------------------------------------- */

static void poor_token(const char *profile, const char *mechanism,
                       enum kb_status (*use)(struct kb_token *, struct kb_error *))
{
    struct token_fixture fixture;
    struct kb_keystore *keystore;
    struct kb_token *token;
    struct kb_token_trial trials[40];
    struct kb_error err = {0};
    size_t count = 0, bad = 0;

    if (!token_fixture_make(&fixture, TOKEN_SOFTHSM, profile)) {
        CU_FAIL("no token");
        return;
    }
    keystore = open_with(&fixture.options);
    token = lease_from(keystore);
    CU_ASSERT_EQUAL(use(token, &err), KB_ERR_UNSUPPORTED);
    if (!strstr(err.text, mechanism))
        fprintf(stderr, "no %s in: %s\n", mechanism, err.text);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, mechanism));
    CU_ASSERT_NOT_EQUAL(err.hint[0], 0);
    kb_error_clear(&err);
    KBT_OK(kb_token_probe(token, trials, 40, &count, &err), &err);
    for (size_t i = 0; i < count; i++)
        if (!trials[i].good && strstr(trials[i].what, mechanism))
            bad++;
    CU_ASSERT_EQUAL(bad, 1);
    kb_token_return(token);
    kb_keystore_close(keystore);
    token_fixture_free(&fixture);
}

static enum kb_status use_wrap(struct kb_token *token, struct kb_error *err)
{
    struct kb_data_key key;

    backend_key(token, "k", KB_KEY_WRAP, KB_KEY_AES_256);
    return backend_make_keys(token, "k", 32, &key, 1, NULL, err);
}

static enum kb_status use_cbc(struct kb_token *token, struct kb_error *err)
{
    struct kb_cipher_job job = {.in = kb_bytes_text("x")};

    backend_key(token, "k", KB_KEY_CONTENT, KB_KEY_AES_256);
    return kb_token_cipher(token, true, "k", &job, 1, err);
}

static enum kb_status use_gcm(struct kb_token *token, struct kb_error *err)
{
    uint8_t out[1 + KB_GCM_TAG_SIZE];
    struct kb_gcm_job job = {.in = kb_bytes_text("x"), .out = out, .room = sizeof out};

    backend_key(token, "k", KB_KEY_ENVELOPE, KB_KEY_AES_256);
    return kb_token_gcm(token, true, "k", &job, 1, err);
}

static enum kb_status use_hmac(struct kb_token *token, struct kb_error *err)
{
    struct kb_bytes message = kb_bytes_text("x");
    uint8_t mac[BACKEND_MAC_ROOM];
    size_t size;

    backend_key(token, "k", KB_KEY_SIGN, KB_KEY_HMAC_SHA512);
    return backend_mac(token, "k", KB_SHA512, &message, 1, mac, &size, err);
}

static void poor_tokens_name_what_they_lack(void)
{
    poor_token("no-aes-key-wrap.conf", "CKM_AES_KEY_WRAP", use_wrap);
    poor_token("no-cbc-pad.conf", "CKM_AES_CBC_PAD", use_cbc);
    poor_token("no-aes-gcm.conf", "CKM_AES_GCM", use_gcm);
    poor_token("no-hmac-sha512.conf", "CKM_SHA512_HMAC", use_hmac);
}

static void new_tokens(void)
{
    struct token_fixture fixture;
    struct kb_error err = {0};
    struct kb_secret *short_pin;

    if (!token_fixture_make(&fixture, TOKEN_SOFTHSM, NULL)) {
        CU_FAIL("no token");
        return;
    }
    fixture.options.uri = NULL;
    KBT_OK(kb_secret_copy(&short_pin, kb_bytes_text("123"), &err), &err);
    FAILS(kb_keystore_init_token(&fixture.options, "keybridge test", fixture.so_pin, fixture.pin,
                                 &err),
          KB_ERR_EXISTS, &err);
    FAILS(kb_keystore_init_token(&fixture.options, "", fixture.so_pin, fixture.pin, &err),
          KB_ERR_USAGE, &err);
    FAILS(kb_keystore_init_token(&fixture.options, "a label that is longer than 32 bytes",
                                 fixture.so_pin, fixture.pin, &err),
          KB_ERR_USAGE, &err);
    FAILS(kb_keystore_init_token(&fixture.options, "short", short_pin, fixture.pin, &err),
          KB_ERR_PIN, &err);
    KBT_OK(kb_keystore_init_token(&fixture.options, "second", fixture.so_pin, fixture.pin, &err),
           &err);
    FAILS(kb_keystore_open(&(struct kb_keystore *){NULL}, &fixture.options, &err),
          KB_ERR_AMBIGUOUS, &err);
    FAILS(kb_keystore_init_token(&backend_fixture(TOKEN_NSS)->options, "third", fixture.so_pin,
                                 fixture.pin, &err),
          KB_ERR_NOT_FOUND, &err);
    kb_secret_free(short_pin);
    token_fixture_free(&fixture);
}

/* --- a helper that misbehaves ------------------------------------------------------------ */

static void fake(const char *mode, bool once, enum kb_status find, unsigned finds,
                 enum kb_status create, unsigned creates)
{
    /* A start is within it, too; only one that hangs is waited for. */
    struct kb_keystore_options options = {.helper = fake_helper_path(),
                                          .timeout_ms = strcmp(mode, "hang") == 0 ? 1500 : 30000};
    struct kb_keystore *keystore;
    struct kb_token *token;
    struct kb_key_info info;
    struct kb_key_spec spec = {.name = "k", .use = KB_KEY_WRAP, .type = KB_KEY_AES_256};
    struct kb_error err = {0};

    fake_helper_mode(mode, once);
    keystore = open_with(&options);
    token = lease_from(keystore);
    FAILS(kb_key_find(token, "k", &info, &err), find, &err);
    if (fake_helper_count(KB_VERB_FIND) != finds)
        fprintf(stderr, "mode %s: %u finds\n", mode, fake_helper_count(KB_VERB_FIND));
    CU_ASSERT_EQUAL(fake_helper_count(KB_VERB_FIND), finds);
    fake_helper_mode(mode, once);
    FAILS(kb_key_create(token, &spec, &err), create, &err);
    CU_ASSERT_EQUAL(fake_helper_count(KB_VERB_CREATE), creates);
    kb_token_return(token);
    kb_keystore_close(keystore);
}

static void what_is_repeated(void)
{
    fake("lost", true, KB_OK, 2, KB_OK, 2);
    fake("lost", false, KB_ERR_TOKEN, 2, KB_ERR_TOKEN, 2);
    fake("die", true, KB_OK, 2, KB_ERR_TOKEN, 1);
    fake("die", false, KB_ERR_TOKEN, 2, KB_ERR_TOKEN, 1);
    fake("hang", true, KB_OK, 2, KB_ERR_TOKEN, 1);
    fake("hang", false, KB_ERR_TOKEN, 2, KB_ERR_TOKEN, 1);
    fake("gone", true, KB_ERR_TOKEN, 1, KB_ERR_TOKEN, 1);
    fake("garbage", true, KB_ERR_TOKEN, 1, KB_ERR_TOKEN, 1);
    fake("huge", true, KB_ERR_TOKEN, 1, KB_ERR_TOKEN, 1);
    fake("empty", true, KB_ERR_TOKEN, 1, KB_OK, 1);
}

static void handles_are_not_repeated(void)
{
    struct kb_keystore_options options = {.helper = fake_helper_path(), .timeout_ms = 30000};
    struct kb_keystore *keystore;
    struct kb_token *token;
    struct kb_data_key keys[2];
    struct kb_cipher_job job = {.in = kb_bytes_text("x")};
    struct kb_error err = {0};

    fake_helper_mode("none", false);
    keystore = open_with(&options);
    token = lease_from(keystore);
    KBT_OK(backend_make_keys(token, "k", 32, keys, 2, NULL, &err), &err);
    job.handle = keys[1].handle;
    KBT_OK(kb_token_cipher(token, true, NULL, &job, 1, &err), &err);
    KBT_TEXT(job.out, "x");
    kb_token_return(token);
    kb_keystore_close(keystore);
    fake_helper_mode("none", false);
    keystore = open_with(&options);
    token = lease_from(keystore);
    KBT_OK(backend_make_keys(token, "k", 32, keys, 2, NULL, &err), &err);
    job.handle = keys[0].handle;
    signal_helper(token, SIGKILL);
    FAILS(kb_token_cipher(token, true, NULL, &job, 1, &err), KB_ERR_TOKEN, &err);
    CU_ASSERT_EQUAL(fake_helper_count(KB_VERB_OPEN), 1);
    kb_token_return(token);
    kb_keystore_close(keystore);
    fake_helper_mode("locked", false);
    FAILS(kb_keystore_open(&keystore, &options, &err), KB_ERR_PIN, &err);
    CU_ASSERT_EQUAL(fake_helper_count(KB_VERB_OPEN), 1);
    unsetenv("KB_FAKE");
}

/* --- SoftHSM's lock ------------------------------------------------------------------------ */

struct locking {
    struct kb_keystore_options options;
    atomic_bool locked;
};

static atomic_uint signals;

static void count_signal(int number)
{
    (void)number;
    signals++;
}

static void *lock_softhsm(void *ctx)
{
    struct locking *locking = ctx;
    int fd = kb_softhsm_lock(&locking->options);

    locking->locked = true;
    CU_ASSERT_TRUE(fd >= 0);
    close(fd);
    return NULL;
}

/* While somebody has the lock, an empty file is one that is being written. */
static void interrupt_while_locked(struct locking *locking, const char *object)
{
    static const struct timespec pause = {.tv_nsec = 10000000};
    const struct sigaction action = {.sa_handler = count_signal};
    int held = open(locking->options.softhsm2_conf, O_RDONLY | O_CLOEXEC);
    struct sigaction before;
    struct stat there;
    pthread_t thread;

    CU_ASSERT_EQUAL_FATAL(flock(held, LOCK_EX), 0);
    CU_ASSERT_EQUAL_FATAL(sigaction(SIGUSR1, &action, &before), 0);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, lock_softhsm, locking), 0);
    /* The thread sanitizer keeps handlers waiting; what they interrupt, it does not. */
    for (int i = 0; i < 100 && signals < 20 && !locking->locked; i++) {
        CU_ASSERT_EQUAL_FATAL(pthread_kill(thread, SIGUSR1), 0);
        nanosleep(&pause, NULL);
    }
    CU_ASSERT_FALSE(locking->locked);
    CU_ASSERT_TRUE(stat(object, &there) == 0 && there.st_size == 0);
    close(held);
    CU_ASSERT_EQUAL(pthread_join(thread, NULL), 0);
    CU_ASSERT_TRUE(stat(object, &there) == 0 && there.st_size == 5);
    CU_ASSERT_EQUAL(sigaction(SIGUSR1, &before, NULL), 0);
}

static void a_signal_does_not_take_the_lock(void)
{
    char folder[] = "/tmp/keybridge-lock.XXXXXX";
    char conf[64], tokens[64], token[80], object[112], saved[112];
    struct locking locking = {.options.softhsm2_conf = conf};

    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
    snprintf(conf, sizeof conf, "%s/softhsm2.conf", folder);
    snprintf(tokens, sizeof tokens, "%s/tokens", folder);
    snprintf(token, sizeof token, "%s/one", tokens);
    snprintf(object, sizeof object, "%s/token.object", token);
    snprintf(saved, sizeof saved, "%s/token.saved", token);
    CU_ASSERT_EQUAL_FATAL(mkdir(tokens, 0700) + mkdir(token, 0700), 0);
    CU_ASSERT_TRUE(token_file_write(conf, "") && token_file_write(object, "") &&
                   token_file_write(saved, "saved"));
    interrupt_while_locked(&locking, object);
    unlink(saved);
    unlink(object);
    unlink(conf);
    CU_ASSERT_EQUAL(rmdir(token) + rmdir(tokens) + rmdir(folder), 0);
}

/* --- nonsense for a real helper ------------------------------------------------------------ */

/* Sends the bytes and no more; the helper has to answer or not, and to end by
 * itself. Gives the first answer's status, or KB_STATUS_COUNT without one. */
static enum kb_status feed(const struct token_fixture *fixture, struct kb_bytes bytes)
{
    struct kb_error err = {0};
    struct kb_answer_head head = {.status = KB_STATUS_COUNT};
    struct kb_buffer frame = KB_BUFFER_INIT(KB_FRAME_MAX);
    struct kb_reader payload;
    struct kb_bytes body;
    pid_t pid;
    int fd, code = 0;

    KBT_OK(kb_process_start(getenv("KEYBRIDGE_TOKEN_HELPER"),
                            fixture->conf[0] ? fixture->conf : NULL, &pid, &fd, &err),
           &err);
    CU_ASSERT_TRUE(bytes.size == 0 || send(fd, bytes.data, bytes.size, MSG_NOSIGNAL) > 0);
    shutdown(fd, SHUT_WR);
    if (kb_frame_receive(fd, &frame, kb_clock_ms() + 20000, &body) == KB_FRAME_OK)
        CU_ASSERT_TRUE(kb_answer_decode(&head, &payload, body));
    while (kb_frame_receive(fd, &frame, kb_clock_ms() + 20000, &body) == KB_FRAME_OK)
        ;
    close(fd);
    CU_ASSERT_EQUAL(waitpid(pid, &code, 0), pid);
    if (code != 0)
        fprintf(stderr, "the helper ended with wait status %#x\n", (unsigned)code);
    CU_ASSERT_EQUAL(code, 0);
    kb_buffer_free(&frame);
    return head.status;
}

/* A valid OPEN and a valid PROBE behind it. */
static size_t valid_stream(const struct token_fixture *fixture, struct kb_buffer *out)
{
    static struct kb_request request;
    struct kb_buffer frame = KB_BUFFER_INIT(65536);
    size_t first;

    kb_request_init(&request, KB_VERB_OPEN);
    request.version = KB_PROTOCOL_VERSION;
    request.module = fixture->options.module;
    request.parameters = fixture->options.module_parameters;
    request.uri = fixture->options.uri;
    request.session = request.with_pin = true;
    request.pin = kb_secret_view(fixture->pin);
    CU_ASSERT_TRUE(kb_request_encode(&frame, &request));
    kb_buffer_put_bytes(out, kb_buffer_view(&frame));
    first = out->size;
    kb_request_init(&request, KB_VERB_PROBE);
    CU_ASSERT_TRUE(kb_request_encode(&frame, &request));
    kb_buffer_put_bytes(out, kb_buffer_view(&frame));
    kb_buffer_free(&frame);
    return first;
}

static void cut_and_flipped_requests(enum token_kind kind)
{
    struct token_fixture *fixture = backend_fixture(kind);
    struct kb_buffer stream = KB_BUFFER_INIT(65536);
    size_t first = valid_stream(fixture, &stream);
    const uint8_t *spare = NULL;

    for (size_t size = 0; size <= stream.size; size++)
        CU_ASSERT_EQUAL(feed(fixture, (struct kb_bytes){stream.data, size}),
                        size < first ? KB_STATUS_COUNT : KB_OK);
    /* NSS crashes on parameters without configdir, so those are left alone. */
    if (fixture->parameters[0])
        spare = memmem(stream.data, stream.size, fixture->parameters, strlen(fixture->parameters));
    for (size_t i = 0; i < stream.size; i++) {
        if (spare && stream.data + i >= spare &&
            stream.data + i < spare + strlen(fixture->parameters))
            continue;
        stream.data[i] ^= 0xff;
        (void)feed(fixture, kb_buffer_view(&stream));
        stream.data[i] ^= 0xff;
    }
    kb_buffer_free(&stream);
}
DEFINE_BOTH(cut_and_flipped_requests)

static void requests_that_make_no_sense(enum token_kind kind)
{
    static const struct {
        const char *bytes;
        size_t size;
        enum kb_status status;
    } rows[] = {
        {"\xff\xff\xff\xff", 4, KB_ERR_INPUT},
        {"\xff\xff\xff\xff\1\0\0\0\1", 9, KB_ERR_INPUT},
        {"\0\0\0\0", 4, KB_ERR_INPUT},
        {"\1\1\0\1", 4, KB_ERR_INPUT},             /* a byte over the limit */
        {"\0\0\0\1\4", 5, KB_ERR_USAGE},           /* PROBE before OPEN */
        {"\0\0\0\1\x63", 5, KB_ERR_USAGE},         /* unknown before OPEN */
        {"\0\0\0\1\1", 5, KB_ERR_INPUT},           /* OPEN of nothing */
        {"\0\0\0\5\1\0\0\0\1", 9, KB_ERR_TOKEN},   /* another version */
        {"\0\0\0\2\4x", 6, KB_ERR_INPUT},          /* trailing byte */
        {"\0\0\0\6\1\0\0\0\4\xff", 10, KB_ERR_INPUT},
        {"\0\0\0\x9\1\0\0\0\4\xff\xff\xff\xff", 13, KB_ERR_INPUT},
    };
    struct token_fixture *fixture = backend_fixture(kind);
    struct kb_buffer stream = KB_BUFFER_INIT(65536);

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        CU_ASSERT_EQUAL(
            feed(fixture, (struct kb_bytes){(const uint8_t *)rows[i].bytes, rows[i].size}),
            rows[i].status);
    /* A number nobody knows, and a second OPEN: refused, and served on. */
    for (unsigned verb = KB_VERB_AFTER_LAST; verb <= KB_VERB_AFTER_LAST + 1; verb++) {
        stream.size = valid_stream(fixture, &stream);
        kb_buffer_put(&stream, "\0\0\0\1", 4);
        kb_buffer_put_u8(&stream, (uint8_t)verb);
        CU_ASSERT_EQUAL(feed(fixture, kb_buffer_view(&stream)), KB_OK);
        kb_buffer_reset(&stream);
    }
    kb_buffer_free(&stream);
}
DEFINE_BOTH(requests_that_make_no_sense)

/* Every helper was waited for. */
static void no_process_is_left(void)
{
    backends_close();
    CU_ASSERT_EQUAL(waitpid(-1, NULL, WNOHANG), -1);
    CU_ASSERT_EQUAL(errno, ECHILD);
}

static const struct kbtest tests[] = {
    BOTH(a_killed_helper_is_replaced),
    BOTH(a_hung_helper_is_replaced),
    BOTH(helpers_are_recycled),
    BOTH(other_helpers_learn_of_changes),
    BOTH(threads_have_helpers_of_their_own),
    BOTH(pipes_do_as_well),
    BOTH(a_wrong_pin_is_tried_once),
    BOTH(pins_of_odd_lengths),
    BOTH(missing_things_are_named),
    BOTH(a_token_that_goes_away),
    {"poor_tokens_name_what_they_lack", poor_tokens_name_what_they_lack},
    {"new_tokens", new_tokens},
    {"what_is_repeated", what_is_repeated},
    {"handles_are_not_repeated", handles_are_not_repeated},
    {"a_signal_does_not_take_the_lock", a_signal_does_not_take_the_lock},
    BOTH(cut_and_flipped_requests),
    BOTH(requests_that_make_no_sense),
    {"no_process_is_left", no_process_is_left},
    {NULL, NULL},
};

int main(int argc, char **argv)
{
    if (fake_helper_main())
        return 0;
    return kbtest_main("token_helpers", tests, argc, argv);
}
