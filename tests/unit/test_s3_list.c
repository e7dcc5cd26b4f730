/* SPDX-License-Identifier: Apache-2.0
 *
 * Listings and settings of buckets: what is asked, what is made of answers, and
 * what a server that lies gets.
 */
#include "httpd.h"
#include "kbtest.h"

#include <keybridge/s3.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ANSWERS_MAX = 8 };

/* Answers what it is told, the last one for ever. */
struct fake {
    struct httpd *server;
    unsigned status; /* of all; 0: 200 */
    const char *answers[ANSWERS_MAX];
    unsigned asked;
    char method[16], path[ANSWERS_MAX][1024];
    char body[4096], md5[64], lock[16];
};

static void handle(void *ctx, const struct httpd_request *request, struct httpd_answer *answer)
{
    struct fake *fake = ctx;
    unsigned turn = fake->asked < ANSWERS_MAX ? fake->asked : ANSWERS_MAX - 1;
    const char *md5 = httpd_get(request, "content-md5");
    const char *lock = httpd_get(request, "x-amz-bucket-object-lock-enabled");

    snprintf(fake->method, sizeof fake->method, "%s", request->method);
    snprintf(fake->path[turn], sizeof fake->path[turn], "%s", request->path);
    snprintf(fake->body, sizeof fake->body, "%.*s", (int)request->body.size, request->body.data);
    snprintf(fake->md5, sizeof fake->md5, "%s", md5 ? md5 : "");
    snprintf(fake->lock, sizeof fake->lock, "%s", lock ? lock : "");
    while (turn && !fake->answers[turn])
        turn--;
    if (fake->status)
        answer->status = fake->status;
    httpd_header(answer, "Content-Type", "application/xml");
    kb_buffer_put_text(&answer->body, fake->answers[turn] ? fake->answers[turn] : "");
    fake->asked++;
}

static struct kb_s3 *start_in(struct fake *fake, const char *region)
{
    struct kb_s3_options options = {.aws = {.region = region, .max_tries = 1},
                                    .style = KB_S3_STYLE_PATH};
    struct kb_error err = {0};
    struct kb_s3 *s3;

    fake->server = httpd_start(handle, fake);
    options.aws.endpoint_url = httpd_url(fake->server);
    KBT_OK(kb_s3_open(&s3, &options, &err), &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s3);
    return s3;
}

static struct kb_s3 *start(struct fake *fake)
{
    return start_in(fake, "eu-central-1");
}

static void stop(struct fake *fake, struct kb_s3 *s3)
{
    kb_s3_close(s3);
    httpd_stop(fake->server);
}

/* --- listings ------------------------------------------------------------------------- */

struct notes {
    char text[4096];
    unsigned stop_at, count;
};

static enum kb_status note(void *ctx, const struct kb_s3_entry *entry, struct kb_error *err)
{
    struct notes *notes = ctx;
    size_t used = strlen(notes->text);

    if (++notes->count == notes->stop_at)
        return kb_error_set(err, KB_ERR_PARTIAL, "stopped");
    snprintf(notes->text + used, sizeof notes->text - used, "%s%.*s %llu [%.*s] [%.*s] %lld%s%s\n",
             entry->is_prefix          ? "P "
             : entry->is_delete_marker ? "D "
                                       : "",
             (int)entry->key.size, entry->key.data, (unsigned long long)entry->size,
             (int)entry->etag.size, entry->etag.data, (int)entry->version.size,
             entry->version.data, (long long)entry->modified, entry->is_latest ? " latest" : "",
             entry->storage_class.size ? " class" : "");
    return KB_OK;
}

static enum kb_status list(struct fake *fake, const struct kb_s3_list *what, struct notes *notes,
                           struct kb_error *err)
{
    struct kb_s3 *s3 = start(fake);
    enum kb_status status = kb_s3_list(s3, what, note, notes, err);

    stop(fake, s3);
    return status;
}

