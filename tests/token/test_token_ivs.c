/* SPDX-License-Identifier: Apache-2.0
 *
 * Tokens that treat the IVs of AES-GCM in different ways, good and bad: each is
 * found out before the first encryption, or when it changes later.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backends.h"

enum { SIZE = 32, TAG = KB_GCM_TAG_SIZE };

static struct token_fixture fixture;
static char odd_module[PATH_MAX];
static char broken_file[512];

static bool prepare(void)
{
    const char *folder = getenv("builddir");
    char path[300];

    if (fixture.pin)
        return true;
    if (!token_fixture_make(&fixture, TOKEN_SOFTHSM, NULL))
        return false;
    snprintf(path, sizeof path, "%s/.libs/odd_token.so", folder ? folder : ".");
    if (!realpath(path, odd_module)) {
        perror(path);
        return false;
    }
    snprintf(broken_file, sizeof broken_file, "%s/broken", kbtest_folder());
    setenv("KB_ODD_MODULE", fixture.options.module, 1);
    setenv("KB_ODD_BROKEN", broken_file, 1);
    return true;
}

/* One that is under the odd token's rules from its start. */
struct odd {
    struct kb_keystore *keystore;
    struct kb_token *token;
};

static struct odd odd_open(const char *words)
{
    struct kb_error err = {0};
    struct odd odd = {NULL, NULL};
    struct kb_keystore_options options;

    CU_ASSERT_TRUE_FATAL(prepare());
    setenv("KB_ODD_TOKEN", words, 1);
    options = fixture.options;
    options.module = odd_module;
    KBT_OK(kb_keystore_open(&odd.keystore, &options, &err), &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(odd.keystore);
    KBT_OK(kb_token_lease(&odd.token, odd.keystore, &err), &err);
    backend_key(odd.token, "odd", KB_KEY_ENVELOPE, KB_KEY_AES_256);
    return odd;
}

static void odd_close(struct odd odd)
{
    kb_token_return(odd.token);
    kb_keystore_close(odd.keystore);
}

static enum kb_status encrypt_one(struct odd odd, struct kb_gcm_job *job, uint8_t out[SIZE + TAG],
                                  struct kb_error *err)
{
    static const uint8_t text[SIZE] = {7};

    *job = (struct kb_gcm_job){.in = {text, SIZE}, .aad = kb_bytes_text("a"), .out = out,
                               .room = SIZE + TAG};
    return kb_token_gcm(odd.token, true, "odd", job, 1, err);
}

static enum kb_status decrypt_one(struct odd odd, struct kb_gcm_job *job, struct kb_error *err)
{
    uint8_t out[SIZE + TAG], back[SIZE];
    enum kb_status status;

    memcpy(out, job->out, sizeof out);
    job->in = (struct kb_bytes){out, sizeof out};
    job->out = back;
    job->room = SIZE;
    status = kb_token_gcm(odd.token, false, "odd", job, 1, err);
    if (status == KB_OK && job->status == KB_OK)
        CU_ASSERT_TRUE(job->size == SIZE && back[0] == 7);
    return status;
}

/* The probe says of the IVs what it has to. */
static void check_probe(struct odd odd, const char *says, bool good)
{
    struct kb_token_trial trials[48];
    struct kb_error err = {0};
    size_t count = 0, found = 0;

    KBT_OK(kb_token_probe(odd.token, trials, 48, &count, &err), &err);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(trials[i].what, "who makes the IVs of AES-GCM") != 0)
            continue;
        found++;
        if (!strstr(trials[i].outcome, says))
            fprintf(stderr, "'%s' is not in: %s\n", says, trials[i].outcome);
        CU_ASSERT_PTR_NOT_NULL(strstr(trials[i].outcome, says));
        CU_ASSERT_EQUAL(trials[i].good, good);
    }
    CU_ASSERT_EQUAL(found, 1);
}

/* --- tokens that are well, each in its way ----------------------------------------------- */

