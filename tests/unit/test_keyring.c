/* SPDX-License-Identifier: Apache-2.0
 *
 * Keyrings over real tokens. The linker puts this file between them and the
 * token (--wrap), to count calls and to make one fail.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends.h"
#include "base/reader.h"
#include "crypto/gcm.h"
#include "keyring/keyring.h"
#include "keystore/pool.h"

#define LONG_NAME 65515
#define LONG_NAMESPACE 65535

static struct kb_bytes text(const char *string)
{
    return kb_bytes_text(string);
}

/* --- between keyrings and the token ---------------------------------------------------- */

static struct {
    atomic_uint gcm, unwrap, random; /* calls, of any thread */
    unsigned fail_from;              /* the first that fails; 0: none does */
} calls;

static enum kb_status injected(unsigned call, struct kb_error *err)
{
    if (calls.fail_from == 0 || call < calls.fail_from)
        return KB_OK;
    return kb_error_set(err, KB_ERR_TOKEN, "the token is gone");
}

enum kb_status __real_kb_token_gcm(struct kb_token *token, bool encrypt, const char *key,
                                   struct kb_gcm_job *jobs, size_t n, struct kb_error *err);
enum kb_status __wrap_kb_token_gcm(struct kb_token *token, bool encrypt, const char *key,
                                   struct kb_gcm_job *jobs, size_t n, struct kb_error *err);
enum kb_status __wrap_kb_token_gcm(struct kb_token *token, bool encrypt, const char *key,
                                   struct kb_gcm_job *jobs, size_t n, struct kb_error *err)
{
    enum kb_status status = injected(++calls.gcm, err);

    return status == KB_OK ? __real_kb_token_gcm(token, encrypt, key, jobs, n, err) : status;
}

enum kb_status __real_kb_token_unwrap_keys(struct kb_token *token, const char *wrap_key,
                                           struct kb_data_key *keys, size_t n,
                                           struct kb_secret *plain, struct kb_error *err);
enum kb_status __wrap_kb_token_unwrap_keys(struct kb_token *token, const char *wrap_key,
                                           struct kb_data_key *keys, size_t n,
                                           struct kb_secret *plain, struct kb_error *err);
enum kb_status __wrap_kb_token_unwrap_keys(struct kb_token *token, const char *wrap_key,
                                           struct kb_data_key *keys, size_t n,
                                           struct kb_secret *plain, struct kb_error *err)
{
    enum kb_status status = injected(++calls.unwrap, err);

    return status == KB_OK ? __real_kb_token_unwrap_keys(token, wrap_key, keys, n, plain, err)
                           : status;
}

enum kb_status __real_kb_token_random(struct kb_token *token, struct kb_secret *out,
                                      struct kb_error *err);
enum kb_status __wrap_kb_token_random(struct kb_token *token, struct kb_secret *out,
                                      struct kb_error *err);
enum kb_status __wrap_kb_token_random(struct kb_token *token, struct kb_secret *out,
                                      struct kb_error *err)
{
    calls.random++;
    return __real_kb_token_random(token, out, err);
}

static void count_anew(void)
{
    memset(&calls, 0, sizeof calls);
}

/* --- keys and keyrings ------------------------------------------------------------------- */

static const uint8_t aes_value[32] = {9, 8, 7, 6, 5, 4, 3, 2, 1};

static void make_key(enum token_kind kind, const char *name, enum kb_key_use use,
                     enum kb_key_type type)
{
    struct kb_token *token = backend_lease(kind);

    CU_ASSERT_PTR_NOT_NULL_FATAL(token);
    backend_key(token, name, use, type);
    kb_token_return(token);
}

static void import_aes(enum token_kind kind, const char *name, size_t size, uint8_t first)
{
    struct kb_key_spec spec = {.name = name,
                               .use = KB_KEY_ENVELOPE,
                               .type = size == 16   ? KB_KEY_AES_128
                                       : size == 24 ? KB_KEY_AES_192
                                                    : KB_KEY_AES_256};
    struct kb_token *token = backend_lease(kind);
    struct kb_key_info info;
    uint8_t value[32];

    CU_ASSERT_PTR_NOT_NULL_FATAL(token);
    memcpy(value, aes_value, sizeof value);
    value[0] = first;
    if (kb_key_find(token, name, &info, NULL) == KB_ERR_NOT_FOUND)
        backend_import(token, &spec, (struct kb_bytes){value, size});
    kb_token_return(token);
}

/* The public half of a key, imported as a key of another name. */
static void import_public(enum token_kind kind, const char *of, const char *name)
{
    struct kb_key_spec spec = {
        .name = name, .use = KB_KEY_WRAP, .type = KB_KEY_RSA, .public_only = true};
    struct kb_buffer spki = KB_BUFFER_INIT(4096);
    struct kb_token *token = backend_lease(kind);
    struct kb_error err = {0};

    CU_ASSERT_PTR_NOT_NULL_FATAL(token);
    KBT_OK(kb_key_export_public(token, of, &spki, &err), &err);
    backend_import(token, &spec, kb_buffer_view(&spki));
    kb_token_return(token);
    kb_buffer_free(&spki);
}

static void destroy_key(enum token_kind kind, const char *name)
{
    struct kb_token *token = backend_lease(kind);
    struct kb_error err = {0};

    CU_ASSERT_PTR_NOT_NULL_FATAL(token);
    KBT_OK(kb_key_destroy(token, name, &err), &err);
    kb_token_return(token);
}

static struct kb_keyring *keyring_named(enum token_kind kind, const char *key, const char *name,
                                        enum kb_wrap_algorithm padding)
{
    struct kb_raw_keyring_options options = {key, text("space"), text(name), padding};
    struct kb_keyring *keyring = NULL;
    struct kb_error err = {0};

    KBT_OK(kb_keyring_raw(&keyring, backend_keystore(kind), &options, &err), &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(keyring);
    return keyring;
}

static struct kb_keyring *multi_of(struct kb_keyring *a, struct kb_keyring *b)
{
    struct kb_keyring *children[] = {a, b}, *multi = NULL;
    struct kb_error err = {0};

