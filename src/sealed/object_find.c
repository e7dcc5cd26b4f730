/* SPDX-License-Identifier: Apache-2.0
 *
 * How an object is protected, and by which key: asked of the server with the
 * keys that may be, since it tells nobody else.
 */
#include "sealed/object.h"

#include <stdlib.h>
#include <string.h>

struct search {
    struct object_found *found;
    const struct kb_objects *objects;
    const struct kb_s3_name *name;
    const struct kb_object_get *get; /* may be NULL */
    struct object_rows rows;
    bool answered; /* found->head is of this object */
    struct kb_error denial; /* the first key that was not given out */
};

void object_found_clear(struct object_found *found)
{
    kb_s3_object_free(&found->head);
    object_key_clear(&found->key);
    kb_vault_object_free(&found->row);
    kb_buffer_free(&found->instruction);
    memset(found, 0, sizeof *found);
}

/* --- keys --------------------------------------------------------------------------- */

/* HEAD; *answered is false, with KB_OK, when it was refused. */
static enum kb_status ask(struct search *search, const struct object_key *key, bool *answered,
                          struct kb_error *err)
{
    const struct kb_s3_encryption encryption = object_key_encryption(key);
    struct kb_error trial = {.status = KB_OK};
    enum kb_status status = kb_s3_head_object(search->objects->s3, search->name, &encryption,
                                              &search->found->head, &trial);

    *answered = status == KB_OK;
    if (status == KB_OK || status == KB_ERR_AUTH)
        return KB_OK;
    /* Without a key, 403 may be about keys or about permissions. */
    if (status == KB_ERR_DENIED && key)
        return KB_OK;
    if (err && err->status == KB_OK)
        *err = trial;
    return status;
}

/* The object without a key. */
static enum kb_status ask_bare(struct search *search, struct kb_error *err)
{
    enum kb_status status = ask(search, NULL, &search->answered, err);

    search->found->refused = status == KB_OK && !search->answered;
    return status;
}

/* The object with this key, which is the search's from now on. Some servers do
 * not tell the key again: then the object must be closed without it. */
static enum kb_status ask_with(struct search *search, struct object_key *key,
                               struct kb_error *err)
{
    struct object_found *found = search->found;
    enum kb_status status = ask(search, key, &search->answered, err);

    if (status == KB_OK && search->answered && !found->head.fingerprint[0]) {
        status = ask_bare(search, err);
        if (status == KB_OK && !search->answered)
            status = ask(search, key, &search->answered, err);
        else
            search->answered = status == KB_OK;
        found->known = status == KB_OK && search->answered && found->refused;
    } else {
        found->known = status == KB_OK && search->answered &&
                       strcmp(found->head.fingerprint, key->fingerprint) == 0;
        if (status == KB_OK && search->answered && !found->known)
            status = kb_error_set(err, KB_ERR_REMOTE,
                                  "the server tells another key than it was given");
    }
    if (status == KB_OK && found->known)
        found->key = *key;
    else
        object_key_clear(key);
    return status;
}

static enum kb_status try_named(struct search *search, struct kb_error *err)
{
    const struct kb_object_get *get = search->get;
    struct object_key key = {.plain = NULL};
    enum kb_status status =
        get->customer_key ? object_key_copy(&key, get->customer_key, err)
                          : object_key_release(&key, search->objects, get->key, false, err);

    if (status == KB_OK)
        return ask_with(search, &key, err);
    object_key_clear(&key);
    return status;
}

static bool had_before(const struct object_rows *rows, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (strcmp(rows->rows[i].key_id, rows->rows[at].key_id) == 0)
            return true;
    return false;
}

/* A key that is not given out, since it is disabled, is no answer: another may be
 * the one, or none needed. */
static enum kb_status try_key(struct search *search, const char *id, struct kb_error *err)
{
    struct object_key key = {.plain = NULL};
    struct kb_error why = {.status = KB_OK};
    enum kb_status status = object_key_release_id(&key, search->objects, id, &why);

