/* SPDX-License-Identifier: Apache-2.0
 *
 * src/base: buffers, cursors, text encodings, arena, secrets, files.
 */
#include "base/arena.h"
#include "base/reader.h"
#include "base/text.h"
#include "kbtest.h"

#include <keybridge/file.h>
#include <keybridge/secret.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void test_buffer_bound_latches(void)
{
    struct kb_buffer buffer = KB_BUFFER_INIT(10);
    struct kb_error err = {0};

    kb_buffer_put_text(&buffer, "0123456789");
    KBT_OK(kb_buffer_check(&buffer, &err), &err);
    kb_buffer_put_u8(&buffer, 'x');
    CU_ASSERT_EQUAL(kb_buffer_check(&buffer, &err), KB_ERR_MEMORY);
    kb_buffer_put(&buffer, "", 0);
    CU_ASSERT_TRUE(buffer.failed);
    KBT_TEXT(kb_buffer_view(&buffer), "0123456789");
    kb_buffer_reset(&buffer);
    kb_buffer_put_u32(&buffer, 0x01020304);
    KBT_BYTES(kb_buffer_view(&buffer), ((struct kb_bytes){(const uint8_t *)"\1\2\3\4", 4}));
    kb_buffer_free(&buffer);
}

static void test_reader_latches(void)
{
    static const uint8_t data[] = {0, 0, 0, 2, 'h', 'i', 0, 0, 0, 9};
    struct kb_reader reader = kb_reader_of((struct kb_bytes){data, sizeof data});

    KBT_TEXT(kb_reader_lv(&reader), "hi");
    CU_ASSERT_FALSE(kb_reader_done(&reader));
    CU_ASSERT_EQUAL(kb_reader_count(&reader, 100, 1), 0);
    CU_ASSERT_TRUE(reader.failed);
    CU_ASSERT_EQUAL(kb_reader_u8(&reader), 0);
}

static void check_base64(const char *text, bool strict, bool lenient, const char *want)
{
    struct kb_buffer out = KB_BUFFER_INIT(1000);
    bool got = kb_base64_parse(&out, kb_bytes_text(text));

    CU_ASSERT_EQUAL(got, strict);
    if (strict)
        KBT_TEXT(kb_buffer_view(&out), want);
    else
        CU_ASSERT_EQUAL(out.size, 0);
    kb_buffer_reset(&out);
    got = kb_base64_parse_lenient(&out, kb_bytes_text(text));
    CU_ASSERT_EQUAL(got, lenient);
    if (lenient)
        KBT_TEXT(kb_buffer_view(&out), want);
    kb_buffer_free(&out);
}

static void test_base64(void)
{
    struct kb_buffer out = KB_BUFFER_INIT(1000);

    check_base64("", true, true, "");
    check_base64("Zg==", true, true, "f");
    check_base64("Zm8=", true, true, "fo");
    check_base64("Zm9v", true, true, "foo");
    check_base64("Zm9vYmFy", true, true, "foobar");
    check_base64("Zm8", false, true, "fo");
    check_base64("Zm\r\n9v", false, true, "foo");
    check_base64("Zh==", false, true, "f");
    check_base64("Z", false, false, "");
    check_base64("Zm9v====", false, true, "foo");
    check_base64("=m9v", false, true, "");
    check_base64("Zg=v", false, true, "f");
    kb_base64_format(&out, kb_bytes_text("fooba"));
    KBT_TEXT(kb_buffer_view(&out), "Zm9vYmE=");
    kb_buffer_free(&out);
}

static void test_base64_round_trip(void)
{
    struct kb_buffer text = KB_BUFFER_INIT(10000), back = KB_BUFFER_INIT(10000);
    uint8_t bytes[256];

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 7 + 3);
    for (size_t size = 0; size <= sizeof bytes; size++) {
        kb_buffer_reset(&text);
        kb_buffer_reset(&back);
        kb_base64_format(&text, (struct kb_bytes){bytes, size});
        CU_ASSERT_TRUE(kb_base64_parse(&back, kb_buffer_view(&text)));
        KBT_BYTES(kb_buffer_view(&back), ((struct kb_bytes){bytes, size}));
    }
    kb_buffer_free(&text);
    kb_buffer_free(&back);
}

