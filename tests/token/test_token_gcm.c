/* SPDX-License-Identifier: Apache-2.0
 *
 * AES-GCM in the token, held against OpenSSL, its counts, and random bytes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends.h"
#include "crypto/gcm.h"
#include "keystore/protocol.h"

enum { TAG = KB_GCM_TAG_SIZE, MANY = 300, ROOM = KB_TOKEN_GCM_MAX + TAG };

static const uint8_t value[32] = {1, 2, 3, 4, 5, 6, 7, 8};
static uint8_t aad[KB_TOKEN_AAD_MAX];
static uint8_t text[KB_TOKEN_GCM_MAX];

static enum kb_key_type type_of(size_t size)
{
    return size == 16 ? KB_KEY_AES_128 : size == 24 ? KB_KEY_AES_192 : KB_KEY_AES_256;
}

static void import_key(struct kb_token *token, const char *name, size_t size)
{
    struct kb_key_spec spec = {.name = name, .use = KB_KEY_ENVELOPE, .type = type_of(size)};

    backend_import(token, &spec, (struct kb_bytes){value, size});
}

static struct kb_gcm_job job_of(size_t size, size_t aad_size, uint8_t *out)
{
    return (struct kb_gcm_job){.in = {text, size},
                               .aad = {aad, aad_size},
                               .out = out,
                               .room = size + TAG,
                               .status = KB_ERR_SYSTEM};
}

/* The job that decrypts what another one made. */
static struct kb_gcm_job back_of(const struct kb_gcm_job *made, uint8_t *out)
{
    struct kb_gcm_job job = *made;

    job.in = (struct kb_bytes){made->out, made->size};
    job.out = out;
    job.room = made->size - TAG;
    job.status = KB_ERR_SYSTEM;
    return job;
}

/* --- the algorithm --------------------------------------------------------------------- */

/* What OpenSSL makes of the same key, IV and bytes. */
static void check_outside(size_t key_size, const struct kb_gcm_job *job, struct kb_bytes in)
{
    static uint8_t out[ROOM];
    struct kb_error err = {0};
    struct kb_gcm *gcm;
    struct kb_gcm_text want = {job->iv, job->aad, in, out, out + in.size};

    KBT_OK(kb_gcm_new(&gcm, (struct kb_bytes){value, key_size}, &err), &err);
    KBT_OK(kb_gcm_encrypt(gcm, &want, &err), &err);
    KBT_BYTES(((struct kb_bytes){job->out, job->size}), ((struct kb_bytes){out, in.size + TAG}));
    kb_gcm_free(gcm);
}

static void as_openssl_does_it(enum token_kind kind)
{
    static const size_t sizes[] = {0, 1, 15, 16, 17, 24, 32, 100, KB_TOKEN_GCM_MAX};
    static const size_t aads[] = {0, 1, 16, 300, 4096, KB_TOKEN_AAD_MAX};
    static uint8_t out[ROOM], back[ROOM];
    struct kb_token *token = backend_lease(kind);
    struct kb_error err = {0};

    for (size_t key = 16; key <= 32; key += 8) {
        char name[32];

        snprintf(name, sizeof name, "openssl-%zu", key);
        import_key(token, name, key);
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0] * 6; i++) {
            struct kb_gcm_job job = job_of(sizes[i / 6], aads[i % 6], out), undo;

            KBT_OK(kb_token_gcm(token, true, name, &job, 1, &err), &err);
            CU_ASSERT_EQUAL(job.status, KB_OK);
            CU_ASSERT_EQUAL_FATAL(job.size, sizes[i / 6] + TAG);
            check_outside(key, &job, job.in);
            undo = back_of(&job, back);
            KBT_OK(kb_token_gcm(token, false, name, &undo, 1, &err), &err);
            CU_ASSERT_EQUAL(undo.status, KB_OK);
            KBT_BYTES(((struct kb_bytes){back, undo.size}), job.in);
        }
    }
    kb_token_return(token);
}
DEFINE_BOTH(as_openssl_does_it)

/* Every IV is new, in whatever batches. */
static void batches(enum token_kind kind)
{
    static const size_t counts[] = {0, 1, 2, 127, 128, 129, MANY};
    static uint8_t out[MANY][64], back[MANY][64];
    static struct kb_gcm_job jobs[MANY], undo[MANY];
    struct kb_token *token = backend_lease(kind);
    struct kb_error err = {0};

    backend_key(token, "batches", KB_KEY_ENVELOPE, KB_KEY_AES_256);
    for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
        for (size_t i = 0; i < counts[c]; i++)
            jobs[i] = job_of(i % 48, i, out[i]);
        KBT_OK(kb_token_gcm(token, true, "batches", jobs, counts[c], &err), &err);
        for (size_t i = 0; i < counts[c]; i++) {
            CU_ASSERT_EQUAL(jobs[i].status, KB_OK);
            for (size_t j = 0; j < i; j++)
                CU_ASSERT_NOT_EQUAL(memcmp(jobs[i].iv, jobs[j].iv, sizeof jobs[i].iv), 0);
            undo[i] = back_of(&jobs[i], back[i]);
        }
        KBT_OK(kb_token_gcm(token, false, "batches", undo, counts[c], &err), &err);
        for (size_t i = 0; i < counts[c]; i++) {
            CU_ASSERT_EQUAL(undo[i].status, KB_OK);
            KBT_BYTES(((struct kb_bytes){back[i], undo[i].size}), jobs[i].in);
        }
    }
    kb_token_return(token);
}
DEFINE_BOTH(batches)

