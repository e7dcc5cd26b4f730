/* SPDX-License-Identifier: Apache-2.0
 *
 * SoftHSM rewrites a token's file, token.object, at every login, in place: a
 * process that starts at that moment finds no token, and one that is killed at
 * that moment leaves none. So starts on one configuration wait for each other,
 * and a file that was left empty is put back as it was saved.
 */
#include "keystore/pool.h"

#include <keybridge/file.h>

#include <fcntl.h>
#include <glob.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TOKEN_FILE_MAX = 64 * 1024 };

static void copy_file(const char *from, const char *to)
{
    struct kb_buffer bytes = KB_BUFFER_INIT(TOKEN_FILE_MAX);

    bytes.wipe = true;
    if (kb_file_read(&bytes, from, NULL) == KB_OK && bytes.size)
        (void)!kb_file_write(to, 0600, kb_buffer_view(&bytes), NULL);
    kb_buffer_free(&bytes);
}

/* Calls `each` with token.object and its saved copy for every token in the
 * folder "tokens" beside the configuration, which is where init puts it. */
static void each_token(const char *conf, void (*each)(const char *object, const char *saved))
{
    char *copy = strdup(conf), *pattern = NULL;
    glob_t found;

    if (copy && asprintf(&pattern, "%s/tokens/*/token.object", dirname(copy)) >= 0 &&
        glob(pattern, 0, NULL, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc; i++) {
            char *saved = NULL;
            size_t size = strlen(found.gl_pathv[i]);

            size -= strlen("object");
            if (asprintf(&saved, "%.*ssaved", (int)size, found.gl_pathv[i]) >= 0)
                each(found.gl_pathv[i], saved);
            free(saved);
        }
        globfree(&found);
    }
    free(pattern);
    free(copy);
}

static void put_back(const char *object, const char *saved)
{
    struct stat info;

    if (stat(object, &info) == 0 && info.st_size == 0)
        copy_file(saved, object);
}

static void save(const char *object, const char *saved)
{
    struct stat info;

    if (stat(object, &info) == 0 && info.st_size > 0)
        copy_file(object, saved);
}

int kb_softhsm_lock(const struct kb_keystore_options *options)
{
    const char *path = options->softhsm2_conf ? options->softhsm2_conf : getenv("SOFTHSM2_CONF");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

    /* A file that is being written looks as one that was left empty. */
    if (fd >= 0 && kb_fd_lock(fd, path, NULL) == KB_OK)
        each_token(path, put_back);
    return fd;
}

void kb_softhsm_save(const struct kb_keystore_options *options)
{
    if (options->softhsm2_conf)
        each_token(options->softhsm2_conf, save);
}
