/* SPDX-License-Identifier: Apache-2.0
 *
 * Objects in the format of the S3 Encryption Client, written and read with keys
 * in a token; and altered, or cut, when they must be refused.
 */
#include "s3ec_fixture.h"

#include "s3ec/s3ec.h"

#include <stdio.h>
#include <string.h>

static const char *const writers[] = {"s3ec-aes-256", "s3ec-aes-128", "s3ec-rsa"};

/* --- round trips ----------------------------------------------------------------- */

static void round_trip(struct kb_s3ec *s3ec, const struct kb_s3ec_encrypt_options *options,
                       size_t size)
{
    static const size_t pieces[] = {1, 15, 16, 17, 1000, SIZE_MAX / 2};
    struct kb_buffer text = KB_BUFFER_INIT(ROOM), body = KB_BUFFER_INIT(ROOM),
                     out = KB_BUFFER_INIT(ROOM);
    struct kb_bytes plain = s3ec_text(&text, size);
    struct kb_s3ec_object *object = s3ec_write(&body, s3ec, options, plain);
    const struct kb_s3ec_header *header = kb_s3ec_object_header(object);
    struct kb_error err = {0};
    struct kb_s3ec_info info;

    KBT_OK(kb_s3ec_inspect(&info, header, &err), &err);
    CU_ASSERT_EQUAL(info.instruction_file, options->instruction_file);
    CU_ASSERT_EQUAL(info.tag_size, KB_S3EC_TAG_SIZE);
    CU_ASSERT_EQUAL(body.size, size + KB_S3EC_TAG_SIZE);
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        if (size / pieces[i] > 5000)
            continue;
        KBT_OK(s3ec_read_pieces(&out, s3ec, header, kb_buffer_view(&body), pieces[i], &err), &err);
        KBT_BYTES(kb_buffer_view(&out), plain);
    }
    kb_s3ec_object_free(object);
    kb_buffer_free(&text);
    kb_buffer_free(&body);
    kb_buffer_free(&out);
}

static void round_trips(enum token_kind kind)
{
    static const size_t sizes[] = {0, 1, 15, 16, 17, 31, 32, 33, 4096, 65537};
    const struct kb_pair description[] = {{kb_bytes_text("team"), kb_bytes_text("payments")}};

    if (!s3ec_have_token(kind))
        return;
    for (size_t i = 0; i < sizeof writers / sizeof *writers; i++)
        for (unsigned version = 2; version <= 3; version++) {
            struct kb_s3ec *s3ec = s3ec_configure(kind, writers[i], version);

            for (size_t j = 0; j < sizeof sizes / sizeof *sizes; j++) {
                const struct kb_s3ec_encrypt_options options = {.description = description,
                                                                .description_count = j & 1,
                                                                .instruction_file = j & 2};

                round_trip(s3ec, &options, sizes[j]);
            }
            kb_s3ec_release(s3ec);
        }
}
DEFINE_BOTH(round_trips)

/* Many at once have nothing in common. */
static void batches(enum token_kind kind)
{
    struct kb_s3ec_object *objects[KB_TOKEN_BATCH_MAX];
    struct kb_error err = {0};
    struct kb_s3ec *s3ec;

    if (!s3ec_have_token(kind))
        return;
    s3ec = s3ec_configure(kind, writers[0], 3);
    KBT_OK(kb_s3ec_encrypt(objects, KB_TOKEN_BATCH_MAX, s3ec, NULL, &err), &err);
    for (size_t i = 0; i < KB_TOKEN_BATCH_MAX; i++)
        for (size_t j = 0; j < i; j++) {
            const struct s3ec_parsed *a = &objects[i]->parsed, *b = &objects[j]->parsed;

            CU_ASSERT_TRUE(memcmp(a->iv, b->iv, sizeof a->iv) != 0);
            CU_ASSERT_TRUE(memcmp(a->commitment, b->commitment, sizeof a->commitment) != 0);
            CU_ASSERT_TRUE(memcmp(a->key.data, b->key.data, KB_GCM_IV_SIZE) != 0);
        }
    for (size_t i = 0; i < KB_TOKEN_BATCH_MAX; i++)
        kb_s3ec_object_free(objects[i]);
    FAILS(kb_s3ec_encrypt(objects, 0, s3ec, NULL, &err), KB_ERR_USAGE, &err);
    FAILS(kb_s3ec_encrypt(objects, KB_TOKEN_BATCH_MAX + 1, s3ec, NULL, &err), KB_ERR_USAGE, &err);
    kb_s3ec_release(s3ec);
}
DEFINE_BOTH(batches)

