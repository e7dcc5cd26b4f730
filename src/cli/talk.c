/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One line; nothing in it steers a terminal. */
KB_PRINTF(2, 0)
static void put_line(FILE *stream, const char *format, va_list args)
{
    char *line;

    if (vasprintf(&line, format, args) < 0)
        return;
    kb_text_tame(line);
    fprintf(stream, "%s\n", line);
    free(line);
}

KB_PRINTF(1, 0)
static void say(const char *format, va_list args)
{
    fflush(stdout);
    fputs("keybridge: ", stderr);
    put_line(stderr, format, args);
}

void cli_say(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    say(format, args);
    va_end(args);
}

void cli_note(const struct cli *cli, const char *format, ...)
{
    va_list args;

    if (cli->quiet)
        return;
    va_start(args, format);
    say(format, args);
    va_end(args);
}

void cli_print(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    put_line(stdout, format, args);
    va_end(args);
}

void cli_say_error(const struct kb_error *error)
{
    cli_say("%s", kb_error_text(error));
    if (error->hint[0])
        cli_say("hint: %s", error->hint);
}

bool cli_ask(const char *question)
{
    char answer[16] = "";

    if (!isatty(STDIN_FILENO))
        return false;
    fprintf(stderr, "%s [y/N] ", question);
    return fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

enum kb_status cli_put(struct cli *cli, struct kb_bytes bytes)
{
    return kb_fd_write(STDOUT_FILENO, bytes, "standard output", &cli->error);
}

enum kb_status cli_print_json(struct cli *cli, cJSON *json)
{
    char *text = json ? cJSON_PrintUnformatted(json) : NULL;
    enum kb_status status;

    cJSON_Delete(json);
    if (!text)
        return kb_error_set(&cli->error, KB_ERR_MEMORY, "no memory");
    status = cli_put(cli, kb_bytes_text(text));
    cJSON_free(text);
    return status == KB_OK ? cli_put(cli, kb_bytes_text("\n")) : status;
}
