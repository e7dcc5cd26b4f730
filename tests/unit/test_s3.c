/* SPDX-License-Identifier: Apache-2.0
 *
 * The S3 client against a server that checks signatures and lies on demand; and
 * against a real one when KB_RGW_URL names it.
 */
#include "httpd.h"
#include "kbtest.h"

#include <keybridge/s3.h>

#include "aws/sigv4.h"
#include "crypto/crypto.h"
#include "crypto/digest.h"
#include "s3/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ACCESS "AKIDTEST"
#define SECRET "test-secret"
#define HELLO_MD5 "5d41402abc4b2a76b9719d911017c592"

struct fake {
    struct httpd *server;
    struct kb_s3 *s3;
    /* What it answers. */
    unsigned status; /* 0: 200 */
    const char *headers[12][2];
    const char *body;
    const char *region; /* it is in; NULL: eu-central-1 */
    unsigned wrong_first; /* so many requests get `status` and `body`, the rest 200 and `later` */
    const char *later;
    bool cut;        /* the body ends early */
    long clock;      /* seconds it is ahead */
    /* What came. */
    char method[16], path[8192], seen[16384];
    char body_seen[4096];
    unsigned unsigned_ones;
    char denial[400];
};

static bool find_secret(void *ctx, struct kb_bytes id, struct kb_bytes *secret)
{
    (void)ctx;
    *secret = kb_bytes_text(SECRET);
    return kb_bytes_equal(id, kb_bytes_text(ACCESS));
}

/* The request's own signature, with the hash of the body that came. */
static bool is_signed(struct fake *fake, const struct httpd_request *request)
{
    struct kb_sigv4_header headers[HTTPD_HEADERS_MAX];
    struct kb_bytes region = kb_bytes_text(fake->region ? fake->region : "eu-central-1");
    struct kb_error err = {0};
    const char *query = strchr(request->path, '?');
    const char *claim = httpd_get(request, "x-amz-content-sha256");
    char hash[65];
    const struct kb_sigv4_verifier verifier = {.find = find_secret, .service = kb_bytes_text("s3"),
                                               .regions = &region, .region_count = 1,
                                               .now = (int64_t)time(NULL) + fake->clock};
    struct kb_sigv4_request signed_one = {
        .method = kb_bytes_text(request->method),
        .path = {(const uint8_t *)request->path,
                 query ? (size_t)(query - request->path) : strlen(request->path)},
        .query = kb_bytes_text(query ? query + 1 : NULL),
        .headers = headers,
        .header_count = request->header_count,
        .payload_hash = {(const uint8_t *)hash, 64},
        .as_is = true,
    };

    for (size_t i = 0; i < request->header_count; i++)
        headers[i] = (struct kb_sigv4_header){kb_bytes_text(request->headers[i].name),
                                              kb_bytes_text(request->headers[i].value)};
    if (kb_crypto_sha256_hex(hash, request->body, &err) != KB_OK || !claim ||
        strcmp(claim, hash) != 0)
        return false;
    if (kb_sigv4_verify(&verifier, &signed_one, &err) == KB_OK)
        return true;
    snprintf(fake->denial, sizeof fake->denial, "%s", err.text);
    return false;
}

static void note(struct fake *fake, const struct httpd_request *request)
{
    size_t at = 0;

    snprintf(fake->method, sizeof fake->method, "%s", request->method);
    snprintf(fake->path, sizeof fake->path, "%s", request->path);
    snprintf(fake->body_seen, sizeof fake->body_seen, "%.*s", (int)request->body.size,
             (const char *)request->body.data);
    for (size_t i = 0; i < request->header_count; i++)
        at += (size_t)snprintf(fake->seen + at, sizeof fake->seen - at, "%s: %s\n",
                               request->headers[i].name, request->headers[i].value);
    fake->seen[at] = 0;
}

static void handle(void *ctx, const struct httpd_request *request, struct httpd_answer *answer)
{
    struct fake *fake = ctx;
    bool later = fake->wrong_first && request->number > fake->wrong_first;
    time_t now = time(NULL) + fake->clock;
    const char *body = later ? fake->later : fake->body;
    char date[64];
    struct tm parts;

    note(fake, request);
    fake->unsigned_ones += !is_signed(fake, request);
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &parts));
    httpd_header(answer, "Date", date);
    if (fake->status && !later)
        answer->status = fake->status;
    for (size_t i = 0; i < 12; i++)
        if (fake->headers[i][0])
            httpd_header(answer, fake->headers[i][0], fake->headers[i][1]);
    if (strcmp(request->method, "HEAD") == 0) {
        answer->length_set = true;
        answer->length = body ? strlen(body) : 0;
    } else if (body) {
        kb_buffer_put_text(&answer->body, body);
    }
    if (fake->cut) {
        answer->length_set = answer->close_silently = true;
        answer->length = answer->body.size + 5;
    }
}

static void start(struct fake *fake)
{
    struct kb_s3_options options = {.aws = {.region = "eu-central-1", .max_tries = 3}};
    struct kb_error err = {0};

    setenv("AWS_ACCESS_KEY_ID", ACCESS, 1);
    setenv("AWS_SECRET_ACCESS_KEY", SECRET, 1);
    fake->server = httpd_start(handle, fake);
    options.aws.endpoint_url = httpd_url(fake->server);
    KBT_OK(kb_s3_open(&fake->s3, &options, &err), &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(fake->s3);
}

static void stop(struct fake *fake)
{
    kb_s3_close(fake->s3);
    httpd_stop(fake->server);
    CU_ASSERT_EQUAL(fake->unsigned_ones, 0);
    if (fake->unsigned_ones)
        fprintf(stderr, "  not signed: %s\n", fake->denial);
}

static const struct kb_s3_name name = {"bucket", "key", NULL};

static enum kb_status sink(void *ctx, struct kb_bytes bytes, struct kb_error *err)
{
    kb_buffer_put_bytes(ctx, bytes);
    return kb_buffer_check(ctx, err);
}

static bool saw(const struct fake *fake, const char *line)
{
    char with_end[4096];
    const char *at;

    snprintf(with_end, sizeof with_end, "%s\n", line);
    at = strstr(fake->seen, with_end);
    if (!at)
        fprintf(stderr, "  no '%s' in\n%s", line, fake->seen);
    return at != NULL;
}

/* --- names -------------------------------------------------------------------------- */

static void test_urls(void)
{
    static const struct {
        const char *url, *bucket, *key;
    } good[] = {
        {"s3://abc", "abc", NULL},
        {"s3://abc/", "abc", ""},
        {"s3://a.b-c9/x/y", "a.b-c9", "x/y"},
        {"s3://abc//", "abc", "/"},
        {"s3://abc/../x", "abc", "../x"},
        {"s3://abc/a//b + %41?#\xc3\xa9\n", "abc", "a//b + %41?#\xc3\xa9\n"},
        {"s3://Old_Bucket/k", "Old_Bucket", "k"},
    };
    static const char *const bad[] = {
        "",           "s3:",        "s3://",      "s3:///key", "http://abc/k", "S3://abc/k",
        "s3://ab/k",  "s3://-abc",  "s3://abc-",  "s3://a..b", "s3://a b/k",   "s3://a@b/k",
        "s3://a:b/k", "s3://abc?k", "s3://abc/\xff", "s3://abc/\xc0\x80",
    };
    char bucket[KB_S3_BUCKET_MAX + 1], url[2000];
    const char *key;

    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        KBT_OK(kb_s3_url_parse(good[i].url, bucket, &key, NULL), NULL);
        CU_ASSERT_STRING_EQUAL(bucket, good[i].bucket);
        CU_ASSERT_EQUAL(key == NULL, good[i].key == NULL);
        if (key && good[i].key)
            CU_ASSERT_STRING_EQUAL(key, good[i].key);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct kb_error err = {0};

        CU_ASSERT_EQUAL(kb_s3_url_parse(bad[i], bucket, &key, &err), KB_ERR_USAGE);
        CU_ASSERT_STRING_NOT_EQUAL(err.text, "");
    }
    for (size_t size = 62; size <= 64; size++) {
        snprintf(url, sizeof url, "s3://%0*d/k", (int)size, 1);
        CU_ASSERT_EQUAL(kb_s3_url_parse(url, bucket, &key, NULL),
                        size <= 63 ? KB_OK : KB_ERR_USAGE);
    }
    for (size_t size = 1023; size <= 1025; size++) {
        snprintf(url, sizeof url, "s3://abc/%0*d", (int)size, 1);
        CU_ASSERT_EQUAL(kb_s3_url_parse(url, bucket, &key, NULL),
                        size <= 1024 ? KB_OK : KB_ERR_USAGE);
    }
}

static void check_place(const struct kb_s3_options *options, const char *region,
                        const char *bucket, const char *want)
{
    const struct s3_request request = {.bucket = bucket, .key = "a/b", .query = "x=1"};
    struct kb_error err = {0};
    struct s3_place place = {KB_BUFFER_INIT(0), KB_BUFFER_INIT(0)};
    struct kb_s3 *s3;

    KBT_OK(kb_s3_open(&s3, options, &err), &err);
    KBT_OK(s3_place_make(&place, s3, region, &request, &err), &err);
    CU_ASSERT_STRING_EQUAL((const char *)place.url.data, want);
    if (strcmp((const char *)place.url.data, want) != 0)
        fprintf(stderr, "  %s\n", (const char *)place.url.data);
    s3_place_free(&place);
    kb_s3_close(s3);
}

