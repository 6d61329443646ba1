// SPDX-License-Identifier: LGPL-2.1-only
/*
 * Waiting: for one queue, or for any of several and for events. Both look, spin for a bounded
 * time, and sleep in EXO_WAIT. Looking comes first and costs no clock; what may
 * end a wait (death, the deadline) is always read before the last look, so that
 * nothing that was posted before it is missed.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <time.h>

#include "backend.h"

#define LOOKS 32 /* between two readings of the clock */
#define NS_PER_MS 1000000ull

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* A queue that was taken from this session may live on in another. */
static bool usable(const struct exo_queue *q)
{
	return exo_queue_alive(q) && exo_queue_private(q)->fate == EXO_HELD;
}

int exo_module_sleep(struct exo *x, struct exo_queue *const *queues, unsigned int count,
		     bool events, uint64_t deadline, struct exo_detail *detail)
{
	uint32_t caps[EXO_WAIT_QUEUES_MAX];
	struct exo_wait arg = {
		.flags = events ? EXO_WAIT_EVENTS : 0,
		.detail = exo_sys_address(detail),
		.queues = exo_sys_address(caps),
		.count = count,
		.deadline = deadline,
	};

	for (unsigned int i = 0; i < count; i++) {
		caps[i] = exo_queue_private(queues[i])->cap;
		if (queues[i]->direct)
			exo_direct_ring_cq(queues[i]);
	}
	return exo_sys_wait(x->fd, &arg);
}

/* The first look at an emulated queue may only have written what the second finds. */
static unsigned int take(struct exo_queue *q, struct exo_completion *completions, unsigned int max)
{
	unsigned int n = exo_reap(q, completions, max);

	return n || !q->emulated ? n : exo_reap(q, completions, max);
}

static bool has_some(const struct exo_queue *q)
{
	return exo_peek(q) || (q->emulated && exo_peek(q));
}

/* ---- one queue ---- */

static unsigned int spin(struct exo_queue *q, struct exo_completion *completions, unsigned int max,
			 uint64_t until)
{
	do {
		for (int i = 0; i < LOOKS; i++) {
			unsigned int n = exo_reap(q, completions, max);

			if (n)
				return n;
			exo_relax();
		}
	} while (exo_now_ns() < until);
	return 0;
}

static int sleep_for(struct exo_queue *q, uint64_t deadline)
{
	struct exo *x = exo_queue_handle(q);
	struct exo_detail detail = { 0 };
	int r = x->backend->sleep(x, &q, 1, false, deadline, &detail);

	/* A signal handler ran. The commands are still in flight. */
	if (!r || r == -EINTR)
		return 0;
	return exo_queue_fail(q, r, &detail, "cannot sleep for completions");
}

static int gave_up(struct exo_queue *q, bool alive, uint64_t waited)
{
	if (!alive)
		return exo_queue_fail(
			q, -ESTALE, NULL,
			"the queue is dead with %u commands in flight: it was taken back, "
			"or its device failed or was unbound",
			exo_queue_in_flight(q));
	return exo_queue_fail(
		q, -ETIMEDOUT, NULL,
		"%u commands are in flight and the device answered none within %llu ms",
		exo_queue_in_flight(q), (unsigned long long)(waited / NS_PER_MS));
}

/* Wait for the device beyond the spinning. */
static int __attribute__((noinline))
wait_asleep(struct exo_queue *q, struct exo_completion *completions, unsigned int max,
	    uint64_t begin, uint64_t deadline)
{
	for (;;) {
		bool alive = usable(q), late = exo_now_ns() >= deadline;
		unsigned int n = take(q, completions, max);
		int r;

		if (n)
			return n;
		if (!alive || late)
			return gave_up(q, alive, deadline - begin);
		r = exo_stuck(q) ? exo_unstick(q) : sleep_for(q, deadline);
		if (r < 0)
			return r;
	}
}

