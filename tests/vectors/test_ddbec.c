/* SPDX-License-Identifier: Apache-2.0
 *
 * The item encryptor over a real token: behaviour, refusals, alterations, and
 * where plaintext keys may be.
 */
#include "attr/attr.h"
#include "base/text.h"
#include "ddbec/ddbec.h"
#include "kbtest.h"
#include "token_fixture.h"

#include <keybridge/stream.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct token_fixture fixture;
static struct kb_keystore *keystore;

static void create_key(const char *name, enum kb_key_use use, enum kb_key_type type, bool never)
{
    struct kb_key_spec spec = {.name = name, .use = use, .type = type, .release_never = never};
    struct kb_error err = {0};
    struct kb_token *token;

    KBT_OK(kb_token_lease(&token, keystore, &err), &err);
    KBT_OK(kb_key_create(token, &spec, &err), &err);
    kb_token_return(token);
}

static void open_token(enum token_kind kind)
{
    CU_ASSERT_TRUE_FATAL(token_fixture_open(&fixture, kind, &keystore));
    create_key("wrap", KB_KEY_WRAP, KB_KEY_AES_256, false);
    create_key("other-wrap", KB_KEY_WRAP, KB_KEY_AES_256, false);
    create_key("never", KB_KEY_WRAP, KB_KEY_AES_256, true);
    create_key("sign", KB_KEY_SIGN, KB_KEY_HMAC_SHA256, false);
    create_key("other-sign", KB_KEY_SIGN, KB_KEY_HMAC_SHA256, false);
    create_key("sign-512", KB_KEY_SIGN, KB_KEY_HMAC_SHA512, false);
    create_key("content", KB_KEY_CONTENT, KB_KEY_AES_256, false);
}

static void close_token(void)
{
    kb_keystore_close(keystore);
    token_fixture_free(&fixture);
}

/* What differs from the usual encryptor; zero is the usual. */
struct setting {
    const char *wrap_key; /* "static": a content key in the token; "none": sign only */
    const char *sign_key;
    const char *table;
    const char *actions;
    const char *sort_key;
    const char *description_attribute;
    const char *signature_attribute;
};

static struct kb_worker *open_worker(const struct setting *setting)
{
    const char *wrap = setting->wrap_key ? setting->wrap_key : "wrap";
    bool is_static = strcmp(wrap, "static") == 0, none = strcmp(wrap, "none") == 0;
    struct kb_provider_options keys = {
        .sign_key = setting->sign_key ? setting->sign_key : "sign",
        .wrap_key = is_static || none ? NULL : wrap,
        .content_key = is_static ? "content" : NULL,
    };
    struct kb_ddbec_options options = {
        .table_name = setting->table ? setting->table : "T",
        .partition_key = "id",
        .sort_key = setting->sort_key,
        .description_attribute = setting->description_attribute,
        .signature_attribute = setting->signature_attribute,
    };
    struct kb_provider *provider = NULL;
    struct kb_actions *actions = NULL;
    struct kb_worker *worker = NULL;
    struct kb_ddbec *ddbec = NULL;
    struct kb_error err = {0};

    KBT_OK(keys.wrap_key ? kb_provider_wrapped(&provider, keystore, &keys, &err)
                         : kb_provider_static(&provider, keystore, &keys, &err),
           &err);
    KBT_OK(kb_actions_parse(&actions, kb_bytes_text(setting->actions), &err), &err);
    options.actions = actions;
    KBT_OK(kb_ddbec_new(&ddbec, &options, provider, &err), &err);
    KBT_OK(kb_worker_new(&worker, ddbec, &err), &err);
    kb_ddbec_release(ddbec);
    kb_provider_release(provider);
    kb_actions_free(actions);
    CU_ASSERT_PTR_NOT_NULL_FATAL(worker);
    return worker;
}

/* One item there or back; a copy of what came out, "" when it was refused. */
static void one(struct kb_worker *worker, bool decrypt, struct kb_bytes in, struct kb_buffer *out,
                struct kb_error *error)
{
    struct kb_line line = {.in = in};
    struct kb_error err = {0};

