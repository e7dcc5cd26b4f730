/* SPDX-License-Identifier: Apache-2.0
 *
 * Messages of the AWS Encryption SDKs, and of attackers, read with their keys
 * in a token: the shared vectors (esdk-decrypt, esdk-static-dek), and messages
 * with every bit flipped and cut at every length.
 */
#include "esdk/spec.h"
#include "esdk_reading.h"
#include "keyring/keyring.h"

#include <keybridge/esdk.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *manifest;

static bool have_manifest(void)
{
    if (!manifest)
        manifest = manifest_load();
    return manifest != NULL;
}

/* What a forged length asks for that no tag was seen of yet. */
static bool is_too_long(const struct reading *reading)
{
    return reading->status == KB_ERR_DENIED && strstr(reading->err.text, "kept back");
}

/* --- a data key that is remembered --------------------------------------------------------- */

struct remembering {
    struct kb_keyring base;
    struct kb_keyring *inner;
    uint8_t data_key[KB_TOKEN_DATA_KEY_MAX]; /* the last one that was opened */
    size_t size;
};

static enum kb_status remember(struct kb_keyring *keyring, struct kb_unwrap_job *jobs, size_t n,
                               struct kb_error *err)
{
    struct remembering *remembering = (struct remembering *)keyring;
    enum kb_status status = kb_keyring_unwrap(remembering->inner, jobs, n, err);

    for (size_t i = 0; i < n; i++)
        if (jobs[i].opened) {
            remembering->size = jobs[i].key_size;
            memcpy(remembering->data_key, jobs[i].data_key, remembering->size);
        }
    return status;
}

static const struct kb_keyring_type remembering_type = {NULL, remember, NULL};

/* A message that is read, with its data key as a keyring. Both are the
 * caller's. */
static struct kb_keyring *learn(struct kb_keyring *inner, const struct manner *manner,
                                struct kb_bytes message, struct kb_buffer *plain)
{
    struct remembering remembering = {.base.type = &remembering_type, .inner = inner};
    struct kb_keyring *learned = NULL;
    struct kb_error err = {0};
    struct reading reading;

    atomic_init(&remembering.base.references, 2); /* nobody frees it */
    reading_begin(&reading, &remembering.base, manner);
    read_all(&reading, message, SIZE_MAX);
    KBT_OK(reading.status, &reading.err);
    kb_buffer_put_bytes(plain, kb_buffer_view(&reading.out));
    reading_end(&reading);
    KBT_OK(kb_keyring_data_key(&learned,
                               (struct kb_bytes){remembering.data_key, remembering.size}, &err),
           &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(learned);
    return learned;
}

/* --- one vector --------------------------------------------------------------------------- */

static bool same_context(json_t *wanted, const struct kb_esdk_info *info)
{
    const char *name;
    json_t *value;
    size_t found = 0;

    json_object_foreach(wanted, name, value)
        for (size_t i = 0; i < info->context_count; i++)
            found += kb_bytes_equal(info->context[i].name, kb_bytes_text(name)) &&
                     kb_bytes_equal(info->context[i].value,
                                    kb_bytes_text(json_string_value(value)));
    return found == info->context_count && found == json_object_size(wanted);
}

static json_int_t number_of(json_t *test, const char *name)
{
    return json_integer_value(json_object_get(test, name));
}

static bool same_header(json_t *test, const struct kb_esdk_info *info)
{
    json_t *context = json_object_get(test, "header_encryption_context");
    char suite[8];

    if (!info)
        return false;
    snprintf(suite, sizeof suite, "%04x", info->suite);
    return manifest_is(test, "suite", suite) &&
           info->version == (unsigned)number_of(test, "message_version") &&
           info->frame_length == (uint32_t)number_of(test, "frame_length") &&
           info->edk_count == (size_t)number_of(test, "edk_count") &&
           /* One of 60 KB is not in the manifest. */
           (!json_is_object(context) || same_context(context, info));
}

static void check_ok(json_t *test, struct reading *reading, struct kb_bytes message)
{
    struct kb_esdk_message *reader = read_in(reading, message, SIZE_MAX);

    if (reading->status != KB_OK || !kb_esdk_done(reader) ||
        !manifest_is_plaintext(test, kb_buffer_view(&reading->out)))
        complain(test, reading, "not read");
    else if (!same_header(test, kb_esdk_message_info(reader)))
        complain(test, reading, "another header");
    kb_esdk_free(reader);
}

/* Only these have a header that verifies, and so may give out frames in front
 * of what is wrong: the regular ones that they have in common with one other
 * message, `frames`, unless what is wrong begins behind those. */
static bool may_come_out(json_t *test, struct kb_bytes out, struct kb_bytes frames)
{
    if (manifest_is(test, "class", "neg-frames"))
        return is_start_of(out, frames) || is_start_of(frames, out);
    if (manifest_is(test, "class", "neg-structure") || manifest_is(test, "class", "neg-edk") ||
        manifest_is(test, "class", "neg-signature"))
        return is_start_of(out, frames);
    return out.size == 0;
}

static void check_fail(json_t *test, struct reading *reading, struct kb_bytes message,
                       struct kb_bytes frames)
{
    static const size_t chunks[] = {SIZE_MAX, 1};

