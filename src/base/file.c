/* SPDX-License-Identifier: Apache-2.0 */
#include <keybridge/file.h>

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_STEP = 64 * 1024 };

enum kb_status kb_file_read(struct kb_buffer *out, const char *path, struct kb_error *err)
{
    enum kb_status status = KB_OK;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = 1;

    if (fd < 0)
        return kb_error_errno(err, errno == ENOENT ? KB_ERR_NOT_FOUND : KB_ERR_SYSTEM, errno, "%s",
                              path);
    while (status == KB_OK && got != 0) {
        uint8_t step[READ_STEP];

        got = read(fd, step, sizeof step);
        if (got > 0) {
            kb_buffer_put(out, step, (size_t)got);
            if (out->failed)
                status = kb_error_set(err, KB_ERR_INPUT, "%s is larger than %zu bytes", path,
                                      out->max);
        } else if (got < 0 && errno != EINTR) {
            status = kb_error_errno(err, KB_ERR_SYSTEM, errno, "%s", path);
        }
    }
    close(fd);
    return status;
}

enum kb_status kb_fd_write(int fd, struct kb_bytes bytes, const char *name, struct kb_error *err)
{
    while (bytes.size) {
        ssize_t put = write(fd, bytes.data, bytes.size);

        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return kb_error_errno(err, KB_ERR_SYSTEM, errno, "writing %s", name);
        bytes.data += put;
        bytes.size -= (size_t)put;
    }
    return KB_OK;
}

struct kb_outfile {
    int fd;
    char *path;
    char *temporary; /* NULL when the name is a device or pipe, written as it is */
    bool unnamed;    /* the file has no name yet: nothing is left when we are killed */
};

static void outfile_free(struct kb_outfile *file)
{
    if (file->fd >= 0)
        close(file->fd);
    free(file->path);
    free(file->temporary);
    free(file);
}

/* A file without a name in the folder of `path`; -1 where that cannot be. */
static int open_unnamed(const char *path)
{
    char *copy = strdup(path);
    int fd = copy ? open(dirname(copy), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600) : -1;

    free(copy);
    return fd;
}

/* Gives an unnamed file the temporary name: linking cannot replace a file, a
 * rename can. */
static int name_file(struct kb_outfile *file)
{
    char *suffix = file->temporary + strlen(file->temporary) - 6;
    char descriptor[64];

    snprintf(descriptor, sizeof descriptor, "/proc/self/fd/%d", file->fd);
    for (int attempt = 0; attempt < 100; attempt++) {
        unsigned number;

        if (getrandom(&number, sizeof number, 0) != sizeof number)
            return -1;
        snprintf(suffix, 7, "%06x", number & 0xffffff);
        if (linkat(AT_FDCWD, descriptor, AT_FDCWD, file->temporary, AT_SYMLINK_FOLLOW) == 0) {
            file->unnamed = false;
            return 0;
        }
        if (errno != EEXIST)
            return -1;
    }
    return -1;
}

static enum kb_status outfile_opened(struct kb_outfile **out, struct kb_outfile *file,
                                     const char *path, struct kb_error *err)
{
    if (file->fd < 0) {
        int number = errno;

        outfile_free(file);
        return kb_error_errno(err, number == ENOENT ? KB_ERR_NOT_FOUND : KB_ERR_SYSTEM, number,
                              "%s cannot be written", path);
    }
    *out = file;
    return KB_OK;
}

enum kb_status kb_outfile_open(struct kb_outfile **out, const char *path, mode_t mode,
                               struct kb_error *err)
{
    struct kb_outfile *file = calloc(1, sizeof *file);
    size_t room = 0;
    struct stat there;

    *out = NULL;
    if (!file)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    file->fd = -1;
    if (lstat(path, &there) == 0 && S_ISLNK(there.st_mode) && there.st_uid != geteuid() &&
        there.st_uid != 0) {
        free(file);
        return kb_error_set(err, KB_ERR_DENIED, "%s is a link that belongs to somebody else", path);
    }
    /* The name a link points to is the one to replace, not the link. */
    file->path = realpath(path, NULL);
    if (!file->path)
        file->path = strdup(path);
    if (file->path)
        room = strlen(file->path) + sizeof ".XXXXXX";
    file->temporary = room ? malloc(room) : NULL;
    if (!file->path || !file->temporary) {
        outfile_free(file);
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    }
    if (stat(file->path, &there) == 0 && !S_ISREG(there.st_mode)) {
        free(file->temporary);
        file->temporary = NULL;
        file->fd = open(file->path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
        return outfile_opened(out, file, path, err);
    }
    snprintf(file->temporary, room, "%s.XXXXXX", file->path);
    file->fd = open_unnamed(file->path);
    file->unnamed = file->fd >= 0;
    if (!file->unnamed)
        file->fd = mkostemp(file->temporary, O_CLOEXEC);
    if (file->fd >= 0 && fchmod(file->fd, mode) != 0) {
        int number = errno;

        kb_outfile_abort(file);
        return kb_error_errno(err, KB_ERR_SYSTEM, number, "%s cannot be written", path);
    }
    return outfile_opened(out, file, path, err);
}

enum kb_status kb_outfile_write(struct kb_outfile *file, struct kb_bytes bytes,
                                struct kb_error *err)
{
    return kb_fd_write(file->fd, bytes, file->path, err);
}

int kb_outfile_fd(const struct kb_outfile *file)
{
    return file->fd;
}

/* The rename is durable once the folder is. */
static int sync_folder(const char *path)
{
    char *copy = strdup(path);
    int fd, result;

    if (!copy)
        return -1;
    fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(copy);
    if (fd < 0)
        return -1;
    result = fsync(fd);
    close(fd);
    return result;
}

enum kb_status kb_outfile_commit(struct kb_outfile *file, struct kb_error *err)
{
    int number = 0;
    int fd = file->fd;

    if (file->temporary && fsync(fd) != 0)
        number = errno;
    if (!number && file->unnamed && name_file(file) != 0)
        number = errno;
    file->fd = -1;
    if (close(fd) != 0 && !number)
        number = errno;
    if (!number && file->temporary && rename(file->temporary, file->path) != 0)
        number = errno;
    if (number) {
        enum kb_status status =
            kb_error_errno(err, KB_ERR_SYSTEM, number, "%s cannot be written", file->path);

        kb_outfile_abort(file);
        return status;
    }
    if (file->temporary)
        (void)sync_folder(file->path);
    outfile_free(file);
    return KB_OK;
}

void kb_outfile_abort(struct kb_outfile *file)
{
    if (!file)
        return;
    if (file->temporary && !file->unnamed)
        unlink(file->temporary);
    outfile_free(file);
}

enum kb_status kb_file_write(const char *path, mode_t mode, struct kb_bytes bytes,
                             struct kb_error *err)
{
    struct kb_outfile *file;
    enum kb_status status = kb_outfile_open(&file, path, mode, err);

    if (status != KB_OK)
        return status;
    status = kb_outfile_write(file, bytes, err);
    if (status != KB_OK) {
        kb_outfile_abort(file);
        return status;
    }
    return kb_outfile_commit(file, err);
}
