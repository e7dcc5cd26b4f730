/* SPDX-License-Identifier: Apache-2.0
 *
 * PKCS#11 URIs (RFC 7512), strictly. The parser of p11-kit takes the last of
 * equal attributes, drops blanks and accepts unknown ones, any of which would
 * make a typing mistake match another token.
 */
#include "keystore/helper.h"

#include <string.h>

static const char *const known[] = {
    "token",         "manufacturer",      "serial",           "model",
    "object",        "type",              "id",               "library-manufacturer",
    "library-description", "library-version", "slot-manufacturer", "slot-description",
    "slot-id",       "module-name",       "module-path",      "pin-source",
};

/* One `name=value` of the URI; *seen has a bit for each name that was there. */
static enum kb_status check_attribute(const char *text, size_t size, unsigned *seen,
                                      struct kb_error *err)
{
    const char *equals = memchr(text, '=', size);
    size_t length = equals ? (size_t)(equals - text) : size;

    if (length == 9 && memcmp(text, "pin-value", 9) == 0) {
        kb_error_set(err, KB_ERR_USAGE, "a PIN does not belong in a URI");
        kb_error_hint(err, "put it into a file of mode 0600 and use --pin-file or pin-source");
        return KB_ERR_USAGE;
    }
    for (size_t i = 0; equals && i < sizeof known / sizeof known[0]; i++) {
        if (strlen(known[i]) != length || memcmp(known[i], text, length) != 0)
            continue;
        if (*seen & 1U << i)
            return kb_error_set(err, KB_ERR_USAGE, "the URI has '%s' twice", known[i]);
        *seen |= 1U << i;
        return KB_OK;
    }
    return kb_error_set(err, KB_ERR_USAGE, "the URI has an unknown attribute '%.*s'",
                        (int)(length > 40 ? 40 : length), text);
}

static enum kb_status check_text(const char *uri, struct kb_error *err)
{
    const char *next = strchr(uri, ':');
    unsigned seen = 0;
    enum kb_status status = KB_OK;

    if (!next)
        return KB_OK; /* the parser says what is wrong */
    for (const char *c = uri; *c; c++)
        if ((unsigned char)*c <= 0x20 || *c == 0x7f)
            return kb_error_set(err, KB_ERR_USAGE, "the URI has a blank in it; write it as %%20");
    next++;
    while (*next && status == KB_OK) {
        size_t size = strcspn(next, ";?&");

        status = check_attribute(next, size, &seen, err);
        next += size;
        if (*next)
            next++;
    }
    return status;
}

enum kb_status uri_parse(P11KitUri **out, const char *text, struct kb_error *err)
{
    P11KitUri *uri;
    enum kb_status status = check_text(text, err);
    int code;

    *out = NULL;
    if (status != KB_OK)
        return status;
    uri = p11_kit_uri_new();
    if (!uri)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory for a URI");
    code = p11_kit_uri_parse(text, P11_KIT_URI_FOR_ANY, uri);
    if (code != P11_KIT_URI_OK)
        status = kb_error_set(err, KB_ERR_USAGE, "not a PKCS#11 URI: %s",
                              p11_kit_uri_message(code));
    else if (p11_kit_uri_any_unrecognized(uri))
        status = kb_error_set(err, KB_ERR_USAGE,
                              "the URI has an attribute that is unknown, or longer than can be");
    if (status != KB_OK) {
        kb_error_hint(err, "such as pkcs11:token=main, or pkcs11:token=main;object=kek for a key");
        p11_kit_uri_free(uri);
        return status;
    }
    *out = uri;
    return KB_OK;
}

bool uri_names_object(P11KitUri *uri)
{
    return p11_kit_uri_get_attribute(uri, CKA_LABEL) || p11_kit_uri_get_attribute(uri, CKA_ID) ||
           p11_kit_uri_get_attribute(uri, CKA_CLASS);
}

bool uri_matches(P11KitUri *uri, const struct token_place *place)
{
    CK_SLOT_ID wanted = p11_kit_uri_get_slot_id(uri);

    return p11_kit_uri_match_module_info(uri, &place->module_info) &&
           p11_kit_uri_match_slot_info(uri, &place->slot_info) &&
           p11_kit_uri_match_token_info(uri, &place->token_info) &&
           (wanted == (CK_SLOT_ID)-1 || wanted == place->slot);
}
