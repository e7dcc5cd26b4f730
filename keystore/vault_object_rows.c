/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows of the inventory, as the file has them.
 */
#include "keystore/vault_rows.h"

#include <stdlib.h>
#include <string.h>

enum object_column {
    OBJECT_ENDPOINT,
    OBJECT_BUCKET,
    OBJECT_NAME,
    OBJECT_VERSION,
    OBJECT_KEY_ID,
    OBJECT_STATE,
    OBJECT_ENCRYPTION,
    OBJECT_SHA256,
    OBJECT_SIZE,
    OBJECT_ETAG,
    OBJECT_CHANGED,
    OBJECT_LATER, /* of a stored row: rows from this number on were begun when it was stored */
};

static void fill_row(struct vault_row *row, const struct kb_vault_object *object, uint64_t later)
{
    struct vault_cell *cells = row->cells;

    row->row = object->row;
    cells[OBJECT_ENDPOINT] = vault_text(object->endpoint);
    cells[OBJECT_BUCKET] = vault_text(object->bucket);
    cells[OBJECT_NAME] = vault_text(object->object_key);
    cells[OBJECT_VERSION] = vault_text(object->version);
    cells[OBJECT_KEY_ID] = vault_text(object->key_id);
    cells[OBJECT_STATE] = vault_integer(object->state);
    cells[OBJECT_ENCRYPTION] = vault_text(object->encryption);
    cells[OBJECT_SHA256] = vault_blob(object->sha256, object->has_sha256 ? 32 : 0);
    cells[OBJECT_SIZE] = vault_integer(object->size);
    cells[OBJECT_ETAG] = vault_text(object->etag);
    cells[OBJECT_CHANGED] = vault_integer((uint64_t)object->changed);
    cells[OBJECT_LATER] = vault_integer(object->state == KB_VAULT_STORED ? later : 0);
}

enum kb_status vault_object_view(struct kb_vault *vault, struct kb_vault_object *out,
                                 const struct vault_row *row, struct kb_error *err)
{
    const struct vault_cell *cells = row->cells;

    memset(out, 0, sizeof *out);
    out->endpoint = vault_text_view(&cells[OBJECT_ENDPOINT]);
    out->bucket = vault_text_view(&cells[OBJECT_BUCKET]);
    out->object_key = vault_text_view(&cells[OBJECT_NAME]);
    out->state = (enum kb_vault_row_state)cells[OBJECT_STATE].integer;
    out->has_sha256 = cells[OBJECT_SHA256].bytes.size == sizeof out->sha256;
    if (out->has_sha256)
        memcpy(out->sha256, cells[OBJECT_SHA256].bytes.data, sizeof out->sha256);
    out->size = (uint64_t)cells[OBJECT_SIZE].integer;
    out->changed = cells[OBJECT_CHANGED].integer;
    out->row = row->row;
    if (!vault_text_fill(out->version, sizeof out->version, &cells[OBJECT_VERSION]) ||
        !vault_text_fill(out->key_id, sizeof out->key_id, &cells[OBJECT_KEY_ID]) ||
        !vault_text_fill(out->encryption, sizeof out->encryption, &cells[OBJECT_ENCRYPTION]) ||
        !vault_text_fill(out->etag, sizeof out->etag, &cells[OBJECT_ETAG]) ||
        out->state > KB_VAULT_REMOVED)
        return vault_damaged(vault, "a row of the inventory makes no sense", err);
    return KB_OK;
}

enum kb_status vault_objects_put(struct kb_vault *vault, bool add,
                                 struct kb_vault_object *objects, size_t n, struct kb_error *err)
{
    struct vault_row *rows = calloc(n ? n : 1, sizeof *rows);
    const uint64_t later = vault->state.tables[VAULT_OBJECTS].next + (add ? n : 0);
    enum kb_status status =
        rows ? KB_OK : kb_error_set(err, KB_ERR_MEMORY, "no memory for %zu rows", n);

    for (size_t i = 0; i < n && status == KB_OK; i++)
        fill_row(&rows[i], &objects[i], later);
    if (status == KB_OK)
        status = vault_rows_put(vault, VAULT_OBJECTS, add, rows, n, err);
    for (size_t i = 0; i < n && status == KB_OK; i++)
        objects[i].row = rows[i].row;
    free(rows);
    return status;
}

static enum kb_status note_key(void *ctx, const struct vault_row *row, struct kb_error *err)
{
    char *id = ctx;

    (void)err;
    if (!vault_text_fill(id, KB_VAULT_ID_SIZE, &row->cells[OBJECT_KEY_ID]))
        id[0] = 0;
    return KB_OK;
}

enum kb_status vault_object_key(struct kb_vault *vault, int64_t row, char id[KB_VAULT_ID_SIZE],
                                struct kb_error *err)
{
    const struct vault_cell number = vault_integer((uint64_t)row);
    const struct vault_query query = {.table = VAULT_OBJECTS,
                                      .where = "WHERE row = ?1",
                                      .kinds = "i",
                                      .parameters = &number};
    const struct vault_reader reader = {note_key, vault_row_pass_over, id};

    id[0] = 0;
    return vault_rows_read(vault, &query, &reader, err);
}
