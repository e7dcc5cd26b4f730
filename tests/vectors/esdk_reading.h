/* SPDX-License-Identifier: Apache-2.0
 *
 * Messages of vectors in the form of esdk/manifest.json, read with their keys
 * in a token.
 */
#ifndef ESDK_READING_H
#define ESDK_READING_H

#include "backends.h"
#include "esdk_manifest.h"

#include <keybridge/esdk.h>

/* Imports all keys of the manifest that are not there yet. */
void import_keys(enum token_kind kind, json_t *manifest);
/* Of one record of a test's "keyrings", and of all; the caller's. */
struct kb_keyring *raw_keyring(enum token_kind kind, json_t *record);
struct kb_keyring *keyring_of(enum token_kind kind, json_t *test);

/* How a test wants its message read. */
struct manner {
    struct kb_esdk_options options;
    struct kb_esdk_decrypt_options decrypt;
    struct kb_pair reproduced[8], required[8];
};

void take_manner(struct manner *manner, json_t *test);

struct reading {
    struct kb_esdk *esdk;
    const struct manner *manner;
    struct kb_buffer out;
    struct kb_error err;
    enum kb_status status;
};

void reading_begin(struct reading *reading, struct kb_keyring *keyring,
                   const struct manner *manner);
void reading_end(struct reading *reading);

/* The message is the caller's, for kb_esdk_free. What was put out before a
 * failure is in `out`. */
struct kb_esdk_message *read_in(struct reading *reading, struct kb_bytes message, size_t chunk);
void read_all(struct reading *reading, struct kb_bytes message, size_t chunk);

/* What a message may be refused with: it, or what is asked of it; never the
 * token or the machine. */
bool is_refusal(enum kb_status status);

bool is_start_of(struct kb_bytes part, struct kb_bytes whole);

/* A failed assertion, with what there is to say. */
void complain(json_t *test, const struct reading *reading, const char *what);

#endif