static void accepted(const char *words, const char *says)
{
    struct odd odd = odd_open(words);
    struct kb_error err = {0};
    struct kb_gcm_job first, second;
    uint8_t out[2][SIZE + TAG];

    KBT_OK(encrypt_one(odd, &first, out[0], &err), &err);
    KBT_OK(encrypt_one(odd, &second, out[1], &err), &err);
    CU_ASSERT_EQUAL(first.size, SIZE + TAG);
    CU_ASSERT_NOT_EQUAL(memcmp(first.iv, second.iv, sizeof first.iv), 0);
    CU_ASSERT_NOT_EQUAL(memcmp(out[0], out[1], SIZE + TAG), 0);
    KBT_OK(decrypt_one(odd, &first, &err), &err);
    CU_ASSERT_EQUAL(first.status, KB_OK);
    KBT_OK(decrypt_one(odd, &second, &err), &err);
    CU_ASSERT_EQUAL(second.status, KB_OK);
    second.iv[0] ^= 1;
    second.out = out[1];
    KBT_OK(decrypt_one(odd, &second, &err), &err);
    CU_ASSERT_EQUAL(second.status, KB_ERR_AUTH);
    check_probe(odd, says, true);
    odd_close(odd);
}

static void good_tokens(void)
{
    accepted("", "keybridge");
    accepted("overwrite", "in the place of the caller's");
    accepted("append", "behind the text");
    /* The same where keys of a known value cannot be made; the probe cannot try
     * much there. */
    accepted("closed", "keybridge");
    accepted("closed overwrite", "in the place of the caller's");
    accepted("closed append", "behind the text");
}

/* --- tokens that are not ------------------------------------------------------------------ */

static void refused(const char *words, const char *says)
{
    struct odd odd = odd_open(words);
    struct kb_error err = {0};
    struct kb_gcm_job job;
    uint8_t out[SIZE + TAG] = {0};
    static const uint8_t zero[SIZE + TAG];

    /* The second time as the first. */
    for (int i = 0; i < 2; i++) {
        kb_error_clear(&err);
        CU_ASSERT_EQUAL(encrypt_one(odd, &job, out, &err), KB_ERR_UNSUPPORTED);
        if (!strstr(err.text, says))
            fprintf(stderr, "%s: '%s' is not in: %s\n", words, says, err.text);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.text, says));
        CU_ASSERT_NOT_EQUAL(err.hint[0], 0);
    }
    CU_ASSERT_EQUAL(memcmp(out, zero, sizeof out), 0);
    check_probe(odd, says, false);
    odd_close(odd);
}

static void bad_tokens(void)
{
    refused("repeat", "repeats its IVs");
    refused("repeat overwrite", "repeats its IVs");
    refused("repeat append", "repeats its IVs");
    refused("silent overwrite", "reports no IV");
    refused("silent append", "reports no IV");
    refused("ignore", "uses another IV than it reports");
    refused("ignore closed", "uses another IV than it reports");
    /* Only somebody else's arithmetic shows this one. */
    refused("half", "uses another IV than it reports");
    refused("half overwrite", "uses another IV than it reports");
    refused("short", "wrong size");
    refused("short append", "wrong size");
    refused("brief", "uses another IV than it reports");
}

static void changed_later(const char *words, enum kb_status status, const char *says)
{
    struct odd odd = odd_open(words);
    struct kb_error err = {0};
    struct kb_gcm_job job;
    uint8_t out[SIZE + TAG];

    KBT_OK(encrypt_one(odd, &job, out, &err), &err);
    KBT_OK(encrypt_one(odd, &job, out, &err), &err);
    /* A first IV that will come again cannot be known. */
    if (strstr(words, "repeat"))
        KBT_OK(encrypt_one(odd, &job, out, &err), &err);
    for (int i = 0; i < 2; i++) {
        kb_error_clear(&err);
        CU_ASSERT_EQUAL(encrypt_one(odd, &job, out, &err), status);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.text, says));
    }
    odd_close(odd);
}

static void tokens_that_change(void)
{
    changed_later("later repeat overwrite", KB_ERR_UNSUPPORTED, "repeats an IV");
    changed_later("later repeat append", KB_ERR_UNSUPPORTED, "repeats an IV");
    changed_later("later silent overwrite", KB_ERR_UNSUPPORTED, "reports no IV");
    changed_later("later silent append", KB_ERR_UNSUPPORTED, "reports no IV");
    changed_later("later short", KB_ERR_TOKEN, "47 bytes of 32");
}

