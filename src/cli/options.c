/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

enum { OPTIONS_MAX = 64, FIRST_LONG = 256 };

/* getopt's tables for the verb's options and the global ones behind them. */
struct merged {
    struct cli_option options[OPTIONS_MAX];
    bool seen[OPTIONS_MAX];
    size_t count;
    struct option longs[OPTIONS_MAX + 1];
    char letters[OPTIONS_MAX * 2 + 3];
};

static void merge(struct merged *merged, const struct cli_option *options)
{
    for (; options->name; options++) {
        size_t i = merged->count++;
        char *letters = merged->letters + strlen(merged->letters);

        merged->options[i] = *options;
        merged->longs[i] = (struct option){options->name,
                                           options->kind == CLI_FLAG ? no_argument
                                                                     : required_argument,
                                           NULL, FIRST_LONG + (int)i};
        if (options->letter) {
            letters[0] = options->letter;
            letters[1] = options->kind == CLI_FLAG ? 0 : ':';
        }
    }
}

void cli_hint_help(struct cli *cli)
{
    kb_error_hint(&cli->error, "keybridge %s%s%s --help", cli->verb->noun,
                  *cli->verb->verb ? " " : "", cli->verb->verb);
}

enum kb_status cli_list_add(struct cli *cli, struct cli_list *list, const char *item)
{
    const char **items = realloc(list->items, (list->count + 1) * sizeof *items);

    if (!items)
        return kb_error_set(&cli->error, KB_ERR_MEMORY, "no memory");
    list->items = items;
    list->items[list->count++] = item;
    return KB_OK;
}

static enum kb_status take(struct cli *cli, struct merged *merged, size_t i, const char *value)
{
    const struct cli_option *option = &merged->options[i];

    if (merged->seen[i] && option->kind == CLI_TEXT)
        return kb_error_set(&cli->error, KB_ERR_USAGE, "--%s is given twice", option->name);
    merged->seen[i] = true;
    switch (option->kind) {
    case CLI_FLAG:
        *(bool *)option->target = true;
        return KB_OK;
    case CLI_TEXT:
        *(const char **)option->target = value;
        return KB_OK;
    case CLI_LIST:
        return cli_list_add(cli, option->target, value);
    }
    return KB_OK;
}

static size_t index_of(const struct merged *merged, int code)
{
    size_t i = 0;

    if (code >= FIRST_LONG)
        return (size_t)(code - FIRST_LONG);
    while (merged->options[i].letter != code)
        i++;
    return i;
}

static enum kb_status parse_all(struct cli *cli, struct merged *merged, int argc, char **argv)
{
    enum kb_status status = KB_OK;
    int code;

    /* getopt wants a program name in front. */
    optind = 0;
    opterr = 0;
    while (status == KB_OK &&
           (code = getopt_long(argc, argv, merged->letters, merged->longs, NULL)) != -1) {
        if (code == ':')
            status = kb_error_set(&cli->error, KB_ERR_USAGE, "%s needs a value", argv[optind - 1]);
        else if (code == '?')
            status = kb_error_set(&cli->error, KB_ERR_USAGE, "unknown option %s",
                                  optopt && optopt < FIRST_LONG ? (char[]){'-', (char)optopt, 0}
                                                                : argv[optind - 1]);
        else
            status = take(cli, merged, index_of(merged, code), optarg);
    }
    if (status == KB_ERR_USAGE)
        cli_hint_help(cli);
    return status;
}

/* Nothing is run: every verb ends at a failure of its parsing. */
static enum kb_status captured(struct cli *cli, const struct cli_option *options, int most,
                               int count, char **argv)
{
    if (count > most)
        return kb_error_set(&cli->error, KB_ERR_USAGE, "unexpected argument '%s'", argv[most]);
    cli->capture->options = options;
    cli->capture->arguments = argv;
    cli->capture->count = count;
    cli->capture->take(cli->capture);
    cli->capture->options = NULL;
    cli->capture->done = true;
    return KB_ERR_USAGE;
}

