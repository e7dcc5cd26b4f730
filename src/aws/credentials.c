/* SPDX-License-Identifier: Apache-2.0 */
#include "aws/credentials_source.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    EARLY = 5 * 60, /* seconds before they expire, credentials are fetched anew */
    PAUSE = 30,     /* seconds to the next try of a refresh that gave nothing newer */
};

struct source;

struct kb_credentials {
    const struct kb_aws_settings *settings;
    pthread_mutex_t mutex;
    pthread_cond_t done;
    /* Under the mutex. */
    struct kb_key_set keys;
    const struct source *source; /* stays once it gave keys */
    char name[160];              /* set with it */
    bool fetching;               /* a thread is at it */
    unsigned fetches;            /* that have ended */
    struct kb_error failed;      /* of the last one, or unset */
    int64_t pause_until;
};

/* --- the sources ------------------------------------------------------------------ */

struct source {
    const char *name;
    /* set->text stays NULL when this source has none. */
    enum kb_status (*fetch)(struct kb_key_set *set, const struct kb_aws_settings *settings,
                            struct kb_error *err);
};

static enum kb_status from_environment(struct kb_key_set *set,
                                       const struct kb_aws_settings *settings,
                                       struct kb_error *err)
{
    const char *id = kb_aws_variable("AWS_ACCESS_KEY_ID");
    const char *key = kb_aws_variable("AWS_SECRET_ACCESS_KEY");
    const struct kb_sigv4_keys keys = {kb_bytes_text(id), kb_bytes_text(key),
                                       kb_bytes_text(kb_aws_variable("AWS_SESSION_TOKEN"))};

    if (!id || settings->profile_first)
        return KB_OK;
    if (!key)
        return kb_error_set(err, KB_ERR_DENIED,
                            "AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not");
    return kb_key_set_fill(set, &keys, "the environment", err);
}

/* A profile with one of these wants a service to be asked for keys. */
static enum kb_status refuse_indirect(const struct kb_profiles *profiles, const char *profile,
                                      struct kb_error *err)
{
    static const char *const names[] = {"role_arn",       "sso_session",
                                        "sso_account_id", "sso_start_url",
                                        "login_session",  "web_identity_token_file"};

    /* A process comes last with AWS's tools too, which it may well be one of. */
    if (kb_profiles_get(profiles, profile, "credential_process"))
        return KB_OK;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!kb_profiles_get(profiles, profile, names[i]))
            continue;
        kb_error_set(err, KB_ERR_DENIED,
                     "the profile '%s' gets its credentials by %s, which is left to the AWS "
                     "command line",
                     profile, names[i]);
        kb_error_hint(err,
                      "add to the profile: credential_process = aws configure "
                      "export-credentials --profile '%s' --format process",
                      profile);
        return KB_ERR_DENIED;
    }
    return KB_OK;
}

static enum kb_status keys_of_profile(struct kb_key_set *set, const struct kb_profiles *profiles,
                                      const char *profile, struct kb_error *err)
{
    const char *id = kb_profiles_get(profiles, profile, "aws_access_key_id");
    const char *key = kb_profiles_get(profiles, profile, "aws_secret_access_key");
    const char *token = kb_profiles_get(profiles, profile, "aws_session_token");
    const struct kb_sigv4_keys keys = {kb_bytes_text(id), kb_bytes_text(key),
                                       kb_bytes_text(token)};
    enum kb_status status = refuse_indirect(profiles, profile, err);

    if (status != KB_OK || !id)
        return status;
    if (!key)
        return kb_error_set(err, KB_ERR_DENIED,
                            "the profile '%s' has aws_access_key_id, but not "
                            "aws_secret_access_key",
                            profile);
    return kb_key_set_fill(set, &keys, "the profile", err);
}

static enum kb_status from_profile(struct kb_key_set *set, const struct kb_aws_settings *settings,
                                   struct kb_error *err)
{
    struct kb_profiles *profiles;
    enum kb_status status;

    /* Read anew: another program may have renewed the keys. */
    status = kb_profiles_load(&profiles, err);
    if (status != KB_OK)
        return status;
    status = keys_of_profile(set, profiles, settings->profile, err);
    kb_profiles_free(profiles);
    return status;
}

