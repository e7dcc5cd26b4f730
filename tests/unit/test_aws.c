/* SPDX-License-Identifier: Apache-2.0
 *
 * The call path: what is sent, what is sent again, and what errors mean.
 */
#include "httpd.h"
#include "kbtest.h"

#include "aws/answer.h"
#include "aws/aws.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

static const char key_id[] = "AKIDTESTTESTTESTTEST";
static const char secret_key[] = "wJalrSECRETKEYKEYKEYEXAMPLE";
static const char token[] = "SESSIONTOKENSESSIONTOKEN==";

/* What the server does, one row a request; the last row goes on. */
struct reply {
    unsigned status;
    const char *body;
    const char *name, *value; /* a header */
    enum httpd_action action;
    unsigned delay_ms;
};

struct script {
    const struct reply *replies;
    size_t count;
    int64_t server_skew;     /* of the Date header, seconds */
    bool needs_right_clock;  /* refuses requests that are not of the server's time */
    const char *needs_key;   /* refuses other access key ids as expired */
    /* Notes. */
    char last_date[32];
    char last_target[64], last_type[64], last_path[64], last_host[64];
    bool token_seen, authorization_good, echo;
    size_t bodies;
};

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void note(char *out, size_t room, const char *value)
{
    snprintf(out, room, "%s", value ? value : "");
}

static bool time_is_right(const struct script *script, const char *date)
{
    struct tm tm = {0};
    time_t server = time(NULL) + script->server_skew;

    if (!date || !strptime(date, "%Y%m%dT%H%M%SZ", &tm))
        return false;
    return llabs((long long)(timegm(&tm) - server)) < 300;
}

static void play(void *ctx, const struct httpd_request *request, struct httpd_answer *answer)
{
    struct script *script = ctx;
    size_t turn = request->number - 1;
    const struct reply *reply =
        &script->replies[turn < script->count ? turn : script->count - 1];
    const char *authorization = httpd_get(request, "authorization");
    time_t server = time(NULL) + script->server_skew;
    char date[64];
    struct tm tm;

    note(script->last_date, sizeof script->last_date, httpd_get(request, "x-amz-date"));
    note(script->last_target, sizeof script->last_target, httpd_get(request, "x-amz-target"));
    note(script->last_type, sizeof script->last_type, httpd_get(request, "content-type"));
    note(script->last_host, sizeof script->last_host, httpd_get(request, "host"));
    note(script->last_path, sizeof script->last_path, request->path);
    script->token_seen = httpd_get(request, "x-amz-security-token") &&
                         strcmp(httpd_get(request, "x-amz-security-token"), token) == 0;
    script->authorization_good =
        authorization && strncmp(authorization, "AWS4-HMAC-SHA256 Credential=", 28) == 0 &&
        strstr(authorization, "/eu-central-1/dynamodb/aws4_request");
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&server, &tm));
    httpd_header(answer, "Date", date);
    if (script->needs_right_clock && !time_is_right(script, script->last_date)) {
        answer->status = 400;
        httpd_text(answer, "{\"__type\":\"com.amazon.coral.service#InvalidSignatureException\","
                           "\"message\":\"Signature expired: %s is now earlier than\"}", token);
        return;
    }
    if (script->needs_key && !(authorization && strstr(authorization, script->needs_key))) {
        answer->status = 400;
        httpd_text(answer, "{\"__type\":\"com.amazon.coral.service#ExpiredTokenException\"}");
        return;
    }
    answer->status = reply->status ? reply->status : 200;
    answer->action = reply->action;
    answer->delay_ms = reply->delay_ms;
    if (reply->name)
        httpd_header(answer, reply->name, reply->value);
    if (script->echo)
        kb_buffer_put_bytes(&answer->body, request->body);
    else
        kb_buffer_put_text(&answer->body, reply->body ? reply->body : "{}");
}

struct fixture {
    struct httpd *server;
    struct kb_aws *aws;
    struct script script;
    struct kb_aws_call calls[16];
};

