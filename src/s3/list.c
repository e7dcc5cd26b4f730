/* SPDX-License-Identifier: Apache-2.0
 *
 * Listings, page by page. What they have in common: a query that is repeated
 * with one or two markers of the page before, and a document with an element
 * an entry. A server that lies ends a listing with KB_ERR_REMOTE: it can make
 * it long, not endless, nor slip in what was not asked for.
 */
#include "s3/s3.h"

#include "aws/credentials_source.h"
#include "base/text.h"

#include <string.h>

enum {
    QUERY_MAX = 16 * 1024,
    MARKER_MAX = 4 * 1024, /* bytes of a marker: keys have up to 1,024, encoded thrice as many */
    EMPTY_PAGES_MAX = 1000, /* in a row: delete markers that are skipped make some */
};

/* A parameter of the next page's query, and the element that gives its value. */
struct marker {
    const char *parameter, *element;
    bool is_key; /* encoded as keys are */
};

struct kind {
    const char *operation, *root;
    const char *query;         /* what all begin with, or NULL */
    struct marker markers[2];
};

static const struct kind objects = {
    "ListObjectsV2",
    "ListBucketResult",
    "list-type=2&encoding-type=url",
    {{"continuation-token", "NextContinuationToken", false}},
};
static const struct kind versions = {
    "ListObjectVersions",
    "ListVersionsResult",
    "versions=&encoding-type=url",
    {{"key-marker", "NextKeyMarker", true}, {"version-id-marker", "NextVersionIdMarker", false}},
};
static const struct kind uploads = {
    "ListMultipartUploads",
    "ListMultipartUploadsResult",
    "uploads=&encoding-type=url",
    {{"key-marker", "NextKeyMarker", true}, {"upload-id-marker", "NextUploadIdMarker", false}},
};
static const struct kind parts = {
    "ListParts",
    "ListPartsResult",
    NULL,
    {{"part-number-marker", "NextPartNumberMarker", false}},
};
static const struct kind buckets = {
    "ListBuckets",
    "ListAllMyBucketsResult",
    NULL,
    {{"continuation-token", "ContinuationToken", false}},
};

struct pager {
    struct kb_s3 *s3;
    const struct kind *kind;
    struct s3_request request;
    struct kb_buffer query;  /* of the page under way, terminated */
    size_t fixed;            /* its bytes that are the same on every page */
    struct kb_bytes prefix;  /* what every key begins with */
    struct kb_arena arena;   /* the page's document */
    bool encoded;            /* the page has its keys percent-encoded */
    struct kb_buffer key;    /* of the entry under way, decoded, terminated */
    unsigned part;           /* number of the last one */
    uint64_t entries;        /* so far on this page */
    unsigned empty_pages;    /* in a row */
    struct kb_buffer seen;   /* markers of an earlier page, */
    uint64_t pages, see_next; /* which is held against all pages up to twice its number */
    enum kb_status (*each)(void *ctx, const struct kb_s3_entry *entry, struct kb_error *err);
    enum kb_status (*each_part)(void *ctx, const struct kb_s3_part *part, struct kb_error *err);
    void *ctx;
};

static enum kb_status lie(const struct pager *pager, const char *what, struct kb_error *err)
{
    return kb_error_set(err, KB_ERR_REMOTE, "s3:%s answered with %s", pager->kind->operation, what);
}

static bool is_text(struct kb_bytes bytes, const char *text)
{
    return kb_bytes_equal(bytes, kb_bytes_text(text));
}

static void add_parameter(struct kb_buffer *query, const char *name, const char *value)
{
    if (query->size)
        kb_buffer_put_text(query, "&");
    kb_buffer_put_text(query, name);
    kb_buffer_put_text(query, "=");
    s3_encode(query, value, false);
}

/* --- what entries hold ---------------------------------------------------------------- */

/* Appends a key, which is percent-encoded when the page says so, and a terminator; false for
 * what cannot be one. "encoding-type=url" means a form's encoding: '+' is a blank. */
static bool decode(struct kb_buffer *out, struct kb_bytes text, bool encoded)
{
    size_t start = out->size;

    for (size_t i = 0; i < text.size; i++) {
        if (!encoded || (text.data[i] != '%' && text.data[i] != '+')) {
            kb_buffer_put_u8(out, text.data[i]);
        } else if (text.data[i] == '+') {
            kb_buffer_put_u8(out, ' ');
        } else {
            if (text.size - i < 3 ||
                !kb_hex_parse(out, (struct kb_bytes){text.data + i + 1, 2}, false))
                return false;
            i += 2;
        }
    }
    kb_buffer_put_u8(out, 0);
    return !out->failed && !memchr(out->data + start, 0, out->size - start - 1) &&
           kb_utf8_valid((struct kb_bytes){out->data + start, out->size - start});
}

