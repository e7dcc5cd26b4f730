/* SPDX-License-Identifier: Apache-2.0
 *
 * keybridge envelope inspect: a header, for people and as JSON. Nothing in it
 * is authenticated.
 */
#include "cli/envelope.h"

#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

enum {
    FIRST_READ = 64 * 1024,
    AES_INFO = 20, /* behind the key's name: tag bits, IV bytes, IV */
    AES_TAG_BITS = 128,
    AES_IV = 12,
};

struct inspection {
    const char *name;
    const struct kb_esdk_info *info;
    bool sized; /* how long the message is, is known */
    uint64_t size;
    uint64_t plaintext;
    bool has_plaintext;
};

/* --- texts -------------------------------------------------------------------------------- */

/* As a value of --keyring is written: what is no plain character is encoded. */
static void put_encoded(struct kb_buffer *out, struct kb_bytes text)
{
    for (size_t i = 0; i < text.size; i++) {
        char encoded[4];

        if (text.data[i] > ' ' && text.data[i] < 0x7f && text.data[i] != '%' &&
            text.data[i] != ',') {
            kb_buffer_put_u8(out, text.data[i]);
            continue;
        }
        snprintf(encoded, sizeof encoded, "%%%02X", text.data[i]);
        kb_buffer_put_text(out, encoded);
    }
}

/* The encoded text, which lives until the buffer is reset. */
static const char *encoded(struct kb_buffer *buffer, struct kb_bytes text)
{
    kb_buffer_reset(buffer);
    put_encoded(buffer, text);
    kb_buffer_put_u8(buffer, 0);
    return buffer->failed ? "" : (const char *)buffer->data;
}

/* The text for people, in which U+0000 does not end it; it lives as long. */
static const char *shown(struct kb_buffer *buffer, struct kb_bytes text)
{
    kb_buffer_reset(buffer);
    for (size_t i = 0; i < text.size; i++)
        kb_buffer_put_u8(buffer, text.data[i] ? text.data[i] : '?');
    kb_buffer_put_u8(buffer, 0);
    return buffer->failed ? "" : (const char *)buffer->data;
}

static uint32_t read_u32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* The key's name, where the information has the shape that raw AES keyrings
 * write; false for others. */
static bool aes_name(const struct kb_edk *edk, struct kb_bytes *name)
{
    const uint8_t *end;

    if (edk->info.size <= AES_INFO)
        return false;
    end = edk->info.data + edk->info.size - AES_INFO;
    if (read_u32(end) != AES_TAG_BITS || read_u32(end + 4) != AES_IV)
        return false;
    *name = (struct kb_bytes){edk->info.data, edk->info.size - AES_INFO};
    return true;
}

/* --- for people ----------------------------------------------------------------------------- */

static void print_context(const struct kb_esdk_info *info)
{
    struct kb_buffer name = KB_BUFFER_INIT(SIZE_MAX / 2);
    struct kb_buffer value = KB_BUFFER_INIT(SIZE_MAX / 2);

    if (info->context_count)
        cli_print("  context");
    for (size_t i = 0; i < info->context_count; i++)
        cli_print("    %-28s %s", shown(&name, info->context[i].name),
                  shown(&value, info->context[i].value));
    kb_buffer_free(&name);
    kb_buffer_free(&value);
}

static void print_recipients(const struct kb_esdk_info *info)
{
    struct kb_buffer provider = KB_BUFFER_INIT(SIZE_MAX / 2);
    struct kb_buffer name = KB_BUFFER_INIT(SIZE_MAX / 2);

    cli_print("  recipients");
    for (size_t i = 0; i < info->edk_count; i++) {
        const struct kb_edk *edk = &info->edks[i];
        struct kb_bytes key = edk->info;
        bool aes = aes_name(edk, &key);

        cli_print("    namespace=%s,name=%s", encoded(&provider, edk->provider),
                  encoded(&name, key));
        if (aes)
            cli_print("      raw AES: IV %d bytes, tag %d bits, encrypted key %zu bytes", AES_IV,
                      AES_TAG_BITS, edk->ciphertext.size);
        else
            cli_print("      encrypted key %zu bytes", edk->ciphertext.size);
    }
    kb_buffer_free(&provider);
    kb_buffer_free(&name);
}

