/* SPDX-License-Identifier: Apache-2.0
 *
 * Objects are removed, and the inventory told. Keys stay, retired: what was
 * removed may have copies.
 */
#include "sealed/object.h"

#include <stdlib.h>
#include <string.h>

/* The instruction file, if one belongs to it. */
static enum kb_status remove_instruction(const struct kb_objects *objects,
                                         const struct kb_s3_name *name,
                                         const struct object_key *key, struct kb_error *err)
{
    struct kb_buffer text = KB_BUFFER_INIT(OBJECT_INSTRUCTION_MAX);
    struct kb_error none = {.status = KB_OK};
    enum kb_status status =
        object_instruction_get(&text, objects, name, NULL, key, &none);
    struct kb_s3_name file = {.bucket = name->bucket};
    char *own;

    kb_buffer_free(&text);
    if (status != KB_OK)
        return KB_OK;
    own = object_instruction_key(name->key, NULL);
    file.key = own;
    status = own ? kb_s3_delete_object(objects->s3, &file, NULL, err)
                 : kb_error_set(err, KB_ERR_MEMORY, "no memory");
    free(own);
    return status;
}

enum kb_status kb_object_remove(struct kb_objects *objects, const struct kb_s3_name *name,
                                struct kb_s3_object *out, struct kb_error *err)
{
    struct kb_s3_object answer = {.status = 0};
    struct object_key key = {.plain = NULL};
    struct kb_error none = {.status = KB_OK};
    struct object_rows rows;
    size_t count;
    enum kb_status status = object_rows_get(&rows, objects, name, err);

    if (status != KB_OK)
        return status;
    for (size_t i = 0; i < rows.count && !key.plain; i++)
        if (rows.rows[i].key_id[0] && strcmp(rows.rows[i].encryption, "client") == 0)
            (void)!object_key_release(&key, objects, rows.rows[i].key_id, false, &none);
    status = kb_s3_delete_object(objects->s3, name, &answer, err);
    if (status == KB_OK && !name->version)
        status = remove_instruction(objects, name, &key, err);
    /* A delete marker hides what is still there. */
    if (status == KB_OK && (name->version || !answer.delete_marker))
        status = object_rows_remove(&rows, objects, name->version ? name->version : answer.version,
                                    &count, err);
    if (status == KB_OK && out) {
        kb_s3_object_free(out);
        *out = answer;
        memset(&answer, 0, sizeof answer);
    }
    kb_s3_object_free(&answer);
    object_key_clear(&key);
    object_rows_free(&rows);
    return status;
}
