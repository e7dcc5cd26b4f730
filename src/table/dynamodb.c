/* SPDX-License-Identifier: Apache-2.0
 *
 * Tables in DynamoDB: finding, making and describing them.
 */
#include "table/dynamodb.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How long a table may take to become what it is to be. */
enum {
    WAIT_CREATE_MS = 300000,
    WAIT_UPDATE_MS = 10000,
    WAIT_FIRST_MS = 50,
    WAIT_LONGEST_MS = 2000,
};

/* --- names ----------------------------------------------------------------- */

static bool plain_name(const char *name)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                  "0123456789_.-";
    size_t size = strlen(name);

    return size >= 3 && size <= 255 && strspn(name, letters) == size;
}

/* The name out of "arn:aws:dynamodb:REGION:ACCOUNT:table/NAME", and the
 * region; NULL when it is no such ARN. */
static const char *name_of_arn(const char *arn, char *region, size_t room)
{
    const char *part[6] = {arn};
    size_t size;

    for (int i = 1; i < 6; i++) {
        part[i] = strchr(part[i - 1], ':');
        if (!part[i])
            return NULL;
        part[i]++;
    }
    size = (size_t)(part[4] - part[3] - 1);
    if (strncmp(arn, "arn:", 4) != 0 || strncmp(part[2], "dynamodb:", 9) != 0 || !size ||
        size >= room || strncmp(part[5], "table/", 6) != 0 || !plain_name(part[5] + 6))
        return NULL;
    memcpy(region, part[3], size);
    region[size] = 0;
    return part[5] + 6;
}

static void dynamodb_close(struct kb_table *table)
{
    struct dynamodb *d = (struct dynamodb *)table;

    kb_aws_close(d->aws);
    kb_arena_free(&d->arena);
    kb_buffer_free(&d->keys);
    kb_buffer_free(&d->body);
    free(d);
}

/* All but what the service knows about the table. */
static enum kb_status connect(struct dynamodb **out, const char *name,
                              const struct kb_table_options *options, struct kb_error *err)
{
    struct kb_aws_options aws = {0};
    struct dynamodb *d;
    char region[64];
    const char *arn_name = name_of_arn(name, region, sizeof region);
    const char *plain = arn_name ? arn_name : name;
    enum kb_status status;

    if (!plain_name(plain) || strlen(name) >= sizeof d->name) {
        kb_error_set(err, KB_ERR_USAGE, "'%.80s' is not the name of a table in DynamoDB", name);
        kb_error_hint(err, "3 to 255 letters, digits, '_', '.' and '-', or the ARN of a table");
        return KB_ERR_USAGE;
    }
    if (options->aws)
        aws = *options->aws;
    if (arn_name && !aws.region)
        aws.region = region;
    d = calloc(1, sizeof *d);
    if (!d)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    d->keys = (struct kb_buffer)KB_BUFFER_INIT(SIZE_MAX / 2);
    d->body = (struct kb_buffer)KB_BUFFER_INIT(DYNAMODB_BODY_MAX);
    d->max_tries = aws.max_tries;
    snprintf(d->name, sizeof d->name, "%s", name);
    snprintf(d->table.schema.signed_name, sizeof d->table.schema.signed_name, "%s", plain);
    status = kb_aws_open(&d->aws, &kb_aws_dynamodb, &aws, err);
    if (status != KB_OK) {
        dynamodb_close(&d->table);
        return status;
    }
    if (arn_name)
        snprintf(d->resource, sizeof d->resource, "%s", name);
    else
        snprintf(d->resource, sizeof d->resource, "arn:aws:dynamodb:%s:*:table/%s",
                 kb_aws_region(d->aws), plain);
    *out = d;
    return KB_OK;
}

/* --- one call -------------------------------------------------------------- */

enum kb_status dynamodb_call(struct dynamodb *d, const char *operation, struct kb_buffer *answer,
                             struct kb_error *err)
{
    struct kb_aws_call call = {
        .operation = operation,
        .resource = d->resource,
        .body = kb_buffer_view(&d->body),
    };
    enum kb_status status = kb_buffer_check(&d->body, err);

    if (status == KB_OK)
        status = kb_aws_call_one(d->aws, &call, err);
    if (status == KB_OK)
        *answer = call.response;
    else
        kb_aws_call_free(&call);
    return status;
}

