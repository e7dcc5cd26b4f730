/* SPDX-License-Identifier: Apache-2.0
 *
 * The KMS client against a server that notes what it is asked and answers what
 * it is told; and against a real one when KB_KMS_URL names it.
 */
#include "httpd.h"
#include "kbtest.h"

#include <keybridge/kms.h>
#include <keybridge/secret.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fake {
    struct httpd *server;
    unsigned status; /* 0: 200 */
    const char *answer;
    char target[64];
    char body[8192];
};

static void handle(void *ctx, const struct httpd_request *request, struct httpd_answer *answer)
{
    struct fake *fake = ctx;
    const char *target = httpd_get(request, "x-amz-target");

    snprintf(fake->target, sizeof fake->target, "%s", target ? target : "");
    snprintf(fake->body, sizeof fake->body, "%.*s", (int)request->body.size, request->body.data);
    httpd_header(answer, "Content-Type", "application/x-amz-json-1.1");
    httpd_header(answer, "x-amzn-RequestId", "R");
    if (fake->status)
        answer->status = fake->status;
    httpd_text(answer, "%s", fake->answer);
}

static struct kb_kms *start(struct fake *fake)
{
    struct kb_aws_options options = {.region = "eu-central-1", .max_tries = 2};
    struct kb_error err = {0};
    struct kb_kms *kms;

    fake->server = httpd_start(handle, fake);
    options.endpoint_url = httpd_url(fake->server);
    KBT_OK(kb_kms_open(&kms, &options, &err), &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(kms);
    return kms;
}

static void stop(struct fake *fake, struct kb_kms *kms)
{
    kb_kms_close(kms);
    httpd_stop(fake->server);
}

static struct kb_bytes text(const char *chars)
{
    return kb_bytes_text(chars);
}

#define ARN "arn:aws:kms:eu-central-1:1:key/k"

static enum kb_status run(struct kb_kms *kms, struct kb_kms_job *job)
{
    struct kb_error err = {0};

