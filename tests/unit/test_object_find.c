/* SPDX-License-Identifier: Apache-2.0
 *
 * What is made of an object when server and inventory disagree, and which keys a
 * server gets to see: server and vault are made up here.
 */
#include "kbtest.h"

#include <keybridge/object.h>

#include "crypto/digest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Calls of the library that end here. */
#define FAKE(name) __wrap_##name

enum { ROWS = 4, KEYS = 4 };

/* Keys have one letter: 32 of it are the key. A GET that the inventory confirms needs no HEAD. */
static struct world {
    char log[256];       /* "-" for HEAD without a key, else the key's letter */
    char under;          /* the key of the object; 0: none */
    const char *etag, *version, *body, *asked_version;
    bool is_message;     /* the metadata says so */
    const char *disabled;
    struct kb_vault_object rows[ROWS]; /* newest first; without endpoint: of another one */
    struct kb_vault_key keys[KEYS];
    const char *scope;   /* key of the prefix, or NULL */
    void (*meanwhile)(void); /* happens once, while a HEAD is under way */
} world;

static char realm[] = "https://here", elsewhere[] = "https://elsewhere";
static char bucket[] = "bucket", object_key[] = "key";

/* --- the server ------------------------------------------------------------------------------ */

const char *FAKE(kb_s3_realm)(const struct kb_s3 *s3);
const char *FAKE(kb_s3_realm)(const struct kb_s3 *s3)
{
    (void)s3;
    return realm;
}

bool FAKE(kb_s3_is_secure)(const struct kb_s3 *s3);
bool FAKE(kb_s3_is_secure)(const struct kb_s3 *s3)
{
    return s3 != NULL;
}

unsigned FAKE(kb_s3_connections)(const struct kb_s3 *s3);
unsigned FAKE(kb_s3_connections)(const struct kb_s3 *s3)
{
    (void)s3;
    return 1;
}

static char letter_of(const struct kb_s3_encryption *encryption)
{
    return encryption && encryption->customer_key
               ? (char)kb_secret_view(encryption->customer_key).data[0]
               : 0;
}

static void fill(struct kb_s3_object *out)
{
    static struct kb_pair message;
    uint8_t key[KB_S3_KEY_SIZE];

    message = (struct kb_pair){kb_bytes_text("keybridge-format"), kb_bytes_text("esdk")};
    kb_s3_object_free(out);
    out->status = 200;
    out->size = strlen(world.body);
    out->sse = world.under ? KB_S3_SSE_C : KB_S3_SSE_S3;
    snprintf(out->etag, sizeof out->etag, "%s", world.etag);
    snprintf(out->version, sizeof out->version, "%s", world.version);
    if (world.under) {
        memset(key, world.under, sizeof key);
        KBT_OK(kb_s3_fingerprint(out->fingerprint, (struct kb_bytes){key, sizeof key}, NULL), NULL);
    }
    if (world.is_message) {
        out->metadata = &message;
        out->metadata_count = 1;
    }
}

enum kb_status FAKE(kb_s3_head_object)(struct kb_s3 *s3, const struct kb_s3_name *name,
                                       const struct kb_s3_encryption *encryption,
                                       struct kb_s3_object *out, struct kb_error *err);
enum kb_status FAKE(kb_s3_head_object)(struct kb_s3 *s3, const struct kb_s3_name *name,
                                       const struct kb_s3_encryption *encryption,
                                       struct kb_s3_object *out, struct kb_error *err)
{
    char letter = letter_of(encryption);
    size_t size = strlen(world.log);
    void (*meanwhile)(void) = world.meanwhile;

    (void)s3;
    (void)name;
    snprintf(world.log + size, sizeof world.log - size, "%c", letter ? letter : '-');
    world.meanwhile = NULL;
    if (meanwhile)
        meanwhile();
    if (letter != world.under)
        return kb_error_set(err, KB_ERR_AUTH, "not with this key");
    fill(out);
    return KB_OK;
}

