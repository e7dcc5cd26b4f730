/* SPDX-License-Identifier: Apache-2.0
 *
 * keybridge s3 with-key: an SSE-C key for another program, through a descriptor.
 */
#include "cli/blob.h"
#include "cli/handout.h"
#include "cli/s3.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

struct with_key {
    struct s3 s3;
    char bucket[KB_S3_BUCKET_MAX + 1];
    struct kb_s3_name name;
    const char *url;
    const char *form;
    bool make; /* --new */
    char id[KB_VAULT_ID_SIZE];
    bool stored;                /* so says the row that told the id */
    struct kb_vault_object row; /* pending, with --new */
};

/* --- which key ---------------------------------------------------------------------------- */

static enum kb_status note_id(void *ctx, const struct kb_vault_object *row, struct kb_error *err)
{
    struct with_key *with = ctx;
    bool stored = row->state == KB_VAULT_STORED;

    (void)err;
    /* Newest first, but what was stored before what was only begun. */
    if (row->state == KB_VAULT_REMOVED || (with->id[0] && (with->stored || !stored)))
        return KB_OK;
    memcpy(with->id, row->key_id, sizeof with->id);
    with->stored = stored;
    return KB_OK;
}

/* Of an object that is not there (yet, or any more) only rows tell. */
static enum kb_status find_by_row(struct with_key *with)
{
    struct s3 *s3 = &with->s3;
    const struct kb_vault_query query = {.endpoint = kb_s3_realm(s3->client),
                                         .bucket = with->bucket,
                                         .object_key = with->name.key,
                                         .version = with->name.version};

    return kb_vault_each_object(s3->vault, &query, note_id, with, &s3->cli->error);
}

/* The key that opens the object, as tried. */
static enum kb_status find_by_object(struct with_key *with)
{
    struct s3 *s3 = &with->s3;
    struct kb_error *err = &s3->cli->error, why = {.status = KB_OK};
    const struct kb_object_get get = {.raw = true, .scratch = -1};
    struct kb_object_protection found;
    enum kb_status status;

    memset(&found, 0, sizeof found);
    status = kb_object_head(s3->objects, &with->name, &get, &found, &why);
    if (status == KB_OK && found.known)
        memcpy(with->id, found.vault_key.id, sizeof with->id);
    kb_object_protection_free(&found);
    if (status == KB_ERR_NOT_FOUND)
        status = find_by_row(with);
    else if (status != KB_OK)
        *err = why;
    if (status != KB_OK || with->id[0])
        return status;
    kb_error_set(err, KB_ERR_NOT_FOUND, "the vault knows no key of %s", with->url);
    kb_error_hint(err, "--vault-key KEY, or --new for an object that is to be stored");
    return KB_ERR_NOT_FOUND;
}

static enum kb_status find_by_name(struct with_key *with)
{
    struct s3 *s3 = &with->s3;
    const char *key = with->name.key ? with->name.key : "";
    struct kb_vault_key found = {.scope = NULL};
    enum kb_status status =
        s3->options.vault_key
            ? kb_vault_find_key(s3->vault, s3->options.vault_key, &found, &s3->cli->error)
            : kb_vault_find_scope(s3->vault, with->bucket, key, &found, &s3->cli->error);

    if (status == KB_OK)
        memcpy(with->id, found.id, sizeof with->id);
    kb_vault_key_free(&found);
    return status;
}

/* A new key, and the row that says what it is for, before anybody has it. */
static enum kb_status make_key(struct with_key *with)
{
    struct s3 *s3 = &with->s3;
    struct kb_vault_spec spec = {.purpose = KB_VAULT_FOR_OBJECT};
    struct kb_vault_key made = {.scope = NULL};
    struct kb_secret *plain = NULL;
    struct kb_error *err = &s3->cli->error;
    char scope[KB_S3_BUCKET_MAX + KB_S3_KEY_MAX + 2];
    enum kb_status status;

    snprintf(scope, sizeof scope, "%s/%s", with->bucket, with->name.key);
    spec.scope = scope;
    status = kb_vault_make(s3->vault, &spec, 1, &made, &plain, err);
    if (status != KB_OK)
        return status;
    kb_secret_free(plain); /* it is released below, which is noted */
    memcpy(with->id, made.id, sizeof with->id);
    kb_vault_key_free(&made);
    with->row.endpoint = strdup(kb_s3_realm(s3->client));
    with->row.bucket = strdup(with->bucket);
    with->row.object_key = strdup(with->name.key);
    with->row.state = KB_VAULT_PENDING;
    memcpy(with->row.key_id, with->id, sizeof with->row.key_id);
    snprintf(with->row.encryption, sizeof with->row.encryption, "%s",
             kb_object_encryption_format(KB_OBJECT_SSE_C));
    if (!with->row.endpoint || !with->row.bucket || !with->row.object_key)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    return kb_vault_add_objects(s3->vault, &with->row, 1, err);
}

static enum kb_status find_key(struct with_key *with)
{
    const char *key = with->name.key;
    bool prefix = !key || key[strlen(key) - 1] == '/';

    if (with->make)
        return make_key(with);
    return with->s3.options.vault_key || prefix ? find_by_name(with) : find_by_object(with);
}

/* --- the key for the program --------------------------------------------------------------- */

static enum kb_status check_form(const struct with_key *with)
{
    struct cli *cli = with->s3.cli;
    const char *form = with->form;

    if (form && strcmp(form, "raw") != 0 && strcmp(form, "base64") != 0 && strcmp(form, "hex") != 0)
        return kb_error_set(&cli->error, KB_ERR_USAGE, "--form is raw, base64 or hex, not '%s'",
                            form);
    if (with->make && with->s3.options.vault_key)
        return kb_error_set(&cli->error, KB_ERR_USAGE, "--new and --vault-key: one key");
    if (with->make && with->s3.options.version)
        return kb_error_set(&cli->error, KB_ERR_USAGE,
                            "--version-id is for objects that are there");
    return KB_OK;
}