    if (status == KB_OK)
        return ask_with(search, &key, err);
    object_key_clear(&key);
    if (status == KB_ERR_DENIED) {
        if (search->denial.status == KB_OK)
            search->denial = why;
        return KB_OK;
    }
    if (err && err->status == KB_OK)
        *err = why;
    return status;
}

static enum kb_status try_rows(struct search *search, const struct object_rows *rows,
                               struct kb_error *err)
{
    enum kb_status status = KB_OK;

    for (size_t i = 0; status == KB_OK && !search->answered && i < rows->count; i++)
        if (rows->rows[i].key_id[0] && !had_before(rows, i))
            status = try_key(search, rows->rows[i].key_id, err);
    return status;
}

/* An instruction file is under the key of the object that it is of. */
static enum kb_status try_base(struct search *search, struct kb_error *err)
{
    size_t size = object_instruction_base(search->name->key);
    char *key = size ? strndup(search->name->key, size) : NULL;
    const struct kb_s3_name base = {.bucket = search->name->bucket, .key = key};
    struct object_rows rows = {NULL, 0};
    enum kb_status status = KB_OK;

    if (!size)
        return KB_OK;
    status = key ? object_rows_get(&rows, search->objects, &base, err)
                 : kb_error_set(err, KB_ERR_MEMORY, "no memory");
    if (status == KB_OK)
        status = try_rows(search, &rows, err);
    object_rows_free(&rows);
    free(key);
    return status;
}

/* --- keys that no row of the object names ------------------------------------------------ */

/* They go where they went before, or were made to go: not to any server that has a
 * bucket of that name. */

struct use {
    const char *id;
    bool here;
};

static enum kb_status note_use(void *ctx, const struct kb_vault_object *row, struct kb_error *err)
{
    struct use *use = ctx;

    (void)err;
    use->here = use->here || strcmp(row->key_id, use->id) == 0;
    return KB_OK;
}

static enum kb_status try_scope(struct search *search, struct kb_error *err)
{
    const struct kb_objects *objects = search->objects;
    struct kb_error none = {.status = KB_OK};
    struct kb_vault_key key = {.scope = NULL};
    struct kb_vault_query rows = {.endpoint = kb_s3_realm(objects->s3),
                                  .bucket = search->name->bucket,
                                  .prefix = true};
    struct use use = {.id = key.id};
    enum kb_status status = KB_OK;

    if (kb_vault_find_scope(objects->vault, search->name->bucket, search->name->key, &key,
                            &none) != KB_OK)
        return KB_OK;
    rows.object_key = key.scope + strcspn(key.scope, "/");
    rows.object_key += *rows.object_key == '/';
    if (key.objects)
        status = kb_vault_each_object(objects->vault, &rows, note_use, &use, err);
    if (status == KB_OK && (use.here || !key.objects))
        status = try_key(search, key.id, err);
    kb_vault_key_free(&key);
    return status;
}

struct candidates {
    const char *bucket;
    struct kb_buffer ids;
};

static enum kb_status note_used(void *ctx, const struct kb_vault_object *row, struct kb_error *err)
{
    struct candidates *all = ctx;

    if (row->key_id[0])
        kb_buffer_put(&all->ids, row->key_id, KB_VAULT_ID_SIZE);
    return kb_buffer_check(&all->ids, err);
}

static enum kb_status note_unused(void *ctx, const struct kb_vault_key *key, struct kb_error *err)
{
    struct candidates *all = ctx;
    const char *scope = key->scope ? key->scope : "";
    size_t size = strlen(all->bucket);
    bool of_bucket = strncmp(scope, all->bucket, size) == 0 &&
                     (scope[size] == '/' || !scope[size]);

    if (!key->objects && (!*scope || of_bucket))
        kb_buffer_put(&all->ids, key->id, KB_VAULT_ID_SIZE);
    return kb_buffer_check(&all->ids, err);
}

