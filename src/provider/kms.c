/* SPDX-License-Identifier: Apache-2.0
 *
 * The direct KMS provider: KMS makes a data key for every item, and opens it
 * again for whoever may and names the same encryption context. Content key and
 * signing key come out of it by HKDF, so an item is opened before it can be
 * verified.
 */
#include "base/text.h"
#include "provider/provider.h"

#include <keybridge/kms.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Names in the encryption context; attribute names and values come beside
 * them (facts of the format). */
#define CONTEXT_CONTENT_ALGORITHM "*amzn-ddb-env-alg*"
#define CONTEXT_SIGN_ALGORITHM "*amzn-ddb-sig-alg*"
#define CONTEXT_TABLE "*aws-kms-table*"
/* HKDF's info (RFC 5869). */
#define INFO_CONTENT "Encryption"
#define INFO_SIGN "Signing"

enum {
    DATA_KEY_SIZE = 32,
    CONTEXT_MAX = 5,
    ALGORITHM_TEXT = 24,
    KEY_VALUE_MAX = 2048, /* bytes of a partition key's value, DynamoDB's limit */
};

struct kms_provider {
    struct kb_provider base;
    struct kb_kms *kms;
    char *key_id;
    char **grant_tokens;
    size_t grant_token_count;
    char content_algorithm[ALGORITHM_TEXT]; /* "AES/256" */
    char sign_algorithm[ALGORITHM_TEXT];    /* "HmacSHA256/256" */
    size_t content_size;                    /* bytes */
};

/* --- encryption context ------------------------------------------------------------ */

struct context {
    struct kb_pair pairs[CONTEXT_MAX];
    size_t count;
};

static void add(struct context *context, struct kb_bytes name, struct kb_bytes value)
{
    context->pairs[context->count++] = (struct kb_pair){name, value};
}

/* S and N as their text, B as base64. False for another type, and for what is
 * longer than a key of a table can be: KMS would refuse the whole call. */
static bool add_key(struct context *context, struct kb_bytes name, const struct kb_attr *value,
                    struct kb_arena *arena)
{
    struct kb_buffer text = KB_BUFFER_INIT(0);

    if (!value) /* the Python client leaves it out */
        return true;
    if (value->type > KB_ATTR_B || value->bytes.size > KEY_VALUE_MAX)
        return false;
    if (value->type == KB_ATTR_S || value->type == KB_ATTR_N) {
        add(context, name, value->bytes);
        return true;
    }
    text.max = text.capacity = kb_base64_formatted_size(value->bytes.size);
    text.data = kb_arena_take(arena, text.capacity + 1);
    if (!text.data)
        return false;
    kb_base64_format(&text, value->bytes);
    add(context, name, kb_buffer_view(&text));
    return true;
}

/* False, also when two names are the same: a map cannot hold both. */
static bool make_context(struct context *context, struct kb_work *work,
                         const struct kb_materials *materials, struct kb_bytes content_algorithm,
                         struct kb_bytes sign_algorithm)
{
    const struct kb_scope *scope = work->scope;

    context->count = 0;
    add(context, kb_bytes_text(CONTEXT_CONTENT_ALGORITHM), content_algorithm);
    add(context, kb_bytes_text(CONTEXT_SIGN_ALGORITHM), sign_algorithm);
    if (!add_key(context, scope->partition_key, materials->partition, &work->arena) ||
        !add_key(context, scope->sort_key, materials->sort, &work->arena))
        return false;
    add(context, kb_bytes_text(CONTEXT_TABLE), scope->table);
    for (size_t i = 0; i < context->count; i++)
        for (size_t j = 0; j < i; j++)
            if (kb_bytes_equal(context->pairs[i].name, context->pairs[j].name))
                return false;
    return true;
}

/* --- keys ---------------------------------------------------------------------------- */

/* Content and signing key of item i out of the plaintext KMS gave. */
static enum kb_status derive(struct kb_work *work, struct kb_materials *materials, size_t i,
                             struct kb_bytes plain, size_t content_size, size_t sign_size,
                             struct kb_error *err)
{
    const struct kb_bytes no_salt = {NULL, 0};
    uint8_t *content = kb_secret_data(work->plain) + i * KB_TOKEN_DATA_KEY_MAX;
    uint8_t *sign = kb_secret_data(work->sign_keys) + i * KB_ITEM_SIGN_KEY_MAX;
    const struct kb_hkdf_input of_content = {plain, no_salt, kb_bytes_text(INFO_CONTENT)};
    const struct kb_hkdf_input of_sign = {plain, no_salt, kb_bytes_text(INFO_SIGN)};
    enum kb_status status = kb_hkdf(KB_SHA256, &of_content, content, content_size, err);

