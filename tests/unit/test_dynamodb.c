/* SPDX-License-Identifier: Apache-2.0
 *
 * Tables in DynamoDB against a server that does what real ones do seldom:
 * items that come back, tables that go away, pages that never end, rubbish.
 */
#include "httpd.h"
#include "kbtest.h"

#include "attr/json.h"
#include "table/dynamodb.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- the server ---------------------------------------------------------------- */

struct fake {
    struct httpd *server;
    /* What it is told. */
    const char *status;        /* TableStatus; NULL: ACTIVE */
    unsigned status_times;     /* that often, then ACTIVE; 0: always */
    const char *sort;          /* name of the sort key; NULL: "s" */
    const char *more;          /* further members of the description */
    unsigned back_rounds;      /* requests of which half of the items come back; */
    bool back_all;             /* or all, always */
    const char *batch_answer;  /* instead of any other */
    const char *error;         /* type of the error that requests on items get */
    const char *bad;           /* items with this text are not valid */
    unsigned throttles;        /* that many requests on items are refused first */
    const char *const *pages;  /* answers of Scan and Query, the last one again and again */
    size_t page_count;
    bool endless;              /* Scan: empty pages, each with another key to go on from */
    const char *item_answer;   /* of GetItem and DeleteItem */
    unsigned drops;            /* that many requests on items are done and not answered */
    /* What it saw. */
    struct kb_buffer stored;   /* items, a line feed after each */
    struct kb_buffer asked;    /* bodies of all requests but DescribeTable */
    unsigned describes, batches, singles, walks, items_most;
};

static void refuse(struct httpd_answer *answer, const char *type, const char *message)
{
    answer->status = 400;
    httpd_text(answer, "{\"__type\":\"com.amazonaws.dynamodb.v20120810#%s\",\"message\":\"%s\"}",
               type, message);
}

static void describe(struct fake *fake, struct httpd_answer *answer)
{
    const char *status = fake->status ? fake->status : "ACTIVE";

    if (++fake->describes > fake->status_times && fake->status_times)
        status = "ACTIVE";
    if (strcmp(status, "absent") == 0) {
        refuse(answer, "ResourceNotFoundException", "Requested resource not found");
        return;
    }
    httpd_text(answer,
               "{\"Table\":{\"TableName\":\"tab\",\"TableStatus\":\"%s\",\"ItemCount\":12,"
               "\"TableSizeBytes\":345,\"TableArn\":\"arn:aws:dynamodb:eu-central-1:1:table/tab\","
               "\"KeySchema\":[{\"KeyType\":\"RANGE\",\"AttributeName\":\"%s\"},"
               "{\"AttributeName\":\"p\",\"KeyType\":\"HASH\"}],\"AttributeDefinitions\":["
               "{\"AttributeName\":\"p\",\"AttributeType\":\"S\"},"
               "{\"AttributeName\":\"g\",\"AttributeType\":\"B\"},"
               "{\"AttributeName\":\"%s\",\"AttributeType\":\"N\"}]%s}}",
               status, fake->sort ? fake->sort : "s", fake->sort ? fake->sort : "s",
               fake->more ? fake->more : "");
}

/* As another program may write it: members the other way round, numbers in
 * another form. */
static void give_back(struct httpd_answer *answer, struct kb_bytes item, bool first)
{
    struct kb_arena arena = KB_ARENA_INIT;
    struct kb_buffer text = KB_BUFFER_INIT(100000);
    struct kb_item parsed, turned;

    CU_ASSERT_EQUAL(kb_item_parse(&parsed, item, &arena, NULL), KB_OK);
    turned = (struct kb_item){kb_arena_array(&arena, parsed.count, sizeof *turned.members),
                              parsed.count};
    for (size_t i = 0; i < parsed.count; i++) {
        struct kb_member *member = &turned.members[i];
        char *number = kb_arena_take(&arena, KB_NUMBER_TEXT_MAX);

        *member = parsed.members[parsed.count - 1 - i];
        if (member->value.type == KB_ATTR_N &&
            kb_number_canonical(number, &member->value.bytes.size, member->value.bytes, true))
            member->value.bytes.data = (const uint8_t *)number;
    }
    kb_item_format(&text, &turned);
    httpd_text(answer, first ? "" : ",");
    httpd_text(answer, " { \"PutRequest\" : {\"Item\":");
    kb_buffer_put_bytes(&answer->body, kb_buffer_view(&text));
    httpd_text(answer, "}}");
    kb_buffer_free(&text);
    kb_arena_free(&arena);
}

static bool holds(struct kb_bytes text, const char *part)
{
    return part && memmem(text.data, text.size, part, strlen(part));
}

static void store(struct fake *fake, struct kb_bytes item)
{
    kb_buffer_put_bytes(&fake->stored, item);
    kb_buffer_put_u8(&fake->stored, '\n');
}

