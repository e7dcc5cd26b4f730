/* SPDX-License-Identifier: Apache-2.0
 *
 * Makes, wraps and unwraps data keys, a batch at a time. A data key is an
 * object of the session; a released one lives only until its value was read.
 */
#include "keystore/datakey.h"

#include <string.h>

static enum kb_status begin(struct work *work, struct helper *helper,
                            const struct kb_request *request, struct kb_error *err)
{
    enum kb_status status;

    work->kept_count = 0;
    work->numbers.parts.modulus.size = 0;
    status = key_find(helper, request->name, &work->key, err);
    work->legacy = status == KB_OK && work->key->info.use == KB_KEY_LEGACY &&
                   request->verb == KB_VERB_UNWRAP_KEYS;
    if (status == KB_OK && !work->legacy)
        status = key_find_for(helper, request->name, KB_KEY_WRAP, &work->key, err);
    if (status != KB_OK)
        return status;
    if (request->release && work->key->info.release_never) {
        kb_error_set(err, KB_ERR_DENIED, "data keys under '%.80s' never leave the token",
                     request->name);
        kb_error_hint(err, "the key was made with --release never");
        return KB_ERR_DENIED;
    }
    work->helper = helper;
    work->rsa = key_type_is_rsa(work->key->info.type);
    work->name = request->name;
    work->release = request->release;
    work->wrap = mechanism_make(helper->vendor, MECHANISM_KEY_WRAP, NULL);
    work->well = work->checked = false;
    template_session_key(&work->unwrapped, CKK_AES, !request->release, request->release,
                         MAY_ENCRYPT | MAY_DECRYPT);
    template_bytes(&work->unwrapped, CKA_VALUE_LEN, &work->length, sizeof work->length);
    return KB_OK;
}

static void destroy(struct work *work, CK_OBJECT_HANDLE object)
{
    (void)work->helper->f->C_DestroyObject(work->helper->session, object);
}

static CK_RV read_value(struct work *work, CK_OBJECT_HANDLE object, uint8_t *out, CK_ULONG *size)
{
    CK_ATTRIBUTE value = {CKA_VALUE, out, *size};
    CK_RV rv = work->helper->f->C_GetAttributeValue(work->helper->session, object, &value, 1);

    *size = value.ulValueLen;
    return rv;
}

static enum kb_status wrap(struct work *work, CK_OBJECT_HANDLE object, struct kb_data_key *out,
                           struct kb_error *err)
{
    CK_ULONG size = sizeof out->wrapped;
    CK_RV rv = work->helper->f->C_WrapKey(work->helper->session, &work->wrap, work->key->working,
                                          object, out->wrapped, &size);

    if (rv != CKR_OK)
        return work_fail(work, err, rv, "C_WrapKey", KB_WRAP_AES);
    if (size != out->size + 8U)
        return kb_error_set(err, KB_ERR_TOKEN, "the token wrapped %u bytes into %lu", out->size,
                            size);
    out->wrapped_size = (uint16_t)size;
    return KB_OK;
}

/* --- unwrapping ------------------------------------------------------------------ */

/* Tokens take, want or refuse the length of the key in the template. */
static CK_RV unwrap_bytes(struct work *work, struct kb_bytes wrapped, CK_OBJECT_HANDLE *object)
{
    struct helper *helper = work->helper;
    CK_RV rv = CKR_OK;

    work->length = wrapped.size - 8;
    for (int attempt = 0; attempt < 2; attempt++) {
        CK_ULONG rows = work->unwrapped.count - (helper->unwrap_with_length ? 0 : 1);

        rv = helper->f->C_UnwrapKey(helper->session, &work->wrap, work->key->working,
                                    (CK_BYTE *)(uintptr_t)wrapped.data, wrapped.size,
                                    work->unwrapped.rows, rows, object);
        if (ckr_find(rv)->kind != CKR_CLASS_TEMPLATE)
            break;
        helper->unwrap_with_length = !helper->unwrap_with_length;
    }
    return rv;
}

