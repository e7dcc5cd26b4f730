/* SPDX-License-Identifier: Apache-2.0
 *
 * Data keys under the key in the token (encryption.md of each keyring).
 */
#include "s3ec/s3ec.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/crypto.h"

enum { SEALED_SIZE = S3EC_KEY_SIZE + KB_GCM_TAG_SIZE };

/* --- wrapping ------------------------------------------------------------------------------- */

static struct kb_bytes data_key_at(const struct kb_secret *data_keys, size_t i)
{
    return (struct kb_bytes){kb_secret_view(data_keys).data + i * S3EC_KEY_SIZE, S3EC_KEY_SIZE};
}

/* The content algorithm is bound to the key, so that no version passes for another. */
static struct kb_bytes bound_name(const struct s3ec_parsed *parsed)
{
    return kb_bytes_text(s3ec_content_name(parsed->content));
}

static enum kb_status wrap_aes(struct kb_s3ec *s3ec, struct kb_s3ec_object **objects, size_t n,
                               const struct kb_secret *data_keys, struct kb_error *err)
{
    struct kb_gcm_job jobs[KB_TOKEN_BATCH_MAX];
    struct kb_token *token;
    enum kb_status status = kb_token_lease(&token, s3ec->keystore, err);

    if (status != KB_OK)
        return status;
    for (size_t i = 0; i < n; i++)
        jobs[i] = (struct kb_gcm_job){.aad = bound_name(&objects[i]->parsed),
                                      .in = data_key_at(data_keys, i),
                                      .out = objects[i]->parsed.key.data + KB_GCM_IV_SIZE,
                                      .room = SEALED_SIZE};
    status = kb_token_gcm(token, true, s3ec->key, jobs, n, err);
    kb_token_return(token);
    for (size_t i = 0; status == KB_OK && i < n; i++) {
        struct s3ec_wrapped *key = &objects[i]->parsed.key;

        if (jobs[i].status != KB_OK || jobs[i].size != SEALED_SIZE)
            return kb_error_set(err, KB_ERR_TOKEN, "the token wrapped no data key");
        memcpy(key->data, jobs[i].iv, KB_GCM_IV_SIZE);
        key->size = KB_GCM_IV_SIZE + SEALED_SIZE;
    }
    return status;
}

static enum kb_wrap_algorithm oaep_of(const struct s3ec_parsed *parsed)
{
    return parsed->content == S3EC_COMMITTING ? KB_WRAP_S3_115 : KB_WRAP_S3_GCM;
}

enum kb_status s3ec_wrap(struct kb_s3ec *s3ec, struct kb_s3ec_object **objects, size_t n,
                         const struct kb_secret *data_keys, struct kb_error *err)
{
    enum kb_status status = KB_OK;

    if (s3ec->use != KB_KEY_ENVELOPE && !s3ec->rsa) {
        kb_error_set(err, KB_ERR_DENIED, "key '%.80s' cannot write objects of --encryption client",
                     s3ec->key);
        kb_error_hint(err, "AES keys that write are made with --use envelope");
        return KB_ERR_DENIED;
    }
    for (size_t i = 0; i < n; i++)
        objects[i]->parsed.wrap = s3ec->rsa ? S3EC_WRAP_RSA_OAEP_SHA1 : S3EC_WRAP_AES_GCM;
    if (!s3ec->rsa)
        return wrap_aes(s3ec, objects, n, data_keys, err);
    for (size_t i = 0; status == KB_OK && i < n; i++)
        status = kb_public_key_wrap(s3ec->public_key, oaep_of(&objects[i]->parsed),
                                    objects[i]->parsed.key.data, &objects[i]->parsed.key.size,
                                    data_key_at(data_keys, i), err);
    return status;
}

/* --- unwrapping ------------------------------------------------------------------------------- */

static enum kb_status unwrap_gcm(struct kb_s3ec *s3ec, struct kb_token *token,
                                 const struct s3ec_parsed *parsed, uint8_t *out,
                                 struct kb_error *err)
{
    struct kb_gcm_job job = {.aad = bound_name(parsed), .out = out, .room = S3EC_KEY_SIZE};
    enum kb_status status;

    if (parsed->key.size != KB_GCM_IV_SIZE + SEALED_SIZE)
        return KB_ERR_AUTH;
    memcpy(job.iv, parsed->key.data, KB_GCM_IV_SIZE);
    job.in = (struct kb_bytes){parsed->key.data + KB_GCM_IV_SIZE, SEALED_SIZE};
    status = kb_token_gcm(token, false, s3ec->key, &job, 1, err);
    if (status != KB_OK)
        return status;
    return job.status == KB_OK && job.size == S3EC_KEY_SIZE ? KB_OK : KB_ERR_AUTH;
}