static void test_utf8(void)
{
    static const char *const good[] = {"", "plain ascii text", "\xc3\xa9", "\xe2\x82\xac",
                                       "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf", "\xed\x9f\xbf"};
    static const char *const bad[] = {"\x80",         "\xc0\x80",         "\xc1\xbf",
                                      "\xe0\x80\x80", "\xed\xa0\x80",     "\xf0\x80\x80\x80",
                                      "\xf5\x80",     "\xf4\x90\x80\x80", "\xe2\x82",
                                      "12345678\xff", "1234567\xc3"};

    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        CU_ASSERT_TRUE(kb_utf8_valid(kb_bytes_text(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CU_ASSERT_FALSE(kb_utf8_valid(kb_bytes_text(bad[i])));
    CU_ASSERT_TRUE(kb_utf8_valid((struct kb_bytes){(const uint8_t *)"a\0b", 3}));
}

static void test_utf16_order(void)
{
    struct kb_bytes private_use = kb_bytes_text("\xee\x80\x80");     /* U+E000 */
    struct kb_bytes astral = kb_bytes_text("\xf0\x90\x80\x80");      /* U+10000 */
    struct kb_bytes before = kb_bytes_text("\xed\x9f\xbf");          /* U+D7FF */

    CU_ASSERT_TRUE(kb_bytes_compare(private_use, astral) < 0);
    CU_ASSERT_TRUE(kb_utf8_compare_utf16(private_use, astral) > 0);
    CU_ASSERT_TRUE(kb_utf8_compare_utf16(astral, private_use) < 0);
    CU_ASSERT_TRUE(kb_utf8_compare_utf16(before, astral) < 0);
    CU_ASSERT_TRUE(kb_utf8_compare_utf16(astral, astral) == 0);
    CU_ASSERT_TRUE(kb_utf8_compare_utf16(kb_bytes_text("a"), kb_bytes_text("ab")) < 0);
}

static void test_hex(void)
{
    struct kb_buffer out = KB_BUFFER_INIT(100);

    CU_ASSERT_TRUE(kb_hex_parse(&out, kb_bytes_text("00fF 1\n0\n"), true));
    KBT_BYTES(kb_buffer_view(&out), ((struct kb_bytes){(const uint8_t *)"\0\xff\x10", 3}));
    CU_ASSERT_FALSE(kb_hex_parse(&out, kb_bytes_text("0 0"), false));
    CU_ASSERT_FALSE(kb_hex_parse(&out, kb_bytes_text("000"), false));
    CU_ASSERT_FALSE(kb_hex_parse(&out, kb_bytes_text("0g"), false));
    kb_buffer_free(&out);
}

static void test_arena_reuse(void)
{
    struct kb_arena arena = KB_ARENA_INIT;

    for (int round = 0; round < 3; round++) {
        for (size_t size = 1; size < 200000; size *= 3) {
            uint8_t *taken = kb_arena_take(&arena, size);

            CU_ASSERT_PTR_NOT_NULL_FATAL(taken);
            memset(taken, round, size);
        }
        kb_arena_reset(&arena);
    }
    CU_ASSERT_PTR_NULL(kb_arena_array(&arena, SIZE_MAX / 4, 8));
    kb_arena_free(&arena);
}

static void put_file(const char *path, const char *text, mode_t mode)
{
    struct kb_error err = {0};

    KBT_OK(kb_file_write(path, mode, kb_bytes_text(text), &err), &err);
}

static void test_secret_file(void)
{
    struct kb_secret *secret;
    struct kb_error err = {0};
    char path[512];

    snprintf(path, sizeof path, "%s/pin", kbtest_folder());
    put_file(path, "1234\r\n", 0600);
    KBT_OK(kb_secret_read_file(&secret, path, 255, true, &err), &err);
    KBT_TEXT(kb_secret_view(secret), "1234");
    kb_secret_free(secret);
    put_file(path, "1234\n\n", 0600);
    KBT_OK(kb_secret_read_file(&secret, path, 255, true, &err), &err);
    KBT_TEXT(kb_secret_view(secret), "1234\n");
    kb_secret_free(secret);
    put_file(path, "1234", 0640);
    CU_ASSERT_EQUAL(kb_secret_read_file(&secret, path, 255, true, NULL), KB_ERR_DENIED);
    put_file(path, "\n", 0600);
    CU_ASSERT_EQUAL(kb_secret_read_file(&secret, path, 255, true, NULL), KB_ERR_USAGE);
    put_file(path, "12345", 0600);
    CU_ASSERT_EQUAL(kb_secret_read_file(&secret, path, 4, true, NULL), KB_ERR_USAGE);
    CU_ASSERT_EQUAL(kb_secret_read_file(&secret, kbtest_folder(), 4, true, NULL), KB_ERR_USAGE);
    CU_ASSERT_EQUAL(kb_secret_read_file(&secret, "/nonexistent", 4, true, NULL), KB_ERR_NOT_FOUND);
    CU_ASSERT_PTR_NULL(secret);
}

static void test_outfile_keeps_old_file(void)
{
    struct kb_outfile *file;
    struct kb_error err = {0};
    struct kb_buffer now = KB_BUFFER_INIT(100);
    char path[512], link_path[512];

    snprintf(path, sizeof path, "%s/out", kbtest_folder());
    snprintf(link_path, sizeof link_path, "%s/link", kbtest_folder());
    put_file(path, "old", 0644);
    KBT_OK(kb_outfile_open(&file, path, 0644, KB_OUTFILE_REPLACE, &err), &err);
    KBT_OK(kb_outfile_write(file, kb_bytes_text("new"), &err), &err);
    kb_outfile_abort(file);
    KBT_OK(kb_file_read(&now, path, &err), &err);
    KBT_TEXT(kb_buffer_view(&now), "old");

    CU_ASSERT_EQUAL(symlink(path, link_path), 0);
    put_file(link_path, "new", 0644);
    kb_buffer_reset(&now);
    KBT_OK(kb_file_read(&now, path, &err), &err);
    KBT_TEXT(kb_buffer_view(&now), "new");
    kb_buffer_free(&now);
}

static void test_outfile_device(void)
{
    struct kb_outfile *file;
    struct kb_error err = {0};
    struct stat info;

    put_file("/dev/null", "gone", 0644);
    CU_ASSERT_EQUAL(stat("/dev/null", &info), 0);
    CU_ASSERT_TRUE(S_ISCHR(info.st_mode));
    KBT_OK(kb_outfile_open(&file, "/dev/null", 0644, KB_OUTFILE_REPLACE, &err), &err);
    CU_ASSERT_EQUAL(fstat(kb_outfile_fd(file), &info), 0);
    CU_ASSERT_TRUE(S_ISCHR(info.st_mode));
    kb_outfile_abort(file);
}

/* Of several files each appears for itself; a folder that went away keeps only
 * its own back. */
static void test_outfile_commit_all(void)
{
    static const char *const names[] = {"all-a", "gone/b", "all-c", "/dev/null", NULL, "all-d"};
    enum { FILES = sizeof names / sizeof *names };
    struct kb_outfile *files[FILES] = {NULL};
    struct kb_error errors[FILES];
    struct kb_error err = {0};
    char path[FILES][512], folder[512];

    snprintf(folder, sizeof folder, "%s/gone", kbtest_folder());
    CU_ASSERT_EQUAL(mkdir(folder, 0700), 0);
    for (size_t i = 0; i < FILES; i++) {
        if (!names[i])
            continue;
        snprintf(path[i], sizeof path[i], "%s%s%s", names[i][0] == '/' ? "" : kbtest_folder(),
                 names[i][0] == '/' ? "" : "/", names[i]);
        KBT_OK(kb_outfile_open(&files[i], path[i], 0640, KB_OUTFILE_REPLACE, &err), &err);
        KBT_OK(kb_outfile_write(files[i], kb_bytes_text(names[i]), &err), &err);
    }
    CU_ASSERT_NOT_EQUAL(access(path[0], F_OK), 0);
    {
        /* A file system without unnamed files has a temporary one in it. */
        char away[600];

        snprintf(away, sizeof away, "%s.away", folder);
        CU_ASSERT_EQUAL(rename(folder, away), 0);
    }
    kb_outfile_commit_all(files, FILES, errors);
    CU_ASSERT_EQUAL(errors[1].detail, ENOENT);
    for (size_t i = 0; i < FILES; i++) {
        struct kb_buffer now = KB_BUFFER_INIT(100);

        CU_ASSERT_PTR_NULL(files[i]);
        CU_ASSERT_EQUAL(errors[i].status, i == 1 ? KB_ERR_SYSTEM : KB_OK);
        if (i == 1 || !names[i] || names[i][0] == '/')
            continue;
        KBT_OK(kb_file_read(&now, path[i], NULL), &err);
        KBT_TEXT(kb_buffer_view(&now), names[i]);
        kb_buffer_free(&now);
    }
}

static void check_file(const char *path, const char *want)
{
    struct kb_buffer now = KB_BUFFER_INIT(100);
    struct kb_error err = {0};

    KBT_OK(kb_file_read(&now, path, &err), &err);
    KBT_TEXT(kb_buffer_view(&now), want);
    kb_buffer_free(&now);
}

/* A name that must be free is asked for when the file is opened and when it is
 * published; nothing is left of a file that came too late. */
static void test_outfile_new(void)
{
    struct kb_outfile *files[3] = {NULL};
    struct kb_error errors[3];
    struct kb_error err = {0};
    char path[512], link_path[512], other[512];

    snprintf(path, sizeof path, "%s/new", kbtest_folder());
    snprintf(other, sizeof other, "%s/new-too", kbtest_folder());
    snprintf(link_path, sizeof link_path, "%s/new-link", kbtest_folder());
    KBT_OK(kb_outfile_open(&files[0], path, 0600, KB_OUTFILE_NEW, &err), &err);
    KBT_OK(kb_outfile_open(&files[2], other, 0600, KB_OUTFILE_NEW, &err), &err);
    KBT_OK(kb_outfile_write(files[2], kb_bytes_text("here"), &err), &err);
    put_file(path, "first", 0644);
    kb_outfile_commit_all(files, 3, errors);
    CU_ASSERT_EQUAL(errors[0].status, KB_ERR_EXISTS);
    CU_ASSERT_EQUAL(errors[1].status, KB_OK);
    CU_ASSERT_EQUAL(errors[2].status, KB_OK);
    check_file(path, "first");
    check_file(other, "here");
    CU_ASSERT_EQUAL(kb_outfile_open(&files[0], path, 0600, KB_OUTFILE_NEW, NULL), KB_ERR_EXISTS);
    /* A link to nothing is something. */
    CU_ASSERT_EQUAL(symlink("nowhere", link_path), 0);
    CU_ASSERT_EQUAL(kb_outfile_open(&files[0], link_path, 0600, KB_OUTFILE_NEW, NULL),
                    KB_ERR_EXISTS);
    CU_ASSERT_EQUAL(unlink(other), 0);
    KBT_OK(kb_outfile_open(&files[0], other, 0600, KB_OUTFILE_NEW, NULL), &err);
    CU_ASSERT_EQUAL(symlink("nowhere", other), 0);
    CU_ASSERT_EQUAL(kb_outfile_commit(files[0], NULL), KB_ERR_EXISTS);
}

static void test_outfile_links(void)
{
    struct kb_outfile *file;
    struct kb_error err = {0};
    struct stat info;
    char path[512], link_path[512];

    snprintf(path, sizeof path, "%s/victim", kbtest_folder());
    snprintf(link_path, sizeof link_path, "%s/to-victim", kbtest_folder());
    put_file(path, "old", 0644);
    CU_ASSERT_EQUAL(symlink("victim", link_path), 0);
    CU_ASSERT_EQUAL(kb_outfile_open(&file, link_path, 0600, KB_OUTFILE_NO_LINK, NULL),
                    KB_ERR_DENIED);
    KBT_OK(kb_outfile_open(&file, path, 0600, KB_OUTFILE_NO_LINK, &err), &err);
    KBT_OK(kb_outfile_write(file, kb_bytes_text("new"), &err), &err);
    KBT_OK(kb_outfile_commit(file, &err), &err);
    check_file(path, "new");
    /* A link that comes later is replaced itself. */
    KBT_OK(kb_outfile_open(&file, path, 0600, KB_OUTFILE_NO_LINK, &err), &err);
    CU_ASSERT_EQUAL(unlink(link_path), 0);
    CU_ASSERT_EQUAL(rename(path, link_path), 0);
    CU_ASSERT_EQUAL(symlink("to-victim", path), 0);
    KBT_OK(kb_outfile_commit(file, &err), &err);
    CU_ASSERT_TRUE(lstat(path, &info) == 0 && S_ISREG(info.st_mode));
    check_file(link_path, "new");
    /* A link to nothing is not replaced. */
    CU_ASSERT_EQUAL(unlink(path), 0);
    CU_ASSERT_EQUAL(symlink("nowhere", path), 0);
    CU_ASSERT_EQUAL(kb_outfile_open(&file, path, 0600, KB_OUTFILE_REPLACE, NULL), KB_ERR_NOT_FOUND);
    CU_ASSERT_TRUE(lstat(path, &info) == 0 && S_ISLNK(info.st_mode));
}

static void test_error_first_wins(void)
{
    struct kb_error err = {0};

    kb_error_set(&err, KB_ERR_INPUT, "line %d: \033[31mred", 7);
    kb_error_set(&err, KB_ERR_SYSTEM, "later");
    kb_error_hint(&err, "first");
    kb_error_hint(&err, "second");
    CU_ASSERT_EQUAL(err.status, KB_ERR_INPUT);
    CU_ASSERT_STRING_EQUAL(err.text, "line 7: ?[31mred");
    CU_ASSERT_STRING_EQUAL(err.hint, "first");
    CU_ASSERT_EQUAL(kb_error_set(NULL, KB_ERR_USAGE, "x"), KB_ERR_USAGE);
    kb_error_clear(&err);
    kb_error_errno(&err, KB_ERR_SYSTEM, ENOENT, "opening");
    CU_ASSERT_STRING_EQUAL(err.text, "opening: No such file or directory");
}

static void check_tame(const char *text, const char *want)
{
    char copy[64];

    snprintf(copy, sizeof copy, "%s", text);
    kb_text_tame(copy);
    CU_ASSERT_STRING_EQUAL(copy, want);
}

static void test_tame(void)
{
    struct kb_error err = {0};

    check_tame("", "");
    check_tame("plain ~", "plain ~");
    check_tame("\a\b\t\n\033[2J\x7f", "?????[2J?");
    /* C1 in UTF-8, and where it ends. */
    check_tame("a\xc2\x80z\xc2\x9b" "31m\xc2\x9fz", "a?z?31m?z");
    check_tame("\xc2\xa0\xc2\xa9\xc3\x9f", "\xc2\xa0\xc2\xa9\xc3\x9f");
    /* The same bytes in other characters stay. */
    check_tame("\xe2\x82\xac \xf0\x9f\x98\x80 \xc3\x80", "\xe2\x82\xac \xf0\x9f\x98\x80 \xc3\x80");
    /* Controls of direction, and their neighbours. */
    check_tame("a\xe2\x80\xaa" "b\xe2\x80\xae" "c\xe2\x81\xa6" "d\xe2\x81\xa9", "a?b?c?d?");
    check_tame("\xe2\x80\xa9 \xe2\x80\xaf \xe2\x81\xa5 \xe2\x81\xaa",
               "\xe2\x80\xa9 \xe2\x80\xaf \xe2\x81\xa5 \xe2\x81\xaa");
    check_tame("\xe2\x80", "\xe2\x80");
    /* What is no UTF-8: a control of Latin-1, a character that is cut. */
    check_tame("a\x9b" "31m\x80", "a?31m?");
    check_tame("\xe2\x82\xac\x9b", "\xe2\x82\xac?");
    check_tame("\xe2\xc2\x9b", "\xe2?");
    check_tame("\xe2\033", "\xe2?");
    check_tame("\xc2", "\xc2");
    kb_error_set(&err, KB_ERR_INPUT, "name '%s'", "\xc2\x9b" "2J");
    kb_error_hint(&err, "%s", "\xc2\x90");
    CU_ASSERT_STRING_EQUAL(err.text, "name '?2J'");
    CU_ASSERT_STRING_EQUAL(err.hint, "?");
}

int main(int argc, char **argv)
{
    static const struct kbtest tests[] = {
        {"buffer: the bound latches", test_buffer_bound_latches},
        {"reader: a short read latches", test_reader_latches},
        {"base64: strict and lenient", test_base64},
        {"base64: round trip of every length", test_base64_round_trip},
        {"utf8: well-formed or not", test_utf8},
        {"utf8: order by UTF-16 units", test_utf16_order},
        {"hex", test_hex},
        {"arena: reuse after reset", test_arena_reuse},
        {"secret: from a file", test_secret_file},
        {"outfile: the old file stays until commit", test_outfile_keeps_old_file},
        {"outfile: a device is written, not replaced", test_outfile_device},
        {"outfile: many published at once", test_outfile_commit_all},
        {"outfile: a name that must be free", test_outfile_new},
        {"outfile: links", test_outfile_links},
        {"error: first wins, controls replaced", test_error_first_wins},
        {"text: nothing that steers a terminal", test_tame},
        {NULL, NULL},
    };

    return kbtest_main("base", tests, argc, argv);
}
