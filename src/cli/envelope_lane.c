/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/envelope_lane.h"

#include <string.h>
#include <unistd.h>

/* Waits until the buffer is full, or empty; false when the lane ends first. */
static bool await(struct envelope_lane *lane, unsigned i, bool full)
{
    bool there;

    pthread_mutex_lock(&lane->mutex);
    while (lane->full[i] != full && !lane->stop)
        pthread_cond_wait(&lane->moved, &lane->mutex);
    there = lane->full[i] == full;
    pthread_mutex_unlock(&lane->mutex);
    return there;
}

/* Hands the buffer over; an error goes with it. */
static void hand_over(struct envelope_lane *lane, unsigned i, bool full, size_t size,
                      const struct kb_error *error)
{
    pthread_mutex_lock(&lane->mutex);
    lane->size[i] = size;
    lane->full[i] = full;
    if (error && lane->error.status == KB_OK)
        lane->error = *error;
    pthread_cond_broadcast(&lane->moved);
    pthread_mutex_unlock(&lane->mutex);
}

static void *read_ahead(void *ctx)
{
    struct envelope_lane *lane = ctx;
    struct kb_error error = {.status = KB_OK};
    size_t size = 1;

    for (unsigned i = 0; size && await(lane, i, false); i = !i) {
        size = 0;
        error.status = lane->move(lane->ctx, lane->data[i], lane->room, &size, &error);
        if (error.status != KB_OK)
            size = 0;
        hand_over(lane, i, true, size, &error);
    }
    return NULL;
}

static void *write_behind(void *ctx)
{
    struct envelope_lane *lane = ctx;
    struct kb_error error = {.status = KB_OK};

    for (unsigned i = 0; await(lane, i, true); i = !i) {
        if (error.status == KB_OK)
            error.status =
                lane->move(lane->ctx, lane->data[i], lane->size[i], &lane->size[i], &error);
        hand_over(lane, i, false, 0, &error);
    }
    return NULL;
}

static enum kb_status failure(struct envelope_lane *lane, struct kb_error *err)
{
    enum kb_status status;

    pthread_mutex_lock(&lane->mutex);
    status = lane->error.status;
    if (status != KB_OK && err->status == KB_OK)
        *err = lane->error;
    pthread_mutex_unlock(&lane->mutex);
    return status;
}

enum kb_status envelope_lane_open(struct envelope_lane *lane, struct kb_error *err)
{
    lane->quit = -1;
    if (lane->threaded && !lane->writes && cli_quit_open(&lane->quit, err) != KB_OK)
        return KB_ERR_SYSTEM;
    pthread_mutex_init(&lane->mutex, NULL);
    pthread_cond_init(&lane->moved, NULL);
    if (lane->threaded && pthread_create(&lane->thread, NULL,
                                         lane->writes ? write_behind : read_ahead, lane) != 0) {
        lane->threaded = false;
        envelope_lane_close(lane, err);
        return kb_error_set(err, KB_ERR_SYSTEM, "no thread can be started");
    }
    return KB_OK;
}

enum kb_status envelope_lane_take(struct envelope_lane *lane, struct kb_bytes *out,
                                  struct kb_error *err)
{
    if (!lane->threaded) {
        size_t size = 0;
        enum kb_status status = lane->move(lane->ctx, lane->data[0], lane->room, &size, err);

        *out = (struct kb_bytes){lane->data[0], size};
        return status;
    }
    if (lane->taken) {
        hand_over(lane, lane->at, false, 0, NULL);
        lane->at = !lane->at;
    }
    lane->taken = true;
    (void)await(lane, lane->at, true);
    *out = (struct kb_bytes){lane->data[lane->at], lane->size[lane->at]};
    return failure(lane, err);
}

uint8_t *envelope_lane_room(struct envelope_lane *lane)
{
    if (lane->threaded)
        (void)await(lane, lane->at, false);
    return lane->data[lane->at];
}

enum kb_status envelope_lane_put(struct envelope_lane *lane, size_t size, struct kb_error *err)
{
    if (!size)
        return KB_OK;
    if (!lane->threaded)
        return lane->move(lane->ctx, lane->data[lane->at], size, &size, err);
    hand_over(lane, lane->at, true, size, NULL);
    lane->at = !lane->at;
    return failure(lane, err);
}

void envelope_lane_close(struct envelope_lane *lane, struct kb_error *err)
{
    if (lane->threaded) {
        pthread_mutex_lock(&lane->mutex);
        lane->stop = true;
        pthread_cond_broadcast(&lane->moved);
        pthread_mutex_unlock(&lane->mutex);
        if (!lane->writes)
            cli_quit(lane->quit);
        pthread_join(lane->thread, NULL);
        if (lane->writes)
            (void)failure(lane, err);
    }
    if (lane->quit >= 0)
        close(lane->quit);
    pthread_mutex_destroy(&lane->mutex);
    pthread_cond_destroy(&lane->moved);
}
