/* SPDX-License-Identifier: Apache-2.0
 *
 * keybridge s3: its verbs, and what they open.
 */
#include "cli/s3.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* --- what is opened ------------------------------------------------------------------ */

static enum kb_status open_client(struct s3 *s3)
{
    static const char *const names[] = {"auto", "path", "virtual"};
    struct kb_s3_options options = {.style = KB_S3_STYLE_AUTO};
    struct cli *cli = s3->cli;
    enum kb_status status = KB_OK;
    const char *style;
    unsigned i = 0;

    if (s3->options.style)
        status = kb_config_set(cli->config, KB_SETTING_S3_STYLE, s3->options.style, &cli->error);
    style = kb_config_get(cli->config, KB_SETTING_S3_STYLE);
    while (style && i < 3 && strcmp(names[i], style) != 0)
        i++;
    if (status == KB_OK && style && i == 3)
        status = kb_error_set(&cli->error, KB_ERR_USAGE,
                              "--style is auto, path or virtual, not '%s'", style);
    if (status == KB_OK)
        status = cli_remote_resolve(cli, &s3->options.remote, &options.aws);
    options.style = style ? (enum kb_s3_style)i : KB_S3_STYLE_AUTO;
    return status == KB_OK ? kb_s3_open(&s3->client, &options, &cli->error) : status;
}

static enum kb_status open_session(struct s3 *s3)
{
    return s3->session.keystore ? KB_OK : cli_session_open(&s3->session, s3->cli);
}

static enum kb_status open_vault(struct s3 *s3, bool create)
{
    struct cli *cli = s3->cli;
    struct kb_vault_options options = {.path = kb_config_vault(cli->config),
                                       .create = create,
                                       .only_first = true};
    struct stat there;
    enum kb_status status;

    if (!create && stat(options.path, &there) != 0)
        return KB_OK;
    status = open_session(s3);
    /* Between the counter of a new vault and its file no signal may come; behind the
     * session, since a PIN may be asked for. */
    if (status == KB_OK && create)
        status = cli_stop_catch(&cli->error);
    if (status == KB_OK)
        status = kb_vault_open(&s3->vault, s3->session.keystore, &options, &cli->error);
    return status;
}

static enum kb_status open_esdk(struct s3 *s3, enum kb_commitment policy, struct kb_error *err)
{
    const struct kb_raw_keyring_options options = {.key = s3->options.key,
                                                   .key_namespace = kb_bytes_text("keybridge"),
                                                   .key_name = kb_bytes_text(s3->options.key)};
    struct kb_esdk_options esdk = {.policy = policy};
    struct kb_keyring *keyring = NULL;
    enum kb_status status = kb_config_workers(s3->cli->config, &esdk.workers, err);

    /* Messages are written with commitment whatever the S3 client's format is. */
    if (s3->options.client_format)
        esdk.policy = KB_COMMITMENT_REQUIRE_ALLOW;
    if (status == KB_OK)
        status = kb_keyring_raw(&keyring, s3->session.keystore, &options, err);
    if (status == KB_OK)
        status = kb_esdk_new(&s3->esdk, keyring, &esdk, err);
    kb_keyring_release(keyring);
    return status;
}

/* With --key both formats of the client's side can be opened; a key that only
 * fits one of them is for that one. */
static enum kb_status open_formats(struct s3 *s3, bool client, bool envelope)
{
    struct kb_s3ec_options options = {.key = s3->options.key,
                                      .legacy_wrapping = s3->options.legacy_wrapping,
                                      .legacy_unauthenticated = s3->options.legacy_unauthenticated};
    struct kb_error error = {.status = KB_OK}, other = {.status = KB_OK};
    enum kb_status status, opened = KB_ERR_NOT_FOUND;

    if (s3->options.client_format && strcmp(s3->options.client_format, "v2") == 0)
        options.policy = KB_COMMITMENT_FORBID_ALLOW;
    status = cli_commitment(s3->cli, s3->options.policy, &options.policy);
    if (status == KB_OK)
        status = open_session(s3);
    if (status != KB_OK)
        return status;
    if (client)
        opened = kb_s3ec_new(&s3->s3ec, s3->session.keystore, &options, &error);
    status = opened;
    if (envelope)
        status = open_esdk(s3, options.policy, client ? &other : &error);
    if (status == KB_OK || opened == KB_OK)
        return KB_OK;
    s3->cli->error = error;
    return error.status;
}

