/* SPDX-License-Identifier: Apache-2.0
 *
 * What is stored with objects of the S3 Encryption Client: written and read,
 * recognised, and refused where it contradicts itself.
 */
#include "kbtest.h"
#include "s3ec/header.h"

#include <stdio.h>
#include <string.h>

enum { PAIRS = KB_S3EC_METADATA_MAX };

/* --- headers to work on ---------------------------------------------------------- */

struct sample {
    struct s3ec_parsed parsed;
    struct s3ec_written written;
};

static void fill(uint8_t *out, size_t size)
{
    for (size_t i = 0; i < size; i++)
        out[i] = (uint8_t)(i * 7 + 1);
}

static void make(struct sample *sample, unsigned version, bool file, const char *description)
{
    *sample = (struct sample){.parsed = {.version = version,
                                         .content = version == 3 ? S3EC_COMMITTING : S3EC_GCM,
                                         .wrap = S3EC_WRAP_AES_GCM,
                                         .instruction_file = file,
                                         .key.size = 60,
                                         .description = kb_bytes_text(description)}};
    fill(sample->parsed.iv, version == 3 ? S3EC_MESSAGE_ID : S3EC_IV_GCM);
    fill(sample->parsed.key.data, 60);
    if (version == 3)
        fill(sample->parsed.commitment, S3EC_COMMITMENT);
    KBT_OK(s3ec_header_write(&sample->written, &sample->parsed, NULL), NULL);
}

static void drop(struct sample *sample)
{
    kb_arena_free(&sample->written.memory);
}

/* The status of reading; *version is told in any case. */
static enum kb_status look(const struct kb_s3ec_header *header, unsigned *version)
{
    struct kb_s3ec_info info;
    enum kb_status status = kb_s3ec_inspect(&info, header, NULL);

    if (version)
        *version = info.version;
    return status;
}

static void read_back(void)
{
    for (unsigned i = 0; i < 4; i++) {
        const char *description = "{\"a\":\"b \\\" \\u00e9\"}";
        struct kb_arena arena = KB_ARENA_INIT;
        struct s3ec_parsed got;
        struct sample sample;

        make(&sample, i & 1 ? 3 : 2, i & 2, description);
        CU_ASSERT_EQUAL(sample.written.header.instruction.data != NULL, (i & 2) != 0);
        KBT_OK(s3ec_header_read(&got, &sample.written.header, &arena, NULL), NULL);
        KBT_TEXT(got.description, description);
        CU_ASSERT_TRUE(got.version == sample.parsed.version &&
                       got.content == sample.parsed.content && got.wrap == sample.parsed.wrap &&
                       got.instruction_file == sample.parsed.instruction_file &&
                       got.key.size == sample.parsed.key.size);
        CU_ASSERT_TRUE(memcmp(got.iv, sample.parsed.iv, sizeof got.iv) == 0);
        CU_ASSERT_TRUE(memcmp(got.commitment, sample.parsed.commitment, S3EC_COMMITMENT) == 0);
        CU_ASSERT_TRUE(memcmp(got.key.data, sample.parsed.key.data, got.key.size) == 0);
        kb_arena_free(&arena);
        drop(&sample);
    }
}

static void inspection(void)
{
    struct kb_s3ec_info info;
    struct sample sample;

    make(&sample, 3, true, "");
    KBT_OK(kb_s3ec_inspect(&info, &sample.written.header, NULL), NULL);
    CU_ASSERT_EQUAL(info.version, 3);
    CU_ASSERT_STRING_EQUAL(info.content_algorithm, "115");
    CU_ASSERT_STRING_EQUAL(info.wrap_algorithm, "AES/GCM");
    CU_ASSERT_TRUE(info.committing && info.instruction_file && !info.legacy_wrapping &&
                   !info.legacy_content && info.tag_size == 16);
    CU_ASSERT_STRING_EQUAL(info.description, "");
    drop(&sample);
    make(&sample, 2, false, "{\"k\":\"\xc3\xa9\x1b[31m\"}");
    KBT_OK(kb_s3ec_inspect(&info, &sample.written.header, NULL), NULL);
    CU_ASSERT_FALSE(info.committing || info.instruction_file);
    CU_ASSERT_STRING_EQUAL(info.description, "{\"k\":\"\xc3\xa9?[31m\"}");
    drop(&sample);
    make(&sample, 2, false, "\xff\xfe{}");
    KBT_OK(kb_s3ec_inspect(&info, &sample.written.header, NULL), NULL);
    CU_ASSERT_STRING_EQUAL(info.description, "?\?{}");
    drop(&sample);
}

