/* SPDX-License-Identifier: Apache-2.0
 *
 * The headers of all messages of the shared vectors, read without keys: what
 * the manifest says of them, in whatever pieces they come.
 */
#include "crypto/signature.h"
#include "esdk/header.h"
#include "esdk_manifest.h"
#include "kbtest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Hands the reader the first bytes it asks for, `more` beyond them each time;
 * nothing when the message ends in its header. */
static struct kb_esdk_header *feed(struct kb_bytes message, size_t more, enum kb_status *status)
{
    struct kb_esdk_header *header;
    size_t size = 0, need = 0;

    do {
        uint8_t *exact;

        size = need + more < message.size ? need + more : message.size;
        exact = malloc(size ? size : 1);
        if (size)
            memcpy(exact, message.data, size);
        *status = kb_esdk_header_read(&header, (struct kb_bytes){exact, size}, 0, &need, NULL);
        free(exact);
        CU_ASSERT_FATAL(*status != KB_OK || header || need > size);
    } while (*status == KB_OK && !header && need <= message.size);
    return header;
}

static void check_context(const struct kb_esdk_info *info, json_t *context)
{
    const char *name;
    json_t *value;
    size_t pairs = json_object_size(context);

    json_object_foreach(context, name, value)
    {
        const struct kb_pair *pair =
            esdk_context_find(info->context, info->context_count, kb_bytes_text(name));

        CU_ASSERT_PTR_NOT_NULL_FATAL(pair);
        KBT_TEXT(pair->value, json_string_value(value));
    }
    if (info->is_signed && !json_object_get(context, ESDK_PUBLIC_KEY_NAME))
        pairs++;
    CU_ASSERT_EQUAL(info->context_count, pairs);
}

/* True when the message has no signature, or one of the usual length: the
 * JavaScript SDK and early ones do not see to that. */
static bool is_usual(const struct kb_esdk_header *header, struct kb_bytes message)
{
    size_t size = header->suite->is_signed ? kb_signature_size(header->suite->sign_hash) : 0;
    const uint8_t *at = message.data + message.size - size;

    return size == 0 || (size_t)(at[-2] << 8 | at[-1]) == size;
}

static void check_info(const struct kb_esdk_header *header, struct kb_bytes message, json_t *test)
{
    const struct kb_esdk_info *info = kb_esdk_header_info(header);
    json_t *context = json_object_get(test, "header_encryption_context");
    uint16_t suite;
    uint64_t size;

    CU_ASSERT_TRUE(kb_esdk_suite_parse(&suite, manifest_text(test, "suite")));
    CU_ASSERT_EQUAL(info->suite, suite);
    CU_ASSERT_EQUAL((json_int_t)info->version,
                    json_integer_value(json_object_get(test, "message_version")));
    CU_ASSERT_EQUAL((json_int_t)info->frame_length,
                    json_integer_value(json_object_get(test, "frame_length")));
    CU_ASSERT_EQUAL(info->frame_length == 0, manifest_is(test, "content", "unframed"));
    CU_ASSERT_EQUAL((json_int_t)info->edk_count,
                    json_integer_value(json_object_get(test, "edk_count")));
    KBT_BYTES(header->body, ((struct kb_bytes){message.data, header->body.size}));
    for (size_t i = 1; i < info->context_count; i++)
        CU_ASSERT_TRUE(kb_bytes_compare(info->context[i - 1].name, info->context[i].name) < 0);
    if (json_is_object(context)) /* not where it is "(large)" */
        check_context(info, context);
    if (manifest_is(test, "expect", "ok") && is_usual(header, message)) {
        CU_ASSERT_TRUE(kb_esdk_plaintext_size(info, message.size, &size));
        CU_ASSERT_EQUAL((json_int_t)size,
                        json_integer_value(json_object_get(test, "plaintext_len")));
    }
}

/* What is wrong with a message that the header alone shows. */
static bool is_refused(json_t *test)
{
    const char *id = manifest_text(test, "id");
    size_t size = strlen(id);

    return !json_object_get(test, "message_version") ||
           (size > 10 && strcmp(id + size - 10, "-no-pubkey") == 0);
}

static void test_all(void)
{
    struct kb_buffer bytes = KB_BUFFER_INIT(64 << 20);
    json_t *manifest = manifest_load(), *test;
    unsigned count[3] = {0};
    size_t at;

    if (!manifest)
        return; /* which was said */
    json_array_foreach(json_object_get(manifest, "tests"), at, test)
    {
        struct kb_bytes message;

        if (strncmp(manifest_text(test, "kind"), "esdk-", 5) != 0)
            continue;
        message = manifest_message(&bytes, test);
        for (size_t more = 0; more < 70; more++) {
            enum kb_status status;
            struct kb_esdk_header *header = feed(message, more, &status);

            CU_ASSERT_EQUAL(status, is_refused(test) && message.size ? KB_ERR_INPUT : KB_OK);
            if (header)
                check_info(header, message, test);
            else
                CU_ASSERT_TRUE(manifest_is(test, "expect", "fail"));
            if (more == 0)
                count[header ? 0 : status == KB_OK ? 1 : 2]++;
            kb_esdk_header_free(header);
        }
    }
    printf("\n    %u headers, %u cut short, %u refused ", count[0], count[1], count[2]);
    CU_ASSERT_EQUAL(count[0] + count[1] + count[2], MANIFEST_DECRYPT + MANIFEST_STATIC);
    CU_ASSERT_EQUAL(count[2], 14 + 3);
    json_decref(manifest);
    kb_buffer_free(&bytes);
}

int main(int argc, char **argv)
{
    static const struct kbtest tests[] = {
        {"every message's header", test_all},
        {NULL, NULL},
    };

    return kbtest_main("esdk header vectors", tests, argc, argv);
}
