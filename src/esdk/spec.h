/* SPDX-License-Identifier: Apache-2.0
 *
 * Constants of the AWS Encryption SDK message format, with the section of the
 * specification (github.com/awslabs/aws-encryption-sdk-specification) that
 * gives them.
 */
#ifndef KB_ESDK_SPEC_H
#define KB_ESDK_SPEC_H

#include <keybridge/esdk.h>

enum {
    /* data-format/message-header.md */
    ESDK_TYPE = 0x80, /* customer authenticated encrypted data; version 1 only */
    ESDK_CONTENT_UNFRAMED = 1,
    ESDK_CONTENT_FRAMED = 2,
    ESDK_MESSAGE_ID_V1 = 16,
    ESDK_MESSAGE_ID_V2 = 32,
    ESDK_COMMIT_KEY = 32,
    ESDK_CONTEXT_MAX = 65535, /* bytes of an encryption context */
    ESDK_HEADER_MAX = 64 << 20, /* bytes of a header we read; the format allows 12 GB */

    /* data-format/message-body.md */
    ESDK_FRAME_OVERHEAD = 4 + KB_GCM_IV_SIZE + KB_GCM_TAG_SIZE,
    ESDK_FINAL_OVERHEAD = 4 + 4 + KB_GCM_IV_SIZE + 4 + KB_GCM_TAG_SIZE,
    ESDK_UNFRAMED_OVERHEAD = KB_GCM_IV_SIZE + 8 + KB_GCM_TAG_SIZE,
    ESDK_AAD_MAX = ESDK_MESSAGE_ID_V2 + 64 + 4 + 8,
};

#define ESDK_FINAL_FRAME UINT32_C(0xFFFFFFFF)
#define ESDK_SEQUENCE_MAX UINT32_C(0xFFFFFFFF)
#define ESDK_UNFRAMED_MAX ((UINT64_C(1) << 36) - 32)
#define ESDK_PUBLIC_KEY_NAME "aws-crypto-public-key"
#define ESDK_RESERVED_PREFIX "aws-crypto-"

/* framework/algorithm-suites.md. All are AES-GCM; a data key is as long as the
 * content key. */
struct esdk_suite {
    uint16_t id;
    uint8_t version;  /* of the message format */
    uint8_t key_size; /* bytes */
    bool kdf;         /* HKDF; else the data key is the content key */
    enum kb_hash kdf_hash;
    bool committing;
    bool is_signed;
    enum kb_hash sign_hash; /* and with it the curve */
    const char *name;       /* for people */
};

/* NULL: there is none of that id. */
const struct esdk_suite *esdk_suite_find(uint16_t id);

/* Bytes of the ids of messages with that suite. */
size_t esdk_message_id_size(const struct esdk_suite *suite);

/* Content key, and commit key of committing suites (else untouched), of a data
 * key: transform of framework/algorithm-suites.md#key-derivation. KB_ERR_USAGE
 * for a data key or message id of a wrong size. */
KB_MUST_CHECK enum kb_status esdk_derive(const struct esdk_suite *suite, struct kb_bytes data_key,
                                         struct kb_bytes message_id, uint8_t content_key[32],
                                         uint8_t commit_key[ESDK_COMMIT_KEY],
                                         struct kb_error *err);

#endif
