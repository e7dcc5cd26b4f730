/* SPDX-License-Identifier: Apache-2.0
 *
 * Finds keys of the token by name, and keeps what was found.
 */
#include "keystore/helper.h"

#include <stdlib.h>
#include <string.h>

/* How long a key that was found is used without looking whether the token
 * still has it; its copy in the session would work for ever. */
enum { RECHECK_MS = 1000, FIND_ENOUGH = 32 };

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
    if (key->name && key->wrapping != CK_INVALID_HANDLE)
        (void)helper->f->C_DestroyObject(helper->session, key->wrapping);
    kb_public_key_free(key->public_key);
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

static void want_token_keys(struct template *wanted, CK_OBJECT_CLASS class)
{
    wanted->count = wanted->numbers_used = 0;
    template_number(wanted, CKA_CLASS, class);
    template_flag(wanted, CKA_TOKEN, true);
}

/* What a name stands for. */
struct wanted_key {
    struct kb_bytes label;
    struct kb_bytes id;
    CK_OBJECT_CLASS class; /* or ANY_CLASS */
    P11KitUri *uri;        /* label and id are views into it */
};

#define ANY_CLASS ((CK_OBJECT_CLASS)-1)

static struct kb_bytes bytes_of(const CK_ATTRIBUTE *attribute)
{
    return attribute ? (struct kb_bytes){attribute->pValue, attribute->ulValueLen}
                     : (struct kb_bytes){NULL, 0};
}

static enum kb_status want_uri(struct helper *helper, struct wanted_key *wanted,
                               struct kb_error *err)
{
    const CK_ATTRIBUTE *label = p11_kit_uri_get_attribute(wanted->uri, CKA_LABEL);
    const CK_ATTRIBUTE *id = p11_kit_uri_get_attribute(wanted->uri, CKA_ID);
    const CK_ATTRIBUTE *class = p11_kit_uri_get_attribute(wanted->uri, CKA_CLASS);

    if (!uri_matches(wanted->uri, &helper->place))
        return kb_error_set(err, KB_ERR_USAGE, "the key's URI names another token");
    if (!label && !id)
        return kb_error_set(err, KB_ERR_USAGE, "the key's URI has neither object nor id");
    if (class)
        wanted->class = *(const CK_OBJECT_CLASS *)class->pValue;
    if (class && wanted->class != CKO_SECRET_KEY && wanted->class != CKO_PRIVATE_KEY &&
        wanted->class != CKO_PUBLIC_KEY)
        return kb_error_set(err, KB_ERR_USAGE, "the key's URI is not of a key");
    wanted->label = bytes_of(label);
    wanted->id = bytes_of(id);
    return KB_OK;
}

static enum kb_status want_name(struct helper *helper, const char *name,
                                struct wanted_key *wanted, struct kb_error *err)
{
    enum kb_status status = KB_OK;

    *wanted = (struct wanted_key){.class = ANY_CLASS};
    if (key_name_valid(name)) {
        wanted->label = kb_bytes_text(name);
    } else if (strncasecmp(name, "pkcs11:", 7) == 0) {
        status = uri_parse(&wanted->uri, name, err);
        if (status == KB_OK)
            status = want_uri(helper, wanted, err);
    } else {
        status = kb_error_set(err, KB_ERR_USAGE, "'%.80s' is not a key's name", name);
        kb_error_hint(err, "1 to %d of A-Z a-z 0-9 . _ - or a PKCS#11 URI with object or id",
                      KB_TOKEN_NAME_MAX);
    }
    return status;
}

/* Objects of that name, by class. */
struct objects {
    CK_OBJECT_HANDLE of[3][FIND_ENOUGH];
    CK_ULONG count[3];
    bool more; /* than there is room for */
};
enum { SECRET, PRIVATE, PUBLIC };

static void sort_object(struct helper *helper, const struct wanted_key *key,
                        CK_OBJECT_HANDLE object, struct objects *out)
{
    CK_OBJECT_CLASS class = 0;
    CK_ULONG size = sizeof class;
    int which;

    if (attribute_read(helper, object, CKA_CLASS, &class, &size) != CKR_OK)
        return; /* destroyed by somebody just now */
    /* With a private key its public half is looked for, whatever the URI says. */
    if (key->class != ANY_CLASS && key->class != class &&
        !(key->class == CKO_PRIVATE_KEY && class == CKO_PUBLIC_KEY))
        return;
    which = class == CKO_SECRET_KEY    ? SECRET
            : class == CKO_PRIVATE_KEY ? PRIVATE
            : class == CKO_PUBLIC_KEY  ? PUBLIC
                                       : -1;
    if (which >= 0)
        out->of[which][out->count[which]++] = object;
}