    KBT_OK(decrypt ? kb_ddbec_decrypt(worker, &line, 1, &err)
                   : kb_ddbec_encrypt(worker, &line, 1, &err),
           &err);
    kb_buffer_reset(out);
    kb_buffer_put_bytes(out, line.out);
    *error = line.error;
}

static const char item_text[] =
    "{\"id\":{\"S\":\"a\"},\"name\":{\"S\":\"secret words\"},\"n\":{\"N\":\"12\"},"
    "\"m\":{\"M\":{\"x\":{\"L\":[{\"NULL\":true},{\"BOOL\":false},{\"B\":\"AAEC\"}]}}},"
    "\"nul\":{\"S\":\"a\\u0000b\"},\"ss\":{\"SS\":[\"a\",\"b\"]}}";

static void check_both_ways(const struct setting *setting)
{
    struct kb_buffer stored = KB_BUFFER_INIT(1 << 20), back = KB_BUFFER_INIT(1 << 20);
    struct kb_worker *worker = open_worker(setting);
    struct kb_error error;

    one(worker, false, kb_bytes_text(item_text), &stored, &error);
    KBT_OK(error.status, &error);
    kb_worker_free(worker);
    worker = open_worker(setting);
    one(worker, true, kb_buffer_view(&stored), &back, &error);
    KBT_OK(error.status, &error);
    KBT_TEXT(kb_buffer_view(&back), item_text);
    kb_worker_free(worker);
    kb_buffer_free(&stored);
    kb_buffer_free(&back);
}

static void run_both_ways(enum token_kind kind)
{
    static const struct setting settings[] = {
        {0},
        {.wrap_key = "never"},
        {.wrap_key = "static"},
        {.wrap_key = "none", .actions = "{\"default\":\"SIGN_ONLY\"}"},
        {.sign_key = "sign-512"},
        {.actions = "{\"default\":\"DO_NOTHING\"}"},
        {.actions = "{\"default\":\"DO_NOTHING\",\"attributes\":{\"m\":\"ENCRYPT_AND_SIGN\"}}"},
        {.actions = "{\"attributes\":{\"n\":\"SIGN_ONLY\",\"ss\":\"DO_NOTHING\"}}"},
        {.description_attribute = "d", .signature_attribute = "s"},
    };

    if (!token_module(kind))
        return;
    open_token(kind);
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        check_both_ways(&settings[i]);
    close_token();
}

static void test_both_ways_softhsm(void)
{
    run_both_ways(TOKEN_SOFTHSM);
}

static void test_both_ways_nss(void)
{
    run_both_ways(TOKEN_NSS);
}

/* What is stored shows no plaintext, and an item is never twice the same. */
static void test_stored_form(void)
{
    struct kb_buffer a = KB_BUFFER_INIT(1 << 20), b = KB_BUFFER_INIT(1 << 20);
    struct setting usual = {0};
    struct kb_worker *worker;
    struct kb_error error;

    open_token(TOKEN_SOFTHSM);
    worker = open_worker(&usual);
    one(worker, false, kb_bytes_text(item_text), &a, &error);
    one(worker, false, kb_bytes_text(item_text), &b, &error);
    CU_ASSERT_FALSE(kb_bytes_equal(kb_buffer_view(&a), kb_buffer_view(&b)));
    kb_buffer_put_u8(&a, 0);
    CU_ASSERT_PTR_NULL(strstr((const char *)a.data, "secret"));
    CU_ASSERT_PTR_NOT_NULL(strstr((const char *)a.data, "{\"id\":{\"S\":\"a\"},"));
    CU_ASSERT_PTR_NOT_NULL(strstr((const char *)a.data, "\"*amzn-ddb-map-desc*\""));
    kb_worker_free(worker);
    kb_buffer_free(&a);
    kb_buffer_free(&b);
    close_token();
}

/* --- refusals when writing ----------------------------------------------------------- */

