/* SPDX-License-Identifier: Apache-2.0
 *
 * The hashes of an OAEP algorithm, as OpenSSL has them.
 */
#ifndef KB_CRYPTO_OAEP_H
#define KB_CRYPTO_OAEP_H

#include <openssl/evp.h>

#include <keybridge/keystore.h>

/* False for an algorithm that is not OAEP. */
bool kb_oaep_hashes(enum kb_wrap_algorithm algorithm, const EVP_MD **hash, const EVP_MD **mgf);

#endif
