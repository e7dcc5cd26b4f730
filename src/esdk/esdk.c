/* SPDX-License-Identifier: Apache-2.0
 *
 * The configuration, and what the policies say.
 */
#include "esdk/message.h"

#include <stdlib.h>

enum kb_status kb_esdk_new(struct kb_esdk **out, struct kb_keyring *keyring,
                           const struct kb_esdk_options *options, struct kb_error *err)
{
    const struct kb_esdk_options given = options ? *options : (struct kb_esdk_options){0};
    struct kb_esdk *esdk;

    *out = NULL;
    if (!keyring)
        return kb_error_set(err, KB_ERR_USAGE, "no keyring is given");
    if ((unsigned)given.policy > KB_COMMITMENT_FORBID_ALLOW || given.max_edks > KB_ESDK_EDKS_MAX)
        return kb_error_set(err, KB_ERR_USAGE, "there is no such policy, or number of recipients");
    esdk = calloc(1, sizeof *esdk);
    if (!esdk)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    esdk->options = given;
    if (!given.max_edks)
        esdk->options.max_edks = KB_ESDK_EDKS_DEFAULT;
    if (!given.workers)
        esdk->options.workers = 1;
    if (given.workers > ESDK_WORKERS_MAX)
        esdk->options.workers = ESDK_WORKERS_MAX;
    esdk->keyring = kb_keyring_retain(keyring);
    atomic_init(&esdk->references, 1);
    *out = esdk;
    return KB_OK;
}

struct kb_esdk *kb_esdk_retain(struct kb_esdk *esdk)
{
    atomic_fetch_add(&esdk->references, 1);
    return esdk;
}

void kb_esdk_release(struct kb_esdk *esdk)
{
    if (!esdk || atomic_fetch_sub(&esdk->references, 1) > 1)
        return;
    kb_keyring_release(esdk->keyring);
    free(esdk);
}

enum kb_status esdk_policy_write(enum kb_commitment policy, const struct esdk_suite *suite,
                                 struct kb_error *err)
{
    enum kb_status status;

    if (!suite->kdf) {
        status =
            kb_error_set(err, KB_ERR_USAGE, "suite 0x%04x is read, but not written", suite->id);
        kb_error_hint(err, "it encrypts with the data key itself; take 0x0578 or 0x0478");
        return status;
    }
    if (suite->committing == (policy != KB_COMMITMENT_FORBID_ALLOW))
        return KB_OK;
    if (suite->committing) {
        status = kb_error_set(err, KB_ERR_USAGE,
                              "suite 0x%04x commits to its key, which the policy forbids",
                              suite->id);
        kb_error_hint(err, "the policies 'require-require' and 'require-allow' write it");
        return status;
    }
    status = kb_error_set(err, KB_ERR_USAGE,
                          "suite 0x%04x does not commit to its key, as the policy requires",
                          suite->id);
    kb_error_hint(err, "the policy 'forbid-allow' writes it");
    return status;
}

enum kb_status esdk_policy_read(enum kb_commitment policy, const struct esdk_suite *suite,
                                struct kb_error *err)
{
    enum kb_status status;

    if (suite->committing || policy != KB_COMMITMENT_REQUIRE_REQUIRE)
        return KB_OK;
    status = kb_error_set(err, KB_ERR_DENIED,
                          "the message's suite 0x%04x does not commit to its key, as the policy "
                          "requires",
                          suite->id);
    kb_error_hint(err, "the policies 'require-allow' and 'forbid-allow' read it");
    return status;
}

enum kb_status esdk_refuse(struct kb_error *err)
{
    return kb_error_set(err, KB_ERR_AUTH,
                        "no key here opens this message, or it or its context was altered");
}

enum kb_status esdk_verdict(enum kb_status status, struct kb_error *err)
{
    if (status == KB_OK)
        return KB_OK;
    return status == KB_ERR_AUTH ? esdk_refuse(err)
                                 : kb_error_set(err, status, "a message could not be verified: %s",
                                                kb_status_sentence(status));
}
