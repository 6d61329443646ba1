// SPDX-License-Identifier: LGPL-2.1-only
/*
 * Frames, a page at a time: slabs, and caches of what is free in them.
 *
 * A slab is a buffer. Its free pages are a stack of their places in it; slabs with some
 * are in a list. A slab's entry of the table is written before the first of its pages is handed
 * out and after the last has come back, so looking a page up takes no lock.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "backend.h"

#define SLAB_SHIFT 21
#define SLABS_MAX (64ull << 30 >> 21) /* as many buffers as a handle has addresses for */
#define FRAME 4096u

/**
 * struct slab - one buffer, or nothing yet
 * @at: its address; NULL: there is none
 * @offset: in buffer space
 * @free_nr: pages in @free
 * @free: their places
 * @next: in the list of slabs with free pages
 */
struct slab {
	char *at;
	uint64_t offset;
	uint32_t free_nr;
	uint16_t *free;
	struct slab *next;
};

/**
 * struct exo_frames - an allocator
 * @x: the handle
 * @buf: what frames they are of
 * @shift: log2 of the bytes of a page
 * @slab_shift: log2 of the bytes of a slab
 * @per_slab_shift: of the pages of one
 * @slabs_max: slabs at most
 * @lock: guards what follows
 * @slabs_nr: slabs that are there
 * @some_free: those with free pages
 * @slabs: all
 */
struct exo_frames {
	struct exo *x;
	struct exo_buf_options buf;
	uint32_t shift;
	uint32_t slab_shift;
	uint32_t per_slab_shift;
	uint32_t slabs_max;
	pthread_mutex_t lock;
	uint32_t slabs_nr;
	struct slab *some_free;
	struct slab *slabs;
};

struct exo_frames_cache {
	struct exo_frames *f;
	uint32_t batch;
	uint32_t nr;
	uint32_t pages[2 * EXO_FRAMES_BATCH];
};

/* ---- slabs; the caller holds the lock ---- */

static uint32_t per_slab(const struct exo_frames *f)
{
	return 1u << f->per_slab_shift;
}

static struct slab *slab_of(const struct exo_frames *f, uint32_t page)
{
	return &f->slabs[page >> f->per_slab_shift];
}

static struct slab *find_absent(struct exo_frames *f)
{
	if (f->slabs_nr >= f->slabs_max)
		return NULL;
	for (struct slab *s = f->slabs; s < f->slabs + f->slabs_max; s++)
		if (!s->at)
			return s;
	return NULL;
}

static int add_slab(struct exo_frames *f)
{
	struct slab *s = find_absent(f);
	void *at;
	int r;

	if (!s)
		return exo_fail(f->x, -EDQUOT, NULL, "the allocator may hold %llu KiB, and does",
				(unsigned long long)f->slabs_max << f->slab_shift >> 10);
	s->free = malloc(per_slab(f) * sizeof(*s->free));
	if (!s->free)
		return exo_fail(f->x, -ENOMEM, NULL, "no memory to note pages in");
	r = exo_buf_make(f->x, 1ul << f->slab_shift, &f->buf, &at);
	if (r) {
		free(s->free);
		s->free = NULL;
		return r;
	}
	s->offset = exo_buf_keep(f->x, at);
	for (uint32_t i = 0; i < per_slab(f); i++)
		s->free[i] = per_slab(f) - 1 - i;
	s->free_nr = per_slab(f);
	s->next = f->some_free;
	f->some_free = s;
	s->at = at;
	f->slabs_nr++;
	return 0;
}

static void unlist(struct exo_frames *f, struct slab *s)
{
	struct slab **at = &f->some_free;

	while (*at && *at != s)
		at = &(*at)->next;
	if (*at)
		*at = s->next;
}

static uint64_t drop_slab(struct exo_frames *f, struct slab *s)
{
	if (!s->at)
		return 0;
	unlist(f, s);
	exo_buf_return(f->x, s->at);
	free(s->free);
	memset(s, 0, sizeof(*s));
	f->slabs_nr--;
	return (1ul << f->slab_shift) / FRAME;
}

