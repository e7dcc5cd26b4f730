/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes a vault's keys, under another wrapping key, and its inventory.
 */
#include "keystore/vault_move.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include <keybridge/file.h>

#include "base/text.h"
#include "crypto/crypto.h"

struct exporting {
    struct vault_moving *moving;
    struct kb_outfile *file;
    const char *wrap_key;
    enum kb_wrap_algorithm algorithm;
};

static enum kb_status no_memory(struct kb_error *err)
{
    return kb_error_set(err, KB_ERR_MEMORY, "no memory to export a vault");
}

/* One line; the value is freed. */
static enum kb_status write_line(struct exporting *exporting, const char *name, cJSON *value,
                                 struct kb_error *err)
{
    cJSON *line = name ? cJSON_CreateObject() : value;
    char *text = NULL;
    enum kb_status status = KB_OK;

    if (name && value && !cJSON_AddItemToObject(line, name, value)) {
        cJSON_Delete(value);
        value = NULL;
    }
    if (line && value)
        text = cJSON_PrintUnformatted(line);
    cJSON_Delete(line);
    if (!text)
        return no_memory(err);
    status = kb_digest_update(exporting->moving->digest, kb_bytes_text(text), err);
    if (status == KB_OK)
        status = kb_digest_update(exporting->moving->digest, kb_bytes_text("\n"), err);
    if (status == KB_OK)
        status = kb_outfile_write(exporting->file, kb_bytes_text(text), err);
    if (status == KB_OK)
        status = kb_outfile_write(exporting->file, kb_bytes_text("\n"), err);
    cJSON_free(text);
    return status;
}

static bool add_integer(cJSON *object, const char *name, uint64_t value)
{
    char text[24];

    /* A text: a number of JSON is exact up to 2^53 only. */
    snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    return cJSON_AddStringToObject(object, name, text);
}

static cJSON *key_json(const struct kb_vault_key *key, struct kb_bytes wrapped)
{
    struct kb_buffer text = KB_BUFFER_INIT(4096);
    cJSON *out = cJSON_CreateObject();

    kb_base64_format(&text, wrapped);
    kb_buffer_put_u8(&text, 0);
    if (text.failed || !cJSON_AddStringToObject(out, "id", key->id) ||
        !cJSON_AddStringToObject(out, "fingerprint", key->fingerprint) ||
        !cJSON_AddStringToObject(out, "purpose", kb_vault_purpose_format(key->purpose)) ||
        !cJSON_AddStringToObject(out, "state", kb_vault_state_format(key->state)) ||
        !cJSON_AddStringToObject(out, "name", key->name) ||
        !cJSON_AddStringToObject(out, "scope", key->scope) ||
        !add_integer(out, "created", (uint64_t)key->created) ||
        !cJSON_AddStringToObject(out, "wrapped", (const char *)text.data)) {
        cJSON_Delete(out);
        out = NULL;
    }
    kb_buffer_free(&text);
    return out;
}

static enum kb_status flush(struct exporting *exporting, struct kb_error *err)
{
    struct vault_moving *moving = exporting->moving;
    enum kb_status status = vault_moving_rewrap(moving, moving->vault->wrap_key,
                                                exporting->wrap_key, exporting->algorithm, err);

    for (size_t i = 0; i < moving->n && status == KB_OK; i++) {
        struct kb_bytes wrapped = {moving->wrapped[i].wrapped, moving->wrapped[i].wrapped_size};

        status = write_line(exporting, "key", key_json(&moving->key[i], wrapped), err);
        moving->keys++;
    }
    vault_moving_empty(moving);
    return status;
}

static enum kb_status take_key(void *ctx, const struct vault_row *row, struct kb_error *err)
{
    const struct kb_bytes *wrapped = &row->cells[KEY_WRAPPED].bytes;
    struct exporting *exporting = ctx;
    struct vault_moving *moving = exporting->moving;
    struct kb_data_key *to = &moving->wrapped[moving->n];
    struct kb_vault_key view;
    enum kb_status status = vault_key_view(moving->vault, &view, row, err);

    if (status == KB_OK && wrapped->size > sizeof to->wrapped)
        status = vault_damaged(moving->vault, "a wrapped key is too long", err);
    if (status != KB_OK)
        return status;
    *to = (struct kb_data_key){.algorithm = KB_WRAP_AES,
                               .wrapped_size = (uint16_t)wrapped->size};
    memcpy(to->wrapped, wrapped->data, wrapped->size);
    moving->key[moving->n] = view;
    status = vault_text_copy(&moving->key[moving->n].scope, view.scope, err);
    moving->n++;
    if (status == KB_OK && moving->n == KB_TOKEN_BATCH_MAX)
        status = flush(exporting, err);
    return status;
}

