/* SPDX-License-Identifier: Apache-2.0 */
#include "s3/transfer.h"

#include <stdlib.h>

struct member {
    void (*work)(void *ctx);
    void *ctx;
};

void s3_crew_init(struct s3_crew *crew)
{
    *crew = (struct s3_crew){.status = KB_OK};
    pthread_mutex_init(&crew->lock, NULL);
    pthread_cond_init(&crew->changed, NULL);
}

void s3_crew_free(struct s3_crew *crew)
{
    pthread_cond_destroy(&crew->changed);
    pthread_mutex_destroy(&crew->lock);
}

void s3_crew_stop(struct s3_crew *crew, enum kb_status status, const struct kb_error *error)
{
    pthread_mutex_lock(&crew->lock);
    if (crew->status == KB_OK) {
        crew->status = status;
        crew->error = *error;
    }
    atomic_store(&crew->stopped, true);
    pthread_cond_broadcast(&crew->changed);
    pthread_mutex_unlock(&crew->lock);
}

enum kb_status s3_given_up(struct kb_error *err)
{
    return kb_error_set(err, KB_ERR_SYSTEM, "the transfer was given up");
}

static void *run_member(void *argument)
{
    struct member *member = argument;

    member->work(member->ctx);
    return NULL;
}

enum kb_status s3_crew_run(struct s3_crew *crew, unsigned threads, void (*work)(void *ctx),
                           void *ctx, struct kb_error *err)
{
    struct member member = {work, ctx};
    pthread_t *others = threads > 1 ? calloc(threads - 1, sizeof *others) : NULL;
    unsigned started = 0;

    while (others && started + 1 < threads &&
           pthread_create(&others[started], NULL, run_member, &member) == 0)
        started++;
    work(ctx);
    for (unsigned i = 0; i < started; i++)
        pthread_join(others[i], NULL);
    free(others);
    if (crew->status != KB_OK && err && err->status == KB_OK)
        *err = crew->error;
    return crew->status;
}
