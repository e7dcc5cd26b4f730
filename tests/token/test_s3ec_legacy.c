/* SPDX-License-Identifier: Apache-2.0
 *
 * Objects as old S3 encryption clients wrote them: only read, only when asked,
 * and telling nothing to whoever alters them. There is no writer of ours, so
 * they are made here.
 */
#include "backends.h"

#include "base/text.h"
#include "crypto/asymmetric.h"
#include "crypto/crypto.h"
#include "crypto/gcm.h"

#include <keybridge/s3ec.h>

#include <stdio.h>
#include <string.h>

enum { KEY = 32, ROOM = 1 << 16 };

static const uint8_t legacy_value[KEY] = {"0123456789abcdef0123456789abcde"};
static const uint8_t data_key[KEY] = {"a data key of thirty-two bytes."};
static const uint8_t iv[16] = {"initialisation."};

static struct kb_public_key *public_key;

static bool have_token(enum token_kind kind)
{
    struct kb_key_spec spec = {.name = "old-aes", .use = KB_KEY_LEGACY, .type = KB_KEY_AES_256};
    struct kb_buffer spki = KB_BUFFER_INIT(4096);
    struct kb_error err = {0};
    struct kb_key_info info;
    struct kb_token *token;

    if (!token_module(kind))
        return false;
    token = backend_lease(kind);
    backend_key(token, "old-rsa", KB_KEY_WRAP, KB_KEY_RSA_2048);
    backend_key(token, "old-wrap", KB_KEY_WRAP, KB_KEY_AES_256);
    backend_key(token, "new-aes", KB_KEY_ENVELOPE, KB_KEY_AES_256);
    if (kb_key_find(token, spec.name, &info, NULL) == KB_ERR_NOT_FOUND)
        backend_import(token, &spec, (struct kb_bytes){legacy_value, KEY});
    KBT_OK(kb_key_export_public(token, "old-rsa", &spki, &err), &err);
    kb_public_key_free(public_key);
    KBT_OK(kb_public_key_new(&public_key, kb_buffer_view(&spki), &err), &err);
    kb_token_return(token);
    kb_buffer_free(&spki);
    return true;
}

static struct kb_s3ec *configure(enum token_kind kind, const char *key, bool wrapping,
                                 bool unauthenticated)
{
    const struct kb_s3ec_options options = {.key = key,
                                            .policy = KB_COMMITMENT_REQUIRE_ALLOW,
                                            .legacy_wrapping = wrapping,
                                            .legacy_unauthenticated = unauthenticated};
    struct kb_s3ec *s3ec = NULL;
    struct kb_error err = {0};

    KBT_OK(kb_s3ec_new(&s3ec, backend_keystore(kind), &options, &err), &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s3ec);
    return s3ec;
}

/* --- making old objects ---------------------------------------------------------- */

struct old_object {
    struct kb_pair pairs[KB_S3EC_METADATA_MAX];
    struct kb_s3ec_header header;
    struct kb_buffer key_text, iv_text, body, text;
};

static void begin(struct old_object *old, size_t size)
{
    *old = (struct old_object){.key_text = KB_BUFFER_INIT(2048),
                               .iv_text = KB_BUFFER_INIT(64),
                               .body = KB_BUFFER_INIT(ROOM),
                               .text = KB_BUFFER_INIT(ROOM)};
    for (size_t i = 0; i < size; i++)
        kb_buffer_put_u8(&old->text, (uint8_t)(i * 5));
}

static void end(struct old_object *old)
{
    kb_buffer_free(&old->key_text);
    kb_buffer_free(&old->iv_text);
    kb_buffer_free(&old->body);
    kb_buffer_free(&old->text);
}

static void put(struct old_object *old, const char *name, struct kb_bytes value)
{
    old->pairs[old->header.metadata_count++] = (struct kb_pair){kb_bytes_text(name), value};
    old->header.metadata = old->pairs;
}