#define PAGE(truncated, rest)                                                                      \
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult "                               \
    "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><EncodingType>url</EncodingType>"           \
    "<IsTruncated>" truncated "</IsTruncated>" rest "</ListBucketResult>"
#define OBJECT(key)                                                                                \
    "<Contents><Key>" key "</Key><LastModified>1970-01-01T00:01:40.000Z</LastModified>"            \
    "<ETag>&quot;e&quot;</ETag><Size>7</Size><StorageClass>GLACIER</StorageClass></Contents>"
#define TOKEN(token) "<NextContinuationToken>" token "</NextContinuationToken>"

static void test_objects(void)
{
    struct fake fake = {.answers = {PAGE("true", OBJECT("p/a+b%2B%C3%A9%0A") TOKEN("t/+=")),
                                    PAGE("false", OBJECT("p/z") "<CommonPrefixes><Prefix>p/%26/"
                                                                "</Prefix></CommonPrefixes>")}};
    struct kb_s3_list what = {.bucket = "bucket", .prefix = "p/", .delimiter = "/"};
    struct notes notes = {.count = 0};
    struct kb_error err = {0};

    KBT_OK(list(&fake, &what, &notes, &err), &err);
    CU_ASSERT_STRING_EQUAL(notes.text, "p/a b+\xc3\xa9\n 7 [e] [] 100 class\n"
                                       "p/z 7 [e] [] 100 class\n"
                                       "P p/&/ 0 [] [] 0\n");
    CU_ASSERT_EQUAL(fake.asked, 2);
    CU_ASSERT_STRING_EQUAL(fake.path[0],
                           "/bucket?list-type=2&encoding-type=url&prefix=p%2F&delimiter=%2F");
    CU_ASSERT_STRING_EQUAL(fake.path[1], "/bucket?list-type=2&encoding-type=url&prefix=p%2F&"
                                         "delimiter=%2F&continuation-token=t%2F%2B%3D");
}

/* A server that does not encode keys does not say so. */
static void test_plain_keys(void)
{
    struct fake fake = {.answers = {"<ListBucketResult><IsTruncated>false</IsTruncated>"
                                    "<Contents><Key>a+b%2B</Key><Size>0</Size></Contents>"
                                    "</ListBucketResult>"}};
    struct kb_s3_list what = {.bucket = "bucket"};
    struct notes notes = {.count = 0};
    struct kb_error err = {0};

    KBT_OK(list(&fake, &what, &notes, &err), &err);
    CU_ASSERT_STRING_EQUAL(notes.text, "a+b%2B 0 [] [] 0\n");
}

#define VERSIONS(truncated, rest)                                                                  \
    "<ListVersionsResult><EncodingType>url</EncodingType><IsTruncated>" truncated                  \
    "</IsTruncated>" rest "</ListVersionsResult>"
#define A_VERSION(key, id)                                                                         \
    "<Version><Key>" key "</Key><VersionId>" id "</VersionId><IsLatest>true</IsLatest>"            \
    "<Size>1</Size></Version>"
#define MARKERS(key, id)                                                                           \
    "<NextKeyMarker>" key "</NextKeyMarker><NextVersionIdMarker>" id "</NextVersionIdMarker>"

static void test_versions(void)
{
    struct fake fake = {
        .answers = {
            VERSIONS("true", A_VERSION("a%2B", "1") "<DeleteMarker><Key>a%2B</Key><VersionId>null"
                                                  "</VersionId></DeleteMarker>"
                                                  MARKERS("a%2B", "x/")),
            /* As Ceph has it: the marker's key is not encoded. */
            VERSIONS("true", A_VERSION("a%252Bc", "2") MARKERS("a%2Bc", "y")),
            VERSIONS("false", "")}};
    struct kb_s3_list what = {.bucket = "bucket", .versions = true};
    struct notes notes = {.count = 0};
    struct kb_error err = {0};

    KBT_OK(list(&fake, &what, &notes, &err), &err);
    CU_ASSERT_STRING_EQUAL(notes.text, "a+ 1 [] [1] 0 latest\nD a+ 0 [] [null] 0\n"
                                       "a%2Bc 1 [] [2] 0 latest\n");
    CU_ASSERT_STRING_EQUAL(fake.path[0], "/bucket?versions=&encoding-type=url");
    CU_ASSERT_STRING_EQUAL(fake.path[1], "/bucket?versions=&encoding-type=url&key-marker=a%2B&"
                                         "version-id-marker=x%2F");
    CU_ASSERT_STRING_EQUAL(fake.path[2], "/bucket?versions=&encoding-type=url&key-marker=a%252Bc&"
                                         "version-id-marker=y");
}