static void set_environment(void)
{
    char path[300];

    snprintf(path, sizeof path, "%s/none", kbtest_folder());
    setenv("AWS_CONFIG_FILE", path, 1);
    setenv("AWS_SHARED_CREDENTIALS_FILE", path, 1);
    setenv("AWS_ACCESS_KEY_ID", key_id, 1);
    setenv("AWS_SECRET_ACCESS_KEY", secret_key, 1);
    setenv("AWS_SESSION_TOKEN", token, 1);
    setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
}

static struct kb_aws *open_at(const char *endpoint, unsigned tries)
{
    struct kb_aws_options options = {
        .region = "eu-central-1", .endpoint_url = endpoint, .max_tries = tries};
    struct kb_error err = {0};
    struct kb_aws *aws = NULL;

    KBT_OK(kb_aws_open(&aws, &kb_aws_dynamodb, &options, &err), &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(aws);
    return aws;
}

static void set_up(struct fixture *f, const struct reply *replies, size_t count)
{
    set_environment();
    memset(f, 0, sizeof *f);
    f->script.replies = replies;
    f->script.count = count;
    f->server = httpd_start(play, &f->script);
    f->aws = open_at(httpd_url(f->server), 4);
    for (size_t i = 0; i < 16; i++) {
        f->calls[i].operation = "PutItem";
        f->calls[i].resource = "arn:aws:dynamodb:eu-central-1:*:table/Orders";
        f->calls[i].body = kb_bytes_text("{\"TableName\":\"Orders\"}");
    }
}

static void tear_down(struct fixture *f)
{
    kb_aws_close(f->aws);
    httpd_stop(f->server);
    for (size_t i = 0; i < 16; i++)
        kb_aws_call_free(&f->calls[i]);
}

static void check_no_secrets(const struct kb_error *err)
{
    const char *const words[] = {key_id, secret_key, token, "Signature="};

    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        CU_ASSERT_PTR_NULL(strstr(err->text, words[i]));
        CU_ASSERT_PTR_NULL(strstr(err->hint, words[i]));
    }
}

/* One call against the script: its status, part of its text, and how many
 * requests it took. */
static void expect(const struct reply *replies, size_t count, enum kb_status status,
                   const char *text, unsigned requests)
{
    struct kb_error err = {0};
    struct fixture f;

    set_up(&f, replies, count);
    CU_ASSERT_EQUAL(kb_aws_call_one(f.aws, &f.calls[0], &err), status);
    CU_ASSERT_EQUAL(f.calls[0].status, status);
    CU_ASSERT_EQUAL(err.status, status);
    CU_ASSERT_EQUAL(httpd_requests(f.server), requests);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, text));
    if (err.status != status || !strstr(err.text, text) || httpd_requests(f.server) != requests)
        fprintf(stderr, "  %s, %u requests: %s (%s)\n", kb_status_name(err.status),
                httpd_requests(f.server), err.text, err.hint);
    CU_ASSERT_STRING_EQUAL(err.text, f.calls[0].error.text);
    check_no_secrets(&err);
    tear_down(&f);
}

#define EXPECT(replies, status, text, requests)                                                    \
    expect(replies, sizeof(replies) / sizeof *(replies), status, text, requests)

static void test_call(void)
{
    static const struct reply replies[] = {{.body = " {\"a\":1}\n"}};
    struct kb_aws_stats stats;
    struct kb_error err = {0};
    struct fixture f;
    char path[200];

    set_up(&f, replies, 1);
    for (int i = 0; i < 3; i++)
        KBT_OK(kb_aws_call_one(f.aws, &f.calls[0], &err), &err);
    KBT_TEXT(kb_buffer_view(&f.calls[0].response), " {\"a\":1}\n");
    CU_ASSERT_STRING_EQUAL(f.calls[0].code, "");
    CU_ASSERT_EQUAL(httpd_connections(f.server), 1);
    CU_ASSERT_STRING_EQUAL(f.script.last_target, "DynamoDB_20120810.PutItem");
    CU_ASSERT_STRING_EQUAL(f.script.last_type, "application/x-amz-json-1.0");
    CU_ASSERT_STRING_EQUAL(f.script.last_path, "/");
    CU_ASSERT_STRING_EQUAL(f.script.last_host, httpd_url(f.server) + strlen("http://"));
    CU_ASSERT_TRUE(f.script.token_seen && f.script.authorization_good);
    kb_aws_stats(f.aws, &stats);
    CU_ASSERT_EQUAL(stats.requests, 3);
    CU_ASSERT_EQUAL(stats.retries, 0);
    CU_ASSERT_STRING_EQUAL(kb_aws_region(f.aws), "eu-central-1");
    CU_ASSERT_STRING_EQUAL(kb_aws_endpoint(f.aws), httpd_url(f.server));
    kb_aws_close(f.aws);

    snprintf(path, sizeof path, "%s/some/where", httpd_url(f.server));
    f.aws = open_at(path, 2);
    unsetenv("AWS_SESSION_TOKEN");
    KBT_OK(kb_aws_call_one(f.aws, &f.calls[0], &err), &err);
    CU_ASSERT_STRING_EQUAL(f.script.last_path, "/some/where");
    tear_down(&f);
}

