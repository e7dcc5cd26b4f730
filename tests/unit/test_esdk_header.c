/* SPDX-License-Identifier: Apache-2.0
 *
 * Headers of the AWS Encryption SDK's messages: written and read, byte for
 * byte, and what is none.
 */
#include "base/text.h"
#include "esdk/header.h"
#include "kbtest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint16_t suites[] = {0x0014, 0x0046, 0x0078, 0x0114, 0x0146, 0x0178,
                                  0x0214, 0x0346, 0x0378, 0x0478, 0x0578};

enum { SUITES = sizeof suites / sizeof *suites, EDKS = 3 };

/* --- headers to work on ----------------------------------------------------------------- */

static void put_field(struct kb_buffer *out, struct kb_bytes bytes)
{
    kb_buffer_put_u16(out, (uint16_t)bytes.size);
    kb_buffer_put_bytes(out, bytes);
}

static void put_edks(struct kb_buffer *out, const struct kb_edk *edks, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        put_field(out, edks[i].provider);
        put_field(out, edks[i].info);
        put_field(out, edks[i].ciphertext);
    }
}

/* Writes again what was read, without the header's authentication. */
static void write_again(struct kb_buffer *out, const struct kb_esdk_header *header)
{
    struct kb_buffer edks = KB_BUFFER_INIT(1 << 26);

    put_edks(&edks, header->info.edks, header->info.edk_count);
    KBT_OK(esdk_header_write(out, header->suite, &header->info, kb_buffer_view(&edks),
                             header->commit_key, NULL),
           NULL);
    kb_buffer_free(&edks);
}

static const uint8_t numbers[64] = {1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16,
                                    17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32};

/* Where the parts of a sample are. */
struct sample {
    struct kb_buffer bytes;
    size_t context, edks, content; /* of lengths and counts; of the content type */
};

static void write_pairs(struct sample *sample, const struct esdk_suite *suite, uint32_t frame,
                        const struct kb_pair *pairs, size_t n)
{
    const struct kb_edk edks[EDKS] = {
        {kb_bytes_text("namespace"), kb_bytes_text("name"), {numbers, 40}},
        {kb_bytes_text("aws-kms"), kb_bytes_text("arn:aws:kms:eu-central-1:1:key/2"), {numbers, 9}},
        {{NULL, 0}, {NULL, 0}, {NULL, 0}},
    };
    struct kb_buffer serialized = KB_BUFFER_INIT(1000);
    struct kb_esdk_info info = {.frame_length = frame,
                                .message_id = {numbers, esdk_message_id_size(suite)},
                                .context = pairs,
                                .context_count = n,
                                .edk_count = EDKS};

    put_edks(&serialized, edks, EDKS);
    sample->bytes = (struct kb_buffer)KB_BUFFER_INIT(1 << 20);
    KBT_OK(esdk_header_write(&sample->bytes, suite, &info, kb_buffer_view(&serialized),
                             numbers + 8, NULL),
           NULL);
    sample->context = (suite->version == 1 ? 4 : 3) + info.message_id.size;
    sample->content = sample->bytes.size - (suite->version == 1 ? 10 : 5 + 32);
    sample->edks = sample->content - serialized.size - 2;
    if (suite->version == 1)
        kb_buffer_put(&sample->bytes, numbers + 1, KB_GCM_IV_SIZE);
    kb_buffer_put(&sample->bytes, numbers + 2, KB_GCM_TAG_SIZE);
    kb_buffer_free(&serialized);
}

static void write_sample(struct sample *sample, uint16_t id, uint32_t frame, bool context)
{
    const struct esdk_suite *suite = esdk_suite_find(id);
    struct kb_pair pairs[3] = {{kb_bytes_text("aws-crypto-public-key"), kb_bytes_text("A==")},
                               {kb_bytes_text("day"), kb_bytes_text("Mi")},
                               {kb_bytes_text("z"), kb_bytes_text("\xc3\xa9")}};

    write_pairs(sample, suite, frame, pairs + !suite->is_signed,
                suite->is_signed + (context ? 2u : 0));
}

static enum kb_status read_header(struct kb_esdk_header **out, struct kb_bytes in, size_t *need)
{
    struct kb_error err = {0};
    enum kb_status status = kb_esdk_header_read(out, in, 0, need, &err);

