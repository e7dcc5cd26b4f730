/* SPDX-License-Identifier: Apache-2.0
 *
 * Finding customer keys, releasing them, and what state they are in.
 */
#include "keystore/vault_rows.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/digest.h"

enum { KEY_SIZE = KB_S3_KEY_SIZE };

/* One key that is looked for. */
struct search {
    struct kb_vault *vault;
    const char *which; /* id, name or fingerprint; NULL: see next */
    const char *path;  /* "bucket/key" */
    bool found;
    int64_t row;
    struct kb_vault_key key;
    size_t wrapped_size;
    uint8_t wrapped[KB_TOKEN_WRAPPED_MAX];
};

/* The file's indexes are under no MAC: what they lead to must be what was asked for. */
static bool is_wanted(const struct search *search, const struct kb_vault_key *key)
{
    const char *which = search->which;

    if (which)
        return strcmp(key->id, which) == 0 || strcmp(key->fingerprint, which) == 0 ||
               strcmp(key->name, which) == 0;
    return key->purpose == KB_VAULT_FOR_PREFIX && key->state == KB_VAULT_ACTIVE &&
           strncmp(search->path, key->scope, strlen(key->scope)) == 0;
}

static enum kb_status take_key(void *ctx, const struct vault_row *row, struct kb_error *err)
{
    const struct kb_bytes *wrapped = &row->cells[KEY_WRAPPED].bytes;
    struct search *search = ctx;
    struct kb_vault_key view;
    enum kb_status status = vault_key_view(search->vault, &view, row, err);

    if (status != KB_OK)
        return status;
    if (!is_wanted(search, &view) || search->found || wrapped->size > sizeof search->wrapped)
        return vault_damaged(search->vault, "its index of keys is wrong", err);
    search->key = view;
    search->row = row->row;
    search->wrapped_size = wrapped->size;
    memcpy(search->wrapped, wrapped->data, wrapped->size);
    search->found = true;
    return vault_text_copy(&search->key.scope, view.scope, err);
}

static enum kb_status find(struct search *search, struct kb_error *err)
{
    static const char one[] = "WHERE id = ?1 OR fingerprint = ?1 OR (name = ?1 AND name <> '') "
                              "LIMIT 2";
    static const char scope[] = "WHERE purpose = 1 AND state = 0 AND "
                                "scope = substr(?1, 1, length(scope)) "
                                "ORDER BY length(scope) DESC, row DESC LIMIT 1";
    const char *text = search->which ? search->which : search->path;
    const struct vault_cell parameter = vault_text(text);
    struct vault_query query = {.table = VAULT_KEYS,
                                .where = search->which ? one : scope,
                                .kinds = "t",
                                .parameters = &parameter};
    struct vault_reader reader = {take_key, NULL, search};
    enum kb_status status = vault_rows_read(search->vault, &query, &reader, err);

    if (status != KB_OK)
        kb_vault_key_free(&search->key);
    if (status != KB_OK || search->found)
        return status;
    kb_error_set(err, KB_ERR_NOT_FOUND, "the vault has no key %s%.160s%s",
                 search->which ? "'" : "for ", text, search->which ? "'" : "");
    kb_error_hint(err, search->which ? "keybridge vault list shows its keys"
                                     : "keybridge vault create --scope BUCKET/PREFIX makes one");
    return KB_ERR_NOT_FOUND;
}

static enum kb_status find_only(struct search *search, struct kb_vault_key *out,
                                struct kb_error *err)
{
    enum kb_status status = vault_enter(search->vault, err);

    memset(out, 0, sizeof *out);
    if (status != KB_OK)
        return status;
    status = find(search, err);
    if (status == KB_OK)
        *out = search->key;
    return vault_leave(search->vault, status);
}

enum kb_status kb_vault_find_key(struct kb_vault *vault, const char *which,
                                 struct kb_vault_key *out, struct kb_error *err)
{
    struct search search = {.vault = vault, .which = which};

    return find_only(&search, out, err);
}

enum kb_status kb_vault_find_scope(struct kb_vault *vault, const char *bucket,
                                   const char *object_key, struct kb_vault_key *out,
                                   struct kb_error *err)
{
    struct kb_buffer path = KB_BUFFER_INIT(VAULT_TEXT_MAX);
    struct search search = {.vault = vault};
    enum kb_status status;

