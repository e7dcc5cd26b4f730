/* SPDX-License-Identifier: Apache-2.0
 *
 * The inventory: which object version uses which key.
 */
#include "keystore/vault_rows.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

void kb_vault_object_free(struct kb_vault_object *object)
{
    if (!object)
        return;
    free(object->endpoint);
    free(object->bucket);
    free(object->object_key);
    object->endpoint = object->bucket = object->object_key = NULL;
}

static enum kb_status check_object(const struct kb_vault_object *object, struct kb_error *err)
{
    enum kb_status status;

    if (!object->endpoint || !object->bucket || !object->object_key ||
        object->state > KB_VAULT_REMOVED)
        return kb_error_set(err, KB_ERR_USAGE, "a row of the inventory lacks a name or state");
    status = vault_text_check(object->endpoint, VAULT_TEXT_MAX, "an endpoint", err);
    if (status == KB_OK)
        status = vault_text_check(object->bucket, VAULT_TEXT_MAX, "a bucket's name", err);
    if (status == KB_OK)
        status = vault_text_check(object->object_key, VAULT_TEXT_MAX, "an object's name", err);
    return status;
}

enum kb_status kb_vault_add_objects(struct kb_vault *vault, struct kb_vault_object *objects,
                                    size_t n, struct kb_error *err)
{
    enum kb_status status = KB_OK;

    for (size_t i = 0; i < n && status == KB_OK; i++) {
        status = check_object(&objects[i], err);
        objects[i].changed = (int64_t)time(NULL);
    }
    if (status == KB_OK)
        status = vault_begin(vault, err);
    if (status != KB_OK)
        return status;
    return vault_end(vault, vault_objects_put(vault, true, objects, n, err), err);
}

enum kb_status kb_vault_update_objects(struct kb_vault *vault,
                                       const struct kb_vault_object *objects, size_t n,
                                       struct kb_error *err)
{
    struct kb_vault_object *changed = calloc(n ? n : 1, sizeof *changed);
    enum kb_status status =
        changed ? KB_OK : kb_error_set(err, KB_ERR_MEMORY, "no memory for %zu rows", n);

    for (size_t i = 0; i < n && status == KB_OK; i++) {
        status = check_object(&objects[i], err);
        changed[i] = objects[i];
        changed[i].changed = (int64_t)time(NULL);
    }
    if (status == KB_OK)
        status = vault_begin(vault, err);
    if (status == KB_OK) {
        status = vault_objects_put(vault, false, changed, n, err);
        if (status == KB_OK)
            status = vault_objects_settle(vault, changed, n, err);
        status = vault_end(vault, status, err);
    }
    free(changed);
    return status;
}

static enum kb_status remove_object(struct kb_vault *vault, int64_t row, struct kb_error *err)
{
    uint64_t removed, others;
    enum kb_status status = vault_rows_remove(vault, VAULT_OBJECTS, "row", row, &removed, err);

    if (status == KB_OK && !removed)
        status = kb_error_set(err, KB_ERR_NOT_FOUND, "the inventory has no row %lld",
                              (long long)row);
    if (status == KB_OK)
        status = vault_rows_remove(vault, VAULT_UPLOADS, "object_row", row, &others, err);
    if (status == KB_OK)
        status = vault_rows_remove(vault, VAULT_PARTS, "object_row", row, &others, err);
    return status;
}

enum kb_status kb_vault_remove_objects(struct kb_vault *vault, const int64_t *rows, size_t n,
                                       struct kb_error *err)
{
    enum kb_status status = vault_begin(vault, err);

    if (status != KB_OK)
        return status;
    for (size_t i = 0; i < n && status == KB_OK; i++) {
        char id[KB_VAULT_ID_SIZE];

        /* A row that was altered can be removed, too; its key stays as it is. */
        status = vault_object_key(vault, rows[i], id, err);
        if (status == KB_OK)
            status = remove_object(vault, rows[i], err);
        if (status == KB_OK)
            status = vault_key_settle(vault, id, err);
    }
    return vault_end(vault, status, err);
}

/* --- reading ------------------------------------------------------------------------------ */

struct walk {
    struct kb_vault *vault;
    const struct kb_vault_query *query;
    enum kb_status (*each)(void *ctx, const struct kb_vault_object *object, struct kb_error *err);
    void *ctx;
};

