/* SPDX-License-Identifier: Apache-2.0 */
#include "provider/provider.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    enum kb_hash hash;
} sign_algorithms[] = {
    {"HmacSHA224", KB_SHA224},
    {"HmacSHA256", KB_SHA256},
    {"HmacSHA384", KB_SHA384},
    {"HmacSHA512", KB_SHA512},
};
enum { SIGN_ALGORITHMS = sizeof sign_algorithms / sizeof *sign_algorithms };

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

/* The configured algorithm, held against the key's type; without one, the
 * type's own. */
static enum kb_status choose_algorithm(const char **name, enum kb_hash *hash, const char *wanted,
                                       const struct kb_key_info *key, struct kb_error *err)
{
    enum kb_hash of_key = KB_SHA256;
    bool typed = kb_key_type_hash(key->type, &of_key);

    if (!typed && key->type != KB_KEY_TYPE_UNKNOWN)
        return kb_error_set(err, KB_ERR_DENIED, "key '%s' (%s) cannot make an HMAC", key->name,
                            kb_key_type_format(key->type));
    for (size_t i = 0; i < SIGN_ALGORITHMS; i++) {
        if (wanted ? strcmp(wanted, sign_algorithms[i].name) : sign_algorithms[i].hash != of_key)
            continue;
        if (typed && sign_algorithms[i].hash != of_key)
            return kb_error_set(err, KB_ERR_USAGE, "key '%s' is for %s, not for %s", key->name,
                                kb_key_type_format(key->type), wanted);
        *name = sign_algorithms[i].name;
        *hash = sign_algorithms[i].hash;
        return KB_OK;
    }
    kb_error_set(err, KB_ERR_USAGE, "unknown signing algorithm '%s'", wanted ? wanted : "");
    kb_error_hint(err, "HmacSHA224, HmacSHA256, HmacSHA384 or HmacSHA512");
    return KB_ERR_USAGE;
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
                                          const struct kb_provider_options *options,
                                          struct kb_error *err)
{
    enum kb_status status = KB_OK;

    for (size_t i = 0; status == KB_OK && i < options->description_count; i++) {
        const struct kb_pair *entry = &options->description[i];

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
                               const struct kb_provider_ops *ops, struct kb_keystore *keystore,
                               struct kb_token *token, const struct kb_provider_options *options,
                               struct kb_error *err)
{
    struct kb_provider *provider;
    struct kb_key_info info;
    const char *algorithm = NULL;
    enum kb_status status;

    *out = NULL;
    if (!options->sign_key)
        return kb_error_set(err, KB_ERR_USAGE, "no signing key is named");
    provider = calloc(1, size);
    if (!provider)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    provider->ops = ops;
    atomic_init(&provider->references, 1);
    provider->keystore = keystore;
    provider->sign_key = strdup(options->sign_key);
    if (options->content_key)
        provider->content_key = strdup(options->content_key);
    status = provider->sign_key && (provider->content_key || !options->content_key)
                 ? KB_OK
                 : kb_error_set(err, KB_ERR_MEMORY, "no memory");
    if (status == KB_OK)
        status = kb_provider_find_key(token, options->sign_key, KB_KEY_SIGN, &info, err);
    if (status == KB_OK)
        status = choose_algorithm(&algorithm, &provider->hash, options->sign_algorithm, &info, err);
    if (status == KB_OK)
        status = add_callers_entries(provider, options, err);
    if (status == KB_OK)
        status = kb_provider_add_entry(provider, KB_ENTRY_SIGN_ALGORITHM, algorithm, err);
    if (status != KB_OK) {
        kb_provider_release(provider);
        return status;
    }
    *out = provider;
    return KB_OK;
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

enum kb_status kb_work_new(struct kb_work *work, struct kb_keystore *keystore, struct kb_error *err)
{
    enum kb_status status = kb_crypto_new(&work->crypto, err);

    if (status == KB_OK)
        status = kb_secret_new(&work->plain, KB_TOKEN_BATCH_MAX * KB_TOKEN_DATA_KEY_MAX, err);
    if (status == KB_OK) {
        work->data_keys = calloc(KB_TOKEN_BATCH_MAX, sizeof *work->data_keys);
        work->signatures = calloc(KB_TOKEN_BATCH_MAX, sizeof *work->signatures);
        if (!work->data_keys || !work->signatures)
            status = kb_error_set(err, KB_ERR_MEMORY, "no memory");
    }
    if (status == KB_OK)
        status = kb_token_lease(&work->token, keystore, err);
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

enum kb_status kb_provider_sign(struct kb_provider *provider, struct kb_work *work,
                                const struct kb_bytes *messages, struct kb_bytes *signatures,
                                size_t n, struct kb_error *err)
{
    struct kb_sign_spec spec = {provider->sign_key, KB_SIGN_HMAC, provider->hash};
    enum kb_status status = KB_OK;

    for (size_t done = 0; status == KB_OK && done < n;) {
        size_t step = n - done < KB_TOKEN_BATCH_MAX ? n - done : KB_TOKEN_BATCH_MAX;

        status = kb_token_sign(work->token, &spec, messages + done, step, work->signatures, err);
        for (size_t i = 0; status == KB_OK && i < step; i++) {
            struct kb_signature *made = &work->signatures[i];

            signatures[done + i] =
                kb_arena_copy(&work->arena, (struct kb_bytes){made->data, made->size});
            if (!signatures[done + i].data)
                status = kb_error_set(err, KB_ERR_MEMORY, "no memory");
        }
        done += step;
    }
    return status;
}

enum kb_status kb_provider_verify(struct kb_provider *provider, struct kb_work *work,
                                  const struct kb_bytes *messages,
                                  const struct kb_bytes *signatures, bool *good, size_t n,
                                  struct kb_error *err)
{
    struct kb_bytes *made = kb_arena_array(&work->arena, n, sizeof *made);
    enum kb_status status;

    if (!made)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    status = kb_provider_sign(provider, work, messages, made, n, err);
    for (size_t i = 0; i < n; i++)
        good[i] = status == KB_OK && kb_secret_equal(made[i], signatures[i]);
    return status;
}
