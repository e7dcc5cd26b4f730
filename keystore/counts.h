/* SPDX-License-Identifier: Apache-2.0
 *
 * How often each key has encrypted by AES-GCM: in a file that processes share,
 * or in memory.
 */
#ifndef KB_KEYSTORE_COUNTS_H
#define KB_KEYSTORE_COUNTS_H

#include <keybridge/keystore.h>

/* Its functions may be called by any thread. */
struct kb_counts;

/* `path` is copied; NULL: in memory. The file is looked at when it is first
 * needed, and made when something is first counted. */
KB_MUST_CHECK enum kb_status kb_counts_new(struct kb_counts **out, const char *path,
                                           struct kb_error *err);
void kb_counts_free(struct kb_counts *counts);

/* Counts n encryptions of that key. KB_ERR_DENIED, and none is counted, when
 * they would be more than KB_GCM_ENCRYPTIONS_MAX. */
KB_MUST_CHECK enum kb_status kb_counts_add(struct kb_counts *counts, const char *token,
                                           const char *key, uint64_t n, struct kb_error *err);
/* 0 for a key that has not encrypted. */
KB_MUST_CHECK enum kb_status kb_counts_get(struct kb_counts *counts, uint64_t *out,
                                           const char *token, const char *key,
                                           struct kb_error *err);

#endif
