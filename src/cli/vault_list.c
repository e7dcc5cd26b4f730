/* SPDX-License-Identifier: Apache-2.0
 *
 * keybridge vault objects and events.
 */
#include "cli/vault.h"

static const char *row_state(enum kb_vault_row_state state)
{
    static const char *const names[] = {"pending", "stored", "removed"};

    return (unsigned)state < sizeof names / sizeof *names ? names[state] : "?";
}

static void format_sha256(char out[65], const struct kb_vault_object *object)
{
    out[0] = 0;
    if (object->has_sha256)
        cli_hex(out, (struct kb_bytes){object->sha256, sizeof object->sha256});
}

static enum kb_status print_object(void *ctx, const struct kb_vault_object *object,
                                   struct kb_error *err)
{
    struct cli *cli = ctx;
    char when[CLI_TIME_ROOM], sha256[65];
    cJSON *json;

    (void)err;
    cli_time(when, object->changed);
    if (!cli->json) {
        cli_print("%-8s  %-15s  %-32s  %12llu  %s  s3://%s/%s%s%s", row_state(object->state),
                  object->encryption, object->key_id, (unsigned long long)object->size, when,
                  object->bucket, object->object_key, object->version[0] ? "  " : "",
                  object->version);
        return KB_OK;
    }
    format_sha256(sha256, object);
    json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "endpoint", object->endpoint);
    cJSON_AddStringToObject(json, "bucket", object->bucket);
    cJSON_AddStringToObject(json, "key", object->object_key);
    cJSON_AddStringToObject(json, "version", object->version);
    cJSON_AddStringToObject(json, "state", row_state(object->state));
    cJSON_AddStringToObject(json, "encryption", object->encryption);
    cJSON_AddStringToObject(json, "vault_key", object->key_id);
    cJSON_AddStringToObject(json, "sha256", sha256);
    cJSON_AddNumberToObject(json, "size", (double)object->size);
    cJSON_AddStringToObject(json, "etag", object->etag);
    cJSON_AddStringToObject(json, "changed", when);
    return cli_print_json(cli, json);
}

enum kb_status vault_run_objects(struct cli *cli, int argc, char **argv)
{
    const struct cli_option table[] = {{NULL, 0, CLI_FLAG, NULL}};
    struct kb_vault_query query = {.prefix = true};
    char bucket[KB_S3_BUCKET_MAX + 1] = "";
    struct vault_session session;
    enum kb_status status;
    int rest;

    status = cli_parse(cli, argc, argv, table, 0, 1, &rest);
    if (status == KB_OK && rest)
        status = kb_s3_url_parse(argv[0], bucket, &query.object_key, &cli->error);
    query.bucket = bucket[0] ? bucket : NULL;
    if (status == KB_OK)
        status = vault_open(&session, cli, (struct kb_vault_options){.create = false});
    if (status != KB_OK)
        return status;
    status = kb_vault_each_object(session.vault, &query, print_object, cli, &cli->error);
    vault_close(&session);
    return status;
}

static enum kb_status print_event(void *ctx, const struct kb_vault_event *event,
                                  struct kb_error *err)
{
    struct cli *cli = ctx;
    char when[CLI_TIME_ROOM];
    cJSON *json;

    (void)err;
    cli_time(when, event->time);
    if (!cli->json) {
        cli_print("%6llu  %s  %s  %s", (unsigned long long)event->number, when, event->key_id,
                  event->what);
        return KB_OK;
    }
    json = cJSON_CreateObject();
    cJSON_AddNumberToObject(json, "number", (double)event->number);
    cJSON_AddStringToObject(json, "time", when);
    cJSON_AddStringToObject(json, "vault_key", event->key_id);
    cJSON_AddStringToObject(json, "what", event->what);
    return cli_print_json(cli, json);
}

enum kb_status vault_run_events(struct cli *cli, int argc, char **argv)
{
    struct vault_session session;
    enum kb_status status = cli_vault_begin(&session, cli, argc, argv, 0);

    if (status != KB_OK)
        return status;
    status = kb_vault_each_event(session.vault, print_event, cli, &cli->error);
    vault_close(&session);
    return status;
}