/* --- recognising ----------------------------------------------------------------- */

#define KEY60 "AQgPFh0kKzI5QEdOVVxjanF4f4aNlJuiqbC3vsXM09rh6O/2/QQLEhkgJy41PENKUVhfZm10e4KJkJee"
#define KEY48 "AQgPFh0kKzI5QEdOVVxjanF4f4aNlJuiqbC3vsXM09rh6O/2/QQLEhkgJy41PENK"
#define IV12 "AQgPFh0kKzI5QEdO"
#define IV16 "AQgPFh0kKzI5QEdOVVxjag=="
#define ID28 "AQgPFh0kKzI5QEdOVVxjanF4f4aNlJuiqbC3vg=="

#define V2 "x-amz-key-v2=" KEY60 "|x-amz-iv=" IV12 "|x-amz-cek-alg=AES/GCM/NoPadding|" \
           "x-amz-wrap-alg=AES/GCM|x-amz-tag-len=128|x-amz-matdesc={}"
#define V3_BODY "x-amz-c=115|x-amz-d=" ID28 "|x-amz-i=" ID28
#define V3 "x-amz-3=" KEY60 "|x-amz-w=02|" V3_BODY
#define FILE_V3 "{\"x-amz-3\":\"" KEY60 "\",\"x-amz-w\":\"02\"}"
#define FILE_V2 "{\"x-amz-key-v2\":\"" KEY60 "\",\"x-amz-iv\":\"" IV12 "\"," \
                "\"x-amz-cek-alg\":\"AES/GCM/NoPadding\",\"x-amz-wrap-alg\":\"AES/GCM\"," \
                "\"x-amz-tag-len\":\"128\"}"

/* "name=value|name=value" */
static void split(struct kb_s3ec_header *out, struct kb_pair pairs[PAIRS], const char *text)
{
    *out = (struct kb_s3ec_header){.metadata = pairs};
    while (*text) {
        size_t size = strcspn(text, "|"), name = strcspn(text, "=");

        CU_ASSERT_TRUE_FATAL(out->metadata_count < PAIRS && name < size);
        pairs[out->metadata_count++] =
            (struct kb_pair){{(const uint8_t *)text, name},
                             {(const uint8_t *)text + name + 1, size - name - 1}};
        text += size + (text[size] == '|');
    }
}

