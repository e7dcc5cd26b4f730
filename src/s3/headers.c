/* SPDX-License-Identifier: Apache-2.0
 *
 * Headers of objects, written and read. Source: "PutObject", "GetObject",
 * "HeadObject", Amazon S3 API Reference.
 */
#include "s3/s3.h"

#include <keybridge/secret.h>

#include "attr/attr.h"
#include "base/text.h"
#include "crypto/digest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define META "x-amz-meta-"

enum { VALUE_MAX = 16 * 1024 };

/* --- writing ------------------------------------------------------------------------------ */

/* A terminated copy; NULL without memory. */
static const char *keep(struct kb_arena *arena, struct kb_bytes text)
{
    char *copy = kb_arena_take(arena, text.size + 1);

    if (!copy)
        return NULL;
    if (text.size)
        memcpy(copy, text.data, text.size);
    copy[text.size] = 0;
    return copy;
}

/* The value of `bytes` in base64, of the arena. */
static const char *keep_base64(struct kb_arena *arena, struct kb_bytes bytes)
{
    struct kb_buffer text = KB_BUFFER_INIT(VALUE_MAX);
    const char *copy;

    text.wipe = true;
    kb_base64_format(&text, bytes);
    copy = text.failed ? NULL : keep(arena, kb_buffer_view(&text));
    kb_buffer_free(&text);
    return copy;
}

static enum kb_status no_memory(struct kb_error *err)
{
    return kb_error_set(err, KB_ERR_MEMORY, "no memory");
}

enum kb_status kb_s3_fingerprint(char out[KB_S3_FINGERPRINT_SIZE], struct kb_bytes customer_key,
                                 struct kb_error *err)
{
    return kb_md5_base64(out, customer_key, err);
}

enum kb_status s3_add_customer_key(struct s3_request *request,
                                   const struct kb_s3_encryption *encryption, bool copied,
                                   struct kb_arena *arena, struct kb_error *err)
{
    static const char *const names[2][3] = {
        {"x-amz-server-side-encryption-customer-algorithm",
         "x-amz-server-side-encryption-customer-key",
         "x-amz-server-side-encryption-customer-key-MD5"},
        {"x-amz-copy-source-server-side-encryption-customer-algorithm",
         "x-amz-copy-source-server-side-encryption-customer-key",
         "x-amz-copy-source-server-side-encryption-customer-key-MD5"},
    };
    char fingerprint[KB_S3_FINGERPRINT_SIZE];
    struct kb_bytes bytes;
    const char *key, *mark;
    enum kb_status status;

    if (encryption->sse != KB_S3_SSE_C)
        return KB_OK;
    if (!encryption->customer_key ||
        kb_secret_view(encryption->customer_key).size != KB_S3_KEY_SIZE)
        return kb_error_set(err, KB_ERR_USAGE, "a customer key has %d bytes", KB_S3_KEY_SIZE);
    request->with_key = true;
    bytes = kb_secret_view(encryption->customer_key);
    status = kb_s3_fingerprint(fingerprint, bytes, err);
    if (status != KB_OK)
        return status;
    key = keep_base64(arena, bytes);
    mark = keep(arena, kb_bytes_text(fingerprint));
    if (!key || !mark)
        return no_memory(err);
    s3_add_header(request, names[copied][0], "AES256");
    s3_add_header(request, names[copied][1], key);
    s3_add_header(request, names[copied][2], mark);
    return KB_OK;
}

/* The encryption context: JSON in base64. */
static const char *keep_context(struct kb_arena *arena, const struct kb_s3_encryption *encryption)
{
    struct kb_buffer json = KB_BUFFER_INIT(VALUE_MAX / 2);
    const char *copy;

    kb_buffer_put_u8(&json, '{');
    for (size_t i = 0; i < encryption->kms_context_count; i++) {
        if (i)
            kb_buffer_put_u8(&json, ',');
        kb_json_put_text(&json, encryption->kms_context[i].name);
        kb_buffer_put_u8(&json, ':');
        kb_json_put_text(&json, encryption->kms_context[i].value);
    }
    kb_buffer_put_u8(&json, '}');
    copy = json.failed ? NULL : keep_base64(arena, kb_buffer_view(&json));
    kb_buffer_free(&json);
    return copy;
}

enum kb_status s3_add_encryption(struct s3_request *request,
                                 const struct kb_s3_encryption *encryption,
                                 struct kb_arena *arena, struct kb_error *err)
{
    static const char name[] = "x-amz-server-side-encryption";