/* After a failure that says nothing: does the token still do its work? */
static bool token_is_well(struct work *work)
{
    struct helper *helper = work->helper;
    static const uint8_t value[16] = {0};
    uint8_t wrapped[64];
    CK_ULONG size = sizeof wrapped;
    CK_SESSION_INFO session;
    struct template test;
    CK_OBJECT_HANDLE object;
    CK_RV rv = helper->f->C_GetSessionInfo(helper->session, &session);

    if (work->well || rv != CKR_OK)
        return work->well;
    template_session_key(&test, CKK_AES, false, true, MAY_ENCRYPT | MAY_DECRYPT);
    template_bytes(&test, CKA_VALUE, value, sizeof value);
    if (helper->f->C_CreateObject(helper->session, test.rows, test.count, &object) != CKR_OK)
        return false;
    rv = helper->f->C_WrapKey(helper->session, &work->wrap, work->key->working, object, wrapped,
                              &size);
    destroy(work, object);
    work->well = rv == CKR_OK || rv == CKR_KEY_FUNCTION_NOT_PERMITTED;
    return work->well;
}

/* One wrapped key into an object. KB_ERR_AUTH concerns this one only, other
 * errors the call; whatever is wrong with the bytes, it looks the same. */
static enum kb_status unwrap(struct work *work, struct kb_bytes wrapped, CK_OBJECT_HANDLE *object,
                             struct kb_error *err)
{
    enum ckr_class kind;
    CK_RV rv;

    if (wrapped.size != 24 && wrapped.size != 32 && wrapped.size != 40)
        return KB_ERR_AUTH;
    rv = unwrap_bytes(work, wrapped, object);
    if (rv == CKR_OK)
        return KB_OK;
    kind = ckr_find(rv)->kind;
    if (kind == CKR_CLASS_BYTES || (kind == CKR_CLASS_DOUBT && token_is_well(work)))
        return KB_ERR_AUTH;
    return work_fail(work, err, rv, "C_UnwrapKey", KB_WRAP_AES);
}

/* --- keeping --------------------------------------------------------------------- */

/* Takes over the object, destroying it when that fails. */
static enum kb_status keep(struct work *work, CK_OBJECT_HANDLE object, struct kb_data_key *out,
                           struct kb_error *err)
{
    struct helper *helper = work->helper;
    enum kb_status status = KB_OK;

    if (!work->checked) {
        work->checked = key_flag_read(helper, object, CKA_SENSITIVE) == KB_ANSWER_YES &&
                        key_flag_read(helper, object, CKA_EXTRACTABLE) == KB_ANSWER_NO;
        if (!work->checked)
            status = kb_error_set(err, KB_ERR_UNSUPPORTED,
                                  "the token does not keep data keys from leaving");
    }
    if (status == KB_OK)
        status = kept_add(helper, object, &out->handle, err);
    if (status != KB_OK)
        destroy(work, object);
    else
        work->kept[work->kept_count++] = out->handle;
    return status;
}

/* A call that fails leaves no keys behind. */
static void undo(struct work *work)
{
    while (work->kept_count > 0)
        kept_forget(work->helper, work->kept[--work->kept_count]);
}

/* --- making ---------------------------------------------------------------------- */

enum { RANDOM_MAX = KB_TOKEN_BATCH_MAX * KB_TOKEN_DATA_KEY_MAX };

static CK_RV generate(struct work *work, bool sensitive, uint16_t size, CK_OBJECT_HANDLE *object)
{
    CK_MECHANISM mechanism = mechanism_make(work->helper->vendor, MECHANISM_AES_KEY_GEN, NULL);
    struct template wanted;

    template_session_key(&wanted, CKK_AES, sensitive, true, MAY_ENCRYPT | MAY_DECRYPT);
    template_number(&wanted, CKA_VALUE_LEN, size);
    return work->helper->f->C_GenerateKey(work->helper->session, &mechanism, wanted.rows,
                                          wanted.count, object);
}

/* The token's random bytes as an object: cheaper than to generate a key and to
 * read it, where the token has it. */
