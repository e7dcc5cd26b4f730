/* SPDX-License-Identifier: Apache-2.0
 *
 * Many calls on their way at once, each with its own tries. A call that waits
 * for its next try takes no place from the others.
 */
#include "aws/flight.h"

#include "aws/answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    HEADER_TEXT_MAX = 48 * 1024,
    AUTHORIZATION_MAX = 1024, /* without the access key id */
    /* Names that are not known and handshakes that fail do not mend in a
     * minute, and timeouts have taken long enough by then. */
    SLOW_TRIES = 3,
    /* Signatures are good for five minutes; less of a difference is not why
     * one was refused. */
    CLOCK_SLACK_SECONDS = 120,
};

enum phase { WAITING, RUNNING, DONE };

struct attempt {
    struct kb_aws_call *call;
    struct kb_http_request request;
    struct kb_http_header headers[KB_HTTP_HEADERS_MAX];
    struct kb_buffer text; /* values of headers that are made for each try */
    char date[KB_SIGV4_DATE_SIZE];
    char target[128];
    char body_hash[2 * KB_SHA256_SIZE + 1]; /* "" before the first try */
    char key_id[132];
    struct kb_retry retry;
    int64_t signed_at;
    int64_t due; /* milliseconds of the monotonic clock */
    enum phase phase;
    bool sent_before;
    bool clock_set, refreshed, strange_before;
};

struct kb_aws_flight {
    struct kb_aws *aws;
    struct kb_wire *wire;
    struct attempt *attempts;
    size_t count, left, running;
    size_t first; /* those before are done */
};

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* --- signing ------------------------------------------------------------------------ */

static enum kb_status hash_body(struct kb_crypto *crypto, struct attempt *attempt,
                                struct kb_error *err)
{
    const struct kb_aws_rest *rest = attempt->call->rest;
    uint8_t hash[KB_SHA256_SIZE];
    enum kb_status status = KB_OK;

    if (attempt->body_hash[0])
        return KB_OK;
    if (rest && rest->unsigned_body) {
        snprintf(attempt->body_hash, sizeof attempt->body_hash, "UNSIGNED-PAYLOAD");
        return KB_OK;
    }
    if (rest && rest->sha256)
        memcpy(hash, rest->sha256, sizeof hash);
    else
        status = kb_crypto_sha256(crypto, hash, &attempt->call->body, 1, err);
    if (status == KB_OK)
        kb_crypto_hex(attempt->body_hash, (struct kb_bytes){hash, sizeof hash});
    return status;
}

static const char *region_of(const struct kb_aws_flight *flight, const struct attempt *attempt)
{
    const struct kb_aws_rest *rest = attempt->call->rest;

    return rest && rest->region ? rest->region : flight->aws->settings.region;
}

/* "https://host/path?query": the parts behind the host. */
static void cut_url(struct kb_sigv4_request *request, const struct kb_aws_rest *rest)
{
    const char *path = strstr(rest->url, "://") + 3 + strlen(rest->host);
    const char *query = strchr(path, '?');

    request->path = (struct kb_bytes){(const uint8_t *)path,
                                      query ? (size_t)(query - path) : strlen(path)};
    request->query = kb_bytes_text(query ? query + 1 : NULL);
}

/* Appends the Authorization value for the request's headers so far. */
static enum kb_status put_signature(struct kb_aws_flight *flight, struct attempt *attempt,
                                    const struct kb_sigv4_keys *keys, struct kb_error *err)
{
    const struct kb_aws *aws = flight->aws;
    const struct kb_aws_rest *rest = attempt->call->rest;
    struct kb_sigv4_header headers[KB_HTTP_HEADERS_MAX];
    struct kb_sigv4_request request = {
        .method = kb_bytes_text(attempt->request.method),
        .path = kb_bytes_text(aws->path),
        .headers = headers,
        .header_count = attempt->request.header_count,
        .payload_hash = kb_bytes_text(attempt->body_hash),
        .as_is = rest != NULL,
    };
    const struct kb_sigv4_scope scope = {
        .time = attempt->signed_at,
        .region = kb_bytes_text(region_of(flight, attempt)),
        .service = kb_bytes_text(aws->service->name),
    };

    if (rest)
        cut_url(&request, rest);
    for (size_t i = 0; i < request.header_count; i++)
        headers[i] = (struct kb_sigv4_header){kb_bytes_text(attempt->headers[i].name),
                                              kb_bytes_text(attempt->headers[i].value)};
    return kb_sigv4_sign(&attempt->text, &request, keys, &scope, err);
}

