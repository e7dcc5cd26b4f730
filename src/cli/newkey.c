/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys into the token and public keys out of it: create, import, export-public.
 */
#include "cli/key.h"

#include <string.h>
#include <unistd.h>

enum { KEY_FILE_MAX = 16384 };

struct key_options {
    const char *use;
    const char *type;
    const char *release;
    const char *in;
    const char *format;
    bool allow_weak;
};

static bool is_pair(enum kb_key_type type)
{
    return type >= KB_KEY_RSA_2048 && type <= KB_KEY_EC;
}

/* "rsa-public" is a public half alone. */
static bool parse_type(struct kb_key_spec *spec, const char *text)
{
    static const char ending[] = "-public";
    size_t size = text ? strlen(text) : 0, cut = sizeof ending - 1;
    char type[32];

    spec->public_only = size > cut && strcmp(text + size - cut, ending) == 0;
    if (spec->public_only)
        size -= cut;
    if (size == 0 || size >= sizeof type)
        return false;
    memcpy(type, text, size);
    type[size] = 0;
    return kb_key_type_parse(&spec->type, type) && (!spec->public_only || is_pair(spec->type));
}

static enum kb_status make_spec(struct cli *cli, const struct key_options *options,
                                const char *name, bool import, struct kb_key_spec *spec)
{
    memset(spec, 0, sizeof *spec);
    spec->name = name;
    spec->allow_weak = options->allow_weak;
    if (!options->use || !kb_key_use_parse(&spec->use, options->use)) {
        kb_error_set(&cli->error, KB_ERR_USAGE, "--use is %s%s",
                     options->use ? "unknown: " : "missing", options->use ? options->use : "");
        kb_error_hint(&cli->error, "wrap, sign, content or envelope%s",
                      import ? ", or legacy" : "");
        return KB_ERR_USAGE;
    }
    if (!parse_type(spec, options->type)) {
        kb_error_set(&cli->error, KB_ERR_USAGE, "--type is %s%s",
                     options->type ? "unknown: " : "missing", options->type ? options->type : "");
        kb_error_hint(&cli->error, "%s%s", "aes-128, aes-192, aes-256, hmac-sha224, hmac-sha256, "
                                           "hmac-sha384, hmac-sha512, ",
                      import ? "rsa, ec, rsa-public or ec-public"
                             : "rsa-2048, rsa-3072, rsa-4096, ec-p256 or ec-p384");
        return KB_ERR_USAGE;
    }
    if (options->release && strcmp(options->release, "never") != 0)
        return kb_error_set(&cli->error, KB_ERR_USAGE, "--release takes 'never' only");
    spec->release_never = options->release != NULL;
    if (spec->release_never && spec->use != KB_KEY_WRAP)
        return kb_error_set(&cli->error, KB_ERR_USAGE, "--release never is for wrap keys");
    return KB_OK;
}

enum kb_status cli_key_create(struct cli *cli, int argc, char **argv)
{
    struct key_options options = {0};
    const struct cli_option table[] = {
        {"use", 0, CLI_TEXT, &options.use},
        {"type", 0, CLI_TEXT, &options.type},
        {"release", 0, CLI_TEXT, &options.release},
        {NULL, 0, CLI_FLAG, NULL},
    };
    struct cli_session session;
    struct kb_key_spec spec;
    enum kb_status status;
    int rest;

    status = cli_parse(cli, argc, argv, table, 1, 1, &rest);
    if (status == KB_OK)
        status = make_spec(cli, &options, argv[0], false, &spec);
    if (status == KB_OK)
        status = cli_session_open_token(&session, cli);
    if (status != KB_OK)
        return status;
    status = kb_key_create(session.token, &spec, &cli->error);
    if (status == KB_OK)
        cli_note(cli, "key '%s' (%s, %s) is in token '%s'", spec.name, options.type, options.use,
                 kb_keystore_info(session.keystore)->label);
    cli_session_close(&session);
    return status;
}

/* Turns hexadecimal text into bytes inside the secret. */
static bool decode_hex(struct kb_secret *secret)
{
    struct kb_bytes text = kb_secret_view(secret);
    uint8_t *to = kb_secret_data(secret);
    size_t size = 0;
    int high = -1;

    for (size_t i = 0; i < text.size; i++) {
        int value = cli_hex_value((char)text.data[i]);

        if (value < 0 && text.data[i] && strchr(" \t\r\n", text.data[i]))
            continue;
        if (value < 0)
            return false;
        if (high >= 0)
            to[size++] = (uint8_t)(high << 4 | value);
        high = high < 0 ? value : -1;
    }
    kb_secret_truncate(secret, size);
    return high < 0 && size > 0;
}

/* Public keys need no protection; everything else does. */
static enum kb_status read_file(struct cli *cli, const char *path, bool public_only,
                                struct kb_secret **out)
{
    struct kb_buffer bytes = KB_BUFFER_INIT(KEY_FILE_MAX);
    enum kb_status status;

    if (!public_only)
        return kb_secret_read_file(out, path, KEY_FILE_MAX, false, &cli->error);
    status = kb_file_read(&bytes, path, &cli->error);
    if (status == KB_OK && bytes.size == 0)
        status = kb_error_set(&cli->error, KB_ERR_INPUT, "%s is empty", path);
    if (status == KB_OK)
        status = kb_secret_copy(out, kb_buffer_view(&bytes), &cli->error);
    kb_buffer_free(&bytes);
    return status;
}

