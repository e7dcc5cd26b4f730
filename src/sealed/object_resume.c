/* SPDX-License-Identifier: Apache-2.0
 *
 * Uploads that were cut are gone on with: the vault remembers the upload's id,
 * its parts, and of a client-side object the header, whose content key encrypts
 * the same bytes to the same parts. A part that differs ends the upload
 * (kb_s3_upload), so that no key stream serves two texts.
 */
#include "sealed/object_put.h"

#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

bool object_task_resumes(const struct kb_object_put *put)
{
    return put->resume && put->source_identity;
}

void object_task_forget(struct object_task *task)
{
    kb_vault_upload_free(&task->remembered);
    free(task->known);
    task->known = NULL;
    task->known_count = 0;
    task->resumed = false;
}

void object_task_end(struct object_task *task)
{
    struct kb_error none = {.status = KB_OK};

    if (task->noted)
        (void)!kb_vault_end_upload(task->objects->vault, task->row.row, &none);
    task->noted = false;
}

/* --- headers of client-side objects as JSON ------------------------------------------------- */

static bool add_text(cJSON *to, const char *name, struct kb_bytes text)
{
    char *copy = strndup(text.size ? (const char *)text.data : "", text.size);
    bool good = copy && cJSON_AddStringToObject(to, name, copy);

    free(copy);
    return good;
}

static char *header_format(const struct kb_s3ec_header *header)
{
    cJSON *json = cJSON_CreateObject();
    cJSON *metadata = json ? cJSON_AddObjectToObject(json, "metadata") : NULL;
    bool good = metadata != NULL;
    char *text;

    for (size_t i = 0; good && i < header->metadata_count; i++) {
        const struct kb_pair *pair = &header->metadata[i];
        char *name = strndup((const char *)pair->name.data, pair->name.size);

        good = name && add_text(metadata, name, pair->value);
        free(name);
    }
    if (good && header->instruction.data)
        good = add_text(json, "instruction", header->instruction);
    text = good ? cJSON_PrintUnformatted(json) : NULL;
    cJSON_Delete(json);
    return text;
}

static enum kb_status seal_again(struct object_task *task, struct kb_error *err)
{
    struct kb_pair metadata[KB_S3EC_METADATA_MAX];
    struct kb_s3ec_header header = {.metadata = metadata};
    cJSON *json = cJSON_Parse(task->remembered.header);
    const cJSON *instruction = cJSON_GetObjectItemCaseSensitive(json, "instruction");
    const cJSON *member;
    enum kb_status status = KB_OK;

    cJSON_ArrayForEach(member, cJSON_GetObjectItemCaseSensitive(json, "metadata"))
    {
        if (!cJSON_IsString(member) || header.metadata_count == KB_S3EC_METADATA_MAX)
            status = kb_error_set(err, KB_ERR_INPUT, "the vault's note of an upload is damaged");
        else
            metadata[header.metadata_count++] = (struct kb_pair){
                kb_bytes_text(member->string), kb_bytes_text(member->valuestring)};
    }
    if (cJSON_IsString(instruction))
        header.instruction = kb_bytes_text(instruction->valuestring);
    kb_s3ec_object_free(task->sealing);
    task->sealing = NULL;
    if (status == KB_OK)
        status = kb_s3ec_encrypt_again(&task->sealing, task->objects->s3ec, &header, err);
    cJSON_Delete(json);
    return status;
}

/* --- what is remembered ----------------------------------------------------------------------- */

static enum kb_status begin(void *ctx, const char *upload, uint64_t part_size,
                            struct kb_error *err)
{
    struct object_task *task = ctx;
    char *header = task->sealing ? header_format(kb_s3ec_object_header(task->sealing)) : strdup("");
    struct kb_vault_upload note = {.object_row = task->row.row,
                                   .upload = strdup(upload),
                                   .source = strdup(task->job->put.source_identity),
                                   .header = header,
                                   .part_size = part_size};
    enum kb_status status = KB_ERR_MEMORY;

    if (note.upload && note.source && note.header)
        status = kb_vault_add_upload(task->objects->vault, &note, err);
    else
        kb_error_set(err, KB_ERR_MEMORY, "no memory");
    kb_vault_upload_free(&note);
    task->noted = status == KB_OK;
    return status;
}

static enum kb_status part(void *ctx, const struct kb_s3_part *sent, const uint8_t sha256[32],
                           struct kb_error *err)
{
    const struct object_task *task = ctx;
    struct kb_s3_known_part known = {.part = *sent};

