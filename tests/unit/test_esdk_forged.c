/* SPDX-License-Identifier: Apache-2.0
 *
 * Messages that are cut, forged, out of order or hostile: nothing unverified
 * comes out, and what a length says costs no memory.
 */
#include "esdktest.h"

#include <sys/resource.h>
#include <time.h>

enum { LENGTH = 16, SIZE = 40 }; /* two whole frames, and half a one */

/* The bytes are refused, all at once and in small steps (or in one of these
 * ways), and what came out is whole frames from the start, at most `most`
 * bytes. Gives the status. */
static enum kb_status fails_in(struct kb_esdk *esdk, struct kb_bytes in, size_t most, bool at_once,
                               bool in_steps)
{
    enum kb_status statuses[2] = {KB_OK, KB_OK};

    for (int i = !at_once; i < 1 + in_steps; i++) {
        struct kb_buffer out = KB_BUFFER_INIT(1 << 16);
        struct kb_error err = {.status = KB_OK};
        struct kb_esdk_message *message;
        uint8_t *copy = malloc(in.size + 1); /* exact, so that a read past it is seen */
        const struct kb_bytes exact = {copy + 1, in.size};

        memcpy(copy + 1, in.data, in.size);
        KBT_OK(kb_esdk_decrypt(&message, esdk, NULL, &err), &err);
        statuses[i] = esdktest_run(message, exact, i ? 9 : in.size, i ? 5 : 4096, &out, &err);
        CU_ASSERT_TRUE(statuses[i] == KB_ERR_AUTH || statuses[i] == KB_ERR_INPUT ||
                       statuses[i] == KB_ERR_DENIED);
        CU_ASSERT_EQUAL(err.status, statuses[i]);
        CU_ASSERT_FALSE(kb_esdk_done(message));
        CU_ASSERT_TRUE(out.size <= most && out.size % LENGTH == 0);
        if (out.size)
            KBT_BYTES(kb_buffer_view(&out), esdktest_plain(out.size));
        kb_esdk_free(message);
        kb_buffer_free(&out);
        free(copy);
    }
    if (at_once && in_steps)
        CU_ASSERT_EQUAL(statuses[0], statuses[1]);
    return statuses[!at_once];
}

static enum kb_status fails(struct kb_esdk *esdk, struct kb_bytes in, size_t most)
{
    return fails_in(esdk, in, most, true, true);
}

static void good(struct kb_esdk *esdk, struct kb_bytes in, size_t size)
{
    struct kb_buffer out = KB_BUFFER_INIT(1 << 20);

    CU_ASSERT_EQUAL(esdktest_decrypt(esdk, NULL, in, &out), KB_OK);
    KBT_BYTES(kb_buffer_view(&out), esdktest_plain(size));
    kb_buffer_free(&out);
}

static struct kb_bytes part(size_t from, size_t size)
{
    return (struct kb_bytes){esdktest_plain(from + size).data + from, size};
}

/* --- every bit and every length ------------------------------------------------------- */

/* A message of each kind there is; unframed ones are released whole or not. */
static void craft_kind(struct craft *craft, uint16_t suite, bool framed)
{
    craft_header(craft, suite, framed ? LENGTH : 0);
    if (framed) {
        craft_frame(craft, ESDK_REGULAR, 1, part(0, LENGTH));
        craft_frame(craft, ESDK_REGULAR, 2, part(LENGTH, LENGTH));
        craft_frame(craft, ESDK_FINAL, 3, part(2 * LENGTH, SIZE - 2 * LENGTH));
    } else {
        craft_frame(craft, ESDK_UNFRAMED, 1, part(0, SIZE));
    }
    craft_end(craft);
}

static const uint16_t suites[] = {0x0014, 0x0178, 0x0214, 0x0378, 0x0478, 0x0578};

