/* SPDX-License-Identifier: Apache-2.0
 *
 * The verbs of `keybridge key` that bring keys into the token or out of it.
 */
#ifndef KB_CLI_KEY_H
#define KB_CLI_KEY_H

#include "cli/cli.h"

enum kb_status cli_key_create(struct cli *cli, int argc, char **argv);
enum kb_status cli_key_import(struct cli *cli, int argc, char **argv);
enum kb_status cli_key_export_public(struct cli *cli, int argc, char **argv);

#endif
