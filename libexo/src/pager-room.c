// SPDX-License-Identifier: LGPL-2.1-only
/*
 * Which slots of a pager are for other pages.
 *
 * The policy says which page goes next. Its slot becomes INACTIVE: its access is taken, and it waits
 * in a list, oldest first. From there it is washed: asked for its dirty bits, which is only
 * exact without access, and written if it has some; then it is CLEAN. So there is always a part of all
 * slots, a reserve, that can be used for another page at once, and a touch in time takes
 * a page back. Much is done at a time, since a call costs more than what it does.
 */
#include <errno.h>

#include "pager-private.h"

/* Slots without access, or empty: what is kept of them. */
static uint32_t reserve(const struct exo_pager *p)
{
	uint32_t eighth = p->held / 8;

	return eighth < 2 * PAGER_BATCH ? eighth : 2 * PAGER_BATCH;
}

static uint32_t ready(const struct exo_pager *p)
{
	return p->listed[LIST_FREE] + p->listed[LIST_CLEAN];
}

/* ---- active to inactive ---- */

bool exo_room_deactivate(struct exo_pager *p, uint32_t slot)
{
	struct pager_slot *s = &p->slots[slot];

	if (s->state != SLOT_ACTIVE || s->pins || s->writing)
		return false;
	s->state = SLOT_INACTIVE;
	s->marker = false;
	exo_pager_list(p, LIST_INACTIVE, slot);
	exo_pager_hide(p, s);
	return true;
}

/* Victims that cannot go enter again, when no more are asked for: else they would be the next. */
static uint32_t deactivate(struct exo_pager *p, uint32_t wanted)
{
	uint32_t stay[PAGER_BATCH], stay_nr = 0, n = 0;

	while (n < wanted && stay_nr < PAGER_BATCH) {
		uint32_t slot = p->o.policy->victim(p->policy);

		if (slot >= p->slots_nr)
			break;
		if (exo_room_deactivate(p, slot))
			n++;
		else
			stay[stay_nr++] = slot;
	}
	while (stay_nr) {
		uint32_t slot = stay[--stay_nr];

		if (p->slots[slot].state == SLOT_ACTIVE)
			p->o.policy->enter(p->policy, slot, p->slots[slot].page, EXO_ENTER_RESCUED);
	}
	exo_pager_apply(p);
	return n;
}

/* ---- inactive to clean ---- */

void exo_room_learn(struct exo_pager *p, bool written)
{
	if (written && p->expectation < PAGER_EXPECTATION)
		p->expectation++;
	else if (!written && p->expectation > -PAGER_EXPECTATION)
		p->expectation--;
}

/* A call costs more than what it saves for a page of 4 KiB that is known to be dirty. */
static bool is_known(const struct exo_pager *p, const struct pager_slot *s)
{
	return !s->open || (s->dirty && p->entries == 1);
}

void exo_room_dirty(struct exo_pager *p, struct pager_slot *s, uint64_t *from, uint64_t *to)
{
	uint64_t bits[EXO_PAGE_MAX / PAGER_ENTRY / 64] = { 0 };
	int n = 0;

	*from = *to = 0;
	if (!is_known(p, s))
		n = exo_window_dirty(p->w, s->page * p->entries, p->entries, bits);
	exo_room_learn(p, n || s->dirty);
	s->open = false;
	/* Not to know is to write. */
	if (s->dirty || n < 0) {
		*to = 1ull << p->shift;
		return;
	}
	for (uint32_t i = 0; n > 0 && i < p->entries; i++) {
		if (!(bits[i / 64] & 1ull << i % 64))
			continue;
		if (!*to)
			*from = (uint64_t)i * PAGER_ENTRY;
		*to = (i + 1ull) * PAGER_ENTRY;
	}
}

