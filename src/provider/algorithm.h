/* SPDX-License-Identifier: Apache-2.0
 *
 * The clients' names for algorithms: those of the Java Cryptography
 * Architecture, which both write.
 */
#ifndef KB_PROVIDER_ALGORITHM_H
#define KB_PROVIDER_ALGORITHM_H

#include <keybridge/keystore.h>

struct kb_sign_algorithm {
    const char *name; /* "SHA256withRSA" */
    enum kb_sign_scheme scheme;
    enum kb_hash hash;
};

/* The configured algorithm held against the key's type; without one (NULL),
 * the type's own. KB_ERR_USAGE, KB_ERR_DENIED for a key that cannot sign. */
KB_MUST_CHECK enum kb_status kb_sign_algorithm_choose(const struct kb_sign_algorithm **out,
                                                      const char *wanted,
                                                      const struct kb_key_info *key,
                                                      struct kb_error *err);

/* By name alone; NULL for an unknown one. */
const struct kb_sign_algorithm *kb_sign_algorithm_find(struct kb_bytes name);

/* True for a name either client gives to a way of wrapping; JCA names do not
 * mind case. "AES" and any transformation of the cipher AES are RFC 3394
 * (Python), "RSA" alone is PKCS#1 v1.5. */
bool kb_wrap_algorithm_parse(enum kb_wrap_algorithm *out, struct kb_bytes name);

/* The name both clients read; NULL for what has none in their format. */
const char *kb_wrap_algorithm_format(enum kb_wrap_algorithm algorithm);

#endif
