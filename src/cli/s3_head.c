/* SPDX-License-Identifier: Apache-2.0
 *
 * keybridge s3 head: how an object is protected, by which key, and where that
 * key lives.
 */
#include "cli/s3.h"

#include <stdarg.h>
#include <string.h>

struct sheet {
    cJSON *json; /* NULL: for people */
};

/* Names are words with '-' between, for people; of members with '_'. */
static const char *member(char out[32], const char *name)
{
    size_t i = 0;

    for (; i < 31 && name[i]; i++)
        out[i] = name[i] == '-' ? '_' : name[i];
    out[i] = 0;
    return out;
}

KB_PRINTF(3, 4)
static void row(struct sheet *sheet, const char *name, const char *format, ...)
{
    va_list args;
    char text[2048], room[32];

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (sheet->json)
        cJSON_AddStringToObject(sheet->json, member(room, name), text);
    else
        cli_print("%-12s %s", name, text);
}

static void row_number(struct sheet *sheet, const char *name, uint64_t number)
{
    char room[32];

    if (sheet->json)
        cJSON_AddNumberToObject(sheet->json, member(room, name), (double)number);
    else
        row(sheet, name, "%llu", (unsigned long long)number);
}

static void row_truth(struct sheet *sheet, const char *name, bool value, const char *text)
{
    char room[32];

    if (sheet->json)
        cJSON_AddBoolToObject(sheet->json, member(room, name), value);
    else
        row(sheet, name, "%s", text);
}

/* A row when there is something to say. */
static void row_if(struct sheet *sheet, const char *name, const char *text)
{
    if (text[0])
        row(sheet, name, "%s", text);
}

static void put_time(struct sheet *sheet, const char *name, int64_t seconds)
{
    char text[CLI_TIME_ROOM];

    cli_time(text, seconds);
    if (seconds)
        row(sheet, name, "%s", text);
}

static const char *protection_text(const struct kb_object_protection *found)
{
    switch (found->encryption) {
    case KB_OBJECT_SSE_C:
        return found->known ? "the server, with a customer key (SSE-C)"
                            : "the server, with a customer key that is not ours (SSE-C)";
    case KB_OBJECT_CLIENT:
        return found->customer_key
                   ? "before it was sent (S3 Encryption Client), and SSE-C beneath"
                   : "before it was sent (S3 Encryption Client)";
    case KB_OBJECT_CLIENT_ENVELOPE:
        return found->customer_key ? "before it was sent (Encryption SDK), and SSE-C beneath"
                                   : "before it was sent (Encryption SDK)";
    case KB_OBJECT_SSE_S3:
        return "the server, with keys of its own (SSE-S3)";
    case KB_OBJECT_SSE_KMS:
        return "the server, with a KMS key (SSE-KMS)";
    case KB_OBJECT_NONE:
        break;
    }
    return "nobody: it lies there in the clear";
}

static const char *home_text(const struct kb_object_protection *found)
{
    static const char *const homes[] = {
        [KB_KEY_HOME_NONE] = "there is none",
        [KB_KEY_HOME_VAULT] = "in the vault, wrapped by a key of the token",
        [KB_KEY_HOME_TOKEN] = "beside the object, wrapped by a key of a token",
        [KB_KEY_HOME_KMS] = "in a KMS",
        [KB_KEY_HOME_SERVICE] = "with the service",
        [KB_KEY_HOME_UNKNOWN] = "nobody here knows",
    };

    return homes[found->home];
}

/* Version 3 writes numbers. "Content and key wrapping algorithms", Amazon S3
 * Encryption Client Developer Guide. */
static const char *algorithm_text(const char *algorithm)
{
    static const char *const texts[][2] = {
        {"115", "AES/GCM with key commitment (115)"},
        {"02", "AES/GCM (02)"},
        {"12", "kms+context (12)"},
        {"22", "RSA-OAEP-SHA1 (22)"},
    };

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (algorithm && strcmp(algorithm, texts[i][0]) == 0)
            return texts[i][1];
    return algorithm;
}