    if (status == KB_OK)
        status = kb_hkdf(KB_SHA256, &of_sign, sign, sign_size, err);
    materials->content = KB_CONTENT_PLAIN;
    materials->key = (struct kb_bytes){content, content_size};
    materials->sign_key = (struct kb_bytes){sign, sign_size};
    return status;
}

static struct kb_kms_job job_of(const struct kms_provider *provider,
                                enum kb_kms_operation operation)
{
    return (struct kb_kms_job){
        .operation = operation,
        .key_id = provider->key_id,
        .grant_tokens = (const char *const *)provider->grant_tokens,
        .grant_token_count = provider->grant_token_count,
        .size = DATA_KEY_SIZE,
        .ciphertext = KB_BUFFER_INIT(KB_KMS_CIPHERTEXT_MAX),
    };
}

/* Jobs of a batch, with their contexts in the arena. */
static enum kb_status new_jobs(struct kb_work *work, size_t n, struct kb_kms_job **jobs,
                               struct context **contexts, struct kb_error *err)
{
    *jobs = kb_arena_array(&work->arena, n, sizeof **jobs);
    *contexts = kb_arena_array(&work->arena, n, sizeof **contexts);
    return *jobs && *contexts ? KB_OK : kb_error_set(err, KB_ERR_MEMORY, "no memory");
}

/* The key that KMS says it used is the configured one. An alias is KMS's own
 * to hold against the blob: it is named in the call. */
static bool is_our_key(const struct kms_provider *provider, const char *answered)
{
    const char *wanted = provider->key_id;
    size_t size = strlen(wanted), had = strlen(answered);

    if (strncmp(wanted, "alias/", 6) == 0 || strstr(wanted, ":alias/"))
        return true;
    if (strncmp(wanted, "arn:", 4) == 0 || had == size)
        return strcmp(answered, wanted) == 0;
    return had > size && answered[had - size - 1] == '/' &&
           strcmp(answered + had - size, wanted) == 0;
}

static enum kb_status take_made(struct kms_provider *provider, struct kb_work *work,
                                struct kb_materials *materials, size_t i,
                                const struct kb_kms_job *job, struct kb_error *err)
{
    struct kb_bytes blob = kb_buffer_view(&job->ciphertext);
    struct kb_buffer text = KB_BUFFER_INIT(0);

    if (!job->plain || kb_secret_view(job->plain).size != DATA_KEY_SIZE || !blob.size)
        return kb_error_set(err, KB_ERR_REMOTE, "KMS gave no data key of %d bytes", DATA_KEY_SIZE);
    if (!is_our_key(provider, job->answered_key_id))
        return kb_error_set(err, KB_ERR_REMOTE, "KMS made a data key under '%.120s', not '%.120s'",
                            job->answered_key_id, provider->key_id);
    text.max = text.capacity = kb_base64_formatted_size(blob.size);
    text.data = kb_arena_take(&work->arena, text.capacity);
    if (!text.data)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    kb_base64_format(&text, blob);
    materials->wrapped_text = kb_buffer_view(&text);
    return derive(work, materials, i, kb_secret_view(job->plain), provider->content_size,
                  kb_hash_size(provider->base.sign_algorithm->hash), err);
}

static enum kb_status kms_make(struct kb_provider *base, struct kb_work *work,
                               struct kb_materials *materials, size_t n, struct kb_error *err)
{
    struct kms_provider *provider = (struct kms_provider *)base;
    struct context *contexts;
    struct kb_kms_job *jobs;
    enum kb_status status = new_jobs(work, n, &jobs, &contexts, err);

    if (status != KB_OK)
        return status;
    for (size_t i = 0; i < n; i++) {
        jobs[i] = job_of(provider, KB_KMS_GENERATE_DATA_KEY);
        if (!make_context(&contexts[i], work, &materials[i],
                          kb_bytes_text(provider->content_algorithm),
                          kb_bytes_text(provider->sign_algorithm)))
            return kb_error_set(err, KB_ERR_USAGE,
                                "a key attribute has a name KMS's encryption context needs");
        jobs[i].context = contexts[i].pairs;
        jobs[i].context_count = contexts[i].count;
    }
    status = kb_kms_run(provider->kms, jobs, n, err);
    for (size_t i = 0; status == KB_OK && i < n; i++) {
        if (jobs[i].status != KB_OK) {
            /* A new data key fails for reasons that concern the run. */
            status = kb_status_is_item(jobs[i].status) ? KB_ERR_REMOTE : jobs[i].status;
            if (err)
                *err = jobs[i].error;
            if (err)
                err->status = status;
        } else {
            status = take_made(provider, work, &materials[i], i, &jobs[i], err);
        }
    }
    for (size_t i = 0; i < n; i++)
        kb_kms_job_free(&jobs[i]);
    return status;
}

