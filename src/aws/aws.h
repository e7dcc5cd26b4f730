/* SPDX-License-Identifier: Apache-2.0
 *
 * The one call path to AWS's services: sign, send, retry, and say what an error
 * means. Calls are of the AWS JSON protocol, or of S3's: any method on any URL.
 */
#ifndef KB_AWS_AWS_H
#define KB_AWS_AWS_H

#include <keybridge/aws.h>
#include <keybridge/bytes.h>

#include "aws/answer.h"
#include "http/http.h"

/* A service in a region. Any thread may call it; each call borrows a thread's
 * worth of connections. */
struct kb_aws;

struct kb_aws_service {
    const char *name;          /* signing name and host: "dynamodb", "kms" */
    const char *target;        /* of X-Amz-Target: "DynamoDB_20120810", "TrentService" */
    const char *content_type;  /* "application/x-amz-json-1.0" */
    /* What an answer means; NULL: kb_aws_answer_judge. */
    enum kb_verdict (*judge)(const struct kb_aws_answer *answer, char code[KB_ANSWER_CODE_SIZE],
                             struct kb_error *err);
};
extern const struct kb_aws_service kb_aws_dynamodb, kb_aws_kms;

/* *out is the caller's. KB_ERR_CONFIG, KB_ERR_USAGE; nothing is sent. */
KB_MUST_CHECK enum kb_status kb_aws_open(struct kb_aws **out, const struct kb_aws_service *service,
                                         const struct kb_aws_options *options,
                                         struct kb_error *err);
void kb_aws_close(struct kb_aws *aws);
const char *kb_aws_region(const struct kb_aws *aws);
const char *kb_aws_endpoint(const struct kb_aws *aws);
unsigned kb_aws_connections(const struct kb_aws *aws);

enum { KB_AWS_RESPONSE_MAX = 1024 * 1024 };

/* How a call is sent that is not of the AWS JSON protocol. Everything is borrowed
 * until the call is done. */
struct kb_aws_rest {
    const char *method;
    const char *url;           /* with path and query as they are sent */
    const char *host;          /* as in the Host header */
    const char *region;        /* to sign for; NULL: the service's */
    const struct kb_http_header *headers; /* beside Host, Authorization and X-Amz-Date,
                                             -Security-Token and -Content-Sha256 */
    size_t header_count;
    const struct kb_http_source *source; /* of the body, in place of kb_aws_call.body: then it
                                            is not hashed here. Or NULL */
    const uint8_t *sha256;     /* of the body when it is known: 32 bytes; or NULL */
    bool unsigned_body;        /* the signature does not cover the body: for TLS alone */
    bool secret;               /* a header holds a key */
    unsigned stall_s;          /* longest silence; 0: a bound for the whole, as for JSON */
    /* Gets the body of a 2xx answer in place of `response`, as kb_http_request's;
     * then nothing is repeated. */
    enum kb_status (*begin)(void *ctx, unsigned status, struct kb_bytes headers,
                            struct kb_error *err);
    enum kb_status (*write)(void *ctx, struct kb_bytes bytes, struct kb_error *err);
    void *write_ctx;
    const void *judge_ctx;     /* for the service's judge */
};
enum { KB_AWS_REST_HEADERS_MAX = KB_HTTP_HEADERS_MAX - 5 };

/* One call. */
struct kb_aws_call {
    const char *operation;     /* "PutItem" */
    const char *resource;      /* ARN for messages and policy hints, '*' where something is not
                                  known; or NULL */
    struct kb_bytes body;      /* JSON, borrowed until the call is done */
    bool secret;               /* the answer holds a key: its buffer is wiped */
    bool repeatable_only_unsent; /* not to be repeated once it may have reached the server */
    size_t response_max;       /* bytes of the answer; a longer one fails. 0: KB_AWS_RESPONSE_MAX */
    const struct kb_aws_rest *rest; /* NULL: POST of JSON to the endpoint */
    /* The answer. */
    bool repeated;             /* sent again after it may have been carried out */
    enum kb_status status;
    struct kb_error error;     /* what is wrong, with hint; unset when KB_OK */
    char code[64];             /* the service's error code, without namespace; "" when none came */
    struct kb_buffer response; /* JSON; kb_aws_call_free. Zero before the first run */
    /* With `rest`, these and `response` are also there when the call failed. */
    unsigned http_status;      /* 0: no answer came */
    struct kb_buffer headers;  /* as kb_http_find_header takes them */
};

/*
 * Statuses of a call:
 *   KB_ERR_REMOTE     no network, name or TLS failure, 5xx and throttling after all
 *                     tries, an answer that is not of the service (a proxy's)
 *   KB_ERR_DENIED     credentials missing, wrong or expired; no permission: names the
 *                     action and the policy statement that would allow it; clock skew
 *                     that correcting did not cure
 *   KB_ERR_NOT_FOUND  ResourceNotFoundException, NotFoundException
 *   KB_ERR_EXISTS     ResourceInUseException, TableAlreadyExistsException
 *   KB_ERR_USAGE      ValidationException, SerializationException and other 4xx
 *   KB_ERR_AUTH       InvalidCiphertextException, IncorrectKeyException
 * Throttling, 5xx, drops and timeouts are tried again with jitter; a clock that
 * is off is corrected from the answer's Date once; expired credentials are
 * fetched anew once.
 */

/* Runs n calls, several at once, until each is done. KB_OK when every call has
 * its answer, good or bad; otherwise (no memory, a call that ended all) the
 * error. A call that fails with KB_ERR_DENIED, or with KB_ERR_REMOTE after all
 * its tries, ends the others early with the same error: they would fail the
 * same way, each after as long a wait. Calls that were done before keep their
 * answers; whether one that was under way was carried out is not known. */
KB_MUST_CHECK enum kb_status kb_aws_run(struct kb_aws *aws, struct kb_aws_call *calls, size_t n,
                                        struct kb_error *err);

/* kb_aws_run in two halves, so that the caller can work in between: begin
 * sends the first request, finish waits. *flight is NULL after a failure;
 * finish frees it. kb_aws_abandon gives up instead of finish. */
struct kb_aws_flight;
KB_MUST_CHECK enum kb_status kb_aws_begin(struct kb_aws_flight **flight, struct kb_aws *aws,
                                          struct kb_aws_call *calls, size_t n,
                                          struct kb_error *err);
KB_MUST_CHECK enum kb_status kb_aws_finish(struct kb_aws_flight *flight, struct kb_error *err);
void kb_aws_abandon(struct kb_aws_flight *flight);

/* One call; its status is the result and *err its error. */
KB_MUST_CHECK enum kb_status kb_aws_call_one(struct kb_aws *aws, struct kb_aws_call *call,
                                             struct kb_error *err);
/* Frees the answer. */
void kb_aws_call_free(struct kb_aws_call *call);

struct kb_aws_stats {
    uint64_t requests; /* sent, repeats included */
    uint64_t retries;
    uint64_t throttled;
};
void kb_aws_stats(struct kb_aws *aws, struct kb_aws_stats *out);

/* Tells that a whole batch came back undone: callers that retry parts of an
 * answer (UnprocessedItems) use one backoff with the call path. Sleeps. */
void kb_aws_pause(int milliseconds);

#endif
