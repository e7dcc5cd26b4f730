/* SPDX-License-Identifier: Apache-2.0
 *
 * One object on its way to the server: prepared in batches (object_put.c), sent
 * by itself (object_upload.c).
 */
#ifndef KB_SEALED_OBJECT_PUT_H
#define KB_SEALED_OBJECT_PUT_H

#include "sealed/object.h"

struct object_task {
    const struct kb_objects *objects;
    struct kb_object_job *job;
    unsigned connections; /* when the job does not say */
    struct object_key key;
    struct kb_vault_object row; /* pending from the start, once there is a vault */
    bool has_row;
    struct kb_s3ec_object *sealing;
    struct kb_esdk_message *message;
    /* An upload that is gone on with. */
    bool resumed;
    struct kb_vault_upload remembered;
    struct kb_s3_known_part *known;
    size_t known_count;
    bool noted;  /* the vault remembers the upload */
    bool sent;   /* whole, so that it may be there */
    bool stored; /* proved: the row says so */
};

/* --- uploads that are gone on with (object_resume.c) ---------------------------------- */

/* True when uploads of the job are remembered and gone on with. */
bool object_task_resumes(const struct kb_object_put *put);
/* Looks for an upload of the same source. KB_OK with task->resumed false: none. */
KB_MUST_CHECK enum kb_status object_task_recall(struct object_task *task, struct kb_error *err);
/* The server has forgotten the upload: it begins anew under the same row and customer key,
 * with another content key. */
KB_MUST_CHECK enum kb_status object_task_restart(struct object_task *task, struct kb_error *err);
/* Frees what was remembered. */
void object_task_forget(struct object_task *task);
/* The vault remembers the upload no longer. */
void object_task_end(struct object_task *task);
/* What notes it; a view of the task. */
struct kb_s3_journal object_task_journal(struct object_task *task);

/* --- (object_upload.c) -------------------------------------------------------------------- */

/* Sends and proves it; the row of an object that is not there is removed. What is
 * wrong is in the job. */
void object_task_run(struct object_task *task);
void object_task_clear(struct object_task *task);

#endif
