/* SPDX-License-Identifier: Apache-2.0
 *
 * Messages in the format of the AWS Encryption SDK (versions 1 and 2): any
 * bytes of any length, in frames, under keys that keyrings hold. Section names
 * in comments are those of the AWS Encryption SDK specification.
 */
#ifndef KEYBRIDGE_ESDK_H
#define KEYBRIDGE_ESDK_H

#include <keybridge/keyring.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Commitment policies (framework/commitment-policy.md): whether messages are
 * written, and whether they may be read, with suites that commit to their key. */
enum kb_commitment {
    KB_COMMITMENT_REQUIRE_REQUIRE, /* REQUIRE_ENCRYPT_REQUIRE_DECRYPT */
    KB_COMMITMENT_REQUIRE_ALLOW,   /* REQUIRE_ENCRYPT_ALLOW_DECRYPT */
    KB_COMMITMENT_FORBID_ALLOW,    /* FORBID_ENCRYPT_ALLOW_DECRYPT */
};

enum {
    KB_ESDK_EDKS_MAX = 65535,     /* recipients of a message, by the format */
    KB_ESDK_EDKS_DEFAULT = 16,    /* that are taken unless asked otherwise */
    KB_ESDK_FRAME_DEFAULT = 4096, /* bytes of plaintext in a frame, as the SDKs write */
};

/* --- configuration ------------------------------------------------------------ */

/* Who the messages are for, and which are taken. Immutable, shared by threads,
 * counted. */
struct kb_esdk;

struct kb_esdk_options {
    enum kb_commitment policy;
    unsigned max_edks; /* recipients a message may have; 0: KB_ESDK_EDKS_DEFAULT */
    unsigned workers;  /* threads of one message's frames; 0: 1 */
};

/* Keeps a reference to the keyring. `options` may be NULL. *out has one
 * reference, the caller's. */
KB_MUST_CHECK enum kb_status kb_esdk_new(struct kb_esdk **out, struct kb_keyring *keyring,
                                         const struct kb_esdk_options *options,
                                         struct kb_error *err);
struct kb_esdk *kb_esdk_retain(struct kb_esdk *esdk);
void kb_esdk_release(struct kb_esdk *esdk); /* NULL is ignored */

/* --- headers ------------------------------------------------------------------ */

/* An encrypted data key (data-format/message-header.md): a recipient. */
struct kb_edk {
    struct kb_bytes provider;   /* key provider id: namespace of raw keyrings, "aws-kms" */
    struct kb_bytes info;       /* key provider information: key name, or ARN */
    struct kb_bytes ciphertext;
};

/* What a header says. Views live as long as what they were asked of. */
struct kb_esdk_info {
    unsigned version; /* of the format: 1 or 2 */
    uint16_t suite;   /* algorithm suite id, 0x0578 … */
    bool committing;
    bool is_signed;
    uint32_t frame_length; /* bytes of plaintext in a frame; 0: the message is not framed */
    struct kb_bytes message_id;
    const struct kb_pair *context; /* the stored encryption context, sorted by name */
    size_t context_count;
    const struct kb_edk *edks;
    size_t edk_count;
    size_t header_size; /* bytes, with the header's own tag */
};

/* A header that was read without any key: nothing in it is authenticated. */
struct kb_esdk_header;

/* Reads the header at the start of `in`. When more bytes are needed *out is
 * NULL and *need says how many there must be at least. KB_ERR_INPUT for what is
 * no message, with a hint for base64 and other text; KB_ERR_DENIED for more
 * recipients than `max_edks` (0: KB_ESDK_EDKS_DEFAULT), as soon as their number
 * is there, and for a header of more than 64 MiB. *out is the caller's; it
 * keeps no view of `in`. Each call begins anew: who has the header in many parts
 * waits for *need bytes, or twice as many as the last time if that is more
 * (kb_esdk_process sees to that itself). */
KB_MUST_CHECK enum kb_status kb_esdk_header_read(struct kb_esdk_header **out, struct kb_bytes in,
                                                 unsigned max_edks, size_t *need,
                                                 struct kb_error *err);
