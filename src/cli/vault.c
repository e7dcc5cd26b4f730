/* SPDX-License-Identifier: Apache-2.0
 *
 * keybridge vault: keys.
 */
#include "cli/vault.h"

#include <string.h>

enum kb_status vault_open(struct vault_session *out, struct cli *cli,
                          struct kb_vault_options options)
{
    enum kb_status status = cli_session_open(&out->session, cli);

    out->vault = NULL;
    if (status != KB_OK)
        return status;
    options.path = kb_config_vault(cli->config);
    /* Between the counter of a new vault and its file no signal may come. */
    if (options.create)
        status = cli_stop_catch(&cli->error);
    if (status == KB_OK)
        status = kb_vault_open(&out->vault, out->session.keystore, &options, &cli->error);
    if (status != KB_OK)
        cli_session_close(&out->session);
    return status;
}

enum kb_status cli_vault_begin(struct vault_session *out, struct cli *cli, int argc, char **argv,
                               int arguments)
{
    const struct cli_option table[] = {{NULL, 0, CLI_FLAG, NULL}};
    int rest;
    enum kb_status status = cli_parse(cli, argc, argv, table, arguments, arguments, &rest);

    if (status != KB_OK)
        return status;
    return vault_open(out, cli, (struct kb_vault_options){.create = false});
}

void vault_close(struct vault_session *session)
{
    kb_vault_close(session->vault);
    cli_session_close(&session->session);
}

enum kb_status vault_check_file(struct cli *cli, const char *path)
{
    if (strcmp(path, "-") != 0)
        return KB_OK;
    kb_error_set(&cli->error, KB_ERR_USAGE, "this takes a file, and no stream");
    kb_error_hint(&cli->error, "./- is a file of that name");
    return KB_ERR_USAGE;
}

/* --- showing ---------------------------------------------------------------------------- */

static enum kb_status print_json(struct cli *cli, const struct kb_vault_key *key)
{
    cJSON *json = cJSON_CreateObject();
    char when[CLI_TIME_ROOM];

    cli_time(when, key->created);
    cJSON_AddStringToObject(json, "id", key->id);
    cJSON_AddStringToObject(json, "fingerprint", key->fingerprint);
    cJSON_AddStringToObject(json, "purpose", kb_vault_purpose_format(key->purpose));
    cJSON_AddStringToObject(json, "state", kb_vault_state_format(key->state));
    cJSON_AddStringToObject(json, "name", key->name);
    cJSON_AddStringToObject(json, "scope", key->scope ? key->scope : "");
    cJSON_AddStringToObject(json, "created", when);
    cJSON_AddNumberToObject(json, "objects", (double)key->objects);
    return cli_print_json(cli, json);
}

enum kb_status vault_print_key(struct cli *cli, const struct kb_vault_key *key)
{
    if (cli->json)
        return print_json(cli, key);
    cli_print("%s  %-8s  %-8s  %6llu  %s%s%s", key->id, kb_vault_state_format(key->state),
              kb_vault_purpose_format(key->purpose), (unsigned long long)key->objects, key->name,
              key->name[0] && key->scope && key->scope[0] ? "  " : "",
              key->scope ? key->scope : "");
    return KB_OK;
}

static enum kb_status print_key(void *ctx, const struct kb_vault_key *key, struct kb_error *err)
{
    (void)err;
    return vault_print_key(ctx, key);
}

static enum kb_status run_list(struct cli *cli, int argc, char **argv)
{
    struct vault_session session;
    enum kb_status status = cli_vault_begin(&session, cli, argc, argv, 0);

    if (status != KB_OK)
        return status;
    status = kb_vault_each_key(session.vault, print_key, cli, &cli->error);
    vault_close(&session);
    return status;
}

static void print_whole(const struct kb_vault_key *key)
{
    char when[CLI_TIME_ROOM];

    cli_time(when, key->created);
    cli_print("%-12s %s", "key", key->id);
    cli_print("%-12s %s", "fingerprint", key->fingerprint);
    cli_print("%-12s %s", "state", kb_vault_state_format(key->state));
    cli_print("%-12s %s", "purpose", kb_vault_purpose_format(key->purpose));
    if (key->name[0])
        cli_print("%-12s %s", "name", key->name);
    if (key->scope && key->scope[0])
        cli_print("%-12s %s", "scope", key->scope);
    cli_print("%-12s %s", "created", when);
    cli_print("%-12s %llu", "objects", (unsigned long long)key->objects);
}

static enum kb_status run_show(struct cli *cli, int argc, char **argv)
{
    struct vault_session session;
    struct kb_vault_key key;
    enum kb_status status = cli_vault_begin(&session, cli, argc, argv, 1);

    if (status != KB_OK)
        return status;
    status = kb_vault_find_key(session.vault, argv[0], &key, &cli->error);
    if (status == KB_OK && cli->json)
        status = print_json(cli, &key);
    else if (status == KB_OK)
        print_whole(&key);
    kb_vault_key_free(&key);
    vault_close(&session);
    return status;
}

/* --- making ----------------------------------------------------------------------------- */

/* What was made is said by its id, which scripts need. */
static enum kb_status say_made(struct cli *cli, const struct kb_vault_key *key)
{
    if (cli->json)
        return print_json(cli, key);
    cli_print("%s", key->id);
    return KB_OK;
}

