/* SPDX-License-Identifier: Apache-2.0 */
#include "http/exchange.h"

#include <keybridge/secret.h>

#include <arpa/inet.h>
#include <ctype.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>

enum {
    CONNECT_MS = 5000,
    TIMEOUT_MS = 60000,
    CONNECTIONS = 4,
    /* Servers close what is idle after about a minute; a request sent into that
     * would be lost, and cannot always be repeated. */
    IDLE_SECONDS = 30,
    /* Bytes a second that are as good as none; curl takes the mean of five seconds. */
    STALL_SPEED = 100,
};

struct kb_http {
    CURLM *multi;
    struct kb_exchange *busy;
    struct kb_exchange *idle;
    char *ca_file;
    char *user_agent;
    unsigned connect_ms;
    unsigned timeout_ms;
};

static CURLcode global_result;

static void global_init(void)
{
    global_result = kb_http_global_init();
}

static enum kb_status no_memory(struct kb_error *err)
{
    return kb_error_set(err, KB_ERR_MEMORY, "no memory");
}

/* --- pool --------------------------------------------------------------------- */

static void free_exchange(struct kb_exchange *exchange)
{
    if (exchange->easy)
        curl_easy_cleanup(exchange->easy);
    free(exchange);
}

enum kb_status kb_http_new(struct kb_http **out, const struct kb_http_options *options,
                           struct kb_error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct kb_http *http;

    *out = NULL;
    pthread_once(&once, global_init);
    if (global_result != CURLE_OK)
        return kb_error_set(err, KB_ERR_SYSTEM, "libcurl cannot be set up: %s",
                            curl_easy_strerror(global_result));
    http = calloc(1, sizeof *http);
    if (!http)
        return no_memory(err);
    http->multi = curl_multi_init();
    http->ca_file = options->ca_file ? strdup(options->ca_file) : NULL;
    http->user_agent = strdup(options->user_agent ? options->user_agent : "keybridge");
    http->connect_ms = options->connect_ms ? options->connect_ms : CONNECT_MS;
    http->timeout_ms = options->timeout_ms ? options->timeout_ms : TIMEOUT_MS;
    if (!http->multi || !http->user_agent || (options->ca_file && !http->ca_file)) {
        kb_http_free(http);
        return no_memory(err);
    }
    curl_multi_setopt(http->multi, CURLMOPT_MAX_HOST_CONNECTIONS,
                      (long)(options->connections ? options->connections : CONNECTIONS));
    curl_multi_setopt(http->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    *out = http;
    return KB_OK;
}

static void free_headers(struct kb_exchange *exchange)
{
    for (struct curl_slist *line = exchange->headers; line; line = line->next)
        kb_wipe(line->data, strlen(line->data));
    curl_slist_free_all(exchange->headers);
    exchange->headers = NULL;
}

/* Takes the exchange from the busy ones; its connection stays with `multi`. */
static void end_exchange(struct kb_http *http, struct kb_exchange *exchange)
{
    struct kb_exchange **link = &http->busy;

    while (*link != exchange)
        link = &(*link)->next;
    *link = exchange->next;
    curl_multi_remove_handle(http->multi, exchange->easy);
    free_headers(exchange);
    exchange->request->handle = NULL;
    if (exchange->request->response.wipe || exchange->request->secret) {
        /* The handle's own buffers still have the end of the answer, and the headers. */
        free_exchange(exchange);
        return;
    }
    exchange->request = NULL;
    exchange->next = http->idle;
    http->idle = exchange;
}

void kb_http_free(struct kb_http *http)
{
    if (!http)
        return;
    while (http->busy)
        end_exchange(http, http->busy);
    while (http->idle) {
        struct kb_exchange *exchange = http->idle;

        http->idle = exchange->next;
        free_exchange(exchange);
    }
    if (http->multi)
        curl_multi_cleanup(http->multi);
    free(http->ca_file);
    free(http->user_agent);
    free(http);
}

/* --- what curl calls ------------------------------------------------------------- */

/* Hands a piece of a good answer on; 0 ends the request. */
static size_t write_body(struct kb_exchange *exchange, unsigned code, struct kb_bytes piece)
{
    struct kb_http_request *request = exchange->request;
    enum kb_status status = KB_OK;

    if (!request->written && request->begin)
        status = request->begin(request->write_ctx, code, kb_buffer_view(&request->header_text),
                                &request->error);
    if (status == KB_OK)
        status = request->write(request->write_ctx, piece, &request->error);
    request->written += piece.size;
    if (status == KB_OK)
        return piece.size;
    kb_error_set(&request->error, status, "what reads the answer has failed");
    exchange->stopped = true;
    return 0;
}

static size_t take_body(char *data, size_t size, size_t count, void *ctx)
{
    struct kb_exchange *exchange = ctx;
    struct kb_buffer *body = &exchange->request->response;
    long status = 0;

    size *= count;
    if (size && exchange->request->write &&
        curl_easy_getinfo(exchange->easy, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK &&
        status / 100 == 2)
        return write_body(exchange, (unsigned)status,
                          (struct kb_bytes){(const uint8_t *)data, size});
    if (size > body->max - body->size) {
        exchange->too_long = true;
        return 0;
    }
    kb_buffer_put(body, data, size);
    exchange->no_memory = body->failed;
    return body->failed ? 0 : size;
}

static size_t take_header(char *data, size_t size, size_t count, void *ctx)
{
    struct kb_exchange *exchange = ctx;
    struct kb_buffer *text = &exchange->request->header_text;
    const char *colon;
    size_t end;

    size *= count;
    /* A new status line behind "100 Continue". */
    if (size > 5 && memcmp(data, "HTTP/", 5) == 0) {
        kb_buffer_reset(text);
        exchange->head_ended = false;
        return size;
    }
    for (end = size; end > 0 && isspace((unsigned char)data[end - 1]); end--)
        ;
    exchange->head_ended = end == 0;
    colon = memchr(data, ':', end);
    if (!colon || memchr(data, 0, end))
        return size;
    if (end + 2 > text->max - text->size) {
        exchange->too_long = true;
        return 0;
    }
    for (const char *c = data; c < colon; c++)
        kb_buffer_put_u8(text, (uint8_t)tolower((unsigned char)*c));
    do
        colon++;
    while (colon < data + end && (*colon == ' ' || *colon == '\t'));
    kb_buffer_put_text(text, ": ");
    kb_buffer_put(text, colon, (size_t)(data + end - colon));
    kb_buffer_put_u8(text, '\n');
    exchange->no_memory = text->failed;
    return text->failed ? 0 : size;
}

/* Called when a connection is there, before the request goes out. A second time
 * means that the connection was a stale one and curl would send the request
 * again, of its own accord: it may have arrived, so that is for the caller. */
static int before_sending(void *ctx, char *remote, char *local, int remote_port, int local_port)
{
    struct kb_exchange *exchange = ctx;

    (void)remote;
    (void)local;
    (void)remote_port;
    (void)local_port;
    if (exchange->sent)
        return CURL_PREREQFUNC_ABORT;
    exchange->sent = true;
    return CURL_PREREQFUNC_OK;
}

/* Programs that this process starts do not inherit it. */
static curl_socket_t open_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *address)
{
    (void)ctx;
    (void)purpose;
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* --- a request -------------------------------------------------------------------- */

/* Hosts that no proxy stands before: this machine, and the link-local ones that
 * hand out credentials. */
static bool is_near(const char *host)
{
    struct in_addr address;
    size_t size = strlen(host);

    if (inet_pton(AF_INET, host, &address) == 1) {
        uint32_t number = ntohl(address.s_addr);

        return number >> 24 == 127 || number >> 16 == (169 << 8 | 254);
    }
    return strcasecmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 ||
           strncasecmp(host, "[fd00:ec2::", 11) == 0 ||
           (size > 10 && strcasecmp(host + size - 10, ".localhost") == 0);
}

/* Takes the URL apart for messages and refuses what is not meant for us. */
static enum kb_status look_at_url(struct kb_exchange *exchange, struct kb_error *err)
{
    CURLU *url = curl_url();
    char *scheme = NULL, *host = NULL, *port = NULL, *user = NULL;
    enum kb_status status = KB_OK;

    if (!url)
        return no_memory(err);
    if (curl_url_set(url, CURLUPART_URL, exchange->request->url, 0) != CURLUE_OK ||
        curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
        curl_url_get(url, CURLUPART_HOST, &host, 0) != CURLUE_OK ||
        curl_url_get(url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) != CURLUE_OK ||
        (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0))
        status = kb_error_set(err, KB_ERR_USAGE, "not a URL of http or https");
    else if (curl_url_get(url, CURLUPART_USER, &user, 0) == CURLUE_OK)
        status = kb_error_set(err, KB_ERR_USAGE, "a URL may not hold a user or password");
    else if (snprintf(exchange->where, sizeof exchange->where, "%s:%s", host, port) >=
             (int)sizeof exchange->where)
        status = kb_error_set(err, KB_ERR_USAGE, "a URL with a host name that is too long");
    exchange->near = status == KB_OK && is_near(host);
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    curl_free(user);
    curl_url_cleanup(url);
    return status;
}

static bool add_line(struct kb_exchange *exchange, const char *line)
{
    struct curl_slist *longer = curl_slist_append(exchange->headers, line);

    if (longer)
        exchange->headers = longer;
    return longer != NULL;
}

/* A name of RFC 9110's token characters, a value without control characters:
 * neither may end its line. */
static bool header_valid(const struct kb_http_header *header)
{
    if (!header->name[0])
        return false;
    for (const char *c = header->name; *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr("!#$%&'*+-.^_`|~", *c))
            return false;
    for (const char *c = header->value; *c; c++)
        if (((unsigned char)*c < 0x20 && *c != '\t') || *c == 0x7f)
            return false;
    return true;
}

static enum kb_status add_headers(struct kb_exchange *exchange, struct kb_error *err)
{
    static const char *const unwanted[] = {"Expect", "Accept", "Content-Type"};
    const struct kb_http_request *request = exchange->request;
    struct kb_buffer line = KB_BUFFER_INIT(KB_HTTP_HEADER_BYTES_MAX);
    bool given[sizeof unwanted / sizeof *unwanted] = {false};
    bool good = true;

    if (request->header_count > KB_HTTP_HEADERS_MAX)
        return kb_error_set(err, KB_ERR_USAGE, "more than %d headers", KB_HTTP_HEADERS_MAX);
    line.wipe = true;
    for (size_t i = 0; i < request->header_count && good; i++) {
        const struct kb_http_header *header = &request->headers[i];

        if (!header_valid(header)) {
            kb_buffer_free(&line);
            return kb_error_set(err, KB_ERR_USAGE, "a header that HTTP cannot carry");
        }
        for (size_t j = 0; j < sizeof unwanted / sizeof *unwanted; j++)
            given[j] = given[j] || strcasecmp(header->name, unwanted[j]) == 0;
        kb_buffer_reset(&line);
        kb_buffer_put_text(&line, header->name);
        /* "Name:" alone would tell curl to leave a header out. */
        kb_buffer_put_text(&line, header->value[0] ? ": " : ";");
        kb_buffer_put_text(&line, header->value);
        kb_buffer_put_u8(&line, 0);
        good = !line.failed && add_line(exchange, (const char *)line.data);
    }
    for (size_t j = 0; j < sizeof unwanted / sizeof *unwanted && good; j++) {
        char leave_out[32];

        snprintf(leave_out, sizeof leave_out, "%s:", unwanted[j]);
        good = given[j] || add_line(exchange, leave_out);
    }
    kb_buffer_free(&line);
    return good ? KB_OK : no_memory(err);
}

static bool set_method(struct kb_exchange *exchange)
{
    const struct kb_http_request *request = exchange->request;
    CURL *easy = exchange->easy;
    bool with_body = request->body.size > 0 || strcmp(request->method, "POST") == 0 ||
                     strcmp(request->method, "PUT") == 0;
    bool good = true;

    if (strcmp(request->method, "HEAD") == 0)
        return curl_easy_setopt(easy, CURLOPT_NOBODY, 1L) == CURLE_OK;
    if (request->source) {
        good = curl_easy_setopt(easy, CURLOPT_POST, 1L) == CURLE_OK &&
               kb_exchange_set_source(exchange);
    } else if (with_body) {
        const void *data = request->body.size ? (const void *)request->body.data : "";

        good = curl_easy_setopt(easy, CURLOPT_POST, 1L) == CURLE_OK &&
               curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
                                (curl_off_t)request->body.size) == CURLE_OK &&
               curl_easy_setopt(easy, CURLOPT_POSTFIELDS, data) == CURLE_OK;
    }
    if (strcmp(request->method, with_body ? "POST" : "GET") != 0)
        good = good && curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method) == CURLE_OK;
    return good;
}

