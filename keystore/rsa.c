/* SPDX-License-Identifier: Apache-2.0
 *
 * Data keys under RSA keys. The public operation needs no secret and is done
 * here, for every hash; the private one in the token: by its own OAEP, or as
 * raw RSA, whose padding is then undone here.
 */
#include "keystore/datakey.h"

#include <string.h>

enum { BLOCK_ROOM = 1024 };

static bool is_key_size(size_t size)
{
    return size == 16 || size == 24 || size == 32;
}

/* What is decrypted has to be seen before it is a key. */
static bool is_outside(enum kb_wrap_algorithm algorithm)
{
    return algorithm == KB_WRAP_PKCS1 || algorithm == KB_WRAP_S3_GCM ||
           algorithm == KB_WRAP_S3_115;
}

/* The token, or the key's list of mechanisms, has no such thing. */
static bool is_refused(CK_RV rv)
{
    return rv == CKR_MECHANISM_INVALID || rv == CKR_MECHANISM_PARAM_INVALID ||
           rv == CKR_ARGUMENTS_BAD;
}

/* May be of the bytes, may be of the token. */
static bool is_doubtful(CK_RV rv)
{
    return ckr_find(rv)->kind == CKR_CLASS_DOUBT || rv == CKR_DEVICE_ERROR ||
           rv == CKR_KEY_SIZE_RANGE;
}

static bool is_of_bytes(CK_RV rv)
{
    return ckr_find(rv)->kind == CKR_CLASS_BYTES;
}

static enum kb_status not_inside(struct work *work, enum kb_wrap_algorithm algorithm, CK_RV rv,
                                 struct kb_error *err)
{
    kb_error_set(err, KB_ERR_UNSUPPORTED,
                 "data keys under '%.64s' stay in the token, which cannot do %s inside itself",
                 work->name, mechanism_wrap_name(algorithm));
    kb_error_hint(err, "use RSA/ECB/OAEPWithSHA-1AndMGF1Padding, or a key without --release never");
    if (err && rv != CKR_OK) {
        err->detail_kind = KB_DETAIL_CK_RV;
        err->detail = rv;
    }
    return KB_ERR_UNSUPPORTED;
}

/* --- wrapping ---------------------------------------------------------------------- */

enum kb_status rsa_wrap(struct work *work, enum kb_wrap_algorithm algorithm, const uint8_t *plain,
                        struct kb_data_key *out, struct kb_error *err)
{
    size_t size = 0;
    enum kb_status status = public_key_prepare(work->helper, work->key, err);

    if (status == KB_OK)
        status = kb_public_key_wrap(work->key->public_key, algorithm, out->wrapped, &size,
                                    (struct kb_bytes){plain, out->size}, err);
    out->wrapped_size = (uint16_t)size;
    return status;
}

/* An object of the session with the numbers of the private key: the token's
 * own public object is not to be trusted with a key. */
static enum kb_status prepare_wrapping(struct work *work, struct kb_error *err)
{
    struct helper *helper = work->helper;
    struct public_numbers numbers;
    struct template wanted = {.count = 0};
    enum kb_status status;
    CK_RV rv;

    if (work->key->wrapping != CK_INVALID_HANDLE)
        return KB_OK;
    status = public_numbers_read(helper, work->key, &numbers, err);
    if (status != KB_OK)
        return status;
    template_number(&wanted, CKA_CLASS, CKO_PUBLIC_KEY);
    template_number(&wanted, CKA_KEY_TYPE, CKK_RSA);
    template_flag(&wanted, CKA_TOKEN, false);
    template_flag(&wanted, CKA_PRIVATE, false);
    template_public_uses(&wanted, MAY_WRAP | MAY_ENCRYPT);
    template_bytes(&wanted, CKA_MODULUS, numbers.parts.modulus.data, numbers.parts.modulus.size);
    template_bytes(&wanted, CKA_PUBLIC_EXPONENT, numbers.parts.public_exponent.data,
                   numbers.parts.public_exponent.size);
    rv = helper->f->C_CreateObject(helper->session, wanted.rows, wanted.count,
                                   &work->key->wrapping);
    if (rv == CKR_OK)
        return KB_OK;
    work->key->wrapping = CK_INVALID_HANDLE;
    return helper_error(helper, err, rv, "C_CreateObject of the public half of key '%.64s'",
                        work->name);
}

