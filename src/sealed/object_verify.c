/* SPDX-License-Identifier: Apache-2.0
 *
 * Every object under a prefix, asked for with its key and without, and held
 * against the inventory; and the inventory against the listing.
 */
#include "crypto/digest.h"
#include "sealed/object_survey.h"

#include <stdlib.h>
#include <string.h>

enum { MARK_SIZE = 16 };

/* What was listed: a mark for each object. */
struct listed {
    struct kb_buffer marks;
    bool versions;
    const struct kb_objects *objects;
    struct survey *survey;
    char *last; /* key of the newest row that was looked at */
};

/* --- what was listed ------------------------------------------------------------------ */

static enum kb_status mark_of(uint8_t out[MARK_SIZE], const char *key, const char *version,
                              struct kb_error *err)
{
    struct kb_buffer text = KB_BUFFER_INIT(KB_S3_KEY_MAX + KB_S3_VERSION_SIZE + 2);
    uint8_t digest[32];
    enum kb_status status;

    kb_buffer_put(&text, key, strlen(key) + 1);
    /* An object from before versioning is listed as "null". */
    kb_buffer_put_text(&text, strcmp(version, "null") == 0 ? "" : version);
    status = kb_buffer_check(&text, err);
    if (status == KB_OK)
        status = kb_digest_once(digest, KB_DIGEST_SHA256, kb_buffer_view(&text), err);
    kb_buffer_free(&text);
    if (status == KB_OK)
        memcpy(out, digest, MARK_SIZE);
    return status;
}

static enum kb_status note_listed(struct survey *survey, const struct survey_entry *entry,
                                  struct kb_error *err)
{
    struct listed *listed = survey->ctx;
    uint8_t mark[MARK_SIZE];
    enum kb_status status = mark_of(mark, entry->key, entry->version, err);

    if (status != KB_OK)
        return status;
    pthread_mutex_lock(&survey->lock);
    kb_buffer_put(&listed->marks, mark, MARK_SIZE);
    status = kb_buffer_check(&listed->marks, err);
    pthread_mutex_unlock(&survey->lock);
    return status;
}

static int compare_marks(const void *a, const void *b)
{
    return memcmp(a, b, MARK_SIZE);
}

static bool has_version(const struct kb_vault_object *row)
{
    return row->version[0] && strcmp(row->version, "null") != 0;
}

/* Rows of a key come newest first; where versions do not tell them apart the newest
 * counts. */
static bool is_replaced(const struct listed *listed, const struct kb_vault_object *row)
{
    return listed->last && strcmp(listed->last, row->object_key) == 0 &&
           !(listed->versions && has_version(row));
}

static enum kb_status keep_last(struct listed *listed, const struct kb_vault_object *row,
                                struct kb_error *err)
{
    if (listed->versions && has_version(row))
        return KB_OK;
    free(listed->last);
    listed->last = strdup(row->object_key);
    return listed->last ? KB_OK : kb_error_set(err, KB_ERR_MEMORY, "no memory");
}

static enum kb_status check_row(void *ctx, const struct kb_vault_object *row,
                                struct kb_error *err)
{
    struct listed *listed = ctx;
    const struct survey_entry entry = {.key = row->object_key,
                                       .version = (char *)(uintptr_t)row->version};
    const struct survey_result missing = {
        KB_GRADE_BAD, "missing", "it is in the inventory, and not in the bucket"};
    uint8_t mark[MARK_SIZE];
    enum kb_status status;

    if (row->state == KB_VAULT_PENDING || is_replaced(listed, row))
        return KB_OK;
    status = keep_last(listed, row, err);
    if (status != KB_OK || row->state == KB_VAULT_REMOVED)
        return status;
    status = mark_of(mark, row->object_key, listed->versions ? row->version : "", err);
    if (status != KB_OK || (listed->marks.size &&
                            bsearch(mark, listed->marks.data, listed->marks.size / MARK_SIZE,
                                    MARK_SIZE, compare_marks)))
        return status;
    return survey_tell(listed->survey, &entry, &missing, err);
}