    KBT_OK(kb_kms_run(kms, job, 1, &err), &err);
    return job->status;
}

static void test_generate(void)
{
    struct fake fake = {.answer = "{\"CiphertextBlob\":\"Y2lwaGVy\",\"Plaintext\":\"\\/\\/79/A==\","
                                  "\"KeyId\":\"" ARN "\",\"KeyMaterialId\":\"x\"}"};
    struct kb_kms *kms = start(&fake);
    const struct kb_pair context[] = {
        {text("*amzn-ddb-env-alg*"), text("AES/256")},
        {text("Order \"ID\""), text("1\n2\\\xc3\xa9")},
    };
    const char *const tokens[] = {"one", "two"};
    struct kb_kms_job job = {.operation = KB_KMS_GENERATE_DATA_KEY, .key_id = "alias/k",
                             .context = context, .context_count = 2, .grant_tokens = tokens,
                             .grant_token_count = 2, .size = 4};

    CU_ASSERT_EQUAL(run(kms, &job), KB_OK);
    CU_ASSERT_STRING_EQUAL(fake.target, "TrentService.GenerateDataKey");
    CU_ASSERT_STRING_EQUAL(
        fake.body, "{\"KeyId\":\"alias/k\",\"NumberOfBytes\":4,\"EncryptionContext\":"
                   "{\"*amzn-ddb-env-alg*\":\"AES/256\","
                    "\"Order \\\"ID\\\"\":\"1\\n2\\\\\xc3\xa9\"},"
                   "\"GrantTokens\":[\"one\",\"two\"]}");
    KBT_BYTES(kb_secret_view(job.plain),
              ((struct kb_bytes){(const uint8_t *)"\xff\xfe\xfd\xfc", 4}));
    KBT_TEXT(kb_buffer_view(&job.ciphertext), "cipher");
    CU_ASSERT_STRING_EQUAL(job.answered_key_id, ARN);
    kb_kms_job_free(&job);
    /* Not as long as was asked. */
    job.size = 32;
    CU_ASSERT_EQUAL(run(kms, &job), KB_ERR_REMOTE);
    CU_ASSERT_PTR_NULL(job.plain);
    kb_kms_job_free(&job);
    stop(&fake, kms);
}

static void test_decrypt_encrypt(void)
{
    struct fake fake = {.answer = "{\"Plaintext\":\"YQ==\",\"KeyId\":\"" ARN "\","
                                  "\"CiphertextBlob\":\"Yg==\"}"};
    struct kb_kms *kms = start(&fake);
    struct kb_kms_job job = {.operation = KB_KMS_DECRYPT, .in = text("blob")};

    CU_ASSERT_EQUAL(run(kms, &job), KB_OK);
    CU_ASSERT_STRING_EQUAL(fake.target, "TrentService.Decrypt");
    CU_ASSERT_STRING_EQUAL(fake.body, "{\"CiphertextBlob\":\"YmxvYg==\"}");
    KBT_TEXT(kb_secret_view(job.plain), "a");
    kb_kms_job_free(&job);
    job.key_id = ARN;
    CU_ASSERT_EQUAL(run(kms, &job), KB_OK);
    CU_ASSERT_STRING_EQUAL(fake.body,
                           "{\"KeyId\":\"" ARN "\",\"CiphertextBlob\":\"YmxvYg==\"}");
    kb_kms_job_free(&job);
    job = (struct kb_kms_job){.operation = KB_KMS_ENCRYPT, .key_id = "k", .in = text("a")};
    CU_ASSERT_EQUAL(run(kms, &job), KB_OK);
    CU_ASSERT_STRING_EQUAL(fake.target, "TrentService.Encrypt");
    CU_ASSERT_STRING_EQUAL(fake.body, "{\"KeyId\":\"k\",\"Plaintext\":\"YQ==\"}");
    CU_ASSERT_PTR_NULL(job.plain);
    KBT_TEXT(kb_buffer_view(&job.ciphertext), "b");
    kb_kms_job_free(&job);
    stop(&fake, kms);
}

static void check_usage(struct kb_kms *kms, struct kb_kms_job job)
{
    CU_ASSERT_EQUAL(run(kms, &job), KB_ERR_USAGE);
    CU_ASSERT_STRING_NOT_EQUAL(job.error.text, "");
    kb_kms_job_free(&job);
}

static void test_usage(void)
{
    static uint8_t large[KB_KMS_CIPHERTEXT_MAX + 1];
    struct fake fake = {.answer = "{}"};
    struct kb_kms *kms = start(&fake);
    const struct kb_pair twice[] = {{text("a"), text("1")}, {text("b"), text("2")},
                                    {text("a"), text("3")}};
    const struct kb_pair bad[] = {{text("a"), text("\xff")}};
    struct kb_kms_job generate = {.operation = KB_KMS_GENERATE_DATA_KEY, .key_id = "k", .size = 8};
    struct kb_kms_job job = generate;

    job.context = twice;
    job.context_count = 3;
    check_usage(kms, job);
    job.context = bad;
    job.context_count = 1;
    check_usage(kms, job);
    job = generate;
    job.key_id = NULL;
    check_usage(kms, job);
    job = generate;
    job.size = 0;
    check_usage(kms, job);
    job.size = 1025;
    check_usage(kms, job);
    check_usage(kms, (struct kb_kms_job){.operation = KB_KMS_ENCRYPT, .key_id = "k"});
    check_usage(kms, (struct kb_kms_job){.operation = KB_KMS_ENCRYPT, .key_id = "k",
                                         .in = {large, KB_KMS_PLAIN_MAX + 1}});
    check_usage(kms, (struct kb_kms_job){.operation = KB_KMS_DECRYPT});
    check_usage(kms, (struct kb_kms_job){.operation = KB_KMS_DECRYPT, .in = {large, sizeof large}});
    CU_ASSERT_EQUAL(httpd_requests(fake.server), 0);
    stop(&fake, kms);
}

static void check_answer(unsigned http, const char *answer, enum kb_status want)
{
    struct fake fake = {.status = http, .answer = answer};
    struct kb_kms *kms = start(&fake);
    struct kb_kms_job job = {.operation = KB_KMS_GENERATE_DATA_KEY, .key_id = "k", .size = 1};
    struct kb_error err = {0};
    enum kb_status status = kb_kms_run(kms, &job, 1, &err);

    /* What would meet every call ends the run. */
    if (status == KB_OK)
        status = job.status;
    if (status != want)
        fprintf(stderr, "%s: %s\n", answer, kb_status_name(status));
    CU_ASSERT_EQUAL(status, want);
    CU_ASSERT_PTR_NULL(job.plain);
    CU_ASSERT_EQUAL(job.ciphertext.size, 0);
    kb_kms_job_free(&job);
    stop(&fake, kms);
}

static void test_answers(void)
{
    check_answer(400, "{\"__type\":\"InvalidCiphertextException\"}", KB_ERR_AUTH);
    check_answer(400, "{\"__type\":\"IncorrectKeyException\",\"message\":\"m\"}", KB_ERR_AUTH);
    check_answer(400, "{\"__type\":\"DisabledException\",\"message\":\"m\"}", KB_ERR_DENIED);
    check_answer(400, "{\"__type\":\"KMSInvalidStateException\"}", KB_ERR_DENIED);
    check_answer(400, "{\"__type\":\"AccessDeniedException\",\"Message\":\"m\"}", KB_ERR_DENIED);
    check_answer(400, "{\"__type\":\"NotFoundException\",\"message\":\"m\"}", KB_ERR_NOT_FOUND);
    check_answer(400, "{\"__type\":\"ThrottlingException\",\"message\":\"m\"}", KB_ERR_REMOTE);
    check_answer(0, "{}", KB_ERR_REMOTE);
    check_answer(0, "[]", KB_ERR_REMOTE);
    check_answer(0, "{\"KeyId\":\"k\",\"Plaintext\":\"YQ==\"}", KB_ERR_REMOTE);
    check_answer(0, "{\"KeyId\":\"k\",\"CiphertextBlob\":\"YQ==\"}", KB_ERR_REMOTE);
    check_answer(0, "{\"CiphertextBlob\":\"YQ==\",\"Plaintext\":\"YQ==\"}", KB_ERR_REMOTE);
    check_answer(0, "{\"KeyId\":\"k\",\"CiphertextBlob\":\"YQ==\",\"Plaintext\":\"YQ=\"}",
                 KB_ERR_REMOTE);
    check_answer(0, "{\"KeyId\":\"k\",\"CiphertextBlob\":\"YQ==\",\"Plaintext\":\"\\u0059Q==\"}",
                 KB_ERR_REMOTE);
    check_answer(0, "{\"KeyId\":\"k\",\"CiphertextBlob\":\"YQ==\",\"Plaintext\":\"\"}",
                 KB_ERR_REMOTE);
    check_answer(0, "{\"KeyId\":\"k\",\"CiphertextBlob\":\"YQ==\",\"Plaintext\":\"YQ==\"",
                 KB_ERR_REMOTE);
}

/* Jobs that are wrong do not stop the others. */
static void test_many(void)
{
    struct fake fake = {.answer = "{\"CiphertextBlob\":\"Yg==\",\"Plaintext\":\"YQ==\","
                                  "\"KeyId\":\"" ARN "\"}"};
    struct kb_kms *kms = start(&fake);
    struct kb_kms_job jobs[40];
    struct kb_error err = {0};

    for (int i = 0; i < 40; i++)
        jobs[i] = (struct kb_kms_job){
            .operation = KB_KMS_GENERATE_DATA_KEY, .key_id = "k", .size = i % 3 ? 1 : 0};
    KBT_OK(kb_kms_run(kms, jobs, 40, &err), &err);
    for (int i = 0; i < 40; i++) {
        CU_ASSERT_EQUAL(jobs[i].status, i % 3 ? KB_OK : KB_ERR_USAGE);
        CU_ASSERT_EQUAL(jobs[i].plain != NULL, i % 3 != 0);
        kb_kms_job_free(&jobs[i]);
    }
    CU_ASSERT_EQUAL(httpd_requests(fake.server), 26);
    KBT_OK(kb_kms_run(kms, NULL, 0, &err), &err);
    stop(&fake, kms);
}

static void test_keys(void)
{
    struct fake fake = {
        .answer = "{\"KeyMetadata\":{\"KeyId\":\"k\",\"Arn\":\"" ARN "\",\"KeyState\":\"Enabled\","
                  "\"KeyUsage\":\"ENCRYPT_DECRYPT\",\"KeySpec\":\"SYMMETRIC_DEFAULT\",\"Enabled\":"
                  "true,\"KeyManager\":\"CUSTOMER\","
                   "\"Origin\":\"AWS_KMS\",\"Description\":\"d\\n\"}}"};
    struct kb_kms *kms = start(&fake);
    struct kb_error err = {0};
    struct kb_kms_key key;

    KBT_OK(kb_kms_create_key(kms, "say \"d\"", &key, &err), &err);
    CU_ASSERT_STRING_EQUAL(fake.target, "TrentService.CreateKey");
    CU_ASSERT_STRING_EQUAL(fake.body, "{\"Description\":\"say \\\"d\\\"\",\"KeyUsage\":"
                                      "\"ENCRYPT_DECRYPT\",\"KeySpec\":\"SYMMETRIC_DEFAULT\"}");
    CU_ASSERT_STRING_EQUAL(key.id, "k");
    CU_ASSERT_STRING_EQUAL(key.arn, ARN);
    CU_ASSERT_STRING_EQUAL(key.state, "Enabled");
    CU_ASSERT_STRING_EQUAL(key.usage, "ENCRYPT_DECRYPT");
    CU_ASSERT_STRING_EQUAL(key.spec, "SYMMETRIC_DEFAULT");
    CU_ASSERT_STRING_EQUAL(key.manager, "CUSTOMER");
    CU_ASSERT_STRING_EQUAL(key.origin, "AWS_KMS");
    CU_ASSERT_STRING_EQUAL(key.description, "d\n");
    KBT_OK(kb_kms_describe_key(kms, "alias/x", &key, &err), &err);
    CU_ASSERT_STRING_EQUAL(fake.target, "TrentService.DescribeKey");
    CU_ASSERT_STRING_EQUAL(fake.body, "{\"KeyId\":\"alias/x\"}");
    CU_ASSERT_EQUAL(kb_kms_describe_key(kms, "", &key, NULL), KB_ERR_USAGE);
    fake.answer = "{\"KeyMetadata\":{}}";
    CU_ASSERT_EQUAL(kb_kms_describe_key(kms, "k", &key, NULL), KB_ERR_REMOTE);
    fake.status = 400;
    fake.answer = "{\"__type\":\"NotFoundException\"}";
    CU_ASSERT_EQUAL(kb_kms_describe_key(kms, "k", &key, &err), KB_ERR_NOT_FOUND);
    CU_ASSERT_STRING_EQUAL(err.text, "there is no KMS key k");
    stop(&fake, kms);
}

static void test_real(void)
{
    struct kb_aws_options options = {.region = "us-east-1", .endpoint_url = getenv("KB_KMS_URL")};
    const struct kb_pair context[] = {{text("a"), text("1")}, {text("b"), text("\xc3\xa9")}};
    struct kb_kms_job made = {.operation = KB_KMS_GENERATE_DATA_KEY, .context = context,
                              .context_count = 2, .size = 32};
    struct kb_kms_job opened = {.operation = KB_KMS_DECRYPT, .context = context,
                                .context_count = 2};
    struct kb_error err = {0};
    struct kb_kms_key key;
    struct kb_kms *kms;

    if (!options.endpoint_url) {
        fprintf(stderr, "SKIP: a real KMS (set KB_KMS_URL to its address)\n");
        return;
    }
    KBT_OK(kb_kms_open(&kms, &options, &err), &err);
    KBT_OK(kb_kms_create_key(kms, NULL, &key, &err), &err);
    made.key_id = key.arn;
    CU_ASSERT_EQUAL_FATAL(run(kms, &made), KB_OK);
    opened.in = kb_buffer_view(&made.ciphertext);
    CU_ASSERT_EQUAL_FATAL(run(kms, &opened), KB_OK);
    KBT_BYTES(kb_secret_view(opened.plain), kb_secret_view(made.plain));
    CU_ASSERT_STRING_EQUAL(opened.answered_key_id, key.arn);
    kb_kms_job_free(&opened);
    opened.context_count = 1;
    CU_ASSERT_EQUAL(run(kms, &opened), KB_ERR_AUTH);
    kb_kms_job_free(&opened);
    kb_kms_job_free(&made);
    CU_ASSERT_EQUAL(kb_kms_describe_key(kms, "11111111-2222-3333-4444-555555555555", &key, NULL),
                    KB_ERR_NOT_FOUND);
    kb_kms_close(kms);
}

int main(int argc, char **argv)
{
    static const struct kbtest tests[] = {
        {"generate data key: request and answer", test_generate},
        {"decrypt and encrypt: request and answer", test_decrypt_encrypt},
        {"jobs that are not sent", test_usage},
        {"answers: errors and rubbish", test_answers},
        {"many jobs at once", test_many},
        {"keys: create and describe", test_keys},
        {"a real server", test_real},
        {NULL, NULL},
    };

    setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "not-a-secret", 1);
    setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
    return kbtest_main("kms", tests, argc, argv);
}
