/* SPDX-License-Identifier: Apache-2.0
 *
 * What other programs do to a token behind keybridge's back: keys with names
 * that are there already, keys that were made elsewhere, deletion. Runs in a
 * process of its own, so that no module is mapped into the test.
 */
#ifndef FOREIGN_H
#define FOREIGN_H

#include "token_fixture.h"

enum foreign_key {
    FOREIGN_WRAP,        /* sensitive AES-256, may wrap and unwrap */
    FOREIGN_OPEN,        /* AES-128, may encrypt and decrypt, not sensitive, extractable */
    FOREIGN_GCM,         /* sensitive AES-256, may encrypt and decrypt, by AES-GCM alone */
    FOREIGN_SIGN,        /* a generic secret of 32 bytes */
    FOREIGN_SIGN_SHA512, /* CKK_SHA512_HMAC of 80 bytes */
    FOREIGN_FORGED,      /* an HMAC key whose CKA_ID says it is a wrapping key of ours */
    FOREIGN_PUBLIC,      /* an RSA public key of its own id */
    FOREIGN_SPOOF,       /* another RSA public key in the place, with label and id, of the one
                            there is */
    FOREIGN_DROP_PUBLIC, /* no key: destroys public keys of that label */
    FOREIGN_DESTROY,     /* no key: destroys those of that label */
};

/* For main: when argv asks for it, does the work and returns true. */
bool foreign_main(int argc, char **argv, int *exit_code);

/* Runs it on the fixture's token. */
bool foreign_do(const struct token_fixture *fixture, enum foreign_key what, const char *label);

#endif
