/* SPDX-License-Identifier: Apache-2.0
 *
 * The algorithm suites (framework/algorithm-suites.md#supported-algorithm-suites).
 */
#include "esdk/spec.h"

#include <string.h>

#include "base/text.h"

static const struct esdk_suite suites[] = {
    {0x0014, 1, 16, .name = "AES-128-GCM, no key derivation"},
    {0x0046, 1, 24, .name = "AES-192-GCM, no key derivation"},
    {0x0078, 1, 32, .name = "AES-256-GCM, no key derivation"},
    {0x0114, 1, 16, .kdf = true, .kdf_hash = KB_SHA256, .name = "AES-128-GCM, HKDF-SHA-256"},
    {0x0146, 1, 24, .kdf = true, .kdf_hash = KB_SHA256, .name = "AES-192-GCM, HKDF-SHA-256"},
    {0x0178, 1, 32, .kdf = true, .kdf_hash = KB_SHA256, .name = "AES-256-GCM, HKDF-SHA-256"},
    {0x0214, 1, 16, .kdf = true, .kdf_hash = KB_SHA256, .is_signed = true, .sign_hash = KB_SHA256,
     .name = "AES-128-GCM, HKDF-SHA-256, ECDSA P-256"},
    {0x0346, 1, 24, .kdf = true, .kdf_hash = KB_SHA384, .is_signed = true, .sign_hash = KB_SHA384,
     .name = "AES-192-GCM, HKDF-SHA-384, ECDSA P-384"},
    {0x0378, 1, 32, .kdf = true, .kdf_hash = KB_SHA384, .is_signed = true, .sign_hash = KB_SHA384,
     .name = "AES-256-GCM, HKDF-SHA-384, ECDSA P-384"},
    {0x0478, 2, 32, .kdf = true, .kdf_hash = KB_SHA512, .committing = true,
     .name = "AES-256-GCM, HKDF-SHA-512, key commitment"},
    {0x0578, 2, 32, .kdf = true, .kdf_hash = KB_SHA512, .committing = true, .is_signed = true,
     .sign_hash = KB_SHA384, .name = "AES-256-GCM, HKDF-SHA-512, key commitment, ECDSA P-384"},
};

const struct esdk_suite *esdk_suite_find(uint16_t id)
{
    for (size_t i = 0; i < sizeof suites / sizeof *suites; i++)
        if (suites[i].id == id)
            return &suites[i];
    return NULL;
}

size_t esdk_message_id_size(const struct esdk_suite *suite)
{
    return suite->version == 1 ? ESDK_MESSAGE_ID_V1 : ESDK_MESSAGE_ID_V2;
}

const char *kb_esdk_suite_name(uint16_t suite)
{
    const struct esdk_suite *found = esdk_suite_find(suite);

    return found ? found->name : NULL;
}

bool kb_esdk_suite_parse(uint16_t *out, const char *text)
{
    struct kb_buffer bytes = KB_BUFFER_INIT(2);
    uint16_t id = 0;

    if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X'))
        text += 2;
    if (strlen(text) == 4 && kb_hex_parse(&bytes, kb_bytes_text(text), false))
        id = (uint16_t)(bytes.data[0] << 8 | bytes.data[1]);
    kb_buffer_free(&bytes);
    if (!esdk_suite_find(id)) /* 0 is none */
        return false;
    *out = id;
    return true;
}
