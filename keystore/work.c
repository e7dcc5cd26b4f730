/* SPDX-License-Identifier: Apache-2.0
 *
 * The client's side of work inside the token: batches of data keys, signatures
 * and cipher jobs. A handle is the helper's number of a key below the number of
 * the helper, so that one of a lost helper is known as such.
 */
#include "keystore/pool.h"

#include <string.h>

enum { HANDLE_BITS = 16, HANDLE_MASK = (1 << HANDLE_BITS) - 1 };

static bool is_alive(const struct kb_token *token, uint32_t handle)
{
    return token->pid && handle >> HANDLE_BITS == token->helpers;
}

static enum kb_status check_batch(size_t n, const struct kb_secret *plain, struct kb_error *err)
{
    if (n > KB_TOKEN_BATCH_MAX)
        return kb_error_set(err, KB_ERR_USAGE, "a batch has at most %d items, not %zu",
                            KB_TOKEN_BATCH_MAX, n);
    if (plain && kb_secret_view(plain).size < n * KB_TOKEN_DATA_KEY_MAX)
        return kb_error_set(err, KB_ERR_USAGE, "no room for %zu released data keys", n);
    return KB_OK;
}

/* --- data keys --------------------------------------------------------------- */

/* Gives the caller's handle of a key the helper keeps. False when it has none,
 * or a size that is none of AES; of a key it keeps the token need not tell. */
static bool adopt_key(struct kb_token *token, struct kb_data_key *key, bool kept)
{
    if (key->status != KB_OK)
        return true;
    if (key->size != 16 && key->size != 24 && key->size != 32 && !(kept && key->size == 0))
        return false;
    if (!kept)
        return true;
    if (key->handle == 0 || key->handle > HANDLE_MASK)
        return false;
    key->handle |= (uint32_t)token->helpers << HANDLE_BITS;
    token->handles++;
    return true;
}

static enum kb_status get_keys(struct kb_token *token, const struct kb_request *request,
                               struct kb_reader *payload, struct kb_data_key *keys,
                               uint8_t *plain, struct kb_error *err)
{
    for (uint32_t i = 0; i < request->count; i++) {
        struct kb_data_key *key = &keys[i];
        struct kb_data_key got;

        if (!kb_data_key_get(payload, &got, plain ? plain + i * KB_TOKEN_DATA_KEY_MAX : NULL) ||
            !adopt_key(token, &got, !plain))
            return kb_token_nonsense(token, err);
        key->status = got.status;
        key->handle = got.handle;
        key->size = got.size;
        if (request->verb == KB_VERB_MAKE_KEYS) {
            key->algorithm = request->algorithm;
            key->wrapped_size = got.wrapped_size;
            memcpy(key->wrapped, got.wrapped, got.wrapped_size);
        }
    }
    /* Those that failed leave an unused handle; destroying makes two. */
    token->objects += request->count * (plain ? 1 : 2);
    kb_buffer_reset(&token->in);
    return KB_OK;
}

static enum kb_status data_keys(struct kb_token *token, const struct kb_request *request,
                                struct kb_data_key *keys, struct kb_secret *plain,
                                struct kb_error *err)
{
    struct kb_reader payload;
    enum kb_status status = kb_token_call(token, request, KB_REPEAT, &payload, err);

    if (status == KB_OK)
        status = get_keys(token, request, &payload, keys, plain ? kb_secret_data(plain) : NULL,
                          err);
    return status;
}

enum kb_status kb_token_make_keys(struct kb_token *token, const struct kb_data_key_spec *spec,
                                  struct kb_data_key *keys, size_t n, struct kb_secret *plain,
                                  struct kb_error *err)
{
    struct kb_request request;
    enum kb_status status = check_batch(n, plain, err);

    if (status != KB_OK || n == 0)
        return status;
    if (spec->size != 16 && spec->size != 24 && spec->size != 32)
        return kb_error_set(err, KB_ERR_USAGE, "a data key has 16, 24 or 32 bytes, not %zu",
                            spec->size);
    kb_request_init(&request, KB_VERB_MAKE_KEYS);
    request.name = spec->wrap_key;
    request.key_size = (uint8_t)spec->size;
    request.algorithm = spec->algorithm;
    request.release = plain != NULL;
    request.count = (uint32_t)n;
    return data_keys(token, &request, keys, plain, err);
}

enum kb_status kb_token_unwrap_keys(struct kb_token *token, const char *wrap_key,
                                    struct kb_data_key *keys, size_t n, struct kb_secret *plain,
                                    struct kb_error *err)
{
    struct kb_request request;
    enum kb_status status = check_batch(n, plain, err);

