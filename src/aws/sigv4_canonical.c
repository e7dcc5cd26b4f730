/* SPDX-License-Identifier: Apache-2.0
 *
 * The canonical request: "Create a canonical request" of the IAM User Guide.
 * No part of it can hold a line feed of the sender's choosing, so that no two
 * requests have the same one.
 */
#include "aws/sigv4_steps.h"

#include <stdlib.h>
#include <string.h>

enum { QUERY_MAX = 512 /* parameters */ };

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

static bool is_unreserved(uint8_t c)
{
    return (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
           c == '_' || c == '~';
}

/* A character of a method or a header's name (RFC 9110, section 5.6.2). */
static bool is_token(struct kb_bytes text)
{
    for (size_t i = 0; i < text.size; i++)
        if (!is_unreserved(text.data[i]) &&
            (!text.data[i] || !strchr("!#$%&'*+^`|", text.data[i])))
            return false;
    return text.size > 0;
}

static int compare_names(struct kb_bytes a, struct kb_bytes b)
{
    size_t common = a.size < b.size ? a.size : b.size;

    for (size_t i = 0; i < common; i++)
        if (lower(a.data[i]) != lower(b.data[i]))
            return lower(a.data[i]) < lower(b.data[i]) ? -1 : 1;
    return (a.size > b.size) - (a.size < b.size);
}

bool kb_sigv4_same_name(struct kb_bytes a, struct kb_bytes b)
{
    return a.size == b.size && compare_names(a, b) == 0;
}

bool kb_sigv4_lists(struct kb_bytes names, struct kb_bytes name)
{
    size_t start = 0;

    for (size_t i = 0; i <= names.size; i++) {
        if (i < names.size && names.data[i] != ';')
            continue;
        if (i > start &&
            kb_sigv4_same_name((struct kb_bytes){names.data + start, i - start}, name))
            return true;
        start = i + 1;
    }
    return false;
}

static void put_encoded(struct kb_buffer *out, uint8_t c)
{
    static const char digits[] = "0123456789ABCDEF";

    kb_buffer_put_u8(out, '%');
    kb_buffer_put_u8(out, (uint8_t)digits[c >> 4]);
    kb_buffer_put_u8(out, (uint8_t)digits[c & 15]);
}

void kb_sigv4_encode(struct kb_buffer *out, struct kb_bytes text, bool path)
{
    for (size_t i = 0; i < text.size; i++) {
        if (is_unreserved(text.data[i]) || (path && text.data[i] == '/'))
            kb_buffer_put_u8(out, text.data[i]);
        else
            put_encoded(out, text.data[i]);
    }
}

/* --- path ------------------------------------------------------------------------- */

/* Takes the last "/segment" off what `out` has behind `start`. */
static void drop_segment(struct kb_buffer *out, size_t start)
{
    while (out->size > start && out->data[out->size - 1] != '/')
        out->size--;
    if (out->size > start)
        out->size--;
}

/* Without empty, '.' and '..' segments; each left one encoded. */
static void put_normalized(struct kb_buffer *out, struct kb_bytes path)
{
    size_t first = out->size, start = 0;

    for (size_t i = 0; i <= path.size; i++) {
        struct kb_bytes segment = {path.data + start, i - start};

        if (i < path.size && path.data[i] != '/')
            continue;
        start = i + 1;
        if (segment.size == 2 && memcmp(segment.data, "..", 2) == 0) {
            drop_segment(out, first);
        } else if (segment.size > 1 || (segment.size == 1 && segment.data[0] != '.')) {
            kb_buffer_put_u8(out, '/');
            kb_sigv4_encode(out, segment, true);
        }
    }
    if (out->size == first || (path.size && path.data[path.size - 1] == '/'))
        kb_buffer_put_u8(out, '/');
}

static void put_path(struct kb_buffer *out, const struct kb_sigv4_request *request)
{
    if (!request->as_is) {
        put_normalized(out, request->path);
        return;
    }
    if (request->path.size == 0)
        kb_buffer_put_u8(out, '/');
    /* What cannot stand in a request line is encoded even so. */
    for (size_t i = 0; i < request->path.size; i++) {
        uint8_t c = request->path.data[i];

        if (c > 0x20 && c < 0x7f)
            kb_buffer_put_u8(out, c);
        else
            put_encoded(out, c);
    }
}

/* --- query ------------------------------------------------------------------------ */

struct parameter {
    struct kb_bytes name, value;
};

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Encodes anew what may be encoded already, or in another way. '+' is a blank:
 * AWS's clients send it where they sign "%20". */
static struct kb_bytes put_reencoded(struct kb_buffer *out, struct kb_bytes text)
{
    size_t start = out->size;

    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];

        if (c == '%' && text.size - i > 2 && hex_value(text.data[i + 1]) >= 0 &&
            hex_value(text.data[i + 2]) >= 0) {
            c = (uint8_t)(hex_value(text.data[i + 1]) << 4 | hex_value(text.data[i + 2]));
            i += 2;
        } else if (c == '+') {
            c = ' ';
        }
        kb_sigv4_encode(out, (struct kb_bytes){&c, 1}, false);
    }
    return (struct kb_bytes){out->data + start, out->size - start};
}

