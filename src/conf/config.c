/* SPDX-License-Identifier: Apache-2.0 */
#include "base/text.h"

#include <keybridge/config.h>
#include <keybridge/file.h>

#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>

enum { CONFIG_FILE_MAX = 64 * 1024, WORKERS_MAX = 64, WORKERS_DEFAULT_MAX = 4 };

/* Members of the file that hold others. */
static const char *const objects[] = {"token", "keys", "aws", "s3"};
enum { OBJECTS = sizeof objects / sizeof *objects };

static const struct {
    const char *member;
    const char *variable;
    const char *fallback;
} settings[] = {
#define KB_SETTING_ROW(name, member, variable, fallback, what) {member, variable, fallback},
    KB_SETTING_LIST(KB_SETTING_ROW)
#undef KB_SETTING_ROW
};

struct kb_config {
    char *home;
    char *counts; /* the file of kb_keystore_options.counts */
    char *vault;  /* of kb_config_vault */
    char *values[KB_SETTING_COUNT];
    enum kb_origin origins[KB_SETTING_COUNT];
};

static bool is_path(enum kb_setting setting)
{
    return setting == KB_SETTING_SOFTHSM2_CONF || setting == KB_SETTING_PIN_FILE ||
           setting == KB_SETTING_AWS_CA_FILE;
}

static bool is_of_token(enum kb_setting setting)
{
    return setting <= KB_SETTING_PIN_FILE;
}

static enum kb_status set_value(struct kb_config *config, enum kb_setting setting,
                                const char *value, enum kb_origin origin, struct kb_error *err)
{
    char *copy = strdup(value);

    if (!copy)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    free(config->values[setting]);
    config->values[setting] = copy;
    config->origins[setting] = origin;
    return KB_OK;
}

/* A token or module named at one level has nothing to do with the module or PIN
 * file of another token, named at a lower level. */
static void drop_lower_token(struct kb_config *config, enum kb_origin origin)
{
    for (unsigned i = 0; i < KB_SETTING_COUNT; i++) {
        if (is_of_token((enum kb_setting)i) && config->origins[i] < origin) {
            free(config->values[i]);
            config->values[i] = NULL;
            config->origins[i] = KB_ORIGIN_NONE;
        }
    }
}

/* --- files ------------------------------------------------------------------ */

struct source {
    const char *path;
    enum kb_origin origin;
    bool seen[KB_SETTING_COUNT];
    bool seen_objects[OBJECTS];
};

/* `value` below the folder of the file, unless it is absolute. */
static char *beside(const char *path, const char *value)
{
    const char *slash = strrchr(path, '/');
    char *joined = NULL;

    if (value[0] == '/' || !slash)
        return strdup(value);
    if (asprintf(&joined, "%.*s/%s", (int)(slash - path), path, value) < 0)
        return NULL;
    return joined;
}

static enum kb_status take_member(struct kb_config *config, struct source *source,
                                  const char *name, const cJSON *value, struct kb_error *err)
{
    unsigned i = 0;
    char number[32];
    char *text;
    enum kb_status status;

    while (i < KB_SETTING_COUNT && strcmp(name, settings[i].member) != 0)
        i++;
    if (i == KB_SETTING_COUNT)
        return kb_error_set(err, KB_ERR_CONFIG, "%s: unknown member \"%s\"", source->path, name);
    if (source->seen[i])
        return kb_error_set(err, KB_ERR_CONFIG, "%s: \"%s\" is there twice", source->path, name);
    source->seen[i] = true;
    if (i == KB_SETTING_WORKERS && cJSON_IsNumber(value) && value->valuedouble >= 1 &&
        value->valuedouble <= WORKERS_MAX && value->valuedouble == (int)value->valuedouble) {
        snprintf(number, sizeof number, "%d", value->valueint);
        return set_value(config, KB_SETTING_WORKERS, number, source->origin, err);
    }
    if (!cJSON_IsString(value) || !value->valuestring[0] || i == KB_SETTING_WORKERS)
        return kb_error_set(err, KB_ERR_CONFIG, "%s: \"%s\" is not %s", source->path, name,
                            i == KB_SETTING_WORKERS ? "a number from 1 to 64" : "a text");
    text = is_path((enum kb_setting)i) ? beside(source->path, value->valuestring)
                                       : strdup(value->valuestring);
    if (!text)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    status = set_value(config, (enum kb_setting)i, text, source->origin, err);
    free(text);
    return status;
}

