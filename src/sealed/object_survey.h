/* SPDX-License-Identifier: Apache-2.0
 *
 * A survey goes through a listing page by page, looks at the objects of a page
 * in several threads, and tells what it finds in one at a time.
 */
#ifndef KB_SEALED_OBJECT_SURVEY_H
#define KB_SEALED_OBJECT_SURVEY_H

#include "sealed/object.h"

#include <pthread.h>

enum { SURVEY_PAGE = 256 };

/* An entry of the listing; texts are owned. */
struct survey_entry {
    char *key;
    char *version; /* "" when versions are not listed */
    char *former;  /* version before it, of the same key; or NULL */
    bool latest;
};

struct survey {
    const struct kb_objects *objects;
    const struct kb_object_survey *asked;
    bool versions; /* that are listed */
    /* Looks at one object; any thread. */
    enum kb_status (*look)(struct survey *survey, const struct survey_entry *entry,
                           struct kb_error *err);
    void *ctx; /* of `look` */
    pthread_mutex_t lock; /* for `each`, and what `look` counts */
    struct survey_entry entries[SURVEY_PAGE + 1];
    size_t count;
};

/* Lists and looks. */
KB_MUST_CHECK enum kb_status survey_run(struct survey *survey, struct kb_error *err);

struct survey_result {
    enum kb_object_grade grade;
    const char *code;
    const char *text;
};
KB_MUST_CHECK enum kb_status survey_tell(struct survey *survey, const struct survey_entry *entry,
                                         const struct survey_result *result, struct kb_error *err);
/* What a failure to look at one object is; false when it ends the survey. */
bool survey_excuse(struct survey_result *out, enum kb_status status, const struct kb_error *error);
/* True, with what to tell, of an object that nobody encrypted. */
bool survey_is_clear(struct survey_result *out, const struct object_found *found);
/* The exact object of an entry. */
struct kb_s3_name survey_name(const struct survey *survey, const struct survey_entry *entry);

#endif
