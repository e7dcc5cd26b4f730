/* SPDX-License-Identifier: Apache-2.0
 *
 * keybridge envelope: which files, and what their outputs are called.
 */
#include "cli/claims.h"
#include "cli/envelope.h"

#include <errno.h>
#include <fts.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Files on their way to the next batch. */
struct gathering {
    struct envelope *envelope;
    struct envelope_file *files;
    size_t count;
    bool several;  /* named files or trees, which may share outputs */
    void *outputs; /* claims to their canonical names */
};

static enum kb_status flush(struct gathering *gathering)
{
    size_t n = gathering->count;

    gathering->count = 0;
    return n ? envelope_batch(gathering->envelope, gathering->files, n) : KB_OK;
}

/* --- names ----------------------------------------------------------------------------- */

/* The file's own name ends with the suffix, and is more than that. */
static bool has_suffix(const struct envelope *envelope, const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    size_t size = strlen(name), suffix = strlen(envelope->options.suffix);

    return size > suffix && strcmp(name + size - suffix, envelope->options.suffix) == 0;
}

/* "path.encrypted", or "path" of that; NULL without memory. */
static char *output_name(const struct envelope *envelope, const char *path)
{
    const char *suffix = envelope->options.suffix;
    char *name = NULL;
    int made = 0;

    if (envelope->work == ENVELOPE_REWRAP)
        return strdup(path);
    if (envelope->work == ENVELOPE_DECRYPT)
        return strndup(path, strlen(path) - strlen(suffix));
    made = asprintf(&name, "%s%s", path, suffix);
    return made < 0 ? NULL : name;
}

/* The path of an output without links, whether it is there or not; NULL when it
 * cannot be. */
static char *canonical(const char *path)
{
    char *whole = realpath(path, NULL);
    const char *slash = strrchr(path, '/');
    char *copy, *folder, *name = NULL;

    if (whole)
        return whole;
    copy = strdup(path);
    folder = copy ? realpath(dirname(copy), NULL) : NULL;
    if (folder && asprintf(&name, "%s/%s", folder, slash ? slash + 1 : path) < 0)
        name = NULL;
    free(folder);
    free(copy);
    return name;
}

/* Refuses an output that an earlier input of this run has. */
static enum kb_status claim(struct gathering *gathering, const char *in, const char *out,
                            struct kb_error *err)
{
    char *name = gathering->several ? canonical(out) : NULL;
    enum kb_status status = name ? cli_claim(&gathering->outputs, name, in, out, err) : KB_OK;

    free(name);
    return status;
}

/* Takes `out`, the path the output would have without a suffix. */
static enum kb_status gather(struct gathering *gathering, const char *in, const char *out,
                             bool no_follow)
{
    struct envelope_file *file = &gathering->files[gathering->count];
    struct kb_error error = {0};
    enum kb_status status;

    file->no_follow = no_follow;
    file->in = -1;
    file->in_path = strdup(in);
    file->out_path = output_name(gathering->envelope, out);
    if (!file->in_path || !file->out_path) {
        envelope_file_clear(file);
        return kb_error_set(&gathering->envelope->cli->error, KB_ERR_MEMORY, "no memory");
    }
    status = claim(gathering, in, file->out_path, &error);
    if (status != KB_OK) {
        envelope_failed(gathering->envelope, in, &error);
        envelope_file_clear(file);
        return KB_OK;
    }
    return ++gathering->count < ENVELOPE_BATCH ? KB_OK : flush(gathering);
}

/* --- trees -------------------------------------------------------------------------------- */

struct tree {
    struct gathering *gathering;
    const char *root;
    const char *mirror; /* NULL: outputs are beside inputs */
    struct stat mirrored;
    bool has_mirror;
};

/* Where an entry of the tree has its output, without a suffix; NULL without
 * memory. */
static char *mirror_path(const struct tree *tree, const FTSENT *entry)
{
    const char *below = entry->fts_path + strlen(tree->root);
    char *path = NULL;

    if (!tree->mirror)
        return strdup(entry->fts_path);
    below += strspn(below, "/");
    if (entry->fts_level == 0)
        below = entry->fts_info == FTS_F ? entry->fts_name : "";
    return asprintf(&path, "%s%s%s", tree->mirror, *below ? "/" : "", below) < 0 ? NULL : path;
}

/* Makes the folder, if nothing of that name is there. */
static enum kb_status make_folder(struct envelope *envelope, const char *path, mode_t mode)
{
    if (mkdir(path, mode) == 0 || errno == EEXIST)
        return KB_OK;
    return kb_error_errno(&envelope->cli->error,
                          errno == ENOENT ? KB_ERR_NOT_FOUND : KB_ERR_SYSTEM, errno,
                          "%s cannot be made", path);
}

/* Makes the folder. In one that leads out of the mirror nothing is written:
 * it is an error of its own, and `entry` is passed over. */
static enum kb_status mirror_folder(struct tree *tree, FTS *fts, FTSENT *entry, const char *path)
{
    struct envelope *envelope = tree->gathering->envelope;
    enum kb_status status =
        make_folder(envelope, path, (entry->fts_statp->st_mode & 0777) | 0700);
    struct kb_error error = {0};
    struct stat there;

    if (status != KB_OK || entry->fts_level == 0 ||
        (lstat(path, &there) == 0 && S_ISDIR(there.st_mode)))
        return status;
    kb_error_set(&error, KB_ERR_DENIED, "%s is there and is no folder: nothing is written to it",
                 path);
    envelope_failed(envelope, entry->fts_path, &error);
    fts_set(fts, entry, FTS_SKIP);
    return KB_OK;
}

