/* SPDX-License-Identifier: Apache-2.0
 *
 * The file that carries a vault's keys and inventory elsewhere: lines of JSON, the
 * first of which says what it is, and the last what is before it adds up to.
 *
 *   {"keybridge-vault-export":1,"vault":…,"algorithm":"AES-KW" or "RSA-OAEP-SHA256"}
 *   {"key":{"id":…,"fingerprint":…,"purpose":…,"state":…,…,"wrapped":base64}}
 *   {"object":{"endpoint":…,"bucket":…,"object-key":…,…}}
 *   {"end":{"keys":n,"objects":n,"mac":hex}} or, under a public key alone, "sha256"
 */
#ifndef KB_KEYSTORE_VAULT_MOVE_H
#define KB_KEYSTORE_VAULT_MOVE_H

#include "crypto/digest.h"
#include "keystore/vault_rows.h"

/* Keys that are on their way from one wrapping to another. */
struct vault_moving {
    struct kb_vault *vault;
    struct kb_digest *digest; /* of all lines so far */
    uint64_t keys, objects;   /* lines so far */
    size_t n;
    struct kb_vault_key key[KB_TOKEN_BATCH_MAX]; /* scopes owned */
    struct kb_data_key wrapped[KB_TOKEN_BATCH_MAX];
};

KB_MUST_CHECK enum kb_status vault_moving_new(struct vault_moving **out, struct kb_vault *vault,
                                              struct kb_error *err);
void vault_moving_free(struct vault_moving *moving);

/* moving->wrapped, from under one key of the token to under another; each must be the
 * key that its fingerprint says. */
KB_MUST_CHECK enum kb_status vault_moving_rewrap(struct vault_moving *moving, const char *from,
                                                 const char *to, enum kb_wrap_algorithm algorithm,
                                                 struct kb_error *err);
/* Drops the keys that are in it. */
void vault_moving_empty(struct vault_moving *moving);

/* Hexadecimal: the SHA-256 of all lines, or the MAC of that. */
KB_MUST_CHECK enum kb_status vault_moving_end(struct vault_moving *moving, bool mac,
                                              char out[2 * VAULT_MAC_SIZE + 1],
                                              struct kb_error *err);

/* How a key of the token wraps there: by AES key wrap or RSA-OAEP. */
KB_MUST_CHECK enum kb_status vault_moving_algorithm(struct kb_vault *vault, const char *name,
                                                    enum kb_wrap_algorithm *out,
                                                    bool *public_only, struct kb_error *err);
/* "AES-KW", "RSA-OAEP-SHA256" */
const char *vault_algorithm_format(enum kb_wrap_algorithm algorithm);

#endif
