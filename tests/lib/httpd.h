/* SPDX-License-Identifier: Apache-2.0
 *
 * A small HTTP/1.1 server in threads of the test program, on a free port of
 * 127.0.0.1. It keeps connections alive, answers several at once, and can be
 * told to misbehave. Linked into libkbtest; nothing else is needed:
 *
 *     static void hello(void *ctx, const struct httpd_request *request,
 *                       struct httpd_answer *answer)
 *     {
 *         httpd_header(answer, "Content-Type", "text/plain");
 *         httpd_text(answer, "hello from %s", request->path);
 *     }
 *
 *     struct httpd *server = httpd_start(hello, NULL);
 *     ... requests to httpd_url(server) ...
 *     httpd_stop(server);
 *
 * The handler runs under a lock of the server, one call at a time (delays and
 * sending come after it). httpd_requests and the like take the same lock, so a
 * test calls one of them before it looks at what its handler noted.
 */
#ifndef HTTPD_H
#define HTTPD_H

#include <keybridge/bytes.h>

struct httpd;

enum { HTTPD_HEADERS_MAX = 192, HTTPD_HEAD_MAX = 128 * 1024, HTTPD_BODY_MAX = 64 * 1024 * 1024 };

struct httpd_request {
    const char *method;
    const char *path;    /* as it was sent, the query included */
    struct kb_bytes body;
    unsigned number;     /* of the server's requests, from 1 */
    unsigned connection; /* of the server's connections, from 1 */
    unsigned turn;       /* of the requests on this connection, from 1 */
    size_t header_count;
    struct {
        const char *name; /* in lower case */
        const char *value;
    } headers[HTTPD_HEADERS_MAX];
};

/* Value of a header (name in lower case), or NULL. */
const char *httpd_get(const struct httpd_request *request, const char *name);

enum httpd_action {
    HTTPD_ANSWER,
    HTTPD_DROP,    /* close without a byte */
    HTTPD_HALF,    /* close after half of the answer */
    HTTPD_GARBAGE, /* bytes that are not HTTP, then close */
    HTTPD_RAW,     /* the body is all that is sent, status line and headers included; then close */
};

/* Zero but for status 200 when the handler gets it. */
struct httpd_answer {
    unsigned status;
    enum httpd_action action;
    unsigned delay_ms;        /* before anything is sent; httpd_release and httpd_stop end it */
    bool close;               /* "Connection: close", and it is */
    bool close_silently;      /* closed behind the answer without a word: a stale connection */
    bool length_set;          /* Content-Length is `length`, whatever the body has */
    size_t length;
    struct kb_buffer headers; /* httpd_header */
    struct kb_buffer body;    /* httpd_text, or kb_buffer_put */
};

/* Adds a header. Content-Length (and Connection) are added by the server. */
void httpd_header(struct httpd_answer *answer, const char *name, const char *value);
/* Appends printf-formatted text to the body. */
void httpd_text(struct httpd_answer *answer, const char *format, ...) KB_PRINTF(2, 3);

/* Listens at once. Ends the program when it cannot. */
struct httpd *httpd_start(void (*handler)(void *ctx, const struct httpd_request *request,
                                          struct httpd_answer *answer),
                          void *ctx);
/* The next `times` bodies of more than `after` bytes are not taken: behind about as many
 * the connection ends, with an answer of that status before, unless it is 0. */
void httpd_refuse_bodies(struct httpd *server, size_t after, unsigned status, unsigned times);
/* Ends all delays that are under way. */
void httpd_release(struct httpd *server);
/* Closes everything and waits for its threads. NULL is ignored. */
void httpd_stop(struct httpd *server);

/* "http://127.0.0.1:PORT", no slash at the end. Good until httpd_stop. */
const char *httpd_url(const struct httpd *server);
unsigned httpd_port(const struct httpd *server);

unsigned httpd_requests(struct httpd *server);    /* handled so far */
unsigned httpd_connections(struct httpd *server); /* accepted so far */
unsigned httpd_closed(struct httpd *server);      /* connections that this side has closed */
unsigned httpd_at_once(struct httpd *server);     /* requests between arrival and answer */
unsigned httpd_most_at_once(struct httpd *server);

/* A port of 127.0.0.1 where nobody listens. */
unsigned httpd_closed_port(void);

#endif
