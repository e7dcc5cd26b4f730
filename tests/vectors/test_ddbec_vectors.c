/* SPDX-License-Identifier: Apache-2.0
 *
 * Items made by the original clients, read with their keys in a token: those
 * committed with their generator (tests/interop), and the shared vectors when
 * they are there. KMS is stood in for by a server that gives the data keys of
 * the vectors, and that sees the encryption contexts. The class that belongs to
 * later work is skipped by name.
 */
#include "attr/attr.h"
#include "base/text.h"
#include "ddbec/ddbec.h"
#include "httpd.h"
#include "kbtest.h"
#include "token_fixture.h"

#include <keybridge/file.h>
#include <keybridge/kms.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct token_fixture fixture;
static struct kb_keystore *keystore;
static json_t *vectors; /* the file that is being run */

/* --- U+0000 in names ---------------------------------------------------------
 * jansson cannot hold it in an object's keys. While the vectors are in its
 * hands, U+F8FE stands for it; nothing else in them uses that character. */

#define MASK "\xef\xa3\xbe"

static json_t *load_vectors(const char *path)
{
    struct kb_buffer text = KB_BUFFER_INIT(64 << 20);
    json_error_t error;
    json_t *loaded;

    KBT_OK(kb_file_read(&text, path, NULL), NULL);
    for (size_t i = 0; i + 5 < text.size; i++) {
        if (text.data[i] != '\\')
            continue;
        if (memcmp(text.data + i, "\\u0000", 6) == 0)
            memcpy(text.data + i, "\\uf8fe", 6);
        i++;
    }
    loaded = json_loadb((const char *)text.data, text.size, 0, &error);
    if (!loaded)
        fprintf(stderr, "%s: %s\n", path, error.text);
    CU_ASSERT_PTR_NOT_NULL_FATAL(loaded);
    kb_buffer_free(&text);
    return loaded;
}

/* The text with the character behind the mask, or with `instead` for it. */
static struct kb_bytes unmask(struct kb_buffer *out, const char *text, const char *instead,
                              size_t size)
{
    kb_buffer_reset(out);
    while (*text) {
        if (strncmp(text, MASK, 3) == 0) {
            kb_buffer_put(out, instead, size);
            text += 3;
        } else {
            kb_buffer_put_u8(out, (uint8_t)*text++);
        }
    }
    return kb_buffer_view(out);
}

/* --- keys -------------------------------------------------------------------- */

static json_t *key_record(const char *key)
{
    return json_object_get(json_object_get(vectors, "keys"), key);
}

static bool key_is(const char *key, const char *kind)
{
    const char *text = json_string_value(json_object_get(key_record(key), "kind"));

    return text && strcmp(text, kind) == 0;
}

/* The token name under which a key is imported for a use; imported when it is
 * not there yet. Zero-padding of short HMAC keys is part of the test. */
static const char *token_key(char *name, size_t room, const char *key, enum kb_key_use use,
                             enum kb_key_type type)
{
    const char *material = json_string_value(json_object_get(key_record(key), "material"));
    struct kb_buffer bytes = KB_BUFFER_INIT(4096);
    struct kb_key_spec spec = {.name = name, .use = use, .type = type, .allow_weak = true};
    struct kb_error err = {0};
    struct kb_key_info info;
    struct kb_secret *value;
    struct kb_token *token;

    spec.public_only = key_is(key, "rsa-public") || key_is(key, "ec-public");
    snprintf(name, room, "%s-%s-%s", key, kb_key_use_format(use), kb_key_type_format(type));
    if (!material || !kb_base64_parse(&bytes, kb_bytes_text(material))) {
        CU_FAIL("no such key in the vectors");
        return name;
    }
    KBT_OK(kb_token_lease(&token, keystore, &err), &err);
    if (kb_key_find(token, name, &info, NULL) == KB_ERR_NOT_FOUND) {
        KBT_OK(kb_secret_copy(&value, kb_buffer_view(&bytes), &err), &err);
        KBT_OK(kb_key_import(token, &spec, value, &err), &err);
        kb_secret_free(value);
    }
    kb_token_return(token);
    kb_buffer_free(&bytes);
    return name;
}