/* Where requests go, by style, endpoint and region. */
static void test_places(void)
{
    struct kb_s3_options options = {.aws = {.region = "eu-central-1"}};

    check_place(&options, "eu-central-1", "abc",
                "https://abc.s3.eu-central-1.amazonaws.com/a/b?x=1");
    check_place(&options, "us-east-2", "abc", "https://abc.s3.us-east-2.amazonaws.com/a/b?x=1");
    check_place(&options, "eu-central-1", "a.bc",
                "https://s3.eu-central-1.amazonaws.com/a.bc/a/b?x=1");
    check_place(&options, "eu-central-1", "Abc",
                "https://s3.eu-central-1.amazonaws.com/Abc/a/b?x=1");
    options.style = KB_S3_STYLE_PATH;
    check_place(&options, "eu-central-1", "abc",
                "https://s3.eu-central-1.amazonaws.com/abc/a/b?x=1");
    options.style = KB_S3_STYLE_AUTO;
    options.aws.region = "cn-north-1";
    check_place(&options, "cn-north-1", "abc",
                "https://abc.s3.cn-north-1.amazonaws.com.cn/a/b?x=1");
    options.aws.endpoint_url = "https://storage.example:8443/base/";
    check_place(&options, "elsewhere-1", "abc", "https://storage.example:8443/base/abc/a/b?x=1");
    options.style = KB_S3_STYLE_VIRTUAL;
    check_place(&options, "elsewhere-1", "abc", "https://abc.storage.example:8443/base/a/b?x=1");
    /* Not AWS's, whatever it is called. */
    options.style = KB_S3_STYLE_AUTO;
    options.aws.endpoint_url = "https://s3.cn-north-1.amazonaws.com.example";
    check_place(&options, "x-1", "abc", "https://s3.cn-north-1.amazonaws.com.example/abc/a/b?x=1");
}