static void add_header(struct attempt *attempt, const char *name, const char *value)
{
    attempt->headers[attempt->request.header_count++] = (struct kb_http_header){name, value};
}

/* What needs no credentials. */
static void add_plain_headers(const struct kb_aws *aws, struct attempt *attempt)
{
    const struct kb_aws_rest *rest = attempt->call->rest;

    attempt->request.header_count = 0;
    add_header(attempt, "Host", rest ? rest->host : aws->host);
    add_header(attempt, "X-Amz-Date", attempt->date);
    if (rest) {
        add_header(attempt, "X-Amz-Content-Sha256", attempt->body_hash);
        for (size_t i = 0; i < rest->header_count; i++)
            add_header(attempt, rest->headers[i].name, rest->headers[i].value);
    } else {
        add_header(attempt, "Content-Type", aws->service->content_type);
        add_header(attempt, "X-Amz-Target", attempt->target);
    }
}

static enum kb_status sign_with(struct kb_aws_flight *flight, struct attempt *attempt,
                                const struct kb_sigv4_keys *keys, struct kb_error *err)
{
    struct kb_buffer *text = &attempt->text;
    size_t token = keys->session_token.size, authorization;
    size_t room = token + keys->access_key_id.size + AUTHORIZATION_MAX;
    enum kb_status status = hash_body(flight->wire->crypto, attempt, err);

    if (status != KB_OK)
        return status;
    snprintf(attempt->key_id, sizeof attempt->key_id, "%.*s", (int)keys->access_key_id.size,
             (const char *)keys->access_key_id.data);
    kb_sigv4_format_date(attempt->date, attempt->signed_at);
    add_plain_headers(flight->aws, attempt);
    kb_buffer_reset(text);
    /* All the room at once: pointers into it stay good. */
    if (!kb_buffer_extend(text, room))
        return kb_buffer_check(text, err);
    text->size = 0;
    if (token) {
        kb_buffer_put_bytes(text, keys->session_token);
        kb_buffer_put_u8(text, 0);
        add_header(attempt, "X-Amz-Security-Token", (const char *)text->data);
    }
    authorization = text->size;
    status = put_signature(flight, attempt, keys, err);
    kb_buffer_put_u8(text, 0);
    if (status == KB_OK)
        status = kb_buffer_check(text, err);
    if (status == KB_OK)
        add_header(attempt, "Authorization", (const char *)text->data + authorization);
    return status;
}

static enum kb_status sign(struct kb_aws_flight *flight, struct attempt *attempt,
                           const char *refused, struct kb_error *err)
{
    struct kb_aws *aws = flight->aws;
    struct kb_sigv4_keys keys;
    struct kb_secret *hold = NULL;
    enum kb_status status;

    attempt->signed_at = (int64_t)time(NULL) + atomic_load(&aws->clock_offset);
    status = kb_credentials_get(aws->credentials, attempt->signed_at, refused, &keys, &hold, err);
    if (status == KB_OK)
        status = sign_with(flight, attempt, &keys, err);
    kb_secret_free(hold);
    return status;
}

static enum kb_status send_call(struct kb_aws_flight *flight, struct attempt *attempt,
                                const char *refused, struct kb_error *err)
{
    struct kb_aws *aws = flight->aws;
    enum kb_status status = sign(flight, attempt, refused, err);

    if (status == KB_OK)
        status = kb_http_start(flight->wire->http, &attempt->request, err);
    if (status != KB_OK)
        return status;
    atomic_fetch_add(&aws->requests, 1);
    atomic_fetch_add(&aws->retries, attempt->sent_before);
    attempt->sent_before = true;
    attempt->phase = RUNNING;
    flight->running++;
    return KB_OK;
}

