/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of this folder share: one request with its curl handle.
 */
#ifndef KB_HTTP_EXCHANGE_H
#define KB_HTTP_EXCHANGE_H

#include "http/http.h"

#include <curl/curl.h>

/* A handle is kept for the next request when its own is done. */
struct kb_exchange {
    CURL *easy;
    struct curl_slist *headers;
    struct kb_http_request *request;
    struct kb_exchange *next; /* in the list of idle or of busy ones */
    unsigned timeout_ms;
    bool near;       /* no proxy stands before the host */
    bool sent;       /* handed to a connection: it may have arrived */
    bool head_ended; /* the answer's headers came in full */
    bool too_long;
    bool stopped; /* by the request's `write` or `source`, which set its error */
    uint64_t given; /* bytes of `source` */
    bool no_memory;
    char where[320]; /* "host:port" */
    char text[CURL_ERROR_SIZE];
};

/* Sets the request's failure and error from what curl says about its end. */
void kb_exchange_judge(struct kb_exchange *exchange, CURLcode result);

/* Has curl ask the request's `source` for the body. */
bool kb_exchange_set_source(struct kb_exchange *exchange);

/* curl_global_init, with memory that is wiped when it is given back. */
CURLcode kb_http_global_init(void);

#endif
