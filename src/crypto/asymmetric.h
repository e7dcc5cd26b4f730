/* SPDX-License-Identifier: Apache-2.0
 *
 * RSA and EC keys outside the token: reading and writing their encodings,
 * what needs a public key only, and undoing RSA paddings.
 */
#ifndef KB_CRYPTO_ASYMMETRIC_H
#define KB_CRYPTO_ASYMMETRIC_H

#include <keybridge/keystore.h>

/* RSA keys we work with; wrapped data keys have KB_TOKEN_WRAPPED_MAX bytes. */
enum { KB_RSA_BITS_MIN = 1024, KB_RSA_BITS_GOOD = 2048, KB_RSA_BITS_MAX = 4096 };

/* --- encodings ----------------------------------------------------------------- */

/* The numbers of a key as a token wants them, big-endian without leading
 * zeros; for EC: the DER of the curve's name (RFC 5480 section 2.1.1), of the
 * public point as OCTET STRING, and the private number. Private ones are empty
 * for a public key. Views into `memory`. */
struct kb_key_parts {
    enum kb_key_type type; /* KB_KEY_RSA_2048 … or KB_KEY_RSA; KB_KEY_EC_P256, _P384 */
    unsigned bits;
    struct kb_bytes modulus, public_exponent;
    struct kb_bytes private_exponent, prime1, prime2, exponent1, exponent2, coefficient;
    struct kb_bytes curve, point;
    struct kb_bytes scalar;
    struct kb_secret *memory;
};

/* DER or PEM of a PKCS#8 private key or, when `public_only`, a
 * SubjectPublicKeyInfo; exactly one and nothing behind it. KB_ERR_INPUT, with
 * a hint for what it is instead (encrypted, PKCS#1, SEC 1, a certificate, the
 * other kind). Release with kb_key_parts_free in any case. */
KB_MUST_CHECK enum kb_status kb_key_parts_read(struct kb_key_parts *out, struct kb_bytes encoded,
                                               bool public_only, struct kb_error *err);
void kb_key_parts_free(struct kb_key_parts *parts);

bool kb_key_type_is_rsa(enum kb_key_type type);
bool kb_key_type_is_ec(enum kb_key_type type);

/* KB_KEY_RSA_2048…, or KB_KEY_RSA for other sizes. */
enum kb_key_type kb_rsa_type(unsigned bits);
/* The DER of a curve's name, empty for other types; and back. */
struct kb_bytes kb_curve_of_type(enum kb_key_type type);
enum kb_key_type kb_type_of_curve(struct kb_bytes curve);

/* Appends the DER SubjectPublicKeyInfo of RSA or EC public parts, by modulus,
 * public_exponent, curve and point alone; a point without its OCTET STRING is
 * taken too. KB_ERR_INPUT for numbers that make no key. */
KB_MUST_CHECK enum kb_status kb_key_parts_format(struct kb_buffer *out,
                                                 const struct kb_key_parts *parts,
                                                 struct kb_error *err);

/* --- public keys ------------------------------------------------------------------ */

/* Immutable, shared by threads. */
struct kb_public_key;

/* From a DER SubjectPublicKeyInfo. *out is the caller's. KB_ERR_INPUT. */
KB_MUST_CHECK enum kb_status kb_public_key_new(struct kb_public_key **out, struct kb_bytes spki,
                                               struct kb_error *err);
void kb_public_key_free(struct kb_public_key *key);

/* True for the signature of the message by the key's own scheme (RSA:
 * RSASSA-PKCS1-v1_5, EC: ECDSA in DER). */
bool kb_public_key_verify(const struct kb_public_key *key, enum kb_hash hash,
                          struct kb_bytes message, struct kb_bytes signature);

/* Encrypts `plain` by an RSA algorithm of KB_WRAP_…; `out` has room for the
 * modulus. KB_ERR_USAGE when it does not fit. */
KB_MUST_CHECK enum kb_status kb_public_key_wrap(const struct kb_public_key *key,
                                                enum kb_wrap_algorithm algorithm, uint8_t *out,
                                                size_t *size, struct kb_bytes plain,
                                                struct kb_error *err);

/* --- what a token's raw operations leave to do --------------------------------------- */

/* Undoes OAEP in constant time: `block` is what raw RSA decryption gave, as
 * long as the modulus. Writes at most `room` bytes. False, with nothing said
 * of why, for a wrong padding or too long a message. */
bool kb_oaep_decode(enum kb_wrap_algorithm algorithm, struct kb_bytes block, uint8_t *out,
                    size_t room, size_t *size);

/* What an algorithm puts around a data key: framed as S3's are, or as it is.
 * `framed` has room for KB_FRAMED_KEY_MAX bytes; `key` has 16, 24 or 32. */
enum { KB_FRAMED_KEY_MAX = 64 };
size_t kb_oaep_frame(enum kb_wrap_algorithm algorithm, uint8_t *framed, struct kb_bytes key);
/* Takes it off again, in place; false when it is not there. */
bool kb_oaep_unframe(enum kb_wrap_algorithm algorithm, uint8_t *message, size_t *size);

/* Undoes PKCS#1 v1.5 in constant time, for a message of 16, 24 or 32 bytes;
 * gives its size. For anything else the result is `otherwise`, 32 bytes. */
size_t kb_pkcs1_decode(struct kb_bytes block, const uint8_t otherwise[32], uint8_t out[32]);

/* Digest of a message (at most 64 bytes); its size, or 0 when OpenSSL fails. */
size_t kb_digest(enum kb_hash hash, struct kb_bytes message, uint8_t out[64]);

/* The r || s of a token as DER SEQUENCE; the size, or 0 when it is none. */
size_t kb_ecdsa_to_der(struct kb_bytes raw, uint8_t *out, size_t room);

#endif
