/* SPDX-License-Identifier: Apache-2.0
 *
 * What a server says it did is tried: some take the headers of SSE-C and store
 * plaintext.
 */
#include "sealed/object.h"

#include <stdio.h>
#include <string.h>

struct trial {
    struct kb_object_result *result;
    const struct kb_objects *objects;
    const struct object_claim *claim;
    struct kb_s3_name name; /* of the version that was stored, when it has one */
    enum object_verdict verdict;
};

static enum kb_status disprove(struct trial *trial, struct kb_error *err, const char *sentence)
{
    trial->verdict = OBJECT_DISPROVED;
    return kb_error_set(err, KB_ERR_REMOTE, "s3://%s/%s: %s", trial->name.bucket, trial->name.key,
                        sentence);
}

/* 400: it is not under this key, or under one and none was given. */
static bool refuses(enum kb_status status, const struct kb_s3_object *head)
{
    return status == KB_ERR_AUTH && head->status == 400;
}

/* A failure that tells nothing of the object. 403 may be for want of a permission,
 * or, on AWS, for the wrong key. */
static enum kb_status pass_on(const struct trial *trial, const struct kb_s3_object *head,
                              const struct kb_error *why, struct kb_error *err)
{
    if (head->status == 403) {
        kb_error_set(err, KB_ERR_DENIED,
                     "s3://%s/%s was stored, and could not be verified: the server does not let "
                     "these credentials look at it",
                     trial->name.bucket, trial->name.key);
        kb_error_hint(err, "it was left there; once s3:GetObject is allowed, keybridge s3 verify "
                           "tries it");
        return KB_ERR_DENIED;
    }
    if (err && err->status == KB_OK)
        *err = *why;
    return why->status;
}

/* A version names one object for ever; "null" names whatever has no version. */
bool object_is_pinned(const struct kb_s3_object *object)
{
    return !object_same_version(object->version, "null");
}

/* The same object as was stored: by its version, or else its ETag. */
static enum kb_status check_same(struct trial *trial, const struct kb_s3_object *head,
                                 struct kb_error *err)
{
    const struct kb_s3_object *stored = trial->claim->stored;

    if (strcmp(head->version, stored->version) != 0 && object_is_pinned(stored))
        return disprove(trial, err, "the server shows another version than it was asked for");
    if (strcmp(head->etag, stored->etag) != 0) {
        if (object_is_pinned(stored))
            return disprove(trial, err, "the server shows another ETag than it gave");
        trial->verdict = OBJECT_REPLACED;
        return kb_error_set(err, KB_ERR_REMOTE,
                            "s3://%s/%s was replaced by another object before it could be "
                            "verified",
                            trial->name.bucket, trial->name.key);
    }
    if (head->size != trial->claim->size)
        return disprove(trial, err, "the server stored another number of bytes than it got");
    return KB_OK;
}

static enum kb_status check_metadata(struct trial *trial, const struct kb_s3_object *head,
                                     struct kb_error *err)
{
    const struct object_claim *claim = trial->claim;

    for (size_t i = 0; i < claim->metadata_count; i++) {
        const struct kb_pair *pair = &claim->metadata[i];
        bool found = false;

        for (size_t k = 0; !found && k < head->metadata_count; k++)
            found = kb_bytes_equal(head->metadata[k].name, pair->name) &&
                    kb_bytes_equal(head->metadata[k].value, pair->value);
        if (!found)
            return disprove(trial, err, "the server changed the metadata it is encrypted by");
    }
    return KB_OK;
}

/* --- SSE-C -------------------------------------------------------------------------------- */

static enum kb_status open_with_key(struct trial *trial, struct kb_error *err)
{
    const struct kb_s3_encryption encryption = object_key_encryption(trial->claim->key);
    struct kb_s3_object *head = &trial->result->object;
    struct kb_error why = {.status = KB_OK};
    enum kb_status status =
        kb_s3_head_object(trial->objects->s3, &trial->name, &encryption, head, &why);

