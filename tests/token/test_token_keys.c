/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys of the token: made, imported, found, refused, destroyed.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "backends.h"
#include "foreign.h"

static struct kb_key_spec wrap_spec(const char *name)
{
    return (struct kb_key_spec){.name = name, .use = KB_KEY_WRAP, .type = KB_KEY_AES_256};
}

struct seen {
    const char *name;
    unsigned count;
    struct kb_key_info info;
};

static void look_for(void *ctx, const struct kb_key_info *info)
{
    struct seen *seen = ctx;

    if (strcmp(info->name, seen->name) == 0) {
        seen->count++;
        seen->info = *info;
    }
}

static void check_policy(enum token_kind kind, const struct kb_key_info *info)
{
    CU_ASSERT_EQUAL(info->on_token, KB_ANSWER_YES);
    CU_ASSERT_EQUAL(info->is_private, KB_ANSWER_YES);
    CU_ASSERT_EQUAL(info->sensitive, KB_ANSWER_YES);
    CU_ASSERT_EQUAL(info->extractable, KB_ANSWER_NO);
    CU_ASSERT_EQUAL(info->mechanisms_enforced,
                    kind == TOKEN_SOFTHSM ? KB_ANSWER_YES : KB_ANSWER_NO);
}

/* --- life of a key -------------------------------------------------------------- */

static void every_type_is_made_as_asked(enum token_kind kind)
{
    struct kb_token *token = backend_lease(kind);
    struct kb_error err = {0};
    struct kb_key_info info;

    for (enum kb_key_type type = KB_KEY_AES_128; token && type <= KB_KEY_HMAC_SHA512; type++) {
        bool aes = type <= KB_KEY_AES_256;
        enum kb_key_use first = aes ? KB_KEY_WRAP : KB_KEY_SIGN;
        enum kb_key_use last = aes ? KB_KEY_ENVELOPE : KB_KEY_SIGN;

        for (enum kb_key_use use = first; use <= last; use++) {
            char name[64];
            struct kb_key_spec spec = {.name = name, .use = use, .type = type};

            snprintf(name, sizeof name, "%s-%s", kb_key_use_format(use), kb_key_type_format(type));
            if (aes && use == KB_KEY_SIGN) {
                FAILS(kb_key_create(token, &spec, &err), KB_ERR_USAGE, &err);
                continue;
            }
            KBT_OK(kb_key_create(token, &spec, &err), &err);
            KBT_OK(kb_key_find(token, name, &info, &err), &err);
            CU_ASSERT_STRING_EQUAL(info.name, name);
            CU_ASSERT_EQUAL(info.use, use);
            CU_ASSERT_EQUAL(info.type, type);
            CU_ASSERT_EQUAL(info.origin, KB_KEY_GENERATED);
            CU_ASSERT_EQUAL(strlen(info.version), 16);
            CU_ASSERT_EQUAL(strlen(info.id), 30);
            CU_ASSERT_FALSE(info.release_never);
            CU_ASSERT_EQUAL(info.may_wrap == KB_ANSWER_YES, use == KB_KEY_WRAP);
            CU_ASSERT_EQUAL(info.may_unwrap == KB_ANSWER_YES, use == KB_KEY_WRAP);
            CU_ASSERT_EQUAL(info.may_sign == KB_ANSWER_YES, use == KB_KEY_SIGN);
            CU_ASSERT_EQUAL(info.may_encrypt == KB_ANSWER_YES,
                            use == KB_KEY_CONTENT || use == KB_KEY_ENVELOPE);
            CU_ASSERT_EQUAL(info.may_decrypt, info.may_encrypt);
            CU_ASSERT_EQUAL(info.encryptions, 0);
            check_policy(kind, &info);
            KBT_OK(kb_key_destroy(token, name, &err), &err);
            FAILS(kb_key_find(token, name, &info, &err), KB_ERR_NOT_FOUND, &err);
        }
    }
    kb_token_return(token);
}
DEFINE_BOTH(every_type_is_made_as_asked)

