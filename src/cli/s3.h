/* SPDX-License-Identifier: Apache-2.0
 *
 * keybridge s3: what its verbs share. Options become a struct s3; s3_open opens
 * what they need and nothing else.
 */
#ifndef KB_CLI_S3_H
#define KB_CLI_S3_H

#include "cli/cli.h"

#include <pthread.h>

struct s3_options {
    struct cli_remote remote;
    const char *style;         /* auto, path, virtual */
    const char *encryption;    /* sse-c, client, client-envelope, sse-s3, sse-kms, none */
    const char *vault_key;     /* SSE-C: name or id of a key of the vault */
    const char *key_per;       /* object, prefix */
    bool with_sse_c;           /* --sse-c: beneath client-side encryption */
    const char *key;           /* token key of client and client-envelope */
    const char *client_format; /* v2, v3 */
    bool instruction_file;
    struct cli_list description;
    struct cli_list context;   /* client-envelope */
    bool legacy_wrapping, legacy_unauthenticated;
    const char *policy;        /* commitment */
    const char *kms_key;
    struct cli_list kms_context;
    bool bucket_key;
    struct cli_list metadata;
    struct cli_list tags;
    const char *content_type;
    const char *storage_class;
    const char *part_size;     /* bytes, or with K, M, G */
    const char *version;       /* --version-id */
    const char *range;
    const char *out;
    bool resume;
    bool sign_payload;
    bool new_only;             /* --if-none-match */
    bool recursive;
    bool versions;
    bool try_all_keys;
    bool raw;
    bool yes;
};
/* Rows of option tables: how the server is reached, ... */
#define S3_REMOTE_OPTIONS(o)                                                                       \
    CLI_REMOTE_OPTIONS((o).remote), {"style", 0, CLI_TEXT, &(o).style}
/* ... and how keys for reading are found. */
#define S3_OPENING_OPTIONS(o)                                                                      \
    {"key", 0, CLI_TEXT, &(o).key},                                                                \
        {"context", 'c', CLI_LIST, &(o).context}, {"policy", 0, CLI_TEXT, &(o).policy},            \
        {"legacy-wrapping", 0, CLI_FLAG, &(o).legacy_wrapping},                                    \
        {"legacy-unauthenticated", 0, CLI_FLAG, &(o).legacy_unauthenticated},                      \
        {"try-all-keys", 0, CLI_FLAG, &(o).try_all_keys}
/* Of one object. */
#define S3_READING_OPTIONS(o)                                                                      \
    S3_OPENING_OPTIONS(o), {"vault-key", 0, CLI_TEXT, &(o).vault_key},                             \
        {"version-id", 0, CLI_TEXT, &(o).version}

/* Everything that is open. */
struct s3 {
    struct cli *cli;
    bool open;
    struct s3_options options;
    enum kb_object_encryption encryption;
    struct cli_session session;
    struct kb_s3 *client;
    struct kb_vault *vault;  /* NULL when it is not needed, or there is none to read from */
    struct kb_s3ec *s3ec;    /* NULL without --key */
    struct kb_esdk *esdk;    /* NULL without --key */
    struct kb_objects *objects;
    struct kb_pair *metadata, *description, *context, *kms_context; /* of the options */
    struct kb_buffer tags; /* of the options, as in a URL's query */
    uint64_t part_size;
    struct cli_progress progress;
    pthread_mutex_t lock; /* of the progress, and of what is said */
    bool streams;         /* it only prints: there is nothing to undo, and a write may wait, so that
                             signals are not caught; set before s3_open */
    bool replaces;        /* files, with --yes: what is there already is said with that hint */
    bool many;            /* objects: each that fails is named, and the others go on */
    struct cli_counts counts;
    enum kb_status failure; /* of all that failed; KB_ERR_INPUT when they differ */
    char hint[sizeof((struct kb_error *)NULL)->hint]; /* the last that was given */
};

enum s3_need {
    S3_NEEDS_NOTHING = 0,   /* the client alone: ls, mb, bucket … */
    S3_NEEDS_TO_READ = 1,   /* the vault when there is one, keys of the token with --key */
    S3_NEEDS_TO_WRITE = 2,  /* what --encryption wants; the vault is made when it is missing */
};
/* Holds the options against each other, then opens. */
KB_MUST_CHECK enum kb_status s3_open(struct s3 *s3, unsigned needs);
void s3_clear(struct s3 *s3);
/* (s3_options.c) Holds the options against each other; s3_open does. */
KB_MUST_CHECK enum kb_status s3_check_options(struct s3 *s3, unsigned needs);

