/* SPDX-License-Identifier: Apache-2.0 */
#include "aws/flight.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

const struct kb_aws_service kb_aws_dynamodb = {"dynamodb", "DynamoDB_20120810",
                                               "application/x-amz-json-1.0", NULL};
const struct kb_aws_service kb_aws_kms = {"kms", "TrentService", "application/x-amz-json-1.1",
                                          NULL};

static enum kb_status no_memory(struct kb_error *err)
{
    return kb_error_set(err, KB_ERR_MEMORY, "no memory");
}

/* Cuts scheme://host[:port][/path] into what is sent. */
static enum kb_status take_endpoint_apart(struct kb_aws *aws, struct kb_error *err)
{
    const char *endpoint = aws->settings.endpoint;
    const char *host = strstr(endpoint, "://");
    const char *path;
    size_t room = strlen(endpoint) + 2;

    if (!host)
        return kb_error_set(err, KB_ERR_USAGE, "the endpoint is not a URL");
    host += 3;
    path = strchr(host, '/');
    aws->host = path ? strndup(host, (size_t)(path - host)) : strdup(host);
    aws->path = strdup(path ? path : "/");
    aws->url = malloc(room);
    if (!aws->host || !aws->path || !aws->url)
        return no_memory(err);
    memcpy(aws->url, endpoint, room - 1);
    if (!path)
        memcpy(aws->url + room - 2, "/", 2);
    return KB_OK;
}

/* Said here: curl would say it as a failure of the connection. */
static enum kb_status check_ca_file(const char *path, struct kb_error *err)
{
    if (!path || access(path, R_OK) == 0)
        return KB_OK;
    return kb_error_errno(err, errno == ENOENT ? KB_ERR_NOT_FOUND : KB_ERR_SYSTEM, errno,
                          "the file of authorities, %s", path);
}

enum kb_status kb_aws_open(struct kb_aws **out, const struct kb_aws_service *service,
                           const struct kb_aws_options *options, struct kb_error *err)
{
    static const struct kb_aws_options defaults;
    struct kb_aws *aws = calloc(1, sizeof *aws);
    enum kb_status status;

    *out = NULL;
    if (!aws)
        return no_memory(err);
    aws->service = service;
    pthread_mutex_init(&aws->lock, NULL);
    status = kb_aws_settings_load(&aws->settings, service->name, options ? options : &defaults,
                                  err);
    if (status == KB_OK)
        status = check_ca_file(aws->settings.ca_file, err);
    if (status == KB_OK)
        status = take_endpoint_apart(aws, err);
    if (status == KB_OK)
        status = kb_credentials_new(&aws->credentials, &aws->settings, err);
    if (status != KB_OK) {
        kb_aws_close(aws);
        return status;
    }
    *out = aws;
    return KB_OK;
}

void kb_aws_close(struct kb_aws *aws)
{
    if (!aws)
        return;
    while (aws->idle) {
        struct kb_wire *wire = aws->idle;

        aws->idle = wire->next;
        kb_wire_free(wire);
    }
    kb_credentials_free(aws->credentials);
    kb_aws_settings_free(&aws->settings);
    pthread_mutex_destroy(&aws->lock);
    free(aws->host);
    free(aws->path);
    free(aws->url);
    free(aws);
}

const char *kb_aws_region(const struct kb_aws *aws)
{
    return aws->settings.region;
}

const char *kb_aws_endpoint(const struct kb_aws *aws)
{
    return aws->settings.endpoint;
}

unsigned kb_aws_connections(const struct kb_aws *aws)
{
    return aws->settings.connections;
}

void kb_aws_stats(struct kb_aws *aws, struct kb_aws_stats *out)
{
    out->requests = atomic_load(&aws->requests);
    out->retries = atomic_load(&aws->retries);
    out->throttled = atomic_load(&aws->throttled);
}

/* --- conveniences ------------------------------------------------------------------ */

enum kb_status kb_aws_run(struct kb_aws *aws, struct kb_aws_call *calls, size_t n,
                          struct kb_error *err)
{
    struct kb_aws_flight *flight;
    enum kb_status status = kb_aws_begin(&flight, aws, calls, n, err);

    return status == KB_OK ? kb_aws_finish(flight, err) : status;
}

enum kb_status kb_aws_call_one(struct kb_aws *aws, struct kb_aws_call *call, struct kb_error *err)
{
    enum kb_status status = kb_aws_run(aws, call, 1, err);

    if (status != KB_OK || call->status == KB_OK)
        return status;
    if (err && err->status == KB_OK)
        *err = call->error;
    return call->status;
}

void kb_aws_call_free(struct kb_aws_call *call)
{
    kb_buffer_free(&call->response);
    kb_buffer_free(&call->headers);
}

void kb_aws_pause(int milliseconds)
{
    struct timespec left = {milliseconds / 1000, (long)(milliseconds % 1000) * 1000000};

    while (milliseconds > 0 && nanosleep(&left, &left) != 0 && errno == EINTR)
        ;
}
