/* SPDX-License-Identifier: Apache-2.0
 *
 * Uploads that may be resumed, and the parts that are there.
 */
#include "keystore/vault_rows.h"

#include <stdlib.h>
#include <string.h>

enum upload_column { UPLOAD_OBJECT, UPLOAD_ID, UPLOAD_SOURCE, UPLOAD_HEADER, UPLOAD_PART_SIZE };
enum part_column { PART_OBJECT, PART_NUMBER, PART_SIZE, PART_ETAG, PART_SHA256 };

void kb_vault_upload_free(struct kb_vault_upload *upload)
{
    if (!upload)
        return;
    free(upload->upload);
    free(upload->source);
    free(upload->header);
    upload->upload = upload->source = upload->header = NULL;
}

enum kb_status kb_vault_add_upload(struct kb_vault *vault, const struct kb_vault_upload *upload,
                                   struct kb_error *err)
{
    struct vault_row row = {.row = 0};
    int64_t count = 0;
    enum kb_status status = vault_text_check(upload->upload, VAULT_TEXT_MAX, "an upload's id", err);

    if (status == KB_OK)
        status = vault_text_check(upload->source, VAULT_TEXT_MAX, "a source", err);
    if (status == KB_OK)
        status = vault_text_check(upload->header, VAULT_TEXT_MAX, "a header", err);
    if (status == KB_OK)
        status = vault_begin(vault, err);
    if (status != KB_OK)
        return status;
    row.cells[UPLOAD_OBJECT] = vault_integer((uint64_t)upload->object_row);
    row.cells[UPLOAD_ID] = vault_text(upload->upload);
    row.cells[UPLOAD_SOURCE] = vault_text(upload->source);
    row.cells[UPLOAD_HEADER] = vault_text(upload->header);
    row.cells[UPLOAD_PART_SIZE] = vault_integer(upload->part_size);
    status = vault_number_find(vault, "SELECT row FROM uploads WHERE object_row = ?1",
                               &upload->object_row, 1, &count, err);
    if (status == KB_OK && count)
        status = kb_error_set(err, KB_ERR_EXISTS, "the vault has an upload of row %lld already",
                              (long long)upload->object_row);
    if (status == KB_OK)
        status = vault_rows_put(vault, VAULT_UPLOADS, true, &row, 1, err);
    return vault_end(vault, status, err);
}

/* --- reading ------------------------------------------------------------------------------ */

struct taking {
    struct kb_vault *vault;
    int64_t object_row;
    struct kb_vault_upload *upload;
    bool found;
    struct kb_s3_known_part *parts;
    size_t count, room;
};

static enum kb_status take_upload(void *ctx, const struct vault_row *row, struct kb_error *err)
{
    const struct vault_cell *cells = row->cells;
    struct taking *taking = ctx;
    struct kb_vault_upload *upload = taking->upload;
    enum kb_status status;

    if (cells[UPLOAD_OBJECT].integer != taking->object_row || taking->found)
        return vault_damaged(taking->vault, "its index of uploads is wrong", err);
    taking->found = true;
    upload->part_size = (uint64_t)cells[UPLOAD_PART_SIZE].integer;
    status = vault_text_copy(&upload->upload, vault_text_view(&cells[UPLOAD_ID]), err);
    if (status == KB_OK)
        status = vault_text_copy(&upload->source, vault_text_view(&cells[UPLOAD_SOURCE]), err);
    if (status == KB_OK)
        status = vault_text_copy(&upload->header, vault_text_view(&cells[UPLOAD_HEADER]), err);
    return status;
}

static enum kb_status take_part(void *ctx, const struct vault_row *row, struct kb_error *err)
{
    const struct vault_cell *cells = row->cells;
    struct taking *taking = ctx;
    struct kb_s3_known_part *part;

    if (taking->count == taking->room) {
        size_t room = taking->room ? 2 * taking->room : 64;
        struct kb_s3_known_part *more = realloc(taking->parts, room * sizeof *more);

        if (!more)
            return kb_error_set(err, KB_ERR_MEMORY, "no memory for %zu parts", room);
        taking->parts = more;
        taking->room = room;
    }
    part = &taking->parts[taking->count];
    memset(part, 0, sizeof *part);
    part->part.number = (unsigned)cells[PART_NUMBER].integer;
    part->part.size = (uint64_t)cells[PART_SIZE].integer;
    if (cells[PART_OBJECT].integer != taking->object_row ||
        !vault_text_fill(part->part.etag, sizeof part->part.etag, &cells[PART_ETAG]) ||
        cells[PART_SHA256].bytes.size != sizeof part->sha256)
        return vault_damaged(taking->vault, "a part makes no sense", err);
    memcpy(part->sha256, cells[PART_SHA256].bytes.data, sizeof part->sha256);
    taking->count++;
    return KB_OK;
}

