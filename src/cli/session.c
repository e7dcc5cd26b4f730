/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

enum { PIN_MAX = 255 };

/* Reads one line from the terminal without showing it. */
static enum kb_status ask_pin(struct cli *cli, struct kb_secret **out)
{
    const char *uri = kb_config_get(cli->config, KB_SETTING_TOKEN);
    struct termios before, hidden;
    enum kb_status status;
    ssize_t got;
    int fd = open("/dev/tty", O_RDWR | O_CLOEXEC);

    if (fd < 0 || tcgetattr(fd, &before) != 0) {
        if (fd >= 0)
            close(fd);
        kb_error_set(&cli->error, KB_ERR_PIN, "no PIN: no file names it and there is no terminal");
        kb_error_hint(&cli->error, "--pin-file FILE, or pin-source=file:… in the token's URI");
        return KB_ERR_PIN;
    }
    status = kb_secret_new(out, PIN_MAX + 1, &cli->error);
    if (status != KB_OK) {
        close(fd);
        return status;
    }
    hidden = before;
    hidden.c_lflag &= ~(tcflag_t)ECHO;
    dprintf(fd, "PIN of %s: ", uri ? uri : "the token");
    tcsetattr(fd, TCSAFLUSH, &hidden);
    got = read(fd, kb_secret_data(*out), PIN_MAX + 1);
    tcsetattr(fd, TCSAFLUSH, &before);
    dprintf(fd, "\n");
    close(fd);
    if (got > 0 && kb_secret_data(*out)[got - 1] == '\n')
        got--;
    if (got > 0 && got <= PIN_MAX) {
        kb_secret_truncate(*out, (size_t)got);
        return KB_OK;
    }
    kb_secret_free(*out);
    *out = NULL;
    return kb_error_set(&cli->error, KB_ERR_PIN, "no PIN was given");
}

static void count_token(void *ctx, const struct kb_token_info *info)
{
    unsigned *count = ctx;

    *count += info->initialized;
}

/* Nobody is asked for the PIN of a token that is not there. */
static enum kb_status check_token(struct cli *cli)
{
    struct kb_keystore_options options;
    unsigned count = 0;
    enum kb_status status;

    kb_config_keystore(cli->config, &options);
    status = kb_keystore_tokens(&options, count_token, &count, &cli->error);
    if (status == KB_OK && count == 0)
        status = kb_error_set(&cli->error, KB_ERR_TOKEN, "no token matches %s",
                              options.uri ? options.uri : "the settings");
    return status;
}

static enum kb_status get_pin(struct cli *cli, struct kb_secret **out)
{
    char *path;
    enum kb_status status = kb_config_pin_path(cli->config, &path, &cli->error);

    *out = NULL;
    if (status != KB_OK)
        return status;
    if (path) {
        status = kb_secret_read_file(out, path, PIN_MAX + 2, true, &cli->error);
        free(path);
        return status;
    }
    status = check_token(cli);
    return status == KB_OK ? ask_pin(cli, out) : status;
}

enum kb_status cli_session_open(struct cli_session *session, struct cli *cli)
{
    struct kb_keystore_options options;
    enum kb_status status;

    memset(session, 0, sizeof *session);
    kb_config_keystore(cli->config, &options);
    if (!options.uri && !options.module) {
        kb_error_set(&cli->error, KB_ERR_TOKEN, "no token is set up in %s",
                     kb_config_home(cli->config));
        kb_error_hint(&cli->error, "keybridge init, or name one with --token and --module");
        return KB_ERR_TOKEN;
    }
    status = get_pin(cli, &session->pin);
    options.pin = session->pin;
    if (status == KB_OK)
        status = kb_keystore_open(&session->keystore, &options, &cli->error);
    if (status != KB_OK)
        cli_session_close(session);
    return status;
}

enum kb_status cli_session_open_token(struct cli_session *session, struct cli *cli)
{
    enum kb_status status = cli_session_open(session, cli);

    if (status != KB_OK)
        return status;
    status = kb_token_lease(&session->token, session->keystore, &cli->error);
    if (status != KB_OK)
        cli_session_close(session);
    return status;
}

void cli_session_close(struct cli_session *session)
{
    if (session->token)
        kb_token_return(session->token);
    kb_keystore_close(session->keystore);
    kb_secret_free(session->pin);
    kb_kms_close(session->kms);
    memset(session, 0, sizeof *session);
}
