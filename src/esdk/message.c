/* SPDX-License-Identifier: Apache-2.0
 *
 * A message from its beginning to its end, and what it holds back.
 */
#include "esdk/message.h"

#include <stdlib.h>

enum kb_status esdk_key_set(struct kb_esdk_message *message, struct kb_bytes key,
                            struct kb_error *err)
{
    /* Where no more memory can be locked, one thread does it. */
    if (message->esdk->options.workers > 1 && kb_secret_copy(&message->key, key, NULL) != KB_OK)
        message->key = NULL;
    return kb_gcm_new(&message->gcm, key, err);
}

void esdk_key_drop(struct kb_esdk_message *message)
{
    kb_gcm_free(message->gcm);
    kb_secret_free(message->key);
    message->gcm = NULL;
    message->key = NULL;
}

void esdk_retire(struct kb_esdk_message *message)
{
    esdk_workers_free(message->workers);
    message->workers = NULL;
    esdk_key_drop(message);
    kb_signature_stream_free(message->signature);
    message->signature = NULL;
    if (message->drain_at == message->drain_end)
        kb_buffer_free(&message->held);
}

enum kb_status esdk_latch(struct kb_esdk_message *message, const struct kb_error *error,
                          struct kb_error *err)
{
    message->status = error->status;
    message->error = *error;
    message->drain_at = message->drain_end = 0;
    esdk_retire(message);
    if (err && err->status == KB_OK)
        *err = *error;
    return message->status;
}

void esdk_take(struct kb_esdk_step *step, size_t size)
{
    if (size)
        step->in = (struct kb_bytes){step->in.data + size, step->in.size - size};
}

enum kb_status esdk_gather(struct kb_esdk_message *message, struct kb_esdk_step *step,
                           uint64_t want, bool *there, struct kb_error *err)
{
    uint64_t missing = want - message->held.size;
    size_t size = missing < step->in.size ? (size_t)missing : step->in.size;

    kb_buffer_put(&message->held, step->in.data, size);
    esdk_take(step, size);
    *there = message->held.size == want;
    return kb_buffer_check(&message->held, err);
}

void esdk_release(struct kb_esdk_message *message, size_t at, size_t end)
{
    message->drain_at = at;
    message->drain_end = end;
    if (at == end)
        kb_buffer_reset(&message->held);
}

bool kb_esdk_done(const struct kb_esdk_message *message)
{
    return message->status == KB_OK && message->state == ESDK_END &&
           message->drain_at == message->drain_end;
}

bool kb_esdk_paused(const struct kb_esdk_message *message)
{
    return message->status == KB_OK && message->state == ESDK_PAUSED;
}

const struct kb_esdk_info *kb_esdk_message_info(const struct kb_esdk_message *message)
{
    return message->header ? kb_esdk_header_info(message->header) : NULL;
}

void kb_esdk_free(struct kb_esdk_message *message)
{
    if (!message)
        return;
    message->drain_at = message->drain_end = 0;
    esdk_retire(message);
    kb_esdk_header_free(message->header);
    kb_buffer_free(&message->withheld);
    kb_buffer_free(&message->context);
    kb_buffer_free(&message->flow);
    kb_arena_free(&message->memory);
    kb_esdk_release(message->esdk);
    free(message);
}

enum kb_status esdk_message_new(struct kb_esdk_message **out, struct kb_esdk *esdk, bool writing,
                                struct kb_error *err)
{
    struct kb_esdk_message *message = calloc(1, sizeof *message);

    *out = message;
    if (!message)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    message->esdk = kb_esdk_retain(esdk);
    message->writing = writing;
    message->sequence = 1;
    message->last = UINT64_MAX;
    message->held.wipe = message->flow.wipe = true;
    message->held.max = message->flow.max = SIZE_MAX / 2;
    message->context.max = message->withheld.max = 2 * UINT16_MAX;
    return KB_OK;
}
