/* SPDX-License-Identifier: Apache-2.0
 *
 * A message that is written: its header with the data key wrapped, its frames,
 * its footer (client-apis/encrypt.md).
 */
#include "esdk/message.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "crypto/crypto.h"

/* --- what the caller asks for ------------------------------------------------- */

static bool is_stored(const struct kb_esdk_encrypt_options *options, struct kb_bytes name)
{
    for (size_t i = 0; i < options->not_stored_count; i++)
        if (kb_bytes_equal(options->not_stored[i], name))
            return false;
    return true;
}

static enum kb_status check_context(const struct kb_esdk_encrypt_options *options,
                                    struct kb_error *err)
{
    enum kb_status status = KB_OK;

    for (size_t i = 0; status == KB_OK && i < options->context_count; i++)
        status = esdk_pair_check(&options->context[i], err);
    for (size_t i = 0; status == KB_OK && i < options->not_stored_count; i++)
        if (!esdk_context_find(options->context, options->context_count, options->not_stored[i]))
            status = kb_error_set(err, KB_ERR_USAGE,
                                  "'%.*s' is not to be stored, but not in the context",
                                  (int)options->not_stored[i].size,
                                  (const char *)options->not_stored[i].data);
    return status;
}

static enum kb_status choose_suite(const struct esdk_suite **out, enum kb_commitment policy,
                                   uint16_t id, struct kb_error *err)
{
    if (!id)
        id = policy == KB_COMMITMENT_FORBID_ALLOW ? 0x0378 : 0x0578;
    *out = esdk_suite_find(id);
    if (!*out)
        return kb_error_set(err, KB_ERR_USAGE, "there is no suite 0x%04x", id);
    return esdk_policy_write(policy, *out, err);
}

/* --- headers ------------------------------------------------------------------------ */

/* What is known of a message before its header is written. */
struct start {
    struct kb_esdk_message *message;
    uint8_t id[ESDK_MESSAGE_ID_V2];
    struct kb_pair *pairs; /* the whole context, sorted */
    size_t pair_count;
    struct kb_buffer public_key; /* as its pair has it */
    struct kb_buffer edks;
};

/* What is the same for all of a call. */
struct batch {
    struct kb_esdk *esdk;
    const struct kb_esdk_encrypt_options *options;
    const struct esdk_suite *suite;
    struct start *starts;
    size_t count;
};

/* A signing key for this message alone, and its pair of the context. */
static enum kb_status make_signature(struct start *start, const struct esdk_suite *suite,
                                     struct kb_error *err)
{
    uint8_t point[KB_POINT_MAX];
    size_t size;
    enum kb_status status =
        kb_signature_make(&start->message->signature, suite->sign_hash, point, &size, err);

    if (status != KB_OK)
        return status;
    kb_base64_format(&start->public_key, (struct kb_bytes){point, size});
    start->pairs[start->pair_count++] = (struct kb_pair){
        kb_bytes_text(ESDK_PUBLIC_KEY_NAME), kb_buffer_view(&start->public_key)};
    return kb_buffer_check(&start->public_key, err);
}

static enum kb_status begin(struct start *start, const struct batch *batch, struct kb_error *err)
{
    const struct kb_esdk_encrypt_options *options = batch->options;
    enum kb_status status = esdk_message_new(&start->message, batch->esdk, true, err);

    if (status != KB_OK)
        return status;
    start->edks.max = SIZE_MAX / 2;
    start->public_key.max = 2 * KB_POINT_MAX;
    start->message->frame_length =
        options->frame_length ? options->frame_length : KB_ESDK_FRAME_DEFAULT;
    start->pairs = calloc(options->context_count + 1, sizeof *start->pairs);
    if (!start->pairs)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    for (size_t i = 0; i < options->context_count; i++)
        start->pairs[start->pair_count++] = options->context[i];
    status = kb_crypto_random(start->id, sizeof start->id, err);
    if (status == KB_OK && batch->suite->is_signed)
        status = make_signature(start, batch->suite, err);
    if (status == KB_OK)
        status = esdk_context_sort(start->pairs, start->pair_count, KB_ERR_USAGE, err);
    if (status == KB_OK)
        status = esdk_context_write(&start->message->context, start->pairs, start->pair_count, err);
    return status;
}

