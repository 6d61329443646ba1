// SPDX-License-Identifier: LGPL-2.1-only
/*
 * The event ring of a session, as its reader sees it.
 *
 * Events that found no room are counted by the kernel. When that count has moved
 * and the ring is empty, how things stand is listed (what is asked back, what was
 * taken, which queues are dead) and told as if it had just happened. The count is
 * noted before the listing, so that what is lost during it is listed again.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "backend.h"

#define ENTRIES_DEFAULT 64
#define STATUS_PAGE 4096 /* before the events */

static int create(struct exo *x, unsigned int entries, struct exo_events_create *arg)
{
	struct exo_detail detail = { 0 };
	int r;

	memset(arg, 0, sizeof(*arg));
	arg->detail = exo_sys_address(&detail);
	arg->entries = entries;
	r = exo_sys_events_create(x->fd, arg);
	if (r == -EEXIST)
		return exo_fail(x, r, NULL,
				"the session has an event ring, and another handle or program has "
				"it");
	if (r)
		return exo_fail(x, r, &detail, "cannot make an event ring of %u entries", entries);
	return 0;
}

static int map(struct exo *x, struct exo_events *e, const struct exo_events_create *arg)
{
	e->rw_size = arg->out_rw_size;
	e->ro_size = arg->out_ro_size;
	e->control = mmap(NULL, e->rw_size, PROT_READ | PROT_WRITE, MAP_SHARED, x->fd,
			  arg->out_mmap_offset);
	if (e->control == MAP_FAILED)
		return -errno;
	e->status = mmap(NULL, e->ro_size, PROT_READ, MAP_SHARED, x->fd,
			 arg->out_mmap_offset + arg->out_rw_size);
	if (e->status == MAP_FAILED) {
		int r = -errno;

		munmap(e->control, e->rw_size);
		return r;
	}
	e->ring = (void *)((char *)e->status + STATUS_PAGE);
	e->mask = arg->entries - 1;
	return 0;
}

/* ---- telling again ---- */

static int tell(struct exo_events *e, const struct exo_event *event)
{
	if (e->told_count == e->told_room) {
		size_t room = e->told_room ? 2 * e->told_room : 16;
		struct exo_event *told = realloc(e->told, room * sizeof(*told));

		if (!told)
			return -ENOMEM;
		e->told = told;
		e->told_room = room;
	}
	e->told[e->told_count++] = *event;
	return 0;
}

/* One capability that is asked back (if it still is) or was taken. */
static int tell_cap(struct exo *x, uint32_t type, uint32_t cap)
{
	struct exo_event event = { .type = type, .cap = cap };
	struct exo_cap_query about = { .cap = cap };

	if (type == EXO_EVENT_REVOKE) {
		if (exo_sys_cap_query(x->fd, &about) || !about.out_deadline)
			return 0;
		event.value = about.out_wanted;
		event.deadline = about.out_deadline;
	}
	return tell(&x->events, &event);
}

static int tell_listed(struct exo *x, uint32_t flags, uint32_t type)
{
	uint32_t caps[64];
	struct exo_cap_list list = {
		.flags = flags,
		.caps = exo_sys_address(caps),
		.count = sizeof(caps) / sizeof(caps[0]),
	};
	int r;

	do {
		r = exo_sys_cap_list(x->fd, &list);
		for (uint32_t i = 0; i < list.out_count && !r; i++)
			r = tell_cap(x, type, caps[i]);
		if (list.out_count)
			list.after = caps[list.out_count - 1];
	} while (!r && list.out_count == list.count);
	return r;
}

static int tell_dead_queues(struct exo *x)
{
	struct exo_event event = { .type = EXO_EVENT_QUEUE_DEAD };
	int r = 0;

	pthread_mutex_lock(&x->lock);
	for (struct exo_queue_private *p = x->queues; p && !r; p = p->next) {
		event.cap = p->cap;
		if (!exo_queue_alive(&p->q))
			r = tell(&x->events, &event);
	}
	pthread_mutex_unlock(&x->lock);
	return r;
}

