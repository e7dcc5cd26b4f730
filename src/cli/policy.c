/* SPDX-License-Identifier: Apache-2.0
 *
 * keybridge aws-policy: the least a command needs to be allowed in AWS. The
 * quoted command is parsed by its verb's own option table.
 */
#include "cli/policy.h"

#include <stdlib.h>
#include <string.h>

enum { WORDS_MAX = 256 };

static const struct {
    const char *operator;
    const char *key;
} conditions[POLICY_CONDITIONS] = {
    [POLICY_ON_ALIAS] = {"ForAnyValue:StringEquals", "kms:ResourceAliases"},
    [POLICY_ON_SERVICE] = {"StringLike", "kms:ViaService"},
    [POLICY_ON_GRANT] = {"Bool", "kms:GrantIsForAWSResource"},
    [POLICY_ON_PREFIX] = {"StringEquals", "s3:prefix"},
};

/* What a verb does with items, which a KMS provider needs keys for. */
enum sealing { SEAL_NOT, SEAL_WRITE, SEAL_READ };

static const struct rule {
    const char *noun;
    const char *verb;
    const char *dynamodb[4]; /* on the table */
    const char *index;       /* on the index if one is named, else on the table */
    enum sealing sealing;
    const char *kms; /* of the noun kms, on --kms-key */
} rules[] = {
    {"item", "encrypt", {NULL}, NULL, SEAL_WRITE, NULL},
    {"item", "decrypt", {NULL}, NULL, SEAL_READ, NULL},
    {"table", "create", {"CreateTable", "DescribeTable"}, NULL, SEAL_NOT, NULL},
    {"table", "describe", {"DescribeTable"}, NULL, SEAL_NOT, NULL},
    {"table", "set-sse", {"DescribeTable", "UpdateTable"}, NULL, SEAL_NOT, NULL},
    {"table", "load", {"BatchWriteItem", "DescribeTable", "PutItem"}, NULL, SEAL_WRITE, NULL},
    {"table", "put", {"BatchWriteItem", "DescribeTable", "PutItem"}, NULL, SEAL_WRITE, NULL},
    {"table", "get", {"DescribeTable", "GetItem"}, NULL, SEAL_READ, NULL},
    {"table", "query", {"DescribeTable"}, "Query", SEAL_READ, NULL},
    {"table", "scan", {"DescribeTable", "Scan"}, NULL, SEAL_READ, NULL},
    {"table", "delete", {"DeleteItem", "DescribeTable"}, NULL, SEAL_NOT, NULL},
    {"kms", "encrypt", {NULL}, NULL, SEAL_NOT, "kms:Encrypt"},
    {"kms", "decrypt", {NULL}, NULL, SEAL_NOT, "kms:Decrypt"},
    {"kms", "generate-data-key", {NULL}, NULL, SEAL_NOT, "kms:GenerateDataKey"},
    {"kms", "create-key", {NULL}, NULL, SEAL_NOT, "kms:CreateKey"},
    {"kms", "describe-key", {NULL}, NULL, SEAL_NOT, "kms:DescribeKey"},
};
enum { RULES = sizeof rules / sizeof *rules };

/* What DynamoDB does with a customer managed key in the caller's name when a
 * table gets it, besides making a grant. Source: DynamoDB Developer Guide,
 * "Authorizing use of your customer managed key". */
static const char *const sse_actions[] = {
    "kms:Decrypt",
    "kms:DescribeKey",
    "kms:Encrypt",
    "kms:GenerateDataKey",
    "kms:GenerateDataKeyWithoutPlaintext",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
};

/* --- a command ------------------------------------------------------------------------------ */

struct command {
    struct policy *policy;
    const struct cli_verb *verb;
    const struct rule *rule; /* NULL: the verb has none */
    enum kb_status status;
};

/* NULL: none is named. */
static const char *region_of(const struct command *command, const struct cli_capture *capture)
{
    static const char *const variables[] = {"AWS_REGION", "AWS_DEFAULT_REGION"};
    const char *region = cli_capture_value(capture, "region");

    if (command->policy->region)
        return command->policy->region;
    if (!region)
        region = kb_config_get(command->policy->cli->config, KB_SETTING_AWS_REGION);
    for (size_t i = 0; !region && i < 2; i++) {
        const char *value = getenv(variables[i]);

        region = value && *value ? value : NULL;
    }
    return region;
}

