/* SPDX-License-Identifier: Apache-2.0
 *
 * Many items through workers: in any number of threads, out in their order.
 */
#ifndef KEYBRIDGE_STREAM_H
#define KEYBRIDGE_STREAM_H

#include <keybridge/ddbec.h>

#ifdef __cplusplus
extern "C" {
#endif

struct kb_stream;

struct kb_stream_options {
    bool decrypt;     /* else encrypt */
    unsigned workers; /* threads, each with a helper of its own; 0: 1 */
    /* Gets the lines of a batch, in the order they were put, in the thread that
     * calls the functions below. A status other than KB_OK ends the run. */
    enum kb_status (*sink)(void *ctx, const struct kb_line *lines, size_t n, struct kb_error *err);
    void *ctx;
};

/* *out is the caller's, for kb_stream_free. */
KB_MUST_CHECK enum kb_status kb_stream_new(struct kb_stream **out, struct kb_ddbec *ddbec,
                                           const struct kb_stream_options *options,
                                           struct kb_error *err);

/* Adds an item (copied); may call the sink. After a failure of the run every
 * call gives that failure again. */
KB_MUST_CHECK enum kb_status kb_stream_put(struct kb_stream *stream, uint64_t number,
                                           struct kb_bytes in, struct kb_error *err);

/* Sends what was put so far on its way, and waits until the sink has all of
 * it: at the end, and whenever the input pauses. */
KB_MUST_CHECK enum kb_status kb_stream_drain(struct kb_stream *stream, struct kb_error *err);

/* Ends the threads; what was not drained is dropped. NULL is ignored. */
void kb_stream_free(struct kb_stream *stream);

#ifdef __cplusplus
}
#endif
#endif
