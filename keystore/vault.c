/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening a vault, making one, and going on with one that is not the last.
 */
#include "keystore/vault_rows.h"

#include <keybridge/file.h>

#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct kb_store_kind vault_file = {
    .application_id = 0x6b627661, /* "kbva" */
    .version = 1,
    .what = "a keybridge vault",
    .repair = "restore it from a backup, or from what keybridge vault export wrote",
};

static void vault_free(struct kb_vault *vault)
{
    kb_store_close(vault->store);
    vault_batch_free(vault->batch);
    pthread_mutex_destroy(&vault->lock);
    free(vault->path);
    free(vault->wrap_key);
    free(vault->sign_key);
    free(vault);
}

static enum kb_status vault_new(struct kb_vault **out, struct kb_keystore *keystore,
                                const struct kb_vault_options *options, struct kb_error *err)
{
    struct kb_vault *vault = calloc(1, sizeof *vault);
    enum kb_status status;

    *out = NULL;
    if (!vault)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory for a vault");
    pthread_mutex_init(&vault->lock, NULL);
    vault->keystore = keystore;
    vault->path = strdup(options->path);
    vault->wrap_key = strdup(options->wrap_key ? options->wrap_key : KB_VAULT_WRAP_KEY);
    vault->sign_key = strdup(options->sign_key ? options->sign_key : KB_VAULT_SIGN_KEY);
    status = vault_batch_new(&vault->batch, err);
    if (status == KB_OK && !(vault->path && vault->wrap_key && vault->sign_key))
        status = kb_error_set(err, KB_ERR_MEMORY, "no memory for a vault");
    if (status != KB_OK)
        vault_free(vault);
    else
        *out = vault;
    return status;
}

/* --- its keys in the token ------------------------------------------------------------------ */

/* The version of a key that is there, or made when `create`. */
static enum kb_status find_version(struct kb_vault *vault, const struct kb_key_spec *spec,
                                   bool create, char version[33], struct kb_error *err)
{
    struct kb_error why = {.status = KB_OK};
    struct kb_key_info info;
    enum kb_status status = kb_key_find(vault->token, spec->name, &info, &why);

    if (status == KB_ERR_NOT_FOUND && create) {
        status = kb_key_create(vault->token, spec, err);
        if (status == KB_OK || status == KB_ERR_EXISTS)
            status = kb_key_find(vault->token, spec->name, &info, err);
    } else if (status == KB_ERR_NOT_FOUND) {
        return kb_error_set(err, KB_ERR_AUTH, "the token has no key '%.64s', which %s needs",
                            spec->name, vault->path);
    } else if (status != KB_OK && err && err->status == KB_OK) {
        *err = why;
    }
    if (status == KB_OK && info.use != spec->use)
        status = kb_error_set(err, KB_ERR_DENIED, "key '%.64s' is not a %s key, as the vault needs",
                              spec->name, kb_key_use_format(spec->use));
    if (status == KB_OK)
        memcpy(version, info.version, sizeof info.version);
    return status;
}

static enum kb_status find_keys(struct kb_vault *vault, bool create, char wrap_version[33],
                                char sign_version[33], struct kb_error *err)
{
    struct kb_key_spec wrap = {
        .name = vault->wrap_key, .use = KB_KEY_WRAP, .type = KB_KEY_AES_256};
    struct kb_key_spec sign = {
        .name = vault->sign_key, .use = KB_KEY_SIGN, .type = KB_KEY_HMAC_SHA256};
    enum kb_status status = find_version(vault, &wrap, create, wrap_version, err);

    return status == KB_OK ? find_version(vault, &sign, create, sign_version, err) : status;
}

/* What the state says of them is not verified yet; it only makes a better message. */
static enum kb_status check_keys(struct kb_vault *vault, struct kb_error *err)
{
    struct vault_state *state = &vault->state;
    char wrap[33], sign[33];
    enum kb_status status = find_keys(vault, false, wrap, sign, err);

    if (status != KB_OK)
        return status;
    if (strcmp(sign, state->sign_version) != 0)
        return kb_error_set(err, KB_ERR_AUTH, "'%.64s' is not the key that signed %s",
                            vault->sign_key, vault->path);
    if (strcmp(wrap, state->wrap_version) != 0)
        return kb_error_set(err, KB_ERR_AUTH, "'%.64s' is not the key that wrapped those of %s",
                            vault->wrap_key, vault->path);
    return KB_OK;
}

