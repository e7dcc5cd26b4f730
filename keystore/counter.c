/* SPDX-License-Identifier: Apache-2.0
 *
 * The client's side of counters: one request each. A repeated step finds the
 * counter where it is to be, so all may be repeated.
 */
#include "keystore/counter.h"

#include "keystore/pool.h"

static enum kb_status ask(struct kb_token *token, const char *name, uint64_t from, uint64_t to,
                          uint64_t *now, struct kb_error *err)
{
    struct kb_request request;
    struct kb_reader payload;
    enum kb_status status;

    kb_request_init(&request, KB_VERB_COUNTER);
    request.name = name;
    request.from = from;
    request.to = to;
    status = kb_token_call(token, &request, KB_REPEAT, &payload, err);
    if (status != KB_OK)
        return status;
    *now = kb_reader_u64(&payload);
    return kb_reader_done(&payload) ? KB_OK : kb_token_nonsense(token, err);
}

enum kb_status kb_counter_get(struct kb_token *token, const char *name, uint64_t *out,
                              struct kb_error *err)
{
    return ask(token, name, 0, 0, out, err);
}

enum kb_status kb_counter_step(struct kb_token *token, const char *name, uint64_t from,
                               uint64_t to, struct kb_error *err)
{
    uint64_t now;
    enum kb_status status = ask(token, name, from, to, &now, err);

    if (status == KB_OK && now != to)
        status = kb_error_set(err, KB_ERR_AUTH,
                              "the token's counter '%s' is at %llu and not at %llu", name,
                              (unsigned long long)now, (unsigned long long)from);
    return status;
}
