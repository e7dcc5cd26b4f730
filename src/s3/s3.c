/* SPDX-License-Identifier: Apache-2.0
 *
 * The client, and the one way a request takes: names checked, sent to where the
 * bucket is known to be, and once more when that was another region.
 */
#include "s3/client.h"

#include <keybridge/secret.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    /* Silence that ends a request. Copies of large objects take long; servers
     * send blanks meanwhile. */
    STALL_SECONDS = 120,
    HOMES_MAX = 1000, /* buckets whose region is remembered */
};

_Static_assert((int)S3_HEADERS_MAX <= (int)KB_AWS_REST_HEADERS_MAX, "headers of a request");

struct s3_home {
    struct s3_home *next;
    char bucket[KB_S3_BUCKET_MAX + 1];
    char region[S3_REGION_SIZE];
};

static const struct kb_aws_service service = {"s3", NULL, NULL, s3_judge};

/* --- open and close ----------------------------------------------------------------- */

static bool ends_with(struct kb_bytes text, const char *end)
{
    size_t size = strlen(end);

    return text.size >= size && memcmp(text.data + text.size - size, end, size) == 0;
}

static const char *const domains[] = {"amazonaws.com", "amazonaws.com.cn"};

/* The domain when the host is S3's own, of any region: names of buckets are the same
 * at all of them. Not all hosts of the domain are: load balancers of others are there. */
static const char *own_domain(const char *host)
{
    static const char *const kinds[] = {"s3", "s3-fips", "s3.dualstack", "s3-fips.dualstack"};

    for (size_t i = 0; i < sizeof domains / sizeof *domains; i++) {
        for (size_t j = 0; j < sizeof kinds / sizeof *kinds; j++) {
            size_t size = strlen(kinds[j]);
            const char *rest = host + size + 1;

            if (strncmp(host, kinds[j], size) != 0 || host[size] != '.')
                continue;
            if (strcmp(rest, domains[i]) == 0)
                return domains[i];
            rest += strspn(rest, "abcdefghijklmnopqrstuvwxyz0123456789-");
            if (*rest == '.' && strcmp(rest + 1, domains[i]) == 0)
                return domains[i];
        }
    }
    return NULL;
}

/* The endpoint in one spelling: scheme and host in lower case, no port that goes
 * without saying. */
static enum kb_status make_realm(struct kb_s3 *s3, struct kb_error *err)
{
    const char *usual = s3->secure ? ":443" : ":80", *own;
    size_t base = strlen(s3->base), host = s3->host.size;
    char *at;

    /* Room for S3's own name, too. */
    s3->realm = malloc(strlen(s3->scheme) + host + base + 32);
    if (!s3->realm)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    if (ends_with(s3->host, usual))
        host -= strlen(usual);
    at = s3->realm + strlen(s3->scheme);
    memcpy(s3->realm, s3->scheme, strlen(s3->scheme));
    for (size_t i = 0; i < host; i++)
        at[i] = (char)(s3->host.data[i] >= 'A' && s3->host.data[i] <= 'Z' ? s3->host.data[i] + 32
                                                                          : s3->host.data[i]);
    at[host] = 0;
    own = base ? NULL : own_domain(at);
    if (own)
        snprintf(at, host + 32, "s3.%s", own);
    else
        memcpy(at + host, s3->base, base + 1);
    return KB_OK;
}

static void look_at_endpoint(struct kb_s3 *s3)
{
    const char *endpoint = kb_aws_endpoint(s3->aws);
    const char *host = strstr(endpoint, "://") + 3;
    char own[256];

    s3->secure = strncasecmp(endpoint, "https:", 6) == 0;
    s3->scheme = s3->secure ? "https://" : "http://";
    s3->base = host + strcspn(host, "/");
    s3->host = (struct kb_bytes){(const uint8_t *)host, (size_t)(s3->base - host)};
    for (size_t i = 0; i < sizeof domains / sizeof *domains; i++) {
        snprintf(own, sizeof own, ".%s", domains[i]);
        s3->of_aws = s3->of_aws || ends_with(s3->host, own);
        snprintf(own, sizeof own, "https://s3.%s.%s", kb_aws_region(s3->aws), domains[i]);
        if (strcmp(endpoint, own) == 0)
            s3->domain = domains[i];
    }
}

enum kb_status kb_s3_open(struct kb_s3 **out, const struct kb_s3_options *options,
                          struct kb_error *err)
{
    static const struct kb_s3_options none;
    struct kb_s3 *s3 = calloc(1, sizeof *s3);
    enum kb_status status;

