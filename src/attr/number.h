/* SPDX-License-Identifier: Apache-2.0
 *
 * A decimal number as its digits: exact, without floating point.
 */
#ifndef KB_ATTR_NUMBER_H
#define KB_ATTR_NUMBER_H

#include "attr/attr.h"

enum {
    KB_NUMBER_DIGITS_MAX = 38,   /* significant digits DynamoDB keeps */
    KB_NUMBER_PYTHON_DIGITS = 28 /* significant digits the Python client keeps */
};

/* The value is d.ddd… * 10^exponent. */
struct kb_decimal {
    bool negative;      /* a minus was written, for zero too */
    unsigned count;     /* significant digits; 0 for zero */
    int64_t exponent;   /* 0 for zero */
    uint8_t digits[KB_NUMBER_TEXT_MAX]; /* 0 to 9, the first and the last not 0 */
};

/* False when it is no number, or has more digits than any canonical form. */
bool kb_decimal_parse(struct kb_decimal *out, struct kb_bytes text);

/* True when DynamoDB takes it. */
bool kb_decimal_limited(const struct kb_decimal *number);

/* Rounds half even to at most `digits` significant digits. */
void kb_decimal_round(struct kb_decimal *number, unsigned digits);

/* The canonical text with a terminator ("-0" for a negative zero); its length,
 * or 0 when it does not fit. */
size_t kb_decimal_format(char out[KB_NUMBER_TEXT_MAX], const struct kb_decimal *number);

/* Bytes DynamoDB counts for it. */
size_t kb_decimal_size(const struct kb_decimal *number);

#endif
