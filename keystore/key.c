/* SPDX-License-Identifier: Apache-2.0
 *
 * Finds keys of the token by name, and keeps what was found.
 */
#include "keystore/helper.h"

#include <stdlib.h>
#include <string.h>

/* How long a key that was found is used without looking whether the token
 * still has it; its copy in the session would work for ever. */
enum { RECHECK_MS = 1000, FIND_AT_ONCE = 64 };

bool key_name_valid(const char *name)
{
    size_t size = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");

    return size > 0 && size <= KB_TOKEN_NAME_MAX && name[size] == 0;
}

/* --- the cache ---------------------------------------------------------------- */

static void drop(struct helper *helper, struct found_key *key)
{
    if (key->name && key->working != key->object)
        (void)helper->f->C_DestroyObject(helper->session, key->working);
    free(key->name);
    *key = (struct found_key){0};
}

void key_cache_clear(struct helper *helper)
{
    for (size_t i = 0; i < KEY_CACHE_SIZE; i++)
        drop(helper, &helper->keys[i]);
}

/* --- a faster copy ---------------------------------------------------------------- */

/* Never a weaker one: what the copy says of itself is held against the key. */
static bool copy_is_as_strong(struct helper *helper, CK_OBJECT_HANDLE copy,
                              const struct kb_key_info *info)
{
    return key_flag_read(helper, copy, CKA_TOKEN) == KB_ANSWER_NO &&
           (info->sensitive == KB_ANSWER_NO ||
            key_flag_read(helper, copy, CKA_SENSITIVE) == KB_ANSWER_YES) &&
           (info->extractable == KB_ANSWER_YES ||
            key_flag_read(helper, copy, CKA_EXTRACTABLE) == KB_ANSWER_NO);
}

static CK_OBJECT_HANDLE copy_to_session(struct helper *helper, CK_OBJECT_HANDLE object,
                                        const struct kb_key_info *info)
{
    struct template wanted = {.count = 0};
    CK_OBJECT_HANDLE copy;

    template_flag(&wanted, CKA_TOKEN, false);
    if (helper->f->C_CopyObject(helper->session, object, wanted.rows, wanted.count, &copy) !=
        CKR_OK)
        return object;
    if (copy_is_as_strong(helper, copy, info))
        return copy;
    (void)helper->f->C_DestroyObject(helper->session, copy);
    return object;
}

/* --- searching ---------------------------------------------------------------- */

static enum kb_status search(struct helper *helper, struct template *wanted,
                             CK_OBJECT_HANDLE *found, CK_ULONG room, CK_ULONG *count,
                             struct kb_error *err)
{
    CK_FUNCTION_LIST *f = helper->f;
    CK_RV rv = f->C_FindObjectsInit(helper->session, wanted->rows, wanted->count);
    CK_RV ended;
    CK_ULONG more = 0;

    *count = 0;
    if (rv != CKR_OK)
        return helper_error(helper, err, rv, "C_FindObjectsInit");
    do {
        rv = f->C_FindObjects(helper->session, found + *count, room - *count, &more);
        *count += rv == CKR_OK ? more : 0;
    } while (rv == CKR_OK && more > 0 && *count < room);
    ended = f->C_FindObjectsFinal(helper->session);
    if (rv == CKR_OK)
        rv = ended;
    return rv == CKR_OK ? KB_OK : helper_error(helper, err, rv, "C_FindObjects");
}

static void want_token_keys(struct template *wanted)
{
    wanted->count = wanted->numbers_used = 0;
    template_number(wanted, CKA_CLASS, CKO_SECRET_KEY);
    template_flag(wanted, CKA_TOKEN, true);
}

static enum kb_status want_uri(struct helper *helper, P11KitUri *uri, struct template *wanted,
                               struct kb_error *err)
{
    const CK_ATTRIBUTE *label = p11_kit_uri_get_attribute(uri, CKA_LABEL);
    const CK_ATTRIBUTE *id = p11_kit_uri_get_attribute(uri, CKA_ID);
    const CK_ATTRIBUTE *class = p11_kit_uri_get_attribute(uri, CKA_CLASS);

    if (!uri_matches(uri, &helper->place))
        return kb_error_set(err, KB_ERR_USAGE, "the key's URI names another token");
    if (!label && !id)
        return kb_error_set(err, KB_ERR_USAGE, "the key's URI has neither object nor id");
    if (class && *(const CK_OBJECT_CLASS *)class->pValue != CKO_SECRET_KEY)
        return kb_error_set(err, KB_ERR_USAGE, "the key's URI is not of a secret key");
    if (label)
        template_bytes(wanted, CKA_LABEL, label->pValue, label->ulValueLen);
    if (id)
        template_bytes(wanted, CKA_ID, id->pValue, id->ulValueLen);
    return KB_OK;
}

