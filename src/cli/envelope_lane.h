/* SPDX-License-Identifier: Apache-2.0
 *
 * A lane: two buffers between the thread that works on bytes and one that reads
 * or writes them, so that neither waits while the other is busy.
 */
#ifndef KB_CLI_ENVELOPE_LANE_H
#define KB_CLI_ENVELOPE_LANE_H

#include "cli/cli.h"

#include <pthread.h>

struct envelope_lane {
    /* Reads up to `room` bytes, none at the end; or writes `size` of them. */
    enum kb_status (*move)(void *ctx, uint8_t *data, size_t room, size_t *size,
                           struct kb_error *err);
    void *ctx;
    bool writes;
    bool threaded; /* worth it: more than a buffer is to be moved */
    size_t room;   /* bytes of a buffer */
    uint8_t *data[2];

    size_t size[2];
    bool full[2];
    unsigned at; /* the buffer that the caller has, or gets next */
    bool taken;  /* reading: the caller has one */
    bool stop;
    int quit; /* reading: for cli_await, so that nobody waits for input once the lane is closed */
    struct kb_error error;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t moved;
};

/* Starts with what is above `size` set. */
KB_MUST_CHECK enum kb_status envelope_lane_open(struct envelope_lane *lane, struct kb_error *err);
/* The next bytes that were read, which live until the next call; none at the
 * end. */
KB_MUST_CHECK enum kb_status envelope_lane_take(struct envelope_lane *lane, struct kb_bytes *out,
                                                struct kb_error *err);
/* Where `room` bytes to be written can be put. */
uint8_t *envelope_lane_room(struct envelope_lane *lane);
/* `size` bytes are there. The failure may be of those before them. */
KB_MUST_CHECK enum kb_status envelope_lane_put(struct envelope_lane *lane, size_t size,
                                               struct kb_error *err);
/* Writes what is left, whose failure is in `err`, or ends reading wherever it
 * is. */
void envelope_lane_close(struct envelope_lane *lane, struct kb_error *err);

#endif
