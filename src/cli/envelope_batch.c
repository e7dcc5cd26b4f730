/* SPDX-License-Identifier: Apache-2.0
 *
 * keybridge envelope: messages that go through the token together, and what is
 * said of each.
 */
#include "cli/envelope.h"

#include <stdlib.h>
#include <string.h>

static bool is_good(const struct envelope_file *file)
{
    return file->error.status == KB_OK;
}

/* The error as the command's, with the path in front; of a long path its end,
 * so that the sentence stays whole. */
static void take_error(struct kb_error *only, const char *path, const struct kb_error *error)
{
    const char *text = kb_error_text(error);
    size_t taken = strlen(text) + sizeof "...: ", size = strlen(path);
    size_t room = taken < sizeof only->text ? sizeof only->text - taken : 0;
    bool cut = size > room;

    kb_error_clear(only);
    kb_error_set(only, error->status, "%s%s: %s", cut ? "..." : "", path + (cut ? size - room : 0),
                 text);
    kb_error_hint(only, "%s", error->hint);
    only->detail_kind = error->detail_kind;
    only->detail = error->detail;
}

void envelope_failed(struct envelope *envelope, const char *path, const struct kb_error *error)
{
    struct kb_error bad = *error;

    if (bad.status == KB_ERR_EXISTS)
        kb_error_hint(&bad, "--yes replaces it");
    if (envelope->counts.bad++ == 0)
        envelope->failure = bad.status;
    if (kb_status_exit(envelope->failure) != kb_status_exit(bad.status))
        envelope->failure = KB_ERR_INPUT;
    cli_progress_end(&envelope->progress);
    if (!envelope->many || envelope->alone) {
        take_error(&envelope->cli->error, path, &bad);
        return;
    }
    cli_say("%s: %s", path, kb_error_text(&bad));
    if (!bad.hint[0] || strcmp(bad.hint, envelope->hint) == 0)
        return;
    cli_say("hint: %s", bad.hint);
    memcpy(envelope->hint, bad.hint, sizeof envelope->hint);
}

enum kb_status envelope_status(struct envelope *envelope)
{
    if (!envelope->counts.bad || !envelope->many || envelope->alone)
        return envelope->failure;
    return cli_counts_status(envelope->cli, &envelope->counts, "file") == KB_ERR_PARTIAL
               ? KB_ERR_PARTIAL
               : envelope->failure;
}

static enum kb_status print_json(const struct envelope *envelope,
                                 const struct envelope_file *file)
{
    cJSON *json = cJSON_CreateObject();
    char suite[8];

    cJSON_AddStringToObject(json, "input", envelope_file_name(file));
    cJSON_AddStringToObject(json, "output", file->out_path);
    cJSON_AddNumberToObject(json, "input_bytes", (double)file->read);
    cJSON_AddNumberToObject(json, "output_bytes", (double)file->written);
    snprintf(suite, sizeof suite, "0x%04x", file->suite);
    cJSON_AddStringToObject(json, "suite", suite);
    cJSON_AddNumberToObject(json, "recipients", (double)file->recipients);
    return cli_print_json(envelope->cli, json);
}

/* --- the token, once for all -------------------------------------------------------------- */

/* Opens the messages whose headers were read. */
static enum kb_status unlock(struct envelope *envelope, struct envelope_file *files, size_t n)
{
    struct kb_esdk_message *messages[ENVELOPE_BATCH];
    struct envelope_file *paused[ENVELOPE_BATCH];
    enum kb_status statuses[ENVELOPE_BATCH];
    enum kb_status status;
    size_t count = 0;

    for (size_t i = 0; i < n; i++) {
        if (!is_good(&files[i]))
            continue;
        paused[count] = &files[i];
        messages[count++] = files[i].from;
    }
    status = count ? kb_esdk_unlock(messages, count, statuses, &envelope->cli->error) : KB_OK;
    if (status != KB_OK)
        return status;
    kb_error_clear(&envelope->cli->error);
    for (size_t i = 0; i < count; i++) {
        struct kb_esdk_step step = {.last = false};

        /* A message that failed says so again. */
        if (statuses[i] != KB_OK &&
            kb_esdk_process(messages[i], &step, &paused[i]->error) == KB_OK)
            paused[i]->error.status = statuses[i];
    }
    return KB_OK;
}

static enum kb_status start_messages(struct envelope *envelope, struct envelope_file *files,
                                     size_t n)
{
    const struct kb_esdk_encrypt_options options = {
        .suite = envelope->suite,
        .frame_length = envelope->frame_length,
        .context = envelope->context,
        .context_count = envelope->context_count,
        .not_stored = envelope->not_stored,
        .not_stored_count = envelope->options.not_stored.count,
    };
    struct kb_esdk_message *messages[ENVELOPE_BATCH];
    enum kb_status status;
    size_t count = 0;

    for (size_t i = 0; i < n; i++)
        count += is_good(&files[i]);
    status = count ? kb_esdk_encrypt(messages, count, envelope->to, &options,
                                     &envelope->cli->error)
                   : KB_OK;
    for (size_t i = n; status == KB_OK && i > 0; i--)
        if (is_good(&files[i - 1]))
            files[i - 1].to = messages[--count];
    return status;
}

