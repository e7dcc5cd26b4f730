/* SPDX-License-Identifier: Apache-2.0
 *
 * A secret in memory that another program reads through a descriptor.
 */
#ifndef KB_CLI_HANDOUT_H
#define KB_CLI_HANDOUT_H

#include "cli/cli.h"

/* Zero-filled: none. */
struct cli_handout {
    int fd;         /* -1 without memory; the program's, which can only read */
    uint8_t *bytes; /* the same memory, ours to wipe; locked */
    size_t size;
};
/* The bytes can be read at /dev/fd/N by programs that are run from now on. */
KB_MUST_CHECK enum kb_status cli_handout_open(struct cli_handout *out, struct kb_bytes bytes,
                                              struct kb_error *err);
/* Overwrites them, for everybody who has them open. */
void cli_handout_close(struct cli_handout *handout);

/* Runs a program with the handout, and waits for it. What ends us by SIGHUP or SIGTERM is
 * handed on; SIGINT and SIGQUIT are the program's. *code: its exit status, 128 and the
 * number of the signal that ended it, 126 and 127 as a shell has them, with *err
 * set. `{}` in the arguments becomes the descriptor's path. */
KB_MUST_CHECK enum kb_status cli_handout_run(const struct cli_handout *handout, char **argv,
                                             int count, int *code, struct kb_error *err);

#endif