static void batch(struct fake *fake, struct kb_bytes body, struct httpd_answer *answer)
{
    struct kb_arena arena = KB_ARENA_INIT;
    struct kb_bytes list =
        kb_json_find(kb_json_find(body, "RequestItems", &arena), "tab", &arena), one;
    struct kb_json json;
    unsigned count = 0, back = 0;
    bool half = fake->back_rounds > 0;

    fake->batches++;
    if (holds(body, fake->bad)) {
        refuse(answer, "ValidationException", "One or more parameter values were invalid");
        kb_arena_free(&arena);
        return;
    }
    fake->back_rounds -= half;
    httpd_text(answer, "{\"UnprocessedItems\":{");
    kb_json_open(&json, list, &arena);
    kb_json_mark(&json, '[');
    for (; kb_json_more(&json, count, ']'); count++) {
        CU_ASSERT_TRUE_FATAL(kb_json_value(&json, &one));
        one = kb_json_find(kb_json_find(one, "PutRequest", &arena), "Item", &arena);
        if (!fake->back_all && !(half && count % 2)) {
            store(fake, one);
            continue;
        }
        if (!back)
            httpd_text(answer, "\"tab\":[");
        give_back(answer, one, back++ == 0);
    }
    CU_ASSERT_TRUE(kb_json_close(&json));
    httpd_text(answer, back ? "]}}" : "}}");
    if (count > fake->items_most)
        fake->items_most = count;
    kb_arena_free(&arena);
}

static void put(struct fake *fake, struct kb_bytes body, struct httpd_answer *answer)
{
    struct kb_arena arena = KB_ARENA_INIT;

    fake->singles++;
    if (holds(body, fake->bad)) {
        refuse(answer, "ValidationException", "the attribute is bad");
    } else {
        store(fake, kb_json_find(body, "Item", &arena));
        httpd_text(answer, "{}");
    }
    kb_arena_free(&arena);
}

static void handle(void *ctx, const struct httpd_request *request, struct httpd_answer *answer)
{
    struct fake *fake = ctx;
    const char *target = httpd_get(request, "x-amz-target");
    const char *operation = target ? strchr(target, '.') + 1 : "";

    httpd_header(answer, "Content-Type", "application/x-amz-json-1.0");
    httpd_header(answer, "x-amzn-RequestId", "R");
    if (strcmp(operation, "DescribeTable") == 0) {
        describe(fake, answer);
        return;
    }
    kb_buffer_put_bytes(&fake->asked, request->body);
    kb_buffer_put_u8(&fake->asked, '\n');
    if (fake->throttles) {
        fake->throttles--;
        refuse(answer, "ProvisionedThroughputExceededException", "slow down");
    } else if (fake->error) {
        refuse(answer, fake->error, "no");
    } else if (strcmp(operation, "BatchWriteItem") == 0 && fake->batch_answer) {
        httpd_text(answer, "%s", fake->batch_answer);
    } else if (strcmp(operation, "BatchWriteItem") == 0) {
        batch(fake, request->body, answer);
    } else if (strcmp(operation, "PutItem") == 0) {
        put(fake, request->body, answer);
    } else if (fake->drops) {
        fake->drops--;
        answer->action = HTTPD_DROP;
    } else if (strcmp(operation, "GetItem") == 0 || strcmp(operation, "DeleteItem") == 0) {
        httpd_text(answer, "%s", fake->item_answer);
    } else if (fake->endless) {
        httpd_text(answer, "{\"Items\":[],\"LastEvaluatedKey\":{\"p\":{\"S\":\"%u\"}}}",
                   fake->walks++);
    } else if (strcmp(operation, "Scan") == 0 || strcmp(operation, "Query") == 0) {
        httpd_text(answer, "%s", fake->pages[fake->walks < fake->page_count ? fake->walks
                                                                     : fake->page_count - 1]);
        fake->walks++;
    } else if (strcmp(operation, "CreateTable") == 0 || strcmp(operation, "UpdateTable") == 0) {
        httpd_text(answer, "{\"TableDescription\":{}}");
    } else {
        refuse(answer, "UnknownOperationException", "");
    }
}

static void fake_start(struct fake *fake)
{
    fake->stored = fake->asked = (struct kb_buffer)KB_BUFFER_INIT(100 * 1024 * 1024);
    fake->server = httpd_start(handle, fake);
}

static void fake_stop(struct fake *fake)
{
    httpd_stop(fake->server);
    kb_buffer_free(&fake->stored);
    kb_buffer_free(&fake->asked);
}

static struct kb_aws_options reach(const struct fake *fake)
{
    return (struct kb_aws_options){
        .region = "eu-central-1", .endpoint_url = httpd_url(fake->server), .max_tries = 3};
}

static enum kb_status try_open(struct kb_table **out, const struct fake *fake,
                               struct kb_error *err)
{
    struct kb_aws_options aws = reach(fake);
    struct kb_table_options options = {.aws = &aws};

    return kb_table_open(out, "dynamodb:tab", &options, err);
}

static struct kb_table *start(struct fake *fake)
{
    struct kb_error err = {0};
    struct kb_table *table;

    fake_start(fake);
    KBT_OK(try_open(&table, fake, &err), &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(table);
    return table;
}

static void stop(struct fake *fake, struct kb_table *table)
{
    kb_table_close(table);
    fake_stop(fake);
}

/* --- opening, creating ---------------------------------------------------------- */

static void check_open(const char *status, unsigned times, enum kb_status want, const char *part)
{
    struct fake fake = {.status = status, .status_times = times};
    struct kb_error err = {0};
    struct kb_table *table;

    fake_start(&fake);
    CU_ASSERT_EQUAL(try_open(&table, &fake, &err), want);
    if (!strstr(err.text, part))
        fprintf(stderr, "'%s' lacks '%s'\n", err.text, part);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, part));
    kb_table_close(table);
    fake_stop(&fake);
}

