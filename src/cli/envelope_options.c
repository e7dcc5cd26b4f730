/* SPDX-License-Identifier: Apache-2.0
 *
 * keybridge envelope: what its options mean.
 */
#include "cli/envelope.h"

#include <stdlib.h>
#include <string.h>

enum { CONTEXT_FILE_MAX = 256 * 1024 };

struct envelope_ring {
    size_t count;
    struct {
        char *text; /* owned; what `options` views */
        struct kb_raw_keyring_options options;
    } entries[];
};

/* --- keyrings ------------------------------------------------------------------------ */

enum { PART_KEY, PART_NAMESPACE, PART_NAME, PART_PADDING, PARTS };
static const char *const parts[PARTS] = {"key", "namespace", "name", "padding"};

static const struct {
    const char *name;
    enum kb_wrap_algorithm algorithm;
} paddings[] = {
    {"pkcs1", KB_WRAP_PKCS1},
    {"oaep-sha1", KB_WRAP_OAEP_SHA1},
    {"oaep-sha256", KB_WRAP_OAEP_SHA256_MGF_SHA256},
    {"oaep-sha384", KB_WRAP_OAEP_SHA384_MGF_SHA384},
    {"oaep-sha512", KB_WRAP_OAEP_SHA512_MGF_SHA512},
};

/* Undoes percent-encoding in place; false for a broken one. No byte is 0. */
static bool percent_decode(char *text)
{
    char *to = text;

    for (; *text; text++) {
        int value = (unsigned char)*text;

        if (value == '%') {
            int high = cli_hex_value(text[1]);
            int low = high < 0 ? -1 : cli_hex_value(text[2]);

            value = low < 0 ? 0 : high * 16 + low;
            if (value == 0)
                return false;
            text += 2;
        }
        *to++ = (char)value;
    }
    *to = 0;
    return true;
}

static enum kb_status take_part(struct cli *cli, char *part, char **values)
{
    char *value = strchr(part, '=');
    size_t i = 0;

    if (value)
        *value++ = 0;
    while (i < PARTS && strcmp(parts[i], part) != 0)
        i++;
    if (!value || i == PARTS)
        return kb_error_set(&cli->error, KB_ERR_USAGE,
                            "a keyring has key=, namespace=, name= and padding=, not '%s'", part);
    if (values[i])
        return kb_error_set(&cli->error, KB_ERR_USAGE, "a keyring has %s= twice", part);
    if (!percent_decode(value))
        return kb_error_set(&cli->error, KB_ERR_USAGE,
                            "%s=%s of a keyring is not percent-encoded", part, value);
    values[i] = value;
    return KB_OK;
}

/* key=…,namespace=…,name=…[,padding=…], which it changes. */
static enum kb_status parse_keyring(struct cli *cli, char *text,
                                    struct kb_raw_keyring_options *out)
{
    char *values[PARTS] = {NULL};
    enum kb_status status = KB_OK;
    size_t i = 0;
    char *next;

    for (char *at = text; status == KB_OK && at; at = next) {
        next = strchr(at, ',');
        if (next)
            *next++ = 0;
        status = take_part(cli, at, values);
    }
    if (status != KB_OK)
        return status;
    for (size_t part = 0; part < PART_PADDING; part++)
        if (!values[part])
            return kb_error_set(&cli->error, KB_ERR_USAGE, "a keyring without %s=", parts[part]);
    *out = (struct kb_raw_keyring_options){.key = values[PART_KEY],
                                           .key_namespace = kb_bytes_text(values[PART_NAMESPACE]),
                                           .key_name = kb_bytes_text(values[PART_NAME])};
    if (!values[PART_PADDING])
        return KB_OK;
    while (i < sizeof paddings / sizeof *paddings &&
           strcmp(paddings[i].name, values[PART_PADDING]) != 0)
        i++;
    if (i == sizeof paddings / sizeof *paddings)
        return kb_error_set(&cli->error, KB_ERR_USAGE,
                            "padding is pkcs1, oaep-sha1, oaep-sha256, oaep-sha384 or "
                            "oaep-sha512, not '%s'",
                            values[PART_PADDING]);
    out->padding = paddings[i].algorithm;
    return KB_OK;
}

static void ring_free(struct envelope_ring *ring)
{
    for (size_t i = 0; ring && i < ring->count; i++)
        free(ring->entries[i].text);
    free(ring);
}

