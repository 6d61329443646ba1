// SPDX-License-Identifier: LGPL-2.1-only
/*
 * Lanes of a pager: reads and writes of pages, and what becomes of a slot at their end.
 */
#include <errno.h>
#include <unistd.h>

#include "pager-private.h"

#define COMPLETIONS 32u

static bool lives(struct pager_lane *lane)
{
	return __atomic_load_n(&lane->q, __ATOMIC_RELAXED);
}

struct pager_lane *exo_lane_try(struct exo_pager *p)
{
	for (uint32_t i = 0; i < p->lanes_nr; i++) {
		struct pager_lane *lane = &p->lanes[i];

		if (!lives(lane) || pthread_mutex_trylock(&lane->lock))
			continue;
		if (lane->q)
			return lane;
		pthread_mutex_unlock(&lane->lock);
	}
	return NULL;
}

/* One of those that live. Threads spread by where their stacks are. */
static struct pager_lane *busy_lane(struct exo_pager *p)
{
	uint32_t first = (uintptr_t)__builtin_frame_address(0) >> 16;

	for (uint32_t i = 0; i < p->lanes_nr; i++)
		if (lives(&p->lanes[(first + i) % p->lanes_nr]))
			return &p->lanes[(first + i) % p->lanes_nr];
	return NULL;
}

struct pager_lane *exo_lane_take(struct exo_pager *p)
{
	struct pager_lane *lane;

	for (;;) {
		lane = exo_lane_try(p);
		if (lane)
			return lane;
		lane = busy_lane(p);
		if (!lane)
			return NULL;
		pthread_mutex_lock(&lane->lock);
		if (lane->q)
			return lane;
		pthread_mutex_unlock(&lane->lock);
	}
}

void exo_lane_give(struct exo_pager *p, struct pager_lane *lane)
{
	pthread_mutex_unlock(&lane->lock);
	exo_eventcount_notify(&p->progress);
}

/* ---- prepare, submit ---- */

static uint32_t transfer_bytes(const struct exo_pager *p)
{
	uint32_t max = exo_transfer_max(p->x) & ~(PAGER_ENTRY - 1), page = 1u << p->shift;

	return page < max ? page : max;
}

uint32_t exo_lane_commands(const struct exo_pager *p)
{
	uint32_t step = transfer_bytes(p);

	return ((1u << p->shift) + step - 1) / step;
}

