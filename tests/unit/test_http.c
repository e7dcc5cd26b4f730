/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP requests against a server that misbehaves on demand.
 */
#include "httpd.h"
#include "kbtest.h"

#include "http/http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { HELD_MS = 60000 /* longer than any test */ };

static const char secret[] = "S3CRET-TOKEN";

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static uint32_t add_up(uint32_t sum, const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        sum = sum * 31 + bytes[i];
    return sum;
}

/* Does what the request's path says. */
static void obey(void *ctx, const struct httpd_request *request, struct httpd_answer *answer)
{
    const char *word = strrchr(request->path, '/') + 1;
    char sum[16];

    (void)ctx;
    snprintf(sum, sizeof sum, "%08x", add_up(0, request->body.data, request->body.size));
    if (strcmp(word, "drop") == 0)
        answer->action = HTTPD_DROP;
    else if (strcmp(word, "half") == 0 || strcmp(word, "half-head") == 0)
        answer->action = HTTPD_HALF;
    else if (strcmp(word, "garbage") == 0)
        answer->action = HTTPD_GARBAGE;
    else if (strcmp(word, "slow") == 0)
        answer->delay_ms = 5000;
    else if (strcmp(word, "asleep") == 0)
        answer->delay_ms = 12000;
    else if (strcmp(word, "pause") == 0)
        answer->delay_ms = 200;
    else if (strcmp(word, "held") == 0)
        answer->delay_ms = HELD_MS;
    else if (strcmp(word, "stale") == 0)
        answer->close_silently = true;
    else if (strcmp(word, "stale-late") == 0)
        answer->action = request->turn > 1 ? HTTPD_DROP : HTTPD_ANSWER;
    else if (strcmp(word, "close") == 0)
        answer->close = true;
    else if (strcmp(word, "short") == 0) {
        answer->length_set = true;
        answer->length = 1000;
        answer->close_silently = true;
    } else if (strcmp(word, "moved") == 0) {
        answer->status = 301;
        httpd_header(answer, "Location", "http://127.0.0.1:1/");
    } else if (strcmp(word, "continue") == 0) {
        answer->action = HTTPD_RAW;
        httpd_text(answer, "HTTP/1.1 103 Early\r\nX-Early: 1\r\n\r\nHTTP/1.1 200 OK\r\n"
                           "X-Late: 1\r\nContent-Length: 2\r\n\r\nok");
        return;
    } else if (strcmp(word, "headers") == 0) {
        char value[8000];

        memset(value, 'x', sizeof value);
        value[sizeof value - 1] = 0;
        for (int i = 0; i < 20; i++)
            httpd_header(answer, "X-Long", value);
    }
    httpd_header(answer, "X-Mixed-CASE", "  Value: with colon ");
    httpd_header(answer, "X-Empty", "");
    httpd_header(answer, "X-Sum", sum);
    httpd_header(answer, "Date", "Sun, 06 Nov 1994 08:49:37 GMT");
    if (strcmp(word, "half-head") != 0)
        httpd_text(answer, "%s %s %zu %s %s %s", request->method, request->path,
                   request->body.size,
                   httpd_get(request, "x-sent") ? httpd_get(request, "x-sent") : "-",
                   httpd_get(request, "expect") ? "expect" : "-",
                   httpd_get(request, "content-type") ? "typed" : "-");
}

struct fixture {
    struct httpd *server;
    struct kb_http *http;
    char url[4][128];
    struct kb_http_request request[4];
};

static const struct kb_http_header header = {"X-Sent", "S3CRET-TOKEN"};

static void prepare(struct fixture *f, size_t i, const char *word)
{
    snprintf(f->url[i], sizeof f->url[i], "%s/%s", httpd_url(f->server), word);
    f->request[i].url = f->url[i];
}

