/* SPDX-License-Identifier: Apache-2.0
 *
 * keybridge envelope: what its parts share. Options become a struct envelope;
 * every message that is written or read is a struct envelope_file; a batch of
 * them goes through the token together.
 */
#ifndef KB_CLI_ENVELOPE_H
#define KB_CLI_ENVELOPE_H

#include "cli/cli.h"
#include "cli/s3.h"

#include <sys/stat.h>
#include <sys/types.h>

enum {
    ENVELOPE_BATCH = 64,       /* files whose data keys are wrapped or unwrapped in one call */
    ENVELOPE_HEAD = 64 * 1024, /* bytes of a message read at once until its header is whole */
};

enum envelope_work { ENVELOPE_ENCRYPT, ENVELOPE_DECRYPT, ENVELOPE_REWRAP };

/* The options as they were given. */
struct envelope_options {
    struct cli_list keys, keyrings;
    struct cli_list to_keys, to_keyrings;
    struct cli_list context;
    struct cli_list not_stored;
    struct cli_list require;
    const char *context_file;
    const char *suite;
    const char *frame_length;
    const char *policy;
    const char *max_edks;
    const char *range;
    const char *in;
    const char *out;
    const char *suffix;
    const char *workers;
    bool unsigned_only;
    bool allow_unverified;
    bool recursive;
    bool yes;
};

/* Keyrings of one side: who opens, or who is written for. */
struct envelope_ring;

struct envelope {
    struct cli *cli;
    enum envelope_work work;
    struct envelope_options options;
    struct s3_options s3; /* of messages that are objects */

    enum kb_commitment policy;
    uint16_t suite;        /* 0: the default */
    uint32_t frame_length; /* 0: the default */
    unsigned max_edks;
    unsigned workers;
    bool ranged;
    uint64_t first, last; /* of the range */
    cJSON *context_file;
    struct kb_pair *context; /* of --context and --context-file */
    size_t context_count;
    struct kb_bytes *not_stored;
    struct kb_pair *required;

    struct envelope_ring *ring;    /* of --key and --keyring */
    struct envelope_ring *to_ring; /* of --to-key and --to-keyring */
    struct cli_session session;
    struct kb_esdk *from; /* opens messages; NULL to encrypt, and before the token is open */
    struct kb_esdk *to;   /* writes messages; NULL to decrypt */

    struct envelope_pump *pump;
    struct cli_progress progress;
    bool many;  /* files that are named, not one stream */
    bool alone; /* but only one, which speaks for itself */
    struct cli_counts counts;
    uint64_t passed_over;
    enum kb_status failure; /* of all files that failed; KB_ERR_INPUT when they differ */
    char hint[sizeof((struct kb_error *)NULL)->hint]; /* the last that was given */
};

/* Holds the options against each other and reads the files they name. */
KB_MUST_CHECK enum kb_status envelope_prepare(struct envelope *envelope);
/* Opens the token and the keyrings, the first time it is called. */
KB_MUST_CHECK enum kb_status envelope_open(struct envelope *envelope);
void envelope_clear(struct envelope *envelope);

/* --- one message ------------------------------------------------------------------- */

struct envelope_file {
    char *in_path;  /* owned; NULL: standard input */
    char *out_path; /* owned; NULL: standard output */
    int in;
    const int *quit; /* for cli_await; NULL: all input is wanted */
    mode_t mode;   /* of the input */
    uint64_t size; /* of the input; UINT64_MAX when nobody knows */
    struct kb_outfile *out;
    bool stream;    /* what is written cannot be taken back */
    bool no_follow; /* found in a tree: a link in its place is not followed */
    struct kb_esdk_message *from, *to;
    uint8_t *head; /* ENVELOPE_HEAD bytes, owned: what was read with the header and is not taken */
    size_t head_start, head_end;
    uint64_t read, written; /* bytes */
    uint16_t suite;         /* of the message that was worked on, as are the recipients */
    size_t recipients;
    struct kb_error error;  /* what is wrong with it */
    bool ends_run;          /* and with all that would follow */
};

/* Opens the input, with more flags of open(2), and tells what is opened.
 * Failures are in file->error. */
KB_MUST_CHECK enum kb_status envelope_file_open_in(struct envelope_file *file, int flags,
                                                   struct stat *opened);
/* Input and output, held against each other. Failures are in file->error. */
void envelope_file_open(struct envelope *envelope, struct envelope_file *file);
/* Starts reading a message, up to the end of its header. */
void envelope_file_head(struct envelope *envelope, struct envelope_file *file);
/* Goes to the range of an unlocked message. */
void envelope_file_seek(struct envelope *envelope, struct envelope_file *file);
/* Starts the new message of a rewrapped one. */
void envelope_file_reseal(struct envelope *envelope, struct envelope_file *file);
/* Reads up to `room` bytes of the input, none at its end. */
KB_MUST_CHECK enum kb_status envelope_file_read(struct envelope_file *file, uint8_t *out,
                                                size_t room, size_t *size, struct kb_error *err);
void envelope_file_clear(struct envelope_file *file);
const char *envelope_file_name(const struct envelope_file *file);

/* Moves the rest of a message through; failures are in file->error. */
void envelope_pump(struct envelope *envelope, struct envelope_file *file);
void envelope_pump_free(struct envelope_pump *pump);

/* --- many --------------------------------------------------------------------------- */

/* Works on up to ENVELOPE_BATCH files, publishes those that came through, and
 * names those that did not. A failure ends the run. */
KB_MUST_CHECK enum kb_status envelope_batch(struct envelope *envelope,
                                            struct envelope_file *files, size_t n);
/* One that could not be worked on: "path: sentence", so that the sentence does
 * not name it. */
void envelope_failed(struct envelope *envelope, const char *path, const struct kb_error *error);
/* What the counts mean; a file that is alone has said so itself. */
enum kb_status envelope_status(struct envelope *envelope);

/* Works on the files that are named, or on the trees. */
KB_MUST_CHECK enum kb_status envelope_files(struct envelope *envelope, char **paths, int count);

/* A message that is an object: -o s3://…, -i s3://…. */
bool envelope_is_s3(const char *path);
KB_MUST_CHECK enum kb_status envelope_s3(struct envelope *envelope);

/* Refuses a name without a character: KB_ERR_USAGE. */
KB_MUST_CHECK enum kb_status envelope_check_name(struct cli *cli, const char *path);
enum kb_status envelope_inspect(struct cli *cli, int argc, char **argv);

#endif
