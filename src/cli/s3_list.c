/* SPDX-License-Identifier: Apache-2.0
 *
 * keybridge s3 ls, rm and mb.
 */
#include "cli/s3.h"
#include "cli/s3_names.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* --- ls ------------------------------------------------------------------------------- */

static void add_text(cJSON *json, const char *name, struct kb_bytes text)
{
    char *copy = strndup((const char *)text.data, text.size);

    if (copy)
        cJSON_AddStringToObject(json, name, copy);
    free(copy);
}

static enum kb_status print_json(struct cli *cli, const struct kb_s3_entry *entry)
{
    cJSON *json = cJSON_CreateObject();
    char when[CLI_TIME_ROOM];

    add_text(json, entry->is_prefix ? "prefix" : "key", entry->key);
    if (!entry->is_prefix) {
        cJSON_AddNumberToObject(json, "size", (double)entry->size);
        cli_time(when, entry->modified);
        cJSON_AddStringToObject(json, "modified", when);
    }
    if (entry->etag.size)
        add_text(json, "etag", entry->etag);
    if (entry->storage_class.size)
        add_text(json, "storage_class", entry->storage_class);
    if (entry->version.size) {
        add_text(json, "version", entry->version);
        cJSON_AddBoolToObject(json, "latest", entry->is_latest);
        cJSON_AddBoolToObject(json, "delete_marker", entry->is_delete_marker);
    }
    return cli_print_json(cli, json);
}

static enum kb_status print_entry(void *ctx, const struct kb_s3_entry *entry,
                                  struct kb_error *err)
{
    struct cli *cli = ctx;
    char when[CLI_TIME_ROOM];

    (void)err;
    if (cli->json)
        return print_json(cli, entry);
    cli_time(when, entry->modified);
    if (entry->is_prefix)
        cli_print("%20s %14s %.*s", "", "prefix", (int)entry->key.size,
                  (const char *)entry->key.data);
    else if (entry->version.size)
        cli_print("%s %14llu %.*s%s %.*s", when, (unsigned long long)entry->size,
                  (int)entry->version.size, (const char *)entry->version.data,
                  entry->is_delete_marker ? " deleted"
                  : entry->is_latest      ? " latest"
                                          : "",
                  (int)entry->key.size, (const char *)entry->key.data);
    else
        cli_print("%s %14llu %.*s", when, (unsigned long long)entry->size, (int)entry->key.size,
                  (const char *)entry->key.data);
    return KB_OK;
}

static enum kb_status print_bucket(void *ctx, const struct kb_s3_entry *entry,
                                   struct kb_error *err)
{
    struct cli *cli = ctx;
    char when[CLI_TIME_ROOM];
    cJSON *json;

    (void)err;
    cli_time(when, entry->modified);
    if (!cli->json) {
        cli_print("%s %.*s", when, (int)entry->key.size, (const char *)entry->key.data);
        return KB_OK;
    }
    json = cJSON_CreateObject();
    add_text(json, "bucket", entry->key);
    cJSON_AddStringToObject(json, "created", when);
    return cli_print_json(cli, json);
}

static enum kb_status list(struct s3 *s3, const char *url)
{
    char bucket[KB_S3_BUCKET_MAX + 1];
    struct cli *cli = s3->cli;
    struct kb_s3_name name = {.key = NULL};
    enum kb_status status = url ? s3_argument(s3, url, false, bucket, &name) : KB_OK;

    s3->streams = true;
    if (status == KB_OK)
        status = s3_open(s3, S3_NEEDS_NOTHING);
    if (status == KB_OK && !url)
        return kb_s3_list_buckets(s3->client, print_bucket, cli, &cli->error);
    const struct kb_s3_list list = {.bucket = bucket,
                                    .prefix = name.key,
                                    .delimiter = s3->options.recursive ? NULL : "/",
                                    .versions = s3->options.versions};
    return status == KB_OK ? kb_s3_list(s3->client, &list, print_entry, cli, &cli->error) : status;
}

enum kb_status s3_run_ls(struct cli *cli, int argc, char **argv)
{
    struct s3 s3 = {.cli = cli};
    const struct cli_option table[] = {
        S3_REMOTE_OPTIONS(s3.options),
        {"recursive", 'r', CLI_FLAG, &s3.options.recursive},
        {"versions", 0, CLI_FLAG, &s3.options.versions},
        {NULL, 0, CLI_FLAG, NULL},
    };
    int count;
    enum kb_status status = cli_parse(cli, argc, argv, table, 0, 1, &count);

