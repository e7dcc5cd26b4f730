/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/blob.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_STEP = 4096 };

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

enum kb_status cli_blob_read(struct cli *cli, struct kb_buffer *out, const char *path)
{
    const char *name = path ? path : "standard input";
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
    enum kb_status status = KB_OK;
    uint8_t step[READ_STEP];
    ssize_t got = 1;

    if (fd < 0)
        return kb_error_errno(&cli->error, errno == ENOENT ? KB_ERR_NOT_FOUND : KB_ERR_SYSTEM,
                              errno, "%s", name);
    while (status == KB_OK && got != 0) {
        got = read(fd, step, sizeof step);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            status = kb_error_errno(&cli->error, KB_ERR_SYSTEM, errno, "reading %s", name);
        else if ((size_t)got > out->max - out->size)
            status = kb_error_set(&cli->error, KB_ERR_INPUT, "%s has more than %zu bytes", name,
                                  out->max);
        else
            kb_buffer_put(out, step, (size_t)got);
    }
    kb_wipe(step, sizeof step);
    if (path)
        close(fd);
    return status == KB_OK ? kb_buffer_check(out, &cli->error) : status;
}

/* --- base64 (RFC 4648) --------------------------------------------------------------- */

void cli_base64_put(struct kb_buffer *out, struct kb_bytes bytes)
{
    for (size_t i = 0; i < bytes.size; i += 3) {
        size_t left = bytes.size - i;
        unsigned group = (unsigned)bytes.data[i] << 16;

        if (left > 1)
            group |= (unsigned)bytes.data[i + 1] << 8;
        if (left > 2)
            group |= bytes.data[i + 2];
        kb_buffer_put_u8(out, (uint8_t)digits[group >> 18]);
        kb_buffer_put_u8(out, (uint8_t)digits[group >> 12 & 63]);
        kb_buffer_put_u8(out, left > 1 ? (uint8_t)digits[group >> 6 & 63] : '=');
        kb_buffer_put_u8(out, left > 2 ? (uint8_t)digits[group & 63] : '=');
    }
}

/* Bytes in place; false for what is no base64, or has bits that say nothing. */
static bool decode(struct kb_buffer *blob)
{
    size_t size = 0, count = 0, padding = 0;
    unsigned group = 0;

    for (size_t i = 0; i < blob->size; i++) {
        const char *digit;
        uint8_t c = blob->data[i];

        if (c == ' ' || c == '\t' || c == '\r' || c == '\n')
            continue;
        digit = c ? strchr(digits, c) : NULL;
        if (c == '=')
            padding++;
        else if (!digit || padding)
            return false;
        group = group << 6 | (digit ? (unsigned)(digit - digits) : 0);
        if (++count % 4)
            continue;
        if (padding > 2 || (padding == 1 && (group & 0xff)) || (padding == 2 && (group & 0xffff)))
            return false;
        for (size_t k = 0; k < 3 - padding; k++)
            blob->data[size++] = (uint8_t)(group >> (16 - 8 * k));
        group = 0;
    }
    blob->size = size;
    return count % 4 == 0;
}

enum kb_status cli_blob_decode(struct cli *cli, struct kb_buffer *blob)
{
    if (decode(blob))
        return KB_OK;
    return kb_error_set(&cli->error, KB_ERR_INPUT, "the input is not base64 with padding");
}

/* --- out -------------------------------------------------------------------------------- */

enum kb_status cli_blob_write(struct cli *cli, struct kb_bytes blob, bool base64, const char *path)
{
    struct kb_buffer text = KB_BUFFER_INIT(SIZE_MAX / 2);
    enum kb_status status;

    if (!path && !base64 && isatty(STDOUT_FILENO)) {
        kb_error_set(&cli->error, KB_ERR_USAGE, "a ciphertext is binary: not to a terminal");
        kb_error_hint(&cli->error, "--base64, or a file");
        return KB_ERR_USAGE;
    }
    if (base64) {
        cli_base64_put(&text, blob);
        kb_buffer_put_u8(&text, '\n');
        blob = kb_buffer_view(&text);
    }
    status = kb_buffer_check(&text, &cli->error);
    if (status == KB_OK)
        status = path ? kb_file_write(path, cli_usual_mode(), blob, &cli->error)
                      : cli_put(cli, blob);
    kb_buffer_free(&text);
    return status;
}

static enum kb_status check_terminal(struct cli *cli, int fd)
{
    if (!isatty(fd))
        return KB_OK;
    kb_error_set(&cli->error, KB_ERR_USAGE, "a plaintext is not shown on a terminal");
    kb_error_hint(&cli->error, "-o FILE, or a pipe");
    return KB_ERR_USAGE;
}

static enum kb_status not_regular(struct cli *cli, const char *path)
{
    return kb_error_set(&cli->error, KB_ERR_USAGE, "%s is not a regular file: a key goes into one",
                        path);
}

enum kb_status cli_secret_check(struct cli *cli, const char *path, bool regular)
{
    enum kb_status status = KB_OK;
    struct stat there;
    int fd;

    if (!path)
        return check_terminal(cli, STDOUT_FILENO);
    if (stat(path, &there) != 0 || S_ISREG(there.st_mode))
        return KB_OK;
    if (regular)
        return not_regular(cli, path);
    fd = S_ISCHR(there.st_mode) ? open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK) : -1;
    if (fd < 0)
        return KB_OK;
    status = check_terminal(cli, fd);
    close(fd);
    return status;
}

enum kb_status cli_secret_write(struct cli *cli, const struct kb_secret *secret, const char *path,
                                bool regular)
{
    struct kb_bytes bytes = secret ? kb_secret_view(secret) : (struct kb_bytes){NULL, 0};
    struct kb_outfile *file;
    struct stat opened;
    enum kb_status status;

    if (!path)
        return cli_put(cli, bytes);
    status = kb_outfile_open(&file, path, 0600, KB_OUTFILE_REPLACE, &cli->error);
    if (status != KB_OK)
        return status;
    /* Again: what was opened may be another than what was looked at. */
    status = check_terminal(cli, kb_outfile_fd(file));
    if (status == KB_OK && regular &&
        (fstat(kb_outfile_fd(file), &opened) != 0 || !S_ISREG(opened.st_mode)))
        status = not_regular(cli, path);
    if (status == KB_OK)
        status = kb_outfile_write(file, bytes, &cli->error);
    if (status == KB_OK)
        return kb_outfile_commit(file, &cli->error);
    kb_outfile_abort(file);
    return status;
}