static void set_up(struct fixture *f, const struct kb_http_options *options)
{
    memset(f, 0, sizeof *f);
    f->server = httpd_start(obey, NULL);
    KBT_OK(kb_http_new(&f->http, options, NULL), NULL);
    for (size_t i = 0; i < 4; i++) {
        f->request[i].method = "POST";
        f->request[i].headers = &header;
        f->request[i].header_count = 1;
        f->request[i].body = kb_bytes_text("hello");
        f->request[i].response.max = 100000;
        prepare(f, i, "ok");
    }
}

static void tear_down(struct fixture *f)
{
    kb_http_free(f->http);
    for (size_t i = 0; i < 4; i++)
        kb_http_request_free(&f->request[i]);
    httpd_stop(f->server);
}

/* Reading the authorities counts as connecting, and takes seconds under valgrind. */
static const struct kb_http_options defaults = {.user_agent = "test/1", .connect_ms = 60000};

static void check_failure(struct fixture *f, enum kb_http_failure failure, const char *text)
{
    struct kb_error err = {0};

    CU_ASSERT_EQUAL(kb_http_run(f->http, &f->request[0], &err), KB_ERR_REMOTE);
    CU_ASSERT_EQUAL(f->request[0].failure, failure);
    CU_ASSERT_EQUAL(f->request[0].status, 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, text));
    CU_ASSERT_PTR_NULL(strstr(err.text, secret));
    CU_ASSERT_STRING_EQUAL(err.text, f->request[0].error.text);
    if (f->request[0].failure != failure || !strstr(err.text, text))
        fprintf(stderr, "  failure %d: %s\n", f->request[0].failure, err.text);
}

/* An answer, its headers, and the connection used again. */
static void test_answer(void)
{
    static const char *const methods[] = {"GET", "POST", "PUT", "DELETE", "HEAD"};
    struct kb_error err = {0};
    struct fixture f;
    int64_t date = 0;
    char want[200];

    set_up(&f, &defaults);
    for (size_t i = 0; i < 5; i++) {
        bool bare = i != 1;

        f.request[0].method = methods[i];
        f.request[0].body = kb_bytes_text(bare ? NULL : "hello");
        KBT_OK(kb_http_run(f.http, &f.request[0], &err), &err);
        CU_ASSERT_EQUAL(f.request[0].status, 200);
        snprintf(want, sizeof want, "%s /ok %d S3CRET-TOKEN - -", methods[i], bare ? 0 : 5);
        KBT_TEXT(kb_buffer_view(&f.request[0].response), i == 4 ? "" : want);
    }
    KBT_TEXT(kb_http_header(&f.request[0], "x-mixed-case"), "Value: with colon");
    KBT_TEXT(kb_http_header(&f.request[0], "x-empty"), "");
    KBT_TEXT(kb_http_header(&f.request[0], "x-mixed"), "");
    CU_ASSERT_TRUE(kb_http_date(&f.request[0], &date));
    CU_ASSERT_EQUAL(date, 784111777);
    CU_ASSERT_EQUAL(httpd_connections(f.server), 1);
    CU_ASSERT_EQUAL(httpd_requests(f.server), 5);
    tear_down(&f);
}

/* Any status is an answer; a redirect is not followed; an interim answer's
 * headers are dropped. */
static void test_statuses(void)
{
    struct kb_error err = {0};
    struct fixture f;

    set_up(&f, &defaults);
    prepare(&f, 0, "moved");
    KBT_OK(kb_http_run(f.http, &f.request[0], &err), &err);
    CU_ASSERT_EQUAL(f.request[0].status, 301);
    prepare(&f, 0, "continue");
    KBT_OK(kb_http_run(f.http, &f.request[0], &err), &err);
    CU_ASSERT_EQUAL(f.request[0].status, 200);
    KBT_TEXT(kb_http_header(&f.request[0], "x-early"), "");
    KBT_TEXT(kb_http_header(&f.request[0], "x-late"), "1");
    KBT_TEXT(kb_buffer_view(&f.request[0].response), "ok");
    tear_down(&f);
}