enum kb_status FAKE(kb_s3_get_object)(struct kb_s3 *s3, const struct kb_s3_name *name,
                                      const struct kb_s3_get *get, struct kb_s3_object *out,
                                      struct kb_error *err);
enum kb_status FAKE(kb_s3_get_object)(struct kb_s3 *s3, const struct kb_s3_name *name,
                                      const struct kb_s3_get *get, struct kb_s3_object *out,
                                      struct kb_error *err)
{
    (void)s3;
    (void)name;
    (void)get;
    (void)out;
    return kb_error_set(err, KB_ERR_NOT_FOUND, "no instruction file");
}

enum kb_status FAKE(kb_s3_download)(struct kb_s3 *s3, const struct kb_s3_name *name,
                                    const struct kb_s3_download *download,
                                    struct kb_s3_downloaded *out, struct kb_error *err);
enum kb_status FAKE(kb_s3_download)(struct kb_s3 *s3, const struct kb_s3_name *name,
                                    const struct kb_s3_download *download,
                                    struct kb_s3_downloaded *out, struct kb_error *err)
{
    struct kb_bytes body = kb_bytes_text(world.body);

    (void)s3;
    (void)name;
    if (letter_of(&download->get.encryption) != world.under)
        return kb_error_set(err, KB_ERR_AUTH, "not with this key");
    if (download->get.if_match && strcmp(download->get.if_match, world.etag) != 0)
        return kb_error_set(err, KB_ERR_INPUT, "it is another");
    fill(&out->object);
    out->size = body.size;
    KBT_OK(kb_digest_once(out->sha256, KB_DIGEST_SHA256, body, err), err);
    return download->get.write(download->get.ctx, body, err);
}

/* --- messages: their plaintext is always the same ------------------------------------------- */

enum kb_status FAKE(kb_esdk_decrypt)(struct kb_esdk_message **out, struct kb_esdk *esdk,
                                     const struct kb_esdk_decrypt_options *options,
                                     struct kb_error *err);
enum kb_status FAKE(kb_esdk_decrypt)(struct kb_esdk_message **out, struct kb_esdk *esdk,
                                     const struct kb_esdk_decrypt_options *options,
                                     struct kb_error *err)
{
    (void)esdk;
    (void)options;
    (void)err;
    *out = NULL;
    return KB_OK;
}

const struct kb_esdk_info *FAKE(kb_esdk_message_info)(const struct kb_esdk_message *message);
const struct kb_esdk_info *FAKE(kb_esdk_message_info)(const struct kb_esdk_message *message)
{
    (void)message;
    return NULL;
}

enum kb_status FAKE(kb_esdk_push)(struct kb_esdk_message *message, struct kb_bytes bytes,
                                  bool last, const struct kb_esdk_sink *sink,
                                  struct kb_error *err);
enum kb_status FAKE(kb_esdk_push)(struct kb_esdk_message *message, struct kb_bytes bytes,
                                  bool last, const struct kb_esdk_sink *sink,
                                  struct kb_error *err)
{
    (void)message;
    (void)bytes;
    return last ? sink->write(sink->ctx, kb_bytes_text("plain"), err) : KB_OK;
}

/* --- the vault -------------------------------------------------------------------------------- */

static bool is_asked_for(const struct kb_vault_query *query, const char *key)
{
    for (size_t i = 0; i < query->count; i++)
        if (strcmp(query->object_keys[i], key) == 0)
            return true;
    return false;
}

enum kb_status FAKE(kb_vault_each_object)(struct kb_vault *vault,
                                          const struct kb_vault_query *query,
                                          enum kb_status (*each)(void *ctx,
                                                                 const struct kb_vault_object *row,
                                                                 struct kb_error *err),
                                          void *ctx, struct kb_error *err);
