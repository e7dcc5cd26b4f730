/* SPDX-License-Identifier: Apache-2.0 */
#include "backends.h"

#include <stdio.h>
#include <string.h>

static struct {
    struct token_fixture fixture;
    struct kb_keystore *keystore;
    bool tried;
} backends[TOKEN_KINDS];

struct kb_keystore *backend_keystore(enum token_kind kind)
{
    if (!backends[kind].tried) {
        backends[kind].tried = true;
        if (!token_fixture_open(&backends[kind].fixture, kind, &backends[kind].keystore))
            backends[kind].keystore = NULL;
    }
    CU_ASSERT_PTR_NOT_NULL(backends[kind].keystore);
    return backends[kind].keystore;
}

struct token_fixture *backend_fixture(enum token_kind kind)
{
    return backend_keystore(kind) ? &backends[kind].fixture : NULL;
}

struct kb_token *backend_lease(enum token_kind kind)
{
    struct kb_keystore *keystore = backend_keystore(kind);
    struct kb_error err = {0};
    struct kb_token *token = NULL;

    if (keystore)
        KBT_OK(kb_token_lease(&token, keystore, &err), &err);
    return token;
}

void backends_close(void)
{
    for (int kind = 0; kind < TOKEN_KINDS; kind++) {
        kb_keystore_close(backends[kind].keystore);
        token_fixture_free(&backends[kind].fixture);
    }
}

void backend_key(struct kb_token *token, const char *name, enum kb_key_use use,
                 enum kb_key_type type)
{
    struct kb_error err = {0};
    struct kb_key_spec spec = {.name = name, .use = use, .type = type};
    enum kb_status status = kb_key_create(token, &spec, &err);

    if (status != KB_ERR_EXISTS)
        KBT_OK(status, &err);
}

void backend_import(struct kb_token *token, const struct kb_key_spec *spec, struct kb_bytes value)
{
    struct kb_error err = {0};
    struct kb_secret *secret;

    KBT_OK(kb_secret_copy(&secret, value, &err), &err);
    KBT_OK(kb_key_import(token, spec, secret, &err), &err);
    kb_secret_free(secret);
}

enum kb_status backend_make_keys(struct kb_token *token, const char *name, size_t size,
                                 struct kb_data_key *keys, size_t n, struct kb_secret *plain,
                                 struct kb_error *err)
{
    struct kb_data_key_spec spec = {name, KB_WRAP_AES, size};

    return kb_token_make_keys(token, &spec, keys, n, plain, err);
}

enum kb_status backend_mac(struct kb_token *token, const char *name, enum kb_hash hash,
                           const struct kb_bytes *messages, size_t n, uint8_t *macs, size_t *size,
                           struct kb_error *err)
{
    static _Thread_local struct kb_signature made[KB_TOKEN_BATCH_MAX];
    struct kb_sign_spec spec = {name, KB_SIGN_HMAC, hash};
    enum kb_status status = kb_token_sign(token, &spec, messages, n, made, err);

    *size = kb_hash_size(hash);
    for (size_t i = 0; status == KB_OK && i < n; i++)
        memcpy(macs + i * BACKEND_MAC_ROOM, made[i].data, *size);
    return status;
}

void backend_fails(enum kb_status got, enum kb_status want, const struct kb_error *err,
                   const char *file, int line)
{
    if (got != want)
        fprintf(stderr, "%s:%d: %s and not %s: %s\n", file, line, kb_status_name(got),
                kb_status_name(want), got == KB_OK ? "" : kb_error_text(err));
    CU_assertImplementation(got == want, (unsigned)line, kb_status_name(want), file, "", CU_FALSE);
    /* Every error says what it is about. */
    if (got == want && want != KB_OK)
        CU_assertImplementation(err->status == want && err->text[0], (unsigned)line,
                                "the error is recorded", file, "", CU_FALSE);
}