static enum kb_status open_messages(struct envelope *envelope, struct envelope_file *files,
                                    size_t n)
{
    enum kb_status status;

    for (size_t i = 0; i < n; i++)
        if (is_good(&files[i]))
            envelope_file_head(envelope, &files[i]);
    status = unlock(envelope, files, n);
    for (size_t i = 0; status == KB_OK && envelope->ranged && i < n; i++)
        if (is_good(&files[i]))
            envelope_file_seek(envelope, &files[i]);
    return status;
}

/* --- a batch ------------------------------------------------------------------------------ */

/* Frees the messages, and with them their threads, before the next file's
 * start; keeps what is told of them. */
static void end_messages(struct envelope_file *file)
{
    struct kb_esdk_message *message = file->to ? file->to : file->from;
    const struct kb_esdk_info *info = message ? kb_esdk_message_info(message) : NULL;

    if (info) {
        file->suite = info->suite;
        file->recipients = info->edk_count;
    }
    kb_esdk_free(file->from);
    kb_esdk_free(file->to);
    file->from = file->to = NULL;
}

static enum kb_status pump_one(struct envelope *envelope, struct envelope_file *file)
{
    if (is_good(file) && envelope->work == ENVELOPE_REWRAP) {
        envelope_file_reseal(envelope, file);
        file->ends_run = !is_good(file) && !kb_status_is_item(file->error.status);
    }
    if (is_good(file))
        envelope_pump(envelope, file);
    end_messages(file);
    if (envelope->many)
        cli_progress_add(&envelope->progress, 1);
    if (!file->ends_run)
        return cli_stopped(&envelope->cli->error);
    envelope->cli->error = file->error;
    return file->error.status;
}

/* Those that came through get their names, all at once. */
static enum kb_status publish(struct envelope *envelope, struct envelope_file *files, size_t n)
{
    struct kb_outfile *outs[ENVELOPE_BATCH];
    struct kb_error errors[ENVELOPE_BATCH];
    enum kb_status status = KB_OK;

    for (size_t i = 0; i < n; i++) {
        bool whole = is_good(&files[i]) && files[i].out;

        outs[i] = whole ? files[i].out : NULL;
        if (whole)
            files[i].out = NULL;
    }
    kb_outfile_commit_all(outs, n, errors);
    for (size_t i = 0; i < n; i++) {
        if (is_good(&files[i]))
            files[i].error = errors[i];
        if (!is_good(&files[i])) {
            envelope_failed(envelope, envelope_file_name(&files[i]), &files[i].error);
            continue;
        }
        envelope->counts.good++;
        if (status == KB_OK && envelope->cli->json)
            status = print_json(envelope, &files[i]);
    }
    return status;
}

/* When the run ends early: files that had failed by then, which what ended it
 * or a signal interrupted are not among. */
static void name_failed(struct envelope *envelope, const struct envelope_file *files, size_t n)
{
    bool stopped = cli_stopped(NULL) != KB_OK;

    for (size_t i = 0; i < n && envelope->many && !envelope->alone; i++)
        if (!is_good(&files[i]) && !files[i].ends_run &&
            !(stopped && files[i].error.status == KB_ERR_SYSTEM))
            envelope_failed(envelope, envelope_file_name(&files[i]), &files[i].error);
}

enum kb_status envelope_batch(struct envelope *envelope, struct envelope_file *files, size_t n)
{
    enum kb_status status = KB_OK, published;
    size_t done = 0, good = 0;

    for (size_t i = 0; i < n; i++) {
        envelope_file_open(envelope, &files[i]);
        good += is_good(&files[i]);
    }
    if (good)
        status = envelope_open(envelope);
    if (status == KB_OK && good && !envelope->many)
        cli_progress_file(&envelope->progress, files[0].in);
    if (status == KB_OK && good)
        status = envelope->work == ENVELOPE_ENCRYPT ? start_messages(envelope, files, n)
                                                    : open_messages(envelope, files, n);
    if (status == KB_OK)
        status = cli_stopped(&envelope->cli->error);
    while (status == KB_OK && done < n)
        status = pump_one(envelope, &files[done++]);
    /* What ended the run keeps nothing back that is whole, but for a signal. */
    if (status != KB_OK)
        done = done && cli_stopped(NULL) == KB_OK ? done - 1 : 0;
    published = done ? publish(envelope, files, done) : KB_OK;
    if (status != KB_OK)
        name_failed(envelope, files + done, n - done);
    for (size_t i = 0; i < n; i++)
        envelope_file_clear(&files[i]);
    return status == KB_OK ? published : status;
}
