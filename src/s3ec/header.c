/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads and writes what is stored with an object (data-format/content-metadata.md).
 * What contradicts itself is refused: an object with fields of two versions is
 * how a reader who insists on commitment would be got around.
 */
#include "s3ec/header.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "attr/attr.h"
#include "attr/json.h"
#include "base/text.h"

static const char *const names[] = {
#define S3EC_FIELD_TEXT(which, name) [S3EC_##which] = name,
    S3EC_FIELDS(S3EC_FIELD_TEXT)
#undef S3EC_FIELD_TEXT
};

#define BIT(which) (1U << S3EC_##which)

enum {
    ONLY_V1 = BIT(KEY_V1),
    ONLY_V2 = BIT(KEY_V2) | BIT(CONTENT) | BIT(WRAP) | BIT(TAG_LENGTH),
    NOT_V3 = ONLY_V1 | ONLY_V2 | BIT(IV) | BIT(DESCRIPTION),
    BODY_V3 = BIT(CONTENT_V3) | BIT(COMMITMENT_V3) | BIT(MESSAGE_ID_V3), /* never in a file */
    KEY_FIELDS_V3 = BIT(KEY_V3) | BIT(WRAP_V3) | BIT(DESCRIPTION_V3) | BIT(CONTEXT_V3),
    ONLY_V3 = BODY_V3 | KEY_FIELDS_V3,
};

static const char *const contents[] = {
    [S3EC_GCM] = "AES/GCM/NoPadding",
    [S3EC_CBC] = "AES/CBC/PKCS5Padding",
    [S3EC_COMMITTING] = "115",
};

static const struct {
    const char *name;
    const char *short_name; /* of version 3; NULL: not in it */
} wraps[] = {
    [S3EC_WRAP_AES_GCM] = {"AES/GCM", "02"},
    [S3EC_WRAP_RSA_OAEP_SHA1] = {"RSA-OAEP-SHA1", "22"},
    [S3EC_WRAP_KMS_CONTEXT] = {"kms+context", "12"},
    [S3EC_WRAP_AES_KEY_WRAP] = {"AESWrap", NULL},
    [S3EC_WRAP_AES_ECB] = {"AES", NULL},
    [S3EC_WRAP_RSA] = {"RSA", NULL},
    [S3EC_WRAP_RSA_OAEP_SHA256] = {"RSA/ECB/OAEPWithSHA-256AndMGF1Padding", NULL},
    [S3EC_WRAP_KMS] = {"kms", NULL},
};

const char *s3ec_content_name(enum s3ec_content content)
{
    return contents[content];
}

const char *s3ec_wrap_name(enum s3ec_wrap wrap)
{
    return wraps[wrap].name;
}

/* --- fields ---------------------------------------------------------------------------- */

/* Those of one place. */
struct fields {
    unsigned present; /* bits */
    struct kb_bytes value[S3EC_FIELD_COUNT];
};

static bool is_named(struct kb_bytes name, const char *field)
{
    return name.size == strlen(field) &&
           strncasecmp((const char *)name.data, field, name.size) == 0;
}

static enum kb_status add(struct fields *out, struct kb_bytes name, struct kb_bytes value,
                          struct kb_error *err)
{
    for (unsigned i = 0; i < S3EC_FIELD_COUNT; i++) {
        if (!is_named(name, names[i]))
            continue;
        if (out->present & 1U << i)
            return kb_error_set(err, KB_ERR_INPUT, "the object has %s twice", names[i]);
        out->present |= 1U << i;
        out->value[i] = value;
    }
    return KB_OK;
}

static enum kb_status read_metadata(struct fields *out, const struct kb_s3ec_header *header,
                                    struct kb_error *err)
{
    enum kb_status status = KB_OK;

    *out = (struct fields){0};
    for (size_t i = 0; status == KB_OK && i < header->metadata_count; i++)
        status = add(out, header->metadata[i].name, header->metadata[i].value, err);
    return status;
}