/* --- ends ----------------------------------------------------------------------------- */

static void drop_request(struct attempt *attempt)
{
    kb_http_request_free(&attempt->request);
    kb_buffer_free(&attempt->text);
}

/* The call has its answer, in call->status and call->error. */
static void settle(struct kb_aws_flight *flight, struct attempt *attempt, enum kb_status status)
{
    struct kb_aws_call *call = attempt->call;

    call->status = status;
    attempt->phase = DONE;
    flight->left--;
    if (status == KB_OK || call->rest) {
        call->response = attempt->request.response;
        memset(&attempt->request.response, 0, sizeof attempt->request.response);
    }
    if (call->rest) {
        call->http_status = attempt->request.status;
        call->headers = attempt->request.header_text;
        memset(&attempt->request.header_text, 0, sizeof attempt->request.header_text);
    }
    drop_request(attempt);
}

/* Fails the call; what would fail the others just so is returned and ends all. */
static enum kb_status fail(struct kb_aws_flight *flight, struct attempt *attempt,
                           struct kb_error *err)
{
    enum kb_status status = attempt->call->error.status;

    settle(flight, attempt, status);
    if (status != KB_ERR_DENIED && status != KB_ERR_REMOTE && status != KB_ERR_MEMORY)
        return KB_OK;
    if (err && err->status == KB_OK)
        *err = attempt->call->error;
    return status;
}

/* Ends the flight; every call without an answer gets `error` (or none, NULL). */
static void end_flight(struct kb_aws_flight *flight, const struct kb_error *error)
{
    for (size_t i = 0; i < flight->count; i++) {
        struct attempt *attempt = &flight->attempts[i];

        if (attempt->phase == DONE)
            continue;
        if (attempt->phase == RUNNING)
            kb_http_cancel(flight->wire->http, &attempt->request);
        drop_request(attempt);
        if (error) {
            attempt->call->status = error->status;
            attempt->call->error = *error;
        }
    }
    kb_wire_return(flight->aws, flight->wire);
    free(flight->attempts);
    free(flight);
}

/* --- answers ---------------------------------------------------------------------------- */

/* Once more after a while, at most `most` tries in all; else call->error is it. */
static enum kb_status repeat(struct kb_aws_flight *flight, struct attempt *attempt, unsigned most,
                             struct kb_error *err)
{
    int wait;

    attempt->retry.max = flight->aws->settings.max_tries;
    if (most && attempt->retry.max > most)
        attempt->retry.max = most;
    wait = kb_retry_next(&attempt->retry);
    if (wait < 0)
        return fail(flight, attempt, err);
    attempt->due = now_ms() + wait;
    attempt->phase = WAITING;
    return KB_OK;
}

/* As repeat, for a try of which nobody knows whether it was carried out. */
static enum kb_status repeat_unsure(struct kb_aws_flight *flight, struct attempt *attempt,
                                    unsigned most, struct kb_error *err)
{
    if (attempt->call->repeatable_only_unsent || attempt->request.written)
        return fail(flight, attempt, err);
    attempt->call->repeated = true;
    return repeat(flight, attempt, most, err);
}

/* The server's clock is taken for the right one, for this and all later calls. */
static enum kb_status set_clock(struct kb_aws_flight *flight, struct attempt *attempt,
                                struct kb_error *err)
{
    int64_t now = (int64_t)time(NULL), server;
    struct kb_error *error = &attempt->call->error;

    if (!kb_http_date(&attempt->request, &server))
        return fail(flight, attempt, err);
    if (attempt->clock_set) {
        kb_error_clear(error);
        kb_error_set(error, KB_ERR_DENIED, "this machine's clock is off by %lld s",
                     llabs((long long)(server - now)));
        kb_error_hint(error, "set the clock, best by NTP: signatures are good for five minutes");
        return fail(flight, attempt, err);
    }
    if (llabs((long long)(server - attempt->signed_at)) < CLOCK_SLACK_SECONDS)
        return fail(flight, attempt, err);
    atomic_store(&flight->aws->clock_offset, server - now);
    attempt->clock_set = true;
    return send_call(flight, attempt, NULL, err);
}

