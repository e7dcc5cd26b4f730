/* SPDX-License-Identifier: Apache-2.0
 *
 * An item from its DynamoDB JSON.
 */
#include "attr/json.h"
#include "attr/names.h"
#include "attr/number.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>

/* Members of an item or a list that room is made for first. */
enum { ITEM_ROOM = 16, NESTED_ROOM = 4 };

struct parser {
    struct kb_json json;
    struct kb_bytes attribute; /* the outermost one being read; empty outside */
    size_t size;               /* what DynamoDB counts of all that was read */
};

static const char *const too_large = "the item is too large; DynamoDB takes at most 409,600 bytes";

static bool fail(struct parser *parser, const uint8_t *where, const char *problem)
{
    return kb_json_fail(&parser->json, where, problem);
}

/* Every value is counted as it is read, so that what an item too large takes
 * in memory is bounded too. */
static bool count_bytes(struct parser *parser, size_t size)
{
    parser->size += size;
    return parser->size <= KB_ITEM_SIZE_MAX || fail(parser, parser->json.next, too_large);
}

/* Room for one more thing at array[count], or NULL; an array grows by moving
 * to twice the room, and the arena keeps the old one. */
static void *one_more(struct parser *parser, void *array, size_t count, size_t *room, size_t first,
                      size_t size)
{
    size_t more = *room ? *room * 2 : first;
    void *moved;

    if (count < *room)
        return array;
    moved = kb_arena_take(parser->json.arena, more * size);
    if (!moved) {
        kb_json_fail_memory(&parser->json);
        return NULL;
    }
    if (count)
        memcpy(moved, array, count * size);
    *room = more;
    return moved;
}

static bool parse_text(struct parser *parser, struct kb_bytes *out)
{
    return kb_json_string(&parser->json, out) && count_bytes(parser, out->size);
}

static bool parse_number(struct parser *parser, struct kb_bytes *out)
{
    const uint8_t *where = parser->json.next;
    struct kb_decimal number;

    if (!kb_json_string(&parser->json, out))
        return false;
    if (!kb_decimal_parse(&number, *out))
        return fail(parser, where, "not a number, or one with too many digits");
    if (!kb_decimal_limited(&number))
        return fail(parser, where,
                    "DynamoDB takes numbers of at most 38 significant digits, "
                    "from 1E-130 to below 1E+126");
    return count_bytes(parser, kb_decimal_size(&number));
}

static bool parse_binary(struct parser *parser, struct kb_bytes *out)
{
    const uint8_t *where = parser->json.next;
    struct kb_bytes text;
    uint8_t *data;

    if (!kb_json_string(&parser->json, &text))
        return false;
    data = kb_arena_take(parser->json.arena, text.size / 4 * 3 + 1);
    if (!data)
        return kb_json_fail_memory(&parser->json);
    if (!kb_base64_parse_into(data, &out->size, text))
        return fail(parser, where, "not base64 with padding");
    out->data = data;
    return count_bytes(parser, out->size);
}

static bool parse_set(struct parser *parser, struct kb_attr *out,
                      bool (*parse_member)(struct parser *, struct kb_bytes *))
{
    struct kb_bytes *members = NULL;
    size_t count = 0, room = 0;

    if (!kb_json_expect(&parser->json, '[', "'[' is expected"))
        return false;
    while (kb_json_more(&parser->json, count, ']')) {
        members = one_more(parser, members, count, &room, NESTED_ROOM, sizeof *members);
        if (!members || !parse_member(parser, &members[count]))
            return false;
        /* Empty members count nothing towards the item's size. */
        if (++count > KB_ITEM_SIZE_MAX)
            return fail(parser, parser->json.next, "too many set members");
    }
    out->set.members = members;
    out->set.count = count;
    return !parser->json.problem;
}

static bool parse_boolean(struct parser *parser, bool *out)
{
    *out = kb_json_word(&parser->json, "true");
    if (!*out && !kb_json_word(&parser->json, "false"))
        return fail(parser, parser->json.next, "BOOL is true or false");
    return count_bytes(parser, 1);
}

static bool parse_null(struct parser *parser)
{
    if (!kb_json_word(&parser->json, "true"))
        return fail(parser, parser->json.next, "NULL is always true");
    return count_bytes(parser, 1);
}

static bool parse_value(struct parser *parser, struct kb_attr *out, unsigned depth);

static bool parse_list(struct parser *parser, struct kb_attr *out, unsigned depth)
{
    struct kb_attr *elements = NULL;
    size_t count = 0, room = 0;

    if (!kb_json_expect(&parser->json, '[', "'[' is expected"))
        return false;
    while (kb_json_more(&parser->json, count, ']')) {
        elements = one_more(parser, elements, count, &room, NESTED_ROOM, sizeof *elements);
        if (!elements || !count_bytes(parser, 1) ||
            !parse_value(parser, &elements[count++], depth))
            return false;
    }
    out->list.elements = elements;
    out->list.count = count;
    return !parser->json.problem;
}

static bool check_names(struct parser *parser, const struct kb_member *members, size_t count)
{
    const struct kb_member *twice;

    if (!kb_names_check(&twice, members, count, parser->json.arena))
        return kb_json_fail_memory(&parser->json);
    if (!twice)
        return true;
    parser->json.name = twice->name;
    return fail(parser, parser->json.next - 1, "there is more than one member");
}

