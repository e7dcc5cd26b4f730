/* SPDX-License-Identifier: Apache-2.0
 *
 * The encryptor's configuration: actions with the rules for key attributes,
 * and everything that is the same for every item, made once.
 */
#include "ddbec/ddbec.h"

#include <stdlib.h>
#include <string.h>

static enum kb_status copy_text(struct kb_ddbec *ddbec, struct kb_bytes *out, const char *text,
                                struct kb_error *err)
{
    *out = kb_arena_copy(&ddbec->memory, kb_bytes_text(text));
    return out->data ? KB_OK : kb_error_set(err, KB_ERR_MEMORY, "no memory");
}

/* Key attributes: an explicit action stands unless it would encrypt; a default
 * that would encrypt is brought down to signing (the Python client's rule). */
static enum kb_status protect_key(struct kb_ddbec *ddbec, const char *name,
                                  struct kb_error *err)
{
    struct kb_actions *actions = ddbec->actions;
    struct kb_bytes text = kb_bytes_text(name);
    enum kb_action action = kb_actions_get(actions, text);

    if (name && kb_actions_set(ddbec->keys, text, KB_ACTION_SIGN_ONLY, err) != KB_OK)
        return KB_ERR_MEMORY;
    if (!name || !*name)
        return kb_error_set(err, KB_ERR_USAGE, "a key attribute has no name");
    if (kb_bytes_equal(text, ddbec->description_attribute) ||
        kb_bytes_equal(text, ddbec->signature_attribute))
        return kb_error_set(err, KB_ERR_USAGE, "key attribute '%s' has the name of an added one",
                            name);
    if (action != KB_ACTION_ENCRYPT_AND_SIGN)
        return kb_actions_set(actions, text, action, err);
    if (kb_actions_has(actions, text))
        return kb_error_set(err, KB_ERR_USAGE,
                            "key attribute '%s' cannot be encrypted: the table looks items up "
                            "by it",
                            name);
    return kb_actions_set(actions, text, KB_ACTION_SIGN_ONLY, err);
}

static enum kb_status set_actions(struct kb_ddbec *ddbec, const struct kb_ddbec_options *options,
                                  struct kb_error *err)
{
    const struct kb_actions *given = options->actions;
    enum kb_status status = kb_actions_parse(&ddbec->actions, (struct kb_bytes){NULL, 0}, err);

    if (status == KB_OK)
        status = kb_actions_parse(&ddbec->keys, (struct kb_bytes){NULL, 0}, err);
    if (status == KB_OK && given)
        ddbec->actions->fallback = given->fallback;
    for (size_t i = 0; status == KB_OK && given && i < given->count; i++)
        status = kb_actions_set(ddbec->actions, given->entries[i].name, given->entries[i].action,
                                err);
    if (status == KB_OK &&
        (kb_actions_has(ddbec->actions, ddbec->description_attribute) ||
         kb_actions_has(ddbec->actions, ddbec->signature_attribute)))
        status = kb_error_set(err, KB_ERR_USAGE, "actions: an added attribute has no action");
    /* Index keys before the primary key only changes which error comes first. */
    if (status == KB_OK)
        status = protect_key(ddbec, options->partition_key, err);
    if (status == KB_OK && options->sort_key)
        status = protect_key(ddbec, options->sort_key, err);
    for (size_t i = 0; status == KB_OK && i < options->index_key_count; i++)
        status = protect_key(ddbec, options->index_keys[i], err);
    if (status == KB_OK)
        ddbec->takes_no_action = kb_actions_take_none(ddbec->actions);
    return status;
}

static enum kb_status set_names(struct kb_ddbec *ddbec, const struct kb_ddbec_options *options,
                                struct kb_error *err)
{
    const char *description = options->description_attribute;
    const char *signature = options->signature_attribute;
    enum kb_status status;

    if (!options->table_name || !*options->table_name || !options->partition_key)
        return kb_error_set(err, KB_ERR_USAGE, "a table name and a partition key are needed");
    status = copy_text(ddbec, &ddbec->description_attribute,
                       description ? description : DDBEC_DESCRIPTION_ATTRIBUTE, err);
    if (status == KB_OK)
        status = copy_text(ddbec, &ddbec->signature_attribute,
                           signature ? signature : DDBEC_SIGNATURE_ATTRIBUTE, err);
    if (status == KB_OK)
        status = copy_text(ddbec, &ddbec->scope.table, options->table_name, err);
    if (status == KB_OK)
        status = copy_text(ddbec, &ddbec->scope.partition_key, options->partition_key, err);
    if (status == KB_OK)
        status = copy_text(ddbec, &ddbec->scope.sort_key, options->sort_key, err);
    if (status == KB_OK && ddbec->scope.sort_key.size &&
        kb_bytes_equal(ddbec->scope.sort_key, ddbec->scope.partition_key))
        status = kb_error_set(err, KB_ERR_USAGE, "'%s' cannot be both partition key and sort key",
                              options->sort_key);
    if (status == KB_OK &&
        (kb_bytes_equal(ddbec->description_attribute, ddbec->signature_attribute) ||
         !ddbec->description_attribute.size || !ddbec->signature_attribute.size))
        status = kb_error_set(err, KB_ERR_USAGE,
                              "the two added attributes need names of their own");
    return status;
}

