/* SPDX-License-Identifier: Apache-2.0 */
#include "provider/provider.h"

#include <stdlib.h>
#include <string.h>

enum kb_status kb_provider_find_key(struct kb_token *token, const char *name, enum kb_key_use use,
                                    struct kb_key_info *info, struct kb_error *err)
{
    enum kb_status status = kb_key_find(token, name, info, err);

    if (status != KB_OK || info->use == use)
        return status;
    if (info->use == KB_KEY_USE_UNKNOWN)
        return kb_error_set(err, KB_ERR_DENIED, "key '%s' may not be used to %s", name,
                            kb_key_use_format(use));
    return kb_error_set(err, KB_ERR_DENIED, "key '%s' is a %s key, not a %s key", name,
                        kb_key_use_format(info->use), kb_key_use_format(use));
}

static enum kb_status add_entry(struct kb_provider *provider, struct kb_pair entry,
                                struct kb_error *err)
{
    struct kb_pair *slot = &provider->entries[provider->entry_count];

    if (provider->entry_count == KB_ENTRIES_MAX)
        return kb_error_set(err, KB_ERR_USAGE, "more than %d description entries", KB_ENTRIES_MAX);
    slot->name = kb_arena_copy(&provider->memory, entry.name);
    slot->value = kb_arena_copy(&provider->memory, entry.value);
    if (!slot->name.data || !slot->value.data)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    provider->entry_count++;
    return KB_OK;
}

enum kb_status kb_provider_add_entry(struct kb_provider *provider, const char *name,
                                     const char *value, struct kb_error *err)
{
    return add_entry(provider, (struct kb_pair){kb_bytes_text(name), kb_bytes_text(value)}, err);
}

static bool has_prefix(struct kb_bytes text, const char *prefix)
{
    size_t size = strlen(prefix);

    return text.size >= size && memcmp(text.data, prefix, size) == 0;
}

/* The caller's entries come first; names the format or keybridge gives a
 * meaning to are not for the caller. */
static enum kb_status add_callers_entries(struct kb_provider *provider,
                                          const struct kb_pair *description, size_t count,
                                          struct kb_error *err)
{
    enum kb_status status = KB_OK;

    for (size_t i = 0; status == KB_OK && i < count; i++) {
        const struct kb_pair *entry = &description[i];

        if (has_prefix(entry->name, "amzn-ddb-") || has_prefix(entry->name, "keybridge-"))
            return kb_error_set(err, KB_ERR_USAGE,
                                "description entry '%.*s': names that begin with 'amzn-ddb-' or "
                                "'keybridge-' are reserved",
                                (int)entry->name.size, (const char *)entry->name.data);
        for (size_t j = 0; j < provider->entry_count; j++)
            if (kb_bytes_equal(provider->entries[j].name, entry->name))
                return kb_error_set(err, KB_ERR_USAGE, "description entry '%.*s' is given twice",
                                    (int)entry->name.size, (const char *)entry->name.data);
        status = add_entry(provider, *entry, err);
    }
    return status;
}

enum kb_status kb_provider_new(struct kb_provider **out, size_t size,
                               const struct kb_provider_ops *ops,
                               const struct kb_pair *description, size_t count,
                               struct kb_error *err)
{
    struct kb_provider *provider = calloc(1, size);
    enum kb_status status;

    *out = NULL;
    if (!provider)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    provider->ops = ops;
    atomic_init(&provider->references, 1);
    status = add_callers_entries(provider, description, count, err);
    if (status != KB_OK) {
        kb_provider_release(provider);
        return status;
    }
    *out = provider;
    return KB_OK;
}

/* RSA and ECDSA signatures are verified here, with the public key: the token
 * is asked for it once. */
static enum kb_status load_public_key(struct kb_provider *provider, struct kb_token *token,
                                      struct kb_error *err)
{
    struct kb_buffer spki = KB_BUFFER_INIT(4096);
    enum kb_status status = kb_key_export_public(token, provider->sign_key, &spki, err);