static CK_RV create(struct work *work, const uint8_t *value, uint16_t size,
                    CK_OBJECT_HANDLE *object)
{
    struct template wanted;

    template_session_key(&wanted, CKK_AES, false, true, MAY_ENCRYPT | MAY_DECRYPT);
    template_bytes(&wanted, CKA_VALUE, value, size);
    return work->helper->f->C_CreateObject(work->helper->session, wanted.rows, wanted.count,
                                           object);
}

static enum kb_status make_released(struct work *work, struct kb_data_key *out, uint8_t *plain,
                                    struct kb_error *err)
{
    struct helper *helper = work->helper;
    CK_OBJECT_HANDLE object;
    CK_ULONG size = out->size;
    enum kb_status status;
    CK_RV rv = CKR_OK;

    if (work->rsa)
        return rsa_wrap(work, out->algorithm, plain, out, err);
    if (!helper->make_by_generating) {
        rv = create(work, plain, out->size, &object);
        helper->make_by_generating = rv != CKR_OK && ckr_find(rv)->kind != CKR_CLASS_LOST;
    }
    if (helper->make_by_generating) {
        rv = generate(work, false, out->size, &object);
        if (rv == CKR_OK)
            rv = read_value(work, object, plain, &size);
    }
    if (rv != CKR_OK)
        return helper_error(helper, err, rv, "making a data key");
    if (size != out->size)
        return kb_error_set(err, KB_ERR_TOKEN, "the token made a data key of %lu bytes, not %u",
                            size, out->size);
    status = wrap(work, object, out, err);
    destroy(work, object);
    return status;
}

/* A copy that cannot be wrapped again; where the token does not allow that,
 * what was just wrapped is unwrapped as such. */
static enum kb_status seal(struct work *work, CK_OBJECT_HANDLE object,
                           const struct kb_data_key *out, CK_OBJECT_HANDLE *sealed,
                           struct kb_error *err)
{
    struct helper *helper = work->helper;
    struct kb_bytes wrapped = {out->wrapped, out->wrapped_size};
    struct template wanted = {.count = 0};
    struct kb_data_key again;

    template_flag(&wanted, CKA_EXTRACTABLE, false);
    if (!helper->copy_refused) {
        CK_RV rv = helper->f->C_CopyObject(helper->session, object, wanted.rows, wanted.count,
                                           sealed);

        if (rv == CKR_OK)
            return KB_OK;
        helper->copy_refused = ckr_find(rv)->kind != CKR_CLASS_LOST;
    }
    return work->rsa ? rsa_unwrap_inside(work, out->algorithm, wrapped, &again, sealed, err)
                     : unwrap(work, wrapped, sealed, err);
}

static enum kb_status make_kept(struct work *work, struct kb_data_key *out, struct kb_error *err)
{
    CK_OBJECT_HANDLE object, sealed;
    enum kb_status status;
    CK_RV rv = generate(work, true, out->size, &object);

    if (rv != CKR_OK)
        return helper_error(work->helper, err, rv, "making a data key");
    status = work->rsa ? rsa_wrap_inside(work, out->algorithm, object, out, err)
                       : wrap(work, object, out, err);
    if (status == KB_OK)
        status = seal(work, object, out, &sealed, err);
    destroy(work, object);
    if (status == KB_ERR_AUTH)
        status = kb_error_set(err, KB_ERR_TOKEN, "the token cannot unwrap what it wrapped");
    return status == KB_OK ? keep(work, sealed, out, err) : status;
}

static bool algorithm_fits(const struct work *work, enum kb_wrap_algorithm algorithm)
{
    if (algorithm == KB_WRAP_AES_ECB)
        return work->legacy;
    return work->rsa != (algorithm == KB_WRAP_AES);
}

/* What makes an algorithm one of this key. */
static enum kb_status check_algorithm(struct work *work, enum kb_wrap_algorithm algorithm,
                                      struct kb_error *err)
{
    if (algorithm_fits(work, algorithm))
        return KB_OK;
    return kb_error_set(err, KB_ERR_DENIED, "key '%.80s' is %s key: it does not wrap by %s",
                        work->name, work->rsa ? "an RSA" : "an AES",
                        mechanism_wrap_name(algorithm));
}