static enum kb_status read_upload(struct taking *taking, struct kb_error *err)
{
    const struct vault_cell row = vault_integer((uint64_t)taking->object_row);
    struct vault_query query = {.table = VAULT_UPLOADS,
                                .where = "WHERE object_row = ?1",
                                .kinds = "i",
                                .parameters = &row};
    struct vault_reader reader = {take_upload, NULL, taking};
    enum kb_status status = vault_rows_read(taking->vault, &query, &reader, err);

    if (status == KB_OK && !taking->found)
        status = kb_error_set(err, KB_ERR_NOT_FOUND, "the vault has no upload of row %lld",
                              (long long)taking->object_row);
    query.table = VAULT_PARTS;
    query.where = "WHERE object_row = ?1 ORDER BY number";
    reader.each = take_part;
    return status == KB_OK ? vault_rows_read(taking->vault, &query, &reader, err) : status;
}

enum kb_status kb_vault_get_upload(struct kb_vault *vault, int64_t object_row,
                                   struct kb_vault_upload *out, struct kb_s3_known_part **parts,
                                   size_t *count, struct kb_error *err)
{
    struct taking taking = {.vault = vault, .object_row = object_row, .upload = out};
    enum kb_status status;

    *out = (struct kb_vault_upload){.object_row = object_row};
    *parts = NULL;
    *count = 0;
    status = vault_enter(vault, err);
    if (status != KB_OK)
        return status;
    status = vault_leave(vault, read_upload(&taking, err));
    if (status == KB_OK) {
        *parts = taking.parts;
        *count = taking.count;
    } else {
        kb_vault_upload_free(out);
        free(taking.parts);
    }
    return status;
}

/* --- parts -------------------------------------------------------------------------------- */

enum kb_status kb_vault_add_part(struct kb_vault *vault, int64_t object_row,
                                 const struct kb_s3_known_part *part, struct kb_error *err)
{
    struct vault_row row = {.row = 0};
    int64_t upload = 0, names[] = {object_row, part->part.number};
    enum kb_status status = vault_begin(vault, err);

    if (status != KB_OK)
        return status;
    row.cells[PART_OBJECT] = vault_integer((uint64_t)object_row);
    row.cells[PART_NUMBER] = vault_integer(part->part.number);
    row.cells[PART_SIZE] = vault_integer(part->part.size);
    row.cells[PART_ETAG] = vault_text(part->part.etag);
    row.cells[PART_SHA256] = vault_blob(part->sha256, sizeof part->sha256);
    status = vault_number_find(vault, "SELECT row FROM uploads WHERE object_row = ?1", names, 1,
                               &upload, err);
    if (status == KB_OK && !upload)
        status = kb_error_set(err, KB_ERR_NOT_FOUND, "the vault has no upload of row %lld",
                              (long long)object_row);
    if (status == KB_OK)
        status = vault_number_find(vault,
                                   "SELECT row FROM parts WHERE object_row = ?1 AND number = ?2",
                                   names, 2, &row.row, err);
    if (status == KB_OK)
        status = vault_rows_put(vault, VAULT_PARTS, row.row == 0, &row, 1, err);
    return vault_end(vault, status, err);
}

enum kb_status kb_vault_end_upload(struct kb_vault *vault, int64_t object_row,
                                   struct kb_error *err)
{
    uint64_t uploads = 0, parts;
    enum kb_status status = vault_begin(vault, err);

    if (status != KB_OK)
        return status;
    status = vault_rows_remove(vault, VAULT_UPLOADS, "object_row", object_row, &uploads, err);
    if (status == KB_OK && !uploads)
        status = kb_error_set(err, KB_ERR_NOT_FOUND, "the vault has no upload of row %lld",
                              (long long)object_row);
    if (status == KB_OK)
        status = vault_rows_remove(vault, VAULT_PARTS, "object_row", object_row, &parts, err);
    return vault_end(vault, status, err);
}
