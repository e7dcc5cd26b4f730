/* SPDX-License-Identifier: Apache-2.0
 *
 * An object got and put again, in constant memory.
 */
#ifndef KB_SEALED_OBJECT_PIPE_H
#define KB_SEALED_OBJECT_PIPE_H

#include <keybridge/s3.h>

struct object_pipe_from {
    const struct kb_s3_name *name;
    const struct kb_s3_download *download; /* its `write` is set here */
    const uint8_t *sha256;                 /* that the bytes must have; NULL: any */
    /* Called when all bytes are here, and before the upload ends; may be NULL. */
    enum kb_status (*check)(void *ctx, struct kb_error *err);
    void *ctx;
};
struct object_pipe_to {
    const struct kb_s3_name *name;
    const struct kb_s3_upload *upload;
    uint64_t size; /* bytes of the object */
};
/* The upload ends only when the download has, and its bytes are as they must be:
 * KB_ERR_AUTH, and nothing is stored. */
KB_MUST_CHECK enum kb_status object_pipe(struct kb_s3_uploaded *out, struct kb_s3 *s3,
                                         const struct object_pipe_from *from,
                                         const struct object_pipe_to *to, struct kb_error *err);

#endif
