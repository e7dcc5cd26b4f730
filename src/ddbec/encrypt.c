/* SPDX-License-Identifier: Apache-2.0 */
#include "ddbec/ddbec.h"

#include <stdio.h>
#include <string.h>

/* --- what may be encrypted --------------------------------------------------- */

static void check_key(struct kb_job *job, struct kb_bytes name, size_t most)
{
    const struct kb_attr *value = kb_item_find(&job->item, name);
    struct kb_error *error = &job->line->error;

    if (!value)
        kb_error_set(error, KB_ERR_INPUT, "the item has no key attribute '%.*s'", (int)name.size,
                     (const char *)name.data);
    else if (value->type != KB_ATTR_S && value->type != KB_ATTR_N && value->type != KB_ATTR_B)
        kb_error_set(error, KB_ERR_INPUT, "key attribute '%.*s' is %s, not S, N or B",
                     (int)name.size, (const char *)name.data, kb_attr_type_format(value->type));
    else if (value->bytes.size == 0)
        kb_error_set(error, KB_ERR_INPUT, "key attribute '%.*s' is empty", (int)name.size,
                     (const char *)name.data);
    else if (value->bytes.size > most)
        kb_error_set(error, KB_ERR_INPUT, "key attribute '%.*s' has %zu bytes, at most %zu fit",
                     (int)name.size, (const char *)name.data, value->bytes.size, most);
}

static bool check_item(const struct kb_ddbec *ddbec, struct kb_job *job)
{
    const struct kb_bytes reserved[] = {ddbec->description_attribute, ddbec->signature_attribute};

    if (kb_item_check_names(&job->item, &job->line->error) != KB_OK)
        return false;
    check_key(job, ddbec->scope.partition_key, DDBEC_PARTITION_KEY_MAX);
    if (ddbec->scope.sort_key.size)
        check_key(job, ddbec->scope.sort_key, DDBEC_SORT_KEY_MAX);
    for (size_t i = 0; i < 2; i++)
        if (kb_item_find(&job->item, reserved[i]))
            kb_error_set(&job->line->error, KB_ERR_INPUT,
                         "attribute name '%.*s' is reserved: the item seems encrypted already",
                         (int)reserved[i].size, (const char *)reserved[i].data);
    if (job->encrypt_count && !ddbec->provider->has_content_key)
        kb_error_set(&job->line->error, KB_ERR_INPUT,
                     "attributes are to be encrypted but there is no content key");
    return job->line->error.status == KB_OK;
}

/* --- numbers that are signed in the clear ------------------------------------ */

/* An integer of more than 38 digits ends in zeros; they become an exponent,
 * since the Python client cannot take such a number written out. */
static void shorten_integer(char text[KB_NUMBER_TEXT_MAX], size_t *size)
{
    size_t digits = *size - (text[0] == '-');
    size_t zeros = 0;

    if (digits <= 38 || memchr(text, '.', *size))
        return;
    while (text[*size - 1 - zeros] == '0')
        zeros++;
    *size -= zeros;
    *size += (size_t)snprintf(text + *size, KB_NUMBER_TEXT_MAX - *size, "E+%zu", zeros);
}

static enum kb_status canonical_number(struct kb_bytes *number, struct kb_arena *arena,
                                       struct kb_error *err)
{
    char text[KB_NUMBER_TEXT_MAX];
    struct kb_bytes canonical = {(const uint8_t *)text, 0};

    if (!kb_number_canonical(text, &canonical.size, *number, true))
        return kb_error_set(err, KB_ERR_INPUT, "a number is none");
    shorten_integer(text, &canonical.size);
    if (kb_bytes_equal(canonical, *number))
        return KB_OK;
    *number = kb_arena_copy(arena, canonical);
    return number->data ? KB_OK : kb_error_set(err, KB_ERR_MEMORY, "no memory");
}

/* DynamoDB stores numbers in its own form; what is signed must be that form,
 * or the signature would not survive the table. */
static enum kb_status canonical_numbers(struct kb_attr *value, struct kb_arena *arena,
                                        struct kb_error *err)
{
    enum kb_status status = KB_OK;

    switch (value->type) {
    case KB_ATTR_N:
        return canonical_number(&value->bytes, arena, err);
    case KB_ATTR_NS:
        for (size_t i = 0; status == KB_OK && i < value->set.count; i++)
            status = canonical_number(&value->set.members[i], arena, err);
        return status;
    case KB_ATTR_L:
        for (size_t i = 0; status == KB_OK && i < value->list.count; i++)
            status = canonical_numbers(&value->list.elements[i], arena, err);
        return status;
    case KB_ATTR_M:
        for (size_t i = 0; status == KB_OK && i < value->map.count; i++)
            status = canonical_numbers(&value->map.members[i].value, arena, err);
        return status;
    default:
        return KB_OK;
    }
}

