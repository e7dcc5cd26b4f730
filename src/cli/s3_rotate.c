/* SPDX-License-Identifier: Apache-2.0
 *
 * keybridge s3 rotate and cp: objects under new keys, in place or as copies.
 */
#include "cli/s3.h"
#include "cli/s3_names.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct rotating {
    struct s3 s3;
    const char *to_key, *older_than;
    bool stream;
    bool copying;
    struct kb_s3ec *to_s3ec;
    struct kb_object_get get;
    struct kb_object_rotate rotate;
    int64_t started;
    /* The URL at hand: */
    struct kb_s3_name from, to; /* with -r keys are prefixes */
    struct s3_names names;      /* of -r */
    /* Under s3.lock: */
    uint64_t rotated, by_server, passed_over, former, deleted;
    enum kb_status ended; /* what ends the run */
};

/* --- options ---------------------------------------------------------------------------- */

/* "90d", "2026-11-22", "2026-11-22T10:15:00Z". */
static enum kb_status take_time(struct rotating *rotating)
{
    static const struct {
        char unit;
        int64_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    struct cli *cli = rotating->s3.cli;
    const char *text = rotating->older_than;
    size_t size = text ? strlen(text) : 0;
    struct tm parts = {.tm_mday = 1};
    const char *end;

    if (!text)
        return KB_OK;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (size < 2 || size > 10 || text[size - 1] != units[i].unit ||
            strspn(text, "0123456789") != size - 1)
            continue;
        rotating->rotate.before =
            rotating->started - (int64_t)strtoll(text, NULL, 10) * units[i].seconds;
        if (rotating->rotate.before > 0)
            return KB_OK;
    }
    end = strptime(text, "%Y-%m-%d", &parts);
    if (end && *end)
        end = strptime(end, "T%H:%M:%SZ", &parts);
    rotating->rotate.before = end && !*end ? (int64_t)timegm(&parts) : 0;
    if (rotating->rotate.before > 0)
        return KB_OK;
    return kb_error_set(&cli->error, KB_ERR_USAGE,
                        "--older-than is an age like 90d, or a time like 2026-11-22T10:15:00Z, not "
                        "'%s'",
                        text);
}

static enum kb_status check_options(struct rotating *rotating)
{
    const struct s3_options *o = &rotating->s3.options;
    struct cli *cli = rotating->s3.cli;

    if (rotating->to_key && !o->key)
        return kb_error_set(&cli->error, KB_ERR_USAGE, "--to-key needs --key, the old key");
    if (o->vault_key && o->key_per)
        return kb_error_set(&cli->error, KB_ERR_USAGE,
                            "--vault-key and --key-per: the key is named in one way");
    if (o->key_per && strcmp(o->key_per, "object") != 0 && strcmp(o->key_per, "prefix") != 0)
        return kb_error_set(&cli->error, KB_ERR_USAGE, "--key-per is object or prefix, not '%s'",
                            o->key_per);
    if ((o->vault_key || o->key_per) && o->encryption && strcmp(o->encryption, "sse-c") != 0)
        return kb_error_set(&cli->error, KB_ERR_USAGE, "%s is for --encryption sse-c",
                            o->vault_key ? "--vault-key" : "--key-per");
    if ((o->kms_key || o->kms_context.count || o->bucket_key) &&
        (!o->encryption || strcmp(o->encryption, "sse-kms") != 0))
        return kb_error_set(&cli->error, KB_ERR_USAGE,
                            "options of KMS are for --encryption sse-kms");
    if (o->version && o->recursive)
        return kb_error_set(&cli->error, KB_ERR_USAGE, "--version-id is for one object");
    return KB_OK;
}

static enum kb_status open_new_key(struct rotating *rotating)
{
    struct s3 *s3 = &rotating->s3;
    struct kb_s3ec_options options = {.key = rotating->to_key};
    enum kb_status status;

    if (!rotating->to_key)
        return KB_OK;
    status = cli_commitment(s3->cli, s3->options.policy, &options.policy);
    return status == KB_OK ? kb_s3ec_new(&rotating->to_s3ec, s3->session.keystore, &options,
                                         &s3->cli->error)
                           : status;
}

static enum kb_status tell_progress(void *ctx, uint64_t done, struct kb_error *err)
{
    (void)ctx;
    (void)done;
    return cli_stopped(err);
}

