/* SPDX-License-Identifier: Apache-2.0
 *
 * The files ~/.aws/config and ~/.aws/credentials: "Shared config and
 * credentials files", AWS SDKs and Tools Reference Guide.
 */
#include "aws/credentials.h"

#include <keybridge/file.h>

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { FILE_MAX = 1024 * 1024, FILES = 2, CREDENTIALS = 0, CONFIG = 1 };

enum section_kind { SECTION_NONE, SECTION_OTHER, SECTION_PROFILE, SECTION_SERVICES };

/* A setting, or (name NULL) the start of a section. The strings are in the
 * file's text, cut in place. */
struct entry {
    enum section_kind kind;
    const char *section;
    const char *parent; /* the setting this one is nested in, or NULL */
    const char *name;
    const char *value;
};

struct file {
    struct kb_secret *text; /* has keys in it */
    struct entry *entries;
    size_t n;
    size_t room;
};

struct kb_profiles {
    struct file files[FILES];
};

struct parser {
    struct file *file;
    const char *path;
    bool credentials;
    unsigned line;
    enum section_kind kind;
    const char *section;
    const char *last;   /* name of the setting before this line */
    bool last_is_empty; /* which indented lines are nested in */
};

static enum kb_status refuse(const struct parser *parser, const char *problem,
                             struct kb_error *err)
{
    return kb_error_set(err, KB_ERR_CONFIG, "%s, line %u: %s", parser->path, parser->line, problem);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Cuts blanks off both ends, in place. */
static char *trim(char *text)
{
    size_t size;

    while (is_blank(*text))
        text++;
    size = strlen(text);
    while (size && (is_blank(text[size - 1]) || text[size - 1] == '\r'))
        text[--size] = 0;
    return text;
}

static enum kb_status add(struct parser *parser, const char *parent, const char *name,
                          const char *value, struct kb_error *err)
{
    struct file *file = parser->file;

    if (file->n == file->room) {
        size_t room = file->room ? 2 * file->room : 32;
        struct entry *more = reallocarray(file->entries, room, sizeof *more);

        if (!more)
            return kb_error_set(err, KB_ERR_MEMORY, "no memory");
        file->entries = more;
        file->room = room;
    }
    file->entries[file->n++] = (struct entry){
        .kind = parser->kind,
        .section = parser->section,
        .parent = parent,
        .name = name,
        .value = value,
    };
    return KB_OK;
}

/* Takes "word " from the front of a section's name. */
static char *behind_word(char *text, const char *word)
{
    size_t size = strlen(word);

    return strncmp(text, word, size) == 0 && is_blank(text[size]) ? trim(text + size) : NULL;
}

static enum kb_status parse_section(struct parser *parser, char *line, struct kb_error *err)
{
    char *end = strchr(line, ']');
    char *name, *rest;
    size_t size;

    if (!end)
        return refuse(parser, "']' is missing", err);
    *end = 0;
    rest = trim(end + 1);
    if (*rest && *rest != '#' && *rest != ';')
        return refuse(parser, "something follows behind the section's ']'", err);
    name = trim(line + 1);
    parser->kind = SECTION_OTHER;
    if (parser->credentials) {
        parser->kind = SECTION_PROFILE;
    } else if (strcmp(name, "default") == 0) {
        parser->kind = SECTION_PROFILE;
    } else if ((rest = behind_word(name, "profile")) != NULL) {
        parser->kind = SECTION_PROFILE;
        name = rest;
    } else if ((rest = behind_word(name, "services")) != NULL) {
        parser->kind = SECTION_SERVICES;
        name = rest;
    }
    size = strlen(name);
    if (size > 1 && (*name == '"' || *name == '\'') && name[size - 1] == *name) {
        name[size - 1] = 0;
        name++;
    }
    if (!*name)
        return refuse(parser, "the section has no name", err);
    parser->section = name;
    parser->last = NULL;
    parser->last_is_empty = false;
    return add(parser, NULL, NULL, NULL, err);
}

static enum kb_status parse_setting(struct parser *parser, char *line, bool nested,
                                    struct kb_error *err)
{
    char *mark = strpbrk(line, "=:");
    char *name, *value;

