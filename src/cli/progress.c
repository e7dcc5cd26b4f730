/* SPDX-License-Identifier: Apache-2.0
 *
 * The counter, or bar, that long work shows on a terminal.
 */
#include "cli/cli.h"

#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { COLUMNS_DEFAULT = 80, COLUMNS_MAX = 400, BAR_MIN = 10, BAR_MAX = 40 };

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

void cli_progress_file(struct cli_progress *progress, int fd)
{
    struct stat file;

    if (fstat(fd, &file) == 0 && S_ISREG(file.st_mode) && file.st_size > 0)
        progress->total = (uint64_t)file.st_size;
}

double cli_progress_rate(const struct cli_progress *progress)
{
    struct timespec now;
    double elapsed;

    clock_gettime(CLOCK_MONOTONIC, &now);
    elapsed = since(&progress->started, &now);
    return elapsed > 0 ? (double)progress->count / elapsed : 0;
}

/* Columns of the terminal, less the last one: a full line would wrap. */
static size_t columns(void)
{
    struct winsize size;

    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col < 2)
        return COLUMNS_DEFAULT - 1;
    return (size.ws_col > COLUMNS_MAX ? COLUMNS_MAX : size.ws_col) - 1U;
}

/* "[####    ]  45% " where there is room for it. */
static void draw_bar(const struct cli_progress *progress, size_t room)
{
    size_t width = room < BAR_MIN + 8 ? 0 : room - 8 > BAR_MAX ? BAR_MAX : room - 8;
    /* The file may have grown. */
    uint64_t done = progress->done < progress->total ? progress->done : progress->total;
    size_t filled = (size_t)((double)done / (double)progress->total * (double)width);
    if (width) {
        fputc('[', stderr);
        for (size_t i = 0; i < width; i++)
            fputc(i < filled ? '#' : ' ', stderr);
        fprintf(stderr, "] %3.0f%% ", (double)done * 100 / (double)progress->total);
    }
}

static void draw(const struct cli_progress *progress)
{
    char text[160], retries[48] = "";
    size_t room = columns();
    int size;

    if (progress->retries)
        snprintf(retries, sizeof retries, ", %llu retries", (unsigned long long)progress->retries);
    size = snprintf(text, sizeof text, "%llu %s, %.0f a second%s",
                    (unsigned long long)progress->count, progress->what,
                    cli_progress_rate(progress), retries);
    if (size < 0)
        return;
    if ((size_t)size > room)
        size = (int)room;
    fputs("\r\033[K", stderr);
    if (progress->total && room > (size_t)size)
        draw_bar(progress, room - (size_t)size);
    fprintf(stderr, "%.*s", size, text);
}

void cli_progress_add(struct cli_progress *progress, uint64_t count)
{
    struct timespec now;

    progress->count += count;
    if (!progress->active)
        return;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (since(&progress->started, &now) < 1 || since(&progress->last, &now) < 0.2)
        return;
    progress->last = now;
    progress->shown = true;
    draw(progress);
}

void cli_progress_end(struct cli_progress *progress)
{
    if (progress->shown)
        fputs("\r\033[K", stderr);
    progress->shown = false;
}
