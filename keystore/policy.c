/* SPDX-License-Identifier: Apache-2.0
 *
 * Attributes that only add protection, of keys of every kind.
 */
#include "keystore/helper.h"

/* CKA_MODIFIABLE stays true: SoftHSM makes no session copy of a key that may
 * not be modified, and without the copy every use costs several times more. */
void policy_put(struct template *out, const struct new_key *key, unsigned policy)
{
    static CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
    static CK_ATTRIBUTE unwrapped[] = {
        {CKA_SENSITIVE, &yes, sizeof yes},
        {CKA_EXTRACTABLE, &no, sizeof no},
    };

    template_flag(out, CKA_MODIFIABLE, true);
    if (policy & POLICY_MECHANISMS)
        template_bytes(out, CKA_ALLOWED_MECHANISMS, key->allowed,
                       key->allowed_count * sizeof key->allowed[0]);
    if (policy & POLICY_UNWRAP)
        template_bytes(out, CKA_UNWRAP_TEMPLATE, unwrapped, sizeof unwrapped);
}