enum kb_status data_keys_make(struct helper *helper, const struct kb_request *request,
                              struct kb_buffer *answer, struct kb_error *err)
{
    uint8_t random[RANDOM_MAX];
    size_t size = request->key_size;
    struct work work;
    enum kb_status status = begin(&work, helper, request, err);
    CK_RV rv = CKR_OK;

    if (status == KB_OK)
        status = check_algorithm(&work, request->algorithm, err);
    if (status != KB_OK)
        return status;
    if (size != 16 && size != 24 && size != 32)
        return kb_error_set(err, KB_ERR_USAGE, "a data key has 16, 24 or 32 bytes");
    if (request->release && (work.rsa || !helper->make_by_generating))
        rv = helper->f->C_GenerateRandom(helper->session, random, request->count * size);
    if (rv != CKR_OK)
        return helper_error(helper, err, rv, "C_GenerateRandom");
    for (uint32_t i = 0; i < request->count && status == KB_OK; i++) {
        uint8_t *plain = request->release ? random + i * size : NULL;
        struct kb_data_key made = {
            .status = KB_OK, .algorithm = request->algorithm, .size = (uint16_t)size};

        status = plain ? make_released(&work, &made, plain, err) : make_kept(&work, &made, err);
        if (status == KB_OK)
            kb_data_key_put(answer, &made, plain);
    }
    kb_wipe(random, sizeof random);
    if (status != KB_OK)
        undo(&work);
    return status;
}

/* --- wrapping what is known ------------------------------------------------------------ */

static enum kb_status wrap_value(struct work *work, struct kb_bytes value,
                                 struct kb_data_key *out, struct kb_error *err)
{
    CK_OBJECT_HANDLE object;
    enum kb_status status;
    CK_RV rv;

    if (value.size != 16 && value.size != 24 && value.size != 32)
        return kb_error_set(err, KB_ERR_USAGE, "a data key has 16, 24 or 32 bytes");
    if (work->rsa)
        return rsa_wrap(work, out->algorithm, value.data, out, err);
    rv = create(work, value.data, out->size, &object);
    if (rv != CKR_OK)
        return work_fail(work, err, rv, "C_CreateObject of a key to wrap", KB_WRAP_AES);
    status = wrap(work, object, out, err);
    destroy(work, object);
    return status;
}

enum kb_status data_keys_wrap(struct helper *helper, const struct kb_request *request,
                              struct kb_buffer *answer, struct kb_error *err)
{
    struct work work;
    enum kb_status status = begin(&work, helper, request, err);

    if (status == KB_OK)
        status = check_algorithm(&work, request->algorithm, err);
    for (uint32_t i = 0; i < request->count && status == KB_OK; i++) {
        struct kb_bytes value = request->items[i].bytes;
        struct kb_data_key made = {
            .status = KB_OK, .algorithm = request->algorithm, .size = (uint16_t)value.size};

        status = wrap_value(&work, value, &made, err);
        if (status == KB_OK)
            kb_data_key_put(answer, &made, NULL);
    }
    return status;
}

/* --- unwrapping a batch -------------------------------------------------------------- */

enum { ECB_BLOCK = 16 };

static enum kb_status unwrap_aes(struct work *work, struct kb_bytes wrapped,
                                 struct kb_data_key *out, uint8_t *plain, struct kb_error *err)
{
    CK_OBJECT_HANDLE object;
    CK_ULONG size = KB_TOKEN_DATA_KEY_MAX;
    enum kb_status status = unwrap(work, wrapped, &object, err);
    CK_RV rv;

    if (status != KB_OK)
        return status;
    out->size = (uint16_t)(wrapped.size - 8);
    if (!work->release)
        return keep(work, object, out, err);
    rv = read_value(work, object, plain, &size);
    destroy(work, object);
    if (rv == CKR_BUFFER_TOO_SMALL || (rv == CKR_OK && size != out->size))
        return KB_ERR_AUTH;
    return rv == CKR_OK ? KB_OK
                        : work_fail(work, err, rv, "reading a key after C_UnwrapKey", KB_WRAP_AES);
}