static void check_not_encrypted(struct kb_worker *worker, const char *json, const char *sentence)
{
    struct kb_buffer out = KB_BUFFER_INIT(1 << 20);
    struct kb_error error;

    one(worker, false, kb_bytes_text(json), &out, &error);
    CU_ASSERT_EQUAL(error.status, KB_ERR_INPUT);
    CU_ASSERT_EQUAL(out.size, 0);
    if (!strstr(error.text, sentence)) {
        fprintf(stderr, "'%s' does not say '%s'\n", error.text, sentence);
        CU_FAIL("sentence");
    }
    kb_buffer_free(&out);
}

static void check_big_item(struct kb_worker *worker)
{
    struct kb_buffer json = KB_BUFFER_INIT(1 << 20);

    /* Fits as it is, but not with what encryption adds. */
    kb_buffer_put_text(&json, "{\"id\":{\"S\":\"a\"},\"x\":{\"S\":\"");
    memset(kb_buffer_extend(&json, KB_ITEM_SIZE_MAX - 20), 'x', KB_ITEM_SIZE_MAX - 20);
    kb_buffer_put_text(&json, "\"}}");
    kb_buffer_put_u8(&json, 0);
    check_not_encrypted(worker, (const char *)json.data, "once encrypted");
    kb_buffer_free(&json);
}

static void test_refusals(void)
{
    struct setting no_content = {.wrap_key = "none"};
    struct setting with_sort = {.sort_key = "at"};
    struct setting usual = {0};
    struct kb_worker *worker;

    open_token(TOKEN_SOFTHSM);
    worker = open_worker(&usual);
    check_not_encrypted(worker, "{\"x\":{\"S\":\"a\"}}", "no key attribute 'id'");
    check_not_encrypted(worker, "{\"id\":{\"BOOL\":true}}", "not S, N or B");
    check_not_encrypted(worker, "{\"id\":{\"S\":\"a\"},\"*amzn-ddb-map-sig*\":{\"B\":\"\"}}",
                        "reserved");
    check_not_encrypted(worker, "{\"id\":{\"S\":\"a\"},\"id\":{\"S\":\"a\"}}", "id");
    check_not_encrypted(worker, "not json", "");
    check_big_item(worker);
    kb_worker_free(worker);
    worker = open_worker(&no_content);
    check_not_encrypted(worker, item_text, "no content key");
    kb_worker_free(worker);
    worker = open_worker(&with_sort);
    check_not_encrypted(worker, "{\"id\":{\"S\":\"a\"}}", "no key attribute 'at'");
    kb_worker_free(worker);
    close_token();
}

static void check_configuration(const struct kb_ddbec_options *options,
                                const struct kb_provider_options *keys, enum kb_status want)
{
    struct kb_provider *provider = NULL;
    struct kb_ddbec *ddbec = NULL;
    enum kb_status status = keys->wrap_key ? kb_provider_wrapped(&provider, keystore, keys, NULL)
                                           : kb_provider_static(&provider, keystore, keys, NULL);

    if (status == KB_OK)
        status = kb_ddbec_new(&ddbec, options, provider, NULL);
    CU_ASSERT_EQUAL(status, want);
    kb_ddbec_release(ddbec);
    kb_provider_release(provider);
}

static void check_provider(struct kb_provider_options keys, enum kb_status want)
{
    struct kb_ddbec_options options = {.table_name = "T", .partition_key = "id"};

    check_configuration(&options, &keys, want);
}