static void a_name_is_taken_once(enum token_kind kind)
{
    struct kb_token *token = backend_lease(kind);
    struct kb_error err = {0};
    struct kb_key_spec spec = wrap_spec("once");
    struct seen seen = {.name = "once"};
    struct kb_key_info first, second;
    struct kb_secret *value;

    KBT_OK(kb_secret_new(&value, 32, &err), &err);
    KBT_OK(kb_key_create(token, &spec, &err), &err);
    KBT_OK(kb_key_find(token, "once", &first, &err), &err);
    FAILS(kb_key_create(token, &spec, &err), KB_ERR_EXISTS, &err);
    FAILS(kb_key_import(token, &spec, value, &err), KB_ERR_EXISTS, &err);
    KBT_OK(kb_key_list(token, look_for, &seen, &err), &err);
    CU_ASSERT_EQUAL(seen.count, 1);
    CU_ASSERT_STRING_EQUAL(seen.info.version, first.version);
    KBT_OK(kb_key_destroy(token, "once", &err), &err);
    KBT_OK(kb_key_create(token, &spec, &err), &err);
    KBT_OK(kb_key_find(token, "once", &second, &err), &err);
    CU_ASSERT_STRING_NOT_EQUAL(second.version, first.version);
    FAILS(kb_key_destroy(token, "nobody", &err), KB_ERR_NOT_FOUND, &err);
    kb_secret_free(value);
    kb_token_return(token);
}
DEFINE_BOTH(a_name_is_taken_once)

static void two_keys_of_a_name_are_refused(enum token_kind kind)
{
    struct kb_token *token = backend_lease(kind);
    struct token_fixture *fixture = backend_fixture(kind);
    struct kb_error err = {0};
    struct kb_key_info info;
    struct kb_key_spec spec = wrap_spec("double");
    struct kb_data_key key;
    char uri[256] = "pkcs11:id=";

    KBT_OK(kb_key_create(token, &spec, &err), &err);
    KBT_OK(kb_key_find(token, "double", &info, &err), &err);
    CU_ASSERT_TRUE(foreign_do(fixture, FOREIGN_WRAP, "double"));
    /* This helper has looked it up before; it looks again after a second. */
    usleep(1100000);
    FAILS(kb_key_find(token, "double", &info, &err), KB_ERR_AMBIGUOUS, &err);
    FAILS(backend_make_keys(token, "double", 32, &key, 1, NULL, &err), KB_ERR_AMBIGUOUS, &err);
    FAILS(kb_key_destroy(token, "double", &err), KB_ERR_AMBIGUOUS, &err);
    /* Its id tells ours apart. */
    for (size_t i = 0; info.id[i]; i += 2)
        snprintf(uri + strlen(uri), sizeof uri - strlen(uri), "%%%.2s", info.id + i);
    KBT_OK(kb_key_destroy(token, uri, &err), &err);
    KBT_OK(kb_key_find(token, "double", &info, &err), &err);
    CU_ASSERT_EQUAL(info.origin, KB_KEY_ADOPTED);
    kb_token_return(token);
}
DEFINE_BOTH(two_keys_of_a_name_are_refused)

/* --- keys made elsewhere ------------------------------------------------------------ */

static void foreign_keys_are_adopted(enum token_kind kind)
{
    static const struct {
        enum foreign_key what;
        const char *name;
        enum kb_key_use use;
        enum kb_key_type type;
    } rows[] = {
        {FOREIGN_WRAP, "their-wrap", KB_KEY_WRAP, KB_KEY_AES_256},
        {FOREIGN_OPEN, "their-open", KB_KEY_CONTENT, KB_KEY_AES_128},
        {FOREIGN_GCM, "their-gcm", KB_KEY_ENVELOPE, KB_KEY_AES_256},
        {FOREIGN_SIGN, "their-sign", KB_KEY_SIGN, KB_KEY_HMAC_SHA256},
        {FOREIGN_SIGN_SHA512, "their-sign512", KB_KEY_SIGN, KB_KEY_HMAC_SHA512},
        /* It claims to be a wrapping key of ours; the token knows better. */
        {FOREIGN_FORGED, "their-forged", KB_KEY_SIGN, KB_KEY_HMAC_SHA256},
    };
    struct kb_token *token = backend_lease(kind);
    struct token_fixture *fixture = backend_fixture(kind);
    struct kb_error err = {0};
    struct kb_key_info info;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        /* NSS takes no key that says what it is allowed to do. */
        if (rows[i].what == FOREIGN_GCM && kind == TOKEN_NSS)
            continue;
        if (!foreign_do(fixture, rows[i].what, rows[i].name)) {
            CU_FAIL("the foreign key was not made");
            continue;
        }
        KBT_OK(kb_key_find(token, rows[i].name, &info, &err), &err);
        CU_ASSERT_EQUAL(info.origin, KB_KEY_ADOPTED);
        CU_ASSERT_EQUAL(info.use, rows[i].use);
        CU_ASSERT_EQUAL(info.type, rows[i].type);
        CU_ASSERT_EQUAL(info.extractable == KB_ANSWER_YES, rows[i].what == FOREIGN_OPEN);
        CU_ASSERT_EQUAL(strlen(info.version), rows[i].what == FOREIGN_FORGED ? 30 : 32);
        CU_ASSERT_EQUAL(info.mechanisms_enforced,
                        info.use == KB_KEY_ENVELOPE ? KB_ANSWER_YES : KB_ANSWER_NO);
    }
    kb_token_return(token);
}
DEFINE_BOTH(foreign_keys_are_adopted)

