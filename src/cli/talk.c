/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

KB_PRINTF(1, 0)
static void say(const char *format, va_list args)
{
    fflush(stdout);
    fputs("keybridge: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
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

static double since(const struct timespec *then, const struct timespec *now)
{
    return (double)(now->tv_sec - then->tv_sec) + (double)(now->tv_nsec - then->tv_nsec) / 1e9;
}

void cli_progress_start(struct cli_progress *progress, const struct cli *cli, const char *what)
{
    *progress = (struct cli_progress){.what = what};
    progress->active = !cli->quiet && isatty(STDERR_FILENO);
    clock_gettime(CLOCK_MONOTONIC, &progress->started);
    progress->last = progress->started;
}

void cli_progress_add(struct cli_progress *progress, uint64_t count)
{
    struct timespec now;
    double elapsed;

    progress->count += count;
    if (!progress->active)
        return;
    clock_gettime(CLOCK_MONOTONIC, &now);
    elapsed = since(&progress->started, &now);
    if (elapsed < 1 || since(&progress->last, &now) < 0.2)
        return;
    progress->last = now;
    progress->shown = true;
    fprintf(stderr, "\rkeybridge: %llu %s, %.0f a second ", (unsigned long long)progress->count,
            progress->what, (double)progress->count / elapsed);
}

void cli_progress_end(struct cli_progress *progress)
{
    if (progress->shown)
        fputs("\r\033[K", stderr);
    progress->shown = false;
}
