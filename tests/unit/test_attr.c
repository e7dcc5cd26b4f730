/* SPDX-License-Identifier: Apache-2.0
 *
 * src/attr: items from and to JSON, their sizes.
 */
#include "attr/attr.h"
#include "kbtest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROOM = 16 * 1024 * 1024 };

/* A parsed item with all that it points into. */
struct parsed {
    struct kb_arena arena;
    struct kb_item item;
    struct kb_error err;
    enum kb_status status;
};

static struct parsed parse(struct kb_bytes json)
{
    struct parsed parsed = {.arena = KB_ARENA_INIT};

    parsed.status = kb_item_parse(&parsed.item, json, &parsed.arena, &parsed.err);
    CU_ASSERT_TRUE(parsed.status == KB_OK || parsed.status == KB_ERR_INPUT);
    CU_ASSERT_TRUE(parsed.status == parsed.err.status);
    if (parsed.status != KB_OK)
        CU_ASSERT_EQUAL(parsed.item.count, 0);
    return parsed;
}

static void check_formats(struct kb_bytes json, const char *want, const char *want_plain)
{
    struct kb_buffer out = KB_BUFFER_INIT(ROOM);
    struct parsed parsed = parse(json);

    KBT_OK(parsed.status, &parsed.err);
    kb_item_format(&out, &parsed.item);
    KBT_TEXT(kb_buffer_view(&out), want);
    kb_buffer_reset(&out);
    kb_item_format_plain(&out, &parsed.item);
    KBT_TEXT(kb_buffer_view(&out), want_plain);
    KBT_OK(kb_buffer_check(&out, NULL), NULL);
    kb_buffer_free(&out);
    kb_arena_free(&parsed.arena);
}

static const struct {
    const char *json;
    const char *formatted; /* NULL: as it is given */
    const char *plain;
} good[] = {
    {"{}", NULL, "{}"},
    {" {\n}\t\r\n", "{}", "{}"},
    {"{\"a\":{\"S\":\"x\"}}", NULL, "{\"a\":\"x\"}"},
    {" { \"a\" : { \"S\" : \"x\" } , \"b\" : { \"N\" : \"1\" } } ",
     "{\"a\":{\"S\":\"x\"},\"b\":{\"N\":\"1\"}}", "{\"a\":\"x\",\"b\":1}"},
    {"{\"a\":{\"S\":\"\"},\"b\":{\"B\":\"\"}}", NULL, "{\"a\":\"\",\"b\":\"\"}"},
    {"{\"a\":{\"B\":\"AAEC/w==\"}}", NULL, "{\"a\":\"AAEC/w==\"}"},
    {"{\"a\":{\"B\":\"AAEC\\/w=\\u003d\"}}", "{\"a\":{\"B\":\"AAEC/w==\"}}",
     "{\"a\":\"AAEC/w==\"}"},
    {"{\"a\":{\"BOOL\":true},\"b\":{\"BOOL\":false},\"c\":{\"NULL\":true}}", NULL,
     "{\"a\":true,\"b\":false,\"c\":null}"},
    {"{\"a\":{\"SS\":[\"y\",\"x\",\"y\"]},\"b\":{\"NS\":[\"2.50\",\"1\"]},"
     "\"c\":{\"BS\":[\"AQ==\"]}}",
     NULL, "{\"a\":[\"y\",\"x\",\"y\"],\"b\":[2.5,1],\"c\":[\"AQ==\"]}"},
    {"{\"a\":{\"SS\":[]},\"b\":{\"NS\":[]},\"c\":{\"BS\":[]},\"d\":{\"L\":[]},"
     "\"e\":{\"M\":{}}}",
     NULL,
     "{\"a\":[],\"b\":[],\"c\":[],\"d\":[],\"e\":{}}"},
    {"{\"a\":{\"L\":[{\"S\":\"x\"},{\"L\":[{\"N\":\"1\"}]},{\"M\":{\"k\":{\"NULL\":true}}}]}}",
     NULL,
     "{\"a\":[\"x\",[1],{\"k\":null}]}"},
    {"{\"a\":{\"N\":\"+007.50\"},\"b\":{\"N\":\"-0\"},\"c\":{\"N\":\".5\"},\"d\":{\"N\":\"1E+3\"}}",
     NULL,
     "{\"a\":7.5,\"b\":0,\"c\":0.5,\"d\":1000}"},
    {"{\"\\u0061\":{\"\\u0053\":\"\\u00e9\\u20AC\\ud83d\\ude00\"}}",
     "{\"a\":{\"S\":\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"}}",
     "{\"a\":\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"}"},
    {"{\"a\":{\"S\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000\\u001f\\u007f<\"}}",
     "{\"a\":{\"S\":\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0000\\u001f\x7f<\"}}",
     "{\"a\":\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0000\\u001f\x7f<\"}"},
    {"{\"a\\u0000b\":{\"S\":\"plain text before \\n and plain text behind\"}}", NULL,
     "{\"a\\u0000b\":\"plain text before \\n and plain text behind\"}"},
    {"{\"a\":{\"M\":{\"\":{\"S\":\"x\"}}}}", NULL, "{\"a\":{\"\":\"x\"}}"},
    {"{\"*amzn-ddb-map-sig*\":{\"B\":\"AQ==\"},\"Total Cost\":{\"N\":\"1\"}}", NULL,
     "{\"*amzn-ddb-map-sig*\":\"AQ==\",\"Total Cost\":1}"},
};

