/* SPDX-License-Identifier: Apache-2.0
 *
 * The message header: reader, writer, and the encryption context.
 */
#ifndef KB_ESDK_HEADER_H
#define KB_ESDK_HEADER_H

#include "base/arena.h"
#include "esdk/spec.h"

/* A header in memory; what `info` views lies in `memory`, or for a header that
 * is written with the caller. */
struct kb_esdk_header {
    struct kb_esdk_info info;
    const struct esdk_suite *suite;
    struct kb_bytes body; /* the header's bytes without its authentication: what the tag covers */
    uint8_t commit_key[ESDK_COMMIT_KEY];
    uint8_t iv[KB_GCM_IV_SIZE];
    uint8_t tag[KB_GCM_TAG_SIZE];
    struct kb_buffer memory;
    struct kb_pair *pairs; /* owned, as info.context */
    struct kb_edk *edks;   /* owned, as info.edks */
};

/* What is known of a header that comes in parts; zero at first. `need` bytes of
 * it there must be before reading is tried again. The lengths of its recipients
 * are gone through once, not at every part. */
struct esdk_header_scan {
    size_t need;
    size_t at;     /* the recipients' fields in front of it are there; 0: their number is not */
    size_t fields; /* how many begin there or behind it */
};

/* kb_esdk_header_read of a header that grows; in all it takes linear time when
 * it is called with `need` bytes or more. */
KB_MUST_CHECK enum kb_status esdk_header_read(struct kb_esdk_header **out, struct kb_bytes in,
                                              unsigned max_edks, struct esdk_header_scan *scan,
                                              struct kb_error *err);

/* KB_ERR_INPUT for input that has no whole header and will not get one: it is
 * empty, ends too early, or is something else, of which a hint then says what. */
enum kb_status esdk_header_refuse(struct kb_bytes in, struct kb_error *err);

/* Body of a header (data-format/message-header.md) as info, edks, commit_key
 * say; `edks` are info->edk_count encrypted data keys already serialized.
 * Appends to `out`. */
KB_MUST_CHECK enum kb_status esdk_header_write(struct kb_buffer *out,
                                               const struct esdk_suite *suite,
                                               const struct kb_esdk_info *info,
                                               struct kb_bytes edks, const uint8_t *commit_key,
                                               struct kb_error *err);

/* --- the encryption context (framework/structures.md#encryption-context-1) ------ */

/* Sorts by the bytes of the names, in place; the status `twice` when two names
 * are equal. */
KB_MUST_CHECK enum kb_status esdk_context_sort(struct kb_pair *pairs, size_t n,
                                               enum kb_status twice, struct kb_error *err);

/* Appends the serialization of sorted pairs: nothing for none. KB_ERR_USAGE
 * when it is longer than 65,535 bytes. */
KB_MUST_CHECK enum kb_status esdk_context_write(struct kb_buffer *out, const struct kb_pair *pairs,
                                                size_t n, struct kb_error *err);

/* A pair of the caller's: KB_ERR_USAGE for what is not UTF-8, or reserved. */
KB_MUST_CHECK enum kb_status esdk_pair_check(const struct kb_pair *pair, struct kb_error *err);

/* The value of that name, or NULL. */
const struct kb_pair *esdk_context_find(const struct kb_pair *pairs, size_t n,
                                        struct kb_bytes name);

#endif
