/* SPDX-License-Identifier: Apache-2.0
 *
 * What the client and the token helper say to each other. Both sides encode
 * and decode with the functions here, so they cannot disagree.
 *
 *   request  u32 length, u8 verb, payload
 *   answer   u32 length, u16 status, u8 lost, u8 detail kind, u64 detail,
 *            LV text, LV hint, payload
 *
 * A length counts what follows it. The first request is KB_VERB_OPEN.
 */
#ifndef KB_KEYSTORE_PROTOCOL_H
#define KB_KEYSTORE_PROTOCOL_H

#include <keybridge/keystore.h>

#include "base/reader.h"
#include "crypto/asymmetric.h"

enum {
    KB_PROTOCOL_VERSION = 4,
    KB_FRAME_DATA_MAX = 16 * 1024 * 1024,         /* items of one request and their lengths */
    KB_FRAME_MAX = KB_FRAME_DATA_MAX + 64 * 1024, /* a whole frame */
    KB_REQUEST_TEXT_MAX = 4096,                   /* names, URIs, paths */
    KB_REQUEST_PIN_MAX = 256,
    KB_REQUEST_VALUE_MAX = 4096, /* bytes of an imported key; RSA-4096 needs 2,400 */
    KB_HMAC_KEY_MAX = 512,
    KB_LIST_MAX = 10000,         /* keys or tokens in one answer */
    KB_RANDOM_MAX = 64 * 1024,   /* random bytes of one answer */
};

enum kb_verb {
    KB_VERB_OPEN = 1,
    KB_VERB_TOKENS,
    KB_VERB_INIT_TOKEN,
    KB_VERB_PROBE,
    KB_VERB_CREATE,
    KB_VERB_IMPORT,
    KB_VERB_DESTROY,
    KB_VERB_FIND,
    KB_VERB_LIST,
    KB_VERB_TRY_EXTRACT,
    KB_VERB_MAKE_KEYS,
    KB_VERB_UNWRAP_KEYS,
    KB_VERB_SIGN,
    KB_VERB_CIPHER,
    KB_VERB_FORGET,
    KB_VERB_EXPORT_PUBLIC,
    KB_VERB_GCM,
    KB_VERB_RANDOM,
    KB_VERB_COUNTER,
    KB_VERB_WRAP_KEYS,
    KB_VERB_AFTER_LAST, /* none: those from here on are unknown */
};

struct kb_request_item {
    uint32_t handle;
    enum kb_wrap_algorithm algorithm;
    uint8_t iv[16]; /* GCM: the first 12 of them */
    struct kb_bytes aad;
    struct kb_bytes bytes;
};

/* Texts and views borrow from their owner: the caller when encoding, the frame
 * when decoded. Which members a verb has is in protocol.c, in one place. */
struct kb_request {
    enum kb_verb verb;
    uint32_t version;
    const char *module;
    const char *parameters;
    const char *uri;
    bool session; /* OPEN: find one token and log in, not just load the module */
    bool with_pin;
    struct kb_bytes pin;
    struct kb_bytes so_pin;
    const char *name; /* of a key, or the label of a new token */
    struct kb_key_spec spec;
    struct kb_bytes value; /* of an AES or HMAC key, or kb_key_parts_put of others */
    uint8_t key_size;
    enum kb_wrap_algorithm algorithm;
    bool release;
    bool encrypt;
    enum kb_sign_scheme scheme;
    enum kb_hash hash;
    uint64_t from, to; /* COUNTER: what it is and becomes; to 0: it is only read */
    uint32_t count; /* of items; for MAKE_KEYS just how many; for RANDOM bytes */
    struct kb_request_item items[KB_TOKEN_BATCH_MAX];
};

/* A request without anything but its verb; items stay as they are. */
void kb_request_init(struct kb_request *request, enum kb_verb verb);

/* Writes a whole frame into the emptied buffer; false when something in it is
 * beyond its limit, or missing. */
bool kb_request_encode(struct kb_buffer *frame, const struct kb_request *request);

/* `body` is a frame without its length. False when it is not exactly one
 * request within the limits; request->verb is set whenever there is one. */
bool kb_request_decode(struct kb_request *request, struct kb_bytes body);

/* An answer of KB_OK in the emptied buffer, to put the payload behind. */
void kb_answer_begin(struct kb_buffer *frame);
/* The answer is this error instead. `lost`: the session is gone, replace me. */
void kb_answer_fail(struct kb_buffer *frame, const struct kb_error *err, bool lost);
/* Sets the length; false when the answer did not fit. */
bool kb_answer_end(struct kb_buffer *frame);

struct kb_answer_head {
    enum kb_status status;
    bool lost;
    struct kb_error err;
};

/* Reads the head and leaves the reader at the payload; false for nonsense. */
bool kb_answer_decode(struct kb_answer_head *head, struct kb_reader *reader, struct kb_bytes body);

/* Parts of answers. The get functions return false for nonsense. */
void kb_token_info_put(struct kb_buffer *frame, const struct kb_token_info *info);
bool kb_token_info_get(struct kb_reader *reader, struct kb_token_info *info);
void kb_key_info_put(struct kb_buffer *frame, const struct kb_key_info *info);
bool kb_key_info_get(struct kb_reader *reader, struct kb_key_info *info);
void kb_trial_put(struct kb_buffer *frame, const struct kb_token_trial *trial);
bool kb_trial_get(struct kb_reader *reader, struct kb_token_trial *trial);

/* `plain`: room for KB_TOKEN_DATA_KEY_MAX bytes, or NULL for keys that stay. */
void kb_data_key_put(struct kb_buffer *frame, const struct kb_data_key *key, const uint8_t *plain);
bool kb_data_key_get(struct kb_reader *reader, struct kb_data_key *key, uint8_t *plain);

void kb_signature_put(struct kb_buffer *frame, const struct kb_signature *signature);
bool kb_signature_get(struct kb_reader *reader, struct kb_signature *signature);

/* The numbers of an RSA or EC key; views into what the reader reads. What the
 * key's type is, and how many bits it has, is not part of it. */
void kb_key_parts_put(struct kb_buffer *frame, const struct kb_key_parts *parts);
bool kb_key_parts_get(struct kb_reader *reader, struct kb_key_parts *parts);

/* The status of one item: KB_OK or what kb_status_is_item tells. */
bool kb_item_status_get(struct kb_reader *reader, enum kb_status *status);

/* --- frames on descriptors --------------------------------------------------- */

enum kb_frame_result {
    KB_FRAME_OK,
    KB_FRAME_CLOSED, /* the other side is gone, or an error of the descriptor */
    KB_FRAME_TIMEOUT,
    KB_FRAME_BAD, /* a length beyond the limit, or no memory for it */
};

/* Milliseconds of the monotonic clock. */
int64_t kb_clock_ms(void);

/* `deadline` is a value of kb_clock_ms, or -1 to wait for ever. */
enum kb_frame_result kb_frame_send(int fd, const struct kb_buffer *frame, int64_t deadline);

/* Reads one frame; *body is it without its length, inside the buffer. */
enum kb_frame_result kb_frame_receive(int fd, struct kb_buffer *frame, int64_t deadline,
                                      struct kb_bytes *body);

#endif
