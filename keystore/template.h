/* SPDX-License-Identifier: Apache-2.0
 *
 * Builds attribute templates. Every attribute is given explicitly, since the
 * defaults of tokens differ.
 */
#ifndef KB_KEYSTORE_TEMPLATE_H
#define KB_KEYSTORE_TEMPLATE_H

#include <p11-kit/pkcs11.h>

#include <keybridge/bytes.h>

enum { TEMPLATE_ROWS = 32, TEMPLATE_NUMBERS = 4 };

/* Points into itself and to what it was given: neither may move. */
struct template {
    CK_ATTRIBUTE rows[TEMPLATE_ROWS];
    CK_ULONG count;
    CK_ULONG numbers[TEMPLATE_NUMBERS];
    size_t numbers_used;
};

/* What a key may be used for. */
enum {
    MAY_ENCRYPT = 1,
    MAY_DECRYPT = 2,
    MAY_SIGN = 4,
    MAY_VERIFY = 8,
    MAY_WRAP = 16,
    MAY_UNWRAP = 32,
};

void template_bytes(struct template *out, CK_ATTRIBUTE_TYPE type, const void *data, size_t size);
void template_number(struct template *out, CK_ATTRIBUTE_TYPE type, CK_ULONG value);
void template_flag(struct template *out, CK_ATTRIBUTE_TYPE type, bool value);

/* All MAY_ attributes, set or not. */
void template_uses(struct template *out, unsigned uses);

/* Those of a private key, and of a public one. */
void template_private_uses(struct template *out, unsigned uses);
void template_public_uses(struct template *out, unsigned uses);

/* A throw-away secret key in the session. */
void template_session_key(struct template *out, CK_KEY_TYPE type, bool sensitive,
                          bool extractable, unsigned uses);

#endif
