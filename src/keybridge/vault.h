/* SPDX-License-Identifier: Apache-2.0
 *
 * The vault: customer keys for S3 (SSE-C), wrapped by a key of the token, in one
 * SQLite file that several processes may use. Every row has a MAC made in the
 * token; a counter on the token tells an old copy of the file from the last one.
 * SECURITY says what neither notices.
 */
#ifndef KEYBRIDGE_VAULT_H
#define KEYBRIDGE_VAULT_H

#include <keybridge/keystore.h>
#include <keybridge/s3.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Before the vault's id: the token's object that is its counter. */
#define KB_VAULT_COUNTER_PREFIX "keybridge-vault-"
#define KB_VAULT_WRAP_KEY "vault-wrap"
#define KB_VAULT_SIGN_KEY "vault-sign"

/* Any thread may call its functions; they take turns. */
struct kb_vault;

struct kb_vault_options {
    const char *path;     /* "$KEYBRIDGE_HOME/vault.db" */
    const char *wrap_key; /* AES wrapping key in the token; NULL: KB_VAULT_WRAP_KEY */
    const char *sign_key; /* HMAC-SHA-256 key in the token; NULL: KB_VAULT_SIGN_KEY */
    bool create;          /* make keys, counter and file when there is no file, */
    bool only_first;      /* unless the token has the counter of a vault: that may have been this
                             file, and lost */
    bool accept_rollback; /* repair: take the file as it is and set the counter after it */
};

/* Checks the file, its state row and the token's counter. The keystore must
 * outlive it. KB_ERR_NOT_FOUND: no file (with a hint). KB_ERR_INPUT: damaged, or not a vault.
 * KB_ERR_AUTH: altered, an old copy, or of another token (err says which).
 * KB_ERR_SYSTEM: another process held it too long. *out is the caller's. */
KB_MUST_CHECK enum kb_status kb_vault_open(struct kb_vault **out, struct kb_keystore *keystore,
                                           const struct kb_vault_options *options,
                                           struct kb_error *err);
void kb_vault_close(struct kb_vault *vault); /* NULL is ignored */

/* --- keys ------------------------------------------------------------------------ */

enum kb_vault_state {
    KB_VAULT_ACTIVE,   /* encrypts and decrypts */
    KB_VAULT_RETIRED,  /* decrypts only: rotated away from */
    KB_VAULT_DISABLED, /* neither, until it is enabled again */
};
enum kb_vault_purpose {
    KB_VAULT_FOR_OBJECT, /* one object */
    KB_VAULT_FOR_PREFIX, /* all objects below a prefix: `scope` is "bucket/prefix" */
    KB_VAULT_NAMED,      /* by name */
    KB_VAULT_IMPORTED,   /* brought in from elsewhere; may have a name */
};
enum { KB_VAULT_ID_SIZE = 33, KB_VAULT_NAME_MAX = 64, KB_VAULT_BATCH_MAX = 128 };

struct kb_vault_key {
    char id[KB_VAULT_ID_SIZE];                 /* hexadecimal */
    char fingerprint[KB_S3_FINGERPRINT_SIZE];  /* as S3 shows it */
    enum kb_vault_purpose purpose;
    enum kb_vault_state state;
    char name[KB_VAULT_NAME_MAX + 1]; /* "" without one; unique among keys that have one */
    char *scope;                      /* of the purpose, UTF-8, or ""; a view in ..._each_key */
    int64_t created;                  /* seconds since 1970 */
    uint64_t objects;                 /* rows of the inventory that use it */
};
void kb_vault_key_free(struct kb_vault_key *key); /* what is in it */

struct kb_vault_spec {
    enum kb_vault_purpose purpose;
    const char *name;  /* or NULL */
    const char *scope; /* or NULL */
};
/* Makes n keys (at most KB_VAULT_BATCH_MAX) from the token's random source and
 * stores them, wrapped, in one transaction; durable on KB_OK. plain[i]: 32 bytes,
 * the caller's. KB_ERR_EXISTS: the name is taken. */
KB_MUST_CHECK enum kb_status kb_vault_make(struct kb_vault *vault,
                                           const struct kb_vault_spec *specs, size_t n,
                                           struct kb_vault_key *keys,
                                           struct kb_secret **plain, struct kb_error *err);