/* The biggest batch that is allowed, in one request. */
static void biggest_batch(enum token_kind kind)
{
    static struct kb_gcm_job jobs[KB_TOKEN_BATCH_MAX];
    struct kb_token *token = backend_lease(kind);
    uint8_t *out = malloc((size_t)KB_TOKEN_BATCH_MAX * ROOM);
    struct kb_error err = {0};

    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    backend_key(token, "biggest", KB_KEY_ENVELOPE, KB_KEY_AES_128);
    for (size_t i = 0; i < KB_TOKEN_BATCH_MAX; i++)
        jobs[i] = job_of(KB_TOKEN_GCM_MAX, KB_TOKEN_AAD_MAX, out + i * ROOM);
    KBT_OK(kb_token_gcm(token, true, "biggest", jobs, KB_TOKEN_BATCH_MAX, &err), &err);
    CU_ASSERT_EQUAL(jobs[127].size, ROOM);
    free(out);
    kb_token_return(token);
}
DEFINE_BOTH(biggest_batch)

/* --- bytes that are wrong ---------------------------------------------------------------- */

static void expect_auth(struct kb_token *token, struct kb_gcm_job *jobs, size_t n)
{
    struct kb_error err = {0};

    KBT_OK(kb_token_gcm(token, false, "tamper", jobs, n, &err), &err);
    for (size_t i = 0; i < n; i++) {
        CU_ASSERT_EQUAL(jobs[i].status, KB_ERR_AUTH);
        CU_ASSERT_EQUAL(jobs[i].size, 0);
    }
}

static void every_change_is_refused(enum token_kind kind)
{
    enum { SIZE = 32 + TAG, AAD = 20 };
    static uint8_t changed[SIZE + AAD][SIZE], aads[SIZE + AAD][AAD], back[SIZE + AAD][SIZE];
    static struct kb_gcm_job jobs[SIZE + AAD];
    struct kb_token *token = backend_lease(kind);
    struct kb_error err = {0};
    uint8_t out[SIZE];
    struct kb_gcm_job made = job_of(32, AAD, out);

    import_key(token, "tamper", 32);
    KBT_OK(kb_token_gcm(token, true, "tamper", &made, 1, &err), &err);
    for (size_t i = 0; i < SIZE + AAD; i++) {
        memcpy(changed[i], out, SIZE);
        memcpy(aads[i], aad, AAD);
        *(i < SIZE ? &changed[i][i] : &aads[i][i - SIZE]) ^= 1;
        jobs[i] = back_of(&made, back[i]);
        jobs[i].in.data = changed[i];
        jobs[i].aad.data = aads[i];
    }
    expect_auth(token, jobs, SIZE + AAD);
    for (size_t i = 0; i < sizeof made.iv; i++) {
        jobs[i] = back_of(&made, back[i]);
        jobs[i].iv[i] ^= 0x80;
    }
    expect_auth(token, jobs, sizeof made.iv);
    for (size_t i = 0; i < SIZE; i++) {
        jobs[i] = back_of(&made, back[i]);
        jobs[i].in.size = i;
    }
    expect_auth(token, jobs, SIZE);
    for (size_t i = 0; i < AAD; i++) {
        jobs[i] = back_of(&made, back[i]);
        jobs[i].aad.size = i;
    }
    expect_auth(token, jobs, AAD);
    /* Good ones between bad ones are still good. */
    for (size_t i = 0; i < 6; i++) {
        jobs[i] = back_of(&made, back[i]);
        jobs[i].in.data = i % 2 ? changed[i] : out;
    }
    KBT_OK(kb_token_gcm(token, false, "tamper", jobs, 6, &err), &err);
    for (size_t i = 0; i < 6; i++)
        CU_ASSERT_EQUAL(jobs[i].status, i % 2 ? KB_ERR_AUTH : KB_OK);
    kb_token_return(token);
}
DEFINE_BOTH(every_change_is_refused)

