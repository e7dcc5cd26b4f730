/* SPDX-License-Identifier: Apache-2.0
 *
 * Wycheproof's vectors, through the token: its keys are imported, and what
 * keybridge makes of each vector has to be what the vector says.
 */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "backends.h"
#include "base/text.h"
#include "crypto/asymmetric.h"
#include "crypto/crypto.h"
#include "crypto/gcm.h"
#include "pkeys.h"

#include <openssl/x509.h>

static struct {
    unsigned valid, invalid, skipped;
} seen;

struct bytes {
    uint8_t data[255 * 64];
    size_t size;
};

static bool get_hex(const json_t *test, const char *name, struct bytes *out)
{
    const char *text = json_string_value(json_object_get(test, name));
    struct kb_buffer buffer = KB_BUFFER_INIT(sizeof out->data);
    bool good = text && kb_hex_parse(&buffer, kb_bytes_text(text), false);

    out->size = buffer.size;
    if (buffer.size)
        memcpy(out->data, buffer.data, buffer.size);
    kb_buffer_free(&buffer);
    return good;
}

static struct kb_bytes view(const struct bytes *bytes)
{
    return (struct kb_bytes){bytes->data, bytes->size};
}

static bool is_valid(const json_t *test)
{
    return strcmp(json_string_value(json_object_get(test, "result")), "valid") == 0;
}

/* Calls `each` for every test of the file, with its group. */
static void for_each(const char *name, enum token_kind kind,
                     void (*each)(struct kb_token *token, const json_t *group, const json_t *test))
{
    char path[128];
    const char *found;
    json_t *root;
    struct kb_token *token = backend_lease(kind);
    const json_t *group, *test;
    size_t i, j;

    seen.valid = seen.invalid = seen.skipped = 0;
    snprintf(path, sizeof path, "wycheproof/%s", name);
    found = kbtest_vectors(path);
    root = found ? json_load_file(found, 0, NULL) : NULL;
    if (found)
        CU_ASSERT_PTR_NOT_NULL(root);
    json_array_foreach(json_object_get(root, "testGroups"), i, group)
        json_array_foreach(json_object_get(group, "tests"), j, test)
            each(token, group, test);
    if (root) {
        fprintf(stderr, "\n    %s: %u valid, %u invalid, %u skipped ", name, seen.valid,
                seen.invalid, seen.skipped);
        CU_ASSERT_TRUE(seen.valid > 5 && seen.valid + seen.invalid > 20);
    }
    json_decref(root);
    kb_token_return(token);
}

static void replace_key(struct kb_token *token, const struct kb_key_spec *spec,
                        struct kb_bytes value)
{
    enum kb_status status = kb_key_destroy(token, spec->name, NULL);

    CU_ASSERT_TRUE(status == KB_OK || status == KB_ERR_NOT_FOUND);
    backend_import(token, spec, value);
}

/* --- AES key wrap ------------------------------------------------------------------- */

static enum kb_key_type aes_type(size_t size)
{
    return size == 16 ? KB_KEY_AES_128 : size == 24 ? KB_KEY_AES_192 : KB_KEY_AES_256;
}

static void try_wrap(struct kb_token *token, const json_t *group, const json_t *test)
{
    struct bytes key, msg, ct;
    struct kb_data_key item = {0};
    struct kb_key_spec spec = {.name = "wycheproof-kek", .use = KB_KEY_WRAP};
    struct kb_error err = {0};
    struct kb_secret *plain;

    (void)group;
    CU_ASSERT_TRUE(get_hex(test, "key", &key) && get_hex(test, "msg", &msg) &&
                   get_hex(test, "ct", &ct));
    /* A data key is an AES key: other lengths are none of ours. */
    if (is_valid(test) && msg.size != 16 && msg.size != 24 && msg.size != 32) {
        seen.skipped++;
        return;
    }
    if (ct.size > sizeof item.wrapped) {
        seen.skipped++;
        return;
    }
    spec.type = aes_type(key.size);
    replace_key(token, &spec, view(&key));
    KBT_OK(kb_secret_new(&plain, KB_TOKEN_DATA_KEY_MAX, &err), &err);
    if (ct.size)
        memcpy(item.wrapped, ct.data, ct.size);
    item.wrapped_size = (uint16_t)ct.size;
    KBT_OK(kb_token_unwrap_keys(token, spec.name, &item, 1, plain, &err), &err);
    if (is_valid(test)) {
        seen.valid++;
        CU_ASSERT_EQUAL(item.status, KB_OK);
        KBT_BYTES(((struct kb_bytes){kb_secret_view(plain).data, item.size}), view(&msg));
    } else {
        seen.invalid++;
        CU_ASSERT_EQUAL(item.status, KB_ERR_AUTH);
    }
    kb_secret_free(plain);
}