static void test_configuration(void)
{
    const struct kb_provider_options good = {.sign_key = "sign", .wrap_key = "wrap"};
    const struct kb_pair reserved = {kb_bytes_text("amzn-ddb-env-key"), kb_bytes_text("x")};
    const struct kb_pair fine[] = {{kb_bytes_text("a"), kb_bytes_text("")},
                                   {kb_bytes_text("a"), kb_bytes_text("b")}};
    struct kb_ddbec_options options = {.table_name = "T", .partition_key = "id"};
    struct kb_actions *actions;

    open_token(TOKEN_SOFTHSM);
    check_provider(good, KB_OK);
    check_provider((struct kb_provider_options){.sign_key = "gone", .wrap_key = "wrap"},
                   KB_ERR_NOT_FOUND);
    check_provider((struct kb_provider_options){.sign_key = "wrap", .wrap_key = "wrap"},
                   KB_ERR_DENIED);
    check_provider((struct kb_provider_options){.sign_key = "sign", .wrap_key = "content"},
                   KB_ERR_DENIED);
    check_provider((struct kb_provider_options){.sign_key = "sign", .content_key = "wrap"},
                   KB_ERR_DENIED);
    check_provider((struct kb_provider_options){.sign_key = "sign",
                                                .wrap_key = "wrap",
                                                .sign_algorithm = "HmacSHA512"},
                   KB_ERR_USAGE);
    check_provider((struct kb_provider_options){.sign_key = "sign",
                                                .wrap_key = "wrap",
                                                .sign_algorithm = "SHA256withRSA"},
                   KB_ERR_USAGE);
    check_provider((struct kb_provider_options){.sign_key = "sign",
                                                .wrap_key = "wrap",
                                                .content_key_bits = 512},
                   KB_ERR_USAGE);
    check_provider((struct kb_provider_options){.sign_key = "sign",
                                                .wrap_key = "wrap",
                                                .description = &reserved,
                                                .description_count = 1},
                   KB_ERR_USAGE);
    check_provider((struct kb_provider_options){.sign_key = "sign",
                                                .wrap_key = "wrap",
                                                .description = fine,
                                                .description_count = 2},
                   KB_ERR_USAGE);
    check_provider((struct kb_provider_options){.sign_key = "sign",
                                                .wrap_key = "wrap",
                                                .description = fine,
                                                .description_count = 1},
                   KB_OK);
    KBT_OK(kb_actions_parse(&actions,
                            kb_bytes_text("{\"attributes\":{\"id\":\"ENCRYPT_AND_SIGN\"}}"), NULL),
           NULL);
    options.actions = actions;
    check_configuration(&options, &good, KB_ERR_USAGE);
    kb_actions_free(actions);
    KBT_OK(kb_actions_parse(
               &actions, kb_bytes_text("{\"attributes\":{\"*amzn-ddb-map-sig*\":\"SIGN_ONLY\"}}"),
               NULL),
           NULL);
    options.actions = actions;
    check_configuration(&options, &good, KB_ERR_USAGE);
    kb_actions_free(actions);
    close_token();
}

static void test_actions_text(void)
{
    static const char *const bad[] = {
        "[]",
        "{\"default\":\"ENCRYPT\"}",
        "{\"default\":1}",
        "{\"defaults\":\"SIGN_ONLY\"}",
        "{\"default\":\"SIGN_ONLY\",\"default\":\"SIGN_ONLY\"}",
        "{\"attributes\":[]}",
        "{\"attributes\":{\"a\":\"SIGN_ONLY\",\"a\":\"DO_NOTHING\"}}",
        "{} x",
        "{",
        "{\"attributes\":{\"\xff\":\"SIGN_ONLY\"}}",
    };
    struct kb_actions *actions;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CU_ASSERT_EQUAL(kb_actions_parse(&actions, kb_bytes_text(bad[i]), NULL), KB_ERR_USAGE);
        CU_ASSERT_PTR_NULL(actions);
    }
    KBT_OK(kb_actions_parse(&actions, kb_bytes_text(" {} \n"), NULL), NULL);
    CU_ASSERT_EQUAL(kb_actions_get(actions, kb_bytes_text("x")), KB_ACTION_ENCRYPT_AND_SIGN);
    kb_actions_free(actions);
}

/* --- alterations ------------------------------------------------------------------------- */

static void check_refused(struct kb_worker *worker, struct kb_bytes stored)
{
    struct kb_buffer out = KB_BUFFER_INIT(1 << 20);
    struct kb_error error;

    one(worker, true, stored, &out, &error);
    CU_ASSERT_EQUAL(error.status, KB_ERR_AUTH);
    CU_ASSERT_STRING_EQUAL(error.text, kb_status_sentence(KB_ERR_AUTH));
    CU_ASSERT_EQUAL(out.size, 0);
    kb_buffer_free(&out);
}