static void print_text(const struct inspection *inspection)
{
    const struct kb_esdk_info *info = inspection->info;
    const char *suite = kb_esdk_suite_name(info->suite);

    cli_print("%s", inspection->name);
    cli_print("  %-16s %u", "format version", info->version);
    cli_print("  %-16s 0x%04x, %s", "suite", info->suite, suite ? suite : "unknown");
    cli_print("  %-16s %s", "committing", info->committing ? "yes" : "no");
    cli_print("  %-16s %s", "signed", info->is_signed ? "yes" : "no");
    if (info->frame_length)
        cli_print("  %-16s %" PRIu32 " bytes", "frame length", info->frame_length);
    else
        cli_print("  %-16s %s", "frame length", "not framed");
    cli_print("  %-16s %zu bytes", "header", info->header_size);
    if (inspection->sized)
        cli_print("  %-16s %" PRIu64 " bytes", "message", inspection->size);
    if (inspection->has_plaintext)
        cli_print("  %-16s %" PRIu64 " bytes", "plaintext", inspection->plaintext);
    else if (inspection->sized)
        cli_print("  %-16s %s", "plaintext", "no message has this size");
    print_context(info);
    print_recipients(info);
    cli_print("  nothing of this is authenticated");
}

/* --- JSON ------------------------------------------------------------------------------------- */

/* A JSON text of any UTF-8, U+0000 included. */
static void put_json(struct kb_buffer *out, struct kb_bytes text)
{
    kb_buffer_put_u8(out, '"');
    for (size_t i = 0; i < text.size; i++) {
        char escaped[8];

        if (text.data[i] < 0x20 || text.data[i] == 0x7f || text.data[i] == '"' ||
            text.data[i] == '\\') {
            snprintf(escaped, sizeof escaped, "\\u%04x", text.data[i]);
            kb_buffer_put_text(out, escaped);
        } else {
            kb_buffer_put_u8(out, text.data[i]);
        }
    }
    kb_buffer_put_u8(out, '"');
}

/* By hand: a text of cJSON ends at U+0000. */
static void add_context(cJSON *json, const struct kb_esdk_info *info)
{
    struct kb_buffer text = KB_BUFFER_INIT(SIZE_MAX / 2);

    kb_buffer_put_u8(&text, '{');
    for (size_t i = 0; i < info->context_count; i++) {
        kb_buffer_put_text(&text, i ? "," : "");
        put_json(&text, info->context[i].name);
        kb_buffer_put_u8(&text, ':');
        put_json(&text, info->context[i].value);
    }
    kb_buffer_put_text(&text, "}");
    kb_buffer_put_u8(&text, 0);
    cJSON_AddRawToObject(json, "context", text.failed ? "{}" : (const char *)text.data);
    kb_buffer_free(&text);
}

static void add_recipients(cJSON *json, const struct kb_esdk_info *info)
{
    struct kb_buffer text = KB_BUFFER_INIT(SIZE_MAX / 2);
    cJSON *recipients = cJSON_AddArrayToObject(json, "recipients");

    for (size_t i = 0; i < info->edk_count; i++) {
        const struct kb_edk *edk = &info->edks[i];
        cJSON *recipient = cJSON_CreateObject();
        struct kb_bytes key = edk->info;
        bool aes = aes_name(edk, &key);

        cJSON_AddStringToObject(recipient, "namespace", encoded(&text, edk->provider));
        cJSON_AddStringToObject(recipient, "name", encoded(&text, key));
        if (aes) {
            cJSON_AddNumberToObject(recipient, "iv_bytes", AES_IV);
            cJSON_AddNumberToObject(recipient, "tag_bits", AES_TAG_BITS);
        }
        cJSON_AddNumberToObject(recipient, "encrypted_key_bytes", (double)edk->ciphertext.size);
        cJSON_AddItemToArray(recipients, recipient);
    }
    kb_buffer_free(&text);
}

static enum kb_status print_json(struct cli *cli, const struct inspection *inspection)
{
    const struct kb_esdk_info *info = inspection->info;
    cJSON *json = cJSON_CreateObject();
    char suite[8];

    snprintf(suite, sizeof suite, "0x%04x", info->suite);
    cJSON_AddStringToObject(json, "input", inspection->name);
    cJSON_AddNumberToObject(json, "format_version", info->version);
    cJSON_AddStringToObject(json, "suite", suite);
    cJSON_AddStringToObject(json, "suite_name", kb_esdk_suite_name(info->suite));
    cJSON_AddBoolToObject(json, "committing", info->committing);
    cJSON_AddBoolToObject(json, "signed", info->is_signed);
    cJSON_AddNumberToObject(json, "frame_length", info->frame_length);
    cJSON_AddNumberToObject(json, "header_bytes", (double)info->header_size);
    if (inspection->sized)
        cJSON_AddNumberToObject(json, "message_bytes", (double)inspection->size);
    if (inspection->has_plaintext)
        cJSON_AddNumberToObject(json, "plaintext_bytes", (double)inspection->plaintext);
    add_context(json, info);
    add_recipients(json, info);
    return cli_print_json(cli, json);
}

/* --- reading ---------------------------------------------------------------------------------- */

/* Appends up to `size` bytes; fewer at the end. */
static enum kb_status read_more(struct kb_buffer *text, struct envelope_file *file, size_t size)
{
    size_t end = text->size + size, got = 1;
    enum kb_status status = KB_OK;

