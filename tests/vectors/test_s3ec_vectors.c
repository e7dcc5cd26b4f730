/* SPDX-License-Identifier: Apache-2.0
 *
 * Objects of the S3 Encryption Clients for Java and Ruby, and of attackers,
 * read with their keys in a token: the shared vectors (s3ec-decrypt).
 */
#include "backends.h"
#include "esdk_manifest.h"

#include <keybridge/s3ec.h>

#include <stdio.h>
#include <string.h>

enum { VECTORS_OK = 37, VECTORS_FAIL = 59, PAIRS_MAX = 16, BODY_MAX = 1 << 20 };

static json_t *manifest;

static bool have_manifest(void)
{
    if (!manifest)
        manifest = manifest_load();
    return manifest != NULL;
}

/* --- keys -------------------------------------------------------------------------------- */

/* An AES key has one use in a token; objects know no such thing. */
static const struct {
    const char *suffix;
    enum kb_key_use use;
} uses[] = {{"", KB_KEY_ENVELOPE}, {"-legacy", KB_KEY_LEGACY}, {"-wrap", KB_KEY_WRAP}};

static void import_key(struct kb_token *token, const char *name, json_t *record)
{
    struct kb_buffer value = KB_BUFFER_INIT(16384);
    bool aes = manifest_is(record, "type", "aes");
    struct kb_bytes bytes = manifest_key(&value, manifest, name);
    char full[80];

    for (size_t i = 0; i < (aes ? 3 : 1); i++) {
        struct kb_key_spec spec = {.name = full,
                                   .use = aes ? uses[i].use : KB_KEY_WRAP,
                                   .type = !aes               ? KB_KEY_RSA
                                           : bytes.size == 16 ? KB_KEY_AES_128
                                           : bytes.size == 24 ? KB_KEY_AES_192
                                                              : KB_KEY_AES_256};
        struct kb_key_info info;

        snprintf(full, sizeof full, "%s%s", name, uses[i].suffix);
        if (kb_key_find(token, full, &info, NULL) == KB_ERR_NOT_FOUND)
            backend_import(token, &spec, bytes);
    }
    kb_buffer_free(&value);
}

static void import_keys(enum token_kind kind)
{
    struct kb_token *token = backend_lease(kind);
    const char *name;
    json_t *record;

    CU_ASSERT_PTR_NOT_NULL_FATAL(token);
    json_object_foreach(json_object_get(manifest, "keys"), name, record)
        if (strncmp(name, "s3-", 3) == 0 || strncmp(name, "rsa-", 4) == 0)
            import_key(token, name, record);
    kb_token_return(token);
}

/* --- one vector ------------------------------------------------------------------------------ */

struct given {
    struct kb_pair pairs[PAIRS_MAX];
    char numbers[PAIRS_MAX][24];
    struct kb_s3ec_header header;
    struct kb_buffer body, out;
    struct kb_error err;
    enum kb_status status;
};

static void take_header(struct given *given, json_t *test)
{
    const char *name, *file = manifest_text(test, "instruction_file");
    json_t *value;
    size_t n = 0;

    json_object_foreach(json_object_get(test, "metadata"), name, value) {
        CU_ASSERT_TRUE_FATAL(n < PAIRS_MAX);
        snprintf(given->numbers[n], sizeof given->numbers[n], "%lld",
                 (long long)json_integer_value(value));
        given->pairs[n].name = kb_bytes_text(name);
        given->pairs[n].value = kb_bytes_text(json_is_string(value) ? json_string_value(value)
                                                                    : given->numbers[n]);
        n++;
    }
    given->header = (struct kb_s3ec_header){.metadata = given->pairs, .metadata_count = n};
    if (file)
        given->header.instruction = kb_bytes_text(file);
}

static struct kb_s3ec *configure(enum token_kind kind, json_t *test, const char *suffix)
{
    char key[80];
    struct kb_s3ec_options options = {
        .key = key,
        .policy = manifest_is(test, "policy", "REQUIRE_ENCRYPT_REQUIRE_DECRYPT")
                      ? KB_COMMITMENT_REQUIRE_REQUIRE
                      : KB_COMMITMENT_REQUIRE_ALLOW,
        .legacy_wrapping = json_is_true(json_object_get(test, "legacy_wrapping")),
        .legacy_unauthenticated = json_is_true(json_object_get(test, "legacy_unauthenticated")),
    };
    struct kb_s3ec *s3ec = NULL;
    struct kb_error err = {0};

    snprintf(key, sizeof key, "%s%s", manifest_text(test, "key"), suffix);
    KBT_OK(kb_s3ec_new(&s3ec, backend_keystore(kind), &options, &err), &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s3ec);
    return s3ec;
}

static enum kb_status read_body(struct given *given, struct kb_s3ec_object *object,
                                json_t *range, size_t chunk)
{
    struct kb_bytes body = kb_buffer_view(&given->body);
    enum kb_status status = KB_OK;
    uint64_t from = 0, to = 0;

    if (range) {
        status = kb_s3ec_range(object, (uint64_t)json_integer_value(json_array_get(range, 0)),
                               (uint64_t)json_integer_value(json_array_get(range, 1)), &from, &to,
                               &given->err);
        if (status != KB_OK)
            return status;
        CU_ASSERT_TRUE_FATAL(from <= to && to < body.size);
        body = (struct kb_bytes){body.data + from, (size_t)(to - from + 1)};
    }
    for (size_t at = 0; status == KB_OK && at < body.size; at += chunk) {
        size_t size = body.size - at < chunk ? body.size - at : chunk;

        status = kb_s3ec_open_piece(object, &given->out, (struct kb_bytes){body.data + at, size},
                                    &given->err);
    }
    return status == KB_OK ? kb_s3ec_open_end(object, &given->out, &given->err) : status;
}

