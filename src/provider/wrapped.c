/* SPDX-License-Identifier: Apache-2.0
 *
 * The wrapped provider: a fresh data key for every item, wrapped by an AES or
 * RSA key in the token. Under a key made with --release never the data keys
 * stay in the token too.
 */
#include "base/text.h"
#include "provider/provider.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct wrapped {
    struct kb_provider base;
    char *wrap_key;
    enum kb_wrap_algorithm algorithm; /* of what is written */
    bool rsa;
    bool strict; /* only what is wrapped so is read */
    size_t key_size;
    bool release_never;
};

static enum kb_status set_data_key(struct wrapped *wrapped, struct kb_work *work,
                                   struct kb_materials *materials, const struct kb_data_key *key,
                                   size_t slot)
{
    materials->status = key->status;
    if (key->status != KB_OK)
        return key->status;
    if (wrapped->release_never) {
        materials->content = KB_CONTENT_HANDLE;
        materials->handle = key->handle;
    } else {
        materials->content = KB_CONTENT_PLAIN;
        materials->key = (struct kb_bytes){
            kb_secret_data(work->plain) + slot * KB_TOKEN_DATA_KEY_MAX, key->size};
    }
    return KB_OK;
}

static struct kb_secret *released_into(struct wrapped *wrapped, struct kb_work *work)
{
    return wrapped->release_never ? NULL : work->plain;
}

static enum kb_status wrapped_make(struct kb_provider *provider, struct kb_work *work,
                                   struct kb_materials *materials, size_t n, struct kb_error *err)
{
    struct wrapped *wrapped = (struct wrapped *)provider;
    const struct kb_data_key_spec spec = {wrapped->wrap_key, wrapped->algorithm,
                                          wrapped->key_size};
    enum kb_status status = kb_token_make_keys(work->token, &spec, work->data_keys, n,
                                               released_into(wrapped, work), err);

    for (size_t i = 0; status == KB_OK && i < n; i++) {
        struct kb_data_key *key = &work->data_keys[i];
        size_t room = kb_base64_formatted_size(key->wrapped_size);
        struct kb_buffer text = KB_BUFFER_INIT(room);

        status = set_data_key(wrapped, work, &materials[i], key, i);
        if (status != KB_OK)
            return kb_error_set(err, KB_ERR_TOKEN, "the token made no data key");
        text.data = kb_arena_take(&work->arena, room);
        text.capacity = room;
        if (!text.data)
            return kb_error_set(err, KB_ERR_MEMORY, "no memory");
        kb_base64_format(&text, (struct kb_bytes){key->wrapped, key->wrapped_size});
        materials[i].wrapped_text = kb_buffer_view(&text);
    }
    return status;
}

/* How an item's key is wrapped. A missing name is the wrapping key's own
 * algorithm, which for RSA means PKCS#1 v1.5 (the oldest Java items) and for
 * AES nothing. */
static bool take_algorithm(const struct wrapped *wrapped, enum kb_wrap_algorithm *out,
                           const struct kb_bytes *name)
{
    *out = KB_WRAP_PKCS1;
    if (name && !kb_wrap_algorithm_parse(out, *name))
        return false;
    if (wrapped->strict)
        return *out == wrapped->algorithm;
    return wrapped->rsa == (*out != KB_WRAP_AES);
}

/* "AES" or "AES/<bits>"; a missing one is read as AES, which both clients'
 * formats imply. The length stated there is not believed. */
static bool is_aes_content(const struct kb_bytes *name)
{
    return !name || (name->size >= 3 && memcmp(name->data, "AES", 3) == 0 &&
                     (name->size == 3 || name->data[3] == '/'));
}

/* The wrapped key out of the description; false when there is none to try. */
static bool take_wrapped_key(const struct wrapped *wrapped, struct kb_data_key *key,
                             const struct kb_materials *materials)
{
    const struct kb_pair *entries = materials->description;
    size_t count = materials->description_count;
    const struct kb_bytes *text = kb_entry_find(entries, count, KB_ENTRY_CONTENT_KEY);
    const struct kb_bytes *name = kb_entry_find(entries, count, KB_ENTRY_WRAP_ALGORITHM);
    struct kb_buffer bytes = KB_BUFFER_INIT(KB_TOKEN_WRAPPED_MAX);
    enum kb_wrap_algorithm algorithm;
    bool good = text && take_algorithm(wrapped, &algorithm, name) &&
                is_aes_content(kb_entry_find(entries, count, KB_ENTRY_CONTENT_ALGORITHM)) &&
                kb_base64_parse_lenient(&bytes, *text) && bytes.size > 0;

    memset(key, 0, sizeof *key);
    if (good) {
        key->algorithm = algorithm;
        memcpy(key->wrapped, bytes.data, bytes.size);
        key->wrapped_size = (uint16_t)bytes.size;
    }
    kb_buffer_free(&bytes);
    return good;
}

static enum kb_status wrapped_open(struct kb_provider *provider, struct kb_work *work,
                                   struct kb_materials *materials, size_t n, struct kb_error *err)
{
    struct wrapped *wrapped = (struct wrapped *)provider;
    size_t of_key[KB_TOKEN_BATCH_MAX];
    size_t count = 0;
    enum kb_status status = KB_OK;

