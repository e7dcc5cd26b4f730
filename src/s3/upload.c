/* SPDX-License-Identifier: Apache-2.0
 *
 * Uploads of any size. Each thread takes the next part off the source, in order,
 * and sends it while others take theirs. What fits one PUT needs no threads. Long
 * parts of a file are only measured in order; each thread then reads its own again.
 */
#include "s3/transfer.h"

#include "crypto/digest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct upload {
    struct kb_s3 *s3;
    const struct kb_s3_name *name;
    const struct kb_s3_upload *options;
    const struct kb_s3_source *source;
    struct kb_s3_uploaded *out;
    struct s3_plan plan;
    struct s3_pool pool;
    struct s3_crew crew;
    char *id;
    bool remembered; /* the caller knows the id */
    char fingerprint[KB_S3_FINGERPRINT_SIZE]; /* of the customer key, or "" */
    struct kb_s3_part *parts;                 /* by number: as they were listed, then as they are */
    const struct kb_s3_known_part **known;    /* by number; NULL when nothing is resumed */
    /* Under `reading`. */
    pthread_mutex_t reading;
    struct s3_slab *first; /* read before the others, */
    size_t first_size;     /* as many bytes */
    uint8_t ahead;         /* a byte read to see whether there is one */
    bool has_ahead, ended, too_long;
    bool broken;           /* a read failed: what comes next would be of no part */
    unsigned count;        /* parts so far */
    uint64_t size;         /* bytes so far */
    /* Under `hashing`. Whoever goes from reading to hashing has both in between,
     * so that nobody overtakes. */
    pthread_mutex_t hashing;
    struct kb_digest *digest; /* of all bytes; NULL when nobody asks for it */
    /* Under crew.lock, as all calls of the caller's functions but the source. */
    struct kb_s3_object echo; /* of an answer to a part, or to the beginning */
    uint64_t done;
};

struct chunk {
    unsigned number;
    struct s3_slab *slab; /* its bytes; NULL: they are not held */
    struct s3_span span;  /* but sent from here */
    uint64_t size;        /* without slab 0: there is none */
    uint8_t sha256[32]; /* of all bytes up to its end, which the journal knows it by */
};

static struct kb_bytes chunk_bytes(const struct chunk *chunk)
{
    return chunk->slab ? (struct kb_bytes){chunk->slab->data, (size_t)chunk->size}
                       : (struct kb_bytes){NULL, 0};
}

/* --- the source --------------------------------------------------------------------------- */

/* Fills `out`, or less at the end; gives up between two reads when another part has failed. */
static enum kb_status read_source(struct upload *run, uint8_t *out, size_t room, size_t *got,
                                  struct kb_error *err)
{
    *got = 0;
    if (run->has_ahead && room) {
        out[(*got)++] = run->ahead;
        run->has_ahead = false;
    }
    while (*got < room && !run->ended) {
        size_t size = 0;
        enum kb_status status;

        if (atomic_load(&run->crew.stopped))
            return s3_given_up(err);
        status = run->source->read(run->source->ctx, out + *got, room - *got, &size, err);
        if (status != KB_OK)
            return status;
        run->ended = size == 0;
        run->size += size;
        *got += size;
    }
    if (run->source->size == KB_S3_SIZE_UNKNOWN)
        return KB_OK;
    if (run->size > run->source->size)
        return s3_source_changed(err, "grew");
    return run->ended && run->size < run->source->size ? s3_source_changed(err, "shrank") : KB_OK;
}

/* Whether there is nothing more. */
static enum kb_status look_ahead(struct upload *run, struct kb_error *err)
{
    size_t got = 1;
    enum kb_status status = KB_OK;

    if (!run->has_ahead && !run->ended) {
        status = read_source(run, &run->ahead, 1, &got, err);
        run->has_ahead = status == KB_OK && got == 1;
    }
    return status;
}

/* The next part, in order. */
static enum kb_status read_chunk(struct upload *run, struct chunk *chunk, struct kb_error *err)
{
    enum kb_status status = KB_OK;
    size_t got = 0;

