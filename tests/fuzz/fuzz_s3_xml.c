/* SPDX-License-Identifier: Apache-2.0
 *
 * A document of an answer. What was parsed, written again and parsed again is
 * the same.
 */
#include "s3/s3.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

/* The text goes before the children: where it was between them is not kept. Nor
 * is a namespace, without which what is left of a name may be no name. */
static void write(struct kb_buffer *out, const struct s3_element *element, unsigned depth)
{
    require(depth < 64);
    kb_buffer_put_text(out, "<x:");
    kb_buffer_put_text(out, element->name);
    kb_buffer_put_text(out, ">");
    s3_xml_escape(out, element->text);
    for (const struct s3_element *child = element->first; child; child = child->next)
        write(out, child, depth + 1);
    kb_buffer_put_text(out, "</x:");
    kb_buffer_put_text(out, element->name);
    kb_buffer_put_text(out, ">");
}

static void check_same(const struct s3_element *a, const struct s3_element *b)
{
    for (; a && b; a = a->next, b = b->next) {
        require(strcmp(a->name, b->name) == 0);
        require(kb_bytes_equal(a->text, b->text));
        require(kb_utf8_valid(a->text));
        check_same(a->first, b->first);
    }
    require(!a && !b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kb_arena arena = KB_ARENA_INIT, again = KB_ARENA_INIT;
    struct kb_buffer text = KB_BUFFER_INIT(S3_XML_MAX);
    struct s3_element *first, *second;
    struct kb_error err = {0};
    enum kb_status status = s3_xml_parse(&first, (struct kb_bytes){data, size}, &arena, &err);

    require((status == KB_OK) == (first != NULL));
    if (status == KB_OK) {
        write(&text, first, 0);
        require(s3_xml_parse(&second, kb_buffer_view(&text), &again, &err) == KB_OK);
        check_same(first, second);
    } else {
        require(status == KB_ERR_REMOTE && err.text[0]);
    }
    kb_buffer_free(&text);
    kb_arena_free(&arena);
    kb_arena_free(&again);
    return 0;
}
