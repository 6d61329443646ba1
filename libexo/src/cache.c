// SPDX-License-Identifier: LGPL-2.1-only
/*
 * The buffer cache: what programs call. The hit is exo_cache_get() and exo_cache_put() themselves;
 * whatever is rarer is out of line.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cache.h"

#define PAGE_DEFAULT 4096u
#define LIMIT_DEFAULT (16ull << 20)
#define DEPTH_DEFAULT 64u
#define SLOTS_MAX (1ull << 31)
#define RESERVE 16	/* one slot in so many is kept ready */
#define RESERVE_MAX 64u /* slots */

/* ---- pins ---- */

void exo_cache_set_dirty(struct exo_cache *c, struct exo_slot *s)
{
	if (s->dirty)
		return;
	s->dirty = true;
	c->dirty++;
}

void exo_cache_open(struct exo_cache *c, struct exo_slot *s)
{
	if (!s->open) {
		s->open = true;
		exo_share_open(c, s);
	}
	exo_cache_set_dirty(c, s);
}

static inline void pin(struct exo_cache *c, struct exo_slot *s, unsigned int flags)
{
	if (!s->pins++)
		c->pinned++;
	if (__builtin_expect(flags & (EXO_CACHE_WRITE | EXO_CACHE_OVERWRITE), 0))
		exo_cache_open(c, s);
}

/* A pin more on what is there. */
static inline void hit(struct exo_cache *c, struct exo_slot *s, unsigned int flags)
{
	c->stats.hits++;
	if (__builtin_expect(s->listed, 1))
		c->policy.touch(c->state, exo_slot_number(c, s));
	else if (s->place != EXO_SLOT_KEPT)
		exo_cache_rescue(c, s);
	pin(c, s, flags);
}

/* ---- the miss ---- */

/* @io may have been waited for: somebody else may have had it read. */
static struct exo_slot *find_again(struct exo_cache *c, uint64_t page, int *r)
{
	struct exo_slot *s;

	*r = 0;
	while ((s = exo_cache_find(c, page)) && s->place == EXO_SLOT_READING) {
		*r = exo_cache_wait(c);
		if (*r)
			return NULL;
	}
	return s;
}

static int read_now(struct exo_cache *c, struct exo_slot *s, uint64_t page)
{
	exo_cache_insert(c, s, page);
	exo_cache_read(c, s);
	while (s->place == EXO_SLOT_READING) {
		int r = exo_cache_wait(c);

		if (r)
			return r;
	}
	return s->error;
}

/* A page that is not there: a slot for it, and what it holds. */
static int fetch(struct exo_cache *c, uint64_t page, unsigned int flags, struct exo_slot **out)
{
	int r = exo_cache_take(c, true, out);

	while (!r && !exo_cache_has_room(c, c->parts)) {
		r = exo_cache_wait(c);
		if (r)
			exo_slot_push(c, &c->free, *out);
	}
	if (r)
		return r;
	if (!(flags & EXO_CACHE_OVERWRITE))
		return read_now(c, *out, page);
	exo_cache_insert(c, *out, page);
	/* Before others see what it held. */
	exo_cache_open(c, *out);
	exo_cache_arrive(c, *out, EXO_ENTER_USED);
	return 0;
}

static int get_missing(struct exo_cache *c, uint64_t page, unsigned int flags, void **buf)
{
	struct exo_slot *s;
	int r;

	s = find_again(c, page, &r);
	if (r)
		return r;
	if (s) {
		hit(c, s, flags);
	} else {
		c->stats.misses++;
		r = fetch(c, page, flags, &s);
		if (r)
			return r;
		pin(c, s, flags);
	}
	*buf = s->at;
	return 0;
}

static int __attribute__((noinline))
miss(struct exo_cache *c, uint64_t page, unsigned int flags, void **buf)
{
	int r;

	*buf = NULL;
	if (flags & ~(EXO_CACHE_WRITE | EXO_CACHE_OVERWRITE | EXO_CACHE_CACHED))
		return exo_fail(c->x, -EINVAL, NULL, "flags %#x are unknown", flags);
	if (flags & ~c->usable)
		return exo_fail(c->x, -EACCES, NULL,
				"the handle was not opened for writing: page %llu of the cache "
				"cannot be changed",
				(unsigned long long)page);
	if (page >= c->pages)
		return exo_fail(c->x, -ERANGE, NULL,
				"the cache has %llu pages: there is no page %llu",
				(unsigned long long)c->pages, (unsigned long long)page);
	if (flags & EXO_CACHE_CACHED)
		return -ENOENT;
	pthread_mutex_lock(&c->io);
	pthread_mutex_lock(&c->lock);
	r = get_missing(c, page, flags, buf);
	/* What was to be written to make room for it. */
	exo_cache_submit(c);
	pthread_mutex_unlock(&c->lock);
	pthread_mutex_unlock(&c->io);
	return r;
}