static enum kb_status take_failure(struct kb_aws_flight *flight, struct attempt *attempt,
                                   struct kb_error *err)
{
    attempt->call->error = attempt->request.error;
    attempt->call->code[0] = 0;
    switch (attempt->request.failure) {
    case KB_HTTP_CONNECT:
        return repeat(flight, attempt, 0, err);
    case KB_HTTP_RESOLVE:
    case KB_HTTP_SILENT:
    case KB_HTTP_TLS:
        return repeat(flight, attempt, SLOW_TRIES, err);
    case KB_HTTP_DROPPED:
        return repeat_unsure(flight, attempt, 0, err);
    case KB_HTTP_TIMEOUT:
        return repeat_unsure(flight, attempt, SLOW_TRIES, err);
    default:
        return fail(flight, attempt, err);
    }
}

static enum kb_verdict judge(struct kb_aws_flight *flight, struct attempt *attempt)
{
    const struct kb_aws *aws = flight->aws;
    const struct kb_http_request *request = &attempt->request;
    const struct kb_aws_rest *rest = attempt->call->rest;
    const struct kb_aws_answer answer = {
        .service = aws->service->name,
        .operation = attempt->call->operation,
        .resource = attempt->call->resource,
        .region = region_of(flight, attempt),
        .endpoint = aws->settings.endpoint,
        .source = kb_credentials_source(aws->credentials),
        .ctx = rest ? rest->judge_ctx : NULL,
        .status = request->status,
        .headers = kb_buffer_view(&request->header_text),
        .error_type = kb_http_header(request, "x-amzn-errortype"),
        .crc32 = kb_http_header(request, "x-amz-crc32"),
        .body = kb_buffer_view(&request->response),
    };

    return (aws->service->judge ? aws->service->judge : kb_aws_answer_judge)(
        &answer, attempt->call->code, &attempt->call->error);
}

static enum kb_status take_answer(struct kb_aws_flight *flight, struct attempt *attempt,
                                  struct kb_error *err)
{
    switch (judge(flight, attempt)) {
    case KB_VERDICT_DONE:
        settle(flight, attempt, KB_OK);
        return KB_OK;
    case KB_VERDICT_THROTTLED:
        atomic_fetch_add(&flight->aws->throttled, 1);
        return repeat(flight, attempt, 0, err);
    case KB_VERDICT_BUSY:
    case KB_VERDICT_DAMAGED:
        return repeat_unsure(flight, attempt, 0, err);
    case KB_VERDICT_STRANGE:
        if (attempt->strange_before)
            break;
        attempt->strange_before = true;
        return repeat_unsure(flight, attempt, 0, err);
    case KB_VERDICT_CLOCK:
        return set_clock(flight, attempt, err);
    case KB_VERDICT_WORDLESS:
        if (attempt->clock_set)
            break;
        return set_clock(flight, attempt, err);
    case KB_VERDICT_EXPIRED:
        if (attempt->refreshed)
            break;
        attempt->refreshed = true;
        return send_call(flight, attempt, attempt->key_id, err);
    case KB_VERDICT_FAILED:
        break;
    }
    return fail(flight, attempt, err);
}

/* --- the flight ---------------------------------------------------------------------------- */

/* Sends what is due while there is room; *wait_ms until something more is. */
static enum kb_status send_due(struct kb_aws_flight *flight, int *wait_ms, struct kb_error *err)
{
    enum kb_status status = KB_OK;
    int64_t now = now_ms(), next = INT64_MAX;

    while (flight->first < flight->count && flight->attempts[flight->first].phase == DONE)
        flight->first++;
    for (size_t i = flight->first; i < flight->count && status == KB_OK &&
                                   flight->running < flight->aws->settings.connections;
         i++) {
        struct attempt *attempt = &flight->attempts[i];

        if (attempt->phase != WAITING)
            continue;
        if (attempt->due <= now)
            status = send_call(flight, attempt, NULL, err);
        else if (attempt->due < next)
            next = attempt->due;
    }
    *wait_ms = -1;
    if (flight->running < flight->aws->settings.connections && next != INT64_MAX)
        *wait_ms = (int)(next - now);
    return status;
}

