/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of encrypted objects share: customer keys that are in use,
 * rows of the inventory, how an object is protected, and the trial of what was
 * stored.
 */
#ifndef KB_SEALED_OBJECT_H
#define KB_SEALED_OBJECT_H

#include <keybridge/object.h>

enum {
    OBJECT_ROWS_MAX = 64,                  /* rows of one object that are looked at, the newest */
    OBJECT_INSTRUCTION_MAX = 64 * 1024,    /* bytes of an instruction file */
};

/* User metadata that tells a message of the Encryption SDK. */
#define OBJECT_FORMAT_NAME "keybridge-format"
#define OBJECT_FORMAT_ESDK "esdk"
#define OBJECT_INSTRUCTION_SUFFIX ".instruction"
/* User metadata of an instruction file; its value is empty. */
#define OBJECT_INSTRUCTION_NAME "x-amz-crypto-instr-file"

/* Encrypted before it was sent. */
bool object_is_client(enum kb_object_encryption encryption);

struct kb_objects {
    struct kb_s3 *s3;
    struct kb_vault *vault;
    struct kb_s3ec *s3ec;
    struct kb_esdk *esdk;
};

/* --- customer keys (object_key.c) ------------------------------------------------- */

/* A customer key in use. Zero-filled: none. */
struct object_key {
    char id[KB_VAULT_ID_SIZE]; /* "" for one that is not the vault's */
    char fingerprint[KB_S3_FINGERPRINT_SIZE];
    struct kb_secret *plain; /* owned; NULL: none */
};
void object_key_clear(struct object_key *key);
/* What a request has to say for the key; nothing without one. Views of the key. */
struct kb_s3_encryption object_key_encryption(const struct object_key *key);
/* KB_ERR_USAGE, or KB_ERR_NOT_FOUND with a hint, when there is no vault. */
KB_MUST_CHECK enum kb_status object_need_vault(const struct kb_objects *objects,
                                               struct kb_error *err);
/* By id, name or fingerprint; to encrypt it must be active. */
KB_MUST_CHECK enum kb_status object_key_release(struct object_key *out,
                                                const struct kb_objects *objects,
                                                const char *which, bool encrypt,
                                                struct kb_error *err);
/* To decrypt, by the id that a row of the inventory has; less work for the token. */
KB_MUST_CHECK enum kb_status object_key_release_id(struct object_key *out,
                                                   const struct kb_objects *objects,
                                                   const char *id, struct kb_error *err);
/* The key of the longest scope that fits. */
KB_MUST_CHECK enum kb_status object_key_release_scope(struct object_key *out,
                                                      const struct kb_objects *objects,
                                                      const struct kb_s3_name *name, bool encrypt,
                                                      struct kb_error *err);
/* A new key for each of n objects (at most KB_VAULT_BATCH_MAX), durable on KB_OK. */
KB_MUST_CHECK enum kb_status object_key_make(struct object_key **out,
                                             const struct kb_objects *objects,
                                             const struct kb_s3_name *const *names, size_t n,
                                             struct kb_error *err);
/* A copy of a key that is not the vault's. */
KB_MUST_CHECK enum kb_status object_key_copy(struct object_key *out, const struct kb_secret *plain,
                                             struct kb_error *err);

/* --- inventory (object_row.c) --------------------------------------------------------- */

/* A pending row; its texts are the row's, for kb_vault_object_free. */
KB_MUST_CHECK enum kb_status object_row_begin(struct kb_vault_object *out,
                                              const struct kb_objects *objects,
                                              const struct kb_s3_name *name,
                                              enum kb_object_encryption encryption,
                                              const char *key_id, struct kb_error *err);
/* The row of what was stored and proved. */
void object_row_end(struct kb_vault_object *row, const struct kb_object_result *result);

KB_MUST_CHECK enum kb_status object_row_copy(struct kb_vault_object *out,
                                             const struct kb_vault_object *row,
                                             struct kb_error *err);