/* Without --encryption objects stay what they are; keys to read them are in the
 * vault that is there. */
static enum kb_status open_all(struct rotating *rotating)
{
    struct s3 *s3 = &rotating->s3;
    struct s3_options *o = &s3->options;
    struct kb_object_put put;
    enum kb_status status = check_options(rotating);

    if (status == KB_OK)
        status = take_time(rotating);
    if (status == KB_ERR_USAGE)
        cli_hint_help(s3->cli);
    if (status == KB_OK)
        status = s3_open(s3, S3_NEEDS_TO_READ | (o->encryption ? S3_NEEDS_TO_WRITE : 0));
    if (status == KB_OK)
        status = open_new_key(rotating);
    if (status == KB_OK)
        status = s3_get_options(s3, &rotating->get);
    if (status == KB_OK)
        status = s3_put_options(s3, &put);
    if (status != KB_OK)
        return status;
    rotating->get.key = NULL; /* --vault-key is the new one */
    rotating->rotate.get = &rotating->get;
    rotating->rotate.change = o->encryption != NULL;
    rotating->rotate.encryption = s3->encryption;
    rotating->rotate.key = put.key;
    rotating->rotate.key_per_prefix = put.key_per_prefix;
    rotating->rotate.kms = put.upload.put.encryption;
    rotating->rotate.to_s3ec = rotating->to_s3ec;
    rotating->rotate.stream = rotating->stream;
    rotating->rotate.upload = (struct kb_s3_upload){.part_size = s3->part_size,
                                                    .progress = tell_progress};
    return KB_OK;
}

/* --- noncurrent versions ---------------------------------------------------------------------- */

struct former {
    const char *key;
    struct kb_buffer ids; /* terminated, one behind the other */
};

static enum kb_status take_former(void *ctx, const struct kb_s3_entry *entry, struct kb_error *err)
{
    struct former *former = ctx;

    if (entry->is_latest || entry->is_delete_marker || entry->is_prefix ||
        !kb_bytes_equal(entry->key, kb_bytes_text(former->key)))
        return KB_OK;
    kb_buffer_put_bytes(&former->ids, entry->version);
    kb_buffer_put_u8(&former->ids, 0);
    return kb_buffer_check(&former->ids, err);
}

/* They cannot be encrypted anew where they are: they go. */
static enum kb_status delete_former(struct rotating *rotating, const struct kb_s3_name *name,
                                    struct kb_error *err)
{
    const struct kb_s3_list list = {.bucket = name->bucket, .prefix = name->key, .versions = true};
    struct former former = {.key = name->key, .ids = KB_BUFFER_INIT(SIZE_MAX / 2)};
    struct s3 *s3 = &rotating->s3;
    enum kb_status status = kb_s3_list(s3->client, &list, take_former, &former, err);

    for (size_t at = 0; status == KB_OK && at < former.ids.size;) {
        const struct kb_s3_name version = {.bucket = name->bucket,
                                           .key = name->key,
                                           .version = (const char *)former.ids.data + at};

        status = kb_object_remove(s3->objects, &version, NULL, err);
        at += strlen(version.version) + 1;
        pthread_mutex_lock(&s3->lock);
        rotating->deleted += status == KB_OK;
        pthread_mutex_unlock(&s3->lock);
    }
    kb_buffer_free(&former.ids);
    return status;
}

/* --- one object ------------------------------------------------------------------------------- */

static void print_one(const struct rotating *rotating, const struct kb_s3_name *name,
                      const struct kb_object_rotated *rotated)
{
    const struct kb_object_result *result = &rotated->result;
    cJSON *json = cJSON_CreateObject();

    cJSON_AddStringToObject(json, "bucket", name->bucket);
    cJSON_AddStringToObject(json, "key", name->key);
    cJSON_AddBoolToObject(json, "passed_over", rotated->passed_over);
    if (!rotated->passed_over) {
        cJSON_AddStringToObject(json, "version", result->object.version);
        cJSON_AddStringToObject(json, "vault_key", result->key_id);
        cJSON_AddStringToObject(json, "old_vault_key", rotated->old_key_id);
        cJSON_AddStringToObject(json, "old_version", rotated->old_version);
        cJSON_AddBoolToObject(json, "by_server", rotated->by_server);
        if (rotated->lost)
            cJSON_AddStringToObject(json, "lost", rotated->lost);
    }
    (void)!cli_print_json(rotating->s3.cli, json);
}

