/* SPDX-License-Identifier: Apache-2.0
 *
 * keybridge s3 get and cat: objects become files that appear whole and verified,
 * or go to standard output.
 */
#include "cli/s3.h"
#include "cli/s3_names.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MEBIBYTE = 1024 * 1024, BATCH = KB_VAULT_BATCH_MAX };

struct getting;

enum { BATCHES = 2 }; /* one is filled or published while the other is got */

/* An object on its way. */
struct get_object {
    struct getting *getting;
    struct get_batch *batch;
    char *key;  /* owned */
    char *path; /* owned; NULL: standard output */
    struct kb_outfile *file;
    struct kb_object_result result;
    struct kb_error error;
    uint64_t told; /* MiB that the progress knows of */
    bool done;     /* said to be good or bad */
};

/* Keys are looked up and files published by the batch. */
struct get_batch {
    struct get_object objects[BATCH];
    size_t count;
    struct kb_object_known *known;
    size_t left; /* under getting.lock: those that workers have or wait for */
};

struct getting {
    struct s3 s3;
    const char *bucket;
    struct kb_object_get options;
    enum kb_outfile_rule rule;
    struct get_batch batches[BATCHES];
    unsigned filling;
    pthread_t *workers;
    unsigned worker_count; /* none: the main thread does it all */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t next, ready; /* objects ever taken by a worker, and handed over */
    bool ended;
};

/* --- one object ------------------------------------------------------------------------ */

static enum kb_status write_out(void *ctx, struct kb_bytes bytes, struct kb_error *err)
{
    const struct get_object *object = ctx;
    enum kb_status status = cli_stopped(err);

    if (status != KB_OK)
        return status;
    return object->file ? kb_outfile_write(object->file, bytes, err)
                        : kb_fd_write(STDOUT_FILENO, bytes, "standard output", err);
}

static enum kb_status tell_progress(void *ctx, uint64_t done, struct kb_error *err)
{
    struct get_object *object = ctx;
    struct s3 *s3 = &object->getting->s3;
    uint64_t more = done / MEBIBYTE - object->told;

    if (s3->many)
        return cli_stopped(err);
    object->told += more;
    return s3_progress(s3, more, err);
}

static enum kb_status get_one(struct get_object *object)
{
    struct getting *getting = object->getting;
    struct kb_object_get get = getting->options;
    const struct kb_s3_name name = {.bucket = getting->bucket,
                                    .key = object->key,
                                    .version = getting->s3.options.version};
    struct kb_error *err = &object->error;
    enum kb_status status = KB_OK;
    struct stat there = {0};

    get.scratch = -1;
    get.known = object->batch->known;
    get.known_at = (size_t)(object - object->batch->objects);
    if (object->path) {
        status = kb_outfile_open(&object->file, object->path, 0600, getting->rule, err);
        /* A device or pipe keeps what it got. */
        get.unverified = status == KB_OK && fstat(kb_outfile_fd(object->file), &there) == 0 &&
                         S_ISREG(there.st_mode);
    }
    if (status == KB_OK && !get.unverified && getting->s3.s3ec && !get.raw)
        status = s3_open_scratch(&get.scratch, err);
    get.write = write_out;
    get.ctx = get.progress_ctx = object;
    get.progress = tell_progress;
    if (status == KB_OK)
        status = kb_object_get(getting->s3.objects, &name, &get, &object->result, err);
    if (get.scratch >= 0)
        close(get.scratch);
    return status;
}

static void work(struct get_object *object)
{
    enum kb_status status = cli_stopped(&object->error);

    if (status == KB_OK)
        status = get_one(object);
    object->error.status = status;
    if (status == KB_OK)
        return;
    kb_outfile_abort(object->file);
    object->file = NULL;
}

/* --- workers --------------------------------------------------------------------------- */

/* Under the lock, which it lets go meanwhile. */
static void take_object(struct getting *getting)
{
    struct get_batch *batch = &getting->batches[getting->next / BATCH % BATCHES];
    struct get_object *object = &batch->objects[getting->next++ % BATCH];

    pthread_mutex_unlock(&getting->lock);
    work(object);
    pthread_mutex_lock(&getting->lock);
    if (--batch->left == 0)
        pthread_cond_broadcast(&getting->changed);
}

static void *run_worker(void *argument)
{
    struct getting *getting = argument;

    pthread_mutex_lock(&getting->lock);
    while (getting->next < getting->ready || !getting->ended)
        if (getting->next < getting->ready)
            take_object(getting);
        else
            pthread_cond_wait(&getting->changed, &getting->lock);
    pthread_mutex_unlock(&getting->lock);
    return NULL;
}