static void recognition(void)
{
    static const struct {
        const char *metadata, *file;
        enum kb_status status;
        unsigned version;
    } cases[] = {
        {V2, NULL, KB_OK, 2},
        {V3, NULL, KB_OK, 3},
        {V3 "|x-amz-m={}", NULL, KB_OK, 3},
        {V3_BODY, FILE_V3, KB_OK, 3},
        {"", FILE_V2, KB_OK, 2},
        {"colour=blue|" V2, NULL, KB_OK, 2},
        {"x-amz-unencrypted-content-length=5", FILE_V2, KB_OK, 2},
        {"X-Amz-Key=" KEY48 "|X-AMZ-IV=" IV16, NULL, KB_OK, 1},
        {"x-amz-key=" KEY60 "|x-amz-iv=" IV16, NULL, KB_OK, 1},
        {"x-amz-3=" KEY60 "|x-amz-w=12|x-amz-t={}|" V3_BODY, NULL, KB_OK, 3},
        /* none of ours, or not all of one */
        {"", NULL, KB_ERR_NOT_FOUND, 0},
        {"colour=blue", NULL, KB_ERR_NOT_FOUND, 0},
        {"x-amz-iv=" IV12 "|x-amz-matdesc={}", NULL, KB_ERR_NOT_FOUND, 0},
        {V3_BODY, NULL, KB_ERR_NOT_FOUND, 3},
        {"", "{}", KB_ERR_INPUT, 0},
        {V3_BODY, "{}", KB_ERR_INPUT, 3},
        {"x-amz-c=115", NULL, KB_ERR_INPUT, 0},
        {"x-amz-key-v2=" KEY60, NULL, KB_ERR_INPUT, 2},
        {"x-amz-3=" KEY60 "|" V3_BODY, NULL, KB_ERR_INPUT, 3},
        {"x-amz-w=02|" V3_BODY, NULL, KB_ERR_INPUT, 3},
        {"x-amz-3=" KEY60 "|" V3_BODY, "{\"x-amz-w\":\"02\"}", KB_ERR_INPUT, 3},
        /* two of them */
        {V2 "|x-amz-key=" KEY60, NULL, KB_ERR_INPUT, 1},
        {V2 "|x-amz-c=115|x-amz-w=02", NULL, KB_ERR_INPUT, 0},
        {V2 "|X-Amz-C=115", NULL, KB_ERR_INPUT, 0},
        {V3 "|x-amz-key-v2=" KEY60, NULL, KB_ERR_INPUT, 0},
        {V3 "|x-amz-cek-alg=AES/GCM/NoPadding", NULL, KB_ERR_INPUT, 0},
        {V3 "|x-amz-iv=" IV12, NULL, KB_ERR_INPUT, 0},
        {V3 "|x-amz-matdesc={}", NULL, KB_ERR_INPUT, 0},
        {"x-amz-key=" KEY48 "|x-amz-iv=" IV16 "|x-amz-cek-alg=AES/GCM/NoPadding", NULL,
         KB_ERR_INPUT, 1},
        {V2 "|x-amz-IV=" IV12, NULL, KB_ERR_INPUT, 0},
        /* in two places */
        {V2, FILE_V2, KB_ERR_INPUT, 2},
        {V3, FILE_V3, KB_ERR_INPUT, 3},
        {V2, FILE_V3, KB_ERR_INPUT, 0},
        {V3_BODY, FILE_V2, KB_ERR_INPUT, 0},
        {"x-amz-iv=" IV12, FILE_V2, KB_ERR_INPUT, 2},
        {V3_BODY, "{\"x-amz-3\":\"" KEY60 "\",\"x-amz-w\":\"02\",\"x-amz-c\":\"115\"}",
         KB_ERR_INPUT, 0},
        {"", "{\"x-amz-3\":\"" KEY60 "\",\"x-amz-w\":\"02\",\"x-amz-c\":\"115\",\"x-amz-d\":\"" ID28
             "\",\"x-amz-i\":\"" ID28 "\"}",
         KB_ERR_INPUT, 0},
        /* values */
        {"x-amz-3=" KEY60 "|x-amz-w=03|" V3_BODY, NULL, KB_ERR_INPUT, 3},
        {"x-amz-3=" KEY60 "|x-amz-w=AES/GCM|" V3_BODY, NULL, KB_ERR_INPUT, 3},
        {"x-amz-3=|x-amz-w=02|" V3_BODY, NULL, KB_ERR_INPUT, 3},
        {"x-amz-3=" KEY60 "|x-amz-w=02|x-amz-t={}|" V3_BODY, NULL, KB_ERR_INPUT, 3},
        {"x-amz-3=" KEY60 "|x-amz-w=02|x-amz-c=115|x-amz-d=" IV16 "|x-amz-i=" ID28, NULL,
         KB_ERR_INPUT, 3},
        {"x-amz-key=" KEY48 "|x-amz-iv=" IV12, NULL, KB_ERR_INPUT, 1},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct kb_pair pairs[PAIRS];
        struct kb_s3ec_header header;
        unsigned version;
        enum kb_status status;

        split(&header, pairs, cases[i].metadata);
        if (cases[i].file)
            header.instruction = kb_bytes_text(cases[i].file);
        status = look(&header, &version);
        if (status != cases[i].status || version != cases[i].version) {
            fprintf(stderr, "case %zu: status %d, version %u\n", i, (int)status, version);
            CU_FAIL("not recognised as it should be");
        }
    }
}

