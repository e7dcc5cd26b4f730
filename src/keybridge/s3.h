/* SPDX-License-Identifier: Apache-2.0
 *
 * A client of Amazon S3 and of servers with its API. Source: "Amazon S3 API
 * Reference". It moves bytes and headers: who may trust what an answer says is
 * for <keybridge/object.h>.
 */
#ifndef KEYBRIDGE_S3_H
#define KEYBRIDGE_S3_H

#include <keybridge/aws.h>
#include <keybridge/secret.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Any thread may call its functions. */
struct kb_s3;

enum kb_s3_style {
    KB_S3_STYLE_AUTO,    /* virtual-hosted on AWS's endpoints for names without dots, else path */
    KB_S3_STYLE_PATH,    /* https://host/bucket/key */
    KB_S3_STYLE_VIRTUAL, /* https://bucket.host/key */
};

struct kb_s3_options {
    struct kb_aws_options aws; /* service "s3": AWS_ENDPOINT_URL_S3 and so on */
    enum kb_s3_style style;
};

enum {
    KB_S3_KEY_MAX = 1024,      /* bytes of an object's key, UTF-8 */
    KB_S3_BUCKET_MAX = 63,     /* bytes of a bucket's name */
    KB_S3_PARTS_MAX = 10000,   /* of one upload */
    KB_S3_KEY_SIZE = 32,       /* bytes of a customer key (SSE-C) */
    KB_S3_FINGERPRINT_SIZE = 25, /* base64 of an MD5, and its end */
    KB_S3_ETAG_SIZE = 96,
    KB_S3_VERSION_SIZE = 256,  /* of a version id, and its end */
};
#define KB_S3_PART_MIN (UINT64_C(5) << 20)   /* bytes of every part but the last */
#define KB_S3_PART_MAX (UINT64_C(5) << 30)
#define KB_S3_SINGLE_MAX (UINT64_C(5) << 30) /* bytes of an object in one PUT or one copy */
#define KB_S3_SIZE_UNKNOWN UINT64_MAX

/* *out is the caller's, for kb_s3_close. Nothing is sent. KB_ERR_CONFIG,
 * KB_ERR_USAGE. */
KB_MUST_CHECK enum kb_status kb_s3_open(struct kb_s3 **out, const struct kb_s3_options *options,
                                        struct kb_error *err);
void kb_s3_close(struct kb_s3 *s3); /* NULL is ignored */
const char *kb_s3_endpoint(const struct kb_s3 *s3); /* "https://s3.eu-central-1.amazonaws.com" */
/* Whose buckets these are, for inventories: the endpoint however it was spelt; of AWS
 * "https://s3.amazonaws.com", whatever the region. */
const char *kb_s3_realm(const struct kb_s3 *s3);
const char *kb_s3_region(const struct kb_s3 *s3);
unsigned kb_s3_connections(const struct kb_s3 *s3);
bool kb_s3_is_secure(const struct kb_s3 *s3); /* by https */

/* An object, or with key NULL a bucket. */
struct kb_s3_name {
    const char *bucket;
    const char *key;     /* UTF-8, any characters but U+0000 */
    const char *version; /* NULL: the current one */
};

/* "s3://bucket/key": views into `url` and `bucket`. Everything behind the
 * bucket's slash is the key, as it is; NULL or "" when there is none.
 * KB_ERR_USAGE, with a hint, for what is no bucket's name, a key that is too
 * long or no UTF-8. */
KB_MUST_CHECK enum kb_status kb_s3_url_parse(const char *url, char bucket[KB_S3_BUCKET_MAX + 1],
                                             const char **key, struct kb_error *err);

/* --- encryption by the server --------------------------------------------------- */

enum kb_s3_sse {
    KB_S3_SSE_NONE, /* no header is sent; an answer had none */
    KB_S3_SSE_C,    /* customer keys */
    KB_S3_SSE_S3,   /* AES256 */
    KB_S3_SSE_KMS,  /* aws:kms */
    KB_S3_SSE_DSSE, /* aws:kms:dsse; only in answers */
    KB_S3_SSE_OTHER,
};

