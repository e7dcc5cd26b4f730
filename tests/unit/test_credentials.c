/* SPDX-License-Identifier: Apache-2.0
 *
 * AWS's settings and credentials: files, variables, a process, servers.
 */
#include "httpd.h"
#include "kbtest.h"

#include "aws/credentials_source.h"

#include <keybridge/file.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *const variables[] = {
    "AWS_PROFILE",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_DYNAMODB",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_CA_BUNDLE",
    "AWS_MAX_ATTEMPTS",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
};

static const char *file_path(const char *name)
{
    static char paths[4][512];
    static unsigned next;
    char *out = paths[next++ % 4];

    snprintf(out, sizeof paths[0], "%s/%s", kbtest_folder(), name);
    return out;
}

/* A home with these two files (NULL: none), and no variable set. */
static void home(const char *config, const char *credentials)
{
    const char *const texts[2] = {config, credentials};
    static const char *const names[2] = {".aws/config", ".aws/credentials"};

    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        unsetenv(variables[i]);
    setenv("HOME", kbtest_folder(), 1);
    setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
    (void)!system("mkdir -p \"$HOME/.aws\"");
    for (size_t i = 0; i < 2; i++) {
        struct kb_error err = {0};

        unlink(file_path(names[i]));
        if (texts[i])
            KBT_OK(kb_file_write(file_path(names[i]), 0600, kb_bytes_text(texts[i]), &err), &err);
    }
}

static void check_string(const char *got, const char *want)
{
    if (got && want)
        CU_ASSERT_STRING_EQUAL(got, want);
    CU_ASSERT_EQUAL(got == NULL, want == NULL);
}

/* --- files ------------------------------------------------------------------------ */

static void test_profiles(void)
{
    struct kb_profiles *profiles;
    struct kb_error err = {0};

    home("\xef\xbb\xbf# first\r\n[default]\r\nRegion = eu-central-1\r\ns3 =\r\n"
         "  region = nested\r\n"
         "; comment\r\n[profile one]\nregion=eu-west-1\naws_access_key_id = FROMCONFIG\n"
         "aws_secret_access_key = C\naws_session_token = T\noutput = a\n  continued = b\n"
         "[profile \"two words\"]\n region : x-1\nempty =\n[ profile  spaced ] # c\nregion = y-1\n"
         "[one]\nregion = not-a-profile\n[sso-session s]\nsso_region = z\n[profile one]\nb = c\n",
         "[one]\naws_access_key_id = FROMFILE\naws_secret_access_key = a=b:c # d\n"
         "[late]\nregion = r-1");
    KBT_OK(kb_profiles_load(&profiles, &err), &err);
    check_string(kb_profiles_get(profiles, "default", "region"), "eu-central-1");
    check_string(kb_profiles_get(profiles, "default", "REGION"), "eu-central-1");
    check_string(kb_profiles_get(profiles, "default", "s3"), NULL);
    check_string(kb_profiles_get(profiles, "one", "region"), "eu-west-1");
    check_string(kb_profiles_get(profiles, "one", "aws_access_key_id"), "FROMFILE");
    check_string(kb_profiles_get(profiles, "one", "aws_secret_access_key"), "a=b:c # d");
    check_string(kb_profiles_get(profiles, "one", "aws_session_token"), NULL);
    check_string(kb_profiles_get(profiles, "one", "output"), "a");
    check_string(kb_profiles_get(profiles, "one", "continued"), NULL);
    check_string(kb_profiles_get(profiles, "one", "b"), "c");
    check_string(kb_profiles_get(profiles, "two words", "region"), "x-1");
    check_string(kb_profiles_get(profiles, "two words", "empty"), NULL);
    check_string(kb_profiles_get(profiles, "spaced", "region"), "y-1");
    check_string(kb_profiles_get(profiles, "late", "region"), "r-1");
    CU_ASSERT_TRUE(kb_profiles_has(profiles, "late"));
    CU_ASSERT_FALSE(kb_profiles_has(profiles, "s"));
    CU_ASSERT_FALSE(kb_profiles_has(profiles, "profile one"));
    kb_profiles_free(profiles);
    home(NULL, NULL);
    KBT_OK(kb_profiles_load(&profiles, &err), &err);
    CU_ASSERT_FALSE(kb_profiles_has(profiles, "default"));
    kb_profiles_free(profiles);
}

