/* SPDX-License-Identifier: Apache-2.0 */
#include "keyring/keyring.h"

#include "crypto/crypto.h"

#include <stdlib.h>

enum kb_status kb_keyring_wrap(struct kb_keyring *keyring, struct kb_wrap_job *jobs, size_t n,
                               struct kb_error *err)
{
    return keyring->type->wrap(keyring, jobs, n, err);
}

enum kb_status kb_keyring_unwrap(struct kb_keyring *keyring, struct kb_unwrap_job *jobs, size_t n,
                                 struct kb_error *err)
{
    return keyring->type->unwrap(keyring, jobs, n, err);
}

enum kb_status kb_keyring_random(struct kb_keyring *keyring, struct kb_secret *out,
                                 struct kb_error *err)
{
    struct kb_token *token;
    enum kb_status status;

    if (!keyring->keystore)
        return kb_crypto_random(kb_secret_data(out), kb_secret_view(out).size, err);
    status = kb_token_lease(&token, keyring->keystore, err);
    if (status != KB_OK)
        return status;
    status = kb_token_random(token, out, err);
    kb_token_return(token);
    return status;
}

struct kb_keyring *kb_keyring_retain(struct kb_keyring *keyring)
{
    atomic_fetch_add(&keyring->references, 1);
    return keyring;
}

void kb_keyring_release(struct kb_keyring *keyring)
{
    if (!keyring || atomic_fetch_sub(&keyring->references, 1) != 1)
        return;
    if (keyring->type->clear)
        keyring->type->clear(keyring);
    free(keyring);
}
