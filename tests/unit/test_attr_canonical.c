/* SPDX-License-Identifier: Apache-2.0
 *
 * src/attr: canonical bytes as they are written, and the dialects' differences.
 */
#include "attr/attr.h"
#include "base/text.h"
#include "kbtest.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROOM = 16 * 1024 * 1024 };

/* The value {"a": value} holds. */
static struct kb_attr parse_value(const char *value, struct kb_arena *arena)
{
    struct kb_buffer json = KB_BUFFER_INIT(ROOM);
    struct kb_error err = {0};
    struct kb_bytes kept;
    struct kb_item item;

    kb_buffer_put_text(&json, "{\"a\":");
    kb_buffer_put_text(&json, value);
    kb_buffer_put_text(&json, "}");
    kept = kb_arena_copy(arena, kb_buffer_view(&json));
    KBT_OK(kb_item_parse(&item, kept, arena, &err), &err);
    kb_buffer_free(&json);
    return item.count ? item.members[0].value : (struct kb_attr){.type = KB_ATTR_NULL};
}

static void put_json(struct kb_buffer *out, const struct kb_attr *value)
{
    struct kb_member member = {kb_bytes_text("a"), *value};

    kb_item_format(out, &(struct kb_item){&member, 1});
}

/* Value, Python's bytes, Java's (NULL: the same) in hexadecimal. */
static const struct {
    const char *json;
    const char *python;
    const char *java;
    unsigned difference;
} layouts[] = {
    {"{\"S\":\"\"}", "0073 00000000", NULL, 0},
    {"{\"S\":\"\\u00e9\"}", "0073 00000002 c3a9", NULL, 0},
    {"{\"N\":\"55.340\"}", "006e 00000005 35352e3334", NULL, 0},
    {"{\"B\":\"AAE=\"}", "0062 00000002 0001", NULL, 0},
    {"{\"BOOL\":true}", "003f 01", NULL, 0},
    {"{\"BOOL\":false}", "003f 00", NULL, 0},
    {"{\"NULL\":true}", "0000", NULL, 0},
    {"{\"SS\":[\"b\",\"a\",\"ab\",\"a\"]}",
     "0053 00000004 00000001 61 00000001 61 00000002 6162 00000001 62", NULL, 0},
    {"{\"NS\":[\"55.2\",\"34\",\"35.0\",\"1.230\"]}",
     "004e 00000004 00000004 312e3233 00000002 3334 00000002 3335 00000004 35352e32", NULL, 0},
    {"{\"NS\":[\"1.0\",\"1\"]}", "004e 00000002 00000001 31 00000001 31", NULL, 0},
    {"{\"BS\":[\"AgE=\",\"Ag==\",\"AQ==\"]}",
     "0042 00000003 00000001 01 00000001 02 00000002 0201", NULL, 0},
    {"{\"SS\":[]}", "0053 00000000", NULL, 0},
    {"{\"NS\":[]}", "004e 00000000", NULL, 0},
    {"{\"BS\":[]}", "0042 00000000", NULL, 0},
    {"{\"L\":[]}", "004c 00000000", NULL, 0},
    {"{\"M\":{}}", "004d 00000000", NULL, 0},
    {"{\"L\":[{\"S\":\"x\"},{\"NULL\":true}]}", "004c 00000002 0073 00000001 78 0000", NULL, 0},
    {"{\"M\":{\"b\":{\"NULL\":true},\"a\":{\"BOOL\":true}}}",
     "004d 00000002 0073 00000001 61 003f01 0073 00000001 62 0000", NULL, 0},
    /* where the two differ */
    {"{\"SS\":[\"\\ud800\\udc00\",\"\\ue000\"]}",
     "0053 00000002 00000003 ee8080 00000004 f0908080",
     "0053 00000002 00000004 f0908080 00000003 ee8080", KB_DIFFERENCE_ORDER},
    {"{\"M\":{\"\\ud800\\udc00\":{\"NULL\":true},\"\\ufb01\":{\"NULL\":true}}}",
     "004d 00000002 0073 00000003 efac81 0000 0073 00000004 f0908080 0000",
     "004d 00000002 0073 00000004 f0908080 0000 0073 00000003 efac81 0000", KB_DIFFERENCE_ORDER},
    {"{\"BS\":[\"fw==\",\"gA==\"]}", "0042 00000002 00000001 7f 00000001 80",
     "0042 00000002 00000001 80 00000001 7f", KB_DIFFERENCE_ORDER},
    {"{\"L\":[{\"M\":{\"k\":{\"BS\":[\"fw==\",\"gA==\"]}}}]}",
     "004c00000001 004d00000001 0073000000016b 0042 00000002 00000001 7f 00000001 80",
     "004c00000001 004d00000001 0073000000016b 0042 00000002 00000001 80 00000001 7f",
     KB_DIFFERENCE_ORDER},
    {"{\"N\":\"12345678901234567890123456789\"}",
     "006e 0000001d 3132333435363738393031323334353637383930313233343536373930",
     "006e 0000001d 3132333435363738393031323334353637383930313233343536373839",
     KB_DIFFERENCE_DIGITS},
    {"{\"N\":\"-0.0\"}", "006e 00000002 2d30", "006e 00000001 30", KB_DIFFERENCE_NEGATIVE_ZERO},
    {"{\"NS\":[\"-0\",\"0\"]}", "004e 00000002 00000002 2d30 00000001 30",
     "004e 00000002 00000001 30 00000001 30", KB_DIFFERENCE_NEGATIVE_ZERO},
    /* where they could but do not */
    {"{\"SS\":[\"a\\ud800\\udc00\",\"b\\ue000\"]}",
     "0053 00000002 00000005 61f0908080 00000004 62ee8080", NULL, 0},
    {"{\"BS\":[\"AYA=\",\"An8=\"]}", "0042 00000002 00000002 0180 00000002 027f", NULL, 0},
    {"{\"BS\":[\"gAE=\",\"gA==\"]}", "0042 00000002 00000001 80 00000002 8001", NULL, 0},
    {"{\"N\":\"1234567890123456789012345678\"}",
     "006e 0000001c 31323334353637383930313233343536373839303132333435363738", NULL, 0},
};

