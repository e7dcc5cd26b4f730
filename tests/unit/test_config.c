/* SPDX-License-Identifier: Apache-2.0
 *
 * Settings: files that are refused, precedence, and what names a token.
 */
#include "kbtest.h"

#include <keybridge/config.h>
#include <keybridge/file.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct kb_config *load(const char *json, enum kb_status want)
{
    struct kb_config *config;
    struct kb_error err = {0};
    char path[512];
    enum kb_status status;

    snprintf(path, sizeof path, "%s/keybridge.json", kbtest_folder());
    KBT_OK(kb_file_write(path, 0600, kb_bytes_text(json), &err), &err);
    setenv("KEYBRIDGE_HOME", kbtest_folder(), 1);
    status = kb_config_load(&config, NULL, &err);
    if (status != want)
        fprintf(stderr, "%s: %s\n", json, kb_error_text(&err));
    CU_ASSERT_EQUAL(status, want);
    return config;
}

static void check_value(const struct kb_config *config, enum kb_setting setting, const char *value,
                        enum kb_origin origin)
{
    const char *got = kb_config_get(config, setting);

    if (value && got)
        CU_ASSERT_STRING_EQUAL(got, value);
    CU_ASSERT_EQUAL(got != NULL, value != NULL);
    CU_ASSERT_EQUAL(kb_config_origin(config, setting), origin);
}

static void test_refused(void)
{
    static const char *const texts[] = {
        "",
        "[]",
        "{} {}",
        "{\"x\":1}",
        "{\"token\":{\"urn\":\"x\"}}",
        "{\"token.uri\":\"pkcs11:\"}",
        "{\"bogus\":{}}",
        "{\"workers\":{}}",
        "{\"workers\":0}",
        "{\"workers\":65}",
        "{\"workers\":1.5}",
        "{\"workers\":\"2\"}",
        "{\"token\":\"x\"}",
        "{\"token\":{\"uri\":\"\"}}",
        "{\"token\":{\"uri\":1}}",
        "{\"token\":{},\"token\":{}}",
        "{\"token\":{\"uri\":\"a\",\"uri\":\"b\"}}",
        "{\"keys\":{\"wrap\":{\"x\":\"y\"}}}",
        "{\"keys\":{\"wrap\":\"\xff\"}}",
        "{\"s3\":\"sse-c\"}",
        "{\"s3\":{},\"s3\":{}}",
        "{\"s3\":{\"encryption\":\"\"}}",
        "{\"s3\":{\"style\":1}}",
        "{\"s3\":{\"s3\":{}}}",
        "{\"s3\":{\"colour\":\"red\"}}",
    };

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        CU_ASSERT_PTR_NULL(load(texts[i], KB_ERR_CONFIG));
}

static void test_precedence(void)
{
    struct kb_config *config = load("{\"keys\":{\"wrap\":\"file\"},\"workers\":3}", KB_OK);
    unsigned workers = 0;

    check_value(config, KB_SETTING_WRAP_KEY, "file", KB_ORIGIN_USER_FILE);
    check_value(config, KB_SETTING_SIGN_KEY, "default-sign", KB_ORIGIN_DEFAULT);
    KBT_OK(kb_config_workers(config, &workers, NULL), NULL);
    CU_ASSERT_EQUAL(workers, 3);
    kb_config_free(config);

    setenv("KEYBRIDGE_WRAP_KEY", "variable", 1);
    config = load("{\"keys\":{\"wrap\":\"file\"}}", KB_OK);
    check_value(config, KB_SETTING_WRAP_KEY, "variable", KB_ORIGIN_VARIABLE);
    KBT_OK(kb_config_set(config, KB_SETTING_WRAP_KEY, "option", NULL), NULL);
    check_value(config, KB_SETTING_WRAP_KEY, "option", KB_ORIGIN_OPTION);
    KBT_OK(kb_config_set(config, KB_SETTING_WORKERS, "x", NULL), NULL);
    CU_ASSERT_EQUAL(kb_config_workers(config, &workers, NULL), KB_ERR_USAGE);
    kb_config_free(config);
    unsetenv("KEYBRIDGE_WRAP_KEY");
}

static void test_s3(void)
{
    struct kb_config *config = load("{}", KB_OK);

    check_value(config, KB_SETTING_S3_ENCRYPTION, "sse-c", KB_ORIGIN_DEFAULT);
    check_value(config, KB_SETTING_S3_STYLE, "auto", KB_ORIGIN_DEFAULT);
    kb_config_free(config);
    setenv("KEYBRIDGE_S3_STYLE", "virtual", 1);
    config = load("{\"s3\":{\"encryption\":\"client\",\"style\":\"path\"}}", KB_OK);
    check_value(config, KB_SETTING_S3_ENCRYPTION, "client", KB_ORIGIN_USER_FILE);
    check_value(config, KB_SETTING_S3_STYLE, "virtual", KB_ORIGIN_VARIABLE);
    kb_config_free(config);
    unsetenv("KEYBRIDGE_S3_STYLE");
}

