/* SPDX-License-Identifier: Apache-2.0
 *
 * One object is sent, tried, and taken back when it is not protected.
 */
#include "sealed/object_put.h"

#include <stdlib.h>
#include <string.h>

/* What one attempt puts together. */
struct attempt {
    struct object_task *task;
    struct kb_s3_source source;
    struct object_source *sealed; /* NULL when nothing is encrypted here */
    struct kb_pair *metadata;     /* of the caller and of the format, in this order */
    size_t metadata_count, own_count;
    struct kb_s3_object instruction;
    bool has_instruction;
    struct kb_s3_uploaded uploaded;
};

void object_task_clear(struct object_task *task)
{
    object_task_forget(task);
    object_key_clear(&task->key);
    kb_vault_object_free(&task->row);
    kb_s3ec_object_free(task->sealing);
    kb_esdk_free(task->message);
    memset(task, 0, sizeof *task);
}

/* --- metadata ------------------------------------------------------------------------------ */

static enum kb_status merge_metadata(struct attempt *attempt, struct kb_error *err)
{
    static const struct kb_pair mark = {
        {(const uint8_t *)OBJECT_FORMAT_NAME, sizeof OBJECT_FORMAT_NAME - 1},
        {(const uint8_t *)OBJECT_FORMAT_ESDK, sizeof OBJECT_FORMAT_ESDK - 1}};
    const struct object_task *task = attempt->task;
    const struct kb_s3_put *put = &task->job->put.upload.put;
    const struct kb_s3ec_header *header =
        task->sealing ? kb_s3ec_object_header(task->sealing) : NULL;
    const struct kb_pair *own = header ? header->metadata : &mark;
    size_t own_count = header ? header->metadata_count : task->message != NULL;

    attempt->metadata = calloc(put->metadata_count + own_count + 1, sizeof *attempt->metadata);
    if (!attempt->metadata)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    for (size_t i = 0; i < put->metadata_count; i++)
        attempt->metadata[attempt->metadata_count++] = put->metadata[i];
    for (size_t i = 0; i < own_count; i++) {
        for (size_t k = 0; k < put->metadata_count; k++)
            if (kb_bytes_equal(put->metadata[k].name, own[i].name))
                return kb_error_set(err, KB_ERR_USAGE,
                                    "metadata '%.*s' belongs to the encryption's format",
                                    (int)own[i].name.size, (const char *)own[i].name.data);
        attempt->metadata[attempt->metadata_count++] = own[i];
    }
    attempt->own_count = own_count;
    return KB_OK;
}

/* --- instruction files ----------------------------------------------------------------------- */

/* The instruction file goes first: a body without one would look like an object
 * that nobody encrypted. With another body, until the upload ends, it opens
 * nothing. */
static enum kb_status put_instruction(struct attempt *attempt, struct kb_error *err)
{
    const struct object_task *task = attempt->task;
    const struct kb_s3ec_header *header = kb_s3ec_object_header(task->sealing);
    enum kb_status status;

    if (!header->instruction.data)
        return KB_OK;
    status = object_instruction_allow(task->objects, &task->job->name, err);
    if (status == KB_OK)
        status = object_instruction_put(&attempt->instruction, task->objects, &task->job->name,
                                        NULL, header->instruction, &task->key, err);
    attempt->has_instruction = status == KB_OK;
    return status;
}

/* There is no object that it is of. */
static void take_back_instruction(const struct attempt *attempt)
{
    const struct object_task *task = attempt->task;

    if (attempt->has_instruction)
        object_instruction_take_back(task->objects, &task->job->name, &attempt->instruction,
                                     &task->key);
}

/* --- sending ---------------------------------------------------------------------------------- */

static struct kb_s3_encryption encryption_of(const struct object_task *task)
{
    struct kb_s3_encryption encryption = task->job->put.upload.put.encryption;

    if (task->key.plain)
        return object_key_encryption(&task->key);
    encryption.customer_key = NULL;
    encryption.sse = task->job->put.encryption == KB_OBJECT_SSE_S3    ? KB_S3_SSE_S3
                     : task->job->put.encryption == KB_OBJECT_SSE_KMS ? KB_S3_SSE_KMS
                                                                      : KB_S3_SSE_NONE;
    return encryption;
}

static enum kb_status open_source(struct attempt *attempt, struct kb_error *err)
{
    struct object_task *task = attempt->task;
    enum kb_status status = task->job->open(task->job->ctx, &attempt->source, err);

    if (status != KB_OK || (!task->sealing && !task->message))
        return status;
    status = object_source_new(&attempt->sealed, &attempt->source, task->sealing, task->message,
                               err);
    if (status == KB_OK)
        attempt->source = object_source_view(attempt->sealed);
    return status;
}

static enum kb_status send(struct attempt *attempt, struct kb_error *err)
{
    struct object_task *task = attempt->task;
    struct kb_s3_upload upload = task->job->put.upload;
    struct kb_s3_journal journal;

