/* SPDX-License-Identifier: Apache-2.0
 *
 * From options and settings to an encryptor.
 */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>

enum { ACTIONS_FILE_MAX = 1024 * 1024, DESCRIPTION_MAX = 32 };

void cli_sealing_free(struct cli_sealing *sealing)
{
    cli_list_free(&sealing->index_keys);
    cli_list_free(&sealing->description);
}

static enum kb_status parse_bits(struct cli *cli, const char *text, unsigned *out)
{
    *out = 0;
    if (!text)
        return KB_OK;
    if (strcmp(text, "128") && strcmp(text, "192") && strcmp(text, "256"))
        return kb_error_set(&cli->error, KB_ERR_USAGE,
                            "--content-key-bits is 128, 192 or 256, not '%s'", text);
    *out = (unsigned)strtoul(text, NULL, 10);
    return KB_OK;
}

static enum kb_status parse_description(struct cli *cli, const struct cli_list *list,
                                        struct kb_pair *pairs)
{
    if (list->count > DESCRIPTION_MAX)
        return kb_error_set(&cli->error, KB_ERR_USAGE, "more than %d --description entries",
                            DESCRIPTION_MAX);
    for (size_t i = 0; i < list->count; i++) {
        const char *equals = strchr(list->items[i], '=');

        if (!equals || equals == list->items[i])
            return kb_error_set(&cli->error, KB_ERR_USAGE, "--description '%s' is not name=value",
                                list->items[i]);
        pairs[i].name = (struct kb_bytes){(const uint8_t *)list->items[i],
                                          (size_t)(equals - list->items[i])};
        pairs[i].value = kb_bytes_text(equals + 1);
    }
    return KB_OK;
}

static enum kb_status open_provider(struct kb_provider **out, struct cli *cli,
                                    const struct cli_sealing *sealing,
                                    struct cli_session *session)
{
    struct kb_pair pairs[DESCRIPTION_MAX];
    struct kb_provider_options options = {
        .sign_key = sealing->sign_key ? sealing->sign_key
                                      : kb_config_get(cli->config, KB_SETTING_SIGN_KEY),
        .sign_algorithm = sealing->sign_algorithm,
        .wrap_key = sealing->wrap_key,
        .content_key = sealing->content_key,
        .description = pairs,
        .description_count = sealing->description.count,
    };
    const char *kind = sealing->provider ? sealing->provider
                       : sealing->content_key ? "static"
                                              : "wrapped";
    enum kb_status status = parse_bits(cli, sealing->content_key_bits, &options.content_key_bits);

    if (status == KB_OK)
        status = parse_description(cli, &sealing->description, pairs);
    if (status != KB_OK)
        return status;
    if (strcmp(kind, "static") == 0 && !sealing->content_key && !sealing->actions) {
        kb_error_set(&cli->error, KB_ERR_USAGE,
                     "--provider static without --content-key can only sign");
        kb_error_hint(&cli->error, "name a content key, or actions that encrypt nothing");
        return KB_ERR_USAGE;
    }
    if (strcmp(kind, "static") == 0)
        return kb_provider_static(out, session->keystore, &options, &cli->error);
    if (strcmp(kind, "wrapped") == 0) {
        if (!options.wrap_key)
            options.wrap_key = kb_config_get(cli->config, KB_SETTING_WRAP_KEY);
        return kb_provider_wrapped(out, session->keystore, &options, &cli->error);
    }
    return kb_error_set(&cli->error, KB_ERR_USAGE, "--provider is wrapped or static, not '%s'",
                        kind);
}

static enum kb_status read_actions(struct kb_actions **out, struct cli *cli, const char *path)
{
    struct kb_buffer text = KB_BUFFER_INIT(ACTIONS_FILE_MAX);
    enum kb_status status = path ? kb_file_read(&text, path, &cli->error) : KB_OK;

    *out = NULL;
    if (status == KB_OK) {
        struct kb_error error = {0};

        status = kb_actions_parse(out, kb_buffer_view(&text), &error);
        if (status != KB_OK) {
            kb_error_set(&cli->error, status, "%s: %s", path, kb_error_text(&error));
            kb_error_hint(&cli->error, "%s", error.hint);
        }
    }
    kb_buffer_free(&text);
    return status;
}

enum kb_status cli_sealing_open(struct kb_ddbec **out, struct cli *cli,
                                const struct cli_sealing *sealing, struct cli_session *session)
{
    struct kb_ddbec_options options = {
        .table_name = sealing->table,
        .partition_key = sealing->partition_key,
        .sort_key = sealing->sort_key,
        .index_keys = sealing->index_keys.items,
        .index_key_count = sealing->index_keys.count,
        .description_attribute = sealing->description_attribute,
        .signature_attribute = sealing->signature_attribute,
        .exact_numbers = sealing->exact_numbers,
    };
    struct kb_provider *provider = NULL;
    struct kb_actions *actions = NULL;
    enum kb_status status;

    *out = NULL;
    memset(session, 0, sizeof *session);
    if (sealing->format && strcmp(sealing->format, "ddbec") != 0)
        return kb_error_set(&cli->error, KB_ERR_USAGE, "--format is ddbec, not '%s'",
                            sealing->format);
    if (!sealing->table || !sealing->partition_key)
        return kb_error_set(&cli->error, KB_ERR_USAGE, "%s is missing",
                            sealing->table ? "--partition-key" : "--table");
    status = read_actions(&actions, cli, sealing->actions);
    if (status == KB_OK)
        status = cli_session_open(session, cli);
    if (status == KB_OK)
        status = open_provider(&provider, cli, sealing, session);
    options.actions = actions;
    if (status == KB_OK)
        status = kb_ddbec_new(out, &options, provider, &cli->error);
    kb_provider_release(provider);
    kb_actions_free(actions);
    if (status != KB_OK)
        cli_session_close(session);
    return status;
}

enum kb_status cli_sealing_workers(struct cli *cli, const struct cli_sealing *sealing,
                                   unsigned *out)
{
    enum kb_status status = KB_OK;

    if (sealing->workers)
        status = kb_config_set(cli->config, KB_SETTING_WORKERS, sealing->workers, &cli->error);
    return status == KB_OK ? kb_config_workers(cli->config, out, &cli->error) : status;
}
