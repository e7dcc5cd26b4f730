/* SPDX-License-Identifier: Apache-2.0
 *
 * keybridge s3 put: files, a stream or trees become objects.
 */
#include "cli/claims.h"
#include "cli/s3.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    MEBIBYTE = 1024 * 1024,
    PART_MEBIBYTES = 8, /* what goes up in parts has more */
};

struct put;

/* A file on its way. */
struct put_file {
    struct put *put;
    char *path; /* owned; NULL: standard input */
    char *key;  /* owned */
    char *identity; /* owned; with --resume */
    int fd;
    int quit; /* for cli_await; -1: it is a file, which nobody waits for */
    bool no_follow;
    uint64_t told; /* bytes that the progress knows of */
};

struct put {
    struct s3 s3;
    const char *bucket;
    char *prefix; /* "" or what ends with a slash, when there are several */
    struct kb_object_put options;
    struct put_file files[KB_VAULT_BATCH_MAX];
    struct kb_object_job jobs[KB_VAULT_BATCH_MAX];
    size_t count;
    bool claiming; /* files only lay claim to their objects' names */
    void *claims;
};

/* --- one file --------------------------------------------------------------------------- */

static enum kb_status read_file(void *ctx, uint8_t *out, size_t room, size_t *size,
                                struct kb_error *err)
{
    const struct put_file *file = ctx;
    enum kb_status status = KB_OK;
    ssize_t got = -1;

    while (status == KB_OK && got < 0) {
        status = cli_await(file->fd, &file->quit, err);
        got = status == KB_OK ? read(file->fd, out, room) : 0;
        if (got < 0 && errno != EINTR)
            status = kb_error_errno(err, KB_ERR_SYSTEM, errno, "it cannot be read");
    }
    *size = got > 0 ? (size_t)got : 0;
    return status;
}

static void cancel_read(void *ctx)
{
    const struct put_file *file = ctx;

    cli_quit(file->quit);
}

/* Parts that are too long for memory are read so, by several threads. */
static enum kb_status read_file_at(void *ctx, uint64_t offset, uint8_t *out, size_t room,
                                   size_t *got, struct kb_error *err)
{
    const struct put_file *file = ctx;
    enum kb_status status = cli_stopped(err);
    ssize_t size = -1;

    while (status == KB_OK && size < 0) {
        size = pread(file->fd, out, room, (off_t)offset);
        if (size < 0 && errno != EINTR)
            status = kb_error_errno(err, KB_ERR_SYSTEM, errno, "it cannot be read");
    }
    *got = size > 0 ? (size_t)size : 0;
    return status;
}

/* A file that changes under the upload must not be taken for the one before. */
static enum kb_status identify(struct put_file *file, const struct stat *there,
                               struct kb_error *err)
{
    char *whole = file->path ? realpath(file->path, NULL) : NULL;
    int made;

    if (!whole || !S_ISREG(there->st_mode)) {
        free(whole);
        return kb_error_set(err, KB_ERR_USAGE, "only the upload of a file can be resumed");
    }
    made = asprintf(&file->identity, "%s %llu %lld.%09ld %llu:%llu", whole,
                    (unsigned long long)there->st_size, (long long)there->st_mtim.tv_sec,
                    there->st_mtim.tv_nsec, (unsigned long long)there->st_dev,
                    (unsigned long long)there->st_ino);
    free(whole);
    if (made >= 0)
        return KB_OK;
    file->identity = NULL;
    return kb_error_set(err, KB_ERR_MEMORY, "no memory");
}

static enum kb_status check_kind(const struct put_file *file, const struct stat *there,
                                 struct kb_error *err)
{
    if (S_ISDIR(there->st_mode)) {
        kb_error_set(err, KB_ERR_USAGE, "it is a folder");
        kb_error_hint(err, "-r takes the files in it");
        return KB_ERR_USAGE;
    }
    if (file->put->s3.many && !S_ISREG(there->st_mode))
        return kb_error_set(err, KB_ERR_USAGE, "it is no file");
    return KB_OK;
}

static enum kb_status refuse_to_open(struct kb_error *err)
{
    return kb_error_errno(err, errno == ENOENT ? KB_ERR_NOT_FOUND : KB_ERR_SYSTEM, errno,
                          "it cannot be opened");
}

