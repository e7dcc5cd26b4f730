/* SPDX-License-Identifier: Apache-2.0
 *
 * Objects are stored in batches: their keys are made and durable, and their
 * rows pending, before the first byte of any is sent; what was proved is noted
 * when the batch is through.
 */
#include "sealed/lanes.h"
#include "sealed/object_put.h"

#include <stdlib.h>
#include <string.h>

struct batch {
    struct kb_objects *objects;
    struct object_task tasks[KB_VAULT_BATCH_MAX];
    size_t count;
};

static void fail(struct object_task *task, const struct kb_error *error)
{
    task->job->status = error->status;
    task->job->error = *error;
}

static bool wants_customer_key(const struct kb_object_put *put)
{
    return put->encryption == KB_OBJECT_SSE_C ||
           (put->with_sse_c && (put->encryption == KB_OBJECT_CLIENT ||
                                put->encryption == KB_OBJECT_CLIENT_ENVELOPE));
}

/* --- what is asked for ---------------------------------------------------------------- */

static enum kb_status check_put(const struct kb_objects *objects, const struct kb_object_put *put,
                                struct kb_error *err)
{
    enum kb_status status = kb_s3_put_check(&put->upload.put, err);

    if (status != KB_OK)
        return status;
    if (put->encryption == KB_OBJECT_CLIENT && !objects->s3ec)
        return kb_error_set(err, KB_ERR_USAGE, "client-side encryption needs a key of the token");
    if (put->encryption == KB_OBJECT_CLIENT_ENVELOPE && !objects->esdk)
        return kb_error_set(err, KB_ERR_USAGE, "envelopes need a key of the token");
    if (put->encryption == KB_OBJECT_CLIENT_ENVELOPE && object_task_resumes(put))
        return kb_error_set(err, KB_ERR_USAGE,
                            "the upload of an envelope cannot be resumed: its data key is "
                            "nowhere kept");
    if (wants_customer_key(put) && !kb_s3_is_secure(objects->s3))
        return kb_error_set(err, KB_ERR_USAGE, "customer keys (SSE-C) are not sent over http");
    if (wants_customer_key(put) || object_task_resumes(put))
        return object_need_vault(objects, err);
    return KB_OK;
}

static enum kb_status prepare_task(struct object_task *task, struct kb_error *err)
{
    const struct kb_object_put *put = &task->job->put;
    enum kb_status status = check_put(task->objects, put, err);

    if (status == KB_OK && object_task_resumes(put))
        status = object_task_recall(task, err);
    if (status != KB_OK || task->resumed || !wants_customer_key(put))
        return status;
    if (put->key)
        return object_key_release(&task->key, task->objects, put->key, true, err);
    if (put->key_per_prefix)
        return object_key_release_scope(&task->key, task->objects, &task->job->name, true, err);
    return KB_OK;
}

/* --- keys and rows of a batch ------------------------------------------------------------ */

static enum kb_status make_keys(struct batch *batch, struct kb_error *err)
{
    struct object_key *keys[KB_VAULT_BATCH_MAX];
    const struct kb_s3_name *names[KB_VAULT_BATCH_MAX];
    size_t n = 0;

    for (size_t i = 0; i < batch->count; i++) {
        struct object_task *task = &batch->tasks[i];

        if (task->job->status != KB_OK || task->key.plain || !wants_customer_key(&task->job->put))
            continue;
        keys[n] = &task->key;
        names[n++] = &task->job->name;
    }
    return n ? object_key_make(keys, batch->objects, names, n, err) : KB_OK;
}

static enum kb_status add_rows(struct batch *batch, struct kb_error *err)
{
    struct kb_vault_object *rows = calloc(KB_VAULT_BATCH_MAX, sizeof *rows);
    enum kb_status status = rows ? KB_OK : kb_error_set(err, KB_ERR_MEMORY, "no memory");
    size_t n = 0;

    for (size_t i = 0; status == KB_OK && i < batch->count; i++) {
        struct object_task *task = &batch->tasks[i];

        if (task->job->status != KB_OK || task->has_row)
            continue;
        status = object_row_begin(&task->row, batch->objects, &task->job->name,
                                  task->job->put.encryption, task->key.id, err);
        rows[n++] = task->row;
    }
    if (status == KB_OK && n)
        status = kb_vault_add_objects(batch->objects->vault, rows, n, err);
    n = 0;
    for (size_t i = 0; status == KB_OK && i < batch->count; i++) {
        struct object_task *task = &batch->tasks[i];

        if (task->job->status != KB_OK || task->has_row)
            continue;
        task->row.row = rows[n++].row;
        task->has_row = true;
    }
    free(rows);
    return status;
}