enum kb_status rsa_wrap_inside(struct work *work, enum kb_wrap_algorithm algorithm,
                               CK_OBJECT_HANDLE object, struct kb_data_key *out,
                               struct kb_error *err)
{
    CK_RSA_PKCS_OAEP_PARAMS params;
    CK_MECHANISM mechanism = mechanism_oaep(work->helper->vendor, algorithm, &params);
    CK_ULONG size = sizeof out->wrapped;
    enum kb_status status;
    CK_RV rv;

    if (is_outside(algorithm))
        return not_inside(work, algorithm, CKR_OK, err);
    status = prepare_wrapping(work, err);
    if (status != KB_OK)
        return status;
    rv = work->helper->f->C_WrapKey(work->helper->session, &mechanism, work->key->wrapping, object,
                                    out->wrapped, &size);
    if (is_refused(rv))
        return not_inside(work, algorithm, rv, err);
    if (rv != CKR_OK)
        return work_fail(work, err, rv, "C_WrapKey", algorithm);
    if (size > sizeof out->wrapped)
        return kb_error_set(err, KB_ERR_TOKEN, "the token wrapped a key into %lu bytes", size);
    out->wrapped_size = (uint16_t)size;
    return KB_OK;
}

/* --- decrypting in the token --------------------------------------------------------- */

static CK_RV decrypt(struct work *work, CK_MECHANISM *mechanism, struct kb_bytes wrapped,
                     uint8_t out[BLOCK_ROOM], CK_ULONG *size)
{
    struct helper *helper = work->helper;
    CK_RV rv = helper->f->C_DecryptInit(helper->session, mechanism, work->key->working);

    *size = BLOCK_ROOM;
    if (rv == CKR_OK)
        rv = helper->f->C_Decrypt(helper->session, kb_input(wrapped), wrapped.size, out, size);
    return rv == CKR_OK && *size > BLOCK_ROOM ? CKR_BUFFER_TOO_SMALL : rv;
}

/* Raw RSA: as many bytes as the modulus has. Tokens may leave leading zeros
 * out, and every block has one. */
static CK_RV decrypt_raw(struct work *work, struct kb_bytes wrapped, uint8_t out[BLOCK_ROOM])
{
    CK_MECHANISM mechanism = mechanism_make(work->helper->vendor, MECHANISM_RSA_X_509, NULL);
    CK_ULONG size;
    CK_RV rv = decrypt(work, &mechanism, wrapped, out, &size);

    if (rv == CKR_OK && size < wrapped.size) {
        memmove(out + wrapped.size - size, out, size);
        memset(out, 0, wrapped.size - size);
    }
    return rv == CKR_OK && size > wrapped.size ? CKR_GENERAL_ERROR : rv;
}

/* One try to undo OAEP, by the way that is known to work or the next. *size is
 * 0 when the bytes decrypt to nothing. */
static CK_RV undo_padding(struct work *work, enum kb_wrap_algorithm algorithm,
                       struct kb_bytes wrapped, uint8_t out[BLOCK_ROOM], size_t *size)
{
    struct found_key *key = work->key;
    CK_RSA_PKCS_OAEP_PARAMS params;
    CK_MECHANISM mechanism = mechanism_oaep(work->helper->vendor, algorithm, &params);
    uint8_t block[BLOCK_ROOM];
    CK_ULONG made = 0;
    CK_RV rv = CKR_MECHANISM_INVALID;

