/* SPDX-License-Identifier: Apache-2.0
 *
 * One object comes back, and is what the inventory says.
 */
#include "sealed/object_reading.h"

#include <string.h>

static enum kb_status take_stored(struct object_reading *reading,
                                  const struct kb_s3_downloaded *downloaded, struct kb_error *err)
{
    reading->size = downloaded->size;
    memcpy(reading->sha256, downloaded->sha256, sizeof reading->sha256);
    if (!reading->get->ranged && reading->size != reading->found.head.size)
        return kb_error_set(err, KB_ERR_REMOTE, "s3://%s/%s came short", reading->name.bucket,
                            reading->name.key);
    return KB_OK;
}

/* What the server decrypted, or nobody encrypted. */
static enum kb_status get_stored(struct object_reading *reading, struct kb_error *err)
{
    const struct kb_object_get *get = reading->get;
    const struct object_span span = {.ranged = get->ranged,
                                     .first = get->first,
                                     .last = get->last,
                                     .write = get->write,
                                     .ctx = get->ctx};
    struct kb_s3_downloaded downloaded = {.size = 0};
    enum kb_status status;

    if (get->ranged && get->first >= reading->found.head.size)
        return kb_error_set(err, KB_ERR_NOT_FOUND, "s3://%s/%s has only %llu bytes",
                            reading->name.bucket, reading->name.key,
                            (unsigned long long)reading->found.head.size);
    status = object_download(reading, &span, &downloaded, err);
    kb_s3_object_free(&downloaded.object);
    return status == KB_OK ? take_stored(reading, &downloaded, err) : status;
}

/* --- the inventory ---------------------------------------------------------------------- */

static enum kb_status altered(const struct object_reading *reading, struct kb_error *err,
                              const char *what)
{
    kb_error_set(err, KB_ERR_AUTH, "s3://%s/%s is not what was stored: %s", reading->name.bucket,
                 reading->name.key, what);
    if (reading->found.customer_key)
        kb_error_hint(err, "if another program wrote it, name its key or version: --vault-key, "
                           "--version-id");
    else
        kb_error_hint(err, "if that is as it should be, get it with the program that wrote it");
    return KB_ERR_AUTH;
}

/* Before any byte is asked for. Who names the key takes the object as it is. */
static enum kb_status check_found(const struct object_reading *reading, struct kb_error *err)
{
    const struct object_found *found = &reading->found;
    const struct kb_object_get *get = reading->get;

    if (found->known && (get->key || get->customer_key || get->try_all_keys))
        return KB_OK;
    if (found->replaced)
        return altered(reading, err, "the inventory has other versions only");
    if (found->differs)
        return altered(reading, err, "the inventory has another ETag");
    if (found->has_row && found->row.state == KB_VAULT_STORED &&
        object_is_client(reading->row_encryption) && !object_is_client(found->encryption) &&
        !get->raw)
        return altered(reading, err, "the inventory has another encryption");
    return KB_OK;
}

static enum kb_status check_got(const struct object_reading *reading, struct kb_error *err)
{
    const struct kb_vault_object *row = &reading->found.row;
    const struct kb_object_get *get = reading->get;
    const bool opened = object_is_client(reading->row_encryption);

    if (!reading->found.has_row || row->state != KB_VAULT_STORED || get->ranged)
        return KB_OK;
    /* The row is of what was given to put: plaintext, or when it was not encrypted here
     * the bytes as they are stored, be they a message that we were just given. */
    if (opened && (get->raw || !object_is_client(reading->found.encryption)))
        return KB_OK;
    if (row->size != (opened ? reading->size : reading->stored_size))
        return altered(reading, err, "its size");
    if (row->has_sha256 && memcmp(row->sha256, opened ? reading->sha256 : reading->stored_sha256,
                                  sizeof row->sha256) != 0)
        return altered(reading, err, "its SHA-256");
    return KB_OK;
}

/* --- without a HEAD ----------------------------------------------------------------------- */

/* A GET of what the inventory knows, which the server's first answer confirms or not. */
struct known {
    struct object_reading *reading;
    struct kb_s3_downloaded downloaded;
    bool looked_at, confirmed;
};

static enum kb_status confirm(struct known *known, struct kb_error *err)
{
    struct object_reading *reading = known->reading;

