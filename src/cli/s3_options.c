/* SPDX-License-Identifier: Apache-2.0
 *
 * keybridge s3: what its options mean.
 */
#include "cli/s3.h"

#include <stdlib.h>
#include <string.h>

/* Unsigned, with commitment: frames are authenticated by themselves, and a range
 * has no signature anyway. */
enum { ENVELOPE_SUITE = 0x0478 };

/* --- held against each other ---------------------------------------------------------------- */

static enum kb_status take_encryption(struct s3 *s3)
{
    struct cli *cli = s3->cli;
    enum kb_status status = KB_OK;
    const char *text;

    if (s3->options.encryption)
        status = kb_config_set(cli->config, KB_SETTING_S3_ENCRYPTION, s3->options.encryption,
                               &cli->error);
    text = kb_config_get(cli->config, KB_SETTING_S3_ENCRYPTION);
    if (status == KB_OK && !kb_object_encryption_parse(&s3->encryption, text ? text : ""))
        status = kb_error_set(&cli->error, KB_ERR_USAGE,
                              "--encryption is sse-c, client, client-envelope, sse-s3, sse-kms or "
                              "none, not '%s'",
                              text ? text : "");
    return status;
}

static enum kb_status check_client_format(struct s3 *s3)
{
    const char *format = s3->options.client_format;

    if (!format || strcmp(format, "v2") == 0 || strcmp(format, "v3") == 0)
        return KB_OK;
    return kb_error_set(&s3->cli->error, KB_ERR_USAGE, "--client-format is v2 or v3, not '%s'",
                        format);
}

/* Modes, as a set. */
enum {
    SSE_C = 1U << KB_OBJECT_SSE_C,
    CLIENT = 1U << KB_OBJECT_CLIENT,
    ENVELOPE = 1U << KB_OBJECT_CLIENT_ENVELOPE,
    KMS = 1U << KB_OBJECT_SSE_KMS,
};

/* Which options belong to which modes; when one is given without them, the user had
 * another mode in mind. */
static enum kb_status check_modes(struct s3 *s3)
{
    const struct s3_options *o = &s3->options;
    const struct {
        const char *option;
        bool given;
        unsigned modes;
        const char *belongs;
    } rules[] = {
        {"--sse-c", o->with_sse_c, CLIENT | ENVELOPE, "--encryption client or client-envelope"},
        {"--vault-key", o->vault_key != NULL, SSE_C, "--encryption sse-c"},
        {"--key-per", o->key_per != NULL, SSE_C, "--encryption sse-c"},
        {"--key", o->key != NULL, CLIENT | ENVELOPE, "--encryption client or client-envelope"},
        {"--client-format", o->client_format != NULL, CLIENT, "--encryption client"},
        {"--instruction-file", o->instruction_file, CLIENT, "--encryption client"},
        {"--description", o->description.count != 0, CLIENT, "--encryption client"},
        {"--context", o->context.count != 0, ENVELOPE, "--encryption client-envelope"},
        {"--kms-key", o->kms_key != NULL, KMS, "--encryption sse-kms"},
        {"--kms-context", o->kms_context.count != 0, KMS, "--encryption sse-kms"},
        {"--bucket-key", o->bucket_key, KMS, "--encryption sse-kms"},
    };
    unsigned modes = (1U << s3->encryption) | (o->with_sse_c ? SSE_C : 0);

    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (rules[i].given && !(rules[i].modes & modes))
            return kb_error_set(&s3->cli->error, KB_ERR_USAGE, "%s is for %s", rules[i].option,
                                rules[i].belongs);
    return KB_OK;
}

static enum kb_status check_writing(struct s3 *s3)
{
    const struct s3_options *o = &s3->options;
    bool needs_key = s3->encryption == KB_OBJECT_CLIENT ||
                     s3->encryption == KB_OBJECT_CLIENT_ENVELOPE;
    enum kb_status status = check_modes(s3);