static void aes_wrap(enum token_kind kind)
{
    for_each("aes_wrap_test.json", kind, try_wrap);
}
DEFINE_BOTH(aes_wrap)

/* --- HMAC ------------------------------------------------------------------------------ */

static enum kb_hash current_hash;

static void try_hmac(struct kb_token *token, const json_t *group, const json_t *test)
{
    size_t tag_size = (size_t)json_integer_value(json_object_get(group, "tagSize")) / 8;
    struct kb_key_spec spec = {.name = "wycheproof-mac",
                               .use = KB_KEY_SIGN,
                               .type = (enum kb_key_type)(KB_KEY_HMAC_SHA224 + (int)current_hash),
                               .allow_weak = true};
    struct bytes key, msg, tag;
    struct kb_error err = {0};
    struct kb_bytes message;
    uint8_t mac[BACKEND_MAC_ROOM];
    size_t size = 0;
    bool equal;

    CU_ASSERT_TRUE(get_hex(test, "key", &key) && get_hex(test, "msg", &msg) &&
                   get_hex(test, "tag", &tag));
    if (key.size == 0) {
        seen.skipped++; /* no token takes a key of no bytes */
        return;
    }
    replace_key(token, &spec, view(&key));
    message = view(&msg);
    KBT_OK(backend_mac(token, spec.name, current_hash, &message, 1, mac, &size, &err), &err);
    CU_ASSERT_EQUAL(size, kb_hash_size(current_hash));
    equal = tag.size == tag_size && tag_size <= size && memcmp(mac, tag.data, tag_size) == 0;
    CU_ASSERT_EQUAL(equal, is_valid(test));
    *(is_valid(test) ? &seen.valid : &seen.invalid) += 1;
}

static void hmac_sha256(enum token_kind kind)
{
    current_hash = KB_SHA256;
    for_each("hmac_sha256_test.json", kind, try_hmac);
}
DEFINE_BOTH(hmac_sha256)

static void hmac_sha384(enum token_kind kind)
{
    current_hash = KB_SHA384;
    for_each("hmac_sha384_test.json", kind, try_hmac);
}
DEFINE_BOTH(hmac_sha384)

static void hmac_sha512(enum token_kind kind)
{
    current_hash = KB_SHA512;
    for_each("hmac_sha512_test.json", kind, try_hmac);
}
DEFINE_BOTH(hmac_sha512)

/* --- AES-CBC ------------------------------------------------------------------------------ */

static void try_cbc(struct kb_token *token, const json_t *group, const json_t *test)
{
    struct kb_key_spec spec = {.name = "wycheproof-cbc", .use = KB_KEY_CONTENT};
    struct bytes key, iv, msg, ct;
    struct kb_cipher_job job = {0};
    struct kb_error err = {0};

    (void)group;
    CU_ASSERT_TRUE(get_hex(test, "key", &key) && get_hex(test, "iv", &iv) &&
                   get_hex(test, "msg", &msg) && get_hex(test, "ct", &ct) && iv.size == 16);
    spec.type = aes_type(key.size);
    replace_key(token, &spec, view(&key));
    memcpy(job.iv, iv.data, sizeof job.iv);
    job.in = view(&ct);
    KBT_OK(kb_token_cipher(token, false, spec.name, &job, 1, &err), &err);
    if (!is_valid(test)) {
        seen.invalid++;
        CU_ASSERT_EQUAL(job.status, KB_ERR_AUTH);
        return;
    }
    seen.valid++;
    CU_ASSERT_EQUAL(job.status, KB_OK);
    KBT_BYTES(job.out, view(&msg));
    job.in = view(&msg);
    KBT_OK(kb_token_cipher(token, true, spec.name, &job, 1, &err), &err);
    KBT_BYTES(job.out, view(&ct));
}

static void aes_cbc(enum token_kind kind)
{
    for_each("aes_cbc_pkcs5_test.json", kind, try_cbc);
}
DEFINE_BOTH(aes_cbc)