int exo_wait(struct exo_queue *q, struct exo_completion *completions, unsigned int max,
	     int timeout_ms)
{
	struct exo_queue_private *p = exo_queue_private(q);
	uint64_t begin, deadline;
	unsigned int n;

	if (!exo_queue_in_flight(q))
		return 0;
	n = take(q, completions, max);
	if (n)
		return n;
	begin = exo_now_ns();
	deadline =
		begin + (timeout_ms < 0 ? p->x->io_timeout_ms : (uint64_t)timeout_ms) * NS_PER_MS;
	if (p->spin_ns) {
		n = spin(q, completions, max, earlier(begin + p->spin_ns, deadline));
		if (n)
			return n;
	}
	return wait_asleep(q, completions, max, begin, deadline);
}

/* ---- any of several ---- */

/**
 * struct several - what exo_wait_any() waits for
 * @x: the handle
 * @queues: of it
 * @count: how many
 * @ready: bit i: queues[i] has something
 */
struct several {
	struct exo *x;
	struct exo_queue *const *queues;
	unsigned int count;
	uint64_t ready;
};

static int look(struct several *s)
{
	s->ready = 0;
	for (unsigned int i = 0; i < s->count; i++)
		if (!usable(s->queues[i]) || has_some(s->queues[i]) || exo_stuck(s->queues[i]))
			s->ready |= 1ull << i;
	return (s->ready ? EXO_READY_QUEUES : 0) |
	       (exo_events_pending(s->x) ? EXO_READY_EVENTS : 0);
}

static uint32_t longest_spin(const struct several *s)
{
	uint32_t longest = 0;

	for (unsigned int i = 0; i < s->count; i++) {
		uint32_t ns = exo_queue_private(s->queues[i])->spin_ns;

		longest = ns > longest ? ns : longest;
	}
	return longest;
}

static int spin_any(struct several *s, uint64_t until)
{
	do {
		for (int i = 0; i < LOOKS; i++) {
			int found = look(s);

			if (found)
				return found;
			exo_relax();
		}
	} while (exo_now_ns() < until);
	return 0;
}

static int sleep_any(struct several *s, uint64_t deadline)
{
	struct exo_detail detail = { 0 };
	int r = s->x->backend->sleep(s->x, s->queues, s->count, s->x->events.ring != NULL, deadline,
				     &detail);

	if (r == -EINTR)
		return exo_fail(s->x, r, NULL, "a signal ended the wait");
	if (r)
		return exo_fail(s->x, r, &detail, "cannot sleep for completions");
	return 0;
}

static int wait_several(struct several *s, uint64_t deadline)
{
	uint32_t ns = longest_spin(s);
	int found = look(s), r;

	if (found || !deadline)
		return found;
	if (ns)
		found = spin_any(s, earlier(exo_now_ns() + ns, deadline));
	while (!found) {
		bool late = exo_now_ns() >= deadline;

		found = look(s);
		if (found || late)
			break;
		r = sleep_any(s, deadline);
		if (r)
			return r;
	}
	return found;
}

int exo_wait_any(struct exo *x, struct exo_queue *const *queues, unsigned int count,
		 uint64_t deadline, uint64_t *ready)
{
	struct several s = { .x = x, .queues = queues, .count = count };
	int r;

	if (ready)
		*ready = 0;
	if (count > EXO_WAIT_QUEUES_MAX)
		return exo_fail(x, -EINVAL, NULL, "%u queues are more than the %u of one wait",
				count, EXO_WAIT_QUEUES_MAX);
	r = exo_dispatch_unmet(x);
	if (r < 0)
		return r;
	r = wait_several(&s, deadline);
	if (r > 0 && r & EXO_READY_EVENTS && x->revoke.dispatching) {
		int done = exo_dispatch(x);

		r = done < 0 ? done : r;
	}
	if (ready && r >= 0)
		*ready = s.ready;
	return r;
}