    if (status != KB_OK)
        return status;
    if (o->vault_key && o->key_per)
        return kb_error_set(&s3->cli->error, KB_ERR_USAGE,
                            "--vault-key and --key-per: the key is named in one way");
    if (o->key_per && strcmp(o->key_per, "object") != 0 && strcmp(o->key_per, "prefix") != 0)
        return kb_error_set(&s3->cli->error, KB_ERR_USAGE,
                            "--key-per is object or prefix, not '%s'", o->key_per);
    if (o->resume && s3->encryption == KB_OBJECT_CLIENT_ENVELOPE)
        return kb_error_set(&s3->cli->error, KB_ERR_USAGE,
                            "--resume is for other encryption than client-envelope, whose data "
                            "key is kept nowhere");
    if (!o->key && needs_key)
        return kb_error_set(&s3->cli->error, KB_ERR_USAGE,
                            "--encryption %s needs --key, a key of the token",
                            kb_object_encryption_format(s3->encryption));
    return check_client_format(s3);
}

/* "8388608", "8M". */
static enum kb_status take_part_size(struct s3 *s3)
{
    static const char units[] = "KMG";
    const char *text = s3->options.part_size;
    size_t size = text ? strlen(text) : 0;
    const char *unit = size > 1 ? strchr(units, text[size - 1]) : NULL;
    uint64_t scale = 1;
    char digits[24];
    enum kb_status status;

    if (!text)
        return KB_OK;
    if (unit)
        scale = UINT64_C(1024) << (unsigned)(10 * (unit - units));
    snprintf(digits, sizeof digits, "%.*s", (int)(size - (unit != NULL)), text);
    status = cli_number(s3->cli, "part-size", digits, 1, KB_S3_PART_MAX, &s3->part_size);
    s3->part_size = s3->part_size > KB_S3_PART_MAX / scale ? UINT64_MAX : s3->part_size * scale;
    if (status == KB_OK && (s3->part_size < KB_S3_PART_MIN || s3->part_size > KB_S3_PART_MAX))
        status = kb_error_set(&s3->cli->error, KB_ERR_USAGE, "--part-size is 5M to 5G, not '%s'",
                              text);
    return status;
}

static enum kb_status take_pairs(struct s3 *s3, const char *option, const struct cli_list *list,
                                 struct kb_pair **out)
{
    *out = calloc(list->count + 1, sizeof **out);
    if (!*out)
        return kb_error_set(&s3->cli->error, KB_ERR_MEMORY, "no memory");
    return cli_pairs(s3->cli, option, list, *out, list->count);
}

/* As in a URL's query. */
static void put_encoded(struct kb_buffer *out, struct kb_bytes text)
{
    static const char digits[] = "0123456789ABCDEF";
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                "0123456789-._~";

    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];

        if (byte && strchr(plain, byte)) {
            kb_buffer_put_u8(out, byte);
            continue;
        }
        kb_buffer_put_u8(out, '%');
        kb_buffer_put_u8(out, (uint8_t)digits[byte >> 4]);
        kb_buffer_put_u8(out, (uint8_t)digits[byte & 15]);
    }
}

static enum kb_status take_tags(struct s3 *s3)
{
    struct kb_pair *pairs = NULL;
    enum kb_status status = take_pairs(s3, "tag", &s3->options.tags, &pairs);

    s3->tags = (struct kb_buffer)KB_BUFFER_INIT(16 * 1024);
    for (size_t i = 0; status == KB_OK && i < s3->options.tags.count; i++) {
        if (i)
            kb_buffer_put_u8(&s3->tags, '&');
        put_encoded(&s3->tags, pairs[i].name);
        kb_buffer_put_u8(&s3->tags, '=');
        put_encoded(&s3->tags, pairs[i].value);
    }
    free(pairs);
    kb_buffer_put_u8(&s3->tags, 0);
    return status == KB_OK ? kb_buffer_check(&s3->tags, &s3->cli->error) : status;
}