/* --- opening --------------------------------------------------------------------------- */

/* Bytes of a key out of "AES/256" or "HmacSHA256/256"; 32 without a number.
 * False for another name, or bits that are none of the sizes. */
static bool parse_size(struct kb_bytes text, const char *name, size_t *size)
{
    size_t length = strlen(name), bits = 0;

    *size = 32;
    if (text.size < length || memcmp(text.data, name, length) != 0)
        return false;
    if (text.size == length)
        return true;
    if (text.data[length] != '/' || text.size == length + 1 || text.size > length + 4)
        return false;
    for (size_t i = length + 1; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        bits = bits * 10 + (size_t)(text.data[i] - '0');
    }
    *size = bits / 8;
    return bits % 8 == 0 && bits >= 128 && bits <= 512;
}

/* What an item says of itself. It is not authenticated, but KMS binds both
 * texts through the context; the signature algorithm must be the configured
 * one all the same. */
struct opening {
    struct kb_bytes content_algorithm, sign_algorithm;
    size_t content_size, sign_size;
};

static bool read_description(const struct kms_provider *provider, struct opening *opening,
                             struct kb_buffer *blob, const struct kb_materials *materials)
{
    const struct kb_pair *entries = materials->description;
    size_t count = materials->description_count;
    const struct kb_bytes *wrapped = kb_entry_find(entries, count, KB_ENTRY_CONTENT_KEY);
    const struct kb_bytes *content = kb_entry_find(entries, count, KB_ENTRY_CONTENT_ALGORITHM);
    const struct kb_bytes *sign = kb_entry_find(entries, count, KB_ENTRY_KMS_SIGN_ALGORITHM);

    if (!wrapped || !content || !sign ||
        !parse_size(*content, "AES", &opening->content_size) ||
        !parse_size(*sign, provider->base.sign_algorithm->name, &opening->sign_size))
        return false;
    opening->content_algorithm = *content;
    opening->sign_algorithm = *sign;
    return (opening->content_size == 16 || opening->content_size == 24 ||
            opening->content_size == 32) &&
           kb_base64_parse_lenient(blob, *wrapped) && blob->size > 0;
}

static enum kb_status take_opened(struct kms_provider *provider, struct kb_work *work,
                                  struct kb_materials *materials, size_t i,
                                  const struct kb_kms_job *job, const struct opening *opening,
                                  struct kb_error *err)
{
    materials->status = job->status;
    if (job->status != KB_OK) {
        if (kb_status_is_item(job->status))
            return KB_OK;
        if (err)
            *err = job->error;
        return job->status;
    }
    if (!is_our_key(provider, job->answered_key_id) || !job->plain ||
        kb_secret_view(job->plain).size != DATA_KEY_SIZE) {
        materials->status = KB_ERR_AUTH;
        return KB_OK;
    }
    return derive(work, materials, i, kb_secret_view(job->plain), opening->content_size,
                  opening->sign_size, err);
}

static enum kb_status kms_open(struct kb_provider *base, struct kb_work *work,
                               struct kb_materials *materials, size_t n, struct kb_error *err)
{
    struct kms_provider *provider = (struct kms_provider *)base;
    struct opening *openings = kb_arena_array(&work->arena, n, sizeof *openings);
    size_t of_job[KB_TOKEN_BATCH_MAX];
    struct context *contexts;
    struct kb_kms_job *jobs;
    size_t count = 0;
    struct kb_buffer blob = KB_BUFFER_INIT(KB_KMS_CIPHERTEXT_MAX);
    enum kb_status status = new_jobs(work, n, &jobs, &contexts, err);

    if (status != KB_OK || !openings)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    for (size_t i = 0; i < n; i++) {
        struct kb_kms_job *job = &jobs[count];

        kb_buffer_reset(&blob);
        *job = job_of(provider, KB_KMS_DECRYPT);
        if (!read_description(provider, &openings[count], &blob, &materials[i]) ||
            !make_context(&contexts[count], work, &materials[i],
                          openings[count].content_algorithm, openings[count].sign_algorithm)) {
            materials[i].status = KB_ERR_AUTH;
            continue;
        }
        job->in = kb_arena_copy(&work->arena, kb_buffer_view(&blob));
        job->context = contexts[count].pairs;
        job->context_count = contexts[count].count;
        of_job[count++] = i;
        if (!job->in.data)
            status = kb_error_set(err, KB_ERR_MEMORY, "no memory");
    }
    kb_buffer_free(&blob);
    if (status == KB_OK && count)
        status = kb_kms_run(provider->kms, jobs, count, err);
    for (size_t k = 0; status == KB_OK && k < count; k++)
        status = take_opened(provider, work, &materials[of_job[k]], of_job[k], &jobs[k],
                             &openings[k], err);
    for (size_t k = 0; k < count; k++)
        kb_kms_job_free(&jobs[k]);
    return status;
}

