/* SPDX-License-Identifier: Apache-2.0
 *
 * Work inside the token: data keys, MACs and encryption, held against OpenSSL.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "backends.h"

enum { ROOM = KB_TOKEN_BATCH_MAX * KB_TOKEN_DATA_KEY_MAX };

static const uint8_t *plain_of(struct kb_secret *plain, size_t i)
{
    return kb_secret_data(plain) + i * KB_TOKEN_DATA_KEY_MAX;
}

static void fill(uint8_t *data, size_t size, unsigned seed)
{
    for (size_t i = 0; i < size; i++)
        data[i] = (uint8_t)((seed = seed * 1103515245 + 12345) >> 16);
}

/* --- data keys ------------------------------------------------------------------ */

static void released_keys_round_trip(enum token_kind kind)
{
    struct kb_token *token = backend_lease(kind);
    static struct kb_data_key keys[KB_TOKEN_BATCH_MAX];
    struct kb_error err = {0};
    struct kb_secret *made, *back;

    backend_key(token, "kek", KB_KEY_WRAP, KB_KEY_AES_256);
    for (size_t size = 16; size <= 32; size += 8) {
        KBT_OK(kb_secret_new(&made, ROOM, &err), &err);
        KBT_OK(kb_secret_new(&back, ROOM, &err), &err);
        KBT_OK(backend_make_keys(token, "kek", size, keys, 128, made, &err), &err);
        for (size_t i = 0; i < 128; i++) {
            CU_ASSERT_EQUAL(keys[i].status, KB_OK);
            CU_ASSERT_EQUAL(keys[i].size, size);
            CU_ASSERT_EQUAL(keys[i].wrapped_size, size + 8);
            CU_ASSERT_EQUAL(keys[i].handle, 0);
            for (size_t j = 0; j < i; j++)
                CU_ASSERT_NOT_EQUAL(memcmp(plain_of(made, i), plain_of(made, j), size), 0);
            keys[i].size = 0;
        }
        KBT_OK(kb_token_unwrap_keys(token, "kek", keys, 128, back, &err), &err);
        CU_ASSERT_TRUE(kb_secret_equal(kb_secret_view(made), kb_secret_view(back)));
        CU_ASSERT_EQUAL(keys[127].size, size);
        kb_secret_free(made);
        kb_secret_free(back);
    }
    kb_token_return(token);
}
DEFINE_BOTH(released_keys_round_trip)

/* Encrypts a text under a handle; the result, of 16 bytes, tells the key. */
static bool stamp(struct kb_token *token, uint32_t handle, uint8_t out[16])
{
    struct kb_error err = {0};
    struct kb_cipher_job job = {.handle = handle, .in = kb_bytes_text("stamp")};

    KBT_OK(kb_token_cipher(token, true, NULL, &job, 1, &err), &err);
    if (job.out.size != 16)
        return false;
    memcpy(out, job.out.data, 16);
    return true;
}

static void kept_keys_stay_and_work(enum token_kind kind)
{
    struct kb_token *token = backend_lease(kind);
    struct kb_data_key keys[8], again[8];
    struct kb_error err = {0};
    uint32_t handles[17] = {0};
    uint8_t first[16], second[16];

    backend_key(token, "kek", KB_KEY_WRAP, KB_KEY_AES_256);
    for (size_t size = 16; size <= 32; size += 8) {
        KBT_OK(backend_make_keys(token, "kek", size, keys, 8, NULL, &err), &err);
        memcpy(again, keys, sizeof again);
        KBT_OK(kb_token_unwrap_keys(token, "kek", again, 8, NULL, &err), &err);
        for (size_t i = 0; i < 8; i++) {
            CU_ASSERT_NOT_EQUAL(keys[i].handle, 0);
            CU_ASSERT_NOT_EQUAL(keys[i].handle, again[i].handle);
            CU_ASSERT_EQUAL(again[i].size, size);
            CU_ASSERT_TRUE(stamp(token, keys[i].handle, first));
            CU_ASSERT_TRUE(stamp(token, again[i].handle, second));
            CU_ASSERT_EQUAL(memcmp(first, second, 16), 0);
            handles[i] = keys[i].handle;
            handles[8 + i] = again[i].handle;
        }
        KBT_OK(kb_token_forget(token, handles, 17, &err), &err);
        /* Forgotten is forgotten; and to forget twice does no harm. */
        FAILS(kb_token_cipher(token, true, NULL,
                              &(struct kb_cipher_job){.handle = handles[3],
                                                      .in = kb_bytes_text("x")},
                              1, &err),
              KB_ERR_USAGE, &err);
        KBT_OK(kb_token_forget(token, handles, 17, &err), &err);
    }
    kb_token_return(token);
}
DEFINE_BOTH(kept_keys_stay_and_work)