    CU_ASSERT_EQUAL(status, err.status);
    CU_ASSERT_EQUAL(status != KB_OK, err.text[0] != 0);
    if (*out) {
        CU_ASSERT_EQUAL(*need, 0);
        CU_ASSERT_TRUE((*out)->info.header_size <= in.size);
    } else {
        CU_ASSERT_EQUAL(*need > in.size, status == KB_OK);
    }
    return status;
}

/* Hands the reader what it asked for each time, all in memory of just that
 * size; its status. At most `size` bytes are there. */
static enum kb_status feed(struct kb_esdk_header **out, struct kb_bytes in)
{
    size_t size = 0, need = 0;
    enum kb_status status;

    do {
        uint8_t *exact = malloc(need ? need : 1);

        size = need;
        if (size)
            memcpy(exact, in.data, size);
        status = read_header(out, (struct kb_bytes){exact, size}, &need);
        free(exact);
        CU_ASSERT_FATAL(status != KB_OK || *out || need > size);
    } while (status == KB_OK && !*out && need <= in.size);
    return status;
}

/* --- round trips ---------------------------------------------------------------------- */

static void check_read(const struct kb_esdk_header *header, const struct sample *sample,
                       uint16_t id, uint32_t frame, bool context)
{
    const struct kb_esdk_info *info = kb_esdk_header_info(header);
    const struct esdk_suite *suite = esdk_suite_find(id);
    static const uint8_t zero[KB_GCM_IV_SIZE];
    size_t pairs = (context ? 2u : 0) + suite->is_signed;
    struct kb_buffer again = KB_BUFFER_INIT(1 << 20);

    CU_ASSERT_PTR_EQUAL(header->suite, suite);
    CU_ASSERT_EQUAL(info->suite, id);
    CU_ASSERT_EQUAL(info->version, suite->version);
    CU_ASSERT_EQUAL(info->committing, suite->committing);
    CU_ASSERT_EQUAL(info->is_signed, suite->is_signed);
    CU_ASSERT_EQUAL(info->frame_length, frame);
    CU_ASSERT_EQUAL(info->header_size, sample->bytes.size);
    KBT_BYTES(info->message_id, ((struct kb_bytes){numbers, suite->version == 1 ? 16 : 32}));
    CU_ASSERT_EQUAL_FATAL(info->context_count, pairs);
    if (context) {
        KBT_TEXT(info->context[pairs - 2].name, "day");
        KBT_TEXT(info->context[pairs - 1].value, "\xc3\xa9");
    }
    CU_ASSERT_EQUAL_FATAL(info->edk_count, EDKS);
    KBT_TEXT(info->edks[0].provider, "namespace");
    KBT_BYTES(info->edks[0].ciphertext, ((struct kb_bytes){numbers, 40}));
    KBT_TEXT(info->edks[1].info, "arn:aws:kms:eu-central-1:1:key/2");
    CU_ASSERT_EQUAL(info->edks[2].ciphertext.size, 0);
    KBT_BYTES(((struct kb_bytes){header->iv, KB_GCM_IV_SIZE}),
              ((struct kb_bytes){suite->version == 1 ? numbers + 1 : zero, KB_GCM_IV_SIZE}));
    KBT_BYTES(((struct kb_bytes){header->tag, KB_GCM_TAG_SIZE}),
              ((struct kb_bytes){numbers + 2, KB_GCM_TAG_SIZE}));
    if (suite->committing)
        KBT_BYTES(((struct kb_bytes){header->commit_key, 32}),
                  ((struct kb_bytes){numbers + 8, 32}));
    write_again(&again, header);
    KBT_BYTES(header->body, kb_buffer_view(&again));
    KBT_BYTES(header->body,
              ((struct kb_bytes){sample->bytes.data,
                                 sample->bytes.size - (suite->version == 1 ? 28 : 16)}));
    kb_buffer_free(&again);
}

static void each_sample(void (*each)(struct sample *, uint16_t id, uint32_t frame, bool context))
{
    static const uint32_t frames[] = {0, 1, 4096, UINT32_MAX};

    for (size_t i = 0; i < SUITES * 4 * 2; i++) {
        struct sample sample;
        uint16_t id = suites[i / 8];

        write_sample(&sample, id, frames[i / 2 % 4], i % 2);
        each(&sample, id, frames[i / 2 % 4], i % 2);
        kb_buffer_free(&sample.bytes);
    }
}

