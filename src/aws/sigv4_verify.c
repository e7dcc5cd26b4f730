/* SPDX-License-Identifier: Apache-2.0 */
#include "aws/sigv4_steps.h"

#include <string.h>
#include <time.h>

/* What an Authorization header says, as views into it. */
struct authorization {
    struct kb_bytes access_key_id;
    struct kb_bytes date; /* of the scope: "20150830" */
    struct kb_bytes region;
    struct kb_bytes service;
    struct kb_bytes names; /* "host;x-amz-date" */
    struct kb_bytes signature;
};

enum { SKEW_DEFAULT = 300, SCOPE_PARTS = 5, DATE_TEXT = KB_SIGV4_DATE_SIZE - 1 };

/* Takes `prefix` from the front of `text`. */
static bool take(struct kb_bytes *text, const char *prefix)
{
    size_t size = strlen(prefix);

    if (text->size < size || memcmp(text->data, prefix, size) != 0)
        return false;
    text->data += size;
    text->size -= size;
    return true;
}

/* Takes what is before `mark`, and the mark; false when it is not there. */
static bool take_until(struct kb_bytes *text, char mark, struct kb_bytes *out)
{
    const uint8_t *found = text->size ? memchr(text->data, mark, text->size) : NULL;

    if (!found)
        return false;
    *out = (struct kb_bytes){text->data, (size_t)(found - text->data)};
    text->data += out->size + 1;
    text->size -= out->size + 1;
    return true;
}

static void skip_blanks(struct kb_bytes *text)
{
    while (text->size && (*text->data == ' ' || *text->data == '\t')) {
        text->data++;
        text->size--;
    }
}

static struct kb_bytes trim(struct kb_bytes text)
{
    skip_blanks(&text);
    while (text.size && strchr(" \t\r\n", text.data[text.size - 1]) && text.data[text.size - 1])
        text.size--;
    return text;
}

static bool parse_credential(struct authorization *out, struct kb_bytes text)
{
    struct kb_bytes *const parts[SCOPE_PARTS - 1] = {&out->access_key_id, &out->date, &out->region,
                                                     &out->service};

    for (size_t i = 0; i < SCOPE_PARTS - 1; i++)
        if (!take_until(&text, '/', parts[i]) || parts[i]->size == 0)
            return false;
    return kb_bytes_equal(text, kb_bytes_text(KB_SIGV4_TERMINATOR));
}

/* The names are as we would write them: lower case, sorted, each once. */
static bool names_are_good(struct kb_bytes names)
{
    struct kb_bytes name, last = {NULL, 0};

    for (bool more = true; more;) {
        more = take_until(&names, ';', &name);
        if (!more)
            name = names;
        if (name.size == 0 || (last.data && kb_bytes_compare(last, name) >= 0))
            return false;
        for (size_t i = 0; i < name.size; i++)
            if (name.data[i] <= ' ' || name.data[i] >= 0x7f ||
                (name.data[i] >= 'A' && name.data[i] <= 'Z'))
                return false;
        last = name;
    }
    return true;
}

static bool is_hex(struct kb_bytes text)
{
    for (size_t i = 0; i < text.size; i++)
        if (!((text.data[i] >= '0' && text.data[i] <= '9') ||
              (text.data[i] >= 'a' && text.data[i] <= 'f')))
            return false;
    return true;
}

static bool parse_authorization(struct authorization *out, struct kb_bytes text)
{
    struct kb_bytes credential;

    text = trim(text);
    if (!take(&text, KB_SIGV4_ALGORITHM " "))
        return false;
    skip_blanks(&text);
    if (!take(&text, "Credential=") || !take_until(&text, ',', &credential))
        return false;
    skip_blanks(&text);
    if (!take(&text, "SignedHeaders=") || !take_until(&text, ',', &out->names))
        return false;
    skip_blanks(&text);
    if (!take(&text, "Signature="))
        return false;
    out->signature = text;
    return text.size == KB_SIGV4_SIGNATURE_SIZE && is_hex(text) &&
           parse_credential(out, credential) && names_are_good(out->names);
}

