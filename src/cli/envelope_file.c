/* SPDX-License-Identifier: Apache-2.0
 *
 * keybridge envelope: one message on its way. What may be read and written, and
 * what a header must say before anything is released.
 */
#include "cli/envelope.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FRAME_KEPT_MAX = 1024 * 1024 };

const char *envelope_file_name(const struct envelope_file *file)
{
    return file->in_path ? file->in_path : "standard input";
}

/* --- in and out ----------------------------------------------------------------------- */

static bool same_file(const struct stat *a, const struct stat *b)
{
    return S_ISREG(a->st_mode) && a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static bool in_place(const struct envelope *envelope, const struct envelope_file *file)
{
    return envelope->work == ENVELOPE_REWRAP && envelope->many && file->out_path &&
           strcmp(file->in_path, file->out_path) == 0;
}

enum kb_status envelope_file_open_in(struct envelope_file *file, int flags, struct stat *opened)
{
    flags |= O_RDONLY | O_CLOEXEC | O_NOCTTY;
    file->in = file->in_path ? open(file->in_path, flags) : STDIN_FILENO;
    if (file->in < 0 || fstat(file->in, opened) != 0)
        return kb_error_errno(&file->error, errno == ENOENT ? KB_ERR_NOT_FOUND : KB_ERR_SYSTEM,
                              errno, "it cannot be opened");
    if (S_ISDIR(opened->st_mode))
        return kb_error_set(&file->error, KB_ERR_USAGE, "it is a folder");
    file->mode = opened->st_mode & 0777;
    file->size = S_ISREG(opened->st_mode) ? (uint64_t)opened->st_size : UINT64_MAX;
    return KB_OK;
}

static enum kb_status check_terminal(const struct envelope *envelope, struct envelope_file *file,
                                     int fd)
{
    if (envelope->work == ENVELOPE_DECRYPT || !isatty(fd))
        return KB_OK;
    kb_error_set(&file->error, KB_ERR_USAGE, "a message is binary: not to a terminal");
    kb_error_hint(&file->error, "-o FILE, or a pipe");
    return KB_ERR_USAGE;
}

static enum kb_status is_input(struct envelope_file *file)
{
    return kb_error_set(&file->error, KB_ERR_USAGE, "the output is the input itself");
}

static enum kb_status open_standard_out(const struct envelope *envelope,
                                        struct envelope_file *file, const struct stat *in)
{
    struct stat there;

    file->stream = true;
    if (fstat(STDOUT_FILENO, &there) == 0 && same_file(in, &there))
        return is_input(file);
    return check_terminal(envelope, file, STDOUT_FILENO);
}

/* Names that were derived are not taken from others without --yes, and links
 * lead out of a tree. */
static enum kb_outfile_rule out_rule(const struct envelope *envelope,
                                     const struct envelope_file *file)
{
    if (envelope->many && !envelope->options.yes && !in_place(envelope, file))
        return KB_OUTFILE_NEW;
    return file->no_follow ? KB_OUTFILE_NO_LINK : KB_OUTFILE_REPLACE;
}

static enum kb_status open_out(const struct envelope *envelope, struct envelope_file *file,
                               const struct stat *in)
{
    mode_t mode = envelope->many                         ? file->mode
                  : envelope->work == ENVELOPE_DECRYPT ? 0600
                                                         : cli_usual_mode();
    enum kb_status status = KB_OK;
    struct stat there;
    bool found;

    if (!file->out_path)
        return open_standard_out(envelope, file, in);
    found = stat(file->out_path, &there) == 0;
    if (found && !in_place(envelope, file)) {
        if (same_file(in, &there))
            return is_input(file);
        if (envelope->many && !S_ISREG(there.st_mode))
            return kb_error_set(&file->error, KB_ERR_USAGE, "%s is there and is no file",
                                file->out_path);
        if (!envelope->many && S_ISREG(there.st_mode))
            mode = there.st_mode & 0777;
    }
    /* What goes to a stream cannot be undone, and may wait. */
    if (!found || S_ISREG(there.st_mode))
        status = cli_stop_catch(&file->error);
    if (status == KB_OK)
        status = kb_outfile_open(&file->out, file->out_path, mode, out_rule(envelope, file),
                                 &file->error);
    if (status != KB_OK)
        return status;
    if (fstat(kb_outfile_fd(file->out), &there) != 0)
        return kb_error_errno(&file->error, KB_ERR_SYSTEM, errno, "%s", file->out_path);
    file->stream = !S_ISREG(there.st_mode);
    return check_terminal(envelope, file, kb_outfile_fd(file->out));
}

void envelope_file_open(struct envelope *envelope, struct envelope_file *file)
{
    /* Of many files none is waited for. */
    int flags = (envelope->many ? O_NONBLOCK : 0) | (file->no_follow ? O_NOFOLLOW : 0);
    struct stat opened = {0};
    enum kb_status status = envelope_file_open_in(file, flags, &opened);

    if (S_ISDIR(opened.st_mode))
        kb_error_hint(&file->error, "-r takes the files in it");
    else if (status == KB_OK && envelope->many && !S_ISREG(opened.st_mode))
        kb_error_set(&file->error, KB_ERR_USAGE, "it is no file");
    else if (status == KB_OK)
        file->error.status = open_out(envelope, file, &opened);
}

void envelope_file_clear(struct envelope_file *file)
{
    if (file->in_path && file->in >= 0)
        close(file->in);
    kb_outfile_abort(file->out);
    kb_esdk_free(file->from);
    kb_esdk_free(file->to);
    free(file->in_path);
    free(file->out_path);
    free(file->head);
    memset(file, 0, sizeof *file);
}

enum kb_status envelope_file_read(struct envelope_file *file, uint8_t *out, size_t room,
                                  size_t *size, struct kb_error *err)
{
    *size = file->head_end - file->head_start;
    if (*size) {
        *size = *size < room ? *size : room;
        memcpy(out, file->head + file->head_start, *size);
        file->head_start += *size;
        return KB_OK;
    }
    for (;;) {
        enum kb_status status = cli_await(file->in, file->quit, err);
        ssize_t got = status == KB_OK ? read(file->in, out, room) : 0;

        if (got >= 0) {
            *size = (size_t)got;
            return status;
        }
        if (errno != EINTR)
            return kb_error_errno(err, KB_ERR_SYSTEM, errno, "it cannot be read");
    }
}

/* --- headers --------------------------------------------------------------------------- */

/* Before a key is asked for: what the options refuse of the header. */
static enum kb_status check_header(const struct envelope *envelope, struct envelope_file *file)
{
    const struct kb_esdk_info *info = kb_esdk_message_info(file->from);
    bool streams = file->stream && envelope->work == ENVELOPE_DECRYPT;

    if (!info->is_signed || (!streams && !envelope->ranged))
        return KB_OK;
    if (!envelope->options.allow_unverified) {
        kb_error_set(&file->error, KB_ERR_DENIED,
                     envelope->ranged
                         ? "the message is signed: a range is read without its signature"
                         : "the message is signed: it does not go to a stream before its "
                           "signature is verified");
        kb_error_hint(&file->error, "%s--allow-unverified-stream",
                      envelope->ranged ? "" : "-o FILE, or ");
        return KB_ERR_DENIED;
    }
    if (envelope->ranged)
        cli_note(envelope->cli, "the signature of %s is not verified", envelope_file_name(file));
    return KB_OK;
}

static enum kb_status read_header(struct envelope_file *file)
{
    struct kb_esdk_step step = {.last = false};
    enum kb_status status = KB_OK;

    while (status == KB_OK && !kb_esdk_paused(file->from)) {
        size_t kept = file->head_end - file->head_start;
        size_t got = 0;

        memmove(file->head, file->head + file->head_start, kept);
        file->head_start = file->head_end = 0;
        if (kept < ENVELOPE_HEAD)
            status = envelope_file_read(file, file->head + kept, ENVELOPE_HEAD - kept, &got,
                                        &file->error);
        if (status != KB_OK)
            return status;
        file->head_end = kept + got;
        step.in = (struct kb_bytes){file->head, file->head_end};
        step.last = got == 0;
        status = kb_esdk_process(file->from, &step, &file->error);
        file->head_start = file->head_end - step.in.size;
        file->read += file->head_start;
    }
    return status;
}

void envelope_file_head(struct envelope *envelope, struct envelope_file *file)
{
    const struct kb_esdk_decrypt_options options = {
        .reproduced = envelope->context,
        .reproduced_count = envelope->context_count,
        .required = envelope->required,
        .required_count = envelope->options.require.count,
        .unsigned_only = envelope->options.unsigned_only,
        .unverified = !file->stream,
        .pause = true,
    };
    const struct kb_esdk_info *info;
    enum kb_status status =
        kb_esdk_decrypt(&file->from, envelope->from, &options, &file->error);

    file->head = malloc(ENVELOPE_HEAD);
    if (status == KB_OK && !file->head)
        status = kb_error_set(&file->error, KB_ERR_MEMORY, "no memory");
    if (status == KB_OK)
        status = read_header(file);
    if (status == KB_OK)
        status = check_header(envelope, file);
    info = file->from ? kb_esdk_message_info(file->from) : NULL;
    /* The policy's refusal has a hint of its own, which stays. */
    if (status == KB_ERR_DENIED && options.unsigned_only && info && info->is_signed)
        kb_error_hint(&file->error, "--unsigned-only refuses signed messages");
    file->error.status = status;
}

/* --- ranges ----------------------------------------------------------------------------- */

void envelope_file_seek(struct envelope *envelope, struct envelope_file *file)
{
    uint64_t at = kb_esdk_message_info(file->from)->header_size, offset = at;
    size_t size = 0;

    file->error.status = kb_esdk_seek(file->from, envelope->first, envelope->last, &offset,
                                      &file->error);
    if (file->error.status != KB_OK || offset == at)
        return;
    size = file->head_end - file->head_start;
    if (offset - at > size && offset - at - size <= INT64_MAX &&
        lseek(file->in, (off_t)(offset - at - size), SEEK_CUR) >= 0) {
        file->head_start = file->head_end;
        return;
    }
    /* A pipe: read and dropped. */
    while (file->error.status == KB_OK && at < offset) {
        uint8_t dropped[ENVELOPE_HEAD];
        size_t room = offset - at < sizeof dropped ? (size_t)(offset - at) : sizeof dropped;

        file->error.status = envelope_file_read(file, dropped, room, &size, &file->error);
        if (size == 0)
            break;
        at += size;
    }
}

/* --- new messages ------------------------------------------------------------------------ */

/* The suite that says the same as the old one's, among those the policy lets
 * be written. */
static uint16_t kept_suite(const struct envelope *envelope, const struct kb_esdk_info *info)
{
    bool commits = envelope->policy != KB_COMMITMENT_FORBID_ALLOW;
    bool derives = info->suite >> 8 != 0;

    if (envelope->suite)
        return envelope->suite;
    if (info->committing == commits && derives)
        return info->suite;
    if (commits)
        return info->is_signed ? 0x0578 : 0x0478;
    return info->is_signed ? 0x0378 : 0x0178;
}

/* A frame is held in memory while it is written, so that its length is not for
 * whoever wrote the old message to say. */
static uint32_t kept_frame_length(const struct envelope *envelope, const struct kb_esdk_info *info)
{
    if (envelope->frame_length)
        return envelope->frame_length;
    return info->frame_length <= FRAME_KEPT_MAX ? info->frame_length : 0;
}

static bool has_name(const struct kb_pair *pairs, size_t n, struct kb_bytes name)
{
    for (size_t i = 0; i < n; i++)
        if (kb_bytes_equal(pairs[i].name, name))
            return true;
    return false;
}

/* The context of the new message: what is stored, without what belongs to its
 * signature, and the pairs that were reproduced, which stay not stored. */
struct kept_context {
    struct kb_pair *pairs;
    size_t count;
    struct kb_bytes *not_stored;
    size_t not_stored_count;
};

static enum kb_status keep_context(const struct envelope *envelope, struct envelope_file *file,
                                   struct kept_context *out)
{
    const struct kb_esdk_info *info = kb_esdk_message_info(file->from);
    size_t named = envelope->options.not_stored.count, stored;

    out->pairs = calloc(info->context_count + envelope->context_count + 1, sizeof *out->pairs);
    out->not_stored = calloc(named + envelope->context_count + 1, sizeof *out->not_stored);
    if (!out->pairs || !out->not_stored)
        return kb_error_set(&file->error, KB_ERR_MEMORY, "no memory");
    for (size_t i = 0; i < info->context_count; i++)
        if (!kb_bytes_equal(info->context[i].name, kb_bytes_text("aws-crypto-public-key")))
            out->pairs[out->count++] = info->context[i];
    stored = out->count;
    for (size_t i = 0; i < named; i++)
        out->not_stored[out->not_stored_count++] = envelope->not_stored[i];
    for (size_t i = 0; i < envelope->context_count; i++) {
        if (has_name(out->pairs, stored, envelope->context[i].name))
            continue;
        out->pairs[out->count++] = envelope->context[i];
        out->not_stored[out->not_stored_count++] = envelope->context[i].name;
    }
    return KB_OK;
}

void envelope_file_reseal(struct envelope *envelope, struct envelope_file *file)
{
    const struct kb_esdk_info *info = kb_esdk_message_info(file->from);
    struct kept_context context = {0};
    enum kb_status status = keep_context(envelope, file, &context);
    const struct kb_esdk_encrypt_options options = {
        .suite = kept_suite(envelope, info),
        .frame_length = kept_frame_length(envelope, info),
        .context = context.pairs,
        .context_count = context.count,
        .not_stored = context.not_stored,
        .not_stored_count = context.not_stored_count,
    };

    if (status == KB_OK)
        status = kb_esdk_encrypt(&file->to, 1, envelope->to, &options, &file->error);
    free(context.pairs);
    free(context.not_stored);
    file->error.status = status;
}