static void test_profiles_refused(void)
{
    static const struct {
        const char *text;
        const char *where;
    } rows[] = {
        {"a = b\n", "line 1"},
        {"\n[default]\nregion\n", "line 3"},
        {"[default]\n = x\n", "line 2"},
        {"[default\n", "line 1"},
        {"[default] x\n", "line 1"},
        {"[]\n", "line 1"},
        {"[profile ]\n[profile \"\"]", "line 2"},
    };
    struct kb_profiles *profiles;
    struct kb_error err = {0};

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        kb_error_clear(&err);
        home(rows[i].text, NULL);
        CU_ASSERT_EQUAL(kb_profiles_load(&profiles, &err), KB_ERR_CONFIG);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.text, rows[i].where));
        CU_ASSERT_PTR_NOT_NULL(strstr(err.text, ".aws/config"));
    }
    kb_error_clear(&err);
    CU_ASSERT_EQUAL(kb_profiles_parse(&profiles, (struct kb_bytes){(const uint8_t *)"[a]\n\0b", 6},
                                      true, &err),
                    KB_ERR_CONFIG);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "line 2"));
    home(NULL, NULL);
    kb_error_clear(&err);
    (void)!system("head -c 1048577 /dev/zero | tr '\\0' '#' > \"$HOME/.aws/config\"");
    CU_ASSERT_EQUAL(kb_profiles_load(&profiles, &err), KB_ERR_CONFIG);
}

/* --- settings --------------------------------------------------------------------- */

static enum kb_status load(struct kb_aws_settings *out, const struct kb_aws_options *options,
                           struct kb_error *err)
{
    kb_error_clear(err);
    return kb_aws_settings_load(out, "dynamodb", options, err);
}

static void check_endpoint(const struct kb_aws_options *options, const char *want)
{
    struct kb_aws_settings settings;
    struct kb_error err = {0};

    KBT_OK(load(&settings, options, &err), &err);
    check_string(settings.endpoint, want);
    kb_aws_settings_free(&settings);
}

static void test_settings(void)
{
    struct kb_aws_options options = {.region = "cn-north-1"};
    struct kb_aws_settings settings;
    struct kb_error err = {0};

    home("[default]\nregion = eu-central-1\nmax_attempts = 7\nca_bundle = /ca\n"
         "[profile p]\nregion = eu-west-3\nservices = s\nendpoint_url = http://p:1/\n"
         "[services s]\nkms =\n  endpoint_url = http://kms\ndynamodb =\n"
         "  endpoint_url = https://[::1]:8/a/b//\n",
         NULL);
    KBT_OK(load(&settings, NULL, &err), &err);
    check_string(settings.region, "eu-central-1");
    check_string(settings.profile, "default");
    check_string(settings.ca_file, "/ca");
    check_string(settings.endpoint, "https://dynamodb.eu-central-1.amazonaws.com");
    CU_ASSERT_EQUAL(settings.max_tries, 7);
    CU_ASSERT_EQUAL(settings.connections, 4);
    CU_ASSERT_FALSE(settings.profile_named || settings.profile_first);
    kb_aws_settings_free(&settings);

    check_endpoint(&options, "https://dynamodb.cn-north-1.amazonaws.com.cn");
    setenv("AWS_DEFAULT_REGION", "r-2", 1);
    check_endpoint(NULL, "https://dynamodb.r-2.amazonaws.com");
    setenv("AWS_REGION", "r-1", 1);
    check_endpoint(NULL, "https://dynamodb.r-1.amazonaws.com");
    setenv("AWS_PROFILE", "p", 1);
    check_endpoint(NULL, "https://[::1]:8/a/b");
    setenv("AWS_ENDPOINT_URL", "http://all:5/", 1);
    check_endpoint(NULL, "http://all:5");
    setenv("AWS_ENDPOINT_URL_DYNAMODB", "HTTP://127.0.0.1:8000", 1);
    check_endpoint(NULL, "HTTP://127.0.0.1:8000");
    options.endpoint_url = "https://x/y";
    check_endpoint(&options, "https://x/y");
    setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true", 1);
    check_endpoint(NULL, "https://dynamodb.r-1.amazonaws.com");
    setenv("AWS_MAX_ATTEMPTS", "x", 1);
    CU_ASSERT_EQUAL(load(&settings, NULL, &err), KB_ERR_CONFIG);
}