/* The same buckets, however the endpoint was spelt. */
static void test_realms(void)
{
    static const struct {
        const char *endpoint, *region, *want;
    } rows[] = {
        {NULL, "eu-central-1", "https://s3.amazonaws.com"},
        {NULL, "us-east-1", "https://s3.amazonaws.com"},
        {NULL, "cn-north-1", "https://s3.amazonaws.com.cn"},
        {"https://s3.amazonaws.com", "x-1", "https://s3.amazonaws.com"},
        {"https://S3.EU-west-1.AmazonAWS.com:443/", "x-1", "https://s3.amazonaws.com"},
        {"https://s3-fips.dualstack.us-east-1.amazonaws.com", "x-1", "https://s3.amazonaws.com"},
        /* A load balancer of anybody, and other hosts that are not S3. */
        {"https://s3-mine-1.us-east-1.elb.amazonaws.com", "x-1",
         "https://s3-mine-1.us-east-1.elb.amazonaws.com"},
        {"https://s3.a.b.amazonaws.com", "x-1", "https://s3.a.b.amazonaws.com"},
        {"https://s3.amazonaws.com.example", "x-1", "https://s3.amazonaws.com.example"},
        {"https://s3.amazonaws.com:8443", "x-1", "https://s3.amazonaws.com:8443"},
        {"https://s3.amazonaws.com/Base", "x-1", "https://s3.amazonaws.com/Base"},
        {"https://LocalHost:443", "x-1", "https://localhost"},
        {"https://localhost", "x-1", "https://localhost"},
        {"https://localhost:80", "x-1", "https://localhost:80"},
        {"https://localhost:4430/Base/", "x-1", "https://localhost:4430/Base"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct kb_s3_options options = {
            .aws = {.endpoint_url = rows[i].endpoint, .region = rows[i].region}};
        struct kb_error err = {0};
        struct kb_s3 *s3;

        KBT_OK(kb_s3_open(&s3, &options, &err), &err);
        KBT_TEXT(kb_bytes_text(kb_s3_realm(s3)), rows[i].want);
        kb_s3_close(s3);
    }
}

/* Every character a key can have is sent so that it arrives, and is signed. */
static void test_keys(void)
{
    static const char *const keys[] = {"a//b", "../x", "./..", "+ %", "%2F", "/", "//", "a?b#c&d=e",
                                       "\xc3\xa9\xf0\x9f\x98\x80", "~-_.!*'()", "\n\t\x7f", " "};
    struct fake fake = {.body = ""};
    struct kb_s3_name each = {"bucket", NULL, "v+/="};
    struct kb_error err = {0};
    char all[256], want[2048];
    size_t size = 0;

    for (unsigned c = 1; c < 0x80; c++)
        all[size++] = (char)c;
    all[size] = 0;
    start(&fake);
    for (size_t i = 0; i <= sizeof keys / sizeof *keys; i++) {
        size_t at = (size_t)snprintf(want, sizeof want, "/bucket/");

        each.key = i < sizeof keys / sizeof *keys ? keys[i] : all;
        for (const char *c = each.key; *c; c++)
            at += (size_t)snprintf(want + at, sizeof want - at,
                                   (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
                                           (*c >= '0' && *c <= '9') || strchr("-._~/", *c)
                                       ? "%c"
                                       : "%%%02X",
                                   (unsigned char)*c);
        snprintf(want + at, sizeof want - at, "?versionId=v%%2B%%2F%%3D");
        KBT_OK(kb_s3_delete_object(fake.s3, &each, NULL, &err), &err);
        CU_ASSERT_EQUAL(httpd_requests(fake.server), i + 1);
        CU_ASSERT_STRING_EQUAL(fake.path, want);
    }
    each.bucket = "no bucket";
    CU_ASSERT_EQUAL(kb_s3_delete_object(fake.s3, &each, NULL, NULL), KB_ERR_USAGE);
    each = (struct kb_s3_name){"bucket", "", NULL};
    CU_ASSERT_EQUAL(kb_s3_delete_object(fake.s3, &each, NULL, NULL), KB_ERR_USAGE);
    CU_ASSERT_EQUAL(httpd_requests(fake.server), sizeof keys / sizeof *keys + 1);
    stop(&fake);
}

/* --- put ------------------------------------------------------------------------------ */

static enum kb_status put(struct fake *fake, const struct kb_s3_put *how, struct kb_s3_object *out,
                          struct kb_error *err)
{
    return kb_s3_put_object(fake->s3, &name, how, kb_bytes_text("hello"), out, err);
}

static void test_put(void)
{
    struct fake fake = {.headers = {{"ETag", "\"" HELLO_MD5 "\""},
                                    {"x-amz-version-id", "v1"},
                                    {"x-amz-server-side-encryption", "AES256"}}};
    const struct kb_pair metadata[] = {{kb_bytes_text("one"), kb_bytes_text("1 and 2")},
                                       {kb_bytes_text("Empty"), kb_bytes_text("")}};
    const struct kb_s3_put how = {.metadata = metadata, .metadata_count = 2,
                                  .content_type = "text/plain", .cache_control = "no-store",
                                  .storage_class = "STANDARD_IA", .tags = "a=b&c=%20",
                                  .lock_mode = "GOVERNANCE", .lock_until = "2030-01-01T00:00:00Z",
                                  .legal_hold = true, .if_none = true,
                                  .encryption = {.sse = KB_S3_SSE_S3}};
    static const char *const lines[] = {
        "x-amz-meta-one: 1 and 2", "x-amz-meta-empty: ", "content-type: text/plain",
        "cache-control: no-store", "x-amz-storage-class: STANDARD_IA", "x-amz-tagging: a=b&c=%20",
        "x-amz-object-lock-mode: GOVERNANCE", "content-md5: XUFAKrxLKna5cZ2REBfFkg==",
        "x-amz-object-lock-retain-until-date: 2030-01-01T00:00:00Z",
        "x-amz-object-lock-legal-hold: ON", "if-none-match: *",
        "x-amz-server-side-encryption: AES256", "content-length: 5",
    };
    struct kb_s3_object object = {0};
    struct kb_error err = {0};

    start(&fake);
    KBT_OK(put(&fake, &how, &object, &err), &err);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        CU_ASSERT_TRUE(saw(&fake, lines[i]));
    CU_ASSERT_STRING_EQUAL(fake.method, "PUT");
    CU_ASSERT_STRING_EQUAL(fake.path, "/bucket/key");
    CU_ASSERT_STRING_EQUAL(fake.body_seen, "hello");
    CU_ASSERT_STRING_EQUAL(object.etag, HELLO_MD5);
    CU_ASSERT_STRING_EQUAL(object.version, "v1");
    CU_ASSERT_EQUAL(object.sse, KB_S3_SSE_S3);
    CU_ASSERT_EQUAL(object.size, 5);
    /* Nothing special. */
    KBT_OK(put(&fake, &(struct kb_s3_put){.if_match = "e"}, &object, &err), &err);
    CU_ASSERT_TRUE(saw(&fake, "content-type: application/octet-stream"));
    CU_ASSERT_TRUE(saw(&fake, "if-match: e"));
    CU_ASSERT_PTR_NULL(strstr(fake.seen, "x-amz-meta"));
    CU_ASSERT_PTR_NULL(strstr(fake.seen, "encryption"));
    kb_s3_object_free(&object);
    stop(&fake);
}

static void test_put_kms(void)
{
    struct fake fake = {.headers = {{"ETag", "\"0123456789abcdef0123456789abcdef\""},
                                    {"x-amz-server-side-encryption", "aws:kms"},
                                    {"x-amz-server-side-encryption-aws-kms-key-id", "arn:k"},
                                    {"x-amz-server-side-encryption-bucket-key-enabled", "true"}}};
    const struct kb_pair context[] = {{kb_bytes_text("a"), kb_bytes_text("\"\xc3\xa9")},
                                      {kb_bytes_text("b"), kb_bytes_text("2")}};
    const struct kb_s3_put how = {.encryption = {.sse = KB_S3_SSE_KMS, .kms_key = "alias/k",
                                                 .kms_context = context, .kms_context_count = 2,
                                                 .bucket_key = true}};
    struct kb_s3_object object = {0};
    struct kb_error err = {0};

    start(&fake);
    KBT_OK(put(&fake, &how, &object, &err), &err);
    CU_ASSERT_TRUE(saw(&fake, "x-amz-server-side-encryption: aws:kms"));
    CU_ASSERT_TRUE(saw(&fake, "x-amz-server-side-encryption-aws-kms-key-id: alias/k"));
    CU_ASSERT_TRUE(saw(&fake, "x-amz-server-side-encryption-bucket-key-enabled: true"));
    /* {"a":"\"é","b":"2"} */
    CU_ASSERT_TRUE(saw(&fake, "x-amz-server-side-encryption-context: "
                              "eyJhIjoiXCLDqSIsImIiOiIyIn0="));
    CU_ASSERT_EQUAL(object.sse, KB_S3_SSE_KMS);
    CU_ASSERT_STRING_EQUAL(object.kms_key, "arn:k");
    CU_ASSERT_TRUE(object.bucket_key);
    kb_s3_object_free(&object);
    stop(&fake);
}

static void check_refused(struct fake *fake, const struct kb_s3_put *how)
{
    struct kb_s3_object object = {0};
    struct kb_error err = {0};

    CU_ASSERT_EQUAL(put(fake, how, &object, &err), KB_ERR_USAGE);
    CU_ASSERT_STRING_NOT_EQUAL(err.text, "");
    kb_s3_object_free(&object);
}

static void check_metadata_refused(struct fake *fake, const char *meta, const char *value)
{
    const struct kb_pair pair = {kb_bytes_text(meta), kb_bytes_text(value)};

    check_refused(fake, &(struct kb_s3_put){.metadata = &pair, .metadata_count = 1});
}

/* What cannot or must not be sent is not sent. */
static void test_put_refused(void)
{
    static const uint8_t key_bytes[KB_S3_KEY_SIZE] = {1};
    const struct kb_bytes huge = {key_bytes, (size_t)KB_S3_SINGLE_MAX + 1};
    struct kb_pair many[S3_HEADERS_MAX + 1];
    char names[S3_HEADERS_MAX + 1][8];
    struct kb_secret *key, *long_key;
    struct kb_s3_object object = {0};
    struct kb_error err = {0};
    struct fake fake = {.body = ""};

    start(&fake);
    check_metadata_refused(&fake, "", "x");
    check_metadata_refused(&fake, "a b", "x");
    check_metadata_refused(&fake, "a:b", "x");
    check_metadata_refused(&fake, "a\xc3\xa9", "x");
    check_metadata_refused(&fake, "a", "\xc3\xa9");
    check_metadata_refused(&fake, "a", "x\r\ny: z");
    check_metadata_refused(&fake, "a", " x");
    check_metadata_refused(&fake, "a", "x ");
    check_refused(&fake, &(struct kb_s3_put){.content_type = "a\nb"});
    check_refused(&fake, &(struct kb_s3_put){.if_match = "a\nb"});
    check_refused(&fake, &(struct kb_s3_put){.tags = "\xff"});
    for (size_t i = 0; i < sizeof many / sizeof *many; i++) {
        snprintf(names[i], sizeof names[i], "m%zu", i);
        many[i] = (struct kb_pair){kb_bytes_text(names[i]), kb_bytes_text("v")};
    }
    check_refused(&fake, &(struct kb_s3_put){.metadata = many,
                                             .metadata_count = S3_HEADERS_MAX + 1});
    check_refused(&fake, &(struct kb_s3_put){.metadata = many, .metadata_count = S3_HEADERS_MAX});
    KBT_OK(kb_secret_copy(&key, (struct kb_bytes){key_bytes, sizeof key_bytes}, &err), &err);
    KBT_OK(kb_secret_copy(&long_key, (struct kb_bytes){key_bytes, sizeof key_bytes - 1}, &err),
           &err);
    check_refused(&fake, &(struct kb_s3_put){
                             .encryption = {.sse = KB_S3_SSE_C, .customer_key = key}});
    check_refused(&fake, &(struct kb_s3_put){.encryption = {.sse = KB_S3_SSE_C}});
    check_refused(&fake, &(struct kb_s3_put){
                             .encryption = {.sse = KB_S3_SSE_C, .customer_key = long_key}});
    CU_ASSERT_EQUAL(kb_s3_put_object(fake.s3, &name, &(struct kb_s3_put){.if_none = true}, huge,
                                     &object, &err),
                    KB_ERR_USAGE);
    CU_ASSERT_EQUAL(httpd_requests(fake.server), 0);
    /* Just as many headers as there may be, and the Content-Type. */
    fake.headers[0][0] = "ETag";
    fake.headers[0][1] = "\"e\"";
    kb_error_clear(&err);
    KBT_OK(put(&fake,
               &(struct kb_s3_put){.metadata = many, .metadata_count = S3_HEADERS_MAX - 1},
               &object, &err),
           &err);
    kb_s3_object_free(&object);
    kb_secret_free(key);
    kb_secret_free(long_key);
    stop(&fake);
}

/* An ETag that is not the MD5 of what is stored as it is. */
static void test_put_lies(void)
{
    static const struct {
        const char *etag, *sse;
        enum kb_status status;
    } rows[] = {
        {"\"" HELLO_MD5 "\"", NULL, KB_OK},
        {"\"5D41402ABC4B2A76B9719D911017C592\"", NULL, KB_OK},
        {HELLO_MD5, NULL, KB_OK},
        {"\"5d41402abc4b2a76b9719d911017c593\"", NULL, KB_ERR_REMOTE},
        {"\"5d41402abc4b2a76b9719d911017c593\"", "AES256", KB_ERR_REMOTE},
        {"\"5d41402abc4b2a76b9719d911017c593\"", "aws:kms", KB_OK},
        {"\"not-an-md5\"", NULL, KB_OK},
        {"\"\"", NULL, KB_ERR_REMOTE},
        {NULL, NULL, KB_ERR_REMOTE},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fake fake = {.headers = {{rows[i].etag ? "ETag" : NULL, rows[i].etag},
                                        {rows[i].sse ? "x-amz-server-side-encryption" : NULL,
                                         rows[i].sse}}};
        struct kb_s3_object object = {0};

        start(&fake);
        CU_ASSERT_EQUAL(put(&fake, &(struct kb_s3_put){.if_none = false}, &object, NULL),
                        rows[i].status);
        kb_s3_object_free(&object);
        stop(&fake);
    }
}

/* --- get ---------------------------------------------------------------------------------- */

static enum kb_status get(struct fake *fake, struct kb_s3_get *how, struct kb_s3_object *object,
                          struct kb_buffer *body, struct kb_error *err)
{
    kb_buffer_reset(body);
    how->write = sink;
    how->ctx = body;
    return kb_s3_get_object(fake->s3, &name, how, object, err);
}

static void test_get(void)
{
    struct fake fake = {
        .body = "hello",
        .headers = {{"ETag", "W/\"e-2\""}, {"Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT"},
                    {"x-amz-meta-one", "1"}, {"X-AMZ-META-Two", ""},
                    {"x-amz-storage-class", "GLACIER_IR"}, {"x-amz-tagging-count", "3"},
                    {"x-amz-object-lock-mode", "COMPLIANCE"}, {"x-amz-mp-parts-count", "2"},
                    {"x-amz-object-lock-legal-hold", "ON"}, {"Content-Type", "text/plain"},
                    {"x-amz-server-side-encryption", "strange"}, {"Expires", "0"}}};
    struct kb_buffer body = KB_BUFFER_INIT(100);
    struct kb_s3_object object = {0};
    struct kb_s3_get how = {.if_match = NULL};
    struct kb_error err = {0};

    start(&fake);
    for (int round = 0; round < 2; round++)
        KBT_OK(get(&fake, &how, &object, &body, &err), &err);
    KBT_TEXT(kb_buffer_view(&body), "hello");
    CU_ASSERT_EQUAL(object.status, 200);
    CU_ASSERT_EQUAL(object.size, 5);
    CU_ASSERT_STRING_EQUAL(object.etag, "e-2");
    CU_ASSERT_EQUAL(object.modified, 784111777);
    CU_ASSERT_EQUAL(object.metadata_count, 2);
    KBT_TEXT(kb_s3_object_metadata(&object, "one"), "1");
    CU_ASSERT_PTR_NOT_NULL(kb_s3_object_metadata(&object, "two").data);
    CU_ASSERT_PTR_NULL(kb_s3_object_metadata(&object, "three").data);
    CU_ASSERT_STRING_EQUAL(object.storage_class, "GLACIER_IR");
    CU_ASSERT_EQUAL(object.tag_count, 3);
    CU_ASSERT_EQUAL(object.parts, 2);
    CU_ASSERT_STRING_EQUAL(object.lock_mode, "COMPLIANCE");
    CU_ASSERT_TRUE(object.legal_hold);
    CU_ASSERT_STRING_EQUAL(object.content_type, "text/plain");
    CU_ASSERT_STRING_EQUAL(object.expires, "0");
    CU_ASSERT_EQUAL(object.sse, KB_S3_SSE_OTHER);
    /* Empty. */
    fake.body = "";
    KBT_OK(get(&fake, &how, &object, &body, &err), &err);
    CU_ASSERT_EQUAL(object.size, 0);
    CU_ASSERT_EQUAL(body.size, 0);
    /* Another one than it should be. */
    fake.body = "hello";
    how.if_match = "e-3";
    CU_ASSERT_EQUAL(get(&fake, &how, &object, &body, &err), KB_ERR_INPUT);
    CU_ASSERT_TRUE(saw(&fake, "if-match: \"e-3\""));
    CU_ASSERT_EQUAL(body.size, 0);
    kb_s3_object_free(&object);
    kb_buffer_free(&body);
    stop(&fake);
}

static void test_ranges(void)
{
    static const struct {
        unsigned status;
        const char *range, *body;
        uint64_t first, last;
        const char *sent;
        enum kb_status want;
    } rows[] = {
        {206, "bytes 2-4/10", "cde", 2, 4, "range: bytes=2-4", KB_OK},
        {206, "bytes 2-9/10", "cdefghij", 2, UINT64_MAX, "range: bytes=2-", KB_OK},
        {206, "bytes 2-9/10", "cdefghij", 2, 100, "range: bytes=2-100", KB_OK},
        /* All of it is what was asked for, or too much. */
        {200, NULL, "abcdefghij", 0, 9, "range: bytes=0-9", KB_OK},
        {200, NULL, "abcdefghij", 0, 100, "range: bytes=0-100", KB_OK},
        {200, NULL, "abcdefghij", 0, UINT64_MAX, "range: bytes=0-", KB_OK},
        {200, NULL, "abcdefghij", 0, 8, "range: bytes=0-8", KB_ERR_REMOTE},
        {200, NULL, "abcdefghij", 1, 9, "range: bytes=1-9", KB_ERR_REMOTE},
        {200, NULL, "", 0, 9, "range: bytes=0-9", KB_ERR_REMOTE},
        /* Another range, no range, a shorter or longer one, one that cannot be. */
        {206, "bytes 1-3/10", "bcd", 2, 4, "range: bytes=2-4", KB_ERR_REMOTE},
        {206, "bytes 2-3/10", "cd", 2, 4, "range: bytes=2-4", KB_ERR_REMOTE},
        {200, NULL, "abcdefghij", 2, 4, "range: bytes=2-4", KB_ERR_REMOTE},
        {200, "bytes 2-4/10", "cde", 2, 4, "range: bytes=2-4", KB_ERR_REMOTE},
        {206, NULL, "cde", 2, 4, "range: bytes=2-4", KB_ERR_REMOTE},
        {206, "bytes 2-4/10", "cd", 2, 4, "range: bytes=2-4", KB_ERR_REMOTE},
        {206, "bytes 2-4/10", "cdef", 2, 4, "range: bytes=2-4", KB_ERR_REMOTE},
        {206, "bytes 2-4/*", "cde", 2, 4, "range: bytes=2-4", KB_ERR_REMOTE},
        {206, "bytes 2-4/4", "cde", 2, 4, "range: bytes=2-4", KB_ERR_REMOTE},
        {206, "bytes 2-4/10x", "cde", 2, 4, "range: bytes=2-4", KB_ERR_REMOTE},
        {206, "items 2-4/10", "cde", 2, 4, "range: bytes=2-4", KB_ERR_REMOTE},
        {206, "bytes 2-4/99999999999999999999999", "cde", 2, 4, "range: bytes=2-4", KB_ERR_REMOTE},
    };
    struct kb_buffer body = KB_BUFFER_INIT(100);
    struct kb_s3_object object = {0};

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fake fake = {.status = rows[i].status, .body = rows[i].body,
                            .headers = {{rows[i].range ? "Content-Range" : NULL, rows[i].range}}};
        struct kb_s3_get how = {.ranged = true, .first = rows[i].first, .last = rows[i].last};
        struct kb_error err = {0};

        start(&fake);
        CU_ASSERT_EQUAL(get(&fake, &how, &object, &body, &err), rows[i].want);
        CU_ASSERT_TRUE(saw(&fake, rows[i].sent));
        if (rows[i].want == KB_OK) {
            KBT_TEXT(kb_buffer_view(&body), rows[i].body);
            CU_ASSERT_EQUAL(object.size, 10);
        } else {
            CU_ASSERT_EQUAL(httpd_requests(fake.server), 1);
        }
        /* A range that nobody asked for. */
        how.ranged = false;
        kb_error_clear(&err);
        CU_ASSERT_EQUAL(get(&fake, &how, &object, &body, &err),
                        rows[i].status == 200 && !rows[i].range ? KB_OK : KB_ERR_REMOTE);
        stop(&fake);
    }
    kb_s3_object_free(&object);
    kb_buffer_free(&body);
}

/* Cut within the body: no second try may write the same bytes again. Headers
 * that cannot be. */
static void test_get_lies(void)
{
    static const char *const bad[][2] = {
        {"x-amz-tagging-count", "many"},
        {"x-amz-storage-class", "0123456789012345678901234567890123456789"},
        {"x-amz-server-side-encryption-customer-key-MD5", "AAAAAAAAAAAAAAAAAAAAAAAA="},
        {"x-amz-version-id", "another"},
        {"x-amz-meta-", "nameless"},
    };
    struct kb_buffer body = KB_BUFFER_INIT(100);
    struct kb_s3_object object = {0};
    struct kb_s3_get how = {.if_match = NULL};
    struct kb_error err = {0};
    struct fake fake = {.body = "hello", .cut = true};

    start(&fake);
    CU_ASSERT_EQUAL(get(&fake, &how, &object, &body, &err), KB_ERR_REMOTE);
    CU_ASSERT_EQUAL(httpd_requests(fake.server), 1);
    KBT_TEXT(kb_buffer_view(&body), "hello");
    fake.cut = false;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const struct kb_s3_name version = {"bucket", "key", "mine"};

        memcpy(fake.headers[0], bad[i], sizeof bad[i]);
        kb_buffer_reset(&body);
        kb_error_clear(&err);
        CU_ASSERT_EQUAL(kb_s3_get_object(fake.s3, &version, &how, &object, &err), KB_ERR_REMOTE);
        CU_ASSERT_EQUAL(body.size, 0);
        CU_ASSERT_STRING_NOT_EQUAL(err.text, "");
    }
    /* Metadata twice. */
    fake.headers[0][0] = "x-amz-meta-a";
    fake.headers[1][0] = "X-Amz-Meta-A";
    fake.headers[0][1] = fake.headers[1][1] = "1";
    CU_ASSERT_EQUAL(get(&fake, &how, &object, &body, NULL), KB_ERR_REMOTE);
    fake.headers[1][0] = "X-Amz-Meta-B";
    CU_ASSERT_EQUAL(get(&fake, &how, &object, &body, NULL), KB_OK);
    kb_s3_object_free(&object);
    kb_buffer_free(&body);
    stop(&fake);
}

