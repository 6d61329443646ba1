// SPDX-License-Identifier: LGPL-2.1-only
/*
 * Lanes of a pager: reads and writes of pages, and what becomes of a slot at their end.
 */
#include <errno.h>
#include <sched.h>
#include <string.h>

#include "pager-private.h"

#define COMPLETIONS 32u

struct pager_lane *exo_lane_take(struct exo_pager *p)
{
	struct pager_lane *lane;

	for (uint32_t i = 0; i < p->lanes_nr; i++)
		if (!pthread_mutex_trylock(&p->lanes[i].lock))
			return &p->lanes[i];
	/* All are busy: threads spread by where their stacks are. */
	lane = &p->lanes[((uintptr_t)&lane >> 16) % p->lanes_nr];
	pthread_mutex_lock(&lane->lock);
	return lane;
}

void exo_lane_give(struct pager_lane *lane)
{
	pthread_mutex_unlock(&lane->lock);
}

/* ---- prepare, submit ---- */

static uint32_t transfer_bytes(const struct exo_pager *p)
{
	uint32_t max = exo_transfer_max(p->x) & ~(PAGER_ENTRY - 1), page = 1u << p->shift;

	return page < max ? page : max;
}

static uint32_t commands_of(const struct exo_pager *p)
{
	uint32_t step = transfer_bytes(p);

	return ((1u << p->shift) + step - 1) / step;
}

uint32_t exo_lane_room(const struct exo_pager *p, const struct pager_lane *lane)
{
	return exo_queue_free(lane->q) / commands_of(p);
}

static void prepare(struct exo_pager *p, struct pager_lane *lane, struct pager_slot *s,
		    uint8_t opcode, uint64_t block, uint64_t from, uint64_t to)
{
	uint32_t slot = exo_pager_number(p, s), step = transfer_bytes(p), bytes;
	uint32_t block_size = exo_block_size(p->x);

	s->lane = lane - p->lanes;
	s->error = 0;
	for (; from < to; from += bytes) {
		bytes = to - from < step ? to - from : step;
		exo_prep_blocks(lane->q, opcode, exo_frames_offset(p->f, slot) + from,
				block + from / block_size, bytes / block_size, slot);
		s->ios++;
	}
}

/* The page is there, or cannot be read. */
static void read_ended(struct exo_pager *p, struct pager_slot *s)
{
	uint32_t slot = exo_pager_number(p, s);

	if (s->error) {
		if (p->lanes[s->lane].wanted == s->page)
			p->lanes[s->lane].error = s->error;
		exo_pager_empty(p, s);
		exo_pager_list(p, LIST_FREE, slot);
		s->state = SLOT_FREE;
		return;
	}
	s->state = SLOT_ACTIVE;
	p->o.policy->enter(p->policy, slot, s->page, s->ahead ? EXO_ENTER_AHEAD : EXO_ENTER_USED);
	if (!s->marker)
		exo_pager_show(p, s);
	s->ahead = false;
}

static uint64_t block_in_place(const struct exo_pager *p, uint64_t page)
{
	return p->o.first + page * p->blocks;
}

static bool is_hole(const struct exo_pager *p, uint64_t page)
{
	if (p->o.store)
		return exo_store_find(p->o.store, page) == EXO_STORE_HOLE;
	return p->backed && !(p->backed[page / 64] & 1ull << page % 64);
}

/* What was never written is zeroes, and is in memory at once. */
void exo_lane_read(struct exo_pager *p, struct pager_lane *lane, struct pager_slot *s)
{
	uint64_t block = p->o.store ? exo_store_find(p->o.store, s->page)
				    : block_in_place(p, s->page);

	p->stats.reads++;
	p->stats.ahead += s->ahead;
	s->lane = lane - p->lanes;
	s->error = 0;
	if (!is_hole(p, s->page)) {
		prepare(p, lane, s, EXO_NVME_READ, block, 0, 1u << p->shift);
		return;
	}
	memset(exo_frames_address(p->f, exo_pager_number(p, s)), 0, 1u << p->shift);
	read_ended(p, s);
}

void exo_lane_write(struct exo_pager *p, struct pager_lane *lane, struct pager_slot *s,
		    uint64_t from, uint64_t to)
{
	p->stats.writes++;
	s->writing = true;
	s->dirty = false;
	if (p->backed)
		p->backed[s->page / 64] |= 1ull << s->page % 64;
	if (p->o.store)
		prepare(p, lane, s, EXO_NVME_WRITE, exo_store_place(p->o.store, s->page), 0,
			1u << p->shift);
	else
		prepare(p, lane, s, EXO_NVME_WRITE, block_in_place(p, s->page), from, to);
}

/* ---- the end of commands; the caller holds both locks ---- */