static void put_protection(struct sheet *sheet, const struct kb_object_protection *found)
{
    row(sheet, "encryption", "%s", kb_object_encryption_format(found->encryption));
    row(sheet, "encrypted-by", "%s", protection_text(found));
    row(sheet, "key-lives", "%s", home_text(found));
    if (found->vault_key.id[0]) {
        row(sheet, "vault-key", "%s", found->vault_key.id);
        row_if(sheet, "key-name", found->vault_key.name);
        row(sheet, "fingerprint", "%s", found->vault_key.fingerprint);
        row(sheet, "key-state", "%s", kb_vault_state_format(found->vault_key.state));
    }
    row_if(sheet, "kms-key", found->object.kms_key);
    if (found->encryption == KB_OBJECT_CLIENT && !found->untried) {
        row(sheet, "format", "version %u, %s, wrapped by %s%s", found->s3ec.version,
            algorithm_text(found->s3ec.content_algorithm),
            algorithm_text(found->s3ec.wrap_algorithm),
            found->s3ec.instruction_file ? ", in an instruction file" : "");
        row_if(sheet, "description", found->s3ec.description);
    }
    if (found->untried)
        row(sheet, "without-key", "not tried: the key is disabled");
    else if (found->customer_key)
        row_truth(sheet, sheet->json ? "refused-without-key" : "without-key",
                  found->refused_without_key,
                  found->refused_without_key ? "refused, as tried" : "it is shown: not protected");
}

static void put_inventory(struct sheet *sheet, const struct kb_object_protection *found)
{
    char hex[65];

    if (!found->has_row) {
        row(sheet, "inventory", "none");
        return;
    }
    row(sheet, "inventory", "%s",
        found->row.state == KB_VAULT_STORED ? "stored and verified by us"
                                            : "an upload was begun by us");
    cli_hex(hex, (struct kb_bytes){found->row.sha256, sizeof found->row.sha256});
    if (found->row.has_sha256)
        row(sheet, "sha256", "%s", hex);
}

static void put_object(struct sheet *sheet, const struct kb_object_protection *found)
{
    const struct kb_s3_object *object = &found->object;

    if (object->status == 200)
        row_number(sheet, "size", object->size);
    row_if(sheet, "etag", object->etag);
    row_if(sheet, "version", object->version);
    put_time(sheet, "modified", object->modified);
    /* Of an answer that refuses it would be that of the error. */
    if (object->status == 200)
        row_if(sheet, "type", object->content_type);
    row_if(sheet, "class", object->storage_class);
    row_if(sheet, "lock", object->lock_mode);
    row_if(sheet, "lock-until", object->lock_until);
    if (object->legal_hold)
        row_truth(sheet, "legal-hold", true, "on");
    if (object->tag_count)
        row_number(sheet, "tags", object->tag_count);
}

static void put_metadata(struct sheet *sheet, const struct kb_s3_object *object)
{
    cJSON *json = sheet->json && object->metadata_count
                      ? cJSON_AddObjectToObject(sheet->json, "metadata")
                      : NULL;

    for (size_t i = 0; i < object->metadata_count; i++) {
        const struct kb_pair *pair = &object->metadata[i];
        char name[256], value[2100];

        snprintf(name, sizeof name, "%.*s", (int)pair->name.size, (const char *)pair->name.data);
        snprintf(value, sizeof value, "%.*s", (int)pair->value.size,
                 (const char *)pair->value.data);
        if (json)
            cJSON_AddStringToObject(json, name, value);
        else
            row(sheet, "metadata", "%s=%s", name, value);
    }
}

static enum kb_status run(struct s3 *s3, const char *url)
{
    struct kb_object_protection found = {.known = false};
    char bucket[KB_S3_BUCKET_MAX + 1];
    struct sheet sheet = {.json = NULL};
    struct kb_object_get get;
    struct kb_s3_name name;
    enum kb_status status = s3_argument(s3, url, true, bucket, &name);

    if (status == KB_OK)
        status = s3_open(s3, S3_NEEDS_TO_READ);
    if (status == KB_OK)
        status = s3_get_options(s3, &get);
    if (status == KB_OK)
        status = kb_object_head(s3->objects, &name, &get, &found, &s3->cli->error);
    if (status != KB_OK)
        return status;
    sheet.json = s3->cli->json ? cJSON_CreateObject() : NULL;
    row(&sheet, "object", "s3://%s/%s", name.bucket, name.key);
    put_object(&sheet, &found);
    put_protection(&sheet, &found);
    put_inventory(&sheet, &found);
    put_metadata(&sheet, &found.object);
    kb_object_protection_free(&found);
    return sheet.json ? cli_print_json(s3->cli, sheet.json) : KB_OK;
}

enum kb_status s3_run_head(struct cli *cli, int argc, char **argv)
{
    struct s3 s3 = {.cli = cli};
    const struct cli_option table[] = {
        S3_REMOTE_OPTIONS(s3.options),
        S3_READING_OPTIONS(s3.options),
        {NULL, 0, CLI_FLAG, NULL},
    };
    int count;
    enum kb_status status = cli_parse(cli, argc, argv, table, 1, 1, &count);

    if (status == KB_OK)
        status = run(&s3, argv[0]);
    s3_clear(&s3);
    return status;
}
