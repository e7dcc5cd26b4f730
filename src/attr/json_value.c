/* SPDX-License-Identifier: Apache-2.0
 *
 * Values of any kind, passed over or looked up as text: answers of services.
 */
#include "attr/json.h"

#include <string.h>

static bool skip_digits(struct kb_json *json)
{
    const uint8_t *start = json->next;

    while (json->next < json->end && *json->next >= '0' && *json->next <= '9')
        json->next++;
    return json->next > start || kb_json_fail(json, start, "a digit is expected");
}

static bool take(struct kb_json *json, char a, char b)
{
    if (json->next == json->end || (*json->next != (uint8_t)a && *json->next != (uint8_t)b))
        return false;
    json->next++;
    return true;
}

static bool skip_number(struct kb_json *json)
{
    take(json, '-', '-');
    if (!take(json, '0', '0') && !skip_digits(json))
        return false;
    if (take(json, '.', '.') && !skip_digits(json))
        return false;
    if (!take(json, 'e', 'E'))
        return true;
    take(json, '+', '-');
    return skip_digits(json);
}

/* A value that holds no others. */
static bool skip_scalar(struct kb_json *json)
{
    if (json->next == json->end)
        return kb_json_fail(json, json->next, "the text ends too early");
    if (*json->next == '"')
        return kb_json_skip_string(json);
    if (*json->next == '-' || (*json->next >= '0' && *json->next <= '9'))
        return skip_number(json);
    return kb_json_word(json, "true") || kb_json_word(json, "false") ||
           kb_json_word(json, "null") || kb_json_fail(json, json->next, "a value is expected");
}

/* Behind a value inside arrays and objects: closes what ends here. */
static bool close_ended(struct kb_json *json, const char *closers, size_t *depth)
{
    while (*depth && kb_json_mark(json, closers[*depth - 1]))
        --*depth;
    return *depth == 0 || kb_json_expect(json, ',', "',' or the end is expected");
}

static bool skip_name(struct kb_json *json)
{
    kb_json_skip(json);
    return kb_json_skip_string(json) && kb_json_expect(json, ':', "':' is expected");
}

bool kb_json_value(struct kb_json *json, struct kb_bytes *out)
{
    char closers[KB_JSON_DEPTH_MAX];
    const uint8_t *start;
    size_t depth = 0;

    *out = (struct kb_bytes){NULL, 0};
    kb_json_skip(json);
    start = json->next;
    do {
        kb_json_skip(json);
        if (json->next < json->end && (*json->next == '{' || *json->next == '[')) {
            if (depth == KB_JSON_DEPTH_MAX)
                return kb_json_fail(json, json->next, "values too deep inside one another");
            closers[depth++] = *json->next++ == '{' ? '}' : ']';
            if (!kb_json_mark(json, closers[depth - 1])) {
                if (closers[depth - 1] == '}' && !skip_name(json))
                    return false;
                continue;
            }
            depth--;
        } else if (!skip_scalar(json)) {
            return false;
        }
        if (!close_ended(json, closers, &depth))
            return false;
        if (depth && closers[depth - 1] == '}' && !skip_name(json))
            return false;
    } while (depth);
    *out = (struct kb_bytes){start, (size_t)(json->next - start)};
    return true;
}

bool kb_json_next(struct kb_json *json, size_t count, struct kb_bytes *name)
{
    if (!kb_json_more(json, count, '}'))
        return false;
    kb_json_skip(json);
    return kb_json_string(json, name) && kb_json_expect(json, ':', "':' is expected");
}

struct kb_bytes kb_json_find(struct kb_bytes object, const char *name, struct kb_arena *arena)
{
    struct kb_bytes found = {NULL, 0}, member, value;
    struct kb_json json;

    kb_json_open(&json, object, arena);
    if (!kb_json_mark(&json, '{'))
        return found;
    for (size_t count = 0; kb_json_next(&json, count, &member); count++)
        if (kb_json_value(&json, &value) && kb_bytes_equal(member, kb_bytes_text(name)))
            found = value;
    return json.problem ? (struct kb_bytes){NULL, 0} : found;
}

bool kb_json_copy(char *out, size_t room, struct kb_bytes value, struct kb_arena *arena)
{
    struct kb_bytes text;
    struct kb_json json;

    out[0] = 0;
    kb_json_open(&json, value, arena);
    if (!kb_json_string(&json, &text) || !kb_json_close(&json) || text.size >= room ||
        (text.size && memchr(text.data, 0, text.size)))
        return false;
    if (text.size)
        memcpy(out, text.data, text.size);
    out[text.size] = 0;
    return true;
}
