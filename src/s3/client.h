/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files that carry a request out share: the client, where it sends to,
 * and what it makes of errors.
 */
#ifndef KB_S3_CLIENT_H
#define KB_S3_CLIENT_H

#include "s3/s3.h"

#include <pthread.h>

enum { S3_REGION_SIZE = 64 };

struct s3_home; /* a bucket that is in another region */

struct kb_s3 {
    struct kb_aws *aws;
    enum kb_s3_style style;
    const char *scheme;   /* "https://" */
    bool secure;          /* it is that */
    bool of_aws;          /* the endpoint is one of AWS's */
    const char *domain;   /* "amazonaws.com" when hosts are made of the region; else NULL */
    struct kb_bytes host; /* "host:port" of the endpoint */
    char *realm;          /* see kb_s3_realm */
    const char *base;     /* its path, without a slash at the end: "" mostly */
    pthread_mutex_t lock; /* of the homes */
    struct s3_home *homes;
};

/* --- URLs (url.c) ------------------------------------------------------------------- */

/* KB_ERR_USAGE for what is no bucket's name or no key; both may be NULL. */
KB_MUST_CHECK enum kb_status s3_check_name(const char *bucket, const char *key,
                                           struct kb_error *err);

/* Both are terminated. */
struct s3_place {
    struct kb_buffer host, url;
};
KB_MUST_CHECK enum kb_status s3_place_make(struct s3_place *out, const struct kb_s3 *s3,
                                           const char *region, const struct s3_request *request,
                                           struct kb_error *err);
void s3_place_free(struct s3_place *place);

/* --- errors (answer.c) -------------------------------------------------------------- */

/* The document of an error; texts that are missing are "". */
struct s3_trouble {
    char code[KB_ANSWER_CODE_SIZE];
    char message[200];
    char region[S3_REGION_SIZE];
    bool there; /* it was one */
};
void s3_trouble_read(struct s3_trouble *out, struct kb_bytes body);

/* The service's judge; answer->ctx is the s3_request. */
enum kb_verdict s3_judge(const struct kb_aws_answer *answer, char code[KB_ANSWER_CODE_SIZE],
                         struct kb_error *err);

#endif
