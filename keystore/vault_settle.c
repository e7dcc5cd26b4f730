/* SPDX-License-Identifier: Apache-2.0
 *
 * What follows from rows of the inventory that changed, in their transaction: what
 * was overwritten is there no more, and the key of one object is retired with the
 * last row that uses it. Rows that were altered are for kb_vault_check: an object
 * that is stored must be noted all the same.
 */
#include "keystore/vault_rows.h"

#include <stdlib.h>
#include <string.h>

/* Without versions, and while they are suspended, there is one object of a name. */
static bool is_only_one(const struct kb_vault_object *object)
{
    return object->state == KB_VAULT_STORED &&
           (!object->version[0] || strcmp(object->version, "null") == 0);
}

struct former {
    struct kb_vault *vault;
    const struct kb_vault_object *object; /* that took the place */
    struct kb_buffer rows;                /* struct kb_vault_object; texts are that object's */
};

static enum kb_status take_former(void *ctx, const struct vault_row *row, struct kb_error *err)
{
    const struct kb_vault_object *object;
    struct former *former = ctx;
    struct kb_vault_object view;
    enum kb_status status = vault_object_view(former->vault, &view, row, err);

    if (status != KB_OK)
        return status;
    object = former->object;
    if (!is_only_one(&view) || strcmp(view.endpoint, object->endpoint) != 0 ||
        strcmp(view.bucket, object->bucket) != 0 ||
        strcmp(view.object_key, object->object_key) != 0)
        return vault_damaged(former->vault, "its index of objects is wrong", err);
    view.endpoint = object->endpoint;
    view.bucket = object->bucket;
    view.object_key = object->object_key;
    view.state = KB_VAULT_REMOVED;
    kb_buffer_put(&former->rows, &view, sizeof view);
    return kb_buffer_check(&former->rows, err);
}

/* Rows that say they are stored where `object` is now, and said so before it was begun. Of
 * those that were stored meanwhile nobody here knows which one the server has. */
static enum kb_status find_former(struct former *former, const struct kb_vault_object *object,
                                  struct kb_error *err)
{
    static const char where[] = "WHERE bucket = ?1 AND object_key = ?2 AND endpoint = ?3 AND "
                                "later <= ?4 AND state = 1 AND version IN ('', 'null')";
    const struct vault_cell parameters[] = {
        vault_text(object->bucket), vault_text(object->object_key), vault_text(object->endpoint),
        vault_integer((uint64_t)object->row)};
    const struct vault_query query = {.table = VAULT_OBJECTS,
                                      .where = where,
                                      .kinds = "ttti",
                                      .parameters = parameters};
    const struct vault_reader reader = {take_former, vault_row_pass_over, former};

    former->object = object;
    return vault_rows_read(former->vault, &query, &reader, err);
}

static enum kb_status replace_former(struct former *former, const struct kb_vault_object *object,
                                     struct kb_error *err)
{
    size_t before = former->rows.size;
    enum kb_status status = find_former(former, object, err);
    struct kb_vault_object *rows;

    if (status != KB_OK || former->rows.size == before)
        return status;
    rows = (struct kb_vault_object *)(void *)(former->rows.data + before);
    return vault_objects_put(former->vault, false, rows,
                             (former->rows.size - before) / sizeof *rows, err);
}

enum kb_status vault_objects_settle(struct kb_vault *vault, const struct kb_vault_object *objects,
                                    size_t n, struct kb_error *err)
{
    struct former former = {.vault = vault, .rows = KB_BUFFER_INIT(SIZE_MAX / 2)};
    const struct kb_vault_object *rows;
    enum kb_status status = KB_OK;

    for (size_t i = 0; i < n && status == KB_OK; i++)
        if (is_only_one(&objects[i]))
            status = replace_former(&former, &objects[i], err);
    rows = (const struct kb_vault_object *)(const void *)former.rows.data;
    for (size_t i = 0; i < former.rows.size / sizeof *rows && status == KB_OK; i++)
        status = vault_key_settle(vault, rows[i].key_id, err);
    for (size_t i = 0; i < n && status == KB_OK; i++)
        if (objects[i].state == KB_VAULT_REMOVED)
            status = vault_key_settle(vault, objects[i].key_id, err);
    kb_buffer_free(&former.rows);
    return status;
}
