/* SPDX-License-Identifier: Apache-2.0
 *
 * The on-prem side as the bridge sees it: a pool of helper processes
 * (keybridge-token), each with one session on one PKCS#11 token. This process
 * never maps a PKCS#11 module; keys are named, never held.
 */
#ifndef KEYBRIDGE_KEYSTORE_H
#define KEYBRIDGE_KEYSTORE_H

#include <keybridge/bytes.h>
#include <keybridge/secret.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A pool of helpers on one token. Its functions may be called by any thread. */
struct kb_keystore;

/* One helper, leased to one thread at a time. */
struct kb_token;

struct kb_keystore_options {
    const char *uri;               /* token URI (RFC 7512); NULL: the only token there is */
    const char *module;            /* module path, or its name in p11-kit's configuration;
                                      NULL: search p11-kit's modules by uri */
    const char *module_parameters; /* C_Initialize's reserved string (NSS needs one), or NULL */
    const char *softhsm2_conf;     /* SOFTHSM2_CONF for the helper, or NULL to leave it */
    const char *helper;            /* path of keybridge-token; NULL: $KEYBRIDGE_TOKEN_HELPER, else
                                      the installed one */
    const struct kb_secret *pin;   /* user PIN, borrowed until kb_keystore_close; NULL: no login */
    unsigned timeout_ms;           /* longest wait for one answer; 0: 30,000 */
    unsigned recycle_after;        /* session objects after which a helper is replaced, since some
                                      modules leak them; 0: 50,000 */
    const char *counts;            /* SQLite file that remembers how often each envelope key has
                                      encrypted; made when missing. NULL: counted in this
                                      keystore only */
};

/* Limits of one call of the batch functions below. */
enum {
    KB_TOKEN_BATCH_MAX = 128,     /* items */
    KB_TOKEN_DATA_KEY_MAX = 32,   /* bytes of a data key */
    KB_TOKEN_WRAPPED_MAX = 512,   /* bytes of a wrapped data key */
    KB_TOKEN_SIGNATURE_MAX = 512, /* bytes of a MAC or signature */
    KB_TOKEN_NAME_MAX = 64,       /* bytes of a key's short name */
    KB_TOKEN_GCM_MAX = 8192,      /* bytes one AES-GCM job encrypts */
    KB_TOKEN_AAD_MAX = 65535,     /* bytes of additional authenticated data */
    KB_GCM_IV_SIZE = 12,
    KB_GCM_TAG_SIZE = 16,
};

/* Encryptions by AES-GCM with random IVs that one key may do (NIST SP 800-38D
 * section 8.3). */
#define KB_GCM_ENCRYPTIONS_MAX (UINT64_C(1) << 32)

/* kb_key_info.encryptions when the counts cannot be read; a damaged file must
 * not keep anybody from decrypting. */
#define KB_GCM_ENCRYPTIONS_UNKNOWN UINT64_MAX

/* Strings of CK_TOKEN_INFO and CK_INFO, trimmed and terminated. */
struct kb_token_info {
    char label[33];
    char manufacturer[33];
    char model[17];
    char serial[17];
    char uri[256];     /* RFC 7512, enough to name this token */
    char module[256];  /* path or name of the module, and its description */
    bool initialized;
    bool login_required;
    bool pin_count_low; /* an attempt with a wrong PIN was made */
    bool pin_final_try;
    bool pin_locked;
    bool write_protected;
};

/* What a key is for; the token is told to allow nothing else. */
enum kb_key_use {
    KB_KEY_USE_UNKNOWN,
    KB_KEY_WRAP,
    KB_KEY_SIGN,
    KB_KEY_CONTENT,
    KB_KEY_ENVELOPE, /* AES, by AES-GCM: the raw AES keyring's wrapping key */
    KB_KEY_LEGACY,   /* AES, only imported: unwraps what old S3 encryption clients wrapped by
                        AES key wrap or AES-ECB, and makes nothing */
};

