// SPDX-License-Identifier: MIT
/*
 * What is to be copied, and how.
 */
#include "extent.h"
#include "plan.h"
#include "report.h"

#define SIZE_DEFAULT (1u << 20)

typedef unsigned long long ull;

/* ---- offsets ---- */

static int set_offset(struct side *s, const char *option, const struct number *number)
{
	uint64_t unit = number->blocks ? s->block : 1;

	if (!number->n)
		return 0;
	if (number->blocks && s->kind != SIDE_EXTENT)
		return fail("%s counts blocks, which %s does not have: give bytes", option,
			    s->name);
	if (s->kind == SIDE_STREAM)
		return fail("%s is for what has offsets, and %s has none", option, s->name);
	if (number->n > INT64_MAX / unit)
		return fail("%s is more than any file has", option);
	s->offset = number->n * unit;
	if (s->offset > s->size)
		return fail("%s %llu is behind the end of %s, which has %llu bytes", option,
			    (ull)s->offset, s->name, (ull)s->size);
	if (s->offset % s->block)
		return fail("%s %llu is within a block of %s, which has blocks of %u bytes: %llu "
			    "and %llu begin one",
			    option, (ull)s->offset, s->name, s->block,
			    (ull)(s->offset - s->offset % s->block),
			    (ull)(s->offset - s->offset % s->block + s->block));
	return 0;
}

/* ---- how much ---- */

/* Bytes in a block that --bytes may count. */
static uint32_t unit_of_length(const struct side *from, const struct side *to)
{
	if (from->kind != SIDE_EXTENT)
		return to->block;
	if (to->kind != SIDE_EXTENT || from->block == to->block)
		return from->block;
	return 0;
}

static int set_length(struct plan *p, const struct number *number, const struct side *from,
		      const struct side *to)
{
	uint64_t has = from->size == UNKNOWN ? UNKNOWN : from->size - from->offset;
	uint32_t unit = number->blocks ? unit_of_length(from, to) : 1;

	p->bytes = has;
	if (!number->given)
		return 0;
	if (!unit)
		return fail("--bytes counts blocks, and those of %s have %u bytes, those of %s %u: "
			    "give bytes",
			    from->name, from->block, to->name, to->block);
	if (number->n > INT64_MAX / unit)
		return fail("--bytes is more than any file has");
	p->bytes = number->n * unit;
	if (p->bytes > has)
		return fail("%s has %llu bytes from byte %llu on, and --bytes wants %llu",
			    from->name, (ull)has, (ull)from->offset, (ull)p->bytes);
	return 0;
}

static int check_room(struct plan *p, const struct side *to)
{
	p->room = to->size == UNKNOWN ? UNKNOWN : to->size - to->offset;
	if (p->bytes == UNKNOWN || p->bytes <= p->room)
		return 0;
	return fail("%s has room for %llu bytes from byte %llu on, and %llu are to be copied: "
		    "--bytes %llu copies what fits",
		    to->name, (ull)p->room, (ull)to->offset, (ull)p->bytes, (ull)p->room);
}

/* ---- what would go wrong ---- */

/* A file that is an extent's, too, is read or emptied behind its back. */
static int check_apart(const struct side *from, const struct side *to)
{
	if (!side_same_file(from, to) || (from->kind == SIDE_EXTENT && to->kind == SIDE_EXTENT))
		return 0;
	return fail("%s and %s are the same file: name it as uring:FILE twice", from->name,
		    to->name);
}

/* In bytes of the namespace, whole blocks of them. */
static int check_overlap(const struct plan *p, const struct side *from, const struct side *to)
{
	uint64_t a = from->first * from->block + from->offset;
	uint64_t b = to->first * to->block + to->offset;
	uint64_t apart = a < b ? b - a : a - b;

	if (!extent_same_namespace(from, to) || apart >= p->bytes)
		return 0;
	return fail("%llu bytes from LBA %llu on overlap with as many from LBA %llu on: copy to "
		    "some other place first",
		    (ull)p->bytes, (ull)(a / from->block), (ull)(b / to->block));
}

static int check_destination(const struct options *o, const struct side *to)
{
	if (o->verify && to->kind == SIDE_STREAM)
		return fail("--verify reads back what was written, which %s does not give",
			    to->name);
	if (to->kind == SIDE_EXTENT && exo_zone_limits(to->x).blocks)
		return fail("%s has zones, which are written from front to back, one command after "
			    "the other: exo-cp does not",
			    to->name);
	return 0;
}

/* ---- NVMe Copy ---- */

/* NULL if there is none. */
static const char *why_not_offload(const struct side *from, const struct side *to)
{
	if (from->kind != SIDE_EXTENT || to->kind != SIDE_EXTENT)
		return "a device copies between two extents, and one of these is a file";
	if (!extent_same_namespace(from, to))
		return "a Copy has one namespace, and these extents do not lie on the same";
	if (!extent_copy_max(to))
		return "the controller has no Copy command";
	return NULL;
}

static int choose_offload(struct plan *p, const struct options *o, const struct side *from,
			  const struct side *to)
{
	const char *why = why_not_offload(from, to);

	if (why && o->offload == OFFLOAD_ALWAYS)
		return fail("--offload: %s", why);
	p->offload = !why && o->offload != OFFLOAD_NEVER;
	return 0;
}

/* ---- pieces ---- */

static uint32_t most_at_once(const struct side *s, uint32_t most)
{
	return s->kind == SIDE_EXTENT && exo_transfer_max(s->x) < most ? exo_transfer_max(s->x)
								       : most;
}

/* Sizes of blocks are powers of two: a multiple of the larger is one of the other. */
static int choose_size(struct plan *p, const struct options *o, const struct side *from,
		       const struct side *to)
{
	uint32_t block = from->block > to->block ? from->block : to->block;
	uint32_t most = most_at_once(from, most_at_once(to, UINT32_MAX));

	p->size = most < SIZE_DEFAULT ? most : SIZE_DEFAULT;
	if (o->size && (o->size % block || o->size > most))
		return fail("--size %llu must be a multiple of %u and at most %u, which is what "
			    "the devices move at once",
			    (ull)o->size, block, most);
	if (o->size)
		p->size = o->size;
	p->size -= p->size % block;
	/* Little memory for little to copy. */
	if (p->bytes < p->size)
		p->size = (p->bytes + block - 1) / block * block;
	if (!p->size)
		p->size = block;
	return 0;
}

/* By way of the buffer goes what the device does not copy, and what is checked. */
static void choose_memory(struct plan *p, const struct options *o, const struct side *to)
{
	uint32_t piece = p->offload ? extent_copy_max(to) : p->size;
	uint64_t pieces = p->bytes / piece + !!(p->bytes % piece);

	p->count = pieces < o->depth ? pieces : o->depth;
	if (!p->count)
		p->count = 1;
	p->stride = p->size;
	if (p->offload && !o->verify && !(p->bytes % to->block))
		p->stride = EXTENT_LIST_BYTES;
}

int plan_make(struct plan *p, const struct options *o, struct side *from, struct side *to)
{
	int r = check_apart(from, to);

	if (!r)
		r = set_offset(from, "--from", &o->from);
	if (!r)
		r = set_offset(to, "--to", &o->to);
	if (!r)
		r = set_length(p, &o->bytes, from, to);
	if (!r)
		r = check_room(p, to);
	if (!r)
		r = check_overlap(p, from, to);
	if (!r)
		r = check_destination(o, to);
	if (!r)
		r = choose_offload(p, o, from, to);
	if (!r)
		r = choose_size(p, o, from, to);
	if (!r)
		choose_memory(p, o, to);
	return r;
}
