// SPDX-License-Identifier: LGPL-2.1-only
/*
 * A cache gives memory back. The kernel takes slabs, so what goes is what happens to be in a slab
 * together, and not what the policy would have chosen: the slab that costs least, by what of it
 * would have to be written and then by what would have to be read again.
 */
#include <errno.h>

#include "cache.h"

#define NEVER (~0u)
#define DIRTY 0x10000u /* dearer than any number of pages that are not */

static uint32_t slab_of(const struct exo_cache *c, const struct exo_slot *s)
{
	return s->frame / exo_frames_per_slab(c->frames);
}

/* What losing a slot takes. */
static uint32_t cost(const struct exo_slot *s)
{
	if (s->place == EXO_SLOT_FREE)
		return 1;
	if (s->pins || s->place == EXO_SLOT_READING)
		return NEVER;
	return s->dirty || s->writing ? DIRTY : 2;
}

/* The costs of all slabs: 0 of those that are not there. Those that are NEVER stay that. */
static void count_costs(struct exo_cache *c, bool anew)
{
	for (uint32_t i = 0; i < exo_frames_slabs(c->frames); i++)
		if (anew || c->costs[i] != NEVER)
			c->costs[i] = 0;
	for (struct exo_slot *s = c->slots; s < c->slots + c->slots_count; s++) {
		uint32_t *sum, one = cost(s);

		if (s->place == EXO_SLOT_BARE)
			continue;
		sum = &c->costs[slab_of(c, s)];
		if (*sum != NEVER)
			*sum = one == NEVER ? NEVER : *sum + one;
	}
}

static uint32_t cheapest(const struct exo_cache *c, uint32_t below)
{
	uint32_t best = EXO_NONE;

	for (uint32_t i = 0; i < exo_frames_slabs(c->frames); i++) {
		if (!c->costs[i] || c->costs[i] >= below)
			continue;
		best = i;
		below = c->costs[i];
	}
	return best;
}

/* Have all that is dirty in it written; 0, or why not. */
static int clean(struct exo_cache *c, uint32_t slab)
{
	int r;

	c->trouble = 0;
	for (struct exo_slot *s = c->slots; s < c->slots + c->slots_count; s++)
		if (s->place > EXO_SLOT_READING && s->dirty && slab_of(c, s) == slab)
			exo_cache_want(c, s);
	r = exo_cache_write_out(c);
	return r ? r : c->trouble;
}

/* Every slot of a slab that can go has no memory; false: some cannot go. */
static bool strip(struct exo_cache *c, uint32_t slab)
{
	for (struct exo_slot *s = c->slots; s < c->slots + c->slots_count; s++)
		if (s->place != EXO_SLOT_BARE && slab_of(c, s) == slab && cost(s) >= DIRTY)
			return false;
	for (struct exo_slot *s = c->slots; s < c->slots + c->slots_count; s++) {
		if (s->place == EXO_SLOT_BARE || slab_of(c, s) != slab)
			continue;
		if (s->place != EXO_SLOT_FREE)
			exo_cache_remove(c, s);
		exo_slot_unlist(c, &c->free, s);
		s->place = EXO_SLOT_BARE;
		s->frame = EXO_FRAMES_NONE;
		s->at = NULL;
		exo_slot_push(c, &c->bare, s);
		c->held--;
	}
	return true;
}

static uint64_t release(struct exo_cache *c, uint32_t slab)
{
	/* No page of the slab is in stock then. */
	exo_frames_cache_drain(c->stock);
	exo_share_lose_slab(c, slab);
	return exo_frames_release(c->frames, slab);
}

/* What is left; but something to work with, if the kernel has it. */
static void shrink_allowed(struct exo_cache *c)
{
	uint32_t least = exo_frames_per_slab(c->frames);

	if (least > c->slots_count)
		least = c->slots_count;
	c->allowed = c->held > least ? c->held : least;
}