static void test_open(void)
{
    struct kb_table *table;
    struct kb_error err = {0};

    check_open("CREATING", 3, KB_OK, "");
    check_open("UPDATING", 1, KB_OK, "");
    check_open("DELETING", 0, KB_ERR_NOT_FOUND, "is being deleted");
    check_open("absent", 0, KB_ERR_NOT_FOUND, "there is no table 'tab' in eu-central-1");
    check_open("INACCESSIBLE_ENCRYPTION_CREDENTIALS", 0, KB_ERR_DENIED, "KMS key");
    check_open("AC\\", 0, KB_ERR_REMOTE, "not what DynamoDB sends");
    CU_ASSERT_EQUAL(kb_table_open(&table, "dynamodb:ab", NULL, &err), KB_ERR_USAGE);
    CU_ASSERT_EQUAL(kb_table_open(&table, "dynamodb:a b c", NULL, NULL), KB_ERR_USAGE);
    CU_ASSERT_EQUAL(kb_table_open(&table, "dynamodb:arn:aws:s3:x:1:table/abc", NULL, NULL),
                    KB_ERR_USAGE);
}

static void test_description(void)
{
    struct fake fake = {
        .more = ",\"BillingModeSummary\":{\"BillingMode\":\"PAY_PER_REQUEST\"},"
                "\"SSEDescription\":{\"Status\":\"ENABLED\",\"SSEType\":\"KMS\","
                "\"KMSMasterKeyArn\":\"arn:aws:kms:eu-central-1:1:key/k\"},"
                "\"GlobalSecondaryIndexes\":[{\"IndexName\":\"gone\",\"IndexStatus\":\"DELETING\"},"
                "{\"IndexName\":\"by-g\",\"KeySchema\":[{\"AttributeName\":\"g\","
                "\"KeyType\":\"HASH\"}]}],\"LocalSecondaryIndexes\":null"};
    struct kb_table *table = start(&fake);
    const struct kb_table_schema *schema = kb_table_schema(table);
    struct kb_error err = {0};
    struct kb_table_info info;

    CU_ASSERT_STRING_EQUAL(schema->signed_name, "tab");
    CU_ASSERT_STRING_EQUAL(schema->partition.name, "p");
    CU_ASSERT_EQUAL(schema->partition.type, 'S');
    CU_ASSERT_STRING_EQUAL(schema->sort.name, "s");
    CU_ASSERT_EQUAL(schema->sort.type, 'N');
    CU_ASSERT_EQUAL_FATAL(schema->index_count, 1);
    CU_ASSERT_STRING_EQUAL(schema->indexes[0].name, "by-g");
    CU_ASSERT_EQUAL(schema->indexes[0].partition.type, 'B');
    CU_ASSERT_STRING_EQUAL(schema->indexes[0].sort.name, "");
    KBT_OK(kb_table_describe(table, &info, &err), &err);
    CU_ASSERT_EQUAL(info.items, 12);
    CU_ASSERT_EQUAL(info.bytes, 345);
    CU_ASSERT_STRING_EQUAL(info.arn, "arn:aws:dynamodb:eu-central-1:1:table/tab");
    CU_ASSERT_STRING_EQUAL(info.billing, "PAY_PER_REQUEST");
    CU_ASSERT_EQUAL(info.sse, KB_SSE_KMS);
    CU_ASSERT_STRING_EQUAL(info.sse_kms_key, "arn:aws:kms:eu-central-1:1:key/k");
    stop(&fake, table);
}

static void test_create(void)
{
    struct fake fake = {.status = "CREATING", .status_times = 2};
    struct kb_aws_options aws;
    struct kb_table_options options = {.aws = &aws, .sse = KB_SSE_KMS, .sse_kms_key = "alias/k\"",
                                       .read_units = 5, .write_units = 6};
    static const struct kb_table_index indexes[] = {
        {"by-g", false, {"g", 'B'}, {"s", 'N'}}, {"by-d", true, {"p", 'S'}, {"d", 'S'}}};
    struct kb_table_schema schema = {.partition = {"p", 'S'}, .sort = {"s", 'N'},
                                     .indexes = indexes, .index_count = 2};
    struct kb_error err = {0};

    fake_start(&fake);
    aws = reach(&fake);
    KBT_OK(kb_table_create("dynamodb:tab", &schema, &options, &err), &err);
    KBT_TEXT(kb_buffer_view(&fake.asked),
             "{\"TableName\":\"tab\",\"BillingMode\":\"PROVISIONED\","
             "\"ProvisionedThroughput\":{\"ReadCapacityUnits\":5,\"WriteCapacityUnits\":6},"
             "\"KeySchema\":[{\"KeyType\":\"HASH\",\"AttributeName\":\"p\"},"
             "{\"KeyType\":\"RANGE\",\"AttributeName\":\"s\"}],\"AttributeDefinitions\":["
             "{\"AttributeType\":\"S\",\"AttributeName\":\"p\"},"
             "{\"AttributeType\":\"N\",\"AttributeName\":\"s\"},"
             "{\"AttributeType\":\"B\",\"AttributeName\":\"g\"},"
             "{\"AttributeType\":\"S\",\"AttributeName\":\"d\"}],"
             "\"GlobalSecondaryIndexes\":[{\"Projection\":{\"ProjectionType\":\"ALL\"},"
             "\"IndexName\":\"by-g\",\"KeySchema\":[{\"KeyType\":\"HASH\",\"AttributeName\":\"g\"},"
             "{\"KeyType\":\"RANGE\",\"AttributeName\":\"s\"}],"
             "\"ProvisionedThroughput\":{\"ReadCapacityUnits\":5,\"WriteCapacityUnits\":6}}],"
             "\"LocalSecondaryIndexes\":[{\"Projection\":{\"ProjectionType\":\"ALL\"},"
             "\"IndexName\":\"by-d\",\"KeySchema\":[{\"KeyType\":\"HASH\",\"AttributeName\":\"p\"},"
             "{\"KeyType\":\"RANGE\",\"AttributeName\":\"d\"}]}],\"SSESpecification\":"
             "{\"Enabled\":true,\"SSEType\":\"KMS\",\"KMSMasterKeyId\":\"alias/k\\\"\"}}\n");
    CU_ASSERT_EQUAL(fake.describes, 3);
    options.write_units = 0;
    CU_ASSERT_EQUAL(kb_table_create("dynamodb:tab", &schema, &options, NULL), KB_ERR_USAGE);
    options.read_units = 0;
    options.sse = KB_SSE_AWS;
    CU_ASSERT_EQUAL(kb_table_create("dynamodb:tab", &schema, &options, NULL), KB_ERR_USAGE);
    options.sse_kms_key = NULL;
    schema.sort.type = 'S';
    CU_ASSERT_EQUAL(kb_table_create("dynamodb:tab", &schema, &options, &err), KB_ERR_USAGE);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "cannot be of type S and of type N"));
    schema.index_count = 0;
    kb_error_clear(&err);
    fake.error = "ResourceInUseException";
    CU_ASSERT_EQUAL(kb_table_create("dynamodb:tab", &schema, &options, &err), KB_ERR_EXISTS);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "exists already"));
    fake_stop(&fake);
}

