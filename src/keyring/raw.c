/* SPDX-License-Identifier: Apache-2.0 */
#include "keyring/raw.h"

#include "base/text.h"

#include <stdlib.h>
#include <string.h>

enum { NAMESPACE_MAX = 65535, KEY_NAME_MAX = 65515 };

/* --- encrypted data keys ---------------------------------------------------------- */

void raw_put(struct kb_buffer *out, const struct kb_bytes *parts, size_t n)
{
    size_t size = 0;

    for (size_t i = 0; i < n; i++)
        size += parts[i].size;
    kb_buffer_put_u16(out, (uint16_t)size); /* names have their limits, all else is short */
    for (size_t i = 0; i < n; i++)
        kb_buffer_put_bytes(out, parts[i]);
}

void raw_opened(const struct raw_attempt *attempt, const uint8_t *data_key)
{
    struct kb_unwrap_job *job = attempt->job;

    memcpy(job->data_key, data_key, job->key_size);
    job->opened = true;
    job->opened_by = attempt->edk;
}

/* Moves on to the job's next encrypted data key that may be ours. */
static bool find_next(const struct raw_keyring *raw, const struct kb_unwrap_job *job, size_t *edk)
{
    for (; *edk < job->edk_count; ++*edk)
        if (kb_bytes_equal(job->edks[*edk].provider, raw->key_namespace) &&
            raw->kind->matches(raw, job, &job->edks[*edk]))
            return true;
    return false;
}

/* The first one of each job, then the second one of those still closed, …:
 * there may be several of one name, under different keys. */
static enum kb_status unwrap_some(struct raw_keyring *raw, struct kb_token **token,
                                  struct kb_unwrap_job *jobs, size_t n, struct kb_error *err)
{
    struct raw_attempt attempts[KB_TOKEN_BATCH_MAX];
    size_t next[KB_TOKEN_BATCH_MAX] = {0};
    enum kb_status status = KB_OK;
    size_t count = 1;

    while (status == KB_OK && count > 0) {
        count = 0;
        for (size_t i = 0; i < n; i++)
            if (!jobs[i].opened && find_next(raw, &jobs[i], &next[i]))
                attempts[count++] = (struct raw_attempt){&jobs[i], next[i]++};
        if (count > 0 && !*token)
            status = kb_token_lease(token, raw->base.keystore, err);
        if (count > 0 && status == KB_OK)
            status = raw->kind->open(raw, *token, attempts, count, err);
    }
    return status;
}

enum kb_status raw_unwrap(struct kb_keyring *keyring, struct kb_unwrap_job *jobs, size_t n,
                          struct kb_error *err)
{
    struct raw_keyring *raw = (struct raw_keyring *)keyring;
    struct kb_token *token = NULL; /* leased when there is something to open */
    enum kb_status status = KB_OK;

    for (size_t done = 0; status == KB_OK && done < n; done += KB_TOKEN_BATCH_MAX) {
        size_t some = n - done < KB_TOKEN_BATCH_MAX ? n - done : KB_TOKEN_BATCH_MAX;

        status = unwrap_some(raw, &token, jobs + done, some, err);
    }
    if (token)
        kb_token_return(token);
    return status;
}

void raw_clear(struct kb_keyring *keyring)
{
    struct raw_keyring *raw = (struct raw_keyring *)keyring;

    kb_public_key_free(raw->public_key);
    kb_arena_free(&raw->memory);
}

/* --- setting one up ------------------------------------------------------------------ */

static enum kb_status check_name(const char *what, struct kb_bytes name, size_t max,
                                 struct kb_error *err)
{
    if (name.size == 0 || name.size > max)
        return kb_error_set(err, KB_ERR_USAGE, "a keyring's %s has 1 to %zu bytes, not %zu", what,
                            max, name.size);
    if (!kb_utf8_valid(name))
        return kb_error_set(err, KB_ERR_USAGE, "a keyring's %s is not UTF-8", what);
    return KB_OK;
}

static enum kb_status check_names(const struct kb_raw_keyring_options *options,
                                  struct kb_error *err)
{
    enum kb_status status = check_name("namespace", options->key_namespace, NAMESPACE_MAX, err);

    if (status == KB_OK)
        status = check_name("key name", options->key_name, KEY_NAME_MAX, err);
    if (status == KB_OK && kb_bytes_equal(options->key_namespace, kb_bytes_text("aws-kms")))
        status = kb_error_set(err, KB_ERR_USAGE,
                              "the namespace 'aws-kms' is for keys in AWS KMS alone");
    return status;
}

