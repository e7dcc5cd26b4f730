/* SPDX-License-Identifier: Apache-2.0
 *
 * credential_process: "Process credential provider", AWS SDKs and Tools
 * Reference Guide. No shell is started: what the line names is run with the
 * words of the line.
 */
#include "aws/credentials_source.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WORDS_MAX = 256 };

extern char **environ;

/* --- words ------------------------------------------------------------------------ */

/* Takes one word off *at, unquoted in place into *to; false for a quote that
 * does not end. Quoting is that of the POSIX shell, section 2.2. */
static bool take_word(char **at, char **to)
{
    char quote = 0;

    for (; **at && (quote || !strchr(" \t\n", **at)); (*at)++) {
        char c = **at;

        if (quote ? c == quote : c == '"' || c == '\'') {
            quote = quote ? 0 : c;
            continue;
        }
        if (c == '\\' && quote != '\'') {
            char next = (*at)[1];

            if (!next)
                return false;
            if (!quote || strchr("\"\\$`", next)) {
                (*at)++;
                c = next;
            }
        }
        *(*to)++ = c;
    }
    return !quote;
}

/* Splits `text` in place; `words` ends with NULL. */
static bool split(char *words[WORDS_MAX + 1], char *text)
{
    size_t n = 0;
    char *at = text;

    for (;;) {
        char *to;

        at += strspn(at, " \t\n");
        if (!*at)
            break;
        if (n == WORDS_MAX)
            return false;
        words[n++] = to = at;
        if (!take_word(&at, &to))
            return false;
        if (*at)
            at++;
        *to = 0;
    }
    words[n] = NULL;
    return n > 0;
}

/* --- the process ------------------------------------------------------------------ */

static int64_t milliseconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Its stdout is `fd`, its stdin empty, its stderr ours. */
static int spawn_with(pid_t *pid, char *const words[], int fd,
                      posix_spawn_file_actions_t *actions, posix_spawnattr_t *attributes)
{
    sigset_t none, defaults;
    int number;

    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    number = posix_spawn_file_actions_addopen(actions, 0, "/dev/null", O_RDONLY, 0);
    if (!number)
        number = posix_spawn_file_actions_adddup2(actions, fd, 1);
    if (!number)
        number = posix_spawn_file_actions_addclosefrom_np(actions, 3);
    if (!number)
        number = posix_spawnattr_setsigmask(attributes, &none);
    if (!number)
        number = posix_spawnattr_setsigdefault(attributes, &defaults);
    if (!number)
        number = posix_spawnattr_setflags(attributes,
                                          POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    return number ? number : posix_spawnp(pid, words[0], actions, attributes, words, environ);
}

static int spawn(pid_t *pid, char *const words[], int fd)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int number = posix_spawn_file_actions_init(&actions);

    if (number)
        return number;
    number = posix_spawnattr_init(&attributes);
    if (!number) {
        number = spawn_with(pid, words, fd, &actions, &attributes);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return number;
}

/* All that it writes until it closes its stdout. */
static enum kb_status read_output(struct kb_buffer *out, int fd, int64_t deadline,
                                  struct kb_error *err)
{
    for (;;) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        int64_t left = deadline - milliseconds();
        uint8_t chunk[4096];
        ssize_t got;

        if (left <= 0)
            return kb_error_set(err, KB_ERR_DENIED, "credential_process did not end in time");
        if (poll(&wait, 1, (int)left) <= 0)
            continue;
        got = read(fd, chunk, sizeof chunk);
        if (got > 0)
            kb_buffer_put(out, chunk, (size_t)got);
        kb_wipe(chunk, sizeof chunk);
        if (out->failed)
            return kb_error_set(err, KB_ERR_DENIED,
                                "credential_process wrote more than credentials");
        if (got == 0)
            return KB_OK;
        if (got < 0 && errno != EINTR && errno != EAGAIN)
            return kb_error_errno(err, KB_ERR_SYSTEM, errno, "reading from credential_process");
    }
}

/* Waits for its end; it is killed when `end` or when it takes too long. */
static enum kb_status wait_for(pid_t pid, bool end, int64_t deadline, struct kb_error *err)
{
    static const struct timespec pause = {0, 5 * 1000 * 1000};
    int state = 0;

    for (bool killed = false;;) {
        pid_t got = waitpid(pid, &state, killed ? 0 : WNOHANG);

        if (got == pid)
            break;
        if (got < 0 && errno == EINTR)
            continue;
        /* Who ignores SIGCHLD hears nothing of how it ended. */
        if (got < 0)
            return KB_OK;
        if (end || milliseconds() >= deadline) {
            kill(pid, SIGKILL);
            killed = true;
        } else {
            nanosleep(&pause, NULL);
        }
    }
    if (WIFEXITED(state) && WEXITSTATUS(state) == 0)
        return KB_OK;
    if (WIFEXITED(state))
        return kb_error_set(err, KB_ERR_DENIED, "credential_process ended with status %d",
                            WEXITSTATUS(state));
    return kb_error_set(err, KB_ERR_DENIED, "credential_process was ended by signal %d",
                        WTERMSIG(state));
}

static enum kb_status run(struct kb_buffer *out, char *const words[], int timeout_ms,
                          struct kb_error *err)
{
    int64_t deadline = milliseconds() + timeout_ms;
    enum kb_status status, ended;
    pid_t pid = -1;
    int ends[2], number;

    if (pipe2(ends, O_CLOEXEC) != 0)
        return kb_error_errno(err, KB_ERR_SYSTEM, errno, "no pipe for credential_process");
    number = spawn(&pid, words, ends[1]);
    close(ends[1]);
    if (number) {
        close(ends[0]);
        return kb_error_errno(err, KB_ERR_DENIED, number, "credential_process: %s", words[0]);
    }
    status = read_output(out, ends[0], deadline, err);
    close(ends[0]);
    ended = wait_for(pid, status != KB_OK, deadline, err);
    return status == KB_OK ? ended : status;
}

enum kb_status kb_credentials_from_process(struct kb_key_set *set, const char *command,
                                           int timeout_ms, struct kb_error *err)
{
    struct kb_buffer output = KB_BUFFER_INIT(KB_CREDENTIALS_JSON_MAX);
    char *words[WORDS_MAX + 1];
    char *text = strdup(command);
    enum kb_status status;

    if (!text)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    output.wipe = true;
    if (split(words, text))
        status = run(&output, words, timeout_ms, err);
    else
        status = kb_error_set(err, KB_ERR_CONFIG,
                              "credential_process has a quote without an end, or too many words");
    if (status == KB_OK)
        status = kb_key_set_parse(set, kb_buffer_view(&output), KB_FORM_PROCESS,
                                  "credential_process", err);
    kb_buffer_free(&output);
    kb_wipe(text, strlen(text));
    free(text);
    return status;
}
