// SPDX-License-Identifier: LGPL-2.1-only
/*
 * A pager with less memory: slabs that it gives up.
 */
#include "pager-private.h"

#define TRIES 1000u /* threads may touch the pages of a slab faster than it can be emptied */

static bool is_pinned(const struct exo_pager *p, uint32_t slab)
{
	uint32_t n = exo_frames_per_slab(p->f);

	for (uint32_t i = slab * n; i < (slab + 1) * n; i++)
		if (p->slots[i].pins)
			return true;
	return false;
}

/* How much there is to do for a slab; ~0: it has to stay. */
static uint32_t effort(const struct exo_pager *p, uint32_t slab)
{
	uint32_t n = exo_frames_per_slab(p->f), effort = 0, gone = 0;

	for (uint32_t i = slab * n; i < (slab + 1) * n; i++) {
		gone += p->slots[i].state == SLOT_GONE;
		effort += p->slots[i].state != SLOT_FREE && p->slots[i].state != SLOT_CLEAN;
	}
	return gone || is_pinned(p, slab) ? ~0u : effort;
}

static uint32_t easiest(const struct exo_pager *p)
{
	uint32_t slabs = p->slots_nr / exo_frames_per_slab(p->f), best = ~0u, least = ~0u;

	for (uint32_t i = 0; i < slabs; i++) {
		uint32_t e = effort(p, i);

		if (e < least) {
			least = e;
			best = i;
		}
	}
	return best;
}

/* What is free or clean of it is for nobody any more. */
static bool take_out(struct exo_pager *p, uint32_t slot)
{
	struct pager_slot *s = &p->slots[slot];

	if (s->state == SLOT_GONE)
		return true;
	if (s->state != SLOT_FREE && s->state != SLOT_CLEAN)
		return false;
	exo_pager_unlist(p, s->state == SLOT_FREE ? LIST_FREE : LIST_CLEAN, slot);
	exo_pager_empty(p, s);
	s->state = SLOT_GONE;
	return true;
}

static void put_back(struct exo_pager *p, uint32_t slab)
{
	uint32_t n = exo_frames_per_slab(p->f);

	for (uint32_t i = slab * n; i < (slab + 1) * n; i++) {
		if (p->slots[i].state != SLOT_GONE)
			continue;
		p->slots[i].state = SLOT_FREE;
		exo_pager_list(p, LIST_FREE, i);
	}
}

static void deactivate(struct exo_pager *p, uint32_t slot)
{
	if (p->slots[slot].state != SLOT_ACTIVE || p->slots[slot].writing || p->slots[slot].pins)
		return;
	p->o.policy->leave(p->policy, slot);
	exo_room_deactivate(p, slot);
}

/* A step towards a slab without a page; true: it has none. */
static bool empty_some(struct exo_pager *p, struct pager_lane *lane, uint32_t slab)
{
	uint32_t n = exo_frames_per_slab(p->f), left = 0;

	for (uint32_t i = slab * n; i < (slab + 1) * n; i++)
		deactivate(p, i);
	exo_pager_apply(p);
	for (uint32_t i = slab * n; i < (slab + 1) * n; i++) {
		struct pager_slot *s = &p->slots[i];

		if (s->state == SLOT_INACTIVE && !s->writing && exo_lane_room(p, lane))
			exo_room_wash(p, lane, i);
		left += !take_out(p, i);
	}
	exo_lane_submit(p, lane);
	return !left;
}

/* It was taken meanwhile, all of it. */
static bool is_lost(const struct exo_pager *p, uint32_t slab)
{
	uint64_t first;

	return !exo_frames_capability(p->f, slab * exo_frames_per_slab(p->f), &first);
}

/* With the lane's lock, not the other. Returns how many frames went. */
static uint64_t give_slab(struct exo_pager *p, struct pager_lane *lane)
{
	uint64_t failed, frames = 0;
	uint32_t slab, tries = 0;
	bool empty = false;

	pthread_mutex_lock(&p->lock);
	failed = p->failed;
	slab = easiest(p);
	while (slab != ~0u && tries++ < TRIES && p->failed == failed && lane->q) {
		empty = empty_some(p, lane, slab);
		/* Somebody may have pinned a page of it since it was chosen. */
		if (empty || is_pinned(p, slab))
			break;
		exo_lanes_wait(p, lane);
	}
	if (empty)
		frames = exo_pager_remove(p, slab);
	else if (slab != ~0u && !is_lost(p, slab))
		put_back(p, slab);
	pthread_mutex_unlock(&p->lock);
	return frames;
}

uint64_t exo_pager_give_up(struct exo_pager *p, uint64_t frames)
{
	struct pager_lane *lane = exo_lane_take(p);
	uint64_t gone = 0, more = 1;

	if (!lane)
		return 0;
	while (gone < frames && more && p->held >= PAGER_PAGES_MIN + exo_frames_per_slab(p->f)) {
		more = give_slab(p, lane);
		gone += more;
	}
	exo_lane_give(p, lane);
	return gone;
}