/* What a request asks for. Zero-filled: nothing. */
struct kb_s3_encryption {
    enum kb_s3_sse sse;
    const struct kb_secret *customer_key; /* SSE-C: KB_S3_KEY_SIZE bytes */
    const char *kms_key;                  /* id or ARN; NULL: the server's default */
    const struct kb_pair *kms_context;    /* encryption context */
    size_t kms_context_count;
    bool bucket_key;                      /* SSE-KMS: ask for an S3 Bucket Key */
};

/* The base64 of the key's MD5, as S3 shows it. */
KB_MUST_CHECK enum kb_status kb_s3_fingerprint(char out[KB_S3_FINGERPRINT_SIZE],
                                               struct kb_bytes customer_key, struct kb_error *err);

/* --- objects ------------------------------------------------------------------------ */

/* What an answer tells of an object. Zero-fill before the first use; each call
 * that fills it frees what was there; kb_s3_object_free at the end. */
struct kb_s3_object {
    unsigned status;            /* of HTTP */
    uint64_t size;              /* bytes stored; of a range: of the whole object */
    bool ranged;                /* the answer had a Content-Range, */
    uint64_t first, last;       /* these bytes */
    char etag[KB_S3_ETAG_SIZE]; /* without quotes */
    char version[KB_S3_VERSION_SIZE]; /* "" when versions are not kept */
    int64_t modified;           /* seconds since 1970; 0: not told */
    char storage_class[32];     /* "" : STANDARD */
    char content_type[256];
    char cache_control[256], content_disposition[1024], content_encoding[256],
        content_language[64], expires[64];
    enum kb_s3_sse sse;
    char customer_algorithm[16];            /* echo of SSE-C, or "" */
    char fingerprint[KB_S3_FINGERPRINT_SIZE]; /* echo: the MD5 of the customer key, or "" */
    char kms_key[256];
    bool bucket_key;
    char lock_mode[16]; /* GOVERNANCE, COMPLIANCE, or "" */
    char lock_until[32];
    bool legal_hold;
    unsigned tag_count;
    unsigned parts; /* 0: not told */
    bool delete_marker;
    bool repeated; /* of a failed put, completion or copy: it was sent more than once, and an
                      earlier time may have been carried out */
    struct kb_pair *metadata; /* user metadata: names without "x-amz-meta-", lower case */
    size_t metadata_count;
    void *memory; /* private */
};
void kb_s3_object_free(struct kb_s3_object *object);
/* Value of user metadata, or empty with data NULL. */
struct kb_bytes kb_s3_object_metadata(const struct kb_s3_object *object, const char *name);

/* What a new object is to be. Zero-filled: nothing special. */
struct kb_s3_put {
    struct kb_s3_encryption encryption;
    const struct kb_pair *metadata; /* names without "x-amz-meta-"; S3 allows 2 KB of all */
    size_t metadata_count;
    const char *content_type; /* NULL: application/octet-stream */
    const char *cache_control, *content_disposition, *content_encoding, *content_language,
        *expires;
    const char *storage_class;
    const char *tags; /* as in a URL's query: "a=b&c=d", percent-encoded */
    const char *lock_mode, *lock_until; /* Object Lock */
    bool legal_hold;
    const char *if_match;  /* ETag that must be there */
    bool if_none;          /* nothing may be there: KB_ERR_EXISTS */
    const uint8_t *sha256; /* of the body of kb_s3_put_object: 32 bytes, when they are known */
};
/* KB_ERR_USAGE: metadata or a header that cannot be sent. All that takes such a struct
 * looks by itself; this is for those who want to know before they begin. */
KB_MUST_CHECK enum kb_status kb_s3_put_check(const struct kb_s3_put *put, struct kb_error *err);

/* One object in one request. *out: etag, version, and the encryption as echoed.
 * The body's SHA-256 is signed, so that the server checks it. KB_ERR_USAGE above
 * KB_S3_SINGLE_MAX, before anything is sent; KB_ERR_USAGE for a customer key over
 * http. */
KB_MUST_CHECK enum kb_status kb_s3_put_object(struct kb_s3 *s3, const struct kb_s3_name *name,
                                              const struct kb_s3_put *put, struct kb_bytes body,
                                              struct kb_s3_object *out, struct kb_error *err);