/* Of this version (NULL: any), or it knows none yet; not of an object that was removed. */
bool object_row_may_be(const struct kb_vault_object *row, const char *version);

struct object_rows {
    struct kb_vault_object *rows; /* newest first, without those of removed objects */
    size_t count;
};
/* Those of one object, or with name->version of that version and those that know none yet.
 * None without a vault. */
KB_MUST_CHECK enum kb_status object_rows_get(struct object_rows *out,
                                             const struct kb_objects *objects,
                                             const struct kb_s3_name *name, struct kb_error *err);
void object_rows_free(struct object_rows *rows);
/* Those that say that this version is stored become removed; *count: how many. */
KB_MUST_CHECK enum kb_status object_rows_remove(const struct object_rows *rows,
                                                const struct kb_objects *objects,
                                                const char *version, size_t *count,
                                                struct kb_error *err);
/* An object from before versioning is shown as "null" later on. */
bool object_same_version(const char *a, const char *b);

/* --- how an object is protected (object_find.c) ------------------------------------------ */

/* Zero-fill; object_found_clear. */
struct object_found {
    struct kb_s3_object head;  /* HEAD, with the key where it needs one */
    enum kb_object_encryption encryption;
    bool customer_key;         /* SSE-C, also beneath client-side encryption */
    bool known;                /* `key` is the one */
    bool refused;              /* HEAD without a key was refused (tried only when no key was found
                                  at once) */
    struct object_key key;
    struct kb_vault_object row; /* of exactly this object, stored, or pending with this key */
    bool has_row;
    bool differs;              /* the inventory has another ETag for this version, or */
    bool replaced;             /* only other versions, and this is the current one */
    struct kb_s3ec_header header; /* CLIENT; views of head and instruction */
    struct kb_buffer instruction; /* text of the instruction file, or empty */
    bool is_instruction;          /* it is itself the instruction file of another object */
};
/* HEADs it with the keys that may be: those that `get` (may be NULL) names, or
 * else of the inventory, of the scope, and with try_all_keys all. An object under a key that
 * is not ours: KB_OK with customer_key and not known, when `tolerant`; else KB_ERR_AUTH. */
KB_MUST_CHECK enum kb_status object_find(struct object_found *out,
                                         const struct kb_objects *objects,
                                         const struct kb_s3_name *name,
                                         const struct kb_object_get *get, bool tolerant,
                                         struct kb_error *err);
void object_found_clear(struct object_found *found);
/* Whether the inventory alone tells how to ask for the object (object_known.c): then row, key and
 * encryption are filled in, and of the head ETag and version. Not for what was encrypted before
 * it was sent, nor when `get` says the key. */
bool object_find_row(struct object_found *found, const struct kb_objects *objects,
                     const struct kb_s3_name *name, const struct kb_object_get *get);
/* Whether found->head, which came since, is of what the row says. Fills in the rest. */
bool object_find_confirm(struct object_found *found, const struct kb_objects *objects,
                         const struct kb_s3_name *name, const struct kb_object_get *get);

/* --- instruction files (object_instruction.c) -------------------------------------------- */

/* The name of the object's instruction file; the caller frees it. NULL without memory. */
char *object_instruction_key(const char *key, const char *suffix);
/* Bytes of the name in front of the default suffix; 0 when it does not end so. */
size_t object_instruction_base(const char *key);
/* True when its metadata says that it is one. */
bool object_is_instruction(const struct kb_s3_object *object);
/* Appends its text; KB_ERR_NOT_FOUND for none, and for what only has its name. */
KB_MUST_CHECK enum kb_status object_instruction_get(struct kb_buffer *out,
                                                    const struct kb_objects *objects,
                                                    const struct kb_s3_name *name,
                                                    const char *suffix,
                                                    const struct object_key *key,
                                                    struct kb_error *err);
KB_MUST_CHECK enum kb_status object_instruction_put(struct kb_s3_object *out,
                                                    const struct kb_objects *objects,
                                                    const struct kb_s3_name *name,
                                                    const char *suffix, struct kb_bytes text,
                                                    const struct object_key *key,
                                                    struct kb_error *err);
