/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Waiting: look for a short time, then sleep in the kernel.
 *
 * A completion that is near is found soonest by looking at the phase tags; one
 * that is far is not worth a processor. So a wait spins for the queue's spin_ns
 * (struct exo_queue_options) and then sleeps in EXO_WAIT, from where the queue's
 * interrupt, or for a queue without one the kernel's own looking, wakes it.
 */
#ifndef LIBEXO_WAIT_H
#define LIBEXO_WAIT_H

#include <stdint.h>
#include <linux/exo.h>
#include <libexo/queue.h>

#ifdef __cplusplus
extern "C" {
#endif

struct exo;

/**
 * exo_wait - take completions, and wait until there is at least one
 * @q: the queue
 * @completions: where to put them
 * @max: how many fit, 1 or more
 * @timeout_ms: milliseconds to wait at most; negative: until the kernel's I/O
 *	timeout, after which the device has failed
 *
 * Signal handlers run meanwhile and do not end it; exo_wait_any() they do.
 *
 * Returns how many there were, 1 to @max; 0 if nothing is in flight; or
 * -ETIMEDOUT, or -ESTALE if the queue is dead and nothing is left to take, or
 * -ENOMEM, -EINVAL if the queue's control page was overwritten; or what exo_submit()
 * returns for a command that the queue's thread refused.
 * Threads: whoever uses the queue.
 */
int exo_wait(struct exo_queue *q, struct exo_completion *completions, unsigned int max,
	     int timeout_ms);

/* What exo_wait_any() returns, one or both */
#define EXO_READY_QUEUES (1 << 0) /* the bits of *ready say which */
#define EXO_READY_EVENTS (1 << 1) /* exo_event_next() has something, or had: exo_on_revoke() */

/**
 * exo_wait_any - wait until one of several things happens
 * @x: the handle
 * @queues: queues of the handle
 * @count: how many, 0 to EXO_WAIT_QUEUES_MAX
 * @deadline: CLOCK_MONOTONIC, ns; 0: only look; EXO_WAIT_FOREVER: none
 * @ready: set to the queues that have something: bit i if queues[i] has
 *	completions to reap, is dead, or has a thread that refused a command; or NULL
 *
 * Events count too, if the handle has an event ring (exo_events_open()). After
 * exo_on_revoke() they are dispatched here, before the call returns.
 *
 * Spins as long as the most patient of @queues wants to, then sleeps. Takes no
 * completions: exo_reap() does. A dead queue is ready for ever; leave it out
 * when it is empty.
 *
 * Returns EXO_READY_* bits; 0 if the deadline passed; or -EINVAL @count,
 * -EINTR a signal handler without SA_RESTART ran (of an emulated handle: any), -ENOMEM, or -EINVAL if a
 * control page was overwritten. Threads: whoever uses the queues.
 */
int exo_wait_any(struct exo *x, struct exo_queue *const *queues, unsigned int count,
		 uint64_t deadline, uint64_t *ready);

#ifdef __cplusplus
}
#endif

#endif /* LIBEXO_WAIT_H */
