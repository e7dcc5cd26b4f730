/* SPDX-License-Identifier: Apache-2.0
 *
 * The inside of keybridge-token: one process, one session, one thread.
 */
#ifndef KB_KEYSTORE_HELPER_H
#define KB_KEYSTORE_HELPER_H

#include <p11-kit/p11-kit.h>
#include <p11-kit/pkcs11.h>
#include <p11-kit/uri.h>

#include "keystore/ckr.h"
#include "keystore/mechanism.h"
#include "keystore/protocol.h"
#include "keystore/template.h"

enum { KEY_ID_SIZE = 15, KEY_CACHE_SIZE = 8, KEPT_MAX = 65535 };

/* A slot with a token in it. */
struct token_place {
    CK_FUNCTION_LIST *f;
    CK_SLOT_ID slot;
    CK_INFO module_info;
    CK_SLOT_INFO slot_info;
    CK_TOKEN_INFO token_info;
};

/* A key of the token that was looked up. */
struct found_key {
    char *name; /* as asked for; owned */
    CK_OBJECT_HANDLE object;
    CK_OBJECT_HANDLE working; /* its copy in the session, which is much faster; or itself */
    int64_t checked;          /* kb_clock_ms when it was last seen on the token */
    struct kb_key_info info;
};

/* Data keys that stay inside. A key's number is its index + 1. */
struct kept_keys {
    CK_OBJECT_HANDLE *objects; /* CK_INVALID_HANDLE: free */
    uint32_t size;
    uint32_t used;
    uint32_t hint; /* where to look for a free one */
};

struct helper {
    CK_FUNCTION_LIST **modules; /* those that are initialised; NULL-terminated */
    bool own_arguments;         /* initialised with the caller's parameters, not p11-kit's */
    P11KitUri *uri;

    struct token_place place;
    CK_FUNCTION_LIST *f; /* the token's; NULL until there is a session */
    CK_SESSION_HANDLE session;
    bool lost; /* the session is gone */
    const struct kb_vendor *vendor;

    struct found_key keys[KEY_CACHE_SIZE];
    size_t keys_next;
    struct kept_keys kept;
    bool unwrap_with_length; /* learned, or the vendor's */
    bool make_by_generating; /* learned: the token refuses C_CreateObject of data keys */
    bool copy_refused;       /* learned: kept data keys have to be unwrapped again */
};

/* Records the error and whether the session is lost. */
enum kb_status helper_error(struct helper *helper, struct kb_error *err, CK_RV rv,
                            const char *format, ...) KB_PRINTF(4, 5);

/* --- module.c: modules, tokens, the session -------------------------------------- */

KB_MUST_CHECK enum kb_status module_open(struct helper *helper, const struct kb_request *request,
                                         struct kb_error *err);
KB_MUST_CHECK enum kb_status module_list_tokens(struct helper *helper, struct kb_buffer *answer,
                                                struct kb_error *err);
KB_MUST_CHECK enum kb_status module_init_token(struct helper *helper,
                                               const struct kb_request *request,
                                               struct kb_error *err);
/* Closes the session and finalizes the module; call before main returns. */
void module_close(struct helper *helper);

/* --- session.c: the one token, and a session with it ------------------------------- */

/* Calls `each` for every slot that has a token, initialised or not, and that
 * the URI matches; stops at the first error. */
KB_MUST_CHECK enum kb_status places_visit(struct helper *helper,
                                          enum kb_status (*each)(void *ctx,
                                                                 const struct token_place *place,
                                                                 struct kb_error *err),
                                          void *ctx, struct kb_error *err);
KB_MUST_CHECK enum kb_status session_open(struct helper *helper, const struct kb_request *request,
                                          struct kb_token_info *info, struct kb_error *err);
void token_info_fill(struct kb_token_info *info, const struct token_place *place);

/* --- uri.c ---------------------------------------------------------------------- */

KB_MUST_CHECK enum kb_status uri_parse(P11KitUri **out, const char *text, struct kb_error *err);
bool uri_names_object(P11KitUri *uri);
bool uri_matches(P11KitUri *uri, const struct token_place *place);

/* --- key.c: keys of the token --------------------------------------------------- */

