/* SPDX-License-Identifier: Apache-2.0
 *
 * Sources: "Error handling with DynamoDB" (Developer Guide), "Common errors"
 * (AWS KMS API Reference), AWS JSON protocols (Smithy 2.0). Servers that are
 * not AWS's differ: the code has a namespace or none, the message is `message`
 * or `Message` or missing.
 */
#include "aws/answer.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

/* A tree of what is parsed takes many times its room: no error is this long. */
enum { ERROR_MAX = 64 * 1024 };

enum meaning {
    REPEAT,
    THROTTLED,
    MISSING,
    EXISTS,
    UNAUTHENTIC,
    UNUSABLE, /* a key that is there but may not be used */
    WRONG_KEYS,
    CLOCK,
    EXPIRED,
    FORBIDDEN,
};

static const struct {
    const char *code;
    enum meaning meaning;
} codes[] = {
    {"ThrottlingException", THROTTLED},
    {"Throttling", THROTTLED},
    {"ThrottledException", THROTTLED},
    {"RequestThrottled", THROTTLED},
    {"RequestThrottledException", THROTTLED},
    {"TooManyRequestsException", THROTTLED},
    {"ProvisionedThroughputExceededException", THROTTLED},
    {"RequestLimitExceeded", THROTTLED},
    {"BandwidthLimitExceeded", THROTTLED},
    {"LimitExceededException", THROTTLED},
    {"SlowDown", THROTTLED},
    {"InternalServerError", REPEAT},
    {"InternalFailure", REPEAT},
    {"ServiceUnavailable", REPEAT},
    {"ServiceUnavailableException", REPEAT},
    {"KMSInternalException", REPEAT},
    {"DependencyTimeoutException", REPEAT},
    {"KeyUnavailableException", REPEAT},
    {"RequestTimeout", REPEAT},
    {"RequestTimeoutException", REPEAT},
    {"TransactionInProgressException", REPEAT},
    {"TransactionConflictException", REPEAT},
    {"ReplicatedWriteConflictException", REPEAT},
    {"ResourceNotFoundException", MISSING},
    {"TableNotFoundException", MISSING},
    {"NotFoundException", MISSING},
    {"ResourceInUseException", EXISTS},
    {"TableAlreadyExistsException", EXISTS},
    {"TableInUseException", EXISTS},
    {"AlreadyExistsException", EXISTS},
    {"InvalidCiphertextException", UNAUTHENTIC},
    {"IncorrectKeyException", UNAUTHENTIC},
    {"DisabledException", UNUSABLE},
    {"KMSInvalidStateException", UNUSABLE},
    {"InvalidKeyUsageException", UNUSABLE},
    {"UnrecognizedClientException", WRONG_KEYS},
    {"InvalidClientTokenId", WRONG_KEYS},
    {"InvalidAccessKeyId", WRONG_KEYS},
    {"SignatureDoesNotMatch", WRONG_KEYS},
    {"InvalidSignatureException", WRONG_KEYS},
    {"AuthFailure", WRONG_KEYS},
    {"MissingAuthenticationToken", WRONG_KEYS},
    {"MissingAuthenticationTokenException", WRONG_KEYS},
    {"NotAuthenticated", WRONG_KEYS},
    {"RequestTimeTooSkewed", CLOCK},
    {"RequestInTheFuture", CLOCK},
    {"IncompleteSignature", CLOCK},
    {"IncompleteSignatureException", CLOCK},
    {"ExpiredToken", EXPIRED},
    {"ExpiredTokenException", EXPIRED},
    {"RequestExpired", EXPIRED},
    {"AccessDeniedException", FORBIDDEN},
    {"AccessDenied", FORBIDDEN},
    {"NotAuthorized", FORBIDDEN},
    {"UnauthorizedOperation", FORBIDDEN},
    {"AuthorizationErrorException", FORBIDDEN},
    {"OptInRequired", FORBIDDEN},
};

/* --- CRC-32 --------------------------------------------------------------------- */

uint32_t kb_crc32(struct kb_bytes bytes)
{
    return (uint32_t)crc32_z(crc32_z(0, NULL, 0), bytes.data, bytes.size);
}

/* A header that is no number is no proof of damage. */
static bool crc_differs(const struct kb_aws_answer *answer)
{
    uint64_t want = 0;

    if (answer->crc32.size == 0 || answer->crc32.size > 10)
        return false;
    for (size_t i = 0; i < answer->crc32.size; i++) {
        if (answer->crc32.data[i] < '0' || answer->crc32.data[i] > '9')
            return false;
        want = want * 10 + (answer->crc32.data[i] - '0');
    }
    return want != kb_crc32(answer->body);
}

/* --- the parts of an error --------------------------------------------------------- */

struct trouble {
    const char *code;
    char message[200]; /* "" when none came */
    enum meaning meaning;
    bool known; /* `meaning` is one */
};

/* "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException", or with
 * ":http://…" behind it: the word between. */
