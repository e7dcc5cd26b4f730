/* SPDX-License-Identifier: Apache-2.0
 *
 * Loads PKCS#11 modules through p11-kit, and ends them.
 */
#include "keystore/helper.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum kb_status not_loaded(const char *name, const char *why, struct kb_error *err)
{
    kb_error_set(err, KB_ERR_TOKEN, "the PKCS#11 module %.160s could not be loaded: %.100s", name,
                 why ? why : "no reason was given");
    kb_error_hint(err, "give the path of a module, or a name that p11-kit list-modules shows");
    return KB_ERR_TOKEN;
}

static enum kb_status load_path(struct helper *helper, const char *path, struct kb_error *err)
{
    helper->modules = calloc(2, sizeof *helper->modules);
    if (!helper->modules)
        return kb_error_set(err, KB_ERR_MEMORY, "no memory for a module");
    helper->modules[0] = p11_kit_module_load(path, 0);
    return helper->modules[0] ? KB_OK : not_loaded(path, p11_kit_message(), err);
}

/* A module of p11-kit's configuration, or all of them. */
static enum kb_status load_configured(struct helper *helper, const char *name,
                                      struct kb_error *err)
{
    CK_FUNCTION_LIST *wanted;

    helper->modules = p11_kit_modules_load(NULL, 0);
    if (!helper->modules)
        return not_loaded(name ? name : "(all)", p11_kit_message(), err);
    if (!name)
        return KB_OK;
    wanted = p11_kit_module_for_name(helper->modules, name);
    if (!wanted)
        return not_loaded(name, "p11-kit knows no such module", err);
    for (size_t i = 0; helper->modules[i]; i++)
        if (helper->modules[i] == wanted) {
            /* The others stay loaded, behind the one in use. */
            helper->modules[i] = helper->modules[0];
            helper->modules[0] = wanted;
        }
    return KB_OK;
}

static CK_RV initialize(CK_FUNCTION_LIST *module, const char *parameters)
{
    CK_C_INITIALIZE_ARGS arguments = {.flags = CKF_OS_LOCKING_OK};

    if (!parameters)
        return p11_kit_module_initialize(module);
    arguments.pReserved = (void *)(uintptr_t)parameters;
    return module->C_Initialize(&arguments);
}

/* With one module its failure is ours; among all of them a module that is of
 * no use here is skipped. */
static enum kb_status start(struct helper *helper, const char *name, const char *parameters,
                            struct kb_error *err)
{
    enum kb_status status = KB_OK;
    size_t kept = 0;

    for (size_t i = 0; helper->modules[i]; i++) {
        CK_FUNCTION_LIST *module = helper->modules[i];
        CK_RV rv = name && i > 0 ? CKR_CANCEL : initialize(module, parameters);

        if (rv == CKR_OK) {
            helper->modules[kept++] = module;
            continue;
        }
        if (name && i == 0) {
            status = kb_error_set(err, KB_ERR_TOKEN, "the PKCS#11 module %.160s did not start: %s",
                                  name, ckr_find(rv)->name);
            kb_error_hint(err, "check the module's own configuration");
            err->detail_kind = KB_DETAIL_CK_RV;
            err->detail = rv;
        }
        p11_kit_module_release(module);
    }
    helper->modules[kept] = NULL;
    return status;
}

/* The module may be named by the URI as well, but not two of them. */
static enum kb_status choose_module(const struct helper *helper, const char **name,
                                    struct kb_error *err)
{
    const char *path = helper->uri ? p11_kit_uri_get_module_path(helper->uri) : NULL;
    const char *by_name = helper->uri ? p11_kit_uri_get_module_name(helper->uri) : NULL;
    const char *other = path ? path : by_name;

    if (!other)
        return KB_OK;
    if ((*name && strcmp(*name, other) != 0) || (path && by_name))
        return kb_error_set(err, KB_ERR_USAGE, "the URI names another module, %.200s", other);
    *name = other;
    return KB_OK;
}

enum kb_status module_open(struct helper *helper, const struct kb_request *request,
                           struct kb_error *err)
{
    const char *name = request->module;
    enum kb_status status = KB_OK;

    if (request->uri)
        status = uri_parse(&helper->uri, request->uri, err);
    if (status == KB_OK && helper->uri && uri_names_object(helper->uri))
        status = kb_error_set(err, KB_ERR_USAGE, "the URI of a token names a key");
    if (status == KB_OK)
        status = choose_module(helper, &name, err);
    if (status != KB_OK)
        return status;
    helper->own_arguments = request->parameters != NULL;
    p11_kit_be_quiet();
    if (name && strchr(name, '/'))
        status = load_path(helper, name, err);
    else
        status = load_configured(helper, name, err);
    return status == KB_OK ? start(helper, name, request->parameters, err) : status;
}

