/* SPDX-License-Identifier: Apache-2.0
 *
 * Objects in the format of the Amazon S3 Encryption Client: versions 2 and 3
 * written and read, version 1 read. One content key, wrapped in the token, in the
 * object's metadata or an instruction file; the body is one ciphertext. No
 * network: metadata in and out, bytes in and out.
 */
#ifndef KEYBRIDGE_S3EC_H
#define KEYBRIDGE_S3EC_H

#include <keybridge/esdk.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A wrapping key in the token: AES (envelope key, AES-GCM), or RSA (wrap key,
 * RSA-OAEP-SHA-1). For legacy objects: an AES wrap key (AESWrap), a key of use
 * legacy (AES-ECB). Immutable, shared by threads, counted. */
struct kb_s3ec;

struct kb_s3ec_options {
    const char *key;                   /* in the token */
    enum kb_commitment policy;         /* REQUIRE_ENCRYPT… writes version 3, FORBID_… version 2;
                                          …REQUIRE_DECRYPT reads version 3 only */
    bool legacy_wrapping;              /* read what AESWrap, AES, RSA … wrapped */
    bool legacy_unauthenticated;       /* read CBC bodies, and ranges */
};
/* *out is the caller's reference. The keystore must outlive it. */
KB_MUST_CHECK enum kb_status kb_s3ec_new(struct kb_s3ec **out, struct kb_keystore *keystore,
                                         const struct kb_s3ec_options *options,
                                         struct kb_error *err);
struct kb_s3ec *kb_s3ec_retain(struct kb_s3ec *s3ec);
void kb_s3ec_release(struct kb_s3ec *s3ec); /* NULL is ignored */

enum {
    KB_S3EC_TAG_SIZE = 16,       /* bytes a body is longer than its plaintext (GCM) */
    KB_S3EC_METADATA_MAX = 12,   /* pairs */
};
#define KB_S3EC_PLAINTEXT_MAX ((UINT64_C(1) << 36) - 32) /* bytes of one body */

/* The instruction file of the object KEY is KEY with this behind it, and is itself an object with
 * this metadata (of empty value). */
#define KB_S3EC_INSTRUCTION_SUFFIX ".instruction"
#define KB_S3EC_INSTRUCTION_MARK "x-amz-crypto-instr-file"

/* What belongs to an object beside its body. Pairs as in user metadata, without
 * "x-amz-meta-"; they live as long as what they were asked of. */
struct kb_s3ec_header {
    const struct kb_pair *metadata; /* of the object */
    size_t metadata_count;
    struct kb_bytes instruction;    /* text of the instruction file (a JSON map), or data NULL */
};

/* An object as it is described, without a key: nothing of it is authenticated. */
struct kb_s3ec_info {
    unsigned version;            /* of the format: 1, 2, 3 */
    const char *content_algorithm; /* "AES/GCM/NoPadding", "AES/CBC/PKCS5Padding", "115" */
    const char *wrap_algorithm;  /* "AES/GCM", "RSA-OAEP-SHA1", "kms+context", … */
    bool committing, legacy_wrapping, legacy_content;
    bool instruction_file;
    char description[1024];      /* the material description's JSON, cut to size */
    uint64_t tag_size;           /* bytes at the end of the body: 16, or 0 */
};
/* KB_ERR_NOT_FOUND: the object is none of the client's, unless an instruction file
 * belongs to it, which it must when out->version is 3 then (else 0): such a body is never
 * to be taken for plaintext. KB_ERR_INPUT for what contradicts itself (keys of two
 * versions …). Names of metadata differ by more than case. */
KB_MUST_CHECK enum kb_status kb_s3ec_inspect(struct kb_s3ec_info *out,
                                             const struct kb_s3ec_header *header,
                                             struct kb_error *err);

/* --- writing ------------------------------------------------------------------------- */

/* An object that is written or read; one thread at a time. */
struct kb_s3ec_object;

struct kb_s3ec_encrypt_options {
    const struct kb_pair *description; /* material description; names and values UTF-8 */
    size_t description_count;
    bool instruction_file;             /* what belongs into one goes there */
};
/* Makes n objects alike (at most KB_TOKEN_BATCH_MAX), content keys wrapped in one
 * call. The n are the caller's, for kb_s3ec_object_free. */