    switch (encryption->sse) {
    case KB_S3_SSE_NONE:
        return KB_OK;
    case KB_S3_SSE_C:
        return s3_add_customer_key(request, encryption, false, arena, err);
    case KB_S3_SSE_S3:
        s3_add_header(request, name, "AES256");
        return KB_OK;
    case KB_S3_SSE_KMS:
        break;
    case KB_S3_SSE_DSSE:
    case KB_S3_SSE_OTHER:
        return kb_error_set(err, KB_ERR_USAGE, "this kind of encryption cannot be asked for");
    }
    s3_add_header(request, name, "aws:kms");
    if (encryption->kms_key)
        s3_add_header(request, "x-amz-server-side-encryption-aws-kms-key-id",
                      encryption->kms_key);
    if (encryption->bucket_key)
        s3_add_header(request, "x-amz-server-side-encryption-bucket-key-enabled", "true");
    if (encryption->kms_context_count) {
        const char *context = keep_context(arena, encryption);

        if (!context)
            return kb_error_set(err, KB_ERR_USAGE, "the encryption context is too long");
        s3_add_header(request, "x-amz-server-side-encryption-context", context);
    }
    return KB_OK;
}

/* Values go out as they are: no server agrees with another on what else than
 * printable ASCII would mean. Blanks at the ends are lost on the way. */
static bool is_carried(struct kb_bytes value)
{
    for (size_t i = 0; i < value.size; i++)
        if (value.data[i] < 0x20 || value.data[i] > 0x7e)
            return false;
    return value.size == 0 || (value.data[0] != ' ' && value.data[value.size - 1] != ' ');
}