/* Brings a key of 32 bytes in. KB_ERR_EXISTS when it is there already. */
KB_MUST_CHECK enum kb_status kb_vault_import_key(struct kb_vault *vault,
                                                 const struct kb_vault_spec *spec,
                                                 const struct kb_secret *value,
                                                 struct kb_vault_key *key, struct kb_error *err);
/* By id, "name", or fingerprint. KB_ERR_NOT_FOUND, KB_ERR_AUTH (row altered). */
KB_MUST_CHECK enum kb_status kb_vault_find_key(struct kb_vault *vault, const char *which,
                                               struct kb_vault_key *out, struct kb_error *err);
/* The active key of a prefix, the longest one that fits "bucket/key". */
KB_MUST_CHECK enum kb_status kb_vault_find_scope(struct kb_vault *vault, const char *bucket,
                                                 const char *object_key,
                                                 struct kb_vault_key *out, struct kb_error *err);
/* The plaintext key, 32 bytes; *out is the caller's. To encrypt it must be active:
 * KB_ERR_DENIED; a disabled one is never released: KB_ERR_DENIED. `why` goes to
 * the journal of releases, see kb_vault_each_event; NULL for what is not noted there. */
KB_MUST_CHECK enum kb_status kb_vault_release(struct kb_vault *vault, const char *id, bool encrypt,
                                              const char *why, struct kb_secret **out,
                                              struct kb_error *err);
/* n keys (at most KB_VAULT_BATCH_MAX) to decrypt, in as many calls of the token as one takes.
 * plain[i] is the caller's; NULL for one that is not given out: kb_vault_release says why. */
KB_MUST_CHECK enum kb_status kb_vault_release_many(struct kb_vault *vault, const char *const *ids,
                                                   size_t n, struct kb_secret **plain,
                                                   struct kb_error *err);
KB_MUST_CHECK enum kb_status kb_vault_set_state(struct kb_vault *vault, const char *id,
                                                enum kb_vault_state state, struct kb_error *err);
/* An active key decrypts only from now on. One that is disabled stays so, whoever disabled it
 * meanwhile. */
KB_MUST_CHECK enum kb_status kb_vault_retire(struct kb_vault *vault, const char *id,
                                             struct kb_error *err);
KB_MUST_CHECK enum kb_status
kb_vault_each_key(struct kb_vault *vault,
                  enum kb_status (*each)(void *ctx, const struct kb_vault_key *key,
                                         struct kb_error *err),
                  void *ctx, struct kb_error *err);

/* --- inventory: which object version uses which key -------------------------------- */

enum kb_vault_row_state {
    KB_VAULT_PENDING, /* an upload was begun; what the server has is not known */
    KB_VAULT_STORED,  /* verified */
    KB_VAULT_REMOVED, /* deleted by us */
};
struct kb_vault_object {
    char *endpoint, *bucket, *object_key; /* UTF-8 */
    char version[KB_S3_VERSION_SIZE];     /* "" : versions are not kept, or not known yet */
    char key_id[KB_VAULT_ID_SIZE];        /* the vault's key; "" for other encryption */
    enum kb_vault_row_state state;
    char encryption[24];  /* "sse-c", "client", "client-envelope", … */
    bool has_sha256;
    uint8_t sha256[32];   /* of the plaintext */
    uint64_t size;        /* bytes of plaintext */
    char etag[KB_S3_ETAG_SIZE];
    int64_t changed;      /* seconds since 1970; set by the vault */
    int64_t row;          /* set by the vault: names it in kb_vault_update_objects */
};
void kb_vault_object_free(struct kb_vault_object *object); /* what is in it */

/* Stores n new rows in one transaction; sets row. Durable on KB_OK. */
KB_MUST_CHECK enum kb_status kb_vault_add_objects(struct kb_vault *vault,
                                                  struct kb_vault_object *objects, size_t n,
                                                  struct kb_error *err);
/* Replaces n rows (by `row`). In the same transaction rows of a name whose stored row has no
 * version, or "null", become removed when they were stored before it was begun: it took their
 * place. Of uploads that ran at the same time every row stays, until the next one. An active
 * key of one object is retired with the last row that uses it (removed ones do not); so it is
 * by kb_vault_remove_objects. */
KB_MUST_CHECK enum kb_status kb_vault_update_objects(struct kb_vault *vault,
                                                     const struct kb_vault_object *objects,
                                                     size_t n, struct kb_error *err);