/* The token gives a random key for a padding of PKCS#1 v1.5 that is wrong; a
 * key of another length becomes one too. From here on both are as any wrong
 * key: what the body's padding then tells says nothing of the key's. */
static enum kb_status take_pkcs1(const struct kb_data_key *key, uint8_t *out,
                                 struct kb_error *err)
{
    return key->size == S3EC_KEY_SIZE ? KB_OK : kb_crypto_random(out, S3EC_KEY_SIZE, err);
}

static enum kb_status unwrap_by(struct kb_s3ec *s3ec, struct kb_token *token,
                                const struct s3ec_parsed *parsed, struct kb_secret *out,
                                struct kb_error *err)
{
    struct kb_data_key key = {.wrapped_size = (uint16_t)parsed->key.size};
    enum kb_status status;

    key.algorithm = parsed->wrap == S3EC_WRAP_RSA_OAEP_SHA1     ? oaep_of(parsed)
                    : parsed->wrap == S3EC_WRAP_RSA             ? KB_WRAP_PKCS1
                    : parsed->wrap == S3EC_WRAP_RSA_OAEP_SHA256 ? KB_WRAP_OAEP_SHA256
                    : parsed->wrap == S3EC_WRAP_AES_ECB         ? KB_WRAP_AES_ECB
                                                                : KB_WRAP_AES;
    memcpy(key.wrapped, parsed->key.data, parsed->key.size);
    status = kb_token_unwrap_keys(token, s3ec->key, &key, 1, out, err);
    if (status != KB_OK)
        return status;
    if (key.status == KB_OK && key.algorithm == KB_WRAP_PKCS1)
        return take_pkcs1(&key, kb_secret_data(out), err);
    return key.status == KB_OK && key.size == S3EC_KEY_SIZE ? KB_OK : KB_ERR_AUTH;
}

/* The use of key that opens what was wrapped so, for the hint; NULL: this one does. */
static const char *wanted_key(const struct kb_s3ec *s3ec, enum s3ec_wrap wrap)
{
    switch (wrap) {
    case S3EC_WRAP_AES_GCM:
        return s3ec->use == KB_KEY_ENVELOPE ? NULL : "it takes an AES key of use envelope";
    case S3EC_WRAP_AES_KEY_WRAP:
        return s3ec->use == KB_KEY_LEGACY || (s3ec->use == KB_KEY_WRAP && !s3ec->rsa)
                   ? NULL
                   : "it takes an AES key of use wrap or legacy";
    case S3EC_WRAP_AES_ECB:
        return s3ec->use == KB_KEY_LEGACY ? NULL : "it takes an AES key of use legacy";
    case S3EC_WRAP_KMS:
    case S3EC_WRAP_KMS_CONTEXT:
        return "it takes a key in AWS KMS, by which keybridge reads no objects";
    default:
        return s3ec->rsa ? NULL : "it takes an RSA key of use wrap";
    }
}

enum kb_status s3ec_unwrap(struct kb_s3ec *s3ec, const struct s3ec_parsed *parsed,
                           struct kb_secret **out, struct kb_error *err)
{
    const char *wanted = wanted_key(s3ec, parsed->wrap);
    struct kb_token *token;
    enum kb_status status;

    *out = NULL;
    if (wanted) {
        kb_error_set(err, KB_ERR_DENIED, "key '%.80s' does not unwrap by %s", s3ec->key,
                     s3ec_wrap_name(parsed->wrap));
        kb_error_hint(err, "%s", wanted);
        return KB_ERR_DENIED;
    }
    status = kb_secret_new(out, KB_TOKEN_DATA_KEY_MAX, err);
    if (status == KB_OK)
        status = kb_token_lease(&token, s3ec->keystore, err);
    if (status == KB_OK) {
        status = parsed->wrap == S3EC_WRAP_AES_GCM
                     ? unwrap_gcm(s3ec, token, parsed, kb_secret_data(*out), err)
                     : unwrap_by(s3ec, token, parsed, *out, err);
        kb_token_return(token);
    }
    if (status == KB_OK)
        return KB_OK;
    kb_secret_free(*out);
    *out = NULL;
    return status == KB_ERR_AUTH ? s3ec_refuse(err) : status;
}