static void read_object(struct given *given, struct kb_s3ec *s3ec, json_t *test, size_t chunk)
{
    struct kb_s3ec_object *object = NULL;

    kb_buffer_reset(&given->out);
    kb_error_clear(&given->err);
    given->status =
        kb_s3ec_decrypt(&object, s3ec, &given->header, given->body.size, &given->err);
    if (given->status == KB_OK)
        given->status = read_body(given, object, json_object_get(test, "range"), chunk);
    kb_s3ec_object_free(object);
}

static void complain(json_t *test, const struct given *given, const char *what)
{
    fprintf(stderr, "%s: %s (%s)\n", manifest_text(test, "id"), what,
            given->status == KB_OK ? "read" : kb_error_text(&given->err));
    CU_FAIL("a vector is not as expected");
}

static bool is_refusal(enum kb_status status)
{
    return status == KB_ERR_AUTH || status == KB_ERR_INPUT || status == KB_ERR_DENIED ||
           status == KB_ERR_NOT_FOUND;
}

static bool is_legacy(json_t *test)
{
    json_t *metadata = json_object_get(test, "metadata");

    return manifest_is(test, "key", "s3-aes-256") &&
           (json_object_get(metadata, "x-amz-key") ||
            manifest_is(metadata, "x-amz-wrap-alg", "AESWrap"));
}

static void run_ok(enum token_kind kind, struct given *given, json_t *test)
{
    static const size_t chunks[] = {SIZE_MAX / 2, 1, 15, 16, 17};
    struct kb_s3ec *s3ec = configure(kind, test, is_legacy(test) ? "-legacy" : "");

    for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++) {
        read_object(given, s3ec, test, chunks[i]);
        if (given->status != KB_OK || !manifest_is_plaintext(test, kb_buffer_view(&given->out)))
            complain(test, given, "not read");
    }
    kb_s3ec_release(s3ec);
}

/* By whatever key it is called. */
static void run_fail(enum token_kind kind, struct given *given, json_t *test)
{
    bool rsa = strncmp(manifest_text(test, "key"), "rsa", 3) == 0;

    for (size_t i = 0; i < (rsa ? 1 : 3); i++) {
        struct kb_s3ec *s3ec = configure(kind, test, uses[i].suffix);

        read_object(given, s3ec, test, SIZE_MAX / 2);
        if (!is_refusal(given->status))
            complain(test, given, "not refused");
        kb_s3ec_release(s3ec);
    }
}

static void vectors(enum token_kind kind)
{
    unsigned good = 0, bad = 0;
    json_t *test;
    size_t at;

    if (!have_manifest() || !token_module(kind)) /* said loudly */
        return;
    import_keys(kind);
    json_array_foreach(json_object_get(manifest, "tests"), at, test) {
        struct given given = {.body = KB_BUFFER_INIT(BODY_MAX), .out = KB_BUFFER_INIT(BODY_MAX)};

        if (!manifest_is(test, "kind", "s3ec-decrypt"))
            continue;
        take_header(&given, test);
        (void)manifest_message(&given.body, test);
        if (manifest_is(test, "expect", "ok")) {
            run_ok(kind, &given, test);
            good++;
        } else {
            run_fail(kind, &given, test);
            bad++;
        }
        kb_buffer_free(&given.body);
        kb_buffer_free(&given.out);
    }
    CU_ASSERT_EQUAL(good, VECTORS_OK);
    CU_ASSERT_EQUAL(bad, VECTORS_FAIL);
}
DEFINE_BOTH(vectors)

/* AESWrap under a key of use wrap as well: the token knows that mechanism for both. */
static void aes_wrap_by_wrap_key(enum token_kind kind)
{
    struct given given = {.body = KB_BUFFER_INIT(BODY_MAX), .out = KB_BUFFER_INIT(BODY_MAX)};
    struct kb_s3ec *s3ec;
    json_t *test;

    if (!have_manifest() || !token_module(kind))
        return;
    import_keys(kind);
    test = manifest_test(manifest, "s3-v2-aeswrap-cbc-257");
    take_header(&given, test);
    (void)manifest_message(&given.body, test);
    s3ec = configure(kind, test, "-wrap");
    read_object(&given, s3ec, test, SIZE_MAX / 2);
    if (given.status != KB_OK || !manifest_is_plaintext(test, kb_buffer_view(&given.out)))
        complain(test, &given, "not read");
    kb_s3ec_release(s3ec);
    kb_buffer_free(&given.body);
    kb_buffer_free(&given.out);
}
DEFINE_BOTH(aes_wrap_by_wrap_key)

int main(int argc, char **argv)
{
    static const struct kbtest tests[] = {
        BOTH(vectors),
        BOTH(aes_wrap_by_wrap_key),
        {NULL, NULL},
    };
    int result = kbtest_main("s3ec_vectors", tests, argc, argv);

    backends_close();
    json_decref(manifest);
    return result;
}
