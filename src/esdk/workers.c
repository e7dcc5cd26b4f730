/* SPDX-License-Identifier: Apache-2.0
 *
 * Many regular frames at once. They are shared out in chunks; a caller with
 * workers does chunks too, and for a signed message it first of all hashes:
 * the hash goes through the frames in order and is what takes longest.
 */
#include "esdk/message.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

enum {
    CHUNK_BYTES = 32 * 1024, /* what one thread takes at a time, unless a frame has more */
    CHUNKS_MAX = 1024,       /* of one run */
    SPREAD_LEAST = 128 * 1024, /* bytes for which threads are worth waking */
};

/* A thread's key, and the first frame it found wrong. */
struct member {
    struct esdk_workers *workers;
    struct kb_gcm *gcm;
    size_t bad;
    enum kb_status status;
    struct kb_error error;
};

/* One run as all threads see it. */
struct job {
    const struct kb_esdk_message *message;
    const uint8_t *in;
    uint8_t *out;
    size_t count;      /* frames */
    uint32_t sequence; /* of the first */
    size_t chunk;      /* frames */
    size_t chunks;
};

struct esdk_workers {
    pthread_t threads[ESDK_WORKERS_MAX];
    struct member members[ESDK_WORKERS_MAX]; /* of the threads */
    unsigned started;
    pthread_mutex_t lock;
    pthread_cond_t work; /* there is a round, or the end */
    pthread_cond_t idle; /* nobody is busy */
    bool ending;
    bool open; /* the round can be joined */
    unsigned long round;
    unsigned busy; /* threads that joined it */
    struct job job;
    atomic_size_t next; /* chunk that nobody has yet */
    atomic_size_t bad;  /* the first frame that is wrong, or the count */
    atomic_bool ready[CHUNKS_MAX];
};

/* --- a chunk ------------------------------------------------------------------- */

static size_t wire_stride(const struct kb_esdk_message *message)
{
    return (size_t)message->frame_length + ESDK_FRAME_OVERHEAD;
}

static enum kb_status do_frame(const struct job *job, struct kb_gcm *gcm, size_t i,
                               struct kb_error *err)
{
    const struct kb_esdk_message *message = job->message;
    const size_t plain = i * message->frame_length, wire = i * wire_stride(message);
    const struct kb_bytes id = message->header->info.message_id;
    const uint32_t sequence = job->sequence + (uint32_t)i;
    struct esdk_frame frame = {
        .kind = ESDK_REGULAR, .sequence = sequence, .size = message->frame_length};
    enum kb_status status;

    if (message->writing)
        return esdk_frame_seal(gcm, &frame, id, job->in + plain, job->out + wire, err);
    status = esdk_frame_read(&frame, job->in + wire, sequence, message->frame_length, err);
    if (status != KB_OK)
        return status;
    return esdk_frame_open(gcm, &frame, id,
                           job->in + wire + esdk_frame_prefix(ESDK_REGULAR),
                           job->out + plain, err);
}

static size_t chunk_end(const struct job *job, size_t chunk)
{
    size_t end = (chunk + 1) * job->chunk;

    return end < job->count ? end : job->count;
}

/* Stops at the first frame that is wrong. */
static void do_chunk(const struct job *job, struct member *member, size_t chunk)
{
    struct kb_error error = {.status = KB_OK};

    for (size_t i = chunk * job->chunk; i < chunk_end(job, chunk); i++) {
        enum kb_status status = do_frame(job, member->gcm, i, &error);

        if (status == KB_OK)
            continue;
        if (i < member->bad) {
            member->bad = i;
            member->status = status;
            member->error = error;
        }
        return;
    }
}

/* What of the chunk is on the wire, into the signature. */
static enum kb_status hash_chunk(struct kb_esdk_message *message, const struct job *job,
                                 size_t chunk, struct kb_error *err)
{
    const uint8_t *wire = message->writing ? job->out : job->in;
    const size_t first = chunk * job->chunk, stride = wire_stride(message);

    return esdk_sign_over(message, wire + first * stride,
                          (chunk_end(job, chunk) - first) * stride, err);
}

/* --- threads ---------------------------------------------------------------------- */

/* Does one chunk that nobody has; false when there is none. */
static bool take_chunk(struct esdk_workers *workers, struct member *member)
{
    const struct job *job = &workers->job;
    size_t chunk = atomic_fetch_add(&workers->next, 1), bad;

    if (chunk >= job->chunks)
        return false;
    bad = atomic_load(&workers->bad);
    if (chunk * job->chunk < bad)
        do_chunk(job, member, chunk);
    while (member->bad < bad && !atomic_compare_exchange_weak(&workers->bad, &bad, member->bad))
        ;
    atomic_store(&workers->ready[chunk], true);
    return true;
}

static void *worker_thread(void *argument)
{
    struct member *member = argument;
    struct esdk_workers *workers = member->workers;
    unsigned long seen = 0;

    pthread_mutex_lock(&workers->lock);
    for (;;) {
        while (!workers->ending && (!workers->open || workers->round == seen))
            pthread_cond_wait(&workers->work, &workers->lock);
        if (workers->ending)
            break;
        seen = workers->round;
        workers->busy++;
        pthread_mutex_unlock(&workers->lock);
        while (take_chunk(workers, member))
            ;
        pthread_mutex_lock(&workers->lock);
        if (--workers->busy == 0)
            pthread_cond_signal(&workers->idle);
    }
    pthread_mutex_unlock(&workers->lock);
    return NULL;
}