struct kb_s3_get {
    struct kb_s3_encryption encryption; /* SSE-C only */
    bool ranged;
    uint64_t first, last;    /* inclusive; last UINT64_MAX: to the end */
    const char *if_match;    /* ETag; another: KB_ERR_INPUT, "changed" */
    /* Gets the body of a good answer; a status other than KB_OK ends it. */
    enum kb_status (*write)(void *ctx, struct kb_bytes bytes, struct kb_error *err);
    void *ctx;
};
/* One GET. A body that is shorter than its headers say, an answer with another
 * range than was asked for, a range nobody asked for, and a range that was asked
 * for and not given are KB_ERR_REMOTE; all of an object that the range has all of is
 * as good, and told as that range. It is not repeated once `write` was called.
 * KB_ERR_NOT_FOUND; KB_ERR_AUTH for a wrong or missing customer key (400 and 403
 * that say so). */
KB_MUST_CHECK enum kb_status kb_s3_get_object(struct kb_s3 *s3, const struct kb_s3_name *name,
                                              const struct kb_s3_get *get,
                                              struct kb_s3_object *out, struct kb_error *err);
/* HEAD. Its answers have no body that could say why: a 400 or 403 with or
 * without a customer key is KB_ERR_AUTH (see out->status), other 403 KB_ERR_DENIED. */
KB_MUST_CHECK enum kb_status kb_s3_head_object(struct kb_s3 *s3, const struct kb_s3_name *name,
                                               const struct kb_s3_encryption *encryption,
                                               struct kb_s3_object *out, struct kb_error *err);
/* *out (may be NULL): version and delete_marker. */
KB_MUST_CHECK enum kb_status kb_s3_delete_object(struct kb_s3 *s3, const struct kb_s3_name *name,
                                                 struct kb_s3_object *out, struct kb_error *err);

struct kb_s3_copy {
    struct kb_s3_name from;
    struct kb_s3_encryption from_encryption; /* SSE-C only */
    const char *from_etag;   /* must still be it; NULL: any. Ceph 16 does not look at it */
    bool replace_metadata;   /* with that of `put`; else it is copied */
    bool replace_tags;
    struct kb_s3_put put;
};
/* CopyObject, up to KB_S3_SINGLE_MAX. An error in a 200 answer is found. KB_ERR_UNSUPPORTED
 * when the server cannot do it (501). */
KB_MUST_CHECK enum kb_status kb_s3_copy_object(struct kb_s3 *s3, const struct kb_s3_name *name,
                                               const struct kb_s3_copy *copy,
                                               struct kb_s3_object *out, struct kb_error *err);

/* Appends the tags as kb_s3_put takes them. */
KB_MUST_CHECK enum kb_status kb_s3_get_tags(struct kb_s3 *s3, const struct kb_s3_name *name,
                                            struct kb_buffer *out, struct kb_error *err);

/* --- uploads in parts ------------------------------------------------------------------ */

/* Where bytes come from, in order; one thread at a time calls `read`. *size 0: the end. */
struct kb_s3_source {
    enum kb_status (*read)(void *ctx, uint8_t *out, size_t room, size_t *size,
                           struct kb_error *err);
    void *ctx;
    uint64_t size; /* bytes in all, or KB_S3_SIZE_UNKNOWN */
    /* NULL, or what reads from any place, whatever `read` does. Several threads may call it at
     * once. Less than `room` need not be the end; *got 0 is. */
    enum kb_status (*read_at)(void *ctx, uint64_t offset, uint8_t *out, size_t room, size_t *got,
                              struct kb_error *err);
    /* NULL, or what ends a `read` that waits, with any failure: the upload has failed, and no more
     * is wanted. For sources that may wait long. Any thread calls it, perhaps more than once. */
    void (*cancel)(void *ctx);
};