/* --- attributes ----------------------------------------------------------------- */

/* IVs of a whole batch at once; each is used for one attribute. */
static enum kb_status make_ivs(struct kb_worker *worker, uint8_t **ivs, struct kb_error *err)
{
    size_t count = 0;

    for (size_t j = 0; j < worker->job_count; j++)
        count += worker->jobs[j].encrypt_count;
    *ivs = kb_arena_take(&worker->work.arena, count * DDBEC_IV_SIZE + 1);
    if (!*ivs)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    return count ? kb_crypto_random(*ivs, count * DDBEC_IV_SIZE, err) : KB_OK;
}

static enum kb_status serialize_value(struct kb_worker *worker, struct kb_bytes *out,
                                      const struct kb_attr *value, struct kb_error *err)
{
    kb_buffer_reset(&worker->scratch);
    kb_attr_serialize(&worker->scratch, value, KB_DIALECT_PYTHON, true);
    *out = kb_buffer_view(&worker->scratch);
    return kb_buffer_check(&worker->scratch, err);
}

/* No value that long fits an item; it is not even tried. */
static bool too_big(struct kb_job *job, size_t size)
{
    if (size <= KB_ITEM_SIZE_MAX)
        return false;
    kb_error_set(&job->line->error, KB_ERR_INPUT,
                 "the item has over %zu bytes once encrypted; DynamoDB takes at most %d", size,
                 KB_ITEM_SIZE_MAX);
    return true;
}

/* Drops the jobs whose line has an error now. */
static void drop_failed(struct kb_worker *worker)
{
    size_t kept = 0;

    for (size_t j = 0; j < worker->job_count; j++)
        if (worker->jobs[j].line->error.status == KB_OK)
            worker->jobs[kept++] = worker->jobs[j];
    worker->job_count = kept;
}

/* Room for an encrypted attribute in the arena, its IV in place. */
static uint8_t *encrypted_room(struct kb_worker *worker, size_t size, const uint8_t *iv,
                               struct kb_error *err)
{
    uint8_t *room = kb_arena_take(&worker->work.arena, DDBEC_IV_SIZE + size);

    if (room)
        memcpy(room, iv, DDBEC_IV_SIZE);
    else
        kb_error_set(err, KB_ERR_MEMORY, "no memory");
    return room;
}

static void set_encrypted(struct kb_attr *value, const uint8_t *data, size_t size)
{
    value->type = KB_ATTR_B;
    value->bytes = (struct kb_bytes){data, DDBEC_IV_SIZE + size};
}

/* Under a released data key: in this process. */
static enum kb_status encrypt_here(struct kb_worker *worker, struct kb_job *job, uint8_t **ivs,
                                   struct kb_error *err)
{
    enum kb_status status =
        kb_crypto_cbc_key(worker->work.crypto, true, job->materials.key, err);

    for (size_t i = 0; status == KB_OK && i < job->target_count; i++) {
        struct kb_attr *value = &job->targets[i].member->value;
        struct kb_bytes plain;
        uint8_t *room;
        size_t size;

        if (job->targets[i].name.action != KB_ACTION_ENCRYPT_AND_SIGN)
            continue;
        status = serialize_value(worker, &plain, value, err);
        if (status != KB_OK || too_big(job, plain.size))
            break;
        size = kb_crypto_cbc_size(plain.size);
        room = encrypted_room(worker, size, *ivs, err);
        if (!room)
            return KB_ERR_MEMORY;
        status = kb_crypto_cbc_encrypt(worker->work.crypto, room + DDBEC_IV_SIZE, *ivs, plain, err);
        set_encrypted(value, room, size);
        *ivs += DDBEC_IV_SIZE;
    }
    return status;
}

/* Attributes of all jobs whose content key is in the token, in one call. */
static enum kb_status encrypt_in_token(struct kb_worker *worker, uint8_t *ivs,
                                       struct kb_error *err)
{
    struct kb_cipher_job *cipher;
    struct kb_attr **values;
    size_t room = 0, count = 0;
    enum kb_status status = KB_OK;

