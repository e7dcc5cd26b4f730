/* SPDX-License-Identifier: Apache-2.0 */
#include "keystore/helper.h"

#include <stdarg.h>
#include <stdio.h>

enum kb_status helper_error(struct helper *helper, struct kb_error *err, CK_RV rv,
                            const char *format, ...)
{
    char what[200];
    va_list args;

    va_start(args, format);
    if (vsnprintf(what, sizeof what, format, args) < 0)
        what[0] = 0;
    va_end(args);
    if (ckr_find(rv)->kind == CKR_CLASS_LOST)
        helper->lost = true;
    return ckr_error(err, rv, "%s", what);
}