/* --- AES-GCM ------------------------------------------------------------------------------ */

/* Of each kind we have no use for. */
static struct {
    unsigned iv, tag, key;
} gcm_skipped;

static bool is_our_gcm(const json_t *group)
{
    json_int_t iv = json_integer_value(json_object_get(group, "ivSize"));
    json_int_t tag = json_integer_value(json_object_get(group, "tagSize"));
    json_int_t key = json_integer_value(json_object_get(group, "keySize"));

    gcm_skipped.iv += iv != 8 * KB_GCM_IV_SIZE;
    gcm_skipped.tag += tag != 8 * KB_GCM_TAG_SIZE;
    gcm_skipped.key += key != 128 && key != 192 && key != 256;
    return iv == 8 * KB_GCM_IV_SIZE && tag == 8 * KB_GCM_TAG_SIZE &&
           (key == 128 || key == 192 || key == 256);
}

/* What the token encrypts, under an IV nobody chose, OpenSSL decrypts. */
static void encrypt_gcm(struct kb_token *token, const char *name, const struct bytes *key,
                        const struct bytes *msg, const struct bytes *aad)
{
    static uint8_t out[KB_TOKEN_GCM_MAX], back[KB_TOKEN_GCM_MAX];
    struct kb_gcm_job job = {.aad = view(aad), .in = view(msg), .out = out, .room = sizeof out};
    struct kb_error err = {0};
    struct kb_gcm_text undo;
    struct kb_gcm *gcm;

    KBT_OK(kb_token_gcm(token, true, name, &job, 1, &err), &err);
    CU_ASSERT_EQUAL_FATAL(job.size, msg->size + KB_GCM_TAG_SIZE);
    undo = (struct kb_gcm_text){job.iv, job.aad, {out, msg->size}, back, out + msg->size};
    KBT_OK(kb_gcm_new(&gcm, view(key), &err), &err);
    KBT_OK(kb_gcm_decrypt(gcm, &undo, &err), &err);
    KBT_BYTES(((struct kb_bytes){back, msg->size}), view(msg));
    kb_gcm_free(gcm);
}

static void try_gcm(struct kb_token *token, const json_t *group, const json_t *test)
{
    static uint8_t out[KB_TOKEN_GCM_MAX];
    struct kb_key_spec spec = {.name = "wycheproof-gcm", .use = KB_KEY_ENVELOPE};
    struct bytes key, iv, aad, msg, ct, tag;
    struct kb_gcm_job job = {.out = out, .room = sizeof out};
    struct kb_error err = {0};

    CU_ASSERT_TRUE_FATAL(get_hex(test, "key", &key) && get_hex(test, "iv", &iv) &&
                         get_hex(test, "aad", &aad) && get_hex(test, "msg", &msg) &&
                         get_hex(test, "ct", &ct) && get_hex(test, "tag", &tag));
    if (!is_our_gcm(group)) {
        seen.skipped++;
        return;
    }
    CU_ASSERT_TRUE_FATAL(iv.size == sizeof job.iv && ct.size + tag.size <= sizeof ct.data);
    spec.type = aes_type(key.size);
    replace_key(token, &spec, view(&key));
    memcpy(job.iv, iv.data, sizeof job.iv);
    memcpy(ct.data + ct.size, tag.data, tag.size);
    ct.size += tag.size;
    job.in = view(&ct);
    job.aad = view(&aad);
    KBT_OK(kb_token_gcm(token, false, spec.name, &job, 1, &err), &err);
    CU_ASSERT_EQUAL(job.status, is_valid(test) ? KB_OK : KB_ERR_AUTH);
    *(is_valid(test) ? &seen.valid : &seen.invalid) += 1;
    if (!is_valid(test))
        return;
    KBT_BYTES(((struct kb_bytes){out, job.size}), view(&msg));
    encrypt_gcm(token, spec.name, &key, &msg, &aad);
}

static void aes_gcm(enum token_kind kind)
{
    memset(&gcm_skipped, 0, sizeof gcm_skipped);
    for_each("aes_gcm_test.json", kind, try_gcm);
    fprintf(stderr, "(other IVs %u, tags %u, keys %u) ", gcm_skipped.iv, gcm_skipped.tag,
            gcm_skipped.key);
    CU_ASSERT_TRUE(seen.valid == 0 || seen.valid + seen.invalid > 100);
}
DEFINE_BOTH(aes_gcm)