/* Divides the context, in place, into what is stored and behind it what is
 * not; returns how many pairs are stored. */
static size_t divide(struct start *start, const struct kb_esdk_encrypt_options *options,
                     struct kb_pair *withheld, size_t *withheld_count)
{
    size_t stored = 0;

    *withheld_count = 0;
    for (size_t i = 0; i < start->pair_count; i++) {
        if (is_stored(options, start->pairs[i].name))
            start->pairs[stored++] = start->pairs[i];
        else
            withheld[(*withheld_count)++] = start->pairs[i];
    }
    return stored;
}

/* The header's tag behind its body; in version 1 the IV is written too. */
static enum kb_status add_tag(struct start *start, const struct esdk_suite *suite,
                              struct kb_buffer *header, struct kb_error *err)
{
    static const uint8_t iv[KB_GCM_IV_SIZE];
    uint8_t tag[KB_GCM_TAG_SIZE], nothing[1];
    struct kb_gcm_text text = {.iv = iv, .in = {nothing, 0}, .out = nothing, .tag = tag};
    struct kb_buffer aad = KB_BUFFER_INIT(SIZE_MAX / 2);
    enum kb_status status;

    kb_buffer_put_bytes(&aad, kb_buffer_view(header));
    kb_buffer_put_bytes(&aad, kb_buffer_view(&start->message->withheld));
    status = kb_buffer_check(&aad, err);
    text.aad = kb_buffer_view(&aad);
    if (status == KB_OK)
        status = kb_gcm_encrypt(start->message->gcm, &text, err);
    kb_buffer_free(&aad);
    if (suite->version == 1)
        kb_buffer_put(header, iv, sizeof iv);
    kb_buffer_put(header, tag, sizeof tag);
    return status == KB_OK ? kb_buffer_check(header, err) : status;
}

static enum kb_status write_header(struct start *start, const struct batch *batch, size_t edk_count,
                                   const uint8_t *commit_key, struct kb_error *err)
{
    struct kb_esdk_message *message = start->message;
    struct kb_pair *withheld = calloc(batch->options->not_stored_count + 1, sizeof *withheld);
    struct kb_esdk_info info = {
        .frame_length = message->frame_length,
        .message_id = {start->id, esdk_message_id_size(batch->suite)},
        .context = start->pairs,
        .edk_count = edk_count,
    };
    size_t withheld_count, need;
    enum kb_status status;

    if (!withheld)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    info.context_count = divide(start, batch->options, withheld, &withheld_count);
    status = esdk_context_write(&message->withheld, withheld, withheld_count, err);
    free(withheld);
    if (status == KB_OK)
        status = esdk_header_write(&message->held, batch->suite, &info,
                                   kb_buffer_view(&start->edks), commit_key, err);
    if (status == KB_OK)
        status = add_tag(start, batch->suite, &message->held, err);
    /* What it says is what a reader will see. */
    if (status == KB_OK)
        status = kb_esdk_header_read(&message->header, kb_buffer_view(&message->held),
                                     KB_ESDK_EDKS_MAX, &need, err);
    return status;
}

static enum kb_status finish(struct start *start, const struct batch *batch, size_t edk_count,
                             struct kb_bytes data_key, struct kb_error *err)
{
    struct kb_esdk_message *message = start->message;
    const struct kb_bytes id = {start->id, esdk_message_id_size(batch->suite)};
    uint8_t content_key[32], commit_key[ESDK_COMMIT_KEY];
    enum kb_status status =
        esdk_derive(batch->suite, data_key, id, content_key, commit_key, err);

    if (status == KB_OK)
        status = esdk_key_set(message, (struct kb_bytes){content_key, batch->suite->key_size}, err);
    kb_wipe(content_key, sizeof content_key);
    if (status == KB_OK)
        status = write_header(start, batch, edk_count, commit_key, err);
    if (status == KB_OK)
        status = esdk_sign_over(message, message->held.data, message->held.size, err);
    if (status == KB_OK)
        esdk_release(message, 0, message->held.size);
    message->state = ESDK_BODY;
    return status;
}

