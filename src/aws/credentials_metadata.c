/* SPDX-License-Identifier: Apache-2.0
 *
 * Credentials that a server on this machine or its link gives: "Container
 * credential provider" and "IMDS credential provider", AWS SDKs and Tools
 * Reference Guide. Of the instance's metadata only version 2: version 1 gives
 * keys to whoever can make a server here fetch a URL.
 */
#include "aws/credentials_source.h"

#include <keybridge/file.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "http/http.h"

#define CONTAINER_HOST "http://169.254.170.2"
#define INSTANCE_HOST "http://169.254.169.254"
#define TOKEN_SECONDS "21600"

enum { URL_MAX = 2048, TOKEN_MAX = 8192, ROLE_MAX = 256, CONNECT_MS = 1000, TIMEOUT_MS = 5000 };

static void prepare(struct kb_http_request *request, const char *method, const char *url)
{
    *request = (struct kb_http_request){.method = method, .url = url};
    request->response.max = KB_CREDENTIALS_JSON_MAX;
    request->response.wipe = true;
    request->header_text.max = KB_HTTP_HEADER_BYTES_MAX;
}

static enum kb_status new_http(struct kb_http **out, struct kb_error *err)
{
    const struct kb_http_options options = {.connect_ms = CONNECT_MS, .timeout_ms = TIMEOUT_MS};

    return kb_http_new(out, &options, err);
}

/* --- container -------------------------------------------------------------------- */

static bool host_is(const char *host, size_t size, const char *name)
{
    return strlen(name) == size && strncasecmp(host, name, size) == 0;
}

/* 127.a.b.c, each a decimal number; no other spelling of it. */
static bool is_loopback(const char *host, size_t size)
{
    char text[INET_ADDRSTRLEN];
    struct in_addr address;

    if (size >= sizeof text)
        return false;
    memcpy(text, host, size);
    text[size] = 0;
    return inet_pton(AF_INET, text, &address) == 1 && ntohl(address.s_addr) >> 24 == 127;
}

bool kb_container_url_is_safe(const char *url)
{
    static const char *const hosts[] = {"localhost", "169.254.170.2", "169.254.170.23", "[::1]",
                                        "[fd00:ec2::23]"};
    const char *host;
    size_t size;

    /* A user, a blank or a backslash could make the host another for curl. */
    if (strpbrk(url, "@ \t\r\n\\"))
        return false;
    if (strncasecmp(url, "https://", 8) == 0)
        return url[8] && url[8] != '/';
    if (strncasecmp(url, "http://", 7) != 0)
        return false;
    host = url + 7;
    size = *host == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/?#");
    if (size > strlen(host) || (host[size] && !strchr(":/?#", host[size])))
        return false;
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++)
        if (host_is(host, size, hosts[i]))
            return true;
    return is_loopback(host, size);
}

/* The URL of the container's credentials; "" when there is none. */
static enum kb_status container_url(char url[URL_MAX], struct kb_error *err)
{
    const char *relative = kb_aws_variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    const char *full = kb_aws_variable("AWS_CONTAINER_CREDENTIALS_FULL_URI");
    int size = 0;

    url[0] = 0;
    if (relative && relative[0] != '/')
        return kb_error_set(err, KB_ERR_CONFIG,
                            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI does not begin with a slash");
    if (relative)
        size = snprintf(url, URL_MAX, CONTAINER_HOST "%s", relative);
    else if (full)
        size = snprintf(url, URL_MAX, "%s", full);
    if (size < 0 || size >= URL_MAX)
        return kb_error_set(err, KB_ERR_CONFIG, "the URL of the container's credentials is too "
                                                "long");
    if (url[0] && !kb_container_url_is_safe(url)) {
        kb_error_set(err, KB_ERR_CONFIG,
                     "AWS_CONTAINER_CREDENTIALS_FULL_URI is neither https nor on this machine");
        return KB_ERR_CONFIG;
    }
    return KB_OK;
}

/* The value of the Authorization header, terminated; empty when there is none. */
static enum kb_status container_token(struct kb_buffer *out, struct kb_error *err)
{
    const char *path = kb_aws_variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    const char *value = kb_aws_variable("AWS_CONTAINER_AUTHORIZATION_TOKEN");
    struct kb_error own = {0};

