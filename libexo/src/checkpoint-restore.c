// SPDX-License-Identifier: LGPL-2.1-only
/*
 * From the disk back to the range, and what differs between the two.
 */
#include <errno.h>
#include <string.h>

#include "checkpoint.h"

#define SCRATCH (1u << 20) /* bytes that are compared at a time, or a page */

/* ---- restore ---- */

/* What was written until now is nobody's concern any more. */
static int forget_dirty(struct exo_checkpoint *c)
{
	uint64_t step = EXO_CHECKPOINT_DIRTY / c->entries;

	for (uint64_t page = 0; c->window && page < c->pages; page += step) {
		uint64_t n = c->pages - page < step ? c->pages - page : step;
		int r = exo_window_dirty(c->window, exo_page_entry(c, page), n * c->entries,
					 c->dirty);

		if (r < 0)
			return r;
	}
	return 0;
}

/* What the store does not have is zeroes; what it has is to be read. */
static int begin_page(struct exo_checkpoint *c, struct exo_queue *q, uint64_t page)
{
	bool hole = exo_store_find(c->s, page) == EXO_STORE_HOLE;
	uint32_t access;
	void *at = exo_page_at(c, page, &access);

	if (hole && at)
		memset(at, 0, c->bytes);
	if (!hole && !at)
		return exo_queue_fail(q, -EINVAL, NULL,
				      "the store has page %llu, and there is no memory for it",
				      (unsigned long long)page);
	if (!hole)
		exo_page_set(c, page, EXO_PAGE_TODO);
	return 0;
}

static const struct exo_page_move load = {
	.name = "read of a checkpoint",
	.opcode = EXO_NVME_READ,
	.block = exo_store_find,
};

int exo_checkpoint_restore(struct exo_checkpoint *c, struct exo_queue *q)
{
	int r = exo_check_idle(q, "restore");
	uint64_t commands;

	if (r)
		return r;
	c->result = 0;
	exo_checkpoint_mark_all(c, true);
	r = forget_dirty(c);
	for (uint64_t page = 0; !r && page < c->pages; page++)
		r = begin_page(c, q, page);
	if (!r)
		r = exo_checkpoint_move(c, q, &load, &commands);
	for (uint64_t page = 0; page < c->pages; page++)
		exo_page_clear(c, page, EXO_PAGE_TODO);
	if (!r)
		exo_checkpoint_mark_all(c, false);
	return r;
}

/* ---- compare ---- */

static bool is_zero(const char *at, size_t bytes)
{
	return !at[0] && !memcmp(at, at + 1, bytes - 1);
}

/* @other: what the store has; NULL: a hole */
static bool differs(struct exo_checkpoint *c, uint64_t page, const char *other)
{
	uint32_t access;
	const char *at = exo_page_at(c, page, &access);

	if (at && other)
		return memcmp(at, other, c->bytes);
	if (!at)
		at = other;
	return at && !is_zero(at, c->bytes);
}

/* Pages from @page on that lie side by side on the disk, @max at most; 0: it is a hole. */
static uint64_t count_run(const struct exo_checkpoint *c, uint64_t page, uint64_t max)
{
	uint64_t at = exo_store_find(c->s, page), blocks = c->bytes >> c->s->block_shift, n = 0;

	if (at == EXO_STORE_HOLE)
		return 0;
	while (n < max && page + n < c->pages && exo_store_find(c->s, page + n) == at + n * blocks)
		n++;
	return n;
}

static int64_t compare(struct exo_checkpoint *c, struct exo_queue *q, char *scratch, uint64_t max)
{
	int64_t differ = 0;
	uint64_t n;

	for (uint64_t page = 0; page < c->pages; page += n ? n : 1) {
		int r = 0;

		n = count_run(c, page, max);
		if (!n)
			differ += differs(c, page, NULL);
		else
			r = exo_read(q, scratch, exo_store_find(c->s, page),
				     n * (c->bytes >> q->block_shift));
		if (r)
			return r;
		for (uint64_t i = 0; i < n; i++)
			differ += differs(c, page + i, scratch + i * c->bytes);
	}
	return differ;
}

int64_t exo_checkpoint_compare(struct exo_checkpoint *c, struct exo_queue *q)
{
	size_t bytes = c->bytes > SCRATCH ? c->bytes : SCRATCH;
	int64_t differ;
	void *scratch;
	int r = exo_check_idle(q, "comparison");

	if (!r)
		r = exo_buf_alloc(q, bytes, &scratch);
	if (r)
		return r;
	differ = compare(c, q, scratch, bytes / c->bytes);
	exo_buf_free(q, scratch);
	return differ;
}
