/* SPDX-License-Identifier: Apache-2.0 */
#include "s3ec_fixture.h"

#include <string.h>

bool s3ec_have_token(enum token_kind kind)
{
    struct kb_token *token;

    if (!token_module(kind))
        return false;
    token = backend_lease(kind);
    backend_key(token, "s3ec-aes-256", KB_KEY_ENVELOPE, KB_KEY_AES_256);
    backend_key(token, "s3ec-aes-128", KB_KEY_ENVELOPE, KB_KEY_AES_128);
    backend_key(token, "s3ec-aes-other", KB_KEY_ENVELOPE, KB_KEY_AES_256);
    backend_key(token, "s3ec-rsa", KB_KEY_WRAP, KB_KEY_RSA_2048);
    backend_key(token, "s3ec-wrap", KB_KEY_WRAP, KB_KEY_AES_256);
    backend_key(token, "s3ec-content", KB_KEY_CONTENT, KB_KEY_AES_256);
    kb_token_return(token);
    return true;
}

struct kb_s3ec *s3ec_configure_all(enum token_kind kind, const struct kb_s3ec_options *options)
{
    struct kb_s3ec *s3ec = NULL;
    struct kb_error err = {0};

    KBT_OK(kb_s3ec_new(&s3ec, backend_keystore(kind), options, &err), &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s3ec);
    return s3ec;
}

/* Version 2 or 3 is written; all are read, old wrapping and ranges as well. */
struct kb_s3ec *s3ec_configure(enum token_kind kind, const char *key, unsigned version)
{
    const struct kb_s3ec_options options = {.key = key,
                                            .policy = version == 3 ? KB_COMMITMENT_REQUIRE_ALLOW
                                                                   : KB_COMMITMENT_FORBID_ALLOW,
                                            .legacy_wrapping = true,
                                            .legacy_unauthenticated = true};

    return s3ec_configure_all(kind, &options);
}

struct kb_bytes s3ec_text(struct kb_buffer *out, size_t size)
{
    kb_buffer_reset(out);
    for (size_t i = 0; i < size; i++)
        kb_buffer_put_u8(out, (uint8_t)(i * 31 + i / 256));
    return kb_buffer_view(out);
}

/* The body, in pieces of `piece` bytes, encrypted in place. */
void s3ec_seal(struct kb_buffer *out, struct kb_s3ec_object *object, struct kb_bytes text,
                 size_t piece)
{
    struct kb_error err = {0};
    uint8_t *at;

    kb_buffer_reset(out);
    kb_buffer_put_bytes(out, text);
    at = out->data;
    for (size_t done = 0; done < text.size; done += piece) {
        size_t size = text.size - done < piece ? text.size - done : piece;

        KBT_OK(kb_s3ec_seal(object, at + done, (struct kb_bytes){at + done, size}, &err), &err);
    }
    KBT_OK(kb_s3ec_seal_end(object, kb_buffer_extend(out, KB_S3EC_TAG_SIZE), &err), &err);
}

struct kb_s3ec_object *s3ec_write(struct kb_buffer *body, struct kb_s3ec *s3ec,
                                           const struct kb_s3ec_encrypt_options *options,
                                           struct kb_bytes text)
{
    struct kb_s3ec_object *object = NULL;
    struct kb_error err = {0};

    KBT_OK(kb_s3ec_encrypt(&object, 1, s3ec, options, &err), &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(object);
    s3ec_seal(body, object, text, 1000);
    return object;
}

enum kb_status s3ec_feed(struct kb_buffer *out, struct kb_s3ec_object *object,
                           struct kb_bytes body, size_t piece, struct kb_error *err)
{
    enum kb_status status = KB_OK;

    for (size_t done = 0; status == KB_OK && done < body.size; done += piece) {
        size_t size = body.size - done < piece ? body.size - done : piece;

        status = kb_s3ec_open_piece(object, out, (struct kb_bytes){body.data + done, size}, err);
    }
    return status == KB_OK ? kb_s3ec_open_end(object, out, err) : status;
}

enum kb_status s3ec_read_pieces(struct kb_buffer *out, struct kb_s3ec *s3ec,
                                  const struct kb_s3ec_header *header, struct kb_bytes body,
                                  size_t piece, struct kb_error *err)
{
    struct kb_s3ec_object *object;
    enum kb_status status = kb_s3ec_decrypt(&object, s3ec, header, body.size, err);

    kb_buffer_reset(out);
    if (status == KB_OK)
        status = s3ec_feed(out, object, body, piece, err);
    kb_s3ec_object_free(object);
    return status;
}

enum kb_status s3ec_read(struct kb_buffer *out, struct kb_s3ec *s3ec,
                                  const struct kb_s3ec_header *header, struct kb_bytes body)
{
    return s3ec_read_pieces(out, s3ec, header, body, SIZE_MAX / 2, NULL);
}

bool s3ec_is_refusal(enum kb_status status)
{
    return status == KB_ERR_AUTH || status == KB_ERR_INPUT || status == KB_ERR_DENIED ||
           status == KB_ERR_NOT_FOUND;
}