/* --- errors ------------------------------------------------------------------------- */

#define XML(code, message)                                                                         \
    "<?xml version=\"1.0\"?>\n<Error><Code>" code "</Code><Message>" message                       \
    "</Message><Resource>/x</Resource></Error>"

struct trouble {
    unsigned status;
    const char *body;
    enum kb_status want;
    const char *says, *hints; /* parts of the sentence and hint, or NULL */
    unsigned requests;
};

static void check_trouble(const struct trouble *row, bool with_key, bool read)
{
    static const uint8_t key_bytes[KB_S3_KEY_SIZE] = {1};
    struct fake fake = {.status = row->status, .body = row->body};
    struct kb_buffer body = KB_BUFFER_INIT(100);
    struct kb_s3_object object = {0};
    struct kb_error err = {0};
    struct kb_secret *key;
    struct kb_s3_encryption encryption = {.sse = with_key ? KB_S3_SSE_C : KB_S3_SSE_NONE};
    struct kb_s3_get how = {.if_match = NULL};
    enum kb_status status;

    KBT_OK(kb_secret_copy(&key, (struct kb_bytes){key_bytes, sizeof key_bytes}, &err), &err);
    encryption.customer_key = key;
    how.encryption = encryption;
    start(&fake);
    fake.s3->secure = true; /* as if it were */
    status = read ? get(&fake, &how, &object, &body, &err)
                  : put(&fake, &(struct kb_s3_put){.encryption = encryption}, &object, &err);
    CU_ASSERT_EQUAL(status, row->want);
    CU_ASSERT_EQUAL(object.status, row->status);
    CU_ASSERT_EQUAL(httpd_requests(fake.server), row->requests);
    CU_ASSERT_TRUE(!row->says || strstr(err.text, row->says));
    CU_ASSERT_TRUE(!row->hints || strstr(err.hint, row->hints));
    if (err.status != row->want || (row->says && !strstr(err.text, row->says)) ||
        (row->hints && !strstr(err.hint, row->hints)))
        fprintf(stderr, "  %u %s: %s | %s\n", row->status, kb_status_name(err.status), err.text,
                err.hint);
    CU_ASSERT_PTR_NULL(strstr(err.text, "AQAAAA"));
    kb_secret_free(key);
    kb_s3_object_free(&object);
    kb_buffer_free(&body);
    stop(&fake);
}

