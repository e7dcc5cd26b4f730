/* SPDX-License-Identifier: Apache-2.0
 *
 * Uploads and downloads of any size against a server that keeps one object and
 * one upload, and misbehaves where it is told to.
 */
#include "httpd.h"
#include "kbtest.h"

#include "crypto/crypto.h"
#include "crypto/digest.h"
#include "s3/transfer.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MIB ((size_t)1 << 20)
enum { PARTS = 8, DATA_MAX = 27 << 20 };

static uint8_t *data; /* of all sources; DATA_MAX bytes that do not repeat */

/* --- the server ------------------------------------------------------------------------- */

enum trouble { NO_TROUBLE, DROP, LOSE_ANSWER, FAIL_500 };

struct part {
    uint8_t *bytes;
    size_t size;
    unsigned version; /* tells ETags of one number apart */
};

struct fake {
    struct httpd *server;
    /* The object. */
    const uint8_t *bytes;
    size_t size;
    uint8_t *stored; /* by an upload */
    /* The upload. */
    bool begun, ended, aborted;
    bool unsigned_parts; /* they come without their hash */
    bool md5;            /* they come with that */
    struct part parts[PARTS];
    unsigned puts, part_puts, gets;
    unsigned tries;        /* that the client has; 0: 1 */
    unsigned cuts;         /* so many bodies are cut in their midst, */
    unsigned cut_status;   /* with that answer, or 0 */
    /* Faults. */
    enum trouble trouble;
    unsigned trouble_part;  /* 0: the beginning, PARTS + 1: the end of the upload */
    unsigned forget_echo;   /* of that part; 0: of the beginning */
    bool echoes;
    enum trouble get_trouble;
    size_t cut;             /* GETs end after as many bytes of the object; 0: they do not */
    unsigned change_from;   /* GETs from this one on are of another object */
    bool wrong_range, wrong_total, no_range, other_version, trickle;
    bool bad;               /* a request had something wrong */
};

static char fingerprint[KB_S3_FINGERPRINT_SIZE]; /* that the server tells */

static void expect(struct fake *fake, bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "server: %s\n", what);
    fake->bad = true;
}

static void echo(struct fake *fake, struct httpd_answer *answer, unsigned part)
{
    if (!fake->echoes || fake->forget_echo == part)
        return;
    httpd_header(answer, "x-amz-server-side-encryption-customer-algorithm", "AES256");
    httpd_header(answer, "x-amz-server-side-encryption-customer-key-MD5", fingerprint);
}

static void etag(struct httpd_answer *answer, unsigned number, unsigned version)
{
    char text[64];

    snprintf(text, sizeof text, "\"%u-%u\"", number, version);
    httpd_header(answer, "ETag", text);
}

static void misbehave(struct httpd_answer *answer, enum trouble trouble)
{
    if (trouble == DROP || trouble == LOSE_ANSWER)
        answer->action = HTTPD_DROP;
    else if (trouble == FAIL_500)
        answer->status = 500;
}

static uint8_t *copy(struct kb_bytes bytes)
{
    uint8_t *out = malloc(bytes.size ? bytes.size : 1);

    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    if (bytes.size)
        memcpy(out, bytes.data, bytes.size);
    return out;
}

static void put_part(struct fake *fake, const struct httpd_request *request,
                     struct httpd_answer *answer, unsigned number)
{
    struct part *part = &fake->parts[number - 1];

    fake->part_puts++;
    expect(fake, number >= 1 && number <= PARTS, "a part's number");
    expect(fake, fake->begun && strstr(request->path, "uploadId=up%2F1"), "no such upload");
    if (fake->trouble_part == number) {
        misbehave(answer, fake->trouble);
        if (fake->trouble == DROP || fake->trouble == FAIL_500)
            return;
    }
    free(part->bytes);
    part->bytes = copy(request->body);
    part->size = request->body.size;
    part->version++;
    etag(answer, number, part->version);
    echo(fake, answer, number);
}

static void complete(struct fake *fake, const struct httpd_request *request,
                     struct httpd_answer *answer)
{
    char *body = strndup((const char *)request->body.data, request->body.size);
    const char *at = body;
    size_t size = 0;

    fake->stored = malloc(DATA_MAX);
    CU_ASSERT_PTR_NOT_NULL_FATAL(fake->stored);
    for (unsigned number = 1; (at = strstr(at, "<PartNumber>")); number++, at++) {
        struct part *part = &fake->parts[number - 1];
        char want[64];

        expect(fake, number <= PARTS && strtoul(at + 12, NULL, 10) == number, "the parts' order");
        snprintf(want, sizeof want, "%u-%u", number, part->version);
        expect(fake, part->bytes && strstr(body, want), "a part's ETag");
        expect(fake, !strstr(at + 12, "<PartNumber>") || part->size >= KB_S3_PART_MIN,
               "a part that is too small");
        memcpy(fake->stored + size, part->bytes, part->size);
        size += part->size;
    }
    free(body);
    fake->bytes = fake->stored;
    fake->size = size;
    fake->ended = true;
    httpd_text(answer, "<CompleteMultipartUploadResult><ETag>\"whole\"</ETag>"
                       "</CompleteMultipartUploadResult>");
    httpd_header(answer, "x-amz-version-id", "v1");
}

static void list_parts(struct fake *fake, struct httpd_answer *answer)
{
    if (!fake->begun) {
        answer->status = 404;
        httpd_text(answer, "<Error><Code>NoSuchUpload</Code></Error>");
        return;
    }
    httpd_text(answer, "<ListPartsResult><IsTruncated>false</IsTruncated>");
    for (unsigned i = 0; i < PARTS; i++)
        if (fake->parts[i].bytes)
            httpd_text(answer,
                       "<Part><PartNumber>%u</PartNumber><ETag>\"%u-%u\"</ETag><Size>%zu</Size>"
                       "</Part>",
                       i + 1, i + 1, fake->parts[i].version, fake->parts[i].size);
    httpd_text(answer, "</ListPartsResult>");
}

static void put_object(struct fake *fake, const struct httpd_request *request,
                       struct httpd_answer *answer)
{
    fake->puts++;
    free(fake->stored);
    fake->bytes = fake->stored = copy(request->body);
    fake->size = request->body.size;
    httpd_header(answer, "ETag", "\"single\"");
    echo(fake, answer, UINT32_MAX);
}

static void post(struct fake *fake, const struct httpd_request *request,
                 struct httpd_answer *answer)
{
    bool begins = strstr(request->path, "?uploads") != NULL;

    if (fake->trouble && fake->trouble_part == (begins ? 0 : PARTS + 1)) {
        misbehave(answer, fake->trouble);
        return;
    }
    if (!begins) {
        complete(fake, request, answer);
        return;
    }
    fake->begun = true;
    httpd_text(answer, "<InitiateMultipartUploadResult><UploadId>up/1</UploadId>"
                       "</InitiateMultipartUploadResult>");
    echo(fake, answer, 0);
}

static void refuse(struct httpd_answer *answer, unsigned status, const char *code)
{
    answer->status = status;
    httpd_text(answer, "<Error><Code>%s</Code></Error>", code);
}

static void get_object(struct fake *fake, const struct httpd_request *request,
                       struct httpd_answer *answer)
{
    const char *range = httpd_get(request, "range"), *match = httpd_get(request, "if-match");
    bool other = fake->change_from && ++fake->gets >= fake->change_from;
    unsigned long long first = 0, last = fake->size - 1;
    char text[128];

