/* SPDX-License-Identifier: Apache-2.0
 *
 * What is stored with an object: metadata, and an instruction file.
 */
#ifndef KB_S3EC_HEADER_H
#define KB_S3EC_HEADER_H

#include "s3ec/spec.h"

#include "base/arena.h"

struct s3ec_wrapped {
    size_t size;
    uint8_t data[KB_TOKEN_WRAPPED_MAX];
};

/* A header that was read, or is to be written. */
struct s3ec_parsed {
    unsigned version;
    enum s3ec_content content;
    enum s3ec_wrap wrap;
    bool instruction_file;
    uint8_t iv[S3EC_MESSAGE_ID]; /* 12 or 16 bytes of it; version 3: the message id */
    uint8_t commitment[S3EC_COMMITMENT];
    struct s3ec_wrapped key;
    struct kb_bytes description; /* JSON as it stands, unverified; of the header, or the arena */
};

/* As kb_s3ec_inspect; with KB_ERR_NOT_FOUND, out->version is 3 for an object
 * that must have an instruction file, else 0. */
KB_MUST_CHECK enum kb_status s3ec_header_read(struct s3ec_parsed *out,
                                              const struct kb_s3ec_header *header,
                                              struct kb_arena *arena, struct kb_error *err);

/* A header that lives in memory of its own. */
struct s3ec_written {
    struct kb_s3ec_header header;
    struct kb_pair pairs[KB_S3EC_METADATA_MAX];
    struct kb_arena memory;
};

/* Of versions 2 and 3 alone. KB_ERR_USAGE for what does not fit into metadata. */
KB_MUST_CHECK enum kb_status s3ec_header_write(struct s3ec_written *out,
                                               const struct s3ec_parsed *parsed,
                                               struct kb_error *err);

/* The JSON of a material description: ASCII, since S3 mangles other metadata.
 * KB_ERR_USAGE for names that are not different, or text that is not UTF-8. */
KB_MUST_CHECK enum kb_status s3ec_description_write(struct kb_bytes *out,
                                                    const struct kb_s3ec_encrypt_options *options,
                                                    struct kb_arena *memory, struct kb_error *err);

#endif