static enum kb_status take_object(void *ctx, const struct vault_row *row, struct kb_error *err)
{
    struct exporting *exporting = ctx;
    struct kb_vault_object object;
    char sha256[65] = "";
    cJSON *out;
    enum kb_status status = vault_object_view(exporting->moving->vault, &object, row, err);

    if (status != KB_OK)
        return status;
    if (object.has_sha256)
        kb_crypto_hex(sha256, (struct kb_bytes){object.sha256, sizeof object.sha256});
    out = cJSON_CreateObject();
    if (!cJSON_AddStringToObject(out, "endpoint", object.endpoint) ||
        !cJSON_AddStringToObject(out, "bucket", object.bucket) ||
        !cJSON_AddStringToObject(out, "object-key", object.object_key) ||
        !cJSON_AddStringToObject(out, "version", object.version) ||
        !cJSON_AddStringToObject(out, "key-id", object.key_id) ||
        !cJSON_AddStringToObject(out, "encryption", object.encryption) ||
        !cJSON_AddStringToObject(out, "sha256", sha256) ||
        !cJSON_AddStringToObject(out, "etag", object.etag) ||
        !add_integer(out, "state", object.state) || !add_integer(out, "size", object.size) ||
        !add_integer(out, "changed", (uint64_t)object.changed)) {
        cJSON_Delete(out);
        out = NULL;
    }
    exporting->moving->objects++;
    return write_line(exporting, "object", out, err);
}

static enum kb_status write_first(struct exporting *exporting, struct kb_error *err)
{
    cJSON *first = cJSON_CreateObject();

    if (!cJSON_AddNumberToObject(first, "keybridge-vault-export", 1) ||
        !cJSON_AddStringToObject(first, "vault", exporting->moving->vault->state.id) ||
        !cJSON_AddStringToObject(first, "algorithm",
                                 vault_algorithm_format(exporting->algorithm))) {
        cJSON_Delete(first);
        first = NULL;
    }
    return write_line(exporting, NULL, first, err);
}

static enum kb_status write_last(struct exporting *exporting, bool mac, struct kb_error *err)
{
    struct vault_moving *moving = exporting->moving;
    char sum[2 * VAULT_MAC_SIZE + 1];
    cJSON *last;
    enum kb_status status = vault_moving_end(moving, mac, sum, err);

    if (status != KB_OK)
        return status;
    last = cJSON_CreateObject();
    if (!add_integer(last, "keys", moving->keys) ||
        !add_integer(last, "objects", moving->objects) ||
        !cJSON_AddStringToObject(last, mac ? "mac" : "sha256", sum)) {
        cJSON_Delete(last);
        last = NULL;
    }
    return write_line(exporting, "end", last, err);
}

static enum kb_status export_all(struct exporting *exporting, struct kb_error *err)
{
    struct kb_vault *vault = exporting->moving->vault;
    struct vault_query keys = {.table = VAULT_KEYS}, objects = {.table = VAULT_OBJECTS};
    struct vault_reader take_keys = {take_key, NULL, exporting};
    struct vault_reader take_objects = {take_object, NULL, exporting};
    bool public_only = false;
    enum kb_status status = vault_moving_algorithm(vault, exporting->wrap_key,
                                                   &exporting->algorithm, &public_only, err);

    if (status == KB_OK)
        status = write_first(exporting, err);
    if (status == KB_OK)
        status = vault_rows_read(vault, &keys, &take_keys, err);
    if (status == KB_OK)
        status = flush(exporting, err);
    if (status == KB_OK)
        status = vault_rows_read(vault, &objects, &take_objects, err);
    return status == KB_OK ? write_last(exporting, !public_only, err) : status;
}

enum kb_status kb_vault_export(struct kb_vault *vault, const char *wrap_key, const char *path,
                               struct kb_error *err)
{
    struct exporting exporting = {.wrap_key = wrap_key};
    enum kb_status status =
        kb_outfile_open(&exporting.file, path, 0600, KB_OUTFILE_NEW, err);

    if (status != KB_OK)
        return status;
    status = vault_moving_new(&exporting.moving, vault, err);
    if (status == KB_OK)
        status = vault_enter(vault, err);
    if (status == KB_OK) {
        /* So that keys and inventory are of one moment. */
        status = kb_store_begin(vault->store, err);
        if (status == KB_OK)
            status = export_all(&exporting, err);
        kb_store_rollback(vault->store);
        status = vault_leave(vault, status);
    }
    vault_moving_free(exporting.moving);
    if (status == KB_OK)
        return kb_outfile_commit(exporting.file, err);
    kb_outfile_abort(exporting.file);
    return status;
}
