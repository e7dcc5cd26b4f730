/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/failure.h"

#include <openssl/err.h>

enum kb_status kb_openssl_failure(struct kb_error *err, const char *what)
{
    char reason[160];

    ERR_error_string_n(ERR_get_error(), reason, sizeof reason);
    ERR_clear_error();
    return kb_error_set(err, KB_ERR_SYSTEM, "OpenSSL: %s: %s", what, reason);
}

enum kb_status kb_openssl_refusal(struct kb_error *err)
{
    ERR_clear_error();
    return kb_error_set(err, KB_ERR_AUTH, "%s", kb_status_sentence(KB_ERR_AUTH));
}
