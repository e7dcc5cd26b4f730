/* SPDX-License-Identifier: Apache-2.0
 *
 * What the call path's files share: a service, and the wires that its flights
 * borrow.
 */
#ifndef KB_AWS_FLIGHT_H
#define KB_AWS_FLIGHT_H

#include "aws/aws.h"
#include "aws/credentials.h"
#include "crypto/crypto.h"
#include "http/http.h"

#include <pthread.h>
#include <stdatomic.h>

/* A thread's worth of connections. */
struct kb_wire {
    struct kb_http *http;
    struct kb_crypto *crypto;
    struct kb_wire *next;
};

struct kb_aws {
    const struct kb_aws_service *service;
    struct kb_aws_settings settings;
    struct kb_credentials *credentials;
    char *url;
    char *host; /* as in the Host header */
    char *path; /* as in the request line */
    pthread_mutex_t lock; /* of the wires */
    struct kb_wire *idle;
    size_t idle_count;
    _Atomic int64_t clock_offset; /* seconds to add to this machine's clock */
    _Atomic uint64_t requests, retries, throttled;
};

KB_MUST_CHECK enum kb_status kb_wire_lease(struct kb_wire **out, struct kb_aws *aws,
                                               struct kb_error *err);
/* Nothing may be under way on it. */
void kb_wire_free(struct kb_wire *wire);
/* The same; NULL is ignored. */
void kb_wire_return(struct kb_aws *aws, struct kb_wire *wire);

#endif
