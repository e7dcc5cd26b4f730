/* SPDX-License-Identifier: Apache-2.0
 *
 * keybridge vault check, export, import and repair.
 */
#include "cli/vault.h"

static void print_finding(void *ctx, const char *finding)
{
    struct cli *cli = ctx;
    cJSON *json;

    if (!cli->json) {
        cli_print("%s", finding);
        return;
    }
    json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "finding", finding);
    (void)!cli_print_json(cli, json);
}

/* What was done, and to which file. */
static enum kb_status print_done(struct cli *cli, const char *name, const char *value)
{
    cJSON *json = cJSON_CreateObject();

    cJSON_AddStringToObject(json, name, value);
    return cli_print_json(cli, json);
}

enum kb_status vault_run_check(struct cli *cli, int argc, char **argv)
{
    struct vault_session session;
    enum kb_status status = cli_vault_begin(&session, cli, argc, argv, 0);

    if (status != KB_OK)
        return status;
    status = kb_vault_check(session.vault, print_finding, cli, &cli->error);
    if (status == KB_OK && cli->json)
        status = print_done(cli, "good", kb_config_vault(cli->config));
    else if (status == KB_OK)
        cli_note(cli, "the vault is as it was left");
    vault_close(&session);
    return status;
}

/* The key of the token that --wrap-key or --unwrap-key names is a must. */
static enum kb_status parse_move(struct cli *cli, int argc, char **argv, const char *option,
                                 const char **key)
{
    const struct cli_option table[] = {
        {option, 0, CLI_TEXT, key},
        {NULL, 0, CLI_FLAG, NULL},
    };
    int rest;
    enum kb_status status = cli_parse(cli, argc, argv, table, 1, 1, &rest);

    if (status == KB_OK && !*key) {
        status = kb_error_set(&cli->error, KB_ERR_USAGE, "--%s is missing", option);
        cli_hint_help(cli);
    }
    return status == KB_OK ? vault_check_file(cli, argv[0]) : status;
}

enum kb_status vault_run_export(struct cli *cli, int argc, char **argv)
{
    const char *key = NULL;
    struct vault_session session;
    enum kb_status status = parse_move(cli, argc, argv, "wrap-key", &key);

    if (status == KB_OK)
        status = vault_open(&session, cli, (struct kb_vault_options){.create = false});
    if (status != KB_OK)
        return status;
    status = kb_vault_export(session.vault, key, argv[0], &cli->error);
    if (status == KB_OK && cli->json)
        status = print_done(cli, "exported", argv[0]);
    else if (status == KB_OK)
        cli_note(cli, "%s has the keys, wrapped by '%s', and the inventory", argv[0], key);
    vault_close(&session);
    return status;
}

static enum kb_status print_imported(struct cli *cli, const struct kb_vault_imported *done)
{
    cJSON *json = cJSON_CreateObject();

    cJSON_AddNumberToObject(json, "keys", (double)done->keys);
    cJSON_AddNumberToObject(json, "objects", (double)done->objects);
    cJSON_AddNumberToObject(json, "keys_known", (double)done->keys_known);
    cJSON_AddNumberToObject(json, "objects_known", (double)done->objects_known);
    return cli_print_json(cli, json);
}

enum kb_status vault_run_import(struct cli *cli, int argc, char **argv)
{
    struct kb_vault_imported done;
    const char *key = NULL;
    struct vault_session session;
    enum kb_status status = parse_move(cli, argc, argv, "unwrap-key", &key);

    if (status == KB_OK)
        status = vault_open(&session, cli, (struct kb_vault_options){.create = true});
    if (status != KB_OK)
        return status;
    status = kb_vault_import(session.vault, key, argv[0], &done, &cli->error);
    if (status == KB_OK && cli->json)
        status = print_imported(cli, &done);
    else if (status == KB_OK)
        cli_note(cli, "%llu keys came in and %llu rows of the inventory; %llu and %llu were known",
                 (unsigned long long)done.keys, (unsigned long long)done.objects,
                 (unsigned long long)done.keys_known, (unsigned long long)done.objects_known);
    vault_close(&session);
    return status;
}

enum kb_status vault_run_repair(struct cli *cli, int argc, char **argv)
{
    bool yes = false;
    const struct cli_option table[] = {
        {"yes", 'y', CLI_FLAG, &yes},
        {NULL, 0, CLI_FLAG, NULL},
    };
    struct vault_session session;
    enum kb_status status;
    int rest;

    status = cli_parse(cli, argc, argv, table, 0, 0, &rest);
    if (status != KB_OK)
        return status;
    if (!yes && !cli_ask("Go on with the vault as it is? Keys made since this copy are lost.")) {
        kb_error_set(&cli->error, KB_ERR_USAGE, "the vault was left as it is");
        kb_error_hint(&cli->error, "every other copy becomes an old one; --yes to go on");
        return KB_ERR_USAGE;
    }
    status = vault_open(&session, cli, (struct kb_vault_options){.accept_rollback = true});
    if (status != KB_OK)
        return status;
    if (cli->json)
        status = print_done(cli, "repaired", kb_config_vault(cli->config));
    else
        cli_note(cli, "the vault is in use as it is; keybridge vault check tells what is in it");
    vault_close(&session);
    return status;
}
