/* SPDX-License-Identifier: Apache-2.0
 *
 * What export and import have in common.
 */
#include "keystore/vault_move.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/crypto.h"
#include "keystore/pool.h"

enum { KEY_SIZE = KB_S3_KEY_SIZE };

enum kb_status vault_moving_new(struct vault_moving **out, struct kb_vault *vault,
                                struct kb_error *err)
{
    struct vault_moving *moving = calloc(1, sizeof *moving);
    enum kb_status status;

    *out = NULL;
    if (!moving)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory to move keys");
    moving->vault = vault;
    status = kb_digest_new(&moving->digest, KB_DIGEST_SHA256, err);
    if (status != KB_OK)
        free(moving);
    else
        *out = moving;
    return status;
}

void vault_moving_empty(struct vault_moving *moving)
{
    for (size_t i = 0; i < moving->n; i++)
        kb_vault_key_free(&moving->key[i]);
    moving->n = 0;
}

void vault_moving_free(struct vault_moving *moving)
{
    if (!moving)
        return;
    vault_moving_empty(moving);
    kb_digest_free(moving->digest);
    free(moving);
}

const char *vault_algorithm_format(enum kb_wrap_algorithm algorithm)
{
    return algorithm == KB_WRAP_AES ? "AES-KW" : "RSA-OAEP-SHA256";
}

enum kb_status vault_moving_algorithm(struct kb_vault *vault, const char *name,
                                      enum kb_wrap_algorithm *out, bool *public_only,
                                      struct kb_error *err)
{
    struct kb_key_info info;
    enum kb_status status = kb_key_find(vault->token, name, &info, err);

    if (status != KB_OK)
        return status;
    if (info.use != KB_KEY_WRAP)
        return kb_error_set(err, KB_ERR_DENIED, "key '%.80s' is not a wrap key", name);
    *public_only = info.public_only;
    *out = info.type <= KB_KEY_AES_256 ? KB_WRAP_AES : KB_WRAP_OAEP_SHA256_MGF_SHA256;
    return KB_OK;
}

static enum kb_status check_values(const struct vault_moving *moving,
                                   const struct kb_secret *values, struct kb_error *err)
{
    char fingerprint[KB_S3_FINGERPRINT_SIZE];
    enum kb_status status = KB_OK;

    for (size_t i = 0; i < moving->n && status == KB_OK; i++) {
        struct kb_bytes value = {kb_secret_view(values).data + i * KEY_SIZE, KEY_SIZE};

        status = kb_md5_base64(fingerprint, value, err);
        if (status == KB_OK && (moving->wrapped[i].status != KB_OK ||
                                moving->wrapped[i].size != KEY_SIZE ||
                                strcmp(fingerprint, moving->key[i].fingerprint) != 0))
            status = kb_error_set(err, KB_ERR_AUTH, "key %s does not come out of its wrapping",
                                  moving->key[i].id);
    }
    return status;
}

enum kb_status vault_moving_rewrap(struct vault_moving *moving, const char *from, const char *to,
                                   enum kb_wrap_algorithm algorithm, struct kb_error *err)
{
    struct kb_data_key_spec spec = {to, algorithm, KEY_SIZE};
    struct kb_token *token = moving->vault->token;
    struct kb_secret *values;
    enum kb_status status;

    if (moving->n == 0)
        return KB_OK;
    status = kb_secret_new(&values, moving->n * KEY_SIZE, err);
    if (status != KB_OK)
        return status;
    status = kb_token_unwrap_keys(token, from, moving->wrapped, moving->n, values, err);
    if (status == KB_OK)
        status = check_values(moving, values, err);
    if (status == KB_OK)
        status = kb_token_wrap_keys(token, &spec, moving->wrapped, moving->n, values, err);
    kb_secret_free(values);
    return status;
}

enum kb_status vault_moving_end(struct vault_moving *moving, bool mac,
                                char out[2 * VAULT_MAC_SIZE + 1], struct kb_error *err)
{
    struct kb_sign_spec spec = {moving->vault->sign_key, KB_SIGN_HMAC, KB_SHA256};
    struct kb_buffer text = KB_BUFFER_INIT(256);
    uint8_t digest[VAULT_MAC_SIZE];
    struct kb_signature made;
    struct kb_bytes message;
    enum kb_status status = kb_digest_end(moving->digest, digest, err);

    if (status == KB_OK && !mac) {
        kb_crypto_hex(out, (struct kb_bytes){digest, sizeof digest});
    } else if (status == KB_OK) {
        kb_buffer_put_lv(&text, kb_bytes_text("keybridge vault export 1"));
        kb_buffer_put_lv(&text, (struct kb_bytes){digest, sizeof digest});
        status = kb_buffer_check(&text, err);
        message = kb_buffer_view(&text);
        if (status == KB_OK)
            status = kb_token_sign(moving->vault->token, &spec, &message, 1, &made, err);
        if (status == KB_OK)
            kb_crypto_hex(out, (struct kb_bytes){made.data, VAULT_MAC_SIZE});
    }
    kb_buffer_free(&text);
    return status;
}