    *out = NULL;
    if (!s3)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    pthread_mutex_init(&s3->lock, NULL);
    if (!options)
        options = &none;
    s3->style = options->style;
    status = kb_aws_open(&s3->aws, &service, &options->aws, err);
    if (status != KB_OK) {
        kb_s3_close(s3);
        return status;
    }
    look_at_endpoint(s3);
    status = make_realm(s3, err);
    if (status != KB_OK) {
        kb_s3_close(s3);
        return status;
    }
    *out = s3;
    return KB_OK;
}

void kb_s3_close(struct kb_s3 *s3)
{
    if (!s3)
        return;
    while (s3->homes) {
        struct s3_home *home = s3->homes;

        s3->homes = home->next;
        free(home);
    }
    kb_aws_close(s3->aws);
    free(s3->realm);
    pthread_mutex_destroy(&s3->lock);
    free(s3);
}

const char *kb_s3_endpoint(const struct kb_s3 *s3)
{
    return kb_aws_endpoint(s3->aws);
}

const char *kb_s3_realm(const struct kb_s3 *s3)
{
    return s3->realm;
}

const char *kb_s3_region(const struct kb_s3 *s3)
{
    return kb_aws_region(s3->aws);
}

unsigned kb_s3_connections(const struct kb_s3 *s3)
{
    return kb_aws_connections(s3->aws);
}

bool kb_s3_is_secure(const struct kb_s3 *s3)
{
    return s3->secure;
}

/* --- regions of buckets --------------------------------------------------------------- */

static struct s3_home *find_home(struct kb_s3 *s3, const char *bucket, size_t *count)
{
    struct s3_home *home = s3->homes;

    for (*count = 0; home && strcmp(home->bucket, bucket) != 0; home = home->next)
        (*count)++;
    return home;
}

static void region_of(struct kb_s3 *s3, const char *bucket, char region[S3_REGION_SIZE])
{
    const struct s3_home *home = NULL;
    size_t count;

    pthread_mutex_lock(&s3->lock);
    if (bucket)
        home = find_home(s3, bucket, &count);
    snprintf(region, S3_REGION_SIZE, "%s", home ? home->region : kb_aws_region(s3->aws));
    pthread_mutex_unlock(&s3->lock);
}

/* Without memory, or with very many, it is asked for again each time. */
static void remember(struct kb_s3 *s3, const char *bucket, const char *region)
{
    struct s3_home *home;
    size_t count;

    pthread_mutex_lock(&s3->lock);
    home = find_home(s3, bucket, &count);
    if (!home && count < HOMES_MAX && (home = calloc(1, sizeof *home))) {
        snprintf(home->bucket, sizeof home->bucket, "%s", bucket);
        home->next = s3->homes;
        s3->homes = home;
    }
    if (home)
        snprintf(home->region, sizeof home->region, "%s", region);
    pthread_mutex_unlock(&s3->lock);
}

/* It becomes part of a host's name, and a customer key goes there. */
static bool is_region(const char *text)
{
    size_t size = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-");

    return size > 0 && !text[size] && text[0] != '-' && text[size - 1] != '-';
}

/* Whether the answer says that the bucket is in another region than `region`,
 * which then becomes that one. */
static bool moves(const struct s3_answer *answer, char region[S3_REGION_SIZE])
{
    struct kb_bytes header = s3_answer_header(answer, "x-amz-bucket-region");
    struct s3_trouble trouble;
    char other[S3_REGION_SIZE];

    if (answer->status != 301 && answer->status != 307 && answer->status != 400)
        return false;
    s3_trouble_read(&trouble, kb_buffer_view(&answer->body));
    if (header.size)
        snprintf(other, sizeof other, "%.*s", (int)header.size, (const char *)header.data);
    else
        snprintf(other, sizeof other, "%s", trouble.region);
    if (!is_region(other) || strcmp(other, region) == 0)
        return false;
    memcpy(region, other, sizeof other);
    return true;
}

/* --- a request --------------------------------------------------------------------------- */

void s3_add_header(struct s3_request *request, const char *name, const char *value)
{
    if (request->header_count < S3_HEADERS_MAX)
        request->headers[request->header_count] = (struct kb_http_header){name, value};
    request->header_count++;
}

void s3_answer_free(struct s3_answer *answer)
{
    kb_buffer_free(&answer->body);
    kb_buffer_free(&answer->headers);
    *answer = (struct s3_answer){.status = 0};
}