#define TOKEN_FILE                                                                                 \
    "{\"token\":{\"uri\":\"pkcs11:token=a\",\"module\":\"m\",\"pin-file\":\"pin\"}}"

/* A PIN must not reach a token it was not meant for. */
static void test_other_token(void)
{
    static const enum kb_setting names[] = {KB_SETTING_TOKEN, KB_SETTING_MODULE};
    struct kb_config *config = load(TOKEN_FILE, KB_OK);
    char path[512];

    snprintf(path, sizeof path, "%s/pin", kbtest_folder());
    check_value(config, KB_SETTING_PIN_FILE, path, KB_ORIGIN_USER_FILE);
    kb_config_free(config);
    for (size_t i = 0; i < 2; i++) {
        config = load(TOKEN_FILE, KB_OK);
        KBT_OK(kb_config_set(config, KB_SETTING_PIN_FILE, "mine", NULL), NULL);
        KBT_OK(kb_config_set(config, names[i], "other", NULL), NULL);
        check_value(config, KB_SETTING_PIN_FILE, "mine", KB_ORIGIN_OPTION);
        check_value(config, names[i], "other", KB_ORIGIN_OPTION);
        check_value(config, names[1 - i], NULL, KB_ORIGIN_NONE);
        kb_config_free(config);
    }
    setenv("KEYBRIDGE_TOKEN", "pkcs11:token=b", 1);
    config = load(TOKEN_FILE, KB_OK);
    check_value(config, KB_SETTING_PIN_FILE, NULL, KB_ORIGIN_NONE);
    check_value(config, KB_SETTING_MODULE, NULL, KB_ORIGIN_NONE);
    kb_config_free(config);
    setenv("KEYBRIDGE_TOKEN", "", 1);
    config = load(TOKEN_FILE, KB_OK);
    check_value(config, KB_SETTING_MODULE, "m", KB_ORIGIN_USER_FILE);
    kb_config_free(config);
    unsetenv("KEYBRIDGE_TOKEN");
}

static void check_pin_path(const char *uri, enum kb_status want, const char *path)
{
    struct kb_config *config = load("{}", KB_OK);
    char *got = NULL;

    KBT_OK(kb_config_set(config, KB_SETTING_TOKEN, uri, NULL), NULL);
    CU_ASSERT_EQUAL(kb_config_pin_path(config, &got, NULL), want);
    if (path && got)
        CU_ASSERT_STRING_EQUAL(got, path);
    CU_ASSERT_EQUAL(got != NULL, path != NULL);
    free(got);
    kb_config_free(config);
}

static void test_pin_source(void)
{
    check_pin_path("pkcs11:token=a", KB_OK, NULL);
    check_pin_path("pkcs11:token=a?pin-source=file:/p%20in", KB_OK, "/p in");
    check_pin_path("pkcs11:token=a?pin-source=file:///pin&module-name=x", KB_OK, "/pin");
    check_pin_path("pkcs11:token=a?pin-source=/pin", KB_OK, "/pin");
    check_pin_path("pkcs11:token=a?pin-source=|cat%20/pin", KB_ERR_USAGE, NULL);
    check_pin_path("pkcs11:token=a?pin-source=pin", KB_ERR_USAGE, NULL);
    check_pin_path("pkcs11:token=a?pin-source=file:/p%00", KB_ERR_USAGE, NULL);
    check_pin_path("pkcs11:token=a?pin-source=file:/p%zz", KB_ERR_USAGE, NULL);
    check_pin_path("pkcs11:token=a?pin-value=1234", KB_ERR_USAGE, NULL);
    check_pin_path("pkcs11:token=a;pin-value=1234", KB_ERR_USAGE, NULL);
}

static void test_named_file(void)
{
    struct kb_config *config;
    char path[512];

    CU_ASSERT_EQUAL(kb_config_load(&config, "/nonexistent/x.json", NULL), KB_ERR_NOT_FOUND);
    snprintf(path, sizeof path, "%s/other.json", kbtest_folder());
    KBT_OK(kb_file_write(path, 0600, kb_bytes_text("{\"keys\":{\"sign\":\"s\"}}"), NULL), NULL);
    KBT_OK(kb_config_load(&config, path, NULL), NULL);
    check_value(config, KB_SETTING_SIGN_KEY, "s", KB_ORIGIN_USER_FILE);
    kb_config_free(config);
}

int main(int argc, char **argv)
{
    static const struct kbtest tests[] = {
        {"files that are refused", test_refused},
        {"precedence", test_precedence},
        {"settings of S3", test_s3},
        {"another token drops what belongs to the first", test_other_token},
        {"pin-source", test_pin_source},
        {"--config", test_named_file},
        {NULL, NULL},
    };

    return kbtest_main("config", tests, argc, argv);
}