static void set_code(char code[KB_ANSWER_CODE_SIZE], struct kb_bytes text)
{
    const uint8_t *hash = text.size ? memrchr(text.data, '#', text.size) : NULL;
    size_t size = 0;

    if (hash) {
        text.size -= (size_t)(hash + 1 - text.data);
        text.data = hash + 1;
    }
    while (size < text.size && size + 1 < KB_ANSWER_CODE_SIZE &&
           ((text.data[size] | 0x20) >= 'a' && (text.data[size] | 0x20) <= 'z'))
        size++;
    if (size)
        memcpy(code, text.data, size);
    code[size] = 0;
}

static const char *text_of(const cJSON *object, const char *name)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));

    return text ? text : "";
}

/* True when the body is an object, or the header says what the error is. */
static bool read_trouble(const struct kb_aws_answer *answer, char code[KB_ANSWER_CODE_SIZE],
                         struct trouble *out)
{
    cJSON *body = answer->body.size > ERROR_MAX
                      ? NULL
                      : cJSON_ParseWithLength((const char *)answer->body.data, answer->body.size);
    bool good = cJSON_IsObject(body);

    *out = (struct trouble){.code = code};
    if (answer->error_type.size)
        set_code(code, answer->error_type);
    if (good) {
        const char *message = text_of(body, "message");

        if (!code[0])
            set_code(code, kb_bytes_text(text_of(body, "__type")));
        if (!code[0])
            set_code(code, kb_bytes_text(text_of(body, "code")));
        snprintf(out->message, sizeof out->message, "%s",
                 message[0] ? message : text_of(body, "Message"));
    }
    cJSON_Delete(body);
    for (size_t i = 0; i < sizeof codes / sizeof *codes && !out->known; i++)
        if (strcmp(codes[i].code, code) == 0) {
            out->known = true;
            out->meaning = codes[i].meaning;
        }
    return good || code[0];
}

static bool says(const struct trouble *trouble, const char *words)
{
    return strcasestr(trouble->message, words) != NULL;
}

/* --- sentences ----------------------------------------------------------------------- */

/* "host:port" or so of the endpoint. */
static const char *host_of(const struct kb_aws_answer *answer)
{
    const char *host = strstr(answer->endpoint, "://");

    return host ? host + 3 : answer->endpoint;
}

static void say_wrong_keys(const struct kb_aws_answer *answer, const struct trouble *trouble,
                           struct kb_error *err)
{
    /* "Credential should be scoped to a valid region, not 'x'." */
    if (says(trouble, "scoped to")) {
        kb_error_set(err, KB_ERR_DENIED, "%s does not take requests signed for region %s",
                     host_of(answer), answer->region);
        kb_error_hint(err, "set the region of the endpoint, by option or by AWS_REGION");
        return;
    }
    kb_error_set(err, KB_ERR_DENIED, "%s does not accept the credentials from %s (%s)",
                 answer->service, answer->source, trouble->code);
    kb_error_hint(err, "check the access key id and the secret key, and that they are of the "
                       "account that the endpoint belongs to");
}

static void say_forbidden(const struct kb_aws_answer *answer, struct kb_error *err)
{
    const char *resource = answer->resource ? answer->resource : "this resource";
    char hint[1024];

    kb_error_set(err, KB_ERR_DENIED, "%s:%s is not allowed for these credentials on %s",
                 answer->service, answer->operation, resource);
    snprintf(hint, sizeof hint,
             "their policy needs {\"Effect\":\"Allow\",\"Action\":\"%s:%s\",\"Resource\":\"%s\"}",
             answer->service, answer->operation, answer->resource ? answer->resource : "*");
    /* Half a statement would be no help. */
    if (strlen(hint) < sizeof err->hint)
        kb_error_hint(err, "%s", hint);
    else
        kb_error_hint(err, "their policy needs to allow %s:%s on it", answer->service,
                      answer->operation);
}

static void say(const struct kb_aws_answer *answer, const struct trouble *trouble,
                enum kb_status status, struct kb_error *err)
{
    const char *message = trouble->message;

    kb_error_set(err, status, "%s:%s: %s%s%s%s%s", answer->service, answer->operation,
                 message[0] ? message : trouble->code, message[0] ? " (" : "",
                 message[0] ? trouble->code : "", message[0] ? ")" : "",
                 message[0] || trouble->code[0] ? "" : "an error without a name");
}

static void say_strange(const struct kb_aws_answer *answer, struct kb_error *err)
{
    kb_error_set(err, KB_ERR_REMOTE, "%s answered with something that is not JSON (a proxy?)",
                 host_of(answer));
    kb_error_hint(err, "check the endpoint and HTTPS_PROXY; the HTTP status was %u",
                  answer->status);
}

