/* SPDX-License-Identifier: Apache-2.0
 *
 * The second byte of every value's tag; the first is 0.
 */
#ifndef KB_ATTR_CANONICAL_H
#define KB_ATTR_CANONICAL_H

enum {
    KB_TAG_NULL = 0,
    KB_TAG_BOOL = '?',
    KB_TAG_S = 's',
    KB_TAG_N = 'n',
    KB_TAG_B = 'b',
    KB_TAG_SS = 'S',
    KB_TAG_NS = 'N',
    KB_TAG_BS = 'B',
    KB_TAG_L = 'L',
    KB_TAG_M = 'M',
};

#endif
