/* SPDX-License-Identifier: Apache-2.0
 *
 * What the verbs of `table` share.
 */
#ifndef KB_CLI_TABLE_H
#define KB_CLI_TABLE_H

#include "cli/cli.h"

/* Rows for an option table: how items of a table are encrypted. The signed
 * name and the key attributes come from the table. */
#define CLI_TABLE_OPTIONS(where, sealing)                                                          \
    {"table", 0, CLI_TEXT, &(where)}, {"name", 0, CLI_TEXT, &(sealing).table},                     \
        {"partition-key", 0, CLI_TEXT, &(sealing).expected_partition_key},                         \
        {"sort-key", 0, CLI_TEXT, &(sealing).expected_sort_key},                                   \
        {"kms-endpoint-url", 0, CLI_TEXT, &(sealing).kms_endpoint_url},                            \
        CLI_SEALING_OPTIONS(sealing)

/* A table that is open, with the encryptor its items go through. */
struct cli_table {
    struct kb_table *table;
    struct kb_ddbec *ddbec; /* NULL when items are taken as they are */
    struct cli_session session;
    struct kb_stream *stream;
};

/* The table alone, for verbs that need no encryptor. */
KB_MUST_CHECK enum kb_status cli_table_only(struct kb_table **out, struct cli *cli,
                                            const char *where, const struct cli_remote *remote);

enum cli_table_use {
    CLI_TABLE_PLAIN, /* items as they are: no encryptor */
    CLI_TABLE_READ,
    CLI_TABLE_WRITE,
};

KB_MUST_CHECK enum kb_status cli_table_open(struct cli_table *out, struct cli *cli,
                                            const char *where, struct cli_sealing *sealing,
                                            enum cli_table_use use);

/* A stream to or from the table; `options.workers` is filled in. */
KB_MUST_CHECK enum kb_status cli_table_stream(struct cli_table *table, struct cli *cli,
                                              const struct cli_sealing *sealing,
                                              struct kb_stream_options options);
void cli_table_close(struct cli_table *table);

/* Puts what came out of a batch into the table in one call; an item the table
 * does not take gets an error and the others go in. `dry`: only looks whether
 * it would take them. */
KB_MUST_CHECK enum kb_status cli_table_put(struct kb_table *table, struct kb_line *lines, size_t n,
                                           bool dry, struct kb_error *err);

/* A batch of items that are stored as they are. Zero but for `text.max`. */
struct cli_plain {
    struct kb_line lines[KB_LINES_MAX];
    size_t count;
    struct kb_buffer text;
};
enum { CLI_PLAIN_BYTES = KB_LINES_MAX * 5 * 1024 * 1024 };

/* Adds an item (copied); the batch is sent when it is full. */
KB_MUST_CHECK enum kb_status cli_plain_put(struct cli_plain *plain, uint64_t number,
                                           struct kb_bytes item,
                                           const struct kb_stream_options *to,
                                           struct kb_error *err);
/* Sends what there is to the sink, as a stream does. */
KB_MUST_CHECK enum kb_status cli_plain_drain(struct cli_plain *plain,
                                             const struct kb_stream_options *to,
                                             struct kb_error *err);

enum kb_status cli_table_create(struct cli *cli, int argc, char **argv);
enum kb_status cli_table_describe(struct cli *cli, int argc, char **argv);
enum kb_status cli_table_set_sse(struct cli *cli, int argc, char **argv);
enum kb_status cli_table_load(struct cli *cli, int argc, char **argv);
enum kb_status cli_table_get(struct cli *cli, int argc, char **argv);
enum kb_status cli_table_query(struct cli *cli, int argc, char **argv);
enum kb_status cli_table_scan(struct cli *cli, int argc, char **argv);

#endif
