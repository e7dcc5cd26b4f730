/* SPDX-License-Identifier: Apache-2.0 */
#include "esdk_manifest.h"

#include "base/text.h"
#include "crypto/crypto.h"
#include "kbtest.h"

#include <keybridge/file.h>

#include <stdio.h>
#include <string.h>

static struct kb_bytes read_file(struct kb_buffer *out, const char *name)
{
    char path[256];
    struct kb_error err = {0};
    const char *found;

    kb_buffer_reset(out);
    snprintf(path, sizeof path, "esdk/%s", name ? name : "no such file");
    found = kbtest_vectors(path);
    CU_ASSERT_PTR_NOT_NULL_FATAL(found);
    KBT_OK(kb_file_read(out, found, &err), &err);
    return kb_buffer_view(out);
}

json_t *manifest_load_file(const char *path)
{
    struct kb_buffer text = KB_BUFFER_INIT(16 << 20);
    json_error_t error;
    json_t *loaded;

    KBT_OK(kb_file_read(&text, path, NULL), NULL);
    loaded = json_loadb((const char *)text.data, text.size, 0, &error);
    kb_buffer_free(&text);
    if (!loaded)
        fprintf(stderr, "%s: %s\n", path, error.text);
    CU_ASSERT_PTR_NOT_NULL_FATAL(loaded);
    return loaded;
}

json_t *manifest_load(void)
{
    const char *path = kbtest_vectors("esdk/manifest.json");

    return path ? manifest_load_file(path) : NULL;
}

static struct kb_bytes from_base64(struct kb_buffer *out, const char *text)
{
    kb_buffer_reset(out);
    CU_ASSERT_TRUE(kb_base64_parse(out, kb_bytes_text(text)));
    return kb_buffer_view(out);
}

const char *manifest_text(json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

bool manifest_is(json_t *object, const char *name, const char *text)
{
    const char *value = manifest_text(object, name);

    return value && strcmp(value, text) == 0;
}

json_t *manifest_test(json_t *manifest, const char *id)
{
    json_t *test;
    size_t at;

    json_array_foreach(json_object_get(manifest, "tests"), at, test)
        if (manifest_is(test, "id", id))
            return test;
    fprintf(stderr, "no test %s in the vectors\n", id);
    CU_FAIL_FATAL("no such test");
    return NULL;
}

struct kb_bytes manifest_message(struct kb_buffer *out, json_t *test)
{
    const char *text = manifest_text(test, "message");

    return text ? from_base64(out, text) : read_file(out, manifest_text(test, "file"));
}

struct kb_bytes manifest_hex(struct kb_buffer *out, json_t *object, const char *name)
{
    kb_buffer_reset(out);
    CU_ASSERT_TRUE(kb_hex_parse(out, kb_bytes_text(manifest_text(object, name)), false));
    return kb_buffer_view(out);
}

struct kb_bytes manifest_key(struct kb_buffer *out, json_t *manifest, const char *name)
{
    json_t *key = json_object_get(json_object_get(manifest, "keys"), name);

    CU_ASSERT_PTR_NOT_NULL_FATAL(key);
    if (manifest_is(key, "type", "aes"))
        return manifest_hex(out, key, "hex");
    return manifest_text(key, "private_der")
               ? from_base64(out, manifest_text(key, "private_der"))
               : read_file(out, manifest_text(key, "private_der_file"));
}

bool manifest_is_plaintext(json_t *test, struct kb_bytes bytes)
{
    char digest[2 * KB_SHA256_SIZE + 1];

    return kb_crypto_sha256_hex(digest, bytes, NULL) == KB_OK &&
           manifest_is(test, "plaintext_sha256", digest) &&
           bytes.size == (size_t)json_integer_value(json_object_get(test, "plaintext_len"));
}
