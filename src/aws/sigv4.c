/* SPDX-License-Identifier: Apache-2.0 */
#include "aws/sigv4_steps.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "crypto/crypto.h"

void kb_sigv4_format_date(char out[KB_SIGV4_DATE_SIZE], int64_t time)
{
    time_t seconds = (time_t)time;
    struct tm parts;

    /* Years of other than four digits do not exist for the protocol. */
    if (time < 0 || time > INT64_C(253402300799) || !gmtime_r(&seconds, &parts) ||
        strftime(out, KB_SIGV4_DATE_SIZE, "%Y%m%dT%H%M%SZ", &parts) != KB_SIGV4_DATE_SIZE - 1)
        memcpy(out, "00000000T000000Z", KB_SIGV4_DATE_SIZE);
}

/* "20150830/us-east-1/dynamodb/aws4_request" */
static void put_scope(struct kb_buffer *out, const struct kb_sigv4_scope *scope)
{
    char date[KB_SIGV4_DATE_SIZE];

    kb_sigv4_format_date(date, scope->time);
    kb_buffer_put(out, date, 8);
    kb_buffer_put_u8(out, '/');
    kb_buffer_put_bytes(out, scope->region);
    kb_buffer_put_u8(out, '/');
    kb_buffer_put_bytes(out, scope->service);
    kb_buffer_put_text(out, "/" KB_SIGV4_TERMINATOR);
}

enum kb_status kb_sigv4_string_to_sign(struct kb_buffer *out, struct kb_bytes canonical_request,
                                       const struct kb_sigv4_scope *scope, struct kb_error *err)
{
    char date[KB_SIGV4_DATE_SIZE], hash[2 * KB_SHA256_SIZE + 1];
    enum kb_status status = kb_crypto_sha256_hex(hash, canonical_request, err);

    if (status != KB_OK)
        return status;
    kb_sigv4_format_date(date, scope->time);
    kb_buffer_put_text(out, KB_SIGV4_ALGORITHM "\n");
    kb_buffer_put_text(out, date);
    kb_buffer_put_u8(out, '\n');
    put_scope(out, scope);
    kb_buffer_put_u8(out, '\n');
    kb_buffer_put_text(out, hash);
    return kb_buffer_check(out, err);
}

/* The signing key of a day, region and service ("Calculate the signature"). */
static enum kb_status derive_key(uint8_t key[KB_SHA256_SIZE], struct kb_bytes secret_key,
                                 const struct kb_sigv4_scope *scope, struct kb_error *err)
{
    struct kb_buffer first = KB_BUFFER_INIT(64 * 1024);
    char date[KB_SIGV4_DATE_SIZE];
    struct kb_bytes own = {key, KB_SHA256_SIZE};
    enum kb_status status;

    first.wipe = true;
    kb_buffer_put_text(&first, "AWS4");
    kb_buffer_put_bytes(&first, secret_key);
    kb_sigv4_format_date(date, scope->time);
    status = kb_buffer_check(&first, err);
    if (status == KB_OK)
        status = kb_hmac(key, KB_SHA256, kb_buffer_view(&first),
                                       (struct kb_bytes){(uint8_t *)date, 8}, err);
    if (status == KB_OK)
        status = kb_hmac(key, KB_SHA256, own, scope->region, err);
    if (status == KB_OK)
        status = kb_hmac(key, KB_SHA256, own, scope->service, err);
    if (status == KB_OK)
        status = kb_hmac(key, KB_SHA256, own, kb_bytes_text(KB_SIGV4_TERMINATOR), err);
    kb_buffer_free(&first);
    return status;
}

enum kb_status kb_sigv4_signature(char out[KB_SIGV4_SIGNATURE_SIZE], struct kb_bytes canonical,
                                  struct kb_bytes secret_key, const struct kb_sigv4_scope *scope,
                                  struct kb_error *err)
{
    struct kb_buffer text = KB_BUFFER_INIT(4096);
    uint8_t key[KB_SHA256_SIZE], mac[KB_SHA256_SIZE];
    char digits[KB_SIGV4_SIGNATURE_SIZE + 1];
    enum kb_status status = kb_sigv4_string_to_sign(&text, canonical, scope, err);

    if (status == KB_OK)
        status = derive_key(key, secret_key, scope, err);
    if (status == KB_OK)
        status = kb_hmac(mac, KB_SHA256, (struct kb_bytes){key, sizeof key},
                                       kb_buffer_view(&text), err);
    if (status == KB_OK) {
        kb_crypto_hex(digits, (struct kb_bytes){mac, sizeof mac});
        memcpy(out, digits, KB_SIGV4_SIGNATURE_SIZE);
    }
    kb_wipe(key, sizeof key);
    /* A verifier computes what a forger would like to know. */
    kb_wipe(mac, sizeof mac);
    kb_wipe(digits, sizeof digits);
    kb_buffer_free(&text);
    return status;
}

static const struct kb_sigv4_header *find_header(const struct kb_sigv4_request *request,
                                                 const char *name)
{
    for (size_t i = 0; i < request->header_count; i++)
        if (kb_sigv4_same_name(request->headers[i].name, kb_bytes_text(name)))
            return &request->headers[i];
    return NULL;
}

