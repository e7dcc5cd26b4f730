/* SPDX-License-Identifier: Apache-2.0
 *
 * The AWS KMS API, as far as keybridge uses it: any server that speaks it.
 * Source: AWS KMS API Reference.
 */
#ifndef KEYBRIDGE_KMS_H
#define KEYBRIDGE_KMS_H

#include <keybridge/aws.h>
#include <keybridge/provider.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Any thread may use it. */
struct kb_kms;

enum {
    KB_KMS_PLAIN_MAX = 4096,      /* bytes of a plaintext */
    KB_KMS_CIPHERTEXT_MAX = 6144, /* bytes of a ciphertext blob */
    KB_KMS_KEY_ID_MAX = 2048,     /* bytes of a key id, ARN or alias */
};

/* *out is the caller's. KB_ERR_CONFIG, KB_ERR_USAGE; nothing is sent yet. */
KB_MUST_CHECK enum kb_status kb_kms_open(struct kb_kms **out, const struct kb_aws_options *options,
                                         struct kb_error *err);
void kb_kms_close(struct kb_kms *kms);

enum kb_kms_operation { KB_KMS_ENCRYPT, KB_KMS_DECRYPT, KB_KMS_GENERATE_DATA_KEY };

/* One call; kb_kms_run makes many at once. */
struct kb_kms_job {
    enum kb_kms_operation operation;
    const char *key_id;            /* id, ARN or alias; DECRYPT: NULL leaves it to the blob */
    const struct kb_pair *context; /* encryption context */
    size_t context_count;
    const char *const *grant_tokens;
    size_t grant_token_count;
    struct kb_bytes in; /* ENCRYPT: plaintext, DECRYPT: ciphertext blob */
    size_t size;        /* GENERATE_DATA_KEY: bytes (NumberOfBytes), 1 to 1,024 */
    /* Answer. */
    enum kb_status status; /* KB_ERR_AUTH: wrong blob, context or key; KB_ERR_DENIED;
                              KB_ERR_NOT_FOUND; KB_ERR_REMOTE */
    struct kb_error error;
    char answered_key_id[KB_KMS_KEY_ID_MAX + 1]; /* ARN the service used */
    struct kb_secret *plain;      /* DECRYPT, GENERATE_DATA_KEY; NULL before */
    struct kb_buffer ciphertext;  /* ENCRYPT, GENERATE_DATA_KEY; the caller sets its max */
};

/* As kb_aws_run: KB_OK when every job has an answer of its own. */
KB_MUST_CHECK enum kb_status kb_kms_run(struct kb_kms *kms, struct kb_kms_job *jobs, size_t n,
                                        struct kb_error *err);
/* Frees the answer. */
void kb_kms_job_free(struct kb_kms_job *job);

struct kb_kms_key {
    char id[KB_KMS_KEY_ID_MAX + 1];
    char arn[KB_KMS_KEY_ID_MAX + 1];
    char state[32];       /* "Enabled" */
    char usage[32];       /* "ENCRYPT_DECRYPT" */
    char spec[32];        /* "SYMMETRIC_DEFAULT" */
    char manager[16];     /* "CUSTOMER" or "AWS" */
    char origin[32];      /* "AWS_KMS", "EXTERNAL_KEY_STORE"… */
    char description[8193];
};
/* A new symmetric key for encryption; description may be NULL. Errors as of
 * kb_kms_job.status; KB_ERR_USAGE for an id that is none. */
KB_MUST_CHECK enum kb_status kb_kms_create_key(struct kb_kms *kms, const char *description,
                                               struct kb_kms_key *out, struct kb_error *err);
KB_MUST_CHECK enum kb_status kb_kms_describe_key(struct kb_kms *kms, const char *key_id,
                                                 struct kb_kms_key *out, struct kb_error *err);

#ifdef __cplusplus
}
#endif
#endif
