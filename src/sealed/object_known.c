/* SPDX-License-Identifier: Apache-2.0
 *
 * What the inventory alone tells of objects: of many in as few calls of the token as
 * of one.
 */
#include "sealed/object.h"

#include <stdlib.h>
#include <string.h>

struct kb_object_known {
    size_t n;
    struct object_found found[KB_VAULT_BATCH_MAX];
};

/* A row of an object as it is stored, with all that a GET has to say. */
static bool tells_all(const struct kb_vault_object *row, const struct kb_s3_name *name,
                      enum kb_object_encryption *encryption)
{
    return row->state == KB_VAULT_STORED && row->etag[0] &&
           (!name->version || object_same_version(name->version, row->version)) &&
           kb_object_encryption_parse(encryption, row->encryption) &&
           !object_is_client(*encryption) &&
           (*encryption == KB_OBJECT_SSE_C) == (row->key_id[0] != 0);
}

/* --- rows ------------------------------------------------------------------------------ */

struct looking {
    const struct kb_s3_name *names;
    size_t n;
    struct object_found *found;
    bool seen[KB_VAULT_BATCH_MAX]; /* the newest row of each alone tells what is there */
};

static enum kb_status take_row(void *ctx, const struct kb_vault_object *row, struct kb_error *err)
{
    struct looking *looking = ctx;
    enum kb_status status = KB_OK;

    for (size_t i = 0; i < looking->n && status == KB_OK; i++) {
        const struct kb_s3_name *name = &looking->names[i];
        struct object_found *found = &looking->found[i];

        if (looking->seen[i] || strcmp(row->object_key, name->key) != 0 ||
            !object_row_may_be(row, name->version))
            continue;
        looking->seen[i] = true;
        if (!tells_all(row, name, &found->encryption))
            continue;
        status = object_row_copy(&found->row, row, err);
        found->has_row = status == KB_OK;
    }
    return status;
}

static enum kb_status find_rows(struct looking *looking, const struct kb_objects *objects,
                                struct kb_error *err)
{
    const char *keys[KB_VAULT_BATCH_MAX];
    const struct kb_vault_query query = {.endpoint = kb_s3_realm(objects->s3),
                                         .bucket = looking->names[0].bucket,
                                         .object_keys = keys,
                                         .count = looking->n};

    for (size_t i = 0; i < looking->n; i++)
        keys[i] = looking->names[i].key;
    return kb_vault_each_object(objects->vault, &query, take_row, looking, err);
}

/* --- keys ------------------------------------------------------------------------------ */

static bool take_key(struct object_found *found, struct kb_secret *plain)
{
    struct kb_error none = {.status = KB_OK};

    found->key.plain = plain;
    memcpy(found->key.id, found->row.key_id, sizeof found->key.id);
    return plain && kb_s3_fingerprint(found->key.fingerprint, kb_secret_view(plain), &none) ==
                        KB_OK;
}

static enum kb_status find_keys(struct looking *looking, const struct kb_objects *objects,
                                struct kb_error *err)
{
    const char *ids[KB_VAULT_BATCH_MAX];
    struct object_found *of[KB_VAULT_BATCH_MAX];
    struct kb_secret *plain[KB_VAULT_BATCH_MAX];
    enum kb_status status;
    size_t n = 0;

    for (size_t i = 0; i < looking->n; i++)
        if (looking->found[i].has_row && looking->found[i].row.key_id[0]) {
            of[n] = &looking->found[i];
            ids[n++] = looking->found[i].row.key_id;
        }
    if (!n)
        return KB_OK;
    status = kb_vault_release_many(objects->vault, ids, n, plain, err);
    for (size_t i = 0; status == KB_OK && i < n; i++)
        if (!take_key(of[i], plain[i]))
            object_found_clear(of[i]);
    return status;
}

/* --- objects --------------------------------------------------------------------------- */

/* Of one bucket. What cannot be looked up is not known. */
static void look_up(struct object_found *found, const struct kb_objects *objects,
                    const struct kb_s3_name *names, size_t n)
{
    struct looking looking = {.names = names, .n = n, .found = found};
    struct kb_error none = {.status = KB_OK};
    enum kb_status status = find_rows(&looking, objects, &none);

    if (status == KB_OK)
        status = find_keys(&looking, objects, &none);
    for (size_t i = 0; i < n; i++) {
        if (status != KB_OK || !found[i].has_row) {
            object_found_clear(&found[i]);
            continue;
        }
        memcpy(found[i].head.etag, found[i].row.etag, sizeof found[i].head.etag);
        memcpy(found[i].head.version, found[i].row.version, sizeof found[i].head.version);
    }
}

static bool goes_by_inventory(const struct kb_objects *objects, const struct kb_object_get *get)
{
    return objects->vault && !get->key && !get->customer_key && !get->try_all_keys &&
           !get->is_envelope;
}

struct kb_object_known *kb_objects_know(struct kb_objects *objects,
                                        const struct kb_object_get *get,
                                        const struct kb_s3_name *names, size_t n)
{
    struct kb_object_known *known;

    if (n == 0 || n > KB_VAULT_BATCH_MAX || !goes_by_inventory(objects, get))
        return NULL;
    known = calloc(1, sizeof *known);
    if (!known)
        return NULL;
    known->n = n;
    look_up(known->found, objects, names, n);
    return known;
}

void kb_object_known_free(struct kb_object_known *known)
{
    for (size_t i = 0; known && i < known->n; i++)
        object_found_clear(&known->found[i]);
    free(known);
}

static bool is_row_of(const struct kb_vault_object *row, const struct kb_s3_name *name)
{
    return strcmp(row->bucket, name->bucket) == 0 && strcmp(row->object_key, name->key) == 0 &&
           (!name->version || object_same_version(name->version, row->version));
}

bool object_find_row(struct object_found *found, const struct kb_objects *objects,
                     const struct kb_s3_name *name, const struct kb_object_get *get)
{
    struct object_found *known =
        get->known && get->known_at < get->known->n ? &get->known->found[get->known_at] : NULL;
    bool other = known && known->has_row && !is_row_of(&known->row, name);

    object_found_clear(found);
    if (!goes_by_inventory(objects, get))
        return false;
    /* No key goes to another object than its own, whatever number the caller gave. */
    if (known && !other) {
        *found = *known;
        memset(known, 0, sizeof *known);
    } else {
        look_up(found, objects, name, 1);
    }
    return found->has_row;
}
