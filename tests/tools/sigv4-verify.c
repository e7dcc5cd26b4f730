/* SPDX-License-Identifier: Apache-2.0
 *
 * Verifies requests that a peer signed:
 *     sigv4-verify SERVICE REGION NOW SECRET-FILE < REQUESTS
 * where NOW is in seconds since 1970, and each request is its number of bytes
 * in decimal, a line feed, 'S' for the S3 way with paths or '-', and the bytes
 * of the request as they are sent. Prints a line for each: "ok" or the reason.
 */
#include "rawrequest.h"

#include <stdio.h>
#include <stdlib.h>

static bool find_key(void *ctx, struct kb_bytes id, struct kb_bytes *key)
{
    *key = kb_bytes_text(ctx);
    return kb_bytes_equal(id, kb_bytes_text("AKIDPEER"));
}

static void verify(const struct kb_sigv4_verifier *verifier, struct kb_bytes text)
{
    struct kb_error err = {0};
    static struct rawrequest raw;
    struct kb_bytes body = {text.data + 1, text.size - 1};

    if (text.size == 0 || !rawrequest_parse(&raw, body)) {
        puts("not a request");
        return;
    }
    raw.request.as_is = text.data[0] == 'S';
    /* A body of which the signer says that it is not signed. */
    for (size_t i = 0; i < raw.request.header_count; i++) {
        struct kb_bytes value = raw.headers[i].value;

        while (value.size && *value.data == ' ')
            value = (struct kb_bytes){value.data + 1, value.size - 1};
        if (kb_bytes_equal(value, kb_bytes_text("UNSIGNED-PAYLOAD")))
            raw.request.payload_hash = value;
    }
    puts(kb_sigv4_verify(verifier, &raw.request, &err) == KB_OK ? "ok" : err.text);
}

int main(int argc, char **argv)
{
    static uint8_t text[1 << 20];
    static char secret[256];
    struct kb_bytes region;
    struct kb_sigv4_verifier verifier = {.find = find_key, .ctx = secret, .region_count = 1};
    unsigned long size;
    FILE *file;

    if (argc != 5 || !(file = fopen(argv[4], "r"))) {
        fputs("usage: sigv4-verify SERVICE REGION NOW SECRET-FILE\n", stderr);
        return 2;
    }
    if (!fgets(secret, sizeof secret, file))
        return 2;
    fclose(file);
    secret[strcspn(secret, "\n")] = 0;
    region = kb_bytes_text(argv[2]);
    verifier.service = kb_bytes_text(argv[1]);
    verifier.regions = &region;
    verifier.now = strtoll(argv[3], NULL, 10);
    while (scanf("%lu", &size) == 1 && getchar() == '\n' && size <= sizeof text) {
        if (fread(text, 1, size, stdin) != size)
            return 1;
        verify(&verifier, (struct kb_bytes){text, size});
    }
    return 0;
}
