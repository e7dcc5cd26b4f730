/* SPDX-License-Identifier: Apache-2.0 */
#include "table/condition.h"

#include <string.h>

static bool is_blank(uint8_t byte)
{
    return byte == ' ' || byte == '\t';
}

static struct kb_bytes trim(const char *text, size_t size)
{
    struct kb_bytes out = {(const uint8_t *)text, size};

    while (out.size && is_blank(out.data[out.size - 1]))
        out.size--;
    while (out.size && is_blank(out.data[0])) {
        out.data++;
        out.size--;
    }
    return out;
}

/* The first operator of the text and where it stands; NULL without one. */
static const char *find_operator(const char *text, enum kb_condition_op *op, size_t *size)
{
    for (; *text; text++) {
        bool equal = text[1] == '=';

        *size = 1;
        if (*text == '=') {
            *op = KB_CONDITION_EQUAL;
            return text;
        }
        if (*text != '<' && *text != '>' && !(*text == '!' && equal))
            continue;
        *size += equal;
        if (*text == '!')
            *op = KB_CONDITION_DIFFERENT;
        else if (*text == '<')
            *op = equal ? KB_CONDITION_LESS_EQUAL : KB_CONDITION_LESS;
        else
            *op = equal ? KB_CONDITION_GREATER_EQUAL : KB_CONDITION_GREATER;
        return text;
    }
    return NULL;
}

static bool compares_numbers(enum kb_condition_op op)
{
    return op != KB_CONDITION_EQUAL && op != KB_CONDITION_DIFFERENT;
}

enum kb_status kb_condition_parse(struct kb_condition *out, const char *text,
                                  const struct kb_bytes *columns, size_t count,
                                  struct kb_error *err)
{
    size_t size;
    const char *at = text ? find_operator(text, &out->op, &size) : NULL;
    struct kb_bytes name;

    if (!at) {
        kb_error_set(err, KB_ERR_USAGE, "the condition '%.80s' has no operator", text ? text : "");
        kb_error_hint(err, "COLUMN OP VALUE, where OP is one of = != < <= > >=");
        return KB_ERR_USAGE;
    }
    name = trim(text, (size_t)(at - text));
    out->text = trim(at + size, strlen(at + size));
    for (out->column = 0; out->column < count; out->column++)
        if (kb_bytes_equal(columns[out->column], name))
            break;
    if (out->column == count)
        return kb_error_set(err, KB_ERR_USAGE, "the condition '%.80s': there is no column '%.*s'",
                            text, name.size < 80 ? (int)name.size : 80, (const char *)name.data);
    if (compares_numbers(out->op) &&
        !kb_number_canonical(out->number, &out->number_size, out->text, false))
        return kb_error_set(err, KB_ERR_USAGE, "the condition '%.80s' needs a number on its right",
                            text);
    return KB_OK;
}

enum kb_status kb_condition_check(const struct kb_condition *condition, struct kb_bytes cell,
                                  bool *holds)
{
    char number[KB_NUMBER_TEXT_MAX];
    size_t size;
    int order;

    if (!compares_numbers(condition->op)) {
        *holds = kb_bytes_equal(cell, condition->text) == (condition->op == KB_CONDITION_EQUAL);
        return KB_OK;
    }
    if (!kb_number_canonical(number, &size, cell, false))
        return KB_ERR_INPUT;
    order = kb_number_compare(
        (struct kb_bytes){(const uint8_t *)number, size},
        (struct kb_bytes){(const uint8_t *)condition->number, condition->number_size});
    switch (condition->op) {
    case KB_CONDITION_LESS:
        *holds = order < 0;
        break;
    case KB_CONDITION_LESS_EQUAL:
        *holds = order <= 0;
        break;
    case KB_CONDITION_GREATER:
        *holds = order > 0;
        break;
    default:
        *holds = order >= 0;
    }
    return KB_OK;
}
