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
    cli_list_free(&sealing->grant_tokens);
}

enum kb_status cli_sealing_check_unused(struct cli *cli, const struct cli_sealing *sealing)
{
    const struct {
        const char *name;
        bool given;
    } rows[] = {
        {"provider", sealing->provider != NULL},
        {"wrap-key", sealing->wrap_key != NULL},
        {"sign-key", sealing->sign_key != NULL},
        {"content-key", sealing->content_key != NULL},
        {"kms-key", sealing->kms_key != NULL},
        {"grant-token", sealing->grant_tokens.count > 0},
        {"wrap-alg", sealing->wrap_algorithm != NULL},
        {"sign-alg", sealing->sign_algorithm != NULL},
        {"content-key-bits", sealing->content_key_bits != NULL},
        {"actions", sealing->actions != NULL},
        {"description", sealing->description.count > 0},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].given)
            return kb_error_set(&cli->error, KB_ERR_USAGE,
                                "--%s is for encryption, and here there is none", rows[i].name);
    return KB_OK;
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

/* The options of other providers are refused: whoever gives them expects keys
 * that would not be used. */
static enum kb_status check_kms(struct cli *cli, const struct cli_sealing *sealing)
{
    const char *other = sealing->wrap_key         ? "wrap-key"
                        : sealing->sign_key       ? "sign-key"
                        : sealing->content_key    ? "content-key"
                        : sealing->wrap_algorithm ? "wrap-alg"
                                                  : NULL;

    if (other)
        return kb_error_set(&cli->error, KB_ERR_USAGE, "--provider kms has no --%s", other);
    if (!sealing->kms_key) {
        kb_error_set(&cli->error, KB_ERR_USAGE, "--provider kms needs --kms-key");
        kb_error_hint(&cli->error, "its ARN, id or alias; by ARN it is called in its own region");
        return KB_ERR_USAGE;
    }
    return KB_OK;
}

/* No token is opened. */
static enum kb_status open_kms(struct kb_provider **out, struct cli *cli,
                               const struct cli_sealing *sealing, struct cli_session *session)
{
    struct kb_pair pairs[DESCRIPTION_MAX];
    struct kb_kms_provider_options options = {
        .key_id = sealing->kms_key,
        .sign_algorithm = sealing->sign_algorithm,
        .grant_tokens = sealing->grant_tokens.items,
        .grant_token_count = sealing->grant_tokens.count,
        .description = pairs,
        .description_count = sealing->description.count,
    };
    struct cli_kms_remote remote = {.region = ""};
    enum kb_status status = parse_bits(cli, sealing->content_key_bits, &options.content_key_bits);

    if (status == KB_OK)
        status = cli_pairs(cli, "description", &sealing->description, pairs, DESCRIPTION_MAX);
    if (status == KB_OK)
        status = cli_remote_resolve_kms(cli, &sealing->remote, sealing->kms_key, &remote);
    if (status == KB_OK && sealing->kms_endpoint_url)
        remote.aws.endpoint_url = sealing->kms_endpoint_url;
    if (status == KB_OK)
        status = kb_kms_open(&session->kms, &remote.aws, &cli->error);
    /* Whoever meant the table's alone is told; the URL is a valid one by now. */
    if (status == KB_OK && !sealing->kms_endpoint_url && remote.aws.endpoint_url &&
        strcmp(cli->verb->noun, "table") == 0)
        cli_note(cli, "KMS is called at %s too; --kms-endpoint-url names another",
                 remote.aws.endpoint_url);
    options.kms = session->kms;
    return status == KB_OK ? kb_provider_kms(out, &options, &cli->error) : status;
}

static enum kb_status open_provider(struct kb_provider **out, struct cli *cli,
                                    const struct cli_sealing *sealing, const char *kind,
                                    struct cli_session *session)
{
    struct kb_pair pairs[DESCRIPTION_MAX];
    struct kb_provider_options options = {
        .sign_key = sealing->sign_key ? sealing->sign_key
                                      : kb_config_get(cli->config, KB_SETTING_SIGN_KEY),
        .sign_algorithm = sealing->sign_algorithm,
        .wrap_key = sealing->wrap_key,
        .wrap_algorithm = sealing->wrap_algorithm,
        .content_key = sealing->content_key,
        .description = pairs,
        .description_count = sealing->description.count,
    };
    enum kb_status status = parse_bits(cli, sealing->content_key_bits, &options.content_key_bits);

