/* SPDX-License-Identifier: Apache-2.0
 *
 * The one place where a result of curl becomes a failure and a sentence.
 * Whether the request may have arrived decides if it may be sent again, so a
 * connection that broke counts as DROPPED from the moment it was handed over.
 */
#include "http/exchange.h"

#include <stdlib.h>
#include <string.h>

static enum kb_http_failure failure_of(const struct kb_exchange *exchange, CURLcode result)
{
    bool sent = exchange->sent;

    switch (result) {
    case CURLE_OK:
        /* An end of the connection within the headers is no error to curl. */
        return exchange->head_ended ? KB_HTTP_NONE : KB_HTTP_DROPPED;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        return KB_HTTP_RESOLVE;
    case CURLE_COULDNT_CONNECT:
        return KB_HTTP_CONNECT;
    case CURLE_OPERATION_TIMEDOUT:
        return sent ? KB_HTTP_TIMEOUT : KB_HTTP_SILENT;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_ENGINE_NOTFOUND:
    case CURLE_SSL_ENGINE_SETFAILED:
    case CURLE_SSL_ENGINE_INITFAILED:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CRL_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_USE_SSL_FAILED:
        return sent ? KB_HTTP_DROPPED : KB_HTTP_TLS;
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_PARTIAL_FILE:
    case CURLE_SEND_FAIL_REWIND:
        return sent ? KB_HTTP_DROPPED : KB_HTTP_CONNECT;
    case CURLE_ABORTED_BY_CALLBACK:
        return exchange->stopped ? KB_HTTP_STOPPED : sent ? KB_HTTP_DROPPED : KB_HTTP_CONNECT;
    case CURLE_WRITE_ERROR:
        return exchange->stopped    ? KB_HTTP_STOPPED
               : exchange->too_long ? KB_HTTP_TOO_LONG
                                    : KB_HTTP_OTHER;
    default:
        return KB_HTTP_OTHER;
    }
}

/* Whether it was the proxy that could not be reached curl does not tell. */
static void hint_proxy(const struct kb_exchange *exchange, struct kb_error *err)
{
    static const char *const names[] = {"https_proxy", "HTTPS_PROXY", "http_proxy", "all_proxy",
                                        "ALL_PROXY"};

    for (size_t i = 0; !exchange->near && i < sizeof names / sizeof *names; i++) {
        const char *value = getenv(names[i]);

        if (!value || !*value)
            continue;
        kb_error_hint(err, "%s names a proxy: it may be the one that is not there; see NO_PROXY",
                      names[i]);
        return;
    }
}

/* Nobody, or somebody who does not speak TLS. */
static void say_silent(struct kb_exchange *exchange, struct kb_error *err)
{
    curl_off_t connected = 0;

    curl_easy_getinfo(exchange->easy, CURLINFO_CONNECT_TIME_T, &connected);
    if (connected > 0) {
        kb_error_set(err, KB_ERR_REMOTE,
                     "%s is there, but no secure connection came about in time", exchange->where);
        kb_error_hint(err, "a server that speaks http: only keeps silent so");
    } else {
        kb_error_set(err, KB_ERR_REMOTE, "%s cannot be connected to: nobody answers in time",
                     exchange->where);
    }
}

static void say_unconnected(struct kb_exchange *exchange, CURLcode result, struct kb_error *err)
{
    long number = 0;

    curl_easy_getinfo(exchange->easy, CURLINFO_OS_ERRNO, &number);
    if (result == CURLE_COULDNT_CONNECT && number)
        kb_error_errno(err, KB_ERR_REMOTE, (int)number, "%s cannot be connected to",
                       exchange->where);
    else
        kb_error_set(err, KB_ERR_REMOTE, "%s cannot be connected to: %s", exchange->where,
                     exchange->text[0] ? exchange->text : curl_easy_strerror(result));
}

static void say_other(struct kb_exchange *exchange, CURLcode result, struct kb_error *err)
{
    if (exchange->no_memory || result == CURLE_OUT_OF_MEMORY)
        kb_error_set(err, KB_ERR_MEMORY, "no memory");
    else if (exchange->sent && (result == CURLE_UNSUPPORTED_PROTOCOL ||
                                result == CURLE_WEIRD_SERVER_REPLY))
        kb_error_set(err, KB_ERR_REMOTE, "%s answered with something that is not HTTP",
                     exchange->where);
    else
        kb_error_set(err, KB_ERR_REMOTE, "%s: %s", exchange->where, curl_easy_strerror(result));
}

void kb_exchange_judge(struct kb_exchange *exchange, CURLcode result)
{
    struct kb_http_request *request = exchange->request;
    struct kb_error *err = &request->error;

    request->failure = failure_of(exchange, result);
    if (request->failure == KB_HTTP_STOPPED)
        return;
    kb_error_clear(err);
    switch (request->failure) {
    case KB_HTTP_NONE:
    case KB_HTTP_STOPPED:
        break;
    case KB_HTTP_RESOLVE:
        kb_error_set(err, KB_ERR_REMOTE, "%s%s is not known by its name",
                     result == CURLE_COULDNT_RESOLVE_PROXY ? "the proxy for " : "",
                     exchange->where);
        kb_error_hint(err, "check the name, the network and the name service");
        break;
    case KB_HTTP_CONNECT:
        say_unconnected(exchange, result, err);
        hint_proxy(exchange, err);
        break;
    case KB_HTTP_SILENT:
        say_silent(exchange, err);
        hint_proxy(exchange, err);
        break;
    case KB_HTTP_TLS:
        kb_error_set(err, KB_ERR_REMOTE, "no secure connection to %s: %s", exchange->where,
                     exchange->text[0] ? exchange->text : curl_easy_strerror(result));
        if (strstr(exchange->text, "subject name"))
            kb_error_hint(err, "the server's certificate is for another host name than that of "
                               "the address");
        else if (result == CURLE_PEER_FAILED_VERIFICATION)
            kb_error_hint(err, "--ca-file, or AWS_CA_BUNDLE, names the authorities to trust");
        break;
    case KB_HTTP_DROPPED:
        kb_error_set(err, KB_ERR_REMOTE, "%s closed the connection before its answer was complete",
                     exchange->where);
        break;
    case KB_HTTP_TIMEOUT:
        if (exchange->timeout_ms)
            kb_error_set(err, KB_ERR_REMOTE, "%s did not answer within %g s", exchange->where,
                         exchange->timeout_ms / 1000.0);
        else
            kb_error_set(err, KB_ERR_REMOTE, "nothing went to or from %s for %u s",
                         exchange->where, request->stall_s);
        break;
    case KB_HTTP_TOO_LONG:
        kb_error_set(err, KB_ERR_REMOTE, "%s answered with more than %zu bytes", exchange->where,
                     request->response.max);
        break;
    case KB_HTTP_OTHER:
        say_other(exchange, result, err);
        break;
    }
}
