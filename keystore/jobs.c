/* SPDX-License-Identifier: Apache-2.0
 *
 * The client's side of AES-GCM and random bytes. Encryptions are counted, by
 * the key's version, before they are asked for.
 */
#include "keystore/pool.h"

#include <string.h>

/* How long the version of a key is believed; a helper looks no sooner either. */
enum { RECHECK_MS = 1000 };

/* --- counting ------------------------------------------------------------------------ */

static bool is_known(const struct kb_token *token, const char *key)
{
    const struct kb_counted_key *counted = &token->counted;

    return counted->name[0] && strcmp(counted->name, key) == 0 &&
           counted->epoch == token->epoch && kb_clock_ms() < counted->until;
}

/* Looks the key up, unless that was done just now. A key of another use has no
 * name to be counted under: the helper refuses it. */
static enum kb_status look_up(struct kb_token *token, const char *key, struct kb_error *err)
{
    struct kb_counted_key *counted = &token->counted;
    struct kb_key_info info;
    enum kb_status status;

    if (is_known(token, key))
        return KB_OK;
    *counted = (struct kb_counted_key){.name = ""};
    status = kb_key_find(token, key, &info, err);
    if (status != KB_OK || info.use != KB_KEY_ENVELOPE)
        return status;
    kb_key_count_name(counted->under, &info);
    if (strlen(key) < sizeof counted->name)
        memcpy(counted->name, key, strlen(key) + 1);
    counted->epoch = token->epoch;
    counted->until = kb_clock_ms() + RECHECK_MS;
    return KB_OK;
}

enum kb_status kb_token_count(struct kb_token *token, const char *key, size_t n,
                              struct kb_error *err)
{
    struct kb_keystore *keystore = token->keystore;
    enum kb_status status = look_up(token, key, err);

    if (status != KB_OK || !token->counted.under[0])
        return status;
    return kb_counts_add(keystore->counts, keystore->info.serial, token->counted.under, n, err);
}

/* --- AES-GCM -------------------------------------------------------------------------- */

static enum kb_status check_jobs(bool encrypt, const struct kb_gcm_job *jobs, size_t n,
                                 struct kb_error *err)
{
    size_t tag = KB_GCM_TAG_SIZE;

    for (size_t i = 0; i < n; i++) {
        size_t size = jobs[i].in.size;
        size_t text = encrypt ? size : size < tag ? 0 : size - tag;

        if (text > KB_TOKEN_GCM_MAX)
            return kb_error_set(err, KB_ERR_USAGE,
                                "a text of %zu bytes is too long for AES-GCM in the token; %d are "
                                "allowed",
                                text, KB_TOKEN_GCM_MAX);
        if (jobs[i].aad.size > KB_TOKEN_AAD_MAX)
            return kb_error_set(err, KB_ERR_USAGE,
                                "%zu bytes are too many to authenticate; %d are allowed",
                                jobs[i].aad.size, KB_TOKEN_AAD_MAX);
        if (jobs[i].room < (encrypt ? size + tag : text))
            return kb_error_set(err, KB_ERR_USAGE, "no room for what AES-GCM makes of %zu bytes",
                                size);
    }
    return KB_OK;
}

static bool get_job(struct kb_reader *payload, bool encrypt, struct kb_gcm_job *job)
{
    struct kb_bytes iv = {NULL, 0}, out;
    size_t tag = KB_GCM_TAG_SIZE;

    job->size = 0;
    if (!kb_item_status_get(payload, &job->status) || job->status != KB_OK)
        return !payload->failed && !encrypt;
    if (encrypt)
        iv = kb_reader_take(payload, sizeof job->iv);
    out = kb_reader_lv(payload);
    if (payload->failed ||
        (encrypt ? out.size != job->in.size + tag : out.size + tag != job->in.size))
        return false;
    if (iv.data)
        memcpy(job->iv, iv.data, sizeof job->iv);
    if (out.size)
        memcpy(job->out, out.data, out.size);
    job->size = out.size;
    return true;
}

static enum kb_status gcm_some(struct kb_token *token, struct kb_request *request,
                               struct kb_gcm_job *jobs, struct kb_error *err)
{
    struct kb_reader payload;
    enum kb_status status;

    for (uint32_t i = 0; i < request->count; i++) {
        struct kb_request_item *item = &request->items[i];

        *item = (struct kb_request_item){.aad = jobs[i].aad, .bytes = jobs[i].in};
        if (!request->encrypt)
            memcpy(item->iv, jobs[i].iv, sizeof jobs[i].iv);
    }
    status = kb_token_call(token, request, request->encrypt ? KB_COUNTED : KB_REPEAT, &payload,
                           err);
    if (status != KB_OK)
        return status;
    for (uint32_t i = 0; i < request->count; i++)
        if (!get_job(&payload, request->encrypt, &jobs[i]))
            return kb_token_nonsense(token, err);
    if (!kb_reader_done(&payload))
        return kb_token_nonsense(token, err);
    kb_buffer_reset(&token->in);
    return KB_OK;
}

enum kb_status kb_token_gcm(struct kb_token *token, bool encrypt, const char *key,
                            struct kb_gcm_job *jobs, size_t n, struct kb_error *err)
{
    struct kb_request request;
    enum kb_status status = check_jobs(encrypt, jobs, n, err);
    size_t done = 0;

    if (status == KB_OK && encrypt && n > 0)
        status = kb_token_count(token, key, n, err);
    kb_request_init(&request, KB_VERB_GCM);
    request.name = key;
    request.encrypt = encrypt;
    while (status == KB_OK && done < n) {
        size_t left = n - done;

        request.count = (uint32_t)(left < KB_TOKEN_BATCH_MAX ? left : KB_TOKEN_BATCH_MAX);
        status = gcm_some(token, &request, jobs + done, err);
        done += request.count;
    }
    return status;
}

/* --- random bytes ----------------------------------------------------------------------- */

enum kb_status kb_token_random(struct kb_token *token, struct kb_secret *out, struct kb_error *err)
{
    size_t size = kb_secret_view(out).size;
    struct kb_request request;
    struct kb_reader payload;
    struct kb_bytes random;
    enum kb_status status;

    if (size > KB_RANDOM_MAX)
        return kb_error_set(err, KB_ERR_USAGE, "%zu random bytes are too many; %d are allowed",
                            size, KB_RANDOM_MAX);
    kb_request_init(&request, KB_VERB_RANDOM);
    request.count = (uint32_t)size;
    status = kb_token_call(token, &request, KB_REPEAT, &payload, err);
    if (status != KB_OK)
        return status;
    random = kb_reader_lv(&payload);
    if (random.size != size || !kb_reader_done(&payload))
        return kb_token_nonsense(token, err);
    memcpy(kb_secret_data(out), random.data, size);
    kb_buffer_reset(&token->in);
    return KB_OK;
}
