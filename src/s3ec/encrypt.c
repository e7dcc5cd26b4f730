/* SPDX-License-Identifier: Apache-2.0
 *
 * Writing objects (encryption.md), and their headers anew.
 */
#include "s3ec/s3ec.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/crypto.h"

static const struct kb_s3ec_encrypt_options defaults = {0};

/* --- new objects ----------------------------------------------------------------- */

static enum kb_status make_data_keys(struct kb_secret **out, struct kb_s3ec *s3ec, size_t n,
                                     struct kb_error *err)
{
    struct kb_token *token;
    enum kb_status status = kb_secret_new(out, n * S3EC_KEY_SIZE, err);

    if (status == KB_OK)
        status = kb_token_lease(&token, s3ec->keystore, err);
    if (status != KB_OK)
        return status;
    status = kb_token_random(token, *out, err);
    kb_token_return(token);
    return status;
}

/* As it is before its data key is wrapped. */
static enum kb_status start(struct kb_s3ec_object *object, const struct kb_s3ec *s3ec,
                            const struct kb_s3ec_encrypt_options *options, struct kb_bytes key,
                            struct kb_error *err)
{
    const bool committing = s3ec->options.policy != KB_COMMITMENT_FORBID_ALLOW;
    struct s3ec_parsed *parsed = &object->parsed;
    enum kb_status status =
        s3ec_description_write(&parsed->description, options, &object->written.memory, err);

    parsed->version = committing ? 3 : 2;
    parsed->content = committing ? S3EC_COMMITTING : S3EC_GCM;
    parsed->instruction_file = options->instruction_file;
    if (status == KB_OK)
        status = kb_crypto_random(parsed->iv, committing ? S3EC_MESSAGE_ID : S3EC_IV_GCM, err);
    if (status == KB_OK)
        status = s3ec_begin(object, key, true, err);
    if (status == KB_OK)
        status = s3ec_begin_gcm(object, true, err);
    object->state = S3EC_SEALING;
    return status;
}

static enum kb_status make_all(struct kb_s3ec_object **out, size_t n, struct kb_s3ec *s3ec,
                               const struct kb_s3ec_encrypt_options *options,
                               struct kb_error *err)
{
    struct kb_secret *keys = NULL;
    enum kb_status status = make_data_keys(&keys, s3ec, n, err);

    for (size_t i = 0; status == KB_OK && i < n; i++) {
        struct kb_bytes all = kb_secret_view(keys);

        out[i] = s3ec_object_new();
        status = out[i] ? start(out[i], s3ec, options,
                                (struct kb_bytes){all.data + i * S3EC_KEY_SIZE, S3EC_KEY_SIZE}, err)
                        : kb_error_set(err, KB_ERR_MEMORY, "no memory");
    }
    if (status == KB_OK)
        status = s3ec_wrap(s3ec, out, n, keys, err);
    for (size_t i = 0; status == KB_OK && i < n; i++)
        status = s3ec_header_write(&out[i]->written, &out[i]->parsed, err);
    kb_secret_free(keys);
    return status;
}

enum kb_status kb_s3ec_encrypt(struct kb_s3ec_object **out, size_t n, struct kb_s3ec *s3ec,
                               const struct kb_s3ec_encrypt_options *options, struct kb_error *err)
{
    enum kb_status status;

    if (n == 0 || n > KB_TOKEN_BATCH_MAX)
        return kb_error_set(err, KB_ERR_USAGE, "1 to %d objects are made at once, not %zu",
                            KB_TOKEN_BATCH_MAX, n);
    for (size_t i = 0; i < n; i++)
        out[i] = NULL;
    status = make_all(out, n, s3ec, options ? options : &defaults, err);
    for (size_t i = 0; status != KB_OK && i < n; i++) {
        kb_s3ec_object_free(out[i]);
        out[i] = NULL;
    }
    return status;
}

/* --- the body -------------------------------------------------------------------- */

