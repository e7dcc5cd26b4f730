/* SPDX-License-Identifier: Apache-2.0
 *
 * Messages that the AWS Encryption SDKs for Python and JavaScript wrote, read
 * with their keys in a token: those committed with their generator
 * (tests/interop/generate_esdk.py). Each is read by each of its recipients, and
 * altered in many places.
 */
#include "esdk_reading.h"

#include <stdio.h>
#include <string.h>

enum {
    MESSAGES = 257,
    ALTERED = 16, /* places in a message, its last byte among them */
};

static json_t *manifest;

static void import_all(enum token_kind kind)
{
    if (!manifest)
        manifest = manifest_load_file(kbtest_source("tests/interop/esdk-peers.json"));
    import_keys(kind, manifest);
}

static json_int_t number_of(json_t *test, const char *name)
{
    return json_integer_value(json_object_get(test, name));
}

/* plaintext() of tests/interop/esdk.py. */
static bool is_plaintext(json_t *test, struct kb_bytes bytes)
{
    bool same = bytes.size == (size_t)number_of(test, "size");

    for (size_t i = 0; same && i < bytes.size; i++)
        same = bytes.data[i] == (uint8_t)(i * 131 + (i >> 8) * 17 + (i >> 16));
    return same;
}

static bool same_context(json_t *wanted, const struct kb_esdk_info *info)
{
    size_t found = 0;

    for (size_t i = 0; i < info->context_count; i++) {
        const struct kb_pair *pair = &info->context[i];
        const char *value = json_string_value(
            json_object_getn(wanted, (const char *)pair->name.data, pair->name.size));

        if (value && kb_bytes_equal(pair->value, kb_bytes_text(value)))
            found++;
        else if (!info->is_signed ||
                 !kb_bytes_equal(pair->name, kb_bytes_text("aws-crypto-public-key")))
            return false;
    }
    return found == json_object_size(wanted) && info->context_count == found + info->is_signed;
}

static bool same_header(json_t *test, const struct kb_esdk_info *info)
{
    uint16_t suite;

    return kb_esdk_suite_parse(&suite, manifest_text(test, "suite")) && info->suite == suite &&
           info->frame_length == (uint32_t)number_of(test, "frame_length") &&
           info->edk_count == json_array_size(json_object_get(test, "keyrings")) &&
           same_context(json_object_get(test, "context"), info);
}

static void check(json_t *test, struct reading *reading, struct kb_bytes message, size_t chunk)
{
    struct kb_esdk_message *reader = read_in(reading, message, chunk);

    if (manifest_is(test, "expect", "fail")) {
        if (reading->status != KB_ERR_AUTH || reading->out.size)
            complain(test, reading, "not refused");
    } else if (reading->status != KB_OK || !kb_esdk_done(reader) ||
               !is_plaintext(test, kb_buffer_view(&reading->out))) {
        complain(test, reading, "not read");
    } else if (!same_header(test, kb_esdk_message_info(reader))) {
        complain(test, reading, "another header");
    }
    kb_esdk_free(reader);
}

static void must_fail(json_t *test, struct reading *reading, struct kb_bytes message,
                      const char *what)
{
    read_all(reading, message, SIZE_MAX);
    if (!is_refusal(reading->status))
        complain(test, reading, what);
}

static void alter(json_t *test, struct reading *reading, struct kb_buffer *message)
{
    size_t size = message->size;

    for (size_t i = 1; i <= ALTERED; i++) {
        size_t at = size * i / ALTERED - 1;

        message->data[at] ^= 1;
        must_fail(test, reading, kb_buffer_view(message), "a bit flipped");
        message->data[at] ^= 1;
        must_fail(test, reading, (struct kb_bytes){message->data, at}, "cut");
    }
    kb_buffer_put_u8(message, 0);
    must_fail(test, reading, kb_buffer_view(message), "a byte more");
    message->size--;
}

/* What the writer left out must be known. */
static void withhold(json_t *test, struct kb_keyring *keyring, struct manner *manner,
                     struct kb_bytes message)
{
    struct reading reading;

    if (manner->decrypt.reproduced_count == 0)
        return;
    manner->decrypt.reproduced_count--;
    reading_begin(&reading, keyring, manner);
    must_fail(test, &reading, message, "a pair not reproduced");
    reading_end(&reading);
}

static void run(enum token_kind kind, json_t *test)
{
    struct kb_buffer message = KB_BUFFER_INIT(1 << 20);
    json_t *records = json_object_get(test, "keyrings"), *record;
    struct kb_keyring *keyring;
    struct reading reading;
    struct manner manner;
    size_t at;

    manifest_message(&message, test);
    take_manner(&manner, test);
    json_array_foreach(records, at, record)
    {
        keyring = raw_keyring(kind, record);
        reading_begin(&reading, keyring, &manner);
        check(test, &reading, kb_buffer_view(&message), SIZE_MAX);
        reading_end(&reading);
        kb_keyring_release(keyring);
    }
    keyring = keyring_of(kind, test);
    reading_begin(&reading, keyring, &manner);
    check(test, &reading, kb_buffer_view(&message), 1);
    if (kind == TOKEN_SOFTHSM) /* the token sees no difference, or says so in the same way */
        alter(test, &reading, &message);
    reading_end(&reading);
    withhold(test, keyring, &manner, kb_buffer_view(&message));
    kb_keyring_release(keyring);
    kb_buffer_free(&message);
}

static void committed(enum token_kind kind)
{
    unsigned count = 0;
    json_t *test;
    size_t at;

    if (!token_module(kind)) /* said loudly */
        return;
    import_all(kind);
    json_array_foreach(json_object_get(manifest, "tests"), at, test)
    {
        run(kind, test);
        count++;
    }
    printf("\n    %s: %u messages ", token_kind_name(kind), count);
    CU_ASSERT_TRUE(count >= MESSAGES);
}
DEFINE_BOTH(committed)

/* Keys of other bytes under the names of the right ones. */
static void wrong_keys(void)
{
    struct kb_buffer message = KB_BUFFER_INIT(1 << 20);
    unsigned count = 0;
    json_t *test;
    size_t at;

    if (!token_module(TOKEN_SOFTHSM))
        return;
    import_all(TOKEN_SOFTHSM);
    json_array_foreach(json_object_get(manifest, "tests"), at, test)
    {
        json_t *record = json_deep_copy(json_array_get(json_object_get(test, "keyrings"), 0));
        struct kb_keyring *keyring;
        struct reading reading;
        struct manner manner;
        char other[32];

        if (!manifest_is(test, "class", "suite")) {
            json_decref(record);
            continue;
        }
        snprintf(other, sizeof other, "other%s", manifest_text(record, "key") + strlen("aes"));
        json_object_set_new(record, "key", json_string(other));
        take_manner(&manner, test);
        keyring = raw_keyring(TOKEN_SOFTHSM, record);
        reading_begin(&reading, keyring, &manner);
        read_all(&reading, manifest_message(&message, test), SIZE_MAX);
        if (reading.status != KB_ERR_AUTH || reading.out.size)
            complain(test, &reading, "read with another key");
        reading_end(&reading);
        kb_keyring_release(keyring);
        json_decref(record);
        count++;
    }
    CU_ASSERT_EQUAL(count, 66);
    kb_buffer_free(&message);
}

int main(int argc, char **argv)
{
    static const struct kbtest tests[] = {
        BOTH(committed),
        {"other keys", wrong_keys},
        {NULL, NULL},
    };
    int status = kbtest_main("esdk peers", tests, argc, argv);

    json_decref(manifest);
    backends_close();
    return status;
}
