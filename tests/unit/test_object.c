/* SPDX-License-Identifier: Apache-2.0
 *
 * What put does with a server that lies, and in which order: server and vault
 * are made up here, and every call of them is noted.
 */
#include "kbtest.h"

#include <keybridge/object.h>

#include "crypto/digest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Calls of the library that end here. */
#define FAKE(name) __wrap_##name

static const char fingerprint[] = "AAAAAAAAAAAAAAAAAAAAAA==";

/* What the server does wrong. */
struct lies {
    bool no_echo, wrong_echo, part_without_echo;
    bool open_without_key, closed_with_key, forgets;
    bool other_etag, other_version, other_size, other_key, no_version;
    bool blocks, cannot_delete, silent, repeated;
    bool null_version;             /* the name's version is "null" */
    bool forbids, forbids_unkeyed; /* HEAD: 403 */
    bool replaced;                 /* by another's object, under another key, */
    bool replaced_unkeyed;         /* or in the clear */
    enum kb_s3_sse sse; /* that it says */
    enum kb_status fails;
};

static struct world {
    struct lies lies;
    char log[512];
    char deleted[64]; /* version */
    char etag[KB_S3_ETAG_SIZE], version[16];
    uint8_t sha256[32];
    bool no_sha256; /* nobody asked for it */
    uint64_t size;
    struct kb_vault_object row; /* as last stored; texts are not kept */
    bool fail_make, fail_add, fail_update;
    const char *former; /* version of the object that is there before; NULL: none */
} world;

static void note(const char *what)
{
    size_t size = strlen(world.log);

    snprintf(world.log + size, sizeof world.log - size, "%s%s", size ? " " : "", what);
}

/* --- the server -------------------------------------------------------------------------- */

const char *FAKE(kb_s3_realm)(const struct kb_s3 *s3);
const char *FAKE(kb_s3_realm)(const struct kb_s3 *s3)
{
    (void)s3;
    return "https://example";
}

unsigned FAKE(kb_s3_connections)(const struct kb_s3 *s3);
unsigned FAKE(kb_s3_connections)(const struct kb_s3 *s3)
{
    (void)s3;
    return 1;
}

bool FAKE(kb_s3_is_secure)(const struct kb_s3 *s3);
bool FAKE(kb_s3_is_secure)(const struct kb_s3 *s3)
{
    return s3 != NULL;
}

static void fill(struct kb_s3_object *out, bool with_key)
{
    kb_s3_object_free(out);
    out->status = 200;
    out->size = world.size;
    out->sse = with_key ? KB_S3_SSE_C : world.lies.sse;
    snprintf(out->etag, sizeof out->etag, "%s", world.etag);
    snprintf(out->version, sizeof out->version, "%s", world.version);
    if (with_key)
        snprintf(out->fingerprint, sizeof out->fingerprint, "%s", fingerprint);
}

enum kb_status FAKE(kb_s3_upload)(struct kb_s3 *s3, const struct kb_s3_name *name,
                                  const struct kb_s3_upload *upload,
                                  const struct kb_s3_source *source, struct kb_s3_uploaded *out,
                                  struct kb_error *err);
enum kb_status FAKE(kb_s3_upload)(struct kb_s3 *s3, const struct kb_s3_name *name,
                                  const struct kb_s3_upload *upload,
                                  const struct kb_s3_source *source, struct kb_s3_uploaded *out,
                                  struct kb_error *err)
{
    bool keyed = upload->put.encryption.sse == KB_S3_SSE_C;
    struct kb_digest *digest;
    uint8_t bytes[700];
    size_t got;

    (void)s3;
    (void)name;
    note(keyed ? "upload+" : "upload");
    out->object.repeated = world.lies.repeated;
    if (world.lies.fails)
        return kb_error_set(err, world.lies.fails, "as told");
    KBT_OK(kb_digest_new(&digest, KB_DIGEST_SHA256, NULL), err);
    world.size = 0;
    do {
        KBT_OK(source->read(source->ctx, bytes, sizeof bytes, &got, err), err);
        KBT_OK(kb_digest_update(digest, (struct kb_bytes){bytes, got}, NULL), err);
        world.size += got;
    } while (got);
    KBT_OK(kb_digest_end(digest, out->sha256, NULL), err);
    kb_digest_free(digest);
    memcpy(world.sha256, out->sha256, sizeof world.sha256);
    world.no_sha256 = upload->no_sha256;
    snprintf(world.etag, sizeof world.etag, "etag");
    snprintf(world.version, sizeof world.version, "%s",
             world.lies.null_version ? "null" : world.lies.no_version ? "" : "v1");
    fill(&out->object, keyed);
    out->size = world.size;
    out->echoed = keyed && !world.lies.no_echo && !world.lies.part_without_echo;
    if (world.lies.no_echo)
        out->object.fingerprint[0] = 0;
    if (world.lies.wrong_echo)
        out->object.fingerprint[0] = 'B';
    return KB_OK;
}