/* Whole, with the message behind it, and in the pieces the reader asks for. */
static void round_trip(struct sample *sample, uint16_t id, uint32_t frame, bool context)
{
    struct kb_esdk_header *header;
    size_t need, size = sample->bytes.size;

    KBT_OK(feed(&header, kb_buffer_view(&sample->bytes)), NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(header);
    check_read(header, sample, id, frame, context);
    kb_esdk_header_free(header);
    kb_buffer_put(&sample->bytes, numbers, 64);
    KBT_OK(read_header(&header, kb_buffer_view(&sample->bytes), &need), NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(header);
    memset(sample->bytes.data, 0xee, sample->bytes.size); /* it keeps no view */
    sample->bytes.size = size;
    KBT_BYTES(header->info.message_id,
              ((struct kb_bytes){numbers, header->info.message_id.size}));
    KBT_TEXT(header->info.edks[0].info, "name");
    kb_esdk_header_free(header);
}

static void test_round_trip(void)
{
    each_sample(round_trip);
}

static void cut(struct sample *sample, uint16_t id, uint32_t frame, bool context)
{
    (void)id, (void)frame, (void)context;
    for (size_t size = 0; size < sample->bytes.size; size++) {
        struct kb_esdk_header *header;
        uint8_t *exact = malloc(size ? size : 1);
        size_t need;

        memcpy(exact, sample->bytes.data, size);
        KBT_OK(read_header(&header, (struct kb_bytes){exact, size}, &need), NULL);
        CU_ASSERT_PTR_NULL(header);
        CU_ASSERT_TRUE(need > size && need <= sample->bytes.size);
        free(exact);
    }
}

static void test_cut(void)
{
    each_sample(cut);
}

/* A bit of these is refused, or makes the reader wait for what does not come;
 * bits elsewhere are data, which the header's tag protects. */
static bool is_structure(const struct sample *sample, const struct esdk_suite *suite, size_t at)
{
    return at < (suite->version == 1 ? 4u : 3u) ||
           (at >= sample->context && at < sample->context + (suite->is_signed ? 6 + 21 : 2)) ||
           (at >= sample->edks && at < sample->edks + 2) ||
           (at >= sample->content && at < sample->content + (suite->version == 1 ? 6 : 1));
}

static void flip(struct sample *sample, uint16_t id, uint32_t frame, bool context)
{
    const struct esdk_suite *suite = esdk_suite_find(id);

    (void)frame, (void)context;
    for (size_t bit = 0; bit < sample->bytes.size * 8; bit++) {
        struct kb_buffer again = KB_BUFFER_INIT(1 << 20);
        struct kb_esdk_header *header;
        size_t need;
        enum kb_status status;

        sample->bytes.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        status = read_header(&header, kb_buffer_view(&sample->bytes), &need);
        CU_ASSERT_TRUE(status == KB_OK || status == KB_ERR_INPUT || status == KB_ERR_DENIED);
        /* A bit of the suite's id can make it another's. */
        if (header && is_structure(sample, suite, bit / 8))
            CU_ASSERT_TRUE(header->suite != suite && header->suite->version == suite->version &&
                           header->suite->is_signed == suite->is_signed);
        if (header && header->info.context_count < 2) { /* else they may be out of order */
            write_again(&again, header);
            KBT_BYTES(kb_buffer_view(&again), header->body);
            KBT_BYTES(header->body, ((struct kb_bytes){sample->bytes.data, header->body.size}));
        }
        kb_buffer_free(&again);
        kb_esdk_header_free(header);
        sample->bytes.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

static void test_flipped(void)
{
    each_sample(flip);
}

/* --- refusals ------------------------------------------------------------------------- */

/* The sentence of what is refused, from any number of bytes from `enough` on. */
static void refused(const struct sample *sample, size_t enough, enum kb_status want,
                    const char *text)
{
    for (size_t size = enough; size <= sample->bytes.size; size++) {
        struct kb_esdk_header *header;
        struct kb_error err = {0};
        size_t need = 1;

        CU_ASSERT_EQUAL(kb_esdk_header_read(&header, (struct kb_bytes){sample->bytes.data, size},
                                            0, &need, &err),
                        want);
        CU_ASSERT_PTR_NULL(header);
        CU_ASSERT_EQUAL(need, 0);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.text, text));
        if (!strstr(err.text, text))
            fprintf(stderr, "\n    %s, not %s\n", err.text, text);
        kb_esdk_header_free(header);
    }
}

/* Sets `size` bytes of a fresh sample at one place. */
static void refuse_change(uint16_t id, size_t at, uint64_t value, size_t size, const char *text)
{
    struct sample sample;
    size_t enough;

    write_sample(&sample, id, 4096, false);
    if (at >= 1000) /* from the content type on */
        at += sample.content - 1000;
    enough = at >= sample.content ? sample.content + (esdk_suite_find(id)->version == 1 ? 10 : 5)
                                  : at + size;
    for (size_t i = size; i-- > 0; value >>= 8)
        sample.bytes.data[at + i] = (uint8_t)value;
    refused(&sample, enough, KB_ERR_INPUT, text);
    kb_buffer_free(&sample.bytes);
}

static void test_structure(void)
{
    static const uint16_t none[] = {0x0000, 0x0070, 0x0073, 0x6700, 0x6701, 0x1405, 0xffff};

    for (unsigned version = 0; version < 256; version++)
        if (version != 1 && version != 2)
            refuse_change(0x0178, 0, version, 1, "no message");
    for (unsigned type = 0; type < 256; type++)
        if (type != 0x80)
            refuse_change(0x0178, 1, type, 1, "unknown type");
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        refuse_change(0x0178, 2, none[i], 2, "algorithm suite");
        refuse_change(0x0578, 1, none[i], 2, "algorithm suite");
    }
    for (size_t i = 0; i < SUITES; i++) {
        bool second = suites[i] >= 0x0478;

        refuse_change(second ? 0x0178 : 0x0478, second ? 2 : 1, suites[i], 2,
                      second ? "none of messages of version 1" : "none of messages of version 2");
    }
    for (unsigned type = 0; type < 256; type++)
        if (type != 1 && type != 2)
            refuse_change(type % 2 ? 0x0178 : 0x0578, 1000, type, 1, "content type");
    for (unsigned bit = 0; bit < 32; bit++)
        refuse_change(0x0178, 1001, UINT64_C(1) << bit, 4, "reserved bytes");
    for (unsigned size = 0; size < 256; size++)
        if (size != 12)
            refuse_change(0x0178, 1005, size, 1, "IVs of");
    refuse_change(0x0178, 1006, 0, 4, "length zero");
    refuse_change(0x0578, 1001, 0, 4, "length zero");
    refuse_change(0x0178, 1000, 1, 1, "a frame length");
    refuse_change(0x0478, 1000, 1, 1, "a frame length");
}

/* --- encryption contexts ---------------------------------------------------------------- */

/* Puts these bytes, behind a length, in the place of a sample's context. */
static void set_context(struct sample *sample, uint16_t id, struct kb_bytes context)
{
    struct sample whole;
    size_t old;

    write_sample(&whole, id, 4096, false);
    *sample = whole;
    sample->bytes = (struct kb_buffer)KB_BUFFER_INIT(1 << 20);
    old = whole.edks - whole.context;
    kb_buffer_put(&sample->bytes, whole.bytes.data, whole.context);
    put_field(&sample->bytes, context);
    kb_buffer_put(&sample->bytes, whole.bytes.data + whole.edks, whole.bytes.size - whole.edks);
    sample->edks = whole.edks - old + 2 + context.size;
    kb_buffer_free(&whole.bytes);
}

static void refuse_context(uint16_t id, const char *bytes, size_t size, const char *text)
{
    struct sample sample;

    set_context(&sample, id, (struct kb_bytes){(const uint8_t *)bytes, size});
    refused(&sample, sample.edks, KB_ERR_INPUT, text);
    kb_buffer_free(&sample.bytes);
}

static void accept_context(const char *bytes, size_t size, const char *names)
{
    struct kb_esdk_header *header;
    struct sample sample;

    set_context(&sample, 0x0478, (struct kb_bytes){(const uint8_t *)bytes, size});
    KBT_OK(feed(&header, kb_buffer_view(&sample.bytes)), NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(header);
    CU_ASSERT_EQUAL_FATAL(header->info.context_count, strlen(names));
    for (size_t i = 0; names[i]; i++)
        KBT_BYTES(header->info.context[i].name,
                  ((struct kb_bytes){(const uint8_t *)names + i, 1}));
    CU_ASSERT_EQUAL(header->body.size, header->info.header_size - KB_GCM_TAG_SIZE);
    KBT_BYTES(header->body, ((struct kb_bytes){sample.bytes.data, header->body.size}));
    kb_esdk_header_free(header);
    kb_buffer_free(&sample.bytes);
}

#define BYTES(literal) literal, sizeof literal - 1

static void test_context(void)
{
    accept_context(BYTES(""), "");
    accept_context(BYTES("\0\0"), ""); /* some old writers did */
    accept_context(BYTES("\0\1\0\1a\0\0"), "a");
    accept_context(BYTES("\0\2\0\1a\0\0\0\1b\0\1B"), "ab");
    accept_context(BYTES("\0\2\0\1b\0\1B\0\1a\0\0"), "ab"); /* not sorted */
    refuse_context(0x0478, BYTES("\0"), "malformed");
    refuse_context(0x0478, BYTES("\0\0\0"), "malformed");
    refuse_context(0x0478, BYTES("\0\1"), "malformed");
    refuse_context(0x0478, BYTES("\377\377"), "malformed");
    refuse_context(0x0478, BYTES("\0\1\0\1a\0"), "malformed");
    refuse_context(0x0478, BYTES("\0\1\0\1a\0\1"), "malformed");
    refuse_context(0x0478, BYTES("\0\1\0\1a\0\0\0"), "malformed");
    refuse_context(0x0478, BYTES("\0\1\0\1a\0\0\0\1b\0\0"), "malformed"); /* count too small */
    refuse_context(0x0478, BYTES("\0\3\0\1a\0\0\0\1b\0\0"), "malformed"); /* and too great */
    refuse_context(0x0478, BYTES("\0\2\0\1a\0\0\0\1a\0\1A"), "twice");
    refuse_context(0x0478, BYTES("\0\3\0\1b\0\0\0\1a\0\1A\0\1b\0\0"), "twice");
    refuse_context(0x0478, BYTES("\0\1\0\1\377\0\0"), "malformed"); /* not UTF-8 */
    refuse_context(0x0478, BYTES("\0\1\0\1a\0\2\300\200"), "malformed");
    refuse_context(0x0478, BYTES("\0\1\0\25aws-crypto-public-key\0\0"), "not signed, but has");
    refuse_context(0x0578, BYTES(""), "signed, but has no public key");
    refuse_context(0x0578, BYTES("\0\1\0\25aws-crypto-public-kez\0\0"), "has no public key");
    refuse_context(0x0214, BYTES("\0\0"), "has no public key");
}

static void test_context_limit(void)
{
    static const size_t over[] = {0, 1, 100};
    static uint8_t value[65535];
    const struct esdk_suite *suite = esdk_suite_find(0x0478);
    struct kb_pair pair = {kb_bytes_text("a"), {value, 65535 - 2 - 5}};
    struct kb_esdk_header *header;
    struct sample sample;

    memset(value, 'v', sizeof value);
    write_pairs(&sample, suite, 4096, &pair, 1);
    KBT_OK(feed(&header, kb_buffer_view(&sample.bytes)), NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(header);
    CU_ASSERT_EQUAL(header->info.context[0].value.size, pair.value.size);
    kb_esdk_header_free(header);
    kb_buffer_free(&sample.bytes);
    for (size_t i = 1; i < 3; i++) {
        struct kb_esdk_info info = {.context = &pair, .context_count = 1, .edk_count = 1,
                                    .message_id = {numbers, 32}};
        struct kb_buffer out = KB_BUFFER_INIT(1 << 20);

        pair.value.size = 65535 - 2 - 5 + over[i];
        CU_ASSERT_EQUAL(esdk_header_write(&out, suite, &info, kb_bytes_text("edk"), numbers, NULL),
                        KB_ERR_USAGE);
        kb_buffer_free(&out);
    }
}

/* --- recipients ------------------------------------------------------------------------- */

/* A header of version 2 up to its recipients, `count` of them, each `edk`. */
static void put_many(struct kb_buffer *out, size_t count, size_t written, struct kb_bytes edk)
{
    struct sample sample;

    write_sample(&sample, 0x0478, 4096, false);
    kb_buffer_put(out, sample.bytes.data, sample.edks);
    kb_buffer_put_u16(out, (uint16_t)count);
    for (size_t i = 0; i < written; i++)
        kb_buffer_put_bytes(out, edk);
    kb_buffer_put(out, sample.bytes.data + sample.content, sample.bytes.size - sample.content);
    kb_buffer_free(&sample.bytes);
}

static void check_many(size_t count, unsigned max, enum kb_status want)
{
    static const uint8_t edk[] = {0, 1, 'n', 0, 0, 0, 2, 'c', 't'};
    struct kb_buffer bytes = KB_BUFFER_INIT(1 << 20);
    struct kb_esdk_header *header;
    struct kb_error err = {0};
    size_t need;

    put_many(&bytes, count, count, (struct kb_bytes){edk, sizeof edk});
    CU_ASSERT_EQUAL(kb_esdk_header_read(&header, kb_buffer_view(&bytes), max, &need, &err), want);
    CU_ASSERT_EQUAL(header != NULL, want == KB_OK);
    if (header) {
        CU_ASSERT_EQUAL_FATAL(header->info.edk_count, count);
        KBT_TEXT(header->info.edks[count - 1].ciphertext, "ct");
    }
    kb_esdk_header_free(header);
    /* As soon as the count is there, and not before. */
    need = 3 + 32 + 2 + 1;
    KBT_OK(kb_esdk_header_read(&header, (struct kb_bytes){bytes.data, need}, max, &need, NULL),
           NULL);
    CU_ASSERT_EQUAL(need, 3 + 32 + 2 + 2);
    kb_error_clear(&err);
    CU_ASSERT_EQUAL(kb_esdk_header_read(&header, (struct kb_bytes){bytes.data, need}, max, &need,
                                        &err),
                    want);
    CU_ASSERT_PTR_NULL(header);
    CU_ASSERT_EQUAL(need, want == KB_OK ? 3 + 32 + 2 + 2 + 6 * count : 0);
    if (want == KB_ERR_DENIED) {
        char number[32];

        snprintf(number, sizeof number, "%zu", count);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.text, number));
        CU_ASSERT_PTR_NOT_NULL(strstr(err.hint, number));
    }
    kb_buffer_free(&bytes);
}

static void test_recipients(void)
{
    check_many(0, 0, KB_ERR_INPUT);
    check_many(0, KB_ESDK_EDKS_MAX, KB_ERR_INPUT);
    check_many(1, 1, KB_OK);
    check_many(2, 1, KB_ERR_DENIED);
    check_many(KB_ESDK_EDKS_DEFAULT, 0, KB_OK);
    check_many(KB_ESDK_EDKS_DEFAULT + 1, 0, KB_ERR_DENIED);
    check_many(100, 100, KB_OK);
    check_many(101, 100, KB_ERR_DENIED);
    check_many(KB_ESDK_EDKS_MAX, 0, KB_ERR_DENIED);
    check_many(KB_ESDK_EDKS_MAX, KB_ESDK_EDKS_MAX - 1, KB_ERR_DENIED);
    check_many(KB_ESDK_EDKS_MAX, KB_ESDK_EDKS_MAX, KB_OK);
}

/* The format's longest header has 12 GB. One of 64 MiB is not waited for. */
static void test_longest(void)
{
    struct kb_buffer bytes = KB_BUFFER_INIT(ESDK_HEADER_MAX + 200000);
    struct kb_esdk_header *header;
    size_t need = 0, steps = 0;
    uint8_t *rest;
    enum kb_status status;

    put_many(&bytes, KB_ESDK_EDKS_MAX, 0, (struct kb_bytes){NULL, 0});
    bytes.size = 3 + 32 + 2 + 2;
    rest = kb_buffer_extend(&bytes, ESDK_HEADER_MAX);
    CU_ASSERT_PTR_NOT_NULL_FATAL(rest);
    memset(rest, 0xff, ESDK_HEADER_MAX); /* fields of 65,535 bytes */
    do {
        status = kb_esdk_header_read(&header, (struct kb_bytes){bytes.data, need},
                                     KB_ESDK_EDKS_MAX, &need, NULL);
    } while (status == KB_OK && need <= bytes.size && ++steps < 3000);
    CU_ASSERT_EQUAL(status, KB_ERR_DENIED);
    CU_ASSERT_PTR_NULL(header);
    CU_ASSERT_TRUE(steps > 1000);
    kb_buffer_free(&bytes);
}

/* What is still missing does not depend on how the bytes came. */
static void test_steps(void)
{
    static const uint8_t edk[] = {0, 1, 'n', 0, 0, 0, 2, 'c', 't'};
    struct kb_buffer bytes = KB_BUFFER_INIT(1 << 20);

    put_many(&bytes, 1000, 1000, (struct kb_bytes){edk, sizeof edk});
    for (size_t size = 0; size < bytes.size; size++) {
        struct esdk_header_scan scan = {0};
        struct kb_esdk_header *header;
        size_t need;

        for (size_t from = size / 2; from <= size; from += size - size / 2 + !size)
            KBT_OK(esdk_header_read(&header, (struct kb_bytes){bytes.data, from}, 1000, &scan,
                                    NULL),
                   NULL);
        KBT_OK(kb_esdk_header_read(&header, (struct kb_bytes){bytes.data, size}, 1000, &need, NULL),
               NULL);
        CU_ASSERT_EQUAL(scan.need, need);
    }
    kb_buffer_free(&bytes);
}

static void test_write_limits(void)
{
    struct kb_esdk_info info = {.frame_length = 1, .message_id = {numbers, 16}};
    struct kb_buffer out = KB_BUFFER_INIT(1 << 20);
    const struct esdk_suite *suite = esdk_suite_find(0x0178);

    CU_ASSERT_EQUAL(esdk_header_write(&out, suite, &info, kb_bytes_text(""), NULL, NULL),
                    KB_ERR_USAGE);
    info.edk_count = 65536;
    CU_ASSERT_EQUAL(esdk_header_write(&out, suite, &info, kb_bytes_text(""), NULL, NULL),
                    KB_ERR_USAGE);
    info.edk_count = 65535;
    KBT_OK(esdk_header_write(&out, suite, &info, kb_bytes_text(""), NULL, NULL), NULL);
    kb_buffer_free(&out);
    out.max = 32;
    CU_ASSERT_EQUAL(esdk_header_write(&out, suite, &info, kb_bytes_text(""), NULL, NULL),
                    KB_ERR_MEMORY);
    kb_buffer_free(&out);
}

/* --- what is no message ------------------------------------------------------------------ */

static void test_foreign(void)
{
    static const struct {
        const char *bytes;
        size_t size;
        const char *text, *hint;
    } rows[] = {
        {BYTES("AgV4ABEiM0RVZneImaq7zN3u/w=="), "base64", "base64 -d"},
        {BYTES("AYADeA\r\nbcd"), "base64", "base64 -d"},
        {BYTES("Agenda: 1. open questions"), "no message", "like text"},
        {BYTES("Ay"), "no message", "like text"},
        {BYTES("A"), "no message", "like text"},
        {BYTES("hello, world\n"), "no message", "like text"},
        {BYTES("{\"a\":1}"), "no message", "JSON"},
        {BYTES("-----BEGIN PGP MESSAGE-----\n"), "no message", "PEM"},
        {BYTES("age-encryption.org/v1\n-> X25519 "), "no message", "age"},
        {BYTES("Salted__\1\2\3\4"), "no message", "openssl"},
        {BYTES("\x1f\x8b\x08"), "no message", "gzip"},
        {BYTES("\x28\xb5\x2f\xfd\x04"), "no message", "zstd"},
        {BYTES("PK\3\4\24"), "no message", "zip"},
        {BYTES("\x7f" "ELF"), "no message", ""},
        {BYTES("\3"), "no message", ""},
    };
    struct kb_error err = {0};

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct kb_bytes in = {(const uint8_t *)rows[i].bytes, rows[i].size};
        struct kb_esdk_header *header;
        size_t need;

        kb_error_clear(&err);
        CU_ASSERT_EQUAL(kb_esdk_header_read(&header, in, 0, &need, &err), KB_ERR_INPUT);
        CU_ASSERT_PTR_NULL(header);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.text, rows[i].text));
        CU_ASSERT_TRUE(rows[i].hint[0] ? strstr(err.hint, rows[i].hint) != NULL : !err.hint[0]);
        if (!strstr(err.hint, rows[i].hint))
            fprintf(stderr, "\n    %s | %s, not %s\n", err.text, err.hint, rows[i].hint);
    }
    kb_error_clear(&err);
    CU_ASSERT_EQUAL(esdk_header_refuse((struct kb_bytes){NULL, 0}, &err), KB_ERR_INPUT);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "empty"));
    kb_error_clear(&err);
    CU_ASSERT_EQUAL(esdk_header_refuse((struct kb_bytes){numbers, 3}, &err), KB_ERR_INPUT);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "ends within its header"));
}

