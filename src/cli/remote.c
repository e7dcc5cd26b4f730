/* SPDX-License-Identifier: Apache-2.0
 *
 * How AWS is reached: options over settings, and AWS's own chain below them.
 */
#include "cli/cli.h"

#include <string.h>

enum { CONNECTIONS_MAX = 64 };

enum kb_status cli_remote_resolve(struct cli *cli, const struct cli_remote *remote,
                                  struct kb_aws_options *out)
{
    const struct {
        enum kb_setting setting;
        const char *option;
        const char *value;
        const char **to;
    } rows[] = {
        {KB_SETTING_AWS_REGION, "region", remote->region, &out->region},
        {KB_SETTING_AWS_PROFILE, "profile", remote->profile, &out->profile},
        {KB_SETTING_AWS_ENDPOINT_URL, "endpoint-url", remote->endpoint_url, &out->endpoint_url},
        {KB_SETTING_AWS_CA_FILE, "ca-file", remote->ca_file, &out->ca_file},
    };
    uint64_t connections = 0;
    enum kb_status status;

    memset(out, 0, sizeof *out);
    status = cli_number(cli, "connections", remote->connections, 1, CONNECTIONS_MAX, &connections);
    out->connections = (unsigned)connections;
    for (size_t i = 0; status == KB_OK && i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].value && !*rows[i].value)
            return kb_error_set(&cli->error, KB_ERR_USAGE, "--%s is empty", rows[i].option);
        if (rows[i].value)
            status = kb_config_set(cli->config, rows[i].setting, rows[i].value, &cli->error);
        *rows[i].to = kb_config_get(cli->config, rows[i].setting);
    }
    return status;
}

/* arn:aws:kms:REGION:… */
static void take_region(struct cli_kms_remote *out, const char *arn)
{
    const char *at = arn;
    size_t size;

    for (int colons = 0; at && colons < 3; colons++)
        at = (at = strchr(at, ':')) ? at + 1 : NULL;
    size = at ? strcspn(at, ":") : 0;
    if (!size || at[size] != ':' || size >= sizeof out->region)
        return;
    memcpy(out->region, at, size);
    out->region[size] = 0;
    out->aws.region = out->region;
}

enum kb_status cli_remote_resolve_kms(struct cli *cli, const struct cli_remote *remote,
                                      const char *key, struct cli_kms_remote *out)
{
    enum kb_status status = cli_remote_resolve(cli, remote, &out->aws);

    if (status == KB_OK && key && strncmp(key, "arn:", 4) == 0)
        take_region(out, key);
    return status;
}
