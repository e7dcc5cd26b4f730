/* SPDX-License-Identifier: Apache-2.0
 *
 * What OpenSSL says of a call that failed, as an error of ours.
 */
#ifndef KB_CRYPTO_FAILURE_H
#define KB_CRYPTO_FAILURE_H

#include <keybridge/status.h>

/* KB_ERR_SYSTEM with OpenSSL's reason; its queue of errors is empty then. */
enum kb_status kb_openssl_failure(struct kb_error *err, const char *what);

/* KB_ERR_AUTH in its one sentence; empties the queue too. */
enum kb_status kb_openssl_refusal(struct kb_error *err);

#endif
