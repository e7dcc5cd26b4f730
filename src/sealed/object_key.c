/* SPDX-License-Identifier: Apache-2.0
 *
 * Customer keys in use.
 */
#include "sealed/object.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void object_key_clear(struct object_key *key)
{
    kb_secret_free(key->plain);
    memset(key, 0, sizeof *key);
}

struct kb_s3_encryption object_key_encryption(const struct object_key *key)
{
    struct kb_s3_encryption none = {.sse = KB_S3_SSE_NONE};

    if (!key || !key->plain)
        return none;
    return (struct kb_s3_encryption){.sse = KB_S3_SSE_C, .customer_key = key->plain};
}

enum kb_status object_need_vault(const struct kb_objects *objects, struct kb_error *err)
{
    if (objects->vault)
        return KB_OK;
    kb_error_set(err, KB_ERR_NOT_FOUND, "there is no vault, where customer keys are");
    kb_error_hint(err, "keybridge vault list says where it is looked for");
    return KB_ERR_NOT_FOUND;
}

static enum kb_status release(struct object_key *out, const struct kb_objects *objects,
                              const struct kb_vault_key *found, bool encrypt, struct kb_error *err)
{
    memcpy(out->id, found->id, sizeof out->id);
    memcpy(out->fingerprint, found->fingerprint, sizeof out->fingerprint);
    return kb_vault_release(objects->vault, found->id, encrypt, NULL, &out->plain, err);
}

enum kb_status object_key_release(struct object_key *out, const struct kb_objects *objects,
                                  const char *which, bool encrypt, struct kb_error *err)
{
    struct kb_vault_key found = {.scope = NULL};
    enum kb_status status = object_need_vault(objects, err);

    memset(out, 0, sizeof *out);
    if (status == KB_OK)
        status = kb_vault_find_key(objects->vault, which, &found, err);
    if (status == KB_OK)
        status = release(out, objects, &found, encrypt, err);
    kb_vault_key_free(&found);
    return status;
}

enum kb_status object_key_release_id(struct object_key *out, const struct kb_objects *objects,
                                     const char *id, struct kb_error *err)
{
    enum kb_status status = object_need_vault(objects, err);

    memset(out, 0, sizeof *out);
    snprintf(out->id, sizeof out->id, "%s", id);
    if (status == KB_OK)
        status = kb_vault_release(objects->vault, id, false, NULL, &out->plain, err);
    if (status == KB_OK)
        status = kb_s3_fingerprint(out->fingerprint, kb_secret_view(out->plain), err);
    return status;
}

enum kb_status object_key_release_scope(struct object_key *out, const struct kb_objects *objects,
                                        const struct kb_s3_name *name, bool encrypt,
                                        struct kb_error *err)
{
    struct kb_vault_key found = {.scope = NULL};
    enum kb_status status = object_need_vault(objects, err);

    memset(out, 0, sizeof *out);
    if (status == KB_OK)
        status = kb_vault_find_scope(objects->vault, name->bucket, name->key, &found, err);
    if (status == KB_OK)
        status = release(out, objects, &found, encrypt, err);
    kb_vault_key_free(&found);
    return status;
}

/* What one batch of new keys needs. */
struct making {
    struct kb_vault_spec specs[KB_VAULT_BATCH_MAX];
    struct kb_vault_key keys[KB_VAULT_BATCH_MAX];
    struct kb_secret *plain[KB_VAULT_BATCH_MAX];
    char *scopes[KB_VAULT_BATCH_MAX];
};

/* "bucket/key": of a key whose row was lost it still says what it was for. */
static char *scope_of(const struct kb_s3_name *name)
{
    size_t size = strlen(name->bucket) + strlen(name->key) + 2;
    char *scope = malloc(size);

    if (scope)
        snprintf(scope, size, "%s/%s", name->bucket, name->key);
    return scope;
}

enum kb_status object_key_make(struct object_key **out, const struct kb_objects *objects,
                               const struct kb_s3_name *const *for_names, size_t n,
                               struct kb_error *err)
{
    enum kb_status status = object_need_vault(objects, err);
    struct making *making = status == KB_OK ? calloc(1, sizeof *making) : NULL;

    if (status == KB_OK && (!making || n > KB_VAULT_BATCH_MAX))
        status = kb_error_set(err, KB_ERR_MEMORY, "no memory");
    for (size_t i = 0; status == KB_OK && i < n; i++) {
        making->scopes[i] = scope_of(for_names[i]);
        making->specs[i] = (struct kb_vault_spec){.purpose = KB_VAULT_FOR_OBJECT,
                                                  .scope = making->scopes[i]};
        if (!making->scopes[i])
            status = kb_error_set(err, KB_ERR_MEMORY, "no memory");
    }
    if (status == KB_OK)
        status = kb_vault_make(objects->vault, making->specs, n, making->keys, making->plain, err);
    for (size_t i = 0; status == KB_OK && i < n; i++) {
        memcpy(out[i]->id, making->keys[i].id, sizeof out[i]->id);
        memcpy(out[i]->fingerprint, making->keys[i].fingerprint, sizeof out[i]->fingerprint);
        out[i]->plain = making->plain[i];
        kb_vault_key_free(&making->keys[i]);
    }
    for (size_t i = 0; making && i < n && i < KB_VAULT_BATCH_MAX; i++)
        free(making->scopes[i]);
    free(making);
    return status;
}

enum kb_status object_key_copy(struct object_key *out, const struct kb_secret *plain,
                               struct kb_error *err)
{
    struct kb_bytes view = kb_secret_view(plain);
    enum kb_status status;

    memset(out, 0, sizeof *out);
    if (view.size != KB_S3_KEY_SIZE)
        return kb_error_set(err, KB_ERR_USAGE, "a customer key has %d bytes, this one %zu",
                            KB_S3_KEY_SIZE, view.size);
    status = kb_s3_fingerprint(out->fingerprint, view, err);
    return status == KB_OK ? kb_secret_copy(&out->plain, view, err) : status;
}