static void another_key_does_not_open_it(enum token_kind kind)
{
    struct kb_token *token = backend_lease(kind);
    struct kb_error err = {0};
    uint8_t out[64], back[64];
    struct kb_gcm_job made = job_of(32, 5, out), undo;

    backend_key(token, "one", KB_KEY_ENVELOPE, KB_KEY_AES_256);
    backend_key(token, "other", KB_KEY_ENVELOPE, KB_KEY_AES_256);
    KBT_OK(kb_token_gcm(token, true, "one", &made, 1, &err), &err);
    undo = back_of(&made, back);
    KBT_OK(kb_token_gcm(token, false, "other", &undo, 1, &err), &err);
    CU_ASSERT_EQUAL(undo.status, KB_ERR_AUTH);
    kb_token_return(token);
}
DEFINE_BOTH(another_key_does_not_open_it)

/* --- calls that are wrong ---------------------------------------------------------------- */

static void wrong_uses_and_sizes(enum token_kind kind)
{
    static uint8_t out[ROOM + 1];
    static const uint8_t big[ROOM + 1];
    struct kb_token *token = backend_lease(kind);
    struct kb_error err = {0};
    struct kb_gcm_job job = job_of(32, 0, out);
    struct kb_cipher_job cipher = {.in = kb_bytes_text("x")};
    struct kb_data_key key = {0};

    backend_key(token, "right", KB_KEY_ENVELOPE, KB_KEY_AES_256);
    backend_key(token, "content", KB_KEY_CONTENT, KB_KEY_AES_256);
    backend_key(token, "wrap", KB_KEY_WRAP, KB_KEY_AES_256);
    FAILS(kb_token_gcm(token, true, "content", &job, 1, &err), KB_ERR_DENIED, &err);
    FAILS(kb_token_gcm(token, false, "wrap", &job, 1, &err), KB_ERR_DENIED, &err);
    FAILS(kb_token_gcm(token, true, "nothere", &job, 1, &err), KB_ERR_NOT_FOUND, &err);
    FAILS(kb_token_cipher(token, true, "right", &cipher, 1, &err), KB_ERR_DENIED, &err);
    FAILS(backend_make_keys(token, "right", 32, &key, 1, NULL, &err), KB_ERR_DENIED, &err);
    job.room--;
    FAILS(kb_token_gcm(token, true, "right", &job, 1, &err), KB_ERR_USAGE, &err);
    job = job_of(KB_TOKEN_GCM_MAX, 0, out);
    job.in = (struct kb_bytes){big, KB_TOKEN_GCM_MAX + 1};
    job.room = sizeof out;
    FAILS(kb_token_gcm(token, true, "right", &job, 1, &err), KB_ERR_USAGE, &err);
    job.in.size = ROOM + 1;
    FAILS(kb_token_gcm(token, false, "right", &job, 1, &err), KB_ERR_USAGE, &err);
    job = job_of(1, KB_TOKEN_AAD_MAX, out);
    job.aad.size++;
    FAILS(kb_token_gcm(token, true, "right", &job, 1, &err), KB_ERR_USAGE, &err);
    job = job_of(64, 0, out);
    job.room = 64 - TAG - 1;
    FAILS(kb_token_gcm(token, false, "right", &job, 1, &err), KB_ERR_USAGE, &err);
    kb_token_return(token);
}
DEFINE_BOTH(wrong_uses_and_sizes)

/* --- what the helper is asked ---------------------------------------------------------- */

static struct kb_request request, decoded;

static bool survives(struct kb_buffer *frame)
{
    return kb_request_encode(frame, &request) &&
           kb_request_decode(&decoded, (struct kb_bytes){frame->data + 4, frame->size - 4});
}

static void ask_gcm(uint32_t count, size_t aad_size, size_t size)
{
    static const uint8_t big[KB_TOKEN_GCM_MAX + TAG + 1];
    static const uint8_t big_aad[KB_TOKEN_AAD_MAX + 1];

    kb_request_init(&request, KB_VERB_GCM);
    request.name = "k";
    request.count = count;
    for (uint32_t i = 0; i < count; i++)
        request.items[i] = (struct kb_request_item){
            .iv = {1, 2, 3}, .aad = {big_aad, aad_size}, .bytes = {big, size}};
}

