/* SPDX-License-Identifier: Apache-2.0
 *
 * A thread downloads into a ring of bytes, and the upload reads from it.
 */
#include "sealed/object_pipe.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { RING_SIZE = 1024 * 1024 };

struct ring {
    struct kb_s3 *s3;
    const struct object_pipe_from *from;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint8_t *bytes;
    size_t at, count; /* the oldest byte, and how many there are */
    bool ended;       /* the download has, with: */
    bool broken;      /* nobody reads any more */
    enum kb_status status;
    struct kb_error error;
};

static size_t put_some(struct ring *ring, struct kb_bytes bytes)
{
    size_t end = (ring->at + ring->count) % RING_SIZE;
    size_t room = RING_SIZE - ring->count;
    size_t size = bytes.size < room ? bytes.size : room;
    size_t first = size < RING_SIZE - end ? size : RING_SIZE - end;

    memcpy(ring->bytes + end, bytes.data, first);
    memcpy(ring->bytes, bytes.data + first, size - first);
    ring->count += size;
    return size;
}

static enum kb_status ring_write(void *ctx, struct kb_bytes bytes, struct kb_error *err)
{
    struct ring *ring = ctx;

    pthread_mutex_lock(&ring->lock);
    while (bytes.size && !ring->broken) {
        size_t put = put_some(ring, bytes);

        bytes.data += put;
        bytes.size -= put;
        pthread_cond_broadcast(&ring->changed);
        if (bytes.size)
            pthread_cond_wait(&ring->changed, &ring->lock);
    }
    pthread_mutex_unlock(&ring->lock);
    return bytes.size ? kb_error_set(err, KB_ERR_SYSTEM, "the copy was given up") : KB_OK;
}

static enum kb_status ring_read(void *ctx, uint8_t *out, size_t room, size_t *size,
                                struct kb_error *err)
{
    struct ring *ring = ctx;
    enum kb_status status;
    size_t first;

    pthread_mutex_lock(&ring->lock);
    /* The last byte is held back until the download is known to be good: an upload of
     * known size might not ask again behind it. */
    while (ring->count < 2 && !ring->ended)
        pthread_cond_wait(&ring->changed, &ring->lock);
    *size = ring->ended ? ring->count : ring->count - 1;
    *size = room < *size ? room : *size;
    first = *size < RING_SIZE - ring->at ? *size : RING_SIZE - ring->at;
    memcpy(out, ring->bytes + ring->at, first);
    memcpy(out + first, ring->bytes, *size - first);
    ring->at = (ring->at + *size) % RING_SIZE;
    ring->count -= *size;
    status = ring->status;
    if (status != KB_OK && err && err->status == KB_OK)
        *err = ring->error;
    pthread_cond_broadcast(&ring->changed);
    pthread_mutex_unlock(&ring->lock);
    return status;
}

static enum kb_status download(struct ring *ring, struct kb_error *err)
{
    struct kb_s3_download download = *ring->from->download;
    struct kb_s3_downloaded got;
    enum kb_status status;

    memset(&got, 0, sizeof got);
    download.get.write = ring_write;
    download.get.ctx = ring;
    download.no_sha256 = !ring->from->sha256;
    status = kb_s3_download(ring->s3, ring->from->name, &download, &got, err);
    if (status == KB_OK && ring->from->sha256 && memcmp(got.sha256, ring->from->sha256, 32) != 0)
        status = kb_error_set(err, KB_ERR_AUTH,
                              "s3://%s/%s is not what was stored: its SHA-256 is another",
                              ring->from->name->bucket, ring->from->name->key);
    if (status == KB_OK && ring->from->check)
        status = ring->from->check(ring->from->ctx, err);
    kb_s3_object_free(&got.object);
    return status;
}

static void *run_download(void *argument)
{
    struct ring *ring = argument;
    struct kb_error error = {.status = KB_OK};
    enum kb_status status = download(ring, &error);

    pthread_mutex_lock(&ring->lock);
    ring->ended = true;
    ring->status = status;
    ring->error = error;
    pthread_cond_broadcast(&ring->changed);
    pthread_mutex_unlock(&ring->lock);
    return NULL;
}

static enum kb_status run_upload(struct kb_s3_uploaded *out, struct ring *ring,
                                 const struct object_pipe_to *to, struct kb_error *err)
{
    const struct kb_s3_source source = {.read = ring_read, .ctx = ring, .size = to->size};
    pthread_t thread;
    enum kb_status status;

    if (pthread_create(&thread, NULL, run_download, ring) != 0)
        return kb_error_set(err, KB_ERR_MEMORY, "no thread for the copy");
    status = kb_s3_upload(ring->s3, to->name, to->upload, &source, out, err);
    pthread_mutex_lock(&ring->lock);
    ring->broken = true;
    pthread_cond_broadcast(&ring->changed);
    pthread_mutex_unlock(&ring->lock);
    pthread_join(thread, NULL);
    return status;
}

enum kb_status object_pipe(struct kb_s3_uploaded *out, struct kb_s3 *s3,
                           const struct object_pipe_from *from, const struct object_pipe_to *to,
                           struct kb_error *err)
{
    struct ring ring = {.s3 = s3, .from = from};
    enum kb_status status;

    ring.bytes = malloc(RING_SIZE);
    if (!ring.bytes)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    pthread_mutex_init(&ring.lock, NULL);
    pthread_cond_init(&ring.changed, NULL);
    status = run_upload(out, &ring, to, err);
    pthread_cond_destroy(&ring.changed);
    pthread_mutex_destroy(&ring.lock);
    kb_wipe(ring.bytes, RING_SIZE);
    free(ring.bytes);
    return status;
}