/* Answers whose buffer is wiped use their connections again all the same. */
static void test_wiped(void)
{
    struct kb_error err = {0};
    struct fixture f;

    set_up(&f, &defaults);
    f.request[0].response.wipe = true;
    for (int i = 0; i < 3; i++)
        KBT_OK(kb_http_run(f.http, &f.request[0], &err), &err);
    CU_ASSERT_EQUAL(httpd_connections(f.server), 1);
    tear_down(&f);
}

static void test_unreachable(void)
{
    struct fixture f;
    char url[128];

    set_up(&f, &defaults);
    snprintf(url, sizeof url, "http://127.0.0.1:%u/", httpd_closed_port());
    f.request[0].url = url;
    check_failure(&f, KB_HTTP_CONNECT, "Connection refused");
    CU_ASSERT_PTR_NOT_NULL(strstr(f.request[0].error.text, "127.0.0.1:"));
    f.request[0].url = "http://no-such-host.invalid/";
    check_failure(&f, KB_HTTP_RESOLVE, "no-such-host.invalid:80");
    snprintf(url, sizeof url, "https://127.0.0.1:%u/", httpd_port(f.server));
    f.request[0].url = url;
    check_failure(&f, KB_HTTP_TLS, "no secure connection to 127.0.0.1:");
    CU_ASSERT_EQUAL(httpd_requests(f.server), 0);
    tear_down(&f);
}

static void test_broken(void)
{
    static const struct {
        const char *word;
        enum kb_http_failure failure;
        const char *text;
    } rows[] = {
        {"drop", KB_HTTP_DROPPED, "closed the connection"},
        {"half", KB_HTTP_DROPPED, "closed the connection"},
        {"half-head", KB_HTTP_DROPPED, "closed the connection"},
        {"short", KB_HTTP_DROPPED, "closed the connection"},
        {"garbage", KB_HTTP_OTHER, "not HTTP"},
        {"slow", KB_HTTP_TIMEOUT, "did not answer within 0.3 s"},
        {"headers", KB_HTTP_TOO_LONG, "more than"},
    };
    struct kb_error err = {0};
    struct fixture f;

    set_up(&f, &defaults);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        prepare(&f, 0, rows[i].word);
        f.request[0].timeout_ms = strcmp(rows[i].word, "slow") == 0 ? 300 : 0;
        check_failure(&f, rows[i].failure, rows[i].text);
        /* What comes after is not harmed. */
        prepare(&f, 0, "ok");
        KBT_OK(kb_http_run(f.http, &f.request[0], &err), &err);
    }
    tear_down(&f);
}

static void test_too_long(void)
{
    struct kb_error err = {0};
    struct fixture f;
    size_t size;

    set_up(&f, &defaults);
    KBT_OK(kb_http_run(f.http, &f.request[0], &err), &err);
    size = f.request[0].response.size;
    kb_buffer_free(&f.request[0].response);
    f.request[0].response.max = size;
    KBT_OK(kb_http_run(f.http, &f.request[0], &err), &err);
    kb_buffer_free(&f.request[0].response);
    f.request[0].response.max = size - 1;
    check_failure(&f, KB_HTTP_TOO_LONG, "more than");
    tear_down(&f);
}

struct sink {
    struct kb_buffer all;
    size_t stop_at; /* bytes */
};

static enum kb_status sink(void *ctx, struct kb_bytes bytes, struct kb_error *err)
{
    struct sink *s = ctx;

    kb_buffer_put_bytes(&s->all, bytes);
    if (s->stop_at && s->all.size >= s->stop_at)
        return kb_error_set(err, KB_ERR_INPUT, "enough");
    return KB_OK;
}