    *size = 0;
    if (!(key->refused & 1U << algorithm)) {
        rv = decrypt(work, &mechanism, wrapped, out, &made);
        if (rv == CKR_OK)
            *size = made;
        if (!is_refused(rv))
            return rv;
        key->refused |= 1U << algorithm;
    }
    rv = decrypt_raw(work, wrapped, block);
    if (rv == CKR_OK &&
        !kb_oaep_decode(algorithm, (struct kb_bytes){block, wrapped.size}, out, BLOCK_ROOM, size))
        *size = 0;
    kb_wipe(block, sizeof block);
    return rv;
}

/* And what may be around the data key. Whoever has the public key can put
 * anything there, so that what was wrong with it is no secret. */
static CK_RV undo_oaep(struct work *work, enum kb_wrap_algorithm algorithm,
                       struct kb_bytes wrapped, uint8_t out[BLOCK_ROOM], size_t *size)
{
    CK_RV rv = undo_padding(work, algorithm, wrapped, out, size);

    if (rv == CKR_OK && !kb_oaep_unframe(algorithm, out, size))
        *size = 0;
    return rv;
}

/* After a failure that says nothing: does the token still decrypt what was
 * wrapped for it? */
static bool token_is_well(struct work *work, enum kb_wrap_algorithm algorithm)
{
    static const uint8_t value[16] = {0};
    struct kb_data_key test = {.size = sizeof value};
    uint8_t out[BLOCK_ROOM];
    size_t size = 0;

    if (work->well)
        return true;
    if (!session_is_well(work->helper) ||
        rsa_wrap(work, algorithm, value, &test, NULL) != KB_OK)
        return false;
    work->well = undo_oaep(work, algorithm, (struct kb_bytes){test.wrapped, test.wrapped_size},
                           out, &size) == CKR_OK &&
                 size == sizeof value && memcmp(out, value, size) == 0;
    return work->well;
}

static enum kb_status unwrap_oaep(struct work *work, const struct kb_request_item *item,
                                  struct kb_data_key *out, uint8_t *plain, struct kb_error *err)
{
    uint8_t value[BLOCK_ROOM];
    size_t size;
    CK_RV rv = undo_oaep(work, item->algorithm, item->bytes, value, &size);
    enum kb_status status = KB_OK;

    /* Refused by both ways: the item's algorithm is none of this token. */
    if (rv == CKR_OK && is_key_size(size)) {
        out->size = (uint16_t)size;
        memcpy(plain, value, size);
    } else if (rv == CKR_OK || is_of_bytes(rv) || is_refused(rv) ||
               (is_doubtful(rv) && token_is_well(work, item->algorithm))) {
        status = KB_ERR_AUTH;
    } else {
        status = work_fail(work, err, rv, "C_Decrypt", item->algorithm);
    }
    kb_wipe(value, sizeof value);
    return status;
}

/* --- PKCS#1 v1.5 -------------------------------------------------------------------- */

/* What comes out where nothing decrypts: the same for the same bytes, as a
 * real key would be, and known to nobody. */
static enum kb_status make_otherwise(struct work *work, struct kb_bytes wrapped, uint8_t out[64],
                                     struct kb_error *err)
{
    struct helper *helper = work->helper;
    uint8_t seed[sizeof helper->secret + KB_TOKEN_WRAPPED_MAX];
    CK_RV rv = CKR_OK;

    if (!helper->has_secret)
        rv = helper->f->C_GenerateRandom(helper->session, helper->secret, sizeof helper->secret);
    if (rv != CKR_OK)
        return helper_error(helper, err, rv, "C_GenerateRandom");
    helper->has_secret = true;
    memcpy(seed, helper->secret, sizeof helper->secret);
    memcpy(seed + sizeof helper->secret, wrapped.data, wrapped.size);
    if (kb_digest(KB_SHA256, (struct kb_bytes){seed, sizeof helper->secret + wrapped.size}, out))
        return KB_OK;
    return kb_error_set(err, KB_ERR_SYSTEM, "SHA-256 failed");
}