static void each_kind(void (*run)(struct kb_esdk *, struct craft *, size_t most))
{
    struct kb_esdk *esdk = esdktest_new(KB_COMMITMENT_FORBID_ALLOW, 1);

    for (size_t i = 0; i < sizeof suites / sizeof *suites; i++)
        for (int framed = 0; framed < 2; framed++) {
            struct craft craft;

            craft_kind(&craft, suites[i], framed);
            good(esdk, kb_buffer_view(&craft.out), SIZE);
            run(esdk, &craft, framed ? 2 * LENGTH : 0);
            kb_buffer_free(&craft.out);
        }
    kb_esdk_release(esdk);
}

static void flip_bits(struct kb_esdk *esdk, struct craft *craft, size_t most)
{
    for (size_t i = 0; i < craft->out.size * 8; i++) {
        craft->out.data[i / 8] ^= (uint8_t)(1 << i % 8);
        fails_in(esdk, kb_buffer_view(&craft->out), most, i % 8 < 5, i % 8 > 3);
        craft->out.data[i / 8] ^= (uint8_t)(1 << i % 8);
    }
}

static void test_flips(void)
{
    each_kind(flip_bits);
}

static void cut_short(struct kb_esdk *esdk, struct craft *craft, size_t most)
{
    for (size_t size = 0; size < craft->out.size; size++)
        CU_ASSERT_EQUAL(fails(esdk, (struct kb_bytes){craft->out.data, size}, most), KB_ERR_INPUT);
}

static void test_truncations(void)
{
    each_kind(cut_short);
}

/* The last frame of an unsigned message may be out when the byte is seen. */
static void add_bytes(struct kb_esdk *esdk, struct craft *craft, size_t most)
{
    static const uint8_t more[][4] = {{0}, {0xff, 0xff, 0xff, 0xff}, {1, 0x80, 0, 0x14}};
    const size_t size = craft->out.size;

    (void)most;
    for (size_t i = 0; i < 3; i++)
        for (size_t n = 1; n <= 4; n++) {
            struct kb_buffer out = KB_BUFFER_INIT(4096);
            struct kb_error err = {.status = KB_OK};
            struct kb_esdk_message *message;
            struct kb_esdk_step step;

            craft->out.size = size;
            kb_buffer_put(&craft->out, more[i], n);
            CU_ASSERT_EQUAL(esdktest_decrypt(esdk, NULL, kb_buffer_view(&craft->out), &out),
                            KB_ERR_INPUT);
            /* Also when it was done before they came. */
            KBT_OK(kb_esdk_decrypt(&message, esdk, NULL, &err), &err);
            kb_buffer_reset(&out);
            KBT_OK(esdktest_run(message, (struct kb_bytes){craft->out.data, size}, size, 4096, &out,
                                &err),
                   &err);
            step = (struct kb_esdk_step){.in = {more[i], n}};
            CU_ASSERT_EQUAL(kb_esdk_process(message, &step, NULL), KB_ERR_INPUT);
            CU_ASSERT_FALSE(kb_esdk_done(message));
            kb_esdk_free(message);
            kb_buffer_free(&out);
        }
}

static void test_trailing_bytes(void)
{
    each_kind(add_bytes);
}

/* --- frames that are where they should not be ------------------------------------------- */