enum kb_status kb_s3ec_seal(struct kb_s3ec_object *object, uint8_t *out, struct kb_bytes in,
                            struct kb_error *err)
{
    if (object->state != S3EC_SEALING)
        return kb_error_set(err, KB_ERR_USAGE, "the object is not being encrypted");
    if (in.size > KB_S3EC_PLAINTEXT_MAX - object->done)
        return kb_error_set(err, KB_ERR_USAGE,
                            "an object of the S3 Encryption Client has at most 64 GiB");
    object->done += in.size;
    return kb_gcm_update(object->gcm, out, in, err);
}

enum kb_status kb_s3ec_seal_end(struct kb_s3ec_object *object, uint8_t tag[KB_S3EC_TAG_SIZE],
                                struct kb_error *err)
{
    if (object->state != S3EC_SEALING)
        return kb_error_set(err, KB_ERR_USAGE, "the object is not being encrypted");
    object->state = S3EC_ENDED;
    return kb_gcm_seal(object->gcm, tag, err);
}

/* --- from a header that is there ------------------------------------------------- */

/* Reads the header and opens its data key; what is not GCM has no place in what we write. */
static enum kb_status take_over(struct kb_s3ec_object *object, struct kb_s3ec *s3ec,
                                const struct kb_s3ec_header *header, struct kb_secret **data_key,
                                struct kb_error *err)
{
    struct s3ec_parsed *parsed = &object->parsed;
    enum kb_status status = s3ec_header_read(parsed, header, &object->written.memory, err);

    *data_key = NULL;
    if (status == KB_OK)
        status = s3ec_check_read(s3ec, parsed, err);
    if (status == KB_OK && parsed->content == S3EC_CBC) {
        kb_error_set(err, KB_ERR_UNSUPPORTED, "an object that AES-CBC encrypted is only read");
        kb_error_hint(err, "read it and write it anew");
        return KB_ERR_UNSUPPORTED;
    }
    if (status == KB_OK)
        status = s3ec_unwrap(s3ec, parsed, data_key, err);
    if (status == KB_OK)
        status = s3ec_begin(object, kb_secret_view(*data_key), false, err);
    return status;
}

static enum kb_status finish(struct kb_s3ec_object **out, struct kb_s3ec_object *object,
                             struct kb_secret *data_key, enum kb_status status)
{
    kb_secret_free(data_key);
    if (status == KB_OK)
        *out = object;
    else
        kb_s3ec_object_free(object);
    return status;
}

enum kb_status kb_s3ec_encrypt_again(struct kb_s3ec_object **out, struct kb_s3ec *s3ec,
                                     const struct kb_s3ec_header *header, struct kb_error *err)
{
    struct kb_s3ec_object *object = s3ec_object_new();
    struct kb_secret *data_key;
    enum kb_status status;

    *out = NULL;
    if (!object)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    status = take_over(object, s3ec, header, &data_key, err);
    if (status == KB_OK)
        status = s3ec_begin_gcm(object, true, err);
    if (status == KB_OK)
        status = s3ec_header_write(&object->written, &object->parsed, err);
    object->state = S3EC_SEALING;
    return finish(out, object, data_key, status);
}

enum kb_status kb_s3ec_rewrap(struct kb_s3ec_object **out, struct kb_s3ec *from,
                              struct kb_s3ec *to, const struct kb_s3ec_header *header,
                              const struct kb_s3ec_encrypt_options *options, struct kb_error *err)
{
    struct kb_s3ec_object *object = s3ec_object_new();
    struct kb_secret *data_key;
    enum kb_status status;

    *out = NULL;
    if (!object)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    if (!options)
        options = &defaults;
    status = take_over(object, from, header, &data_key, err);
    if (status == KB_OK)
        status = s3ec_description_write(&object->parsed.description, options,
                                        &object->written.memory, err);
    object->parsed.instruction_file = options->instruction_file;
    if (status == KB_OK)
        status = s3ec_wrap(to, &object, 1, data_key, err);
    if (status == KB_OK)
        status = s3ec_header_write(&object->written, &object->parsed, err);
    return finish(out, object, data_key, status);
}