static int compare_ids(const void *a, const void *b)
{
    return memcmp(a, b, KB_VAULT_ID_SIZE);
}

static enum kb_status try_all(struct search *search, struct kb_error *err)
{
    const struct kb_objects *objects = search->objects;
    const struct kb_vault_query rows = {.endpoint = kb_s3_realm(objects->s3)};
    struct candidates all = {search->name->bucket, KB_BUFFER_INIT(SIZE_MAX / 2)};
    enum kb_status status = kb_vault_each_object(objects->vault, &rows, note_used, &all, err);
    const char *id, *last = NULL;

    if (status == KB_OK)
        status = kb_vault_each_key(objects->vault, note_unused, &all, err);
    if (status == KB_OK && all.ids.size)
        qsort(all.ids.data, all.ids.size / KB_VAULT_ID_SIZE, KB_VAULT_ID_SIZE, compare_ids);
    for (size_t at = 0; status == KB_OK && !search->answered && at < all.ids.size;
         at += KB_VAULT_ID_SIZE) {
        id = (const char *)all.ids.data + at;
        if (!last || strcmp(last, id) != 0)
            status = try_key(search, id, err);
        last = id;
    }
    kb_buffer_free(&all.ids);
    return status;
}

static bool has_pending(const struct object_rows *rows)
{
    for (size_t i = 0; i < rows->count; i++)
        if (rows->rows[i].state == KB_VAULT_PENDING)
            return true;
    return false;
}

static enum kb_status find_key(struct search *search, struct kb_error *err)
{
    const struct kb_object_get *get = search->get;
    bool named = get && (get->key || get->customer_key);
    enum kb_status status = named ? try_named(search, err) : try_rows(search, &search->rows, err);

    if (status == KB_OK && !search->answered)
        status = ask_bare(search, err);
    if (status != KB_OK || search->answered || named || !search->objects->vault)
        return status;
    status = try_base(search, err);
    if (status == KB_OK && !search->answered)
        status = try_scope(search, err);
    if (status == KB_OK && !search->answered && get && get->try_all_keys)
        status = try_all(search, err);
    return status;
}

/* --- the inventory ---------------------------------------------------------------------- */

static void take_row(struct object_found *found, struct kb_vault_object *row)
{
    found->row = *row;
    found->has_row = true;
    memset(row, 0, sizeof *row);
}

/* Some servers make the ETag of the plaintext: then only the key tells two rows apart. */
static bool is_under(const struct kb_vault_object *row, const struct object_found *found)
{
    return !found->known || !found->key.id[0] || !row->key_id[0] ||
           strcmp(row->key_id, found->key.id) == 0;
}

/* Rows come newest first. A stored one of this version, ETag and key is the one: uploads that
 * ran at the same time have left one each. A pending one that is newer than all of them may
 * tell why there is none; else this is not what was stored. */
static void match_row(struct search *search)
{
    struct object_found *found = search->found;
    struct kb_vault_object *pending = NULL;
    bool stored = false, of_version = false;

    for (size_t i = 0; i < search->rows.count; i++) {
        struct kb_vault_object *row = &search->rows.rows[i];
        bool same = object_same_version(row->version, found->head.version);

        if (row->state == KB_VAULT_PENDING) {
            if (!pending && !of_version && found->known &&
                strcmp(row->key_id, found->key.id) == 0)
                pending = row;
            continue;
        }
        stored = true;
        of_version = of_version || same;
        if (same && strcmp(row->etag, found->head.etag) == 0 && is_under(row, found)) {
            take_row(found, row);
            return;
        }
    }
    if (pending) {
        take_row(found, pending);
        return;
    }
    /* Of a version that is asked for by its name nobody said that it is ours. */
    found->replaced = stored && !of_version && !search->name->version;
    found->differs = of_version || found->replaced;
}

/* --- client-side formats ------------------------------------------------------------------ */

