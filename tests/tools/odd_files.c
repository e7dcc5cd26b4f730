/* SPDX-License-Identifier: Apache-2.0
 *
 * Preloaded into the command, makes files behave as they seldom do, by the
 * environment:
 *   ODD_NO_TMPFILE=1   no file without a name, as on NFS
 *   ODD_NO_RENAME2=1   no rename that fails when the name is taken, as there
 *   ODD_RACE=PATH      a file of that name appears when another is brought to the disk
 *   ODD_SWAP=PATH      what has that name becomes a file just before it is opened
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int opener(const char *path, int flags, ...);

static void make_file(const char *path)
{
    FILE *file = fopen(path, "wx");

    if (file) {
        fputs("raced\n", file);
        fclose(file);
    }
}

static int open_as(const char *name, const char *path, int flags, mode_t mode)
{
    const char *swap = getenv("ODD_SWAP");
    opener *next = (opener *)dlsym(RTLD_NEXT, name);

    if ((flags & O_TMPFILE) == O_TMPFILE && getenv("ODD_NO_TMPFILE")) {
        errno = EOPNOTSUPP;
        return -1;
    }
    if (swap && (flags & O_WRONLY) && strcmp(path, swap) == 0) {
        unlink(path);
        make_file(path);
    }
    return next(path, flags, mode);
}

#define OPEN(name)                                                                                 \
    int name(const char *path, int flags, ...)                                                     \
    {                                                                                              \
        mode_t mode = 0;                                                                           \
        va_list args;                                                                              \
                                                                                                   \
        va_start(args, flags);                                                                     \
        if (flags & (O_CREAT | O_TMPFILE))                                                         \
            mode = va_arg(args, mode_t);                                                           \
        va_end(args);                                                                              \
        return open_as(#name, path, flags, mode);                                                  \
    }
OPEN(open)
OPEN(open64)

/* What the C library makes of an open without a mode. */
int __open_2(const char *path, int flags);
int __open_2(const char *path, int flags)
{
    return open_as("open", path, flags, 0);
}
int __open64_2(const char *path, int flags);
int __open64_2(const char *path, int flags)
{
    return open_as("open64", path, flags, 0);
}

int renameat2(int from, const char *old, int to, const char *new, unsigned flags)
{
    int (*next)(int, const char *, int, const char *, unsigned) =
        (int (*)(int, const char *, int, const char *, unsigned))dlsym(RTLD_NEXT, "renameat2");

    if (flags && getenv("ODD_NO_RENAME2")) {
        errno = EINVAL;
        return -1;
    }
    return next(from, old, to, new, flags);
}

static void race(void)
{
    const char *path = getenv("ODD_RACE");

    if (path)
        make_file(path);
}

int fsync(int fd)
{
    int (*next)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");

    race();
    return next(fd);
}

int syncfs(int fd)
{
    int (*next)(int) = (int (*)(int))dlsym(RTLD_NEXT, "syncfs");

    race();
    return next(fd);
}
