/* SPDX-License-Identifier: Apache-2.0
 *
 * Counters on the token: they tell an old copy of a file from the last one.
 */
#ifndef KB_KEYSTORE_COUNTER_H
#define KB_KEYSTORE_COUNTER_H

#include <keybridge/keystore.h>

/* KB_ERR_NOT_FOUND; KB_ERR_AMBIGUOUS when there are two. */
KB_MUST_CHECK enum kb_status kb_counter_get(struct kb_token *token, const char *name,
                                            uint64_t *out, struct kb_error *err);
/* From `from` to `to`, which is more; nothing when it is at `to` already.
 * KB_ERR_AUTH when it is at neither. From 0: makes it when it is not there;
 * KB_ERR_UNSUPPORTED when the token cannot keep a number that changes. PKCS#11
 * has no compare-and-set: callers must hold a lock against each other. */
KB_MUST_CHECK enum kb_status kb_counter_step(struct kb_token *token, const char *name,
                                             uint64_t from, uint64_t to, struct kb_error *err);

#endif
