/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory for many small things that end together: an item's values, a batch.
 * Nothing is freed singly; kb_arena_reset makes all of it reusable.
 */
#ifndef KB_BASE_ARENA_H
#define KB_BASE_ARENA_H

#include <keybridge/bytes.h>

struct kb_arena_block;

struct kb_arena {
    struct kb_arena_block *first;
    struct kb_arena_block *current;
};

#define KB_ARENA_INIT                                                                              \
    {                                                                                              \
        NULL, NULL                                                                                 \
    }

/* `size` bytes aligned for any type, not initialised; NULL without memory. */
void *kb_arena_take(struct kb_arena *arena, size_t size);

/* As kb_arena_take for count * size bytes, zero-filled; NULL on overflow. */
void *kb_arena_array(struct kb_arena *arena, size_t count, size_t size);

/* A copy that lives as long as the arena; data is NULL without memory (an
 * empty copy has a non-NULL pointer). */
struct kb_bytes kb_arena_copy(struct kb_arena *arena, struct kb_bytes bytes);

/* Everything taken is gone; up to a few blocks are kept for reuse. */
void kb_arena_reset(struct kb_arena *arena);
/* Overwrites all that was taken since the last reset: there were secrets in it. */
void kb_arena_wipe(struct kb_arena *arena);
void kb_arena_free(struct kb_arena *arena);

#endif