static bool wants_vault_key(const struct s3 *s3)
{
    return s3->encryption == KB_OBJECT_SSE_C || s3->options.with_sse_c;
}

static enum kb_status open_keys(struct s3 *s3, unsigned needs)
{
    bool writes = needs & S3_NEEDS_TO_WRITE, reads = needs & S3_NEEDS_TO_READ;
    bool create = writes && wants_vault_key(s3);
    enum kb_status status = KB_OK;

    if (create && !kb_s3_is_secure(s3->client)) {
        kb_error_set(&s3->cli->error, KB_ERR_USAGE,
                     "customer keys (SSE-C) are not sent over http");
        kb_error_hint(&s3->cli->error, "--endpoint-url https://…, with --ca-file for an "
                                       "authority of your own");
        return KB_ERR_USAGE;
    }
    if (writes || reads)
        status = open_vault(s3, create || (writes && s3->options.resume));
    if (status == KB_OK && s3->options.key)
        status = open_formats(s3, reads || s3->encryption == KB_OBJECT_CLIENT,
                              reads || s3->encryption == KB_OBJECT_CLIENT_ENVELOPE);
    return status;
}

enum kb_status s3_open(struct s3 *s3, unsigned needs)
{
    struct kb_objects_options options = {.s3 = NULL};
    enum kb_status status;

    pthread_mutex_init(&s3->lock, NULL);
    s3->open = true;
    status = s3_check_options(s3, needs);
    if (status == KB_OK)
        status = open_client(s3);
    if (status == KB_OK)
        status = open_keys(s3, needs);
    if (status == KB_OK && !s3->streams)
        status = cli_stop_catch(&s3->cli->error);
    if (status == KB_ERR_USAGE)
        cli_hint_help(s3->cli);
    if (status != KB_OK)
        return status;
    options = (struct kb_objects_options){
        .s3 = s3->client, .vault = s3->vault, .s3ec = s3->s3ec, .esdk = s3->esdk};
    return kb_objects_open(&s3->objects, &options, &s3->cli->error);
}

void s3_clear(struct s3 *s3)
{
    struct s3_options *options = &s3->options;

    kb_objects_close(s3->objects);
    kb_esdk_release(s3->esdk);
    kb_s3ec_release(s3->s3ec);
    kb_vault_close(s3->vault);
    kb_s3_close(s3->client);
    cli_session_close(&s3->session);
    kb_buffer_free(&s3->tags);
    free(s3->metadata);
    free(s3->description);
    free(s3->context);
    free(s3->kms_context);
    cli_list_free(&options->description);
    cli_list_free(&options->context);
    cli_list_free(&options->kms_context);
    cli_list_free(&options->metadata);
    cli_list_free(&options->tags);
    if (s3->open)
        pthread_mutex_destroy(&s3->lock);
    memset(s3, 0, sizeof *s3);
}

bool s3_is_stream(const char *path)
{
    struct stat there;

    return stat(path, &there) == 0 && !S_ISREG(there.st_mode) && !S_ISDIR(there.st_mode);
}

enum kb_status s3_open_scratch(int *out, struct kb_error *err)
{
    const char *folder = getenv("TMPDIR");

    folder = folder && *folder ? folder : "/tmp";
    *out = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (*out >= 0)
        return KB_OK;
    kb_error_set(err, KB_ERR_SYSTEM, "no scratch file can be made in %s", folder);
    kb_error_hint(err, "TMPDIR names another folder, or keybridge s3 get writes to a file");
    return KB_ERR_SYSTEM;
}

/* --- many objects -------------------------------------------------------------------------- */

/* The error as the command's, with the name in front unless it says it itself. */
static void take_error(struct kb_error *only, const char *name, const struct kb_error *error)
{
    const char *text = kb_error_text(error);
    bool named = strstr(text, name) != NULL;

    kb_error_clear(only);
    kb_error_set(only, error->status, "%s%s%s", named ? "" : name, named ? "" : ": ", text);
    kb_error_hint(only, "%s", error->hint);
    only->detail_kind = error->detail_kind;
    only->detail = error->detail;
}

