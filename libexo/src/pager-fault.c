// SPDX-License-Identifier: LGPL-2.1-only
/*
 * A touch of a pager's window: what is to be done for it.
 *
 * It runs on the thread that touched, which may have been anywhere: nothing here allocates, and nothing
 * takes a lock that others hold while they touch windows.
 *
 * Reading ahead: who asks for pages in order is a stream. Of what is read ahead for it the first page
 * is a marker, in memory and without access, so that its touch begins the next such reading
 * while the thread is busy with what there is.
 */
#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "pager-private.h"

/* ---- streams ---- */

static uint32_t longer(const struct exo_pager *p, uint32_t length)
{
	length = length ? length * 2 : 2;
	return length < p->o.read_ahead ? length : p->o.read_ahead;
}

/* Pages to read beyond @page, which had to be read: it continues a stream, or begins one. */
static uint32_t note_read(struct exo_pager *p, uint64_t page)
{
	struct pager_stream *s;

	if (p->o.read_ahead == EXO_READ_AHEAD_NONE)
		return 0;
	for (s = p->streams; s < p->streams + PAGER_STREAMS; s++) {
		if (s->next != page)
			continue;
		s->length = longer(p, s->length);
		s->next = page + 1 + s->length;
		return s->length;
	}
	p->streams[p->stream_last++ % PAGER_STREAMS] = (struct pager_stream){ page + 1, 0 };
	return 0;
}

/* The stream whose marker @page was. */
static struct pager_stream *stream_of(struct exo_pager *p, uint64_t page)
{
	struct pager_stream *s;

	for (s = p->streams; s < p->streams + PAGER_STREAMS; s++)
		if (page < s->next && s->next - page <= s->length)
			return s;
	return NULL;
}

/* ---- reading; both locks are held ---- */

/* The page of @s is to be written to, now or perhaps. */
static void open_slot(struct exo_pager *p, struct pager_slot *s, enum pager_need need)
{
	/* Of a larger one the dirty bits say what. */
	s->dirty |= need == NEED_WRITE && p->entries == 1;
	s->open |= p->writable && need != NEED_READ;
}

static void begin_read(struct exo_pager *p, struct pager_lane *lane, uint64_t page, uint32_t slot,
		       enum pager_need need, bool ahead, bool marker)
{
	struct pager_slot *s = &p->slots[slot];

	s->page = page;
	s->state = SLOT_READING;
	s->dirty = false;
	s->open = p->writable && p->expectation > 0;
	open_slot(p, s, need);
	s->ahead = ahead;
	s->marker = marker;
	s->swept = 0;
	p->where[page] = slot + 1;
	exo_lane_read(p, lane, s);
}

uint32_t exo_pager_read_ahead(struct exo_pager *p, struct pager_lane *lane, uint64_t page,
			      uint64_t count, bool mark)
{
	uint32_t n = 0;

	for (; count && page < p->pages; count--, page++) {
		uint32_t slot;

		if (p->where[page])
			continue;
		slot = exo_lane_room(p, lane) ? exo_room_now(p) : EXO_SLOT_NONE;
		if (slot == EXO_SLOT_NONE)
			break;
		begin_read(p, lane, page, slot, NEED_READ, true, mark && !n);
		n++;
	}
	return n;
}

/* The stream of a marker goes on, if a lane is free for that. No lock is held. */
static void go_on_reading(struct exo_pager *p, uint64_t marker)
{
	struct pager_lane *lane = exo_lane_try(p);
	struct pager_stream *s;

	if (!lane)
		return;
	exo_lane_reap(p, lane);
	pthread_mutex_lock(&p->lock);
	s = stream_of(p, marker);
	if (s) {
		uint64_t from = s->next;

		s->length = longer(p, s->length);
		s->next += s->length;
		exo_pager_read_ahead(p, lane, from, s->length, true);
		exo_lane_submit(p, lane);
		exo_room_tend(p, lane);
	}
	pthread_mutex_unlock(&p->lock);
	exo_lane_give(p, lane);
}

/* ---- a page ---- */

static bool is_reading(struct exo_pager *p, const struct pager_lane *lane, uint64_t page)
{
	struct pager_slot *s;
	bool reading;

	pthread_mutex_lock(&p->lock);
	s = exo_pager_slot(p, page);
	reading = s && s->state == SLOT_READING && &p->lanes[s->lane] == lane;
	pthread_mutex_unlock(&p->lock);
	return reading;
}

static void await_reading(struct exo_pager *p, struct pager_lane *lane, uint64_t page)
{
	while (is_reading(p, lane, page))
		if (exo_lane_wait(p, lane) <= 0)
			break;
}

/* Nobody has begun to read @page. Returns 0, the caller looks again, or a negative errno. */
static int read_page(struct exo_pager *p, struct pager_lane *lane, uint64_t page,
		     enum pager_need need)
{
	uint32_t slot;
	int r;