static enum kb_status from_process(struct kb_key_set *set, const struct kb_aws_settings *settings,
                                   struct kb_error *err)
{
    const char *command =
        kb_profiles_get(settings->profiles, settings->profile, "credential_process");

    return command ? kb_credentials_from_process(set, command, KB_PROCESS_MS, err) : KB_OK;
}

/* Without this a pod would get the keys of its node. */
static enum kb_status from_web_identity(struct kb_key_set *set,
                                        const struct kb_aws_settings *settings,
                                        struct kb_error *err)
{
    (void)set;
    if (!kb_aws_variable("AWS_WEB_IDENTITY_TOKEN_FILE") || settings->profile_first)
        return KB_OK;
    kb_error_set(err, KB_ERR_DENIED,
                 "AWS_WEB_IDENTITY_TOKEN_FILE is set, but exchanging the token is left to the AWS "
                 "command line");
    kb_error_hint(err, "make a profile with the line: credential_process = aws configure "
                       "export-credentials --format process, and name it with --profile");
    return KB_ERR_DENIED;
}

static enum kb_status from_container(struct kb_key_set *set,
                                     const struct kb_aws_settings *settings, struct kb_error *err)
{
    (void)settings;
    return kb_credentials_from_container(set, err);
}

static enum kb_status from_instance(struct kb_key_set *set, const struct kb_aws_settings *settings,
                                    struct kb_error *err)
{
    (void)settings;
    return kb_credentials_from_instance(set, err);
}

static const struct source sources[] = {
    {"environment", from_environment}, {"web identity", from_web_identity},
    {"profile", from_profile},         {"process", from_process},
    {"container", from_container},     {"instance", from_instance},
};

/* The first source that has any, or the one that gave keys before. */
static enum kb_status fetch(struct kb_key_set *set, const struct source **source,
                            const struct kb_aws_settings *settings, struct kb_error *err)
{
    const struct source *only = *source;

    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++) {
        enum kb_status status;

        if (only && only != &sources[i])
            continue;
        status = sources[i].fetch(set, settings, err);
        if (status != KB_OK || set->text) {
            *source = &sources[i];
            return status;
        }
    }
    kb_error_set(err, KB_ERR_DENIED, "no AWS credentials were found");
    kb_error_hint(err, "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or write them to the "
                       "profile '%s' of ~/.aws/credentials (aws configure does)",
                  settings->profile);
    return KB_ERR_DENIED;
}

/* --- the one that is used --------------------------------------------------------- */

enum kb_status kb_credentials_new(struct kb_credentials **out,
                                  const struct kb_aws_settings *settings, struct kb_error *err)
{
    struct kb_credentials *credentials = calloc(1, sizeof *credentials);

    *out = NULL;
    if (!credentials)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    credentials->settings = settings;
    pthread_mutex_init(&credentials->mutex, NULL);
    pthread_cond_init(&credentials->done, NULL);
    *out = credentials;
    return KB_OK;
}

void kb_credentials_free(struct kb_credentials *credentials)
{
    if (!credentials)
        return;
    kb_key_set_free(&credentials->keys);
    pthread_cond_destroy(&credentials->done);
    pthread_mutex_destroy(&credentials->mutex);
    free(credentials);
}

static bool is_refused(const struct kb_key_set *keys, const char *refused)
{
    struct kb_bytes id = {kb_secret_view(keys->text).data, keys->id_size};

    return refused && kb_bytes_equal(id, kb_bytes_text(refused));
}

/* There are keys, and they are good for at least `margin` seconds. */
static bool are_good(const struct kb_credentials *credentials, int64_t now, int64_t margin,
                     const char *refused)
{
    const struct kb_key_set *keys = &credentials->keys;

    return keys->text && !is_refused(keys, refused) &&
           (keys->expires == 0 || now < keys->expires - margin);
}

static enum kb_status copy_out(const struct kb_credentials *credentials, struct kb_sigv4_keys *out,
                               struct kb_secret **hold, struct kb_error *err)
{
    enum kb_status status = kb_secret_copy(hold, kb_secret_view(credentials->keys.text), err);