const char *cli_capture_value(const struct cli_capture *capture, const char *name)
{
    for (const struct cli_option *option = capture->options; option->name; option++) {
        if (strcmp(option->name, name) != 0)
            continue;
        if (option->kind == CLI_TEXT)
            return *(const char **)option->target;
        if (option->kind == CLI_FLAG)
            return *(bool *)option->target ? "" : NULL;
        return ((const struct cli_list *)option->target)->count ? "" : NULL;
    }
    return NULL;
}

enum kb_status cli_parse(struct cli *cli, int argc, char **argv, const struct cli_option *options,
                         int least, int most, int *count)
{
    const char *values[KB_SETTING_COUNT] = {NULL};
    const char *config = NULL;
    bool verbose = false;
    const struct cli_option globals[] = {
        {"config", 0, CLI_TEXT, &config},
        {"token", 0, CLI_TEXT, &values[KB_SETTING_TOKEN]},
        {"module", 0, CLI_TEXT, &values[KB_SETTING_MODULE]},
        {"module-parameters", 0, CLI_TEXT, &values[KB_SETTING_MODULE_PARAMETERS]},
        {"pin-file", 0, CLI_TEXT, &values[KB_SETTING_PIN_FILE]},
        {"json", 0, CLI_FLAG, &cli->json},
        {"quiet", 'q', CLI_FLAG, &cli->quiet},
        {"verbose", 'v', CLI_FLAG, &verbose},
        {NULL, 0, CLI_FLAG, NULL},
    };
    struct merged merged = {.letters = ":"};
    char **vector = calloc((size_t)argc + 2, sizeof *vector);
    enum kb_status status;

    if (!vector)
        return kb_error_set(&cli->error, KB_ERR_MEMORY, "no memory");
    vector[0] = (char[]){"keybridge"};
    if (argc)
        memcpy(vector + 1, argv, (size_t)argc * sizeof *vector);
    merge(&merged, options);
    merge(&merged, globals);
    status = parse_all(cli, &merged, argc + 1, vector);
    *count = 0;
    for (int i = optind; status == KB_OK && i <= argc; i++)
        argv[(*count)++] = vector[i];
    free(vector);
    if (status == KB_OK && cli->capture)
        return captured(cli, options, most, *count, argv);
    if (status == KB_OK && (*count < least || *count > most)) {
        status = *count < least
                     ? kb_error_set(&cli->error, KB_ERR_USAGE, "an argument is missing")
                     : kb_error_set(&cli->error, KB_ERR_USAGE, "unexpected argument '%s'",
                                    argv[most]);
        cli_hint_help(cli);
    }
    for (unsigned i = 0; status == KB_OK && i < KB_SETTING_COUNT; i++)
        if (values[i])
            status = kb_config_set(cli->config, (enum kb_setting)i, values[i], &cli->error);
    cli->verbose += verbose;
    return status;
}

void cli_list_free(struct cli_list *list)
{
    free(list->items);
    *list = (struct cli_list){NULL, 0};
}

enum kb_status cli_split(struct cli *cli, struct cli_list *out, char *text)
{
    enum kb_status status = KB_OK;
    char *next;

    for (char *at = text; status == KB_OK && at; at = next) {
        next = strchr(at, ',');
        if (next)
            *next++ = 0;
        status = *at ? cli_list_add(cli, out, at)
                     : kb_error_set(&cli->error, KB_ERR_USAGE, "an empty name in a list");
    }
    return status;
}

void cli_hex(char *out, struct kb_bytes bytes)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < bytes.size; i++) {
        *out++ = digits[bytes.data[i] >> 4];
        *out++ = digits[bytes.data[i] & 15];
    }
    *out = 0;
}

