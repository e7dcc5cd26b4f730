/* SPDX-License-Identifier: Apache-2.0 */
#include "base/text.h"

#include <pthread.h>
#include <string.h>

/* Bytes of the UTF-8 sequence at `s`, or 0 when it is not well formed
 * (RFC 3629, section 4). */
static size_t sequence_size(const uint8_t *s, size_t left)
{
    uint8_t low = 0x80, high = 0xbf;
    size_t size;

    if (s[0] < 0x80)
        return 1;
    if (s[0] >= 0xc2 && s[0] <= 0xdf)
        size = 2;
    else if ((s[0] & 0xf0) == 0xe0)
        size = 3;
    else if (s[0] >= 0xf0 && s[0] <= 0xf4)
        size = 4;
    else
        return 0;
    if (s[0] == 0xe0)
        low = 0xa0;
    else if (s[0] == 0xed)
        high = 0x9f;
    else if (s[0] == 0xf0)
        low = 0x90;
    else if (s[0] == 0xf4)
        high = 0x8f;
    if (left < size || s[1] < low || s[1] > high)
        return 0;
    for (size_t i = 2; i < size; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    return size;
}

bool kb_utf8_valid(struct kb_bytes text)
{
    size_t at = 0;

    while (at < text.size) {
        uint64_t eight;

        if (text.size - at >= sizeof eight) {
            memcpy(&eight, text.data + at, sizeof eight);
            if ((eight & UINT64_C(0x8080808080808080)) == 0) {
                at += sizeof eight;
                continue;
            }
        }
        size_t size = sequence_size(text.data + at, text.size - at);

        if (!size)
            return false;
        at += size;
    }
    return true;
}

int kb_utf8_compare_utf16(struct kb_bytes a, struct kb_bytes b)
{
    size_t common = a.size < b.size ? a.size : b.size;

    for (size_t i = 0; i < common; i++) {
        uint8_t x = a.data[i], y = b.data[i];

        if (x == y)
            continue;
        /* Lead bytes F0..F4 stand for surrogate pairs (D800..DFFF), which
         * sort before the code units E000..FFFF of lead bytes EE and EF. */
        if (x >= 0xf0 && (y == 0xee || y == 0xef))
            return -1;
        if (y >= 0xf0 && (x == 0xee || x == 0xef))
            return 1;
        return x < y ? -1 : 1;
    }
    return (a.size > b.size) - (a.size < b.size);
}

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t kb_base64_formatted_size(size_t size)
{
    return (size + 2) / 3 * 4;
}

/* Two digits for each twelve bits: base64 is on the path of every item, and
 * pairs halve its look-ups. */
static uint8_t base64_pairs[4096][2];
static pthread_once_t base64_pairs_made = PTHREAD_ONCE_INIT;

static void make_base64_pairs(void)
{
    for (size_t i = 0; i < 4096; i++) {
        base64_pairs[i][0] = (uint8_t)base64_digits[i >> 6];
        base64_pairs[i][1] = (uint8_t)base64_digits[i & 63];
    }
}

void kb_base64_format(struct kb_buffer *out, struct kb_bytes bytes)
{
    uint8_t *to = kb_buffer_extend(out, kb_base64_formatted_size(bytes.size));
    const uint8_t *from = bytes.data;
    size_t left = bytes.size;

    if (!to)
        return;
    pthread_once(&base64_pairs_made, make_base64_pairs);
    for (; left >= 3; left -= 3, from += 3, to += 4) {
        uint32_t group = (uint32_t)from[0] << 16 | (uint32_t)from[1] << 8 | from[2];

        memcpy(to, base64_pairs[group >> 12], 2);
        memcpy(to + 2, base64_pairs[group & 4095], 2);
    }
    if (left) {
        uint32_t group = (uint32_t)from[0] << 16 | (left == 2 ? (uint32_t)from[1] << 8 : 0);

        to[0] = (uint8_t)base64_digits[group >> 18];
        to[1] = (uint8_t)base64_digits[group >> 12 & 63];
        to[2] = left == 2 ? (uint8_t)base64_digits[group >> 6 & 63] : '=';
        to[3] = '=';
    }
}

enum { NOT_BASE64 = 0xff };

/* Value of a digit, by table: base64 is on the path of every item. */
static const uint8_t *base64_values(void)
{
#define V(c, v) [c] = (v) + 1
    static const uint8_t values[256] = {
        V('A', 0),  V('B', 1),  V('C', 2),  V('D', 3),  V('E', 4),  V('F', 5),  V('G', 6),
        V('H', 7),  V('I', 8),  V('J', 9),  V('K', 10), V('L', 11), V('M', 12), V('N', 13),
        V('O', 14), V('P', 15), V('Q', 16), V('R', 17), V('S', 18), V('T', 19), V('U', 20),
        V('V', 21), V('W', 22), V('X', 23), V('Y', 24), V('Z', 25), V('a', 26), V('b', 27),
        V('c', 28), V('d', 29), V('e', 30), V('f', 31), V('g', 32), V('h', 33), V('i', 34),
        V('j', 35), V('k', 36), V('l', 37), V('m', 38), V('n', 39), V('o', 40), V('p', 41),
        V('q', 42), V('r', 43), V('s', 44), V('t', 45), V('u', 46), V('v', 47), V('w', 48),
        V('x', 49), V('y', 50), V('z', 51), V('0', 52), V('1', 53), V('2', 54), V('3', 55),
        V('4', 56), V('5', 57), V('6', 58), V('7', 59), V('8', 60), V('9', 61), V('+', 62),
        V('/', 63),
    };
#undef V
    return values;
}

static uint8_t base64_value(uint8_t digit)
{
    return (uint8_t)(base64_values()[digit] - 1);
}

/* The last group of strict base64: two or three digits and padding, or four
 * digits. Bytes written, or 0 when it is none of these. */
static size_t parse_last_group(uint8_t *out, const uint8_t *text)
{
    uint8_t a = base64_value(text[0]), b = base64_value(text[1]);
    uint8_t c = base64_value(text[2]), d = base64_value(text[3]);

    if (a == NOT_BASE64 || b == NOT_BASE64)
        return 0;
    out[0] = (uint8_t)(a << 2 | b >> 4);
    if (text[2] == '=' && text[3] == '=')
        return b & 15 ? 0 : 1;
    if (c == NOT_BASE64)
        return 0;
    out[1] = (uint8_t)(b << 4 | c >> 2);
    if (text[3] == '=')
        return c & 3 ? 0 : 2;
    if (d == NOT_BASE64)
        return 0;
    out[2] = (uint8_t)(c << 6 | d);
    return 3;
}

bool kb_base64_parse_into(uint8_t *out, size_t *size, struct kb_bytes text)
{
    const uint8_t *values = base64_values();
    const uint8_t *from = text.data;
    uint8_t *to = out;
    size_t last;

    *size = 0;
    if (text.size % 4)
        return false;
    if (text.size == 0)
        return true;
    for (; from < text.data + text.size - 4; from += 4, to += 3) {
        uint8_t a = values[from[0]], b = values[from[1]], c = values[from[2]], d = values[from[3]];

        if (!a || !b || !c || !d)
            return false;
        uint32_t group = (uint32_t)(a - 1) << 18 | (uint32_t)(b - 1) << 12 |
                         (uint32_t)(c - 1) << 6 | (uint32_t)(d - 1);

        to[0] = (uint8_t)(group >> 16);
        to[1] = (uint8_t)(group >> 8);
        to[2] = (uint8_t)group;
    }
    last = parse_last_group(to, from);
    *size = (size_t)(to - out) + last;
    return last != 0;
}

bool kb_base64_parse(struct kb_buffer *out, struct kb_bytes text)
{
    size_t before = out->size;
    uint8_t *room = kb_buffer_extend(out, text.size / 4 * 3);
    size_t size = 0;
    bool good = room && kb_base64_parse_into(room, &size, text);

    if (room)
        out->size = before + size;
    if (!good && room)
        out->size = before;
    return good;
}

bool kb_base64_parse_lenient(struct kb_buffer *out, struct kb_bytes text)
{
    uint32_t group = 0;
    unsigned bits = 0;

    for (size_t i = 0; i < text.size; i++) {
        uint8_t value = base64_value(text.data[i]);

        if (text.data[i] == '=')
            break;
        if (value == NOT_BASE64)
            continue;
        group = group << 6 | value;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            kb_buffer_put_u8(out, (uint8_t)(group >> bits));
        }
    }
    /* Six left-over bits mean a lone digit, which stands for no byte. */
    return bits != 6 && !out->failed;
}

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool kb_hex_parse(struct kb_buffer *out, struct kb_bytes text, bool spaces)
{
    int high = -1;

    for (size_t i = 0; i < text.size; i++) {
        int value = hex_value(text.data[i]);

        if (value < 0 && spaces && text.data[i] && strchr(" \t\r\n", text.data[i]))
            continue;
        if (value < 0)
            return false;
        if (high < 0) {
            high = value;
        } else {
            kb_buffer_put_u8(out, (uint8_t)(high << 4 | value));
            high = -1;
        }
    }
    return high < 0 && !out->failed;
}
