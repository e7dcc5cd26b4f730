/* SPDX-License-Identifier: Apache-2.0
 *
 * Sets of keys: checked, copied into locked memory, read from JSON.
 */
#include "aws/credentials_source.h"

#include <string.h>
#include <strings.h>
#include <time.h>

#include "attr/json.h"

enum { ID_MAX = 128, KEY_MAX = 1024, TOKEN_MAX = 32 * 1024, DEPTH_MAX = 16 };

/* They go into headers, where blanks, controls and the header's own marks
 * would make something else of them. */
static bool is_printable(struct kb_bytes text, const char *without)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] <= 0x20 || text.data[i] >= 0x7f || strchr(without, text.data[i]))
            return false;
    return true;
}

enum kb_status kb_key_set_fill(struct kb_key_set *set, const struct kb_sigv4_keys *keys,
                               const char *source, struct kb_error *err)
{
    struct kb_bytes id = keys->access_key_id, key = keys->secret_key, token = keys->session_token;
    enum kb_status status;
    uint8_t *to;

    if (id.size == 0 || id.size > ID_MAX || !is_printable(id, "/,=;"))
        return kb_error_set(err, KB_ERR_DENIED, "the access key id from %s is not valid", source);
    if (key.size == 0 || key.size > KEY_MAX || !is_printable(key, ""))
        return kb_error_set(err, KB_ERR_DENIED, "the secret access key from %s is not valid",
                            source);
    if (token.size > TOKEN_MAX || !is_printable(token, ""))
        return kb_error_set(err, KB_ERR_DENIED, "the session token from %s is not valid", source);
    status = kb_secret_new(&set->text, id.size + key.size + token.size, err);
    if (status != KB_OK)
        return status;
    to = kb_secret_data(set->text);
    memcpy(to, id.data, id.size);
    memcpy(to + id.size, key.data, key.size);
    if (token.size)
        memcpy(to + id.size + key.size, token.data, token.size);
    set->id_size = id.size;
    set->key_size = key.size;
    set->token_size = token.size;
    set->expires = 0;
    return KB_OK;
}

void kb_key_set_free(struct kb_key_set *set)
{
    kb_secret_free(set->text);
    *set = (struct kb_key_set){.text = NULL};
}

struct kb_sigv4_keys kb_key_set_view(const struct kb_key_set *set, struct kb_bytes text)
{
    return (struct kb_sigv4_keys){
        .access_key_id = {text.data, set->id_size},
        .secret_key = {text.data + set->id_size, set->key_size},
        .session_token = {text.data + set->id_size + set->key_size, set->token_size},
    };
}

/* --- time ------------------------------------------------------------------------- */

/* The number that the n digits at `at` make, or -1. */
static int digits(struct kb_bytes text, size_t at, size_t n)
{
    int value = 0;

    if (at + n > text.size)
        return -1;
    for (size_t i = at; i < at + n; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return -1;
        value = value * 10 + (text.data[i] - '0');
    }
    return value;
}

static bool is_at(struct kb_bytes text, size_t at, const char *one_of)
{
    return at < text.size && text.data[at] && strchr(one_of, text.data[at]);
}

/* "Z", "+02:00" or "+0200" from `at` on, to the end. */
static bool parse_offset(int64_t *seconds, struct kb_bytes text, size_t at)
{
    int hours, minutes;

    *seconds = 0;
    if (is_at(text, at, "Zz"))
        return at + 1 == text.size;
    if (!is_at(text, at, "+-"))
        return false;
    hours = digits(text, at + 1, 2);
    minutes = digits(text, at + (is_at(text, at + 3, ":") ? 4 : 3), 2);
    if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59 ||
        text.size != at + (is_at(text, at + 3, ":") ? 6 : 5))
        return false;
    *seconds = (text.data[at] == '-' ? -60 : 60) * (int64_t)(hours * 60 + minutes);
    return true;
}

bool kb_time_parse(int64_t *out, struct kb_bytes text)
{
    struct tm parts = {
        .tm_year = digits(text, 0, 4) - 1900,
        .tm_mon = digits(text, 5, 2) - 1,
        .tm_mday = digits(text, 8, 2),
        .tm_hour = digits(text, 11, 2),
        .tm_min = digits(text, 14, 2),
        .tm_sec = digits(text, 17, 2),
    };
    size_t at = 19;
    int64_t offset;

    if (parts.tm_year < 70 || parts.tm_mon < 0 || parts.tm_mon > 11 || parts.tm_mday < 1 ||
        parts.tm_mday > 31 || parts.tm_hour < 0 || parts.tm_hour > 23 || parts.tm_min < 0 ||
        parts.tm_min > 59 || parts.tm_sec < 0 || parts.tm_sec > 60)
        return false;
    if (!is_at(text, 4, "-") || !is_at(text, 7, "-") || !is_at(text, 10, "Tt ") ||
        !is_at(text, 13, ":") || !is_at(text, 16, ":"))
        return false;
    if (is_at(text, at, ".")) {
        size_t start = ++at;

        while (is_at(text, at, "0123456789"))
            at++;
        if (at == start)
            return false;
    }
    if (!parse_offset(&offset, text, at))
        return false;
    *out = (int64_t)timegm(&parts) - offset;
    return true;
}

