/* SPDX-License-Identifier: Apache-2.0
 *
 * keybridge NOUN VERB: main is a table and a loop.
 */
#include "cli/cli.h"

#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <string.h>

static const struct {
    const char *noun;
    const char *summary;
    const struct cli_verb *verbs;
} nouns[] = {
    {"init", "set up a token and the default keys", cli_init_verbs},
    {"token", "the token: list, show, probe", cli_token_verbs},
    {"key", "keys in the token: create, import, list, show, destroy", cli_key_verbs},
    {"item", "items: encrypt, decrypt, inspect", cli_item_verbs},
    {"table", "tables: create, describe, set-sse, load, put, get, query, scan, delete",
     cli_table_verbs},
    {"envelope", "files and streams: encrypt, decrypt, rewrap, inspect", cli_envelope_verbs},
    {"s3", "objects: put, get, cat, head, ls, rm, mb, cp, rotate, verify, audit, with-key, bucket",
     cli_s3_verbs},
    {"kms", "AWS KMS: encrypt, decrypt, generate-data-key, create-key, describe-key",
     cli_kms_verbs},
    {"vault",
     "customer keys for S3: list, show, create, import-key, enable, disable, objects,\n"
     "              events, check, export, import, repair",
     cli_vault_verbs},
    {"aws-policy", "the least a command needs to be allowed in AWS", cli_policy_verbs},
    {"config", "settings: show", cli_config_verbs},
};
enum { NOUNS = sizeof nouns / sizeof *nouns };

static const char global_help[] =
    "Global options, anywhere:\n"
    "  --config FILE      settings in place of $KEYBRIDGE_HOME/keybridge.json\n"
    "  --token URI        the token, as a PKCS#11 URI (RFC 7512)\n"
    "  --module PATH      its module: a path, or a name in p11-kit's configuration\n"
    "  --module-parameters TEXT  what the module wants at its start (NSS)\n"
    "  --pin-file FILE    its PIN; mode 0600\n"
    "  --json             machine-readable output\n"
    "  -q, --quiet        errors only\n"
    "  -v, --verbose      more; with an error, its codes\n"
    "  -h, --help         this, or the help of a noun or verb\n"
    "  --version\n"
    "Exit: 0 done, 1 system, 2 usage, 3 not found, 4 data damaged, forged or not ours,\n"
    "      5 denied, 6 token unavailable, 7 remote service, 8 some items failed\n";

static void print_help(void)
{
    printf("keybridge: keys stay in your HSM, data in the formats AWS clients read\n\n"
           "Usage: keybridge NOUN VERB [options]\n\n");
    for (size_t i = 0; i < NOUNS; i++)
        printf("  %-11s %s\n", nouns[i].noun, nouns[i].summary);
    printf("\n%s", global_help);
}

static void print_verb_help(const struct cli_verb *verb)
{
    printf("keybridge %s%s%s %s\n    %s\n", verb->noun, *verb->verb ? " " : "", verb->verb,
           verb->synopsis, verb->summary);
}

static void print_noun_help(const struct cli_verb *verbs)
{
    for (; verbs->noun; verbs++)
        print_verb_help(verbs);
    printf("\n%s", global_help);
}

static bool wants_help(int argc, char **argv)
{
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

/* Finds --config, which must be read before anything else. */
static const char *config_file(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strncmp(argv[i], "--config=", 9) == 0)
            return argv[i] + 9;
        if (strcmp(argv[i], "--config") == 0)
            return i + 1 < argc ? argv[i + 1] : "";
    }
    return NULL;
}

static int passed_on;

void cli_pass_on(int code)
{
    passed_on = code;
}

static enum kb_status usage_error(const char *sentence, const char *word)
{
    cli_say("%s%s%s%s", sentence, word ? " '" : "", word ? word : "", word ? "'" : "");
    cli_say("hint: keybridge --help");
    return KB_ERR_USAGE;
}

static void say_detail(const struct kb_error *error)
{
    static const char *const kinds[] = {"", "errno", "CK_RV", "HTTP status"};

    if (error->detail_kind == KB_DETAIL_NONE)
        cli_say("detail: %s", kb_status_name(error->status));
    else
        cli_say("detail: %s, %s %lu (0x%lx)", kb_status_name(error->status),
                kinds[error->detail_kind], error->detail, error->detail);
}

static enum kb_status run_verb(const struct cli_verb *verb, int argc, char **argv,
                               const char *config)
{
    struct cli cli = {.verb = verb};
    enum kb_status status =
        config && !*config
            ? kb_error_set(&cli.error, KB_ERR_USAGE, "--config needs a value")
            : kb_config_load(&cli.config, config, &cli.error);

    if (status == KB_OK)
        status = verb->run(&cli, argc, argv);
    if (status != KB_OK && !(cli.quiet && kb_status_exit(status) == KB_EXIT_PARTIAL)) {
        cli.error.status = status;
        cli_say_error(&cli.error);
        if (cli.verbose)
            say_detail(&cli.error);
    }
    kb_config_free(cli.config);
    return status;
}