    if (match && other && !fake->other_version) {
        refuse(answer, 412, "PreconditionFailed");
        return;
    }
    if (range && !fake->no_range) {
        expect(fake, sscanf(range, "bytes=%llu-%llu", &first, &last) == 2, "the range");
        if (first >= fake->size) {
            refuse(answer, 416, "InvalidRange");
            return;
        }
        if (last >= fake->size)
            last = fake->size - 1;
        answer->status = 206;
        snprintf(text, sizeof text, "bytes %llu-%llu/%zu", first + fake->wrong_range,
                 last + fake->wrong_range, fake->size + (fake->wrong_total && first ? 1 : 0));
        httpd_header(answer, "Content-Range", text);
    }
    httpd_header(answer, "ETag", "\"one\"");
    httpd_header(answer, "x-amz-version-id", other ? "v2" : "v1");
    kb_buffer_put(&answer->body, fake->bytes + first, fake->size ? last + 1 - first : 0);
    misbehave(answer, fake->get_trouble);
    if (fake->cut && first < fake->cut && last >= fake->cut) {
        answer->length_set = true;
        answer->length = answer->body.size;
        answer->body.size = fake->cut - first;
        answer->close_silently = true;
    }
    if (fake->trickle) {
        answer->length_set = true;
        answer->length = answer->body.size;
        answer->body.size = 1;
        answer->close_silently = true;
    }
}

static void check_hash(struct fake *fake, const struct httpd_request *request, bool part)
{
    const char *told = httpd_get(request, "x-amz-content-sha256");
    char is[65];

    if (part && fake->unsigned_parts) {
        expect(fake, told && strcmp(told, "UNSIGNED-PAYLOAD") == 0, "a part that is not signed");
        return;
    }
    expect(fake, kb_crypto_sha256_hex(is, request->body, NULL) == KB_OK, "hashing");
    expect(fake, told && strcmp(told, is) == 0, "the body's hash");
}

static void check_md5(struct fake *fake, const struct httpd_request *request)
{
    const char *told = httpd_get(request, "content-md5");
    char is[KB_MD5_BASE64_SIZE];

    expect(fake, kb_md5_base64(is, request->body, NULL) == KB_OK, "hashing");
    expect(fake, told && strcmp(told, is) == 0, "the body's MD5");
}

static void handle(void *ctx, const struct httpd_request *request, struct httpd_answer *answer)
{
    struct fake *fake = ctx;
    const char *number = strstr(request->path, "partNumber=");

    httpd_header(answer, "Content-Type", "application/xml");
    expect(fake, strncmp(request->path, "/bucket/k%20ey", 14) == 0, "the path");
    if (strcmp(request->method, "GET") != 0)
        check_hash(fake, request, number != NULL);
    if (number && fake->md5)
        check_md5(fake, request);
    if (strcmp(request->method, "PUT") == 0 && number)
        put_part(fake, request, answer, (unsigned)strtoul(number + 11, NULL, 10));
    else if (strcmp(request->method, "PUT") == 0)
        put_object(fake, request, answer);
    else if (strcmp(request->method, "POST") == 0)
        post(fake, request, answer);
    else if (strcmp(request->method, "DELETE") == 0)
        fake->aborted = true;
    else if (strstr(request->path, "uploadId="))
        list_parts(fake, answer);
    else
        get_object(fake, request, answer);
    if (fake->aborted)
        answer->status = 204;
}

enum kb_status __real_s3_call_run(struct kb_s3 *s3, struct s3_call *call, struct kb_error *err);
enum kb_status __wrap_s3_call_run(struct kb_s3 *s3, struct s3_call *call, struct kb_error *err);

/* Customer keys are not sent over http; to this server they are. */
enum kb_status __wrap_s3_call_run(struct kb_s3 *s3, struct s3_call *call, struct kb_error *err)
{
    call->request.with_key = false;
    return __real_s3_call_run(s3, call, err);
}

/* What is said of this server where parts are signed or not. */
static bool secure;

bool __wrap_kb_s3_is_secure(const struct kb_s3 *s3);
bool __wrap_kb_s3_is_secure(const struct kb_s3 *s3)
{
    (void)s3;
    return secure;
}

static const struct kb_s3_name name = {.bucket = "bucket", .key = "k ey"};

static struct kb_s3 *start(struct fake *fake)
{
    struct kb_s3_options options = {.aws = {.region = "r",
                                            .max_tries = fake->tries ? fake->tries : 1,
                                            .connections = 3},
                                    .style = KB_S3_STYLE_PATH};
    struct kb_error err = {0};
    struct kb_s3 *s3;

    fake->server = httpd_start(handle, fake);
    httpd_refuse_bodies(fake->server, 3 * MIB, fake->cut_status, fake->cuts);
    options.aws.endpoint_url = httpd_url(fake->server);
    KBT_OK(kb_s3_open(&s3, &options, &err), &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s3);
    return s3;
}

static void stop(struct fake *fake, struct kb_s3 *s3)
{
    kb_s3_close(s3);
    httpd_stop(fake->server);
    fake->server = NULL;
    CU_ASSERT(!fake->bad);
}

static void clear(struct fake *fake)
{
    for (unsigned i = 0; i < PARTS; i++)
        free(fake->parts[i].bytes);
    free(fake->stored);
}

/* --- sources ---------------------------------------------------------------------------- */

struct source {
    size_t at, size;
    size_t fail_at; /* 0: never */
    unsigned calls_after_end, failures;
};

/* Pieces of odd sizes. */
static enum kb_status read_source(void *ctx, uint8_t *out, size_t room, size_t *size,
                                  struct kb_error *err)
{
    struct source *source = ctx;
    size_t left = source->size - source->at;

    if (source->fail_at && source->at >= source->fail_at && source->failures++)
        CU_FAIL("read after a failure");
    if (source->fail_at && source->at >= source->fail_at)
        return kb_error_set(err, KB_ERR_SYSTEM, "the disk is broken");
    *size = room < left ? room : left;
    if (*size > 1000003)
        *size = 1000003;
    if (*size == 0 && source->calls_after_end++)
        CU_FAIL("read after the end");
    memcpy(out, data + source->at, *size);
    source->at += *size;
    return KB_OK;
}

static void check_sha256(const uint8_t got[32], const uint8_t *bytes, size_t size)
{
    uint8_t want[32];
    struct kb_error err = {0};

    KBT_OK(kb_digest_once(want, KB_DIGEST_SHA256, (struct kb_bytes){bytes, size}, &err), &err);
    KBT_BYTES(((struct kb_bytes){got, 32}), ((struct kb_bytes){want, 32}));
}

/* --- the journal -------------------------------------------------------------------------- */

struct journal {
    char id[64];
    uint64_t part_size;
    struct kb_s3_known_part told[4 * PARTS];
    size_t count, stop_at;
};

static enum kb_status journal_begin(void *ctx, const char *upload, uint64_t part_size,
                                    struct kb_error *err)
{
    struct journal *journal = ctx;

    snprintf(journal->id, sizeof journal->id, "%s", upload);
    journal->part_size = part_size;
    return journal->stop_at == 1 ? kb_error_set(err, KB_ERR_SYSTEM, "full") : KB_OK;
}

static enum kb_status journal_part(void *ctx, const struct kb_s3_part *part,
                                   const uint8_t sha256[32], struct kb_error *err)
{
    struct journal *journal = ctx;
    struct kb_s3_known_part *known = &journal->told[journal->count++];

    CU_ASSERT_FATAL(journal->count < 4 * PARTS);
    known->part = *part;
    memcpy(known->sha256, sha256, 32);
    return journal->stop_at == journal->count + 1 ? kb_error_set(err, KB_ERR_SYSTEM, "full")
                                                  : KB_OK;
}

/* --- uploads ------------------------------------------------------------------------------ */

/* For the log of a test that fails. */
static void say(const struct kb_error *err)
{
    if (err->status != KB_OK)
        fprintf(stderr, "%s: %s\n", kb_status_name(err->status), kb_error_text(err));
}

