/* SPDX-License-Identifier: Apache-2.0
 *
 * keybridge s3 verify and audit: what is wrong with the objects of a bucket.
 */
#include "cli/s3.h"
#include "cli/s3_names.h"

#include <string.h>

struct surveying {
    struct s3 s3;
    const char *bucket;
    bool content;
    uint64_t good, notes, bad; /* findings; of the good ones, those of objects */
};

static enum kb_status print_json(const struct surveying *surveying,
                                 const struct kb_object_finding *finding)
{
    static const char *const grades[] = {"good", "note", "bad"};
    cJSON *json = cJSON_CreateObject();

    cJSON_AddStringToObject(json, "grade", grades[finding->grade]);
    cJSON_AddStringToObject(json, "code", finding->code);
    cJSON_AddStringToObject(json, "bucket", surveying->bucket);
    if (finding->key)
        cJSON_AddStringToObject(json, "key", finding->key);
    if (finding->version && *finding->version)
        cJSON_AddStringToObject(json, "version", finding->version);
    cJSON_AddStringToObject(json, "text", finding->text);
    return cli_print_json(surveying->s3.cli, json);
}

static enum kb_status take_finding(void *ctx, const struct kb_object_finding *finding,
                                   struct kb_error *err)
{
    struct surveying *surveying = ctx;
    struct s3 *s3 = &surveying->s3;
    bool versioned = finding->version && *finding->version;

    (void)err;
    surveying->bad += finding->grade == KB_GRADE_BAD;
    surveying->notes += finding->grade == KB_GRADE_NOTE;
    surveying->good += finding->grade == KB_GRADE_GOOD && finding->key;
    cli_progress_add(&s3->progress, finding->key != NULL);
    if (s3->cli->json)
        return print_json(surveying, finding);
    if (finding->grade != KB_GRADE_GOOD || s3->cli->verbose) {
        cli_progress_end(&s3->progress);
        cli_print("%-18s s3://%s%s%s%s%s%s: %s", finding->code, surveying->bucket,
                  finding->key ? "/" : "", finding->key ? finding->key : "",
                  versioned ? " (version " : "", versioned ? finding->version : "",
                  versioned ? ")" : "", finding->text);
    }
    return KB_OK;
}

static enum kb_status conclude(const struct surveying *surveying)
{
    unsigned long long good = surveying->good, notes = surveying->notes, bad = surveying->bad;
    struct cli *cli = surveying->s3.cli;

    if (bad)
        return kb_error_set(&cli->error, good || notes ? KB_ERR_PARTIAL : KB_ERR_INPUT,
                            "%llu bad, %llu to note, %llu good", bad, notes, good);
    if (good || notes)
        cli_note(cli, "%llu to note, %llu good", notes, good);
    else
        cli_note(cli, "nothing is there, and nothing in the inventory");
    return KB_OK;
}

static enum kb_status survey_all(struct surveying *surveying,
                                 enum kb_status (*survey)(struct kb_objects *objects,
                                                          const struct kb_object_survey *asked,
                                                          struct kb_error *err),
                                 const char *url)
{
    struct s3 *s3 = &surveying->s3;
    char bucket[KB_S3_BUCKET_MAX + 1];
    struct kb_s3_name name;
    struct kb_object_survey asked = {.each = take_finding, .ctx = surveying};
    enum kb_status status = s3_argument(s3, url, false, bucket, &name);

    s3->streams = true;
    if (status == KB_OK)
        status = s3_open(s3, S3_NEEDS_TO_READ);
    if (status != KB_OK)
        return status;
    surveying->bucket = bucket;
    asked.bucket = bucket;
    asked.prefix = name.key;
    asked.versions = s3->options.versions;
    asked.content = surveying->content;
    asked.try_all_keys = s3->options.try_all_keys;
    cli_progress_start(&s3->progress, s3->cli, "objects looked at");
    status = survey(s3->objects, &asked, &s3->cli->error);
    cli_progress_end(&s3->progress);
    if (status != KB_OK)
        return status;
    return conclude(surveying);
}

enum kb_status s3_run_verify(struct cli *cli, int argc, char **argv)
{
    struct surveying surveying = {.s3 = {.cli = cli}};
    bool recursive = false; /* it always is */
    const struct cli_option table[] = {
        S3_REMOTE_OPTIONS(surveying.s3.options),
        S3_OPENING_OPTIONS(surveying.s3.options),
        {"content", 0, CLI_FLAG, &surveying.content},
        {"versions", 0, CLI_FLAG, &surveying.s3.options.versions},
        {"recursive", 'r', CLI_FLAG, &recursive},
        {NULL, 0, CLI_FLAG, NULL},
    };
    int count;
    enum kb_status status = cli_parse(cli, argc, argv, table, 1, 1, &count);

    if (status == KB_OK)
        status = survey_all(&surveying, kb_object_verify, argv[0]);
    s3_clear(&surveying.s3);
    return status;
}

enum kb_status s3_run_audit(struct cli *cli, int argc, char **argv)
{
    struct surveying surveying = {.s3 = {.cli = cli}};
    const struct cli_option table[] = {
        S3_REMOTE_OPTIONS(surveying.s3.options),
        {"try-all-keys", 0, CLI_FLAG, &surveying.s3.options.try_all_keys},
        {"versions", 0, CLI_FLAG, &surveying.s3.options.versions},
        {NULL, 0, CLI_FLAG, NULL},
    };
    int count;
    enum kb_status status = cli_parse(cli, argc, argv, table, 1, 1, &count);

    if (status == KB_OK)
        status = survey_all(&surveying, kb_object_audit, argv[0]);
    s3_clear(&surveying.s3);
    return status;
}
