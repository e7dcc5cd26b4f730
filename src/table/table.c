/* SPDX-License-Identifier: Apache-2.0
 *
 * Which kind of table a name means, and what is the same for all kinds.
 */
#include "table/table.h"

#include "base/text.h"

#include <string.h>

static const struct kb_table_kind *const kinds[] = {&kb_table_local, &kb_table_dynamodb};

static enum kb_status kind_of(const struct kb_table_kind **out, const char **name,
                              const char *where, struct kb_error *err)
{
    for (size_t i = 0; where && i < sizeof kinds / sizeof *kinds; i++) {
        size_t size = strlen(kinds[i]->prefix);

        if (strncmp(where, kinds[i]->prefix, size) != 0)
            continue;
        if (!where[size])
            break;
        *out = kinds[i];
        *name = where + size;
        return KB_OK;
    }
    kb_error_set(err, KB_ERR_USAGE, "'%s' does not name a table", where ? where : "");
    kb_error_hint(err, "a table is named local:FILE or dynamodb:NAME");
    return KB_ERR_USAGE;
}

/* --- schema ---------------------------------------------------------------- */

static bool name_ok(const char *name, size_t room)
{
    size_t size = strnlen(name, room);

    return size > 0 && size < room &&
           kb_utf8_valid((struct kb_bytes){(const uint8_t *)name, size});
}

static bool type_ok(char type)
{
    return type == 'S' || type == 'N' || type == 'B';
}

enum kb_status kb_table_key_parse(struct kb_table_key *out, const char *text, struct kb_error *err)
{
    size_t size = text ? strlen(text) : 0;

    memset(out, 0, sizeof *out);
    out->type = 'S';
    if (size >= 2 && text[size - 2] == ':' && type_ok(text[size - 1])) {
        out->type = text[size - 1];
        size -= 2;
    }
    if (size && size < sizeof out->name)
        memcpy(out->name, text, size);
    /* "Order ID:Q" is a slip more likely than a name. */
    bool slip = size >= 2 && text[size] == 0 && text[size - 2] == ':' && text[size - 1] >= 'A' &&
                text[size - 1] <= 'Z';

    if (slip || !name_ok(out->name, sizeof out->name)) {
        kb_error_set(err, KB_ERR_USAGE, "'%.60s' does not name a key attribute", text ? text : "");
        kb_error_hint(err, "NAME:S, NAME:N or NAME:B, the name at most 255 bytes of UTF-8");
        return KB_ERR_USAGE;
    }
    return KB_OK;
}

static enum kb_status check_index(const struct kb_table_index *index,
                                  const struct kb_table_schema *schema, struct kb_error *err)
{
    const struct kb_table_key *partition = &index->partition, *sort = &index->sort;

    if (!name_ok(index->name, sizeof index->name))
        return kb_error_set(err, KB_ERR_USAGE, "an index has no name");
    if (!name_ok(partition->name, sizeof partition->name) || !type_ok(partition->type))
        return kb_error_set(err, KB_ERR_USAGE,
                            "index '%s' needs a partition key of type S, N or B", index->name);
    if (sort->name[0] && (!name_ok(sort->name, sizeof sort->name) || !type_ok(sort->type)))
        return kb_error_set(err, KB_ERR_USAGE,
                            "the sort key of index '%s' is not a name with type S, N or B",
                            index->name);
    if (strcmp(partition->name, sort->name) == 0)
        return kb_error_set(err, KB_ERR_USAGE,
                            "index '%s': partition key and sort key are both '%s'",
                            index->name, sort->name);
    if (index->local &&
        (!sort->name[0] || strcmp(partition->name, schema->partition.name) != 0))
        return kb_error_set(err, KB_ERR_USAGE,
                            "local index '%s' needs the table's partition key and a sort key",
                            index->name);
    return KB_OK;
}

static enum kb_status check_indexes(const struct kb_table_schema *schema, struct kb_error *err)
{
    enum kb_status status = KB_OK;

    if (schema->index_count > KB_TABLE_INDEXES_MAX)
        return kb_error_set(err, KB_ERR_USAGE, "a table has at most %d indexes",
                            KB_TABLE_INDEXES_MAX);
    for (size_t i = 0; status == KB_OK && i < schema->index_count; i++) {
        status = check_index(&schema->indexes[i], schema, err);
        for (size_t j = 0; status == KB_OK && j < i; j++)
            if (strcmp(schema->indexes[i].name, schema->indexes[j].name) == 0)
                status = kb_error_set(err, KB_ERR_USAGE, "there are two indexes named '%s'",
                                      schema->indexes[i].name);
    }
    return status;
}

