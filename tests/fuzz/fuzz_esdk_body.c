/* SPDX-License-Identifier: Apache-2.0
 *
 * Whole messages under the known data key of bytes 0x11. The first two bytes
 * say in what steps and with which options; what comes of it must be the same
 * all at once.
 */
#include <keybridge/esdk.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OUT_MAX = 1 << 20 };

struct result {
    enum kb_status status;
    uint8_t *out;
    size_t size;
    bool done;
};

static struct kb_esdk *esdk_of(size_t key_size)
{
    static const struct kb_esdk_options options = {.policy = KB_COMMITMENT_FORBID_ALLOW};
    static struct kb_esdk *made[33];
    uint8_t key[32];
    struct kb_keyring *keyring;

    memset(key, 0x11, sizeof key);
    if (!made[key_size]) {
        if (kb_keyring_data_key(&keyring, (struct kb_bytes){key, key_size}, NULL) != KB_OK ||
            kb_esdk_new(&made[key_size], keyring, &options, NULL) != KB_OK)
            abort();
        kb_keyring_release(keyring);
    }
    return made[key_size];
}

/* Ends by itself: each step takes or makes something, or nothing is left. */
static void run(struct result *result, struct kb_esdk *esdk, bool unverified, struct kb_bytes in,
                size_t feed)
{
    const struct kb_esdk_decrypt_options options = {.unverified = unverified,
                                                    .plaintext_held_max = unverified ? 20 : 0};
    struct kb_error err = {.status = KB_OK};
    struct kb_esdk_message *message;
    bool moved = true;
    size_t at = 0;

    result->size = 0;
    if (kb_esdk_decrypt(&message, esdk, &options, NULL) != KB_OK)
        abort();
    for (result->status = KB_OK; result->status == KB_OK && moved;) {
        const size_t size = feed < in.size - at ? feed : in.size - at;
        struct kb_esdk_step step = {.in = {in.data + at, size},
                                    .last = at + size == in.size,
                                    .out = result->out + result->size,
                                    .room = feed < OUT_MAX - result->size ? feed
                                                                          : OUT_MAX - result->size};

        result->status = kb_esdk_process(message, &step, &err);
        if (result->status != err.status || step.made > step.room || step.in.size > size)
            abort();
        moved = step.made || step.in.size != size;
        result->size += step.made;
        at += size - step.in.size;
    }
    result->done = kb_esdk_done(message);
    /* All was given: it is a whole message, or something is wrong with it. */
    if (result->done != (result->status == KB_OK) ||
        (result->size && !kb_esdk_message_info(message)))
        abort();
    kb_esdk_free(message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t memory[2][OUT_MAX];
    static const size_t key_sizes[] = {16, 24, 32, 32};
    struct result odd = {.out = memory[0]}, whole = {.out = memory[1]};
    struct kb_bytes message;
    struct kb_esdk *esdk;

    if (size < 2 || size > OUT_MAX / 2)
        return 0;
    esdk = esdk_of(key_sizes[data[0] & 3]);
    message = (struct kb_bytes){data + 2, size - 2};
    run(&odd, esdk, data[0] & 4, message, data[1] ? data[1] : 1);
    run(&whole, esdk, false, message, OUT_MAX);
    if (data[0] & 4)
        return 0; /* what is not verified may come out, and go wrong later */
    if (odd.status != whole.status ||
        (odd.done && (odd.size != whole.size || memcmp(odd.out, whole.out, odd.size) != 0)))
        abort();
    return 0;
}
