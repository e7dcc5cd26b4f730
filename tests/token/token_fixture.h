/* SPDX-License-Identifier: Apache-2.0
 *
 * Throw-away tokens for tests: SoftHSM and NSS, each in a folder of its own.
 */
#ifndef TOKEN_FIXTURE_H
#define TOKEN_FIXTURE_H

#include <keybridge/keystore.h>

enum token_kind { TOKEN_SOFTHSM, TOKEN_NSS, TOKEN_KINDS };

struct token_fixture {
    enum token_kind kind;
    char folder[320];
    char conf[400];       /* softhsm2.conf */
    char parameters[512]; /* of NSS */
    struct kb_secret *pin;
    struct kb_secret *so_pin;
    struct kb_keystore_options options; /* to open it with; change what you test */
};

/* "softhsm", "nss" */
const char *token_kind_name(enum token_kind kind);

/* Path of the module; NULL, after one loud line, when it is not installed. */
const char *token_module(enum token_kind kind);

/* Makes a token. `profile`: a file of hsm-config/profiles that takes abilities
 * from SoftHSM, or NULL. False after a message. */
bool token_fixture_make(struct token_fixture *fixture, enum token_kind kind, const char *profile);
void token_fixture_free(struct token_fixture *fixture);

/* Makes a token and opens a keystore on it. */
bool token_fixture_open(struct token_fixture *fixture, enum token_kind kind,
                        struct kb_keystore **keystore);

/* Writes a 0600 file. */
bool token_file_write(const char *path, const char *text);

#endif