    KBT_OK(kb_keyring_multi(&multi, children, 2, &err), &err);
    kb_keyring_release(a);
    kb_keyring_release(b);
    CU_ASSERT_PTR_NOT_NULL_FATAL(multi);
    return multi;
}

/* --- one message ---------------------------------------------------------------------------- */

enum { EDKS_MAX = 4 };

/* A data key, what keyrings made of it, and what they open. */
struct trial {
    uint8_t data_key[KB_TOKEN_DATA_KEY_MAX], got[KB_TOKEN_DATA_KEY_MAX];
    size_t size;
    struct kb_buffer bytes;
    struct kb_wrap_job wrap;
    struct kb_unwrap_job unwrap;
    struct kb_edk edks[EDKS_MAX];
};

static void trial_begin(struct trial *trial, size_t size, const char *context)
{
    memset(trial, 0, sizeof *trial);
    trial->size = size;
    for (size_t i = 0; i < size; i++)
        trial->data_key[i] = (uint8_t)(i * 7 + size + strlen(context));
    trial->bytes = (struct kb_buffer)KB_BUFFER_INIT(1 << 20);
    trial->wrap.data_key = (struct kb_bytes){trial->data_key, size};
    trial->wrap.context = text(context);
    trial->wrap.edks = &trial->bytes;
}

static struct kb_bytes take_field(struct kb_reader *reader)
{
    return kb_reader_take(reader, kb_reader_u16(reader));
}

/* Reads the encrypted data keys as a header's reader does. */
static void trial_parse(struct trial *trial)
{
    struct kb_reader reader = kb_reader_of(kb_buffer_view(&trial->bytes));
    size_t n = trial->wrap.edk_count;

    CU_ASSERT_TRUE_FATAL(n <= EDKS_MAX);
    for (size_t i = 0; i < n; i++) {
        trial->edks[i].provider = take_field(&reader);
        trial->edks[i].info = take_field(&reader);
        trial->edks[i].ciphertext = take_field(&reader);
    }
    CU_ASSERT_TRUE(kb_reader_done(&reader));
    memset(trial->got, 0, sizeof trial->got);
    trial->unwrap = (struct kb_unwrap_job){.edks = trial->edks,
                                           .edk_count = n,
                                           .context = trial->wrap.context,
                                           .key_size = trial->size,
                                           .data_key = trial->got};
}

static void trial_wrap(struct trial *trial, struct kb_keyring *keyring)
{
    struct kb_error err = {0};

    KBT_OK(kb_keyring_wrap(keyring, &trial->wrap, 1, &err), &err);
    trial_parse(trial);
}

static bool trial_opens(struct trial *trial, struct kb_keyring *keyring)
{
    struct kb_error err = {0};

    trial->unwrap.opened = false;
    KBT_OK(kb_keyring_unwrap(keyring, &trial->unwrap, 1, &err), &err);
    CU_ASSERT_EQUAL(err.status, KB_OK);
    return trial->unwrap.opened;
}

static bool trial_is_right(const struct trial *trial)
{
    return memcmp(trial->got, trial->data_key, trial->size) == 0;
}

static void trial_end(struct trial *trial)
{
    kb_buffer_free(&trial->bytes);
}

/* As a header's tag tells. */
static bool fits(void *ctx, struct kb_bytes data_key)
{
    const struct trial *trial = ctx;

    return kb_bytes_equal(data_key, (struct kb_bytes){trial->data_key, trial->size});
}

/* --- names and limits ------------------------------------------------------------------------ */

static void refused(enum token_kind kind, const struct kb_raw_keyring_options *options,
                    enum kb_status want)
{
    struct kb_keyring *keyring = (struct kb_keyring *)&calls;
    struct kb_error err;

