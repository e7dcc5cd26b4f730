/* SPDX-License-Identifier: Apache-2.0 */
#include "attr/number.h"

#include <string.h>

enum {
    EXPONENT_MIN = -130, /* DynamoDB's least and greatest magnitude */
    EXPONENT_MAX = 125,
};

/* Far beyond any exponent that text can make up for with zeros. */
#define EXPONENT_FAR (INT64_MAX / 4)

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

/* Appends a digit. Zeros are held back in *zeros until another digit makes
 * them significant. */
static bool add_digit(struct kb_decimal *out, size_t *zeros, uint8_t digit)
{
    if (digit == 0) {
        *zeros += out->count != 0;
        return true;
    }
    if (*zeros >= sizeof out->digits - out->count)
        return false;
    for (; *zeros; --*zeros)
        out->digits[out->count++] = 0;
    out->digits[out->count++] = digit;
    return true;
}

/* Digits with at most one point; what is behind them, or NULL. Leaves in
 * out->exponent how many digits stand before the point, less the zeros that
 * stand behind it before the first other digit. */
static const uint8_t *parse_digits(struct kb_decimal *out, const uint8_t *at, const uint8_t *end)
{
    const uint8_t *start = at, *point = NULL;
    size_t zeros = 0;

    for (; at < end; at++) {
        if (*at == '.' && !point) {
            point = at;
            continue;
        }
        if (!is_digit(*at))
            break;
        if (!add_digit(out, &zeros, (uint8_t)(*at - '0')))
            return NULL;
        if (!point)
            out->exponent += out->count != 0;
        else
            out->exponent -= out->count == 0;
    }
    return (size_t)(at - start) > (point != NULL) ? at : NULL;
}

static const uint8_t *parse_exponent(int64_t *out, const uint8_t *at, const uint8_t *end)
{
    bool negative = at < end && *at == '-';
    int64_t value = 0;

    if (at < end && (*at == '-' || *at == '+'))
        at++;
    if (at == end)
        return NULL;
    for (; at < end && is_digit(*at); at++)
        if (value < EXPONENT_FAR / 10)
            value = value * 10 + (*at - '0');
    *out = negative ? -value : value;
    return at;
}

bool kb_decimal_parse(struct kb_decimal *out, struct kb_bytes text)
{
    const uint8_t *at = text.data, *end = text.data + text.size;
    int64_t exponent = 0;

    out->negative = text.size && *at == '-';
    out->count = 0;
    out->exponent = 0;
    if (text.size && (*at == '-' || *at == '+'))
        at++;
    if (at == end)
        return false;
    at = parse_digits(out, at, end);
    if (at && at < end && (*at == 'e' || *at == 'E'))
        at = parse_exponent(&exponent, at + 1, end);
    if (at != end)
        return false;
    out->exponent = out->count ? out->exponent - 1 + exponent : 0;
    return true;
}

bool kb_decimal_limited(const struct kb_decimal *number)
{
    return number->count <= KB_NUMBER_DIGITS_MAX && number->exponent >= EXPONENT_MIN &&
           number->exponent <= EXPONENT_MAX;
}

static bool rounds_up(const struct kb_decimal *number, unsigned digits)
{
    uint8_t next = number->digits[digits];

    /* The last digit is never 0, so anything behind `next` is above a half. */
    if (next != 5 || number->count > digits + 1)
        return next >= 5;
    return number->digits[digits - 1] % 2 != 0;
}

void kb_decimal_round(struct kb_decimal *number, unsigned digits)
{
    bool carry;

    if (number->count <= digits)
        return;
    carry = rounds_up(number, digits);
    number->count = digits;
    while (carry && number->count && number->digits[number->count - 1] == 9)
        number->count--;
    if (carry && number->count == 0) {
        number->digits[number->count++] = 1;
        number->exponent++;
    } else if (carry) {
        number->digits[number->count - 1]++;
    }
    while (number->digits[number->count - 1] == 0)
        number->count--;
}

static char *put_digits(char *to, const uint8_t *digits, size_t count)
{
    for (size_t i = 0; i < count; i++)
        *to++ = (char)('0' + digits[i]);
    return to;
}

static char *put_zeros(char *to, size_t count)
{
    memset(to, '0', count);
    return to + count;
}

