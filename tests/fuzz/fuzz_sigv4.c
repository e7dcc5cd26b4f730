/* SPDX-License-Identifier: Apache-2.0
 *
 * The verifier of signatures, on a whole request; the first byte says how
 * paths are taken. The fuzzer has one good signature in its corpus. No header's
 * or path's bytes may add a line to the canonical request.
 */
#include "rawrequest.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool find_key(void *ctx, struct kb_bytes id, struct kb_bytes *key)
{
    (void)ctx;
    *key = kb_bytes_text("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
    return kb_bytes_equal(id, kb_bytes_text("AKIDEXAMPLE"));
}

/* "host" is signed and there once, whatever else is. */
static unsigned hosts(const struct rawrequest *raw)
{
    unsigned n = 0;

    for (size_t i = 0; i < raw->request.header_count; i++)
        n += raw->headers[i].name.size == 4 &&
             strncasecmp((const char *)raw->headers[i].name.data, "host", 4) == 0;
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct rawrequest raw;
    const struct kb_bytes region = kb_bytes_text("us-east-1");
    const struct kb_sigv4_verifier verifier = {
        .find = find_key,
        .service = kb_bytes_text("service"),
        .regions = &region,
        .region_count = 1,
        .now = 1440938160,
    };
    struct kb_buffer canonical = KB_BUFFER_INIT(1 << 20);
    struct kb_error err = {0};
    enum kb_status status;

    if (size == 0 || !rawrequest_parse(&raw, (struct kb_bytes){data + 1, size - 1}))
        return 0;
    raw.request.as_is = data[0] & 1;
    status = kb_sigv4_verify(&verifier, &raw.request, &err);
    if (status != err.status || (status == KB_OK && hosts(&raw) != 1))
        abort();
    if (kb_sigv4_canonical_request(&canonical, &raw.request, NULL) == KB_OK) {
        size_t lines = 0, names = 0;

        /* Nothing in a request adds a line: they are the method, path, query, one for each name,
         * and an empty one, the names and the hash. */
        for (size_t i = 0; i < canonical.size; i++)
            lines += canonical.data[i] == '\n';
        canonical.size = 0;
        for (size_t i = 0; i < raw.request.header_count; i++) {
            size_t before = 0;

            for (; before < i; before++)
                if (raw.headers[before].name.size == raw.headers[i].name.size &&
                    strncasecmp((const char *)raw.headers[before].name.data,
                                (const char *)raw.headers[i].name.data,
                                raw.headers[i].name.size) == 0)
                    break;
            names += before == i;
        }
        if (lines != names + 5)
            abort();
    }
    kb_buffer_free(&canonical);
    return 0;
}