    for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++) {
        struct kb_esdk_message *reader = read_in(reading, message, chunks[i]);

        if (!is_refusal(reading->status) || kb_esdk_done(reader))
            complain(test, reading, "not refused");
        else if (!may_come_out(test, kb_buffer_view(&reading->out), frames))
            complain(test, reading, "something wrong came out");
        kb_esdk_free(reader);
    }
}

static void run_decrypt(enum token_kind kind, json_t *test, struct kb_bytes frames)
{
    struct kb_buffer bytes = KB_BUFFER_INIT(1 << 20), plain = KB_BUFFER_INIT(1 << 20);
    struct kb_bytes message = manifest_message(&bytes, test);
    struct kb_keyring *keyring = keyring_of(kind, test), *learned;
    struct reading reading;
    struct manner manner;

    take_manner(&manner, test);
    reading_begin(&reading, keyring, &manner);
    if (manifest_is(test, "expect", "ok")) {
        check_ok(test, &reading, message);
        reading_end(&reading);
        learned = learn(keyring, &manner, message, &plain);
        reading_begin(&reading, learned, &manner);
        read_all(&reading, message, 1);
        if (reading.status != KB_OK || !manifest_is_plaintext(test, kb_buffer_view(&reading.out)))
            complain(test, &reading, "not read byte by byte");
        kb_keyring_release(learned);
    } else {
        check_fail(test, &reading, message, frames);
    }
    reading_end(&reading);
    kb_keyring_release(keyring);
    kb_buffer_free(&bytes);
    kb_buffer_free(&plain);
}

static void decrypt_all(enum token_kind kind)
{
    struct kb_buffer crafted = KB_BUFFER_INIT(1 << 20), bytes = KB_BUFFER_INIT(1 << 20);
    unsigned run = 0, fail = 0;
    struct kb_keyring *keyring;
    struct manner manner;
    json_t *test;
    size_t at;

    if (!have_manifest() || !token_module(kind)) /* said loudly */
        return;
    import_keys(kind, manifest);
    test = manifest_test(manifest, "craft-0014-random-ivs");
    take_manner(&manner, test);
    keyring = keyring_of(kind, test);
    kb_keyring_release(learn(keyring, &manner, manifest_message(&bytes, test), &crafted));
    kb_keyring_release(keyring);
    CU_ASSERT_EQUAL_FATAL(crafted.size, 3 * 64 + 8);
    json_array_foreach(json_object_get(manifest, "tests"), at, test)
    {
        if (!manifest_is(test, "kind", "esdk-decrypt"))
            continue;
        run_decrypt(kind, test, (struct kb_bytes){crafted.data, 3 * 64});
        fail += manifest_is(test, "expect", "fail");
        run++;
    }
    printf("\n    %s: %u messages read, %u of them refused ", token_kind_name(kind), run, fail);
    CU_ASSERT_TRUE(run >= MANIFEST_DECRYPT && fail >= MANIFEST_DECRYPT_FAIL);
    kb_buffer_free(&crafted);
    kb_buffer_free(&bytes);
}
DEFINE_BOTH(decrypt_all)

/* --- data keys given -------------------------------------------------------------------------- */

static void check_derivation(json_t *test, struct kb_bytes data_key)
{
    struct kb_buffer id = KB_BUFFER_INIT(64), commitment = KB_BUFFER_INIT(64),
                     key = KB_BUFFER_INIT(64);
    uint8_t content_key[32], commit_key[ESDK_COMMIT_KEY];
    struct kb_bytes wanted = manifest_hex(&commitment, test, "commitment_hex");
    const struct esdk_suite *suite;
    struct kb_error err = {0};
    uint16_t number;

    CU_ASSERT_TRUE(kb_esdk_suite_parse(&number, manifest_text(test, "suite")));
    suite = esdk_suite_find(number);
    CU_ASSERT_PTR_NOT_NULL_FATAL(suite);
    KBT_OK(esdk_derive(suite, data_key, manifest_hex(&id, test, "message_id_hex"), content_key,
                       commit_key, &err),
           &err);
    if (manifest_is(test, "expect", "ok")) {
        KBT_BYTES(((struct kb_bytes){commit_key, sizeof commit_key}), wanted);
        KBT_BYTES(((struct kb_bytes){content_key, suite->key_size}),
                  manifest_hex(&key, test, "content_key_hex"));
    }
    kb_buffer_free(&id);
    kb_buffer_free(&commitment);
    kb_buffer_free(&key);
}

