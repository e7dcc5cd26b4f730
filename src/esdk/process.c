/* SPDX-License-Identifier: Apache-2.0
 *
 * Bytes in and out of a message, as far as they go.
 */
#include "esdk/message.h"

#include <string.h>

/* False when not all of it has room. */
static bool drain(struct kb_esdk_message *message, struct kb_esdk_step *step)
{
    size_t size = message->drain_end - message->drain_at;

    if (!size)
        return true;
    if (size > step->room - step->made)
        size = step->room - step->made;
    if (size)
        memcpy(step->out + step->made, message->held.data + message->drain_at, size);
    step->made += size;
    esdk_release(message, message->drain_at + size, message->drain_end);
    return message->drain_at == message->drain_end;
}

/* The input ended in the middle of a message. */
static enum kb_status refuse_cut(const struct kb_esdk_message *message, struct kb_error *err)
{
    if (message->state == ESDK_HEADER)
        return esdk_header_refuse(kb_buffer_view(&message->held), err);
    if (message->ranged && message->state == ESDK_BODY && !message->held.size &&
        message->frame_length && message->sequence == message->first / message->frame_length + 1)
        return kb_error_set(err, KB_ERR_NOT_FOUND, "the message ends before byte %llu",
                            (unsigned long long)message->first);
    return kb_error_set(err, KB_ERR_INPUT, "the message is cut short");
}

static bool wants_input(const struct kb_esdk_message *message)
{
    return !message->writing && message->state != ESDK_PAUSED && message->state != ESDK_END &&
           message->drain_at == message->drain_end;
}

enum kb_status kb_esdk_process(struct kb_esdk_message *message, struct kb_esdk_step *step,
                               struct kb_error *err)
{
    struct kb_error error = {.status = KB_OK};
    enum kb_status status = message->status;
    bool moved = true;

    step->made = 0;
    if (status != KB_OK)
        return esdk_latch(message, &message->error, err);
    while (status == KB_OK && moved) {
        const size_t in = step->in.size, made = step->made;
        const enum esdk_state state = message->state;

        if (!drain(message, step))
            break;
        status = message->writing ? esdk_write_some(message, step, &error)
                                  : esdk_read_some(message, step, &error);
        moved = step->in.size != in || step->made != made || message->state != state ||
                message->drain_at != message->drain_end;
    }
    if (status == KB_OK && step->last && !step->in.size && wants_input(message))
        status = refuse_cut(message, &error);
    if (status != KB_OK)
        return esdk_latch(message, &error, err);
    if (message->state == ESDK_END)
        esdk_retire(message);
    return KB_OK;
}