/* The handles of the keys of that name: up to two of them are enough to know. */
static enum kb_status search_name(struct helper *helper, const char *name,
                                  CK_OBJECT_HANDLE found[2], CK_ULONG *count, struct kb_error *err)
{
    struct template wanted;
    P11KitUri *uri = NULL;
    enum kb_status status = KB_OK;

    *count = 0;
    want_token_keys(&wanted);
    if (key_name_valid(name)) {
        template_bytes(&wanted, CKA_LABEL, name, strlen(name));
    } else if (strncasecmp(name, "pkcs11:", 7) == 0) {
        status = uri_parse(&uri, name, err);
        if (status == KB_OK)
            status = want_uri(helper, uri, &wanted, err);
    } else {
        status = kb_error_set(err, KB_ERR_USAGE, "'%.80s' is not a key's name", name);
        kb_error_hint(err, "1 to %d of A-Z a-z 0-9 . _ - or a PKCS#11 URI with object or id",
                      KB_TOKEN_NAME_MAX);
    }
    if (status == KB_OK)
        status = search(helper, &wanted, found, 2, count, err);
    if (uri)
        p11_kit_uri_free(uri);
    return status;
}

enum kb_status key_count(struct helper *helper, const char *name, CK_ULONG *count,
                         struct kb_error *err)
{
    CK_OBJECT_HANDLE found[2];

    return search_name(helper, name, found, count, err);
}

/* Still the only key of that name, and the same one? */
static bool is_current(struct helper *helper, struct found_key *key)
{
    CK_OBJECT_HANDLE found[2];
    CK_ULONG count;
    struct kb_key_info info;
    int64_t now = kb_clock_ms();

    if (now - key->checked < RECHECK_MS)
        return true;
    key->checked = now;
    return search_name(helper, key->name, found, &count, NULL) == KB_OK && count == 1 &&
           found[0] == key->object &&
           key_info_read(helper, key->object, &info, NULL) == KB_OK &&
           memcmp(&info, &key->info, sizeof info) == 0;
}

/* --- looking up ------------------------------------------------------------------ */

static enum kb_status look_up(struct helper *helper, const char *name, struct found_key *out,
                              struct kb_error *err)
{
    CK_OBJECT_HANDLE found[2];
    CK_ULONG count;
    enum kb_status status = search_name(helper, name, found, &count, err);

    if (status != KB_OK)
        return status;
    if (count == 0) {
        kb_error_set(err, KB_ERR_NOT_FOUND, "the token has no key '%.120s'", name);
        kb_error_hint(err, "keybridge key list shows its keys");
        return KB_ERR_NOT_FOUND;
    }
    if (count > 1) {
        kb_error_set(err, KB_ERR_AMBIGUOUS, "the token has more than one key '%.120s'", name);
        kb_error_hint(err, "name one by a URI with its id: pkcs11:id=%%4b%%42...");
        return KB_ERR_AMBIGUOUS;
    }
    out->object = found[0];
    out->checked = kb_clock_ms();
    status = key_info_read(helper, out->object, &out->info, err);
    if (status != KB_OK)
        return status;
    out->name = strdup(name);
    if (!out->name)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory for a key's name");
    out->working = copy_to_session(helper, out->object, &out->info);
    return KB_OK;
}

enum kb_status key_find(struct helper *helper, const char *name, const struct found_key **out,
                        struct kb_error *err)
{
    struct found_key fresh = {0};
    struct found_key *room;
    enum kb_status status;

    for (size_t i = 0; i < KEY_CACHE_SIZE; i++) {
        struct found_key *key = &helper->keys[i];

        if (!key->name || strcmp(key->name, name) != 0)
            continue;
        if (is_current(helper, key)) {
            *out = key;
            return KB_OK;
        }
        drop(helper, key);
    }
    status = look_up(helper, name, &fresh, err);
    if (status != KB_OK)
        return status;
    room = &helper->keys[helper->keys_next++ % KEY_CACHE_SIZE];
    drop(helper, room);
    *room = fresh;
    *out = room;
    return KB_OK;
}

enum kb_status key_find_for(struct helper *helper, const char *name, enum kb_key_use use,
                            const struct found_key **out, struct kb_error *err)
{
    enum kb_status status = key_find(helper, name, out, err);
    const char *is;

    if (status != KB_OK || (*out)->info.use == use)
        return status;
    is = kb_key_use_format((*out)->info.use);
    kb_error_set(err, KB_ERR_DENIED, "key '%.80s' is a %s key and may not be used as a %s key",
                 name, is ? is : "strange", kb_key_use_format(use));
    kb_error_hint(err, "keybridge key show tells what a key may do");
    return KB_ERR_DENIED;
}

enum kb_status key_list(struct helper *helper, struct kb_buffer *answer, struct kb_error *err)
{
    CK_OBJECT_HANDLE *found = calloc(KB_LIST_MAX, sizeof *found);
    struct template wanted;
    struct kb_key_info info;
    CK_ULONG count = 0;
    enum kb_status status;

    if (!found)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory for a list of keys");
    want_token_keys(&wanted);
    status = search(helper, &wanted, found, KB_LIST_MAX, &count, err);
    if (count == KB_LIST_MAX)
        status = kb_error_set(err, KB_ERR_UNSUPPORTED, "the token has too many keys to list");
    for (CK_ULONG i = 0; i < count && status == KB_OK; i++) {
        struct kb_error why = {.status = KB_OK};

        status = key_info_read(helper, found[i], &info, &why);
        if (status == KB_ERR_NOT_FOUND)
            status = KB_OK; /* destroyed by somebody just now */
        else if (status == KB_OK)
            kb_key_info_put(answer, &info);
        else
            *err = why;
    }
    free(found);
    return status;
}
