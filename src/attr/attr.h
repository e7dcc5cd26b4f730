/* SPDX-License-Identifier: Apache-2.0
 *
 * The DynamoDB attribute model: typed values, their JSON, their sizes.
 */
#ifndef KB_ATTR_ATTR_H
#define KB_ATTR_ATTR_H

#include "base/arena.h"

#include <keybridge/bytes.h>

enum kb_attr_type {
    KB_ATTR_S,
    KB_ATTR_N,
    KB_ATTR_B,
    KB_ATTR_BOOL,
    KB_ATTR_NULL,
    KB_ATTR_SS,
    KB_ATTR_NS,
    KB_ATTR_BS,
    KB_ATTR_L,
    KB_ATTR_M,
};

enum {
    KB_ATTR_DEPTH_MAX = 32,          /* levels of L and M, DynamoDB's limit */
    KB_ITEM_SIZE_MAX = 400 * 1024,   /* bytes of an item as DynamoDB counts them */
    KB_ITEM_JSON_MAX = 4 * 1024 * 1024, /* bytes of an item's JSON that we look at */
    KB_NUMBER_TEXT_MAX = 192,        /* room for any canonical number, with a terminator */
};

struct kb_member;

struct kb_attr {
    enum kb_attr_type type;
    union {
        struct kb_bytes bytes; /* S: UTF-8 text; N: number text; B: raw bytes */
        bool boolean;          /* BOOL */
        struct {
            struct kb_bytes *members; /* SS, NS (texts) and BS (raw), as they were given */
            size_t count;
        } set;
        struct {
            struct kb_attr *elements;
            size_t count;
        } list;
        struct {
            struct kb_member *members; /* as they were given, no name twice */
            size_t count;
        } map;
    };
};

struct kb_member {
    struct kb_bytes name; /* UTF-8 */
    struct kb_attr value;
};

/* An item is what a map attribute holds. Members point into the arena or into
 * the text that was parsed; both must outlive it. */
struct kb_item {
    struct kb_member *members;
    size_t count;
};

/* {"name":{"S":"x"},…}, exactly one JSON object (white space around it is
 * allowed). Strict: RFC 8259, well-formed UTF-8, no lone surrogate escapes, no
 * name twice at any level, exactly one known type key a value, base64 with
 * padding, BOOL true or false, NULL true, numbers DynamoDB takes, depth and
 * item size within limits. Names may be empty: the clients write such items,
 * though no table takes them (kb_item_check_names). KB_ERR_INPUT with a sentence that
 * says what and, where it helps, where (attribute name, byte offset). */
KB_MUST_CHECK enum kb_status kb_item_parse(struct kb_item *out, struct kb_bytes json,
                                           struct kb_arena *arena, struct kb_error *err);

/* KB_ERR_INPUT for an attribute whose name is empty. */
KB_MUST_CHECK enum kb_status kb_item_check_names(const struct kb_item *item, struct kb_error *err);

/* DynamoDB JSON on one line, members in their order, no blanks; text escaped
 * only where RFC 8259 demands. Check the buffer afterwards. */
void kb_item_format(struct kb_buffer *out, const struct kb_item *item);

/* Ordinary JSON: strings, numbers as JSON numbers with every digit, binary as
 * base64 text, sets and lists as arrays. Lossy about types. */
void kb_item_format_plain(struct kb_buffer *out, const struct kb_item *item);

/* The JSON string for `text` with its quotes. */
void kb_json_put_text(struct kb_buffer *out, struct kb_bytes text);

/* NULL when the item has no such attribute. */
struct kb_attr *kb_item_find(const struct kb_item *item, struct kb_bytes name);

/* Size as DynamoDB counts it against its 400 KB limit (names and values). */
size_t kb_item_size(const struct kb_item *item);

/* "S", "N", … */
const char *kb_attr_type_format(enum kb_attr_type type);

/* --- numbers --------------------------------------------------------------- */

/* DynamoDB's range for `limited`: at most 38 significant digits, 0 or
 * magnitude 1E-130 to 9.99…E+125. Without it, any decimal whose canonical form
 * fits KB_NUMBER_TEXT_MAX. Writes the canonical form with a terminator: no
 * exponent, no leading '+', no superfluous zeros, "-0" is "0". *size is its
 * length. False for anything else ("", "NaN", " 5", "1_000", non-ASCII). */
bool kb_number_canonical(char out[KB_NUMBER_TEXT_MAX], size_t *size, struct kb_bytes text,
                         bool limited);

/* Numerical order of two numbers that kb_number_canonical takes. */
int kb_number_compare(struct kb_bytes a, struct kb_bytes b);

/* Appends bytes whose unsigned order is the numerical order of canonical
 * numbers; equal numbers give equal bytes. */
void kb_number_sort_key(struct kb_buffer *out, struct kb_bytes canonical);

/* --- canonical bytes (the item encryptor's attribute serialization) --------
 * The layout both DynamoDB Encryption Clients share: a two-byte tag, then the
 * value. They differ from each other on a few values; a dialect names whose
 * rule is followed there. */

enum kb_attr_dialect {
    KB_DIALECT_PYTHON, /* sets and map keys by unsigned bytes of UTF-8; numbers rounded half even to
                          28 significant digits, "-0" kept */
    KB_DIALECT_JAVA,   /* SS and map keys by UTF-16 code units, BS by signed bytes; numbers exact */
};

/* What of a value the dialects write differently (bits). */
enum kb_attr_difference {
    KB_DIFFERENCE_NONE = 0,
    KB_DIFFERENCE_ORDER = 1,         /* order of set members or map keys */
    KB_DIFFERENCE_DIGITS = 2,        /* a number with more than 28 significant digits */
    KB_DIFFERENCE_NEGATIVE_ZERO = 4, /* a number written "-0" */
};

/* Appends the canonical bytes. `number_exact` with KB_DIALECT_PYTHON keeps
 * every digit and writes "0" for "-0": what keybridge itself writes. Numbers
 * that are no numbers latch the buffer as failed (parsed items have none). */
void kb_attr_serialize(struct kb_buffer *out, const struct kb_attr *value,
                       enum kb_attr_dialect dialect, bool number_exact);

/* Bits of enum kb_attr_difference. */
unsigned kb_attr_difference(const struct kb_attr *value);

/* Reads what kb_attr_serialize, Python or Java wrote; numbers come out
 * canonical, sets as stored. Refuses truncation, trailing bytes, unknown tags,
 * BOOL bytes other than 0 and 1, bad UTF-8, map keys that are not S, depth over
 * the limit, counts the bytes cannot hold. Duplicate map keys: last wins.
 * KB_ERR_INPUT. The value points into `bytes` or the arena. */
KB_MUST_CHECK enum kb_status kb_attr_deserialize(struct kb_attr *out, struct kb_bytes bytes,
                                                 struct kb_arena *arena, struct kb_error *err);

/* Order of attribute names in the string to sign, by dialect. */
int kb_attr_name_compare(struct kb_bytes a, struct kb_bytes b, enum kb_attr_dialect dialect);

#endif