    if (!mark)
        return refuse(parser, "neither a section nor 'name = value'", err);
    *mark = 0;
    name = trim(line);
    value = trim(mark + 1);
    if (!*name)
        return refuse(parser, "a setting has no name", err);
    if (nested)
        return add(parser, parser->last, name, value, err);
    parser->last = name;
    parser->last_is_empty = !*value;
    return add(parser, NULL, name, value, err);
}

static enum kb_status parse_line(struct parser *parser, char *line, struct kb_error *err)
{
    bool indented = is_blank(*line);
    char *text = trim(line);

    parser->line++;
    if (!*text || *text == '#' || *text == ';')
        return KB_OK;
    if (indented && parser->last) {
        /* Nested, or more of a value; neither matters but below a service. */
        if (!parser->last_is_empty || !strpbrk(text, "=:"))
            return KB_OK;
        return parse_setting(parser, text, true, err);
    }
    if (*text == '[')
        return parse_section(parser, text, err);
    if (parser->kind == SECTION_NONE)
        return refuse(parser, "a setting before the first [section]", err);
    return parse_setting(parser, text, false, err);
}

/* Takes over `file->text`, which ends with a zero byte, and cuts it to strings. */
static enum kb_status parse_text(struct file *file, const char *path, bool credentials,
                                 struct kb_error *err)
{
    struct parser parser = {.file = file, .path = path, .credentials = credentials};
    char *at = (char *)kb_secret_data(file->text);
    size_t size = kb_secret_view(file->text).size - 1;
    char *end = at + size;
    enum kb_status status = KB_OK;

    if (size >= 3 && memcmp(at, "\xef\xbb\xbf", 3) == 0)
        at += 3;
    while (status == KB_OK && at < end) {
        char *feed = memchr(at, '\n', (size_t)(end - at));
        char *next = feed ? feed : end;

        *next = 0;
        if (strlen(at) != (size_t)(next - at)) {
            parser.line++;
            return refuse(&parser, "a zero byte", err);
        }
        status = parse_line(&parser, at, err);
        at = next + 1;
    }
    return status;
}

static enum kb_status keep_text(struct file *file, struct kb_bytes text, struct kb_error *err)
{
    enum kb_status status = kb_secret_new(&file->text, text.size + 1, err);

    if (status == KB_OK && text.size)
        memcpy(kb_secret_data(file->text), text.data, text.size);
    return status;
}

static enum kb_status load_file(struct file *file, const char *path, bool credentials,
                                struct kb_error *err)
{
    struct kb_buffer text = KB_BUFFER_INIT(FILE_MAX);
    struct kb_error own = {0};
    enum kb_status status;

    text.wipe = true;
    status = kb_file_read(&text, path, &own);
    if (status == KB_ERR_NOT_FOUND) {
        kb_buffer_free(&text);
        return KB_OK;
    }
    if (status == KB_ERR_INPUT)
        status = kb_error_set(err, KB_ERR_CONFIG, "%s is larger than 1 MiB", path);
    else if (status != KB_OK)
        kb_error_set(err, status, "%s", own.text);
    if (status == KB_OK)
        status = keep_text(file, kb_buffer_view(&text), err);
    kb_buffer_free(&text);
    return status == KB_OK ? parse_text(file, path, credentials, err) : status;
}

/* The file's name from a variable, or below ~; *out is NULL without a home. */
static enum kb_status file_name(char **out, const char *variable, const char *below_home,
                                struct kb_error *err)
{
    const char *named = getenv(variable), *home = getenv("HOME");
    struct kb_buffer path = KB_BUFFER_INIT(8192);
    enum kb_status status;

    *out = NULL;
    if (named && *named) {
        if (strncmp(named, "~/", 2) == 0 && home) {
            kb_buffer_put_text(&path, home);
            named++;
        }
        kb_buffer_put_text(&path, named);
    } else {
        if (!home || !*home)
            return KB_OK;
        kb_buffer_put_text(&path, home);
        kb_buffer_put_text(&path, below_home);
    }
    kb_buffer_put_u8(&path, 0);
    status = kb_buffer_check(&path, err);
    if (status == KB_OK)
        *out = (char *)path.data;
    else
        kb_buffer_free(&path);
    return status;
}

enum kb_status kb_profiles_load(struct kb_profiles **out, struct kb_error *err)
{
    static const struct {
        const char *variable, *below_home;
    } names[FILES] = {
        [CREDENTIALS] = {"AWS_SHARED_CREDENTIALS_FILE", "/.aws/credentials"},
        [CONFIG] = {"AWS_CONFIG_FILE", "/.aws/config"},
    };
    struct kb_profiles *profiles = calloc(1, sizeof *profiles);
    enum kb_status status = KB_OK;