/* Each field of a good header left out, twice, empty, or cut by a byte. */
static void every_field(void)
{
    for (unsigned i = 0; i < 2; i++) {
        struct sample sample;
        size_t count;

        make(&sample, i ? 3 : 2, false, "");
        count = sample.written.header.metadata_count;
        CU_ASSERT_EQUAL(count, i ? 5 : 6);
        for (size_t at = 0; at < count; at++) {
            struct kb_s3ec_header header = sample.written.header;
            bool unverified = kb_bytes_equal(sample.written.pairs[at].name,
                                             kb_bytes_text("x-amz-matdesc"));
            struct kb_pair pairs[PAIRS];

            header.metadata = pairs;
            memcpy(pairs, sample.written.pairs, sizeof pairs);
            pairs[at].value.size = 0;
            CU_ASSERT_EQUAL(look(&header, NULL), unverified ? KB_OK : KB_ERR_INPUT);
            pairs[at].value.size = sample.written.pairs[at].value.size - 1;
            CU_ASSERT_EQUAL(look(&header, NULL), unverified ? KB_OK : KB_ERR_INPUT);
            pairs[at] = sample.written.pairs[at];
            pairs[count] = pairs[at];
            header.metadata_count = count + 1;
            CU_ASSERT_EQUAL(look(&header, NULL), KB_ERR_INPUT);
            pairs[at] = pairs[count - 1];
            header.metadata_count = count - 1;
            CU_ASSERT_EQUAL(look(&header, NULL), unverified ? KB_OK : KB_ERR_INPUT);
        }
        drop(&sample);
    }
}

/* --- instruction files ----------------------------------------------------------- */

static void files(void)
{
    static const char *const bad[] = {
        "", "null", "[]", "\"x\"", "{", "{}x", "{\"x-amz-key-v2\"}", "{\"x-amz-key-v2\":1}",
        "{\"x-amz-iv\":null}", "{\"x-amz-iv\":{}}", "{\"a\":\"\xff\"}",
        "{\"x-amz-3\":\"" KEY60 "\",\"x-amz-w\":\"02\",\"x-amz-3\":\"" KEY60 "\"}",
        "{\"x-amz-3\":\"" KEY60 "\",\"x-amz-w\":\"02\",\"\\u0078-amz-w\":\"02\"}",
        "{\"x-amz-3\":\"" KEY60 "\",\"x-amz-w\":\"02\\u0000\"}",
    };
    struct kb_pair pairs[PAIRS];
    struct kb_s3ec_header header;
    struct kb_buffer text = KB_BUFFER_INIT(1 << 20);

    split(&header, pairs, V3_BODY);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        header.instruction = kb_bytes_text(bad[i]);
        CU_ASSERT_EQUAL(look(&header, NULL), KB_ERR_INPUT);
    }
    /* cut anywhere */
    for (size_t i = 0; i < strlen(FILE_V3); i++) {
        header.instruction = (struct kb_bytes){(const uint8_t *)FILE_V3, i};
        CU_ASSERT_EQUAL(look(&header, NULL), KB_ERR_INPUT);
    }
    /* as long as it may be, and a byte more */
    kb_buffer_put_text(&text, FILE_V3);
    while (text.size < S3EC_INSTRUCTION_MAX)
        kb_buffer_put_text(&text, " ");
    header.instruction = kb_buffer_view(&text);
    CU_ASSERT_EQUAL(look(&header, NULL), KB_OK);
    kb_buffer_put_text(&text, " ");
    header.instruction = kb_buffer_view(&text);
    CU_ASSERT_EQUAL(look(&header, NULL), KB_ERR_INPUT);
    kb_buffer_free(&text);
}

