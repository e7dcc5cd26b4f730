/* SPDX-License-Identifier: Apache-2.0
 *
 * A strict cursor over one JSON text (RFC 8259). The first problem latches and
 * ends the text, so that every later call fails; the caller asks once.
 */
#ifndef KB_ATTR_JSON_H
#define KB_ATTR_JSON_H

#include "base/arena.h"

#include <keybridge/bytes.h>

struct kb_json {
    const uint8_t *start;
    const uint8_t *next;
    const uint8_t *end;
    struct kb_arena *arena;
    const char *problem;    /* static text; NULL while all is well */
    struct kb_bytes name;   /* what the problem is about, or empty */
    size_t offset;          /* byte of the text where the problem is */
    bool no_memory;         /* the problem is that the arena gave nothing */
};

/* Begins `text`, which must be UTF-8; strings with escapes go to the arena. */
void kb_json_open(struct kb_json *json, struct kb_bytes text, struct kb_arena *arena);

/* Latches `problem` at `where`; false, for the caller to return. */
bool kb_json_fail(struct kb_json *json, const uint8_t *where, const char *problem);
bool kb_json_fail_memory(struct kb_json *json);

/* A string, which must be next; a view of the text when it has no escapes. */
bool kb_json_string(struct kb_json *json, struct kb_bytes *out);

/* Passes over a string, which must be next. */
bool kb_json_skip_string(struct kb_json *json);

/* `word` if it is next ("true"); false without a problem when it is not. */
bool kb_json_word(struct kb_json *json, const char *word);

enum { KB_JSON_DEPTH_MAX = 96 }; /* an item's 32 levels are 65 of JSON */

/* Any value, which must be next; *out is its text as it stands. */
bool kb_json_value(struct kb_json *json, struct kb_bytes *out);

/* As kb_json_more, and reads the name of an object's next member up to its
 * value. */
bool kb_json_next(struct kb_json *json, size_t count, struct kb_bytes *name);

/* The value of member `name` of `object`, which kb_json_value gave; empty when
 * it is no object, or has none such. */
struct kb_bytes kb_json_find(struct kb_bytes object, const char *name, struct kb_arena *arena);

/* Puts the string `value` is into `out` with a terminator; false when it is no
 * string, does not fit or holds U+0000. */
bool kb_json_copy(char *out, size_t room, struct kb_bytes value, struct kb_arena *arena);

/* The first byte from `at` that cannot stand in a string as itself (a quote, a
 * backslash, a control character), or `end`. */
const uint8_t *kb_json_plain_end(const uint8_t *at, const uint8_t *end);

/* Latches a problem unless only white space is left. */
bool kb_json_close(struct kb_json *json);

static inline void kb_json_skip(struct kb_json *json)
{
    while (json->next < json->end && (*json->next == ' ' || *json->next == '\n' ||
                                      *json->next == '\r' || *json->next == '\t'))
        json->next++;
}

/* The mark `mark` if it is next after white space; false without a problem. */
static inline bool kb_json_mark(struct kb_json *json, char mark)
{
    kb_json_skip(json);
    if (json->next == json->end || *json->next != (uint8_t)mark)
        return false;
    json->next++;
    return true;
}

/* As kb_json_mark, but its absence is `problem`. */
static inline bool kb_json_expect(struct kb_json *json, char mark, const char *problem)
{
    return kb_json_mark(json, mark) || kb_json_fail(json, json->next, problem);
}

/* Inside an array or object behind its opening mark, `count` things having
 * been read: true when another one follows, false at the closing mark `close`
 * (which is taken) or after a problem. */
bool kb_json_more(struct kb_json *json, size_t count, char close);

#endif