/* What --key and --keyring, called `option` and `option`ring, name. */
static enum kb_status parse_ring(struct envelope_ring **out, struct cli *cli, const char *option,
                                 const struct cli_list *keys, const struct cli_list *keyrings)
{
    size_t n = keys->count + keyrings->count;
    struct envelope_ring *ring = calloc(1, sizeof *ring + n * sizeof *ring->entries);
    enum kb_status status = KB_OK;

    *out = ring;
    if (!ring)
        return kb_error_set(&cli->error, KB_ERR_MEMORY, "no memory");
    for (size_t i = 0; status == KB_OK && i < n; i++) {
        struct kb_raw_keyring_options *options = &ring->entries[i].options;
        const char *text =
            i < keys->count ? keys->items[i] : keyrings->items[i - keys->count];
        char *copy = strdup(text);

        if (!copy)
            return kb_error_set(&cli->error, KB_ERR_MEMORY, "no memory");
        ring->entries[i].text = copy;
        ring->count++;
        if (i < keys->count)
            *options = (struct kb_raw_keyring_options){
                .key = copy,
                .key_namespace = kb_bytes_text("keybridge"),
                .key_name = kb_bytes_text(copy)};
        else
            status = parse_keyring(cli, copy, options);
    }
    if (status == KB_OK && n == 0)
        status = kb_error_set(&cli->error, KB_ERR_USAGE, "--%s or --%sring is missing", option,
                              option);
    if (status == KB_ERR_USAGE)
        cli_hint_help(cli);
    return status;
}

static enum kb_status open_keyring(struct kb_keyring **out, struct envelope *envelope,
                                   const struct envelope_ring *ring)
{
    struct kb_keyring **keyrings = calloc(ring->count, sizeof *keyrings);
    struct kb_error *err = &envelope->cli->error;
    enum kb_status status = KB_OK;

    *out = NULL;
    if (!keyrings)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    for (size_t i = 0; status == KB_OK && i < ring->count; i++)
        status = kb_keyring_raw(&keyrings[i], envelope->session.keystore,
                                &ring->entries[i].options, err);
    if (status == KB_OK && ring->count == 1)
        *out = kb_keyring_retain(keyrings[0]);
    else if (status == KB_OK)
        status = kb_keyring_multi(out, keyrings, ring->count, err);
    for (size_t i = 0; i < ring->count; i++)
        kb_keyring_release(keyrings[i]);
    free(keyrings);
    return status;
}

static enum kb_status open_esdk(struct kb_esdk **out, struct envelope *envelope,
                                const struct envelope_ring *ring, bool writes)
{
    struct kb_esdk_options options = {
        .policy = envelope->policy, .max_edks = envelope->max_edks, .workers = envelope->workers};
    struct kb_keyring *keyring;
    enum kb_status status = open_keyring(&keyring, envelope, ring);

    /* --max-edks is of what is read; who names many recipients wants them. */
    if (writes)
        options.max_edks =
            ring->count > KB_ESDK_EDKS_DEFAULT ? (unsigned)ring->count : KB_ESDK_EDKS_DEFAULT;
    if (status == KB_OK)
        status = kb_esdk_new(out, keyring, &options, &envelope->cli->error);
    kb_keyring_release(keyring);
    return status;
}

enum kb_status envelope_open(struct envelope *envelope)
{
    enum kb_status status;

    if (envelope->session.keystore)
        return KB_OK;
    status = cli_session_open(&envelope->session, envelope->cli);
    if (status == KB_OK && envelope->work != ENVELOPE_ENCRYPT)
        status = open_esdk(&envelope->from, envelope, envelope->ring, false);
    if (status == KB_OK && envelope->work != ENVELOPE_DECRYPT)
        status = open_esdk(&envelope->to, envelope,
                           envelope->work == ENVELOPE_ENCRYPT ? envelope->ring
                                                              : envelope->to_ring,
                           true);
    return status;
}

/* --- context -------------------------------------------------------------------------- */

static enum kb_status read_context(struct envelope *envelope, const char *path)
{
    struct cli *cli = envelope->cli;
    struct kb_buffer text = KB_BUFFER_INIT(CONTEXT_FILE_MAX);
    enum kb_status status = kb_file_read(&text, path, &cli->error);
    const cJSON *member;

    if (status == KB_ERR_INPUT) {
        kb_error_clear(&cli->error);
        status = kb_error_set(&cli->error, KB_ERR_USAGE, "%s has more than %d bytes", path,
                              CONTEXT_FILE_MAX);
    }
    /* Its terminator, behind which nothing may be. */
    text.max++;
    kb_buffer_put_u8(&text, 0);
    if (status == KB_OK)
        status = kb_buffer_check(&text, &cli->error);
    if (status == KB_OK)
        envelope->context_file =
            cJSON_ParseWithLengthOpts((const char *)text.data, text.size, NULL, true);
    if (status == KB_OK && !cJSON_IsObject(envelope->context_file))
        status = kb_error_set(&cli->error, KB_ERR_USAGE, "%s is not a JSON object", path);
    /* cJSON would end a text there. */
    if (status == KB_OK && memmem(text.data, text.size, "\\u0000", 6))
        status = kb_error_set(&cli->error, KB_ERR_USAGE, "%s: U+0000 in a text", path);
    cJSON_ArrayForEach(member, envelope->context_file)
    {
        if (status == KB_OK && !cJSON_IsString(member))
            status = kb_error_set(&cli->error, KB_ERR_USAGE, "%s: \"%s\" is not a text", path,
                                  member->string);
    }
    kb_buffer_free(&text);
    return status;
}

static enum kb_status take_context(struct envelope *envelope)
{
    const struct envelope_options *options = &envelope->options;
    struct cli *cli = envelope->cli;
    size_t n = options->context.count;
    enum kb_status status = KB_OK;
    const cJSON *member;

