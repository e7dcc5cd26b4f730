/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading: signatures first; only what was verified is unwrapped, and only
 * what was unwrapped is decrypted. Whatever is wrong with an item, the error
 * is the same.
 */
#include "ddbec/ddbec.h"

#include <string.h>

/* --- what an item brings --------------------------------------------------- */

/* An attribute that must be binary if it is there. */
static bool take_binary(const struct kb_item *item, struct kb_bytes name, struct kb_bytes *out)
{
    const struct kb_attr *value = kb_item_find(item, name);

    *out = (struct kb_bytes){NULL, 0};
    if (value && value->type == KB_ATTR_B)
        *out = value->bytes;
    return !value || value->type == KB_ATTR_B;
}

/* Signature and description; a missing description is an empty one (Java
 * leaves it out when it has no entries). False: not ours, or damaged. */
static bool read_added(struct kb_worker *worker, struct kb_job *job, enum kb_status *status,
                       struct kb_error *err)
{
    const struct kb_ddbec *ddbec = worker->ddbec;
    struct kb_error reason = {0};
    struct kb_bytes description;
    struct kb_pair *entries;
    size_t count;

    if (!take_binary(&job->item, ddbec->signature_attribute, &job->signature) ||
        !job->signature.size ||
        !take_binary(&job->item, ddbec->description_attribute, &description))
        return false;
    job->materials.wanted = job->encrypt_count > 0 || ddbec->provider->opens_first;
    if (!description.data)
        return true;
    *status = kb_description_read(&entries, &count, description, &worker->work.arena, &reason);
    if (kb_status_is_item(*status)) {
        *status = KB_OK;
        return false;
    }
    if (*status != KB_OK) {
        *err = reason;
        return false;
    }
    job->materials.description = entries;
    job->materials.description_count = count;
    return true;
}

static bool is_encrypted_size(const struct kb_attr *value)
{
    return value->type == KB_ATTR_B && value->bytes.size >= DDBEC_ENCRYPTED_LEAST &&
           value->bytes.size % KB_AES_BLOCK == 0;
}

/* Everything that can be said without a key of what is to be decrypted. */
static bool check_encrypted(const struct kb_job *job)
{
    const struct kb_bytes *mode = kb_entry_find(job->materials.description,
                                                job->materials.description_count, KB_ENTRY_MODE);

    if (!job->encrypt_count)
        return true;
    if (!mode || !kb_bytes_equal(*mode, kb_bytes_text(DDBEC_MODE)))
        return false;
    for (size_t i = 0; i < job->target_count; i++)
        if (job->targets[i].name.action == KB_ACTION_ENCRYPT_AND_SIGN &&
            !is_encrypted_size(&job->targets[i].member->value))
            return false;
    return true;
}

static enum kb_status take_items(struct kb_worker *worker, struct kb_line *lines, size_t n,
                                 struct kb_error *err)
{
    enum kb_status status = KB_OK;

    for (size_t i = 0; i < n; i++) {
        struct kb_job *job = &worker->jobs[worker->job_count];

        if (!kb_worker_take(worker, &lines[i], &status, err)) {
            if (status != KB_OK)
                return status;
            continue;
        }
        if (worker->ddbec->takes_no_action)
            continue;
        if (!read_added(worker, job, &status, err) || !check_encrypted(job)) {
            if (status != KB_OK)
                return status;
            kb_line_refuse(&lines[i]);
            worker->job_count--;
        }
    }
    return status;
}

/* Drops the jobs that `good` does not name. */
static void keep_good(struct kb_worker *worker, const bool *good)
{
    size_t kept = 0;

    for (size_t j = 0; j < worker->job_count; j++) {
        if (good[j])
            worker->jobs[kept++] = worker->jobs[j];
        else
            kb_line_refuse(worker->jobs[j].line);
    }
    worker->job_count = kept;
}

/* --- signatures --------------------------------------------------------------- */

/* A form of the string to sign that is tried. */
struct form {
    enum kb_attr_dialect dialect;
    bool number_exact;
    unsigned differences; /* tried only on items that differ in one of these; 0: on all */
};

