/* SPDX-License-Identifier: Apache-2.0 */
#include "esdk_reading.h"

#include <stdio.h>
#include <string.h>

/* --- keyrings ------------------------------------------------------------------------ */

static void import_key(struct kb_token *token, json_t *manifest, const char *name, json_t *record)
{
    struct kb_buffer value = KB_BUFFER_INIT(16384);
    json_int_t bits = json_integer_value(json_object_get(record, "bits"));
    bool aes = manifest_is(record, "type", "aes");
    struct kb_key_spec spec = {.name = name,
                               .use = aes ? KB_KEY_ENVELOPE : KB_KEY_WRAP,
                               .type = !aes          ? KB_KEY_RSA
                                       : bits == 128 ? KB_KEY_AES_128
                                       : bits == 192 ? KB_KEY_AES_192
                                                     : KB_KEY_AES_256};
    struct kb_key_info info;

    if (kb_key_find(token, name, &info, NULL) == KB_ERR_NOT_FOUND)
        backend_import(token, &spec, manifest_key(&value, manifest, name));
    kb_buffer_free(&value);
}

void import_keys(enum token_kind kind, json_t *manifest)
{
    struct kb_token *token = backend_lease(kind);
    const char *name;
    json_t *record;

    CU_ASSERT_PTR_NOT_NULL_FATAL(token);
    json_object_foreach(json_object_get(manifest, "keys"), name, record)
        import_key(token, manifest, name, record);
    kb_token_return(token);
}

static enum kb_wrap_algorithm padding_of(json_t *record)
{
    static const struct {
        const char *name;
        enum kb_wrap_algorithm padding;
    } paddings[] = {
        {"pkcs1", KB_WRAP_PKCS1},
        {"sha1", KB_WRAP_OAEP_SHA1},
        {"sha256", KB_WRAP_OAEP_SHA256_MGF_SHA256},
        {"sha384", KB_WRAP_OAEP_SHA384_MGF_SHA384},
        {"sha512", KB_WRAP_OAEP_SHA512_MGF_SHA512},
    };

    if (manifest_is(record, "type", "raw-aes"))
        return KB_WRAP_AES;
    for (size_t i = 0; i < sizeof paddings / sizeof *paddings; i++)
        if (manifest_is(record, "padding", paddings[i].name))
            return paddings[i].padding;
    CU_FAIL_FATAL("unknown padding");
    return KB_WRAP_AES;
}

struct kb_keyring *raw_keyring(enum token_kind kind, json_t *record)
{
    struct kb_raw_keyring_options options = {
        .key = manifest_text(record, "key"),
        .key_namespace = kb_bytes_text(manifest_text(record, "namespace")),
        .key_name = kb_bytes_text(manifest_text(record, "name")),
        .padding = padding_of(record),
    };
    struct kb_keyring *keyring = NULL;
    struct kb_error err = {0};

    KBT_OK(kb_keyring_raw(&keyring, backend_keystore(kind), &options, &err), &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(keyring);
    return keyring;
}

enum { KEYRINGS_MAX = 16 };

struct kb_keyring *keyring_of(enum token_kind kind, json_t *test)
{
    json_t *records = json_object_get(test, "keyrings"), *record;
    struct kb_keyring *children[KEYRINGS_MAX], *multi = NULL;
    struct kb_error err = {0};
    size_t at, n = json_array_size(records);

    CU_ASSERT_TRUE_FATAL(n > 0 && n <= KEYRINGS_MAX);
    json_array_foreach(records, at, record)
        children[at] = raw_keyring(kind, record);
    if (n == 1)
        return children[0];
    KBT_OK(kb_keyring_multi(&multi, children, n, &err), &err);
    for (at = 0; at < n; at++)
        kb_keyring_release(children[at]);
    CU_ASSERT_PTR_NOT_NULL_FATAL(multi);
    return multi;
}

/* --- reading -------------------------------------------------------------------------- */

void take_manner(struct manner *manner, json_t *test)
{
    json_t *max = json_object_get(test, "max_edks"), *value;
    size_t at, n = 0;
    const char *name;

    memset(manner, 0, sizeof *manner);
    manner->options.policy = manifest_is(test, "policy", "REQUIRE_ENCRYPT_REQUIRE_DECRYPT")
                                 ? KB_COMMITMENT_REQUIRE_REQUIRE
                                 : KB_COMMITMENT_REQUIRE_ALLOW;
    CU_ASSERT_TRUE(manner->options.policy == KB_COMMITMENT_REQUIRE_REQUIRE ||
                   !manifest_text(test, "policy"));
    manner->options.max_edks = max ? (unsigned)json_integer_value(max) : KB_ESDK_EDKS_MAX;
    manner->decrypt.unsigned_only = json_is_true(json_object_get(test, "unsigned_only"));
    json_object_foreach(json_object_get(test, "reproduced_encryption_context"), name, value)
        manner->reproduced[n++] = (struct kb_pair){
            kb_bytes_text(name), kb_bytes_text(json_string_value(value))};
    manner->decrypt.reproduced = manner->reproduced;
    manner->decrypt.reproduced_count = n;
    json_array_foreach(json_object_get(test, "required_encryption_context_keys"), at, value)
        manner->required[at].name = kb_bytes_text(json_string_value(value));
    manner->decrypt.required = manner->required;
    manner->decrypt.required_count = at;
}

void reading_begin(struct reading *reading, struct kb_keyring *keyring,
                          const struct manner *manner)
{
    struct kb_error err = {0};

    *reading = (struct reading){.manner = manner, .out = KB_BUFFER_INIT(1 << 24)};
    KBT_OK(kb_esdk_new(&reading->esdk, keyring, &manner->options, &err), &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(reading->esdk);
}

void reading_end(struct reading *reading)
{
    kb_esdk_release(reading->esdk);
    kb_buffer_free(&reading->out);
}

static enum kb_status collect(void *ctx, struct kb_bytes bytes, struct kb_error *err)
{
    kb_buffer_put_bytes(ctx, bytes);
    return kb_buffer_check(ctx, err);
}

struct kb_esdk_message *read_in(struct reading *reading, struct kb_bytes message, size_t chunk)
{
    const struct kb_esdk_sink sink = {collect, &reading->out};
    struct kb_esdk_message *reader = NULL;
    size_t done = 0;

    kb_buffer_reset(&reading->out);
    kb_error_clear(&reading->err);
    reading->status =
        kb_esdk_decrypt(&reader, reading->esdk, &reading->manner->decrypt, &reading->err);
    do {
        size_t size = message.size - done < chunk ? message.size - done : chunk;
        struct kb_bytes part = {message.data + done, size};

        done += size;
        if (reading->status == KB_OK)
            reading->status =
                kb_esdk_push(reader, part, done == message.size, &sink, &reading->err);
    } while (reading->status == KB_OK && done < message.size);
    return reader;
}

void read_all(struct reading *reading, struct kb_bytes message, size_t chunk)
{
    kb_esdk_free(read_in(reading, message, chunk));
}

bool is_refusal(enum kb_status status)
{
    return status == KB_ERR_AUTH || status == KB_ERR_INPUT || status == KB_ERR_DENIED;
}

bool is_start_of(struct kb_bytes part, struct kb_bytes whole)
{
    return part.size <= whole.size &&
           (part.size == 0 || memcmp(part.data, whole.data, part.size) == 0);
}

void complain(json_t *test, const struct reading *reading, const char *what)
{
    fprintf(stderr, "%s: %s: %s %s, %zu bytes came out\n", manifest_text(test, "id"), what,
            kb_status_name(reading->status), reading->err.text, reading->out.size);
    CU_FAIL("see above");
}
