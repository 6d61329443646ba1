// SPDX-License-Identifier: LGPL-2.1-only
/*
 * Checkpoints: a take.
 *
 *	freeze	all pages read-only. When that is done, it is the instant
 *	collect	which were written since the last: dirty bits, marks
 *	thaw	the others are writable again
 *	save	each page to its free place, and writable again
 *	commit
 *
 * What goes wrong on the way undoes nothing but the store's notes: pages that were to be saved are
 * marked, and the next take has them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint.h"

/* ---- marks ---- */

static bool is_marked(const struct exo_checkpoint *c, uint64_t page)
{
	return __atomic_load_n(&c->marks[page / 64], __ATOMIC_RELAXED) >> page % 64 & 1;
}

static void set_mark(struct exo_checkpoint *c, uint64_t page)
{
	__atomic_fetch_or(&c->marks[page / 64], 1ull << page % 64, __ATOMIC_RELEASE);
}

static bool take_mark(struct exo_checkpoint *c, uint64_t page)
{
	uint64_t bit = 1ull << page % 64;

	return is_marked(c, page) &&
	       __atomic_fetch_and(&c->marks[page / 64], ~bit, __ATOMIC_ACQUIRE) & bit;
}

void exo_checkpoint_mark(struct exo_checkpoint *c, uint64_t page, uint64_t count)
{
	for (; page < c->pages && count; page++, count--)
		set_mark(c, page);
}

void exo_checkpoint_mark_all(struct exo_checkpoint *c, bool marked)
{
	for (uint64_t i = 0; i < (c->pages + 63) / 64; i++)
		__atomic_store_n(&c->marks[i], marked ? ~0ull : 0, __ATOMIC_RELAXED);
}

/* ---- freeze, collect, thaw ---- */

static void freeze(struct exo_checkpoint *c)
{
	for (uint64_t page = 0; page < c->pages && !c->result; page++) {
		uint32_t access;

		if (!exo_page_at(c, page, &access)) {
			exo_store_forget(c->s, page);
			continue;
		}
		exo_page_set(c, page, EXO_PAGE_SEEN);
		if (c->window && access & EXO_RIGHT_WRITE)
			exo_checkpoint_hold(c, page);
	}
	exo_checkpoint_apply(c);
}

/* A page that came while the others were frozen is the next take's. */
static void collect_page(struct exo_checkpoint *c, uint64_t page, bool dirty)
{
	if (!(c->flags[page] & EXO_PAGE_SEEN)) {
		if (dirty)
			set_mark(c, page);
		return;
	}
	if (!(take_mark(c, page) || dirty || exo_store_find(c->s, page) == EXO_STORE_HOLE))
		return;
	exo_page_set(c, page, EXO_PAGE_SAVE | EXO_PAGE_TODO);
	c->stats.pages++;
}

/* Of @n bits from @bit on, any */
static bool any_set(const uint64_t *bits, uint64_t bit, uint32_t n)
{
	for (uint64_t end = bit + n; bit < end; bit++)
		if (bits[bit / 64] >> bit % 64 & 1)
			return true;
	return false;
}

static int collect(struct exo_checkpoint *c)
{
	uint64_t step = EXO_CHECKPOINT_DIRTY / c->entries;

	for (uint64_t page = 0; page < c->pages; page += step) {
		uint64_t n = c->pages - page < step ? c->pages - page : step;
		int dirty = 0;

		if (c->window)
			dirty = exo_window_dirty(c->window, exo_page_entry(c, page), n * c->entries,
						 c->dirty);
		if (dirty < 0)
			return dirty;
		for (uint64_t i = 0; i < n; i++)
			collect_page(c, page + i,
				     dirty && any_set(c->dirty, i * c->entries, c->entries));
	}
	return 0;
}

static void thaw_clean(struct exo_checkpoint *c)
{
	for (uint64_t page = 0; page < c->pages; page++)
		if (!(c->flags[page] & EXO_PAGE_TODO))
			exo_checkpoint_release(c, page);
	exo_checkpoint_apply(c);
}

/* ---- save, commit ---- */

static void saved(struct exo_checkpoint *c, const struct exo_span *span)
{
	for (uint64_t i = span->page; i < span->page + span->count; i++) {
		exo_store_wrote(c->s, i);
		exo_checkpoint_release(c, i);
	}
}

static const struct exo_page_move save = {
	.name = "write of a checkpoint",
	.opcode = EXO_NVME_WRITE,
	.block = exo_store_place,
	.ended = saved,
	.pause = exo_checkpoint_apply,
};