static void test_settings_refused(void)
{
    static const char *const urls[] = {
        "x",          "ftp://x",         "http://",       "http:///p",    "http://u@h",
        "http://h:0", "http://h:65536",  "http://h:",     "http://h:1x",  "http://h?q",
        "http://h#f", "http://h/p?q",    "http://h/a b",  "http://h\r\n", "http://[::1",
        "http://[]",  "http://u:p@h:80", "http://-h",     "http://h\\@g", "https://h\x80/",
    };
    static const char *const regions[] = {"EU", "eu west", "eu/west", "x.y", "-a", "a-", "a@b"};
    struct kb_aws_options options = {.region = "eu-west-1"};
    struct kb_aws_settings settings;
    struct kb_error err = {0};

    home(NULL, NULL);
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        options.endpoint_url = urls[i];
        if (load(&settings, &options, &err) != KB_ERR_USAGE)
            CU_FAIL("a URL was accepted");
        CU_ASSERT_PTR_NULL(strstr(err.text, "u:p"));
    }
    options = (struct kb_aws_options){.endpoint_url = "http://127.0.0.1:8000"};
    CU_ASSERT_EQUAL(load(&settings, &options, &err), KB_ERR_CONFIG);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.hint, "--region"));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.hint, "AWS_REGION"));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.hint, "~/.aws/config"));
    for (size_t i = 0; i < sizeof regions / sizeof *regions; i++) {
        options.region = regions[i];
        CU_ASSERT_EQUAL(load(&settings, &options, &err), KB_ERR_USAGE);
    }
    options = (struct kb_aws_options){.region = "a-1", .profile = "missing"};
    CU_ASSERT_EQUAL(load(&settings, &options, &err), KB_ERR_CONFIG);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "missing"));
    setenv("AWS_PROFILE", "gone", 1);
    options.profile = NULL;
    CU_ASSERT_EQUAL(load(&settings, &options, &err), KB_ERR_CONFIG);
}

/* --- credentials ------------------------------------------------------------------ */

struct session {
    struct kb_aws_settings settings;
    struct kb_credentials *credentials;
    struct kb_sigv4_keys keys;
    struct kb_secret *hold;
    struct kb_error err;
};

static void session_open(struct session *session, const char *profile)
{
    const struct kb_aws_options options = {.region = "eu-west-1", .profile = profile};

    memset(session, 0, sizeof *session);
    KBT_OK(load(&session->settings, &options, &session->err), &session->err);
    KBT_OK(kb_credentials_new(&session->credentials, &session->settings, &session->err),
           &session->err);
}

static enum kb_status session_get(struct session *session, int64_t now, const char *refused)
{
    kb_secret_free(session->hold);
    session->hold = NULL;
    kb_error_clear(&session->err);
    return kb_credentials_get(session->credentials, now, refused, &session->keys, &session->hold,
                              &session->err);
}

static void session_close(struct session *session)
{
    kb_secret_free(session->hold);
    kb_credentials_free(session->credentials);
    kb_aws_settings_free(&session->settings);
}

/* What a new session finds: keys and their source, or a part of the error. */
static void check_found(const char *profile, const char *id, const char *key, const char *token,
                        const char *source)
{
    struct session session;

    session_open(&session, profile);
    check_string(kb_credentials_source(session.credentials), "");
    KBT_OK(session_get(&session, 1000, NULL), &session.err);
    if (session.hold) {
        KBT_TEXT(session.keys.access_key_id, id);
        KBT_TEXT(session.keys.secret_key, key);
        KBT_TEXT(session.keys.session_token, token);
        check_string(kb_credentials_source(session.credentials), source);
    }
    session_close(&session);
}

static void check_denied(const char *profile, enum kb_status status, const char *text)
{
    struct session session;

    session_open(&session, profile);
    CU_ASSERT_EQUAL(session_get(&session, 1000, NULL), status);
    if (!strstr(session.err.text, text) && !strstr(session.err.hint, text)) {
        fprintf(stderr, "'%s', not '%s'\n", session.err.text, text);
        CU_FAIL("another error");
    }
    CU_ASSERT_PTR_NULL(session.hold);
    session_close(&session);
}