/* Flips each bit of the binary attribute `name` of the stored item in turn. */
static void flip_attribute(struct kb_worker *worker, struct kb_bytes stored, const char *name,
                           bool may_pass)
{
    struct kb_buffer altered = KB_BUFFER_INIT(1 << 20), out = KB_BUFFER_INIT(1 << 20);
    struct kb_arena arena = KB_ARENA_INIT;
    struct kb_attr *value;
    struct kb_item item;
    uint8_t *bytes;

    KBT_OK(kb_item_parse(&item, stored, &arena, NULL), NULL);
    value = kb_item_find(&item, kb_bytes_text(name));
    CU_ASSERT_PTR_NOT_NULL_FATAL(value);
    bytes = kb_arena_take(&arena, value->bytes.size);
    memcpy(bytes, value->bytes.data, value->bytes.size);
    value->bytes.data = bytes;
    for (size_t bit = 0; bit < value->bytes.size * 8; bit++) {
        struct kb_error error;

        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        kb_buffer_reset(&altered);
        kb_item_format(&altered, &item);
        if (!may_pass) {
            check_refused(worker, kb_buffer_view(&altered));
        } else {
            /* The description is not signed; but what comes out is right or nothing. */
            one(worker, true, kb_buffer_view(&altered), &out, &error);
            if (error.status == KB_OK)
                KBT_TEXT(kb_buffer_view(&out), item_text);
            else
                CU_ASSERT_STRING_EQUAL(error.text, kb_status_sentence(KB_ERR_AUTH));
        }
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t size = 0; size < value->bytes.size; size++) {
        struct kb_bytes whole = value->bytes;

        value->bytes.size = size;
        kb_buffer_reset(&altered);
        kb_item_format(&altered, &item);
        if (!may_pass || size < 4)
            check_refused(worker, kb_buffer_view(&altered));
        value->bytes = whole;
    }
    kb_buffer_free(&altered);
    kb_buffer_free(&out);
    kb_arena_free(&arena);
}

static void run_alterations(const char *wrap_key)
{
    struct kb_buffer stored = KB_BUFFER_INIT(1 << 20);
    struct setting setting = {.wrap_key = wrap_key};
    struct kb_worker *worker = open_worker(&setting);
    struct kb_error error;

    one(worker, false, kb_bytes_text(item_text), &stored, &error);
    KBT_OK(error.status, &error);
    flip_attribute(worker, kb_buffer_view(&stored), "*amzn-ddb-map-sig*", false);
    flip_attribute(worker, kb_buffer_view(&stored), "name", false);
    flip_attribute(worker, kb_buffer_view(&stored), "*amzn-ddb-map-desc*", true);
    kb_worker_free(worker);
    kb_buffer_free(&stored);
}

static void test_alterations(void)
{
    open_token(TOKEN_SOFTHSM);
    run_alterations("wrap");
    run_alterations("never");
    run_alterations("static");
    close_token();
}

/* Whatever is wrong, the answer is the same. */
static void test_one_error(void)
{
    static const struct setting others[] = {
        {.wrap_key = "other-wrap"}, {.sign_key = "other-sign"}, {.table = "U"},
        {.actions = "{\"attributes\":{\"n\":\"SIGN_ONLY\"}}"},
        {.actions = "{\"attributes\":{\"n\":\"DO_NOTHING\"}}"},
        {.wrap_key = "never"},      {.wrap_key = "static"},
        {.wrap_key = "none", .actions = "{\"default\":\"SIGN_ONLY\"}"},
        {.sign_key = "sign-512"},   {.signature_attribute = "name"},
        {.description_attribute = "name"},
    };
    struct kb_buffer stored = KB_BUFFER_INIT(1 << 20);
    struct setting usual = {0};
    struct kb_worker *worker;
    struct kb_error error;

    open_token(TOKEN_SOFTHSM);
    worker = open_worker(&usual);
    one(worker, false, kb_bytes_text(item_text), &stored, &error);
    check_refused(worker, kb_bytes_text(item_text));
    check_refused(worker, kb_bytes_text("{}"));
    kb_worker_free(worker);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        worker = open_worker(&others[i]);
        check_refused(worker, kb_buffer_view(&stored));
        kb_worker_free(worker);
    }
    kb_buffer_free(&stored);
    close_token();
}