void kb_esdk_header_free(struct kb_esdk_header *header); /* NULL is ignored */
const struct kb_esdk_info *kb_esdk_header_info(const struct kb_esdk_header *header);

/* The bytes of plaintext in a whole message of `size` bytes, by arithmetic:
 * nothing of it is verified, and a signature is taken to have its usual length.
 * False when there is no message of that size. */
bool kb_esdk_plaintext_size(const struct kb_esdk_info *info, uint64_t size, uint64_t *out);

/* "AES-256-GCM, HKDF-SHA-512, key commitment, ECDSA P-384"; NULL: no suite. */
const char *kb_esdk_suite_name(uint16_t suite);
/* Four hexadecimal digits, with or without 0x in front. False: no suite. */
bool kb_esdk_suite_parse(uint16_t *out, const char *text);

/* --- one message -------------------------------------------------------------- */

/* A message that is written or read; one thread at a time uses it. */
struct kb_esdk_message;

struct kb_esdk_encrypt_options {
    uint16_t suite;        /* 0: 0x0578, or 0x0378 where commitment is forbidden */
    uint32_t frame_length; /* bytes; 0: KB_ESDK_FRAME_DEFAULT. A message needs memory for one
                              frame, up to twice its length, when frames come in parts or have no
                              room, and so does who reads it: lengths over some MiB cost that */
    const struct kb_pair *context; /* UTF-8; names differ, none starts with "aws-crypto-" */
    size_t context_count;
    const struct kb_bytes *not_stored; /* names in `context` whose pairs are authenticated but not
                                          written: readers must know them
                                          (framework/required-encryption-context-cmm.md) */
    size_t not_stored_count;
};

/* Starts n messages alike, with a data key each, wrapped in one call. The
 * suite must be one that is written (framed, and with a KDF) and that the
 * policy allows: KB_ERR_USAGE. Options are borrowed for the call; NULL: the
 * defaults. The n of `out` are the caller's; all or none are made. */
KB_MUST_CHECK enum kb_status kb_esdk_encrypt(struct kb_esdk_message **out, size_t n,
                                             struct kb_esdk *esdk,
                                             const struct kb_esdk_encrypt_options *options,
                                             struct kb_error *err);

struct kb_esdk_decrypt_options {
    const struct kb_pair *reproduced; /* pairs of the context that need not be stored; one that is
                                         stored must be equal */
    size_t reproduced_count;
    const struct kb_pair *required; /* the whole context must have the name, and the value unless
                                       its data is NULL */
    size_t required_count;
    bool unsigned_only;  /* refuse signed messages once their header is read: KB_ERR_DENIED */
    bool unverified;     /* plaintext of frames over 1 MiB (or plaintext_held_max, if that is less)
                            may come out before their tag is verified, so that they take no memory:
                            only for a caller who lets nobody have any of it before kb_esdk_done */
    bool pause;          /* kb_esdk_process stops behind the header, until kb_esdk_unlock */
    uint64_t plaintext_held_max; /* bytes kept back until they are verified, of one frame or an
                                    unframed message, unless `unverified`; 0: 64 MiB.
                                    KB_ERR_DENIED beyond */
};

/* Starts reading one message. *out is the caller's. Options are copied. */
KB_MUST_CHECK enum kb_status kb_esdk_decrypt(struct kb_esdk_message **out, struct kb_esdk *esdk,
                                             const struct kb_esdk_decrypt_options *options,
                                             struct kb_error *err);

/* Ends a message, in whatever state. NULL is ignored. */
void kb_esdk_free(struct kb_esdk_message *message);

/* Bytes in and out of one call of kb_esdk_process. */
struct kb_esdk_step {
    struct kb_bytes in; /* what there is; afterwards what was not taken */
    bool last;          /* nothing comes behind `in` */
    uint8_t *out;       /* not overlapping `in` */
    size_t room;        /* bytes of it; any number, but whole frames are fastest */
    size_t made;        /* set: bytes written to `out` */
};

