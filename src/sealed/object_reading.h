/* SPDX-License-Identifier: Apache-2.0
 *
 * One object on its way from the server: found, got, decrypted here when it was
 * encrypted here (object_client.c), and held against the inventory.
 */
#ifndef KB_SEALED_OBJECT_READING_H
#define KB_SEALED_OBJECT_READING_H

#include "sealed/object.h"

#include "crypto/digest.h"

struct object_reading {
    const struct kb_objects *objects;
    struct kb_s3_name name; /* of the version that was found, when it has one */
    const struct kb_object_get *get;
    struct object_found found;
    enum kb_object_encryption row_encryption; /* as the inventory says, or as found */
    struct kb_s3ec_object *opening;
    struct kb_esdk_message *message;
    struct kb_digest *digest; /* of plaintext that was decrypted here */
    struct kb_buffer piece;   /* plaintext on its way */
    bool held;                /* plaintext waits in get->scratch */
    uint64_t size;            /* bytes of plaintext */
    uint8_t sha256[32];
    uint64_t stored_size;     /* of the bytes that came last: all, unless a range was asked for */
    uint8_t stored_sha256[32];
};

/* Bytes as they are stored. */
struct object_span {
    bool ranged;
    uint64_t first, last;
    bool no_sha256; /* nobody asks for that of the bytes as they are stored */
    enum kb_status (*write)(void *ctx, struct kb_bytes bytes, struct kb_error *err);
    void *ctx;
};
KB_MUST_CHECK enum kb_status object_download(struct object_reading *reading,
                                             const struct object_span *span,
                                             struct kb_s3_downloaded *out, struct kb_error *err);
/* (object_client.c) The same of what was encrypted before it was sent, decrypted. */
KB_MUST_CHECK enum kb_status object_get_client(struct object_reading *reading,
                                               struct kb_error *err);
KB_MUST_CHECK enum kb_status object_get_envelope(struct object_reading *reading,
                                                 struct kb_error *err);

#endif
