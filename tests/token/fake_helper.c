/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_helper.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kbtest.h"
#include "keystore/protocol.h"

static const char *log_path(void)
{
    static char path[400];

    snprintf(path, sizeof path, "%s/fake.log", kbtest_folder());
    return path;
}

void fake_helper_mode(const char *mode, bool once)
{
    unlink(log_path());
    setenv("KB_FAKE", mode, 1);
    setenv("KB_FAKE_LOG", log_path(), 1);
    setenv("KB_FAKE_ONCE", once ? "1" : "0", 1);
}

static unsigned count_lines(const char *path, int verb, bool other_than_open)
{
    FILE *file = fopen(path, "r");
    unsigned count = 0;
    int line;

    while (file && fscanf(file, "%d", &line) == 1)
        count += other_than_open ? line != KB_VERB_OPEN : line == verb;
    if (file)
        fclose(file);
    return count;
}

unsigned fake_helper_count(int verb)
{
    return count_lines(log_path(), verb, false);
}

const char *fake_helper_path(void)
{
    static char path[512];
    ssize_t size = readlink("/proc/self/exe", path, sizeof path - 1);

    path[size > 0 ? size : 0] = 0;
    return path;
}

/* --- the helper's side ------------------------------------------------------------ */

static void fail(struct kb_buffer *answer, enum kb_status status, bool lost)
{
    struct kb_error err = {0};

    kb_error_set(&err, status, "the fake helper was told to");
    kb_answer_fail(answer, &err, lost);
}

static void send_raw(const void *data, size_t size)
{
    if (write(1, data, size) != (ssize_t)size)
        _exit(1);
}

/* What the mode says, for any request but OPEN. */
static void misbehave(const char *mode, struct kb_buffer *answer)
{
    if (strcmp(mode, "lost") == 0)
        fail(answer, KB_ERR_TOKEN, true);
    else if (strcmp(mode, "gone") == 0)
        fail(answer, KB_ERR_TOKEN, false);
    else if (strcmp(mode, "die") == 0)
        _exit(1);
    else if (strcmp(mode, "hang") == 0)
        pause();
    else if (strcmp(mode, "garbage") == 0)
        send_raw("\0\0\0\5abcde", 9);
    else if (strcmp(mode, "huge") == 0)
        send_raw("\xff\xff\xff\xff....", 8);
}

static void behave(const struct kb_request *request, struct kb_buffer *answer)
{
    static const struct kb_token_info info = {.label = "fake", .initialized = true};
    static const struct kb_key_info key = {.name = "fake key"};

    if (request->verb == KB_VERB_OPEN)
        kb_token_info_put(answer, &info);
    if (request->verb == KB_VERB_FIND)
        kb_key_info_put(answer, &key);
    if (request->verb == KB_VERB_CIPHER || request->verb == KB_VERB_MAKE_KEYS)
        for (uint32_t i = 0; i < request->count; i++) {
            struct kb_data_key made = {.handle = i + 1, .size = 32, .wrapped_size = 40};

            if (request->verb == KB_VERB_MAKE_KEYS)
                kb_data_key_put(answer, &made, NULL);
            else
                kb_buffer_put(answer, "\0\0\0\0\0\1x", 7);
        }
}

static void serve(const struct kb_request *request, struct kb_buffer *answer)
{
    const char *mode = getenv("KB_FAKE"), *path = getenv("KB_FAKE_LOG");
    bool once = strcmp(getenv("KB_FAKE_ONCE"), "1") == 0;
    bool now = request->verb != KB_VERB_OPEN && strcmp(mode, "none") != 0 &&
               !(once && count_lines(path, 0, true) > 0);
    FILE *file = fopen(path, "a");

    if (file) {
        fprintf(file, "%d\n", request->verb);
        fclose(file);
    }
    kb_answer_begin(answer);
    if (request->verb == KB_VERB_OPEN && strcmp(mode, "locked") == 0)
        fail(answer, KB_ERR_PIN, false);
    else if (!now)
        behave(request, answer);
    else
        misbehave(mode, answer);
    if (now && (strcmp(mode, "garbage") == 0 || strcmp(mode, "huge") == 0))
        return;
    if (kb_answer_end(answer))
        (void)kb_frame_send(1, answer, -1);
}

bool fake_helper_main(void)
{
    static struct kb_request request;
    struct kb_buffer frame = {.max = KB_FRAME_MAX}, answer = {.max = KB_FRAME_MAX};
    struct kb_bytes body;

    if (!getenv("KB_FAKE"))
        return false;
    while (kb_frame_receive(0, &frame, -1, &body) == KB_FRAME_OK)
        if (kb_request_decode(&request, body))
            serve(&request, &answer);
    kb_buffer_free(&frame);
    kb_buffer_free(&answer);
    return true;
}