static void release_never_is_kept(enum token_kind kind)
{
    struct kb_token *token = backend_lease(kind);
    struct kb_key_spec spec = {
        .name = "never", .use = KB_KEY_WRAP, .type = KB_KEY_AES_256, .release_never = true};
    struct kb_error err = {0};
    struct kb_data_key key = {0}, wrapped;
    struct kb_key_info info;
    struct kb_secret *plain;
    uint8_t first[16], second[16];

    KBT_OK(kb_secret_new(&plain, ROOM, &err), &err);
    KBT_OK(kb_key_create(token, &spec, &err), &err);
    KBT_OK(kb_key_find(token, "never", &info, &err), &err);
    CU_ASSERT_TRUE(info.release_never);
    CU_ASSERT_EQUAL(info.release_never_enforced,
                    kind == TOKEN_SOFTHSM ? KB_ANSWER_YES : KB_ANSWER_NO);
    KBT_OK(backend_make_keys(token, "never", 32, &key, 1, NULL, &err), &err);
    wrapped = key;
    FAILS(backend_make_keys(token, "never", 32, &wrapped, 1, plain, &err), KB_ERR_DENIED, &err);
    wrapped = key;
    FAILS(kb_token_unwrap_keys(token, "never", &wrapped, 1, plain, &err), KB_ERR_DENIED, &err);
    for (size_t i = 0; i < ROOM; i++)
        CU_ASSERT_EQUAL(kb_secret_data(plain)[i], 0);
    KBT_OK(kb_token_unwrap_keys(token, "never", &wrapped, 1, NULL, &err), &err);
    CU_ASSERT_TRUE(stamp(token, key.handle, first) && stamp(token, wrapped.handle, second));
    CU_ASSERT_EQUAL(memcmp(first, second, 16), 0);
    kb_secret_free(plain);
    kb_token_return(token); /* with handles: the helper ends, and they with it */
    token = backend_lease(kind);
    FAILS(kb_token_cipher(token, true, NULL,
                          &(struct kb_cipher_job){.handle = key.handle, .in = kb_bytes_text("x")},
                          1, &err),
          KB_ERR_TOKEN, &err);
    kb_token_return(token);
}
DEFINE_BOTH(release_never_is_kept)

/* RFC 3394 sections 4.1 to 4.6, as far as a data key may be that long. */
static void rfc3394_vectors(enum token_kind kind)
{
    static const struct {
        size_t wrap_size, size;
        const char *wrapped;
    } rows[] = {
        {16, 16, "1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5"},
        {24, 16, "96778b25ae6ca435f92b5b97c050aed2468ab8a17ad84e5d"},
        {32, 16, "64e8c3f9ce0f5ba263e9777905818a2a93c8191e7d6e8ae7"},
        {24, 24, "031d33264e15d33268f24ec260743edce1c6c7ddee725a936ba814915c6762d2"},
        {32, 24, "a8f9bc1612c68b3ff6e6f4fbe30e71e4769c8b80a32cb8958cd5d17d6b254da1"},
        {32, 32,
         "28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21"},
    };
    struct kb_token *token = backend_lease(kind);
    struct kb_error err = {0};
    struct kb_secret *plain;
    uint8_t wrap[32], value[32];

    KBT_OK(kb_secret_new(&plain, ROOM, &err), &err);
    for (uint8_t i = 0; i < 32; i++) {
        wrap[i] = i;
        value[i] = (uint8_t)(i < 16 ? i * 0x11 : i - 16);
    }
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        enum kb_key_type type = rows[i].wrap_size == 16   ? KB_KEY_AES_128
                                : rows[i].wrap_size == 24 ? KB_KEY_AES_192
                                                          : KB_KEY_AES_256;
        struct kb_key_spec spec = {.name = "rfc3394", .use = KB_KEY_WRAP, .type = type};
        struct kb_data_key key = {.wrapped_size = (uint16_t)(rows[i].size + 8)};

        for (size_t j = 0; j < key.wrapped_size; j++)
            CU_ASSERT_EQUAL(sscanf(rows[i].wrapped + 2 * j, "%2hhx", &key.wrapped[j]), 1);
        backend_import(token, &spec, (struct kb_bytes){wrap, rows[i].wrap_size});
        KBT_OK(kb_token_unwrap_keys(token, "rfc3394", &key, 1, plain, &err), &err);
        CU_ASSERT_EQUAL(key.status, KB_OK);
        CU_ASSERT_EQUAL(key.size, rows[i].size);
        KBT_BYTES(((struct kb_bytes){plain_of(plain, 0), rows[i].size}),
                  ((struct kb_bytes){value, rows[i].size}));
        KBT_OK(kb_key_destroy(token, "rfc3394", &err), &err);
    }
    kb_secret_free(plain);
    kb_token_return(token);
}
DEFINE_BOTH(rfc3394_vectors)

