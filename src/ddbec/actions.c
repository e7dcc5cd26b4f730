/* SPDX-License-Identifier: Apache-2.0 */
#include "base/text.h"
#include "ddbec/ddbec.h"

#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

enum { ACTIONS_MAX = 4096 };

static bool find(const struct kb_actions *actions, struct kb_bytes name, size_t *at)
{
    size_t low = 0, high = actions->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = kb_bytes_compare(actions->entries[middle].name, name);

        if (order == 0) {
            *at = middle;
            return true;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *at = low;
    return false;
}

enum kb_action kb_actions_get(const struct kb_actions *actions, struct kb_bytes name)
{
    size_t at;

    return find(actions, name, &at) ? actions->entries[at].action : actions->fallback;
}

bool kb_actions_encrypt(const struct kb_actions *actions, const char *attribute)
{
    return !actions ||
           kb_actions_get(actions, kb_bytes_text(attribute)) == KB_ACTION_ENCRYPT_AND_SIGN;
}

bool kb_actions_has(const struct kb_actions *actions, struct kb_bytes name)
{
    size_t at;

    return find(actions, name, &at);
}

enum kb_status kb_actions_set(struct kb_actions *actions, struct kb_bytes name,
                              enum kb_action action, struct kb_error *err)
{
    size_t at;

    if (find(actions, name, &at)) {
        actions->entries[at].action = action;
        return KB_OK;
    }
    if (actions->count == actions->room) {
        size_t room = actions->room ? actions->room * 2 : 16;
        struct kb_action_entry *entries =
            realloc(actions->entries, room * sizeof *actions->entries);

        if (!entries)
            return kb_error_set(err, KB_ERR_MEMORY, "no memory");
        actions->entries = entries;
        actions->room = room;
    }
    name = kb_arena_copy(&actions->memory, name);
    if (!name.data)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    memmove(actions->entries + at + 1, actions->entries + at,
            (actions->count - at) * sizeof *actions->entries);
    actions->entries[at] = (struct kb_action_entry){name, action};
    actions->count++;
    return KB_OK;
}

bool kb_actions_take_none(const struct kb_actions *actions)
{
    bool none = actions->fallback == KB_ACTION_DO_NOTHING;

    for (size_t i = 0; i < actions->count; i++)
        none = none && actions->entries[i].action == KB_ACTION_DO_NOTHING;
    return none;
}

static bool parse_action(enum kb_action *out, const cJSON *value)
{
    static const char *const names[] = {"ENCRYPT_AND_SIGN", "SIGN_ONLY", "DO_NOTHING"};

    for (size_t i = 0; cJSON_IsString(value) && i < sizeof names / sizeof *names; i++) {
        if (strcmp(value->valuestring, names[i]) == 0) {
            *out = (enum kb_action)i;
            return true;
        }
    }
    return false;
}

static enum kb_status bad_action(struct kb_error *err, const char *where)
{
    kb_error_set(err, KB_ERR_USAGE, "actions: '%s' has no known action", where);
    kb_error_hint(err, "ENCRYPT_AND_SIGN, SIGN_ONLY or DO_NOTHING");
    return KB_ERR_USAGE;
}

static enum kb_status parse_attributes(struct kb_actions *actions, const cJSON *attributes,
                                       struct kb_error *err)
{
    enum kb_status status = KB_OK;
    const cJSON *entry;

    if (!cJSON_IsObject(attributes))
        return kb_error_set(err, KB_ERR_USAGE, "actions: \"attributes\" is not an object");
    cJSON_ArrayForEach(entry, attributes)
    {
        struct kb_bytes name = kb_bytes_text(entry->string);
        enum kb_action action;

        if (kb_actions_has(actions, name))
            return kb_error_set(err, KB_ERR_USAGE, "actions: '%s' is there twice", entry->string);
        if (!parse_action(&action, entry))
            return bad_action(err, entry->string);
        if (actions->count == ACTIONS_MAX)
            return kb_error_set(err, KB_ERR_USAGE, "actions: more than %d attributes", ACTIONS_MAX);
        status = kb_actions_set(actions, name, action, err);
        if (status != KB_OK)
            return status;
    }
    return status;
}

static enum kb_status parse_members(struct kb_actions *actions, const cJSON *root,
                                    struct kb_error *err)
{
    bool has_default = false, has_attributes = false;
    enum kb_status status = KB_OK;
    const cJSON *member;

    cJSON_ArrayForEach(member, root)
    {
        if (strcmp(member->string, "default") == 0 && !has_default) {
            has_default = true;
            if (!parse_action(&actions->fallback, member))
                status = bad_action(err, "default");
        } else if (strcmp(member->string, "attributes") == 0 && !has_attributes) {
            has_attributes = true;
            status = parse_attributes(actions, member, err);
        } else {
            status = kb_error_set(err, KB_ERR_USAGE,
                                  "actions: unknown or repeated member \"%s\"", member->string);
        }
        if (status != KB_OK)
            break;
    }
    return status;
}

enum kb_status kb_actions_parse(struct kb_actions **out, struct kb_bytes json, struct kb_error *err)
{
    struct kb_actions *actions = calloc(1, sizeof *actions);
    enum kb_status status = KB_OK;
    const char *end = NULL;
    cJSON *root = NULL;

    *out = NULL;
    if (!actions)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    actions->fallback = KB_ACTION_ENCRYPT_AND_SIGN;
    if (json.size) {
        root = cJSON_ParseWithLengthOpts((const char *)json.data, json.size, &end, 0);
        while (root && end < (const char *)json.data + json.size && strchr(" \t\r\n", *end) && *end)
            end++;
        if (!cJSON_IsObject(root) || end != (const char *)json.data + json.size ||
            !kb_utf8_valid(json))
            status = kb_error_set(err, KB_ERR_USAGE, "actions: not one JSON object");
        else
            status = parse_members(actions, root, err);
        cJSON_Delete(root);
    }
    if (status != KB_OK) {
        kb_actions_free(actions);
        return status;
    }
    *out = actions;
    return KB_OK;
}

void kb_actions_free(struct kb_actions *actions)
{
    if (!actions)
        return;
    free(actions->entries);
    kb_arena_free(&actions->memory);
    free(actions);
}