static enum kb_status add_table(const struct command *command, const struct cli_capture *capture,
                                const char *region)
{
    static const char service[] = "dynamodb:";
    static const char *const names[][2] = {
#define ACTION(name) {name, "dynamodb:" name}
        ACTION("BatchWriteItem"), ACTION("CreateTable"), ACTION("DeleteItem"),
        ACTION("DescribeTable"),  ACTION("GetItem"),     ACTION("PutItem"),
        ACTION("Query"),          ACTION("Scan"),        ACTION("UpdateTable"),
#undef ACTION
    };
    const struct rule *rule = command->rule;
    const char *where = cli_capture_value(capture, "table");
    const char *index = cli_capture_value(capture, "index");
    bool dry = cli_capture_value(capture, "dry-run") != NULL;
    enum kb_status status = KB_OK;

    if (strcmp(rule->noun, "table") != 0)
        return KB_OK;
    if (!where)
        return kb_error_set(&command->policy->cli->error, KB_ERR_USAGE,
                            "'table %s' does not name its table", rule->verb);
    if (strncmp(where, service, sizeof service - 1) != 0)
        return KB_OK;
    where += sizeof service - 1;
    for (size_t i = 0; status == KB_OK && i < sizeof names / sizeof *names; i++) {
        struct policy_statement wanted = {0};
        bool on_index = rule->index && strcmp(rule->index, names[i][0]) == 0;
        bool used = on_index;

        for (size_t k = 0; k < 4 && rule->dynamodb[k]; k++)
            used = used || strcmp(rule->dynamodb[k], names[i][0]) == 0;
        if (!used || (dry && strcmp(names[i][0], "DescribeTable") != 0))
            continue;
        status = policy_table(&wanted, command->policy, region, where, on_index ? index : NULL);
        if (status == KB_OK)
            status = policy_allow(command->policy, &wanted, names[i][1]);
    }
    return status;
}

static enum kb_status add_sse(const struct command *command, const struct cli_capture *capture,
                              const char *region)
{
    const char *sse = cli_capture_value(capture, "sse");
    const char *key = cli_capture_value(capture, "sse-kms-key");
    struct policy_statement wanted = {0};
    enum kb_status status;

    if (!sse || strcmp(sse, "kms") != 0)
        return KB_OK;
    status = policy_kms_key(&wanted, command->policy, region, key);
    policy_put_service(&wanted, command->policy, "dynamodb", region);
    for (size_t i = 0; status == KB_OK && i < sizeof sse_actions / sizeof *sse_actions; i++)
        status = policy_allow(command->policy, &wanted, sse_actions[i]);
    /* A grant for DynamoDB's own use, and no other. */
    memcpy(wanted.values[POLICY_ON_GRANT], "true", sizeof "true");
    return status == KB_OK ? policy_allow(command->policy, &wanted, "kms:CreateGrant") : status;
}

static enum kb_status add_key(const struct command *command, const struct cli_capture *capture,
                              const char *region)
{
    const struct rule *rule = command->rule;
    const char *provider = cli_capture_value(capture, "provider");
    const char *key = cli_capture_value(capture, "kms-key");
    const char *action = rule->kms;
    struct policy_statement wanted = {0};
    enum kb_status status;

    if (rule->sealing != SEAL_NOT && !cli_capture_value(capture, "raw") &&
        !cli_capture_value(capture, "plaintext") &&
        (provider ? strcmp(provider, "kms") == 0 : key != NULL))
        action = rule->sealing == SEAL_WRITE ? "kms:GenerateDataKey" : "kms:Decrypt";
    if (!action)
        return KB_OK;
    if (strcmp(action, "kms:CreateKey") == 0) {
        wanted.resource[0] = '*'; /* there is no key yet */
        return policy_allow(command->policy, &wanted, action);
    }
    if (strcmp(action, "kms:DescribeKey") == 0)
        key = capture->count ? capture->arguments[0] : NULL;
    /* Only `kms decrypt` leaves the key to what is decrypted. */
    if (!key && (rule->sealing != SEAL_NOT || strcmp(action, "kms:Decrypt") != 0))
        return kb_error_set(&command->policy->cli->error, KB_ERR_USAGE,
                            "'%s %s' does not name its KMS key", rule->noun, rule->verb);
    status = policy_kms_key(&wanted, command->policy, region, key);
    return status == KB_OK ? policy_allow(command->policy, &wanted, action) : status;
}