enum kb_status FAKE(kb_s3_head_object)(struct kb_s3 *s3, const struct kb_s3_name *name,
                                       const struct kb_s3_encryption *encryption,
                                       struct kb_s3_object *out, struct kb_error *err);
enum kb_status FAKE(kb_s3_head_object)(struct kb_s3 *s3, const struct kb_s3_name *name,
                                       const struct kb_s3_encryption *encryption,
                                       struct kb_s3_object *out, struct kb_error *err)
{
    bool keyed = encryption && encryption->sse == KB_S3_SSE_C;
    bool sealed = strstr(world.log, "upload+") != NULL;

    (void)s3;
    if (!world.lies.null_version)
        CU_ASSERT_EQUAL(name->version != NULL, world.version[0] != 0);
    note(keyed ? "head+" : "head-");
    fill(out, keyed);
    if (world.lies.silent)
        return kb_error_set(err, KB_ERR_REMOTE, "nobody answers");
    if (world.lies.forgets)
        return kb_error_set(err, KB_ERR_NOT_FOUND, "nothing is there");
    if (world.lies.forbids || (world.lies.forbids_unkeyed && !keyed)) {
        out->status = 403;
        return kb_error_set(err, keyed ? KB_ERR_AUTH : KB_ERR_DENIED, "forbidden");
    }
    if (world.lies.replaced || world.lies.replaced_unkeyed)
        snprintf(out->etag, sizeof out->etag, "others");
    if (keyed ? world.lies.closed_with_key || world.lies.replaced || world.lies.replaced_unkeyed
              : sealed && !world.lies.replaced_unkeyed && !world.lies.open_without_key) {
        out->status = 400;
        return kb_error_set(err, KB_ERR_AUTH, "refused");
    }
    if (world.lies.other_etag)
        snprintf(out->etag, sizeof out->etag, "other");
    if (world.lies.other_version)
        snprintf(out->version, sizeof out->version, "v2");
    if (world.lies.other_key)
        out->fingerprint[0] = 'C';
    out->size += world.lies.other_size;
    return KB_OK;
}

enum kb_status FAKE(kb_s3_delete_object)(struct kb_s3 *s3, const struct kb_s3_name *name,
                                         struct kb_s3_object *out, struct kb_error *err);
enum kb_status FAKE(kb_s3_delete_object)(struct kb_s3 *s3, const struct kb_s3_name *name,
                                         struct kb_s3_object *out, struct kb_error *err)
{
    (void)s3;
    (void)out;
    note("delete");
    snprintf(world.deleted, sizeof world.deleted, "%s", name->version ? name->version : "");
    return world.lies.cannot_delete ? kb_error_set(err, KB_ERR_DENIED, "no deleting") : KB_OK;
}

enum kb_status FAKE(kb_s3_get_bucket_encryption)(struct kb_s3 *s3, const char *bucket,
                                                 struct kb_s3_bucket_encryption *out,
                                                 struct kb_error *err);
enum kb_status FAKE(kb_s3_get_bucket_encryption)(struct kb_s3 *s3, const char *bucket,
                                                 struct kb_s3_bucket_encryption *out,
                                                 struct kb_error *err)
{
    (void)s3;
    (void)bucket;
    (void)err;
    *out = (struct kb_s3_bucket_encryption){.blocks_sse_c = world.lies.blocks};
    return KB_OK;
}

/* --- the vault ----------------------------------------------------------------------------- */

enum kb_status FAKE(kb_vault_make)(struct kb_vault *vault, const struct kb_vault_spec *specs,
                                   size_t n, struct kb_vault_key *keys, struct kb_secret **plain,
                                   struct kb_error *err);