    kb_buffer_put_text(&path, bucket);
    kb_buffer_put_u8(&path, '/');
    kb_buffer_put_text(&path, object_key);
    kb_buffer_put_u8(&path, 0);
    status = kb_buffer_check(&path, err);
    if (status == KB_OK) {
        search.path = (const char *)path.data;
        status = find_only(&search, out, err);
    }
    kb_buffer_free(&path);
    return status;
}

/* --- releasing ---------------------------------------------------------------------------- */

static enum kb_status may_release(const struct kb_vault_key *key, bool encrypt,
                                  struct kb_error *err)
{
    if (key->state == KB_VAULT_DISABLED) {
        kb_error_set(err, KB_ERR_DENIED, "key %s is disabled", key->id);
        kb_error_hint(err, "keybridge vault enable %s", key->id);
        return KB_ERR_DENIED;
    }
    if (encrypt && key->state != KB_VAULT_ACTIVE) {
        kb_error_set(err, KB_ERR_DENIED, "key %s is retired: it decrypts only", key->id);
        kb_error_hint(err, "keybridge vault enable %s", key->id);
        return KB_ERR_DENIED;
    }
    return KB_OK;
}

/* KB_OK with *is false when it is not what the row says. */
static enum kb_status is_key(bool *is, const struct kb_data_key *key, struct kb_bytes value,
                             const char *fingerprint, struct kb_error *err)
{
    char found[KB_S3_FINGERPRINT_SIZE];
    enum kb_status status = kb_md5_base64(found, value, err);

    *is = status == KB_OK && key->status == KB_OK && key->size == KEY_SIZE &&
          strcmp(found, fingerprint) == 0;
    return status;
}

static void set_wrapped(struct kb_data_key *out, const void *wrapped, size_t size)
{
    *out = (struct kb_data_key){.algorithm = KB_WRAP_AES, .wrapped_size = (uint16_t)size};
    memcpy(out->wrapped, wrapped, size);
}

static enum kb_status unwrap(const struct search *search, struct kb_secret **out,
                             struct kb_error *err)
{
    struct kb_data_key key;
    struct kb_vault *vault = search->vault;
    bool is = false;
    enum kb_status status = kb_secret_new(out, KEY_SIZE, err);

    if (status != KB_OK)
        return status;
    set_wrapped(&key, search->wrapped, search->wrapped_size);
    status = kb_token_unwrap_keys(vault->token, vault->wrap_key, &key, 1, *out, err);
    if (status == KB_OK)
        status = is_key(&is, &key, kb_secret_view(*out), search->key.fingerprint, err);
    if (status == KB_OK && !is)
        status = kb_error_set(err, KB_ERR_AUTH, "key %s does not come out of its wrapping",
                              search->key.id);
    if (status != KB_OK) {
        kb_secret_free(*out);
        *out = NULL;
    }
    return status;
}

static enum kb_status release(struct search *search, bool encrypt, struct kb_secret **out,
                              struct kb_error *err)
{
    enum kb_status status = find(search, err);

    if (status == KB_OK)
        status = may_release(&search->key, encrypt, err);
    if (status == KB_OK)
        status = unwrap(search, out, err);
    return status;
}

enum kb_status kb_vault_release(struct kb_vault *vault, const char *id, bool encrypt,
                                const char *why, struct kb_secret **out, struct kb_error *err)
{
    struct search search = {.vault = vault, .which = id};
    enum kb_status status = why ? vault_text_check(why, VAULT_TEXT_MAX, "a reason", err) : KB_OK;

    *out = NULL;
    if (status == KB_OK)
        status = why ? vault_begin(vault, err) : vault_enter(vault, err);
    if (status != KB_OK)
        return status;
    status = release(&search, encrypt, out, err);
    if (why && status == KB_OK)
        status = vault_event_add(vault, search.key.id, why, err);
    status = why ? vault_end(vault, status, err) : vault_leave(vault, status);
    kb_vault_key_free(&search.key);
    if (status != KB_OK) {
        kb_secret_free(*out);
        *out = NULL;
    }
    return status;
}