static void limits_of_requests(void)
{
    struct kb_buffer frame = KB_BUFFER_INIT(KB_FRAME_MAX + 4);

    ask_gcm(KB_TOKEN_BATCH_MAX, KB_TOKEN_AAD_MAX, KB_TOKEN_GCM_MAX + TAG);
    CU_ASSERT_TRUE(survives(&frame));
    CU_ASSERT_EQUAL(decoded.items[127].iv[2], 3);
    CU_ASSERT_EQUAL(decoded.items[127].aad.size, KB_TOKEN_AAD_MAX);
    CU_ASSERT_EQUAL(decoded.items[127].bytes.size, KB_TOKEN_GCM_MAX + TAG);
    ask_gcm(1, KB_TOKEN_AAD_MAX + 1, 0);
    CU_ASSERT_FALSE(survives(&frame));
    ask_gcm(1, 0, KB_TOKEN_GCM_MAX + TAG + 1);
    CU_ASSERT_FALSE(survives(&frame));
    ask_gcm(1, 0, 0);
    request.name = NULL;
    CU_ASSERT_FALSE(survives(&frame));
    kb_request_init(&request, KB_VERB_RANDOM);
    request.count = KB_RANDOM_MAX;
    CU_ASSERT_TRUE(survives(&frame));
    CU_ASSERT_EQUAL(decoded.count, KB_RANDOM_MAX);
    request.count++;
    CU_ASSERT_FALSE(survives(&frame));
    kb_buffer_free(&frame);
}

/* The same limits where the bytes come from somebody else. */
static void limits_of_what_is_read(void)
{
    static const uint8_t start[] = {KB_VERB_GCM, 0, 0, 0, 2, 'k', 0, 0, 0, 0, 1, 0, 0};
    static const uint8_t zeros[KB_TOKEN_AAD_MAX + 1];
    static const struct {
        uint32_t count;
        size_t aad, size;
        bool good;
    } rows[] = {
        {1, KB_TOKEN_AAD_MAX, KB_TOKEN_GCM_MAX + TAG, true},
        {1, KB_TOKEN_AAD_MAX + 1, 0, false},
        {1, 0, KB_TOKEN_GCM_MAX + TAG + 1, false},
        {KB_TOKEN_BATCH_MAX, 0, 0, true},
        {KB_TOKEN_BATCH_MAX + 1, 0, 0, false},
    };
    struct kb_buffer body = KB_BUFFER_INIT(1 << 20);

    for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        kb_buffer_reset(&body);
        kb_buffer_put(&body, start, sizeof start);
        kb_buffer_put_u32(&body, rows[row].count);
        for (uint32_t i = 0; i < rows[row].count; i++) {
            kb_buffer_put(&body, aad, KB_GCM_IV_SIZE);
            kb_buffer_put_lv(&body, (struct kb_bytes){zeros, rows[row].aad});
            kb_buffer_put_lv(&body, (struct kb_bytes){zeros, rows[row].size});
        }
        CU_ASSERT_EQUAL(kb_request_decode(&decoded, kb_buffer_view(&body)), rows[row].good);
        /* Cut anywhere it is no request; nor is it with something behind it. */
        for (size_t cut = 0; rows[row].good && cut < body.size; cut += cut < 64 ? 1 : 997)
            CU_ASSERT_FALSE(kb_request_decode(&decoded, (struct kb_bytes){body.data, cut}));
        kb_buffer_put_u8(&body, 0);
        CU_ASSERT_FALSE(kb_request_decode(&decoded, kb_buffer_view(&body)));
    }
    kb_buffer_free(&body);
}

/* --- random bytes -------------------------------------------------------------------------- */

static void random_bytes(enum token_kind kind)
{
    static const size_t sizes[] = {1, 12, 32, 65536};
    struct kb_token *token = backend_lease(kind);
    struct kb_error err = {0};
    struct kb_secret *one, *two;

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        KBT_OK(kb_secret_new(&one, sizes[i], &err), &err);
        KBT_OK(kb_secret_new(&two, sizes[i], &err), &err);
        KBT_OK(kb_token_random(token, one, &err), &err);
        KBT_OK(kb_token_random(token, two, &err), &err);
        if (sizes[i] > 1)
            CU_ASSERT_FALSE(kb_secret_equal(kb_secret_view(one), kb_secret_view(two)));
        kb_secret_free(one);
        kb_secret_free(two);
    }
    KBT_OK(kb_secret_new(&one, 65537, &err), &err);
    FAILS(kb_token_random(token, one, &err), KB_ERR_USAGE, &err);
    kb_secret_free(one);
    kb_token_return(token);
}
DEFINE_BOTH(random_bytes)

static const struct kbtest tests[] = {
    BOTH(as_openssl_does_it),
    BOTH(batches),
    BOTH(biggest_batch),
    BOTH(every_change_is_refused),
    BOTH(another_key_does_not_open_it),
    BOTH(wrong_uses_and_sizes),
    {"limits_of_requests", limits_of_requests},
    {"limits_of_what_is_read", limits_of_what_is_read},
    BOTH(random_bytes),
    {NULL, NULL},
};

int main(int argc, char **argv)
{
    int result;

    for (size_t i = 0; i < sizeof aad; i++)
        aad[i] = (uint8_t)(i * 7);
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (uint8_t)(i * 5 + 1);
    result = kbtest_main("token_gcm", tests, argc, argv);
    backends_close();
    return result;
}
