/* SPDX-License-Identifier: Apache-2.0
 *
 * Input that is no message, by its first bytes.
 */
#include "esdk/header.h"

#include <string.h>

static const struct {
    const char *start;
    const char *what;
} formats[] = {
    {"-----BEGIN ", "PEM text"},
    {"age-encryption.org/", "a file made by age"},
    {"Salted__", "a file made by openssl enc"},
    {"\x1f\x8b", "a gzip file"},
    {"\x28\xb5\x2f\xfd", "a zstd file"},
    {"PK\x03\x04", "a zip file"},
    {"{", "JSON"},
};

enum { LOOKED_AT = 64 };

static bool is_base64(uint8_t c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
           c == '+' || c == '/' || c == '=' || c == '-' || c == '_' || c == '\r' || c == '\n';
}

static bool is_text(uint8_t c)
{
    return (c >= 0x20 && c < 0x7f) || (c >= '\t' && c <= '\r');
}

static bool all(struct kb_bytes in, bool (*is)(uint8_t))
{
    for (size_t i = 0; i < in.size && i < LOOKED_AT; i++)
        if (!is(in.data[i]))
            return false;
    return true;
}

enum kb_status esdk_header_refuse(struct kb_bytes in, struct kb_error *err)
{
    if (in.size == 0)
        return kb_error_set(err, KB_ERR_INPUT, "there is no message: the input is empty");
    if (in.data[0] == 1 || in.data[0] == 2)
        return kb_error_set(err, KB_ERR_INPUT, "the message ends within its header");
    /* 01 80 and 02 0. are written AY and Ag. */
    if (in.size > 1 && in.data[0] == 'A' && (in.data[1] == 'Y' || in.data[1] == 'g') &&
        all(in, is_base64)) {
        kb_error_set(err, KB_ERR_INPUT, "the input is a message in base64, not the message itself");
        kb_error_hint(err, "decode it first: base64 -d");
        return KB_ERR_INPUT;
    }
    kb_error_set(err, KB_ERR_INPUT, "the input is no message of the AWS Encryption SDK");
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        size_t size = strlen(formats[i].start);

        if (in.size >= size && memcmp(in.data, formats[i].start, size) == 0)
            kb_error_hint(err, "it looks like %s", formats[i].what);
    }
    if (all(in, is_text))
        kb_error_hint(err, "it looks like text");
    return KB_ERR_INPUT;
}
