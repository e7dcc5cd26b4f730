/* SPDX-License-Identifier: Apache-2.0
 *
 * keybridge table create, describe, set-sse: what a table is, not what is in it.
 */
#include "cli/table.h"

#include <string.h>

/* --- options ------------------------------------------------------------------------- */

/* By enum kb_table_sse. */
static const char *const sse_names[] = {"owned", "aws", "kms"};
enum { SSE_NAMES = sizeof sse_names / sizeof *sse_names };

static enum kb_status parse_sse(struct cli *cli, const char *sse, const char *key,
                                struct kb_table_options *out)
{
    size_t i = 0;

    while (sse && i < SSE_NAMES && strcmp(sse_names[i], sse) != 0)
        i++;
    if (i == SSE_NAMES)
        return kb_error_set(&cli->error, KB_ERR_USAGE, "--sse is owned, aws or kms, not '%s'", sse);
    out->sse = (enum kb_table_sse)i;
    out->sse_kms_key = key;
    if ((out->sse == KB_SSE_KMS) != (key != NULL))
        return kb_error_set(&cli->error, KB_ERR_USAGE,
                            key ? "--sse-kms-key is for --sse kms"
                                : "--sse kms needs --sse-kms-key");
    return KB_OK;
}

struct billing {
    const char *mode;
    const char *read_units;
    const char *write_units;
};

static enum kb_status parse_billing(struct cli *cli, const struct billing *billing,
                                    struct kb_table_options *out)
{
    const char *mode = billing->mode ? billing->mode : "pay-per-request";
    bool units = billing->read_units || billing->write_units;
    enum kb_status status;

    if (strcmp(mode, "pay-per-request") == 0)
        return units ? kb_error_set(&cli->error, KB_ERR_USAGE,
                                    "--read-units and --write-units are for --billing provisioned")
                     : KB_OK;
    if (strcmp(mode, "provisioned") != 0)
        return kb_error_set(&cli->error, KB_ERR_USAGE,
                            "--billing is pay-per-request or provisioned, not '%s'", mode);
    if (!billing->read_units || !billing->write_units)
        return kb_error_set(&cli->error, KB_ERR_USAGE, "--billing provisioned needs --%s",
                            billing->read_units ? "write-units" : "read-units");
    status = cli_number(cli, "read-units", billing->read_units, 1, UINT32_MAX, &out->read_units);
    return status == KB_OK ? cli_number(cli, "write-units", billing->write_units, 1, UINT32_MAX,
                                        &out->write_units)
                           : status;
}

/* "NAME=rest": the name into the index, the rest into `text`. */
static enum kb_status split_index(struct cli *cli, const char *option, const char *from,
                                  struct kb_table_index *out, char text[1024])
{
    const char *equals = strchr(from, '=');
    size_t size = equals ? (size_t)(equals - from) : 0;

    if (!size || size >= sizeof out->name || strlen(equals + 1) >= 1024) {
        kb_error_set(&cli->error, KB_ERR_USAGE, "--%s '%.80s' is not %s", option, from,
                     out->local ? "NAME=SORT-KEY[:T]" : "NAME=PARTITION-KEY[:T][,SORT-KEY[:T]]");
        return KB_ERR_USAGE;
    }
    memcpy(out->name, from, size);
    memcpy(text, equals + 1, strlen(equals + 1) + 1);
    return KB_OK;
}

static enum kb_status parse_index(struct cli *cli, const struct kb_table_schema *schema,
                                  const char *from, bool local, struct kb_table_index *out)
{
    char text[1024];
    enum kb_status status;
    char *comma;

    memset(out, 0, sizeof *out);
    out->local = local;
    status = split_index(cli, local ? "local-index" : "index", from, out, text);
    if (status != KB_OK)
        return status;
    if (local) {
        out->partition = schema->partition;
        return kb_table_key_parse(&out->sort, text, &cli->error);
    }
    comma = strchr(text, ',');
    if (comma)
        *comma = 0;
    status = kb_table_key_parse(&out->partition, text, &cli->error);
    if (status == KB_OK && comma)
        status = kb_table_key_parse(&out->sort, comma + 1, &cli->error);
    return status;
}

/* --- create ---------------------------------------------------------------------------- */

struct create {
    const char *where, *name, *partition, *sort, *sse, *sse_key;
    struct billing billing;
    struct cli_list indexes, local_indexes;
    struct cli_remote remote;
    struct kb_table_index parsed[KB_TABLE_INDEXES_MAX];
};

static enum kb_status parse_indexes(struct cli *cli, struct create *create,
                                    struct kb_table_schema *schema)
{
    size_t global = create->indexes.count, count = global + create->local_indexes.count;
    enum kb_status status = KB_OK;

