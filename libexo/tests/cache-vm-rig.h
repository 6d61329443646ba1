/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What the tests of caches in the virtual machine share: pages of one number, sessions that are
 * granted some of what exo-run gave, and caches in them.
 */
#ifndef LIBEXO_TESTS_CACHE_VM_RIG_H
#define LIBEXO_TESTS_CACHE_VM_RIG_H

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <libexo.h>

#include "tap.h"

#define PAGE 4096u
#define SLAB 512u /* pages */
#define WORDS (PAGE / sizeof(uint64_t))

/* A page of one number: if it is torn, it shows. */
static inline void set(void *buf, uint64_t number)
{
	uint64_t *words = buf;

	for (size_t i = 0; i < WORDS; i++)
		words[i] = number;
}

static inline bool is_whole(const void *buf, uint64_t *number)
{
	const uint64_t *words = buf;

	*number = words[0];
	for (size_t i = 1; i < WORDS; i++)
		if (words[i] != words[0])
			return false;
	return true;
}

static inline bool is(const void *buf, uint64_t number)
{
	uint64_t said;

	return is_whole(buf, &said) && said == number;
}

/* ---- sessions ---- */

static inline struct exo *open_handle(unsigned int rights)
{
	struct exo *x;
	int r = exo_open("exo:", rights, &x);

	if (r)
		errx(1, "%s", exo_strerror(x, r));
	return x;
}

/**
 * struct estate - a session, and what it was granted of ours
 * @session: its file descriptor
 * @pool: capability of ours that it has one derived from: all it has in memory is below it
 */
struct estate {
	int session;
	uint32_t pool;
};

static inline int ours(void)
{
	return atoi(getenv("EXO_FD"));
}

static inline void grant(uint32_t cap, int to)
{
	struct exo_cap_query about = { .cap = cap };
	struct exo_cap_derive arg = { .cap = cap, .session_fd = to };

	CHECK_EQUAL(exo_sys_cap_query(ours(), &about), 0);
	arg.rights = about.out_rights;
	CHECK_EQUAL(exo_sys_cap_derive(ours(), &arg), 0);
}

static inline void settle(struct estate *e, uint64_t frames)
{
	struct exo *all = open_handle(EXO_READ | EXO_WRITE);
	struct exo_pool_create pool = {
		.pool = exo_pool_cap(all),
		.rights = EXO_RIGHT_ALLOC,
		.frames = frames,
	};

	e->session = open(EXO_DEVICE, O_RDWR | O_CLOEXEC);
	CHECK_EQUAL(exo_sys_pool_create(ours(), &pool), 0);
	e->pool = pool.out_cap;
	/* The handle's own are those with which the session was begun. */
	grant(exo_extent_cap(all), e->session);
	grant(exo_controller_cap(all), e->session);
	grant(e->pool, e->session);
	exo_close(all);
}

static inline void unsettle(struct estate *e)
{
	struct exo_cap_drop drop = { .cap = e->pool };

	CHECK_EQUAL(exo_sys_cap_drop(ours(), &drop), 0);
}

static inline struct exo *open_in(const struct estate *e, unsigned int rights)
{
	char text[16], *before = strdup(getenv("EXO_FD"));
	struct exo *x;

	snprintf(text, sizeof(text), "%d", e->session);
	setenv("EXO_FD", text, 1);
	x = open_handle(rights);
	setenv("EXO_FD", before, 1);
	free(before);
	return x;
}

static inline uint64_t frames_used(const struct estate *e)
{
	struct exo_pool_query about = { .pool = e->pool };

	CHECK_EQUAL(exo_sys_pool_query(ours(), &about), 0);
	return about.out_used;
}

static inline uint64_t caps_held(struct exo *x)
{
	struct exo_info info = { 0 };

	CHECK_EQUAL(exo_sys_info(exo_fd(x), &info), 0);
	return info.out_caps;
}

/* ---- caches ---- */

static inline struct exo_cache *open_cache(struct exo *x, uint32_t pages, uint32_t page)
{
	const struct exo_cache_options options = { .size = sizeof(options),
						   .page = page,
						   .limit = (uint64_t)pages * page };
	struct exo_cache *c;
	int r = exo_cache_create(x, &options, &c);

	if (r)
		errx(1, "%s", exo_strerror(x, r));
	return c;
}

static inline int change(struct exo_cache *c, uint64_t page, uint64_t number)
{
	void *buf;
	int r = exo_cache_get(c, page, EXO_CACHE_OVERWRITE, &buf);

	if (r)
		return r;
	set(buf, number);
	return exo_cache_put(c, page);
}

static inline bool holds(struct exo_cache *c, uint64_t page, uint64_t number)
{
	bool same;
	void *buf;

	if (exo_cache_get(c, page, 0, &buf))
		return false;
	same = is(buf, number);
	exo_cache_put(c, page);
	return same;
}

/* By a queue of its own, behind the cache's back. */
static inline bool on_disk(struct exo *x, uint64_t page, uint64_t number)
{
	uint32_t blocks = PAGE / exo_block_size(x);
	struct exo_queue *q;
	bool same;
	void *buf;

	CHECK_EQUAL(exo_queue_create(x, NULL, &q), 0);
	CHECK_EQUAL(exo_buf_alloc(q, PAGE, &buf), 0);
	CHECK_EQUAL(exo_read(q, buf, page * blocks, blocks), 0);
	same = is(buf, number);
	exo_buf_free(q, buf);
	exo_queue_destroy(q);
	return same;
}

#endif