/* --- numbers ------------------------------------------------------------------------------- */

static void check_number(struct kb_worker *worker, const char *given, const char *stored_form)
{
    struct kb_buffer out = KB_BUFFER_INIT(1 << 20), back = KB_BUFFER_INIT(1 << 20);
    char json[512], want[512];
    struct kb_error error;

    snprintf(json, sizeof json, "{\"id\":{\"S\":\"a\"},\"n\":{\"L\":[{\"N\":\"%s\"}]}}", given);
    snprintf(want, sizeof want, "{\"id\":{\"S\":\"a\"},\"n\":{\"L\":[{\"N\":\"%s\"}]}}",
             stored_form);
    one(worker, false, kb_bytes_text(json), &out, &error);
    KBT_OK(error.status, &error);
    one(worker, true, kb_buffer_view(&out), &back, &error);
    KBT_OK(error.status, &error);
    KBT_TEXT(kb_buffer_view(&back), want);
    kb_buffer_free(&out);
    kb_buffer_free(&back);
}

static void test_signed_numbers(void)
{
    struct setting signed_only = {.actions = "{\"default\":\"SIGN_ONLY\"}"};
    struct setting usual = {0};
    struct kb_worker *worker;

    open_token(TOKEN_SOFTHSM);
    worker = open_worker(&signed_only);
    check_number(worker, "1.50", "1.5");
    check_number(worker, "-0", "0");
    check_number(worker, "1E3", "1000");
    check_number(worker, "1E125", "1E+125");
    check_number(worker, "-12E37", "-12E+37");
    check_number(worker, "12345678901234567890123456789012345678",
                 "12345678901234567890123456789012345678");
    kb_worker_free(worker);
    worker = open_worker(&usual);
    check_number(worker, "12345678901234567890123456789012345678",
                 "12345678901234567890123456789012345678");
    check_number(worker, "1E-130",
                 "0.0000000000000000000000000000000000000000000000000000000000000000000000000000000"
                 "000000000000000000000000000000000000000000000000001");
    kb_worker_free(worker);
    close_token();
}

/* --- streams --------------------------------------------------------------------------------- */

struct collected {
    uint64_t next;
    uint64_t bad;
    struct kb_buffer text;
};

static enum kb_status collect(void *ctx, const struct kb_line *lines, size_t n,
                              struct kb_error *err)
{
    struct collected *collected = ctx;

    (void)err;
    for (size_t i = 0; i < n; i++) {
        CU_ASSERT_EQUAL(lines[i].number, ++collected->next);
        collected->bad += lines[i].error.status != KB_OK;
        kb_buffer_put_bytes(&collected->text, lines[i].out);
        kb_buffer_put_u8(&collected->text, '\n');
    }
    return KB_OK;
}

static void through_stream(struct kb_ddbec *ddbec, bool decrypt, unsigned workers,
                           struct kb_bytes text, struct collected *collected)
{
    struct kb_stream_options options = {
        .decrypt = decrypt, .workers = workers, .sink = collect, .ctx = collected};
    struct kb_stream *stream;
    struct kb_error err = {0};
    uint64_t number = 0;

    KBT_OK(kb_stream_new(&stream, ddbec, &options, &err), &err);
    while (text.size) {
        const uint8_t *end = memchr(text.data, '\n', text.size);
        size_t size = (size_t)(end - text.data);

        KBT_OK(kb_stream_put(stream, ++number, (struct kb_bytes){text.data, size}, &err), &err);
        if (number % 1000 == 7)
            KBT_OK(kb_stream_drain(stream, &err), &err);
        text.data += size + 1;
        text.size -= size + 1;
    }
    KBT_OK(kb_stream_drain(stream, &err), &err);
    CU_ASSERT_EQUAL(collected->next, number);
    kb_stream_free(stream);
}

