/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads what export wrote, in one transaction that ends only when the last line's
 * MAC is right.
 */
#include "keystore/vault_move.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/text.h"

enum { LINE_ROOM = 2 * 1024 * 1024 };

struct importing {
    struct vault_moving *moving;
    struct kb_vault_imported *out;
    const char *path;
    FILE *file;
    char line[LINE_ROOM];
    uint64_t number; /* of the line */
    const char *unwrap_key;
    enum kb_wrap_algorithm algorithm;
    bool ended;
    struct kb_vault_object objects[KB_TOKEN_BATCH_MAX]; /* owned */
    size_t object_count;
};

static enum kb_status wrong(const struct importing *importing, const char *how,
                            struct kb_error *err)
{
    return kb_error_set(err, KB_ERR_INPUT, "%s line %llu: %s", importing->path,
                        (unsigned long long)importing->number, how);
}

/* --- values ------------------------------------------------------------------------------- */

/* A text member, or NULL. */
static const char *text_of(const cJSON *object, const char *name)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
}

static bool fill(char *out, size_t room, const cJSON *object, const char *name)
{
    const char *text = text_of(object, name);

    if (!text || strlen(text) >= room)
        return false;
    memcpy(out, text, strlen(text) + 1);
    return true;
}

static bool integer_of(uint64_t *out, const cJSON *object, const char *name)
{
    const char *text = text_of(object, name);
    char *end = NULL;

    if (!text || text[0] < '0' || text[0] > '9')
        return false;
    errno = 0;
    *out = strtoull(text, &end, 10);
    return errno == 0 && *end == 0;
}

static bool hex_of(uint8_t *out, size_t size, const char *text)
{
    struct kb_buffer bytes = KB_BUFFER_INIT(size);
    bool good = text && kb_hex_parse(&bytes, kb_bytes_text(text), false) && bytes.size == size;

    if (good)
        memcpy(out, bytes.data, size);
    kb_buffer_free(&bytes);
    return good;
}

/* --- keys ------------------------------------------------------------------------------------ */

static enum kb_status flush_keys(struct importing *importing, struct kb_error *err)
{
    struct vault_moving *moving = importing->moving;
    struct kb_vault *vault = moving->vault;
    enum kb_status status = vault_moving_rewrap(moving, importing->unwrap_key, vault->wrap_key,
                                                KB_WRAP_AES, err);

    if (status == KB_OK && moving->n)
        status = vault_keys_add(vault, moving->key, moving->wrapped, moving->n, err);
    if (status == KB_OK)
        importing->out->keys += moving->n;
    vault_moving_empty(moving);
    return status;
}

static bool parse_key(const struct importing *importing, struct kb_vault_key *key,
                      struct kb_data_key *wrapped, const cJSON *json)
{
    struct kb_buffer bytes = KB_BUFFER_INIT(sizeof wrapped->wrapped);
    const char *purpose = text_of(json, "purpose"), *state = text_of(json, "state");
    const char *text = text_of(json, "wrapped");
    uint64_t created;
    uint8_t id[16];
    bool good = purpose && state && text && integer_of(&created, json, "created") &&
                fill(key->id, sizeof key->id, json, "id") && hex_of(id, sizeof id, key->id) &&
                fill(key->fingerprint, sizeof key->fingerprint, json, "fingerprint") &&
                fill(key->name, sizeof key->name, json, "name") && text_of(json, "scope") &&
                kb_base64_parse(&bytes, kb_bytes_text(text));

    if (good) {
        key->created = (int64_t)created;
        while (kb_vault_purpose_format(key->purpose) &&
               strcmp(kb_vault_purpose_format(key->purpose), purpose) != 0)
            key->purpose++;
        while (kb_vault_state_format(key->state) &&
               strcmp(kb_vault_state_format(key->state), state) != 0)
            key->state++;
        good = kb_vault_purpose_format(key->purpose) && kb_vault_state_format(key->state);
        wrapped->algorithm = importing->algorithm;
        wrapped->wrapped_size = (uint16_t)bytes.size;
        memcpy(wrapped->wrapped, bytes.data ? bytes.data : (const uint8_t *)"", bytes.size);
    }
    kb_buffer_free(&bytes);
    return good;
}