/* "20150830T123600Z" and nothing else; false when there is no such time. */
static bool parse_date(int64_t *out, struct kb_bytes text)
{
    static const char shape[] = "ddddddddTddddddZ";
    char again[KB_SIGV4_DATE_SIZE];
    struct tm parts = {0};
    int n[6] = {0};
    static const uint8_t field[DATE_TEXT] = {0, 0, 0, 0, 1, 1, 2, 2, 9, 3, 3, 4, 4, 5, 5, 9};

    if (text.size != DATE_TEXT)
        return false;
    for (size_t i = 0; i < DATE_TEXT; i++) {
        uint8_t c = text.data[i];

        if (shape[i] == 'd' ? c < '0' || c > '9' : c != (uint8_t)shape[i])
            return false;
        if (field[i] < 6)
            n[field[i]] = n[field[i]] * 10 + (c - '0');
    }
    parts.tm_year = n[0] - 1900;
    parts.tm_mon = n[1] - 1;
    parts.tm_mday = n[2];
    parts.tm_hour = n[3];
    parts.tm_min = n[4];
    parts.tm_sec = n[5];
    *out = (int64_t)timegm(&parts);
    /* The 30th of February would have become another day. */
    kb_sigv4_format_date(again, *out);
    return memcmp(again, text.data, DATE_TEXT) == 0;
}

/* The one header of that name; *n is how many there are. */
static struct kb_bytes header_value(const struct kb_sigv4_request *request, const char *name,
                                    size_t *n)
{
    struct kb_bytes found = {NULL, 0};

    *n = 0;
    for (size_t i = 0; i < request->header_count; i++)
        if (kb_sigv4_same_name(request->headers[i].name, kb_bytes_text(name))) {
            found = request->headers[i].value;
            ++*n;
        }
    return found;
}

static bool is_present(const struct kb_sigv4_request *request, struct kb_bytes name)
{
    for (size_t i = 0; i < request->header_count; i++)
        if (kb_sigv4_same_name(request->headers[i].name, name))
            return true;
    return false;
}

static enum kb_status deny(struct kb_error *err, const char *reason)
{
    return kb_error_set(err, KB_ERR_DENIED, "the request's signature is refused: %s", reason);
}

/* Host and all X-Amz- headers are there once and signed; all that is signed is
 * there. A name that is there twice could mean one thing to the signature and
 * another to who reads the request. */
static enum kb_status check_names(const struct kb_sigv4_request *request, struct kb_bytes names,
                                  struct kb_error *err)
{
    struct kb_bytes name, left = names;

    for (size_t i = 0; i < request->header_count; i++) {
        struct kb_bytes own = request->headers[i].name;
        struct kb_bytes start = {own.data, own.size < 6 ? own.size : 6};

        if (!kb_sigv4_same_name(start, kb_bytes_text("x-amz-")) &&
            !kb_sigv4_same_name(own, kb_bytes_text("host")))
            continue;
        if (!kb_sigv4_lists(names, own))
            return deny(err, "Host or an X-Amz- header is not signed");
        for (size_t j = 0; j < i; j++)
            if (kb_sigv4_same_name(request->headers[j].name, own))
                return deny(err, "Host or an X-Amz- header is there twice");
    }
    for (bool more = true; more;) {
        more = take_until(&left, ';', &name);
        if (!is_present(request, more ? name : left))
            return deny(err, "a header that is signed is not there");
    }
    if (!kb_sigv4_lists(names, kb_bytes_text("host")) ||
        !kb_sigv4_lists(names, kb_bytes_text("x-amz-date")))
        return deny(err, "Host and X-Amz-Date have to be signed");
    return KB_OK;
}