/* What comes back of a damaged key: one status, whatever the damage. */
static void expect_damage(struct kb_token *token, struct kb_data_key *keys, size_t n,
                          struct kb_secret *plain)
{
    struct kb_error err = {0};

    KBT_OK(kb_token_unwrap_keys(token, "kek", keys, n, plain, &err), &err);
    for (size_t i = 0; i < n; i++) {
        CU_ASSERT_EQUAL(keys[i].status, KB_ERR_AUTH);
        CU_ASSERT_EQUAL(keys[i].handle, 0);
    }
}

static void every_damage_is_seen(enum token_kind kind)
{
    struct kb_token *token = backend_lease(kind);
    static struct kb_data_key keys[KB_TOKEN_BATCH_MAX];
    struct kb_data_key good = {0};
    struct kb_error err = {0};
    struct kb_secret *made, *plain;
    size_t n = 0;

    backend_key(token, "kek", KB_KEY_WRAP, KB_KEY_AES_256);
    KBT_OK(kb_secret_new(&made, 32, &err), &err);
    KBT_OK(kb_secret_new(&plain, ROOM, &err), &err);
    KBT_OK(backend_make_keys(token, "kek", 32, &good, 1, made, &err), &err);
    for (size_t bit = 0; bit < 40 * 8; bit++) {
        keys[n] = good;
        keys[n].wrapped[bit / 8] ^= (uint8_t)(1 << bit % 8);
        if (++n == KB_TOKEN_BATCH_MAX || bit == 40 * 8 - 1) {
            expect_damage(token, keys, n, plain);
            expect_damage(token, keys, n, NULL);
            n = 0;
        }
    }
    for (size_t size = 0; size < KB_TOKEN_WRAPPED_MAX; size++) {
        if (size == 40)
            continue;
        keys[n] = good;
        keys[n].wrapped_size = (uint16_t)size;
        if (++n == KB_TOKEN_BATCH_MAX || size == KB_TOKEN_WRAPPED_MAX - 1) {
            expect_damage(token, keys, n, plain);
            n = 0;
        }
    }
    for (size_t i = 0; i < ROOM; i++)
        CU_ASSERT_EQUAL(kb_secret_data(plain)[i], 0);
    /* A good one among bad ones, and the session still works. */
    keys[0] = keys[1] = keys[2] = good;
    keys[0].wrapped[0] ^= 1;
    keys[2].wrapped_size = UINT16_MAX;
    KBT_OK(kb_token_unwrap_keys(token, "kek", keys, 3, plain, &err), &err);
    CU_ASSERT_EQUAL(keys[0].status, KB_ERR_AUTH);
    CU_ASSERT_EQUAL(keys[1].status, KB_OK);
    CU_ASSERT_EQUAL(keys[2].status, KB_ERR_AUTH);
    KBT_BYTES(((struct kb_bytes){plain_of(plain, 1), 32}), kb_secret_view(made));
    /* Under another key it is not ours. */
    backend_key(token, "kek-2", KB_KEY_WRAP, KB_KEY_AES_256);
    KBT_OK(kb_token_unwrap_keys(token, "kek-2", &good, 1, plain, &err), &err);
    CU_ASSERT_EQUAL(good.status, KB_ERR_AUTH);
    kb_secret_free(made);
    kb_secret_free(plain);
    kb_token_return(token);
}
DEFINE_BOTH(every_damage_is_seen)

