/* SPDX-License-Identifier: Apache-2.0
 *
 * The static provider: one content key for every item. It is an object of the
 * token and used there; without one, items are signed only.
 */
#include "provider/provider.h"

#include <string.h>

static enum kb_status static_make(struct kb_provider *provider, struct kb_work *work,
                                  struct kb_materials *materials, size_t n, struct kb_error *err)
{
    (void)work;
    (void)err;
    for (size_t i = 0; i < n; i++)
        materials[i].content = provider->content_key ? KB_CONTENT_NAMED : KB_CONTENT_NONE;
    return KB_OK;
}

static enum kb_status static_open(struct kb_provider *provider, struct kb_work *work,
                                  struct kb_materials *materials, size_t n, struct kb_error *err)
{
    enum kb_status status = static_make(provider, work, materials, n, err);

    for (size_t i = 0; i < n; i++)
        if (materials[i].wanted && !provider->content_key)
            materials[i].status = KB_ERR_AUTH;
    return status;
}

static const struct kb_provider_ops static_ops = {static_make, static_open, NULL};

static enum kb_status set_up(struct kb_provider *provider, struct kb_keystore *keystore,
                             struct kb_token *token, const struct kb_provider_options *options,
                             struct kb_error *err)
{
    struct kb_key_info info;
    enum kb_status status = kb_provider_set_sign_key(provider, token, options, err);

    provider->keystore = keystore;
    if (status != KB_OK || !options->content_key)
        return status;
    provider->has_content_key = true;
    provider->content_key = strdup(options->content_key);
    if (!provider->content_key)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    return kb_provider_find_key(token, options->content_key, KB_KEY_CONTENT, &info, err);
}

enum kb_status kb_provider_static(struct kb_provider **out, struct kb_keystore *keystore,
                                  const struct kb_provider_options *options, struct kb_error *err)
{
    struct kb_provider *provider = NULL;
    struct kb_token *token;
    enum kb_status status;

    *out = NULL;
    if (options->wrap_key || options->content_key_bits || options->wrap_algorithm)
        return kb_error_set(err, KB_ERR_USAGE,
                            "the static provider has one content key and wraps none");
    status = kb_token_lease(&token, keystore, err);
    if (status != KB_OK)
        return status;
    status = kb_provider_new(&provider, sizeof *provider, &static_ops, options->description,
                             options->description_count, err);
    if (status == KB_OK)
        status = set_up(provider, keystore, token, options, err);
    kb_token_return(token);
    if (status != KB_OK) {
        kb_provider_release(provider);
        return status;
    }
    *out = provider;
    return KB_OK;
}
