/* SPDX-License-Identifier: Apache-2.0
 *
 * What the two raw keyrings have in common: a key in the token, the names it
 * goes by, and the search for the encrypted data keys that have these names.
 */
#ifndef KB_KEYRING_RAW_H
#define KB_KEYRING_RAW_H

#include "base/arena.h"
#include "crypto/asymmetric.h"
#include "keyring/keyring.h"

struct raw_keyring {
    struct kb_keyring base;
    const struct raw_kind *kind;
    struct kb_arena memory; /* of the three below */
    const char *key;        /* in the token */
    struct kb_bytes key_namespace, key_name;
    enum kb_wrap_algorithm padding;   /* RSA */
    struct kb_public_key *public_key; /* RSA */
};

/* An encrypted data key that is about to be opened. */
struct raw_attempt {
    struct kb_unwrap_job *job;
    size_t edk; /* index */
};

struct raw_kind {
    struct kb_keyring_type type;
    /* Whether it may be one of ours, its key provider id being the namespace. */
    bool (*matches)(const struct raw_keyring *raw, const struct kb_unwrap_job *job,
                    const struct kb_edk *edk);
    /* Opens what can be opened of at most KB_TOKEN_BATCH_MAX, each of another
     * job, in one call of the token. */
    enum kb_status (*open)(struct raw_keyring *raw, struct kb_token *token,
                           const struct raw_attempt *attempts, size_t n, struct kb_error *err);
};

extern const struct raw_kind raw_aes_kind, raw_rsa_kind;

/* kb_keyring_type.unwrap and .clear of both. */
KB_MUST_CHECK enum kb_status raw_unwrap(struct kb_keyring *keyring, struct kb_unwrap_job *jobs,
                                        size_t n, struct kb_error *err);
void raw_clear(struct kb_keyring *keyring);

/* Appends a field of an encrypted data key: its length (u16) and the parts. */
void raw_put(struct kb_buffer *out, const struct kb_bytes *parts, size_t n);

void raw_opened(const struct raw_attempt *attempt, const uint8_t *data_key);

#endif