/* Python rounds a number to 28 digits before it signs it, so that many numbers
 * have one signature. That is no way to look an item up: a key attribute that
 * long is not taken in that form. */
static bool may_round(const struct kb_worker *worker, const struct kb_job *job)
{
    const struct kb_ddbec *ddbec = worker->ddbec;

    if (ddbec->exact_numbers)
        return false;
    for (size_t i = 0; i < job->target_count; i++)
        if (kb_actions_has(ddbec->keys, job->targets[i].member->name) &&
            kb_attr_difference(&job->targets[i].member->value) & KB_DIFFERENCE_DIGITS)
            return false;
    return true;
}

static bool is_to_try(const struct kb_worker *worker, const struct kb_job *job,
                      const struct form *form)
{
    if (form->differences && !(kb_signed_difference(job) & form->differences))
        return false;
    return form->number_exact || may_round(worker, job);
}

/* One round of verification, over the jobs that are not good yet. */
static enum kb_status verify_round(struct kb_worker *worker, const struct form *form, bool *good,
                                   struct kb_error *err)
{
    struct kb_signing signings[KB_LINES_MAX];
    size_t of_job[KB_LINES_MAX], ends[KB_LINES_MAX];
    size_t count = 0, at = 0;
    enum kb_status status = KB_OK;

    kb_buffer_reset(&worker->strings_to_sign);
    for (size_t j = 0; status == KB_OK && j < worker->job_count; j++) {
        struct kb_job *job = &worker->jobs[j];

        if (good[j] || !is_to_try(worker, job, form))
            continue;
        status = kb_string_to_sign(worker, job, form->dialect, form->number_exact, err);
        signings[count] = (struct kb_signing){.sign_key = job->materials.sign_key,
                                              .signature = job->signature};
        ends[count] = worker->strings_to_sign.size;
        of_job[count++] = j;
    }
    for (size_t i = 0; status == KB_OK && i < count; i++) {
        signings[i].message =
            (struct kb_bytes){worker->strings_to_sign.data + at, ends[i] - at};
        at = ends[i];
    }
    if (status == KB_OK && count)
        status = kb_provider_verify(worker->ddbec->provider, &worker->work, signings, count, err);
    for (size_t i = 0; status == KB_OK && i < count; i++)
        good[of_job[i]] = signings[i].good;
    return status;
}

static enum kb_status verify_items(struct kb_worker *worker, struct kb_error *err)
{
    static const struct form forms[] = {
        /* What both clients write, and we, where they agree; then each one's own. */
        {KB_DIALECT_PYTHON, true, 0},
        {KB_DIALECT_JAVA, true, KB_DIFFERENCE_ORDER},
        {KB_DIALECT_PYTHON, false, KB_DIFFERENCE_DIGITS | KB_DIFFERENCE_NEGATIVE_ZERO},
    };
    bool good[KB_LINES_MAX] = {false};
    enum kb_status status = KB_OK;

    for (size_t i = 0; status == KB_OK && i < sizeof forms / sizeof *forms; i++)
        status = verify_round(worker, &forms[i], good, err);
    if (status == KB_OK)
        keep_good(worker, good);
    return status;
}

/* --- attributes ------------------------------------------------------------------ */

static struct kb_bytes ciphertext_of(const struct kb_attr *value)
{
    return (struct kb_bytes){value->bytes.data + DDBEC_IV_SIZE, value->bytes.size - DDBEC_IV_SIZE};
}

/* Puts the decrypted value in the place of the encrypted one. */
static enum kb_status set_plain(struct kb_worker *worker, struct kb_attr *value,
                                struct kb_bytes plain, struct kb_error *err)
{
    return kb_attr_deserialize(value, plain, &worker->work.arena, err);
}

static enum kb_status decrypt_here(struct kb_worker *worker, struct kb_job *job,
                                   struct kb_error *err)
{
    enum kb_status status = kb_crypto_cbc_key(worker->work.crypto, false, job->materials.key, err);

