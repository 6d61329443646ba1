// SPDX-License-Identifier: LGPL-2.1-only
/*
 * The buffer cache on the module and a device of the virtual machine: run by cache.vm.sh under
 * exo-run, without privileges, with an extent of 16 MiB that may be written.
 */
#define _GNU_SOURCE 1
#include <setjmp.h>

#include "cache-vm-rig.h"

static void on_the_module(void)
{
	struct exo *x = open_handle(EXO_READ | EXO_WRITE);
	struct exo_cache_stats stats = { .size = sizeof(stats) };
	struct exo_cache *c = open_cache(x, 128, PAGE);

	for (unsigned int n = 0; n < 600; n++)
		CHECK_EQUAL(change(c, n, n + 1), 0);
	CHECK_EQUAL(exo_cache_flush(c), 0);
	CHECK(on_disk(x, 0, 1) && on_disk(x, 599, 600));
	CHECK_EQUAL(exo_cache_prefetch(c, 0, 32), 32);
	for (unsigned int n = 0; n < 600; n++)
		CHECK(holds(c, n, n + 1));
	exo_cache_get_stats(c, &stats);
	CHECK_EQUAL(stats.errors, 0);
	CHECK_EQUAL(stats.written, 600);
	CHECK_EQUAL(stats.held, 128);
	exo_cache_destroy(c);
	exo_close(x);
}

static void order_on_the_module(void)
{
	struct exo *x = open_handle(EXO_READ | EXO_WRITE);
	struct exo_cache *c = open_cache(x, 16, PAGE);
	void *buf;

	CHECK_EQUAL(change(c, 1, 0), 0);
	CHECK_EQUAL(change(c, 2, 0), 0);
	CHECK_EQUAL(exo_cache_flush(c), 0);
	CHECK_EQUAL(change(c, 1, 11), 0);
	CHECK_EQUAL(exo_cache_get(c, 2, EXO_CACHE_WRITE, &buf), 0);
	CHECK_EQUAL(exo_cache_order(c, 1, 2), 0);
	set(buf, 22);
	CHECK_EQUAL(exo_cache_put(c, 2), 0);
	CHECK(on_disk(x, 1, 0) && on_disk(x, 2, 0));
	CHECK_EQUAL(exo_cache_evict(c, 2), 0);
	CHECK(on_disk(x, 1, 11) && on_disk(x, 2, 22));
	exo_cache_destroy(c);
	exo_close(x);
}

/* Larger than a command can move; of frames of 2 MiB where there are some. */
static void large_on_the_module(void)
{
	struct exo *x = open_handle(EXO_READ | EXO_WRITE);
	struct exo_cache *c = open_cache(x, 2, EXO_PAGE_MAX);

	for (unsigned int round = 0; round < 2; round++)
		for (unsigned int n = 0; n < 4; n++) {
			uint64_t *words;

			CHECK_EQUAL(exo_cache_get(c, n, round ? 0 : EXO_CACHE_OVERWRITE,
						  (void **)&words),
				    0);
			for (size_t i = 0; i < EXO_PAGE_MAX / 8 && !round; i++)
				words[i] = i * 4 + n;
			for (size_t i = 0; i < EXO_PAGE_MAX / 8; i += 509)
				CHECK_EQUAL(words[i], i * 4 + n);
			CHECK_EQUAL(exo_cache_put(c, n), 0);
		}
	CHECK_EQUAL(exo_cache_flush(c), 0);
	exo_cache_destroy(c);
	exo_close(x);
}

/* Its thread refuses commands after they were handed over. */
static void on_a_thread(void)
{
	struct exo_queue_options thread = { .size = sizeof(thread),
					    .depth = 16,
					    .flags = EXO_QUEUE_THREAD };
	const struct exo_cache_options options = { .size = sizeof(options),
						   .limit = 64 * PAGE,
						   .queue = &thread };
	struct exo *x = open_handle(EXO_WRITE);
	struct exo_cache *c;
	void *buf;

	CHECK_EQUAL(exo_cache_create(x, &options, &c), 0);
	for (unsigned int n = 0; n < 200; n++)
		CHECK_EQUAL(change(c, n, n + 1), 0);
	/* In one batch with writes, which are not to blame. */
	CHECK(exo_cache_prefetch(c, 300, 8) > 0);
	CHECK_EQUAL(exo_cache_get(c, 300, 0, &buf), -EACCES);
	CHECK_EQUAL(change(c, 300, 301), 0);
	CHECK_EQUAL(exo_cache_flush(c), 0);
	exo_cache_destroy(c);
	exo_close(x);
	x = open_handle(EXO_READ);
	CHECK_EQUAL(exo_cache_create(x, &options, &c), 0);
	for (unsigned int n = 0; n < 200; n++)
		CHECK(holds(c, n, n + 1));
	CHECK(holds(c, 300, 301));
	exo_cache_destroy(c);
	exo_close(x);
}

