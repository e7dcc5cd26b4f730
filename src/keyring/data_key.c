/* SPDX-License-Identifier: Apache-2.0
 *
 * One known data key for every message.
 */
#include "keyring/keyring.h"

#include <stdlib.h>
#include <string.h>

struct data_key_keyring {
    struct kb_keyring base;
    struct kb_secret *data_key;
};

static enum kb_status data_key_wrap(struct kb_keyring *keyring, struct kb_wrap_job *jobs, size_t n,
                                    struct kb_error *err)
{
    (void)keyring;
    (void)jobs;
    (void)n;
    return kb_error_set(err, KB_ERR_USAGE, "a data key alone opens messages, it writes none");
}

static enum kb_status data_key_unwrap(struct kb_keyring *keyring, struct kb_unwrap_job *jobs,
                                      size_t n, struct kb_error *err)
{
    struct kb_bytes key = kb_secret_view(((struct data_key_keyring *)keyring)->data_key);

    (void)err;
    for (size_t i = 0; i < n; i++) {
        if (jobs[i].opened || jobs[i].key_size != key.size)
            continue;
        memcpy(jobs[i].data_key, key.data, key.size);
        jobs[i].opened = true;
        jobs[i].opened_by = 0;
    }
    return KB_OK;
}

static void data_key_clear(struct kb_keyring *keyring)
{
    kb_secret_free(((struct data_key_keyring *)keyring)->data_key);
}

static const struct kb_keyring_type data_key_type = {data_key_wrap, data_key_unwrap,
                                                     data_key_clear};

enum kb_status kb_keyring_data_key(struct kb_keyring **out, struct kb_bytes data_key,
                                   struct kb_error *err)
{
    struct data_key_keyring *keyring;
    enum kb_status status;

    *out = NULL;
    if (data_key.size != 16 && data_key.size != 24 && data_key.size != 32)
        return kb_error_set(err, KB_ERR_USAGE, "a data key has 16, 24 or 32 bytes, not %zu",
                            data_key.size);
    keyring = calloc(1, sizeof *keyring);
    if (!keyring)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    status = kb_secret_copy(&keyring->data_key, data_key, err);
    if (status != KB_OK) {
        free(keyring);
        return status;
    }
    keyring->base.type = &data_key_type;
    atomic_init(&keyring->base.references, 1);
    *out = &keyring->base;
    return KB_OK;
}