static void batches_have_limits(enum token_kind kind)
{
    struct kb_token *token = backend_lease(kind);
    static struct kb_data_key keys[KB_TOKEN_BATCH_MAX + 1];
    static struct kb_bytes messages[KB_TOKEN_BATCH_MAX + 1];
    static uint8_t macs[(KB_TOKEN_BATCH_MAX + 1) * BACKEND_MAC_ROOM];
    struct kb_error err = {0};
    struct kb_secret *small;
    size_t size;

    backend_key(token, "kek", KB_KEY_WRAP, KB_KEY_AES_256);
    backend_key(token, "mac", KB_KEY_SIGN, KB_KEY_HMAC_SHA256);
    KBT_OK(kb_secret_new(&small, 2 * 32 - 1, &err), &err);
    KBT_OK(backend_make_keys(token, "kek", 32, keys, 0, NULL, &err), &err);
    KBT_OK(backend_make_keys(token, "kek", 32, keys, 128, NULL, &err), &err);
    FAILS(backend_make_keys(token, "kek", 32, keys, 129, NULL, &err), KB_ERR_USAGE, &err);
    FAILS(kb_token_unwrap_keys(token, "kek", keys, 129, NULL, &err), KB_ERR_USAGE, &err);
    KBT_OK(backend_make_keys(token, "kek", 32, keys, 1, small, &err), &err);
    FAILS(backend_make_keys(token, "kek", 32, keys, 2, small, &err), KB_ERR_USAGE, &err);
    for (size_t bad = 0; bad <= 33; bad++)
        if (bad != 16 && bad != 24 && bad != 32)
            FAILS(backend_make_keys(token, "kek", bad, keys, 1, NULL, &err), KB_ERR_USAGE, &err);
    KBT_OK(backend_mac(token, "mac", KB_SHA256, messages, 0, macs, &size, &err), &err);
    KBT_OK(backend_mac(token, "mac", KB_SHA256, messages, 128, macs, &size, &err), &err);
    CU_ASSERT_EQUAL(size, 32);
    FAILS(backend_mac(token, "mac", KB_SHA256, messages, 129, macs, &size, &err), KB_ERR_USAGE,
          &err);
    kb_secret_free(small);
    kb_token_return(token);
}
DEFINE_BOTH(batches_have_limits)

/* --- MACs -------------------------------------------------------------------------- */

static const EVP_MD *digest_of(enum kb_hash hash)
{
    return hash == KB_SHA224   ? EVP_sha224()
           : hash == KB_SHA256 ? EVP_sha256()
           : hash == KB_SHA384 ? EVP_sha384()
                               : EVP_sha512();
}

static void check_macs(struct kb_token *token, const char *name, enum kb_hash hash,
                       struct kb_bytes key, const struct kb_bytes *messages, size_t n)
{
    static uint8_t macs[KB_TOKEN_BATCH_MAX * BACKEND_MAC_ROOM];
    struct kb_error err = {0};
    size_t size = 0;

    KBT_OK(backend_mac(token, name, hash, messages, n, macs, &size, &err), &err);
    for (size_t i = 0; i < n; i++) {
        uint8_t want[EVP_MAX_MD_SIZE];
        unsigned want_size;

        HMAC(digest_of(hash), key.data, (int)key.size, messages[i].data ? messages[i].data : want,
             messages[i].size, want, &want_size);
        KBT_BYTES(((struct kb_bytes){macs + i * BACKEND_MAC_ROOM, size}),
                  ((struct kb_bytes){want, want_size}));
    }
}

static void macs_equal_openssl(enum token_kind kind)
{
    static const size_t sizes[] = {0, 1, 55, 56, 63, 64, 65, 111, 112, 127, 128, 129, 1376, 65536,
                                   1048576};
    struct kb_token *token = backend_lease(kind);
    struct kb_bytes messages[sizeof sizes / sizeof sizes[0]];
    uint8_t *data = malloc(1048576), key[64];
    struct kb_error err = {0};

    fill(data, 1048576, 1);
    fill(key, sizeof key, 2);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        messages[i] = (struct kb_bytes){sizes[i] ? data : NULL, sizes[i]};
    for (enum kb_hash hash = KB_SHA224; hash <= KB_SHA512; hash++) {
        struct kb_key_spec spec = {.name = "openssl-mac",
                                   .use = KB_KEY_SIGN,
                                   .type = (enum kb_key_type)(KB_KEY_HMAC_SHA224 + (int)hash)};
        struct kb_bytes value = {key, kb_hash_size(hash)};

        backend_import(token, &spec, value);
        check_macs(token, spec.name, hash, value, messages, sizeof sizes / sizeof sizes[0]);
        KBT_OK(kb_key_destroy(token, spec.name, &err), &err);
    }
    free(data);
    kb_token_return(token);
}
DEFINE_BOTH(macs_equal_openssl)