    if (!known->looked_at) {
        known->looked_at = true;
        reading->found.head = known->downloaded.object; /* and its memory */
        known->confirmed = object_find_confirm(&reading->found, reading->objects, &reading->name,
                                               reading->get);
    }
    return known->confirmed ? KB_OK
                            : kb_error_set(err, KB_ERR_INPUT, "it is not what was stored");
}

static enum kb_status write_known(void *ctx, struct kb_bytes bytes, struct kb_error *err)
{
    struct known *known = ctx;
    const struct kb_object_get *get = known->reading->get;
    enum kb_status status = confirm(known, err);

    return status == KB_OK ? get->write(get->ctx, bytes, err) : status;
}

/* Whether another way may do better. Who does not answer is not asked again. */
static bool may_try_on(const struct known *known, enum kb_status status)
{
    unsigned answer = known->downloaded.object.status;

    return !known->confirmed &&
           (status != KB_ERR_REMOTE || (answer >= 200 && answer < 500));
}

/* Small objects cost one request so. *done is false when it has to be looked for;
 * nothing was handed over then. */
static enum kb_status get_known(struct object_reading *reading, bool *done, struct kb_error *err)
{
    const struct kb_object_get *get = reading->get;
    struct known known = {.reading = reading};
    const struct object_span span = {.ranged = get->ranged,
                                     .first = get->first,
                                     .last = get->last,
                                     .write = write_known,
                                     .ctx = &known};
    struct kb_error error = {.status = KB_OK};
    enum kb_status status;

    *done = false;
    if (!object_find_row(&reading->found, reading->objects, &reading->name, get))
        return KB_OK;
    reading->row_encryption = reading->found.encryption;
    status = object_download(reading, &span, &known.downloaded, &error);
    if (status == KB_OK)
        status = confirm(&known, &error); /* of no bytes */
    if (status == KB_OK)
        status = take_stored(reading, &known.downloaded, &error);
    if (status == KB_OK)
        status = check_got(reading, &error);
    *done = status == KB_OK || !may_try_on(&known, status);
    if (!known.looked_at)
        kb_s3_object_free(&known.downloaded.object);
    if (*done && status != KB_OK && err && err->status == KB_OK)
        *err = error;
    return *done ? status : KB_OK;
}

/* --- all of it ---------------------------------------------------------------------------- */

static void fill(struct kb_object_result *out, struct object_reading *reading)
{
    struct object_found *found = &reading->found;

    out->object = found->head;
    memset(&found->head, 0, sizeof found->head);
    out->size = reading->size;
    out->has_sha256 = !reading->get->ranged;
    if (out->has_sha256)
        memcpy(out->sha256, reading->sha256, sizeof out->sha256);
    memcpy(out->key_id, found->key.id, sizeof out->key_id);
    out->opens_with_key = found->known;
    out->closed_without_key = found->refused;
}

static enum kb_status read_object(struct object_reading *reading, struct kb_error *err)
{
    struct object_found *found = &reading->found;
    enum kb_status status;

    if (found->head.version[0])
        reading->name.version = found->head.version;
    if (!found->has_row || !kb_object_encryption_parse(&reading->row_encryption,
                                                       found->row.encryption))
        reading->row_encryption = found->encryption;
    status = check_found(reading, err);
    if (status != KB_OK)
        return status;
    if (found->encryption == KB_OBJECT_CLIENT)
        status = object_get_client(reading, err);
    else if (found->encryption == KB_OBJECT_CLIENT_ENVELOPE)
        status = object_get_envelope(reading, err);
    else
        status = get_stored(reading, err);
    return status == KB_OK ? check_got(reading, err) : status;
}

enum kb_status kb_object_get(struct kb_objects *objects, const struct kb_s3_name *name,
                             const struct kb_object_get *get, struct kb_object_result *out,
                             struct kb_error *err)
{
    struct object_reading reading = {.objects = objects, .name = *name, .get = get};
    bool done;
    enum kb_status status = get_known(&reading, &done, err);

    kb_object_result_free(out);
    if (!done)
        status = object_find(&reading.found, objects, name, get, false, err);
    if (!done && status == KB_OK)
        status = read_object(&reading, err);
    if (status == KB_OK)
        fill(out, &reading);
    kb_s3ec_object_free(reading.opening);
    kb_esdk_free(reading.message);
    kb_digest_free(reading.digest);
    kb_buffer_free(&reading.piece);
    object_found_clear(&reading.found);
    return status;
}
