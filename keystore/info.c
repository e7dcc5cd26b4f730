/* SPDX-License-Identifier: Apache-2.0
 *
 * What a key is: as the token tells it, and as we recorded it in its CKA_ID.
 */
#include "keystore/helper.h"

#include <stdio.h>
#include <string.h>

enum { ID_FORMAT = 1, ID_RELEASE_NEVER = 1, ID_ROOM = 64 };

void key_id_make(uint8_t id[KEY_ID_SIZE], const struct kb_key_spec *spec,
                 enum kb_key_origin origin, const uint8_t random[8])
{
    const uint8_t head[7] = {'K',
                             'B',
                             ID_FORMAT,
                             (uint8_t)spec->use,
                             (uint8_t)spec->type,
                             (uint8_t)origin,
                             spec->release_never ? ID_RELEASE_NEVER : 0};

    memcpy(id, head, sizeof head);
    memcpy(id + sizeof head, random, 8);
}

CK_RV attribute_read(struct helper *helper, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type,
                     void *out, CK_ULONG *size)
{
    CK_ATTRIBUTE row = {type, out, *size};
    CK_RV rv = helper->f->C_GetAttributeValue(helper->session, object, &row, 1);

    *size = rv == CKR_OK && row.ulValueLen != CK_UNAVAILABLE_INFORMATION ? row.ulValueLen : 0;
    return rv;
}

enum kb_answer key_flag_read(struct helper *helper, CK_OBJECT_HANDLE object,
                             CK_ATTRIBUTE_TYPE type)
{
    CK_BBOOL value = CK_FALSE;
    CK_ULONG size = sizeof value;

    if (attribute_read(helper, object, type, &value, &size) != CKR_OK || size != sizeof value)
        return KB_ANSWER_UNKNOWN;
    return value ? KB_ANSWER_YES : KB_ANSWER_NO;
}

static CK_ULONG read_number(struct helper *helper, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type,
                            CK_ULONG otherwise)
{
    CK_ULONG value = 0, size = sizeof value;

    if (attribute_read(helper, object, type, &value, &size) != CKR_OK || size != sizeof value)
        return otherwise;
    return value;
}

/* --- flags --------------------------------------------------------------------- */

#define FLAGS(X)                                                                                   \
    X(CKA_TOKEN, on_token) X(CKA_PRIVATE, is_private) X(CKA_SENSITIVE, sensitive)                  \
    X(CKA_ALWAYS_SENSITIVE, always_sensitive) X(CKA_EXTRACTABLE, extractable)                      \
    X(CKA_NEVER_EXTRACTABLE, never_extractable) X(CKA_LOCAL, local)                                \
    X(CKA_MODIFIABLE, modifiable) X(CKA_WRAP, may_wrap) X(CKA_UNWRAP, may_unwrap)                  \
    X(CKA_SIGN, may_sign) X(CKA_VERIFY, may_verify) X(CKA_ENCRYPT, may_encrypt)                    \
    X(CKA_DECRYPT, may_decrypt)

static void read_flags(struct helper *helper, CK_OBJECT_HANDLE object, struct kb_key_info *info)
{
#define READ_FLAG(type, field) info->field = key_flag_read(helper, object, type);
    FLAGS(READ_FLAG)
#undef READ_FLAG
}

/* What a pair may do is told by the object that does it. */
static void read_public_flags(struct helper *helper, CK_OBJECT_HANDLE object,
                              struct kb_key_info *info)
{
    if (object == CK_INVALID_HANDLE)
        return;
    info->may_wrap = key_flag_read(helper, object, CKA_WRAP);
    info->may_encrypt = key_flag_read(helper, object, CKA_ENCRYPT);
    info->may_verify = key_flag_read(helper, object, CKA_VERIFY);
}

/* --- policy: allowed mechanisms and the template of unwrapped keys ------------------ */

