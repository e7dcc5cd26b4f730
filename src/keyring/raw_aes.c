/* SPDX-License-Identifier: Apache-2.0
 *
 * The raw AES keyring (framework/raw-aes-keyring.md): AES-GCM in the token,
 * which also binds the encryption context.
 */
#include "keyring/raw.h"

#include <stdlib.h>
#include <string.h>

/* Behind the key name, in key provider information: tag length in bits, IV
 * length, IV. */
static const uint8_t lengths[8] = {0, 0, 0, 8 * KB_GCM_TAG_SIZE, 0, 0, 0, KB_GCM_IV_SIZE};

enum {
    TAIL_SIZE = sizeof lengths + KB_GCM_IV_SIZE,
    SEALED_MAX = KB_TOKEN_DATA_KEY_MAX + KB_GCM_TAG_SIZE,
};

/* --- wrapping ---------------------------------------------------------------------- */

static void put_edk(const struct raw_keyring *raw, struct kb_wrap_job *job,
                    const struct kb_gcm_job *sealed)
{
    const struct kb_bytes info[] = {
        raw->key_name, {lengths, sizeof lengths}, {sealed->iv, sizeof sealed->iv}};
    const struct kb_bytes ciphertext = {sealed->out, sealed->size};

    raw_put(job->edks, &raw->key_namespace, 1);
    raw_put(job->edks, info, sizeof info / sizeof *info);
    raw_put(job->edks, &ciphertext, 1);
    job->edk_count++;
}

static enum kb_status seal(struct raw_keyring *raw, struct kb_gcm_job *jobs, size_t n,
                           struct kb_error *err)
{
    struct kb_token *token;
    enum kb_status status = kb_token_lease(&token, raw->base.keystore, err);

    if (status != KB_OK)
        return status;
    status = kb_token_gcm(token, true, raw->key, jobs, n, err);
    kb_token_return(token);
    for (size_t i = 0; status == KB_OK && i < n; i++)
        if (jobs[i].status != KB_OK || jobs[i].size > SEALED_MAX)
            status = kb_error_set(err, KB_ERR_TOKEN, "the token wrapped no data key");
    return status;
}

static enum kb_status raw_aes_wrap(struct kb_keyring *keyring, struct kb_wrap_job *jobs, size_t n,
                                   struct kb_error *err)
{
    struct raw_keyring *raw = (struct raw_keyring *)keyring;
    struct kb_gcm_job *sealed = calloc(n, sizeof *sealed);
    uint8_t *room = calloc(n, SEALED_MAX);
    enum kb_status status = KB_OK;

    if (!sealed || !room)
        status = kb_error_set(err, KB_ERR_MEMORY, "no memory");
    for (size_t i = 0; status == KB_OK && i < n; i++)
        sealed[i] = (struct kb_gcm_job){.aad = jobs[i].context,
                                        .in = jobs[i].data_key,
                                        .out = room + i * SEALED_MAX,
                                        .room = SEALED_MAX};
    if (status == KB_OK)
        status = seal(raw, sealed, n, err);
    for (size_t i = 0; status == KB_OK && i < n; i++) {
        put_edk(raw, &jobs[i], &sealed[i]);
        status = kb_buffer_check(jobs[i].edks, err);
    }
    free(sealed);
    free(room);
    return status;
}

/* --- unwrapping ---------------------------------------------------------------------- */

static bool raw_aes_matches(const struct raw_keyring *raw, const struct kb_unwrap_job *job,
                            const struct kb_edk *edk)
{
    size_t name = raw->key_name.size;

    return edk->info.size == name + TAIL_SIZE &&
           memcmp(edk->info.data, raw->key_name.data, name) == 0 &&
           memcmp(edk->info.data + name, lengths, sizeof lengths) == 0 &&
           edk->ciphertext.size == job->key_size + KB_GCM_TAG_SIZE;
}

static enum kb_status raw_aes_open(struct raw_keyring *raw, struct kb_token *token,
                                   const struct raw_attempt *attempts, size_t n,
                                   struct kb_error *err)
{
    struct kb_gcm_job jobs[KB_TOKEN_BATCH_MAX];
    struct kb_secret *plain;
    enum kb_status status = kb_secret_new(&plain, n * KB_TOKEN_DATA_KEY_MAX, err);

    if (status != KB_OK)
        return status;
    for (size_t i = 0; i < n; i++) {
        const struct kb_edk *edk = &attempts[i].job->edks[attempts[i].edk];

        jobs[i] = (struct kb_gcm_job){.aad = attempts[i].job->context,
                                      .in = edk->ciphertext,
                                      .out = kb_secret_data(plain) + i * KB_TOKEN_DATA_KEY_MAX,
                                      .room = KB_TOKEN_DATA_KEY_MAX};
        memcpy(jobs[i].iv, edk->info.data + edk->info.size - KB_GCM_IV_SIZE, KB_GCM_IV_SIZE);
    }
    status = kb_token_gcm(token, false, raw->key, jobs, n, err);
    for (size_t i = 0; status == KB_OK && i < n; i++)
        if (jobs[i].status == KB_OK && jobs[i].size == attempts[i].job->key_size)
            raw_opened(&attempts[i], jobs[i].out);
    kb_secret_free(plain);
    return status;
}

const struct raw_kind raw_aes_kind = {
    {raw_aes_wrap, raw_unwrap, raw_clear}, raw_aes_matches, raw_aes_open};
