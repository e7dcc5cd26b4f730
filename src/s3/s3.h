/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of this folder share: one request to S3 and its answer.
 */
#ifndef KB_S3_S3_H
#define KB_S3_S3_H

#include <keybridge/s3.h>

#include "aws/aws.h"
#include "base/arena.h"
#include "http/http.h"

enum {
    S3_HEADERS_MAX = 128,
    S3_XML_MAX = 8 * 1024 * 1024, /* bytes of an answer's document */
};

/* One request. Zero-filled: GET of the service. Everything is borrowed until
 * s3_run returns. */
struct s3_request {
    const char *method;
    const char *operation; /* "PutObject": for messages and hints of policies */
    const char *bucket;    /* or NULL */
    const char *key;       /* or NULL */
    const char *query;     /* percent-encoded, without '?'; or NULL */
    struct kb_http_header headers[S3_HEADERS_MAX]; /* but Host, Date, Authorization … */
    size_t header_count;
    struct kb_bytes body;
    const struct kb_http_source *source; /* of the body, in place of it; with `sha256`. Or NULL */
    const uint8_t *sha256; /* of the body when it is known, or NULL */
    bool unsigned_body;   /* the signature does not cover the body: for https alone */
    bool with_key;        /* holds a customer key: refused over http (KB_ERR_USAGE), wiped after */
    bool unrepeatable;    /* not to be sent again once it may have arrived */
    /* Gets the body of a 2xx answer piece by piece, in place of s3_answer.body;
     * `begin` its status and headers before that. */
    enum kb_status (*begin)(void *ctx, unsigned status, struct kb_bytes headers,
                            struct kb_error *err);
    enum kb_status (*write)(void *ctx, struct kb_bytes bytes, struct kb_error *err);
    void *ctx;
};

struct s3_answer {
    unsigned status;           /* of HTTP; 0: none came */
    char code[64];             /* S3's error code, or "" */
    bool repeated;             /* sent again after it may have been carried out */
    struct kb_buffer body;     /* of an answer without `write`, and of errors */
    struct kb_buffer headers;  /* "name: value\n" each, names in lower case */
};
void s3_answer_free(struct s3_answer *answer);
struct kb_bytes s3_answer_header(const struct s3_answer *answer, const char *name);

/* Signs, sends, follows a bucket to its region, tries again; KB_OK for 2xx (and
 * a 200 answer that holds an <Error> is none). The answer, zero-filled before its
 * first use, is also set on failure, when one came. */
KB_MUST_CHECK enum kb_status s3_run(struct kb_s3 *s3, const struct s3_request *request,
                                    struct s3_answer *answer, struct kb_error *err);

/* Adds a header; more than S3_HEADERS_MAX latch header_count above it, which s3_run refuses. */
void s3_add_header(struct s3_request *request, const char *name, const char *value);

/* A request being made: its answer, and what it borrows. */
struct s3_call {
    struct s3_request request;
    struct s3_answer answer;
    struct kb_arena arena;   /* wiped at the end */
    struct kb_buffer query;
};
/* Begins one; `name` has what of bucket, key and version there is. End it with s3_call_end. */
void s3_call_begin(struct s3_call *call, const char *method, const char *operation,
                   const struct kb_s3_name *name);
/* Adds "name=value" to the query, the value encoded; NULL: without '='. */
void s3_call_query(struct s3_call *call, const char *name, const char *value);
/* s3_run with what was added. */
KB_MUST_CHECK enum kb_status s3_call_run(struct kb_s3 *s3, struct s3_call *call,
                                         struct kb_error *err);
void s3_call_end(struct s3_call *call);

/* --- headers of objects (headers.c) ----------------------------------------------------- */

/* Adds what `put` asks for; texts that have to be made are of the arena, which
 * the caller wipes. `target`: the customer key headers' prefix is that of the
 * object; `source`: that of the copied one. */
KB_MUST_CHECK enum kb_status s3_add_put(struct s3_request *request, const struct kb_s3_put *put,
                                        struct kb_arena *arena, struct kb_error *err);
KB_MUST_CHECK enum kb_status s3_add_encryption(struct s3_request *request,
                                               const struct kb_s3_encryption *encryption,
                                               struct kb_arena *arena, struct kb_error *err);
/* Only the customer key: for GET, HEAD, UploadPart; with `copied` for the copy's source. */
KB_MUST_CHECK enum kb_status s3_add_customer_key(struct s3_request *request,
                                                 const struct kb_s3_encryption *encryption,
                                                 bool copied, struct kb_arena *arena,
                                                 struct kb_error *err);
/* If-Match and If-None-Match as `put` asks for them. */
KB_MUST_CHECK enum kb_status s3_add_conditions(struct s3_request *request,
                                               const struct kb_s3_put *put,
                                               struct kb_error *err);
/* A header with an ETag in quotes; nothing for NULL. */
KB_MUST_CHECK enum kb_status s3_add_match(struct s3_request *request, const char *name,
                                          const char *etag, struct kb_arena *arena,
                                          struct kb_error *err);
/* Content-MD5: `md5`, or NULL to make it of the request's body. */
KB_MUST_CHECK enum kb_status s3_add_md5(struct s3_request *request, const uint8_t *md5,
                                        struct kb_arena *arena, struct kb_error *err);
/* An ETag without its quotes; "" for one that is too long. */
void s3_read_etag(char out[KB_S3_ETAG_SIZE], struct kb_bytes value);
/* Reads an answer's headers. KB_ERR_REMOTE for what cannot be. */
KB_MUST_CHECK enum kb_status s3_read_object(struct kb_s3_object *out, unsigned status,
                                            struct kb_bytes headers, struct kb_error *err);

/* --- copies (object.c) -------------------------------------------------------------------- */

/* The headers that name the copy's source and its key. */
KB_MUST_CHECK enum kb_status s3_add_source(struct s3_call *call, const struct kb_s3_copy *copy,
                                           struct kb_error *err);
/* Headers and the ETag within the body of a copy's answer. */
KB_MUST_CHECK enum kb_status s3_read_copy(struct kb_s3_object *out, const struct s3_call *call,
                                          struct kb_error *err);

/* --- URLs (url.c) ------------------------------------------------------------------------- */

/* Appends percent-encoded text (all but the unreserved characters; '/' stays when `path`). */
void s3_encode(struct kb_buffer *out, const char *text, bool path);

/* --- XML (xml.c) --------------------------------------------------------------------------- */

/* A document as elements with text. No DTD, no entities of its own, at most 64 deep. */
struct s3_element {
    const char *name;        /* without namespace */
    struct kb_bytes text;    /* of the element itself, its ends not trimmed */
    struct s3_element *first, *next; /* child, sibling */
};
/* Of the arena. KB_ERR_REMOTE for what is no well-formed document. */
KB_MUST_CHECK enum kb_status s3_xml_parse(struct s3_element **out, struct kb_bytes text,
                                          struct kb_arena *arena, struct kb_error *err);
/* The first child of that name, or NULL; its text, or empty. */
const struct s3_element *s3_xml_child(const struct s3_element *element, const char *name);
struct kb_bytes s3_xml_text(const struct s3_element *element, const char *name);
/* Appends text with <, >, &, quotes and control characters escaped. */
void s3_xml_escape(struct kb_buffer *out, struct kb_bytes text);

#endif