/* True when nothing is allowed but what this kind of key is for. */
static bool is_narrow(struct helper *helper, const struct kb_key_info *info,
                      const CK_MECHANISM_TYPE *allowed, size_t count)
{
    enum mechanism wanted[KEY_MECHANISMS_MAX];
    size_t must, wanted_count = mechanisms_of_key(wanted, &must, info->use, info->type,
                                                  info->release_never);

    for (size_t i = 0; i < count; i++) {
        size_t j = 0;

        while (j < wanted_count && mechanism_row(helper->vendor, wanted[j])->number != allowed[i])
            j++;
        if (j == wanted_count)
            return false;
    }
    return count > 0;
}

static void read_mechanisms(struct helper *helper, CK_OBJECT_HANDLE object,
                            struct kb_key_info *info)
{
    CK_MECHANISM_TYPE allowed[8];
    CK_ULONG size = sizeof allowed;
    CK_RV rv = attribute_read(helper, object, CKA_ALLOWED_MECHANISMS, allowed, &size);
    size_t count = size / sizeof allowed[0], used = 0;

    info->mechanisms_enforced = KB_ANSWER_NO;
    if (rv != CKR_OK && rv != CKR_ATTRIBUTE_TYPE_INVALID)
        info->mechanisms_enforced = KB_ANSWER_UNKNOWN;
    if (is_narrow(helper, info, allowed, count))
        info->mechanisms_enforced = KB_ANSWER_YES;
    for (size_t i = 0; i < count; i++) {
        const char *name = NULL;
        int added;

        for (enum mechanism which = 0; which < MECHANISM_COUNT; which++)
            if (mechanism_row(helper->vendor, which)->number == allowed[i])
                name = mechanism_row(helper->vendor, which)->name;
        added = name ? snprintf(info->mechanisms + used, sizeof info->mechanisms - used, "%s%s",
                                used ? " " : "", name)
                     : snprintf(info->mechanisms + used, sizeof info->mechanisms - used,
                                "%s0x%lx", used ? " " : "", allowed[i]);
        if (added < 0 || (size_t)added >= sizeof info->mechanisms - used)
            break;
        used += (size_t)added;
    }
}

/* NSS stores the rows as they were given, with pointers into a process that is
 * long gone: only what was written to our own memory is looked at. */
static bool row_is(const CK_ATTRIBUTE *rows, size_t count, uint8_t values[][sizeof(CK_ULONG)],
                   CK_ATTRIBUTE_TYPE type, CK_BBOOL wanted)
{
    for (size_t i = 0; i < count; i++)
        if (rows[i].type == type)
            return rows[i].pValue == values[i] && rows[i].ulValueLen == sizeof(CK_BBOOL) &&
                   values[i][0] == wanted;
    return false;
}

/* YES when keys unwrapped with this one must be sensitive and never leave. */
static enum kb_answer read_unwrap_template(struct helper *helper, CK_OBJECT_HANDLE object)
{
    uint8_t values[8][sizeof(CK_ULONG)] = {{0}};
    CK_ATTRIBUTE rows[8] = {{0}};
    CK_ULONG size = 0;
    CK_RV rv = attribute_read(helper, object, CKA_UNWRAP_TEMPLATE, NULL, &size);
    size_t count = size / sizeof rows[0];

    if (rv != CKR_OK && rv != CKR_ATTRIBUTE_TYPE_INVALID)
        return KB_ANSWER_UNKNOWN;
    if (count == 0 || count > 8)
        return KB_ANSWER_NO;
    /* First the types, then, into rows that have them, the values. */
    rv = attribute_read(helper, object, CKA_UNWRAP_TEMPLATE, rows, &size);
    for (size_t i = 0; i < count; i++)
        rows[i] = (CK_ATTRIBUTE){rows[i].type, values[i], sizeof values[i]};
    if (rv == CKR_OK)
        rv = attribute_read(helper, object, CKA_UNWRAP_TEMPLATE, rows, &size);
    if (rv != CKR_OK || size != count * sizeof rows[0])
        return KB_ANSWER_UNKNOWN;
    return row_is(rows, count, values, CKA_SENSITIVE, CK_TRUE) &&
                   row_is(rows, count, values, CKA_EXTRACTABLE, CK_FALSE)
               ? KB_ANSWER_YES
               : KB_ANSWER_NO;
}

/* --- use and type ---------------------------------------------------------------- */