static void start_workers(struct getting *getting, size_t n)
{
    unsigned most = kb_s3_connections(getting->s3.client);

    if (n < 2 || getting->workers)
        return;
    getting->workers = calloc(most, sizeof *getting->workers);
    while (getting->workers && getting->worker_count < most && getting->worker_count < n &&
           pthread_create(&getting->workers[getting->worker_count], NULL, run_worker,
                          getting) == 0)
        getting->worker_count++;
}

static void end_workers(struct getting *getting)
{
    pthread_mutex_lock(&getting->lock);
    getting->ended = true;
    pthread_cond_broadcast(&getting->changed);
    pthread_mutex_unlock(&getting->lock);
    for (unsigned i = 0; i < getting->worker_count; i++)
        pthread_join(getting->workers[i], NULL);
    free(getting->workers);
}

static void await(struct getting *getting, const struct get_batch *batch)
{
    pthread_mutex_lock(&getting->lock);
    while (batch->left)
        if (!getting->worker_count)
            take_object(getting);
        else
            pthread_cond_wait(&getting->changed, &getting->lock);
    pthread_mutex_unlock(&getting->lock);
}

/* --- what is said ---------------------------------------------------------------------------- */

static enum kb_status print_json(const struct getting *getting, const struct get_object *object)
{
    const struct kb_object_result *result = &object->result;
    cJSON *json = cJSON_CreateObject();
    char hex[65];

    cli_hex(hex, (struct kb_bytes){result->sha256, sizeof result->sha256});
    cJSON_AddStringToObject(json, "bucket", getting->bucket);
    cJSON_AddStringToObject(json, "key", object->key);
    cJSON_AddStringToObject(json, "file", object->path);
    cJSON_AddNumberToObject(json, "bytes", (double)result->size);
    if (result->has_sha256)
        cJSON_AddStringToObject(json, "sha256", hex);
    if (result->key_id[0])
        cJSON_AddStringToObject(json, "vault_key", result->key_id);
    cJSON_AddStringToObject(json, "etag", result->object.etag);
    if (result->object.version[0])
        cJSON_AddStringToObject(json, "version", result->object.version);
    return cli_print_json(getting->s3.cli, json);
}

static void name_failed(struct getting *getting, const char *key, const struct kb_error *error)
{
    char *url = s3_url(getting->bucket, key);

    s3_failed(&getting->s3, url ? url : key, error);
    free(url);
}

static void clear_object(struct get_object *object)
{
    kb_outfile_abort(object->file);
    kb_object_result_free(&object->result);
    free(object->key);
    free(object->path);
    memset(object, 0, sizeof *object);
}

/* Those that came through are published together: one sync for all. */
static void publish(struct get_batch *batch)
{
    size_t n = batch->count;
    struct kb_outfile *files[BATCH] = {NULL};
    struct kb_error errors[BATCH];

    for (size_t i = 0; i < n; i++) {
        files[i] = batch->objects[i].file;
        batch->objects[i].file = NULL;
        kb_error_clear(&errors[i]);
    }
    kb_outfile_commit_all(files, n, errors);
    for (size_t i = 0; i < n; i++)
        if (batch->objects[i].error.status == KB_OK && errors[i].status != KB_OK)
            batch->objects[i].error = errors[i];
}

/* Waits until a batch was got, publishes it and makes room for the next. */
static enum kb_status settle(struct getting *getting, struct get_batch *batch)
{
    struct s3 *s3 = &getting->s3;
    size_t n = batch->count;
    enum kb_status status = KB_OK;

    await(getting, batch);
    kb_object_known_free(batch->known);
    publish(batch);
    for (size_t i = 0; i < n; i++) {
        struct get_object *object = &batch->objects[i];

        if (object->error.status != KB_OK) {
            name_failed(getting, object->key, &object->error);
        } else {
            s3->counts.good++;
            if (s3->cli->json && status == KB_OK)
                status = print_json(getting, object);
        }
        clear_object(object);
    }
    batch->count = 0;
    batch->known = NULL;
    if (status == KB_OK && s3->many && n)
        status = s3_progress(s3, n, &s3->cli->error);
    return status;
}

/* All keys at once, since the token takes its time for every call. */
static void look_up(struct getting *getting, struct get_batch *batch)
{
    struct kb_s3_name names[BATCH];

    for (size_t i = 0; i < batch->count; i++)
        names[i] = (struct kb_s3_name){.bucket = getting->bucket,
                                       .key = batch->objects[i].key,
                                       .version = getting->s3.options.version};
    batch->known = kb_objects_know(getting->s3.objects, &getting->options, names, batch->count);
}

/* Gives the workers what was gathered before they are through with the batch before it,
 * which is then settled. */
static enum kb_status hand_over(struct getting *getting)
{
    struct get_batch *batch = &getting->batches[getting->filling];