static void check_serialized(const struct kb_attr *value, enum kb_attr_dialect dialect, bool exact,
                             const char *hex)
{
    struct kb_buffer got = KB_BUFFER_INIT(ROOM), want = KB_BUFFER_INIT(ROOM);

    CU_ASSERT_TRUE(kb_hex_parse(&want, kb_bytes_text(hex), true));
    kb_attr_serialize(&got, value, dialect, exact);
    KBT_BYTES(kb_buffer_view(&got), kb_buffer_view(&want));
    KBT_OK(kb_buffer_check(&got, NULL), NULL);
    kb_buffer_free(&got);
    kb_buffer_free(&want);
}

static void test_layouts(void)
{
    struct kb_arena arena = KB_ARENA_INIT;

    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) {
        struct kb_attr value = parse_value(layouts[i].json, &arena);
        const char *java = layouts[i].java ? layouts[i].java : layouts[i].python;
        unsigned numbers = KB_DIFFERENCE_DIGITS | KB_DIFFERENCE_NEGATIVE_ZERO;

        check_serialized(&value, KB_DIALECT_PYTHON, false, layouts[i].python);
        check_serialized(&value, KB_DIALECT_JAVA, true, java);
        /* What keybridge writes: Python's order, Java's numbers. */
        check_serialized(&value, KB_DIALECT_PYTHON, true,
                         layouts[i].difference & numbers ? java : layouts[i].python);
        CU_ASSERT_EQUAL(kb_attr_difference(&value), layouts[i].difference);
    }
    kb_arena_free(&arena);
}

static void test_depth(void)
{
    for (unsigned depth = KB_ATTR_DEPTH_MAX; depth <= KB_ATTR_DEPTH_MAX + 1; depth++) {
        struct kb_attr levels[KB_ATTR_DEPTH_MAX + 2] = {{.type = KB_ATTR_NULL}}, value;
        struct kb_buffer bytes = KB_BUFFER_INIT(ROOM), out = KB_BUFFER_INIT(ROOM);
        struct kb_arena arena = KB_ARENA_INIT;
        bool over = depth > KB_ATTR_DEPTH_MAX;

        for (unsigned i = 1; i <= depth; i++) {
            levels[i] = (struct kb_attr){.type = KB_ATTR_L, .list = {&levels[i - 1], 1}};
            kb_buffer_put(&bytes, "\0L\0\0\0\1", 6);
        }
        kb_buffer_put_u16(&bytes, 0);
        kb_attr_serialize(&out, &levels[depth], KB_DIALECT_PYTHON, true);
        CU_ASSERT_EQUAL(out.failed, over);
        if (!over)
            KBT_BYTES(kb_buffer_view(&out), kb_buffer_view(&bytes));
        CU_ASSERT_EQUAL(kb_attr_deserialize(&value, kb_buffer_view(&bytes), &arena, NULL),
                        over ? KB_ERR_INPUT : KB_OK);
        kb_buffer_free(&bytes);
        kb_buffer_free(&out);
        kb_arena_free(&arena);
    }
}