/* All data keys in one piece of secret memory, wrapped in one call. */
static enum kb_status wrap_all(const struct batch *batch, struct kb_wrap_job *jobs,
                               struct kb_error *err)
{
    const size_t key_size = batch->suite->key_size;
    struct kb_secret *keys;
    enum kb_status status = kb_secret_new(&keys, batch->count * key_size, err);

    if (status != KB_OK)
        return status;
    status = kb_keyring_random(batch->esdk->keyring, keys, err);
    for (size_t i = 0; i < batch->count; i++)
        jobs[i] = (struct kb_wrap_job){
            .data_key = {kb_secret_data(keys) + i * key_size, key_size},
            .context = kb_buffer_view(&batch->starts[i].message->context),
            .edks = &batch->starts[i].edks,
        };
    if (status == KB_OK)
        status = kb_keyring_wrap(batch->esdk->keyring, jobs, batch->count, err);
    for (size_t i = 0; status == KB_OK && i < batch->count; i++) {
        if (jobs[i].edk_count > batch->esdk->options.max_edks)
            status = kb_error_set(err, KB_ERR_USAGE, "a message may have %u recipients, not %zu",
                                  batch->esdk->options.max_edks, jobs[i].edk_count);
        else
            status = finish(&batch->starts[i], batch, jobs[i].edk_count, jobs[i].data_key, err);
    }
    kb_secret_free(keys);
    return status;
}

enum kb_status kb_esdk_encrypt(struct kb_esdk_message **out, size_t n, struct kb_esdk *esdk,
                               const struct kb_esdk_encrypt_options *options, struct kb_error *err)
{
    static const struct kb_esdk_encrypt_options defaults;
    struct batch batch = {.esdk = esdk, .options = options ? options : &defaults, .count = n};
    struct kb_wrap_job *jobs = calloc(n + 1, sizeof *jobs);
    enum kb_status status =
        choose_suite(&batch.suite, esdk->options.policy, batch.options->suite, err);

    batch.starts = calloc(n + 1, sizeof *batch.starts);
    if (status == KB_OK && (!jobs || !batch.starts))
        status = kb_error_set(err, KB_ERR_MEMORY, "no memory");
    if (status == KB_OK)
        status = check_context(batch.options, err);
    for (size_t i = 0; status == KB_OK && i < n; i++)
        status = begin(&batch.starts[i], &batch, err);
    if (status == KB_OK && n)
        status = wrap_all(&batch, jobs, err);
    for (size_t i = 0; i < n; i++) {
        struct start *start = batch.starts ? &batch.starts[i] : NULL;

        out[i] = status == KB_OK ? start->message : NULL;
        if (!start)
            continue;
        if (status != KB_OK)
            kb_esdk_free(start->message);
        free(start->pairs);
        kb_buffer_free(&start->public_key);
        kb_buffer_free(&start->edks);
    }
    free(batch.starts);
    free(jobs);
    return status;
}

/* --- body (data-format/message-body.md) ----------------------------------------------- */

static enum kb_status check_sequence(uint64_t last, struct kb_error *err)
{
    enum kb_status status;

    if (last <= ESDK_SEQUENCE_MAX)
        return KB_OK;
    status = kb_error_set(err, KB_ERR_USAGE, "the message has more frames than can be");
    kb_error_hint(err, "take longer frames");
    return status;
}

/* Footer behind the last frame, in what is held. */
static enum kb_status end_message(struct kb_esdk_message *message, struct kb_error *err)
{
    uint8_t der[KB_ECDSA_DER_MAX];
    enum kb_status status;
    size_t size;

    message->state = ESDK_END;
    if (!message->signature)
        return KB_OK;
    status = kb_signature_sign(message->signature, der, &size, err);
    if (status != KB_OK)
        return status;
    kb_buffer_put_u16(&message->held, (uint16_t)size);
    kb_buffer_put(&message->held, der, size);
    return kb_buffer_check(&message->held, err);
}