size_t kb_decimal_format(char out[KB_NUMBER_TEXT_MAX], const struct kb_decimal *number)
{
    char *to = out;
    size_t count = number->count, whole = 0, zeros = 0;

    if (number->exponent < -KB_NUMBER_TEXT_MAX || number->exponent > KB_NUMBER_TEXT_MAX)
        return 0;
    if (number->exponent >= 0)
        whole = (size_t)number->exponent + 1;
    else
        zeros = (size_t)-number->exponent - 1;
    /* Sign, digits before the point, point and digits behind it, terminator. */
    if (number->negative + (whole ? whole : 1) + (count > whole ? 1 + zeros + count - whole : 0) +
            1 >
        KB_NUMBER_TEXT_MAX)
        return 0;
    if (number->negative)
        *to++ = '-';
    if (whole) {
        size_t have = count < whole ? count : whole;

        to = put_digits(to, number->digits, have);
        to = put_zeros(to, whole - have);
    } else {
        *to++ = '0';
    }
    if (count > whole) {
        *to++ = '.';
        to = put_zeros(to, zeros);
        to = put_digits(to, number->digits + whole, count - whole);
    }
    *to = 0;
    return (size_t)(to - out);
}

size_t kb_decimal_size(const struct kb_decimal *number)
{
    return (number->count + 1) / 2 + 1 + (number->negative && number->count);
}

bool kb_number_canonical(char out[KB_NUMBER_TEXT_MAX], size_t *size, struct kb_bytes text,
                         bool limited)
{
    struct kb_decimal number;

    *size = 0;
    if (!kb_decimal_parse(&number, text) || (limited && !kb_decimal_limited(&number)))
        return false;
    if (number.count == 0)
        number.negative = false;
    *size = kb_decimal_format(out, &number);
    return *size != 0;
}

static int compare_magnitude(const struct kb_decimal *a, const struct kb_decimal *b)
{
    size_t common = a->count < b->count ? a->count : b->count;
    int order;

    if (a->exponent != b->exponent)
        return a->exponent < b->exponent ? -1 : 1;
    order = memcmp(a->digits, b->digits, common);
    return order ? order : (a->count > b->count) - (a->count < b->count);
}

static int sign(const struct kb_decimal *number)
{
    return number->count == 0 ? 0 : number->negative ? -1 : 1;
}

int kb_number_compare(struct kb_bytes a, struct kb_bytes b)
{
    struct kb_decimal x, y;

    if (!kb_decimal_parse(&x, a) || !kb_decimal_parse(&y, b))
        return kb_bytes_compare(a, b);
    if (sign(&x) != sign(&y))
        return sign(&x) < sign(&y) ? -1 : 1;
    if (sign(&x) == 0)
        return 0;
    return sign(&x) * compare_magnitude(&x, &y);
}

/*
 * The key is a byte for the sign; then, unless it is zero, the exponent with
 * an offset, and the digits two to a byte as 1 to 100, ended by a 0. For a
 * negative number all bytes behind the first are complemented: a greater
 * magnitude is a smaller number.
 */
enum { KEY_NEGATIVE = 1, KEY_ZERO = 2, KEY_POSITIVE = 3, KEY_EXPONENT_OFFSET = 0x8000 };

void kb_number_sort_key(struct kb_buffer *out, struct kb_bytes canonical)
{
    struct kb_decimal number;
    size_t start;

    if (!kb_decimal_parse(&number, canonical) || number.exponent < -KB_NUMBER_TEXT_MAX ||
        number.exponent > KB_NUMBER_TEXT_MAX) {
        out->failed = true;
        return;
    }
    if (number.count == 0) {
        kb_buffer_put_u8(out, KEY_ZERO);
        return;
    }
    kb_buffer_put_u8(out, number.negative ? KEY_NEGATIVE : KEY_POSITIVE);
    start = out->size;
    kb_buffer_put_u16(out, (uint16_t)(number.exponent + KEY_EXPONENT_OFFSET));
    for (unsigned i = 0; i < number.count; i += 2) {
        uint8_t second = i + 1 < number.count ? number.digits[i + 1] : 0;

        kb_buffer_put_u8(out, (uint8_t)(number.digits[i] * 10 + second + 1));
    }
    kb_buffer_put_u8(out, 0);
    for (size_t i = start; number.negative && i < out->size; i++)
        out->data[i] = (uint8_t)~out->data[i];
}
