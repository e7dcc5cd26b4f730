/* SPDX-License-Identifier: Apache-2.0 */
#include <keybridge/file.h>

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    READ_STEP = 64 * 1024,
    WRITE_BACK = 8 * 1024 * 1024, /* bytes of a file that go to the disk while more are written */
};

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

enum kb_status kb_fd_lock(int fd, const char *name, struct kb_error *err)
{
    while (flock(fd, LOCK_EX) != 0)
        if (errno != EINTR)
            return kb_error_errno(err, KB_ERR_SYSTEM, errno, "locking %s", name);
    return KB_OK;
}

struct kb_outfile {
    int fd;
    char *path;
    char *temporary; /* NULL when the name is a device or pipe, written as it is */
    bool unnamed;    /* the file has no name yet: nothing is left when we are killed */
    bool is_new;     /* what has got the name meanwhile stays */
    off_t written;   /* bytes, */
    off_t begun;     /* of which the kernel was told to bring so many to the disk */
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

/* Gives an unnamed file its name if it is new, else the temporary one: linking
 * cannot replace a file, a rename can. */
static int name_file(struct kb_outfile *file)
{
    char *suffix = file->temporary + strlen(file->temporary) - 6;
    char descriptor[64];

    snprintf(descriptor, sizeof descriptor, "/proc/self/fd/%d", file->fd);
    if (file->is_new)
        return linkat(AT_FDCWD, descriptor, AT_FDCWD, file->path, AT_SYMLINK_FOLLOW);
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

/* The name to write to: that a link points to, unless links are refused.
 * KB_ERR_EXISTS, KB_ERR_DENIED. */
static enum kb_status find_name(char **out, const char *path, enum kb_outfile_rule rule,
                                struct kb_error *err)
{
    struct stat there;
    bool found = lstat(path, &there) == 0;
    bool follow = found && S_ISLNK(there.st_mode);

    *out = NULL;
    if (found && rule == KB_OUTFILE_NEW)
        return kb_error_set(err, KB_ERR_EXISTS, "%s is there already", path);
    if (follow && rule == KB_OUTFILE_NO_LINK)
        return kb_error_set(err, KB_ERR_DENIED, "%s is a link: it is not written through", path);
    if (follow && there.st_uid != geteuid() && there.st_uid != 0)
        return kb_error_set(err, KB_ERR_DENIED, "%s is a link that belongs to somebody else", path);
    *out = follow ? realpath(path, NULL) : strdup(path);
    /* /dev/stdout leads to a pipe that has no path. */
    if (follow && !*out && stat(path, &there) == 0 && !S_ISREG(there.st_mode))
        *out = strdup(path);
    if (!*out && errno == ENOMEM)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    if (!*out)
        return kb_error_errno(err, errno == ENOENT ? KB_ERR_NOT_FOUND : KB_ERR_SYSTEM, errno,
                              "%s is a link that leads nowhere", path);
    return KB_OK;
}

/* Opens a device or pipe, which is written as it is; not a file that has come
 * into its place. */
static int open_device(const char *path, enum kb_outfile_rule rule)
{
    int no_link = rule == KB_OUTFILE_REPLACE ? 0 : O_NOFOLLOW;
    int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY | no_link);
    struct stat opened;

    if (fd < 0 || (fstat(fd, &opened) == 0 && !S_ISREG(opened.st_mode)))
        return fd;
    close(fd);
    errno = EEXIST;
    return -1;
}

/* Opens the file beside its name: 0, or -1 and errno. */
static int open_beside(struct kb_outfile *file, mode_t mode)
{
    size_t room = strlen(file->path) + sizeof ".XXXXXX";

    file->temporary = malloc(room);
    if (!file->temporary)
        return -1;
    snprintf(file->temporary, room, "%s.XXXXXX", file->path);
    file->fd = open_unnamed(file->path);
    file->unnamed = file->fd >= 0;
    if (!file->unnamed)
        file->fd = mkostemp(file->temporary, O_CLOEXEC);
    if (file->fd >= 0)
        return fchmod(file->fd, mode);
    file->unnamed = true; /* nothing is there to be removed */
    return -1;
}

enum kb_status kb_outfile_open(struct kb_outfile **out, const char *path, mode_t mode,
                               enum kb_outfile_rule rule, struct kb_error *err)
{
    struct kb_outfile *file = calloc(1, sizeof *file);
    enum kb_status status;
    struct stat there;
    bool opened;