static void take(struct cli_capture *capture)
{
    struct command *command = capture->ctx;
    const char *region = region_of(command, capture);

    command->status = policy_check_wild(command->policy, "the region", region);
    if (command->status == KB_OK)
        command->status = policy_add_s3(command->policy, command->verb, capture, region);
    if (!command->rule)
        return;
    if (command->status == KB_OK)
        command->status = add_table(command, capture, region);
    if (command->status == KB_OK)
        command->status = add_sse(command, capture, region);
    if (command->status == KB_OK)
        command->status = add_key(command, capture, region);
}

static const struct rule *rule_of(const struct cli_verb *verb)
{
    for (size_t i = 0; i < RULES; i++)
        if (strcmp(rules[i].noun, verb->noun) == 0 && strcmp(rules[i].verb, verb->verb) == 0)
            return &rules[i];
    return NULL;
}

/* Words of the command, behind "keybridge". */
static enum kb_status add_words(struct policy *policy, const char *text, char **words, int count)
{
    struct command command = {.policy = policy};
    struct cli_capture capture = {.take = take, .ctx = &command};
    struct cli cli = {.config = policy->cli->config, .capture = &capture};
    struct kb_error *err = &policy->cli->error;
    int at = 0, before, behind;

    cli.verb = cli_verb_find(count, words, &at);
    if (!cli.verb || strcmp(cli.verb->noun, "aws-policy") == 0)
        return kb_error_set(err, KB_ERR_USAGE, "'%.120s' is no command of keybridge", text);
    command.verb = cli.verb;
    command.rule = rule_of(cli.verb);
    /* The words of noun and verb go. */
    before = at - (*cli.verb->verb ? 2 : 1);
    behind = count - at;
    memmove(words + before, words + at, (size_t)behind * sizeof *words);
    if (cli.verb->run(&cli, before + behind, words) != KB_OK && !capture.done) {
        kb_error_set(err, KB_ERR_USAGE, "'%.120s': %s", text, kb_error_text(&cli.error));
        kb_error_hint(err, "%s", cli.error.hint);
        return KB_ERR_USAGE;
    }
    return command.status;
}

static enum kb_status add_command(struct policy *policy, const char *text)
{
    char *words[WORDS_MAX + 1];
    char *copy = strdup(text);
    enum kb_status status;
    int count, program;

    if (!copy)
        return kb_error_set(&policy->cli->error, KB_ERR_MEMORY, "no memory");
    policy->needs = false;
    if (cli_words(copy, words, WORDS_MAX, &count)) {
        program = count && strcmp(words[0], "keybridge") == 0;
        status = add_words(policy, text, words + program, count - program);
    } else {
        status = kb_error_set(&policy->cli->error, KB_ERR_USAGE,
                              "'%.120s' has a quote that does not end, or too many words", text);
    }
    if (status == KB_OK && !policy->needs)
        cli_note(policy->cli, "no permission is needed for '%s'", text);
    free(copy);
    return status;
}

/* --- output ----------------------------------------------------------------------------------- */

static void add_conditions(cJSON *json, const struct policy_statement *statement)
{
    cJSON *all = NULL;

    for (size_t i = 0; i < POLICY_CONDITIONS; i++) {
        if (!statement->values[i][0])
            continue;
        if (!all)
            all = cJSON_AddObjectToObject(json, "Condition");
        cJSON_AddStringToObject(cJSON_AddObjectToObject(all, conditions[i].operator),
                                conditions[i].key, statement->values[i]);
    }
}

static cJSON *policy_json(const struct policy *policy)
{
    cJSON *root = cJSON_CreateObject();
    cJSON *list;

    cJSON_AddStringToObject(root, "Version", "2012-10-17");
    list = cJSON_AddArrayToObject(root, "Statement");
    for (size_t i = 0; i < policy->count; i++) {
        const struct policy_statement *statement = &policy->statements[i];
        cJSON *json = cJSON_CreateObject();

        cJSON_AddStringToObject(json, "Effect", "Allow");
        cJSON_AddItemToObject(json, "Action",
                              cJSON_CreateStringArray(statement->actions, (int)statement->count));
        cJSON_AddStringToObject(json, "Resource", statement->resource);
        add_conditions(json, statement);
        cJSON_AddItemToArray(list, json);
    }
    return root;
}

