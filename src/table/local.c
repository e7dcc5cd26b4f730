/* SPDX-License-Identifier: Apache-2.0
 *
 * The embedded table: making and opening its file.
 */
#include "table/local.h"

#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct kb_store_kind table_file = {
    .application_id = 0x6b627462, /* "kbtb" */
    .version = 1,
    .what = "a keybridge table",
    .repair = "restore it from a backup, or load its items anew",
};

/* In the order of their names. Items of a kilobyte and more in a WITHOUT ROWID
 * tree make every put of a random key rewrite several pages: measured, a
 * quarter of the speed. */
static const char *const layout[] = {
    ("CREATE TABLE items(partition BLOB, sort BLOB, mark INTEGER, item TEXT, "
     "PRIMARY KEY(partition, sort))"),
    "CREATE TABLE meta(name TEXT PRIMARY KEY, value) WITHOUT ROWID",
    "CREATE TABLE totals(items INTEGER, bytes INTEGER)",
};

enum { LAYOUT_TABLES = sizeof layout / sizeof *layout };

static const char *const statement_texts[LOCAL_STATEMENTS] = {
    [LOCAL_INSERT] = ("INSERT INTO items(partition, sort, mark, item) VALUES(?1, ?2, ?3, ?4) "
                      "ON CONFLICT DO NOTHING"),
    [LOCAL_REPLACE] = "UPDATE items SET mark = ?3, item = ?4 WHERE partition = ?1 AND sort = ?2",
    [LOCAL_GET] = "SELECT mark, item FROM items WHERE partition = ?1 AND sort = ?2",
    [LOCAL_DELETE] = "DELETE FROM items WHERE partition = ?1 AND sort = ?2",
    [LOCAL_TOTALS] = "SELECT items, bytes FROM totals",
    [LOCAL_TOTALS_ADD] = "UPDATE totals SET items = items + ?1, bytes = bytes + ?2",
};

/* --- schema in the file ---------------------------------------------------- */

struct meta_field {
    const char *name;
    char *value; /* into a schema */
    size_t room;
};

enum { META_FIELDS = 5 };

static void meta_fields(struct meta_field out[META_FIELDS], struct kb_table_schema *schema)
{
    struct kb_table_key *partition = &schema->partition, *sort = &schema->sort;

    out[0] = (struct meta_field){"signed_name", schema->signed_name, sizeof schema->signed_name};
    out[1] = (struct meta_field){"partition", partition->name, sizeof partition->name};
    out[2] = (struct meta_field){"partition_type", &partition->type, 1};
    out[3] = (struct meta_field){"sort", sort->name, sizeof sort->name};
    out[4] = (struct meta_field){"sort_type", &sort->type, 1};
}

static struct kb_bytes field_value(const struct meta_field *field)
{
    return (struct kb_bytes){(const uint8_t *)field->value, strnlen(field->value, field->room)};
}

/* Over all fields, kept beside them. */
static int64_t schema_mark(const struct meta_field fields[META_FIELDS])
{
    int64_t mark = 0;

    for (size_t i = 0; i < META_FIELDS; i++) {
        uint8_t before[8];

        for (size_t j = 0; j < sizeof before; j++)
            before[j] = (uint8_t)((uint64_t)mark >> 8 * j);
        mark = local_mark(
            (struct local_key){{before, sizeof before}, kb_bytes_text(fields[i].name)},
            field_value(&fields[i]));
    }
    return mark;
}

static enum kb_status fill(struct kb_store *store, const void *ctx, struct kb_error *err)
{
    struct kb_table_schema schema = *(const struct kb_table_schema *)ctx;
    struct meta_field fields[META_FIELDS];
    struct kb_statement *insert = NULL;
    enum kb_status status = KB_OK;

    meta_fields(fields, &schema);
    for (size_t i = 0; status == KB_OK && i < LAYOUT_TABLES; i++)
        status = kb_store_run(store, layout[i], err);
    if (status == KB_OK)
        status = kb_store_run(store, "INSERT INTO totals VALUES(0, 0)", err);
    if (status == KB_OK)
        status = kb_statement_prepare(&insert, store, "INSERT INTO meta VALUES(?1, ?2)", err);
    for (size_t i = 0; status == KB_OK && i < META_FIELDS; i++) {
        kb_statement_set_text(insert, 1, kb_bytes_text(fields[i].name));
        kb_statement_set_text(insert, 2, field_value(&fields[i]));
        status = kb_statement_run(insert, err);
    }
    if (status == KB_OK) {
        kb_statement_set_text(insert, 1, kb_bytes_text("mark"));
        kb_statement_set_integer(insert, 2, schema_mark(fields));
        status = kb_statement_run(insert, err);
    }
    kb_statement_free(insert);
    return status;
}

/* The file's base name without its extension. */
static enum kb_status default_name(char *out, size_t room, const char *path, struct kb_error *err)
{
    const char *base = strrchr(path, '/');
    const char *dot;
    size_t size;

    base = base ? base + 1 : path;
    dot = strrchr(base, '.');
    size = dot && dot != base ? (size_t)(dot - base) : strlen(base);
    if (!size || size >= room ||
        !kb_utf8_valid((struct kb_bytes){(const uint8_t *)base, size})) {
        kb_error_set(err, KB_ERR_USAGE, "'%s' gives no name for the table", path);
        kb_error_hint(err, "give the table name that signatures are to cover");
        return KB_ERR_USAGE;
    }
    memcpy(out, base, size);
    out[size] = 0;
    return KB_OK;
}