enum kb_status FAKE(kb_vault_each_object)(struct kb_vault *vault,
                                          const struct kb_vault_query *query,
                                          enum kb_status (*each)(void *ctx,
                                                                 const struct kb_vault_object *row,
                                                                 struct kb_error *err),
                                          void *ctx, struct kb_error *err)
{
    enum kb_status status = KB_OK;

    (void)vault;
    CU_ASSERT_STRING_EQUAL(query->endpoint, realm);
    for (size_t i = 0; status == KB_OK && i < ROWS; i++) {
        const struct kb_vault_object *row = &world.rows[i];

        if (!row->endpoint || strcmp(row->endpoint, realm) != 0 ||
            (query->object_key && !query->prefix && strcmp(query->object_key, row->object_key)) ||
            (query->count && !is_asked_for(query, row->object_key)))
            continue;
        status = each(ctx, row, err);
    }
    return status;
}

static const struct kb_vault_key *key_of(const char *id)
{
    for (size_t i = 0; i < KEYS; i++)
        if (strcmp(world.keys[i].id, id) == 0)
            return &world.keys[i];
    return NULL;
}

enum kb_status FAKE(kb_vault_find_key)(struct kb_vault *vault, const char *which,
                                       struct kb_vault_key *out, struct kb_error *err);
enum kb_status FAKE(kb_vault_find_key)(struct kb_vault *vault, const char *which,
                                       struct kb_vault_key *out, struct kb_error *err)
{
    const struct kb_vault_key *key = key_of(which);
    uint8_t plain[KB_S3_KEY_SIZE];

    (void)vault;
    if (!key)
        return kb_error_set(err, KB_ERR_NOT_FOUND, "no such key");
    *out = *key;
    out->scope = key->scope ? strdup(key->scope) : NULL;
    memset(plain, *which, sizeof plain);
    return kb_s3_fingerprint(out->fingerprint, (struct kb_bytes){plain, sizeof plain}, err);
}

enum kb_status FAKE(kb_vault_find_scope)(struct kb_vault *vault, const char *in_bucket,
                                         const char *key, struct kb_vault_key *out,
                                         struct kb_error *err);
enum kb_status FAKE(kb_vault_find_scope)(struct kb_vault *vault, const char *in_bucket,
                                         const char *key, struct kb_vault_key *out,
                                         struct kb_error *err)
{
    (void)in_bucket;
    (void)key;
    if (!world.scope)
        return kb_error_set(err, KB_ERR_NOT_FOUND, "no such prefix");
    return FAKE(kb_vault_find_key)(vault, world.scope, out, err);
}

enum kb_status FAKE(kb_vault_release)(struct kb_vault *vault, const char *id, bool encrypt,
                                      const char *why, struct kb_secret **out,
                                      struct kb_error *err);
enum kb_status FAKE(kb_vault_release)(struct kb_vault *vault, const char *id, bool encrypt,
                                      const char *why, struct kb_secret **out,
                                      struct kb_error *err)
{
    uint8_t plain[KB_S3_KEY_SIZE];

    (void)vault;
    (void)why;
    CU_ASSERT_FALSE(encrypt);
    if (world.disabled && strchr(world.disabled, *id))
        return kb_error_set(err, KB_ERR_DENIED, "key %s is disabled", id);
    memset(plain, *id, sizeof plain);
    return kb_secret_copy(out, (struct kb_bytes){plain, sizeof plain}, err);
}

enum kb_status FAKE(kb_vault_release_many)(struct kb_vault *vault, const char *const *ids, size_t n,
                                           struct kb_secret **plain, struct kb_error *err);
enum kb_status FAKE(kb_vault_release_many)(struct kb_vault *vault, const char *const *ids, size_t n,
                                           struct kb_secret **plain, struct kb_error *err)
{
    (void)err;
    for (size_t i = 0; i < n; i++) {
        plain[i] = NULL;
        (void)!FAKE(kb_vault_release)(vault, ids[i], false, NULL, &plain[i], NULL);
    }
    return KB_OK;
}

enum kb_status FAKE(kb_vault_each_key)(struct kb_vault *vault,
                                       enum kb_status (*each)(void *ctx,
                                                              const struct kb_vault_key *key,
                                                              struct kb_error *err),
                                       void *ctx, struct kb_error *err);
