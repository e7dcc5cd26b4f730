/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include <stdlib.h>
#include <string.h>

enum { BLOCK_SIZE = 64 * 1024, KEEP_BYTES = 1024 * 1024 };

struct kb_arena_block {
    struct kb_arena_block *next;
    size_t used;
    size_t size;
    _Alignas(max_align_t) uint8_t data[];
};

static struct kb_arena_block *block_new(size_t size)
{
    struct kb_arena_block *block = malloc(sizeof *block + size);

    if (block)
        *block = (struct kb_arena_block){.size = size};
    return block;
}

/* The next block that has room: one kept from before, or a new one put behind
 * the current one. */
static struct kb_arena_block *next_block(struct kb_arena *arena, size_t size)
{
    struct kb_arena_block *after = arena->current ? arena->current->next : arena->first;
    struct kb_arena_block *block;

    if (after && after->size >= size)
        return arena->current = after;
    block = block_new(size > BLOCK_SIZE ? size : BLOCK_SIZE);
    if (!block)
        return NULL;
    block->next = after;
    if (arena->current)
        arena->current->next = block;
    else
        arena->first = block;
    return arena->current = block;
}

void *kb_arena_take(struct kb_arena *arena, size_t size)
{
    struct kb_arena_block *block = arena->current;
    void *taken;

    if (size > SIZE_MAX / 2)
        return NULL;
    size = (size + _Alignof(max_align_t) - 1) / _Alignof(max_align_t) * _Alignof(max_align_t);
    if (!block || size > block->size - block->used)
        block = next_block(arena, size);
    if (!block)
        return NULL;
    taken = block->data + block->used;
    block->used += size;
    return taken;
}

void *kb_arena_array(struct kb_arena *arena, size_t count, size_t size)
{
    void *taken = NULL;

    if (size == 0 || count <= SIZE_MAX / 2 / size)
        taken = kb_arena_take(arena, count * size);
    if (taken)
        memset(taken, 0, count * size);
    return taken;
}

struct kb_bytes kb_arena_copy(struct kb_arena *arena, struct kb_bytes bytes)
{
    uint8_t *data = kb_arena_take(arena, bytes.size ? bytes.size : 1);

    if (data && bytes.size)
        memcpy(data, bytes.data, bytes.size);
    return (struct kb_bytes){data, data ? bytes.size : 0};
}

void kb_arena_wipe(struct kb_arena *arena)
{
    for (struct kb_arena_block *block = arena->first; block; block = block->next)
        explicit_bzero(block->data, block->used);
}

void kb_arena_reset(struct kb_arena *arena)
{
    struct kb_arena_block **link = &arena->first;
    size_t kept = 0;

    while (*link) {
        struct kb_arena_block *block = *link;

        if (kept + block->size > KEEP_BYTES) {
            *link = block->next;
            free(block);
        } else {
            kept += block->size;
            block->used = 0;
            link = &block->next;
        }
    }
    arena->current = arena->first;
}

void kb_arena_free(struct kb_arena *arena)
{
    while (arena->first) {
        struct kb_arena_block *next = arena->first->next;

        free(arena->first);
        arena->first = next;
    }
    arena->current = NULL;
}