/* Each goes wrong once and then well. */
static void test_repeated(void)
{
    static const struct reply replies[][2] = {
        {{.action = HTTPD_DROP}, {0}},
        {{.action = HTTPD_HALF, .body = "{\"long\":\"enough\"}"}, {0}},
        {{.status = 500, .body = "{\"__type\":\"InternalServerError\"}"}, {0}},
        {{.status = 503, .body = "<html>"}, {0}},
        {{.status = 400, .body = "{\"__type\":\"a#ThrottlingException\"}"}, {0}},
        {{.status = 429, .body = ""}, {0}},
        {{.status = 400, .body = "{}", .name = "X-Amzn-ErrorType",
          .value = "ProvisionedThroughputExceededException:http://x/"}, {0}},
        {{.status = 200, .body = "<html>a proxy</html>"}, {0}},
        {{.status = 200, .body = "{}", .name = "X-Amz-Crc32", .value = "1"}, {0}},
        {{.status = 400, .body = "{\"__type\":\"KMSInternalException\"}"}, {0}},
    };

    for (size_t i = 0; i < sizeof replies / sizeof *replies; i++) {
        struct kb_aws_stats stats;
        struct kb_error err = {0};
        struct fixture f;

        set_up(&f, replies[i], 2);
        KBT_OK(kb_aws_call_one(f.aws, &f.calls[0], &err), &err);
        CU_ASSERT_EQUAL(httpd_requests(f.server), 2);
        CU_ASSERT_EQUAL(f.calls[0].error.status, KB_OK);
        CU_ASSERT_EQUAL(f.calls[0].repeated, i < 4 || i > 6);
        kb_aws_stats(f.aws, &stats);
        CU_ASSERT_EQUAL(stats.retries, 1);
        CU_ASSERT_EQUAL(stats.throttled, i >= 4 && i <= 6);
        tear_down(&f);
    }
}

/* What a server may fill our memory with. */
static void test_long_answers(void)
{
    static const size_t sizes[] = {KB_AWS_RESPONSE_MAX, KB_AWS_RESPONSE_MAX + 1, 3000000};
    struct kb_error err = {0};
    char *body = malloc(sizes[2] + 1);
    struct fixture f;

    for (size_t i = 0; i < 3; i++) {
        struct reply reply = {.body = body};

        memset(body, ' ', sizes[i]);
        memcpy(body, "{}", 2);
        body[sizes[i]] = 0;
        set_up(&f, &reply, 1);
        CU_ASSERT_EQUAL(kb_aws_call_one(f.aws, &f.calls[0], NULL), i ? KB_ERR_REMOTE : KB_OK);
        CU_ASSERT_EQUAL(httpd_requests(f.server), 1);
        f.calls[0].response_max = 4000000;
        KBT_OK(kb_aws_call_one(f.aws, &f.calls[0], &err), &err);
        tear_down(&f);
    }
    for (size_t i = 0; i < 2; i++) {
        struct reply reply = {.status = 400, .body = body};
        static const char error[] = "{\"__type\":\"ValidationException\"}";

        memset(body, ' ', 64 * 1024 + i);
        memcpy(body, error, sizeof error - 1);
        body[64 * 1024 + i] = 0;
        expect(&reply, 1, i ? KB_ERR_REMOTE : KB_ERR_USAGE,
               i ? "not JSON" : "ValidationException", i ? 2 : 1);
    }
    free(body);
}

