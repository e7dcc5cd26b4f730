/* SPDX-License-Identifier: Apache-2.0
 *
 * The header of an AWS Encryption SDK message: read at once or in the pieces
 * the reader asks for it is the same, and it is written again to the same
 * bytes, but for an encryption context that others write differently.
 */
#include "esdk/header.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool good)
{
    if (!good)
        abort();
}

static void put_field(struct kb_buffer *out, struct kb_bytes bytes)
{
    kb_buffer_put_u16(out, (uint16_t)bytes.size);
    kb_buffer_put_bytes(out, bytes);
}

/* Reads what the reader asks for, and no more. */
static enum kb_status feed(struct kb_esdk_header **out, struct kb_bytes in)
{
    struct kb_bytes part = {in.data, 0};
    enum kb_status status;
    size_t need;

    for (;;) {
        status = kb_esdk_header_read(out, part, KB_ESDK_EDKS_MAX, &need, NULL);
        if (status != KB_OK || *out || need > in.size)
            return status;
        must(need > part.size);
        part.size = need;
    }
}

static void check_writing(const struct kb_esdk_header *header)
{
    const struct kb_esdk_info *info = &header->info;
    struct kb_buffer edks = KB_BUFFER_INIT(1 << 24), again = KB_BUFFER_INIT(1 << 24);

    for (size_t i = 0; i < info->edk_count; i++) {
        put_field(&edks, info->edks[i].provider);
        put_field(&edks, info->edks[i].info);
        put_field(&edks, info->edks[i].ciphertext);
    }
    must(esdk_header_write(&again, header->suite, info, kb_buffer_view(&edks), header->commit_key,
                           NULL) == KB_OK);
    if (info->context_count > 1) /* they may have been in another order */
        must(again.size == header->body.size);
    else if (again.size + 2 == header->body.size) /* an empty context with a count of 0 */
        must(info->context_count == 0);
    else
        must(kb_bytes_equal(kb_buffer_view(&again), header->body));
    kb_buffer_free(&edks);
    kb_buffer_free(&again);
}

/* A longer message has no less plaintext; its own size has less than it. */
static void check_sizes(const struct kb_esdk_info *info)
{
    uint64_t least = 0, got;

    for (uint64_t size = 0; size < info->header_size + 300; size++) {
        if (!kb_esdk_plaintext_size(info, size, &got))
            continue;
        must(got >= least && got + info->header_size < size);
        least = got;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kb_bytes in = {data, size};
    struct kb_esdk_header *whole, *fed;
    size_t need;
    enum kb_status status =
        kb_esdk_header_read(&whole, in, KB_ESDK_EDKS_MAX, &need, NULL);

    must(feed(&fed, in) == status && (fed != NULL) == (whole != NULL));
    must((status == KB_OK && !whole) == (need > size));
    if (whole) {
        must(whole->info.header_size <= size);
        must(kb_bytes_equal(whole->body, fed->body));
        must(kb_bytes_equal(whole->body, (struct kb_bytes){data, whole->body.size}));
        check_writing(whole);
        check_sizes(&whole->info);
    }
    kb_esdk_header_free(whole);
    kb_esdk_header_free(fed);
    return 0;
}