static void test_static(void)
{
    home(NULL, "[default]\naws_access_key_id = ID\naws_secret_access_key = KEY\n"
               "[half]\naws_access_key_id = ID\n[bad]\naws_access_key_id = I/D\n"
               "aws_secret_access_key = KEY\n[bad2]\naws_access_key_id = ID\n"
               "aws_secret_access_key = K Y\n");
    check_found(NULL, "ID", "KEY", "", "profile default");
    check_denied("half", KB_ERR_DENIED, "aws_secret_access_key");
    check_denied("bad", KB_ERR_DENIED, "not valid");
    check_denied("bad2", KB_ERR_DENIED, "not valid");
    setenv("AWS_ACCESS_KEY_ID", "ENVID", 1);
    check_denied(NULL, KB_ERR_DENIED, "AWS_SECRET_ACCESS_KEY");
    setenv("AWS_SECRET_ACCESS_KEY", "envkey", 1);
    check_found(NULL, "ENVID", "envkey", "", "environment");
    setenv("AWS_SESSION_TOKEN", "tok/en==", 1);
    check_found(NULL, "ENVID", "envkey", "tok/en==", "environment");
    check_found("default", "ID", "KEY", "", "profile default");
    setenv("AWS_SESSION_TOKEN", "a\r\nX: y", 1);
    check_denied(NULL, KB_ERR_DENIED, "session token");
    home(NULL, NULL);
    check_denied(NULL, KB_ERR_DENIED, "AWS_ACCESS_KEY_ID");
}

static void test_indirect(void)
{
    home("[profile r]\nrole_arn = arn:x\nsource_profile = default\n[profile s]\nsso_session = x\n"
         "[profile w]\nweb_identity_token_file = /x\n"
         "[profile both]\nsso_session = x\ncredential_process = "
         "echo '{\"Version\":1,\"AccessKeyId\":\"P\",\"SecretAccessKey\":\"Q\"}'\n",
         "[r]\naws_access_key_id = ID\naws_secret_access_key = KEY\n");
    check_denied("r", KB_ERR_DENIED, "credential_process = aws configure export-credentials");
    check_denied("s", KB_ERR_DENIED, "--profile 's'");
    check_denied("w", KB_ERR_DENIED, "web_identity");
    check_found("both", "P", "Q", "", "process");
    setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/x", 1);
    check_denied(NULL, KB_ERR_DENIED, "credential_process");
}

static enum kb_status process(const char *command, int timeout, struct kb_key_set *set,
                              struct kb_error *err)
{
    *set = (struct kb_key_set){.text = NULL};
    kb_error_clear(err);
    return kb_credentials_from_process(set, command, timeout, err);
}

static void check_process(const char *command, const char *problem)
{
    struct kb_key_set set;
    struct kb_error err;
    enum kb_status status = process(command, 5000, &set, &err);

    if (status == KB_OK || !strstr(err.text, problem)) {
        fprintf(stderr, "%s: %s\n", command, kb_error_text(&err));
        CU_FAIL("another end of the process");
    }
    CU_ASSERT_PTR_NULL(set.text);
}

static void test_process(void)
{
    struct kb_key_set set;
    struct kb_error err;
    struct timespec start, end;

    KBT_OK(process("printf '%s' \"{\\\"Version\\\": 1,\"'\"AccessKeyId\":\"I\\u0044\",\"x\":[{}],"
                   "\"SecretAccessKey\":\"a\\/b\",'\\\"SessionToken\\\":null,\\\"Expiration\\\":"
                   "\\\"2026-01-02T03:04:05.678+01:00\\\"}",
                   5000, &set, &err),
           &err);
    if (set.text)
        KBT_TEXT(kb_secret_view(set.text), "IDa/b");
    CU_ASSERT_EQUAL(set.expires, 1767319445);
    kb_key_set_free(&set);
    check_process("sh -c 'exit 3'", "status 3");
    check_process("sh -c 'kill -9 $$'", "signal 9");
    check_process("/nonexistent/x", "credential_process");
    check_process("echo 'x", "quote");
    check_process("  ", "quote");
    check_process("true", "JSON");
    check_process("echo {}", "Version");
    check_process("echo '{\"Version\":2,\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"b\"}'",
                  "Version");
    check_process("echo '{\"Version\":1,\"AccessKeyId\":\"a\"}'", "SecretAccessKey");
    check_process("echo '{\"Version\":1,\"AccessKeyId\":\"a\",\"AccessKeyId\":\"a\"}'", "twice");
    check_process("echo '{\"Version\":1,\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"b\","
                  "\"Expiration\":\"tomorrow\"}'",
                  "not a time");
    check_process("echo '{\"Version\":1,\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"b\"} x'",
                  "JSON");
    check_process("head -c 70000 /dev/zero", "more than");
    clock_gettime(CLOCK_MONOTONIC, &start);
    CU_ASSERT_EQUAL(process("sleep 30", 200, &set, &err), KB_ERR_DENIED);
    CU_ASSERT_EQUAL(process("sh -c 'exec >&-; exec sleep 30'", 200, &set, &err), KB_ERR_DENIED);
    clock_gettime(CLOCK_MONOTONIC, &end);
    CU_ASSERT(end.tv_sec - start.tv_sec < 5);
}

