/* SPDX-License-Identifier: Apache-2.0
 *
 * The same work for many things, in several threads.
 */
#ifndef KB_SEALED_LANES_H
#define KB_SEALED_LANES_H

#include <keybridge/bytes.h>

/* Calls work(ctx, i) for every i below n, in order of i as threads are free, in up to
 * `threads` threads, the caller one of them. The first failure is returned, and what was
 * not begun then is not. */
KB_MUST_CHECK enum kb_status lanes_run(unsigned threads, size_t n,
                                       enum kb_status (*work)(void *ctx, size_t i,
                                                              struct kb_error *err),
                                       void *ctx, struct kb_error *err);

#endif