enum kb_status FAKE(kb_vault_make)(struct kb_vault *vault, const struct kb_vault_spec *specs,
                                   size_t n, struct kb_vault_key *keys, struct kb_secret **plain,
                                   struct kb_error *err)
{
    char text[32];

    (void)vault;
    snprintf(text, sizeof text, "make%zu", n);
    note(text);
    if (world.fail_make)
        return kb_error_set(err, KB_ERR_TOKEN, "no token");
    for (size_t i = 0; i < n; i++) {
        CU_ASSERT_EQUAL(specs[i].purpose, KB_VAULT_FOR_OBJECT);
        memset(&keys[i], 0, sizeof keys[i]);
        snprintf(keys[i].id, sizeof keys[i].id, "id%zu", i);
        snprintf(keys[i].fingerprint, sizeof keys[i].fingerprint, "%s", fingerprint);
        KBT_OK(kb_secret_new(&plain[i], KB_S3_KEY_SIZE, err), err);
    }
    return KB_OK;
}

enum kb_status FAKE(kb_vault_add_objects)(struct kb_vault *vault, struct kb_vault_object *objects,
                                          size_t n, struct kb_error *err);
enum kb_status FAKE(kb_vault_add_objects)(struct kb_vault *vault, struct kb_vault_object *objects,
                                          size_t n, struct kb_error *err)
{
    char text[32];

    (void)vault;
    snprintf(text, sizeof text, "add%zu", n);
    note(text);
    for (size_t i = 0; i < n; i++) {
        CU_ASSERT_EQUAL(objects[i].state, KB_VAULT_PENDING);
        objects[i].row = (int64_t)i + 1;
    }
    return world.fail_add ? kb_error_set(err, KB_ERR_SYSTEM, "disk full") : KB_OK;
}

enum kb_status FAKE(kb_vault_update_objects)(struct kb_vault *vault,
                                             const struct kb_vault_object *objects, size_t n,
                                             struct kb_error *err);
enum kb_status FAKE(kb_vault_update_objects)(struct kb_vault *vault,
                                             const struct kb_vault_object *objects, size_t n,
                                             struct kb_error *err)
{
    char text[32];

    (void)vault;
    snprintf(text, sizeof text, "update%zu", n);
    note(text);
    world.row = objects[0];
    return world.fail_update ? kb_error_set(err, KB_ERR_SYSTEM, "disk full") : KB_OK;
}

enum kb_status FAKE(kb_vault_remove_objects)(struct kb_vault *vault, const int64_t *rows, size_t n,
                                             struct kb_error *err);
enum kb_status FAKE(kb_vault_remove_objects)(struct kb_vault *vault, const int64_t *rows, size_t n,
                                             struct kb_error *err)
{
    (void)vault;
    (void)err;
    CU_ASSERT_EQUAL(n, 1);
    CU_ASSERT_TRUE(rows[0] > 0);
    note("drop");
    return KB_OK;
}

enum kb_status FAKE(kb_vault_each_object)(struct kb_vault *vault,
                                          const struct kb_vault_query *query,
                                          enum kb_status (*each)(
                                              void *ctx, const struct kb_vault_object *object,
                                              struct kb_error *err),
                                          void *ctx, struct kb_error *err);
enum kb_status FAKE(kb_vault_each_object)(struct kb_vault *vault,
                                          const struct kb_vault_query *query,
                                          enum kb_status (*each)(
                                              void *ctx, const struct kb_vault_object *object,
                                              struct kb_error *err),
                                          void *ctx, struct kb_error *err)
{
    struct kb_vault_object row = {.endpoint = (char *)(uintptr_t)query->endpoint,
                                  .bucket = (char *)(uintptr_t)query->bucket,
                                  .object_key = (char *)(uintptr_t)query->object_key,
                                  .state = KB_VAULT_STORED,
                                  .row = 7};

    (void)vault;
    if (!world.former)
        return KB_OK;
    snprintf(row.version, sizeof row.version, "%s", world.former);
    return each(ctx, &row, err);
}

/* --- puts ------------------------------------------------------------------------------------- */

static const char text[] = "what nobody else may read";

static enum kb_status read_text(void *ctx, uint8_t *out, size_t room, size_t *size,
                                struct kb_error *err)
{
    size_t *at = ctx;