static enum kb_status is_known(struct importing *importing, const struct kb_vault_key *key,
                               bool *known, struct kb_error *err)
{
    struct kb_vault *vault = importing->moving->vault;
    int64_t row = 0, same = 0;
    enum kb_status status =
        vault_number_read(vault, "SELECT row FROM keys WHERE fingerprint = ?1",
                          kb_bytes_text(key->fingerprint), &row, err);

    if (status == KB_OK && !row)
        status = vault_number_read(vault, "SELECT row FROM keys WHERE id = ?1",
                                   kb_bytes_text(key->id), &same, err);
    if (status == KB_OK && same)
        status = wrong(importing, "the vault has another key of that id", err);
    *known = row != 0;
    return status;
}

static enum kb_status take_key(struct importing *importing, const cJSON *json,
                               struct kb_error *err)
{
    struct vault_moving *moving = importing->moving;
    struct kb_vault_key *key = &moving->key[moving->n];
    bool known = false;
    enum kb_status status;

    memset(key, 0, sizeof *key);
    memset(&moving->wrapped[moving->n], 0, sizeof moving->wrapped[moving->n]);
    if (!parse_key(importing, key, &moving->wrapped[moving->n], json))
        return wrong(importing, "this is not a key", err);
    moving->keys++;
    status = is_known(importing, key, &known, err);
    if (status != KB_OK || known) {
        importing->out->keys_known += known;
        return status;
    }
    status = vault_text_check(text_of(json, "scope"), VAULT_TEXT_MAX, "a scope", err);
    if (status == KB_OK)
        status = vault_text_copy(&key->scope, text_of(json, "scope"), err);
    if (status != KB_OK)
        return status;
    moving->n++;
    return moving->n == KB_TOKEN_BATCH_MAX ? flush_keys(importing, err) : KB_OK;
}

/* --- the inventory ------------------------------------------------------------------------ */

static enum kb_status flush_objects(struct importing *importing, struct kb_error *err)
{
    size_t n = importing->object_count;
    enum kb_status status = KB_OK;

    if (n)
        status = vault_objects_put(importing->moving->vault, true, importing->objects, n, err);
    for (size_t i = 0; i < n; i++)
        kb_vault_object_free(&importing->objects[i]);
    importing->object_count = 0;
    if (status == KB_OK)
        importing->out->objects += n;
    return status;
}

static enum kb_status parse_object(struct importing *importing, struct kb_vault_object *out,
                                   const cJSON *json, struct kb_error *err)
{
    const char *endpoint = text_of(json, "endpoint"), *bucket = text_of(json, "bucket");
    const char *name = text_of(json, "object-key"), *sha256 = text_of(json, "sha256");
    uint64_t state, changed;
    enum kb_status status;

    memset(out, 0, sizeof *out);
    if (!endpoint || !bucket || !name || !sha256 || !integer_of(&state, json, "state") ||
        state > KB_VAULT_REMOVED || !integer_of(&out->size, json, "size") ||
        !integer_of(&changed, json, "changed") ||
        !fill(out->version, sizeof out->version, json, "version") ||
        !fill(out->key_id, sizeof out->key_id, json, "key-id") ||
        !fill(out->encryption, sizeof out->encryption, json, "encryption") ||
        !fill(out->etag, sizeof out->etag, json, "etag"))
        return wrong(importing, "this is no row of an inventory", err);
    out->has_sha256 = *sha256 != 0;
    if (out->has_sha256 && !hex_of(out->sha256, sizeof out->sha256, sha256))
        return wrong(importing, "this is no SHA-256", err);
    out->state = (enum kb_vault_row_state)state;
    out->changed = (int64_t)changed;
    status = vault_text_copy(&out->endpoint, endpoint, err);
    if (status == KB_OK)
        status = vault_text_copy(&out->bucket, bucket, err);
    if (status == KB_OK)
        status = vault_text_copy(&out->object_key, name, err);
    return status;
}

