/* SPDX-License-Identifier: Apache-2.0
 *
 * Bodies that are read as they are sent.
 */
#include "http/exchange.h"

static size_t give_body(char *out, size_t size, size_t count, void *ctx)
{
    struct kb_exchange *exchange = ctx;
    struct kb_http_request *request = exchange->request;
    const struct kb_http_source *source = request->source;
    uint64_t left = source->size - exchange->given;
    size_t room = size * count < left ? size * count : (size_t)left;
    size_t got = 0;
    enum kb_status status = KB_OK;

    if (room)
        status = source->read(source->ctx, exchange->given, (uint8_t *)out, room, &got,
                              &request->error);
    if (status == KB_OK && room && got == 0)
        status = kb_error_set(&request->error, KB_ERR_INPUT,
                              "what is sent ended before its last byte");
    exchange->given += got;
    if (status == KB_OK)
        return got;
    kb_error_set(&request->error, status, "what is sent cannot be read");
    exchange->stopped = true;
    return CURL_READFUNC_ABORT;
}

/* There is no way back in a body: curl would want one only to send a request again
 * of its own accord, which is not its business here. */
bool kb_exchange_set_source(struct kb_exchange *exchange)
{
    CURL *easy = exchange->easy;

    return curl_easy_setopt(easy, CURLOPT_READFUNCTION, give_body) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_READDATA, exchange) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
                            (curl_off_t)exchange->request->source->size) == CURLE_OK;
}
