/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Eventcounts: to sleep until what is looked for may have changed, where no lock can be held meanwhile.
 *
 *	key = exo_eventcount_prepare(e);	who waits
 *	if (there is something)
 *		exo_eventcount_cancel(e);
 *	else
 *		exo_eventcount_wait(e, key);	then looks again
 *
 *	change it; exo_eventcount_notify(e);	who changes it
 *
 * Either who looks after exo_eventcount_prepare() finds the change, or exo_eventcount_notify() finds who
 * waits. Without one that costs a fence and a load. No signal handler and no cancellation point is
 * in the way: it may be used in a handler of upcalls.
 */
#ifndef LIBEXO_EVENTCOUNT_H
#define LIBEXO_EVENTCOUNT_H

#include <limits.h>
#include <linux/futex.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/**
 * struct exo_eventcount - an eventcount; zero: nothing happened yet
 * @events: how many somebody waited for, modulo 2^32
 * @waiters: how many wait, or are about to
 */
struct exo_eventcount {
	uint32_t events;
	uint32_t waiters;
};

static inline uint32_t exo_eventcount_prepare(struct exo_eventcount *e)
{
	__atomic_fetch_add(&e->waiters, 1, __ATOMIC_SEQ_CST);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return __atomic_load_n(&e->events, __ATOMIC_SEQ_CST);
}

static inline void exo_eventcount_cancel(struct exo_eventcount *e)
{
	__atomic_fetch_sub(&e->waiters, 1, __ATOMIC_SEQ_CST);
}

/* May return without an event, too. */
static inline void exo_eventcount_wait(struct exo_eventcount *e, uint32_t key)
{
	syscall(SYS_futex, &e->events, FUTEX_WAIT_PRIVATE, key, NULL, NULL, 0);
	exo_eventcount_cancel(e);
}

static inline void exo_eventcount_notify(struct exo_eventcount *e)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (__builtin_expect(!__atomic_load_n(&e->waiters, __ATOMIC_RELAXED), 1))
		return;
	__atomic_fetch_add(&e->events, 1, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, &e->events, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

#endif /* LIBEXO_EVENTCOUNT_H */
