/* SPDX-License-Identifier: Apache-2.0 */
#include "base/text.h"
#include "ddbec/ddbec.h"

#include <stdio.h>
#include <string.h>

static void put_member(struct kb_buffer *out, const char *name, bool *first)
{
    kb_buffer_put_text(out, *first ? "\"" : ",\"");
    kb_buffer_put_text(out, name);
    kb_buffer_put_text(out, "\":");
    *first = false;
}

static void put_number(struct kb_buffer *out, size_t number)
{
    char text[32];

    snprintf(text, sizeof text, "%zu", number);
    kb_buffer_put_text(out, text);
}

/* The wrapped key: algorithm, and the size its base64 stands for. */
static void put_wrapped_key(struct kb_buffer *out, const struct kb_pair *entries, size_t count,
                            bool *first)
{
    const struct kb_bytes *text = kb_entry_find(entries, count, KB_ENTRY_CONTENT_KEY);
    const struct kb_bytes *algorithm = kb_entry_find(entries, count, KB_ENTRY_WRAP_ALGORITHM);
    struct kb_buffer bytes = KB_BUFFER_INIT(64 * 1024);

    if (!text)
        return;
    put_member(out, "wrapped_key", first);
    kb_buffer_put_text(out, "{\"algorithm\":");
    if (algorithm)
        kb_json_put_text(out, *algorithm);
    else
        kb_buffer_put_text(out, "null");
    kb_buffer_put_text(out, ",\"bytes\":");
    if (kb_base64_parse_lenient(&bytes, *text))
        put_number(out, bytes.size);
    else
        kb_buffer_put_text(out, "null");
    kb_buffer_put_text(out, "}");
    kb_buffer_free(&bytes);
}

static void put_description(struct kb_buffer *out, struct kb_bytes bytes, struct kb_arena *arena,
                            bool *first)
{
    struct kb_pair *entries = NULL;
    struct kb_error ignored = {0};
    size_t count = 0;

    put_member(out, "description", first);
    if (kb_description_read(&entries, &count, bytes, arena, &ignored) != KB_OK) {
        kb_buffer_put_text(out, "null");
        put_member(out, "description_error", first);
        kb_json_put_text(out, kb_bytes_text(kb_error_text(&ignored)));
        return;
    }
    kb_buffer_put_text(out, "{");
    for (size_t i = 0; i < count; i++) {
        if (i)
            kb_buffer_put_text(out, ",");
        kb_json_put_text(out, entries[i].name);
        kb_buffer_put_text(out, ":");
        kb_json_put_text(out, entries[i].value);
    }
    kb_buffer_put_text(out, "}");
    put_wrapped_key(out, entries, count, first);
}

static bool is_named(struct kb_bytes name, const char *configured, const char *fallback)
{
    return kb_bytes_equal(name, kb_bytes_text(configured ? configured : fallback));
}

enum kb_status kb_ddbec_inspect(struct kb_buffer *out, struct kb_bytes item,
                                const char *description_attribute, const char *signature_attribute,
                                struct kb_error *err)
{
    struct kb_arena arena = KB_ARENA_INIT;
    struct kb_item parsed;
    enum kb_status status = kb_item_parse(&parsed, item, &arena, err);
    bool first = true, first_attribute = true;

    kb_buffer_put_text(out, "{");
    for (size_t i = 0; status == KB_OK && i < parsed.count; i++) {
        const struct kb_member *member = &parsed.members[i];

        if (member->value.type != KB_ATTR_B)
            continue;
        if (is_named(member->name, description_attribute, DDBEC_DESCRIPTION_ATTRIBUTE))
            put_description(out, member->value.bytes, &arena, &first);
        if (is_named(member->name, signature_attribute, DDBEC_SIGNATURE_ATTRIBUTE)) {
            put_member(out, "signature_bytes", &first);
            put_number(out, member->value.bytes.size);
        }
    }
    if (status == KB_OK) {
        put_member(out, "attributes", &first);
        kb_buffer_put_text(out, "{");
    }
    for (size_t i = 0; status == KB_OK && i < parsed.count; i++) {
        const struct kb_member *member = &parsed.members[i];
        const struct kb_attr *value = &member->value;

        if (is_named(member->name, description_attribute, DDBEC_DESCRIPTION_ATTRIBUTE) ||
            is_named(member->name, signature_attribute, DDBEC_SIGNATURE_ATTRIBUTE))
            continue;
        if (!first_attribute)
            kb_buffer_put_text(out, ",");
        first_attribute = false;
        kb_json_put_text(out, member->name);
        kb_buffer_put_text(out, ":{\"type\":\"");
        kb_buffer_put_text(out, kb_attr_type_format(value->type));
        kb_buffer_put_text(out, "\"");
        if (value->type == KB_ATTR_B) {
            kb_buffer_put_text(out, ",\"bytes\":");
            put_number(out, value->bytes.size);
            /* Actions are not stored; the size is all an outsider can go by. */
            if (value->bytes.size >= DDBEC_ENCRYPTED_LEAST &&
                value->bytes.size % KB_AES_BLOCK == 0)
                kb_buffer_put_text(out, ",\"looks_encrypted\":true");
        }
        kb_buffer_put_text(out, "}");
    }
    if (status == KB_OK) {
        kb_buffer_put_text(out, "}}");
        status = kb_buffer_check(out, err);
    }
    kb_arena_free(&arena);
    return status;
}

enum kb_status kb_item_to_plain_json(struct kb_buffer *out, struct kb_bytes item,
                                     struct kb_error *err)
{
    struct kb_arena arena = KB_ARENA_INIT;
    struct kb_item parsed;
    enum kb_status status = kb_item_parse(&parsed, item, &arena, err);

    if (status == KB_OK) {
        kb_item_format_plain(out, &parsed);
        status = kb_buffer_check(out, err);
    }
    kb_arena_free(&arena);
    return status;
}