static enum kb_status enter_folder(struct tree *tree, FTS *fts, FTSENT *entry)
{
    struct cli *cli = tree->gathering->envelope->cli;
    enum kb_status status;
    char *path;

    if (!tree->mirror)
        return KB_OK;
    /* The outputs are no inputs. */
    if (tree->has_mirror && entry->fts_level > 0 &&
        entry->fts_statp->st_dev == tree->mirrored.st_dev &&
        entry->fts_statp->st_ino == tree->mirrored.st_ino) {
        cli_note(cli, "%s is where the output goes: passed over", entry->fts_path);
        fts_set(fts, entry, FTS_SKIP);
        return KB_OK;
    }
    /* Without the token there is nothing to make folders for. */
    status = envelope_open(tree->gathering->envelope);
    if (status != KB_OK)
        return status;
    path = mirror_path(tree, entry);
    if (!path)
        return kb_error_set(&cli->error, KB_ERR_MEMORY, "no memory");
    status = mirror_folder(tree, fts, entry, path);
    if (status == KB_OK && entry->fts_level == 0)
        tree->has_mirror = stat(path, &tree->mirrored) == 0;
    free(path);
    return status;
}

static enum kb_status take_file(struct tree *tree, const FTSENT *entry)
{
    struct envelope *envelope = tree->gathering->envelope;
    enum kb_status status = KB_OK;
    char *path;

    if (has_suffix(envelope, entry->fts_path) == (envelope->work == ENVELOPE_ENCRYPT)) {
        envelope->passed_over++;
        return KB_OK;
    }
    /* A file in place of a tree goes into the folder of -o, too. */
    if (tree->mirror && entry->fts_level == 0)
        status = envelope_open(envelope);
    if (status == KB_OK && tree->mirror && entry->fts_level == 0)
        status = make_folder(envelope, tree->mirror, 0777);
    if (status != KB_OK)
        return status;
    path = mirror_path(tree, entry);
    status = path ? gather(tree->gathering, entry->fts_path, path, true)
                  : kb_error_set(&envelope->cli->error, KB_ERR_MEMORY, "no memory");
    free(path);
    return status;
}

static void cannot_enter(struct tree *tree, const FTSENT *entry)
{
    int number = entry->fts_errno;
    struct kb_error error = {0};

    kb_error_errno(&error, number == ENOENT ? KB_ERR_NOT_FOUND : KB_ERR_SYSTEM, number,
                   "it cannot be read");
    envelope_failed(tree->gathering->envelope, entry->fts_path, &error);
}

static enum kb_status take_entry(struct tree *tree, FTS *fts, FTSENT *entry)
{
    const struct cli *cli = tree->gathering->envelope->cli;

    switch (entry->fts_info) {
    case FTS_D:
        return enter_folder(tree, fts, entry);
    case FTS_DP:
        return KB_OK;
    case FTS_F:
        return take_file(tree, entry);
    case FTS_SL:
    case FTS_SLNONE:
        cli_note(cli, "%s is a link: not followed", entry->fts_path);
        return KB_OK;
    case FTS_DNR:
    case FTS_ERR:
    case FTS_NS:
        cannot_enter(tree, entry);
        return KB_OK;
    default:
        cli_note(cli, "%s is no file: passed over", entry->fts_path);
        return KB_OK;
    }
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

static enum kb_status walk(struct gathering *gathering, char *root)
{
    struct tree tree = {
        .gathering = gathering, .root = root, .mirror = gathering->envelope->options.out};
    struct kb_error *err = &gathering->envelope->cli->error;
    FTS *fts = fts_open((char *[]){root, NULL}, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR,
                        by_name);
    enum kb_status status = KB_OK;
    FTSENT *entry;

    if (!fts)
        return kb_error_errno(err, KB_ERR_SYSTEM, errno, "%s", root);
    errno = 0;
    while (status == KB_OK && (entry = fts_read(fts))) {
        status = take_entry(&tree, fts, entry);
        if (status == KB_OK)
            status = cli_stopped(err);
        errno = 0;
    }
    if (status == KB_OK && errno)
        status = kb_error_errno(err, KB_ERR_SYSTEM, errno, "%s", root);
    fts_close(fts);
    return status;
}

/* --- files that are named ------------------------------------------------------------------- */

static enum kb_status take_named(struct gathering *gathering, const char *path)
{
    struct envelope *envelope = gathering->envelope;
    struct kb_error error = {0};

    if (envelope->work != ENVELOPE_DECRYPT || has_suffix(envelope, path))
        return gather(gathering, path, path, false);
    kb_error_set(&error, KB_ERR_USAGE, "its name does not end in %s",
                 envelope->options.suffix);
    envelope_failed(envelope, path, &error);
    return KB_OK;
}

enum kb_status envelope_files(struct envelope *envelope, char **paths, int count)
{
    struct gathering gathering = {
        .envelope = envelope,
        .files = calloc(ENVELOPE_BATCH, sizeof *gathering.files),
        .several = count > 1,
    };
    enum kb_status status = KB_OK, flushed;

    if (!gathering.files)
        return kb_error_set(&envelope->cli->error, KB_ERR_MEMORY, "no memory");
    for (int i = 0; status == KB_OK && i < count; i++)
        status = envelope->options.recursive ? walk(&gathering, paths[i])
                                             : take_named(&gathering, paths[i]);
    flushed = status == KB_OK ? flush(&gathering) : KB_OK;
    for (size_t i = 0; i < gathering.count; i++)
        envelope_file_clear(&gathering.files[i]);
    free(gathering.files);
    cli_claims_free(&gathering.outputs);
    return status == KB_OK ? flushed : status;
}