static bool read_number(uint64_t *out, struct kb_bytes text, uint64_t max)
{
    uint64_t value = 0;

    for (size_t i = 0; i < text.size; i++) {
        unsigned digit = text.data[i] - (unsigned)'0';

        if (digit > 9 || value > (max - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *out = value;
    return text.size > 0;
}

static struct kb_bytes without_quotes(struct kb_bytes text)
{
    if (text.size >= 2 && text.data[0] == '"' && text.data[text.size - 1] == '"')
        return (struct kb_bytes){text.data + 1, text.size - 2};
    return text;
}

/* Also the view of it. */
static enum kb_status take_key(struct pager *pager, struct kb_bytes *out, struct kb_bytes text,
                               struct kb_error *err)
{
    kb_buffer_reset(&pager->key);
    if (!decode(&pager->key, text, pager->encoded) || pager->key.size < 2 ||
        pager->key.size > KB_S3_KEY_MAX + 1)
        return lie(pager, "what is no object's key", err);
    *out = (struct kb_bytes){pager->key.data, pager->key.size - 1};
    if (out->size < pager->prefix.size ||
        (pager->prefix.size && memcmp(out->data, pager->prefix.data, pager->prefix.size) != 0))
        return lie(pager, "a key that does not begin as was asked for", err);
    return KB_OK;
}

static enum kb_status read_object(const struct pager *pager, struct kb_s3_entry *entry,
                                  const struct s3_element *element, struct kb_error *err)
{
    bool has_size = !entry->is_delete_marker && pager->kind != &uploads;
    struct kb_bytes time;

    if (has_size && !read_number(&entry->size, s3_xml_text(element, "Size"), INT64_MAX))
        return lie(pager, "an absurd size", err);
    /* An entry without its version would be taken for the current one. */
    if (pager->kind != &objects)
        entry->version =
            s3_xml_text(element, pager->kind == &versions ? "VersionId" : "UploadId");
    if ((pager->kind != &objects && entry->version.size == 0) ||
        (pager->kind == &versions && entry->version.size >= KB_S3_VERSION_SIZE))
        return lie(pager, "an absurd version", err);
    entry->is_latest = is_text(s3_xml_text(element, "IsLatest"), "true");
    entry->etag = without_quotes(s3_xml_text(element, "ETag"));
    entry->storage_class = s3_xml_text(element, "StorageClass");
    time = s3_xml_text(element, pager->kind == &uploads ? "Initiated" : "LastModified");
    if (!kb_time_parse(&entry->modified, time))
        entry->modified = 0;
    return KB_OK;
}

static enum kb_status give_object(struct pager *pager, const struct s3_element *element,
                                  struct kb_error *err)
{
    struct kb_s3_entry entry = {
        .is_prefix = strcmp(element->name, "CommonPrefixes") == 0,
        .is_delete_marker = strcmp(element->name, "DeleteMarker") == 0,
    };
    enum kb_status status =
        take_key(pager, &entry.key, s3_xml_text(element, entry.is_prefix ? "Prefix" : "Key"), err);

    if (status == KB_OK && !entry.is_prefix)
        status = read_object(pager, &entry, element, err);
    return status == KB_OK ? pager->each(pager->ctx, &entry, err) : status;
}

static enum kb_status give_bucket(struct pager *pager, const struct s3_element *element,
                                  struct kb_error *err)
{
    struct kb_s3_entry entry = {0};
    enum kb_status status = take_key(pager, &entry.key, s3_xml_text(element, "Name"), err);

    if (status == KB_OK && entry.key.size > KB_S3_BUCKET_MAX)
        return lie(pager, "what is no bucket's name", err);
    if (!kb_time_parse(&entry.modified, s3_xml_text(element, "CreationDate")))
        entry.modified = 0;
    return status == KB_OK ? pager->each(pager->ctx, &entry, err) : status;
}

static enum kb_status give_part(struct pager *pager, const struct s3_element *element,
                                struct kb_error *err)
{
    struct kb_s3_part part = {0};
    uint64_t number = 0;

    if (!read_number(&number, s3_xml_text(element, "PartNumber"), KB_S3_PARTS_MAX) ||
        number <= pager->part)
        return lie(pager, "parts out of order", err);
    if (!read_number(&part.size, s3_xml_text(element, "Size"), KB_S3_PART_MAX))
        return lie(pager, "an absurd size", err);
    s3_read_etag(part.etag, s3_xml_text(element, "ETag"));
    if (!part.etag[0])
        return lie(pager, "an absurd ETag", err);
    part.number = pager->part = (unsigned)number;
    return pager->each_part(pager->ctx, &part, err);
}

/* Elements that are entries; all others are passed over. */
static const struct {
    const struct kind *kind;
    const char *element;
    enum kb_status (*give)(struct pager *pager, const struct s3_element *element,
                           struct kb_error *err);
} entries[] = {
    {&objects, "Contents", give_object},       {&objects, "CommonPrefixes", give_object},
    {&versions, "Version", give_object},       {&versions, "DeleteMarker", give_object},
    {&versions, "CommonPrefixes", give_object}, {&uploads, "Upload", give_object},
    {&uploads, "CommonPrefixes", give_object}, {&parts, "Part", give_part},
    {&buckets, "Bucket", give_bucket},
};

static enum kb_status give(struct pager *pager, const struct s3_element *element,
                           struct kb_error *err)
{
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++)
        if (entries[i].kind == pager->kind && strcmp(entries[i].element, element->name) == 0) {
            pager->entries++;
            return entries[i].give(pager, element, err);
        }
    return KB_OK;
}

/* --- pages ---------------------------------------------------------------------------------- */

/* Puts a marker's parameter behind the query. */
static enum kb_status add_marker(struct pager *pager, const struct marker *marker,
                                 struct kb_bytes text, struct kb_error *err)
{
    struct kb_buffer value = KB_BUFFER_INIT(MARKER_MAX);
    struct kb_bytes last = {pager->key.data, pager->key.size ? pager->key.size - 1 : 0};
    /* Ceph encodes keys but not this marker: it is the last entry's key as it is. */
    bool encoded = marker->is_key && pager->encoded && !kb_bytes_equal(text, last);
    bool good = decode(&value, text, encoded);

    if (good)
        add_parameter(&pager->query, marker->parameter, (const char *)value.data);
    kb_buffer_free(&value);
    return good ? KB_OK : lie(pager, "an absurd marker of the next page", err);
}

/* The pages go round in circles (Brent's way of finding it, with one page remembered). */
static bool goes_round(struct pager *pager)
{
    struct kb_bytes markers = {pager->query.data + pager->fixed, pager->query.size - pager->fixed};

    if (pager->pages && kb_bytes_equal(kb_buffer_view(&pager->seen), markers))
        return true;
    if (pager->pages++ == pager->see_next) {
        kb_buffer_reset(&pager->seen);
        kb_buffer_put_bytes(&pager->seen, markers);
        pager->see_next = 2 * pager->see_next + 1;
    }
    return false;
}

/* Makes the query of the next page, if there is one. */
static enum kb_status turn_page(struct pager *pager, const struct s3_element *root, bool *more,
                                struct kb_error *err)
{
    const struct marker *markers = pager->kind->markers;
    struct kb_bytes first = s3_xml_text(root, markers[0].element);
    enum kb_status status = KB_OK;

    *more = s3_xml_child(root, "IsTruncated") ? is_text(s3_xml_text(root, "IsTruncated"), "true")
                                              : first.size > 0;
    if (!*more)
        return KB_OK;
    if (first.size == 0)
        return lie(pager, "a page that is not the last one, and no marker of the next", err);
    pager->query.size = pager->fixed;
    for (size_t i = 0; i < 2 && markers[i].parameter && status == KB_OK; i++) {
        struct kb_bytes text = s3_xml_text(root, markers[i].element);

        if (text.size)
            status = add_marker(pager, &markers[i], text, err);
    }
    if (status == KB_OK)
        status = kb_buffer_check(&pager->query, err);
    if (status != KB_OK)
        return status;
    pager->empty_pages = pager->entries ? 0 : pager->empty_pages + 1;
    if (goes_round(pager) || pager->empty_pages > EMPTY_PAGES_MAX)
        return lie(pager, "pages without an end", err);
    return kb_buffer_check(&pager->seen, err);
}

static enum kb_status get_page(struct pager *pager, struct s3_element **root, struct kb_error *err)
{
    struct s3_answer answer = {0};
    enum kb_status status;

    kb_buffer_put_u8(&pager->query, 0);
    status = kb_buffer_check(&pager->query, err);
    if (status != KB_OK)
        return status;
    pager->query.size--;
    pager->request.query = pager->query.size ? (const char *)pager->query.data : NULL;
    status = s3_run(pager->s3, &pager->request, &answer, err);
    if (status == KB_OK)
        status = s3_xml_parse(root, kb_buffer_view(&answer.body), &pager->arena, err);
    s3_answer_free(&answer);
    if (status == KB_OK && strcmp((*root)->name, pager->kind->root) != 0)
        status = lie(pager, "another document", err);
    return status;
}

static enum kb_status run_page(struct pager *pager, bool *more, struct kb_error *err)
{
    struct s3_element *root;
    const struct s3_element *parent;
    enum kb_status status;

    kb_arena_reset(&pager->arena);
    pager->entries = 0;
    status = get_page(pager, &root, err);
    if (status != KB_OK)
        return status;
    pager->encoded = is_text(s3_xml_text(root, "EncodingType"), "url");
    parent = pager->kind == &buckets ? s3_xml_child(root, "Buckets") : root;
    for (const struct s3_element *child = parent ? parent->first : NULL; child && status == KB_OK;
         child = child->next)
        status = give(pager, child, err);
    return status == KB_OK ? turn_page(pager, root, more, err) : status;
}

/* All pages; what every query begins with is in pager->query. */
static enum kb_status run(struct pager *pager, struct kb_error *err)
{
    enum kb_status status = KB_OK;
    bool more = true;

    pager->request.method = "GET";
    pager->request.operation = pager->kind->operation;
    pager->fixed = pager->query.size;
    pager->key.max = MARKER_MAX;
    pager->seen.max = QUERY_MAX;
    while (more && status == KB_OK)
        status = run_page(pager, &more, err);
    kb_arena_free(&pager->arena);
    kb_buffer_free(&pager->query);
    kb_buffer_free(&pager->key);
    kb_buffer_free(&pager->seen);
    return status;
}

static enum kb_status run_list(struct kb_s3 *s3, const struct kind *kind,
                               const struct kb_s3_list *list, struct pager *pager,
                               struct kb_error *err)
{
    pager->s3 = s3;
    pager->kind = kind;
    pager->request.bucket = list->bucket;
    pager->query = (struct kb_buffer)KB_BUFFER_INIT(QUERY_MAX);
    pager->prefix = kb_bytes_text(list->prefix);
    kb_buffer_put_text(&pager->query, kind->query);
    if (pager->prefix.size)
        add_parameter(&pager->query, "prefix", list->prefix);
    if (list->delimiter && *list->delimiter)
        add_parameter(&pager->query, "delimiter", list->delimiter);
    return run(pager, err);
}

enum kb_status kb_s3_list(struct kb_s3 *s3, const struct kb_s3_list *list,
                          enum kb_status (*each)(void *ctx, const struct kb_s3_entry *entry,
                                                 struct kb_error *err),
                          void *ctx, struct kb_error *err)
{
    struct pager pager = {.each = each, .ctx = ctx};

    return run_list(s3, list->versions ? &versions : &objects, list, &pager, err);
}

enum kb_status kb_s3_list_uploads(struct kb_s3 *s3, const struct kb_s3_list *list,
                                  enum kb_status (*each)(void *ctx,
                                                         const struct kb_s3_entry *entry,
                                                         struct kb_error *err),
                                  void *ctx, struct kb_error *err)
{
    struct pager pager = {.each = each, .ctx = ctx};

    return run_list(s3, &uploads, list, &pager, err);
}

enum kb_status kb_s3_list_parts(struct kb_s3 *s3, const struct kb_s3_name *name,
                                const char *upload,
                                enum kb_status (*each)(void *ctx, const struct kb_s3_part *part,
                                                       struct kb_error *err),
                                void *ctx, struct kb_error *err)
{
    struct pager pager = {
        .s3 = s3,
        .kind = &parts,
        .request = {.bucket = name->bucket, .key = name->key},
        .query = KB_BUFFER_INIT(QUERY_MAX),
        .each_part = each,
        .ctx = ctx,
    };

    add_parameter(&pager.query, "uploadId", upload);
    return run(&pager, err);
}

enum kb_status kb_s3_list_buckets(struct kb_s3 *s3,
                                  enum kb_status (*each)(void *ctx,
                                                         const struct kb_s3_entry *entry,
                                                         struct kb_error *err),
                                  void *ctx, struct kb_error *err)
{
    struct pager pager = {
        .s3 = s3,
        .kind = &buckets,
        .query = KB_BUFFER_INIT(QUERY_MAX),
        .each = each,
        .ctx = ctx,
    };

    return run(&pager, err);
}