static void test_no_number_latches(void)
{
    struct kb_bytes text = kb_bytes_text("1_000");
    struct kb_attr number = {.type = KB_ATTR_N, .bytes = text};
    struct kb_attr set = {.type = KB_ATTR_NS, .set = {&text, 1}};
    struct kb_buffer out = KB_BUFFER_INIT(1000);

    kb_attr_serialize(&out, &number, KB_DIALECT_JAVA, true);
    CU_ASSERT_TRUE(out.failed);
    kb_buffer_reset(&out);
    kb_attr_serialize(&out, &set, KB_DIALECT_PYTHON, false);
    CU_ASSERT_TRUE(out.failed);
    kb_buffer_free(&out);
}

/* 50,000 members in the order that a naive sort hates most, both ways. */
static void test_many_members(void)
{
    enum { COUNT = 50000 };
    static char texts[COUNT][8];
    static struct kb_bytes members[COUNT];
    static const enum kb_attr_type types[] = {KB_ATTR_SS, KB_ATTR_NS, KB_ATTR_BS};

    for (int i = 0; i < COUNT; i++) {
        snprintf(texts[i], sizeof texts[i], "%d", 99999 - i);
        members[i] = kb_bytes_text(texts[i]);
    }
    for (size_t i = 0; i < 3 * 2; i++) {
        struct kb_attr value = {.type = types[i / 2], .set = {members, COUNT}}, back;
        struct kb_buffer out = KB_BUFFER_INIT(ROOM);
        struct kb_arena arena = KB_ARENA_INIT;
        struct kb_error err = {0};

        kb_attr_serialize(&out, &value, i % 2 ? KB_DIALECT_JAVA : KB_DIALECT_PYTHON, true);
        KBT_OK(kb_attr_deserialize(&back, kb_buffer_view(&out), &arena, &err), &err);
        CU_ASSERT_EQUAL_FATAL(back.set.count, COUNT);
        for (int j = 0; j < COUNT; j++)
            if (!kb_bytes_equal(back.set.members[j], members[COUNT - 1 - j]))
                CU_FAIL("not sorted");
        kb_buffer_free(&out);
        kb_arena_free(&arena);
    }
}

/* --- random items ---------------------------------------------------------- */

static void random_text(struct kb_buffer *json)
{
    static const char *const parts[] = {"a",      "Z",      "0",  "\xc3\xa9", "\\u0000", "\\n",
                                        "\\ue000", "\\ud83d\\ude00", "\\\"", " ", "\xef\xac\x81"};

    kb_buffer_put_u8(json, '"');
    for (int i = rand() % 8; i > 0; i--)
        kb_buffer_put_text(json, parts[(size_t)rand() % (sizeof parts / sizeof *parts)]);
}

static void random_number(struct kb_buffer *json)
{
    char text[64];

    snprintf(text, sizeof text, "\"%s%d%09d.%d0E%d\"", rand() % 2 ? "-" : "", rand() % 100,
             rand() % 1000000000, rand() % 1000, rand() % 100 - 50);
    kb_buffer_put_text(json, rand() % 10 ? text : "\"-0.0\"");
}

static void random_binary(struct kb_buffer *json)
{
    uint8_t bytes[20];
    size_t size = (size_t)rand() % sizeof bytes;

    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)rand();
    kb_buffer_put_u8(json, '"');
    kb_base64_format(json, (struct kb_bytes){bytes, size});
    kb_buffer_put_u8(json, '"');
}

static void random_scalar(struct kb_buffer *json, int type)
{
    if (type == 0) {
        random_text(json);
        kb_buffer_put_u8(json, '"');
    } else if (type == 1) {
        random_number(json);
    } else {
        random_binary(json);
    }
}

