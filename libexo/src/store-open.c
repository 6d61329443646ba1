// SPDX-License-Identifier: LGPL-2.1-only
/*
 * Opening a store, and making one. What is on the disk is hostile: a side counts when its root and
 * all of its map are right, and the memory that it wants is bounded by the extent.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "store.h"

#define DAMAGED 1 /* not what a device says of blocks that it cannot read, which is an errno */

static int read_blocks(struct exo_store *s, struct exo_queue *q, uint64_t at, uint64_t blocks)
{
	return exo_read(q, s->buf, exo_store_logical(s, at),
			blocks * (EXO_STORE_BLOCK >> s->block_shift));
}

/* Is it that the device does not have these blocks any more? Others it may have. */
static bool is_unreadable(const struct exo_queue *q, int r)
{
	return (r == -EIO || r == -EILSEQ || r == -ENODATA) && !exo_queue_in_flight(q);
}

void exo_store_close(struct exo_store *s)
{
	if (!s)
		return;
	exo_buf_return(s->x, s->buf);
	free(s->committed);
	free(s->now);
	free(s->known);
	free(s->crcs[0]);
	free(s->crcs[1]);
	free(s);
}

/* One that can read and write blocks. */
static int begin(struct exo_queue *q, uint64_t first, struct exo_store **out)
{
	struct exo_store *s;
	int r = exo_check_idle(q, "store");

	*out = NULL;
	if (r)
		return r;
	if (first & ((EXO_STORE_BLOCK >> q->block_shift) - 1))
		return exo_queue_fail(
			q, -EINVAL, NULL,
			"a store begins at a multiple of %u bytes, which block %llu is not",
			EXO_STORE_BLOCK, (unsigned long long)first);
	s = calloc(1, sizeof(*s));
	if (!s)
		return exo_queue_fail(q, -ENOMEM, NULL, "no memory for a store");
	s->x = exo_queue_handle(q);
	s->first = first;
	s->block_shift = q->block_shift;
	r = exo_store_hold_buffer(s, q);
	if (r)
		free(s);
	else
		*out = s;
	return r;
}

/* How large it is, and the memory for that, once it is known to fit. */
static int give_shape(struct exo_store *s, struct exo_queue *q, int impossible)
{
	uint64_t room = exo_blocks(s->x), blocks, n;

	if (!exo_store_shape(&s->shape, s->root.page, s->root.pages))
		return exo_queue_fail(q, impossible, NULL,
				      "there can be no store of %llu pages of %u bytes",
				      (unsigned long long)s->root.pages, s->root.page);
	blocks = s->shape.bytes >> s->block_shift;
	if (s->first > room || blocks > room - s->first)
		return exo_queue_fail(q, -ENOSPC, NULL,
				      "the store takes %llu blocks from block %llu on, and the "
				      "extent has %llu",
				      (unsigned long long)blocks, (unsigned long long)s->first,
				      (unsigned long long)room);
	n = s->shape.map_blocks;
	s->committed = calloc(n, EXO_STORE_MAP_BYTES);
	s->now = calloc(n, EXO_STORE_MAP_BYTES);
	s->known = calloc(n, 1);
	s->crcs[0] = calloc(n, sizeof(s->crcs[0][0]));
	s->crcs[1] = calloc(n, sizeof(s->crcs[1][0]));
	if (s->committed && s->now && s->known && s->crcs[0] && s->crcs[1])
		return 0;
	return exo_queue_fail(q, -ENOMEM, NULL, "no memory for the map of a store");
}

/**
 * struct candidates - the roots of both sides
 * @root: what they say
 * @result: 0 if it is one, -EILSEQ, or -EPROTO
 */
struct candidates {
	struct exo_store_root root[2];
	int result[2];
};

static int read_root(struct exo_store *s, struct exo_queue *q, unsigned int side,
		     struct candidates *c)
{
	int r = read_blocks(s, q, exo_store_root_at(side), 1);

	if (!r)
		c->result[side] = exo_store_root_read(s->buf, side, &c->root[side]);
	return r;
}