/* Slabs that cost less than @below, until @frames went. */
static uint64_t give(struct exo_cache *c, uint64_t frames, uint32_t below)
{
	uint64_t given;
	bool anew = true;

	exo_frames_cache_drain(c->stock);
	given = exo_frames_trim(c->frames);
	while (given < frames) {
		uint32_t slab;

		count_costs(c, anew);
		anew = false;
		slab = cheapest(c, below);
		if (slab == EXO_NONE)
			break;
		if ((c->costs[slab] >= DIRTY && clean(c, slab)) || !strip(c, slab))
			c->costs[slab] = NEVER;
		else
			given += release(c, slab);
	}
	if (given)
		shrink_allowed(c);
	return given;
}

static uint64_t give_locked(struct exo_cache *c, uint64_t frames, uint32_t below)
{
	uint64_t given;

	pthread_mutex_lock(&c->io);
	pthread_mutex_lock(&c->lock);
	given = give(c, frames, below);
	pthread_mutex_unlock(&c->lock);
	pthread_mutex_unlock(&c->io);
	return given;
}

uint64_t exo_cache_give_up(struct exo_cache *c, uint64_t frames)
{
	return give_locked(c, frames, NEVER);
}

/* Slots that may have memory, in whole slabs. */
static uint32_t rounded(const struct exo_cache *c, uint64_t bytes)
{
	uint64_t per_slab = exo_frames_per_slab(c->frames);
	uint64_t slabs = ((bytes >> c->page_shift) + per_slab - 1) / per_slab;

	return slabs * per_slab < c->slots_count ? (uint32_t)(slabs * per_slab) : c->slots_count;
}

int exo_cache_limit(struct exo_cache *c, uint64_t bytes)
{
	uint32_t slots = rounded(c, bytes);
	int r = 0;

	if (bytes >> c->page_shift == 0)
		return exo_fail(c->x, -EINVAL, NULL, "%llu bytes are less than a page",
				(unsigned long long)bytes);
	pthread_mutex_lock(&c->io);
	pthread_mutex_lock(&c->lock);
	if (c->held > slots)
		give(c, (uint64_t)(c->held - slots) << (c->page_shift - 12), NEVER);
	c->allowed = slots;
	if (c->held > slots)
		r = exo_fail(c->x, -EBUSY, NULL,
			     "the cache holds %u pages: what is too much is pinned, or could not "
			     "be written",
			     c->held);
	pthread_mutex_unlock(&c->lock);
	pthread_mutex_unlock(&c->io);
	return r;
}

/* ---- when it is asked back ---- */

/* The slab that begins at @at, or EXO_NONE. */
static uint32_t slab_at(const struct exo_cache *c, const void *at)
{
	for (const struct exo_slot *s = c->slots; s < c->slots + c->slots_count; s++) {
		uint32_t first = slab_of(c, s) * exo_frames_per_slab(c->frames);

		if (s->place != EXO_SLOT_BARE && exo_frames_address(c->frames, first) == at)
			return slab_of(c, s);
	}
	return EXO_NONE;
}

static uint64_t give_slab(struct exo_cache *c, const void *at)
{
	uint64_t given = 0;
	uint32_t slab;

	pthread_mutex_lock(&c->io);
	pthread_mutex_lock(&c->lock);
	if (at == exo_share_directory(c))
		given = exo_share_end(c);
	slab = slab_at(c, at);
	if (slab != EXO_NONE && !clean(c, slab) && strip(c, slab)) {
		given = release(c, slab);
		shrink_allowed(c);
	}
	pthread_mutex_unlock(&c->lock);
	pthread_mutex_unlock(&c->io);
	return given;
}

/* What readers look into would be taken by force. */
static uint64_t give_directory(struct exo_cache *c)
{
	uint64_t given;

	pthread_mutex_lock(&c->io);
	pthread_mutex_lock(&c->lock);
	given = exo_share_end(c);
	pthread_mutex_unlock(&c->lock);
	pthread_mutex_unlock(&c->io);
	return given;
}

uint64_t exo_cache_comply(struct exo_cache *c, const struct exo_asked *asked)
{
	uint64_t given = 0;

	if (asked->type == EXO_TYPE_FRAMES && asked->buf)
		return give_slab(c, asked->buf);
	if (asked->type != EXO_TYPE_POOL || asked->cap != exo_pool_cap(c->x))
		return 0;
	if (!asked->frames)
		given = give_directory(c);
	return given + give_locked(c, asked->frames ? asked->frames : UINT64_MAX,
				   asked->deadline ? NEVER : DIRTY);
}
