// SPDX-License-Identifier: LGPL-2.1-only
/*
 * What was written to a pager's window becomes durable.
 *
 * A sweep asks all pages in memory for their dirty bits and writes what has some. A page is written
 * once at a time, so one that is being written already, and was written to since, is for the next sweep.
 */
#include "pager-private.h"

#define SWEPT_ENTRIES 512u /* asked for in one call */

static bool is_of_interest(const struct exo_pager *p, const struct pager_slot *s)
{
	return s && (s->state == SLOT_ACTIVE || s->state == SLOT_INACTIVE) &&
	       s->swept != p->sweep && s->open && !s->writing;
}

/* Pages from that of @s on that lie side by side and are to be asked. */
static uint32_t run_of(struct exo_pager *p, const struct pager_slot *s)
{
	uint32_t n = 1;

	while ((n + 1) * p->entries <= SWEPT_ENTRIES && s->page + n < p->pages &&
	       is_of_interest(p, exo_pager_slot(p, s->page + n)))
		n++;
	return n;
}

static bool any_bit(const uint64_t *bits, uint32_t first, uint32_t count)
{
	for (uint32_t i = first; i < first + count; i++)
		if (bits[i / 64] & 1ull << i % 64)
			return true;
	return false;
}

/* The dirty bits of a run of pages become theirs. */
static void ask(struct exo_pager *p, struct pager_slot *first)
{
	uint64_t bits[SWEPT_ENTRIES / 64] = { 0 };
	uint32_t n = run_of(p, first);
	int r = exo_window_dirty(p->w, first->page * p->entries, n * p->entries, bits);

	for (uint32_t i = 0; i < n; i++) {
		struct pager_slot *s = exo_pager_slot(p, first->page + i);

		s->swept = p->sweep;
		/* Not to know is to write. */
		s->dirty |= r < 0 || any_bit(bits, i * p->entries, p->entries);
	}
}

static void write_dirty(struct exo_pager *p, struct pager_lane *lane, struct pager_slot *s)
{
	if (s->state == SLOT_INACTIVE)
		exo_room_wash(p, lane, exo_pager_number(p, s));
	else
		exo_lane_write(p, lane, s, 0, 1ull << p->shift);
}

/* From slot @i on, as far as the lane has room. Returns where to go on. */
static uint32_t sweep_some(struct exo_pager *p, struct pager_lane *lane, uint32_t i, bool *again)
{
	for (; i < p->slots_nr && exo_lane_room(p, lane); i++) {
		struct pager_slot *s = &p->slots[i];

		if (s->state != SLOT_ACTIVE && s->state != SLOT_INACTIVE)
			continue;
		if (is_of_interest(p, s))
			ask(p, s);
		if (s->writing && s->state == SLOT_ACTIVE)
			*again = true;
		else if (!s->writing && s->dirty)
			write_dirty(p, lane, s);
	}
	exo_lane_submit(p, lane);
	return i;
}

static void sweep(struct exo_pager *p, bool *again)
{
	struct pager_lane *lane = exo_lane_take(p);
	uint32_t i = 0, end;

	pthread_mutex_lock(&p->lock);
	p->sweep++;
	end = p->slots_nr;
	pthread_mutex_unlock(&p->lock);
	while (i < end) {
		pthread_mutex_lock(&p->lock);
		i = sweep_some(p, lane, i, again);
		pthread_mutex_unlock(&p->lock);
		if (i < end && !exo_lane_room(p, lane))
			exo_lane_wait(p, lane);
	}
	exo_lane_give(lane);
}

/* The lane's queue is idle, and stays so: its lock is held. */
static int make_durable(struct exo_pager *p, struct pager_lane *lane)
{
	int r;

	if (!p->o.store)
		return exo_flush(lane->q);
	pthread_mutex_lock(&p->lock);
	r = exo_store_commit(p->o.store, lane->q);
	pthread_mutex_unlock(&p->lock);
	return r;
}

static int take_error(struct exo_pager *p)
{
	int error;

	pthread_mutex_lock(&p->lock);
	error = p->error;
	p->error = 0;
	pthread_mutex_unlock(&p->lock);
	return error;
}

int exo_pager_flush(struct exo_pager *p)
{
	struct pager_lane *lane;
	bool again;
	int r;

	if (!p->writable)
		return 0;
	do {
		again = false;
		exo_lanes_drain(p);
		sweep(p, &again);
	} while (again);
	exo_lanes_drain(p);
	r = take_error(p);
	if (r)
		return exo_fail(p->x, r, NULL, "pages of a pager could not be written");
	lane = exo_lane_take(p);
	while (exo_lane_wait(p, lane) > 0)
		;
	r = make_durable(p, lane);
	exo_lane_give(lane);
	return r;
}