static void test_order(void)
{
    /* Frames of 16 are 48 bytes; 0 to 3 are regular, 4 is the last. */
    static const char *const orders[] = {"0124", "0234", "1234", "01324", "01224", "10234",
                                         "012344", "4", "01243", "40123", "012334", "0123"};
    struct kb_esdk *esdk = esdktest_new(KB_COMMITMENT_REQUIRE_ALLOW, 1);

    for (int is_signed = 0; is_signed < 2; is_signed++) {
        struct kb_buffer frames[5];
        size_t header;

        for (size_t o = 0; o <= sizeof orders / sizeof *orders; o++) {
            const char *order = o ? orders[o - 1] : "01234";
            struct craft craft;

            craft_header(&craft, is_signed ? 0x0578 : 0x0478, LENGTH);
            header = craft.out.size;
            for (uint32_t i = 0; i < 5; i++) {
                craft_frame(&craft, i < 4 ? ESDK_REGULAR : ESDK_FINAL, i + 1,
                            part(i * LENGTH, LENGTH));
                frames[i] = (struct kb_buffer)KB_BUFFER_INIT(1 << 16);
                kb_buffer_put(&frames[i], craft.out.data + header, craft.out.size - header);
                craft.out.size = header;
            }
            for (size_t i = 0; order[i]; i++)
                kb_buffer_put_bytes(&craft.out, kb_buffer_view(&frames[order[i] - '0']));
            craft_end(&craft);
            if (!o)
                good(esdk, kb_buffer_view(&craft.out), 5 * LENGTH);
            else
                CU_ASSERT_EQUAL(fails(esdk, kb_buffer_view(&craft.out), 5 * LENGTH), KB_ERR_INPUT);
            kb_buffer_free(&craft.out);
            for (size_t i = 0; i < 5; i++)
                kb_buffer_free(&frames[i]);
        }
    }
    kb_esdk_release(esdk);
}

/* A last frame may be whole, as the specification prefers, or empty, as the
 * SDKs write; not longer. */
static void test_last_frame(void)
{
    static const struct {
        enum esdk_kind last;
        size_t size;
        enum kb_status want;
    } rows[] = {
        {ESDK_FINAL, 0, KB_OK},
        {ESDK_FINAL, LENGTH - 1, KB_OK},
        {ESDK_FINAL, LENGTH, KB_OK},
        {ESDK_FINAL, LENGTH + 1, KB_ERR_INPUT},
        {ESDK_FINAL, 1000, KB_ERR_INPUT},
        {ESDK_REGULAR, LENGTH, KB_ERR_INPUT},
        {ESDK_REGULAR, LENGTH - 1, KB_ERR_INPUT},
        {ESDK_REGULAR, LENGTH + 1, KB_ERR_AUTH},
        {ESDK_UNFRAMED, LENGTH, KB_ERR_INPUT},
    };
    struct kb_esdk *esdk = esdktest_new(KB_COMMITMENT_REQUIRE_ALLOW, 1);

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int is_signed = 0; is_signed < 2; is_signed++) {
            struct craft craft;

            craft_header(&craft, is_signed ? 0x0578 : 0x0478, LENGTH);
            craft_frame(&craft, ESDK_REGULAR, 1, part(0, LENGTH));
            craft_frame(&craft, rows[i].last, 2, part(LENGTH, rows[i].size));
            craft_end(&craft);
            if (rows[i].want == KB_OK)
                good(esdk, kb_buffer_view(&craft.out), LENGTH + rows[i].size);
            else if (!is_signed || rows[i].last == ESDK_FINAL)
                CU_ASSERT_EQUAL(fails(esdk, kb_buffer_view(&craft.out), 2 * LENGTH), rows[i].want);
            kb_buffer_free(&craft.out);
        }
    kb_esdk_release(esdk);
}

/* The data key is right and the header's tag too, but the header commits to
 * another key (framework/algorithm-suites.md#supported-algorithm-suites). */
static void test_commitment(void)
{
    static const uint8_t iv[KB_GCM_IV_SIZE];
    struct kb_esdk *esdk = esdktest_new(KB_COMMITMENT_REQUIRE_REQUIRE, 1);

    for (int wrong = 0; wrong < 2; wrong++) {
        struct kb_error err = {.status = KB_OK};
        uint8_t nothing[1];
        struct craft craft;
        struct kb_gcm_text text;

        craft_header(&craft, 0x0478, LENGTH);
        craft.out.size -= KB_GCM_TAG_SIZE;
        craft.out.data[craft.out.size - 1] ^= (uint8_t)wrong;
        text = (struct kb_gcm_text){.iv = iv,
                                    .aad = kb_buffer_view(&craft.out),
                                    .in = {nothing, 0},
                                    .out = nothing,
                                    .tag = craft.out.data + craft.out.size};
        KBT_OK(kb_gcm_encrypt(craft.gcm, &text, &err), &err);
        craft.out.size += KB_GCM_TAG_SIZE;
        craft_frame(&craft, ESDK_FINAL, 1, part(0, 8));
        craft_end(&craft);
        if (wrong) {
            CU_ASSERT_EQUAL(fails(esdk, kb_buffer_view(&craft.out), 0), KB_ERR_AUTH);
        } else {
            good(esdk, kb_buffer_view(&craft.out), 8);
        }
        kb_buffer_free(&craft.out);
    }
    kb_esdk_release(esdk);
}