static void test_set_sse(void)
{
    struct fake fake = {.more = ",\"SSEDescription\":{\"Status\":\"ENABLED\",\"SSEType\":\"KMS\","
                                "\"KMSMasterKeyArn\":\"arn:aws:kms:eu-central-1:1:key/k\"}"};
    struct kb_table *table = start(&fake);
    struct kb_table_options options = {.sse = KB_SSE_KMS, .sse_kms_key = "k"};
    struct kb_error err = {0};

    KBT_OK(kb_table_set_sse(table, &options, &err), &err);
    CU_ASSERT_EQUAL(fake.asked.size, 0);
    options.sse_kms_key = "alias/other";
    KBT_OK(kb_table_set_sse(table, &options, &err), &err);
    KBT_TEXT(kb_buffer_view(&fake.asked),
             "{\"TableName\":\"tab\",\"SSESpecification\":{\"Enabled\":true,\"SSEType\":\"KMS\","
             "\"KMSMasterKeyId\":\"alias/other\"}}\n");
    kb_buffer_reset(&fake.asked);
    CU_ASSERT_EQUAL(kb_table_set_sse(table, NULL, &err), KB_ERR_REMOTE);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "did not change"));
    KBT_TEXT(kb_buffer_view(&fake.asked),
             "{\"TableName\":\"tab\",\"SSESpecification\":{\"Enabled\":false}}\n");
    stop(&fake, table);
}

/* --- putting -------------------------------------------------------------------- */

enum { MANY = 128 };

static char texts[MANY][200];
static struct kb_bytes items[MANY];

static void make_items(void)
{
    for (int i = 0; i < MANY; i++) {
        snprintf(texts[i], sizeof texts[i],
                 " {\"p\" : {\"S\":\"p%d\"}, \"x\":{\"S\":\"text-%d-\\u00e9\"},"
                  "\"s\":{\"N\":\"%d.0\"}} ",
                 i % 7, i, i);
        items[i] = kb_bytes_text(texts[i]);
    }
}

/* Every item once, byte for byte. */
static void check_stored(struct fake *fake, size_t n)
{
    size_t lines = 0;

    httpd_requests(fake->server);
    kb_buffer_put_u8(&fake->stored, 0);
    for (size_t i = 0; i < n; i++) {
        char trimmed[200];

        snprintf(trimmed, sizeof trimmed, "%.*s\n", (int)strlen(texts[i]) - 2, texts[i] + 1);
        CU_ASSERT_PTR_NOT_NULL(strstr((char *)fake->stored.data, trimmed));
    }
    for (size_t i = 0; i + 1 < fake->stored.size; i++)
        lines += fake->stored.data[i] == '\n';
    CU_ASSERT_EQUAL(lines, n);
}

static void test_put_unprocessed(void)
{
    struct fake fake = {.back_rounds = 20};
    struct kb_table *table = start(&fake);
    struct kb_table_stats stats;
    struct kb_error err = {0};
    size_t bad = 0;

    make_items();
    KBT_OK(kb_table_put(table, items, MANY, &bad, &err), &err);
    CU_ASSERT_EQUAL(bad, MANY);
    check_stored(&fake, MANY);
    CU_ASSERT_TRUE(fake.items_most <= DYNAMODB_BATCH_MAX);
    kb_table_stats(table, &stats);
    CU_ASSERT_TRUE(stats.retries > 0);
    CU_ASSERT_TRUE(stats.throttled > 0);
    CU_ASSERT_EQUAL(stats.requests, fake.batches + fake.singles + fake.describes);
    stop(&fake, table);
}

static void test_put_never_processed(void)
{
    struct fake fake = {.back_all = true};
    struct kb_table *table = start(&fake);
    struct kb_error err = {0};

    make_items();
    CU_ASSERT_EQUAL(kb_table_put(table, items, 20, NULL, &err), KB_ERR_REMOTE);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "took none of 20 items"));
    CU_ASSERT_EQUAL(fake.batches, 3);
    stop(&fake, table);
}

