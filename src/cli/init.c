/* SPDX-License-Identifier: Apache-2.0
 *
 * keybridge init: a software token of its own, or a token that is there.
 */
#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define EMBEDDED_LABEL "keybridge"

static char *path_in(const char *folder, const char *name)
{
    char *path = NULL;

    return asprintf(&path, "%s/%s", folder, name) < 0 ? NULL : path;
}

/* Folder and its parents, private. */
static enum kb_status make_folder(struct cli *cli, const char *path)
{
    char *copy = strdup(path);

    if (!copy)
        return kb_error_set(&cli->error, KB_ERR_MEMORY, "no memory");
    for (char *slash = strchr(copy + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        (void)mkdir(copy, 0700);
        *slash = '/';
    }
    free(copy);
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return kb_error_errno(&cli->error, KB_ERR_SYSTEM, errno, "%s", path);
    return KB_OK;
}

/* Where Debian, Fedora, and a build from source put SoftHSM's module. */
static char *find_softhsm(void)
{
    static const char *const patterns[] = {
        "/usr/lib/softhsm/libsofthsm2.so",        "/usr/lib/*/softhsm/libsofthsm2.so",
        "/usr/lib64/pkcs11/libsofthsm2.so",       "/usr/lib/pkcs11/libsofthsm2.so",
        "/usr/local/lib/softhsm/libsofthsm2.so",
    };
    char *found = NULL;

    for (size_t i = 0; !found && i < sizeof patterns / sizeof *patterns; i++) {
        glob_t matches;

        if (glob(patterns[i], 0, NULL, &matches) == 0) {
            found = strdup(matches.gl_pathv[0]);
            globfree(&matches);
        }
    }
    return found;
}

/* A random PIN of 32 hexadecimal digits in a private file; one that is there
 * is kept, so that an interrupted init goes on where it was. */
static enum kb_status make_pin(struct cli *cli, const char *path, struct kb_secret **out)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char random[16];
    enum kb_status status;
    uint8_t *text;

    if (access(path, F_OK) == 0)
        return kb_secret_read_file(out, path, 64, true, &cli->error);
    status = kb_secret_new(out, 2 * sizeof random, &cli->error);
    if (status != KB_OK)
        return status;
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random) {
        kb_secret_free(*out);
        *out = NULL;
        return kb_error_errno(&cli->error, KB_ERR_SYSTEM, errno, "random bytes");
    }
    text = kb_secret_data(*out);
    for (size_t i = 0; i < sizeof random; i++) {
        text[2 * i] = (uint8_t)digits[random[i] >> 4];
        text[2 * i + 1] = (uint8_t)digits[random[i] & 15];
    }
    kb_wipe(random, sizeof random);
    return kb_file_write(path, 0600, kb_secret_view(*out), &cli->error);
}

static enum kb_status write_text_line(struct cli *cli, const char *path, const char *text)
{
    struct kb_buffer line = KB_BUFFER_INIT(64 * 1024);
    enum kb_status status;

    kb_buffer_put_text(&line, text);
    kb_buffer_put_u8(&line, '\n');
    status = kb_buffer_check(&line, &cli->error);
    if (status == KB_OK)
        status = kb_file_write(path, 0600, kb_buffer_view(&line), &cli->error);
    kb_buffer_free(&line);
    return status;
}

static enum kb_status write_settings(struct cli *cli, const char *path, const char *const *members,
                                     const char *const *values, size_t n)
{
    cJSON *root = cJSON_CreateObject();
    cJSON *token = root ? cJSON_AddObjectToObject(root, "token") : NULL;
    cJSON *keys = root ? cJSON_AddObjectToObject(root, "keys") : NULL;
    bool good = token && keys && cJSON_AddStringToObject(keys, "wrap", "default-wrap") &&
                cJSON_AddStringToObject(keys, "sign", "default-sign");
    enum kb_status status;
    char *text;

    for (size_t i = 0; good && i < n; i++)
        good = !values[i] || cJSON_AddStringToObject(token, members[i], values[i]);
    text = good ? cJSON_Print(root) : NULL;
    cJSON_Delete(root);
    if (!text)
        return kb_error_set(&cli->error, KB_ERR_MEMORY, "no memory");
    status = write_text_line(cli, path, text);
    cJSON_free(text);
    return status;
}

enum kb_status cli_create_default_keys(struct cli *cli, struct kb_token *token)
{
    static const struct kb_key_spec specs[] = {
        {.name = "default-wrap", .use = KB_KEY_WRAP, .type = KB_KEY_AES_256},
        {.name = "default-sign", .use = KB_KEY_SIGN, .type = KB_KEY_HMAC_SHA256},
    };
    enum kb_status status = KB_OK;

    for (size_t i = 0; status == KB_OK && i < 2; i++) {
        struct kb_key_info info;
        struct kb_error error = {0};

        status = kb_key_find(token, specs[i].name, &info, &error);
        if (status == KB_ERR_NOT_FOUND)
            status = kb_key_create(token, &specs[i], &cli->error);
        else if (status != KB_OK)
            cli->error = error;
    }
    return status;
}

