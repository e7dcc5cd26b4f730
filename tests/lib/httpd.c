/* SPDX-License-Identifier: Apache-2.0 */
#include "httpd.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 1024 };

struct peer {
    struct httpd *server;
    pthread_t thread;
    int fd;
    unsigned number;
    bool ended;
};

struct httpd {
    void (*handler)(void *ctx, const struct httpd_request *request, struct httpd_answer *answer);
    void *ctx;
    int fd;
    unsigned port;
    char url[64];
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t waking; /* those that delay an answer */
    bool stop;
    unsigned requests, connections, closed, at_once, most_at_once;
    unsigned releases;
    size_t refuse_after;
    unsigned refuse_status, refusals;
    struct peer *peers[CONNECTIONS_MAX];
    size_t peer_count;
};

static void require(bool condition, const char *what)
{
    if (condition)
        return;
    perror(what);
    abort();
}

const char *httpd_get(const struct httpd_request *request, const char *name)
{
    for (size_t i = 0; i < request->header_count; i++)
        if (strcmp(request->headers[i].name, name) == 0)
            return request->headers[i].value;
    return NULL;
}

void httpd_header(struct httpd_answer *answer, const char *name, const char *value)
{
    kb_buffer_put_text(&answer->headers, name);
    kb_buffer_put_text(&answer->headers, ": ");
    kb_buffer_put_text(&answer->headers, value);
    kb_buffer_put_text(&answer->headers, "\r\n");
}

void httpd_text(struct httpd_answer *answer, const char *format, ...)
{
    char text[16384];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    kb_buffer_put_text(&answer->body, text);
}

static bool send_all(int fd, const uint8_t *data, size_t size)
{
    while (size) {
        ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);

        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            return false;
        data += sent;
        size -= (size_t)sent;
    }
    return true;
}

static bool receive_some(int fd, struct kb_buffer *in)
{
    uint8_t data[16384];
    ssize_t size;

    do
        size = recv(fd, data, sizeof data, 0);
    while (size < 0 && errno == EINTR);
    if (size <= 0)
        return false;
    kb_buffer_put(in, data, (size_t)size);
    return !in->failed;
}

/* Cuts the head (up to its empty line, terminated) into its parts. */
static bool parse_head(struct httpd_request *request, char *head)
{
    char *save, *line = strtok_r(head, "\r\n", &save), *blank, *version;

    if (!line || !(blank = strchr(line, ' ')) || !(version = strchr(blank + 1, ' ')))
        return false;
    *blank = *version = 0;
    request->method = line;
    request->path = blank + 1;
    while ((line = strtok_r(NULL, "\r\n", &save))) {
        char *colon = strchr(line, ':');

        if (!colon || request->header_count == HTTPD_HEADERS_MAX)
            return false;
        *colon = 0;
        for (char *c = line; *c; c++)
            *c = (char)tolower((unsigned char)*c);
        request->headers[request->header_count].name = line;
        request->headers[request->header_count++].value = colon + 1 + strspn(colon + 1, " \t");
    }
    return true;
}

static const char *reason(unsigned status)
{
    return status < 300 ? "OK" : status < 400 ? "Elsewhere" : status < 500 ? "No" : "Trouble";
}

/* The whole answer; false when the connection is to end. */
static bool send_answer(int fd, const struct httpd_answer *answer)
{
    struct kb_buffer out = KB_BUFFER_INIT((size_t)HTTPD_BODY_MAX * 2);
    char line[160];
    bool open = answer->action == HTTPD_ANSWER && !answer->close && !answer->close_silently;

    if (answer->action == HTTPD_GARBAGE)
        kb_buffer_put_text(&out, "\x16\x03\x01 this is not HTTP\r\n\r\n");
    if (answer->action == HTTPD_ANSWER || answer->action == HTTPD_HALF) {
        snprintf(line, sizeof line, "HTTP/1.1 %u %s\r\nContent-Length: %zu\r\n%s", answer->status,
                 reason(answer->status), answer->length_set ? answer->length : answer->body.size,
                 answer->close ? "Connection: close\r\n" : "");
        kb_buffer_put_text(&out, line);
        kb_buffer_put_bytes(&out, kb_buffer_view(&answer->headers));
        kb_buffer_put_text(&out, "\r\n");
    }
    if (answer->action == HTTPD_HALF && answer->body.size)
        kb_buffer_put(&out, answer->body.data, answer->body.size / 2);
    else if (answer->action == HTTPD_HALF)
        out.size /= 2;
    else if (answer->action == HTTPD_ANSWER || answer->action == HTTPD_RAW)
        kb_buffer_put_bytes(&out, kb_buffer_view(&answer->body));
    if (answer->action != HTTPD_DROP && !send_all(fd, out.data, out.size))
        open = false;
    kb_buffer_free(&out);
    return open;
}