static bool is_envelope(const struct search *search)
{
    const struct object_found *found = search->found;
    struct kb_bytes format = kb_s3_object_metadata(&found->head, OBJECT_FORMAT_NAME);

    return kb_bytes_equal(format, kb_bytes_text(OBJECT_FORMAT_ESDK)) ||
           (search->get && search->get->is_envelope);
}

/* An object whose every sign of encryption is in an instruction file looks like
 * any other: it is looked for, unless it is known what the object is. */
static bool may_have_instruction(const struct search *search)
{
    const struct object_found *found = search->found;

    if (object_instruction_base(search->name->key))
        return false;
    return !found->has_row || found->row.state != KB_VAULT_STORED ||
           strcmp(found->row.encryption, kb_object_encryption_format(KB_OBJECT_CLIENT)) == 0;
}

static enum kb_status find_instruction(struct search *search, struct kb_error *err)
{
    struct object_found *found = search->found;
    const char *suffix = search->get ? search->get->instruction_suffix : NULL;
    struct kb_error none = {.status = KB_OK};
    enum kb_status status;

    found->instruction = (struct kb_buffer)KB_BUFFER_INIT(OBJECT_INSTRUCTION_MAX);
    status = object_instruction_get(&found->instruction, search->objects, search->name, suffix,
                                    &found->key, &none);
    if (status == KB_OK)
        found->header.instruction = kb_buffer_view(&found->instruction);
    if (status == KB_OK || status == KB_ERR_NOT_FOUND)
        return KB_OK;
    if (err && err->status == KB_OK)
        *err = none;
    return status;
}

static enum kb_status find_client(struct search *search, struct kb_error *err)
{
    struct object_found *found = search->found;
    struct kb_error none = {.status = KB_OK};
    struct kb_s3ec_info info = {.version = 0};
    enum kb_status status;

    found->header = (struct kb_s3ec_header){.metadata = found->head.metadata,
                                            .metadata_count = found->head.metadata_count};
    status = kb_s3ec_inspect(&info, &found->header, &none);
    if ((status == KB_ERR_NOT_FOUND && may_have_instruction(search)) ||
        (status == KB_OK && info.instruction_file)) {
        status = find_instruction(search, err);
        if (status != KB_OK)
            return status;
        kb_error_clear(&none);
        status = kb_s3ec_inspect(&info, &found->header, &none);
    }
    if (status == KB_OK || status == KB_ERR_INPUT)
        found->encryption = KB_OBJECT_CLIENT;
    return KB_OK; /* what contradicts itself is for the one who decrypts it */
}

static enum kb_status find_format(struct search *search, struct kb_error *err)
{
    struct object_found *found = search->found;
    const bool raw = search->get && search->get->raw;

    found->is_instruction =
        object_instruction_base(search->name->key) && object_is_instruction(&found->head);
    found->customer_key = found->known || found->head.sse == KB_S3_SSE_C;
    found->encryption = found->customer_key                ? KB_OBJECT_SSE_C
                        : found->head.sse == KB_S3_SSE_S3  ? KB_OBJECT_SSE_S3
                        : found->head.sse == KB_S3_SSE_NONE ? KB_OBJECT_NONE
                                                            : KB_OBJECT_SSE_KMS;
    if (raw)
        return KB_OK;
    if (is_envelope(search)) {
        found->encryption = KB_OBJECT_CLIENT_ENVELOPE;
        return KB_OK;
    }
    return find_client(search, err);
}

/* --- by the inventory alone ------------------------------------------------------------- */

bool object_find_confirm(struct object_found *found, const struct kb_objects *objects,
                         const struct kb_s3_name *name, const struct kb_object_get *get)
{
    struct search search = {.found = found, .objects = objects, .name = name, .get = get};
    struct kb_error none = {.status = KB_OK};
    bool keyed = found->key.plain != NULL;

    found->known = keyed && strcmp(found->head.fingerprint, found->key.fingerprint) == 0;
    return strcmp(found->head.etag, found->row.etag) == 0 &&
           object_same_version(found->head.version, found->row.version) && found->known == keyed &&
           find_format(&search, &none) == KB_OK && found->customer_key == keyed &&
           !object_is_client(found->encryption);
}

