/* SPDX-License-Identifier: Apache-2.0
 *
 * An upload has at most 10,000 parts, and memory holds some of them: so few
 * sizes fit a source. Parts of a file that are longer than they have to be are
 * not held at all (span.c).
 */
#include "s3/transfer.h"

/* A source of unknown size begins with parts of the smallest size; every 2,000
 * parts they grow by as much. Five sizes make 30,000 times the first one: 234
 * GiB of 8 MiB, and the last parts have 40 MiB. */
enum { GROWTH = 2000, SIZES = KB_S3_PARTS_MAX / GROWTH };

static uint64_t round_up(uint64_t size, uint64_t unit)
{
    return (size + unit - 1) / unit * unit;
}

static enum kb_status check_part_size(uint64_t part_size, uint64_t size, struct kb_error *err)
{
    if (part_size < KB_S3_PART_MIN || part_size > KB_S3_PART_MAX) {
        kb_error_set(err, KB_ERR_USAGE, "S3 takes no parts of %llu bytes",
                     (unsigned long long)part_size);
        kb_error_hint(err, "parts have 5 MiB to 5 GiB");
        return KB_ERR_USAGE;
    }
    if (size != KB_S3_SIZE_UNKNOWN && size > KB_S3_PARTS_MAX * part_size) {
        kb_error_set(err, KB_ERR_USAGE, "%llu bytes are more than 10,000 parts of %llu",
                     (unsigned long long)size, (unsigned long long)part_size);
        kb_error_hint(err, "make the parts larger");
        return KB_ERR_USAGE;
    }
    return KB_OK;
}

enum kb_status s3_plan_make(struct s3_plan *out, const struct kb_s3_upload *upload,
                            const struct kb_s3_source *source, unsigned connections,
                            struct kb_error *err)
{
    uint64_t asked = upload->part_size ? upload->part_size : S3_PART_SIZE;
    uint64_t held = upload->memory_max ? upload->memory_max : S3_PART_SIZE;
    uint64_t size = source->size, largest;

    *out = (struct s3_plan){.part_size = asked};
    if (size == KB_S3_SIZE_UNKNOWN)
        out->growth = GROWTH;
    else if (!upload->part_size && size > KB_S3_PARTS_MAX * asked)
        out->part_size = round_up((size - 1) / KB_S3_PARTS_MAX + 1, UINT64_C(1) << 20);
    if (!source->read_at || out->growth || out->part_size < held)
        held = out->part_size;
    out->single = upload->single_max ? upload->single_max : held;
    if (size <= out->single && !upload->resume)
        return KB_OK;
    out->spans = size > held && out->part_size > held;
    largest = out->growth ? SIZES * asked : out->part_size;
    /* Larger parts have to do with fewer connections: memory stays. */
    out->memory = out->spans                      ? S3_PIECE_SIZE
                  : connections * asked > largest ? connections * asked
                                                  : largest;
    return check_part_size(out->part_size, size, err);
}

uint64_t s3_plan_size(const struct s3_plan *plan, unsigned number)
{
    uint64_t size = plan->part_size * (plan->growth ? 1 + (number - 1) / plan->growth : 1);

    return size < KB_S3_PART_MAX ? size : KB_S3_PART_MAX;
}
