/* SPDX-License-Identifier: Apache-2.0
 *
 * Messages from memory to memory, beside the least that has to be done: a bare
 * loop of OpenSSL with one IV, AAD and tag a frame, and SHA-384 alone.
 *
 *   bench_envelope [MIB [ROUNDS]]
 *
 * Prints a JSON line for each row, with the medians of interleaved rounds:
 *   user   bare user CPU / ours, one thread, suite 0x0478
 *   two    wall time with one worker / with two
 *   hash   wall time of SHA-384 alone / of suite 0x0578 with two workers
 * and the MiB/s of ours.
 */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "esdk/message.h"

enum { ROUNDS_MAX = 99 };

static size_t size = 256; /* MiB, then bytes */
static unsigned rounds = 5;
static uint8_t *plain, *sealed, *opened;
static size_t sealed_room;

static void check(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "bench_envelope: %s failed\n", what);
    exit(1);
}

/* --- a keyring that keeps nothing secret ------------------------------------------ */

static enum kb_status wrap(struct kb_keyring *keyring, struct kb_wrap_job *jobs, size_t n,
                           struct kb_error *err)
{
    (void)keyring;
    for (size_t i = 0; i < n; i++) {
        kb_buffer_put_u16(jobs[i].edks, 1);
        kb_buffer_put_u8(jobs[i].edks, 'n');
        kb_buffer_put_u16(jobs[i].edks, 0);
        kb_buffer_put_u16(jobs[i].edks, (uint16_t)jobs[i].data_key.size);
        kb_buffer_put_bytes(jobs[i].edks, jobs[i].data_key);
        jobs[i].edk_count = 1;
    }
    (void)err;
    return KB_OK;
}

static enum kb_status unwrap(struct kb_keyring *keyring, struct kb_unwrap_job *jobs, size_t n,
                             struct kb_error *err)
{
    (void)keyring;
    (void)err;
    for (size_t i = 0; i < n; i++) {
        memcpy(jobs[i].data_key, jobs[i].edks[0].ciphertext.data, jobs[i].key_size);
        jobs[i].opened = true;
    }
    return KB_OK;
}

static const struct kb_keyring_type type = {wrap, unwrap, NULL};

static struct kb_esdk *new_esdk(unsigned workers)
{
    const struct kb_esdk_options options = {.workers = workers};
    struct kb_keyring *keyring = calloc(1, sizeof *keyring);
    struct kb_esdk *esdk;

    check(keyring != NULL, "calloc");
    keyring->type = &type;
    atomic_init(&keyring->references, 1);
    check(kb_esdk_new(&esdk, keyring, &options, NULL) == KB_OK, "kb_esdk_new");
    kb_keyring_release(keyring);
    return esdk;
}

/* --- what is measured ---------------------------------------------------------------- */

struct times {
    double user, wall;
};

static struct times now(void)
{
    struct rusage usage;
    struct timespec wall;

    getrusage(RUSAGE_SELF, &usage);
    clock_gettime(CLOCK_MONOTONIC, &wall);
    return (struct times){
        (double)usage.ru_utime.tv_sec + (double)usage.ru_utime.tv_usec / 1e6,
        (double)wall.tv_sec + (double)wall.tv_nsec / 1e9,
    };
}

/* All of `in`, in one call or a few; gives what came out. */
static size_t run(struct kb_esdk_message *message, struct kb_bytes in, uint8_t *out, size_t room)
{
    struct kb_esdk_step step = {.in = in, .last = true};
    size_t made = 0;

    while (!kb_esdk_done(message)) {
        step.out = out + made;
        step.room = room - made;
        check(kb_esdk_process(message, &step, NULL) == KB_OK, "kb_esdk_process");
        made += step.made;
    }
    kb_esdk_free(message);
    return made;
}

static struct times engine(struct kb_esdk *esdk, uint16_t suite, uint32_t length, bool encrypt)
{
    const struct kb_esdk_encrypt_options options = {.suite = suite, .frame_length = length};
    struct kb_esdk_message *message;
    struct times start, end;
    size_t made;

    if (!encrypt) {
        check(kb_esdk_encrypt(&message, 1, esdk, &options, NULL) == KB_OK, "kb_esdk_encrypt");
        made = run(message, (struct kb_bytes){plain, size}, sealed, sealed_room);
    }
    start = now();
    if (encrypt) {
        check(kb_esdk_encrypt(&message, 1, esdk, &options, NULL) == KB_OK, "kb_esdk_encrypt");
        made = run(message, (struct kb_bytes){plain, size}, sealed, sealed_room);
        check(made > size, "encryption");
    } else {
        check(kb_esdk_decrypt(&message, esdk, NULL, NULL) == KB_OK, "kb_esdk_decrypt");
        made = run(message, (struct kb_bytes){sealed, made}, opened, size);
        check(made == size, "decryption");
    }
    end = now();
    return (struct times){end.user - start.user, end.wall - start.wall};
}