    FAILS(kb_keyring_raw(&keyring, backend_keystore(kind), options, &err), want, &err);
    CU_ASSERT_PTR_NULL(keyring);
}

static void names(enum token_kind kind)
{
    static uint8_t letters[LONG_NAMESPACE + 1];
    struct kb_raw_keyring_options good = {"names", text("space"), text("name"), KB_WRAP_AES};
    struct kb_raw_keyring_options options;
    const struct kb_bytes bad[] = {{NULL, 0}, text("\xff"), text("aws-kms")};
    struct kb_keyring *keyring = NULL;
    struct kb_error err = {0};

    import_aes(kind, "names", 32, 1);
    memset(letters, 'x', sizeof letters);
    for (size_t i = 0; i < 3; i++) {
        options = good;
        options.key_namespace = bad[i];
        refused(kind, &options, KB_ERR_USAGE);
        options = good;
        options.key_name = bad[i];
        if (i < 2) /* a key may be called so */
            refused(kind, &options, KB_ERR_USAGE);
    }
    options = good;
    options.key = NULL;
    refused(kind, &options, KB_ERR_USAGE);
    options.key = "no-such-key";
    refused(kind, &options, KB_ERR_NOT_FOUND);
    options = good;
    options.key_namespace = (struct kb_bytes){letters, LONG_NAMESPACE + 1};
    refused(kind, &options, KB_ERR_USAGE);
    options = good;
    options.key_name = (struct kb_bytes){letters, LONG_NAME + 1};
    refused(kind, &options, KB_ERR_USAGE);
    options.key_name.size = LONG_NAME;
    options.key_namespace = (struct kb_bytes){letters, LONG_NAMESPACE};
    KBT_OK(kb_keyring_raw(&keyring, backend_keystore(kind), &options, &err), &err);
    if (keyring) {
        struct trial trial;

        trial_begin(&trial, 32, "");
        trial_wrap(&trial, keyring);
        CU_ASSERT_EQUAL(trial.edks[0].info.size, 65535);
        CU_ASSERT_TRUE(trial_opens(&trial, keyring) && trial_is_right(&trial));
        trial_end(&trial);
    }
    kb_keyring_release(keyring);
}
DEFINE_BOTH(names)

static void keys_and_paddings(enum token_kind kind)
{
    static const enum kb_wrap_algorithm rsa[] = {
        KB_WRAP_AES, KB_WRAP_PKCS1, KB_WRAP_OAEP_SHA1, KB_WRAP_OAEP_SHA256_MGF_SHA256,
        KB_WRAP_OAEP_SHA384_MGF_SHA384, KB_WRAP_OAEP_SHA512_MGF_SHA512};
    static const enum kb_wrap_algorithm mixed[] = {KB_WRAP_OAEP_SHA256, KB_WRAP_OAEP_SHA384,
                                                   KB_WRAP_OAEP_SHA512};
    struct kb_key_spec kept = {
        .name = "kp-kept", .use = KB_KEY_WRAP, .type = KB_KEY_RSA_2048, .release_never = true};
    struct kb_raw_keyring_options options = {"kp-rsa", text("space"), text("name"), KB_WRAP_AES};
    struct kb_token *token = backend_lease(kind);
    struct kb_error err = {0};

    import_aes(kind, "kp-aes", 16, 1);
    make_key(kind, "kp-rsa", KB_KEY_WRAP, KB_KEY_RSA_2048);
    make_key(kind, "kp-rsa-sign", KB_KEY_SIGN, KB_KEY_RSA_2048);
    make_key(kind, "kp-aes-wrap", KB_KEY_WRAP, KB_KEY_AES_256);
    make_key(kind, "kp-content", KB_KEY_CONTENT, KB_KEY_AES_256);
    for (size_t i = 0; i < sizeof rsa / sizeof *rsa; i++)
        kb_keyring_release(keyring_named(kind, "kp-rsa", "name", rsa[i]));
    for (size_t i = 0; i < sizeof mixed / sizeof *mixed; i++) {
        options.padding = mixed[i];
        refused(kind, &options, KB_ERR_USAGE);
    }
    options.key = "kp-aes";
    for (size_t i = 1; i < sizeof rsa / sizeof *rsa; i++) {
        options.padding = rsa[i];
        refused(kind, &options, KB_ERR_USAGE);
    }
    options.padding = KB_WRAP_AES;
    options.key = "kp-rsa-sign";
    refused(kind, &options, KB_ERR_DENIED);
    options.key = "kp-aes-wrap";
    refused(kind, &options, KB_ERR_DENIED);
    options.key = "kp-content";
    refused(kind, &options, KB_ERR_DENIED);
    if (kb_key_create(token, &kept, &err) == KB_OK) {
        options.key = "kp-kept";
        refused(kind, &options, KB_ERR_DENIED);
    }
    kb_token_return(token);
}
DEFINE_BOTH(keys_and_paddings)

/* --- raw AES ---------------------------------------------------------------------------------- */

/* The layout, byte by byte, and the ciphertext by OpenSSL. */
static void check_layout(const struct trial *trial, size_t key_size)
{
    const struct kb_edk *edk = &trial->edks[0];
    uint8_t out[KB_TOKEN_DATA_KEY_MAX], tag[KB_GCM_TAG_SIZE], value[32];
    struct kb_error err = {0};
    struct kb_gcm *gcm = NULL;
    struct kb_gcm_text sealed = {edk->info.data + 4 + 8, trial->wrap.context,
                                 {edk->ciphertext.data, trial->size}, out, tag};

    KBT_TEXT(edk->provider, "space");
    CU_ASSERT_EQUAL_FATAL(edk->info.size, 4 + 20);
    CU_ASSERT_EQUAL(memcmp(edk->info.data, "name\0\0\0\x80\0\0\0\x0c", 12), 0);
    CU_ASSERT_EQUAL_FATAL(edk->ciphertext.size, trial->size + KB_GCM_TAG_SIZE);
    memcpy(value, aes_value, sizeof value);
    memcpy(tag, edk->ciphertext.data + trial->size, sizeof tag);
    KBT_OK(kb_gcm_new(&gcm, (struct kb_bytes){value, key_size}, &err), &err);
    KBT_OK(kb_gcm_decrypt(gcm, &sealed, &err), &err);
    CU_ASSERT_EQUAL(memcmp(out, trial->data_key, trial->size), 0);
    kb_gcm_free(gcm);
}

static void aes_layout(enum token_kind kind)
{
    for (size_t key = 16; key <= 32; key += 8) {
        char name[16];
        struct kb_keyring *keyring;

        snprintf(name, sizeof name, "layout-%zu", 8 * key);
        import_aes(kind, name, key, aes_value[0]);
        keyring = keyring_named(kind, name, "name", KB_WRAP_AES);
        for (size_t size = 16; size <= 32; size += 8) {
            struct trial trial;

            trial_begin(&trial, size, "a context");
            trial_wrap(&trial, keyring);
            check_layout(&trial, key);
            CU_ASSERT_TRUE(trial_opens(&trial, keyring) && trial_is_right(&trial));
            trial_end(&trial);
        }
        kb_keyring_release(keyring);
    }
}
DEFINE_BOTH(aes_layout)

/* Every bit of an encrypted data key, every length of its fields, its context. */
static void aes_altered(enum token_kind kind)
{
    struct kb_keyring *keyring;
    struct trial trial;
    struct kb_edk edk;

    import_aes(kind, "altered", 32, 3);
    keyring = keyring_named(kind, "altered", "name", KB_WRAP_AES);
    trial_begin(&trial, 24, "a context");
    trial_wrap(&trial, keyring);
    edk = trial.edks[0];
    for (size_t bit = 0; bit < 8 * trial.bytes.size; bit++) {
        uint8_t *byte = &trial.bytes.data[bit / 8];

        *byte ^= (uint8_t)(1 << bit % 8);
        /* Lengths are read before. */
        CU_ASSERT_EQUAL(trial_opens(&trial, keyring),
                        byte < edk.provider.data ||
                            byte + 2 == edk.info.data || byte + 1 == edk.info.data ||
                            byte + 2 == edk.ciphertext.data || byte + 1 == edk.ciphertext.data);
        *byte ^= (uint8_t)(1 << bit % 8);
    }
    count_anew();
    for (int field = 0; field < 3; field++) {
        struct kb_bytes *changed = field == 0   ? &trial.edks[0].provider
                                   : field == 1 ? &trial.edks[0].info
                                                : &trial.edks[0].ciphertext;

        for (changed->size--; changed->size > 0; changed->size--)
            CU_ASSERT_FALSE(trial_opens(&trial, keyring));
        CU_ASSERT_FALSE(trial_opens(&trial, keyring));
        trial.edks[0] = edk;
    }
    trial.unwrap.key_size = 32;
    CU_ASSERT_FALSE(trial_opens(&trial, keyring));
    trial.unwrap.key_size = 16;
    CU_ASSERT_FALSE(trial_opens(&trial, keyring));
    CU_ASSERT_EQUAL(calls.gcm, 0);
    trial.unwrap.key_size = 24;
    trial.unwrap.context = text("a contexT");
    CU_ASSERT_FALSE(trial_opens(&trial, keyring));
    trial.unwrap.context = text("a context");
    CU_ASSERT_TRUE(trial_opens(&trial, keyring) && trial_is_right(&trial));
    trial_end(&trial);
    kb_keyring_release(keyring);
}
DEFINE_BOTH(aes_altered)

/* Two keys of one name: the old version of a key and the new one. */
static void aes_same_name(enum token_kind kind)
{
    struct kb_keyring *old, *new;
    struct trial trial;

    import_aes(kind, "same-1", 32, 1);
    import_aes(kind, "same-2", 32, 2);
    old = keyring_named(kind, "same-1", "name", KB_WRAP_AES);
    new = keyring_named(kind, "same-2", "name", KB_WRAP_AES);
    trial_begin(&trial, 32, "");
    trial_wrap(&trial, old);
    CU_ASSERT_FALSE(trial_opens(&trial, new));
    trial_wrap(&trial, new);
    CU_ASSERT_EQUAL(trial.wrap.edk_count, 2);
    count_anew();
    CU_ASSERT_TRUE(trial_opens(&trial, old) && trial_is_right(&trial));
    CU_ASSERT_EQUAL(trial.unwrap.opened_by, 0);
    CU_ASSERT_EQUAL(calls.gcm, 1);
    memset(trial.got, 0, sizeof trial.got);
    CU_ASSERT_TRUE(trial_opens(&trial, new) && trial_is_right(&trial));
    CU_ASSERT_EQUAL(trial.unwrap.opened_by, 1);
    CU_ASSERT_EQUAL(calls.gcm, 3);
    trial_end(&trial);
    kb_keyring_release(old);
    kb_keyring_release(new);
}
DEFINE_BOTH(aes_same_name)

/* --- batches ---------------------------------------------------------------------------------- */

enum { MANY = 300 };

static void batch_of(enum token_kind kind, struct kb_keyring *keyring, struct kb_keyring *second)
{
    struct trial *trials = calloc(MANY, sizeof *trials);
    struct kb_wrap_job *wraps = calloc(MANY, sizeof *wraps);
    struct kb_unwrap_job *unwraps = calloc(MANY, sizeof *unwraps);
    struct kb_error err = {0};

    (void)kind;
    CU_ASSERT_TRUE_FATAL(trials && wraps && unwraps);
    for (size_t i = 0; i < MANY; i++) {
        char context[16];

        snprintf(context, sizeof context, "%zu", i);
        trial_begin(&trials[i], i % 3 * 8 + 16, "context");
        trials[i].data_key[0] = (uint8_t)i;
        wraps[i] = trials[i].wrap;
    }
    count_anew();
    KBT_OK(kb_keyring_wrap(keyring, wraps, MANY, &err), &err);
    CU_ASSERT_TRUE(calls.gcm <= 1);
    if (second)
        KBT_OK(kb_keyring_wrap(second, wraps, MANY, &err), &err);
    for (size_t i = 0; i < MANY; i++) {
        trials[i].wrap = wraps[i];
        trial_parse(&trials[i]);
        unwraps[i] = trials[i].unwrap;
        unwraps[i].opened = i == 5; /* passed over */
    }
    count_anew();
    KBT_OK(kb_keyring_unwrap(second ? second : keyring, unwraps, MANY, &err), &err);
    CU_ASSERT_EQUAL(calls.gcm + calls.unwrap, second ? 6 : 3);
    for (size_t i = 0; i < MANY; i++) {
        CU_ASSERT_TRUE(unwraps[i].opened);
        CU_ASSERT_EQUAL(trial_is_right(&trials[i]), i != 5);
        trial_end(&trials[i]);
    }
    free(trials);
    free(wraps);
    free(unwraps);
}

static void batches(enum token_kind kind)
{
    struct kb_keyring *aes, *other, *rsa;

    import_aes(kind, "batch", 32, 1);
    import_aes(kind, "batch-2", 32, 2);
    make_key(kind, "batch-rsa", KB_KEY_WRAP, KB_KEY_RSA_2048);
    aes = keyring_named(kind, "batch", "name", KB_WRAP_AES);
    other = keyring_named(kind, "batch-2", "name", KB_WRAP_AES);
    rsa = keyring_named(kind, "batch-rsa", "name", KB_WRAP_AES);
    batch_of(kind, aes, NULL);
    batch_of(kind, aes, other);
    batch_of(kind, rsa, NULL);
    kb_keyring_release(aes);
    kb_keyring_release(other);
    kb_keyring_release(rsa);
}
DEFINE_BOTH(batches)

/* As much context as a header has, in a full batch. */
static void long_contexts(enum token_kind kind)
{
    static uint8_t context[KB_TOKEN_AAD_MAX];
    struct kb_wrap_job wraps[KB_TOKEN_BATCH_MAX];
    struct kb_unwrap_job unwraps[KB_TOKEN_BATCH_MAX];
    struct trial *trials = calloc(KB_TOKEN_BATCH_MAX, sizeof *trials);
    struct kb_keyring *keyring;
    struct kb_error err = {0};

    CU_ASSERT_PTR_NOT_NULL_FATAL(trials);
    import_aes(kind, "long", 32, 1);
    keyring = keyring_named(kind, "long", "name", KB_WRAP_AES);
    memset(context, 'c', sizeof context);
    for (size_t i = 0; i < KB_TOKEN_BATCH_MAX; i++) {
        trial_begin(&trials[i], 32, "");
        trials[i].wrap.context = (struct kb_bytes){context, sizeof context};
        wraps[i] = trials[i].wrap;
    }
    KBT_OK(kb_keyring_wrap(keyring, wraps, KB_TOKEN_BATCH_MAX, &err), &err);
    for (size_t i = 0; i < KB_TOKEN_BATCH_MAX; i++) {
        trials[i].wrap = wraps[i];
        trial_parse(&trials[i]);
        unwraps[i] = trials[i].unwrap;
    }
    KBT_OK(kb_keyring_unwrap(keyring, unwraps, KB_TOKEN_BATCH_MAX, &err), &err);
    for (size_t i = 0; i < KB_TOKEN_BATCH_MAX; i++) {
        CU_ASSERT_TRUE(unwraps[i].opened && trial_is_right(&trials[i]));
        trial_end(&trials[i]);
    }
    free(trials);
    kb_keyring_release(keyring);
}
DEFINE_BOTH(long_contexts)

/* --- raw RSA ---------------------------------------------------------------------------------- */

static const enum kb_wrap_algorithm paddings[] = {
    KB_WRAP_PKCS1, KB_WRAP_OAEP_SHA1, KB_WRAP_OAEP_SHA256_MGF_SHA256,
    KB_WRAP_OAEP_SHA384_MGF_SHA384, KB_WRAP_OAEP_SHA512_MGF_SHA512};
enum { PADDINGS = sizeof paddings / sizeof *paddings };

static void rsa_paddings(enum token_kind kind)
{
    make_key(kind, "rsa", KB_KEY_WRAP, KB_KEY_RSA_2048);
    for (size_t p = 0; p < PADDINGS; p++) {
        struct kb_keyring *keyring = keyring_named(kind, "rsa", "name", paddings[p]);
        struct kb_keyring *other = keyring_named(kind, "rsa", "name", paddings[(p + 1) % PADDINGS]);

        for (size_t size = 16; size <= 32; size += 8) {
            struct trial trial;

            trial_begin(&trial, size, "");
            trial_wrap(&trial, keyring);
            KBT_TEXT(trial.edks[0].provider, "space");
            KBT_TEXT(trial.edks[0].info, "name");
            CU_ASSERT_EQUAL(trial.edks[0].ciphertext.size, 256);
            trial.unwrap.fits = fits;
            trial.unwrap.ctx = &trial;
            CU_ASSERT_FALSE(trial_opens(&trial, other));
            CU_ASSERT_TRUE(trial_opens(&trial, keyring) && trial_is_right(&trial));
            /* Another length than the suite's */
            trial.unwrap.key_size = size == 32 ? 16 : 32;
            CU_ASSERT_FALSE(trial_opens(&trial, keyring));
            /* Bytes that are none */
            trial.unwrap.key_size = size;
            trial.edks[0].ciphertext.size--;
            CU_ASSERT_FALSE(trial_opens(&trial, keyring));
            trial.edks[0].ciphertext.size = 0;
            CU_ASSERT_FALSE(trial_opens(&trial, keyring));
            trial_end(&trial);
        }
        kb_keyring_release(keyring);
        kb_keyring_release(other);
    }
}
DEFINE_BOTH(rsa_paddings)

/* What is wrong with PKCS#1 v1.5 is not told: it is a key like any other until
 * its message says that it is not. */
static void rsa_pkcs1(enum token_kind kind)
{
    struct kb_keyring *old, *new, *oaep, *both;
    struct trial trial;

    make_key(kind, "pkcs1-old", KB_KEY_WRAP, KB_KEY_RSA_2048);
    make_key(kind, "pkcs1-new", KB_KEY_WRAP, KB_KEY_RSA_2048);
    old = keyring_named(kind, "pkcs1-old", "name", KB_WRAP_PKCS1);
    new = keyring_named(kind, "pkcs1-new", "name", KB_WRAP_PKCS1);
    oaep = keyring_named(kind, "pkcs1-new", "name", KB_WRAP_AES);
    for (size_t size = 16; size <= 32; size += 8) {
        trial_begin(&trial, size, "");
        trial_wrap(&trial, oaep); /* no PKCS#1 */
        CU_ASSERT_TRUE(trial_opens(&trial, new));
        CU_ASSERT_FALSE(trial_is_right(&trial));
        trial_wrap(&trial, old);
        trial_wrap(&trial, new);
        trial.unwrap.edks = &trial.edks[2];
        trial.unwrap.edk_count = 1;
        trial.unwrap.key_size = size == 16 ? 32 : 16; /* as if it were another suite's */
        CU_ASSERT_TRUE(trial_opens(&trial, new));
        CU_ASSERT_NOT_EQUAL(memcmp(trial.got, trial.data_key, 16), 0);
        trial_parse(&trial);
        trial.unwrap.fits = fits;
        trial.unwrap.ctx = &trial;
        CU_ASSERT_TRUE(trial_opens(&trial, new) && trial_is_right(&trial));
        CU_ASSERT_EQUAL(trial.unwrap.opened_by, 2);
        CU_ASSERT_TRUE(trial_opens(&trial, old) && trial_is_right(&trial));
        CU_ASSERT_EQUAL(trial.unwrap.opened_by, 1);
        trial_end(&trial);
    }
    /* Two versions of a key, one name: the first does not hide the second. */
    trial_begin(&trial, 32, "");
    trial_wrap(&trial, new);
    both = multi_of(old, new);
    trial.unwrap.fits = fits;
    trial.unwrap.ctx = &trial;
    CU_ASSERT_TRUE(trial_opens(&trial, both) && trial_is_right(&trial));
    trial_end(&trial);
    kb_keyring_release(both);
    kb_keyring_release(oaep);
}
DEFINE_BOTH(rsa_pkcs1)

static enum kb_status append(void *ctx, struct kb_bytes bytes, struct kb_error *err)
{
    kb_buffer_put_bytes(ctx, bytes);
    return kb_buffer_check(ctx, err);
}

static void push_all(struct kb_esdk_message *message, struct kb_bytes in, struct kb_buffer *out,
                     enum kb_status want)
{
    const struct kb_esdk_sink sink = {append, out};
    struct kb_error err = {0};