/* `wrap` NULL: version 1. */
static void make_header(struct old_object *old, const char *wrap, bool cbc, struct kb_bytes wrapped)
{
    old->header.metadata_count = 0;
    kb_buffer_reset(&old->key_text);
    kb_buffer_reset(&old->iv_text);
    kb_base64_format(&old->key_text, wrapped);
    kb_base64_format(&old->iv_text, (struct kb_bytes){iv, cbc ? 16 : KB_GCM_IV_SIZE});
    put(old, wrap ? "x-amz-key-v2" : "x-amz-key", kb_buffer_view(&old->key_text));
    put(old, "x-amz-iv", kb_buffer_view(&old->iv_text));
    put(old, "x-amz-matdesc", kb_bytes_text("{}"));
    if (!wrap)
        return;
    put(old, "x-amz-wrap-alg", kb_bytes_text(wrap));
    put(old, "x-amz-cek-alg", kb_bytes_text(cbc ? "AES/CBC/PKCS5Padding" : "AES/GCM/NoPadding"));
    if (!cbc)
        put(old, "x-amz-tag-len", kb_bytes_text("128"));
}

static void cbc_encrypt(uint8_t *out, const uint8_t *key, const uint8_t *with_iv,
                        struct kb_bytes text)
{
    struct kb_crypto *crypto;

    KBT_OK(kb_crypto_new(&crypto, NULL), NULL);
    KBT_OK(kb_crypto_cbc_key(crypto, true, (struct kb_bytes){key, KEY}, NULL), NULL);
    KBT_OK(kb_crypto_cbc_encrypt(crypto, out, with_iv, text, NULL), NULL);
    kb_crypto_free(crypto);
}

static void make_body(struct old_object *old, bool cbc)
{
    struct kb_bytes text = kb_buffer_view(&old->text);
    struct kb_gcm *gcm;

    kb_buffer_reset(&old->body);
    if (cbc) {
        cbc_encrypt(kb_buffer_extend(&old->body, kb_crypto_cbc_size(text.size)), data_key, iv,
                    text);
        return;
    }
    KBT_OK(kb_gcm_new(&gcm, (struct kb_bytes){data_key, KEY}, NULL), NULL);
    (void)kb_buffer_extend(&old->body, text.size + KB_GCM_TAG_SIZE);
    KBT_OK(kb_gcm_encrypt(gcm,
                          &(struct kb_gcm_text){.iv = iv,
                                                .in = text,
                                                .out = old->body.data,
                                                .tag = old->body.data + text.size},
                          NULL),
           NULL);
    kb_gcm_free(gcm);
}

/* ECB is CBC of one block without an IV. */
static void ecb_encrypt(uint8_t out[48], const uint8_t plain[48])
{
    static const uint8_t none[16];
    uint8_t two[32];

    for (size_t i = 0; i < 48; i += 16) {
        cbc_encrypt(two, legacy_value, none, (struct kb_bytes){plain + i, 16});
        memcpy(out + i, two, 16);
    }
}

static struct kb_bytes wrap_ecb(uint8_t out[48], uint8_t padding)
{
    uint8_t plain[48];

    memcpy(plain, data_key, KEY);
    memset(plain + KEY, padding, 16);
    ecb_encrypt(out, plain);
    return (struct kb_bytes){out, 48};
}

static struct kb_bytes wrap_rsa(uint8_t out[KB_TOKEN_WRAPPED_MAX], enum kb_wrap_algorithm algorithm,
                                size_t size)
{
    struct kb_bytes wrapped = {out, 0};

    KBT_OK(kb_public_key_wrap(public_key, algorithm, out, &wrapped.size,
                              (struct kb_bytes){data_key, size}, NULL),
           NULL);
    return wrapped;
}

/* --- reading them ---------------------------------------------------------------- */

static enum kb_status read_old(struct kb_buffer *out, struct kb_s3ec *s3ec,
                               const struct old_object *old, size_t piece, struct kb_error *err)
{
    struct kb_bytes body = kb_buffer_view(&old->body);
    struct kb_s3ec_object *object;
    enum kb_status status = kb_s3ec_decrypt(&object, s3ec, &old->header, body.size, err);

    kb_buffer_reset(out);
    for (size_t done = 0; status == KB_OK && done < body.size; done += piece) {
        size_t size = body.size - done < piece ? body.size - done : piece;

        status = kb_s3ec_open_piece(object, out, (struct kb_bytes){body.data + done, size}, err);
    }
    if (status == KB_OK)
        status = kb_s3ec_open_end(object, out, err);
    kb_s3ec_object_free(object);
    return status;
}

