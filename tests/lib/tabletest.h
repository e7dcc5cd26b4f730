/* SPDX-License-Identifier: Apache-2.0
 *
 * Tables for tests.
 */
#ifndef TABLETEST_H
#define TABLETEST_H

#include "kbtest.h"

#include <keybridge/table.h>

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

/* Tables are in a server instead of in files. */
static bool tabletest_remote;

/* "local:FOLDER/NAME", or "dynamodb:NAME-PID". Static storage, four calls deep. */
static inline const char *tabletest_where(const char *name)
{
    static char names[4][512];
    static unsigned next;
    char *out = names[next++ % 4];

    if (tabletest_remote)
        snprintf(out, sizeof names[0], "dynamodb:%s-%d", name, (int)getpid());
    else
        snprintf(out, sizeof names[0], "local:%s/%s", kbtest_folder(), name);
    return out;
}

/* Creates a table; keys as for kb_table_key_parse, `sort` may be NULL. */
static inline enum kb_status tabletest_create(const char *name, const char *partition,
                                              const char *sort, struct kb_error *err)
{
    struct kb_table_schema schema = {.signed_name = ""};
    enum kb_status status = kb_table_key_parse(&schema.partition, partition, err);

    if (status == KB_OK && sort)
        status = kb_table_key_parse(&schema.sort, sort, err);
    return status == KB_OK ? kb_table_create(tabletest_where(name), &schema, NULL, err) : status;
}

/* A new open table, or the program ends. */
static inline struct kb_table *tabletest_new(const char *name, const char *partition,
                                             const char *sort)
{
    struct kb_table *table = NULL;
    struct kb_error err = {0};

    KBT_OK(tabletest_create(name, partition, sort, &err), &err);
    KBT_OK(kb_table_open(&table, tabletest_where(name), NULL, &err), &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(table);
    return table;
}

static inline enum kb_status tabletest_put(struct kb_table *table, const char *json,
                                           struct kb_error *err)
{
    struct kb_bytes item = kb_bytes_text(json);
    size_t bad;

    return kb_table_put(table, &item, 1, &bad, err);
}

/* Puts printf-formatted JSON, which must work. */
KB_PRINTF(2, 3)
static inline void tabletest_add(struct kb_table *table, const char *format, ...)
{
    struct kb_error err = {0};
    char json[4096];
    va_list args;

    va_start(args, format);
    vsnprintf(json, sizeof json, format, args);
    va_end(args);
    KBT_OK(tabletest_put(table, json, &err), &err);
}

/* A callback that appends each item and a line feed to the buffer `ctx`. */
static inline enum kb_status tabletest_collect(void *ctx, struct kb_bytes item)
{
    struct kb_buffer *buffer = ctx;

    kb_buffer_put_bytes(buffer, item);
    kb_buffer_put_u8(buffer, '\n');
    return KB_OK;
}

#endif
