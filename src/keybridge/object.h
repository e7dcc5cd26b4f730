/* SPDX-License-Identifier: Apache-2.0
 *
 * Encrypted objects in S3, put together: the client, the vault and the formats.
 * Nothing that a server says is believed without a trial.
 */
#ifndef KEYBRIDGE_OBJECT_H
#define KEYBRIDGE_OBJECT_H

#include <keybridge/s3.h>
#include <keybridge/s3ec.h>
#include <keybridge/vault.h>

#ifdef __cplusplus
extern "C" {
#endif

enum kb_object_encryption {
    KB_OBJECT_SSE_C,
    KB_OBJECT_CLIENT,          /* S3 Encryption Client */
    KB_OBJECT_CLIENT_ENVELOPE, /* a message of the Encryption SDK as body */
    KB_OBJECT_SSE_S3,
    KB_OBJECT_SSE_KMS,
    KB_OBJECT_NONE,
};
const char *kb_object_encryption_format(enum kb_object_encryption encryption); /* "sse-c" … */
bool kb_object_encryption_parse(enum kb_object_encryption *out, const char *text);

/* All borrowed until kb_objects_close. Any thread may call its functions. */
struct kb_objects;
struct kb_objects_options {
    struct kb_s3 *s3;
    struct kb_vault *vault;       /* needed for SSE-C; else may be NULL */
    struct kb_s3ec *s3ec;         /* needed for CLIENT */
    struct kb_esdk *esdk;         /* needed for CLIENT_ENVELOPE */
};
KB_MUST_CHECK enum kb_status kb_objects_open(struct kb_objects **out,
                                             const struct kb_objects_options *options,
                                             struct kb_error *err);
void kb_objects_close(struct kb_objects *objects); /* NULL is ignored */

/* --- put -------------------------------------------------------------------------------- */

struct kb_object_put {
    enum kb_object_encryption encryption;
    bool with_sse_c;           /* CLIENT and CLIENT_ENVELOPE: SSE-C on top */
    const char *key;           /* SSE-C: of the vault by id or name; NULL: see next */
    bool key_per_prefix;       /* the key of the longest scope that fits; none: KB_ERR_NOT_FOUND.
                                  Else a new key for the object */
    struct kb_s3_upload upload; /* its put.encryption, journal and resume are set here, and
                                   put.metadata gets what the format adds; KMS: put.encryption's
                                   kms_key, kms_context and bucket_key are used */
    struct kb_s3ec_encrypt_options s3ec;       /* CLIENT */
    struct kb_esdk_encrypt_options envelope;   /* CLIENT_ENVELOPE */
    const char *source_identity; /* what tells that the source is the same when the upload is
                                    resumed; NULL: it cannot be */
    bool resume;                 /* an upload of that identity that was begun is gone on with */
    bool keep_unverified;        /* an object that turned out not to be protected stays; else it
                                    is removed */
};

/* What was really found, by trial where there is one. */
struct kb_object_result {
    struct kb_s3_object object;
    uint64_t size;             /* bytes of plaintext */
    bool has_sha256;
    uint8_t sha256[32];        /* of the plaintext */
    char key_id[KB_VAULT_ID_SIZE]; /* of the vault, or "" */
    unsigned parts, parts_kept;
    bool echoed;               /* SSE-C: the fingerprint came back, */
    bool opens_with_key;       /* HEAD with the key was answered, */
    bool closed_without_key;   /* and without it was refused */
};
void kb_object_result_free(struct kb_object_result *result);

/* Stores one object. The key is in the vault before the first byte is sent. Then
 * the echo is checked, and HEADs with and without the key. An object that is not
 * protected as it was asked for is deleted (its version alone) and KB_ERR_REMOTE
 * says so. SSE-C where the bucket forbids it: KB_ERR_DENIED with the hint
 * "keybridge s3 bucket allow-sse-c". */
KB_MUST_CHECK enum kb_status kb_object_put(struct kb_objects *objects,
                                           const struct kb_s3_name *name,
                                           const struct kb_object_put *put,
                                           const struct kb_s3_source *source,
                                           struct kb_object_result *out, struct kb_error *err);

/* Several objects whose SSE-C keys are made in one batch, over the client's
 * connections. What is wrong with one is in its status and error. Two of one name:
 * KB_ERR_USAGE, and nothing was made or sent. */
struct kb_object_job {
    struct kb_s3_name name;
    struct kb_object_put put;
    /* Opens its source when its turn comes, and closes it; any thread calls. */
    enum kb_status (*open)(void *ctx, struct kb_s3_source *source, struct kb_error *err);
    void (*close)(void *ctx);
    void *ctx;
    struct kb_object_result result; /* kb_object_result_free */
    enum kb_status status;
    struct kb_error error;
};
KB_MUST_CHECK enum kb_status kb_object_put_many(struct kb_objects *objects,
                                                struct kb_object_job *jobs, size_t n,
                                                struct kb_error *err);

/* --- get --------------------------------------------------------------------------------- */

struct kb_object_get {
    const char *key;       /* of the vault; NULL: that of the inventory, else by the fingerprint
                              that the metadata or an error may tell */
    bool try_all_keys;     /* when neither is known: every key of the vault, by HEAD */
    const struct kb_secret *customer_key; /* in place of the vault's */
    bool ranged;
    uint64_t first, last;  /* of the plaintext */
    bool raw;              /* the bytes as they are stored: client-side encryption is left alone */
    bool is_envelope;      /* the body is a message of the Encryption SDK, whatever the metadata
                              says */
    const char *instruction_suffix; /* NULL: ".instruction" */
    struct kb_esdk_decrypt_options envelope;
    uint64_t part_size;
    unsigned connections;
    /* Gets plaintext, in order. With `unverified` false only what is verified: of a whole
     * CLIENT object that is nothing before its end, so such a caller must give `scratch`. */
    enum kb_status (*write)(void *ctx, struct kb_bytes bytes, struct kb_error *err);
    void *ctx;
    bool unverified;       /* `write` keeps what it gets from everybody until KB_OK: a file that is
                              published afterwards */
    int scratch;           /* descriptor of an empty file for plaintext that waits for its tag,
                              or -1 */
    enum kb_status (*progress)(void *ctx, uint64_t done, struct kb_error *err);
    void *progress_ctx;
    struct kb_object_known *known; /* of kb_objects_know, which this is object `known_at` of; */
    size_t known_at;               /* NULL: it is looked up alone. Taken: good for one get */
};
/* Looks up the keys of n objects of one bucket (at most KB_VAULT_BATCH_MAX) that will be got, in
 * as few calls of the token as one takes. `get` is as it will be. The caller frees it; NULL when
 * there is nothing to look up, or no memory: then each is looked up alone. */
struct kb_object_known;
struct kb_object_known *kb_objects_know(struct kb_objects *objects,
                                        const struct kb_object_get *get,
                                        const struct kb_s3_name *names, size_t n);
void kb_object_known_free(struct kb_object_known *known); /* NULL is ignored */
/* Finds out how the object is protected, gets it and verifies what can be: tags of
 * client-side encryption, the SHA-256 of the inventory for whole objects, ETag and
 * size. KB_ERR_AUTH: altered, or not what the inventory says. */
KB_MUST_CHECK enum kb_status kb_object_get(struct kb_objects *objects,
                                           const struct kb_s3_name *name,
                                           const struct kb_object_get *get,
                                           struct kb_object_result *out, struct kb_error *err);

/* --- head ---------------------------------------------------------------------------------- */

enum kb_object_key_home { KB_KEY_HOME_NONE, KB_KEY_HOME_VAULT, KB_KEY_HOME_TOKEN, KB_KEY_HOME_KMS,
                          KB_KEY_HOME_SERVICE, KB_KEY_HOME_UNKNOWN };
struct kb_object_protection {
    struct kb_s3_object object;
    enum kb_object_encryption encryption; /* as found */
    bool customer_key;                    /* SSE-C, also beneath client-side encryption */
    bool known;                           /* false: SSE-C under a key that is not ours */
    struct kb_vault_key vault_key;
    struct kb_s3ec_info s3ec;             /* CLIENT */
    struct kb_vault_object row;           /* of the inventory */
    bool has_row;
    enum kb_object_key_home home;
    bool refused_without_key;             /* as tried */
    bool untried;                         /* its key is disabled: this is what the inventory says,
                                             and nothing was tried */
};
void kb_object_protection_free(struct kb_object_protection *protection);
KB_MUST_CHECK enum kb_status kb_object_head(struct kb_objects *objects,
                                            const struct kb_s3_name *name,
                                            const struct kb_object_get *get,
                                            struct kb_object_protection *out,
                                            struct kb_error *err);

/* --- removal --------------------------------------------------------------------------------- */

/* Deletes, with the default instruction file of a client-side object, and notes it
 * in the inventory. Keys stay in the vault; one of an object is retired. */
KB_MUST_CHECK enum kb_status kb_object_remove(struct kb_objects *objects,
                                              const struct kb_s3_name *name,
                                              struct kb_s3_object *out, struct kb_error *err);

/* --- rotation, copies ------------------------------------------------------------------------- */

struct kb_object_rotate {
    const struct kb_object_get *get; /* how the old key is found; may be NULL */
    /* Encryption by the server, beneath client-side encryption too, is to be that of
     * `encryption` (SSE_C, SSE_S3, SSE_KMS, NONE); else it stays what it is. */
    bool change;
    enum kb_object_encryption encryption;
    const char *key;           /* SSE-C: as in kb_object_put; NULL: a new key for the object */
    bool key_per_prefix;
    struct kb_s3_encryption kms; /* SSE-KMS: its kms_key, kms_context and bucket_key */
    struct kb_s3ec *to_s3ec;   /* CLIENT: wrapped anew for this one, without moving the body */
    int64_t before;            /* in place, SSE-C: leave a key that was made at that time or later
                                  (seconds since 1970); 0: none */
    bool stream;               /* do not ask the server to copy */
    struct kb_s3_upload upload; /* its part_size, single_max, connections, progress: of copies,
                                   too */
};
struct kb_object_rotated {
    struct kb_object_result result; /* not filled when passed over */
    bool passed_over;    /* there is nothing to do */
    bool was_stored;     /* the object was in the inventory, stored, with this version and ETag */
    bool by_server;      /* no byte came here */
    const char *lost;    /* what the server did not keep: "tags", "storage class" …; or NULL */
    char old_version[KB_S3_VERSION_SIZE]; /* that stays, noncurrent, under the old key; or "" */
    char old_key_id[KB_VAULT_ID_SIZE];
};
/* A copy of `from` at `to` (the same name: rotation) under a new key. Metadata,
 * tags, storage class, retention and legal hold are kept. The server copies when it can; else
 * the bytes come here and go back. The copy is verified as kb_object_put does before the old
 * key is retired: that of one object, or of a prefix when no object uses it any more. One
 * that is not protected is removed unless it took the place of the only one there was.
 * KB_ERR_INPUT when the object changed meanwhile. */
KB_MUST_CHECK enum kb_status kb_object_rotate(struct kb_objects *objects,
                                              const struct kb_s3_name *from,
                                              const struct kb_s3_name *to,
                                              const struct kb_object_rotate *rotate,
                                              struct kb_object_rotated *out, struct kb_error *err);

/* --- verify, audit ---------------------------------------------------------------------------- */

enum kb_object_grade { KB_GRADE_GOOD, KB_GRADE_NOTE, KB_GRADE_BAD };
struct kb_object_finding {
    enum kb_object_grade grade;
    const char *key;     /* of the object; NULL: of the bucket */
    const char *version; /* or "" */
    const char *code;    /* "ok", "not-ours", "unencrypted", "size", "missing", "unversioned",
                            "no-deny-policy" … */
    const char *text;    /* a sentence */
};
struct kb_object_survey {
    const char *bucket, *prefix;
    bool versions;       /* noncurrent ones too */
    bool content;        /* verify: get each object and hold its SHA-256 against the inventory */
    bool try_all_keys;
    enum kb_status (*each)(void *ctx, const struct kb_object_finding *finding,
                           struct kb_error *err); /* one thread at a time */
    void *ctx;
};
/* HEADs every object under the prefix with its key and without, and holds it
 * against the inventory; objects of the inventory that are gone are findings too. */
KB_MUST_CHECK enum kb_status kb_object_verify(struct kb_objects *objects,
                                              const struct kb_object_survey *survey,
                                              struct kb_error *err);
/* What an attacker with write access leaves or needs: fingerprints that are not
 * ours, a bucket without versions, no policy that denies, noncurrent or new keys. */
KB_MUST_CHECK enum kb_status kb_object_audit(struct kb_objects *objects,
                                             const struct kb_object_survey *survey,
                                             struct kb_error *err);

#ifdef __cplusplus
}
#endif
#endif