/* out->object is to be looked at only. */
static enum kb_status upload(struct fake *fake, struct kb_s3_upload *options, size_t size,
                             uint64_t told_size, struct kb_s3_uploaded *out)
{
    struct kb_s3_object told;
    struct kb_s3 *s3 = start(fake);
    struct source bytes = {.size = size};
    struct kb_s3_source source = {.read = read_source, .ctx = &bytes, .size = told_size};
    struct kb_error err = {0};
    enum kb_status status;

    *out = (struct kb_s3_uploaded){.size = 0};
    status = kb_s3_upload(s3, &name, options, &source, out, &err);
    CU_ASSERT_EQUAL(status, err.status);
    say(&err);
    told = out->object;
    kb_s3_object_free(&out->object);
    out->object = told;
    stop(fake, s3);
    return status;
}

static enum kb_status note_progress(void *ctx, uint64_t done, struct kb_error *err)
{
    uint64_t *last = ctx;

    (void)err;
    CU_ASSERT(done >= *last);
    *last = done;
    return KB_OK;
}

static void check_upload(size_t size, bool known, unsigned parts)
{
    struct fake fake = {.size = 0};
    uint64_t done = 0;
    struct kb_s3_upload options = {
        .part_size = KB_S3_PART_MIN, .progress = note_progress, .ctx = &done};
    struct kb_s3_uploaded out;

    CU_ASSERT_EQUAL(upload(&fake, &options, size, known ? size : KB_S3_SIZE_UNKNOWN, &out), KB_OK);
    CU_ASSERT_EQUAL(out.size, size);
    CU_ASSERT_EQUAL(out.parts, parts);
    CU_ASSERT_EQUAL(done, size);
    CU_ASSERT_EQUAL(fake.puts, parts == 0);
    CU_ASSERT_EQUAL(fake.part_puts, parts);
    CU_ASSERT(!fake.aborted && fake.begun == (parts > 0) && fake.ended == (parts > 0));
    CU_ASSERT_STRING_EQUAL(out.object.etag, parts ? "whole" : "single");
    CU_ASSERT_STRING_EQUAL(out.object.version, parts ? "v1" : "");
    CU_ASSERT_EQUAL_FATAL(fake.size, size);
    CU_ASSERT(memcmp(fake.bytes, data, size) == 0);
    check_sha256(out.sha256, data, size);
    clear(&fake);
}

static void test_upload_sizes(void)
{
    static const struct {
        size_t size;
        unsigned parts;
    } sizes[] = {
        {0, 0},           {1, 0},           {5 * MIB - 1, 0},  {5 * MIB, 0},
        {5 * MIB + 1, 2}, {10 * MIB - 1, 2}, {10 * MIB, 2},    {10 * MIB + 1, 3},
        {26 * MIB, 6},
    };

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        check_upload(sizes[i].size, true, sizes[i].parts);
        check_upload(sizes[i].size, false, sizes[i].parts);
    }
}

static void test_upload_single_max(void)
{
    struct fake fake = {.size = 0};
    struct kb_s3_upload options = {.part_size = KB_S3_PART_MIN, .single_max = 20 * MIB};
    struct kb_s3_uploaded out;

    CU_ASSERT_EQUAL(upload(&fake, &options, 20 * MIB, 20 * MIB, &out), KB_OK);
    CU_ASSERT_EQUAL(out.parts, 0);
    CU_ASSERT(fake.size == 20 * MIB && memcmp(fake.bytes, data, fake.size) == 0);
    clear(&fake);
    fake = (struct fake){.size = 0};
    options.single_max = 3;
    CU_ASSERT_EQUAL(upload(&fake, &options, 4, KB_S3_SIZE_UNKNOWN, &out), KB_OK);
    CU_ASSERT(out.parts == 1 && fake.size == 4);
    clear(&fake);
}

/* Over https alone, parts alone, and only when nobody wants them signed. */
static void test_upload_signed(void)
{
    for (unsigned i = 0; i < 8; i++) {
        struct fake fake = {.unsigned_parts = (i & 3) == 1};
        struct kb_s3_upload options = {.part_size = KB_S3_PART_MIN, .sign_payload = i & 2};
        size_t size = i & 4 ? MIB : 11 * MIB;
        struct kb_s3_uploaded out;

        secure = i & 1;
        CU_ASSERT_EQUAL(upload(&fake, &options, size, size, &out), KB_OK);
        CU_ASSERT(fake.size == size && memcmp(fake.bytes, data, size) == 0);
        check_sha256(out.sha256, data, size);
        clear(&fake);
    }
    secure = false;
}

static void test_upload_no_sha256(void)
{
    static const uint8_t none[32];

    for (unsigned journals = 0; journals <= 1; journals++) {
        struct fake fake = {.size = 0};
        struct journal journal = {.count = 0};
        const struct kb_s3_journal told = {journal_begin, journal_part, &journal};
        struct kb_s3_upload options = {.part_size = KB_S3_PART_MIN,
                                       .no_sha256 = true,
                                       .journal = journals ? &told : NULL};
        struct kb_s3_uploaded out;

        CU_ASSERT_EQUAL(upload(&fake, &options, 11 * MIB, 11 * MIB, &out), KB_OK);
        CU_ASSERT(fake.size == 11 * MIB && memcmp(fake.bytes, data, fake.size) == 0);
        CU_ASSERT_EQUAL(memcmp(out.sha256, none, sizeof none) == 0, !journals);
        for (size_t i = 0; i < journal.count; i++)
            check_sha256(journal.told[i].sha256, data,
                         (journal.told[i].part.number - 1) * KB_S3_PART_MIN +
                             journal.told[i].part.size);
        CU_ASSERT_EQUAL(journal.count, journals ? 6 : 0);
        clear(&fake);
    }
}

/* The source has not as many bytes as it said. */
static void test_upload_source(void)
{
    static const struct {
        size_t is, told;
    } sizes[] = {{0, 1},
                 {4, 5},
                 {5, 4},
                 {5 * MIB, 5 * MIB + 1},
                 {5 * MIB + 1, 5 * MIB},
                 {10 * MIB, 10 * MIB + 1},
                 {10 * MIB + 1, 10 * MIB},
                 {10 * MIB - 1, 10 * MIB}};
    struct kb_s3_upload options = {.part_size = KB_S3_PART_MIN};
    struct kb_s3_uploaded out;

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct fake fake = {.size = 0};

        CU_ASSERT_EQUAL(upload(&fake, &options, sizes[i].is, sizes[i].told, &out), KB_ERR_INPUT);
        CU_ASSERT(!fake.ended && !fake.puts);
        CU_ASSERT_EQUAL(fake.begun, fake.aborted);
        clear(&fake);
    }
}

static void test_upload_read_error(void)
{
    for (size_t at = 1; at < 16 * MIB; at += 3 * MIB) {
        struct fake fake = {.size = 0};
        struct kb_s3 *s3 = start(&fake);
        struct source bytes = {.size = 16 * MIB, .fail_at = at};
        struct kb_s3_source source = {
            .read = read_source, .ctx = &bytes, .size = KB_S3_SIZE_UNKNOWN};
        struct kb_s3_upload options = {.part_size = KB_S3_PART_MIN};
        struct kb_s3_uploaded out = {.size = 0};
        struct kb_error err = {0};

        CU_ASSERT_EQUAL(kb_s3_upload(s3, &name, &options, &source, &out, &err), KB_ERR_SYSTEM);
        CU_ASSERT_STRING_EQUAL(err.text, "the disk is broken");
        CU_ASSERT(!fake.ended && !fake.puts);
        stop(&fake, s3);
        CU_ASSERT_EQUAL(fake.begun, fake.aborted);
        clear(&fake);
    }
}

/* A source that is slow behind its first bytes: a byte now and then, or none. */
struct slow {
    struct source bytes;
    bool trickles;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool cancelled;
};

enum { SLOW_SECONDS = 60 }; /* a test that takes so long has failed */

static enum kb_status read_slow(void *ctx, uint8_t *out, size_t room, size_t *size,
                                struct kb_error *err)
{
    static const struct timespec pause = {.tv_nsec = 1000000};
    struct slow *slow = ctx;
    struct timespec until;

