/* SPDX-License-Identifier: Apache-2.0
 *
 * Names that stand twice in a map: found without comparing each with each,
 * since the map may come from somebody who wants that to take for ever.
 */
#ifndef KB_ATTR_NAMES_H
#define KB_ATTR_NAMES_H

#include "attr/attr.h"

/* *twice is a member whose name an earlier one has, or NULL. False when the
 * arena has no memory. */
bool kb_names_check(const struct kb_member **twice, const struct kb_member *members, size_t count,
                    struct kb_arena *arena);

/* Drops all but the last member of each name; *count is what is left. False
 * when the arena has no memory. */
bool kb_names_keep_last(struct kb_member *members, size_t *count, struct kb_arena *arena);

#endif
