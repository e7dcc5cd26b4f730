/* SPDX-License-Identifier: Apache-2.0
 *
 * Objects in the format of the S3 Encryption Client: which keys and policies
 * open them, and what is done with those that are there: encrypted again to the
 * same bytes, or wrapped anew.
 */
#include "s3ec_fixture.h"

#include <string.h>

/* --- policies and keys ----------------------------------------------------------- */

static void reads(enum token_kind kind, const struct kb_s3ec_options *options,
                  const struct kb_s3ec_header *header, enum kb_status want)
{
    struct kb_s3ec *s3ec = s3ec_configure_all(kind, options);
    struct kb_s3ec_object *object;
    struct kb_error err = {0};
    uint64_t from, to;

    if (want == KB_OK)
        KBT_OK(kb_s3ec_decrypt(&object, s3ec, header, 35, &err), &err);
    else
        FAILS(kb_s3ec_decrypt(&object, s3ec, header, 35, &err), want, &err);
    if (object && !options->legacy_unauthenticated)
        FAILS(kb_s3ec_range(object, 0, 1, &from, &to, &err), KB_ERR_DENIED, &err);
    kb_s3ec_object_free(object);
    kb_s3ec_release(s3ec);
}

static void policies(enum token_kind kind)
{
    struct kb_buffer text = KB_BUFFER_INIT(ROOM), body = KB_BUFFER_INIT(ROOM);

    if (!s3ec_have_token(kind))
        return;
    for (unsigned version = 2; version <= 3; version++) {
        struct kb_s3ec *s3ec = s3ec_configure(kind, "s3ec-aes-256", version);
        struct kb_s3ec_object *object = s3ec_write(&body, s3ec, NULL, s3ec_text(&text, 19));
        const struct kb_s3ec_header *header = kb_s3ec_object_header(object);
        struct kb_s3ec_options options = {.key = "s3ec-aes-256"};

        reads(kind, &options, header, version == 3 ? KB_OK : KB_ERR_DENIED);
        options.policy = KB_COMMITMENT_REQUIRE_ALLOW;
        reads(kind, &options, header, KB_OK);
        options.policy = KB_COMMITMENT_FORBID_ALLOW;
        reads(kind, &options, header, KB_OK);
        options.key = "s3ec-aes-other";
        reads(kind, &options, header, KB_ERR_AUTH);
        options.key = "s3ec-rsa";
        reads(kind, &options, header, KB_ERR_DENIED);
        options.key = "s3ec-wrap";
        reads(kind, &options, header, KB_ERR_DENIED);
        kb_s3ec_object_free(object);
        kb_s3ec_release(s3ec);
    }
    kb_buffer_free(&text);
    kb_buffer_free(&body);
}
DEFINE_BOTH(policies)

static void keys(enum token_kind kind)
{
    struct kb_s3ec_options options = {.key = "s3ec-content"};
    struct kb_s3ec_object *object;
    struct kb_error err = {0};
    struct kb_s3ec *s3ec;

    if (!s3ec_have_token(kind))
        return;
    FAILS(kb_s3ec_new(&s3ec, backend_keystore(kind), &options, &err), KB_ERR_DENIED, &err);
    options.key = "nothere";
    FAILS(kb_s3ec_new(&s3ec, backend_keystore(kind), &options, &err), KB_ERR_NOT_FOUND, &err);
    options.key = NULL;
    FAILS(kb_s3ec_new(&s3ec, backend_keystore(kind), &options, &err), KB_ERR_USAGE, &err);
    options.key = "s3ec-wrap";
    options.policy = (enum kb_commitment)3;
    FAILS(kb_s3ec_new(&s3ec, backend_keystore(kind), &options, &err), KB_ERR_USAGE, &err);
    CU_ASSERT_PTR_NULL(s3ec);
    s3ec = s3ec_configure(kind, "s3ec-wrap", 3); /* reads old objects */
    FAILS(kb_s3ec_encrypt(&object, 1, s3ec, NULL, &err), KB_ERR_DENIED, &err);
    CU_ASSERT_PTR_NULL(object);
    kb_s3ec_release(s3ec);
    kb_s3ec_release(NULL);
    kb_s3ec_object_free(NULL);
}
DEFINE_BOTH(keys)

