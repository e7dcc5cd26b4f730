/* SPDX-License-Identifier: Apache-2.0 */
#include "sealed/lanes.h"

#include <pthread.h>
#include <stdlib.h>

struct lanes {
    enum kb_status (*work)(void *ctx, size_t i, struct kb_error *err);
    void *ctx;
    pthread_mutex_t lock;
    size_t next, n;
    enum kb_status status; /* the first failure */
    struct kb_error error;
};

static void *run_lane(void *argument)
{
    struct lanes *lanes = argument;

    for (;;) {
        struct kb_error error = {.status = KB_OK};
        enum kb_status status;
        size_t i;

        pthread_mutex_lock(&lanes->lock);
        i = lanes->status == KB_OK && lanes->next < lanes->n ? lanes->next++ : lanes->n;
        pthread_mutex_unlock(&lanes->lock);
        if (i == lanes->n)
            return NULL;
        status = lanes->work(lanes->ctx, i, &error);
        if (status == KB_OK)
            continue;
        pthread_mutex_lock(&lanes->lock);
        if (lanes->status == KB_OK) {
            lanes->status = status;
            lanes->error = error;
        }
        pthread_mutex_unlock(&lanes->lock);
    }
}

enum kb_status lanes_run(unsigned threads, size_t n,
                         enum kb_status (*work)(void *ctx, size_t i, struct kb_error *err),
                         void *ctx, struct kb_error *err)
{
    struct lanes lanes = {.work = work, .ctx = ctx, .n = n, .status = KB_OK};
    unsigned most = threads < n ? threads : (unsigned)n, started = 0;
    pthread_t *others = calloc(most + 1U, sizeof *others);

    pthread_mutex_init(&lanes.lock, NULL);
    /* Without memory for more the caller is alone. */
    while (others && started + 1 < most &&
           pthread_create(&others[started], NULL, run_lane, &lanes) == 0)
        started++;
    (void)run_lane(&lanes);
    for (unsigned i = 0; i < started; i++)
        pthread_join(others[i], NULL);
    pthread_mutex_destroy(&lanes.lock);
    free(others);
    if (lanes.status != KB_OK && err && err->status == KB_OK)
        *err = lanes.error;
    return lanes.status;
}