static enum kb_status open_descriptor(struct put_file *file, struct stat *there,
                                      struct kb_error *err)
{
    int flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | (file->put->s3.many ? O_NONBLOCK : 0) |
                (file->no_follow ? O_NOFOLLOW : 0);

    file->fd = file->path ? open(file->path, flags) : STDIN_FILENO;
    if (file->fd < 0 || fstat(file->fd, there) != 0)
        return refuse_to_open(err);
    return check_kind(file, there, err);
}

static void close_file(void *ctx)
{
    struct put_file *file = ctx;

    if (file->path && file->fd >= 0)
        close(file->fd);
    if (file->quit >= 0)
        close(file->quit);
    file->fd = file->quit = -1;
}

static enum kb_status open_file(void *ctx, struct kb_s3_source *source, struct kb_error *err)
{
    struct put_file *file = ctx;
    struct stat there = {0};
    enum kb_status status = cli_stopped(err);

    file->quit = -1;
    if (status == KB_OK)
        status = open_descriptor(file, &there, err);
    if (status == KB_OK && !S_ISREG(there.st_mode))
        status = cli_quit_open(&file->quit, err);
    if (status != KB_OK) {
        close_file(file);
        return status;
    }
    file->told = 0;
    *source = (struct kb_s3_source){.read = read_file, .ctx = file, .size = KB_S3_SIZE_UNKNOWN};
    if (S_ISREG(there.st_mode)) {
        source->size = (uint64_t)there.st_size;
        /* Standard input may be in the midst of a file. */
        source->read_at = file->path ? read_file_at : NULL;
    } else {
        source->cancel = cancel_read;
    }
    return KB_OK;
}

static enum kb_status tell_progress(void *ctx, uint64_t done, struct kb_error *err)
{
    struct put_file *file = ctx;
    struct s3 *s3 = &file->put->s3;
    uint64_t more = done / MEBIBYTE - file->told;

    if (s3->many)
        return cli_stopped(err);
    file->told += more;
    s3->progress.done = done;
    return s3_progress(s3, more, err);
}

static void clear_file(struct put_file *file)
{
    free(file->path);
    free(file->key);
    free(file->identity);
    memset(file, 0, sizeof *file);
}

/* --- what is said ------------------------------------------------------------------------- */

/* Where none was asked for, that of the bucket's default. */
static const char *encryption_of(const struct put *put, const struct kb_object_result *result)
{
    enum kb_object_encryption encryption = put->options.encryption;

    if (encryption == KB_OBJECT_NONE && result->object.sse == KB_S3_SSE_S3)
        encryption = KB_OBJECT_SSE_S3;
    else if (encryption == KB_OBJECT_NONE && result->object.sse != KB_S3_SSE_NONE)
        encryption = KB_OBJECT_SSE_KMS;
    return kb_object_encryption_format(encryption);
}

static enum kb_status print_json(struct put *put, const struct put_file *file,
                                 const struct kb_object_result *result)
{
    cJSON *json = cJSON_CreateObject();
    char hex[65];

    cli_hex(hex, (struct kb_bytes){result->sha256, sizeof result->sha256});
    cJSON_AddStringToObject(json, "bucket", put->bucket);
    cJSON_AddStringToObject(json, "key", file->key);
    if (file->path)
        cJSON_AddStringToObject(json, "file", file->path);
    cJSON_AddNumberToObject(json, "bytes", (double)result->size);
    cJSON_AddStringToObject(json, "sha256", hex);
    cJSON_AddStringToObject(json, "encryption", encryption_of(put, result));
    if (result->key_id[0])
        cJSON_AddStringToObject(json, "vault_key", result->key_id);
    if (result->object.kms_key[0])
        cJSON_AddStringToObject(json, "kms_key", result->object.kms_key);
    cJSON_AddStringToObject(json, "etag", result->object.etag);
    if (result->object.version[0])
        cJSON_AddStringToObject(json, "version", result->object.version);
    cJSON_AddNumberToObject(json, "parts", result->parts);
    cJSON_AddNumberToObject(json, "parts_kept", result->parts_kept);
    return cli_print_json(put->s3.cli, json);
}