static enum kb_verdict judge_known(const struct kb_aws_answer *answer,
                                   const struct trouble *trouble, struct kb_error *err)
{
    switch (trouble->meaning) {
    case REPEAT:
        say(answer, trouble, KB_ERR_REMOTE, err);
        return KB_VERDICT_BUSY;
    case THROTTLED:
        say(answer, trouble, KB_ERR_REMOTE, err);
        kb_error_hint(err, "the service limits the rate of requests: raise its limits, or ask for "
                           "less at once");
        return KB_VERDICT_THROTTLED;
    case MISSING:
        say(answer, trouble, KB_ERR_NOT_FOUND, err);
        return KB_VERDICT_FAILED;
    case EXISTS:
        say(answer, trouble, KB_ERR_EXISTS, err);
        return KB_VERDICT_FAILED;
    case UNAUTHENTIC:
        kb_error_set(err, KB_ERR_AUTH, "%s:%s does not accept the ciphertext (%s)",
                     answer->service, answer->operation, trouble->code);
        return KB_VERDICT_FAILED;
    case UNUSABLE:
        kb_error_set(err, KB_ERR_DENIED, "the key %s cannot be used for %s:%s (%s)",
                     answer->resource ? answer->resource : "asked for", answer->service,
                     answer->operation, trouble->code);
        kb_error_hint(err, "see the key's state and usage: it may be disabled, pending deletion, "
                           "or meant for something else");
        return KB_VERDICT_FAILED;
    case WRONG_KEYS:
        say_wrong_keys(answer, trouble, err);
        return says(trouble, "expired") || says(trouble, "not yet current")
                   ? KB_VERDICT_CLOCK
                   : KB_VERDICT_FAILED;
    case CLOCK:
        say_wrong_keys(answer, trouble, err);
        return KB_VERDICT_CLOCK;
    case EXPIRED:
        kb_error_set(err, KB_ERR_DENIED, "the credentials from %s have expired", answer->source);
        kb_error_hint(err, "sign in anew, or let a credential_process or an instance role fetch "
                           "fresh ones");
        return KB_VERDICT_EXPIRED;
    case FORBIDDEN:
        say_forbidden(answer, err);
        return KB_VERDICT_FAILED;
    }
    return KB_VERDICT_FAILED;
}

static enum kb_verdict judge_status(const struct kb_aws_answer *answer,
                                    const struct trouble *trouble, bool parsed,
                                    struct kb_error *err)
{
    if (answer->status >= 300 && answer->status < 400) {
        kb_error_set(err, KB_ERR_REMOTE, "%s sends elsewhere (HTTP status %u)", host_of(answer),
                     answer->status);
        kb_error_hint(err, "the endpoint or the region %s may be wrong", answer->region);
        return KB_VERDICT_FAILED;
    }
    if (answer->status >= 500) {
        if (parsed && (trouble->code[0] || trouble->message[0]))
            say(answer, trouble, KB_ERR_REMOTE, err);
        else
            kb_error_set(err, KB_ERR_REMOTE, "%s has trouble (HTTP status %u)", host_of(answer),
                         answer->status);
        return KB_VERDICT_BUSY;
    }
    if (answer->status == 429) {
        kb_error_set(err, KB_ERR_REMOTE, "%s limits the rate of requests (HTTP status 429)",
                     host_of(answer));
        return KB_VERDICT_THROTTLED;
    }
    if (answer->status == 413) {
        kb_error_set(err, KB_ERR_USAGE, "%s:%s: the request is too large for %s", answer->service,
                     answer->operation, host_of(answer));
        return KB_VERDICT_FAILED;
    }
    if (!parsed) {
        say_strange(answer, err);
        return KB_VERDICT_STRANGE;
    }
    if (!trouble->code[0] && (answer->status == 403 || answer->status == 401)) {
        say_forbidden(answer, err);
        return KB_VERDICT_FAILED;
    }
    say(answer, trouble, KB_ERR_USAGE, err);
    return KB_VERDICT_FAILED;
}

/* Whether the body begins and ends as an object does. Its caller parses it. */
static bool looks_like_object(struct kb_bytes body)
{
    static const char space[] = " \t\r\n";
    size_t first = 0, last = body.size;

    while (first < last && memchr(space, body.data[first], sizeof space - 1))
        first++;
    while (last > first && memchr(space, body.data[last - 1], sizeof space - 1))
        last--;
    return last - first >= 2 && body.data[first] == '{' && body.data[last - 1] == '}';
}

enum kb_verdict kb_aws_answer_judge(const struct kb_aws_answer *answer,
                                    char code[KB_ANSWER_CODE_SIZE], struct kb_error *err)
{
    enum kb_verdict verdict;
    struct trouble trouble;

    code[0] = 0;
    kb_error_clear(err);
    if (crc_differs(answer)) {
        kb_error_set(err, KB_ERR_REMOTE, "the answer of %s was damaged on its way (CRC-32)",
                     host_of(answer));
        verdict = KB_VERDICT_DAMAGED;
    } else if (answer->status >= 200 && answer->status < 300) {
        if (looks_like_object(answer->body))
            return KB_VERDICT_DONE;
        say_strange(answer, err);
        verdict = KB_VERDICT_STRANGE;
    } else {
        bool parsed = read_trouble(answer, code, &trouble);

        verdict = trouble.known ? judge_known(answer, &trouble, err)
                                : judge_status(answer, &trouble, parsed, err);
    }
    err->detail_kind = KB_DETAIL_HTTP;
    err->detail = answer->status;
    return verdict;
}
