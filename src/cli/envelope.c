/* SPDX-License-Identifier: Apache-2.0
 *
 * keybridge envelope: its verbs and their options.
 */
#include "cli/envelope.h"

#include <limits.h>
#include <string.h>

#define OPENING_OPTIONS(o)                                                                         \
    {"key", 0, CLI_LIST, &(o).keys}, {"keyring", 0, CLI_LIST, &(o).keyrings},                      \
        {"context", 'c', CLI_LIST, &(o).context},                                                  \
        {"context-file", 0, CLI_TEXT, &(o).context_file},                                          \
        {"policy", 0, CLI_TEXT, &(o).policy}, {"input", 'i', CLI_TEXT, &(o).in},                   \
        {"output", 'o', CLI_TEXT, &(o).out}, {"suffix", 0, CLI_TEXT, &(o).suffix},                 \
        {"recursive", 'r', CLI_FLAG, &(o).recursive}, {"yes", 0, CLI_FLAG, &(o).yes},              \
        {"workers", 0, CLI_TEXT, &(o).workers}
/* Of messages that are objects. */
#define OBJECT_OPTIONS(o)                                                                          \
    S3_REMOTE_OPTIONS(o), {"encryption", 0, CLI_TEXT, &(o).encryption},                            \
        {"vault-key", 0, CLI_TEXT, &(o).vault_key}
#define WRITING_OPTIONS(o)                                                                         \
    {"suite", 0, CLI_TEXT, &(o).suite}, {"frame-length", 0, CLI_TEXT, &(o).frame_length},          \
        {"not-stored", 0, CLI_LIST, &(o).not_stored}
#define READING_OPTIONS(o)                                                                         \
    {"require", 0, CLI_LIST, &(o).require}, {"max-edks", 0, CLI_TEXT, &(o).max_edks},              \
        {"unsigned-only", 0, CLI_FLAG, &(o).unsigned_only}

static bool is_standard(const char *path)
{
    return path && strcmp(path, "-") == 0;
}

enum kb_status envelope_check_name(struct cli *cli, const char *path)
{
    return *path ? KB_OK
                 : kb_error_set(&cli->error, KB_ERR_USAGE,
                                "the name of a file is empty; '-' is the standard stream");
}

/* The names, each by itself. */
static enum kb_status check_names(const struct envelope *envelope, char **paths, int count)
{
    const struct envelope_options *options = &envelope->options;
    struct cli *cli = envelope->cli;
    enum kb_status status = KB_OK;
    struct stat there;

    for (int i = 0; status == KB_OK && i < count; i++)
        status = envelope_check_name(cli, paths[i]);
    if (status == KB_OK && options->in)
        status = envelope_check_name(cli, options->in);
    if (status == KB_OK && options->out)
        status = envelope_check_name(cli, options->out);
    if (status != KB_OK || !options->recursive || !options->out)
        return status;
    if (is_standard(options->out))
        return kb_error_set(&cli->error, KB_ERR_USAGE,
                            "standard output cannot hold a tree: -o names a folder");
    if (stat(options->out, &there) == 0 && !S_ISDIR(there.st_mode))
        return kb_error_set(&cli->error, KB_ERR_USAGE, "%s is there and is no folder",
                            options->out);
    return KB_OK;
}

/* One FILE with -o is -i FILE; "-" is standard input to standard output. */
static enum kb_status settle_names(struct envelope *envelope, char **paths, int *count)
{
    struct envelope_options *options = &envelope->options;
    struct cli *cli = envelope->cli;

