/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/aes_stream.h"

#include <stdlib.h>

#include <openssl/evp.h>

#include "crypto/failure.h"

enum { BLOCK = 16, PIECE_MAX = 1 << 30 }; /* OpenSSL counts in int */

struct kb_aes_stream {
    enum kb_aes_stream_mode mode;
    EVP_CIPHER_CTX *context;
};

enum kb_status kb_aes_stream_new(struct kb_aes_stream **out, enum kb_aes_stream_mode mode,
                                 struct kb_bytes key, const uint8_t *iv, struct kb_error *err)
{
    static const char *const names[][3] = {
        [KB_AES_STREAM_CBC] = {"AES-128-CBC", "AES-192-CBC", "AES-256-CBC"},
        [KB_AES_STREAM_CTR] = {"AES-128-CTR", "AES-192-CTR", "AES-256-CTR"},
    };
    struct kb_aes_stream *stream;
    EVP_CIPHER *cipher;
    bool good;

    *out = NULL;
    if (key.size != 16 && key.size != 24 && key.size != 32)
        return kb_error_set(err, KB_ERR_USAGE, "an AES key has 16, 24 or 32 bytes, not %zu",
                            key.size);
    stream = calloc(1, sizeof *stream);
    if (!stream)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    stream->mode = mode;
    stream->context = EVP_CIPHER_CTX_new();
    cipher = EVP_CIPHER_fetch(NULL, names[mode][key.size / 8 - 2], NULL);
    good = stream->context && cipher &&
           EVP_DecryptInit_ex(stream->context, cipher, NULL, key.data, iv) == 1 &&
           EVP_CIPHER_CTX_set_padding(stream->context, 0) == 1;
    EVP_CIPHER_free(cipher); /* the context keeps its own reference */
    if (!good) {
        kb_aes_stream_free(stream);
        return kb_openssl_failure(err, "AES");
    }
    *out = stream;
    return KB_OK;
}

void kb_aes_stream_free(struct kb_aes_stream *stream)
{
    if (!stream)
        return;
    EVP_CIPHER_CTX_free(stream->context);
    free(stream);
}

enum kb_status kb_aes_stream_decrypt(struct kb_aes_stream *stream, uint8_t *out,
                                     struct kb_bytes in, struct kb_error *err)
{
    if (stream->mode == KB_AES_STREAM_CBC && in.size % BLOCK)
        return kb_error_set(err, KB_ERR_USAGE, "AES-CBC takes whole blocks, not %zu bytes",
                            in.size);
    while (in.size) {
        int piece = in.size < PIECE_MAX ? (int)in.size : PIECE_MAX, made;

        if (EVP_DecryptUpdate(stream->context, out, &made, in.data, piece) != 1 || made != piece)
            return kb_openssl_failure(err, "AES");
        out += piece;
        in.data += piece;
        in.size -= (size_t)piece;
    }
    return KB_OK;
}