/* --- several ------------------------------------------------------------------------------ */

struct several {
    struct kb_vault *vault;
    const char *const *ids;
    size_t n;                                /* ids */
    size_t count;                            /* keys that were found, each once: */
    struct kb_data_key keys[KB_VAULT_BATCH_MAX];
    char found[KB_VAULT_BATCH_MAX][KB_VAULT_ID_SIZE];
    char fingerprints[KB_VAULT_BATCH_MAX][KB_S3_FINGERPRINT_SIZE];
};

/* The file's indexes are under no MAC, so it may be one that nobody asked for: no id is that. */
static enum kb_status take_one_of(void *ctx, const struct vault_row *row, struct kb_error *err)
{
    const struct kb_bytes *wrapped = &row->cells[KEY_WRAPPED].bytes;
    struct several *several = ctx;
    struct kb_vault_key view;
    enum kb_status status = vault_key_view(several->vault, &view, row, err);

    if (status != KB_OK || may_release(&view, false, NULL) != KB_OK)
        return status;
    if (several->count == several->n || wrapped->size > KB_TOKEN_WRAPPED_MAX)
        return vault_damaged(several->vault, "its index of keys is wrong", err);
    set_wrapped(&several->keys[several->count], wrapped->data, wrapped->size);
    memcpy(several->found[several->count], view.id, sizeof view.id);
    memcpy(several->fingerprints[several->count], view.fingerprint, sizeof view.fingerprint);
    several->count++;
    return KB_OK;
}

static enum kb_status find_several(struct several *several, struct kb_error *err)
{
    struct vault_cell parameters[KB_VAULT_BATCH_MAX];
    char where[VAULT_WHERE_SIZE], kinds[KB_VAULT_BATCH_MAX + 1] = "";
    const struct vault_query query = {
        .table = VAULT_KEYS, .where = where, .kinds = kinds, .parameters = parameters};
    const struct vault_reader reader = {take_one_of, vault_row_pass_over, several};

    vault_where_write(where, "WHERE id IN", several->n, "");
    memset(kinds, 't', several->n);
    for (size_t i = 0; i < several->n; i++)
        parameters[i] = vault_text(several->ids[i]);
    return vault_rows_read(several->vault, &query, &reader, err);
}

/* Key `at`, to all that asked for it. */
static enum kb_status give_key_to(const struct several *several, size_t at, struct kb_bytes value,
                                  struct kb_secret **plain, struct kb_error *err)
{
    bool is;
    enum kb_status status =
        is_key(&is, &several->keys[at], value, several->fingerprints[at], err);

    for (size_t i = 0; i < several->n && status == KB_OK && is; i++)
        if (!plain[i] && strcmp(several->ids[i], several->found[at]) == 0)
            status = kb_secret_copy(&plain[i], value, err);
    return status;
}

static enum kb_status unwrap_several(struct several *several, struct kb_secret **plain,
                                     struct kb_error *err)
{
    const struct kb_vault *vault = several->vault;
    struct kb_secret *values = NULL;
    enum kb_status status = kb_secret_new(&values, several->count * KEY_SIZE, err);

    if (status == KB_OK)
        status = kb_token_unwrap_keys(vault->token, vault->wrap_key, several->keys,
                                      several->count, values, err);
    for (size_t at = 0; at < several->count && status == KB_OK; at++)
        status = give_key_to(several, at,
                             (struct kb_bytes){kb_secret_view(values).data + at * KEY_SIZE,
                                               KEY_SIZE},
                             plain, err);
    kb_secret_free(values);
    return status;
}

enum kb_status kb_vault_release_many(struct kb_vault *vault, const char *const *ids, size_t n,
                                     struct kb_secret **plain, struct kb_error *err)
{
    struct several *several;
    enum kb_status status;

    memset(plain, 0, n * sizeof *plain);
    if (n == 0 || n > KB_VAULT_BATCH_MAX)
        return kb_error_set(err, KB_ERR_USAGE, "1 to %d keys are released at once, not %zu",
                            KB_VAULT_BATCH_MAX, n);
    several = calloc(1, sizeof *several);
    if (!several)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory for keys");
    several->vault = vault;
    several->ids = ids;
    several->n = n;
    status = vault_enter(vault, err);
    if (status == KB_OK) {
        status = find_several(several, err);
        if (status == KB_OK && several->count)
            status = unwrap_several(several, plain, err);
        status = vault_leave(vault, status);
    }
    free(several);
    for (size_t i = 0; i < n && status != KB_OK; i++) {
        kb_secret_free(plain[i]);
        plain[i] = NULL;
    }
    return status;
}

