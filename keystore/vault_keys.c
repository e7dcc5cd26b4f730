/* SPDX-License-Identifier: Apache-2.0
 *
 * Customer keys: made in the token, wrapped in the file, released one by one.
 */
#include "keystore/vault_rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/text.h"
#include "crypto/crypto.h"
#include "crypto/digest.h"
#include "keystore/pool.h"

enum { KEY_SIZE = KB_S3_KEY_SIZE, ID_BYTES = (KB_VAULT_ID_SIZE - 1) / 2 };

_Static_assert((int)KEY_SIZE == KB_TOKEN_DATA_KEY_MAX, "released keys lie one behind the other");
_Static_assert((int)KB_VAULT_BATCH_MAX <= KB_TOKEN_BATCH_MAX, "a batch is one of the token");

static const char *const states[] = {"active", "retired", "disabled"};
static const char *const purposes[] = {"object", "prefix", "named", "imported"};

const char *kb_vault_state_format(enum kb_vault_state state)
{
    return (unsigned)state < sizeof states / sizeof *states ? states[state] : NULL;
}

const char *kb_vault_purpose_format(enum kb_vault_purpose purpose)
{
    return (unsigned)purpose < sizeof purposes / sizeof *purposes ? purposes[purpose] : NULL;
}

void kb_vault_key_free(struct kb_vault_key *key)
{
    if (key)
        free(key->scope);
    if (key)
        key->scope = NULL;
}

/* --- what a key consists of ------------------------------------------------------------------ */

enum kb_status vault_ids_make(struct kb_vault *vault, char (*ids)[KB_VAULT_ID_SIZE], size_t n,
                              struct kb_error *err)
{
    struct kb_secret *random;
    enum kb_status status = kb_secret_new(&random, n * ID_BYTES, err);

    if (status != KB_OK)
        return status;
    status = kb_token_random(vault->token, random, err);
    for (size_t i = 0; i < n && status == KB_OK; i++)
        kb_crypto_hex(ids[i],
                      (struct kb_bytes){kb_secret_view(random).data + i * ID_BYTES, ID_BYTES});
    kb_secret_free(random);
    return status;
}

static bool is_id(const char *text)
{
    return strlen(text) == KB_VAULT_ID_SIZE - 1 && strspn(text, "0123456789abcdef") ==
                                                       KB_VAULT_ID_SIZE - 1;
}

static enum kb_status check_name(const char *name, struct kb_error *err)
{
    size_t size = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");

    if (size > 0 && size <= KB_VAULT_NAME_MAX && !name[size] && !is_id(name))
        return KB_OK;
    kb_error_set(err, KB_ERR_USAGE, "'%.80s' cannot be the name of a vault's key", name);
    kb_error_hint(err, "1 to %d of A-Z a-z 0-9 . _ -", KB_VAULT_NAME_MAX);
    return KB_ERR_USAGE;
}

static enum kb_status check_spec(const struct kb_vault_spec *spec, struct kb_error *err)
{
    const char *scope = spec->scope ? spec->scope : "";
    enum kb_status status = vault_text_check(scope, VAULT_TEXT_MAX, "a scope", err);

    if (status == KB_OK && spec->name && *spec->name)
        status = check_name(spec->name, err);
    if (status != KB_OK)
        return status;
    if (!kb_vault_purpose_format(spec->purpose))
        return kb_error_set(err, KB_ERR_USAGE, "there is no such purpose of a key");
    if (spec->purpose == KB_VAULT_NAMED && !(spec->name && *spec->name))
        return kb_error_set(err, KB_ERR_USAGE, "a named key needs a name");
    if (spec->purpose == KB_VAULT_FOR_PREFIX && (*scope == '/' || !strchr(scope, '/'))) {
        kb_error_set(err, KB_ERR_USAGE, "'%.160s' is not BUCKET/PREFIX", scope);
        kb_error_hint(err, "BUCKET/ is all of a bucket");
        return KB_ERR_USAGE;
    }
    return KB_OK;
}