    if (slow->bytes.at < slow->bytes.size)
        return read_source(&slow->bytes, out, room, size, err);
    if (slow->trickles && ++slow->bytes.calls_after_end < SLOW_SECONDS * 1000) {
        nanosleep(&pause, NULL);
        *size = 1;
        out[0] = 0;
        return KB_OK;
    }
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += slow->trickles ? 0 : SLOW_SECONDS;
    pthread_mutex_lock(&slow->lock);
    while (!slow->cancelled &&
           pthread_cond_timedwait(&slow->changed, &slow->lock, &until) != ETIMEDOUT)
        ;
    CU_ASSERT(slow->cancelled);
    pthread_mutex_unlock(&slow->lock);
    return kb_error_set(err, KB_ERR_SYSTEM, "nobody reads any more");
}

static void cancel_slow(void *ctx)
{
    struct slow *slow = ctx;

    pthread_mutex_lock(&slow->lock);
    slow->cancelled = true;
    pthread_cond_broadcast(&slow->changed);
    pthread_mutex_unlock(&slow->lock);
}

/* An upload that has failed waits for no more of its source. */
static void test_upload_slow_source(void)
{
    for (unsigned trickles = 0; trickles <= 1; trickles++) {
        struct fake fake = {.trouble = FAIL_500, .trouble_part = 1};
        struct kb_s3 *s3 = start(&fake);
        struct slow slow = {.bytes = {.size = 11 * MIB},
                            .trickles = trickles,
                            .lock = PTHREAD_MUTEX_INITIALIZER,
                            .changed = PTHREAD_COND_INITIALIZER};
        const struct kb_s3_source source = {.read = read_slow,
                                            .ctx = &slow,
                                            .size = KB_S3_SIZE_UNKNOWN,
                                            .cancel = trickles ? NULL : cancel_slow};
        struct kb_s3_upload options = {.part_size = KB_S3_PART_MIN};
        struct kb_s3_uploaded out = {.size = 0};
        struct kb_error err = {0};

        CU_ASSERT_EQUAL(kb_s3_upload(s3, &name, &options, &source, &out, &err), KB_ERR_REMOTE);
        CU_ASSERT(fake.aborted && !fake.ended);
        kb_s3_object_free(&out.object);
        stop(&fake, s3);
        clear(&fake);
    }
}

static void test_upload_usage(void)
{
    struct fake fake = {.size = 0};
    struct kb_s3_upload options = {.part_size = KB_S3_PART_MIN - 1};
    struct kb_s3_uploaded out;

    CU_ASSERT_EQUAL(upload(&fake, &options, 6 * MIB, 6 * MIB, &out), KB_ERR_USAGE);
    options.part_size = KB_S3_PART_MAX + 1;
    CU_ASSERT_EQUAL(upload(&fake, &options, 6 * MIB, KB_S3_SIZE_UNKNOWN, &out), KB_ERR_USAGE);
    options.part_size = KB_S3_PART_MIN;
    CU_ASSERT_EQUAL(upload(&fake, &options, 1, 10000 * KB_S3_PART_MIN + 1, &out), KB_ERR_USAGE);
    CU_ASSERT(!fake.begun && !fake.puts);
    clear(&fake);
}

static enum kb_status read_nowhere(void *ctx, uint64_t offset, uint8_t *out, size_t room,
                                   size_t *got, struct kb_error *err)
{
    (void)ctx;
    (void)offset;
    (void)out;
    (void)room;
    *got = 0;
    return kb_error_set(err, KB_ERR_SYSTEM, "nothing is read");
}

static void check_plan(uint64_t asked, uint64_t size, uint64_t part, size_t memory)
{
    struct kb_s3_upload options = {.part_size = asked};
    struct kb_s3_source source = {.size = size};
    uint64_t largest = size == KB_S3_SIZE_UNKNOWN ? 5 * part : part;
    struct s3_plan plan;
    struct kb_error err = {0};

    KBT_OK(s3_plan_make(&plan, &options, &source, 4, &err), &err);
    CU_ASSERT_EQUAL(plan.part_size, part);
    CU_ASSERT_EQUAL(plan.memory, memory);
    CU_ASSERT_EQUAL(s3_plan_size(&plan, KB_S3_PARTS_MAX), largest);
    CU_ASSERT(!plan.spans);
    /* Of a file nothing else than memory changes. */
    source.read_at = read_nowhere;
    KBT_OK(s3_plan_make(&plan, &options, &source, 4, &err), &err);
    CU_ASSERT_EQUAL(plan.part_size, part);
    CU_ASSERT_EQUAL(plan.spans, size != KB_S3_SIZE_UNKNOWN && part > 8 * MIB);
    CU_ASSERT_EQUAL(plan.memory, plan.spans ? S3_PIECE_SIZE : memory);
    CU_ASSERT_EQUAL(plan.single, plan.spans ? 8 * MIB : part);
    options.memory_max = part;
    KBT_OK(s3_plan_make(&plan, &options, &source, 4, &err), &err);
    CU_ASSERT(!plan.spans);
}

static void test_plan(void)
{
    struct kb_s3_upload options = {.part_size = 0};
    const struct kb_s3_source unknown = {.size = KB_S3_SIZE_UNKNOWN};
    struct s3_plan plan;
    struct kb_error err = {0};
    uint64_t sum = 0;

    check_plan(0, 9 * MIB, 8 * MIB, 32 * MIB);
    check_plan(0, 80000 * MIB, 8 * MIB, 32 * MIB);
    check_plan(0, 80000 * MIB + 1, 9 * MIB, 32 * MIB);
    check_plan(0, UINT64_C(5) << 40, 525 * MIB, 525 * MIB);
    check_plan(5 * MIB, 50000 * MIB, 5 * MIB, 20 * MIB);
    check_plan(5 * MIB, KB_S3_SIZE_UNKNOWN, 5 * MIB, 25 * MIB);
    check_plan(0, KB_S3_SIZE_UNKNOWN, 8 * MIB, 40 * MIB);
    check_plan(200 * MIB, 1024 * MIB, 200 * MIB, 800 * MIB);
    KBT_OK(s3_plan_make(&plan, &options, &unknown, 4, &err), &err);
    for (unsigned i = 1; i <= KB_S3_PARTS_MAX; i++)
        sum += s3_plan_size(&plan, i);
    CU_ASSERT_EQUAL(sum, 30000 * 8 * MIB);
}

/* --- parts that are sent from a file ---------------------------------------------------------- */

enum { LONG_PART = 6 << 20 };

struct file {
    size_t size;
    /* Other bytes, or fewer, are there once so many were read at all. */
    uint64_t change_after, shrink_after, fail_after;
    size_t change_at; /* that byte */
    pthread_mutex_t lock;
    uint64_t bytes_read;
};

static enum kb_status never_read(void *ctx, uint8_t *out, size_t room, size_t *size,
                                 struct kb_error *err)
{
    (void)ctx;
    (void)out;
    (void)room;
    *size = 0;
    CU_FAIL("a file is read from its start");
    return kb_error_set(err, KB_ERR_SYSTEM, "not so");
}

static enum kb_status read_file_at(void *ctx, uint64_t offset, uint8_t *out, size_t room,
                                   size_t *got, struct kb_error *err)
{
    struct file *file = ctx;
    uint64_t size = file->size, before;

    pthread_mutex_lock(&file->lock);
    before = file->bytes_read;
    if (file->shrink_after && before >= file->shrink_after)
        size = file->change_at;
    *got = offset < size ? (size_t)(size - offset) : 0;
    if (*got > room || *got > 100003)
        *got = room < 100003 ? room : 100003;
    file->bytes_read += *got;
    pthread_mutex_unlock(&file->lock);
    if (file->fail_after && before >= file->fail_after)
        return kb_error_set(err, KB_ERR_SYSTEM, "the disk is broken");
    memcpy(out, data + offset, *got);
    if (file->change_after && before >= file->change_after && offset <= file->change_at &&
        file->change_at < offset + *got)
        out[file->change_at - offset] ^= 1;
    return KB_OK;
}