    for (size_t i = 0; status == KB_OK && i < job->target_count; i++) {
        struct kb_attr *value = &job->targets[i].member->value;
        struct kb_bytes in;
        uint8_t *plain;
        size_t size;

        if (job->targets[i].name.action != KB_ACTION_ENCRYPT_AND_SIGN)
            continue;
        in = ciphertext_of(value);
        plain = kb_arena_take(&worker->work.arena, in.size);
        if (!plain)
            return kb_error_set(err, KB_ERR_MEMORY, "no memory");
        status = kb_crypto_cbc_decrypt(worker->work.crypto, plain, &size, value->bytes.data, in,
                                       err);
        if (status == KB_OK)
            status = set_plain(worker, value, (struct kb_bytes){plain, size}, err);
    }
    return status;
}

/* Cipher jobs of one item, behind those that are there. */
static void add_cipher_jobs(const struct kb_job *job, struct kb_cipher_job *cipher, size_t *count)
{
    for (size_t i = 0; i < job->target_count; i++) {
        const struct kb_attr *value = &job->targets[i].member->value;
        struct kb_cipher_job *next = &cipher[*count];

        if (job->targets[i].name.action != KB_ACTION_ENCRYPT_AND_SIGN)
            continue;
        next->handle = job->materials.handle;
        next->in = ciphertext_of(value);
        memcpy(next->iv, value->bytes.data, DDBEC_IV_SIZE);
        (*count)++;
    }
}

static enum kb_status take_cipher_results(struct kb_worker *worker, struct kb_job *job,
                                          const struct kb_cipher_job *cipher, size_t *at,
                                          struct kb_error *err)
{
    enum kb_status status = KB_OK;

    for (size_t i = 0; i < job->target_count; i++) {
        struct kb_bytes plain;

        if (job->targets[i].name.action != KB_ACTION_ENCRYPT_AND_SIGN)
            continue;
        /* Every result is counted, also behind a bad one. */
        if (status == KB_OK)
            status = cipher[*at].status;
        if (status == KB_OK) {
            plain = kb_arena_copy(&worker->work.arena, cipher[*at].out);
            status = plain.data ? set_plain(worker, &job->targets[i].member->value, plain, err)
                                : kb_error_set(err, KB_ERR_MEMORY, "no memory");
        }
        (*at)++;
    }
    return status;
}

/* All jobs whose content key is in the token, in one call. */
static enum kb_status decrypt_in_token(struct kb_worker *worker, bool *good, struct kb_error *err)
{
    struct kb_cipher_job *cipher;
    size_t room = 0, count = 0, at = 0;
    enum kb_status status = KB_OK;

    for (size_t j = 0; j < worker->job_count; j++)
        room += worker->jobs[j].encrypt_count;
    cipher = kb_arena_array(&worker->work.arena, room + 1, sizeof *cipher);
    if (!cipher)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    for (size_t j = 0; j < worker->job_count; j++)
        if (good[j])
            add_cipher_jobs(&worker->jobs[j], cipher, &count);
    if (count)
        status = kb_token_cipher(worker->work.token, false, worker->ddbec->provider->content_key,
                                 cipher, count, err);
    for (size_t j = 0; status == KB_OK && j < worker->job_count; j++) {
        struct kb_error reason = {0};

        if (!good[j])
            continue;
        status = take_cipher_results(worker, &worker->jobs[j], cipher, &at, &reason);
        good[j] = status == KB_OK;
        if (kb_status_is_item(status))
            status = KB_OK;
        else if (status != KB_OK)
            *err = reason;
    }
    return status;
}

/* Decrypts what can be decrypted; `good` tells which items came through. */
static enum kb_status decrypt_all(struct kb_worker *worker, bool *good, struct kb_error *err)
{
    enum kb_status status = KB_OK;
    bool in_token = false;

