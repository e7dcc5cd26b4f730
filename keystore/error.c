/* SPDX-License-Identifier: Apache-2.0 */
#include "keystore/datakey.h"

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

enum kb_status work_fail(struct work *work, struct kb_error *err, CK_RV rv, const char *call,
                         enum kb_wrap_algorithm algorithm)
{
    return helper_error(work->helper, err, rv, "%s with %s and key '%.64s'", call,
                        mechanism_wrap_name(algorithm), work->name);
}