    if (status == KB_OK)
        status = cli_pairs(cli, "description", &sealing->description, pairs, DESCRIPTION_MAX);
    if (status == KB_OK)
        status = cli_session_open(session, cli);
    if (status != KB_OK)
        return status;
    if (strcmp(kind, "static") == 0)
        return kb_provider_static(out, session->keystore, &options, &cli->error);
    if (!options.wrap_key)
        options.wrap_key = kb_config_get(cli->config, KB_SETTING_WRAP_KEY);
    return kb_provider_wrapped(out, session->keystore, &options, &cli->error);
}

static const char *provider_kind(const struct cli_sealing *sealing)
{
    return sealing->provider      ? sealing->provider
           : sealing->content_key ? "static"
           : sealing->kms_key     ? "kms"
                                  : "wrapped";
}

/* What can be said of the options before a token is opened. */
static enum kb_status check_provider(struct cli *cli, const struct cli_sealing *sealing)
{
    const char *kind = provider_kind(sealing);

    if (strcmp(kind, "kms") == 0)
        return check_kms(cli, sealing);
    if (strcmp(kind, "static") && strcmp(kind, "wrapped"))
        return kb_error_set(&cli->error, KB_ERR_USAGE,
                            "--provider is wrapped, static or kms, not '%s'", kind);
    if (sealing->kms_key || sealing->grant_tokens.count)
        return kb_error_set(&cli->error, KB_ERR_USAGE, "--%s is for --provider kms",
                            sealing->kms_key ? "kms-key" : "grant-token");
    if (strcmp(kind, "static") == 0 && sealing->wrap_algorithm)
        return kb_error_set(&cli->error, KB_ERR_USAGE, "--provider static has no --wrap-alg");
    if (strcmp(kind, "static") == 0 && !sealing->content_key && !sealing->actions) {
        kb_error_set(&cli->error, KB_ERR_USAGE,
                     "--provider static without --content-key can only sign");
        kb_error_hint(&cli->error, "name a content key, or actions that encrypt nothing");
        return KB_ERR_USAGE;
    }
    return KB_OK;
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

/* --- keys of indexes ------------------------------------------------------------------- */

/* Signed, never encrypted: an index sorts by what it sees. Which attributes
 * have indexes is the service's word, and on that alone nothing is written in
 * the clear. */
static enum kb_status add_index_key(struct cli *cli, struct cli_sealing *sealing,
                                    const struct kb_actions *actions, const char *index,
                                    const char *name)
{
    struct cli_list *list = &sealing->index_keys;

    if (!name[0] || strcmp(name, sealing->schema->partition.name) == 0 ||
        strcmp(name, sealing->schema->sort.name) == 0)
        return KB_OK;
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i], name) == 0)
            return KB_OK;
    if (sealing->writing && kb_actions_encrypt(actions, name)) {
        kb_error_set(&cli->error, KB_ERR_USAGE,
                     "attribute '%s' is a key of index '%s' and would not be encrypted", name,
                     index);
        kb_error_hint(&cli->error, "--index-key '%s' signs it and leaves it readable; or name it "
                                   "in --actions", name);
        return KB_ERR_USAGE;
    }
    return cli_list_add(cli, list, name);
}

static enum kb_status add_index_keys(struct cli *cli, struct cli_sealing *sealing,
                                     const struct kb_actions *actions)
{
    const struct kb_table_schema *schema = sealing->schema;
    enum kb_status status = KB_OK;

    for (size_t i = 0; schema && status == KB_OK && i < schema->index_count; i++) {
        const struct kb_table_index *index = &schema->indexes[i];

        status = add_index_key(cli, sealing, actions, index->name, index->partition.name);
        if (status == KB_OK)
            status = add_index_key(cli, sealing, actions, index->name, index->sort.name);
    }
    return status;
}

enum kb_status cli_sealing_open(struct kb_ddbec **out, struct cli *cli,
                                struct cli_sealing *sealing, struct cli_session *session)
{
    const char *name = sealing->signed_name ? sealing->signed_name : sealing->table;
    struct kb_ddbec_options options = {
        .table_name = name,
        .partition_key = sealing->partition_key,
        .sort_key = sealing->sort_key,
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
    if (!name || !sealing->partition_key)
        return kb_error_set(&cli->error, KB_ERR_USAGE, "%s is missing",
                            name ? "--partition-key" : "--table");
    status = check_provider(cli, sealing);
    if (status == KB_OK)
        status = read_actions(&actions, cli, sealing->actions);
    if (status == KB_OK)
        status = add_index_keys(cli, sealing, actions);
    if (status == KB_OK)
        status = strcmp(provider_kind(sealing), "kms") == 0
                     ? open_kms(&provider, cli, sealing, session)
                     : open_provider(&provider, cli, sealing, provider_kind(sealing), session);
    options.actions = actions;
    options.index_keys = sealing->index_keys.items;
    options.index_key_count = sealing->index_keys.count;
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
