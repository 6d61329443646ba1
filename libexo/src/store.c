// SPDX-License-Identifier: LGPL-2.1-only
/*
 * Stores: which of a page's two places counts, and the commit.
 *
 * Two sides, each a root and a map, take turns: the root of generation g is on side g % 2. A commit
 * writes to the side that does not count, and to no place that does. Until its root is
 * there, the other side is whole; from then on nothing needs that one any more.
 *
 * A root has a checksum of the checksums of its map's blocks. So a block of the map that was torn
 * or lost, or is of a commit that did not get as far as its root, is found whatever it holds.
 */
#include <errno.h>
#include <string.h>

#include "crc32c.h"
#include "store.h"

/* ---- pages ---- */

static unsigned int state_of(const uint8_t *states, uint64_t page)
{
	return states[page / 4] >> 2 * (page % 4) & 3;
}

static void set_state(struct exo_store *s, uint64_t page, unsigned int state)
{
	unsigned int shift = 2 * (page % 4);

	s->now[page / 4] = (s->now[page / 4] & ~(3u << shift)) | state << shift;
	s->known[page / EXO_STORE_MAP_PAGES] = EXO_STORE_ANEW;
	s->changed = true;
}

static unsigned int other_state(const struct exo_store *s, uint64_t page)
{
	return state_of(s->committed, page) == EXO_STORE_AT_A ? EXO_STORE_AT_B : EXO_STORE_AT_A;
}

static uint64_t place_of(const struct exo_store *s, uint64_t page, unsigned int state)
{
	uint64_t at = s->shape.places + page * s->root.page;

	if (state == EXO_STORE_NOWHERE)
		return EXO_STORE_HOLE;
	return exo_store_logical(s, state == EXO_STORE_AT_A ? at : at + s->shape.side);
}

uint64_t exo_store_find(const struct exo_store *s, uint64_t page)
{
	return place_of(s, page, state_of(s->now, page));
}

uint64_t exo_store_place(const struct exo_store *s, uint64_t page)
{
	return s->doubt ? EXO_STORE_NO_PLACE : place_of(s, page, other_state(s, page));
}

void exo_store_wrote(struct exo_store *s, uint64_t page)
{
	set_state(s, page, other_state(s, page));
}

void exo_store_forget(struct exo_store *s, uint64_t page)
{
	if (state_of(s->now, page) != EXO_STORE_NOWHERE)
		set_state(s, page, EXO_STORE_NOWHERE);
}

uint32_t exo_store_page(const struct exo_store *s)
{
	return s->root.page;
}

uint64_t exo_store_pages(const struct exo_store *s)
{
	return s->root.pages;
}

uint64_t exo_store_generation(const struct exo_store *s)
{
	return s->root.generation;
}

/* ---- blocks ---- */

int exo_store_hold_buffer(struct exo_store *s, struct exo_queue *q)
{
	if (s->buf && !exo_buf_spare(q, s->buf, 0))
		return 0;
	exo_buf_free(q, s->buf);
	s->buf = NULL;
	return exo_buf_alloc(q, EXO_STORE_IO * EXO_STORE_BLOCK, &s->buf);
}

static int write_blocks(struct exo_store *s, struct exo_queue *q, uint64_t at, uint64_t blocks)
{
	return exo_write(q, s->buf, exo_store_logical(s, at),
			 blocks * (EXO_STORE_BLOCK >> s->block_shift));
}

int exo_store_write_durably(struct exo_store *s, struct exo_queue *q, uint64_t at)
{
	uint32_t blocks = EXO_STORE_BLOCK >> s->block_shift;
	int r = exo_direct_within(q, "write", EXO_WRITE, exo_store_logical(s, at), blocks);

	if (r)
		return r;
	exo_prep_write(q, s->buf, exo_store_logical(s, at), blocks, at)->cdw12 |= EXO_NVME_FUA;
	return exo_run_prepared(q, "write");
}