static void a_key_destroyed_by_others_is_not_used_on(enum token_kind kind)
{
    struct kb_token *token = backend_lease(kind);
    struct kb_error err = {0};
    struct kb_data_key key;

    backend_key(token, "doomed", KB_KEY_WRAP, KB_KEY_AES_256);
    KBT_OK(backend_make_keys(token, "doomed", 32, &key, 1, NULL, &err), &err);
    CU_ASSERT_TRUE(foreign_do(backend_fixture(kind), FOREIGN_DESTROY, "doomed"));
    usleep(1100000);
    FAILS(backend_make_keys(token, "doomed", 32, &key, 1, NULL, &err), KB_ERR_NOT_FOUND, &err);
    kb_token_return(token);
}
DEFINE_BOTH(a_key_destroyed_by_others_is_not_used_on)

/* --- the wrong use ------------------------------------------------------------------ */

static void wrong_uses_are_denied(enum token_kind kind)
{
    struct kb_token *token = backend_lease(kind);
    struct kb_error err = {0};
    struct kb_data_key key = {.wrapped_size = 40};
    struct kb_bytes message = kb_bytes_text("text");
    struct kb_cipher_job job = {.in = message};
    uint8_t mac[BACKEND_MAC_ROOM];
    size_t size;

    backend_key(token, "use-wrap", KB_KEY_WRAP, KB_KEY_AES_256);
    backend_key(token, "use-sign", KB_KEY_SIGN, KB_KEY_HMAC_SHA256);
    backend_key(token, "use-content", KB_KEY_CONTENT, KB_KEY_AES_256);
    FAILS(backend_make_keys(token, "use-sign", 32, &key, 1, NULL, &err), KB_ERR_DENIED, &err);
    FAILS(backend_make_keys(token, "use-content", 32, &key, 1, NULL, &err), KB_ERR_DENIED, &err);
    FAILS(kb_token_unwrap_keys(token, "use-sign", &key, 1, NULL, &err), KB_ERR_DENIED, &err);
    FAILS(backend_mac(token, "use-wrap", KB_SHA256, &message, 1, mac, &size, &err), KB_ERR_DENIED,
          &err);
    FAILS(backend_mac(token, "use-sign", KB_SHA384, &message, 1, mac, &size, &err), KB_ERR_DENIED,
          &err);
    FAILS(kb_token_cipher(token, true, "use-wrap", &job, 1, &err), KB_ERR_DENIED, &err);
    FAILS(kb_token_cipher(token, true, "use-sign", &job, 1, &err), KB_ERR_DENIED, &err);
    FAILS(kb_token_cipher(token, true, NULL, &job, 1, &err), KB_ERR_USAGE, &err);
    KBT_OK(backend_mac(token, "use-sign", KB_SHA256, &message, 1, mac, &size, &err), &err);
    kb_token_return(token);
}
DEFINE_BOTH(wrong_uses_are_denied)