/* KB_OK when one can be put for a new object of that name and nothing is lost: neither an
 * object of a caller's nor, without versions, what opens the object that is there. Else
 * KB_ERR_EXISTS with a hint. */
KB_MUST_CHECK enum kb_status object_instruction_allow(const struct kb_objects *objects,
                                                      const struct kb_s3_name *name,
                                                      struct kb_error *err);
/* Removes what object_instruction_put stored under the key, if it is there still. */
void object_instruction_take_back(const struct kb_objects *objects, const struct kb_s3_name *name,
                                  const struct kb_s3_object *stored,
                                  const struct object_key *key);

/* --- proof (object_proof.c) ------------------------------------------------------------------ */

/* What was asked for, and what the server said it did. */
struct object_claim {
    enum kb_object_encryption encryption;
    const struct object_key *key;        /* SSE-C, also beneath; else NULL or none */
    const char *kms_key;                 /* SSE-KMS; NULL: any */
    const struct kb_pair *metadata;      /* that it must have */
    size_t metadata_count;
    const struct kb_s3_object *stored;   /* the writing answer */
    uint64_t size;                       /* bytes of the body */
    bool echoed;                         /* every writing answer had the key's fingerprint */
};
enum object_verdict {
    OBJECT_UNTRIED,   /* the server could not be asked */
    OBJECT_PROVED,
    OBJECT_REPLACED,  /* without versions: another object may have its place, not ours to remove */
    OBJECT_DISPROVED, /* it is not as claimed, and ours to remove */
};
/* Tries it: echo, HEAD with the key and without. Fills object, key_id, echoed,
 * opens_with_key and closed_without_key of *out. KB_ERR_REMOTE with a sentence unless
 * it is proved. */
KB_MUST_CHECK enum kb_status object_prove(struct kb_object_result *out,
                                          const struct kb_objects *objects,
                                          const struct kb_s3_name *name,
                                          const struct object_claim *claim,
                                          enum object_verdict *verdict, struct kb_error *err);
/* True when `shown` may be the key that was asked for: id, ARN or alias; NULL: any. */
bool object_is_kms_key(const char *shown, const char *asked);
/* True when the version alone names it. */
bool object_is_pinned(const struct kb_s3_object *object);
/* Whether what was stored is what a removal would hit: by its version, or else what has
 * the name now has its ETag, by HEAD without the key or with it (may be NULL). */
bool object_is_there(const struct kb_objects *objects, const struct kb_s3_name *name,
                     const struct kb_s3_object *stored, const struct object_key *key);
/* Deletes what was stored, once object_is_there, and says so in the error that is there.
 * Without versions what was there before was overwritten: the inventory is told, and the
 * error says it, too. False when it could not be deleted. */
bool object_withdraw(const struct kb_objects *objects, const struct kb_s3_name *name,
                     const struct kb_s3_object *stored, struct kb_error *err);
/* A writing request was refused: why, if it is that the bucket forbids SSE-C. */
void object_explain_refusal(const struct kb_objects *objects, const struct kb_s3_name *name,
                            const struct object_key *key, struct kb_error *err);

/* --- formats (object_source.c) ------------------------------------------------------------ */

/* A source whose bytes are encrypted here as they are read. */
struct object_source;

/* `sealing` or `message` are borrowed. *out is the caller's. */
KB_MUST_CHECK enum kb_status object_source_new(struct object_source **out,
                                               const struct kb_s3_source *from,
                                               struct kb_s3ec_object *sealing,
                                               struct kb_esdk_message *message,
                                               struct kb_error *err);
void object_source_free(struct object_source *source); /* NULL is ignored */
struct kb_s3_source object_source_view(struct object_source *source);
/* Plaintext that was read, and once all was, its SHA-256. */
uint64_t object_source_size(const struct object_source *source);
KB_MUST_CHECK enum kb_status object_source_end(struct object_source *source, uint8_t sha256[32],
                                               struct kb_error *err);

#endif