static void test_uploads(void)
{
    struct fake fake = {
        .answers = {"<ListMultipartUploadsResult><IsTruncated>true</IsTruncated><Upload><Key>k"
                    "</Key><UploadId>u</UploadId><Initiated>1970-01-01T00:00:01Z</Initiated>"
                    "</Upload><NextKeyMarker>k</NextKeyMarker><NextUploadIdMarker>u"
                    "</NextUploadIdMarker></ListMultipartUploadsResult>",
                    "<ListMultipartUploadsResult/>"}};
    struct kb_s3 *s3 = start(&fake);
    struct kb_s3_list what = {.bucket = "bucket"};
    struct notes notes = {.count = 0};
    struct kb_error err = {0};

    KBT_OK(kb_s3_list_uploads(s3, &what, note, &notes, &err), &err);
    CU_ASSERT_STRING_EQUAL(notes.text, "k 0 [] [u] 1\n");
    CU_ASSERT_STRING_EQUAL(fake.path[1],
                           "/bucket?uploads=&encoding-type=url&key-marker=k&upload-id-marker=u");
    stop(&fake, s3);
}

static void test_buckets(void)
{
    struct fake fake = {
        .answers = {"<ListAllMyBucketsResult><Owner/><Buckets><Bucket><Name>one</Name>"
                    "<CreationDate>1970-01-01T00:00:01Z</CreationDate></Bucket><Bucket><Name>two"
                    "</Name></Bucket></Buckets><ContinuationToken>c</ContinuationToken>"
                    "</ListAllMyBucketsResult>",
                    "<ListAllMyBucketsResult><Buckets><Bucket><Name>three</Name></Bucket>"
                    "</Buckets></ListAllMyBucketsResult>"}};
    struct kb_s3 *s3 = start(&fake);
    struct notes notes = {.count = 0};
    struct kb_error err = {0};

    KBT_OK(kb_s3_list_buckets(s3, note, &notes, &err), &err);
    CU_ASSERT_STRING_EQUAL(notes.text, "one 0 [] [] 1\ntwo 0 [] [] 0\nthree 0 [] [] 0\n");
    CU_ASSERT_STRING_EQUAL(fake.path[0], "/");
    CU_ASSERT_STRING_EQUAL(fake.path[1], "/?continuation-token=c");
    stop(&fake, s3);
}

static enum kb_status note_part(void *ctx, const struct kb_s3_part *part, struct kb_error *err)
{
    struct notes *notes = ctx;
    size_t used = strlen(notes->text);

    (void)err;
    snprintf(notes->text + used, sizeof notes->text - used, "%u %llu %s\n", part->number,
             (unsigned long long)part->size, part->etag);
    return KB_OK;
}

static enum kb_status list_parts(const char *first, const char *second, char *text, size_t room)
{
    struct fake fake = {.answers = {first, second}};
    struct kb_s3 *s3 = start(&fake);
    struct kb_s3_name name = {.bucket = "bucket", .key = "a b"};
    struct notes notes = {.count = 0};
    struct kb_error err = {0};
    enum kb_status status = kb_s3_list_parts(s3, &name, "u+", note_part, &notes, &err);

