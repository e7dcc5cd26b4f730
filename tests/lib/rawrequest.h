/* SPDX-License-Identifier: Apache-2.0
 *
 * A request as text, cut up for signing: as the vectors have it, with a line
 * feed or CR LF at the end of each line, folded headers, and a request line
 * that may have blanks in its path.
 */
#ifndef RAWREQUEST_H
#define RAWREQUEST_H

#include "aws/sigv4.h"
#include "crypto/crypto.h"

#include <string.h>

enum { RAWREQUEST_HEADERS = 160 };

struct rawrequest {
    struct kb_sigv4_request request;
    struct kb_sigv4_header headers[RAWREQUEST_HEADERS];
    struct kb_bytes body;
    char hash[2 * KB_SHA256_SIZE + 1];
};

/* Takes a line off `text`; false when nothing is left. */
static inline bool rawrequest_line(struct kb_bytes *text, struct kb_bytes *line)
{
    const uint8_t *feed = text->size ? memchr(text->data, '\n', text->size) : NULL;
    size_t size = feed ? (size_t)(feed - text->data) : text->size;

    *line = (struct kb_bytes){text->data, size};
    if (!feed && size == 0)
        return false;
    text->data += size + (feed != NULL);
    text->size -= size + (feed != NULL);
    if (line->size && line->data[line->size - 1] == '\r')
        line->size--;
    return true;
}

static inline bool rawrequest_first(struct kb_sigv4_request *request, struct kb_bytes line)
{
    static const char end[] = " HTTP/1.1";
    const uint8_t *blank = line.size ? memchr(line.data, ' ', line.size) : NULL;
    const uint8_t *query;
    size_t size;

    if (!blank || line.size < sizeof end ||
        memcmp(line.data + line.size - (sizeof end - 1), end, sizeof end - 1) != 0)
        return false;
    request->method = (struct kb_bytes){line.data, (size_t)(blank - line.data)};
    if (line.size < request->method.size + 1 + sizeof end - 1)
        return false;
    size = line.size - request->method.size - 1 - (sizeof end - 1);
    request->path = (struct kb_bytes){blank + 1, size};
    query = size ? memchr(blank + 1, '?', size) : NULL;
    if (query) {
        request->path.size = (size_t)(query - blank) - 1;
        request->query = (struct kb_bytes){query + 1, size - request->path.size - 1};
    }
    return true;
}

/* Views of `text`; payload_hash is that of the body. */
static inline bool rawrequest_parse(struct rawrequest *out, struct kb_bytes text)
{
    struct kb_bytes line = {NULL, 0};
    size_t n = 0;

    memset(out, 0, sizeof *out);
    if (!rawrequest_line(&text, &line) || !rawrequest_first(&out->request, line))
        return false;
    while (rawrequest_line(&text, &line) && line.size) {
        const uint8_t *colon = memchr(line.data, ':', line.size);

        if (n && (*line.data == ' ' || *line.data == '\t')) {
            struct kb_bytes *value = &out->headers[n - 1].value;

            value->size = (size_t)(line.data + line.size - value->data);
            continue;
        }
        if (!colon || n == RAWREQUEST_HEADERS)
            return false;
        out->headers[n].name = (struct kb_bytes){line.data, (size_t)(colon - line.data)};
        out->headers[n++].value =
            (struct kb_bytes){colon + 1, (size_t)(line.data + line.size - colon) - 1};
    }
    out->body = text;
    out->request.headers = out->headers;
    out->request.header_count = n;
    if (kb_crypto_sha256_hex(out->hash, text, NULL) != KB_OK)
        return false;
    out->request.payload_hash = kb_bytes_text(out->hash);
    return true;
}

#endif