static const struct kb_s3_upload from_file = {.part_size = LONG_PART, .memory_max = 5 * MIB};

static enum kb_status upload_file(struct fake *fake, const struct kb_s3_upload *options,
                                  struct file *file, struct kb_s3_uploaded *out,
                                  struct kb_error *err)
{
    struct kb_s3 *s3 = start(fake);
    const struct kb_s3_source source = {
        .read = never_read, .ctx = file, .size = file->size, .read_at = read_file_at};
    enum kb_status status;

    pthread_mutex_init(&file->lock, NULL);
    *out = (struct kb_s3_uploaded){.size = 0};
    *err = (struct kb_error){.status = KB_OK};
    status = kb_s3_upload(s3, &name, options, &source, out, err);
    CU_ASSERT_EQUAL(status, err->status);
    say(err);
    kb_s3_object_free(&out->object);
    stop(fake, s3);
    pthread_mutex_destroy(&file->lock);
    return status;
}

static void check_stored(const struct fake *fake, const struct kb_s3_uploaded *out, size_t size)
{
    CU_ASSERT(fake->ended && !fake->aborted);
    CU_ASSERT_EQUAL(out->size, size);
    CU_ASSERT_EQUAL(out->parts, (size + LONG_PART - 1) / LONG_PART);
    CU_ASSERT_EQUAL_FATAL(fake->size, size);
    CU_ASSERT(memcmp(fake->bytes, data, size) == 0);
    check_sha256(out->sha256, data, size);
}

/* In all ways that the parts' hashes are sent or not; over one connection and several. */
static void test_file_sizes(void)
{
    static const size_t sizes[] = {5 * MIB + 1,       LONG_PART - 1,     LONG_PART, LONG_PART + 1,
                                   2 * LONG_PART - 1, 2 * LONG_PART + 1, 26 * MIB};

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (unsigned how = 0; how < 8; how += i == 5 ? 1 : 5) {
            struct fake fake = {.md5 = how & 4, .unsigned_parts = (how & 3) == 1};
            struct kb_s3_upload options = from_file;
            struct file file = {.size = sizes[i]};
            struct kb_s3_uploaded out;
            struct kb_error err;
            uint64_t done = 0;

            secure = how & 1;
            options.sign_payload = how & 2;
            options.put.legal_hold = how & 4;
            options.connections = how == 3 ? 1 : 0;
            options.progress = note_progress;
            options.ctx = &done;
            CU_ASSERT_EQUAL(upload_file(&fake, &options, &file, &out, &err), KB_OK);
            check_stored(&fake, &out, sizes[i]);
            CU_ASSERT_EQUAL(done, sizes[i]);
            clear(&fake);
        }
    secure = false;
}

/* The connection ends in the midst of a part, or an error comes there: the part is sent again
 * from its start. Its hash of before the cut does not count. */
static void test_file_cut(void)
{
    for (unsigned status = 0; status <= 503; status += 503) {
        struct fake fake = {.tries = 3, .cuts = 2, .cut_status = status};
        struct file file = {.size = 20 * MIB};
        struct kb_s3_uploaded out;
        struct kb_error err;

        CU_ASSERT_EQUAL(upload_file(&fake, &from_file, &file, &out, &err), KB_OK);
        check_stored(&fake, &out, 20 * MIB);
        CU_ASSERT_EQUAL(fake.part_puts, 4);
        clear(&fake);
        /* Refused for good. */
        fake = (struct fake){.tries = 2, .cuts = 99, .cut_status = status};
        CU_ASSERT_EQUAL(upload_file(&fake, &from_file, &file, &out, &err), KB_ERR_REMOTE);
        CU_ASSERT(fake.aborted && !fake.ended && !fake.part_puts);
        clear(&fake);
    }
}

/* Nothing of a part that is another one when it is sent arrives. */
static void test_file_changes(void)
{
    static const size_t places[] = {0, 3 * MIB, LONG_PART - 1, LONG_PART, 2 * LONG_PART + 7};

    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        for (unsigned shrinks = 0; shrinks <= 1; shrinks++) {
            struct fake fake = {.size = 0};
            struct kb_s3_upload options = from_file;
            struct file file = {.size = 2 * LONG_PART + 8, .change_at = places[i]};
            unsigned part = (unsigned)(places[i] / LONG_PART);
            struct kb_s3_uploaded out;
            struct kb_error err;

            /* One connection: parts are measured and sent in turn. So many bytes were read
             * when this one is about to be sent. */
            options.connections = 1;
            *(shrinks ? &file.shrink_after : &file.change_after) =
                part == 2 ? 4 * LONG_PART + 8 : (2 * part + 1) * (uint64_t)LONG_PART;
            CU_ASSERT_EQUAL(upload_file(&fake, &options, &file, &out, &err), KB_ERR_INPUT);
            CU_ASSERT_STRING_EQUAL(err.text, shrinks
                                                 ? "the source shrank while it was being sent"
                                                 : "the source has changed while it was being "
                                                   "sent");
            CU_ASSERT(fake.aborted && !fake.ended);
            CU_ASSERT(!fake.parts[part].bytes);
            clear(&fake);
        }
}

/* The size is not what was told, or reading fails, in either pass. */
static void test_file_source(void)
{
    struct fake fake = {.size = 0};
    struct file file = {.size = 20 * MIB, .shrink_after = 1, .change_at = 13 * MIB};
    struct kb_s3_uploaded out;
    struct kb_error err;

    CU_ASSERT_EQUAL(upload_file(&fake, &from_file, &file, &out, &err), KB_ERR_INPUT);
    CU_ASSERT_STRING_EQUAL(err.text, "the source shrank while it was being sent");
    CU_ASSERT(fake.aborted && !fake.ended);
    clear(&fake);
    for (uint64_t at = 1; at < 40 * MIB; at += 4 * MIB) {
        fake = (struct fake){.size = 0};
        file = (struct file){.size = 20 * MIB, .fail_after = at};
        CU_ASSERT_EQUAL(upload_file(&fake, &from_file, &file, &out, &err), KB_ERR_SYSTEM);
        CU_ASSERT_STRING_EQUAL(err.text, "the disk is broken");
        CU_ASSERT(fake.aborted && !fake.ended);
        clear(&fake);
    }
}

static void test_file_grows(void)
{
    struct fake fake = {.size = 0};
    struct kb_s3 *s3 = start(&fake);
    struct file file = {.size = 20 * MIB + 1};
    const struct kb_s3_source source = {
        .read = never_read, .ctx = &file, .size = 20 * MIB, .read_at = read_file_at};
    struct kb_s3_uploaded out = {.size = 0};
    struct kb_error err = {0};

    pthread_mutex_init(&file.lock, NULL);
    CU_ASSERT_EQUAL(kb_s3_upload(s3, &name, &from_file, &source, &out, &err), KB_ERR_INPUT);
    CU_ASSERT_STRING_EQUAL(err.text, "the source grew while it was being sent");
    kb_s3_object_free(&out.object);
    stop(&fake, s3);
    CU_ASSERT(fake.aborted && !fake.ended);
    pthread_mutex_destroy(&file.lock);
    clear(&fake);
}

