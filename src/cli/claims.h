/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KB_CLI_CLAIMS_H
#define KB_CLI_CLAIMS_H

#include <keybridge/keybridge.h>

/* Lays claim to a name for an input; `*claims` is NULL at first. KB_ERR_USAGE, with the name
 * as it is to be shown: another input has it. */
KB_MUST_CHECK enum kb_status cli_claim(void **claims, const char *name, const char *by,
                                       const char *shown, struct kb_error *err);
void cli_claims_free(void **claims);

#endif