/* Who has the public key writes what only its owner reads. */
static void public_keys(enum token_kind kind)
{
    struct kb_key_spec spec = {.name = "s3ec-public",
                               .use = KB_KEY_WRAP,
                               .type = KB_KEY_RSA,
                               .public_only = true};
    struct kb_buffer spki = KB_BUFFER_INIT(4096), text = KB_BUFFER_INIT(ROOM),
                     body = KB_BUFFER_INIT(ROOM), out = KB_BUFFER_INIT(ROOM);
    struct kb_s3ec_object *object, *none;
    struct kb_s3ec *public, *owner;
    struct kb_error err = {0};
    struct kb_token *token;

    if (!s3ec_have_token(kind))
        return;
    token = backend_lease(kind);
    KBT_OK(kb_key_export_public(token, "s3ec-rsa", &spki, &err), &err);
    backend_import(token, &spec, kb_buffer_view(&spki));
    kb_token_return(token);
    public = s3ec_configure(kind, "s3ec-public", 3);
    owner = s3ec_configure(kind, "s3ec-rsa", 3);
    object = s3ec_write(&body, public, NULL, s3ec_text(&text, 100));
    FAILS(kb_s3ec_decrypt(&none, public, kb_s3ec_object_header(object), body.size, &err),
          KB_ERR_DENIED, &err);
    KBT_OK(s3ec_read(&out, owner, kb_s3ec_object_header(object), kb_buffer_view(&body)), NULL);
    KBT_BYTES(kb_buffer_view(&out), kb_buffer_view(&text));
    kb_s3ec_object_free(object);
    kb_s3ec_release(public);
    kb_s3ec_release(owner);
    kb_buffer_free(&spki);
    kb_buffer_free(&text);
    kb_buffer_free(&body);
    kb_buffer_free(&out);
}
DEFINE_BOTH(public_keys)

/* --- once more ------------------------------------------------------------------- */

static void again(enum token_kind kind)
{
    struct kb_buffer text = KB_BUFFER_INIT(ROOM), body = KB_BUFFER_INIT(ROOM),
                     same = KB_BUFFER_INIT(ROOM);
    struct kb_error err = {0};

    if (!s3ec_have_token(kind))
        return;
    for (unsigned i = 0; i < 8; i++) {
        const struct kb_s3ec_encrypt_options options = {.instruction_file = i & 4};
        struct kb_s3ec *s3ec =
            s3ec_configure(kind, i & 2 ? "s3ec-rsa" : "s3ec-aes-256", i & 1 ? 3 : 2);
        struct kb_s3ec_object *object =
            s3ec_write(&body, s3ec, &options, s3ec_text(&text, 5000)),
                              *copy = NULL;
        const struct kb_s3ec_header *header = kb_s3ec_object_header(object), *other;

        KBT_OK(kb_s3ec_encrypt_again(&copy, s3ec, header, &err), &err);
        CU_ASSERT_PTR_NOT_NULL_FATAL(copy);
        s3ec_seal(&same, copy, kb_buffer_view(&text), 77);
        KBT_BYTES(kb_buffer_view(&same), kb_buffer_view(&body));
        other = kb_s3ec_object_header(copy);
        CU_ASSERT_EQUAL_FATAL(other->metadata_count, header->metadata_count);
        for (size_t j = 0; j < header->metadata_count; j++)
            KBT_BYTES(other->metadata[j].value, header->metadata[j].value);
        KBT_BYTES(other->instruction, header->instruction);
        kb_s3ec_object_free(copy);
        kb_s3ec_object_free(object);
        kb_s3ec_release(s3ec);
    }
    kb_buffer_free(&text);
    kb_buffer_free(&body);
    kb_buffer_free(&same);
}
DEFINE_BOTH(again)

