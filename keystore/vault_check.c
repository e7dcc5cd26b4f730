/* SPDX-License-Identifier: Apache-2.0
 *
 * Looks at all of a vault.
 */
#include "keystore/vault_rows.h"

#include <stdio.h>


struct checking {
    struct kb_vault *vault;
    enum vault_table table;
    void (*each)(void *ctx, const char *finding);
    void *ctx;
    uint64_t findings;
    char first[256];
};

static void found(struct checking *checking, const char *text)
{
    if (checking->findings++ == 0)
        snprintf(checking->first, sizeof checking->first, "%s", text);
    if (checking->each)
        checking->each(checking->ctx, text);
}

/* An error that says something of the file is a finding; others end the check. */
static enum kb_status take_error(struct checking *checking, enum kb_status status,
                                 struct kb_error *why, struct kb_error *err)
{
    if (status == KB_ERR_AUTH || status == KB_ERR_INPUT) {
        found(checking, kb_error_text(why));
        return KB_OK;
    }
    if (status != KB_OK && err && err->status == KB_OK)
        *err = *why;
    return status;
}

static void note_altered(void *ctx, int64_t row)
{
    struct checking *checking = ctx;
    char text[128];

    snprintf(text, sizeof text, "row %lld of %s was altered", (long long)row,
             vault_table_name(checking->table));
    found(checking, text);
}

static enum kb_status look_at(void *ctx, const struct vault_row *row, struct kb_error *err)
{
    struct checking *checking = ctx;
    struct kb_error why = {.status = KB_OK};
    struct kb_vault_key key;
    struct kb_vault_object object;
    enum kb_status status =
        checking->table == VAULT_KEYS ? vault_key_view(checking->vault, &key, row, &why)
        : checking->table == VAULT_OBJECTS
            ? vault_object_view(checking->vault, &object, row, &why)
            : KB_OK;

    return take_error(checking, status, &why, err);
}

static enum kb_status check_rows(struct checking *checking, struct kb_error *err)
{
    struct vault_reader reader = {look_at, note_altered, checking};
    enum kb_status status = KB_OK;

    for (size_t table = 0; table < VAULT_TABLES && status == KB_OK; table++) {
        struct vault_query query = {.table = (enum vault_table)table};
        struct kb_error why = {.status = KB_OK};

        checking->table = (enum vault_table)table;
        status = vault_contents_check(checking->vault, query.table, false, &why);
        status = take_error(checking, status, &why, err);
        if (status != KB_OK)
            break;
        kb_error_clear(&why);
        status = vault_rows_read(checking->vault, &query, &reader, &why);
        status = take_error(checking, status, &why, err);
    }
    return status;
}

static enum kb_status check_references(struct checking *checking, struct kb_error *err)
{
    static const struct {
        const char *sql;
        const char *text;
    } rows[] = {
        {"SELECT COUNT(*) FROM objects WHERE key_id <> '' AND key_id NOT IN (SELECT id FROM keys)",
         "rows of the inventory name a key that is not there"},
        {"SELECT COUNT(*) FROM events WHERE key_id NOT IN (SELECT id FROM keys)",
         "events name a key that is not there"},
        {"SELECT COUNT(*) FROM uploads WHERE object_row NOT IN (SELECT row FROM objects)",
         "uploads are of no row of the inventory"},
        {"SELECT COUNT(*) FROM parts WHERE object_row NOT IN (SELECT object_row FROM uploads)",
         "parts are of no upload"},
        /* Its text is "ok", and a number for nothing else. */
        {"SELECT COUNT(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'",
         "faults of the file were found by SQLite"},
    };
    enum kb_status status = KB_OK;

    for (size_t i = 0; i < sizeof rows / sizeof *rows && status == KB_OK; i++) {
        struct kb_error why = {.status = KB_OK};
        int64_t count = 0;
        char text[128];

        status = vault_number_find(checking->vault, rows[i].sql, NULL, 0, &count, &why);
        status = take_error(checking, status, &why, err);
        if (count) {
            snprintf(text, sizeof text, "%lld %s", (long long)count, rows[i].text);
            found(checking, text);
        }
    }
    return status;
}

static enum kb_status check_all(struct checking *checking, struct kb_error *err)
{
    struct kb_vault *vault = checking->vault;
    struct kb_error why = {.status = KB_OK};
    enum kb_status status = vault_state_peek(vault, &why);

    if (status == KB_OK)
        status = vault_state_read(vault, false, &why);
    if (status == KB_OK)
        status = vault_counter_check(vault, &why);
    vault->state_verified = status == KB_OK;
    status = take_error(checking, status, &why, err);
    if (status == KB_OK)
        status = check_rows(checking, err);
    return status == KB_OK ? check_references(checking, err) : status;
}

enum kb_status kb_vault_check(struct kb_vault *vault,
                              void (*each)(void *ctx, const char *finding), void *ctx,
                              struct kb_error *err)
{
    struct checking checking = {.vault = vault, .each = each, .ctx = ctx};
    enum kb_status status = vault_enter(vault, err);

    if (status != KB_OK)
        return status;
    status = kb_store_begin(vault->store, err);
    if (status == KB_OK)
        status = check_all(&checking, err);
    kb_store_rollback(vault->store);
    if (status == KB_OK && checking.findings)
        status = kb_error_set(err, KB_ERR_AUTH, "%s: %llu finding%s, the first: %.200s",
                              vault->path, (unsigned long long)checking.findings,
                              checking.findings == 1 ? "" : "s", checking.first);
    return vault_leave(vault, status);
}
