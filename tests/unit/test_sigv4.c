/* SPDX-License-Identifier: Apache-2.0
 *
 * Signature Version 4: AWS's own vectors, signing by header and by query, and
 * what the verifier must refuse.
 */
#include "kbtest.h"
#include "rawrequest.h"

#include <keybridge/file.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char key_id[] = "AKIDEXAMPLE", secret[] = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
enum { VECTOR_TIME = 1440938160 }; /* 2015-08-30T12:36:00Z, of every case */

static const struct kb_sigv4_scope *scope(void)
{
    static struct kb_sigv4_scope vector_scope;

    vector_scope = (struct kb_sigv4_scope){VECTOR_TIME, kb_bytes_text("us-east-1"),
                                           kb_bytes_text("service")};
    return &vector_scope;
}

/* --- a case of the vectors ---------------------------------------------------------- */

struct example {
    char folder[512];
    struct kb_buffer files[8];
    size_t used;
    bool normalize, sign_body, omit_token;
    char token[1024];
};

/* The file's bytes, until example_free. */
static struct kb_bytes example_file(struct example *example, const char *name)
{
    struct kb_buffer *buffer = &example->files[example->used++ % 8];
    struct kb_error err = {0};
    char path[1024];

    kb_buffer_free(buffer);
    *buffer = (struct kb_buffer)KB_BUFFER_INIT(1 << 20);
    snprintf(path, sizeof path, "%s/%s", example->folder, name);
    KBT_OK(kb_file_read(buffer, path, &err), &err);
    return kb_buffer_view(buffer);
}

static void example_free(struct example *example)
{
    for (size_t i = 0; i < 8; i++)
        kb_buffer_free(&example->files[i]);
}

/* The settings are few and always written the same way. */
static void example_open(struct example *example, const char *root, const char *name)
{
    struct kb_bytes file;
    char text[4096];
    const char *token;

    memset(example, 0, sizeof *example);
    snprintf(example->folder, sizeof example->folder, "%s/%s", root, name);
    file = example_file(example, "context.json");
    snprintf(text, sizeof text, "%.*s", (int)file.size, (const char *)file.data);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\"timestamp\": \"2015-08-30T12:36:00Z\""));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, secret));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\"expiration_in_seconds\": 3600"));
    example->normalize = strstr(text, "\"normalize\": true") != NULL;
    example->sign_body = strstr(text, "\"sign_body\": true") != NULL;
    example->omit_token = strstr(text, "\"omit_session_token\": true") != NULL;
    token = strstr(text, "\"token\": \"");
    if (token)
        snprintf(example->token, sizeof example->token, "%.*s",
                 (int)strcspn(token + 10, "\""), token + 10);
}

static struct kb_sigv4_keys example_keys(const struct example *example, bool with_token)
{
    return (struct kb_sigv4_keys){kb_bytes_text(key_id), kb_bytes_text(secret),
                                  kb_bytes_text(with_token ? example->token : "")};
}

/* Runs `check` for each case; false when there are no vectors. */
static void each_example(void (*check)(struct example *example))
{
    const char *root = kbtest_vectors("sigv4/v4");
    struct dirent *entry;
    unsigned n = 0;
    DIR *folder = root ? opendir(root) : NULL;

    if (!folder)
        return;
    while ((entry = readdir(folder))) {
        struct example example;
        unsigned failed = CU_get_number_of_failures();

        if (entry->d_name[0] == '.')
            continue;
        example_open(&example, root, entry->d_name);
        check(&example);
        example_free(&example);
        if (CU_get_number_of_failures() != failed)
            fprintf(stderr, "  in %s\n", entry->d_name);
        n++;
    }
    closedir(folder);
    CU_ASSERT_EQUAL(n, 38);
}

static void check_text(struct example *example, struct kb_buffer *got, const char *file)
{
    KBT_BYTES(kb_buffer_view(got), example_file(example, file));
}

static void add_header(struct rawrequest *raw, const char *name, const char *value)
{
    raw->headers[raw->request.header_count].name = kb_bytes_text(name);
    raw->headers[raw->request.header_count++].value = kb_bytes_text(value);
}