/* Threads beside the caller's own; a thread that cannot be had is done without. */
static struct esdk_workers *workers_new(const struct kb_esdk_message *message)
{
    struct esdk_workers *workers = calloc(1, sizeof *workers);

    if (!workers)
        return NULL;
    pthread_mutex_init(&workers->lock, NULL);
    pthread_cond_init(&workers->work, NULL);
    pthread_cond_init(&workers->idle, NULL);
    for (; workers->started + 1 < message->esdk->options.workers; workers->started++) {
        struct member *member = &workers->members[workers->started];

        member->workers = workers;
        if (kb_gcm_new(&member->gcm, kb_secret_view(message->key), NULL) != KB_OK ||
            pthread_create(&workers->threads[workers->started], NULL, worker_thread, member) != 0)
            break;
    }
    return workers;
}

void esdk_workers_free(struct esdk_workers *workers)
{
    if (!workers)
        return;
    pthread_mutex_lock(&workers->lock);
    workers->ending = true;
    pthread_cond_broadcast(&workers->work);
    pthread_mutex_unlock(&workers->lock);
    for (unsigned i = 0; i < workers->started; i++)
        pthread_join(workers->threads[i], NULL);
    for (unsigned i = 0; i < ESDK_WORKERS_MAX; i++)
        kb_gcm_free(workers->members[i].gcm);
    pthread_cond_destroy(&workers->idle);
    pthread_cond_destroy(&workers->work);
    pthread_mutex_destroy(&workers->lock);
    free(workers);
}

static void start_round(struct esdk_workers *workers, const struct job *job)
{
    pthread_mutex_lock(&workers->lock);
    workers->job = *job;
    atomic_store(&workers->next, 0);
    atomic_store(&workers->bad, job->count);
    for (size_t i = 0; i < job->chunks; i++)
        atomic_store_explicit(&workers->ready[i], false, memory_order_relaxed);
    for (unsigned i = 0; i < workers->started; i++)
        workers->members[i].bad = job->count;
    workers->open = true;
    workers->round++;
    pthread_cond_broadcast(&workers->work);
    pthread_mutex_unlock(&workers->lock);
}

/* Hashes in order. What is written has to be sealed first: the caller helps
 * while the next chunk is not. */
static enum kb_status hash_all(struct kb_esdk_message *message, struct member *own,
                               struct kb_error *err)
{
    struct esdk_workers *workers = message->workers;
    enum kb_status status = KB_OK;

    for (size_t i = 0; status == KB_OK && i < workers->job.chunks; i++) {
        while (message->writing && !atomic_load(&workers->ready[i]))
            if (!take_chunk(workers, own))
                sched_yield(); /* somebody is at it */
        status = hash_chunk(message, &workers->job, i, err);
    }
    return status;
}

static enum kb_status spread(struct kb_esdk_message *message, const struct job *job,
                             struct member *own, struct kb_error *err)
{
    struct esdk_workers *workers = message->workers;
    enum kb_status status = KB_OK;

    start_round(workers, job);
    if (message->signature)
        status = hash_all(message, own, err);
    while (take_chunk(workers, own))
        ;
    pthread_mutex_lock(&workers->lock);
    workers->open = false; /* a thread that is late is not waited for */
    while (workers->busy)
        pthread_cond_wait(&workers->idle, &workers->lock);
    pthread_mutex_unlock(&workers->lock);
    for (unsigned i = 0; i < workers->started; i++)
        if (workers->members[i].bad < own->bad)
            *own = workers->members[i];
    return status;
}

static enum kb_status do_alone(struct kb_esdk_message *message, const struct job *job,
                               struct member *own, struct kb_error *err)
{
    enum kb_status status = KB_OK;

    for (size_t i = 0; status == KB_OK && own->bad == job->count && i < job->chunks; i++) {
        do_chunk(job, own, i);
        status = hash_chunk(message, job, i, err);
    }
    return status;
}

enum kb_status esdk_frames_run(struct kb_esdk_message *message, struct kb_esdk_step *step,
                               size_t count, struct kb_error *err)
{
    const size_t length = message->frame_length, wire = wire_stride(message);
    const size_t in_stride = message->writing ? length : wire;
    const size_t out_stride = message->writing ? wire : length;
    struct job job = {
        .message = message,
        .in = step->in.data,
        .out = step->out + step->made,
        .count = count,
        .sequence = (uint32_t)message->sequence,
        .chunk = length < CHUNK_BYTES ? CHUNK_BYTES / length : 1,
    };
    struct member own = {.gcm = message->gcm, .status = KB_OK};
    enum kb_status status;
    size_t good;
    bool many;

    if (count / job.chunk >= CHUNKS_MAX)
        job.count = job.chunk * CHUNKS_MAX;
    job.chunks = (job.count + job.chunk - 1) / job.chunk;
    own.bad = job.count;
    many = message->key && job.chunks > 1 && job.count * length >= SPREAD_LEAST;
    if (many && !message->workers)
        message->workers = workers_new(message);
    status = many && message->workers ? spread(message, &job, &own, err)
                                      : do_alone(message, &job, &own, err);
    good = status == KB_OK ? own.bad : 0;
    esdk_take(step, good * in_stride);
    step->made += good * out_stride;
    message->sequence += good;
    if (good == job.count)
        return KB_OK;
    kb_wipe(job.out + good * out_stride, (job.count - good) * out_stride);
    if (status == KB_OK) {
        status = own.status;
        if (err && err->status == KB_OK)
            *err = own.error;
    }
    return status;
}
