/* SPDX-License-Identifier: Apache-2.0
 *
 * Every use of libcurl: HTTP/1.1 requests over kept-alive connections, any
 * number of them under way at once in one thread.
 */
#ifndef KB_HTTP_HTTP_H
#define KB_HTTP_HTTP_H

#include <keybridge/bytes.h>

/* Connections of one thread. */
struct kb_http;

struct kb_http_options {
    const char *ca_file;      /* PEM of the authorities to trust; NULL: the system's */
    const char *user_agent;
    unsigned connect_ms;      /* longest wait for a connection; 0: 5,000 */
    unsigned timeout_ms;      /* longest time of one request; 0: 60,000 */
    unsigned connections;     /* to one host; 0: 4 */
};

struct kb_http_header {
    const char *name;
    const char *value;
};

enum { KB_HTTP_HEADERS_MAX = 144, KB_HTTP_HEADER_BYTES_MAX = 64 * 1024 };

/* Why no answer came. */
enum kb_http_failure {
    KB_HTTP_NONE,    /* an answer came, whatever its status */
    KB_HTTP_RESOLVE, /* the host's name is not known */
    KB_HTTP_CONNECT, /* nobody answers there */
    KB_HTTP_SILENT,  /* no connection came about in time */
    KB_HTTP_TLS,     /* handshake or certificate */
    KB_HTTP_DROPPED, /* the connection ended before the answer did */
    KB_HTTP_TIMEOUT,
    KB_HTTP_TOO_LONG, /* the answer is longer than response.max */
    KB_HTTP_STOPPED,  /* by `write` or `source` */
    KB_HTTP_OTHER,
};

/* A body that is read as it is sent. `read` gets as much as there is from `offset`
 * on, at least a byte; a request asks in order, and from 0 again when it is started
 * again. A status other than KB_OK gives the request up, the body incomplete:
 * failure KB_HTTP_STOPPED, and its error. */
struct kb_http_source {
    enum kb_status (*read)(void *ctx, uint64_t offset, uint8_t *out, size_t room, size_t *got,
                           struct kb_error *err);
    void *ctx;
    uint64_t size; /* bytes in all */
};

/* One request and its answer. The caller owns it and everything it points to,
 * all of which stays until the request is done. */
struct kb_http_request {
    const char *method;
    const char *url;
    const struct kb_http_header *headers;
    size_t header_count;
    struct kb_bytes body;
    const struct kb_http_source *source; /* in place of `body`, or NULL */
    bool secret;               /* a header holds a key: curl's copies are wiped at once */
    unsigned timeout_ms;       /* 0: that of the options */
    unsigned stall_s;          /* in place of timeout_ms: longest silence (+- 5 s); 0: none */
    /* Gets the body of a 2xx answer piece by piece, in place of `response`. A status
     * other than KB_OK gives the request up: failure KB_HTTP_STOPPED, and its error.
     * `begin` (or NULL) is told before the first piece what the answer's head says. */
    enum kb_status (*begin)(void *ctx, unsigned status, struct kb_bytes header_text,
                            struct kb_error *err);
    enum kb_status (*write)(void *ctx, struct kb_bytes bytes, struct kb_error *err);
    void *write_ctx;           /* of both */
    void *ctx;                 /* the caller's */
    /* The answer. */
    enum kb_http_failure failure;
    struct kb_error error;     /* a sentence for `failure`: KB_ERR_REMOTE; names the host */
    unsigned status;           /* of HTTP */
    uint64_t written;          /* bytes given to `write` */
    struct kb_buffer response; /* body; the caller sets max (and wipe) before, frees it after */
    struct kb_buffer header_text; /* received headers, "name: value\n" each, names in lower case */
    /* Private. */
    void *handle;
};

/* *out is the caller's, for kb_http_free. Proxies are taken from the
 * environment as curl does; redirects are not followed; only http and https. */
KB_MUST_CHECK enum kb_status kb_http_new(struct kb_http **out,
                                         const struct kb_http_options *options,
                                         struct kb_error *err);
/* Cancels what is under way. NULL is ignored. */
void kb_http_free(struct kb_http *http);

/* Sends the request on its way. Its header_text is emptied, response reset. */
KB_MUST_CHECK enum kb_status kb_http_start(struct kb_http *http, struct kb_http_request *request,
                                           struct kb_error *err);

/* Works on all that is under way until one request is done, or for `wait_ms`
 * (-1: no bound); *done is NULL when none is. */
KB_MUST_CHECK enum kb_status kb_http_wait(struct kb_http *http, struct kb_http_request **done,
                                          int wait_ms, struct kb_error *err);

/* Gives the request up; it may or may not have reached the server. */
void kb_http_cancel(struct kb_http *http, struct kb_http_request *request);

/* start and wait for a single one: KB_OK when an answer came, of any status,
 * else the request's error. */
KB_MUST_CHECK enum kb_status kb_http_run(struct kb_http *http, struct kb_http_request *request,
                                         struct kb_error *err);

/* Value of a header (name in lower case) of a header_text, empty when it is missing. */
struct kb_bytes kb_http_find_header(struct kb_bytes header_text, const char *name);
/* That of a received one. */
struct kb_bytes kb_http_header(const struct kb_http_request *request, const char *name);

/* Seconds since 1970 of a date as HTTP writes it; false for what is none. */
bool kb_http_parse_date(struct kb_bytes value, int64_t *out);
/* That of the Date header. */
bool kb_http_date(const struct kb_http_request *request, int64_t *out);

/* Frees the answer's buffers; the rest of the request is as before. */
void kb_http_request_free(struct kb_http_request *request);

/* --- backoff (retry.c) ------------------------------------------------------------ */

/* Waits that grow, with full jitter. Only tries without progress count. */
struct kb_retry {
    unsigned tries; /* without progress so far */
    unsigned max;   /* tries in all; 0: 10 */
    unsigned base_ms; /* 0: 50 */
    unsigned cap_ms;  /* 0: 20,000 */
};

/* Something got through: waits begin anew. */
void kb_retry_progress(struct kb_retry *retry);
/* Milliseconds to wait before the next try, or -1: give up. */
int kb_retry_next(struct kb_retry *retry);

#endif