struct kb_bytes s3_answer_header(const struct s3_answer *answer, const char *name)
{
    return kb_http_find_header(kb_buffer_view(&answer->headers), name);
}

static enum kb_status check_request(const struct kb_s3 *s3, const struct s3_request *request,
                                    struct kb_error *err)
{
    if (request->header_count > S3_HEADERS_MAX) {
        kb_error_set(err, KB_ERR_USAGE, "more headers than a request can have");
        kb_error_hint(err, "give the object less metadata");
        return KB_ERR_USAGE;
    }
    if (request->with_key && !s3->secure) {
        kb_error_set(err, KB_ERR_USAGE, "a customer key is not sent over http: %s",
                     kb_s3_endpoint(s3));
        kb_error_hint(err, "use an endpoint with https; --ca-file names the authority of a "
                           "server with a certificate of its own");
        return KB_ERR_USAGE;
    }
    return s3_check_name(request->bucket, request->key, err);
}

static enum kb_status send_to(struct kb_s3 *s3, const struct s3_request *request,
                              const char *region, struct s3_answer *answer, struct kb_error *err)
{
    struct kb_aws_rest rest = {
        .method = request->method,
        .region = region,
        .headers = request->headers,
        .header_count = request->header_count,
        .source = request->source,
        .sha256 = request->sha256,
        .unsigned_body = request->unsigned_body,
        .secret = request->with_key,
        .stall_s = STALL_SECONDS,
        .begin = request->begin,
        .write = request->write,
        .write_ctx = request->ctx,
        .judge_ctx = request,
    };
    struct kb_aws_call call = {
        .operation = request->operation,
        .body = request->body,
        .repeatable_only_unsent = request->unrepeatable,
        .response_max = S3_XML_MAX,
        .rest = &rest,
    };
    struct s3_place place;
    enum kb_status status = s3_place_make(&place, s3, region, request, err);

    rest.url = (const char *)place.url.data;
    rest.host = (const char *)place.host.data;
    if (status == KB_OK)
        status = kb_aws_call_one(s3->aws, &call, err);
    s3_place_free(&place);
    s3_answer_free(answer);
    answer->status = call.http_status;
    answer->repeated = call.repeated;
    answer->body = call.response;
    answer->headers = call.headers;
    memcpy(answer->code, call.code, sizeof answer->code);
    return status;
}

enum kb_status s3_run(struct kb_s3 *s3, const struct s3_request *request,
                      struct s3_answer *answer, struct kb_error *err)
{
    enum kb_status status = check_request(s3, request, err);
    char region[S3_REGION_SIZE];
    struct kb_error error = {0};

    if (status != KB_OK)
        return status;
    region_of(s3, request->bucket, region);
    status = send_to(s3, request, region, answer, &error);
    if (status != KB_OK && request->bucket && moves(answer, region)) {
        kb_error_clear(&error);
        status = send_to(s3, request, region, answer, &error);
        if (status == KB_OK || answer->status == 404)
            remember(s3, request->bucket, region);
    }
    if (status != KB_OK && err && err->status == KB_OK)
        *err = error;
    return status;
}

/* --- a request being made ---------------------------------------------------------------- */

void s3_call_begin(struct s3_call *call, const char *method, const char *operation,
                   const struct kb_s3_name *name)
{
    *call = (struct s3_call){
        .request = {.method = method,
                    .operation = operation,
                    .bucket = name->bucket,
                    .key = name->key},
        .arena = KB_ARENA_INIT,
        .query = KB_BUFFER_INIT(16 * 1024),
    };
    if (name->version)
        s3_call_query(call, "versionId", name->version);
}

void s3_call_query(struct s3_call *call, const char *name, const char *value)
{
    if (call->query.size)
        kb_buffer_put_u8(&call->query, '&');
    kb_buffer_put_text(&call->query, name);
    if (!value)
        return;
    kb_buffer_put_u8(&call->query, '=');
    s3_encode(&call->query, value, false);
}

enum kb_status s3_call_run(struct kb_s3 *s3, struct s3_call *call, struct kb_error *err)
{
    enum kb_status status;

    if (call->query.size)
        kb_buffer_put_u8(&call->query, 0);
    status = kb_buffer_check(&call->query, err);
    call->request.query = (const char *)call->query.data;
    return status == KB_OK ? s3_run(s3, &call->request, &call->answer, err) : status;
}

void s3_call_end(struct s3_call *call)
{
    s3_answer_free(&call->answer);
    kb_buffer_free(&call->query);
    kb_arena_wipe(&call->arena);
    kb_arena_free(&call->arena);
}