    if (path) {
        if (kb_file_read(out, path, &own) != KB_OK)
            return kb_error_set(err, KB_ERR_DENIED, "the container's token: %s", own.text);
        while (out->size && strchr("\r\n", out->data[out->size - 1]) && out->data[out->size - 1])
            out->size--;
    } else if (value) {
        kb_buffer_put_text(out, value);
    }
    for (size_t i = 0; i < out->size; i++)
        if (out->data[i] < 0x20 || out->data[i] == 0x7f)
            return kb_error_set(err, KB_ERR_DENIED,
                                "the container's token has a line end or control character");
    kb_buffer_put_u8(out, 0);
    return kb_buffer_check(out, err);
}

static enum kb_status ask_container(struct kb_key_set *set, const char *url, const char *token,
                                    struct kb_error *err)
{
    const struct kb_http_header header = {"Authorization", token};
    struct kb_http_request request;
    struct kb_http *http;
    enum kb_status status = new_http(&http, err);

    if (status != KB_OK)
        return status;
    prepare(&request, "GET", url);
    request.headers = &header;
    request.header_count = token[0] ? 1 : 0;
    status = kb_http_run(http, &request, err);
    if (status == KB_OK && request.status != 200)
        status = kb_error_set(err, KB_ERR_DENIED,
                              "the container's credentials were refused with HTTP status %u",
                              request.status);
    if (status == KB_OK)
        status = kb_key_set_parse(set, kb_buffer_view(&request.response), KB_FORM_METADATA,
                                  "the container", err);
    kb_http_request_free(&request);
    kb_http_free(http);
    return status;
}

enum kb_status kb_credentials_from_container(struct kb_key_set *set, struct kb_error *err)
{
    struct kb_buffer token = KB_BUFFER_INIT(TOKEN_MAX);
    char url[URL_MAX];
    enum kb_status status = container_url(url, err);

    token.wipe = true;
    if (status != KB_OK || !url[0])
        return status;
    status = container_token(&token, err);
    if (status == KB_OK)
        status = ask_container(set, url, (const char *)token.data, err);
    kb_buffer_free(&token);
    return status;
}

/* --- instance --------------------------------------------------------------------- */

struct instance {
    struct kb_http *http;
    char host[256];         /* "http://169.254.169.254" */
    struct kb_buffer token; /* terminated */
};

static enum kb_status find_host(struct instance *instance, struct kb_error *err)
{
    const char *host = kb_aws_variable("AWS_EC2_METADATA_SERVICE_ENDPOINT");
    size_t size;

    if (!host)
        host = INSTANCE_HOST;
    size = strlen(host);
    while (size && host[size - 1] == '/')
        size--;
    if (size >= sizeof instance->host ||
        (strncasecmp(host, "http://", 7) != 0 && strncasecmp(host, "https://", 8) != 0))
        return kb_error_set(err, KB_ERR_CONFIG,
                            "AWS_EC2_METADATA_SERVICE_ENDPOINT is not an http:// URL");
    memcpy(instance->host, host, size);
    instance->host[size] = 0;
    return KB_OK;
}

static bool is_plain(struct kb_bytes text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] <= 0x20 || text.data[i] >= 0x7f)
            return false;
    return text.size > 0;
}

/* *there is false when nobody answers: this is no instance. */
static enum kb_status get_token(struct instance *instance, bool *there, struct kb_error *err)
{
    const struct kb_http_header header = {"X-aws-ec2-metadata-token-ttl-seconds", TOKEN_SECONDS};
    struct kb_http_request request;
    char url[512];
    enum kb_status status;

