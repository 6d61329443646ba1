// SPDX-License-Identifier: LGPL-2.1-only
/*
 * A pager with less memory: slabs that it gives up.
 */
#include "pager-private.h"

#define TRIES 1000u /* threads may touch the pages of a slab faster than it can be emptied */

/* How much there is to do for a slab; ~0: it has to stay. */
static uint32_t effort(const struct exo_pager *p, uint32_t slab)
{
	uint32_t n = exo_frames_per_slab(p->f), effort = 0, gone = 0;

	for (uint32_t i = slab * n; i < (slab + 1) * n; i++) {
		if (p->slots[i].pins)
			return ~0u;
		gone += p->slots[i].state == SLOT_GONE;
		effort += p->slots[i].state != SLOT_FREE && p->slots[i].state != SLOT_CLEAN;
	}
	return gone ? ~0u : effort;
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

/* A step towards a slab without a page; true: it has none. */
static bool empty_some(struct exo_pager *p, struct pager_lane *lane, uint32_t slab)
{
	uint32_t n = exo_frames_per_slab(p->f);
	bool empty = true;

	for (uint32_t i = slab * n; i < (slab + 1) * n; i++) {
		if (p->slots[i].state == SLOT_ACTIVE && !p->slots[i].writing) {
			p->o.policy->leave(p->policy, i);
			if (!exo_room_deactivate(p, i))
				p->o.policy->enter(p->policy, i, p->slots[i].page,
						   EXO_ENTER_RESCUED);
		}
	}
	exo_pager_apply(p);
	for (uint32_t i = slab * n; i < (slab + 1) * n; i++) {
		struct pager_slot *s = &p->slots[i];

		if (s->state == SLOT_INACTIVE && !s->writing && exo_lane_room(p, lane))
			exo_room_wash(p, lane, i);
		empty &= (s->state == SLOT_FREE || s->state == SLOT_CLEAN) && !s->ios;
	}
	exo_lane_submit(p, lane);
	return empty;
}

/* Its free and clean slots are in no list. */
static void take_out(struct exo_pager *p, uint32_t slab)
{
	uint32_t n = exo_frames_per_slab(p->f);

	for (uint32_t i = slab * n; i < (slab + 1) * n; i++) {
		struct pager_slot *s = &p->slots[i];

		exo_pager_unlist(p, s->state == SLOT_FREE ? LIST_FREE : LIST_CLEAN, i);
		exo_pager_empty(p, s);
	}
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
	while (slab != ~0u && !empty && tries++ < TRIES && p->failed == failed) {
		empty = empty_some(p, lane, slab);
		if (empty)
			break;
		pthread_mutex_unlock(&p->lock);
		if (!exo_lane_wait(p, lane))
			exo_lanes_reap(p);
		pthread_mutex_lock(&p->lock);
	}
	if (empty && effort(p, slab) != ~0u) {
		take_out(p, slab);
		frames = exo_frames_per_slab(p->f) * (uint64_t)p->entries;
		exo_pager_remove(p, slab);
	}
	pthread_mutex_unlock(&p->lock);
	return frames;
}

uint64_t exo_pager_give_up(struct exo_pager *p, uint64_t frames)
{
	struct pager_lane *lane = exo_lane_take(p);
	uint64_t gone = 0, more = 1;

	while (gone < frames && more && p->held >= PAGER_PAGES_MIN + exo_frames_per_slab(p->f)) {
		more = give_slab(p, lane);
		gone += more;
	}
	exo_lane_give(lane);
	return gone;
}