static void test_times(void)
{
    static const struct {
        const char *text;
        int64_t time; /* -1: none */
    } rows[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"2015-08-30T12:36:00Z", 1440938160},
        {"2015-08-30T14:36:00.123456+02:00", 1440938160},
        {"2015-08-30T10:36:00-0200", 1440938160},
        {"2015-08-30T12:36:00", -1},
        {"2015-08-30T12:36:00.Z", -1},
        {"2015-08-30T12:36:00Zx", -1},
        {"2015-13-30T12:36:00Z", -1},
        {"2015-08-30T24:36:00Z", -1},
        {"2015-08-30T12:36:00+02:0", -1},
        {"20150830T123600Z", -1},
        {"", -1},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int64_t time = -1;
        bool good = kb_time_parse(&time, kb_bytes_text(rows[i].text));

        CU_ASSERT_EQUAL(good, rows[i].time >= 0);
        if (good)
            CU_ASSERT_EQUAL(time, rows[i].time);
    }
}

/* --- servers ---------------------------------------------------------------------- */

/* An instance's metadata service, or a container's server. */
struct metadata {
    unsigned status;    /* of what gives keys; 0: 200 */
    bool version_1;     /* knows no tokens */
    unsigned given;     /* keys, each with a new id: K1, K2 … */
    bool same;          /* always K1 */
    const char *expires;
    unsigned delay_ms;
    const char *text;   /* instead of keys */
};

static void give_keys(struct metadata *metadata, struct httpd_answer *answer)
{
    metadata->given++;
    answer->status = metadata->status ? metadata->status : 200;
    answer->delay_ms = metadata->delay_ms;
    if (metadata->text)
        httpd_text(answer, "%s", metadata->text);
    else
        httpd_text(answer,
                   "{\"Code\":\"Success\",\"AccessKeyId\":\"K%u\",\"SecretAccessKey\":\"s\","
                   "\"Token\":\"t\",\"Expiration\":\"%s\",\"Type\":\"AWS-HMAC\"}",
                   metadata->same ? 1 : metadata->given,
                   metadata->expires ? metadata->expires : "1970-01-01T01:00:00Z");
}

static void serve(void *ctx, const struct httpd_request *request, struct httpd_answer *answer)
{
    struct metadata *metadata = ctx;
    const char *token = httpd_get(request, "x-aws-ec2-metadata-token");
    const char *ttl = httpd_get(request, "x-aws-ec2-metadata-token-ttl-seconds");
    const char *authorization = httpd_get(request, "authorization");
    static const char list[] = "/latest/meta-data/iam/security-credentials/";

    if (strcmp(request->path, "/creds?x=1") == 0) {
        if (authorization && strcmp(authorization, "Bearer x") == 0)
            give_keys(metadata, answer);
        else
            answer->status = 401;
    } else if (strcmp(request->path, "/latest/api/token") == 0) {
        if (metadata->version_1 || strcmp(request->method, "PUT") != 0 || !ttl)
            answer->status = 404;
        else
            httpd_text(answer, "TOKEN==");
    } else if (!metadata->version_1 && (!token || strcmp(token, "TOKEN==") != 0)) {
        answer->status = 401;
    } else if (strcmp(request->path, list) == 0) {
        httpd_text(answer, "my-role\n");
    } else if (strncmp(request->path, list, sizeof list - 1) == 0 &&
               strcmp(request->path + sizeof list - 1, "my-role") == 0) {
        give_keys(metadata, answer);
    } else {
        answer->status = 404;
    }
}

static struct httpd *instance_new(struct metadata *metadata)
{
    struct httpd *server = httpd_start(serve, metadata);

    home(NULL, NULL);
    unsetenv("AWS_EC2_METADATA_DISABLED");
    setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", httpd_url(server), 1);
    return server;
}

