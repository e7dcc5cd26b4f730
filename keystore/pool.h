/* SPDX-License-Identifier: Apache-2.0
 *
 * The client's inside: helper processes, and calls to them.
 */
#ifndef KB_KEYSTORE_POOL_H
#define KB_KEYSTORE_POOL_H

#include <pthread.h>
#include <sys/types.h>

#include "keystore/counts.h"
#include "keystore/protocol.h"

struct kb_keystore {
    struct kb_keystore_options options; /* strings owned, PIN borrowed */
    struct kb_token_info info; /* once `known`, which is under `login` */
    bool known;
    pthread_mutex_t lock;  /* idle, epoch */
    pthread_mutex_t login; /* one helper logs in at a time */
    bool pin_refused;      /* under `login`: a PIN is never tried twice */
    struct kb_token *idle;
    unsigned epoch; /* counts changes of keys; helpers keep what they looked up */
    struct kb_counts *counts;
};

enum { KB_COUNT_NAME_ROOM = 264 };

/* The envelope key that was used last, and what it is counted under. */
struct kb_counted_key {
    char name[256]; /* as asked for; "" when it has to be looked up */
    char under[KB_COUNT_NAME_ROOM];
    unsigned epoch;
    int64_t until; /* kb_clock_ms */
};

struct kb_token {
    struct kb_keystore *keystore;
    struct kb_token *next;
    pid_t pid; /* 0: no helper now */
    int fd;
    unsigned epoch;
    unsigned objects;  /* session objects this helper has made */
    unsigned handles;  /* data keys it holds for the caller */
    uint16_t helpers;  /* helpers so far; the upper half of a handle, so that one
                          of a lost helper cannot name another key */
    struct kb_buffer out;
    struct kb_buffer in;
    struct kb_buffer texts; /* results of kb_token_cipher */
    struct kb_counted_key counted;
};

enum kb_repeat {
    KB_REPEAT,  /* once more with a new helper when this one is lost */
    KB_COUNTED, /* so too, and encryptions are counted again before: both may have done them */
    KB_CHANGES, /* changes the token: only when the old helper surely did nothing */
    KB_ONCE,    /* never: it uses handles, which are lost with their helper */
};

/* Sends the request and waits for the answer; *payload borrows from
 * token->in. Starts or replaces the helper as needed. */
KB_MUST_CHECK enum kb_status kb_token_call(struct kb_token *token, const struct kb_request *request,
                                           enum kb_repeat repeat, struct kb_reader *payload,
                                           struct kb_error *err);

/* Wraps n (at most KB_TOKEN_BATCH_MAX) values of `size` bytes, one behind the
 * other in `plain` at KB_TOKEN_DATA_KEY_MAX bytes each: sets status, algorithm,
 * size and wrapped, and no handle. */
KB_MUST_CHECK enum kb_status kb_token_wrap_keys(struct kb_token *token,
                                                const struct kb_data_key_spec *spec,
                                                struct kb_data_key *keys, size_t n,
                                                const struct kb_secret *plain,
                                                struct kb_error *err);

/* Counts n encryptions by a key, before they are asked for. */
KB_MUST_CHECK enum kb_status kb_token_count(struct kb_token *token, const char *key, size_t n,
                                            struct kb_error *err);

/* Ends the helper and gives the error for an answer that makes no sense. */
enum kb_status kb_token_nonsense(struct kb_token *token, struct kb_error *err);

/* A helper with the module loaded but no token chosen, for TOKENS and
 * INIT_TOKEN; ends with kb_token_free. */
KB_MUST_CHECK enum kb_status kb_token_open_module(struct kb_token **out,
                                                  struct kb_keystore *keystore,
                                                  struct kb_error *err);
void kb_token_free(struct kb_token *token);

/* What a key is counted under: its version and, when another program made it,
 * what it has of names. */
void kb_key_count_name(char out[KB_COUNT_NAME_ROOM], const struct kb_key_info *info);

/* For tests: the helper's process. */
pid_t kb_token_pid(const struct kb_token *token);

/* --- processes (process.c) ----------------------------------------------------- */

/* Runs `path` with a socket as its standard input and output. */
KB_MUST_CHECK enum kb_status kb_process_start(const char *path, const char *softhsm2_conf,
                                              pid_t *pid, int *fd, struct kb_error *err);
/* Closes our end, waits up to two seconds for the process to end, then kills. */
void kb_process_stop(pid_t pid, int fd);
void kb_process_kill(pid_t pid, int fd);

/* --- softhsm.c --------------------------------------------------------------- */

/* Held while a helper starts, so that only one at a time logs in to the tokens
 * of one SoftHSM configuration; repairs what a killed one left. A descriptor to
 * close, or -1 when there is nothing to lock. */
int kb_softhsm_lock(const struct kb_keystore_options *options);

/* Saves the files of the configuration's tokens, which kb_softhsm_lock goes
 * back to; after a token was made. */
void kb_softhsm_save(const struct kb_keystore_options *options);

#endif