/* A map of strings (data-format/metadata-strategy.md#instruction-file). */
static enum kb_status read_file(struct fields *out, struct kb_bytes text, struct kb_arena *arena,
                                struct kb_error *err)
{
    enum kb_status status = KB_OK;
    struct kb_bytes name, value;
    struct kb_json json;

    *out = (struct fields){0};
    if (!text.data)
        return KB_OK;
    if (text.size > S3EC_INSTRUCTION_MAX)
        return kb_error_set(err, KB_ERR_INPUT, "an instruction file of %zu bytes is too long",
                            text.size);
    kb_json_open(&json, text, arena);
    if (!json.problem && kb_json_expect(&json, '{', "a JSON object is expected"))
        for (size_t count = 0; status == KB_OK && kb_json_next(&json, count, &name); count++)
            if (kb_json_string(&json, &value))
                status = add(out, name, value, err);
    if (status == KB_OK && !kb_json_close(&json))
        status = json.no_memory
                     ? kb_error_set(err, KB_ERR_MEMORY, "no memory")
                     : kb_error_set(err, KB_ERR_INPUT, "the instruction file, byte %zu: %s",
                                    json.offset, json.problem);
    return status;
}

/* --- which version, and where ------------------------------------------------------------ */

static enum kb_status fail_incomplete(unsigned missing, struct kb_error *err)
{
    unsigned i = 0;

    while (i + 1 < S3EC_FIELD_COUNT && !(missing & 1U << i))
        i++;
    return kb_error_set(err, KB_ERR_INPUT, "the object's encryption metadata lacks %s", names[i]);
}

static enum kb_status fail_mixed(struct kb_error *err)
{
    return kb_error_set(err, KB_ERR_INPUT,
                        "the object has encryption metadata of more than one version");
}

static enum kb_status recognise_v3(struct s3ec_parsed *out, const struct fields *object,
                                   const struct fields *file, bool has_file, struct kb_error *err)
{
    unsigned wanted = BIT(KEY_V3) | BIT(WRAP_V3);
    const struct fields *place = object->present & KEY_FIELDS_V3 ? object : file;

    if (file->present & BODY_V3)
        return kb_error_set(err, KB_ERR_INPUT,
                            "the instruction file has fields that belong to the object alone");
    if (BODY_V3 & ~object->present)
        return fail_incomplete(BODY_V3 & ~object->present, err);
    out->version = 3;
    out->instruction_file = place == file;
    if (place == file && !has_file)
        return kb_error_set(err, KB_ERR_NOT_FOUND, "the object's instruction file is missing");
    if (place == object && (file->present & KEY_FIELDS_V3))
        return kb_error_set(err, KB_ERR_INPUT, "the object has a wrapped key in its metadata and "
                                               "in an instruction file");
    return wanted & ~place->present ? fail_incomplete(wanted & ~place->present, err) : KB_OK;
}

static enum kb_status recognise_old(struct s3ec_parsed *out, const struct fields *object,
                                    const struct fields *file, struct kb_error *err)
{
    const unsigned length = BIT(LENGTH); /* Ruby's client leaves that with the object */
    const struct fields *place = object->present & ~length ? object : file;
    const struct fields *other = place == object ? file : object;
    unsigned wanted = BIT(IV);

    out->version = place->present & ONLY_V1 ? 1 : 2;
    out->instruction_file = place == file;
    if (other->present & ~length)
        return kb_error_set(err, KB_ERR_INPUT, "the object has encryption metadata of its own and "
                                               "in an instruction file");
    if ((place->present & ONLY_V1) && (place->present & ONLY_V2))
        return fail_mixed(err);
    if (out->version == 2)
        wanted |= BIT(KEY_V2) | BIT(CONTENT) | BIT(WRAP);
    return wanted & ~place->present ? fail_incomplete(wanted & ~place->present, err) : KB_OK;
}