#define SET(option, value) (good = good && curl_easy_setopt(easy, option, value) == CURLE_OK)

static bool set_callbacks(struct kb_exchange *exchange)
{
    CURL *easy = exchange->easy;
    bool good = true;

    SET(CURLOPT_PRIVATE, exchange);
    SET(CURLOPT_ERRORBUFFER, exchange->text);
    SET(CURLOPT_WRITEFUNCTION, take_body);
    SET(CURLOPT_WRITEDATA, exchange);
    SET(CURLOPT_HEADERFUNCTION, take_header);
    SET(CURLOPT_HEADERDATA, exchange);
    SET(CURLOPT_PREREQFUNCTION, before_sending);
    SET(CURLOPT_PREREQDATA, exchange);
    SET(CURLOPT_OPENSOCKETFUNCTION, open_socket);
    return good;
}

static bool set_options(const struct kb_http *http, struct kb_exchange *exchange)
{
    CURL *easy = exchange->easy;
    bool good = set_callbacks(exchange) && set_method(exchange);

    SET(CURLOPT_URL, exchange->request->url);
    SET(CURLOPT_PATH_AS_IS, 1L);
    SET(CURLOPT_HTTPHEADER, exchange->headers);
    SET(CURLOPT_USERAGENT, http->user_agent);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_TCP_NODELAY, 1L);
    SET(CURLOPT_MAXAGE_CONN, (long)IDLE_SECONDS);
    SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)http->connect_ms);
    SET(CURLOPT_TIMEOUT_MS, (long)exchange->timeout_ms);
    if (exchange->request->stall_s) {
        SET(CURLOPT_LOW_SPEED_LIMIT, (long)STALL_SPEED);
        SET(CURLOPT_LOW_SPEED_TIME, (long)exchange->request->stall_s);
    }
    if (http->ca_file) {
        /* In place of the system's authorities, which are in a folder too. */
        SET(CURLOPT_CAINFO, http->ca_file);
        SET(CURLOPT_CAPATH, NULL);
    }
    if (exchange->near)
        SET(CURLOPT_PROXY, "");
    return good;
}