/* Global options may stand before the noun. Index of the noun, from `at` on. */
static int skip_globals(int argc, char **argv, int at)
{
    static const char *const with_value[] = {"--config", "--token", "--module",
                                             "--module-parameters", "--pin-file"};

    while (at < argc && argv[at][0] == '-' && argv[at][1]) {
        bool takes = false;

        for (size_t i = 0; i < sizeof with_value / sizeof *with_value; i++)
            takes = takes || strcmp(argv[at], with_value[i]) == 0;
        at += takes ? 2 : 1;
    }
    return at < argc ? at : argc;
}

const struct cli_verb *cli_verb_find(int argc, char **argv, int *at)
{
    int noun = skip_globals(argc, argv, 0);
    const struct cli_verb *verb;

    for (size_t i = 0; noun < argc && i < NOUNS; i++) {
        if (strcmp(nouns[i].noun, argv[noun]) != 0)
            continue;
        verb = nouns[i].verbs;
        *at = noun + 1;
        if (!*verb->verb)
            return verb;
        for (; noun + 1 < argc && verb->noun; verb++) {
            if (strcmp(verb->verb, argv[noun + 1]) == 0) {
                ++*at;
                return verb;
            }
        }
    }
    return NULL;
}

/* The verb that argv[at] and what follows name; NULL when that was dealt with
 * here, with *status. */
static const struct cli_verb *find_verb(int argc, char **argv, int at, enum kb_status *status)
{
    const struct cli_verb *verb;
    bool help = wants_help(argc, argv);
    size_t noun = 0;

    *status = KB_OK;
    while (at < argc && noun < NOUNS && strcmp(nouns[noun].noun, argv[at]) != 0)
        noun++;
    if (at >= argc && argc > 1 && !help && argv[argc - 1][0] == '-') {
        *status = usage_error("a noun is missing behind", argv[argc - 1]);
        return NULL;
    }
    if (at >= argc || strcmp(argv[at], "help") == 0) {
        print_help();
        *status = help || at < argc ? KB_OK : KB_ERR_USAGE;
        return NULL;
    }
    if (noun == NOUNS) {
        *status = usage_error("unknown noun", argv[at]);
        return NULL;
    }
    verb = nouns[noun].verbs;
    if (*verb->verb && (at + 1 >= argc || argv[at + 1][0] == '-')) {
        print_noun_help(verb);
        *status = help ? KB_OK : usage_error("a verb is missing behind", argv[at]);
        return NULL;
    }
    while (*verb->verb && strcmp(verb->verb, argv[at + 1]) != 0) {
        verb++;
        if (!verb->noun) {
            *status = usage_error("unknown verb", argv[at + 1]);
            return NULL;
        }
    }
    if (help) {
        print_verb_help(verb);
        printf("\n%s", global_help);
        return NULL;
    }
    return verb;
}

static enum kb_status dispatch(int argc, char **argv)
{
    int at = skip_globals(argc, argv, 1);
    const char *config = config_file(argc, argv);
    const struct cli_verb *verb;
    enum kb_status status;
    int words;

    for (int i = 1; i < at; i++) {
        if (strcmp(argv[i], "--version") == 0) {
            puts("keybridge " PACKAGE_VERSION);
            return KB_OK;
        }
    }
    verb = find_verb(argc, argv, at, &status);
    if (!verb)
        return status;
    words = *verb->verb ? 2 : 1;
    memmove(argv + at, argv + at + words, (size_t)(argc - at - words + 1) * sizeof *argv);
    return run_verb(verb, argc - 1 - words, argv + 1, config);
}

/* A closed standard descriptor would become the next file that is opened. In
 * its place goes one that fails: reading and writing are errors then. */
static void fill_standard_descriptors(void)
{
    static const int modes[] = {O_WRONLY, O_RDONLY, O_RDONLY};

    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            (void)!open("/dev/null", modes[fd]);
}

int main(int argc, char **argv)
{
    enum kb_status status;

    fill_standard_descriptors();
    (void)signal(SIGXFSZ, SIG_IGN); /* a file-size limit is an error like any other */
    kb_process_harden();
    (void)setlocale(LC_CTYPE, "");
    status = dispatch(argc, argv);
    if ((fflush(stdout) != 0 || ferror(stdout)) && status == KB_OK) {
        cli_say("standard output could not be written");
        status = KB_ERR_SYSTEM;
    }
    cli_stop_end();
    return passed_on ? passed_on : (int)kb_status_exit(status);
}