static void short_and_long_mac_keys(enum token_kind kind)
{
    static const size_t sizes[] = {1, 16, 31, 47, 48, 49, 127, 128, 129, 512};
    struct kb_token *token = backend_lease(kind);
    struct kb_bytes message = kb_bytes_text("padding with zeros leaves every MAC as it is");
    struct kb_error err = {0};
    uint8_t key[512];

    fill(key, sizeof key, 3);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct kb_key_spec spec = {.name = "odd-mac",
                                   .use = KB_KEY_SIGN,
                                   .type = KB_KEY_HMAC_SHA384,
                                   .allow_weak = true};
        struct kb_bytes value = {key, sizes[i]};

        backend_import(token, &spec, value);
        check_macs(token, spec.name, KB_SHA384, value, &message, 1);
        KBT_OK(kb_key_destroy(token, spec.name, &err), &err);
    }
    kb_token_return(token);
}
DEFINE_BOTH(short_and_long_mac_keys)

/* More than fits into one message to the helper: split, and the same. */
static void big_batches_are_split(enum token_kind kind)
{
    enum { SIZE = 1 << 20, COUNT = 40 };
    struct kb_token *token = backend_lease(kind);
    struct kb_bytes messages[COUNT];
    struct kb_error err = {0};
    uint8_t key[32], mac[BACKEND_MAC_ROOM];
    uint8_t *data = malloc(17 * SIZE);
    struct kb_key_spec spec = {
        .name = "big-mac", .use = KB_KEY_SIGN, .type = KB_KEY_HMAC_SHA256};
    size_t size;

    fill(data, 17 * SIZE, 4);
    fill(key, sizeof key, 5);
    backend_import(token, &spec, (struct kb_bytes){key, sizeof key});
    for (size_t i = 0; i < COUNT; i++)
        messages[i] = (struct kb_bytes){data + i, SIZE - i};
    check_macs(token, spec.name, KB_SHA256, (struct kb_bytes){key, 32}, messages, COUNT);
    messages[0].size = 16 * SIZE - 4;
    check_macs(token, spec.name, KB_SHA256, (struct kb_bytes){key, 32}, messages, 1);
    messages[0].size++;
    FAILS(backend_mac(token, spec.name, KB_SHA256, messages, 1, mac, &size, &err), KB_ERR_USAGE,
          &err);
    messages[0].size = SIZE_MAX;
    FAILS(backend_mac(token, spec.name, KB_SHA256, messages, 2, mac, &size, &err), KB_ERR_USAGE,
          &err);
    free(data);
    kb_token_return(token);
}
DEFINE_BOTH(big_batches_are_split)

/* --- encryption ----------------------------------------------------------------------- */

static size_t openssl_cbc(const uint8_t key[32], const uint8_t iv[16], struct kb_bytes in,
                          uint8_t *out)
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int size = 0, last = 0;

    EVP_EncryptInit_ex(ctx, EVP_aes_256_cbc(), NULL, key, iv);
    EVP_EncryptUpdate(ctx, out, &size, in.data, (int)in.size);
    EVP_EncryptFinal_ex(ctx, out + size, &last);
    EVP_CIPHER_CTX_free(ctx);
    return (size_t)(size + last);
}