enum kb_key_type {
    KB_KEY_TYPE_UNKNOWN,
    KB_KEY_AES_128,
    KB_KEY_AES_192,
    KB_KEY_AES_256,
    KB_KEY_HMAC_SHA224,
    KB_KEY_HMAC_SHA256,
    KB_KEY_HMAC_SHA384,
    KB_KEY_HMAC_SHA512,
    KB_KEY_RSA_2048,
    KB_KEY_RSA_3072,
    KB_KEY_RSA_4096,
    KB_KEY_EC_P256,
    KB_KEY_EC_P384,
    KB_KEY_RSA, /* of whatever size the imported key has; found: of another size than those above */
    KB_KEY_EC,  /* on whatever curve, of those above, the imported key is */
};

/* Where a key came from: our own record, kept in its CKA_ID. */
enum kb_key_origin { KB_KEY_ADOPTED, KB_KEY_GENERATED, KB_KEY_IMPORTED };

enum kb_hash { KB_SHA224, KB_SHA256, KB_SHA384, KB_SHA512 };

/* How a sign key signs: HMAC (RFC 2104), RSASSA-PKCS1-v1_5 (RFC 8017 section
 * 8.2), ECDSA with the signature as DER (FIPS 186-5; RFC 3279 section 2.2.3). */
enum kb_sign_scheme { KB_SIGN_HMAC, KB_SIGN_RSA, KB_SIGN_ECDSA };

/* How a data key is wrapped: AES key wrap (RFC 3394), RSAES-OAEP with an empty
 * label (RFC 8017 section 7.1) by its hash and that of its mask generation, or
 * RSAES-PKCS1-v1_5 (section 7.2). */
enum kb_wrap_algorithm {
    KB_WRAP_AES,
    KB_WRAP_OAEP_SHA1, /* these four with MGF1-SHA-1, as the JCA means them */
    KB_WRAP_OAEP_SHA256,
    KB_WRAP_OAEP_SHA384,
    KB_WRAP_OAEP_SHA512,
    KB_WRAP_OAEP_SHA256_MGF_SHA256, /* these with one hash for both */
    KB_WRAP_OAEP_SHA384_MGF_SHA384,
    KB_WRAP_OAEP_SHA512_MGF_SHA512,
    KB_WRAP_PKCS1,
    KB_WRAP_S3_GCM, /* these two by OAEP-SHA-1, over size || data key || content algorithm, as the
                       S3 Encryption Client does in its versions 2 and 3 */
    KB_WRAP_S3_115,
    KB_WRAP_AES_ECB, /* AES-ECB with PKCS#7 padding: unwraps, under legacy keys alone */
};

/* A boolean attribute as the token tells it. */
enum kb_answer { KB_ANSWER_NO, KB_ANSWER_YES, KB_ANSWER_UNKNOWN };

struct kb_key_spec {
    const char *name; /* becomes CKA_LABEL: 1 to 64 bytes of A-Z a-z 0-9 . _ - */
    enum kb_key_use use;
    enum kb_key_type type;
    bool release_never; /* wrap keys: data keys under it never leave the token */
    bool public_only;   /* import of RSA and EC: the value is a public key; what it makes can only
                           wrap, or only verify */
    bool allow_weak;    /* import: a short HMAC key is zero-padded to its hash's length, which
                           leaves every MAC as it is; an RSA key of 1,024 to 2,047 bits is taken */
};

struct kb_key_info {
    char name[256];   /* CKA_LABEL */
    char version[33]; /* hexadecimal, tells keys of one name made at different times apart; for
                         adopted keys taken from CKA_ID; "" when that is empty */
    char id[129];     /* CKA_ID, hexadecimal */
    enum kb_key_use use;
    enum kb_key_type type;
    enum kb_key_origin origin;
    bool public_only; /* there is no private key to it */
    unsigned bits; /* of the key; of an RSA key's modulus, an EC key's field; 0 when the token
                      does not tell */
    bool release_never;
    enum kb_answer release_never_enforced; /* by the token's unwrap template */
    enum kb_answer mechanisms_enforced;    /* CKA_ALLOWED_MECHANISMS holds what we asked for */
    enum kb_answer on_token;
    enum kb_answer is_private;
    enum kb_answer sensitive;
    enum kb_answer always_sensitive;
    enum kb_answer extractable;
    enum kb_answer never_extractable;
    enum kb_answer local;
    enum kb_answer modifiable;
    enum kb_answer may_wrap;
    enum kb_answer may_unwrap;
    enum kb_answer may_sign;
    enum kb_answer may_verify;
    enum kb_answer may_encrypt;
    enum kb_answer may_decrypt;
    char mechanisms[128]; /* allowed ones by name, separated by blanks; "" when not told */
    uint64_t encryptions; /* envelope keys: as counted by kb_keystore_options.counts */
};