    CU_ASSERT_STRING_EQUAL(fake.path[0], "/bucket/a%20b?uploadId=u%2B");
    if (fake.asked > 1)
        CU_ASSERT_STRING_EQUAL(fake.path[1], "/bucket/a%20b?uploadId=u%2B&part-number-marker=3");
    stop(&fake, s3);
    snprintf(text, room, "%s", notes.text);
    return status;
}

#define PARTS(rest) "<ListPartsResult>" rest "</ListPartsResult>"
#define PART(number, size, etag)                                                                   \
    "<Part><PartNumber>" number "</PartNumber><ETag>" etag "</ETag><Size>" size "</Size></Part>"

static void test_parts(void)
{
    static const char *const lies[] = {
        PARTS(PART("0", "1", "e")),
        PARTS(PART("10001", "1", "e")),
        PARTS(PART("", "1", "e")),
        PARTS(PART("-1", "1", "e")),
        PARTS(PART("2", "1", "e") PART("2", "1", "e")),
        PARTS(PART("2", "1", "e") PART("1", "1", "e")),
        PARTS(PART("1", "5368709121", "e")),
        PARTS(PART("1", "99999999999999999999999", "e")),
        PARTS(PART("1", "1", "")),
        PARTS("<IsTruncated>true</IsTruncated>"),
        "<Other/>",
    };
    char text[4096];

    CU_ASSERT_EQUAL(list_parts(PARTS(PART("1", "5368709120", "&quot;a&quot;")
                                         PART("3", "0", "b") "<IsTruncated>true</IsTruncated>"
                                         "<NextPartNumberMarker>3</NextPartNumberMarker>"),
                               PARTS(PART("10000", "9", "c")), text, sizeof text),
                    KB_OK);
    CU_ASSERT_STRING_EQUAL(text, "1 5368709120 a\n3 0 b\n10000 9 c\n");
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++)
        if (list_parts(lies[i], NULL, text, sizeof text) != KB_ERR_REMOTE)
            CU_FAIL(lies[i]);
}

static void test_lies(void)
{
    static const struct {
        bool versions;
        const char *answers[4];
    } lies[] = {
        {false, {PAGE("true", OBJECT("p/a") TOKEN("t"))}},
        {false, {PAGE("true", TOKEN("t"))}},
        {false, {PAGE("true", TOKEN("t")), PAGE("true", TOKEN("u")), PAGE("true", TOKEN("v")),
                 PAGE("true", TOKEN("v"))}},
        {false, {PAGE("true", OBJECT("p/a"))}},
        {false, {PAGE("false", OBJECT("q/a"))}},
        {false, {PAGE("false", OBJECT("p"))}},
        {false, {PAGE("false", OBJECT(""))}},
        {false, {PAGE("false", OBJECT("p/%"))}},
        {false, {PAGE("false", OBJECT("p/%4"))}},
        {false, {PAGE("false", OBJECT("p/%zz"))}},
        {false, {PAGE("false", OBJECT("p/%00"))}},
        {false, {PAGE("false", OBJECT("p/%FF"))}},
        {false, {PAGE("false", "<CommonPrefixes><Prefix>q/</Prefix></CommonPrefixes>")}},
        {false, {PAGE("false", "<Contents><Key>p/a</Key><Size>-1</Size></Contents>")}},
        {false, {PAGE("false", "<Contents><Key>p/a</Key><Size></Size></Contents>")}},
        {false, {PAGE("false", "<Contents><Key>p/a</Key></Contents>")}},
        {false, {PAGE("false", "<Contents><Key>p/a</Key><Size>9223372036854775808</Size>"
                               "</Contents>")}},
        {false, {"<ListBucketResult>"}},
        {false, {""}},
        {true, {PAGE("false", OBJECT("p/a"))}},
        {true, {VERSIONS("false", A_VERSION("p/a", ""))}},
        {true, {VERSIONS("true", A_VERSION("p/a", "1") MARKERS("p/a", "1"))}},
        {true, {VERSIONS("true", A_VERSION("p/a", "1") MARKERS("", "1"))}},
    };
    struct kb_s3_list what = {.bucket = "bucket", .prefix = "p/"};

    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        struct fake fake = {.status = 0};
        struct notes notes = {.count = 0};
        struct kb_error err = {0};

        memcpy(fake.answers, lies[i].answers, sizeof lies[i].answers);
        what.versions = lies[i].versions;
        if (list(&fake, &what, &notes, &err) != KB_ERR_REMOTE) {
            fprintf(stderr, "%s: %s\n", lies[i].answers[0], kb_error_text(&err));
            CU_FAIL("a lie was taken");
        }
        CU_ASSERT(fake.asked < 8);
    }
}