static enum kb_status take_object(struct kb_config *config, struct source *source,
                                  const char *prefix, const cJSON *object, struct kb_error *err)
{
    enum kb_status status = KB_OK;
    const cJSON *member;

    cJSON_ArrayForEach(member, object)
    {
        bool *seen = NULL;
        char name[128];

        for (size_t i = 0; !*prefix && i < OBJECTS; i++)
            if (strcmp(member->string, objects[i]) == 0)
                seen = &source->seen_objects[i];
        snprintf(name, sizeof name, "%s%s%s", prefix, *prefix ? "." : "", member->string);
        if (seen && *seen)
            status = kb_error_set(err, KB_ERR_CONFIG, "%s: \"%s\" is there twice", source->path,
                                  name);
        else if (seen && cJSON_IsObject(member))
            status = take_object(config, source, member->string, member, err);
        else if (!*prefix && strchr(member->string, '.'))
            status = kb_error_set(err, KB_ERR_CONFIG, "%s: unknown member \"%s\"", source->path,
                                  name);
        else
            status = take_member(config, source, name, member, err);
        if (seen)
            *seen = true;
        if (status != KB_OK)
            break;
    }
    return status;
}

static enum kb_status load_file(struct kb_config *config, const char *path, enum kb_origin origin,
                                bool must_exist, struct kb_error *err)
{
    struct kb_buffer text = KB_BUFFER_INIT(CONFIG_FILE_MAX);
    struct source source = {.path = path, .origin = origin};
    enum kb_status status;
    cJSON *root = NULL;

    if (!must_exist && access(path, F_OK) != 0)
        return KB_OK;
    status = kb_file_read(&text, path, err);
    if (status == KB_ERR_INPUT && err)
        status = err->status = KB_ERR_CONFIG;
    if (status == KB_OK) {
        kb_buffer_put_u8(&text, 0);
        status = kb_buffer_check(&text, err);
    }
    if (status == KB_OK) {
        root = cJSON_ParseWithOpts((const char *)text.data, NULL, 1);
        if (!cJSON_IsObject(root) || strlen((const char *)text.data) + 1 != text.size ||
            !kb_utf8_valid(kb_buffer_view(&text)))
            status = kb_error_set(err, KB_ERR_CONFIG, "%s is not one JSON object", path);
        else
            status = take_object(config, &source, "", root, err);
    }
    if (status == KB_OK && (source.seen[KB_SETTING_TOKEN] || source.seen[KB_SETTING_MODULE]))
        drop_lower_token(config, origin);
    cJSON_Delete(root);
    kb_buffer_free(&text);
    return status;
}

/* --- loading ------------------------------------------------------------------ */

static char *find_home(void)
{
    const char *home = getenv("KEYBRIDGE_HOME");
    const char *data = getenv("XDG_DATA_HOME");
    const char *user = getenv("HOME");
    char *path = NULL;
    int made;

    if (home && *home)
        return strdup(home);
    if (data && *data == '/')
        made = asprintf(&path, "%s/keybridge", data);
    else
        made = asprintf(&path, "%s/.local/share/keybridge", user && *user ? user : "/nonexistent");
    return made < 0 ? NULL : path;
}

/* A variable's value; an empty one counts as not set. */
static const char *variable(enum kb_setting setting)
{
    const char *value = getenv(settings[setting].variable);

    return value && *value ? value : NULL;
}

static enum kb_status load_variables(struct kb_config *config, struct kb_error *err)
{
    enum kb_status status = KB_OK;

    if (variable(KB_SETTING_TOKEN) || variable(KB_SETTING_MODULE))
        drop_lower_token(config, KB_ORIGIN_VARIABLE);
    for (unsigned i = 0; status == KB_OK && i < KB_SETTING_COUNT; i++) {
        const char *value = variable((enum kb_setting)i);

        if (value)
            status = set_value(config, (enum kb_setting)i, value, KB_ORIGIN_VARIABLE, err);
    }
    return status;
}

static enum kb_status load_all(struct kb_config *config, const char *file, struct kb_error *err)
{
    enum kb_status status = KB_OK;
    char *path = NULL;

    for (unsigned i = 0; status == KB_OK && i < KB_SETTING_COUNT; i++)
        if (settings[i].fallback)
            status = set_value(config, (enum kb_setting)i, settings[i].fallback, KB_ORIGIN_DEFAULT,
                               err);
    if (status == KB_OK)
        status = load_file(config, KB_SYSCONF_DIR "/keybridge.json", KB_ORIGIN_SYSTEM_FILE, false,
                           err);
    if (status != KB_OK)
        return status;
    if (asprintf(&path, "%s/keybridge.json", config->home) < 0)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    status = load_file(config, file ? file : path, KB_ORIGIN_USER_FILE, file != NULL, err);
    free(path);
    return status == KB_OK ? load_variables(config, err) : status;
}

enum kb_status kb_config_load(struct kb_config **out, const char *file, struct kb_error *err)
{
    struct kb_config *config = calloc(1, sizeof *config);
    enum kb_status status;

    *out = NULL;
    if (!config)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    config->home = find_home();
    if (config->home && asprintf(&config->counts, "%s/counts.db", config->home) < 0)
        config->counts = NULL;
    if (config->home && asprintf(&config->vault, "%s/vault.db", config->home) < 0)
        config->vault = NULL;
    status = config->counts && config->vault ? load_all(config, file, err)
                            : kb_error_set(err, KB_ERR_MEMORY, "no memory");
    if (status != KB_OK) {
        kb_config_free(config);
        return status;
    }
    *out = config;
    return KB_OK;
}

