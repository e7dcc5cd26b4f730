/* SPDX-License-Identifier: Apache-2.0
 *
 * How an object is protected, by which key, and where that key lives.
 */
#include "sealed/object.h"

#include <string.h>

void kb_object_protection_free(struct kb_object_protection *protection)
{
    kb_s3_object_free(&protection->object);
    kb_vault_key_free(&protection->vault_key);
    kb_vault_object_free(&protection->row);
    memset(protection, 0, sizeof *protection);
}

static enum kb_object_key_home home_of(const struct kb_object_protection *protection)
{
    switch (protection->encryption) {
    case KB_OBJECT_SSE_C:
        return protection->known && protection->vault_key.id[0] ? KB_KEY_HOME_VAULT
                                                                : KB_KEY_HOME_UNKNOWN;
    case KB_OBJECT_CLIENT:
        return protection->s3ec.wrap_algorithm &&
                       strncmp(protection->s3ec.wrap_algorithm, "kms", 3) == 0
                   ? KB_KEY_HOME_KMS
                   : KB_KEY_HOME_TOKEN;
    case KB_OBJECT_CLIENT_ENVELOPE:
        return KB_KEY_HOME_TOKEN;
    case KB_OBJECT_SSE_S3:
        return KB_KEY_HOME_SERVICE;
    case KB_OBJECT_SSE_KMS:
        return KB_KEY_HOME_KMS;
    case KB_OBJECT_NONE:
        break;
    }
    return KB_KEY_HOME_NONE;
}

/* HEAD without the key, unless that was refused already. */
static enum kb_status try_without(struct object_found *found, const struct kb_objects *objects,
                                  const struct kb_s3_name *name, struct kb_error *err)
{
    struct kb_s3_object head = {.status = 0};
    struct kb_error why = {.status = KB_OK};
    enum kb_status status;

    if (!found->known || found->refused)
        return KB_OK;
    status = kb_s3_head_object(objects->s3, name, NULL, &head, &why);
    kb_s3_object_free(&head);
    found->refused = status == KB_ERR_AUTH || status == KB_ERR_DENIED;
    if (found->refused || status == KB_OK)
        return KB_OK;
    if (err && err->status == KB_OK)
        *err = why;
    return status;
}

static void take(struct kb_object_protection *out, struct object_found *found)
{
    out->object = found->head;
    out->row = found->row;
    out->has_row = found->has_row;
    memset(&found->head, 0, sizeof found->head);
    memset(&found->row, 0, sizeof found->row);
    out->encryption = found->encryption;
    out->customer_key = found->customer_key;
    out->known = found->known;
    out->refused_without_key = found->refused;
}

/* A key that is disabled is not released, and without it nobody can be asked: what
 * the inventory says. False when that is not why, or there is no such row. */
static bool take_untried(struct kb_object_protection *out, const struct kb_objects *objects,
                         const struct kb_s3_name *name, const struct kb_error *why)
{
    struct kb_error none = {.status = KB_OK};
    struct object_rows rows = {NULL, 0};

    if (why->status != KB_ERR_DENIED || why->detail_kind == KB_DETAIL_HTTP ||
        object_rows_get(&rows, objects, name, &none) != KB_OK)
        return false;
    for (size_t i = 0; i < rows.count && !out->untried; i++) {
        struct kb_vault_key key = {.scope = NULL};
        const char *id = rows.rows[i].key_id;

        kb_error_clear(&none);
        if (!id[0] || kb_vault_find_key(objects->vault, id, &key, &none) != KB_OK)
            continue;
        out->untried = key.state == KB_VAULT_DISABLED &&
                       kb_object_encryption_parse(&out->encryption, rows.rows[i].encryption);
        if (!out->untried) {
            kb_vault_key_free(&key);
            continue;
        }
        out->vault_key = key;
        out->row = rows.rows[i];
        memset(&rows.rows[i], 0, sizeof rows.rows[i]);
        out->has_row = out->known = out->customer_key = true;
    }
    object_rows_free(&rows);
    return out->untried;
}

enum kb_status kb_object_head(struct kb_objects *objects, const struct kb_s3_name *name,
                              const struct kb_object_get *get, struct kb_object_protection *out,
                              struct kb_error *err)
{
    struct object_found found = {.known = false};
    struct kb_error why = {.status = KB_OK};
    enum kb_status status = object_find(&found, objects, name, get, true, &why);

    kb_object_protection_free(out);
    if (status != KB_OK && take_untried(out, objects, name, &why)) {
        out->home = home_of(out);
        return KB_OK;
    }
    if (status != KB_OK && err && err->status == KB_OK)
        *err = why;
    if (status == KB_OK)
        status = try_without(&found, objects, name, err);
    if (status == KB_OK && found.encryption == KB_OBJECT_CLIENT)
        status = kb_s3ec_inspect(&out->s3ec, &found.header, err);
    if (status == KB_OK && found.key.id[0])
        status = kb_vault_find_key(objects->vault, found.key.id, &out->vault_key, err);
    if (status == KB_OK) {
        take(out, &found);
        out->home = home_of(out);
    }
    object_found_clear(&found);
    if (status != KB_OK)
        kb_object_protection_free(out);
    return status;
}
