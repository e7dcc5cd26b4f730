/* SPDX-License-Identifier: Apache-2.0
 *
 * Several keyrings as one (framework/multi-keyring.md). There is no generator:
 * data keys are made before any keyring is asked.
 */
#include "keyring/keyring.h"

#include <stdlib.h>

struct multi_keyring {
    struct kb_keyring base;
    size_t count;
    struct kb_keyring *children[];
};

static enum kb_status multi_wrap(struct kb_keyring *keyring, struct kb_wrap_job *jobs, size_t n,
                                 struct kb_error *err)
{
    struct multi_keyring *multi = (struct multi_keyring *)keyring;
    enum kb_status status = KB_OK;

    for (size_t i = 0; status == KB_OK && i < multi->count; i++)
        status = kb_keyring_wrap(multi->children[i], jobs, n, err);
    return status;
}

static bool all_opened(const struct kb_unwrap_job *jobs, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!jobs[i].opened)
            return false;
    return true;
}

/* What went wrong with one child matters only to what no other child opens:
 * then the reader is told of it, rather than that the message is not for them. */
static enum kb_status multi_unwrap(struct kb_keyring *keyring, struct kb_unwrap_job *jobs, size_t n,
                                   struct kb_error *err)
{
    struct multi_keyring *multi = (struct multi_keyring *)keyring;
    struct kb_error first;
    enum kb_status failed = KB_OK;

    kb_error_clear(&first);
    for (size_t i = 0; i < multi->count && !all_opened(jobs, n); i++) {
        enum kb_status status = kb_keyring_unwrap(multi->children[i], jobs, n, &first);

        if (failed == KB_OK)
            failed = status;
    }
    if (failed == KB_OK || all_opened(jobs, n))
        return KB_OK;
    if (err && err->status == KB_OK)
        *err = first;
    return failed;
}

static void multi_clear(struct kb_keyring *keyring)
{
    struct multi_keyring *multi = (struct multi_keyring *)keyring;

    for (size_t i = 0; i < multi->count; i++)
        kb_keyring_release(multi->children[i]);
}

static const struct kb_keyring_type multi_type = {multi_wrap, multi_unwrap, multi_clear};

enum kb_status kb_keyring_multi(struct kb_keyring **out, struct kb_keyring *const *keyrings,
                                size_t n, struct kb_error *err)
{
    struct multi_keyring *multi;

    *out = NULL;
    if (n == 0)
        return kb_error_set(err, KB_ERR_USAGE, "a multi-keyring has at least one keyring");
    if (n > KB_ESDK_EDKS_MAX)
        return kb_error_set(err, KB_ERR_USAGE, "a message has at most %d recipients",
                            KB_ESDK_EDKS_MAX);
    multi = calloc(1, sizeof *multi + n * sizeof multi->children[0]);
    if (!multi)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    multi->base.type = &multi_type;
    atomic_init(&multi->base.references, 1);
    for (size_t i = 0; i < n; i++) {
        multi->children[multi->count++] = kb_keyring_retain(keyrings[i]);
        if (!multi->base.keystore)
            multi->base.keystore = keyrings[i]->keystore;
    }
    *out = &multi->base;
    return KB_OK;
}
