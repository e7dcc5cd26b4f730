/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
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

void cli_time(char out[CLI_TIME_ROOM], int64_t seconds)
{
    time_t when = (time_t)seconds;
    struct tm parts;

    if (!seconds || !gmtime_r(&when, &parts) ||
        !strftime(out, CLI_TIME_ROOM, "%Y-%m-%dT%H:%M:%SZ", &parts))
        snprintf(out, CLI_TIME_ROOM, "%20s", "");
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

/* --- JSON --------------------------------------------------------------------------- */

/* Bytes of the character that the text begins with; 0 when it is no UTF-8. */
static size_t character_size(struct kb_bytes text)
{
    for (size_t size = 1; size <= 4 && size <= text.size; size++)
        if (kb_utf8_valid((struct kb_bytes){text.data, size}))
            return size;
    return 0;
}

/* The code of a character that is not shown as it is: no UTF-8, or a control of
 * direction, which is one of three bytes; 0 for others. */
static unsigned escaped_code(const uint8_t *at, size_t size)
{
    if (!size)
        return 0xfffd;
    if (size != 3 || !kb_text_is_bidi((const char *)at))
        return 0;
    return (at[0] & 0xfu) << 12 | (at[1] & 0x3fu) << 6 | (at[2] & 0x3fu);
}

enum kb_status cli_put_json(struct cli *cli, struct kb_bytes text)
{
    struct kb_buffer line = KB_BUFFER_INIT(SIZE_MAX / 2);
    enum kb_status status;

    for (size_t at = 0, size; at < text.size; at += size) {
        struct kb_bytes rest = {text.data + at, text.size - at};
        char escaped[12];
        unsigned code;

        size = character_size(rest);
        code = escaped_code(rest.data, size);
        size = size ? size : 1;
        if (code) {
            snprintf(escaped, sizeof escaped, "\\u%04x", code);
            kb_buffer_put_text(&line, escaped);
        } else {
            kb_buffer_put(&line, rest.data, size);
        }
    }
    kb_buffer_put_u8(&line, '\n');
    status = kb_buffer_check(&line, &cli->error);
    if (status == KB_OK)
        status = cli_put(cli, kb_buffer_view(&line));
    kb_buffer_free(&line);
    return status;
}

enum kb_status cli_print_json(struct cli *cli, cJSON *json)
{
    char *text = json ? cJSON_PrintUnformatted(json) : NULL;
    enum kb_status status;

    cJSON_Delete(json);
    if (!text)
        return kb_error_set(&cli->error, KB_ERR_MEMORY, "no memory");
    status = cli_put_json(cli, kb_bytes_text(text));
    cJSON_free(text);
    return status;
}