static void test_file_resume(void)
{
    for (unsigned part = 1; part <= 4; part++)
        for (unsigned changes = 0; changes <= 1; changes++) {
            struct fake fake = {.trouble = DROP, .trouble_part = part};
            struct journal journal = {.count = 0};
            const struct kb_s3_journal told = {journal_begin, journal_part, &journal};
            struct kb_s3_upload options = from_file;
            struct file file = {.size = 20 * MIB};
            struct kb_s3_uploaded out;
            struct kb_error err;

            options.connections = 1;
            options.journal = &told;
            options.keep_on_failure = true;
            CU_ASSERT_EQUAL(upload_file(&fake, &options, &file, &out, &err), KB_ERR_REMOTE);
            CU_ASSERT(!fake.aborted && !fake.ended);
            for (size_t i = 0; i < journal.count; i++)
                CU_ASSERT(!journal.told[i].part.from && !journal.told[i].part.sha256);
            fake.trouble = NO_TROUBLE;
            options.resume = journal.id;
            options.known = journal.told;
            options.known_count = journal.count;
            options.connections = 3;
            data[0] ^= (uint8_t)changes;
            CU_ASSERT_EQUAL(upload_file(&fake, &options, &file, &out, &err),
                            changes ? KB_ERR_INPUT : KB_OK);
            if (!changes) {
                check_stored(&fake, &out, 20 * MIB);
                CU_ASSERT_EQUAL(out.parts_kept, part - 1);
            }
            data[0] ^= (uint8_t)changes;
            clear(&fake);
        }
}

/* What fits, or is not known to be long, is read once and in order. */
static void test_file_short(void)
{
    struct fake fake = {.size = 0};
    struct kb_s3_upload options = from_file;
    struct source bytes = {.size = 5 * MIB};
    struct kb_s3_source source = {
        .read = read_source, .ctx = &bytes, .size = 5 * MIB, .read_at = read_nowhere};
    struct kb_s3 *s3 = start(&fake);
    struct kb_s3_uploaded out = {.size = 0};
    struct kb_error err = {0};

    KBT_OK(kb_s3_upload(s3, &name, &options, &source, &out, &err), &err);
    CU_ASSERT(fake.puts == 1 && fake.size == 5 * MIB);
    kb_s3_object_free(&out.object);
    free(fake.stored);
    fake.stored = NULL;
    options.memory_max = LONG_PART;
    bytes = (struct source){.size = 20 * MIB};
    source.size = 20 * MIB;
    KBT_OK(kb_s3_upload(s3, &name, &options, &source, &out, &err), &err);
    kb_s3_object_free(&out.object);
    stop(&fake, s3);
    check_stored(&fake, &out, 20 * MIB);
    clear(&fake);
}

/* --- failures and what follows ---------------------------------------------------------------- */

static void forget(struct fake *fake)
{
    fake->begun = false;
}

static void change(struct fake *fake)
{
    (void)fake;
    data[0] ^= 1;
}

static void nothing(struct fake *fake)
{
    (void)fake;
}

/* Uploads four parts with a fault, then resumes. */
static void fail_and_resume(enum trouble trouble, unsigned part,
                            void (*between)(struct fake *fake), enum kb_status want)
{
    struct fake fake = {.trouble = trouble, .trouble_part = part};
    struct journal journal = {.count = 0};
    const struct kb_s3_journal told = {journal_begin, journal_part, &journal};
    struct kb_s3_upload options = {.part_size = KB_S3_PART_MIN,
                                   .connections = 1,
                                   .journal = &told,
                                   .keep_on_failure = true};
    size_t size = 15 * MIB + 7;
    struct kb_s3_uploaded out;
    unsigned sent;

    CU_ASSERT_EQUAL(upload(&fake, &options, size, size, &out), KB_ERR_REMOTE);
    CU_ASSERT(!fake.aborted && !fake.ended);
    CU_ASSERT_STRING_EQUAL(journal.id, "up/1");
    CU_ASSERT_EQUAL(journal.part_size, KB_S3_PART_MIN);
    sent = fake.part_puts;
    fake.trouble = NO_TROUBLE;
    between(&fake);
    options.resume = journal.id;
    options.known = journal.told;
    options.known_count = journal.count;
    options.connections = 3;
    CU_ASSERT_EQUAL(upload(&fake, &options, size, KB_S3_SIZE_UNKNOWN, &out), want);
    if (want == KB_OK) {
        unsigned kept = part > PARTS ? 4 : part - 1;

        CU_ASSERT_EQUAL(out.parts, 4);
        CU_ASSERT_EQUAL(out.parts_kept, kept);
        CU_ASSERT_EQUAL(fake.part_puts, sent + 4 - kept);
        CU_ASSERT(fake.ended && fake.size == size && memcmp(fake.bytes, data, size) == 0);
        check_sha256(out.sha256, data, size);
    } else {
        CU_ASSERT(!fake.ended && !fake.aborted);
    }
    clear(&fake);
}

static void test_resume(void)
{
    static const enum trouble troubles[] = {DROP, LOSE_ANSWER, FAIL_500};

    for (size_t i = 0; i < sizeof troubles / sizeof *troubles; i++) {
        for (unsigned part = 1; part <= 4; part++)
            fail_and_resume(troubles[i], part, nothing, KB_OK);
        fail_and_resume(troubles[i], PARTS + 1, nothing, KB_OK);
    }
}

static void test_resume_refused(void)
{
    fail_and_resume(DROP, 3, forget, KB_ERR_NOT_FOUND);
    fail_and_resume(DROP, 3, change, KB_ERR_INPUT);
    /* A part that was told and not taken has to be the same, too. */
    fail_and_resume(DROP, 1, change, KB_ERR_INPUT);
}

/* The server has another part than it said, or the source fewer. */
static void test_resume_other(void)
{
    struct fake fake = {.trouble = DROP, .trouble_part = 4};
    struct journal journal = {.count = 0};
    const struct kb_s3_journal told = {journal_begin, journal_part, &journal};
    struct kb_s3_upload options = {.part_size = KB_S3_PART_MIN,
                                   .connections = 1,
                                   .journal = &told,
                                   .keep_on_failure = true};
    struct kb_s3_uploaded out;

    CU_ASSERT_EQUAL(upload(&fake, &options, 16 * MIB, 16 * MIB, &out), KB_ERR_REMOTE);
    fake.trouble = NO_TROUBLE;
    fake.parts[1].version++;
    options.resume = journal.id;
    options.known = journal.told;
    options.known_count = journal.count;
    CU_ASSERT_EQUAL(upload(&fake, &options, 10 * MIB, 10 * MIB, &out), KB_ERR_INPUT);
    CU_ASSERT_EQUAL(upload(&fake, &options, 16 * MIB, 16 * MIB, &out), KB_OK);
    CU_ASSERT_EQUAL(out.parts_kept, 2);
    CU_ASSERT(fake.size == 16 * MIB && memcmp(fake.bytes, data, fake.size) == 0);
    clear(&fake);
}

/* Bytes before a part that was told are those of then, though nobody told of theirs. */
static void test_resume_before(void)
{
    struct fake fake = {.trouble = DROP, .trouble_part = 3};
    struct journal journal = {.count = 0};
    const struct kb_s3_journal told = {journal_begin, journal_part, &journal};
    struct kb_s3_upload options = {.part_size = KB_S3_PART_MIN,
                                   .connections = 1,
                                   .journal = &told,
                                   .keep_on_failure = true};
    struct kb_s3_uploaded out;

    CU_ASSERT_EQUAL(upload(&fake, &options, 16 * MIB, 16 * MIB, &out), KB_ERR_REMOTE);
    CU_ASSERT_EQUAL_FATAL(journal.told[journal.count - 1].part.number, 3);
    fake.trouble = NO_TROUBLE;
    options.resume = journal.id;
    options.known = &journal.told[journal.count - 1];
    options.known_count = 1;
    options.journal = NULL;
    change(&fake);
    CU_ASSERT_EQUAL(upload(&fake, &options, 16 * MIB, 16 * MIB, &out), KB_ERR_INPUT);
    CU_ASSERT(!fake.ended);
    change(&fake);
    CU_ASSERT_EQUAL(upload(&fake, &options, 16 * MIB, 16 * MIB, &out), KB_OK);
    check_sha256(out.sha256, data, 16 * MIB);
    clear(&fake);
}