    *out = NULL;
    if (!file)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    file->fd = -1;
    file->is_new = rule == KB_OUTFILE_NEW;
    status = find_name(&file->path, path, rule, err);
    if (status != KB_OK) {
        outfile_free(file);
        return status;
    }
    if (stat(file->path, &there) == 0 && !S_ISREG(there.st_mode))
        opened = (file->fd = open_device(file->path, rule)) >= 0;
    else
        opened = open_beside(file, mode) == 0;
    if (!opened) {
        int number = errno;

        kb_outfile_abort(file);
        return kb_error_errno(err, number == ENOENT ? KB_ERR_NOT_FOUND : KB_ERR_SYSTEM, number,
                              "%s cannot be written", path);
    }
    *out = file;
    return KB_OK;
}

enum kb_status kb_outfile_write(struct kb_outfile *file, struct kb_bytes bytes,
                                struct kb_error *err)
{
    enum kb_status status = kb_fd_write(file->fd, bytes, file->path, err);

    file->written += (off_t)bytes.size;
    /* What is on its way to the disk by now need not be waited for at the end. Only a hint. */
    if (status == KB_OK && file->temporary && file->written - file->begun >= WRITE_BACK) {
        (void)sync_file_range(file->fd, file->begun, file->written - file->begun,
                              SYNC_FILE_RANGE_WRITE);
        file->begun = file->written;
    }
    return status;
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

/* Moves the temporary file to a name that must be free: 0, or -1 and errno. */
static int rename_new(const struct kb_outfile *file)
{
    if (renameat2(AT_FDCWD, file->temporary, AT_FDCWD, file->path, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -1;
    /* Not every file system can do that. */
    return link(file->temporary, file->path) == 0 ? unlink(file->temporary) : -1;
}

/* Gives what is on the disk its name: 0, or the errno of what failed. */
static int publish(struct kb_outfile *file)
{
    bool done = file->unnamed && file->is_new;
    int number = file->unnamed && name_file(file) != 0 ? errno : 0;
    int fd = file->fd;

    file->fd = -1;
    if (close(fd) != 0 && !number)
        number = errno;
    if (number || done || !file->temporary)
        return number;
    if (file->is_new)
        return rename_new(file) != 0 ? errno : 0;
    return rename(file->temporary, file->path) != 0 ? errno : 0;
}

static enum kb_status not_published(struct kb_outfile *file, int number, struct kb_error *err)
{
    enum kb_status status =
        number == EEXIST && file->is_new
            ? kb_error_set(err, KB_ERR_EXISTS, "%s is there already", file->path)
            : kb_error_errno(err, KB_ERR_SYSTEM, number, "%s cannot be written", file->path);

    kb_outfile_abort(file);
    return status;
}

enum kb_status kb_outfile_commit(struct kb_outfile *file, struct kb_error *err)
{
    int number = file->temporary && fsync(file->fd) != 0 ? errno : 0;

    if (!number)
        number = publish(file);
    if (number)
        return not_published(file, number, err);
    if (file->temporary)
        (void)sync_folder(file->path);
    outfile_free(file);
    return KB_OK;
}

/* The file system that was synced last, and how that went. */
struct synced {
    bool any;
    dev_t device;
    int number;
};

/* Brings a file to the disk, and unless it is `alone` all that are on its file
 * system. */
static int sync_system(struct synced *synced, int fd, bool alone)
{
    struct stat file;

    if (alone)
        return fsync(fd) != 0 ? errno : 0;
    if (fstat(fd, &file) != 0)
        return errno;
    if (!synced->any || synced->device != file.st_dev)
        *synced = (struct synced){true, file.st_dev, syncfs(fd) != 0 ? errno : 0};
    return synced->number;
}

static bool same_folder(const char *a, const char *b)
{
    const char *slash = strrchr(a, '/');
    size_t size = slash ? (size_t)(slash + 1 - a) : 0;

    return strncmp(a, b, size) == 0 && !strchr(b + size, '/');
}

void kb_outfile_commit_all(struct kb_outfile **files, size_t n, struct kb_error *errors)
{
    struct synced synced = {0};
    const char *folder = NULL; /* a file in the one that was synced last */

    for (size_t i = 0; i < n; i++) {
        int number = 0;

        kb_error_clear(&errors[i]);
        if (files[i] && files[i]->temporary)
            number = sync_system(&synced, files[i]->fd, n == 1);
        if (files[i] && !number)
            number = publish(files[i]);
        if (number) {
            (void)not_published(files[i], number, &errors[i]);
            files[i] = NULL;
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (!files[i] || !files[i]->temporary || (folder && same_folder(folder, files[i]->path)))
            continue;
        folder = files[i]->path;
        (void)sync_folder(folder);
    }
    for (size_t i = 0; i < n; i++) {
        if (files[i])
            outfile_free(files[i]);
        files[i] = NULL;
    }
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
    enum kb_status status = kb_outfile_open(&file, path, mode, KB_OUTFILE_REPLACE, err);

    if (status != KB_OK)
        return status;
    status = kb_outfile_write(file, bytes, err);
    if (status != KB_OK) {
        kb_outfile_abort(file);
        return status;
    }
    return kb_outfile_commit(file, err);
}