/* The queue is taken in the middle of it: errors, and what is cached stays. */
static void dead_queue(void)
{
	struct exo *x = open_handle(EXO_READ | EXO_WRITE);
	struct exo_cache_stats stats = { .size = sizeof(stats) };
	struct exo_cap_list list = { .count = 1 };
	struct exo_cap_query about = { 0 };
	struct exo_cap_drop drop = { 0 };
	struct exo_cache *c;
	uint32_t cap;
	void *buf;

	c = open_cache(x, 64, PAGE);
	CHECK_EQUAL(change(c, 1, 17), 0);
	CHECK_EQUAL(exo_cache_prefetch(c, 100, 16), 16);
	list.caps = exo_sys_address(&cap);
	while (!drop.cap && !exo_sys_cap_list(exo_fd(x), &list) && list.out_count) {
		about.cap = list.after = cap;
		if (!exo_sys_cap_query(exo_fd(x), &about) && about.out_type == EXO_TYPE_QUEUE)
			drop.cap = cap;
	}
	CHECK_EQUAL(exo_sys_cap_drop(exo_fd(x), &drop), 0);
	CHECK(exo_cache_get(c, 200, 0, &buf) < 0);
	CHECK(exo_cache_flush(c) < 0);
	CHECK(holds(c, 1, 17));
	CHECK(exo_cache_evict(c, 1) < 0);
	CHECK(exo_cache_get(c, 201, 0, &buf) < 0);
	/* Nothing takes the place of what was in flight. */
	CHECK_EQUAL(change(c, 2, 18), -ESTALE);
	exo_cache_get_stats(c, &stats);
	CHECK_EQUAL(stats.dirty, 1);
	exo_cache_destroy(c);
	exo_close(x);
}

static void comply(struct exo *x, const struct exo_asked *asked, void *cache)
{
	(void)x;
	exo_cache_comply(cache, asked);
}

static void *ask(void *arg)
{
	struct exo_revoke *call = arg;

	return (void *)(intptr_t)exo_sys_revoke(ours(), call);
}

/* Frames are asked back, and no force is needed. */
static void asked_back(void)
{
	struct exo_revoke call = { .timeout_ms = 20000, .frames = SLAB };
	struct estate e;
	struct exo_cache *c;
	pthread_t thread;
	void *result;
	struct exo *x;

	settle(&e, 3 * SLAB);
	x = open_in(&e, EXO_READ | EXO_WRITE);
	c = open_cache(x, 2 * SLAB, PAGE);
	CHECK_EQUAL(exo_on_revoke(x, comply, c), 0);
	for (unsigned int n = 0; n < 2 * SLAB; n++)
		CHECK_EQUAL(change(c, n, n + 7), 0);
	call.cap = e.pool;
	CHECK_EQUAL(pthread_create(&thread, NULL, ask, &call), 0);
	CHECK_EQUAL(exo_wait_any(x, NULL, 0, EXO_WAIT_FOREVER, NULL), EXO_READY_EVENTS);
	pthread_join(thread, &result);
	CHECK(!result);
	CHECK_EQUAL(call.out_frames, SLAB);
	CHECK_EQUAL(call.out_taken, 0);
	for (unsigned int n = 0; n < 2 * SLAB; n++)
		CHECK(holds(c, n, n + 7));
	exo_cache_destroy(c);
	exo_close(x);
	close(e.session);
	unsettle(&e);
}

static sigjmp_buf back;

static void on_bus_error(int signal)
{
	(void)signal;
	siglongjmp(back, 1);
}

static bool is_sigbus(const volatile char *at)
{
	struct sigaction action = { .sa_handler = on_bus_error }, before;
	bool caught = true;

	sigaction(SIGBUS, &action, &before);
	if (!sigsetjmp(back, 1)) {
		(void)*at;
		caught = false;
	}
	sigaction(SIGBUS, &before, NULL);
	return caught;
}

/* Its memory is gone: who touches it has a signal, the cache's own calls have errors. */
static void taken_by_force(void)
{
	struct exo_cache_stats stats = { .size = sizeof(stats) };
	struct exo_revoke all = { 0 };
	struct estate e;
	struct exo_cache *c;
	struct exo *x;
	void *one, *two, *buf;

	settle(&e, 2 * SLAB);
	x = open_in(&e, EXO_READ | EXO_WRITE);
	c = open_cache(x, SLAB, PAGE);
	CHECK_EQUAL(exo_cache_get(c, 1, EXO_CACHE_OVERWRITE, &one), 0);
	CHECK_EQUAL(change(c, 2, 22), 0);
	CHECK_EQUAL(exo_cache_prefetch(c, 100, 16), 16);
	all.cap = e.pool;
	CHECK_EQUAL(exo_sys_revoke(ours(), &all), 0);
	CHECK(all.out_taken > 0);
	CHECK(is_sigbus(one));
	CHECK_EQUAL(exo_cache_get(c, 2, 0, &two), 0);
	CHECK(is_sigbus(two));
	CHECK_EQUAL(exo_cache_put(c, 2), 0);
	/* Before and after the library knows. */
	for (unsigned int i = 0; i < 2; i++) {
		CHECK(exo_cache_get(c, 200 + i, 0, &buf) < 0);
		CHECK(!buf);
		CHECK(exo_cache_flush(c) < 0);
		CHECK(exo_cache_evict(c, 2) < 0);
		CHECK_EQUAL(exo_cache_give_up(c, 1), 0);
		CHECK(exo_dispatch(x) >= 0);
	}
	exo_cache_get_stats(c, &stats);
	CHECK_EQUAL(stats.failed, 2);
	exo_cache_destroy(c);
	exo_close(x);
	close(e.session);
	unsettle(&e);
}

static const struct tap_test tests[] = {
	TEST(on_the_module, "a cache on the module reads, reads ahead, writes behind and flushes"),
	TEST(order_on_the_module, "a page is on the disk before one ordered after it"),
	TEST(large_on_the_module, "pages of 2 MiB are moved in parts"),
	TEST(on_a_thread, "a cache works on a queue with a thread, which refuses late"),
	TEST(dead_queue, "when the queue is taken, calls end with errors and pages stay"),
	TEST(asked_back, "a cache gives what is asked back, and loses nothing"),
	TEST(taken_by_force,
	     "of memory that was taken by force, a touch is a signal and a call an error"),
};

TAP_MAIN(tests)