enum kb_status vault_key_view(struct kb_vault *vault, struct kb_vault_key *out,
                              const struct vault_row *row, struct kb_error *err)
{
    static const char sql[] = "SELECT COUNT(*) FROM objects WHERE key_id = ?1 AND state <> 2";
    const struct vault_cell *cells = row->cells;
    int64_t objects = 0;
    enum kb_status status;

    memset(out, 0, sizeof *out);
    out->purpose = (enum kb_vault_purpose)cells[KEY_PURPOSE].integer;
    out->state = (enum kb_vault_state)cells[KEY_STATE].integer;
    out->scope = vault_text_view(&cells[KEY_SCOPE]);
    out->created = cells[KEY_CREATED].integer;
    if (!vault_text_fill(out->id, sizeof out->id, &cells[KEY_ID]) ||
        !vault_text_fill(out->fingerprint, sizeof out->fingerprint, &cells[KEY_FINGERPRINT]) ||
        !vault_text_fill(out->name, sizeof out->name, &cells[KEY_NAME]) ||
        !kb_vault_purpose_format(out->purpose) || !kb_vault_state_format(out->state))
        return vault_damaged(vault, "a key makes no sense", err);
    status = vault_number_read(vault, sql, cells[KEY_ID].bytes, &objects, err);
    out->objects = (uint64_t)objects;
    return status;
}

static void fill_row(struct vault_row *row, const struct kb_vault_key *key,
                     struct kb_bytes wrapped)
{
    row->cells[KEY_ID] = vault_text(key->id);
    row->cells[KEY_FINGERPRINT] = vault_text(key->fingerprint);
    row->cells[KEY_PURPOSE] = vault_integer(key->purpose);
    row->cells[KEY_STATE] = vault_integer(key->state);
    row->cells[KEY_NAME] = vault_text(key->name);
    row->cells[KEY_SCOPE] = vault_text(key->scope);
    row->cells[KEY_CREATED] = vault_integer((uint64_t)key->created);
    row->cells[KEY_WRAPPED] = (struct vault_cell){.bytes = wrapped};
}

/* --- adding ------------------------------------------------------------------------------- */

static enum kb_status is_free(struct kb_vault *vault, const struct kb_vault_key *key,
                              struct kb_error *err)
{
    int64_t count = 0;
    enum kb_status status =
        vault_number_read(vault, "SELECT COUNT(*) FROM keys WHERE fingerprint = ?1",
                          kb_bytes_text(key->fingerprint), &count, err);

    if (status == KB_OK && count)
        return kb_error_set(err, KB_ERR_EXISTS, "the vault has the key %s already",
                            key->fingerprint);
    if (status == KB_OK && key->name[0])
        status = vault_number_read(vault, "SELECT COUNT(*) FROM keys WHERE name = ?1",
                                   kb_bytes_text(key->name), &count, err);
    if (status == KB_OK && count)
        return kb_error_set(err, KB_ERR_EXISTS, "the vault has a key named '%s' already",
                            key->name);
    return status;
}

enum kb_status vault_keys_add(struct kb_vault *vault, const struct kb_vault_key *keys,
                              const struct kb_data_key *wrapped, size_t n, struct kb_error *err)
{
    struct vault_row *rows = calloc(n, sizeof *rows);
    enum kb_status status =
        rows ? KB_OK : kb_error_set(err, KB_ERR_MEMORY, "no memory for %zu keys", n);

    for (size_t i = 0; i < n && status == KB_OK; i++) {
        status = is_free(vault, &keys[i], err);
        for (size_t j = 0; j < i && status == KB_OK; j++)
            if (keys[i].name[0] && strcmp(keys[i].name, keys[j].name) == 0)
                status = kb_error_set(err, KB_ERR_EXISTS, "two keys would be named '%s'",
                                      keys[i].name);
        if (status == KB_OK)
            fill_row(&rows[i], &keys[i],
                     (struct kb_bytes){wrapped[i].wrapped, wrapped[i].wrapped_size});
    }
    if (status == KB_OK)
        status = vault_rows_put(vault, VAULT_KEYS, true, rows, n, err);
    free(rows);
    return status;
}

enum kb_status vault_key_replace(struct kb_vault *vault, int64_t row,
                                 const struct kb_vault_key *key, struct kb_bytes wrapped,
                                 struct kb_error *err)
{
    struct vault_row new = {.row = row};

    fill_row(&new, key, wrapped);
    return vault_rows_put(vault, VAULT_KEYS, false, &new, 1, err);
}

/* What is known of new keys before they are made; ids and scopes are theirs. */
static enum kb_status start_keys(struct kb_vault *vault, const struct kb_vault_spec *specs,
                                 size_t n, struct kb_vault_key *keys, struct kb_error *err)
{
    char ids[KB_VAULT_BATCH_MAX][KB_VAULT_ID_SIZE];
    enum kb_status status = vault_ids_make(vault, ids, n, err);

    for (size_t i = 0; i < n && status == KB_OK; i++) {
        const char *scope = specs[i].scope ? specs[i].scope : "";

        keys[i].purpose = specs[i].purpose;
        keys[i].state = KB_VAULT_ACTIVE;
        keys[i].created = (int64_t)time(NULL);
        memcpy(keys[i].id, ids[i], sizeof ids[i]);
        snprintf(keys[i].name, sizeof keys[i].name, "%s", specs[i].name ? specs[i].name : "");
        status = vault_text_copy(&keys[i].scope, scope, err);
    }
    return status;
}