/* --- sizes ------------------------------------------------------------------------------ */

/* Every message of up to 300 bytes of plaintext, with a last frame that is
 * empty or full where the length is a multiple: the only sizes there are. */
static void check_sizes(const struct kb_esdk_info *info, uint64_t around)
{
    uint64_t frame = info->frame_length, got;
    bool seen[16384] = {false};

    for (uint64_t plain = 0; plain <= 300; plain++) {
        for (uint64_t last = 0; last <= frame && last <= plain; last++) {
            uint64_t size = around + (frame ? (plain - last) / (frame ? frame : 1) * (frame + 32)
                                            : 0) +
                            (frame ? 40 + last : 36 + plain);

            if (frame && (plain - last) % frame)
                continue;
            seen[size] = true;
            CU_ASSERT_TRUE(kb_esdk_plaintext_size(info, size, &got));
            CU_ASSERT_EQUAL(got, plain);
        }
    }
    for (uint64_t size = 0; size < sizeof seen; size++)
        if (kb_esdk_plaintext_size(info, size, &got) && got <= 300)
            CU_ASSERT_TRUE(seen[size]);
}

static void test_sizes(void)
{
    static const uint32_t frames[] = {0, 1, 2, 7, 100, 299, 300, 4096, UINT32_MAX};
    uint64_t got;

    for (size_t i = 0; i < SUITES * 9; i++) {
        const struct esdk_suite *suite = esdk_suite_find(suites[i / 9]);
        struct kb_esdk_info info = {.suite = suite->id,
                                    .is_signed = suite->is_signed,
                                    .frame_length = frames[i % 9],
                                    .header_size = 123};

        check_sizes(&info, 123 + (!suite->is_signed ? 0 : suite->id == 0x0214 ? 73 : 105));
    }
    struct kb_esdk_info info = {.suite = 0x0478};
    CU_ASSERT_TRUE(kb_esdk_plaintext_size(&info, ESDK_UNFRAMED_MAX + 36, &got));
    CU_ASSERT_EQUAL(got, ESDK_UNFRAMED_MAX);
    CU_ASSERT_FALSE(kb_esdk_plaintext_size(&info, ESDK_UNFRAMED_MAX + 37, &got));
    info.frame_length = 1; /* 2^32-2 frames and the last */
    CU_ASSERT_TRUE(kb_esdk_plaintext_size(&info, UINT64_C(0xfffffffe) * 33 + 41, &got));
    CU_ASSERT_EQUAL(got, UINT32_MAX);
    CU_ASSERT_FALSE(kb_esdk_plaintext_size(&info, UINT64_C(0xffffffff) * 33 + 40, &got));
    info.frame_length = UINT32_MAX;
    CU_ASSERT_TRUE(kb_esdk_plaintext_size(&info, UINT64_MAX, &got));
    CU_ASSERT_TRUE(got > UINT64_MAX - (UINT64_C(1) << 38)); /* nothing ran over */
    info.suite = 0;
    CU_ASSERT_FALSE(kb_esdk_plaintext_size(&info, 1000, &got));
}

int main(int argc, char **argv)
{
    static const struct kbtest tests[] = {
        {"round trips, in the pieces asked for", test_round_trip},
        {"every truncation", test_cut},
        {"every bit flipped", test_flipped},
        {"wrong structure", test_structure},
        {"encryption contexts", test_context},
        {"encryption contexts at their limit", test_context_limit},
        {"numbers of recipients", test_recipients},
        {"a header without an end", test_longest},
        {"in steps", test_steps},
        {"what cannot be written", test_write_limits},
        {"what is no message", test_foreign},
        {"sizes of plaintexts", test_sizes},
        {NULL, NULL},
    };

    return kbtest_main("esdk header", tests, argc, argv);
}
