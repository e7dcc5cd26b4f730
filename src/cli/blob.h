/* SPDX-License-Identifier: Apache-2.0
 *
 * Binary data in and out, as it is or in base64.
 */
#ifndef KB_CLI_BLOB_H
#define KB_CLI_BLOB_H

#include "cli/cli.h"

/* Appends a file (NULL: standard input) to `out`, whose `max` bounds it. */
KB_MUST_CHECK enum kb_status cli_blob_read(struct cli *cli, struct kb_buffer *out,
                                           const char *path);

/* Replaces base64 text, white space in it left out, by what it means. */
KB_MUST_CHECK enum kb_status cli_blob_decode(struct cli *cli, struct kb_buffer *blob);

/* Appends bytes in base64. */
void cli_base64_put(struct kb_buffer *out, struct kb_bytes bytes);

/* Writes a ciphertext to a file, which appears whole, or to standard output;
 * with `base64` as text with a newline. */
KB_MUST_CHECK enum kb_status cli_blob_write(struct cli *cli, struct kb_bytes blob, bool base64,
                                            const char *path);

/* Refuses what a plaintext must not go to, before one is asked for: a terminal
 * by any name and, for a key (`regular`), all but a regular file. */
KB_MUST_CHECK enum kb_status cli_secret_check(struct cli *cli, const char *path, bool regular);

/* Writes a plaintext to a file of mode 0600, or to standard output, which must
 * not be a terminal; a named file is checked as above when it is open. */
KB_MUST_CHECK enum kb_status cli_secret_write(struct cli *cli, const struct kb_secret *secret,
                                              const char *path, bool regular);

#endif
