/* SPDX-License-Identifier: Apache-2.0
 *
 * MACs and signatures in the token.
 */
#include "keystore/helper.h"

#include <string.h>

/* --- the key and the scheme --------------------------------------------------------- */

static const char *scheme_name(enum kb_sign_scheme scheme)
{
    return scheme == KB_SIGN_HMAC ? "HMAC" : scheme == KB_SIGN_RSA ? "RSA" : "ECDSA";
}

static bool scheme_fits(enum kb_sign_scheme scheme, enum kb_key_type type)
{
    bool rsa = key_type_is_rsa(type), ec = key_type_is_ec(type);

    return scheme == KB_SIGN_RSA ? rsa : scheme == KB_SIGN_ECDSA ? ec : !rsa && !ec;
}

static enum kb_status find_sign_key(struct helper *helper, const struct kb_request *request,
                                    struct found_key **key, struct kb_error *err)
{
    enum kb_status status = key_find_for(helper, request->name, KB_KEY_SIGN, key, err);
    enum kb_key_type type;
    enum kb_hash hash;

    if (status != KB_OK)
        return status;
    type = (*key)->info.type;
    if ((*key)->info.public_only)
        return kb_error_set(err, KB_ERR_DENIED,
                            "key '%.80s' is a public key: it can verify, not sign",
                            request->name);
    if (!scheme_fits(request->scheme, type))
        return kb_error_set(err, KB_ERR_DENIED, "key '%.80s' (%s) does not sign by %s",
                            request->name, type ? kb_key_type_format(type) : "of unknown type",
                            scheme_name(request->scheme));
    if (kb_key_type_hash(type, &hash) && hash != request->hash)
        status = kb_error_set(err, KB_ERR_DENIED, "key '%.80s' is for %s and for no other hash",
                              request->name, kb_key_type_format(type));
    return status;
}

/* --- one operation --------------------------------------------------------------------- */

struct operation {
    struct helper *helper;
    const struct found_key *key;
    enum mechanism which;
};

static CK_RV sign_init(const struct operation *op)
{
    CK_MECHANISM mechanism = mechanism_make(op->helper->vendor, op->which, NULL);

    return op->helper->f->C_SignInit(op->helper->session, &mechanism, op->key->working);
}

static enum kb_status init_failed(const struct operation *op, CK_RV rv, struct kb_error *err)
{
    return helper_error(op->helper, err, rv, "C_SignInit with %s and key '%.64s'",
                        mechanism_row(op->helper->vendor, op->which)->name, op->key->name);
}

/* The rest of it, into `out`; *size is its room, then what was made. */
static enum kb_status sign_rest(const struct operation *op, struct kb_bytes in, uint8_t *out,
                                CK_ULONG *size, struct kb_error *err)
{
    CK_ULONG room = *size;
    CK_RV rv = op->helper->f->C_Sign(op->helper->session, kb_input(in), in.size, out, size);

    if (rv != CKR_OK)
        return helper_error(op->helper, err, rv, "C_Sign with %s and key '%.64s'",
                            mechanism_row(op->helper->vendor, op->which)->name, op->key->name);
    if (*size == 0 || *size > room)
        return kb_error_set(err, KB_ERR_TOKEN, "the token made a signature of %lu bytes", *size);
    return KB_OK;
}

/* --- HMAC -------------------------------------------------------------------------------- */

static enum kb_status sign_hmac(struct helper *helper, const struct found_key *key,
                                const struct kb_request *request, struct kb_buffer *answer,
                                struct kb_error *err)
{
    struct operation op = {helper, key, mechanism_of_hash(request->hash)};
    size_t size = kb_hash_size(request->hash);
    enum kb_status status = KB_OK;

    for (uint32_t i = 0; i < request->count && status == KB_OK; i++) {
        CK_ULONG made = size;
        uint8_t *mac;
        CK_RV rv;

        kb_buffer_put_u32(answer, (uint32_t)size);
        mac = kb_buffer_extend(answer, size);
        if (!mac)
            return kb_buffer_check(answer, err);
        rv = sign_init(&op);
        if (rv != CKR_OK)
            return init_failed(&op, rv, err);
        status = sign_rest(&op, request->items[i].bytes, mac, &made, err);
        if (status == KB_OK && made != size)
            return kb_error_set(err, KB_ERR_TOKEN, "the token made a MAC of %lu bytes, not %zu",
                                made, size);
    }
    return status;
}

