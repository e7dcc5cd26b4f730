/* SPDX-License-Identifier: Apache-2.0
 *
 * For tests of messages: a keyring without a token, messages through
 * kb_esdk_process in steps of any size, and messages made by hand.
 */
#ifndef ESDKTEST_H
#define ESDKTEST_H

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "crypto/gcm.h"
#include "crypto/signature.h"
#include "esdk/message.h"
#include "kbtest.h"

/* --- a keyring whose encrypted data keys are the data key turned around, and
 * the context ------------------------------------------------------------------ */

struct esdktest_keyring {
    struct kb_keyring base;
    unsigned wraps, unwraps; /* calls */
    unsigned copies;         /* recipients of a message; 0: 1 */
};

static inline void esdktest_edk(struct kb_buffer *edks, struct kb_bytes key,
                                struct kb_bytes context)
{
    kb_buffer_put_u16(edks, 4);
    kb_buffer_put_text(edks, "test");
    kb_buffer_put_u16(edks, 3);
    kb_buffer_put_text(edks, "key");
    kb_buffer_put_u16(edks, (uint16_t)(key.size + context.size));
    for (size_t i = 0; i < key.size; i++)
        kb_buffer_put_u8(edks, key.data[i] ^ 0x5a);
    kb_buffer_put_bytes(edks, context);
}

static inline enum kb_status esdktest_wrap(struct kb_keyring *keyring, struct kb_wrap_job *jobs,
                                           size_t n, struct kb_error *err)
{
    struct esdktest_keyring *own = (struct esdktest_keyring *)keyring;

    own->wraps++;
    for (size_t i = 0; i < n; i++)
        for (unsigned c = 0; c == 0 || c < own->copies; c++) {
            esdktest_edk(jobs[i].edks, jobs[i].data_key, jobs[i].context);
            jobs[i].edk_count++;
        }
    (void)err;
    return KB_OK;
}

static inline enum kb_status esdktest_unwrap(struct kb_keyring *keyring,
                                             struct kb_unwrap_job *jobs, size_t n,
                                             struct kb_error *err)
{
    (void)err;
    ((struct esdktest_keyring *)keyring)->unwraps++;
    for (size_t i = 0; i < n; i++) {
        const struct kb_bytes wrapped = jobs[i].edks[0].ciphertext;
        const size_t size = jobs[i].key_size;

        if (!kb_bytes_equal(jobs[i].edks[0].provider, kb_bytes_text("test")) ||
            wrapped.size != size + jobs[i].context.size ||
            (jobs[i].context.size &&
             memcmp(wrapped.data + size, jobs[i].context.data, jobs[i].context.size) != 0))
            continue;
        for (size_t b = 0; b < size; b++)
            jobs[i].data_key[b] = wrapped.data[b] ^ 0x5a;
        jobs[i].opened = true;
    }
    return KB_OK;
}

static const struct kb_keyring_type esdktest_type = {esdktest_wrap, esdktest_unwrap, NULL};