    if (status == KB_OK)
        status = kb_public_key_new(&provider->public_key, kb_buffer_view(&spki), err);
    kb_buffer_free(&spki);
    return status;
}

enum kb_status kb_provider_set_sign_key(struct kb_provider *provider, struct kb_token *token,
                                        const struct kb_provider_options *options,
                                        struct kb_error *err)
{
    struct kb_key_info info;
    enum kb_status status;

    if (!options->sign_key)
        return kb_error_set(err, KB_ERR_USAGE, "no signing key is named");
    provider->sign_key = strdup(options->sign_key);
    if (!provider->sign_key)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    status = kb_provider_find_key(token, options->sign_key, KB_KEY_SIGN, &info, err);
    if (status == KB_OK)
        status = kb_sign_algorithm_choose(&provider->sign_algorithm, options->sign_algorithm,
                                          &info, err);
    if (status == KB_OK && provider->sign_algorithm->scheme != KB_SIGN_HMAC)
        status = load_public_key(provider, token, err);
    if (status == KB_OK)
        status = kb_provider_add_entry(provider, KB_ENTRY_SIGN_ALGORITHM,
                                       provider->sign_algorithm->name, err);
    return status;
}

struct kb_provider *kb_provider_retain(struct kb_provider *provider)
{
    atomic_fetch_add(&provider->references, 1);
    return provider;
}

void kb_provider_release(struct kb_provider *provider)
{
    if (!provider || atomic_fetch_sub(&provider->references, 1) != 1)
        return;
    if (provider->ops->free)
        provider->ops->free(provider);
    kb_arena_free(&provider->memory);
    kb_public_key_free(provider->public_key);
    free(provider->sign_key);
    free(provider->content_key);
    free(provider);
}

struct kb_keystore *kb_provider_keystore(const struct kb_provider *provider)
{
    return provider->keystore;
}

const struct kb_bytes *kb_entry_find(const struct kb_pair *entries, size_t count, const char *name)
{
    struct kb_bytes wanted = kb_bytes_text(name);

    for (size_t i = count; i-- > 0;)
        if (kb_bytes_equal(entries[i].name, wanted))
            return &entries[i].value;
    return NULL;
}

enum kb_status kb_work_new(struct kb_work *work, struct kb_provider *provider,
                           const struct kb_scope *scope, struct kb_error *err)
{
    enum kb_status status = kb_crypto_new(&work->crypto, err);

    work->scope = scope;
    if (status == KB_OK)
        status = kb_secret_new(&work->plain, KB_TOKEN_BATCH_MAX * KB_TOKEN_DATA_KEY_MAX, err);
    if (status == KB_OK && provider->opens_first)
        status = kb_secret_new(&work->sign_keys, KB_TOKEN_BATCH_MAX * KB_ITEM_SIGN_KEY_MAX, err);
    if (status == KB_OK) {
        work->data_keys = calloc(KB_TOKEN_BATCH_MAX, sizeof *work->data_keys);
        work->signatures = calloc(KB_TOKEN_BATCH_MAX, sizeof *work->signatures);
        if (!work->data_keys || !work->signatures)
            status = kb_error_set(err, KB_ERR_MEMORY, "no memory");
    }
    if (status == KB_OK && provider->keystore)
        status = kb_token_lease(&work->token, provider->keystore, err);
    if (status != KB_OK)
        kb_work_free(work);
    return status;
}

void kb_work_free(struct kb_work *work)
{
    if (work->token)
        kb_token_return(work->token);
    kb_crypto_free(work->crypto);
    kb_secret_free(work->plain);
    kb_secret_free(work->sign_keys);
    free(work->data_keys);
    free(work->signatures);
    kb_arena_free(&work->arena);
    memset(work, 0, sizeof *work);
}

enum kb_status kb_work_forget(struct kb_work *work, struct kb_materials *materials, size_t n,
                              struct kb_error *err)
{
    uint32_t handles[KB_TOKEN_BATCH_MAX];
    size_t count = 0;