struct comparing {
    struct kb_vault *vault;
    const struct kb_vault_object *object;
    bool known;
};

static enum kb_status compare(void *ctx, const struct vault_row *row, struct kb_error *err)
{
    struct comparing *comparing = ctx;
    const struct kb_vault_object *wanted = comparing->object;
    struct kb_vault_object view;
    enum kb_status status = vault_object_view(comparing->vault, &view, row, err);

    if (status == KB_OK && strcmp(view.endpoint, wanted->endpoint) == 0 &&
        strcmp(view.object_key, wanted->object_key) == 0 &&
        strcmp(view.version, wanted->version) == 0 && strcmp(view.key_id, wanted->key_id) == 0 &&
        strcmp(view.etag, wanted->etag) == 0 && view.state == wanted->state)
        comparing->known = true;
    return status;
}

static enum kb_status take_object(struct importing *importing, const cJSON *json,
                                  struct kb_error *err)
{
    struct kb_vault *vault = importing->moving->vault;
    struct kb_vault_object *object = &importing->objects[importing->object_count];
    struct comparing comparing = {vault, object, false};
    struct vault_reader reader = {compare, NULL, &comparing};
    struct vault_cell name[2];
    const struct vault_query query = {.table = VAULT_OBJECTS,
                                      .where = "WHERE bucket = ?1 AND object_key = ?2",
                                      .kinds = "tt",
                                      .parameters = name};
    enum kb_status status = parse_object(importing, object, json, err);

    importing->moving->objects++;
    if (status == KB_OK) {
        name[0] = vault_text(object->bucket);
        name[1] = vault_text(object->object_key);
        status = vault_rows_read(vault, &query, &reader, err);
    }
    importing->out->objects_known += comparing.known;
    if (status != KB_OK || comparing.known) {
        kb_vault_object_free(object);
        return status;
    }
    importing->object_count++;
    return importing->object_count == KB_TOKEN_BATCH_MAX ? flush_objects(importing, err) : KB_OK;
}

/* --- first and last ----------------------------------------------------------------------- */

static enum kb_status take_first(struct importing *importing, const cJSON *json,
                                 struct kb_error *err)
{
    const cJSON *version = cJSON_GetObjectItemCaseSensitive(json, "keybridge-vault-export");
    const char *algorithm = text_of(json, "algorithm");
    bool public_only;

    if (!cJSON_IsNumber(version) || version->valuedouble != 1 || !algorithm)
        return wrong(importing, "this is not what keybridge vault export writes", err);
    if (vault_moving_algorithm(importing->moving->vault, importing->unwrap_key,
                               &importing->algorithm, &public_only, err) != KB_OK)
        return err ? err->status : KB_ERR_NOT_FOUND;
    if (strcmp(algorithm, vault_algorithm_format(importing->algorithm)) != 0)
        return kb_error_set(err, KB_ERR_DENIED, "its keys are wrapped by %.40s, which is not what "
                            "'%.80s' unwraps", algorithm, importing->unwrap_key);
    return KB_OK;
}

/* Under an AES key the MAC is a must; whoever has the public key of a pair can make
 * such a file anyway. */
static enum kb_status take_last(struct importing *importing, const cJSON *json,
                                struct kb_error *err)
{
    struct vault_moving *moving = importing->moving;
    const char *mac = text_of(json, "mac"), *told = mac ? mac : text_of(json, "sha256");
    char sum[2 * VAULT_MAC_SIZE + 1];
    uint64_t keys, objects;
    enum kb_status status;

    if (!told || (!mac && importing->algorithm == KB_WRAP_AES) ||
        !integer_of(&keys, json, "keys") || !integer_of(&objects, json, "objects"))
        return wrong(importing, "this is not the end of an export", err);
    status = vault_moving_end(moving, mac != NULL, sum, err);
    if (status == KB_OK && (keys != moving->keys || objects != moving->objects ||
                            !kb_secret_equal(kb_bytes_text(sum), kb_bytes_text(told)))) {
        kb_error_set(err, KB_ERR_AUTH, "%s was altered, or '%.64s' is not the key that signed it",
                     importing->path, moving->vault->sign_key);
        kb_error_hint(err, "for another token, export under the public half of an RSA key there");
        status = KB_ERR_AUTH;
    }
    importing->ended = true;
    return status;
}

