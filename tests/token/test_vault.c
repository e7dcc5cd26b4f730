/* SPDX-License-Identifier: Apache-2.0
 *
 * The vault on real tokens: what it keeps, and everything somebody may do to its
 * file.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sqlite3.h>

#include <keybridge/file.h>
#include <keybridge/vault.h>

#include "backends.h"
#include "keystore/counter.h"

/* A vault of the test's own. */
struct trial {
    enum token_kind kind;
    struct kb_keystore *keystore;
    struct kb_vault *vault;
    char path[400];
};

static enum kb_status open_vault(struct trial *trial, bool create, struct kb_error *err)
{
    struct kb_vault_options options = {.path = trial->path, .create = create};

    return kb_vault_open(&trial->vault, trial->keystore, &options, err);
}

static struct trial trial_open(enum token_kind kind)
{
    static unsigned made;
    struct trial trial = {.kind = kind, .keystore = backend_keystore(kind)};
    struct kb_error err = {0};

    CU_ASSERT_PTR_NOT_NULL_FATAL(trial.keystore);
    snprintf(trial.path, sizeof trial.path, "%s/vault-%u.db", kbtest_folder(), made++);
    KBT_OK(open_vault(&trial, true, &err), &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(trial.vault);
    return trial;
}

static void trial_close(struct trial *trial)
{
    kb_vault_close(trial->vault);
    trial->vault = NULL;
}

/* Closed and opened: what is in the file, and in nobody's memory. */
static void trial_again(struct trial *trial)
{
    struct kb_error err = {0};

    trial_close(trial);
    KBT_OK(open_vault(trial, false, &err), &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(trial->vault);
}

static struct kb_vault_key make_key(struct trial *trial, const struct kb_vault_spec *spec,
                                    struct kb_secret **plain)
{
    struct kb_error err = {0};
    struct kb_vault_key key = {.id = ""};

    KBT_OK(kb_vault_make(trial->vault, spec, 1, &key, plain, &err), &err);
    return key;
}

/* --- keys ------------------------------------------------------------------------------------- */

static void keys_are_made_found_and_released(enum token_kind kind)
{
    struct trial trial = trial_open(kind);
    struct kb_vault_spec specs[KB_VAULT_BATCH_MAX] = {{KB_VAULT_FOR_OBJECT, NULL, "a/b"},
                                                      {KB_VAULT_FOR_PREFIX, NULL, "b/p"},
                                                      {KB_VAULT_NAMED, "backup", NULL}};
    struct kb_vault_key keys[KB_VAULT_BATCH_MAX], found;
    struct kb_secret *plain[KB_VAULT_BATCH_MAX], *again;
    struct kb_error err = {0};

    KBT_OK(kb_vault_make(trial.vault, specs, KB_VAULT_BATCH_MAX, keys, plain, &err), &err);
    trial_again(&trial);
    for (size_t i = 0; i < KB_VAULT_BATCH_MAX; i++) {
        CU_ASSERT_EQUAL(kb_secret_view(plain[i]).size, 32);
        KBT_OK(kb_vault_release(trial.vault, keys[i].id, true, NULL, &again, &err), &err);
        CU_ASSERT_TRUE(kb_secret_equal(kb_secret_view(plain[i]), kb_secret_view(again)));
        CU_ASSERT_FALSE(i + 1 < KB_VAULT_BATCH_MAX &&
                        kb_secret_equal(kb_secret_view(plain[i]), kb_secret_view(plain[i + 1])));
        KBT_OK(kb_vault_find_key(trial.vault, keys[i].fingerprint, &found, &err), &err);
        CU_ASSERT_STRING_EQUAL(found.id, keys[i].id);
        CU_ASSERT_STRING_EQUAL(found.scope, keys[i].scope);
        CU_ASSERT_EQUAL(found.purpose, keys[i].purpose);
        kb_vault_key_free(&found);
        kb_vault_key_free(&keys[i]);
        kb_secret_free(plain[i]);
        kb_secret_free(again);
    }
    KBT_OK(kb_vault_find_key(trial.vault, "backup", &found, &err), &err);
    CU_ASSERT_STRING_EQUAL(found.id, keys[2].id);
    kb_vault_key_free(&found);
    FAILS(kb_vault_find_key(trial.vault, "", &found, &err), KB_ERR_NOT_FOUND, &err);
    FAILS(kb_vault_find_key(trial.vault, "nobody", &found, &err), KB_ERR_NOT_FOUND, &err);
    FAILS(kb_vault_make(trial.vault, &specs[2], 1, keys, plain, &err), KB_ERR_EXISTS, &err);
    FAILS(kb_vault_make(trial.vault, specs, 0, keys, plain, &err), KB_ERR_USAGE, &err);
    FAILS(kb_vault_make(trial.vault, specs, KB_VAULT_BATCH_MAX + 1, keys, plain, &err),
          KB_ERR_USAGE, &err);
    trial_close(&trial);
}
DEFINE_BOTH(keys_are_made_found_and_released)

static void states_and_scopes(enum token_kind kind)
{
    struct trial trial = trial_open(kind);
    struct kb_vault_key key, narrow, found;
    struct kb_secret *plain, *other, *out;
    struct kb_error err = {0};

    key = make_key(&trial, &(struct kb_vault_spec){KB_VAULT_FOR_PREFIX, NULL, "b/p"}, &plain);
    narrow = make_key(&trial, &(struct kb_vault_spec){KB_VAULT_FOR_PREFIX, NULL, "b/pre"}, &other);
    KBT_OK(kb_vault_find_scope(trial.vault, "b", "prefix", &found, &err), &err);
    CU_ASSERT_STRING_EQUAL(found.id, narrow.id);
    kb_vault_key_free(&found);
    KBT_OK(kb_vault_find_scope(trial.vault, "b", "pr", &found, &err), &err);
    CU_ASSERT_STRING_EQUAL(found.id, key.id);
    kb_vault_key_free(&found);
    FAILS(kb_vault_find_scope(trial.vault, "b", "x", &found, &err), KB_ERR_NOT_FOUND, &err);
    FAILS(kb_vault_find_scope(trial.vault, "c", "prefix", &found, &err), KB_ERR_NOT_FOUND, &err);

    KBT_OK(kb_vault_set_state(trial.vault, narrow.id, KB_VAULT_RETIRED, &err), &err);
    KBT_OK(kb_vault_find_scope(trial.vault, "b", "prefix", &found, &err), &err);
    CU_ASSERT_STRING_EQUAL(found.id, key.id);
    kb_vault_key_free(&found);
    FAILS(kb_vault_release(trial.vault, narrow.id, true, NULL, &out, &err), KB_ERR_DENIED, &err);
    CU_ASSERT_PTR_NULL(out);
    KBT_OK(kb_vault_release(trial.vault, narrow.id, false, "a reason", &out, &err), &err);
    CU_ASSERT_TRUE(kb_secret_equal(kb_secret_view(out), kb_secret_view(other)));
    kb_secret_free(out);
    KBT_OK(kb_vault_set_state(trial.vault, narrow.id, KB_VAULT_DISABLED, &err), &err);
    FAILS(kb_vault_release(trial.vault, narrow.id, false, "a reason", &out, &err), KB_ERR_DENIED,
          &err);
    KBT_OK(kb_vault_set_state(trial.vault, narrow.id, KB_VAULT_ACTIVE, &err), &err);
    KBT_OK(kb_vault_release(trial.vault, narrow.id, true, NULL, &out, &err), &err);
    kb_secret_free(out);
    FAILS(kb_vault_set_state(trial.vault, "nobody", KB_VAULT_ACTIVE, &err), KB_ERR_NOT_FOUND,
          &err);
    kb_vault_key_free(&key);
    kb_vault_key_free(&narrow);
    kb_secret_free(plain);
    kb_secret_free(other);
    trial_close(&trial);
}
DEFINE_BOTH(states_and_scopes)

/* --- the inventory ------------------------------------------------------------------------ */

static struct kb_vault_object object_of(const char *name, const char *version, const char *key_id)
{
    struct kb_vault_object object = {
        .endpoint = (char *)(uintptr_t)"https://s3.example", .bucket = (char *)(uintptr_t)"b",
        .object_key = (char *)(uintptr_t)name, .has_sha256 = true, .sha256 = {1, 2, 3},
        .size = 5, .etag = "e", .encryption = "sse-c"};

    snprintf(object.version, sizeof object.version, "%s", version);
    snprintf(object.key_id, sizeof object.key_id, "%s", key_id);
    return object;
}

static enum kb_status list_object(void *ctx, const struct kb_vault_object *object,
                                  struct kb_error *err)
{
    char *list = ctx;

    (void)err;
    snprintf(list + strlen(list), 1000 - strlen(list), "%s@%s%s ", object->object_key,
             object->version, object->state == KB_VAULT_STORED ? "" : "?");
    return KB_OK;
}

static void lists(struct trial *trial, const struct kb_vault_query *query, const char *want)
{
    struct kb_error err = {0};
    char list[1000] = "";

    KBT_OK(kb_vault_each_object(trial->vault, query, list_object, list, &err), &err);
    CU_ASSERT_STRING_EQUAL(list, want);
}

static void the_inventory(enum token_kind kind)
{
    struct trial trial = trial_open(kind);
    struct kb_vault_object objects[] = {object_of("p/1", "", ""), object_of("p/2", "v1", ""),
                                        object_of("p/2", "v2", ""), object_of("q", "", "")};
    const char *const names[] = {"q", "p", "p/2"};
    const struct kb_vault_query too_many = {
        .bucket = "b", .object_keys = names, .count = KB_VAULT_BATCH_MAX + 1};
    struct kb_error err = {0};

    KBT_OK(kb_vault_add_objects(trial.vault, objects, 4, &err), &err);
    objects[1].state = objects[2].state = KB_VAULT_STORED;
    KBT_OK(kb_vault_update_objects(trial.vault, &objects[1], 2, &err), &err);
    trial_again(&trial);
    lists(&trial, &(struct kb_vault_query){.bucket = "b"}, "p/1@? p/2@v2 p/2@v1 q@? ");
    lists(&trial, &(struct kb_vault_query){.bucket = NULL}, "p/1@? p/2@v2 p/2@v1 q@? ");
    lists(&trial, &(struct kb_vault_query){.bucket = "c"}, "");
    lists(&trial, &(struct kb_vault_query){.bucket = "b", .object_key = "p/", .prefix = true},
          "p/1@? p/2@v2 p/2@v1 ");
    lists(&trial, &(struct kb_vault_query){.bucket = "b", .object_key = "p/2"}, "p/2@v2 p/2@v1 ");
    lists(&trial, &(struct kb_vault_query){.bucket = "b", .object_key = "p/2", .version = "v1"},
          "p/2@v1 ");
    lists(&trial, &(struct kb_vault_query){.endpoint = "else", .bucket = "b"}, "");
    lists(&trial, &(struct kb_vault_query){.bucket = "b", .object_keys = names, .count = 3},
          "q@? p/2@v2 p/2@v1 ");
    lists(&trial, &(struct kb_vault_query){.bucket = "b", .object_keys = names, .count = 1},
          "q@? ");
    lists(&trial, &(struct kb_vault_query){.bucket = "c", .object_keys = names, .count = 3}, "");
    lists(&trial, &(struct kb_vault_query){.endpoint = "https://s3.example", .bucket = "b",
                                           .object_keys = &names[1], .count = 1}, "");
    FAILS(kb_vault_each_object(trial.vault, &too_many, list_object, NULL, &err), KB_ERR_USAGE,
          &err);
    KBT_OK(kb_vault_remove_objects(trial.vault, &objects[1].row, 1, &err), &err);
    trial_again(&trial);
    lists(&trial, &(struct kb_vault_query){.bucket = "b", .object_key = "p/2"}, "p/2@v2 ");
    FAILS(kb_vault_remove_objects(trial.vault, &objects[1].row, 1, &err), KB_ERR_NOT_FOUND, &err);
    FAILS(kb_vault_update_objects(trial.vault, &objects[1], 1, &err), KB_ERR_NOT_FOUND, &err);
    trial_close(&trial);
}
DEFINE_BOTH(the_inventory)

static enum kb_vault_state state_of(struct trial *trial, const char *id)
{
    struct kb_vault_key key = {.state = KB_VAULT_DISABLED};
    struct kb_error err = {0};

    KBT_OK(kb_vault_find_key(trial->vault, id, &key, &err), &err);
    kb_vault_key_free(&key);
    return key.state;
}

/* A key for one object, and its pending row. */
static struct kb_vault_object begin_object(struct trial *trial, const char *name)
{
    struct kb_secret *plain;
    struct kb_vault_key key =
        make_key(trial, &(struct kb_vault_spec){KB_VAULT_FOR_OBJECT, NULL, "b/o"}, &plain);
    struct kb_vault_object object = object_of(name, "", key.id);
    struct kb_error err = {0};

    KBT_OK(kb_vault_add_objects(trial->vault, &object, 1, &err), &err);
    kb_vault_key_free(&key);
    kb_secret_free(plain);
    return object;
}

static void store(struct trial *trial, struct kb_vault_object *objects, size_t n)
{
    struct kb_error err = {0};

    for (size_t i = 0; i < n; i++)
        objects[i].state = KB_VAULT_STORED;
    KBT_OK(kb_vault_update_objects(trial->vault, objects, n, &err), &err);
}

static void what_is_overwritten(enum token_kind kind)
{
    struct trial trial = trial_open(kind);
    struct kb_vault_object version = begin_object(&trial, "o"), another, first, second, third;
    struct kb_vault_object waiting = begin_object(&trial, "o");
    struct kb_error err = {0};

    /* A version stays, whatever comes after it; so does what is under way. */
    snprintf(version.version, sizeof version.version, "v1");
    store(&trial, &version, 1);
    another = begin_object(&trial, "oo");
    store(&trial, &another, 1);
    first = begin_object(&trial, "o");
    store(&trial, &first, 1);
    second = begin_object(&trial, "o");
    CU_ASSERT_EQUAL(state_of(&trial, first.key_id), KB_VAULT_ACTIVE);
    store(&trial, &second, 1);
    lists(&trial, &(struct kb_vault_query){.bucket = "b", .object_key = "o"}, "o@ o@? o@? o@v1 ");
    CU_ASSERT_EQUAL(state_of(&trial, version.key_id), KB_VAULT_ACTIVE);
    CU_ASSERT_EQUAL(state_of(&trial, waiting.key_id), KB_VAULT_ACTIVE);
    CU_ASSERT_EQUAL(state_of(&trial, another.key_id), KB_VAULT_ACTIVE);
    CU_ASSERT_EQUAL(state_of(&trial, first.key_id), KB_VAULT_RETIRED);
    CU_ASSERT_EQUAL(state_of(&trial, second.key_id), KB_VAULT_ACTIVE);
    /* Versions are suspended. */
    third = begin_object(&trial, "o");
    snprintf(third.version, sizeof third.version, "null");
    store(&trial, &third, 1);
    lists(&trial, &(struct kb_vault_query){.bucket = "b", .object_key = "o"},
          "o@null o@? o@? o@? o@v1 ");
    CU_ASSERT_EQUAL(state_of(&trial, second.key_id), KB_VAULT_RETIRED);
    CU_ASSERT_EQUAL(state_of(&trial, third.key_id), KB_VAULT_ACTIVE);
    trial_again(&trial);
    KBT_OK(kb_vault_check(trial.vault, NULL, NULL, &err), &err);
    trial_close(&trial);
}
DEFINE_BOTH(what_is_overwritten)

/* Two processes store one name. Whichever is noted first, and however late: each may be the
 * one that the server has. What was there before both is neither. */
static void stored_at_once(struct trial *one, struct trial *other, bool first_is_first)
{
    struct kb_vault_object before = begin_object(one, "o"), slow, fast, next;
    struct kb_error err = {0};

    store(one, &before, 1);
    slow = begin_object(one, "o");
    fast = begin_object(other, "o");
    if (first_is_first)
        store(one, &slow, 1);
    store(other, &fast, 1);
    if (!first_is_first)
        store(one, &slow, 1);
    CU_ASSERT_EQUAL(state_of(one, before.key_id), KB_VAULT_RETIRED);
    CU_ASSERT_EQUAL(state_of(one, slow.key_id), KB_VAULT_ACTIVE);
    CU_ASSERT_EQUAL(state_of(one, fast.key_id), KB_VAULT_ACTIVE);
    lists(one, &(struct kb_vault_query){.bucket = "b", .object_key = "o"}, "o@ o@ o@? ");
    /* One that was begun behind both took the place of both. */
    next = begin_object(other, "o");
    store(other, &next, 1);
    CU_ASSERT_EQUAL(state_of(one, slow.key_id), KB_VAULT_RETIRED);
    CU_ASSERT_EQUAL(state_of(one, fast.key_id), KB_VAULT_RETIRED);
    CU_ASSERT_EQUAL(state_of(one, next.key_id), KB_VAULT_ACTIVE);
    lists(other, &(struct kb_vault_query){.bucket = "b", .object_key = "o"}, "o@ o@? o@? o@? ");
    KBT_OK(kb_vault_remove_objects(one->vault, (int64_t[]){next.row, fast.row, slow.row,
                                                           before.row}, 4, &err), &err);
}

static void what_is_stored_at_once(enum token_kind kind)
{
    struct trial one = trial_open(kind), other = one;
    struct kb_vault_object batch[2];
    struct kb_error err = {0};

    KBT_OK(open_vault(&other, false, &err), &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(other.vault);
    stored_at_once(&one, &other, true);
    stored_at_once(&one, &other, false);
    stored_at_once(&one, &one, false);
    /* In one transaction. */
    batch[0] = begin_object(&one, "o");
    batch[1] = begin_object(&one, "o");
    store(&one, batch, 2);
    lists(&other, &(struct kb_vault_query){.bucket = "b", .object_key = "o"}, "o@ o@ ");
    KBT_OK(kb_vault_check(other.vault, NULL, NULL, &err), &err);
    trial_close(&other);
    trial_close(&one);
}
DEFINE_BOTH(what_is_stored_at_once)

/* A rotation saw the key active; meanwhile its owner disabled it, through another handle. */
static void disabled_keys_are_not_retired(enum token_kind kind)
{
    struct trial one = trial_open(kind), other = one;
    struct kb_vault_object object = begin_object(&one, "o");
    struct kb_secret *out = NULL;
    struct kb_error err = {0};

    KBT_OK(open_vault(&other, false, &err), &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(other.vault);
    CU_ASSERT_EQUAL(state_of(&one, object.key_id), KB_VAULT_ACTIVE);
    KBT_OK(kb_vault_set_state(other.vault, object.key_id, KB_VAULT_DISABLED, &err), &err);
    KBT_OK(kb_vault_retire(one.vault, object.key_id, &err), &err);
    CU_ASSERT_EQUAL(state_of(&one, object.key_id), KB_VAULT_DISABLED);
    FAILS(kb_vault_release(one.vault, object.key_id, false, NULL, &out, &err), KB_ERR_DENIED,
          &err);
    KBT_OK(kb_vault_set_state(other.vault, object.key_id, KB_VAULT_ACTIVE, &err), &err);
    for (int i = 0; i < 2; i++) {
        KBT_OK(kb_vault_retire(one.vault, object.key_id, &err), &err);
        CU_ASSERT_EQUAL(state_of(&other, object.key_id), KB_VAULT_RETIRED);
    }
    FAILS(kb_vault_retire(one.vault, "nobody", &err), KB_ERR_NOT_FOUND, &err);
    KBT_OK(kb_vault_check(one.vault, NULL, NULL, &err), &err);
    trial_close(&other);
    trial_close(&one);
}
DEFINE_BOTH(disabled_keys_are_not_retired)

static void keys_that_nothing_uses(enum token_kind kind)
{
    struct trial trial = trial_open(kind);
    struct kb_vault_object failed = begin_object(&trial, "a"), gone = begin_object(&trial, "b"),
                           shared = object_of("c", "", gone.key_id);
    struct kb_secret *plain;
    struct kb_vault_key named =
        make_key(&trial, &(struct kb_vault_spec){KB_VAULT_NAMED, "n", NULL}, &plain);
    struct kb_vault_object under = object_of("d", "", named.id);
    struct kb_error err = {0};

    KBT_OK(kb_vault_add_objects(trial.vault, &shared, 1, &err), &err);
    KBT_OK(kb_vault_add_objects(trial.vault, &under, 1, &err), &err);
    KBT_OK(kb_vault_remove_objects(trial.vault, &failed.row, 1, &err), &err);
    CU_ASSERT_EQUAL(state_of(&trial, failed.key_id), KB_VAULT_RETIRED);
    gone.state = under.state = shared.state = KB_VAULT_REMOVED;
    KBT_OK(kb_vault_update_objects(trial.vault, &gone, 1, &err), &err);
    CU_ASSERT_EQUAL(state_of(&trial, gone.key_id), KB_VAULT_ACTIVE);
    KBT_OK(kb_vault_update_objects(trial.vault, &shared, 1, &err), &err);
    CU_ASSERT_EQUAL(state_of(&trial, gone.key_id), KB_VAULT_RETIRED);
    KBT_OK(kb_vault_update_objects(trial.vault, &under, 1, &err), &err);
    CU_ASSERT_EQUAL(state_of(&trial, named.id), KB_VAULT_ACTIVE);
    kb_vault_key_free(&named);
    kb_secret_free(plain);
    trial_close(&trial);
}
DEFINE_BOTH(keys_that_nothing_uses)

/* --- uploads and events ------------------------------------------------------------------- */

static void uploads(enum token_kind kind)
{
    struct trial trial = trial_open(kind);
    struct kb_vault_object object = object_of("big", "", "");
    struct kb_vault_upload upload = {.upload = (char *)(uintptr_t)"id", .part_size = 7,
                                     .source = (char *)(uintptr_t)"/f 1 2 3"};
    struct kb_s3_known_part part = {.part = {.number = 2, .size = 9}}, *parts;
    struct kb_error err = {0};
    size_t count;

    KBT_OK(kb_vault_add_objects(trial.vault, &object, 1, &err), &err);
    upload.object_row = object.row;
    FAILS(kb_vault_add_part(trial.vault, object.row, &part, &err), KB_ERR_NOT_FOUND, &err);
    KBT_OK(kb_vault_add_upload(trial.vault, &upload, &err), &err);
    FAILS(kb_vault_add_upload(trial.vault, &upload, &err), KB_ERR_EXISTS, &err);
    KBT_OK(kb_vault_add_part(trial.vault, object.row, &part, &err), &err);
    part.part.number = 1;
    KBT_OK(kb_vault_add_part(trial.vault, object.row, &part, &err), &err);
    snprintf(part.part.etag, sizeof part.part.etag, "tag");
    KBT_OK(kb_vault_add_part(trial.vault, object.row, &part, &err), &err);
    trial_again(&trial);
    KBT_OK(kb_vault_get_upload(trial.vault, object.row, &upload, &parts, &count, &err), &err);
    CU_ASSERT_EQUAL_FATAL(count, 2);
    CU_ASSERT_STRING_EQUAL(upload.source, "/f 1 2 3");
    CU_ASSERT_STRING_EQUAL(upload.header, "");
    CU_ASSERT_EQUAL(upload.part_size, 7);
    CU_ASSERT_EQUAL(parts[0].part.number, 1);
    CU_ASSERT_STRING_EQUAL(parts[0].part.etag, "tag");
    CU_ASSERT_STRING_EQUAL(parts[1].part.etag, "");
    kb_vault_upload_free(&upload);
    free(parts);
    KBT_OK(kb_vault_end_upload(trial.vault, object.row, &err), &err);
    FAILS(kb_vault_end_upload(trial.vault, object.row, &err), KB_ERR_NOT_FOUND, &err);
    FAILS(kb_vault_get_upload(trial.vault, object.row, &upload, &parts, &count, &err),
          KB_ERR_NOT_FOUND, &err);
    KBT_OK(kb_vault_check(trial.vault, NULL, NULL, &err), &err);
    trial_close(&trial);
}
DEFINE_BOTH(uploads)

static enum kb_status list_event(void *ctx, const struct kb_vault_event *event,
                                 struct kb_error *err)
{
    char *list = ctx;

    (void)err;
    snprintf(list + strlen(list), 1000 - strlen(list), "%llu:%s ",
             (unsigned long long)event->number, event->what);
    return KB_OK;
}

static void events(enum token_kind kind)
{
    struct trial trial = trial_open(kind);
    struct kb_secret *plain, *out;
    struct kb_vault_key key =
        make_key(&trial, &(struct kb_vault_spec){KB_VAULT_NAMED, "e", NULL}, &plain);
    struct kb_error err = {0};
    char list[1000] = "";

    for (size_t i = 0; i < 2; i++) {
        KBT_OK(kb_vault_release(trial.vault, key.id, false, i ? "two" : "one", &out, &err), &err);
        kb_secret_free(out);
    }
    /* What is refused is no event. */
    KBT_OK(kb_vault_set_state(trial.vault, key.id, KB_VAULT_DISABLED, &err), &err);
    FAILS(kb_vault_release(trial.vault, key.id, false, "three", &out, &err), KB_ERR_DENIED, &err);
    KBT_OK(kb_vault_each_event(trial.vault, list_event, list, &err), &err);
    CU_ASSERT_STRING_EQUAL(list, "1:one 2:two ");
    kb_vault_key_free(&key);
    kb_secret_free(plain);
    trial_close(&trial);
}
DEFINE_BOTH(events)

/* --- somebody else's hand ----------------------------------------------------------------- */

/* A vault with a row in every table, closed. */
static struct trial filled(enum token_kind kind)
{
    struct trial trial = trial_open(kind);
    struct kb_secret *plain[2], *out;
    struct kb_vault_key key = make_key(
        &trial, &(struct kb_vault_spec){KB_VAULT_FOR_PREFIX, "name-a", "b/p"}, &plain[0]);
    struct kb_vault_key other =
        make_key(&trial, &(struct kb_vault_spec){KB_VAULT_NAMED, "name-b", "x"}, &plain[1]);
    struct kb_vault_object objects[] = {object_of("big", "", key.id),
                                        object_of("small", "v", other.id)};
    struct kb_vault_upload upload = {.upload = (char *)(uintptr_t)"id", .part_size = 7,
                                     .source = (char *)(uintptr_t)"f",
                                     .header = (char *)(uintptr_t)"{}"};
    struct kb_s3_known_part part = {.part = {.number = 2, .size = 9, .etag = "t"}};
    struct kb_error err = {0};

    KBT_OK(kb_vault_add_objects(trial.vault, objects, 2, &err), &err);
    for (size_t i = 0; i < 2; i++) {
        upload.object_row = objects[i].row;
        KBT_OK(kb_vault_add_upload(trial.vault, &upload, &err), &err);
        KBT_OK(kb_vault_add_part(trial.vault, objects[i].row, &part, &err), &err);
        KBT_OK(kb_vault_release(trial.vault, key.id, false, "why", &out, &err), &err);
        kb_secret_free(out);
        kb_secret_free(plain[i]);
    }
    kb_vault_key_free(&key);
    kb_vault_key_free(&other);
    trial_close(&trial);
    return trial;
}

/* Runs SQL on the file as somebody with SQLite would. */
static void edit(const char *path, const char *sql)
{
    char *why = NULL;
    sqlite3 *db;

    CU_ASSERT_EQUAL_FATAL(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK) {
        fprintf(stderr, "%s: %s\n", sql, why);
        CU_FAIL("the edit failed");
    }
    sqlite3_free(why);
    sqlite3_close(db);
}

/* Without waiting for the disk, which is most of what such a test would do. */
static void write_file(const char *path, struct kb_bytes bytes)
{
    FILE *file = fopen(path, "w");

    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    CU_ASSERT_EQUAL(fwrite(bytes.data, 1, bytes.size, file), bytes.size);
    CU_ASSERT_EQUAL(fclose(file), 0);
}

static void copy_file(const char *from, const char *to)
{
    struct kb_buffer bytes = KB_BUFFER_INIT(16 * 1024 * 1024);
    struct kb_error err = {0};

    KBT_OK(kb_file_read(&bytes, from, &err), &err);
    write_file(to, kb_buffer_view(&bytes));
    kb_buffer_free(&bytes);
}

static void save_vault(const struct trial *trial, char *saved, size_t room)
{
    static unsigned made;

    snprintf(saved, room, "%s.saved-%u", trial->path, made++);
    edit(trial->path, "PRAGMA wal_checkpoint(TRUNCATE)");
    copy_file(trial->path, saved);
}

static void put_back(const struct trial *trial, const char *saved)
{
    static const char *const beside[] = {"-wal", "-shm"};
    char path[500];

    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s%s", trial->path, beside[i]);
        unlink(path);
    }
    copy_file(saved, trial->path);
}

static enum kb_status ignore_key(void *ctx, const struct kb_vault_key *key, struct kb_error *err)
{
    (void)ctx;
    (void)key;
    (void)err;
    return KB_OK;
}

static enum kb_status ignore_object(void *ctx, const struct kb_vault_object *object,
                                    struct kb_error *err)
{
    (void)ctx;
    (void)object;
    (void)err;
    return KB_OK;
}

static enum kb_status ignore_event(void *ctx, const struct kb_vault_event *event,
                                   struct kb_error *err)
{
    (void)ctx;
    (void)event;
    (void)err;
    return KB_OK;
}

/* Opens it and reads all there is, as commands do that know nothing of an attack. */
static enum kb_status use_all(struct trial *trial, struct kb_error *err)
{
    struct kb_s3_known_part *parts = NULL;
    struct kb_vault_upload upload = {0};
    struct kb_vault_query all = {0};
    size_t count;
    enum kb_status status = open_vault(trial, false, err);

    if (status == KB_OK)
        status = kb_vault_each_key(trial->vault, ignore_key, NULL, err);
    if (status == KB_OK)
        status = kb_vault_each_object(trial->vault, &all, ignore_object, NULL, err);
    if (status == KB_OK)
        status = kb_vault_each_event(trial->vault, ignore_event, NULL, err);
    for (int64_t row = 1; row <= 2 && status == KB_OK; row++) {
        status = kb_vault_get_upload(trial->vault, row, &upload, &parts, &count, err);
        /* A part that is not met any more is sent again. */
        if (status == KB_OK && count != 1)
            status = kb_error_set(err, KB_ERR_NOT_FOUND, "%zu parts", count);
        kb_vault_upload_free(&upload);
        free(parts);
        parts = NULL;
    }
    return status;
}

/* It must be seen in use, and by the check when the vault opens at all. */
static void is_noticed(struct trial *trial, const char *what)
{
    struct kb_error err = {0}, why = {0};
    enum kb_status status = use_all(trial, &err);
    enum kb_status checked =
        trial->vault ? kb_vault_check(trial->vault, NULL, NULL, &why) : KB_ERR_AUTH;

    if ((status != KB_ERR_AUTH && status != KB_ERR_INPUT && status != KB_ERR_NOT_FOUND) ||
        (checked != KB_ERR_AUTH && checked != KB_ERR_INPUT)) {
        fprintf(stderr, "%s: %s, %s\n", what, kb_status_name(status), kb_status_name(checked));
        CU_FAIL("an edit was not noticed");
    }
    trial_close(trial);
}

static void every_column_of_every_row(enum token_kind kind)
{
    static const char *const tables[] = {"keys", "objects", "uploads", "parts", "events", "state"};
    struct trial trial = filled(kind);
    char saved[500], sql[600];
    struct kb_error err = {0};
    unsigned columns = 0;
    sqlite3_stmt *list;
    sqlite3 *db;

    save_vault(&trial, saved, sizeof saved);
    KBT_OK(use_all(&trial, &err), &err);
    trial_close(&trial);
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        CU_ASSERT_EQUAL_FATAL(sqlite3_open(saved, &db), SQLITE_OK);
        snprintf(sql, sizeof sql, "SELECT name, type FROM pragma_table_info('%s')", tables[i]);
        CU_ASSERT_EQUAL_FATAL(sqlite3_prepare_v2(db, sql, -1, &list, NULL), SQLITE_OK);
        while (sqlite3_step(list) == SQLITE_ROW) {
            const char *name = (const char *)sqlite3_column_text(list, 0);
            const char *type = (const char *)sqlite3_column_text(list, 1);
            char value[200];

            if (strcmp(type, "INTEGER") == 0)
                snprintf(value, sizeof value, "%s + 40", name);
            else if (strcmp(type, "TEXT") == 0)
                snprintf(value, sizeof value, "%s || 'x'", name);
            else
                snprintf(value, sizeof value,
                         "CAST(substr(%s, 1, length(%s) - 1) ||"
                         " CASE substr(%s, -1) WHEN x'78' THEN 'y' ELSE 'x' END AS BLOB)",
                         name, name, name);
            snprintf(sql, sizeof sql, "UPDATE %s SET %s = %s WHERE row = (SELECT max(row) FROM %s)",
                     tables[i], name, value, tables[i]);
            put_back(&trial, saved);
            edit(trial.path, sql);
            is_noticed(&trial, sql);
            columns++;
        }
        sqlite3_finalize(list);
        sqlite3_close(db);
    }
    CU_ASSERT_EQUAL(columns, 10 + 14 + 7 + 7 + 5 + 9);
}
DEFINE_BOTH(every_column_of_every_row)

static void rows_moved_about(enum token_kind kind)
{
    static const char *const edits[] = {
        "DELETE FROM keys WHERE row = 1",
        "DELETE FROM objects WHERE row = 2",
        "DELETE FROM events WHERE row = 2",
        "DELETE FROM parts WHERE row = 1",
        "DELETE FROM uploads",
        "DELETE FROM state",
        "INSERT INTO events SELECT row + 2, time, key_id, what, mac FROM events WHERE row = 1",
        "DELETE FROM events WHERE row = 2; INSERT INTO events SELECT 2, time, key_id, what, mac"
        " FROM events WHERE row = 1",
        "INSERT INTO objects SELECT row + 9, endpoint, bucket, object_key, version, key_id, state,"
        " encryption, sha256, size, etag, changed, later, mac FROM objects",
        "INSERT INTO state SELECT 2, id, serial, label, wrap_version, sign_version, counter,"
        " contents, mac FROM state",
        /* The key of one row in the other. */
        "UPDATE keys SET wrapped = (SELECT wrapped FROM keys WHERE row = 2) WHERE row = 1",
        "UPDATE keys SET mac = (SELECT mac FROM keys WHERE row = 2) WHERE row = 1",
        "UPDATE objects SET row = row + 10; UPDATE objects SET row = 13 - row",
        "UPDATE events SET mac = x''",
        "DROP TABLE parts",
        "UPDATE state SET contents = x'00'",
        "UPDATE state SET id = 'abcd'",
        "DROP INDEX keys_name; UPDATE keys SET name = 'name-a'",
    };
    struct trial trial = filled(kind);
    char saved[500];

    save_vault(&trial, saved, sizeof saved);
    for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
        put_back(&trial, saved);
        edit(trial.path, edits[i]);
        if (strstr(edits[i], "DROP TABLE")) {
            struct kb_error err = {0};

            CU_ASSERT_NOT_EQUAL(use_all(&trial, &err), KB_OK);
            trial_close(&trial);
        } else {
            is_noticed(&trial, edits[i]);
        }
    }
}
DEFINE_BOTH(rows_moved_about)

/* A row as it once was has a MAC that was right. */
static void a_row_put_back(enum token_kind kind)
{
    struct trial trial = filled(kind);
    struct kb_error err = {0};
    char sql[1200];

    edit(trial.path, "CREATE TABLE kept AS SELECT * FROM keys WHERE row = 2");
    KBT_OK(open_vault(&trial, false, &err), &err);
    KBT_OK(kb_vault_set_state(trial.vault, "name-b", KB_VAULT_DISABLED, &err), &err);
    trial_again(&trial);
    trial_close(&trial);
    snprintf(sql, sizeof sql, "%s",
             "DELETE FROM keys WHERE row = 2; INSERT INTO keys SELECT * FROM kept");
    edit(trial.path, sql);
    FAILS(open_vault(&trial, false, &err), KB_ERR_AUTH, &err);
    trial_close(&trial);
}
DEFINE_BOTH(a_row_put_back)

/* Those that may be, wherever they are asked for; NULL for the rest. */
static void many_released_at_once(enum token_kind kind)
{
    struct trial trial = trial_open(kind);
    const struct kb_vault_spec spec = {KB_VAULT_FOR_OBJECT, NULL, "a/b"};
    struct kb_vault_spec specs[KB_VAULT_BATCH_MAX];
    struct kb_vault_key keys[KB_VAULT_BATCH_MAX];
    struct kb_secret *plain[KB_VAULT_BATCH_MAX], *again[KB_VAULT_BATCH_MAX + 1];
    const char *ids[KB_VAULT_BATCH_MAX + 1];
    struct kb_error err = {0};

    for (size_t i = 0; i < KB_VAULT_BATCH_MAX; i++)
        specs[i] = spec;
    KBT_OK(kb_vault_make(trial.vault, specs, KB_VAULT_BATCH_MAX, keys, plain, &err), &err);
    KBT_OK(kb_vault_set_state(trial.vault, keys[3].id, KB_VAULT_DISABLED, &err), &err);
    KBT_OK(kb_vault_set_state(trial.vault, keys[4].id, KB_VAULT_RETIRED, &err), &err);
    edit(trial.path, "UPDATE keys SET created = created + 1 WHERE row = 6");
    for (size_t i = 0; i < KB_VAULT_BATCH_MAX; i++)
        ids[i] = keys[KB_VAULT_BATCH_MAX - 1 - i].id;
    ids[0] = keys[0].id; /* twice */
    ids[1] = "nobody";
    KBT_OK(kb_vault_release_many(trial.vault, ids, KB_VAULT_BATCH_MAX, again, &err), &err);
    for (size_t i = 0; i < KB_VAULT_BATCH_MAX; i++) {
        size_t of = i == 0 ? 0 : KB_VAULT_BATCH_MAX - 1 - i;
        bool given = i != 1 && of != 3 && of != 5;

        CU_ASSERT_EQUAL(again[i] != NULL, given);
        CU_ASSERT_TRUE(!given || kb_secret_equal(kb_secret_view(again[i]),
                                                 kb_secret_view(plain[of])));
        kb_secret_free(again[i]);
    }
    KBT_OK(kb_vault_release_many(trial.vault, &ids[1], 1, again, &err), &err);
    CU_ASSERT_PTR_NULL(again[0]);
    FAILS(kb_vault_release_many(trial.vault, ids, 0, again, &err), KB_ERR_USAGE, &err);
    FAILS(kb_vault_release_many(trial.vault, ids, KB_VAULT_BATCH_MAX + 1, again, &err),
          KB_ERR_USAGE, &err);
    for (size_t i = 0; i < KB_VAULT_BATCH_MAX; i++) {
        kb_vault_key_free(&keys[i]);
        kb_secret_free(plain[i]);
    }
    trial_close(&trial);
}
DEFINE_BOTH(many_released_at_once)

/* The index says where a row is, under no MAC. */
static void an_index_that_lies(enum token_kind kind)
{
    struct trial trial = filled(kind);
    struct kb_vault_key key;
    struct kb_error err = {0};

    edit(trial.path, "PRAGMA writable_schema=ON;"
                     "UPDATE sqlite_schema SET rootpage = CASE name"
                     " WHEN 'keys_name' THEN (SELECT rootpage FROM sqlite_schema WHERE name ="
                     " 'keys_fingerprint') ELSE rootpage END");
    if (open_vault(&trial, false, &err) == KB_OK)
        CU_ASSERT_NOT_EQUAL(kb_vault_find_key(trial.vault, "name-a", &key, &err), KB_OK);
    trial_close(&trial);
}
DEFINE_BOTH(an_index_that_lies)

/* That a key was disabled is not forgotten by an old copy either. */
static void a_copy_from_before_disabling(enum token_kind kind)
{
    struct trial trial = filled(kind);
    struct kb_error err = {0};
    char saved[500];

    save_vault(&trial, saved, sizeof saved);
    KBT_OK(open_vault(&trial, false, &err), &err);
    KBT_OK(kb_vault_set_state(trial.vault, "name-b", KB_VAULT_DISABLED, &err), &err);
    trial_close(&trial);
    put_back(&trial, saved);
    FAILS(open_vault(&trial, false, &err), KB_ERR_AUTH, &err);
}
DEFINE_BOTH(a_copy_from_before_disabling)

/* --- old copies, crashes, others ---------------------------------------------------------- */

static void old_copies(enum token_kind kind)
{
    struct trial trial = filled(kind);
    struct kb_vault_options repair = {.path = trial.path, .accept_rollback = true};
    struct kb_vault_key key;
    struct kb_secret *plain;
    struct kb_error err = {0};
    char saved[500], last[500];

    save_vault(&trial, saved, sizeof saved);
    KBT_OK(open_vault(&trial, false, &err), &err);
    key = make_key(&trial, &(struct kb_vault_spec){KB_VAULT_NAMED, "later", NULL}, &plain);
    trial_close(&trial);
    save_vault(&trial, last, sizeof last);
    kb_vault_key_free(&key);
    kb_secret_free(plain);
    put_back(&trial, saved);
    FAILS(open_vault(&trial, false, &err), KB_ERR_AUTH, &err);
    CU_ASSERT_PTR_NULL(trial.vault);
    put_back(&trial, last);
    trial_again(&trial);
    trial_close(&trial);

    /* The last one is lost. */
    put_back(&trial, saved);
    KBT_OK(kb_vault_open(&trial.vault, trial.keystore, &repair, &err), &err);
    KBT_OK(kb_vault_find_key(trial.vault, "name-a", &key, &err), &err);
    kb_vault_key_free(&key);
    FAILS(kb_vault_find_key(trial.vault, "later", &key, &err), KB_ERR_NOT_FOUND, &err);
    trial_again(&trial);
    KBT_OK(kb_vault_check(trial.vault, NULL, NULL, &err), &err);
    trial_close(&trial);
    /* Now the other one is the old copy. */
    put_back(&trial, last);
    FAILS(open_vault(&trial, false, &err), KB_ERR_AUTH, &err);
}
DEFINE_BOTH(old_copies)

/* The vault's id and counter as the file has them, and its counter's name. */
static uint64_t read_counter(const struct trial *trial, char name[64])
{
    sqlite3_stmt *statement;
    sqlite3 *db;
    uint64_t counter;

    CU_ASSERT_EQUAL_FATAL(sqlite3_open(trial->path, &db), SQLITE_OK);
    CU_ASSERT_EQUAL_FATAL(
        sqlite3_prepare_v2(db, "SELECT id, counter FROM state", -1, &statement, NULL), SQLITE_OK);
    CU_ASSERT_EQUAL_FATAL(sqlite3_step(statement), SQLITE_ROW);
    snprintf(name, 64, "keybridge-vault-%s", (const char *)sqlite3_column_text(statement, 0));
    counter = (uint64_t)sqlite3_column_int64(statement, 1);
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return counter;
}

/* As if the counter had never come that far; 0: as if there were none. */
static void set_counter(struct trial *trial, const char *name, uint64_t value)
{
    struct kb_token *token = backend_lease(trial->kind);
    struct kb_error err = {0};
    enum kb_status status = kb_key_destroy(token, name, &err);

    CU_ASSERT_TRUE(status == KB_OK || status == KB_ERR_NOT_FOUND);
    kb_error_clear(&err);
    if (value)
        KBT_OK(kb_counter_step(token, name, 0, value, &err), &err);
    kb_token_return(token);
}

static void a_crash_before_the_step(enum token_kind kind)
{
    struct trial trial = filled(kind);
    struct kb_token *token;
    struct kb_error err = {0};
    char name[64];
    uint64_t counter = read_counter(&trial, name), there = 0;

    CU_ASSERT_TRUE_FATAL(counter > 2);
    set_counter(&trial, name, counter - 1);
    KBT_OK(open_vault(&trial, false, &err), &err);
    trial_close(&trial);
    token = backend_lease(kind);
    KBT_OK(kb_counter_get(token, name, &there, &err), &err);
    kb_token_return(token);
    CU_ASSERT_EQUAL(there, counter);

    set_counter(&trial, name, counter - 2);
    FAILS(open_vault(&trial, false, &err), KB_ERR_AUTH, &err);
    set_counter(&trial, name, counter + 1);
    FAILS(open_vault(&trial, false, &err), KB_ERR_AUTH, &err);
    set_counter(&trial, name, 0);
    FAILS(open_vault(&trial, false, &err), KB_ERR_AUTH, &err);
    KBT_OK(kb_vault_open(&trial.vault, trial.keystore,
                         &(struct kb_vault_options){.path = trial.path, .accept_rollback = true},
                         &err),
           &err);
    trial_again(&trial);
    trial_close(&trial);
}
DEFINE_BOTH(a_crash_before_the_step)

/* What was committed while the counter could not follow is not built upon: the next
 * call lets it follow first. Nor is what a check found to be wrong. */
static void a_step_that_fails(enum token_kind kind)
{
    static const struct kb_vault_spec spec = {.scope = NULL};
    struct trial trial = filled(kind);
    struct kb_vault_key key;
    struct kb_secret *plain;
    struct kb_error err = {0};
    char name[64];
    uint64_t counter = read_counter(&trial, name);

    KBT_OK(open_vault(&trial, false, &err), &err);
    set_counter(&trial, name, 0);
    FAILS(kb_vault_make(trial.vault, &spec, 1, &key, &plain, &err), KB_ERR_AUTH, &err);
    set_counter(&trial, name, counter);
    KBT_OK(kb_vault_make(trial.vault, &spec, 1, &key, &plain, &err), &err);
    kb_vault_key_free(&key);
    kb_secret_free(plain);
    trial_again(&trial);
    counter += 2;
    CU_ASSERT_EQUAL(read_counter(&trial, name), counter);

    set_counter(&trial, name, counter + 5);
    FAILS(kb_vault_check(trial.vault, NULL, NULL, &err), KB_ERR_AUTH, &err);
    FAILS(kb_vault_make(trial.vault, &spec, 1, &key, &plain, &err), KB_ERR_AUTH, &err);
    CU_ASSERT_EQUAL(read_counter(&trial, name), counter);
    trial_close(&trial);
}
DEFINE_BOTH(a_step_that_fails)

static void counters(enum token_kind kind)
{
    struct kb_token *token = backend_lease(kind);
    struct kb_error err = {0};
    uint64_t value;

    FAILS(kb_counter_get(token, "count", &value, &err), KB_ERR_NOT_FOUND, &err);
    FAILS(kb_counter_step(token, "count", 1, 2, &err), KB_ERR_NOT_FOUND, &err);
    KBT_OK(kb_counter_step(token, "count", 0, 1, &err), &err);
    KBT_OK(kb_counter_step(token, "count", 0, 1, &err), &err); /* it is there already */
    KBT_OK(kb_counter_step(token, "count", 1, UINT64_C(1) << 40, &err), &err);
    KBT_OK(kb_counter_get(token, "count", &value, &err), &err);
    CU_ASSERT_EQUAL(value, UINT64_C(1) << 40);
    FAILS(kb_counter_step(token, "count", 1, 2, &err), KB_ERR_AUTH, &err);
    FAILS(kb_counter_step(token, "count", 2, 1, &err), KB_ERR_USAGE, &err);
    FAILS(kb_counter_step(token, "count", 5, 5, &err), KB_ERR_USAGE, &err);
    FAILS(kb_counter_get(token, "no name", &value, &err), KB_ERR_USAGE, &err);
    backend_key(token, "no-counter", KB_KEY_WRAP, KB_KEY_AES_256);
    FAILS(kb_counter_get(token, "no-counter", &value, &err), KB_ERR_AUTH, &err);
    kb_token_return(token);
}
DEFINE_BOTH(counters)

static void other_tokens_and_keys(enum token_kind kind)
{
    struct trial trial = filled(kind);
    struct kb_vault_options options = {.path = trial.path};
    struct token_fixture fixture;
    struct kb_keystore *other;
    struct kb_token *token = backend_lease(kind);
    struct kb_error err = {0};

    backend_key(token, "other-wrap", KB_KEY_WRAP, KB_KEY_AES_256);
    backend_key(token, "other-sign", KB_KEY_SIGN, KB_KEY_HMAC_SHA256);
    kb_token_return(token);
    options.wrap_key = "other-wrap";
    FAILS(kb_vault_open(&trial.vault, trial.keystore, &options, &err), KB_ERR_AUTH, &err);
    options.wrap_key = NULL;
    options.sign_key = "other-sign";
    FAILS(kb_vault_open(&trial.vault, trial.keystore, &options, &err), KB_ERR_AUTH, &err);
    options.sign_key = "nobody";
    FAILS(kb_vault_open(&trial.vault, trial.keystore, &options, &err), KB_ERR_AUTH, &err);
    options.sign_key = "other-wrap";
    FAILS(kb_vault_open(&trial.vault, trial.keystore, &options, &err), KB_ERR_DENIED, &err);
    options.sign_key = NULL;
    CU_ASSERT_TRUE_FATAL(token_fixture_open(&fixture, kind, &other));
    options.create = true;
    FAILS(kb_vault_open(&trial.vault, other, &options, &err), KB_ERR_AUTH, &err);
    options.create = false;
    options.accept_rollback = true;
    FAILS(kb_vault_open(&trial.vault, other, &options, &err), KB_ERR_AUTH, &err);
    kb_keystore_close(other);
    token_fixture_free(&fixture);
    options = (struct kb_vault_options){.path = "/nowhere/at/all"};
    FAILS(kb_vault_open(&trial.vault, trial.keystore, &options, &err), KB_ERR_NOT_FOUND, &err);
    options.path = "/dev/null";
    FAILS(kb_vault_open(&trial.vault, trial.keystore, &options, &err), KB_ERR_INPUT, &err);
}
DEFINE_BOTH(other_tokens_and_keys)

static void cut_and_flipped_files(enum token_kind kind)
{
    struct trial trial = filled(kind);
    struct kb_buffer whole = KB_BUFFER_INIT(16 * 1024 * 1024);
    struct kb_error err = {0};
    size_t bad = 0;
    char saved[500];

    save_vault(&trial, saved, sizeof saved);
    KBT_OK(kb_file_read(&whole, saved, &err), &err);
    for (size_t size = 0; size < whole.size; size += 4096 - (size % 3 ? 1 : 0)) {
        put_back(&trial, saved);
        CU_ASSERT_EQUAL(truncate(trial.path, (off_t)size), 0);
        CU_ASSERT_NOT_EQUAL(use_all(&trial, &err) == KB_OK &&
                                kb_vault_check(trial.vault, NULL, NULL, &err) == KB_OK,
                            true);
        kb_error_clear(&err);
        trial_close(&trial);
    }
    /* A flipped byte may lie where nothing is; anywhere else it is seen. */
    for (size_t at = 0; at < whole.size; at += 241) {
        whole.data[at] ^= 0x15;
        put_back(&trial, saved);
        write_file(trial.path, kb_buffer_view(&whole));
        if (use_all(&trial, &err) != KB_OK)
            bad++;
        kb_error_clear(&err);
        trial_close(&trial);
        whole.data[at] ^= 0x15;
    }
    CU_ASSERT_TRUE(bad > 10);
    kb_buffer_free(&whole);
}
DEFINE_BOTH(cut_and_flipped_files)

/* --- several at once ---------------------------------------------------------------------- */

enum { THREADS = 4, ROUNDS = 6 };

struct adding {
    struct kb_vault *vault;
    bool good;
};

static void *add_many(void *ctx)
{
    struct adding *adding = ctx;
    struct kb_error err = {0};

    adding->good = true;
    for (int i = 0; i < ROUNDS; i++) {
        struct kb_vault_spec spec = {KB_VAULT_FOR_OBJECT, NULL, "o"};
        struct kb_vault_key key;
        struct kb_secret *plain;
        struct kb_vault_object object;

        if (kb_vault_make(adding->vault, &spec, 1, &key, &plain, &err) != KB_OK) {
            fprintf(stderr, "%s\n", kb_error_text(&err));
            adding->good = false;
            break;
        }
        object = object_of("o", "", key.id);
        if (kb_vault_add_objects(adding->vault, &object, 1, &err) != KB_OK) {
            fprintf(stderr, "%s\n", kb_error_text(&err));
            adding->good = false;
        }
        kb_vault_key_free(&key);
        kb_secret_free(plain);
    }
    return NULL;
}

static enum kb_status count_key(void *ctx, const struct kb_vault_key *key, struct kb_error *err)
{
    (void)err;
    *(unsigned *)ctx += key->objects == 1;
    return KB_OK;
}

/* Threads of one vault, and two that know nothing of each other. */
static void many_at_once(enum token_kind kind)
{
    struct trial trial = trial_open(kind), second = trial;
    struct adding adding[THREADS];
    pthread_t threads[THREADS];
    struct kb_error err = {0};
    unsigned count = 0;

    KBT_OK(open_vault(&second, false, &err), &err);
    for (size_t i = 0; i < THREADS; i++) {
        adding[i].vault = i % 2 ? second.vault : trial.vault;
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, add_many, &adding[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        CU_ASSERT_TRUE(adding[i].good);
    }
    trial_close(&second);
    trial_again(&trial);
    KBT_OK(kb_vault_each_key(trial.vault, count_key, &count, &err), &err);
    CU_ASSERT_EQUAL(count, THREADS * ROUNDS);
    KBT_OK(kb_vault_check(trial.vault, NULL, NULL, &err), &err);
    trial_close(&trial);
}
DEFINE_BOTH(many_at_once)

struct opening {
    struct kb_keystore *keystore;
    struct kb_vault_options options;
    enum kb_status status;
};

static void *open_first(void *argument)
{
    struct opening *opening = argument;
    struct kb_vault *vault = NULL;

    opening->status = kb_vault_open(&vault, opening->keystore, &opening->options, NULL);
    kb_vault_close(vault);
    return NULL;
}

/* The keys are made once, or no one could open it. */
static void made_by_many_at_once(enum token_kind kind)
{
    struct opening opening[THREADS];
    pthread_t threads[THREADS];
    char path[400];

    snprintf(path, sizeof path, "%s/vault-raced-%d.db", kbtest_folder(), (int)kind);
    for (size_t i = 0; i < THREADS; i++) {
        opening[i] = (struct opening){backend_keystore(kind),
                                      {.path = path,
                                       .wrap_key = "raced-wrap",
                                       .sign_key = "raced-sign",
                                       .create = true},
                                      KB_ERR_SYSTEM};
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, open_first, &opening[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        CU_ASSERT_EQUAL(opening[i].status, KB_OK);
    }
    (void)open_first(&opening[0]);
    CU_ASSERT_EQUAL(opening[0].status, KB_OK);
}
DEFINE_BOTH(made_by_many_at_once)

/* --- moving ------------------------------------------------------------------------------- */

static enum kb_status import_file(struct trial *trial, const char *unwrap_key, const char *path,
                                  struct kb_vault_imported *out, struct kb_error *err)
{
    return kb_vault_import(trial->vault, unwrap_key, path, out, err);
}

static void exported_and_imported(enum token_kind kind)
{
    struct trial trial = filled(kind), target = trial_open(kind);
    struct kb_token *token = backend_lease(kind);
    struct kb_secret *before, *after;
    struct kb_vault_imported done;
    struct kb_vault_key key;
    struct kb_error err = {0};
    char path[500];

    snprintf(path, sizeof path, "%s.export", trial.path);
    backend_key(token, "mover", KB_KEY_WRAP, KB_KEY_AES_128);
    kb_token_return(token);
    KBT_OK(open_vault(&trial, false, &err), &err);
    FAILS(kb_vault_export(trial.vault, "vault-sign", path, &err), KB_ERR_DENIED, &err);
    KBT_OK(kb_vault_export(trial.vault, "mover", path, &err), &err);
    FAILS(kb_vault_export(trial.vault, "mover", path, &err), KB_ERR_EXISTS, &err);
    FAILS(import_file(&target, "vault-wrap", path, &done, &err), KB_ERR_AUTH, &err);
    KBT_OK(import_file(&target, "mover", path, &done, &err), &err);
    CU_ASSERT_EQUAL(done.keys, 2);
    CU_ASSERT_EQUAL(done.objects, 2);
    trial_again(&target);
    KBT_OK(import_file(&target, "mover", path, &done, &err), &err);
    CU_ASSERT_EQUAL(done.keys + done.objects, 0);
    CU_ASSERT_EQUAL(done.keys_known, 2);
    CU_ASSERT_EQUAL(done.objects_known, 2);
    KBT_OK(kb_vault_find_key(target.vault, "name-a", &key, &err), &err);
    CU_ASSERT_EQUAL(key.purpose, KB_VAULT_FOR_PREFIX);
    CU_ASSERT_STRING_EQUAL(key.scope, "b/p");
    KBT_OK(kb_vault_release(trial.vault, key.id, true, NULL, &before, &err), &err);
    KBT_OK(kb_vault_release(target.vault, key.id, true, NULL, &after, &err), &err);
    CU_ASSERT_TRUE(kb_secret_equal(kb_secret_view(before), kb_secret_view(after)));
    kb_vault_key_free(&key);
    kb_secret_free(before);
    kb_secret_free(after);
    lists(&target, &(struct kb_vault_query){.bucket = "b"}, "big@? small@v? ");
    KBT_OK(kb_vault_check(target.vault, NULL, NULL, &err), &err);
    trial_close(&trial);
    trial_close(&target);
}
DEFINE_BOTH(exported_and_imported)

/* To another token, of which only the public half of a key is here. */
static void exported_to_another_token(enum token_kind kind)
{
    struct trial trial = filled(kind), target = {.kind = kind};
    struct kb_key_spec spec = {.name = "courier", .use = KB_KEY_WRAP, .type = KB_KEY_RSA_2048};
    struct kb_buffer public = KB_BUFFER_INIT(4096);
    struct token_fixture fixture;
    struct kb_token *token;
    struct kb_vault_imported done;
    struct kb_error err = {0};
    char path[500];

    CU_ASSERT_TRUE_FATAL(token_fixture_open(&fixture, kind, &target.keystore));
    snprintf(target.path, sizeof target.path, "%s/target-%d.db", kbtest_folder(), kind);
    snprintf(path, sizeof path, "%s.export", trial.path);
    KBT_OK(kb_token_lease(&token, target.keystore, &err), &err);
    KBT_OK(kb_key_create(token, &spec, &err), &err);
    KBT_OK(kb_key_export_public(token, "courier", &public, &err), &err);
    kb_token_return(token);
    token = backend_lease(kind);
    spec.public_only = true;
    backend_import(token, &spec, kb_buffer_view(&public));
    kb_token_return(token);
    KBT_OK(open_vault(&trial, false, &err), &err);
    KBT_OK(kb_vault_export(trial.vault, "courier", path, &err), &err);
    KBT_OK(open_vault(&target, true, &err), &err);
    FAILS(import_file(&trial, "vault-wrap", path, &done, &err), KB_ERR_DENIED, &err);
    KBT_OK(import_file(&target, "courier", path, &done, &err), &err);
    CU_ASSERT_EQUAL(done.keys, 2);
    CU_ASSERT_EQUAL(done.objects, 2);
    trial_again(&target);
    KBT_OK(kb_vault_check(target.vault, NULL, NULL, &err), &err);
    trial_close(&target);
    trial_close(&trial);
    kb_keystore_close(target.keystore);
    token_fixture_free(&fixture);
    kb_buffer_free(&public);
}
DEFINE_BOTH(exported_to_another_token)

/* A line that claims to be the end as well would be in no sum. */
static void slip_in(struct kb_bytes whole, const char *bad)
{
    static const char line[] = "{\"object\":{\"endpoint\":\"https://a\",\"bucket\":\"b\","
                               "\"object-key\":\"slipped\"},\"end\":0}\n";
    const uint8_t *end = memmem(whole.data, whole.size, "{\"end\"", 6);
    struct kb_buffer text = KB_BUFFER_INIT(65536);

    CU_ASSERT_PTR_NOT_NULL_FATAL(end);
    kb_buffer_put(&text, whole.data, (size_t)(end - whole.data));
    kb_buffer_put_text(&text, line);
    kb_buffer_put(&text, end, (size_t)(whole.data + whole.size - end));
    write_file(bad, kb_buffer_view(&text));
    kb_buffer_free(&text);
}

/* Nothing of a file that was changed comes in. */
static void altered_exports(enum token_kind kind)
{
    struct trial trial = filled(kind), target = trial_open(kind);
    struct kb_buffer whole = KB_BUFFER_INIT(65536);
    struct kb_token *token = backend_lease(kind);
    struct kb_vault_imported done;
    struct kb_error err = {0};
    unsigned count = 0;
    char path[500], bad[500];

    snprintf(path, sizeof path, "%s.export", trial.path);
    snprintf(bad, sizeof bad, "%s.bad", trial.path);
    backend_key(token, "mover", KB_KEY_WRAP, KB_KEY_AES_128);
    kb_token_return(token);
    KBT_OK(open_vault(&trial, false, &err), &err);
    KBT_OK(kb_vault_export(trial.vault, "mover", path, &err), &err);
    KBT_OK(kb_file_read(&whole, path, &err), &err);
    for (size_t i = 0; i < whole.size; i += kind == TOKEN_SOFTHSM ? 1 : 7) {
        whole.data[i] ^= 1;
        write_file(bad, kb_buffer_view(&whole));
        CU_ASSERT_NOT_EQUAL(import_file(&target, "mover", bad, &done, NULL), KB_OK);
        whole.data[i] ^= 1;
    }
    for (size_t size = 0; size < whole.size; size += 7) {
        write_file(bad, (struct kb_bytes){whole.data, size});
        CU_ASSERT_NOT_EQUAL(import_file(&target, "mover", bad, &done, NULL), KB_OK);
    }
    slip_in(kb_buffer_view(&whole), bad);
    CU_ASSERT_EQUAL(import_file(&target, "mover", bad, &done, &err), KB_ERR_INPUT);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "one thing"));
    kb_buffer_put_text(&whole, "{}\n");
    write_file(bad, kb_buffer_view(&whole));
    FAILS(import_file(&target, "mover", bad, &done, &err), KB_ERR_INPUT, &err);
    KBT_OK(kb_vault_each_key(target.vault, count_key, &count, &err), &err);
    CU_ASSERT_EQUAL(count, 0);
    trial_again(&target);
    trial_close(&trial);
    trial_close(&target);
    kb_buffer_free(&whole);
}
DEFINE_BOTH(altered_exports)

static void keys_brought_in(enum token_kind kind)
{
    struct trial trial = trial_open(kind);
    uint8_t bytes[33] = {7, 1};
    struct kb_vault_spec spec = {KB_VAULT_IMPORTED, "brought", NULL};
    struct kb_secret *value, *out, *wrong;
    struct kb_vault_key key, again;
    struct kb_error err = {0};

    KBT_OK(kb_secret_copy(&value, (struct kb_bytes){bytes, 32}, &err), &err);
    KBT_OK(kb_secret_copy(&wrong, (struct kb_bytes){bytes, 33}, &err), &err);
    FAILS(kb_vault_import_key(trial.vault, &spec, wrong, &key, &err), KB_ERR_USAGE, &err);
    KBT_OK(kb_vault_import_key(trial.vault, &spec, value, &key, &err), &err);
    spec.name = NULL;
    FAILS(kb_vault_import_key(trial.vault, &spec, value, &again, &err), KB_ERR_EXISTS, &err);
    trial_again(&trial);
    KBT_OK(kb_vault_release(trial.vault, key.fingerprint, true, NULL, &out, &err), &err);
    CU_ASSERT_TRUE(kb_secret_equal(kb_secret_view(out), (struct kb_bytes){bytes, 32}));
    kb_secret_free(out);
    kb_secret_free(value);
    kb_secret_free(wrong);
    kb_vault_key_free(&key);
    trial_close(&trial);
}
DEFINE_BOTH(keys_brought_in)

static const struct kbtest tests[] = {
    BOTH(counters),
    BOTH(a_crash_before_the_step),
    BOTH(a_step_that_fails),
    BOTH(other_tokens_and_keys),
    BOTH(cut_and_flipped_files),
    BOTH(many_at_once),
    BOTH(made_by_many_at_once),
    BOTH(exported_and_imported),
    BOTH(exported_to_another_token),
    BOTH(altered_exports),
    BOTH(keys_brought_in),
    BOTH(uploads),
    BOTH(events),
    BOTH(every_column_of_every_row),
    BOTH(rows_moved_about),
    BOTH(a_row_put_back),
    BOTH(an_index_that_lies),
    BOTH(old_copies),
    BOTH(a_copy_from_before_disabling),
    BOTH(states_and_scopes),
    BOTH(many_released_at_once),
    BOTH(the_inventory),
    BOTH(what_is_overwritten),
    BOTH(what_is_stored_at_once),
    BOTH(disabled_keys_are_not_retired),
    BOTH(keys_that_nothing_uses),
    BOTH(keys_are_made_found_and_released),
    {NULL, NULL},
};

int main(int argc, char **argv)
{
    int result = kbtest_main("vault", tests, argc, argv);

    backends_close();
    return result;
}