static enum kb_status find_missing(struct listed *listed, struct kb_error *err)
{
    const struct kb_object_survey *asked = listed->survey->asked;
    const struct kb_vault_query query = {.endpoint = kb_s3_realm(listed->objects->s3),
                                         .bucket = asked->bucket,
                                         .object_key = asked->prefix,
                                         .prefix = true};

    if (!listed->objects->vault)
        return KB_OK;
    if (listed->marks.size)
        qsort(listed->marks.data, listed->marks.size / MARK_SIZE, MARK_SIZE, compare_marks);
    return kb_vault_each_object(listed->objects->vault, &query, check_row, listed, err);
}

/* --- one object ----------------------------------------------------------------------------- */

static enum kb_status swallow(void *ctx, struct kb_bytes bytes, struct kb_error *err)
{
    (void)ctx;
    (void)bytes;
    (void)err;
    return KB_OK;
}

static enum kb_status check_content(struct survey_result *out, const struct survey *survey,
                                    const struct kb_s3_name *name,
                                    const struct object_found *found, struct kb_error *err)
{
    const struct kb_object_get get = {.try_all_keys = survey->asked->try_all_keys,
                                      .write = swallow,
                                      .unverified = true,
                                      .scratch = -1};
    struct kb_object_result result;
    enum kb_status status;

    if ((found->encryption == KB_OBJECT_CLIENT && !survey->objects->s3ec) ||
        (found->encryption == KB_OBJECT_CLIENT_ENVELOPE && !survey->objects->esdk)) {
        *out = (struct survey_result){KB_GRADE_NOTE, "unread", "to read it its key is needed"};
        return KB_OK;
    }
    memset(&result, 0, sizeof result);
    status = kb_object_get((struct kb_objects *)(uintptr_t)survey->objects, name, &get, &result,
                           err);
    kb_object_result_free(&result);
    if (status == KB_OK && !(found->has_row && found->row.has_sha256) &&
        found->encryption != KB_OBJECT_CLIENT && found->encryption != KB_OBJECT_CLIENT_ENVELOPE)
        *out = (struct survey_result){KB_GRADE_NOTE, "no-sha256",
                                      "the inventory has no SHA-256 to hold it against"};
    return status;
}

/* True when the server gives the object without its key. */
static enum kb_status opens_without_key(bool *out, const struct survey *survey,
                                        const struct kb_s3_name *name, struct kb_error *err)
{
    struct kb_s3_object head = {.status = 0};
    struct kb_error why = {.status = KB_OK};
    enum kb_status status = kb_s3_head_object(survey->objects->s3, name, NULL, &head, &why);

    *out = status == KB_OK;
    kb_s3_object_free(&head);
    if (status == KB_OK || status == KB_ERR_AUTH || status == KB_ERR_DENIED)
        return KB_OK;
    if (err && err->status == KB_OK)
        *err = why;
    return status;
}

static bool is_stored_row(const struct object_found *found)
{
    return found->has_row && found->row.state == KB_VAULT_STORED;
}

/* Where none was asked for, the bucket's default may have encrypted it. */
static bool is_as_stored(const struct object_found *found)
{
    const char *now = kb_object_encryption_format(found->encryption);
    const char *none = kb_object_encryption_format(KB_OBJECT_NONE);

    return strcmp(found->row.encryption, now) == 0 ||
           (strcmp(found->row.encryption, none) == 0 &&
            (found->encryption == KB_OBJECT_SSE_S3 || found->encryption == KB_OBJECT_SSE_KMS));
}

/* What can be told by HEAD and the inventory; code NULL: nothing is wrong. */
static struct survey_result judge(const struct object_found *found)
{
    bool stored = is_stored_row(found);
    struct survey_result clear;
    bool agreed = stored && is_as_stored(found);

