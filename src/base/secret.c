/* SPDX-License-Identifier: Apache-2.0 */
#include <keybridge/secret.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>

/* The header shares the locked mapping with the bytes. */
struct kb_secret {
    size_t size;
    size_t mapped;
    uint8_t data[];
};

enum { SECRET_MAX = 16 * 1024 * 1024 };

void kb_wipe(void *data, size_t size)
{
    if (data && size)
        explicit_bzero(data, size);
}

bool kb_secret_equal(struct kb_bytes a, struct kb_bytes b)
{
    return a.size == b.size && (a.size == 0 || CRYPTO_memcmp(a.data, b.data, a.size) == 0);
}

enum kb_status kb_secret_new(struct kb_secret **out, size_t size, struct kb_error *err)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t mapped;
    struct kb_secret *secret;

    *out = NULL;
    if (size == 0 || size > SECRET_MAX)
        return kb_error_set(err, KB_ERR_USAGE, "a secret has 1 to %d bytes, not %zu", SECRET_MAX,
                            size);
    mapped = (sizeof *secret + size + page - 1) / page * page;
    secret = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (secret == MAP_FAILED)
        return kb_error_errno(err, KB_ERR_MEMORY, errno, "no memory for a secret");
    if (mlock(secret, mapped) != 0 || madvise(secret, mapped, MADV_DONTDUMP) != 0) {
        int number = errno;

        munmap(secret, mapped);
        kb_error_errno(err, KB_ERR_SYSTEM, number, "memory for a secret could not be locked");
        kb_error_hint(err, "raise the limit of locked memory (ulimit -l)");
        return KB_ERR_SYSTEM;
    }
    secret->size = size;
    secret->mapped = mapped;
    *out = secret;
    return KB_OK;
}

enum kb_status kb_secret_copy(struct kb_secret **out, struct kb_bytes bytes, struct kb_error *err)
{
    enum kb_status status = kb_secret_new(out, bytes.size, err);

    if (status == KB_OK)
        memcpy((*out)->data, bytes.data, bytes.size);
    return status;
}

void kb_secret_free(struct kb_secret *secret)
{
    if (!secret)
        return;
    size_t mapped = secret->mapped;

    kb_wipe(secret, mapped);
    munmap(secret, mapped);
}

uint8_t *kb_secret_data(struct kb_secret *secret)
{
    return secret->data;
}

struct kb_bytes kb_secret_view(const struct kb_secret *secret)
{
    return (struct kb_bytes){secret->data, secret->size};
}

void kb_secret_truncate(struct kb_secret *secret, size_t size)
{
    if (size < secret->size) {
        kb_wipe(secret->data + size, secret->size - size);
        secret->size = size;
    }
}

static void drop_newline(struct kb_secret *secret)
{
    size_t size = secret->size;

    if (size && secret->data[size - 1] == '\n')
        size--;
    if (size != secret->size && size && secret->data[size - 1] == '\r')
        size--;
    kb_secret_truncate(secret, size);
}

static enum kb_status check_file(int fd, const char *path, size_t limit, struct stat *info,
                                 struct kb_error *err)
{
    if (fstat(fd, info) != 0)
        return kb_error_errno(err, KB_ERR_SYSTEM, errno, "%s", path);
    if (!S_ISREG(info->st_mode))
        return kb_error_set(err, KB_ERR_USAGE, "%s is not a regular file", path);
    if (info->st_uid != geteuid() && info->st_uid != 0)
        return kb_error_set(err, KB_ERR_DENIED, "%s holds a secret but belongs to somebody else",
                            path);
    if (info->st_mode & (S_IRWXG | S_IRWXO)) {
        kb_error_set(err, KB_ERR_DENIED, "%s holds a secret but others may read or write it", path);
        kb_error_hint(err, "chmod 600 '%s'", path);
        return KB_ERR_DENIED;
    }
    if (info->st_size == 0 || (size_t)info->st_size > limit)
        return kb_error_set(err, KB_ERR_USAGE, "%s has %lld bytes; 1 to %zu are allowed", path,
                            (long long)info->st_size, limit);
    return KB_OK;
}

enum kb_status kb_secret_read_file(struct kb_secret **out, const char *path, size_t limit,
                                   bool text, struct kb_error *err)
{
    struct stat info;
    enum kb_status status;
    size_t have = 0;
    int fd;

    *out = NULL;
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return kb_error_errno(err, errno == ENOENT ? KB_ERR_NOT_FOUND : KB_ERR_SYSTEM, errno, "%s",
                              path);
    status = check_file(fd, path, limit, &info, err);
    if (status == KB_OK)
        status = kb_secret_new(out, (size_t)info.st_size, err);
    while (status == KB_OK && have < (*out)->size) {
        ssize_t got = read(fd, (*out)->data + have, (*out)->size - have);

        if (got > 0)
            have += (size_t)got;
        else if (got == 0 || errno != EINTR)
            status = kb_error_set(err, KB_ERR_SYSTEM, "%s could not be read whole", path);
    }
    close(fd);
    if (status == KB_OK && text)
        drop_newline(*out);
    if (status == KB_OK && (*out)->size == 0)
        status = kb_error_set(err, KB_ERR_USAGE, "%s is empty", path);
    if (status != KB_OK) {
        kb_secret_free(*out);
        *out = NULL;
    }
    return status;
}

void kb_process_harden(void)
{
    struct rlimit none = {0, 0};

    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    (void)setrlimit(RLIMIT_CORE, &none);
}