static enum kb_key_type aes_type(CK_ULONG size)
{
    return size == 16   ? KB_KEY_AES_128
           : size == 24 ? KB_KEY_AES_192
           : size == 32 ? KB_KEY_AES_256
                        : KB_KEY_TYPE_UNKNOWN;
}

static enum kb_key_type hmac_type(CK_KEY_TYPE type, CK_ULONG size)
{
    switch (type) {
    case CKK_SHA224_HMAC:
        return KB_KEY_HMAC_SHA224;
    case CKK_SHA256_HMAC:
        return KB_KEY_HMAC_SHA256;
    case CKK_SHA384_HMAC:
        return KB_KEY_HMAC_SHA384;
    case CKK_SHA512_HMAC:
        return KB_KEY_HMAC_SHA512;
    case CKK_GENERIC_SECRET:
        return size == 28   ? KB_KEY_HMAC_SHA224
               : size == 32 ? KB_KEY_HMAC_SHA256
               : size == 48 ? KB_KEY_HMAC_SHA384
               : size == 64 ? KB_KEY_HMAC_SHA512
                            : KB_KEY_TYPE_UNKNOWN;
    default:
        return KB_KEY_TYPE_UNKNOWN;
    }
}

/* Of RSA and EC: the type, and how long the key is. */
static enum kb_key_type pair_type(struct helper *helper, CK_OBJECT_HANDLE object, CK_KEY_TYPE type,
                                  unsigned *bits)
{
    uint8_t value[MODULUS_ROOM];
    CK_ULONG size = sizeof value;
    enum kb_key_type found;

    *bits = 0;
    if (attribute_read(helper, object, type == CKK_RSA ? CKA_MODULUS : CKA_EC_PARAMS, value,
                       &size) != CKR_OK)
        size = 0;
    if (type == CKK_RSA) {
        CK_ULONG zeros = 0;

        while (zeros < size && value[zeros] == 0)
            zeros++;
        *bits = (unsigned)(size - zeros) * 8;
        for (uint8_t top = zeros < size ? value[zeros] : 0x80; !(top & 0x80); top <<= 1)
            --*bits;
        return kb_rsa_type(*bits);
    }
    found = kb_type_of_curve((struct kb_bytes){value, size});
    *bits = found == KB_KEY_EC_P256 ? 256 : found == KB_KEY_EC_P384 ? 384 : 0;
    return found;
}

/* The hash of the only HMAC a key is allowed to make says more than its size. */
static enum kb_key_type allowed_type(struct helper *helper, CK_OBJECT_HANDLE object)
{
    CK_MECHANISM_TYPE allowed = 0;
    CK_ULONG size = sizeof allowed;

    if (attribute_read(helper, object, CKA_ALLOWED_MECHANISMS, &allowed, &size) == CKR_OK &&
        size == sizeof allowed)
        for (enum kb_hash hash = KB_SHA224; hash <= KB_SHA512; hash++)
            if (mechanism_row(helper->vendor, mechanism_of_hash(hash))->number == allowed)
                return (enum kb_key_type)(KB_KEY_HMAC_SHA224 + (hash - KB_SHA224));
    return KB_KEY_TYPE_UNKNOWN;
}

static bool is_pair_type(CK_KEY_TYPE type)
{
    return type == CKK_RSA || type == CKK_EC;
}

/* True when a key may do AES-GCM and the token lets it do nothing else. */
static bool is_for_gcm(struct helper *helper, CK_OBJECT_HANDLE object)
{
    CK_MECHANISM_TYPE allowed = 0;
    CK_ULONG size = sizeof allowed;

    return attribute_read(helper, object, CKA_ALLOWED_MECHANISMS, &allowed, &size) == CKR_OK &&
           size == sizeof allowed &&
           mechanism_row(helper->vendor, MECHANISM_GCM)->number == allowed;
}

/* A pair wraps by its public half, and decrypts by its private one. */
static enum kb_key_use use_of(const struct kb_key_info *info, bool pair)
{
    bool encrypt = info->may_encrypt == KB_ANSWER_YES || info->may_decrypt == KB_ANSWER_YES;

