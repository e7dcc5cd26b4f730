/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls and transactions of the vault, and the state row that each of them
 * writes anew.
 *
 * The counter is stepped after the commit, so that a crash leaves the file one
 * ahead of the token and never behind it; and under the file's write lock, so that
 * no process steps it back.
 */
#include "keystore/vault_rows.h"

#include <stdio.h>
#include <string.h>

#include "base/reader.h"

enum { CONTENTS_SIZE = VAULT_TABLES * (8 + 8 + VAULT_MAC_SIZE) };

enum state_column {
    STATE_ID,
    STATE_SERIAL,
    STATE_LABEL,
    STATE_WRAP_VERSION,
    STATE_SIGN_VERSION,
    STATE_COUNTER,
    STATE_CONTENTS,
};

void vault_counter_name(char out[VAULT_COUNTER_NAME], const char *id)
{
    snprintf(out, VAULT_COUNTER_NAME, KB_VAULT_COUNTER_PREFIX "%.32s", id);
}

/* --- the state row ------------------------------------------------------------------------ */

static enum kb_status write_contents(const struct vault_state *state, struct kb_buffer *out,
                                     struct kb_error *err)
{
    for (size_t i = 0; i < VAULT_TABLES; i++) {
        kb_buffer_put_u64(out, state->tables[i].count);
        kb_buffer_put_u64(out, state->tables[i].next);
        kb_buffer_put(out, state->tables[i].sum, VAULT_MAC_SIZE);
    }
    return kb_buffer_check(out, err);
}

static bool read_contents(struct vault_state *state, struct kb_bytes bytes)
{
    struct kb_reader reader = kb_reader_of(bytes);

    for (size_t i = 0; i < VAULT_TABLES; i++) {
        struct kb_bytes sum;

        state->tables[i].count = kb_reader_u64(&reader);
        state->tables[i].next = kb_reader_u64(&reader);
        sum = kb_reader_take(&reader, VAULT_MAC_SIZE);
        if (sum.data)
            memcpy(state->tables[i].sum, sum.data, VAULT_MAC_SIZE);
    }
    return kb_reader_done(&reader);
}

enum kb_status vault_state_write(struct kb_vault *vault, struct kb_error *err)
{
    const struct vault_state *state = &vault->state;
    struct kb_buffer contents = KB_BUFFER_INIT(CONTENTS_SIZE);
    struct vault_row row = {.row = 1};
    enum kb_status status = write_contents(state, &contents, err);

    row.cells[STATE_ID] = vault_text(state->id);
    row.cells[STATE_SERIAL] = vault_text(state->serial);
    row.cells[STATE_LABEL] = vault_text(state->label);
    row.cells[STATE_WRAP_VERSION] = vault_text(state->wrap_version);
    row.cells[STATE_SIGN_VERSION] = vault_text(state->sign_version);
    row.cells[STATE_COUNTER] = vault_integer(state->counter);
    row.cells[STATE_CONTENTS] = (struct vault_cell){.bytes = kb_buffer_view(&contents)};
    if (status == KB_OK)
        status = kb_store_run(vault->store, "DELETE FROM state", err);
    if (status == KB_OK)
        status = vault_rows_put(vault, VAULT_STATE, true, &row, 1, err);
    kb_buffer_free(&contents);
    return status;
}

/* The rest of it was peeked at. */
static enum kb_status get_state(void *ctx, const struct vault_row *row, struct kb_error *err)
{
    struct kb_vault *vault = ctx;

    if (!read_contents(&vault->state, row->cells[STATE_CONTENTS].bytes))
        return vault_damaged(vault, "its state makes no sense", err);
    return KB_OK;
}

static enum kb_status check_token(struct kb_vault *vault, struct kb_error *err)
{
    const struct kb_token_info *info = kb_keystore_info(vault->keystore);
    const struct vault_state *state = &vault->state;