static struct kb_exchange *take_exchange(struct kb_http *http)
{
    struct kb_exchange *exchange = http->idle;
    CURL *easy;

    if (exchange) {
        http->idle = exchange->next;
        easy = exchange->easy;
        curl_easy_reset(easy);
    } else {
        exchange = calloc(1, sizeof *exchange);
        easy = exchange ? curl_easy_init() : NULL;
        if (!easy) {
            free(exchange);
            return NULL;
        }
    }
    *exchange = (struct kb_exchange){.easy = easy};
    return exchange;
}

static enum kb_status pump(struct kb_http *http, struct kb_error *err)
{
    int running;
    CURLMcode result = curl_multi_perform(http->multi, &running);

    if (result == CURLM_OK)
        return KB_OK;
    return kb_error_set(err, result == CURLM_OUT_OF_MEMORY ? KB_ERR_MEMORY : KB_ERR_SYSTEM,
                        "libcurl failed: %s", curl_multi_strerror(result));
}

enum kb_status kb_http_start(struct kb_http *http, struct kb_http_request *request,
                             struct kb_error *err)
{
    struct kb_exchange *exchange = take_exchange(http);
    enum kb_status status;

    if (!exchange)
        return no_memory(err);
    exchange->request = request;
    if (!request->stall_s)
        exchange->timeout_ms = request->timeout_ms ? request->timeout_ms : http->timeout_ms;
    request->handle = NULL;
    request->status = 0;
    request->written = 0;
    request->failure = KB_HTTP_NONE;
    kb_error_clear(&request->error);
    kb_buffer_reset(&request->response);
    kb_buffer_reset(&request->header_text);
    request->header_text.max = KB_HTTP_HEADER_BYTES_MAX;
    status = look_at_url(exchange, err);
    if (status == KB_OK)
        status = add_headers(exchange, err);
    if (status == KB_OK && (!set_options(http, exchange) ||
                            curl_multi_add_handle(http->multi, exchange->easy) != CURLM_OK))
        status = no_memory(err);
    if (status != KB_OK) {
        free_headers(exchange);
        free_exchange(exchange);
        return status;
    }
    request->handle = exchange;
    exchange->next = http->busy;
    http->busy = exchange;
    status = pump(http, err);
    if (status != KB_OK)
        end_exchange(http, exchange);
    return status;
}