void s3_failed(struct s3 *s3, const char *name, const struct kb_error *error)
{
    struct kb_error said;
    struct kb_error bad = *error;

    if (bad.status == KB_ERR_EXISTS && s3->replaces)
        kb_error_hint(&bad, "--yes replaces it");
    pthread_mutex_lock(&s3->lock);
    if (s3->counts.bad++ == 0)
        s3->failure = bad.status;
    if (kb_status_exit(s3->failure) != kb_status_exit(bad.status))
        s3->failure = KB_ERR_INPUT;
    cli_progress_end(&s3->progress);
    take_error(&said, name, &bad);
    if (!s3->many) {
        s3->cli->error = said;
    } else {
        cli_say("%s", kb_error_text(&said));
        if (bad.hint[0] && strcmp(bad.hint, s3->hint) != 0) {
            cli_say("hint: %s", bad.hint);
            memcpy(s3->hint, bad.hint, sizeof s3->hint);
        }
    }
    pthread_mutex_unlock(&s3->lock);
}

enum kb_status s3_status(struct s3 *s3)
{
    if (!s3->counts.bad || !s3->many)
        return s3->failure;
    return cli_counts_status(s3->cli, &s3->counts, "object") == KB_ERR_PARTIAL ? KB_ERR_PARTIAL
                                                                               : s3->failure;
}

enum kb_status s3_progress(struct s3 *s3, uint64_t count, struct kb_error *err)
{
    pthread_mutex_lock(&s3->lock);
    cli_progress_add(&s3->progress, count);
    pthread_mutex_unlock(&s3->lock);
    return cli_stopped(err);
}

struct sharing {
    size_t n, next;
    pthread_mutex_t lock;
    void (*work)(void *ctx, size_t at);
    void *ctx;
};

static void *share(void *argument)
{
    struct sharing *sharing = argument;
    size_t at;

    do {
        pthread_mutex_lock(&sharing->lock);
        at = sharing->next++;
        pthread_mutex_unlock(&sharing->lock);
        if (at < sharing->n)
            sharing->work(sharing->ctx, at);
    } while (at < sharing->n);
    return NULL;
}

