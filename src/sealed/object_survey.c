/* SPDX-License-Identifier: Apache-2.0 */
#include "sealed/object_survey.h"

#include "sealed/lanes.h"

#include <stdlib.h>
#include <string.h>

static char *copy_text(struct kb_bytes text)
{
    char *copy = malloc(text.size + 1);

    if (copy) {
        memcpy(copy, text.data ? text.data : (const uint8_t *)"", text.size);
        copy[text.size] = 0;
    }
    return copy;
}

static void clear_entry(struct survey_entry *entry)
{
    free(entry->key);
    free(entry->version);
    free(entry->former);
    memset(entry, 0, sizeof *entry);
}

struct kb_s3_name survey_name(const struct survey *survey, const struct survey_entry *entry)
{
    return (struct kb_s3_name){.bucket = survey->asked->bucket,
                               .key = entry->key,
                               /* By its name it would be taken as it is. */
                               .version = *entry->version && !entry->latest ? entry->version
                                                                            : NULL};
}

enum kb_status survey_tell(struct survey *survey, const struct survey_entry *entry,
                           const struct survey_result *result, struct kb_error *err)
{
    const struct kb_object_finding finding = {
        .grade = result->grade,
        .key = entry ? entry->key : NULL,
        .version = entry && survey->versions ? entry->version : "",
        .code = result->code,
        .text = result->text,
    };
    enum kb_status status;

    pthread_mutex_lock(&survey->lock);
    status = survey->asked->each(survey->asked->ctx, &finding, err);
    pthread_mutex_unlock(&survey->lock);
    return status;
}

bool survey_excuse(struct survey_result *out, enum kb_status status, const struct kb_error *error)
{
    switch (status) {
    case KB_ERR_NOT_FOUND:
        *out = (struct survey_result){KB_GRADE_NOTE, "gone", "it was deleted while we looked"};
        return true;
    case KB_ERR_DENIED:
        *out = (struct survey_result){
            KB_GRADE_BAD, error->detail_kind == KB_DETAIL_HTTP ? "refused" : "key-disabled",
            kb_error_text(error)};
        return true;
    default:
        return false;
    }
}

bool survey_is_clear(struct survey_result *out, const struct object_found *found)
{
    bool known = found->has_row && found->row.state == KB_VAULT_STORED &&
                 strcmp(found->row.encryption, kb_object_encryption_format(KB_OBJECT_NONE)) == 0;

    if (found->encryption != KB_OBJECT_NONE || object_is_instruction(&found->head))
        return false;
    *out = (struct survey_result){known ? KB_GRADE_NOTE : KB_GRADE_BAD, "unencrypted",
                                  "it lies there in the clear"};
    return true;
}

static enum kb_status look_at(void *ctx, size_t i, struct kb_error *err)
{
    struct survey *survey = ctx;

    return survey->look(survey, &survey->entries[i], err);
}

/* Looks at all but the newest entry, whose former version may be on the next
 * page; at the end at that, too. */
static enum kb_status flush(struct survey *survey, bool at_end, struct kb_error *err)
{
    size_t n = at_end || !survey->count ? survey->count : survey->count - 1;
    enum kb_status status = lanes_run(kb_s3_connections(survey->objects->s3), n, look_at, survey,
                                      err);

    for (size_t i = 0; i < n; i++)
        clear_entry(&survey->entries[i]);
    memmove(survey->entries, survey->entries + n, (survey->count - n) * sizeof *survey->entries);
    survey->count -= n;
    return status;
}

static enum kb_status take(void *ctx, const struct kb_s3_entry *entry, struct kb_error *err)
{
    struct survey *survey = ctx;
    struct survey_entry *last = survey->count ? &survey->entries[survey->count - 1] : NULL;
    struct survey_entry *to;

    if (entry->is_prefix || entry->is_delete_marker)
        return KB_OK;
    if (!entry->key.size || memchr(entry->key.data, 0, entry->key.size))
        return kb_error_set(err, KB_ERR_REMOTE, "the server lists an object without a name");
    /* Versions of a key come newest first. */
    if (last && !last->former && survey->versions &&
        kb_bytes_equal(kb_bytes_text(last->key), entry->key))
        last->former = copy_text(entry->version);
    if (survey->versions && !entry->is_latest && !survey->asked->versions)
        return KB_OK;
    if (survey->count > SURVEY_PAGE) {
        enum kb_status status = flush(survey, false, err);

        if (status != KB_OK)
            return status;
    }
    to = &survey->entries[survey->count++];
    *to = (struct survey_entry){.key = copy_text(entry->key),
                                .version = copy_text(entry->version),
                                .latest = entry->is_latest || !survey->versions};
    return to->key && to->version ? KB_OK : kb_error_set(err, KB_ERR_MEMORY, "no memory");
}

enum kb_status survey_run(struct survey *survey, struct kb_error *err)
{
    const struct kb_s3_list list = {.bucket = survey->asked->bucket,
                                    .prefix = survey->asked->prefix,
                                    .versions = survey->versions};
    enum kb_status status = kb_s3_list(survey->objects->s3, &list, take, survey, err);

    if (status == KB_OK)
        status = flush(survey, true, err);
    for (size_t i = 0; i < survey->count; i++)
        clear_entry(&survey->entries[i]);
    survey->count = 0;
    return status;
}