/* One search for all classes, since a search reads every object of the token
 * on some. Certificates may have the name as well. */
static enum kb_status search_objects(struct helper *helper, const struct wanted_key *key,
                                     struct objects *out, struct kb_error *err)
{
    CK_OBJECT_HANDLE found[FIND_ENOUGH];
    struct template wanted = {.count = 0};
    CK_ULONG count;
    enum kb_status status;

    *out = (struct objects){.more = false};
    template_flag(&wanted, CKA_TOKEN, true);
    if (key->label.data)
        template_bytes(&wanted, CKA_LABEL, key->label.data, key->label.size);
    if (key->id.data)
        template_bytes(&wanted, CKA_ID, key->id.data, key->id.size);
    status = search(helper, &wanted, found, FIND_ENOUGH, &count, err);
    for (CK_ULONG i = 0; status == KB_OK && i < count; i++)
        sort_object(helper, key, found[i], out);
    out->more = count == FIND_ENOUGH;
    return status;
}

/* The keys of that name. */
struct matches {
    CK_ULONG count;
    CK_OBJECT_HANDLE object;
    CK_OBJECT_HANDLE public_object;
};

/* A private object and the one public object that is its half are one key. */
static void match_pairs(struct helper *helper, const struct objects *objects, struct matches *out)
{
    CK_ULONG alone = objects->count[PUBLIC];

    if (objects->count[PRIVATE] == 1) {
        out->object = objects->of[PRIVATE][0];
        for (CK_ULONG i = 0; i < objects->count[PUBLIC]; i++) {
            CK_OBJECT_HANDLE half = objects->of[PUBLIC][i];

            if (out->public_object != CK_INVALID_HANDLE ||
                !key_is_pair(helper, out->object, half))
                continue;
            out->public_object = half;
            alone--;
        }
    } else if (objects->count[PRIVATE] == 0 && alone == 1) {
        out->object = objects->of[PUBLIC][0];
    }
    out->count = objects->count[PRIVATE] + alone;
}

static enum kb_status search_name(struct helper *helper, const char *name, struct matches *out,
                                  struct kb_error *err)
{
    struct wanted_key wanted;
    struct objects objects;
    enum kb_status status = want_name(helper, name, &wanted, err);

    *out = (struct matches){.public_object = CK_INVALID_HANDLE};
    if (status == KB_OK)
        status = search_objects(helper, &wanted, &objects, err);
    if (status == KB_OK) {
        match_pairs(helper, &objects, out);
        if (wanted.class == CKO_PRIVATE_KEY)
            out->count = objects.count[PRIVATE];
        out->count += objects.count[SECRET] + (objects.more ? 2 : 0);
        if (objects.count[SECRET])
            out->object = objects.of[SECRET][0];
    }
    if (wanted.uri)
        p11_kit_uri_free(wanted.uri);
    return status;
}

enum kb_status key_count(struct helper *helper, const char *name, CK_OBJECT_HANDLE *object,
                         CK_ULONG *count, struct kb_error *err)
{
    struct matches matches = {.object = CK_INVALID_HANDLE};
    enum kb_status status = search_name(helper, name, &matches, err);

    if (object)
        *object = matches.object;
    *count = matches.count;
    return status;
}

/* Still the only key of that name, and the same one? */
static bool is_current(struct helper *helper, struct found_key *key)
{
    struct matches now;
    struct kb_key_info info;
    int64_t time = kb_clock_ms();

    if (time - key->checked < RECHECK_MS)
        return true;
    key->checked = time;
    return search_name(helper, key->name, &now, NULL) == KB_OK && now.count == 1 &&
           now.object == key->object && now.public_object == key->public_object &&
           key_info_read(helper, key->object, key->public_object, &info, NULL) == KB_OK &&
           memcmp(&info, &key->info, sizeof info) == 0;
}

/* --- looking up ------------------------------------------------------------------ */