/* Names each by what it is, and gives each a secret of its own. */
static enum kb_status name_keys(struct kb_vault_key *keys, struct kb_secret **plain, size_t n,
                                const struct kb_secret *values, struct kb_error *err)
{
    enum kb_status status = KB_OK;

    for (size_t i = 0; i < n && status == KB_OK; i++) {
        struct kb_bytes value = {kb_secret_view(values).data + i * KEY_SIZE, KEY_SIZE};

        status = kb_md5_base64(keys[i].fingerprint, value, err);
        if (status == KB_OK)
            status = kb_secret_copy(&plain[i], value, err);
    }
    return status;
}

static enum kb_status make_and_add(struct kb_vault *vault, struct kb_vault_key *keys,
                                   struct kb_secret **plain, size_t n, struct kb_error *err)
{
    struct kb_data_key_spec spec = {vault->wrap_key, KB_WRAP_AES, KEY_SIZE};
    struct kb_data_key *wrapped = calloc(n, sizeof *wrapped);
    struct kb_secret *values = NULL;
    enum kb_status status = wrapped ? kb_secret_new(&values, n * KEY_SIZE, err)
                                    : kb_error_set(err, KB_ERR_MEMORY, "no memory for keys");

    if (status == KB_OK)
        status = kb_token_make_keys(vault->token, &spec, wrapped, n, values, err);
    for (size_t i = 0; i < n && status == KB_OK; i++)
        status = wrapped[i].status;
    if (status == KB_OK)
        status = name_keys(keys, plain, n, values, err);
    if (status == KB_OK)
        status = vault_keys_add(vault, keys, wrapped, n, err);
    kb_secret_free(values);
    free(wrapped);
    return status;
}

enum kb_status kb_vault_make(struct kb_vault *vault, const struct kb_vault_spec *specs, size_t n,
                             struct kb_vault_key *keys, struct kb_secret **plain,
                             struct kb_error *err)
{
    enum kb_status status = KB_OK;

    if (n == 0 || n > KB_VAULT_BATCH_MAX)
        return kb_error_set(err, KB_ERR_USAGE, "1 to %d keys are made at once, not %zu",
                            KB_VAULT_BATCH_MAX, n);
    memset(keys, 0, n * sizeof *keys);
    memset(plain, 0, n * sizeof(*plain));
    for (size_t i = 0; i < n && status == KB_OK; i++)
        status = check_spec(&specs[i], err);
    if (status == KB_OK)
        status = vault_begin(vault, err);
    if (status != KB_OK)
        return status;
    status = start_keys(vault, specs, n, keys, err);
    if (status == KB_OK)
        status = make_and_add(vault, keys, plain, n, err);
    status = vault_end_step(vault, status, err);
    for (size_t i = 0; i < n && status != KB_OK; i++) {
        kb_vault_key_free(&keys[i]);
        kb_secret_free(plain[i]);
        plain[i] = NULL;
    }
    return status;
}

enum kb_status kb_vault_import_key(struct kb_vault *vault, const struct kb_vault_spec *spec,
                                   const struct kb_secret *value, struct kb_vault_key *key,
                                   struct kb_error *err)
{
    struct kb_data_key_spec wrap = {vault->wrap_key, KB_WRAP_AES, KEY_SIZE};
    struct kb_data_key wrapped;
    enum kb_status status = check_spec(spec, err);

    memset(key, 0, sizeof *key);
    if (status == KB_OK && kb_secret_view(value).size != KEY_SIZE) {
        kb_error_set(err, KB_ERR_USAGE, "a customer key has %d bytes, not %zu", KEY_SIZE,
                     kb_secret_view(value).size);
        kb_error_hint(err, "the file is to have the bytes themselves; a text in base64 is to be "
                           "decoded first");
        return KB_ERR_USAGE;
    }
    if (status == KB_OK)
        status = vault_begin(vault, err);
    if (status != KB_OK)
        return status;
    status = start_keys(vault, spec, 1, key, err);
    if (status == KB_OK)
        status = kb_md5_base64(key->fingerprint, kb_secret_view(value), err);
    if (status == KB_OK)
        status = kb_token_wrap_keys(vault->token, &wrap, &wrapped, 1, value, err);
    if (status == KB_OK)
        status = vault_keys_add(vault, key, &wrapped, 1, err);
    status = vault_end_step(vault, status, err);
    if (status != KB_OK)
        kb_vault_key_free(key);
    return status;
}