static enum kb_status tell_stored(struct put *put, const struct put_file *file,
                                  const struct kb_object_result *result)
{
    struct cli *cli = put->s3.cli;
    char kept[64] = "";

    put->s3.counts.good++;
    if (cli->json)
        return print_json(put, file, result);
    if (put->s3.many)
        return KB_OK;
    if (result->parts_kept)
        snprintf(kept, sizeof kept, ", %u of %u parts were there", result->parts_kept,
                 result->parts);
    cli_note(cli, "s3://%s/%s: %llu bytes, %s%s%s%s", put->bucket, file->key,
             (unsigned long long)result->size, encryption_of(put, result),
             result->key_id[0] ? ", key " : "", result->key_id, kept);
    return KB_OK;
}

/* --- a batch -------------------------------------------------------------------------------- */

/* What ends the run is not the fault of one file. */
static bool ends_run(enum kb_status status)
{
    return status == KB_ERR_TOKEN || status == KB_ERR_PIN || status == KB_ERR_MEMORY;
}

/* An upload that broke off. */
static void hint_resume(const struct put *put, const struct put_file *file, struct kb_error *error)
{
    if (error->hint[0] || (error->status != KB_ERR_SYSTEM && error->status != KB_ERR_REMOTE))
        return;
    if (file->identity)
        kb_error_hint(error, "the same command goes on with the upload");
    else if (file->path && !put->s3.options.resume && file->told >= PART_MEBIBYTES)
        kb_error_hint(error, "an upload that is begun with --resume can be gone on with");
}

static enum kb_status finish_file(struct put *put, size_t at)
{
    struct kb_object_job *job = &put->jobs[at];
    struct put_file *file = &put->files[at];
    enum kb_status status = KB_OK;

    if (job->status == KB_OK) {
        status = tell_stored(put, file, &job->result);
    } else if (ends_run(job->status) && put->s3.many) {
        put->s3.cli->error = job->error;
        status = job->status;
    } else {
        hint_resume(put, file, &job->error);
        s3_failed(&put->s3, file->path ? file->path : "standard input", &job->error);
    }
    kb_object_result_free(&job->result);
    return status;
}

static enum kb_status flush(struct put *put)
{
    struct cli *cli = put->s3.cli;
    size_t n = put->count;
    enum kb_status status = KB_OK, finished = KB_OK;

    put->count = 0;
    if (n)
        status = kb_object_put_many(put->s3.objects, put->jobs, n, &cli->error);
    for (size_t i = 0; i < n; i++) {
        if (status == KB_OK && finished == KB_OK)
            finished = finish_file(put, i);
        else
            kb_object_result_free(&put->jobs[i].result);
        clear_file(&put->files[i]);
    }
    if (put->s3.many && status == KB_OK && finished == KB_OK)
        status = s3_progress(&put->s3, n, &cli->error);
    return status == KB_OK ? finished : status;
}

/* What is wrong with a file that the user named is said before a key is made for it. */
static void check_file(struct put_file *file, struct kb_error *err)
{
    struct stat there = {0};
    bool found = !file->path || stat(file->path, &there) == 0;
    enum kb_status status = KB_OK;

    if (file->path && !file->no_follow)
        status = found ? check_kind(file, &there, err) : refuse_to_open(err);
    if (status == KB_OK && !kb_utf8_valid(kb_bytes_text(file->key)))
        status = kb_error_set(err, KB_ERR_USAGE, "its name is not UTF-8: no object can have it");
    if (status == KB_OK && found && file->put->s3.options.resume)
        (void)!identify(file, &there, err);
}

/* One of two objects of a name would be lost, and which one is up to the server. */
static enum kb_status claim(struct put *put, const char *path, char *key)
{
    static const char *const suffixes[] = {"", KB_S3EC_INSTRUCTION_SUFFIX};
    struct kb_error *err = &put->s3.cli->error;
    enum kb_status status = KB_OK;

    for (int i = 0; status == KB_OK && i <= put->s3.options.instruction_file; i++) {
        char *name = NULL;

        if (key && asprintf(&name, "s3://%s/%s%s", put->bucket, key, suffixes[i]) < 0)
            name = NULL;
        status = name ? cli_claim(&put->claims, name, path, name, err)
                      : kb_error_set(err, KB_ERR_MEMORY, "no memory");
        free(name);
    }
    if (status == KB_ERR_USAGE && put->s3.options.instruction_file)
        kb_error_hint(err, "an instruction file is called as its object, with "
                           "\"" KB_S3EC_INSTRUCTION_SUFFIX "\" behind it");
    free(key);
    return status;
}

