/* SPDX-License-Identifier: Apache-2.0
 *
 * The message header (data-format/message-header.md): reader and writer.
 */
#include "esdk/header.h"

#include <stdlib.h>
#include <string.h>

#include "base/reader.h"
#include "base/text.h"
#include "crypto/signature.h"

/* --- reading ---------------------------------------------------------------------- */

/* A header of which the start is there. Each part is looked at as soon as it
 * is; views are into `in` until all of it was read. */
struct draft {
    struct kb_esdk_header *header;
    struct kb_bytes in;
    struct kb_reader reader;
    struct esdk_header_scan *scan;
    size_t need; /* bytes there must be to go on; 0: there were enough so far */
};

/* True when `size` bytes more can be read. */
static bool have(struct draft *draft, size_t size)
{
    if (draft->need == 0 && size > draft->reader.left)
        draft->need = draft->in.size - draft->reader.left + size;
    return draft->need == 0;
}

/* A u16 length, then so many bytes. */
static struct kb_bytes take_field(struct kb_reader *reader)
{
    return kb_reader_take(reader, kb_reader_u16(reader));
}

static bool have_field(struct draft *draft)
{
    struct kb_reader ahead = draft->reader;

    return have(draft, 2) && have(draft, 2 + (size_t)kb_reader_u16(&ahead));
}

static enum kb_status read_suite(struct draft *draft, unsigned version, struct kb_error *err)
{
    struct kb_esdk_info *info = &draft->header->info;
    uint16_t id = kb_reader_u16(&draft->reader);
    const struct esdk_suite *suite = esdk_suite_find(id);

    if (!suite)
        return kb_error_set(err, KB_ERR_INPUT, "the message has an algorithm suite, 0x%04x, that "
                            "is none of the AWS Encryption SDK's", id);
    if (suite->version != version)
        return kb_error_set(err, KB_ERR_INPUT, "algorithm suite 0x%04x is none of messages of "
                            "version %u", id, version);
    draft->header->suite = suite;
    info->version = version;
    info->suite = id;
    info->committing = suite->committing;
    info->is_signed = suite->is_signed;
    return KB_OK;
}

static enum kb_status read_start(struct draft *draft, struct kb_error *err)
{
    struct kb_reader *reader = &draft->reader;
    unsigned version, type;
    enum kb_status status;
    size_t id_size;

    if (!have(draft, 1))
        return KB_OK;
    version = kb_reader_u8(reader);
    if (version != 1 && version != 2)
        return esdk_header_refuse(draft->in, err);
    if (version == 1) {
        if (!have(draft, 1))
            return KB_OK;
        type = kb_reader_u8(reader);
        if (type != ESDK_TYPE)
            return kb_error_set(err, KB_ERR_INPUT, "the message has an unknown type, 0x%02x", type);
    }
    if (!have(draft, 2))
        return KB_OK;
    status = read_suite(draft, version, err);
    if (status != KB_OK)
        return status;
    id_size = esdk_message_id_size(draft->header->suite);
    if (have(draft, id_size))
        draft->header->info.message_id = kb_reader_take(reader, id_size);
    return KB_OK;
}

/* The pairs of a context that is not empty. Its names come in any order: some
 * writers sort them in another way. */
static enum kb_status read_pairs(struct kb_esdk_header *header, struct kb_bytes context,
                                 struct kb_error *err)
{
    struct kb_reader reader = kb_reader_of(context);
    size_t count = kb_reader_u16(&reader);
    bool text = true;

    if (count > reader.left / 4)
        return kb_error_set(err, KB_ERR_INPUT, "the message's encryption context is malformed");
    header->pairs = calloc(count ? count : 1, sizeof *header->pairs);
    if (!header->pairs)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory for an encryption context");
    for (size_t i = 0; i < count; i++) {
        struct kb_pair *pair = &header->pairs[i];

        pair->name = take_field(&reader);
        pair->value = take_field(&reader);
        text = text && kb_utf8_valid(pair->name) && kb_utf8_valid(pair->value);
    }
    if (!kb_reader_done(&reader) || !text)
        return kb_error_set(err, KB_ERR_INPUT, "the message's encryption context is malformed");
    header->info.context = header->pairs;
    header->info.context_count = count;
    return esdk_context_sort(header->pairs, count, KB_ERR_INPUT, err);
}

