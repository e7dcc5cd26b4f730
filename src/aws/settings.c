/* SPDX-License-Identifier: Apache-2.0 */
#include "aws/credentials.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { CONNECTIONS_DEFAULT = 4, TRIES_DEFAULT = 10, TRIES_MAX = 1000, CONNECTIONS_MAX = 256 };

const char *kb_aws_variable(const char *name)
{
    const char *value = getenv(name);

    return value && *value ? value : NULL;
}

static bool is_letter_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* --- profile and region ----------------------------------------------------------- */

static enum kb_status choose_profile(struct kb_aws_settings *out,
                                     const struct kb_aws_options *options, struct kb_error *err)
{
    const char *name = options->profile && *options->profile ? options->profile : NULL;

    out->profile_first = name != NULL;
    if (!name)
        name = kb_aws_variable("AWS_PROFILE");
    out->profile_named = name != NULL;
    if (!name)
        name = "default";
    if (strlen(name) >= sizeof out->profile)
        return kb_error_set(err, KB_ERR_CONFIG, "the name of the profile is too long");
    memcpy(out->profile, name, strlen(name) + 1);
    if (out->profile_named && !kb_profiles_has(out->profiles, name)) {
        kb_error_set(err, KB_ERR_CONFIG, "there is no profile '%s' in AWS's configuration files",
                     name);
        kb_error_hint(err, "look in ~/.aws/config and ~/.aws/credentials, and at --profile and "
                           "AWS_PROFILE");
        return KB_ERR_CONFIG;
    }
    return KB_OK;
}

static bool region_is_good(const char *region)
{
    size_t size = strlen(region);

    /* It becomes part of a host's name. */
    for (size_t i = 0; i < size; i++)
        if (!(region[i] >= 'a' && region[i] <= 'z') && !(region[i] >= '0' && region[i] <= '9') &&
            region[i] != '-')
            return false;
    return size > 0 && size < sizeof((struct kb_aws_settings *)0)->region && region[0] != '-' &&
           region[size - 1] != '-';
}

static enum kb_status choose_region(struct kb_aws_settings *out,
                                    const struct kb_aws_options *options, struct kb_error *err)
{
    const char *region = options->region && *options->region ? options->region : NULL;

    if (!region)
        region = kb_aws_variable("AWS_REGION");
    if (!region)
        region = kb_aws_variable("AWS_DEFAULT_REGION");
    if (!region)
        region = kb_profiles_get(out->profiles, out->profile, "region");
    if (!region) {
        kb_error_set(err, KB_ERR_CONFIG, "no AWS region is set");
        kb_error_hint(err, "give --region, or set AWS_REGION, or write region = ... in the profile "
                           "'%s' of ~/.aws/config",
                      out->profile);
        return KB_ERR_CONFIG;
    }
    if (!region_is_good(region)) {
        kb_error_set(err, KB_ERR_USAGE, "'%s' is not the name of a region", region);
        kb_error_hint(err, "regions are named like eu-central-1");
        return KB_ERR_USAGE;
    }
    memcpy(out->region, region, strlen(region) + 1);
    return KB_OK;
}

/* --- endpoint --------------------------------------------------------------------- */

static bool port_is_good(const char *text, size_t size)
{
    unsigned port = 0;

    if (size == 0 || size > 5)
        return false;
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        port = port * 10 + (unsigned)(text[i] - '0');
    }
    return port > 0 && port <= 65535;
}

/* "host", "host:port", "[address]:port"; no user. */
static bool authority_is_good(const char *text, size_t size)
{
    size_t host = 0;

    if (size && text[0] == '[') {
        for (host = 1; host < size && text[host] != ']'; host++)
            if (!is_letter_or_digit(text[host]) && !strchr(":.", text[host]))
                return false;
        if (host == size || host < 3)
            return false;
        host++;
    } else {
        while (host < size && (is_letter_or_digit(text[host]) || strchr(".-_", text[host])))
            host++;
        if (host == 0 || text[0] == '-' || text[0] == '.')
            return false;
    }
    return host == size || (text[host] == ':' && port_is_good(text + host + 1, size - host - 1));
}

static bool path_is_good(const char *path)
{
    for (; *path; path++)
        if (*path <= 0x20 || *path >= 0x7f || strchr("?#\\\"<>", *path))
            return false;
    return true;
}

/* A copy of the URL without slashes at its end; NULL with *bad set when it is
 * none, without when there is no memory. */
static char *copy_url(const char *url, bool *bad)
{
    const char *host = strncasecmp(url, "https://", 8) == 0  ? url + 8
                       : strncasecmp(url, "http://", 7) == 0 ? url + 7
                                                             : NULL;
    size_t size, authority;

    *bad = true;
    if (!host)
        return NULL;
    authority = strcspn(host, "/?#");
    if (!authority_is_good(host, authority) || !path_is_good(host + authority))
        return NULL;
    *bad = false;
    size = strlen(url);
    while (url[size - 1] == '/')
        size--;
    return strndup(url, size);
}