    look_up(getting, batch);
    pthread_mutex_lock(&getting->lock);
    batch->left = batch->count;
    getting->ready += batch->count;
    pthread_cond_broadcast(&getting->changed);
    pthread_mutex_unlock(&getting->lock);
    start_workers(getting, batch->count);
    getting->filling = (getting->filling + 1) % BATCHES;
    return settle(getting, &getting->batches[getting->filling]);
}

/* What is on its way, in whatever state the run is. */
static enum kb_status finish(struct getting *getting, enum kb_status status)
{
    struct get_batch *batch = &getting->batches[getting->filling];
    enum kb_status other;

    if (status == KB_OK)
        status = hand_over(getting);
    else
        while (batch->count)
            clear_object(&batch->objects[--batch->count]);
    for (unsigned i = 0; i < BATCHES; i++) {
        other = settle(getting, &getting->batches[i]);
        status = status == KB_OK ? other : status;
    }
    return status;
}

/* Takes an object for a path, which both become the batch's. */
static enum kb_status gather(struct getting *getting, char *key, char *path)
{
    struct get_batch *batch = &getting->batches[getting->filling];
    struct get_object *object = &batch->objects[batch->count];

    *object = (struct get_object){.getting = getting, .batch = batch, .key = key, .path = path};
    if (!key || (getting->s3.many && !path)) {
        clear_object(object);
        return kb_error_set(&getting->s3.cli->error, KB_ERR_MEMORY, "no memory");
    }
    return ++batch->count < BATCH ? KB_OK : hand_over(getting);
}

/* --- a tree ----------------------------------------------------------------------------------- */

/* The path below the folder, with the folders on its way; NULL when the key must
 * not be one, with the error. */
static char *make_path(const char *folder, const char *below, struct kb_error *err)
{
    char *path = NULL;

    if (s3_check_path(below, err) != KB_OK)
        return NULL;
    if (asprintf(&path, "%s/%s", folder, below) < 0) {
        kb_error_set(err, KB_ERR_MEMORY, "no memory");
        return NULL;
    }
    if (s3_make_folders(path, strlen(folder) + 1, err) != KB_OK) {
        free(path);
        return NULL;
    }
    return path;
}

struct tree {
    struct getting *getting;
    const char *folder;
    size_t prefix; /* bytes of each key that are not the path's */
};

static enum kb_status take_key(struct tree *tree, const char *key)
{
    struct kb_error error = {.status = KB_OK};
    char *path = make_path(tree->folder, key + tree->prefix, &error);

    if (path)
        return gather(tree->getting, strdup(key), path);
    name_failed(tree->getting, key, &error);
    return error.status == KB_ERR_MEMORY ? KB_ERR_MEMORY : KB_OK;
}

static enum kb_status get_tree(struct getting *getting, const char *key, const char *folder)
{
    struct s3 *s3 = &getting->s3;
    struct tree tree = {.getting = getting, .folder = folder};
    struct s3_names names = S3_NAMES_INIT;
    char *prefix = s3_prefix(key);
    enum kb_status status = prefix ? KB_OK
                                   : kb_error_set(&s3->cli->error, KB_ERR_MEMORY, "no memory");

    if (status == KB_OK && mkdir(folder, 0777) != 0 && access(folder, W_OK) != 0)
        status = kb_error_set(&s3->cli->error, KB_ERR_SYSTEM, "%s cannot be made", folder);
    if (status == KB_OK)
        status = s3_names_list(&names, s3, getting->bucket, prefix);
    if (status == KB_OK && !names.count)
        status = s3_nothing_there(s3, getting->bucket, prefix);
    tree.prefix = prefix ? strlen(prefix) : 0;
    for (size_t i = 0; status == KB_OK && i < names.count; i++) {
        const char *name = s3_names_at(&names, i);

        /* What other programs show as a folder. */
        if (name[strlen(name) - 1] == '/')
            cli_note(s3->cli, "s3://%s/%s is a folder's name: passed over", getting->bucket, name);
        else
            status = take_key(&tree, name);
        if (status == KB_OK)
            status = cli_stopped(&s3->cli->error);
    }
    status = finish(getting, status);
    s3_names_free(&names);
    free(prefix);
    if (status == KB_OK && !s3->cli->json && (s3->counts.good || !s3->counts.bad))
        cli_note(s3->cli, "%llu %s read", (unsigned long long)s3->counts.good,
                 s3->counts.good == 1 ? "object" : "objects");
    return status;
}

/* --- one -------------------------------------------------------------------------------------- */

/* FILE, FILE/NAME when that is a folder, or NAME. */
static char *single_path(const char *key, const char *given, struct kb_error *err)
{
    const char *slash = strrchr(key, '/');
    const char *base = slash ? slash + 1 : key;
    struct stat there;
    char *path = NULL;

    if (given && (stat(given, &there) != 0 || !S_ISDIR(there.st_mode))) {
        path = strdup(given);
    } else {
        if (s3_check_path(base, err) != KB_OK)
            return NULL;
        if (asprintf(&path, "%s/%s", given ? given : ".", base) < 0)
            path = NULL;
    }
    if (!path)
        kb_error_set(err, KB_ERR_MEMORY, "no memory");
    return path;
}