struct kb_s3_part {
    unsigned number; /* 1 to KB_S3_PARTS_MAX */
    uint64_t size;   /* bytes */
    char etag[KB_S3_ETAG_SIZE];
    const uint8_t *sha256; /* to be sent: 32 bytes, when they are known; else NULL */
    bool unsigned_payload; /* to be sent: over https the signature does not cover the body, which
                              TLS protects; so it need not be hashed */
    bool md5;        /* to be sent: with Content-MD5, which Object Lock asks for */
    /* To be sent: the body, in place of one in memory; its `read_at` is called in order, by one
     * thread, and from 0 again for every try. With sha256, and md5_hash (16 bytes) for md5. */
    const struct kb_s3_source *from;
    const uint8_t *md5_hash;
};

/* *upload is the caller's, for free(). */
KB_MUST_CHECK enum kb_status kb_s3_create_upload(struct kb_s3 *s3, const struct kb_s3_name *name,
                                                 const struct kb_s3_put *put, char **upload,
                                                 struct kb_s3_object *out, struct kb_error *err);
/* part->number and the body (or part->from) in, part->size and etag out. *out: echoes. */
KB_MUST_CHECK enum kb_status kb_s3_upload_part(struct kb_s3 *s3, const struct kb_s3_name *name,
                                               const char *upload, struct kb_s3_part *part,
                                               const struct kb_s3_encryption *encryption,
                                               struct kb_bytes body, struct kb_s3_object *out,
                                               struct kb_error *err);
/* The bytes get->first to last of an object as a part. */
KB_MUST_CHECK enum kb_status kb_s3_copy_part(struct kb_s3 *s3, const struct kb_s3_name *name,
                                             const char *upload, struct kb_s3_part *part,
                                             const struct kb_s3_copy *copy, uint64_t first,
                                             uint64_t last, struct kb_s3_object *out,
                                             struct kb_error *err);
/* Calls `each` for every part that is there, in order. KB_ERR_NOT_FOUND: no such upload. */
KB_MUST_CHECK enum kb_status kb_s3_list_parts(struct kb_s3 *s3, const struct kb_s3_name *name,
                                              const char *upload,
                                              enum kb_status (*each)(void *ctx,
                                                                     const struct kb_s3_part *part,
                                                                     struct kb_error *err),
                                              void *ctx, struct kb_error *err);
/* An error in a 200 answer is found. SSE-C: some servers want the key again.
 * Where the server does not tell the ETag (Ceph 16), it is made of the parts'. */
KB_MUST_CHECK enum kb_status kb_s3_complete_upload(struct kb_s3 *s3, const struct kb_s3_name *name,
                                                   const char *upload,
                                                   const struct kb_s3_part *parts, size_t count,
                                                   const struct kb_s3_put *put,
                                                   struct kb_s3_object *out, struct kb_error *err);
KB_MUST_CHECK enum kb_status kb_s3_abort_upload(struct kb_s3 *s3, const struct kb_s3_name *name,
                                                const char *upload, struct kb_error *err);

/* --- transfers: objects of any size, over several connections --------------------------- */

/* What is remembered of an upload that may have to be resumed. Called by one
 * thread at a time; a status other than KB_OK ends the upload. */
struct kb_s3_journal {
    /* An upload was begun, of parts of that many bytes; before any part is sent. */
    enum kb_status (*begin)(void *ctx, const char *upload, uint64_t part_size,
                            struct kb_error *err);
    /* A part is about to be sent (etag ""), or was taken. The SHA-256 is of all bytes
     * up to its end. */
    enum kb_status (*part)(void *ctx, const struct kb_s3_part *part, const uint8_t sha256[32],
                           struct kb_error *err);
    void *ctx;
};

struct kb_s3_known_part {
    struct kb_s3_part part; /* etag "": was about to be sent */
    uint8_t sha256[32];     /* of all bytes up to its end */
};