/* How many from @index on are stale, as far as one write goes. */
static uint64_t count_stale(const struct exo_store *s, unsigned int side, uint64_t index)
{
	uint64_t n = 0;

	while (n < EXO_STORE_IO && index + n < s->shape.map_blocks &&
	       s->known[index + n] & EXO_STORE_STALE(side))
		n++;
	return n;
}

static int write_some_map(struct exo_store *s, struct exo_queue *q, unsigned int side,
			  uint64_t index, uint64_t n, uint64_t generation)
{
	struct exo_store_map_block *blocks = s->buf;

	for (uint64_t i = 0; i < n; i++) {
		memcpy(blocks[i].states, exo_store_states(s->now, index + i), EXO_STORE_MAP_BYTES);
		exo_store_map_seal(&blocks[i], s->root.id, index + i, generation);
		s->crcs[side][index + i] = blocks[i].crc;
	}
	return write_blocks(s, q, exo_store_map_at(&s->shape, side, index), n);
}

int exo_store_write_map(struct exo_store *s, struct exo_queue *q, unsigned int side,
			uint64_t generation)
{
	uint64_t n;
	int r = 0;

	for (uint64_t i = 0; !r && i < s->shape.map_blocks; i += n ? n : 1) {
		n = count_stale(s, side, i);
		if (n)
			r = write_some_map(s, q, side, i, n, generation);
	}
	return r;
}

uint32_t exo_store_map_crc(const struct exo_store *s, unsigned int side)
{
	return exo_crc32c(s->crcs[side], s->shape.map_blocks * sizeof(s->crcs[side][0]));
}

int exo_store_write_root(struct exo_store *s, struct exo_queue *q, uint64_t generation)
{
	struct exo_store_root root = s->root;
	unsigned int side = generation % 2;

	root.generation = generation;
	root.map_crc = exo_store_map_crc(s, side);
	exo_store_root_write(s->buf, &root);
	return exo_store_write_durably(s, q, exo_store_root_at(side));
}

/* ---- commit ---- */

static void clear_known(struct exo_store *s, unsigned int what)
{
	for (uint64_t i = 0; i < s->shape.map_blocks; i++)
		s->known[i] &= ~what;
}

/* What has changed is the same in both again: @to becomes @from. */
static void settle(struct exo_store *s, uint8_t *to, uint8_t *from)
{
	for (uint64_t i = 0; i < s->shape.map_blocks; i++)
		if (s->known[i] & EXO_STORE_CHANGED)
			memcpy(exo_store_states(to, i), exo_store_states(from, i),
			       EXO_STORE_MAP_BYTES);
	clear_known(s, EXO_STORE_CHANGED);
	s->changed = false;
	s->doubt = false;
}

void exo_store_undo(struct exo_store *s)
{
	if (!s->doubt)
		settle(s, s->now, s->committed);
}

static int check_commit(struct exo_store *s, struct exo_queue *q)
{
	if (s->root.generation >= EXO_STORE_GENERATION_MAX)
		return exo_queue_fail(q, -EOVERFLOW, NULL,
				      "the store was committed %llu times, which is all it can be",
				      (unsigned long long)s->root.generation);
	return exo_check_idle(q, "commit");
}

int exo_store_commit(struct exo_store *s, struct exo_queue *q)
{
	uint64_t generation = s->root.generation + 1;
	unsigned int side = generation % 2;
	int r;

	if (!s->changed)
		return 0;
	r = check_commit(s, q);
	if (!r)
		r = exo_store_hold_buffer(s, q);
	if (!r)
		r = exo_store_write_map(s, q, side, generation);
	/* The root counts as soon as it is there: the pages and the map are durable before. */
	if (!r)
		r = exo_flush(q);
	if (r)
		return r;
	clear_known(s, EXO_STORE_STALE(side));
	s->doubt = true;
	r = exo_store_write_root(s, q, generation);
	if (r)
		return r;
	settle(s, s->committed, s->now);
	s->root.generation = generation;
	return 0;
}