    if (status != KB_OK || n == 0)
        return status;
    kb_request_init(&request, KB_VERB_UNWRAP_KEYS);
    request.name = wrap_key;
    request.release = plain != NULL;
    request.count = (uint32_t)n;
    for (size_t i = 0; i < n; i++) {
        size_t wrapped_size = keys[i].wrapped_size;

        request.items[i] = (struct kb_request_item){.algorithm = keys[i].algorithm};
        if (wrapped_size <= sizeof keys[i].wrapped)
            request.items[i].bytes = (struct kb_bytes){keys[i].wrapped, wrapped_size};
    }
    return data_keys(token, &request, keys, plain, err);
}

static enum kb_status wrap_some(struct kb_token *token, const struct kb_request *request,
                                struct kb_data_key *keys, struct kb_error *err)
{
    struct kb_reader payload;
    enum kb_status status = kb_token_call(token, request, KB_REPEAT, &payload, err);

    for (uint32_t i = 0; status == KB_OK && i < request->count; i++)
        if (!kb_data_key_get(&payload, &keys[i], NULL) || keys[i].status != KB_OK ||
            keys[i].handle || keys[i].size != request->items[i].bytes.size)
            status = kb_token_nonsense(token, err);
        else
            keys[i].algorithm = request->algorithm;
    if (status == KB_OK && !kb_reader_done(&payload))
        status = kb_token_nonsense(token, err);
    token->objects += request->count;
    return status;
}

enum kb_status kb_token_wrap_keys(struct kb_token *token, const struct kb_data_key_spec *spec,
                                  struct kb_data_key *keys, size_t n,
                                  const struct kb_secret *plain, struct kb_error *err)
{
    struct kb_request request;
    enum kb_status status = check_batch(n, plain, err);

    if (status != KB_OK || n == 0)
        return status;
    kb_request_init(&request, KB_VERB_WRAP_KEYS);
    request.name = spec->wrap_key;
    request.algorithm = spec->algorithm;
    request.count = (uint32_t)n;
    for (size_t i = 0; i < n; i++)
        request.items[i].bytes = (struct kb_bytes){
            kb_secret_view(plain).data + i * KB_TOKEN_DATA_KEY_MAX, spec->size};
    return wrap_some(token, &request, keys, err);
}

enum kb_status kb_token_forget(struct kb_token *token, const uint32_t *handles, size_t n,
                               struct kb_error *err)
{
    struct kb_request request;
    struct kb_reader payload;
    enum kb_status status = KB_OK;
    size_t i = 0;

    while (status == KB_OK && i < n) {
        kb_request_init(&request, KB_VERB_FORGET);
        for (; i < n && request.count < KB_TOKEN_BATCH_MAX; i++)
            if (handles[i] && is_alive(token, handles[i]))
                request.items[request.count++].handle = handles[i] & HANDLE_MASK;
        if (request.count == 0)
            break; /* what died with its helper is forgotten */
        status = kb_token_call(token, &request, KB_ONCE, &payload, err);
        if (status == KB_OK) {
            token->handles = kb_reader_u32(&payload);
            if (!kb_reader_done(&payload))
                status = kb_token_nonsense(token, err);
        }
    }
    return status;
}

/* --- signatures --------------------------------------------------------------- */

static enum kb_status sign_some(struct kb_token *token, const struct kb_request *request,
                                struct kb_signature *signatures, struct kb_error *err)
{
    struct kb_reader payload;
    enum kb_status status = kb_token_call(token, request, KB_REPEAT, &payload, err);

    if (status != KB_OK)
        return status;
    for (uint32_t i = 0; i < request->count; i++)
        if (!kb_signature_get(&payload, &signatures[i]) || signatures[i].size == 0 ||
            (request->scheme == KB_SIGN_HMAC && signatures[i].size != kb_hash_size(request->hash)))
            return kb_token_nonsense(token, err);
    return kb_reader_done(&payload) ? KB_OK : kb_token_nonsense(token, err);
}

enum kb_status kb_token_sign(struct kb_token *token, const struct kb_sign_spec *spec,
                             const struct kb_bytes *messages, size_t n,
                             struct kb_signature *signatures, struct kb_error *err)
{
    struct kb_request request;
    enum kb_status status = check_batch(n, NULL, err);
    size_t done = 0;

