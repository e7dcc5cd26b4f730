/* SPDX-License-Identifier: Apache-2.0
 *
 * Moves whole frames over a descriptor: the client's with a deadline, the
 * helper's without.
 */
#include "keystore/protocol.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

int64_t kb_clock_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static enum kb_frame_result wait_for(int fd, short events, int64_t deadline)
{
    struct pollfd poller = {.fd = fd, .events = events};

    for (;;) {
        int64_t left = deadline - kb_clock_ms();
        int ready;

        if (left <= 0)
            return KB_FRAME_TIMEOUT;
        ready = poll(&poller, 1, left > INT_MAX ? INT_MAX : (int)left);
        if (ready > 0)
            return KB_FRAME_OK; /* data or the end: the call that follows tells */
        if (ready < 0 && errno != EINTR)
            return KB_FRAME_CLOSED;
    }
}

/* The helper's output may be a pipe (ssh); the client's is a socket, whose
 * loss must not raise a signal in a program that is not ours. */
static ssize_t send_some(int fd, const uint8_t *data, size_t size, int64_t deadline)
{
    ssize_t sent = send(fd, data, size, MSG_NOSIGNAL | (deadline < 0 ? 0 : MSG_DONTWAIT));

    if (sent < 0 && errno == ENOTSOCK)
        sent = write(fd, data, size);
    return sent;
}

enum kb_frame_result kb_frame_send(int fd, const struct kb_buffer *frame, int64_t deadline)
{
    size_t done = 0;

    while (done < frame->size) {
        ssize_t sent = send_some(fd, frame->data + done, frame->size - done, deadline);
        enum kb_frame_result result = KB_FRAME_OK;

        if (sent >= 0)
            done += (size_t)sent;
        else if (errno == EAGAIN || errno == EWOULDBLOCK)
            result = wait_for(fd, POLLOUT, deadline);
        else if (errno != EINTR)
            result = KB_FRAME_CLOSED;
        if (result != KB_FRAME_OK)
            return result;
    }
    return KB_FRAME_OK;
}

static enum kb_frame_result read_exactly(int fd, uint8_t *data, size_t size, int64_t deadline)
{
    size_t done = 0;

    while (done < size) {
        enum kb_frame_result result = deadline < 0 ? KB_FRAME_OK : wait_for(fd, POLLIN, deadline);
        ssize_t got;

        if (result != KB_FRAME_OK)
            return result;
        got = read(fd, data + done, size - done);
        if (got > 0)
            done += (size_t)got;
        else if (got == 0 || errno != EINTR)
            return KB_FRAME_CLOSED;
    }
    return KB_FRAME_OK;
}

enum kb_frame_result kb_frame_receive(int fd, struct kb_buffer *frame, int64_t deadline,
                                      struct kb_bytes *body)
{
    uint8_t head[4];
    enum kb_frame_result result = read_exactly(fd, head, sizeof head, deadline);
    size_t size;
    uint8_t *room;

    kb_buffer_reset(frame);
    if (result != KB_FRAME_OK)
        return result;
    size = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
    room = size && size <= KB_FRAME_MAX ? kb_buffer_extend(frame, size) : NULL;
    if (!room)
        return KB_FRAME_BAD;
    *body = (struct kb_bytes){room, size};
    return read_exactly(fd, room, size, deadline);
}