static void test_good_items(void)
{
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        check_formats(kb_bytes_text(good[i].json),
                      good[i].formatted ? good[i].formatted : good[i].json, good[i].plain);
}

static const struct {
    const char *json;
    const char *sentence; /* part of it */
} bad[] = {
    {"", "'{' is expected (byte 0 "},
    {"  ", "'{' is expected (byte 2 "},
    {"[]", "'{' is expected (byte 0 "},
    {"{}x", "more follows behind the JSON object (byte 2 "},
    {"{} {}", "more follows"},
    {"\xef\xbb\xbf{}", "'{' is expected"},
    {"{", "ends too early (byte 1 "},
    {"{,}", "a string is expected"},
    {"{\"a\"}", "attribute 'a': ':' is expected"},
    {"{\"a\":{\"S\":\"x\"},}", "a string is expected (byte 15 "},
    {"{\"a\":{\"S\":\"x\"} \"b\":{\"S\":\"x\"}}", "',' or '}' is expected"},
    {"{a:{\"S\":\"x\"}}", "a string is expected"},
    {"{\"a\":\"x\"}", "attribute 'a': a value like {\"S\":\"text\"} is expected (byte 5 "},
    {"{\"a\":null}", "attribute 'a': a value like"},
    {"{\"a\":{}}", "attribute 'a': a string is expected"},
    {"{\"Total Cost\":{\"X\":\"x\"}}", "attribute 'Total Cost': not one of the types"},
    {"{\"a\":{\"s\":\"x\"}}", "not one of the types"},
    {"{\"a\":{\"\":\"x\"}}", "not one of the types"},
    {"{\"a\":{\"S\\u0000\":\"x\"}}", "not one of the types"},
    {"{\"a\":{\"S\":\"x\",\"N\":\"1\"}}", "a value has one type"},
    {"{\"a\":{\"S\":\"x\",}}", "a value has one type"},
    {"{\"a\":{\"S\":1}}", "a string is expected"},
    {"{\"a\":{\"S\":null}}", "a string is expected"},
    {"{\"a\":{\"N\":1}}", "a string is expected"},
    {"{\"a\":{\"N\":\"\"}}", "attribute 'a': not a number"},
    {"{\"a\":{\"N\":\" 5\"}}", "not a number"},
    {"{\"a\":{\"N\":\"NaN\"}}", "not a number"},
    {"{\"a\":{\"N\":\"123456789012345678901234567890123456789\"}}",
     "at most 38 significant digits"},
    {"{\"a\":{\"NS\":[\"1\",\"1E126\"]}}", "at most 38 significant digits"},
    {"{\"a\":{\"B\":\"AQ=\"}}", "attribute 'a': not base64"},
    {"{\"a\":{\"B\":\"AR==\"}}", "not base64"},
    {"{\"a\":{\"B\":\"AQ-_\"}}", "not base64"},
    {"{\"a\":{\"B\":\"AQ ==\"}}", "not base64"},
    {"{\"a\":{\"BS\":[\"A\"]}}", "not base64"},
    {"{\"a\":{\"BOOL\":1}}", "BOOL is true or false"},
    {"{\"a\":{\"BOOL\":\"true\"}}", "BOOL is true or false"},
    {"{\"a\":{\"BOOL\":True}}", "BOOL is true or false"},
    {"{\"a\":{\"BOOL\":truex}}", "'}' is expected"},
    {"{\"a\":{\"NULL\":false}}", "NULL is always true"},
    {"{\"a\":{\"NULL\":null}}", "NULL is always true"},
    {"{\"a\":{\"SS\":\"x\"}}", "'[' is expected"},
    {"{\"a\":{\"SS\":[\"x\",]}}", "a string is expected"},
    {"{\"a\":{\"SS\":[\"x\" \"y\"]}}", "',' or ']' is expected"},
    {"{\"a\":{\"SS\":[{\"S\":\"x\"}]}}", "a string is expected"},
    {"{\"a\":{\"L\":[\"x\"]}}", "a value like"},
    {"{\"a\":{\"L\":{}}}", "'[' is expected"},
    {"{\"a\":{\"M\":[]}}", "'{' is expected"},
    {"{\"a\":{\"S\":\"x\"},\"b\":{\"S\":\"x\"},\"a\":{\"S\":\"y\"}}", "more than one member 'a'"},
    {"{\"a\":{\"S\":\"x\"},\"\\u0061\":{\"S\":\"y\"}}", "more than one member 'a'"},
    {"{\"out\":{\"L\":[{\"M\":{\"in\":{\"NULL\":true},\"in\":{\"NULL\":true}}}]}}",
     "attribute 'out': there is more than one member 'in'"},
    {"{\"a\":{\"S\":\"\n\"}}", "a control character in a string must be escaped (byte 11 "},
    {"{\"a\":{\"S\":\"eight ok \x1f eight more\"}}", "must be escaped (byte 20 "},
    {"{\"a\":{\"S\":\"\\x\"}}", "unknown escape"},
    {"{\"a\":{\"S\":\"\\u00g0\"}}", "four hexadecimal digits"},
    {"{\"a\":{\"S\":\"\\u12\"}}", "four hexadecimal digits"},
    {"{\"a\":{\"S\":\"\\ud800\"}}", "half of a surrogate pair"},
    {"{\"a\":{\"S\":\"\\udc00\"}}", "half of a surrogate pair"},
    {"{\"a\":{\"S\":\"\\udc00\\udc00\"}}", "half of a surrogate pair"},
    {"{\"a\":{\"S\":\"\\ud800\\ud800\"}}", "half of a surrogate pair"},
    {"{\"a\":{\"S\":\"\\ud83dx\\ude00\"}}", "half of a surrogate pair"},
    {"{\"a\":{\"S\":\"\xed\xa0\x80\"}}", "not UTF-8 (byte 11 "},
    {"{\"a\":{\"S\":\"\xc3\xa9\xc0\x80\"}}", "not UTF-8 (byte 13 "},
    {"{\"a\":{\"S\":\"\xe2\x82\"}}", "not UTF-8 (byte 11 "},
    {"{\"a\":{\"S\":\"x", "does not end"},
    {"{\"a\":{\"S\":\"x\\", "does not end"},
};