static void run_static(json_t *test)
{
    struct kb_buffer bytes = KB_BUFFER_INIT(1 << 20), key = KB_BUFFER_INIT(64);
    struct kb_bytes data_key = manifest_hex(&key, test, "data_key_hex");
    struct kb_bytes message = manifest_message(&bytes, test);
    struct kb_keyring *keyring = NULL;
    struct kb_error err = {0};
    struct reading reading;
    struct manner manner;

    take_manner(&manner, test);
    check_derivation(test, data_key);
    KBT_OK(kb_keyring_data_key(&keyring, data_key, &err), &err);
    reading_begin(&reading, keyring, &manner);
    if (manifest_is(test, "expect", "ok"))
        check_ok(test, &reading, message);
    else
        check_fail(test, &reading, message, (struct kb_bytes){NULL, 0});
    reading_end(&reading);
    kb_keyring_release(keyring);
    kb_buffer_free(&bytes);
    kb_buffer_free(&key);
}

static void static_all(void)
{
    unsigned run = 0;
    json_t *test;
    size_t at;

    if (!have_manifest())
        return;
    json_array_foreach(json_object_get(manifest, "tests"), at, test)
    {
        if (!manifest_is(test, "kind", "esdk-static-dek"))
            continue;
        run_static(test);
        run++;
    }
    printf("\n    %u messages read ", run);
    CU_ASSERT_TRUE(run >= MANIFEST_STATIC);
}

/* --- every bit, every length ------------------------------------------------------------------ */

struct sweep {
    json_t *test;
    struct reading reading;
    struct kb_buffer message, plain, altered;
    size_t header_size;
    uint32_t frame_length;
    unsigned count;
};

/* The most that may come out when the first thing wrong is at `at`: frames that
 * are whole in front of it, but not the last one, which no byte behind it makes
 * right. */
static size_t allowed(const struct sweep *sweep, size_t at)
{
    size_t frame = sweep->frame_length;
    size_t before;

    if (frame == 0 || at < sweep->header_size)
        return 0;
    before = (at - sweep->header_size) / (frame + ESDK_FRAME_OVERHEAD) * frame;
    return before < sweep->plain.size / frame * frame ? before : sweep->plain.size / frame * frame;
}

static void must_fail(struct sweep *sweep, struct kb_bytes message, size_t at, size_t chunk)
{
    struct reading *reading = &sweep->reading;

    read_all(reading, message, chunk);
    sweep->count++;
    if ((is_refusal(reading->status) || (sweep->frame_length == 0 && is_too_long(reading))) &&
        reading->out.size <= allowed(sweep, at) &&
        is_start_of(kb_buffer_view(&reading->out), kb_buffer_view(&sweep->plain)))
        return;
    fprintf(stderr, "%zu bytes, wrong at %zu\n", message.size, at);
    complain(sweep->test, reading, "altered");
}

