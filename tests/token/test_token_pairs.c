/* SPDX-License-Identifier: Apache-2.0
 *
 * RSA and EC keys of the token, held against OpenSSL.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backends.h"
#include "foreign.h"
#include "keystore/pool.h"
#include "pkeys.h"

enum { ROOM = KB_TOKEN_BATCH_MAX * KB_TOKEN_DATA_KEY_MAX };

static const enum kb_wrap_algorithm algorithms[] = {
    KB_WRAP_OAEP_SHA1,
    KB_WRAP_OAEP_SHA256,
    KB_WRAP_OAEP_SHA384,
    KB_WRAP_OAEP_SHA512,
    KB_WRAP_OAEP_SHA256_MGF_SHA256,
    KB_WRAP_OAEP_SHA384_MGF_SHA384,
    KB_WRAP_OAEP_SHA512_MGF_SHA512,
    KB_WRAP_PKCS1,
};
enum { ALGORITHMS = sizeof algorithms / sizeof algorithms[0] };

static struct kb_bytes view(const void *data, size_t size)
{
    return (struct kb_bytes){data, size};
}

static enum kb_status import_bytes(struct kb_token *token, const struct kb_key_spec *spec,
                                   struct kb_bytes value, struct kb_error *err)
{
    struct kb_secret *secret;
    enum kb_status status;

    KBT_OK(kb_secret_copy(&secret, value, err), err);
    status = kb_key_import(token, spec, secret, err);
    kb_secret_free(secret);
    return status;
}

/* The private key, or its public half, under that name. */
static void import_pkey(struct kb_token *token, const struct kb_key_spec *spec, EVP_PKEY *key)
{
    struct kb_buffer der = KB_BUFFER_INIT(8192);
    struct kb_error err = {0};

    if (spec->public_only)
        pkey_spki(key, false, &der);
    else
        pkey_pkcs8(key, false, &der);
    KBT_OK(import_bytes(token, spec, kb_buffer_view(&der), &err), &err);
    kb_buffer_free(&der);
}

static EVP_PKEY *export_pkey(struct kb_token *token, const char *name)
{
    struct kb_buffer der = KB_BUFFER_INIT(8192);
    struct kb_error err = {0};
    EVP_PKEY *key;

    KBT_OK(kb_key_export_public(token, name, &der, &err), &err);
    key = pkey_from_spki(kb_buffer_view(&der));
    CU_ASSERT_PTR_NOT_NULL(key);
    kb_buffer_free(&der);
    return key;
}

struct seen {
    const char *name;
    unsigned count;
    struct kb_key_info info;
};

static void look_for(void *ctx, const struct kb_key_info *info)
{
    struct seen *seen = ctx;

    if (strcmp(info->name, seen->name) == 0) {
        seen->count++;
        seen->info = *info;
    }
}

static unsigned count_keys(struct kb_token *token, const char *name)
{
    struct seen seen = {.name = name};
    struct kb_error err = {0};

    KBT_OK(kb_key_list(token, look_for, &seen, &err), &err);
    return seen.count;
}

/* --- life of a pair -------------------------------------------------------------- */

static void check_pair(enum token_kind kind, const struct kb_key_info *info,
                       const struct kb_key_spec *spec)
{
    bool wrap = spec->use == KB_KEY_WRAP;

    CU_ASSERT_EQUAL(info->use, spec->use);
    CU_ASSERT_EQUAL(info->type, spec->type);
    CU_ASSERT_EQUAL(info->public_only, spec->public_only);
    CU_ASSERT_EQUAL(info->on_token, KB_ANSWER_YES);
    CU_ASSERT_EQUAL(strlen(info->version), 16);
    /* A public key alone is behind the PIN too, where the token can do that:
     * nobody else may exchange it. */
    if (!spec->public_only || kind == TOKEN_SOFTHSM)
        CU_ASSERT_EQUAL(info->is_private, KB_ANSWER_YES);
    if (!spec->public_only) {
        CU_ASSERT_EQUAL(info->sensitive, KB_ANSWER_YES);
        CU_ASSERT_EQUAL(info->extractable, KB_ANSWER_NO);
    }
    CU_ASSERT_EQUAL(info->may_wrap == KB_ANSWER_YES, wrap);
    CU_ASSERT_EQUAL(info->may_encrypt == KB_ANSWER_YES, wrap);
    CU_ASSERT_EQUAL(info->may_unwrap == KB_ANSWER_YES, wrap && !spec->public_only);
    CU_ASSERT_EQUAL(info->may_decrypt == KB_ANSWER_YES,
                    wrap && !spec->public_only && !spec->release_never);
    CU_ASSERT_EQUAL(info->may_sign == KB_ANSWER_YES, !wrap && !spec->public_only);
    CU_ASSERT_EQUAL(info->may_verify == KB_ANSWER_YES, !wrap);
    CU_ASSERT_EQUAL(info->mechanisms_enforced,
                    kind == TOKEN_SOFTHSM ? KB_ANSWER_YES : KB_ANSWER_NO);
    if (kind == TOKEN_SOFTHSM && spec->release_never)
        CU_ASSERT_STRING_EQUAL(info->mechanisms, "CKM_RSA_PKCS_OAEP");
}

static void every_pair_is_made_as_asked(enum token_kind kind)
{
    static const struct {
        enum kb_key_use use;
        enum kb_key_type type;
        unsigned bits;
    } rows[] = {
        {KB_KEY_WRAP, KB_KEY_RSA_2048, 2048}, {KB_KEY_SIGN, KB_KEY_RSA_2048, 2048},
        {KB_KEY_WRAP, KB_KEY_RSA_3072, 3072}, {KB_KEY_WRAP, KB_KEY_RSA_4096, 4096},
        {KB_KEY_SIGN, KB_KEY_EC_P256, 256},   {KB_KEY_SIGN, KB_KEY_EC_P384, 384},
    };
    struct kb_token *token = backend_lease(kind);
    struct kb_error err = {0};
    struct kb_key_info info;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct kb_key_spec spec = {.name = "made", .use = rows[i].use, .type = rows[i].type};
        EVP_PKEY *key;

        KBT_OK(kb_key_create(token, &spec, &err), &err);
        KBT_OK(kb_key_find(token, "made", &info, &err), &err);
        check_pair(kind, &info, &spec);
        CU_ASSERT_EQUAL(info.bits, rows[i].bits);
        CU_ASSERT_EQUAL(info.origin, KB_KEY_GENERATED);
        CU_ASSERT_EQUAL(info.local == KB_ANSWER_YES, kind == TOKEN_SOFTHSM);
        CU_ASSERT_EQUAL(count_keys(token, "made"), 1);
        FAILS(kb_key_create(token, &spec, &err), KB_ERR_EXISTS, &err);
        key = export_pkey(token, "made");
        CU_ASSERT_EQUAL(EVP_PKEY_get_bits(key), (int)rows[i].bits);
        EVP_PKEY_free(key);
        KBT_OK(kb_key_destroy(token, "made", &err), &err);
        CU_ASSERT_EQUAL(count_keys(token, "made"), 0);
        FAILS(kb_key_find(token, "made", &info, &err), KB_ERR_NOT_FOUND, &err);
    }
    kb_token_return(token);
}
DEFINE_BOTH(every_pair_is_made_as_asked)