/* By a token that undoes the padding itself and tells when it was wrong. That
 * the token works is seen before, whatever comes out: a test that only a
 * failure brings about could be timed. */
static enum kb_status unwrap_pkcs1_inside(struct work *work, struct kb_bytes wrapped,
                                          const uint8_t otherwise[32], uint8_t *plain,
                                          size_t *size, struct kb_error *err)
{
    static const uint8_t test_value[16] = {0};
    CK_MECHANISM mechanism = mechanism_make(work->helper->vendor, MECHANISM_RSA_PKCS, NULL);
    struct kb_data_key test = {.size = sizeof test_value};
    uint8_t value[BLOCK_ROOM];
    CK_ULONG made = 0;
    CK_RV rv = CKR_OK;

    if (!work->well) {
        enum kb_status status = rsa_wrap(work, KB_WRAP_PKCS1, test_value, &test, err);

        if (status != KB_OK)
            return status;
        rv = decrypt(work, &mechanism, (struct kb_bytes){test.wrapped, test.wrapped_size}, value,
                     &made);
        if (rv != CKR_OK)
            return is_refused(rv) ? KB_ERR_AUTH
                                  : work_fail(work, err, rv, "C_Decrypt", KB_WRAP_PKCS1);
        work->well = true;
    }
    rv = decrypt(work, &mechanism, wrapped, value, &made);
    if (ckr_find(rv)->kind == CKR_CLASS_LOST)
        return work_fail(work, err, rv, "C_Decrypt", KB_WRAP_PKCS1);
    *size = rv == CKR_OK && is_key_size(made) ? made : 32;
    memcpy(plain, rv == CKR_OK && is_key_size(made) ? value : otherwise, *size);
    kb_wipe(value, sizeof value);
    return KB_OK;
}

static enum kb_status unwrap_pkcs1(struct work *work, struct kb_bytes wrapped,
                                   struct kb_data_key *out, uint8_t *plain, struct kb_error *err)
{
    uint8_t block[BLOCK_ROOM], otherwise[64];
    size_t size = 0;
    enum kb_status status = make_otherwise(work, wrapped, otherwise, err);
    CK_RV rv = CKR_OK;

    if (status == KB_OK && !work->key->raw_refused) {
        rv = decrypt_raw(work, wrapped, block);
        work->key->raw_refused = is_refused(rv);
        if (rv == CKR_OK)
            size = kb_pkcs1_decode((struct kb_bytes){block, wrapped.size}, otherwise, plain);
        else if (!work->key->raw_refused)
            status = work_fail(work, err, rv, "C_Decrypt with CKM_RSA_X_509 for", KB_WRAP_PKCS1);
        kb_wipe(block, sizeof block);
    }
    if (status == KB_OK && work->key->raw_refused)
        status = unwrap_pkcs1_inside(work, wrapped, otherwise, plain, &size, err);
    out->size = (uint16_t)size;
    kb_wipe(otherwise, sizeof otherwise);
    return status;
}

/* --- unwrapping ----------------------------------------------------------------------- */

/* As long as the modulus and less than it (RFC 8017 section 5.1.2): what is
 * not never meets the key, and everybody can see it. */
static enum kb_status check_wrapped(struct work *work, struct kb_bytes wrapped,
                                    struct kb_error *err)
{
    struct public_numbers *numbers = &work->numbers;
    enum kb_status status = KB_OK;

    if (numbers->parts.modulus.size == 0)
        status = public_numbers_read(work->helper, work->key, numbers, err);
    if (status != KB_OK)
        return status;
    return wrapped.size == numbers->parts.modulus.size && wrapped.size <= KB_TOKEN_WRAPPED_MAX &&
                   memcmp(wrapped.data, numbers->parts.modulus.data, wrapped.size) < 0
               ? KB_OK
               : KB_ERR_AUTH;
}

enum kb_status rsa_unwrap(struct work *work, const struct kb_request_item *item,
                          struct kb_data_key *out, uint8_t *plain, struct kb_error *err)
{
    enum kb_status status = check_wrapped(work, item->bytes, err);

