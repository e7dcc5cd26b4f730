/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/s3_names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { PART_MAX = 255 };

/* --- listings -------------------------------------------------------------------------- */

enum kb_status s3_names_add(struct s3_names *names, struct kb_bytes name, struct kb_error *err)
{
    if (name.size && memchr(name.data, 0, name.size))
        return kb_error_set(err, KB_ERR_REMOTE, "the server lists a name that has an end in it");
    if (names->count == names->room) {
        size_t room = names->room ? names->room * 2 : 256;
        size_t *starts = reallocarray(names->starts, room, sizeof *starts);

        if (!starts)
            return kb_error_set(err, KB_ERR_MEMORY, "no memory");
        names->starts = starts;
        names->room = room;
    }
    names->starts[names->count++] = names->text.size;
    kb_buffer_put_bytes(&names->text, name);
    kb_buffer_put_u8(&names->text, 0);
    return kb_buffer_check(&names->text, err);
}

static enum kb_status take_entry(void *ctx, const struct kb_s3_entry *entry, struct kb_error *err)
{
    enum kb_status status = cli_stopped(err);

    if (status == KB_OK && !entry->key.size)
        status = kb_error_set(err, KB_ERR_REMOTE, "the server lists an object without a name");
    return status == KB_OK ? s3_names_add(ctx, entry->key, err) : status;
}

enum kb_status s3_names_list(struct s3_names *names, struct s3 *s3, const char *bucket,
                             const char *prefix)
{
    const struct kb_s3_list list = {.bucket = bucket, .prefix = *prefix ? prefix : NULL};

    return kb_s3_list(s3->client, &list, take_entry, names, &s3->cli->error);
}

const char *s3_names_at(const struct s3_names *names, size_t at)
{
    return (const char *)names->text.data + names->starts[at];
}

void s3_names_free(struct s3_names *names)
{
    kb_buffer_free(&names->text);
    free(names->starts);
    memset(names, 0, sizeof *names);
}

char *s3_url(const char *bucket, const char *key)
{
    char *url = NULL;

    return asprintf(&url, "s3://%s/%s", bucket, key) < 0 ? NULL : url;
}

char *s3_prefix(const char *key)
{
    size_t size = strlen(key);
    char *prefix = NULL;

    return asprintf(&prefix, "%s%s", key, size && key[size - 1] != '/' ? "/" : "") < 0 ? NULL
                                                                                        : prefix;
}

enum kb_status s3_nothing_there(struct s3 *s3, const char *bucket, const char *prefix)
{
    return kb_error_set(&s3->cli->error, KB_ERR_NOT_FOUND, "there are no objects in s3://%s/%s",
                        bucket, prefix);
}

/* --- paths -------------------------------------------------------------------------------- */

static const char *bad_part(const char *part, size_t size)
{
    if (!size)
        return "it has an empty part";
    if ((size == 1 && part[0] == '.') || (size == 2 && part[0] == '.' && part[1] == '.'))
        return "it has a part that leads elsewhere";
    if (size > PART_MAX)
        return "it has a part of more than 255 bytes";
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)part[i] < 0x20 || part[i] == 0x7f)
            return "it has a control character";
    return NULL;
}

enum kb_status s3_check_path(const char *path, struct kb_error *err)
{
    for (const char *part = path; part;) {
        size_t size = strcspn(part, "/");
        const char *what = bad_part(part, size);

        if (what)
            return kb_error_set(err, KB_ERR_DENIED, "'%.120s' is no file's name: %s", path, what);
        part = part[size] ? part + size + 1 : NULL;
    }
    return KB_OK;
}

enum kb_status s3_make_folders(char *path, size_t from, struct kb_error *err)
{
    for (char *slash = strchr(path + from, '/'); slash; slash = strchr(slash + 1, '/')) {
        struct stat there;
        bool made;

        *slash = 0;
        made = mkdir(path, 0777) == 0 ||
               (errno == EEXIST && lstat(path, &there) == 0 && S_ISDIR(there.st_mode));
        if (!made && errno != EEXIST)
            kb_error_errno(err, KB_ERR_SYSTEM, errno, "%s cannot be made", path);
        else if (!made)
            kb_error_set(err, KB_ERR_DENIED, "%s is there and is no folder", path);
        *slash = '/';
        if (!made)
            return err->status;
    }
    return KB_OK;
}