    if (kb_hash_size(spec->hash) == 0)
        return kb_error_set(err, KB_ERR_USAGE, "there is no such hash");
    while (status == KB_OK && done < n) {
        size_t bytes = 0;

        kb_request_init(&request, KB_VERB_SIGN);
        request.name = spec->sign_key;
        request.scheme = spec->scheme;
        request.hash = spec->hash;
        for (size_t i = done; i < n; i++) {
            bytes += messages[i].size + 4;
            if (messages[i].size > KB_FRAME_DATA_MAX || bytes > KB_FRAME_DATA_MAX)
                break;
            request.items[request.count++].bytes = messages[i];
        }
        if (request.count == 0)
            return kb_error_set(err, KB_ERR_USAGE, "a message of %zu bytes is too long to sign",
                                messages[done].size);
        status = sign_some(token, &request, signatures + done, err);
        done += request.count;
    }
    return status;
}

/* --- encryption -------------------------------------------------------------- */

/* Padding adds up to a block, in either direction of an answer. */
enum { CIPHER_ROOM = 16, CIPHER_OVERHEAD = 4 + 16 + 4 };

static enum kb_status get_texts(struct kb_token *token, struct kb_reader *payload,
                                struct kb_cipher_job *jobs, size_t n, struct kb_error *err)
{
    for (size_t i = 0; i < n; i++) {
        struct kb_cipher_job *job = &jobs[i];
        struct kb_bytes out;

        if (!kb_item_status_get(payload, &job->status))
            return kb_token_nonsense(token, err);
        job->out = (struct kb_bytes){NULL, 0};
        if (job->status != KB_OK)
            continue;
        out = kb_reader_lv(payload);
        if (payload->failed || out.size > job->in.size + CIPHER_ROOM)
            return kb_token_nonsense(token, err);
        /* There is room: the buffer does not move under earlier results. */
        job->out = (struct kb_bytes){token->texts.data + token->texts.size, out.size};
        kb_buffer_put_bytes(&token->texts, out);
    }
    if (!kb_reader_done(payload))
        return kb_token_nonsense(token, err);
    kb_buffer_reset(&token->in);
    return KB_OK;
}

/* As many jobs as fit into one request, at least one; *done is moved on. */
static enum kb_status cipher_some(struct kb_token *token, struct kb_request *request,
                                  struct kb_cipher_job *jobs, size_t n, size_t *done,
                                  struct kb_error *err)
{
    struct kb_reader payload;
    enum kb_repeat repeat = KB_REPEAT;
    enum kb_status status;
    size_t bytes = 0;

    request->count = 0;
    for (size_t i = *done; i < n && request->count < KB_TOKEN_BATCH_MAX; i++) {
        struct kb_request_item *item = &request->items[request->count];

        bytes += jobs[i].in.size + CIPHER_OVERHEAD;
        if (bytes > KB_FRAME_DATA_MAX)
            break;
        if (jobs[i].handle && !is_alive(token, jobs[i].handle))
            return kb_error_set(err, KB_ERR_TOKEN,
                                "data keys kept in the token were lost with its session");
        if (jobs[i].handle)
            repeat = KB_ONCE;
        item->handle = jobs[i].handle & HANDLE_MASK;
        item->bytes = jobs[i].in;
        memcpy(item->iv, jobs[i].iv, sizeof item->iv);
        request->count++;
    }
    status = kb_token_call(token, request, repeat, &payload, err);
    if (status == KB_OK)
        status = get_texts(token, &payload, jobs + *done, request->count, err);
    *done += request->count;
    return status;
}

enum kb_status kb_token_cipher(struct kb_token *token, bool encrypt, const char *content_key,
                               struct kb_cipher_job *jobs, size_t n, struct kb_error *err)
{
    struct kb_request request;
    enum kb_status status = KB_OK;
    size_t room = 0, done = 0;

    kb_buffer_reset(&token->texts);
    for (size_t i = 0; i < n; i++)
        if (jobs[i].in.size > KB_FRAME_DATA_MAX - CIPHER_OVERHEAD)
            return kb_error_set(err, KB_ERR_USAGE,
                                "a text of %zu bytes is too long for one operation",
                                jobs[i].in.size);
        else
            room += jobs[i].in.size + CIPHER_ROOM;
    if (room && !kb_buffer_extend(&token->texts, room))
        return kb_error_set(err, KB_ERR_MEMORY, "no memory for %zu bytes of results", room);
    token->texts.size = 0;
    kb_request_init(&request, KB_VERB_CIPHER);
    request.name = content_key;
    request.encrypt = encrypt;
    while (status == KB_OK && done < n)
        status = cipher_some(token, &request, jobs, n, &done, err);
    return status;
}
