/* SPDX-License-Identifier: Apache-2.0
 *
 * The inside of a configuration and of an object under way.
 */
#ifndef KB_S3EC_S3EC_H
#define KB_S3EC_S3EC_H

#include "s3ec/header.h"

#include <stdatomic.h>

#include "crypto/asymmetric.h"
#include "crypto/gcm.h"
#include "crypto/aes_stream.h"

struct kb_s3ec {
    atomic_uint references;
    struct kb_keystore *keystore;
    struct kb_s3ec_options options;
    char *key; /* owned */
    enum kb_key_use use;
    bool rsa;
    struct kb_public_key *public_key; /* RSA */
};

enum s3ec_state {
    S3EC_HEADER_ONLY,
    S3EC_SEALING,
    S3EC_READY, /* to be read, as a whole or in part */
    S3EC_OPENING,
    S3EC_RANGE,
    S3EC_ENDED,
};

struct kb_s3ec_object {
    enum s3ec_state state;
    struct s3ec_parsed parsed;
    bool may_range;
    struct kb_secret *content_key; /* until it is known what is read */
    struct kb_gcm *gcm;
    struct kb_aes_stream *stream; /* CBC, and ranges */
    uint64_t done;            /* bytes of the body so far */
    uint64_t size;            /* bytes of the body, or of the range, to read */
    uint8_t tail[KB_S3EC_TAG_SIZE]; /* the tag, or the last block of CBC */
    struct s3ec_written written;
};

/* --- s3ec.c --------------------------------------------------------------------------- */

/* The one text for whatever does not open. */
enum kb_status s3ec_refuse(struct kb_error *err);

/* May this be read at all, by policy and switches? KB_ERR_DENIED. */
KB_MUST_CHECK enum kb_status s3ec_check_read(const struct kb_s3ec *s3ec,
                                             const struct s3ec_parsed *parsed,
                                             struct kb_error *err);

/* Deriving, checking the commitment, and beginning the cipher (encryption.md). With `fresh`
 * the commitment is made. */
KB_MUST_CHECK enum kb_status s3ec_begin(struct kb_s3ec_object *object, struct kb_bytes data_key,
                                        bool fresh, struct kb_error *err);
KB_MUST_CHECK enum kb_status s3ec_begin_gcm(struct kb_s3ec_object *object, bool encrypt,
                                            struct kb_error *err);

/* NULL without memory. */
struct kb_s3ec_object *s3ec_object_new(void);

/* --- wrap.c ----------------------------------------------------------------------------- */

/* Wraps n data keys of S3EC_KEY_SIZE bytes, one behind the other, for objects[i]->parsed,
 * whose `wrap` and `key` are set. */
KB_MUST_CHECK enum kb_status s3ec_wrap(struct kb_s3ec *s3ec, struct kb_s3ec_object **objects,
                                       size_t n, const struct kb_secret *data_keys,
                                       struct kb_error *err);
/* KB_ERR_DENIED for a key that is not of the kind that wrapped. *out is the caller's. */
KB_MUST_CHECK enum kb_status s3ec_unwrap(struct kb_s3ec *s3ec, const struct s3ec_parsed *parsed,
                                         struct kb_secret **out, struct kb_error *err);

#endif