static void test_errors(void)
{
    static const struct trouble rows[] = {
        {404, XML("NoSuchKey", "x"), KB_ERR_NOT_FOUND, "there is no s3://bucket/key", NULL, 1},
        {404, XML("NoSuchBucket", "x"), KB_ERR_NOT_FOUND, "there is no bucket bucket", NULL, 1},
        {404, "<html>lost</html>", KB_ERR_REMOTE, "a proxy?", NULL, 2},
        {403, "<html>no</html>", KB_ERR_REMOTE, "a proxy?", NULL, 2},
        {403, "", KB_ERR_DENIED, NULL, NULL, 1},
        {403, XML("SignatureDoesNotMatch", "SECRET"), KB_ERR_DENIED, "credentials", NULL, 1},
        {403, XML("InvalidAccessKeyId", "x"), KB_ERR_DENIED, "credentials", NULL, 1},
        {412, XML("PreconditionFailed", "x"), KB_ERR_INPUT, "has changed", NULL, 1},
        {404, XML("NoSuchBucketPolicy", ""), KB_ERR_NOT_FOUND, "bucket has no policy", NULL, 1},
        {416, XML("InvalidRange", "x"), KB_ERR_USAGE, "no such range", NULL, 1},
        {501, XML("NotImplemented", "x"), KB_ERR_UNSUPPORTED, NULL, NULL, 1},
        {501, "", KB_ERR_UNSUPPORTED, NULL, NULL, 1},
        {405, XML("MethodNotAllowed", "x"), KB_ERR_UNSUPPORTED, NULL, NULL, 1},
        {503, XML("SlowDown", "x"), KB_ERR_REMOTE, "SlowDown", "--connections", 3},
        {503, "", KB_ERR_REMOTE, "503", NULL, 3},
        {500, XML("InternalError", "x"), KB_ERR_REMOTE, "InternalError", NULL, 3},
        {400, XML("BadDigest", "x"), KB_ERR_REMOTE, "damaged", NULL, 3},
        {400, XML("XAmzContentSHA256Mismatch", "x"), KB_ERR_REMOTE, "damaged", NULL, 3},
        {400, XML("EntityTooLarge", "too large"), KB_ERR_USAGE, "too large", NULL, 1},
        {400, XML("KMS.DisabledException", "k"), KB_ERR_DENIED, "KMS.Disabled", NULL, 1},
        {403, XML("InvalidObjectState", "x"), KB_ERR_USAGE, NULL, "restored", 1},
        {301, XML("PermanentRedirect", "x"), KB_ERR_REMOTE, "elsewhere", "region", 1},
        {307, "", KB_ERR_REMOTE, "elsewhere", NULL, 1},
        {400, "<Error><Code>Odd", KB_ERR_REMOTE, "a proxy?", NULL, 2},
        {400, XML("A\x1b[31m", "evil"), KB_ERR_REMOTE, NULL, NULL, 2},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        check_trouble(&rows[i], false, true);
        check_trouble(&rows[i], true, true);
        check_trouble(&rows[i], false, false);
    }
}

/* Keys that are written down cannot be fetched anew. */
static void test_expired(void)
{
    struct fake fake = {.status = 400, .body = XML("ExpiredToken", "x")};
    struct kb_error err = {0};

    start(&fake);
    CU_ASSERT_EQUAL(kb_s3_delete_object(fake.s3, &name, NULL, &err), KB_ERR_DENIED);
    CU_ASSERT_EQUAL(httpd_requests(fake.server), 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "expired"));
    stop(&fake);
}

/* What is about keys, about permissions, and what says no more than no. */
static void test_key_errors(void)
{
    static const struct trouble denied = {403, XML("AccessDenied", "Access Denied"), KB_ERR_DENIED,
                                          "s3:GetObject is not allowed", "customer key", 1};
    static const struct trouble read_denied = {
        403, XML("AccessDenied", "Access Denied"), KB_ERR_DENIED, "s3:GetObject is not allowed",
        "\"s3:GetObject\",\"Resource\":\"arn:aws:s3:::bucket/key\"", 1};
    static const struct trouble put_denied = {
        403, XML("AccessDenied", "Access Denied"), KB_ERR_DENIED, "s3:PutObject is not allowed",
        "\"arn:aws:s3:::bucket/key\"}, or the bucket's policy denies it", 1};
    static const struct trouble maybe_blocked = {
        403, XML("AccessDenied", "Access Denied"), KB_ERR_DENIED, "customer key (SSE-C)",
        "or the bucket's denies it", 1};
    static const struct trouble blocked = {
        403,
        XML("AccessDenied", "User: x is not authorized because this bucket has blocked upload "
                            "requests that specify Server Side Encryption with Customer provided "
                            "keys (SSE-C)"),
        KB_ERR_DENIED, "takes no uploads under customer keys", "allow-sse-c s3://bucket", 1};
    static const struct trouble wrong = {
        403, XML("AccessDenied", "The provided encryption parameters did not match"), KB_ERR_AUTH,
        "not under the customer key", NULL, 1};
    static const struct trouble wrong_ceph = {400, XML("InvalidArgument", ""), KB_ERR_AUTH,
                                              "not under the customer key", NULL, 1};
    static const struct trouble class_ceph = {400, XML("InvalidArgument", ""), KB_ERR_USAGE,
                                              "PutObject of s3://bucket/key: InvalidArgument", NULL,
                                              1};
    static const struct trouble none = {
        400, XML("InvalidRequest", "The object was stored using a form of Server Side Encryption."),
        KB_ERR_AUTH, "none was given", NULL, 1};
    static const struct trouble other = {400, XML("InvalidArgument", "The part number is odd"),
                                         KB_ERR_USAGE, "part number", NULL, 1};

    check_trouble(&denied, true, true);
    check_trouble(&read_denied, false, true);
    check_trouble(&put_denied, false, false);
    check_trouble(&maybe_blocked, true, false);
    check_trouble(&blocked, true, false);
    check_trouble(&wrong, true, true);
    check_trouble(&wrong_ceph, true, true);
    check_trouble(&class_ceph, true, false);
    check_trouble(&none, false, true);
    check_trouble(&other, true, true);
    check_trouble(&other, false, false);
}

static void test_head(void)
{
    static const struct {
        unsigned status;
        bool with_key;
        enum kb_status want;
    } rows[] = {
        {200, false, KB_OK},           {200, true, KB_OK},
        {404, false, KB_ERR_NOT_FOUND}, {404, true, KB_ERR_NOT_FOUND},
        {400, false, KB_ERR_AUTH},     {400, true, KB_ERR_AUTH},
        {403, false, KB_ERR_DENIED},   {403, true, KB_ERR_AUTH},
        {412, false, KB_ERR_INPUT},    {405, false, KB_ERR_UNSUPPORTED},
    };
    static const uint8_t key_bytes[KB_S3_KEY_SIZE] = {1};
    struct kb_secret *key;

    KBT_OK(kb_secret_copy(&key, (struct kb_bytes){key_bytes, sizeof key_bytes}, NULL), NULL);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fake fake = {.status = rows[i].status, .body = "hello"};
        const struct kb_s3_encryption how = {.sse = KB_S3_SSE_C, .customer_key = key};
        struct kb_s3_object object = {0};

        start(&fake);
        fake.s3->secure = true;
        CU_ASSERT_EQUAL(kb_s3_head_object(fake.s3, &name, rows[i].with_key ? &how : NULL, &object,
                                          NULL),
                        rows[i].want);
        CU_ASSERT_EQUAL(object.status, rows[i].status);
        CU_ASSERT_EQUAL(httpd_requests(fake.server), 1);
        if (rows[i].want == KB_OK)
            CU_ASSERT_EQUAL(object.size, 5);
        CU_ASSERT_EQUAL(rows[i].with_key,
                        strstr(fake.seen, "customer-key-md5: s5rG4qp+N1w4unrpIbW6iQ==") != NULL);
        kb_s3_object_free(&object);
        stop(&fake);
    }
    kb_secret_free(key);
}

/* A clock that is off is set by the answer's date: told by a code, or by HEAD's
 * bare 403. */
