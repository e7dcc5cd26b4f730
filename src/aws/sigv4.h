/* SPDX-License-Identifier: Apache-2.0
 *
 * AWS Signature Version 4, signing and verifying. Source: "Create a signed AWS
 * API request", IAM User Guide.
 */
#ifndef KB_AWS_SIGV4_H
#define KB_AWS_SIGV4_H

#include <keybridge/secret.h>

/* A header as it is sent. */
struct kb_sigv4_header {
    struct kb_bytes name;
    struct kb_bytes value;
};

struct kb_sigv4_request {
    struct kb_bytes method;
    struct kb_bytes path;  /* as in the request line, percent-encoded, without the query */
    struct kb_bytes query; /* behind the '?', as it is sent; may be empty */
    const struct kb_sigv4_header *headers;
    size_t header_count;
    struct kb_bytes payload_hash; /* lower-case hexadecimal SHA-256 of the body, or
                                     "UNSIGNED-PAYLOAD" and the like */
    bool as_is; /* the path is neither normalized nor encoded a second time: S3 */
};

struct kb_sigv4_keys {
    struct kb_bytes access_key_id;
    struct kb_bytes secret_key;
    struct kb_bytes session_token; /* empty: none */
};

struct kb_sigv4_scope {
    int64_t time; /* seconds since 1970 */
    struct kb_bytes region;
    struct kb_bytes service;
};

enum { KB_SIGV4_DATE_SIZE = 17 /* "20150830T123600Z" and its end */ };

/* Appends the value of the Authorization header. The headers are all signed
 * and have to hold Host, X-Amz-Date (of scope->time) and, unless the service
 * wants it unsigned, X-Amz-Security-Token. KB_ERR_USAGE when one of the first
 * two is missing. */
KB_MUST_CHECK enum kb_status kb_sigv4_sign(struct kb_buffer *out,
                                           const struct kb_sigv4_request *request,
                                           const struct kb_sigv4_keys *keys,
                                           const struct kb_sigv4_scope *scope,
                                           struct kb_error *err);

/* The steps of it, each appended: for tests, and for signing by query. */
KB_MUST_CHECK enum kb_status kb_sigv4_canonical_request(struct kb_buffer *out,
                                                        const struct kb_sigv4_request *request,
                                                        struct kb_error *err);
KB_MUST_CHECK enum kb_status kb_sigv4_string_to_sign(struct kb_buffer *out,
                                                     struct kb_bytes canonical_request,
                                                     const struct kb_sigv4_scope *scope,
                                                     struct kb_error *err);
void kb_sigv4_format_date(char out[KB_SIGV4_DATE_SIZE], int64_t time);

/* Appends the query string of a presigned request, signature last; `expires`
 * in seconds. The request's own query comes first. */
KB_MUST_CHECK enum kb_status kb_sigv4_presign(struct kb_buffer *out,
                                              const struct kb_sigv4_request *request,
                                              const struct kb_sigv4_keys *keys,
                                              const struct kb_sigv4_scope *scope,
                                              unsigned expires, struct kb_error *err);

/* Who may call a server of ours. */
struct kb_sigv4_verifier {
    /* Secret key of an access key id; false when it is not known. */
    bool (*find)(void *ctx, struct kb_bytes access_key_id, struct kb_bytes *secret_key);
    void *ctx;
    struct kb_bytes service;
    const struct kb_bytes *regions; /* accepted ones */
    size_t region_count;
    int64_t now;
    unsigned skew; /* seconds a request may be old or early; 0: 300 */
};

/* KB_OK for a request whose Authorization header signs at least Host,
 * X-Amz-Date and every X-Amz- header that is there; else KB_ERR_DENIED with
 * the reason (for the server's log, not for the caller). The body must have
 * been hashed into payload_hash by us. Compares in constant time. */
KB_MUST_CHECK enum kb_status kb_sigv4_verify(const struct kb_sigv4_verifier *verifier,
                                             const struct kb_sigv4_request *request,
                                             struct kb_error *err);

#endif