static enum kb_status read_context(struct draft *draft, struct kb_error *err)
{
    struct kb_esdk_header *header = draft->header;
    struct kb_bytes context;
    bool has_key;

    if (!have_field(draft))
        return KB_OK;
    context = take_field(&draft->reader);
    if (context.size) {
        enum kb_status status = read_pairs(header, context, err);

        if (status != KB_OK)
            return status;
    }
    has_key = esdk_context_find(header->info.context, header->info.context_count,
                                kb_bytes_text(ESDK_PUBLIC_KEY_NAME)) != NULL;
    if (has_key != header->suite->is_signed)
        return kb_error_set(err, KB_ERR_INPUT,
                            has_key ? "the message is not signed, but has a public key"
                                    : "the message is signed, but has no public key");
    return KB_OK;
}

/* Goes on through the lengths of the recipients' fields. When they are not all
 * there, gives the bytes there must be; else 0. */
static size_t follow(struct esdk_header_scan *scan, struct kb_bytes in)
{
    while (scan->fields && in.size >= scan->at + 2 * scan->fields) {
        const uint8_t *length = in.data + scan->at;

        scan->at += 2 + ((size_t)length[0] << 8 | length[1]);
        scan->fields--;
    }
    return in.size < scan->at + 2 * scan->fields ? scan->at + 2 * scan->fields : 0;
}

static enum kb_status read_edks(struct draft *draft, unsigned max_edks, struct kb_error *err)
{
    struct kb_esdk_header *header = draft->header;
    struct esdk_header_scan *scan = draft->scan;
    size_t count;

    if (!have(draft, 2))
        return KB_OK;
    count = kb_reader_u16(&draft->reader);
    if (count == 0)
        return kb_error_set(err, KB_ERR_INPUT, "the message has no recipients");
    if (count > max_edks) {
        kb_error_set(err, KB_ERR_DENIED, "the message has %zu recipients, more than the %u allowed",
                     count, max_edks);
        kb_error_hint(err, "if so many are expected, --max-edks %zu allows them", count);
        return KB_ERR_DENIED;
    }
    if (!scan->at)
        *scan = (struct esdk_header_scan){.at = draft->in.size - draft->reader.left,
                                          .fields = 3 * count};
    draft->need = follow(scan, draft->in);
    if (draft->need)
        return KB_OK;
    header->edks = calloc(count, sizeof *header->edks);
    if (!header->edks)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory for %zu recipients", count);
    header->info.edks = header->edks;
    header->info.edk_count = count;
    for (size_t i = 0; i < count; i++) {
        header->edks[i].provider = take_field(&draft->reader);
        header->edks[i].info = take_field(&draft->reader);
        header->edks[i].ciphertext = take_field(&draft->reader);
    }
    return KB_OK;
}

/* What is behind the recipients of version 1 and not of version 2, and the
 * frame length. */
static enum kb_status read_content(struct draft *draft, struct kb_error *err)
{
    struct kb_reader *reader = &draft->reader;
    struct kb_esdk_info *info = &draft->header->info;
    unsigned type, iv_size = KB_GCM_IV_SIZE;
    uint32_t reserved = 0;

    if (!have(draft, info->version == 1 ? 1 + 4 + 1 + 4 : 1 + 4))
        return KB_OK;
    type = kb_reader_u8(reader);
    if (info->version == 1) {
        reserved = kb_reader_u32(reader);
        iv_size = kb_reader_u8(reader);
    }
    info->frame_length = kb_reader_u32(reader);
    if (type != ESDK_CONTENT_FRAMED && type != ESDK_CONTENT_UNFRAMED)
        return kb_error_set(err, KB_ERR_INPUT, "the message has an unknown content type, %u", type);
    if (reserved != 0)
        return kb_error_set(err, KB_ERR_INPUT, "the message's reserved bytes are not zero");
    if (iv_size != KB_GCM_IV_SIZE)
        return kb_error_set(err, KB_ERR_INPUT, "the message has IVs of %u bytes, not %d", iv_size,
                            KB_GCM_IV_SIZE);
    if ((type == ESDK_CONTENT_FRAMED) != (info->frame_length != 0))
        return kb_error_set(err, KB_ERR_INPUT,
                            type == ESDK_CONTENT_FRAMED
                                ? "the message has frames, of length zero"
                                : "the message has no frames, but a frame length");
    return KB_OK;
}