/* Takes and makes as much as it can; memory to memory when frames lie whole in
 * `in` and fit into `out`, spread over the workers when there are many. Call
 * again while it takes or makes something; with `last` until kb_esdk_done. It
 * takes nothing and makes nothing only when it needs more `in`, more room, or
 * is paused. Bytes that come after kb_esdk_done are bytes behind the end.
 *
 * To encrypt: kb_esdk_done is true when the whole message is out.
 * To decrypt: every byte in `out` was verified by its frame's tag (see
 * `unverified`), the last frame's of a signed message by the signature too; no
 * byte is released before the header is verified. Only kb_esdk_done says that
 * the message was whole. KB_ERR_AUTH for what is forged, or not under these
 * keys; KB_ERR_INPUT for what is truncated, has bytes behind its end, or is no
 * message; KB_ERR_DENIED for what the policy or the options refuse. Then `made`
 * bytes of `out` are of frames that verified, and the message is of no more
 * use: every later call gives the same failure. */
KB_MUST_CHECK enum kb_status kb_esdk_process(struct kb_esdk_message *message,
                                             struct kb_esdk_step *step, struct kb_error *err);
bool kb_esdk_done(const struct kb_esdk_message *message);

/* What the header says; NULL until it was read. It is authenticated once a
 * byte came out, or kb_esdk_unlock said so. */
const struct kb_esdk_info *kb_esdk_message_info(const struct kb_esdk_message *message);

/* True when a message with `pause` has its header and waits. */
bool kb_esdk_paused(const struct kb_esdk_message *message);

/* Opens n paused messages (each once, those of one kb_esdk), their data keys in one call,
 * and verifies their headers. What is wrong with one message is in statuses[i]
 * and, for the first of them, in `err`; a failure of the whole call is
 * returned. */
KB_MUST_CHECK enum kb_status kb_esdk_unlock(struct kb_esdk_message *const *messages, size_t n,
                                            enum kb_status *statuses, struct kb_error *err);

/* Limits an unlocked message to the plaintext bytes first to last (counted
 * from 0; UINT64_MAX: to the end; a last byte behind the end is none that comes
 * out). *offset is where in the message to go on: hand kb_esdk_process the
 * bytes from there, until kb_esdk_done; what is behind the last frame wanted is
 * left in `in`. Only frames that hold some of these bytes are read and verified:
 * the message's length and signature are not. An unframed message is verified
 * whole. KB_ERR_USAGE when last is before first; KB_ERR_NOT_FOUND, here or from
 * kb_esdk_process, when no message is so long, when the last frame ends before
 * first, and when there are no bytes at *offset. (An offset inside the last
 * frame, or the footer, looks like any damage: hold `first` against
 * kb_esdk_plaintext_size.) */
KB_MUST_CHECK enum kb_status kb_esdk_seek(struct kb_esdk_message *message, uint64_t first,
                                          uint64_t last, uint64_t *offset, struct kb_error *err);

/* --- push and pull -------------------------------------------------------------- */

/* Where a message goes that is pushed. A status other than KB_OK ends it. */
struct kb_esdk_sink {
    enum kb_status (*write)(void *ctx, struct kb_bytes bytes, struct kb_error *err);
    void *ctx;
};

/* Hands bytes in, and what comes of them to the sink. With `last` the message
 * is ended: KB_OK means that it was whole. A message that is paused is neither
 * pushed nor pulled: KB_ERR_USAGE. */
KB_MUST_CHECK enum kb_status kb_esdk_push(struct kb_esdk_message *message, struct kb_bytes in,
                                          bool last, const struct kb_esdk_sink *sink,
                                          struct kb_error *err);

/* Where a message comes from that is pulled: up to `room` bytes into `out`,
 * *size of them, 0 at the end. */
struct kb_esdk_source {
    enum kb_status (*read)(void *ctx, uint8_t *out, size_t room, size_t *size,
                           struct kb_error *err);
    void *ctx;
};

/* Gets up to `room` bytes that come out, *size of them; 0 with KB_OK: that was
 * all, and the message was whole. */
KB_MUST_CHECK enum kb_status kb_esdk_pull(struct kb_esdk_message *message,
                                          const struct kb_esdk_source *source, uint8_t *out,
                                          size_t room, size_t *size, struct kb_error *err);

#ifdef __cplusplus
}
#endif
#endif