static void give(struct kb_error *err, const struct kb_error *why)
{
    if (err && err->status == KB_OK)
        *err = *why;
}

static enum kb_status no_table(const struct dynamodb *d, struct kb_error *err)
{
    kb_error_set(err, KB_ERR_NOT_FOUND, "there is no table '%s' in %s",
                 d->table.schema.signed_name, kb_aws_region(d->aws));
    kb_error_hint(err, "check the region, the account and the name");
    return KB_ERR_NOT_FOUND;
}

static enum kb_status describe(struct dynamodb *d, struct dynamodb_description *out,
                               struct kb_error *err)
{
    struct kb_buffer answer = KB_BUFFER_INIT(0);
    struct kb_arena arena = KB_ARENA_INIT; /* it may be asked in the midst of a put */
    struct kb_error why = {0};
    enum kb_status status;

    kb_buffer_reset(&d->body);
    dynamodb_put_start(&d->body, d->name);
    kb_buffer_put_u8(&d->body, '}');
    status = dynamodb_call(d, "DescribeTable", &answer, &why);
    if (status == KB_ERR_NOT_FOUND)
        return no_table(d, err);
    if (status == KB_OK)
        status = dynamodb_read_description(out, kb_buffer_view(&answer), &arena, &why);
    if (status != KB_OK)
        give(err, &why);
    kb_arena_free(&arena);
    kb_buffer_free(&answer);
    return status;
}

static bool same_key(const struct kb_table_key *a, const struct kb_table_key *b)
{
    return a->type == b->type && strcmp(a->name, b->name) == 0;
}

enum kb_status dynamodb_explain(struct dynamodb *d, enum kb_status status,
                                const struct kb_error *why, struct kb_error *err)
{
    const struct kb_table_schema *schema = &d->table.schema;
    struct dynamodb_description now;

    if (status == KB_ERR_NOT_FOUND)
        return kb_error_set(err, KB_ERR_NOT_FOUND,
                            "table '%s' was there and is not there any more", schema->signed_name);
    /* What we sent fits the keys that the table had when it was opened. */
    if (status == KB_ERR_USAGE && describe(d, &now, NULL) == KB_OK &&
        (!same_key(&now.schema.partition, &schema->partition) ||
         !same_key(&now.schema.sort, &schema->sort)))
        return kb_error_set(err, KB_ERR_NOT_FOUND,
                            "table '%s' was made anew with other keys since it was opened",
                            schema->signed_name);
    give(err, why);
    return status;
}

/* --- waiting --------------------------------------------------------------- */

static bool is_changing(const struct dynamodb_description *description)
{
    const char *status = description->info.status, *sse = description->sse_status;

    return strcmp(status, "CREATING") == 0 || strcmp(status, "UPDATING") == 0 ||
           strcmp(sse, "ENABLING") == 0 || strcmp(sse, "DISABLING") == 0 ||
           strcmp(sse, "UPDATING") == 0;
}

/* Describes until nothing changes any more, at most `longest` ms; what was
 * seen last is in *out in any case. */
static enum kb_status wait_steady(struct dynamodb *d, struct dynamodb_description *out,
                                  int longest, struct kb_error *err)
{
    enum kb_status status = describe(d, out, err);
    int wait = WAIT_FIRST_MS;

    for (int waited = 0; status == KB_OK && is_changing(out) && waited < longest; waited += wait) {
        wait = wait * 2 < WAIT_LONGEST_MS ? wait * 2 : WAIT_LONGEST_MS;
        kb_aws_pause(wait);
        status = describe(d, out, err);
    }
    return status;
}

static enum kb_status too_slow(const struct dynamodb *d, const struct dynamodb_description *now,
                               struct kb_error *err)
{
    kb_error_set(err, KB_ERR_REMOTE, "table '%s' is still %s", d->table.schema.signed_name,
                 is_changing(now) && strcmp(now->info.status, "ACTIVE") == 0 ? now->sse_status
                                                                            : now->info.status);
    kb_error_hint(err, "DynamoDB goes on with it; look again later");
    return KB_ERR_REMOTE;
}

/* --- opening --------------------------------------------------------------- */

