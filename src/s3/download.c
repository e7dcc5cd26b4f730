/* SPDX-License-Identifier: Apache-2.0
 *
 * Downloads of any size: ranges by several threads, each of which waits for its
 * turn to hand its bytes over. The first range tells what the object is; the
 * others are of it or of nothing.
 */
#include "s3/transfer.h"

#include "aws/aws.h"
#include "crypto/digest.h"

#include <stdlib.h>
#include <string.h>

enum {
    PROGRESS_MIN = 64 * 1024, /* a try that brought less counts as one without progress */
    WAIT_MAX_MS = 1000, /* between tries: while nothing comes at all, the call path waits longer */
};

struct download {
    struct kb_s3 *s3;
    const struct kb_s3_name *name;
    const struct kb_s3_download *options;
    struct kb_s3_downloaded *out;
    struct s3_crew crew;
    struct kb_digest *digest; /* NULL when nobody asks for it */
    uint64_t part_size;
    uint64_t first, end; /* bytes to get; the end is right once `known` */
    bool known;          /* an answer told what the object is: */
    char etag[KB_S3_ETAG_SIZE], version[KB_S3_VERSION_SIZE];
    uint64_t size;       /* all of the object */
    /* Under crew.lock. */
    uint64_t taken; /* parts that somebody got or gets */
    uint64_t turn;  /* the part to be handed over next; who has it does so without the lock */
};

struct range {
    struct download *run;
    uint8_t *data;
    uint64_t first;
    size_t size, got;
    bool too_long; /* more came than was asked for */
};

/* --- one range --------------------------------------------------------------------------- */

static enum kb_status take_bytes(void *ctx, struct kb_bytes bytes, struct kb_error *err)
{
    struct range *range = ctx;

    if (atomic_load(&range->run->crew.stopped))
        return s3_given_up(err);
    range->too_long = bytes.size > range->size - range->got;
    if (range->too_long)
        return kb_error_set(err, KB_ERR_REMOTE, "more bytes came than were asked for");
    if (bytes.size)
        memcpy(range->data + range->got, bytes.data, bytes.size);
    range->got += bytes.size;
    return KB_OK;
}

/* The first answer tells what the object is; all others must tell the same. */
static enum kb_status check_same(struct range *range, const struct kb_s3_object *object,
                                 struct kb_error *err)
{
    struct download *run = range->run;

    if (!run->known) {
        run->known = true;
        run->size = object->size;
        if (run->end > run->size)
            run->end = run->size;
        memcpy(run->etag, object->etag, sizeof run->etag);
        memcpy(run->version, object->version, sizeof run->version);
        if (range->size > run->end - range->first)
            range->size = (size_t)(run->end - range->first);
    }
    if (object->size != run->size || strcmp(object->etag, run->etag) != 0 ||
        strcmp(object->version, run->version) != 0)
        return kb_error_set(err, KB_ERR_INPUT, "the object changed while it was being read");
    return KB_OK;
}

static enum kb_status try_range(struct range *range, struct kb_s3_object *object,
                                struct kb_error *err)
{
    struct download *run = range->run;
    struct kb_s3_get get = run->options->get;
    enum kb_status status, same = KB_OK;

    get.ranged = true;
    get.first = range->first + range->got;
    get.last = range->first + range->size - 1;
    if (run->etag[0])
        get.if_match = run->etag;
    get.write = take_bytes;
    get.ctx = range;
    object->status = 0;
    status = kb_s3_get_object(run->s3, run->name, &get, object, err);
    if (object->status == 206)
        same = check_same(range, object, err);
    else if (!run->known)
        range->got = 0; /* of nobody knows which object */
    if (same != KB_OK)
        return same;
    if (status == KB_OK && (object->status != 206 || range->got != range->size))
        status = kb_error_set(err, KB_ERR_REMOTE, "fewer bytes came than were asked for");
    return status;
}

/* Gets the range. What was cut is gone on with: the call path itself repeats only
 * what has not begun to arrive. */
static enum kb_status get_range(struct range *range, struct kb_s3_object *object,
                                struct kb_error *err)
{
    struct kb_retry retry = {.cap_ms = WAIT_MAX_MS};

    for (;;) {
        struct kb_error error = {0};
        size_t before = range->got;
        enum kb_status status = try_range(range, object, &error);
        int wait = -1;

        if (status == KB_OK)
            return KB_OK;
        if (range->got >= before + PROGRESS_MIN)
            kb_retry_progress(&retry);
        if (status == KB_ERR_REMOTE && range->got > before && range->got < range->size &&
            !range->too_long && !atomic_load(&range->run->crew.stopped))
            wait = kb_retry_next(&retry);
        if (wait < 0) {
            if (err && err->status == KB_OK)
                *err = error;
            return status;
        }
        kb_aws_pause(wait);
    }
}

/* --- handing over ---------------------------------------------------------------------------- */

static enum kb_status hand_over(struct download *run, struct kb_bytes bytes, struct kb_error *err)
{
    const struct kb_s3_download *options = run->options;
    enum kb_status status = run->digest ? kb_digest_update(run->digest, bytes, err) : KB_OK;

    if (status == KB_OK && bytes.size)
        status = options->get.write(options->get.ctx, bytes, err);
    if (status != KB_OK)
        return status;
    run->out->size += bytes.size;
    return options->progress ? options->progress(options->ctx, run->out->size, err) : KB_OK;
}

static void pass_turn(struct download *run)
{
    pthread_mutex_lock(&run->crew.lock);
    run->turn++;
    pthread_cond_broadcast(&run->crew.changed);
    pthread_mutex_unlock(&run->crew.lock);
}