static enum kb_key_type wrap_type(const char *key)
{
    size_t text = strlen(json_string_value(json_object_get(key_record(key), "material")));

    if (key_is(key, "rsa-private") || key_is(key, "rsa-public"))
        return KB_KEY_RSA;
    return text == 24 ? KB_KEY_AES_128 : text == 32 ? KB_KEY_AES_192 : KB_KEY_AES_256;
}

static enum kb_key_type sign_type(const char *key, const char *algorithm)
{
    static const struct {
        const char *name;
        enum kb_key_type type;
    } types[] = {
        {"HmacSHA224", KB_KEY_HMAC_SHA224},
        {"HmacSHA256", KB_KEY_HMAC_SHA256},
        {"HmacSHA384", KB_KEY_HMAC_SHA384},
        {"HmacSHA512", KB_KEY_HMAC_SHA512},
    };

    if (key_is(key, "rsa-private") || key_is(key, "rsa-public"))
        return KB_KEY_RSA;
    if (key_is(key, "ec-private") || key_is(key, "ec-public"))
        return KB_KEY_EC;
    for (size_t i = 0; algorithm && i < sizeof types / sizeof *types; i++)
        if (strcmp(types[i].name, algorithm) == 0)
            return types[i].type;
    return KB_KEY_TYPE_UNKNOWN;
}

/* --- an item's encryptor --------------------------------------------------------- */