/* RFC 9110, section 5.6.2. */
static bool is_name(struct kb_bytes name)
{
    for (size_t i = 0; i < name.size; i++) {
        uint8_t c = name.data[i];

        if (!((c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
              (c && strchr("!#$%&'*+-.^_`|~", c))))
            return false;
    }
    return name.size > 0;
}

static enum kb_status refuse_value(const char *name, struct kb_error *err)
{
    kb_error_set(err, KB_ERR_USAGE, "the value of %s cannot be sent in a header of HTTP", name);
    kb_error_hint(err, "it may have printable ASCII characters, and no blanks at its ends");
    return KB_ERR_USAGE;
}

/* Headers of the same name would be one: "a" and "A", too. */
static bool is_twice(const struct kb_s3_put *put, size_t at)
{
    struct kb_bytes name = put->metadata[at].name;

    for (size_t i = 0; i < at; i++)
        if (put->metadata[i].name.size == name.size &&
            strncasecmp((const char *)put->metadata[i].name.data, (const char *)name.data,
                        name.size) == 0)
            return true;
    return false;
}

static enum kb_status check_metadata(const struct kb_s3_put *put, struct kb_error *err)
{
    for (size_t i = 0; i < put->metadata_count; i++) {
        struct kb_bytes name = put->metadata[i].name;
        int shown = (int)(name.size < 100 ? name.size : 100);
        char header[sizeof META + 100];

        if (!is_name(name)) {
            kb_error_set(err, KB_ERR_USAGE, "'%.*s' cannot be the name of metadata", shown,
                         (const char *)name.data);
            kb_error_hint(err, "names have letters, digits and some of -_. without blanks");
            return KB_ERR_USAGE;
        }
        snprintf(header, sizeof header, META "%.*s", shown, (const char *)name.data);
        if (!is_carried(put->metadata[i].value))
            return refuse_value(header, err);
        if (is_twice(put, i))
            return kb_error_set(err, KB_ERR_USAGE, "%s is there twice", header);
    }
    return KB_OK;
}

enum { PLAIN_HEADERS = 11 };

static void list_headers(struct kb_http_header rows[PLAIN_HEADERS], const struct kb_s3_put *put)
{
    const struct kb_http_header all[PLAIN_HEADERS] = {
        {"Content-Type", put->content_type ? put->content_type : "application/octet-stream"},
        {"Cache-Control", put->cache_control},
        {"Content-Disposition", put->content_disposition},
        {"Content-Encoding", put->content_encoding},
        {"Content-Language", put->content_language},
        {"Expires", put->expires},
        {"x-amz-storage-class", put->storage_class},
        {"x-amz-tagging", put->tags},
        {"x-amz-object-lock-mode", put->lock_mode},
        {"x-amz-object-lock-retain-until-date", put->lock_until},
        {"x-amz-object-lock-legal-hold", put->legal_hold ? "ON" : NULL},
    };

    memcpy(rows, all, sizeof all);
}

enum kb_status kb_s3_put_check(const struct kb_s3_put *put, struct kb_error *err)
{
    struct kb_http_header rows[PLAIN_HEADERS];

    list_headers(rows, put);
    for (size_t i = 0; i < PLAIN_HEADERS; i++)
        if (rows[i].value && !is_carried(kb_bytes_text(rows[i].value)))
            return refuse_value(rows[i].name, err);
    return check_metadata(put, err);
}

static enum kb_status add_metadata(struct s3_request *request, const struct kb_s3_put *put,
                                   struct kb_arena *arena, struct kb_error *err)
{
    for (size_t i = 0; i < put->metadata_count; i++) {
        struct kb_bytes name = put->metadata[i].name;
        char *header = kb_arena_take(arena, sizeof META + name.size);
        const char *value = keep(arena, put->metadata[i].value);

        if (!header || !value)
            return no_memory(err);
        memcpy(header, META, sizeof META - 1);
        memcpy(header + sizeof META - 1, name.data, name.size);
        header[sizeof META - 1 + name.size] = 0;
        s3_add_header(request, header, value);
    }
    return KB_OK;
}

enum kb_status s3_add_put(struct s3_request *request, const struct kb_s3_put *put,
                          struct kb_arena *arena, struct kb_error *err)
{
    struct kb_http_header rows[PLAIN_HEADERS];
    enum kb_status status = kb_s3_put_check(put, err);

    list_headers(rows, put);
    for (size_t i = 0; status == KB_OK && i < PLAIN_HEADERS; i++)
        if (rows[i].value && rows[i].value[0])
            s3_add_header(request, rows[i].name, rows[i].value);
    if (status == KB_OK)
        status = add_metadata(request, put, arena, err);
    return status == KB_OK ? s3_add_encryption(request, &put->encryption, arena, err) : status;
}

enum kb_status s3_add_match(struct s3_request *request, const char *name, const char *etag,
                            struct kb_arena *arena, struct kb_error *err)
{
    size_t room = etag ? strlen(etag) + 3 : 0;
    char *value;

    if (!etag)
        return KB_OK;
    if (!is_carried(kb_bytes_text(etag)))
        return refuse_value(name, err);
    value = kb_arena_take(arena, room);
    if (!value)
        return no_memory(err);
    snprintf(value, room, "\"%s\"", etag);
    s3_add_header(request, name, value);
    return KB_OK;
}

enum kb_status s3_add_md5(struct s3_request *request, const uint8_t *md5, struct kb_arena *arena,
                          struct kb_error *err)
{
    uint8_t hash[KB_MD5_SIZE];
    enum kb_status status =
        md5 ? KB_OK : kb_digest_once(hash, KB_DIGEST_MD5, request->body, err);
    const char *value;

    if (status != KB_OK)
        return status;
    value = keep_base64(arena, (struct kb_bytes){md5 ? md5 : hash, sizeof hash});
    if (!value)
        return no_memory(err);
    s3_add_header(request, "Content-MD5", value);
    return KB_OK;
}

enum kb_status s3_add_conditions(struct s3_request *request, const struct kb_s3_put *put,
                                 struct kb_error *err)
{
    if (put->if_none)
        s3_add_header(request, "If-None-Match", "*");
    /* As in Amazon's examples of conditional writes: without quotes, and Ceph 16 takes no
     * other. */
    if (put->if_match && !is_carried(kb_bytes_text(put->if_match)))
        return refuse_value("If-Match", err);
    if (put->if_match)
        s3_add_header(request, "If-Match", put->if_match);
    return KB_OK;
}

/* --- reading ------------------------------------------------------------------------ */

static enum kb_status refuse_header(const char *name, struct kb_error *err)
{
    return kb_error_set(err, KB_ERR_REMOTE, "the server's answer has a %s that cannot be", name);
}

/* Decimal digits up to `end` (or the value's end); moves `at` behind them. */
static bool take_number(struct kb_bytes *at, uint64_t *out)
{
    size_t i = 0;

    *out = 0;
    for (; i < at->size && at->data[i] >= '0' && at->data[i] <= '9'; i++) {
        unsigned digit = at->data[i] - '0';

        if (*out > (UINT64_MAX - digit) / 10)
            return false;
        *out = *out * 10 + digit;
    }
    at->data += i;
    at->size -= i;
    return i > 0;
}

static bool take_text(struct kb_bytes *at, const char *text)
{
    size_t size = strlen(text);

    if (at->size < size || memcmp(at->data, text, size) != 0)
        return false;
    at->data += size;
    at->size -= size;
    return true;
}

struct reading {
    struct kb_bytes headers;
    const char *bad; /* the first header that cannot be, or NULL */
};

static void read_text(struct reading *in, const char *name, char *out, size_t room)
{
    struct kb_bytes value = kb_http_find_header(in->headers, name);

    if (value.size >= room || (value.size && memchr(value.data, 0, value.size))) {
        in->bad = in->bad ? in->bad : name;
        return;
    }
    if (value.size)
        memcpy(out, value.data, value.size);
    out[value.size] = 0;
}

static uint64_t read_number(struct reading *in, const char *name)
{
    struct kb_bytes value = kb_http_find_header(in->headers, name);
    uint64_t number = 0;

    if (value.data && (!take_number(&value, &number) || value.size))
        in->bad = in->bad ? in->bad : name;
    return number;
}

static bool read_flag(struct reading *in, const char *name, const char *word)
{
    struct kb_bytes value = kb_http_find_header(in->headers, name);

    return value.size == strlen(word) && strncasecmp((const char *)value.data, word,
                                                     value.size) == 0;
}

/* "bytes 0-99/1000" */
static void read_range(struct reading *in, struct kb_s3_object *out)
{
    struct kb_bytes value = kb_http_find_header(in->headers, "content-range");

    if (!value.data)
        return;
    out->ranged = take_text(&value, "bytes ") && take_number(&value, &out->first) &&
                  take_text(&value, "-") && take_number(&value, &out->last) &&
                  take_text(&value, "/") && take_number(&value, &out->size) && value.size == 0 &&
                  out->first <= out->last && out->last < out->size;
    if (!out->ranged)
        in->bad = in->bad ? in->bad : "Content-Range";
}

static void read_encryption(struct reading *in, struct kb_s3_object *out)
{
    static const struct {
        const char *word;
        enum kb_s3_sse sse;
    } words[] = {{"", KB_S3_SSE_NONE},
                 {"AES256", KB_S3_SSE_S3},
                 {"aws:kms", KB_S3_SSE_KMS},
                 {"aws:kms:dsse", KB_S3_SSE_DSSE}};
    char word[32] = "";

    read_text(in, "x-amz-server-side-encryption", word, sizeof word);
    read_text(in, "x-amz-server-side-encryption-customer-algorithm", out->customer_algorithm,
              sizeof out->customer_algorithm);
    read_text(in, "x-amz-server-side-encryption-customer-key-md5", out->fingerprint,
              sizeof out->fingerprint);
    read_text(in, "x-amz-server-side-encryption-aws-kms-key-id", out->kms_key,
              sizeof out->kms_key);
    out->bucket_key = read_flag(in, "x-amz-server-side-encryption-bucket-key-enabled", "true");
    out->sse = KB_S3_SSE_OTHER;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(word, words[i].word) == 0)
            out->sse = words[i].sse;
    if (out->customer_algorithm[0] || out->fingerprint[0])
        out->sse = KB_S3_SSE_C;
}

