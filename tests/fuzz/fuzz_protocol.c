/* SPDX-License-Identifier: Apache-2.0
 *
 * Both decoders of the token helper's protocol: the helper's of requests, and
 * the client's of answers. The first byte says which; what a request decodes
 * to is encoded again and has to be the same bytes.
 */
#include <stdlib.h>
#include <string.h>

#include "keystore/protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void request(struct kb_bytes body)
{
    static struct kb_request decoded;
    struct kb_buffer again = KB_BUFFER_INIT(KB_FRAME_MAX + 4);

    if (kb_request_decode(&decoded, body) && decoded.verb >= KB_VERB_OPEN &&
        decoded.verb < KB_VERB_AFTER_LAST &&
        !(decoded.verb == KB_VERB_OPEN && decoded.version != KB_PROTOCOL_VERSION)) {
        if (!kb_request_encode(&again, &decoded) || again.size != body.size + 4 ||
            memcmp(again.data + 4, body.data, body.size) != 0)
            abort();
    }
    kb_buffer_free(&again);
}

static void answer(uint8_t kind, struct kb_bytes body)
{
    static struct kb_token_info token;
    static struct kb_key_info key;
    static struct kb_token_trial trial;
    static struct kb_data_key data_key;
    static struct kb_signature signature;
    struct kb_key_parts parts;
    struct kb_answer_head head;
    struct kb_reader reader;
    enum kb_status status;
    uint8_t plain[KB_TOKEN_DATA_KEY_MAX];
    bool more = true;

    if (!kb_answer_decode(&head, &reader, body) || head.status != KB_OK)
        return;
    while (more && reader.left > 0) {
        switch (kind % 9) {
        case 0:
            more = kb_token_info_get(&reader, &token);
            break;
        case 1:
            more = kb_key_info_get(&reader, &key);
            break;
        case 2:
            more = kb_trial_get(&reader, &trial);
            break;
        case 3:
            more = kb_data_key_get(&reader, &data_key, plain);
            break;
        case 4:
            more = kb_data_key_get(&reader, &data_key, NULL);
            break;
        case 5:
            more = kb_signature_get(&reader, &signature);
            break;
        case 6:
            more = kb_key_parts_get(&reader, &parts);
            break;
        case 8:
            more = kb_item_status_get(&reader, &status) &&
                   kb_reader_take(&reader, KB_GCM_IV_SIZE).data && kb_reader_lv(&reader).data;
            break;
        default:
            more = kb_item_status_get(&reader, &status) && kb_reader_lv(&reader).data;
            break;
        }
    }
    (void)kb_reader_done(&reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (data[0] == 0)
        request((struct kb_bytes){data + 1, size - 1});
    else
        answer((uint8_t)(data[0] - 1), (struct kb_bytes){data + 1, size - 1});
    return 0;
}