/* A good answer's body goes where it is wanted, another's stays. */
static void test_write(void)
{
    struct sink s = {.all = KB_BUFFER_INIT(1000)};
    struct kb_error err = {0};
    struct fixture f;

    set_up(&f, &defaults);
    f.request[0].write = sink;
    f.request[0].write_ctx = &s;
    f.request[0].secret = true;
    f.request[0].stall_s = 10;
    f.request[0].response.max = 100;
    KBT_OK(kb_http_run(f.http, &f.request[0], &err), &err);
    KBT_TEXT(kb_buffer_view(&s.all), "POST /ok 5 S3CRET-TOKEN - -");
    CU_ASSERT_EQUAL(f.request[0].written, s.all.size);
    CU_ASSERT_EQUAL(f.request[0].response.size, 0);
    kb_buffer_reset(&s.all);
    prepare(&f, 0, "moved");
    KBT_OK(kb_http_run(f.http, &f.request[0], &err), &err);
    CU_ASSERT_EQUAL(s.all.size, 0);
    CU_ASSERT_EQUAL(f.request[0].written, 0);
    KBT_TEXT(kb_buffer_view(&f.request[0].response), "POST /moved 5 S3CRET-TOKEN - -");
    prepare(&f, 0, "ok");
    s.stop_at = 1;
    CU_ASSERT_EQUAL(kb_http_run(f.http, &f.request[0], &err), KB_ERR_INPUT);
    CU_ASSERT_EQUAL(f.request[0].failure, KB_HTTP_STOPPED);
    CU_ASSERT_STRING_EQUAL(err.text, "enough");
    kb_error_clear(&err);
    s.stop_at = 0;
    KBT_OK(kb_http_run(f.http, &f.request[0], &err), &err);
    kb_buffer_free(&s.all);
    tear_down(&f);
}

/* No bound for the whole, but one for silence. */
static void test_stall(void)
{
    const struct kb_http_options hasty = {.timeout_ms = 100};
    struct kb_error err = {0};
    struct fixture f;
    int64_t start;

    set_up(&f, &hasty);
    f.request[0].stall_s = 2;
    prepare(&f, 0, "pause");
    KBT_OK(kb_http_run(f.http, &f.request[0], &err), &err);
    prepare(&f, 0, "asleep");
    f.request[0].stall_s = 1;
    start = now_ms();
    check_failure(&f, KB_HTTP_TIMEOUT, "nothing went to or from");
    CU_ASSERT_TRUE(now_ms() - start < 10000);
    tear_down(&f);
}

/* --- bodies that are read as they are sent --- */

struct body {
    uint64_t size, next; /* the offset that is asked for next */
    uint64_t fail_at, end_at; /* 0: nowhere */
    unsigned starts;
    uint32_t sum; /* of what was given since the last start */
};

static enum kb_status read_body(void *ctx, uint64_t offset, uint8_t *out, size_t room, size_t *got,
                                struct kb_error *err)
{
    struct body *body = ctx;

    if (offset == 0) {
        body->starts++;
        body->next = body->sum = 0;
    }
    CU_ASSERT(offset == body->next && room > 0 && room <= body->size - offset);
    if (body->fail_at && offset >= body->fail_at)
        return kb_error_set(err, KB_ERR_SYSTEM, "the disk is broken");
    *got = room > 1009 ? 1009 : room;
    if (body->end_at && offset >= body->end_at)
        *got = 0;
    for (size_t i = 0; i < *got; i++)
        out[i] = (uint8_t)((offset + i) * 2654435761u >> 13);
    body->sum = add_up(body->sum, out, *got);
    body->next += *got;
    return KB_OK;
}

static struct kb_http_source set_source(struct fixture *f, struct body *body, uint64_t size)
{
    *body = (struct body){.size = size};
    f->request[0].method = "PUT";
    f->request[0].body = (struct kb_bytes){NULL, 0};
    return (struct kb_http_source){.read = read_body, .ctx = body, .size = size};
}

