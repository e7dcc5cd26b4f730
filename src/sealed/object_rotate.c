/* SPDX-License-Identifier: Apache-2.0
 *
 * An object gets another key. The new one is in the vault, and a row that says
 * what it is for, before anything is sent; the old one is retired when the copy
 * was proved. So at any moment the object is under a key of the vault.
 */
#include "sealed/object_rotate.h"

#include <stdlib.h>
#include <string.h>

/* --- what is to be done ----------------------------------------------------------------- */

static enum kb_s3_sse sse_of(enum kb_object_encryption encryption)
{
    switch (encryption) {
    case KB_OBJECT_SSE_C:
        return KB_S3_SSE_C;
    case KB_OBJECT_SSE_S3:
        return KB_S3_SSE_S3;
    case KB_OBJECT_SSE_KMS:
        return KB_S3_SSE_KMS;
    default:
        return KB_S3_SSE_NONE;
    }
}

/* What the server does with it, whatever was done before it came there. */
static enum kb_object_encryption claim_of(enum kb_s3_sse sse)
{
    switch (sse) {
    case KB_S3_SSE_C:
        return KB_OBJECT_SSE_C;
    case KB_S3_SSE_S3:
        return KB_OBJECT_SSE_S3;
    case KB_S3_SSE_KMS:
        return KB_OBJECT_SSE_KMS;
    default:
        return KB_OBJECT_NONE;
    }
}

static bool is_client_side(const struct rotation *rotation)
{
    return rotation->found.encryption == KB_OBJECT_CLIENT ||
           rotation->found.encryption == KB_OBJECT_CLIENT_ENVELOPE;
}

static bool has_instruction(const struct rotation *rotation)
{
    return rotation->found.header.instruction.data != NULL;
}

static enum kb_status check_asked(const struct kb_objects *objects,
                                  const struct kb_object_rotate *asked, struct kb_error *err)
{
    if (asked->change && (asked->encryption == KB_OBJECT_CLIENT ||
                          asked->encryption == KB_OBJECT_CLIENT_ENVELOPE)) {
        kb_error_set(err, KB_ERR_USAGE,
                     "a server does not encrypt on the client's side: it cannot be rotated to %s",
                     kb_object_encryption_format(asked->encryption));
        kb_error_hint(err, "get the object and put it again");
        return KB_ERR_USAGE;
    }
    if (asked->change && asked->encryption == KB_OBJECT_SSE_C && !kb_s3_is_secure(objects->s3))
        return kb_error_set(err, KB_ERR_USAGE, "customer keys (SSE-C) are not sent over http");
    if (asked->to_s3ec && !objects->s3ec)
        return kb_error_set(err, KB_ERR_USAGE, "to wrap a content key anew the old key is needed");
    return KB_OK;
}

/* The customer key is one that is wanted already, or new enough. */
static enum kb_status is_settled_key(bool *out, const struct rotation *rotation,
                                     struct kb_error *err)
{
    const struct kb_object_rotate *asked = rotation->asked;
    const struct kb_objects *objects = rotation->objects;
    struct kb_vault_key old = {.scope = NULL}, wanted = {.scope = NULL};
    bool named = asked->key || asked->key_per_prefix;
    /* What was not seen to its end is done again. */
    bool pending = rotation->found.has_row && rotation->found.row.state == KB_VAULT_PENDING;
    enum kb_status status;

    *out = false;
    if (!rotation->found.key.id[0])
        return KB_OK;
    status = kb_vault_find_key(objects->vault, rotation->found.key.id, &old, err);
    if (status == KB_OK && named)
        status = asked->key ? kb_vault_find_key(objects->vault, asked->key, &wanted, err)
                            : kb_vault_find_scope(objects->vault, rotation->to.bucket,
                                                  rotation->to.key, &wanted, err);
    *out = status == KB_OK && ((named && strcmp(old.id, wanted.id) == 0) ||
                               (!pending && asked->before && old.created >= asked->before));
    kb_vault_key_free(&old);
    kb_vault_key_free(&wanted);
    return status;
}

/* True when its content key is under the new wrapping key already. */
static bool is_wrapped_for(struct kb_s3ec *to, const struct object_found *found)
{
    struct kb_error none = {.status = KB_OK};
    struct kb_s3ec_object *object = NULL;
    bool is = kb_s3ec_decrypt(&object, to, &found->header, found->head.size, &none) == KB_OK;

    kb_s3ec_object_free(object);
    return is;
}