/* The caller has the one reference of its keyring. */
static inline struct kb_esdk *esdktest_new(enum kb_commitment policy, unsigned workers)
{
    const struct kb_esdk_options options = {.policy = policy, .workers = workers};
    struct esdktest_keyring *keyring = calloc(1, sizeof *keyring);
    struct kb_error err = {.status = KB_OK};
    struct kb_esdk *esdk;

    CU_ASSERT_PTR_NOT_NULL_FATAL(keyring);
    keyring->base.type = &esdktest_type;
    atomic_init(&keyring->base.references, 1);
    KBT_OK(kb_esdk_new(&esdk, &keyring->base, &options, &err), &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(esdk);
    kb_keyring_release(&keyring->base);
    return esdk;
}

/* --- steps ----------------------------------------------------------------------- */

/* Everything of `in` in steps of `feed` bytes, with `room` for what comes out,
 * which is appended to `out` also on failure. KB_ERR_SYSTEM: it stands still,
 * or says that it is done when it is not. */
static inline enum kb_status esdktest_run(struct kb_esdk_message *message, struct kb_bytes in,
                                          size_t feed, size_t room, struct kb_buffer *out,
                                          struct kb_error *err)
{
    uint8_t *memory = malloc(room ? room : 1); /* exact, so that a byte too many is seen */
    enum kb_status status = KB_OK;
    size_t at = 0;

    CU_ASSERT_PTR_NOT_NULL_FATAL(memory);
    while (status == KB_OK) {
        const size_t size = feed < in.size - at ? feed : in.size - at;
        struct kb_esdk_step step = {.in = {in.data + at, size},
                                    .last = at + size == in.size,
                                    .out = memory,
                                    .room = room};

        status = kb_esdk_process(message, &step, err);
        kb_buffer_put(out, memory, step.made);
        at += size - step.in.size;
        if (status == KB_OK && step.last && !step.in.size && kb_esdk_done(message))
            break;
        if (status == KB_OK && step.in.size == size && !step.made)
            status = KB_ERR_SYSTEM;
    }
    if (status != KB_OK && status != KB_ERR_SYSTEM && kb_esdk_done(message))
        status = KB_ERR_SYSTEM;
    free(memory);
    return status;
}

static inline enum kb_status esdktest_decrypt(struct kb_esdk *esdk,
                                              const struct kb_esdk_decrypt_options *options,
                                              struct kb_bytes in, struct kb_buffer *out)
{
    struct kb_error err = {.status = KB_OK};
    struct kb_esdk_message *message;
    enum kb_status status = kb_esdk_decrypt(&message, esdk, options, &err);

    if (status != KB_OK)
        return status;
    status = esdktest_run(message, in, in.size, in.size + 1, out, &err);
    CU_ASSERT_EQUAL(status, err.status);
    kb_esdk_free(message);
    return status;
}

static inline void esdktest_encrypt(struct kb_esdk *esdk,
                                    const struct kb_esdk_encrypt_options *options,
                                    struct kb_bytes in, struct kb_buffer *out)
{
    struct kb_error err = {.status = KB_OK};
    struct kb_esdk_message *message;

    KBT_OK(kb_esdk_encrypt(&message, 1, esdk, options, &err), &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(message);
    KBT_OK(esdktest_run(message, in, in.size, 2 * in.size + 4096, out, &err), &err);
    kb_esdk_free(message);
}

/* --- messages made by hand ----------------------------------------------------------- */

struct craft {
    const struct esdk_suite *suite;
    struct kb_gcm *gcm;
    struct kb_signature_stream *signature;
    struct kb_bytes id;
    struct kb_buffer out;
};

/* A header under the data key of bytes 0x11; `frame_length` 0: unframed. */
static inline void craft_header(struct craft *craft, uint16_t suite, uint32_t frame_length)
{
    static const uint8_t key[32] = {[0 ... 31] = 0x11}, id[32] = {[0 ... 31] = 0x22};
    static const uint8_t iv[KB_GCM_IV_SIZE];
    struct kb_buffer edks = KB_BUFFER_INIT(4096), point_text = KB_BUFFER_INIT(256),
                     context = KB_BUFFER_INIT(4096);
    struct kb_error err = {.status = KB_OK};
    struct kb_esdk_info info = {.frame_length = frame_length, .edk_count = 1};
    struct kb_pair pair = {kb_bytes_text(ESDK_PUBLIC_KEY_NAME), {NULL, 0}};
    uint8_t content[32], commit[32], point[KB_POINT_MAX], tag[KB_GCM_TAG_SIZE], nothing[1];
    struct kb_gcm_text text = {.iv = iv, .in = {nothing, 0}, .out = nothing, .tag = tag};
    size_t size;

    craft->suite = esdk_suite_find(suite);
    craft->id = (struct kb_bytes){id, esdk_message_id_size(craft->suite)};
    craft->out = (struct kb_buffer)KB_BUFFER_INIT(SIZE_MAX / 2);
    craft->signature = NULL;
    if (craft->suite->is_signed) {
        KBT_OK(kb_signature_make(&craft->signature, craft->suite->sign_hash, point, &size, &err),
               &err);
        kb_base64_format(&point_text, (struct kb_bytes){point, size});
        pair.value = kb_buffer_view(&point_text);
        info.context = &pair;
        info.context_count = 1;
    }
    KBT_OK(esdk_context_write(&context, info.context, info.context_count, &err), &err);
    esdktest_edk(&edks, (struct kb_bytes){key, craft->suite->key_size}, kb_buffer_view(&context));
    info.message_id = craft->id;
    KBT_OK(esdk_derive(craft->suite, (struct kb_bytes){key, craft->suite->key_size}, craft->id,
                       content, commit, &err),
           &err);
    KBT_OK(kb_gcm_new(&craft->gcm, (struct kb_bytes){content, craft->suite->key_size}, &err), &err);
    KBT_OK(esdk_header_write(&craft->out, craft->suite, &info, kb_buffer_view(&edks), commit, &err),
           &err);
    text.aad = kb_buffer_view(&craft->out);
    KBT_OK(kb_gcm_encrypt(craft->gcm, &text, &err), &err);
    if (craft->suite->version == 1)
        kb_buffer_put(&craft->out, iv, sizeof iv);
    kb_buffer_put(&craft->out, tag, sizeof tag);
    kb_buffer_free(&edks);
    kb_buffer_free(&point_text);
    kb_buffer_free(&context);
}

/* A frame as it says, with an IV of its own choice. */
static inline void craft_frame(struct craft *craft, enum esdk_kind kind, uint32_t sequence,
                               struct kb_bytes plain)
{
    struct esdk_frame frame = {.kind = kind, .sequence = sequence, .size = plain.size};
    uint8_t aad[ESDK_AAD_MAX], tag[KB_GCM_TAG_SIZE];
    struct kb_error err = {.status = KB_OK};
    struct kb_gcm_text text = {.iv = frame.iv, .in = plain, .tag = tag};
    uint8_t *ciphertext = malloc(plain.size + 1);

    memset(frame.iv, 0xc0, sizeof frame.iv);
    frame.iv[0] = (uint8_t)sequence;
    text.aad = (struct kb_bytes){aad, esdk_frame_aad(aad, &frame, craft->id)};
    text.out = ciphertext;
    KBT_OK(kb_gcm_encrypt(craft->gcm, &text, &err), &err);
    if (kind == ESDK_FINAL)
        kb_buffer_put_u32(&craft->out, ESDK_FINAL_FRAME);
    if (kind != ESDK_UNFRAMED)
        kb_buffer_put_u32(&craft->out, sequence);
    kb_buffer_put(&craft->out, frame.iv, sizeof frame.iv);
    if (kind == ESDK_FINAL)
        kb_buffer_put_u32(&craft->out, (uint32_t)plain.size);
    if (kind == ESDK_UNFRAMED)
        kb_buffer_put_u64(&craft->out, plain.size);
    kb_buffer_put(&craft->out, ciphertext, plain.size);
    kb_buffer_put(&craft->out, tag, sizeof tag);
    free(ciphertext);
}

/* The footer of signed suites, and the end. The caller frees `out`. */
static inline void craft_end(struct craft *craft)
{
    struct kb_error err = {.status = KB_OK};
    uint8_t der[KB_ECDSA_DER_MAX];
    size_t size;

    if (craft->signature) {
        KBT_OK(kb_signature_update(craft->signature, kb_buffer_view(&craft->out), &err), &err);
        KBT_OK(kb_signature_sign(craft->signature, der, &size, &err), &err);
        kb_buffer_put_u16(&craft->out, (uint16_t)size);
        kb_buffer_put(&craft->out, der, size);
    }
    kb_signature_stream_free(craft->signature);
    kb_gcm_free(craft->gcm);
}

/* Bytes that tell where they are. */
static inline struct kb_bytes esdktest_plain(size_t size)
{
    static uint8_t bytes[4 << 20];
    static bool filled;

    for (size_t i = 0; !filled && i < sizeof bytes; i++)
        bytes[i] = (uint8_t)((i + 1) * 2654435761u >> 13);
    filled = true;
    CU_ASSERT_TRUE_FATAL(size <= sizeof bytes);
    return (struct kb_bytes){bytes, size};
}

#endif