/* ---- the hit ---- */

int exo_cache_get(struct exo_cache *c, uint64_t page, unsigned int flags, void **buf)
{
	struct exo_slot *s;

	if (__builtin_expect(flags & ~c->usable, 0))
		return miss(c, page, flags, buf);
	pthread_mutex_lock(&c->lock);
	s = exo_cache_find(c, page);
	if (__builtin_expect(!s || s->place == EXO_SLOT_READING, 0)) {
		pthread_mutex_unlock(&c->lock);
		return miss(c, page, flags, buf);
	}
	hit(c, s, flags);
	*buf = s->at;
	pthread_mutex_unlock(&c->lock);
	return 0;
}

/* The caller has the lock. */
static void __attribute__((noinline)) put_last(struct exo_cache *c, struct exo_slot *s)
{
	if (s->open) {
		s->open = false;
		exo_share_close(c, s);
	}
	if (!s->listed && !s->failed)
		exo_cache_list(c, s, EXO_ENTER_RESCUED);
}

static int __attribute__((noinline, cold)) not_pinned(struct exo_cache *c, uint64_t page)
{
	return exo_fail(c->x, -EINVAL, NULL, "page %llu of the cache is not pinned",
			(unsigned long long)page);
}

int exo_cache_put(struct exo_cache *c, uint64_t page)
{
	struct exo_slot *s;

	pthread_mutex_lock(&c->lock);
	s = exo_cache_find(c, page);
	if (__builtin_expect(!s || !s->pins, 0)) {
		pthread_mutex_unlock(&c->lock);
		return not_pinned(c, page);
	}
	if (!--s->pins) {
		c->pinned--;
		if (s->open || !s->listed)
			put_last(c, s);
	}
	pthread_mutex_unlock(&c->lock);
	return 0;
}

int exo_cache_dirty(struct exo_cache *c, uint64_t page)
{
	struct exo_slot *s;
	bool pinned;

	if (!(c->usable & EXO_CACHE_WRITE))
		return exo_fail(c->x, -EACCES, NULL, "the handle was not opened for writing");
	pthread_mutex_lock(&c->lock);
	s = exo_cache_find(c, page);
	pinned = s && s->pins;
	if (pinned)
		exo_cache_open(c, s);
	pthread_mutex_unlock(&c->lock);
	return pinned ? 0 : not_pinned(c, page);
}

/* ---- what takes longer ---- */

static void enter(struct exo_cache *c)
{
	pthread_mutex_lock(&c->io);
	pthread_mutex_lock(&c->lock);
}

static void leave(struct exo_cache *c)
{
	pthread_mutex_unlock(&c->lock);
	pthread_mutex_unlock(&c->io);
}

/* Begin to read a page that is not there; false: that would take waiting. */
static bool read_ahead(struct exo_cache *c, uint64_t page)
{
	struct exo_slot *s;

	if (exo_cache_take(c, false, &s))
		return false;
	/* What was taken may have to be written for it first. */
	if (!exo_cache_has_room(c, c->parts)) {
		exo_slot_push(c, &c->free, s);
		return false;
	}
	exo_cache_insert(c, s, page);
	s->ahead = true;
	c->stats.prefetched++;
	exo_cache_read(c, s);
	return true;
}

uint32_t exo_cache_prefetch(struct exo_cache *c, uint64_t page, uint32_t count)
{
	uint32_t n = 0;

	enter(c);
	while (n < count && page + n < c->pages &&
	       (exo_cache_find(c, page + n) || read_ahead(c, page + n)))
		n++;
	exo_cache_submit(c);
	leave(c);
	return n;
}

void exo_cache_poll(struct exo_cache *c)
{
	enter(c);
	exo_cache_reap(c);
	exo_cache_pump(c);
	exo_cache_submit(c);
	leave(c);
}

int exo_cache_flush(struct exo_cache *c)
{
	int r, wrote;

	enter(c);
	c->forced = true;
	c->trouble = 0;
	for (struct exo_slot *s = c->slots; s < c->slots + c->slots_count; s++)
		if (s->dirty)
			exo_cache_want(c, s);
	r = exo_cache_write_out(c);
	wrote = c->trouble;
	if (!r)
		r = exo_cache_flush_device(c);
	c->forced = false;
	leave(c);
	return wrote ? wrote : r;
}