/* What cannot be read is no reason to believe the other: it may be the newer. */
static int read_roots(struct exo_store *s, struct exo_queue *q, struct candidates *c)
{
	int r = read_root(s, q, 0, c);

	return r ? r : read_root(s, q, 1, c);
}

static bool of_one_store(const struct exo_store_root *a, const struct exo_store_root *b)
{
	return a->page == b->page && a->pages == b->pages && a->id == b->id;
}

/* Which counts, unless its map is damaged. */
static unsigned int newer_side(const struct candidates *c)
{
	if (c->result[0] || c->result[1])
		return c->result[0] ? 1 : 0;
	return c->root[1].generation > c->root[0].generation;
}

static int check_candidates(struct exo_store *s, struct exo_queue *q, const struct candidates *c)
{
	if (c->result[0] == -EPROTO || c->result[1] == -EPROTO)
		return exo_queue_fail(q, -EPROTO, NULL,
				      "the store at block %llu is of a later version than this "
				      "library knows",
				      (unsigned long long)s->first);
	if (c->result[0] && c->result[1])
		return exo_queue_fail(q, -EILSEQ, NULL, "there is no store at block %llu",
				      (unsigned long long)s->first);
	if (!c->result[0] && !c->result[1] && !of_one_store(&c->root[0], &c->root[1]))
		return exo_queue_fail(q, -EILSEQ, NULL,
				      "the two roots at block %llu are not of one store",
				      (unsigned long long)s->first);
	return 0;
}

typedef bool (*take_fn)(struct exo_store *s, unsigned int side, uint64_t index,
			const struct exo_store_map_block *block);

/* Of the side that is to count. */
static bool take_states(struct exo_store *s, unsigned int side, uint64_t index,
			const struct exo_store_map_block *block)
{
	if (!exo_store_map_valid(block, s->root.id, index, s->root.generation))
		return false;
	memcpy(exo_store_states(s->committed, index), block->states, EXO_STORE_MAP_BYTES);
	memcpy(exo_store_states(s->now, index), block->states, EXO_STORE_MAP_BYTES);
	s->crcs[side][index] = block->crc;
	return true;
}

/* Of the other side, which the next commit writes to: what is as it should be stays. */
static bool take_unless_stale(struct exo_store *s, unsigned int side, uint64_t index,
			      const struct exo_store_map_block *block)
{
	if (exo_store_map_valid(block, s->root.id, index, UINT64_MAX) &&
	    !memcmp(exo_store_states(s->committed, index), block->states, EXO_STORE_MAP_BYTES)) {
		s->known[index] &= ~EXO_STORE_STALE(side);
		s->crcs[side][index] = block->crc;
	}
	return true;
}

/* Returns 0, DAMAGED if @take says no, or what exo_read() returns. */
static int read_map(struct exo_store *s, struct exo_queue *q, unsigned int side, take_fn take)
{
	const struct exo_store_map_block *blocks = s->buf;
	uint64_t left;

	for (uint64_t at = 0; at < s->shape.map_blocks; at += EXO_STORE_IO) {
		uint64_t n = (left = s->shape.map_blocks - at) < EXO_STORE_IO ? left : EXO_STORE_IO;
		int r = read_blocks(s, q, exo_store_map_at(&s->shape, side, at), n);

		if (r)
			return r;
		for (uint64_t i = 0; i < n; i++)
			if (!take(s, side, at + i, &blocks[i]))
				return DAMAGED;
	}
	return 0;
}

static int load_side(struct exo_store *s, struct exo_queue *q, unsigned int side)
{
	int r = read_map(s, q, side, take_states);

	return !r && exo_store_map_crc(s, side) != s->root.map_crc ? DAMAGED : r;
}

/* The newer of the two that is whole. */
static int load(struct exo_store *s, struct exo_queue *q, const struct candidates *c)
{
	unsigned int side = newer_side(c);
	int r = load_side(s, q, side);

	if (r == DAMAGED && !c->result[!side]) {
		side = !side;
		s->root = c->root[side];
		r = load_side(s, q, side);
	}
	if (r == DAMAGED)
		return exo_queue_fail(q, -EILSEQ, NULL,
				      "the map of the store at block %llu is damaged",
				      (unsigned long long)s->first);
	if (r)
		return r;
	memset(s->known, EXO_STORE_STALE(!side), s->shape.map_blocks);
	/* What cannot be read there is written anew. */
	r = read_map(s, q, !side, take_unless_stale);
	return is_unreadable(q, r) ? 0 : r;
}

