/* SPDX-License-Identifier: Apache-2.0
 *
 * The configuration, what its policy says, and what encrypting and decrypting
 * have in common.
 */
#include "s3ec/s3ec.h"

#include <stdlib.h>
#include <string.h>

/* --- configuration ----------------------------------------------------------------------- */

static enum kb_status check_key(const struct kb_key_info *info, struct kb_error *err)
{
    if (info->use != KB_KEY_ENVELOPE && info->use != KB_KEY_WRAP && info->use != KB_KEY_LEGACY) {
        kb_error_set(err, KB_ERR_DENIED, "key '%s' is not for objects in S3", info->name);
        kb_error_hint(err, "AES keys for them are made with --use envelope, RSA keys with "
                           "--use wrap");
        return KB_ERR_DENIED;
    }
    if (info->release_never)
        return kb_error_set(err, KB_ERR_DENIED,
                            "data keys under '%s' never leave the token, and an object is "
                            "encrypted outside",
                            info->name);
    return KB_OK;
}

static enum kb_status set_up(struct kb_s3ec *s3ec, struct kb_token *token, struct kb_error *err)
{
    struct kb_buffer spki = KB_BUFFER_INIT(4096);
    struct kb_key_info info;
    enum kb_status status = kb_key_find(token, s3ec->key, &info, err);

    if (status == KB_OK)
        status = check_key(&info, err);
    if (status == KB_OK) {
        s3ec->use = info.use;
        s3ec->rsa = kb_key_type_is_rsa(info.type);
    }
    if (status == KB_OK && s3ec->rsa)
        status = kb_key_export_public(token, s3ec->key, &spki, err);
    if (status == KB_OK && s3ec->rsa)
        status = kb_public_key_new(&s3ec->public_key, kb_buffer_view(&spki), err);
    kb_buffer_free(&spki);
    return status;
}

enum kb_status kb_s3ec_new(struct kb_s3ec **out, struct kb_keystore *keystore,
                           const struct kb_s3ec_options *options, struct kb_error *err)
{
    struct kb_token *token;
    struct kb_s3ec *s3ec;
    enum kb_status status;

    *out = NULL;
    if (!options->key)
        return kb_error_set(err, KB_ERR_USAGE, "no wrapping key is named");
    if ((unsigned)options->policy > KB_COMMITMENT_FORBID_ALLOW)
        return kb_error_set(err, KB_ERR_USAGE, "there is no such policy");
    s3ec = calloc(1, sizeof *s3ec);
    if (!s3ec)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    atomic_init(&s3ec->references, 1);
    s3ec->keystore = keystore;
    s3ec->options = *options;
    s3ec->key = strdup(options->key);
    s3ec->options.key = s3ec->key;
    status = s3ec->key ? kb_token_lease(&token, keystore, err)
                       : kb_error_set(err, KB_ERR_MEMORY, "no memory");
    if (status == KB_OK) {
        status = set_up(s3ec, token, err);
        kb_token_return(token);
    }
    if (status == KB_OK)
        *out = s3ec;
    else
        kb_s3ec_release(s3ec);
    return status;
}

struct kb_s3ec *kb_s3ec_retain(struct kb_s3ec *s3ec)
{
    atomic_fetch_add(&s3ec->references, 1);
    return s3ec;
}

void kb_s3ec_release(struct kb_s3ec *s3ec)
{
    if (!s3ec || atomic_fetch_sub(&s3ec->references, 1) > 1)
        return;
    kb_public_key_free(s3ec->public_key);
    free(s3ec->key);
    free(s3ec);
}

/* --- policy ------------------------------------------------------------------------------- */

enum kb_status s3ec_refuse(struct kb_error *err)
{
    return kb_error_set(err, KB_ERR_AUTH,
                        "the key does not open this object, or the object was altered");
}

enum kb_status s3ec_check_read(const struct kb_s3ec *s3ec, const struct s3ec_parsed *parsed,
                               struct kb_error *err)
{
    if (s3ec->options.policy == KB_COMMITMENT_REQUIRE_REQUIRE &&
        parsed->content != S3EC_COMMITTING) {
        kb_error_set(err, KB_ERR_DENIED,
                     "the object's version %u does not commit to its key, as the policy requires",
                     parsed->version);
        kb_error_hint(err, "the policies 'require-allow' and 'forbid-allow' read it");
        return KB_ERR_DENIED;
    }
    if (s3ec_wrap_is_legacy(parsed->wrap) && !s3ec->options.legacy_wrapping) {
        kb_error_set(err, KB_ERR_DENIED, "the object's key is wrapped in an old way (%s)",
                     s3ec_wrap_name(parsed->wrap));
        kb_error_hint(err, "--legacy-wrapping reads it");
        return KB_ERR_DENIED;
    }
    if (parsed->content == S3EC_CBC && !s3ec->options.legacy_unauthenticated) {
        kb_error_set(err, KB_ERR_DENIED,
                     "the object is encrypted by AES-CBC: nobody notices when it is altered");
        kb_error_hint(err, "--legacy-unauthenticated reads it all the same");
        return KB_ERR_DENIED;
    }
    return KB_OK;
}

/* --- objects -------------------------------------------------------------------------------- */

struct kb_s3ec_object *s3ec_object_new(void)
{
    return calloc(1, sizeof(struct kb_s3ec_object));
}

void kb_s3ec_object_free(struct kb_s3ec_object *object)
{
    if (!object)
        return;
    kb_secret_free(object->content_key);
    kb_gcm_free(object->gcm);
    kb_aes_stream_free(object->stream);
    kb_arena_free(&object->written.memory);
    kb_wipe(object, sizeof *object);
    free(object);
}

const struct kb_s3ec_header *kb_s3ec_object_header(const struct kb_s3ec_object *object)
{
    return &object->written.header;
}

enum kb_status s3ec_begin(struct kb_s3ec_object *object, struct kb_bytes data_key, bool fresh,
                          struct kb_error *err)
{
    struct s3ec_parsed *parsed = &object->parsed;
    uint8_t commitment[S3EC_COMMITMENT];
    enum kb_status status = kb_secret_copy(&object->content_key, data_key, err);

    if (status != KB_OK || parsed->content != S3EC_COMMITTING)
        return status;
    status = s3ec_derive(data_key.data, parsed->iv, kb_secret_data(object->content_key),
                         commitment, err);
    if (status != KB_OK)
        return status;
    if (fresh)
        memcpy(parsed->commitment, commitment, sizeof commitment);
    else if (!kb_secret_equal((struct kb_bytes){commitment, sizeof commitment},
                              (struct kb_bytes){parsed->commitment, sizeof commitment}))
        status = s3ec_refuse(err);
    return status;
}

enum kb_status s3ec_begin_gcm(struct kb_s3ec_object *object, bool encrypt, struct kb_error *err)
{
    const bool committing = object->parsed.content == S3EC_COMMITTING;
    const struct kb_bytes aad = {s3ec_suite, committing ? sizeof s3ec_suite : 0};
    enum kb_status status = kb_gcm_new(&object->gcm, kb_secret_view(object->content_key), err);

    if (status == KB_OK)
        status = kb_gcm_begin(object->gcm, encrypt,
                              committing ? s3ec_committing_iv : object->parsed.iv, aad, err);
    kb_secret_free(object->content_key);
    object->content_key = NULL;
    return status;
}