static void test_crc(void)
{
    static const struct reply good[] = {
        {.body = "{\"x\":1}", .name = "x-amz-crc32", .value = "1005279580"}};
    static const struct reply odd[] = {{.name = "x-amz-crc32", .value = "-1"}};

    CU_ASSERT_EQUAL(kb_crc32(kb_bytes_text("123456789")), 0xcbf43926);
    CU_ASSERT_EQUAL(kb_crc32(kb_bytes_text("")), 0);
    CU_ASSERT_EQUAL(kb_crc32(kb_bytes_text("{\"x\":1}")), 1005279580);
    EXPECT(good, KB_OK, "", 1);
    EXPECT(odd, KB_OK, "", 1);
}

/* After all tries. */
static void test_given_up(void)
{
    static const struct reply drop[] = {{.action = HTTPD_DROP}};
    static const struct reply garbage[] = {{.action = HTTPD_GARBAGE}};
    static const struct reply trouble[] = {{.status = 502, .body = "<html>"}};
    static const struct reply slow[] = {
        {.status = 400, .body = "{\"__type\":\"ThrottlingException\",\"Message\":\"Rate\"}"}};
    static const struct reply crc[] = {{.name = "x-amz-crc32", .value = "7"}};
    static const struct reply page[] = {{.body = "<html>"}};
    static const struct reply page400[] = {{.status = 403, .body = "<html>"}};
    static const struct reply array[] = {{.body = "[]"}};
    static const struct reply moved[] = {{.status = 301, .body = ""}};

    EXPECT(drop, KB_ERR_REMOTE, "closed the connection", 4);
    EXPECT(garbage, KB_ERR_REMOTE, "not HTTP", 1);
    EXPECT(trouble, KB_ERR_REMOTE, "HTTP status 502", 4);
    EXPECT(slow, KB_ERR_REMOTE, "dynamodb:PutItem: Rate (ThrottlingException)", 4);
    EXPECT(crc, KB_ERR_REMOTE, "CRC-32", 4);
    EXPECT(page, KB_ERR_REMOTE, "not JSON (a proxy?)", 2);
    EXPECT(page400, KB_ERR_REMOTE, "not JSON (a proxy?)", 2);
    EXPECT(array, KB_ERR_REMOTE, "not JSON (a proxy?)", 2);
    EXPECT(moved, KB_ERR_REMOTE, "sends elsewhere", 1);
}

/* What may have been done is not asked for twice. */
static void test_only_unsent(void)
{
    static const struct reply lost[][2] = {
        {{.action = HTTPD_DROP}, {0}},
        {{.action = HTTPD_HALF, .body = "{\"long\":\"enough\"}"}, {0}},
        {{.status = 500, .body = "{}"}, {0}},
        {{.body = "<html>"}, {0}},
        {{.name = "x-amz-crc32", .value = "7"}, {0}},
    };
    static const struct reply throttled[] = {
        {.status = 400, .body = "{\"__type\":\"ThrottlingException\"}"}, {0}};
    struct fixture f;

    for (size_t i = 0; i < sizeof lost / sizeof *lost; i++) {
        set_up(&f, lost[i], 2);
        f.calls[0].repeatable_only_unsent = true;
        CU_ASSERT_EQUAL(kb_aws_call_one(f.aws, &f.calls[0], NULL), KB_ERR_REMOTE);
        CU_ASSERT_EQUAL(httpd_requests(f.server), 1);
        tear_down(&f);
    }
    set_up(&f, throttled, 2);
    f.calls[0].repeatable_only_unsent = true;
    CU_ASSERT_EQUAL(kb_aws_call_one(f.aws, &f.calls[0], NULL), KB_OK);
    tear_down(&f);
}