static void test_clock(void)
{
    for (int head = 0; head < 2; head++) {
        struct fake fake = {.status = 403, .body = XML("RequestTimeTooSkewed", "x"),
                            .wrong_first = 1, .later = "", .clock = 4000};
        struct kb_s3_object object = {0};
        struct kb_error err = {0};

        start(&fake);
        if (head)
            KBT_OK(kb_s3_head_object(fake.s3, &name, NULL, &object, &err), &err);
        else
            KBT_OK(kb_s3_delete_object(fake.s3, &name, &object, &err), &err);
        CU_ASSERT_EQUAL(httpd_requests(fake.server), 2);
        CU_ASSERT_EQUAL(fake.unsigned_ones, 1);
        fake.unsigned_ones--;
        /* From now on it is right. */
        KBT_OK(kb_s3_head_object(fake.s3, &name, NULL, &object, &err), &err);
        kb_s3_object_free(&object);
        stop(&fake);
    }
}

/* A bucket of another region is followed to it once, and remembered. */
static void test_regions(void)
{
    static const struct {
        unsigned status;
        const char *header, *body;
        unsigned requests;
    } rows[] = {
        {301, "us-west-2", XML("PermanentRedirect", "x"), 2},
        {307, "us-west-2", "", 2},
        {400, NULL,
         "<Error><Code>AuthorizationHeaderMalformed</Code><Message>m</Message>"
         "<Region>us-west-2</Region></Error>",
         2},
        {301, "eu-central-1", XML("PermanentRedirect", "x"), 1},
        {301, "evil.example/", XML("PermanentRedirect", "x"), 1},
        {301, "-x", XML("PermanentRedirect", "x"), 1},
        {403, "us-west-2", XML("AccessDenied", "x"), 1},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        bool follows = rows[i].requests == 2;
        struct fake fake = {.status = rows[i].status, .body = rows[i].body, .later = "",
                            .wrong_first = 1, .region = follows ? "us-west-2" : NULL,
                            .headers = {{rows[i].header ? "x-amz-bucket-region" : NULL,
                                         rows[i].header}}};
        struct kb_error err = {0};
        enum kb_status status;

        start(&fake);
        status = kb_s3_delete_object(fake.s3, &name, NULL, &err);
        CU_ASSERT_EQUAL(status == KB_OK, follows);
        CU_ASSERT_EQUAL(httpd_requests(fake.server), rows[i].requests);
        CU_ASSERT_EQUAL(fake.unsigned_ones, follows);
        fake.unsigned_ones = 0;
        kb_error_clear(&err);
        KBT_OK(kb_s3_delete_object(fake.s3, &name, NULL, &err), &err);
        CU_ASSERT_EQUAL(httpd_requests(fake.server), rows[i].requests + 1);
        stop(&fake);
    }
}

/* --- copies, parts, tags ------------------------------------------------------------ */

static void test_copy(void)
{
    struct fake fake = {.body = "\n <CopyObjectResult><ETag>&quot;new&quot;</ETag>"
                                "</CopyObjectResult>",
                        .headers = {{"x-amz-version-id", "v2"}}};
    const struct kb_pair pair = {kb_bytes_text("a"), kb_bytes_text("b")};
    struct kb_s3_copy copy = {.from = {"other", "a b/\xc3\xa9", "v1"}, .from_etag = "old",
                              .put = {.metadata = &pair, .metadata_count = 1, .tags = "t=1"}};
    struct kb_s3_object object = {0};
    struct kb_error err = {0};

    start(&fake);
    KBT_OK(kb_s3_copy_object(fake.s3, &name, &copy, &object, &err), &err);
    CU_ASSERT_STRING_EQUAL(object.etag, "new");
    CU_ASSERT_STRING_EQUAL(object.version, "v2");
    CU_ASSERT_TRUE(saw(&fake, "x-amz-copy-source: other/a%20b/%C3%A9?versionId=v1"));
    CU_ASSERT_TRUE(saw(&fake, "x-amz-copy-source-if-match: \"old\""));
    CU_ASSERT_PTR_NULL(strstr(fake.seen, "directive"));
    CU_ASSERT_PTR_NULL(strstr(fake.seen, "x-amz-meta"));
    CU_ASSERT_PTR_NULL(strstr(fake.seen, "tagging"));
    CU_ASSERT_PTR_NULL(strstr(fake.seen, "content-type"));
    copy.replace_metadata = copy.replace_tags = true;
    KBT_OK(kb_s3_copy_object(fake.s3, &name, &copy, &object, &err), &err);
    CU_ASSERT_TRUE(saw(&fake, "x-amz-metadata-directive: REPLACE"));
    CU_ASSERT_TRUE(saw(&fake, "x-amz-tagging-directive: REPLACE"));
    CU_ASSERT_TRUE(saw(&fake, "x-amz-meta-a: b"));
    CU_ASSERT_TRUE(saw(&fake, "x-amz-tagging: t=1"));
    /* It began well. */
    fake.body = "  \n" XML("AccessDenied", "Access Denied");
    CU_ASSERT_EQUAL(kb_s3_copy_object(fake.s3, &name, &copy, &object, NULL), KB_ERR_DENIED);
    fake.body = XML("InternalError", "x");
    CU_ASSERT_EQUAL(kb_s3_copy_object(fake.s3, &name, &copy, &object, NULL), KB_ERR_REMOTE);
    CU_ASSERT_EQUAL(httpd_requests(fake.server), 6);
    fake.body = "<CopyObjectResult/>";
    CU_ASSERT_EQUAL(kb_s3_copy_object(fake.s3, &name, &copy, &object, NULL), KB_ERR_REMOTE);
    fake.body = "";
    CU_ASSERT_EQUAL(kb_s3_copy_object(fake.s3, &name, &copy, &object, NULL), KB_ERR_REMOTE);
    kb_s3_object_free(&object);
    stop(&fake);
}

static void test_parts(void)
{
    struct fake fake = {.body = "<InitiateMultipartUploadResult><UploadId>u+1</UploadId>"
                                "</InitiateMultipartUploadResult>"};
    struct kb_s3_part parts[2] = {{.number = 1}, {.number = 2}};
    const struct kb_s3_encryption plain = {.sse = KB_S3_SSE_NONE};
    const struct kb_s3_put how = {.content_type = "text/plain", .if_none = true};
    uint8_t sha256[32];
    struct kb_s3_object object = {0};
    struct kb_error err = {0};
    char *upload;

    start(&fake);
    KBT_OK(kb_s3_create_upload(fake.s3, &name, &how, &upload, &object, &err), &err);
    CU_ASSERT_STRING_EQUAL(upload, "u+1");
    CU_ASSERT_STRING_EQUAL(fake.path, "/bucket/key?uploads");
    CU_ASSERT_PTR_NULL(strstr(fake.seen, "if-none-match"));
    fake.body = "";
    fake.headers[0][0] = "ETag";
    fake.headers[0][1] = "\"" HELLO_MD5 "\"";
    for (int i = 0; i < 2; i++) {
        KBT_OK(kb_digest_once(sha256, KB_DIGEST_SHA256, kb_bytes_text("hello"), &err), &err);
        parts[i].sha256 = i ? sha256 : NULL;
        parts[i].md5 = i;
        KBT_OK(kb_s3_upload_part(fake.s3, &name, upload, &parts[i], &plain, kb_bytes_text("hello"),
                                 &object, &err),
               &err);
        CU_ASSERT_EQUAL(parts[i].size, 5);
        CU_ASSERT_STRING_EQUAL(parts[i].etag, HELLO_MD5);
        CU_ASSERT_STRING_EQUAL(fake.path, i ? "/bucket/key?partNumber=2&uploadId=u%2B1"
                                            : "/bucket/key?partNumber=1&uploadId=u%2B1");
        CU_ASSERT_EQUAL(strstr(fake.seen, "content-md5") != NULL, i);
    }
    /* Over http a part is signed whatever it says. */
    parts[1].unsigned_payload = true;
    KBT_OK(kb_s3_upload_part(fake.s3, &name, upload, &parts[1], &plain, kb_bytes_text("hello"),
                             &object, &err),
           &err);
    CU_ASSERT_PTR_NULL(strstr(fake.seen, "UNSIGNED"));
    parts[0].number = 0;
    CU_ASSERT_EQUAL(kb_s3_upload_part(fake.s3, &name, upload, &parts[0], &plain,
                                      kb_bytes_text("hello"), &object, NULL),
                    KB_ERR_USAGE);
    parts[0].number = 10001;
    CU_ASSERT_EQUAL(kb_s3_upload_part(fake.s3, &name, upload, &parts[0], &plain,
                                      kb_bytes_text("hello"), &object, NULL),
                    KB_ERR_USAGE);
    parts[0].number = 1;
    fake.body = "<CompleteMultipartUploadResult><ETag>\"x-2\"</ETag>"
                "</CompleteMultipartUploadResult>";
    KBT_OK(kb_s3_complete_upload(fake.s3, &name, upload, parts, 2, &how, &object, &err), &err);
    CU_ASSERT_STRING_EQUAL(object.etag, "x-2");
    CU_ASSERT_TRUE(saw(&fake, "if-none-match: *"));
    CU_ASSERT_STRING_EQUAL(
        fake.body_seen,
        "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
        "<Part><PartNumber>1</PartNumber><ETag>&quot;" HELLO_MD5 "&quot;</ETag></Part>"
        "<Part><PartNumber>2</PartNumber><ETag>&quot;" HELLO_MD5 "&quot;</ETag></Part>"
        "</CompleteMultipartUpload>");
    fake.body = XML("InvalidPart", "x");
    CU_ASSERT_EQUAL(
        kb_s3_complete_upload(fake.s3, &name, upload, parts, 2, &how, &object, NULL),
        KB_ERR_INPUT);
    fake.body = "<CopyPartResult><ETag>e</ETag></CopyPartResult>";
    KBT_OK(kb_s3_copy_part(fake.s3, &name, upload, &parts[0],
                           &(struct kb_s3_copy){.from = {"other", "k", NULL}}, 5, 9, &object, &err),
           &err);
    CU_ASSERT_TRUE(saw(&fake, "x-amz-copy-source-range: bytes=5-9"));
    CU_ASSERT_EQUAL(parts[0].size, 5);
    CU_ASSERT_STRING_EQUAL(parts[0].etag, "e");
    fake.body = "";
    KBT_OK(kb_s3_abort_upload(fake.s3, &name, upload, &err), &err);
    CU_ASSERT_STRING_EQUAL(fake.method, "DELETE");
    kb_s3_object_free(&object);
    free(upload);
    stop(&fake);
}

