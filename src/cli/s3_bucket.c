/* SPDX-License-Identifier: Apache-2.0
 *
 * keybridge s3 bucket: what its verbs begin with.
 */
#include "cli/s3_bucket.h"

enum kb_status s3_bucket_open(struct s3_bucket *bucket, const struct cli_option *options,
                              int count, int argc, char **argv)
{
    struct s3 *s3 = &bucket->s3;
    struct kb_s3_name name;
    int rest;
    enum kb_status status = cli_parse(s3->cli, argc, argv, options, count, count, &rest);

    if (status == KB_OK)
        status = s3_argument(s3, argv[0], false, bucket->name, &name);
    if (status == KB_OK && name.key) {
        status = kb_error_set(&s3->cli->error, KB_ERR_USAGE, "%s is no bucket but an object",
                              argv[0]);
        cli_hint_help(s3->cli);
    }
    return status == KB_OK ? s3_open(s3, S3_NEEDS_NOTHING) : status;
}