/* data-format/content-metadata.md#determining-s3ec-object-status */
static enum kb_status recognise(struct s3ec_parsed *out, const struct fields *object,
                                const struct fields *file, bool has_file, struct kb_error *err)
{
    unsigned all = object->present | file->present;

    if ((all & ONLY_V3) && (all & NOT_V3))
        return fail_mixed(err);
    if (all & ONLY_V3)
        return recognise_v3(out, object, file, has_file, err);
    if (all & (ONLY_V1 | ONLY_V2))
        return recognise_old(out, object, file, err);
    if (has_file)
        return kb_error_set(err, KB_ERR_INPUT, "the instruction file has no wrapped key");
    return kb_error_set(err, KB_ERR_NOT_FOUND,
                        "the object is not one of the S3 Encryption Client");
}

/* --- values ------------------------------------------------------------------------------ */

static bool is_text(const struct fields *fields, enum s3ec_field field, const char *text)
{
    return kb_bytes_equal(fields->value[field], kb_bytes_text(text));
}

static enum kb_status fail_value(enum s3ec_field field, struct kb_error *err)
{
    return kb_error_set(err, KB_ERR_INPUT, "the object's %s is not valid", names[field]);
}

/* Base64 of exactly `size` bytes. */
static enum kb_status get_bytes(uint8_t *out, size_t size, const struct fields *fields,
                                enum s3ec_field field, struct kb_error *err)
{
    uint8_t bytes[S3EC_MESSAGE_ID + 2];
    size_t made = 0;

    if (fields->value[field].size != kb_base64_formatted_size(size) ||
        !kb_base64_parse_into(bytes, &made, fields->value[field]) || made != size)
        return fail_value(field, err);
    memcpy(out, bytes, size);
    return KB_OK;
}

static enum kb_status get_key(struct s3ec_wrapped *out, const struct fields *fields,
                              enum s3ec_field field, struct kb_error *err)
{
    uint8_t bytes[KB_TOKEN_WRAPPED_MAX + 2];
    struct kb_bytes text = fields->value[field];

    if (text.size == 0 || text.size > kb_base64_formatted_size(KB_TOKEN_WRAPPED_MAX) ||
        !kb_base64_parse_into(bytes, &out->size, text) || out->size > sizeof out->data)
        return fail_value(field, err);
    memcpy(out->data, bytes, out->size);
    return KB_OK;
}

static enum kb_status get_wrap(struct s3ec_parsed *out, const struct fields *fields,
                               enum s3ec_field field, struct kb_error *err)
{
    for (unsigned i = 0; i < S3EC_WRAP_COUNT; i++) {
        const char *name = out->version == 3 ? wraps[i].short_name : wraps[i].name;

        out->wrap = (enum s3ec_wrap)i;
        if (name && is_text(fields, field, name))
            return KB_OK;
    }
    return kb_error_set(err, KB_ERR_INPUT, "the object's key is wrapped in an unknown way");
}

static enum kb_status fail_content(struct kb_error *err)
{
    return kb_error_set(err, KB_ERR_INPUT,
                        "the object is encrypted by an algorithm that is not known");
}

static enum kb_status read_v3(struct s3ec_parsed *out, const struct fields *object,
                              const struct fields *key, struct kb_error *err)
{
    bool kms;
    enum kb_status status = KB_OK;

    out->content = S3EC_COMMITTING;
    if (!is_text(object, S3EC_CONTENT_V3, contents[S3EC_COMMITTING]))
        return fail_content(err);
    status = get_bytes(out->iv, S3EC_MESSAGE_ID, object, S3EC_MESSAGE_ID_V3, err);
    if (status == KB_OK)
        status = get_bytes(out->commitment, S3EC_COMMITMENT, object, S3EC_COMMITMENT_V3, err);
    if (status == KB_OK)
        status = get_key(&out->key, key, S3EC_KEY_V3, err);
    if (status == KB_OK)
        status = get_wrap(out, key, S3EC_WRAP_V3, err);
    if (status != KB_OK)
        return status;
    kms = out->wrap == S3EC_WRAP_KMS_CONTEXT;
    if (!kms && (key->present & BIT(CONTEXT_V3)))
        return fail_value(S3EC_CONTEXT_V3, err);
    out->description = key->value[kms ? S3EC_CONTEXT_V3 : S3EC_DESCRIPTION_V3];
    return KB_OK;
}