/* --- making ------------------------------------------------------------------------------- */

struct filling {
    struct kb_vault *vault;
};

static enum kb_status make_counter(struct kb_vault *vault, struct kb_error *err)
{
    char name[VAULT_COUNTER_NAME];
    enum kb_status status;

    vault_counter_name(name, vault->state.id);
    status = kb_counter_step(vault->token, name, 0, 1, err);
    if (status == KB_ERR_UNSUPPORTED)
        kb_error_hint(err, "a vault needs one, to tell an old copy of its file");
    return status;
}

/* The counter before the file has its name: a file without one would never open. Last of
 * what is done before, so that little can come between the two. */
static enum kb_status fill(struct kb_store *store, const void *ctx, struct kb_error *err)
{
    struct kb_vault *vault = ((const struct filling *)ctx)->vault;
    enum kb_status status = kb_store_run(store, vault_layout, err);

    vault->store = store;
    if (status == KB_OK)
        status = vault_state_write(vault, err);
    vault->store = NULL;
    return status == KB_OK ? make_counter(vault, err) : status;
}

static enum kb_status choose_id(struct kb_vault *vault, struct kb_error *err)
{
    const struct kb_token_info *info = kb_keystore_info(vault->keystore);
    enum kb_status status;

    vault->state = (struct vault_state){.counter = 1};
    for (size_t i = 0; i < VAULT_TABLES; i++)
        vault->state.tables[i].next = 1;
    memcpy(vault->state.serial, info->serial, sizeof info->serial);
    memcpy(vault->state.label, info->label, sizeof info->label);
    status = vault_ids_make(vault, &vault->state.id, 1, err);
    if (status == KB_OK)
        status = find_keys(vault, true, vault->state.wrap_version, vault->state.sign_version, err);
    return status;
}

static enum kb_status make_file(struct kb_vault *vault, struct kb_error *err)
{
    struct filling filling = {vault};
    char counter[VAULT_COUNTER_NAME];
    enum kb_status status = choose_id(vault, err);

    if (status != KB_OK)
        return status;
    vault_counter_name(counter, vault->state.id);
    status = kb_store_create(vault->path, &vault_file, fill, &filling, err);
    if (status != KB_OK)
        (void)!kb_key_destroy(vault->token, counter, NULL);
    return status;
}

/* Two that make a vault at once would make its keys twice, and it would never open. -1
 * where folders cannot be locked. */
static int lock_folder(const struct kb_vault *vault)
{
    char *copy = strdup(vault->path);
    int fd = copy ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

    free(copy);
    if (fd >= 0)
        (void)!kb_fd_lock(fd, vault->path, NULL);
    return fd;
}

static void note_counter(void *ctx, const struct kb_key_info *info)
{
    bool *found = ctx;

    *found = *found || strncmp(info->name, KB_VAULT_COUNTER_PREFIX,
                               sizeof KB_VAULT_COUNTER_PREFIX - 1) == 0;
}

/* A counter without the file: a vault is lost, or is another's. */
static enum kb_status check_first(struct kb_vault *vault, struct kb_error *err)
{
    bool found = false;
    enum kb_status status = kb_key_list(vault->token, note_counter, &found, err);

    if (status != KB_OK || !found)
        return status;
    kb_error_set(err, KB_ERR_NOT_FOUND,
                 "there is no vault %s, but the token has the counter of one: it may be lost",
                 vault->path);
    kb_error_hint(err, "restore the file, or keybridge vault import; if it is another's, "
                       "keybridge vault create --yes makes one beside it");
    return KB_ERR_NOT_FOUND;
}

static enum kb_status create(struct kb_vault *vault, bool only_first, struct kb_error *err)
{
    struct kb_error why = {.status = KB_OK};
    int lock = lock_folder(vault);
    enum kb_status status = kb_store_open(&vault->store, vault->path, &vault_file, &why);