struct kb_s3_upload {
    struct kb_s3_put put;
    uint64_t part_size;      /* 0: 8 MiB, or what keeps a known size within KB_S3_PARTS_MAX */
    uint64_t single_max;     /* up to that many bytes in one PUT; 0: a part that is held */
    uint64_t memory_max;     /* longer parts are sent from a source that has read_at; 0: 8 MiB */
    unsigned connections;    /* 0: those of the client */
    bool sign_payload;       /* parts are signed with their SHA-256 over https, too, where
                                otherwise TLS alone protects them. Over http, and in one PUT,
                                they always are */
    bool no_sha256;          /* nobody asks for kb_s3_uploaded.sha256 */
    const struct kb_s3_journal *journal; /* may be NULL */
    bool keep_on_failure;    /* leave an upload that failed on the server, to be resumed, once the
                                journal knows of it; else it is aborted */
    /* To resume: what the journal was told. A part that the server still lists with its etag is not
     * sent again when the source's bytes up to its end have its SHA-256; when the bytes up to the
     * end of a part that was told differ, the upload ends with KB_ERR_INPUT ("changed since").
     * KB_ERR_NOT_FOUND: the server has forgotten the upload. */
    const char *resume;      /* upload id, or NULL */
    const struct kb_s3_known_part *known;
    size_t known_count;
    /* Called now and then by one thread at a time with the bytes sent; a status ends it. */
    enum kb_status (*progress)(void *ctx, uint64_t done, struct kb_error *err);
    void *ctx;
};
struct kb_s3_uploaded {
    struct kb_s3_object object; /* of the last answer; etag, version, echoes */
    uint64_t size;              /* bytes that were read from the source */
    uint8_t sha256[32];         /* of them all, unless no_sha256 */
    unsigned parts;             /* 0: one PUT */
    unsigned parts_kept;        /* that were there already */
    bool echoed; /* SSE-C: every answer that must had the key's fingerprint. When it has not, the
                    object may be stored in the clear. Parts that were kept had theirs before */
};
/* Reads the source to its end and stores it. Memory: of a source with read_at and
 * a known size `connections` parts of memory_max at most. Longer parts are not held:
 * they are read for their hashes, and again while they are sent, and KB_ERR_INPUT
 * says when they have changed in between. Of other sources `connections` parts of
 * the size that was asked for (or of 8 MiB), or one part when that is larger: parts
 * of more than 8 MiB that a known size needs, above 78 GiB, go over fewer
 * connections at once. Of a source of unknown size parts grow, up to five times,
 * so that 10,000 hold 30,000 times part_size, 234 GiB unless it was asked for
 * more; longer: KB_ERR_USAGE, and nothing stays. A source that has not the size
 * it told: KB_ERR_INPUT. */
KB_MUST_CHECK enum kb_status kb_s3_upload(struct kb_s3 *s3, const struct kb_s3_name *name,
                                          const struct kb_s3_upload *upload,
                                          const struct kb_s3_source *source,
                                          struct kb_s3_uploaded *out, struct kb_error *err);

struct kb_s3_download {
    struct kb_s3_get get;    /* its `write` gets the bytes in order, by one thread at a time */
    uint64_t part_size;      /* bytes of one GET; 0: 8 MiB */
    unsigned connections;    /* 0: those of the client */
    bool no_sha256;          /* nobody asks for kb_s3_downloaded.sha256 */
    uint64_t progress_from;  /* private to the caller */
    enum kb_status (*progress)(void *ctx, uint64_t done, struct kb_error *err);
    void *ctx;
};
struct kb_s3_downloaded {
    struct kb_s3_object object; /* of the first answer; there before `write` is called */
    uint64_t size;              /* bytes handed to `write` */
    uint8_t sha256[32];         /* of them all, unless no_sha256 */
};
/* Gets the object (or a range of it) by parallel GETs of the same version and
 * ETag, and hands them over in order. A GET that was cut is repeated for what is
 * missing. Any answer of another object than the first one: KB_ERR_INPUT. */
KB_MUST_CHECK enum kb_status kb_s3_download(struct kb_s3 *s3, const struct kb_s3_name *name,
                                            const struct kb_s3_download *download,
                                            struct kb_s3_downloaded *out, struct kb_error *err);

/* --- listings ----------------------------------------------------------------------------- */

struct kb_s3_entry {
    struct kb_bytes key;     /* or a common prefix */
    bool is_prefix;
    bool is_delete_marker;
    bool is_latest;          /* of versions */
    struct kb_bytes version; /* "null" for one from before versioning; empty when not asked */
    uint64_t size;
    struct kb_bytes etag;
    struct kb_bytes storage_class;
    int64_t modified;
};
struct kb_s3_list {
    const char *bucket;
    const char *prefix;    /* NULL: all */
    const char *delimiter; /* "/" for a level at a time, or NULL */
    bool versions;         /* ListObjectVersions */
};
/* Every entry, page by page (ListObjectsV2; with versions ListObjectVersions).
 * Entry and views live for the call. */