/* Without a signature, and with one under a key that the header does not name. */
static void test_signature(void)
{
    struct kb_esdk *esdk = esdktest_new(KB_COMMITMENT_REQUIRE_REQUIRE, 1);
    struct craft craft, other;

    craft_kind(&craft, 0x0578, true);
    craft_kind(&other, 0x0578, true);
    CU_ASSERT_EQUAL(craft.out.size, other.out.size);
    CU_ASSERT_EQUAL(
        fails(esdk, (struct kb_bytes){craft.out.data, craft.out.size - 105}, 2 * LENGTH),
        KB_ERR_INPUT);
    memcpy(craft.out.data + craft.out.size - 103, other.out.data + other.out.size - 103, 103);
    CU_ASSERT_EQUAL(fails(esdk, kb_buffer_view(&craft.out), 2 * LENGTH), KB_ERR_AUTH);
    kb_buffer_free(&craft.out);
    kb_buffer_free(&other.out);
    kb_esdk_release(esdk);
}

/* Many frames at once, one of them wrong: what is right comes out up to it, by
 * threads as without; of the rest nothing is left in the caller's memory. */
static void test_one_wrong_of_many(void)
{
    enum { FRAME = 4096, FRAMES = 256 };
    const size_t size = FRAME * FRAMES, room = size + 1000;
    const struct kb_esdk_encrypt_options options = {.suite = 0x0478, .frame_length = FRAME};
    uint8_t *out = malloc(room);

    for (unsigned workers = 1; workers <= 3; workers++) {
        struct kb_esdk *esdk = esdktest_new(KB_COMMITMENT_REQUIRE_REQUIRE, workers);
        struct kb_buffer sealed = KB_BUFFER_INIT(2 << 20);
        struct kb_error err = {.status = KB_OK};
        size_t body;

        esdktest_encrypt(esdk, &options, esdktest_plain(size), &sealed);
        body = sealed.size - ESDK_FINAL_OVERHEAD - FRAMES * (FRAME + ESDK_FRAME_OVERHEAD);
        for (size_t bad = 0; bad < FRAMES; bad += 51) {
            uint8_t *byte = sealed.data + body + bad * (FRAME + ESDK_FRAME_OVERHEAD) + 99;
            struct kb_esdk_message *message;
            struct kb_esdk_step step = {kb_buffer_view(&sealed), true, out, room, 0};
            size_t left = 0;

            memset(out, 0, room);
            *byte ^= 1;
            KBT_OK(kb_esdk_decrypt(&message, esdk, NULL, &err), &err);
            CU_ASSERT_EQUAL(kb_esdk_process(message, &step, NULL), KB_ERR_AUTH);
            CU_ASSERT_EQUAL(step.made, bad * FRAME);
            KBT_BYTES(((struct kb_bytes){out, step.made}), esdktest_plain(bad * FRAME));
            for (size_t i = step.made; i < room; i++)
                left += out[i] != 0;
            CU_ASSERT_EQUAL(left, 0);
            kb_esdk_free(message);
            *byte ^= 1;
        }
        kb_buffer_free(&sealed);
        kb_esdk_release(esdk);
    }
    free(out);
}

/* --- options ------------------------------------------------------------------------------- */

