/* SPDX-License-Identifier: Apache-2.0
 *
 * Starts and ends helper processes. posix_spawn, since the program we are in
 * may have threads.
 */
#include "keystore/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STOP_WAIT_MS = 2000 };

static bool is_variable(const char *entry, const char *name)
{
    size_t size = strlen(name);

    return strncmp(entry, name, size) == 0 && entry[size] == '=';
}

/* Modules make and drop some thirty small pieces of memory for each object; a
 * larger cache in glibc's allocator takes a seventh of the time of an item off.
 * Other C libraries ignore it, and one the user has set is left. */
#define ALLOCATOR_SETTING "GLIBC_TUNABLES=glibc.malloc.tcache_count=1000"

/* A module has no business with AWS, and OPENSSL_CONF could load a PKCS#11
 * provider into its own OpenSSL. */
static bool is_kept_from_helper(const char *setting)
{
    static const char *const names[] = {"OPENSSL_CONF", "AWS_ACCESS_KEY_ID",
                                        "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
                                        "AWS_CONTAINER_AUTHORIZATION_TOKEN"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (is_variable(setting, names[i]))
            return true;
    return false;
}

/* Our environment without what is not for the module, and with the caller's SOFTHSM2_CONF, which
 * `setting` has room for. The strings stay ours. */
static char **helper_environment(const char *softhsm2_conf, char **setting)
{
    static char allocator[] = ALLOCATOR_SETTING;
    size_t count = 0, kept = 0;
    char **copy;

    *setting = NULL;
    while (environ && environ[count])
        count++;
    copy = calloc(count + 3, sizeof *copy);
    if (!copy || (softhsm2_conf && asprintf(setting, "SOFTHSM2_CONF=%s", softhsm2_conf) < 0)) {
        free(copy);
        *setting = NULL;
        return NULL;
    }
    for (size_t i = 0; i < count; i++)
        if (!is_kept_from_helper(environ[i]) &&
            !(softhsm2_conf && is_variable(environ[i], "SOFTHSM2_CONF")))
            copy[kept++] = environ[i];
    if (softhsm2_conf)
        copy[kept++] = *setting;
    if (!getenv("GLIBC_TUNABLES"))
        copy[kept] = allocator;
    return copy;
}

static int spawn(pid_t *pid, const char *path, int theirs, char **environment)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    char *arguments[] = {(char[]){"keybridge-token"}, NULL};
    int number = posix_spawn_file_actions_init(&actions);

    if (number)
        return number;
    number = posix_spawnattr_init(&attributes);
    if (number) {
        posix_spawn_file_actions_destroy(&actions);
        return number;
    }
    sigemptyset(&none);
    sigfillset(&all);
    number = posix_spawn_file_actions_adddup2(&actions, theirs, 0);
    if (!number)
        number = posix_spawn_file_actions_adddup2(&actions, theirs, 1);
    if (!number)
        number = posix_spawn_file_actions_addclosefrom_np(&actions, 3);
    if (!number)
        number = posix_spawnattr_setsigmask(&attributes, &none);
    if (!number)
        number = posix_spawnattr_setsigdefault(&attributes, &all);
    if (!number)
        number = posix_spawnattr_setflags(&attributes,
                                          POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    if (!number)
        number = posix_spawn(pid, path, &actions, &attributes, arguments, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return number;
}

enum kb_status kb_process_start(const char *path, const char *softhsm2_conf, pid_t *pid, int *fd,
                                struct kb_error *err)
{
    int pair[2];
    char *setting;
    char **environment;
    int number;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return kb_error_errno(err, KB_ERR_SYSTEM, errno, "no socket for the token helper");
    environment = helper_environment(softhsm2_conf, &setting);
    number = !environment             ? ENOMEM
             : access(path, X_OK) != 0 ? errno
                                       : spawn(pid, path, pair[1], environment);
    free(environment);
    free(setting);
    close(pair[1]);
    if (number) {
        close(pair[0]);
        kb_error_errno(err, KB_ERR_TOKEN, number, "the token helper %s could not be started", path);
        kb_error_hint(err, "KEYBRIDGE_TOKEN_HELPER names another path of keybridge-token");
        return KB_ERR_TOKEN;
    }
    *fd = pair[0];
    return KB_OK;
}

static void reap(pid_t pid)
{
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

/* The helper's end closes when it is gone; what it still says is dropped. */
static bool wait_for_end(int fd)
{
    struct pollfd poller = {.fd = fd, .events = POLLIN};
    int64_t deadline = kb_clock_ms() + STOP_WAIT_MS;
    uint8_t dropped[4096];

    for (;;) {
        int64_t left = deadline - kb_clock_ms();
        int ready = left > 0 ? poll(&poller, 1, (int)left) : 0;
        ssize_t got;

        if (ready == 0 || (ready < 0 && errno != EINTR))
            return false;
        got = ready > 0 ? read(fd, dropped, sizeof dropped) : -1;
        kb_wipe(dropped, sizeof dropped);
        if (got == 0 || (got < 0 && errno != EINTR))
            return true;
    }
}

void kb_process_stop(pid_t pid, int fd)
{
    (void)shutdown(fd, SHUT_WR);
    if (!wait_for_end(fd))
        (void)kill(pid, SIGKILL);
    close(fd);
    reap(pid);
}

void kb_process_kill(pid_t pid, int fd)
{
    (void)kill(pid, SIGKILL);
    close(fd);
    reap(pid);
}