static enum kb_status check_usable(const struct dynamodb *d,
                                   const struct dynamodb_description *now, struct kb_error *err)
{
    const char *status = now->info.status, *name = d->table.schema.signed_name;

    if (strcmp(status, "CREATING") == 0)
        return too_slow(d, now, err);
    if (strcmp(status, "DELETING") == 0)
        return kb_error_set(err, KB_ERR_NOT_FOUND, "table '%s' is being deleted", name);
    if (strcmp(status, "INACCESSIBLE_ENCRYPTION_CREDENTIALS") == 0) {
        kb_error_set(err, KB_ERR_DENIED, "DynamoDB cannot use the KMS key that the storage of "
                                         "table '%s' is encrypted with", name);
        kb_error_hint(err, "the key %s was disabled, or its policy changed",
                      now->info.sse_kms_key);
        return KB_ERR_DENIED;
    }
    if (strcmp(status, "ARCHIVING") == 0 || strcmp(status, "ARCHIVED") == 0)
        return kb_error_set(err, KB_ERR_DENIED, "table '%s' is archived", name);
    /* One that is being updated serves items as ever. */
    return KB_OK;
}

static const struct kb_table_methods methods;

static enum kb_status dynamodb_open(struct kb_table **out, const char *name,
                                    const struct kb_table_options *options, struct kb_error *err)
{
    struct dynamodb_description now;
    struct dynamodb *d = NULL;
    enum kb_status status = connect(&d, name, options, err);

    if (status != KB_OK)
        return status;
    status = wait_steady(d, &now, WAIT_UPDATE_MS, err);
    if (status == KB_OK && strcmp(now.info.status, "CREATING") == 0)
        status = wait_steady(d, &now, WAIT_CREATE_MS, err);
    if (status == KB_OK)
        status = check_usable(d, &now, err);
    if (status != KB_OK) {
        dynamodb_close(&d->table);
        return status;
    }
    d->table.methods = &methods;
    d->table.schema.partition = now.schema.partition;
    d->table.schema.sort = now.schema.sort;
    memcpy(d->indexes, now.indexes, sizeof d->indexes);
    d->table.schema.indexes = d->indexes;
    d->table.schema.index_count = now.schema.index_count;
    if (now.info.arn[0] && strlen(now.info.arn) < sizeof d->resource)
        snprintf(d->resource, sizeof d->resource, "%s", now.info.arn);
    *out = &d->table;
    return KB_OK;
}

/* --- creating and changing ------------------------------------------------- */

static enum kb_status check_sse(const struct kb_table_options *options, struct kb_error *err)
{
    bool key = options->sse_kms_key && options->sse_kms_key[0];

    if (options->sse > KB_SSE_KMS)
        return kb_error_set(err, KB_ERR_USAGE, "unknown kind of storage key");
    if (options->sse == KB_SSE_KMS && !key)
        return kb_error_set(err, KB_ERR_USAGE, "the KMS key for the table's storage is missing");
    if (options->sse != KB_SSE_KMS && key)
        return kb_error_set(err, KB_ERR_USAGE,
                            "a KMS key for the table's storage goes with storage keys in KMS only");
    return KB_OK;
}

static enum kb_status send_create(struct dynamodb *d, const struct kb_table_schema *schema,
                                  const struct kb_table_options *options, struct kb_error *err)
{
    struct kb_aws_call call = {
        .operation = "CreateTable",
        .resource = d->resource,
        /* Sent twice, it would find its own table there. */
        .repeatable_only_unsent = true,
    };
    struct kb_error why = {0};
    enum kb_status status;

    kb_buffer_reset(&d->body);
    status = dynamodb_put_create(&d->body, d->name, schema, options, err);
    if (status != KB_OK)
        return status;
    call.body = kb_buffer_view(&d->body);
    status = kb_aws_call_one(d->aws, &call, &why);
    kb_aws_call_free(&call);
    if (status == KB_ERR_EXISTS)
        return kb_error_set(err, KB_ERR_EXISTS, "table '%s' in %s exists already",
                            d->table.schema.signed_name, kb_aws_region(d->aws));
    if (status != KB_OK)
        give(err, &why);
    return status;
}