/* Read with the switches it needs, and without each of them refused. */
static void check_reading(enum token_kind kind, const char *key, const struct old_object *old,
                          bool cbc)
{
    struct kb_buffer out = KB_BUFFER_INIT(ROOM);
    struct kb_error err = {0};

    for (unsigned i = 0; i < 4; i++) {
        struct kb_s3ec *s3ec = configure(kind, key, i & 1, i & 2);

        if (!(i & 1) || (cbc && !(i & 2))) {
            FAILS(read_old(&out, s3ec, old, ROOM, &err), KB_ERR_DENIED, &err);
            CU_ASSERT_EQUAL(out.size, 0);
        } else {
            static const size_t pieces[] = {1, 5, 15, 16, 17, 33, ROOM};

            for (size_t j = 0; j < sizeof pieces / sizeof *pieces; j++) {
                KBT_OK(read_old(&out, s3ec, old, pieces[j], &err), &err);
                KBT_BYTES(kb_buffer_view(&out), kb_buffer_view(&old->text));
            }
        }
        kb_s3ec_release(s3ec);
    }
    kb_buffer_free(&out);
}

static void old_objects(enum token_kind kind)
{
    static const size_t sizes[] = {0, 1, 15, 16, 17, 31, 32, 33, 1000};
    uint8_t wrapped[KB_TOKEN_WRAPPED_MAX];
    struct old_object old;

    if (!have_token(kind))
        return;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        begin(&old, sizes[i]);
        make_body(&old, true);
        make_header(&old, NULL, true, wrap_ecb(wrapped, 16));
        check_reading(kind, "old-aes", &old, true);
        make_header(&old, "AES", true, wrap_ecb(wrapped, 16));
        check_reading(kind, "old-aes", &old, true);
        make_header(&old, NULL, true, wrap_rsa(wrapped, KB_WRAP_PKCS1, KEY));
        check_reading(kind, "old-rsa", &old, true);
        make_header(&old, "RSA/ECB/OAEPWithSHA-256AndMGF1Padding", true,
                    wrap_rsa(wrapped, KB_WRAP_OAEP_SHA256, KEY));
        check_reading(kind, "old-rsa", &old, true);
        make_body(&old, false);
        make_header(&old, "RSA/ECB/OAEPWithSHA-256AndMGF1Padding", false,
                    wrap_rsa(wrapped, KB_WRAP_OAEP_SHA256, KEY));
        check_reading(kind, "old-rsa", &old, false);
        end(&old);
    }
}
DEFINE_BOTH(old_objects)

/* --- telling nothing ------------------------------------------------------------- */

struct telling {
    struct kb_s3ec *s3ec;
    struct kb_error first; /* what the first refusal said */
};

/* Whatever is wrong, it is found at the end of the body, and said in the same words. By
 * chance, one of 256, a padding is right: then something else comes out. */