static void specs_that_make_no_sense(enum token_kind kind)
{
    static const struct kb_key_spec specs[] = {
        {.name = "", .use = KB_KEY_WRAP, .type = KB_KEY_AES_256},
        {.name = "a b", .use = KB_KEY_WRAP, .type = KB_KEY_AES_256},
        {.name = "pkcs11:object=x", .use = KB_KEY_WRAP, .type = KB_KEY_AES_256},
        {.name = "12345678901234567890123456789012345678901234567890123456789012345",
         .use = KB_KEY_WRAP,
         .type = KB_KEY_AES_256},
        {.name = "ok", .use = KB_KEY_USE_UNKNOWN, .type = KB_KEY_AES_256},
        {.name = "ok", .use = KB_KEY_WRAP, .type = KB_KEY_TYPE_UNKNOWN},
        {.name = "ok", .use = KB_KEY_WRAP, .type = KB_KEY_HMAC_SHA256},
        {.name = "ok", .use = KB_KEY_SIGN, .type = KB_KEY_AES_256},
        {.name = "ok", .use = KB_KEY_CONTENT, .type = KB_KEY_AES_256, .release_never = true},
        {.name = "ok", .use = KB_KEY_SIGN, .type = KB_KEY_HMAC_SHA256, .release_never = true},
    };
    struct kb_token *token = backend_lease(kind);
    struct kb_error err = {0};
    struct kb_key_info info;

    for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++)
        FAILS(kb_key_create(token, &specs[i], &err), KB_ERR_USAGE, &err);
    FAILS(kb_key_find(token, "ok", &info, &err), KB_ERR_NOT_FOUND, &err);
    kb_token_return(token);
}
DEFINE_BOTH(specs_that_make_no_sense)

/* --- names and URIs ---------------------------------------------------------------- */

static void keys_by_uri(enum token_kind kind)
{
    static const struct {
        const char *uri;
        enum kb_status status;
    } rows[] = {
        {"pkcs11:object=by-uri", KB_OK},
        {"PKCS11:object=by-uri;type=secret-key", KB_OK},
        {"pkcs11:object=by-ur%69", KB_OK},
        {"pkcs11:object=by-uri?pin-source=file:/nowhere", KB_OK},
        {"pkcs11:object=nobody", KB_ERR_NOT_FOUND},
        {"pkcs11:object=by-uri;id=%00", KB_ERR_NOT_FOUND},
        {"pkcs11:token=another;object=by-uri", KB_ERR_USAGE},
        {"pkcs11:type=secret-key", KB_ERR_USAGE},
        {"pkcs11:", KB_ERR_USAGE},
        {"pkcs11:object=by-uri;type=private", KB_ERR_NOT_FOUND},
        {"pkcs11:object=by-uri;type=public", KB_ERR_NOT_FOUND},
        {"pkcs11:object=by-uri;type=cert", KB_ERR_USAGE},
        {"pkcs11:object=by-uri;object=by-uri", KB_ERR_USAGE},
        {"pkcs11:object=by-uri;colour=red", KB_ERR_USAGE},
        {"pkcs11:object=by-uri;type=odd", KB_ERR_USAGE},
        {"pkcs11:object=by-uri;id=%zz", KB_ERR_USAGE},
        {"pkcs11:object=by- uri", KB_ERR_USAGE},
        {"pkcs11:object=by-uri?pin-value=1234", KB_ERR_USAGE},
        {"pkcs11:object=by-uri;pin-value=1234", KB_ERR_USAGE},
        {"by uri", KB_ERR_USAGE},
        {"", KB_ERR_USAGE},
        {NULL, KB_ERR_USAGE},
    };
    struct kb_token *token = backend_lease(kind);
    struct kb_error err = {0};
    struct kb_key_info info;

    backend_key(token, "by-uri", KB_KEY_WRAP, KB_KEY_AES_128);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        enum kb_status status = kb_key_find(token, rows[i].uri, &info, &err);

        if (status != rows[i].status)
            fprintf(stderr, "row %zu: %s %s\n", i, kb_status_name(status), err.text);
        CU_ASSERT_EQUAL(status, rows[i].status);
        CU_ASSERT_PTR_NULL(strstr(err.text, "1234"));
        kb_error_clear(&err);
    }
    kb_token_return(token);
}
DEFINE_BOTH(keys_by_uri)

static void tokens_by_uri(enum token_kind kind)
{
    static const struct {
        const char *uri;
        enum kb_status status;
    } rows[] = {
        {"pkcs11:token=nobody", KB_ERR_TOKEN},
        {"pkcs11:object=kek", KB_ERR_USAGE},
        {"pkcs11:token=a;token=b", KB_ERR_USAGE},
        {"pkcs11:token=a b", KB_ERR_USAGE},
        {"pkcs11:token=a?pin-value=x", KB_ERR_USAGE},
        {"pkcs11:tokn=a", KB_ERR_USAGE},
        {"pkcs11:token=123456789012345678901234567890123", KB_ERR_USAGE},
        {"pkcs11:token=a?module-path=/other.so", KB_ERR_USAGE},
        {"token=a", KB_ERR_USAGE},
        {"http://token", KB_ERR_USAGE},
        {"pkcs11:;;token=a", KB_ERR_USAGE},
    };
    struct token_fixture *fixture = backend_fixture(kind);
    struct kb_error err = {0};
    struct kb_keystore *keystore;

    if (!fixture)
        return;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct kb_keystore_options options = fixture->options;

        options.uri = rows[i].uri;
        FAILS(kb_keystore_open(&keystore, &options, &err), rows[i].status, &err);
        CU_ASSERT_PTR_NULL(keystore);
    }
}
DEFINE_BOTH(tokens_by_uri)

