/* SPDX-License-Identifier: Apache-2.0
 *
 * keybridge envelope: the bytes of a message from its input to its output, in
 * memory that does not depend on their number.
 */
#include "cli/envelope.h"
#include "cli/envelope_lane.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    STEP = 512 * 1024,           /* bytes read, and made, at once */
    OUT_ROOM = STEP + 64 * 1024, /* a step and what its frames add */
    MEBIBYTE = 1024 * 1024,
};

struct envelope_pump {
    uint8_t in[2][STEP];
    uint8_t between[STEP]; /* plaintext of a message that is rewrapped */
    uint8_t out[2][OUT_ROOM];
};

struct flow {
    struct envelope *envelope;
    struct envelope_file *file;
    struct envelope_lane in, out;
    uint8_t *between;
    size_t waiting; /* bytes there that the new message has not taken */
};

static enum kb_status read_some(void *ctx, uint8_t *data, size_t room, size_t *size,
                                struct kb_error *err)
{
    struct flow *flow = ctx;
    struct pollfd input = {.fd = flow->file->in, .events = POLLIN};
    enum kb_status status = envelope_file_read(flow->file, data, room, size, err);
    size_t more = *size;

    /* A pipe gives little at a time; what is there goes together. */
    while (status == KB_OK && flow->in.threaded && more && *size < room &&
           poll(&input, 1, 0) == 1) {
        status = envelope_file_read(flow->file, data + *size, room - *size, &more, err);
        *size += more;
    }
    return status;
}

static enum kb_status write_all(void *ctx, uint8_t *data, size_t room, size_t *size,
                                struct kb_error *err)
{
    const struct flow *flow = ctx;
    struct kb_bytes bytes = {data, room};

    *size = room;
    return flow->file->out ? kb_outfile_write(flow->file->out, bytes, err)
                           : kb_fd_write(STDOUT_FILENO, bytes, "standard output", err);
}

static enum kb_status put(struct flow *flow, size_t size)
{
    struct envelope_file *file = flow->file;
    enum kb_status status = envelope_lane_put(&flow->out, size, &file->error);

    file->written += size;
    file->ends_run = file->ends_run || status != KB_OK;
    return status;
}

/* One message through as much of `in` as it takes; what is left of it stays.
 * What was made before a failure is good and goes out. */
static enum kb_status convert(struct flow *flow, struct kb_esdk_message *message,
                              struct kb_bytes *in, bool last)
{
    struct kb_esdk_step step = {.in = *in, .last = last, .room = OUT_ROOM};
    enum kb_status status;
    size_t before;

    do {
        enum kb_status written;

        before = step.in.size;
        step.out = envelope_lane_room(&flow->out);
        step.made = 0;
        status = kb_esdk_process(message, &step, &flow->file->error);
        written = put(flow, step.made);
        status = status == KB_OK ? written : status;
    } while (status == KB_OK && (step.made || step.in.size != before));
    *in = step.in;
    return status;
}

/* The old message into the new one, which ends only when the old one was
 * whole. */
static enum kb_status convert_both(struct flow *flow, struct kb_bytes *in, bool last)
{
    struct kb_esdk_step step = {.in = *in, .last = last};
    enum kb_status status;
    size_t before;

    do {
        struct kb_bytes between;

        before = step.in.size;
        step.out = flow->between + flow->waiting;
        step.room = STEP - flow->waiting;
        step.made = 0;
        status = kb_esdk_process(flow->file->from, &step, &flow->file->error);
        between = (struct kb_bytes){flow->between, flow->waiting + step.made};
        if (status == KB_OK)
            status = convert(flow, flow->file->to, &between,
                             last && kb_esdk_done(flow->file->from));
        memmove(flow->between, between.data, between.size);
        flow->waiting = between.size;
    } while (status == KB_OK && (step.made || step.in.size != before));
    *in = step.in;
    return status;
}

static enum kb_status convert_all(struct flow *flow, struct kb_bytes *in, bool last)
{
    struct envelope_file *file = flow->file;

    if (file->from && file->to)
        return convert_both(flow, in, last);
    return convert(flow, file->from ? file->from : file->to, in, last);
}

/* True when nothing more is read: bytes behind the end of a message are an
 * error, but not of a range. */
static bool ended(const struct flow *flow, bool last)
{
    const struct envelope_file *file = flow->file;

    return (last || flow->envelope->ranged) && (!file->from || kb_esdk_done(file->from)) &&
           (!file->to || kb_esdk_done(file->to));
}

static enum kb_status pump_all(struct flow *flow)
{
    struct envelope_file *file = flow->file;
    struct cli_progress *progress = &flow->envelope->progress;
    enum kb_status status = KB_OK;
    bool last = false;

    while (status == KB_OK && !ended(flow, last)) {
        struct kb_bytes in = {NULL, 0};

        status = envelope_lane_take(&flow->in, &in, &file->error);
        last = in.size == 0;
        file->read += in.size;
        if (status == KB_OK)
            status = convert_all(flow, &in, last);
        if (status == KB_OK && (in.size || last) && !ended(flow, last))
            status = kb_error_set(&file->error, KB_ERR_SYSTEM, "the message does not go on");
        if (!flow->envelope->many) {
            progress->done = file->read;
            cli_progress_add(progress, file->read / MEBIBYTE - progress->count);
        }
    }
    return status;
}

static enum kb_status open_lanes(struct flow *flow, struct envelope_pump *pump)
{
    /* A small file is over before a thread has begun. */
    bool threaded = flow->file->size > STEP;
    enum kb_status status;

    flow->between = pump->between;
    flow->in = (struct envelope_lane){.move = read_some,
                                      .ctx = flow,
                                      .threaded = threaded,
                                      .room = STEP,
                                      .data = {pump->in[0], pump->in[1]}};
    flow->out = (struct envelope_lane){.move = write_all,
                                       .ctx = flow,
                                       .writes = true,
                                       .threaded = threaded,
                                       .room = OUT_ROOM,
                                       .data = {pump->out[0], pump->out[1]}};
    flow->file->quit = &flow->in.quit;
    status = envelope_lane_open(&flow->in, &flow->file->error);
    if (status != KB_OK)
        return status;
    status = envelope_lane_open(&flow->out, &flow->file->error);
    if (status != KB_OK)
        envelope_lane_close(&flow->in, &flow->file->error);
    return status;
}

void envelope_pump(struct envelope *envelope, struct envelope_file *file)
{
    struct flow flow = {.envelope = envelope, .file = file};
    struct kb_error unwritten = {.status = KB_OK};
    enum kb_status status = KB_ERR_MEMORY;

    if (!envelope->pump)
        envelope->pump = malloc(sizeof *envelope->pump);
    if (envelope->pump)
        status = open_lanes(&flow, envelope->pump);
    else
        kb_error_set(&file->error, KB_ERR_MEMORY, "no memory");
    if (status != KB_OK) {
        file->quit = NULL;
        file->ends_run = true;
        return;
    }
    status = pump_all(&flow);
    envelope_lane_close(&flow.in, &unwritten);
    file->quit = NULL;
    envelope_lane_close(&flow.out, &unwritten);
    if (status == KB_OK && unwritten.status != KB_OK) {
        file->error = unwritten;
        status = unwritten.status;
        file->ends_run = true;
    }
    file->error.status = status;
    file->ends_run = file->ends_run || status == KB_ERR_MEMORY;
}

void envelope_pump_free(struct envelope_pump *pump)
{
    if (pump)
        kb_wipe(pump, sizeof *pump);
    free(pump);
}
