/* SPDX-License-Identifier: Apache-2.0
 *
 * The one type plaintext keys and PINs live in: locked in memory, left out of
 * core files, wiped when freed, compared in constant time. Nothing here can
 * print or format it.
 */
#ifndef KEYBRIDGE_SECRET_H
#define KEYBRIDGE_SECRET_H

#include <keybridge/bytes.h>

#ifdef __cplusplus
extern "C" {
#endif

struct kb_secret;

/* A zero-filled secret of `size` bytes (1 to 16 MiB) in memory of its own.
 * *out is the caller's, to give to kb_secret_free. KB_ERR_SYSTEM when the
 * memory cannot be locked, KB_ERR_MEMORY when there is none. */
KB_MUST_CHECK enum kb_status kb_secret_new(struct kb_secret **out, size_t size,
                                           struct kb_error *err);

/* As kb_secret_new, filled from `bytes`, which stay the caller's to wipe. */
KB_MUST_CHECK enum kb_status kb_secret_copy(struct kb_secret **out, struct kb_bytes bytes,
                                            struct kb_error *err);

/* The PIN or key in a file: a regular file of ours (or root's) that nobody but
 * its owner can read (mode 0600 or stricter), at most `limit` bytes, one trailing newline (LF or
 * CR LF) dropped when `text`. KB_ERR_DENIED for loose permissions,
 * KB_ERR_NOT_FOUND, KB_ERR_USAGE for a wrong size. */
KB_MUST_CHECK enum kb_status kb_secret_read_file(struct kb_secret **out, const char *path,
                                                 size_t limit, bool text, struct kb_error *err);

/* Wipes and releases; NULL is ignored. */
void kb_secret_free(struct kb_secret *secret);

uint8_t *kb_secret_data(struct kb_secret *secret);
struct kb_bytes kb_secret_view(const struct kb_secret *secret);

/* Drops everything behind `size` bytes and wipes it. */
void kb_secret_truncate(struct kb_secret *secret, size_t size);

/* Constant-time comparison; lengths are not secret. */
bool kb_secret_equal(struct kb_bytes a, struct kb_bytes b);

/* Overwrites memory in a way the compiler keeps. */
void kb_wipe(void *data, size_t size);

/* For programs: no core files, not traceable by other processes of the same
 * user. Call first in main. */
void kb_process_harden(void);

#ifdef __cplusplus
}
#endif
#endif