enum kb_status FAKE(kb_vault_each_key)(struct kb_vault *vault,
                                       enum kb_status (*each)(void *ctx,
                                                              const struct kb_vault_key *key,
                                                              struct kb_error *err),
                                       void *ctx, struct kb_error *err)
{
    enum kb_status status = KB_OK;

    (void)vault;
    for (size_t i = 0; status == KB_OK && i < KEYS && world.keys[i].id[0]; i++)
        status = each(ctx, &world.keys[i], err);
    return status;
}

/* --- one world after another ------------------------------------------------------------------ */

static void add_key(size_t i, const char *id, char *scope, uint64_t objects)
{
    world.keys[i] = (struct kb_vault_key){.scope = scope, .objects = objects};
    snprintf(world.keys[i].id, sizeof world.keys[i].id, "%s", id);
}

/* A row of "body", or with state PENDING one that knows only its key. */
static void add_row(size_t i, enum kb_vault_row_state state, const char *key, const char *version,
                    const char *etag)
{
    struct kb_vault_object *row = &world.rows[i];

    *row = (struct kb_vault_object){.endpoint = realm, .bucket = bucket, .object_key = object_key,
                                    .state = state, .encryption = "sse-c", .row = (int64_t)i + 1};
    snprintf(row->key_id, sizeof row->key_id, "%s", key);
    snprintf(row->version, sizeof row->version, "%s", version);
    snprintf(row->etag, sizeof row->etag, "%s", etag);
    if (state != KB_VAULT_STORED)
        return;
    row->size = 4;
    row->has_sha256 = true;
    KBT_OK(kb_digest_once(row->sha256, KB_DIGEST_SHA256, kb_bytes_text("body"), NULL), NULL);
}

/* "body" under key a, which is in the inventory as version v1, or without versions. */
static void begin(const char *version)
{
    memset(&world, 0, sizeof world);
    world.under = 'a';
    world.etag = "etag";
    world.version = version;
    world.body = "body";
    add_row(1, KB_VAULT_STORED, "a", version, "etag");
    add_key(0, "a", NULL, 1);
    add_key(1, "b", NULL, 1);
}

static enum kb_status take(void *ctx, struct kb_bytes bytes, struct kb_error *err)
{
    (void)err;
    memcpy(ctx, bytes.data, bytes.size);
    return KB_OK;
}

/* By itself, or as one of several that were looked up before. */
static void check_get_as(bool known, struct kb_object_get get, enum kb_status want,
                         const char *log, const char *says)
{
    static char anything;
    const struct kb_objects_options options = {.s3 = (struct kb_s3 *)&anything,
                                               .vault = (struct kb_vault *)&anything,
                                               .esdk = (struct kb_esdk *)&anything};
    const struct kb_s3_name name = {
        .bucket = bucket, .key = object_key, .version = world.asked_version};
    const struct kb_s3_name names[] = {{.bucket = bucket, .key = "another"}, name};
    struct kb_object_result result;
    struct kb_objects *objects;
    struct kb_error err = {.status = KB_OK};
    char got[64] = "";

    memset(&result, 0, sizeof result);
    get.write = take;
    get.ctx = got;
    get.scratch = -1;
    KBT_OK(kb_objects_open(&objects, &options, &err), &err);
    get.known = known ? kb_objects_know(objects, &get, names, 2) : NULL;
    get.known_at = 1;
    CU_ASSERT_EQUAL(kb_object_get(objects, &name, &get, &result, &err), want);
    KBT_TEXT(kb_bytes_text(world.log), log);
    if (says && !strstr(err.text, says)) {
        printf("\n    '%s' does not say '%s'\n", err.text, says);
        CU_FAIL("it does not say why");
    }
    kb_object_result_free(&result);
    kb_object_known_free(get.known);
    kb_objects_close(objects);
}

static void check_get(struct kb_object_get get, enum kb_status want, const char *log,
                      const char *says)
{
    struct world before = world;

    check_get_as(false, get, want, log, says);
    world = before;
    check_get_as(true, get, want, log, says);
}