static void test_unsigned_only(void)
{
    const struct kb_esdk_decrypt_options options = {.unsigned_only = true};
    struct kb_esdk *esdk = esdktest_new(KB_COMMITMENT_REQUIRE_ALLOW, 1);
    struct esdktest_keyring *keyring = (struct esdktest_keyring *)esdk->keyring;

    for (size_t i = 0; i < sizeof suites / sizeof *suites; i++) {
        struct kb_buffer out = KB_BUFFER_INIT(4096);
        struct craft craft;

        craft_kind(&craft, suites[i], true);
        keyring->unwraps = 0;
        CU_ASSERT_EQUAL(esdktest_decrypt(esdk, &options, kb_buffer_view(&craft.out), &out),
                        craft.suite->is_signed ? KB_ERR_DENIED : KB_OK);
        CU_ASSERT_EQUAL(out.size, craft.suite->is_signed ? 0 : SIZE);
        CU_ASSERT_EQUAL(keyring->unwraps, !craft.suite->is_signed);
        kb_buffer_free(&craft.out);
        kb_buffer_free(&out);
    }
    kb_esdk_release(esdk);
}

/* The keyring is not asked about what the policy refuses. */
static void test_policy_first(void)
{
    struct kb_esdk *esdk = esdktest_new(KB_COMMITMENT_REQUIRE_REQUIRE, 1);
    struct kb_buffer out = KB_BUFFER_INIT(4096);
    struct craft craft;

    craft_kind(&craft, 0x0178, true);
    CU_ASSERT_EQUAL(esdktest_decrypt(esdk, NULL, kb_buffer_view(&craft.out), &out), KB_ERR_DENIED);
    CU_ASSERT_EQUAL(((struct esdktest_keyring *)esdk->keyring)->unwraps, 0);
    kb_buffer_free(&craft.out);
    kb_buffer_free(&out);
    kb_esdk_release(esdk);
}

/* Long frames and bodies: held up to the limit; in pieces for who says that
 * nobody sees them before the end. */
static void long_frame(enum esdk_kind kind, uint16_t suite)
{
    enum { LONG = 3 << 20 };
    const struct kb_esdk_decrypt_options small = {.plaintext_held_max = LONG - 1},
                                         exact = {.plaintext_held_max = LONG},
                                         pieces = {.plaintext_held_max = 10, .unverified = true};
    struct kb_esdk *esdk = esdktest_new(KB_COMMITMENT_REQUIRE_ALLOW, 1);
    struct kb_buffer out = KB_BUFFER_INIT(8 << 20);
    struct kb_error err = {.status = KB_OK};
    struct kb_esdk_message *message;
    struct craft craft;
    size_t before_tag;

    craft_header(&craft, suite, kind == ESDK_UNFRAMED ? 0 : kind == ESDK_FINAL ? 4 << 20 : LONG);
    craft_frame(&craft, kind, 1, esdktest_plain(LONG));
    before_tag = craft.out.size - 16;
    if (kind == ESDK_REGULAR)
        craft_frame(&craft, ESDK_FINAL, 2, part(LONG, 100));
    craft_end(&craft);
    for (int i = 0; i < 4; i++) {
        const struct kb_esdk_decrypt_options *options = i == 0 ? &small : i == 1 ? &exact : &pieces;
        const size_t size = kind == ESDK_REGULAR ? LONG + 100 : LONG;
        enum kb_status status;

        kb_buffer_reset(&out);
        if (i == 3)
            craft.out.data[before_tag] ^= 1;
        KBT_OK(kb_esdk_decrypt(&message, esdk, options, &err), &err);
        status = esdktest_run(message, kb_buffer_view(&craft.out), 100001, 70000, &out, NULL);
        CU_ASSERT_EQUAL(status, i == 0   ? KB_ERR_DENIED
                                : i == 3 ? KB_ERR_AUTH
                                         : KB_OK);
        if (i == 3)
            CU_ASSERT_EQUAL(out.size, LONG); /* unverified, as allowed */
        if (i == 0 || i == 3)
            CU_ASSERT_FALSE(kb_esdk_done(message));
        if (i == 0)
            CU_ASSERT_EQUAL(out.size, 0);
        if (i == 2)
            CU_ASSERT_TRUE(message->held.capacity < 4096);
        if (i == 1 || i == 2)
            KBT_BYTES(kb_buffer_view(&out), esdktest_plain(size));
        kb_esdk_free(message);
    }
    kb_buffer_free(&out);
    kb_buffer_free(&craft.out);
    kb_esdk_release(esdk);
}

