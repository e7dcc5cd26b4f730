/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/key.h"

#include <inttypes.h>
#include <stdlib.h>
#include <stddef.h>
#include <string.h>

enum { TRIALS_MAX = 32 };

/* --- list and show -------------------------------------------------------------------- */

static const char *answer_text(enum kb_answer answer)
{
    return answer == KB_ANSWER_YES ? "yes" : answer == KB_ANSWER_NO ? "no" : "not told";
}

static const char *or_unknown(const char *text)
{
    return text ? text : "unknown";
}

static const struct {
    const char *name;
    const char *json;
    size_t offset;
} attributes[] = {
#define ATTRIBUTE(name, field) {name, #field, offsetof(struct kb_key_info, field)}
    ATTRIBUTE("on the token (CKA_TOKEN)", on_token),
    ATTRIBUTE("private (CKA_PRIVATE)", is_private),
    ATTRIBUTE("sensitive (CKA_SENSITIVE)", sensitive),
    ATTRIBUTE("always sensitive", always_sensitive),
    ATTRIBUTE("extractable (CKA_EXTRACTABLE)", extractable),
    ATTRIBUTE("never extractable", never_extractable),
    ATTRIBUTE("made in the token (CKA_LOCAL)", local),
    ATTRIBUTE("modifiable", modifiable),
    ATTRIBUTE("may wrap", may_wrap),
    ATTRIBUTE("may unwrap", may_unwrap),
    ATTRIBUTE("may sign", may_sign),
    ATTRIBUTE("may verify", may_verify),
    ATTRIBUTE("may encrypt", may_encrypt),
    ATTRIBUTE("may decrypt", may_decrypt),
#undef ATTRIBUTE
};

static enum kb_answer attribute_of(const struct kb_key_info *info, size_t i)
{
    enum kb_answer answer;

    memcpy(&answer, (const char *)info + attributes[i].offset, sizeof answer);
    return answer;
}

static void add_answer(cJSON *json, const char *name, enum kb_answer answer)
{
    if (answer == KB_ANSWER_UNKNOWN)
        cJSON_AddNullToObject(json, name);
    else
        cJSON_AddBoolToObject(json, name, answer == KB_ANSWER_YES);
}

/* Envelope keys are counted, when the counts can be read. */
static void add_encryptions(cJSON *json, const struct kb_key_info *info)
{
    if (info->use == KB_KEY_ENVELOPE && info->encryptions != KB_GCM_ENCRYPTIONS_UNKNOWN)
        cJSON_AddNumberToObject(json, "encryptions", (double)info->encryptions);
    else
        cJSON_AddNullToObject(json, "encryptions");
}

static void print_encryptions(const struct kb_key_info *info)
{
    static const char what[] = "encryptions counted";

    if (info->use != KB_KEY_ENVELOPE)
        return;
    if (info->encryptions == KB_GCM_ENCRYPTIONS_UNKNOWN)
        cli_print("%-31s not known: the counts cannot be read", what);
    else
        cli_print("%-31s %" PRIu64 " of %" PRIu64, what, info->encryptions,
                  KB_GCM_ENCRYPTIONS_MAX);
}

static bool is_counter(const char *name)
{
    return strncmp(name, KB_VAULT_COUNTER_PREFIX, sizeof KB_VAULT_COUNTER_PREFIX - 1) == 0;
}

/* A vault's counter is a key that may do nothing. */
static const char *use_text(const struct kb_key_info *info)
{
    return info->use == KB_KEY_USE_UNKNOWN && is_counter(info->name)
               ? "counter"
               : or_unknown(kb_key_use_format(info->use));
}

static cJSON *key_json(const struct kb_key_info *info)
{
    cJSON *json = cJSON_CreateObject();

    cJSON_AddStringToObject(json, "name", info->name);
    cJSON_AddStringToObject(json, "version", info->version);
    cJSON_AddStringToObject(json, "id", info->id);
    cJSON_AddStringToObject(json, "use", use_text(info));
    cJSON_AddStringToObject(json, "type", or_unknown(kb_key_type_format(info->type)));
    cJSON_AddStringToObject(json, "origin", kb_key_origin_format(info->origin));
    cJSON_AddNumberToObject(json, "bits", info->bits);
    cJSON_AddBoolToObject(json, "public_only", info->public_only);
    cJSON_AddBoolToObject(json, "release_never", info->release_never);
    add_answer(json, "release_never_enforced", info->release_never_enforced);
    add_answer(json, "mechanisms_enforced", info->mechanisms_enforced);
    cJSON_AddStringToObject(json, "mechanisms", info->mechanisms);
    for (size_t i = 0; i < sizeof attributes / sizeof *attributes; i++)
        add_answer(json, attributes[i].json, attribute_of(info, i));
    add_encryptions(json, info);
    return json;
}

