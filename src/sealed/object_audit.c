/* SPDX-License-Identifier: Apache-2.0
 *
 * What somebody with write access leaves, or needs. In January 2025 objects
 * were overwritten by copies under customer keys of attackers ("Codefinger"):
 * the objects' keys tell it, versions undo it, and a policy stops it.
 */
#include "sealed/object_survey.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

enum { POLICY_MAX = 64 * 1024 };

struct audit {
    uint64_t customer_keys; /* objects under them */
};

static enum kb_status tell(struct survey *survey, enum kb_object_grade grade, const char *code,
                           const char *text, struct kb_error *err)
{
    const struct survey_result result = {grade, code, text};

    return survey_tell(survey, NULL, &result, err);
}

/* --- versions ------------------------------------------------------------------------- */

static enum kb_status audit_versioning(struct survey *survey, struct kb_error *err)
{
    enum kb_s3_versioning versioning = KB_S3_VERSIONING_NEVER;
    enum kb_status status = kb_s3_get_versioning(survey->objects->s3, survey->asked->bucket,
                                                 &versioning, err);

    if (status != KB_OK)
        return status;
    survey->versions = versioning != KB_S3_VERSIONING_NEVER;
    if (versioning == KB_S3_VERSIONING_NEVER)
        return tell(survey, KB_GRADE_BAD, "unversioned",
                    "the bucket keeps no versions: what is overwritten is lost", err);
    if (versioning == KB_S3_VERSIONING_SUSPENDED)
        return tell(survey, KB_GRADE_BAD, "versioning-suspended",
                    "the bucket keeps no versions any more: what is overwritten is lost", err);
    return KB_OK;
}

/* --- the policy ----------------------------------------------------------------------------- */

/* IAM's patterns: '*' stands for anything, '?' for one character; actions and
 * condition keys do not tell upper from lower case. */