static enum kb_status look_up(struct helper *helper, const char *name, struct found_key *out,
                              struct kb_error *err)
{
    struct matches matches;
    enum kb_status status = search_name(helper, name, &matches, err);

    if (status != KB_OK)
        return status;
    if (matches.count == 0) {
        kb_error_set(err, KB_ERR_NOT_FOUND, "the token has no key '%.120s'", name);
        kb_error_hint(err, "keybridge key list shows its keys");
        return KB_ERR_NOT_FOUND;
    }
    if (matches.count > 1) {
        kb_error_set(err, KB_ERR_AMBIGUOUS, "the token has more than one key '%.120s'", name);
        kb_error_hint(err, "name one by a URI with its id: pkcs11:id=%%4b%%42...");
        return KB_ERR_AMBIGUOUS;
    }
    out->object = matches.object;
    out->public_object = matches.public_object;
    out->checked = kb_clock_ms();
    status = key_info_read(helper, out->object, out->public_object, &out->info, err);
    if (status != KB_OK)
        return status;
    out->name = strdup(name);
    if (!out->name)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory for a key's name");
    out->working = out->info.public_only ? out->object
                                         : copy_to_session(helper, out->object, &out->info);
    return KB_OK;
}

enum kb_status key_find(struct helper *helper, const char *name, struct found_key **out,
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
                            struct found_key **out, struct kb_error *err)
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

/* --- the list ----------------------------------------------------------------------- */

struct object_list {
    CK_OBJECT_HANDLE *objects; /* KB_LIST_MAX */
    CK_ULONG count;
};

static enum kb_status list_class(struct helper *helper, struct object_list *list,
                                 CK_OBJECT_CLASS class, struct kb_error *err)
{
    struct template wanted;
    enum kb_status status;

    list->objects = calloc(KB_LIST_MAX, sizeof *list->objects);
    if (!list->objects)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory for a list of keys");
    want_token_keys(&wanted, class);
    status = search(helper, &wanted, list->objects, KB_LIST_MAX, &list->count, err);
    if (status == KB_OK && list->count == KB_LIST_MAX)
        status = kb_error_set(err, KB_ERR_UNSUPPORTED, "the token has too many keys to list");
    return status;
}

/* The public half of a private key, taken off the list of public ones. */
static CK_OBJECT_HANDLE take_half(struct helper *helper, CK_OBJECT_HANDLE private,
                                  struct object_list *public)
{
    for (CK_ULONG i = 0; i < public->count; i++) {
        CK_OBJECT_HANDLE half = public->objects[i];

        if (key_is_pair(helper, private, half)) {
            public->objects[i] = public->objects[--public->count];
            return half;
        }
    }
    return CK_INVALID_HANDLE;
}

static enum kb_status put_all(struct helper *helper, const struct object_list *list,
                              struct object_list *halves, struct kb_buffer *answer,
                              struct kb_error *err)
{
    enum kb_status status = KB_OK;
    struct kb_key_info info;

    for (CK_ULONG i = 0; i < list->count && status == KB_OK; i++) {
        CK_OBJECT_HANDLE half = halves ? take_half(helper, list->objects[i], halves)
                                       : CK_INVALID_HANDLE;
        struct kb_error why = {.status = KB_OK};

        status = key_info_read(helper, list->objects[i], half, &info, &why);
        if (status == KB_ERR_NOT_FOUND)
            status = KB_OK; /* destroyed by somebody just now */
        else if (status == KB_OK)
            kb_key_info_put(answer, &info);
        else
            *err = why;
    }
    return status;
}

enum kb_status key_list(struct helper *helper, struct kb_buffer *answer, struct kb_error *err)
{
    struct object_list secret = {0}, private = {0}, public = {0};
    enum kb_status status = list_class(helper, &secret, CKO_SECRET_KEY, err);

    if (status == KB_OK)
        status = list_class(helper, &private, CKO_PRIVATE_KEY, err);
    if (status == KB_OK)
        status = list_class(helper, &public, CKO_PUBLIC_KEY, err);
    if (status == KB_OK)
        status = put_all(helper, &secret, NULL, answer, err);
    if (status == KB_OK)
        status = put_all(helper, &private, &public, answer, err);
    if (status == KB_OK)
        status = put_all(helper, &public, NULL, answer, err);
    free(secret.objects);
    free(private.objects);
    free(public.objects);
    return status;
}
