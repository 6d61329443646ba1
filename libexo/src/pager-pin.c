// SPDX-License-Identifier: LGPL-2.1-only
/*
 * Pages of a pager that stay, and pages that will be needed.
 */
#include <errno.h>

#include "pager-private.h"

/* The pages of @bytes from @at on. Returns 0 or -EINVAL. */
static int pages_of(struct exo_pager *p, const void *at, size_t bytes, uint64_t *first,
		    uint64_t *end)
{
	uint64_t offset = (uintptr_t)at - (uintptr_t)exo_pager_address(p);

	if (offset >= p->o.bytes || bytes > p->o.bytes - offset)
		return exo_fail(p->x, -EINVAL, NULL, "%zu bytes at %p do not lie in the pager",
				bytes, at);
	*first = offset >> p->shift;
	*end = bytes ? ((offset + bytes - 1) >> p->shift) + 1 : *first;
	return 0;
}

/* It is in memory, unless it went again: then false. */
static bool pin_if_there(struct exo_pager *p, uint64_t page)
{
	struct pager_slot *s;
	bool there;

	pthread_mutex_lock(&p->lock);
	s = exo_pager_slot(p, page);
	there = s && s->state == SLOT_ACTIVE && !s->marker && s->open == p->writable;
	/* A policy has no use for what cannot go. */
	if (there && !s->pins++)
		p->o.policy->leave(p->policy, exo_pager_number(p, s));
	pthread_mutex_unlock(&p->lock);
	return there;
}

/* Whose it is nobody says: those that ended come first, so that one that holds never goes too early. */
static void unpin_page(struct exo_pager *p, uint64_t page)
{
	struct pager_slot *s = exo_pager_slot(p, page);

	if (p->ended_nr && p->ended[page]) {
		p->ended[page]--;
		p->ended_nr--;
	} else if (s && s->pins && !--s->pins) {
		p->o.policy->enter(p->policy, exo_pager_number(p, s), page, EXO_ENTER_USED);
	}
}

static void unpin(struct exo_pager *p, uint64_t first, uint64_t end)
{
	pthread_mutex_lock(&p->lock);
	for (; first < end; first++)
		unpin_page(p, first);
	pthread_mutex_unlock(&p->lock);
}

/* Pages that are not pinned, with those from @first to @end being so. */
static bool leaves_enough(struct exo_pager *p, uint64_t count)
{
	uint64_t pinned = 0;

	pthread_mutex_lock(&p->lock);
	for (uint32_t i = 0; i < p->slots_nr; i++)
		pinned += p->slots[i].state != SLOT_GONE && p->slots[i].pins;
	pthread_mutex_unlock(&p->lock);
	return pinned + count + PAGER_PAGES_MIN / 2 <= p->held;
}

int exo_pager_pin(struct exo_pager *p, const void *at, size_t bytes)
{
	uint64_t first, page, end;
	int r = pages_of(p, at, bytes, &first, &end);

	if (r)
		return r;
	if (!leaves_enough(p, end - first))
		return exo_fail(p->x, -ENOBUFS, NULL,
				"%llu more pages of %u cannot be pinned: others need some",
				(unsigned long long)(end - first), p->held);
	for (page = first; page < end; page++) {
		do
			r = exo_pager_bring(p, page, NEED_PIN);
		while (!r && !pin_if_there(p, page));
		if (r)
			break;
	}
	if (!r)
		return 0;
	unpin(p, first, page);
	return exo_fail(p->x, r, NULL, "a page to be pinned could not be read");
}

void exo_pager_unpin(struct exo_pager *p, const void *at, size_t bytes)
{
	uint64_t first = 0, end = 0;

	if (!pages_of(p, at, bytes, &first, &end))
		unpin(p, first, end);
}

int exo_pager_prefetch(struct exo_pager *p, const void *at, size_t bytes)
{
	struct pager_lane *lane;
	uint64_t first, end;
	int r = pages_of(p, at, bytes, &first, &end);

	if (r || first == end)
		return r;
	lane = exo_lane_try(p);
	if (!lane)
		return 0;
	exo_lane_reap(p, lane);
	pthread_mutex_lock(&p->lock);
	r = exo_pager_read_ahead(p, lane, first, end - first, false);
	exo_lane_submit(p, lane);
	exo_room_tend(p, lane);
	pthread_mutex_unlock(&p->lock);
	exo_lane_give(p, lane);
	return r;
}