    memcpy(known.sha256, sha256, sizeof known.sha256);
    return kb_vault_add_part(task->objects->vault, task->row.row, &known, err);
}

struct kb_s3_journal object_task_journal(struct object_task *task)
{
    return (struct kb_s3_journal){.begin = begin, .part = part, .ctx = task};
}

/* --- and found again -------------------------------------------------------------------------- */

static bool same_upload(const struct object_task *task, const struct kb_vault_object *row,
                        const char *key_id)
{
    const struct kb_object_put *put = &task->job->put;

    return (!key_id[0] || strcmp(row->key_id, key_id) == 0) && row->state == KB_VAULT_PENDING &&
           (put->encryption == KB_OBJECT_SSE_C || put->with_sse_c) == (row->key_id[0] != 0) &&
           strcmp(row->encryption, kb_object_encryption_format(put->encryption)) == 0;
}

/* The upload of a source that has changed since: nobody will go on with it. */
static void abandon(const struct object_task *task, int64_t row)
{
    struct kb_error none = {.status = KB_OK};
    enum kb_status status = kb_s3_abort_upload(task->objects->s3, &task->job->name,
                                               task->remembered.upload, &none);

    kb_error_clear(&none);
    if (status == KB_OK || status == KB_ERR_NOT_FOUND)
        (void)!kb_vault_remove_objects(task->objects->vault, &row, 1, &none);
}

/* The row's upload, if it has one, of the same source. */
static enum kb_status recall_row(struct object_task *task, const struct kb_vault_object *row,
                                 struct kb_error *err)
{
    struct kb_error why = {.status = KB_OK};
    enum kb_status status = kb_vault_get_upload(task->objects->vault, row->row, &task->remembered,
                                                &task->known, &task->known_count, &why);

    if (status == KB_ERR_NOT_FOUND)
        return KB_OK;
    if (status != KB_OK) {
        if (err && err->status == KB_OK)
            *err = why;
        return status;
    }
    task->resumed = strcmp(task->remembered.source, task->job->put.source_identity) == 0;
    if (!task->resumed) {
        abandon(task, row->row);
        object_task_forget(task);
    }
    return KB_OK;
}

/* An upload under another key than the one that is named is left alone. */
static enum kb_status find_wanted_key(char id[KB_VAULT_ID_SIZE], const struct object_task *task,
                                      struct kb_error *err)
{
    struct kb_vault_key key = {.scope = NULL};
    enum kb_status status = KB_OK;

    if (task->job->put.key)
        status = kb_vault_find_key(task->objects->vault, task->job->put.key, &key, err);
    memcpy(id, key.id, KB_VAULT_ID_SIZE);
    kb_vault_key_free(&key);
    return status;
}

enum kb_status object_task_recall(struct object_task *task, struct kb_error *err)
{
    char wanted[KB_VAULT_ID_SIZE];
    struct object_rows rows = {.count = 0};
    enum kb_status status = find_wanted_key(wanted, task, err);

    if (status == KB_OK)
        status = object_rows_get(&rows, task->objects, &task->job->name, err);
    for (size_t i = 0; status == KB_OK && !task->resumed && i < rows.count; i++) {
        if (!same_upload(task, &rows.rows[i], wanted))
            continue;
        status = recall_row(task, &rows.rows[i], err);
        if (status != KB_OK || !task->resumed)
            continue;
        task->row = rows.rows[i];
        memset(&rows.rows[i], 0, sizeof rows.rows[i]);
        task->has_row = task->noted = true;
    }
    object_rows_free(&rows);
    if (status == KB_OK && task->resumed && task->row.key_id[0])
        status = object_key_release(&task->key, task->objects, task->row.key_id, true, err);
    if (status == KB_OK && task->resumed && task->job->put.encryption == KB_OBJECT_CLIENT)
        status = seal_again(task, err);
    return status;
}

enum kb_status object_task_restart(struct object_task *task, struct kb_error *err)
{
    enum kb_status status = KB_OK;

    /* The server may have had the parts: what differs in them must not be under the
     * same content key and IV. */
    if (task->sealing) {
        kb_s3ec_object_free(task->sealing);
        task->sealing = NULL;
        status = kb_s3ec_encrypt(&task->sealing, 1, task->objects->s3ec, &task->job->put.s3ec,
                                 err);
    }
    object_task_end(task);
    object_task_forget(task);
    return status;
}