/* What is known of one object does not serve for another, though the number is wrong. */
static void check_known_of_other(const char *of_bucket, const char *of_key, const char *of_version)
{
    static char anything;
    const struct kb_objects_options options = {.s3 = (struct kb_s3 *)&anything,
                                               .vault = (struct kb_vault *)&anything};
    const struct kb_s3_name known = {.bucket = bucket, .key = object_key};
    const struct kb_s3_name name = {.bucket = of_bucket, .key = of_key, .version = of_version};
    struct kb_object_result result;
    struct kb_objects *objects;
    struct kb_error err = {.status = KB_OK};
    char got[64] = "";
    struct kb_object_get get = {.write = take, .ctx = got, .scratch = -1};

    begin("v1");
    memset(&result, 0, sizeof result);
    KBT_OK(kb_objects_open(&objects, &options, &err), &err);
    get.known = kb_objects_know(objects, &get, &known, 1);
    CU_ASSERT_PTR_NOT_NULL(get.known);
    world.rows[1].endpoint = elsewhere; /* gone, but for those who know */
    CU_ASSERT_EQUAL(kb_object_get(objects, &name, &get, &result, &err), KB_ERR_AUTH);
    KBT_TEXT(kb_bytes_text(world.log), "-");
    CU_ASSERT_STRING_EQUAL(got, "");
    kb_object_result_free(&result);
    kb_object_known_free(get.known);
    kb_objects_close(objects);
}

static void test_known_of_other(void)
{
    check_known_of_other(bucket, "another", NULL);
    check_known_of_other("elsewhere", object_key, NULL);
    check_known_of_other(bucket, object_key, "v0");
}

#define PLAIN ((struct kb_object_get){.raw = false})

static void test_as_stored(void)
{
    begin("v1");
    check_get(PLAIN, KB_OK, "", NULL);
    begin("");
    check_get(PLAIN, KB_OK, "", NULL);
    begin("");
    world.etag = "other";
    check_get(PLAIN, KB_ERR_AUTH, "aa", "another ETag");
    begin("");
    world.body = "BODY";
    check_get(PLAIN, KB_ERR_AUTH, "", "its SHA-256");
    /* It had no versions when it was stored. */
    begin("");
    world.version = "null";
    check_get(PLAIN, KB_OK, "", NULL);
}

/* A new version, of somebody else, over ours. */
static void test_replaced(void)
{
    begin("v1");
    world.version = "v2";
    world.under = 0;
    check_get(PLAIN, KB_ERR_AUTH, "a-a-", "other versions only");
    begin("v1");
    world.version = "v2";
    world.under = 0;
    check_get((struct kb_object_get){.raw = true}, KB_ERR_AUTH, "a-a-", "other versions only");
    /* Not even when all keys are tried: it is under none. */
    begin("v1");
    world.version = "v2";
    world.under = 0;
    check_get((struct kb_object_get){.try_all_keys = true}, KB_ERR_AUTH, "a-a-", NULL);
    begin("v1");
    world.version = "v2";
    check_get(PLAIN, KB_ERR_AUTH, "aa", "other versions only");
    /* Who names the key or the version takes it. */
    begin("v1");
    world.version = "v2";
    check_get((struct kb_object_get){.key = "a"}, KB_OK, "aa", NULL);
    begin("v1");
    world.version = world.asked_version = "v2";
    world.under = 0;
    check_get(PLAIN, KB_OK, "-", NULL);
    /* What we deleted, or only began, does not speak for what is there. */
    begin("v1");
    world.version = "v2";
    world.under = 0;
    world.rows[1].state = KB_VAULT_REMOVED;
    check_get(PLAIN, KB_OK, "-", NULL);
    begin("v1");
    world.version = "v2";
    world.under = 0;
    world.rows[1].state = KB_VAULT_PENDING;
    check_get(PLAIN, KB_OK, "a-", NULL);
}

