/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/handout.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* --- the memory ------------------------------------------------------------------------- */

/* Nobody but our mapping can write any more, or change the size. */
static enum kb_status seal(int fd, struct kb_error *err)
{
    const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL;

    if (fcntl(fd, F_ADD_SEALS, seals) == 0)
        return KB_OK;
    return kb_error_errno(err, KB_ERR_SYSTEM, errno, "memory cannot be sealed");
}

enum kb_status cli_handout_open(struct cli_handout *out, struct kb_bytes bytes,
                                struct kb_error *err)
{
    enum kb_status status = KB_OK;
    void *mapped = MAP_FAILED;

    *out = (struct cli_handout){.size = bytes.size};
    out->fd = memfd_create("keybridge-key", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (out->fd < 0 || ftruncate(out->fd, (off_t)bytes.size) != 0)
        status = kb_error_errno(err, KB_ERR_SYSTEM, errno, "there is no memory to hand out");
    if (status == KB_OK)
        mapped = mmap(NULL, bytes.size, PROT_READ | PROT_WRITE, MAP_SHARED, out->fd, 0);
    if (mapped != MAP_FAILED)
        out->bytes = mapped;
    /* Locked here, its page is not swapped for others either. */
    if (status == KB_OK && (!out->bytes || mlock(out->bytes, bytes.size) != 0))
        status = kb_error_errno(err, KB_ERR_SYSTEM, errno, "memory cannot be locked");
    if (status == KB_OK)
        status = seal(out->fd, err);
    if (status == KB_OK)
        memcpy(out->bytes, bytes.data, bytes.size);
    else
        cli_handout_close(out);
    return status;
}

void cli_handout_close(struct cli_handout *handout)
{
    if (handout->bytes) {
        kb_wipe(handout->bytes, handout->size);
        (void)munmap(handout->bytes, handout->size);
    }
    if (handout->size && handout->fd >= 0)
        close(handout->fd);
    memset(handout, 0, sizeof *handout);
}

/* --- the program -------------------------------------------------------------------------- */

/* Each {} replaced. The caller's, or NULL. */
static char *replace(const char *text, const char *path)
{
    size_t size = strlen(text) + 1;
    char *out, *to;

    for (const char *at = text; (at = strstr(at, "{}")); at += 2)
        size += strlen(path);
    to = out = malloc(size);
    while (out && *text) {
        if (strncmp(text, "{}", 2) == 0) {
            to = stpcpy(to, path);
            text += 2;
        } else {
            *to++ = *text++;
        }
    }
    if (out)
        *to = 0;
    return out;
}

static void free_words(char **words, int count)
{
    for (int i = 0; words && i < count; i++)
        free(words[i]);
    free(words);
}

/* The lowest number that the program has no descriptor of its own at: shells know
 * only those of one digit. */
static int number_for(const struct cli_handout *handout)
{
    for (int number = STDERR_FILENO + 1; number < handout->fd; number++) {
        int flags = fcntl(number, F_GETFD);

        if (flags < 0 || (flags & FD_CLOEXEC))
            return number;
    }
    return handout->fd;
}

static char **words_for(int number, char **argv, int count)
{
    char **words = calloc((size_t)count + 1, sizeof *words);
    char path[32];

    snprintf(path, sizeof path, "/dev/fd/%d", number);
    for (int i = 0; words && i < count; i++) {
        words[i] = replace(argv[i], path);
        if (!words[i]) {
            free_words(words, i);
            return NULL;
        }
    }
    return words;
}

static pid_t running;

static void hand_on(int number)
{
    int before = errno;

    (void)kill(running, number);
    errno = before;
}

static const int stopping[] = {SIGINT, SIGQUIT, SIGHUP, SIGTERM};
enum { STOPPING = sizeof stopping / sizeof *stopping };

/* Of a terminal's signals the program gets its own. What was ignored stays so. */
static void handle_signals(struct sigaction before[STOPPING])
{
    for (size_t i = 0; i < STOPPING; i++) {
        const struct sigaction action = {.sa_handler = i < 2 ? SIG_IGN : hand_on};

        if (sigaction(stopping[i], NULL, &before[i]) == 0 && before[i].sa_handler != SIG_IGN)
            (void)sigaction(stopping[i], &action, NULL);
    }
}

/* The program has `fd` at `number`. */
static enum kb_status spawn(int fd, int number, char **words, const sigset_t *mask, int *code,
                            struct kb_error *err)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    int failed;

    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attributes);
    /* That number is kept open, also when it is the same. */
    failed = posix_spawn_file_actions_adddup2(&files, fd, number);
    if (!failed)
        failed = posix_spawnattr_setsigmask(&attributes, mask);
    if (!failed)
        failed = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    if (!failed)
        failed = posix_spawnp(&running, words[0], &files, &attributes, words, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    if (!failed)
        return KB_OK;
    *code = failed == ENOENT ? 127 : 126;
    return kb_error_errno(err, failed == ENOENT ? KB_ERR_NOT_FOUND : KB_ERR_SYSTEM, failed,
                          "%s cannot be run", words[0]);
}

static enum kb_status wait_for(int *code, struct kb_error *err)
{
    int how = 0;

    while (waitpid(running, &how, 0) < 0)
        if (errno != EINTR)
            return kb_error_errno(err, KB_ERR_SYSTEM, errno, "the program cannot be waited for");
    *code = WIFSIGNALED(how) ? 128 + WTERMSIG(how) : WEXITSTATUS(how);
    return KB_OK;
}

enum kb_status cli_handout_run(const struct cli_handout *handout, char **argv, int count,
                               int *code, struct kb_error *err)
{
    const int number = number_for(handout);
    char **words = words_for(number, argv, count);
    struct sigaction before[STOPPING];
    sigset_t all, mask;
    char text[16];
    enum kb_status status;

    snprintf(text, sizeof text, "%d", number);
    if (!words || setenv("KEYBRIDGE_KEY_FD", text, 1) != 0) {
        free_words(words, count);
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    }
    /* No signal between the program's start and the handlers that know of it. */
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &mask);
    status = spawn(handout->fd, number, words, &mask, code, err);
    if (status == KB_OK)
        handle_signals(before);
    sigprocmask(SIG_SETMASK, &mask, NULL);
    if (status == KB_OK) {
        status = wait_for(code, err);
        for (size_t i = 0; i < STOPPING; i++)
            (void)sigaction(stopping[i], &before[i], NULL);
    }
    free_words(words, count);
    return status;
}