static uint32_t take(struct exo_frames *f)
{
	struct slab *s = f->some_free;
	uint32_t page = ((uint32_t)(s - f->slabs) << f->per_slab_shift) + s->free[--s->free_nr];

	if (!s->free_nr)
		f->some_free = s->next;
	return page;
}

static void give(struct exo_frames *f, uint32_t page)
{
	struct slab *s = slab_of(f, page);

	if (!s->free_nr) {
		s->next = f->some_free;
		f->some_free = s;
	}
	s->free[s->free_nr++] = page & (per_slab(f) - 1);
}

/* ---- caches ---- */

static int refill(struct exo_frames_cache *c)
{
	struct exo_frames *f = c->f;
	int r = 0;

	pthread_mutex_lock(&f->lock);
	if (!f->some_free)
		r = add_slab(f);
	/* The next that is taken is the lowest: neighbours are taken one after the other. */
	while (!r && c->nr < c->batch && f->some_free)
		c->pages[c->nr++] = take(f);
	for (uint32_t i = 0; i < c->nr / 2; i++) {
		uint32_t page = c->pages[i];

		c->pages[i] = c->pages[c->nr - 1 - i];
		c->pages[c->nr - 1 - i] = page;
	}
	pthread_mutex_unlock(&f->lock);
	return r;
}

static void drain(struct exo_frames_cache *c, uint32_t to)
{
	pthread_mutex_lock(&c->f->lock);
	while (c->nr > to)
		give(c->f, c->pages[--c->nr]);
	pthread_mutex_unlock(&c->f->lock);
}

int exo_frames_get(struct exo_frames_cache *c, uint32_t *page)
{
	int r = c->nr ? 0 : refill(c);

	*page = r ? EXO_FRAMES_NONE : c->pages[--c->nr];
	return r;
}

void exo_frames_put(struct exo_frames_cache *c, uint32_t page)
{
	if (c->nr == 2 * c->batch)
		drain(c, c->batch);
	c->pages[c->nr++] = page;
}

int exo_frames_cache_create(struct exo_frames *f, struct exo_frames_cache **out)
{
	struct exo_frames_cache *c = calloc(1, sizeof(*c));

	*out = c;
	if (!c)
		return exo_fail(f->x, -ENOMEM, NULL, "no memory for a cache");
	c->f = f;
	/* Whole slabs are not hoarded. */
	c->batch = per_slab(f) < EXO_FRAMES_BATCH ? 1 : EXO_FRAMES_BATCH;
	return 0;
}

void exo_frames_cache_drain(struct exo_frames_cache *c)
{
	drain(c, 0);
}

void exo_frames_cache_destroy(struct exo_frames_cache *c)
{
	if (!c)
		return;
	drain(c, 0);
	free(c);
}

/* ---- the allocator ---- */

static int check_options(struct exo *x, const struct exo_frames_options *from,
			 struct exo_frames_options *to)
{
	int r = 0;

	memset(to, 0, sizeof(*to));
	if (from)
		r = exo_options_copy(to, sizeof(*to), from);
	if (r)
		return exo_fail(x, -EINVAL, NULL, "options that this library does not know");
	to->page = to->page ? to->page : FRAME;
	if (to->page < FRAME || to->page > EXO_PAGE_MAX || to->page & (to->page - 1))
		return exo_fail(x, -EINVAL, NULL,
				"a page cannot have %u bytes: a power of two, 4096 to %u", to->page,
				EXO_PAGE_MAX);
	if (to->order && to->order != EXO_BUF_ORDER(EXO_ORDER_2M))
		return exo_fail(x, -EINVAL, NULL, "pages are of frames of 2 MiB, or of any");
	return 0;
}

/* Slabs for so many bytes, at least one. */
static uint64_t slabs_for(const struct exo_frames *f, uint64_t bytes)
{
	return bytes ? ((bytes - 1) >> f->slab_shift) + 1 : 1;
}