void kb_http_cancel(struct kb_http *http, struct kb_http_request *request)
{
    if (request->handle)
        end_exchange(http, request->handle);
}

/* The next request that is done, or NULL. */
static struct kb_http_request *take_done(struct kb_http *http)
{
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(http->multi, &left))) {
        struct kb_exchange *exchange = NULL;
        struct kb_http_request *request;
        CURLcode result = message->data.result;
        long code = 0;

        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &exchange);
        curl_easy_getinfo(message->easy_handle, CURLINFO_RESPONSE_CODE, &code);
        request = exchange->request;
        kb_exchange_judge(exchange, result);
        request->status = request->failure == KB_HTTP_NONE ? (unsigned)code : 0;
        end_exchange(http, exchange);
        return request;
    }
    return NULL;
}

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

enum kb_status kb_http_wait(struct kb_http *http, struct kb_http_request **done, int wait_ms,
                            struct kb_error *err)
{
    int64_t end = now_ms() + wait_ms;

    for (;;) {
        enum kb_status status = pump(http, err);
        int64_t left = wait_ms < 0 ? 1000 : end - now_ms();
        CURLMcode result;

        *done = NULL;
        if (status != KB_OK)
            return status;
        *done = take_done(http);
        if (*done || left <= 0 || (!http->busy && wait_ms < 0))
            return KB_OK;
        result = curl_multi_poll(http->multi, NULL, 0, (int)left, NULL);
        if (result != CURLM_OK)
            return kb_error_set(err, KB_ERR_SYSTEM, "libcurl failed: %s",
                                curl_multi_strerror(result));
    }
}

enum kb_status kb_http_run(struct kb_http *http, struct kb_http_request *request,
                           struct kb_error *err)
{
    struct kb_http_request *done = NULL;
    enum kb_status status = kb_http_start(http, request, err);

    while (status == KB_OK && done != request)
        status = kb_http_wait(http, &done, -1, err);
    if (status != KB_OK) {
        kb_http_cancel(http, request);
        return status;
    }
    if (request->failure == KB_HTTP_NONE)
        return KB_OK;
    if (err && err->status == KB_OK)
        *err = request->error;
    return request->error.status;
}