static void store_v2(void)
{
    world.version = "v2";
    world.etag = "new";
    add_row(0, KB_VAULT_STORED, "a", "v2", "new");
}

static void test_meanwhile(void)
{
    begin("v1");
    world.is_message = true; /* so it is looked for by HEAD */
    world.meanwhile = store_v2;
    check_get(PLAIN, KB_OK, "aa", NULL);
}

/* An upload that was begun once, under the same key. */
static void test_pending(void)
{
    begin("");
    add_row(0, KB_VAULT_PENDING, "a", "", "");
    check_get(PLAIN, KB_OK, "a", NULL);
    begin("");
    add_row(0, KB_VAULT_PENDING, "a", "", "");
    world.body = "BODY";
    check_get(PLAIN, KB_ERR_AUTH, "a", "its SHA-256");
    /* It may have come to its end: then nobody knows what it stored. */
    begin("");
    add_row(0, KB_VAULT_PENDING, "a", "", "");
    world.etag = "other";
    world.body = "BODY";
    check_get(PLAIN, KB_OK, "a", NULL);
    begin("v1");
    add_row(0, KB_VAULT_PENDING, "a", "", "");
    world.version = "v2";
    check_get(PLAIN, KB_OK, "a", NULL);
    /* One that is older, or under another key, does not tell why. */
    begin("");
    add_row(2, KB_VAULT_PENDING, "a", "", "");
    world.etag = "other";
    check_get(PLAIN, KB_ERR_AUTH, "aa", "another ETag");
    begin("");
    add_row(0, KB_VAULT_PENDING, "b", "", "");
    world.etag = "other";
    check_get(PLAIN, KB_ERR_AUTH, "baba", "another ETag");
    /* Not before what was stored either. */
    begin("");
    add_row(2, KB_VAULT_PENDING, "b", "", "");
    add_row(0, KB_VAULT_STORED, "a", "", "newer");
    world.under = 'b';
    world.etag = "other";
    check_get(PLAIN, KB_ERR_AUTH, "abab", "another ETag");
    /* What was overwritten, and is back, is none. */
    begin("");
    world.rows[1].state = KB_VAULT_REMOVED;
    add_row(0, KB_VAULT_STORED, "a", "", "newer");
    check_get(PLAIN, KB_ERR_AUTH, "aa", "another ETag");
}

/* Two uploads ran at once: the server has either, and no third one. */
static void test_stored_at_once(void)
{
    static const char *const versions[] = {"", "null"};

    for (size_t i = 0; i < 2; i++) {
        begin(versions[i]);
        add_row(0, KB_VAULT_STORED, "b", versions[i], "newer");
        add_row(2, KB_VAULT_REMOVED, "a", versions[i], "before");
        check_get(PLAIN, KB_OK, "ba", NULL);
        world.under = 'b';
        world.etag = "newer";
        *world.log = 0;
        check_get(PLAIN, KB_OK, "", NULL);
        world.under = 'a';
        world.etag = "before";
        check_get(PLAIN, KB_ERR_AUTH, "baba", "another ETag");
        /* The ETag of one under the key of the other. */
        world.etag = "newer";
        *world.log = 0;
        check_get(PLAIN, KB_ERR_AUTH, "baba", "another ETag");
        /* Under no customer key ETags tell, and the SHA-256 of each. */
        world.under = 0;
        world.rows[0].key_id[0] = world.rows[1].key_id[0] = 0;
        for (size_t at = 0; at < 2; at++)
            snprintf(world.rows[at].encryption, sizeof world.rows[at].encryption, "sse-s3");
        world.etag = "etag";
        *world.log = 0;
        check_get(PLAIN, KB_OK, "-", NULL);
        world.body = "BODY";
        *world.log = 0;
        check_get(PLAIN, KB_ERR_AUTH, "-", "its SHA-256");
    }
}