/* --- JSON ------------------------------------------------------------------------- */

/* What the object has; views. */
struct answer {
    struct kb_sigv4_keys keys;
    struct kb_bytes token, session_token, expiration, code;
    bool version_is_1;
};

static bool skip_scalar(struct kb_json *json)
{
    struct kb_bytes text;

    if (json->next < json->end && *json->next == '"')
        return kb_json_string(json, &text);
    if (kb_json_word(json, "true") || kb_json_word(json, "false") || kb_json_word(json, "null"))
        return true;
    const uint8_t *start = json->next;

    while (json->next < json->end && *json->next && strchr("+-.eE0123456789", *json->next))
        json->next++;
    return json->next > start || kb_json_fail(json, start, "a value is expected");
}

/* NOLINTNEXTLINE(misc-no-recursion): bounded by DEPTH_MAX */
static bool skip_value(struct kb_json *json, unsigned depth)
{
    bool object = kb_json_mark(json, '{');
    struct kb_bytes name;

    if (!object && !kb_json_mark(json, '['))
        return skip_scalar(json);
    if (depth == DEPTH_MAX)
        return kb_json_fail(json, json->next, "too deep");
    for (size_t n = 0; kb_json_more(json, n, object ? '}' : ']'); n++) {
        if (object && (!kb_json_string(json, &name) ||
                       !kb_json_expect(json, ':', "':' is expected behind a name")))
            return false;
        if (!skip_value(json, depth + 1))
            return false;
    }
    return !json->problem;
}

static bool read_member(struct kb_json *json, struct answer *out)
{
    struct {
        const char *name;
        struct kb_bytes *value;
    } const members[] = {
        {"AccessKeyId", &out->keys.access_key_id},
        {"SecretAccessKey", &out->keys.secret_key},
        {"SessionToken", &out->session_token},
        {"Token", &out->token},
        {"Expiration", &out->expiration},
        {"Code", &out->code},
    };
    struct kb_bytes name;

    if (!kb_json_string(json, &name) ||
        !kb_json_expect(json, ':', "':' is expected behind a name"))
        return false;
    kb_json_skip(json);
    if (kb_bytes_equal(name, kb_bytes_text("Version"))) {
        const uint8_t *start = json->next;

        if (!skip_value(json, 1))
            return false;
        out->version_is_1 = json->next - start == 1 && *start == '1';
        return true;
    }
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        if (!kb_bytes_equal(name, kb_bytes_text(members[i].name)))
            continue;
        if (members[i].value->data)
            return kb_json_fail(json, json->next, "a name is there twice");
        return kb_json_word(json, "null") || kb_json_string(json, members[i].value);
    }
    return skip_value(json, 1);
}

static bool read_answer(struct kb_json *json, struct answer *out)
{
    if (!kb_json_expect(json, '{', "an object is expected"))
        return false;
    for (size_t n = 0; kb_json_more(json, n, '}'); n++)
        if (!read_member(json, out))
            return false;
    return kb_json_close(json);
}

static enum kb_status take_answer(struct kb_key_set *set, struct answer *answer,
                                  enum kb_credentials_form form, const char *source,
                                  struct kb_error *err)
{
    int64_t expires = 0;
    enum kb_status status;

    if (form == KB_FORM_PROCESS && !answer->version_is_1)
        return kb_error_set(err, KB_ERR_DENIED, "the answer of %s has no \"Version\": 1", source);
    if (form == KB_FORM_METADATA && answer->code.size &&
        !kb_bytes_equal(answer->code, kb_bytes_text("Success")))
        return kb_error_set(err, KB_ERR_DENIED, "%s gives no credentials: %.*s", source,
                            (int)(answer->code.size < 80 ? answer->code.size : 80),
                            (const char *)answer->code.data);
    if (!answer->keys.access_key_id.data || !answer->keys.secret_key.data)
        return kb_error_set(err, KB_ERR_DENIED,
                            "the answer of %s has no AccessKeyId or no SecretAccessKey", source);
    answer->keys.session_token =
        form == KB_FORM_PROCESS ? answer->session_token : answer->token;
    if (answer->expiration.size && !kb_time_parse(&expires, answer->expiration))
        return kb_error_set(err, KB_ERR_DENIED, "the Expiration that %s gives is not a time",
                            source);
    status = kb_key_set_fill(set, &answer->keys, source, err);
    set->expires = expires;
    return status;
}

enum kb_status kb_key_set_parse(struct kb_key_set *set, struct kb_bytes json,
                                enum kb_credentials_form form, const char *source,
                                struct kb_error *err)
{
    struct kb_arena arena = KB_ARENA_INIT;
    struct answer answer = {.version_is_1 = false};
    struct kb_json cursor;
    enum kb_status status;

    kb_json_open(&cursor, json, &arena);
    /* The text itself is not shown: it may have keys in it. */
    if (!read_answer(&cursor, &answer))
        status = kb_error_set(err, cursor.no_memory ? KB_ERR_MEMORY : KB_ERR_DENIED,
                              "the answer of %s is not JSON with credentials: %s at byte %zu",
                              source, cursor.problem, cursor.offset);
    else
        status = take_answer(set, &answer, form, source, err);
    kb_arena_wipe(&arena);
    kb_arena_free(&arena);
    return status;
}
