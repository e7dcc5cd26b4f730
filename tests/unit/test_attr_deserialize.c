/* SPDX-License-Identifier: Apache-2.0
 *
 * src/attr: canonical bytes as they are read.
 */
#include "attr/attr.h"
#include "base/text.h"
#include "kbtest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROOM = 16 * 1024 * 1024 };

/* Refused by kb_attr_deserialize, and part of what it says. */
static const struct {
    const char *hex;
    const char *sentence;
} bad[] = {
    {"", "end too early (byte 0)"},
    {"00", "end too early"},
    {"0073", "end too early"},
    {"0073 00000001", "end too early"},
    {"0073 ffffffff 61", "end too early"},
    {"0073 00000001 61 00", "more follows behind the value (byte 7)"},
    {"0000 00", "more follows"},
    {"0173 00000000", "a type is unknown"},
    {"7300 00000000", "a type is unknown"},
    {"0078 00000000", "a type is unknown"},
    {"0073 00000001 ff", "a text is not UTF-8"},
    {"0073 00000003 eda080", "a text is not UTF-8"},
    {"0053 00000001 00000001 ff", "a text is not UTF-8"},
    {"003f 02", "neither 0 nor 1"},
    {"003f", "end too early"},
    {"006e 00000000", "not a number"},
    {"006e 00000003 4e614e", "not a number"},
    {"004e 00000001 00000002 2035", "not a number"},
    {"004d 00000001 0062 00000001 61 0000", "a map's name is not text"},
    {"004d 00000001 0073 00000001 ff 0000", "a text is not UTF-8"},
    {"004c 00000002 0000", "end too early"},
    {"004c ffffffff 0000", "end too early"},
    {"0053 00000002 00000001 61", "end too early"},
    {"0042 40000000 00000000", "end too early"},
    {"004d 00000002 0073 00000000 0000", "end too early"},
    /* Bytes that both lists would need are missed before room is made. */
    {"004c 00000003 004c 00000002 0000 0000 0000", "end too early (byte 12)"},
};

static void test_bad_bytes(void)
{
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct kb_arena arena = KB_ARENA_INIT;
        struct kb_buffer bytes = KB_BUFFER_INIT(1000);
        struct kb_error err = {0};
        struct kb_attr value;

        CU_ASSERT_TRUE(kb_hex_parse(&bytes, kb_bytes_text(bad[i].hex), true));
        CU_ASSERT_EQUAL(kb_attr_deserialize(&value, kb_buffer_view(&bytes), &arena, &err),
                        KB_ERR_INPUT);
        if (!strstr(err.text, bad[i].sentence)) {
            fprintf(stderr, "%s: '%s'\n", bad[i].hex, err.text);
            CU_FAIL("the sentence is another one");
        }
        kb_buffer_free(&bytes);
        kb_arena_free(&arena);
    }
}

static void check_read(const char *hex, const char *json)
{
    struct kb_arena arena = KB_ARENA_INIT;
    struct kb_buffer bytes = KB_BUFFER_INIT(ROOM), text = KB_BUFFER_INIT(ROOM);
    struct kb_member member = {.name = kb_bytes_text("a")};
    struct kb_error err = {0};

    CU_ASSERT_TRUE(kb_hex_parse(&bytes, kb_bytes_text(hex), true));
    KBT_OK(kb_attr_deserialize(&member.value, kb_buffer_view(&bytes), &arena, &err), &err);
    kb_item_format(&text, &(struct kb_item){&member, 1});
    KBT_TEXT(kb_buffer_view(&text), json);
    kb_buffer_free(&bytes);
    kb_buffer_free(&text);
    kb_arena_free(&arena);
}

/* What others wrote and keybridge would not write so. */
static void test_foreign_bytes(void)
{
    check_read("006e 00000002 2d30", "{\"a\":{\"N\":\"0\"}}");
    check_read("006e 00000004 31452b33", "{\"a\":{\"N\":\"1000\"}}");
    check_read("004e 00000002 00000003 322e30 00000001 31", "{\"a\":{\"NS\":[\"2\",\"1\"]}}");
    check_read("0053 00000002 00000001 62 00000001 61", "{\"a\":{\"SS\":[\"b\",\"a\"]}}");
    check_read("006e 00000028 3132333435363738393031323334353637383930"
               "3132333435363738393031323334353637383931",
               "{\"a\":{\"N\":\"1234567890123456789012345678901234567891\"}}");
    check_read("004d 00000003 0073 00000001 61 003f00 0073 00000001 62 0000"
               "0073 00000001 61 003f01",
               "{\"a\":{\"M\":{\"b\":{\"NULL\":true},\"a\":{\"BOOL\":true}}}}");
}