static enum kb_status wrap_anew(struct rotation *rotation, struct kb_error *err)
{
    const struct object_found *found = &rotation->found;
    const struct kb_object_rotate *asked = rotation->asked;
    const struct kb_s3ec_encrypt_options options = {.instruction_file = has_instruction(rotation)};

    if (!asked->to_s3ec || found->encryption != KB_OBJECT_CLIENT ||
        is_wrapped_for(asked->to_s3ec, found))
        return KB_OK;
    return kb_s3ec_rewrap(&rotation->wrapped, rotation->objects->s3ec, asked->to_s3ec,
                          &found->header, &options, err);
}

static bool same_server_side(const struct rotation *rotation)
{
    const struct kb_object_rotate *asked = rotation->asked;
    const struct kb_s3_object *head = &rotation->found.head;

    if (!asked->change)
        return true;
    return rotation->sse == head->sse &&
           (rotation->sse != KB_S3_SSE_KMS || !asked->kms.kms_key ||
            object_is_kms_key(head->kms_key, asked->kms.kms_key));
}

/* Finds out what there is to do; out->passed_over: nothing. */
static enum kb_status decide(struct rotation *rotation, struct kb_error *err)
{
    const struct kb_object_rotate *asked = rotation->asked;
    const struct object_found *found = &rotation->found;
    bool settled = false;
    enum kb_status status;

    /* It goes with its object, under that one's key. */
    rotation->out->passed_over = found->is_instruction;
    if (found->is_instruction)
        return KB_OK;
    rotation->sse = asked->change         ? sse_of(asked->encryption)
                    : found->customer_key ? KB_S3_SSE_C
                                          : found->head.sse;
    status = wrap_anew(rotation, err);
    if (status != KB_OK)
        return status;
    if (rotation->sse == KB_S3_SSE_C && found->customer_key)
        status = is_settled_key(&settled, rotation, err);
    else
        settled = rotation->sse != KB_S3_SSE_C && same_server_side(rotation);
    rotation->out->passed_over =
        status == KB_OK && settled && rotation->in_place && !rotation->wrapped;
    /* Two objects under one key cannot change at the same moment. */
    if (status == KB_OK && !rotation->out->passed_over && rotation->in_place &&
        has_instruction(rotation) && (found->customer_key || rotation->sse == KB_S3_SSE_C))
        status = kb_error_set(err, KB_ERR_USAGE,
                              "s3://%s/%s has an instruction file and SSE-C beneath: get it and "
                              "put it again",
                              rotation->from.bucket, rotation->from.key);
    return status;
}

/* --- key and row ------------------------------------------------------------------------------ */

static enum kb_status get_key(struct rotation *rotation, struct kb_error *err)
{
    const struct kb_object_rotate *asked = rotation->asked;
    const struct kb_s3_name *const name = &rotation->to;
    struct object_key *key = &rotation->key;

    if (rotation->sse != KB_S3_SSE_C)
        return KB_OK;
    if (asked->key)
        return object_key_release(&rotation->key, rotation->objects, asked->key, true, err);
    if (asked->key_per_prefix)
        return object_key_release_scope(&rotation->key, rotation->objects, name, true, err);
    return object_key_make(&key, rotation->objects, &name, 1, err);
}

static enum kb_status add_row(struct rotation *rotation, struct kb_error *err)
{
    enum kb_object_encryption encryption =
        is_client_side(rotation) ? rotation->found.encryption : claim_of(rotation->sse);
    enum kb_status status;

    if (!rotation->objects->vault)
        return KB_OK;
    status = object_row_begin(&rotation->row, rotation->objects, &rotation->to, encryption,
                              rotation->key.id, err);
    if (status == KB_OK)
        status = kb_vault_add_objects(rotation->objects->vault, &rotation->row, 1, err);
    rotation->has_row = status == KB_OK;
    return status;
}

static void drop_row(struct rotation *rotation)
{
    struct kb_error none = {.status = KB_OK};

    /* A row that stays says only that a copy was begun. */
    if (rotation->has_row)
        (void)!kb_vault_remove_objects(rotation->objects->vault, &rotation->row.row, 1, &none);
    rotation->has_row = false;
}

/* --- the copy -------------------------------------------------------------------------------- */

static enum kb_status find(struct rotation *rotation, struct kb_error *err)
{
    enum kb_status status = object_find(&rotation->found, rotation->objects, &rotation->from,
                                        rotation->asked->get, false, err);