/* A connection that is not needed is no mistake: the command may give one for
 * whatever table it is told. */
static enum kb_status check_options(const struct kb_table_options *options, struct kb_error *err)
{
    if (options->sse != KB_SSE_OWNED || options->sse_kms_key)
        return kb_error_set(err, KB_ERR_USAGE, "a table in a file has no storage key to choose");
    if (options->read_units || options->write_units)
        return kb_error_set(err, KB_ERR_USAGE, "a table in a file has no provisioned throughput");
    return KB_OK;
}

static enum kb_status local_create(const char *name, const struct kb_table_schema *schema,
                                   const struct kb_table_options *options, struct kb_error *err)
{
    struct kb_table_schema full = *schema;
    enum kb_status status = check_options(options, err);

    if (status == KB_OK && full.index_count)
        return kb_error_set(err, KB_ERR_USAGE, "a table in a file has no secondary indexes");
    if (!full.sort.name[0])
        full.sort.type = 0;
    if (status == KB_OK && !full.signed_name[0])
        status = default_name(full.signed_name, sizeof full.signed_name, name, err);
    if (status == KB_OK)
        status = kb_store_create(name, &table_file, fill, &full, err);
    return status;
}

/* --- opening --------------------------------------------------------------- */

/* Only our tables, word for word: no view, trigger or index of somebody else
 * changes what our statements mean. */
static enum kb_status check_layout(struct kb_store *store, struct kb_error *err)
{
    struct kb_statement *select;
    size_t tables = 0;
    bool row, same = true;
    /* The index of a primary key has no SQL. */
    enum kb_status status = kb_statement_prepare(
        &select, store, "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name", err);

    if (status != KB_OK)
        return status;
    while ((status = kb_statement_step(select, &row, err)) == KB_OK && row && same) {
        same = tables < LAYOUT_TABLES &&
               kb_bytes_equal(kb_statement_bytes(select, 0), kb_bytes_text(layout[tables]));
        tables++;
    }
    kb_statement_free(select);
    if (status == KB_OK && (!same || tables != LAYOUT_TABLES))
        status = kb_store_damaged(store, "its layout is not that of a keybridge table", err);
    return status;
}

static bool read_field(const struct meta_field *field, struct kb_statement *select)
{
    struct kb_bytes value = kb_statement_bytes(select, 0);

    /* Texts keep room for their end, a type is one character. */
    if (value.size > (field->room > 1 ? field->room - 1 : 1))
        return false;
    memset(field->value, 0, field->room);
    memcpy(field->value, value.data, value.size);
    return true;
}

static enum kb_status read_schema(struct kb_store *store, struct kb_table_schema *schema,
                                  struct kb_error *err)
{
    struct meta_field fields[META_FIELDS];
    struct kb_statement *select;
    bool row, whole = true;
    enum kb_status status =
        kb_statement_prepare(&select, store, "SELECT value FROM meta WHERE name = ?1", err);

    meta_fields(fields, schema);
    for (size_t i = 0; status == KB_OK && i <= META_FIELDS; i++) {
        kb_statement_set_text(select, 1,
                              kb_bytes_text(i < META_FIELDS ? fields[i].name : "mark"));
        status = kb_statement_step(select, &row, err);
        if (status != KB_OK)
            break;
        if (!row)
            whole = false;
        else if (i < META_FIELDS)
            whole = whole && read_field(&fields[i], select);
        else
            whole = whole && kb_statement_integer(select, 0) == schema_mark(fields);
        kb_statement_reset(select);
    }
    kb_statement_free(select);
    if (status == KB_OK && !whole)
        status = kb_store_damaged(store, "the names of its keys are not as they were written", err);
    return status;
}

static void local_close(struct kb_table *table)
{
    struct local *local = (struct local *)table;

    for (size_t i = 0; i < LOCAL_STATEMENTS; i++)
        kb_statement_free(local->statements[i]);
    kb_store_close(local->store);
    kb_arena_free(&local->arena);
    kb_buffer_free(&local->keys);
    kb_buffer_free(&local->row_key);
    free(local);
}

static const struct kb_table_methods methods = {
    .close = local_close,
    .describe = local_describe,
    .put = local_put,
    .get = local_get,
    .delete = local_delete,
    .query = local_query,
    .scan = local_scan,
};

static enum kb_status local_open(struct kb_table **out, const char *name,
                                 const struct kb_table_options *options, struct kb_error *err)
{
    enum kb_status status = check_options(options, err);
    struct local *local;

    if (status != KB_OK)
        return status;
    local = calloc(1, sizeof *local);
    if (!local)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    local->table.methods = &methods;
    local->keys = (struct kb_buffer)KB_BUFFER_INIT(SIZE_MAX / 2);
    local->row_key = (struct kb_buffer)KB_BUFFER_INIT(SIZE_MAX / 2);
    status = kb_store_open(&local->store, name, &table_file, err);
    if (status == KB_OK)
        status = check_layout(local->store, err);
    if (status == KB_OK)
        status = read_schema(local->store, &local->table.schema, err);
    for (size_t i = 0; status == KB_OK && i < LOCAL_STATEMENTS; i++)
        status = kb_statement_prepare(&local->statements[i], local->store, statement_texts[i], err);
    if (status != KB_OK) {
        local_close(&local->table);
        return status;
    }
    *out = &local->table;
    return KB_OK;
}

const struct kb_table_kind kb_table_local = {
    .prefix = "local:",
    .create = local_create,
    .open = local_open,
};