    if (found->customer_key && !found->known)
        return (struct survey_result){KB_GRADE_BAD, "not-ours",
                                      "it is under a customer key that is not in the vault"};
    if (found->replaced)
        return (struct survey_result){KB_GRADE_BAD, "replaced",
                                      "it is a version that the inventory does not have, over one "
                                      "that it has"};
    if (found->differs)
        return (struct survey_result){KB_GRADE_BAD, "changed",
                                      "it is not the object that the inventory has, by its ETag"};
    if (survey_is_clear(&clear, found))
        return clear;
    if (stored && !agreed)
        return (struct survey_result){KB_GRADE_BAD, "encryption",
                                      "it is encrypted in another way than the inventory says"};
    if (stored && found->encryption == KB_OBJECT_SSE_C && found->row.size != found->head.size)
        return (struct survey_result){KB_GRADE_BAD, "size",
                                      "it has another size than the inventory says"};
    return (struct survey_result){KB_GRADE_GOOD, NULL, NULL};
}

static enum kb_status examine(struct survey_result *out, struct survey *survey,
                              const struct kb_s3_name *name, struct object_found *found,
                              struct kb_error *err)
{
    const struct kb_object_get get = {.try_all_keys = survey->asked->try_all_keys, .scratch = -1};
    bool open = false;
    enum kb_status status = object_find(found, survey->objects, name, &get, true, err);

    if (status != KB_OK)
        return status;
    *out = judge(found);
    if (out->code)
        return KB_OK;
    if (found->known && !found->refused)
        status = opens_without_key(&open, survey, name, err);
    if (status != KB_OK)
        return status;
    if (open) {
        *out = (struct survey_result){KB_GRADE_BAD, "opens-without-key",
                                      "the server gives it without its key"};
        return KB_OK;
    }
    if (survey->asked->content)
        status = check_content(out, survey, name, found, err);
    if (status != KB_OK || out->code)
        return status;
    if (!found->has_row && found->known && !found->is_instruction)
        *out = (struct survey_result){KB_GRADE_NOTE, "no-row",
                                      "it opens with our key, and is not in the inventory"};
    else if (found->has_row && !is_stored_row(found))
        *out = (struct survey_result){KB_GRADE_NOTE, "pending",
                                      "it opens, but its upload was not seen to its end"};
    else
        *out = (struct survey_result){KB_GRADE_GOOD, "ok", "it is as it should be"};
    return KB_OK;
}

static enum kb_status verify_one(struct survey *survey, const struct survey_entry *entry,
                                 struct kb_error *err)
{
    const struct kb_s3_name name = survey_name(survey, entry);
    struct survey_result result = {KB_GRADE_GOOD, NULL, NULL};
    struct kb_error why = {.status = KB_OK};
    struct object_found found;
    enum kb_status status = note_listed(survey, entry, err);

    if (status != KB_OK)
        return status;
    memset(&found, 0, sizeof found);
    status = examine(&result, survey, &name, &found, &why);
    /* Of an object that was found, what is wrong now is its content. */
    if (found.head.etag[0] && (status == KB_ERR_AUTH || status == KB_ERR_INPUT)) {
        result = (struct survey_result){KB_GRADE_BAD, "content", kb_error_text(&why)};
        status = KB_OK;
    } else if (status != KB_OK && survey_excuse(&result, status, &why)) {
        status = KB_OK;
    }
    object_found_clear(&found);
    if (status == KB_OK)
        return survey_tell(survey, entry, &result, err);
    if (err && err->status == KB_OK)
        *err = why;
    return status;
}

enum kb_status kb_object_verify(struct kb_objects *objects, const struct kb_object_survey *asked,
                                struct kb_error *err)
{
    struct listed listed = {.marks = KB_BUFFER_INIT(SIZE_MAX / 2),
                            .versions = asked->versions,
                            .objects = objects};
    struct survey *survey = calloc(1, sizeof *survey);
    enum kb_status status;

    if (!survey)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    survey->objects = objects;
    survey->asked = asked;
    survey->versions = asked->versions;
    survey->look = verify_one;
    survey->ctx = &listed;
    listed.survey = survey;
    pthread_mutex_init(&survey->lock, NULL);
    status = survey_run(survey, err);
    if (status == KB_OK)
        status = find_missing(&listed, err);
    pthread_mutex_destroy(&survey->lock);
    kb_buffer_free(&listed.marks);
    free(listed.last);
    free(survey);
    return status;
}