KB_MUST_CHECK enum kb_status kb_s3ec_encrypt(struct kb_s3ec_object **out, size_t n,
                                             struct kb_s3ec *s3ec,
                                             const struct kb_s3ec_encrypt_options *options,
                                             struct kb_error *err);
/* To resume an upload: the same object again, from its header, to be sealed from its first
 * byte on. The caller sees to it that no byte is encrypted that differs from what was. */
KB_MUST_CHECK enum kb_status kb_s3ec_encrypt_again(struct kb_s3ec_object **out,
                                                   struct kb_s3ec *s3ec,
                                                   const struct kb_s3ec_header *header,
                                                   struct kb_error *err);
/* What is to be stored with it; lives as long as the object. */
const struct kb_s3ec_header *kb_s3ec_object_header(const struct kb_s3ec_object *object);

/* Ciphertext of as many bytes, into `out`, which may be where `in` is.
 * KB_ERR_USAGE above KB_S3EC_PLAINTEXT_MAX. */
KB_MUST_CHECK enum kb_status kb_s3ec_seal(struct kb_s3ec_object *object, uint8_t *out,
                                          struct kb_bytes in, struct kb_error *err);
/* The tag, which ends the body. */
KB_MUST_CHECK enum kb_status kb_s3ec_seal_end(struct kb_s3ec_object *object,
                                              uint8_t tag[KB_S3EC_TAG_SIZE], struct kb_error *err);

/* --- reading --------------------------------------------------------------------------- */

/* Unwraps the content key and checks the commitment. KB_ERR_AUTH; KB_ERR_DENIED for
 * what policy or switches refuse (with the option that would allow it as a hint);
 * KB_ERR_INPUT; KB_ERR_NOT_FOUND as kb_s3ec_inspect. `body_size`: bytes of the whole body. */
KB_MUST_CHECK enum kb_status kb_s3ec_decrypt(struct kb_s3ec_object **out, struct kb_s3ec *s3ec,
                                             const struct kb_s3ec_header *header,
                                             uint64_t body_size, struct kb_error *err);
/* The whole body, in order: appends plaintext to `out`. It is unverified until
 * kb_s3ec_open_end said KB_OK: nobody may have it before. */
KB_MUST_CHECK enum kb_status kb_s3ec_open_piece(struct kb_s3ec_object *object,
                                                struct kb_buffer *out, struct kb_bytes in,
                                                struct kb_error *err);
/* KB_ERR_AUTH: tag or padding are wrong, or bytes are missing. May append the last bytes. */
KB_MUST_CHECK enum kb_status kb_s3ec_open_end(struct kb_s3ec_object *object, struct kb_buffer *out,
                                              struct kb_error *err);
/* A range of the plaintext, by the bytes `first` to `last`, in place of the whole: never
 * authenticated, so legacy_unauthenticated must be set. *from and *to: the first and last byte of
 * the body to fetch and hand to kb_s3ec_open_piece, then kb_s3ec_open_end. KB_ERR_NOT_FOUND:
 * behind the end; KB_ERR_UNSUPPORTED for CBC. */
KB_MUST_CHECK enum kb_status kb_s3ec_range(struct kb_s3ec_object *object, uint64_t first,
                                           uint64_t last, uint64_t *from, uint64_t *to,
                                           struct kb_error *err);
void kb_s3ec_object_free(struct kb_s3ec_object *object); /* NULL is ignored */

/* The object's header with its content key wrapped anew under `to`, for a copy or
 * a new instruction file: format version, IV or message id and commitment stay. *out
 * is the caller's, for kb_s3ec_object_free; only its header is of use. `options` as for
 * kb_s3ec_encrypt: a new description, and where things go. */
KB_MUST_CHECK enum kb_status kb_s3ec_rewrap(struct kb_s3ec_object **out, struct kb_s3ec *from,
                                            struct kb_s3ec *to,
                                            const struct kb_s3ec_header *header,
                                            const struct kb_s3ec_encrypt_options *options,
                                            struct kb_error *err);

#ifdef __cplusplus
}
#endif
#endif