    if (refuses(status, head))
        return disprove(trial, err, "the server does not open it with the key it was given");
    if (status == KB_ERR_NOT_FOUND)
        return disprove(trial, err, "the server said it was stored, and does not have it");
    if (status != KB_OK)
        return pass_on(trial, head, &why, err);
    status = check_same(trial, head, err);
    if (status != KB_OK)
        return status;
    if (head->fingerprint[0] && strcmp(head->fingerprint, trial->claim->key->fingerprint) != 0)
        return disprove(trial, err, "the server names another customer key");
    trial->result->opens_with_key = true;
    return KB_OK;
}

static enum kb_status closed_without_key(struct trial *trial, struct kb_error *err)
{
    struct kb_s3_object head = {.status = 0};
    struct kb_error why = {.status = KB_OK};
    enum kb_status status =
        kb_s3_head_object(trial->objects->s3, &trial->name, NULL, &head, &why);

    trial->result->closed_without_key = refuses(status, &head);
    if (status == KB_OK && !object_is_pinned(trial->claim->stored) &&
        strcmp(head.etag, trial->claim->stored->etag) != 0)
        status = check_same(trial, &head, err);
    else if (status == KB_OK)
        status = disprove(trial, err, "the server shows it without the customer key: it lies "
                                      "there in the clear");
    else if (trial->result->closed_without_key)
        status = KB_OK;
    else
        status = pass_on(trial, &head, &why, err);
    kb_s3_object_free(&head);
    return status;
}

static enum kb_status prove_customer_key(struct trial *trial, struct kb_error *err)
{
    const struct object_claim *claim = trial->claim;
    struct kb_object_result *result = trial->result;
    enum kb_status status;

    snprintf(result->key_id, sizeof result->key_id, "%s", claim->key->id);
    result->echoed = claim->echoed &&
                     strcmp(claim->stored->fingerprint, claim->key->fingerprint) == 0;
    if (!result->echoed)
        return disprove(trial, err, "the server did not confirm the customer key: it may lie "
                                    "there in the clear");
    status = open_with_key(trial, err);
    if (status == KB_OK)
        status = closed_without_key(trial, err);
    return status == KB_OK ? check_metadata(trial, &result->object, err) : status;
}

/* --- by the server -------------------------------------------------------------------------- */

/* A key's id is also the end of its ARN; what an alias leads to is not known. */
bool object_is_kms_key(const char *shown, const char *asked)
{
    size_t size = asked ? strlen(asked) : 0, whole = strlen(shown);

    if (!asked || strncmp(asked, "alias/", 6) == 0 || strstr(asked, ":alias/"))
        return true;
    return strcmp(shown, asked) == 0 ||
           (whole > size && shown[whole - size - 1] == '/' &&
            strcmp(shown + whole - size, asked) == 0);
}

static enum kb_status check_server(struct trial *trial, const struct kb_s3_object *object,
                                   struct kb_error *err)
{
    const struct object_claim *claim = trial->claim;

    if (claim->encryption == KB_OBJECT_SSE_S3 && object->sse != KB_S3_SSE_S3)
        return disprove(trial, err, "the server did not encrypt it with SSE-S3");
    if (claim->encryption == KB_OBJECT_SSE_KMS && object->sse != KB_S3_SSE_KMS)
        return disprove(trial, err, "the server did not encrypt it with SSE-KMS");
    if (claim->encryption == KB_OBJECT_SSE_KMS &&
        !object_is_kms_key(object->kms_key, claim->kms_key))
        return disprove(trial, err, "the server encrypted it with another KMS key");
    return KB_OK;
}

static enum kb_status prove_server(struct trial *trial, struct kb_error *err)
{
    struct kb_s3_object *head = &trial->result->object;
    struct kb_error why = {.status = KB_OK};
    enum kb_status status = check_server(trial, trial->claim->stored, err);

    if (status != KB_OK)
        return status;
    status = kb_s3_head_object(trial->objects->s3, &trial->name, NULL, head, &why);
    if (status != KB_OK)
        return pass_on(trial, head, &why, err);
    status = check_same(trial, head, err);
    if (status == KB_OK)
        status = check_server(trial, head, err);
    return status == KB_OK ? check_metadata(trial, head, err) : status;
}

static void add_text(struct kb_error *err, const char *text)
{
    size_t size = err ? strlen(err->text) : 0;

    if (err)
        snprintf(err->text + size, sizeof err->text - size, "%s", text);
}

