/* SPDX-License-Identifier: Apache-2.0
 *
 * Signals that end the command: work that can be undone is undone first.
 */
#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

static atomic_int caught;           /* 0, or the signal */
static int stop_pipe[2] = {-1, -1}; /* has a byte when one was caught */

/* A pipe too, since the signal may come just before a read that would wait. */
static void catch_signal(int number)
{
    int before = errno;
    int none = 0;

    (void)atomic_compare_exchange_strong(&caught, &none, number);
    (void)!write(stop_pipe[1], "", 1);
    errno = before;
}

enum kb_status cli_stop_catch(struct kb_error *err)
{
    static const int signals[] = {SIGHUP, SIGINT, SIGTERM, SIGPIPE};
    /* The second signal of a kind ends the command at once. */
    struct sigaction action = {.sa_handler = catch_signal, .sa_flags = (int)SA_RESETHAND};
    struct sigaction before;

    if (stop_pipe[0] >= 0)
        return KB_OK;
    if (pipe2(stop_pipe, O_CLOEXEC | O_NONBLOCK) != 0)
        return kb_error_errno(err, KB_ERR_SYSTEM, errno, "a pipe cannot be made");
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        if (sigaction(signals[i], NULL, &before) == 0 && before.sa_handler == SIG_DFL)
            (void)sigaction(signals[i], &action, NULL);
    return KB_OK;
}

int cli_stop_fd(void)
{
    return stop_pipe[0];
}

enum kb_status cli_stopped(struct kb_error *err)
{
    return atomic_load(&caught) ? kb_error_set(err, KB_ERR_SYSTEM, "stopped by a signal") : KB_OK;
}

enum kb_status cli_quit_open(int *out, struct kb_error *err)
{
    *out = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return *out >= 0 ? KB_OK
                     : kb_error_errno(err, KB_ERR_SYSTEM, errno, "a descriptor cannot be made");
}

void cli_quit(int quit)
{
    (void)eventfd_write(quit, 1);
}

enum kb_status cli_await(int fd, const int *quit, struct kb_error *err)
{
    struct pollfd fds[] = {{.fd = fd, .events = POLLIN},
                           {.fd = stop_pipe[0], .events = POLLIN},
                           {.fd = quit ? *quit : -1, .events = POLLIN}};

    while (poll(fds, 3, -1) < 0)
        if (errno != EINTR)
            return kb_error_errno(err, KB_ERR_SYSTEM, errno, "it cannot be read");
    if (fds[2].revents)
        return kb_error_set(err, KB_ERR_SYSTEM, "no more input is wanted");
    return cli_stopped(err);
}

void cli_stop_end(void)
{
    int number = atomic_load(&caught);

    if (!number)
        return;
    (void)signal(number, SIG_DFL);
    (void)raise(number);
}