/* The key of a padded text of a block more (RFC 5652 section 6.3). */
static bool unpad(const uint8_t *text, size_t size, struct kb_data_key *out, uint8_t *plain)
{
    uint8_t wrong = 0, padding = text[size - 1];

    for (size_t i = 1; i <= ECB_BLOCK; i++)
        wrong |= (uint8_t)((i <= padding) & (text[size - i] != padding));
    if (wrong || padding == 0 || padding > ECB_BLOCK)
        return false;
    out->size = (uint16_t)(size - padding);
    if (out->size != 16 && out->size != 24 && out->size != 32)
        return false;
    memcpy(plain, text, out->size);
    return true;
}

/* Key and padding: two or three blocks. A key that came out of a decryption
 * cannot be kept from leaving, so that there is nothing to keep. */
static enum kb_status unwrap_ecb(struct work *work, struct kb_bytes wrapped,
                                 struct kb_data_key *out, uint8_t *plain, struct kb_error *err)
{
    struct helper *helper = work->helper;
    CK_MECHANISM mechanism = mechanism_make(helper->vendor, MECHANISM_ECB, NULL);
    uint8_t text[KB_TOKEN_DATA_KEY_MAX + ECB_BLOCK];
    CK_ULONG size = sizeof text;
    bool good;
    CK_RV rv;

    if (!work->release || (wrapped.size != 32 && wrapped.size != 48))
        return KB_ERR_AUTH;
    rv = helper->f->C_DecryptInit(helper->session, &mechanism, work->key->working);
    if (rv == CKR_OK)
        rv = helper->f->C_Decrypt(helper->session, kb_input(wrapped), wrapped.size, text, &size);
    if (rv != CKR_OK)
        return work_fail(work, err, rv, "C_Decrypt", KB_WRAP_AES_ECB);
    good = size == wrapped.size && unpad(text, size, out, plain);
    kb_wipe(text, sizeof text);
    return good ? KB_OK : KB_ERR_AUTH;
}

static enum kb_status unwrap_item(struct work *work, const struct kb_request_item *item,
                                  struct kb_data_key *out, uint8_t *plain, struct kb_error *err)
{
    CK_OBJECT_HANDLE object;
    enum kb_status status;

    if (!algorithm_fits(work, item->algorithm))
        return KB_ERR_AUTH;
    if (item->algorithm == KB_WRAP_AES_ECB)
        return unwrap_ecb(work, item->bytes, out, plain, err);
    if (!work->rsa)
        return unwrap_aes(work, item->bytes, out, plain, err);
    if (work->release)
        return rsa_unwrap(work, item, out, plain, err);
    status = rsa_unwrap_inside(work, item->algorithm, item->bytes, out, &object, err);
    return status == KB_OK ? keep(work, object, out, err) : status;
}

enum kb_status data_keys_unwrap(struct helper *helper, const struct kb_request *request,
                                struct kb_buffer *answer, struct kb_error *err)
{
    uint8_t plain[KB_TOKEN_DATA_KEY_MAX];
    struct work work;
    enum kb_status status = begin(&work, helper, request, err);

    if (status == KB_OK && work.key->info.public_only)
        status = kb_error_set(err, KB_ERR_DENIED,
                              "key '%.80s' is a public key: it can wrap, not unwrap",
                              request->name);
    for (uint32_t i = 0; i < request->count && status == KB_OK; i++) {
        struct kb_data_key key;

        key.handle = 0;
        key.wrapped_size = 0; /* the client has it */
        key.status = unwrap_item(&work, &request->items[i], &key, plain, err);
        if (key.status != KB_OK && key.status != KB_ERR_AUTH)
            status = key.status;
        else
            kb_data_key_put(answer, &key, request->release ? plain : NULL);
    }
    kb_wipe(plain, sizeof plain);
    if (status != KB_OK)
        undo(&work);
    return status;
}