static enum kb_status check_headers(const struct kb_sigv4_request *request,
                                    const struct kb_sigv4_scope *scope, struct kb_error *err)
{
    const struct kb_sigv4_header *date = find_header(request, "x-amz-date");
    char want[KB_SIGV4_DATE_SIZE];

    kb_sigv4_format_date(want, scope->time);
    if (!find_header(request, "host"))
        return kb_error_set(err, KB_ERR_USAGE, "a request without Host cannot be signed");
    if (!date || !kb_bytes_equal(date->value, kb_bytes_text(want)))
        return kb_error_set(err, KB_ERR_USAGE,
                            "a request to be signed needs the X-Amz-Date of its signing");
    return KB_OK;
}

enum kb_status kb_sigv4_sign(struct kb_buffer *out, const struct kb_sigv4_request *request,
                             const struct kb_sigv4_keys *keys, const struct kb_sigv4_scope *scope,
                             struct kb_error *err)
{
    struct kb_buffer canonical = KB_BUFFER_INIT(KB_SIGV4_CANONICAL_MAX);
    char signature[KB_SIGV4_SIGNATURE_SIZE];
    enum kb_status status = check_headers(request, scope, err);

    canonical.wipe = true; /* it has the session token */
    if (status == KB_OK)
        status = kb_sigv4_canonical_request(&canonical, request, err);
    if (status == KB_OK)
        status = kb_sigv4_signature(signature, kb_buffer_view(&canonical), keys->secret_key, scope,
                                    err);
    kb_buffer_free(&canonical);
    if (status != KB_OK)
        return status;
    kb_buffer_put_text(out, KB_SIGV4_ALGORITHM " Credential=");
    kb_buffer_put_bytes(out, keys->access_key_id);
    kb_buffer_put_u8(out, '/');
    put_scope(out, scope);
    kb_buffer_put_text(out, ", SignedHeaders=");
    status = kb_sigv4_names(out, request, ";", err);
    kb_buffer_put_text(out, ", Signature=");
    kb_buffer_put(out, signature, sizeof signature);
    return status == KB_OK ? kb_buffer_check(out, err) : status;
}

/* The query of a presigned request up to the signature. */
static enum kb_status put_presigned_query(struct kb_buffer *out,
                                          const struct kb_sigv4_request *request,
                                          const struct kb_sigv4_keys *keys,
                                          const struct kb_sigv4_scope *scope, unsigned expires,
                                          struct kb_error *err)
{
    struct kb_buffer credential = KB_BUFFER_INIT(4096);
    char date[KB_SIGV4_DATE_SIZE], number[16];
    enum kb_status status;

    kb_sigv4_format_date(date, scope->time);
    kb_buffer_put_bytes(&credential, keys->access_key_id);
    kb_buffer_put_u8(&credential, '/');
    put_scope(&credential, scope);
    kb_buffer_put_bytes(out, request->query);
    if (request->query.size)
        kb_buffer_put_u8(out, '&');
    kb_buffer_put_text(out, "X-Amz-Algorithm=" KB_SIGV4_ALGORITHM "&X-Amz-Credential=");
    kb_sigv4_encode(out, kb_buffer_view(&credential), false);
    kb_buffer_put_text(out, "&X-Amz-Date=");
    kb_buffer_put_text(out, date);
    kb_buffer_put_text(out, "&X-Amz-SignedHeaders=");
    status = kb_sigv4_names(out, request, "%3B", err);
    snprintf(number, sizeof number, "%u", expires);
    kb_buffer_put_text(out, "&X-Amz-Expires=");
    kb_buffer_put_text(out, number);
    if (keys->session_token.size) {
        kb_buffer_put_text(out, "&X-Amz-Security-Token=");
        kb_sigv4_encode(out, keys->session_token, false);
    }
    if (status == KB_OK)
        status = kb_buffer_check(&credential, err);
    kb_buffer_free(&credential);
    return status == KB_OK ? kb_buffer_check(out, err) : status;
}

enum kb_status kb_sigv4_presign(struct kb_buffer *out, const struct kb_sigv4_request *request,
                                const struct kb_sigv4_keys *keys,
                                const struct kb_sigv4_scope *scope, unsigned expires,
                                struct kb_error *err)
{
    struct kb_buffer canonical = KB_BUFFER_INIT(KB_SIGV4_CANONICAL_MAX);
    struct kb_sigv4_request all = *request;
    char signature[KB_SIGV4_SIGNATURE_SIZE];
    size_t start = out->size;
    enum kb_status status;

    canonical.wipe = true;
    if (!find_header(request, "host"))
        return kb_error_set(err, KB_ERR_USAGE, "a request without Host cannot be signed");
    status = put_presigned_query(out, request, keys, scope, expires, err);
    if (status == KB_OK) {
        all.query = (struct kb_bytes){out->data + start, out->size - start};
        status = kb_sigv4_canonical_request(&canonical, &all, err);
    }
    if (status == KB_OK)
        status = kb_sigv4_signature(signature, kb_buffer_view(&canonical), keys->secret_key, scope,
                                    err);
    kb_buffer_free(&canonical);
    if (status != KB_OK)
        return status;
    kb_buffer_put_text(out, "&X-Amz-Signature=");
    kb_buffer_put(out, signature, sizeof signature);
    return kb_buffer_check(out, err);
}