static int compare_parameters(const void *a, const void *b)
{
    const struct parameter *x = a, *y = b;
    int order = kb_bytes_compare(x->name, y->name);

    return order ? order : kb_bytes_compare(x->value, y->value);
}

/* The parameters, encoded into `scratch`, whose memory must not move. */
static bool split_query(struct parameter *out, size_t *n, struct kb_buffer *scratch,
                        struct kb_bytes query)
{
    size_t start = 0;

    *n = 0;
    for (size_t i = 0; i <= query.size; i++) {
        const uint8_t *equals;
        struct kb_bytes name, value = {NULL, 0};

        if (i < query.size && query.data[i] != '&')
            continue;
        name = (struct kb_bytes){query.data + start, i - start};
        start = i + 1;
        if (name.size == 0)
            continue;
        if (*n == QUERY_MAX)
            return false;
        equals = memchr(name.data, '=', name.size);
        if (equals) {
            value = (struct kb_bytes){equals + 1, (size_t)(name.data + name.size - equals) - 1};
            name.size = (size_t)(equals - name.data);
        }
        out[*n].name = put_reencoded(scratch, name);
        out[(*n)++].value = put_reencoded(scratch, value);
    }
    return true;
}

static enum kb_status put_query(struct kb_buffer *out, struct kb_bytes query, struct kb_error *err)
{
    struct kb_buffer scratch = KB_BUFFER_INIT(3 * KB_SIGV4_CANONICAL_MAX);
    struct parameter *parameters;
    enum kb_status status = KB_OK;
    size_t n;

    if (query.size == 0)
        return KB_OK;
    if (query.size > KB_SIGV4_CANONICAL_MAX)
        return kb_error_set(err, KB_ERR_USAGE, "the query is too long to be signed");
    parameters = calloc(QUERY_MAX, sizeof *parameters);
    /* All the room at once, so that views into it stay. */
    if (!parameters || !kb_buffer_extend(&scratch, 3 * query.size)) {
        status = kb_error_set(err, KB_ERR_MEMORY, "no memory");
        goto out;
    }
    scratch.size = 0;
    if (!split_query(parameters, &n, &scratch, query)) {
        status = kb_error_set(err, KB_ERR_USAGE, "the query has more than %d parameters",
                              QUERY_MAX);
        goto out;
    }
    qsort(parameters, n, sizeof *parameters, compare_parameters);
    for (size_t i = 0; i < n; i++) {
        if (i)
            kb_buffer_put_u8(out, '&');
        kb_buffer_put_bytes(out, parameters[i].name);
        kb_buffer_put_u8(out, '=');
        kb_buffer_put_bytes(out, parameters[i].value);
    }
out:
    free(parameters);
    kb_buffer_free(&scratch);
    return status;
}

/* --- headers ---------------------------------------------------------------------- */

static int compare_headers(const void *a, const void *b)
{
    const struct kb_sigv4_header *const *x = a, *const *y = b;
    int order = compare_names((*x)->name, (*y)->name);

    /* Values of one name stay in the order they are sent in. */
    return order ? order : (*x > *y) - (*x < *y);
}

