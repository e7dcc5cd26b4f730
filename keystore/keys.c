/* SPDX-License-Identifier: Apache-2.0
 *
 * The client's side of key management: one request each.
 */
#include "keystore/pool.h"

#include <stdio.h>
#include <string.h>

/* A request about one key by name, or about none. */
static enum kb_status ask(struct kb_token *token, enum kb_verb verb, const char *name,
                          enum kb_repeat repeat, struct kb_reader *payload, struct kb_error *err)
{
    struct kb_request request;

    kb_request_init(&request, verb);
    request.name = name;
    return kb_token_call(token, &request, repeat, payload, err);
}

static enum kb_status get_trials(struct kb_token *token, struct kb_reader *payload,
                                 struct kb_token_trial *trials, size_t room, size_t *count,
                                 struct kb_error *err)
{
    uint32_t there = kb_reader_count(payload, KB_LIST_MAX, 1);
    struct kb_token_trial trial;

    for (uint32_t i = 0; i < there && kb_trial_get(payload, &trial); i++)
        if (*count < room)
            trials[(*count)++] = trial;
    return kb_reader_done(payload) ? KB_OK : kb_token_nonsense(token, err);
}

enum kb_status kb_token_probe(struct kb_token *token, struct kb_token_trial *trials, size_t room,
                              size_t *count, struct kb_error *err)
{
    struct kb_reader payload;
    enum kb_status status = ask(token, KB_VERB_PROBE, NULL, KB_REPEAT, &payload, err);

    *count = 0;
    return status == KB_OK ? get_trials(token, &payload, trials, room, count, err) : status;
}

enum kb_status kb_key_try_extract(struct kb_token *token, const char *name,
                                  struct kb_token_trial *trials, size_t room, size_t *count,
                                  struct kb_error *err)
{
    struct kb_reader payload;
    enum kb_status status = ask(token, KB_VERB_TRY_EXTRACT, name, KB_REPEAT, &payload, err);

    *count = 0;
    return status == KB_OK ? get_trials(token, &payload, trials, room, count, err) : status;
}

enum kb_status kb_key_create(struct kb_token *token, const struct kb_key_spec *spec,
                             struct kb_error *err)
{
    struct kb_request request;
    struct kb_reader payload;

    kb_request_init(&request, KB_VERB_CREATE);
    request.spec = *spec;
    return kb_token_call(token, &request, KB_CHANGES, &payload, err);
}

enum kb_status kb_key_destroy(struct kb_token *token, const char *name, struct kb_error *err)
{
    struct kb_reader payload;

    return ask(token, KB_VERB_DESTROY, name, KB_CHANGES, &payload, err);
}

void kb_key_count_name(char out[KB_COUNT_NAME_ROOM], const struct kb_key_info *info)
{
    if (info->origin != KB_KEY_ADOPTED)
        snprintf(out, KB_COUNT_NAME_ROOM, "%s", info->version);
    else if (info->id[0])
        snprintf(out, KB_COUNT_NAME_ROOM, "id:%s", info->id);
    else
        snprintf(out, KB_COUNT_NAME_ROOM, "name:%s", info->name);
}

/* Sets info->encryptions. */
static void fill_count(struct kb_token *token, struct kb_key_info *info)
{
    struct kb_keystore *keystore = token->keystore;
    char name[KB_COUNT_NAME_ROOM];

    info->encryptions = 0;
    if (info->use != KB_KEY_ENVELOPE)
        return;
    kb_key_count_name(name, info);
    if (kb_counts_get(keystore->counts, &info->encryptions, keystore->info.serial, name, NULL) !=
        KB_OK)
        info->encryptions = KB_GCM_ENCRYPTIONS_UNKNOWN;
}

enum kb_status kb_key_find(struct kb_token *token, const char *name, struct kb_key_info *out,
                           struct kb_error *err)
{
    struct kb_reader payload;
    enum kb_status status = ask(token, KB_VERB_FIND, name, KB_REPEAT, &payload, err);

    if (status == KB_OK && (!kb_key_info_get(&payload, out) || !kb_reader_done(&payload)))
        status = kb_token_nonsense(token, err);
    if (status == KB_OK)
        fill_count(token, out);
    return status;
}

enum kb_status kb_key_list(struct kb_token *token,
                           void (*each)(void *ctx, const struct kb_key_info *info), void *ctx,
                           struct kb_error *err)
{
    struct kb_reader payload;
    struct kb_key_info info;
    enum kb_status status = ask(token, KB_VERB_LIST, NULL, KB_REPEAT, &payload, err);

    if (status != KB_OK)
        return status;
    while (payload.left > 0 && kb_key_info_get(&payload, &info)) {
        fill_count(token, &info);
        each(ctx, &info);
    }
    return kb_reader_done(&payload) ? KB_OK : kb_token_nonsense(token, err);
}