/* The library takes either; what was asked for is what has to be there. */
static bool is_format(struct kb_bytes bytes, const char *format)
{
    static const char mark[] = "-----BEGIN ";
    bool pem = bytes.data[0] != 0x30 && memmem(bytes.data, bytes.size, mark, sizeof mark - 1);

    return pem == (strcmp(format, "pem") == 0);
}

static enum kb_status check_format(struct cli *cli, const struct key_options *options, bool pair)
{
    const char *format = options->format ? options->format : "";
    bool good = pair ? strcmp(format, "der") == 0 || strcmp(format, "pem") == 0
                     : strcmp(format, "raw") == 0 || strcmp(format, "hex") == 0;

    if (!options->in)
        return kb_error_set(&cli->error, KB_ERR_USAGE, "--in is missing");
    if (good)
        return KB_OK;
    return kb_error_set(&cli->error, KB_ERR_USAGE, "--format is %s: %s for a key of type %s",
                        options->format ? "wrong" : "missing", pair ? "der or pem" : "raw or hex",
                        options->type);
}

static enum kb_status read_key(struct cli *cli, const struct key_options *options,
                               const struct kb_key_spec *spec, struct kb_secret **out)
{
    bool pair = is_pair(spec->type);
    const char *wrong = NULL;
    enum kb_status status = check_format(cli, options, pair);

    if (status == KB_OK)
        status = read_file(cli, options->in, spec->public_only, out);
    if (status != KB_OK)
        return status;
    if (pair && !is_format(kb_secret_view(*out), options->format))
        wrong = options->format;
    else if (strcmp(options->format, "hex") == 0 && !decode_hex(*out))
        wrong = "hexadecimal text";
    if (!wrong)
        return KB_OK;
    kb_secret_free(*out);
    *out = NULL;
    return kb_error_set(&cli->error, KB_ERR_INPUT, "%s is not %s", options->in, wrong);
}

enum kb_status cli_key_import(struct cli *cli, int argc, char **argv)
{
    struct key_options options = {0};
    const struct cli_option table[] = {
        {"use", 0, CLI_TEXT, &options.use},
        {"type", 0, CLI_TEXT, &options.type},
        {"release", 0, CLI_TEXT, &options.release},
        {"in", 'i', CLI_TEXT, &options.in},
        {"format", 0, CLI_TEXT, &options.format},
        {"allow-weak", 0, CLI_FLAG, &options.allow_weak},
        {NULL, 0, CLI_FLAG, NULL},
    };
    struct kb_secret *value = NULL;
    struct cli_session session;
    struct kb_key_spec spec;
    enum kb_status status;
    int rest;

    status = cli_parse(cli, argc, argv, table, 1, 1, &rest);
    if (status == KB_OK)
        status = make_spec(cli, &options, argv[0], true, &spec);
    if (status == KB_OK)
        status = read_key(cli, &options, &spec, &value);
    if (status == KB_OK)
        status = cli_session_open_token(&session, cli);
    if (status != KB_OK) {
        kb_secret_free(value);
        return status;
    }
    status = kb_key_import(session.token, &spec, value, &cli->error);
    if (status == KB_OK)
        cli_note(cli, "key '%s' (%s, %s) is imported into token '%s'%s%s%s", spec.name,
                 options.type, options.use, kb_keystore_info(session.keystore)->label,
                 spec.public_only ? "" : "; ", spec.public_only ? "" : options.in,
                 spec.public_only ? "" : " still holds it");
    cli_session_close(&session);
    kb_secret_free(value);
    return status;
}

/* --- export ------------------------------------------------------------------------- */

static enum kb_status put_public(struct cli *cli, const char *path, struct kb_bytes bytes)
{
    return path ? kb_file_write(path, 0644, bytes, &cli->error) : cli_put(cli, bytes);
}

enum kb_status cli_key_export_public(struct cli *cli, int argc, char **argv)
{
    const char *format = "pem", *out = NULL;
    const struct cli_option table[] = {
        {"format", 0, CLI_TEXT, &format},
        {"output", 'o', CLI_TEXT, &out},
        {NULL, 0, CLI_FLAG, NULL},
    };
    struct kb_buffer der = KB_BUFFER_INIT(KEY_FILE_MAX), text = KB_BUFFER_INIT(KEY_FILE_MAX);
    struct cli_session session;
    enum kb_status status;
    bool pem;
    int rest;

    status = cli_parse(cli, argc, argv, table, 1, 1, &rest);
    if (status != KB_OK)
        return status;
    pem = strcmp(format, "pem") == 0;
    if (!pem && strcmp(format, "der") != 0)
        return kb_error_set(&cli->error, KB_ERR_USAGE, "--format is wrong: pem or der");
    if (!pem && !out && isatty(STDOUT_FILENO)) {
        kb_error_set(&cli->error, KB_ERR_USAGE, "DER is not for a terminal");
        kb_error_hint(&cli->error, "-o FILE, or --format pem");
        return KB_ERR_USAGE;
    }
    status = cli_session_open_token(&session, cli);
    if (status != KB_OK)
        return status;
    status = kb_key_export_public(session.token, argv[0], &der, &cli->error);
    if (status == KB_OK && pem)
        status = kb_key_public_pem(&text, kb_buffer_view(&der), &cli->error);
    if (status == KB_OK)
        status = put_public(cli, out, kb_buffer_view(pem ? &text : &der));
    cli_session_close(&session);
    kb_buffer_free(&der);
    kb_buffer_free(&text);
    return status;
}