/* Takes a file (NULL: standard input) for the key, which becomes the batch's. */
static enum kb_status gather(struct put *put, const char *path, char *key, bool no_follow)
{
    struct put_file *file = &put->files[put->count];
    struct kb_object_job *job = &put->jobs[put->count];
    struct kb_error *err = &put->s3.cli->error;
    struct kb_error error = {.status = KB_OK};

    if (put->claiming)
        return claim(put, path, key);
    *file = (struct put_file){.put = put, .key = key, .fd = -1, .no_follow = no_follow};
    file->path = path ? strdup(path) : NULL;
    if (!key || (path && !file->path)) {
        clear_file(file);
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    }
    check_file(file, &error);
    if (error.status != KB_OK) {
        s3_failed(&put->s3, path ? path : "standard input", &error);
        clear_file(file);
        return KB_OK;
    }
    *job = (struct kb_object_job){.name = {.bucket = put->bucket, .key = file->key},
                                  .put = put->options,
                                  .open = open_file,
                                  .close = close_file,
                                  .ctx = file};
    job->put.source_identity = file->identity;
    job->put.upload.progress = tell_progress;
    job->put.upload.ctx = file;
    return ++put->count < KB_VAULT_BATCH_MAX ? KB_OK : flush(put);
}

/* --- trees ------------------------------------------------------------------------------------ */

static char *join(const char *prefix, const char *name)
{
    char *key = NULL;

    return asprintf(&key, "%s%s", prefix, name) < 0 ? NULL : key;
}

static enum kb_status take_entry(struct put *put, const char *root, const FTSENT *entry)
{
    const char *below = entry->fts_path + strlen(root);
    struct kb_error error = {.status = KB_OK};

    if (put->claiming && entry->fts_info != FTS_F)
        return KB_OK;
    switch (entry->fts_info) {
    case FTS_D:
    case FTS_DP:
        return KB_OK;
    case FTS_F:
        below += strspn(below, "/");
        return gather(put, entry->fts_path,
                      join(put->prefix, entry->fts_level ? below : entry->fts_name), true);
    case FTS_DNR:
    case FTS_ERR:
    case FTS_NS:
        kb_error_errno(&error, entry->fts_errno == ENOENT ? KB_ERR_NOT_FOUND : KB_ERR_SYSTEM,
                       entry->fts_errno, "it cannot be read");
        s3_failed(&put->s3, entry->fts_path, &error);
        return KB_OK;
    default:
        cli_note(put->s3.cli, "%s is no file: passed over", entry->fts_path);
        return KB_OK;
    }
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

static enum kb_status walk(struct put *put, char *root)
{
    FTS *fts = fts_open((char *[]){root, NULL}, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR,
                        by_name);
    struct kb_error *err = &put->s3.cli->error;
    enum kb_status status = KB_OK;
    const FTSENT *entry;

    if (!fts)
        return kb_error_errno(err, KB_ERR_SYSTEM, errno, "%s", root);
    errno = 0;
    while (status == KB_OK && (entry = fts_read(fts))) {
        status = take_entry(put, root, entry);
        if (status == KB_OK)
            status = cli_stopped(err);
        errno = 0;
    }
    if (status == KB_OK && errno)
        status = kb_error_errno(err, KB_ERR_SYSTEM, errno, "%s", root);
    fts_close(fts);
    return status;
}

/* --- the verb --------------------------------------------------------------------------------- */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

static bool ends_with_slash(const char *text)
{
    size_t size = strlen(text);

    return size && text[size - 1] == '/';
}

static enum kb_status check_arguments(struct put *put, char **paths, int count, const char *key)
{
    bool many = put->s3.many;
    const char *sentence = NULL;

    for (int i = 0; i < count; i++) {
        if (!*paths[i])
            sentence = "the name of a file is empty; '-' is standard input";
        else if (strcmp(paths[i], "-") == 0 && (many || !*key || ends_with_slash(key)))
            sentence = "'-' stands alone, and its object needs a whole name";
        else if (!put->s3.options.recursive && !*base_name(paths[i]))
            sentence = "a folder is taken with -r";
    }
    if (many && *key && !ends_with_slash(key) && !put->s3.options.recursive)
        sentence = "several files go below a prefix that ends with a slash";
    if (!sentence)
        return KB_OK;
    kb_error_set(&put->s3.cli->error, KB_ERR_USAGE, "%s", sentence);
    cli_hint_help(put->s3.cli);
    return KB_ERR_USAGE;
}

static enum kb_status gather_all(struct put *put, char **paths, int count, const char *key)
{
    bool whole = *key && !ends_with_slash(key);
    enum kb_status status = KB_OK;
    struct stat there;

