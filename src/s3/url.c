/* SPDX-License-Identifier: Apache-2.0
 *
 * Names of buckets and objects, and the URLs that requests for them go to.
 * Source: "Methods for accessing a general purpose bucket", "Bucket naming
 * rules" and "Naming Amazon S3 objects", Amazon S3 User Guide.
 */
#include "s3/client.h"

#include "aws/sigv4_steps.h"

#include <ctype.h>
#include <string.h>

enum { BUCKET_MIN = 3 };

/* The rules for names of today, with the capitals and underscores that older
 * buckets and other servers have. */
static bool bucket_is_valid(const char *name, size_t size)
{
    if (size < BUCKET_MIN || size > KB_S3_BUCKET_MAX || !isalnum((unsigned char)name[0]) ||
        !isalnum((unsigned char)name[size - 1]))
        return false;
    for (size_t i = 0; i < size; i++)
        if (!isalnum((unsigned char)name[i]) && !strchr("-._", name[i]))
            return false;
    return !memmem(name, size, "..", 2);
}

static enum kb_status refuse_bucket(const char *name, size_t size, struct kb_error *err)
{
    kb_error_set(err, KB_ERR_USAGE, "'%.*s' is not the name of a bucket",
                 (int)(size > 2 * KB_S3_BUCKET_MAX ? 2 * KB_S3_BUCKET_MAX : size), name);
    kb_error_hint(err, "a bucket's name has %d to %d letters, digits, dots and hyphens",
                  BUCKET_MIN, KB_S3_BUCKET_MAX);
    return KB_ERR_USAGE;
}

static enum kb_status check_key(const char *key, struct kb_error *err)
{
    size_t size = strlen(key);

    if (size == 0)
        return kb_error_set(err, KB_ERR_USAGE, "an object's key may not be empty");
    if (size > KB_S3_KEY_MAX) {
        kb_error_set(err, KB_ERR_USAGE, "an object's key of %zu bytes is too long", size);
        kb_error_hint(err, "at most %d bytes of UTF-8", KB_S3_KEY_MAX);
        return KB_ERR_USAGE;
    }
    if (!kb_utf8_valid(kb_bytes_text(key)))
        return kb_error_set(err, KB_ERR_USAGE, "an object's key has to be UTF-8");
    return KB_OK;
}

enum kb_status s3_check_name(const char *bucket, const char *key, struct kb_error *err)
{
    if (!bucket)
        return KB_OK;
    if (!bucket_is_valid(bucket, strlen(bucket)))
        return refuse_bucket(bucket, strlen(bucket), err);
    return key ? check_key(key, err) : KB_OK;
}

enum kb_status kb_s3_url_parse(const char *url, char bucket[KB_S3_BUCKET_MAX + 1],
                               const char **key, struct kb_error *err)
{
    static const char scheme[] = "s3://";
    const char *name = url + sizeof scheme - 1, *slash;
    size_t size;

    bucket[0] = 0;
    *key = NULL;
    if (strncmp(url, scheme, sizeof scheme - 1) != 0) {
        kb_error_set(err, KB_ERR_USAGE, "'%.100s' is not an s3:// URL", url);
        kb_error_hint(err, "write it like s3://bucket/key");
        return KB_ERR_USAGE;
    }
    slash = strchr(name, '/');
    size = slash ? (size_t)(slash - name) : strlen(name);
    if (!bucket_is_valid(name, size))
        return refuse_bucket(name, size, err);
    memcpy(bucket, name, size);
    bucket[size] = 0;
    *key = slash ? slash + 1 : NULL;
    return slash && slash[1] ? check_key(slash + 1, err) : KB_OK;
}

void s3_encode(struct kb_buffer *out, const char *text, bool path)
{
    kb_sigv4_encode(out, kb_bytes_text(text), path);
}

/* --- where a request goes ----------------------------------------------------------- */

/* Certificates of "*.host" are of no use to names with dots. */
static bool fits_host(const char *bucket)
{
    for (; *bucket; bucket++)
        if (!islower((unsigned char)*bucket) && !isdigit((unsigned char)*bucket) &&
            *bucket != '-')
            return false;
    return true;
}

static bool is_virtual(const struct kb_s3 *s3, const char *bucket)
{
    switch (s3->style) {
    case KB_S3_STYLE_PATH:
        return false;
    case KB_S3_STYLE_VIRTUAL:
        return true;
    case KB_S3_STYLE_AUTO:
        break;
    }
    return s3->of_aws && fits_host(bucket);
}

static void put_host(struct kb_buffer *out, const struct kb_s3 *s3, const char *region,
                     const char *bucket)
{
    if (bucket) {
        kb_buffer_put_text(out, bucket);
        kb_buffer_put_u8(out, '.');
    }
    if (!s3->domain) {
        kb_buffer_put_bytes(out, s3->host);
        return;
    }
    kb_buffer_put_text(out, "s3.");
    kb_buffer_put_text(out, region);
    kb_buffer_put_u8(out, '.');
    kb_buffer_put_text(out, s3->domain);
}

enum kb_status s3_place_make(struct s3_place *out, const struct kb_s3 *s3, const char *region,
                             const struct s3_request *request, struct kb_error *err)
{
    const char *bucket = request->bucket;
    bool virtual = bucket && is_virtual(s3, bucket);
    enum kb_status status;

    *out = (struct s3_place){KB_BUFFER_INIT(512), KB_BUFFER_INIT(64 * 1024)};
    put_host(&out->host, s3, region, virtual ? bucket : NULL);
    kb_buffer_put_text(&out->url, s3->scheme);
    kb_buffer_put_bytes(&out->url, kb_buffer_view(&out->host));
    kb_buffer_put_text(&out->url, s3->base);
    kb_buffer_put_u8(&out->url, '/');
    if (bucket && !virtual)
        kb_buffer_put_text(&out->url, bucket);
    if (bucket && !virtual && request->key)
        kb_buffer_put_u8(&out->url, '/');
    if (request->key)
        s3_encode(&out->url, request->key, true);
    if (request->query) {
        kb_buffer_put_u8(&out->url, '?');
        kb_buffer_put_text(&out->url, request->query);
    }
    kb_buffer_put_u8(&out->host, 0);
    kb_buffer_put_u8(&out->url, 0);
    status = kb_buffer_check(&out->host, err);
    return status == KB_OK ? kb_buffer_check(&out->url, err) : status;
}

void s3_place_free(struct s3_place *place)
{
    kb_buffer_free(&place->host);
    kb_buffer_free(&place->url);
}