void s3_each(struct s3 *s3, size_t n, void (*work)(void *ctx, size_t at), void *ctx)
{
    struct sharing sharing = {.n = n, .work = work, .ctx = ctx};
    unsigned most = kb_s3_connections(s3->client), started = 0;
    pthread_t *threads = calloc(most + 1U, sizeof *threads);

    pthread_mutex_init(&sharing.lock, NULL);
    while (threads && started + 1 < most && started + 1 < n &&
           pthread_create(&threads[started], NULL, share, &sharing) == 0)
        started++;
    (void)share(&sharing);
    for (unsigned i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    pthread_mutex_destroy(&sharing.lock);
    free(threads);
}

#define REMOTE_SYNOPSIS                                                                            \
    "    [--endpoint-url URL] [--region R] [--profile P] [--ca-file FILE] [--connections N]\n"     \
    "    [--style auto|path|virtual]"
#define OPENING_SYNOPSIS                                                                           \
    "    [--policy require-require|require-allow|forbid-allow] [--legacy-wrapping]\n"              \
    "    [--legacy-unauthenticated]"
#define READING_SYNOPSIS                                                                           \
    "    [--vault-key KEY | --try-all-keys] [--key NAME] [-c NAME=VALUE]...\n"                     \
    OPENING_SYNOPSIS " [--version-id ID]\n"
#define COPYING_SYNOPSIS                                                                           \
    "    [--encryption sse-c|sse-s3|sse-kms|none] [--key-per object|prefix] [--kms-key ID]\n"      \
    "    [--kms-context NAME=VALUE]... [--bucket-key] [--to-key NAME] [--part-size N]\n"           \
    "    [--stream]\n"

/* --- verbs ------------------------------------------------------------------------------------ */

const struct cli_verb cli_s3_verbs[] = {
    {"s3", "put",
     "FILE|- s3://BUCKET/KEY, or [-r] FILE... s3://BUCKET/PREFIX/\n"
     "    [--encryption sse-c|client|client-envelope|sse-s3|sse-kms|none]\n"
     "    [--vault-key KEY | --key-per object|prefix] [--key NAME] [--sse-c]\n"
     "    [--client-format v2|v3] [--instruction-file] [--description NAME=VALUE]...\n"
     "    [-c NAME=VALUE]... [--kms-key ID] [--kms-context NAME=VALUE]... [--bucket-key]\n"
     "    [-m NAME=VALUE]... [--tag NAME=VALUE]... [--content-type T] [--storage-class S]\n"
     "    [--part-size N] [--resume] [--sign-payload] [--if-none-match]\n" REMOTE_SYNOPSIS,
     "stores files under keys you hold", s3_run_put},
    {"s3", "get", 
     "s3://BUCKET/KEY [FILE], or -r s3://BUCKET/PREFIX/ FOLDER\n"
     "    [--yes] [--raw]\n" READING_SYNOPSIS REMOTE_SYNOPSIS,
     "gets objects, verified", s3_run_get},
    {"s3", "cat", 
     "s3://BUCKET/KEY [--range FIRST-[LAST]] [--raw]\n" READING_SYNOPSIS REMOTE_SYNOPSIS,
     "writes an object to standard output", s3_run_cat},
    {"s3", "head", "s3://BUCKET/KEY\n" READING_SYNOPSIS REMOTE_SYNOPSIS,
     "says how an object is protected, by which key, and where that lives", s3_run_head},
    {"s3", "ls", "[-r] [--versions] [s3://BUCKET[/PREFIX]]\n" REMOTE_SYNOPSIS,
     "lists buckets or objects", s3_run_ls},
    {"s3", "rm", 
     "[-r] [--versions] [--version-id ID] [--yes] s3://BUCKET/KEY...\n" REMOTE_SYNOPSIS,
     "deletes objects; keys stay in the vault", s3_run_rm},
    {"s3", "mb", "[--versioning] [--lock] s3://BUCKET\n" REMOTE_SYNOPSIS, "makes a bucket",
     s3_run_mb},
    {"s3", "cp", 
     "[-r] s3://BUCKET/KEY s3://BUCKET/KEY\n" COPYING_SYNOPSIS READING_SYNOPSIS REMOTE_SYNOPSIS,
     "copies objects, under new keys", s3_run_cp},
    {"s3", "rotate",
     "[-r] [--older-than WHEN] [--versions] [--yes] s3://BUCKET/KEY...\n"
     COPYING_SYNOPSIS READING_SYNOPSIS REMOTE_SYNOPSIS,
     "gives objects new keys in place", s3_run_rotate},
    {"s3", "verify", 
     "[--content] [--versions] s3://BUCKET/PREFIX\n"
     "    [--try-all-keys] [--key NAME] [-c NAME=VALUE]...\n" OPENING_SYNOPSIS "\n" REMOTE_SYNOPSIS,
     "asks for every object with its key and without", s3_run_verify},
    {"s3", "audit", "[--versions] [--try-all-keys] s3://BUCKET/PREFIX\n" REMOTE_SYNOPSIS,
     "looks for what somebody with write access left or needs", s3_run_audit},
    {"s3", "with-key",
     "[--new] [--vault-key KEY] [--version-id ID] [--form raw|base64|hex]\n"
     "    s3://BUCKET/KEY -- COMMAND...\n" REMOTE_SYNOPSIS,
     "hands an SSE-C key to another program, through a descriptor", s3_run_with_key},
    {"s3", "bucket",
     "encryption get s3://BUCKET\n"
     "    encryption set --encryption sse-s3|sse-kms [--kms-key ID] [--bucket-key] s3://BUCKET\n"
     "    policy get s3://BUCKET\n"
     "    policy set s3://BUCKET FILE\n"
     "    policy require-encryption [--require sse-c|sse-s3|sse-kms] [--kms-key ID] s3://BUCKET\n"
     "    allow-sse-c s3://BUCKET\n" REMOTE_SYNOPSIS,
     "settings of a bucket, tried", s3_run_bucket},
    {NULL, NULL, NULL, NULL, NULL},
};