enum kb_status s3_check_options(struct s3 *s3, unsigned needs)
{
    const struct s3_options *o = &s3->options;
    struct kb_object_put put;
    enum kb_status status = KB_OK;

    if (needs & S3_NEEDS_TO_WRITE) {
        status = take_encryption(s3);
        if (status == KB_OK && !(needs & S3_NEEDS_TO_READ))
            status = check_writing(s3);
    }
    if (status == KB_OK)
        status = take_part_size(s3);
    if (status == KB_OK)
        status = take_pairs(s3, "metadata", &o->metadata, &s3->metadata);
    if (status == KB_OK)
        status = take_pairs(s3, "description", &o->description, &s3->description);
    if (status == KB_OK)
        status = take_pairs(s3, "context", &o->context, &s3->context);
    if (status == KB_OK)
        status = take_pairs(s3, "kms-context", &o->kms_context, &s3->kms_context);
    if (status == KB_OK)
        status = take_tags(s3);
    /* What cannot be sent is said before a vault or a key is made for it. */
    if (status == KB_OK)
        status = s3_put_options(s3, &put);
    return status == KB_OK ? kb_s3_put_check(&put.upload.put, &s3->cli->error) : status;
}

/* --- as the library wants them ---------------------------------------------------------------- */

enum kb_status s3_put_options(struct s3 *s3, struct kb_object_put *out)
{
    const struct s3_options *o = &s3->options;

    *out = (struct kb_object_put){
        .encryption = s3->encryption,
        .with_sse_c = o->with_sse_c,
        .key = o->vault_key,
        .key_per_prefix = o->key_per && strcmp(o->key_per, "prefix") == 0,
        .upload = {.put = {.encryption = {.kms_key = o->kms_key,
                                          .kms_context = s3->kms_context,
                                          .kms_context_count = o->kms_context.count,
                                          .bucket_key = o->bucket_key},
                           .metadata = s3->metadata,
                           .metadata_count = o->metadata.count,
                           .content_type = o->content_type,
                           .storage_class = o->storage_class,
                           .tags = s3->tags.size > 1 ? (const char *)s3->tags.data : NULL,
                           .if_none = o->new_only},
                   .part_size = s3->part_size,
                   .sign_payload = o->sign_payload},
        .s3ec = {.description = s3->description,
                 .description_count = o->description.count,
                 .instruction_file = o->instruction_file},
        .envelope = {.suite = ENVELOPE_SUITE,
                     .context = s3->context,
                     .context_count = o->context.count},
        .resume = o->resume,
    };
    return KB_OK;
}

enum kb_status s3_get_options(struct s3 *s3, struct kb_object_get *out)
{
    const struct s3_options *o = &s3->options;

    *out = (struct kb_object_get){
        .key = o->vault_key,
        .try_all_keys = o->try_all_keys,
        .raw = o->raw,
        .envelope = {.reproduced = s3->context,
                     .reproduced_count = o->context.count,
                     .required = s3->context,
                     .required_count = o->context.count},
        .part_size = s3->part_size,
        .scratch = -1,
    };
    if (!o->range)
        return KB_OK;
    out->ranged = true;
    return cli_range(s3->cli, o->range, &out->first, &out->last);
}

enum kb_status s3_argument(struct s3 *s3, const char *url, bool whole,
                           char bucket[KB_S3_BUCKET_MAX + 1], struct kb_s3_name *out)
{
    struct cli *cli = s3->cli;
    const char *key;
    enum kb_status status = kb_s3_url_parse(url, bucket, &key, &cli->error);

    if (status == KB_OK && whole && (!key || !*key))
        status = kb_error_set(&cli->error, KB_ERR_USAGE, "%s names a bucket and no object", url);
    if (status == KB_ERR_USAGE)
        cli_hint_help(cli);
    *out = (struct kb_s3_name){
        .bucket = bucket, .key = key && *key ? key : NULL, .version = s3->options.version};
    return status;
}