    if (status == KB_OK)
        status = list(&s3, count ? argv[0] : NULL);
    s3_clear(&s3);
    return status;
}

/* --- rm ------------------------------------------------------------------------------------ */

/* Objects of one argument. */
struct removal {
    struct s3 *s3;
    const char *bucket;
    const char *only; /* this key alone, and its versions; NULL: all that are listed */
    struct s3_names keys, versions; /* as many; a version may be "" */
};

static void print_removed(struct cli *cli, const struct kb_s3_name *name)
{
    cJSON *json = cJSON_CreateObject();

    cJSON_AddStringToObject(json, "bucket", name->bucket);
    cJSON_AddStringToObject(json, "key", name->key);
    if (name->version)
        cJSON_AddStringToObject(json, "version", name->version);
    cJSON_AddBoolToObject(json, "deleted", true);
    (void)!cli_print_json(cli, json);
}

static void remove_one(void *ctx, size_t at)
{
    struct removal *removal = ctx;
    struct s3 *s3 = removal->s3;
    const char *version = s3_names_at(&removal->versions, at);
    const struct kb_s3_name name = {.bucket = removal->bucket,
                                    .key = s3_names_at(&removal->keys, at),
                                    .version = *version ? version : NULL};
    struct kb_error error = {.status = KB_OK};
    char *url = s3_url(name.bucket, name.key);
    enum kb_status status = cli_stopped(&error);

    if (status == KB_OK)
        status = kb_object_remove(s3->objects, &name, NULL, &error);
    if (status != KB_OK)
        s3_failed(s3, url ? url : name.key, &error);
    free(url);
    pthread_mutex_lock(&s3->lock);
    s3->counts.good += status == KB_OK;
    if (status == KB_OK && s3->cli->json)
        print_removed(s3->cli, &name);
    cli_progress_add(&s3->progress, s3->many);
    pthread_mutex_unlock(&s3->lock);
}

static enum kb_status take_entry(void *ctx, const struct kb_s3_entry *entry, struct kb_error *err)
{
    struct removal *removal = ctx;
    enum kb_status status = cli_stopped(err);

    if (status != KB_OK)
        return status;
    if (removal->only && !kb_bytes_equal(entry->key, kb_bytes_text(removal->only)))
        return KB_OK;
    status = s3_names_add(&removal->keys, entry->key, err);
    return status == KB_OK ? s3_names_add(&removal->versions, entry->version, err) : status;
}

static enum kb_status find_objects(struct removal *removal, const struct kb_s3_name *name)
{
    struct s3 *s3 = removal->s3;
    struct kb_error *err = &s3->cli->error;
    struct kb_s3_list list = {.bucket = name->bucket, .versions = s3->options.versions};
    enum kb_status status;
    char *prefix;

    if (!s3->options.recursive && !s3->options.versions) {
        status = s3_names_add(&removal->keys, kb_bytes_text(name->key), err);
        return status == KB_OK ? s3_names_add(&removal->versions, kb_bytes_text(name->version), err)
                               : status;
    }
    if (!s3->options.recursive)
        removal->only = name->key;
    prefix = s3->options.recursive ? s3_prefix(name->key ? name->key : "") : strdup(name->key);
    if (!prefix)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    list.prefix = *prefix ? prefix : NULL;
    status = kb_s3_list(s3->client, &list, take_entry, removal, err);
    if (status == KB_OK && !removal->keys.count)
        cli_note(s3->cli, "s3://%s/%s: nothing is there", name->bucket, prefix);
    free(prefix);
    return status;
}

/* What is listed may be more than was thought of; versions are gone for good. */
static enum kb_status confirm(const struct removal *removal, const char *url)
{
    const struct s3 *s3 = removal->s3;
    char question[400];

    if (s3->options.yes || (!s3->options.recursive && !s3->options.versions) ||
        !removal->keys.count)
        return KB_OK;
    snprintf(question, sizeof question, "Delete %zu %s%s of %.200s%s?", removal->keys.count,
             s3->options.versions ? "version" : "object", removal->keys.count == 1 ? "" : "s", url,
             s3->options.versions ? " for ever" : "");
    kb_text_tame(question);
    if (cli_ask(question))
        return KB_OK;
    kb_error_set(&s3->cli->error, KB_ERR_USAGE, "%zu %s%s would be deleted: nothing was",
                 removal->keys.count, s3->options.versions ? "version" : "object",
                 removal->keys.count == 1 ? "" : "s");
    kb_error_hint(&s3->cli->error, "--yes deletes without asking");
    return KB_ERR_USAGE;
}