    (void)err;
    *size = sizeof text - *at < room ? sizeof text - *at : room;
    memcpy(out, text + *at, *size);
    *at += *size;
    return KB_OK;
}

static enum kb_status open_text(void *ctx, struct kb_s3_source *source, struct kb_error *err)
{
    (void)err;
    *(size_t *)ctx = 0;
    *source = (struct kb_s3_source){.read = read_text, .ctx = ctx, .size = sizeof text};
    return KB_OK;
}

static void close_text(void *ctx)
{
    (void)ctx;
    note("close");
}

static struct kb_objects *open_world(struct lies lies)
{
    static char anything;
    const struct kb_objects_options options = {.s3 = (struct kb_s3 *)&anything,
                                               .vault = (struct kb_vault *)&anything};
    struct kb_objects *objects;

    memset(&world, 0, sizeof world);
    world.lies = lies;
    KBT_OK(kb_objects_open(&objects, &options, NULL), NULL);
    return objects;
}

static enum kb_status put_with(struct kb_objects *objects, const struct kb_object_put *put,
                               struct kb_object_result *out, struct kb_error *err)
{
    const struct kb_s3_name name = {.bucket = "bucket", .key = "key"};
    size_t at = 0;
    const struct kb_s3_source source = {.read = read_text, .ctx = &at, .size = sizeof text};
    enum kb_status status;

    memset(out, 0, sizeof *out);
    kb_error_clear(err);
    status = kb_object_put(objects, &name, put, &source, out, err);
    return status;
}

static void check_lie(struct lies lies, enum kb_status want, const char *log, const char *says)
{
    struct kb_objects *objects = open_world(lies);
    const struct kb_object_put put = {.encryption = KB_OBJECT_SSE_C};
    struct kb_object_result result;
    struct kb_error err;

    CU_ASSERT_EQUAL(put_with(objects, &put, &result, &err), want);
    KBT_TEXT(kb_bytes_text(world.log), log);
    if (says && !strstr(err.text, says)) {
        printf("\n    '%s' does not say '%s'\n", err.text, says);
        CU_FAIL("it does not say why");
    }
    kb_object_result_free(&result);
    kb_objects_close(objects);
}

static void test_order(void)
{
    struct kb_objects *objects = open_world((struct lies){.sse = KB_S3_SSE_NONE});
    const struct kb_object_put put = {.encryption = KB_OBJECT_SSE_C};
    struct kb_object_result result;
    struct kb_error err;

    KBT_OK(put_with(objects, &put, &result, &err), &err);
    KBT_TEXT(kb_bytes_text(world.log), "make1 add1 upload+ head+ head- update1");
    CU_ASSERT_TRUE(result.echoed && result.opens_with_key && result.closed_without_key);
    CU_ASSERT_EQUAL(result.size, sizeof text);
    CU_ASSERT_TRUE(result.has_sha256);
    KBT_TEXT(kb_bytes_text(result.key_id), "id0");
    CU_ASSERT_EQUAL(world.row.state, KB_VAULT_STORED);
    CU_ASSERT_EQUAL(world.row.row, 1);
    KBT_TEXT(kb_bytes_text(world.row.version), "v1");
    KBT_TEXT(kb_bytes_text(world.row.etag), "etag");
    KBT_TEXT(kb_bytes_text(world.row.encryption), "sse-c");
    KBT_BYTES(((struct kb_bytes){world.row.sha256, 32}), ((struct kb_bytes){world.sha256, 32}));
    CU_ASSERT_FALSE(world.no_sha256);
    kb_object_result_free(&result);
    kb_objects_close(objects);
}