    for (size_t i = 0; i < n; i++) {
        if (!materials[i].wanted)
            continue;
        if (take_wrapped_key(wrapped, &work->data_keys[count], &materials[i]))
            of_key[count++] = i;
        else
            materials[i].status = KB_ERR_AUTH;
    }
    if (count)
        status = kb_token_unwrap_keys(work->token, wrapped->wrap_key, work->data_keys, count,
                                      released_into(wrapped, work), err);
    for (size_t k = 0; status == KB_OK && k < count; k++)
        (void)set_data_key(wrapped, work, &materials[of_key[k]], &work->data_keys[k], k);
    return status;
}

static void wrapped_free(struct kb_provider *provider)
{
    free(((struct wrapped *)provider)->wrap_key);
}

static const struct kb_provider_ops wrapped_ops = {wrapped_make, wrapped_open, wrapped_free};

/* OAEP with SHA-256 is what both clients take for RSA unless told otherwise. */
static enum kb_status choose_algorithm(struct wrapped *wrapped, const char *wanted,
                                       const struct kb_key_info *key, struct kb_error *err)
{
    wrapped->rsa = kb_key_type_is_rsa(key->type);
    wrapped->algorithm = wrapped->rsa ? KB_WRAP_OAEP_SHA256 : KB_WRAP_AES;
    wrapped->strict = wanted != NULL;
    if (wanted && (!kb_wrap_algorithm_parse(&wrapped->algorithm, kb_bytes_text(wanted)) ||
                   !kb_wrap_algorithm_format(wrapped->algorithm))) {
        kb_error_set(err, KB_ERR_USAGE, "unknown wrapping algorithm '%s'", wanted);
        kb_error_hint(err, "AESWrap, RSA/ECB/OAEPWithSHA-256AndMGF1Padding (or -1, -384, -512), "
                           "RSA/ECB/PKCS1Padding");
        return KB_ERR_USAGE;
    }
    if (wrapped->rsa == (wrapped->algorithm == KB_WRAP_AES))
        return kb_error_set(err, KB_ERR_USAGE, "key '%s' is for %s, not for %s", key->name,
                            kb_key_type_format(key->type), wanted);
    return KB_OK;
}

static enum kb_status set_up(struct wrapped *wrapped, struct kb_token *token,
                             const struct kb_provider_options *options, struct kb_error *err)
{
    struct kb_key_info info;
    char hint[sizeof info.name + sizeof info.version + 2];
    enum kb_status status = kb_provider_set_sign_key(&wrapped->base, token, options, err);

    if (status == KB_OK)
        status = kb_provider_find_key(token, options->wrap_key, KB_KEY_WRAP, &info, err);
    if (status == KB_OK)
        status = choose_algorithm(wrapped, options->wrap_algorithm, &info, err);
    if (status != KB_OK)
        return status;
    wrapped->wrap_key = strdup(options->wrap_key);
    if (!wrapped->wrap_key)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    wrapped->release_never = info.release_never;
    wrapped->base.has_content_key = true;
    snprintf(hint, sizeof hint, "%s#%s", info.name, info.version);
    /* "AES" without a length is what every version of both clients reads. */
    status = kb_provider_add_entry(&wrapped->base, KB_ENTRY_CONTENT_ALGORITHM, "AES", err);
    if (status == KB_OK)
        status = kb_provider_add_entry(&wrapped->base, KB_ENTRY_WRAP_ALGORITHM,
                                       kb_wrap_algorithm_format(wrapped->algorithm), err);
    if (status == KB_OK)
        status = kb_provider_add_entry(&wrapped->base, KB_ENTRY_WRAP_KEY, hint, err);
    return status;
}

enum kb_status kb_provider_wrapped(struct kb_provider **out, struct kb_keystore *keystore,
                                   const struct kb_provider_options *options, struct kb_error *err)
{
    unsigned bits = options->content_key_bits ? options->content_key_bits : 256;
    struct kb_provider *provider = NULL;
    struct kb_token *token;
    enum kb_status status;

    *out = NULL;
    if (bits != 128 && bits != 192 && bits != 256)
        return kb_error_set(err, KB_ERR_USAGE, "a content key has 128, 192 or 256 bits, not %u",
                            bits);
    if (!options->wrap_key || options->content_key)
        return kb_error_set(err, KB_ERR_USAGE, "%s",
                            options->content_key
                                ? "the wrapped provider makes its own content keys"
                                : "the wrapped provider needs a wrapping key");
    status = kb_token_lease(&token, keystore, err);
    if (status != KB_OK)
        return status;
    status = kb_provider_new(&provider, sizeof(struct wrapped), &wrapped_ops,
                             options->description, options->description_count, err);
    if (status == KB_OK) {
        provider->keystore = keystore;
        ((struct wrapped *)provider)->key_size = bits / 8;
        status = set_up((struct wrapped *)provider, token, options, err);
    }
    kb_token_return(token);
    if (status != KB_OK) {
        kb_provider_release(provider);
        return status;
    }
    *out = provider;
    return KB_OK;
}