static void test_put_throttled(void)
{
    struct fake fake = {.throttles = 2};
    struct kb_table *table = start(&fake);
    struct kb_table_stats stats;
    struct kb_error err = {0};

    make_items();
    KBT_OK(kb_table_put(table, items, MANY, NULL, &err), &err);
    check_stored(&fake, MANY);
    kb_table_stats(table, &stats);
    CU_ASSERT_EQUAL(stats.throttled, 2);
    CU_ASSERT_EQUAL(stats.retries, 2);
    stop(&fake, table);
}

static void test_put_culprit(void)
{
    struct fake fake = {.bad = "text-57-"};
    struct kb_table *table = start(&fake);
    struct kb_error err = {0};
    size_t bad = 0;

    make_items();
    CU_ASSERT_EQUAL(kb_table_put(table, items, MANY, &bad, &err), KB_ERR_INPUT);
    CU_ASSERT_EQUAL(bad, 57);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "the attribute is bad"));
    kb_error_clear(&err);
    CU_ASSERT_EQUAL(kb_table_put(table, items + 57, 1, &bad, &err), KB_ERR_INPUT);
    CU_ASSERT_EQUAL(bad, 0);
    stop(&fake, table);
}

/* A batch that is refused for no item of it is put item by item. */
static void test_put_no_culprit(void)
{
    struct fake fake = {.bad = "RequestItems"};
    struct kb_table *table = start(&fake);
    struct kb_error err = {0};

    make_items();
    KBT_OK(kb_table_put(table, items, MANY, NULL, &err), &err);
    check_stored(&fake, MANY);
    stop(&fake, table);
}

static void test_put_checks_first(void)
{
    struct fake fake = {
        .more = ",\"GlobalSecondaryIndexes\":[{\"IndexName\":\"by-g\",\"KeySchema\":["
                "{\"AttributeName\":\"g\",\"KeyType\":\"HASH\"}]}]"};
    struct kb_table *table = start(&fake);
    struct kb_error err = {0};
    size_t bad = 0;

    make_items();
    items[90] = kb_bytes_text("{\"p\":{\"S\":\"a\"},\"s\":{\"S\":\"1\"}}");
    CU_ASSERT_EQUAL(kb_table_put(table, items, MANY, &bad, NULL), KB_ERR_INPUT);
    CU_ASSERT_EQUAL(bad, 90);
    items[90] = kb_bytes_text("{\"p\":{\"S\":\"a\"},\"s\":{\"N\":\"1\"},\"g\":{\"S\":\"1\"}}");
    CU_ASSERT_EQUAL(kb_table_put(table, items, MANY, &bad, &err), KB_ERR_INPUT);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "index 'by-g' wants B"));
    CU_ASSERT_EQUAL(httpd_requests(fake.server), 1);
    KBT_OK(kb_table_put(table, NULL, 0, &bad, NULL), NULL);
    CU_ASSERT_EQUAL(httpd_requests(fake.server), 1);
    stop(&fake, table);
}

static void check_put_fails(struct fake *fake, const char *error, const char *other_sort,
                            enum kb_status want, const char *part)
{
    struct kb_table *table = start(fake);
    struct kb_error err = {0};

    make_items();
    fake->error = error;
    fake->sort = other_sort;
    CU_ASSERT_EQUAL(kb_table_put(table, items, 30, NULL, &err), want);
    if (!strstr(err.text, part))
        fprintf(stderr, "'%s' lacks '%s'\n", err.text, part);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, part));
    CU_ASSERT_EQUAL(err.status, want);
    stop(fake, table);
}

static void test_put_fails(void)
{
    static const char *const answers[] = {
        "{}", "[]", "{\"UnprocessedItems\":[]}", "{\"UnprocessedItems\":{}", "",
        "{\"UnprocessedItems\":{\"tab\":[{\"PutRequest\":{}}]}}",
        "{\"UnprocessedItems\":{\"tab\":[{\"DeleteRequest\":{\"Key\":{}}}]}}",
        "{\"UnprocessedItems\":{\"tab\":{}}}", "{\"UnprocessedItems\":{},\"UnprocessedItems\":{}}"};
    static const char *const strange =
        "{\"UnprocessedItems\":{\"tab\":[{\"PutRequest\":{\"Item\":"
        "{\"p\":{\"S\":\"zz\"},\"s\":{\"N\":\"1\"}}}}]}}";

    check_put_fails(&(struct fake){0}, "ResourceNotFoundException", NULL, KB_ERR_NOT_FOUND,
                    "is not there any more");
    check_put_fails(&(struct fake){0}, "ValidationException", "other", KB_ERR_NOT_FOUND,
                    "made anew with other keys");
    check_put_fails(&(struct fake){.batch_answer = strange}, NULL, NULL, KB_ERR_REMOTE,
                    "was not sent");
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++)
        check_put_fails(&(struct fake){.batch_answer = answers[i]}, NULL, NULL, KB_ERR_REMOTE, "");
}

/* --- walking -------------------------------------------------------------------- */

static enum kb_status collect(void *ctx, struct kb_bytes item)
{
    kb_buffer_put_bytes(ctx, item);
    kb_buffer_put_u8(ctx, '\n');
    return KB_OK;
}

#define PAGES(...)                                                                                 \
    .pages = (const char *const[]){__VA_ARGS__},                                                   \
    .page_count = sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)