void module_close(struct helper *helper)
{
    key_cache_clear(helper);
    if (helper->f)
        (void)helper->f->C_CloseSession(helper->session);
    for (size_t i = 0; helper->modules && helper->modules[i]; i++) {
        (void)(helper->own_arguments ? helper->modules[i]->C_Finalize(NULL)
                                  : p11_kit_module_finalize(helper->modules[i]));
        p11_kit_module_release(helper->modules[i]);
    }
    free(helper->modules);
    helper->modules = NULL;
    helper->f = NULL;
    free(helper->kept.objects);
    helper->kept = (struct kept_keys){0};
    if (helper->uri)
        p11_kit_uri_free(helper->uri);
    helper->uri = NULL;
}

/* --- listing ------------------------------------------------------------------ */

struct listing {
    struct kb_buffer *answer;
    size_t count_at;
    uint32_t count;
};

static enum kb_status list_one(void *ctx, const struct token_place *place, struct kb_error *err)
{
    struct listing *listing = ctx;
    struct kb_token_info info;

    (void)err;
    if (listing->count < KB_LIST_MAX) {
        token_info_fill(&info, place);
        kb_token_info_put(listing->answer, &info);
        listing->count++;
    }
    return KB_OK;
}

enum kb_status module_list_tokens(struct helper *helper, struct kb_buffer *answer,
                                  struct kb_error *err)
{
    struct kb_buffer rows = KB_BUFFER_INIT(KB_FRAME_DATA_MAX);
    struct listing listing = {.answer = &rows};
    enum kb_status status = places_visit(helper, list_one, &listing, err);

    if (status == KB_OK)
        status = kb_buffer_check(&rows, err);
    if (status == KB_OK) {
        kb_buffer_put_u32(answer, listing.count);
        kb_buffer_put_bytes(answer, kb_buffer_view(&rows));
    }
    kb_buffer_free(&rows);
    return status;
}

/* --- a new token ----------------------------------------------------------------- */

struct search {
    struct token_place empty;
    struct token_place named;
    const char *label;
};

static bool has_label(const CK_TOKEN_INFO *info, const char *label)
{
    size_t size = p11_kit_space_strlen(info->label, sizeof info->label);

    return size == strlen(label) && memcmp(info->label, label, size) == 0;
}

static enum kb_status search_slot(void *ctx, const struct token_place *place, struct kb_error *err)
{
    struct search *search = ctx;

    (void)err;
    if (!(place->token_info.flags & CKF_TOKEN_INITIALIZED)) {
        if (!search->empty.f)
            search->empty = *place;
    } else if (has_label(&place->token_info, search->label)) {
        search->named = *place;
    }
    return KB_OK;
}

static enum kb_status set_user_pin(const struct token_place *place,
                                   const struct kb_request *request, struct kb_error *err)
{
    CK_FUNCTION_LIST *f = place->f;
    CK_SESSION_HANDLE session;
    CK_RV rv = f->C_OpenSession(place->slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL,
                                &session);

    if (rv != CKR_OK)
        return ckr_error(err, rv, "C_OpenSession on the new token");
    rv = f->C_Login(session, CKU_SO, (CK_UTF8CHAR *)(uintptr_t)request->so_pin.data,
                    request->so_pin.size);
    if (rv != CKR_OK) {
        ckr_error(err, rv, "C_Login of the new token's security officer");
    } else {
        rv = f->C_InitPIN(session, (CK_UTF8CHAR *)(uintptr_t)request->pin.data, request->pin.size);
        if (rv != CKR_OK)
            ckr_error(err, rv, "C_InitPIN on the new token");
        (void)f->C_Logout(session);
    }
    (void)f->C_CloseSession(session);
    return rv == CKR_OK ? KB_OK : ckr_find(rv)->status;
}

enum kb_status module_init_token(struct helper *helper, const struct kb_request *request,
                                 struct kb_error *err)
{
    struct search search = {.label = request->name};
    CK_UTF8CHAR label[32];
    size_t size = strlen(request->name);
    enum kb_status status;
    CK_RV rv;

    if (size == 0 || size > sizeof label)
        return kb_error_set(err, KB_ERR_USAGE, "a token's label has 1 to 32 bytes, not %zu", size);
    status = places_visit(helper, search_slot, &search, err);
    if (status != KB_OK)
        return status;
    if (search.named.f)
        return kb_error_set(err, KB_ERR_EXISTS, "there is a token '%s' already", request->name);
    if (!search.empty.f)
        return kb_error_set(err, KB_ERR_NOT_FOUND, "the module has no slot for a new token");
    memset(label, ' ', sizeof label);
    memcpy(label, request->name, size);
    rv = search.empty.f->C_InitToken(search.empty.slot,
                                     (CK_UTF8CHAR *)(uintptr_t)request->so_pin.data,
                                     request->so_pin.size, label);
    if (rv != CKR_OK)
        return ckr_error(err, rv, "C_InitToken");
    /* A new token may have moved to another slot. */
    status = places_visit(helper, search_slot, &search, err);
    if (status == KB_OK)
        status = set_user_pin(search.named.f ? &search.named : &search.empty, request, err);
    return status;
}