    if (status == KB_OK)
        *out = kb_key_set_view(&credentials->keys, kb_secret_view(*hold));
    return status;
}

/* Keys that were fetched may be of no use even so. */
static enum kb_status check_fetched(const struct kb_key_set *keys, const char *name, int64_t now,
                                    const char *refused, struct kb_error *err)
{
    if (keys->expires && keys->expires <= now)
        kb_error_set(err, KB_ERR_DENIED, "the AWS credentials (%s) have expired", name);
    else if (is_refused(keys, refused))
        kb_error_set(err, KB_ERR_DENIED,
                     "the service says that the AWS credentials (%s) have expired", name);
    else
        return KB_OK;
    kb_error_hint(err, "renew them where they come from, and look at this machine's clock");
    return KB_ERR_DENIED;
}

static void format_name(char *out, size_t room, const struct source *source,
                        const struct kb_aws_settings *settings)
{
    if (source->fetch == from_profile)
        snprintf(out, room, "%s %s", source->name, settings->profile);
    else
        snprintf(out, room, "%s", source->name);
}

/* Called with the mutex held and no other thread fetching; lets go of it for
 * the time of the fetch. */
static void refresh(struct kb_credentials *credentials, int64_t now, const char *refused)
{
    struct kb_key_set fresh = {.text = NULL};
    const struct source *source = credentials->source;
    struct kb_error failed = {0};
    char name[sizeof credentials->name];
    enum kb_status status;

    credentials->fetching = true;
    pthread_mutex_unlock(&credentials->mutex);
    status = fetch(&fresh, &source, credentials->settings, &failed);
    if (status == KB_OK) {
        format_name(name, sizeof name, source, credentials->settings);
        status = check_fetched(&fresh, name, now, refused, &failed);
    }
    pthread_mutex_lock(&credentials->mutex);
    credentials->fetching = false;
    credentials->fetches++;
    if (status == KB_OK) {
        kb_key_set_free(&credentials->keys);
        credentials->keys = fresh;
        if (!credentials->source)
            memcpy(credentials->name, name, sizeof name);
        credentials->source = source;
    } else {
        kb_key_set_free(&fresh);
    }
    /* Nothing newer is to be had for now. */
    if (!are_good(credentials, now, EARLY, refused))
        credentials->pause_until = now + PAUSE;
    credentials->failed = failed;
    pthread_cond_broadcast(&credentials->done);
}

enum kb_status kb_credentials_get(struct kb_credentials *credentials, int64_t now,
                                  const char *refused, struct kb_sigv4_keys *out,
                                  struct kb_secret **hold, struct kb_error *err)
{
    enum kb_status status;
    bool failed = false;
    unsigned before;

    *hold = NULL;
    pthread_mutex_lock(&credentials->mutex);
    before = credentials->fetches;
    while (!are_good(credentials, now, EARLY, refused)) {
        bool usable = are_good(credentials, now, 0, refused);

        /* Old ones that are still good are better than waiting or failing. */
        if (usable && (credentials->fetching || credentials->fetches != before ||
                       now < credentials->pause_until))
            break;
        if (!usable && credentials->fetches != before && credentials->failed.status != KB_OK) {
            failed = true;
            break;
        }
        if (!credentials->fetching) {
            before = credentials->fetches;
            refresh(credentials, now, refused);
        } else {
            pthread_cond_wait(&credentials->done, &credentials->mutex);
        }
    }
    if (failed) {
        status = credentials->failed.status;
        if (err && err->status == KB_OK)
            *err = credentials->failed;
    } else {
        status = copy_out(credentials, out, hold, err);
    }
    pthread_mutex_unlock(&credentials->mutex);
    return status;
}

const char *kb_credentials_source(const struct kb_credentials *credentials)
{
    /* The mutex is not what the caller means by const. */
    struct kb_credentials *own = (struct kb_credentials *)(uintptr_t)credentials;
    bool any;

    pthread_mutex_lock(&own->mutex);
    any = own->source != NULL;
    pthread_mutex_unlock(&own->mutex);
    return any ? own->name : "";
}
