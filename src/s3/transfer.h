/* SPDX-License-Identifier: Apache-2.0
 *
 * What uploads and downloads share: threads that do the parts of one transfer.
 */
#ifndef KB_S3_TRANSFER_H
#define KB_S3_TRANSFER_H

#include "s3/s3.h"

#include <pthread.h>
#include <stdatomic.h>

#define S3_PART_SIZE (UINT64_C(8) << 20) /* bytes of a part unless told otherwise */

/* --- threads (crew.c) ------------------------------------------------------------------- */

/* The first one that fails ends the work of all. */
struct s3_crew {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* something that a thread may wait for, under the lock */
    atomic_bool stopped;    /* written under the lock */
    enum kb_status status;
    struct kb_error error;
};
void s3_crew_init(struct s3_crew *crew);
void s3_crew_free(struct s3_crew *crew);
/* Notes a failure and wakes all; the first one stays. Takes the lock. */
void s3_crew_stop(struct s3_crew *crew, enum kb_status status, const struct kb_error *error);
/* What a thread that sees `stopped` ends with, which nobody is shown. */
enum kb_status s3_given_up(struct kb_error *err);
/* Runs `work` in that many threads, the caller's among them, until each has
 * returned. What the system denies of threads is done without. */
KB_MUST_CHECK enum kb_status s3_crew_run(struct s3_crew *crew, unsigned threads,
                                         void (*work)(void *ctx), void *ctx,
                                         struct kb_error *err);

/* --- buffers of parts (pool.c) ------------------------------------------------------------ */

/* Buffers that are used again, of at most `max` bytes in all, or a single one. */
struct s3_pool {
    pthread_mutex_t lock;
    pthread_cond_t given;
    struct s3_slab *free;
    size_t held, max;
};
void s3_pool_init(struct s3_pool *pool, size_t max);
void s3_pool_free(struct s3_pool *pool);
/* Waits until there is room. Sizes never shrink from call to call. */
KB_MUST_CHECK enum kb_status s3_pool_take(struct s3_pool *pool, struct s3_slab **out, size_t size,
                                          struct kb_error *err);
void s3_pool_give(struct s3_pool *pool, struct s3_slab *slab); /* NULL is ignored */
struct s3_slab {
    struct s3_slab *next;
    size_t size;
    uint8_t data[];
};

/* --- sizes of parts (plan.c) ---------------------------------------------------------------- */

struct s3_plan {
    uint64_t part_size; /* of the first parts */
    uint64_t growth;    /* so many parts have each size, a multiple of part_size; 0: all have one */
    uint64_t single;    /* up to that many bytes go in one PUT */
    size_t memory;      /* bytes of all buffers */
    bool spans;         /* parts are not held, but sent from the source */
};
/* KB_ERR_USAGE for a part size that S3 does not take, or that is too small for
 * the source. */
KB_MUST_CHECK enum kb_status s3_plan_make(struct s3_plan *out, const struct kb_s3_upload *upload,
                                          const struct kb_s3_source *source, unsigned connections,
                                          struct kb_error *err);
/* Bytes of part `number`, counted from 1. */
uint64_t s3_plan_size(const struct s3_plan *plan, unsigned number);

/* --- parts that are not held (span.c) --------------------------------------------------------- */

enum { S3_PIECE_SIZE = 256 * 1024 };

/* A part of a source that has read_at: it is measured, and read again as it is sent. */
struct s3_span {
    const struct kb_s3_source *source;
    uint64_t offset, size;
    const atomic_bool *stopped; /* it is not worth going on */
    bool with_md5;
    uint8_t sha256[32], md5[16]; /* of its bytes */
    struct kb_digest *sent;      /* of what was sent so far */
};
/* Makes the hashes; `whole`, or NULL, gets the bytes, too. `piece` has S3_PIECE_SIZE bytes.
 * KB_ERR_INPUT: the source is shorter than it said, or behind its last part longer. */
KB_MUST_CHECK enum kb_status s3_span_measure(struct s3_span *span, struct kb_digest *whole,
                                             uint8_t *piece, struct kb_error *err);
/* What sends it: a view. Its last byte comes only when what came is what was measured;
 * else KB_ERR_INPUT. */
struct kb_s3_source s3_span_view(struct s3_span *span);
void s3_span_end(struct s3_span *span);
/* KB_ERR_INPUT: it "shrank", say. */
enum kb_status s3_source_changed(struct kb_error *err, const char *how);

#endif
