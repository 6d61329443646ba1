/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Revocation: what to do when something is asked back.
 *
 * The kernel asks first and takes by force at a deadline. In between, a program
 * chooses what it can do without: exo_dispatch() calls the function that
 * exo_on_revoke() set, or else exo_give_up(). A program that reads its events
 * itself (exo_event_next()) needs none of this.
 *
 * What exo_give_up() chooses, of the buffers of the handle:
 *
 *	1. those that were marked with exo_buf_spare(): the program said that
 *	   nothing in them is needed. That is all that "clean" can mean today:
 *	   nobody knows whether the program wrote to a buffer since it was last
 *	   written to disk
 *	2. then any other, but slabs of <libexo/frame.h>: a pager's and a cache's
 *
 * but never one of a command that is prepared, or in flight, that is, not reaped;
 * if the library cannot tell which those are, it gives up none. What is left
 * undone for that is tried again by the next exo_dispatch(). If all of a pool is
 * asked back, the pool is given up with its last buffer, if the session is the
 * handle's own. Extents, controllers and queues are left to be taken: the program
 * can use them until then.
 *
 * When the machine is short of memory (no deadline), only those that are spare go.
 *
 * Memory of exo_mem_register() is no frames of a pool: it is asked back by itself, when its
 * controller is, and exo_give_up() gives it up as it does a buffer, when no command uses it.
 *
 * So a program whose buffers hold what is nowhere else sets a function of its own.
 *
 * A buffer that was given up or taken keeps its addresses until exo_buf_free():
 * a touch is SIGBUS, a command with it is refused with -ESTALE and a sentence
 * that says what became of it, exo_buf_capability() is 0. Whatever else was
 * taken answers -ESTALE as well. Registered memory that was given up or taken is the
 * device's no more, and still the program's: a touch is no SIGBUS, a command with it is
 * refused with -ESTALE until exo_mem_unregister() forgets it.
 *
 * Threads: as for events, one thread at a time. exo_give_up() looks at all queues
 * of the handle; nobody may prepare, submit or reap on them meanwhile.
 */
#ifndef LIBEXO_REVOKE_H
#define LIBEXO_REVOKE_H

#include <stdint.h>
#include <linux/exo.h>

#ifdef __cplusplus
extern "C" {
#endif

struct exo;
struct exo_queue;

/**
 * struct exo_asked - what is asked back
 * @cap: number of the capability
 * @type: enum exo_type, of @cap
 * @frames: 4 KiB frames of the pool @cap, whichever; 0: all of @cap
 * @deadline: CLOCK_MONOTONIC, ns: when it is taken by force; 0: the machine is short of
 *	memory, and frames of the pool would help. They are taken if nothing else helps
 * @buf: the buffer of the handle whose frames @cap is; if @type is EXO_TYPE_MEMORY, the memory
 *	that was registered, as exo_mem_register() was given it; or NULL
 * @queue: the queue of the handle that @cap is, or NULL
 *
 * Grows at the end.
 */
struct exo_asked {
	uint32_t cap;
	uint32_t type;
	uint64_t frames;
	uint64_t deadline;
	void *buf;
	struct exo_queue *queue;
};

/**
 * exo_revoke_fn - what a program does when something is asked back
 * @x: the handle
 * @asked: what; gone when the function returns
 * @arg: as given to exo_on_revoke()
 *
 * To comply is to free enough: buffers with exo_buf_free(), registered memory with
 * exo_mem_unregister(), queues with exo_queue_destroy(). May call everything but exo_close(), exo_dispatch() and
 * exo_wait_any(). Also told of capabilities that are in the session and not the
 * handle's. May be told the same twice.
 */
typedef void (*exo_revoke_fn)(struct exo *x, const struct exo_asked *asked, void *arg);

/**
 * exo_on_revoke - have exo_wait_any() dispatch events
 * @x: the handle
 * @function: what exo_dispatch() shall call; NULL: exo_give_up()
 * @arg: for @function
 *
 * From then on exo_wait_any() calls exo_dispatch() when there are events, before
 * it returns EXO_READY_EVENTS.
 *
 * Returns 0 or what exo_events_open() returns, without -EEXIST.
 */
int exo_on_revoke(struct exo *x, exo_revoke_fn function, void *arg);

/**
 * exo_dispatch - take all events and do what they ask for
 * @x: the handle
 *
 * Calls the function of exo_on_revoke() for what is asked back and has not been
 * given. What was taken by force is noted, and dropped where nobody else can be
 * using the number. Does not wait.
 *
 * If another handle has the event ring of the session, asks the kernel each time
 * what is asked back and what was taken; exo_wait_any() does so before it waits,
 * but is not woken by it.
 *
 * Returns how many events there were, or what exo_event_next() returns, without
 * -EEXIST.
 */
int exo_dispatch(struct exo *x);

/**
 * exo_give_up - give up what was asked for, as far as it is not in use
 * @x: the handle
 * @asked: what, as a function of exo_on_revoke() was told it
 *
 * Returns how many 4 KiB frames were given up.
 */
uint64_t exo_give_up(struct exo *x, const struct exo_asked *asked);

#ifdef __cplusplus
}
#endif

#endif /* LIBEXO_REVOKE_H */
