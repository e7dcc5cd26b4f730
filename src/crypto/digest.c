/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/digest.h"

#include "base/text.h"
#include "crypto/failure.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

struct kb_digest {
    EVP_MD *type;
    EVP_MD_CTX *context;
};

static bool begin(struct kb_digest *digest)
{
    return EVP_DigestInit_ex2(digest->context, digest->type, NULL) == 1;
}

enum kb_status kb_digest_new(struct kb_digest **out, enum kb_digest_kind kind,
                             struct kb_error *err)
{
    struct kb_digest *digest = calloc(1, sizeof *digest);

    *out = NULL;
    if (!digest || !(digest->context = EVP_MD_CTX_new())) {
        kb_digest_free(digest);
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    }
    digest->type = EVP_MD_fetch(NULL, kind == KB_DIGEST_MD5 ? "MD5" : "SHA256", NULL);
    if (!digest->type || !begin(digest)) {
        kb_digest_free(digest);
        return kb_error_set(err, KB_ERR_UNSUPPORTED, "OpenSSL's settings allow no %s",
                            kind == KB_DIGEST_MD5 ? "MD5, by which S3 names keys" : "SHA-256");
    }
    *out = digest;
    return KB_OK;
}

void kb_digest_free(struct kb_digest *digest)
{
    if (!digest)
        return;
    EVP_MD_CTX_free(digest->context);
    EVP_MD_free(digest->type);
    free(digest);
}

enum kb_status kb_digest_update(struct kb_digest *digest, struct kb_bytes bytes,
                                struct kb_error *err)
{
    if (bytes.size && EVP_DigestUpdate(digest->context, bytes.data, bytes.size) != 1)
        return kb_openssl_failure(err, "hashing");
    return KB_OK;
}

enum kb_status kb_digest_end(struct kb_digest *digest, uint8_t *out, struct kb_error *err)
{
    if (EVP_DigestFinal_ex(digest->context, out, NULL) != 1 || !begin(digest))
        return kb_openssl_failure(err, "hashing");
    return KB_OK;
}

enum kb_status kb_digest_peek(const struct kb_digest *digest, uint8_t *out, struct kb_error *err)
{
    EVP_MD_CTX *copy = EVP_MD_CTX_new();
    bool good = copy && EVP_MD_CTX_copy_ex(copy, digest->context) == 1 &&
                EVP_DigestFinal_ex(copy, out, NULL) == 1;

    EVP_MD_CTX_free(copy);
    return good ? KB_OK : kb_openssl_failure(err, "hashing");
}

enum kb_status kb_digest_once(uint8_t *out, enum kb_digest_kind kind, struct kb_bytes bytes,
                              struct kb_error *err)
{
    struct kb_digest *digest;
    enum kb_status status = kb_digest_new(&digest, kind, err);

    if (status == KB_OK)
        status = kb_digest_update(digest, bytes, err);
    if (status == KB_OK)
        status = kb_digest_end(digest, out, err);
    kb_digest_free(digest);
    return status;
}

enum kb_status kb_md5_base64(char out[KB_MD5_BASE64_SIZE], struct kb_bytes bytes,
                             struct kb_error *err)
{
    struct kb_buffer text = KB_BUFFER_INIT(KB_MD5_BASE64_SIZE);
    uint8_t md5[KB_MD5_SIZE];
    enum kb_status status = kb_digest_once(md5, KB_DIGEST_MD5, bytes, err);

    out[0] = 0;
    if (status == KB_OK) {
        kb_base64_format(&text, (struct kb_bytes){md5, sizeof md5});
        kb_buffer_put_u8(&text, 0);
        status = kb_buffer_check(&text, err);
    }
    if (status == KB_OK)
        memcpy(out, text.data, text.size);
    kb_buffer_free(&text);
    return status;
}
