/* SPDX-License-Identifier: Apache-2.0
 *
 * Files that appear whole or not at all, and bounded reading.
 */
#ifndef KEYBRIDGE_FILE_H
#define KEYBRIDGE_FILE_H

#include <sys/types.h>

#include <keybridge/bytes.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Appends the whole file to `out`, whose `max` bounds it. KB_ERR_NOT_FOUND,
 * KB_ERR_SYSTEM, KB_ERR_INPUT when it is larger than the bound. */
KB_MUST_CHECK enum kb_status kb_file_read(struct kb_buffer *out, const char *path,
                                          struct kb_error *err);

/* Writes all bytes to a descriptor. */
KB_MUST_CHECK enum kb_status kb_fd_write(int fd, struct kb_bytes bytes, const char *name,
                                         struct kb_error *err);

/* Waits for the exclusive lock (flock) of an open file or folder, whatever signals come;
 * it goes with the descriptor. KB_ERR_SYSTEM: it cannot be locked. */
KB_MUST_CHECK enum kb_status kb_fd_lock(int fd, const char *name, struct kb_error *err);

/*
 * A file that is written beside its final name and takes it only on commit
 * (temporary file in the same folder, fsync, rename); a file of that name that
 * is there stays untouched until then.
 */
struct kb_outfile;

/* What may be there under the name. */
enum kb_outfile_rule {
    KB_OUTFILE_REPLACE, /* a file, which is replaced, and so is where a link leads */
    KB_OUTFILE_NO_LINK, /* a file, which is replaced; KB_ERR_DENIED for a link */
    KB_OUTFILE_NEW,     /* nothing, not even a link: KB_ERR_EXISTS, now or on commit */
};

/* *out is the caller's, for kb_outfile_commit or kb_outfile_abort. `mode`: the
 * permission bits, 0600 for what is private. A device or pipe is written as it
 * is, and never replaced. */
KB_MUST_CHECK enum kb_status kb_outfile_open(struct kb_outfile **out, const char *path, mode_t mode,
                                             enum kb_outfile_rule rule, struct kb_error *err);
KB_MUST_CHECK enum kb_status kb_outfile_write(struct kb_outfile *file, struct kb_bytes bytes,
                                              struct kb_error *err);

/* Its descriptor, for fstat and isatty: a name may be that of a device. */
int kb_outfile_fd(const struct kb_outfile *file);

/* Publishes and frees; on failure nothing is published and it is freed too. */
KB_MUST_CHECK enum kb_status kb_outfile_commit(struct kb_outfile *file, struct kb_error *err);

/* As kb_outfile_commit for n files of one run, with one sync of their file
 * system instead of one a file. All are freed. A file that cannot be published
 * does not keep the others back; errors[i] says why, and is clear for the
 * others. NULLs in `files` are skipped. */
void kb_outfile_commit_all(struct kb_outfile **files, size_t n, struct kb_error *errors);

/* Removes the temporary file and frees; NULL is ignored. */
void kb_outfile_abort(struct kb_outfile *file);

/* A whole file in one call: open, write, commit. */
KB_MUST_CHECK enum kb_status kb_file_write(const char *path, mode_t mode, struct kb_bytes bytes,
                                           struct kb_error *err);

#ifdef __cplusplus
}
#endif
#endif