/* Without a journal nothing stays. */
static void test_abort(void)
{
    for (unsigned part = 0; part <= PARTS + 1; part += part == 4 ? PARTS - 3 : 1) {
        struct fake fake = {.trouble = FAIL_500, .trouble_part = part};
        struct kb_s3_upload options = {.part_size = KB_S3_PART_MIN};
        struct kb_s3_uploaded out;

        CU_ASSERT_EQUAL(upload(&fake, &options, 16 * MIB, 16 * MIB, &out), KB_ERR_REMOTE);
        CU_ASSERT_EQUAL(fake.aborted, part > 0);
        clear(&fake);
    }
}

static void test_journal_fails(void)
{
    for (size_t at = 1; at <= 9; at++) {
        struct fake fake = {.size = 0};
        struct journal journal = {.stop_at = at};
        const struct kb_s3_journal told = {journal_begin, journal_part, &journal};
        struct kb_s3_upload options = {.part_size = KB_S3_PART_MIN, .journal = &told};
        struct kb_s3_uploaded out;

        CU_ASSERT_EQUAL(upload(&fake, &options, 16 * MIB, 16 * MIB, &out), KB_ERR_SYSTEM);
        CU_ASSERT(fake.aborted && !fake.ended);
        clear(&fake);
    }
}

/* An upload is kept only where its name is known. */
static void test_journal_keeps(void)
{
    for (size_t at = 1; at <= 3; at++) {
        struct fake fake = {.trouble = at == 3 ? FAIL_500 : NO_TROUBLE, .trouble_part = 2};
        struct journal journal = {.stop_at = at};
        const struct kb_s3_journal told = {journal_begin, journal_part, &journal};
        struct kb_s3_upload options = {.part_size = KB_S3_PART_MIN,
                                       .journal = at < 3 ? &told : NULL,
                                       .keep_on_failure = true};
        struct kb_s3_uploaded out;

        CU_ASSERT_NOT_EQUAL(upload(&fake, &options, 16 * MIB, 16 * MIB, &out), KB_OK);
        CU_ASSERT(fake.begun && !fake.ended);
        CU_ASSERT_EQUAL(fake.aborted, at != 2);
        clear(&fake);
    }
}

static void test_echo(void)
{
    uint8_t key_bytes[KB_S3_KEY_SIZE] = "0123456789abcdef0123456789abcde";
    struct kb_secret *key;
    struct kb_s3_upload options = {.part_size = KB_S3_PART_MIN, .put.encryption.sse = KB_S3_SSE_C};
    struct kb_s3_uploaded out;
    struct kb_error err = {0};

    KBT_OK(kb_secret_copy(&key, (struct kb_bytes){key_bytes, sizeof key_bytes}, &err), &err);
    KBT_OK(kb_s3_fingerprint(fingerprint, kb_secret_view(key), &err), &err);
    options.put.encryption.customer_key = key;
    /* 5: of no part there is. */
    for (unsigned forgotten = 0; forgotten <= 5; forgotten++) {
        struct fake fake = {.echoes = true, .forget_echo = forgotten};

        CU_ASSERT_EQUAL(upload(&fake, &options, 16 * MIB, 16 * MIB, &out), KB_OK);
        CU_ASSERT_EQUAL(out.echoed, forgotten == 5);
        CU_ASSERT_EQUAL(out.object.sse, KB_S3_SSE_C);
        CU_ASSERT_STRING_EQUAL(out.object.fingerprint, fingerprint);
        clear(&fake);
    }
    for (unsigned echoes = 0; echoes <= 1; echoes++) {
        struct fake fake = {.echoes = echoes, .forget_echo = 1};

        CU_ASSERT_EQUAL(upload(&fake, &options, 16, 16, &out), KB_OK);
        CU_ASSERT_EQUAL(out.echoed, echoes);
        clear(&fake);
    }
    /* The echo of another key is none. */
    for (size_t size = 16; size <= 16 * MIB; size *= MIB) {
        struct fake fake = {.echoes = true, .forget_echo = 99};

        fingerprint[0] ^= 1;
        CU_ASSERT_EQUAL(upload(&fake, &options, size, size, &out), KB_OK);
        CU_ASSERT(!out.echoed);
        fingerprint[0] ^= 1;
        clear(&fake);
    }
    kb_secret_free(key);
}

/* Parts that are kept had their echo before; one without is sent again. */
static void test_resume_echo(void)
{
    uint8_t key_bytes[KB_S3_KEY_SIZE] = "0123456789abcdef0123456789abcde";
    struct kb_secret *key;
    struct kb_error err = {0};

    KBT_OK(kb_secret_copy(&key, (struct kb_bytes){key_bytes, sizeof key_bytes}, &err), &err);
    KBT_OK(kb_s3_fingerprint(fingerprint, kb_secret_view(key), &err), &err);
    /* 9: of no part there is. */
    for (unsigned forgotten = 2; forgotten <= 9; forgotten += 7) {
        struct fake fake = {.echoes = true,
                            .forget_echo = forgotten,
                            .trouble = FAIL_500,
                            .trouble_part = PARTS + 1};
        struct journal journal = {.count = 0};
        const struct kb_s3_journal told = {journal_begin, journal_part, &journal};
        struct kb_s3_upload options = {
            .part_size = KB_S3_PART_MIN,
            .put.encryption = {.sse = KB_S3_SSE_C, .customer_key = key},
            .journal = &told,
            .keep_on_failure = true};
        struct kb_s3_uploaded out;

        CU_ASSERT_EQUAL(upload(&fake, &options, 15 * MIB, 15 * MIB, &out), KB_ERR_REMOTE);
        fake.trouble = NO_TROUBLE;
        fake.forget_echo = 9;
        options.resume = journal.id;
        options.known = journal.told;
        options.known_count = journal.count;
        CU_ASSERT_EQUAL(upload(&fake, &options, 15 * MIB, 15 * MIB, &out), KB_OK);
        CU_ASSERT_EQUAL(out.parts_kept, forgotten == 2 ? 2 : 3);
        CU_ASSERT(out.echoed);
        CU_ASSERT_EQUAL(out.object.sse, KB_S3_SSE_C);
        CU_ASSERT_STRING_EQUAL(out.object.fingerprint, fingerprint);
        CU_ASSERT_STRING_EQUAL(out.object.customer_algorithm, "AES256");
        clear(&fake);
    }
    kb_secret_free(key);
}

/* --- downloads ------------------------------------------------------------------------------ */

enum { PIECE = 100 * 1000 };

struct sink {
    uint8_t *bytes;
    size_t size;
};

static enum kb_status take(void *ctx, struct kb_bytes bytes, struct kb_error *err)
{
    struct sink *sink = ctx;

    (void)err;
    CU_ASSERT_FATAL(sink->size + bytes.size <= DATA_MAX);
    memcpy(sink->bytes + sink->size, bytes.data, bytes.size);
    sink->size += bytes.size;
    return KB_OK;
}

/* Of the object's bytes from..to. */
static enum kb_status download(struct fake *fake, struct kb_s3_download *options, size_t from,
                               size_t to)
{
    struct kb_s3 *s3 = start(fake);
    struct sink sink = {.bytes = malloc(DATA_MAX)};
    struct kb_s3_downloaded out = {.size = 0};
    uint64_t done = 0;
    struct kb_error err = {0};
    enum kb_status status;

    CU_ASSERT_PTR_NOT_NULL_FATAL(sink.bytes);
    options->get.write = take;
    options->get.ctx = &sink;
    options->progress = note_progress;
    options->ctx = &done;
    if (!options->part_size)
        options->part_size = PIECE;
    status = kb_s3_download(s3, &name, options, &out, &err);
    CU_ASSERT_EQUAL(status, err.status);
    say(&err);
    CU_ASSERT_EQUAL(out.size, sink.size);
    /* Nothing wrong is handed over before a failure, either. */
    CU_ASSERT(memcmp(sink.bytes, data + from, sink.size) == 0);
    if (status == KB_OK) {
        CU_ASSERT_EQUAL(sink.size, to - from);
        CU_ASSERT_EQUAL(done, sink.size);
        check_sha256(out.sha256, data + from, to - from);
        CU_ASSERT_STRING_EQUAL(out.object.etag, "one");
        CU_ASSERT_EQUAL(out.object.size, fake->size);
    }
    kb_s3_object_free(&out.object);
    free(sink.bytes);
    stop(fake, s3);
    return status;
}