void s3_read_etag(char out[KB_S3_ETAG_SIZE], struct kb_bytes value)
{
    if (value.size > 2 && memcmp(value.data, "W/", 2) == 0) {
        value.data += 2;
        value.size -= 2;
    }
    if (value.size >= 2 && value.data[0] == '"' && value.data[value.size - 1] == '"') {
        value.data++;
        value.size -= 2;
    }
    if (value.size >= KB_S3_ETAG_SIZE)
        value.size = 0;
    if (value.size)
        memcpy(out, value.data, value.size);
    out[value.size] = 0;
}

/* Cuts the next line off; false at the end. */
static bool next_line(struct kb_bytes *headers, struct kb_bytes *line)
{
    const uint8_t *end = headers->size ? memchr(headers->data, '\n', headers->size) : NULL;

    if (!end)
        return false;
    *line = (struct kb_bytes){headers->data, (size_t)(end - headers->data)};
    headers->size -= line->size + 1;
    headers->data = end + 1;
    return true;
}

static bool is_metadata(struct kb_bytes line)
{
    return line.size > sizeof META - 1 && memcmp(line.data, META, sizeof META - 1) == 0;
}

/* Two of one name are two values: nobody could say which is meant. */
static bool has_pair(const struct kb_s3_object *object, struct kb_bytes name)
{
    for (size_t i = 0; i < object->metadata_count; i++)
        if (kb_bytes_equal(object->metadata[i].name, name))
            return true;
    return false;
}