    if (*count == 1 && !options->recursive && !options->in &&
        (options->out || is_standard(paths[0]))) {
        options->in = paths[0];
        *count = 0;
    }
    envelope->many = *count > 0;
    envelope->alone = *count == 1 && !options->recursive;
    if (is_standard(options->in))
        options->in = NULL;
    else if (options->in && envelope->many)
        return kb_error_set(&cli->error, KB_ERR_USAGE, "-i %s and %s: name files in one way",
                            options->in, paths[0]);
    if (options->recursive && (!envelope->many || (options->out && *count > 1)))
        return kb_error_set(&cli->error, KB_ERR_USAGE,
                            envelope->many ? "with -o, -r takes one folder" : "-r needs a folder");
    if (is_standard(options->out) && !envelope->many)
        options->out = NULL;
    if (options->out && envelope->many && !options->recursive)
        return kb_error_set(&cli->error, KB_ERR_USAGE, "-o is for one input, not for %d", *count);
    for (int i = 0; i < *count; i++)
        if (is_standard(paths[i]))
            return kb_error_set(&cli->error, KB_ERR_USAGE, "'-' stands alone");
    if (envelope->many && envelope->ranged)
        return kb_error_set(&cli->error, KB_ERR_USAGE, "--range is for one message: -i and -o");
    if (cli->json && !envelope->many && !options->out)
        return kb_error_set(&cli->error, KB_ERR_USAGE,
                            "the output is not printed as JSON: name a file with -o");
    if (!options->suffix)
        options->suffix = ".encrypted";
    if (!*options->suffix || strchr(options->suffix, '/'))
        return kb_error_set(&cli->error, KB_ERR_USAGE, "--suffix '%s' cannot end a file's name",
                            options->suffix);
    return KB_OK;
}

/* From standard input or -i to standard output or -o. */
static enum kb_status run_stream(struct envelope *envelope)
{
    const struct envelope_options *options = &envelope->options;
    struct envelope_file file = {.in = -1};

    file.in_path = options->in ? strdup(options->in) : NULL;
    file.out_path = options->out ? strdup(options->out) : NULL;
    if ((options->in && !file.in_path) || (options->out && !file.out_path)) {
        envelope_file_clear(&file);
        return kb_error_set(&envelope->cli->error, KB_ERR_MEMORY, "no memory");
    }
    return envelope_batch(envelope, &file, 1);
}

static void tell_counts(const struct envelope *envelope, const char *what)
{
    unsigned long long good = envelope->counts.good;
    char passed_over[64] = "";

    if (envelope->passed_over)
        snprintf(passed_over, sizeof passed_over, ", %llu passed over",
                 (unsigned long long)envelope->passed_over);
    if (good || !envelope->counts.bad)
        cli_note(envelope->cli, "%llu %s %s%s", good, good == 1 ? "file" : "files", what,
                 passed_over);
}

static enum kb_status run(struct envelope *envelope, char **paths, int count)
{
    static const char *const streams[] = {"MiB encrypted", "MiB decrypted", "MiB rewrapped"};
    static const char *const files[] = {"files encrypted", "files decrypted", "files rewrapped"};
    static const char *const done[] = {"encrypted", "decrypted", "rewrapped"};
    enum kb_status status = envelope_prepare(envelope);

    if (status == KB_OK)
        status = check_names(envelope, paths, count);
    if (status == KB_OK)
        status = settle_names(envelope, paths, &count);
    if (status == KB_OK && envelope->s3.encryption && !envelope_is_s3(envelope->options.out) &&
        !envelope_is_s3(envelope->options.in))
        status = kb_error_set(&envelope->cli->error, KB_ERR_USAGE,
                              "--encryption is for messages that are objects in S3");
    if (status != KB_OK) {
        if (status == KB_ERR_USAGE)
            cli_hint_help(envelope->cli);
        return status;
    }
    cli_progress_start(&envelope->progress, envelope->cli,
                       (envelope->many ? files : streams)[envelope->work]);
    if (envelope_is_s3(envelope->options.in) || envelope_is_s3(envelope->options.out))
        status = envelope_s3(envelope);
    else
        status = envelope->many ? envelope_files(envelope, paths, count) : run_stream(envelope);
    cli_progress_end(&envelope->progress);
    if (status == KB_OK && envelope->many)
        tell_counts(envelope, done[envelope->work]);
    return status == KB_OK ? envelope_status(envelope) : status;
}