/* Version 2 by what it says, version 1 by what it leaves out. */
static enum kb_status read_old(struct s3ec_parsed *out, const struct fields *fields,
                               struct kb_error *err)
{
    bool v1 = out->version == 1;
    enum kb_status status = get_key(&out->key, fields, v1 ? S3EC_KEY_V1 : S3EC_KEY_V2, err);

    if (v1)
        out->wrap = out->key.size > S3EC_V1_AES_MAX ? S3EC_WRAP_RSA : S3EC_WRAP_AES_ECB;
    else if (status == KB_OK)
        status = get_wrap(out, fields, S3EC_WRAP, err);
    if (status != KB_OK)
        return status;
    out->description = fields->value[S3EC_DESCRIPTION];
    out->content = S3EC_CBC;
    if (!v1 && is_text(fields, S3EC_CONTENT, contents[S3EC_GCM]))
        out->content = S3EC_GCM;
    else if (!v1 && !is_text(fields, S3EC_CONTENT, contents[S3EC_CBC]))
        return fail_content(err);
    if (out->content == S3EC_GCM ? !is_text(fields, S3EC_TAG_LENGTH, "128")
                                 : (fields->present & BIT(TAG_LENGTH)) != 0)
        return fail_value(S3EC_TAG_LENGTH, err);
    return get_bytes(out->iv, out->content == S3EC_GCM ? S3EC_IV_GCM : S3EC_IV_CBC, fields, S3EC_IV,
                     err);
}

enum kb_status s3ec_header_read(struct s3ec_parsed *out, const struct kb_s3ec_header *header,
                                struct kb_arena *arena, struct kb_error *err)
{
    struct fields object, file;
    enum kb_status status = read_metadata(&object, header, err);

    *out = (struct s3ec_parsed){0};
    if (status == KB_OK)
        status = read_file(&file, header->instruction, arena, err);
    if (status == KB_OK)
        status = recognise(out, &object, &file, header->instruction.data != NULL, err);
    if (status != KB_OK)
        return status;
    if (out->version == 3)
        return read_v3(out, &object, out->instruction_file ? &file : &object, err);
    return read_old(out, out->instruction_file ? &file : &object, err);
}

/* --- looking at one ------------------------------------------------------------------------- */

/* For people: what S3 or somebody else has mangled is not printed as it is. */
static void copy_description(char *out, size_t room, struct kb_bytes text)
{
    bool good = kb_utf8_valid(text);
    size_t size = text.size < room ? text.size : room - 1;

    while (size < text.size && size > 0 && good && (text.data[size] & 0xc0) == 0x80)
        size--;
    for (size_t i = 0; i < size; i++)
        out[i] = text.data[i] < 0x20 || text.data[i] == 0x7f || (!good && text.data[i] > 0x7f)
                     ? '?'
                     : (char)text.data[i];
    out[size] = '\0';
}

enum kb_status kb_s3ec_inspect(struct kb_s3ec_info *out, const struct kb_s3ec_header *header,
                               struct kb_error *err)
{
    struct kb_arena arena = KB_ARENA_INIT;
    struct s3ec_parsed parsed;
    enum kb_status status = s3ec_header_read(&parsed, header, &arena, err);

    *out = (struct kb_s3ec_info){.version = parsed.version,
                                 .instruction_file = parsed.instruction_file};
    if (status == KB_OK) {
        out->content_algorithm = s3ec_content_name(parsed.content);
        out->wrap_algorithm = s3ec_wrap_name(parsed.wrap);
        out->committing = parsed.content == S3EC_COMMITTING;
        out->legacy_content = parsed.content == S3EC_CBC;
        out->legacy_wrapping = s3ec_wrap_is_legacy(parsed.wrap);
        out->tag_size = parsed.content == S3EC_CBC ? 0 : KB_S3EC_TAG_SIZE;
        copy_description(out->description, sizeof out->description, parsed.description);
    }
    kb_arena_free(&arena);
    return status;
}

/* --- writing ----------------------------------------------------------------------------- */