static void test_disabled(void)
{
    begin("");
    add_row(0, KB_VAULT_PENDING, "b", "", "");
    world.disabled = "b";
    check_get(PLAIN, KB_OK, "a", NULL);
    begin("");
    world.rows[1].key_id[0] = 0;
    add_row(0, KB_VAULT_PENDING, "b", "", "");
    world.under = 0;
    world.disabled = "b";
    check_get(PLAIN, KB_OK, "-", NULL);
    /* No other answer: that is why. */
    begin("");
    world.disabled = "a";
    check_get(PLAIN, KB_ERR_DENIED, "-", "key a is disabled");
    begin("");
    world.disabled = "a";
    check_get((struct kb_object_get){.key = "a"}, KB_ERR_DENIED, "", "key a is disabled");
    begin("");
    world.disabled = "a";
    check_get((struct kb_object_get){.try_all_keys = true}, KB_ERR_DENIED, "-", "is disabled");
}

/* The row is of bytes that the server encrypted; the server says that they are a
 * message, which somebody else made. */
static void test_message(void)
{
    begin("");
    world.is_message = true;
    check_get(PLAIN, KB_OK, "a", NULL);
    begin("");
    world.is_message = true;
    world.body = "BODY";
    check_get(PLAIN, KB_ERR_AUTH, "a", "its SHA-256");
    begin("");
    world.is_message = true;
    world.body = "longer";
    check_get(PLAIN, KB_ERR_AUTH, "a", "its size");
    begin("");
    world.body = "BODY";
    check_get((struct kb_object_get){.is_envelope = true}, KB_ERR_AUTH, "a", "its SHA-256");
    /* And the other way round. */
    begin("");
    snprintf(world.rows[1].encryption, sizeof world.rows[1].encryption, "client-envelope");
    check_get(PLAIN, KB_ERR_AUTH, "a", "another encryption");
    begin("");
    snprintf(world.rows[1].encryption, sizeof world.rows[1].encryption, "client-envelope");
    world.is_message = true;
    check_get(PLAIN, KB_ERR_AUTH, "a", "its size");
}

/* Keys go to servers that had them, or for which they were made. */
static void test_keys_shown(void)
{
    static char here[] = "bucket/", prefix[] = "bucket/k", other[] = "bucket2/";

    begin("");
    world.rows[1].endpoint = elsewhere;
    check_get(PLAIN, KB_ERR_AUTH, "-", "does not name");
    begin("");
    world.rows[1].endpoint = elsewhere;
    add_key(2, "c", other, 0);
    add_key(3, "d", prefix, 0);
    check_get((struct kb_object_get){.try_all_keys = true}, KB_ERR_AUTH, "-d", "does not name");
    /* Brought in from elsewhere, for nothing yet; and one of another object here. */
    begin("");
    world.rows[1].key_id[0] = 0;
    world.under = 'c';
    add_row(2, KB_VAULT_STORED, "b", "", "");
    world.rows[2].object_key = prefix;
    add_row(3, KB_VAULT_REMOVED, "b", "", "");
    world.rows[3].object_key = prefix;
    add_key(2, "c", NULL, 0);
    check_get((struct kb_object_get){.try_all_keys = true}, KB_OK, "-bc", NULL);
    /* The key of a prefix: used elsewhere only, not at all yet, here. */
    for (int i = 0; i < 3; i++) {
        begin("");
        world.rows[1].endpoint = i == 2 ? realm : elsewhere;
        world.rows[1].object_key = prefix;
        world.scope = "a";
        add_key(0, "a", here, i != 1);
        check_get(PLAIN, i ? KB_OK : KB_ERR_AUTH, i ? "-a" : "-", NULL);
    }
}

int main(int argc, char **argv)
{
    static const struct kbtest tests[] = {
        {"as-stored", test_as_stored}, {"known-of-another", test_known_of_other},
        {"replaced", test_replaced},
        {"meanwhile", test_meanwhile}, {"pending", test_pending},
        {"stored-at-once", test_stored_at_once},
        {"disabled", test_disabled},   {"message", test_message},
        {"keys-shown", test_keys_shown}, {NULL, NULL},
    };

    return kbtest_main("object_find", tests, argc, argv);
}
