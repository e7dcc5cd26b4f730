/* SPDX-License-Identifier: Apache-2.0
 *
 * How AWS services, and servers that speak their protocols, are reached.
 */
#ifndef KEYBRIDGE_AWS_H
#define KEYBRIDGE_AWS_H

#include <keybridge/bytes.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Strings are borrowed for the call they are given to. A zero-filled one takes
 * everything from where the AWS command line does: AWS_* variables, ~/.aws/config
 * and ~/.aws/credentials. */
struct kb_aws_options {
    const char *region;       /* NULL: AWS_REGION, AWS_DEFAULT_REGION, the profile's region */
    const char *profile;      /* NULL: AWS_PROFILE, else "default" */
    const char *endpoint_url; /* "http://127.0.0.1:8000"; NULL: AWS_ENDPOINT_URL_<SERVICE>,
                                 AWS_ENDPOINT_URL, the profile's endpoint_url, else AWS's own */
    const char *ca_file;      /* PEM; NULL: AWS_CA_BUNDLE, the profile's ca_bundle, else the
                                 system's authorities */
    unsigned connections;     /* at once, at most 256; 0: 4 */
    unsigned max_tries;       /* without progress, of one call, at most 1,000; 0: AWS_MAX_ATTEMPTS,
                                 the profile's max_attempts, else 10 */
};

#ifdef __cplusplus
}
#endif
#endif