	while (!exo_lane_room(p, lane)) {
		r = exo_lane_wait(p, lane);
		if (r <= 0)
			return r ? r : -EIO;
	}
	lane->wanted = page;
	lane->error = 0;
	pthread_mutex_lock(&p->lock);
	r = exo_room_wait(p, lane, &slot);
	if (!r && p->where[page]) { /* another thread's, meanwhile */
		p->slots[slot].state = SLOT_FREE;
		exo_pager_list(p, LIST_FREE, slot);
	} else if (!r) {
		begin_read(p, lane, page, slot, need, false, false);
		exo_pager_read_ahead(p, lane, page + 1, note_read(p, page), true);
		exo_lane_submit(p, lane);
		exo_room_tend(p, lane);
	}
	pthread_mutex_unlock(&p->lock);
	if (r)
		return r;
	await_reading(p, lane, page);
	return lane->error;
}

/* It is in memory, and a victim: not any more. */
static void rescue(struct exo_pager *p, struct pager_slot *s)
{
	uint32_t slot = exo_pager_number(p, s);

	if (s->state == SLOT_CLEAN)
		exo_pager_unlist(p, LIST_CLEAN, slot);
	else if (s->writing)
		p->washing--;
	else
		exo_pager_unlist(p, LIST_INACTIVE, slot);
	s->state = SLOT_ACTIVE;
	p->stats.rescues++;
	p->o.policy->enter(p->policy, slot, s->page, EXO_ENTER_RESCUED);
}

enum look { LOOK_SERVED, LOOK_ABSENT, LOOK_READING };

/* What there is of @page; if it is in memory it can be touched. Returns enum look, or a negative errno. */
static int look(struct exo_pager *p, uint64_t page, enum pager_need need, struct pager_lane **lane,
		bool *marker)
{
	struct pager_slot *s = exo_pager_slot(p, page);
	int r;

	*marker = false;
	if (!s)
		return LOOK_ABSENT;
	*lane = &p->lanes[s->lane];
	if (s->state == SLOT_READING)
		return LOOK_READING;
	if (s->state != SLOT_ACTIVE)
		rescue(p, s);
	*marker = s->marker;
	s->marker = false;
	if (need == NEED_WRITE && !s->open)
		exo_room_learn(p, true);
	open_slot(p, s, need);
	exo_pager_show(p, s);
	r = exo_pager_apply(p);
	return r ? r : LOOK_SERVED;
}

/* Once: returns enum look of before, or a negative errno. */
static int bring_once(struct exo_pager *p, uint64_t page, enum pager_need need)
{
	struct pager_lane *lane;
	bool marker;
	int found, r = 0;

	pthread_mutex_lock(&p->lock);
	found = look(p, page, need, &lane, &marker);
	pthread_mutex_unlock(&p->lock);
	if (marker)
		go_on_reading(p, page);
	if (found == LOOK_READING) {
		pthread_mutex_lock(&lane->lock);
		await_reading(p, lane, page);
		exo_lane_give(p, lane);
	} else if (found == LOOK_ABSENT) {
		lane = exo_lane_take(p);
		if (!lane)
			return p->died;
		r = read_page(p, lane, page, need);
		exo_lane_give(p, lane);
	}
	return r ? r : found;
}

int exo_pager_bring(struct exo_pager *p, uint64_t page, enum pager_need need)
{
	for (;;) {
		int r = bring_once(p, page, need);

		/* What was just read has been shown: the touch will tell if that was in vain. */
		if (r == LOOK_SERVED || r == LOOK_ABSENT)
			return 0;
		if (r < 0 && r != -EAGAIN)
			return r;
	}
}

/* ---- a touch ---- */

static int serve(struct exo_pager *p, const struct exo_upcall *touch, uint64_t page)
{
	bool writes = touch->access == EXO_RIGHT_WRITE;

	pthread_mutex_lock(&p->lock);
	p->stats.faults++;
	if (touch->entry == EXO_UPCALL_TAKEN && p->where[page])
		exo_pager_check(p, p->where[page] - 1);
	pthread_mutex_unlock(&p->lock);
	if (writes && !p->writable)
		return -EACCES;
	return exo_pager_bring(p, page, writes ? NEED_WRITE : NEED_READ);
}

/* As the kernel would: also if the thread would rather not hear of it. */
static void bus_error(void *address)
{
	siginfo_t info = { .si_signo = SIGBUS, .si_code = BUS_ADRERR };
	struct sigaction action;
	sigset_t set;

	info.si_addr = address;
	sigaction(SIGBUS, NULL, &action);
	pthread_sigmask(SIG_BLOCK, NULL, &set);
	if (action.sa_handler == SIG_IGN || sigismember(&set, SIGBUS)) {
		sigemptyset(&set);
		sigaddset(&set, SIGBUS);
		signal(SIGBUS, SIG_DFL);
		pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	}
	syscall(SYS_rt_tgsigqueueinfo, getpid(), syscall(SYS_gettid), SIGBUS, &info);
}

void exo_pager_fault(void *arg, struct exo_upcall *touch)
{
	struct exo_pager *p = arg;
	uint64_t offset = touch->address - (uintptr_t)exo_pager_address(p);
	int saved = errno, r = serve(p, touch, offset >> p->shift);

	if (r && p->o.on_error)
		p->o.on_error(p->o.arg, (void *)(uintptr_t)touch->address, r);
	else if (r)
		bus_error((void *)(uintptr_t)touch->address);
	errno = saved;
}
