// SPDX-License-Identifier: LGPL-2.1-only
/*
 * Room: the table of a cache, and which of its pages goes.
 *
 * The policy names victims; it does not see that one is pinned, dirty or not yet durable. Those
 * that cannot go at once are taken from it all the same, so that it names another, and come back
 * to it when they could.
 */
#include <errno.h>

#include "cache.h"

/* ---- lists ---- */

void exo_slot_push(struct exo_cache *c, struct exo_slot_list *list, struct exo_slot *s)
{
	uint32_t n = exo_slot_number(c, s);

	s->list_next = EXO_NONE;
	s->list_prev = list->last;
	if (list->last != EXO_NONE)
		c->slots[list->last].list_next = n;
	else
		list->first = n;
	list->last = n;
	list->count++;
}

void exo_slot_unlist(struct exo_cache *c, struct exo_slot_list *list, struct exo_slot *s)
{
	if (s->list_prev != EXO_NONE)
		c->slots[s->list_prev].list_next = s->list_next;
	else
		list->first = s->list_next;
	if (s->list_next != EXO_NONE)
		c->slots[s->list_next].list_prev = s->list_prev;
	else
		list->last = s->list_prev;
	list->count--;
}

/* ---- the policy ---- */

void exo_cache_list(struct exo_cache *c, struct exo_slot *s, int how)
{
	s->listed = true;
	c->policy.enter(c->state, exo_slot_number(c, s), s->page, how);
}

void exo_cache_unlist(struct exo_cache *c, struct exo_slot *s)
{
	if (!s->listed)
		return;
	s->listed = false;
	c->policy.leave(c->state, exo_slot_number(c, s));
}

/* Who goes, of those that are not pinned; NULL: nobody, or the policy talks nonsense. */
static struct exo_slot *victim(struct exo_cache *c)
{
	for (;;) {
		uint32_t n = c->policy.victim(c->state);

		if (n >= c->slots_count || !c->slots[n].listed)
			return NULL;
		c->slots[n].listed = false;
		if (!c->slots[n].pins)
			return &c->slots[n];
	}
}

void exo_cache_stand_by(struct exo_cache *c, struct exo_slot *s)
{
	if (s->place == EXO_SLOT_LEAVING)
		c->leaving--;
	s->place = EXO_SLOT_STANDBY;
	exo_slot_push(c, &c->standby, s);
}

static void dismiss(struct exo_cache *c, struct exo_slot *s)
{
	if (!s->dirty && !s->writing) {
		exo_cache_stand_by(c, s);
		return;
	}
	s->place = EXO_SLOT_LEAVING;
	c->leaving++;
	exo_cache_want(c, s);
}

void exo_cache_rescue(struct exo_cache *c, struct exo_slot *s)
{
	if (s->place == EXO_SLOT_LEAVING)
		c->leaving--;
	else
		exo_slot_unlist(c, &c->standby, s);
	s->place = EXO_SLOT_KEPT;
	c->stats.rescued++;
	exo_cache_list(c, s, EXO_ENTER_RESCUED);
}

/* ---- the table ---- */

static uint32_t *bucket_of(struct exo_cache *c, uint64_t page)
{
	return &c->buckets[exo_cache_bucket(page, c->bucket_shift)];
}

void exo_cache_insert(struct exo_cache *c, struct exo_slot *s, uint64_t page)
{
	uint32_t *first = bucket_of(c, page);

	s->page = page;
	s->place = EXO_SLOT_READING;
	s->next = *first;
	*first = exo_slot_number(c, s);
}

void exo_cache_arrive(struct exo_cache *c, struct exo_slot *s, int how)
{
	s->place = EXO_SLOT_KEPT;
	c->cached++;
	exo_cache_list(c, s, how);
	exo_share_enter(c, s);
}

void exo_cache_remove(struct exo_cache *c, struct exo_slot *s)
{
	uint32_t *at = bucket_of(c, s->page);

	while (*at != exo_slot_number(c, s))
		at = &c->slots[*at].next;
	*at = s->next;
	if (s->place == EXO_SLOT_STANDBY)
		exo_slot_unlist(c, &c->standby, s);
	if (s->place != EXO_SLOT_READING) {
		exo_share_leave(c, s);
		exo_cache_unlist(c, s);
		exo_cache_forget_order(c, s);
		c->cached--;
		c->stats.evicted++;
	}
	s->place = EXO_SLOT_FREE;
	exo_slot_push(c, &c->free, s);
}