static void print_key(const struct kb_key_info *info)
{
    char bits[32] = "";

    cli_print("%-31s %s", "key", info->name);
    cli_print("%-31s %s", "version", info->version);
    cli_print("%-31s %s", "use", use_text(info));
    if (info->bits)
        snprintf(bits, sizeof bits, ", %u bits", info->bits);
    cli_print("%-31s %s%s%s", "type", or_unknown(kb_key_type_format(info->type)), bits,
              info->public_only ? ", public only" : "");
    cli_print("%-31s %s", "came here (our record)", kb_key_origin_format(info->origin));
    for (size_t i = 0; i < sizeof attributes / sizeof *attributes; i++)
        cli_print("%-31s %s", attributes[i].name, answer_text(attribute_of(info, i)));
    if (info->mechanisms_enforced == KB_ANSWER_YES)
        cli_print("%-31s %s", "allowed mechanisms", info->mechanisms);
    else
        cli_print("%-31s not enforced by this token", "allowed mechanisms");
    if (info->use == KB_KEY_WRAP && !info->public_only)
        cli_print("%-31s %s", "data keys leave the token",
                  !info->release_never                            ? "yes, for one item at a time"
                  : info->release_never_enforced == KB_ANSWER_YES ? "never (unwrap template)"
                      : "never (by keybridge; not enforced by this token)");
    print_encryptions(info);
}

struct key_listing {
    struct kb_key_info *keys;
    size_t count;
    bool failed;
};

static void list_key(void *ctx, const struct kb_key_info *info)
{
    struct key_listing *listing = ctx;
    struct kb_key_info *keys = realloc(listing->keys, (listing->count + 1) * sizeof *keys);

    listing->failed = listing->failed || !keys;
    if (!keys)
        return;
    listing->keys = keys;
    keys[listing->count++] = *info;
}

static int compare_keys(const void *a, const void *b)
{
    const struct kb_key_info *x = a, *y = b;
    int order = strcmp(x->name, y->name);

    return order ? order : strcmp(x->id, y->id);
}

static enum kb_status print_listing(struct cli *cli, struct key_listing *listing)
{
    cJSON *json = cli->json ? cJSON_CreateArray() : NULL;

    if (listing->count)
        qsort(listing->keys, listing->count, sizeof *listing->keys, compare_keys);
    for (size_t i = 0; i < listing->count; i++) {
        const struct kb_key_info *info = &listing->keys[i];

        if (json)
            cJSON_AddItemToArray(json, key_json(info));
        else
            cli_print("%-24s %-8s %-12s %s%s%s", info->name,
                      use_text(info),
                      or_unknown(kb_key_type_format(info->type)),
                      kb_key_origin_format(info->origin), info->public_only ? ", public only" : "",
                      info->release_never ? ", release never" : "");
    }
    return json ? cli_print_json(cli, json) : KB_OK;
}

static enum kb_status run_list(struct cli *cli, int argc, char **argv)
{
    const struct cli_option table[] = {{NULL, 0, CLI_FLAG, NULL}};
    struct key_listing listing = {NULL, 0, false};
    struct cli_session session;
    enum kb_status status;
    int rest;

    status = cli_parse(cli, argc, argv, table, 0, 0, &rest);
    if (status == KB_OK)
        status = cli_session_open_token(&session, cli);
    if (status != KB_OK)
        return status;
    status = kb_key_list(session.token, list_key, &listing, &cli->error);
    if (status == KB_OK && listing.failed)
        status = kb_error_set(&cli->error, KB_ERR_MEMORY, "no memory");
    if (status == KB_OK)
        status = print_listing(cli, &listing);
    free(listing.keys);
    cli_session_close(&session);
    return status;
}

static enum kb_status try_extract(struct cli *cli, struct kb_token *token, const char *name)
{
    struct kb_token_trial trials[TRIALS_MAX];
    size_t count = 0;
    bool good = false;
    enum kb_status status =
        kb_key_try_extract(token, name, trials, TRIALS_MAX, &count, &cli->error);