static const char sample[] =
    "{\"a\":{\"M\":{\"id\":{\"S\":\"\\u00e9\\ud83d\\ude00\"},\"n\":{\"N\":\"-12.5\"},"
    "\"b\":{\"B\":\"AAEC\"},"
    "\"t\":{\"BOOL\":true},\"z\":{\"NULL\":true},\"ss\":{\"SS\":[\"x\",\"y\"]},"
    "\"ns\":{\"NS\":[\"1\",\"2e5\"]},\"bs\":{\"BS\":[\"AQ==\",\"\"]},"
    "\"l\":{\"L\":[{\"S\":\"\"},{\"L\":[]}]},\"m\":{\"M\":{\"k\":{\"M\":{}}}}}}}";

static void serialize_sample(struct kb_buffer *out)
{
    struct kb_arena arena = KB_ARENA_INIT;
    struct kb_error err = {0};
    struct kb_item item;

    KBT_OK(kb_item_parse(&item, kb_bytes_text(sample), &arena, &err), &err);
    CU_ASSERT_EQUAL_FATAL(item.count, 1);
    kb_attr_serialize(out, &item.members[0].value, KB_DIALECT_PYTHON, true);
    CU_ASSERT_FALSE(out->failed);
    kb_arena_free(&arena);
}

static void test_truncations(void)
{
    struct kb_buffer bytes = KB_BUFFER_INIT(ROOM);

    serialize_sample(&bytes);
    for (size_t size = 0; size < bytes.size; size++) {
        struct kb_arena arena = KB_ARENA_INIT;
        uint8_t *copy = malloc(size + !size);
        struct kb_attr value;

        CU_ASSERT_PTR_NOT_NULL_FATAL(copy);
        memcpy(copy, bytes.data, size);
        CU_ASSERT_EQUAL(kb_attr_deserialize(&value, (struct kb_bytes){copy, size}, &arena, NULL),
                        KB_ERR_INPUT);
        free(copy);
        kb_arena_free(&arena);
    }
    kb_buffer_free(&bytes);
}

/* Every value of every byte: refused, or a value that is written and read
 * again as itself. */
static void test_flips(void)
{
    struct kb_buffer bytes = KB_BUFFER_INIT(ROOM);

    serialize_sample(&bytes);
    for (size_t i = 0; i < bytes.size * 255; i++) {
        struct kb_buffer once = KB_BUFFER_INIT(ROOM), twice = KB_BUFFER_INIT(ROOM);
        struct kb_arena arena = KB_ARENA_INIT;
        struct kb_attr value;
        uint8_t change = (uint8_t)(i % 255 + 1);

        bytes.data[i / 255] ^= change;
        if (kb_attr_deserialize(&value, kb_buffer_view(&bytes), &arena, NULL) == KB_OK) {
            kb_attr_serialize(&once, &value, KB_DIALECT_PYTHON, true);
            KBT_OK(kb_attr_deserialize(&value, kb_buffer_view(&once), &arena, NULL), NULL);
            kb_attr_serialize(&twice, &value, KB_DIALECT_PYTHON, true);
            KBT_BYTES(kb_buffer_view(&twice), kb_buffer_view(&once));
        }
        bytes.data[i / 255] ^= change;
        kb_buffer_free(&once);
        kb_buffer_free(&twice);
        kb_arena_free(&arena);
    }
    kb_buffer_free(&bytes);
}

static void test_many_names(void)
{
    enum { COUNT = 50000 };
    struct kb_buffer bytes = KB_BUFFER_INIT(ROOM);
    struct kb_arena arena = KB_ARENA_INIT;
    struct kb_error err = {0};
    struct kb_attr value;

    kb_buffer_put(&bytes, "\0M", 2);
    kb_buffer_put_u32(&bytes, COUNT);
    for (uint32_t i = 0; i < COUNT; i++) {
        char name[16];

        snprintf(name, sizeof name, "%u", i % (COUNT / 2));
        kb_buffer_put(&bytes, "\0s", 2);
        kb_buffer_put_lv(&bytes, kb_bytes_text(name));
        kb_buffer_put(&bytes, i < COUNT / 2 ? "\0?\0" : "\0?\1", 3);
    }
    KBT_OK(kb_attr_deserialize(&value, kb_buffer_view(&bytes), &arena, &err), &err);
    CU_ASSERT_EQUAL_FATAL(value.map.count, COUNT / 2);
    for (size_t i = 0; i < value.map.count; i++)
        if (!value.map.members[i].value.boolean)
            CU_FAIL("not the last of the two");
    kb_buffer_free(&bytes);
    kb_arena_free(&arena);
}

int main(int argc, char **argv)
{
    static const struct kbtest tests[] = {
        {"deserialize: bad bytes and what is said", test_bad_bytes},
        {"deserialize: bytes others wrote", test_foreign_bytes},
        {"deserialize: every truncation is refused", test_truncations},
        {"deserialize: every byte, every other value", test_flips},
        {"deserialize: a map of 50,000, each name twice", test_many_names},
        {NULL, NULL},
    };

    return kbtest_main("attr-deserialize", tests, argc, argv);
}