/* Pages that go round in a circle of any length. */
struct circle {
    unsigned length, asked;
    bool empty;
};

static void answer_circle(void *ctx, const struct httpd_request *request,
                          struct httpd_answer *answer)
{
    struct circle *circle = ctx;

    (void)request;
    if (circle->empty)
        httpd_text(answer, PAGE("true", TOKEN("t%u")), circle->asked++ % circle->length);
    else
        httpd_text(answer, PAGE("true", OBJECT("a") TOKEN("t%u")),
                   circle->asked++ % circle->length);
}

static void run_circle(struct circle *circle)
{
    struct httpd *server = httpd_start(answer_circle, circle);
    struct kb_s3_options options = {
        .aws = {.region = "r", .endpoint_url = httpd_url(server), .max_tries = 1}};
    struct kb_s3_list what = {.bucket = "bucket"};
    struct notes notes = {.count = 0};
    struct kb_error err = {0};
    struct kb_s3 *s3;

    KBT_OK(kb_s3_open(&s3, &options, &err), &err);
    CU_ASSERT_EQUAL(kb_s3_list(s3, &what, note, &notes, &err), KB_ERR_REMOTE);
    kb_s3_close(s3);
    httpd_stop(server);
}

static void test_circle(void)
{
    for (unsigned length = 1; length < 12; length++) {
        struct circle circle = {.length = length};

        run_circle(&circle);
        CU_ASSERT(circle.asked <= 4 * length + 2);
    }
}

/* Pages without entries, each with a new marker. */
static void test_empty_pages(void)
{
    struct circle circle = {.length = UINT32_MAX, .empty = true};

    run_circle(&circle);
    CU_ASSERT_EQUAL(circle.asked, 1001);
}

static void test_stopped(void)
{
    struct fake fake = {.answers = {PAGE("true", OBJECT("a") OBJECT("b") TOKEN("t"))}};
    struct kb_s3_list what = {.bucket = "bucket"};
    struct notes notes = {.stop_at = 2};
    struct kb_error err = {0};

    CU_ASSERT_EQUAL(list(&fake, &what, &notes, &err), KB_ERR_PARTIAL);
    CU_ASSERT_EQUAL(fake.asked, 1);
    fake = (struct fake){.status = 404, .answers = {"<Error><Code>NoSuchBucket</Code></Error>"}};
    kb_error_clear(&err);
    CU_ASSERT_EQUAL(list(&fake, &what, &notes, &err), KB_ERR_NOT_FOUND);
}

/* --- buckets -------------------------------------------------------------------------- */

#define NS " xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\""

