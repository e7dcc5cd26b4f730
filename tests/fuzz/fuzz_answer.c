/* SPDX-License-Identifier: Apache-2.0
 *
 * Meaning of a service's answer. The input: a line with the HTTP status, one
 * with x-amzn-errortype, one with x-amz-crc32, then the body.
 */
#include "aws/answer.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static struct kb_bytes take_line(const uint8_t **data, size_t *size)
{
    const uint8_t *end = *size ? memchr(*data, '\n', *size) : NULL;
    struct kb_bytes line = {*data, end ? (size_t)(end - *data) : *size};

    *data += line.size + (end != NULL);
    *size -= line.size + (end != NULL);
    return line;
}

static void check_code(const char *code)
{
    size_t size = strnlen(code, KB_ANSWER_CODE_SIZE);

    require(size < KB_ANSWER_CODE_SIZE);
    for (size_t i = 0; i < size; i++)
        require((code[i] | 0x20) >= 'a' && (code[i] | 0x20) <= 'z');
}

static void check_error(const struct kb_error *err, enum kb_verdict verdict)
{
    require((verdict == KB_VERDICT_DONE) == (err->status == KB_OK));
    if (verdict == KB_VERDICT_DONE)
        return;
    require(err->text[0] && err->detail_kind == KB_DETAIL_HTTP);
    for (const char *c = err->text; *c; c++)
        require((unsigned char)*c >= 0x20 && *c != 0x7f);
    if (verdict == KB_VERDICT_CLOCK || verdict == KB_VERDICT_EXPIRED)
        require(err->status == KB_ERR_DENIED);
    else if (verdict != KB_VERDICT_FAILED)
        require(err->status == KB_ERR_REMOTE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kb_aws_answer answer = {
        .service = "dynamodb",
        .operation = "GetItem",
        .resource = size % 2 ? "arn:aws:dynamodb:eu-central-1:*:table/T" : NULL,
        .region = "eu-central-1",
        .endpoint = "http://127.0.0.1:8000",
        .source = "environment",
    };
    struct kb_bytes status = take_line(&data, &size);
    char code[KB_ANSWER_CODE_SIZE];
    struct kb_error err;
    enum kb_verdict verdict;

    for (size_t i = 0; i < status.size && i < 3; i++)
        answer.status = answer.status * 10 + (status.data[i] - '0' + 10u) % 10u;
    answer.error_type = take_line(&data, &size);
    answer.crc32 = take_line(&data, &size);
    answer.body = (struct kb_bytes){data, size};
    verdict = kb_aws_answer_judge(&answer, code, &err);
    check_code(code);
    check_error(&err, verdict);
    require(verdict != KB_VERDICT_DONE || (answer.status >= 200 && answer.status < 300));
    return 0;
}