bool object_is_there(const struct kb_objects *objects, const struct kb_s3_name *name,
                     const struct kb_s3_object *stored, const struct object_key *key)
{
    const struct kb_s3_name current = {.bucket = name->bucket, .key = name->key};
    const struct kb_s3_encryption with_key = object_key_encryption(key);
    const struct kb_s3_encryption *const ways[] = {NULL, with_key.customer_key ? &with_key : NULL};
    bool is = object_is_pinned(stored);

    for (size_t i = 0; !is && (i == 0 || (i == 1 && ways[1])); i++) {
        struct kb_s3_object head = {.status = 0};
        struct kb_error none = {.status = KB_OK};

        is = kb_s3_head_object(objects->s3, &current, ways[i], &head, &none) == KB_OK &&
             strcmp(head.etag, stored->etag) == 0;
        kb_s3_object_free(&head);
    }
    return is;
}

enum kb_status object_prove(struct kb_object_result *out, const struct kb_objects *objects,
                            const struct kb_s3_name *name, const struct object_claim *claim,
                            enum object_verdict *verdict, struct kb_error *err)
{
    struct trial trial = {.result = out,
                          .objects = objects,
                          .claim = claim,
                          .name = {.bucket = name->bucket, .key = name->key},
                          .verdict = OBJECT_UNTRIED};
    enum kb_status status;

    if (claim->stored->version[0])
        trial.name.version = claim->stored->version;
    status = claim->key && claim->key->plain ? prove_customer_key(&trial, err)
                                             : prove_server(&trial, err);
    if (trial.verdict == OBJECT_DISPROVED &&
        !object_is_there(objects, name, claim->stored, claim->key)) {
        trial.verdict = OBJECT_REPLACED;
        add_text(err, "; nothing was removed: what is there now may be another's");
    }
    *verdict = status == KB_OK ? OBJECT_PROVED : trial.verdict;
    return status;
}

/* --- what was not as claimed ------------------------------------------------------------------ */

/* Without versions it took the place of what was there. */
static void note_overwritten(const struct kb_objects *objects, const struct kb_s3_name *name,
                             const char *version, struct kb_error *err)
{
    struct kb_error none = {.status = KB_OK};
    const struct kb_s3_name whole = {.bucket = name->bucket, .key = name->key};
    struct object_rows rows;
    size_t count = 0;

    if (!object_same_version(version, "null") ||
        object_rows_get(&rows, objects, &whole, &none) != KB_OK)
        return;
    (void)!object_rows_remove(&rows, objects, version, &count, &none);
    object_rows_free(&rows);
    if (count)
        add_text(err, "; what was there before was overwritten, and is gone, too");
}

bool object_withdraw(const struct kb_objects *objects, const struct kb_s3_name *name,
                     const struct kb_s3_object *stored, struct kb_error *err)
{
    const struct kb_s3_name exact = {.bucket = name->bucket,
                                     .key = name->key,
                                     .version = stored->version[0] ? stored->version : NULL};
    struct kb_error why = {.status = KB_OK};
    bool removed = kb_s3_delete_object(objects->s3, &exact, NULL, &why) == KB_OK;

    if (removed) {
        add_text(err, "; it was removed");
    } else {
        add_text(err, "; it could not be removed");
        kb_error_hint(err, "%s", kb_error_text(&why));
    }
    note_overwritten(objects, name, stored->version, err);
    return removed;
}

void object_explain_refusal(const struct kb_objects *objects, const struct kb_s3_name *name,
                            const struct object_key *key, struct kb_error *err)
{
    struct kb_s3_bucket_encryption rule = {.blocks_sse_c = false};
    struct kb_error none = {.status = KB_OK};

    if (!err || err->status != KB_ERR_DENIED || !key || !key->plain)
        return;
    if (kb_s3_get_bucket_encryption(objects->s3, name->bucket, &rule, &none) != KB_OK ||
        !rule.blocks_sse_c)
        return;
    kb_error_clear(err);
    kb_error_set(err, KB_ERR_DENIED, "the bucket %s forbids customer keys (SSE-C)", name->bucket);
    kb_error_hint(err, "keybridge s3 bucket allow-sse-c s3://%s, or --encryption client",
                  name->bucket);
}
