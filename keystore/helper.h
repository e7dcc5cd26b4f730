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

/* A key of the token that was looked up. A pair is one key. */
struct found_key {
    char *name; /* as asked for; owned */
    CK_OBJECT_HANDLE object;        /* secret or private; the public one when it is alone */
    CK_OBJECT_HANDLE public_object; /* beside a private one; CK_INVALID_HANDLE: none */
    CK_OBJECT_HANDLE working; /* its copy in the session, which is much faster; or itself */
    int64_t checked;          /* kb_clock_ms when it was last seen on the token */
    struct kb_key_info info;
    /* For RSA and EC, made when needed. */
    struct kb_public_key *public_key;
    CK_OBJECT_HANDLE wrapping; /* the public key in the session, to wrap what stays inside */
    unsigned refused;          /* learned: bits of kb_wrap_algorithm the token has no OAEP for */
    bool raw_refused;          /* learned: no raw RSA with this key */
    unsigned digest_outside;   /* learned: bits of kb_hash that are to be done outside */
};

/* Data keys that stay inside. A key's number is its index + 1. */
struct kept_keys {
    CK_OBJECT_HANDLE *objects; /* CK_INVALID_HANDLE: free */
    uint32_t size;
    uint32_t used;
    uint32_t hint; /* where to look for a free one */
};

/* Who makes the IVs of AES-GCM. */
enum iv_origin {
    IV_UNKNOWN,
    IV_CALLER,      /* we do, and the token takes them */
    IV_OVERWRITTEN, /* the token does, and writes them over the zeros it is given */
    IV_APPENDED,    /* the token does, given none, and puts them behind the tag */
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
    enum iv_origin iv_origin;
    const char *iv_fault;      /* why nothing is encrypted by AES-GCM; NULL: nothing known */
    CK_OBJECT_HANDLE iv_key;   /* a throw-away one to try that with; or CK_INVALID_HANDLE */
    struct kb_gcm *iv_outside; /* the same key outside; NULL when its value is not known */
    uint8_t last_iv[KB_GCM_IV_SIZE];
    bool has_secret;
    uint8_t secret[32]; /* of this process: keys for what PKCS#1 v1.5 does not decrypt */
};

/* --- error.c ------------------------------------------------------------------------ */

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
                                      struct found_key **out, struct kb_error *err);
/* As key_find, for a key of this use. */
KB_MUST_CHECK enum kb_status key_find_for(struct helper *helper, const char *name,
                                          enum kb_key_use use, struct found_key **out,
                                          struct kb_error *err);
KB_MUST_CHECK enum kb_status key_list(struct helper *helper, struct kb_buffer *answer,
                                      struct kb_error *err);
/* Drops what was looked up: the keys have changed. */
void key_cache_clear(struct helper *helper);
bool key_name_valid(const char *name);
/* How many keys of the token have that label: 0, 1 or more; *object is one of
 * them. `object` may be NULL. */
KB_MUST_CHECK enum kb_status key_count(struct helper *helper, const char *name,
                                       CK_OBJECT_HANDLE *object, CK_ULONG *count,
                                       struct kb_error *err);

/* --- info.c: what the token tells of a key --------------------------------------- */

/* `public_object` is that beside a private key, or CK_INVALID_HANDLE. */
KB_MUST_CHECK enum kb_status key_info_read(struct helper *helper, CK_OBJECT_HANDLE object,
                                           CK_OBJECT_HANDLE public_object,
                                           struct kb_key_info *info, struct kb_error *err);
/* The value of an attribute, at most *size bytes of it. */
CK_RV attribute_read(struct helper *helper, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type,
                     void *out, CK_ULONG *size);
/* A private and a public object of one pair: same label, id and kind. */
bool key_is_pair(struct helper *helper, CK_OBJECT_HANDLE private_object,
                 CK_OBJECT_HANDLE public_object);
enum kb_answer key_flag_read(struct helper *helper, CK_OBJECT_HANDLE object,
                             CK_ATTRIBUTE_TYPE type);
/* As many bytes as there is room for, in hexadecimal. */
void key_id_format(char *out, size_t room, const uint8_t *data, size_t size);
/* Our own record, as CKA_ID. */
void key_id_make(uint8_t id[KEY_ID_SIZE], const struct kb_key_spec *spec,
                 enum kb_key_origin origin, const uint8_t random[8]);

/* --- create.c, pair.c, policy.c ------------------------------------------------------------- */

/* Attributes that only add protection: a token that refuses one gets the key
 * without it, and the key is shown as not protected in that way. */
enum {
    POLICY_MECHANISMS = 1,
    POLICY_UNWRAP = 2,
    POLICY_PIN = 4, /* a public key alone is private, lest somebody without the PIN exchange it */
};

