/* SPDX-License-Identifier: Apache-2.0
 *
 * A message that is read, up to its body: the rules about its header and its
 * encryption context, then its data key, then the header's tag.
 */
#include "esdk/message.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"

/* --- what the caller asks for ------------------------------------------------- */

static enum kb_status copy_pairs(struct kb_esdk_message *message, const struct kb_pair **out,
                                 const struct kb_pair *pairs, size_t n, struct kb_error *err)
{
    struct kb_pair *copy = kb_arena_array(&message->memory, n + 1, sizeof *copy);

    *out = copy;
    if (!copy)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    for (size_t i = 0; i < n; i++) {
        copy[i].name = kb_arena_copy(&message->memory, pairs[i].name);
        if (pairs[i].value.data)
            copy[i].value = kb_arena_copy(&message->memory, pairs[i].value);
        if (!copy[i].name.data || (pairs[i].value.data && !copy[i].value.data))
            return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    }
    return esdk_context_sort(copy, n, KB_ERR_USAGE, err);
}

enum kb_status kb_esdk_decrypt(struct kb_esdk_message **out, struct kb_esdk *esdk,
                               const struct kb_esdk_decrypt_options *options, struct kb_error *err)
{
    const struct kb_esdk_decrypt_options given =
        options ? *options : (struct kb_esdk_decrypt_options){0};
    struct kb_esdk_message *message;
    enum kb_status status = esdk_message_new(&message, esdk, false, err);

    *out = NULL;
    if (status != KB_OK)
        return status;
    message->options = given;
    status = copy_pairs(message, &message->options.reproduced, given.reproduced,
                        given.reproduced_count, err);
    if (status == KB_OK)
        status = copy_pairs(message, &message->options.required, given.required,
                            given.required_count, err);
    for (size_t i = 0; status == KB_OK && i < given.reproduced_count; i++)
        status = esdk_pair_check(&given.reproduced[i], err);
    if (status != KB_OK) {
        kb_esdk_free(message);
        return status;
    }
    *out = message;
    return KB_OK;
}

/* --- what the header says -------------------------------------------------------- */

/* A message without, or with another value of, what the caller knows. */
static enum kb_status refuse_context(struct kb_bytes name, struct kb_error *err)
{
    enum kb_status status = esdk_refuse(err);

    kb_error_hint(err, "its context does not have the '%.*s' that was asked for", (int)name.size,
                  (const char *)name.data);
    return status;
}

/* The stored pairs, and behind them those of the caller that are not stored
 * (framework/required-encryption-context-cmm.md). */
static enum kb_status collect_pairs(struct kb_esdk_message *message, struct kb_pair *pairs,
                                    size_t *count, struct kb_error *err)
{
    const struct kb_esdk_info *info = &message->header->info;

    *count = info->context_count;
    for (size_t i = 0; i < info->context_count; i++)
        pairs[i] = info->context[i];
    for (size_t i = 0; i < message->options.reproduced_count; i++) {
        const struct kb_pair *pair = &message->options.reproduced[i];
        const struct kb_pair *stored =
            esdk_context_find(info->context, info->context_count, pair->name);

        if (!stored)
            pairs[(*count)++] = *pair;
        else if (!kb_bytes_equal(stored->value, pair->value))
            return refuse_context(pair->name, err);
    }
    return KB_OK;
}

static enum kb_status check_required(const struct kb_esdk_message *message,
                                     const struct kb_pair *pairs, size_t count,
                                     struct kb_error *err)
{
    for (size_t i = 0; i < message->options.required_count; i++) {
        const struct kb_pair *wanted = &message->options.required[i];
        const struct kb_pair *there = esdk_context_find(pairs, count, wanted->name);

        if (!there || (wanted->value.data && !kb_bytes_equal(there->value, wanted->value)))
            return refuse_context(wanted->name, err);
    }
    return KB_OK;
}

static enum kb_status check_context(struct kb_esdk_message *message, struct kb_error *err)
{
    const size_t stored = message->header->info.context_count;
    struct kb_pair *pairs =
        kb_arena_array(&message->memory, stored + message->options.reproduced_count + 1,
                       sizeof *pairs);
    enum kb_status status;
    size_t count;

    if (!pairs)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    status = collect_pairs(message, pairs, &count, err);
    if (status == KB_OK)
        status = esdk_context_write(&message->withheld, pairs + stored, count - stored, err);
    if (status != KB_OK)
        return status;
    status = esdk_context_sort(pairs, count, KB_ERR_INPUT, err);
    if (status == KB_OK)
        status = check_required(message, pairs, count, err);
    return status == KB_OK ? esdk_context_write(&message->context, pairs, count, err) : status;
}