static void test_bad_items(void)
{
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct parsed parsed = parse(kb_bytes_text(bad[i].json));

        CU_ASSERT_EQUAL(parsed.status, KB_ERR_INPUT);
        if (!strstr(parsed.err.text, bad[i].sentence)) {
            fprintf(stderr, "%s: '%s'\n", bad[i].json, parsed.err.text);
            CU_FAIL("the sentence is another one");
        }
        kb_arena_free(&parsed.arena);
    }
}

static void test_long_name_in_error(void)
{
    char json[400] = "{\"";
    struct parsed parsed;

    for (int i = 0; i < 40; i++)
        strcat(json, "\xe2\x82\xac");
    strcat(json, "\":1}");
    parsed = parse(kb_bytes_text(json));
    CU_ASSERT_EQUAL(parsed.status, KB_ERR_INPUT);
    CU_ASSERT_PTR_NOT_NULL(strstr(parsed.err.text, "\xac\xe2\x80\xa6': a value like"));
    kb_arena_free(&parsed.arena);
}

static const char sample[] =
    "{\"id\":{\"S\":\"a\\u00e9\\ud83d\\ude00\"},\"n\":{\"N\":\"-12.50\"},\"b\":{\"B\":\"AAEC\"},"
    "\"t\":{\"BOOL\":true},\"z\":{\"NULL\":true},\"ss\":{\"SS\":[\"x\",\"y\"]},"
    "\"ns\":{\"NS\":[\"1\",\"2e5\"]},\"bs\":{\"BS\":[\"AQ==\",\"\"]},"
    "\"l\":{\"L\":[{\"S\":\"\"},{\"L\":[]}]},\"m\":{\"M\":{\"k\":{\"M\":{}}}}}";