/* Completed, but the answer was lost; sent again, there is no such upload. */
struct lost {
    const char *etag;
    unsigned posts;
};

static void lose(void *ctx, const struct httpd_request *request, struct httpd_answer *answer)
{
    struct lost *lost = ctx;

    if (strcmp(request->method, "HEAD") == 0) {
        httpd_header(answer, "ETag", lost->etag);
    } else if (++lost->posts == 1) {
        answer->action = HTTPD_DROP;
    } else {
        answer->status = 404;
        httpd_text(answer, "%s", XML("NoSuchUpload", "x"));
    }
}

static void test_lost_completion(void)
{
    /* MD5 of the two MD5s. */
    const struct kb_s3_part parts[2] = {{.number = 1, .etag = HELLO_MD5},
                                        {.number = 2, .etag = HELLO_MD5}};
    uint8_t both[32], hash[16];
    char digits[33], etag[64];

    for (size_t i = 0; i < 32; i++)
        sscanf(&HELLO_MD5[2 * (i % 16)], "%2hhx", &both[i]);
    KBT_OK(kb_digest_once(hash, KB_DIGEST_MD5, (struct kb_bytes){both, sizeof both}, NULL), NULL);
    kb_crypto_hex(digits, (struct kb_bytes){hash, sizeof hash});
    for (size_t i = 0; i < 2; i++) {
        struct kb_s3_options options = {.aws = {.region = "eu-central-1", .max_tries = 3}};
        struct lost lost = {.etag = etag};
        struct httpd *server = httpd_start(lose, &lost);
        struct kb_s3_object object = {0};
        struct kb_s3 *s3;

        snprintf(etag, sizeof etag, "\"%s-%d\"", digits, i ? 3 : 2);
        options.aws.endpoint_url = httpd_url(server);
        KBT_OK(kb_s3_open(&s3, &options, NULL), NULL);
        CU_ASSERT_EQUAL(kb_s3_complete_upload(s3, &name, "u", parts, 2, NULL, &object, NULL),
                        i ? KB_ERR_NOT_FOUND : KB_OK);
        CU_ASSERT_TRUE(i == 0 || object.repeated);
        kb_s3_object_free(&object);
        kb_s3_close(s3);
        httpd_stop(server);
    }
}

static void test_tags(void)
{
    struct fake fake = {.body = "<Tagging><TagSet><Tag><Key>a b</Key><Value>&amp;=</Value></Tag>"
                                "<Tag><Key>c</Key><Value/></Tag></TagSet></Tagging>"};
    struct kb_buffer tags = KB_BUFFER_INIT(1000);
    struct kb_error err = {0};

    start(&fake);
    KBT_OK(kb_s3_get_tags(fake.s3, &name, &tags, &err), &err);
    CU_ASSERT_STRING_EQUAL(fake.path, "/bucket/key?tagging");
    KBT_TEXT(kb_buffer_view(&tags), "a%20b=%26%3D&c=");
    kb_buffer_reset(&tags);
    fake.body = "<Tagging><TagSet/></Tagging>";
    KBT_OK(kb_s3_get_tags(fake.s3, &name, &tags, &err), &err);
    CU_ASSERT_EQUAL(tags.size, 0);
    kb_buffer_free(&tags);
    stop(&fake);
}

/* --- a real server ------------------------------------------------------------------ */

/* The credentials that this program was given. */
static char given_id[128], given_secret[128];

static void keep_variable(char out[128], const char *variable)
{
    const char *value = getenv(variable);

    snprintf(out, 128, "%s", value ? value : "");
}

struct live {
    struct kb_s3 *s3;
    struct kb_secret *keys[2];
    struct kb_s3_encryption under[2]; /* each of the keys */
    char bucket[64];
};

static bool start_live(struct live *live)
{
    struct kb_s3_options options = {.aws = {.endpoint_url = getenv("KB_RGW_URL"),
                                            .ca_file = getenv("KB_RGW_CA"),
                                            .max_tries = 3}};
    struct kb_error err = {0};
    uint8_t bytes[KB_S3_KEY_SIZE];

    if (!options.aws.endpoint_url) {
        fprintf(stderr, "  KB_RGW_URL names no server: only our own was asked\n");
        return false;
    }
    setenv("AWS_ACCESS_KEY_ID", given_id, 1);
    setenv("AWS_SECRET_ACCESS_KEY", given_secret, 1);
    KBT_OK(kb_s3_open(&live->s3, &options, &err), &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(live->s3);
    for (size_t i = 0; i < 2; i++) {
        KBT_OK(kb_crypto_random(bytes, sizeof bytes, &err), &err);
        KBT_OK(kb_secret_copy(&live->keys[i], (struct kb_bytes){bytes, sizeof bytes}, &err), &err);
        live->under[i] = (struct kb_s3_encryption){.sse = KB_S3_SSE_C,
                                                   .customer_key = live->keys[i]};
    }
    snprintf(live->bucket, sizeof live->bucket, "kb-test-%lld-%02x", (long long)time(NULL),
             bytes[0]);
    KBT_OK(kb_s3_create_bucket(live->s3, live->bucket, false, &err), &err);
    return true;
}

static void stop_live(struct live *live)
{
    KBT_OK(kb_s3_delete_bucket(live->s3, live->bucket, NULL), NULL);
    kb_secret_free(live->keys[0]);
    kb_secret_free(live->keys[1]);
    kb_s3_close(live->s3);
}

static enum kb_status live_get(struct live *live, const struct kb_s3_name *object_name,
                               const struct kb_s3_get *get, struct kb_buffer *body,
                               struct kb_error *err)
{
    struct kb_s3_get how = *get;
    struct kb_s3_object object = {0};
    enum kb_status status;

    kb_buffer_reset(body);
    how.write = sink;
    how.ctx = body;
    status = kb_s3_get_object(live->s3, object_name, &how, &object, err);
    kb_s3_object_free(&object);
    return status;
}

/* Keys, metadata, ranges, conditions. */
static void test_live_object(void)
{
    static const char *const keys[] = {"plain", "a//b", "x/../y", "../x", "+ %2F", "a?b#c&d=e",
                                       "\xc3\xa9\xf0\x9f\x98\x80", "~-_.!*'()", "tab\there"};
    const struct kb_pair pair = {kb_bytes_text("one"), kb_bytes_text("1 and =?2")};
    const struct kb_s3_put how = {.metadata = &pair, .metadata_count = 1,
                                  .content_type = "text/x", .tags = "a=b%20c&d="};
    struct kb_buffer body = KB_BUFFER_INIT(100);
    struct kb_s3_object object = {0};
    struct live live = {.s3 = NULL};

    if (!start_live(&live))
        return;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const struct kb_s3_name at = {live.bucket, keys[i], NULL};
        struct kb_error err = {0};

        KBT_OK(kb_s3_put_object(live.s3, &at, &how, kb_bytes_text("hello"), &object, &err), &err);
        CU_ASSERT_STRING_EQUAL(object.etag, HELLO_MD5);
        CU_ASSERT_EQUAL(object.sse, KB_S3_SSE_NONE);
        KBT_OK(kb_s3_head_object(live.s3, &at, NULL, &object, &err), &err);
        CU_ASSERT_EQUAL(object.size, 5);
        CU_ASSERT_STRING_EQUAL(object.content_type, "text/x");
        KBT_TEXT(kb_s3_object_metadata(&object, "one"), "1 and =?2");
        CU_ASSERT_TRUE(llabs((long long)(object.modified - time(NULL))) < 600);
        KBT_OK(live_get(&live, &at, &(struct kb_s3_get){.if_match = object.etag}, &body, &err),
               &err);
        KBT_TEXT(kb_buffer_view(&body), "hello");
        KBT_OK(live_get(&live, &at, &(struct kb_s3_get){.ranged = true, .first = 1, .last = 3},
                        &body, &err),
               &err);
        KBT_TEXT(kb_buffer_view(&body), "ell");
        CU_ASSERT_EQUAL(live_get(&live, &at, &(struct kb_s3_get){.if_match = "other"}, &body, NULL),
                        KB_ERR_INPUT);
        CU_ASSERT_EQUAL(live_get(&live, &at, &(struct kb_s3_get){.ranged = true, .first = 5,
                                                                 .last = UINT64_MAX},
                                 &body, NULL),
                        KB_ERR_USAGE);
        kb_buffer_reset(&body);
        KBT_OK(kb_s3_get_tags(live.s3, &at, &body, &err), &err);
        KBT_TEXT(kb_buffer_view(&body), "a=b%20c&d=");
        KBT_OK(kb_s3_delete_object(live.s3, &at, NULL, &err), &err);
        CU_ASSERT_EQUAL(kb_s3_head_object(live.s3, &at, NULL, &object, NULL), KB_ERR_NOT_FOUND);
        CU_ASSERT_EQUAL(live_get(&live, &at, &(struct kb_s3_get){.ranged = false}, &body, NULL),
                        KB_ERR_NOT_FOUND);
    }
    kb_s3_object_free(&object);
    kb_buffer_free(&body);
    stop_live(&live);
}

