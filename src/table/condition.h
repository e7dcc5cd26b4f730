/* SPDX-License-Identifier: Apache-2.0
 *
 * Conditions on the cells of a row: "Item Type=Vegetables".
 */
#ifndef KB_TABLE_CONDITION_H
#define KB_TABLE_CONDITION_H

#include "attr/attr.h"

#include <keybridge/bytes.h>

enum kb_condition_op {
    KB_CONDITION_EQUAL,
    KB_CONDITION_DIFFERENT,
    KB_CONDITION_LESS,
    KB_CONDITION_LESS_EQUAL,
    KB_CONDITION_GREATER,
    KB_CONDITION_GREATER_EQUAL,
};

struct kb_condition {
    size_t column;
    enum kb_condition_op op;
    struct kb_bytes text; /* right side, into the text that was parsed */
    char number[KB_NUMBER_TEXT_MAX]; /* the same, canonical, when the op compares numbers */
    size_t number_size;
};

/* KB_ERR_USAGE. */
KB_MUST_CHECK enum kb_status kb_condition_parse(struct kb_condition *out, const char *text,
                                                const struct kb_bytes *columns, size_t count,
                                                struct kb_error *err);

/* KB_ERR_INPUT when the op compares numbers and the cell is none; the sentence
 * is left to the caller. */
KB_MUST_CHECK enum kb_status kb_condition_check(const struct kb_condition *condition,
                                                struct kb_bytes cell, bool *holds);

#endif
