/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys of objects as they are listed, and as paths of files.
 */
#ifndef KB_CLI_S3_NAMES_H
#define KB_CLI_S3_NAMES_H

#include "cli/s3.h"

/* Names one behind the other. */
struct s3_names {
    struct kb_buffer text; /* terminated, one behind the other */
    size_t *starts;
    size_t count, room;
};
#define S3_NAMES_INIT                                                                              \
    {                                                                                              \
        .text = KB_BUFFER_INIT(SIZE_MAX / 2)                                                       \
    }
KB_MUST_CHECK enum kb_status s3_names_add(struct s3_names *names, struct kb_bytes name,
                                          struct kb_error *err);
/* Adds all keys below a prefix. */
KB_MUST_CHECK enum kb_status s3_names_list(struct s3_names *names, struct s3 *s3,
                                           const char *bucket, const char *prefix);
const char *s3_names_at(const struct s3_names *names, size_t at);
void s3_names_free(struct s3_names *names);

/* "s3://bucket/key", the caller's; NULL without memory. */
char *s3_url(const char *bucket, const char *key);
/* What -r takes: the key with a slash behind it, unless it is empty. The caller's. */
char *s3_prefix(const char *key);

/* Refuses what is no path below a folder on every system: empty parts, "." and
 * "..", control characters, parts of more than 255 bytes. */
KB_MUST_CHECK enum kb_status s3_check_path(const char *path, struct kb_error *err);
/* Makes the folders on the way to a file, those behind `from` bytes of its path. What is
 * there and no folder is KB_ERR_DENIED: links lead out of the tree. */
KB_MUST_CHECK enum kb_status s3_make_folders(char *path, size_t from, struct kb_error *err);

/* KB_ERR_NOT_FOUND, for a tree without objects: its name may be mistyped. */
KB_MUST_CHECK enum kb_status s3_nothing_there(struct s3 *s3, const char *bucket,
                                              const char *prefix);

#endif