static enum kb_status remove_argument(struct s3 *s3, const char *url)
{
    struct removal removal = {.s3 = s3, .keys = S3_NAMES_INIT, .versions = S3_NAMES_INIT};
    char bucket[KB_S3_BUCKET_MAX + 1];
    struct kb_s3_name name;
    enum kb_status status = s3_argument(s3, url, !s3->options.recursive, bucket, &name);

    removal.bucket = bucket;
    if (status == KB_OK)
        status = find_objects(&removal, &name);
    if (status == KB_OK)
        status = confirm(&removal, url);
    if (status == KB_OK)
        s3_each(s3, removal.keys.count, remove_one, &removal);
    s3_names_free(&removal.keys);
    s3_names_free(&removal.versions);
    return status;
}

static enum kb_status remove_all(struct s3 *s3, char **urls, int count)
{
    struct cli *cli = s3->cli;
    enum kb_status status = KB_OK;

    if (s3->options.version && (s3->options.recursive || s3->options.versions || count > 1))
        status = kb_error_set(&cli->error, KB_ERR_USAGE, "--version-id is for one object");
    for (int i = 0; status == KB_OK && i < count; i++) {
        char bucket[KB_S3_BUCKET_MAX + 1];
        struct kb_s3_name name;

        status = s3_argument(s3, urls[i], !s3->options.recursive, bucket, &name);
    }
    if (status == KB_OK)
        status = s3_open(s3, S3_NEEDS_TO_READ);
    s3->many = count > 1 || s3->options.recursive || s3->options.versions;
    cli_progress_start(&s3->progress, cli, "objects deleted");
    for (int i = 0; status == KB_OK && i < count; i++)
        status = remove_argument(s3, urls[i]);
    cli_progress_end(&s3->progress);
    if (status == KB_OK && s3->many && (s3->counts.good || !s3->counts.bad))
        cli_note(cli, "%llu deleted", (unsigned long long)s3->counts.good);
    return status == KB_OK ? s3_status(s3) : status;
}

enum kb_status s3_run_rm(struct cli *cli, int argc, char **argv)
{
    struct s3 s3 = {.cli = cli};
    const struct cli_option table[] = {
        S3_REMOTE_OPTIONS(s3.options),
        {"recursive", 'r', CLI_FLAG, &s3.options.recursive},
        {"versions", 0, CLI_FLAG, &s3.options.versions},
        {"version-id", 0, CLI_TEXT, &s3.options.version},
        {"yes", 'y', CLI_FLAG, &s3.options.yes},
        {NULL, 0, CLI_FLAG, NULL},
    };
    int count;
    enum kb_status status = cli_parse(cli, argc, argv, table, 1, INT_MAX, &count);

    if (status == KB_OK)
        status = remove_all(&s3, argv, count);
    s3_clear(&s3);
    return status;
}

/* --- mb --------------------------------------------------------------------------------------- */

enum kb_status s3_run_mb(struct cli *cli, int argc, char **argv)
{
    struct s3 s3 = {.cli = cli};
    bool versioning = false, lock = false;
    const struct cli_option table[] = {
        S3_REMOTE_OPTIONS(s3.options),
        {"versioning", 0, CLI_FLAG, &versioning},
        {"lock", 0, CLI_FLAG, &lock},
        {NULL, 0, CLI_FLAG, NULL},
    };
    char bucket[KB_S3_BUCKET_MAX + 1];
    struct kb_s3_name name = {.key = NULL};
    int count;
    enum kb_status status = cli_parse(cli, argc, argv, table, 1, 1, &count);

    if (status == KB_OK)
        status = s3_argument(&s3, argv[0], false, bucket, &name);
    if (status == KB_OK && name.key)
        status = kb_error_set(&cli->error, KB_ERR_USAGE, "%s is no bucket alone", argv[0]);
    if (status == KB_OK)
        status = s3_open(&s3, S3_NEEDS_NOTHING);
    if (status == KB_OK)
        status = kb_s3_create_bucket(s3.client, bucket, lock, &cli->error);
    if (status == KB_OK && versioning && !lock)
        status = kb_s3_set_versioning(s3.client, bucket, true, &cli->error);
    if (status == KB_OK && cli->json) {
        cJSON *json = cJSON_CreateObject();

        cJSON_AddStringToObject(json, "bucket", bucket);
        cJSON_AddBoolToObject(json, "versioning", versioning || lock);
        cJSON_AddBoolToObject(json, "lock", lock);
        status = cli_print_json(cli, json);
    }
    s3_clear(&s3);
    return status;
}