static void test_meanings(void)
{
    static const struct {
        unsigned http;
        const char *body;
        enum kb_status status;
        const char *text, *hint, *code;
    } rows[] = {
        {400, "{\"__type\":\"com.amazonaws.dynamodb.v20120810#ResourceNotFoundException\","
              "\"message\":\"no such table\"}",
         KB_ERR_NOT_FOUND, "dynamodb:PutItem: no such table (ResourceNotFoundException)", "",
         "ResourceNotFoundException"},
        {400, "{\"__type\":\"NotFoundException\"}", KB_ERR_NOT_FOUND, "NotFoundException", "",
         "NotFoundException"},
        {400, "{\"__type\":\"ResourceInUseException\"}", KB_ERR_EXISTS, "ResourceInUse", "",
         "ResourceInUseException"},
        {400, "{\"__type\":\"com.amazon.coral.validate#ValidationException\",\"Message\":\"bad\"}",
         KB_ERR_USAGE, "bad (ValidationException)", "", "ValidationException"},
        {400, "{\"__type\":\"SerializationException\"}", KB_ERR_USAGE, "SerializationException", "",
         "SerializationException"},
        {413, "<html>", KB_ERR_USAGE, "too large", "", ""},
        {400, "{}", KB_ERR_USAGE, "an error without a name", "", ""},
        {400, "{\"__type\":\"InvalidCiphertextException\"}", KB_ERR_AUTH, "ciphertext", "",
         "InvalidCiphertextException"},
        {400, "{\"__type\":\"IncorrectKeyException\"}", KB_ERR_AUTH, "ciphertext", "",
         "IncorrectKeyException"},
        {400, "{\"__type\":\"DisabledException\"}", KB_ERR_DENIED, "cannot be used", "disabled",
         "DisabledException"},
        {400, "{\"__type\":\"x#UnrecognizedClientException\"}", KB_ERR_DENIED,
         "the credentials from environment", "secret key", "UnrecognizedClientException"},
        {403, "{\"__type\":\"x#InvalidSignatureException\",\"message\":\"The Canonical String "
              "x-amz-security-token:SESSIONTOKENSESSIONTOKEN==\"}",
         KB_ERR_DENIED, "does not accept the credentials", "", "InvalidSignatureException"},
        {400, "{\"__type\":\"x#InvalidSignatureException\",\"message\":\"Credential should be "
              "scoped to a valid region, not 'x'\"}",
         KB_ERR_DENIED, "region eu-central-1", "AWS_REGION", "InvalidSignatureException"},
        {400, "{\"__type\":\"x#AccessDeniedException\",\"Message\":\"User: arn:aws:iam::1:u\"}",
         KB_ERR_DENIED,
         "dynamodb:PutItem is not allowed for these credentials on "
         "arn:aws:dynamodb:eu-central-1:*:table/Orders",
         "{\"Effect\":\"Allow\",\"Action\":\"dynamodb:PutItem\",\"Resource\":\"arn:aws:dynamodb:"
         "eu-central-1:*:table/Orders\"}",
         "AccessDeniedException"},
        {400, "{\"__type\":\"IncompleteSignature\"}", KB_ERR_DENIED, "does not accept", "",
         "IncompleteSignature"},
        {400, "{\"__type\":\"RequestTimeTooSkewed\"}", KB_ERR_DENIED, "does not accept", "",
         "RequestTimeTooSkewed"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct reply reply = {.status = rows[i].http, .body = rows[i].body};
        struct kb_error err = {0};
        struct fixture f;

        set_up(&f, &reply, 1);
        CU_ASSERT_EQUAL(kb_aws_call_one(f.aws, &f.calls[0], &err), rows[i].status);
        CU_ASSERT_EQUAL(httpd_requests(f.server), 1);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.text, rows[i].text));
        CU_ASSERT_PTR_NOT_NULL(strstr(err.hint, rows[i].hint));
        CU_ASSERT_STRING_EQUAL(f.calls[0].code, rows[i].code);
        CU_ASSERT_EQUAL(err.detail_kind, KB_DETAIL_HTTP);
        CU_ASSERT_EQUAL(err.detail, rows[i].http);
        if (!strstr(err.text, rows[i].text) || !strstr(err.hint, rows[i].hint))
            fprintf(stderr, "  row %zu: %s (%s)\n", i, err.text, err.hint);
        check_no_secrets(&err);
        tear_down(&f);
    }
}