static struct kb_bytes base64(struct kb_arena *memory, const uint8_t *data, size_t size)
{
    struct kb_buffer text = KB_BUFFER_INIT(kb_base64_formatted_size(KB_TOKEN_WRAPPED_MAX));
    struct kb_bytes copy;

    kb_base64_format(&text, (struct kb_bytes){data, size});
    copy = text.failed ? (struct kb_bytes){NULL, 0} : kb_arena_copy(memory, kb_buffer_view(&text));
    kb_buffer_free(&text);
    return copy;
}

static void put(struct kb_pair *pairs, size_t *count, enum s3ec_field field, struct kb_bytes value)
{
    pairs[(*count)++] = (struct kb_pair){kb_bytes_text(names[field]), value};
}

/* What belongs to the wrapped key, and goes into an instruction file. */
static size_t key_pairs(struct kb_pair *pairs, const struct s3ec_parsed *parsed,
                        struct kb_arena *memory)
{
    struct kb_bytes key = base64(memory, parsed->key.data, parsed->key.size);
    size_t count = 0;

    if (parsed->version == 3) {
        put(pairs, &count, S3EC_KEY_V3, key);
        put(pairs, &count, S3EC_WRAP_V3, kb_bytes_text(wraps[parsed->wrap].short_name));
        if (parsed->description.size)
            put(pairs, &count, S3EC_DESCRIPTION_V3, parsed->description);
        return count;
    }
    put(pairs, &count, S3EC_KEY_V2, key);
    put(pairs, &count, S3EC_IV, base64(memory, parsed->iv, S3EC_IV_GCM));
    put(pairs, &count, S3EC_CONTENT, kb_bytes_text(contents[parsed->content]));
    put(pairs, &count, S3EC_WRAP, kb_bytes_text(wraps[parsed->wrap].name));
    put(pairs, &count, S3EC_TAG_LENGTH, kb_bytes_text("128"));
    put(pairs, &count, S3EC_DESCRIPTION,
        parsed->description.size ? parsed->description : kb_bytes_text("{}"));
    return count;
}

static struct kb_bytes format_file(const struct kb_pair *pairs, size_t count,
                                   struct kb_arena *memory)
{
    struct kb_buffer text = KB_BUFFER_INIT(S3EC_INSTRUCTION_MAX);
    struct kb_bytes copy;

    for (size_t i = 0; i < count; i++) {
        kb_buffer_put_text(&text, i ? "," : "{");
        kb_json_put_text(&text, pairs[i].name);
        kb_buffer_put_text(&text, ":");
        kb_json_put_text(&text, pairs[i].value);
    }
    kb_buffer_put_text(&text, "}");
    copy = text.failed ? (struct kb_bytes){NULL, 0} : kb_arena_copy(memory, kb_buffer_view(&text));
    kb_buffer_free(&text);
    return copy;
}

static bool are_there(const struct kb_pair *pairs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!pairs[i].value.data)
            return false;
    return true;
}

static enum kb_status check_metadata(const struct kb_s3ec_header *header, struct kb_error *err)
{
    size_t bytes = 0;

    if (!are_there(header->metadata, header->metadata_count))
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    for (size_t i = 0; i < header->metadata_count; i++)
        bytes += header->metadata[i].name.size + header->metadata[i].value.size;
    if (bytes <= S3EC_METADATA_BYTES_MAX)
        return KB_OK;
    kb_error_set(err, KB_ERR_USAGE, "the description does not fit into an object's metadata");
    kb_error_hint(err, "metadata has at most %d bytes; --instruction-file has room for more",
                  S3EC_METADATA_BYTES_MAX);
    return KB_ERR_USAGE;
}

enum kb_status s3ec_header_write(struct s3ec_written *out, const struct s3ec_parsed *parsed,
                                 struct kb_error *err)
{
    struct kb_pair key[KB_S3EC_METADATA_MAX];
    size_t key_count = key_pairs(key, parsed, &out->memory), count = 0;

