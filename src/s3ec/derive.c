/* SPDX-License-Identifier: Apache-2.0 */
#include "s3ec/spec.h"

#include "crypto/crypto.h"

const uint8_t s3ec_suite[S3EC_SUITE_SIZE] = {0x00, 0x73};
const uint8_t s3ec_committing_iv[S3EC_IV_GCM] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};

/* The suite is in front of both labels, unlike in the Encryption SDK. */
enum kb_status s3ec_derive(const uint8_t data_key[S3EC_KEY_SIZE],
                           const uint8_t message_id[S3EC_MESSAGE_ID],
                           uint8_t content_key[S3EC_KEY_SIZE], uint8_t commitment[S3EC_COMMITMENT],
                           struct kb_error *err)
{
    static const uint8_t derive[] = "\x00\x73" "DERIVEKEY";
    static const uint8_t commit[] = "\x00\x73" "COMMITKEY";
    struct kb_hkdf_input input = {.key = {data_key, S3EC_KEY_SIZE},
                                  .salt = {message_id, S3EC_MESSAGE_ID},
                                  .info = {derive, sizeof derive - 1}};
    enum kb_status status = kb_hkdf(KB_SHA512, &input, content_key, S3EC_KEY_SIZE, err);

    input.info = (struct kb_bytes){commit, sizeof commit - 1};
    return status == KB_OK ? kb_hkdf(KB_SHA512, &input, commitment, S3EC_COMMITMENT, err) : status;
}