static char *default_endpoint(const char *service, const char *region)
{
    const char *domain = strncmp(region, "cn-", 3) == 0 ? "amazonaws.com.cn" : "amazonaws.com";
    char text[256];
    int size = snprintf(text, sizeof text, "https://%s.%s.%s", service, region, domain);

    return size > 0 && (size_t)size < sizeof text ? strdup(text) : NULL;
}

/* "AWS_ENDPOINT_URL_DYNAMODB" */
static const char *service_variable(const char *service)
{
    char name[64];
    size_t size;

    snprintf(name, sizeof name, "AWS_ENDPOINT_URL_%s", service);
    size = strlen(name);
    for (size_t i = sizeof "AWS_ENDPOINT_URL_" - 1; i < size; i++) {
        if (name[i] >= 'a' && name[i] <= 'z')
            name[i] = (char)(name[i] - 'a' + 'A');
        else if (name[i] == '-')
            name[i] = '_';
    }
    return kb_aws_variable(name);
}

static enum kb_status choose_endpoint(struct kb_aws_settings *out, const char *service,
                                      const struct kb_aws_options *options, struct kb_error *err)
{
    const char *ignore = kb_aws_variable("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS");
    const char *url = options->endpoint_url;
    bool configured = !ignore || strcasecmp(ignore, "true") != 0, bad = false;

    if (url && !*url)
        url = NULL;
    if (!url && configured)
        url = service_variable(service);
    if (!url && configured)
        url = kb_aws_variable("AWS_ENDPOINT_URL");
    if (!url && configured)
        url = kb_profiles_endpoint(out->profiles, out->profile, service);
    out->endpoint = url ? copy_url(url, &bad) : default_endpoint(service, out->region);
    if (bad) {
        /* Not repeated as it is: it may have a password in it. */
        kb_error_set(err, KB_ERR_USAGE, "the endpoint URL for %s is not valid", service);
        kb_error_hint(err, "it is http:// or https://, a host, and perhaps a port and path: "
                           "http://127.0.0.1:8000");
        return KB_ERR_USAGE;
    }
    return out->endpoint ? KB_OK : kb_error_set(err, KB_ERR_MEMORY, "no memory");
}

/* --- the rest --------------------------------------------------------------------- */

static enum kb_status choose_ca_file(struct kb_aws_settings *out,
                                     const struct kb_aws_options *options, struct kb_error *err)
{
    const char *name = options->ca_file && *options->ca_file ? options->ca_file : NULL;

    if (!name)
        name = kb_aws_variable("AWS_CA_BUNDLE");
    if (!name)
        name = kb_profiles_get(out->profiles, out->profile, "ca_bundle");
    if (!name)
        return KB_OK;
    out->ca_file = strdup(name);
    return out->ca_file ? KB_OK : kb_error_set(err, KB_ERR_MEMORY, "no memory");
}

static enum kb_status choose_tries(struct kb_aws_settings *out,
                                   const struct kb_aws_options *options, struct kb_error *err)
{
    const char *text = kb_aws_variable("AWS_MAX_ATTEMPTS");
    char *end;
    long value;

    out->connections = options->connections ? options->connections : CONNECTIONS_DEFAULT;
    out->max_tries = options->max_tries ? options->max_tries : TRIES_DEFAULT;
    if (out->connections > CONNECTIONS_MAX || out->max_tries > TRIES_MAX)
        return kb_error_set(err, KB_ERR_USAGE, "at most %d connections and %d tries are possible",
                            CONNECTIONS_MAX, TRIES_MAX);
    if (!text)
        text = kb_profiles_get(out->profiles, out->profile, "max_attempts");
    if (!text || options->max_tries)
        return KB_OK;
    errno = 0;
    value = strtol(text, &end, 10);
    if (errno || *end || value < 1 || value > TRIES_MAX)
        return kb_error_set(err, KB_ERR_CONFIG,
                            "AWS_MAX_ATTEMPTS (or max_attempts) is a number from 1 to %d",
                            TRIES_MAX);
    out->max_tries = (unsigned)value;
    return KB_OK;
}

enum kb_status kb_aws_settings_load(struct kb_aws_settings *out, const char *service,
                                    const struct kb_aws_options *options, struct kb_error *err)
{
    static const struct kb_aws_options none;
    enum kb_status status;

    *out = (struct kb_aws_settings){.endpoint = NULL};
    if (!options)
        options = &none;
    status = kb_profiles_load(&out->profiles, err);
    if (status == KB_OK)
        status = choose_profile(out, options, err);
    if (status == KB_OK)
        status = choose_region(out, options, err);
    if (status == KB_OK)
        status = choose_endpoint(out, service, options, err);
    if (status == KB_OK)
        status = choose_ca_file(out, options, err);
    if (status == KB_OK)
        status = choose_tries(out, options, err);
    if (status != KB_OK)
        kb_aws_settings_free(out);
    return status;
}

void kb_aws_settings_free(struct kb_aws_settings *settings)
{
    kb_profiles_free(settings->profiles);
    free(settings->endpoint);
    free(settings->ca_file);
    settings->profiles = NULL;
    settings->endpoint = settings->ca_file = NULL;
}