/* False when all has failed meanwhile. */
static bool wait_for_turn(struct download *run, uint64_t number)
{
    bool mine;

    pthread_mutex_lock(&run->crew.lock);
    while (run->turn != number && !atomic_load(&run->crew.stopped))
        pthread_cond_wait(&run->crew.changed, &run->crew.lock);
    mine = !atomic_load(&run->crew.stopped);
    pthread_mutex_unlock(&run->crew.lock);
    return mine;
}

/* --- threads ---------------------------------------------------------------------------------- */

/* The next part; false when there is none. */
static bool take_part(struct download *run, uint64_t *number)
{
    uint64_t parts = (run->end - run->first + run->part_size - 1) / run->part_size;
    bool more;

    pthread_mutex_lock(&run->crew.lock);
    more = run->taken < parts && !atomic_load(&run->crew.stopped);
    *number = more ? run->taken++ : 0;
    pthread_mutex_unlock(&run->crew.lock);
    return more;
}

static enum kb_status get_part(struct download *run, uint64_t number, uint8_t *buffer,
                               struct kb_error *err)
{
    struct range range = {
        .run = run, .data = buffer, .first = run->first + number * run->part_size};
    struct kb_s3_object object = {0};
    enum kb_status status;

    range.size = (size_t)(run->end - range.first < run->part_size ? run->end - range.first
                                                                  : run->part_size);
    status = get_range(&range, &object, err);
    kb_s3_object_free(&object);
    if (status == KB_OK && wait_for_turn(run, number)) {
        status = hand_over(run, (struct kb_bytes){buffer, range.size}, err);
        /* After a failure it stays here: nobody hands over what comes behind a hole. */
        if (status == KB_OK)
            pass_turn(run);
    }
    return status;
}

static void get_parts(void *ctx)
{
    struct download *run = ctx;
    struct kb_error error = {0};
    uint8_t *buffer = malloc((size_t)run->part_size);
    enum kb_status status =
        buffer ? KB_OK : kb_error_set(&error, KB_ERR_MEMORY, "no memory for a part");
    uint64_t number;

    while (status == KB_OK && take_part(run, &number))
        status = get_part(run, number, buffer, &error);
    if (status != KB_OK)
        s3_crew_stop(&run->crew, status, &error);
    free(buffer);
}

/* --- the download as a whole ------------------------------------------------------------------ */

/* No range fits an empty object, which a GET of all of it shows. */
static enum kb_status get_empty(struct download *run, struct kb_error *err)
{
    struct range range = {.run = run};
    struct kb_s3_get get = run->options->get;
    enum kb_status status;

    get.ranged = false;
    get.write = take_bytes;
    get.ctx = &range;
    status = kb_s3_get_object(run->s3, run->name, &get, &run->out->object, err);
    run->end = 0;
    return status;
}

/* Whether a range of it was refused, or all of it came, for that. */
static bool is_empty(const struct kb_s3_object *object)
{
    return object->status == 416 || (object->status == 200 && object->size == 0);
}

/* Gets and hands over the first part, which tells how many there are. */
static enum kb_status get_first(struct download *run, struct kb_error *err)
{
    uint64_t asked = run->end - run->first;
    struct range range = {.run = run, .first = run->first};
    struct kb_error error = {0};
    enum kb_status status;

    range.size = (size_t)(asked < run->part_size ? asked : run->part_size);
    range.data = malloc(range.size);
    if (!range.data)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory for a part");
    status = get_range(&range, &run->out->object, &error);
    if (run->first == 0 && !run->known && is_empty(&run->out->object))
        status = get_empty(run, err);
    else if (status == KB_OK)
        status = hand_over(run, (struct kb_bytes){range.data, range.size}, err);
    else if (err && err->status == KB_OK)
        *err = error;
    free(range.data);
    run->taken = run->turn = 1;
    return status;
}

static enum kb_status get_rest(struct download *run, struct kb_error *err)
{
    uint64_t parts = (run->end - run->first + run->part_size - 1) / run->part_size;
    uint64_t threads =
        run->options->connections ? run->options->connections : kb_s3_connections(run->s3);

    if (parts < 2)
        return KB_OK;
    return s3_crew_run(&run->crew, (unsigned)(parts - 1 < threads ? parts - 1 : threads), get_parts,
                       run, err);
}

static enum kb_status choose_range(struct download *run, struct kb_error *err)
{
    const struct kb_s3_get *get = &run->options->get;

    run->part_size = run->options->part_size ? run->options->part_size : S3_PART_SIZE;
    run->first = get->ranged ? get->first : 0;
    run->end = get->ranged && get->last < UINT64_MAX ? get->last + 1 : UINT64_MAX;
    if (run->first >= run->end || run->part_size > KB_S3_PART_MAX)
        return kb_error_set(err, KB_ERR_USAGE, "the range to get is empty, or its parts too large");
    return KB_OK;
}

enum kb_status kb_s3_download(struct kb_s3 *s3, const struct kb_s3_name *name,
                              const struct kb_s3_download *download, struct kb_s3_downloaded *out,
                              struct kb_error *err)
{
    struct download run = {.s3 = s3, .name = name, .options = download, .out = out};
    enum kb_status status = choose_range(&run, err);

    out->size = 0;
    s3_crew_init(&run.crew);
    if (status == KB_OK && !download->no_sha256)
        status = kb_digest_new(&run.digest, KB_DIGEST_SHA256, err);
    if (status == KB_OK)
        status = get_first(&run, err);
    if (status == KB_OK)
        status = get_rest(&run, err);
    if (status == KB_OK && run.digest)
        status = kb_digest_end(run.digest, out->sha256, err);
    kb_digest_free(run.digest);
    s3_crew_free(&run.crew);
    return status;
}