/* --- lines -------------------------------------------------------------------------------- */

static enum kb_status take_line(struct importing *importing, const char *text, struct kb_error *err)
{
    cJSON *json = cJSON_Parse(text);
    const cJSON *key = cJSON_GetObjectItemCaseSensitive(json, "key");
    const cJSON *object = cJSON_GetObjectItemCaseSensitive(json, "object");
    const cJSON *end = cJSON_GetObjectItemCaseSensitive(json, "end");
    bool first = importing->number == 1;
    enum kb_status status;

    if (!json || importing->ended)
        status = wrong(importing, importing->ended ? "there is more behind the end"
                                                   : "this is not JSON", err);
    else if (first)
        status = take_first(importing, json, err);
    else if (cJSON_GetArraySize(json) != 1)
        status = wrong(importing, "a line is about one thing", err);
    else if (key)
        status = take_key(importing, key, err);
    else if (object)
        status = take_object(importing, object, err);
    else if (end)
        status = take_last(importing, end, err);
    else
        status = wrong(importing, "this is neither a key nor an object", err);
    /* The last line is not part of what it is about; every other one is. */
    if (status == KB_OK && (first || !end))
        status = kb_digest_update(importing->moving->digest, kb_bytes_text(text), err);
    cJSON_Delete(json);
    return status;
}

static enum kb_status take_lines(struct importing *importing, struct kb_error *err)
{
    enum kb_status status = KB_OK;

    while (status == KB_OK && fgets(importing->line, LINE_ROOM, importing->file)) {
        size_t size = strlen(importing->line);

        importing->number++;
        /* A zero byte ends the text before the line does. */
        if (size == 0 || importing->line[size - 1] != '\n' ||
            !kb_utf8_valid(kb_bytes_text(importing->line)))
            status = wrong(importing, "the line is too long, not UTF-8, or cut off", err);
        else
            status = take_line(importing, importing->line, err);
    }
    if (status == KB_OK && ferror(importing->file))
        status = kb_error_errno(err, KB_ERR_SYSTEM, errno, "%s cannot be read", importing->path);
    if (status == KB_OK && !importing->ended)
        status = wrong(importing, "the end is missing", err);
    if (status == KB_OK)
        status = flush_keys(importing, err);
    return status == KB_OK ? flush_objects(importing, err) : status;
}

static enum kb_status import_into(struct importing *importing, struct kb_vault *vault,
                                  struct kb_error *err)
{
    enum kb_status status = vault_moving_new(&importing->moving, vault, err);

    if (status == KB_OK)
        status = vault_begin(vault, err);
    if (status == KB_OK)
        status = vault_end_step(vault, take_lines(importing, err), err);
    for (size_t i = 0; i < importing->object_count; i++)
        kb_vault_object_free(&importing->objects[i]);
    vault_moving_free(importing->moving);
    return status;
}

enum kb_status kb_vault_import(struct kb_vault *vault, const char *unwrap_key, const char *path,
                               struct kb_vault_imported *out, struct kb_error *err)
{
    struct importing *importing = calloc(1, sizeof *importing);
    enum kb_status status;

    *out = (struct kb_vault_imported){.keys = 0};
    if (!importing)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory to import a vault");
    importing->out = out;
    importing->path = path;
    importing->unwrap_key = unwrap_key;
    importing->file = fopen(path, "re");
    if (!importing->file) {
        status = kb_error_errno(err, errno == ENOENT ? KB_ERR_NOT_FOUND : KB_ERR_SYSTEM, errno,
                                "%s", path);
    } else {
        status = import_into(importing, vault, err);
        fclose(importing->file);
    }
    if (status != KB_OK)
        *out = (struct kb_vault_imported){.keys = 0};
    free(importing);
    return status;
}