    /* Another process may have been faster. */
    if (status == KB_ERR_NOT_FOUND) {
        kb_error_clear(&why);
        status = only_first ? check_first(vault, &why) : KB_OK;
        if (status == KB_OK)
            status = make_file(vault, &why);
        if (status == KB_OK)
            status = kb_store_open(&vault->store, vault->path, &vault_file, &why);
    }
    if (lock >= 0)
        close(lock);
    if (status != KB_OK && err && err->status == KB_OK)
        *err = why;
    return status;
}

/* --- opening ------------------------------------------------------------------------------ */

static enum kb_status check_all(struct kb_vault *vault, struct kb_error *err)
{
    enum kb_status status = vault_state_peek(vault, err);

    if (status == KB_OK)
        status = check_keys(vault, err);
    if (status == KB_OK)
        status = vault_state_read(vault, false, err);
    if (status == KB_OK)
        status = vault_counter_check(vault, err);
    for (size_t table = 0; table < VAULT_TABLES && status == KB_OK; table++)
        status = vault_contents_check(vault, (enum vault_table)table, false, err);
    return status;
}

/* Takes the file as it is: rows that were altered stay so, and are refused one by one.
 * The counter goes beyond both, so that every other copy is an old one. */
static enum kb_status repair(struct kb_vault *vault, struct kb_error *err)
{
    char counter[VAULT_COUNTER_NAME];
    uint64_t there = 0;
    enum kb_status status = vault_state_peek(vault, err);

    if (status == KB_OK)
        status = check_keys(vault, err);
    if (status == KB_OK)
        status = vault_state_read(vault, true, err);
    for (size_t table = 0; table < VAULT_TABLES && status == KB_OK; table++)
        status = vault_contents_check(vault, (enum vault_table)table, true, err);
    if (status != KB_OK)
        return status;
    vault_counter_name(counter, vault->state.id);
    status = kb_counter_get(vault->token, counter, &there, NULL);
    if (status != KB_OK && status != KB_ERR_NOT_FOUND)
        return kb_error_set(err, status, "the token's counter cannot be read");
    if (vault->state.counter > INT64_MAX - 1)
        vault->state.counter = 0; /* nonsense of an altered row */
    vault->state.counter = (there > vault->state.counter ? there : vault->state.counter) + 1;
    status = vault_state_write(vault, err);
    if (status == KB_OK)
        status = kb_store_commit(vault->store, err);
    /* Nobody else opens it meanwhile: the file is ahead by more than one. */
    if (status == KB_OK)
        status = kb_counter_step(vault->token, counter, there, vault->state.counter, err);
    return status;
}

static enum kb_status open_file(struct kb_vault *vault, const struct kb_vault_options *options,
                                struct kb_error *err)
{
    struct kb_error why = {.status = KB_OK};
    enum kb_status status = kb_store_open(&vault->store, vault->path, &vault_file, &why);

    if (status == KB_ERR_NOT_FOUND && options->create)
        return create(vault, options->only_first, err);
    if (status == KB_ERR_NOT_FOUND) {
        kb_error_set(err, status, "there is no vault %s", vault->path);
        kb_error_hint(err, "keybridge vault create makes it, and so does the first "
                           "keybridge s3 put");
    } else if (status != KB_OK && err && err->status == KB_OK) {
        *err = why;
    }
    return status;
}

enum kb_status kb_vault_open(struct kb_vault **out, struct kb_keystore *keystore,
                             const struct kb_vault_options *options, struct kb_error *err)
{
    struct kb_vault *vault;
    enum kb_status status = vault_new(&vault, keystore, options, err);

    *out = NULL;
    if (status != KB_OK)
        return status;
    status = vault_enter(vault, err);
    if (status == KB_OK) {
        status = open_file(vault, options, err);
        if (status == KB_OK)
            status = kb_store_begin(vault->store, err);
        if (status == KB_OK) {
            status = options->accept_rollback ? repair(vault, err) : check_all(vault, err);
            vault->state_verified = status == KB_OK;
            kb_store_rollback(vault->store);
        }
        status = vault_leave(vault, status);
    }
    if (status != KB_OK)
        vault_free(vault);
    else
        *out = vault;
    return status;
}

void kb_vault_close(struct kb_vault *vault)
{
    if (vault)
        vault_free(vault);
}