static void check_by_header(struct example *example)
{
    struct kb_buffer canonical = KB_BUFFER_INIT(1 << 20), text = KB_BUFFER_INIT(1 << 20);
    struct kb_buffer signature = KB_BUFFER_INIT(4096);
    struct kb_sigv4_keys keys = example_keys(example, true);
    struct kb_error err = {0};
    struct rawrequest raw;
    struct kb_bytes want;

    CU_ASSERT_TRUE_FATAL(rawrequest_parse(&raw, example_file(example, "request.txt")));
    raw.request.as_is = !example->normalize;
    if (example->token[0] && !example->omit_token)
        add_header(&raw, "X-Amz-Security-Token", example->token);
    add_header(&raw, "X-Amz-Date", "20150830T123600Z");
    if (example->sign_body)
        add_header(&raw, "x-amz-content-sha256", raw.hash);
    KBT_OK(kb_sigv4_canonical_request(&canonical, &raw.request, &err), &err);
    check_text(example, &canonical, "header-canonical-request.txt");
    KBT_OK(kb_sigv4_string_to_sign(&text, kb_buffer_view(&canonical), scope(), &err), &err);
    check_text(example, &text, "header-string-to-sign.txt");
    KBT_OK(kb_sigv4_sign(&signature, &raw.request, &keys, scope(), &err), &err);
    want = example_file(example, "header-signature.txt");
    KBT_BYTES(((struct kb_bytes){signature.data + signature.size - 64, 64}), want);
    want = example_file(example, "header-signed-request.txt");
    kb_buffer_put_u8(&signature, 0);
    CU_ASSERT_PTR_NOT_NULL(
        memmem(want.data, want.size, signature.data, strlen((char *)signature.data)));
    kb_buffer_free(&canonical);
    kb_buffer_free(&text);
    kb_buffer_free(&signature);
}

static void test_vectors_header(void)
{
    each_example(check_by_header);
}

static void check_by_query(struct example *example)
{
    struct kb_buffer query = KB_BUFFER_INIT(1 << 20), canonical = KB_BUFFER_INIT(1 << 20);
    struct kb_buffer text = KB_BUFFER_INIT(1 << 20);
    struct kb_sigv4_keys keys = example_keys(example, !example->omit_token);
    struct kb_error err = {0};
    struct rawrequest raw, want_raw;
    struct kb_bytes want, got;
    static const char last[] = "&X-Amz-Signature=";

    CU_ASSERT_TRUE_FATAL(rawrequest_parse(&raw, example_file(example, "request.txt")));
    raw.request.as_is = !example->normalize;
    KBT_OK(kb_sigv4_presign(&query, &raw.request, &keys, scope(), 3600, &err), &err);
    CU_ASSERT_FATAL(query.size > 64 + sizeof last);
    want = example_file(example, "query-signature.txt");
    KBT_BYTES(((struct kb_bytes){query.data + query.size - 64, 64}), want);
    want = example_file(example, "query-signed-request.txt");
    CU_ASSERT_TRUE(rawrequest_parse(&want_raw, want));
    /* A token that is left out of the signature is sent even so. */
    got = kb_buffer_view(&query);
    if (!example->omit_token)
        KBT_BYTES(got, want_raw.request.query);
    raw.request.query = got;
    raw.request.query.size -= 64 + sizeof last - 1;
    KBT_OK(kb_sigv4_canonical_request(&canonical, &raw.request, &err), &err);
    check_text(example, &canonical, "query-canonical-request.txt");
    KBT_OK(kb_sigv4_string_to_sign(&text, kb_buffer_view(&canonical), scope(), &err), &err);
    check_text(example, &text, "query-string-to-sign.txt");
    kb_buffer_free(&query);
    kb_buffer_free(&canonical);
    kb_buffer_free(&text);
}

static void test_vectors_query(void)
{
    each_example(check_by_query);
}

/* --- verifying -------------------------------------------------------------------- */

static bool find_key(void *ctx, struct kb_bytes id, struct kb_bytes *key)
{
    (void)ctx;
    *key = kb_bytes_text(secret);
    return kb_bytes_equal(id, kb_bytes_text(key_id));
}

static enum kb_status verify_at(const struct kb_sigv4_request *request, int64_t now,
                                const char *region, struct kb_error *err)
{
    const struct kb_bytes regions[] = {kb_bytes_text("eu-west-1"), kb_bytes_text(region)};
    const struct kb_sigv4_verifier verifier = {
        .find = find_key,
        .service = kb_bytes_text("service"),
        .regions = regions,
        .region_count = 2,
        .now = now,
    };

    return kb_sigv4_verify(&verifier, request, err);
}

static enum kb_status verify(const struct kb_sigv4_request *request, struct kb_error *err)
{
    return verify_at(request, VECTOR_TIME + 10, "us-east-1", err);
}