    chunk->number = run->count + 1;
    if (run->first) {
        chunk->slab = run->first;
        chunk->size = run->first_size;
        run->first = NULL;
        run->count++;
        return KB_OK;
    }
    if (run->count == KB_S3_PARTS_MAX || run->size == run->source->size)
        status = look_ahead(run, err);
    if (status != KB_OK || (run->ended && !run->has_ahead))
        return status;
    if (run->count == KB_S3_PARTS_MAX) {
        run->too_long = true;
        kb_error_set(err, KB_ERR_USAGE, "the source has more bytes than %d parts",
                     KB_S3_PARTS_MAX);
        kb_error_hint(err, "make the parts larger");
        return KB_ERR_USAGE;
    }
    status = s3_pool_take(&run->pool, &chunk->slab,
                          (size_t)s3_plan_size(&run->plan, chunk->number), err);
    if (status == KB_OK)
        status = read_source(run, chunk->slab->data, chunk->slab->size, &got, err);
    chunk->size = got;
    if (status == KB_OK && chunk->size == 0) {
        s3_pool_give(&run->pool, chunk->slab);
        chunk->slab = NULL;
    } else if (status == KB_OK) {
        run->count++;
    }
    return status;
}

static enum kb_status peek_digest(const struct upload *run, struct chunk *chunk,
                                  struct kb_error *err)
{
    if (!run->options->journal && !run->known)
        return KB_OK;
    return kb_digest_peek(run->digest, chunk->sha256, err);
}

/* In the parts' order. */
static enum kb_status hash_chunk(struct upload *run, struct chunk *chunk, struct kb_error *err)
{
    enum kb_status status = kb_digest_update(run->digest, chunk_bytes(chunk), err);

    return status == KB_OK ? peek_digest(run, chunk, err) : status;
}

/* "PutObject": a request with Object Lock has to have it. */
static bool wants_md5(const struct upload *run)
{
    const struct kb_s3_put *put = &run->options->put;

    return (put->lock_mode && put->lock_mode[0]) || put->legal_hold;
}

/* The next part of those that are not held, hashed on the way: reading and hashing
 * are one here, so that `reading` alone guards the digest. */
static enum kb_status measure_chunk(struct upload *run, struct chunk *chunk, struct kb_error *err)
{
    uint64_t left = run->source->size - run->size;
    struct s3_slab *piece;
    enum kb_status status;

    if (left == 0)
        return KB_OK;
    chunk->number = ++run->count;
    chunk->size = left < run->plan.part_size ? left : run->plan.part_size;
    chunk->span = (struct s3_span){.source = run->source,
                                   .offset = run->size,
                                   .size = chunk->size,
                                   .stopped = &run->crew.stopped,
                                   .with_md5 = wants_md5(run)};
    run->size += chunk->size;
    status = s3_pool_take(&run->pool, &piece, S3_PIECE_SIZE, err);
    if (status == KB_OK)
        status = s3_span_measure(&chunk->span, run->digest, piece->data, err);
    if (status == KB_OK)
        status = peek_digest(run, chunk, err);
    s3_pool_give(&run->pool, piece);
    return status;
}

static enum kb_status take_chunk(struct upload *run, struct chunk *chunk, struct kb_error *err)
{
    enum kb_status status;

    pthread_mutex_lock(&run->reading);
    status = run->broken       ? KB_OK
             : run->plan.spans ? measure_chunk(run, chunk, err)
                               : read_chunk(run, chunk, err);
    run->broken = run->broken || status != KB_OK;
    pthread_mutex_lock(&run->hashing);
    pthread_mutex_unlock(&run->reading);
    if (status == KB_OK && chunk->slab && run->digest)
        status = hash_chunk(run, chunk, err);
    pthread_mutex_unlock(&run->hashing);
    return status;
}

/* Reads what decides between one PUT and many parts. */
static enum kb_status read_first(struct upload *run, bool *single, struct kb_error *err)
{
    uint64_t size = run->source->size;
    uint64_t room = size <= run->plan.single && !run->options->resume ? size : run->plan.part_size;
    enum kb_status status = s3_pool_take(&run->pool, &run->first, (size_t)room, err);

    if (status == KB_OK)
        status = read_source(run, run->first->data, (size_t)room, &run->first_size, err);
    if (status == KB_OK && run->size == room)
        status = look_ahead(run, err);
    *single = run->ended && run->size <= run->plan.single && !run->options->resume;
    return status;
}

/* --- what answers tell ------------------------------------------------------------------------ */

