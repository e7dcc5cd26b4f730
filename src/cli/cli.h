/* SPDX-License-Identifier: Apache-2.0
 *
 * The command's own small parts. Commands use libkeybridge's public headers
 * only.
 */
#ifndef KB_CLI_CLI_H
#define KB_CLI_CLI_H

#include <keybridge/keybridge.h>

#include <stdio.h>
#include <sys/types.h>

#include <cjson/cJSON.h>

struct cli_verb;
struct cli_capture;

/* What every command has: settings and global options. */
struct cli {
    const struct cli_verb *verb;
    struct kb_config *config;
    bool json;
    bool quiet;
    unsigned verbose;
    struct cli_capture *capture; /* aws-policy: options are noted, nothing is run */
    struct kb_error error; /* of the command that runs */
};

/* One verb of a noun. `run` gets the arguments behind the verb and returns a
 * status; its error is in cli->error. */
struct cli_verb {
    const char *noun;
    const char *verb; /* "" for a noun that is a command itself */
    const char *synopsis;
    const char *summary;
    enum kb_status (*run)(struct cli *cli, int argc, char **argv);
};

extern const struct cli_verb cli_init_verbs[], cli_token_verbs[], cli_key_verbs[],
    cli_item_verbs[], cli_table_verbs[], cli_envelope_verbs[], cli_kms_verbs[],
    cli_policy_verbs[], cli_config_verbs[], cli_vault_verbs[], cli_s3_verbs[];

/* The verb that argv[*at] and what follows name; *at goes behind its words.
 * NULL when there is none. */
const struct cli_verb *cli_verb_find(int argc, char **argv, int *at);

/* --- options ------------------------------------------------------------------ */

struct cli_list {
    const char **items;
    size_t count;
};

enum cli_kind { CLI_FLAG, CLI_TEXT, CLI_LIST };

struct cli_option {
    const char *name;
    char letter; /* 0: none */
    enum cli_kind kind;
    void *target; /* bool *, const char **, struct cli_list * by kind */
};

/* Parses the verb's options and the global ones, which may stand anywhere, and
 * leaves the other arguments in argv[0..*count). At least `least` and at most
 * `most` of them: KB_ERR_USAGE. `options` ends with a NULL name. */
KB_MUST_CHECK enum kb_status cli_parse(struct cli *cli, int argc, char **argv,
                                       const struct cli_option *options, int least, int most,
                                       int *count);
void cli_list_free(struct cli_list *list);
KB_MUST_CHECK enum kb_status cli_list_add(struct cli *cli, struct cli_list *list, const char *item);

/* What a command line asks for, without running it. */
struct cli_capture {
    bool done;
    const char *part;                 /* words that follow the verb's, as of s3 bucket, or NULL */
    const struct cli_option *options; /* of the verb; alive during `take` only, */
    char *const *arguments;           /* and so is what is no option */
    int count;
    void (*take)(struct cli_capture *capture);
    void *ctx;
};
/* The value of an option in a capture, NULL without one; "" for a flag, and for
 * a list that has something. */
const char *cli_capture_value(const struct cli_capture *capture, const char *name);

/* Lower-case hexadecimal digits and their end; `out` has room for 2 * bytes.size + 1. */
void cli_hex(char *out, struct kb_bytes bytes);
/* The value of a hexadecimal digit of either case, or -1. */
int cli_hex_value(char digit);
/* A number from `least` to `most` in decimal digits; NULL leaves *out. `option`
 * is for the message. */
KB_MUST_CHECK enum kb_status cli_number(struct cli *cli, const char *option, const char *text,
                                        uint64_t least, uint64_t most, uint64_t *out);
/* --range: "FIRST-LAST" or "FIRST-", with *last UINT64_MAX. */
KB_MUST_CHECK enum kb_status cli_range(struct cli *cli, const char *text, uint64_t *first,
                                       uint64_t *last);
/* --policy of commitment; NULL leaves *out. */
KB_MUST_CHECK enum kb_status cli_commitment(struct cli *cli, const char *text,
                                            enum kb_commitment *out);
