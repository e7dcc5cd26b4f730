/* SPDX-License-Identifier: Apache-2.0
 *
 * A worker: one thread's token, memory and cache of attribute names.
 */
#include "ddbec/ddbec.h"

#include <stdlib.h>
#include <string.h>

/* Canonical bytes of an attribute: at worst 400 KB of numbers like 1E-130, two
 * bytes each as DynamoDB counts, 140 written out. */
enum { SCRATCH_MAX = 64 * 1024 * 1024, KEEP_MAX = 4 * 1024 * 1024 };

enum kb_status kb_worker_new(struct kb_worker **out, struct kb_ddbec *ddbec, struct kb_error *err)
{
    struct kb_worker *worker = calloc(1, sizeof *worker);
    enum kb_status status;

    *out = NULL;
    if (!worker)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    worker->ddbec = kb_ddbec_retain(ddbec);
    worker->out.max = (size_t)KB_LINES_MAX * KB_ITEM_JSON_MAX;
    worker->scratch.max = SCRATCH_MAX;
    worker->strings_to_sign.max = (size_t)1 << 30;
    worker->names = calloc(KB_NAME_SLOTS, sizeof *worker->names);
    worker->jobs = calloc(KB_LINES_MAX, sizeof *worker->jobs);
    status = worker->names && worker->jobs ? KB_OK : kb_error_set(err, KB_ERR_MEMORY, "no memory");
    if (status == KB_OK)
        status = kb_work_new(&worker->work, ddbec->provider, &ddbec->scope, err);
    if (status != KB_OK) {
        kb_worker_free(worker);
        return status;
    }
    *out = worker;
    return KB_OK;
}

void kb_worker_free(struct kb_worker *worker)
{
    if (!worker)
        return;
    kb_work_free(&worker->work);
    kb_ddbec_release(worker->ddbec);
    kb_buffer_free(&worker->out);
    kb_buffer_free(&worker->scratch);
    kb_buffer_free(&worker->strings_to_sign);
    kb_arena_free(&worker->name_memory);
    free(worker->names);
    free(worker->jobs);
    free(worker);
}

/* Empties a buffer; one that a strange item made huge is given back. */
static void reset_buffer(struct kb_buffer *buffer)
{
    if (buffer->capacity > KEEP_MAX)
        kb_buffer_free(buffer);
    else
        kb_buffer_reset(buffer);
}

void kb_worker_reset(struct kb_worker *worker)
{
    kb_work_forget_sign_keys(&worker->work);
    kb_arena_reset(&worker->work.arena);
    reset_buffer(&worker->out);
    reset_buffer(&worker->scratch);
    reset_buffer(&worker->strings_to_sign);
    worker->job_count = 0;
}

void kb_line_refuse(struct kb_line *line)
{
    kb_error_set(&line->error, KB_ERR_AUTH, "%s", kb_status_sentence(KB_ERR_AUTH));
}

static uint32_t name_hash(struct kb_bytes name)
{
    uint32_t hash = 2166136261u; /* FNV-1a */

    for (size_t i = 0; i < name.size; i++)
        hash = (hash ^ name.data[i]) * 16777619u;
    return hash;
}

/* Fills a slot of the cache; when the names' memory is used up, all are
 * forgotten, so that a stream of ever new names costs time but no memory. */
static enum kb_status learn_name(struct kb_worker *worker, struct kb_name *slot,
                                 struct kb_bytes name, uint32_t hash, struct kb_error *err)
{
    if (worker->name_bytes + name.size > (size_t)KB_NAME_SLOTS * KB_NAME_BYTES_MAX) {
        memset(worker->names, 0, KB_NAME_SLOTS * sizeof *worker->names);
        kb_arena_reset(&worker->name_memory);
        worker->name_bytes = 0;
    }
    worker->name_bytes += name.size;
    slot->name = kb_arena_copy(&worker->name_memory, name);
    slot->hash = hash;
    slot->action = kb_actions_get(worker->ddbec->actions, name);
    if (!slot->name.data)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    return kb_crypto_sha256(worker->work.crypto, slot->sha256, &name, 1, err);
}

/* What is known of a name: from the cache, or worked out and put there. */
static enum kb_status look_up_name(struct kb_worker *worker, struct kb_name *out,
                                   struct kb_bytes name, struct kb_error *err)
{
    uint32_t hash = name_hash(name);
    struct kb_name *slot = NULL;

    for (uint32_t i = 0; i < KB_NAME_PROBES; i++) {
        slot = &worker->names[(hash + i) % KB_NAME_SLOTS];
        if (!slot->name.data)
            break;
        if (slot->hash == hash && kb_bytes_equal(slot->name, name)) {
            *out = *slot;
            return KB_OK;
        }
    }
    enum kb_status status = learn_name(worker, slot, name, hash, err);

    *out = *slot;
    return status;
}

/* Attributes with an action, the added ones aside. */
static enum kb_status set_targets(struct kb_worker *worker, struct kb_job *job,
                                  struct kb_error *err)
{
    const struct kb_ddbec *ddbec = worker->ddbec;

    job->target_count = job->encrypt_count = 0;
    job->targets = kb_arena_take(&worker->work.arena, (job->item.count + 1) * sizeof *job->targets);
    if (!job->targets)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    for (size_t i = 0; i < job->item.count; i++) {
        struct kb_member *member = &job->item.members[i];
        struct kb_target *target = &job->targets[job->target_count];
        enum kb_status status;

        if (kb_bytes_equal(member->name, ddbec->description_attribute) ||
            kb_bytes_equal(member->name, ddbec->signature_attribute))
            continue;
        status = look_up_name(worker, &target->name, member->name, err);
        if (status != KB_OK)
            return status;
        target->member = member;
        job->encrypt_count += target->name.action == KB_ACTION_ENCRYPT_AND_SIGN;
        job->target_count += target->name.action != KB_ACTION_DO_NOTHING;
    }
    return KB_OK;
}

bool kb_worker_take(struct kb_worker *worker, struct kb_line *line, enum kb_status *status,
                    struct kb_error *err)
{
    struct kb_job *job = &worker->jobs[worker->job_count];

    memset(job, 0, sizeof *job);
    job->line = line;
    line->out = (struct kb_bytes){NULL, 0};
    kb_error_clear(&line->error);
    *status = kb_item_parse(&job->item, line->in, &worker->work.arena, &line->error);
    if (kb_status_is_item(*status)) {
        *status = KB_OK;
        return false;
    }
    if (*status != KB_OK) {
        *err = line->error;
        return false;
    }
    job->materials.partition = kb_item_find(&job->item, worker->ddbec->scope.partition_key);
    if (worker->ddbec->scope.sort_key.size)
        job->materials.sort = kb_item_find(&job->item, worker->ddbec->scope.sort_key);
    *status = set_targets(worker, job, err);
    worker->job_count += *status == KB_OK;
    return *status == KB_OK;
}

void kb_worker_format(struct kb_worker *worker, struct kb_job *job)
{
    size_t before = worker->out.size;

    kb_item_format(&worker->out, &job->item);
    /* An offset until kb_worker_publish: the buffer may still move. */
    job->line->out = (struct kb_bytes){NULL, worker->out.size - before};
}

enum kb_status kb_worker_publish(struct kb_worker *worker, struct kb_error *err)
{
    enum kb_status status = kb_buffer_check(&worker->out, err);
    const uint8_t *at = worker->out.data;

    for (size_t i = 0; status == KB_OK && i < worker->job_count; i++) {
        struct kb_bytes *out = &worker->jobs[i].line->out;

        out->data = at;
        at += out->size;
    }
    return status;
}
