/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening and closing a keystore, listing tokens, making one.
 */
#include "keystore/pool.h"

#include <stdlib.h>
#include <string.h>

enum { DEFAULT_TIMEOUT_MS = 30000, DEFAULT_RECYCLE = 50000 };

static bool copy_text(const char **text)
{
    if (*text)
        *text = strdup(*text);
    return *text != NULL;
}

static void keystore_free(struct kb_keystore *keystore)
{
    free((void *)(uintptr_t)keystore->options.uri);
    free((void *)(uintptr_t)keystore->options.module);
    free((void *)(uintptr_t)keystore->options.module_parameters);
    free((void *)(uintptr_t)keystore->options.softhsm2_conf);
    free((void *)(uintptr_t)keystore->options.helper);
    kb_counts_free(keystore->counts);
    pthread_mutex_destroy(&keystore->lock);
    pthread_mutex_destroy(&keystore->login);
    free(keystore);
}

static enum kb_status keystore_new(struct kb_keystore **out,
                                   const struct kb_keystore_options *options, struct kb_error *err)
{
    const char *helper = options->helper ? options->helper : getenv("KEYBRIDGE_TOKEN_HELPER");
    struct kb_keystore *keystore = calloc(1, sizeof *keystore);
    const char **texts[5];
    bool copied = true;

    *out = NULL;
    if (!keystore)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory for a keystore");
    pthread_mutex_init(&keystore->lock, NULL);
    pthread_mutex_init(&keystore->login, NULL);
    keystore->options = *options;
    keystore->options.helper = helper ? helper : KB_HELPER_PATH;
    if (!options->timeout_ms)
        keystore->options.timeout_ms = DEFAULT_TIMEOUT_MS;
    if (!options->recycle_after)
        keystore->options.recycle_after = DEFAULT_RECYCLE;
    texts[0] = &keystore->options.uri;
    texts[1] = &keystore->options.module;
    texts[2] = &keystore->options.module_parameters;
    texts[3] = &keystore->options.softhsm2_conf;
    texts[4] = &keystore->options.helper;
    for (size_t i = 0; i < 5; i++)
        if (*texts[i] && !copy_text(texts[i]))
            copied = false;
    if (!copied || kb_counts_new(&keystore->counts, options->counts, NULL) != KB_OK) {
        keystore_free(keystore);
        return kb_error_set(err, KB_ERR_MEMORY, "no memory for a keystore");
    }
    keystore->options.counts = NULL; /* the caller's; kb_counts has a copy */
    *out = keystore;
    return KB_OK;
}

enum kb_status kb_keystore_open(struct kb_keystore **out, const struct kb_keystore_options *options,
                                struct kb_error *err)
{
    struct kb_token *token;
    enum kb_status status = keystore_new(out, options, err);

    if (status != KB_OK)
        return status;
    status = kb_token_lease(&token, *out, err);
    if (status == KB_OK) {
        kb_token_return(token);
        return KB_OK;
    }
    kb_keystore_close(*out);
    *out = NULL;
    return status;
}

void kb_keystore_close(struct kb_keystore *keystore)
{
    if (!keystore)
        return;
    while (keystore->idle) {
        struct kb_token *token = keystore->idle;

        keystore->idle = token->next;
        kb_token_free(token);
    }
    keystore_free(keystore);
}

const struct kb_token_info *kb_keystore_info(const struct kb_keystore *keystore)
{
    return &keystore->info;
}

/* --- without a session --------------------------------------------------------- */

/* One request to a helper that has only loaded the module. The caller frees
 * the helper, and closes the keystore, when the answer is read. */
static enum kb_status ask_module(const struct kb_keystore_options *options,
                                 const struct kb_request *request, struct kb_keystore **keystore,
                                 struct kb_token **token, struct kb_reader *payload,
                                 struct kb_error *err)
{
    struct kb_keystore_options without_pin = *options;
    enum kb_status status;

    *token = NULL;
    without_pin.pin = NULL;
    status = keystore_new(keystore, &without_pin, err);
    if (status == KB_OK)
        status = kb_token_open_module(token, *keystore, err);
    if (status == KB_OK)
        status = kb_token_call(*token, request, KB_ONCE, payload, err);
    return status;
}

enum kb_status kb_keystore_tokens(const struct kb_keystore_options *options,
                                  void (*each)(void *ctx, const struct kb_token_info *info),
                                  void *ctx, struct kb_error *err)
{
    struct kb_keystore *keystore;
    struct kb_token *token;
    struct kb_token_info info;
    struct kb_request request;
    struct kb_reader payload;
    enum kb_status status;

    kb_request_init(&request, KB_VERB_TOKENS);
    status = ask_module(options, &request, &keystore, &token, &payload, err);
    if (status == KB_OK) {
        uint32_t count = kb_reader_count(&payload, KB_LIST_MAX, 1);

        for (uint32_t i = 0; i < count && kb_token_info_get(&payload, &info); i++)
            each(ctx, &info);
        if (!kb_reader_done(&payload))
            status = kb_token_nonsense(token, err);
    }
    kb_token_free(token);
    kb_keystore_close(keystore);
    return status;
}

enum kb_status kb_keystore_init_token(const struct kb_keystore_options *options, const char *label,
                                      const struct kb_secret *so_pin,
                                      const struct kb_secret *user_pin, struct kb_error *err)
{
    struct kb_keystore *keystore;
    struct kb_token *token;
    struct kb_request request;
    struct kb_reader payload;
    enum kb_status status;

    if (!label || !so_pin || !user_pin)
        return kb_error_set(err, KB_ERR_USAGE, "a new token needs a label and two PINs");
    kb_request_init(&request, KB_VERB_INIT_TOKEN);
    request.name = label;
    request.so_pin = kb_secret_view(so_pin);
    request.pin = kb_secret_view(user_pin);
    status = ask_module(options, &request, &keystore, &token, &payload, err);
    kb_token_free(token);
    kb_keystore_close(keystore);
    if (status == KB_OK)
        kb_softhsm_save(options);
    return status;
}