/* --- content keys of a batch --------------------------------------------------------------- */

static bool same_format(const struct kb_object_put *a, const struct kb_object_put *b)
{
    if (a->encryption != b->encryption)
        return false;
    if (a->encryption == KB_OBJECT_CLIENT)
        return a->s3ec.description == b->s3ec.description &&
               a->s3ec.description_count == b->s3ec.description_count &&
               a->s3ec.instruction_file == b->s3ec.instruction_file;
    return a->envelope.suite == b->envelope.suite &&
           a->envelope.frame_length == b->envelope.frame_length &&
           a->envelope.context == b->envelope.context &&
           a->envelope.context_count == b->envelope.context_count &&
           a->envelope.not_stored == b->envelope.not_stored &&
           a->envelope.not_stored_count == b->envelope.not_stored_count;
}

static bool wants_format(const struct object_task *task)
{
    return task->job->status == KB_OK && !task->sealing && !task->message &&
           (task->job->put.encryption == KB_OBJECT_CLIENT ||
            task->job->put.encryption == KB_OBJECT_CLIENT_ENVELOPE);
}

/* The task and those behind it that are alike: one call of the token. */
static enum kb_status begin_alike(struct batch *batch, size_t first, struct kb_error *err)
{
    const struct kb_object_put *put = &batch->tasks[first].job->put;
    struct kb_s3ec_object *sealing[KB_VAULT_BATCH_MAX];
    struct kb_esdk_message *messages[KB_VAULT_BATCH_MAX];
    struct object_task *alike[KB_VAULT_BATCH_MAX];
    bool client = put->encryption == KB_OBJECT_CLIENT;
    enum kb_status status;
    size_t n = 0;

    for (size_t i = first; i < batch->count; i++)
        if (wants_format(&batch->tasks[i]) && same_format(put, &batch->tasks[i].job->put))
            alike[n++] = &batch->tasks[i];
    status = client ? kb_s3ec_encrypt(sealing, n, batch->objects->s3ec, &put->s3ec, err)
                    : kb_esdk_encrypt(messages, n, batch->objects->esdk, &put->envelope, err);
    for (size_t i = 0; status == KB_OK && i < n; i++) {
        if (client)
            alike[i]->sealing = sealing[i];
        else
            alike[i]->message = messages[i];
    }
    return status;
}

static enum kb_status begin_formats(struct batch *batch, struct kb_error *err)
{
    enum kb_status status = KB_OK;

    for (size_t i = 0; status == KB_OK && i < batch->count; i++)
        if (wants_format(&batch->tasks[i]))
            status = begin_alike(batch, i, err);
    return status;
}

/* --- a batch ---------------------------------------------------------------------------------- */

/* What is wrong with a task is its own. */
static enum kb_status run_task(void *ctx, size_t i, struct kb_error *err)
{
    struct batch *batch = ctx;

    (void)err;
    if (batch->tasks[i].job->status == KB_OK)
        object_task_run(&batch->tasks[i]);
    return KB_OK;
}

static enum kb_status run_batch(struct batch *batch, struct kb_error *err)
{
    unsigned all = kb_s3_connections(batch->objects->s3);
    unsigned threads = all < batch->count ? all : (unsigned)batch->count;

    for (size_t i = 0; i < batch->count; i++)
        batch->tasks[i].connections = all / (threads ? threads : 1);
    return lanes_run(threads, batch->count, run_task, batch, err);
}

static enum kb_status note_stored(struct batch *batch, struct kb_error *err)
{
    struct kb_vault_object *rows = calloc(KB_VAULT_BATCH_MAX, sizeof *rows);
    enum kb_status status = rows ? KB_OK : kb_error_set(err, KB_ERR_MEMORY, "no memory");
    size_t n = 0;

    for (size_t i = 0; status == KB_OK && i < batch->count; i++)
        if (batch->tasks[i].stored)
            rows[n++] = batch->tasks[i].row;
    if (status == KB_OK && n)
        status = kb_vault_update_objects(batch->objects->vault, rows, n, err);
    free(rows);
    return status;
}