    upload.put.encryption = encryption_of(task);
    upload.put.metadata = attempt->metadata;
    upload.put.metadata_count = attempt->metadata_count;
    upload.connections = upload.connections ? upload.connections : task->connections;
    upload.keep_on_failure = false;
    upload.no_sha256 = attempt->sealed != NULL; /* that of the plaintext is known */
    if (object_task_resumes(&task->job->put)) {
        journal = object_task_journal(task);
        upload.journal = &journal;
        upload.keep_on_failure = true;
    }
    if (task->resumed) {
        upload.resume = task->remembered.upload;
        upload.part_size = task->remembered.part_size;
        upload.known = task->known;
        upload.known_count = task->known_count;
    }
    return kb_s3_upload(task->objects->s3, &task->job->name, &upload, &attempt->source,
                        &attempt->uploaded, err);
}

/* --- trying what was stored ------------------------------------------------------------------- */

static enum kb_status prove(struct attempt *attempt, enum object_verdict *verdict,
                            struct kb_error *err)
{
    struct object_task *task = attempt->task;
    const struct kb_object_put *put = &task->job->put;
    struct kb_object_result *result = &task->job->result;
    const struct kb_s3_uploaded *uploaded = &attempt->uploaded;
    const struct object_claim claim = {
        .encryption = put->encryption,
        .key = &task->key,
        .kms_key = put->upload.put.encryption.kms_key,
        .metadata = attempt->metadata + (attempt->metadata_count - attempt->own_count),
        .metadata_count = attempt->own_count,
        .stored = &uploaded->object,
        .size = uploaded->size,
        .echoed = uploaded->echoed,
    };

    *verdict = OBJECT_UNTRIED;
    result->parts = uploaded->parts;
    result->parts_kept = uploaded->parts_kept;
    result->size = attempt->sealed ? object_source_size(attempt->sealed) : uploaded->size;
    result->has_sha256 = true;
    memcpy(result->sha256, uploaded->sha256, sizeof result->sha256);
    if (attempt->sealed && object_source_end(attempt->sealed, result->sha256, err) != KB_OK)
        return err->status;
    return object_prove(result, task->objects, &task->job->name, &claim, verdict, err);
}

/* The server refused, or nothing was sent: there is no such object. */
static bool is_absent(const struct object_task *task, enum kb_status status)
{
    return !task->sent && status != KB_ERR_REMOTE && status != KB_ERR_SYSTEM &&
           status != KB_ERR_MEMORY;
}

static void drop_row(struct object_task *task)
{
    struct kb_error none = {.status = KB_OK};

    /* A row that stays says only that an upload was begun. */
    if (task->has_row)
        (void)!kb_vault_remove_objects(task->objects->vault, &task->row.row, 1, &none);
    task->has_row = false;
}

static enum kb_status prove_or_remove(struct attempt *attempt, struct kb_error *err)
{
    struct object_task *task = attempt->task;
    enum object_verdict verdict;
    enum kb_status status = prove(attempt, &verdict, err);

    object_task_end(task);
    if (verdict == OBJECT_DISPROVED && !task->job->put.keep_unverified &&
        object_withdraw(task->objects, &task->job->name, &attempt->uploaded.object, err)) {
        take_back_instruction(attempt);
        drop_row(task);
    }
    task->stored = status == KB_OK && task->has_row;
    if (task->stored)
        object_row_end(&task->row, &task->job->result);
    return status;
}

static enum kb_status run_once(struct object_task *task, struct kb_error *err)
{
    struct attempt attempt = {.task = task};
    enum kb_status status = merge_metadata(&attempt, err);
    bool opened = false;

    if (status == KB_OK) {
        status = open_source(&attempt, err);
        opened = status == KB_OK || attempt.source.read;
    }
    if (status == KB_OK && task->sealing)
        status = put_instruction(&attempt, err);
    if (status == KB_OK) {
        status = send(&attempt, err);
        task->sent = status == KB_OK || attempt.uploaded.object.repeated;
        if (status == KB_OK)
            status = prove_or_remove(&attempt, err);
        else if (is_absent(task, status))
            take_back_instruction(&attempt);
    }
    if (opened)
        task->job->close(task->job->ctx);
    object_source_free(attempt.sealed);
    kb_s3_object_free(&attempt.instruction);
    kb_s3_object_free(&attempt.uploaded.object);
    free(attempt.metadata);
    return status;
}

void object_task_run(struct object_task *task)
{
    struct kb_error *err = &task->job->error;
    enum kb_status status = run_once(task, err);

    if (status == KB_ERR_NOT_FOUND && task->resumed && !task->sent) {
        kb_error_clear(err);
        status = object_task_restart(task, err);
        if (status == KB_OK)
            status = run_once(task, err);
    }
    if (status != KB_OK && !task->noted && is_absent(task, status))
        drop_row(task);
    if (!task->sent)
        object_explain_refusal(task->objects, &task->job->name, &task->key, err);
    task->job->status = status;
}