static void test_instance(void)
{
    struct metadata metadata = {.status = 200};
    struct httpd *server = instance_new(&metadata);
    char closed[64];

    check_found(NULL, "K1", "s", "t", "instance");
    metadata.text = "{\"Code\":\"AssumeRoleUnauthorizedAccess\"}";
    check_denied(NULL, KB_ERR_DENIED, "AssumeRole");
    metadata.text = "<html>";
    check_denied(NULL, KB_ERR_DENIED, "not JSON");
    metadata.status = 500;
    check_denied(NULL, KB_ERR_DENIED, "500");
    metadata.status = 404;
    check_denied(NULL, KB_ERR_DENIED, "no credentials of its role");
    metadata = (struct metadata){.version_1 = true};
    check_denied(NULL, KB_ERR_DENIED, "IMDSv2");
    CU_ASSERT_EQUAL(metadata.given, 0);
    setenv("AWS_EC2_METADATA_DISABLED", "TRUE", 1);
    check_denied(NULL, KB_ERR_DENIED, "no AWS credentials");
    unsetenv("AWS_EC2_METADATA_DISABLED");
    snprintf(closed, sizeof closed, "http://127.0.0.1:%u", httpd_closed_port());
    setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", closed, 1);
    check_denied(NULL, KB_ERR_DENIED, "no AWS credentials");
    httpd_stop(server);
}

static void test_container(void)
{
    struct metadata metadata = {.status = 200};
    struct httpd *server = httpd_start(serve, &metadata);
    struct kb_error err = {0};
    char url[128];

    home(NULL, NULL);
    snprintf(url, sizeof url, "%s/creds?x=1", httpd_url(server));
    setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url, 1);
    check_denied(NULL, KB_ERR_DENIED, "401");
    setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "Bearer x", 1);
    check_found(NULL, "K1", "s", "t", "container");
    setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "Bearer x\r\nA: b", 1);
    check_denied(NULL, KB_ERR_DENIED, "control character");
    KBT_OK(kb_file_write(file_path("token"), 0600, kb_bytes_text("Bearer x\n"), &err), &err);
    setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file_path("token"), 1);
    check_found(NULL, "K2", "s", "t", "container");
    setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file_path("none"), 1);
    check_denied(NULL, KB_ERR_DENIED, "none");
    setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://example.org/", 1);
    check_denied(NULL, KB_ERR_CONFIG, "https");
    setenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "@example.org/", 1);
    check_denied(NULL, KB_ERR_CONFIG, "slash");
    httpd_stop(server);
}

