/* SPDX-License-Identifier: Apache-2.0
 *
 * keybridge-token: the only program that maps a PKCS#11 module. Reads requests
 * from standard input and writes answers to what was standard output, so that
 * it works over a socket as over ssh.
 */
#include "keystore/helper.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static enum kb_status open_token(struct helper *helper, const struct kb_request *request,
                                 struct kb_buffer *answer, struct kb_error *err)
{
    struct kb_token_info info;
    enum kb_status status;

    if (request->version != KB_PROTOCOL_VERSION)
        return kb_error_set(err, KB_ERR_TOKEN,
                            "the token helper speaks protocol %d, the caller %u",
                            KB_PROTOCOL_VERSION, request->version);
    status = module_open(helper, request, err);
    if (status == KB_OK && request->session)
        status = session_open(helper, request, &info, err);
    if (status == KB_OK && request->session)
        kb_token_info_put(answer, &info);
    return status;
}

/* Verbs that change keys make what was looked up worthless. */
static enum kb_status change_keys(struct helper *helper, const struct kb_request *request,
                                  struct kb_error *err)
{
    enum kb_status status =
        request->verb == KB_VERB_CREATE   ? key_create(helper, &request->spec, err)
        : request->verb == KB_VERB_IMPORT ? key_import(helper, &request->spec, request->value, err)
                                          : key_destroy(helper, request->name, err);

    key_cache_clear(helper);
    return status;
}

static enum kb_status find(struct helper *helper, const char *name, struct kb_buffer *answer,
                           struct kb_error *err)
{
    struct found_key *key;
    enum kb_status status = key_find(helper, name, &key, err);

    if (status == KB_OK)
        kb_key_info_put(answer, &key->info);
    return status;
}

static enum kb_status with_session(struct helper *helper, const struct kb_request *request,
                                   struct kb_buffer *answer, struct kb_error *err)
{
    switch (request->verb) {
    case KB_VERB_PROBE:
        return probe_run(helper, answer, err);
    case KB_VERB_CREATE:
    case KB_VERB_IMPORT:
    case KB_VERB_DESTROY:
        return change_keys(helper, request, err);
    case KB_VERB_FIND:
        return find(helper, request->name, answer, err);
    case KB_VERB_LIST:
        return key_list(helper, answer, err);
    case KB_VERB_TRY_EXTRACT:
        return extract_try(helper, request->name, answer, err);
    case KB_VERB_MAKE_KEYS:
        return data_keys_make(helper, request, answer, err);
    case KB_VERB_WRAP_KEYS:
        return data_keys_wrap(helper, request, answer, err);
    case KB_VERB_UNWRAP_KEYS:
        return data_keys_unwrap(helper, request, answer, err);
    case KB_VERB_SIGN:
        return sign_run(helper, request, answer, err);
    case KB_VERB_EXPORT_PUBLIC:
        return public_export(helper, request->name, answer, err);
    case KB_VERB_CIPHER:
        return cipher_run(helper, request, answer, err);
    case KB_VERB_GCM:
        return gcm_serve(helper, request, answer, err);
    case KB_VERB_RANDOM:
        return random_serve(helper, request, answer, err);
    case KB_VERB_COUNTER:
        return counter_serve(helper, request, answer, err);
    case KB_VERB_FORGET:
        data_keys_forget(helper, request, answer);
        return KB_OK;
    default:
        return kb_error_set(err, KB_ERR_UNSUPPORTED, "the token helper does not know request %u",
                            (unsigned)request->verb);
    }
}

static enum kb_status run(struct helper *helper, const struct kb_request *request,
                          struct kb_buffer *answer, struct kb_error *err)
{
    bool opened = helper->modules != NULL;

