/* SPDX-License-Identifier: Apache-2.0
 *
 * Constants of the DynamoDB Encryption Client's item format, as its Python
 * (3.3.0) and Java (2.0.3) libraries write and read it.
 */
#ifndef KB_DDBEC_SPEC_H
#define KB_DDBEC_SPEC_H

/* The two added attributes. */
#define DDBEC_DESCRIPTION_ATTRIBUTE "*amzn-ddb-map-desc*"
#define DDBEC_SIGNATURE_ATTRIBUTE "*amzn-ddb-map-sig*"

/* The only mode either client writes; any other text in the (unsigned)
 * description is refused. */
#define DDBEC_MODE "/CBC/PKCS5Padding"

/* String to sign: a hash of the table's name, then for each signed attribute
 * hashes of its name, of a marker and of its canonical bytes. */
#define DDBEC_TABLE_BEFORE "TABLE>"
#define DDBEC_TABLE_AFTER "<TABLE"
#define DDBEC_MARKER_ENCRYPTED "ENCRYPTED"
#define DDBEC_MARKER_SIGNED "PLAINTEXT"

enum {
    DDBEC_DESCRIPTION_VERSION = 0, /* u32 at the start of the material description */
    DDBEC_IV_SIZE = 16,            /* in front of an encrypted attribute's ciphertext */
    DDBEC_ENCRYPTED_LEAST = 32,    /* bytes: IV and one block */
    DDBEC_PARTITION_KEY_MAX = 2048, /* bytes of key attributes' values, DynamoDB's limits */
    DDBEC_SORT_KEY_MAX = 1024,
};

#endif