/* --- RSA-OAEP --------------------------------------------------------------------------- */

static enum kb_wrap_algorithm current_wrap;

static void take_rsa_key(struct kb_token *token, const json_t *group, const json_t *test,
                         EVP_PKEY **key)
{
    struct kb_key_spec spec = {
        .name = "wycheproof-rsa", .use = KB_KEY_WRAP, .type = KB_KEY_RSA_2048};
    struct bytes pkcs8;
    const uint8_t *next = pkcs8.data;

    CU_ASSERT_TRUE_FATAL(get_hex(group, "privateKeyPkcs8", &pkcs8));
    *key = d2i_AutoPrivateKey(NULL, &next, (long)pkcs8.size);
    CU_ASSERT_PTR_NOT_NULL_FATAL(*key);
    /* One key a group. */
    if (test == json_array_get(json_object_get(group, "tests"), 0))
        replace_key(token, &spec, view(&pkcs8));
}

/* Raw RSA by OpenSSL, and our own decoding: messages of every length. */
static void try_oaep_outside(EVP_PKEY *key, const json_t *test, const struct bytes *msg,
                             const struct bytes *ct, bool right)
{
    uint8_t block[512], out[512];
    size_t size = 0, got = 0;
    bool good = ct->size == (size_t)EVP_PKEY_get_size(key) &&
                pkey_raw(key, view(ct), block, &size) &&
                kb_oaep_decode(current_wrap, (struct kb_bytes){block, size}, out, sizeof out,
                               &got);

    if (good != right)
        fprintf(stderr, "tcId %d outside\n",
                (int)json_integer_value(json_object_get(test, "tcId")));
    CU_ASSERT_EQUAL(good, right);
    if (good && right)
        KBT_BYTES(((struct kb_bytes){out, got}), view(msg));
}

static void try_oaep(struct kb_token *token, const json_t *group, const json_t *test)
{
    struct bytes msg, ct, label;
    struct kb_data_key item = {.algorithm = current_wrap};
    struct kb_error err = {0};
    struct kb_secret *plain;
    bool right, fits;
    EVP_PKEY *key;

    CU_ASSERT_TRUE(get_hex(test, "msg", &msg) && get_hex(test, "ct", &ct) &&
                   get_hex(test, "label", &label));
    take_rsa_key(token, group, test, &key);
    /* Valid under a label is not valid under the empty one, the only one we have. */
    right = is_valid(test) && label.size == 0;
    fits = right && (msg.size == 16 || msg.size == 24 || msg.size == 32);
    try_oaep_outside(key, test, &msg, &ct, right);
    EVP_PKEY_free(key);
    *(right ? &seen.valid : &seen.invalid) += 1;
    if (ct.size > sizeof item.wrapped)
        return;
    KBT_OK(kb_secret_new(&plain, KB_TOKEN_DATA_KEY_MAX, &err), &err);
    if (ct.size)
        memcpy(item.wrapped, ct.data, ct.size);
    item.wrapped_size = (uint16_t)ct.size;
    KBT_OK(kb_token_unwrap_keys(token, "wycheproof-rsa", &item, 1, plain, &err), &err);
    CU_ASSERT_EQUAL(item.status, fits ? KB_OK : KB_ERR_AUTH);
    if (fits)
        KBT_BYTES(((struct kb_bytes){kb_secret_view(plain).data, item.size}), view(&msg));
    kb_secret_free(plain);
}

static void rsa_oaep(enum token_kind kind)
{
    static const struct {
        const char *file;
        enum kb_wrap_algorithm algorithm;
    } rows[] = {
        {"rsa_oaep_2048_sha1_mgf1sha1_test.json", KB_WRAP_OAEP_SHA1},
        {"rsa_oaep_2048_sha256_mgf1sha1_test.json", KB_WRAP_OAEP_SHA256},
        {"rsa_oaep_2048_sha256_mgf1sha256_test.json", KB_WRAP_OAEP_SHA256_MGF_SHA256},
        {"rsa_oaep_2048_sha384_mgf1sha384_test.json", KB_WRAP_OAEP_SHA384_MGF_SHA384},
        {"rsa_oaep_2048_sha512_mgf1sha512_test.json", KB_WRAP_OAEP_SHA512_MGF_SHA512},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        current_wrap = rows[i].algorithm;
        for_each(rows[i].file, kind, try_oaep);
    }
}
DEFINE_BOTH(rsa_oaep)