/* A hint holds a whole statement or none. */
static void test_long_resource(void)
{
    static char resource[600];
    const struct kb_aws_answer answer = {
        .service = "dynamodb", .operation = "GetItem", .resource = resource, .region = "r",
        .endpoint = "http://h", .source = "environment", .status = 400,
        .body = kb_bytes_text("{\"__type\":\"AccessDenied\"}"),
    };
    struct kb_error err;
    char code[KB_ANSWER_CODE_SIZE];

    memset(resource, 'r', sizeof resource - 1);
    CU_ASSERT_EQUAL(kb_aws_answer_judge(&answer, code, &err), KB_VERDICT_FAILED);
    CU_ASSERT_STRING_EQUAL(err.hint, "their policy needs to allow dynamodb:GetItem on it");
}

static void test_clock(void)
{
    static const struct reply fine[] = {{0}};
    static const struct reply never[] = {
        {.status = 400, .body = "{\"__type\":\"RequestTimeTooSkewed\"}"}};
    struct kb_error err = {0};
    struct fixture f;

    for (int64_t skew = -7200; skew <= 7200; skew += 14400) {
        set_up(&f, fine, 1);
        f.script.server_skew = skew;
        f.script.needs_right_clock = true;
        KBT_OK(kb_aws_call_one(f.aws, &f.calls[0], &err), &err);
        CU_ASSERT_EQUAL(httpd_requests(f.server), 2);
        /* It is kept. */
        KBT_OK(kb_aws_run(f.aws, f.calls, 4, &err), &err);
        CU_ASSERT_EQUAL(httpd_requests(f.server), 6);
        tear_down(&f);
    }
    set_up(&f, never, 1);
    f.script.server_skew = 3600;
    CU_ASSERT_EQUAL(kb_aws_call_one(f.aws, &f.calls[0], &err), KB_ERR_DENIED);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "this machine's clock is off by 3"));
    CU_ASSERT_EQUAL(httpd_requests(f.server), 2);
    tear_down(&f);
}

static struct kb_aws *open_with_process(const char *script, const char *endpoint)
{
    struct kb_aws *aws;
    char path[300];
    FILE *file;

    set_environment();
    unsetenv("AWS_ACCESS_KEY_ID");
    unsetenv("AWS_SECRET_ACCESS_KEY");
    unsetenv("AWS_SESSION_TOKEN");
    snprintf(path, sizeof path, "%s/config", kbtest_folder());
    file = fopen(path, "w");
    fprintf(file, "[default]\ncredential_process = %s\n", script);
    fclose(file);
    setenv("AWS_CONFIG_FILE", path, 1);
    aws = open_at(endpoint, 3);
    return aws;
}

/* Credentials that the service calls expired are fetched anew, once. */
static void test_expired(void)
{
    static const struct reply fine[] = {{0}};
    struct kb_error err = {0};
    struct fixture f;
    char path[300];
    FILE *file;

    snprintf(path, sizeof path, "%s/process", kbtest_folder());
    file = fopen(path, "w");
    /* Each run gives another key. */
    fprintf(file,
            "#!/bin/sh\nn=$(cat %s.n 2>/dev/null || echo 0); n=$((n + 1)); echo $n >%s.n\n"
            "printf '{\"Version\":1,\"AccessKeyId\":\"AKIDNUMBER%%s\",\"SecretAccessKey\":\"x\","
            "\"SessionToken\":\"y\",\"Expiration\":\"2099-01-01T00:00:00Z\"}' $n\n",
            path, path);
    fclose(file);
    chmod(path, 0700);
    set_up(&f, fine, 1);
    kb_aws_close(f.aws);
    f.script.needs_key = "AKIDNUMBER2";
    f.aws = open_with_process(path, httpd_url(f.server));
    KBT_OK(kb_aws_run(f.aws, f.calls, 1, &err), &err);
    CU_ASSERT_EQUAL(f.calls[0].status, KB_OK);
    CU_ASSERT_EQUAL(httpd_requests(f.server), 2);
    tear_down(&f);

    set_up(&f, fine, 1);
    f.script.needs_key = "none is good";
    CU_ASSERT_EQUAL(kb_aws_call_one(f.aws, &f.calls[0], &err), KB_ERR_DENIED);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "expired"));
    CU_ASSERT_TRUE(httpd_requests(f.server) <= 2);
    check_no_secrets(&err);
    tear_down(&f);
}