/* SSE-C: echoed, and no other key or none opens it. */
static void test_live_keys(void)
{
    struct kb_buffer body = KB_BUFFER_INIT(100);
    struct kb_s3_object object = {0};
    struct kb_error err = {0};
    struct live live = {.s3 = NULL};
    struct kb_s3_name at = {NULL, "sealed", NULL};
    char fingerprint[KB_S3_FINGERPRINT_SIZE];

    if (!start_live(&live))
        return;
    at.bucket = live.bucket;
    KBT_OK(kb_s3_fingerprint(fingerprint, kb_secret_view(live.keys[0]), &err), &err);
    KBT_OK(kb_s3_put_object(live.s3, &at, &(struct kb_s3_put){.encryption = live.under[0]},
                            kb_bytes_text("hello"), &object, &err),
           &err);
    CU_ASSERT_EQUAL(object.sse, KB_S3_SSE_C);
    CU_ASSERT_STRING_EQUAL(object.fingerprint, fingerprint);
    KBT_OK(kb_s3_head_object(live.s3, &at, &live.under[0], &object, &err), &err);
    CU_ASSERT_STRING_EQUAL(object.fingerprint, fingerprint);
    KBT_OK(live_get(&live, &at, &(struct kb_s3_get){.encryption = live.under[0]}, &body, &err),
           &err);
    KBT_TEXT(kb_buffer_view(&body), "hello");
    CU_ASSERT_EQUAL(kb_s3_head_object(live.s3, &at, &live.under[1], &object, NULL), KB_ERR_AUTH);
    CU_ASSERT_EQUAL(kb_s3_head_object(live.s3, &at, NULL, &object, NULL), KB_ERR_AUTH);
    CU_ASSERT_EQUAL(live_get(&live, &at, &(struct kb_s3_get){.encryption = live.under[1]}, &body,
                             &err),
                    KB_ERR_AUTH);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "not under the customer key"));
    kb_error_clear(&err);
    CU_ASSERT_EQUAL(live_get(&live, &at, &(struct kb_s3_get){.ranged = false}, &body, &err),
                    KB_ERR_AUTH);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "none was given"));
    CU_ASSERT_EQUAL(body.size, 0);
    kb_error_clear(&err);
    KBT_OK(kb_s3_delete_object(live.s3, &at, NULL, &err), &err);
    kb_s3_object_free(&object);
    kb_buffer_free(&body);
    stop_live(&live);
}

static void test_live_copy(void)
{
    struct kb_s3_object object = {0};
    struct kb_error err = {0};
    struct live live = {.s3 = NULL};
    struct kb_s3_name from = {NULL, "a b+c", NULL}, to = {NULL, "copy", NULL};
    struct kb_s3_copy copy;

    if (!start_live(&live))
        return;
    from.bucket = to.bucket = live.bucket;
    copy = (struct kb_s3_copy){.from = from, .from_etag = HELLO_MD5};
    KBT_OK(kb_s3_put_object(live.s3, &from, &(struct kb_s3_put){.content_type = "text/x"},
                            kb_bytes_text("hello"), &object, &err),
           &err);
    KBT_OK(kb_s3_copy_object(live.s3, &to, &copy, &object, &err), &err);
    CU_ASSERT_STRING_EQUAL(object.etag, HELLO_MD5);
    KBT_OK(kb_s3_head_object(live.s3, &to, NULL, &object, &err), &err);
    CU_ASSERT_STRING_EQUAL(object.content_type, "text/x");
    /* Ceph copies nothing that it would have to decrypt. */
    KBT_OK(kb_s3_put_object(live.s3, &from, &(struct kb_s3_put){.encryption = live.under[0]},
                            kb_bytes_text("hello"), &object, &err),
           &err);
    copy = (struct kb_s3_copy){.from = from, .from_encryption = live.under[0],
                               .put = {.encryption = live.under[1]}};
    CU_ASSERT_EQUAL(kb_s3_copy_object(live.s3, &to, &copy, &object, NULL), KB_ERR_UNSUPPORTED);
    KBT_OK(kb_s3_delete_object(live.s3, &from, NULL, &err), &err);
    KBT_OK(kb_s3_delete_object(live.s3, &to, NULL, &err), &err);
    kb_s3_object_free(&object);
    stop_live(&live);
}

/* Two parts under a key, and the second half of it copied. */
static void test_live_parts(void)
{
    static uint8_t bytes[5 * 1024 * 1024];
    const struct kb_bytes first = {bytes, sizeof bytes}, second = kb_bytes_text("the end");
    struct kb_buffer body = KB_BUFFER_INIT(sizeof bytes + 100);
    struct kb_s3_part parts[2] = {{.number = 1}, {.number = 2, .md5 = true}};
    struct kb_s3_object object = {0};
    struct kb_error err = {0};
    struct live live = {.s3 = NULL};
    struct kb_s3_name at = {NULL, "parts", NULL};
    struct kb_s3_put how;
    char *upload;

    if (!start_live(&live))
        return;
    at.bucket = live.bucket;
    how = (struct kb_s3_put){.encryption = live.under[0], .content_type = "text/x"};
    KBT_OK(kb_crypto_random(bytes, sizeof bytes, &err), &err);
    KBT_OK(kb_s3_create_upload(live.s3, &at, &how, &upload, &object, &err), &err);
    CU_ASSERT_EQUAL(object.sse, KB_S3_SSE_C);
    KBT_OK(kb_s3_upload_part(live.s3, &at, upload, &parts[0], &how.encryption, first, &object,
                             &err),
           &err);
    CU_ASSERT_EQUAL(object.sse, KB_S3_SSE_C);
    KBT_OK(kb_s3_upload_part(live.s3, &at, upload, &parts[1], &how.encryption, second, &object,
                             &err),
           &err);
    KBT_OK(kb_s3_complete_upload(live.s3, &at, upload, parts, 2, &how, &object, &err), &err);
    KBT_OK(live_get(&live, &at, &(struct kb_s3_get){.encryption = live.under[0]}, &body, &err),
           &err);
    CU_ASSERT_EQUAL(body.size, first.size + second.size);
    CU_ASSERT_TRUE(body.size && memcmp(body.data, bytes, sizeof bytes) == 0);
    KBT_OK(live_get(&live, &at, &(struct kb_s3_get){.encryption = live.under[0], .ranged = true,
                                                    .first = sizeof bytes, .last = UINT64_MAX},
                    &body, &err),
           &err);
    KBT_TEXT(kb_buffer_view(&body), "the end");
    free(upload);
    KBT_OK(kb_s3_create_upload(live.s3, &at, &how, &upload, &object, &err), &err);
    KBT_OK(kb_s3_abort_upload(live.s3, &at, upload, &err), &err);
    CU_ASSERT_EQUAL(kb_s3_abort_upload(live.s3, &at, upload, NULL), KB_ERR_NOT_FOUND);
    free(upload);
    KBT_OK(kb_s3_delete_object(live.s3, &at, NULL, &err), &err);
    kb_s3_object_free(&object);
    kb_buffer_free(&body);
    stop_live(&live);
}

int main(int argc, char **argv)
{
    static const struct kbtest tests[] = {
        {"urls", test_urls},
        {"places", test_places},
        {"realms", test_realms},
        {"keys", test_keys},
        {"put", test_put},
        {"put with KMS", test_put_kms},
        {"put refused", test_put_refused},
        {"put lies", test_put_lies},
        {"get", test_get},
        {"ranges", test_ranges},
        {"get lies", test_get_lies},
        {"errors", test_errors},
        {"expired", test_expired},
        {"key errors", test_key_errors},
        {"head", test_head},
        {"clock", test_clock},
        {"regions", test_regions},
        {"copy", test_copy},
        {"parts", test_parts},
        {"lost completion", test_lost_completion},
        {"tags", test_tags},
        {"live object", test_live_object},
        {"live keys", test_live_keys},
        {"live copy", test_live_copy},
        {"live parts", test_live_parts},
        {NULL, NULL},
    };

    keep_variable(given_id, "AWS_ACCESS_KEY_ID");
    keep_variable(given_secret, "AWS_SECRET_ACCESS_KEY");
    return kbtest_main("s3", tests, argc, argv);
}