static void specs_that_make_no_sense(enum token_kind kind)
{
    static const struct kb_key_spec specs[] = {
        {.name = "ok", .use = KB_KEY_CONTENT, .type = KB_KEY_RSA_2048},
        {.name = "ok", .use = KB_KEY_WRAP, .type = KB_KEY_EC_P256},
        {.name = "ok", .use = KB_KEY_CONTENT, .type = KB_KEY_EC_P384},
        {.name = "ok", .use = KB_KEY_WRAP, .type = KB_KEY_RSA},
        {.name = "ok", .use = KB_KEY_SIGN, .type = KB_KEY_EC},
        {.name = "ok", .use = KB_KEY_SIGN, .type = KB_KEY_RSA_2048, .release_never = true},
        {.name = "ok", .use = KB_KEY_WRAP, .type = KB_KEY_RSA_2048, .public_only = true},
        {.name = "ok", .use = KB_KEY_WRAP, .type = KB_KEY_AES_256, .public_only = true},
        {.name = "ok", .use = KB_KEY_SIGN, .type = (enum kb_key_type)(KB_KEY_EC + 1)},
    };
    struct kb_token *token = backend_lease(kind);
    struct kb_error err = {0};

    for (size_t i = 0; i + 1 < sizeof specs / sizeof specs[0]; i++)
        FAILS(kb_key_create(token, &specs[i], &err), KB_ERR_USAGE, &err);
    CU_ASSERT_NOT_EQUAL(kb_key_create(token, &specs[8], &err), KB_OK);
    kb_error_clear(&err);
    CU_ASSERT_EQUAL(count_keys(token, "ok"), 0);
    kb_token_return(token);
}
DEFINE_BOTH(specs_that_make_no_sense)

/* --- import ----------------------------------------------------------------------- */

static void pairs_are_imported(enum token_kind kind)
{
    static const enum kb_key_type types[] = {KB_KEY_RSA_2048, KB_KEY_RSA_3072, KB_KEY_RSA_4096,
                                             KB_KEY_EC_P256, KB_KEY_EC_P384};
    struct kb_token *token = backend_lease(kind);
    struct kb_buffer encoded = KB_BUFFER_INIT(8192), want = KB_BUFFER_INIT(8192),
                     got = KB_BUFFER_INIT(8192);
    struct kb_error err = {0};
    struct kb_key_info info;

    for (int i = 0; i < 5 * 2 * 2 * 2; i++) {
        enum kb_key_type type = types[i / 8];
        bool pem = i & 1, public_only = i & 2, generic = i & 4, rsa = i / 8 < 3;
        struct kb_key_spec spec = {.name = "in",
                                   .use = rsa && !pem ? KB_KEY_WRAP : KB_KEY_SIGN,
                                   .type = !generic ? type : rsa ? KB_KEY_RSA : KB_KEY_EC,
                                   .public_only = public_only};

        if (public_only)
            pkey_spki(pkey_of(type), pem, &encoded);
        else
            pkey_pkcs8(pkey_of(type), pem, &encoded);
        pkey_spki(pkey_of(type), false, &want);
        KBT_OK(import_bytes(token, &spec, kb_buffer_view(&encoded), &err), &err);
        KBT_OK(kb_key_find(token, "in", &info, &err), &err);
        spec.type = type;
        check_pair(kind, &info, &spec);
        CU_ASSERT_EQUAL(info.origin, KB_KEY_IMPORTED);
        CU_ASSERT_EQUAL(count_keys(token, "in"), 1);
        kb_buffer_reset(&got);
        KBT_OK(kb_key_export_public(token, "in", &got, &err), &err);
        KBT_BYTES(kb_buffer_view(&got), kb_buffer_view(&want));
        FAILS(import_bytes(token, &spec, kb_buffer_view(&encoded), &err), KB_ERR_EXISTS, &err);
        KBT_OK(kb_key_destroy(token, "in", &err), &err);
        CU_ASSERT_EQUAL(count_keys(token, "in"), 0);
    }
    kb_buffer_free(&encoded);
    kb_buffer_free(&want);
    kb_buffer_free(&got);
    kb_token_return(token);
}
DEFINE_BOTH(pairs_are_imported)