static void test_lies(void)
{
#define LIE(lie) ((struct lies){.lie = true})
#define SENT "make1 add1 upload+"
    check_lie(LIE(no_echo), KB_ERR_REMOTE, SENT " delete drop", "in the clear; it was removed");
    KBT_TEXT(kb_bytes_text(world.deleted), "v1");
    check_lie(LIE(wrong_echo), KB_ERR_REMOTE, SENT " delete drop", "did not confirm");
    check_lie(LIE(part_without_echo), KB_ERR_REMOTE, SENT " delete drop", "did not confirm");
    check_lie(LIE(closed_with_key), KB_ERR_REMOTE, SENT " head+ delete drop", "does not open");
    check_lie(LIE(forgets), KB_ERR_REMOTE, SENT " head+ delete drop", "does not have it");
    check_lie(LIE(open_without_key), KB_ERR_REMOTE, SENT " head+ head- delete drop",
              "without the customer key");
    check_lie(LIE(other_etag), KB_ERR_REMOTE, SENT " head+ delete drop", "another ETag");
    check_lie(LIE(other_version), KB_ERR_REMOTE, SENT " head+ delete drop", "another version");
    check_lie(LIE(other_size), KB_ERR_REMOTE, SENT " head+ delete drop", "number of bytes");
    check_lie(LIE(other_key), KB_ERR_REMOTE, SENT " head+ delete drop", "another customer key");
    /* Without versions another ETag is another's object: not ours to remove. */
    check_lie(((struct lies){.other_etag = true, .no_version = true}), KB_ERR_REMOTE,
              SENT " head+", "replaced by another");
    check_lie(((struct lies){.no_echo = true, .no_version = true}), KB_ERR_REMOTE,
              SENT " head- head+ delete drop", "it was removed");
    KBT_TEXT(kb_bytes_text(world.deleted), "");
    check_lie(((struct lies){.no_echo = true, .cannot_delete = true}), KB_ERR_REMOTE,
              SENT " delete", "could not be removed");
    /* What could not be asked for is not known, and stays pending. */
    check_lie(LIE(silent), KB_ERR_REMOTE, SENT " head+", "nobody answers");
}

/* The name went to another writer, whose object is not ours to remove: without
 * versions, or when what has none is called "null". */
static void test_replaced(void)
{
    for (int null = 0; null < 2; null++) {
        const bool no = !null;

#define REPLACED(...) ((struct lies){.no_version = no, .null_version = null, __VA_ARGS__})
        check_lie(REPLACED(.replaced = true), KB_ERR_REMOTE, SENT " head+ head- head+",
                  "may be another's");
        check_lie(REPLACED(.replaced_unkeyed = true), KB_ERR_REMOTE, SENT " head+ head- head+",
                  "may be another's");
        check_lie(REPLACED(.replaced = true, .no_echo = true), KB_ERR_REMOTE,
                  SENT " head- head+", "may be another's");
        check_lie(REPLACED(.forgets = true), KB_ERR_REMOTE, SENT " head+ head- head+",
                  "nothing was removed");
        check_lie(REPLACED(.other_etag = true), KB_ERR_REMOTE, SENT " head+", "replaced by");
        /* Ours, and in the clear. */
        check_lie(REPLACED(.open_without_key = true, .closed_with_key = true), KB_ERR_REMOTE,
                  SENT " head+ head- delete drop", "it was removed");
    }
}

/* A 403 may be for want of a permission: nothing is known, and nothing removed. */
static void test_forbidden(void)
{
    for (int version = 0; version < 2; version++) {
        const bool no = !version;

        check_lie(((struct lies){.forbids = true, .no_version = no}), KB_ERR_DENIED,
                  SENT " head+", "could not be verified");
        check_lie(((struct lies){.forbids_unkeyed = true, .no_version = no}), KB_ERR_DENIED,
                  SENT " head+ head-", "could not be verified");
        /* Where customer keys are forbidden, too: that is not why. */
        check_lie(((struct lies){.forbids = true, .blocks = true, .no_version = no}),
                  KB_ERR_DENIED, SENT " head+", "could not be verified");
    }
}

/* What is taken back had overwritten what was there, unless that has a version. */
static void test_overwritten(void)
{
    static const struct {
        const char *former;
        bool no_version, gone, cannot_delete;
        const char *log;
    } rows[] = {
        {"", true, true, false, SENT " head- head+ delete update1 drop"},
        {"null", true, true, false, SENT " head- head+ delete update1 drop"},
        {"", true, true, true, SENT " head- head+ delete update1"},
        {"v0", true, false, false, SENT " head- head+ delete drop"},
        {"", false, false, false, SENT " delete drop"},
        {NULL, true, false, false, SENT " head- head+ delete drop"},
    };
    const struct kb_object_put put = {.encryption = KB_OBJECT_SSE_C};

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct kb_objects *objects = open_world((struct lies){
            .no_echo = true, .no_version = rows[i].no_version,
            .cannot_delete = rows[i].cannot_delete});
        struct kb_object_result result;
        struct kb_error err;

        world.former = rows[i].former;
        CU_ASSERT_EQUAL(put_with(objects, &put, &result, &err), KB_ERR_REMOTE);
        KBT_TEXT(kb_bytes_text(world.log), rows[i].log);
        CU_ASSERT_EQUAL(strstr(err.text, "what was there before") != NULL, rows[i].gone);
        if (rows[i].gone) {
            CU_ASSERT_EQUAL(world.row.row, 7);
            CU_ASSERT_EQUAL(world.row.state, KB_VAULT_REMOVED);
        }
        kb_object_result_free(&result);
        kb_objects_close(objects);
    }
}