static void test_create(void)
{
    struct fake fake = {.answers = {""}};
    struct kb_s3 *s3 = start(&fake);
    struct kb_error err = {0};

    KBT_OK(kb_s3_create_bucket(s3, "bucket", false, &err), &err);
    CU_ASSERT_STRING_EQUAL(fake.method, "PUT");
    CU_ASSERT_STRING_EQUAL(fake.path[0], "/bucket");
    CU_ASSERT_STRING_EQUAL(fake.lock, "");
    CU_ASSERT_STRING_EQUAL(fake.body,
                           "<CreateBucketConfiguration" NS "><LocationConstraint>eu-central-1"
                           "</LocationConstraint></CreateBucketConfiguration>");
    KBT_OK(kb_s3_delete_bucket(s3, "bucket", &err), &err);
    CU_ASSERT_STRING_EQUAL(fake.method, "DELETE");
    stop(&fake, s3);
    s3 = start_in(&fake, "us-east-1");
    KBT_OK(kb_s3_create_bucket(s3, "bucket", true, &err), &err);
    CU_ASSERT_STRING_EQUAL(fake.body, "");
    CU_ASSERT_STRING_EQUAL(fake.lock, "true");
    stop(&fake, s3);
    fake = (struct fake){.status = 409,
                         .answers = {"<Error><Code>BucketAlreadyOwnedByYou</Code></Error>"}};
    s3 = start(&fake);
    CU_ASSERT_EQUAL(kb_s3_create_bucket(s3, "bucket", false, &err), KB_ERR_EXISTS);
    stop(&fake, s3);
}

static void check_versioning(const char *answer, enum kb_status want_status,
                             enum kb_s3_versioning want)
{
    struct fake fake = {.answers = {answer}};
    struct kb_s3 *s3 = start(&fake);
    enum kb_s3_versioning got = KB_S3_VERSIONING_ON;
    struct kb_error err = {0};

    CU_ASSERT_EQUAL(kb_s3_get_versioning(s3, "bucket", &got, &err), want_status);
    CU_ASSERT_EQUAL(got, want);
    CU_ASSERT_STRING_EQUAL(fake.path[0], "/bucket?versioning");
    stop(&fake, s3);
}

static void test_versioning(void)
{
    struct fake fake = {.answers = {""}};
    struct kb_s3 *s3 = start(&fake);
    struct kb_error err = {0};

    KBT_OK(kb_s3_set_versioning(s3, "bucket", true, &err), &err);
    CU_ASSERT_STRING_EQUAL(
        fake.body,
        "<VersioningConfiguration" NS "><Status>Enabled</Status></VersioningConfiguration>");
    CU_ASSERT_EQUAL(strlen(fake.md5), 24);
    stop(&fake, s3);
    check_versioning("<VersioningConfiguration/>", KB_OK, KB_S3_VERSIONING_NEVER);
    check_versioning("<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>",
                     KB_OK, KB_S3_VERSIONING_ON);
    check_versioning("<VersioningConfiguration><Status>Suspended</Status>"
                     "</VersioningConfiguration>",
                     KB_OK, KB_S3_VERSIONING_SUSPENDED);
    check_versioning("<Other><Status>Enabled</Status></Other>", KB_ERR_REMOTE,
                     KB_S3_VERSIONING_NEVER);
}

#define RULE(rest)                                                                                 \
    "<ServerSideEncryptionConfiguration" NS "><Rule>" rest                                         \
    "</Rule></ServerSideEncryptionConfiguration>"
#define BY_DEFAULT(algorithm, rest)                                                                \
    "<ApplyServerSideEncryptionByDefault><SSEAlgorithm>" algorithm "</SSEAlgorithm>" rest          \
    "</ApplyServerSideEncryptionByDefault>"
#define BLOCKED(type)                                                                              \
    "<BlockedEncryptionTypes><EncryptionType>" type "</EncryptionType></BlockedEncryptionTypes>"
#define KMS BY_DEFAULT("aws:kms", "<KMSMasterKeyID>arn&amp;</KMSMasterKeyID>")
#define BUCKET_KEY "<BucketKeyEnabled>true</BucketKeyEnabled>"

static enum kb_status get_rule(unsigned http, const char *answer,
                               struct kb_s3_bucket_encryption *out)
{
    struct fake fake = {.status = http, .answers = {answer}};
    struct kb_s3 *s3 = start(&fake);
    struct kb_error err = {0};
    enum kb_status status = kb_s3_get_bucket_encryption(s3, "bucket", out, &err);