    if (strcmp(info->serial, state->serial) == 0 && strcmp(info->label, state->label) == 0)
        return KB_OK;
    kb_error_set(err, KB_ERR_AUTH, "%s belongs to the token '%s' (%s), and not to '%s' (%s)",
                 vault->path, state->label, state->serial, info->label, info->serial);
    kb_error_hint(err, "choose that token; keybridge vault export moves keys to another");
    return KB_ERR_AUTH;
}

/* What must be known before the state can be verified. */
static bool peek(struct kb_vault *vault, struct kb_statement *statement)
{
    struct vault_state *state = &vault->state;
    struct vault_cell cells[5];
    struct kb_bytes mac = kb_statement_bytes(statement, 6);

    for (int i = 0; i < 5; i++)
        cells[i] = (struct vault_cell){.bytes = kb_statement_bytes(statement, i)};
    state->counter = (uint64_t)kb_statement_integer(statement, 5);
    memset(vault->state_mac, 0, sizeof vault->state_mac);
    if (mac.size == VAULT_MAC_SIZE)
        memcpy(vault->state_mac, mac.data, VAULT_MAC_SIZE);
    return vault_text_fill(state->id, sizeof state->id, &cells[STATE_ID]) &&
           vault_text_fill(state->serial, sizeof state->serial, &cells[STATE_SERIAL]) &&
           vault_text_fill(state->label, sizeof state->label, &cells[STATE_LABEL]) &&
           vault_text_fill(state->wrap_version, sizeof state->wrap_version,
                           &cells[STATE_WRAP_VERSION]) &&
           vault_text_fill(state->sign_version, sizeof state->sign_version,
                           &cells[STATE_SIGN_VERSION]);
}

enum kb_status vault_state_peek(struct kb_vault *vault, struct kb_error *err)
{
    static const char sql[] = "SELECT id, serial, label, wrap_version, sign_version, counter, mac "
                              "FROM state ORDER BY row";
    struct kb_statement *statement;
    bool row = false;
    enum kb_status status = kb_statement_prepare(&statement, vault->store, sql, err);

    if (status == KB_OK)
        status = kb_statement_step(statement, &row, err);
    if (status == KB_OK && !(row && peek(vault, statement)))
        status = vault_damaged(vault, "it has no state", err);
    kb_statement_free(statement);
    return status == KB_OK ? check_token(vault, err) : status;
}

enum kb_status vault_state_read(struct kb_vault *vault, bool trust, struct kb_error *err)
{
    struct vault_query query = {.table = VAULT_STATE};
    struct vault_reader reader = {get_state, trust ? vault_row_pass_over : NULL, vault};

    return vault_rows_read(vault, &query, &reader, err);
}

/* --- the counter ----------------------------------------------------------------------------- */

static enum kb_status is_old(struct kb_vault *vault, uint64_t there, struct kb_error *err)
{
    if (there > vault->state.counter)
        kb_error_set(err, KB_ERR_AUTH,
                     "%s is an old copy: its counter is at %llu, the token's at %llu", vault->path,
                     (unsigned long long)vault->state.counter, (unsigned long long)there);
    else
        kb_error_set(err, KB_ERR_AUTH,
                     "the token's counter of %s is at %llu, that of the file at %llu: the token "
                     "was put back to an older state",
                     vault->path, (unsigned long long)there,
                     (unsigned long long)vault->state.counter);
    kb_error_hint(err, "put the last file back; or, if this is all there is, go on with it: "
                       "keybridge vault repair");
    return KB_ERR_AUTH;
}

enum kb_status vault_counter_check(struct kb_vault *vault, struct kb_error *err)
{
    uint64_t there = 0, counter = vault->state.counter;
    char name[VAULT_COUNTER_NAME];
    struct kb_error why = {.status = KB_OK};
    enum kb_status status;

