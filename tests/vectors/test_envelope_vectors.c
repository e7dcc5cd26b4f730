/* SPDX-License-Identifier: Apache-2.0
 *
 * Every esdk-decrypt of the shared vectors through the command, as its users
 * run it: keybridge envelope decrypt, with the keys in the embedded token.
 */
#include "esdk_manifest.h"
#include "kbtest.h"

#include <keybridge/file.h>
#include <keybridge/status.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static json_t *manifest;
static char out_path[512], err_path[512];

/* --- running it ------------------------------------------------------------------------ */

/* A command line for the shell; every argument is quoted. */
struct line {
    char text[4096];
    size_t size;
};

static void add(struct line *line, const char *part)
{
    size_t size = strlen(part);

    CU_ASSERT_TRUE_FATAL(size < sizeof line->text - line->size);
    memcpy(line->text + line->size, part, size + 1);
    line->size += size;
}

static void add_word(struct line *line, const char *word)
{
    CU_ASSERT_PTR_NULL(strchr(word, '\''));
    add(line, " '");
    add(line, word);
    add(line, "'");
}

static struct line begin(const char *verb)
{
    struct line line = {.size = 0};
    const char *keybridge = getenv("KEYBRIDGE");

    add_word(&line, keybridge ? keybridge : "./keybridge");
    add(&line, " ");
    add(&line, verb);
    return line;
}

static int run(struct line *line)
{
    int status;

    add(line, " >/dev/null 2>'");
    add(line, err_path);
    add(line, "'");
    status = system(line->text);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static const char *said(void)
{
    static struct kb_buffer text = {.max = 1 << 16};

    kb_buffer_reset(&text);
    if (kb_file_read(&text, err_path, NULL) != KB_OK)
        return "";
    kb_buffer_put_u8(&text, 0);
    return text.data ? (const char *)text.data : "";
}

static void must_run(struct line *line)
{
    if (run(line) == 0)
        return;
    fprintf(stderr, "%s\n%s", line->text, said());
    CU_FAIL_FATAL("a command failed");
}

/* --- keys ------------------------------------------------------------------------------- */

static void import_key(const char *name, json_t *record)
{
    struct kb_buffer value = KB_BUFFER_INIT(16384);
    bool aes = manifest_is(record, "type", "aes");
    struct kb_error err = {0};
    char path[512], type[16];
    struct line line;

    snprintf(path, sizeof path, "%s/%s.key", kbtest_folder(), name);
    KBT_OK(kb_file_write(path, 0600, manifest_key(&value, manifest, name), &err), &err);
    snprintf(type, sizeof type, aes ? "aes-%d" : "rsa",
             (int)json_integer_value(json_object_get(record, "bits")));
    line = begin("key import");
    add_word(&line, name);
    add(&line, aes ? " --use envelope --format raw --type" : " --use wrap --format der --type");
    add_word(&line, type);
    add(&line, " --in");
    add_word(&line, path);
    must_run(&line);
    kb_buffer_free(&value);
}

static void make_home(void)
{
    struct line line = begin("init --yes");
    char home[400];
    const char *name;
    json_t *record;

    snprintf(home, sizeof home, "%s/home", kbtest_folder());
    snprintf(out_path, sizeof out_path, "%s/plaintext", kbtest_folder());
    snprintf(err_path, sizeof err_path, "%s/stderr", kbtest_folder());
    setenv("KEYBRIDGE_HOME", home, 1);
    must_run(&line);
    json_object_foreach(json_object_get(manifest, "keys"), name, record)
        import_key(name, record);
}

/* --- one vector --------------------------------------------------------------------------- */

static void add_keyring(struct line *line, json_t *record)
{
    const char *padding = manifest_text(record, "padding");
    char spec[1024];

    snprintf(spec, sizeof spec, "key=%s,namespace=%s,name=%s%s%s%s", manifest_text(record, "key"),
             manifest_text(record, "namespace"), manifest_text(record, "name"),
             padding ? ",padding=" : "",
             padding && strncmp(padding, "sha", 3) == 0 ? "oaep-" : "", padding ? padding : "");
    add(line, " --keyring");
    add_word(line, spec);
}

static void add_context(struct line *line, json_t *test)
{
    const char *name;
    json_t *value;
    size_t at;

    json_object_foreach(json_object_get(test, "reproduced_encryption_context"), name, value)
    {
        char pair[512];

        snprintf(pair, sizeof pair, "%s=%s", name, json_string_value(value));
        add(line, " --context");
        add_word(line, pair);
    }
    json_array_foreach(json_object_get(test, "required_encryption_context_keys"), at, value)
    {
        add(line, " --require");
        add_word(line, json_string_value(value));
    }
}

static int decrypt(json_t *test)
{
    struct line line = begin("envelope decrypt");
    json_t *max = json_object_get(test, "max_edks"), *record;
    char number[16], message[512];
    size_t at;

    snprintf(number, sizeof number, "%d", max ? (int)json_integer_value(max) : 65535);
    snprintf(message, sizeof message, "esdk/%s", manifest_text(test, "file"));
    json_array_foreach(json_object_get(test, "keyrings"), at, record)
        add_keyring(&line, record);
    add_context(&line, test);
    if (!manifest_is(test, "policy", "REQUIRE_ENCRYPT_REQUIRE_DECRYPT"))
        add(&line, " --policy require-allow");
    if (json_is_true(json_object_get(test, "unsigned_only")))
        add(&line, " --unsigned-only");
    add(&line, " --max-edks");
    add_word(&line, number);
    add(&line, " -i");
    add_word(&line, kbtest_vectors(message));
    add(&line, " -o");
    add_word(&line, out_path);
    return run(&line);
}

static bool is_well_read(json_t *test, int status)
{
    struct kb_buffer out = KB_BUFFER_INIT(1 << 20);
    bool good = status == KB_EXIT_DONE && kb_file_read(&out, out_path, NULL) == KB_OK &&
                manifest_is_plaintext(test, kb_buffer_view(&out));

    kb_buffer_free(&out);
    return good;
}

static bool is_well_refused(int status)
{
    return (status == KB_EXIT_DATA || status == KB_EXIT_DENIED) &&
           access(out_path, F_OK) != 0 && strncmp(said(), "keybridge: ", 11) == 0;
}

static void decrypt_all(void)
{
    unsigned tried = 0, refused = 0;
    json_t *test;
    size_t at;

    manifest = manifest_load();
    if (!manifest)
        return;
    make_home();
    json_array_foreach(json_object_get(manifest, "tests"), at, test)
    {
        bool fail = manifest_is(test, "expect", "fail");
        int status;

        if (!manifest_is(test, "kind", "esdk-decrypt"))
            continue;
        unlink(out_path);
        status = decrypt(test);
        if (!(fail ? is_well_refused(status) : is_well_read(test, status))) {
            fprintf(stderr, "%s: exit %d: %s", manifest_text(test, "id"), status, said());
            CU_FAIL("see above");
        }
        tried++;
        refused += fail;
    }
    printf("\n    %u messages, %u of them refused ", tried, refused);
    CU_ASSERT_TRUE(tried >= MANIFEST_DECRYPT && refused >= MANIFEST_DECRYPT_FAIL);
    json_decref(manifest);
}

int main(int argc, char **argv)
{
    static const struct kbtest tests[] = {
        {"keybridge envelope decrypt", decrypt_all},
        {NULL, NULL},
    };

    return kbtest_main("envelope vectors", tests, argc, argv);
}