static void test_truncations(void)
{
    for (size_t size = 0; size < sizeof sample - 1; size++) {
        uint8_t *copy = malloc(size + !size);
        struct parsed parsed;

        CU_ASSERT_PTR_NOT_NULL_FATAL(copy);
        memcpy(copy, sample, size);
        parsed = parse((struct kb_bytes){copy, size});
        CU_ASSERT_EQUAL(parsed.status, KB_ERR_INPUT);
        CU_ASSERT_TRUE(parsed.err.text[0] != 0);
        kb_arena_free(&parsed.arena);
        free(copy);
    }
}

/* Every byte changed in several ways: refused, or an item that survives
 * another round. */
static void test_flips(void)
{
    static const uint8_t masks[] = {0x01, 0x02, 0x04, 0x10, 0x20, 0x80, 0xff};
    struct kb_buffer out = KB_BUFFER_INIT(ROOM);
    uint8_t copy[sizeof sample - 1];

    for (size_t i = 0; i < sizeof copy * sizeof masks; i++) {
        struct parsed parsed;

        memcpy(copy, sample, sizeof copy);
        copy[i / sizeof masks] ^= masks[i % sizeof masks];
        parsed = parse((struct kb_bytes){copy, sizeof copy});
        if (parsed.status == KB_OK) {
            struct parsed again;

            kb_buffer_reset(&out);
            kb_item_format(&out, &parsed.item);
            again = parse(kb_buffer_view(&out));
            KBT_OK(again.status, &again.err);
            CU_ASSERT_EQUAL(again.item.count, parsed.item.count);
            kb_arena_free(&again.arena);
        }
        kb_arena_free(&parsed.arena);
    }
    kb_buffer_free(&out);
}

static enum kb_status parse_nested(const char *open, const char *inner, const char *close,
                                   unsigned depth)
{
    struct kb_buffer json = KB_BUFFER_INIT(ROOM);
    struct parsed parsed;

    kb_buffer_put_text(&json, "{\"a\":");
    for (unsigned i = 0; i < depth; i++)
        kb_buffer_put_text(&json, open);
    kb_buffer_put_text(&json, inner);
    for (unsigned i = 0; i < depth; i++)
        kb_buffer_put_text(&json, close);
    kb_buffer_put_text(&json, "}");
    parsed = parse(kb_buffer_view(&json));
    if (parsed.status != KB_OK)
        CU_ASSERT_PTR_NOT_NULL(strstr(parsed.err.text, "more than 32 deep"));
    kb_arena_free(&parsed.arena);
    kb_buffer_free(&json);
    return parsed.status;
}

static void test_depth(void)
{
    const char *value = "{\"S\":\"\"}";

    CU_ASSERT_EQUAL(parse_nested("{\"L\":[", value, "]}", KB_ATTR_DEPTH_MAX), KB_OK);
    CU_ASSERT_EQUAL(parse_nested("{\"L\":[", value, "]}", KB_ATTR_DEPTH_MAX + 1), KB_ERR_INPUT);
    CU_ASSERT_EQUAL(parse_nested("{\"M\":{\"k\":", value, "}}", KB_ATTR_DEPTH_MAX), KB_OK);
    CU_ASSERT_EQUAL(parse_nested("{\"M\":{\"k\":", value, "}}", KB_ATTR_DEPTH_MAX + 1),
                    KB_ERR_INPUT);
    CU_ASSERT_EQUAL(parse_nested("{\"L\":[", value, "]}", 100000), KB_ERR_INPUT);
}

