/* SPDX-License-Identifier: Apache-2.0
 *
 * Push and pull, on top of kb_esdk_process.
 */
#include "esdk/message.h"

enum { FLOW_SIZE = 512 * 1024 }; /* enough frames of common lengths to be worth spreading */

static enum kb_status flow_buffer(struct kb_esdk_message *message, struct kb_error *err)
{
    if (!message->flow.size)
        (void)kb_buffer_extend(&message->flow, FLOW_SIZE);
    return kb_buffer_check(&message->flow, err);
}

static enum kb_status refuse_paused(struct kb_error *err)
{
    return kb_error_set(err, KB_ERR_USAGE, "the message waits to be unlocked");
}

enum kb_status kb_esdk_push(struct kb_esdk_message *message, struct kb_bytes in, bool last,
                            const struct kb_esdk_sink *sink, struct kb_error *err)
{
    struct kb_esdk_step step = {.in = in, .last = last};
    enum kb_status status = flow_buffer(message, err);
    size_t before;

    step.out = message->flow.data;
    step.room = message->flow.size;
    do {
        struct kb_error error = {.status = KB_OK};
        enum kb_status written = KB_OK;

        if (status != KB_OK)
            break;
        before = step.in.size;
        status = kb_esdk_process(message, &step, err);
        /* What was verified before a failure is the caller's. */
        if (step.made)
            written = sink->write(sink->ctx, (struct kb_bytes){step.out, step.made}, &error);
        if (status == KB_OK && written != KB_OK) {
            error.status = written;
            status = esdk_latch(message, &error, err);
        }
    } while (step.made || step.in.size != before);
    return status == KB_OK && kb_esdk_paused(message) ? refuse_paused(err) : status;
}

/* More input, when what there was is used up. */
static enum kb_status refill(struct kb_esdk_message *message, const struct kb_esdk_source *source,
                             struct kb_error *err)
{
    struct kb_error error = {.status = KB_OK};
    enum kb_status status = flow_buffer(message, err);
    size_t size = 0;

    if (status != KB_OK || message->flow_in.size || message->flow_last)
        return status;
    status = source->read(source->ctx, message->flow.data, message->flow.size, &size, &error);
    if (status != KB_OK) {
        error.status = status;
        return esdk_latch(message, &error, err);
    }
    message->flow_last = size == 0;
    message->flow_in = (struct kb_bytes){message->flow.data, size};
    return KB_OK;
}

enum kb_status kb_esdk_pull(struct kb_esdk_message *message, const struct kb_esdk_source *source,
                            uint8_t *out, size_t room, size_t *size, struct kb_error *err)
{
    *size = 0;
    while (room && !*size) {
        struct kb_esdk_step step = {.out = out, .room = room};
        struct kb_error error = {.status = KB_OK};
        enum kb_status status;

        if (kb_esdk_done(message) && (message->flow_last || message->ranged))
            break;
        status = refill(message, source, err);
        if (status != KB_OK)
            return status;
        step.in = message->flow_in;
        step.last = message->flow_last;
        status = kb_esdk_process(message, &step, &error);
        message->flow_in = step.in;
        *size = step.made;
        /* A failure behind bytes that were verified sticks: it comes next time. */
        if (status != KB_OK && !step.made)
            return esdk_latch(message, &error, err);
        if (status == KB_OK && kb_esdk_paused(message))
            return refuse_paused(err);
    }
    return KB_OK;
}
