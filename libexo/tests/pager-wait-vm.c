// SPDX-License-Identifier: LGPL-2.1-only
/*
 * A touch that waits for what other threads read, on a disk of 20 operations a second: run by
 * pager-wait.vm.sh under exo-run, without privileges, with 16 MiB of memory.
 */
#define _GNU_SOURCE 1
#include <pthread.h>
#include <sched.h>
#include <time.h>

#include "pager-vm-rig.h"

#define PAGE MIB /* two operations */
#define PINNED 8u
#define READING 8u
#define MS 1000000ull

static uint64_t now_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * 1000 * MS + t.tv_nsec;
}

static void touch(uint64_t page)
{
	(void)*(volatile uint64_t *)(at + page * PAGE / 8);
}

static void *touch_last(void *arg)
{
	touch(*(uint64_t *)arg);
	return NULL;
}

/* Half of all pages are pinned. */
static void begin(void)
{
	struct exo_pager_options o = { .size = sizeof(o),
				       .page = PAGE,
				       .memory = (PINNED + READING) * PAGE,
				       .bytes = 64 * PAGE,
				       .read_ahead = EXO_READ_AHEAD_NONE };

	begin_with(EXO_READ, &o);
	must(exo_pager_pin(p, at, PINNED * PAGE));
}

/*
 * The other half is being read, which another thread waits for: a touch of one more page has to wait until
 * the first of them is there, and has nothing in flight. If it has their lane for once, and the other thread
 * waits for it, it passes.
 */
static void who_has_nothing_in_flight_sleeps(void)
{
	uint64_t last = PINNED + READING - 1, faults, began, used;
	pthread_t other;

	begin();
	CHECK_EQUAL(exo_pager_prefetch(p, at + PINNED * PAGE / 8, READING * PAGE), READING);
	faults = stats().faults;
	CHECK(!pthread_create(&other, NULL, touch_last, &last));
	while (stats().faults == faults)
		sched_yield();
	began = now_ns(CLOCK_MONOTONIC);
	used = now_ns(CLOCK_THREAD_CPUTIME_ID);
	touch(last + 1);
	used = now_ns(CLOCK_THREAD_CPUTIME_ID) - used;
	began = now_ns(CLOCK_MONOTONIC) - began;
	pthread_join(other, NULL);
	printf("# %llu ms of the processor in %llu ms\n", (unsigned long long)(used / MS),
	       (unsigned long long)(began / MS));
	CHECK(began > 100 * MS);
	/* Who polls does so until the first read ends, which is 100 ms. */
	CHECK(used < 50 * MS);
	end();
}

/* Its reads are in flight, and nobody waits for them. */
static void what_nobody_waits_for_ends_all_the_same(void)
{
	begin();
	CHECK_EQUAL(exo_pager_prefetch(p, at + PINNED * PAGE / 8, READING * PAGE), READING);
	for (uint64_t i = 0; i < 4; i++)
		touch(40 + i);
	end();
}

static const struct tap_test tests[] = {
	TEST(who_has_nothing_in_flight_sleeps,
	     "a touch that waits for another thread's read leaves the processor to others"),
	TEST(what_nobody_waits_for_ends_all_the_same,
	     "reads that nobody waits for make room all the same"),
};

TAP_MAIN(tests)