/* "name=value" texts as pairs, at most `most`; views of the list's texts. */
KB_MUST_CHECK enum kb_status cli_pairs(struct cli *cli, const char *option,
                                       const struct cli_list *list, struct kb_pair *out,
                                       size_t most);

/* "keybridge NOUN VERB --help" as the error's hint. */
void cli_hint_help(struct cli *cli);

/* Splits "a,b,c" at commas into a list over `text`, which it changes. */
KB_MUST_CHECK enum kb_status cli_split(struct cli *cli, struct cli_list *out, char *text);
/* Splits a command line as a shell does, without its expansions, in place; false
 * for a quote without an end or more than `most` words. */
bool cli_words(char *text, char **words, int most, int *count);

/* --- talk ------------------------------------------------------------------------ */

/* "keybridge: …" on standard error. */
void cli_say(const char *format, ...) KB_PRINTF(1, 2);
/* The same unless --quiet. */
void cli_note(const struct cli *cli, const char *format, ...) KB_PRINTF(2, 3);
/* A line on standard output, for people. Use it for every text that a server, a
 * token or a file says: what could steer a terminal becomes '?'. The newline is
 * added. */
void cli_print(const char *format, ...) KB_PRINTF(1, 2);
/* Seconds since 1970 as ISO 8601 in UTC. */
enum { CLI_TIME_ROOM = 24 };
void cli_time(char out[CLI_TIME_ROOM], int64_t seconds);
/* Sentence, and hint if there is one. */
void cli_say_error(const struct kb_error *error);

/* True when the answer on the terminal is yes; false without a terminal. */
bool cli_ask(const char *question);

/* Prints the text of a JSON value and a newline on standard output. Names of
 * files may be any bytes: what is not UTF-8 becomes U+FFFD, and what turns text
 * around on a terminal is escaped. */
KB_MUST_CHECK enum kb_status cli_put_json(struct cli *cli, struct kb_bytes text);
/* The same of a value, which is freed. */
KB_MUST_CHECK enum kb_status cli_print_json(struct cli *cli, cJSON *json);

/* Writes to standard output. */
KB_MUST_CHECK enum kb_status cli_put(struct cli *cli, struct kb_bytes bytes);

/* A counter on the terminal for work that takes longer than a second, with a
 * bar when it is known how much there is to read. */
struct cli_progress {
    const char *what; /* "items encrypted" */
    uint64_t count;
    uint64_t retries;
    uint64_t total; /* bytes of the file; 0: not known */
    uint64_t done;  /* bytes of it, which the caller sets */
    bool active;
    bool shown;
    struct timespec started;
    struct timespec last;
};
void cli_progress_start(struct cli_progress *progress, const struct cli *cli, const char *what);
/* Shows how much of a file is read; what is no regular file gives no bar. */
void cli_progress_file(struct cli_progress *progress, int fd);
void cli_progress_add(struct cli_progress *progress, uint64_t count);
/* Items a second since the start. */
double cli_progress_rate(const struct cli_progress *progress);
void cli_progress_end(struct cli_progress *progress);

/* --- token ------------------------------------------------------------------------- */

/* Opens the configured token with its PIN: from a file, or asked on the
 * terminal. The caller closes the keystore and then frees the PIN. */
struct cli_session {
    struct kb_keystore *keystore;
    struct kb_token *token; /* a lease for single calls, of cli_session_open_token */
    struct kb_secret *pin;
    struct kb_kms *kms; /* --provider kms: in place of a token */
};
KB_MUST_CHECK enum kb_status cli_session_open(struct cli_session *session, struct cli *cli);
/* The same, with a lease of a token for single calls. */
KB_MUST_CHECK enum kb_status cli_session_open_token(struct cli_session *session, struct cli *cli);
void cli_session_close(struct cli_session *session);

/* Creates default-wrap and default-sign if they are missing. */
KB_MUST_CHECK enum kb_status cli_create_default_keys(struct cli *cli, struct kb_token *token);

