// SPDX-License-Identifier: LGPL-2.1-only
/*
 * What was written to a pager's window becomes durable.
 *
 * A sweep asks all pages in memory for their dirty bits and writes what has some.
 */
#include "pager-private.h"
#include "store.h"

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
	else if (!exo_pager_is_gone(p, exo_pager_number(p, s)))
		exo_lane_write(p, lane, s, 0, 1ull << p->shift);
}

/* From slot @i on, as far as the lane has room. Returns where to go on. */
static uint32_t sweep_some(struct exo_pager *p, struct pager_lane *lane, uint32_t i)
{
	for (; i < p->slots_nr && exo_lane_room(p, lane); i++) {
		struct pager_slot *s = &p->slots[i];

		if (s->state != SLOT_ACTIVE && s->state != SLOT_INACTIVE)
			continue;
		if (is_of_interest(p, s))
			ask(p, s);
		if (!s->writing && s->dirty)
			write_dirty(p, lane, s);
	}
	exo_lane_submit(p, lane);
	return i;
}

/*
 * What is being written when its turn comes has been asked for its dirty bits since the flush began, as
 * all lanes were idle then: that write has what the flush is to make durable.
 */
static int sweep(struct exo_pager *p)
{
	struct pager_lane *lane = exo_lane_take(p);
	uint32_t i = 0;
	int r = 1;

	if (!lane)
		return p->died;
	pthread_mutex_lock(&p->lock);
	p->sweep++;
	pthread_mutex_unlock(&p->lock);
	while (i < p->slots_nr && r > 0) {
		pthread_mutex_lock(&p->lock);
		i = sweep_some(p, lane, i);
		pthread_mutex_unlock(&p->lock);
		if (i < p->slots_nr)
			r = exo_lane_wait(p, lane);
	}
	exo_lane_give(p, lane);
	return r < 0 ? r : 0;
}

/* Frames that were taken have no dirty bits, and nobody need have noticed. */
static void look_for_losses(struct exo_pager *p)
{
	uint32_t n = exo_frames_per_slab(p->f);

	pthread_mutex_lock(&p->lock);
	for (uint32_t i = 0; i < p->slots_nr; i += n)
		exo_pager_check(p, i);
	pthread_mutex_unlock(&p->lock);
}

static int take_error(struct exo_pager *p)
{
	int error;

	pthread_mutex_lock(&p->lock);
	error = p->error;
	p->error = 0;
	pthread_mutex_unlock(&p->lock);
	if (error)
		exo_fail(p->x, error, NULL, "pages of a pager could not be written, or are lost");
	return error;
}

static struct pager_lane *any_lane(struct exo_pager *p)
{
	for (uint32_t i = 0; i < p->lanes_nr; i++)
		if (p->lanes[i].q)
			return &p->lanes[i];
	return NULL;
}

/*
 * Nothing is in flight meanwhile: a write that the commit does not count would go to a place that then
 * does.
 */
static int make_durable(struct exo_pager *p)
{
	struct pager_lane *lane;
	int r;

	exo_lanes_stop(p);
	lane = any_lane(p);
	r = take_error(p);
	if (!r && !lane)
		r = p->died;
	else if (!r)
		r = p->o.store ? exo_store_commit(p->o.store, lane->q) : exo_flush(lane->q);
	/* It may have given up waiting. */
	if (r && lane && exo_queue_in_flight(lane->q))
		exo_lane_end(p, lane, r);
	exo_lanes_go(p);
	return r;
}

/* A commit that failed at its last step has to be repeated before there is a place for anything. */
static bool is_in_doubt(const struct exo_pager *p)
{
	return p->o.store && exo_store_place(p->o.store, 0) == EXO_STORE_NO_PLACE;
}

int exo_pager_flush(struct exo_pager *p)
{
	int r = 0;

	if (!p->writable)
		return 0;
	if (is_in_doubt(p))
		r = make_durable(p);
	if (r)
		return r;
	exo_lanes_drain(p);
	r = sweep(p);
	look_for_losses(p);
	return r ? r : make_durable(p);
}