static bool matches(const char *pattern, const char *text)
{
    const char *star = NULL, *mark = NULL;

    while (*text) {
        if (*pattern == '*') {
            star = pattern++;
            mark = text;
        } else if (*pattern == '?' ||
                   tolower((unsigned char)*pattern) == tolower((unsigned char)*text)) {
            pattern++;
            text++;
        } else if (star) {
            pattern = star + 1;
            text = ++mark;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return !*pattern;
}

/* True when one of a text or list of texts, patterns, is for `text`. */
static bool any_matches(const cJSON *patterns, const char *text)
{
    const cJSON *item;

    if (cJSON_IsString(patterns))
        return matches(patterns->valuestring, text);
    cJSON_ArrayForEach(item, patterns)
    {
        if (cJSON_IsString(item) && matches(item->valuestring, text))
            return true;
    }
    return false;
}

static bool is_everybody(const cJSON *principal)
{
    const cJSON *item;

    if (cJSON_IsObject(principal))
        principal = cJSON_GetObjectItemCaseSensitive(principal, "AWS");
    if (cJSON_IsString(principal))
        return strcmp(principal->valuestring, "*") == 0;
    cJSON_ArrayForEach(item, principal)
    {
        if (cJSON_IsString(item) && strcmp(item->valuestring, "*") == 0)
            return true;
    }
    return false;
}

static bool is_text(const cJSON *value, const char *text)
{
    if (cJSON_IsArray(value) && cJSON_GetArraySize(value) == 1)
        value = value->child;
    if (cJSON_IsBool(value))
        return strcmp(text, cJSON_IsTrue(value) ? "true" : "false") == 0;
    return cJSON_IsString(value) && strcmp(value->valuestring, text) == 0;
}

/* The header is missing, or is another: as the only condition, for any other one
 * beside it would let through what that one leaves out. */
static bool has_condition(const cJSON *statement)
{
    const cJSON *operators = cJSON_GetObjectItemCaseSensitive(statement, "Condition");
    const cJSON *first = operators ? operators->child : NULL;
    const cJSON *key = first ? first->child : NULL;

    if (!key || first->next || key->next || !key->string || !first->string ||
        !matches("s3:x-amz-server-side-encryption*", key->string))
        return false;
    return strcmp(first->string, "StringNotEquals") == 0 ||
           (strcmp(first->string, "Null") == 0 && is_text(key, "true"));
}

static bool denies(const struct survey *survey, const cJSON *statement)
{
    const cJSON *effect = cJSON_GetObjectItemCaseSensitive(statement, "Effect");
    const cJSON *action = cJSON_GetObjectItemCaseSensitive(statement, "Action");
    const cJSON *resource = cJSON_GetObjectItemCaseSensitive(statement, "Resource");
    char any[KB_S3_BUCKET_MAX + 64];

    snprintf(any, sizeof any, "arn:aws:s3:::%s/\x01", survey->asked->bucket);
    return cJSON_IsString(effect) && strcmp(effect->valuestring, "Deny") == 0 &&
           any_matches(action, "s3:PutObject") && any_matches(resource, any) &&
           is_everybody(cJSON_GetObjectItemCaseSensitive(statement, "Principal")) &&
           has_condition(statement);
}

static enum kb_status judge_policy(struct survey *survey, const char *text, struct kb_error *err)
{
    cJSON *policy = cJSON_Parse(text);
    const cJSON *statements = cJSON_GetObjectItemCaseSensitive(policy, "Statement");
    const cJSON *statement;
    bool found = cJSON_IsObject(statements) && denies(survey, statements);

    cJSON_ArrayForEach(statement, statements)
    {
        found = found || (cJSON_IsObject(statement) && denies(survey, statement));
    }
    cJSON_Delete(policy);
    if (found)
        return KB_OK;
    return tell(survey, KB_GRADE_BAD, "no-deny-policy",
                "the bucket's policy does not deny uploads that are not encrypted as asked", err);
}

static enum kb_status audit_policy(struct survey *survey, struct kb_error *err)
{
    struct kb_buffer text = KB_BUFFER_INIT(POLICY_MAX);
    struct kb_error why = {.status = KB_OK};
    enum kb_status status =
        kb_s3_get_bucket_policy(survey->objects->s3, survey->asked->bucket, &text, &why);

    if (status == KB_OK) {
        kb_buffer_put_u8(&text, 0);
        status = kb_buffer_check(&text, &why);
    }
    if (status == KB_OK)
        status = judge_policy(survey, (const char *)text.data, err);
    else if (status == KB_ERR_NOT_FOUND)
        status = tell(survey, KB_GRADE_BAD, "no-policy", "the bucket has no policy", err);
    else if (err && err->status == KB_OK)
        *err = why;
    kb_buffer_free(&text);
    return status;
}

/* --- objects ---------------------------------------------------------------------------------- */

/* True when the version is one that we stored, and opens. */
static bool opens(struct survey *survey, const char *key, const char *version)
{
    const struct kb_s3_name name = {
        .bucket = survey->asked->bucket, .key = key, .version = version};
    const struct kb_object_get get = {.try_all_keys = survey->asked->try_all_keys,
                                      .raw = true,
                                      .scratch = -1};
    struct kb_error none = {.status = KB_OK};
    struct object_found found;
    bool open;

    memset(&found, 0, sizeof found);
    open = object_find(&found, survey->objects, &name, &get, false, &none) == KB_OK &&
           found.has_row && found.row.state == KB_VAULT_STORED && !found.differs &&
           strcmp(found.row.version, found.head.version) == 0;
    object_found_clear(&found);
    return open;
}

static enum kb_status tell_not_ours(struct survey *survey, const struct survey_entry *entry,
                                    struct kb_error *err)
{
    struct survey_result result = {KB_GRADE_BAD, "not-ours",
                                   "it is under a customer key that is not in the vault"};
    char text[KB_S3_VERSION_SIZE + 128];

    if (entry->former && opens(survey, entry->key, entry->former)) {
        snprintf(text, sizeof text,
                 "it was overwritten under a customer key that is not in the vault; version %s "
                 "before it is ours and opens",
                 entry->former);
        result.code = "overwritten";
        result.text = text;
    }
    return survey_tell(survey, entry, &result, err);
}

static enum kb_status audit_one(struct survey *survey, const struct survey_entry *entry,
                                struct kb_error *err)
{
    /* What lies in the clear, and what only seems to, tells the client's format. */
    const struct kb_object_get get = {.try_all_keys = survey->asked->try_all_keys,
                                      .raw = !survey->asked->versions,
                                      .scratch = -1};
    const struct kb_s3_name name = survey_name(survey, entry);
    struct survey_result result = {KB_GRADE_GOOD, "ok", "it is not under a key of others"};
    struct audit *audit = survey->ctx;
    struct kb_error why = {.status = KB_OK};
    struct object_found found;
    enum kb_status status;
    bool foreign;

    memset(&found, 0, sizeof found);
    status = object_find(&found, survey->objects, &name, &get, true, &why);
    foreign = status == KB_OK && found.customer_key && !found.known;
    if (status == KB_OK && found.differs)
        result = (struct survey_result){
            KB_GRADE_BAD, found.replaced ? "replaced" : "changed",
            "it is not what the inventory has: somebody else wrote it, over an object of ours"};
    else if (status == KB_OK && survey->asked->versions)
        (void)survey_is_clear(&result, &found);
    pthread_mutex_lock(&survey->lock);
    audit->customer_keys += status == KB_OK && found.customer_key;
    pthread_mutex_unlock(&survey->lock);
    object_found_clear(&found);
    if (foreign)
        return tell_not_ours(survey, entry, err);
    if (status == KB_OK || survey_excuse(&result, status, &why))
        return survey_tell(survey, entry, &result, err);
    if (err && err->status == KB_OK)
        *err = why;
    return status;
}

static enum kb_status audit_blocking(struct survey *survey, const struct audit *audit,
                                     struct kb_error *err)
{
    struct kb_s3_bucket_encryption rule = {.blocks_sse_c = false};
    struct kb_error none = {.status = KB_OK};

    /* Servers that do not tell cannot block it. */
    if (audit->customer_keys ||
        kb_s3_get_bucket_encryption(survey->objects->s3, survey->asked->bucket, &rule, &none) !=
            KB_OK ||
        rule.blocks_sse_c)
        return KB_OK;
    return tell(survey, KB_GRADE_NOTE, "sse-c-open",
                "no object here is under a customer key, and SSE-C is not blocked", err);
}

enum kb_status kb_object_audit(struct kb_objects *objects, const struct kb_object_survey *asked,
                               struct kb_error *err)
{
    struct audit audit = {.customer_keys = 0};
    struct survey *survey = calloc(1, sizeof *survey);
    enum kb_status status;

    if (!survey)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    survey->objects = objects;
    survey->asked = asked;
    survey->look = audit_one;
    survey->ctx = &audit;
    pthread_mutex_init(&survey->lock, NULL);
    status = audit_versioning(survey, err);
    if (status == KB_OK)
        status = audit_policy(survey, err);
    if (status == KB_OK)
        status = survey_run(survey, err);
    if (status == KB_OK)
        status = audit_blocking(survey, &audit, err);
    pthread_mutex_destroy(&survey->lock);
    free(survey);
    return status;
}
