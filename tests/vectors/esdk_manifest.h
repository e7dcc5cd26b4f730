/* SPDX-License-Identifier: Apache-2.0
 *
 * The shared vectors of the AWS Encryption SDK's format (esdk/manifest.json):
 * what several test programs read out of them. Those that are committed
 * (tests/interop/esdk-peers.json) have the same form, with keys and messages in
 * base64 in place of files.
 */
#ifndef ESDK_MANIFEST_H
#define ESDK_MANIFEST_H

#include <jansson.h>

#include <keybridge/bytes.h>

/* How many there are of each kind, so that no test passes by reading nothing. */
enum {
    MANIFEST_DECRYPT = 314,
    MANIFEST_DECRYPT_FAIL = 82,
    MANIFEST_STATIC = 23,
    MANIFEST_PROPERTIES = 6,
};

/* NULL, after one loud line, when the vectors are not there; else the caller
 * gives it to json_decref. */
json_t *manifest_load(void);
json_t *manifest_load_file(const char *path);

const char *manifest_text(json_t *object, const char *name); /* NULL: not there */
bool manifest_is(json_t *object, const char *name, const char *text);
json_t *manifest_test(json_t *manifest, const char *id); /* a failed assertion when not there */

/* The bytes of a test's message; of the key of that name (AES: raw, RSA: DER
 * of the private one); of a member in hexadecimal. Each replaces
 * what is in `out`. */
struct kb_bytes manifest_message(struct kb_buffer *out, json_t *test);
struct kb_bytes manifest_key(struct kb_buffer *out, json_t *manifest, const char *name);
struct kb_bytes manifest_hex(struct kb_buffer *out, json_t *object, const char *name);

/* True when SHA-256 of the bytes is what the test says of its plaintext. */
bool manifest_is_plaintext(json_t *test, struct kb_bytes bytes);

#endif