KB_MUST_CHECK enum kb_status kb_s3_list(struct kb_s3 *s3, const struct kb_s3_list *list,
                                        enum kb_status (*each)(void *ctx,
                                                               const struct kb_s3_entry *entry,
                                                               struct kb_error *err),
                                        void *ctx, struct kb_error *err);
/* All buckets: entry->key is the name. */
KB_MUST_CHECK enum kb_status kb_s3_list_buckets(struct kb_s3 *s3,
                                                enum kb_status (*each)(void *ctx,
                                                               const struct kb_s3_entry *entry,
                                                               struct kb_error *err),
                                                void *ctx, struct kb_error *err);
/* Uploads in parts that were begun and not ended: entry->key, entry->version is the upload id. */
KB_MUST_CHECK enum kb_status kb_s3_list_uploads(struct kb_s3 *s3, const struct kb_s3_list *list,
                                                enum kb_status (*each)(void *ctx,
                                                               const struct kb_s3_entry *entry,
                                                               struct kb_error *err),
                                                void *ctx, struct kb_error *err);

/* --- buckets -------------------------------------------------------------------------------- */

/* Object Lock, which also turns versioning on, when `lock`. KB_ERR_EXISTS. */
KB_MUST_CHECK enum kb_status kb_s3_create_bucket(struct kb_s3 *s3, const char *bucket, bool lock,
                                                 struct kb_error *err);
KB_MUST_CHECK enum kb_status kb_s3_delete_bucket(struct kb_s3 *s3, const char *bucket,
                                                 struct kb_error *err);

enum kb_s3_versioning { KB_S3_VERSIONING_NEVER, KB_S3_VERSIONING_ON, KB_S3_VERSIONING_SUSPENDED };
KB_MUST_CHECK enum kb_status kb_s3_get_versioning(struct kb_s3 *s3, const char *bucket,
                                                  enum kb_s3_versioning *out,
                                                  struct kb_error *err);
KB_MUST_CHECK enum kb_status kb_s3_set_versioning(struct kb_s3 *s3, const char *bucket, bool on,
                                                  struct kb_error *err);

/* Default encryption (PutBucketEncryption, one rule). What is set leaves the rest
 * as it is: the rule with sse NONE, what is blocked without blocks_told. */
struct kb_s3_bucket_encryption {
    enum kb_s3_sse sse; /* NONE: there is no rule */
    char kms_key[256];
    bool bucket_key;
    bool blocks_sse_c;    /* BlockedEncryptionTypes has SSE-C */
    bool blocks_told;     /* the element was there; when setting: send it */
};
/* A bucket without a rule: KB_OK and sse NONE. KB_ERR_UNSUPPORTED: the server has no such call. */
KB_MUST_CHECK enum kb_status kb_s3_get_bucket_encryption(struct kb_s3 *s3, const char *bucket,
                                                         struct kb_s3_bucket_encryption *out,
                                                         struct kb_error *err);
KB_MUST_CHECK enum kb_status
kb_s3_set_bucket_encryption(struct kb_s3 *s3, const char *bucket,
                            const struct kb_s3_bucket_encryption *encryption,
                            struct kb_error *err);
/* No call deletes the rule: servers without it may delete the bucket instead. */

/* The bucket policy's JSON, appended; none: KB_ERR_NOT_FOUND. */
KB_MUST_CHECK enum kb_status kb_s3_get_bucket_policy(struct kb_s3 *s3, const char *bucket,
                                                     struct kb_buffer *out, struct kb_error *err);
KB_MUST_CHECK enum kb_status kb_s3_set_bucket_policy(struct kb_s3 *s3, const char *bucket,
                                                     struct kb_bytes json, struct kb_error *err);
KB_MUST_CHECK enum kb_status kb_s3_delete_bucket_policy(struct kb_s3 *s3, const char *bucket,
                                                        struct kb_error *err);

#ifdef __cplusplus
}
#endif
#endif