static void test_long_frames(void)
{
    long_frame(ESDK_UNFRAMED, 0x0478);
    long_frame(ESDK_UNFRAMED, 0x0378);
    long_frame(ESDK_FINAL, 0x0478);
    long_frame(ESDK_FINAL, 0x0578);
    long_frame(ESDK_REGULAR, 0x0178);
    long_frame(ESDK_REGULAR, 0x0578);
}

/* A range of what comes in pieces. */
static void test_range_in_pieces(void)
{
    enum { LONG = 3 << 20 };
    const struct kb_esdk_decrypt_options options = {.pause = true, .unverified = true};
    struct kb_esdk *esdk = esdktest_new(KB_COMMITMENT_REQUIRE_ALLOW, 1);
    struct kb_buffer out = KB_BUFFER_INIT(8 << 20);
    struct craft craft;

    craft_header(&craft, 0x0478, 0);
    craft_frame(&craft, ESDK_UNFRAMED, 1, esdktest_plain(LONG));
    craft_end(&craft);
    for (uint64_t last = 1999999; last < LONG; last += 1145728) {
        struct kb_error err = {.status = KB_OK};
        struct kb_esdk_message *message;
        struct kb_esdk_step step = {.in = kb_buffer_view(&craft.out)};
        enum kb_status status;
        uint64_t offset;

        kb_buffer_reset(&out);
        KBT_OK(kb_esdk_decrypt(&message, esdk, &options, &err), &err);
        KBT_OK(kb_esdk_process(message, &step, &err), &err);
        KBT_OK(kb_esdk_unlock(&message, 1, &status, &err), &err);
        KBT_OK(kb_esdk_seek(message, 1000001, last, &offset, &err), &err);
        CU_ASSERT_EQUAL(offset, craft.out.size - step.in.size);
        KBT_OK(esdktest_run(message, step.in, 99999, 70001, &out, &err), &err);
        KBT_BYTES(kb_buffer_view(&out), part(1000001, (size_t)last - 1000000));
        kb_esdk_free(message);
    }
    kb_buffer_free(&out);
    kb_buffer_free(&craft.out);
    kb_esdk_release(esdk);
}

/* --- lengths that lie ------------------------------------------------------------------------- */

