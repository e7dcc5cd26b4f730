/* SPDX-License-Identifier: Apache-2.0
 *
 * Constants of the Amazon S3 Encryption Client's objects, with the section of
 * its specification (github.com/awslabs/aws-encryption-sdk-specification,
 * s3-encryption) that gives them.
 */
#ifndef KB_S3EC_SPEC_H
#define KB_S3EC_SPEC_H

#include <keybridge/s3ec.h>

enum {
    /* encryption.md: AES-256 in all versions */
    S3EC_KEY_SIZE = 32,
    S3EC_IV_GCM = 12,
    S3EC_IV_CBC = 16,
    /* key-derivation.md */
    S3EC_MESSAGE_ID = 28,
    S3EC_COMMITMENT = 28,
    S3EC_SUITE_SIZE = 2,
    /* key-commitment.md: a V1 key of more bytes was wrapped by RSA, else by AES */
    S3EC_V1_AES_MAX = 48,

    S3EC_INSTRUCTION_MAX = 64 * 1024, /* bytes of an instruction file; ours */
    S3EC_METADATA_BYTES_MAX = 2048,   /* of all user metadata: a limit of S3 itself */
};

/* data-format/content-metadata.md: the keys of the metadata. */
#define S3EC_FIELDS(FIELD)                                                                         \
    FIELD(KEY_V1, "x-amz-key")                                                                     \
    FIELD(KEY_V2, "x-amz-key-v2")                                                                  \
    FIELD(IV, "x-amz-iv")                                                                          \
    FIELD(CONTENT, "x-amz-cek-alg")                                                                \
    FIELD(WRAP, "x-amz-wrap-alg")                                                                  \
    FIELD(TAG_LENGTH, "x-amz-tag-len")                                                             \
    FIELD(DESCRIPTION, "x-amz-matdesc")                                                            \
    FIELD(LENGTH, "x-amz-unencrypted-content-length")                                              \
    FIELD(KEY_V3, "x-amz-3")                                                                       \
    FIELD(CONTENT_V3, "x-amz-c")                                                                   \
    FIELD(COMMITMENT_V3, "x-amz-d")                                                                \
    FIELD(MESSAGE_ID_V3, "x-amz-i")                                                                \
    FIELD(WRAP_V3, "x-amz-w")                                                                      \
    FIELD(DESCRIPTION_V3, "x-amz-m")                                                               \
    FIELD(CONTEXT_V3, "x-amz-t")

enum s3ec_field {
#define S3EC_FIELD_NAME(which, name) S3EC_##which,
    S3EC_FIELDS(S3EC_FIELD_NAME)
#undef S3EC_FIELD_NAME
        S3EC_FIELD_COUNT
};

enum s3ec_content { S3EC_GCM, S3EC_CBC, S3EC_COMMITTING };

/* "AES/GCM/NoPadding", "AES/CBC/PKCS5Padding", "115" */
const char *s3ec_content_name(enum s3ec_content content);

/* data-format/content-metadata.md#algorithm-suite-and-message-format-version-compatibility */
enum s3ec_wrap {
    S3EC_WRAP_AES_GCM,
    S3EC_WRAP_RSA_OAEP_SHA1,
    S3EC_WRAP_KMS_CONTEXT,
    S3EC_WRAP_AES_KEY_WRAP, /* this one and all below: legacy */
    S3EC_WRAP_AES_ECB,
    S3EC_WRAP_RSA,
    S3EC_WRAP_RSA_OAEP_SHA256,
    S3EC_WRAP_KMS,
    S3EC_WRAP_COUNT
};
const char *s3ec_wrap_name(enum s3ec_wrap wrap);
static inline bool s3ec_wrap_is_legacy(enum s3ec_wrap wrap)
{
    return wrap >= S3EC_WRAP_AES_KEY_WRAP;
}

/* key-derivation.md: the suite, which is additional authenticated data of a
 * committing body as well, and the IV of such a body. */
extern const uint8_t s3ec_suite[S3EC_SUITE_SIZE];
extern const uint8_t s3ec_committing_iv[S3EC_IV_GCM];

KB_MUST_CHECK enum kb_status s3ec_derive(const uint8_t data_key[S3EC_KEY_SIZE],
                                         const uint8_t message_id[S3EC_MESSAGE_ID],
                                         uint8_t content_key[S3EC_KEY_SIZE],
                                         uint8_t commitment[S3EC_COMMITMENT],
                                         struct kb_error *err);

#endif