/* One thing that was really tried on the token. */
struct kb_token_trial {
    char what[96];      /* "AES key wrap (CKM_AES_KEY_WRAP)" */
    char outcome[160];  /* one sentence: what happened, with the CKR_ name of a refusal */
    bool good;          /* it works, or: it is refused as it must be */
    unsigned long ck_rv;
};

/* --- tokens ---------------------------------------------------------------- */

/* Lists the tokens of the module(s) without logging in. `each` is called once
 * for every token; options->uri narrows the list, options->pin is not used. */
KB_MUST_CHECK enum kb_status kb_keystore_tokens(const struct kb_keystore_options *options,
                                                void (*each)(void *ctx,
                                                             const struct kb_token_info *info),
                                                void *ctx, struct kb_error *err);

/* Initialises the first uninitialised slot of the module as a token named
 * `label` with these PINs (C_InitToken, C_InitPIN). */
KB_MUST_CHECK enum kb_status kb_keystore_init_token(const struct kb_keystore_options *options,
                                                    const char *label,
                                                    const struct kb_secret *so_pin,
                                                    const struct kb_secret *user_pin,
                                                    struct kb_error *err);

/* Starts the first helper, finds exactly one token and logs in. *out is the
 * caller's, for kb_keystore_close. KB_ERR_TOKEN, KB_ERR_PIN (tried once, never
 * again), KB_ERR_AMBIGUOUS, KB_ERR_USAGE for a URI with
 * anything unrecognised in it. Strings in options are copied. */
KB_MUST_CHECK enum kb_status kb_keystore_open(struct kb_keystore **out,
                                              const struct kb_keystore_options *options,
                                              struct kb_error *err);

/* Ends all helpers. Every lease must have been returned. NULL is ignored. */
void kb_keystore_close(struct kb_keystore *keystore);

const struct kb_token_info *kb_keystore_info(const struct kb_keystore *keystore);

/* An idle helper, or a new one. *out is the caller's until kb_token_return. */
KB_MUST_CHECK enum kb_status kb_token_lease(struct kb_token **out, struct kb_keystore *keystore,
                                            struct kb_error *err);
void kb_token_return(struct kb_token *token);

/* Runs every mechanism keybridge needs with throw-away session keys, and
 * checks what the token enforces; writes up to `room` rows, *count of them. */
KB_MUST_CHECK enum kb_status kb_token_probe(struct kb_token *token, struct kb_token_trial *trials,
                                            size_t room, size_t *count, struct kb_error *err);

/* --- keys ------------------------------------------------------------------
 * `name` is a short name (CKA_LABEL) or a PKCS#11 URI with object or id; it
 * must match exactly one key: KB_ERR_NOT_FOUND, KB_ERR_AMBIGUOUS. */

/* KB_ERR_EXISTS when a key has that name. */
KB_MUST_CHECK enum kb_status kb_key_create(struct kb_token *token, const struct kb_key_spec *spec,
                                           struct kb_error *err);
/* `value`: the bytes of an AES or HMAC key; for RSA and EC the DER or PEM of a
 * PKCS#8 private key (RFC 5208, not encrypted) or, with spec->public_only, of
 * a SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7). KB_ERR_INPUT when it is
 * not that, KB_ERR_USAGE when it is too weak or does not fit spec->type. */
KB_MUST_CHECK enum kb_status kb_key_import(struct kb_token *token, const struct kb_key_spec *spec,
                                           const struct kb_secret *value, struct kb_error *err);
KB_MUST_CHECK enum kb_status kb_key_destroy(struct kb_token *token, const char *name,
                                            struct kb_error *err);
