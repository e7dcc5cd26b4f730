/* SPDX-License-Identifier: Apache-2.0
 *
 * A batch of data keys under way: what AES and RSA wrapping keys have in
 * common.
 */
#ifndef KB_KEYSTORE_DATAKEY_H
#define KB_KEYSTORE_DATAKEY_H

#include "keystore/helper.h"

struct work {
    struct helper *helper;
    struct found_key *key; /* the wrapping key */
    const char *name;
    bool rsa;
    bool legacy; /* an AES key that may only unwrap */
    bool release;
    CK_MECHANISM wrap;          /* AES */
    struct public_numbers numbers; /* RSA; read when needed */
    bool well;                  /* the token answered a test after a doubtful failure */
    bool checked;               /* a kept key was seen to be sensitive and not extractable */
    struct template unwrapped;  /* of keys that come out of C_UnwrapKey */
    CK_ULONG length;            /* its last row, CKA_VALUE_LEN */
    uint32_t kept[KB_TOKEN_BATCH_MAX]; /* numbers made by this call */
    uint32_t kept_count;
};

/* --- error.c ------------------------------------------------------------------------ */

enum kb_status work_fail(struct work *work, struct kb_error *err, CK_RV rv, const char *call,
                         enum kb_wrap_algorithm algorithm);

/* --- rsa.c -------------------------------------------------------------------------- */

/* Wraps `plain` outside, by the public key. */
KB_MUST_CHECK enum kb_status rsa_wrap(struct work *work, enum kb_wrap_algorithm algorithm,
                                      const uint8_t *plain, struct kb_data_key *out,
                                      struct kb_error *err);
/* Wraps a data key of the token, which stays there. */
KB_MUST_CHECK enum kb_status rsa_wrap_inside(struct work *work, enum kb_wrap_algorithm algorithm,
                                             CK_OBJECT_HANDLE object, struct kb_data_key *out,
                                             struct kb_error *err);
/* Both: KB_ERR_AUTH concerns this item only, other errors the call. */
KB_MUST_CHECK enum kb_status rsa_unwrap(struct work *work, const struct kb_request_item *item,
                                        struct kb_data_key *out, uint8_t *plain,
                                        struct kb_error *err);
KB_MUST_CHECK enum kb_status rsa_unwrap_inside(struct work *work,
                                               enum kb_wrap_algorithm algorithm,
                                               struct kb_bytes wrapped, struct kb_data_key *out,
                                               CK_OBJECT_HANDLE *object, struct kb_error *err);

#endif