/* --- the embedded token --------------------------------------------------------- */

struct embedded {
    char *tokens;
    char *conf;
    char *user_pin;
    char *so_pin;
    char *module;
    struct kb_secret *user;
    struct kb_secret *so;
};

static void embedded_free(struct embedded *embedded)
{
    free(embedded->tokens);
    free(embedded->conf);
    free(embedded->user_pin);
    free(embedded->so_pin);
    free(embedded->module);
    kb_secret_free(embedded->user);
    kb_secret_free(embedded->so);
}

static enum kb_status write_softhsm_conf(struct cli *cli, const struct embedded *embedded)
{
    char *text = NULL;
    enum kb_status status;

    if (asprintf(&text,
                 "# SoftHSM, keybridge's embedded token.\n"
                 "directories.tokendir = %s\n"
                 "objectstore.backend = file\n"
                 "log.level = ERROR\n"
                 "slots.removable = false\n",
                 embedded->tokens) < 0)
        return kb_error_set(&cli->error, KB_ERR_MEMORY, "no memory");
    status = kb_file_write(embedded->conf, 0600, kb_bytes_text(text), &cli->error);
    free(text);
    return status;
}

static enum kb_status prepare(struct cli *cli, const char *home, struct embedded *embedded)
{
    enum kb_status status = KB_OK;

    embedded->tokens = path_in(home, "tokens");
    embedded->conf = path_in(home, "softhsm2.conf");
    embedded->user_pin = path_in(home, "user.pin");
    embedded->so_pin = path_in(home, "so.pin");
    embedded->module = find_softhsm();
    if (!embedded->module) {
        kb_error_set(&cli->error, KB_ERR_TOKEN, "SoftHSM's module is not installed");
        kb_error_hint(&cli->error, "install softhsm2, or adopt a token: "
                                   "keybridge init --token URI");
        return KB_ERR_TOKEN;
    }
    if (!embedded->tokens || !embedded->conf || !embedded->user_pin || !embedded->so_pin)
        return kb_error_set(&cli->error, KB_ERR_MEMORY, "no memory");
    status = make_folder(cli, embedded->tokens);
    if (status == KB_OK)
        status = write_softhsm_conf(cli, embedded);
    if (status == KB_OK)
        status = make_pin(cli, embedded->user_pin, &embedded->user);
    if (status == KB_OK)
        status = make_pin(cli, embedded->so_pin, &embedded->so);
    return status;
}

static void note_token(void *ctx, const struct kb_token_info *info)
{
    bool *found = ctx;

    *found = *found || (info->initialized && strcmp(info->label, EMBEDDED_LABEL) == 0);
}

static enum kb_status make_token(struct cli *cli, const struct embedded *embedded)
{
    struct kb_keystore_options options = {
        .module = embedded->module,
        .softhsm2_conf = embedded->conf,
        .pin = embedded->user,
    };
    struct kb_keystore *keystore = NULL;
    struct kb_token *token = NULL;
    bool found = false;
    enum kb_status status = kb_keystore_tokens(&options, note_token, &found, &cli->error);

    if (status == KB_OK && !found)
        status = kb_keystore_init_token(&options, EMBEDDED_LABEL, embedded->so, embedded->user,
                                        &cli->error);
    if (status == KB_ERR_EXISTS) {
        /* An init that was killed left a helper that ends its work just now. */
        nanosleep(&(struct timespec){.tv_nsec = 200 * 1000 * 1000}, NULL);
        kb_error_clear(&cli->error);
        status = KB_OK;
    }
    options.uri = "pkcs11:token=" EMBEDDED_LABEL;
    if (status == KB_OK)
        status = kb_keystore_open(&keystore, &options, &cli->error);
    if (status == KB_OK)
        status = kb_token_lease(&token, keystore, &cli->error);
    if (status == KB_OK)
        status = cli_create_default_keys(cli, token);
    if (token)
        kb_token_return(token);
    kb_keystore_close(keystore);
    return status;
}

static enum kb_status init_embedded(struct cli *cli, const char *home, const char *settings)
{
    static const char *const members[] = {"uri", "module", "softhsm2-conf", "pin-file"};
    struct embedded embedded = {0};
    enum kb_status status = prepare(cli, home, &embedded);

    if (status == KB_OK)
        status = make_token(cli, &embedded);
    if (status == KB_OK) {
        const char *values[] = {"pkcs11:token=" EMBEDDED_LABEL, embedded.module, "softhsm2.conf",
                                "user.pin"};

        status = write_settings(cli, settings, members, values, 4);
    }
    if (status == KB_OK)
        cli_note(cli, "software token and keys default-wrap, default-sign are in %s", home);
    embedded_free(&embedded);
    return status;
}

/* --- a token that is there --------------------------------------------------------- */

static enum kb_status check_keys(struct cli *cli, struct kb_token *token, bool create)
{
    static const char *const names[] = {"default-wrap", "default-sign"};