/* The headers that are signed, sorted. */
static enum kb_status sort_headers(const struct kb_sigv4_header *out[KB_SIGV4_HEADERS_MAX],
                                   size_t *n, const struct kb_sigv4_request *request,
                                   struct kb_bytes names, struct kb_error *err)
{
    *n = 0;
    if (request->header_count > KB_SIGV4_HEADERS_MAX)
        return kb_error_set(err, KB_ERR_USAGE, "a request with more than %d headers is not signed",
                            KB_SIGV4_HEADERS_MAX);
    for (size_t i = 0; i < request->header_count; i++) {
        const struct kb_sigv4_header *header = &request->headers[i];

        if (!is_token(header->name))
            return kb_error_set(err, KB_ERR_USAGE, "a header's name is not valid");
        if (!names.data || kb_sigv4_lists(names, header->name))
            out[(*n)++] = header;
    }
    qsort(out, *n, sizeof *out, compare_headers);
    return KB_OK;
}

static void put_lower(struct kb_buffer *out, struct kb_bytes text)
{
    for (size_t i = 0; i < text.size; i++)
        kb_buffer_put_u8(out, lower(text.data[i]));
}

/* Trimmed, with one space for each run of white space. */
static void put_value(struct kb_buffer *out, struct kb_bytes value)
{
    bool space = false, any = false;

    for (size_t i = 0; i < value.size; i++) {
        uint8_t c = value.data[i];

        if (c == ' ' || (c >= '\t' && c <= '\r')) {
            space = any;
            continue;
        }
        if (space)
            kb_buffer_put_u8(out, ' ');
        kb_buffer_put_u8(out, c);
        space = false;
        any = true;
    }
}

static void put_headers(struct kb_buffer *out, const struct kb_sigv4_header *const *headers,
                        size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (i && kb_sigv4_same_name(headers[i - 1]->name, headers[i]->name)) {
            out->size--; /* of the line feed that the one before put */
            kb_buffer_put_u8(out, ',');
        } else {
            put_lower(out, headers[i]->name);
            kb_buffer_put_u8(out, ':');
        }
        put_value(out, headers[i]->value);
        kb_buffer_put_u8(out, '\n');
        if (out->failed)
            return;
    }
}

static void put_names(struct kb_buffer *out, const struct kb_sigv4_header *const *headers,
                      size_t n, const char *separator)
{
    for (size_t i = 0; i < n; i++) {
        if (i && kb_sigv4_same_name(headers[i - 1]->name, headers[i]->name))
            continue;
        if (i)
            kb_buffer_put_text(out, separator);
        put_lower(out, headers[i]->name);
    }
}

enum kb_status kb_sigv4_names(struct kb_buffer *out, const struct kb_sigv4_request *request,
                              const char *separator, struct kb_error *err)
{
    const struct kb_sigv4_header *headers[KB_SIGV4_HEADERS_MAX];
    size_t n;
    enum kb_status status = sort_headers(headers, &n, request, (struct kb_bytes){NULL, 0}, err);

    if (status == KB_OK)
        put_names(out, headers, n, separator);
    return status == KB_OK ? kb_buffer_check(out, err) : status;
}

enum kb_status kb_sigv4_canonical_of(struct kb_buffer *out, const struct kb_sigv4_request *request,
                                     struct kb_bytes names, struct kb_error *err)
{
    const struct kb_sigv4_header *headers[KB_SIGV4_HEADERS_MAX];
    size_t n;
    enum kb_status status = sort_headers(headers, &n, request, names, err);

    if (status != KB_OK)
        return status;
    if (!is_token(request->method) || !is_token(request->payload_hash))
        return kb_error_set(err, KB_ERR_USAGE, "the method or the body's hash is not valid");
    kb_buffer_put_bytes(out, request->method);
    kb_buffer_put_u8(out, '\n');
    put_path(out, request);
    kb_buffer_put_u8(out, '\n');
    status = put_query(out, request->query, err);
    if (status != KB_OK)
        return status;
    kb_buffer_put_u8(out, '\n');
    put_headers(out, headers, n);
    kb_buffer_put_u8(out, '\n');
    put_names(out, headers, n, ";");
    kb_buffer_put_u8(out, '\n');
    kb_buffer_put_bytes(out, request->payload_hash);
    return kb_buffer_check(out, err);
}

enum kb_status kb_sigv4_canonical_request(struct kb_buffer *out,
                                          const struct kb_sigv4_request *request,
                                          struct kb_error *err)
{
    return kb_sigv4_canonical_of(out, request, (struct kb_bytes){NULL, 0}, err);
}