static enum kb_status run_create(struct cli *cli, int argc, char **argv)
{
    struct kb_vault_spec spec = {.purpose = KB_VAULT_NAMED};
    bool yes = false;
    const struct cli_option table[] = {
        {"yes", 'y', CLI_FLAG, &yes},
        {"name", 0, CLI_TEXT, &spec.name},
        {"scope", 0, CLI_TEXT, &spec.scope},
        {NULL, 0, CLI_FLAG, NULL},
    };
    struct vault_session session;
    struct kb_secret *plain;
    struct kb_vault_key key;
    enum kb_status status;
    int rest;

    status = cli_parse(cli, argc, argv, table, 0, 0, &rest);
    if (status == KB_OK && !spec.name && !spec.scope)
        status = kb_error_set(&cli->error, KB_ERR_USAGE,
                              "a key needs --name NAME or --scope BUCKET/PREFIX");
    if (spec.scope) {
        spec.purpose = KB_VAULT_FOR_PREFIX;
        if (strncmp(spec.scope, "s3://", 5) == 0)
            spec.scope += 5;
    }
    if (status == KB_OK)
        status = vault_open(&session, cli,
                            (struct kb_vault_options){.create = true, .only_first = !yes});
    if (status != KB_OK)
        return status;
    status = kb_vault_make(session.vault, &spec, 1, &key, &plain, &cli->error);
    if (status == KB_OK) {
        status = say_made(cli, &key);
        kb_vault_key_free(&key);
        kb_secret_free(plain);
    }
    vault_close(&session);
    return status;
}

static enum kb_status run_import_key(struct cli *cli, int argc, char **argv)
{
    struct kb_vault_spec spec = {.purpose = KB_VAULT_IMPORTED};
    const struct cli_option table[] = {
        {"name", 0, CLI_TEXT, &spec.name},
        {NULL, 0, CLI_FLAG, NULL},
    };
    struct vault_session session;
    struct kb_secret *value = NULL;
    struct kb_vault_key key;
    enum kb_status status;
    int rest;

    status = cli_parse(cli, argc, argv, table, 1, 1, &rest);
    if (status == KB_OK)
        status = vault_check_file(cli, argv[0]);
    /* More than a key may have, so that what is too long is said as such. */
    if (status == KB_OK)
        status = kb_secret_read_file(&value, argv[0], 1024, false, &cli->error);
    if (status == KB_OK)
        status = vault_open(&session, cli,
                            (struct kb_vault_options){.create = true, .only_first = true});
    if (status == KB_OK) {
        status = kb_vault_import_key(session.vault, &spec, value, &key, &cli->error);
        if (status == KB_OK)
            status = say_made(cli, &key);
        kb_vault_key_free(&key);
        vault_close(&session);
    }
    kb_secret_free(value);
    return status;
}

/* --- states ------------------------------------------------------------------------------- */

static enum kb_status set_state(struct cli *cli, int argc, char **argv, enum kb_vault_state state)
{
    struct vault_session session;
    struct kb_vault_key key = {.scope = NULL};
    enum kb_status status = cli_vault_begin(&session, cli, argc, argv, 1);

    if (status != KB_OK)
        return status;
    status = kb_vault_set_state(session.vault, argv[0], state, &cli->error);
    if (status == KB_OK && cli->json) {
        status = kb_vault_find_key(session.vault, argv[0], &key, &cli->error);
        if (status == KB_OK)
            status = print_json(cli, &key);
        kb_vault_key_free(&key);
    } else if (status == KB_OK) {
        cli_note(cli, "key %s is %s", argv[0], kb_vault_state_format(state));
    }
    vault_close(&session);
    return status;
}

static enum kb_status run_enable(struct cli *cli, int argc, char **argv)
{
    return set_state(cli, argc, argv, KB_VAULT_ACTIVE);
}

static enum kb_status run_disable(struct cli *cli, int argc, char **argv)
{
    return set_state(cli, argc, argv, KB_VAULT_DISABLED);
}

const struct cli_verb cli_vault_verbs[] = {
    {"vault", "list", "", "the customer keys: id, state, purpose, objects, name, scope", run_list},
    {"vault", "show", "KEY", "one of them, by id, name or fingerprint", run_show},
    {"vault", "create", "--name NAME | --scope BUCKET/PREFIX [--name NAME] [--yes]",
     "make a customer key, and the vault when there is none; --yes: even if one may be lost",
     run_create},
    {"vault", "import-key", "FILE [--name NAME]",
     "bring in a customer key of 32 bytes that is in use elsewhere", run_import_key},
    {"vault", "enable", "KEY", "let a key be used, also to encrypt", run_enable},
    {"vault", "disable", "KEY", "release a key no more, until it is enabled", run_disable},
    {"vault", "objects", "[s3://BUCKET/PREFIX]", "which object version uses which key",
     vault_run_objects},
    {"vault", "events", "", "the keys that were handed to other programs", vault_run_events},
    {"vault", "check", "", "verify every row and every reference", vault_run_check},
    {"vault", "export", "--wrap-key KEY FILE",
     "keys, wrapped by another key of the token, and the inventory, to a new file",
     vault_run_export},
    {"vault", "import", "--unwrap-key KEY FILE", "add what export wrote", vault_run_import},
    {"vault", "repair", "--yes", "go on with an older copy of the file", vault_run_repair},
    {NULL, NULL, NULL, NULL, NULL},
};
