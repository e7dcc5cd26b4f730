/* SPDX-License-Identifier: Apache-2.0
 *
 * One trial after the other, and the rows they leave.
 */
#include "keystore/probe.h"

#include <stdarg.h>
#include <stdio.h>

void trial_add(struct trials *trials, bool good, CK_RV rv, const char *what, const char *format,
               ...)
{
    struct kb_token_trial *row;
    va_list args;

    if (trials->count == TRIALS_MAX)
        return;
    row = &trials->rows[trials->count++];
    snprintf(row->what, sizeof row->what, "%s", what);
    va_start(args, format);
    if (vsnprintf(row->outcome, sizeof row->outcome, format, args) < 0)
        row->outcome[0] = 0;
    va_end(args);
    row->good = good;
    row->ck_rv = rv;
}

void trials_put(const struct trials *trials, struct kb_buffer *answer)
{
    kb_buffer_put_u32(answer, trials->count);
    for (uint32_t i = 0; i < trials->count; i++)
        kb_trial_put(answer, &trials->rows[i]);
}

bool trial_step(struct trial *trial, const char *call, CK_RV rv)
{
    trial->call = call;
    trial->rv = rv;
    if (ckr_find(rv)->kind == CKR_CLASS_LOST)
        trial->helper->lost = true;
    return rv == CKR_OK;
}

void trial_conclude(struct trials *trials, const struct trial *trial, enum mechanism which,
                    bool right)
{
    const struct mechanism_row *row = mechanism_row(trial->helper->vendor, which);
    char what[sizeof trials->rows[0].what];

    snprintf(what, sizeof what, "%s (%s)", row->what, row->name);
    if (trial->rv != CKR_OK)
        trial_add(trials, false, trial->rv, what, "refused: %s: %s", trial->call,
                  ckr_find(trial->rv)->name);
    else
        trial_add(trials, right, CKR_OK, what, "%s",
                  right ? "works" : "gives a wrong result: do not use this token");
}

bool trial_new_key(struct trial *trial, CK_KEY_TYPE type, const void *value, size_t size, bool open,
                   unsigned uses, CK_OBJECT_HANDLE *key)
{
    struct helper *helper = trial->helper;
    struct template wanted;

    *key = CK_INVALID_HANDLE;
    template_session_key(&wanted, type, !open, open, uses);
    template_bytes(&wanted, CKA_VALUE, value, size);
    return trial_step(trial, "C_CreateObject",
                helper->f->C_CreateObject(helper->session, wanted.rows, wanted.count, key));
}

void trial_end_key(struct helper *helper, CK_OBJECT_HANDLE key)
{
    if (key != CK_INVALID_HANDLE)
        (void)helper->f->C_DestroyObject(helper->session, key);
}