static void encryption_equals_openssl(enum token_kind kind)
{
    enum { COUNT = 300, LARGEST = 70000 };
    struct kb_token *token = backend_lease(kind);
    struct kb_key_spec spec = {
        .name = "openssl-cbc", .use = KB_KEY_CONTENT, .type = KB_KEY_AES_256};
    struct kb_cipher_job *jobs = calloc(COUNT, sizeof *jobs);
    uint8_t *data = malloc(LARGEST), *want = malloc(LARGEST + 16);
    uint8_t *texts = malloc(COUNT * 512 + LARGEST);
    struct kb_error err = {0};
    uint8_t key[32];
    size_t used = 0;

    fill(data, LARGEST, 6);
    fill(key, sizeof key, 7);
    backend_import(token, &spec, (struct kb_bytes){key, sizeof key});
    for (size_t i = 0; i < COUNT; i++) {
        fill(jobs[i].iv, 16, (unsigned)i);
        jobs[i].in = (struct kb_bytes){data, i == 17 ? LARGEST : i};
    }
    KBT_OK(kb_token_cipher(token, true, spec.name, jobs, COUNT, &err), &err);
    for (size_t i = 0; i < COUNT; i++) {
        size_t size = openssl_cbc(key, jobs[i].iv, jobs[i].in, want);

        CU_ASSERT_EQUAL(jobs[i].status, KB_OK);
        KBT_BYTES(jobs[i].out, ((struct kb_bytes){want, size}));
        memcpy(texts + used, want, size);
        jobs[i].in = (struct kb_bytes){texts + used, size};
        used += size;
    }
    KBT_OK(kb_token_cipher(token, false, spec.name, jobs, COUNT, &err), &err);
    for (size_t i = 0; i < COUNT; i++)
        KBT_BYTES(jobs[i].out, ((struct kb_bytes){data, i == 17 ? LARGEST : i}));
    KBT_OK(kb_key_destroy(token, spec.name, &err), &err);
    free(jobs);
    free(data);
    free(want);
    free(texts);
    kb_token_return(token);
}
DEFINE_BOTH(encryption_equals_openssl)

static void bad_padding_is_one_status(enum token_kind kind)
{
    struct kb_token *token = backend_lease(kind);
    struct kb_cipher_job jobs[64];
    struct kb_error err = {0};
    uint8_t text[48];
    size_t failed = 0;

    backend_key(token, "cbc", KB_KEY_CONTENT, KB_KEY_AES_256);
    memset(jobs, 0, sizeof jobs);
    for (size_t i = 0; i < 64; i++) {
        fill(text, sizeof text, (unsigned)i); /* noise: hardly ever well padded */
        jobs[i].in = (struct kb_bytes){text, i % 49};
    }
    KBT_OK(kb_token_cipher(token, false, "cbc", jobs, 64, &err), &err);
    for (size_t i = 0; i < 64; i++) {
        CU_ASSERT_TRUE(jobs[i].status == KB_ERR_AUTH ||
                       (jobs[i].status == KB_OK && jobs[i].in.size && jobs[i].in.size % 16 == 0));
        failed += jobs[i].status == KB_ERR_AUTH;
        CU_ASSERT_TRUE(jobs[i].status == KB_OK || jobs[i].out.size == 0);
    }
    CU_ASSERT_TRUE(failed >= 60);
    jobs[0].in = kb_bytes_text("the session still works");
    KBT_OK(kb_token_cipher(token, true, "cbc", jobs, 1, &err), &err);
    CU_ASSERT_EQUAL(jobs[0].out.size, 32);
    kb_token_return(token);
}
DEFINE_BOTH(bad_padding_is_one_status)

static void nobody_gives_the_handles(enum token_kind kind)
{
    static const uint32_t wrong[] = {1, 2, 0xffff, 0x10000, 0x10001, 0xffffffff};
    struct kb_token *token = backend_lease(kind);
    struct kb_error err = {0};

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct kb_cipher_job job = {.handle = wrong[i], .in = kb_bytes_text("x")};
        enum kb_status status = kb_token_cipher(token, true, NULL, &job, 1, &err);

        CU_ASSERT_TRUE(status == KB_ERR_TOKEN || status == KB_ERR_USAGE);
        kb_error_clear(&err);
        KBT_OK(kb_token_forget(token, &wrong[i], 1, &err), &err);
    }
    kb_token_return(token);
}
DEFINE_BOTH(nobody_gives_the_handles)

static const struct kbtest tests[] = {
    BOTH(released_keys_round_trip),
    BOTH(kept_keys_stay_and_work),
    BOTH(release_never_is_kept),
    BOTH(rfc3394_vectors),
    BOTH(every_damage_is_seen),
    BOTH(batches_have_limits),
    BOTH(macs_equal_openssl),
    BOTH(short_and_long_mac_keys),
    BOTH(big_batches_are_split),
    BOTH(encryption_equals_openssl),
    BOTH(bad_padding_is_one_status),
    BOTH(nobody_gives_the_handles),
    {NULL, NULL},
};

int main(int argc, char **argv)
{
    int result = kbtest_main("token_work", tests, argc, argv);

    backends_close();
    return result;
}