static const struct kb_pair *find_pair(const struct kb_s3ec_header *header, const char *name)
{
    for (size_t i = 0; i < header->metadata_count; i++)
        if (kb_bytes_equal(header->metadata[i].name, kb_bytes_text(name)))
            return &header->metadata[i];
    return NULL;
}

/* From one key to another, from one place to the other; the body stays. */
static void one_rewrap(enum token_kind kind, unsigned version, const char *const names[2],
                       bool from_file, bool to_file)
{
    const struct kb_pair description = {kb_bytes_text("key"), kb_bytes_text("new")};
    const struct kb_s3ec_encrypt_options before = {.instruction_file = from_file},
                                         after = {.description = &description,
                                                  .description_count = 1,
                                                  .instruction_file = to_file};
    struct kb_buffer text = KB_BUFFER_INIT(ROOM), body = KB_BUFFER_INIT(ROOM),
                     out = KB_BUFFER_INIT(ROOM);
    /* What is written now does not decide what an object was. */
    struct kb_s3ec *from = s3ec_configure(kind, names[0], version),
                   *to = s3ec_configure(kind, names[1], 3);
    struct kb_s3ec_object *object = s3ec_write(&body, from, &before, s3ec_text(&text, 333)),
                          *made = NULL;
    const struct kb_s3ec_header *header = kb_s3ec_object_header(object), *now;
    struct kb_error err = {0};
    struct kb_s3ec_info info;
    enum kb_status status;

    KBT_OK(kb_s3ec_rewrap(&made, from, to, header, &after, &err), &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(made);
    now = kb_s3ec_object_header(made);
    KBT_OK(kb_s3ec_inspect(&info, now, &err), &err);
    CU_ASSERT_TRUE(info.version == version && info.instruction_file == to_file);
    CU_ASSERT_STRING_EQUAL(info.description, "{\"key\":\"new\"}");
    if (version == 3)
        KBT_BYTES(find_pair(now, "x-amz-d")->value, find_pair(header, "x-amz-d")->value);
    KBT_OK(s3ec_read(&out, to, now, kb_buffer_view(&body)), NULL);
    KBT_BYTES(kb_buffer_view(&out), kb_buffer_view(&text));
    status = s3ec_read(&out, from, now, kb_buffer_view(&body));
    CU_ASSERT_TRUE(status == KB_ERR_AUTH || status == KB_ERR_DENIED);
    FAILS(kb_s3ec_seal(made, out.data, (struct kb_bytes){NULL, 0}, &err), KB_ERR_USAGE, &err);
    kb_s3ec_object_free(made);
    /* The key that does not open what is written now did not open what was, either. */
    FAILS(kb_s3ec_rewrap(&made, to, from, header, NULL, &err), status, &err);
    CU_ASSERT_PTR_NULL(made);
    kb_s3ec_object_free(object);
    kb_s3ec_release(from);
    kb_s3ec_release(to);
    kb_buffer_free(&text);
    kb_buffer_free(&body);
    kb_buffer_free(&out);
}

static void rewraps(enum token_kind kind)
{
    static const char *const pairs[][2] = {{"s3ec-aes-256", "s3ec-aes-other"},
                                           {"s3ec-aes-128", "s3ec-rsa"},
                                           {"s3ec-rsa", "s3ec-aes-256"}};

    if (!s3ec_have_token(kind))
        return;
    for (unsigned i = 0; i < 8; i++)
        for (size_t j = 0; j < sizeof pairs / sizeof *pairs; j++)
            one_rewrap(kind, i & 1 ? 3 : 2, pairs[j], i & 2, i & 4);
}
DEFINE_BOTH(rewraps)

int main(int argc, char **argv)
{
    static const struct kbtest tests[] = {
        BOTH(policies), BOTH(keys), BOTH(public_keys), BOTH(again), BOTH(rewraps), {NULL, NULL},
    };
    int result = kbtest_main("s3ec_keys", tests, argc, argv);

    backends_close();
    return result;
}
