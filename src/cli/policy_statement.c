/* SPDX-License-Identifier: Apache-2.0
 *
 * keybridge aws-policy: statements, each of one resource and its conditions.
 */
#include "cli/policy.h"

#include <string.h>

/* --- statements ------------------------------------------------------------------------ */

static bool is_of(const struct policy_statement *statement, const struct policy_statement *wanted)
{
    for (size_t i = 0; i < POLICY_CONDITIONS; i++)
        if (strcmp(statement->values[i], wanted->values[i]) != 0)
            return false;
    return strcmp(statement->resource, wanted->resource) == 0;
}

/* The statement of this resource and conditions; a new one if there is none. */
static struct policy_statement *statement_of(struct policy *policy,
                                             const struct policy_statement *wanted)
{
    struct policy_statement *statement;

    for (size_t i = 0; i < policy->count; i++) {
        statement = &policy->statements[i];
        if (is_of(statement, wanted))
            return statement;
    }
    if (policy->count == POLICY_STATEMENTS_MAX)
        return NULL;
    statement = &policy->statements[policy->count++];
    *statement = *wanted;
    return statement;
}

/* Keeps actions in order, each once. */
enum kb_status policy_allow(struct policy *policy, const struct policy_statement *wanted,
                            const char *action)
{
    struct policy_statement *statement = statement_of(policy, wanted);
    size_t at = 0;

    policy->needs = true;
    if (!statement)
        return kb_error_set(&policy->cli->error, KB_ERR_USAGE, "more than %d resources",
                            POLICY_STATEMENTS_MAX);
    while (at < statement->count && strcmp(statement->actions[at], action) < 0)
        at++;
    if (at < statement->count && strcmp(statement->actions[at], action) == 0)
        return KB_OK;
    if (statement->count == POLICY_ACTIONS_MAX)
        return kb_error_set(&policy->cli->error, KB_ERR_USAGE, "more than %d actions",
                            POLICY_ACTIONS_MAX);
    memmove(statement->actions + at + 1, statement->actions + at,
            (statement->count - at) * sizeof *statement->actions);
    statement->actions[at] = action;
    statement->count++;
    return KB_OK;
}

/* --- resources --------------------------------------------------------------------------- */

/* `text`, or a '*' for what is not named, which is said once. */
static const char *part_or_any(struct policy *policy, enum policy_part part, const char *text)
{
    static const char *const notes[POLICY_PARTS] = {
        [POLICY_REGION] = "no region is named: the policy has '*' for it (--region)",
        [POLICY_ACCOUNT] = "no account is named: the policy has '*' for it (--account)",
        [POLICY_KEY] = "no KMS key is named: the policy has '*' for it (--kms-key)",
    };

    if (text)
        return text;
    if (!policy->noted[part])
        cli_note(policy->cli, "%s", notes[part]);
    policy->noted[part] = true;
    return "*";
}

enum kb_status policy_check_wild(const struct policy *policy, const char *what, const char *text)
{
    if (!text || !strpbrk(text, "*?"))
        return KB_OK;
    return kb_error_set(&policy->cli->error, KB_ERR_USAGE, "%s '%.120s' has a '*' or '?' in it",
                        what, text);
}

static enum kb_status check_size(const struct policy *policy, int size)
{
    if (size > 0 && size < POLICY_TEXT_MAX)
        return KB_OK;
    return kb_error_set(&policy->cli->error, KB_ERR_USAGE, "a name is too long for an ARN");
}

const char *policy_partition(const char *region)
{
    if (!region)
        return "aws";
    return strncmp(region, "cn-", 3) == 0       ? "aws-cn"
           : strncmp(region, "us-gov-", 7) == 0 ? "aws-us-gov"
                                                : "aws";
}

/* "arn:aws:SERVICE:REGION:ACCOUNT:" and the rest. */
static int put_arn(struct policy_statement *out, struct policy *policy, const char *service,
                   const char *region, const char *rest)
{
    return snprintf(out->resource, POLICY_TEXT_MAX, "arn:%s:%s:%s:%s:%s", policy_partition(region),
                    service, part_or_any(policy, POLICY_REGION, region),
                    part_or_any(policy, POLICY_ACCOUNT, policy->account), rest);
}

enum kb_status policy_table(struct policy_statement *out, struct policy *policy,
                            const char *region, const char *name, const char *index)
{
    enum kb_status status = policy_check_wild(policy, "the table's name", name);
    char rest[POLICY_TEXT_MAX];
    int size;

    if (status == KB_OK)
        status = policy_check_wild(policy, "the index's name", index);
    if (status != KB_OK)
        return status;
    size = snprintf(rest, sizeof rest, "%s%s%s%s", strncmp(name, "arn:", 4) ? "table/" : "", name,
                    index ? "/index/" : "", index ? index : "");
    status = check_size(policy, size);
    if (status != KB_OK)
        return status;
    if (strncmp(name, "arn:", 4) == 0)
        memcpy(out->resource, rest, (size_t)size + 1);
    else
        size = put_arn(out, policy, "dynamodb", region, rest);
    return check_size(policy, size);
}

/* IAM knows keys by their ARN; an alias is a condition over all keys. */
enum kb_status policy_kms_key(struct policy_statement *out, struct policy *policy,
                              const char *region, const char *key)
{
    enum kb_status status = policy_check_wild(policy, "the KMS key", key);
    const char *alias = NULL;
    char rest[POLICY_TEXT_MAX];
    int size;

    if (status != KB_OK)
        return status;
    if (key)
        alias = strncmp(key, "alias/", 6) == 0 ? key : strstr(key, ":alias/");
    if (alias && *alias == ':')
        alias++;
    if (alias && alias != key) { /* arn:aws:kms:REGION:ACCOUNT:alias/NAME */
        size = snprintf(out->resource, POLICY_TEXT_MAX, "%.*skey/*", (int)(alias - key), key);
    } else if (key && strncmp(key, "arn:", 4) == 0) {
        size = snprintf(out->resource, POLICY_TEXT_MAX, "%s", key);
    } else {
        size = snprintf(rest, sizeof rest, "key/%s",
                        alias ? "*" : part_or_any(policy, POLICY_KEY, key));
        status = check_size(policy, size);
        if (status != KB_OK)
            return status;
        size = put_arn(out, policy, "kms", region, rest);
    }
    if (alias && size > 0 && size < POLICY_TEXT_MAX)
        size = snprintf(out->values[POLICY_ON_ALIAS], POLICY_TEXT_MAX, "%s", alias);
    return check_size(policy, size);
}

void policy_put_service(struct policy_statement *out, struct policy *policy, const char *service,
                        const char *region)
{
    snprintf(out->values[POLICY_ON_SERVICE], POLICY_TEXT_MAX, "%s.%s.amazonaws.com%s", service,
             part_or_any(policy, POLICY_REGION, region),
             region && strncmp(region, "cn-", 3) == 0 ? ".cn" : "");
}