    if (opened == (request->verb == KB_VERB_OPEN))
        return kb_error_set(err, KB_ERR_USAGE, "the first request, and no other, opens a token");
    if (request->verb == KB_VERB_OPEN)
        return open_token(helper, request, answer, err);
    if (request->verb == KB_VERB_TOKENS)
        return module_list_tokens(helper, answer, err);
    if (request->verb == KB_VERB_INIT_TOKEN)
        return module_init_token(helper, request, err);
    if (!helper->f)
        return kb_error_set(err, KB_ERR_USAGE, "there is no session with a token");
    return with_session(helper, request, answer, err);
}

/* One request and its answer. False when that was the last: the request made
 * no sense, opening failed, or the answer could not be sent. */
static bool serve(struct helper *helper, struct kb_request *request, struct kb_bytes body,
                  struct kb_buffer *answer, int out)
{
    struct kb_error err = {.status = KB_OK};
    bool sensible = kb_request_decode(request, body);
    enum kb_status status;
    enum kb_frame_result sent;

    kb_answer_begin(answer);
    status = sensible ? run(helper, request, answer, &err)
                      : kb_error_set(&err, KB_ERR_INPUT, "the request is malformed");
    if (status == KB_OK)
        status = kb_buffer_check(answer, &err);
    if (status != KB_OK) {
        kb_error_set(&err, status, "%s", kb_status_sentence(status));
        kb_answer_fail(answer, &err, helper->lost);
    }
    if (!kb_answer_end(answer))
        return false;
    sent = kb_frame_send(out, answer, -1);
    kb_buffer_reset(answer);
    return sent == KB_FRAME_OK && sensible && !helper->lost &&
           (status == KB_OK || request->verb != KB_VERB_OPEN);
}

static void refuse_frame(struct kb_buffer *answer, int out)
{
    struct kb_error err = {.status = KB_OK};

    kb_error_set(&err, KB_ERR_INPUT, "the request is malformed, or too big");
    kb_answer_fail(answer, &err, false);
    if (kb_answer_end(answer))
        (void)kb_frame_send(out, answer, -1);
}

static void serve_all(struct helper *helper, int in, int out)
{
    static struct kb_request request;
    struct kb_buffer frame = {.max = KB_FRAME_MAX, .wipe = true};
    struct kb_buffer answer = {.max = KB_FRAME_MAX + 4, .wipe = true};
    struct kb_bytes body;
    enum kb_frame_result result;
    bool more = true;

    do {
        result = kb_frame_receive(in, &frame, -1, &body);
        if (result == KB_FRAME_OK)
            more = serve(helper, &request, body, &answer, out);
        else if (result == KB_FRAME_BAD)
            refuse_frame(&answer, out);
        kb_buffer_reset(&frame);
    } while (result == KB_FRAME_OK && more);
    kb_buffer_free(&frame);
    kb_buffer_free(&answer);
}

/* A module that reads or prints must not meet our requests and answers: they
 * move to descriptors of their own. */
static bool take_descriptors(int *in, int *out)
{
    int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    bool taken;

    *in = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
    *out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    taken = nothing >= 0 && *in >= 0 && *out >= 0 && dup2(nothing, STDIN_FILENO) >= 0 &&
            dup2(STDERR_FILENO, STDOUT_FILENO) >= 0;
    if (nothing > STDERR_FILENO)
        close(nothing);
    return taken;
}

int main(int argc, char **argv)
{
    static struct helper helper;
    int in, out;

    (void)argv;
    kb_process_harden();
    if (argc > 1 || isatty(STDIN_FILENO)) {
        fputs("keybridge-token is run by keybridge, which talks to it on standard input.\n",
              stderr);
        return 2;
    }
    if (!take_descriptors(&in, &out)) {
        perror("keybridge-token");
        return 1;
    }
    /* The end of the input ends us, nothing in the middle of a login: SoftHSM
     * would be left without its token. */
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGQUIT, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    /* It could load a PKCS#11 provider into the module's own OpenSSL. */
    unsetenv("OPENSSL_CONF");
    serve_all(&helper, in, out);
    /* Here and not at exit: modules crash when they are ended there. */
    module_close(&helper);
    return 0;
}
