/* SPDX-License-Identifier: Apache-2.0
 *
 * Listings, buckets and transfers against Ceph's gateway, when KB_RGW_URL names
 * it: tests/servers/with.sh rgw -- ./test_s3_live
 */
#include "kbtest.h"

#include <keybridge/s3.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SIZE = 17 * 1024 * 1024 + 3, MANY = 1100 };

static char bucket[64];
static uint8_t *data;

static struct kb_s3 *open_live(void)
{
    struct kb_s3_options options = {
        .aws = {.endpoint_url = getenv("KB_RGW_URL"), .ca_file = getenv("KB_RGW_CA")},
        .style = KB_S3_STYLE_PATH};
    struct kb_error err = {0};
    struct kb_s3 *s3;

    KBT_OK(kb_s3_open(&s3, &options, &err), &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s3);
    return s3;
}

static struct kb_secret *make_key(uint8_t first)
{
    uint8_t bytes[KB_S3_KEY_SIZE] = {first};
    struct kb_secret *key;
    struct kb_error err = {0};

    KBT_OK(kb_secret_copy(&key, (struct kb_bytes){bytes, sizeof bytes}, &err), &err);
    return key;
}

/* --- buckets --------------------------------------------------------------------------- */

static enum kb_status find_bucket(void *ctx, const struct kb_s3_entry *entry, struct kb_error *err)
{
    unsigned *found = ctx;

    (void)err;
    *found += kb_bytes_equal(entry->key, kb_bytes_text(bucket));
    return KB_OK;
}

static void test_bucket(void)
{
    static const char policy[] =
        "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Deny\",\"Principal\":\"*\","
        "\"Action\":\"s3:PutObject\",\"Resource\":\"arn:aws:s3:::nothing/*\"}]}";
    struct kb_s3 *s3 = open_live();
    struct kb_buffer got = KB_BUFFER_INIT(64 * 1024);
    enum kb_s3_versioning versioning;
    struct kb_s3_bucket_encryption rule;
    unsigned found = 0;
    struct kb_error err = {0}, none = {0};

    snprintf(bucket, sizeof bucket, "live-%ld", (long)getpid());
    KBT_OK(kb_s3_create_bucket(s3, bucket, false, &err), &err);
    KBT_OK(kb_s3_list_buckets(s3, find_bucket, &found, &err), &err);
    CU_ASSERT_EQUAL(found, 1);
    KBT_OK(kb_s3_get_versioning(s3, bucket, &versioning, &err), &err);
    CU_ASSERT_EQUAL(versioning, KB_S3_VERSIONING_NEVER);
    KBT_OK(kb_s3_set_versioning(s3, bucket, true, &err), &err);
    KBT_OK(kb_s3_get_versioning(s3, bucket, &versioning, &err), &err);
    CU_ASSERT_EQUAL(versioning, KB_S3_VERSIONING_ON);
    CU_ASSERT_EQUAL(kb_s3_get_bucket_policy(s3, bucket, &got, &none), KB_ERR_NOT_FOUND);
    KBT_OK(kb_s3_set_bucket_policy(s3, bucket, kb_bytes_text(policy), &err), &err);
    KBT_OK(kb_s3_get_bucket_policy(s3, bucket, &got, &err), &err);
    KBT_TEXT(kb_buffer_view(&got), policy);
    KBT_OK(kb_s3_delete_bucket_policy(s3, bucket, &err), &err);
    CU_ASSERT_EQUAL(kb_s3_get_bucket_encryption(s3, bucket, &rule, NULL), KB_ERR_UNSUPPORTED);
    CU_ASSERT_EQUAL(kb_s3_list_buckets(s3, find_bucket, &found, &err), KB_OK);
    CU_ASSERT_EQUAL(found, 2);
    kb_buffer_free(&got);
    kb_s3_close(s3);
}

/* --- listings --------------------------------------------------------------------------- */

/* The thousandth of a page has what is encoded. */
static void make_name(char out[64], unsigned number)
{
    static const char *const ends[] = {"+", "%2B", "\xc3\xa9", " ", "\n", "<&>\"'", "?#", "~!*()"};

    snprintf(out, 64, "many/%04u%s", number, ends[number % 8]);
}

static enum kb_status check_name(void *ctx, const struct kb_s3_entry *entry, struct kb_error *err)
{
    unsigned *count = ctx;
    char want[64];

    make_name(want, *count);
    ++*count;
    if (!kb_bytes_equal(entry->key, kb_bytes_text(want)) || entry->size != 1)
        return kb_error_set(err, KB_ERR_AUTH, "%.*s in place of %s", (int)entry->key.size,
                            (const char *)entry->key.data, want);
    return KB_OK;
}

static enum kb_status count_prefix(void *ctx, const struct kb_s3_entry *entry,
                                   struct kb_error *err)
{
    unsigned *count = ctx;