    if (status != KB_OK)
        return status;
    if (rotation->found.has_row && rotation->found.row.state == KB_VAULT_STORED &&
        !rotation->has_known) {
        rotation->known = rotation->found.row;
        rotation->has_known = true;
        memset(&rotation->found.row, 0, sizeof rotation->found.row);
        rotation->found.has_row = false;
    }
    return KB_OK;
}

/* The plaintext is what it was. */
static void carry_over(struct rotation *rotation)
{
    struct kb_object_result *result = &rotation->out->result;

    result->size = rotation->size;
    if (!rotation->has_known)
        return;
    result->size = rotation->known.size;
    result->has_sha256 = rotation->known.has_sha256;
    memcpy(result->sha256, rotation->known.sha256, sizeof result->sha256);
}

/* A copy can go when the object it was made of is still there. */
static bool is_removable(const struct rotation *rotation)
{
    const char *version = rotation->stored.version;

    return !rotation->in_place || (version[0] && strcmp(version, "null") != 0);
}

static enum kb_status prove(struct rotation *rotation, enum object_verdict *verdict,
                            struct kb_error *err)
{
    const struct object_claim claim = {
        .encryption = claim_of(rotation->sse),
        .key = &rotation->key,
        .kms_key = rotation->put.encryption.kms_key,
        .metadata = rotation->metadata,
        .metadata_count = rotation->put.metadata_count,
        .stored = &rotation->stored,
        .size = rotation->size,
        .echoed = rotation->echoed,
    };
    enum kb_status status = object_prove(&rotation->out->result, rotation->objects, &rotation->to,
                                         &claim, verdict, err);

    if (status == KB_OK)
        return KB_OK;
    if (*verdict == OBJECT_DISPROVED && is_removable(rotation))
        rotation->withdrawn =
            object_withdraw(rotation->objects, &rotation->to, &rotation->stored, err);
    else if (*verdict == OBJECT_DISPROVED)
        kb_error_hint(err, "it was not removed, since there is no other");
    return status;
}

/* By the server. *again: it could not, or did something else; what was there is
 * there still. */
static enum kb_status copy(struct rotation *rotation, bool *again, struct kb_error *err)
{
    enum object_verdict verdict = OBJECT_UNTRIED;
    struct kb_error why = {.status = KB_OK};
    enum kb_status status = rotation_copy(rotation, again, &why);

    if (status == KB_OK) {
        carry_over(rotation);
        status = prove(rotation, &verdict, &why);
        *again = status != KB_OK && verdict == OBJECT_DISPROVED;
        rotation->out->by_server = status == KB_OK;
        rotation->sent = !rotation->withdrawn;
    } else {
        rotation->sent = rotation->stored.repeated;
    }
    if (status != KB_OK && !*again && err && err->status == KB_OK)
        *err = why;
    return status;
}

static enum kb_status stream(struct rotation *rotation, struct kb_error *err)
{
    enum object_verdict verdict = OBJECT_UNTRIED;
    enum kb_status status;

    carry_over(rotation);
    rotation->withdrawn = false;
    status = rotation_stream(rotation, err);
    rotation->sent = rotation->sent || status == KB_OK || rotation->stored.repeated;
    return status == KB_OK ? prove(rotation, &verdict, err) : status;
}

/* The wrapped key is in an object of its own. It goes first: a body without one
 * would look like an object that nobody encrypted. */
static enum kb_status put_instruction(struct rotation *rotation, struct kb_error *err)
{
    const struct kb_s3ec_header *header = rotation->wrapped
                                              ? kb_s3ec_object_header(rotation->wrapped)
                                              : &rotation->found.header;
    enum kb_status status = KB_OK;

    if (!header->instruction.data || (rotation->in_place && !rotation->wrapped))
        return KB_OK;
    if (!rotation->in_place)
        status = object_instruction_allow(rotation->objects, &rotation->to, err);
    if (status == KB_OK)
        status = object_instruction_put(&rotation->instruction, rotation->objects, &rotation->to,
                                        NULL, header->instruction, &rotation->key, err);
    rotation->has_instruction = status == KB_OK;
    return status;
}

static enum kb_status move(struct rotation *rotation, struct kb_error *err)
{
    bool again = false, spoilt;
    enum kb_status status = rotation_fill_put(rotation, err);

