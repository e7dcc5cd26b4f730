/* SPDX-License-Identifier: Apache-2.0 */
#include <keybridge/status.h>

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    const char *sentence;
    enum kb_exit exit_class;
} table[] = {
#define KB_STATUS_ROW(name, exit_class, sentence) {#name, sentence, exit_class},
    KB_STATUS_LIST(KB_STATUS_ROW)
#undef KB_STATUS_ROW
};

const char *kb_status_name(enum kb_status status)
{
    return (unsigned)status < KB_STATUS_COUNT ? table[status].name : "KB_?";
}

const char *kb_status_sentence(enum kb_status status)
{
    return (unsigned)status < KB_STATUS_COUNT ? table[status].sentence : "unknown status";
}

enum kb_exit kb_status_exit(enum kb_status status)
{
    return (unsigned)status < KB_STATUS_COUNT ? table[status].exit_class : KB_EXIT_SYSTEM;
}

int kb_status_is_item(enum kb_status status)
{
    return kb_status_exit(status) == KB_EXIT_DATA;
}

void kb_error_clear(struct kb_error *err)
{
    if (err)
        memset(err, 0, sizeof *err);
}

int kb_text_is_bidi(const char *text)
{
    const unsigned char *at = (const unsigned char *)text;

    return at[0] == 0xe2 && ((at[1] == 0x80 && at[2] >= 0xaa && at[2] <= 0xae) ||
                             (at[1] == 0x81 && at[2] >= 0xa6 && at[2] <= 0xa9));
}

/* In UTF-8 a C1 control is C2 and a second byte; alone that byte is one in
 * Latin-1. As the second or later byte of another character it is none. */
void kb_text_tame(char *text)
{
    unsigned char *from = (unsigned char *)text, *to = from;
    unsigned rest = 0; /* bytes of a character that are to come */

    for (; *from; from++) {
        bool inside = rest && (*from & 0xc0) == 0x80;

        if (*from == 0xc2 && from[1] >= 0x80 && from[1] <= 0x9f)
            *++from = '?';
        else if (kb_text_is_bidi((const char *)from))
            *(from += 2) = '?';
        else if (*from < 0x20 || *from == 0x7f || (!inside && *from >= 0x80 && *from <= 0x9f))
            *from = '?';
        rest = inside ? rest - 1
                      : (*from >= 0xc0) + (unsigned)(*from >= 0xe0) + (unsigned)(*from >= 0xf0);
        *to++ = *from;
    }
    *to = 0;
}

KB_PRINTF(3, 0)
static void format_text(char *out, size_t room, const char *format, va_list args)
{
    if (vsnprintf(out, room, format, args) < 0)
        out[0] = 0;
    kb_text_tame(out);
}

enum kb_status kb_error_set(struct kb_error *err, enum kb_status status, const char *format, ...)
{
    if (err && err->status == KB_OK) {
        va_list args;

        kb_error_clear(err);
        err->status = status;
        va_start(args, format);
        format_text(err->text, sizeof err->text, format, args);
        va_end(args);
    }
    return status;
}

enum kb_status kb_error_errno(struct kb_error *err, enum kb_status status, int number,
                              const char *format, ...)
{
    if (err && err->status == KB_OK) {
        va_list args;
        size_t used;

        kb_error_clear(err);
        err->status = status;
        err->detail_kind = KB_DETAIL_ERRNO;
        err->detail = (unsigned long)number;
        va_start(args, format);
        format_text(err->text, sizeof err->text, format, args);
        va_end(args);
        used = strlen(err->text);
        errno = number;
        snprintf(err->text + used, sizeof err->text - used, ": %m");
    }
    return status;
}

void kb_error_hint(struct kb_error *err, const char *format, ...)
{
    if (err && err->status != KB_OK && !err->hint[0]) {
        va_list args;

        va_start(args, format);
        format_text(err->hint, sizeof err->hint, format, args);
        va_end(args);
    }
}

const char *kb_error_text(const struct kb_error *err)
{
    if (!err)
        return "unknown error";
    return err->text[0] ? err->text : kb_status_sentence(err->status);
}
