/* SPDX-License-Identifier: Apache-2.0
 *
 * Trials: what was tried on the token, and what came out.
 */
#ifndef KB_KEYSTORE_PROBE_H
#define KB_KEYSTORE_PROBE_H

#include "keystore/helper.h"

enum { TRIALS_MAX = 48 };

struct trials {
    struct kb_token_trial rows[TRIALS_MAX];
    uint32_t count;
};

void trial_add(struct trials *trials, bool good, CK_RV rv, const char *what, const char *format,
               ...) KB_PRINTF(5, 6);
void trials_put(const struct trials *trials, struct kb_buffer *answer);

/* One trial under way: its steps until the first that fails. */
struct trial {
    struct helper *helper;
    const char *call;
    CK_RV rv;
};

/* False when the trial ends here. */
bool trial_step(struct trial *trial, const char *call, CK_RV rv);
/* A mechanism's row, by how far its trial came and what came out. */
void trial_conclude(struct trials *trials, const struct trial *trial, enum mechanism which,
                    bool right);
/* A throw-away key in the session; *key is for trial_end_key whatever happens. */
bool trial_new_key(struct trial *trial, CK_KEY_TYPE type, const void *value, size_t size, bool open,
                   unsigned uses, CK_OBJECT_HANDLE *key);
void trial_end_key(struct helper *helper, CK_OBJECT_HANDLE key);

/* AES-GCM, and who makes its IVs. */
void probe_gcm(struct helper *helper, struct trials *trials);

/* The mechanisms of RSA and EC keys. */
void probe_pairs(struct helper *helper, struct trials *trials);

#endif
