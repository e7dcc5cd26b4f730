/* SPDX-License-Identifier: Apache-2.0
 *
 * keybridge aws-policy: what its parts share. Each finds out what a command
 * does with a service, and adds it to the policy.
 */
#ifndef KB_CLI_POLICY_H
#define KB_CLI_POLICY_H

#include "cli/cli.h"

enum {
    POLICY_STATEMENTS_MAX = 64,
    POLICY_ACTIONS_MAX = 24,
    POLICY_TEXT_MAX = 2304, /* bytes of an ARN or a condition's value, and its end */
};

/* What a condition is on, in the order they are printed in; a statement has
 * each at most once, and IAM wants all of them to hold. */
enum policy_condition {
    POLICY_ON_ALIAS,
    POLICY_ON_SERVICE,
    POLICY_ON_GRANT,
    POLICY_ON_PREFIX,
    POLICY_CONDITIONS,
};

struct policy_statement {
    char resource[POLICY_TEXT_MAX];
    char values[POLICY_CONDITIONS][POLICY_TEXT_MAX]; /* "": not that condition */
    const char *actions[POLICY_ACTIONS_MAX];
    size_t count;
};

/* What a resource is made of; a '*' stands for what is not named. */
enum policy_part { POLICY_REGION, POLICY_ACCOUNT, POLICY_KEY, POLICY_PARTS };

struct policy {
    struct cli *cli;
    const char *account;
    const char *region; /* NULL: the command's, else the settings' */
    struct policy_statement *statements;
    size_t count;
    bool needs; /* the command at hand needs something */
    bool noted[POLICY_PARTS];
};

/* --- statements (policy_statement.c) -------------------------------------------------- */

/* Adds an action, a text that stays, to the statement of these resource and
 * conditions. */
KB_MUST_CHECK enum kb_status policy_allow(struct policy *policy,
                                          const struct policy_statement *wanted,
                                          const char *action);
/* Refuses what IAM takes for any text, so that more would be allowed than a
 * command can use. */
KB_MUST_CHECK enum kb_status policy_check_wild(const struct policy *policy, const char *what,
                                               const char *text);
/* The part of AWS that a region (or NULL) belongs to, for ARNs. */
const char *policy_partition(const char *region);
/* The resource of a table, or of an index of it (NULL: none). */
KB_MUST_CHECK enum kb_status policy_table(struct policy_statement *out, struct policy *policy,
                                          const char *region, const char *name,
                                          const char *index);
/* The resource and the condition of a KMS key; NULL: it is not named. */
KB_MUST_CHECK enum kb_status policy_kms_key(struct policy_statement *out, struct policy *policy,
                                            const char *region, const char *key);
/* The condition that a key is used through a service, such as "dynamodb", alone. */
void policy_put_service(struct policy_statement *out, struct policy *policy, const char *service,
                        const char *region);

/* --- S3 (policy_s3.c) ----------------------------------------------------------------- */

/* What a verb of s3, or one of envelope that names an object, needs. */
KB_MUST_CHECK enum kb_status policy_add_s3(struct policy *policy, const struct cli_verb *verb,
                                           const struct cli_capture *capture, const char *region);

#endif
