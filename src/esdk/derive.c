/* SPDX-License-Identifier: Apache-2.0 */
#include "esdk/spec.h"

#include <string.h>

#include "crypto/crypto.h"

/* HKDF once for each key: one extraction could serve both, and would save a
 * microsecond a message. */
enum kb_status esdk_derive(const struct esdk_suite *suite, struct kb_bytes data_key,
                           struct kb_bytes message_id, uint8_t content_key[32],
                           uint8_t commit_key[ESDK_COMMIT_KEY], struct kb_error *err)
{
    const struct kb_bytes label = kb_bytes_text("DERIVEKEY");
    struct kb_hkdf_input input = {.key = data_key};
    uint8_t info[2 + ESDK_MESSAGE_ID_V1] = {(uint8_t)(suite->id >> 8), (uint8_t)suite->id};
    enum kb_status status;

    if (data_key.size != suite->key_size || message_id.size != esdk_message_id_size(suite))
        return kb_error_set(err, KB_ERR_USAGE, "suite 0x%04x takes a data key of %u bytes, not %zu",
                            suite->id, suite->key_size, data_key.size);
    if (!suite->kdf) {
        memcpy(content_key, data_key.data, data_key.size);
        return KB_OK;
    }
    if (!suite->committing) {
        memcpy(info + 2, message_id.data, message_id.size);
        input.info = (struct kb_bytes){info, sizeof info};
        return kb_hkdf(suite->kdf_hash, &input, content_key, suite->key_size, err);
    }
    input.salt = message_id;
    memcpy(info + 2, label.data, label.size);
    input.info = (struct kb_bytes){info, 2 + label.size};
    status = kb_hkdf(suite->kdf_hash, &input, content_key, suite->key_size, err);
    if (status != KB_OK)
        return status;
    input.info = kb_bytes_text("COMMITKEY"); /* without the suite */
    return kb_hkdf(suite->kdf_hash, &input, commit_key, ESDK_COMMIT_KEY, err);
}