static void prepare_batch(struct batch *batch, struct kb_object_job *jobs)
{
    for (size_t i = 0; i < batch->count; i++) {
        struct object_task *task = &batch->tasks[i];
        struct kb_error error = {.status = KB_OK};

        *task = (struct object_task){.objects = batch->objects, .job = &jobs[i]};
        memset(&jobs[i].result, 0, sizeof jobs[i].result);
        jobs[i].status = KB_OK;
        kb_error_clear(&jobs[i].error);
        if (prepare_task(task, &error) != KB_OK)
            fail(task, &error);
    }
}

static enum kb_status put_batch(struct kb_objects *objects, struct batch *batch,
                                struct kb_object_job *jobs, size_t n, struct kb_error *err)
{
    struct kb_error error = {.status = KB_OK};
    enum kb_status status;

    batch->objects = objects;
    batch->count = n;
    prepare_batch(batch, jobs);
    status = make_keys(batch, &error);
    if (status == KB_OK)
        status = begin_formats(batch, &error);
    if (status == KB_OK && objects->vault)
        status = add_rows(batch, &error);
    if (status == KB_OK)
        status = run_batch(batch, &error);
    if (status == KB_OK && objects->vault)
        status = note_stored(batch, &error);
    for (size_t i = 0; i < n; i++) {
        if (status != KB_OK && jobs[i].status == KB_OK)
            fail(&batch->tasks[i], &error);
        object_task_clear(&batch->tasks[i]);
    }
    if (status != KB_OK && err && err->status == KB_OK)
        *err = error;
    return status;
}

static int compare_names(const void *a, const void *b)
{
    const struct kb_s3_name *one = *(const struct kb_s3_name *const *)a;
    const struct kb_s3_name *other = *(const struct kb_s3_name *const *)b;
    int order = strcmp(one->bucket, other->bucket);

    return order ? order : strcmp(one->key, other->key);
}

/* Of two that are sent at once nobody knows which one stays: its key may be the one that is
 * retired, its instruction file the one that is overwritten. */
static enum kb_status check_names(const struct kb_object_job *jobs, size_t n, struct kb_error *err)
{
    const struct kb_s3_name **names = calloc(n ? n : 1, sizeof *names);
    enum kb_status status = names ? KB_OK : kb_error_set(err, KB_ERR_MEMORY, "no memory");

    for (size_t i = 0; status == KB_OK && i < n; i++)
        names[i] = &jobs[i].name;
    if (status == KB_OK)
        qsort(names, n, sizeof *names, compare_names);
    for (size_t i = 1; status == KB_OK && i < n; i++)
        if (compare_names(&names[i - 1], &names[i]) == 0)
            status = kb_error_set(err, KB_ERR_USAGE, "s3://%s/%s is to be stored twice at once",
                                  names[i]->bucket, names[i]->key);
    free(names);
    return status;
}

enum kb_status kb_object_put_many(struct kb_objects *objects, struct kb_object_job *jobs, size_t n,
                                  struct kb_error *err)
{
    struct batch *batch = calloc(1, sizeof *batch);
    enum kb_status status = batch ? check_names(jobs, n, err)
                                  : kb_error_set(err, KB_ERR_MEMORY, "no memory");

    for (size_t at = 0; status == KB_OK && at < n; at += KB_VAULT_BATCH_MAX)
        status = put_batch(objects, batch, jobs + at,
                           n - at < KB_VAULT_BATCH_MAX ? n - at : KB_VAULT_BATCH_MAX, err);
    free(batch);
    return status;
}

/* --- one -------------------------------------------------------------------------------------- */

static enum kb_status lend_source(void *ctx, struct kb_s3_source *source, struct kb_error *err)
{
    const struct kb_s3_source *given = ctx;

    (void)err;
    *source = *given;
    return KB_OK;
}

static void keep_source(void *ctx)
{
    (void)ctx;
}

enum kb_status kb_object_put(struct kb_objects *objects, const struct kb_s3_name *name,
                             const struct kb_object_put *put, const struct kb_s3_source *source,
                             struct kb_object_result *out, struct kb_error *err)
{
    struct kb_s3_source given = *source;
    struct kb_object_job job = {
        .name = *name, .put = *put, .open = lend_source, .close = keep_source, .ctx = &given};
    enum kb_status status = kb_object_put_many(objects, &job, 1, err);

    kb_object_result_free(out);
    *out = job.result;
    if (status == KB_OK && job.status != KB_OK && err && err->status == KB_OK)
        *err = job.error;
    return status == KB_OK ? job.status : status;
}
