/* SPDX-License-Identifier: Apache-2.0 */
#include "attr/json.h"

#include "base/text.h"

#include <endian.h>
#include <string.h>

bool kb_json_fail(struct kb_json *json, const uint8_t *where, const char *problem)
{
    if (!json->problem) {
        json->problem = problem;
        json->offset = (size_t)(where - json->start);
    }
    json->next = json->end;
    return false;
}

bool kb_json_fail_memory(struct kb_json *json)
{
    if (!json->problem)
        json->no_memory = true;
    return kb_json_fail(json, json->next, "no memory");
}

/* The start of the first character that is not well formed. */
static const uint8_t *bad_utf8(struct kb_bytes text)
{
    size_t at = 0, size;

    for (; at < text.size; at += size) {
        uint8_t lead = text.data[at];

        size = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
        if (size > text.size - at || !kb_utf8_valid((struct kb_bytes){text.data + at, size}))
            break;
    }
    return text.data + at;
}

void kb_json_open(struct kb_json *json, struct kb_bytes text, struct kb_arena *arena)
{
    /* An empty view may have no pointer, but a cursor needs one. */
    const uint8_t *start = text.size ? text.data : (const uint8_t *)"";

    *json = (struct kb_json){
        .start = start, .next = start, .end = start + text.size, .arena = arena};
    if (!kb_utf8_valid(text))
        kb_json_fail(json, bad_utf8(text), "not UTF-8");
}

const uint8_t *kb_json_plain_end(const uint8_t *at, const uint8_t *end)
{
    /* Most of an item is long runs of plain text: eight bytes at a time. */
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t eight, quote, backslash, found;

    for (; (size_t)(end - at) >= sizeof eight; at += sizeof eight) {
        memcpy(&eight, at, sizeof eight);
        eight = le64toh(eight);
        quote = eight ^ ones * '"';
        backslash = eight ^ ones * '\\';
        /* The top bit of a byte is set where a subtraction borrowed. Only
         * bytes above the first hit can be marked wrongly. */
        found = ((quote - ones) & ~quote) | ((backslash - ones) & ~backslash) |
                ((eight - ones * 0x20) & ~eight);
        found &= ones * 0x80;
        if (found)
            return at + (unsigned)__builtin_ctzll(found) / 8;
    }
    while (at < end && *at != '"' && *at != '\\' && *at >= 0x20)
        at++;
    return at;
}

/* Value of the four hexadecimal digits at `at`, or -1. */
static int32_t hex_unit(const uint8_t *at, const uint8_t *end)
{
    int32_t value = 0;

    if (end - at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        uint8_t c = at[i], lower = c | 0x20;

        if (c >= '0' && c <= '9')
            value = value << 4 | (c - '0');
        else if (lower >= 'a' && lower <= 'f')
            value = value << 4 | (lower - 'a' + 10);
        else
            return -1;
    }
    return value;
}

static uint8_t *put_utf8(uint8_t *to, uint32_t point)
{
    if (point < 0x80) {
        *to++ = (uint8_t)point;
        return to;
    }
    if (point < 0x800) {
        *to++ = (uint8_t)(0xc0 | point >> 6);
    } else {
        if (point < 0x10000) {
            *to++ = (uint8_t)(0xe0 | point >> 12);
        } else {
            *to++ = (uint8_t)(0xf0 | point >> 18);
            *to++ = (uint8_t)(0x80 | (point >> 12 & 0x3f));
        }
        *to++ = (uint8_t)(0x80 | (point >> 6 & 0x3f));
    }
    *to++ = (uint8_t)(0x80 | (point & 0x3f));
    return to;
}

/* The \u escape whose digits are at `at`, with the second half of a surrogate
 * pair; what is behind it, or NULL. */
static const uint8_t *unicode_escape(struct kb_json *json, const uint8_t *at, uint32_t *point)
{
    const uint8_t *where = at - 2;
    int32_t unit = hex_unit(at, json->end), low = -1;

    if (unit < 0) {
        kb_json_fail(json, where, "\\u needs four hexadecimal digits");
        return NULL;
    }
    at += 4;
    *point = (uint32_t)unit;
    if (unit < 0xd800 || unit > 0xdfff)
        return at;
    if (unit <= 0xdbff && json->end - at >= 6 && at[0] == '\\' && at[1] == 'u')
        low = hex_unit(at + 2, json->end);
    if (low < 0xdc00 || low > 0xdfff) {
        kb_json_fail(json, where, "half of a surrogate pair");
        return NULL;
    }
    *point = 0x10000 + ((uint32_t)(unit - 0xd800) << 10) + (uint32_t)(low - 0xdc00);
    return at + 6;
}

