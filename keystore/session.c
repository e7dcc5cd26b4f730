/* SPDX-License-Identifier: Apache-2.0
 *
 * Finds the one token that is meant, and opens the session.
 */
#include "keystore/helper.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A text of fixed width, padded with blanks; UTF-8 is the token's promise. */
static void trim(char *out, size_t room, const CK_UTF8CHAR *text, size_t width)
{
    size_t size = p11_kit_space_strlen(text, width);

    if (size >= room)
        size = room - 1;
    memcpy(out, text, size);
    out[size] = 0;
}

static void format_uri(char *out, size_t room, const CK_TOKEN_INFO *info)
{
    P11KitUri *uri = p11_kit_uri_new();
    char *text = NULL;

    out[0] = 0;
    if (!uri)
        return;
    *p11_kit_uri_get_token_info(uri) = *info;
    if (p11_kit_uri_format(uri, P11_KIT_URI_FOR_TOKEN, &text) == P11_KIT_URI_OK &&
        strlen(text) < room)
        memcpy(out, text, strlen(text) + 1);
    free(text);
    p11_kit_uri_free(uri);
}

static void format_module(char *out, size_t room, const struct token_place *place)
{
    char *path = p11_kit_module_get_filename(place->f);
    char description[33];

    trim(description, sizeof description, place->module_info.libraryDescription,
         sizeof place->module_info.libraryDescription);
    snprintf(out, room, "%.200s (%s)", path ? path : "?", description);
    free(path);
}

void token_info_fill(struct kb_token_info *info, const struct token_place *place)
{
    const CK_TOKEN_INFO *token = &place->token_info;

    memset(info, 0, sizeof *info);
    trim(info->label, sizeof info->label, token->label, sizeof token->label);
    trim(info->manufacturer, sizeof info->manufacturer, token->manufacturerID,
         sizeof token->manufacturerID);
    trim(info->model, sizeof info->model, token->model, sizeof token->model);
    trim(info->serial, sizeof info->serial, token->serialNumber, sizeof token->serialNumber);
    format_uri(info->uri, sizeof info->uri, token);
    format_module(info->module, sizeof info->module, place);
    info->initialized = token->flags & CKF_TOKEN_INITIALIZED;
    info->login_required = token->flags & CKF_LOGIN_REQUIRED;
    info->pin_count_low = token->flags & CKF_USER_PIN_COUNT_LOW;
    info->pin_final_try = token->flags & CKF_USER_PIN_FINAL_TRY;
    info->pin_locked = token->flags & CKF_USER_PIN_LOCKED;
    info->write_protected = token->flags & CKF_WRITE_PROTECTED;
}

static enum kb_status visit_slots(struct helper *helper, struct token_place *place,
                                  enum kb_status (*each)(void *, const struct token_place *,
                                                         struct kb_error *),
                                  void *ctx, struct kb_error *err)
{
    CK_SLOT_ID slots[256];
    CK_ULONG count = 0;
    enum kb_status status = KB_OK;
    CK_RV rv;

    rv = place->f->C_GetInfo(&place->module_info);
    /* Asked without room first: only that makes some modules look again. */
    if (rv == CKR_OK)
        rv = place->f->C_GetSlotList(CK_TRUE, NULL, &count);
    count = sizeof slots / sizeof slots[0];
    if (rv == CKR_OK)
        rv = place->f->C_GetSlotList(CK_TRUE, slots, &count);
    if (rv != CKR_OK)
        return helper_error(helper, err, rv, "the module could not list its slots");
    for (CK_ULONG i = 0; i < count && status == KB_OK; i++) {
        place->slot = slots[i];
        if (place->f->C_GetSlotInfo(slots[i], &place->slot_info) == CKR_OK &&
            place->f->C_GetTokenInfo(slots[i], &place->token_info) == CKR_OK &&
            (!helper->uri || uri_matches(helper->uri, place)))
            status = each(ctx, place, err);
    }
    return status;
}

enum kb_status places_visit(struct helper *helper,
                            enum kb_status (*each)(void *ctx, const struct token_place *place,
                                                   struct kb_error *err),
                            void *ctx, struct kb_error *err)
{
    enum kb_status status = KB_OK;

    for (size_t i = 0; helper->modules[i] && status == KB_OK; i++) {
        struct token_place place = {.f = helper->modules[i]};

        status = visit_slots(helper, &place, each, ctx, err);
    }
    return status;
}

struct candidates {
    struct token_place first;
    unsigned count;
};

static enum kb_status count_token(void *ctx, const struct token_place *place, struct kb_error *err)
{
    struct candidates *candidates = ctx;

    (void)err;
    if (!(place->token_info.flags & CKF_TOKEN_INITIALIZED))
        return KB_OK;
    if (candidates->count++ == 0)
        candidates->first = *place;
    return KB_OK;
}

static enum kb_status choose_token(struct helper *helper, const char *uri, struct kb_error *err)
{
    struct candidates candidates = {.count = 0};
    enum kb_status status = places_visit(helper, count_token, &candidates, err);

    if (status != KB_OK)
        return status;
    if (candidates.count == 1) {
        helper->place = candidates.first;
        return KB_OK;
    }
    if (candidates.count == 0)
        status = kb_error_set(err, KB_ERR_TOKEN, "no initialised token matches %.200s",
                              uri ? uri : "the module");
    else
        status = kb_error_set(err, KB_ERR_AMBIGUOUS, "%u tokens match %.200s", candidates.count,
                              uri ? uri : "the module");
    kb_error_hint(err, "keybridge token list shows the tokens and their URIs");
    return status;
}

static enum kb_status login(struct helper *helper, const struct kb_request *request,
                            struct kb_error *err)
{
    CK_RV rv;

    if (!request->with_pin) {
        if (!(helper->place.token_info.flags & CKF_LOGIN_REQUIRED))
            return KB_OK;
        kb_error_set(err, KB_ERR_PIN, "the token wants a PIN and none was given");
        kb_error_hint(err, "use --pin-file with a file of mode 0600");
        return KB_ERR_PIN;
    }
    rv = helper->f->C_Login(helper->session, CKU_USER,
                            (CK_UTF8CHAR *)(uintptr_t)request->pin.data, request->pin.size);
    if (rv == CKR_OK || rv == CKR_USER_ALREADY_LOGGED_IN)
        return KB_OK;
    return helper_error(helper, err, rv, "the token did not accept the PIN: C_Login");
}

enum kb_status session_open(struct helper *helper, const struct kb_request *request,
                            struct kb_token_info *info, struct kb_error *err)
{
    enum kb_status status = choose_token(helper, request->uri, err);
    CK_FUNCTION_LIST *f;
    CK_RV rv;

    if (status != KB_OK)
        return status;
    f = helper->place.f;
    rv = f->C_OpenSession(helper->place.slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL,
                          &helper->session);
    if (rv == CKR_TOKEN_WRITE_PROTECTED || rv == CKR_SESSION_READ_ONLY)
        rv = f->C_OpenSession(helper->place.slot, CKF_SERIAL_SESSION, NULL, NULL,
                              &helper->session);
    if (rv != CKR_OK)
        return helper_error(helper, err, rv, "C_OpenSession");
    helper->f = f;
    status = login(helper, request, err);
    if (status != KB_OK)
        return status;
    /* The PIN flags have changed by logging in. */
    (void)f->C_GetTokenInfo(helper->place.slot, &helper->place.token_info);
    token_info_fill(info, &helper->place);
    helper->vendor = vendor_find(info->manufacturer, info->model);
    helper->unwrap_with_length = helper->vendor->unwrap_wants_length;
    return KB_OK;
}