static void must_tell_nothing(struct telling *telling, const struct old_object *old)
{
    struct kb_buffer out = KB_BUFFER_INIT(ROOM);
    struct kb_s3ec_object *object = NULL;
    struct kb_error err = {0};
    enum kb_status status;

    KBT_OK(kb_s3ec_decrypt(&object, telling->s3ec, &old->header, old->body.size, &err), &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(object);
    KBT_OK(kb_s3ec_open_piece(object, &out, kb_buffer_view(&old->body), &err), &err);
    status = kb_s3ec_open_end(object, &out, &err);
    if (status == KB_OK) {
        CU_ASSERT_FALSE(kb_bytes_equal(kb_buffer_view(&out), kb_buffer_view(&old->text)));
    } else {
        CU_ASSERT_EQUAL(status, KB_ERR_AUTH);
        if (!telling->first.text[0])
            telling->first = err;
        CU_ASSERT_STRING_EQUAL(err.text, telling->first.text);
        CU_ASSERT_STRING_EQUAL(err.hint, telling->first.hint);
    }
    kb_s3ec_object_free(object);
    kb_buffer_free(&out);
}

static void tells_nothing(enum token_kind kind)
{
    uint8_t wrapped[KB_TOKEN_WRAPPED_MAX];
    struct telling telling = {0};
    struct kb_bytes good;
    struct old_object old;

    if (!have_token(kind))
        return;
    telling.s3ec = configure(kind, "old-rsa", true, true);
    begin(&old, 100);
    make_body(&old, true);
    for (unsigned i = 0; i < 10; i++) {
        good = wrap_rsa(wrapped, KB_WRAP_PKCS1, KEY);
        wrapped[1 + i * 20] ^= 1; /* below the modulus, as the first byte stays */
        wrapped[0] = 0;
        make_header(&old, NULL, true, good);
        must_tell_nothing(&telling, &old);
    }
    make_header(&old, NULL, true, wrap_rsa(wrapped, KB_WRAP_PKCS1, 16));
    must_tell_nothing(&telling, &old);
    make_header(&old, NULL, true, wrap_rsa(wrapped, KB_WRAP_OAEP_SHA1, KEY));
    must_tell_nothing(&telling, &old);
    make_header(&old, NULL, true, wrap_rsa(wrapped, KB_WRAP_PKCS1, KEY));
    for (unsigned i = 0; i < 16; i++) { /* the last block's padding */
        old.body.data[old.body.size - 32 + i] ^= 0x55;
        must_tell_nothing(&telling, &old);
        old.body.data[old.body.size - 32 + i] ^= 0x55;
    }
    CU_ASSERT_TRUE(telling.first.text[0]);
    end(&old);
    kb_s3ec_release(telling.s3ec);
}
DEFINE_BOTH(tells_nothing)

/* --- refusals -------------------------------------------------------------------- */

static void refusals(enum token_kind kind)
{
    struct kb_buffer out = KB_BUFFER_INIT(ROOM);
    uint8_t wrapped[KB_TOKEN_WRAPPED_MAX];
    struct kb_s3ec_object *object = NULL;
    struct kb_error err = {0};
    struct kb_s3ec *s3ec, *to;
    struct old_object old;
    uint64_t from, until;

    if (!have_token(kind))
        return;
    begin(&old, 100);
    make_body(&old, true);
    make_header(&old, NULL, true, wrap_ecb(wrapped, 16));
    s3ec = configure(kind, "old-aes", true, true);
    to = configure(kind, "new-aes", true, true);
    /* only read, and as a whole */
    FAILS(kb_s3ec_encrypt(&object, 1, s3ec, NULL, &err), KB_ERR_DENIED, &err);
    FAILS(kb_s3ec_encrypt_again(&object, s3ec, &old.header, &err), KB_ERR_UNSUPPORTED, &err);
    FAILS(kb_s3ec_rewrap(&object, s3ec, to, &old.header, NULL, &err), KB_ERR_UNSUPPORTED, &err);
    KBT_OK(kb_s3ec_decrypt(&object, s3ec, &old.header, old.body.size, &err), &err);
    FAILS(kb_s3ec_range(object, 0, 1, &from, &until, &err), KB_ERR_UNSUPPORTED, &err);
    kb_s3ec_object_free(object);
    FAILS(kb_s3ec_decrypt(&object, to, &old.header, old.body.size, &err), KB_ERR_DENIED, &err);
    /* sizes that CBC has not */
    for (size_t size = 0; size <= 40; size++)
        if (size == 0 || size % 16)
            FAILS(kb_s3ec_decrypt(&object, s3ec, &old.header, size, &err), KB_ERR_AUTH, &err);
    /* what is no key */
    for (unsigned padding = 0; padding < 256; padding++) {
        make_header(&old, NULL, true, wrap_ecb(wrapped, (uint8_t)padding));
        if (padding != 16)
            FAILS(read_old(&out, s3ec, &old, ROOM, &err), KB_ERR_AUTH, &err);
    }
    for (size_t size = 1; size <= 48; size++) {
        if (size == 48)
            continue;
        make_header(&old, NULL, true, (struct kb_bytes){wrapped, size});
        FAILS(read_old(&out, s3ec, &old, ROOM, &err), KB_ERR_AUTH, &err);
    }
    end(&old);
    kb_s3ec_release(s3ec);
    kb_s3ec_release(to);
    kb_buffer_free(&out);
}
DEFINE_BOTH(refusals)

/* A body by GCM that an old key opens gets a new one. */
static void out_of_the_old(enum token_kind kind)
{
    struct kb_buffer out = KB_BUFFER_INIT(ROOM);
    uint8_t wrapped[KB_TOKEN_WRAPPED_MAX];
    struct kb_s3ec_object *object = NULL;
    struct kb_error err = {0};
    struct kb_s3ec_info info;
    struct kb_s3ec *from, *to;
    struct old_object old;

    if (!have_token(kind))
        return;
    from = configure(kind, "old-rsa", true, false);
    to = configure(kind, "new-aes", false, false);
    begin(&old, 100);
    make_body(&old, false);
    make_header(&old, "RSA/ECB/OAEPWithSHA-256AndMGF1Padding", false,
                wrap_rsa(wrapped, KB_WRAP_OAEP_SHA256, KEY));
    KBT_OK(kb_s3ec_rewrap(&object, from, to, &old.header, NULL, &err), &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(object);
    old.header = *kb_s3ec_object_header(object);
    KBT_OK(kb_s3ec_inspect(&info, &old.header, &err), &err);
    CU_ASSERT_TRUE(info.version == 2 && !info.legacy_wrapping);
    KBT_OK(read_old(&out, to, &old, ROOM, &err), &err);
    KBT_BYTES(kb_buffer_view(&out), kb_buffer_view(&old.text));
    kb_s3ec_object_free(object);
    end(&old);
    kb_s3ec_release(from);
    kb_s3ec_release(to);
    kb_buffer_free(&out);
}
DEFINE_BOTH(out_of_the_old)

/* The token knows what a legacy key is for. */
static void legacy_keys(enum token_kind kind)
{
    const struct kb_key_spec spec = {"old-new", KB_KEY_LEGACY, KB_KEY_AES_256, false, false, false};
    const struct kb_data_key_spec wanted = {"old-aes", KB_WRAP_AES_ECB, KEY};
    struct kb_data_key key = {.algorithm = KB_WRAP_AES_ECB, .wrapped_size = 48};
    struct kb_secret *plain;
    struct kb_error err = {0};
    struct kb_key_info info;
    struct kb_token *token;

    if (!have_token(kind))
        return;
    token = backend_lease(kind);
    KBT_OK(kb_secret_new(&plain, KB_TOKEN_DATA_KEY_MAX, &err), &err);
    FAILS(kb_key_create(token, &spec, &err), KB_ERR_USAGE, &err);
    KBT_OK(kb_key_find(token, "old-aes", &info, &err), &err);
    CU_ASSERT_TRUE(info.use == KB_KEY_LEGACY && info.may_wrap != KB_ANSWER_YES &&
                   info.may_encrypt != KB_ANSWER_YES);
    FAILS(kb_token_make_keys(token, &wanted, &key, 1, plain, &err), KB_ERR_DENIED, &err);
    (void)wrap_ecb(key.wrapped, 16);
    KBT_OK(kb_token_unwrap_keys(token, "old-aes", &key, 1, plain, &err), &err);
    CU_ASSERT_EQUAL(key.status, KB_OK);
    CU_ASSERT_TRUE(kb_secret_equal(kb_secret_view(plain), (struct kb_bytes){data_key, KEY}));
    /* it does not stay inside, nor is it opened by keys of another use */
    KBT_OK(kb_token_unwrap_keys(token, "old-aes", &key, 1, NULL, &err), &err);
    CU_ASSERT_EQUAL(key.status, KB_ERR_AUTH);
    KBT_OK(kb_token_unwrap_keys(token, "old-wrap", &key, 1, plain, &err), &err);
    CU_ASSERT_EQUAL(key.status, KB_ERR_AUTH);
    KBT_OK(kb_token_unwrap_keys(token, "old-rsa", &key, 1, plain, &err), &err);
    CU_ASSERT_EQUAL(key.status, KB_ERR_AUTH);
    kb_secret_free(plain);
    kb_token_return(token);
}
DEFINE_BOTH(legacy_keys)

int main(int argc, char **argv)
{
    static const struct kbtest tests[] = {
        BOTH(old_objects),    BOTH(tells_nothing), BOTH(refusals),
        BOTH(out_of_the_old), BOTH(legacy_keys),   {NULL, NULL},
    };
    int result = kbtest_main("s3ec_legacy", tests, argc, argv);

    kb_public_key_free(public_key);
    backends_close();
    return result;
}