/* Several at once; one that fails by itself leaves the others alone. */
static void test_batch(void)
{
    static const struct reply slow[] = {{.delay_ms = 1000}};
    static const struct reply third[] = {
        {0}, {0}, {.status = 400, .body = "{\"__type\":\"ValidationException\"}"}, {0}};
    struct kb_error err = {0};
    struct fixture f;
    size_t bad = 0;
    int64_t start;

    set_up(&f, slow, 1);
    start = now_ms();
    KBT_OK(kb_aws_run(f.aws, f.calls, 8, &err), &err);
    CU_ASSERT_TRUE(now_ms() - start < 7000); /* one by one: 8000 */
    CU_ASSERT_EQUAL(httpd_most_at_once(f.server), 4);
    CU_ASSERT_EQUAL(httpd_connections(f.server), 4);
    CU_ASSERT_EQUAL(kb_aws_run(f.aws, f.calls, 0, &err), KB_OK);
    tear_down(&f);

    set_up(&f, third, 4);
    KBT_OK(kb_aws_run(f.aws, f.calls, 16, &err), &err);
    for (size_t i = 0; i < 16; i++)
        bad += f.calls[i].status == KB_ERR_USAGE;
    CU_ASSERT_EQUAL(bad, 1);
    tear_down(&f);
}

/* Each answer goes to its own call. */
static void test_echo(void)
{
    static const struct reply fine[] = {{0}};
    struct kb_error err = {0};
    struct fixture f;
    char bodies[16][32];

    set_up(&f, fine, 1);
    f.script.echo = true;
    for (size_t i = 0; i < 16; i++) {
        snprintf(bodies[i], sizeof bodies[i], "{\"n\":%zu}", i);
        f.calls[i].body = kb_bytes_text(bodies[i]);
        f.calls[i].secret = i % 2;
    }
    KBT_OK(kb_aws_run(f.aws, f.calls, 16, &err), &err);
    for (size_t i = 0; i < 16; i++) {
        KBT_TEXT(kb_buffer_view(&f.calls[i].response), bodies[i]);
        CU_ASSERT_EQUAL(f.calls[i].response.wipe, i % 2);
    }
    tear_down(&f);
}

static void test_batch_ended(void)
{
    static const struct reply denied[] = {
        {0}, {0}, {.status = 400, .body = "{\"__type\":\"AccessDeniedException\"}"}};
    struct kb_error err = {0};
    struct fixture f;
    char endpoint[64];
    size_t good = 0, bad = 0;

    set_up(&f, denied, 3);
    CU_ASSERT_EQUAL(kb_aws_run(f.aws, f.calls, 16, &err), KB_ERR_DENIED);
    for (size_t i = 0; i < 16; i++) {
        good += f.calls[i].status == KB_OK;
        bad += f.calls[i].status == KB_ERR_DENIED &&
               strcmp(f.calls[i].error.text, err.text) == 0;
    }
    CU_ASSERT_TRUE(good <= 2);
    CU_ASSERT_EQUAL(good + bad, 16);
    CU_ASSERT_TRUE(httpd_requests(f.server) < 16);
    kb_aws_close(f.aws);

    memset(&err, 0, sizeof err);
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%u", httpd_closed_port());
    f.aws = open_at(endpoint, 3);
    CU_ASSERT_EQUAL(kb_aws_run(f.aws, f.calls, 16, &err), KB_ERR_REMOTE);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "Connection refused"));
    for (size_t i = 0; i < 16; i++)
        CU_ASSERT_EQUAL(f.calls[i].status, KB_ERR_REMOTE);
    kb_aws_close(f.aws);

    memset(&err, 0, sizeof err);
    set_environment();
    unsetenv("AWS_ACCESS_KEY_ID");
    unsetenv("AWS_SECRET_ACCESS_KEY");
    f.aws = open_at(endpoint, 3);
    CU_ASSERT_EQUAL(kb_aws_run(f.aws, f.calls, 16, &err), KB_ERR_DENIED);
    CU_ASSERT_EQUAL(f.calls[15].status, KB_ERR_DENIED);
    tear_down(&f);
}

