/* SPDX-License-Identifier: Apache-2.0
 *
 * Algorithm suites, key derivation and encryption contexts of the AWS
 * Encryption SDK.
 */
#include "base/text.h"
#include "esdk/header.h"
#include "kbtest.h"

#include <stdio.h>
#include <string.h>

static void test_suites(void)
{
    static const uint16_t ids[] = {0x0014, 0x0046, 0x0078, 0x0114, 0x0146, 0x0178,
                                   0x0214, 0x0346, 0x0378, 0x0478, 0x0578};
    size_t seen = 0;

    for (unsigned id = 0; id <= UINT16_MAX; id++) {
        const struct esdk_suite *suite = esdk_suite_find((uint16_t)id);

        CU_ASSERT_EQUAL(suite != NULL, seen < 11 && ids[seen] == id);
        CU_ASSERT_EQUAL(kb_esdk_suite_name((uint16_t)id) != NULL, suite != NULL);
        if (!suite)
            continue;
        seen++;
        CU_ASSERT_EQUAL(suite->id, id);
        /* The last two digits are the key's bits, 0x14, 0x46 and 0x78 of them. */
        CU_ASSERT_EQUAL(suite->key_size, (id & 0xff) == 0x14 ? 16 : (id & 0xff) == 0x46 ? 24 : 32);
        CU_ASSERT_EQUAL(suite->version, id >= 0x0478 ? 2 : 1);
        CU_ASSERT_EQUAL(suite->committing, id >= 0x0478);
        CU_ASSERT_EQUAL(suite->kdf, id >= 0x0100);
        CU_ASSERT_EQUAL(suite->is_signed, id > 0x0178 && id != 0x0478);
        CU_ASSERT_EQUAL(strstr(suite->name, "ECDSA") != NULL, suite->is_signed);
        CU_ASSERT_EQUAL(strstr(suite->name, "P-256") != NULL, id == 0x0214);
    }
    CU_ASSERT_EQUAL(seen, 11);
    CU_ASSERT_STRING_EQUAL(kb_esdk_suite_name(0x0578),
                           "AES-256-GCM, HKDF-SHA-512, key commitment, ECDSA P-384");
}

static void test_parse(void)
{
    static const char *const wrong[] = {"",       "0x",    "578",     "0x578",  "00578", "0x00578",
                                        "0x057",  "0x05 8", "0x05g8", " 0578",  "0578 ", "-578",
                                        "0x0000", "0070",  "x0578",   "0x0x78", "0579",  "057/",
                                        "057:",   "057@",  "057`"};
    uint16_t id = 0xeeee;

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        CU_ASSERT_FALSE(kb_esdk_suite_parse(&id, wrong[i]));
    CU_ASSERT_EQUAL(id, 0xeeee);
    for (unsigned n = 0; n <= UINT16_MAX; n++) {
        char text[8];

        snprintf(text, sizeof text, n % 2 ? "0x%04X" : "%04x", n);
        CU_ASSERT_EQUAL(kb_esdk_suite_parse(&id, text), kb_esdk_suite_name((uint16_t)n) != NULL);
    }
    CU_ASSERT_EQUAL(id, 0x0578);
}

/* --- derivation ---------------------------------------------------------------------- */

static void check_key(const uint8_t *got, size_t size, const char *want)
{
    struct kb_buffer bytes = KB_BUFFER_INIT(100);

    CU_ASSERT_TRUE(kb_hex_parse(&bytes, kb_bytes_text(want), false));
    KBT_BYTES(((struct kb_bytes){got, size}), kb_buffer_view(&bytes));
    kb_buffer_free(&bytes);
}

/* Data key 00 01 02 …, message id 40 41 42 …; made with Python's hmac. */
static void test_derive(void)
{
    static const struct {
        uint16_t id;
        const char *content, *commit;
    } rows[] = {
        {0x0014, "000102030405060708090a0b0c0d0e0f", ""},
        {0x0046, "000102030405060708090a0b0c0d0e0f1011121314151617", ""},
        {0x0078, "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", ""},
        {0x0114, "6a359b61f124f222f0a6efd9089f5ef6", ""},
        {0x0146, "175b5c0d0979d83289f2726175e9c6a3e36e47bf6f996dd7", ""},
        {0x0178, "d59fd0d44cc55e6412795792d6456cdcdd99fcde7f13ec25bae832b586c56d2e", ""},
        {0x0214, "ef26cb09a59fb81f7d88c791749f6488", ""},
        {0x0346, "be714b7dc394a77e651a8a7fa3f7b992c28e048c34e32cc8", ""},
        {0x0378, "96e048ef1d1a79c186acbfaf95ab745499fbf22f2c5a4ba50142d31d382c9315", ""},
        {0x0478, "d74e333c806138f8d6920e0bba0d3d03babaf903bd68b68f7c3ca48365622a41",
         "4fc8f3b078da9a1778fd776cf39f21e62e3c512006129bc6f16a06f8ccdead3a"},
        {0x0578, "9121077dd68052ec87f954b3036f5bc5708ba04cada53df4e0947cba509f6f5d",
         "4fc8f3b078da9a1778fd776cf39f21e62e3c512006129bc6f16a06f8ccdead3a"},
    };
    uint8_t bytes[33 + 0x40];

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)i;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct esdk_suite *suite = esdk_suite_find(rows[i].id);
        struct kb_bytes key = {bytes, suite->key_size};
        struct kb_bytes id = {bytes + 0x40, esdk_message_id_size(suite)};
        uint8_t content[32], commit[ESDK_COMMIT_KEY], untouched[ESDK_COMMIT_KEY];

        memset(commit, 0xee, sizeof commit);
        memset(untouched, 0xee, sizeof untouched);
        KBT_OK(esdk_derive(suite, key, id, content, commit, NULL), NULL);
        check_key(content, suite->key_size, rows[i].content);
        if (suite->committing)
            check_key(commit, sizeof commit, rows[i].commit);
        else
            CU_ASSERT_EQUAL(memcmp(commit, untouched, sizeof commit), 0);
        for (size_t size = 0; size <= 33; size++) {
            key.size = size;
            CU_ASSERT_EQUAL(esdk_derive(suite, key, id, content, commit, NULL),
                            size == suite->key_size ? KB_OK : KB_ERR_USAGE);
        }
        key.size = suite->key_size;
        id.size--;
        CU_ASSERT_EQUAL(esdk_derive(suite, key, id, content, commit, NULL), KB_ERR_USAGE);
    }
}

