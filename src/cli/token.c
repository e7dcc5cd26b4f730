/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include <string.h>

enum { TRIALS_MAX = 64 };

static const struct cli_option no_options[] = {{NULL, 0, CLI_FLAG, NULL}};

static cJSON *token_json(const struct kb_token_info *info)
{
    cJSON *json = cJSON_CreateObject();

    cJSON_AddStringToObject(json, "uri", info->uri);
    cJSON_AddStringToObject(json, "label", info->label);
    cJSON_AddStringToObject(json, "manufacturer", info->manufacturer);
    cJSON_AddStringToObject(json, "model", info->model);
    cJSON_AddStringToObject(json, "serial", info->serial);
    cJSON_AddStringToObject(json, "module", info->module);
    cJSON_AddBoolToObject(json, "initialized", info->initialized);
    cJSON_AddBoolToObject(json, "login_required", info->login_required);
    cJSON_AddBoolToObject(json, "pin_count_low", info->pin_count_low);
    cJSON_AddBoolToObject(json, "pin_final_try", info->pin_final_try);
    cJSON_AddBoolToObject(json, "pin_locked", info->pin_locked);
    cJSON_AddBoolToObject(json, "write_protected", info->write_protected);
    return json;
}

static void print_token(const struct kb_token_info *info)
{
    cli_print("token         %s%s", info->label, info->initialized ? "" : " (not initialised)");
    cli_print("uri           %s", info->uri);
    cli_print("manufacturer  %s", info->manufacturer);
    cli_print("model         %s", info->model);
    cli_print("serial        %s", info->serial);
    cli_print("module        %s", info->module);
    if (info->pin_count_low || info->pin_final_try || info->pin_locked)
        cli_print("pin           %s", info->pin_locked      ? "locked"
                                      : info->pin_final_try ? "one try left"
                                                            : "a wrong PIN was tried");
    if (info->write_protected)
        cli_print("writing       the token is write-protected");
}

struct listing {
    cJSON *json;
    unsigned count;
};

static void list_one(void *ctx, const struct kb_token_info *info)
{
    struct listing *listing = ctx;

    if (listing->json)
        cJSON_AddItemToArray(listing->json, token_json(info));
    else
        cli_print("%s  %s, %s%s", info->uri, info->manufacturer, info->model,
                  info->initialized ? "" : "  (not initialised)");
    listing->count++;
}

static enum kb_status run_list(struct cli *cli, int argc, char **argv)
{
    struct kb_keystore_options options;
    struct listing listing = {NULL, 0};
    enum kb_status status;
    int rest;

    status = cli_parse(cli, argc, argv, no_options, 0, 0, &rest);
    if (status != KB_OK)
        return status;
    kb_config_keystore(cli->config, &options);
    if (cli->json)
        listing.json = cJSON_CreateArray();
    status = kb_keystore_tokens(&options, list_one, &listing, &cli->error);
    if (status != KB_OK) {
        cJSON_Delete(listing.json);
        return status;
    }
    return cli->json ? cli_print_json(cli, listing.json) : KB_OK;
}

static enum kb_status run_show(struct cli *cli, int argc, char **argv)
{
    struct cli_session session;
    enum kb_status status;
    int rest;

    status = cli_parse(cli, argc, argv, no_options, 0, 0, &rest);
    if (status == KB_OK)
        status = cli_session_open(&session, cli);
    if (status != KB_OK)
        return status;
    if (cli->json)
        status = cli_print_json(cli, token_json(kb_keystore_info(session.keystore)));
    else
        print_token(kb_keystore_info(session.keystore));
    cli_session_close(&session);
    return status;
}

enum kb_status cli_print_trials(struct cli *cli, const struct kb_token_trial *trials, size_t count,
                                bool *good)
{
    cJSON *rows = cli->json ? cJSON_CreateArray() : NULL;
    int width = 0;

    *good = true;
    for (size_t i = 0; i < count; i++)
        if ((int)strlen(trials[i].what) > width)
            width = (int)strlen(trials[i].what);
    for (size_t i = 0; i < count; i++) {
        *good = *good && trials[i].good;
        if (rows) {
            cJSON *row = cJSON_CreateObject();

            cJSON_AddStringToObject(row, "what", trials[i].what);
            cJSON_AddStringToObject(row, "outcome", trials[i].outcome);
            cJSON_AddBoolToObject(row, "good", trials[i].good);
            cJSON_AddNumberToObject(row, "ck_rv", (double)trials[i].ck_rv);
            cJSON_AddItemToArray(rows, row);
        } else {
            cli_print("%s  %-*s  %s", trials[i].good ? "ok" : "NO", width, trials[i].what,
                      trials[i].outcome);
        }
    }
    return rows ? cli_print_json(cli, rows) : KB_OK;
}

static enum kb_status run_probe(struct cli *cli, int argc, char **argv)
{
    struct kb_token_trial trials[TRIALS_MAX];
    struct cli_session session;
    enum kb_status status;
    size_t count = 0;
    bool good = false;
    int rest;

    status = cli_parse(cli, argc, argv, no_options, 0, 0, &rest);
    if (status == KB_OK)
        status = cli_session_open_token(&session, cli);
    if (status != KB_OK)
        return status;
    status = kb_token_probe(session.token, trials, TRIALS_MAX, &count, &cli->error);
    if (status == KB_OK)
        status = cli_print_trials(cli, trials, count, &good);
    cli_session_close(&session);
    if (status == KB_OK && !good)
        status = kb_error_set(&cli->error, KB_ERR_UNSUPPORTED,
                              "what is marked NO the token cannot do, or does not enforce");
    return status;
}

const struct cli_verb cli_token_verbs[] = {
    {"token", "list", "", "the tokens of the module, without logging in", run_list},
    {"token", "show", "", "the configured token", run_show},
    {"token", "probe", "", "run every mechanism keybridge needs on the token", run_probe},
    {NULL, NULL, NULL, NULL, NULL},
};