/* The escape at `at` (a backslash); what is behind it, or NULL. */
static const uint8_t *escape(struct kb_json *json, const uint8_t *at, uint32_t *point)
{
    static const char letters[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    const char *letter;

    if (json->end - at < 2) {
        kb_json_fail(json, at, "the string does not end");
        return NULL;
    }
    if (at[1] == 'u')
        return unicode_escape(json, at + 2, point);
    letter = at[1] ? strchr(letters, at[1]) : NULL;
    if (!letter) {
        kb_json_fail(json, at, "unknown escape in a string");
        return NULL;
    }
    *point = (uint8_t)values[letter - letters];
    return at + 2;
}

/* An upper bound of what the string from `at` decodes to: an escape is never
 * shorter than its character. */
static size_t string_room(const uint8_t *at, const uint8_t *end)
{
    const uint8_t *start = at;

    while (at < end && *at != '"')
        at += *at == '\\' && end - at > 1 ? 2 : 1;
    return (size_t)(at - start);
}

/* The string whose text begins at `start` and has its first escape at `at`. */
static bool escaped_string(struct kb_json *json, struct kb_bytes *out, const uint8_t *start,
                           const uint8_t *at)
{
    uint8_t *data = kb_arena_take(json->arena, string_room(start, json->end) + 1);
    uint8_t *to = data;
    uint32_t point;

    if (!data)
        return kb_json_fail_memory(json);
    for (;;) {
        memcpy(to, start, (size_t)(at - start));
        to += at - start;
        if (at == json->end || *at != '\\')
            break;
        at = escape(json, at, &point);
        if (!at)
            return false;
        to = put_utf8(to, point);
        start = at;
        at = kb_json_plain_end(at, json->end);
    }
    *out = (struct kb_bytes){data, (size_t)(to - data)};
    json->next = at;
    return true;
}

bool kb_json_string(struct kb_json *json, struct kb_bytes *out)
{
    const uint8_t *start, *at;

    if (!kb_json_mark(json, '"'))
        return kb_json_fail(json, json->next, "a string is expected");
    start = json->next;
    at = kb_json_plain_end(start, json->end);
    if (at < json->end && *at == '\\') {
        if (!escaped_string(json, out, start, at))
            return false;
        at = json->next;
    } else {
        *out = (struct kb_bytes){start, (size_t)(at - start)};
    }
    if (at == json->end)
        return kb_json_fail(json, start - 1, "the string does not end");
    if (*at != '"')
        return kb_json_fail(json, at, "a control character in a string must be escaped");
    json->next = at + 1;
    return true;
}

bool kb_json_skip_string(struct kb_json *json)
{
    const uint8_t *start = json->next, *at;
    uint32_t point;

    if (!kb_json_mark(json, '"'))
        return kb_json_fail(json, start, "a string is expected");
    at = kb_json_plain_end(json->next, json->end);
    while (at < json->end && *at == '\\') {
        at = escape(json, at, &point);
        if (!at)
            return false;
        at = kb_json_plain_end(at, json->end);
    }
    if (at == json->end)
        return kb_json_fail(json, start, "the string does not end");
    if (*at != '"')
        return kb_json_fail(json, at, "a control character in a string must be escaped");
    json->next = at + 1;
    return true;
}

bool kb_json_word(struct kb_json *json, const char *word)
{
    size_t size = strlen(word);

    kb_json_skip(json);
    if ((size_t)(json->end - json->next) < size || memcmp(json->next, word, size) != 0)
        return false;
    json->next += size;
    return true;
}

bool kb_json_close(struct kb_json *json)
{
    kb_json_skip(json);
    if (json->next != json->end)
        kb_json_fail(json, json->next, "more follows behind the JSON object");
    return !json->problem;
}

bool kb_json_more(struct kb_json *json, size_t count, char close)
{
    if (kb_json_mark(json, close))
        return false;
    if (count == 0)
        return json->next < json->end || kb_json_fail(json, json->next, "the text ends too early");
    return kb_json_expect(json, ',', close == '}' ? "',' or '}' is expected"
                                                  : "',' or ']' is expected");
}