KB_MUST_CHECK enum kb_status kb_key_find(struct kb_token *token, const char *name,
                                         struct kb_key_info *out, struct kb_error *err);
/* Appends the DER SubjectPublicKeyInfo of an RSA or EC key. KB_ERR_USAGE for a
 * key that has no public half. */
KB_MUST_CHECK enum kb_status kb_key_export_public(struct kb_token *token, const char *name,
                                                  struct kb_buffer *out, struct kb_error *err);
/* Appends the PEM (RFC 7468 section 13) of such a SubjectPublicKeyInfo. */
KB_MUST_CHECK enum kb_status kb_key_public_pem(struct kb_buffer *out, struct kb_bytes spki,
                                               struct kb_error *err);
KB_MUST_CHECK enum kb_status kb_key_list(struct kb_token *token,
                                         void (*each)(void *ctx, const struct kb_key_info *info),
                                         void *ctx, struct kb_error *err);

/* Really tries to take the key out: read its value, wrap it under a key made
 * for that, copy it as extractable, make it extractable. Every row should be a
 * refusal (`good`). Nothing it makes survives the call. */
KB_MUST_CHECK enum kb_status kb_key_try_extract(struct kb_token *token, const char *name,
                                                struct kb_token_trial *trials, size_t room,
                                                size_t *count, struct kb_error *err);

/* --- work inside the token -------------------------------------------------
 * n is at most KB_TOKEN_BATCH_MAX. A failure of the whole call (token gone,
 * key missing, key of another use: KB_ERR_DENIED) is the return value; what
 * concerns one item is in its own status. A helper that was lost (killed,
 * hung, session dropped by the token) is replaced and the call repeated once
 * unless it uses handles, which died with it: KB_ERR_TOKEN. */

struct kb_data_key {
    enum kb_status status; /* of this key */
    enum kb_wrap_algorithm algorithm; /* set by the caller before unwrapping */
    uint32_t handle;       /* of a key that stays in the token: valid on this lease until
                              kb_token_forget; never 0. 0 for a released one */
    uint16_t size;         /* bytes of the key: 16, 24 or 32; 0 for one that was unwrapped by RSA
                              inside a token that does not tell */
    uint16_t wrapped_size; /* bytes of `wrapped` */
    uint8_t wrapped[KB_TOKEN_WRAPPED_MAX];
};

/* What new data keys are to be. */
struct kb_data_key_spec {
    const char *wrap_key;
    enum kb_wrap_algorithm algorithm; /* must fit the wrapping key: KB_ERR_DENIED */
    size_t size;                      /* bytes: 16, 24 or 32 */
};

/* Makes n data keys and wraps each; sets status, algorithm, size and wrapped.
 * With `plain` (n * KB_TOKEN_DATA_KEY_MAX bytes, key i at i *
 * KB_TOKEN_DATA_KEY_MAX) the keys are released into it; with NULL they stay
 * inside as handles. KB_ERR_DENIED for plain under a --release never key;
 * KB_ERR_UNSUPPORTED when the token has no way to wrap so inside itself and
 * the keys must not leave it. */
KB_MUST_CHECK enum kb_status kb_token_make_keys(struct kb_token *token,
                                                const struct kb_data_key_spec *spec,
                                                struct kb_data_key *keys, size_t n,
                                                struct kb_secret *plain, struct kb_error *err);

/* Unwraps keys[i].wrapped by keys[i].algorithm; sets status (KB_ERR_AUTH for
 * whatever is wrong with the bytes, and for an algorithm that is not the
 * key's), size and, as above, plain or handle. PKCS#1 v1.5 with bad padding
 * gives a random key instead, which tells an attacker nothing. KB_ERR_DENIED
 * for a public key alone. */
KB_MUST_CHECK enum kb_status kb_token_unwrap_keys(struct kb_token *token, const char *wrap_key,
                                                  struct kb_data_key *keys, size_t n,
                                                  struct kb_secret *plain, struct kb_error *err);

/* How messages are to be signed. */
struct kb_sign_spec {
    const char *sign_key;
    enum kb_sign_scheme scheme; /* must fit the key: KB_ERR_DENIED */
    enum kb_hash hash;
};

