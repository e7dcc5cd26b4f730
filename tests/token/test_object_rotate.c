/* SPDX-License-Identifier: Apache-2.0
 *
 * Objects that a server copies in parts, when KB_MINISTACK_URL names one that can:
 * tests/servers/with.sh ministack -- ./test_object_rotate
 */
#include "kbtest.h"
#include "token_fixture.h"

#include <keybridge/object.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PART (UINT64_C(5) << 20)
enum { SIZE_MAX_TRIED = (12 << 20) + 7 };

struct trial {
    struct token_fixture fixture;
    struct kb_keystore *keystore;
    struct kb_vault *vault;
    struct kb_s3 *s3;
    struct kb_objects *objects;
    char bucket[64];
};

static uint8_t *data;

static bool open_trial(struct trial *trial)
{
    struct kb_s3_options options = {
        .aws = {.endpoint_url = getenv("KB_MINISTACK_URL"), .ca_file = getenv("KB_MINISTACK_CA")},
        .style = KB_S3_STYLE_PATH};
    struct kb_vault_options vault = {.create = true};
    struct kb_objects_options objects = {.vault = NULL};
    struct kb_error err = {0};
    char path[400];

    memset(trial, 0, sizeof *trial);
    snprintf(path, sizeof path, "%s/vault.db", kbtest_folder());
    snprintf(trial->bucket, sizeof trial->bucket, "rotate-%ld", (long)getpid());
    if (!token_fixture_open(&trial->fixture, TOKEN_SOFTHSM, &trial->keystore))
        return false;
    vault.path = path;
    KBT_OK(kb_vault_open(&trial->vault, trial->keystore, &vault, &err), &err);
    KBT_OK(kb_s3_open(&trial->s3, &options, &err), &err);
    KBT_OK(kb_s3_create_bucket(trial->s3, trial->bucket, false, &err), &err);
    objects.s3 = trial->s3;
    objects.vault = trial->vault;
    KBT_OK(kb_objects_open(&trial->objects, &objects, &err), &err);
    return err.status == KB_OK;
}

static void close_trial(struct trial *trial)
{
    kb_objects_close(trial->objects);
    kb_s3_close(trial->s3);
    kb_vault_close(trial->vault);
    kb_keystore_close(trial->keystore);
    token_fixture_free(&trial->fixture);
}

struct reading {
    size_t at, size;
};

static enum kb_status read_data(void *ctx, uint8_t *out, size_t room, size_t *size,
                                struct kb_error *err)
{
    struct reading *reading = ctx;

    (void)err;
    *size = room < reading->size - reading->at ? room : reading->size - reading->at;
    memcpy(out, data + reading->at, *size);
    reading->at += *size;
    return KB_OK;
}

static enum kb_status compare(void *ctx, struct kb_bytes bytes, struct kb_error *err)
{
    struct reading *reading = ctx;

    if (reading->at + bytes.size > reading->size ||
        memcmp(bytes.data, data + reading->at, bytes.size) != 0)
        return kb_error_set(err, KB_ERR_AUTH, "other bytes");
    reading->at += bytes.size;
    return KB_OK;
}

static void put(struct trial *trial, const struct kb_s3_name *name, size_t size)
{
    const struct kb_pair colour = {kb_bytes_text("colour"), kb_bytes_text("red")};
    struct kb_object_put options = {.encryption = KB_OBJECT_SSE_C};
    struct reading reading = {.size = size};
    const struct kb_s3_source source = {.read = read_data, .ctx = &reading, .size = size};
    struct kb_object_result result;
    struct kb_error err = {0};

    memset(&result, 0, sizeof result);
    options.upload.put.metadata = &colour;
    options.upload.put.metadata_count = 1;
    options.upload.put.tags = "team=blue%20green";
    options.upload.put.content_type = "text/x-page";
    KBT_OK(kb_object_put(trial->objects, name, &options, &source, &result, &err), &err);
    kb_object_result_free(&result);
}

static void check_kept(struct trial *trial, const struct kb_s3_name *name, size_t size)
{
    struct reading reading = {.size = size};
    const struct kb_object_get get = {.write = compare, .ctx = &reading, .scratch = -1};
    struct kb_buffer tags = KB_BUFFER_INIT(1024);
    struct kb_object_result result;
    struct kb_error err = {0};

    memset(&result, 0, sizeof result);
    KBT_OK(kb_object_get(trial->objects, name, &get, &result, &err), &err);
    CU_ASSERT_EQUAL(reading.at, size);
    CU_ASSERT_STRING_EQUAL(result.object.content_type, "text/x-page");
    KBT_TEXT(kb_s3_object_metadata(&result.object, "colour"), "red");
    KBT_OK(kb_s3_get_tags(trial->s3, name, &tags, &err), &err);
    KBT_TEXT(kb_buffer_view(&tags), "team=blue%20green");
    kb_buffer_free(&tags);
    kb_object_result_free(&result);
}

static void rotate(struct trial *trial, size_t size, unsigned parts)
{
    const struct kb_s3_name name = {.bucket = trial->bucket, .key = "page"};
    const struct kb_object_rotate asked = {.upload = {.single_max = PART, .part_size = PART}};
    struct kb_object_rotated out;
    struct kb_vault_key old = {.scope = NULL};
    struct kb_error err = {0};
    const char *dash;

    put(trial, &name, size);
    KBT_OK(kb_object_rotate(trial->objects, &name, &name, &asked, &out, &err), &err);
    CU_ASSERT_TRUE(out.by_server);
    CU_ASSERT_FALSE(out.passed_over);
    CU_ASSERT_PTR_NULL(out.lost);
    CU_ASSERT_TRUE(out.result.echoed && out.result.opens_with_key &&
                   out.result.closed_without_key && out.result.has_sha256);
    CU_ASSERT_EQUAL(out.result.size, size);
    CU_ASSERT_STRING_NOT_EQUAL(out.result.key_id, out.old_key_id);
    dash = strchr(out.result.object.etag, '-');
    CU_ASSERT_EQUAL(dash ? (unsigned)strtoul(dash + 1, NULL, 10) : 0, parts);
    KBT_OK(kb_vault_find_key(trial->vault, out.old_key_id, &old, &err), &err);
    CU_ASSERT_EQUAL(old.state, KB_VAULT_RETIRED);
    kb_vault_key_free(&old);
    kb_object_result_free(&out.result);
    check_kept(trial, &name, size);
}

static void test_parts(void)
{
    struct trial trial;

    if (open_trial(&trial)) {
        rotate(&trial, PART, 0);
        rotate(&trial, PART + 1, 2);
        rotate(&trial, 2 * PART, 2);
        rotate(&trial, SIZE_MAX_TRIED, 3);
    }
    close_trial(&trial);
}

static void test_nothing(void)
{
    printf("(no KB_MINISTACK_URL) ");
}

int main(int argc, char **argv)
{
    static const struct kbtest tests[] = {{"copies in parts", test_parts}, {NULL, NULL}};
    static const struct kbtest none[] = {{"not asked for", test_nothing}, {NULL, NULL}};
    uint32_t state = 1;
    int result;

    if (!getenv("KB_MINISTACK_URL"))
        return kbtest_main("object_rotate", none, argc, argv);
    data = malloc(SIZE_MAX_TRIED);
    if (!data)
        return 1;
    for (size_t i = 0; i < SIZE_MAX_TRIED; i++) {
        state = state * 1664525 + 1013904223;
        data[i] = (uint8_t)(state >> 24);
    }
    result = kbtest_main("object_rotate", tests, argc, argv);
    free(data);
    return result;
}
