/* SPDX-License-Identifier: Apache-2.0 */
#include "base/reader.h"
#include "base/text.h"
#include "ddbec/ddbec.h"

void kb_description_write(struct kb_buffer *out, const struct kb_pair *entries, size_t count)
{
    kb_buffer_put_u32(out, DDBEC_DESCRIPTION_VERSION);
    for (size_t i = 0; i < count; i++) {
        kb_buffer_put_lv(out, entries[i].name);
        kb_buffer_put_lv(out, entries[i].value);
    }
}

enum kb_status kb_description_read(struct kb_pair **entries, size_t *count, struct kb_bytes bytes,
                                   struct kb_arena *arena, struct kb_error *err)
{
    struct kb_reader reader = kb_reader_of(bytes);
    struct kb_pair *list = kb_arena_array(arena, KB_ENTRIES_MAX, sizeof *list);
    bool text = true;

    *entries = list;
    *count = 0;
    if (!list)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    if (kb_reader_u32(&reader) != DDBEC_DESCRIPTION_VERSION)
        return kb_error_set(err, KB_ERR_INPUT, "the material description has an unknown version");
    while (!reader.failed && reader.left) {
        struct kb_pair entry;

        if (*count == KB_ENTRIES_MAX)
            return kb_error_set(err, KB_ERR_INPUT,
                                "the material description has more than %d entries",
                                KB_ENTRIES_MAX);
        entry.name = kb_reader_lv(&reader);
        entry.value = kb_reader_lv(&reader);
        text = text && kb_utf8_valid(entry.name) && kb_utf8_valid(entry.value);
        list[(*count)++] = entry;
    }
    if (!kb_reader_done(&reader) || !text) {
        *count = 0;
        return kb_error_set(err, KB_ERR_INPUT, "the material description is malformed");
    }
    return KB_OK;
}
