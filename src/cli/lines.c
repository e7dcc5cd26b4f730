/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines in, lines out.
 */
#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* One byte more than any item's JSON may have, so that what is cut off here is
 * refused by its parser. */
enum { LINE_MAX_BYTES = 4 * 1024 * 1024 + 1, OUTPUT_STEP = 256 * 1024 };

struct line_reader {
    int fd;
    uint8_t *data;
    size_t start; /* of the line being read */
    size_t end;   /* of what was read */
    bool cut;     /* the rest of the line is skipped */
    uint64_t number;
};

static bool is_blank(struct kb_bytes text)
{
    for (size_t i = 0; i < text.size; i++)
        if (!strchr(" \t\r", text.data[i]) || !text.data[i])
            return false;
    return true;
}

struct line_sink {
    enum kb_status (*line)(void *ctx, uint64_t number, struct kb_bytes text);
    enum kb_status (*pause)(void *ctx);
    void *ctx;
};

static enum kb_status give_line(struct line_reader *reader, const struct line_sink *sink,
                                size_t size)
{
    struct kb_bytes text = {reader->data + reader->start, size};

    reader->number++;
    if (reader->cut) {
        reader->cut = false;
        return KB_OK;
    }
    return is_blank(text) ? KB_OK : sink->line(sink->ctx, reader->number, text);
}

/* Gives every whole line that was read; keeps the rest at the front. */
static enum kb_status give_lines(struct line_reader *reader, const struct line_sink *sink,
                                 size_t scanned)
{
    enum kb_status status = KB_OK;
    uint8_t *newline;

    while (status == KB_OK &&
           (newline = memchr(reader->data + scanned, '\n', reader->end - scanned))) {
        size_t at = (size_t)(newline - reader->data);

        status = give_line(reader, sink, at - reader->start);
        reader->start = scanned = at + 1;
    }
    memmove(reader->data, reader->data + reader->start, reader->end - reader->start);
    reader->end -= reader->start;
    reader->start = 0;
    if (status == KB_OK && reader->end == LINE_MAX_BYTES) {
        /* Too long a line: its beginning is given, to be refused; the rest is
         * skipped. */
        if (!reader->cut) {
            reader->number++;
            status = sink->line(sink->ctx, reader->number,
                                (struct kb_bytes){reader->data, reader->end});
            reader->number--;
        }
        reader->cut = true;
        reader->end = 0;
    }
    return status;
}

static enum kb_status read_lines(struct cli *cli, struct line_reader *reader, const char *name,
                                 const struct line_sink *sink)
{
    enum kb_status status = KB_OK;

    while (status == KB_OK) {
        struct pollfd input = {.fd = reader->fd, .events = POLLIN};
        size_t before = reader->end;
        ssize_t got;

        if (poll(&input, 1, 0) == 0)
            status = sink->pause(sink->ctx);
        if (status != KB_OK)
            break;
        got = read(reader->fd, reader->data + reader->end, LINE_MAX_BYTES - reader->end);
        if (got == 0)
            break;
        if (got < 0 && errno != EINTR)
            status = kb_error_errno(&cli->error, KB_ERR_SYSTEM, errno, "reading %s", name);
        if (got > 0) {
            reader->end += (size_t)got;
            status = give_lines(reader, sink, before);
        }
    }
    if (status == KB_OK && reader->end)
        status = give_line(reader, sink, reader->end);
    return status == KB_OK ? sink->pause(sink->ctx) : status;
}

enum kb_status cli_each_line(struct cli *cli, const char *path,
                             enum kb_status (*line)(void *ctx, uint64_t number,
                                                    struct kb_bytes text),
                             enum kb_status (*pause)(void *ctx), void *ctx)
{
    const struct line_sink sink = {line, pause, ctx};
    const char *name = path ? path : "standard input";
    struct line_reader reader = {.fd = STDIN_FILENO};
    enum kb_status status;

    if (path)
        reader.fd = open(path, O_RDONLY | O_CLOEXEC);
    if (reader.fd < 0)
        return kb_error_errno(&cli->error, errno == ENOENT ? KB_ERR_NOT_FOUND : KB_ERR_SYSTEM,
                              errno, "%s", name);
    reader.data = malloc(LINE_MAX_BYTES);
    status = reader.data ? read_lines(cli, &reader, name, &sink)
                         : kb_error_set(&cli->error, KB_ERR_MEMORY, "no memory");
    free(reader.data);
    if (path)
        close(reader.fd);
    return status;
}

/* --- output ----------------------------------------------------------------------- */

mode_t cli_usual_mode(void)
{
    mode_t mask = umask(0);

    umask(mask);
    return 0666 & ~mask;
}

enum kb_status cli_output_open(struct cli_output *output, struct cli *cli, const char *path,
                               bool private_file)
{
    *output = (struct cli_output){.cli = cli, .buffer = KB_BUFFER_INIT(SIZE_MAX / 2)};
    if (!path)
        return KB_OK;
    return kb_outfile_open(&output->file, path, private_file ? 0600 : cli_usual_mode(),
                           KB_OUTFILE_REPLACE, &cli->error);
}

enum kb_status cli_output_line(struct cli_output *output, struct kb_bytes line)
{
    kb_buffer_put_bytes(&output->buffer, line);
    kb_buffer_put_u8(&output->buffer, '\n');
    return output->buffer.size >= OUTPUT_STEP ? cli_output_flush(output) : KB_OK;
}

enum kb_status cli_output_flush(struct cli_output *output)
{
    enum kb_status status = kb_buffer_check(&output->buffer, &output->cli->error);
    struct kb_bytes bytes = kb_buffer_view(&output->buffer);

    if (status == KB_OK && bytes.size)
        status = output->file ? kb_outfile_write(output->file, bytes, &output->cli->error)
                              : cli_put(output->cli, bytes);
    kb_buffer_reset(&output->buffer);
    return status;
}

enum kb_status cli_output_close(struct cli_output *output, bool publish)
{
    enum kb_status status = KB_OK;

    /* Standard output gets what was done, also when the run ends early. */
    if (publish || !output->file)
        status = cli_output_flush(output);
    kb_buffer_free(&output->buffer);
    if (output->file && publish && status == KB_OK)
        return kb_outfile_commit(output->file, &output->cli->error);
    kb_outfile_abort(output->file);
    return status;
}

enum kb_status cli_counts_status(struct cli *cli, const struct cli_counts *counts,
                                const char *noun)
{
    if (!counts->bad)
        return KB_OK;
    if (!counts->good)
        return kb_error_set(&cli->error, KB_ERR_INPUT, "no %s came through; %llu failed", noun,
                            (unsigned long long)counts->bad);
    return kb_error_set(&cli->error, KB_ERR_PARTIAL, "%llu of %llu %ss failed",
                        (unsigned long long)counts->bad,
                        (unsigned long long)(counts->bad + counts->good), noun);
}
