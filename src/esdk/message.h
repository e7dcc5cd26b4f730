/* SPDX-License-Identifier: Apache-2.0
 *
 * One message on its way, and what its files share: frames.c seals and opens
 * one frame, workers.c many at once, encrypt.c starts and writes a message,
 * unlock.c starts one that is read, decrypt.c reads it, message.c begins and
 * ends both, process.c moves the bytes, flow.c pushes and pulls.
 */
#ifndef KB_ESDK_MESSAGE_H
#define KB_ESDK_MESSAGE_H

#include <stdatomic.h>

#include "crypto/gcm.h"
#include "crypto/signature.h"
#include "esdk/header.h"
#include "keyring/keyring.h"

enum { ESDK_WORKERS_MAX = 64 };

struct kb_esdk {
    struct kb_keyring *keyring;
    struct kb_esdk_options options; /* with no zero left in it */
    atomic_int references;
};

/* framework/commitment-policy.md */
KB_MUST_CHECK enum kb_status esdk_policy_write(enum kb_commitment policy,
                                               const struct esdk_suite *suite,
                                               struct kb_error *err);
KB_MUST_CHECK enum kb_status esdk_policy_read(enum kb_commitment policy,
                                              const struct esdk_suite *suite,
                                              struct kb_error *err);

/* The one answer to a wrong key, a wrong context and whatever was forged. */
enum kb_status esdk_refuse(struct kb_error *err);

/* The same of what a tag or a signature was found to be. */
KB_MUST_CHECK enum kb_status esdk_verdict(enum kb_status status, struct kb_error *err);

/* --- frames (data-format/message-body.md) ------------------------------------- */

enum esdk_kind { ESDK_REGULAR, ESDK_FINAL, ESDK_UNFRAMED };

/* A frame, or the one body of an unframed message. */
struct esdk_frame {
    enum esdk_kind kind;
    uint32_t sequence;
    uint64_t size; /* bytes of plaintext */
    uint8_t iv[KB_GCM_IV_SIZE];
};

/* Bytes in front of the ciphertext. */
size_t esdk_frame_prefix(enum esdk_kind kind);

/* Bytes of the additional authenticated data
 * (data-format/message-body-aad.md). */
size_t esdk_frame_aad(uint8_t out[ESDK_AAD_MAX], const struct esdk_frame *frame,
                      struct kb_bytes message_id);

/* Makes a whole frame at `out`; `plain` is anywhere, or where its ciphertext
 * goes. The IV is the sequence number. */
KB_MUST_CHECK enum kb_status esdk_frame_seal(struct kb_gcm *gcm, struct esdk_frame *frame,
                                             struct kb_bytes message_id, const uint8_t *plain,
                                             uint8_t *out, struct kb_error *err);

/* Reads what is in front of a ciphertext; `in` is long enough. A frame of
 * another sequence number, or longer than frames are, is KB_ERR_INPUT. */
KB_MUST_CHECK enum kb_status esdk_frame_read(struct esdk_frame *frame, const uint8_t *in,
                                             uint64_t sequence, uint32_t frame_length,
                                             struct kb_error *err);

/* Opens a frame that was read, from its ciphertext (with the tag) to `out`,
 * which may be the same place. */
KB_MUST_CHECK enum kb_status esdk_frame_open(struct kb_gcm *gcm, const struct esdk_frame *frame,
                                             struct kb_bytes message_id, const uint8_t *ciphertext,
                                             uint8_t *out, struct kb_error *err);

/* --- a message ---------------------------------------------------------------- */

enum esdk_state {
    ESDK_HEADER, /* reading: the header is gathered */
    ESDK_PAUSED, /* reading: the data key is wanted */
    ESDK_BODY,   /* at the start of a frame, or gathering one */
    ESDK_PIECES, /* reading: plaintext of one long frame goes out before its tag came */
    ESDK_FOOTER, /* reading: the signature is gathered, the last frame held back */
    ESDK_END,
};

struct esdk_workers;

