/* SPDX-License-Identifier: Apache-2.0
 *
 * Connections that threads lend each other: a wire serves one flight at a time.
 */
#include "aws/flight.h"

#include <stdlib.h>

/* Each keeps connections open; more than this many threads seldom call at once. */
enum { IDLE_WIRES_MAX = 16 };

void kb_wire_free(struct kb_wire *wire)
{
    kb_http_free(wire->http);
    kb_crypto_free(wire->crypto);
    free(wire);
}

static struct kb_wire *take_idle(struct kb_aws *aws)
{
    struct kb_wire *wire;

    pthread_mutex_lock(&aws->lock);
    wire = aws->idle;
    if (wire) {
        aws->idle = wire->next;
        aws->idle_count--;
    }
    pthread_mutex_unlock(&aws->lock);
    return wire;
}

enum kb_status kb_wire_lease(struct kb_wire **out, struct kb_aws *aws,
                                 struct kb_error *err)
{
    const struct kb_http_options options = {
        .ca_file = aws->settings.ca_file,
        .user_agent = "keybridge/" PACKAGE_VERSION,
        .connections = aws->settings.connections,
    };
    struct kb_wire *wire = take_idle(aws);
    enum kb_status status;

    *out = wire;
    if (wire)
        return KB_OK;
    wire = calloc(1, sizeof *wire);
    if (!wire)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    status = kb_http_new(&wire->http, &options, err);
    if (status == KB_OK)
        status = kb_crypto_new(&wire->crypto, err);
    if (status != KB_OK) {
        kb_wire_free(wire);
        return status;
    }
    *out = wire;
    return KB_OK;
}

void kb_wire_return(struct kb_aws *aws, struct kb_wire *wire)
{
    if (!wire)
        return;
    pthread_mutex_lock(&aws->lock);
    if (aws->idle_count < IDLE_WIRES_MAX) {
        wire->next = aws->idle;
        aws->idle = wire;
        aws->idle_count++;
        wire = NULL;
    }
    pthread_mutex_unlock(&aws->lock);
    if (wire)
        kb_wire_free(wire);
}
