/* SPDX-License-Identifier: Apache-2.0
 *
 * The material description: what is read is written again to the same bytes.
 */
#include "ddbec/ddbec.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kb_buffer again = KB_BUFFER_INIT(1 << 24);
    struct kb_arena arena = KB_ARENA_INIT;
    struct kb_bytes bytes = {data, size};
    struct kb_pair *entries;
    size_t count;

    if (kb_description_read(&entries, &count, bytes, &arena, NULL) == KB_OK) {
        kb_description_write(&again, entries, count);
        if (!kb_bytes_equal(kb_buffer_view(&again), bytes))
            abort();
    }
    kb_buffer_free(&again);
    kb_arena_free(&arena);
    return 0;
}
