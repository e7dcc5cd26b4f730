/* SPDX-License-Identifier: Apache-2.0
 *
 * Documents of answers: what is read of them, and what is refused.
 */
#include "kbtest.h"

#include "s3/s3.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct kb_arena arena;

static struct s3_element *parse(const char *text, enum kb_status want)
{
    struct s3_element *root;
    struct kb_error err = {0};
    enum kb_status status;

    kb_arena_reset(&arena);
    status = s3_xml_parse(&root, kb_bytes_text(text), &arena, &err);
    if (status != want)
        fprintf(stderr, "%.80s: %s\n", text, kb_error_text(&err));
    CU_ASSERT_EQUAL(status, want);
    CU_ASSERT_EQUAL(root != NULL, want == KB_OK);
    CU_ASSERT_EQUAL(err.text[0] != 0, want != KB_OK);
    return root;
}

static void test_tree(void)
{
    struct s3_element *root =
        parse("\n <?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
              "<Result xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\n"
              "<Key>a&amp;b &lt;&#233;&gt;<![CDATA[<&>]]></Key><!-- <Key>no</Key> -->"
              "<s:Size xmlns:s=\"x\" type=\"t\">1</s:Size><Key>second</Key><None/>"
              "<Owner>1<ID>2</ID>3<ID>4</ID>5</Owner></Result>\n",
              KB_OK);
    const struct s3_element *owner;

    CU_ASSERT_STRING_EQUAL(root->name, "Result");
    CU_ASSERT_PTR_NULL(root->next);
    KBT_TEXT(root->text, "\n");
    KBT_TEXT(s3_xml_text(root, "Key"), "a&b <\xc3\xa9><&>");
    KBT_TEXT(s3_xml_text(root, "Size"), "1");
    KBT_TEXT(s3_xml_child(root, "Key")->next->next->text, "second");
    CU_ASSERT_PTR_NOT_NULL(s3_xml_text(root, "None").data);
    CU_ASSERT_EQUAL(s3_xml_text(root, "None").size, 0);
    CU_ASSERT_PTR_NULL(s3_xml_child(root, "ID"));
    CU_ASSERT_PTR_NULL(s3_xml_text(root, "ID").data);
    CU_ASSERT_PTR_NULL(s3_xml_child(NULL, "ID"));
    owner = s3_xml_child(root, "Owner");
    KBT_TEXT(owner->text, "135");
    KBT_TEXT(s3_xml_text(owner, "ID"), "2");
    CU_ASSERT_PTR_NULL(owner->next);
}

static void test_refused(void)
{
    static const char *const texts[] = {
        "",
        " \n",
        "text",
        "<a>",
        "<a></b>",
        "<a/><b/>",
        "<a/>text",
        "<a>&nbsp;</a>",
        "<a>&#0;</a>",
        "<a>&#1;</a>",
        "<a>\x01</a>",
        "<a>\xff</a>",
        "<a>\xc0\x80</a>",
        "<a>\xed\xa0\x80</a>",
        "<!DOCTYPE a><a/>",
        "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>",
        "<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><a/>",
        "<!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/passwd\">]><a>&b;</a>",
        "<a b=\"&c;\"/>",
        "{\"a\":1}",
    };

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        parse(texts[i], KB_ERR_REMOTE);
}

static void repeat(struct kb_buffer *out, const char *text, size_t count)
{
    while (count--)
        kb_buffer_put_text(out, text);
}

static void parse_nested(size_t outer, size_t inner, enum kb_status want)
{
    struct kb_buffer text = KB_BUFFER_INIT(S3_XML_MAX * 2);

    repeat(&text, "<a>", outer);
    repeat(&text, "<a/>", inner);
    repeat(&text, "</a>", outer);
    kb_buffer_put_u8(&text, 0);
    parse((const char *)text.data, want);
    kb_buffer_free(&text);
}

static void test_bounds(void)
{
    struct kb_buffer text = KB_BUFFER_INIT(S3_XML_MAX * 2);
    struct s3_element *root;
    struct kb_error err = {0};

    parse_nested(64, 0, KB_OK);
    parse_nested(65, 0, KB_ERR_REMOTE);
    parse_nested(63, 2, KB_OK);
    parse_nested(1, 199999, KB_OK);
    parse_nested(1, 200000, KB_ERR_REMOTE);
    kb_buffer_put_text(&text, "<a>");
    repeat(&text, "x", S3_XML_MAX - 7);
    kb_buffer_put_text(&text, "</a>");
    KBT_OK(s3_xml_parse(&root, kb_buffer_view(&text), &arena, &err), &err);
    CU_ASSERT_EQUAL(root->text.size, S3_XML_MAX - 7);
    kb_buffer_put_text(&text, " ");
    CU_ASSERT_EQUAL(s3_xml_parse(&root, kb_buffer_view(&text), &arena, &err), KB_ERR_REMOTE);
    kb_buffer_free(&text);
}

static void test_damage(void)
{
    static const char good[] = "<?xml version=\"1.0\"?><a><b>1&amp;2</b><c/></a>";
    char text[sizeof good];
    struct s3_element *root;
    unsigned refused = 0;

    for (size_t cut = 0; cut + 1 < sizeof good; cut++) {
        memcpy(text, good, sizeof good);
        text[cut] = 0;
        parse(text, KB_ERR_REMOTE);
    }
    for (size_t i = 0; i + 1 < sizeof good; i++)
        for (unsigned value = 1; value < 256; value++) {
            struct kb_error err = {0};

            memcpy(text, good, sizeof good);
            text[i] = (char)value;
            kb_arena_reset(&arena);
            if (s3_xml_parse(&root, kb_bytes_text(text), &arena, &err) != KB_OK)
                refused++;
        }
    CU_ASSERT(refused > 4000);
}

static void test_escape(void)
{
    struct kb_buffer out = KB_BUFFER_INIT(1024);

    s3_xml_escape(&out, kb_bytes_text("a<b>&\"'\n\r\t\x01\x7f\xc3\xa9 "));
    KBT_TEXT(kb_buffer_view(&out),
             "a&lt;b&gt;&amp;&quot;&apos;&#xA;&#xD;&#x9;&#x1;&#x7F;\xc3\xa9 ");
    kb_buffer_free(&out);
}

int main(int argc, char **argv)
{
    static const struct kbtest tests[] = {
        {"tree", test_tree},   {"refused", test_refused}, {"bounds", test_bounds},
        {"damage", test_damage}, {"escape", test_escape}, {NULL, NULL},
    };
    int result = kbtest_main("s3_xml", tests, argc, argv);

    kb_arena_free(&arena);
    return result;
}
