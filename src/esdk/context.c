/* SPDX-License-Identifier: Apache-2.0
 *
 * The encryption context (framework/structures.md#encryption-context-1).
 */
#include "esdk/header.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"

static int compare(const void *a, const void *b)
{
    const struct kb_pair *left = a, *right = b;

    return kb_bytes_compare(left->name, right->name);
}

enum kb_status esdk_context_sort(struct kb_pair *pairs, size_t n, enum kb_status twice,
                                 struct kb_error *err)
{
    if (n == 0)
        return KB_OK;
    qsort(pairs, n, sizeof *pairs, compare);
    for (size_t i = 1; i < n; i++)
        if (kb_bytes_equal(pairs[i - 1].name, pairs[i].name))
            return kb_error_set(err, twice, "'%.*s' is twice in the encryption context",
                                (int)pairs[i].name.size, (const char *)pairs[i].name.data);
    return KB_OK;
}

static void put_text(struct kb_buffer *out, struct kb_bytes text)
{
    kb_buffer_put_u16(out, (uint16_t)text.size);
    kb_buffer_put_bytes(out, text);
}

enum kb_status esdk_context_write(struct kb_buffer *out, const struct kb_pair *pairs, size_t n,
                                  struct kb_error *err)
{
    size_t size = 2;

    if (n == 0)
        return KB_OK;
    for (size_t i = 0; i < n; i++) {
        if (pairs[i].name.size > ESDK_CONTEXT_MAX || pairs[i].value.size > ESDK_CONTEXT_MAX ||
            (size += 4 + pairs[i].name.size + pairs[i].value.size) > ESDK_CONTEXT_MAX)
            return kb_error_set(err, KB_ERR_USAGE,
                                "the encryption context is longer than %d bytes",
                                ESDK_CONTEXT_MAX);
    }
    kb_buffer_put_u16(out, (uint16_t)n);
    for (size_t i = 0; i < n; i++) {
        put_text(out, pairs[i].name);
        put_text(out, pairs[i].value);
    }
    return kb_buffer_check(out, err);
}

const struct kb_pair *esdk_context_find(const struct kb_pair *pairs, size_t n,
                                        struct kb_bytes name)
{
    for (size_t i = 0; i < n; i++)
        if (kb_bytes_equal(pairs[i].name, name))
            return &pairs[i];
    return NULL;
}

enum kb_status esdk_pair_check(const struct kb_pair *pair, struct kb_error *err)
{
    const size_t prefix = strlen(ESDK_RESERVED_PREFIX);

    if (!kb_utf8_valid(pair->name) || !kb_utf8_valid(pair->value))
        return kb_error_set(err, KB_ERR_USAGE, "context name '%.*s' or its value is not in UTF-8",
                            (int)pair->name.size, (const char *)pair->name.data);
    if (pair->name.size >= prefix && memcmp(pair->name.data, ESDK_RESERVED_PREFIX, prefix) == 0)
        return kb_error_set(err, KB_ERR_USAGE,
                            "context name '%.*s': names that begin with '%s' are reserved",
                            (int)pair->name.size, (const char *)pair->name.data,
                            ESDK_RESERVED_PREFIX);
    return KB_OK;
}