static void test_source(void)
{
    static const uint64_t sizes[] = {0, 1, 1009, 65536, 65537, 3000000};
    static const struct kb_http_header expect = {"Expect", "100-continue"};
    struct kb_error err = {0};
    struct fixture f;
    struct body body;
    struct kb_http_source source;
    char want[200];

    set_up(&f, &defaults);
    f.request[0].source = &source;
    /* "100 Continue" is asked for, and so waited for, by those alone who want it. */
    for (unsigned asks = 0; asks <= 1; asks++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            source = set_source(&f, &body, sizes[i]);
            f.request[0].headers = asks ? &expect : &header;
            KBT_OK(kb_http_run(f.http, &f.request[0], &err), &err);
            snprintf(want, sizeof want, "PUT /ok %llu %s -", (unsigned long long)sizes[i],
                     asks ? "- expect" : "S3CRET-TOKEN -");
            KBT_TEXT(kb_buffer_view(&f.request[0].response), want);
            snprintf(want, sizeof want, "%08x", body.sum);
            KBT_TEXT(kb_http_header(&f.request[0], "x-sum"), want);
            CU_ASSERT_EQUAL(body.next, sizes[i]);
        }
    CU_ASSERT_EQUAL(httpd_connections(f.server), 1);
    /* In place of a body of before, and before one. */
    f.request[0].source = NULL;
    f.request[0].headers = &header;
    f.request[0].body = kb_bytes_text("hello");
    KBT_OK(kb_http_run(f.http, &f.request[0], &err), &err);
    KBT_TEXT(kb_buffer_view(&f.request[0].response), "PUT /ok 5 S3CRET-TOKEN - -");
    tear_down(&f);
}

/* What is sent ends with the error of who reads it, and never whole. */
static void test_source_fails(void)
{
    static const uint64_t places[] = {1, 70000, 2990000};
    struct fixture f;
    struct body body;

    set_up(&f, &defaults);
    for (size_t i = 0; i < 6; i++) {
        struct kb_http_source source = set_source(&f, &body, 3000000);
        struct kb_error err = {0};
        bool fails = i % 2;

        f.request[0].source = &source;
        *(fails ? &body.fail_at : &body.end_at) = places[i / 2];
        CU_ASSERT_EQUAL(kb_http_run(f.http, &f.request[0], &err),
                        fails ? KB_ERR_SYSTEM : KB_ERR_INPUT);
        CU_ASSERT_EQUAL(f.request[0].failure, KB_HTTP_STOPPED);
        CU_ASSERT_STRING_EQUAL(err.text, fails ? "the disk is broken"
                                               : "what is sent ended before its last byte");
        CU_ASSERT_EQUAL(body.starts, 1);
    }
    CU_ASSERT_EQUAL(httpd_requests(f.server), 0);
    tear_down(&f);
}

/* The connection ends in the midst; an error comes before the end; and again. */
static void test_source_refused(void)
{
    enum { SIZE = 48 * 1024 * 1024 };
    struct kb_error err = {0};
    struct fixture f;
    struct body body;
    struct kb_http_source source;
    char sum[16];

    set_up(&f, &defaults);
    source = set_source(&f, &body, SIZE);
    f.request[0].source = &source;
    httpd_refuse_bodies(f.server, 1000000, 0, 1);
    check_failure(&f, KB_HTTP_DROPPED, "closed the connection");
    CU_ASSERT(body.next < SIZE);
    httpd_refuse_bodies(f.server, 1000000, 403, 1);
    KBT_OK(kb_http_run(f.http, &f.request[0], &err), &err);
    CU_ASSERT_EQUAL(f.request[0].status, 403);
    KBT_TEXT(kb_buffer_view(&f.request[0].response), "early");
    CU_ASSERT(body.next < SIZE);
    KBT_OK(kb_http_run(f.http, &f.request[0], &err), &err);
    CU_ASSERT_EQUAL(f.request[0].status, 200);
    CU_ASSERT_EQUAL(body.starts, 3);
    snprintf(sum, sizeof sum, "%08x", body.sum);
    KBT_TEXT(kb_http_header(&f.request[0], "x-sum"), sum);
    tear_down(&f);
}

/* A connection that the server closed while it was idle: found out before it is
 * used, or, when the request went into it, told and not repeated by itself. */
