/* SPDX-License-Identifier: Apache-2.0 */
#include "s3/transfer.h"

#include <stdlib.h>

void s3_pool_init(struct s3_pool *pool, size_t max)
{
    *pool = (struct s3_pool){.max = max};
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->given, NULL);
}

void s3_pool_free(struct s3_pool *pool)
{
    while (pool->free) {
        struct s3_slab *next = pool->free->next;

        free(pool->free);
        pool->free = next;
    }
    pthread_cond_destroy(&pool->given);
    pthread_mutex_destroy(&pool->lock);
}

/* A free one that is large enough, or NULL; those that are not are released. */
static struct s3_slab *reuse(struct s3_pool *pool, size_t size)
{
    while (pool->free) {
        struct s3_slab *slab = pool->free;

        pool->free = slab->next;
        if (slab->size >= size)
            return slab;
        pool->held -= slab->size;
        free(slab);
    }
    return NULL;
}

enum kb_status s3_pool_take(struct s3_pool *pool, struct s3_slab **out, size_t size,
                            struct kb_error *err)
{
    struct s3_slab *slab;

    pthread_mutex_lock(&pool->lock);
    while (!(slab = reuse(pool, size)) && pool->held && pool->held + size > pool->max)
        pthread_cond_wait(&pool->given, &pool->lock);
    if (!slab && size <= SIZE_MAX - sizeof *slab && (slab = malloc(sizeof *slab + size))) {
        slab->size = size;
        pool->held += size;
    }
    pthread_mutex_unlock(&pool->lock);
    *out = slab;
    return slab ? KB_OK : kb_error_set(err, KB_ERR_MEMORY, "no memory for a part");
}

void s3_pool_give(struct s3_pool *pool, struct s3_slab *slab)
{
    if (!slab)
        return;
    pthread_mutex_lock(&pool->lock);
    slab->next = pool->free;
    pool->free = slab;
    pthread_cond_signal(&pool->given);
    pthread_mutex_unlock(&pool->lock);
}