static void tell_one(struct rotating *rotating, const struct kb_s3_name *name,
                     const struct kb_object_rotated *rotated)
{
    struct s3 *s3 = &rotating->s3;
    struct cli *cli = s3->cli;

    pthread_mutex_lock(&s3->lock);
    s3->counts.good++;
    rotating->rotated += !rotated->passed_over;
    rotating->passed_over += rotated->passed_over;
    rotating->by_server += rotated->by_server;
    rotating->former += rotated->old_version[0] != 0;
    cli_progress_add(&s3->progress, 1);
    if (cli->json)
        print_one(rotating, name, rotated);
    else if (rotated->passed_over && !s3->many)
        cli_note(cli, "s3://%s/%s is passed over: there is nothing to change", name->bucket,
                 name->key);
    if (rotated->lost)
        cli_note(cli, "s3://%s/%s: the server did not keep its %s", name->bucket, name->key,
                 rotated->lost);
    if (rotated->old_version[0] && cli->verbose)
        cli_note(cli, "s3://%s/%s: version %s stays under its old key", name->bucket, name->key,
                 rotated->old_version);
    pthread_mutex_unlock(&s3->lock);
}

/* One object that cannot be rotated does not keep the others back; a server, a
 * token or a machine that fails does. */
static bool ends_run(enum kb_status status)
{
    enum kb_exit class = kb_status_exit(status);

    return class == KB_EXIT_SYSTEM || class == KB_EXIT_TOKEN || class == KB_EXIT_REMOTE ||
           status == KB_ERR_PIN;
}

static void fail_one(struct rotating *rotating, const struct kb_s3_name *name,
                     const struct kb_error *error)
{
    struct s3 *s3 = &rotating->s3;
    char *url;

    if (!ends_run(error->status)) {
        url = s3_url(name->bucket, name->key);
        s3_failed(s3, url ? url : name->key, error);
        free(url);
        return;
    }
    pthread_mutex_lock(&s3->lock);
    if (rotating->ended == KB_OK) {
        rotating->ended = error->status;
        s3->cli->error = *error;
    }
    pthread_mutex_unlock(&s3->lock);
}

static void rotate_object(struct rotating *rotating, const struct kb_s3_name *from,
                          const struct kb_s3_name *to)
{
    struct kb_object_rotated rotated;
    struct kb_error error = {.status = KB_OK};
    enum kb_status status = cli_stopped(&error);

    memset(&rotated, 0, sizeof rotated);
    if (status == KB_OK)
        status = kb_object_rotate(rotating->s3.objects, from, to, &rotating->rotate, &rotated,
                                  &error);
    if (status == KB_OK)
        tell_one(rotating, to, &rotated);
    /* Behind what somebody else stored the former ones may be all that is ours. */
    if (status == KB_OK && rotating->s3.options.versions && rotated.was_stored)
        status = delete_former(rotating, to, &error);
    else if (status == KB_OK && rotating->s3.options.versions)
        cli_note(rotating->s3.cli,
                 "s3://%s/%s: its noncurrent versions stay: it was not in the inventory",
                 to->bucket, to->key);
    if (status != KB_OK)
        fail_one(rotating, from, &error);
    kb_object_result_free(&rotated.result);
}

static void rotate_at(void *ctx, size_t at)
{
    struct rotating *rotating = ctx;
    const char *name = s3_names_at(&rotating->names, at);
    struct kb_s3_name from = {.bucket = rotating->from.bucket, .key = name};
    struct kb_s3_name to = {.bucket = rotating->to.bucket, .key = name};
    char *key = NULL;
    bool ended;

    pthread_mutex_lock(&rotating->s3.lock);
    ended = rotating->ended != KB_OK;
    pthread_mutex_unlock(&rotating->s3.lock);
    if (ended)
        return;
    if (rotating->copying &&
        asprintf(&key, "%s%s", rotating->to.key, name + strlen(rotating->from.key)) < 0) {
        const struct kb_error error = {.status = KB_ERR_MEMORY, .text = "no memory"};

        fail_one(rotating, &from, &error);
        return;
    }
    to.key = key ? key : name;
    rotate_object(rotating, &from, &to);
    free(key);
}

