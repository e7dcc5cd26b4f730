/* SPDX-License-Identifier: Apache-2.0
 *
 * Data keys that stay in the token: their numbers, and forgetting them.
 */
#include "keystore/helper.h"

#include <stdlib.h>
#include <string.h>

static bool grow(struct kept_keys *kept)
{
    uint32_t size = kept->size ? kept->size * 2 : 256;
    CK_OBJECT_HANDLE *objects;

    if (size > KEPT_MAX)
        size = KEPT_MAX;
    if (size == kept->size)
        return false;
    objects = realloc(kept->objects, size * sizeof *objects);
    if (!objects)
        return false;
    memset(objects + kept->size, 0, (size - kept->size) * sizeof *objects);
    kept->hint = kept->size;
    kept->objects = objects;
    kept->size = size;
    return true;
}

enum kb_status kept_add(struct helper *helper, CK_OBJECT_HANDLE object, uint32_t *number,
                        struct kb_error *err)
{
    struct kept_keys *kept = &helper->kept;

    if (kept->used == kept->size && !grow(kept)) {
        kb_error_set(err, KB_ERR_MEMORY, "no room for more than %u data keys in the token",
                     kept->used);
        kb_error_hint(err, "forget those that are not needed");
        return KB_ERR_MEMORY;
    }
    while (kept->objects[kept->hint % kept->size] != CK_INVALID_HANDLE)
        kept->hint++;
    kept->hint %= kept->size;
    kept->objects[kept->hint] = object;
    kept->used++;
    *number = ++kept->hint;
    return KB_OK;
}

CK_OBJECT_HANDLE kept_find(const struct helper *helper, uint32_t number)
{
    return number && number <= helper->kept.size ? helper->kept.objects[number - 1]
                                                 : CK_INVALID_HANDLE;
}

void kept_forget(struct helper *helper, uint32_t number)
{
    CK_OBJECT_HANDLE object = kept_find(helper, number);

    if (object == CK_INVALID_HANDLE)
        return;
    (void)helper->f->C_DestroyObject(helper->session, object);
    helper->kept.objects[number - 1] = CK_INVALID_HANDLE;
    helper->kept.used--;
}

void data_keys_forget(struct helper *helper, const struct kb_request *request,
                      struct kb_buffer *answer)
{
    for (uint32_t i = 0; i < request->count; i++)
        kept_forget(helper, request->items[i].handle);
    kb_buffer_put_u32(answer, helper->kept.used);
}