/* --- RSA --------------------------------------------------------------------------------- */

/* DigestInfo (RFC 8017 section 9.2, note 1). */
static size_t digest_info(enum kb_hash hash, struct kb_bytes message, uint8_t out[19 + 64])
{
    static const uint8_t heads[][19] = {
#define HEAD(total, number, size)                                                                  \
    {0x30, total, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01,                                  \
     0x65, 0x03,  0x04, 0x02, number, 0x05, 0x00, 0x04, size}
        HEAD(0x2d, 0x04, 28), HEAD(0x31, 0x01, 32), HEAD(0x41, 0x02, 48), HEAD(0x51, 0x03, 64),
#undef HEAD
    };
    size_t size = kb_digest(hash, message, out + sizeof heads[0]);

    memcpy(out, heads[hash], sizeof heads[0]);
    return size ? sizeof heads[0] + size : 0;
}

/* The message goes to the token; only where token or key have no mechanism for
 * that, its digest. */
static enum kb_status sign_rsa(struct helper *helper, struct found_key *key, enum kb_hash hash,
                               struct kb_bytes message, struct kb_signature *out,
                               struct kb_error *err)
{
    struct operation whole = {helper, key, mechanism_of_rsa_hash(hash)};
    struct operation bare = {helper, key, MECHANISM_RSA_PKCS};
    CK_ULONG size = sizeof out->data;
    uint8_t info[19 + 64];
    struct kb_bytes in = message;
    enum kb_status status;
    CK_RV rv = CKR_MECHANISM_INVALID;

    if (!(key->digest_outside & 1U << hash))
        rv = sign_init(&whole);
    if (rv == CKR_MECHANISM_INVALID) {
        if (sign_init(&bare) != CKR_OK)
            return init_failed(&whole, rv, err);
        key->digest_outside |= 1U << hash;
        in = (struct kb_bytes){info, digest_info(hash, message, info)};
        rv = CKR_OK;
    }
    if (rv != CKR_OK)
        return init_failed(&whole, rv, err);
    status = sign_rest(in.data == info ? &bare : &whole, in, out->data, &size, err);
    out->size = (uint16_t)size;
    return status;
}

/* --- ECDSA ------------------------------------------------------------------------------- */

enum kb_status sign_ecdsa(struct helper *helper, const struct found_key *key, enum kb_hash hash,
                          struct kb_bytes message, struct kb_signature *out, struct kb_error *err)
{
    struct operation op = {helper, key, MECHANISM_ECDSA};
    uint8_t digest[64], raw[2 * 66];
    struct kb_bytes in = {digest, kb_digest(hash, message, digest)};
    CK_ULONG size = sizeof raw;
    enum kb_status status;
    CK_RV rv;

    /* A digest longer than the curve's order counts by its leftmost bits (FIPS
     * 186-5 section 6.4.1); not every token does that itself. */
    if (key->info.bits && in.size > key->info.bits / 8)
        in.size = key->info.bits / 8;
    rv = sign_init(&op);
    if (rv != CKR_OK)
        return init_failed(&op, rv, err);
    status = sign_rest(&op, in, raw, &size, err);
    if (status != KB_OK)
        return status;
    out->size = (uint16_t)kb_ecdsa_to_der((struct kb_bytes){raw, size}, out->data,
                                          sizeof out->data);
    return out->size ? KB_OK
                     : kb_error_set(err, KB_ERR_TOKEN, "the token made no ECDSA signature");
}

enum kb_status sign_run(struct helper *helper, const struct kb_request *request,
                        struct kb_buffer *answer, struct kb_error *err)
{
    struct kb_signature signature;
    struct found_key *key;
    enum kb_status status = find_sign_key(helper, request, &key, err);

    if (status == KB_OK && request->scheme == KB_SIGN_HMAC)
        return sign_hmac(helper, key, request, answer, err);
    for (uint32_t i = 0; i < request->count && status == KB_OK; i++) {
        struct kb_bytes message = request->items[i].bytes;

        status = request->scheme == KB_SIGN_RSA
                     ? sign_rsa(helper, key, request->hash, message, &signature, err)
                     : sign_ecdsa(helper, key, request->hash, message, &signature, err);
        if (status == KB_OK)
            kb_signature_put(answer, &signature);
    }
    return status;
}