static struct times bare(uint32_t length, bool encrypt)
{
    static const uint8_t key[32], aad[76];
    uint8_t iv[12] = {0}, tag[16], none[16];
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    const struct times start = now();
    struct times end;
    int made;

    check(EVP_CipherInit_ex(context, EVP_aes_256_gcm(), NULL, key, NULL, encrypt) == 1, "bare");
    for (size_t at = 0, wire = 0; at < size; at += length, wire += length + ESDK_FRAME_OVERHEAD) {
        const int piece = size - at < length ? (int)(size - at) : (int)length;
        const uint8_t *in = encrypt ? plain + at : sealed + wire + 16;
        uint8_t *out = encrypt ? sealed + wire + 16 : opened + at;

        memcpy(iv, &at, sizeof at);
        if (!encrypt)
            memcpy(tag, sealed + wire + 16 + piece, 16);
        /* The tag is not right, which costs the same. */
        EVP_CipherInit_ex(context, NULL, NULL, NULL, iv, encrypt);
        EVP_CipherUpdate(context, NULL, &made, aad, sizeof aad);
        EVP_CipherUpdate(context, out, &made, in, piece);
        if (!encrypt)
            EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, 16, tag);
        EVP_CipherFinal_ex(context, none, &made);
        if (encrypt) {
            EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, 16, tag);
            memcpy(sealed + wire + 16 + piece, tag, 16);
        }
    }
    end = now();
    EVP_CIPHER_CTX_free(context);
    return (struct times){end.user - start.user, end.wall - start.wall};
}

static struct times hash(void)
{
    const struct times start = now();
    struct times end;
    uint8_t out[EVP_MAX_MD_SIZE];

    check(EVP_Digest(plain, size, out, NULL, EVP_sha384(), NULL) == 1, "SHA-384");
    end = now();
    return (struct times){end.user - start.user, end.wall - start.wall};
}

/* --- rows ---------------------------------------------------------------------------------- */

static int ascending(const void *a, const void *b)
{
    const double *left = a, *right = b;

    return (*left > *right) - (*left < *right);
}

static double median(double *values)
{
    qsort(values, rounds, sizeof *values, ascending);
    return values[rounds / 2];
}

struct result {
    double user[ROUNDS_MAX], two[ROUNDS_MAX], hash[ROUNDS_MAX];
    double rate_one[ROUNDS_MAX], rate_two[ROUNDS_MAX], rate_signed[ROUNDS_MAX];
};

static void row(struct kb_esdk *one, struct kb_esdk *two, uint32_t length, bool encrypt)
{
    static struct result result;

    for (unsigned i = 0; i < rounds; i++) {
        const struct times least = bare(length, encrypt);
        const struct times ours = engine(one, 0x0478, length, encrypt);
        const struct times spread = engine(two, 0x0478, length, encrypt);
        const struct times digest = hash();
        const struct times both = engine(two, 0x0578, length, encrypt);

        result.user[i] = least.user / ours.user;
        result.two[i] = ours.wall / spread.wall;
        result.hash[i] = digest.wall / both.wall;
        result.rate_one[i] = (double)(size >> 20) / ours.wall;
        result.rate_two[i] = (double)(size >> 20) / spread.wall;
        result.rate_signed[i] = (double)(size >> 20) / both.wall;
    }
    printf("{\"row\":\"%s\",\"frame\":%u,\"mib\":%zu,\"rounds\":%u,\"user\":%.3f,\"two\":%.2f,"
           "\"hash\":%.3f,\"mib_s_one\":%.0f,\"mib_s_two\":%.0f,\"mib_s_signed\":%.0f}\n",
           encrypt ? "encrypt" : "decrypt", length, size >> 20, rounds, median(result.user),
           median(result.two), median(result.hash), median(result.rate_one),
           median(result.rate_two), median(result.rate_signed));
    fflush(stdout);
}

int main(int argc, char **argv)
{
    static const uint32_t lengths[] = {65536, 4096};
    struct kb_esdk *one = new_esdk(1), *two = new_esdk(2);

    if (argc > 1)
        size = strtoul(argv[1], NULL, 10);
    if (argc > 2)
        rounds = (unsigned)strtoul(argv[2], NULL, 10);
    check(size > 0 && size < 4096 && rounds > 0 && rounds <= ROUNDS_MAX, "understanding you");
    size <<= 20;
    sealed_room = size + size / 4096 * ESDK_FRAME_OVERHEAD + 65536;
    plain = malloc(size);
    sealed = malloc(sealed_room);
    opened = malloc(size);
    check(plain && sealed && opened, "malloc");
    memset(plain, 'p', size);
    memset(sealed, 0, sealed_room);
    memset(opened, 0, size);
    for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++) {
        row(one, two, lengths[l], true);
        row(one, two, lengths[l], false);
    }
    kb_esdk_release(one);
    kb_esdk_release(two);
    free(plain);
    free(sealed);
    free(opened);
    return 0;
}