static enum kb_status set_hashes(struct kb_ddbec *ddbec, const char *table_name,
                                 struct kb_error *err)
{
    struct kb_bytes table[] = {kb_bytes_text(DDBEC_TABLE_BEFORE), kb_bytes_text(table_name),
                               kb_bytes_text(DDBEC_TABLE_AFTER)};
    struct kb_bytes encrypted = kb_bytes_text(DDBEC_MARKER_ENCRYPTED);
    struct kb_bytes signed_only = kb_bytes_text(DDBEC_MARKER_SIGNED);
    struct kb_crypto *crypto;
    enum kb_status status = kb_crypto_new(&crypto, err);

    if (status == KB_OK)
        status = kb_crypto_sha256(crypto, ddbec->table_hash, table, 3, err);
    if (status == KB_OK)
        status = kb_crypto_sha256(crypto, ddbec->encrypted_hash, &encrypted, 1, err);
    if (status == KB_OK)
        status = kb_crypto_sha256(crypto, ddbec->signed_hash, &signed_only, 1, err);
    kb_crypto_free(crypto);
    return status;
}

static int compare_entries(const void *a, const void *b)
{
    return kb_bytes_compare(((const struct kb_pair *)a)->name, ((const struct kb_pair *)b)->name);
}

/* The description in two halves, sorted by name as Python writes it; between
 * them goes the one value that differs from item to item. */
static enum kb_status set_description(struct kb_ddbec *ddbec, struct kb_error *err)
{
    struct kb_pair entries[KB_ENTRIES_MAX + 2];
    struct kb_bytes wrapped = kb_bytes_text(KB_ENTRY_CONTENT_KEY);
    const struct kb_provider *provider = ddbec->provider;
    size_t count = provider->entry_count;
    struct kb_buffer *part = &ddbec->before_wrapped;

    memcpy(entries, provider->entries, count * sizeof *entries);
    if (provider->has_content_key)
        entries[count++] =
            (struct kb_pair){kb_bytes_text(KB_ENTRY_MODE), kb_bytes_text(DDBEC_MODE)};
    ddbec->has_wrapped = provider->has_content_key && !provider->content_key;
    if (ddbec->has_wrapped)
        entries[count++] = (struct kb_pair){wrapped, {NULL, 0}};
    qsort(entries, count, sizeof *entries, compare_entries);
    kb_description_write(part, NULL, 0);
    for (size_t i = 0; i < count; i++) {
        kb_buffer_put_lv(part, entries[i].name);
        if (ddbec->has_wrapped && kb_bytes_equal(entries[i].name, wrapped))
            part = &ddbec->after_wrapped;
        else
            kb_buffer_put_lv(part, entries[i].value);
    }
    if (kb_buffer_check(&ddbec->before_wrapped, err) != KB_OK)
        return KB_ERR_MEMORY;
    return kb_buffer_check(&ddbec->after_wrapped, err);
}

enum kb_status kb_ddbec_new(struct kb_ddbec **out, const struct kb_ddbec_options *options,
                            struct kb_provider *provider, struct kb_error *err)
{
    struct kb_ddbec *ddbec = calloc(1, sizeof *ddbec);
    enum kb_status status;

    *out = NULL;
    if (!ddbec)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    atomic_init(&ddbec->references, 1);
    ddbec->provider = kb_provider_retain(provider);
    ddbec->exact_numbers = options->exact_numbers;
    ddbec->before_wrapped.max = ddbec->after_wrapped.max = KB_ITEM_SIZE_MAX;
    status = set_names(ddbec, options, err);
    if (status == KB_OK)
        status = set_actions(ddbec, options, err);
    if (status == KB_OK)
        status = set_hashes(ddbec, options->table_name, err);
    if (status == KB_OK)
        status = set_description(ddbec, err);
    if (status != KB_OK) {
        kb_ddbec_release(ddbec);
        return status;
    }
    *out = ddbec;
    return KB_OK;
}

struct kb_ddbec *kb_ddbec_retain(struct kb_ddbec *ddbec)
{
    atomic_fetch_add(&ddbec->references, 1);
    return ddbec;
}

void kb_ddbec_release(struct kb_ddbec *ddbec)
{
    if (!ddbec || atomic_fetch_sub(&ddbec->references, 1) != 1)
        return;
    kb_provider_release(ddbec->provider);
    kb_actions_free(ddbec->actions);
    kb_actions_free(ddbec->keys);
    kb_buffer_free(&ddbec->before_wrapped);
    kb_buffer_free(&ddbec->after_wrapped);
    kb_arena_free(&ddbec->memory);
    free(ddbec);
}
