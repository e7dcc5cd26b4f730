/* SPDX-License-Identifier: Apache-2.0 */
#include "attr/names.h"

#include <stdlib.h>
#include <string.h>

/* Up to here comparing pairs is quicker than sorting. */
enum { FEW = 32 };

static bool same_name(const struct kb_member *a, const struct kb_member *b)
{
    return a->name.size == b->name.size &&
           (a->name.size == 0 || (a->name.data[0] == b->name.data[0] &&
                                  memcmp(a->name.data, b->name.data, a->name.size) == 0));
}

/* By name, then by place. */
static int compare(const void *a, const void *b)
{
    const struct kb_member *x = *(const struct kb_member *const *)a;
    const struct kb_member *y = *(const struct kb_member *const *)b;
    int order = kb_bytes_compare(x->name, y->name);

    return order ? order : (x > y) - (x < y);
}

static const struct kb_member **sorted(const struct kb_member *members, size_t count,
                                       struct kb_arena *arena)
{
    const struct kb_member **order = kb_arena_array(arena, count, sizeof *order);

    for (size_t i = 0; order && i < count; i++)
        order[i] = &members[i];
    if (order)
        qsort(order, count, sizeof *order, compare);
    return order;
}

bool kb_names_check(const struct kb_member **twice, const struct kb_member *members, size_t count,
                    struct kb_arena *arena)
{
    const struct kb_member **order;

    *twice = NULL;
    if (count <= FEW) {
        for (size_t i = 1; i < count; i++)
            for (size_t j = 0; j < i; j++)
                if (same_name(&members[i], &members[j]))
                    *twice = &members[i];
        return true;
    }
    order = sorted(members, count, arena);
    for (size_t i = 1; order && i < count; i++)
        if (same_name(order[i - 1], order[i]))
            *twice = order[i];
    return order != NULL;
}

bool kb_names_keep_last(struct kb_member *members, size_t *count, struct kb_arena *arena)
{
    const struct kb_member *twice, **order;
    size_t kept = 0, size = *count;
    bool *dropped;

    if (!kb_names_check(&twice, members, size, arena))
        return false;
    if (!twice)
        return true;
    order = sorted(members, size, arena);
    dropped = kb_arena_array(arena, size, sizeof *dropped);
    if (!order || !dropped)
        return false;
    for (size_t i = 1; i < size; i++)
        if (same_name(order[i - 1], order[i]))
            dropped[order[i - 1] - members] = true;
    for (size_t i = 0; i < size; i++)
        if (!dropped[i])
            members[kept++] = members[i];
    *count = kept;
    return true;
}