static void wrong_imports_are_refused(enum token_kind kind)
{
    struct kb_token *token = backend_lease(kind);
    struct kb_key_spec rsa = {.name = "bad", .use = KB_KEY_SIGN, .type = KB_KEY_RSA};
    struct kb_key_spec ec = {.name = "bad", .use = KB_KEY_SIGN, .type = KB_KEY_EC_P384};
    struct kb_key_spec public = rsa;
    struct kb_buffer der = KB_BUFFER_INIT(8192);
    struct kb_error err = {0};

    public.public_only = true;
    pkey_pkcs8(pkey_of(KB_KEY_RSA_2048), false, &der);
    FAILS(import_bytes(token, &ec, kb_buffer_view(&der), &err), KB_ERR_USAGE, &err);
    FAILS(import_bytes(token, &public, kb_buffer_view(&der), &err), KB_ERR_INPUT, &err);
    rsa.type = KB_KEY_RSA_3072;
    FAILS(import_bytes(token, &rsa, kb_buffer_view(&der), &err), KB_ERR_USAGE, &err);
    rsa.type = KB_KEY_RSA;
    for (size_t cut = 0; cut < der.size; cut += cut < 40 ? 1 : 97)
        if (cut)
            FAILS(import_bytes(token, &rsa, view(der.data, cut), &err), KB_ERR_INPUT, &err);
    kb_buffer_put_u8(&der, 0);
    FAILS(import_bytes(token, &rsa, kb_buffer_view(&der), &err), KB_ERR_INPUT, &err);
    pkey_pkcs8(pkey_of(KB_KEY_EC_P256), false, &der);
    FAILS(import_bytes(token, &ec, kb_buffer_view(&der), &err), KB_ERR_USAGE, &err);
    FAILS(import_bytes(token, &rsa, kb_buffer_view(&der), &err), KB_ERR_USAGE, &err);
    pkey_spki(pkey_of(KB_KEY_EC_P384), true, &der);
    FAILS(import_bytes(token, &ec, kb_buffer_view(&der), &err), KB_ERR_INPUT, &err);
    FAILS(import_bytes(token, &ec, kb_bytes_text("no key"), &err), KB_ERR_INPUT, &err);
    CU_ASSERT_EQUAL(count_keys(token, "bad"), 0);
    kb_buffer_free(&der);
    kb_token_return(token);
}
DEFINE_BOTH(wrong_imports_are_refused)

static void weak_rsa_keys(enum token_kind kind)
{
    static const struct {
        int bits;
        bool public_only, allow;
        enum kb_status status;
    } rows[] = {
        {512, false, true, KB_ERR_USAGE},   {1016, false, true, KB_ERR_USAGE},
        {1024, false, false, KB_ERR_USAGE}, {1024, false, true, KB_OK},
        {1024, true, false, KB_ERR_USAGE},  {1024, true, true, KB_OK},
        {2040, false, false, KB_ERR_USAGE}, {2040, false, true, KB_OK},
        {2056, false, false, KB_OK},        {4096 + 8, true, false, KB_ERR_INPUT},
    };
    struct kb_token *token = backend_lease(kind);
    struct kb_buffer der = KB_BUFFER_INIT(8192);
    struct kb_error err = {0};
    struct kb_key_info info;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct kb_key_spec spec = {.name = "weak",
                                   .use = KB_KEY_WRAP,
                                   .type = KB_KEY_RSA,
                                   .public_only = rows[i].public_only,
                                   .allow_weak = rows[i].allow};
        EVP_PKEY *key = pkey_rsa(rows[i].bits);
        enum kb_status status;

        if (rows[i].public_only)
            pkey_spki(key, false, &der);
        else
            pkey_pkcs8(key, false, &der);
        EVP_PKEY_free(key);
        status = import_bytes(token, &spec, kb_buffer_view(&der), &err);
        if (status != rows[i].status)
            fprintf(stderr, "row %zu: %s %s\n", i, kb_status_name(status), err.text);
        CU_ASSERT_EQUAL(status, rows[i].status);
        CU_ASSERT_EQUAL(strstr(err.hint, "--allow-weak") != NULL,
                        status == KB_ERR_USAGE && !rows[i].allow);
        kb_error_clear(&err);
        if (status == KB_OK) {
            KBT_OK(kb_key_find(token, "weak", &info, &err), &err);
            CU_ASSERT_EQUAL(info.type, KB_KEY_RSA);
            CU_ASSERT_EQUAL(info.bits, (unsigned)rows[i].bits);
            KBT_OK(kb_key_destroy(token, "weak", &err), &err);
        }
    }
    kb_buffer_free(&der);
    kb_token_return(token);
}
DEFINE_BOTH(weak_rsa_keys)

/* --- wrapping ------------------------------------------------------------------------ */

static struct kb_key_spec wrap_spec(const char *name)
{
    return (struct kb_key_spec){.name = name, .use = KB_KEY_WRAP, .type = KB_KEY_RSA_2048};
}

static void wraps_both_ways(enum token_kind kind)
{
    struct kb_token *token = backend_lease(kind);
    struct kb_key_spec spec = wrap_spec("both");
    EVP_PKEY *ours = pkey_of(KB_KEY_RSA_2048);
    static struct kb_data_key keys[8];
    struct kb_error err = {0};
    struct kb_secret *made, *back;
    uint8_t plain[512];
    size_t size;

    import_pkey(token, &spec, ours);
    KBT_OK(kb_secret_new(&made, ROOM, &err), &err);
    KBT_OK(kb_secret_new(&back, ROOM, &err), &err);
    for (size_t a = 0; a < ALGORITHMS; a++)
        for (size_t length = 16; length <= 32; length += 8) {
            struct kb_data_key_spec wanted = {"both", algorithms[a], length};

            memset(keys, 0, sizeof keys);
            KBT_OK(kb_token_make_keys(token, &wanted, keys, 8, made, &err), &err);
            for (size_t i = 0; i < 8; i++) {
                uint8_t *value = kb_secret_data(made) + i * KB_TOKEN_DATA_KEY_MAX;

                CU_ASSERT_EQUAL(keys[i].status, KB_OK);
                CU_ASSERT_EQUAL(keys[i].algorithm, algorithms[a]);
                CU_ASSERT_EQUAL(keys[i].wrapped_size, 256);
                CU_ASSERT_TRUE(pkey_decrypt(ours, algorithms[a], view(keys[i].wrapped, 256), plain,
                                            &size));
                KBT_BYTES(view(plain, size), view(value, length));
                /* And the other way, of the same key by OpenSSL. */
                if (i % 2)
                    CU_ASSERT_TRUE(pkey_encrypt(ours, algorithms[a], view(value, length),
                                                keys[i].wrapped, &size));
                keys[i].size = 0;
            }
            KBT_OK(kb_token_unwrap_keys(token, "both", keys, 8, back, &err), &err);
            for (size_t i = 0; i < 8; i++) {
                CU_ASSERT_EQUAL(keys[i].status, KB_OK);
                CU_ASSERT_EQUAL(keys[i].size, length);
                KBT_BYTES(view(kb_secret_data(back) + i * KB_TOKEN_DATA_KEY_MAX, length),
                          view(kb_secret_data(made) + i * KB_TOKEN_DATA_KEY_MAX, length));
            }
        }
    KBT_OK(kb_key_destroy(token, "both", &err), &err);
    kb_secret_free(made);
    kb_secret_free(back);
    kb_token_return(token);
}
DEFINE_BOTH(wraps_both_ways)