/* --- import -------------------------------------------------------------------------- */

static void imports_are_checked(enum token_kind kind)
{
    struct kb_token *token = backend_lease(kind);
    struct kb_error err = {0};
    struct kb_key_spec aes = {.name = "in", .use = KB_KEY_WRAP, .type = KB_KEY_AES_192};
    struct kb_key_spec mac = {.name = "in", .use = KB_KEY_SIGN, .type = KB_KEY_HMAC_SHA384};
    struct kb_key_info info;
    struct kb_secret *value;

    for (size_t size = 1; size <= 513; size++) {
        bool weak = size < 48;

        KBT_OK(kb_secret_new(&value, size, &err), &err);
        if (size != 24)
            FAILS(kb_key_import(token, &aes, value, &err), KB_ERR_USAGE, &err);
        if (weak || size > 512) {
            enum kb_status status = kb_key_import(token, &mac, value, &err);

            CU_ASSERT_EQUAL(status, KB_ERR_USAGE);
            CU_ASSERT_EQUAL(strstr(err.hint, "--allow-weak") != NULL, weak);
            kb_error_clear(&err);
        } else if (size == 48 || size == 49 || size == 512) {
            KBT_OK(kb_key_import(token, &mac, value, &err), &err);
            KBT_OK(kb_key_find(token, "in", &info, &err), &err);
            CU_ASSERT_EQUAL(info.origin, KB_KEY_IMPORTED);
            CU_ASSERT_EQUAL(info.type, KB_KEY_HMAC_SHA384);
            check_policy(kind, &info);
            KBT_OK(kb_key_destroy(token, "in", &err), &err);
        }
        kb_secret_free(value);
        if (size == 64)
            size = 510; /* what is between is the same */
    }
    kb_token_return(token);
}
DEFINE_BOTH(imports_are_checked)

/* --- trials ---------------------------------------------------------------------------- */

static const struct kb_token_trial *find_trial(const struct kb_token_trial *trials, size_t count,
                                               const char *text)
{
    for (size_t i = 0; i < count; i++)
        if (strstr(trials[i].what, text))
            return &trials[i];
    CU_FAIL(text);
    return &trials[0];
}

static void the_probe_tells_the_truth(enum token_kind kind)
{
    struct kb_token *token = backend_lease(kind);
    struct kb_error err = {0};
    struct kb_token_trial trials[40];
    size_t count = 0;

    KBT_OK(kb_token_probe(token, trials, 40, &count, &err), &err);
    CU_ASSERT_EQUAL(count, 32);
    for (size_t i = 0; i < count; i++)
        if (strstr(trials[i].what, "CKM_"))
            CU_ASSERT_TRUE(trials[i].good);
    CU_ASSERT_TRUE(find_trial(trials, count, "sensitive value")->good);
    /* NSS wraps what must not leave, and its C_Verify takes a short MAC. */
    CU_ASSERT_EQUAL(find_trial(trials, count, "may not leave")->good, kind == TOKEN_SOFTHSM);
    CU_ASSERT_EQUAL(find_trial(trials, count, "cut short")->good, kind == TOKEN_SOFTHSM);
    KBT_OK(kb_token_probe(token, trials, 1, &count, &err), &err);
    CU_ASSERT_EQUAL(count, 1);
    kb_token_return(token);
}
DEFINE_BOTH(the_probe_tells_the_truth)