    if (!are_there(key, key_count))
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    out->header = (struct kb_s3ec_header){.metadata = out->pairs};
    if (parsed->version == 3) {
        put(out->pairs, &count, S3EC_CONTENT_V3, kb_bytes_text(contents[parsed->content]));
        put(out->pairs, &count, S3EC_COMMITMENT_V3,
            base64(&out->memory, parsed->commitment, S3EC_COMMITMENT));
        put(out->pairs, &count, S3EC_MESSAGE_ID_V3,
            base64(&out->memory, parsed->iv, S3EC_MESSAGE_ID));
    }
    if (parsed->instruction_file) {
        out->header.instruction = format_file(key, key_count, &out->memory);
        if (!out->header.instruction.data)
            return kb_error_set(err, KB_ERR_USAGE, "the description does not fit into an "
                                                   "instruction file");
    } else {
        memcpy(out->pairs + count, key, key_count * sizeof *key);
        count += key_count;
    }
    out->header.metadata_count = count;
    return check_metadata(&out->header, err);
}

/* --- material descriptions ------------------------------------------------------------------ */

/* As a JSON string in ASCII: other characters as UTF-16 units. */
static void put_ascii(struct kb_buffer *out, struct kb_bytes text)
{
    const uint8_t *at = text.data, *end = text.data + text.size;
    char unit[16];

    kb_buffer_put_text(out, "\"");
    while (at < end) {
        unsigned lead = *at, more = lead < 0xc0 ? 0 : lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
        unsigned point = more ? lead & (0x3fU >> more) : lead;

        for (at++; more > 0; more--)
            point = point << 6 | (*at++ & 0x3fU);
        if (point > 0xffff) {
            snprintf(unit, sizeof unit, "\\u%04x", 0xd800 + ((point - 0x10000) >> 10));
            kb_buffer_put_text(out, unit);
            point = 0xdc00 + ((point - 0x10000) & 0x3ff);
        }
        if (point < 0x20 || point > 0x7e)
            snprintf(unit, sizeof unit, "\\u%04x", point);
        else
            snprintf(unit, sizeof unit, "%s%c", point == '"' || point == '\\' ? "\\" : "",
                     (int)point);
        kb_buffer_put_text(out, unit);
    }
    kb_buffer_put_text(out, "\"");
}

static enum kb_status check_description(const struct kb_s3ec_encrypt_options *options,
                                        struct kb_error *err)
{
    for (size_t i = 0; i < options->description_count; i++) {
        const struct kb_pair *pair = &options->description[i];

        if (!kb_utf8_valid(pair->name) || !kb_utf8_valid(pair->value))
            return kb_error_set(err, KB_ERR_USAGE, "a description is not UTF-8");
        for (size_t j = 0; j < i; j++)
            if (kb_bytes_equal(pair->name, options->description[j].name))
                return kb_error_set(err, KB_ERR_USAGE, "a description has '%.*s' twice",
                                    (int)(pair->name.size < 80 ? pair->name.size : 80),
                                    (const char *)pair->name.data);
    }
    return KB_OK;
}

enum kb_status s3ec_description_write(struct kb_bytes *out,
                                      const struct kb_s3ec_encrypt_options *options,
                                      struct kb_arena *memory, struct kb_error *err)
{
    struct kb_buffer text = KB_BUFFER_INIT(S3EC_INSTRUCTION_MAX / 4);
    enum kb_status status = KB_OK;

    *out = (struct kb_bytes){NULL, 0};
    if (options->description_count == 0)
        return KB_OK;
    status = check_description(options, err);
    for (size_t i = 0; status == KB_OK && i < options->description_count; i++) {
        kb_buffer_put_text(&text, i ? "," : "{");
        put_ascii(&text, options->description[i].name);
        kb_buffer_put_text(&text, ":");
        put_ascii(&text, options->description[i].value);
    }
    kb_buffer_put_text(&text, "}");
    if (status == KB_OK && text.failed)
        status = kb_error_set(err, KB_ERR_USAGE, "a description of that length is too long");
    if (status == KB_OK)
        *out = kb_arena_copy(memory, kb_buffer_view(&text));
    if (status == KB_OK && !out->data)
        status = kb_error_set(err, KB_ERR_MEMORY, "no memory");
    kb_buffer_free(&text);
    return status;
}