/* Commit key and authentication: nothing of these can be malformed. */
static void read_end(struct draft *draft)
{
    struct kb_esdk_header *header = draft->header;
    struct kb_reader *reader = &draft->reader;

    if (!have(draft, (header->suite->committing ? (size_t)ESDK_COMMIT_KEY : KB_GCM_IV_SIZE) +
                         KB_GCM_TAG_SIZE))
        return;
    if (header->suite->committing)
        memcpy(header->commit_key, kb_reader_take(reader, ESDK_COMMIT_KEY).data, ESDK_COMMIT_KEY);
    header->body = (struct kb_bytes){draft->in.data, draft->in.size - reader->left};
    if (!header->suite->committing) /* else it is zero, and not written */
        memcpy(header->iv, kb_reader_take(reader, KB_GCM_IV_SIZE).data, KB_GCM_IV_SIZE);
    memcpy(header->tag, kb_reader_take(reader, KB_GCM_TAG_SIZE).data, KB_GCM_TAG_SIZE);
    header->info.header_size = draft->in.size - reader->left;
}

static void move(struct kb_bytes *view, const uint8_t *from, const uint8_t *to)
{
    view->data = to + (view->data - from);
}

/* Copies the header's bytes, and makes the views into `in` views of the copy. */
static enum kb_status keep(struct kb_esdk_header *header, struct kb_bytes in, struct kb_error *err)
{
    struct kb_esdk_info *info = &header->info;
    const uint8_t *to;

    kb_buffer_put(&header->memory, in.data, info->header_size);
    if (header->memory.failed)
        return kb_buffer_check(&header->memory, err);
    to = header->memory.data;
    move(&header->body, in.data, to);
    move(&info->message_id, in.data, to);
    for (size_t i = 0; i < info->context_count; i++) {
        move(&header->pairs[i].name, in.data, to);
        move(&header->pairs[i].value, in.data, to);
    }
    for (size_t i = 0; i < info->edk_count; i++) {
        move(&header->edks[i].provider, in.data, to);
        move(&header->edks[i].info, in.data, to);
        move(&header->edks[i].ciphertext, in.data, to);
    }
    return KB_OK;
}

static enum kb_status read_all(struct draft *draft, unsigned max_edks, struct kb_error *err)
{
    enum kb_status status = KB_OK;

    draft->need = follow(draft->scan, draft->in);
    if (draft->need == 0)
        status = read_start(draft, err);
    if (status == KB_OK && draft->need == 0)
        status = read_context(draft, err);
    if (status == KB_OK && draft->need == 0)
        status = read_edks(draft, max_edks, err);
    if (status == KB_OK && draft->need == 0)
        status = read_content(draft, err);
    if (status == KB_OK && draft->need == 0)
        read_end(draft);
    if (status == KB_OK && draft->need > ESDK_HEADER_MAX)
        return kb_error_set(err, KB_ERR_DENIED, "the message's header has more than %d bytes",
                            ESDK_HEADER_MAX);
    return status;
}

enum kb_status esdk_header_read(struct kb_esdk_header **out, struct kb_bytes in, unsigned max_edks,
                                struct esdk_header_scan *scan, struct kb_error *err)
{
    struct draft draft = {.in = in, .reader = kb_reader_of(in), .scan = scan};
    enum kb_status status;

    *out = NULL;
    scan->need = 0;
    draft.header = calloc(1, sizeof *draft.header);
    if (!draft.header)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory for a header");
    draft.header->memory = (struct kb_buffer)KB_BUFFER_INIT(ESDK_HEADER_MAX);
    status = read_all(&draft, max_edks ? max_edks : KB_ESDK_EDKS_DEFAULT, err);
    if (status == KB_OK && draft.need == 0)
        status = keep(draft.header, in, err);
    if (status != KB_OK || draft.need) {
        kb_esdk_header_free(draft.header);
        scan->need = status == KB_OK ? draft.need : 0;
        return status;
    }
    *out = draft.header;
    return KB_OK;
}