void kb_config_free(struct kb_config *config)
{
    if (!config)
        return;
    for (unsigned i = 0; i < KB_SETTING_COUNT; i++)
        free(config->values[i]);
    free(config->home);
    free(config->counts);
    free(config->vault);
    free(config);
}

enum kb_status kb_config_set(struct kb_config *config, enum kb_setting setting, const char *value,
                             struct kb_error *err)
{
    if (setting == KB_SETTING_TOKEN || setting == KB_SETTING_MODULE)
        drop_lower_token(config, KB_ORIGIN_OPTION);
    return set_value(config, setting, value, KB_ORIGIN_OPTION, err);
}

const char *kb_config_get(const struct kb_config *config, enum kb_setting setting)
{
    return config->values[setting];
}

enum kb_origin kb_config_origin(const struct kb_config *config, enum kb_setting setting)
{
    return config->origins[setting];
}

const char *kb_config_home(const struct kb_config *config)
{
    return config->home;
}

const char *kb_setting_member(enum kb_setting setting)
{
    return settings[setting].member;
}

const char *kb_origin_format(enum kb_origin origin)
{
    static const char *const names[] = {"not set",   "default",  "system file",
                                        "user file", "variable", "option"};

    return names[origin];
}

enum kb_status kb_config_workers(const struct kb_config *config, unsigned *out,
                                 struct kb_error *err)
{
    const char *text = config->values[KB_SETTING_WORKERS];
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    char *end;
    long count;

    if (!text) {
        *out = processors < 1                     ? 1
               : processors > WORKERS_DEFAULT_MAX ? WORKERS_DEFAULT_MAX
                                                  : (unsigned)processors;
        return KB_OK;
    }
    count = strtol(text, &end, 10);
    if (*end || !isdigit((unsigned char)text[0]) || count < 1 || count > WORKERS_MAX)
        return kb_error_set(err, KB_ERR_USAGE, "workers: '%s' is not a number from 1 to %d", text,
                            WORKERS_MAX);
    *out = (unsigned)count;
    return KB_OK;
}

void kb_config_keystore(const struct kb_config *config, struct kb_keystore_options *out)
{
    memset(out, 0, sizeof *out);
    out->uri = config->values[KB_SETTING_TOKEN];
    out->module = config->values[KB_SETTING_MODULE];
    out->module_parameters = config->values[KB_SETTING_MODULE_PARAMETERS];
    out->softhsm2_conf = config->values[KB_SETTING_SOFTHSM2_CONF];
    out->counts = config->counts;
}

const char *kb_config_vault(const struct kb_config *config)
{
    return config->vault;
}

/* --- pin-source (RFC 7512, section 2.4) ------------------------------------------ */

/* Undoes percent-encoding in place; false for a broken one or %00. */
static bool percent_decode(char *text)
{
    char *to = text;

    for (const char *from = text; *from; from++) {
        unsigned value = (unsigned char)*from;

        if (value == '%') {
            if (!isxdigit((unsigned char)from[1]) || !isxdigit((unsigned char)from[2]) ||
                sscanf(from + 1, "%2x", &value) != 1 || value == 0)
                return false;
            from += 2;
        }
        *to++ = (char)value;
    }
    *to = 0;
    return true;
}

enum kb_status kb_config_pin_path(const struct kb_config *config, char **path, struct kb_error *err)
{
    const char *file = config->values[KB_SETTING_PIN_FILE];
    const char *uri = config->values[KB_SETTING_TOKEN];
    const char *query = uri ? strchr(uri, '?') : NULL;
    const char *found;

    *path = NULL;
    if (uri && (strstr(uri, "pin-value=")))
        return kb_error_set(err, KB_ERR_USAGE,
                            "the token URI holds a PIN (pin-value); use --pin-file or pin-source");
    if (file) {
        *path = strdup(file);
        return *path ? KB_OK : kb_error_set(err, KB_ERR_MEMORY, "no memory");
    }
    found = query ? strstr(query, "pin-source=") : NULL;
    if (!found)
        return KB_OK;
    found += strlen("pin-source=");
    *path = strndup(found, strcspn(found, "&"));
    if (!*path)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    if (percent_decode(*path)) {
        if (strncmp(*path, "file:", 5) == 0)
            memmove(*path, *path + 5, strlen(*path) - 4);
        if ((*path)[0] == '/' && (*path)[1] == '/' && (*path)[2] == '/')
            memmove(*path, *path + 2, strlen(*path) - 1);
        if ((*path)[0] == '/')
            return KB_OK;
    }
    free(*path);
    *path = NULL;
    return kb_error_set(err, KB_ERR_USAGE,
                        "pin-source must be file: and an absolute path; commands are not run");
}
