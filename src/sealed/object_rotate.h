/* SPDX-License-Identifier: Apache-2.0
 *
 * One object on its way to another key: what is decided (object_rotate.c), how
 * the server or a stream copies it (object_copy.c), what its old key becomes
 * (object_retire.c).
 */
#ifndef KB_SEALED_OBJECT_ROTATE_H
#define KB_SEALED_OBJECT_ROTATE_H

#include "sealed/object.h"

struct rotation {
    const struct kb_objects *objects;
    struct kb_s3_name from;
    char version[KB_S3_VERSION_SIZE]; /* that was found; `from` is pinned to it */
    struct kb_s3_name to;
    const struct kb_object_rotate *asked;
    struct kb_object_rotated *out;
    bool in_place;
    struct object_found found;
    enum kb_s3_sse sse;     /* what the server is asked for */
    struct object_key key;  /* of SSE-C */
    struct kb_vault_object row; /* pending */
    bool has_row;
    struct kb_s3ec_object *wrapped; /* the content key wrapped anew */
    struct kb_vault_object known; /* the row of the old object: what its plaintext was */
    bool has_known;
    /* Of the copy. */
    struct kb_s3_put put;
    struct kb_pair *metadata;
    struct kb_buffer tags;
    struct kb_s3_object stored; /* the answer */
    bool sent;                  /* whole, so that a copy may be there, */
    bool withdrawn;             /* or was, and was removed */
    struct kb_s3_object instruction; /* put beside it */
    bool has_instruction;
    bool echoed;
    uint64_t size;              /* bytes that were stored */
};

/* What the copy is to be, from what was found. */
KB_MUST_CHECK enum kb_status rotation_fill_put(struct rotation *rotation, struct kb_error *err);
/* KB_OK: the old object is still the current one, under its old key, or nothing was to
 * replace it. */
KB_MUST_CHECK enum kb_status rotation_check_unchanged(const struct rotation *rotation,
                                                      struct kb_error *err);
/* The server copies. *cannot: it cannot, and did nothing. */
KB_MUST_CHECK enum kb_status rotation_copy(struct rotation *rotation, bool *cannot,
                                           struct kb_error *err);
/* The bytes come here and go back; what they were is checked on the way. */
KB_MUST_CHECK enum kb_status rotation_stream(struct rotation *rotation, struct kb_error *err);
/* The new row, the end of the old one, the old key. */
KB_MUST_CHECK enum kb_status rotation_note(struct rotation *rotation, struct kb_error *err);

#endif
