/* SPDX-License-Identifier: Apache-2.0
 *
 * The client's side of keys that go in or out as encodings: those are read and
 * written here, the helper gets numbers.
 */
#include "keystore/pool.h"

#include "base/text.h"

/* Whether the key is of the type that was asked for. */
static enum kb_status check_type(const struct kb_key_spec *spec, const struct kb_key_parts *parts,
                                 struct kb_error *err)
{
    bool rsa = parts->modulus.size > 0;

    if (spec->type == parts->type || spec->type == (rsa ? KB_KEY_RSA : KB_KEY_EC))
        return KB_OK;
    if (parts->type == KB_KEY_RSA)
        return kb_error_set(err, KB_ERR_USAGE, "the key is RSA of %u bits, not %s", parts->bits,
                            kb_key_type_format(spec->type));
    return kb_error_set(err, KB_ERR_USAGE, "the key is %s, not %s",
                        kb_key_type_format(parts->type), kb_key_type_format(spec->type));
}

static enum kb_status check_strength(const struct kb_key_spec *spec,
                                     const struct kb_key_parts *parts, struct kb_error *err)
{
    if (parts->modulus.size == 0 || parts->bits >= KB_RSA_BITS_GOOD)
        return KB_OK;
    if (parts->bits < KB_RSA_BITS_MIN)
        return kb_error_set(err, KB_ERR_USAGE, "an RSA key of %u bits is no protection at all",
                            parts->bits);
    if (spec->allow_weak)
        return KB_OK;
    kb_error_set(err, KB_ERR_USAGE, "an RSA key of %u bits is too short; it should have %d",
                 parts->bits, KB_RSA_BITS_GOOD);
    kb_error_hint(err, "--allow-weak imports it all the same");
    return KB_ERR_USAGE;
}

static enum kb_status call(struct kb_token *token, const struct kb_key_spec *spec,
                           struct kb_bytes value, struct kb_error *err)
{
    struct kb_request request;
    struct kb_reader payload;

    kb_request_init(&request, KB_VERB_IMPORT);
    request.spec = *spec;
    request.value = value;
    return kb_token_call(token, &request, KB_CHANGES, &payload, err);
}

static enum kb_status import_parts(struct kb_token *token, const struct kb_key_spec *spec,
                                   const struct kb_secret *value, struct kb_error *err)
{
    struct kb_buffer numbers = {.max = KB_REQUEST_VALUE_MAX, .wipe = true};
    struct kb_key_spec found = *spec;
    struct kb_key_parts parts;
    enum kb_status status =
        kb_key_parts_read(&parts, kb_secret_view(value), spec->public_only, err);

    if (status == KB_OK)
        status = check_type(spec, &parts, err);
    if (status == KB_OK)
        status = check_strength(spec, &parts, err);
    if (status == KB_OK) {
        kb_key_parts_put(&numbers, &parts);
        status = kb_buffer_check(&numbers, err);
    }
    found.type = parts.type;
    if (status == KB_OK)
        status = call(token, &found, kb_buffer_view(&numbers), err);
    kb_buffer_free(&numbers);
    kb_key_parts_free(&parts);
    return status;
}

enum kb_status kb_key_import(struct kb_token *token, const struct kb_key_spec *spec,
                             const struct kb_secret *value, struct kb_error *err)
{
    struct kb_bytes bytes = kb_secret_view(value);

    if (spec->type >= KB_KEY_RSA_2048 && spec->type <= KB_KEY_EC)
        return import_parts(token, spec, value, err);
    if (bytes.size > KB_HMAC_KEY_MAX)
        return kb_error_set(err, KB_ERR_USAGE, "a key of %zu bytes is too long; %d are allowed",
                            bytes.size, KB_HMAC_KEY_MAX);
    return call(token, spec, bytes, err);
}

enum kb_status kb_key_export_public(struct kb_token *token, const char *name,
                                    struct kb_buffer *out, struct kb_error *err)
{
    struct kb_request request;
    struct kb_reader payload;
    struct kb_key_parts parts;
    enum kb_status status;

    kb_request_init(&request, KB_VERB_EXPORT_PUBLIC);
    request.name = name;
    status = kb_token_call(token, &request, KB_REPEAT, &payload, err);
    if (status != KB_OK)
        return status;
    if (!kb_key_parts_get(&payload, &parts) || !kb_reader_done(&payload))
        return kb_token_nonsense(token, err);
    return kb_key_parts_format(out, &parts, err);
}

enum kb_status kb_key_public_pem(struct kb_buffer *out, struct kb_bytes spki, struct kb_error *err)
{
    enum { LINE = 48 }; /* bytes, which make 64 characters */

    kb_buffer_put_text(out, "-----BEGIN PUBLIC KEY-----\n");
    for (size_t done = 0; done < spki.size; done += LINE) {
        size_t size = spki.size - done < LINE ? spki.size - done : LINE;

        kb_base64_format(out, (struct kb_bytes){spki.data + done, size});
        kb_buffer_put_text(out, "\n");
    }
    kb_buffer_put_text(out, "-----END PUBLIC KEY-----\n");
    return kb_buffer_check(out, err);
}
