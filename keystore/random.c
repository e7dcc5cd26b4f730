/* SPDX-License-Identifier: Apache-2.0
 *
 * The token's random source.
 */
#include "keystore/helper.h"

#include <string.h>

/* An answer of so many bytes that are all zero is not random. */
enum { ZEROS_LEAST = 8 };

bool bytes_are_zero(const uint8_t *data, size_t size)
{
    size_t i = 0;

    while (i < size && data[i] == 0)
        i++;
    return i == size;
}

enum kb_status random_fill(struct helper *helper, uint8_t *out, size_t size, struct kb_error *err)
{
    CK_RV rv;

    memset(out, 0, size);
    rv = helper->f->C_GenerateRandom(helper->session, out, size);
    if (rv != CKR_OK)
        return helper_error(helper, err, rv, "C_GenerateRandom");
    if (size >= ZEROS_LEAST && bytes_are_zero(out, size))
        return kb_error_set(err, KB_ERR_TOKEN, "the token's random source gives only zeros");
    return KB_OK;
}

enum kb_status random_serve(struct helper *helper, const struct kb_request *request,
                            struct kb_buffer *answer, struct kb_error *err)
{
    uint8_t *out;

    kb_buffer_put_u32(answer, request->count);
    out = kb_buffer_extend(answer, request->count);
    return out ? random_fill(helper, out, request->count, err) : kb_buffer_check(answer, err);
}
