/* SPDX-License-Identifier: Apache-2.0
 *
 * Batches go round a ring: filled by the caller, worked on by the next free
 * thread, given to the sink by the caller in the order they were filled.
 */
#include <keybridge/stream.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum {
    WORKERS_MAX = 64,
    BATCH_BYTES = 256 * 1024,             /* a batch is sent when it has as many, or is full */
    LINE_BYTES_MAX = 4 * 1024 * 1024 + 1, /* more is no item; it is refused by its parser */
};

enum batch_state { BATCH_FREE, BATCH_FILLED, BATCH_TAKEN, BATCH_DONE };

struct batch {
    enum batch_state state;
    struct kb_line lines[KB_LINES_MAX];
    size_t count;
    struct kb_buffer in;
    struct kb_buffer out;
    enum kb_status status; /* of the run, as this batch saw it */
    struct kb_error error;
};

struct kb_stream {
    struct kb_ddbec *ddbec;
    struct kb_stream_options options;
    pthread_t threads[WORKERS_MAX];
    unsigned started;
    pthread_mutex_t lock;
    pthread_cond_t filled; /* there is work, or the end */
    pthread_cond_t done;   /* a batch is done */
    bool ending;
    struct batch *ring;
    size_t ring_size;
    size_t fill; /* the caller's place: this batch is being filled */
    size_t take; /* the next one for a thread */
    size_t give; /* the next one for the sink */
    enum kb_status status; /* first failure of the run; sticks */
    struct kb_error error;
};

/* Copies what the worker made, since its buffer serves the next batch. */
static enum kb_status keep_output(struct batch *batch, struct kb_error *err)
{
    enum kb_status status;
    size_t at = 0;

    for (size_t i = 0; i < batch->count; i++)
        kb_buffer_put_bytes(&batch->out, batch->lines[i].out);
    status = kb_buffer_check(&batch->out, err);
    for (size_t i = 0; status == KB_OK && i < batch->count; i++) {
        batch->lines[i].out.data = batch->out.data + at;
        at += batch->lines[i].out.size;
    }
    return status;
}

static void work_on(struct kb_stream *stream, struct kb_worker **worker, struct batch *batch)
{
    kb_error_clear(&batch->error);
    batch->status = KB_OK;
    if (!*worker)
        batch->status = kb_worker_new(worker, stream->ddbec, &batch->error);
    if (batch->status == KB_OK)
        batch->status =
            stream->options.decrypt
                ? kb_ddbec_decrypt(*worker, batch->lines, batch->count, &batch->error)
                : kb_ddbec_encrypt(*worker, batch->lines, batch->count, &batch->error);
    if (batch->status == KB_OK)
        batch->status = keep_output(batch, &batch->error);
}

static void *worker_thread(void *argument)
{
    struct kb_stream *stream = argument;
    struct kb_worker *worker = NULL;

    pthread_mutex_lock(&stream->lock);
    for (;;) {
        struct batch *batch = &stream->ring[stream->take];

        if (stream->ending)
            break;
        if (batch->state != BATCH_FILLED) {
            pthread_cond_wait(&stream->filled, &stream->lock);
            continue;
        }
        batch->state = BATCH_TAKEN;
        stream->take = (stream->take + 1) % stream->ring_size;
        pthread_mutex_unlock(&stream->lock);
        work_on(stream, &worker, batch);
        pthread_mutex_lock(&stream->lock);
        batch->state = BATCH_DONE;
        pthread_cond_signal(&stream->done);
    }
    pthread_mutex_unlock(&stream->lock);
    kb_worker_free(worker);
    return NULL;
}

static enum kb_status fail(struct kb_stream *stream, const struct kb_error *error)
{
    if (stream->status == KB_OK) {
        stream->status = error->status == KB_OK ? KB_ERR_SYSTEM : error->status;
        stream->error = *error;
    }
    return stream->status;
}

/* Gives the oldest batch to the sink and frees it. With `wait`, waits until it
 * is done; without, false when it is not. The lock is not held. */
static bool give_one(struct kb_stream *stream, bool wait)
{
    struct batch *batch = &stream->ring[stream->give];
    struct kb_error error = {0};

    pthread_mutex_lock(&stream->lock);
    while (wait && (batch->state == BATCH_FILLED || batch->state == BATCH_TAKEN))
        pthread_cond_wait(&stream->done, &stream->lock);
    bool done = batch->state == BATCH_DONE;
    pthread_mutex_unlock(&stream->lock);
    if (!done)
        return false;
    if (batch->status != KB_OK)
        fail(stream, &batch->error);
    if (stream->status == KB_OK &&
        stream->options.sink(stream->options.ctx, batch->lines, batch->count, &error) != KB_OK)
        fail(stream, &error);
    batch->count = 0;
    kb_buffer_reset(&batch->in);
    kb_buffer_reset(&batch->out);
    pthread_mutex_lock(&stream->lock);
    batch->state = BATCH_FREE;
    pthread_mutex_unlock(&stream->lock);
    stream->give = (stream->give + 1) % stream->ring_size;
    return true;
}