/* JSON of a text. */
static void put_string(struct kb_buffer *out, const char *text)
{
    cJSON *string = cJSON_CreateString(text);
    char *json = string ? cJSON_PrintUnformatted(string) : NULL;

    if (json)
        kb_buffer_put_text(out, json);
    out->failed = out->failed || !json;
    cJSON_free(json);
    cJSON_Delete(string);
}

/* For people, who paste it into a console. */
static void put_statement(struct kb_buffer *out, const struct policy_statement *statement)
{
    const char *closing = "\n    }";

    kb_buffer_put_text(out, "    {\n      \"Effect\": \"Allow\",\n      \"Action\": [\n");
    for (size_t i = 0; i < statement->count; i++) {
        kb_buffer_put_text(out, "        ");
        put_string(out, statement->actions[i]);
        kb_buffer_put_text(out, i + 1 < statement->count ? ",\n" : "\n");
    }
    kb_buffer_put_text(out, "      ],\n      \"Resource\": ");
    put_string(out, statement->resource);
    for (size_t i = 0, n = 0; i < POLICY_CONDITIONS; i++) {
        if (!statement->values[i][0])
            continue;
        kb_buffer_put_text(out, n++ ? ",\n        " : ",\n      \"Condition\": {\n        ");
        put_string(out, conditions[i].operator);
        kb_buffer_put_text(out, ": { ");
        put_string(out, conditions[i].key);
        kb_buffer_put_text(out, ": ");
        put_string(out, statement->values[i]);
        kb_buffer_put_text(out, " }");
        closing = "\n      }\n    }";
    }
    kb_buffer_put_text(out, closing);
}

static enum kb_status print_policy(const struct policy *policy)
{
    struct kb_buffer text = KB_BUFFER_INIT(SIZE_MAX / 2);
    struct cli *cli = policy->cli;
    enum kb_status status;

    if (cli->json)
        return cli_print_json(cli, policy_json(policy));
    kb_buffer_put_text(&text, "{\n  \"Version\": \"2012-10-17\",\n  \"Statement\": [");
    for (size_t i = 0; i < policy->count; i++) {
        kb_buffer_put_text(&text, i ? ",\n" : "\n");
        put_statement(&text, &policy->statements[i]);
    }
    kb_buffer_put_text(&text, policy->count ? "\n  ]\n}\n" : "]\n}\n");
    status = kb_buffer_check(&text, &cli->error);
    if (status == KB_OK)
        status = cli_put(cli, kb_buffer_view(&text));
    kb_buffer_free(&text);
    return status;
}

static enum kb_status check_account(struct cli *cli, const char *account)
{
    if (!account || (strlen(account) == 12 && strspn(account, "0123456789") == 12))
        return KB_OK;
    return kb_error_set(&cli->error, KB_ERR_USAGE, "--account is 12 digits, not '%s'", account);
}

static enum kb_status run_policy(struct cli *cli, int argc, char **argv)
{
    struct policy policy = {.cli = cli};
    struct cli_list commands = {NULL, 0};
    const char *account = NULL;
    const struct cli_option table[] = {
        {"for", 0, CLI_LIST, &commands},
        {"account", 0, CLI_TEXT, &account},
        {"region", 0, CLI_TEXT, &policy.region},
        {NULL, 0, CLI_FLAG, NULL},
    };
    enum kb_status status;
    int rest;

    status = cli_parse(cli, argc, argv, table, 0, 0, &rest);
    if (status == KB_OK && !commands.count) {
        status = kb_error_set(&cli->error, KB_ERR_USAGE, "--for is missing");
        kb_error_hint(&cli->error, "--for 'table load --table dynamodb:NAME'");
    }
    if (status == KB_OK)
        status = check_account(cli, account);
    policy.account = account;
    policy.statements = calloc(POLICY_STATEMENTS_MAX, sizeof *policy.statements);
    if (status == KB_OK && !policy.statements)
        status = kb_error_set(&cli->error, KB_ERR_MEMORY, "no memory");
    for (size_t i = 0; status == KB_OK && i < commands.count; i++)
        status = add_command(&policy, commands.items[i]);
    if (status == KB_OK)
        status = print_policy(&policy);
    free(policy.statements);
    cli_list_free(&commands);
    return status;
}

const struct cli_verb cli_policy_verbs[] = {
    {"aws-policy", "", "--for 'COMMAND'... [--account ID] [--region R]",
     "the least a command needs to be allowed in AWS, as an IAM policy", run_policy},
    {NULL, NULL, NULL, NULL, NULL},
};