static enum kb_status check_time(const struct kb_sigv4_verifier *verifier,
                                 const struct kb_sigv4_request *request,
                                 const struct authorization *auth, int64_t *time,
                                 struct kb_error *err)
{
    int64_t skew = verifier->skew ? verifier->skew : SKEW_DEFAULT;
    size_t n;
    struct kb_bytes date = trim(header_value(request, "x-amz-date", &n));

    if (n != 1 || !parse_date(time, date))
        return deny(err, "X-Amz-Date is not a time");
    if (auth->date.size != 8 || memcmp(auth->date.data, date.data, 8) != 0)
        return deny(err, "the scope's date is not that of X-Amz-Date");
    if (*time < verifier->now - skew || *time > verifier->now + skew)
        return deny(err, "X-Amz-Date is too far from the clock here");
    return KB_OK;
}

static enum kb_status check_scope(const struct kb_sigv4_verifier *verifier,
                                  const struct authorization *auth, struct kb_error *err)
{
    bool region = false;

    for (size_t i = 0; i < verifier->region_count; i++)
        region = region || kb_bytes_equal(auth->region, verifier->regions[i]);
    if (!region)
        return deny(err, "it is for another region");
    if (!kb_bytes_equal(auth->service, verifier->service))
        return deny(err, "it is for another service");
    return KB_OK;
}

static enum kb_status check_signature(const struct kb_sigv4_request *request,
                                      const struct authorization *auth, struct kb_bytes secret_key,
                                      int64_t time, struct kb_error *err)
{
    struct kb_sigv4_scope scope = {time, auth->region, auth->service};
    struct kb_buffer canonical = KB_BUFFER_INIT(KB_SIGV4_CANONICAL_MAX);
    char want[KB_SIGV4_SIGNATURE_SIZE];
    struct kb_error own = {0};
    enum kb_status status;

    canonical.wipe = true;
    status = kb_sigv4_canonical_of(&canonical, request, auth->names, &own);
    if (status == KB_ERR_USAGE)
        status = deny(err, own.text);
    else if (status != KB_OK)
        kb_error_set(err, status, "%s", own.text);
    if (status == KB_OK)
        status = kb_sigv4_signature(want, kb_buffer_view(&canonical), secret_key, &scope, err);
    if (status == KB_OK &&
        !kb_secret_equal((struct kb_bytes){(uint8_t *)want, sizeof want}, auth->signature))
        status = deny(err, "it is not that of the request and key");
    kb_wipe(want, sizeof want);
    kb_buffer_free(&canonical);
    return status;
}

enum kb_status kb_sigv4_verify(const struct kb_sigv4_verifier *verifier,
                               const struct kb_sigv4_request *request, struct kb_error *err)
{
    struct authorization auth = {.signature = {NULL, 0}};
    struct kb_bytes header, hash, secret_key;
    enum kb_status status;
    int64_t time = 0;
    size_t n;

    if (request->header_count > KB_SIGV4_HEADERS_MAX)
        return deny(err, "the request has too many headers");
    if (request->path.size == 0 || request->path.data[0] != '/')
        return deny(err, "the path does not begin with a slash");
    header = header_value(request, "authorization", &n);
    if (n != 1)
        return deny(err, n ? "there are several Authorization headers" : "there is none");
    if (!parse_authorization(&auth, header))
        return deny(err, "the Authorization header is not one of " KB_SIGV4_ALGORITHM);
    status = check_names(request, auth.names, err);
    if (status == KB_OK)
        status = check_time(verifier, request, &auth, &time, err);
    if (status == KB_OK)
        status = check_scope(verifier, &auth, err);
    if (status != KB_OK)
        return status;
    hash = trim(header_value(request, "x-amz-content-sha256", &n));
    if (n && !kb_bytes_equal(hash, request->payload_hash))
        return deny(err, "X-Amz-Content-SHA256 is not the body's");
    if (!verifier->find(verifier->ctx, auth.access_key_id, &secret_key))
        return deny(err, "the access key id is not known");
    return check_signature(request, &auth, secret_key, time, err);
}