    if (status == KB_OK)
        status = cli_print_trials(cli, trials, count, &good);
    if (status == KB_OK && !good)
        status = kb_error_set(&cli->error, KB_ERR_DENIED,
                              "this token gives key '%s' away (rows marked NO)", name);
    return status;
}

static enum kb_status run_show(struct cli *cli, int argc, char **argv)
{
    bool extract = false;
    const struct cli_option table[] = {
        {"try-extract", 0, CLI_FLAG, &extract},
        {NULL, 0, CLI_FLAG, NULL},
    };
    struct cli_session session;
    struct kb_key_info info;
    enum kb_status status;
    int rest;

    status = cli_parse(cli, argc, argv, table, 1, 1, &rest);
    if (status == KB_OK)
        status = cli_session_open_token(&session, cli);
    if (status != KB_OK)
        return status;
    status = kb_key_find(session.token, argv[0], &info, &cli->error);
    if (status == KB_OK && extract)
        status = try_extract(cli, session.token, argv[0]);
    else if (status == KB_OK && cli->json)
        status = cli_print_json(cli, key_json(&info));
    else if (status == KB_OK)
        print_key(&info);
    cli_session_close(&session);
    return status;
}

/* What is lost with the key. */
static const char *what_is_lost(const char *name)
{
    if (is_counter(name))
        return "it is a vault's counter: without it the vault does not open";
    if (strcmp(name, KB_VAULT_WRAP_KEY) == 0)
        return "the vault's keys are under it: no object under them (SSE-C) can ever be read again";
    if (strcmp(name, KB_VAULT_SIGN_KEY) == 0)
        return "the vault's rows are signed by it: without it the vault does not open";
    return "what is under it can never be read again";
}

static enum kb_status ask_destroy(struct cli *cli, const char *name)
{
    const char *lost = what_is_lost(name);
    char question[512];

    snprintf(question, sizeof question, "Destroy the key '%.80s'? Mind that %s.", name, lost);
    if (cli_ask(question))
        return KB_OK;
    kb_error_set(&cli->error, KB_ERR_USAGE, "key '%s' was not destroyed", name);
    kb_error_hint(&cli->error, "%s; --yes to go on", lost);
    return KB_ERR_USAGE;
}

static enum kb_status run_destroy(struct cli *cli, int argc, char **argv)
{
    bool yes = false;
    const struct cli_option table[] = {
        {"yes", 'y', CLI_FLAG, &yes},
        {NULL, 0, CLI_FLAG, NULL},
    };
    struct cli_session session;
    enum kb_status status;
    int rest;

    status = cli_parse(cli, argc, argv, table, 1, 1, &rest);
    if (status == KB_OK && !yes)
        status = ask_destroy(cli, argv[0]);
    if (status == KB_OK)
        status = cli_session_open_token(&session, cli);
    if (status != KB_OK)
        return status;
    status = kb_key_destroy(session.token, argv[0], &cli->error);
    if (status == KB_OK)
        cli_note(cli, "key '%s' is destroyed", argv[0]);
    cli_session_close(&session);
    return status;
}

const struct cli_verb cli_key_verbs[] = {
    {"key", "create", "NAME --use wrap|sign|content|envelope --type TYPE [--release never]",
     "make a key inside the token; TYPE: aes-128 aes-192 aes-256 hmac-sha224 hmac-sha256 "
     "hmac-sha384 hmac-sha512 rsa-2048 rsa-3072 rsa-4096 ec-p256 ec-p384",
     cli_key_create},
    {"key", "import", "NAME --use wrap|sign|content|envelope|legacy --type TYPE --in FILE "
                      "--format raw|hex|der|pem [--allow-weak] [--release never]",
     "put a given key into the token; TYPE also: rsa ec rsa-public ec-public", cli_key_import},
    {"key", "export-public", "NAME [--format pem|der] [-o FILE]",
     "the public half of an RSA or EC key", cli_key_export_public},
    {"key", "list", "", "the keys of the token", run_list},
    {"key", "show", "NAME [--try-extract]",
     "a key as the token describes it; with --try-extract, really try to take it out", run_show},
    {"key", "destroy", "NAME --yes", "destroy a key for ever", run_destroy},
    {NULL, NULL, NULL, NULL, NULL},
};