/* 3,000 items in order through 1 to 8 workers, some of them bad. */
static void test_stream(void)
{
    struct kb_provider_options keys = {.sign_key = "sign", .wrap_key = "wrap"};
    struct kb_ddbec_options options = {.table_name = "T", .partition_key = "id"};
    struct kb_buffer text = KB_BUFFER_INIT(1 << 24);
    struct kb_provider *provider;
    struct kb_ddbec *ddbec;
    struct kb_error err = {0};

    open_token(TOKEN_SOFTHSM);
    KBT_OK(kb_provider_wrapped(&provider, keystore, &keys, &err), &err);
    KBT_OK(kb_ddbec_new(&ddbec, &options, provider, &err), &err);
    for (int i = 0; i < 3000; i++) {
        char line[128];

        snprintf(line, sizeof line, i % 100 == 50 ? "bad %d\n"
                                                  : "{\"id\":{\"N\":\"%d\"},\"x\":{\"S\":\"y\"}}\n",
                 i);
        kb_buffer_put_text(&text, line);
    }
    for (unsigned workers = 1; workers <= 8; workers *= 2) {
        struct collected there = {.text = KB_BUFFER_INIT(1 << 24)};
        struct collected back = {.text = KB_BUFFER_INIT(1 << 24)};

        through_stream(ddbec, false, workers, kb_buffer_view(&text), &there);
        CU_ASSERT_EQUAL(there.bad, 30);
        through_stream(ddbec, true, workers, kb_buffer_view(&there.text), &back);
        CU_ASSERT_EQUAL(back.bad, 30);
        kb_buffer_free(&there.text);
        kb_buffer_free(&back.text);
    }
    kb_ddbec_release(ddbec);
    kb_provider_release(provider);
    kb_buffer_free(&text);
    close_token();
}

static enum kb_status refuse_all(void *ctx, const struct kb_line *lines, size_t n,
                                 struct kb_error *err)
{
    (void)ctx;
    (void)lines;
    (void)n;
    return kb_error_set(err, KB_ERR_SYSTEM, "the sink is full");
}

/* The first failure of the run stays the answer. */
static void test_stream_failure(void)
{
    struct kb_provider_options keys = {.sign_key = "sign", .wrap_key = "wrap"};
    struct kb_ddbec_options options = {.table_name = "T", .partition_key = "id"};
    struct kb_stream_options run = {.sink = refuse_all, .workers = 2};
    struct kb_bytes item = kb_bytes_text("{\"id\":{\"S\":\"a\"}}");
    struct kb_provider *provider;
    struct kb_stream *stream;
    struct kb_ddbec *ddbec;
    struct kb_error err = {0};

    open_token(TOKEN_SOFTHSM);
    KBT_OK(kb_provider_wrapped(&provider, keystore, &keys, &err), &err);
    KBT_OK(kb_ddbec_new(&ddbec, &options, provider, &err), &err);
    KBT_OK(kb_stream_new(&stream, ddbec, &run, &err), &err);
    KBT_OK(kb_stream_put(stream, 1, item, &err), &err);
    CU_ASSERT_EQUAL(kb_stream_drain(stream, &err), KB_ERR_SYSTEM);
    CU_ASSERT_STRING_EQUAL(err.text, "the sink is full");
    CU_ASSERT_EQUAL(kb_stream_put(stream, 2, item, NULL), KB_ERR_SYSTEM);
    kb_stream_free(stream);
    kb_ddbec_release(ddbec);
    kb_provider_release(provider);
    close_token();
}

int main(int argc, char **argv)
{
    static const struct kbtest tests[] = {
        {"actions: texts that are none", test_actions_text},
        {"there and back, SoftHSM", test_both_ways_softhsm},
        {"there and back, NSS", test_both_ways_nss},
        {"the stored form", test_stored_form},
        {"refused when writing", test_refusals},
        {"configurations", test_configuration},
        {"every bit and every length altered", test_alterations},
        {"one error for every cause", test_one_error},
        {"numbers that are signed", test_signed_numbers},
        {"streams: order and bad lines", test_stream},
        {"streams: the first failure stays", test_stream_failure},
        {NULL, NULL},
    };

    return kbtest_main("ddbec", tests, argc, argv);
}