    (void)err;
    *count += entry->is_prefix && kb_bytes_equal(entry->key, kb_bytes_text("many/"));
    return KB_OK;
}

static void test_listing(void)
{
    struct kb_s3 *s3 = open_live();
    struct kb_s3_list list = {.bucket = bucket, .prefix = "many/"};
    struct kb_s3_put put = {.content_type = "text/plain"};
    unsigned count = 0;
    struct kb_error err = {0};

    for (unsigned i = 0; i < MANY; i++) {
        char key[64];
        struct kb_s3_name name = {.bucket = bucket, .key = key};
        struct kb_s3_object out = {0};

        make_name(key, i);
        KBT_OK(kb_s3_put_object(s3, &name, &put, kb_bytes_text("1"), &out, &err), &err);
        kb_s3_object_free(&out);
    }
    KBT_OK(kb_s3_list(s3, &list, check_name, &count, &err), &err);
    CU_ASSERT_EQUAL(count, MANY);
    count = 0;
    list.versions = true;
    KBT_OK(kb_s3_list(s3, &list, check_name, &count, &err), &err);
    CU_ASSERT_EQUAL(count, MANY);
    list = (struct kb_s3_list){.bucket = bucket, .delimiter = "/"};
    count = 0;
    KBT_OK(kb_s3_list(s3, &list, count_prefix, &count, &err), &err);
    CU_ASSERT_EQUAL(count, 1);
    kb_s3_close(s3);
}

/* --- transfers ----------------------------------------------------------------------------- */

struct place {
    size_t at, stop;
};

static enum kb_status read_data(void *ctx, uint8_t *out, size_t room, size_t *size,
                                struct kb_error *err)
{
    struct place *place = ctx;

    if (place->stop && place->at >= place->stop)
        return kb_error_set(err, KB_ERR_SYSTEM, "stopped");
    *size = room < SIZE - place->at ? room : SIZE - place->at;
    memcpy(out, data + place->at, *size);
    place->at += *size;
    return KB_OK;
}

static enum kb_status check_data(void *ctx, struct kb_bytes bytes, struct kb_error *err)
{
    struct place *place = ctx;

    if (bytes.size > SIZE - place->at || memcmp(data + place->at, bytes.data, bytes.size) != 0)
        return kb_error_set(err, KB_ERR_AUTH, "other bytes");
    place->at += bytes.size;
    return KB_OK;
}

struct journal {
    char id[256];
    struct kb_s3_known_part parts[16];
    size_t count;
};

static enum kb_status begin(void *ctx, const char *upload, uint64_t part_size,
                            struct kb_error *err)
{
    struct journal *journal = ctx;

    (void)part_size, (void)err;
    snprintf(journal->id, sizeof journal->id, "%s", upload);
    return KB_OK;
}

static enum kb_status note(void *ctx, const struct kb_s3_part *part, const uint8_t sha256[32],
                           struct kb_error *err)
{
    struct journal *journal = ctx;

    (void)err;
    journal->parts[journal->count].part = *part;
    memcpy(journal->parts[journal->count++].sha256, sha256, 32);
    return KB_OK;
}

static enum kb_status find_upload(void *ctx, const struct kb_s3_entry *entry, struct kb_error *err)
{
    struct journal *journal = ctx;

    (void)err;
    journal->count += kb_bytes_equal(entry->version, kb_bytes_text(journal->id)) ? 100 : 0;
    return KB_OK;
}

static void check_download(struct kb_s3 *s3, const struct kb_s3_name *name,
                           const struct kb_secret *key, uint64_t first, uint64_t last)
{
    struct place place = {.at = first};
    struct kb_s3_download download = {
        .get = {.encryption = {.sse = KB_S3_SSE_C, .customer_key = key}, .ranged = true,
                .first = first, .last = last, .write = check_data, .ctx = &place},
        .part_size = 1000 * 1000};
    struct kb_s3_downloaded out = {.size = 0};
    struct kb_error err = {0};

    KBT_OK(kb_s3_download(s3, name, &download, &out, &err), &err);
    CU_ASSERT_EQUAL(place.at, last < SIZE ? last + 1 : SIZE);
    CU_ASSERT_EQUAL(out.object.sse, KB_S3_SSE_C);
    kb_s3_object_free(&out.object);
}