static void test_lengths_cost_nothing(void)
{
    struct kb_esdk *esdk = esdktest_new(KB_COMMITMENT_REQUIRE_ALLOW, 1);
    const struct kb_esdk_decrypt_options all = {.plaintext_held_max = UINT64_MAX};
    struct kb_buffer out = KB_BUFFER_INIT(1 << 16);
    struct kb_error err = {.status = KB_OK};
    struct kb_esdk_message *message;
    struct craft craft;
    struct rusage before, after;

    getrusage(RUSAGE_SELF, &before);
    /* The frame length is any number; the message is small. */
    craft_header(&craft, 0x0478, UINT32_MAX);
    craft_frame(&craft, ESDK_FINAL, 1, part(0, 3 * LENGTH));
    good(esdk, kb_buffer_view(&craft.out), 3 * LENGTH);
    /* As a regular frame it would have 4 GiB: refused, or waited for. */
    craft.out.size -= 3 * LENGTH + ESDK_FINAL_OVERHEAD;
    craft_frame(&craft, ESDK_REGULAR, 1, part(0, 3 * LENGTH));
    CU_ASSERT_EQUAL(fails(esdk, kb_buffer_view(&craft.out), 0), KB_ERR_DENIED);
    KBT_OK(kb_esdk_decrypt(&message, esdk, &all, &err), &err);
    CU_ASSERT_EQUAL(esdktest_run(message, kb_buffer_view(&craft.out), 10, 10, &out, NULL),
                    KB_ERR_INPUT);
    CU_ASSERT_TRUE(message->held.capacity < 4096);
    kb_esdk_free(message);
    craft_end(&craft);
    kb_buffer_free(&craft.out);
    /* The length of an unframed body too; beyond the format's it is refused. */
    craft_header(&craft, 0x0478, 0);
    kb_buffer_put(&craft.out, "123456789012", 12);
    kb_buffer_put_u64(&craft.out, ESDK_UNFRAMED_MAX);
    kb_buffer_put(&craft.out, "1234567890123456789012345", 25);
    CU_ASSERT_EQUAL(fails(esdk, kb_buffer_view(&craft.out), 0), KB_ERR_DENIED);
    KBT_OK(kb_esdk_decrypt(&message, esdk, &all, &err), &err);
    CU_ASSERT_EQUAL(esdktest_run(message, kb_buffer_view(&craft.out), 10, 10, &out, NULL),
                    KB_ERR_INPUT);
    CU_ASSERT_TRUE(message->held.capacity < 4096);
    kb_esdk_free(message);
    craft.out.data[craft.out.size - 33]++;
    craft.out.data[craft.out.size - 26] = 0xff;
    CU_ASSERT_EQUAL(fails(esdk, kb_buffer_view(&craft.out), 0), KB_ERR_INPUT);
    craft_end(&craft);
    kb_buffer_free(&craft.out);
    getrusage(RUSAGE_SELF, &after);
    CU_ASSERT_TRUE(after.ru_maxrss - before.ru_maxrss < 16 * 1024); /* KiB */
    kb_buffer_free(&out);
    kb_esdk_release(esdk);
}

/* A header of `edks` recipients, each of three fields of `size` bytes, and of a
 * context of `pairs`; none of it opens. */
static struct kb_buffer long_header(size_t edks, size_t size, size_t pairs)
{
    static const uint8_t zeros[1000];
    const struct esdk_suite *suite = esdk_suite_find(0x0478);
    struct kb_buffer out = KB_BUFFER_INIT(1 << 26), serialized = KB_BUFFER_INIT(1 << 26);
    struct kb_pair *context = calloc(pairs + 1, sizeof *context);
    uint8_t *names = malloc(2 * pairs + 1);
    struct kb_esdk_info info = {.frame_length = 16,
                                .message_id = {zeros, 32},
                                .context = context,
                                .context_count = pairs,
                                .edk_count = edks};

    for (size_t i = 0; i < pairs; i++) {
        names[2 * i] = (uint8_t)(i >> 7);
        names[2 * i + 1] = i & 0x7f;
        context[i].name = (struct kb_bytes){names + 2 * i, 2};
    }
    for (size_t i = 0; i < 3 * edks; i++) {
        kb_buffer_put_u16(&serialized, (uint16_t)size);
        kb_buffer_put(&serialized, zeros, size);
    }
    KBT_OK(esdk_header_write(&out, suite, &info, kb_buffer_view(&serialized), zeros, NULL), NULL);
    kb_buffer_put(&out, zeros, KB_GCM_TAG_SIZE);
    kb_buffer_free(&serialized);
    free(context);
    free(names);
    return out;
}

/* The processor's time in which the header is read in steps, given up after
 * `most`. */