static void random_value(struct kb_buffer *json, int depth)
{
    static const char *const open[] = {"{\"S\":",    "{\"N\":",   "{\"B\":",   "{\"BOOL\":",
                                       "{\"NULL\":", "{\"SS\":[", "{\"NS\":[", "{\"BS\":[",
                                       "{\"L\":[",   "{\"M\":{"};
    int type = rand() % (depth < 4 ? 10 : 8), count = rand() % 20;
    char number[16];

    kb_buffer_put_text(json, open[type]);
    if (type < 3)
        random_scalar(json, type);
    else if (type < 5)
        kb_buffer_put_text(json, type == 4 || rand() % 2 ? "true" : "false");
    for (int i = 0; type >= 5 && i < count; i++) {
        if (i)
            kb_buffer_put_u8(json, ',');
        if (type < 8) {
            random_scalar(json, type - 5);
            continue;
        }
        if (type == 9) {
            random_text(json);
            snprintf(number, sizeof number, "%d\":", i);
            kb_buffer_put_text(json, number);
        }
        random_value(json, depth + 1);
    }
    kb_buffer_put_text(json, type < 5 ? "}" : type < 9 ? "]}" : "}}");
}

static void check_serializations_equal(const struct kb_attr *a, const struct kb_attr *b)
{
    struct kb_buffer x = KB_BUFFER_INIT(ROOM), y = KB_BUFFER_INIT(ROOM);

    for (int i = 0; i < 3; i++) {
        kb_buffer_reset(&x);
        kb_buffer_reset(&y);
        kb_attr_serialize(&x, a, i ? KB_DIALECT_PYTHON : KB_DIALECT_JAVA, i != 2);
        kb_attr_serialize(&y, b, i ? KB_DIALECT_PYTHON : KB_DIALECT_JAVA, i != 2);
        CU_ASSERT_FALSE(x.failed);
        KBT_BYTES(kb_buffer_view(&x), kb_buffer_view(&y));
    }
    kb_buffer_free(&x);
    kb_buffer_free(&y);
}

/* The difference bits say no more and no less than the bytes do. */
static void check_difference(const struct kb_attr *value)
{
    struct kb_buffer python = KB_BUFFER_INIT(ROOM), java = KB_BUFFER_INIT(ROOM);
    unsigned difference = kb_attr_difference(value);

    kb_attr_serialize(&python, value, KB_DIALECT_PYTHON, true);
    kb_attr_serialize(&java, value, KB_DIALECT_JAVA, true);
    CU_ASSERT_EQUAL((difference & KB_DIFFERENCE_ORDER) == 0,
                    kb_bytes_equal(kb_buffer_view(&python), kb_buffer_view(&java)));
    kb_buffer_reset(&java);
    kb_attr_serialize(&java, value, KB_DIALECT_PYTHON, false);
    CU_ASSERT_EQUAL((difference & ~(unsigned)KB_DIFFERENCE_ORDER) == 0,
                    kb_bytes_equal(kb_buffer_view(&python), kb_buffer_view(&java)));
    kb_buffer_free(&python);
    kb_buffer_free(&java);
}

static void check_random_item(struct kb_bytes json, struct kb_arena *arena)
{
    struct kb_buffer text = KB_BUFFER_INIT(ROOM), bytes = KB_BUFFER_INIT(ROOM);
    struct kb_buffer back_text = KB_BUFFER_INIT(ROOM);
    struct kb_error err = {0};
    struct kb_item item, again, after;
    struct kb_attr back;

    KBT_OK(kb_item_parse(&item, json, arena, &err), &err);
    kb_item_format(&text, &item);
    KBT_OK(kb_item_parse(&again, kb_buffer_view(&text), arena, &err), &err);
    CU_ASSERT_EQUAL_FATAL(again.count, 1);
    CU_ASSERT_EQUAL(kb_item_size(&item), kb_item_size(&again));
    check_serializations_equal(&item.members[0].value, &again.members[0].value);
    check_difference(&item.members[0].value);

    kb_attr_serialize(&bytes, &item.members[0].value, KB_DIALECT_PYTHON, true);
    KBT_OK(kb_attr_deserialize(&back, kb_buffer_view(&bytes), arena, &err), &err);
    put_json(&back_text, &back);
    KBT_OK(kb_item_parse(&after, kb_buffer_view(&back_text), arena, &err), &err);
    CU_ASSERT_EQUAL_FATAL(after.count, 1);
    kb_buffer_reset(&text);
    kb_attr_serialize(&text, &after.members[0].value, KB_DIALECT_PYTHON, true);
    KBT_BYTES(kb_buffer_view(&text), kb_buffer_view(&bytes));
    kb_buffer_free(&text);
    kb_buffer_free(&bytes);
    kb_buffer_free(&back_text);
}