    if (options->context_file)
        status = read_context(envelope, options->context_file);
    if (status != KB_OK)
        return status;
    n += (size_t)(envelope->context_file ? cJSON_GetArraySize(envelope->context_file) : 0);
    envelope->context = calloc(n + 1, sizeof *envelope->context);
    if (!envelope->context)
        return kb_error_set(&cli->error, KB_ERR_MEMORY, "no memory");
    status = cli_pairs(cli, "context", &options->context, envelope->context, n);
    envelope->context_count = options->context.count;
    cJSON_ArrayForEach(member, envelope->context_file)
    {
        envelope->context[envelope->context_count++] = (struct kb_pair){
            kb_bytes_text(member->string), kb_bytes_text(member->valuestring)};
    }
    return status;
}

static enum kb_status take_names(struct envelope *envelope)
{
    const struct cli_list *not_stored = &envelope->options.not_stored;
    const struct cli_list *require = &envelope->options.require;

    envelope->not_stored = calloc(not_stored->count + 1, sizeof *envelope->not_stored);
    envelope->required = calloc(require->count + 1, sizeof *envelope->required);
    if (!envelope->not_stored || !envelope->required)
        return kb_error_set(&envelope->cli->error, KB_ERR_MEMORY, "no memory");
    for (size_t i = 0; i < not_stored->count; i++)
        envelope->not_stored[i] = kb_bytes_text(not_stored->items[i]);
    for (size_t i = 0; i < require->count; i++) {
        const char *text = require->items[i];
        const char *equals = strchr(text, '=');
        size_t size = equals ? (size_t)(equals - text) : strlen(text);

        if (!size)
            return kb_error_set(&envelope->cli->error, KB_ERR_USAGE,
                                "--require '%s' is not name or name=value", text);
        envelope->required[i].name = (struct kb_bytes){(const uint8_t *)text, size};
        if (equals)
            envelope->required[i].value = kb_bytes_text(equals + 1);
    }
    return KB_OK;
}

/* --- the others -------------------------------------------------------------------------- */

static enum kb_status take_range(struct envelope *envelope, const char *text)
{
    if (!text)
        return KB_OK;
    envelope->ranged = true;
    return cli_range(envelope->cli, text, &envelope->first, &envelope->last);
}

static enum kb_status take_numbers(struct envelope *envelope)
{
    const struct envelope_options *options = &envelope->options;
    struct cli *cli = envelope->cli;
    uint64_t frame_length = 0, max_edks = 0;
    enum kb_status status =
        cli_number(cli, "frame-length", options->frame_length, 1, UINT32_MAX, &frame_length);

    if (status == KB_OK)
        status = cli_number(cli, "max-edks", options->max_edks, 1, KB_ESDK_EDKS_MAX, &max_edks);
    if (status == KB_OK && options->workers)
        status = kb_config_set(cli->config, KB_SETTING_WORKERS, options->workers, &cli->error);
    if (status == KB_OK)
        status = kb_config_workers(cli->config, &envelope->workers, &cli->error);
    if (status == KB_OK && options->suite && !kb_esdk_suite_parse(&envelope->suite, options->suite))
        status = kb_error_set(&cli->error, KB_ERR_USAGE, "--suite '%s' is no algorithm suite",
                              options->suite);
    envelope->frame_length = (uint32_t)frame_length;
    envelope->max_edks = (unsigned)max_edks;
    return status;
}

enum kb_status envelope_prepare(struct envelope *envelope)
{
    const struct envelope_options *options = &envelope->options;
    struct cli *cli = envelope->cli;
    enum kb_status status =
        parse_ring(&envelope->ring, cli, "key", &options->keys, &options->keyrings);

    if (status == KB_OK && envelope->work == ENVELOPE_REWRAP)
        status = parse_ring(&envelope->to_ring, cli, "to-key", &options->to_keys,
                            &options->to_keyrings);
    if (status == KB_OK)
        status = cli_commitment(cli, options->policy, &envelope->policy);
    if (status == KB_OK)
        status = take_range(envelope, options->range);
    if (status == KB_OK)
        status = take_numbers(envelope);
    if (status == KB_OK)
        status = take_names(envelope);
    return status == KB_OK ? take_context(envelope) : status;
}

void envelope_clear(struct envelope *envelope)
{
    struct envelope_options *options = &envelope->options;

    envelope_pump_free(envelope->pump);
    kb_esdk_release(envelope->from);
    kb_esdk_release(envelope->to);
    cli_session_close(&envelope->session);
    ring_free(envelope->ring);
    ring_free(envelope->to_ring);
    cJSON_Delete(envelope->context_file);
    free(envelope->context);
    free(envelope->not_stored);
    free(envelope->required);
    cli_list_free(&options->keys);
    cli_list_free(&options->keyrings);
    cli_list_free(&options->to_keys);
    cli_list_free(&options->to_keyrings);
    cli_list_free(&options->context);
    cli_list_free(&options->not_stored);
    cli_list_free(&options->require);
}
