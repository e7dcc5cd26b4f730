/* SPDX-License-Identifier: Apache-2.0
 *
 * What is read from an answer that came.
 */
#include "http/http.h"

#include <curl/curl.h>
#include <string.h>

struct kb_bytes kb_http_find_header(struct kb_bytes header_text, const char *name)
{
    size_t size = strlen(name);
    const uint8_t *at = header_text.data;
    size_t left = header_text.size;

    while (left) {
        const uint8_t *end = memchr(at, '\n', left);
        size_t line = end ? (size_t)(end - at) : left;

        if (line >= size + 2 && memcmp(at, name, size) == 0 && at[size] == ':')
            return (struct kb_bytes){at + size + 2, line - size - 2};
        left -= line + (end != NULL);
        at += line + (end != NULL);
    }
    return (struct kb_bytes){NULL, 0};
}

struct kb_bytes kb_http_header(const struct kb_http_request *request, const char *name)
{
    return kb_http_find_header(kb_buffer_view(&request->header_text), name);
}

bool kb_http_parse_date(struct kb_bytes value, int64_t *out)
{
    char text[64];
    time_t date;

    if (value.size == 0 || value.size >= sizeof text)
        return false;
    memcpy(text, value.data, value.size);
    text[value.size] = 0;
    date = curl_getdate(text, NULL);
    *out = date;
    return date > 0;
}

bool kb_http_date(const struct kb_http_request *request, int64_t *out)
{
    return kb_http_parse_date(kb_http_header(request, "date"), out);
}

void kb_http_request_free(struct kb_http_request *request)
{
    kb_buffer_free(&request->response);
    kb_buffer_free(&request->header_text);
}