enum kb_status kb_esdk_header_read(struct kb_esdk_header **out, struct kb_bytes in,
                                   unsigned max_edks, size_t *need, struct kb_error *err)
{
    struct esdk_header_scan scan = {0};
    enum kb_status status = esdk_header_read(out, in, max_edks, &scan, err);

    *need = scan.need;
    return status;
}

void kb_esdk_header_free(struct kb_esdk_header *header)
{
    if (!header)
        return;
    free(header->pairs);
    free(header->edks);
    kb_buffer_free(&header->memory);
    free(header);
}

const struct kb_esdk_info *kb_esdk_header_info(const struct kb_esdk_header *header)
{
    return &header->info;
}

/* --- writing ---------------------------------------------------------------------- */

/* The context behind its length. */
static enum kb_status write_context(struct kb_buffer *out, const struct kb_esdk_info *info,
                                    struct kb_error *err)
{
    size_t at = out->size, size;
    enum kb_status status;

    kb_buffer_put_u16(out, 0);
    status = esdk_context_write(out, info->context, info->context_count, err);
    if (status == KB_OK)
        status = kb_buffer_check(out, err);
    if (status != KB_OK)
        return status;
    size = out->size - at - 2;
    out->data[at] = (uint8_t)(size >> 8);
    out->data[at + 1] = (uint8_t)size;
    return KB_OK;
}

enum kb_status esdk_header_write(struct kb_buffer *out, const struct esdk_suite *suite,
                                 const struct kb_esdk_info *info, struct kb_bytes edks,
                                 const uint8_t *commit_key, struct kb_error *err)
{
    enum kb_status status;

    if (info->edk_count == 0 || info->edk_count > KB_ESDK_EDKS_MAX)
        return kb_error_set(err, KB_ERR_USAGE, "a message has 1 to %d recipients, not %zu",
                            KB_ESDK_EDKS_MAX, info->edk_count);
    kb_buffer_put_u8(out, suite->version);
    if (suite->version == 1)
        kb_buffer_put_u8(out, ESDK_TYPE);
    kb_buffer_put_u16(out, suite->id);
    kb_buffer_put(out, info->message_id.data, esdk_message_id_size(suite));
    status = write_context(out, info, err);
    if (status != KB_OK)
        return status;
    kb_buffer_put_u16(out, (uint16_t)info->edk_count);
    kb_buffer_put_bytes(out, edks);
    kb_buffer_put_u8(out, info->frame_length ? ESDK_CONTENT_FRAMED : ESDK_CONTENT_UNFRAMED);
    if (suite->version == 1) {
        kb_buffer_put_u32(out, 0); /* reserved */
        kb_buffer_put_u8(out, KB_GCM_IV_SIZE);
    }
    kb_buffer_put_u32(out, info->frame_length);
    if (suite->committing)
        kb_buffer_put(out, commit_key, ESDK_COMMIT_KEY);
    return kb_buffer_check(out, err);
}

/* --- sizes ------------------------------------------------------------------------ */

bool kb_esdk_plaintext_size(const struct kb_esdk_info *info, uint64_t size, uint64_t *out)
{
    const struct esdk_suite *suite = esdk_suite_find(info->suite);
    uint64_t around = info->header_size, frame = info->frame_length, frames;

    if (!suite)
        return false;
    if (suite->is_signed)
        around += 2 + kb_signature_size(suite->sign_hash);
    around += frame ? ESDK_FINAL_OVERHEAD : ESDK_UNFRAMED_OVERHEAD;
    if (size < around)
        return false;
    size -= around;
    if (!frame) {
        *out = size;
        return size <= ESDK_UNFRAMED_MAX;
    }
    frames = size / (frame + ESDK_FRAME_OVERHEAD); /* before the last */
    size %= frame + ESDK_FRAME_OVERHEAD;
    *out = frames * frame + size;
    return size <= frame && frames < ESDK_SEQUENCE_MAX;
}
