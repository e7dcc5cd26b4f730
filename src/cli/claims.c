/* SPDX-License-Identifier: Apache-2.0
 *
 * Names that inputs of one run lay claim to: each is for one of them.
 */
#include "cli/claims.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

/* A claim is the name, its end, and who has it. */
static int compare_names(const void *a, const void *b)
{
    return strcmp(a, b);
}

enum kb_status cli_claim(void **claims, const char *name, const char *by, const char *shown,
                         struct kb_error *err)
{
    size_t size = strlen(name) + 1, more = strlen(by) + 1;
    char *claim = malloc(size + more);
    char *const *found = NULL;

    if (claim) {
        memcpy(claim, name, size);
        memcpy(claim + size, by, more);
        found = tsearch(claim, claims, compare_names);
    }
    if (found && *found == claim)
        return KB_OK;
    free(claim);
    return found ? kb_error_set(err, KB_ERR_USAGE, "%s and %s would both become %s", *found + size,
                                by, shown)
                 : kb_error_set(err, KB_ERR_MEMORY, "no memory");
}

void cli_claims_free(void **claims)
{
    tdestroy(*claims, free);
    *claims = NULL;
}
