/* SPDX-License-Identifier: Apache-2.0
 *
 * Backoff with full jitter ("Exponential Backoff And Jitter", AWS Architecture
 * Blog): a wait anywhere between nothing and a bound that doubles.
 */
#include "http/http.h"

#include <sys/random.h>

enum { TRIES = 10, BASE_MS = 50, CAP_MS = 20000 };

void kb_retry_progress(struct kb_retry *retry)
{
    retry->tries = 0;
}

int kb_retry_next(struct kb_retry *retry)
{
    uint64_t bound = retry->base_ms ? retry->base_ms : BASE_MS;
    unsigned cap = retry->cap_ms ? retry->cap_ms : CAP_MS;
    uint32_t random;

    if (++retry->tries >= (retry->max ? retry->max : TRIES))
        return -1;
    for (unsigned i = 1; i < retry->tries && bound < cap; i++)
        bound *= 2;
    if (bound > cap)
        bound = cap;
    /* Without randomness the whole bound is as good a wait as any. */
    if (getrandom(&random, sizeof random, GRND_NONBLOCK) != sizeof random)
        return (int)bound;
    return (int)(random % (bound + 1));
}