/*
 * What a crashed program wrote last may be in the device's cache alone. Before anybody writes to
 * places that the older generation has, the root that counts must be there to stay.
 */
static int make_durable(const struct exo_store *s, struct exo_queue *q)
{
	return s->x->rights & EXO_WRITE ? exo_flush(q) : 0;
}

int exo_store_open(struct exo_queue *q, uint64_t first, struct exo_store **out)
{
	struct candidates c;
	int r = begin(q, first, out);
	struct exo_store *s = *out;

	if (r)
		return r;
	r = read_roots(s, q, &c);
	if (!r)
		r = check_candidates(s, q, &c);
	if (r)
		goto out_close;
	s->root = c.root[newer_side(&c)];
	r = give_shape(s, q, -EILSEQ);
	if (!r)
		r = load(s, q, &c);
	if (!r)
		r = make_durable(s, q);
	if (!r)
		return 0;
out_close:
	exo_store_close(s);
	*out = NULL;
	return r;
}

/* ---- making one ---- */

static int complete(struct exo_queue *q, const struct exo_store_options *given,
		    struct exo_store_options *options)
{
	int r = exo_options_copy(options, sizeof(*options), given);

	if (r)
		return exo_queue_fail(q, r, NULL, "the options of a store are of another version");
	if (!options->page)
		options->page = EXO_STORE_BLOCK;
	return 0;
}

uint64_t exo_store_blocks(struct exo_queue *q, const struct exo_store_options *given)
{
	struct exo_store_options options;
	struct exo_store_shape shape;

	if (complete(q, given, &options) || !exo_store_shape(&shape, options.page, options.pages))
		return 0;
	return shape.bytes >> q->block_shift;
}

/* One that cannot be read may be the newer: it is taken for that. */
static int read_roots_to_wipe(struct exo_store *s, struct exo_queue *q, struct candidates *c)
{
	for (unsigned int side = 0; side < 2; side++) {
		int r = read_root(s, q, side, c);

		if (is_unreadable(q, r)) {
			c->result[side] = 0;
			c->root[side].generation = UINT64_MAX;
		} else if (r) {
			return r;
		}
	}
	return 0;
}

/* The older first: what is left at any instant is the former store whole, or none. */
static int wipe_roots(struct exo_store *s, struct exo_queue *q)
{
	struct candidates c;
	unsigned int newer;
	int r = read_roots_to_wipe(s, q, &c);

	if (r)
		return r;
	newer = newer_side(&c);
	memset(s->buf, 0, EXO_STORE_BLOCK);
	r = exo_store_write_durably(s, q, exo_store_root_at(!newer));
	return r ? r : exo_store_write_durably(s, q, exo_store_root_at(newer));
}

/* Two maps of holes, and one root. */
static int write_empty(struct exo_store *s, struct exo_queue *q)
{
	int r = wipe_roots(s, q);

	memset(s->known, EXO_STORE_ANEW, s->shape.map_blocks);
	if (!r)
		r = exo_store_write_map(s, q, 0, 0);
	if (!r)
		r = exo_store_write_map(s, q, 1, 0);
	if (!r)
		r = exo_flush(q);
	return r ? r : exo_store_write_root(s, q, 0);
}

int exo_store_format(struct exo_queue *q, const struct exo_store_options *given)
{
	struct exo_store_options options;
	struct exo_store *s;
	int r = complete(q, given, &options);

	if (!r)
		r = begin(q, options.first, &s);
	if (r)
		return r;
	s->root.page = options.page;
	s->root.pages = options.pages;
	r = give_shape(s, q, -EINVAL);
	if (!r && getrandom(&s->root.id, sizeof(s->root.id), 0) != sizeof(s->root.id))
		r = exo_queue_fail(q, -errno, NULL, "the kernel gives no random number");
	if (!r)
		r = write_empty(s, q);
	exo_store_close(s);
	return r;
}