static enum kb_status check_schema(const struct kb_table_schema *schema, struct kb_error *err)
{
    const struct kb_table_key *partition = &schema->partition;
    const struct kb_table_key *sort = &schema->sort;

    if (!name_ok(partition->name, sizeof partition->name) || !type_ok(partition->type))
        return kb_error_set(err, KB_ERR_USAGE, "a table needs a partition key of type S, N or B");
    if (sort->name[0] && (!name_ok(sort->name, sizeof sort->name) || !type_ok(sort->type)))
        return kb_error_set(err, KB_ERR_USAGE, "the sort key is not a name with type S, N or B");
    if (strcmp(partition->name, sort->name) == 0)
        return kb_error_set(err, KB_ERR_USAGE, "partition key and sort key are both '%s'",
                            sort->name);
    if (schema->signed_name[0] && !name_ok(schema->signed_name, sizeof schema->signed_name))
        return kb_error_set(err, KB_ERR_USAGE, "the table name is not UTF-8 text");
    return check_indexes(schema, err);
}

/* --- dispatch -------------------------------------------------------------- */

static const struct kb_table_options no_options;

enum kb_status kb_table_create(const char *where, const struct kb_table_schema *schema,
                               const struct kb_table_options *options, struct kb_error *err)
{
    const struct kb_table_kind *kind;
    const char *name;
    enum kb_status status = kind_of(&kind, &name, where, err);

    if (status == KB_OK)
        status = check_schema(schema, err);
    if (status == KB_OK)
        status = kind->create(name, schema, options ? options : &no_options, err);
    return status;
}

enum kb_status kb_table_open(struct kb_table **out, const char *where,
                             const struct kb_table_options *options, struct kb_error *err)
{
    const struct kb_table_kind *kind;
    const char *name;
    enum kb_status status = kind_of(&kind, &name, where, err);

    *out = NULL;
    if (status == KB_OK)
        status = kind->open(out, name, options ? options : &no_options, err);
    return status;
}

void kb_table_close(struct kb_table *table)
{
    if (table)
        table->methods->close(table);
}

const struct kb_table_schema *kb_table_schema(const struct kb_table *table)
{
    return &table->schema;
}

enum kb_status kb_table_describe(struct kb_table *table, struct kb_table_info *out,
                                 struct kb_error *err)
{
    memset(out, 0, sizeof *out);
    return table->methods->describe(table, out, err);
}

enum kb_status kb_table_set_sse(struct kb_table *table, const struct kb_table_options *options,
                                struct kb_error *err)
{
    if (!table->methods->set_sse)
        return kb_error_set(err, KB_ERR_USAGE, "only tables in DynamoDB have a storage key");
    return table->methods->set_sse(table, options ? options : &no_options, err);
}

void kb_table_stats(const struct kb_table *table, struct kb_table_stats *out)
{
    *out = table->stats;
    if (table->methods->add_stats)
        table->methods->add_stats(table, out);
}

enum kb_status kb_table_put(struct kb_table *table, const struct kb_bytes *items, size_t n,
                            size_t *bad, struct kb_error *err)
{
    size_t unwanted;

    return table->methods->put(table, items, n, bad ? bad : &unwanted, err);
}

enum kb_status kb_table_get(struct kb_table *table, struct kb_bytes key, struct kb_buffer *out,
                            struct kb_error *err)
{
    return table->methods->get(table, key, out, err);
}

enum kb_status kb_table_delete(struct kb_table *table, struct kb_bytes key, struct kb_error *err)
{
    return table->methods->delete(table, key, err);
}

enum kb_status kb_table_query(struct kb_table *table, const struct kb_table_query *query,
                              const struct kb_table_sink *sink,
                              struct kb_error *err)
{
    return table->methods->query(table, query, sink, err);
}

enum kb_status kb_table_scan(struct kb_table *table, uint64_t limit,
                             const struct kb_table_sink *sink,
                             struct kb_error *err)
{
    return table->methods->scan(table, limit, sink, err);
}