static enum kb_status run_verb(struct envelope *envelope, const struct cli_option *table, int argc,
                               char **argv)
{
    int rest;
    enum kb_status status = cli_parse(envelope->cli, argc, argv, table, 0, INT_MAX, &rest);

    if (status == KB_OK)
        status = run(envelope, argv, rest);
    envelope_clear(envelope);
    return status;
}

static enum kb_status run_encrypt(struct cli *cli, int argc, char **argv)
{
    struct envelope envelope = {.cli = cli, .work = ENVELOPE_ENCRYPT};
    const struct cli_option table[] = {
        OPENING_OPTIONS(envelope.options),
        WRITING_OPTIONS(envelope.options),
        OBJECT_OPTIONS(envelope.s3),
        {NULL, 0, CLI_FLAG, NULL},
    };

    return run_verb(&envelope, table, argc, argv);
}

static enum kb_status run_decrypt(struct cli *cli, int argc, char **argv)
{
    struct envelope envelope = {.cli = cli, .work = ENVELOPE_DECRYPT};
    const struct cli_option table[] = {
        OPENING_OPTIONS(envelope.options),
        READING_OPTIONS(envelope.options),
        {"allow-unverified-stream", 0, CLI_FLAG, &envelope.options.allow_unverified},
        {"range", 0, CLI_TEXT, &envelope.options.range},
        OBJECT_OPTIONS(envelope.s3),
        {"version-id", 0, CLI_TEXT, &envelope.s3.version},
        {NULL, 0, CLI_FLAG, NULL},
    };

    return run_verb(&envelope, table, argc, argv);
}

static enum kb_status run_rewrap(struct cli *cli, int argc, char **argv)
{
    struct envelope envelope = {.cli = cli, .work = ENVELOPE_REWRAP};
    const struct cli_option table[] = {
        OPENING_OPTIONS(envelope.options),
        READING_OPTIONS(envelope.options),
        WRITING_OPTIONS(envelope.options),
        {"to-key", 0, CLI_LIST, &envelope.options.to_keys},
        {"to-keyring", 0, CLI_LIST, &envelope.options.to_keyrings},
        {NULL, 0, CLI_FLAG, NULL},
    };

    return run_verb(&envelope, table, argc, argv);
}

#define KEYS_SYNOPSIS                                                                              \
    "--key NAME | --keyring key=NAME,namespace=NS,name=KN[,padding=P] ...\n"
#define COMMON_SYNOPSIS                                                                            \
    "    [-c|--context k=v]... [--context-file FILE]\n"                                            \
    "    [--policy require-require|require-allow|forbid-allow] [--workers N]\n"
#define READING_SYNOPSIS "    [--require k[=v]]... [--max-edks N] [--unsigned-only]\n"
#define WRITING_SYNOPSIS "    [--suite 0x0578] [--frame-length N] [--not-stored k]...\n"
#define FILES_SYNOPSIS                                                                             \
    "    [-i FILE] [-o FILE] | [-r [-o FOLDER]] [--suffix S] [--yes] FILE..."

const struct cli_verb cli_envelope_verbs[] = {
    {"envelope", "encrypt", KEYS_SYNOPSIS COMMON_SYNOPSIS WRITING_SYNOPSIS FILES_SYNOPSIS,
     "encrypt files or a stream for every key that is named", run_encrypt},
    {"envelope", "decrypt",
     KEYS_SYNOPSIS COMMON_SYNOPSIS READING_SYNOPSIS
     "    [--allow-unverified-stream] [--range A-B]\n" FILES_SYNOPSIS,
     "verify and decrypt with any of the keys that are named", run_decrypt},
    {"envelope", "rewrap",
     KEYS_SYNOPSIS
     "    --to-key NAME | --to-keyring key=NAME,namespace=NS,name=KN[,padding=P] ...\n"
     COMMON_SYNOPSIS READING_SYNOPSIS WRITING_SYNOPSIS FILES_SYNOPSIS,
     "encrypt messages anew for other keys, as no header can be changed", run_rewrap},
    {"envelope", "inspect", "[-i FILE] [--max-edks N] [FILE...]",
     "what can be told of a message without a key", envelope_inspect},
    {NULL, NULL, NULL, NULL, NULL},
};