    if (info->may_wrap == KB_ANSWER_YES || info->may_unwrap == KB_ANSWER_YES || (pair && encrypt))
        return KB_KEY_WRAP;
    if (info->may_sign == KB_ANSWER_YES || (pair && info->may_verify == KB_ANSWER_YES))
        return KB_KEY_SIGN;
    return encrypt ? KB_KEY_CONTENT : KB_KEY_USE_UNKNOWN;
}

static void classify(struct helper *helper, CK_OBJECT_HANDLE object, struct kb_key_info *info,
                     CK_KEY_TYPE type, CK_ULONG size)
{
    info->use = use_of(info, is_pair_type(type));
    if (is_pair_type(type)) {
        info->type = pair_type(helper, object, type, &info->bits);
    } else if (type == CKK_AES) {
        info->type = aes_type(size);
        if (info->use == KB_KEY_CONTENT && is_for_gcm(helper, object))
            info->use = KB_KEY_ENVELOPE;
    } else {
        info->type = allowed_type(helper, object);
        if (info->type == KB_KEY_TYPE_UNKNOWN)
            info->type = hmac_type(type, size);
    }
}

/* May the key be what its record says? */
static bool may_be(const struct kb_key_info *info, enum kb_key_use use)
{
    if (info->public_only)
        return (use == KB_KEY_WRAP ? info->may_wrap : info->may_verify) != KB_ANSWER_NO;
    return (use == KB_KEY_WRAP   ? info->may_unwrap
            : use == KB_KEY_SIGN ? info->may_sign
                                 : info->may_decrypt) != KB_ANSWER_NO;
}

/* Do the types of record and token agree? */
static bool is_of(enum kb_key_type type, enum kb_key_use use, CK_KEY_TYPE token_type)
{
    if (key_type_is_rsa(type))
        return token_type == CKK_RSA && (use == KB_KEY_WRAP || use == KB_KEY_SIGN);
    if (key_type_is_ec(type))
        return token_type == CKK_EC && use == KB_KEY_SIGN;
    if (type <= KB_KEY_AES_256)
        return token_type == CKK_AES && use != KB_KEY_SIGN;
    return token_type != CKK_AES && !is_pair_type(token_type) && use == KB_KEY_SIGN;
}

/* Takes our record from CKA_ID, unless the token contradicts it: anybody who
 * may make keys can write one. */
static bool take_record(struct kb_key_info *info, const uint8_t *id, CK_ULONG size,
                        CK_KEY_TYPE type, enum kb_key_type told)
{
    if (size != KEY_ID_SIZE || id[0] != 'K' || id[1] != 'B' || id[2] != ID_FORMAT ||
        id[3] == KB_KEY_USE_UNKNOWN || id[3] > KB_KEY_LEGACY || id[4] == KB_KEY_TYPE_UNKNOWN ||
        id[4] > KB_KEY_EC || id[5] < KB_KEY_GENERATED || id[5] > KB_KEY_IMPORTED)
        return false;
    if (!is_of((enum kb_key_type)id[4], (enum kb_key_use)id[3], type) ||
        !may_be(info, (enum kb_key_use)id[3]) ||
        (told != KB_KEY_TYPE_UNKNOWN && told != (enum kb_key_type)id[4]))
        return false;
    info->use = (enum kb_key_use)id[3];
    info->type = (enum kb_key_type)id[4];
    info->origin = (enum kb_key_origin)id[5];
    info->release_never = id[6] & ID_RELEASE_NEVER;
    return true;
}

/* --- all together ------------------------------------------------------------------ */

void key_id_format(char *out, size_t room, const uint8_t *data, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    size_t at = 0;

    for (size_t i = 0; i < size && at + 2 < room; i++) {
        out[at++] = digits[data[i] >> 4];
        out[at++] = digits[data[i] & 15];
    }
    out[at] = 0;
}