    if (count > KB_TABLE_INDEXES_MAX)
        return kb_error_set(&cli->error, KB_ERR_USAGE, "more than %d indexes",
                            KB_TABLE_INDEXES_MAX);
    for (size_t i = 0; status == KB_OK && i < count; i++)
        status = parse_index(cli, schema,
                             i < global ? create->indexes.items[i]
                                        : create->local_indexes.items[i - global],
                             i >= global, &create->parsed[i]);
    schema->indexes = create->parsed;
    schema->index_count = count;
    return status;
}

static enum kb_status parse_schema(struct cli *cli, struct create *create,
                                   struct kb_table_schema *schema)
{
    enum kb_status status;

    if (!create->where || !create->partition)
        return kb_error_set(&cli->error, KB_ERR_USAGE, "%s is missing",
                            create->where ? "--partition-key" : "--table");
    if (create->name && strlen(create->name) >= sizeof schema->signed_name)
        return kb_error_set(&cli->error, KB_ERR_USAGE, "--name is longer than 255 bytes");
    if (create->name)
        memcpy(schema->signed_name, create->name, strlen(create->name) + 1);
    status = kb_table_key_parse(&schema->partition, create->partition, &cli->error);
    if (status == KB_OK && create->sort)
        status = kb_table_key_parse(&schema->sort, create->sort, &cli->error);
    return status == KB_OK ? parse_indexes(cli, create, schema) : status;
}

enum kb_status cli_table_create(struct cli *cli, int argc, char **argv)
{
    struct create create = {0};
    const struct cli_option table[] = {
        {"table", 0, CLI_TEXT, &create.where},
        {"name", 0, CLI_TEXT, &create.name},
        {"partition-key", 0, CLI_TEXT, &create.partition},
        {"sort-key", 0, CLI_TEXT, &create.sort},
        {"index", 0, CLI_LIST, &create.indexes},
        {"local-index", 0, CLI_LIST, &create.local_indexes},
        {"billing", 0, CLI_TEXT, &create.billing.mode},
        {"read-units", 0, CLI_TEXT, &create.billing.read_units},
        {"write-units", 0, CLI_TEXT, &create.billing.write_units},
        {"sse", 0, CLI_TEXT, &create.sse},
        {"sse-kms-key", 0, CLI_TEXT, &create.sse_key},
        CLI_REMOTE_OPTIONS(create.remote),
        {NULL, 0, CLI_FLAG, NULL},
    };
    struct kb_table_schema schema = {0};
    struct kb_aws_options aws;
    struct kb_table_options options = {.aws = &aws};
    enum kb_status status;
    int rest;

    status = cli_parse(cli, argc, argv, table, 0, 0, &rest);
    if (status == KB_OK && create.name && create.where &&
        strncmp(create.where, "dynamodb:", 9) == 0) {
        status = kb_error_set(&cli->error, KB_ERR_USAGE,
                              "--name is kept in a table's file; DynamoDB keeps none");
        kb_error_hint(&cli->error, "--signed-name, when items are put and read");
    }
    if (status == KB_OK)
        status = parse_schema(cli, &create, &schema);
    if (status == KB_OK)
        status = parse_billing(cli, &create.billing, &options);
    if (status == KB_OK)
        status = parse_sse(cli, create.sse ? create.sse : "owned", create.sse_key, &options);
    if (status == KB_OK)
        status = cli_remote_resolve(cli, &create.remote, &aws);
    if (status == KB_OK)
        status = kb_table_create(create.where, &schema, &options, &cli->error);
    if (status == KB_OK)
        cli_note(cli, "table %s is created", create.where);
    cli_list_free(&create.indexes);
    cli_list_free(&create.local_indexes);
    return status;
}

/* --- describe ---------------------------------------------------------------------------- */

static void add_key(cJSON *json, const char *member, const struct kb_table_key *key)
{
    cJSON *object;

    if (!key->name[0])
        return;
    object = cJSON_AddObjectToObject(json, member);
    cJSON_AddStringToObject(object, "name", key->name);
    cJSON_AddStringToObject(object, "type", (char[]){key->type, 0});
}

/* What a local table has not is not there. */
static void add_text(cJSON *json, const char *member, const char *text)
{
    if (text[0])
        cJSON_AddStringToObject(json, member, text);
}

static cJSON *table_json(const char *where, const struct kb_table_schema *schema,
                         const struct kb_table_info *info)
{
    cJSON *json = cJSON_CreateObject();
    cJSON *indexes;

    cJSON_AddStringToObject(json, "table", where);
    cJSON_AddStringToObject(json, "signed_name", schema->signed_name);
    add_key(json, "partition_key", &schema->partition);
    add_key(json, "sort_key", &schema->sort);
    cJSON_AddNumberToObject(json, "items", (double)info->items);
    cJSON_AddNumberToObject(json, "bytes", (double)info->bytes);
    if (!info->arn[0] && !info->status[0])
        return json;
    add_text(json, "arn", info->arn);
    add_text(json, "status", info->status);
    add_text(json, "billing", info->billing);
    cJSON_AddStringToObject(json, "sse", sse_names[info->sse]);
    add_text(json, "sse_kms_key", info->sse_kms_key);
    indexes = cJSON_AddArrayToObject(json, "indexes");
    for (size_t i = 0; i < schema->index_count; i++) {
        cJSON *index = cJSON_CreateObject();

        cJSON_AddStringToObject(index, "name", schema->indexes[i].name);
        cJSON_AddBoolToObject(index, "local", schema->indexes[i].local);
        add_key(index, "partition_key", &schema->indexes[i].partition);
        add_key(index, "sort_key", &schema->indexes[i].sort);
        cJSON_AddItemToArray(indexes, index);
    }
    return json;
}