struct kb_signature {
    uint16_t size;
    uint8_t data[KB_TOKEN_SIGNATURE_MAX];
};

/* MAC or signature of each message. To verify a MAC, make and compare with
 * kb_secret_equal: two tokens' C_Verify accepts short MACs. Signatures are
 * verified outside, with the public key. */
KB_MUST_CHECK enum kb_status kb_token_sign(struct kb_token *token, const struct kb_sign_spec *spec,
                                           const struct kb_bytes *messages, size_t n,
                                           struct kb_signature *signatures, struct kb_error *err);

/* One AES-CBC operation with PKCS#7 padding (CKM_AES_CBC_PAD) in the token. */
struct kb_cipher_job {
    uint32_t handle;     /* data key; 0: the content key given to the call */
    uint8_t iv[16];
    struct kb_bytes in;
    struct kb_bytes out; /* set by the call: lives until the next call on this token */
    enum kb_status status; /* KB_ERR_AUTH for bad padding or length on decryption */
};

/* n is not bounded by KB_TOKEN_BATCH_MAX. `content_key` may be NULL when every
 * job has a handle. */
KB_MUST_CHECK enum kb_status kb_token_cipher(struct kb_token *token, bool encrypt,
                                             const char *content_key, struct kb_cipher_job *jobs,
                                             size_t n, struct kb_error *err);

/* One AES-GCM operation in the token (CKM_AES_GCM; NIST SP 800-38D) with a
 * 12-byte IV and a 16-byte tag. */
struct kb_gcm_job {
    struct kb_bytes aad;        /* at most KB_TOKEN_AAD_MAX bytes */
    struct kb_bytes in;         /* a text, or ciphertext || tag of one; at most KB_TOKEN_GCM_MAX
                                   bytes of text */
    uint8_t iv[KB_GCM_IV_SIZE]; /* to decrypt: given. To encrypt: set, whoever makes it on this
                                   token: the caller, the token in its place or behind the text */
    enum kb_status status;      /* of this job; KB_ERR_AUTH for whatever is wrong with the bytes */
    uint8_t *out;               /* the caller's, for what comes out */
    size_t room;                /* bytes of it: those of `in`, and a tag more to encrypt */
    size_t size;                /* bytes written to it */
};

/* n is not bounded by KB_TOKEN_BATCH_MAX. Before a helper encrypts for the
 * first time it finds out, with keys made for that, who makes IVs on its
 * token; KB_ERR_UNSUPPORTED for one that repeats them or has no AES-GCM.
 * Encryptions are counted before they are done: KB_ERR_DENIED beyond
 * KB_GCM_ENCRYPTIONS_MAX. */
KB_MUST_CHECK enum kb_status kb_token_gcm(struct kb_token *token, bool encrypt, const char *key,
                                          struct kb_gcm_job *jobs, size_t n, struct kb_error *err);

/* Fills the secret (at most 64 KiB) from the token's random source
 * (C_GenerateRandom). */
KB_MUST_CHECK enum kb_status kb_token_random(struct kb_token *token, struct kb_secret *out,
                                             struct kb_error *err);

/* Destroys data keys that stayed in the token; zeros are skipped. */
KB_MUST_CHECK enum kb_status kb_token_forget(struct kb_token *token, const uint32_t *handles,
                                             size_t n, struct kb_error *err);

/* --- names ----------------------------------------------------------------- */

/* "wrap", "aes-256", "generated", "SHA256"…; NULL for an unknown value. */
const char *kb_key_use_format(enum kb_key_use use);
const char *kb_key_type_format(enum kb_key_type type);
const char *kb_key_origin_format(enum kb_key_origin origin);
/* false when the text names none. */
bool kb_key_use_parse(enum kb_key_use *out, const char *text);
bool kb_key_type_parse(enum kb_key_type *out, const char *text);
/* Bytes of the hash: 28, 32, 48, 64. */
size_t kb_hash_size(enum kb_hash hash);
/* The hash of an HMAC key type; false for other types. */
bool kb_key_type_hash(enum kb_key_type type, enum kb_hash *out);

#ifdef __cplusplus
}
#endif
#endif
