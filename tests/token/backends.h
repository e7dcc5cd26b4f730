/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs each test on every kind of token. A program has one token of a kind,
 * made when it is first used; a test takes key names of its own.
 */
#ifndef BACKENDS_H
#define BACKENDS_H

#include "kbtest.h"
#include "token_fixture.h"

/* In the list of tests: BOTH(name) for `static void name(enum token_kind)`. */
#define DEFINE_BOTH(name)                                                                          \
    static void name##_softhsm(void)                                                               \
    {                                                                                              \
        name(TOKEN_SOFTHSM);                                                                       \
    }                                                                                              \
    static void name##_nss(void)                                                                   \
    {                                                                                              \
        name(TOKEN_NSS);                                                                           \
    }
#define BOTH(name) {#name " (softhsm)", name##_softhsm}, {#name " (nss)", name##_nss}

/* The program's token of that kind and a keystore on it. NULL, and a failed
 * assertion, when there is none. */
struct kb_keystore *backend_keystore(enum token_kind kind);
struct token_fixture *backend_fixture(enum token_kind kind);
/* A lease on it, for backend_return. */
struct kb_token *backend_lease(enum token_kind kind);

/* Closes what was opened; at the end of main. */
void backends_close(void);

/* Makes a key unless it is there. */
void backend_key(struct kb_token *token, const char *name, enum kb_key_use use,
                 enum kb_key_type type);

/* Imports a key, or fails the test. */
void backend_import(struct kb_token *token, const struct kb_key_spec *spec, struct kb_bytes value);

/* kb_token_make_keys under an AES key. */
enum kb_status backend_make_keys(struct kb_token *token, const char *name, size_t size,
                                 struct kb_data_key *keys, size_t n, struct kb_secret *plain,
                                 struct kb_error *err);

/* kb_token_sign by HMAC; MAC i is written at macs + i * BACKEND_MAC_ROOM. */
enum { BACKEND_MAC_ROOM = 64 };
enum kb_status backend_mac(struct kb_token *token, const char *name, enum kb_hash hash,
                           const struct kb_bytes *messages, size_t n, uint8_t *macs, size_t *size,
                           struct kb_error *err);

/* The status of a call; what it said is shown when it is not the wanted one. */
void backend_fails(enum kb_status got, enum kb_status want, const struct kb_error *err,
                   const char *file, int line);
#define FAILS(call, want, err)                                                                     \
    do {                                                                                           \
        kb_error_clear(err);                                                                       \
        backend_fails((call), (want), (err), __FILE__, __LINE__);                                  \
        kb_error_clear(err);                                                                       \
    } while (0)

#endif
