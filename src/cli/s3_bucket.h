/* SPDX-License-Identifier: Apache-2.0
 *
 * keybridge s3 bucket: settings of buckets.
 */
#ifndef KB_CLI_S3_BUCKET_H
#define KB_CLI_S3_BUCKET_H

#include "cli/s3.h"

/* What its verbs have in common. */
struct s3_bucket {
    struct s3 s3;
    char name[KB_S3_BUCKET_MAX + 1];
};
/* Parses `argv`, of which the first of `count` arguments is the bucket's URL, and
 * opens the client. */
KB_MUST_CHECK enum kb_status s3_bucket_open(struct s3_bucket *bucket,
                                            const struct cli_option *options, int count, int argc,
                                            char **argv);

/* --- s3_policy.c ------------------------------------------------------------------- */

enum kb_status s3_policy_get(struct cli *cli, int argc, char **argv);
enum kb_status s3_policy_set(struct cli *cli, int argc, char **argv);
enum kb_status s3_policy_require(struct cli *cli, int argc, char **argv);
/* Uploads an empty object under a customer key, and deletes it. KB_ERR_DENIED: it was
 * denied. */
KB_MUST_CHECK enum kb_status s3_try_sse_c(const struct s3_bucket *bucket, struct kb_error *err);

#endif