    if (!kb_buffer_extend(text, size))
        return kb_buffer_check(text, &file->error);
    text->size = end - size;
    while (status == KB_OK && got && text->size < end) {
        status = envelope_file_read(file, text->data + text->size, end - text->size, &got,
                                    &file->error);
        text->size += status == KB_OK ? got : 0;
    }
    return status;
}

/* The library says when it is too long. */
static enum kb_status read_header(struct kb_esdk_header **out, struct envelope_file *file,
                                  unsigned max_edks)
{
    struct kb_buffer text = KB_BUFFER_INIT(SIZE_MAX / 2);
    enum kb_status status = KB_OK;
    size_t more = FIRST_READ, need = 0;

    while (status == KB_OK && !*out) {
        size_t before = text.size;

        status = read_more(&text, file, more);
        if (status == KB_OK && text.size == before)
            status = kb_error_set(&file->error, KB_ERR_INPUT,
                                  "the message ends within its header");
        if (status == KB_OK)
            status = kb_esdk_header_read(out, kb_buffer_view(&text), max_edks, &need,
                                         &file->error);
        /* Twice as much: a header that grows byte by byte is not read anew for each. */
        more = need > 2 * text.size ? need - text.size : text.size;
    }
    kb_buffer_free(&text);
    return status;
}

static enum kb_status open_and_read(struct kb_esdk_header **out, struct inspection *inspection,
                                    struct envelope_file *file, unsigned max_edks)
{
    struct stat opened;
    enum kb_status status = envelope_file_open_in(file, 0, &opened);
    off_t start = status == KB_OK ? lseek(file->in, 0, SEEK_CUR) : -1;

    inspection->sized = start >= 0 && file->size != UINT64_MAX;
    if (inspection->sized)
        inspection->size = file->size > (uint64_t)start ? file->size - (uint64_t)start : 0;
    return status == KB_OK ? read_header(out, file, max_edks) : status;
}

/* What is wrong with the message is told; a failure is of the output, and ends
 * the run. */
static enum kb_status inspect(struct envelope *envelope, const char *path)
{
    struct cli *cli = envelope->cli;
    struct envelope_file file = {.in = -1, .in_path = path ? strdup(path) : NULL};
    struct inspection inspection = {.name = envelope_file_name(&file)};
    struct kb_esdk_header *header = NULL;
    enum kb_status status;

    if (path && !file.in_path)
        return kb_error_set(&cli->error, KB_ERR_MEMORY, "no memory");
    status = open_and_read(&header, &inspection, &file, envelope->max_edks);
    if (status != KB_OK) {
        envelope_failed(envelope, inspection.name, &file.error);
        envelope_file_clear(&file);
        return KB_OK;
    }
    envelope->counts.good++;
    inspection.info = kb_esdk_header_info(header);
    inspection.has_plaintext =
        inspection.sized &&
        kb_esdk_plaintext_size(inspection.info, inspection.size, &inspection.plaintext);
    if (cli->json)
        status = print_json(cli, &inspection);
    else
        print_text(&inspection);
    kb_esdk_header_free(header);
    envelope_file_clear(&file);
    return status;
}

static enum kb_status inspect_all(struct envelope *envelope, const char *const *paths, int count)
{
    enum kb_status status = KB_OK;

    for (int i = 0; status == KB_OK && i < count; i++)
        status = inspect(envelope, strcmp(paths[i], "-") == 0 ? NULL : paths[i]);
    return status == KB_OK ? envelope_status(envelope) : status;
}

enum kb_status envelope_inspect(struct cli *cli, int argc, char **argv)
{
    struct envelope envelope = {.cli = cli, .many = true};
    const char *in = NULL, *max_edks = NULL;
    const struct cli_option table[] = {
        {"input", 'i', CLI_TEXT, &in},
        {"max-edks", 0, CLI_TEXT, &max_edks},
        {NULL, 0, CLI_FLAG, NULL},
    };
    uint64_t most = KB_ESDK_EDKS_MAX;
    enum kb_status status;
    int rest;

    status = cli_parse(cli, argc, argv, table, 0, INT_MAX, &rest);
    if (status == KB_OK)
        status = cli_number(cli, "max-edks", max_edks, 1, KB_ESDK_EDKS_MAX, &most);
    if (status == KB_OK && in && rest)
        status = kb_error_set(&cli->error, KB_ERR_USAGE, "-i %s and %s: name files in one way", in,
                              argv[0]);
    for (int i = 0; status == KB_OK && i < rest; i++)
        status = envelope_check_name(cli, argv[i]);
    if (status == KB_OK && in)
        status = envelope_check_name(cli, in);
    if (status != KB_OK)
        return status;
    envelope.max_edks = (unsigned)most;
    envelope.alone = rest <= 1;
    return rest ? inspect_all(&envelope, (const char *const *)argv, rest)
                : inspect_all(&envelope, (const char *const[]){in ? in : "-"}, 1);
}
