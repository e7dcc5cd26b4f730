/* SPDX-License-Identifier: Apache-2.0
 *
 * The journal of keys that were handed out.
 */
#include "keystore/vault_rows.h"

#include <time.h>

enum event_column { EVENT_TIME, EVENT_KEY_ID, EVENT_WHAT };

enum kb_status vault_event_add(struct kb_vault *vault, const char *key_id, const char *what,
                               struct kb_error *err)
{
    struct vault_row row = {.row = 0};

    row.cells[EVENT_TIME] = vault_integer((uint64_t)time(NULL));
    row.cells[EVENT_KEY_ID] = vault_text(key_id);
    row.cells[EVENT_WHAT] = vault_text(what);
    return vault_rows_put(vault, VAULT_EVENTS, true, &row, 1, err);
}

struct walk {
    enum kb_status (*each)(void *ctx, const struct kb_vault_event *event, struct kb_error *err);
    void *ctx;
};

static enum kb_status give_event(void *ctx, const struct vault_row *row, struct kb_error *err)
{
    const struct walk *walk = ctx;
    struct kb_vault_event event = {
        .number = (uint64_t)row->row,
        .time = row->cells[EVENT_TIME].integer,
        .key_id = vault_text_view(&row->cells[EVENT_KEY_ID]),
        .what = vault_text_view(&row->cells[EVENT_WHAT]),
    };

    return walk->each(walk->ctx, &event, err);
}

enum kb_status kb_vault_each_event(struct kb_vault *vault,
                                   enum kb_status (*each)(void *ctx,
                                                          const struct kb_vault_event *event,
                                                          struct kb_error *err),
                                   void *ctx, struct kb_error *err)
{
    struct walk walk = {each, ctx};
    struct vault_query query = {.table = VAULT_EVENTS};
    struct vault_reader reader = {give_event, NULL, &walk};
    enum kb_status status = vault_enter(vault, err);

    return status == KB_OK ? vault_leave(vault, vault_rows_read(vault, &query, &reader, err))
                           : status;
}