/* ---- taking a slot ---- */

/* Slots that could get memory. */
static uint32_t growth(const struct exo_cache *c)
{
	uint32_t more = c->allowed > c->held ? c->allowed - c->held : 0;

	return more < c->bare.count ? more : c->bare.count;
}

/* What misses can have at once, or soon, becomes little: see to the next victims in good time. */
static void keep_reserve(struct exo_cache *c)
{
	uint32_t there = c->free.count + growth(c) + c->standby.count + c->leaving;
	struct exo_slot *s;

	if (there >= c->low)
		return;
	while (there++ < c->high && (s = victim(c)))
		dismiss(c, s);
}

static struct exo_slot *grow(struct exo_cache *c)
{
	struct exo_slot *s;
	uint32_t frame;

	if (!growth(c))
		return NULL;
	c->no_frame = exo_frames_get(c->stock, &frame);
	if (c->no_frame) {
		/* Not asked for again with each miss. */
		c->allowed = c->held;
		return NULL;
	}
	s = &c->slots[c->bare.first];
	exo_slot_unlist(c, &c->bare, s);
	s->frame = frame;
	s->at = exo_frames_address(c->frames, frame);
	s->place = EXO_SLOT_FREE;
	c->held++;
	return s;
}

static struct exo_slot *take_now(struct exo_cache *c)
{
	struct exo_slot *s;

	if (!c->free.count) {
		s = grow(c);
		if (s)
			return s;
		if (c->standby.count)
			exo_cache_remove(c, &c->slots[c->standby.first]);
	}
	if (!c->free.count)
		return NULL;
	s = &c->slots[c->free.first];
	exo_slot_unlist(c, &c->free, s);
	return s;
}

/* What the device may still write to, it has: that no page is put there, none is put anywhere. */
static int no_queue(struct exo_cache *c)
{
	return exo_fail(c->x, c->broken, NULL,
			"the queue of the cache is dead: what is not cached cannot be had");
}

static int no_room(struct exo_cache *c)
{
	if (c->failed)
		return exo_fail(c->x, c->failure, NULL,
				"the cache has no room: %u of its pages could not be written: %s",
				c->failed, exo_errno_meaning(c->failure));
	if (c->trouble)
		return exo_fail(c->x, c->trouble, NULL,
				"the cache has no room: what was written for it could not be made "
				"durable: %s",
				exo_errno_meaning(c->trouble));
	if (!c->held)
		return c->no_frame;
	return exo_fail(c->x, -ENOBUFS, NULL,
			"the cache has no room: of its %u pages %u are pinned", c->held, c->pinned);
}

/* Victims that wait for a flush that failed, perhaps long ago: for the next. */
static bool try_again(struct exo_cache *c)
{
	if (c->leaving)
		for (struct exo_slot *s = c->slots; s < c->slots + c->slots_count; s++)
			if (s->place == EXO_SLOT_LEAVING)
				exo_cache_want(c, s);
	return c->ready.count || c->unflushed.count;
}

int exo_cache_take(struct exo_cache *c, bool wait, struct exo_slot **out)
{
	bool tried = false;

	c->trouble = 0;
	exo_cache_reap(c);
	for (;;) {
		struct exo_slot *s;
		int r;

		if (c->broken)
			return no_queue(c);
		keep_reserve(c);
		exo_cache_pump(c);
		*out = take_now(c);
		if (*out)
			return 0;
		if (!wait)
			return -EAGAIN;
		s = c->writing || c->flushing ? NULL : victim(c);
		if (s) {
			dismiss(c, s);
			continue;
		}
		if (!exo_cache_busy(c)) {
			if (tried || !try_again(c))
				return no_room(c);
			tried = true;
			continue;
		}
		r = exo_cache_wait(c);
		if (r)
			return r;
	}
}