/* Also remembers it. False when the customer key was not confirmed. */
static bool check_echo(struct upload *run, const struct kb_s3_object *object)
{
    bool good = !run->fingerprint[0] || (strcmp(object->fingerprint, run->fingerprint) == 0 &&
                                         strcmp(object->customer_algorithm, "AES256") == 0);

    run->out->echoed = run->out->echoed && good;
    if (object->sse == KB_S3_SSE_NONE)
        return good;
    run->echo.sse = object->sse;
    run->echo.bucket_key = object->bucket_key;
    memcpy(run->echo.customer_algorithm, object->customer_algorithm,
           sizeof run->echo.customer_algorithm);
    memcpy(run->echo.fingerprint, object->fingerprint, sizeof run->echo.fingerprint);
    memcpy(run->echo.kms_key, object->kms_key, sizeof run->echo.kms_key);
    return good;
}

/* The answer to the end of an upload often tells nothing of SSE-C. */
static void complete_echo(const struct kb_s3_object *echo, struct kb_s3_object *object)
{
    if (object->sse != KB_S3_SSE_NONE)
        return;
    object->sse = echo->sse;
    object->bucket_key = echo->bucket_key;
    memcpy(object->customer_algorithm, echo->customer_algorithm,
           sizeof object->customer_algorithm);
    memcpy(object->fingerprint, echo->fingerprint, sizeof object->fingerprint);
    memcpy(object->kms_key, echo->kms_key, sizeof object->kms_key);
}

/* `bytes` more are stored. The lock is held. */
static enum kb_status progress(struct upload *run, uint64_t bytes, struct kb_error *err)
{
    run->done += bytes;
    return run->options->progress ? run->options->progress(run->options->ctx, run->done, err)
                                  : KB_OK;
}

/* --- one part --------------------------------------------------------------------------------- */

static enum kb_status tell_journal(struct upload *run, const struct kb_s3_part *part,
                                   const uint8_t sha256[32], struct kb_error *err)
{
    const struct kb_s3_journal *journal = run->options->journal;
    enum kb_status status;

    if (!journal)
        return KB_OK;
    pthread_mutex_lock(&run->crew.lock);
    status = journal->part(journal->ctx, part, sha256, err);
    pthread_mutex_unlock(&run->crew.lock);
    return status;
}

/* Whether the server has the part already. KB_ERR_INPUT when its bytes are not
 * those that were sent, or were about to be, when the upload was begun. */
static enum kb_status find_kept(const struct upload *run, const struct chunk *chunk, bool *kept,
                                struct kb_error *err)
{
    const struct kb_s3_known_part *known = run->known ? run->known[chunk->number - 1] : NULL;
    const struct kb_s3_part *listed = &run->parts[chunk->number - 1];

    *kept = false;
    if (!known)
        return KB_OK;
    if (known->part.size != chunk->size || memcmp(known->sha256, chunk->sha256, 32) != 0)
        return kb_error_set(err, KB_ERR_INPUT,
                            "the source has changed since the upload was begun (part %u)",
                            chunk->number);
    *kept = known->part.etag[0] && listed->size == chunk->size &&
            strcmp(known->part.etag, listed->etag) == 0;
    return KB_OK;
}

/* *part: its size and etag. */
static enum kb_status put_part(struct upload *run, struct chunk *chunk, struct kb_s3_part *part,
                               struct kb_s3_object *answer, struct kb_error *err)
{
    const struct kb_s3_source from = s3_span_view(&chunk->span);
    struct kb_s3_part sent = {.number = chunk->number,
                              .unsigned_payload = !run->options->sign_payload,
                              .md5 = wants_md5(run)};
    enum kb_status status;

    if (!chunk->slab) {
        sent.from = &from;
        sent.sha256 = chunk->span.sha256;
        sent.md5_hash = chunk->span.md5;
    }
    status = kb_s3_upload_part(run->s3, run->name, run->id, &sent, &run->options->put.encryption,
                               chunk_bytes(chunk), answer, err);
    s3_span_end(&chunk->span);
    part->size = sent.size;
    memcpy(part->etag, sent.etag, sizeof part->etag);
    return status;
}

static enum kb_status send_part(struct upload *run, struct chunk *chunk, struct kb_error *err)
{
    struct kb_s3_part part = {.number = chunk->number, .size = chunk->size};
    struct kb_s3_object answer = {0};
    bool echoed = false;
    enum kb_status status = tell_journal(run, &part, chunk->sha256, err);