/* Every `step`th bit in front of that byte. */
static void flip_bits(struct sweep *sweep, size_t end, size_t step)
{
    kb_buffer_reset(&sweep->altered);
    kb_buffer_put_bytes(&sweep->altered, kb_buffer_view(&sweep->message));
    for (size_t bit = 0; bit < 8 * end; bit += step) {
        sweep->altered.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        must_fail(sweep, kb_buffer_view(&sweep->altered), bit / 8, SIZE_MAX);
        sweep->altered.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

static void cut(struct sweep *sweep, size_t chunk)
{
    for (size_t size = 0; size < sweep->message.size; size++)
        must_fail(sweep, (struct kb_bytes){sweep->message.data, size}, size, chunk);
}

/* Reads the message as it is, and so that its data key needs no token. */
static void sweep_begin(struct sweep *sweep, json_t *test, struct manner *manner)
{
    struct kb_keyring *keyring = keyring_of(TOKEN_SOFTHSM, test), *learned;
    struct kb_esdk_message *reader;

    *sweep = (struct sweep){.test = test,
                            .message = KB_BUFFER_INIT(1 << 20),
                            .plain = KB_BUFFER_INIT(1 << 20),
                            .altered = KB_BUFFER_INIT(1 << 20)};
    take_manner(manner, test);
    manifest_message(&sweep->message, test);
    learned = learn(keyring, manner, kb_buffer_view(&sweep->message), &sweep->plain);
    reading_begin(&sweep->reading, learned, manner);
    reader = read_in(&sweep->reading, kb_buffer_view(&sweep->message), SIZE_MAX);
    KBT_OK(sweep->reading.status, &sweep->reading.err);
    sweep->header_size = kb_esdk_message_info(reader)->header_size;
    sweep->frame_length = kb_esdk_message_info(reader)->frame_length;
    kb_esdk_free(reader);
    kb_keyring_release(learned);
    kb_keyring_release(keyring);
}

/* The same message, its data key out of the token each time. */
static void sweep_with_token(struct sweep *sweep)
{
    const struct manner *manner = sweep->reading.manner;
    struct kb_keyring *keyring = keyring_of(TOKEN_SOFTHSM, sweep->test);

    reading_end(&sweep->reading);
    reading_begin(&sweep->reading, keyring, manner);
    kb_keyring_release(keyring);
}

static void sweep_end(struct sweep *sweep)
{
    reading_end(&sweep->reading);
    kb_buffer_free(&sweep->message);
    kb_buffer_free(&sweep->plain);
    kb_buffer_free(&sweep->altered);
}

/* What no altered message may do ("no plaintext byte after the last
 * authenticated frame") is looked at in every sweep; where it is listed alone,
 * the message comes byte by byte. */
static unsigned run_property(json_t *property)
{
    json_t *test = manifest_test(manifest, manifest_text(property, "base"));
    bool flips = manifest_is(property, "rule", "every single-bit flip of the message must fail");
    bool cuts = manifest_is(property, "rule", "every proper prefix must fail");
    struct manner manner;
    struct sweep sweep;
    size_t size;

    sweep_begin(&sweep, test, &manner);
    size = sweep.message.size;
    if (!flips && !cuts)
        CU_ASSERT_TRUE(manifest_is(property, "rule",
                                   "no plaintext byte after the last authenticated frame may be "
                                   "written"));
    if (flips) {
        flip_bits(&sweep, size, 1);
        CU_ASSERT_EQUAL(sweep.count, 8 * size);
        sweep_with_token(&sweep);
        flip_bits(&sweep, sweep.header_size, 1);
    } else {
        cut(&sweep, cuts ? SIZE_MAX : 1);
        CU_ASSERT_EQUAL(sweep.count, size);
    }
    sweep_end(&sweep);
    return sweep.count;
}

static void properties(void)
{
    json_t *listed, *property;
    unsigned run = 0, messages = 0;
    size_t at;

    if (!have_manifest() || !token_module(TOKEN_SOFTHSM))
        return;
    import_keys(TOKEN_SOFTHSM, manifest);
    listed = json_object_get(manifest, "properties");
    json_array_foreach(listed, at, property)
    {
        if (!manifest_is(property, "kind", "esdk-property"))
            continue;
        messages += run_property(property);
        run++;
    }
    printf("\n    %u properties, %u altered messages refused ", run, messages);
    CU_ASSERT_TRUE(run >= MANIFEST_PROPERTIES);
}

/* --- the shortest message of each suite, altered ---------------------------------------------- */

/* Shorter, but not empty unless there is no other. */
static bool is_better(json_int_t length, json_int_t than)
{
    return than == 0 ? length > 0 : length > 0 && length < than;
}

static json_t *shortest(const char *suite, const char *content)
{
    json_t *test, *found = NULL;
    size_t at;

    json_array_foreach(json_object_get(manifest, "tests"), at, test)
    {
        if (!manifest_is(test, "kind", "esdk-decrypt") || !manifest_is(test, "expect", "ok") ||
            !manifest_is(test, "suite", suite) || !manifest_is(test, "content", content))
            continue;
        if (!found ||
            is_better(number_of(test, "plaintext_len"), number_of(found, "plaintext_len")))
            found = test;
    }
    CU_ASSERT_PTR_NOT_NULL_FATAL(found);
    return found;
}

static void suites_altered(void)
{
    static const char *const suites[] = {"0014", "0046", "0078", "0114", "0146", "0178",
                                         "0214", "0346", "0378", "0478", "0578"};
    static const char *const contents[] = {"framed", "unframed"};
    unsigned messages = 0;

    if (!have_manifest() || !token_module(TOKEN_SOFTHSM))
        return;
    import_keys(TOKEN_SOFTHSM, manifest);
    for (size_t i = 0; i < 2 * sizeof suites / sizeof *suites; i++) {
        struct manner manner;
        struct sweep sweep;

        sweep_begin(&sweep, shortest(suites[i / 2], contents[i % 2]), &manner);
        flip_bits(&sweep, sweep.message.size, 7); /* each byte, and each bit of some */
        cut(&sweep, 7);
        CU_ASSERT_TRUE(sweep.count > 2 * sweep.message.size);
        messages += sweep.count;
        sweep_end(&sweep);
    }
    printf("\n    %u altered messages refused ", messages);
}

int main(int argc, char **argv)
{
    static const struct kbtest tests[] = {
        BOTH(decrypt_all),
        {"data keys given", static_all},
        {"listed properties", properties},
        {"each suite's message altered", suites_altered},
        {NULL, NULL},
    };
    int status = kbtest_main("esdk vectors", tests, argc, argv);

    json_decref(manifest);
    backends_close();
    return status;
}
