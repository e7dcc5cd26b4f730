/* SPDX-License-Identifier: Apache-2.0
 *
 * The embedded table: its items, one by one, in batches and in key order.
 */
#include "table/local.h"

#include "attr/attr.h"
#include "base/reader.h"

#include <stdio.h>
#include <string.h>

/* --- marks ----------------------------------------------------------------- */

/* Both steps are bijections of the state, so damage within one word always
 * changes the result. */
static uint64_t mix(uint64_t state, uint64_t word)
{
    state = (state ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return state ^ state >> 32;
}

static uint64_t mix_bytes(uint64_t state, struct kb_bytes bytes)
{
    uint64_t word = 0;

    state = mix(state, bytes.size);
    for (size_t i = 0; i < bytes.size; i++) {
        word |= (uint64_t)bytes.data[i] << 8 * (i % 8);
        if (i % 8 == 7) {
            state = mix(state, word);
            word = 0;
        }
    }
    return mix(state, word);
}

int64_t local_mark(struct local_key key, struct kb_bytes item)
{
    uint64_t state = mix_bytes(mix_bytes(mix_bytes(0, key.partition), key.sort), item);

    return (int64_t)(state & INT64_MAX);
}

/* --- one key --------------------------------------------------------------- */

static struct local_key read_key(struct kb_reader *reader)
{
    struct local_key key;

    key.partition = kb_reader_lv(reader);
    key.sort = kb_reader_lv(reader);
    return key;
}

static struct kb_statement *bind_key(struct local *local, enum local_statement which,
                                     struct local_key key)
{
    kb_statement_set_blob(local->statements[which], 1, key.partition);
    kb_statement_set_blob(local->statements[which], 2, key.sort);
    return local->statements[which];
}

/* Encodes the key of one item into `local->keys`. */
static enum kb_status key_of(struct local *local, struct local_key *out, struct kb_bytes item,
                             struct kb_error *err)
{
    enum kb_status status;
    struct kb_reader reader;

    kb_buffer_reset(&local->keys);
    kb_arena_reset(&local->arena);
    status = kb_table_encode_item(&local->keys, &local->table.schema, item, &local->arena, err);
    reader = kb_reader_of(kb_buffer_view(&local->keys));
    *out = read_key(&reader);
    return status;
}

/* Is the row as it was written, and the item that of the row's key? Whoever
 * changes the file can make a mark, so the second is asked too: an item under
 * another item's key would answer for it. `key` is used up. */
static enum kb_status check_row(struct local *local, struct local_key key, int64_t mark,
                                struct kb_bytes item, struct kb_error *err)
{
    struct kb_error unused = {0};
    struct local_key own;

    if (mark != local_mark(key, item))
        return kb_store_damaged(local->store, "an item is not as it was written", err);
    kb_buffer_reset(&local->row_key);
    kb_buffer_put_lv(&local->row_key, key.partition);
    kb_buffer_put_lv(&local->row_key, key.sort);
    if (kb_buffer_check(&local->row_key, err) != KB_OK)
        return KB_ERR_MEMORY;
    if (key_of(local, &own, item, &unused) != KB_OK ||
        !kb_bytes_equal(kb_buffer_view(&local->keys), kb_buffer_view(&local->row_key)))
        return kb_store_damaged(local->store, "an item stands under the key of another", err);
    return KB_OK;
}

/* As key_of, for a key that the caller asks for. */
static enum kb_status key_asked_for(struct local *local, struct local_key *out,
                                    struct kb_bytes item, struct kb_error *err)
{
    enum kb_status status;
    struct kb_reader reader;

    kb_buffer_reset(&local->keys);
    kb_arena_reset(&local->arena);
    status = kb_table_encode_asked(&local->keys, &local->table.schema, item, &local->arena, err);
    reader = kb_reader_of(kb_buffer_view(&local->keys));
    *out = read_key(&reader);
    return status;
}

enum kb_status local_get(struct kb_table *table, struct kb_bytes key_item, struct kb_buffer *out,
                         struct kb_error *err)
{
    struct local *local = (struct local *)table;
    struct local_key key;
    struct kb_statement *get;
    bool row;
    enum kb_status status = key_asked_for(local, &key, key_item, err);

    if (status != KB_OK)
        return status;
    get = bind_key(local, LOCAL_GET, key);
    status = kb_statement_step(get, &row, err);
    if (status == KB_OK && !row)
        return kb_error_set(err, KB_ERR_NOT_FOUND, "no item has this key");
    if (status == KB_OK)
        status = check_row(local, key, kb_statement_integer(get, 0), kb_statement_bytes(get, 1),
                           err);
    if (status == KB_OK) {
        kb_buffer_put_bytes(out, kb_statement_bytes(get, 1));
        status = kb_buffer_check(out, err);
    }
    kb_statement_reset(get);
    return status;
}

/* --- changes --------------------------------------------------------------- */

struct totals {
    int64_t items;
    int64_t bytes;
};

static enum kb_status read_totals(struct local *local, struct totals *out, struct kb_error *err)
{
    struct kb_statement *totals = local->statements[LOCAL_TOTALS];
    bool row;
    enum kb_status status = kb_statement_step(totals, &row, err);

    if (status != KB_OK)
        return status;
    if (row)
        *out = (struct totals){kb_statement_integer(totals, 0), kb_statement_integer(totals, 1)};
    if (!row || out->items < 0 || out->bytes < 0)
        status = kb_store_damaged(local->store, "it does not say how many items it has", err);
    return status;
}

/* Ends a transaction: the totals, then durable or as it was before. */
static enum kb_status finish(struct local *local, enum kb_status status, struct totals change,
                             struct kb_error *err)
{
    struct kb_statement *add = local->statements[LOCAL_TOTALS_ADD];

    local->changes++;
    if (status == KB_OK) {
        kb_statement_set_integer(add, 1, change.items);
        kb_statement_set_integer(add, 2, change.bytes);
        status = kb_statement_run(add, err);
    }
    if (status == KB_OK)
        return kb_store_commit(local->store, err);
    kb_store_rollback(local->store);
    return status;
}

/* Bytes of the item that has the key; 0 when none has. */
static enum kb_status stored_size(struct local *local, struct local_key key, int64_t *size,
                                  struct kb_error *err)
{
    struct kb_statement *get = bind_key(local, LOCAL_GET, key);
    bool row;
    enum kb_status status = kb_statement_step(get, &row, err);

    *size = 0;
    if (row) {
        *size = (int64_t)kb_statement_bytes(get, 1).size;
        kb_statement_reset(get);
    }
    return status;
}

static enum kb_status write_item(struct local *local, enum local_statement which,
                                 struct local_key key, struct kb_bytes item, struct kb_error *err)
{
    struct kb_statement *write = bind_key(local, which, key);

    kb_statement_set_integer(write, 3, local_mark(key, item));
    kb_statement_set_text(write, 4, item);
    return kb_statement_run(write, err);
}

/* Most items are new: try that first, and look at the old one only if there
 * is one. */
static enum kb_status put_item(struct local *local, struct local_key key, struct kb_bytes item,
                               struct totals *change, struct kb_error *err)
{
    int64_t old = 0;
    enum kb_status status = write_item(local, LOCAL_INSERT, key, item, err);

    if (status != KB_OK)
        return status;
    if (kb_store_changes(local->store) == 1) {
        change->items++;
    } else {
        status = stored_size(local, key, &old, err);
        if (status == KB_OK)
            status = write_item(local, LOCAL_REPLACE, key, item, err);
    }
    change->bytes += (int64_t)item.size - old;
    return status;
}

enum kb_status local_put(struct kb_table *table, const struct kb_bytes *items, size_t n,
                         size_t *bad, struct kb_error *err)
{
    struct local *local = (struct local *)table;
    struct totals change = {0, 0};
    struct kb_reader reader;
    enum kb_status status = KB_OK;
    bool *stays;
    size_t merged;

    *bad = n;
    kb_buffer_reset(&local->keys);
    /* All items are looked at before the lock is taken. */
    for (size_t i = 0; i < n; i++) {
        kb_arena_reset(&local->arena);
        status = kb_table_encode_item(&local->keys, &table->schema, items[i], &local->arena, err);
        if (status != KB_OK) {
            *bad = status == KB_ERR_INPUT ? i : n;
            return status;
        }
    }
    if (n == 0)
        return KB_OK;
    kb_arena_reset(&local->arena);
    stays = kb_arena_array(&local->arena, n, sizeof *stays);
    if (!stays)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    status = kb_table_merge(stays, &merged, kb_buffer_view(&local->keys), n, &local->arena, err);
    if (status != KB_OK)
        return status;
    reader = kb_reader_of(kb_buffer_view(&local->keys));
    status = kb_store_begin(local->store, err);
    if (status != KB_OK)
        return status;
    for (size_t i = 0; status == KB_OK && i < n; i++) {
        struct local_key key = read_key(&reader);

        if (stays[i])
            status = put_item(local, key, items[i], &change, err);
    }
    status = finish(local, status, change, err);
    if (status == KB_OK) {
        table->stats.merged += merged;
        table->stats.stored += n - merged;
    }
    return status;
}

enum kb_status local_delete(struct kb_table *table, struct kb_bytes key_item, struct kb_error *err)
{
    struct local *local = (struct local *)table;
    struct local_key key;
    int64_t size = 0;
    enum kb_status status = key_asked_for(local, &key, key_item, err);

    if (status == KB_OK)
        status = kb_store_begin(local->store, err);
    if (status != KB_OK)
        return status;
    status = stored_size(local, key, &size, err);
    if (status == KB_OK && size == 0)
        status = kb_error_set(err, KB_ERR_NOT_FOUND, "no item has this key");
    if (status == KB_OK)
        status = kb_statement_run(bind_key(local, LOCAL_DELETE, key), err);
    return finish(local, status, (struct totals){-1, -size}, err);
}

enum kb_status local_describe(struct kb_table *table, struct kb_table_info *out,
                              struct kb_error *err)
{
    struct local *local = (struct local *)table;
    struct totals totals = {0, 0};
    enum kb_status status = read_totals(local, &totals, err);

    kb_statement_reset(local->statements[LOCAL_TOTALS]);
    out->items = (uint64_t)totals.items;
    out->bytes = (uint64_t)totals.bytes;
    return status;
}

/* --- walks ----------------------------------------------------------------- */

struct walk {
    const struct kb_table_sink *sink;
    bool descending;
    struct kb_buffer copy; /* of the item for the callback */
    struct kb_buffer last; /* key of the last row: partition, sort */
    size_t last_partition; /* bytes of it */
    struct totals seen;
    struct totals expected; /* held against `seen` when `whole` */
    bool whole;
};

/* A page that points twice to one row and not to its neighbour shows only in
 * the order of the keys. */
static enum kb_status check_order(struct local *local, struct walk *walk, struct local_key key,
                                  struct kb_error *err)
{
    struct kb_bytes last = kb_buffer_view(&walk->last);
    struct kb_bytes partition = {last.data, walk->last_partition};
    int order = kb_bytes_compare(key.partition, partition);

    if (order == 0 && walk->seen.items)
        order = kb_bytes_compare(key.sort, (struct kb_bytes){last.data + partition.size,
                                                             last.size - partition.size});
    if (walk->seen.items && (walk->descending ? order >= 0 : order <= 0))
        return kb_store_damaged(local->store, "its items are out of order", err);
    kb_buffer_reset(&walk->last);
    kb_buffer_put_bytes(&walk->last, key.partition);
    kb_buffer_put_bytes(&walk->last, key.sort);
    walk->last_partition = key.partition.size;
    return kb_buffer_check(&walk->last, err);
}

/* The callback gets a copy: it may use the table, which may move the row. */
static enum kb_status walk_row(struct local *local, struct walk *walk, struct kb_statement *select,
                               struct kb_error *err)
{
    struct local_key key = {kb_statement_bytes(select, 0), kb_statement_bytes(select, 1)};
    struct kb_bytes item = kb_statement_bytes(select, 3);
    struct kb_error why = {0};
    enum kb_status as_written = check_row(local, key, kb_statement_integer(select, 2), item, &why);
    enum kb_status status = check_order(local, walk, key, err);

    if (status != KB_OK)
        return status;
    if (as_written != KB_OK && walk->sink->damaged) {
        /* What was changed may have changed in size: only order is held on to. */
        walk->whole = false;
        walk->seen.items++;
        return walk->sink->damaged(walk->sink->ctx, &why);
    }
    if (as_written != KB_OK) {
        if (err && err->status == KB_OK)
            *err = why;
        return as_written;
    }
    walk->seen.items++;
    walk->seen.bytes += (int64_t)item.size;
    kb_buffer_reset(&walk->copy);
    kb_buffer_put_bytes(&walk->copy, item);
    status = kb_buffer_check(&walk->copy, err);
    if (status != KB_OK)
        return status;
    return walk->sink->item(walk->sink->ctx, kb_buffer_view(&walk->copy));
}

/* Rows come from one snapshot; writers go on meanwhile. */
static enum kb_status walk_rows(struct local *local, struct walk *walk,
                                struct kb_statement *select, struct kb_error *err)
{
    uint64_t changes = local->changes;
    bool row;
    enum kb_status status = kb_statement_step(select, &row, err);

    walk->copy = walk->last = (struct kb_buffer)KB_BUFFER_INIT(SIZE_MAX / 2);
    /* The totals of the same snapshot were read; both are open up to here. */
    kb_statement_reset(local->statements[LOCAL_TOTALS]);
    while (status == KB_OK && row) {
        status = walk_row(local, walk, select, err);
        /* What the callback changes itself, it may meet again. */
        if (local->changes != changes)
            walk->whole = false;
        if (status == KB_OK && walk->whole && walk->seen.items > walk->expected.items)
            break;
        if (status == KB_OK)
            status = kb_statement_step(select, &row, err);
    }
    if (status == KB_OK && walk->whole && (walk->seen.items != walk->expected.items ||
                                           walk->seen.bytes != walk->expected.bytes))
        status = kb_store_damaged(local->store, "it has not as many items as were written", err);
    kb_buffer_free(&walk->copy);
    kb_buffer_free(&walk->last);
    return status;
}

static int64_t sql_limit(uint64_t limit)
{
    return limit == 0 ? -1 : limit > INT64_MAX ? INT64_MAX : (int64_t)limit;
}

enum kb_status local_scan(struct kb_table *table, uint64_t limit,
                          const struct kb_table_sink *sink,
                          struct kb_error *err)
{
    struct local *local = (struct local *)table;
    struct walk walk = {.sink = sink, .whole = limit == 0};
    struct kb_statement *select;
    enum kb_status status =
        kb_statement_prepare(&select, local->store,
                             "SELECT partition, sort, mark, item FROM items "
                             "ORDER BY partition, sort LIMIT ?1",
                             err);

    if (status != KB_OK)
        return status;
    kb_statement_set_integer(select, 1, sql_limit(limit));
    status = read_totals(local, &walk.expected, err);
    if (status == KB_OK)
        status = walk_rows(local, &walk, select, err);
    kb_statement_reset(local->statements[LOCAL_TOTALS]);
    kb_statement_free(select);
    return status;
}

static enum kb_status prepare_query(struct kb_statement **out, struct local *local,
                                    const struct kb_table_range *range, bool descending,
                                    struct kb_error *err)
{
    char sql[256];

    snprintf(sql, sizeof sql,
             "SELECT partition, sort, mark, item FROM items WHERE partition = ?1%s%s "
             "ORDER BY sort %s LIMIT ?2",
             !range->has_lower ? "" : range->lower_open ? " AND sort > ?3" : " AND sort >= ?3",
             !range->has_upper ? "" : range->upper_open ? " AND sort < ?4" : " AND sort <= ?4",
             descending ? "DESC" : "ASC");
    return kb_statement_prepare(out, local->store, sql, err);
}

enum kb_status local_query(struct kb_table *table, const struct kb_table_query *query,
                           const struct kb_table_sink *sink,
                           struct kb_error *err)
{
    struct local *local = (struct local *)table;
    struct walk walk = {.sink = sink, .descending = query->descending};
    struct kb_buffer partition = KB_BUFFER_INIT(2 * KB_PARTITION_KEY_MAX);
    struct kb_statement *select = NULL;
    struct kb_table_range range;
    enum kb_status status = kb_table_range_of(&range, &table->schema.sort, query, err);

    if (status == KB_OK && query->index)
        status = kb_error_set(err, KB_ERR_USAGE, "a table in a file has no secondary indexes");
    if (status == KB_OK)
        status = kb_table_encode_text(&partition, &table->schema.partition, KB_PARTITION_KEY_MAX,
                                      query->partition, err);
    if (status == KB_OK)
        status = prepare_query(&select, local, &range, query->descending, err);
    if (status == KB_OK) {
        kb_statement_set_blob(select, 1, kb_buffer_view(&partition));
        kb_statement_set_integer(select, 2, sql_limit(query->limit));
        if (range.has_lower)
            kb_statement_set_blob(select, 3, kb_buffer_view(&range.lower));
        if (range.has_upper)
            kb_statement_set_blob(select, 4, kb_buffer_view(&range.upper));
        status = walk_rows(local, &walk, select, err);
    }
    kb_statement_free(select);
    kb_table_range_free(&range);
    kb_buffer_free(&partition);
    return status;
}