static void test_failures(void)
{
    struct kb_object_put put = {.encryption = KB_OBJECT_SSE_C};
    struct kb_object_result result;
    struct kb_objects *objects;
    struct kb_error err;

    /* Refused: there is no such object. Broken off: nobody knows. */
    check_lie((struct lies){.fails = KB_ERR_DENIED}, KB_ERR_DENIED, SENT " drop", "as told");
    check_lie((struct lies){.fails = KB_ERR_EXISTS}, KB_ERR_EXISTS, SENT " drop", NULL);
    check_lie((struct lies){.fails = KB_ERR_REMOTE}, KB_ERR_REMOTE, SENT, "as told");
    check_lie(((struct lies){.fails = KB_ERR_EXISTS, .repeated = true}), KB_ERR_EXISTS, SENT, NULL);
    check_lie(((struct lies){.fails = KB_ERR_DENIED, .repeated = true}), KB_ERR_DENIED, SENT, NULL);
    check_lie(((struct lies){.fails = KB_ERR_DENIED, .blocks = true}), KB_ERR_DENIED, SENT " drop",
              "forbids customer keys");
    for (int what = 0; what < 3; what++) {
        objects = open_world((struct lies){.sse = KB_S3_SSE_NONE});
        world.fail_make = what == 0;
        world.fail_add = what == 1;
        world.fail_update = what == 2;
        CU_ASSERT_EQUAL(put_with(objects, &put, &result, &err),
                        what == 0 ? KB_ERR_TOKEN : KB_ERR_SYSTEM);
        /* Nothing is sent before key and row are safe. */
        CU_ASSERT_EQUAL(strstr(world.log, "upload") != NULL, what == 2);
        kb_object_result_free(&result);
        kb_objects_close(objects);
    }
    objects = open_world((struct lies){.no_echo = true});
    put.keep_unverified = true;
    CU_ASSERT_EQUAL(put_with(objects, &put, &result, &err), KB_ERR_REMOTE);
    KBT_TEXT(kb_bytes_text(world.log), SENT);
    kb_object_result_free(&result);
    kb_objects_close(objects);
}

static void test_server_side(void)
{
    static const struct {
        enum kb_object_encryption encryption;
        enum kb_s3_sse says;
        enum kb_status want;
    } rows[] = {
        {KB_OBJECT_NONE, KB_S3_SSE_NONE, KB_OK},      {KB_OBJECT_NONE, KB_S3_SSE_S3, KB_OK},
        {KB_OBJECT_SSE_S3, KB_S3_SSE_S3, KB_OK},
        {KB_OBJECT_SSE_S3, KB_S3_SSE_NONE, KB_ERR_REMOTE},
        {KB_OBJECT_SSE_KMS, KB_S3_SSE_KMS, KB_OK},
        {KB_OBJECT_SSE_KMS, KB_S3_SSE_S3, KB_ERR_REMOTE},
        {KB_OBJECT_SSE_S3, KB_S3_SSE_KMS, KB_ERR_REMOTE},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct kb_objects *objects = open_world((struct lies){.sse = rows[i].says});
        const struct kb_object_put put = {.encryption = rows[i].encryption};
        struct kb_object_result result;
        struct kb_error err;

        CU_ASSERT_EQUAL(put_with(objects, &put, &result, &err), rows[i].want);
        KBT_TEXT(kb_bytes_text(world.log), rows[i].want == KB_OK ? "add1 upload head- update1"
                                                                  : "add1 upload delete drop");
        kb_object_result_free(&result);
        kb_objects_close(objects);
        /* HEAD denied: the row stays. */
        objects = open_world((struct lies){.sse = rows[i].says, .forbids = true});
        CU_ASSERT_EQUAL(put_with(objects, &put, &result, &err),
                        rows[i].want == KB_OK ? KB_ERR_DENIED : KB_ERR_REMOTE);
        KBT_TEXT(kb_bytes_text(world.log),
                 rows[i].want == KB_OK ? "add1 upload head-" : "add1 upload delete drop");
        kb_object_result_free(&result);
        kb_objects_close(objects);
    }
}

