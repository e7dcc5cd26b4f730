/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/gcm.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "crypto/failure.h"

enum { PIECE_MAX = 1 << 30 }; /* bytes that OpenSSL, which counts in int, gets at once */

struct kb_gcm {
    EVP_CIPHER_CTX *context; /* knows the key: a text only sets its IV */
};

enum kb_status kb_gcm_new(struct kb_gcm **out, struct kb_bytes key, struct kb_error *err)
{
    static const char *const names[] = {"AES-128-GCM", "AES-192-GCM", "AES-256-GCM"};
    struct kb_gcm *gcm;
    EVP_CIPHER *cipher;
    bool good;

    *out = NULL;
    if (key.size != 16 && key.size != 24 && key.size != 32)
        return kb_error_set(err, KB_ERR_USAGE, "an AES key has 16, 24 or 32 bytes, not %zu",
                            key.size);
    gcm = calloc(1, sizeof *gcm);
    if (!gcm)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    gcm->context = EVP_CIPHER_CTX_new();
    cipher = EVP_CIPHER_fetch(NULL, names[key.size / 8 - 2], NULL);
    good = gcm->context && cipher &&
           EVP_CipherInit_ex(gcm->context, cipher, NULL, key.data, NULL, 1) == 1;
    EVP_CIPHER_free(cipher); /* the context keeps its own reference */
    if (!good) {
        kb_gcm_free(gcm);
        return kb_openssl_failure(err, "AES-GCM");
    }
    *out = gcm;
    return KB_OK;
}

void kb_gcm_free(struct kb_gcm *gcm)
{
    if (!gcm)
        return;
    EVP_CIPHER_CTX_free(gcm->context);
    free(gcm);
}

/* `out` is NULL for additional authenticated data. */
static bool put(struct kb_gcm *gcm, uint8_t *out, struct kb_bytes in)
{
    while (in.size) {
        int piece = in.size < PIECE_MAX ? (int)in.size : PIECE_MAX, made;

        if (EVP_CipherUpdate(gcm->context, out, &made, in.data, piece) != 1)
            return false;
        if (out)
            out += piece;
        in.data += piece;
        in.size -= (size_t)piece;
    }
    return true;
}

static bool begin(struct kb_gcm *gcm, bool encrypt, const uint8_t *iv, struct kb_bytes aad)
{
    return EVP_CipherInit_ex(gcm->context, NULL, NULL, NULL, iv, encrypt) == 1 &&
           put(gcm, NULL, aad);
}

static bool seal(struct kb_gcm *gcm, uint8_t *tag)
{
    uint8_t none[KB_GCM_TAG_SIZE];
    int made;

    return EVP_CipherFinal_ex(gcm->context, none, &made) == 1 &&
           EVP_CIPHER_CTX_ctrl(gcm->context, EVP_CTRL_AEAD_GET_TAG, KB_GCM_TAG_SIZE, tag) == 1;
}

static bool open_with(struct kb_gcm *gcm, const uint8_t *tag)
{
    uint8_t none[KB_GCM_TAG_SIZE];
    int made;

    return EVP_CIPHER_CTX_ctrl(gcm->context, EVP_CTRL_AEAD_SET_TAG, KB_GCM_TAG_SIZE,
                               (void *)(uintptr_t)tag) == 1 &&
           EVP_CipherFinal_ex(gcm->context, none, &made) == 1;
}

enum kb_status kb_gcm_encrypt(struct kb_gcm *gcm, const struct kb_gcm_text *text,
                              struct kb_error *err)
{
    if (!begin(gcm, true, text->iv, text->aad) || !put(gcm, text->out, text->in) ||
        !seal(gcm, text->tag))
        return kb_openssl_failure(err, "AES-GCM");
    return KB_OK;
}

enum kb_status kb_gcm_decrypt(struct kb_gcm *gcm, const struct kb_gcm_text *text,
                              struct kb_error *err)
{
    const bool through =
        begin(gcm, false, text->iv, text->aad) && put(gcm, text->out, text->in);

    if (through && open_with(gcm, text->tag))
        return KB_OK;
    kb_wipe(text->out, text->in.size);
    return through ? kb_openssl_refusal(err) : kb_openssl_failure(err, "AES-GCM");
}

enum kb_status kb_gcm_begin(struct kb_gcm *gcm, bool encrypt, const uint8_t *iv,
                            struct kb_bytes aad, struct kb_error *err)
{
    return begin(gcm, encrypt, iv, aad) ? KB_OK : kb_openssl_failure(err, "AES-GCM");
}

enum kb_status kb_gcm_update(struct kb_gcm *gcm, uint8_t *out, struct kb_bytes in,
                             struct kb_error *err)
{
    return put(gcm, out, in) ? KB_OK : kb_openssl_failure(err, "AES-GCM");
}

enum kb_status kb_gcm_seal(struct kb_gcm *gcm, uint8_t tag[KB_GCM_TAG_SIZE], struct kb_error *err)
{
    return seal(gcm, tag) ? KB_OK : kb_openssl_failure(err, "AES-GCM");
}

enum kb_status kb_gcm_open(struct kb_gcm *gcm, const uint8_t tag[KB_GCM_TAG_SIZE],
                           struct kb_error *err)
{
    return open_with(gcm, tag) ? KB_OK : kb_openssl_refusal(err);
}
