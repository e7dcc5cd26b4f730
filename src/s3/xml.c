/* SPDX-License-Identifier: Apache-2.0
 *
 * Every use of expat. Answers of S3 are small trees of elements with text; all
 * else that XML can do is refused or ignored.
 */
#include "s3/s3.h"

#include <expat.h>
#include <stdio.h>
#include <string.h>

enum {
    DEPTH_MAX = 64,
    /* A page of 10,000 entries has not half as many. */
    ELEMENTS_MAX = 200000,
};

struct level {
    struct s3_element *element;
    struct s3_element *last; /* of its children */
    size_t text;             /* where its text begins in tree->text */
};

struct tree {
    XML_Parser parser;
    struct kb_arena *arena;
    struct s3_element *root;
    struct level levels[DEPTH_MAX];
    size_t depth, elements;
    /* Of all open elements, the innermost one's last: a child's text is gone
     * from here before its parent's goes on. */
    struct kb_buffer text;
    const char *refusal; /* why it was ended, or NULL */
    bool no_memory;
};

static void refuse(struct tree *tree, const char *why)
{
    if (!tree->refusal)
        tree->refusal = why;
    XML_StopParser(tree->parser, XML_FALSE);
}

static void run_out(struct tree *tree)
{
    tree->no_memory = true;
    refuse(tree, "no memory");
}

/* "s3:Key" and "Key" are the same to us. */
static const char *copy_name(struct tree *tree, const char *name)
{
    const char *colon = strrchr(name, ':');
    const char *local = colon ? colon + 1 : name;

    return (const char *)kb_arena_copy(tree->arena,
                                       (struct kb_bytes){(const uint8_t *)local, strlen(local) + 1})
        .data;
}

static void XMLCALL on_start(void *ctx, const XML_Char *name, const XML_Char **attributes)
{
    struct tree *tree = ctx;
    struct s3_element *element;

    (void)attributes;
    /* Expat may tell of what comes behind the point where it was stopped. */
    if (tree->refusal)
        return;
    if (tree->depth == DEPTH_MAX) {
        refuse(tree, "elements too deep in each other");
        return;
    }
    if (++tree->elements > ELEMENTS_MAX) {
        refuse(tree, "too many elements");
        return;
    }
    element = kb_arena_array(tree->arena, 1, sizeof *element);
    if (!element || !(element->name = copy_name(tree, name))) {
        run_out(tree);
        return;
    }
    if (tree->depth == 0) {
        tree->root = element;
    } else {
        struct level *parent = &tree->levels[tree->depth - 1];

        if (parent->last)
            parent->last->next = element;
        else
            parent->element->first = element;
        parent->last = element;
    }
    tree->levels[tree->depth++] = (struct level){.element = element, .text = tree->text.size};
}

static void XMLCALL on_end(void *ctx, const XML_Char *name)
{
    struct tree *tree = ctx;
    struct level *level;

    (void)name;
    if (tree->refusal)
        return;
    level = &tree->levels[--tree->depth];
    level->element->text = kb_arena_copy(
        tree->arena, (struct kb_bytes){tree->text.data ? tree->text.data + level->text : NULL,
                                       tree->text.size - level->text});
    if (!level->element->text.data)
        run_out(tree);
    tree->text.size = level->text;
}

static void XMLCALL on_text(void *ctx, const XML_Char *text, int size)
{
    struct tree *tree = ctx;

    if (tree->refusal)
        return;
    kb_buffer_put(&tree->text, text, (size_t)size);
    if (tree->text.failed)
        run_out(tree);
}

/* Without a document type there are no entities but the five of XML itself. */
static void XMLCALL on_doctype(void *ctx, const XML_Char *name, const XML_Char *system,
                               const XML_Char *public, int internal)
{
    (void)name, (void)system, (void)public, (void)internal;
    refuse(ctx, "a document type, which S3 never sends");
}

static enum kb_status parse(struct tree *tree, struct kb_bytes text, struct kb_error *err)
{
    enum XML_Status status;

    XML_SetUserData(tree->parser, tree);
    XML_SetElementHandler(tree->parser, on_start, on_end);
    XML_SetCharacterDataHandler(tree->parser, on_text);
    XML_SetStartDoctypeDeclHandler(tree->parser, on_doctype);
    status = XML_Parse(tree->parser, (const char *)text.data, (int)text.size, XML_TRUE);
    if (tree->no_memory || XML_GetErrorCode(tree->parser) == XML_ERROR_NO_MEMORY)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    if (tree->refusal)
        return kb_error_set(err, KB_ERR_REMOTE, "the answer has %s", tree->refusal);
    if (status != XML_STATUS_OK)
        return kb_error_set(err, KB_ERR_REMOTE, "the answer is no XML (%s in line %lu)",
                            XML_ErrorString(XML_GetErrorCode(tree->parser)),
                            (unsigned long)XML_GetCurrentLineNumber(tree->parser));
    return KB_OK;
}

enum kb_status s3_xml_parse(struct s3_element **out, struct kb_bytes text, struct kb_arena *arena,
                            struct kb_error *err)
{
    struct tree tree = {.arena = arena, .text = KB_BUFFER_INIT(S3_XML_MAX)};
    enum kb_status status;

    *out = NULL;
    if (text.size > S3_XML_MAX)
        return kb_error_set(err, KB_ERR_REMOTE, "the answer is too long");
    /* Blanks keep the connection of a long call alive ("CompleteMultipartUpload"). */
    while (text.size && strchr(" \t\r\n", text.data[0]) && text.data[0]) {
        text.data++;
        text.size--;
    }
    if (text.size == 0)
        return kb_error_set(err, KB_ERR_REMOTE, "the answer is empty");
    tree.parser = XML_ParserCreate("UTF-8");
    if (!tree.parser)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory");
    status = parse(&tree, text, err);
    XML_ParserFree(tree.parser);
    kb_buffer_free(&tree.text);
    if (status == KB_OK)
        *out = tree.root;
    return status;
}

const struct s3_element *s3_xml_child(const struct s3_element *element, const char *name)
{
    const struct s3_element *child = element ? element->first : NULL;

    while (child && strcmp(child->name, name) != 0)
        child = child->next;
    return child;
}

struct kb_bytes s3_xml_text(const struct s3_element *element, const char *name)
{
    const struct s3_element *child = s3_xml_child(element, name);

    return child ? child->text : (struct kb_bytes){NULL, 0};
}

static void escape(struct kb_buffer *out, uint8_t character)
{
    char number[8];

    switch (character) {
    case '<':
        kb_buffer_put_text(out, "&lt;");
        break;
    case '>':
        kb_buffer_put_text(out, "&gt;");
        break;
    case '&':
        kb_buffer_put_text(out, "&amp;");
        break;
    case '"':
        kb_buffer_put_text(out, "&quot;");
        break;
    case '\'':
        kb_buffer_put_text(out, "&apos;");
        break;
    default:
        snprintf(number, sizeof number, "&#x%X;", character);
        kb_buffer_put_text(out, number);
    }
}

void s3_xml_escape(struct kb_buffer *out, struct kb_bytes text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] < 0x20 || text.data[i] == 0x7f || strchr("<>&\"'", text.data[i]))
            escape(out, text.data[i]);
        else
            kb_buffer_put_u8(out, text.data[i]);
}