static void wait_ms(struct httpd *server, unsigned delay)
{
    const unsigned releases = server->releases;
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += delay / 1000;
    until.tv_nsec += (long)(delay % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    while (!server->stop && server->releases == releases &&
           pthread_cond_timedwait(&server->waking, &server->lock, &until) != ETIMEDOUT)
        ;
}

static bool answer_one(struct peer *peer, struct httpd_request *request)
{
    struct httpd *server = peer->server;
    struct httpd_answer answer = {.status = 200,
                                  .headers = KB_BUFFER_INIT(HTTPD_HEAD_MAX * 4),
                                  .body = KB_BUFFER_INIT(HTTPD_BODY_MAX)};
    bool open;

    pthread_mutex_lock(&server->lock);
    request->number = ++server->requests;
    request->connection = peer->number;
    if (++server->at_once > server->most_at_once)
        server->most_at_once = server->at_once;
    server->handler(server->ctx, request, &answer);
    if (answer.delay_ms)
        wait_ms(server, answer.delay_ms);
    server->at_once--;
    open = !server->stop;
    pthread_mutex_unlock(&server->lock);
    open = open && send_answer(peer->fd, &answer);
    kb_buffer_free(&answer.headers);
    kb_buffer_free(&answer.body);
    return open;
}

void httpd_refuse_bodies(struct httpd *server, size_t after, unsigned status, unsigned times)
{
    pthread_mutex_lock(&server->lock);
    server->refuse_after = after;
    server->refuse_status = status;
    server->refusals = times;
    pthread_mutex_unlock(&server->lock);
}

void httpd_release(struct httpd *server)
{
    pthread_mutex_lock(&server->lock);
    server->releases++;
    pthread_cond_broadcast(&server->waking);
    pthread_mutex_unlock(&server->lock);
}

/* After an answer the peer is heard out, lest a reset overtakes it. */
static bool refuse_body(struct peer *peer, size_t got)
{
    struct httpd *server = peer->server;
    struct kb_buffer rest = KB_BUFFER_INIT(HTTPD_BODY_MAX);
    char answer[128];
    bool refused;
    unsigned status;

    pthread_mutex_lock(&server->lock);
    refused = server->refusals && got > server->refuse_after;
    server->refusals -= refused;
    status = server->refuse_status;
    pthread_mutex_unlock(&server->lock);
    if (refused && status) {
        snprintf(answer, sizeof answer, "HTTP/1.1 %u %s\r\nContent-Length: 5\r\n\r\nearly", status,
                 reason(status));
        send_all(peer->fd, (const uint8_t *)answer, strlen(answer));
        shutdown(peer->fd, SHUT_WR);
        while (receive_some(peer->fd, &rest))
            ;
    }
    kb_buffer_free(&rest);
    return refused;
}

/* Reads the body into `in` behind the head of `size` bytes. */
static bool receive_body(struct peer *peer, struct httpd_request *request, struct kb_buffer *in,
                         size_t size, size_t *total)
{
    const char *length = httpd_get(request, "content-length");
    const char *expect = httpd_get(request, "expect");
    unsigned long bytes = length ? strtoul(length, NULL, 10) : 0;
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";

    if (bytes > HTTPD_BODY_MAX)
        return false;
    if (expect && strcasecmp(expect, "100-continue") == 0 && in->size < size + bytes &&
        !send_all(peer->fd, (const uint8_t *)go_on, sizeof go_on - 1))
        return false;
    while (in->size < size + bytes)
        if (refuse_body(peer, in->size - size) || !receive_some(peer->fd, in))
            return false;
    request->body = (struct kb_bytes){in->data + size, bytes};
    *total = size + bytes;
    return true;
}

static bool serve_one(struct peer *peer, struct kb_buffer *in, unsigned turn)
{
    static const char refusal[] = "HTTP/1.1 400 Not HTTP\r\nContent-Length: 0\r\n\r\n";
    struct httpd_request request = {.turn = turn};
    size_t total = 0;
    uint8_t *end;
    char *head;
    bool open;

    while (!in->data || !(end = memmem(in->data, in->size, "\r\n\r\n", 4))) {
        if (in->size > HTTPD_HEAD_MAX || !receive_some(peer->fd, in))
            return false;
        /* A client that speaks TLS: it is told so, as real servers do. */
        if (!isalpha(in->data[0])) {
            send_all(peer->fd, (const uint8_t *)refusal, sizeof refusal - 1);
            return false;
        }
    }
    head = strndup((const char *)in->data, (size_t)(end - in->data));
    require(head != NULL, "httpd: memory");
    open = parse_head(&request, head) &&
           receive_body(peer, &request, in, (size_t)(end - in->data) + 4, &total) &&
           answer_one(peer, &request);
    free(head);
    if (open) {
        memmove(in->data, in->data + total, in->size - total);
        in->size -= total;
    }
    return open;
}

static void *serve(void *ctx)
{
    struct peer *peer = ctx;
    struct kb_buffer in = KB_BUFFER_INIT((size_t)HTTPD_BODY_MAX + HTTPD_HEAD_MAX * 2);

    for (unsigned turn = 1; serve_one(peer, &in, turn); turn++)
        ;
    kb_buffer_free(&in);
    pthread_mutex_lock(&peer->server->lock);
    close(peer->fd);
    peer->server->closed++;
    peer->ended = true;
    pthread_mutex_unlock(&peer->server->lock);
    return NULL;
}

static void welcome(struct httpd *server, int fd)
{
    struct peer *peer = calloc(1, sizeof *peer);
    int on = 1;

    require(peer != NULL, "httpd: memory");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    pthread_mutex_lock(&server->lock);
    require(server->peer_count < CONNECTIONS_MAX, "httpd: connections");
    peer->server = server;
    peer->fd = fd;
    peer->number = ++server->connections;
    require(pthread_create(&peer->thread, NULL, serve, peer) == 0, "httpd: thread");
    server->peers[server->peer_count++] = peer;
    pthread_mutex_unlock(&server->lock);
}

static void *listen_on(void *ctx)
{
    struct httpd *server = ctx;
    int fd;

    while ((fd = accept(server->fd, NULL, NULL)) >= 0 || errno == EINTR || errno == ECONNABORTED)
        if (fd >= 0)
            welcome(server, fd);
    return NULL;
}

static int bind_any(unsigned *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    require(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
                getsockname(fd, (struct sockaddr *)&address, &size) == 0,
            "httpd: bind");
    *port = ntohs(address.sin_port);
    return fd;
}

struct httpd *httpd_start(void (*handler)(void *ctx, const struct httpd_request *request,
                                          struct httpd_answer *answer),
                          void *ctx)
{
    struct httpd *server = calloc(1, sizeof *server);

    require(server != NULL, "httpd: memory");
    server->handler = handler;
    server->ctx = ctx;
    server->fd = bind_any(&server->port);
    snprintf(server->url, sizeof server->url, "http://127.0.0.1:%u", server->port);
    pthread_mutex_init(&server->lock, NULL);
    pthread_cond_init(&server->waking, NULL);
    require(listen(server->fd, 128) == 0 &&
                pthread_create(&server->thread, NULL, listen_on, server) == 0,
            "httpd: listen");
    return server;
}

void httpd_stop(struct httpd *server)
{
    if (!server)
        return;
    shutdown(server->fd, SHUT_RDWR);
    pthread_join(server->thread, NULL);
    close(server->fd);
    pthread_mutex_lock(&server->lock);
    server->stop = true;
    pthread_cond_broadcast(&server->waking);
    for (size_t i = 0; i < server->peer_count; i++)
        if (!server->peers[i]->ended)
            shutdown(server->peers[i]->fd, SHUT_RDWR);
    pthread_mutex_unlock(&server->lock);
    for (size_t i = 0; i < server->peer_count; i++) {
        pthread_join(server->peers[i]->thread, NULL);
        free(server->peers[i]);
    }
    pthread_cond_destroy(&server->waking);
    pthread_mutex_destroy(&server->lock);
    free(server);
}

const char *httpd_url(const struct httpd *server)
{
    return server->url;
}

unsigned httpd_port(const struct httpd *server)
{
    return server->port;
}

static unsigned read_count(struct httpd *server, const unsigned *count)
{
    unsigned value;

    pthread_mutex_lock(&server->lock);
    value = *count;
    pthread_mutex_unlock(&server->lock);
    return value;
}

unsigned httpd_requests(struct httpd *server)
{
    return read_count(server, &server->requests);
}

unsigned httpd_connections(struct httpd *server)
{
    return read_count(server, &server->connections);
}

unsigned httpd_closed(struct httpd *server)
{
    return read_count(server, &server->closed);
}

unsigned httpd_at_once(struct httpd *server)
{
    return read_count(server, &server->at_once);
}

unsigned httpd_most_at_once(struct httpd *server)
{
    return read_count(server, &server->most_at_once);
}

unsigned httpd_closed_port(void)
{
    unsigned port;

    close(bind_any(&port));
    return port;
}