    if (status == KB_OK)
        status = put_part(run, chunk, &part, &answer, err);
    if (status == KB_OK) {
        pthread_mutex_lock(&run->crew.lock);
        echoed = check_echo(run, &answer);
        run->parts[chunk->number - 1] = part;
        pthread_mutex_unlock(&run->crew.lock);
    }
    /* A part that may lie in the clear is not to be kept. */
    if (status == KB_OK && echoed)
        status = tell_journal(run, &part, chunk->sha256, err);
    kb_s3_object_free(&answer);
    return status;
}

static enum kb_status store_chunk(struct upload *run, struct chunk *chunk, struct kb_error *err)
{
    bool kept = false;
    enum kb_status status = find_kept(run, chunk, &kept, err);

    if (status == KB_OK && !kept)
        status = send_part(run, chunk, err);
    if (status != KB_OK)
        return status;
    pthread_mutex_lock(&run->crew.lock);
    run->out->parts_kept += kept;
    status = progress(run, chunk->size, err);
    pthread_mutex_unlock(&run->crew.lock);
    return status;
}

/* Ends the work of all, and of who waits for more of the source. */
static void stop_all(struct upload *run, enum kb_status status, const struct kb_error *error)
{
    s3_crew_stop(&run->crew, status, error);
    if (run->source->cancel)
        run->source->cancel(run->source->ctx);
}

/* A thread's work: parts until there are no more, or one failed. */
static void store_chunks(void *ctx)
{
    struct upload *run = ctx;
    enum kb_status status = KB_OK;
    bool more = true;

    while (more && status == KB_OK && !atomic_load(&run->crew.stopped)) {
        struct chunk chunk = {0};
        struct kb_error error = {0};

        status = take_chunk(run, &chunk, &error);
        more = chunk.slab || chunk.size;
        if (status == KB_OK && more)
            status = store_chunk(run, &chunk, &error);
        s3_pool_give(&run->pool, chunk.slab);
        if (status != KB_OK)
            stop_all(run, status, &error);
    }
}

/* --- the upload as a whole -------------------------------------------------------------------- */

static enum kb_status put_single(struct upload *run, struct kb_error *err)
{
    struct kb_bytes bytes = {run->first->data, run->first_size};
    struct kb_s3_put put = run->options->put;
    enum kb_status status = kb_digest_once(run->out->sha256, KB_DIGEST_SHA256, bytes, err);

    put.sha256 = run->out->sha256;
    if (status == KB_OK)
        status = kb_s3_put_object(run->s3, run->name, &put, bytes, &run->out->object, err);
    if (status != KB_OK)
        return status;
    (void)check_echo(run, &run->out->object);
    return progress(run, bytes.size, err);
}

static enum kb_status remember_listed(void *ctx, const struct kb_s3_part *part,
                                      struct kb_error *err)
{
    struct upload *run = ctx;

    (void)err;
    run->parts[part->number - 1] = *part;
    return KB_OK;
}

/* What the journal was told and what the server has. */
static enum kb_status resume(struct upload *run, struct kb_error *err)
{
    const struct kb_s3_upload *options = run->options;

    run->known = calloc(KB_S3_PARTS_MAX, sizeof *run->known);
    run->id = strdup(options->resume);
    if (!run->known || !run->id)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    for (size_t i = 0; i < options->known_count; i++) {
        const struct kb_s3_known_part *known = &options->known[i];

        if (known->part.number < 1 || known->part.number > KB_S3_PARTS_MAX)
            return kb_error_set(err, KB_ERR_USAGE, "an upload has no part %u",
                                known->part.number);
        run->known[known->part.number - 1] = known;
    }
    return kb_s3_list_parts(run->s3, run->name, run->id, remember_listed, run, err);
}

static enum kb_status begin(struct upload *run, struct kb_error *err)
{
    const struct kb_s3_journal *journal = run->options->journal;
    struct kb_s3_object answer = {0};
    enum kb_status status;

    run->parts = calloc(KB_S3_PARTS_MAX, sizeof *run->parts);
    if (!run->parts)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    run->remembered = run->options->resume != NULL;
    if (run->remembered)
        return resume(run, err);
    status = kb_s3_create_upload(run->s3, run->name, &run->options->put, &run->id, &answer, err);
    if (status == KB_OK) {
        (void)check_echo(run, &answer);
        if (journal)
            status = journal->begin(journal->ctx, run->id, run->plan.part_size, err);
        run->remembered = journal && status == KB_OK;
    }
    kb_s3_object_free(&answer);
    return status;
}