static void test_sizes(void)
{
    static const struct {
        const char *json;
        size_t size;
    } table[] = {
        {"{}", 0},
        {"{\"ab\":{\"S\":\"\\u20ac\\n\"}}", 2 + 4},
        {"{\"a\":{\"B\":\"AAEC/w==\"}}", 1 + 4},
        {"{\"a\":{\"N\":\"0\"}}", 1 + 1},
        {"{\"a\":{\"N\":\"-0.0\"}}", 1 + 1},
        {"{\"a\":{\"N\":\"1000\"}}", 1 + 2},
        {"{\"a\":{\"N\":\"-12.50\"}}", 1 + 4},
        {"{\"a\":{\"N\":\"12345678901234567890123456789012345678\"}}", 1 + 20},
        {"{\"a\":{\"BOOL\":true},\"b\":{\"NULL\":true}}", 2 + 2},
        {"{\"a\":{\"SS\":[\"x\",\"yz\"]}}", 1 + 3},
        {"{\"a\":{\"NS\":[\"1\",\"-123\"]}}", 1 + 2 + 4},
        {"{\"a\":{\"BS\":[\"AQ==\",\"AQI=\"]}}", 1 + 3},
        {"{\"a\":{\"L\":[]}}", 1 + 3},
        {"{\"a\":{\"L\":[{\"S\":\"x\"},{\"L\":[]}]}}", 1 + 3 + 1 + 1 + 1 + 3},
        {"{\"a\":{\"M\":{\"kk\":{\"S\":\"x\"}}}}", 1 + 3 + 1 + 2 + 1},
    };

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct parsed parsed = parse(kb_bytes_text(table[i].json));

        KBT_OK(parsed.status, &parsed.err);
        CU_ASSERT_EQUAL(kb_item_size(&parsed.item), table[i].size);
        kb_arena_free(&parsed.arena);
    }
}

/* Everything that is counted, and a text of `filler` bytes. */
static struct parsed parse_filled(struct kb_buffer *json, size_t filler)
{
    uint8_t *room;

    kb_buffer_reset(json);
    kb_buffer_put_text(json, "{\"m\":{\"M\":{\"z\":{\"NULL\":true},"
                             "\"k\":{\"L\":[{\"N\":\"-123\"},{\"BOOL\":true},{\"L\":[]}]},"
                             "\"s\":{\"SS\":[\"xy\"]},\"n\":{\"NS\":[\"1\"]},"
                             "\"b\":{\"BS\":[\"AAE=\"]},\"c\":{\"B\":\"AAEC\"}}},\"id\":{\"S\":\"");
    room = kb_buffer_extend(json, filler);
    CU_ASSERT_PTR_NOT_NULL_FATAL(room);
    memset(room, 'x', filler);
    kb_buffer_put_text(json, "\"}}");
    return parse(kb_buffer_view(json));
}

static void test_size_limit(void)
{
    struct kb_buffer json = KB_BUFFER_INIT(ROOM);
    struct parsed parsed = parse_filled(&json, 0);
    size_t rest = KB_ITEM_SIZE_MAX - kb_item_size(&parsed.item);

    KBT_OK(parsed.status, &parsed.err);
    kb_arena_free(&parsed.arena);
    parsed = parse_filled(&json, rest);
    KBT_OK(parsed.status, &parsed.err);
    CU_ASSERT_EQUAL(kb_item_size(&parsed.item), KB_ITEM_SIZE_MAX);
    kb_arena_free(&parsed.arena);
    parsed = parse_filled(&json, rest + 1);
    CU_ASSERT_EQUAL(parsed.status, KB_ERR_INPUT);
    CU_ASSERT_PTR_NOT_NULL(strstr(parsed.err.text, "DynamoDB takes at most 409,600"));
    kb_arena_free(&parsed.arena);
    kb_buffer_free(&json);
}

static void test_json_limit(void)
{
    struct kb_buffer json = KB_BUFFER_INIT(ROOM);
    struct parsed parsed;

    memset(kb_buffer_extend(&json, KB_ITEM_JSON_MAX), ' ', KB_ITEM_JSON_MAX);
    memcpy(json.data, "{}", 2);
    parsed = parse(kb_buffer_view(&json));
    KBT_OK(parsed.status, &parsed.err);
    kb_arena_free(&parsed.arena);
    kb_buffer_put_u8(&json, ' ');
    parsed = parse(kb_buffer_view(&json));
    CU_ASSERT_EQUAL(parsed.status, KB_ERR_INPUT);
    kb_arena_free(&parsed.arena);
    kb_buffer_free(&json);
}

/* A set of empty texts weighs nothing in DynamoDB's count. */
static void test_many_empty_members(void)
{
    struct kb_buffer json = KB_BUFFER_INIT(ROOM);
    struct parsed parsed;

    kb_buffer_put_text(&json, "{\"a\":{\"SS\":[\"\"");
    for (int i = 0; i < KB_ITEM_SIZE_MAX; i++)
        kb_buffer_put_text(&json, ",\"\"");
    kb_buffer_put_text(&json, "]}}");
    parsed = parse(kb_buffer_view(&json));
    CU_ASSERT_EQUAL(parsed.status, KB_ERR_INPUT);
    CU_ASSERT_PTR_NOT_NULL(strstr(parsed.err.text, "too many set members"));
    kb_arena_free(&parsed.arena);
    kb_buffer_free(&json);
}