    CU_ASSERT_EQUAL(status == KB_OK, err.status == KB_OK);
    CU_ASSERT_STRING_EQUAL(fake.path[0], "/bucket?encryption");
    stop(&fake, s3);
    return status;
}

static void test_get_encryption(void)
{
    struct kb_s3_bucket_encryption rule;

    CU_ASSERT_EQUAL(get_rule(0, RULE(KMS BUCKET_KEY BLOCKED("SSE-C")), &rule), KB_OK);
    CU_ASSERT_EQUAL(rule.sse, KB_S3_SSE_KMS);
    CU_ASSERT_STRING_EQUAL(rule.kms_key, "arn&");
    CU_ASSERT(rule.bucket_key && rule.blocks_told && rule.blocks_sse_c);
    CU_ASSERT_EQUAL(get_rule(0, RULE(BY_DEFAULT("AES256", "") BLOCKED("NONE")), &rule), KB_OK);
    CU_ASSERT_EQUAL(rule.sse, KB_S3_SSE_S3);
    CU_ASSERT(!rule.bucket_key && rule.blocks_told && !rule.blocks_sse_c);
    CU_ASSERT_EQUAL(get_rule(0, RULE(BY_DEFAULT("aws:kms:dsse", "")), &rule), KB_OK);
    CU_ASSERT(rule.sse == KB_S3_SSE_DSSE && !rule.blocks_told);
    CU_ASSERT_EQUAL(get_rule(404, "<Error><Code>ServerSideEncryptionConfigurationNotFoundError"
                                  "</Code></Error>",
                             &rule),
                    KB_OK);
    CU_ASSERT_EQUAL(rule.sse, KB_S3_SSE_NONE);
    CU_ASSERT_EQUAL(get_rule(404, "<Error><Code>NoSuchBucket</Code></Error>", &rule),
                    KB_ERR_NOT_FOUND);
    CU_ASSERT_EQUAL(get_rule(501, "<Error><Code>NotImplemented</Code></Error>", &rule),
                    KB_ERR_UNSUPPORTED);
    CU_ASSERT_EQUAL(get_rule(400, "<Error><Code>InvalidRequest</Code></Error>", &rule),
                    KB_ERR_UNSUPPORTED);
    CU_ASSERT_EQUAL(get_rule(0, "<ListBucketResult/>", &rule), KB_ERR_UNSUPPORTED);
    CU_ASSERT_EQUAL(get_rule(403, "<Error><Code>AccessDenied</Code></Error>", &rule),
                    KB_ERR_DENIED);
}

/* What is put over `old`. */
static enum kb_status set_rule(const char *old, const struct kb_s3_bucket_encryption *rule,
                               const char *want)
{
    struct fake fake = {.answers = {old}};
    struct kb_s3 *s3 = start(&fake);
    struct kb_error err = {0};
    enum kb_status status = kb_s3_set_bucket_encryption(s3, "bucket", rule, &err);

    CU_ASSERT_STRING_EQUAL(fake.body, want);
    CU_ASSERT_EQUAL(fake.asked, status == KB_OK ? 2 : 1);
    stop(&fake, s3);
    return status;
}