    kb_wipe(kb_secret_data(work->plain), kb_secret_view(work->plain).size);
    kb_crypto_forget_keys(work->crypto);
    for (size_t i = 0; i < n; i++) {
        if (materials[i].content == KB_CONTENT_HANDLE)
            handles[count++] = materials[i].handle;
        materials[i].content = KB_CONTENT_NONE;
    }
    return count ? kb_token_forget(work->token, handles, count, err) : KB_OK;
}

void kb_work_forget_sign_keys(struct kb_work *work)
{
    if (work->sign_keys)
        kb_wipe(kb_secret_data(work->sign_keys), kb_secret_view(work->sign_keys).size);
}

/* --- signatures ------------------------------------------------------------------ */

static enum kb_status keep_signature(struct kb_work *work, struct kb_signing *signing,
                                     struct kb_bytes signature, struct kb_error *err)
{
    signing->signature = kb_arena_copy(&work->arena, signature);
    return signing->signature.data ? KB_OK : kb_error_set(err, KB_ERR_MEMORY, "no memory");
}

/* Under the items' own keys: HMAC in this process, which has the keys anyway. */
static enum kb_status sign_here(struct kb_provider *provider, struct kb_work *work,
                                struct kb_signing *signings, size_t n, struct kb_error *err)
{
    enum kb_status status = KB_OK;
    uint8_t mac[KB_HASH_SIZE_MAX];

    for (size_t i = 0; status == KB_OK && i < n; i++) {
        status = kb_hmac(mac, provider->sign_algorithm->hash, signings[i].sign_key,
                         signings[i].message, err);
        if (status == KB_OK)
            status = keep_signature(
                work, &signings[i],
                (struct kb_bytes){mac, kb_hash_size(provider->sign_algorithm->hash)}, err);
    }
    return status;
}

static enum kb_status sign_in_token(struct kb_provider *provider, struct kb_work *work,
                                    struct kb_signing *signings, size_t n, struct kb_error *err)
{
    const struct kb_sign_spec spec = {provider->sign_key, provider->sign_algorithm->scheme,
                                      provider->sign_algorithm->hash};
    struct kb_bytes messages[KB_TOKEN_BATCH_MAX] = {{NULL, 0}};
    enum kb_status status;

    if (n > KB_TOKEN_BATCH_MAX)
        return kb_error_set(err, KB_ERR_USAGE, "too many messages to sign at once");
    for (size_t i = 0; i < n; i++)
        messages[i] = signings[i].message;
    status = kb_token_sign(work->token, &spec, messages, n, work->signatures, err);
    for (size_t i = 0; status == KB_OK && i < n; i++)
        status = keep_signature(
            work, &signings[i],
            (struct kb_bytes){work->signatures[i].data, work->signatures[i].size}, err);
    return status;
}

enum kb_status kb_provider_sign(struct kb_provider *provider, struct kb_work *work,
                                struct kb_signing *signings, size_t n, struct kb_error *err)
{
    return provider->opens_first ? sign_here(provider, work, signings, n, err)
                                 : sign_in_token(provider, work, signings, n, err);
}

enum kb_status kb_provider_verify(struct kb_provider *provider, struct kb_work *work,
                                  struct kb_signing *signings, size_t n, struct kb_error *err)
{
    struct kb_bytes given[KB_TOKEN_BATCH_MAX];
    enum kb_status status;

    if (provider->public_key) {
        for (size_t i = 0; i < n; i++)
            signings[i].good = kb_public_key_verify(provider->public_key,
                                                    provider->sign_algorithm->hash,
                                                    signings[i].message, signings[i].signature);
        return KB_OK;
    }
    if (n > KB_TOKEN_BATCH_MAX)
        return kb_error_set(err, KB_ERR_USAGE, "too many messages to verify at once");
    for (size_t i = 0; i < n; i++)
        given[i] = signings[i].signature;
    status = kb_provider_sign(provider, work, signings, n, err);
    for (size_t i = 0; i < n; i++) {
        signings[i].good = status == KB_OK && kb_secret_equal(signings[i].signature, given[i]);
        signings[i].signature = given[i];
    }
    return status;
}
