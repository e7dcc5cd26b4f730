/* SPDX-License-Identifier: Apache-2.0
 *
 * What every keyring does: wrap the data keys of messages for its recipients,
 * and open one of a message's encrypted data keys. Both take many messages at
 * once, so that a token is asked once for all of them.
 */
#ifndef KB_KEYRING_KEYRING_H
#define KB_KEYRING_KEYRING_H

#include <keybridge/esdk.h>
#include <stdatomic.h>

/* One message that is written. */
struct kb_wrap_job {
    struct kb_bytes data_key; /* 16, 24 or 32 bytes */
    struct kb_bytes context;  /* the whole encryption context, serialized */
    struct kb_buffer *edks;   /* encrypted data keys as they stand in a header (u16 lengths), behind
                                 those that are there */
    size_t edk_count;         /* of them */
};

/* One message that is read. */
struct kb_unwrap_job {
    const struct kb_edk *edks;
    size_t edk_count;
    struct kb_bytes context; /* as above */
    size_t key_size;         /* bytes of data key its suite wants: 16, 24 or 32 */
    uint8_t *data_key;       /* room for KB_TOKEN_DATA_KEY_MAX bytes, of a secret */
    bool opened;             /* set once data_key is; a job that is open is passed over */
    size_t opened_by;        /* index of the encrypted data key */
    /* Whether the message is under this data key. RSAES-PKCS1-v1_5 makes a random key of what it
     * cannot open, so it asks, and goes on to the next encrypted data key. May be NULL: the first
     * one is believed. */
    bool (*fits)(void *ctx, struct kb_bytes data_key);
    void *ctx;
};

struct kb_keyring_type {
    /* Any failure is that of the whole call. */
    enum kb_status (*wrap)(struct kb_keyring *keyring, struct kb_wrap_job *jobs, size_t n,
                           struct kb_error *err);
    /* A job none of whose keys opens is no failure: it stays unopened. */
    enum kb_status (*unwrap)(struct kb_keyring *keyring, struct kb_unwrap_job *jobs, size_t n,
                             struct kb_error *err);
    /* What is behind the struct; NULL: nothing. */
    void (*clear)(struct kb_keyring *keyring);
};

/* The start of every keyring. */
struct kb_keyring {
    const struct kb_keyring_type *type;
    atomic_uint references;
    struct kb_keystore *keystore;  /* NULL for those without a token: data keys are then made from
                                      this process's random source */
};

KB_MUST_CHECK enum kb_status kb_keyring_wrap(struct kb_keyring *keyring, struct kb_wrap_job *jobs,
                                             size_t n, struct kb_error *err);
KB_MUST_CHECK enum kb_status kb_keyring_unwrap(struct kb_keyring *keyring,
                                               struct kb_unwrap_job *jobs, size_t n,
                                               struct kb_error *err);

/* Fills `out` (at most 64 KiB) with new data keys, from the token's random
 * source where there is a token. */
KB_MUST_CHECK enum kb_status kb_keyring_random(struct kb_keyring *keyring, struct kb_secret *out,
                                               struct kb_error *err);

#endif