    if (!put->s3.many && strcmp(paths[0], "-") == 0)
        return gather(put, NULL, strdup(key), false);
    if (!put->s3.many && stat(paths[0], &there) == 0 && S_ISREG(there.st_mode))
        put->s3.progress.total = (uint64_t)there.st_size;
    for (int i = 0; status == KB_OK && i < count; i++) {
        if (put->s3.options.recursive)
            status = walk(put, paths[i]);
        else
            status = gather(put, paths[i],
                            whole ? strdup(key) : join(put->prefix, base_name(paths[i])), false);
    }
    return status;
}

/* Before anything is sent. A single tree has a name twice only with instruction files. */
static enum kb_status check_names(struct put *put, char **paths, int count, const char *key)
{
    enum kb_status status;

    if (count < 2 && !put->s3.options.instruction_file)
        return KB_OK;
    put->claiming = true;
    status = gather_all(put, paths, count, key);
    put->claiming = false;
    cli_claims_free(&put->claims);
    return status;
}

static enum kb_status put_all(struct put *put, char **paths, int count, const char *key)
{
    struct s3 *s3 = &put->s3;
    enum kb_status status;

    cli_progress_start(&s3->progress, s3->cli, s3->many ? "objects stored" : "MiB stored");
    status = gather_all(put, paths, count, key);
    if (status == KB_OK)
        status = flush(put);
    for (size_t i = 0; i < put->count; i++)
        clear_file(&put->files[i]);
    cli_progress_end(&s3->progress);
    if (status != KB_OK)
        return status;
    if (s3->many && !s3->cli->json && (s3->counts.good || !s3->counts.bad))
        cli_note(s3->cli, "%llu %s stored", (unsigned long long)s3->counts.good,
                 s3->counts.good == 1 ? "object" : "objects");
    return s3_status(s3);
}

static enum kb_status run(struct put *put, int count, char **argv)
{
    struct s3 *s3 = &put->s3;
    char bucket[KB_S3_BUCKET_MAX + 1];
    struct kb_s3_name name;
    enum kb_status status = s3_argument(s3, argv[count - 1], false, bucket, &name);
    const char *key = status == KB_OK && name.key ? name.key : "";

    if (status != KB_OK)
        return status;
    s3->many = count > 2 || s3->options.recursive;
    put->bucket = bucket;
    put->prefix = join(key, s3->options.recursive && *key && !ends_with_slash(key) ? "/" : "");
    if (!put->prefix)
        return kb_error_set(&s3->cli->error, KB_ERR_MEMORY, "no memory");
    status = check_arguments(put, argv, count - 1, key);
    if (status == KB_OK)
        status = check_names(put, argv, count - 1, key);
    if (status == KB_OK)
        status = s3_open(s3, S3_NEEDS_TO_WRITE);
    if (status == KB_OK)
        status = s3_put_options(s3, &put->options);
    return status == KB_OK ? put_all(put, argv, count - 1, key) : status;
}

enum kb_status s3_run_put(struct cli *cli, int argc, char **argv)
{
    struct put *put = calloc(1, sizeof *put);
    enum kb_status status;
    int count;

    if (!put)
        return kb_error_set(&cli->error, KB_ERR_MEMORY, "no memory");
    put->s3.cli = cli;
    const struct cli_option table[] = {
        S3_REMOTE_OPTIONS(put->s3.options),
        S3_WRITING_OPTIONS(put->s3.options),
        {"resume", 0, CLI_FLAG, &put->s3.options.resume},
        {"sign-payload", 0, CLI_FLAG, &put->s3.options.sign_payload},
        {"if-none-match", 0, CLI_FLAG, &put->s3.options.new_only},
        {"recursive", 'r', CLI_FLAG, &put->s3.options.recursive},
        {NULL, 0, CLI_FLAG, NULL},
    };
    status = cli_parse(cli, argc, argv, table, 2, INT_MAX, &count);
    if (status == KB_OK)
        status = run(put, count, argv);
    s3_clear(&put->s3);
    free(put->prefix);
    free(put);
    return status;
}