static bool is_one_of(const struct kb_vault_query *query, const char *object_key)
{
    for (size_t i = 0; i < query->count; i++)
        if (strcmp(query->object_keys[i], object_key) == 0)
            return true;
    return false;
}

/* The file's indexes are under no MAC: what they lead to must be what was asked for. */
static bool is_wanted(const struct kb_vault_query *query, const struct kb_vault_object *object)
{
    const char *key = query->object_key;

    return (!query->count || is_one_of(query, object->object_key)) &&
           (!query->endpoint || strcmp(query->endpoint, object->endpoint) == 0) &&
           (!query->bucket || strcmp(query->bucket, object->bucket) == 0) &&
           (!key || (query->prefix ? strncmp(key, object->object_key, strlen(key)) == 0
                                   : strcmp(key, object->object_key) == 0));
}

static enum kb_status give_object(void *ctx, const struct vault_row *row, struct kb_error *err)
{
    const struct walk *walk = ctx;
    struct kb_vault_object view;
    enum kb_status status = vault_object_view(walk->vault, &view, row, err);

    if (status == KB_OK && !is_wanted(walk->query, &view))
        status = vault_damaged(walk->vault, "its index of objects is wrong", err);
    if (walk->query->version && strcmp(walk->query->version, view.version) != 0)
        return status;
    return status == KB_OK ? walk->each(walk->ctx, &view, err) : status;
}

static enum kb_status read_several(const struct walk *walk, const struct vault_reader *reader,
                                   struct kb_error *err)
{
    struct vault_cell parameters[2 + KB_VAULT_BATCH_MAX];
    char where[VAULT_WHERE_SIZE], kinds[2 + KB_VAULT_BATCH_MAX + 1] = "tt";
    const struct kb_vault_query *query = walk->query;
    const struct vault_query rows = {
        .table = VAULT_OBJECTS, .where = where, .kinds = kinds, .parameters = parameters};

    if (query->count > KB_VAULT_BATCH_MAX || !query->bucket)
        return kb_error_set(err, KB_ERR_USAGE, "at most %d objects of one bucket are looked up "
                            "at once", KB_VAULT_BATCH_MAX);
    vault_where_write(where, "WHERE bucket = ?1 AND (?2 = '' OR endpoint = ?2) AND object_key IN",
                      query->count, "ORDER BY row DESC");
    parameters[0] = vault_text(query->bucket);
    parameters[1] = vault_text(query->endpoint);
    for (size_t i = 0; i < query->count; i++)
        parameters[2 + i] = vault_text(query->object_keys[i]);
    memset(kinds + 2, 't', query->count);
    return vault_rows_read(walk->vault, &rows, reader, err);
}

enum kb_status kb_vault_each_object(struct kb_vault *vault, const struct kb_vault_query *query,
                                    enum kb_status (*each)(void *ctx,
                                                           const struct kb_vault_object *object,
                                                           struct kb_error *err),
                                    void *ctx, struct kb_error *err)
{
    /* Objects whose name begins with a text are one run of the index. */
    static const char one[] = "WHERE bucket = ?1 AND object_key = ?2 AND"
                              " (?3 = '' OR endpoint = ?3) ORDER BY row DESC";
    static const char some[] = "WHERE bucket = ?1 AND object_key >= ?2 AND"
                               " substr(object_key, 1, length(?2)) = ?2 AND"
                               " (?3 = '' OR endpoint = ?3) ORDER BY object_key, row DESC";
    static const char all[] = "WHERE (?1 = '' OR bucket = ?1) AND ?2 = '' AND"
                              " (?3 = '' OR endpoint = ?3) ORDER BY bucket, object_key, row DESC";
    const char *text = query->object_key;
    struct walk walk = {vault, query, each, ctx};
    struct vault_reader reader = {give_object, NULL, &walk};
    const struct vault_cell parameters[] = {vault_text(query->bucket), vault_text(text),
                                            vault_text(query->endpoint)};
    struct vault_query rows = {.table = VAULT_OBJECTS,
                               .where = !text || !query->bucket ? all
                                        : query->prefix         ? some
                                                                : one,
                               .kinds = "ttt",
                               .parameters = parameters};
    enum kb_status status = vault_enter(vault, err);

    if (status == KB_OK)
        status = vault_leave(vault, query->count ? read_several(&walk, &reader, err)
                                                 : vault_rows_read(vault, &rows, &reader, err));
    return status;
}