/* --- a run ------------------------------------------------------------------------------------ */

static enum kb_status rotate_tree(struct rotating *rotating)
{
    struct s3 *s3 = &rotating->s3;
    char *from = s3_prefix(rotating->from.key ? rotating->from.key : "");
    char *to = s3_prefix(rotating->to.key ? rotating->to.key : "");
    enum kb_status status = from && to ? KB_OK
                                       : kb_error_set(&s3->cli->error, KB_ERR_MEMORY, "no memory");

    rotating->names = (struct s3_names)S3_NAMES_INIT;
    rotating->from.key = from;
    rotating->to.key = to;
    if (status == KB_OK)
        status = s3_names_list(&rotating->names, s3, rotating->from.bucket, from);
    if (status == KB_OK && !rotating->names.count)
        status = s3_nothing_there(s3, rotating->from.bucket, from);
    if (status == KB_OK)
        s3_each(s3, rotating->names.count, rotate_at, rotating);
    s3_names_free(&rotating->names);
    free(from);
    free(to);
    return status == KB_OK ? rotating->ended : status;
}

static enum kb_status rotate_urls(struct rotating *rotating, char **urls, int count)
{
    struct s3 *s3 = &rotating->s3;
    char bucket[KB_S3_BUCKET_MAX + 1];
    enum kb_status status = KB_OK;

    for (int i = 0; status == KB_OK && i < count; i++) {
        status = s3_argument(s3, urls[i], !s3->options.recursive, bucket, &rotating->from);
        rotating->to = rotating->from;
        if (status == KB_OK && s3->options.recursive)
            status = rotate_tree(rotating);
        else if (status == KB_OK)
            rotate_object(rotating, &rotating->from, &rotating->to);
        status = status == KB_OK ? rotating->ended : status;
    }
    return status;
}

static void tell_counts(const struct rotating *rotating)
{
    const struct s3 *s3 = &rotating->s3;
    unsigned long long rotated = rotating->rotated, former = rotating->former;
    const char *done = rotating->copying ? "copied" : "rotated";

    if (s3->many)
        cli_note(s3->cli, "%llu %s %s, %llu of them by the server; %llu passed over", rotated,
                 rotated == 1 ? "object" : "objects", done, (unsigned long long)rotating->by_server,
                 (unsigned long long)rotating->passed_over);
    if (rotating->deleted)
        cli_note(s3->cli, "%llu noncurrent %s deleted", (unsigned long long)rotating->deleted,
                 rotating->deleted == 1 ? "version" : "versions");
    else if (former)
        cli_note(s3->cli, "%llu former %s under the old %s: --versions deletes them", former,
                 former == 1 ? "version stays" : "versions stay", former == 1 ? "key" : "keys");
}

/* What was rotated now need not be again. */
static void hint_going_on(struct rotating *rotating)
{
    char text[CLI_TIME_ROOM];

    if (!rotating->rotated || rotating->copying)
        return;
    cli_time(text, rotating->started);
    kb_error_hint(&rotating->s3.cli->error, "--older-than %s goes on with the others", text);
}

static enum kb_status finish(struct rotating *rotating, enum kb_status status)
{
    struct s3 *s3 = &rotating->s3;

    cli_progress_end(&s3->progress);
    if (s3->objects && (status == KB_OK || rotating->rotated || rotating->passed_over))
        tell_counts(rotating);
    if (status == KB_OK)
        status = s3_status(s3);
    if (status != KB_OK && s3->many)
        hint_going_on(rotating);
    kb_s3ec_release(rotating->to_s3ec);
    s3_clear(s3);
    return status;
}

static enum kb_status ask_versions(const struct rotating *rotating)
{
    const struct s3_options *o = &rotating->s3.options;

    if (!o->versions || o->yes ||
        cli_ask("Delete all noncurrent versions of these objects for ever?"))
        return KB_OK;
    kb_error_set(&rotating->s3.cli->error, KB_ERR_USAGE, "noncurrent versions were to be deleted");
    kb_error_hint(&rotating->s3.cli->error, "--yes deletes them without asking");
    return KB_ERR_USAGE;
}