    for (size_t j = 0; j < worker->job_count; j++)
        room += worker->jobs[j].encrypt_count;
    cipher = kb_arena_array(&worker->work.arena, room + 1, sizeof *cipher);
    values = kb_arena_array(&worker->work.arena, room + 1, sizeof *values);
    if (!cipher || !values)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    for (size_t j = 0; j < worker->job_count; j++) {
        struct kb_job *job = &worker->jobs[j];

        for (size_t i = 0; status == KB_OK && i < job->target_count; i++) {
            struct kb_bytes plain;

            if (job->targets[i].name.action != KB_ACTION_ENCRYPT_AND_SIGN)
                continue;
            values[count] = &job->targets[i].member->value;
            status = serialize_value(worker, &plain, values[count], err);
            if (status == KB_OK && !too_big(job, plain.size)) {
                cipher[count].in = kb_arena_copy(&worker->work.arena, plain);
                cipher[count].handle = job->materials.handle;
                memcpy(cipher[count].iv, ivs + count * DDBEC_IV_SIZE, DDBEC_IV_SIZE);
                if (!cipher[count++].in.data)
                    status = kb_error_set(err, KB_ERR_MEMORY, "no memory");
            }
        }
    }
    if (status == KB_OK && count)
        status = kb_token_cipher(worker->work.token, true, worker->ddbec->provider->content_key,
                                 cipher, count, err);
    for (size_t i = 0; status == KB_OK && i < count; i++) {
        uint8_t *data = encrypted_room(worker, cipher[i].out.size, cipher[i].iv, err);

        if (!data)
            return KB_ERR_MEMORY;
        if (cipher[i].status != KB_OK)
            return kb_error_set(err, KB_ERR_TOKEN, "the token did not encrypt");
        memcpy(data + DDBEC_IV_SIZE, cipher[i].out.data, cipher[i].out.size);
        set_encrypted(values[i], data, cipher[i].out.size);
    }
    return status;
}

static enum kb_status encrypt_attributes(struct kb_worker *worker, struct kb_error *err)
{
    struct kb_materials materials[KB_LINES_MAX];
    enum kb_status status, forgotten;
    uint8_t *ivs;

    for (size_t j = 0; j < worker->job_count; j++)
        materials[j] = worker->jobs[j].materials;
    status = make_ivs(worker, &ivs, err);
    if (status != KB_OK)
        return status;
    status = worker->ddbec->provider->ops->make(worker->ddbec->provider, &worker->work, materials,
                                                worker->job_count, err);
    for (size_t j = 0; status == KB_OK && j < worker->job_count; j++) {
        worker->jobs[j].materials = materials[j];
        if (materials[j].content == KB_CONTENT_PLAIN)
            status = encrypt_here(worker, &worker->jobs[j], &ivs, err);
    }
    /* All items of a provider have their content key in the same kind of place. */
    if (status == KB_OK && materials[0].content != KB_CONTENT_PLAIN &&
        materials[0].content != KB_CONTENT_NONE)
        status = encrypt_in_token(worker, ivs, err);
    forgotten = kb_work_forget(&worker->work, materials, worker->job_count,
                               status == KB_OK ? err : NULL);
    return status == KB_OK ? forgotten : status;
}

/* --- added attributes ------------------------------------------------------------ */

static enum kb_status add_member(struct kb_worker *worker, struct kb_item *item,
                                 struct kb_bytes name, struct kb_bytes value, struct kb_error *err)
{
    struct kb_member *members =
        kb_arena_take(&worker->work.arena, (item->count + 1) * sizeof *members);

    if (!members)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    if (item->count)
        memcpy(members, item->members, item->count * sizeof *members);
    members[item->count] =
        (struct kb_member){name, {.type = KB_ATTR_B, .bytes = value}};
    item->members = members;
    item->count++;
    return KB_OK;
}

static enum kb_status add_description(struct kb_worker *worker, struct kb_job *job,
                                      struct kb_error *err)
{
    const struct kb_ddbec *ddbec = worker->ddbec;
    struct kb_bytes description;
    enum kb_status status;

    kb_buffer_reset(&worker->scratch);
    kb_buffer_put_bytes(&worker->scratch, kb_buffer_view(&ddbec->before_wrapped));
    if (ddbec->has_wrapped)
        kb_buffer_put_lv(&worker->scratch, job->materials.wrapped_text);
    kb_buffer_put_bytes(&worker->scratch, kb_buffer_view(&ddbec->after_wrapped));
    status = kb_buffer_check(&worker->scratch, err);
    if (status != KB_OK)
        return status;
    description = kb_arena_copy(&worker->work.arena, kb_buffer_view(&worker->scratch));
    if (!description.data)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    return add_member(worker, &job->item, ddbec->description_attribute, description, err);
}

/* The form of the string to sign that we write. Where both clients agree there
 * is but one. Where they order differently, Python's is written; where a
 * number has digits that Python would drop, Java's, which signs them all. */