static enum kb_status seal_frames(struct kb_esdk_message *message, struct kb_esdk_step *step,
                                  size_t count, struct kb_error *err)
{
    enum kb_status status = check_sequence(message->sequence + count, err);

    return status == KB_OK ? esdk_frames_run(message, step, count, err) : status;
}

/* One frame from `plain` to `out`. */
static enum kb_status seal_one(struct kb_esdk_message *message, struct esdk_frame *frame,
                               const uint8_t *plain, uint8_t *out, struct kb_error *err)
{
    const size_t size = esdk_frame_prefix(frame->kind) + (size_t)frame->size + KB_GCM_TAG_SIZE;
    enum kb_status status = check_sequence(
        frame->kind == ESDK_REGULAR ? message->sequence + 1 : message->sequence, err);

    frame->sequence = (uint32_t)message->sequence++;
    if (status == KB_OK)
        status = esdk_frame_seal(message->gcm, frame, message->header->info.message_id, plain, out,
                                 err);
    return status == KB_OK ? esdk_sign_over(message, out, size, err) : status;
}

static enum kb_status seal_last(struct kb_esdk_message *message, struct kb_esdk_step *step,
                                struct kb_error *err)
{
    struct esdk_frame frame = {.kind = ESDK_FINAL, .size = step->in.size};
    enum kb_status status =
        seal_one(message, &frame, step->in.data, step->out + step->made, err);

    if (status != KB_OK)
        return status;
    step->made += ESDK_FINAL_OVERHEAD + step->in.size;
    esdk_take(step, step->in.size);
    status = end_message(message, err);
    esdk_release(message, 0, message->held.size);
    return status;
}

/* Bytes are gathered where the longer prefix leaves room for the shorter one,
 * until it is known which of the two it is. */
static enum kb_status gather_frame(struct kb_esdk_message *message, struct kb_esdk_step *step,
                                   struct kb_error *err)
{
    const size_t prefix = esdk_frame_prefix(ESDK_FINAL);
    struct esdk_frame frame = {.kind = ESDK_REGULAR, .size = message->frame_length};
    enum kb_status status;
    bool there;
    size_t at;

    if (!step->in.size && !step->last)
        return KB_OK;
    if (!message->held.size)
        (void)kb_buffer_extend(&message->held, prefix);
    status = esdk_gather(message, step, (uint64_t)prefix + message->frame_length, &there, err);
    if (status != KB_OK || (!there && !(step->last && !step->in.size)))
        return status;
    if (!there)
        frame = (struct esdk_frame){.kind = ESDK_FINAL, .size = message->held.size - prefix};
    (void)kb_buffer_extend(&message->held, KB_GCM_TAG_SIZE);
    status = kb_buffer_check(&message->held, err);
    if (status != KB_OK)
        return status;
    at = prefix - esdk_frame_prefix(frame.kind);
    status = seal_one(message, &frame, message->held.data + prefix, message->held.data + at, err);
    if (status == KB_OK && frame.kind == ESDK_FINAL)
        status = end_message(message, err);
    esdk_release(message, at, message->held.size);
    return status;
}

enum kb_status esdk_write_some(struct kb_esdk_message *message, struct kb_esdk_step *step,
                               struct kb_error *err)
{
    const size_t length = message->frame_length, room = step->room - step->made;

    if (message->state == ESDK_END)
        return step->in.size
                   ? kb_error_set(err, KB_ERR_USAGE, "the message was ended; nothing can be added")
                   : KB_OK;
    if (!message->held.size) {
        size_t count = step->in.size / length;

        if (count > room / (length + ESDK_FRAME_OVERHEAD))
            count = room / (length + ESDK_FRAME_OVERHEAD);
        if (count)
            return seal_frames(message, step, count, err);
        if (step->last && step->in.size < length && room >= ESDK_FINAL_OVERHEAD &&
            step->in.size <= room - ESDK_FINAL_OVERHEAD)
            return seal_last(message, step, err);
    }
    return gather_frame(message, step, err);
}