static enum kb_status complete(struct upload *run, struct kb_error *err)
{
    for (unsigned i = run->count; run->known && i < KB_S3_PARTS_MAX; i++)
        if (run->known[i])
            return kb_error_set(err, KB_ERR_INPUT,
                                "the source has changed since the upload was begun: it has no "
                                "part %u any more",
                                i + 1);
    run->out->parts = run->count;
    return kb_s3_complete_upload(run->s3, run->name, run->id, run->parts, run->count,
                                 &run->options->put, &run->out->object, err);
}

static void give_up(struct upload *run, struct kb_error *err)
{
    struct kb_error error = {0};
    bool keep = run->options->keep_on_failure && run->remembered && !run->too_long;

    if (!run->id || keep)
        return;
    if (kb_s3_abort_upload(run->s3, run->name, run->id, &error) != KB_OK &&
        error.status != KB_ERR_NOT_FOUND)
        kb_error_hint(err, "its parts may still be stored: the upload %.128s could not be ended",
                      run->id);
}

static enum kb_status put_parts(struct upload *run, unsigned connections, struct kb_error *err)
{
    const struct kb_s3_upload *options = run->options;
    uint64_t parts = run->source->size / run->plan.part_size + 1;
    enum kb_status status = KB_OK;

    if (!options->no_sha256 || options->journal || options->resume)
        status = kb_digest_new(&run->digest, KB_DIGEST_SHA256, err);
    if (status == KB_OK)
        status = begin(run, err);
    if (status == KB_OK)
        status = s3_crew_run(&run->crew, parts < connections ? (unsigned)parts : connections,
                             store_chunks, run, err);
    if (status == KB_OK && run->digest)
        status = kb_digest_end(run->digest, run->out->sha256, err);
    if (status == KB_OK)
        status = complete(run, err);
    /* Parts that were all kept had their echo when they were sent. */
    if (status == KB_OK && run->out->echoed && run->count == run->out->parts_kept) {
        run->echo.sse = KB_S3_SSE_C;
        snprintf(run->echo.customer_algorithm, sizeof run->echo.customer_algorithm, "AES256");
        memcpy(run->echo.fingerprint, run->fingerprint, sizeof run->echo.fingerprint);
    }
    if (status == KB_OK)
        complete_echo(&run->echo, &run->out->object);
    else
        give_up(run, err);
    return status;
}

static enum kb_status start(struct upload *run, unsigned connections, struct kb_error *err)
{
    const struct kb_s3_encryption *encryption = &run->options->put.encryption;
    enum kb_status status =
        s3_plan_make(&run->plan, run->options, run->source, connections, err);

    s3_crew_init(&run->crew);
    s3_pool_init(&run->pool, run->plan.memory);
    pthread_mutex_init(&run->reading, NULL);
    pthread_mutex_init(&run->hashing, NULL);
    run->out->size = 0;
    run->out->parts = run->out->parts_kept = 0;
    run->out->echoed = encryption->sse == KB_S3_SSE_C && encryption->customer_key;
    if (status == KB_OK && run->out->echoed)
        status = kb_s3_fingerprint(run->fingerprint, kb_secret_view(encryption->customer_key), err);
    return status;
}

static void end(struct upload *run)
{
    s3_pool_give(&run->pool, run->first);
    s3_pool_free(&run->pool);
    s3_crew_free(&run->crew);
    pthread_mutex_destroy(&run->reading);
    pthread_mutex_destroy(&run->hashing);
    kb_digest_free(run->digest);
    free(run->id);
    free(run->parts);
    free(run->known);
}

enum kb_status kb_s3_upload(struct kb_s3 *s3, const struct kb_s3_name *name,
                            const struct kb_s3_upload *upload, const struct kb_s3_source *source,
                            struct kb_s3_uploaded *out, struct kb_error *err)
{
    struct upload run = {.s3 = s3, .name = name, .options = upload, .source = source, .out = out};
    unsigned connections = upload->connections ? upload->connections : kb_s3_connections(s3);
    bool single = false;
    enum kb_status status = start(&run, connections, err);

    if (status == KB_OK && !run.plan.spans)
        status = read_first(&run, &single, err);
    if (status == KB_OK)
        status = single ? put_single(&run, err) : put_parts(&run, connections, err);
    out->size = run.size;
    end(&run);
    return status;
}