void exo_room_wash(struct exo_pager *p, struct pager_lane *lane, uint32_t slot)
{
	struct pager_slot *s = &p->slots[slot];
	uint64_t from, to;

	if (exo_pager_is_gone(p, slot))
		return;
	exo_pager_unlist(p, LIST_INACTIVE, slot);
	exo_room_dirty(p, s, &from, &to);
	if (from == to) {
		s->state = SLOT_CLEAN;
		exo_pager_list(p, LIST_CLEAN, slot);
		return;
	}
	p->washing++;
	exo_lane_write(p, lane, s, from, to);
}

/* A batch of them, as far as the lane has room, but for a read. Returns how many there were. */
static uint32_t wash_some(struct exo_pager *p, struct pager_lane *lane)
{
	uint32_t room = exo_lane_room(p, lane), n = 0, slot;

	while (n < PAGER_BATCH && n + 1 < room) {
		slot = exo_pager_first(p, LIST_INACTIVE);
		if (slot == EXO_SLOT_NONE)
			break;
		exo_room_wash(p, lane, slot);
		n++;
	}
	exo_lane_submit(p, lane);
	return n;
}

/* ---- room ---- */

uint32_t exo_room_now(struct exo_pager *p)
{
	uint32_t slot = exo_pager_first(p, LIST_FREE);

	if (slot != EXO_SLOT_NONE) {
		exo_pager_unlist(p, LIST_FREE, slot);
		return slot;
	}
	slot = exo_pager_first(p, LIST_CLEAN);
	if (slot == EXO_SLOT_NONE)
		return EXO_SLOT_NONE;
	exo_pager_unlist(p, LIST_CLEAN, slot);
	exo_pager_empty(p, &p->slots[slot]);
	p->stats.evictions++;
	return slot;
}

void exo_room_tend(struct exo_pager *p, struct pager_lane *lane)
{
	uint32_t want = reserve(p);

	if (ready(p) + p->washing >= want)
		return;
	want += PAGER_BATCH;
	while (ready(p) + p->washing < want) {
		/* Those that wait here longest are asked for least. */
		if (p->listed[LIST_INACTIVE] < p->held / 8)
			deactivate(p, PAGER_BATCH);
		if (!wash_some(p, lane))
			break;
	}
}

/* The policy has nothing to offer, and nobody is busy with anything that may be of use: any will do. */
static bool deactivate_any(struct exo_pager *p)
{
	for (uint32_t i = 0; i < p->slots_nr; i++) {
		if (p->slots[i].state != SLOT_ACTIVE || p->slots[i].pins || p->slots[i].writing)
			continue;
		p->o.policy->leave(p->policy, i);
		if (!exo_room_deactivate(p, i))
			continue;
		exo_pager_apply(p);
		return true;
	}
	return false;
}

/* Nothing will come of waiting: all that there is stays. */
static bool is_hopeless(const struct exo_pager *p)
{
	for (uint32_t i = 0; i < p->slots_nr; i++) {
		const struct pager_slot *s = &p->slots[i];

		if (s->ios || (s->state == SLOT_ACTIVE && !s->pins) ||
		    (s->state != SLOT_GONE && s->state != SLOT_ACTIVE))
			return false;
	}
	return true;
}

int exo_room_wait(struct exo_pager *p, struct pager_lane *lane, uint32_t *slot)
{
	uint64_t failed = p->failed;

	for (;;) {
		*slot = exo_room_now(p);
		if (*slot != EXO_SLOT_NONE)
			return 0;
		/* Each was tried, and cannot be written. */
		if (p->failed - failed > p->held)
			return p->error ? p->error : -EIO;
		if (!p->listed[LIST_INACTIVE] && !deactivate(p, PAGER_BATCH) && !p->washing)
			deactivate_any(p);
		wash_some(p, lane);
		if (ready(p))
			continue;
		if (is_hopeless(p))
			return -ENOBUFS;
		exo_lanes_wait(p, lane);
		if (!lane->q)
			return p->died;
	}
}
