/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside the item encryptor: its configuration, a worker's state, and the
 * steps that encrypt.c and decrypt.c share.
 */
#ifndef KB_DDBEC_DDBEC_H
#define KB_DDBEC_DDBEC_H

#include "attr/attr.h"
#include "ddbec/spec.h"
#include "provider/provider.h"

#include <keybridge/ddbec.h>
#include <stdatomic.h>

/* --- header.c: the material description ------------------------------------ */

/* Appends the serialized description: version, then each entry's name and
 * value, in the order given. */
void kb_description_write(struct kb_buffer *out, const struct kb_pair *entries, size_t count);

/* Entries in their order, views into `bytes`, the array in the arena. Refuses
 * another version, truncation, bad UTF-8, more than KB_ENTRIES_MAX entries. */
KB_MUST_CHECK enum kb_status kb_description_read(struct kb_pair **entries, size_t *count,
                                                 struct kb_bytes bytes, struct kb_arena *arena,
                                                 struct kb_error *err);

/* --- actions.c -------------------------------------------------------------- */

struct kb_action_entry {
    struct kb_bytes name;
    enum kb_action action;
};

struct kb_actions {
    enum kb_action fallback;
    struct kb_action_entry *entries; /* sorted by name */
    size_t count;
    size_t room;
    struct kb_arena memory;
};

enum kb_action kb_actions_get(const struct kb_actions *actions, struct kb_bytes name);
bool kb_actions_has(const struct kb_actions *actions, struct kb_bytes name);
KB_MUST_CHECK enum kb_status kb_actions_set(struct kb_actions *actions, struct kb_bytes name,
                                            enum kb_action action, struct kb_error *err);
/* True when no attribute whatever is signed or encrypted. */
bool kb_actions_take_none(const struct kb_actions *actions);

/* --- configuration ---------------------------------------------------------- */

struct kb_ddbec {
    atomic_uint references;
    struct kb_provider *provider;
    struct kb_actions *actions; /* key attributes resolved */
    struct kb_actions *keys;    /* has the key attributes */
    bool exact_numbers;
    bool takes_no_action;
    struct kb_arena memory; /* of the texts below */
    struct kb_bytes description_attribute;
    struct kb_bytes signature_attribute;
    struct kb_scope scope; /* table name and key attributes */
    uint8_t table_hash[KB_SHA256_SIZE];
    uint8_t encrypted_hash[KB_SHA256_SIZE]; /* of the markers */
    uint8_t signed_hash[KB_SHA256_SIZE];
    /* The description we write, around the wrapped key's text. */
    struct kb_buffer before_wrapped;
    struct kb_buffer after_wrapped;
    bool has_wrapped;
};

/* --- worker ------------------------------------------------------------------ */

/* An attribute name met before: its action and hash. */
struct kb_name {
    struct kb_bytes name;
    uint32_t hash;
    enum kb_action action;
    uint8_t sha256[KB_SHA256_SIZE];
};

enum { KB_NAME_SLOTS = 1024, KB_NAME_PROBES = 8, KB_NAME_BYTES_MAX = 1024 };

/* An attribute of an item that has an action. */
struct kb_target {
    struct kb_member *member;
    struct kb_name name;
};

/* An item on its way through a worker. */
struct kb_job {
    struct kb_line *line;
    struct kb_item item;
    struct kb_target *targets; /* attributes that are signed */
    size_t target_count;
    size_t encrypt_count; /* of them, those that are encrypted */
    struct kb_bytes signature;
    struct kb_materials materials;
};

struct kb_worker {
    struct kb_ddbec *ddbec;
    struct kb_work work; /* its arena holds the batch */
    struct kb_buffer out;
    struct kb_buffer scratch;
    struct kb_buffer strings_to_sign;
    struct kb_name *names; /* cache, KB_NAME_SLOTS */
    struct kb_arena name_memory;
    size_t name_bytes;
    struct kb_job *jobs;   /* KB_LINES_MAX */
    size_t job_count;
};

/* Begins a batch: nothing of the last one is valid any more. */
void kb_worker_reset(struct kb_worker *worker);

/* Parses a line into the next job, with its targets; false when the line has
 * an error now, *status when the run has one. */
bool kb_worker_take(struct kb_worker *worker, struct kb_line *line, enum kb_status *status,
                    struct kb_error *err);

/* Marks an item as not to be trusted: one text for every cause. */
void kb_line_refuse(struct kb_line *line);

/* Puts the item's JSON behind what is in worker->out, and remembers where; the
 * views are set by kb_worker_publish, once `out` stopped moving. */
void kb_worker_format(struct kb_worker *worker, struct kb_job *job);
KB_MUST_CHECK enum kb_status kb_worker_publish(struct kb_worker *worker, struct kb_error *err);

/* --- string_to_sign.c --------------------------------------------------------- */

/* Appends the job's string to sign to worker->strings_to_sign. */
KB_MUST_CHECK enum kb_status kb_string_to_sign(struct kb_worker *worker, struct kb_job *job,
                                               enum kb_attr_dialect dialect, bool number_exact,
                                               struct kb_error *err);

/* Bits of enum kb_attr_difference over everything the job's signature covers. */
unsigned kb_signed_difference(const struct kb_job *job);

#endif