    *out = NULL;
    if (!profiles)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    for (size_t i = 0; status == KB_OK && i < FILES; i++) {
        char *path;

        status = file_name(&path, names[i].variable, names[i].below_home, err);
        if (status == KB_OK && path)
            status = load_file(&profiles->files[i], path, i == CREDENTIALS, err);
        free(path);
    }
    if (status != KB_OK) {
        kb_profiles_free(profiles);
        return status;
    }
    *out = profiles;
    return KB_OK;
}

enum kb_status kb_profiles_parse(struct kb_profiles **out, struct kb_bytes text, bool credentials,
                                 struct kb_error *err)
{
    struct kb_profiles *profiles = calloc(1, sizeof *profiles);
    struct file *file;
    enum kb_status status;

    *out = NULL;
    if (!profiles)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    file = &profiles->files[credentials ? CREDENTIALS : CONFIG];
    status = keep_text(file, text, err);
    if (status == KB_OK)
        status = parse_text(file, "the file", credentials, err);
    if (status != KB_OK) {
        kb_profiles_free(profiles);
        return status;
    }
    *out = profiles;
    return KB_OK;
}

void kb_profiles_free(struct kb_profiles *profiles)
{
    if (!profiles)
        return;
    for (size_t i = 0; i < FILES; i++) {
        kb_secret_free(profiles->files[i].text);
        free(profiles->files[i].entries);
    }
    free(profiles);
}

/* The last value wins, as with AWS's tools; NULL for one that is empty. */
static const char *find(const struct file *file, const struct entry *want)
{
    for (size_t i = file->n; i-- > 0;) {
        const struct entry *entry = &file->entries[i];

        if (entry->kind == want->kind && entry->name &&
            strcmp(entry->section, want->section) == 0 &&
            strcasecmp(entry->name, want->name) == 0 &&
            !entry->parent == !want->parent &&
            (!entry->parent || strcasecmp(entry->parent, want->parent) == 0))
            return *entry->value ? entry->value : NULL;
    }
    return NULL;
}

bool kb_profiles_has(const struct kb_profiles *profiles, const char *profile)
{
    for (size_t i = 0; i < FILES; i++)
        for (size_t j = 0; j < profiles->files[i].n; j++) {
            const struct entry *entry = &profiles->files[i].entries[j];

            if (entry->kind == SECTION_PROFILE && strcmp(entry->section, profile) == 0)
                return true;
        }
    return false;
}

const char *kb_profiles_get(const struct kb_profiles *profiles, const char *profile,
                            const char *name)
{
    static const char *const keys[] = {"aws_access_key_id", "aws_secret_access_key",
                                       "aws_session_token"};
    struct entry want = {.kind = SECTION_PROFILE, .section = profile, .name = keys[0]};
    const char *value;
    bool own_keys = find(&profiles->files[CREDENTIALS], &want) != NULL;

    want.name = name;
    value = find(&profiles->files[CREDENTIALS], &want);
    if (value)
        return value;
    /* The parts of one set of keys come from one file. */
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (own_keys && strcasecmp(name, keys[i]) == 0)
            return NULL;
    return find(&profiles->files[CONFIG], &want);
}

const char *kb_profiles_endpoint(const struct kb_profiles *profiles, const char *profile,
                                 const char *service)
{
    struct entry want = {.kind = SECTION_SERVICES, .parent = service, .name = "endpoint_url"};
    const char *value = NULL;

    want.section = kb_profiles_get(profiles, profile, "services");
    if (want.section)
        value = find(&profiles->files[CONFIG], &want);
    return value ? value : kb_profiles_get(profiles, profile, "endpoint_url");
}