static clock_t in_steps(struct kb_bytes header, size_t feed, clock_t most)
{
    const struct kb_esdk_options many = {.max_edks = KB_ESDK_EDKS_MAX};
    const struct kb_esdk_decrypt_options pause = {.pause = true};
    struct kb_esdk *base = esdktest_new(KB_COMMITMENT_REQUIRE_REQUIRE, 1), *esdk;
    const clock_t start = clock();
    struct kb_esdk_message *message;
    size_t at = 0;

    KBT_OK(kb_esdk_new(&esdk, base->keyring, &many, NULL), NULL);
    KBT_OK(kb_esdk_decrypt(&message, esdk, &pause, NULL), NULL);
    while (at < header.size && clock() - start < most) {
        const size_t size = feed < header.size - at ? feed : header.size - at;
        struct kb_esdk_step step = {.in = {header.data + at, size}};

        KBT_OK(kb_esdk_process(message, &step, NULL), NULL);
        CU_ASSERT_EQUAL_FATAL(step.in.size, 0);
        CU_ASSERT_EQUAL(kb_esdk_paused(message), at + size == header.size);
        at += size;
    }
    CU_ASSERT_EQUAL(at, header.size);
    CU_ASSERT_EQUAL(message->held.capacity, 0);
    kb_esdk_free(message);
    kb_esdk_release(esdk);
    kb_esdk_release(base);
    return clock() - start;
}

/* A byte costs the same wherever in a header it comes, whatever was before it.
 * Held against the time of reading all at once, so that it is so on any
 * machine: reading all anew at every step takes some 100 times the bounds. */
static void test_headers_in_steps(void)
{
    static const struct {
        size_t edks, size, pairs, feed, times;
    } rows[] = {
        {KB_ESDK_EDKS_MAX, 1, 0, 1, 1000},
        {KB_ESDK_EDKS_MAX, 100, 0, 4096, 50},
        {16, 333, 10000, 1, 100},
        {KB_ESDK_EDKS_MAX, 1, 10000, 4096, 20},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct kb_buffer header = long_header(rows[i].edks, rows[i].size, rows[i].pairs);
        const clock_t once = in_steps(kb_buffer_view(&header), SIZE_MAX, 60 * CLOCKS_PER_SEC);
        const clock_t most = (clock_t)rows[i].times * (once + CLOCKS_PER_SEC / 1000);

        CU_ASSERT_TRUE(in_steps(kb_buffer_view(&header), rows[i].feed, most) < most);
        kb_buffer_free(&header);
    }
}

/* Writing takes no more than there is, too. */
static void test_long_frames_written(void)
{
    const struct kb_esdk_encrypt_options options = {.frame_length = UINT32_MAX};
    struct kb_esdk *esdk = esdktest_new(KB_COMMITMENT_REQUIRE_REQUIRE, 1);
    struct kb_buffer sealed = KB_BUFFER_INIT(1 << 20);
    struct kb_error err = {.status = KB_OK};
    struct kb_esdk_message *message;

    KBT_OK(kb_esdk_encrypt(&message, 1, esdk, &options, &err), &err);
    KBT_OK(esdktest_run(message, esdktest_plain(50000), 999, 999, &sealed, &err), &err);
    CU_ASSERT_TRUE(message->held.capacity < 200000);
    kb_esdk_free(message);
    good(esdk, kb_buffer_view(&sealed), 50000);
    kb_buffer_free(&sealed);
    kb_esdk_release(esdk);
}

int main(int argc, char **argv)
{
    static const struct kbtest tests[] = {
        {"flips", test_flips},
        {"truncations", test_truncations},
        {"trailing bytes", test_trailing_bytes},
        {"order", test_order},
        {"last frame", test_last_frame},
        {"commitment", test_commitment},
        {"signature", test_signature},
        {"one wrong of many", test_one_wrong_of_many},
        {"unsigned only", test_unsigned_only},
        {"policy first", test_policy_first},
        {"long frames", test_long_frames},
        {"range in pieces", test_range_in_pieces},
        {"lengths cost nothing", test_lengths_cost_nothing},
        {"headers in steps", test_headers_in_steps},
        {"long frames written", test_long_frames_written},
        {NULL, NULL},
    };

    return kbtest_main("esdk forged", tests, argc, argv);
}
