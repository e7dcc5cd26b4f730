/* SPDX-License-Identifier: Apache-2.0
 *
 * AWS's configuration files, as either of the two; every setting that the
 * library asks for is asked for.
 */
#include "aws/credentials.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ask(const struct kb_profiles *profiles, const char *profile)
{
    static const char *const names[] = {"aws_access_key_id", "aws_secret_access_key", "region",
                                        "credential_process"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = kb_profiles_get(profiles, profile, names[i]);

        /* What is given is neither empty nor more than a line. */
        if (value && (!*value || strchr(value, '\n') || !kb_profiles_has(profiles, profile)))
            abort();
    }
    (void)kb_profiles_endpoint(profiles, profile, "dynamodb");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (int credentials = 0; credentials < 2; credentials++) {
        struct kb_profiles *profiles;
        struct kb_error err = {0};

        if (kb_profiles_parse(&profiles, (struct kb_bytes){data, size}, credentials, &err) !=
            KB_OK) {
            if (profiles || !strstr(err.text, "line"))
                abort();
            continue;
        }
        ask(profiles, "default");
        ask(profiles, "two words");
        kb_profiles_free(profiles);
    }
    return 0;
}