static enum kb_attr_dialect written_dialect(const struct kb_job *job)
{
    return kb_signed_difference(job) & KB_DIFFERENCE_DIGITS ? KB_DIALECT_JAVA : KB_DIALECT_PYTHON;
}

static enum kb_status sign_items(struct kb_worker *worker, struct kb_error *err)
{
    struct kb_signing signings[KB_LINES_MAX];
    size_t ends[KB_LINES_MAX];
    enum kb_status status = KB_OK;
    size_t at = 0;

    kb_buffer_reset(&worker->strings_to_sign);
    for (size_t j = 0; status == KB_OK && j < worker->job_count; j++) {
        struct kb_job *job = &worker->jobs[j];

        status = kb_string_to_sign(worker, job, written_dialect(job), true, err);
        ends[j] = worker->strings_to_sign.size;
    }
    for (size_t j = 0; status == KB_OK && j < worker->job_count; j++) {
        signings[j] = (struct kb_signing){
            .message = {worker->strings_to_sign.data + at, ends[j] - at},
            .sign_key = worker->jobs[j].materials.sign_key,
        };
        at = ends[j];
    }
    if (status == KB_OK)
        status = kb_provider_sign(worker->ddbec->provider, &worker->work, signings,
                                  worker->job_count, err);
    for (size_t j = 0; status == KB_OK && j < worker->job_count; j++) {
        struct kb_job *job = &worker->jobs[j];

        status = add_description(worker, job, err);
        if (status == KB_OK)
            status = add_member(worker, &job->item, worker->ddbec->signature_attribute,
                                signings[j].signature, err);
    }
    return status;
}

/* Numbers as the table will hold them: those that are signed in the clear, and
 * those of key attributes whatever their action, since an encryption context
 * holds them too. */
static enum kb_status make_canonical(struct kb_worker *worker, struct kb_job *job,
                                     struct kb_error *err)
{
    struct kb_bytes keys[] = {worker->ddbec->scope.partition_key, worker->ddbec->scope.sort_key};
    struct kb_arena *arena = &worker->work.arena;
    enum kb_status status = KB_OK;

    for (size_t t = 0; status == KB_OK && t < job->target_count; t++)
        if (job->targets[t].name.action == KB_ACTION_SIGN_ONLY)
            status = canonical_numbers(&job->targets[t].member->value, arena, err);
    for (size_t k = 0; status == KB_OK && k < 2; k++) {
        struct kb_attr *value = keys[k].size ? kb_item_find(&job->item, keys[k]) : NULL;

        if (value)
            status = canonical_numbers(value, arena, err);
    }
    return status;
}

/* --- a batch ------------------------------------------------------------------------ */

static enum kb_status take_items(struct kb_worker *worker, struct kb_line *lines, size_t n,
                                 struct kb_error *err)
{
    const struct kb_ddbec *ddbec = worker->ddbec;
    enum kb_status status = KB_OK;

    for (size_t i = 0; i < n; i++) {
        struct kb_job *job = &worker->jobs[worker->job_count];

        if (!kb_worker_take(worker, &lines[i], &status, err)) {
            if (status != KB_OK)
                return status;
            continue;
        }
        if (!check_item(ddbec, job)) {
            worker->job_count--;
            continue;
        }
        status = make_canonical(worker, job, err);
        if (status != KB_OK)
            return status;
    }
    return status;
}

static void format_job(struct kb_worker *worker, struct kb_job *job)
{
    size_t size = kb_item_size(&job->item);

    if (size <= KB_ITEM_SIZE_MAX) {
        kb_worker_format(worker, job);
        return;
    }
    kb_error_set(&job->line->error, KB_ERR_INPUT,
                 "the item has %zu bytes once encrypted; DynamoDB takes at most %d", size,
                 KB_ITEM_SIZE_MAX);
}

enum kb_status kb_ddbec_encrypt(struct kb_worker *worker, struct kb_line *lines, size_t n,
                                struct kb_error *err)
{
    enum kb_status status;

    kb_worker_reset(worker);
    if (n > KB_LINES_MAX)
        return kb_error_set(err, KB_ERR_USAGE, "a batch has at most %d items", KB_LINES_MAX);
    status = take_items(worker, lines, n, err);
    if (status == KB_OK && worker->job_count && !worker->ddbec->takes_no_action) {
        status = encrypt_attributes(worker, err);
        drop_failed(worker);
        if (status == KB_OK && worker->job_count)
            status = sign_items(worker, err);
        kb_work_forget_sign_keys(&worker->work);
    }
    for (size_t j = 0; status == KB_OK && j < worker->job_count; j++)
        format_job(worker, &worker->jobs[j]);
    return status == KB_OK ? kb_worker_publish(worker, err) : status;
}