/* A table of trials, or its JSON; *good tells whether all are. */
KB_MUST_CHECK enum kb_status cli_print_trials(struct cli *cli, const struct kb_token_trial *trials,
                                              size_t count, bool *good);

/* --- AWS ------------------------------------------------------------------------------ */

/* Options that say how AWS is reached. */
struct cli_remote {
    const char *endpoint_url;
    const char *region;
    const char *profile;
    const char *ca_file;
    const char *connections;
};
#define CLI_REMOTE_OPTIONS(r)                                                                      \
    {"endpoint-url", 0, CLI_TEXT, &(r).endpoint_url}, {"region", 0, CLI_TEXT, &(r).region},        \
        {"profile", 0, CLI_TEXT, &(r).profile}, {"ca-file", 0, CLI_TEXT, &(r).ca_file},            \
        {"connections", 0, CLI_TEXT, &(r).connections}

/* Options over settings; what neither has is left to AWS's own chain. Views
 * into the config. */
KB_MUST_CHECK enum kb_status cli_remote_resolve(struct cli *cli, const struct cli_remote *remote,
                                                struct kb_aws_options *out);

/* The same for KMS and a key of it: the key's ARN, if it is one, says in which
 * region it is. */
struct cli_kms_remote {
    struct kb_aws_options aws;
    char region[64];
};
KB_MUST_CHECK enum kb_status cli_remote_resolve_kms(struct cli *cli,
                                                    const struct cli_remote *remote,
                                                    const char *key, struct cli_kms_remote *out);

/* --- encryptor ----------------------------------------------------------------------- */

/* Options that say how items are encrypted, shared by item and table. */
struct cli_sealing {
    const char *format;
    struct cli_remote remote;
    const char *table;       /* item: signed name; table: the name that is expected */
    const char *signed_name; /* --signed-name */
    const char *partition_key;
    const char *sort_key;
    const char *expected_partition_key; /* table: --partition-key, --sort-key */
    const char *expected_sort_key;
    const struct kb_table_schema *schema; /* of the table, NULL for items without one */
    bool writing;                         /* to the table */
    struct cli_list index_keys;
    const char *provider;
    const char *wrap_key;
    const char *sign_key;
    const char *content_key;
    const char *kms_key;
    const char *kms_endpoint_url; /* table: KMS's own, before that of `remote` */
    struct cli_list grant_tokens;
    const char *sign_algorithm;
    const char *wrap_algorithm;
    const char *content_key_bits;
    const char *actions;
    struct cli_list description;
    const char *description_attribute;
    const char *signature_attribute;
    const char *workers;
    bool exact_numbers;
};
/* Rows for an option table: `s` is a struct cli_sealing. */
#define CLI_SEALING_OPTIONS(s)                                                                     \
    CLI_REMOTE_OPTIONS((s).remote), {"signed-name", 0, CLI_TEXT, &(s).signed_name},                \
        {"kms-key", 0, CLI_TEXT, &(s).kms_key},                                                    \
        {"grant-token", 0, CLI_LIST, &(s).grant_tokens},                                           \
        {"wrap-alg", 0, CLI_TEXT, &(s).wrap_algorithm},                                            \
        {"index-key", 0, CLI_LIST, &(s).index_keys}, {"provider", 0, CLI_TEXT, &(s).provider},     \
        {"wrap-key", 0, CLI_TEXT, &(s).wrap_key}, {"sign-key", 0, CLI_TEXT, &(s).sign_key},        \
        {"content-key", 0, CLI_TEXT, &(s).content_key},                                            \
        {"sign-alg", 0, CLI_TEXT, &(s).sign_algorithm},                                            \
        {"content-key-bits", 0, CLI_TEXT, &(s).content_key_bits},                                  \
        {"actions", 0, CLI_TEXT, &(s).actions}, {"description", 0, CLI_LIST, &(s).description},    \
        {"description-attribute", 0, CLI_TEXT, &(s).description_attribute},                        \
        {"signature-attribute", 0, CLI_TEXT, &(s).signature_attribute},                            \
        {"exact-numbers", 0, CLI_FLAG, &(s).exact_numbers},                                        \
        {"workers", 0, CLI_TEXT, &(s).workers}