    snprintf(url, sizeof url, "%s/latest/api/token", instance->host);
    prepare(&request, "PUT", url);
    request.timeout_ms = 2 * CONNECT_MS;
    request.headers = &header;
    request.header_count = 1;
    *there = kb_http_run(instance->http, &request, NULL) == KB_OK;
    status = KB_OK;
    if (*there && (request.status != 200 || !is_plain(kb_buffer_view(&request.response)))) {
        status = kb_error_set(err, KB_ERR_DENIED,
                              "the instance's metadata service gives no token of IMDSv2 (HTTP "
                              "status %u)",
                              request.status);
        kb_error_hint(err, "version 1 of the service is not used; AWS_EC2_METADATA_DISABLED=true "
                           "leaves it alone");
    } else if (*there) {
        kb_buffer_put_bytes(&instance->token, kb_buffer_view(&request.response));
        kb_buffer_put_u8(&instance->token, 0);
        status = kb_buffer_check(&instance->token, err);
    }
    kb_http_request_free(&request);
    return status;
}

/* GET of what is below the role credentials; `request` is to be freed. */
static enum kb_status get_below(const struct instance *instance, struct kb_http_request *request,
                                const char *name, struct kb_error *err)
{
    const struct kb_http_header header = {"X-aws-ec2-metadata-token",
                                          (const char *)instance->token.data};
    char url[1024];
    enum kb_status status;

    snprintf(url, sizeof url, "%s/latest/meta-data/iam/security-credentials/%s", instance->host,
             name);
    prepare(request, "GET", url);
    request->headers = &header;
    request->header_count = 1;
    status = kb_http_run(instance->http, request, err);
    /* They end here. */
    request->headers = NULL;
    request->url = NULL;
    if (status == KB_OK && request->status != 200 && request->status != 404)
        status = kb_error_set(err, KB_ERR_DENIED,
                              "the instance's metadata service answers with HTTP status %u",
                              request->status);
    return status;
}

/* The first line of the list of roles; "" when the instance has none. */
static enum kb_status get_role(const struct instance *instance, char role[ROLE_MAX],
                               struct kb_error *err)
{
    struct kb_http_request request;
    enum kb_status status = get_below(instance, &request, "", err);
    struct kb_bytes text = kb_buffer_view(&request.response);
    size_t size = 0;

    role[0] = 0;
    while (size < text.size && text.data[size] != '\n' && text.data[size] != '\r')
        size++;
    text.size = size;
    if (status == KB_OK && request.status == 200 && size > 0) {
        for (size_t i = 0; i < size && status == KB_OK; i++)
            if (size >= ROLE_MAX || !is_plain(text) || strchr("/?#%", text.data[i]))
                status = kb_error_set(err, KB_ERR_DENIED,
                                      "the instance's metadata service names no valid role");
        if (status == KB_OK) {
            memcpy(role, text.data, size);
            role[size] = 0;
        }
    }
    kb_http_request_free(&request);
    return status;
}

static enum kb_status ask_instance(struct kb_key_set *set, struct instance *instance,
                                   struct kb_error *err)
{
    struct kb_http_request request;
    char role[ROLE_MAX];
    bool there;
    enum kb_status status = get_token(instance, &there, err);

    if (status != KB_OK || !there)
        return status;
    status = get_role(instance, role, err);
    if (status != KB_OK || !role[0])
        return status;
    status = get_below(instance, &request, role, err);
    if (status == KB_OK && request.status != 200)
        status = kb_error_set(err, KB_ERR_DENIED,
                              "the instance's metadata service has no credentials of its role");
    if (status == KB_OK)
        status = kb_key_set_parse(set, kb_buffer_view(&request.response), KB_FORM_METADATA,
                                  "the instance's metadata service", err);
    kb_http_request_free(&request);
    return status;
}

enum kb_status kb_credentials_from_instance(struct kb_key_set *set, struct kb_error *err)
{
    const char *disabled = kb_aws_variable("AWS_EC2_METADATA_DISABLED");
    struct instance instance = {.token = KB_BUFFER_INIT(TOKEN_MAX)};
    enum kb_status status;

    if (disabled && strcasecmp(disabled, "true") == 0)
        return KB_OK;
    instance.token.wipe = true;
    status = find_host(&instance, err);
    if (status == KB_OK)
        status = new_http(&instance.http, err);
    if (status == KB_OK)
        status = ask_instance(set, &instance, err);
    kb_http_free(instance.http);
    kb_buffer_free(&instance.token);
    return status;
}
