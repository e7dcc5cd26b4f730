/* SPDX-License-Identifier: Apache-2.0
 *
 * Encrypted objects: opening, and the names of the ways to encrypt.
 */
#include "sealed/object.h"

#include <stdlib.h>
#include <string.h>

static const char *const names[] = {"sse-c", "client", "client-envelope",
                                    "sse-s3", "sse-kms", "none"};
enum { NAMES = sizeof names / sizeof *names };

const char *kb_object_encryption_format(enum kb_object_encryption encryption)
{
    return (unsigned)encryption < NAMES ? names[encryption] : "unknown";
}

bool kb_object_encryption_parse(enum kb_object_encryption *out, const char *text)
{
    for (unsigned i = 0; i < NAMES; i++) {
        if (strcmp(names[i], text) == 0) {
            *out = (enum kb_object_encryption)i;
            return true;
        }
    }
    return false;
}

bool object_is_client(enum kb_object_encryption encryption)
{
    return encryption == KB_OBJECT_CLIENT || encryption == KB_OBJECT_CLIENT_ENVELOPE;
}

enum kb_status kb_objects_open(struct kb_objects **out, const struct kb_objects_options *options,
                               struct kb_error *err)
{
    struct kb_objects *objects = calloc(1, sizeof *objects);

    *out = objects;
    if (!objects)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    objects->s3 = options->s3;
    objects->vault = options->vault;
    objects->s3ec = options->s3ec;
    objects->esdk = options->esdk;
    return KB_OK;
}

void kb_objects_close(struct kb_objects *objects)
{
    free(objects);
}

void kb_object_result_free(struct kb_object_result *result)
{
    kb_s3_object_free(&result->object);
    memset(result, 0, sizeof *result);
}
