/* SPDX-License-Identifier: Apache-2.0
 *
 * The raw RSA keyring (framework/raw-rsa-keyring.md): wraps with the public key
 * outside the token, unwraps inside. It does not bind the encryption context;
 * the header's tag does.
 */
#include "keyring/raw.h"

#include "crypto/crypto.h"

#include <stdlib.h>
#include <string.h>

static enum kb_status raw_rsa_wrap(struct kb_keyring *keyring, struct kb_wrap_job *jobs, size_t n,
                                   struct kb_error *err)
{
    struct raw_keyring *raw = (struct raw_keyring *)keyring;
    uint8_t wrapped[KB_TOKEN_WRAPPED_MAX];
    enum kb_status status = KB_OK;

    for (size_t i = 0; status == KB_OK && i < n; i++) {
        struct kb_bytes ciphertext = {wrapped, 0};

        status = kb_public_key_wrap(raw->public_key, raw->padding, wrapped, &ciphertext.size,
                                    jobs[i].data_key, err);
        if (status != KB_OK)
            break;
        raw_put(jobs[i].edks, &raw->key_namespace, 1);
        raw_put(jobs[i].edks, &raw->key_name, 1);
        raw_put(jobs[i].edks, &ciphertext, 1);
        jobs[i].edk_count++;
        status = kb_buffer_check(jobs[i].edks, err);
    }
    return status;
}

static bool raw_rsa_matches(const struct raw_keyring *raw, const struct kb_unwrap_job *job,
                            const struct kb_edk *edk)
{
    (void)job;
    return kb_bytes_equal(edk->info, raw->key_name) && edk->ciphertext.size > 0 &&
           edk->ciphertext.size <= KB_TOKEN_WRAPPED_MAX;
}

/* The token gives a random key for a padding of PKCS#1 v1.5 that is wrong; a
 * key of another length than the suite's becomes one too. From here on both
 * are as any wrong key, so that a stranger who sees what becomes of a message
 * learns nothing of the padding. */
static enum kb_status take_pkcs1(const struct raw_attempt *attempt, const struct kb_data_key *key,
                                 const uint8_t *plain, struct kb_error *err)
{
    struct kb_unwrap_job *job = attempt->job;
    uint8_t random[KB_TOKEN_DATA_KEY_MAX];
    enum kb_status status = kb_crypto_random(random, sizeof random, err);
    const uint8_t *taken = key->size == job->key_size ? plain : random;

    if (status == KB_OK &&
        (!job->fits || job->fits(job->ctx, (struct kb_bytes){taken, job->key_size})))
        raw_opened(attempt, taken);
    kb_wipe(random, sizeof random);
    return status;
}

static enum kb_status take_key(const struct raw_keyring *raw, const struct raw_attempt *attempt,
                               const struct kb_data_key *key, const uint8_t *plain,
                               struct kb_error *err)
{
    if (key->status != KB_OK)
        return KB_OK;
    if (raw->padding == KB_WRAP_PKCS1)
        return take_pkcs1(attempt, key, plain, err);
    if (key->size == attempt->job->key_size)
        raw_opened(attempt, plain);
    return KB_OK;
}

static enum kb_status raw_rsa_open(struct raw_keyring *raw, struct kb_token *token,
                                   const struct raw_attempt *attempts, size_t n,
                                   struct kb_error *err)
{
    struct kb_data_key *keys = calloc(n, sizeof *keys);
    struct kb_secret *plain = NULL;
    enum kb_status status = kb_secret_new(&plain, n * KB_TOKEN_DATA_KEY_MAX, err);

    if (status == KB_OK && !keys)
        status = kb_error_set(err, KB_ERR_MEMORY, "no memory");
    for (size_t i = 0; status == KB_OK && i < n; i++) {
        struct kb_bytes ciphertext = attempts[i].job->edks[attempts[i].edk].ciphertext;

        keys[i].algorithm = raw->padding;
        keys[i].wrapped_size = (uint16_t)ciphertext.size;
        memcpy(keys[i].wrapped, ciphertext.data, ciphertext.size);
    }
    if (status == KB_OK)
        status = kb_token_unwrap_keys(token, raw->key, keys, n, plain, err);
    for (size_t i = 0; status == KB_OK && i < n; i++)
        status = take_key(raw, &attempts[i], &keys[i],
                          kb_secret_data(plain) + i * KB_TOKEN_DATA_KEY_MAX, err);
    free(keys);
    kb_secret_free(plain);
    return status;
}

const struct raw_kind raw_rsa_kind = {
    {raw_rsa_wrap, raw_unwrap, raw_clear}, raw_rsa_matches, raw_rsa_open};