    if (status != KB_OK)
        return status;
    return item->algorithm == KB_WRAP_PKCS1 ? unwrap_pkcs1(work, item->bytes, out, plain, err)
                                            : unwrap_oaep(work, item, out, plain, err);
}

static CK_RV unwrap_key(struct work *work, enum kb_wrap_algorithm algorithm,
                        struct kb_bytes wrapped, CK_OBJECT_HANDLE *object)
{
    CK_RSA_PKCS_OAEP_PARAMS params;
    CK_MECHANISM mechanism = mechanism_oaep(work->helper->vendor, algorithm, &params);

    /* Without CKA_VALUE_LEN, which nobody knows before. */
    return work->helper->f->C_UnwrapKey(work->helper->session, &mechanism, work->key->working,
                                        (CK_BYTE *)(uintptr_t)wrapped.data, wrapped.size,
                                        work->unwrapped.rows, work->unwrapped.count - 1, object);
}

static bool unwraps_well(struct work *work, enum kb_wrap_algorithm algorithm)
{
    static const uint8_t value[16] = {0};
    struct kb_data_key test = {.size = sizeof value};
    CK_OBJECT_HANDLE object;

    if (!work->well && session_is_well(work->helper) &&
        rsa_wrap(work, algorithm, value, &test, NULL) == KB_OK &&
        unwrap_key(work, algorithm, (struct kb_bytes){test.wrapped, test.wrapped_size},
                   &object) == CKR_OK) {
        work->well = true;
        (void)work->helper->f->C_DestroyObject(work->helper->session, object);
    }
    return work->well;
}

/* Whether the token can work with it, which is so for 16, 24 and 32 bytes. */
static bool is_aes_key(struct work *work, CK_OBJECT_HANDLE object)
{
    static const uint8_t iv[16];
    CK_MECHANISM mechanism = mechanism_make(work->helper->vendor, MECHANISM_CBC_PAD, iv);
    CK_FUNCTION_LIST *f = work->helper->f;
    uint8_t out[32];
    CK_ULONG size = sizeof out;

    return f->C_EncryptInit(work->helper->session, &mechanism, object) == CKR_OK &&
           f->C_Encrypt(work->helper->session, kb_input((struct kb_bytes){NULL, 0}), 0, out,
                        &size) == CKR_OK;
}

enum kb_status rsa_unwrap_inside(struct work *work, enum kb_wrap_algorithm algorithm,
                                 struct kb_bytes wrapped, struct kb_data_key *out,
                                 CK_OBJECT_HANDLE *object, struct kb_error *err)
{
    enum kb_status status = check_wrapped(work, wrapped, err);
    CK_ULONG length = 0, size = sizeof length;
    CK_RV rv;

    if (status != KB_OK)
        return status;
    /* The item says by what algorithm, and nobody signed that: one the token
     * cannot do is the item's affair, not the run's. */
    if (is_outside(algorithm))
        return KB_ERR_AUTH;
    rv = unwrap_key(work, algorithm, wrapped, object);
    if (is_refused(rv))
        return KB_ERR_AUTH;
    if (rv != CKR_OK && (is_of_bytes(rv) || (is_doubtful(rv) && unwraps_well(work, algorithm))))
        return KB_ERR_AUTH;
    if (rv != CKR_OK)
        return work_fail(work, err, rv, "C_UnwrapKey", algorithm);
    /* SoftHSM does not tell how long a key is that it unwrapped. */
    if (attribute_read(work->helper, *object, CKA_VALUE_LEN, &length, &size) != CKR_OK)
        length = 0;
    if (is_key_size(length) || (length == 0 && is_aes_key(work, *object))) {
        out->size = (uint16_t)length;
        return KB_OK;
    }
    (void)work->helper->f->C_DestroyObject(work->helper->session, *object);
    return KB_ERR_AUTH;
}