static void put_key(struct kb_buffer *out, const char *form, struct kb_bytes key)
{
    char hex[2 * KB_S3_KEY_SIZE + 1];

    if (!form || strcmp(form, "raw") == 0) {
        kb_buffer_put_bytes(out, key);
    } else if (strcmp(form, "base64") == 0) {
        cli_base64_put(out, key);
    } else {
        cli_hex(hex, key);
        kb_buffer_put_text(out, hex);
        kb_wipe(hex, sizeof hex);
    }
}

static enum kb_status hand_out(struct with_key *with, const char *program,
                               struct cli_handout *handout)
{
    struct s3 *s3 = &with->s3;
    struct kb_error *err = &s3->cli->error;
    struct kb_buffer text = KB_BUFFER_INIT(4 * KB_S3_KEY_SIZE);
    struct kb_secret *key = NULL;
    char *why = NULL;
    enum kb_status status;

    if (asprintf(&why, "with-key %s -- %s", with->url, program) < 0)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    status = kb_vault_release(s3->vault, with->id, with->make, why, &key, err);
    free(why);
    if (status != KB_OK)
        return status;
    text.wipe = true;
    put_key(&text, with->form, kb_secret_view(key));
    kb_secret_free(key);
    status = kb_buffer_check(&text, err);
    if (status == KB_OK)
        status = cli_handout_open(handout, kb_buffer_view(&text), err);
    kb_buffer_free(&text);
    return status;
}

/* --- what the program stored ------------------------------------------------------------------ */

static enum kb_status prove(struct with_key *with, struct kb_error *err)
{
    struct s3 *s3 = &with->s3;
    const struct kb_object_get get = {.key = with->id, .raw = true, .scratch = -1};
    struct kb_object_protection found;
    struct kb_error none = {.status = KB_OK};
    enum kb_status status;

    memset(&found, 0, sizeof found);
    status = kb_object_head(s3->objects, &with->name, &get, &found, err);
    /* Nothing was stored: the key is for nothing, and is retired with its row. */
    if (status == KB_ERR_NOT_FOUND)
        (void)!kb_vault_remove_objects(s3->vault, &with->row.row, 1, &none);
    if (status == KB_OK && (!found.customer_key || !found.known || !found.refused_without_key))
        status = kb_error_set(err, KB_ERR_REMOTE, "%s was not stored under its key", with->url);
    if (status == KB_OK) {
        with->row.state = KB_VAULT_STORED;
        with->row.size = found.object.size;
        memcpy(with->row.etag, found.object.etag, sizeof with->row.etag);
        memcpy(with->row.version, found.object.version, sizeof with->row.version);
        status = kb_vault_update_objects(s3->vault, &with->row, 1, err);
    }
    kb_object_protection_free(&found);
    return status;
}

/* --- the verb --------------------------------------------------------------------------------- */

static enum kb_status open_vault(struct with_key *with)
{
    struct s3 *s3 = &with->s3;
    struct cli *cli = s3->cli;
    enum kb_status status = check_form(with);

    if (with->make)
        s3->options.encryption = "sse-c";
    if (status == KB_OK)
        status = s3_argument(s3, with->url, with->make, with->bucket, &with->name);
    if (status == KB_ERR_USAGE)
        cli_hint_help(cli);
    if (status == KB_OK)
        status = s3_open(s3, S3_NEEDS_TO_READ | (with->make ? S3_NEEDS_TO_WRITE : 0));
    if (status == KB_OK && !s3->vault)
        status = kb_error_set(&cli->error, KB_ERR_NOT_FOUND, "there is no vault in %s",
                              kb_config_home(cli->config));
    return status;
}

static enum kb_status run(struct with_key *with, char **words, int count)
{
    struct cli *cli = with->s3.cli;
    struct cli_handout handout = {.size = 0};
    struct kb_error none = {.status = KB_OK};
    int code = 0;
    enum kb_status status = open_vault(with);

    if (status == KB_OK)
        status = find_key(with);
    if (status == KB_OK)
        status = hand_out(with, words[0], &handout);
    /* The program may run for long: nothing else stays open. */
    if (status == KB_OK && !with->make)
        s3_clear(&with->s3);
    if (status == KB_OK) {
        status = cli_handout_run(&handout, words, count, &code, &cli->error);
        if (code)
            cli_pass_on(code);
    }
    cli_handout_close(&handout);
    /* A program that failed may have stored it all the same. */
    if (status == KB_OK && code && with->make)
        (void)!prove(with, &none);
    else if (status == KB_OK && with->make)
        status = prove(with, &cli->error);
    return status;
}

enum kb_status s3_run_with_key(struct cli *cli, int argc, char **argv)
{
    struct with_key with = {.s3 = {.cli = cli}};
    const struct cli_option table[] = {
        S3_REMOTE_OPTIONS(with.s3.options),
        {"vault-key", 0, CLI_TEXT, &with.s3.options.vault_key},
        {"version-id", 0, CLI_TEXT, &with.s3.options.version},
        {"new", 0, CLI_FLAG, &with.make},
        {"form", 0, CLI_TEXT, &with.form},
        {NULL, 0, CLI_FLAG, NULL},
    };
    int count;
    enum kb_status status = cli_parse(cli, argc, argv, table, 2, INT_MAX, &count);

    with.url = argv[0];
    if (status == KB_OK)
        status = run(&with, argv + 1, count - 1);
    kb_vault_object_free(&with.row);
    s3_clear(&with.s3);
    return status;
}