/* The one key of that name; borrowed until the next call. */
KB_MUST_CHECK enum kb_status key_find(struct helper *helper, const char *name,
                                      const struct found_key **out, struct kb_error *err);
/* As key_find, for a key of this use. */
KB_MUST_CHECK enum kb_status key_find_for(struct helper *helper, const char *name,
                                          enum kb_key_use use, const struct found_key **out,
                                          struct kb_error *err);
KB_MUST_CHECK enum kb_status key_list(struct helper *helper, struct kb_buffer *answer,
                                      struct kb_error *err);
/* Drops what was looked up: the keys have changed. */
void key_cache_clear(struct helper *helper);
bool key_name_valid(const char *name);
/* How many secret keys of the token have that label: 0, 1 or 2 for more. */
KB_MUST_CHECK enum kb_status key_count(struct helper *helper, const char *name, CK_ULONG *count,
                                       struct kb_error *err);

/* --- info.c: what the token tells of a key --------------------------------------- */

KB_MUST_CHECK enum kb_status key_info_read(struct helper *helper, CK_OBJECT_HANDLE object,
                                           struct kb_key_info *info, struct kb_error *err);
enum kb_answer key_flag_read(struct helper *helper, CK_OBJECT_HANDLE object,
                             CK_ATTRIBUTE_TYPE type);
/* As many bytes as there is room for, in hexadecimal. */
void key_id_format(char *out, size_t room, const uint8_t *data, size_t size);
/* Our own record, as CKA_ID. */
void key_id_make(uint8_t id[KEY_ID_SIZE], const struct kb_key_spec *spec,
                 enum kb_key_origin origin, const uint8_t random[8]);

/* --- create.c ------------------------------------------------------------------ */

KB_MUST_CHECK enum kb_status key_create(struct helper *helper, const struct kb_key_spec *spec,
                                        struct kb_error *err);
KB_MUST_CHECK enum kb_status key_import(struct helper *helper, const struct kb_key_spec *spec,
                                        struct kb_bytes value, struct kb_error *err);
KB_MUST_CHECK enum kb_status key_destroy(struct helper *helper, const char *name,
                                         struct kb_error *err);

/* --- datakey.c, kept.c ----------------------------------------------------------- */

KB_MUST_CHECK enum kb_status data_keys_make(struct helper *helper,
                                            const struct kb_request *request,
                                            struct kb_buffer *answer, struct kb_error *err);
KB_MUST_CHECK enum kb_status data_keys_unwrap(struct helper *helper,
                                              const struct kb_request *request,
                                              struct kb_buffer *answer, struct kb_error *err);
void data_keys_forget(struct helper *helper, const struct kb_request *request,
                      struct kb_buffer *answer);
KB_MUST_CHECK enum kb_status kept_add(struct helper *helper, CK_OBJECT_HANDLE object,
                                      uint32_t *number, struct kb_error *err);
void kept_forget(struct helper *helper, uint32_t number);
/* CK_INVALID_HANDLE when there is no such key. */
CK_OBJECT_HANDLE kept_find(const struct helper *helper, uint32_t number);

/* --- crypt.c ------------------------------------------------------------------- */

KB_MUST_CHECK enum kb_status mac_make(struct helper *helper, const struct kb_request *request,
                                      struct kb_buffer *answer, struct kb_error *err);
KB_MUST_CHECK enum kb_status cipher_run(struct helper *helper, const struct kb_request *request,
                                        struct kb_buffer *answer, struct kb_error *err);

/* --- probe.c, extract.c ----------------------------------------------------------- */

enum { TRIALS_MAX = 32 };

struct trials {
    struct kb_token_trial rows[TRIALS_MAX];
    uint32_t count;
};

void trial_add(struct trials *trials, bool good, CK_RV rv, const char *what, const char *format,
               ...) KB_PRINTF(5, 6);
void trials_put(const struct trials *trials, struct kb_buffer *answer);

KB_MUST_CHECK enum kb_status probe_run(struct helper *helper, struct kb_buffer *answer,
                                       struct kb_error *err);
KB_MUST_CHECK enum kb_status extract_try(struct helper *helper, const char *name,
                                         struct kb_buffer *answer, struct kb_error *err);

#endif
