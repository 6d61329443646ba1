/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Events: what the kernel tells a session, such as that something is asked back.
 *
 * They arrive in a ring in shared memory, so looking costs no system call.
 * exo_fd() polls readable (POLLIN) while there are some, once the ring was made;
 * exo_wait_any() waits for them beside completions.
 *
 * A full ring loses events, and nothing is lost by that: the library notices,
 * asks the kernel how things stand, and tells it as events. Such events may
 * repeat what was told already, and leave out what is over.
 *
 * A session has one ring. Of several handles of one session, the first that asks
 * has it, and all events; see exo_dispatch() for the others.
 *
 * Threads: the events of a handle belong to one thread at a time.
 */
#ifndef LIBEXO_EVENTS_H
#define LIBEXO_EVENTS_H

#include <stddef.h>
#include <linux/exo.h>

#ifdef __cplusplus
extern "C" {
#endif

struct exo;

/**
 * exo_events_open - make the event ring of the handle's session
 * @x: the handle
 * @entries: events it holds, a power of two, EXO_EVENTS_MIN to EXO_EVENTS_MAX; 0: 64
 *
 * Not needed: the other functions do it when they are called first. Does nothing
 * if the handle has the ring. What is older than the ring is told too, but exo_fd()
 * does not poll readable for it: take events once before the first poll().
 *
 * Returns 0, or -EINVAL @entries, -EEXIST another handle or program has the ring
 * of the session, -EOPNOTSUPP the handle is emulated, -ENOMEM, or what mmap() fails with.
 */
int exo_events_open(struct exo *x, unsigned int entries);

/**
 * exo_event_next - take the oldest event that was not taken
 * @x: the handle
 * @event: set to it, if there is one
 *
 * Does not wait. Returns 1, or 0 if there is none, or what exo_events_open()
 * returns, or -ENOMEM when events were lost: call again.
 */
int exo_event_next(struct exo *x, struct exo_event *event);

/**
 * exo_event_print - an event as a sentence
 * @event: the event
 * @buf: where the sentence goes, always terminated
 * @size: bytes there
 *
 * Returns @buf.
 */
const char *exo_event_print(const struct exo_event *event, char *buf, size_t size);

#ifdef __cplusplus
}
#endif

#endif /* LIBEXO_EVENTS_H */