static const char *text_of(json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

/* The algorithm of an item's signature: stated, or its key's. */
static const char *sign_algorithm(json_t *provider)
{
    const char *stated = text_of(provider, "signature_algorithm");
    const char *key = text_of(provider, "verification_key");

    if (stated || !key)
        return stated;
    return text_of(key_record(key), "algorithm");
}

/* With `writing`, signing key and both halves of the wrapping key; else what a
 * reader has: the verification key, which may be a public one. */
static struct kb_provider *make_provider(json_t *record, bool writing)
{
    char wrap[128], content[128], sign[128];
    const char *algorithm = sign_algorithm(record);
    struct kb_provider_options options = {.sign_algorithm = algorithm};
    bool is_static = strcmp(text_of(record, "kind"), "static") == 0;
    const char *unwrapping = text_of(record, "unwrapping_key");
    const char *encryption = text_of(record, "encryption_key");
    const char *signing = text_of(record, writing ? "signing_key" : "verification_key");
    struct kb_provider *provider = NULL;
    struct kb_error err = {0};

    options.sign_key = token_key(sign, sizeof sign, signing, KB_KEY_SIGN,
                                 sign_type(signing, algorithm));
    if (is_static) {
        if (encryption)
            options.content_key = token_key(content, sizeof content, encryption, KB_KEY_CONTENT,
                                            wrap_type(encryption));
        KBT_OK(kb_provider_static(&provider, keystore, &options, &err), &err);
    } else {
        options.wrap_key =
            token_key(wrap, sizeof wrap, unwrapping, KB_KEY_WRAP, wrap_type(unwrapping));
        KBT_OK(kb_provider_wrapped(&provider, keystore, &options, &err), &err);
    }
    return provider;
}

static enum kb_action action_of(const char *text)
{
    return strcmp(text, "encrypt") == 0 ? KB_ACTION_ENCRYPT_AND_SIGN
           : strcmp(text, "sign") == 0  ? KB_ACTION_SIGN_ONLY
                                        : KB_ACTION_DO_NOTHING;
}

static struct kb_actions *make_actions(json_t *record)
{
    struct kb_buffer bytes = KB_BUFFER_INIT(4096);
    struct kb_actions *actions;
    const char *name;
    json_t *action;

    CU_ASSERT_EQUAL_FATAL(kb_actions_parse(&actions, (struct kb_bytes){NULL, 0}, NULL), KB_OK);
    actions->fallback = action_of(text_of(record, "default"));
    json_object_foreach(json_object_get(record, "attributes"), name, action)
        CU_ASSERT_EQUAL(kb_actions_set(actions, unmask(&bytes, name, "", 1),
                                       action_of(json_string_value(action)), NULL),
                        KB_OK);
    kb_buffer_free(&bytes);
    return actions;
}

/* Takes over the provider. */
static struct kb_worker *make_worker(json_t *item, struct kb_provider *provider)
{
    struct kb_actions *actions = make_actions(json_object_get(item, "actions"));
    bool java = strcmp(text_of(item, "lang"), "java") == 0;
    const char *table = text_of(item, "table");
    struct kb_ddbec_options options = {
        .table_name = table ? table : java ? "null" : "None",
        .partition_key = text_of(item, "partition_key"),
        .sort_key = text_of(item, "sort_key"),
        .actions = actions,
    };
    struct kb_worker *worker = NULL;
    struct kb_ddbec *ddbec = NULL;
    struct kb_error err = {0};

    KBT_OK(kb_ddbec_new(&ddbec, &options, provider, &err), &err);
    if (ddbec)
        KBT_OK(kb_worker_new(&worker, ddbec, &err), &err);
    kb_ddbec_release(ddbec);
    kb_provider_release(provider);
    kb_actions_free(actions);
    return worker;
}

/* --- comparison -------------------------------------------------------------------- */

static int compare_names(const void *a, const void *b)
{
    return kb_bytes_compare(((const struct kb_member *)a)->name,
                            ((const struct kb_member *)b)->name);
}

/* Items as canonical bytes, by name: order of members and of sets, and the way
 * numbers are written, make no difference. */
static bool same_item(struct kb_bytes a, struct kb_bytes b)
{
    struct kb_buffer bytes[2] = {KB_BUFFER_INIT(1 << 24), KB_BUFFER_INIT(1 << 24)};
    struct kb_bytes texts[2] = {a, b};
    struct kb_arena arena = KB_ARENA_INIT;
    bool same = true;

    for (size_t i = 0; i < 2; i++) {
        struct kb_item item = {NULL, 0};
        struct kb_error err = {0};

        if (kb_item_parse(&item, texts[i], &arena, &err) != KB_OK) {
            fprintf(stderr, "comparing: %s\n", kb_error_text(&err));
            same = false;
        }
        qsort(item.members, item.count, sizeof *item.members, compare_names);
        for (size_t m = 0; m < item.count; m++) {
            kb_buffer_put_lv(&bytes[i], item.members[m].name);
            kb_attr_serialize(&bytes[i], &item.members[m].value, KB_DIALECT_PYTHON, true);
        }
        same = same && kb_buffer_check(&bytes[i], NULL) == KB_OK;
    }
    same = same && kb_bytes_equal(kb_buffer_view(&bytes[0]), kb_buffer_view(&bytes[1]));
    kb_buffer_free(&bytes[0]);
    kb_buffer_free(&bytes[1]);
    kb_arena_free(&arena);
    return same;
}

/* The caller gives it to drop(). */
static struct kb_bytes dump(json_t *item)
{
    struct kb_buffer out = KB_BUFFER_INIT(16 << 20);
    char *text = json_dumps(item, JSON_COMPACT);
    struct kb_bytes json = unmask(&out, text ? text : "", "\\u0000", 6);

    free(text);
    return json;
}

static void drop(struct kb_bytes text)
{
    union {
        const void *given;
        void *mine;
    } pointer = {text.data};

    free(pointer.mine);
}

/* --- one vector ------------------------------------------------------------------------ */

static void check_round_trip(struct kb_worker *worker, struct kb_bytes plain, const char *id)
{
    struct kb_line line = {.in = plain};
    struct kb_buffer stored = KB_BUFFER_INIT(1 << 24);
    struct kb_error err = {0};

    KBT_OK(kb_ddbec_encrypt(worker, &line, 1, &err), &err);
    /* Some of the originals' items hold what no table takes as a key. */
    if (line.error.status == KB_ERR_INPUT && (strstr(line.error.text, "key attribute") ||
                                              strstr(line.error.text, "name is empty")))
        return;
    KBT_OK(line.error.status, &line.error);
    kb_buffer_put_bytes(&stored, line.out);
    line.in = kb_buffer_view(&stored);
    KBT_OK(kb_ddbec_decrypt(worker, &line, 1, &err), &err);
    KBT_OK(line.error.status, &line.error);
    if (!same_item(line.out, plain)) {
        fprintf(stderr, "%s: not the same after a round trip\n", id);
        CU_FAIL("round trip");
    }
    kb_buffer_free(&stored);
}

/* Decrypts and holds what comes out against what is expected; true when it is
 * and the item could be read. */
static bool check_decryption(struct kb_worker *worker, json_t *item)
{
    const char *expect = text_of(item, "expect");
    struct kb_bytes encrypted = dump(json_object_get(item, "encrypted"));
    struct kb_bytes plain = dump(json_object_get(item, "plaintext"));
    struct kb_line line = {.in = encrypted};
    struct kb_error err = {0};
    bool came, good;

    KBT_OK(kb_ddbec_decrypt(worker, &line, 1, &err), &err);
    came = line.error.status == KB_OK;
    good = came && same_item(line.out, plain);
    if (strcmp(expect, "refuse") == 0)
        good = !came && kb_status_is_item(line.error.status);
    else if (strcmp(expect, "policy") == 0)
        good = good || (!came && kb_status_is_item(line.error.status));
    if (!good)
        fprintf(stderr, "%s: expected %s, got %s %s\n", text_of(item, "id"), expect,
                kb_status_name(line.error.status), line.error.text);
    CU_ASSERT_TRUE(good);
    drop(encrypted);
    drop(plain);
    return good && strcmp(expect, "ok") == 0;
}

static void run_item(json_t *item)
{
    json_t *provider = json_object_get(item, "provider");
    struct kb_worker *worker = make_worker(item, make_provider(provider, false));
    bool has_signing_key = text_of(provider, "signing_key") != NULL;
    struct kb_bytes plain;

    if (!worker) {
        fprintf(stderr, "%s: no encryptor\n", text_of(item, "id"));
        return;
    }
    if (check_decryption(worker, item) && has_signing_key &&
        strcmp(text_of(item, "class"), "divergent") != 0) {
        kb_worker_free(worker);
        worker = make_worker(item, make_provider(provider, true));
        plain = dump(json_object_get(item, "plaintext"));
        if (worker)
            check_round_trip(worker, plain, text_of(item, "id"));
        drop(plain);
    }
    kb_worker_free(worker);
}

/* --- KMS --------------------------------------------------------------------------------- */

/* What stands in for KMS: knows one data key, under one context. */
struct stand_in {
    const char *key_id;
    const char *data_key; /* base64, or NULL: nothing opens */
    const char *blob;     /* base64 of the one that opens; NULL: any */
    json_t *context;      /* what must be sent */
    unsigned asked, right;
};

static void answer_kms(void *ctx, const struct httpd_request *request,
                       struct httpd_answer *answer)
{
    struct stand_in *kms = ctx;
    json_t *body = json_loadb((const char *)request->body.data, request->body.size, 0, NULL);
    json_t *context = json_object_get(body, "EncryptionContext");
    const char *target = httpd_get(request, "x-amz-target");
    bool makes = target && strstr(target, "GenerateDataKey");
    bool right;

    if (makes) { /* what is written is canonical, what was read need not be */
        json_decref(kms->context);
        kms->context = json_incref(context);
    }
    if (makes)
        kms->blob = NULL;
    right = json_equal(context, kms->context) &&
            (!kms->blob || (text_of(body, "CiphertextBlob") &&
                            strcmp(kms->blob, text_of(body, "CiphertextBlob")) == 0));
    kms->asked++;
    kms->right += right;
    httpd_header(answer, "Content-Type", "application/x-amz-json-1.1");
    if (!right || !kms->data_key) {
        answer->status = 400;
        httpd_text(answer, "{\"__type\":\"InvalidCiphertextException\"}");
    } else {
        httpd_text(answer, "{\"KeyId\":\"%s\",\"Plaintext\":\"%s\"%s}", kms->key_id, kms->data_key,
                   makes ? ",\"CiphertextBlob\":\"YmxvYg==\"" : "");
    }
    json_decref(body);
}

static void run_kms_item(json_t *item)
{
    json_t *record = json_object_get(item, "provider");
    const char *key = text_of(record, "key");
    bool readable = strcmp(text_of(item, "expect"), "kms-only") != 0;
    bool altered = strcmp(text_of(item, "class"), "altered-kms-direct") == 0;
    json_t *description = json_object_get(item, "description");
    const char *named = text_of(description, "amzn-ddb-sig-alg");
    char sign[32];
    struct stand_in stand_in = {
        .key_id = key ? text_of(key_record(key), "key_id") : text_of(record, "key_id"),
        .data_key = text_of(record, "data_key"),
        .blob = text_of(json_object_get(item, "kms"), "ciphertext_blob"),
        .context = json_incref(json_object_get(item, "kms_encryption_context")),
    };
    struct httpd *server = httpd_start(answer_kms, &stand_in);
    struct kb_aws_options aws = {.region = "us-west-2", .endpoint_url = httpd_url(server)};
    struct kb_kms_provider_options options = {.key_id = stand_in.key_id, .sign_algorithm = sign};
    struct kb_provider *provider = NULL;
    struct kb_error err = {0};
    struct kb_worker *worker;
    bool good;

    snprintf(sign, sizeof sign, "%.*s", (int)strcspn(named ? named : "HmacSHA256", "/"),
             named ? named : "HmacSHA256");
    KBT_OK(kb_kms_open(&options.kms, &aws, &err), &err);
    KBT_OK(kb_provider_kms(&provider, &options, &err), &err);
    worker = make_worker(item, provider);
    if (readable) {
        struct kb_bytes plain = dump(json_object_get(item, "plaintext"));

        if (check_decryption(worker, item) && stand_in.data_key && strstr(sign, "256"))
            check_round_trip(worker, plain, text_of(item, "id"));
        drop(plain);
    } else {
        /* The original key is Amazon's: what is asked of it can be seen. */
        struct kb_line line = {.in = dump(json_object_get(item, "encrypted"))};

        KBT_OK(kb_ddbec_decrypt(worker, &line, 1, &err), &err);
        CU_ASSERT_EQUAL(line.error.status, KB_ERR_AUTH);
        drop(line.in);
    }
    kb_worker_free(worker);
    kb_kms_close(options.kms);
    httpd_stop(server);
    /* An item of which nothing is signed or encrypted has no description. */
    good = altered ||
           (stand_in.right == stand_in.asked && (stand_in.asked > 0) == (stand_in.context != NULL));
    if (!good)
        fprintf(stderr, "%s: asked KMS %u times, %u with the right context\n",
                text_of(item, "id"), stand_in.asked, stand_in.right);
    CU_ASSERT_TRUE(good);
    json_decref(stand_in.context);
}

/* --- a file ------------------------------------------------------------------------------ */

static const char *const classes_now[] = {
    "static",         "wrapped-aes",         "wrapped-rsa",         "divergent",
    "altered-static", "altered-wrapped-aes", "altered-wrapped-rsa", NULL};
static const char *const classes_later[] = {"most-recent", NULL};

static bool among(const char *const *list, const char *text)
{
    for (; *list; list++)
        if (strcmp(*list, text) == 0)
            return true;
    return false;
}

static void run_items(const char *path, enum token_kind kind, size_t least)
{
    size_t run = 0, kms = 0, later = 0, at;
    json_t *item;

    vectors = load_vectors(path);
    json_array_foreach(json_object_get(vectors, "items"), at, item)
    {
        const char *class = text_of(item, "class");

        if (among(classes_later, class)) {
            later++;
        } else if (strstr(class, "kms-direct")) {
            run_kms_item(item);
            kms++;
        } else {
            CU_ASSERT_TRUE(among(classes_now, class));
            run_item(item);
            run++;
        }
    }
    printf("\n    %s: %zu items read, %zu more with a stand-in for KMS; left to later work: %zu of "
           "class most-recent ",
           token_kind_name(kind), run, kms, later);
    CU_ASSERT_TRUE(run >= least);
    json_decref(vectors);
}

static void run_file(const char *path, enum token_kind kind, size_t least)
{
    if (!token_module(kind)) /* said loudly; a failure in CI */
        return;
    CU_ASSERT_TRUE_FATAL(token_fixture_open(&fixture, kind, &keystore));
    run_items(path, kind, least);
    kb_keystore_close(keystore);
    token_fixture_free(&fixture);
}

static void test_committed_softhsm(void)
{
    run_file(kbtest_source("tests/interop/ddbec-python.json"), TOKEN_SOFTHSM, 240);
}

static void test_committed_nss(void)
{
    run_file(kbtest_source("tests/interop/ddbec-python.json"), TOKEN_NSS, 240);
}

static void test_keys_softhsm(void)
{
    run_file(kbtest_source("tests/interop/ddbec-python-keys.json"), TOKEN_SOFTHSM, 70);
}

static void test_keys_nss(void)
{
    run_file(kbtest_source("tests/interop/ddbec-python-keys.json"), TOKEN_NSS, 70);
}

static void test_java_softhsm(void)
{
    run_file(kbtest_source("tests/interop/ddbec-java.json"), TOKEN_SOFTHSM, 110);
}

static void test_java_nss(void)
{
    run_file(kbtest_source("tests/interop/ddbec-java.json"), TOKEN_NSS, 110);
}

static void test_shared_softhsm(void)
{
    const char *path = kbtest_vectors("ddbec/vectors.json");

    if (path)
        run_file(path, TOKEN_SOFTHSM, 500);
}

/* --- building blocks that need no token ------------------------------------------------------ */

static struct kb_bytes decoded(struct kb_buffer *out, json_t *record, const char *name)
{
    kb_buffer_reset(out);
    CU_ASSERT_TRUE(kb_base64_parse(out, kb_bytes_text(text_of(record, name))));
    return kb_buffer_view(out);
}

static const char *masked(struct kb_buffer *out, struct kb_bytes text)
{
    kb_buffer_reset(out);
    for (size_t i = 0; i < text.size; i++)
        kb_buffer_put(out, text.data[i] ? (const char *)&text.data[i] : MASK,
                      text.data[i] ? 1 : 3);
    kb_buffer_put_u8(out, 0);
    return (const char *)out->data;
}

/* Entries as a JSON object; the last of a name wins. */
static json_t *entries_object(const struct kb_pair *entries, size_t count)
{
    struct kb_buffer name = KB_BUFFER_INIT(1 << 20), value = KB_BUFFER_INIT(1 << 20);
    json_t *object = json_object();

    for (size_t i = 0; i < count; i++)
        json_object_set_new(object, masked(&name, entries[i].name),
                            json_string(masked(&value, entries[i].value)));
    kb_buffer_free(&name);
    kb_buffer_free(&value);
    return object;
}

static void run_description(json_t *record, struct kb_buffer *bytes)
{
    struct kb_arena arena = KB_ARENA_INIT;
    struct kb_bytes serialized = decoded(bytes, record, "serialized");
    const char *op = text_of(record, "op");
    struct kb_pair *entries;
    size_t count;
    enum kb_status status = kb_description_read(&entries, &count, serialized, &arena, NULL);

    CU_ASSERT_EQUAL(status, strcmp(op, "refuse") == 0 ? KB_ERR_INPUT : KB_OK);
    if (status == KB_OK) {
        json_t *got = entries_object(entries, count);

        CU_ASSERT_TRUE(json_equal(got, json_object_get(record, "description")));
        json_decref(got);
    }
    if (status == KB_OK && strcmp(op, "both") == 0) {
        struct kb_buffer again = KB_BUFFER_INIT(1 << 20);

        kb_description_write(&again, entries, count);
        KBT_BYTES(kb_buffer_view(&again), serialized);
        kb_buffer_free(&again);
    }
    kb_arena_free(&arena);
}

static void run_building_blocks(const char *path)
{
    struct kb_buffer bytes = KB_BUFFER_INIT(1 << 24);
    json_t *record;
    size_t at, run = 0;

    vectors = load_vectors(path);
    json_array_foreach(json_object_get(vectors, "material_description"), at, record)
    {
        run_description(record, &bytes);
        run++;
    }
    CU_ASSERT_TRUE(run > 0);
    json_decref(vectors);
    kb_buffer_free(&bytes);
}

static void test_descriptions(void)
{
    const char *path = kbtest_vectors("ddbec/vectors.json");

    run_building_blocks(kbtest_source("tests/interop/ddbec-python.json"));
    if (path)
        run_building_blocks(path);
}

/* Strings to sign are made by a worker, which needs some encryptor: the table
 * and the actions are the vector's, the keys do not matter. */
static void run_string_to_sign(json_t *record, struct kb_provider *provider)
{
    struct kb_buffer want = KB_BUFFER_INIT(1 << 20);
    json_t *item = json_object(), *attribute;
    struct kb_actions *actions;
    struct kb_worker *worker;
    struct kb_ddbec *ddbec;
    struct kb_error err = {0};
    struct kb_line line = {0};
    enum kb_status status;
    const char *name;

    CU_ASSERT_EQUAL_FATAL(kb_actions_parse(&actions, (struct kb_bytes){NULL, 0}, NULL), KB_OK);
    actions->fallback = KB_ACTION_DO_NOTHING;
    json_object_foreach(json_object_get(record, "attributes"), name, attribute)
    {
        json_object_set(item, name, json_object_get(attribute, "value"));
        KBT_OK(kb_actions_set(actions, unmask(&want, name, "", 1),
                              action_of(text_of(attribute, "action")), &err),
               &err);
    }
    struct kb_ddbec_options options = {.table_name = text_of(record, "table"),
                                       .partition_key = "no such attribute",
                                       .actions = actions};

    KBT_OK(kb_ddbec_new(&ddbec, &options, provider, &err), &err);
    KBT_OK(kb_worker_new(&worker, ddbec, &err), &err);
    line.in = dump(item);
    kb_worker_reset(worker);
    CU_ASSERT_TRUE(kb_worker_take(worker, &line, &status, &err));
    kb_buffer_reset(&worker->strings_to_sign);
    KBT_OK(kb_string_to_sign(worker, &worker->jobs[0], KB_DIALECT_PYTHON, false, &err), &err);
    KBT_BYTES(kb_buffer_view(&worker->strings_to_sign), decoded(&want, record, "string_to_sign"));
    drop(line.in);
    kb_worker_free(worker);
    kb_ddbec_release(ddbec);
    kb_actions_free(actions);
    json_decref(item);
    kb_buffer_free(&want);
}

static void run_strings_to_sign(const char *path, struct kb_provider *provider)
{
    json_t *record;
    size_t at;

    vectors = load_vectors(path);
    json_array_foreach(json_object_get(vectors, "string_to_sign"), at, record)
        if (text_of(record, "table"))
            run_string_to_sign(record, provider);
    CU_ASSERT_TRUE(at > 0);
    json_decref(vectors);
}

static void test_strings_to_sign(void)
{
    const char *path = kbtest_vectors("ddbec/vectors.json");
    struct kb_key_spec spec = {.name = "sign", .use = KB_KEY_SIGN, .type = KB_KEY_HMAC_SHA256};
    struct kb_provider_options options = {.sign_key = "sign"};
    struct kb_provider *provider;
    struct kb_error err = {0};
    struct kb_token *token;

    CU_ASSERT_TRUE_FATAL(token_fixture_open(&fixture, TOKEN_SOFTHSM, &keystore));
    KBT_OK(kb_token_lease(&token, keystore, &err), &err);
    KBT_OK(kb_key_create(token, &spec, &err), &err);
    kb_token_return(token);
    KBT_OK(kb_provider_static(&provider, keystore, &options, &err), &err);
    run_strings_to_sign(kbtest_source("tests/interop/ddbec-python.json"), provider);
    if (path)
        run_strings_to_sign(path, provider);
    kb_provider_release(provider);
    kb_keystore_close(keystore);
    token_fixture_free(&fixture);
}

int main(int argc, char **argv)
{
    static const struct kbtest tests[] = {
        {"material descriptions", test_descriptions},
        {"strings to sign", test_strings_to_sign},
        {"committed items, SoftHSM", test_committed_softhsm},
        {"committed items, NSS", test_committed_nss},
        {"Python's items under RSA, EC and KMS keys, SoftHSM", test_keys_softhsm},
        {"Python's items under RSA, EC and KMS keys, NSS", test_keys_nss},
        {"Java's items, SoftHSM", test_java_softhsm},
        {"Java's items, NSS", test_java_nss},
        {"shared items, SoftHSM", test_shared_softhsm},
        {NULL, NULL},
    };

    setenv("AWS_ACCESS_KEY_ID", "test", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "test", 1);
    setenv("AWS_CONFIG_FILE", "/dev/null", 1);
    setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null", 1);
    return kbtest_main("ddbec vectors", tests, argc, argv);
}
