/* SPDX-License-Identifier: Apache-2.0
 *
 * One source of credentials each: what the chain of credentials.c is made of.
 */
#ifndef KB_AWS_CREDENTIALS_SOURCE_H
#define KB_AWS_CREDENTIALS_SOURCE_H

#include "aws/credentials.h"

/* Keys as a source gives them. */
struct kb_key_set {
    struct kb_secret *text; /* id, secret key and session token, one behind the other;
                               NULL: the source has none */
    size_t id_size;
    size_t key_size;
    size_t token_size;
    int64_t expires; /* seconds since 1970; 0: never */
};

enum {
    KB_PROCESS_MS = 60 * 1000, /* a credential_process may take */
    KB_CREDENTIALS_JSON_MAX = 64 * 1024,
};

/* Copies the three (token may be NULL) into *set after checking that they can
 * stand in a request; `source` names them in errors. KB_ERR_DENIED. */
KB_MUST_CHECK enum kb_status kb_key_set_fill(struct kb_key_set *set,
                                             const struct kb_sigv4_keys *keys, const char *source,
                                             struct kb_error *err);
void kb_key_set_free(struct kb_key_set *set);
struct kb_sigv4_keys kb_key_set_view(const struct kb_key_set *set, struct kb_bytes text);

/* The JSON of a process, a container or an instance. Their names for the
 * session token differ: SessionToken, Token. `source` is for errors. */
enum kb_credentials_form { KB_FORM_PROCESS, KB_FORM_METADATA };
KB_MUST_CHECK enum kb_status kb_key_set_parse(struct kb_key_set *set, struct kb_bytes json,
                                              enum kb_credentials_form form, const char *source,
                                              struct kb_error *err);

/* Seconds since 1970 of "2026-01-02T03:04:05Z", with a fraction or an offset
 * as RFC 3339 allows; false when it is none. */
bool kb_time_parse(int64_t *out, struct kb_bytes text);

/* Runs the command line (words, quotes and backslashes as in a shell, nothing
 * else) and reads its keys. KB_ERR_DENIED, KB_ERR_CONFIG. */
KB_MUST_CHECK enum kb_status kb_credentials_from_process(struct kb_key_set *set,
                                                         const char *command, int timeout_ms,
                                                         struct kb_error *err);

/* From AWS_CONTAINER_CREDENTIALS_*, and from the instance's metadata service;
 * set->text stays NULL when there is none. KB_ERR_DENIED, KB_ERR_REMOTE. */
KB_MUST_CHECK enum kb_status kb_credentials_from_container(struct kb_key_set *set,
                                                           struct kb_error *err);
KB_MUST_CHECK enum kb_status kb_credentials_from_instance(struct kb_key_set *set,
                                                          struct kb_error *err);

/* True when `url` may be sent a container's authorization: https, or a host
 * that is on this machine or its link. */
bool kb_container_url_is_safe(const char *url);

#endif
