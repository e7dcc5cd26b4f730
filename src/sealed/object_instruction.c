/* SPDX-License-Identifier: Apache-2.0
 *
 * Instruction files of the S3 Encryption Client: objects beside objects.
 */
#include "sealed/object.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *object_instruction_key(const char *key, const char *suffix)
{
    size_t size;
    char *name;

    suffix = suffix ? suffix : OBJECT_INSTRUCTION_SUFFIX;
    size = strlen(key) + strlen(suffix) + 1;
    name = malloc(size);
    if (name)
        snprintf(name, size, "%s%s", key, suffix);
    return name;
}

size_t object_instruction_base(const char *key)
{
    size_t size = strlen(key), suffix = strlen(OBJECT_INSTRUCTION_SUFFIX);

    return size > suffix && strcmp(key + size - suffix, OBJECT_INSTRUCTION_SUFFIX) == 0
               ? size - suffix
               : 0;
}

static enum kb_status take(void *ctx, struct kb_bytes bytes, struct kb_error *err)
{
    struct kb_buffer *out = ctx;

    kb_buffer_put_bytes(out, bytes);
    return out->failed ? kb_error_set(err, KB_ERR_INPUT, "an instruction file is too long") : KB_OK;
}

bool object_is_instruction(const struct kb_s3_object *object)
{
    for (size_t i = 0; i < object->metadata_count; i++)
        if (kb_bytes_equal(object->metadata[i].name, kb_bytes_text(OBJECT_INSTRUCTION_NAME)))
            return true;
    return false;
}

enum kb_status object_instruction_get(struct kb_buffer *out, const struct kb_objects *objects,
                                      const struct kb_s3_name *name, const char *suffix,
                                      const struct object_key *key, struct kb_error *err)
{
    char *own = object_instruction_key(name->key, suffix);
    const struct kb_s3_name file = {.bucket = name->bucket, .key = own};
    const struct kb_s3_get get = {.encryption = object_key_encryption(key),
                                  .write = take,
                                  .ctx = out};
    struct kb_s3_object object = {.status = 0};
    enum kb_status status;

    if (!own)
        status = kb_error_set(err, KB_ERR_MEMORY, "no memory");
    else if (strlen(own) > KB_S3_KEY_MAX)
        status = kb_error_set(err, KB_ERR_NOT_FOUND, "so long a name has no instruction file");
    else
        status = kb_s3_get_object(objects->s3, &file, &get, &object, err);
    if (status == KB_OK && !object_is_instruction(&object)) {
        kb_buffer_reset(out);
        status = kb_error_set(err, KB_ERR_NOT_FOUND, "%s is no instruction file", own);
    }
    kb_s3_object_free(&object);
    free(own);
    return status;
}

enum kb_status object_instruction_put(struct kb_s3_object *out, const struct kb_objects *objects,
                                      const struct kb_s3_name *name, const char *suffix,
                                      struct kb_bytes text, const struct object_key *key,
                                      struct kb_error *err)
{
    static const struct kb_pair mark = {
        .name = {(const uint8_t *)OBJECT_INSTRUCTION_NAME, sizeof OBJECT_INSTRUCTION_NAME - 1},
        .value = {(const uint8_t *)"", 0}};
    const struct kb_s3_put put = {.encryption = object_key_encryption(key),
                                  .metadata = &mark,
                                  .metadata_count = 1};
    char *own = object_instruction_key(name->key, suffix);
    const struct kb_s3_name file = {.bucket = name->bucket, .key = own};
    enum kb_status status = own ? kb_s3_put_object(objects->s3, &file, &put, text, out, err)
                                : kb_error_set(err, KB_ERR_MEMORY, "no memory");

    if (status == KB_OK && put.encryption.sse == KB_S3_SSE_C &&
        strcmp(out->fingerprint, key->fingerprint) != 0) {
        status = kb_error_set(err, KB_ERR_REMOTE,
                              "the server did not confirm the customer key of the instruction "
                              "file");
        if (object_is_there(objects, &file, out, key))
            (void)object_withdraw(objects, &file, out, err);
    }
    free(own);
    return status;
}

/* --- what one must not take the place of --------------------------------------------------- */

/* Anything but a plain "no" is an object. */
static enum kb_status check_body(const struct kb_objects *objects, const struct kb_s3_name *name,
                                 struct kb_error *err)
{
    const struct kb_s3_name body = {.bucket = name->bucket, .key = name->key};
    struct kb_s3_object head = {.status = 0};
    struct kb_error none = {.status = KB_OK};
    enum kb_status status = kb_s3_head_object(objects->s3, &body, NULL, &head, &none);

    kb_s3_object_free(&head);
    if (status == KB_ERR_NOT_FOUND)
        return KB_OK;
    kb_error_set(err, KB_ERR_EXISTS,
                 "s3://%s/%s has an instruction file already, and the bucket keeps no versions: "
                 "the object could not be read between the two writes",
                 name->bucket, name->key);
    kb_error_hint(err, "keybridge s3 rm s3://%s/%s first, or leave --instruction-file out",
                  name->bucket, name->key);
    return KB_ERR_EXISTS;
}

static enum kb_status check_file(const struct kb_objects *objects, const struct kb_s3_name *file,
                                 bool *pinned, struct kb_error *err)
{
    struct object_found found = {.known = false};
    struct kb_error why = {.status = KB_OK};
    enum kb_status status = object_find(&found, objects, file, NULL, true, &why);
    bool unknown = status == KB_OK && found.customer_key && !found.known;

    *pinned = object_is_pinned(&found.head);
    if (status == KB_OK && !unknown && !object_is_instruction(&found.head)) {
        status = kb_error_set(err, KB_ERR_EXISTS, "s3://%s/%s is no instruction file", file->bucket,
                              file->key);
        kb_error_hint(err, "give the new object another name, or leave --instruction-file out");
    } else if (unknown) {
        status = kb_error_set(err, KB_ERR_EXISTS,
                              "s3://%s/%s may be another object: its customer key is not known",
                              file->bucket, file->key);
        kb_error_hint(err, "remove it first, or leave --instruction-file out");
    } else if (status != KB_OK && err && err->status == KB_OK) {
        *err = why;
    }
    object_found_clear(&found);
    return status;
}

enum kb_status object_instruction_allow(const struct kb_objects *objects,
                                        const struct kb_s3_name *name, struct kb_error *err)
{
    char *own = object_instruction_key(name->key, NULL);
    const struct kb_s3_name file = {.bucket = name->bucket, .key = own};
    struct kb_error why = {.status = KB_OK};
    bool pinned = false;
    enum kb_status status = own ? check_file(objects, &file, &pinned, &why)
                                : kb_error_set(&why, KB_ERR_MEMORY, "no memory");

    free(own);
    if (status == KB_ERR_NOT_FOUND)
        return KB_OK;
    if (status == KB_OK && !pinned)
        status = check_body(objects, name, &why);
    if (status != KB_OK && err && err->status == KB_OK)
        *err = why;
    return status;
}

void object_instruction_take_back(const struct kb_objects *objects, const struct kb_s3_name *name,
                                  const struct kb_s3_object *stored, const struct object_key *key)
{
    char *own = object_instruction_key(name->key, NULL);
    const struct kb_s3_name file = {.bucket = name->bucket, .key = own};

    if (own && object_is_there(objects, &file, stored, key))
        (void)object_withdraw(objects, &file, stored, NULL);
    free(own);
}