uint32_t exo_lane_room(const struct exo_pager *p, const struct pager_lane *lane)
{
	return lane->q ? exo_queue_free(lane->q) / exo_lane_commands(p) : 0;
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

/* By the kernel, which does not die of frames that were just taken. */
static int clear(struct exo_pager *p, uint32_t slot)
{
	size_t done = 0, bytes = (size_t)1 << p->shift;
	char *at = exo_frames_address(p->f, slot);

	while (done < bytes) {
		ssize_t n = read(p->zeroes, at + done, bytes - done);

		if (n <= 0 && errno != EINTR)
			return -EAGAIN;
		done += n > 0 ? n : 0;
	}
	return 0;
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
	s->error = clear(p, exo_pager_number(p, s));
	if (!s->error || !exo_pager_check(p, exo_pager_number(p, s)))
		read_ended(p, s);
}

void exo_lane_write(struct exo_pager *p, struct pager_lane *lane, struct pager_slot *s,
		    uint64_t from, uint64_t to)
{
	p->stats.writes++;
	s->writing = true;
	s->dirty = false;
	/* What lies around it on the disk is not the page's. */
	if (p->backed && is_hole(p, s->page)) {
		from = 0;
		to = 1ull << p->shift;
	}
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
	} else if (p->backed) {
		p->backed[s->page / 64] |= 1ull << s->page % 64;
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
	while (lane->q && exo_queue_prepared(lane->q)) {
		int r = exo_submit(lane->q);

		if (r <= 0 && r != -EAGAIN)
			refuse_prepared(p, lane, r ? r : -EIO);
		else if (r == -EAGAIN)
			break; /* with the next completions */
	}
	exo_pager_apply(p);
}

/* A command of a flush that was given up may end here, too: it is no slot's. */
static struct pager_slot *slot_of(struct exo_pager *p, const struct pager_lane *lane,
				  uint64_t user_data)
{
	struct pager_slot *s = user_data < p->slots_nr ? &p->slots[user_data] : NULL;

	return s && s->ios && &p->lanes[s->lane] == lane ? s : NULL;
}

static void take_completions(struct exo_pager *p, struct pager_lane *lane,
			     const struct exo_completion *done, int n)
{
	pthread_mutex_lock(&p->lock);
	for (int i = 0; i < n; i++) {
		struct pager_slot *s = slot_of(p, lane, done[i].user_data);

		if (s)
			command_ended(p, s, exo_nvme_status_errno(exo_nvme_status(&done[i].raw)));
	}
	exo_pager_apply(p);
	pthread_mutex_unlock(&p->lock);
	exo_eventcount_notify(&p->progress);
}

/* ---- the end of a lane ---- */

static void all_ended(struct exo_pager *p, const struct pager_lane *lane, int error)
{
	for (uint32_t i = 0; i < p->slots_nr; i++) {
		struct pager_slot *s = &p->slots[i];

		if (s->ios && &p->lanes[s->lane] == lane) {
			s->ios = 1;
			command_ended(p, s, error);
		}
	}
	exo_pager_apply(p);
}

/* When the queue is no more, the device reaches no slot for it. */
void exo_lane_end(struct exo_pager *p, struct pager_lane *lane, int error)
{
	struct exo_queue *q = lane->q;

	pthread_mutex_lock(&p->lock);
	__atomic_store_n(&lane->q, NULL, __ATOMIC_RELAXED);
	p->died = error;
	pthread_mutex_unlock(&p->lock);
	exo_queue_destroy(q);
	pthread_mutex_lock(&p->lock);
	all_ended(p, lane, error);
	pthread_mutex_unlock(&p->lock);
	exo_eventcount_notify(&p->progress);
}

int exo_lane_reap(struct exo_pager *p, struct pager_lane *lane)
{
	struct exo_completion done[COMPLETIONS];
	int n;

	if (!lane->q)
		return 0;
	n = exo_reap(lane->q, done, COMPLETIONS);
	if (n > 0)
		take_completions(p, lane, done, n);
	else if (!exo_queue_alive(lane->q))
		exo_lane_end(p, lane, -ESTALE);
	return n;
}

int exo_lane_wait(struct exo_pager *p, struct pager_lane *lane)
{
	struct exo_completion done[COMPLETIONS];
	int n;

	if (!lane->q)
		return -ESTALE;
	n = exo_wait(lane->q, done, COMPLETIONS, -1);
	if (n > 0)
		take_completions(p, lane, done, n);
	else if (n < 0)
		exo_lane_end(p, lane, n);
	return n;
}

/* ---- all lanes ---- */

static bool is_busy(const struct pager_lane *lane)
{
	return lane->q && exo_queue_in_flight(lane->q);
}

/* One whose commands nobody waits for, and its lock; NULL: there is none. */
static struct pager_lane *abandoned_lane(struct exo_pager *p)
{
	for (uint32_t i = 0; i < p->lanes_nr; i++) {
		struct pager_lane *lane = &p->lanes[i];

		if (pthread_mutex_trylock(&lane->lock))
			continue;
		if (is_busy(lane))
			return lane;
		pthread_mutex_unlock(&lane->lock);
	}
	return NULL;
}

static bool are_others_busy(const struct exo_pager *p, const struct pager_lane *own)
{
	for (uint32_t i = 0; i < p->slots_nr; i++)
		if (p->slots[i].ios && &p->lanes[p->slots[i].lane] != own)
			return true;
	return false;
}

/*
 * What is looked at after exo_eventcount_prepare(), and with the lock, is not missed: a lane that is
 * given back later, or a command that ends later, is an event. A lane is only tried, as who has it may wait
 * for @own.
 */
static void wait_for_others(struct exo_pager *p, const struct pager_lane *own)
{
	uint32_t key = exo_eventcount_prepare(&p->progress);
	struct pager_lane *lane = abandoned_lane(p);
	bool sleep = !lane && are_others_busy(p, own);

	pthread_mutex_unlock(&p->lock);
	if (sleep)
		exo_eventcount_wait(&p->progress, key);
	else
		exo_eventcount_cancel(&p->progress);
	if (!lane)
		return;
	exo_lane_wait(p, lane);
	exo_lane_give(p, lane);
}

void exo_lanes_wait(struct exo_pager *p, struct pager_lane *own)
{
	if (is_busy(own)) {
		pthread_mutex_unlock(&p->lock);
		exo_lane_wait(p, own);
	} else {
		wait_for_others(p, own);
	}
	pthread_mutex_lock(&p->lock);
}

static void drain(struct exo_pager *p, struct pager_lane *lane)
{
	while (exo_lane_wait(p, lane) > 0)
		;
}

void exo_lanes_drain(struct exo_pager *p)
{
	for (uint32_t i = 0; i < p->lanes_nr; i++) {
		pthread_mutex_lock(&p->lanes[i].lock);
		drain(p, &p->lanes[i]);
		exo_lane_give(p, &p->lanes[i]);
	}
}

/*
 * In ascending order, and each is idle before the next is waited for: its owner may wait for room, which
 * those that are locked already must not be holding back.
 */
void exo_lanes_stop(struct exo_pager *p)
{
	for (uint32_t i = 0; i < p->lanes_nr; i++) {
		pthread_mutex_lock(&p->lanes[i].lock);
		drain(p, &p->lanes[i]);
	}
}

void exo_lanes_go(struct exo_pager *p)
{
	for (uint32_t i = 0; i < p->lanes_nr; i++)
		exo_lane_give(p, &p->lanes[i]);
}