static void extraction_is_really_tried(enum token_kind kind)
{
    struct kb_token *token = backend_lease(kind);
    struct kb_error err = {0};
    struct kb_token_trial trials[40];
    struct kb_key_info before, after;
    struct seen seen = {.name = "treasure"};
    size_t count = 0;

    backend_key(token, "treasure", KB_KEY_WRAP, KB_KEY_AES_256);
    KBT_OK(kb_key_find(token, "treasure", &before, &err), &err);
    KBT_OK(kb_key_try_extract(token, "treasure", trials, 40, &count, &err), &err);
    CU_ASSERT_TRUE(count >= 6);
    for (size_t i = 0; i < count && kind == TOKEN_SOFTHSM; i++) {
        CU_ASSERT_TRUE(trials[i].good);
        CU_ASSERT_PTR_NOT_NULL(strstr(trials[i].outcome, "CKR_"));
        CU_ASSERT_NOT_EQUAL(trials[i].ck_rv, 0);
    }
    CU_ASSERT_TRUE(find_trial(trials, count, "read its value")->good);
    CU_ASSERT_EQUAL(find_trial(trials, count, "wrap it")->good, kind == TOKEN_SOFTHSM);
    CU_ASSERT_EQUAL(find_trial(trials, count, "copy it as extr")->good, kind == TOKEN_SOFTHSM);
    KBT_OK(kb_key_find(token, "treasure", &after, &err), &err);
    CU_ASSERT_EQUAL(memcmp(&before, &after, sizeof after), 0);
    KBT_OK(kb_key_list(token, look_for, &seen, &err), &err);
    CU_ASSERT_EQUAL(seen.count, 1);
    /* A key that is open says so. */
    CU_ASSERT_TRUE(foreign_do(backend_fixture(kind), FOREIGN_OPEN, "glass"));
    KBT_OK(kb_key_try_extract(token, "glass", trials, 40, &count, &err), &err);
    /* NSS makes every key in its database sensitive, whatever was asked for. */
    CU_ASSERT_EQUAL(find_trial(trials, count, "read its value")->good, kind == TOKEN_NSS);
    CU_ASSERT_FALSE(find_trial(trials, count, "make it extractable")->good);
    FAILS(kb_key_try_extract(token, "nobody", trials, 40, &count, &err), KB_ERR_NOT_FOUND, &err);
    kb_token_return(token);
}
DEFINE_BOTH(extraction_is_really_tried)

static void names_round_trip(void)
{
    enum kb_key_use use;
    enum kb_key_type type;
    enum kb_hash hash;

    for (int i = 1; i <= KB_KEY_ENVELOPE; i++)
        CU_ASSERT_TRUE(kb_key_use_parse(&use, kb_key_use_format((enum kb_key_use)i)) &&
                       (int)use == i);
    for (int i = 1; i <= KB_KEY_EC; i++)
        CU_ASSERT_TRUE(kb_key_type_parse(&type, kb_key_type_format((enum kb_key_type)i)) &&
                       (int)type == i);
    CU_ASSERT_FALSE(kb_key_use_parse(&use, "Wrap"));
    CU_ASSERT_FALSE(kb_key_type_parse(&type, ""));
    CU_ASSERT_FALSE(kb_key_type_parse(&type, NULL));
    CU_ASSERT_PTR_NULL(kb_key_type_format((enum kb_key_type)99));
    CU_ASSERT_PTR_NULL(kb_key_use_format(KB_KEY_USE_UNKNOWN));
    CU_ASSERT_STRING_EQUAL(kb_key_origin_format(KB_KEY_ADOPTED), "adopted");
    CU_ASSERT_FALSE(kb_key_type_hash(KB_KEY_AES_256, &hash));
    CU_ASSERT_TRUE(kb_key_type_hash(KB_KEY_HMAC_SHA384, &hash) && hash == KB_SHA384);
    CU_ASSERT_EQUAL(kb_hash_size(KB_SHA224), 28);
    CU_ASSERT_EQUAL(kb_hash_size(KB_SHA512), 64);
}

static const struct kbtest tests[] = {
    BOTH(every_type_is_made_as_asked),
    BOTH(a_name_is_taken_once),
    BOTH(two_keys_of_a_name_are_refused),
    BOTH(foreign_keys_are_adopted),
    BOTH(a_key_destroyed_by_others_is_not_used_on),
    BOTH(wrong_uses_are_denied),
    BOTH(specs_that_make_no_sense),
    BOTH(keys_by_uri),
    BOTH(tokens_by_uri),
    BOTH(imports_are_checked),
    BOTH(the_probe_tells_the_truth),
    BOTH(extraction_is_really_tried),
    {"names_round_trip", names_round_trip},
    {NULL, NULL},
};

int main(int argc, char **argv)
{
    int result;

    if (foreign_main(argc, argv, &result))
        return result;
    result = kbtest_main("token_keys", tests, argc, argv);
    backends_close();
    return result;
}