/* --- what was altered ------------------------------------------------------------ */

struct flipping {
    struct kb_s3ec *s3ec;
    const struct kb_s3ec_header *header;
    struct kb_buffer body, out;
};

static void must_be_refused(struct flipping *flipping, const struct kb_s3ec_header *header,
                            const char *where, size_t at)
{
    enum kb_status status =
        s3ec_read(&flipping->out, flipping->s3ec, header, kb_buffer_view(&flipping->body));

    if (s3ec_is_refusal(status))
        return;
    fprintf(stderr, "bit %zu of %s: status %d\n", at, where, (int)status);
    CU_FAIL("an altered object was not refused");
}

/* Every `step`th bit of each value. Of descriptions nothing is verified. */
static void flip_header(struct flipping *flipping, size_t step)
{
    struct kb_s3ec_header header = *flipping->header;
    struct kb_pair pairs[KB_S3EC_METADATA_MAX];
    uint8_t value[1024];

    header.metadata = pairs;
    for (size_t i = 0; i < header.metadata_count; i++) {
        struct kb_bytes was = flipping->header->metadata[i].value;
        char name[64];

        memcpy(pairs, flipping->header->metadata, header.metadata_count * sizeof *pairs);
        snprintf(name, sizeof name, "%.*s", (int)pairs[i].name.size,
                 (const char *)pairs[i].name.data);
        if (strcmp(name, "x-amz-matdesc") == 0 || strcmp(name, "x-amz-m") == 0)
            continue;
        CU_ASSERT_TRUE_FATAL(was.size <= sizeof value);
        pairs[i].value.data = value;
        for (size_t bit = 0; bit < 8 * was.size; bit += was.size > 200 ? step : 1) {
            memcpy(value, was.data, was.size);
            value[bit / 8] ^= (uint8_t)(1U << bit % 8);
            must_be_refused(flipping, &header, name, bit);
        }
    }
}