static void a_lazy_random_source(void)
{
    struct odd odd = odd_open("");
    struct kb_error err = {0};
    struct kb_secret *random;
    struct kb_gcm_job job;
    uint8_t out[SIZE + TAG];

    odd_close(odd);
    odd = (struct odd){NULL, NULL};
    setenv("KB_ODD_TOKEN", "lazy", 1);
    fixture.options.module = odd_module;
    KBT_OK(kb_keystore_open(&odd.keystore, &fixture.options, &err), &err);
    KBT_OK(kb_token_lease(&odd.token, odd.keystore, &err), &err);
    KBT_OK(kb_secret_new(&random, 32, &err), &err);
    FAILS(kb_token_random(odd.token, random, &err), KB_ERR_TOKEN, &err);
    FAILS(encrypt_one(odd, &job, out, &err), KB_ERR_TOKEN, &err);
    fixture.options.module = getenv("KB_ODD_MODULE");
    kb_secret_free(random);
    odd_close(odd);
}

/* --- what a failure to decrypt means -------------------------------------------------------- */

static void refusals_of_many_kinds(void)
{
    /* Of SoftHSM, nShield, most, PKCS#11 3.0, and a maker's own. */
    static const char *const values[] = {"0x5", "0x6", "0x40", "0x41", "0x42", "0x80000123", NULL};
    struct kb_error err = {0};

    for (size_t i = 0; values[i]; i++) {
        struct odd odd;
        struct kb_gcm_job job;
        uint8_t out[SIZE + TAG];

        setenv("KB_ODD_REFUSAL", values[i], 1);
        odd = odd_open("");
        KBT_OK(encrypt_one(odd, &job, out, &err), &err);
        out[3] ^= 1;
        KBT_OK(decrypt_one(odd, &job, &err), &err);
        CU_ASSERT_EQUAL(job.status, KB_ERR_AUTH);
        odd_close(odd);
        unsetenv("KB_ODD_REFUSAL");
    }
}

/* The same answer, but the token decrypts nothing any more. */
static void broken_token(const char *words)
{
    struct kb_error err = {0};
    struct odd odd = odd_open(words);
    struct kb_gcm_job job, good;
    uint8_t out[SIZE + TAG];

    KBT_OK(encrypt_one(odd, &job, out, &err), &err);
    good = job;
    CU_ASSERT_TRUE(token_file_write(broken_file, "x"));
    FAILS(decrypt_one(odd, &job, &err), KB_ERR_TOKEN, &err);
    unlink(broken_file);
    /* With a new helper all is well again. */
    KBT_OK(decrypt_one(odd, &good, &err), &err);
    CU_ASSERT_EQUAL(good.status, KB_OK);
    odd_close(odd);
}

static void a_broken_token_is_no_forgery(void)
{
    broken_token("");
    broken_token("overwrite");
    broken_token("append");
}

static void a_short_answer(void)
{
    struct kb_error err = {0};
    struct odd odd = odd_open("");
    struct kb_gcm_job job;
    uint8_t out[SIZE + TAG];

    KBT_OK(encrypt_one(odd, &job, out, &err), &err);
    odd_close(odd);
    odd = odd_open("brief");
    FAILS(decrypt_one(odd, &job, &err), KB_ERR_TOKEN, &err);
    odd_close(odd);
}

static const struct kbtest tests[] = {
    {"good_tokens", good_tokens},
    {"bad_tokens", bad_tokens},
    {"tokens_that_change", tokens_that_change},
    {"a_lazy_random_source", a_lazy_random_source},
    {"refusals_of_many_kinds", refusals_of_many_kinds},
    {"a_broken_token_is_no_forgery", a_broken_token_is_no_forgery},
    {"a_short_answer", a_short_answer},
    {NULL, NULL},
};

int main(int argc, char **argv)
{
    int result = kbtest_main("token_ivs", tests, argc, argv);

    token_fixture_free(&fixture);
    return result;
}