static void check_walk(struct fake *fake, uint64_t limit, enum kb_status want, const char *items_,
                       const char *part)
{
    struct kb_table *table = start(fake);
    struct kb_buffer out = KB_BUFFER_INIT(100000);
    struct kb_error err = {0};

    CU_ASSERT_EQUAL(kb_table_scan(table, limit,
        &(struct kb_table_sink){.item = collect, .ctx = &out}, &err), want);
    KBT_TEXT(kb_buffer_view(&out), items_);
    if (!strstr(err.text, part))
        fprintf(stderr, "'%s' lacks '%s'\n", err.text, part);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, part));
    kb_buffer_free(&out);
    stop(fake, table);
}

/* An item of the table, and a key to go on from. */
#define ITEM(p, s) "{\"p\":{\"S\":\"" p "\"},\"s\":{\"N\":\"" s "\"}}"
#define LAST(p, s) ",\"LastEvaluatedKey\":" ITEM(p, s)
#define PAGE(...) "{\"Items\":[" __VA_ARGS__ "]}"

static void test_pages(void)
{
    static const char *const first =
        "{\"Count\":2,\"Items\":[ {\"p\":{\"S\":\"a\\\"b\"},\"s\": {\"N\": \"4.0\"}} ,"
        ITEM("a\\\"b", "1e0") "]" LAST("a\\\"b", "1") "}";
    static const char *const empty = "{\"Items\":[],\"Count\":0" LAST("a\\\"b", "0.5") "}";
    static const char *const last =
        "{\"Items\":[" ITEM("a\\\"b", "-1") "],\"LastEvaluatedKey\":null,\"New\":[1.5e3]}";
    static const char *const two = "{\"p\":{\"S\":\"a\\\"b\"},\"s\": {\"N\": \"4.0\"}}\n"
                                   ITEM("a\\\"b", "1e0") "\n";
    static const char *const all = "{\"p\":{\"S\":\"a\\\"b\"},\"s\": {\"N\": \"4.0\"}}\n"
                                   ITEM("a\\\"b", "1e0") "\n" ITEM("a\\\"b", "-1") "\n";
    struct fake fake = {PAGES(first, empty, last)};
    struct kb_table *table;
    struct kb_error err = {0};

    check_walk(&(struct fake){PAGES(first, empty, last)}, 0, KB_OK, all, "");
    check_walk(&(struct fake){PAGES(first, empty, last)}, 2, KB_OK, two, "");
    check_walk(&(struct fake){PAGES(last)}, 1, KB_OK, ITEM("a\\\"b", "-1") "\n", "");
    check_walk(&(struct fake){PAGES(first, last)}, 3, KB_OK, all, "");
    table = start(&fake);
    struct kb_buffer out = KB_BUFFER_INIT(100000);
    KBT_OK(kb_table_query(table,
        &(struct kb_table_query){.partition = "a\"b", .op = KB_SORT_BETWEEN, .sort_a = "-1",
                                 .sort_b = "2e1", .descending = true, .limit = 4},
        &(struct kb_table_sink){.item = collect, .ctx = &out}, &err), &err);
    KBT_TEXT(kb_buffer_view(&out), all);
#define START                                                                                      \
    "{\"TableName\":\"tab\",\"KeyConditionExpression\":\"#p = :p AND #s BETWEEN :a AND :b\","      \
    "\"ExpressionAttributeNames\":{\"#p\":\"p\",\"#s\":\"s\"},\"ExpressionAttributeValues\":"      \
    "{\":p\":{\"S\":\"a\\\"b\"},\":a\":{\"N\":\"-1\"},\":b\":{\"N\":\"2e1\"}},"                    \
    "\"ScanIndexForward\":false,\"ConsistentRead\":true,\"Limit\":"
    KBT_TEXT(kb_buffer_view(&fake.asked),
             START "4}\n" START "2,\"ExclusiveStartKey\":" ITEM("a\\\"b", "1") "}\n"
             START "2,\"ExclusiveStartKey\":" ITEM("a\\\"b", "0.5") "}\n");
    kb_buffer_free(&out);
    stop(&fake, table);
}

static void test_bad_pages(void)
{
    static const char *const good = "{\"Items\":[" ITEM("a", "1") "]" LAST("a", "1") "}";
    static const char *const bad[] = {
        "<html>", "{}", "{\"Items\":{}}", "{\"Items\":[{}}", "{\"Items\":[{},]}",
        "{\"Items\":[1 2]}", "{\"Items\":[],\"Count\":1}", "{\"Items\":[],\"Items\":[]}",
        "{\"Items\":[]} x", "{\"Items\":[],\"LastEvaluatedKey\":\"p\"}", "{\"Items\":[01]}",
        "{\"Items\":[\"\xff\"]}", "{\"Items\":[\"\\ud800\"]}", "{\"Items\":[tru]}"};
    static const char *const strange[] = {"{}", "\"what\"", "{\"p\":{\"S\":\"a\"}}"};
    char page[100], given[100];

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        check_walk(&(struct fake){PAGES(good, bad[i])}, 0, KB_ERR_REMOTE, ITEM("a", "1") "\n", "");
        check_walk(&(struct fake){PAGES(bad[i])}, 0, KB_ERR_REMOTE, "", "");
    }
    /* Whether a value is an item is for whoever takes it to say. */
    for (size_t i = 0; i < sizeof strange / sizeof *strange; i++) {
        snprintf(page, sizeof page, PAGE("%s"), strange[i]);
        snprintf(given, sizeof given, "%s\n", strange[i]);
        check_walk(&(struct fake){PAGES(page)}, 0, KB_OK, given, "");
    }
}

