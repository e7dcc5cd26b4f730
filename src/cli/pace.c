/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/pace.h"

#include <errno.h>
#include <time.h>

#define SECOND UINT64_C(1000000000)

static uint64_t system_now(void *ctx)
{
    struct timespec now;

    (void)ctx;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec;
}

static void system_sleep(void *ctx, uint64_t ns)
{
    struct timespec rest = {(time_t)(ns / SECOND), (long)(ns % SECOND)};

    (void)ctx;
    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &rest, &rest) == EINTR)
        ;
}

size_t cli_pace_step(const struct cli_pace *pace, size_t n)
{
    uint64_t step = pace->per_second / 10;

    if (!pace->per_second)
        return n;
    if (step < 1)
        step = 1;
    return step < n ? (size_t)step : n;
}

void cli_pace_wait(struct cli_pace *pace, size_t n)
{
    uint64_t now;

    if (!pace->per_second)
        return;
    now = pace->now ? pace->now(pace->ctx) : system_now(NULL);
    if (pace->next > now) {
        if (pace->sleep)
            pace->sleep(pace->ctx, pace->next - now);
        else
            system_sleep(NULL, pace->next - now);
        now = pace->next;
    }
    pace->next = now + (uint64_t)n * SECOND / pace->per_second;
}