/* Whatever happened, no page is held any more. */
static void finish(struct exo_checkpoint *c, bool failed)
{
	for (uint64_t page = 0; page < c->pages; page++) {
		if (failed && c->flags[page] & EXO_PAGE_SAVE)
			set_mark(c, page);
		exo_checkpoint_release(c, page);
		exo_page_clear(c, page, (uint8_t)~EXO_PAGE_HELD);
	}
	exo_checkpoint_apply(c);
	if (failed)
		exo_store_undo(c->s);
}

/* One that failed so late that it may count, counts. */
static int begin(struct exo_checkpoint *c, struct exo_queue *q)
{
	int r = exo_check_idle(q, "checkpoint");

	memset(&c->stats, 0, sizeof(c->stats));
	c->result = 0;
	if (!r && c->s->doubt)
		r = exo_store_commit(c->s, q);
	return r;
}

static int collect_and_save(struct exo_checkpoint *c, struct exo_queue *q, uint64_t began)
{
	int r = collect(c);

	if (r)
		return r;
	thaw_clean(c);
	c->stats.frozen_ns = exo_now_ns() - began;
	c->stats.bytes = c->stats.pages * c->bytes;
	r = exo_checkpoint_move(c, q, &save, &c->stats.commands);
	return r ? r : exo_store_commit(c->s, q);
}

int exo_checkpoint_take(struct exo_checkpoint *c, struct exo_queue *q)
{
	uint64_t touches = __atomic_load_n(&c->touches, __ATOMIC_RELAXED), began = exo_now_ns();
	int r = begin(c, q);

	if (r)
		return r;
	freeze(c);
	r = c->result ? c->result : collect_and_save(c, q, began);
	finish(c, r != 0);
	c->stats.touches = __atomic_load_n(&c->touches, __ATOMIC_RELAXED) - touches;
	c->stats.ns = exo_now_ns() - began;
	return r;
}

const struct exo_checkpoint_stats *exo_checkpoint_stats(const struct exo_checkpoint *c)
{
	return &c->stats;
}

/* ---- from beginning to end ---- */

void exo_checkpoint_destroy(struct exo_checkpoint *c)
{
	if (!c)
		return;
	free(c->flags);
	free(c->marks);
	free(c->dirty);
	free(c->ops);
	free(c);
}

static int check_options(struct exo_store *s, const struct exo_checkpoint_options *given,
			 struct exo_checkpoint_options *options)
{
	int r = exo_options_copy(options, sizeof(*options), given);

	if (r)
		return exo_fail(s->x, r, NULL,
				"the options of a checkpoint are of another version");
	if (!options->function || options->flags)
		return exo_fail(s->x, -EINVAL, NULL,
				"a checkpoint needs a function that knows its pages, and has no "
				"flags");
	return 0;
}

/* How many pages there are is the disk's word. */
static int check_range(struct exo_store *s, const struct exo_checkpoint_options *options)
{
	uint64_t entries = exo_store_pages(s) * (exo_store_page(s) / 4096);

	if (!options->window || exo_window_has(options->window, options->first, entries))
		return 0;
	return exo_fail(s->x, -EINVAL, NULL,
			"the store has %llu pages of %u bytes, which the window does not have from "
			"entry %llu on",
			(unsigned long long)exo_store_pages(s), exo_store_page(s),
			(unsigned long long)options->first);
}

int exo_checkpoint_create(struct exo_store *s, const struct exo_checkpoint_options *given,
			  struct exo_checkpoint **out)
{
	struct exo_checkpoint_options options;
	struct exo_checkpoint *c;
	int r = check_options(s, given, &options);

	*out = NULL;
	if (!r)
		r = check_range(s, &options);
	if (r)
		return r;
	c = calloc(1, sizeof(*c));
	if (!c)
		return exo_fail(s->x, -ENOMEM, NULL, "no memory for a checkpoint");
	c->s = s;
	c->window = options.window;
	c->first = options.first;
	c->function = options.function;
	c->arg = options.arg;
	c->bytes = exo_store_page(s);
	c->entries = c->bytes / 4096;
	c->pages = exo_store_pages(s);
	c->flags = calloc(c->pages, sizeof(c->flags[0]));
	c->marks = calloc((c->pages + 63) / 64, sizeof(c->marks[0]));
	c->dirty = calloc(EXO_CHECKPOINT_DIRTY / 64, sizeof(c->dirty[0]));
	c->ops = calloc(EXO_CHECKPOINT_OPS, sizeof(c->ops[0]));
	if (!c->flags || !c->marks || !c->dirty || !c->ops) {
		exo_checkpoint_destroy(c);
		return exo_fail(s->x, -ENOMEM, NULL, "no memory for a checkpoint");
	}
	exo_checkpoint_mark_all(c, true);
	*out = c;
	return 0;
}
