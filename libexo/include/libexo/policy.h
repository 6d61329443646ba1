/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Which page goes next: what a pager and a cache ask when they need room.
 *
 * A policy sees *slots*: places for a page in memory, numbered from 0. It is told what comes into a
 * slot and what becomes of it, and says which is to go. It has no thread and no lock: whoever asks
 * holds one, a pager in a handler of touches. It must not wait, allocate, touch a window or call the
 * pager or the cache that asks.
 *
 * exo_policy_lru() and exo_policy_fifo() are ready; a program's own is a structure of functions.
 */
#ifndef LIBEXO_POLICY_H
#define LIBEXO_POLICY_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define EXO_SLOT_NONE (~0u)

/* how of enter() */
#define EXO_ENTER_USED 0    /* it was asked for */
#define EXO_ENTER_AHEAD 1   /* nobody has asked for it yet */
#define EXO_ENTER_RESCUED 2 /* it was a victim, and was asked for before it had gone */

/**
 * struct exo_policy - the functions of a policy
 * @size: sizeof(struct exo_policy); it grows at the end
 * @arg: handed to @create
 * @create: a state for slots 0 to @slots - 1, all empty; NULL: no memory
 * @destroy: it is not used any more
 * @enter: page number @page is in @slot now
 * @touch: @slot was used. A cache tells each time; a pager cannot see that, and never does
 * @leave: @slot is empty now
 * @victim: the slot that is to go, of those that entered; it has left by that. EXO_SLOT_NONE: none is
 *	left. If it cannot go, or is asked for, it enters again (EXO_ENTER_RESCUED)
 */
struct exo_policy {
	uint32_t size;
	void *arg;
	void *(*create)(void *arg, uint32_t slots);
	void (*destroy)(void *state);
	void (*enter)(void *state, uint32_t slot, uint64_t page, int how);
	void (*touch)(void *state, uint32_t slot);
	void (*leave)(void *state, uint32_t slot);
	uint32_t (*victim)(void *state);
};

/* Least recently used: what entered, was touched or rescued last goes last. */
const struct exo_policy *exo_policy_lru(void);

/* First in, first out: being used changes nothing. */
const struct exo_policy *exo_policy_fifo(void);

#ifdef __cplusplus
}
#endif

#endif /* LIBEXO_POLICY_H */