/* Nothing is left to be written of it, or nothing can be. */
static int settle(struct exo_cache *c, struct exo_slot *s)
{
	if (s->dirty && !s->writing)
		exo_cache_want(c, s);
	exo_cache_pump(c);
	while (s->writing || s->wanted) {
		int r;

		if (!exo_cache_busy(c))
			return -EBUSY;
		r = exo_cache_wait(c);
		if (r)
			return r;
		exo_cache_pump(c);
	}
	return s->failed ? s->error : 0;
}

static int evict(struct exo_cache *c, uint64_t page)
{
	struct exo_slot *s;
	int r;

	c->trouble = 0;
	for (;;) {
		s = find_again(c, page, &r);
		if (!s)
			return r ? r : -ENOENT;
		if (s->pins)
			return -EBUSY;
		if (!s->dirty && !s->writing)
			break;
		r = settle(c, s);
		if (r)
			return r == -EBUSY && c->trouble ? c->trouble : r;
	}
	exo_cache_remove(c, s);
	return 0;
}

int exo_cache_evict(struct exo_cache *c, uint64_t page)
{
	int r;

	enter(c);
	r = evict(c, page);
	leave(c);
	return r;
}

void exo_cache_get_stats(struct exo_cache *c, struct exo_cache_stats *stats)
{
	uint32_t size = stats->size < sizeof(*stats) ? stats->size : sizeof(*stats);
	struct exo_cache_stats now;

	pthread_mutex_lock(&c->lock);
	now = c->stats;
	now.dirty = c->dirty;
	now.pinned = c->pinned;
	now.failed = c->failed;
	now.cached = c->cached;
	now.held = c->held;
	pthread_mutex_unlock(&c->lock);
	now.size = stats->size;
	memcpy(stats, &now, size);
}

uint32_t exo_cache_page(const struct exo_cache *c)
{
	return 1u << c->page_shift;
}

uint64_t exo_cache_pages(const struct exo_cache *c)
{
	return c->pages;
}

/* ---- creation ---- */

static int check_options(struct exo *x, const struct exo_cache_options *from,
			 struct exo_cache_options *to)
{
	int r = 0;

	memset(to, 0, sizeof(*to));
	if (from)
		r = exo_options_copy(to, sizeof(*to), from);
	if (r || to->flags || to->__reserved)
		return exo_fail(x, r ? r : -EINVAL, NULL,
				"options of a cache that this library does not know");
	to->page = to->page ? to->page : PAGE_DEFAULT;
	to->limit = to->limit ? to->limit : LIMIT_DEFAULT;
	to->policy = to->policy ? to->policy : exo_policy_lru();
	if (to->page < PAGE_DEFAULT || to->page > EXO_PAGE_MAX || to->page & (to->page - 1))
		return exo_fail(x, -EINVAL, NULL,
				"a page cannot have %u bytes: a power of two, 4096 to %u", to->page,
				EXO_PAGE_MAX);
	if (to->page < exo_block_size(x) || to->page > exo_blocks(x)
							       << __builtin_ctz(exo_block_size(x)))
		return exo_fail(x, -EINVAL, NULL,
				"a page of %u bytes is less than a block, or more than the extent",
				to->page);
	if (to->limit < to->page || to->limit / to->page > SLOTS_MAX)
		return exo_fail(x, -EINVAL, NULL, "a cache of %llu bytes has no page, or too many",
				(unsigned long long)to->limit);
	return 0;
}

/* What a command can move, in whole frames; at least one. */
static void set_sizes(struct exo_cache *c, const struct exo_cache_options *o)
{
	uint32_t max = exo_transfer_max(c->x) & ~4095u;

	c->page_shift = __builtin_ctz(o->page);
	c->blocks_shift = c->page_shift - __builtin_ctz(exo_block_size(c->x));
	c->pages = exo_blocks(c->x) >> c->blocks_shift;
	c->step = max && max < o->page ? max : o->page;
	c->parts = (o->page + c->step - 1) / c->step;
	c->slots_count = (uint32_t)(o->limit / o->page);
	c->allowed = c->slots_count;
	c->low = c->slots_count / RESERVE < RESERVE_MAX ? c->slots_count / RESERVE : RESERVE_MAX;
	c->high = 2 * c->low;
	c->usable = EXO_CACHE_CACHED;
	if (exo_rights(c->x) & EXO_WRITE)
		c->usable |= EXO_CACHE_WRITE | EXO_CACHE_OVERWRITE;
}