struct kb_esdk_message {
    struct kb_esdk *esdk;
    bool writing;
    enum esdk_state state;
    enum kb_status status; /* a failure sticks */
    struct kb_error error;
    struct kb_esdk_header *header;
    uint32_t frame_length;
    struct kb_gcm *gcm;
    struct kb_secret *key; /* what `gcm` has, for the workers; NULL: there will be none */
    struct kb_signature_stream *signature; /* NULL: none is made or checked */
    struct esdk_workers *workers;          /* NULL until there is work for them */
    uint64_t sequence;                     /* of the next frame */

    /* A frame or the header that came in parts, or has no room in the caller's
     * memory; it is what comes out next from drain_at to drain_end. */
    struct kb_buffer held;
    size_t drain_at, drain_end;

    /* Reading only. */
    struct esdk_header_scan scan;
    struct kb_esdk_decrypt_options options; /* with pairs in `memory` */
    struct kb_arena memory;
    struct kb_buffer withheld; /* pairs that are not stored, serialized: under the header's tag */
    struct kb_buffer context;  /* the whole context, serialized */
    struct esdk_frame frame;   /* the one that is gathered, or comes in pieces */
    uint64_t piece_at;         /* bytes of it that are through */
    size_t kept_at, kept_end;  /* what is held that comes out once the signature is verified */
    size_t footer_at;          /* where in `held` the footer begins */
    bool ranged;
    uint64_t first, last; /* bytes of the plaintext that are wanted */

    /* Push and pull. */
    struct kb_buffer flow;
    struct kb_bytes flow_in; /* in `flow`: what the source gave that was not taken */
    bool flow_last;
};

KB_MUST_CHECK enum kb_status esdk_message_new(struct kb_esdk_message **out, struct kb_esdk *esdk,
                                              bool writing, struct kb_error *err);

/* Sets the content key, of `gcm` and for the workers. */
KB_MUST_CHECK enum kb_status esdk_key_set(struct kb_esdk_message *message, struct kb_bytes key,
                                          struct kb_error *err);
void esdk_key_drop(struct kb_esdk_message *message);

/* Gives back what a message that is at its end, or failed, has no more use for:
 * threads, keys, and what is held unless it has still to come out. A caller may
 * have ended thousands before it frees them. */
void esdk_retire(struct kb_esdk_message *message);

/* The failure of this call and every later one. */
enum kb_status esdk_latch(struct kb_esdk_message *message, const struct kb_error *error,
                          struct kb_error *err);

/* Drops the first `size` bytes of the input. */
void esdk_take(struct kb_esdk_step *step, size_t size);

/* Adds to what is held from the input until `want` bytes are there; then
 * *there. */
KB_MUST_CHECK enum kb_status esdk_gather(struct kb_esdk_message *message,
                                         struct kb_esdk_step *step, uint64_t want, bool *there,
                                         struct kb_error *err);

/* What is held from `at` to `end` comes out next; nothing: it is dropped. */
void esdk_release(struct kb_esdk_message *message, size_t at, size_t end);

/* The next thing that can be done; nothing is held that has to come out first. */
KB_MUST_CHECK enum kb_status esdk_write_some(struct kb_esdk_message *message,
                                             struct kb_esdk_step *step, struct kb_error *err);
KB_MUST_CHECK enum kb_status esdk_read_some(struct kb_esdk_message *message,
                                            struct kb_esdk_step *step, struct kb_error *err);

/* Everything about a header that can be said without a key. */
KB_MUST_CHECK enum kb_status esdk_header_check(struct kb_esdk_message *message,
                                               struct kb_error *err);

/* Bytes into the message's signature, if it has one. */
KB_MUST_CHECK enum kb_status esdk_sign_over(struct kb_esdk_message *message, const uint8_t *data,
                                            size_t size, struct kb_error *err);

/* --- many regular frames --------------------------------------------------------- */

/* Seals or opens regular frames, at most `count`, which lie one behind the other
 * in the input and have room, over the workers when that is worth it; puts them
 * into the signature. Those that are right, from the first on, are taken and
 * made; after a failure the room of the others is wiped. */
KB_MUST_CHECK enum kb_status esdk_frames_run(struct kb_esdk_message *message,
                                             struct kb_esdk_step *step, size_t count,
                                             struct kb_error *err);
void esdk_workers_free(struct esdk_workers *workers); /* NULL is ignored */

#endif