/* --- states ------------------------------------------------------------------------------- */

static enum kb_status put_state(struct search *search, enum kb_vault_state state,
                                struct kb_error *err)
{
    struct kb_vault_key key = search->key;

    key.state = state;
    return vault_key_replace(search->vault, search->row, &key,
                             (struct kb_bytes){search->wrapped, search->wrapped_size}, err);
}

enum kb_status kb_vault_set_state(struct kb_vault *vault, const char *id,
                                  enum kb_vault_state state, struct kb_error *err)
{
    struct search search = {.vault = vault, .which = id};
    enum kb_status status = vault_begin(vault, err);

    if (status != KB_OK)
        return status;
    if (!kb_vault_state_format(state))
        status = kb_error_set(err, KB_ERR_USAGE, "there is no such state of a key");
    if (status == KB_OK)
        status = find(&search, err);
    if (status == KB_OK && search.key.state != state)
        status = put_state(&search, state, err);
    /* An old copy must not give a disabled key free again. */
    status = state == KB_VAULT_DISABLED ? vault_end_step(vault, status, err)
                                        : vault_end(vault, status, err);
    kb_vault_key_free(&search.key);
    return status;
}

static enum kb_status retire(struct search *search, struct kb_error *err)
{
    return search->key.state == KB_VAULT_ACTIVE ? put_state(search, KB_VAULT_RETIRED, err) : KB_OK;
}

enum kb_status kb_vault_retire(struct kb_vault *vault, const char *id, struct kb_error *err)
{
    struct search search = {.vault = vault, .which = id};
    enum kb_status status = vault_begin(vault, err);

    if (status != KB_OK)
        return status;
    status = find(&search, err);
    if (status == KB_OK)
        status = retire(&search, err);
    status = vault_end(vault, status, err);
    kb_vault_key_free(&search.key);
    return status;
}

enum kb_status vault_key_settle(struct kb_vault *vault, const char *id, struct kb_error *err)
{
    struct search search = {.vault = vault, .which = id};
    struct kb_error why = {.status = KB_OK};
    enum kb_status status = id[0] ? find(&search, &why) : KB_ERR_NOT_FOUND;
    const struct kb_vault_key *key = &search.key;

    /* A key that is gone or was altered is for kb_vault_check. */
    if (status == KB_ERR_NOT_FOUND || status == KB_ERR_AUTH)
        return KB_OK;
    if (status != KB_OK && err && err->status == KB_OK)
        *err = why;
    if (status == KB_OK && !key->objects && key->purpose == KB_VAULT_FOR_OBJECT)
        status = retire(&search, err);
    kb_vault_key_free(&search.key);
    return status;
}

/* --- all ---------------------------------------------------------------------------------- */

struct walk {
    struct kb_vault *vault;
    enum kb_status (*each)(void *ctx, const struct kb_vault_key *key, struct kb_error *err);
    void *ctx;
};

static enum kb_status give_key(void *ctx, const struct vault_row *row, struct kb_error *err)
{
    const struct walk *walk = ctx;
    struct kb_vault_key view;
    enum kb_status status = vault_key_view(walk->vault, &view, row, err);

    return status == KB_OK ? walk->each(walk->ctx, &view, err) : status;
}

enum kb_status kb_vault_each_key(struct kb_vault *vault,
                                 enum kb_status (*each)(void *ctx, const struct kb_vault_key *key,
                                                        struct kb_error *err),
                                 void *ctx, struct kb_error *err)
{
    struct walk walk = {vault, each, ctx};
    struct vault_query query = {.table = VAULT_KEYS};
    struct vault_reader reader = {give_key, NULL, &walk};
    enum kb_status status = vault_enter(vault, err);

    return status == KB_OK ? vault_leave(vault, vault_rows_read(vault, &query, &reader, err))
                           : status;
}