static int make_queue(struct exo_cache *c, const struct exo_queue_options *options)
{
	struct exo_queue_options own = { .size = sizeof(own), .depth = DEPTH_DEFAULT };
	uint32_t max = exo_depth_max(c->x);
	int r;

	if (own.depth < c->parts)
		own.depth = c->parts;
	if (own.depth > max)
		own.depth = max;
	r = exo_queue_create(c->x, options ? options : &own, &c->q);
	if (r)
		return r;
	if (exo_queue_free(c->q) >= c->parts)
		return 0;
	return exo_fail(c->x, -EINVAL, NULL,
			"a page of the cache takes %u commands, and its queue is %u deep", c->parts,
			exo_queue_free(c->q));
}

static int make_frames(struct exo_cache *c, const struct exo_cache_options *o)
{
	const struct exo_frames_options options = {
		.size = sizeof(options),
		.page = o->page,
		.limit = o->limit,
	};
	int r = exo_frames_create(c->q, &options, &c->frames);

	return r ? r : exo_frames_cache_create(c->frames, &c->stock);
}

static int make_policy(struct exo_cache *c, const struct exo_policy *policy)
{
	int r = exo_options_copy(&c->policy, sizeof(c->policy), policy);

	if (r)
		return exo_fail(c->x, r, NULL, "a policy that this library does not know");
	if (!c->policy.create || !c->policy.destroy || !c->policy.enter || !c->policy.touch ||
	    !c->policy.leave || !c->policy.victim)
		return exo_fail(c->x, -EINVAL, NULL, "a policy needs all its functions");
	c->state = c->policy.create(c->policy.arg, c->slots_count);
	if (!c->state)
		return exo_fail(c->x, -ENOMEM, NULL, "no memory for the policy of a cache");
	return 0;
}

/* As many chains as slots, or more. */
static int make_tables(struct exo_cache *c)
{
	uint32_t bits = 1;

	while (1ull << bits < c->slots_count)
		bits++;
	c->bucket_shift = 64 - bits;
	c->buckets = malloc(sizeof(*c->buckets) << bits);
	c->slots = calloc(c->slots_count, sizeof(*c->slots));
	c->names = calloc(exo_queue_free(c->q), sizeof(*c->names));
	c->costs = calloc(exo_frames_slabs(c->frames), sizeof(*c->costs));
	if (!c->buckets || !c->slots || !c->names || !c->costs)
		return exo_fail(c->x, -ENOMEM, NULL, "no memory for the tables of a cache");
	memset(c->buckets, 0xff, sizeof(*c->buckets) << bits);
	for (uint32_t n = 0; n < c->slots_count; n++) {
		struct exo_slot *s = &c->slots[n];

		s->frame = EXO_FRAMES_NONE;
		s->earlier = EXO_NONE;
		s->later = EXO_NONE;
		exo_slot_push(c, &c->bare, s);
	}
	return 0;
}

static void init(struct exo_cache *c, struct exo *x)
{
	const struct exo_slot_list empty = { EXO_NONE, EXO_NONE, 0 };

	c->x = x;
	c->free = c->bare = c->standby = c->ready = c->unflushed = empty;
	c->edges_free = EXO_NONE;
	c->epoch = 1;
	pthread_mutex_init(&c->lock, NULL);
	pthread_mutex_init(&c->io, NULL);
}

int exo_cache_create(struct exo *x, const struct exo_cache_options *options, struct exo_cache **out)
{
	struct exo_cache_options o;
	struct exo_cache *c;
	int r;

	*out = NULL;
	r = check_options(x, options, &o);
	if (r)
		return r;
	c = calloc(1, sizeof(*c));
	if (!c)
		return exo_fail(x, -ENOMEM, NULL, "no memory for a cache");
	init(c, x);
	set_sizes(c, &o);
	r = make_queue(c, o.queue);
	if (!r)
		r = make_frames(c, &o);
	if (!r)
		r = make_policy(c, o.policy);
	if (!r)
		r = make_tables(c);
	if (r)
		exo_cache_destroy(c);
	else
		*out = c;
	return r;
}

/* Commands in flight and readers have its memory. */
static void drain(struct exo_cache *c)
{
	enter(c);
	while (exo_cache_busy(c) && !exo_cache_wait(c))
		;
	exo_share_end(c);
	leave(c);
}

void exo_cache_destroy(struct exo_cache *c)
{
	if (!c)
		return;
	drain(c);
	exo_frames_cache_destroy(c->stock);
	exo_frames_destroy(c->frames);
	exo_queue_destroy(c->q);
	if (c->state)
		c->policy.destroy(c->state);
	pthread_mutex_destroy(&c->lock);
	pthread_mutex_destroy(&c->io);
	free(c->buckets);
	free(c->slots);
	free(c->names);
	free(c->costs);
	free(c->edges);
	free(c);
}