    if (status != KB_OK || rotation->asked->stream)
        return status == KB_OK ? stream(rotation, err) : status;
    status = copy(rotation, &again, err);
    if (!again)
        return status;
    /* A server that ignored the key has changed what is to be got. */
    spoilt = rotation->stored.status / 100 == 2;
    kb_object_result_free(&rotation->out->result);
    status = find(rotation, err);
    if (status == KB_OK)
        status = rotation_fill_put(rotation, err);
    if (status == KB_OK)
        status = stream(rotation, err);
    if (status != KB_OK && spoilt)
        kb_error_hint(err, "before, the server made a copy that is not protected, and it may "
                           "be there still: keybridge s3 head shows");
    return status;
}

/* --- one ----------------------------------------------------------------------------------- */

/* There is no copy, and the object is what it was. */
static bool is_absent(const struct rotation *rotation, enum kb_status status)
{
    struct kb_error none = {.status = KB_OK};

    if (rotation->withdrawn)
        return true;
    return !rotation->sent && status != KB_ERR_REMOTE && status != KB_ERR_SYSTEM &&
           status != KB_ERR_MEMORY && rotation_check_unchanged(rotation, &none) == KB_OK;
}

/* A wrapped key in an instruction file is all that changes. */
static bool keeps_body(const struct rotation *rotation)
{
    return rotation->in_place && rotation->wrapped && has_instruction(rotation) &&
           same_server_side(rotation);
}

static enum kb_status begin(struct rotation *rotation, struct kb_error *err)
{
    enum kb_status status = check_asked(rotation->objects, rotation->asked, err);

    if (status == KB_OK)
        status = find(rotation, err);
    if (status == KB_OK && rotation->found.differs) {
        kb_error_set(err, KB_ERR_AUTH,
                     "s3://%s/%s is not the object that the inventory has, by its ETag",
                     rotation->from.bucket, rotation->from.key);
        kb_error_hint(err, "if it is yours, get it and put it again");
        return KB_ERR_AUTH;
    }
    rotation->out->was_stored = rotation->has_known;
    /* From now on it is this version that is meant. */
    memcpy(rotation->version, rotation->found.head.version, sizeof rotation->version);
    if (rotation->version[0])
        rotation->from.version = rotation->version;
    memcpy(rotation->out->old_key_id, rotation->found.key.id, sizeof rotation->out->old_key_id);
    return status == KB_OK ? decide(rotation, err) : status;
}

static enum kb_status run(struct rotation *rotation, struct kb_error *err)
{
    enum kb_status status = begin(rotation, err);
    bool absent;

    if (status != KB_OK || rotation->out->passed_over)
        return status;
    if (keeps_body(rotation)) {
        rotation->out->by_server = true;
        return put_instruction(rotation, err);
    }
    status = get_key(rotation, err);
    if (status == KB_OK)
        status = add_row(rotation, err);
    if (status == KB_OK)
        status = put_instruction(rotation, err);
    if (status == KB_OK)
        status = move(rotation, err);
    if (status == KB_OK)
        return rotation_note(rotation, err);
    absent = is_absent(rotation, status);
    if (absent)
        drop_row(rotation);
    /* In place it still opens what is there. */
    if (absent && rotation->has_instruction && !rotation->in_place)
        object_instruction_take_back(rotation->objects, &rotation->to, &rotation->instruction,
                                     &rotation->key);
    if (!rotation->sent)
        object_explain_refusal(rotation->objects, &rotation->to, &rotation->key, err);
    return status;
}

enum kb_status kb_object_rotate(struct kb_objects *objects, const struct kb_s3_name *from,
                                const struct kb_s3_name *to, const struct kb_object_rotate *rotate,
                                struct kb_object_rotated *out, struct kb_error *err)
{
    struct rotation rotation = {
        .objects = objects,
        .from = *from,
        .to = {.bucket = to->bucket, .key = to->key},
        .asked = rotate,
        .out = out,
        .in_place = strcmp(from->bucket, to->bucket) == 0 && strcmp(from->key, to->key) == 0,
    };
    enum kb_status status;

    memset(out, 0, sizeof *out);
    status = run(&rotation, err);
    object_found_clear(&rotation.found);
    object_key_clear(&rotation.key);
    kb_vault_object_free(&rotation.row);
    kb_vault_object_free(&rotation.known);
    kb_s3ec_object_free(rotation.wrapped);
    kb_s3_object_free(&rotation.stored);
    kb_s3_object_free(&rotation.instruction);
    kb_buffer_free(&rotation.tags);
    free(rotation.metadata);
    return status;
}