void cli_sealing_free(struct cli_sealing *sealing);

/* Refuses options that ask for encryption where there is none: KB_ERR_USAGE. */
KB_MUST_CHECK enum kb_status cli_sealing_check_unused(struct cli *cli,
                                                      const struct cli_sealing *sealing);

/* The encryptor those options and the settings describe. Keys of the indexes
 * of `schema` become index keys. */
KB_MUST_CHECK enum kb_status cli_sealing_open(struct kb_ddbec **out, struct cli *cli,
                                              struct cli_sealing *sealing,
                                              struct cli_session *session);

/* Worker count from --workers or the settings. */
KB_MUST_CHECK enum kb_status cli_sealing_workers(struct cli *cli, const struct cli_sealing *sealing,
                                                 unsigned *out);

/* --- signals --------------------------------------------------------------------------- */

/* From now on SIGHUP, SIGINT, SIGTERM and SIGPIPE do not end the process but
 * are for cli_stopped: for work that leaves files to be removed and never waits
 * for long but in poll. */
KB_MUST_CHECK enum kb_status cli_stop_catch(struct kb_error *err);
/* Readable once a signal was caught, for poll; -1 when none is. */
int cli_stop_fd(void);
/* KB_ERR_SYSTEM once a signal was caught. */
KB_MUST_CHECK enum kb_status cli_stopped(struct kb_error *err);
/* For those who wait for input that somebody else may want no more: a descriptor to
 * close, and what any thread says so by. */
KB_MUST_CHECK enum kb_status cli_quit_open(int *out, struct kb_error *err);
void cli_quit(int quit);
/* Waits until there is something to read, or the end; not behind a signal that was
 * caught, nor once cli_quit was called (NULL: nobody does): KB_ERR_SYSTEM. */
KB_MUST_CHECK enum kb_status cli_await(int fd, const int *quit, struct kb_error *err);
/* Ends the process by the signal that was caught, if one was. */
void cli_stop_end(void);

/* The exit status of a program that ran in our place, ours unless something else fails. */
void cli_pass_on(int code);

/* --- lines ----------------------------------------------------------------------------- */

/* Calls `line` for each line of a file (NULL: standard input) that is not
 * blank, with its number from 1; before it would have to wait for more input,
 * calls `pause`. */
KB_MUST_CHECK enum kb_status cli_each_line(struct cli *cli, const char *path,
                                           enum kb_status (*line)(void *ctx, uint64_t number,
                                                                  struct kb_bytes text),
                                           enum kb_status (*pause)(void *ctx), void *ctx);

/* The permissions of a new file that is not private. */
mode_t cli_usual_mode(void);

/* Where lines go: a file that appears whole (-o), or standard output. */
struct cli_output {
    struct cli *cli;
    struct kb_outfile *file;
    struct kb_buffer buffer;
};
KB_MUST_CHECK enum kb_status cli_output_open(struct cli_output *output, struct cli *cli,
                                             const char *path, bool private_file);
KB_MUST_CHECK enum kb_status cli_output_line(struct cli_output *output, struct kb_bytes line);
KB_MUST_CHECK enum kb_status cli_output_flush(struct cli_output *output);
/* Publishes a file, or throws it away. */
KB_MUST_CHECK enum kb_status cli_output_close(struct cli_output *output, bool publish);

/* Items that came through and items that failed. */
struct cli_counts {
    uint64_t good;
    uint64_t bad;
};
/* What the counts mean for the command: KB_OK, KB_ERR_PARTIAL (some good), or
 * KB_ERR_INPUT (none good). Sets the error's sentence; `noun` is what one of
 * them is called. */
enum kb_status cli_counts_status(struct cli *cli, const struct cli_counts *counts,
                                 const char *noun);

#endif