static void test_container_urls(void)
{
    static const char *const good[] = {"https://example.org/x", "http://localhost:1/x",
                                       "http://127.0.0.1",      "http://127.1.2.3:80/",
                                       "http://169.254.170.2/", "http://169.254.170.23/v1",
                                       "http://[::1]:8/x",      "http://[fd00:ec2::23]/v1"};
    static const char *const bad[] = {
        "http://example.org/",     "http://127.0.0.1.example.org/", "http://127.0.0.1@example.org/",
        "http://localhost.x/",     "http://169.254.170.24/",        "http://169.254.169.254/",
        "http://127.1/",           "http://127.0.0.256/",           "http://[::1]x/",
        "http://[::2]/",           "ftp://127.0.0.1/",              "",
        "http://[::1",             "http://127.0.0.01/",            "http://2130706433/",
        "http://127.0.0.1\\@x.y/", "https://",
    };

    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        CU_ASSERT_TRUE(kb_container_url_is_safe(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CU_ASSERT_FALSE(kb_container_url_is_safe(bad[i]));
}

/* --- expiry ----------------------------------------------------------------------- */

static void check_id(struct session *session, int64_t now, const char *refused, const char *id)
{
    KBT_OK(session_get(session, now, refused), &session->err);
    if (session->hold)
        KBT_TEXT(session->keys.access_key_id, id);
}

/* Keys are good until 3,600 by the server's word. */
static void test_refresh(void)
{
    struct metadata metadata = {.status = 200};
    struct httpd *server = instance_new(&metadata);
    struct session session;

    session_open(&session, NULL);
    check_id(&session, 1000, NULL, "K1");
    check_id(&session, 3299, NULL, "K1");
    check_id(&session, 3299, "K1", "K2"); /* refused */
    check_id(&session, 3299, "K1", "K2"); /* another thread comes late with the same */
    metadata.expires = "1970-01-01T02:00:00Z";
    check_id(&session, 3300, NULL, "K3"); /* five minutes before they end */
    metadata.status = 500;
    CU_ASSERT_EQUAL(metadata.given, 3);
    check_id(&session, 7000, NULL, "K3"); /* the refresh fails, the old are good */
    check_id(&session, 7001, NULL, "K3"); /* and is not tried at once */
    CU_ASSERT_EQUAL(metadata.given, 4);
    check_id(&session, 7031, NULL, "K3");
    CU_ASSERT_EQUAL(metadata.given, 5);
    CU_ASSERT_EQUAL(session_get(&session, 7200, NULL), KB_ERR_DENIED);
    CU_ASSERT_EQUAL(session_get(&session, 7000, "K3"), KB_ERR_DENIED);
    metadata = (struct metadata){.same = true, .expires = "1970-01-01T03:00:00Z"};
    check_id(&session, 7200, NULL, "K1");
    CU_ASSERT_EQUAL(session_get(&session, 7200, "K1"), KB_ERR_DENIED);
    CU_ASSERT_PTR_NOT_NULL(strstr(session.err.text, "instance"));
    CU_ASSERT_EQUAL(session_get(&session, 10800, NULL), KB_ERR_DENIED);
    CU_ASSERT_PTR_NOT_NULL(strstr(session.err.text, "expired"));
    session_close(&session);
    httpd_stop(server);
}

/* A file that another program writes anew. */
static void test_refresh_file(void)
{
    struct session session;
    struct kb_error err = {0};

    home(NULL, "[default]\naws_access_key_id = A\naws_secret_access_key = K\n");
    session_open(&session, NULL);
    check_id(&session, 1, NULL, "A");
    CU_ASSERT_EQUAL(session_get(&session, 1, "A"), KB_ERR_DENIED);
    CU_ASSERT_PTR_NOT_NULL(strstr(session.err.text, "profile default"));
    KBT_OK(kb_file_write(file_path(".aws/credentials"), 0600,
                         kb_bytes_text("[default]\naws_access_key_id = B\n"
                                       "aws_secret_access_key = K\n"),
                         &err),
           &err);
    check_id(&session, 1, NULL, "A");
    check_id(&session, 1, "A", "B");
    session_close(&session);
}

struct user {
    struct kb_credentials *credentials;
    int64_t now;
    unsigned good;
};

static void *use(void *ctx)
{
    struct user *user = ctx;

    for (unsigned i = 0; i < 100; i++) {
        struct kb_sigv4_keys keys;
        struct kb_secret *hold;

        user->good += kb_credentials_get(user->credentials, user->now, NULL, &keys, &hold, NULL) ==
                          KB_OK &&
                      strcmp(kb_credentials_source(user->credentials), "instance") == 0;
        kb_secret_free(hold);
    }
    return NULL;
}

/* Many ask at once: one fetches, and while old ones are good nobody waits. */
static void test_threads(void)
{
    struct metadata metadata = {.delay_ms = 100};
    struct httpd *server = instance_new(&metadata);
    struct session session;

    session_open(&session, NULL);
    for (unsigned round = 0; round < 2; round++) {
        struct user users[4];
        pthread_t threads[4];

        for (size_t i = 0; i < 4; i++) {
            users[i] = (struct user){session.credentials, round ? 3400 : 1000, 0};
            pthread_create(&threads[i], NULL, use, &users[i]);
        }
        for (size_t i = 0; i < 4; i++) {
            pthread_join(threads[i], NULL);
            CU_ASSERT_EQUAL(users[i].good, 100);
        }
        /* In the second round what is fetched ends as soon as the old ones:
         * asked for once even so. */
        (void)httpd_requests(server);
        CU_ASSERT_EQUAL(metadata.given, round + 1);
    }
    session_close(&session);
    httpd_stop(server);
}

int main(int argc, char **argv)
{
    static const struct kbtest tests[] = {
        {"profiles", test_profiles},
        {"profiles_refused", test_profiles_refused},
        {"settings", test_settings},
        {"settings_refused", test_settings_refused},
        {"static", test_static},
        {"indirect", test_indirect},
        {"process", test_process},
        {"times", test_times},
        {"instance", test_instance},
        {"container", test_container},
        {"container_urls", test_container_urls},
        {"refresh", test_refresh},
        {"refresh_file", test_refresh_file},
        {"threads", test_threads},
        {NULL, NULL},
    };

    return kbtest_main("credentials", tests, argc, argv);
}