static void check_refused(const struct kb_sigv4_request *request, const char *what)
{
    struct kb_error err = {0};
    enum kb_status status = verify(request, &err);

    if (status != KB_ERR_DENIED || err.status != status)
        fprintf(stderr, "%s: %s\n", what, kb_status_name(status));
    CU_ASSERT_EQUAL(status, KB_ERR_DENIED);
    CU_ASSERT_EQUAL(err.status, KB_ERR_DENIED);
}

static struct kb_bytes *header_of(struct rawrequest *raw, const char *name)
{
    for (size_t i = 0; i < raw->request.header_count; i++)
        if (raw->headers[i].name.size == strlen(name) &&
            strncasecmp((const char *)raw->headers[i].name.data, name, strlen(name)) == 0)
            return &raw->headers[i].value;
    CU_FAIL_FATAL("no such header");
    return NULL;
}

/* Every character of a view, changed to another. Blanks are skipped where they
 * may be added and taken without meaning anything. */
static void check_flips(struct rawrequest *raw, struct kb_bytes *view, const char *what)
{
    struct kb_bytes old = *view;
    uint8_t copy[4096];

    CU_ASSERT_FATAL(old.size <= sizeof copy);
    for (size_t i = 0; i < old.size; i++)
        for (unsigned way = 0; way < 3; way++) {
            memcpy(copy, old.data, old.size);
            copy[i] ^= way == 0 ? 1 : way == 1 ? 0x20 : 0x80;
            *view = (struct kb_bytes){copy, old.size};
            check_refused(&raw->request, what);
        }
    for (size_t cut = 0; cut < old.size; cut++) {
        *view = (struct kb_bytes){old.data, cut};
        check_refused(&raw->request, what);
    }
    *view = old;
}

static void check_verify(struct example *example)
{
    struct kb_error err = {0};
    struct kb_bytes text = example_file(example, "header-signed-request.txt");
    struct rawrequest raw;
    enum kb_status status;

    CU_ASSERT_TRUE_FATAL(rawrequest_parse(&raw, text));
    raw.request.as_is = !example->normalize;
    status = verify(&raw.request, &err);
    if (example->omit_token) {
        CU_ASSERT_EQUAL(status, KB_ERR_DENIED);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "not signed"));
        return;
    }
    KBT_OK(status, &err);
    check_flips(&raw, header_of(&raw, "Authorization"), "Authorization");
    check_flips(&raw, header_of(&raw, "X-Amz-Date"), "X-Amz-Date");
    check_flips(&raw, header_of(&raw, "Host"), "Host");
    check_flips(&raw, &raw.request.payload_hash, "body");
    check_flips(&raw, &raw.request.method, "method");
    if (example->sign_body)
        check_flips(&raw, header_of(&raw, "x-amz-content-sha256"), "content hash");
    if (example->token[0])
        check_flips(&raw, header_of(&raw, "x-amz-security-token"), "token");
    KBT_OK(verify(&raw.request, &err), &err);
}

static void test_verify_vectors(void)
{
    each_example(check_verify);
}

/* A request of ours, for which nothing outside is needed. */
struct own {
    struct rawrequest raw;
    struct kb_buffer authorization;
    size_t at; /* index of the Authorization header */
};

static void own_sign(struct own *own, const struct kb_sigv4_scope *at, const char *id,
                     const char *key)
{
    const struct kb_sigv4_keys keys = {kb_bytes_text(id), kb_bytes_text(key), {NULL, 0}};
    struct kb_error err = {0};

    own->authorization = (struct kb_buffer)KB_BUFFER_INIT(4096);
    KBT_OK(kb_sigv4_sign(&own->authorization, &own->raw.request, &keys, at, &err), &err);
    own->at = own->raw.request.header_count;
    own->raw.headers[own->at].name = kb_bytes_text("authorization");
    own->raw.headers[own->at].value = kb_buffer_view(&own->authorization);
    own->raw.request.header_count++;
}

static void own_new(struct own *own)
{
    static const char text[] = "POST /a%20b/c?x=1&y=%20 HTTP/1.1\r\nHost: example.org:8000\r\n"
                               "X-Amz-Date: 20150830T123600Z\r\nX-Amz-Target: T.Op\r\n"
                               "Content-Type: application/json\r\n\r\n{}";

    CU_ASSERT_TRUE_FATAL(rawrequest_parse(&own->raw, kb_bytes_text(text)));
    /* The date is compared as it is sent. */
    header_of(&own->raw, "x-amz-date")->data++;
    header_of(&own->raw, "x-amz-date")->size--;
}

