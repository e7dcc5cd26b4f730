/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/gcm.h"
#include "wycheproof.h"

static const uint8_t zero[KB_GCM_IV_SIZE];

static struct kb_gcm *new_gcm(struct kb_bytes key)
{
    struct kb_error err = {0};
    struct kb_gcm *gcm;

    KBT_OK(kb_gcm_new(&gcm, key, &err), &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(gcm);
    return gcm;
}

/* As kb_gcm_encrypt and kb_gcm_decrypt, `piece` bytes at a time. */
static enum kb_status in_pieces(struct kb_gcm *gcm, bool encrypt, const struct kb_gcm_text *text,
                                size_t piece)
{
    KBT_OK(kb_gcm_begin(gcm, encrypt, text->iv, text->aad, NULL), NULL);
    for (size_t at = 0; at < text->in.size; at += piece) {
        size_t size = text->in.size - at < piece ? text->in.size - at : piece;

        KBT_OK(kb_gcm_update(gcm, text->out + at, (struct kb_bytes){text->in.data + at, size},
                             NULL),
               NULL);
    }
    return encrypt ? kb_gcm_seal(gcm, text->tag, NULL) : kb_gcm_open(gcm, text->tag, NULL);
}

/* --- Wycheproof ------------------------------------------------------------------ */

enum { ROOM = 4096 };

static unsigned seen_valid, seen_invalid, seen_other_iv;

static void check_vector(const struct wycheproof *vector)
{
    uint8_t out[ROOM], tag[KB_GCM_TAG_SIZE];
    struct kb_gcm_text there = {vector->iv.data, vector->aad, vector->msg, out, tag};
    struct kb_gcm_text back = {vector->iv.data, vector->aad, vector->ct, out, tag};
    struct kb_gcm *gcm;

    if (vector->iv.size != KB_GCM_IV_SIZE) {
        seen_other_iv++;
        return;
    }
    CU_ASSERT_FATAL(vector->msg.size <= ROOM && vector->tag.size == sizeof tag);
    *(vector->valid ? &seen_valid : &seen_invalid) += 1;
    gcm = new_gcm(vector->key);
    for (size_t piece = 0; piece <= 17; piece++) {
        if (vector->valid) {
            CU_ASSERT_EQUAL(piece ? in_pieces(gcm, true, &there, piece)
                                  : kb_gcm_encrypt(gcm, &there, NULL),
                            KB_OK);
            KBT_BYTES(((struct kb_bytes){out, vector->ct.size}), vector->ct);
            KBT_BYTES(((struct kb_bytes){tag, sizeof tag}), vector->tag);
        }
        memcpy(tag, vector->tag.data, sizeof tag);
        CU_ASSERT_EQUAL(piece ? in_pieces(gcm, false, &back, piece)
                              : kb_gcm_decrypt(gcm, &back, NULL),
                        vector->valid ? KB_OK : KB_ERR_AUTH);
        if (vector->valid)
            KBT_BYTES(((struct kb_bytes){out, vector->msg.size}), vector->msg);
    }
    kb_gcm_free(gcm);
}

static void test_wycheproof(void)
{
    wycheproof_each("wycheproof/aes_gcm_test.json", check_vector);
    if (seen_valid + seen_invalid + seen_other_iv == 0)
        return; /* the vectors are not there, which was said */
    printf("(%u valid, %u invalid, %u with IVs of other lengths) ", seen_valid, seen_invalid,
           seen_other_iv);
    CU_ASSERT_TRUE(seen_valid > 100 && seen_invalid > 50);
}

/* --- ours ------------------------------------------------------------------------- */

/* The specification's test cases 13 and 14 (The Galois/Counter Mode of
 * Operation, appendix B), so that a bare clone compares with something. */
static void test_known(void)
{
    static const uint8_t zeros[32];
    static const uint8_t want13[] = {0x53, 0x0f, 0x8a, 0xfb, 0xc7, 0x45, 0x36, 0xb9,
                                     0xa9, 0x63, 0xb4, 0xf1, 0xc4, 0xcb, 0x73, 0x8b};
    static const uint8_t want14[] = {0xce, 0xa7, 0x40, 0x3d, 0x4d, 0x60, 0x6b, 0x6e,
                                     0x07, 0x4e, 0xc5, 0xd3, 0xba, 0xf3, 0x9d, 0x18,
                                     0xd0, 0xd1, 0xc8, 0xa7, 0x99, 0x99, 0x6b, 0xf0,
                                     0x26, 0x5b, 0x98, 0xb5, 0xd4, 0x8a, 0xb9, 0x19};
    struct kb_gcm *gcm = new_gcm((struct kb_bytes){zeros, 32});
    uint8_t out[32];
    struct kb_gcm_text text = {zero, {NULL, 0}, {NULL, 0}, NULL, out};

    KBT_OK(kb_gcm_encrypt(gcm, &text, NULL), NULL);
    KBT_BYTES(((struct kb_bytes){out, 16}), ((struct kb_bytes){want13, 16}));
    KBT_OK(kb_gcm_decrypt(gcm, &text, NULL), NULL);
    text.in = (struct kb_bytes){zeros, 16};
    text.out = out;
    text.tag = out + 16;
    KBT_OK(kb_gcm_encrypt(gcm, &text, NULL), NULL);
    KBT_BYTES(((struct kb_bytes){out, 32}), ((struct kb_bytes){want14, 32}));
    kb_gcm_free(gcm);
}

/* Every bit of what goes in, and a good text behind each bad one: a refusal
 * leaves nothing behind in the context. */
static void test_flipped(void)
{
    static const uint8_t key[24] = "twenty-four bytes of key";
    uint8_t all[12 + 20 + 33 + 16], out[33];
    struct kb_gcm_text text = {all, {all + 12, 20}, {all + 32, 33}, out, all + 65};
    struct kb_gcm *gcm = new_gcm((struct kb_bytes){key, sizeof key});

    for (size_t i = 0; i < sizeof all; i++)
        all[i] = (uint8_t)(i * 7);
    text.out = all + 32; /* in place */
    KBT_OK(kb_gcm_encrypt(gcm, &text, NULL), NULL);
    text.out = out;
    for (size_t bit = 0; bit < sizeof all * 8; bit++) {
        struct kb_error err = {0};

        all[bit / 8] ^= (uint8_t)(1 << bit % 8);
        memset(out, 0xee, sizeof out);
        CU_ASSERT_EQUAL(kb_gcm_decrypt(gcm, &text, &err), KB_ERR_AUTH);
        CU_ASSERT_STRING_EQUAL(kb_error_text(&err), kb_status_sentence(KB_ERR_AUTH));
        for (size_t i = 0; i < sizeof out; i++)
            CU_ASSERT_EQUAL(out[i], 0);
        CU_ASSERT_EQUAL(in_pieces(gcm, false, &text, 16), KB_ERR_AUTH);
        all[bit / 8] ^= (uint8_t)(1 << bit % 8);
        KBT_OK(kb_gcm_decrypt(gcm, &text, NULL), NULL);
        CU_ASSERT_EQUAL(out[0], (uint8_t)(32 * 7));
    }
    kb_gcm_free(gcm);
}

/* Not only a wrong tag leaves nothing: here OpenSSL does not go on without a
 * new IV. */
static void test_failure(void)
{
    static const uint8_t key[16], aad[] = "aad";
    uint8_t in[33] = {0}, out[33], tag[16] = {0};
    struct kb_gcm_text text = {zero, {aad, sizeof aad}, {in, sizeof in}, out, tag};
    struct kb_gcm *gcm = new_gcm((struct kb_bytes){key, sizeof key});
    struct kb_error err = {0};

    CU_ASSERT_EQUAL(kb_gcm_decrypt(gcm, &text, NULL), KB_ERR_AUTH);
    text.iv = NULL;
    memset(out, 0xee, sizeof out);
    CU_ASSERT_EQUAL(kb_gcm_decrypt(gcm, &text, &err), KB_ERR_SYSTEM);
    for (size_t i = 0; i < sizeof out; i++)
        CU_ASSERT_EQUAL(out[i], 0);
    kb_gcm_free(gcm);
}

/* One context in both directions in turn, a text begun and dropped, another one
 * of the same key. */
static void test_turns(void)
{
    static const uint8_t key[32] = "thirty-two bytes of key in here";
    uint8_t plain[1000], there[1000], other[1000], tag[16], tag_other[16];
    struct kb_gcm *gcm = new_gcm((struct kb_bytes){key, sizeof key});
    struct kb_gcm *copy = new_gcm((struct kb_bytes){key, sizeof key});
    struct kb_gcm *wrong = new_gcm((struct kb_bytes){key + 1, 16});

    for (size_t i = 0; i < sizeof plain; i++) {
        uint8_t iv[KB_GCM_IV_SIZE] = {(uint8_t)i, (uint8_t)(i >> 8)};
        struct kb_bytes aad = {plain, i % 40};
        struct kb_gcm_text text = {iv, aad, {plain, i}, there, tag};

        plain[i] = (uint8_t)(i * i);
        KBT_OK(kb_gcm_encrypt(gcm, &text, NULL), NULL);
        text.out = other;
        text.tag = tag_other;
        KBT_OK(kb_gcm_begin(copy, i % 2, iv, aad, NULL), NULL);
        KBT_OK(kb_gcm_update(copy, other, (struct kb_bytes){plain, i / 2}, NULL), NULL);
        CU_ASSERT_EQUAL(in_pieces(copy, true, &text, 64 + i % 5), KB_OK);
        KBT_BYTES(((struct kb_bytes){other, i}), ((struct kb_bytes){there, i}));
        KBT_BYTES(((struct kb_bytes){tag_other, 16}), ((struct kb_bytes){tag, 16}));
        text.in.data = other; /* in place */
        CU_ASSERT_EQUAL(kb_gcm_decrypt(wrong, &text, NULL), KB_ERR_AUTH);
        memcpy(other, there, i);
        KBT_OK(kb_gcm_decrypt(gcm, &text, NULL), NULL);
        KBT_BYTES(((struct kb_bytes){other, i}), ((struct kb_bytes){plain, i}));
    }
    kb_gcm_free(wrong);
    kb_gcm_free(copy);
    kb_gcm_free(gcm);
}

static void test_keys(void)
{
    static const uint8_t key[40];

    for (size_t size = 0; size <= sizeof key; size++) {
        struct kb_gcm *gcm;
        bool good = size == 16 || size == 24 || size == 32;

        CU_ASSERT_EQUAL(kb_gcm_new(&gcm, (struct kb_bytes){key, size}, NULL),
                        good ? KB_OK : KB_ERR_USAGE);
        CU_ASSERT_EQUAL(gcm != NULL, good);
        kb_gcm_free(gcm);
    }
}

int main(int argc, char **argv)
{
    static const struct kbtest tests[] = {
        {"known answers", test_known},
        {"every bit flipped", test_flipped},
        {"a failure", test_failure},
        {"one context, both directions, every length", test_turns},
        {"keys of every size", test_keys},
        {"Wycheproof: AES-GCM, whole and in pieces", test_wycheproof},
        {NULL, NULL},
    };

    return kbtest_main("gcm", tests, argc, argv);
}