/* --- signatures, which need no token to be verified ------------------------------------- */

/* What the vectors leave open, and what we do: "acceptable" is a PKCS#1 v1.5
 * signature whose AlgorithmIdentifier lacks its NULL. RFC 8017 section 9.2 has
 * an encoder write the NULL, and one who verifies by encoding and comparing,
 * as section 8.2.2 says, refuses what lacks it; so do OpenSSL and we. */
static bool is_refused_by_choice(const json_t *test)
{
    const json_t *flags = json_object_get(test, "flags");

    CU_ASSERT_EQUAL(json_array_size(flags), 1);
    CU_ASSERT_STRING_EQUAL(json_string_value(json_array_get(flags, 0)), "MissingNull");
    return true;
}

static void try_signature(struct kb_token *token, const json_t *group, const json_t *test)
{
    struct kb_public_key *key;
    struct bytes spki, msg, sig;
    struct kb_error err = {0};
    bool right = is_valid(test), good;

    (void)token;
    CU_ASSERT_TRUE(get_hex(group, "publicKeyDer", &spki) && get_hex(test, "msg", &msg) &&
                   get_hex(test, "sig", &sig));
    if (strcmp(json_string_value(json_object_get(test, "result")), "acceptable") == 0)
        right = !is_refused_by_choice(test);
    KBT_OK(kb_public_key_new(&key, view(&spki), &err), &err);
    good = kb_public_key_verify(key, current_hash, view(&msg), view(&sig));
    if (good != right)
        fprintf(stderr, "tcId %d\n", (int)json_integer_value(json_object_get(test, "tcId")));
    CU_ASSERT_EQUAL(good, right);
    *(right ? &seen.valid : &seen.invalid) += 1;
    kb_public_key_free(key);
}

static void signatures(void)
{
    current_hash = KB_SHA256;
    for_each("ecdsa_secp256r1_sha256_test.json", TOKEN_SOFTHSM, try_signature);
    for_each("rsa_signature_2048_sha256_test.json", TOKEN_SOFTHSM, try_signature);
    current_hash = KB_SHA384;
    for_each("ecdsa_secp384r1_sha384_test.json", TOKEN_SOFTHSM, try_signature);
}

/* --- HKDF ------------------------------------------------------------------------------- */

static void try_hkdf(struct kb_token *token, const json_t *group, const json_t *test)
{
    struct bytes ikm, salt, info, okm;
    static uint8_t out[255 * 64];
    size_t size = (size_t)json_integer_value(json_object_get(test, "size"));
    struct kb_hkdf_input input;
    struct kb_error err = {0};

    (void)token;
    (void)group;
    CU_ASSERT_TRUE(get_hex(test, "ikm", &ikm) && get_hex(test, "salt", &salt) &&
                   get_hex(test, "info", &info));
    input = (struct kb_hkdf_input){view(&ikm), view(&salt), view(&info)};
    if (!is_valid(test)) {
        seen.invalid++;
        FAILS(kb_hkdf(current_hash, &input, out, size, &err), KB_ERR_USAGE, &err);
        return;
    }
    seen.valid++;
    CU_ASSERT_TRUE_FATAL(get_hex(test, "okm", &okm) && size <= sizeof out);
    KBT_OK(kb_hkdf(current_hash, &input, out, size, &err), &err);
    KBT_BYTES(((struct kb_bytes){out, size}), view(&okm));
}

static void hkdf(void)
{
    current_hash = KB_SHA256;
    for_each("hkdf_sha256_test.json", TOKEN_SOFTHSM, try_hkdf);
    current_hash = KB_SHA512;
    for_each("hkdf_sha512_test.json", TOKEN_SOFTHSM, try_hkdf);
}

static const struct kbtest tests[] = {
    BOTH(aes_wrap), BOTH(hmac_sha256), BOTH(hmac_sha384),
    BOTH(hmac_sha512), BOTH(aes_cbc), BOTH(aes_gcm), BOTH(rsa_oaep),
    {"signatures", signatures}, {"hkdf", hkdf}, {NULL, NULL},
};

int main(int argc, char **argv)
{
    int result = kbtest_main("token_wycheproof", tests, argc, argv);

    backends_close();
    return result;
}
