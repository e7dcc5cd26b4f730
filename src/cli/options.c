/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

enum { OPTIONS_MAX = 48, FIRST_LONG = 256 };

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

static enum kb_status add_item(struct cli *cli, struct cli_list *list, const char *item)
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
        return add_item(cli, option->target, value);
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
        status = *at ? add_item(cli, out, at)
                     : kb_error_set(&cli->error, KB_ERR_USAGE, "an empty name in a list");
    }
    return status;
}