struct new_key {
    const struct kb_key_spec *spec;
    uint8_t id[KEY_ID_SIZE];
    CK_KEY_TYPE type;
    CK_ULONG size;
    const uint8_t *value;             /* secret keys; NULL: to be generated */
    const struct kb_key_parts *parts; /* pairs; NULL: to be generated */
    CK_MECHANISM_TYPE allowed[KEY_MECHANISMS_MAX];
    size_t allowed_count;
};

/* What the policy asks for, behind what is there. */
void policy_put(struct template *out, const struct new_key *key, unsigned policy);
/* Both objects of a pair or none of them; *call says what failed. */
CK_RV pair_make(struct helper *helper, const struct new_key *key, unsigned policy,
                const char **call);
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
/* Wraps values that are known outside. */
KB_MUST_CHECK enum kb_status data_keys_wrap(struct helper *helper,
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

/* --- public.c: the public half of a key ------------------------------------------- */

enum { MODULUS_ROOM = 1024 };

struct public_numbers {
    struct kb_key_parts parts; /* its public ones, views into what is below */
    uint8_t modulus[MODULUS_ROOM];
    uint8_t exponent[MODULUS_ROOM];
    uint8_t curve[64];
    uint8_t point[256];
};

KB_MUST_CHECK enum kb_status public_numbers_read(struct helper *helper,
                                                 const struct found_key *key,
                                                 struct public_numbers *out,
                                                 struct kb_error *err);
/* key->public_key, made now if need be. */
KB_MUST_CHECK enum kb_status public_key_prepare(struct helper *helper, struct found_key *key,
                                                struct kb_error *err);
KB_MUST_CHECK enum kb_status public_export(struct helper *helper, const char *name,
                                           struct kb_buffer *answer, struct kb_error *err);

/* --- sign.c, crypt.c ---------------------------------------------------------------- */

KB_MUST_CHECK enum kb_status sign_run(struct helper *helper, const struct kb_request *request,
                                      struct kb_buffer *answer, struct kb_error *err);
/* One ECDSA signature, as DER. */
KB_MUST_CHECK enum kb_status sign_ecdsa(struct helper *helper, const struct found_key *key,
                                        enum kb_hash hash, struct kb_bytes message,
                                        struct kb_signature *out, struct kb_error *err);
/* For the token's functions: some modules refuse NULL even with nothing to read. */
CK_BYTE *kb_input(struct kb_bytes bytes);
/* After a failure that may be of the token as well as of the bytes. */
bool session_is_well(struct helper *helper);
KB_MUST_CHECK enum kb_status cipher_run(struct helper *helper, const struct kb_request *request,
                                        struct kb_buffer *answer, struct kb_error *err);

/* A text of an answer is made in place, behind the item's head: its status, the
 * `iv_size` bytes of an IV, its size. */
struct answer_text {
    size_t before; /* size of the answer without it */
    size_t iv_size;
    uint8_t *out;
    size_t room;
};

/* False when there is no room: kb_buffer_check tells. */
bool answer_text_begin(struct answer_text *text, struct kb_buffer *answer, size_t iv_size,
                       size_t room);
/* `size` of its bytes are kept; with another status than KB_OK, none. */
void answer_text_end(const struct answer_text *text, struct kb_buffer *answer,
                     enum kb_status status, const uint8_t *iv, size_t size);

/* --- counter_serve.c ------------------------------------------------------------------------ */

KB_MUST_CHECK enum kb_status counter_serve(struct helper *helper,
                                           const struct kb_request *request,
                                           struct kb_buffer *answer, struct kb_error *err);

/* --- gcm_serve.c, random.c ------------------------------------------------------------------ */

KB_MUST_CHECK enum kb_status gcm_serve(struct helper *helper, const struct kb_request *request,
                                       struct kb_buffer *answer, struct kb_error *err);
/* C_GenerateRandom; what it left zero is no success. */
KB_MUST_CHECK enum kb_status random_fill(struct helper *helper, uint8_t *out, size_t size,
                                         struct kb_error *err);
bool bytes_are_zero(const uint8_t *data, size_t size);
KB_MUST_CHECK enum kb_status random_serve(struct helper *helper, const struct kb_request *request,
                                          struct kb_buffer *answer, struct kb_error *err);

/* --- probe.c, probe_gcm.c, extract.c ------------------------------------------------ */

KB_MUST_CHECK enum kb_status probe_run(struct helper *helper, struct kb_buffer *answer,
                                       struct kb_error *err);
KB_MUST_CHECK enum kb_status extract_try(struct helper *helper, const char *name,
                                         struct kb_buffer *answer, struct kb_error *err);

#endif
