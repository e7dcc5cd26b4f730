/* SPDX-License-Identifier: Apache-2.0
 *
 * Status codes and the caller-held error record.
 *
 * Every function that can fail returns `enum kb_status` and takes a
 * `struct kb_error *` last. The record may be NULL, is owned by the caller,
 * never allocates, and keeps the first error written to it.
 */
#ifndef KEYBRIDGE_STATUS_H
#define KEYBRIDGE_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

#define KB_MUST_CHECK __attribute__((warn_unused_result))
#define KB_PRINTF(string, first) __attribute__((format(printf, string, first)))

/* Process exit codes of the command, one for each class of error. */
enum kb_exit {
    KB_EXIT_DONE = 0,
    KB_EXIT_SYSTEM = 1,
    KB_EXIT_USAGE = 2,
    KB_EXIT_NOT_FOUND = 3,
    KB_EXIT_DATA = 4,
    KB_EXIT_DENIED = 5,
    KB_EXIT_TOKEN = 6,
    KB_EXIT_REMOTE = 7,
    KB_EXIT_PARTIAL = 8,
};

/* X(enumerator, exit class, sentence) */
#define KB_STATUS_LIST(X)                                                                          \
    X(KB_OK, KB_EXIT_DONE, "done")                                                                 \
    X(KB_ERR_SYSTEM, KB_EXIT_SYSTEM, "the system refused a call")                                  \
    X(KB_ERR_MEMORY, KB_EXIT_SYSTEM, "out of memory")                                              \
    X(KB_ERR_USAGE, KB_EXIT_USAGE, "the call or its arguments are not valid")                      \
    X(KB_ERR_CONFIG, KB_EXIT_USAGE, "the configuration is not valid")                              \
    X(KB_ERR_EXISTS, KB_EXIT_USAGE, "it exists already")                                           \
    X(KB_ERR_NOT_FOUND, KB_EXIT_NOT_FOUND, "not found")                                            \
    X(KB_ERR_AMBIGUOUS, KB_EXIT_NOT_FOUND, "more than one matches")                                \
    X(KB_ERR_INPUT, KB_EXIT_DATA, "the data is malformed")                                         \
    X(KB_ERR_AUTH, KB_EXIT_DATA, "the item was altered, or is not under these keys")               \
    X(KB_ERR_DENIED, KB_EXIT_DENIED, "it is not allowed")                                          \
    X(KB_ERR_PIN, KB_EXIT_DENIED, "the token did not accept the PIN")                              \
    X(KB_ERR_TOKEN, KB_EXIT_TOKEN, "the token is not available")                                   \
    X(KB_ERR_UNSUPPORTED, KB_EXIT_TOKEN, "the token cannot do this")                               \
    X(KB_ERR_REMOTE, KB_EXIT_REMOTE, "the remote service failed")                                  \
    X(KB_ERR_PARTIAL, KB_EXIT_PARTIAL, "some items failed")

enum kb_status {
#define KB_STATUS_ENUM(name, exit_class, sentence) name,
    KB_STATUS_LIST(KB_STATUS_ENUM)
#undef KB_STATUS_ENUM
        KB_STATUS_COUNT
};

/* What `kb_error.detail` is a code of. */
enum kb_detail { KB_DETAIL_NONE, KB_DETAIL_ERRNO, KB_DETAIL_CK_RV, KB_DETAIL_HTTP };

struct kb_error {
    enum kb_status status;
    enum kb_detail detail_kind;
    unsigned long detail; /* errno, CK_RV or HTTP status, by detail_kind */
    char text[320];       /* one sentence, no newline; "" when unset */
    char hint[256];       /* what to try next; "" when there is none */
};

/* Enumerator's name as text, "KB_OK" for KB_OK. Static storage. */
const char *kb_status_name(enum kb_status status);

/* One general sentence for the status. Static storage. */
const char *kb_status_sentence(enum kb_status status);

/* Exit code of the command for the status. */
enum kb_exit kb_status_exit(enum kb_status status);

/* True for errors that concern one item (damaged, forged, malformed); every
 * other error ends a run over many items. */
int kb_status_is_item(enum kb_status status);

/* Makes the record empty, so that it can take a new first error. */
void kb_error_clear(struct kb_error *err);

/* Records `status` with a printf-formatted sentence unless an error is there
 * already; control characters in it are replaced by '?'. Returns `status`. */
enum kb_status kb_error_set(struct kb_error *err, enum kb_status status, const char *format, ...)
    KB_PRINTF(3, 4);

/* As kb_error_set, with ": <text of errno value>" behind the sentence. */
enum kb_status kb_error_errno(struct kb_error *err, enum kb_status status, int number,
                              const char *format, ...) KB_PRINTF(4, 5);

/* Adds a hint to the error that is there; the first hint is kept. */
void kb_error_hint(struct kb_error *err, const char *format, ...) KB_PRINTF(2, 3);

/* Replaces what could steer a terminal by '?', in place: control characters,
 * also C1 in UTF-8 (U+0080 to U+009F) or as bytes that are not UTF-8, and those
 * that change the direction of text (U+202A to U+202E, U+2066 to U+2069). */
void kb_text_tame(char *text);

/* Not 0 when the terminated text begins with a control that turns around what
 * follows it: U+202A to U+202E, U+2066 to U+2069. */
int kb_text_is_bidi(const char *text);

/* The sentence of the record, or the general one of its status. */
const char *kb_error_text(const struct kb_error *err);

#ifdef __cplusplus
}
#endif
#endif