static void print_row(const char *name, const char *text)
{
    if (text[0])
        cli_print("%-14s %s", name, text);
}

static void print_key(const char *name, const struct kb_table_key *key)
{
    if (key->name[0])
        cli_print("%-14s %s (%c)", name, key->name, key->type);
}

static void print_table(const char *where, const struct kb_table_schema *schema,
                        const struct kb_table_info *info)
{
    bool remote = info->arn[0] || info->status[0];

    print_row("table", where);
    print_row("signed name", schema->signed_name);
    print_key("partition key", &schema->partition);
    print_key("sort key", &schema->sort);
    cli_print("%-14s %llu, %llu bytes%s", "items", (unsigned long long)info->items,
              (unsigned long long)info->bytes, remote ? ", as counted some hours ago" : " of JSON");
    if (!remote)
        return;
    print_row("arn", info->arn);
    print_row("status", info->status);
    print_row("billing", info->billing);
    print_row("storage key", info->sse == KB_SSE_OWNED ? "owned by AWS"
                             : info->sse == KB_SSE_AWS ? "AWS's, in this account"
                                                       : "KMS");
    print_row("KMS key", info->sse_kms_key);
    for (size_t i = 0; i < schema->index_count; i++) {
        const struct kb_table_index *index = &schema->indexes[i];
        char sort[sizeof index->sort.name + 8] = "";

        if (index->sort.name[0])
            snprintf(sort, sizeof sort, ", %s (%c)", index->sort.name, index->sort.type);
        cli_print("%-14s %s%s: %s (%c)%s", "index", index->name, index->local ? " (local)" : "",
                  index->partition.name, index->partition.type, sort);
    }
}

enum kb_status cli_table_describe(struct cli *cli, int argc, char **argv)
{
    struct cli_remote remote = {0};
    const char *where = NULL;
    const struct cli_option options[] = {
        {"table", 0, CLI_TEXT, &where},
        CLI_REMOTE_OPTIONS(remote),
        {NULL, 0, CLI_FLAG, NULL},
    };
    struct kb_table *table = NULL;
    struct kb_table_info info;
    enum kb_status status;
    int rest;

    status = cli_parse(cli, argc, argv, options, 0, 0, &rest);
    if (status == KB_OK)
        status = cli_table_only(&table, cli, where, &remote);
    if (status != KB_OK)
        return status;
    status = kb_table_describe(table, &info, &cli->error);
    if (status == KB_OK && cli->json)
        status = cli_print_json(cli, table_json(where, kb_table_schema(table), &info));
    else if (status == KB_OK)
        print_table(where, kb_table_schema(table), &info);
    kb_table_close(table);
    return status;
}

/* --- set-sse ------------------------------------------------------------------------------- */

enum kb_status cli_table_set_sse(struct cli *cli, int argc, char **argv)
{
    struct cli_remote remote = {0};
    const char *where = NULL, *sse = NULL, *key = NULL;
    const struct cli_option options[] = {
        {"table", 0, CLI_TEXT, &where},
        {"sse", 0, CLI_TEXT, &sse},
        {"sse-kms-key", 0, CLI_TEXT, &key},
        CLI_REMOTE_OPTIONS(remote),
        {NULL, 0, CLI_FLAG, NULL},
    };
    struct kb_table_options wanted = {0};
    struct kb_table *table = NULL;
    enum kb_status status;
    int rest;

    status = cli_parse(cli, argc, argv, options, 0, 0, &rest);
    if (status == KB_OK && !sse)
        status = kb_error_set(&cli->error, KB_ERR_USAGE, "--sse is missing");
    if (status == KB_OK)
        status = parse_sse(cli, sse, key, &wanted);
    if (status == KB_OK)
        status = cli_table_only(&table, cli, where, &remote);
    if (status != KB_OK)
        return status;
    status = kb_table_set_sse(table, &wanted, &cli->error);
    if (status == KB_OK)
        cli_note(cli, "the storage key of %s is %s now", where,
                 wanted.sse == KB_SSE_OWNED ? "owned by AWS"
                 : wanted.sse == KB_SSE_AWS ? "AWS's key in this account"
                                            : wanted.sse_kms_key);
    kb_table_close(table);
    return status;
}
