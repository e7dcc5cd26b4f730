/* SPDX-License-Identifier: Apache-2.0 */
#include "token_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <keybridge/file.h>

#include "kbtest.h"

#define PIN "keys-1234"
#define SO_PIN "officer-5678"
#define LABEL "keybridge test"

static const char *const softhsm_paths[] = {
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/lib/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
    NULL,
};

static const char *const nss_paths[] = {
    "/usr/lib/x86_64-linux-gnu/nss/libsoftokn3.so",
    "/usr/lib/x86_64-linux-gnu/libsoftokn3.so",
    "/usr/lib/aarch64-linux-gnu/nss/libsoftokn3.so",
    "/usr/lib/aarch64-linux-gnu/libsoftokn3.so",
    "/usr/lib64/libsoftokn3.so",
    "/usr/lib/libsoftokn3.so",
    NULL,
};

const char *token_kind_name(enum token_kind kind)
{
    return kind == TOKEN_SOFTHSM ? "softhsm" : "nss";
}

const char *token_module(enum token_kind kind)
{
    const char *named = getenv(kind == TOKEN_SOFTHSM ? "KEYBRIDGE_TEST_SOFTHSM"
                                                     : "KEYBRIDGE_TEST_SOFTOKN");
    const char *const *paths = kind == TOKEN_SOFTHSM ? softhsm_paths : nss_paths;

    if (named)
        return named;
    for (; *paths; paths++)
        if (access(*paths, R_OK) == 0)
            return *paths;
    fprintf(stderr, "SKIP: no %s module found\n", token_kind_name(kind));
    if (getenv("CI")) {
        fprintf(stderr, "in CI that is a failure\n");
        exit(1);
    }
    return NULL;
}

bool token_file_write(const char *path, const char *text)
{
    struct kb_error err = {0};

    if (kb_file_write(path, 0600, kb_bytes_text(text), &err) == KB_OK)
        return true;
    fprintf(stderr, "%s\n", kb_error_text(&err));
    return false;
}

static bool run(const char *kind, const char *folder, const char *pin_file)
{
    char command[1200];

    snprintf(command, sizeof command, "sh '%s' %s '%s' %s",
             kbtest_source("hsm-config/init-token.sh"), kind, folder, pin_file);
    if (system(command) == 0)
        return true;
    fprintf(stderr, "failed: %s\n", command);
    return false;
}

/* The settings of a profile go behind those that are there: the last wins. */
static bool add_profile(const char *conf, const char *profile)
{
    struct kb_buffer text = KB_BUFFER_INIT(65536);
    struct kb_error err = {0};
    char path[128];
    bool done;

    snprintf(path, sizeof path, "hsm-config/profiles/%s", profile);
    done = kb_file_read(&text, conf, &err) == KB_OK &&
           kb_file_read(&text, kbtest_source(path), &err) == KB_OK &&
           kb_file_write(conf, 0600, kb_buffer_view(&text), &err) == KB_OK;
    if (!done)
        fprintf(stderr, "%s\n", kb_error_text(&err));
    kb_buffer_free(&text);
    return done;
}

static bool make_softhsm(struct token_fixture *fixture, const char *profile)
{
    struct kb_error err = {0};

    snprintf(fixture->conf, sizeof fixture->conf, "%s/softhsm2.conf", fixture->folder);
    if (!run("softhsm", fixture->folder, "") || (profile && !add_profile(fixture->conf, profile)))
        return false;
    fixture->options.softhsm2_conf = fixture->conf;
    fixture->options.uri = "pkcs11:token=keybridge%20test";
    if (kb_keystore_init_token(&(struct kb_keystore_options){.module = fixture->options.module,
                                                             .softhsm2_conf = fixture->conf},
                               LABEL, fixture->so_pin, fixture->pin, &err) == KB_OK)
        return true;
    fprintf(stderr, "no token: %s\n", kb_error_text(&err));
    return false;
}

static bool make_nss(struct token_fixture *fixture)
{
    char pin_file[400];

    if (mkdir(fixture->folder, 0700) != 0) {
        perror(fixture->folder);
        return false;
    }
    snprintf(pin_file, sizeof pin_file, "%s/pin", fixture->folder);
    if (!token_file_write(pin_file, PIN "\n") || !run("nss", fixture->folder, pin_file))
        return false;
    snprintf(fixture->parameters, sizeof fixture->parameters,
             "configdir='sql:%s' certPrefix='' keyPrefix='' secmod='secmod.db' flags=",
             fixture->folder);
    fixture->options.module_parameters = fixture->parameters;
    fixture->options.uri = "pkcs11:token=NSS%20Certificate%20DB";
    return true;
}

bool token_fixture_make(struct token_fixture *fixture, enum token_kind kind, const char *profile)
{
    static unsigned made;

    *fixture = (struct token_fixture){.kind = kind};
    fixture->options.module = token_module(kind);
    if (!fixture->options.module ||
        kb_secret_copy(&fixture->pin, kb_bytes_text(PIN), NULL) != KB_OK ||
        kb_secret_copy(&fixture->so_pin, kb_bytes_text(SO_PIN), NULL) != KB_OK)
        return false;
    fixture->options.pin = fixture->pin;
    snprintf(fixture->folder, sizeof fixture->folder, "%s/token-%u", kbtest_folder(), made++);
    return kind == TOKEN_SOFTHSM ? make_softhsm(fixture, profile) : make_nss(fixture);
}

void token_fixture_free(struct token_fixture *fixture)
{
    kb_secret_free(fixture->pin);
    kb_secret_free(fixture->so_pin);
    fixture->pin = fixture->so_pin = NULL;
}

bool token_fixture_open(struct token_fixture *fixture, enum token_kind kind,
                        struct kb_keystore **keystore)
{
    struct kb_error err = {0};

    if (!token_fixture_make(fixture, kind, NULL))
        return false;
    if (kb_keystore_open(keystore, &fixture->options, &err) == KB_OK)
        return true;
    fprintf(stderr, "not opened: %s\n", kb_error_text(&err));
    return false;
}