static void flip_body(struct flipping *flipping)
{
    size_t size = flipping->body.size;

    for (size_t bit = 0; bit < 8 * size; bit++) {
        flipping->body.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
        must_be_refused(flipping, flipping->header, "the body", bit);
        flipping->body.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    for (flipping->body.size = 0; flipping->body.size < size; flipping->body.size++)
        must_be_refused(flipping, flipping->header, "a cut body", 8 * flipping->body.size);
    kb_buffer_put_u8(&flipping->body, 0);
    must_be_refused(flipping, flipping->header, "a longer body", 8 * size);
}

static void flips(enum token_kind kind)
{
    const struct kb_pair description[] = {{kb_bytes_text("a"), kb_bytes_text("b")}};
    const struct kb_s3ec_encrypt_options options = {.description = description,
                                                    .description_count = 1};
    struct kb_buffer text = KB_BUFFER_INIT(ROOM);

    if (!s3ec_have_token(kind))
        return;
    for (unsigned i = 0; i < 4; i++) {
        const char *key = i & 2 ? "s3ec-rsa" : "s3ec-aes-256";
        struct flipping flipping = {.s3ec = s3ec_configure(kind, key, i & 1 ? 3 : 2),
                                    .body = KB_BUFFER_INIT(ROOM),
                                    .out = KB_BUFFER_INIT(ROOM)};
        struct kb_s3ec_object *object =
            s3ec_write(&flipping.body, flipping.s3ec, &options, s3ec_text(&text, 19));

        flipping.header = kb_s3ec_object_header(object);
        flip_header(&flipping, 53);
        if (!(i & 2)) /* the body knows nothing of the wrapping */
            flip_body(&flipping);
        kb_s3ec_object_free(object);
        kb_s3ec_release(flipping.s3ec);
        kb_buffer_free(&flipping.body);
        kb_buffer_free(&flipping.out);
    }
    kb_buffer_free(&text);
}
DEFINE_BOTH(flips)

/* A size that was told and is not kept; calls out of order. */
static void wrong_sizes(enum token_kind kind)
{
    struct kb_buffer text = KB_BUFFER_INIT(ROOM), body = KB_BUFFER_INIT(ROOM),
                     out = KB_BUFFER_INIT(ROOM);
    struct kb_s3ec_object *object, *written;
    const struct kb_s3ec_header *header;
    struct kb_error err = {0};
    struct kb_s3ec *s3ec;
    struct kb_bytes all;

    if (!s3ec_have_token(kind))
        return;
    s3ec = s3ec_configure(kind, writers[0], 3);
    written = s3ec_write(&body, s3ec, NULL, s3ec_text(&text, 40));
    header = kb_s3ec_object_header(written);
    all = kb_buffer_view(&body);
    for (uint64_t told = 0; told < all.size + 40; told++) {
        enum kb_status status = kb_s3ec_decrypt(&object, s3ec, header, told, NULL);

        CU_ASSERT_EQUAL(status, told < KB_S3EC_TAG_SIZE ? KB_ERR_AUTH : KB_OK);
        kb_buffer_reset(&out);
        if (status == KB_OK)
            status = s3ec_feed(&out, object, all, 7, NULL);
        CU_ASSERT_EQUAL(status, told == all.size ? KB_OK : KB_ERR_AUTH);
        if (object) {
            FAILS(kb_s3ec_open_end(object, &out, &err), KB_ERR_USAGE, &err);
            FAILS(kb_s3ec_open_piece(object, &out, all, &err), KB_ERR_USAGE, &err);
            FAILS(kb_s3ec_seal(object, NULL, (struct kb_bytes){NULL, 0}, &err), KB_ERR_USAGE,
                  &err);
        }
        kb_s3ec_object_free(object);
    }
    FAILS(kb_s3ec_seal_end(written, body.data, &err), KB_ERR_USAGE, &err);
    FAILS(kb_s3ec_open_end(written, &out, &err), KB_ERR_USAGE, &err);
    kb_s3ec_object_free(written);
    kb_s3ec_release(s3ec);
    kb_buffer_free(&text);
    kb_buffer_free(&body);
    kb_buffer_free(&out);
}
DEFINE_BOTH(wrong_sizes)

/* NIST SP 800-38D section 5.2.1.1: 2^39 - 256 bits. */
static void limits(enum token_kind kind)
{
    const uint64_t most = KB_S3EC_PLAINTEXT_MAX;
    struct kb_s3ec_object *object = NULL, *reader = NULL;
    struct kb_error err = {0};
    uint8_t bytes[32] = {0};
    struct kb_s3ec *s3ec;
    uint64_t from, to;

    if (!s3ec_have_token(kind))
        return;
    s3ec = s3ec_configure(kind, writers[0], 3);
    KBT_OK(kb_s3ec_encrypt(&object, 1, s3ec, NULL, &err), &err);
    object->done = most - 16;
    FAILS(kb_s3ec_seal(object, bytes, (struct kb_bytes){bytes, 17}, &err), KB_ERR_USAGE, &err);
    KBT_OK(kb_s3ec_seal(object, bytes, (struct kb_bytes){bytes, 16}, &err), &err);
    FAILS(kb_s3ec_seal(object, bytes, (struct kb_bytes){bytes, 1}, &err), KB_ERR_USAGE, &err);
    FAILS(kb_s3ec_decrypt(&reader, s3ec, kb_s3ec_object_header(object), most + 17, &err),
          KB_ERR_AUTH, &err);
    KBT_OK(kb_s3ec_decrypt(&reader, s3ec, kb_s3ec_object_header(object), most + 16, &err), &err);
    FAILS(kb_s3ec_range(reader, most, most, &from, &to, &err), KB_ERR_NOT_FOUND, &err);
    KBT_OK(kb_s3ec_range(reader, most - 1, UINT64_MAX, &from, &to, &err), &err);
    CU_ASSERT_TRUE(from == most - 1 && to == most - 1);
    kb_s3ec_object_free(reader);
    kb_s3ec_object_free(object);
    kb_s3ec_release(s3ec);
}
DEFINE_BOTH(limits)

/* --- ranges ---------------------------------------------------------------------- */

static void one_range(struct kb_s3ec *s3ec, const struct kb_s3ec_header *header,
                      struct kb_bytes body, struct kb_bytes plain, uint64_t first, uint64_t last)
{
    struct kb_buffer out = KB_BUFFER_INIT(ROOM);
    struct kb_s3ec_object *object = NULL;
    struct kb_error err = {0};
    uint64_t from = 0, to = 0, end = last < plain.size ? last : plain.size - 1;

    KBT_OK(kb_s3ec_decrypt(&object, s3ec, header, body.size, &err), &err);
    KBT_OK(kb_s3ec_range(object, first, last, &from, &to, &err), &err);
    CU_ASSERT_TRUE_FATAL(from <= to && to < body.size);
    KBT_OK(s3ec_feed(&out, object, (struct kb_bytes){body.data + from, (size_t)(to - from + 1)}, 5,
                &err),
           &err);
    KBT_BYTES(kb_buffer_view(&out),
              ((struct kb_bytes){plain.data + first, (size_t)(end - first + 1)}));
    kb_s3ec_object_free(object);
    kb_buffer_free(&out);
}

static void ranges(enum token_kind kind)
{
    struct kb_buffer text = KB_BUFFER_INIT(ROOM), body = KB_BUFFER_INIT(ROOM);
    struct kb_bytes plain = s3ec_text(&text, 35);
    struct kb_s3ec_object *object, *reader = NULL;
    const struct kb_s3ec_header *header;
    struct kb_error err = {0};
    struct kb_s3ec *s3ec;
    uint64_t from, to;

    if (!s3ec_have_token(kind))
        return;
    for (unsigned version = 2; version <= 3; version++) {
        s3ec = s3ec_configure(kind, writers[0], version);
        object = s3ec_write(&body, s3ec, NULL, plain);
        header = kb_s3ec_object_header(object);
        for (uint64_t first = 0; first < plain.size; first += version)
            for (uint64_t last = first; last < plain.size + 20; last += 3)
                one_range(s3ec, header, kb_buffer_view(&body), plain, first, last);
        KBT_OK(kb_s3ec_decrypt(&reader, s3ec, header, body.size, &err), &err);
        FAILS(kb_s3ec_range(reader, 35, 40, &from, &to, &err), KB_ERR_NOT_FOUND, &err);
        FAILS(kb_s3ec_range(reader, 3, 2, &from, &to, &err), KB_ERR_USAGE, &err);
        KBT_OK(kb_s3ec_range(reader, 3, 5, &from, &to, &err), &err);
        FAILS(kb_s3ec_range(reader, 3, 5, &from, &to, &err), KB_ERR_USAGE, &err);
        kb_s3ec_object_free(reader);
        kb_s3ec_object_free(object);
        kb_s3ec_release(s3ec);
    }
    kb_buffer_free(&text);
    kb_buffer_free(&body);
}
DEFINE_BOTH(ranges)

int main(int argc, char **argv)
{
    static const struct kbtest tests[] = {
        BOTH(round_trips), BOTH(batches), BOTH(flips),  BOTH(wrong_sizes),
        BOTH(limits),      BOTH(ranges),  {NULL, NULL},
    };
    int result = kbtest_main("s3ec", tests, argc, argv);

    backends_close();
    return result;
}