static void put_names(struct kb_buffer *json, unsigned count, int twice)
{
    kb_buffer_put_text(json, "{\"a\":{\"M\":{");
    for (unsigned i = 0; i < count; i++) {
        char text[64];

        snprintf(text, sizeof text, "%s\"%x\":{\"NULL\":true}", i ? "," : "",
                 twice && i == count - 1 ? count / 2 - 1 : i);
        kb_buffer_put_text(json, text);
    }
    kb_buffer_put_text(json, "}}}");
}

/* Around the count where the search for duplicates changes its way, and for a
 * count where a quadratic one would be felt. */
static void test_many_names(void)
{
    static const unsigned counts[] = {2, 31, 32, 33, 34, 50000};
    clock_t start = clock();

    for (size_t i = 0; i < sizeof counts / sizeof *counts * 2; i++) {
        struct kb_buffer json = KB_BUFFER_INIT(ROOM);
        struct parsed parsed;

        put_names(&json, counts[i / 2], i % 2);
        parsed = parse(kb_buffer_view(&json));
        CU_ASSERT_EQUAL(parsed.status, i % 2 ? KB_ERR_INPUT : KB_OK);
        if (i % 2)
            CU_ASSERT_PTR_NOT_NULL(strstr(parsed.err.text, "more than one member"));
        kb_arena_free(&parsed.arena);
        kb_buffer_free(&json);
    }
    /* Two rounds of 50,000 take 60 ms; sanitizers and valgrind need more. */
    CU_ASSERT_TRUE((double)(clock() - start) / CLOCKS_PER_SEC < 10);
}

static void test_find(void)
{
    struct parsed parsed = parse(kb_bytes_text(sample));
    struct kb_attr *value;

    KBT_OK(parsed.status, &parsed.err);
    value = kb_item_find(&parsed.item, kb_bytes_text("n"));
    CU_ASSERT_PTR_NOT_NULL_FATAL(value);
    CU_ASSERT_EQUAL(value->type, KB_ATTR_N);
    KBT_TEXT(value->bytes, "-12.50");
    CU_ASSERT_PTR_NULL(kb_item_find(&parsed.item, kb_bytes_text("N")));
    CU_ASSERT_PTR_NULL(kb_item_find(&parsed.item, kb_bytes_text("")));
    kb_arena_free(&parsed.arena);
}

static void test_type_names(void)
{
    static const char *const names[] = {"S",  "N",  "B",  "BOOL", "NULL",
                                        "SS", "NS", "BS", "L",    "M"};

    for (int type = KB_ATTR_S; type <= KB_ATTR_M; type++)
        CU_ASSERT_STRING_EQUAL(kb_attr_type_format((enum kb_attr_type)type), names[type]);
    CU_ASSERT_STRING_EQUAL(kb_attr_type_format((enum kb_attr_type)(KB_ATTR_M + 1)), "?");
}

static void test_full_buffer_latches(void)
{
    struct parsed parsed = parse(kb_bytes_text(sample));
    struct kb_buffer whole = KB_BUFFER_INIT(ROOM);

    kb_item_format(&whole, &parsed.item);
    for (size_t max = 0; max < whole.size; max++) {
        struct kb_buffer out = KB_BUFFER_INIT(max);

        kb_item_format(&out, &parsed.item);
        CU_ASSERT_TRUE(out.failed);
        kb_buffer_free(&out);
    }
    kb_buffer_free(&whole);
    kb_arena_free(&parsed.arena);
}

int main(int argc, char **argv)
{
    static const struct kbtest tests[] = {
        {"item: good JSON and both formats", test_good_items},
        {"item: bad JSON and what is said", test_bad_items},
        {"item: a long name is cut between characters", test_long_name_in_error},
        {"item: every truncation is refused", test_truncations},
        {"item: every byte flipped", test_flips},
        {"item: 32 levels, not 33", test_depth},
        {"item: size as DynamoDB counts", test_sizes},
        {"item: 409,600 bytes, not one more", test_size_limit},
        {"item: JSON of 4 MiB, not one byte more", test_json_limit},
        {"item: members that weigh nothing", test_many_empty_members},
        {"item: duplicates among many names", test_many_names},
        {"item: find", test_find},
        {"item: a full buffer latches", test_full_buffer_latches},
        {"type names", test_type_names},
        {NULL, NULL},
    };

    return kbtest_main("attr", tests, argc, argv);
}