/* Rows of both verbs; `r` is a struct rotating. */
#define ROTATE_OPTIONS(r)                                                                          \
    S3_REMOTE_OPTIONS((r).s3.options), S3_READING_OPTIONS((r).s3.options),                         \
        {"encryption", 0, CLI_TEXT, &(r).s3.options.encryption},                                   \
        {"key-per", 0, CLI_TEXT, &(r).s3.options.key_per},                                         \
        {"kms-key", 0, CLI_TEXT, &(r).s3.options.kms_key},                                         \
        {"kms-context", 0, CLI_LIST, &(r).s3.options.kms_context},                                 \
        {"bucket-key", 0, CLI_FLAG, &(r).s3.options.bucket_key},                                   \
        {"part-size", 0, CLI_TEXT, &(r).s3.options.part_size},                                     \
        {"to-key", 0, CLI_TEXT, &(r).to_key}, {"stream", 0, CLI_FLAG, &(r).stream},                \
        {"recursive", 'r', CLI_FLAG, &(r).s3.options.recursive}

enum kb_status s3_run_rotate(struct cli *cli, int argc, char **argv)
{
    struct rotating rotating = {.s3 = {.cli = cli}, .started = (int64_t)time(NULL)};
    const struct cli_option table[] = {
        ROTATE_OPTIONS(rotating),
        {"older-than", 0, CLI_TEXT, &rotating.older_than},
        {"versions", 0, CLI_FLAG, &rotating.s3.options.versions},
        {"yes", 'y', CLI_FLAG, &rotating.s3.options.yes},
        {NULL, 0, CLI_FLAG, NULL},
    };
    int count;
    enum kb_status status = cli_parse(cli, argc, argv, table, 1, INT_MAX, &count);

    if (status == KB_OK && rotating.s3.options.version)
        status = kb_error_set(&cli->error, KB_ERR_USAGE,
                              "--version-id is for cp: a noncurrent version cannot be rotated");
    if (status == KB_OK)
        status = ask_versions(&rotating);
    if (status == KB_OK)
        status = open_all(&rotating);
    if (status == KB_OK) {
        rotating.s3.many = rotating.s3.options.recursive || count > 1;
        cli_progress_start(&rotating.s3.progress, cli, "objects rotated");
        status = rotate_urls(&rotating, argv, count);
    }
    return finish(&rotating, status);
}

/* --- copies ----------------------------------------------------------------------------------- */

/* s3://B/ or s3://B/PREFIX/ gets the last part of the name. */
static enum kb_status copy_one(struct rotating *rotating)
{
    const char *key = rotating->from.key, *to = rotating->to.key ? rotating->to.key : "";
    const char *slash = strrchr(key, '/');
    size_t size = strlen(to);
    char *whole = NULL;

    if (size && to[size - 1] != '/') {
        rotate_object(rotating, &rotating->from, &rotating->to);
        return rotating->ended;
    }
    if (asprintf(&whole, "%s%s", to, slash ? slash + 1 : key) < 0)
        return kb_error_set(&rotating->s3.cli->error, KB_ERR_MEMORY, "no memory");
    rotating->to.key = whole;
    rotate_object(rotating, &rotating->from, &rotating->to);
    free(whole);
    return rotating->ended;
}

enum kb_status s3_run_cp(struct cli *cli, int argc, char **argv)
{
    struct rotating rotating = {.s3 = {.cli = cli}, .copying = true};
    struct s3 *s3 = &rotating.s3;
    char from[KB_S3_BUCKET_MAX + 1], to[KB_S3_BUCKET_MAX + 1];
    const struct cli_option table[] = {
        ROTATE_OPTIONS(rotating),
        {NULL, 0, CLI_FLAG, NULL},
    };
    int count;
    enum kb_status status = cli_parse(cli, argc, argv, table, 2, 2, &count);

    if (status == KB_OK)
        status = open_all(&rotating);
    if (status == KB_OK)
        status = s3_argument(s3, argv[0], !s3->options.recursive, from, &rotating.from);
    if (status == KB_OK)
        status = s3_argument(s3, argv[1], false, to, &rotating.to);
    rotating.to.version = NULL;
    if (status == KB_OK) {
        s3->many = s3->options.recursive;
        cli_progress_start(&s3->progress, cli, "objects copied");
        status = s3->many ? rotate_tree(&rotating) : copy_one(&rotating);
    }
    return finish(&rotating, status);
}