    vault_counter_name(name, vault->state.id);
    status = kb_counter_get(vault->token, name, &there, &why);
    if (status == KB_ERR_NOT_FOUND) {
        kb_error_set(err, KB_ERR_AUTH, "the token has no counter for %s any more", vault->path);
        kb_error_hint(err, "keybridge vault repair goes on with the file as it is");
        return KB_ERR_AUTH;
    }
    if (status != KB_OK) {
        if (err && err->status == KB_OK)
            *err = why;
        return status;
    }
    if (there == counter)
        return KB_OK;
    if (there != counter - 1)
        return is_old(vault, there, err);
    return kb_counter_step(vault->token, name, there, counter, err);
}

/* --- calls -------------------------------------------------------------------------------- */

enum kb_status vault_enter(struct kb_vault *vault, struct kb_error *err)
{
    enum kb_status status;

    pthread_mutex_lock(&vault->lock);
    status = kb_token_lease(&vault->token, vault->keystore, err);
    if (status != KB_OK)
        pthread_mutex_unlock(&vault->lock);
    return status;
}

enum kb_status vault_leave(struct kb_vault *vault, enum kb_status status)
{
    kb_token_return(vault->token);
    vault->token = NULL;
    pthread_mutex_unlock(&vault->lock);
    return status;
}

/* What another process has written since is held against the counter. */
static enum kb_status refresh(struct kb_vault *vault, struct kb_error *err)
{
    uint8_t known[VAULT_MAC_SIZE];
    struct vault_state before = vault->state;
    enum kb_status status;

    memcpy(known, vault->state_mac, sizeof known);
    status = vault_state_peek(vault, err);
    if (status == KB_OK && vault->state_verified &&
        memcmp(known, vault->state_mac, sizeof known) == 0) {
        vault->state = before;
        return KB_OK;
    }
    if (status == KB_OK)
        status = vault_state_read(vault, false, err);
    if (status == KB_OK)
        status = vault_counter_check(vault, err);
    if (status == KB_OK) {
        vault->state_verified = true;
    } else {
        vault->state = before;
        memcpy(vault->state_mac, known, sizeof known);
    }
    return status;
}

enum kb_status vault_begin(struct kb_vault *vault, struct kb_error *err)
{
    enum kb_status status = vault_enter(vault, err);

    if (status != KB_OK)
        return status;
    status = kb_store_begin(vault->store, err);
    if (status != KB_OK)
        return vault_leave(vault, status);
    status = refresh(vault, err);
    if (status == KB_OK)
        return KB_OK;
    kb_store_rollback(vault->store);
    return vault_leave(vault, status);
}

/* A state that was not committed is not ours: the next call reads it anew. */
static enum kb_status commit(struct kb_vault *vault, enum kb_status status, struct kb_error *err)
{
    if (status == KB_OK)
        status = vault_state_write(vault, err);
    if (status == KB_OK)
        status = kb_store_commit(vault->store, err);
    else
        kb_store_rollback(vault->store);
    if (status != KB_OK)
        vault->state_verified = false;
    return status;
}

enum kb_status vault_end(struct kb_vault *vault, enum kb_status status, struct kb_error *err)
{
    return vault_leave(vault, commit(vault, status, err));
}

/* Until the counter has followed, a state is not to be believed: nobody steps it once
 * more on top of that. Another process may have been faster, and has stepped it already. */
static enum kb_status step_counter(struct kb_vault *vault, struct kb_error *err)
{
    enum kb_status status = kb_store_begin(vault->store, err);

    if (status == KB_OK) {
        status = refresh(vault, err);
        if (status == KB_OK)
            status = vault_counter_check(vault, err);
        kb_store_rollback(vault->store);
    }
    if (status != KB_OK)
        vault->state_verified = false;
    return status;
}

enum kb_status vault_end_step(struct kb_vault *vault, enum kb_status status, struct kb_error *err)
{
    if (status == KB_OK)
        vault->state.counter++;
    status = commit(vault, status, err);
    if (status == KB_OK)
        status = step_counter(vault, err);
    return vault_leave(vault, status);
}
