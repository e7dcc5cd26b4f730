/* SPDX-License-Identifier: Apache-2.0
 *
 * After a rotation: rows of the inventory, and what the old key may still do.
 */
#include "sealed/object_rotate.h"

#include <stdlib.h>
#include <string.h>

/* The former version is still there, noncurrent. */
static bool former_stays(const struct rotation *rotation)
{
    return rotation->in_place && rotation->version[0] &&
           strcmp(rotation->version, rotation->stored.version) != 0;
}

/* True when `key` took the place of the old key of a prefix, and no object is
 * left under that. */
static enum kb_status is_replaced(bool *out, const struct rotation *rotation,
                                  const struct kb_vault_key *old, struct kb_error *err)
{
    struct kb_vault_key key = {.scope = NULL};
    enum kb_status status;

    *out = false;
    if (old->purpose != KB_VAULT_FOR_PREFIX || old->objects || !rotation->key.id[0])
        return KB_OK;
    status = kb_vault_find_key(rotation->objects->vault, rotation->key.id, &key, err);
    *out = status == KB_OK && key.purpose == KB_VAULT_FOR_PREFIX &&
           strcmp(key.scope, old->scope) == 0;
    kb_vault_key_free(&key);
    return status;
}

static enum kb_status retire(const struct rotation *rotation, const char *id,
                             struct kb_error *err)
{
    struct kb_vault *vault = rotation->objects->vault;
    struct kb_vault_key old = {.scope = NULL};
    bool replaced = false;
    enum kb_status status;

    if (!rotation->in_place || !id[0] || strcmp(id, rotation->key.id) == 0)
        return KB_OK;
    status = kb_vault_find_key(vault, id, &old, err);
    if (status == KB_OK)
        status = is_replaced(&replaced, rotation, &old, err);
    if (status == KB_OK && old.state == KB_VAULT_ACTIVE &&
        (old.purpose == KB_VAULT_FOR_OBJECT || replaced))
        status = kb_vault_retire(vault, id, err);
    kb_vault_key_free(&old);
    return status;
}

/* What HEAD shows of the new object no more. */
static const char *what_is_lost(const struct kb_s3_object *old, const struct kb_s3_object *now)
{
    if (strcmp(old->storage_class, now->storage_class) != 0)
        return "storage class";
    if (strcmp(old->lock_mode, now->lock_mode) != 0 ||
        strcmp(old->lock_until, now->lock_until) != 0)
        return "retention";
    if (old->legal_hold && !now->legal_hold)
        return "legal hold";
    if (old->tag_count && old->tag_count != now->tag_count)
        return "tags";
    if (strcmp(old->content_type, now->content_type) != 0 ||
        strcmp(old->cache_control, now->cache_control) != 0 ||
        strcmp(old->content_disposition, now->content_disposition) != 0 ||
        strcmp(old->content_encoding, now->content_encoding) != 0 ||
        strcmp(old->content_language, now->content_language) != 0 ||
        strcmp(old->expires, now->expires) != 0)
        return "content headers";
    return NULL;
}

/* The row of what was found, which is not there any more. Another may be that of an upload of
 * others, under way or come to its end meanwhile. */
static bool is_over(const struct rotation *rotation, const struct kb_vault_object *row)
{
    if (row->row == rotation->row.row)
        return false;
    if (row->state == KB_VAULT_PENDING)
        return rotation->found.has_row && row->row == rotation->found.row.row;
    return rotation->has_known && row->row == rotation->known.row &&
           object_same_version(row->version, rotation->version);
}

static enum kb_status update_rows(struct rotation *rotation, struct kb_error *err)
{
    const struct kb_objects *objects = rotation->objects;
    struct kb_vault_object *changed = calloc(OBJECT_ROWS_MAX + 1, sizeof *changed);
    struct object_rows rows = {NULL, 0};
    size_t n = 0;
    enum kb_status status = changed ? KB_OK : kb_error_set(err, KB_ERR_MEMORY, "no memory");

    if (status == KB_OK && rotation->in_place && !rotation->out->old_version[0])
        status = object_rows_get(&rows, objects, &rotation->to, err);
    if (status == KB_OK)
        changed[n++] = rotation->row;
    for (size_t i = 0; status == KB_OK && i < rows.count; i++) {
        if (!is_over(rotation, &rows.rows[i]))
            continue;
        changed[n] = rows.rows[i];
        changed[n++].state = KB_VAULT_REMOVED;
    }
    if (status == KB_OK)
        status = kb_vault_update_objects(objects->vault, changed, n, err);
    for (size_t i = 1; status == KB_OK && i < n; i++)
        status = retire(rotation, changed[i].key_id, err);
    object_rows_free(&rows);
    free(changed);
    return status;
}

enum kb_status rotation_note(struct rotation *rotation, struct kb_error *err)
{
    struct kb_object_rotated *out = rotation->out;
    enum kb_status status;

    out->lost = what_is_lost(&rotation->found.head, &out->result.object);
    if (former_stays(rotation))
        memcpy(out->old_version, rotation->version, sizeof out->old_version);
    if (!rotation->has_row)
        return KB_OK;
    object_row_end(&rotation->row, &out->result);
    status = update_rows(rotation, err);
    return status == KB_OK ? retire(rotation, rotation->found.key.id, err) : status;
}
