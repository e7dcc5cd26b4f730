/* SPDX-License-Identifier: Apache-2.0
 *
 * keybridge vault: what its verbs share.
 */
#ifndef KB_CLI_VAULT_H
#define KB_CLI_VAULT_H

#include "cli/cli.h"

struct vault_session {
    struct cli_session session;
    struct kb_vault *vault;
};
/* Opens the token and the vault; of `options` only what to do is looked at. */
KB_MUST_CHECK enum kb_status vault_open(struct vault_session *out, struct cli *cli,
                                        struct kb_vault_options options);
/* What has secrets, or is whole or not there, is no stream: "-" is refused. */
KB_MUST_CHECK enum kb_status vault_check_file(struct cli *cli, const char *path);
/* The same of a vault that is there, for a verb without options and with so many arguments. */
KB_MUST_CHECK enum kb_status cli_vault_begin(struct vault_session *out, struct cli *cli, int argc,
                                             char **argv, int arguments);
void vault_close(struct vault_session *session);

/* A line about a key, or its JSON. */
KB_MUST_CHECK enum kb_status vault_print_key(struct cli *cli, const struct kb_vault_key *key);

/* Verbs. */
enum kb_status vault_run_objects(struct cli *cli, int argc, char **argv); /* vault_list.c */
enum kb_status vault_run_events(struct cli *cli, int argc, char **argv);
enum kb_status vault_run_check(struct cli *cli, int argc, char **argv);   /* vault_move.c */
enum kb_status vault_run_export(struct cli *cli, int argc, char **argv);
enum kb_status vault_run_import(struct cli *cli, int argc, char **argv);
enum kb_status vault_run_repair(struct cli *cli, int argc, char **argv);

#endif