static void test_circles(void)
{
    static const char *const one = "{\"Items\":[],\"LastEvaluatedKey\":{\"p\":1}}";
    static const char *const two = "{\"Items\":[],\"LastEvaluatedKey\":{\"p\":2}}";
    static const char *const three = "{\"Items\":[],\"LastEvaluatedKey\":{\"p\":3}}";

    check_walk(&(struct fake){PAGES(one)}, 0, KB_ERR_REMOTE, "", "again and again");
    check_walk(&(struct fake){PAGES(one, two, three, two, three, two, three, two, three)}, 0,
               KB_ERR_REMOTE, "", "again and again");
    check_walk(&(struct fake){.endless = true}, 0, KB_ERR_REMOTE, "", "page after page");
}

/* --- items of others ------------------------------------------------------------- */

static enum kb_status count_damaged(void *ctx, const struct kb_error *error)
{
    CU_ASSERT_PTR_NOT_NULL(strstr(error->text, "table 'tab': an item"));
    kb_buffer_put_text(ctx, "damaged\n");
    return KB_OK;
}

/* A query of partition "a" from 1 to 9, or of one of the index by-g. */
static void check_query(struct fake *fake, const char *index, bool descending, bool go_on,
                        enum kb_status want, const char *items_, const char *part)
{
    struct kb_table *table;
    struct kb_buffer out = KB_BUFFER_INIT(100000);
    struct kb_error err = {0};
    struct kb_table_query query = {.partition = index ? "Zw==" : "a", .op = KB_SORT_BETWEEN,
                                   .sort_a = "1", .sort_b = "9", .index = index,
                                   .descending = descending};
    struct kb_table_sink sink = {collect, go_on ? count_damaged : NULL, &out};

    fake->more = ",\"GlobalSecondaryIndexes\":[{\"IndexName\":\"by-g\",\"KeySchema\":["
                 "{\"AttributeName\":\"g\",\"KeyType\":\"HASH\"},"
                 "{\"AttributeName\":\"s\",\"KeyType\":\"RANGE\"}]}]";
    table = start(fake);
    CU_ASSERT_EQUAL(kb_table_query(table, &query, &sink, &err), want);
    CU_ASSERT_EQUAL(err.status, want);
    KBT_TEXT(kb_buffer_view(&out), items_);
    if (!strstr(err.text, part))
        fprintf(stderr, "'%s' lacks '%s'\n", err.text, part);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, part));
    kb_buffer_free(&out);
    stop(fake, table);
}

static void test_query_items(void)
{
    static const char *const bad[] = {ITEM("b", "3"), ITEM("a", "0"), ITEM("a", "10")};
    char page[500];

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(page, sizeof page, PAGE(ITEM("a", "2") ",%s," ITEM("a", "4")), bad[i]);
        check_query(&(struct fake){PAGES(page)}, NULL, false, false, KB_ERR_AUTH,
                    ITEM("a", "2") "\n", "stands under the key of another");
        check_query(&(struct fake){PAGES(page)}, NULL, false, true, KB_OK,
                    ITEM("a", "2") "\ndamaged\n" ITEM("a", "4") "\n", "");
    }
    check_query(&(struct fake){PAGES(PAGE("{\"p\":{\"S\":\"a\"}}"))}, NULL, false, false,
                KB_ERR_INPUT, "", "no key attribute 's'");
    /* Twice, on one page or on two; the wrong way round. */
    check_query(&(struct fake){PAGES(PAGE(ITEM("a", "2") "," ITEM("a", "2.0")))}, NULL, false, true,
                KB_ERR_AUTH, ITEM("a", "2") "\n", "out of order");
    check_query(&(struct fake){PAGES("{\"Items\":[" ITEM("a", "2") "]" LAST("a", "2") "}",
                                     PAGE(ITEM("a", "2")))},
                NULL, false, false, KB_ERR_AUTH, ITEM("a", "2") "\n", "out of order");
    check_query(&(struct fake){PAGES(PAGE(ITEM("a", "3") "," ITEM("a", "2")))}, NULL, true, false,
                KB_OK, ITEM("a", "3") "\n" ITEM("a", "2") "\n", "");
    check_query(&(struct fake){PAGES(PAGE(ITEM("a", "3") "," ITEM("a", "2")))}, NULL, false, false,
                KB_ERR_AUTH, ITEM("a", "3") "\n", "out of order");
}

#define G(p, s, g) "{\"p\":{\"S\":\"" p "\"},\"s\":{\"N\":\"" s "\"},\"g\":{\"B\":\"" g "\"}}"

static void test_query_index(void)
{
    static const char *const bad[] = {G("a", "3", "Zg=="), G("a", "10", "Zw=="), ITEM("a", "3"),
                                      "{\"s\":{\"N\":\"3\"},\"g\":{\"B\":\"Zw==\"}}"};
    char page[500];

    check_query(&(struct fake){PAGES(PAGE(G("b", "2", "Zw==") "," G("a", "2", "Zw==")))}, "by-g",
                false, false, KB_OK, G("b", "2", "Zw==") "\n" G("a", "2", "Zw==") "\n", "");
    check_query(&(struct fake){PAGES(PAGE(G("b", "2", "Zw==") "," G("a", "1", "Zw==")))}, "by-g",
                false, false, KB_ERR_AUTH, G("b", "2", "Zw==") "\n", "out of order");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(page, sizeof page, PAGE("%s," G("b", "4", "Zw==")), bad[i]);
        check_query(&(struct fake){PAGES(page)}, "by-g", false, true, KB_OK,
                    "damaged\n" G("b", "4", "Zw==") "\n", "");
        check_query(&(struct fake){PAGES(page)}, "by-g", false, false,
                    i < 2 ? KB_ERR_AUTH : KB_ERR_INPUT, "", "an item");
    }
}

