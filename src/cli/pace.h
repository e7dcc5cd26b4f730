/* SPDX-License-Identifier: Apache-2.0
 *
 * --max-rate: so many items a second, evenly.
 */
#ifndef KB_CLI_PACE_H
#define KB_CLI_PACE_H

#include <stddef.h>
#include <stdint.h>

/* Zero: no limit. Each step waits until the time its predecessors used up has
 * passed, and nothing is saved up: no second sees more than a second's worth
 * and one step. */
struct cli_pace {
    uint64_t per_second;
    uint64_t next; /* ns of the clock */
    /* NULL: the system's. */
    uint64_t (*now)(void *ctx);
    void (*sleep)(void *ctx, uint64_t ns);
    void *ctx;
};

/* Items that go in one step, out of `n` that are there: a tenth of a second's
 * worth, at least one. */
size_t cli_pace_step(const struct cli_pace *pace, size_t n);

/* Waits until n items may go. */
void cli_pace_wait(struct cli_pace *pace, size_t n);

#endif