/* What of the request is not the same for every call of a service. */
static void set_up_rest(struct attempt *attempt, const struct kb_aws_rest *rest)
{
    struct kb_http_request *request = &attempt->request;

    request->method = rest->method;
    request->url = rest->url;
    request->source = rest->source;
    request->secret = rest->secret;
    request->stall_s = rest->stall_s;
    request->begin = rest->begin;
    request->write = rest->write;
    request->write_ctx = rest->write_ctx;
}

static void set_up_attempt(struct kb_aws_flight *flight, struct attempt *attempt,
                           struct kb_aws_call *call)
{
    const struct kb_aws *aws = flight->aws;

    attempt->call = call;
    attempt->text = (struct kb_buffer){.max = HEADER_TEXT_MAX, .wipe = true};
    attempt->request = (struct kb_http_request){
        .method = "POST",
        .url = aws->url,
        .headers = attempt->headers,
        .body = call->body,
        .ctx = attempt,
        .response = {.max = call->response_max ? call->response_max : KB_AWS_RESPONSE_MAX,
                     .wipe = call->secret},
    };
    if (call->rest)
        set_up_rest(attempt, call->rest);
    else
        snprintf(attempt->target, sizeof attempt->target, "%s.%s", aws->service->target,
                 call->operation);
    /* An answer that is still there belongs to an earlier run of the call. */
    kb_aws_call_free(call);
    call->http_status = 0;
    call->status = KB_OK;
    call->repeated = false;
    call->code[0] = 0;
    kb_error_clear(&call->error);
}

enum kb_status kb_aws_begin(struct kb_aws_flight **out, struct kb_aws *aws,
                            struct kb_aws_call *calls, size_t n, struct kb_error *err)
{
    struct kb_aws_flight *flight = calloc(1, sizeof *flight);
    struct attempt *attempts = calloc(n ? n : 1, sizeof *attempts);
    struct kb_error error = {0};
    enum kb_status status = KB_OK;
    int wait_ms;

    *out = NULL;
    if (!flight || !attempts) {
        free(flight);
        free(attempts);
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    }
    flight->aws = aws;
    flight->attempts = attempts;
    flight->count = flight->left = n;
    for (size_t i = 0; i < n; i++)
        set_up_attempt(flight, &attempts[i], &calls[i]);
    status = kb_wire_lease(&flight->wire, aws, &error);
    if (status == KB_OK)
        status = send_due(flight, &wait_ms, &error);
    if (status == KB_OK) {
        *out = flight;
        return KB_OK;
    }
    end_flight(flight, &error);
    if (err && err->status == KB_OK)
        *err = error;
    return status;
}

/* Sends, waits for one answer, and sees what it means. */
static enum kb_status step(struct kb_aws_flight *flight, struct kb_error *err)
{
    struct kb_http_request *done = NULL;
    struct attempt *attempt;
    int wait_ms;
    enum kb_status status = send_due(flight, &wait_ms, err);

    if (status == KB_OK)
        status = kb_http_wait(flight->wire->http, &done, wait_ms, err);
    if (status != KB_OK || !done)
        return status;
    attempt = done->ctx;
    flight->running--;
    attempt->phase = WAITING;
    return done->failure == KB_HTTP_NONE ? take_answer(flight, attempt, err)
                                         : take_failure(flight, attempt, err);
}

enum kb_status kb_aws_finish(struct kb_aws_flight *flight, struct kb_error *err)
{
    struct kb_error error = {0};
    enum kb_status status = KB_OK;

    while (status == KB_OK && flight->left > 0)
        status = step(flight, &error);
    end_flight(flight, status == KB_OK ? NULL : &error);
    if (status != KB_OK && err && err->status == KB_OK)
        *err = error;
    return status;
}

void kb_aws_abandon(struct kb_aws_flight *flight)
{
    if (flight)
        end_flight(flight, NULL);
}