/* --- encryption contexts --------------------------------------------------------------- */

static struct kb_pair pair(const char *name, const char *value)
{
    return (struct kb_pair){kb_bytes_text(name), kb_bytes_text(value)};
}

static void test_context(void)
{
    /* U+FFxx is before U+1Fxxx by bytes, behind it by UTF-16 code units. */
    struct kb_pair pairs[] = {pair("\xf0\x9f\x94\x91", "astral"), pair("b", ""), pair("ab", "2"),
                              pair("\xef\xbd\x81", "wide"),       pair("a", "1")};
    static const char want[] = "\0\5\0\1a\0\1""1\0\2ab\0\1""2\0\1b\0\0"
                               "\0\3\xef\xbd\x81\0\4wide\0\4\xf0\x9f\x94\x91\0\6astral";
    struct kb_buffer out = KB_BUFFER_INIT(1 << 20);

    CU_ASSERT_EQUAL(esdk_context_sort(pairs, 5, KB_ERR_INPUT, NULL), KB_OK);
    KBT_OK(esdk_context_write(&out, pairs, 5, NULL), NULL);
    KBT_BYTES(kb_buffer_view(&out),
              ((struct kb_bytes){(const uint8_t *)want, sizeof want - 1}));
    CU_ASSERT_PTR_EQUAL(esdk_context_find(pairs, 5, kb_bytes_text("ab")), &pairs[1]);
    CU_ASSERT_PTR_NULL(esdk_context_find(pairs, 5, kb_bytes_text("abc")));
    CU_ASSERT_PTR_NULL(esdk_context_find(pairs, 5, kb_bytes_text("")));
    pairs[4].name = kb_bytes_text("ab");
    CU_ASSERT_EQUAL(esdk_context_sort(pairs, 5, KB_ERR_INPUT, NULL), KB_ERR_INPUT);
    kb_buffer_reset(&out);
    CU_ASSERT_EQUAL(esdk_context_sort(NULL, 0, KB_ERR_INPUT, NULL), KB_OK);
    KBT_OK(esdk_context_write(&out, NULL, 0, NULL), NULL);
    CU_ASSERT_EQUAL(out.size, 0);
    kb_buffer_free(&out);
}

static void test_context_limits(void)
{
    static uint8_t bytes[65537];
    struct kb_buffer out = KB_BUFFER_INIT(1 << 20);
    static struct kb_pair many[16384]; /* the least of a pair are its two lengths */

    for (size_t size = 65520; size < sizeof bytes; size++) {
        struct kb_pair one = {{bytes, 7}, {bytes, size}};
        bool fits = 2 + 2 + 7 + 2 + size <= 65535;

        kb_buffer_reset(&out);
        CU_ASSERT_EQUAL(esdk_context_write(&out, &one, 1, NULL), fits ? KB_OK : KB_ERR_USAGE);
        CU_ASSERT_EQUAL(out.size, fits ? 13 + size : 0);
        one = (struct kb_pair){{bytes, size}, {bytes, 7}};
        kb_buffer_reset(&out);
        CU_ASSERT_EQUAL(esdk_context_write(&out, &one, 1, NULL), fits ? KB_OK : KB_ERR_USAGE);
    }
    kb_buffer_reset(&out);
    KBT_OK(esdk_context_write(&out, many, 16383, NULL), NULL);
    CU_ASSERT_EQUAL(out.size, 65534);
    CU_ASSERT_EQUAL(esdk_context_write(&out, many, 16384, NULL), KB_ERR_USAGE);
    kb_buffer_free(&out);
}

int main(int argc, char **argv)
{
    static const struct kbtest tests[] = {
        {"the suites", test_suites},
        {"their ids as text", test_parse},
        {"content and commit keys", test_derive},
        {"encryption contexts", test_context},
        {"their limits", test_context_limits},
        {NULL, NULL},
    };

    return kbtest_main("esdk suite", tests, argc, argv);
}
