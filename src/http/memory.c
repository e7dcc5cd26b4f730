/* SPDX-License-Identifier: Apache-2.0
 *
 * curl's memory. Session tokens and the answers of a key service pass through
 * its buffers, so these are overwritten before they are given back. Where the
 * program has set curl up before us, its own memory functions stay.
 */
#include "http/exchange.h"

#include <keybridge/secret.h>

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

static void wipe_and_free(void *memory)
{
    if (memory)
        kb_wipe(memory, malloc_usable_size(memory));
    free(memory);
}

static void *resize(void *memory, size_t size)
{
    size_t old = memory ? malloc_usable_size(memory) : 0;
    void *room;

    if (memory && size <= old && size > old / 2)
        return memory;
    room = malloc(size ? size : 1);
    if (!room)
        return NULL;
    if (memory)
        memcpy(room, memory, old < size ? old : size);
    wipe_and_free(memory);
    return room;
}

CURLcode kb_http_global_init(void)
{
    return curl_global_init_mem(CURL_GLOBAL_DEFAULT, malloc, wipe_and_free, resize, strdup,
                                calloc);
}