int cli_hex_value(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    digit |= 0x20;
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

enum kb_status cli_number(struct cli *cli, const char *option, const char *text, uint64_t least,
                          uint64_t most, uint64_t *out)
{
    uint64_t value = 0;

    if (!text)
        return KB_OK;
    for (const char *at = text; *at; at++) {
        if (*at < '0' || *at > '9' || value > UINT64_MAX / 10 - 1)
            return kb_error_set(&cli->error, KB_ERR_USAGE, "--%s '%s' is %s", option, text,
                                strspn(text, "0123456789") == strlen(text) ? "too large"
                                                                           : "not a count");
        value = value * 10 + (uint64_t)(*at - '0');
    }
    if (!*text || value < least)
        return kb_error_set(&cli->error, KB_ERR_USAGE, "--%s is at least %llu", option,
                            (unsigned long long)least);
    if (value > most)
        return kb_error_set(&cli->error, KB_ERR_USAGE, "--%s is at most %llu", option,
                            (unsigned long long)most);
    *out = value;
    return KB_OK;
}

enum kb_status cli_range(struct cli *cli, const char *text, uint64_t *first, uint64_t *last)
{
    size_t size = strcspn(text, "-");
    enum kb_status status;
    char begin[24];

    if (!size || size >= sizeof begin || !text[size])
        return kb_error_set(&cli->error, KB_ERR_USAGE, "--range '%s' is not FIRST-LAST or FIRST-",
                            text);
    snprintf(begin, sizeof begin, "%.*s", (int)size, text);
    *last = UINT64_MAX;
    status = cli_number(cli, "range", begin, 0, UINT64_MAX - 1, first);
    if (status == KB_OK && text[size + 1])
        status = cli_number(cli, "range", text + size + 1, 0, UINT64_MAX - 1, last);
    if (status == KB_OK && *last < *first)
        status = kb_error_set(&cli->error, KB_ERR_USAGE, "--range '%s' ends before it begins",
                              text);
    return status;
}

enum kb_status cli_commitment(struct cli *cli, const char *text, enum kb_commitment *out)
{
    static const char *const names[] = {"require-require", "require-allow", "forbid-allow"};

    for (unsigned i = 0; text && i < sizeof names / sizeof *names; i++) {
        if (strcmp(names[i], text) == 0) {
            *out = (enum kb_commitment)i;
            return KB_OK;
        }
    }
    return !text ? KB_OK
                 : kb_error_set(&cli->error, KB_ERR_USAGE,
                                "--policy is require-require, require-allow or forbid-allow, "
                                "not '%s'",
                                text);
}

enum kb_status cli_pairs(struct cli *cli, const char *option, const struct cli_list *list,
                         struct kb_pair *out, size_t most)
{
    if (list->count > most)
        return kb_error_set(&cli->error, KB_ERR_USAGE, "more than %zu --%s entries", most, option);
    for (size_t i = 0; i < list->count; i++) {
        const char *equals = strchr(list->items[i], '=');

        if (!equals || equals == list->items[i])
            return kb_error_set(&cli->error, KB_ERR_USAGE, "--%s '%s' is not name=value", option,
                                list->items[i]);
        out[i].name = (struct kb_bytes){(const uint8_t *)list->items[i],
                                        (size_t)(equals - list->items[i])};
        out[i].value = kb_bytes_text(equals + 1);
    }
    return KB_OK;
}

bool cli_words(char *text, char **words, int most, int *count)
{
    char *to = text;
    char quote = 0;

    *count = 0;
    while (*text) {
        while (strchr(" \t\n", *text) && *text)
            text++;
        if (!*text)
            break;
        if (*count == most)
            return false;
        words[(*count)++] = to;
        for (; *text && (quote || !strchr(" \t\n", *text)); text++) {
            if (quote ? *text == quote : *text == '\'' || *text == '"')
                quote = quote ? 0 : *text;
            else if (*text == '\\' && quote != '\'' && text[1])
                *to++ = *++text;
            else
                *to++ = *text;
        }
        if (*text)
            text++;
        *to++ = 0;
    }
    return quote == 0;
}