/* Stopped in the third part, and resumed. */
static void test_transfer(void)
{
    struct kb_s3 *s3 = open_live();
    struct kb_secret *key = make_key(1), *other = make_key(2);
    struct kb_s3_name name = {.bucket = bucket, .key = "large \xc3\xa9+"};
    struct kb_s3_list list = {.bucket = bucket};
    struct journal journal = {.count = 0};
    const struct kb_s3_journal told = {begin, note, &journal};
    struct place place = {.stop = 10 << 20};
    struct kb_s3_source source = {.read = read_data, .ctx = &place, .size = KB_S3_SIZE_UNKNOWN};
    struct kb_s3_upload upload = {
        .put.encryption = {.sse = KB_S3_SSE_C, .customer_key = key},
        .part_size = KB_S3_PART_MIN, .journal = &told, .keep_on_failure = true};
    struct kb_s3_uploaded out = {.size = 0};
    struct kb_s3_get get = {.encryption = {.sse = KB_S3_SSE_C, .customer_key = other},
                            .write = check_data, .ctx = &place};
    struct kb_s3_object object = {0};
    struct kb_error err = {0}, wrong = {0};
    size_t noted;

    CU_ASSERT_EQUAL(kb_s3_upload(s3, &name, &upload, &source, &out, NULL), KB_ERR_SYSTEM);
    noted = journal.count;
    KBT_OK(kb_s3_list_uploads(s3, &list, find_upload, &journal, &err), &err);
    CU_ASSERT_EQUAL(journal.count, noted + 100);
    journal.count = noted;
    upload.resume = journal.id;
    upload.known = journal.parts;
    upload.known_count = noted;
    upload.journal = NULL;
    place = (struct place){.at = 0};
    KBT_OK(kb_s3_upload(s3, &name, &upload, &source, &out, &err), &err);
    CU_ASSERT_EQUAL(out.parts, 4);
    CU_ASSERT_EQUAL(out.parts_kept, 2);
    CU_ASSERT(out.echoed && out.object.version[0]);
    kb_s3_object_free(&out.object);
    check_download(s3, &name, key, 0, UINT64_MAX);
    check_download(s3, &name, key, 7, 6 << 20);
    place.at = 0;
    CU_ASSERT_EQUAL(kb_s3_get_object(s3, &name, &get, &object, &wrong), KB_ERR_AUTH);
    kb_s3_object_free(&object);
    kb_secret_free(key);
    kb_secret_free(other);
    kb_s3_close(s3);
}

static void test_empty(void)
{
    struct kb_s3 *s3 = open_live();
    struct kb_s3_name name = {.bucket = bucket, .key = "empty"};
    struct place place = {.at = SIZE};
    struct kb_s3_source source = {.read = read_data, .ctx = &place, .size = 0};
    struct kb_s3_upload upload = {.part_size = 0};
    struct kb_s3_uploaded out = {.size = 0};
    struct kb_s3_download download = {.get = {.write = check_data, .ctx = &place}};
    struct kb_s3_downloaded got = {.size = 1};
    struct kb_error err = {0};

    KBT_OK(kb_s3_upload(s3, &name, &upload, &source, &out, &err), &err);
    KBT_OK(kb_s3_download(s3, &name, &download, &got, &err), &err);
    CU_ASSERT_EQUAL(got.size, 0);
    CU_ASSERT_STRING_EQUAL(got.object.etag, out.object.etag);
    kb_s3_object_free(&out.object);
    kb_s3_object_free(&got.object);
    kb_s3_close(s3);
}

static enum kb_status remove_version(void *ctx, const struct kb_s3_entry *entry,
                                     struct kb_error *err)
{
    char key[KB_S3_KEY_MAX + 1], version[KB_S3_VERSION_SIZE];
    struct kb_s3_name name = {.bucket = bucket, .key = key, .version = version};

    snprintf(key, sizeof key, "%.*s", (int)entry->key.size, (const char *)entry->key.data);
    snprintf(version, sizeof version, "%.*s", (int)entry->version.size,
             (const char *)entry->version.data);
    return kb_s3_delete_object(ctx, &name, NULL, err);
}

static void test_removal(void)
{
    struct kb_s3 *s3 = open_live();
    struct kb_s3_list list = {.bucket = bucket, .versions = true};
    struct kb_error err = {0};

    KBT_OK(kb_s3_list(s3, &list, remove_version, s3, &err), &err);
    KBT_OK(kb_s3_delete_bucket(s3, bucket, &err), &err);
    list.versions = false;
    CU_ASSERT_EQUAL(kb_s3_list(s3, &list, remove_version, s3, &err), KB_ERR_NOT_FOUND);
    kb_s3_close(s3);
}

static void test_nothing(void)
{
    printf("(no KB_RGW_URL) ");
}

int main(int argc, char **argv)
{
    static const struct kbtest tests[] = {
        {"bucket", test_bucket}, {"listing", test_listing}, {"transfer", test_transfer},
        {"empty", test_empty},   {"removal", test_removal}, {NULL, NULL},
    };
    static const struct kbtest none[] = {{"not asked for", test_nothing}, {NULL, NULL}};
    uint32_t state = 1;
    int result;

    if (!getenv("KB_RGW_URL"))
        return kbtest_main("s3_live", none, argc, argv);
    data = malloc(SIZE);
    if (!data)
        return 1;
    for (size_t i = 0; i < SIZE; i++) {
        state = state * 1664525 + 1013904223;
        data[i] = (uint8_t)(state >> 24);
    }
    result = kbtest_main("s3_live", tests, argc, argv);
    free(data);
    return result;
}