    FAILS(kb_esdk_push(message, in, true, &sink, &err), want, &err);
    kb_esdk_free(message);
}

/* The same with whole messages: their header says which data key is theirs. */
static void rsa_pkcs1_message(enum token_kind kind)
{
    static const uint16_t suites[] = {0x0114, 0x0578};
    static const struct kb_esdk_options forbid = {.policy = KB_COMMITMENT_FORBID_ALLOW};
    static const struct kb_esdk_options allow = {.policy = KB_COMMITMENT_REQUIRE_ALLOW};
    struct kb_keyring *oaep, *pkcs1, *writer;
    struct kb_error err = {0};

    make_key(kind, "pkcs1-message", KB_KEY_WRAP, KB_KEY_RSA_2048);
    oaep = keyring_named(kind, "pkcs1-message", "name", KB_WRAP_OAEP_SHA1);
    pkcs1 = keyring_named(kind, "pkcs1-message", "name", KB_WRAP_PKCS1);
    for (size_t i = 0; i < 4; i++) {
        const struct kb_esdk_encrypt_options how = {.suite = suites[i / 2]};
        bool readable = i % 2 == 0;
        struct kb_buffer message = KB_BUFFER_INIT(1 << 16), out = KB_BUFFER_INIT(1 << 16);
        struct kb_esdk *write = NULL, *read = NULL;
        struct kb_esdk_message *one = NULL;

        /* Two recipients, the first not for this padding; or only that one. */
        writer = readable ? multi_of(kb_keyring_retain(oaep), kb_keyring_retain(pkcs1))
                          : kb_keyring_retain(oaep);
        KBT_OK(kb_esdk_new(&write, writer, i / 2 ? &allow : &forbid, &err), &err);
        KBT_OK(kb_esdk_encrypt(&one, 1, write, &how, &err), &err);
        push_all(one, text("a text"), &message, KB_OK);
        KBT_OK(kb_esdk_new(&read, pkcs1, &allow, &err), &err);
        KBT_OK(kb_esdk_decrypt(&one, read, NULL, &err), &err);
        push_all(one, kb_buffer_view(&message), &out, readable ? KB_OK : KB_ERR_AUTH);
        KBT_TEXT(kb_buffer_view(&out), readable ? "a text" : "");
        kb_esdk_release(write);
        kb_esdk_release(read);
        kb_keyring_release(writer);
        kb_buffer_free(&message);
        kb_buffer_free(&out);
    }
    kb_keyring_release(oaep);
    kb_keyring_release(pkcs1);
}
DEFINE_BOTH(rsa_pkcs1_message)

static void rsa_public_only(enum token_kind kind)
{
    struct kb_keyring *public, *private;
    struct kb_error err = {0};
    struct trial trial;

    make_key(kind, "pub-whole", KB_KEY_WRAP, KB_KEY_RSA_3072);
    import_public(kind, "pub-whole", "pub-half");
    public = keyring_named(kind, "pub-half", "name", KB_WRAP_AES);
    private = keyring_named(kind, "pub-whole", "name", KB_WRAP_AES);
    trial_begin(&trial, 32, "");
    count_anew();
    trial_wrap(&trial, public);
    CU_ASSERT_EQUAL(calls.gcm + calls.unwrap, 0);
    FAILS(kb_keyring_unwrap(public, &trial.unwrap, 1, &err), KB_ERR_DENIED, &err);
    CU_ASSERT_FALSE(trial.unwrap.opened);
    CU_ASSERT_TRUE(trial_opens(&trial, private) && trial_is_right(&trial));
    /* Nothing that could be its: nothing to be denied. */
    trial.unwrap.edk_count = 0;
    CU_ASSERT_FALSE(trial_opens(&trial, public));
    trial_end(&trial);
    kb_keyring_release(public);
    kb_keyring_release(private);
}
DEFINE_BOTH(rsa_public_only)

/* --- several keyrings ------------------------------------------------------------------------- */

static void multi_order(enum token_kind kind)
{
    struct kb_keyring *a, *b, *both, *nested, *nothing = NULL;
    struct kb_error err = {0};
    struct trial trial;

    import_aes(kind, "order-a", 32, 1);
    import_aes(kind, "order-b", 16, 2);
    a = keyring_named(kind, "order-a", "a", KB_WRAP_AES);
    b = keyring_named(kind, "order-b", "b", KB_WRAP_AES);
    both = multi_of(kb_keyring_retain(a), kb_keyring_retain(b));
    nested = multi_of(kb_keyring_retain(b), both);
    trial_begin(&trial, 32, "context");
    trial_wrap(&trial, nested);
    CU_ASSERT_EQUAL_FATAL(trial.wrap.edk_count, 3);
    CU_ASSERT_EQUAL(trial.edks[0].info.data[0], 'b');
    CU_ASSERT_EQUAL(trial.edks[1].info.data[0], 'a');
    CU_ASSERT_EQUAL(trial.edks[2].info.data[0], 'b');
    count_anew();
    CU_ASSERT_TRUE(trial_opens(&trial, nested) && trial_is_right(&trial));
    CU_ASSERT_EQUAL(trial.unwrap.opened_by, 0);
    CU_ASSERT_EQUAL(calls.gcm, 1); /* the first that opens is enough */
    CU_ASSERT_TRUE(trial_opens(&trial, a));
    CU_ASSERT_EQUAL(trial.unwrap.opened_by, 1);
    trial.unwrap.edk_count = 2;
    trial.unwrap.edks = &trial.edks[1];
    CU_ASSERT_TRUE(trial_opens(&trial, nested) && trial_is_right(&trial));
    CU_ASSERT_EQUAL(trial.unwrap.opened_by, 1); /* children in order, not data keys */
    FAILS(kb_keyring_multi(&nothing, &a, 0, &err), KB_ERR_USAGE, &err);
    CU_ASSERT_PTR_NULL(nothing);
    trial_end(&trial);
    kb_keyring_release(a);
    kb_keyring_release(b);
    CU_ASSERT_EQUAL(nested->references, 1);
    kb_keyring_release(nested);
}
DEFINE_BOTH(multi_order)

/* A child that cannot is no matter while another one opens. */
static void multi_failures(enum token_kind kind)
{
    struct kb_keyring *public, *aes, *gone, *both;
    struct kb_unwrap_job jobs[2];
    struct kb_error err = {0};
    struct trial trial, other;

    make_key(kind, "fail-whole", KB_KEY_WRAP, KB_KEY_RSA_2048);
    import_public(kind, "fail-whole", "fail-half");
    import_aes(kind, "fail-aes", 32, 1);
    import_aes(kind, "fail-gone", 32, 2);
    public = keyring_named(kind, "fail-half", "name", KB_WRAP_AES);
    aes = keyring_named(kind, "fail-aes", "name", KB_WRAP_AES);
    gone = keyring_named(kind, "fail-gone", "gone", KB_WRAP_AES);
    both = multi_of(kb_keyring_retain(public), kb_keyring_retain(aes));
    trial_begin(&trial, 32, "");
    trial_wrap(&trial, both);
    CU_ASSERT_TRUE(trial_opens(&trial, both) && trial_is_right(&trial));
    CU_ASSERT_EQUAL(trial.unwrap.opened_by, 1);
    /* One of two stays closed: what went wrong is said, the other is open. */
    trial_begin(&other, 32, "");
    trial_wrap(&other, public);
    jobs[0] = other.unwrap;
    jobs[1] = trial.unwrap;
    jobs[1].opened = false;
    FAILS(kb_keyring_unwrap(both, jobs, 2, &err), KB_ERR_DENIED, &err);
    CU_ASSERT_TRUE(!jobs[0].opened && jobs[1].opened);
    kb_keyring_release(both);
    /* A key that was destroyed: fatal for who writes. */
    both = multi_of(kb_keyring_retain(gone), aes);
    trial_wrap(&trial, both);
    destroy_key(kind, "fail-gone");
    FAILS(kb_keyring_wrap(both, &trial.wrap, 1, &err), KB_ERR_NOT_FOUND, &err);
    CU_ASSERT_TRUE(trial_opens(&trial, both) && trial_is_right(&trial));
    FAILS(kb_keyring_unwrap(gone, &trial.unwrap, 1, &err), KB_OK, &err);
    trial.unwrap.opened = false;
    FAILS(kb_keyring_unwrap(gone, &trial.unwrap, 1, &err), KB_ERR_NOT_FOUND, &err);
    trial_end(&trial);
    trial_end(&other);
    kb_keyring_release(both);
    kb_keyring_release(gone);
    kb_keyring_release(public);
}
DEFINE_BOTH(multi_failures)

/* The token goes away at each call in turn; what was opened before stays so. */
static void token_gone(enum token_kind kind)
{
    struct kb_keyring *old, *new, *both;
    struct kb_error err = {0};
    struct trial trial;

    import_aes(kind, "leave-1", 32, 1);
    import_aes(kind, "leave-2", 32, 2);
    old = keyring_named(kind, "leave-1", "name", KB_WRAP_AES);
    new = keyring_named(kind, "leave-2", "name", KB_WRAP_AES);
    both = multi_of(kb_keyring_retain(old), kb_keyring_retain(new));
    for (unsigned call = 1; call <= 2; call++) {
        trial_begin(&trial, 32, "");
        count_anew();
        calls.fail_from = call;
        FAILS(kb_keyring_wrap(both, &trial.wrap, 1, &err), KB_ERR_TOKEN, &err);
        CU_ASSERT_EQUAL(calls.gcm, call);
        trial_end(&trial);
    }
    count_anew();
    trial_begin(&trial, 32, "");
    trial_wrap(&trial, both);
    for (unsigned call = 1; call <= 2; call++) {
        count_anew();
        calls.fail_from = call;
        trial.unwrap.opened = false;
        FAILS(kb_keyring_unwrap(new, &trial.unwrap, 1, &err), KB_ERR_TOKEN, &err);
        CU_ASSERT_FALSE(trial.unwrap.opened);
    }
    count_anew();
    CU_ASSERT_TRUE(trial_opens(&trial, new) && trial_is_right(&trial));
    trial_end(&trial);
    kb_keyring_release(both);
    kb_keyring_release(old);
    kb_keyring_release(new);
}
DEFINE_BOTH(token_gone)

/* --- helpers ---------------------------------------------------------------------------------- */

static size_t count_idle(const struct kb_keystore *keystore)
{
    size_t n = 0;

    for (const struct kb_token *token = keystore->idle; token; token = token->next)
        n++;
    return n;
}

static void *use_often(void *ctx)
{
    for (int i = 0; i < 20; i++) {
        struct kb_error err = {0};
        struct trial trial;

        trial_begin(&trial, 32, "");
        if (kb_keyring_wrap(ctx, &trial.wrap, 1, &err) != KB_OK)
            return &calls;
        trial_parse(&trial);
        if (kb_keyring_unwrap(ctx, &trial.unwrap, 1, &err) != KB_OK || !trial.unwrap.opened ||
            !trial_is_right(&trial))
            return &calls;
        trial_end(&trial);
    }
    return NULL;
}

/* Keyrings hold no helper between calls, and one at a time within. */
static void helpers(void)
{
    enum { THREADS = 3 };
    struct token_fixture fixture;
    struct kb_keystore *keystore = NULL;
    struct kb_key_spec spec = {.use = KB_KEY_ENVELOPE, .type = KB_KEY_AES_256};
    struct kb_keyring *children[4], *multi = NULL;
    pthread_t threads[THREADS];
    struct kb_error err = {0};
    struct kb_token *token;

    if (!token_module(TOKEN_SOFTHSM))
        return;
    CU_ASSERT_TRUE_FATAL(token_fixture_open(&fixture, TOKEN_SOFTHSM, &keystore));
    KBT_OK(kb_token_lease(&token, keystore, &err), &err);
    for (int i = 0; i < 4; i++) {
        char name[16];
        struct kb_raw_keyring_options options = {name, text("space"), text("name"), KB_WRAP_AES};

        snprintf(name, sizeof name, "key-%d", i);
        spec.name = name;
        KBT_OK(kb_key_create(token, &spec, &err), &err);
        kb_token_return(token);
        KBT_OK(kb_keyring_raw(&children[i], keystore, &options, &err), &err);
        KBT_OK(kb_token_lease(&token, keystore, &err), &err);
    }
    kb_token_return(token);
    KBT_OK(kb_keyring_multi(&multi, children, 4, &err), &err);
    CU_ASSERT_PTR_NULL(use_often(multi));
    CU_ASSERT_EQUAL(count_idle(keystore), 1);
    for (int i = 0; i < THREADS; i++)
        CU_ASSERT_EQUAL(pthread_create(&threads[i], NULL, use_often, multi), 0);
    for (int i = 0; i < THREADS; i++) {
        void *failed = &calls;

        pthread_join(threads[i], &failed);
        CU_ASSERT_PTR_NULL(failed);
    }
    CU_ASSERT_TRUE(count_idle(keystore) <= THREADS);
    kb_keyring_release(multi);
    for (int i = 0; i < 4; i++)
        kb_keyring_release(children[i]);
    kb_keystore_close(keystore);
    token_fixture_free(&fixture);
}

/* --- without a token -------------------------------------------------------------------------- */

static void data_key(void)
{
    static const uint8_t key[33] = {1, 2, 3};
    struct kb_error err = {0};

    for (size_t size = 0; size <= sizeof key; size++) {
        struct kb_keyring *keyring = NULL;
        struct trial trial;

        if (size != 16 && size != 24 && size != 32) {
            FAILS(kb_keyring_data_key(&keyring, (struct kb_bytes){key, size}, &err), KB_ERR_USAGE,
                  &err);
            CU_ASSERT_PTR_NULL(keyring);
            continue;
        }
        KBT_OK(kb_keyring_data_key(&keyring, (struct kb_bytes){key, size}, &err), &err);
        trial_begin(&trial, size, "");
        FAILS(kb_keyring_wrap(keyring, &trial.wrap, 1, &err), KB_ERR_USAGE, &err);
        trial_parse(&trial);
        CU_ASSERT_TRUE(trial_opens(&trial, keyring));
        KBT_BYTES(((struct kb_bytes){trial.got, size}), ((struct kb_bytes){key, size}));
        trial.unwrap.key_size = size == 16 ? 24 : 16;
        CU_ASSERT_FALSE(trial_opens(&trial, keyring));
        trial_end(&trial);
        kb_keyring_release(keyring);
    }
    kb_keyring_release(NULL);
}

static bool all_zero(struct kb_bytes bytes)
{
    for (size_t i = 0; i < bytes.size; i++)
        if (bytes.data[i])
            return false;
    return true;
}

/* From the token wherever one of the keyrings has one. */
static void random_keys(enum token_kind kind)
{
    static const uint8_t key[32] = {1};
    struct kb_keyring *given = NULL, *aes, *both;
    struct kb_secret *out = NULL;
    struct kb_error err = {0};

    import_aes(kind, "random", 32, 1);
    aes = keyring_named(kind, "random", "name", KB_WRAP_AES);
    KBT_OK(kb_keyring_data_key(&given, (struct kb_bytes){key, sizeof key}, &err), &err);
    KBT_OK(kb_secret_new(&out, 64, &err), &err);
    count_anew();
    KBT_OK(kb_keyring_random(given, out, &err), &err);
    CU_ASSERT_FALSE(all_zero(kb_secret_view(out)));
    CU_ASSERT_EQUAL(calls.random, 0);
    memset(kb_secret_data(out), 0, 64);
    both = multi_of(given, aes);
    KBT_OK(kb_keyring_random(both, out, &err), &err);
    CU_ASSERT_FALSE(all_zero(kb_secret_view(out)));
    CU_ASSERT_EQUAL(calls.random, 1);
    kb_secret_free(out);
    kb_keyring_release(both);
}
DEFINE_BOTH(random_keys)

int main(int argc, char **argv)
{
    static const struct kbtest tests[] = {
        BOTH(names),
        BOTH(keys_and_paddings),
        BOTH(aes_layout),
        BOTH(aes_altered),
        BOTH(aes_same_name),
        BOTH(batches),
        BOTH(long_contexts),
        BOTH(rsa_paddings),
        BOTH(rsa_pkcs1),
        BOTH(rsa_pkcs1_message),
        BOTH(rsa_public_only),
        BOTH(multi_order),
        BOTH(multi_failures),
        BOTH(token_gone),
        {"helpers", helpers},
        {"data key", data_key},
        BOTH(random_keys),
        {NULL, NULL},
    };
    int status = kbtest_main("keyring", tests, argc, argv);

    backends_close();
    return status;
}