static void test_stale(void)
{
    struct kb_error err = {0};
    struct fixture f;

    set_up(&f, &defaults);
    prepare(&f, 0, "stale");
    KBT_OK(kb_http_run(f.http, &f.request[0], &err), &err);
    for (int i = 0; i < 6000 && httpd_closed(f.server) == 0; i++)
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    prepare(&f, 0, "ok");
    KBT_OK(kb_http_run(f.http, &f.request[0], &err), &err);
    CU_ASSERT_EQUAL(httpd_connections(f.server), 2);

    prepare(&f, 0, "close");
    KBT_OK(kb_http_run(f.http, &f.request[0], &err), &err);
    prepare(&f, 0, "stale-late");
    KBT_OK(kb_http_run(f.http, &f.request[0], &err), &err);
    CU_ASSERT_EQUAL(httpd_requests(f.server), 4);
    check_failure(&f, KB_HTTP_DROPPED, "closed the connection");
    CU_ASSERT_EQUAL(httpd_requests(f.server), 5);
    tear_down(&f);
}

/* Four are answered at once, over four connections that stay. */
static void test_parallel(void)
{
    struct kb_http_request *done;
    struct kb_error err = {0};
    struct fixture f;

    set_up(&f, &defaults);
    for (int round = 0; round < 2; round++) {
        int64_t start = now_ms();

        for (size_t i = 0; i < 4; i++) {
            prepare(&f, i, "held");
            KBT_OK(kb_http_start(f.http, &f.request[i], &err), &err);
        }
        while (httpd_at_once(f.server) < 4 && now_ms() - start < HELD_MS / 2) {
            KBT_OK(kb_http_wait(f.http, &done, 10, &err), &err);
            CU_ASSERT_PTR_NULL_FATAL(done);
        }
        CU_ASSERT_EQUAL(httpd_at_once(f.server), 4);
        httpd_release(f.server);
        for (size_t i = 0; i < 4; i++) {
            KBT_OK(kb_http_wait(f.http, &done, -1, &err), &err);
            CU_ASSERT_PTR_NOT_NULL_FATAL(done);
            CU_ASSERT_EQUAL(done->status, 200);
        }
    }
    KBT_OK(kb_http_wait(f.http, &done, -1, &err), &err);
    CU_ASSERT_PTR_NULL(done);
    CU_ASSERT_EQUAL(httpd_most_at_once(f.server), 4);
    CU_ASSERT_EQUAL(httpd_connections(f.server), 4);
    tear_down(&f);
}

/* A wait that is bounded, with and without something under way; cancelling. */
static void test_waiting(void)
{
    struct kb_http_request *done;
    struct kb_error err = {0};
    struct fixture f;
    int64_t start = now_ms();

    set_up(&f, &defaults);
    KBT_OK(kb_http_wait(f.http, &done, 100, &err), &err);
    CU_ASSERT_PTR_NULL(done);
    CU_ASSERT_TRUE(now_ms() - start >= 100);
    prepare(&f, 0, "slow");
    KBT_OK(kb_http_start(f.http, &f.request[0], &err), &err);
    KBT_OK(kb_http_wait(f.http, &done, 100, &err), &err);
    CU_ASSERT_PTR_NULL(done);
    kb_http_cancel(f.http, &f.request[0]);
    kb_http_cancel(f.http, &f.request[0]);
    KBT_OK(kb_http_run(f.http, &f.request[1], &err), &err);
    KBT_OK(kb_http_start(f.http, &f.request[0], &err), &err);
    tear_down(&f); /* while one is under way */
    CU_ASSERT_TRUE(now_ms() - start < 4000);
}