static void test_download_sizes(void)
{
    static const size_t sizes[] = {0,         1,         PIECE - 1,     PIECE,
                                   PIECE + 1, 2 * PIECE, 2 * PIECE + 1, 25 * PIECE - 1};

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (unsigned connections = 1; connections <= 4; connections += 3) {
            struct fake fake = {.bytes = data, .size = sizes[i]};
            struct kb_s3_download options = {.connections = connections};

            CU_ASSERT_EQUAL(download(&fake, &options, 0, sizes[i]), KB_OK);
        }
}

static void test_download_ranges(void)
{
    static const struct {
        uint64_t first, last;
        size_t end;
    } ranges[] = {
        {0, 0, 1},
        {5, UINT64_MAX, 10 * PIECE},
        {5, 5 + PIECE - 1, 5 + PIECE},
        {5, 5 + PIECE, 6 + PIECE},
        {10 * PIECE - 1, 10 * PIECE - 1, 10 * PIECE},
        {3, 20 * PIECE, 10 * PIECE},
    };
    struct fake fake = {.bytes = data, .size = 10 * PIECE};
    struct kb_s3_download options = {.get.ranged = true};

    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        options.get.first = ranges[i].first;
        options.get.last = ranges[i].last;
        CU_ASSERT_EQUAL(download(&fake, &options, ranges[i].first, ranges[i].end), KB_OK);
    }
    options.get.first = 10 * PIECE;
    options.get.last = UINT64_MAX;
    CU_ASSERT_NOT_EQUAL(download(&fake, &options, 0, 0), KB_OK);
    options.get.last = 3;
    CU_ASSERT_EQUAL(download(&fake, &options, 0, 0), KB_ERR_USAGE);
}

/* The connection ends after any number of bytes: what is missing is asked for. */
static void test_download_cut(void)
{
    static const size_t cuts[] = {1,         PIECE / 2,     PIECE - 1,     PIECE,
                                  PIECE + 1, 2 * PIECE - 1, 2 * PIECE + 1, 5 * PIECE - 1};

    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        struct fake fake = {.bytes = data, .size = 5 * PIECE, .cut = cuts[i]};
        struct kb_s3_download options = {.connections = 3};

        CU_ASSERT_EQUAL(download(&fake, &options, 0, 5 * PIECE), KB_OK);
    }
}

static void test_download_changed(void)
{
    for (unsigned from = 2; from <= 5; from++) {
        struct fake fake = {.bytes = data, .size = 5 * PIECE, .change_from = from};
        struct kb_s3_download options = {.connections = 2};

        CU_ASSERT_EQUAL(download(&fake, &options, 0, 0), KB_ERR_INPUT);
        /* A server that heeds no If-Match. */
        fake.gets = 0;
        fake.other_version = true;
        CU_ASSERT_EQUAL(download(&fake, &options, 0, 0), KB_ERR_INPUT);
    }
}

static void test_download_lies(void)
{
    struct fake wrong_range = {.bytes = data, .size = 5 * PIECE, .wrong_range = true};
    struct fake wrong_total = {.bytes = data, .size = 5 * PIECE, .wrong_total = true};
    struct fake no_range = {.bytes = data, .size = 5 * PIECE, .no_range = true};
    struct fake trickle = {.bytes = data, .size = 5 * PIECE, .trickle = true};
    struct fake drops = {.bytes = data, .size = 5 * PIECE, .get_trouble = DROP};
    struct fake fails = {.bytes = data, .size = 5 * PIECE, .get_trouble = FAIL_500};
    struct kb_s3_download options = {.connections = 2};

    CU_ASSERT_EQUAL(download(&wrong_range, &options, 0, 0), KB_ERR_REMOTE);
    CU_ASSERT_EQUAL(download(&wrong_total, &options, 0, 0), KB_ERR_INPUT);
    CU_ASSERT_EQUAL(download(&no_range, &options, 0, 0), KB_ERR_REMOTE);
    CU_ASSERT_EQUAL(download(&drops, &options, 0, 0), KB_ERR_REMOTE);
    CU_ASSERT_EQUAL(download(&fails, &options, 0, 0), KB_ERR_REMOTE);
    /* A byte a try is no progress. */
    CU_ASSERT_EQUAL(download(&trickle, &options, 0, 0), KB_ERR_REMOTE);
}

/* A server that knows no ranges gives all there is, which is right if it fits the first one. */
static void test_download_whole(void)
{
    static const size_t sizes[] = {0, 1, PIECE};

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct fake fake = {.bytes = data, .size = sizes[i], .no_range = true};
        struct kb_s3_download options = {.connections = 2};

        CU_ASSERT_EQUAL(download(&fake, &options, 0, sizes[i]), KB_OK);
    }
}

static enum kb_status stop_at_once(void *ctx, struct kb_bytes bytes, struct kb_error *err)
{
    unsigned *calls = ctx;

    (void)bytes;
    return ++*calls == 2 ? kb_error_set(err, KB_ERR_SYSTEM, "the disk is full") : KB_OK;
}

/* Nobody who has the next part in hand gives it away then. */
static void test_download_stopped(void)
{
    for (unsigned i = 0; i < 50; i++) {
        struct fake fake = {.bytes = data, .size = 20 * PIECE};
        struct kb_s3 *s3 = start(&fake);
        unsigned calls = 0;
        struct kb_s3_download options = {
            .part_size = PIECE, .get.write = stop_at_once, .get.ctx = &calls};
        struct kb_s3_downloaded out = {.size = 0};
        struct kb_error err = {0};

        CU_ASSERT_EQUAL(kb_s3_download(s3, &name, &options, &out, &err), KB_ERR_SYSTEM);
        CU_ASSERT_STRING_EQUAL(err.text, "the disk is full");
        CU_ASSERT_EQUAL(calls, 2);
        kb_s3_object_free(&out.object);
        stop(&fake, s3);
    }
}

int main(int argc, char **argv)
{
    static const struct kbtest tests[] = {
        {"upload sizes", test_upload_sizes},
        {"upload single_max", test_upload_single_max},
        {"upload signed", test_upload_signed},
        {"upload no_sha256", test_upload_no_sha256},
        {"upload source", test_upload_source},
        {"upload read error", test_upload_read_error},
        {"upload slow source", test_upload_slow_source},
        {"upload usage", test_upload_usage},
        {"plan", test_plan},
        {"file sizes", test_file_sizes},
        {"file cut", test_file_cut},
        {"file changes", test_file_changes},
        {"file source", test_file_source},
        {"file grows", test_file_grows},
        {"file resume", test_file_resume},
        {"file short", test_file_short},
        {"resume", test_resume},
        {"resume refused", test_resume_refused},
        {"resume other", test_resume_other},
        {"resume before", test_resume_before},
        {"abort", test_abort},
        {"journal fails", test_journal_fails},
        {"journal keeps", test_journal_keeps},
        {"resume echo", test_resume_echo},
        {"echo", test_echo},
        {"download sizes", test_download_sizes},
        {"download ranges", test_download_ranges},
        {"download cut", test_download_cut},
        {"download changed", test_download_changed},
        {"download lies", test_download_lies},
        {"download whole", test_download_whole},
        {"download stopped", test_download_stopped},
        {NULL, NULL},
    };
    uint32_t state = 1;
    int result;

    data = malloc(DATA_MAX);
    if (!data)
        return 1;
    for (size_t i = 0; i < DATA_MAX; i++) {
        state = state * 1664525 + 1013904223;
        data[i] = (uint8_t)(state >> 24);
    }
    setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "not-a-secret", 1);
    setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
    result = kbtest_main("s3_transfer", tests, argc, argv);
    free(data);
    return result;
}
