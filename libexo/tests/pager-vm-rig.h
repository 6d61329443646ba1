/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What the tests of pagers in the virtual machine share: the one pager that a test has, its window
 * and what it did, and frames that are taken from it.
 */
#ifndef LIBEXO_TESTS_PAGER_VM_RIG_H
#define LIBEXO_TESTS_PAGER_VM_RIG_H

#include <err.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include <libexo.h>

#include "tap.h"

#define MIB (1ull << 20)

static char name[256] = "exo:";
static struct exo *x;
static struct exo_pager *p;
static uint64_t *at; /* the window */

static inline void must(int r)
{
	if (r < 0)
		errx(1, "%s", exo_strerror(x, r));
}

static inline void begin_with(unsigned int rights, const struct exo_pager_options *o)
{
	must(exo_open(name, rights, &x));
	must(exo_pager_create(x, o, &p));
	at = exo_pager_address(p);
}

static inline void end(void)
{
	exo_pager_destroy(p);
	exo_close(x);
}

static struct exo_store *store;

/* The pager of a store, with @memory bytes of frames; the queue that the store was opened with. */
static inline struct exo_queue *begin_with_store(size_t memory)
{
	struct exo_pager_options o = { .size = sizeof(o), .memory = memory };
	struct exo_queue *q;

	must(exo_open(name, EXO_READ | EXO_WRITE, &x));
	must(exo_queue_create(x, NULL, &q));
	must(exo_store_open(q, 0, &store));
	o.store = store;
	must(exo_pager_create(x, &o, &p));
	at = exo_pager_address(p);
	return q;
}

static inline void end_in_store(void)
{
	exo_pager_destroy(p);
	exo_store_close(store);
	exo_close(x);
}

static inline struct exo_pager_stats stats(void)
{
	struct exo_pager_stats s = { .size = sizeof(s) };

	exo_pager_get_stats(p, &s);
	return s;
}

/* What a page holds in a pass. */
static inline uint64_t value(uint64_t page, uint64_t pass)
{
	return (page + 1) * 0x9e3779b97f4a7c15ull ^ pass;
}

static inline uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* ---- frames that are taken ---- */

/* Those frames capabilities of the session that there are, @max at most. Returns how many. */
static inline uint32_t all_frames(uint32_t *frames, uint32_t max)
{
	uint32_t caps[128], n = 0;
	struct exo_cap_list list = { .caps = exo_sys_address(caps), .count = 128 };

	must(exo_sys_cap_list(exo_fd(x), &list));
	for (uint32_t i = 0; i < list.out_count && n < max; i++) {
		struct exo_cap_query query = { .cap = caps[i] };

		if (!exo_sys_cap_query(exo_fd(x), &query) && query.out_type == EXO_TYPE_FRAMES)
			frames[n++] = caps[i];
	}
	return n;
}

/* Some of them. */
static inline uint32_t some_frames(void)
{
	uint32_t cap = 0;

	all_frames(&cap, 1);
	return cap;
}

/* By force: nobody asks, and nobody tells. */
static inline void take(uint32_t cap)
{
	struct exo_cap_drop drop = { .cap = cap };

	CHECK_EQUAL(exo_sys_cap_drop(exo_fd(x), &drop), 0);
}

#endif /* LIBEXO_TESTS_PAGER_VM_RIG_H */
