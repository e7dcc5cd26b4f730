/* SPDX-License-Identifier: Apache-2.0
 *
 * keybridge envelope: messages that are objects in S3, by -o s3://… and
 * -i s3://….
 */
#include "cli/envelope.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool envelope_is_s3(const char *path)
{
    return path && strncmp(path, "s3://", 5) == 0;
}

/* The token is the envelope's, and so are the keyrings. */
static enum kb_status open_s3(struct envelope *envelope, struct s3 *s3, const char *url,
                              char bucket[KB_S3_BUCKET_MAX + 1], struct kb_s3_name *name)
{
    bool writes = envelope->work == ENVELOPE_ENCRYPT;
    const char *encryption = envelope->s3.encryption;
    struct kb_error *err = &envelope->cli->error;
    enum kb_status status = KB_OK;

    *s3 = (struct s3){.cli = envelope->cli, .options = envelope->s3};
    s3->options.encryption = "client-envelope";
    s3->options.with_sse_c = encryption && strcmp(encryption, "sse-c") == 0;
    if (encryption && !s3->options.with_sse_c && strcmp(encryption, "client-envelope") != 0)
        status = kb_error_set(err, KB_ERR_USAGE,
                              "--encryption of an envelope is sse-c, which comes on top, not '%s'",
                              encryption);
    if (status == KB_OK)
        status = s3_argument(s3, url, true, bucket, name);
    if (status == KB_OK)
        status = envelope_open(envelope);
    if (status != KB_OK)
        return status;
    s3->streams = !writes && (!envelope->options.out || s3_is_stream(envelope->options.out));
    s3->session = envelope->session;
    s3->esdk = kb_esdk_retain(writes ? envelope->to : envelope->from);
    return s3_open(s3, writes ? S3_NEEDS_TO_WRITE | S3_NEEDS_TO_READ : S3_NEEDS_TO_READ);
}

static void close_s3(struct s3 *s3)
{
    memset(&s3->session, 0, sizeof s3->session); /* the envelope's */
    s3_clear(s3);
}

/* --- to S3 ----------------------------------------------------------------------------- */

static enum kb_status read_input(void *ctx, uint8_t *out, size_t room, size_t *size,
                                 struct kb_error *err)
{
    return envelope_file_read(ctx, out, room, size, err);
}

static void cancel_input(void *ctx)
{
    const struct envelope_file *file = ctx;

    cli_quit(*file->quit);
}

static enum kb_status put(struct envelope *envelope, struct s3 *s3, const struct kb_s3_name *name)
{
    int quit = -1;
    struct envelope_file file = {.in = -1, .quit = &quit};
    struct kb_object_result result = {.size = 0};
    struct kb_error *err = &envelope->cli->error;
    struct kb_object_put options;
    struct stat opened;
    enum kb_status status = s3_put_options(s3, &options);

    options.envelope = (struct kb_esdk_encrypt_options){
        .suite = envelope->suite,
        .frame_length = envelope->frame_length,
        .context = envelope->context,
        .context_count = envelope->context_count,
        .not_stored = envelope->not_stored,
        .not_stored_count = envelope->options.not_stored.count,
    };
    file.in_path = envelope->options.in ? strdup(envelope->options.in) : NULL;
    if (envelope->options.in && !file.in_path)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    if (status == KB_OK) {
        status = envelope_file_open_in(&file, 0, &opened);
        if (status != KB_OK)
            kb_error_set(err, status, "%s: %s", envelope_file_name(&file),
                         kb_error_text(&file.error));
    }
    if (status == KB_OK)
        status = cli_quit_open(&quit, err);
    const struct kb_s3_source source = {
        .read = read_input, .ctx = &file, .size = file.size, .cancel = cancel_input};
    if (status == KB_OK)
        status = kb_object_put(s3->objects, name, &options, &source, &result, err);
    kb_object_result_free(&result);
    envelope_file_clear(&file);
    if (quit >= 0)
        close(quit);
    return status;
}

/* --- from S3 --------------------------------------------------------------------------------- */

static enum kb_status write_out(void *ctx, struct kb_bytes bytes, struct kb_error *err)
{
    enum kb_status status = cli_stopped(err);

    if (status != KB_OK)
        return status;
    return ctx ? kb_outfile_write(ctx, bytes, err)
               : kb_fd_write(STDOUT_FILENO, bytes, "standard output", err);
}

static enum kb_status get(struct envelope *envelope, struct s3 *s3, const struct kb_s3_name *name)
{
    struct kb_error *err = &envelope->cli->error;
    struct kb_object_result result = {.size = 0};
    struct kb_outfile *file = NULL;
    struct kb_object_get options;
    struct stat there;
    enum kb_status status = s3_get_options(s3, &options);

    if (status == KB_OK && envelope->options.out)
        status = kb_outfile_open(&file, envelope->options.out, 0600, KB_OUTFILE_REPLACE, err);
    options.is_envelope = true;
    options.ranged = envelope->ranged;
    options.first = envelope->first;
    options.last = envelope->last;
    options.envelope = (struct kb_esdk_decrypt_options){
        .reproduced = envelope->context,
        .reproduced_count = envelope->context_count,
        .required = envelope->required,
        .required_count = envelope->options.require.count,
        .unsigned_only = envelope->options.unsigned_only,
    };
    options.unverified =
        file && fstat(kb_outfile_fd(file), &there) == 0 && S_ISREG(there.st_mode);
    options.write = write_out;
    options.ctx = file;
    if (status == KB_OK && !options.unverified)
        status = s3_open_scratch(&options.scratch, err);
    if (status == KB_OK)
        status = kb_object_get(s3->objects, name, &options, &result, err);
    if (options.scratch >= 0)
        close(options.scratch);
    kb_object_result_free(&result);
    if (status == KB_OK && file)
        return kb_outfile_commit(file, err);
    kb_outfile_abort(file);
    return status;
}

enum kb_status envelope_s3(struct envelope *envelope)
{
    bool writes = envelope->work == ENVELOPE_ENCRYPT;
    const char *url = writes ? envelope->options.out : envelope->options.in;
    char bucket[KB_S3_BUCKET_MAX + 1];
    struct kb_s3_name name;
    struct s3 s3;
    enum kb_status status = KB_OK;

    if (envelope->work == ENVELOPE_REWRAP || envelope->many || !envelope_is_s3(url) ||
        envelope_is_s3(writes ? envelope->options.in : envelope->options.out))
        return kb_error_set(&envelope->cli->error, KB_ERR_USAGE,
                            "s3:// is for encrypt -o and decrypt -i, one message at a time");
    status = open_s3(envelope, &s3, url, bucket, &name);
    if (status == KB_OK)
        status = writes ? put(envelope, &s3, &name) : get(envelope, &s3, &name);
    close_s3(&s3);
    return status;
}