static enum kb_status dynamodb_create(const char *name, const struct kb_table_schema *schema,
                                      const struct kb_table_options *options, struct kb_error *err)
{
    struct dynamodb_description now;
    struct dynamodb *d = NULL;
    enum kb_status status = check_sse(options, err);

    if (status == KB_OK && !options->read_units != !options->write_units)
        return kb_error_set(err, KB_ERR_USAGE,
                            "provisioned throughput needs both read and write units");
    if (status == KB_OK)
        status = connect(&d, name, options, err);
    if (status != KB_OK)
        return status;
    status = send_create(d, schema, options, err);
    if (status == KB_OK)
        status = wait_steady(d, &now, WAIT_CREATE_MS, err);
    if (status == KB_OK && strcmp(now.info.status, "ACTIVE") != 0)
        status = too_slow(d, &now, err);
    dynamodb_close(&d->table);
    return status;
}

static enum kb_status dynamodb_describe(struct kb_table *table, struct kb_table_info *out,
                                        struct kb_error *err)
{
    struct dynamodb_description now;
    enum kb_status status = describe((struct dynamodb *)table, &now, err);

    if (status == KB_OK)
        *out = now.info;
    return status;
}

/* A key id or ARN that is the one the table has; an alias cannot be told. */
static bool is_sse(const struct dynamodb_description *now, const struct kb_table_options *want)
{
    const char *has = now->info.sse_kms_key, *id = strrchr(has, '/');

    if (want->sse == KB_SSE_OWNED || now->info.sse == KB_SSE_OWNED)
        return want->sse == now->info.sse;
    return want->sse == KB_SSE_KMS && (strcmp(has, want->sse_kms_key) == 0 ||
                                       (id && strcmp(id + 1, want->sse_kms_key) == 0));
}

static enum kb_status dynamodb_set_sse(struct kb_table *table,
                                       const struct kb_table_options *options,
                                       struct kb_error *err)
{
    struct dynamodb *d = (struct dynamodb *)table;
    struct dynamodb_description now;
    struct kb_buffer answer = KB_BUFFER_INIT(0);
    struct kb_error why = {0};
    enum kb_status status = check_sse(options, err);

    if (status == KB_OK)
        status = wait_steady(d, &now, WAIT_CREATE_MS, err);
    if (status != KB_OK || is_sse(&now, options))
        return status;
    kb_buffer_reset(&d->body);
    dynamodb_put_start(&d->body, d->name);
    dynamodb_put_sse(&d->body, options, false);
    kb_buffer_put_u8(&d->body, '}');
    status = dynamodb_call(d, "UpdateTable", &answer, &why);
    kb_buffer_free(&answer);
    if (status == KB_ERR_NOT_FOUND)
        return no_table(d, err);
    if (status != KB_OK) {
        /* "Table is already encrypted by given KMSMasterKeyId" */
        if (status == KB_ERR_USAGE && strstr(why.text, "already encrypted"))
            return KB_OK;
        give(err, &why);
        return status;
    }
    status = wait_steady(d, &now, WAIT_CREATE_MS, err);
    if (status == KB_OK && is_changing(&now))
        return too_slow(d, &now, err);
    if (status == KB_OK && (options->sse == KB_SSE_OWNED) != (now.info.sse == KB_SSE_OWNED))
        return kb_error_set(err, KB_ERR_REMOTE, "the storage key of table '%s' did not change",
                            d->table.schema.signed_name);
    return status;
}

static void dynamodb_add_stats(const struct kb_table *table, struct kb_table_stats *out)
{
    const struct dynamodb *d = (const struct dynamodb *)table;
    struct kb_aws_stats stats;

    kb_aws_stats(d->aws, &stats);
    out->requests += stats.requests;
    out->retries += stats.retries;
    out->throttled += stats.throttled;
}

static const struct kb_table_methods methods = {
    .close = dynamodb_close,
    .describe = dynamodb_describe,
    .set_sse = dynamodb_set_sse,
    .add_stats = dynamodb_add_stats,
    .put = dynamodb_put,
    .get = dynamodb_get,
    .delete = dynamodb_delete,
    .query = dynamodb_query,
    .scan = dynamodb_scan,
};

const struct kb_table_kind kb_table_dynamodb = {
    .prefix = "dynamodb:",
    .create = dynamodb_create,
    .open = dynamodb_open,
};
