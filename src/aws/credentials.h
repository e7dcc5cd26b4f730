/* SPDX-License-Identifier: Apache-2.0
 *
 * Where requests' credentials and settings come from, in the order of AWS's
 * own clients ("Standardized credential providers", AWS SDKs and Tools
 * Reference Guide).
 */
#ifndef KB_AWS_CREDENTIALS_H
#define KB_AWS_CREDENTIALS_H

#include <keybridge/aws.h>
#include <keybridge/secret.h>

#include "aws/sigv4.h"

/* --- profiles (profile.c) --------------------------------------------------------- */

/* ~/.aws/config and ~/.aws/credentials (or AWS_CONFIG_FILE and
 * AWS_SHARED_CREDENTIALS_FILE). */
struct kb_profiles;

/* Missing files are empty ones. KB_ERR_CONFIG names file and line. */
KB_MUST_CHECK enum kb_status kb_profiles_load(struct kb_profiles **out, struct kb_error *err);
void kb_profiles_free(struct kb_profiles *profiles);
bool kb_profiles_has(const struct kb_profiles *profiles, const char *profile);
/* A profile's setting, or NULL; the credentials file wins for keys. */
const char *kb_profiles_get(const struct kb_profiles *profiles, const char *profile,
                            const char *name);
/* The endpoint_url of a service ("dynamodb"): of the [services x] section that
 * the profile names, else of the profile itself; or NULL. */
const char *kb_profiles_endpoint(const struct kb_profiles *profiles, const char *profile,
                                 const char *service);

/* Reads one file's text, as kb_profiles_load does with each: for its fuzz target. */
KB_MUST_CHECK enum kb_status kb_profiles_parse(struct kb_profiles **out, struct kb_bytes text,
                                               bool credentials, struct kb_error *err);

/* Value of an environment variable; an empty one counts as not set: NULL. */
const char *kb_aws_variable(const char *name);

/* --- settings --------------------------------------------------------------------- */

/* The options with everything filled in that the environment and the profile
 * say; `service` is a signing name ("dynamodb"). KB_ERR_CONFIG, with a hint,
 * when no region is to be found; KB_ERR_USAGE for a URL that is none. */
struct kb_aws_settings {
    char region[64];
    char profile[128];
    bool profile_named; /* by an option or variable: it has to be there */
    bool profile_first; /* by an option: its keys go before the variables' */
    char *endpoint;     /* scheme://host[:port][/path], no slash at the end */
    char *ca_file;      /* or NULL */
    unsigned connections;
    unsigned max_tries;
    struct kb_profiles *profiles;
};
KB_MUST_CHECK enum kb_status kb_aws_settings_load(struct kb_aws_settings *out, const char *service,
                                                  const struct kb_aws_options *options,
                                                  struct kb_error *err);
void kb_aws_settings_free(struct kb_aws_settings *settings);

/* --- credentials ------------------------------------------------------------------- */

/* The chain: variables (unless an option names a profile, as with AWS's command
 * line), profile (static keys, then credential_process; a
 * profile that wants role_arn, sso or web identity is refused with a hint to
 * use credential_process), container (AWS_CONTAINER_CREDENTIALS_*), instance
 * metadata (IMDSv2 only). The first source that has any is used and stays. */
struct kb_credentials;

/* Nothing is fetched yet. `settings` must outlive it. */
KB_MUST_CHECK enum kb_status kb_credentials_new(struct kb_credentials **out,
                                                const struct kb_aws_settings *settings,
                                                struct kb_error *err);
void kb_credentials_free(struct kb_credentials *credentials);

/* What is good at `now` (seconds since 1970), fetched anew five minutes before
 * it expires, or when `refused` is the access key id that a service just
 * refused as expired. Views into *hold, which the caller frees with
 * kb_secret_free after signing. Any thread may call. KB_ERR_DENIED with a hint
 * when there are none; when a refresh fails while the old ones are still good
 * those are given. */
KB_MUST_CHECK enum kb_status kb_credentials_get(struct kb_credentials *credentials, int64_t now,
                                                const char *refused, struct kb_sigv4_keys *out,
                                                struct kb_secret **hold, struct kb_error *err);

/* "environment", "profile x", "process", "container", "instance"; "" before
 * the first kb_credentials_get. */
const char *kb_credentials_source(const struct kb_credentials *credentials);

#endif
