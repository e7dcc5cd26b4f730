/* SPDX-License-Identifier: Apache-2.0
 *
 * What signing and verifying share.
 */
#ifndef KB_AWS_SIGV4_STEPS_H
#define KB_AWS_SIGV4_STEPS_H

#include "aws/sigv4.h"

#define KB_SIGV4_ALGORITHM "AWS4-HMAC-SHA256"
#define KB_SIGV4_TERMINATOR "aws4_request"

enum {
    KB_SIGV4_SIGNATURE_SIZE = 64, /* hexadecimal digits */
    KB_SIGV4_HEADERS_MAX = 160,
    KB_SIGV4_CANONICAL_MAX = 1024 * 1024,
};

/* As kb_sigv4_canonical_request, of the headers that `names` lists ("host;x-amz-date");
 * with names.data NULL, of all. */
KB_MUST_CHECK enum kb_status kb_sigv4_canonical_of(struct kb_buffer *out,
                                                   const struct kb_sigv4_request *request,
                                                   struct kb_bytes names, struct kb_error *err);

/* Appends the names of the request's headers: lower case, sorted, each once,
 * with `separator` between them. */
KB_MUST_CHECK enum kb_status kb_sigv4_names(struct kb_buffer *out,
                                            const struct kb_sigv4_request *request,
                                            const char *separator, struct kb_error *err);

/* Appends everything but the unreserved characters as %XX; '/' too unless `path`. */
void kb_sigv4_encode(struct kb_buffer *out, struct kb_bytes text, bool path);

/* True when `names` has the name, whatever its case. */
bool kb_sigv4_lists(struct kb_bytes names, struct kb_bytes name);

/* True when both are the same but for the case of ASCII letters. */
bool kb_sigv4_same_name(struct kb_bytes a, struct kb_bytes b);

/* The signature's digits for a canonical request. */
KB_MUST_CHECK enum kb_status kb_sigv4_signature(char out[KB_SIGV4_SIGNATURE_SIZE],
                                                struct kb_bytes canonical,
                                                struct kb_bytes secret_key,
                                                const struct kb_sigv4_scope *scope,
                                                struct kb_error *err);

#endif