/* The label and the id; a failure here means there is no such key any more. */
static CK_RV read_names(struct helper *helper, CK_OBJECT_HANDLE object, struct kb_key_info *info,
                        uint8_t id[ID_ROOM], CK_ULONG *id_size)
{
    CK_ULONG size = sizeof info->name - 1;
    CK_RV rv = attribute_read(helper, object, CKA_LABEL, info->name, &size);

    if (rv != CKR_OK && rv != CKR_ATTRIBUTE_TYPE_INVALID && rv != CKR_BUFFER_TOO_SMALL)
        return rv;
    info->name[size] = 0;
    *id_size = ID_ROOM;
    rv = attribute_read(helper, object, CKA_ID, id, id_size);
    return rv == CKR_ATTRIBUTE_TYPE_INVALID || rv == CKR_BUFFER_TOO_SMALL ? CKR_OK : rv;
}

static bool same_value(struct helper *helper, CK_OBJECT_HANDLE a, CK_OBJECT_HANDLE b,
                       CK_ATTRIBUTE_TYPE type)
{
    uint8_t of_a[256], of_b[256];
    CK_ULONG size_a = sizeof of_a, size_b = sizeof of_b;

    return attribute_read(helper, a, type, of_a, &size_a) == CKR_OK &&
           attribute_read(helper, b, type, of_b, &size_b) == CKR_OK && size_a == size_b &&
           memcmp(of_a, of_b, size_a) == 0;
}

bool key_is_pair(struct helper *helper, CK_OBJECT_HANDLE private_object,
                 CK_OBJECT_HANDLE public_object)
{
    return same_value(helper, private_object, public_object, CKA_LABEL) &&
           same_value(helper, private_object, public_object, CKA_ID) &&
           read_number(helper, private_object, CKA_KEY_TYPE, CK_UNAVAILABLE_INFORMATION) ==
               read_number(helper, public_object, CKA_KEY_TYPE, 0);
}

/* What the key's length, or its curve, says of its type. */
static enum kb_key_type told_type(struct helper *helper, CK_OBJECT_HANDLE object,
                                  struct kb_key_info *info, CK_KEY_TYPE type, CK_ULONG size)
{
    if (is_pair_type(type))
        return pair_type(helper, object, type, &info->bits);
    info->bits = size <= KB_HMAC_KEY_MAX ? (unsigned)size * 8 : 0;
    return type == CKK_AES && size ? aes_type(size) : KB_KEY_TYPE_UNKNOWN;
}

enum kb_status key_info_read(struct helper *helper, CK_OBJECT_HANDLE object,
                             CK_OBJECT_HANDLE public_object, struct kb_key_info *info,
                             struct kb_error *err)
{
    uint8_t id[ID_ROOM] = {0};
    CK_ULONG id_size, key_size = 0;
    CK_KEY_TYPE type;
    CK_RV rv;

    memset(info, 0, sizeof *info);
    rv = read_names(helper, object, info, id, &id_size);
    if (rv != CKR_OK)
        return helper_error(helper, err, rv, "reading the attributes of a key");
    info->public_only =
        read_number(helper, object, CKA_CLASS, CKO_SECRET_KEY) == CKO_PUBLIC_KEY;
    read_flags(helper, object, info);
    read_public_flags(helper, public_object, info);
    type = read_number(helper, object, CKA_KEY_TYPE, CK_UNAVAILABLE_INFORMATION);
    if (!is_pair_type(type))
        key_size = read_number(helper, object, CKA_VALUE_LEN, 0);
    key_id_format(info->id, sizeof info->id, id, id_size);
    info->release_never_enforced =
        info->public_only ? KB_ANSWER_NO : read_unwrap_template(helper, object);
    if (take_record(info, id, id_size, type, told_type(helper, object, info, type, key_size))) {
        key_id_format(info->version, sizeof info->version, id + KEY_ID_SIZE - 8, 8);
    } else {
        key_id_format(info->version, sizeof info->version, id, id_size > 16 ? 16 : id_size);
        classify(helper, object, info, type, key_size);
        info->release_never = info->release_never_enforced == KB_ANSWER_YES;
    }
    /* A pair that decrypts gives data keys away, whatever it unwraps them into. */
    if (is_pair_type(type) && info->may_decrypt == KB_ANSWER_YES)
        info->release_never_enforced = KB_ANSWER_NO;
    read_mechanisms(helper, object, info);
    return KB_OK;
}