static void test_halves(void)
{
    enum { HELD_MS = 60000 };
    static const struct reply replies[11] = {[1] = {.delay_ms = HELD_MS}, [10] = {.delay_ms = 100}};
    struct kb_aws_flight *first, *second;
    struct kb_error err = {0};
    struct fixture f;
    int64_t start;

    set_up(&f, replies, 11);
    KBT_OK(kb_aws_begin(&first, f.aws, f.calls, 1, &err), &err);
    KBT_OK(kb_aws_finish(first, &err), &err);
    /* Over the connection that is there, begin alone sends. */
    start = now_ms();
    KBT_OK(kb_aws_begin(&first, f.aws, f.calls, 1, &err), &err);
    CU_ASSERT_TRUE(now_ms() - start < HELD_MS / 2);
    for (int i = 0; i < 3000 && httpd_requests(f.server) < 2; i++)
        kb_aws_pause(10);
    CU_ASSERT_EQUAL(httpd_requests(f.server), 2);
    KBT_OK(kb_aws_begin(&second, f.aws, f.calls + 1, 8, &err), &err);
    KBT_OK(kb_aws_finish(second, &err), &err);
    CU_ASSERT_EQUAL(httpd_at_once(f.server), 1);
    httpd_release(f.server);
    KBT_OK(kb_aws_finish(first, &err), &err);
    CU_ASSERT_EQUAL(f.calls[0].status, KB_OK);
    KBT_OK(kb_aws_begin(&first, f.aws, f.calls, 8, &err), &err);
    kb_aws_abandon(first);
    kb_aws_abandon(NULL);
    KBT_OK(kb_aws_run(f.aws, f.calls, 2, &err), &err);
    tear_down(&f);
}

static void *call_often(void *ctx)
{
    struct kb_aws *aws = ctx;

    for (int i = 0; i < 30; i++) {
        struct kb_aws_call calls[3];

        memset(calls, 0, sizeof calls);
        for (size_t j = 0; j < 3; j++) {
            calls[j].operation = "GetItem";
            calls[j].body = kb_bytes_text("{}");
        }
        if (kb_aws_run(aws, calls, 3, NULL) != KB_OK)
            return ctx;
        for (size_t j = 0; j < 3; j++)
            kb_aws_call_free(&calls[j]);
    }
    return NULL;
}

/* Threads share a service; its clock is off, so they all correct it. */
static void test_threads(void)
{
    static const struct reply fine[] = {{0}};
    struct kb_aws_stats stats;
    struct fixture f;
    pthread_t threads[3];
    void *result;

    set_up(&f, fine, 1);
    f.script.server_skew = 86400;
    f.script.needs_right_clock = true;
    for (size_t i = 0; i < 3; i++)
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, call_often, f.aws), 0);
    for (size_t i = 0; i < 3; i++) {
        pthread_join(threads[i], &result);
        CU_ASSERT_PTR_NULL(result);
    }
    kb_aws_stats(f.aws, &stats);
    CU_ASSERT_EQUAL(stats.requests, httpd_requests(f.server));
    CU_ASSERT_EQUAL(stats.requests - stats.retries, 270);
    CU_ASSERT_TRUE(httpd_connections(f.server) <= 9);
    tear_down(&f);
}

int main(int argc, char **argv)
{
    static const struct kbtest tests[] = {
        {"call", test_call},
        {"repeated", test_repeated},
        {"long answers", test_long_answers},
        {"crc", test_crc},
        {"given up", test_given_up},
        {"only unsent", test_only_unsent},
        {"meanings", test_meanings},
        {"long resource", test_long_resource},
        {"clock", test_clock},
        {"expired", test_expired},
        {"batch", test_batch},
        {"echo", test_echo},
        {"batch ended", test_batch_ended},
        {"halves", test_halves},
        {"threads", test_threads},
        {NULL, NULL},
    };

    return kbtest_main("aws", tests, argc, argv);
}