static void test_random_items(void)
{
    srand(20240601);
    for (int round = 0; round < 1500; round++) {
        struct kb_buffer json = KB_BUFFER_INIT(ROOM);
        struct kb_arena arena = KB_ARENA_INIT;

        kb_buffer_put_text(&json, "{\"a\":");
        random_value(&json, 0);
        kb_buffer_put_text(&json, "}");
        check_random_item(kb_buffer_view(&json), &arena);
        kb_buffer_free(&json);
        kb_arena_free(&arena);
    }
}

/* --- the shared vectors ---------------------------------------------------- */

static void base64_member(struct kb_buffer *out, const json_t *vector)
{
    const json_t *text = json_object_get(vector, "serialized");
    struct kb_bytes view = {(const uint8_t *)json_string_value(text), json_string_length(text)};

    CU_ASSERT_TRUE(kb_base64_parse(out, view));
}

static struct kb_attr attribute_member(const json_t *vector, struct kb_arena *arena)
{
    char *text = json_dumps(json_object_get(vector, "attribute"), JSON_COMPACT);
    struct kb_attr value;

    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    value = parse_value(text, arena);
    free(text);
    return value;
}

static void check_serialize_vector(const json_t *vector, struct kb_arena *arena)
{
    struct kb_buffer want = KB_BUFFER_INIT(ROOM), got = KB_BUFFER_INIT(ROOM);
    struct kb_attr value = attribute_member(vector, arena);

    base64_member(&want, vector);
    kb_attr_serialize(&got, &value, KB_DIALECT_PYTHON, true);
    KBT_BYTES(kb_buffer_view(&got), kb_buffer_view(&want));
    kb_buffer_free(&want);
    kb_buffer_free(&got);
}

/* Sets compare unordered: as they are serialized, sorted. */
static void check_deserialize_vector(const json_t *vector, struct kb_arena *arena)
{
    struct kb_buffer bytes = KB_BUFFER_INIT(ROOM);
    struct kb_error err = {0};
    struct kb_attr value, want;
    enum kb_status status;

    base64_member(&bytes, vector);
    status = kb_attr_deserialize(&value, kb_buffer_view(&bytes), arena, &err);
    if (json_object_get(vector, "expect")) {
        CU_ASSERT_EQUAL(status, KB_ERR_INPUT);
    } else {
        KBT_OK(status, &err);
        want = attribute_member(vector, arena);
        check_serializations_equal(&value, &want);
    }
    kb_buffer_free(&bytes);
}

static void test_vectors(void)
{
    const char *path = kbtest_vectors("ddbec/vectors.json");
    json_t *vectors = path ? json_load_file(path, JSON_ALLOW_NUL, NULL) : NULL;
    struct kb_arena arena = KB_ARENA_INIT;
    const json_t *vector, *list;
    size_t index;

    if (!path)
        return;
    CU_ASSERT_PTR_NOT_NULL_FATAL(vectors);
    list = json_object_get(vectors, "serialize_attribute");
    CU_ASSERT_TRUE(json_array_size(list) >= 12);
    json_array_foreach (list, index, vector)
        check_serialize_vector(vector, &arena);
    list = json_object_get(vectors, "deserialize_attribute");
    CU_ASSERT_TRUE(json_array_size(list) >= 14);
    json_array_foreach (list, index, vector)
        check_deserialize_vector(vector, &arena);
    json_decref(vectors);
    kb_arena_free(&arena);
}

int main(int argc, char **argv)
{
    static const struct kbtest tests[] = {
        {"canonical: layouts, dialects, differences", test_layouts},
        {"canonical: 32 levels, not 33", test_depth},
        {"canonical: what is no number latches", test_no_number_latches},
        {"canonical: sets of 50,000", test_many_members},
        {"canonical: random items", test_random_items},
        {"canonical: vectors of both clients", test_vectors},
        {NULL, NULL},
    };

    return kbtest_main("attr-canonical", tests, argc, argv);
}
