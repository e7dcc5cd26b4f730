/* SPDX-License-Identifier: Apache-2.0
 *
 * The public half of a key: its numbers, and what is done with them here. They
 * are those the private object tells of itself wherever it does: a public
 * object can be made by anybody who reaches the token, without a PIN on some.
 */
#include "keystore/helper.h"

#include <string.h>

static struct kb_bytes read_bytes(struct helper *helper, CK_OBJECT_HANDLE object,
                                  CK_ATTRIBUTE_TYPE type, uint8_t *room, size_t size)
{
    CK_ULONG got = size;

    if (object == CK_INVALID_HANDLE ||
        attribute_read(helper, object, type, room, &got) != CKR_OK)
        got = 0;
    return (struct kb_bytes){room, got};
}

static struct kb_bytes read_number(struct helper *helper, CK_OBJECT_HANDLE object,
                                   CK_ATTRIBUTE_TYPE type, uint8_t room[MODULUS_ROOM])
{
    struct kb_bytes number = read_bytes(helper, object, type, room, MODULUS_ROOM);

    while (number.size && number.data[0] == 0) {
        number.data++;
        number.size--;
    }
    return number;
}

static void read_rsa(struct helper *helper, const struct found_key *key,
                     struct public_numbers *out)
{
    uint8_t other[MODULUS_ROOM];
    struct kb_bytes modulus;

    out->parts.modulus = read_number(helper, key->object, CKA_MODULUS, out->modulus);
    out->parts.public_exponent =
        read_number(helper, key->object, CKA_PUBLIC_EXPONENT, out->exponent);
    if (out->parts.public_exponent.size || !out->parts.modulus.size)
        return;
    modulus = read_number(helper, key->public_object, CKA_MODULUS, other);
    if (kb_bytes_equal(modulus, out->parts.modulus))
        out->parts.public_exponent =
            read_number(helper, key->public_object, CKA_PUBLIC_EXPONENT, out->exponent);
}

static void read_ec(struct helper *helper, const struct found_key *key,
                    struct public_numbers *out)
{
    CK_OBJECT_HANDLE public_object =
        key->info.public_only ? key->object : key->public_object;

    out->parts.curve =
        read_bytes(helper, key->object, CKA_EC_PARAMS, out->curve, sizeof out->curve);
    out->parts.point =
        read_bytes(helper, public_object, CKA_EC_POINT, out->point, sizeof out->point);
    if (out->parts.point.size == 0)
        out->parts.point =
            read_bytes(helper, key->object, CKA_EC_POINT, out->point, sizeof out->point);
}

enum kb_status public_numbers_read(struct helper *helper, const struct found_key *key,
                                   struct public_numbers *out, struct kb_error *err)
{
    bool rsa = key_type_is_rsa(key->info.type);

    memset(&out->parts, 0, sizeof out->parts);
    if (!rsa && !key_type_is_ec(key->info.type))
        return kb_error_set(err, KB_ERR_USAGE, "key '%.80s' has no public half", key->name);
    if (rsa)
        read_rsa(helper, key, out);
    else
        read_ec(helper, key, out);
    if (rsa ? out->parts.modulus.size && out->parts.public_exponent.size
            : out->parts.curve.size && out->parts.point.size)
        return KB_OK;
    kb_error_set(err, KB_ERR_UNSUPPORTED, "the token does not tell the public half of key '%.80s'",
                 key->name);
    kb_error_hint(err, "it has no public object beside it: import one of the same label and id");
    return KB_ERR_UNSUPPORTED;
}

enum kb_status public_key_prepare(struct helper *helper, struct found_key *key,
                                  struct kb_error *err)
{
    struct kb_buffer spki = KB_BUFFER_INIT(8192);
    struct public_numbers numbers;
    enum kb_status status = KB_OK;

    if (key->public_key)
        return KB_OK;
    status = public_numbers_read(helper, key, &numbers, err);
    if (status == KB_OK)
        status = kb_key_parts_format(&spki, &numbers.parts, err);
    if (status == KB_OK)
        status = kb_public_key_new(&key->public_key, kb_buffer_view(&spki), err);
    kb_buffer_free(&spki);
    return status;
}

/* Nothing but a signature shows that an EC public object is the half of its
 * private one. */
static enum kb_status check_half(struct helper *helper, struct found_key *key,
                                 struct kb_error *err)
{
    struct kb_bytes message = kb_bytes_text("keybridge: is this the half of that key?");
    struct kb_signature signature;
    enum kb_status status = public_key_prepare(helper, key, err);

    if (status == KB_OK)
        status = sign_ecdsa(helper, key, KB_SHA256, message, &signature, err);
    if (status == KB_OK &&
        !kb_public_key_verify(key->public_key, KB_SHA256, message,
                              (struct kb_bytes){signature.data, signature.size}))
        status = kb_error_set(err, KB_ERR_DENIED,
                              "the public object beside key '%.80s' is not its public half",
                              key->name);
    return status;
}

enum kb_status public_export(struct helper *helper, const char *name, struct kb_buffer *answer,
                             struct kb_error *err)
{
    struct public_numbers numbers;
    struct found_key *key;
    enum kb_status status = key_find(helper, name, &key, err);

    if (status == KB_OK)
        status = public_numbers_read(helper, key, &numbers, err);
    if (status == KB_OK && key_type_is_ec(key->info.type) && !key->info.public_only)
        status = check_half(helper, key, err);
    if (status == KB_OK)
        kb_key_parts_put(answer, &numbers.parts);
    return status;
}