/* Hands the batch being filled to the threads, and makes sure that the next
 * one is free. */
static void send(struct kb_stream *stream)
{
    struct batch *batch = &stream->ring[stream->fill];
    size_t at = 0;

    for (size_t i = 0; i < batch->count; i++) {
        batch->lines[i].in.data = batch->in.data + at;
        at += batch->lines[i].in.size;
    }
    pthread_mutex_lock(&stream->lock);
    batch->state = BATCH_FILLED;
    pthread_cond_signal(&stream->filled);
    pthread_mutex_unlock(&stream->lock);
    stream->fill = (stream->fill + 1) % stream->ring_size;
    /* One out for one in, so that the threads have batches ahead of them while
     * the sink is slow. */
    (void)give_one(stream, stream->give == stream->fill);
}

static enum kb_status copy_error(struct kb_stream *stream, struct kb_error *err)
{
    if (stream->status != KB_OK && err && err->status == KB_OK)
        *err = stream->error;
    return stream->status;
}

enum kb_status kb_stream_put(struct kb_stream *stream, uint64_t number, struct kb_bytes in,
                             struct kb_error *err)
{
    struct batch *batch = &stream->ring[stream->fill];
    struct kb_line *line = &batch->lines[batch->count];
    struct kb_error error = {0};

    if (stream->status != KB_OK)
        return copy_error(stream, err);
    if (in.size > LINE_BYTES_MAX)
        in.size = LINE_BYTES_MAX;
    kb_buffer_put_bytes(&batch->in, in);
    if (kb_buffer_check(&batch->in, &error) != KB_OK) {
        fail(stream, &error);
        return copy_error(stream, err);
    }
    line->number = number;
    line->in = (struct kb_bytes){NULL, in.size}; /* set by send: the buffer may move */
    line->out = (struct kb_bytes){NULL, 0};
    kb_error_clear(&line->error);
    batch->count++;
    if (batch->count == KB_LINES_MAX || batch->in.size >= BATCH_BYTES)
        send(stream);
    return copy_error(stream, err);
}

enum kb_status kb_stream_drain(struct kb_stream *stream, struct kb_error *err)
{
    if (stream->ring[stream->fill].count)
        send(stream);
    while (stream->give != stream->fill && give_one(stream, true))
        ;
    return copy_error(stream, err);
}

static bool start_threads(struct kb_stream *stream)
{
    while (stream->started < stream->options.workers) {
        if (pthread_create(&stream->threads[stream->started], NULL, worker_thread, stream) != 0)
            return false;
        stream->started++;
    }
    return true;
}

enum kb_status kb_stream_new(struct kb_stream **out, struct kb_ddbec *ddbec,
                             const struct kb_stream_options *options, struct kb_error *err)
{
    struct kb_stream *stream = calloc(1, sizeof *stream);

    *out = NULL;
    if (!stream)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    stream->options = *options;
    if (!stream->options.workers)
        stream->options.workers = 1;
    if (stream->options.workers > WORKERS_MAX)
        stream->options.workers = WORKERS_MAX;
    stream->ddbec = kb_ddbec_retain(ddbec);
    pthread_mutex_init(&stream->lock, NULL);
    pthread_cond_init(&stream->filled, NULL);
    pthread_cond_init(&stream->done, NULL);
    /* One in work and one waiting for each thread, and one being filled. */
    stream->ring_size = stream->options.workers * 2 + 1;
    stream->ring = calloc(stream->ring_size, sizeof *stream->ring);
    for (size_t i = 0; stream->ring && i < stream->ring_size; i++) {
        stream->ring[i].in.max = BATCH_BYTES + LINE_BYTES_MAX;
        stream->ring[i].out.max = SIZE_MAX / 2;
    }
    if (!stream->ring || !start_threads(stream)) {
        kb_stream_free(stream);
        return kb_error_set(err, KB_ERR_MEMORY, "the workers could not be started");
    }
    *out = stream;
    return KB_OK;
}

void kb_stream_free(struct kb_stream *stream)
{
    if (!stream)
        return;
    pthread_mutex_lock(&stream->lock);
    stream->ending = true;
    pthread_cond_broadcast(&stream->filled);
    pthread_mutex_unlock(&stream->lock);
    for (unsigned i = 0; i < stream->started; i++)
        pthread_join(stream->threads[i], NULL);
    for (size_t i = 0; stream->ring && i < stream->ring_size; i++) {
        kb_buffer_free(&stream->ring[i].in);
        kb_buffer_free(&stream->ring[i].out);
    }
    free(stream->ring);
    pthread_cond_destroy(&stream->filled);
    pthread_cond_destroy(&stream->done);
    pthread_mutex_destroy(&stream->lock);
    kb_ddbec_release(stream->ddbec);
    free(stream);
}