    for (size_t j = 0; status == KB_OK && j < worker->job_count; j++) {
        struct kb_job *job = &worker->jobs[j];
        struct kb_error reason = {0};

        good[j] = true;
        if (!job->encrypt_count)
            continue;
        if (job->materials.content != KB_CONTENT_PLAIN) {
            in_token = true;
            continue;
        }
        status = decrypt_here(worker, job, &reason);
        good[j] = status == KB_OK;
        if (kb_status_is_item(status))
            status = KB_OK;
        else if (status != KB_OK)
            *err = reason;
    }
    if (status == KB_OK && in_token)
        status = decrypt_in_token(worker, good, err);
    return status;
}

static void load_materials(const struct kb_worker *worker, struct kb_materials *materials)
{
    for (size_t j = 0; j < worker->job_count; j++)
        materials[j] = worker->jobs[j].materials;
}

/* Asks the provider for the content keys; items it cannot open are dropped. */
static enum kb_status open_items(struct kb_worker *worker, struct kb_error *err)
{
    struct kb_materials materials[KB_LINES_MAX];
    bool good[KB_LINES_MAX];
    enum kb_status status;

    load_materials(worker, materials);
    status = worker->ddbec->provider->ops->open(worker->ddbec->provider, &worker->work, materials,
                                                worker->job_count, err);
    if (status != KB_OK)
        return status;
    for (size_t j = 0; j < worker->job_count; j++) {
        worker->jobs[j].materials = materials[j];
        good[j] = materials[j].status == KB_OK;
    }
    keep_good(worker, good);
    return KB_OK;
}

/* Where the signing key does not depend on the content key, only what was
 * verified is opened; under KMS there is no other way than first to open. */
static enum kb_status open_and_verify(struct kb_worker *worker, struct kb_error *err)
{
    bool opens_first = worker->ddbec->provider->opens_first;
    enum kb_status status = opens_first ? open_items(worker, err) : verify_items(worker, err);

    if (status != KB_OK || !worker->job_count)
        return status;
    return opens_first ? verify_items(worker, err) : open_items(worker, err);
}

static enum kb_status decrypt_items(struct kb_worker *worker, struct kb_error *err)
{
    struct kb_materials opened[KB_LINES_MAX];
    bool good[KB_LINES_MAX] = {false};
    enum kb_status status = open_and_verify(worker, err), forgotten;
    size_t count = worker->job_count; /* keys in the token are made for verified items only */

    load_materials(worker, opened);
    if (status == KB_OK && count)
        status = decrypt_all(worker, good, err);
    forgotten = kb_work_forget(&worker->work, opened, count, status == KB_OK ? err : NULL);
    kb_work_forget_sign_keys(&worker->work);
    if (status == KB_OK)
        status = forgotten;
    if (status == KB_OK)
        keep_good(worker, good);
    return status;
}

/* --- a batch ------------------------------------------------------------------------ */

static void remove_added(const struct kb_ddbec *ddbec, struct kb_item *item)
{
    size_t kept = 0;

    for (size_t i = 0; i < item->count; i++)
        if (!kb_bytes_equal(item->members[i].name, ddbec->description_attribute) &&
            !kb_bytes_equal(item->members[i].name, ddbec->signature_attribute))
            item->members[kept++] = item->members[i];
    item->count = kept;
}

enum kb_status kb_ddbec_decrypt(struct kb_worker *worker, struct kb_line *lines, size_t n,
                                struct kb_error *err)
{
    enum kb_status status;

    kb_worker_reset(worker);
    if (n > KB_LINES_MAX)
        return kb_error_set(err, KB_ERR_USAGE, "a batch has at most %d items", KB_LINES_MAX);
    status = take_items(worker, lines, n, err);
    if (worker->ddbec->takes_no_action) {
        for (size_t j = 0; status == KB_OK && j < worker->job_count; j++)
            kb_worker_format(worker, &worker->jobs[j]);
        return status == KB_OK ? kb_worker_publish(worker, err) : status;
    }
    if (status == KB_OK && worker->job_count)
        status = decrypt_items(worker, err);
    for (size_t j = 0; status == KB_OK && j < worker->job_count; j++) {
        remove_added(worker->ddbec, &worker->jobs[j].item);
        kb_worker_format(worker, &worker->jobs[j]);
    }
    return status == KB_OK ? kb_worker_publish(worker, err) : status;
}