/* --- all of it -------------------------------------------------------------------------- */

/* No byte is wanted. */
static enum kb_status refuse_bytes(void *ctx, struct kb_bytes bytes, struct kb_error *err)
{
    (void)ctx;
    (void)bytes;
    return kb_error_set(err, KB_ERR_INPUT, "it is not denied");
}

/* HEAD is refused without a word, for the key, the permission or for credentials that
 * have expired meanwhile: GET says which. True when it is not the key. */
static bool is_denied(const struct search *search, struct kb_error *why)
{
    const struct kb_s3_get get = {.ranged = true, .write = refuse_bytes};
    struct kb_s3_object object = {.status = 0};
    enum kb_status status =
        kb_s3_get_object(search->objects->s3, search->name, &get, &object, why);

    kb_s3_object_free(&object);
    return status == KB_ERR_DENIED;
}

static enum kb_status not_ours(struct search *search, bool tolerant, struct kb_error *err)
{
    const struct kb_object_get *get = search->get;
    struct kb_error why = {.status = KB_OK};

    /* 403 to HEAD was another answer than the one that led here. */
    if (is_denied(search, &why) && why.detail != 403) {
        if (err)
            *err = why;
        return KB_ERR_DENIED;
    }
    search->found->encryption = KB_OBJECT_SSE_C;
    search->found->customer_key = true;
    if (tolerant)
        return KB_OK;
    if (get && (get->key || get->customer_key)) {
        kb_error_set(err, KB_ERR_AUTH, "s3://%s/%s is not under this key", search->name->bucket,
                     search->name->key);
        return KB_ERR_AUTH;
    }
    kb_error_set(err, KB_ERR_AUTH,
                 "s3://%s/%s is under a customer key that the vault does not name for it",
                 search->name->bucket, search->name->key);
    if (!search->objects->vault)
        kb_error_hint(err, "there is no vault in this KEYBRIDGE_HOME");
    else if (get && get->try_all_keys)
        kb_error_hint(err, "no key of the vault opens it");
    else
        kb_error_hint(err, "--vault-key KEY, or --try-all-keys");
    return KB_ERR_AUTH;
}

enum kb_status object_find(struct object_found *found, const struct kb_objects *objects,
                           const struct kb_s3_name *name, const struct kb_object_get *get,
                           bool tolerant, struct kb_error *err)
{
    struct search search = {.found = found, .objects = objects, .name = name, .get = get};
    struct kb_error why = {.status = KB_OK};
    enum kb_status status = KB_OK;

    /* An object that is rotated or written meanwhile has another key between two trials,
     * or a row that was not there before. */
    for (unsigned i = 0; i < 2; i++) {
        object_found_clear(found);
        object_rows_free(&search.rows);
        search.answered = false;
        status = object_rows_get(&search.rows, objects, name, err);
        if (status == KB_OK)
            status = find_key(&search, err);
        if (status == KB_OK && search.answered)
            match_row(&search);
        if (status != KB_OK || !(search.answered ? found->differs : has_pending(&search.rows)))
            break;
    }
    if (search.denial.status != KB_OK && !search.answered &&
        (status == KB_OK || status == KB_ERR_DENIED)) {
        if (err)
            *err = search.denial;
        status = KB_ERR_DENIED;
    } else if (status == KB_OK && !search.answered) {
        status = not_ours(&search, tolerant, err);
    } else if (status == KB_OK) {
        status = find_format(&search, err);
    } else if (status == KB_ERR_DENIED && is_denied(&search, &why) && err) {
        *err = why;
    }
    object_rows_free(&search.rows);
    if (status != KB_OK)
        object_found_clear(found);
    return status;
}