/* Keys and rows of a batch are one call each, and one bad object does not keep
 * the others back. */
static void test_many(void)
{
    enum { MANY = KB_VAULT_BATCH_MAX + 2 };
    struct kb_object_job *jobs = calloc(MANY, sizeof *jobs);
    struct kb_objects *objects = open_world((struct lies){.sse = KB_S3_SSE_NONE});
    struct kb_error err = {.status = KB_OK};
    char keys[MANY][8];
    size_t at = 0;

    for (size_t i = 0; i < MANY; i++)
        snprintf(keys[i], sizeof keys[i], "key%zu", i);
    for (size_t i = 0; i < MANY; i++)
        jobs[i] = (struct kb_object_job){.name = {.bucket = "bucket", .key = keys[i]},
                                         .put = {.encryption = i == 3 ? KB_OBJECT_CLIENT
                                                                      : KB_OBJECT_SSE_C},
                                         .open = open_text,
                                         .close = close_text,
                                         .ctx = &at};
    KBT_OK(kb_object_put_many(objects, jobs, MANY, &err), &err);
    CU_ASSERT_EQUAL(memcmp(world.log, "make127 add127 upload+ head+ head- close upload+", 48), 0);
    for (size_t i = 0; i < MANY; i++) {
        CU_ASSERT_EQUAL(jobs[i].status, i == 3 ? KB_ERR_USAGE : KB_OK);
        kb_object_result_free(&jobs[i].result);
    }
    free(jobs);
    kb_objects_close(objects);
}

/* Which of them stays nobody would know. */
static void test_twice(void)
{
    struct kb_object_job jobs[] = {{.name = {.bucket = "bucket", .key = "key"}},
                                   {.name = {.bucket = "bucket", .key = "other"}},
                                   {.name = {.bucket = "bucket", .key = "key"}}};
    struct kb_objects *objects = open_world((struct lies){.sse = KB_S3_SSE_NONE});
    struct kb_error err = {.status = KB_OK};
    size_t at = 0;

    for (size_t i = 0; i < 3; i++) {
        jobs[i].open = open_text;
        jobs[i].close = close_text;
        jobs[i].ctx = &at;
    }
    CU_ASSERT_EQUAL(kb_object_put_many(objects, jobs, 3, &err), KB_ERR_USAGE);
    CU_ASSERT_PTR_NOT_NULL(strstr(kb_error_text(&err), "s3://bucket/key "));
    KBT_TEXT(kb_bytes_text(world.log), "");
    /* The same in another bucket is another object. */
    jobs[2].name.bucket = "bucket2";
    kb_error_clear(&err);
    KBT_OK(kb_object_put_many(objects, jobs, 3, &err), &err);
    for (size_t i = 0; i < 3; i++) {
        CU_ASSERT_EQUAL(jobs[i].status, KB_OK);
        kb_object_result_free(&jobs[i].result);
    }
    kb_objects_close(objects);
}

static void test_names(void)
{
    enum kb_object_encryption found;

    for (int i = KB_OBJECT_SSE_C; i <= KB_OBJECT_NONE; i++) {
        CU_ASSERT_TRUE(kb_object_encryption_parse(
            &found, kb_object_encryption_format((enum kb_object_encryption)i)));
        CU_ASSERT_EQUAL((int)found, i);
    }
    CU_ASSERT_FALSE(kb_object_encryption_parse(&found, "SSE-C"));
    CU_ASSERT_FALSE(kb_object_encryption_parse(&found, ""));
}

int main(int argc, char **argv)
{
    static const struct kbtest tests[] = {
        {"order", test_order},
        {"lies", test_lies},
        {"replaced", test_replaced},
        {"forbidden", test_forbidden},
        {"overwritten", test_overwritten},
        {"failures", test_failures},
        {"server-side", test_server_side},
        {"many", test_many},
        {"twice", test_twice},
        {"names", test_names},
        {NULL, NULL},
    };

    return kbtest_main("object", tests, argc, argv);
}
