/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls to helpers: started when needed, replaced when lost, hung, or grown
 * too big.
 */
#include "keystore/pool.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct kb_token *token_new(struct kb_keystore *keystore, struct kb_error *err)
{
    struct kb_token *token = calloc(1, sizeof *token);

    if (!token) {
        kb_error_set(err, KB_ERR_MEMORY, "no memory for a token helper");
        return NULL;
    }
    token->keystore = keystore;
    token->fd = -1;
    token->out = (struct kb_buffer){.max = KB_FRAME_MAX + 4, .wipe = true};
    token->in = (struct kb_buffer){.max = KB_FRAME_MAX + 4, .wipe = true};
    token->texts = (struct kb_buffer){.max = SIZE_MAX / 2, .wipe = true};
    return token;
}

/* Data keys the helper held are gone with it. */
static void forget_helper(struct kb_token *token)
{
    token->pid = 0;
    token->fd = -1;
    token->objects = token->handles = 0;
}

static void stop(struct kb_token *token)
{
    if (token->pid)
        kb_process_stop(token->pid, token->fd);
    forget_helper(token);
}

static void kill_helper(struct kb_token *token)
{
    if (token->pid)
        kb_process_kill(token->pid, token->fd);
    forget_helper(token);
}

void kb_token_free(struct kb_token *token)
{
    if (!token)
        return;
    stop(token);
    kb_buffer_free(&token->out);
    kb_buffer_free(&token->in);
    kb_buffer_free(&token->texts);
    free(token);
}

pid_t kb_token_pid(const struct kb_token *token)
{
    return token->pid;
}

enum kb_status kb_token_nonsense(struct kb_token *token, struct kb_error *err)
{
    kill_helper(token);
    kb_error_set(err, KB_ERR_TOKEN, "the token helper gave an answer that makes no sense");
    kb_error_hint(err, "is its path right, and is it of this version?");
    return KB_ERR_TOKEN;
}

static enum kb_status lost(struct kb_token *token, enum kb_frame_result result,
                           struct kb_error *err)
{
    unsigned timeout = token->keystore->options.timeout_ms;

    kill_helper(token);
    if (result == KB_FRAME_TIMEOUT) {
        kb_error_set(err, KB_ERR_TOKEN, "the token did not answer within %u ms", timeout);
        kb_error_hint(err, "the token may be busy or unreachable; its helper was ended");
    } else {
        kb_error_set(err, KB_ERR_TOKEN, "the token helper ended without an answer");
        kb_error_hint(err, "the PKCS#11 module may have crashed; its messages are on stderr");
    }
    return KB_ERR_TOKEN;
}

/* One request and its answer. *gone: the helper is no more, or has no session,
 * and was ended; *refused: it surely did nothing before. */
static enum kb_status exchange(struct kb_token *token, const struct kb_request *request,
                               struct kb_reader *payload, bool *gone, bool *refused,
                               struct kb_error *err)
{
    int64_t deadline = kb_clock_ms() + token->keystore->options.timeout_ms;
    struct kb_answer_head head;
    struct kb_bytes body;
    enum kb_frame_result result;

    *gone = *refused = false;
    if (!kb_request_encode(&token->out, request)) {
        kb_buffer_reset(&token->out);
        return kb_error_set(err, KB_ERR_USAGE,
                            "a name is missing, or a name, PIN or key is too long");
    }
    result = kb_frame_send(token->fd, &token->out, deadline);
    kb_buffer_reset(&token->out);
    if (result == KB_FRAME_OK)
        result = kb_frame_receive(token->fd, &token->in, deadline, &body);
    if (result == KB_FRAME_BAD)
        return kb_token_nonsense(token, err);
    if (result != KB_FRAME_OK) {
        *gone = true;
        return lost(token, result, err);
    }
    if (!kb_answer_decode(&head, payload, body))
        return kb_token_nonsense(token, err);
    if (head.status != KB_OK && err && err->status == KB_OK)
        *err = head.err;
    if (head.lost) {
        *gone = *refused = true;
        stop(token);
    }
    return head.status;
}

static enum kb_status start_helper(struct kb_token *token, bool session, struct kb_error *err)
{
    const struct kb_keystore_options *options = &token->keystore->options;
    struct kb_request request;
    struct kb_token_info info;
    struct kb_reader payload;
    enum kb_status status;
    bool gone, refused;

    kb_request_init(&request, KB_VERB_OPEN);
    request.version = KB_PROTOCOL_VERSION;
    request.module = options->module;
    request.parameters = options->module_parameters;
    request.uri = options->uri;
    request.session = session;
    request.with_pin = session && options->pin;
    if (request.with_pin)
        request.pin = kb_secret_view(options->pin);
    status = kb_process_start(options->helper, options->softhsm2_conf, &token->pid, &token->fd,
                              err);
    if (status != KB_OK)
        return status;
    token->helpers++;
    if (token->helpers == 0)
        token->helpers = 1; /* so that no handle is 0 */
    status = exchange(token, &request, &payload, &gone, &refused, err);
    if (status == KB_OK && session &&
        (!kb_token_info_get(&payload, &info) || !kb_reader_done(&payload)))
        status = kb_token_nonsense(token, err);
    if (status != KB_OK) {
        stop(token);
    } else if (session && !token->keystore->known) {
        token->keystore->info = info;
        token->keystore->known = true;
    }
    return status;
}