static bool is_rsa_padding(enum kb_wrap_algorithm padding)
{
    return padding == KB_WRAP_PKCS1 || padding == KB_WRAP_OAEP_SHA1 ||
           padding == KB_WRAP_OAEP_SHA256_MGF_SHA256 ||
           padding == KB_WRAP_OAEP_SHA384_MGF_SHA384 || padding == KB_WRAP_OAEP_SHA512_MGF_SHA512;
}

/* What the key is, and whether that fits the options. */
static enum kb_status choose_kind(struct raw_keyring *raw, const struct kb_key_info *info,
                                  enum kb_wrap_algorithm padding, struct kb_error *err)
{
    bool aes = info->use == KB_KEY_ENVELOPE;

    if (!aes && (info->use != KB_KEY_WRAP || !kb_key_type_is_rsa(info->type))) {
        kb_error_set(err, KB_ERR_DENIED, "key '%s' is not for envelopes", info->name);
        kb_error_hint(err, "AES keys for them are made with --use envelope, RSA keys with "
                           "--use wrap");
        return KB_ERR_DENIED;
    }
    if (info->release_never)
        return kb_error_set(err, KB_ERR_DENIED,
                            "data keys under '%s' never leave the token, and an envelope is "
                            "opened outside",
                            info->name);
    if (aes ? padding != KB_WRAP_AES : padding != KB_WRAP_AES && !is_rsa_padding(padding))
        return kb_error_set(err, KB_ERR_USAGE, "key '%s' is not used with that padding",
                            info->name);
    raw->kind = aes ? &raw_aes_kind : &raw_rsa_kind;
    raw->base.type = &raw->kind->type;
    raw->padding = padding == KB_WRAP_AES ? KB_WRAP_OAEP_SHA256_MGF_SHA256 : padding;
    return KB_OK;
}

static enum kb_status load_public_key(struct raw_keyring *raw, struct kb_token *token,
                                      struct kb_error *err)
{
    struct kb_buffer spki = KB_BUFFER_INIT(4096);
    enum kb_status status = kb_key_export_public(token, raw->key, &spki, err);

    if (status == KB_OK)
        status = kb_public_key_new(&raw->public_key, kb_buffer_view(&spki), err);
    kb_buffer_free(&spki);
    return status;
}

static enum kb_status set_up(struct raw_keyring *raw, struct kb_token *token,
                             const struct kb_raw_keyring_options *options, struct kb_error *err)
{
    struct kb_bytes key = {(const uint8_t *)options->key, strlen(options->key) + 1};
    struct kb_key_info info;
    enum kb_status status = kb_key_find(token, options->key, &info, err);

    if (status == KB_OK)
        status = choose_kind(raw, &info, options->padding, err);
    if (status != KB_OK)
        return status;
    raw->key = (const char *)kb_arena_copy(&raw->memory, key).data;
    raw->key_namespace = kb_arena_copy(&raw->memory, options->key_namespace);
    raw->key_name = kb_arena_copy(&raw->memory, options->key_name);
    if (!raw->key || !raw->key_namespace.data || !raw->key_name.data)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    return raw->kind == &raw_rsa_kind ? load_public_key(raw, token, err) : KB_OK;
}

enum kb_status kb_keyring_raw(struct kb_keyring **out, struct kb_keystore *keystore,
                              const struct kb_raw_keyring_options *options, struct kb_error *err)
{
    struct kb_token *token;
    struct raw_keyring *raw;
    enum kb_status status;

    *out = NULL;
    if (!options->key)
        return kb_error_set(err, KB_ERR_USAGE, "a raw keyring needs a key in the token");
    status = check_names(options, err);
    if (status == KB_OK)
        status = kb_token_lease(&token, keystore, err);
    if (status != KB_OK)
        return status;
    raw = calloc(1, sizeof *raw);
    if (raw) {
        atomic_init(&raw->base.references, 1);
        raw->base.keystore = keystore;
        status = set_up(raw, token, options, err);
    } else {
        status = kb_error_set(err, KB_ERR_MEMORY, "no memory");
    }
    kb_token_return(token);
    if (status == KB_OK) {
        *out = &raw->base;
    } else if (raw) {
        raw_clear(&raw->base);
        free(raw);
    }
    return status;
}