static void test_set_encryption(void)
{
    static const struct kb_s3_bucket_encryption allow = {.blocks_told = true};
    static const struct kb_s3_bucket_encryption aes = {.sse = KB_S3_SSE_S3};
    static const struct kb_s3_bucket_encryption kms = {
        .sse = KB_S3_SSE_KMS, .kms_key = "arn&", .bucket_key = true, .blocks_told = true,
        .blocks_sse_c = true};
    static const struct kb_s3_bucket_encryption sse_c = {.sse = KB_S3_SSE_C};

    CU_ASSERT_EQUAL(set_rule(RULE(KMS BUCKET_KEY BLOCKED("SSE-C")), &allow,
                             RULE(KMS BLOCKED("NONE") BUCKET_KEY)),
                    KB_OK);
    CU_ASSERT_EQUAL(set_rule(RULE(BY_DEFAULT("aws:kms:dsse", "")), &allow,
                             RULE(BY_DEFAULT("aws:kms:dsse", "") BLOCKED("NONE"))),
                    KB_OK);
    CU_ASSERT_EQUAL(set_rule(RULE(""), &allow, RULE(BY_DEFAULT("AES256", "") BLOCKED("NONE"))),
                    KB_OK);
    CU_ASSERT_EQUAL(set_rule(RULE(KMS BUCKET_KEY BLOCKED("SSE-C")), &aes,
                             RULE(BY_DEFAULT("AES256", "") BLOCKED("SSE-C"))),
                    KB_OK);
    CU_ASSERT_EQUAL(set_rule(RULE(BY_DEFAULT("AES256", "")), &aes, RULE(BY_DEFAULT("AES256", ""))),
                    KB_OK);
    CU_ASSERT_EQUAL(set_rule(RULE(BY_DEFAULT("AES256", "")), &kms,
                             RULE(KMS BLOCKED("SSE-C") BUCKET_KEY)),
                    KB_OK);
    CU_ASSERT_EQUAL(set_rule(RULE(BY_DEFAULT("AES256", "")), &sse_c, ""), KB_ERR_USAGE);
    CU_ASSERT_EQUAL(set_rule(RULE(BY_DEFAULT("future", "")), &allow, ""), KB_ERR_REMOTE);
    /* Nothing is put where the call is not known. */
    CU_ASSERT_EQUAL(set_rule("<ListBucketResult/>", &aes, ""), KB_ERR_UNSUPPORTED);
}

static void test_policy(void)
{
    static const char policy[] = "{\"Version\":\"2012-10-17\"}";
    struct fake fake = {.answers = {policy}};
    struct kb_s3 *s3 = start(&fake);
    struct kb_buffer out = KB_BUFFER_INIT(1024);
    struct kb_error err = {0};

    KBT_OK(kb_s3_get_bucket_policy(s3, "bucket", &out, &err), &err);
    KBT_TEXT(kb_buffer_view(&out), policy);
    CU_ASSERT_STRING_EQUAL(fake.path[0], "/bucket?policy");
    KBT_OK(kb_s3_set_bucket_policy(s3, "bucket", kb_bytes_text(policy), &err), &err);
    CU_ASSERT_STRING_EQUAL(fake.body, policy);
    CU_ASSERT_STRING_EQUAL(fake.md5, "i+2NaoBX/LfBm+dRQClEiw==");
    KBT_OK(kb_s3_delete_bucket_policy(s3, "bucket", &err), &err);
    CU_ASSERT_STRING_EQUAL(fake.method, "DELETE");
    CU_ASSERT_STRING_EQUAL(fake.path[2], "/bucket?policy");
    stop(&fake, s3);
    fake = (struct fake){.status = 404,
                         .answers = {"<Error><Code>NoSuchBucketPolicy</Code></Error>"}};
    s3 = start(&fake);
    CU_ASSERT_EQUAL(kb_s3_get_bucket_policy(s3, "bucket", &out, &err), KB_ERR_NOT_FOUND);
    stop(&fake, s3);
    kb_buffer_free(&out);
}

int main(int argc, char **argv)
{
    static const struct kbtest tests[] = {
        {"objects", test_objects},       {"plain keys", test_plain_keys},
        {"versions", test_versions},     {"uploads", test_uploads},
        {"buckets", test_buckets},       {"parts", test_parts},
        {"lies", test_lies},             {"circle", test_circle},
        {"empty pages", test_empty_pages},
        {"stopped", test_stopped},       {"create", test_create},
        {"versioning", test_versioning}, {"get encryption", test_get_encryption},
        {"set encryption", test_set_encryption}, {"policy", test_policy},
        {NULL, NULL},
    };

    setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "not-a-secret", 1);
    setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
    return kbtest_main("s3_list", tests, argc, argv);
}