static void test_verify_own(void)
{
    struct own own;
    struct kb_error err = {0};
    struct kb_bytes old;

    own_new(&own);
    own_sign(&own, scope(), key_id, secret);
    KBT_OK(verify(&own.raw.request, &err), &err);
    check_flips(&own.raw, &own.raw.request.query, "query");
    check_flips(&own.raw, &own.raw.request.path, "path");

    old = own.raw.request.path;
    own.raw.request.path = kb_bytes_text("/a%2520b/c");
    check_refused(&own.raw.request, "path encoded twice");
    own.raw.request.path = old;
    own.raw.request.query = kb_bytes_text("&y=+&x=%31");
    KBT_OK(verify(&own.raw.request, &err), &err);
    own.raw.request.query = kb_bytes_text("y=%20&x=1&z");
    check_refused(&own.raw.request, "another parameter");
    own.raw.request.query = kb_bytes_text("x=1&y=%20");

    add_header(&own.raw, "X-Amz-Extra", "1");
    check_refused(&own.raw.request, "X-Amz- header that is not signed");
    own.raw.request.header_count--;
    add_header(&own.raw, "User-Agent", "anything");
    KBT_OK(verify(&own.raw.request, &err), &err);
    own.raw.request.header_count--;
    own.raw.headers[own.raw.request.header_count++] = own.raw.headers[own.at];
    check_refused(&own.raw.request, "Authorization twice");
    own.raw.request.header_count--;
    add_header(&own.raw, "host", "other");
    check_refused(&own.raw.request, "Host twice");
    own.raw.request.header_count--;
    add_header(&own.raw, "X-AMZ-date", "20150830T123600Z");
    check_refused(&own.raw.request, "X-Amz-Date twice");
    own.raw.request.header_count--;
    add_header(&own.raw, "X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD");
    check_refused(&own.raw.request, "another hash of the body");
    own.raw.request.header_count--;
    own.raw.request.header_count = own.at;
    check_refused(&own.raw.request, "no Authorization");
    kb_buffer_free(&own.authorization);
}

/* What is properly signed, but not for this server, or not now. */
static void test_verify_scope(void)
{
    static const struct {
        const char *region, *service, *id, *key;
        int64_t time; /* of the scope; the header has the vectors' */
        bool good;
    } rows[] = {
        {"us-east-1", "service", key_id, secret, VECTOR_TIME, true},
        {"eu-west-1", "service", key_id, secret, VECTOR_TIME, true},
        {"us-east-2", "service", key_id, secret, VECTOR_TIME, false},
        {"us-east-1", "kms", key_id, secret, VECTOR_TIME, false},
        {"us-east-1", "service", "AKIDEXAMPLF", secret, VECTOR_TIME, false},
        {"us-east-1", "service", key_id, "another", VECTOR_TIME, false},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct kb_sigv4_scope at = {rows[i].time, kb_bytes_text(rows[i].region),
                                          kb_bytes_text(rows[i].service)};
        struct own own;

        own_new(&own);
        own_sign(&own, &at, rows[i].id, rows[i].key);
        CU_ASSERT_EQUAL(verify(&own.raw.request, NULL), rows[i].good ? KB_OK : KB_ERR_DENIED);
        kb_buffer_free(&own.authorization);
    }
}

static void test_verify_time(void)
{
    static const struct {
        int64_t off;
        enum kb_status status;
    } rows[] = {{0, KB_OK},           {300, KB_OK},        {-300, KB_OK},
                {301, KB_ERR_DENIED}, {-301, KB_ERR_DENIED}, {86400, KB_ERR_DENIED}};
    struct own own;

    own_new(&own);
    own_sign(&own, scope(), key_id, secret);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        CU_ASSERT_EQUAL(verify_at(&own.raw.request, VECTOR_TIME + rows[i].off, "us-east-1", NULL),
                        rows[i].status);
    kb_buffer_free(&own.authorization);
}