/* The members of a map, or with depth 0 of the item itself. */
static bool parse_members(struct parser *parser, struct kb_item *out, unsigned depth)
{
    struct kb_json *json = &parser->json;
    struct kb_member *members = NULL;
    size_t count = 0, room = 0;

    if (!kb_json_expect(json, '{', "'{' is expected"))
        return false;
    while (kb_json_more(json, count, '}')) {
        struct kb_member *member;

        members = one_more(parser, members, count, &room, depth ? NESTED_ROOM : ITEM_ROOM,
                           sizeof *members);
        if (!members)
            return false;
        member = &members[count++];
        if (!parse_text(parser, &member->name))
            return false;
        if (depth == 0)
            parser->attribute = member->name;
        else if (!count_bytes(parser, 1))
            return false;
        if (!kb_json_expect(json, ':', "':' is expected") ||
            !parse_value(parser, &member->value, depth))
            return false;
        if (depth == 0)
            parser->attribute.size = 0;
    }
    out->members = members;
    out->count = count;
    return !json->problem && check_names(parser, members, count);
}

static bool parse_type(struct parser *parser, enum kb_attr_type *out)
{
    const uint8_t *where = parser->json.next;
    struct kb_bytes text;

    if (!kb_json_string(&parser->json, &text))
        return false;
    if (text.size == 1 && (text.data[0] == 'S' || text.data[0] == 'B' || text.data[0] == 'N')) {
        *out = text.data[0] == 'S' ? KB_ATTR_S : text.data[0] == 'B' ? KB_ATTR_B : KB_ATTR_N;
        return true;
    }
    for (int type = KB_ATTR_S; type <= KB_ATTR_M; type++) {
        const char *name = kb_attr_type_format((enum kb_attr_type)type);

        if (text.size == strlen(name) && memcmp(text.data, name, text.size) == 0) {
            *out = (enum kb_attr_type)type;
            return true;
        }
    }
    return fail(parser, where, "not one of the types S, N, B, BOOL, NULL, SS, NS, BS, L, M");
}

/* `depth` is how many lists and maps are around what is read. */
static bool parse_content(struct parser *parser, struct kb_attr *out, unsigned depth)
{
    struct kb_item members;

    if (out->type == KB_ATTR_L || out->type == KB_ATTR_M) {
        if (depth >= KB_ATTR_DEPTH_MAX)
            return fail(parser, parser->json.next, "lists and maps more than 32 deep");
        if (!count_bytes(parser, 3))
            return false;
    }
    switch (out->type) {
    case KB_ATTR_S:
        return parse_text(parser, &out->bytes);
    case KB_ATTR_N:
        return parse_number(parser, &out->bytes);
    case KB_ATTR_B:
        return parse_binary(parser, &out->bytes);
    case KB_ATTR_BOOL:
        return parse_boolean(parser, &out->boolean);
    case KB_ATTR_NULL:
        return parse_null(parser);
    case KB_ATTR_SS:
        return parse_set(parser, out, parse_text);
    case KB_ATTR_NS:
        return parse_set(parser, out, parse_number);
    case KB_ATTR_BS:
        return parse_set(parser, out, parse_binary);
    case KB_ATTR_L:
        return parse_list(parser, out, depth + 1);
    case KB_ATTR_M:
        if (!parse_members(parser, &members, depth + 1))
            return false;
        out->map.members = members.members;
        out->map.count = members.count;
        return true;
    }
    return false;
}

static bool parse_value(struct parser *parser, struct kb_attr *out, unsigned depth)
{
    struct kb_json *json = &parser->json;

    *out = (struct kb_attr){.type = KB_ATTR_NULL};
    if (!kb_json_expect(json, '{', "a value like {\"S\":\"text\"} is expected") ||
        !parse_type(parser, &out->type) || !kb_json_expect(json, ':', "':' is expected"))
        return false;
    kb_json_skip(json);
    return parse_content(parser, out, depth) &&
           kb_json_expect(json, '}', "'}' is expected: a value has one type");
}

/* A name as the error shows it: cut between characters when it is long. */
static const char *show(char out[100], const char *before, struct kb_bytes name, const char *after)
{
    size_t size = strlen(before), keep = name.size < 64 ? name.size : 64;

    while (keep < name.size && keep && (name.data[keep] & 0xc0) == 0x80)
        keep--;
    memcpy(out, before, size);
    for (size_t i = 0; i < keep; i++)
        out[size++] = name.data[i] ? (char)name.data[i] : '?';
    snprintf(out + size, 100 - size, "%s%s", keep < name.size ? "…" : "", after);
    return out;
}

static enum kb_status report(const struct parser *parser, struct kb_error *err)
{
    const struct kb_json *json = &parser->json;
    char attribute[100] = "", name[100] = "";

    if (json->no_memory)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory for an item");
    if (parser->attribute.size)
        show(attribute, "attribute '", parser->attribute, "': ");
    if (json->name.size)
        show(name, " '", json->name, "'");
    return kb_error_set(err, KB_ERR_INPUT, "%s%s%s (byte %zu of the item's JSON)", attribute,
                        json->problem, name, json->offset);
}

enum kb_status kb_item_parse(struct kb_item *out, struct kb_bytes json, struct kb_arena *arena,
                             struct kb_error *err)
{
    struct parser parser = {.size = 0};

    *out = (struct kb_item){NULL, 0};
    if (json.size > KB_ITEM_JSON_MAX)
        return kb_error_set(err, KB_ERR_INPUT, "an item's JSON of %zu bytes; at most %d are read",
                            json.size, KB_ITEM_JSON_MAX);
    kb_json_open(&parser.json, json, arena);
    if (parse_members(&parser, out, 0) && kb_json_close(&parser.json))
        return KB_OK;
    *out = (struct kb_item){NULL, 0};
    return report(&parser, err);
}