static enum kb_status get_single(struct getting *getting, const char *key, const char *given,
                                 bool to_file)
{
    struct kb_error *err = &getting->s3.cli->error;
    enum kb_status status;
    char *path = NULL;

    if (to_file) {
        path = single_path(key, given, err);
        if (!path)
            return err->status;
    }
    status = gather(getting, strdup(key), path);
    return finish(getting, status);
}

/* --- the verbs -------------------------------------------------------------------------------- */

static enum kb_status check(struct getting *getting, const struct kb_s3_name *name,
                            const char *given, bool to_file)
{
    const struct s3_options *o = &getting->s3.options;
    struct cli *cli = getting->s3.cli;
    const char *sentence = NULL;

    if (o->recursive && (!given || strcmp(given, "-") == 0))
        sentence = "with -r a folder is named, too";
    else if (o->recursive && (o->version || o->range))
        sentence = "--version-id and --range are for one object";
    else if (!o->recursive && !name->key)
        sentence = "an object is named, or -r given";
    else if (cli->json && !to_file)
        sentence = "the output is not printed as JSON: name a file";
    if (!sentence)
        return KB_OK;
    kb_error_set(&cli->error, KB_ERR_USAGE, "%s", sentence);
    cli_hint_help(cli);
    return KB_ERR_USAGE;
}

static enum kb_status run(struct getting *getting, const char *url, const char *given, bool cat)
{
    struct s3 *s3 = &getting->s3;
    char bucket[KB_S3_BUCKET_MAX + 1];
    struct kb_s3_name name;
    bool to_file = !cat && !(given && strcmp(given, "-") == 0);
    enum kb_status status = s3_argument(s3, url, false, bucket, &name);

    if (status == KB_OK)
        status = check(getting, &name, given, to_file);
    if (status == KB_OK)
        status = s3_get_options(s3, &getting->options);
    s3->streams = !to_file || (given && s3_is_stream(given));
    if (status == KB_OK)
        status = s3_open(s3, S3_NEEDS_TO_READ);
    if (status == KB_OK)
        status = s3_get_options(s3, &getting->options);
    if (status != KB_OK)
        return status;
    getting->bucket = bucket;
    s3->many = s3->options.recursive;
    s3->replaces = true;
    getting->rule = !s3->options.yes ? KB_OUTFILE_NEW
                    : s3->many       ? KB_OUTFILE_NO_LINK
                                     : KB_OUTFILE_REPLACE;
    cli_progress_start(&s3->progress, s3->cli, s3->many ? "objects read" : "MiB read");
    status = s3->many ? get_tree(getting, name.key ? name.key : "", given)
                      : get_single(getting, name.key, given, to_file);
    cli_progress_end(&s3->progress);
    return status == KB_OK ? s3_status(s3) : status;
}

static enum kb_status run_verb(struct cli *cli, int argc, char **argv, bool cat)
{
    struct getting *getting = calloc(1, sizeof *getting);
    struct s3_options *o;
    enum kb_status status;
    int count;

    if (!getting)
        return kb_error_set(&cli->error, KB_ERR_MEMORY, "no memory");
    pthread_mutex_init(&getting->lock, NULL);
    pthread_cond_init(&getting->changed, NULL);
    getting->s3.cli = cli;
    o = &getting->s3.options;
    const struct cli_option range = {"range", 0, CLI_TEXT, &o->range};
    const struct cli_option end = {NULL, 0, CLI_FLAG, NULL};
    const struct cli_option table[] = {
        S3_REMOTE_OPTIONS(*o),
        S3_READING_OPTIONS(*o),
        {"raw", 0, CLI_FLAG, &o->raw},
        {"part-size", 0, CLI_TEXT, &o->part_size},
        cat ? range : (struct cli_option){"yes", 'y', CLI_FLAG, &o->yes},
        cat ? end : (struct cli_option){"recursive", 'r', CLI_FLAG, &o->recursive},
        end,
    };
    status = cli_parse(cli, argc, argv, table, 1, cat ? 1 : 2, &count);
    if (status == KB_OK)
        status = run(getting, argv[0], count > 1 ? argv[1] : NULL, cat);
    end_workers(getting);
    s3_clear(&getting->s3);
    pthread_cond_destroy(&getting->changed);
    pthread_mutex_destroy(&getting->lock);
    free(getting);
    return status;
}

enum kb_status s3_run_get(struct cli *cli, int argc, char **argv)
{
    return run_verb(cli, argc, argv, false);
}

enum kb_status s3_run_cat(struct cli *cli, int argc, char **argv)
{
    return run_verb(cli, argc, argv, true);
}