/* Headers that no signer writes. */
static void test_verify_malformed(void)
{
#define CREDENTIAL "Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request"
#define SIGNATURE "Signature=0123456789012345678901234567890123456789012345678901234567890123"
    static const char *const texts[] = {
        "",
        "AWS4-HMAC-SHA256",
        "AWS4-HMAC-SHA256 ",
        "AWS4-HMAC-SHA512 " CREDENTIAL ", SignedHeaders=host;x-amz-date, " SIGNATURE,
        "AWS4-HMAC-SHA256 " CREDENTIAL ", SignedHeaders=host;x-amz-date",
        "AWS4-HMAC-SHA256 " CREDENTIAL ", " SIGNATURE,
        "AWS4-HMAC-SHA256 SignedHeaders=host;x-amz-date, " SIGNATURE,
        "AWS4-HMAC-SHA256 " CREDENTIAL ", SignedHeaders=, " SIGNATURE,
        "AWS4-HMAC-SHA256 " CREDENTIAL ", SignedHeaders=x-amz-date, " SIGNATURE,
        "AWS4-HMAC-SHA256 " CREDENTIAL ", SignedHeaders=x-amz-date;host, " SIGNATURE,
        "AWS4-HMAC-SHA256 " CREDENTIAL ", SignedHeaders=host;host;x-amz-date, " SIGNATURE,
        "AWS4-HMAC-SHA256 " CREDENTIAL ", SignedHeaders=Host;x-amz-date, " SIGNATURE,
        "AWS4-HMAC-SHA256 " CREDENTIAL ", SignedHeaders=host;x-amz-date;zz, " SIGNATURE,
        "AWS4-HMAC-SHA256 " CREDENTIAL ", SignedHeaders=host;x-amz-date, " SIGNATURE "4",
        "AWS4-HMAC-SHA256 Credential=A/20150830/us-east-1/service, SignedHeaders=host;x-amz-date, "
        SIGNATURE,
        "AWS4-HMAC-SHA256 Credential=a/AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        "SignedHeaders=host;x-amz-date, " SIGNATURE,
        "AWS4-HMAC-SHA256 Credential=/20150830/us-east-1/service/aws4_request, "
        "SignedHeaders=host;x-amz-date, " SIGNATURE,
        "Basic dXNlcjpwYXNz",
    };
    struct own own;

    own_new(&own);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        add_header(&own.raw, "Authorization", texts[i]);
        check_refused(&own.raw.request, texts[i]);
        own.raw.request.header_count--;
    }
}

static void test_dates(void)
{
    static const struct {
        int64_t time;
        const char *text;
    } rows[] = {{0, "19700101T000000Z"},
                {VECTOR_TIME, "20150830T123600Z"},
                {INT64_C(1709164799), "20240228T235959Z"},
                {INT64_C(1709251199), "20240229T235959Z"},
                {INT64_C(253402300799), "99991231T235959Z"},
                {INT64_C(253402300800), "00000000T000000Z"},
                {-1, "00000000T000000Z"}};

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[KB_SIGV4_DATE_SIZE];

        kb_sigv4_format_date(text, rows[i].time);
        CU_ASSERT_STRING_EQUAL(text, rows[i].text);
    }
}

/* What is not there cannot be signed. */
static void test_sign_refused(void)
{
    const struct kb_sigv4_keys keys = {kb_bytes_text(key_id), kb_bytes_text(secret), {NULL, 0}};
    static const char *const texts[] = {
        "GET / HTTP/1.1\nX-Amz-Date:20150830T123600Z\n\n",
        "GET / HTTP/1.1\nHost:h\n\n",
        "GET / HTTP/1.1\nHost:h\nX-Amz-Date:20150830T123601Z\n\n",
        "GET / HTTP/1.1\nHost:h\nX-Amz-Date:20150830T123600Z\nA B:c\n\n",
        "G\tT / HTTP/1.1\nHost:h\nX-Amz-Date:20150830T123600Z\n\n",
    };

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct kb_buffer out = KB_BUFFER_INIT(4096);
        struct rawrequest raw;

        CU_ASSERT_TRUE_FATAL(rawrequest_parse(&raw, kb_bytes_text(texts[i])));
        CU_ASSERT_EQUAL(kb_sigv4_sign(&out, &raw.request, &keys, scope(), NULL), KB_ERR_USAGE);
        kb_buffer_free(&out);
    }
}

int main(int argc, char **argv)
{
    static const struct kbtest tests[] = {
        {"dates", test_dates},
        {"sign_refused", test_sign_refused},
        {"vectors_header", test_vectors_header},
        {"vectors_query", test_vectors_query},
        {"verify_vectors", test_verify_vectors},
        {"verify_own", test_verify_own},
        {"verify_scope", test_verify_scope},
        {"verify_time", test_verify_time},
        {"verify_malformed", test_verify_malformed},
        {NULL, NULL},
    };

    return kbtest_main("sigv4", tests, argc, argv);
}
