/* SPDX-License-Identifier: Apache-2.0
 *
 * What a service's answer means. No state and no network: the same answer
 * always means the same.
 */
#ifndef KB_AWS_ANSWER_H
#define KB_AWS_ANSWER_H

#include <keybridge/bytes.h>

enum kb_verdict {
    KB_VERDICT_DONE,
    KB_VERDICT_FAILED,    /* for good */
    KB_VERDICT_BUSY,      /* trouble of the service's that passes */
    KB_VERDICT_THROTTLED, /* nothing was done; later */
    KB_VERDICT_DAMAGED,   /* lost on the way: as good as a drop */
    KB_VERDICT_STRANGE,   /* not of the service: worth one more try */
    KB_VERDICT_CLOCK,     /* the signature's time is wrong */
    KB_VERDICT_WORDLESS,  /* for good, unless the signature's time is wrong: HEAD cannot say it */
    KB_VERDICT_EXPIRED,   /* the credentials' time is over */
};

struct kb_aws_answer {
    /* What was asked. */
    const char *service;   /* "dynamodb" */
    const char *operation; /* "PutItem" */
    const char *resource;  /* ARN, or NULL */
    const char *region;
    const char *endpoint;
    const char *source; /* where the credentials are from */
    const void *ctx;    /* of the service's own judge */
    /* What came. */
    unsigned status;
    struct kb_bytes headers;    /* as kb_http_find_header takes them */
    struct kb_bytes error_type; /* x-amzn-errortype, or empty */
    struct kb_bytes crc32;      /* x-amz-crc32, or empty */
    struct kb_bytes body;
};

enum { KB_ANSWER_CODE_SIZE = 64 };

/* Of an answer of the AWS JSON protocol. *err is set for every verdict but DONE:
 * what to say when it ends there. `code` gets the service's error code without
 * its namespace, or "". Never repeats what a service says about a signature: that
 * holds the session token. */
enum kb_verdict kb_aws_answer_judge(const struct kb_aws_answer *answer,
                                    char code[KB_ANSWER_CODE_SIZE], struct kb_error *err);

/* ISO-HDLC, as in gzip. */
uint32_t kb_crc32(struct kb_bytes bytes);

#endif