/* --- descriptions ---------------------------------------------------------------- */

static enum kb_status describe(struct kb_bytes *out, struct kb_arena *arena,
                               const struct kb_pair *pairs, size_t n)
{
    struct kb_s3ec_encrypt_options options = {.description = pairs, .description_count = n};

    return s3ec_description_write(out, &options, arena, NULL);
}

static void descriptions(void)
{
    const struct kb_pair odd[] = {
        {kb_bytes_text("a\"\\\x01"), kb_bytes_text("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\x7f")},
        {kb_bytes_text(""), kb_bytes_text("plain")},
    };
    const struct kb_pair twice[] = {{kb_bytes_text("a"), kb_bytes_text("1")},
                                    {kb_bytes_text("b"), kb_bytes_text("1")},
                                    {kb_bytes_text("a"), kb_bytes_text("2")}};
    const struct kb_pair bad = {kb_bytes_text("a"), kb_bytes_text("\xc3")};
    struct kb_arena arena = KB_ARENA_INIT;
    struct kb_bytes text;

    KBT_OK(describe(&text, &arena, NULL, 0), NULL);
    CU_ASSERT_EQUAL(text.size, 0);
    KBT_OK(describe(&text, &arena, odd, 2), NULL);
    KBT_TEXT(text, "{\"a\\\"\\\\\\u0001\":\"\\u00e9\\u20ac\\ud83d\\ude00\\u007f\",\"\":\"plain\"}");
    KBT_OK(describe(&text, &arena, twice, 2), NULL);
    CU_ASSERT_EQUAL(describe(&text, &arena, twice, 3), KB_ERR_USAGE);
    CU_ASSERT_EQUAL(describe(&text, &arena, &bad, 1), KB_ERR_USAGE);
    kb_arena_free(&arena);
}

/* Metadata has 2,048 bytes; an instruction file more. */
static void room_for_descriptions(void)
{
    char text[S3EC_METADATA_BYTES_MAX];
    size_t most = 0;

    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    for (size_t size = 1500; size < sizeof text; size++) {
        struct sample sample = {.parsed = {.version = 3,
                                           .content = S3EC_COMMITTING,
                                           .key.size = 60,
                                           .description = {(const uint8_t *)text, size}}};
        enum kb_status status = s3ec_header_write(&sample.written, &sample.parsed, NULL);
        size_t bytes = 0;

        for (size_t i = 0; i < sample.written.header.metadata_count; i++)
            bytes += sample.written.pairs[i].name.size + sample.written.pairs[i].value.size;
        CU_ASSERT_EQUAL(status, bytes <= S3EC_METADATA_BYTES_MAX ? KB_OK : KB_ERR_USAGE);
        if (status == KB_OK)
            most = bytes;
        drop(&sample);
    }
    CU_ASSERT_EQUAL(most, S3EC_METADATA_BYTES_MAX);
    {
        struct sample sample;

        make(&sample, 3, true, text);
        drop(&sample);
    }
}

int main(int argc, char **argv)
{
    static const struct kbtest tests[] = {
        {"what is written is read", read_back},
        {"inspection", inspection},
        {"recognition", recognition},
        {"every field missing, twice, cut", every_field},
        {"instruction files", files},
        {"descriptions", descriptions},
        {"room for descriptions", room_for_descriptions},
        {NULL, NULL},
    };

    return kbtest_main("s3ec_header", tests, argc, argv);
}