/* --- set-up ---------------------------------------------------------------------------- */

static void kms_free(struct kb_provider *base)
{
    struct kms_provider *provider = (struct kms_provider *)base;

    for (size_t i = 0; i < provider->grant_token_count; i++)
        free(provider->grant_tokens[i]);
    free(provider->grant_tokens);
    free(provider->key_id);
}

static const struct kb_provider_ops kms_ops = {kms_make, kms_open, kms_free};

static enum kb_status copy_grant_tokens(struct kms_provider *provider,
                                        const struct kb_kms_provider_options *options,
                                        struct kb_error *err)
{
    provider->grant_tokens = calloc(options->grant_token_count + 1, sizeof(char *));
    for (size_t i = 0; provider->grant_tokens && i < options->grant_token_count; i++) {
        provider->grant_tokens[i] = strdup(options->grant_tokens[i]);
        if (!provider->grant_tokens[i])
            return kb_error_set(err, KB_ERR_MEMORY, "no memory");
        provider->grant_token_count++;
    }
    return provider->grant_tokens ? KB_OK : kb_error_set(err, KB_ERR_MEMORY, "no memory");
}

static enum kb_status set_algorithms(struct kms_provider *provider, const char *wanted,
                                     unsigned bits, struct kb_error *err)
{
    const struct kb_sign_algorithm *sign =
        kb_sign_algorithm_find(kb_bytes_text(wanted ? wanted : "HmacSHA256"));

    if (bits != 128 && bits != 192 && bits != 256)
        return kb_error_set(err, KB_ERR_USAGE, "a content key has 128, 192 or 256 bits, not %u",
                            bits);
    if (!sign || sign->scheme != KB_SIGN_HMAC)
        return kb_error_set(err, KB_ERR_USAGE,
                            "items under KMS are signed with HmacSHA224, 256, 384 or 512, not %s",
                            wanted);
    provider->base.sign_algorithm = sign;
    provider->content_size = bits / 8;
    snprintf(provider->content_algorithm, ALGORITHM_TEXT, "AES/%u", bits);
    snprintf(provider->sign_algorithm, ALGORITHM_TEXT, "%s/%zu", sign->name,
             kb_hash_size(sign->hash) * 8);
    return KB_OK;
}

static enum kb_status add_entries(struct kms_provider *provider, struct kb_error *err)
{
    const struct {
        const char *name;
        const char *value;
    } entries[] = {
        {KB_ENTRY_CONTENT_ALGORITHM, provider->content_algorithm},
        {KB_ENTRY_KMS_SIGN_ALGORITHM, provider->sign_algorithm},
        {KB_ENTRY_WRAP_ALGORITHM, "kms"},
        {KB_ENTRY_KMS_CONTEXT, "*keys*"},
        {KB_ENTRY_SIGN_ALGORITHM, provider->base.sign_algorithm->name},
    };
    enum kb_status status = KB_OK;

    for (size_t i = 0; status == KB_OK && i < sizeof entries / sizeof *entries; i++)
        status = kb_provider_add_entry(&provider->base, entries[i].name, entries[i].value, err);
    return status;
}

enum kb_status kb_provider_kms(struct kb_provider **out,
                               const struct kb_kms_provider_options *options, struct kb_error *err)
{
    struct kb_provider *base;
    struct kms_provider *provider;
    enum kb_status status;

    *out = NULL;
    if (!options->kms || !options->key_id || !*options->key_id)
        return kb_error_set(err, KB_ERR_USAGE, "the KMS provider needs a KMS key");
    status = kb_provider_new(&base, sizeof *provider, &kms_ops, options->description,
                             options->description_count, err);
    if (status != KB_OK)
        return status;
    provider = (struct kms_provider *)base;
    base->opens_first = true;
    base->has_content_key = true;
    provider->kms = options->kms;
    provider->key_id = strdup(options->key_id);
    if (!provider->key_id)
        status = kb_error_set(err, KB_ERR_MEMORY, "no memory");
    if (status == KB_OK)
        status = copy_grant_tokens(provider, options, err);
    if (status == KB_OK)
        status = set_algorithms(provider, options->sign_algorithm,
                                options->content_key_bits ? options->content_key_bits : 256, err);
    if (status == KB_OK)
        status = add_entries(provider, err);
    if (status != KB_OK) {
        kb_provider_release(base);
        return status;
    }
    *out = base;
    return KB_OK;
}
