/* SPDX-License-Identifier: Apache-2.0
 *
 * What an item encryptor asks of a cryptographic materials provider. A new
 * kind is one file with a vtable; see wrapped.c.
 */
#ifndef KB_PROVIDER_PROVIDER_H
#define KB_PROVIDER_PROVIDER_H

#include "attr/attr.h"
#include "base/arena.h"
#include "crypto/asymmetric.h"
#include "crypto/crypto.h"
#include "provider/algorithm.h"

#include <keybridge/provider.h>
#include <stdatomic.h>

/* Names in the material description (facts of the format: the Python and Java
 * clients' own constants). */
#define KB_ENTRY_CONTENT_KEY "amzn-ddb-env-key"
#define KB_ENTRY_CONTENT_ALGORITHM "amzn-ddb-env-alg"
#define KB_ENTRY_WRAP_ALGORITHM "amzn-ddb-wrap-alg"
#define KB_ENTRY_SIGN_ALGORITHM "amzn-ddb-map-signingAlg"
#define KB_ENTRY_MODE "amzn-ddb-map-sym-mode"
#define KB_ENTRY_WRAP_KEY "keybridge-wrap-key"
#define KB_ENTRY_KMS_SIGN_ALGORITHM "amzn-ddb-sig-alg"
#define KB_ENTRY_KMS_CONTEXT "aws-kms-ec-attr"

enum { KB_ENTRIES_MAX = 64 /* extra entries of a provider, and of an item that is read */ };

/* Where an item's content key is. */
enum kb_content {
    KB_CONTENT_NONE,
    KB_CONTENT_PLAIN,  /* released, in the work's locked memory */
    KB_CONTENT_HANDLE, /* a data key inside the token */
    KB_CONTENT_NAMED,  /* a key object of the token, work.content_key */
};

/* Materials of one item. */
struct kb_materials {
    /* Read: the item's parsed description, and whether a content key is needed. */
    const struct kb_pair *description;
    size_t description_count;
    bool wanted;
    /* The item's key attributes; NULL when it has none of that name. */
    const struct kb_attr *partition;
    const struct kb_attr *sort;
    /* Set by the provider. */
    enum kb_status status; /* KB_OK or KB_ERR_AUTH */
    enum kb_content content;
    struct kb_bytes key;          /* KB_CONTENT_PLAIN */
    struct kb_bytes sign_key;     /* of providers that open first: the item's own HMAC key */
    uint32_t handle;              /* KB_CONTENT_HANDLE */
    struct kb_bytes wrapped_text; /* made: value of KB_ENTRY_CONTENT_KEY, or empty */
};

/* What items belong to; texts of the encryptor. */
struct kb_scope {
    struct kb_bytes table; /* the name that is signed */
    struct kb_bytes partition_key;
    struct kb_bytes sort_key; /* empty: none */
};

/* What a provider works with: one thread's token and memory. */
struct kb_work {
    const struct kb_scope *scope;
    struct kb_token *token; /* NULL for a provider without keystore */
    struct kb_crypto *crypto;
    struct kb_arena arena;          /* of the batch */
    struct kb_secret *plain;        /* released data keys of the batch */
    struct kb_secret *sign_keys;    /* KB_TOKEN_BATCH_MAX * KB_ITEM_SIGN_KEY_MAX, of providers that
                                       open first; else NULL */
    struct kb_data_key *data_keys;  /* KB_TOKEN_BATCH_MAX */
    struct kb_signature *signatures; /* KB_TOKEN_BATCH_MAX */
};

enum { KB_ITEM_SIGN_KEY_MAX = 64 };

struct kb_provider_ops {
    /* Content keys for n new items. */
    enum kb_status (*make)(struct kb_provider *provider, struct kb_work *work,
                           struct kb_materials *materials, size_t n, struct kb_error *err);
    /* Content keys of n items that were read and, unless the provider opens
     * first, verified. */
    enum kb_status (*open)(struct kb_provider *provider, struct kb_work *work,
                           struct kb_materials *materials, size_t n, struct kb_error *err);
    void (*free)(struct kb_provider *provider);
};

struct kb_provider {
    const struct kb_provider_ops *ops;
    atomic_uint references;
    struct kb_keystore *keystore;
    bool opens_first; /* an item's signing key comes out of its content key */
    char *sign_key;   /* NULL when it opens first */
    const struct kb_sign_algorithm *sign_algorithm;
    struct kb_public_key *public_key; /* of an RSA or EC signing key */
    char *content_key;         /* of KB_CONTENT_NAMED; NULL for other kinds */
    bool has_content_key;      /* items under it can hold encrypted attributes */
    struct kb_arena memory;    /* of the entries */
    struct kb_pair entries[KB_ENTRIES_MAX]; /* constant entries of what it writes */
    size_t entry_count;
};

/* --- for kinds of providers ------------------------------------------------ */

/* Sets up what all kinds share: references, the caller's entries. `size` is
 * that of the kind's own struct, which begins with a struct kb_provider. On
 * failure *out is NULL. */
KB_MUST_CHECK enum kb_status kb_provider_new(struct kb_provider **out, size_t size,
                                             const struct kb_provider_ops *ops,
                                             const struct kb_pair *description, size_t count,
                                             struct kb_error *err);

/* Sets up the signing key of the options and its algorithm. */
KB_MUST_CHECK enum kb_status kb_provider_set_sign_key(struct kb_provider *provider,
                                                      struct kb_token *token,
                                                      const struct kb_provider_options *options,
                                                      struct kb_error *err);

/* Adds a constant entry; the text is copied. */
KB_MUST_CHECK enum kb_status kb_provider_add_entry(struct kb_provider *provider, const char *name,
                                                   const char *value, struct kb_error *err);

/* Finds a key and holds it against its use. */
KB_MUST_CHECK enum kb_status kb_provider_find_key(struct kb_token *token, const char *name,
                                                  enum kb_key_use use, struct kb_key_info *info,
                                                  struct kb_error *err);

/* Value of the last entry of that name, or NULL. */
const struct kb_bytes *kb_entry_find(const struct kb_pair *entries, size_t count, const char *name);

/* --- for encryptors --------------------------------------------------------- */

/* `scope` is borrowed. */
KB_MUST_CHECK enum kb_status kb_work_new(struct kb_work *work, struct kb_provider *provider,
                                         const struct kb_scope *scope, struct kb_error *err);
void kb_work_free(struct kb_work *work);

/* Forgets the batch's data keys: those in the token and those in memory. */
KB_MUST_CHECK enum kb_status kb_work_forget(struct kb_work *work, struct kb_materials *materials,
                                            size_t n, struct kb_error *err);

/* Wipes the items' own signing keys, which outlive their content keys. */
void kb_work_forget_sign_keys(struct kb_work *work);

/* A message, the key of its item if it has one of its own, and its signature. */
struct kb_signing {
    struct kb_bytes message;
    struct kb_bytes sign_key; /* kb_materials.sign_key */
    struct kb_bytes signature;
    bool good;
};

/* Signs n messages (at most KB_TOKEN_BATCH_MAX); signatures are in the work's
 * arena. */
KB_MUST_CHECK enum kb_status kb_provider_sign(struct kb_provider *provider, struct kb_work *work,
                                              struct kb_signing *signings, size_t n,
                                              struct kb_error *err);

/* Sets `good` of each by its signature. */
KB_MUST_CHECK enum kb_status kb_provider_verify(struct kb_provider *provider, struct kb_work *work,
                                                struct kb_signing *signings, size_t n,
                                                struct kb_error *err);

#endif