enum kb_status esdk_header_check(struct kb_esdk_message *message, struct kb_error *err)
{
    const struct kb_esdk_info *info = &message->header->info;
    enum kb_status status =
        esdk_policy_read(message->esdk->options.policy, message->header->suite, err);

    if (status != KB_OK)
        return status;
    if (info->is_signed && message->options.unsigned_only)
        return kb_error_set(err, KB_ERR_DENIED,
                            "the message is signed: it is verified only at its end");
    return check_context(message, err);
}

/* --- the data key ------------------------------------------------------------------ */

/* Everything that was authenticated by the header, into the signature. */
static enum kb_status begin_signature(struct kb_esdk_message *message, struct kb_error *err)
{
    const struct kb_esdk_header *header = message->header;
    const struct kb_pair *pair;
    struct kb_buffer point = KB_BUFFER_INIT(2 * KB_POINT_MAX);
    enum kb_status status;

    if (!header->suite->is_signed)
        return KB_OK;
    pair = esdk_context_find(header->info.context, header->info.context_count,
                             kb_bytes_text(ESDK_PUBLIC_KEY_NAME));
    if (kb_base64_parse(&point, pair->value))
        status = kb_signature_check(&message->signature, header->suite->sign_hash,
                                    kb_buffer_view(&point), err);
    else
        status = kb_error_set(err, KB_ERR_INPUT, "the message's public key is not in base64");
    kb_buffer_free(&point);
    if (status == KB_OK)
        status = esdk_sign_over(message, header->body.data, header->body.size, err);
    if (status == KB_OK && header->suite->version == 1)
        status = esdk_sign_over(message, header->iv, sizeof header->iv, err);
    if (status == KB_OK)
        status = esdk_sign_over(message, header->tag, sizeof header->tag, err);
    return status;
}

/* The tag covers the header and the pairs that are not in it. */
static enum kb_status verify_header(struct kb_esdk_message *message, struct kb_error *err)
{
    struct kb_esdk_header *header = message->header;
    struct kb_buffer aad = KB_BUFFER_INIT(header->body.size + message->withheld.size);
    uint8_t nothing[1];
    struct kb_gcm_text text = {.iv = header->iv, .in = {nothing, 0}, .out = nothing,
                               .tag = header->tag};
    enum kb_status status;

    kb_buffer_put_bytes(&aad, header->body);
    kb_buffer_put_bytes(&aad, kb_buffer_view(&message->withheld));
    status = kb_buffer_check(&aad, err);
    text.aad = kb_buffer_view(&aad);
    if (status == KB_OK)
        status = esdk_verdict(kb_gcm_decrypt(message->gcm, &text, NULL), err);
    kb_buffer_free(&aad);
    return status;
}

/* The commitment is compared before the content key is used. */
static enum kb_status derive(struct kb_esdk_message *message, struct kb_bytes data_key,
                             struct kb_error *err)
{
    const struct kb_esdk_header *header = message->header;
    uint8_t content_key[32], commit_key[ESDK_COMMIT_KEY];
    enum kb_status status = esdk_derive(header->suite, data_key, header->info.message_id,
                                        content_key, commit_key, err);

    if (status == KB_OK && header->suite->committing &&
        !kb_secret_equal((struct kb_bytes){commit_key, sizeof commit_key},
                         (struct kb_bytes){header->commit_key, sizeof header->commit_key}))
        status = esdk_refuse(err);
    if (status == KB_OK)
        status = esdk_key_set(message,
                              (struct kb_bytes){content_key, header->suite->key_size}, err);
    kb_wipe(content_key, sizeof content_key);
    kb_wipe(commit_key, sizeof commit_key);
    return status;
}

/* kb_unwrap_job.fits: tried and put away, for the keyring may know a better one. */
static bool fits(void *ctx, struct kb_bytes data_key)
{
    struct kb_esdk_message *message = ctx;
    bool good = derive(message, data_key, NULL) == KB_OK && verify_header(message, NULL) == KB_OK;

    esdk_key_drop(message);
    return good;
}

/* The keyring has answered. */
static enum kb_status begin_body(struct kb_esdk_message *message, const struct kb_unwrap_job *job,
                                 struct kb_error *err)
{
    enum kb_status status;