static void test_query_goes_on(void)
{
    static const char *const good = "{\"Items\":[]" LAST("a", "4") "}";
    static const char *const bad[] = {LAST("a", "4"), LAST("a", "3"), LAST("b", "5"),
                                      ",\"LastEvaluatedKey\":{\"p\":{\"S\":\"a\"}}"};
    char page[200];

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(page, sizeof page, "{\"Items\":[]%s}", bad[i]);
        check_query(&(struct fake){PAGES(good, page)}, NULL, false, true, KB_ERR_REMOTE, "", "");
    }
    check_query(&(struct fake){PAGES(good, "{\"Items\":[]" LAST("a", "5") "}", PAGE())}, NULL,
                false, true, KB_OK, "", "");
    check_query(&(struct fake){PAGES("{\"Items\":[]" LAST("a", "5") "}", good)}, NULL, false, true,
                KB_ERR_REMOTE, "", "from where it cannot be");
}

/* --- one item -------------------------------------------------------------------- */

static void check_one(struct fake *fake, bool get, enum kb_status want, const char *part)
{
    struct kb_table *table = start(fake);
    struct kb_buffer out = KB_BUFFER_INIT(100000);
    struct kb_bytes key = kb_bytes_text(ITEM("a", "1.0"));
    struct kb_error err = {0};

    CU_ASSERT_EQUAL(get ? kb_table_get(table, key, &out, &err) : kb_table_delete(table, key, &err),
                    want);
    CU_ASSERT_EQUAL(err.status, want);
    CU_ASSERT_EQUAL(out.size > 0, get && want == KB_OK);
    if (!strstr(err.text, part))
        fprintf(stderr, "'%s' lacks '%s'\n", err.text, part);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, part));
    kb_buffer_free(&out);
    stop(fake, table);
}

static void test_one_item(void)
{
    static const char *const others[] = {ITEM("b", "1"), ITEM("a", "2")};
    char answer[200];

    check_one(&(struct fake){.item_answer = "{\"Item\":" ITEM("a", "1") "}"}, true, KB_OK, "");
    check_one(&(struct fake){.item_answer = "{}"}, true, KB_ERR_NOT_FOUND, "no item");
    check_one(&(struct fake){.item_answer = "{}", .drops = 1}, true, KB_ERR_NOT_FOUND, "no item");
    check_one(&(struct fake){.item_answer = "{\"Item\":{\"p\":{\"S\":\"a\"}}}"}, true, KB_ERR_INPUT,
              "no key attribute 's'");
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        snprintf(answer, sizeof answer, "{\"Item\":%s}", others[i]);
        check_one(&(struct fake){.item_answer = answer}, true, KB_ERR_AUTH, "the key of another");
        snprintf(answer, sizeof answer, "{\"Attributes\":%s}", others[i]);
        check_one(&(struct fake){.item_answer = answer}, false, KB_ERR_AUTH, "the key of another");
    }
    check_one(&(struct fake){.item_answer = "{\"Attributes\":" ITEM("a", "1") "}"}, false, KB_OK,
              "");
    check_one(&(struct fake){.item_answer = "{}"}, false, KB_ERR_NOT_FOUND, "no item");
    /* The try that was not answered may have been the one that deleted it; one
     * that was throttled was not. */
    check_one(&(struct fake){.item_answer = "{}", .drops = 1}, false, KB_OK, "");
    check_one(&(struct fake){.item_answer = "{}", .throttles = 1}, false, KB_ERR_NOT_FOUND,
              "no item");
}

/* The sink ends the walk while a page is under way. */
static enum kb_status end_it(void *ctx, struct kb_bytes item)
{
    (void)ctx;
    (void)item;
    return KB_ERR_PARTIAL;
}

static void test_end_early(void)
{
    struct fake fake = {PAGES("{\"Items\":[" ITEM("a", "1") "]" LAST("a", "1") "}")};
    struct kb_table *table = start(&fake);

    CU_ASSERT_EQUAL(kb_table_scan(table, 0, &(struct kb_table_sink){.item = end_it}, NULL),
                    KB_ERR_PARTIAL);
    stop(&fake, table);
}

int main(int argc, char **argv)
{
    static const struct kbtest tests[] = {
        {"open: states and names", test_open},
        {"describe: what it tells", test_description},
        {"create: the request, waiting, refusals", test_create},
        {"sse: changed when it is not so", test_set_sse},
        {"put: what comes back is sent again as it was", test_put_unprocessed},
        {"put: what comes back forever", test_put_never_processed},
        {"put: throttled", test_put_throttled},
        {"put: the culprit is found", test_put_culprit},
        {"put: no culprit", test_put_no_culprit},
        {"put: nothing is sent before all are looked at", test_put_checks_first},
        {"put: table gone, keys changed, rubbish", test_put_fails},
        {"walk: pages, limits, the request", test_pages},
        {"walk: pages that are none", test_bad_pages},
        {"walk: circles", test_circles},
        {"walk: ended early", test_end_early},
        {"query: items that were not asked for", test_query_items},
        {"query: of an index", test_query_index},
        {"query: where it goes on from", test_query_goes_on},
        {"get, delete: the item of another key, answers lost", test_one_item},
        {NULL, NULL},
    };

    setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "not-a-secret", 1);
    setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
    return kbtest_main("dynamodb", tests, argc, argv);
}