static void unwrap_one(struct kb_token *token, const char *name, struct kb_data_key *key,
                       struct kb_secret *plain)
{
    struct kb_error err = {0};

    KBT_OK(kb_token_unwrap_keys(token, name, key, 1, plain, &err), &err);
}

static void every_damage_is_seen(enum token_kind kind)
{
    struct kb_token *token = backend_lease(kind);
    struct kb_key_spec spec = wrap_spec("damage");
    EVP_PKEY *ours = pkey_of(KB_KEY_RSA_2048);
    static struct kb_data_key keys[KB_TOKEN_BATCH_MAX];
    struct kb_error err = {0};
    struct kb_secret *plain;
    uint8_t value[33] = {9};
    struct kb_data_key good = {0};
    size_t size;

    import_pkey(token, &spec, ours);
    KBT_OK(kb_secret_new(&plain, ROOM, &err), &err);
    for (size_t a = 0; a < ALGORITHMS - 1; a++) {
        size_t n = 0;

        good.algorithm = algorithms[a];
        CU_ASSERT_TRUE(pkey_encrypt(ours, algorithms[a], view(value, 32), good.wrapped, &size));
        good.wrapped_size = 256;
        for (size_t bit = 0; bit < 2048; bit += 97, n++) {
            keys[n] = good;
            keys[n].wrapped[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        for (size_t length = 0; length <= 512; length += length < 250 || length > 260 ? 50 : 1) {
            if (length == 256)
                continue;
            keys[n] = good;
            keys[n++].wrapped_size = (uint16_t)length;
        }
        keys[n] = good; /* beyond the modulus */
        memset(keys[n++].wrapped, 0xff, 256);
        keys[n] = good;
        memset(keys[n++].wrapped, 0, 256);
        keys[n] = good;
        keys[n++].algorithm = algorithms[(a + 1) % (ALGORITHMS - 1)];
        keys[n] = good;
        keys[n++].algorithm = KB_WRAP_AES;
        for (size_t length = 0; length <= 33; length++) {
            if (length == 16 || length == 24 || length == 32)
                continue;
            keys[n] = good;
            CU_ASSERT_TRUE(pkey_encrypt(ours, algorithms[a], view(value, length),
                                        keys[n++].wrapped, &size));
        }
        CU_ASSERT_FATAL(n < KB_TOKEN_BATCH_MAX);
        keys[n++] = good;
        KBT_OK(kb_token_unwrap_keys(token, "damage", keys, n, plain, &err), &err);
        for (size_t i = 0; i + 1 < n; i++) {
            CU_ASSERT_EQUAL(keys[i].status, KB_ERR_AUTH);
            CU_ASSERT_EQUAL(kb_secret_data(plain)[i * KB_TOKEN_DATA_KEY_MAX], 0);
        }
        CU_ASSERT_EQUAL(keys[n - 1].status, KB_OK);
    }
    KBT_OK(kb_key_destroy(token, "damage", &err), &err);
    kb_secret_free(plain);
    kb_token_return(token);
}
DEFINE_BOTH(every_damage_is_seen)

/* PKCS#1 v1.5 that does not decrypt gives a key nobody knows, and no error. */
static void bad_pkcs1_says_nothing(enum token_kind kind)
{
    struct kb_token *token = backend_lease(kind);
    struct kb_key_spec spec = wrap_spec("oracle");
    EVP_PKEY *ours = pkey_of(KB_KEY_RSA_2048);
    struct kb_data_key good = {.algorithm = KB_WRAP_PKCS1, .wrapped_size = 256}, key;
    struct kb_error err = {0};
    struct kb_secret *plain;
    uint8_t value[64] = {0}, first[32], other[32];
    size_t size;

    import_pkey(token, &spec, ours);
    KBT_OK(kb_secret_new(&plain, 32, &err), &err);
    for (size_t length = 0; length <= 64; length++) {
        if (length == 16 || length == 24 || length == 32)
            continue;
        key = good;
        CU_ASSERT_TRUE(pkey_encrypt(ours, KB_WRAP_PKCS1, view(value, length), key.wrapped, &size));
        unwrap_one(token, "oracle", &key, plain);
        CU_ASSERT_TRUE(key.status == KB_OK && key.size == 32);
        memcpy(first, kb_secret_data(plain), 32);
        CU_ASSERT_NOT_EQUAL(memcmp(first, value, 32), 0);
        unwrap_one(token, "oracle", &key, plain);
        CU_ASSERT_EQUAL(memcmp(first, kb_secret_data(plain), 32), 0);
        key.wrapped[255] ^= 1;
        unwrap_one(token, "oracle", &key, plain);
        memcpy(other, kb_secret_data(plain), 32);
        CU_ASSERT_TRUE(key.status == KB_OK && memcmp(first, other, 32) != 0);
    }
    memset(key.wrapped, 0, 256);
    unwrap_one(token, "oracle", &key, plain);
    CU_ASSERT_EQUAL(key.status, KB_OK);
    key.wrapped_size = 255;
    unwrap_one(token, "oracle", &key, plain);
    CU_ASSERT_EQUAL(key.status, KB_ERR_AUTH);
    KBT_OK(kb_key_destroy(token, "oracle", &err), &err);
    kb_secret_free(plain);
    kb_token_return(token);
}
DEFINE_BOTH(bad_pkcs1_says_nothing)

static bool stamp(struct kb_token *token, uint32_t handle, uint8_t out[16])
{
    struct kb_error err = {0};
    struct kb_cipher_job job = {.handle = handle, .in = kb_bytes_text("stamp")};

    KBT_OK(kb_token_cipher(token, true, NULL, &job, 1, &err), &err);
    if (job.out.size != 16)
        return false;
    memcpy(out, job.out.data, 16);
    return true;
}

static void release_never_is_kept(enum token_kind kind)
{
    struct kb_token *token = backend_lease(kind);
    struct kb_key_spec spec = wrap_spec("never");
    struct kb_error err = {0};
    struct kb_data_key key = {0}, again;
    struct kb_key_info info;
    struct kb_secret *plain;
    uint8_t first[16], second[16], value[33] = {1};
    EVP_PKEY *public;
    size_t made;

    spec.release_never = true;
    KBT_OK(kb_secret_new(&plain, ROOM, &err), &err);
    KBT_OK(kb_key_create(token, &spec, &err), &err);
    KBT_OK(kb_key_find(token, "never", &info, &err), &err);
    check_pair(kind, &info, &spec);
    CU_ASSERT_TRUE(info.release_never);
    CU_ASSERT_EQUAL(info.release_never_enforced,
                    kind == TOKEN_SOFTHSM ? KB_ANSWER_YES : KB_ANSWER_NO);
    for (size_t a = 0; a < ALGORITHMS; a++) {
        struct kb_data_key_spec wanted = {"never", algorithms[a], 16 + 8 * (a % 3)};
        bool can = algorithms[a] == KB_WRAP_OAEP_SHA1 ||
                   (kind == TOKEN_NSS && algorithms[a] != KB_WRAP_PKCS1);
        enum kb_status status;

        FAILS(kb_token_make_keys(token, &wanted, &key, 1, plain, &err), KB_ERR_DENIED, &err);
        status = kb_token_make_keys(token, &wanted, &key, 1, NULL, &err);
        CU_ASSERT_EQUAL(status, can ? KB_OK : KB_ERR_UNSUPPORTED);
        CU_ASSERT_EQUAL(strstr(err.hint, "OAEPWithSHA-1AndMGF1Padding") != NULL, !can);
        CU_ASSERT_EQUAL(strstr(err.text, "CKM_RSA_PKCS") != NULL, !can);
        if (status != KB_OK && can)
            fprintf(stderr, "%s\n", err.text);
        kb_error_clear(&err);
        again = key;
        again.algorithm = algorithms[a];
        again.wrapped_size = 256;
        FAILS(kb_token_unwrap_keys(token, "never", &again, 1, plain, &err), KB_ERR_DENIED, &err);
        if (!can) {
            again.wrapped[0] = 0; /* below the modulus */
            /* An unsigned word of an item must not end the run for the others. */
            KBT_OK(kb_token_unwrap_keys(token, "never", &again, 1, NULL, &err), &err);
            CU_ASSERT_EQUAL(again.status, KB_ERR_AUTH);
            continue;
        }
        KBT_OK(kb_token_unwrap_keys(token, "never", &again, 1, NULL, &err), &err);
        CU_ASSERT_EQUAL(again.status, KB_OK);
        CU_ASSERT_EQUAL(again.size, kind == TOKEN_SOFTHSM ? 0 : wanted.size);
        CU_ASSERT_TRUE(stamp(token, key.handle, first) && stamp(token, again.handle, second));
        CU_ASSERT_EQUAL(memcmp(first, second, 16), 0);
        again.wrapped[100] ^= 1;
        KBT_OK(kb_token_unwrap_keys(token, "never", &again, 1, NULL, &err), &err);
        CU_ASSERT_EQUAL(again.status, KB_ERR_AUTH);
        public = export_pkey(token, "never");
        for (size_t length = 0; length <= 33; length++) {
            again.wrapped_size = 256;
            CU_ASSERT_TRUE(pkey_encrypt(public, algorithms[a], view(value, length), again.wrapped,
                                        &made));
            KBT_OK(kb_token_unwrap_keys(token, "never", &again, 1, NULL, &err), &err);
            CU_ASSERT_EQUAL(again.status == KB_OK, length == 16 || length == 24 || length == 32);
        }
        EVP_PKEY_free(public);
    }
    KBT_OK(kb_key_destroy(token, "never", &err), &err);
    kb_secret_free(plain);
    kb_token_return(token);
}
DEFINE_BOTH(release_never_is_kept)

static void wrong_kinds_are_denied(enum token_kind kind)
{
    struct kb_token *token = backend_lease(kind);
    struct kb_data_key_spec aes_by_rsa = {"k-aes", KB_WRAP_OAEP_SHA256, 32};
    struct kb_data_key_spec rsa_by_aes = {"k-rsa", KB_WRAP_AES, 32};
    struct kb_data_key_spec rsa_by_rsa = {"k-rsa", KB_WRAP_OAEP_SHA256, 32};
    struct kb_data_key key = {0};
    struct kb_bytes message = kb_bytes_text("text");
    struct kb_signature made;
    struct kb_error err = {0};
    struct kb_secret *plain;
    struct kb_buffer der = KB_BUFFER_INIT(8192);

    KBT_OK(kb_secret_new(&plain, 32, &err), &err);
    backend_key(token, "k-aes", KB_KEY_WRAP, KB_KEY_AES_256);
    backend_key(token, "k-rsa", KB_KEY_WRAP, KB_KEY_RSA_2048);
    backend_key(token, "k-rsa-sign", KB_KEY_SIGN, KB_KEY_RSA_2048);
    backend_key(token, "k-ec", KB_KEY_SIGN, KB_KEY_EC_P256);
    backend_key(token, "k-mac", KB_KEY_SIGN, KB_KEY_HMAC_SHA256);
    FAILS(kb_token_make_keys(token, &aes_by_rsa, &key, 1, plain, &err), KB_ERR_DENIED, &err);
    FAILS(kb_token_make_keys(token, &rsa_by_aes, &key, 1, plain, &err), KB_ERR_DENIED, &err);
    rsa_by_rsa.wrap_key = "k-rsa-sign";
    FAILS(kb_token_make_keys(token, &rsa_by_rsa, &key, 1, plain, &err), KB_ERR_DENIED, &err);
    rsa_by_rsa.wrap_key = "k-rsa";
    KBT_OK(kb_token_make_keys(token, &rsa_by_rsa, &key, 1, plain, &err), &err);
    unwrap_one(token, "k-aes", &key, plain);
    CU_ASSERT_EQUAL(key.status, KB_ERR_AUTH);
    key.algorithm = KB_WRAP_AES;
    unwrap_one(token, "k-rsa", &key, plain);
    CU_ASSERT_EQUAL(key.status, KB_ERR_AUTH);
    for (int i = 0; i < 5; i++) {
        static const struct {
            const char *name;
            int scheme; /* that it signs by; -1: none */
        } keys[] = {{"k-aes", -1}, {"k-rsa", -1}, {"k-rsa-sign", KB_SIGN_RSA},
                    {"k-ec", KB_SIGN_ECDSA}, {"k-mac", KB_SIGN_HMAC}};

        for (enum kb_sign_scheme scheme = KB_SIGN_HMAC; scheme <= KB_SIGN_ECDSA; scheme++) {
            struct kb_sign_spec spec = {keys[i].name, scheme, KB_SHA256};

            if ((int)scheme == keys[i].scheme)
                KBT_OK(kb_token_sign(token, &spec, &message, 1, &made, &err), &err);
            else
                FAILS(kb_token_sign(token, &spec, &message, 1, &made, &err), KB_ERR_DENIED, &err);
        }
    }
    FAILS(kb_key_export_public(token, "k-mac", &der, &err), KB_ERR_USAGE, &err);
    FAILS(kb_key_export_public(token, "k-none", &der, &err), KB_ERR_NOT_FOUND, &err);
    CU_ASSERT_EQUAL(der.size, 0);
    kb_secret_free(plain);
    kb_token_return(token);
}
DEFINE_BOTH(wrong_kinds_are_denied)

/* --- signing --------------------------------------------------------------------------- */

static void signatures_verify(enum token_kind kind)
{
    static const enum kb_key_type types[] = {KB_KEY_RSA_2048, KB_KEY_RSA_3072, KB_KEY_EC_P256,
                                             KB_KEY_EC_P384};
    static const size_t sizes[] = {0, 1, 55, 64, 1376, 100000};
    struct kb_token *token = backend_lease(kind);
    struct kb_bytes messages[6];
    struct kb_signature made[6];
    uint8_t *data = calloc(1, 100000);
    struct kb_error err = {0};

    for (size_t i = 0; i < 6; i++)
        messages[i] = view(sizes[i] ? data : NULL, sizes[i]);
    for (size_t t = 0; t < 4; t++) {
        bool rsa = t < 2;
        struct kb_key_spec key = {.name = "signer", .use = KB_KEY_SIGN, .type = types[t]};
        struct kb_public_key *public;
        struct kb_buffer der = KB_BUFFER_INIT(8192);

        import_pkey(token, &key, pkey_of(types[t]));
        KBT_OK(kb_key_export_public(token, "signer", &der, &err), &err);
        KBT_OK(kb_public_key_new(&public, kb_buffer_view(&der), &err), &err);
        for (enum kb_hash hash = KB_SHA224; hash <= KB_SHA512; hash++) {
            struct kb_sign_spec spec = {"signer", rsa ? KB_SIGN_RSA : KB_SIGN_ECDSA, hash};

            KBT_OK(kb_token_sign(token, &spec, messages, 6, made, &err), &err);
            for (size_t i = 0; i < 6; i++) {
                CU_ASSERT_TRUE(pkey_verify(pkey_of(types[t]), hash, messages[i], &made[i]));
                CU_ASSERT_TRUE(kb_public_key_verify(public, hash, messages[i],
                                                    view(made[i].data, made[i].size)));
                made[i].data[made[i].size - 1] ^= 1;
                CU_ASSERT_FALSE(kb_public_key_verify(public, hash, messages[i],
                                                     view(made[i].data, made[i].size)));
            }
        }
        kb_public_key_free(public);
        kb_buffer_free(&der);
        KBT_OK(kb_key_destroy(token, "signer", &err), &err);
    }
    free(data);
    kb_token_return(token);
}
DEFINE_BOTH(signatures_verify)

/* --- public halves alone -------------------------------------------------------------------- */

static void public_keys_only_wrap_and_verify(enum token_kind kind)
{
    struct kb_token *token = backend_lease(kind);
    struct kb_key_spec wrap = wrap_spec("p-wrap");
    struct kb_key_spec verify = {
        .name = "p-verify", .use = KB_KEY_SIGN, .type = KB_KEY_EC, .public_only = true};
    struct kb_data_key_spec wanted = {"p-wrap", KB_WRAP_OAEP_SHA256, 32};
    struct kb_sign_spec spec = {"p-verify", KB_SIGN_ECDSA, KB_SHA256};
    struct kb_data_key key = {0};
    struct kb_bytes message = kb_bytes_text("text");
    struct kb_signature made;
    struct kb_token_trial trials[4];
    struct kb_error err = {0};
    struct kb_secret *plain;
    uint8_t value[512];
    size_t size, count;

    wrap.public_only = true;
    KBT_OK(kb_secret_new(&plain, 32, &err), &err);
    import_pkey(token, &wrap, pkey_of(KB_KEY_RSA_2048));
    import_pkey(token, &verify, pkey_of(KB_KEY_EC_P256));
    KBT_OK(kb_token_make_keys(token, &wanted, &key, 1, plain, &err), &err);
    CU_ASSERT_TRUE(pkey_decrypt(pkey_of(KB_KEY_RSA_2048), wanted.algorithm,
                                view(key.wrapped, 256), value, &size));
    KBT_BYTES(view(value, size), kb_secret_view(plain));
    kb_error_clear(&err);
    CU_ASSERT_EQUAL(kb_token_unwrap_keys(token, "p-wrap", &key, 1, plain, &err), KB_ERR_DENIED);
    CU_ASSERT_STRING_EQUAL(err.text, "key 'p-wrap' is a public key: it can wrap, not unwrap");
    FAILS(kb_token_sign(token, &spec, &message, 1, &made, &err), KB_ERR_DENIED, &err);
    FAILS(kb_key_try_extract(token, "p-wrap", trials, 4, &count, &err), KB_ERR_USAGE, &err);
    KBT_OK(kb_key_destroy(token, "p-wrap", &err), &err);
    KBT_OK(kb_key_destroy(token, "p-verify", &err), &err);
    kb_secret_free(plain);
    kb_token_return(token);
}
DEFINE_BOTH(public_keys_only_wrap_and_verify)

/* --- what others do to pairs ------------------------------------------------------------------ */

static void others_meddle_with_pairs(enum token_kind kind)
{
    struct kb_token *token = backend_lease(kind);
    struct token_fixture *fixture = backend_fixture(kind);
    struct kb_key_spec spec = wrap_spec("meddled");
    struct kb_key_spec ec = {.name = "meddled-ec", .use = KB_KEY_SIGN, .type = KB_KEY_EC_P256};
    struct kb_data_key_spec wanted = {"meddled", KB_WRAP_OAEP_SHA1, 32};
    struct kb_data_key key = {0};
    struct kb_buffer der = KB_BUFFER_INIT(8192), before = KB_BUFFER_INIT(8192);
    struct kb_error err = {0};
    struct kb_secret *plain;
    uint8_t value[512];
    size_t size;

    KBT_OK(kb_secret_new(&plain, 32, &err), &err);
    import_pkey(token, &spec, pkey_of(KB_KEY_RSA_2048));
    pkey_spki(pkey_of(KB_KEY_RSA_2048), false, &before);
    /* A public object of another key, put in the place of ours: nothing is
     * wrapped under that one, inside or out. */
    CU_ASSERT_TRUE(foreign_do(fixture, FOREIGN_SPOOF, "meddled"));
    usleep(1100000);
    for (int inside = 0; inside < 2; inside++) {
        KBT_OK(kb_token_make_keys(token, &wanted, &key, 1, inside ? NULL : plain, &err), &err);
        CU_ASSERT_TRUE(pkey_decrypt(pkey_of(KB_KEY_RSA_2048), wanted.algorithm,
                                    view(key.wrapped, 256), value, &size));
    }
    KBT_OK(kb_key_export_public(token, "meddled", &der, &err), &err);
    KBT_BYTES(kb_buffer_view(&der), kb_buffer_view(&before));
    /* Without any. */
    CU_ASSERT_TRUE(foreign_do(fixture, FOREIGN_DROP_PUBLIC, "meddled"));
    usleep(1100000);
    CU_ASSERT_EQUAL(count_keys(token, "meddled"), 1);
    KBT_OK(kb_token_make_keys(token, &wanted, &key, 1, plain, &err), &err);
    unwrap_one(token, "meddled", &key, plain);
    CU_ASSERT_EQUAL(key.status, KB_OK);
    kb_buffer_reset(&der);
    KBT_OK(kb_key_export_public(token, "meddled", &der, &err), &err);
    KBT_BYTES(kb_buffer_view(&der), kb_buffer_view(&before));
    /* A public key of that name which is no half of it makes two keys. */
    CU_ASSERT_TRUE(foreign_do(fixture, FOREIGN_PUBLIC, "meddled"));
    usleep(1100000);
    CU_ASSERT_EQUAL(count_keys(token, "meddled"), 2);
    FAILS(kb_token_make_keys(token, &wanted, &key, 1, plain, &err), KB_ERR_AMBIGUOUS, &err);
    FAILS(kb_key_destroy(token, "meddled", &err), KB_ERR_AMBIGUOUS, &err);
    FAILS(kb_key_create(token, &spec, &err), KB_ERR_EXISTS, &err);
    /* An EC key without its public object signs, but cannot be exported. */
    KBT_OK(kb_key_create(token, &ec, &err), &err);
    EVP_PKEY_free(export_pkey(token, "meddled-ec"));
    CU_ASSERT_TRUE(foreign_do(fixture, FOREIGN_DROP_PUBLIC, "meddled-ec"));
    usleep(1100000);
    kb_buffer_reset(&der);
    /* NSS tells the point by the private key as well. */
    if (kind == TOKEN_SOFTHSM)
        FAILS(kb_key_export_public(token, "meddled-ec", &der, &err), KB_ERR_UNSUPPORTED, &err);
    kb_buffer_free(&der);
    kb_buffer_free(&before);
    kb_secret_free(plain);
    kb_token_return(token);
}
DEFINE_BOTH(others_meddle_with_pairs)

static void extraction_is_really_tried(enum token_kind kind)
{
    static const enum kb_key_type types[] = {KB_KEY_RSA_2048, KB_KEY_EC_P256};
    struct kb_token *token = backend_lease(kind);
    struct kb_token_trial trials[40];
    struct kb_error err = {0};
    size_t count = 0;

    for (size_t i = 0; i < 2; i++) {
        struct kb_key_spec spec = {.name = "treasure", .use = KB_KEY_SIGN, .type = types[i]};

        KBT_OK(kb_key_create(token, &spec, &err), &err);
        KBT_OK(kb_key_try_extract(token, "treasure", trials, 40, &count, &err), &err);
        CU_ASSERT_TRUE(count >= 6);
        CU_ASSERT_PTR_NOT_NULL(strstr(trials[0].what, i ? "CKA_VALUE" : "CKA_PRIVATE_EXPONENT"));
        CU_ASSERT_TRUE(trials[0].good);
        for (size_t j = 0; j < count; j++)
            if (kind == TOKEN_SOFTHSM && !trials[j].good)
                CU_FAIL(trials[j].what);
        CU_ASSERT_EQUAL(count_keys(token, "treasure"), 1);
        KBT_OK(kb_key_destroy(token, "treasure", &err), &err);
    }
    kb_token_return(token);
}
DEFINE_BOTH(extraction_is_really_tried)

static void a_killed_helper_is_replaced(enum token_kind kind)
{
    struct kb_token *token = backend_lease(kind);
    struct kb_data_key_spec wanted = {"survivor", KB_WRAP_OAEP_SHA256, 32};
    struct kb_sign_spec spec = {"survivor-ec", KB_SIGN_ECDSA, KB_SHA384};
    struct kb_bytes message = kb_bytes_text("text");
    struct kb_signature made;
    struct kb_data_key key;
    struct kb_error err = {0};
    struct kb_secret *plain;

    KBT_OK(kb_secret_new(&plain, 32, &err), &err);
    backend_key(token, "survivor", KB_KEY_WRAP, KB_KEY_RSA_2048);
    backend_key(token, "survivor-ec", KB_KEY_SIGN, KB_KEY_EC_P384);
    for (int i = 0; i < 3; i++) {
        KBT_OK(kb_token_make_keys(token, &wanted, &key, 1, plain, &err), &err);
        CU_ASSERT_FATAL(kb_token_pid(token) > 0);
        CU_ASSERT_EQUAL(kill(kb_token_pid(token), SIGKILL), 0);
        unwrap_one(token, "survivor", &key, plain);
        CU_ASSERT_EQUAL(key.status, KB_OK);
        CU_ASSERT_EQUAL(kill(kb_token_pid(token), SIGKILL), 0);
        KBT_OK(kb_token_sign(token, &spec, &message, 1, &made, &err), &err);
    }
    kb_secret_free(plain);
    kb_token_return(token);
}
DEFINE_BOTH(a_killed_helper_is_replaced)

/* --- poorer tokens ----------------------------------------------------------------------- */

static struct kb_token *poor_open(struct token_fixture *fixture, struct kb_keystore **keystore,
                                  const char *profile)
{
    struct kb_error err = {0};
    struct kb_token *token = NULL;

    *keystore = NULL;
    CU_ASSERT_TRUE_FATAL(token_fixture_make(fixture, TOKEN_SOFTHSM, profile));
    KBT_OK(kb_keystore_open(keystore, &fixture->options, &err), &err);
    KBT_OK(kb_token_lease(&token, *keystore, &err), &err);
    return token;
}

static void poor_close(struct token_fixture *fixture, struct kb_keystore *keystore,
                       struct kb_token *token)
{
    kb_token_return(token);
    kb_keystore_close(keystore);
    token_fixture_free(fixture);
}

/* Every algorithm through a token that has only raw RSA, or only OAEP. */
static void check_algorithms(struct kb_token *token, unsigned works)
{
    struct kb_error err = {0};
    struct kb_secret *plain;

    KBT_OK(kb_secret_new(&plain, 32, &err), &err);
    backend_key(token, "poor", KB_KEY_WRAP, KB_KEY_RSA_2048);
    for (size_t a = 0; a < ALGORITHMS; a++) {
        struct kb_data_key_spec wanted = {"poor", algorithms[a], 32};
        struct kb_data_key key;
        uint8_t made[32];

        KBT_OK(kb_token_make_keys(token, &wanted, &key, 1, plain, &err), &err);
        memcpy(made, kb_secret_data(plain), 32);
        if (!(works & 1U << algorithms[a])) {
            KBT_OK(kb_token_unwrap_keys(token, "poor", &key, 1, plain, &err), &err);
            CU_ASSERT_EQUAL(key.status, KB_ERR_AUTH);
            continue;
        }
        unwrap_one(token, "poor", &key, plain);
        CU_ASSERT_EQUAL(key.status, KB_OK);
        KBT_BYTES(kb_secret_view(plain), view(made, 32));
        key.wrapped[255] ^= 1;
        unwrap_one(token, "poor", &key, plain);
        CU_ASSERT_EQUAL(key.status, algorithms[a] == KB_WRAP_PKCS1 ? KB_OK : KB_ERR_AUTH);
    }
    kb_secret_free(plain);
}

static void poor_tokens(void)
{
    struct token_fixture fixture;
    struct kb_keystore *keystore;
    struct kb_token *token = poor_open(&fixture, &keystore, "no-rsa-oaep.conf");
    struct kb_data_key_spec wanted = {"poor", KB_WRAP_OAEP_SHA1, 32};
    struct kb_token_trial trials[48];
    struct kb_data_key key;
    struct kb_error err = {0};
    size_t count = 0;

    check_algorithms(token, ~0U);
    FAILS(kb_token_make_keys(token, &wanted, &key, 1, NULL, &err), KB_ERR_UNSUPPORTED, &err);
    KBT_OK(kb_token_probe(token, trials, 48, &count, &err), &err);
    for (size_t i = 0; i < count; i++)
        if (strstr(trials[i].what, "OAEP")) {
            CU_ASSERT_TRUE(trials[i].good);
            CU_ASSERT_PTR_NOT_NULL(strstr(trials[i].outcome, "outside the token"));
        }
    poor_close(&fixture, keystore, token);
    token = poor_open(&fixture, &keystore, "no-rsa-raw.conf");
    check_algorithms(token, 1U << KB_WRAP_OAEP_SHA1 | 1U << KB_WRAP_PKCS1);
    poor_close(&fixture, keystore, token);
}

static void signing_without_combined_mechanisms(void)
{
    struct token_fixture fixture;
    struct kb_keystore *keystore;
    struct kb_token *token = poor_open(&fixture, &keystore, "no-rsa-hash.conf");
    struct kb_bytes message = kb_bytes_text("text");
    struct kb_error err = {0};
    struct kb_key_info info;
    EVP_PKEY *public;

    backend_key(token, "poor", KB_KEY_SIGN, KB_KEY_RSA_2048);
    KBT_OK(kb_key_find(token, "poor", &info, &err), &err);
    CU_ASSERT_EQUAL(info.mechanisms_enforced, KB_ANSWER_YES);
    CU_ASSERT_PTR_NOT_NULL(strstr(info.mechanisms, "CKM_RSA_PKCS"));
    public = export_pkey(token, "poor");
    for (enum kb_hash hash = KB_SHA224; hash <= KB_SHA512; hash++) {
        struct kb_sign_spec spec = {"poor", KB_SIGN_RSA, hash};
        struct kb_signature made = {0};

        KBT_OK(kb_token_sign(token, &spec, &message, 1, &made, &err), &err);
        CU_ASSERT_TRUE(pkey_verify(public, hash, message, &made));
    }
    EVP_PKEY_free(public);
    poor_close(&fixture, keystore, token);
}

static const struct kbtest tests[] = {
    BOTH(every_pair_is_made_as_asked),
    BOTH(specs_that_make_no_sense),
    BOTH(pairs_are_imported),
    BOTH(wrong_imports_are_refused),
    BOTH(weak_rsa_keys),
    BOTH(wraps_both_ways),
    BOTH(every_damage_is_seen),
    BOTH(bad_pkcs1_says_nothing),
    BOTH(release_never_is_kept),
    BOTH(wrong_kinds_are_denied),
    BOTH(signatures_verify),
    BOTH(public_keys_only_wrap_and_verify),
    BOTH(others_meddle_with_pairs),
    BOTH(extraction_is_really_tried),
    BOTH(a_killed_helper_is_replaced),
    {"poor_tokens", poor_tokens},
    {"signing_without_combined_mechanisms", signing_without_combined_mechanisms},
    {NULL, NULL},
};

int main(int argc, char **argv)
{
    int result;

    if (foreign_main(argc, argv, &result))
        return result;
    result = kbtest_main("token_pairs", tests, argc, argv);
    backends_close();
    return result;
}
