/* SPDX-License-Identifier: Apache-2.0
 *
 * Settings: options over KEYBRIDGE_* variables over the user's file
 * ($KEYBRIDGE_HOME/keybridge.json) over the system's over defaults.
 */
#ifndef KEYBRIDGE_CONFIG_H
#define KEYBRIDGE_CONFIG_H

#include <keybridge/keystore.h>

#ifdef __cplusplus
extern "C" {
#endif

/* X(enumerator, member of keybridge.json, variable, default or NULL, what it is) */
#define KB_SETTING_LIST(X)                                                                         \
    X(KB_SETTING_TOKEN, "token.uri", "KEYBRIDGE_TOKEN", NULL, "PKCS#11 URI of the token")          \
    X(KB_SETTING_MODULE, "token.module", "KEYBRIDGE_MODULE", NULL, "PKCS#11 module")               \
    X(KB_SETTING_MODULE_PARAMETERS, "token.module-parameters", "KEYBRIDGE_MODULE_PARAMETERS",      \
      NULL, "parameters a module wants at its start")                                              \
    X(KB_SETTING_SOFTHSM2_CONF, "token.softhsm2-conf", "KEYBRIDGE_SOFTHSM2_CONF", NULL,            \
      "configuration file of the embedded SoftHSM")                                                \
    X(KB_SETTING_PIN_FILE, "token.pin-file", "KEYBRIDGE_PIN_FILE", NULL,                           \
      "file that holds the PIN")                                                                   \
    X(KB_SETTING_WRAP_KEY, "keys.wrap", "KEYBRIDGE_WRAP_KEY", "default-wrap", "wrapping key")      \
    X(KB_SETTING_SIGN_KEY, "keys.sign", "KEYBRIDGE_SIGN_KEY", "default-sign", "signing key")       \
    X(KB_SETTING_WORKERS, "workers", "KEYBRIDGE_WORKERS", NULL,                                    \
      "threads, each with a helper; without it one a processor, at most 4")                        \
    X(KB_SETTING_AWS_REGION, "aws.region", "KEYBRIDGE_AWS_REGION", NULL, "AWS region")             \
    X(KB_SETTING_AWS_PROFILE, "aws.profile", "KEYBRIDGE_AWS_PROFILE", NULL,                        \
      "profile of the AWS configuration files")                                                    \
    X(KB_SETTING_AWS_ENDPOINT_URL, "aws.endpoint-url", "KEYBRIDGE_AWS_ENDPOINT_URL", NULL,         \
      "where AWS services are, in place of AWS's own")                                             \
    X(KB_SETTING_AWS_CA_FILE, "aws.ca-file", "KEYBRIDGE_AWS_CA_FILE", NULL,                        \
      "authorities whose certificates AWS services may have, PEM")                                 \
    X(KB_SETTING_S3_ENCRYPTION, "s3.encryption", "KEYBRIDGE_S3_ENCRYPTION", "sse-c",               \
      "how new objects are encrypted")                                                             \
    X(KB_SETTING_S3_STYLE, "s3.style", "KEYBRIDGE_S3_STYLE", "auto",                               \
      "where a bucket's name is in URLs: auto, path, virtual")

enum kb_setting {
#define KB_SETTING_ENUM(name, member, variable, fallback, what) name,
    KB_SETTING_LIST(KB_SETTING_ENUM)
#undef KB_SETTING_ENUM
        KB_SETTING_COUNT
};

enum kb_origin {
    KB_ORIGIN_NONE,
    KB_ORIGIN_DEFAULT,
    KB_ORIGIN_SYSTEM_FILE,
    KB_ORIGIN_USER_FILE,
    KB_ORIGIN_VARIABLE,
    KB_ORIGIN_OPTION,
};

struct kb_config;

/* Reads the files and variables. `file`: --config, in place of the user's
 * file, and then it must be there; NULL: $KEYBRIDGE_HOME/keybridge.json if it
 * is there. Unknown or repeated members are errors: KB_ERR_CONFIG. Relative
 * paths in a file are below the file's folder. When a level names a token
 * or a module, the token settings of lower levels are dropped: a PIN must not reach a token it
 * was not meant for. *out is the caller's. */
KB_MUST_CHECK enum kb_status kb_config_load(struct kb_config **out, const char *file,
                                            struct kb_error *err);
void kb_config_free(struct kb_config *config);

/* Sets an option of the command line. */
KB_MUST_CHECK enum kb_status kb_config_set(struct kb_config *config, enum kb_setting setting,
                                           const char *value, struct kb_error *err);

/* The value, or NULL. Lives as long as the config, or until it is set. */
const char *kb_config_get(const struct kb_config *config, enum kb_setting setting);
enum kb_origin kb_config_origin(const struct kb_config *config, enum kb_setting setting);

/* $KEYBRIDGE_HOME, else $XDG_DATA_HOME/keybridge, else ~/.local/share/keybridge. */
const char *kb_config_home(const struct kb_config *config);

const char *kb_setting_member(enum kb_setting setting);
const char *kb_origin_format(enum kb_origin origin);

/* The worker count in force: the setting, held against 1 to 64, or the number
 * of processors, at most 4. */
KB_MUST_CHECK enum kb_status kb_config_workers(const struct kb_config *config, unsigned *out,
                                               struct kb_error *err);

/* Options for kb_keystore_open from the settings, with counts in the file
 * counts.db of kb_config_home; views into the config. */
void kb_config_keystore(const struct kb_config *config, struct kb_keystore_options *out);

/* The file of the vault, vault.db of kb_config_home. */
const char *kb_config_vault(const struct kb_config *config);

/* Where the PIN is: the pin-file setting, else the token URI's pin-source, a
 * file; *path is NULL when neither is given. The caller frees it with free().
 * KB_ERR_USAGE for a pin-source that would run a command, or pin-value. */
KB_MUST_CHECK enum kb_status kb_config_pin_path(const struct kb_config *config, char **path,
                                                struct kb_error *err);

#ifdef __cplusplus
}
#endif
#endif
