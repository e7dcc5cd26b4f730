/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

static enum kb_status run_show(struct cli *cli, int argc, char **argv)
{
    const struct cli_option table[] = {{NULL, 0, CLI_FLAG, NULL}};
    unsigned workers = 0;
    cJSON *json = NULL;
    enum kb_status status;
    int rest;

    status = cli_parse(cli, argc, argv, table, 0, 0, &rest);
    if (status == KB_OK)
        status = kb_config_workers(cli->config, &workers, &cli->error);
    if (status != KB_OK)
        return status;
    if (cli->json) {
        json = cJSON_CreateObject();
        cJSON_AddStringToObject(json, "home", kb_config_home(cli->config));
    } else {
        cli_print("%-24s %s", "home", kb_config_home(cli->config));
    }
    for (unsigned i = 0; i < KB_SETTING_COUNT; i++) {
        const char *value = kb_config_get(cli->config, (enum kb_setting)i);
        const char *name = kb_setting_member((enum kb_setting)i);
        const char *origin = kb_origin_format(kb_config_origin(cli->config, (enum kb_setting)i));

        if (json) {
            cJSON *row = cJSON_AddObjectToObject(json, name);

            if (value)
                cJSON_AddStringToObject(row, "value", value);
            else
                cJSON_AddNullToObject(row, "value");
            cJSON_AddStringToObject(row, "origin", origin);
        } else if (value) {
            cli_print("%-24s %s  (%s)", name, value, origin);
        } else if (i == KB_SETTING_WORKERS) {
            cli_print("%-24s %u  (as many as processors, at most 4)", name, workers);
        } else {
            cli_print("%-24s (not set)", name);
        }
    }
    return json ? cli_print_json(cli, json) : KB_OK;
}

const struct cli_verb cli_config_verbs[] = {
    {"config", "show", "", "every setting, its value and where it comes from", run_show},
    {NULL, NULL, NULL, NULL, NULL},
};