static void write_ended(struct exo_pager *p, struct pager_slot *s)
{
	uint32_t slot = exo_pager_number(p, s);
	bool washed = s->state == SLOT_INACTIVE;

	s->writing = false;
	p->washing -= washed;
	if (s->error) {
		if (s->error != -EAGAIN && !p->error)
			p->error = s->error;
		p->failed++;
		s->dirty = true;
	} else if (p->o.store) {
		exo_store_wrote(p->o.store, s->page);
	}
	if (!washed)
		return;
	/* What cannot be written is not made room of: others are tried before it. */
	if (s->error) {
		s->state = SLOT_ACTIVE;
		s->marker = true;
		p->o.policy->enter(p->policy, slot, s->page, EXO_ENTER_USED);
		return;
	}
	s->state = SLOT_CLEAN;
	exo_pager_list(p, LIST_CLEAN, slot);
}

static void command_ended(struct exo_pager *p, struct pager_slot *s, int error)
{
	s->error = s->error ? s->error : error;
	if (--s->ios)
		return;
	if (s->state == SLOT_GONE)
		s->writing = false;
	else if (s->writing)
		write_ended(p, s);
	else if (s->state == SLOT_READING)
		read_ended(p, s);
}

/*
 * The oldest that is prepared was refused: its frames were taken, or the extent or the queue was. All that
 * is prepared is taken back, and has ended by that; those behind it are to be tried again.
 */
static void refuse_prepared(struct exo_pager *p, struct pager_lane *lane, int error)
{
	bool alone = exo_queue_alive(lane->q);
	uint64_t first, slot;

	if (!exo_prepared(lane->q, 0, &first))
		return;
	if (alone && exo_pager_check(p, first))
		error = -EAGAIN;
	for (unsigned int n = exo_queue_prepared(lane->q); n; n--) {
		exo_prepared(lane->q, n - 1, &slot);
		exo_withdraw(lane->q, n - 1);
		command_ended(p, &p->slots[slot], slot == first || !alone ? error : -EAGAIN);
	}
}

void exo_lane_submit(struct exo_pager *p, struct pager_lane *lane)
{
	while (exo_queue_prepared(lane->q)) {
		int r = exo_submit(lane->q);

		if (r <= 0 && r != -EAGAIN)
			refuse_prepared(p, lane, r ? r : -EIO);
		else if (r == -EAGAIN)
			break; /* with the next completions */
	}
	exo_pager_apply(p);
}

static void take_completions(struct exo_pager *p, const struct exo_completion *done, int n)
{
	pthread_mutex_lock(&p->lock);
	for (int i = 0; i < n; i++)
		command_ended(p, &p->slots[done[i].user_data],
			      exo_nvme_status_errno(exo_nvme_status(&done[i].raw)));
	exo_pager_apply(p);
	pthread_mutex_unlock(&p->lock);
}

/* The queue is dead: nothing that is in flight will be told of. */
static void lane_died(struct exo_pager *p, struct pager_lane *lane, int error)
{
	pthread_mutex_lock(&p->lock);
	for (uint32_t i = 0; i < p->slots_nr; i++) {
		struct pager_slot *s = &p->slots[i];

		if (s->ios && &p->lanes[s->lane] == lane) {
			s->ios = 1;
			command_ended(p, s, error);
		}
	}
	exo_pager_apply(p);
	pthread_mutex_unlock(&p->lock);
}

int exo_lane_reap(struct exo_pager *p, struct pager_lane *lane)
{
	struct exo_completion done[COMPLETIONS];
	int n = exo_reap(lane->q, done, COMPLETIONS);

	if (n > 0)
		take_completions(p, done, n);
	return n;
}

int exo_lane_wait(struct exo_pager *p, struct pager_lane *lane)
{
	struct exo_completion done[COMPLETIONS];
	int n = exo_wait(lane->q, done, COMPLETIONS, -1);

	if (n > 0)
		take_completions(p, done, n);
	else if (n < 0)
		lane_died(p, lane, n);
	return n;
}

void exo_lanes_reap(struct exo_pager *p)
{
	for (uint32_t i = 0; i < p->lanes_nr; i++) {
		if (pthread_mutex_trylock(&p->lanes[i].lock))
			continue;
		exo_lane_reap(p, &p->lanes[i]);
		exo_lane_give(&p->lanes[i]);
	}
	sched_yield();
}

void exo_lanes_drain(struct exo_pager *p)
{
	for (uint32_t i = 0; i < p->lanes_nr; i++) {
		pthread_mutex_lock(&p->lanes[i].lock);
		while (exo_lane_wait(p, &p->lanes[i]) > 0)
			;
		exo_lane_give(&p->lanes[i]);
	}
}