static enum kb_status read_metadata(struct kb_s3_object *out, struct kb_bytes headers,
                                    struct kb_error *err)
{
    struct kb_bytes rest = headers, line;
    size_t count = 0;

    while (next_line(&rest, &line))
        count += is_metadata(line);
    if (count == 0)
        return KB_OK;
    /* The pairs, and behind them the text that they are views of. */
    out->memory = malloc(count * sizeof *out->metadata + headers.size);
    if (!out->memory)
        return no_memory(err);
    out->metadata = out->memory;
    rest = (struct kb_bytes){(uint8_t *)(out->metadata + count), headers.size};
    memcpy(out->metadata + count, headers.data, headers.size);
    while (next_line(&rest, &line)) {
        const uint8_t *colon = memchr(line.data, ':', line.size);
        struct kb_pair pair;

        if (!is_metadata(line))
            continue;
        if (!colon || line.data + line.size - colon < 2 || colon < line.data + sizeof META)
            return refuse_header("name of metadata", err);
        pair.name = (struct kb_bytes){line.data + sizeof META - 1,
                                      (size_t)(colon - line.data) - (sizeof META - 1)};
        pair.value = (struct kb_bytes){colon + 2, (size_t)(line.data + line.size - colon - 2)};
        if (has_pair(out, pair.name))
            return kb_error_set(err, KB_ERR_REMOTE, "the server's answer has metadata twice");
        out->metadata[out->metadata_count++] = pair;
    }
    return KB_OK;
}

static void read_description(struct reading *in, struct kb_s3_object *out)
{
    struct kb_bytes modified = kb_http_find_header(in->headers, "last-modified");

    s3_read_etag(out->etag, kb_http_find_header(in->headers, "etag"));
    read_text(in, "x-amz-version-id", out->version, sizeof out->version);
    if (modified.size && !kb_http_parse_date(modified, &out->modified))
        out->modified = 0;
    read_text(in, "x-amz-storage-class", out->storage_class, sizeof out->storage_class);
    read_text(in, "content-type", out->content_type, sizeof out->content_type);
    read_text(in, "cache-control", out->cache_control, sizeof out->cache_control);
    read_text(in, "content-disposition", out->content_disposition,
              sizeof out->content_disposition);
    read_text(in, "content-encoding", out->content_encoding, sizeof out->content_encoding);
    read_text(in, "content-language", out->content_language, sizeof out->content_language);
    read_text(in, "expires", out->expires, sizeof out->expires);
    read_text(in, "x-amz-object-lock-mode", out->lock_mode, sizeof out->lock_mode);
    read_text(in, "x-amz-object-lock-retain-until-date", out->lock_until, sizeof out->lock_until);
    out->legal_hold = read_flag(in, "x-amz-object-lock-legal-hold", "ON");
    out->tag_count = (unsigned)read_number(in, "x-amz-tagging-count");
    out->parts = (unsigned)read_number(in, "x-amz-mp-parts-count");
    out->delete_marker = read_flag(in, "x-amz-delete-marker", "true");
}

enum kb_status s3_read_object(struct kb_s3_object *out, unsigned status, struct kb_bytes headers,
                              struct kb_error *err)
{
    struct reading in = {.headers = headers};

    kb_s3_object_free(out);
    out->status = status;
    out->size = read_number(&in, "content-length");
    read_range(&in, out);
    read_description(&in, out);
    read_encryption(&in, out);
    if (in.bad)
        return refuse_header(in.bad, err);
    return read_metadata(out, headers, err);
}

void kb_s3_object_free(struct kb_s3_object *object)
{
    free(object->memory);
    *object = (struct kb_s3_object){.status = 0};
}

struct kb_bytes kb_s3_object_metadata(const struct kb_s3_object *object, const char *name)
{
    for (size_t i = 0; i < object->metadata_count; i++)
        if (kb_bytes_equal(object->metadata[i].name, kb_bytes_text(name)))
            return object->metadata[i].value;
    return (struct kb_bytes){NULL, 0};
}