    if (!job->opened)
        return esdk_refuse(err);
    status = derive(message, (struct kb_bytes){job->data_key, job->key_size}, err);
    if (status == KB_OK)
        status = verify_header(message, err);
    if (status == KB_OK)
        status = begin_signature(message, err);
    if (status == KB_OK)
        message->state = ESDK_BODY;
    return status;
}

static enum kb_status unlock_waiting(struct kb_esdk_message *const *messages, size_t n,
                                     enum kb_status *statuses, struct kb_unwrap_job *jobs,
                                     struct kb_error *err)
{
    struct kb_secret *keys;
    enum kb_status status = kb_secret_new(&keys, n * KB_TOKEN_DATA_KEY_MAX, err);
    size_t count = 0;

    if (status != KB_OK)
        return status;
    for (size_t i = 0; i < n; i++)
        if (statuses[i] == KB_OK) {
            const struct kb_esdk_header *header = messages[i]->header;

            jobs[count] = (struct kb_unwrap_job){
                .edks = header->info.edks,
                .edk_count = header->info.edk_count,
                .context = kb_buffer_view(&messages[i]->context),
                .key_size = header->suite->key_size,
                .data_key = kb_secret_data(keys) + count * KB_TOKEN_DATA_KEY_MAX,
                .fits = fits,
                .ctx = messages[i],
            };
            count++;
        }
    if (count)
        status = kb_keyring_unwrap(messages[0]->esdk->keyring, jobs, count, err);
    for (size_t i = 0, j = 0; status == KB_OK && i < n; i++) {
        struct kb_error error = {.status = KB_OK};

        if (statuses[i] != KB_OK)
            continue;
        /* One that is there twice was opened, or refused, the first time. */
        statuses[i] = kb_esdk_paused(messages[i]) ? begin_body(messages[i], &jobs[j], &error)
                                                  : messages[i]->status;
        if (error.status != KB_OK)
            esdk_latch(messages[i], &error, NULL);
        j++;
    }
    kb_secret_free(keys);
    return status;
}

enum kb_status kb_esdk_unlock(struct kb_esdk_message *const *messages, size_t n,
                              enum kb_status *statuses, struct kb_error *err)
{
    struct kb_unwrap_job *jobs;
    enum kb_status status;
    size_t i;

    for (i = 0; i < n; i++) {
        if (messages[i]->esdk != messages[0]->esdk ||
            (messages[i]->status == KB_OK && !kb_esdk_paused(messages[i])))
            return kb_error_set(err, KB_ERR_USAGE, "these messages do not wait for one keyring");
        statuses[i] = messages[i]->status;
    }
    if (!n)
        return KB_OK;
    jobs = calloc(n, sizeof *jobs);
    if (!jobs)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    status = unlock_waiting(messages, n, statuses, jobs, err);
    free(jobs);
    for (i = 0; i < n && statuses[i] == KB_OK; i++)
        ;
    if (status == KB_OK && i < n && err && err->status == KB_OK)
        *err = messages[i]->error;
    return status;
}

/* --- a part of a message ------------------------------------------------------------- */

enum kb_status kb_esdk_seek(struct kb_esdk_message *message, uint64_t first, uint64_t last,
                            uint64_t *offset, struct kb_error *err)
{
    const uint64_t length = message->frame_length;
    const uint64_t frames = length ? first / length : 0;

    if (message->status != KB_OK)
        return esdk_latch(message, &message->error, err);
    if (message->writing || message->state != ESDK_BODY || message->ranged ||
        message->sequence != 1 || message->held.size)
        return kb_error_set(err, KB_ERR_USAGE, "a range is set when a message was unlocked");
    if (last < first)
        return kb_error_set(err, KB_ERR_USAGE, "the range ends before it begins");
    if (frames >= ESDK_SEQUENCE_MAX ||
        __builtin_mul_overflow(frames, length + ESDK_FRAME_OVERHEAD, offset) ||
        __builtin_add_overflow(*offset, message->header->info.header_size, offset))
        return kb_error_set(err, KB_ERR_NOT_FOUND, "no message is so long");
    message->ranged = true;
    message->first = first;
    message->last = last;
    message->sequence = frames + 1;
    kb_signature_stream_free(message->signature);
    message->signature = NULL;
    message->flow_in = (struct kb_bytes){NULL, 0}; /* it goes on elsewhere */
    message->flow_last = false;
    return KB_OK;
}