static enum kb_status start(struct kb_token *token, bool session, struct kb_error *err)
{
    int lock = kb_softhsm_lock(&token->keystore->options);
    enum kb_status status = start_helper(token, session, err);

    if (lock >= 0)
        close(lock);
    return status;
}

/* A session, by one helper after the other: a wrong PIN costs one try. */
static enum kb_status start_session(struct kb_token *token, struct kb_error *err)
{
    struct kb_keystore *keystore = token->keystore;
    enum kb_status status;

    pthread_mutex_lock(&keystore->login);
    if (keystore->pin_refused) {
        status = kb_error_set(err, KB_ERR_PIN,
                              "the token refused the PIN before; it is not tried again");
    } else {
        pthread_mutex_lock(&keystore->lock);
        token->epoch = keystore->epoch;
        pthread_mutex_unlock(&keystore->lock);
        status = start(token, true, err);
        keystore->pin_refused = status == KB_ERR_PIN;
    }
    pthread_mutex_unlock(&keystore->login);
    return status;
}

/* Some modules leak session objects, and a helper works with the keys as they
 * were when it looked them up: end it when there is too much of that. */
static enum kb_status make_ready(struct kb_token *token, struct kb_error *err)
{
    struct kb_keystore *keystore = token->keystore;
    bool stale;

    pthread_mutex_lock(&keystore->lock);
    stale = token->epoch != keystore->epoch;
    pthread_mutex_unlock(&keystore->lock);
    if (token->pid && token->handles == 0 &&
        (stale || token->objects >= keystore->options.recycle_after))
        stop(token);
    return token->pid ? KB_OK : start_session(token, err);
}

/* This helper dropped what it had looked up itself; the others are told by the
 * epoch. */
static void keys_changed(struct kb_token *token)
{
    struct kb_keystore *keystore = token->keystore;

    pthread_mutex_lock(&keystore->lock);
    if (token->epoch == keystore->epoch)
        token->epoch++;
    keystore->epoch++;
    pthread_mutex_unlock(&keystore->lock);
}

enum kb_status kb_token_call(struct kb_token *token, const struct kb_request *request,
                             enum kb_repeat repeat, struct kb_reader *payload,
                             struct kb_error *err)
{
    enum kb_status status = KB_OK;
    bool gone = true, refused = false;

    for (int attempt = 0; attempt < 2 && gone; attempt++) {
        struct kb_error why = {.status = KB_OK};

        if (repeat == KB_COUNTED && attempt > 0) {
            status = kb_token_count(token, request->name, request->count, err);
            if (status != KB_OK)
                return status;
        }
        if (repeat == KB_ONCE && !token->pid)
            return kb_error_set(err, KB_ERR_TOKEN,
                                "data keys kept in the token were lost with its session");
        status = make_ready(token, err);
        if (status != KB_OK)
            return status;
        status = exchange(token, request, payload, &gone, &refused, &why);
        if (gone && attempt == 0 &&
            (repeat == KB_REPEAT || repeat == KB_COUNTED || (repeat == KB_CHANGES && refused)))
            continue;
        if (status != KB_OK && err && err->status == KB_OK)
            *err = why;
        break;
    }
    if (repeat == KB_CHANGES && (status == KB_OK || gone))
        keys_changed(token);
    return status;
}

/* --- leases ------------------------------------------------------------------ */

enum kb_status kb_token_open_module(struct kb_token **out, struct kb_keystore *keystore,
                                    struct kb_error *err)
{
    struct kb_token *token = token_new(keystore, err);
    enum kb_status status = token ? start(token, false, err) : KB_ERR_MEMORY;

    if (status != KB_OK) {
        kb_token_free(token);
        token = NULL;
    }
    *out = token;
    return status;
}

enum kb_status kb_token_lease(struct kb_token **out, struct kb_keystore *keystore,
                              struct kb_error *err)
{
    struct kb_token *token;
    enum kb_status status = KB_OK;

    pthread_mutex_lock(&keystore->lock);
    token = keystore->idle;
    if (token)
        keystore->idle = token->next;
    pthread_mutex_unlock(&keystore->lock);
    if (!token) {
        token = token_new(keystore, err);
        status = token ? start_session(token, err) : KB_ERR_MEMORY;
    }
    if (status != KB_OK) {
        kb_token_free(token);
        token = NULL;
    }
    *out = token;
    return status;
}

void kb_token_return(struct kb_token *token)
{
    if (!token)
        return;
    if (token->handles)
        stop(token); /* takes the data keys with it */
    kb_buffer_free(&token->texts);
    kb_buffer_reset(&token->in);
    pthread_mutex_lock(&token->keystore->lock);
    token->next = token->keystore->idle;
    token->keystore->idle = token;
    pthread_mutex_unlock(&token->keystore->lock);
}