/* What must never be sent. */
static void test_refused(void)
{
    static const char *const urls[] = {"file:///etc/passwd", "ftp://127.0.0.1/", "", "http://",
                                       "http://user:S3CRET-TOKEN@127.0.0.1/"};
    static const struct kb_http_header bad[] = {
        {"X-Sent", "S3CRET-TOKEN\r\nX-More: 1"}, {"X-Sent", "a\nb"}, {"X Sent", "a"},
        {"X-Sent:", "a"},                        {"", "a"},
    };
    static struct kb_http_header many[KB_HTTP_HEADERS_MAX + 1];
    struct fixture f;

    set_up(&f, &defaults);
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        struct kb_error err = {0};

        f.request[0].url = urls[i];
        CU_ASSERT_EQUAL(kb_http_run(f.http, &f.request[0], &err), KB_ERR_USAGE);
        CU_ASSERT_PTR_NULL(strstr(err.text, secret));
    }
    prepare(&f, 0, "ok");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct kb_error err = {0};

        f.request[0].headers = &bad[i];
        CU_ASSERT_EQUAL(kb_http_run(f.http, &f.request[0], &err), KB_ERR_USAGE);
        CU_ASSERT_PTR_NULL(strstr(err.text, secret));
    }
    for (size_t i = 0; i < KB_HTTP_HEADERS_MAX + 1; i++)
        many[i] = (struct kb_http_header){"X-Many", i % 2 ? "1" : ""};
    f.request[0].headers = many;
    f.request[0].header_count = KB_HTTP_HEADERS_MAX + 1;
    CU_ASSERT_EQUAL(kb_http_run(f.http, &f.request[0], NULL), KB_ERR_USAGE);
    CU_ASSERT_EQUAL(httpd_requests(f.server), 0);
    f.request[0].header_count = KB_HTTP_HEADERS_MAX;
    CU_ASSERT_EQUAL(kb_http_run(f.http, &f.request[0], NULL), KB_OK);
    tear_down(&f);
}

/* A proxy of the environment is asked for other hosts, never for this machine. */
static void test_proxy(void)
{
    struct kb_error err = {0};
    struct fixture f;

    set_up(&f, &defaults);
    setenv("http_proxy", httpd_url(f.server), 1);
    f.request[0].url = "http://no-such-host.invalid/ok";
    KBT_OK(kb_http_run(f.http, &f.request[0], &err), &err);
    KBT_TEXT(kb_buffer_view(&f.request[0].response),
             "POST http://no-such-host.invalid/ok 5 S3CRET-TOKEN - -");
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    prepare(&f, 0, "ok");
    KBT_OK(kb_http_run(f.http, &f.request[0], &err), &err);
    unsetenv("http_proxy");
    tear_down(&f);
}

static void test_retry(void)
{
    struct kb_retry retry = {.max = 4, .base_ms = 10, .cap_ms = 15};
    struct kb_retry plain = {0};
    int longest = 0, tries = 0;

    for (int round = 0; round < 200; round++) {
        int first = kb_retry_next(&retry), second = kb_retry_next(&retry);

        CU_ASSERT_TRUE(first >= 0 && first <= 10);
        CU_ASSERT_TRUE(second >= 0 && second <= 15);
        longest = second > longest ? second : longest;
        kb_retry_progress(&retry);
    }
    CU_ASSERT_TRUE(longest > 10);
    CU_ASSERT_TRUE(kb_retry_next(&retry) >= 0);
    CU_ASSERT_TRUE(kb_retry_next(&retry) >= 0);
    CU_ASSERT_TRUE(kb_retry_next(&retry) >= 0);
    CU_ASSERT_EQUAL(kb_retry_next(&retry), -1);
    CU_ASSERT_EQUAL(kb_retry_next(&retry), -1);
    while (kb_retry_next(&plain) >= 0)
        tries++;
    CU_ASSERT_EQUAL(tries, 9);
}

int main(int argc, char **argv)
{
    static const struct kbtest tests[] = {
        {"answer", test_answer},     {"statuses", test_statuses},
        {"wiped", test_wiped},       {"unreachable", test_unreachable},
        {"broken", test_broken},     {"too long", test_too_long},
        {"stale", test_stale},       {"parallel", test_parallel},
        {"waiting", test_waiting},   {"refused", test_refused},
        {"proxy", test_proxy},       {"retry", test_retry},
        {"write", test_write},       {"stall", test_stall},
        {"source", test_source},     {"source fails", test_source_fails},
        {"source refused", test_source_refused},
        {NULL, NULL},
    };

    return kbtest_main("http", tests, argc, argv);
}