    if (create)
        return cli_create_default_keys(cli, token);
    for (size_t i = 0; i < 2; i++) {
        struct kb_key_info info;
        struct kb_error ignored = {0};

        if (kb_key_find(token, names[i], &info, &ignored) != KB_OK)
            cli_note(cli, "the token has no key '%s'; keybridge key create, or --create-keys",
                     names[i]);
    }
    return KB_OK;
}

static enum kb_status adopt(struct cli *cli, const char *settings, bool create)
{
    static const char *const members[] = {"uri", "module", "module-parameters", "pin-file",
                                          "softhsm2-conf"};
    const char *conf = kb_config_get(cli->config, KB_SETTING_SOFTHSM2_CONF);
    const char *pin_file = kb_config_get(cli->config, KB_SETTING_PIN_FILE);
    const char *module = kb_config_get(cli->config, KB_SETTING_MODULE);
    char *absolute_pin = pin_file ? realpath(pin_file, NULL) : NULL;
    char *absolute_module = module && strchr(module, '/') ? realpath(module, NULL) : NULL;
    const char *values[] = {kb_config_get(cli->config, KB_SETTING_TOKEN),
                            absolute_module ? absolute_module : module,
                            kb_config_get(cli->config, KB_SETTING_MODULE_PARAMETERS),
                            absolute_pin ? absolute_pin : pin_file,
                            /* SoftHSM finds its tokens by this variable; what worked now must
                             * work from another shell too. */
                            conf ? conf : getenv("SOFTHSM2_CONF")};
    struct cli_session session;
    enum kb_status status = cli_session_open_token(&session, cli);

    if (status == KB_OK) {
        status = check_keys(cli, session.token, create);
        if (status == KB_OK)
            status = write_settings(cli, settings, members, values, 5);
        if (status == KB_OK)
            cli_note(cli, "token '%s' is adopted in %s",
                     kb_keystore_info(session.keystore)->label, settings);
        cli_session_close(&session);
    }
    free(absolute_pin);
    free(absolute_module);
    return status;
}

/* Holds other inits on the same home off until it is done. */
static enum kb_status lock_home(struct cli *cli, const char *home, int *fd)
{
    struct stat info;

    *fd = open(home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*fd < 0 || flock(*fd, LOCK_EX) != 0 || fstat(*fd, &info) != 0)
        return kb_error_errno(&cli->error, KB_ERR_SYSTEM, errno, "%s", home);
    if (info.st_uid != geteuid() || info.st_mode & S_IWOTH)
        return kb_error_set(&cli->error, KB_ERR_DENIED,
                            "%s belongs to somebody else, or everybody may write there", home);
    return KB_OK;
}

static enum kb_status run_init(struct cli *cli, int argc, char **argv)
{
    bool yes = false, create = false;
    const struct cli_option options[] = {
        {"yes", 'y', CLI_FLAG, &yes},
        {"create-keys", 0, CLI_FLAG, &create},
        {NULL, 0, CLI_FLAG, NULL},
    };
    const char *home = kb_config_home(cli->config);
    enum kb_status status;
    char *settings;
    int rest, lock = -1;
    bool adopting;

    status = cli_parse(cli, argc, argv, options, 0, 0, &rest);
    if (status != KB_OK)
        return status;
    adopting = kb_config_origin(cli->config, KB_SETTING_TOKEN) >= KB_ORIGIN_VARIABLE ||
               kb_config_origin(cli->config, KB_SETTING_MODULE) >= KB_ORIGIN_VARIABLE;
    if (create && !adopting)
        return kb_error_set(&cli->error, KB_ERR_USAGE, "--create-keys goes with --token");
    settings = path_in(home, "keybridge.json");
    if (!settings)
        return kb_error_set(&cli->error, KB_ERR_MEMORY, "no memory");
    status = make_folder(cli, home);
    if (status == KB_OK)
        status = lock_home(cli, home, &lock);
    if (status == KB_OK && access(settings, F_OK) == 0) {
        if (adopting)
            status = kb_error_set(&cli->error, KB_ERR_EXISTS,
                                  "%s is there already; it was left as it is", settings);
        else
            cli_note(cli, "%s is set up already", home);
    } else if (status == KB_OK) {
        if (!adopting && !yes && isatty(STDIN_FILENO) &&
            !cli_ask("Create a software token (SoftHSM) for keys? A hardware token is named with "
                     "--token."))
            status = kb_error_set(&cli->error, KB_ERR_USAGE, "nothing was set up");
        else
            status = adopting ? adopt(cli, settings, create) : init_embedded(cli, home, settings);
    }
    if (lock >= 0)
        close(lock);
    free(settings);
    return status;
}

const struct cli_verb cli_init_verbs[] = {
    {"init", "", "[--yes] | --token URI [--module PATH] [--pin-file F] [--create-keys]",
     "set up an embedded software token with default keys, or adopt a token that is there",
     run_init},
    {NULL, NULL, NULL, NULL, NULL},
};
