/* SPDX-License-Identifier: Apache-2.0 */
#include "ddbec/ddbec.h"

#include <stdlib.h>

static int compare_utf8(const void *a, const void *b)
{
    return kb_attr_name_compare(((const struct kb_target *)a)->member->name,
                                ((const struct kb_target *)b)->member->name,
                                KB_DIALECT_PYTHON);
}

static int compare_utf16(const void *a, const void *b)
{
    return kb_attr_name_compare(((const struct kb_target *)a)->member->name,
                                ((const struct kb_target *)b)->member->name, KB_DIALECT_JAVA);
}

static void sort_targets(struct kb_job *job, enum kb_attr_dialect dialect)
{
    int (*compare)(const void *, const void *) =
        dialect == KB_DIALECT_JAVA ? compare_utf16 : compare_utf8;

    for (size_t i = 1; i < job->target_count; i++) {
        if (compare(&job->targets[i - 1], &job->targets[i]) > 0) {
            qsort(job->targets, job->target_count, sizeof *job->targets, compare);
            return;
        }
    }
}

enum kb_status kb_string_to_sign(struct kb_worker *worker, struct kb_job *job,
                                 enum kb_attr_dialect dialect, bool number_exact,
                                 struct kb_error *err)
{
    const struct kb_ddbec *ddbec = worker->ddbec;
    struct kb_buffer *out = &worker->strings_to_sign;
    enum kb_status status = KB_OK;

    sort_targets(job, dialect);
    kb_buffer_put(out, ddbec->table_hash, KB_SHA256_SIZE);
    for (size_t i = 0; status == KB_OK && i < job->target_count; i++) {
        const struct kb_target *target = &job->targets[i];
        bool encrypted = target->name.action == KB_ACTION_ENCRYPT_AND_SIGN;
        struct kb_bytes serialized;
        uint8_t *hash;

        kb_buffer_put(out, target->name.sha256, KB_SHA256_SIZE);
        kb_buffer_put(out, encrypted ? ddbec->encrypted_hash : ddbec->signed_hash, KB_SHA256_SIZE);
        kb_buffer_reset(&worker->scratch);
        kb_attr_serialize(&worker->scratch, &target->member->value, dialect, number_exact);
        serialized = kb_buffer_view(&worker->scratch);
        hash = kb_buffer_extend(out, KB_SHA256_SIZE);
        status = kb_buffer_check(&worker->scratch, err);
        if (status == KB_OK)
            status = kb_buffer_check(out, err);
        if (status == KB_OK)
            status = kb_crypto_sha256(worker->work.crypto, hash, &serialized, 1, err);
    }
    return status;
}

unsigned kb_signed_difference(const struct kb_job *job)
{
    unsigned difference = KB_DIFFERENCE_NONE;
    bool beyond_bmp = false, private_use = false;

    for (size_t i = 0; i < job->target_count; i++) {
        const struct kb_member *member = job->targets[i].member;

        /* The two orders of names differ only where a character above U+FFFF
         * (lead byte F0..F4) meets one of U+E000..U+FFFF (EE, EF). */
        for (size_t b = 0; b < member->name.size; b++) {
            beyond_bmp = beyond_bmp || member->name.data[b] >= 0xf0;
            private_use =
                private_use || member->name.data[b] == 0xee || member->name.data[b] == 0xef;
        }
        difference |= kb_attr_difference(&member->value);
    }
    if (beyond_bmp && private_use)
        difference |= KB_DIFFERENCE_ORDER;
    return difference;
}