/* Of a namespace that is gone nothing is known but that: the number of its extent says ESTALE. */
static int tell_gone_extent(struct exo *x)
{
	struct exo_event event = {
		.type = EXO_EVENT_NAMESPACE,
		.cap = x->extent,
		.value = EXO_NAMESPACE_CHANGED,
	};
	struct exo_cap_query about = { .cap = x->extent };
	struct exo_cap_query controller = { .cap = x->controller };
	struct exo_cap_taken taken = { .cap = x->extent };

	if (!x->extent || exo_sys_cap_query(x->fd, &about) != -ESTALE)
		return 0;
	/* Taken back, or all of the function is gone: that is told otherwise. */
	if (!exo_sys_cap_taken(x->fd, &taken) || exo_sys_cap_query(x->fd, &controller))
		return 0;
	return tell(&x->events, &event);
}

/* How things stand, as events. */
int exo_events_tell_again(struct exo *x)
{
	int r = tell_listed(x, EXO_LIST_ASKED, EXO_EVENT_REVOKE);

	if (!r)
		r = tell_listed(x, EXO_LIST_TAKEN, EXO_EVENT_TAKEN);
	if (!r)
		r = tell_dead_queues(x);
	if (!r)
		r = tell_gone_extent(x);
	if (r)
		return exo_fail(x, r, NULL, "cannot list what is asked back: %s",
				exo_errno_meaning(r));
	return 0;
}

/* ---- beginning and end ---- */

/* Before there was a ring, everything was lost: it is told again. */
int exo_events_open(struct exo *x, unsigned int entries)
{
	struct exo_events_create arg;
	struct exo_events e = { 0 };
	int r;

	if (x->events.ring)
		return 0;
	r = exo_check_module(x, "events");
	if (r)
		return r;
	r = create(x, entries ? entries : ENTRIES_DEFAULT, &arg);
	if (r)
		return r;
	r = map(x, &e, &arg);
	if (r)
		return exo_fail(x, r, NULL, "cannot map the event ring: %s", exo_errno_meaning(r));
	e.lost = e.status->lost;
	x->events = e;
	return exo_events_tell_again(x);
}

void exo_events_close(struct exo *x)
{
	struct exo_events *e = &x->events;

	free(e->told);
	if (!e->ring)
		return;
	munmap(e->control, e->rw_size);
	munmap((void *)e->status, e->ro_size);
}

/* ---- taking ---- */

/* Events that were told again come first: they are older than what is in the ring. */
bool exo_events_take_told(struct exo *x, struct exo_event *event)
{
	struct exo_events *e = &x->events;

	if (e->told_at == e->told_count) {
		e->told_at = e->told_count = 0;
		return false;
	}
	*event = e->told[e->told_at++];
	return true;
}

static bool take_ring(struct exo_events *e, struct exo_event *event)
{
	if (__atomic_load_n(&e->status->tail, __ATOMIC_ACQUIRE) == e->head)
		return false;
	*event = e->ring[e->head & e->mask];
	/* Release: the kernel may write over it from here on. */
	__atomic_store_n(&e->control->head, ++e->head, __ATOMIC_RELEASE);
	return true;
}

int exo_event_next(struct exo *x, struct exo_event *event)
{
	struct exo_events *e = &x->events;
	int r = exo_events_open(x, 0);
	uint32_t lost;

	if (r)
		return r;
	if (exo_events_take_told(x, event) || take_ring(e, event))
		return 1;
	lost = __atomic_load_n(&e->status->lost, __ATOMIC_ACQUIRE);
	if (lost == e->lost)
		return 0;
	r = exo_events_tell_again(x);
	if (r)
		return r;
	e->lost = lost;
	return exo_events_take_told(x, event);
}

bool exo_events_pending(const struct exo *x)
{
	const struct exo_events *e = &x->events;

	if (e->told_at != e->told_count)
		return true;
	return e->ring && (__atomic_load_n(&e->status->tail, __ATOMIC_ACQUIRE) != e->head ||
			   __atomic_load_n(&e->status->lost, __ATOMIC_RELAXED) != e->lost);
}
