/* SPDX-License-Identifier: Apache-2.0
 *
 * What is stored with an object of the S3 Encryption Client: lines of
 * "name=value", and the instruction file behind the first empty line. What is
 * read and what we write is written to be read the same.
 */
#include "s3ec/header.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PAIRS_MAX = 24 };

static void must(bool good)
{
    if (!good)
        abort();
}

static void take_header(struct kb_s3ec_header *out, struct kb_pair *pairs, const uint8_t *data,
                        size_t size)
{
    *out = (struct kb_s3ec_header){.metadata = pairs};
    while (size > 0) {
        const uint8_t *line_end = memchr(data, '\n', size), *equals;
        size_t line = line_end ? (size_t)(line_end - data) : size;

        if (line == 0) {
            out->instruction = (struct kb_bytes){data + 1, size - 1};
            return;
        }
        equals = memchr(data, '=', line);
        if (equals && out->metadata_count < PAIRS_MAX)
            pairs[out->metadata_count++] = (struct kb_pair){
                {data, (size_t)(equals - data)},
                {equals + 1, line - (size_t)(equals - data) - 1}};
        data += line + (line_end != NULL);
        size -= line + (line_end != NULL);
    }
}

static void check_writing(const struct s3ec_parsed *parsed)
{
    struct s3ec_written written = {0};
    struct kb_arena arena = KB_ARENA_INIT;
    struct s3ec_parsed again;

    if (s3ec_header_write(&written, parsed, NULL) == KB_OK &&
        kb_utf8_valid(parsed->description)) {
        must(s3ec_header_read(&again, &written.header, &arena, NULL) == KB_OK);
        must(again.version == parsed->version && again.content == parsed->content &&
             again.wrap == parsed->wrap && again.instruction_file == parsed->instruction_file &&
             again.key.size == parsed->key.size &&
             memcmp(again.key.data, parsed->key.data, parsed->key.size) == 0 &&
             memcmp(again.iv, parsed->iv, sizeof again.iv) == 0 &&
             memcmp(again.commitment, parsed->commitment, sizeof again.commitment) == 0);
        must(parsed->description.size == 0 ||
             kb_bytes_equal(again.description, parsed->description));
    }
    kb_arena_free(&arena);
    kb_arena_free(&written.memory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kb_pair pairs[PAIRS_MAX];
    struct kb_arena arena = KB_ARENA_INIT;
    struct kb_s3ec_header header;
    struct s3ec_parsed parsed;
    struct kb_s3ec_info info;
    enum kb_status status;

    take_header(&header, pairs, data, size);
    status = s3ec_header_read(&parsed, &header, &arena, NULL);
    must(kb_s3ec_inspect(&info, &header, NULL) == status);
    must(status == KB_OK || status == KB_ERR_INPUT || status == KB_ERR_NOT_FOUND);
    if (status == KB_OK) {
        must(info.version >= 1 && info.version <= 3 && strlen(info.description) < 1024);
        must(info.committing == (info.version == 3));
        must(kb_utf8_valid(kb_bytes_text(info.description)));
        if (parsed.content != S3EC_CBC && parsed.version > 1 &&
            (parsed.version == 2 || parsed.wrap != S3EC_WRAP_KMS_CONTEXT))
            check_writing(&parsed);
    }
    kb_arena_free(&arena);
    return 0;
}
