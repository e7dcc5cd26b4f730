/* SPDX-License-Identifier: Apache-2.0
 *
 * The bytes of an object as they are stored.
 */
#include "sealed/object_reading.h"

#include <string.h>

enum kb_status object_download(struct object_reading *reading, const struct object_span *span,
                               struct kb_s3_downloaded *out, struct kb_error *err)
{
    const struct kb_object_get *get = reading->get;
    const struct kb_s3_object *head = &reading->found.head;
    const struct kb_s3_download download = {
        .get = {.encryption = object_key_encryption(&reading->found.key),
                .ranged = span->ranged,
                .first = span->first,
                .last = span->last,
                .if_match = head->etag[0] ? head->etag : NULL,
                .write = span->write,
                .ctx = span->ctx},
        .part_size = get->part_size,
        .connections = get->connections,
        .no_sha256 = span->no_sha256,
        .progress = get->progress,
        .ctx = get->progress_ctx,
    };
    enum kb_status status =
        kb_s3_download(reading->objects->s3, &reading->name, &download, out, err);

    if (status == KB_OK && (strcmp(out->object.etag, head->etag) != 0 ||
                            strcmp(out->object.version, head->version) != 0))
        status = kb_error_set(err, KB_ERR_INPUT, "s3://%s/%s changed while it was read",
                              reading->name.bucket, reading->name.key);
    reading->stored_size = out->size;
    memcpy(reading->stored_sha256, out->sha256, sizeof reading->stored_sha256);
    return status;
}
