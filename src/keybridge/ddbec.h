/* SPDX-License-Identifier: Apache-2.0
 *
 * The item encryptor: items in the format of the DynamoDB Encryption Client
 * (the Python and Java libraries, legacy "DDBEC").
 */
#ifndef KEYBRIDGE_DDBEC_H
#define KEYBRIDGE_DDBEC_H

#include <keybridge/provider.h>

#ifdef __cplusplus
extern "C" {
#endif

enum kb_action { KB_ACTION_ENCRYPT_AND_SIGN, KB_ACTION_SIGN_ONLY, KB_ACTION_DO_NOTHING };

/* A default action and exceptions by attribute name. */
struct kb_actions;

/* {"default":"ENCRYPT_AND_SIGN","attributes":{"a":"DO_NOTHING"}}; both members
 * may be missing (the default is ENCRYPT_AND_SIGN), no others may be there.
 * Empty text gives the default for all. KB_ERR_USAGE. *out is the caller's. */
KB_MUST_CHECK enum kb_status kb_actions_parse(struct kb_actions **out, struct kb_bytes json,
                                              struct kb_error *err);
void kb_actions_free(struct kb_actions *actions);

/* Whether an attribute that is no key is encrypted. NULL: it is. */
bool kb_actions_encrypt(const struct kb_actions *actions, const char *attribute);

struct kb_ddbec_options {
    const char *table_name;    /* the name that is signed */
    const char *partition_key; /* attribute names; key attributes are never encrypted */
    const char *sort_key;      /* NULL: none */
    const char *const *index_keys;
    size_t index_key_count;
    const struct kb_actions *actions;  /* NULL: encrypt and sign all; borrowed for the call */
    const char *description_attribute; /* NULL: "*amzn-ddb-map-desc*" */
    const char *signature_attribute;   /* NULL: "*amzn-ddb-map-sig*" */
    bool exact_numbers; /* refuse signatures that only verify over numbers rounded to 28 digits,
                           as the Python client makes them; no matter for what keybridge wrote */
};

/* Configuration of the encryptor; immutable, shared by threads, counted. */
struct kb_ddbec;

/* Keeps a reference to the provider. KB_ERR_USAGE when a key attribute is to
 * be encrypted, or an added attribute's name is given an action. */
KB_MUST_CHECK enum kb_status kb_ddbec_new(struct kb_ddbec **out,
                                          const struct kb_ddbec_options *options,
                                          struct kb_provider *provider, struct kb_error *err);
struct kb_ddbec *kb_ddbec_retain(struct kb_ddbec *ddbec);
void kb_ddbec_release(struct kb_ddbec *ddbec); /* NULL is ignored */

/* One item of a batch. */
struct kb_line {
    uint64_t number;       /* the caller's, for messages */
    struct kb_bytes in;    /* DynamoDB JSON */
    struct kb_bytes out;   /* DynamoDB JSON, of the worker until its next call; empty on error */
    struct kb_error error; /* status KB_OK, KB_ERR_INPUT or KB_ERR_AUTH */
};

/* What one thread needs to work: a leased token, buffers, contexts. */
struct kb_worker;

KB_MUST_CHECK enum kb_status kb_worker_new(struct kb_worker **out, struct kb_ddbec *ddbec,
                                           struct kb_error *err);
void kb_worker_free(struct kb_worker *worker);

enum { KB_LINES_MAX = KB_TOKEN_BATCH_MAX };

/* Encrypts or decrypts n lines (at most KB_LINES_MAX). An error of one item is
 * in its line; the return value is an error of the whole run (token, system),
 * after which no line of the call counts. */
KB_MUST_CHECK enum kb_status kb_ddbec_encrypt(struct kb_worker *worker, struct kb_line *lines,
                                              size_t n, struct kb_error *err);
KB_MUST_CHECK enum kb_status kb_ddbec_decrypt(struct kb_worker *worker, struct kb_line *lines,
                                              size_t n, struct kb_error *err);

/* What can be told of an item without any key, as one line of JSON: the
 * description's entries, the wrapped key's algorithm and size, the signature's
 * size, and of every attribute its type and whether it looks encrypted. Names
 * NULL: the defaults. KB_ERR_INPUT for what is no item. */
KB_MUST_CHECK enum kb_status kb_ddbec_inspect(struct kb_buffer *out, struct kb_bytes item,
                                              const char *description_attribute,
                                              const char *signature_attribute,
                                              struct kb_error *err);

/* Ordinary JSON of an item (types are lost). */
KB_MUST_CHECK enum kb_status kb_item_to_plain_json(struct kb_buffer *out, struct kb_bytes item,
                                                   struct kb_error *err);

#ifdef __cplusplus
}
#endif
#endif