KB_MUST_CHECK enum kb_status kb_vault_remove_objects(struct kb_vault *vault, const int64_t *rows,
                                                     size_t n, struct kb_error *err);
/* Rows of one object, newest first; with `version` not NULL those of this version;
 * `object_key` NULL: all of the bucket; `prefix`: object_key is a prefix. The view
 * lives for the call; kb_vault functions may not be called from `each`. */
struct kb_vault_query {
    const char *endpoint, *bucket, *object_key, *version;
    bool prefix;
    const char *const *object_keys; /* in place of object_key: rows of several objects of the */
    size_t count;                   /* bucket, at most KB_VAULT_BATCH_MAX, newest first */
};
KB_MUST_CHECK enum kb_status kb_vault_each_object(struct kb_vault *vault,
                                                  const struct kb_vault_query *query,
                                                  enum kb_status (*each)(
                                                      void *ctx,
                                                      const struct kb_vault_object *object,
                                                      struct kb_error *err),
                                                  void *ctx, struct kb_error *err);

/* --- uploads that may be resumed -------------------------------------------------------- */

struct kb_vault_upload {
    int64_t object_row;  /* of the pending inventory row; names the upload */
    char *upload;        /* id by the server */
    char *source;        /* what was uploaded, and what tells that it is still the same: path, size,
                            time of change, inode */
    char *header;        /* client-side: the metadata of the object as JSON, or "" */
    uint64_t part_size;
};
void kb_vault_upload_free(struct kb_vault_upload *upload);
KB_MUST_CHECK enum kb_status kb_vault_add_upload(struct kb_vault *vault,
                                                 const struct kb_vault_upload *upload,
                                                 struct kb_error *err);
/* KB_ERR_NOT_FOUND. The parts are the caller's, for free(). */
KB_MUST_CHECK enum kb_status kb_vault_get_upload(struct kb_vault *vault, int64_t object_row,
                                                 struct kb_vault_upload *out,
                                                 struct kb_s3_known_part **parts, size_t *count,
                                                 struct kb_error *err);
KB_MUST_CHECK enum kb_status kb_vault_add_part(struct kb_vault *vault, int64_t object_row,
                                               const struct kb_s3_known_part *part,
                                               struct kb_error *err); /* or replaces it */
KB_MUST_CHECK enum kb_status kb_vault_end_upload(struct kb_vault *vault, int64_t object_row,
                                                 struct kb_error *err);

/* --- events: keys that were handed out ----------------------------------------------------- */

struct kb_vault_event {
    uint64_t number; /* from 1, without gaps */
    int64_t time;
    const char *key_id;
    const char *what; /* "with-key s3://… -- restic …" */
};
KB_MUST_CHECK enum kb_status kb_vault_each_event(struct kb_vault *vault,
                                                 enum kb_status (*each)(
                                                     void *ctx, const struct kb_vault_event *event,
                                                     struct kb_error *err),
                                                 void *ctx, struct kb_error *err);

/* --- moving ---------------------------------------------------------------------------------- */

/* Writes all keys and the inventory as a file of lines (JSON), keys wrapped under
 * another wrapping key of the token (AES key wrap, or RSA-OAEP with a public key
 * alone); a line at the end has a MAC over all, by sign_key, or with a public key
 * alone a SHA-256. The file is new, mode 0600. */
KB_MUST_CHECK enum kb_status kb_vault_export(struct kb_vault *vault, const char *wrap_key,
                                             const char *path, struct kb_error *err);
/* Adds what such a file has; keys that are there already are passed over. All or nothing. */
struct kb_vault_imported {
    uint64_t keys, keys_known, objects, objects_known;
};
KB_MUST_CHECK enum kb_status kb_vault_import(struct kb_vault *vault, const char *unwrap_key,
                                             const char *path, struct kb_vault_imported *out,
                                             struct kb_error *err);

/* Every MAC, every reference: KB_ERR_AUTH with what is wrong first; `each` (may be
 * NULL) gets every finding as a sentence. */
KB_MUST_CHECK enum kb_status kb_vault_check(struct kb_vault *vault,
                                            void (*each)(void *ctx, const char *finding), void *ctx,
                                            struct kb_error *err);

const char *kb_vault_state_format(enum kb_vault_state state);
const char *kb_vault_purpose_format(enum kb_vault_purpose purpose);

#ifdef __cplusplus
}
#endif
#endif