/* Rows of option tables: how new objects are made. */
#define S3_WRITING_OPTIONS(o)                                                                      \
    {"encryption", 0, CLI_TEXT, &(o).encryption}, {"vault-key", 0, CLI_TEXT, &(o).vault_key},      \
        {"key-per", 0, CLI_TEXT, &(o).key_per}, {"key", 0, CLI_TEXT, &(o).key},                    \
        {"sse-c", 0, CLI_FLAG, &(o).with_sse_c},                                                   \
        {"client-format", 0, CLI_TEXT, &(o).client_format},                                        \
        {"instruction-file", 0, CLI_FLAG, &(o).instruction_file},                                  \
        {"description", 0, CLI_LIST, &(o).description},                                            \
        {"context", 'c', CLI_LIST, &(o).context}, {"kms-key", 0, CLI_TEXT, &(o).kms_key},          \
        {"kms-context", 0, CLI_LIST, &(o).kms_context},                                            \
        {"bucket-key", 0, CLI_FLAG, &(o).bucket_key}, {"metadata", 'm', CLI_LIST, &(o).metadata},  \
        {"tag", 0, CLI_LIST, &(o).tags}, {"content-type", 0, CLI_TEXT, &(o).content_type},         \
        {"storage-class", 0, CLI_TEXT, &(o).storage_class},                                        \
        {"part-size", 0, CLI_TEXT, &(o).part_size}

/* s3://bucket/key of an argument; KB_ERR_USAGE when the key is missing and `whole`. The
 * bucket's text is the caller's. */
KB_MUST_CHECK enum kb_status s3_argument(struct s3 *s3, const char *url, bool whole,
                                         char bucket[KB_S3_BUCKET_MAX + 1],
                                         struct kb_s3_name *out);
/* What the options say of new objects; views into *s3. */
KB_MUST_CHECK enum kb_status s3_put_options(struct s3 *s3, struct kb_object_put *out);
KB_MUST_CHECK enum kb_status s3_get_options(struct s3 *s3, struct kb_object_get *out);

/* Whether what is written to the path is out of our hands, as in a pipe. */
bool s3_is_stream(const char *path);
/* A nameless file for plaintext that waits for its tag; the caller closes it. */
KB_MUST_CHECK enum kb_status s3_open_scratch(int *out, struct kb_error *err);

/* --- many objects -------------------------------------------------------------------- */

/* One that could not be worked on: "name: sentence", so that the sentence does not
 * name it. Any thread may call it. */
void s3_failed(struct s3 *s3, const char *name, const struct kb_error *error);
/* What the counts mean. */
enum kb_status s3_status(struct s3 *s3);
/* Calls `work` for 0 to n - 1, by as many threads as there are connections. */
void s3_each(struct s3 *s3, size_t n, void (*work)(void *ctx, size_t at), void *ctx);
/* Adds to the progress, which counts bytes as MiB, or objects; any thread may
 * call it. KB_ERR_SYSTEM once a signal was caught. */
KB_MUST_CHECK enum kb_status s3_progress(struct s3 *s3, uint64_t count, struct kb_error *err);

/* Verbs. */
enum kb_status s3_run_put(struct cli *cli, int argc, char **argv);        /* s3_put.c */
enum kb_status s3_run_get(struct cli *cli, int argc, char **argv);        /* s3_get.c */
enum kb_status s3_run_cat(struct cli *cli, int argc, char **argv);
enum kb_status s3_run_head(struct cli *cli, int argc, char **argv);       /* s3_head.c */
enum kb_status s3_run_ls(struct cli *cli, int argc, char **argv);         /* s3_list.c */
enum kb_status s3_run_rm(struct cli *cli, int argc, char **argv);
enum kb_status s3_run_mb(struct cli *cli, int argc, char **argv);
enum kb_status s3_run_bucket(struct cli *cli, int argc, char **argv);     /* s3_bucket.c */
enum kb_status s3_run_cp(struct cli *cli, int argc, char **argv);         /* s3_rotate.c */
enum kb_status s3_run_rotate(struct cli *cli, int argc, char **argv);
enum kb_status s3_run_verify(struct cli *cli, int argc, char **argv);     /* s3_survey.c */
enum kb_status s3_run_audit(struct cli *cli, int argc, char **argv);
enum kb_status s3_run_with_key(struct cli *cli, int argc, char **argv);   /* s3_with_key.c */

#endif
