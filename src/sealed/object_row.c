/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows of the inventory: which object version uses which key, and what its
 * plaintext was.
 */
#include "sealed/object.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kb_status object_row_begin(struct kb_vault_object *out, const struct kb_objects *objects,
                                const struct kb_s3_name *name,
                                enum kb_object_encryption encryption, const char *key_id,
                                struct kb_error *err)
{
    memset(out, 0, sizeof *out);
    out->endpoint = strdup(kb_s3_realm(objects->s3));
    out->bucket = strdup(name->bucket);
    out->object_key = strdup(name->key);
    out->state = KB_VAULT_PENDING;
    snprintf(out->key_id, sizeof out->key_id, "%s", key_id ? key_id : "");
    snprintf(out->encryption, sizeof out->encryption, "%s",
             kb_object_encryption_format(encryption));
    if (out->endpoint && out->bucket && out->object_key)
        return KB_OK;
    kb_vault_object_free(out);
    return kb_error_set(err, KB_ERR_MEMORY, "no memory");
}

void object_row_end(struct kb_vault_object *row, const struct kb_object_result *result)
{
    row->state = KB_VAULT_STORED;
    row->has_sha256 = result->has_sha256;
    memcpy(row->sha256, result->sha256, sizeof row->sha256);
    row->size = result->size;
    snprintf(row->etag, sizeof row->etag, "%s", result->object.etag);
    snprintf(row->version, sizeof row->version, "%s", result->object.version);
}

/* --- rows of one object ----------------------------------------------------------------- */

struct gathering {
    struct object_rows *rows;
    const char *version;
};

enum kb_status object_row_copy(struct kb_vault_object *out, const struct kb_vault_object *row,
                               struct kb_error *err)
{
    *out = *row;
    out->endpoint = strdup(row->endpoint);
    out->bucket = strdup(row->bucket);
    out->object_key = strdup(row->object_key);
    if (out->endpoint && out->bucket && out->object_key)
        return KB_OK;
    kb_vault_object_free(out);
    return kb_error_set(err, KB_ERR_MEMORY, "no memory");
}

bool object_row_may_be(const struct kb_vault_object *row, const char *version)
{
    return row->state != KB_VAULT_REMOVED &&
           (!version || !row->version[0] || strcmp(row->version, version) == 0);
}

static enum kb_status take_row(void *ctx, const struct kb_vault_object *row, struct kb_error *err)
{
    const struct gathering *gathering = ctx;
    struct object_rows *rows = gathering->rows;
    enum kb_status status;

    if (rows->count == OBJECT_ROWS_MAX || !object_row_may_be(row, gathering->version))
        return KB_OK;
    status = object_row_copy(&rows->rows[rows->count], row, err);
    rows->count += status == KB_OK;
    return status;
}

enum kb_status object_rows_get(struct object_rows *out, const struct kb_objects *objects,
                               const struct kb_s3_name *name, struct kb_error *err)
{
    const struct kb_vault_query query = {.endpoint = kb_s3_realm(objects->s3),
                                         .bucket = name->bucket,
                                         .object_key = name->key};
    struct gathering gathering = {.rows = out, .version = name->version};
    enum kb_status status;

    memset(out, 0, sizeof *out);
    if (!objects->vault)
        return KB_OK;
    out->rows = calloc(OBJECT_ROWS_MAX, sizeof *out->rows);
    if (!out->rows)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    status = kb_vault_each_object(objects->vault, &query, take_row, &gathering, err);
    if (status != KB_OK)
        object_rows_free(out);
    return status;
}

bool object_same_version(const char *a, const char *b)
{
    return strcmp(*a ? a : "null", *b ? b : "null") == 0;
}

enum kb_status object_rows_remove(const struct object_rows *rows, const struct kb_objects *objects,
                                  const char *version, size_t *count, struct kb_error *err)
{
    struct kb_vault_object *gone = calloc(OBJECT_ROWS_MAX, sizeof *gone);
    enum kb_status status = gone ? KB_OK : kb_error_set(err, KB_ERR_MEMORY, "no memory");
    size_t n = 0;

    for (size_t i = 0; status == KB_OK && i < rows->count; i++) {
        if (rows->rows[i].state != KB_VAULT_STORED ||
            !object_same_version(rows->rows[i].version, version))
            continue;
        gone[n] = rows->rows[i];
        gone[n++].state = KB_VAULT_REMOVED;
    }
    if (n)
        status = kb_vault_update_objects(objects->vault, gone, n, err);
    *count = n;
    free(gone);
    return status;
}

void object_rows_free(struct object_rows *rows)
{
    for (size_t i = 0; i < rows->count; i++)
        kb_vault_object_free(&rows->rows[i]);
    free(rows->rows);
    memset(rows, 0, sizeof *rows);
}