static void set_sizes(struct exo_frames *f, uint32_t page, uint64_t limit)
{
	f->shift = __builtin_ctz(page);
	f->slab_shift = SLAB_SHIFT;
	/* Who may hold less than a slab of full size does not need one. */
	while (limit && f->slab_shift > f->shift && limit <= 1ull << (f->slab_shift - 1))
		f->slab_shift--;
	f->per_slab_shift = f->slab_shift - f->shift;
	f->slabs_max = SLABS_MAX;
	if (limit && slabs_for(f, limit) < SLABS_MAX)
		f->slabs_max = slabs_for(f, limit);
}

int exo_frames_create(struct exo_queue *q, const struct exo_frames_options *options,
		      struct exo_frames **out)
{
	struct exo *x = exo_queue_handle(q);
	struct exo_frames_options o;
	struct exo_frames *f;
	int r;

	*out = NULL;
	r = check_options(x, options, &o);
	if (r)
		return r;
	f = calloc(1, sizeof(*f));
	if (!f)
		return exo_fail(x, -ENOMEM, NULL, "no memory for an allocator");
	f->x = x;
	f->buf = (struct exo_buf_options){ sizeof(f->buf), o.order, o.node };
	set_sizes(f, o.page, o.limit);
	f->slabs = calloc(f->slabs_max, sizeof(*f->slabs));
	if (!f->slabs) {
		free(f);
		return exo_fail(x, -ENOMEM, NULL, "no memory for an allocator");
	}
	pthread_mutex_init(&f->lock, NULL);
	*out = f;
	return 0;
}

void exo_frames_destroy(struct exo_frames *f)
{
	if (!f)
		return;
	for (uint32_t i = 0; i < f->slabs_max; i++)
		drop_slab(f, &f->slabs[i]);
	pthread_mutex_destroy(&f->lock);
	free(f->slabs);
	free(f);
}

int exo_frames_reserve(struct exo_frames *f, uint64_t bytes)
{
	uint64_t slabs = slabs_for(f, bytes);
	int r = 0;

	pthread_mutex_lock(&f->lock);
	while (!r && f->slabs_nr < slabs)
		r = add_slab(f);
	pthread_mutex_unlock(&f->lock);
	return r;
}

uint64_t exo_frames_trim(struct exo_frames *f)
{
	uint64_t frames = 0;

	pthread_mutex_lock(&f->lock);
	for (uint32_t i = 0; i < f->slabs_max; i++)
		if (f->slabs[i].free_nr == per_slab(f))
			frames += drop_slab(f, &f->slabs[i]);
	pthread_mutex_unlock(&f->lock);
	return frames;
}

uint64_t exo_frames_release(struct exo_frames *f, uint32_t slab)
{
	uint64_t frames = 0;

	pthread_mutex_lock(&f->lock);
	if (slab < f->slabs_max)
		frames = drop_slab(f, &f->slabs[slab]);
	pthread_mutex_unlock(&f->lock);
	return frames;
}

uint32_t exo_frames_per_slab(const struct exo_frames *f)
{
	return per_slab(f);
}

uint32_t exo_frames_slabs(const struct exo_frames *f)
{
	return f->slabs_max;
}

static uint32_t bytes_into(const struct exo_frames *f, uint32_t page)
{
	return (page & (per_slab(f) - 1)) << f->shift;
}

void *exo_frames_address(const struct exo_frames *f, uint32_t page)
{
	return slab_of(f, page)->at + bytes_into(f, page);
}

uint64_t exo_frames_offset(const struct exo_frames *f, uint32_t page)
{
	return slab_of(f, page)->offset + bytes_into(f, page);
}

uint32_t exo_frames_capability(const struct exo_frames *f, uint32_t page, uint64_t *first)
{
	*first = bytes_into(f, page) / FRAME;
	return exo_buf_frames(f->x, slab_of(f, page)->at);
}
