// SPDX-License-Identifier: MIT
/*
 * What windows cost others: flushes of the CPUs' translations, time of who takes a capability
 * back, time under the locks of who has little memory.
 */
#include <linux/perf_event.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <kselftest_harness.h>

#include "cgroup.h"
#include "window.h"

#define FRAMES 512u

FIXTURE(wincost)
{
	struct tenant t;
	struct exo_frames_alloc frames;
	int fd;
};

FIXTURE_SETUP(wincost)
{
	touches_begin();
	POOL_SETUP(&self->t);
	self->fd = self->t.fd;
	ASSERT_EQ(0, frames_alloc(self->fd, self->t.pool, EXO_ORDER_4K, FRAMES, ANY_NODE,
				  &self->frames));
}

FIXTURE_TEARDOWN(wincost)
{
	tenant_destroy(&self->t);
}

/* ---- flushes ---- */

#define TRACING "/sys/kernel/tracing"
#define FLUSH_ID TRACING "/events/tlb/tlb_flush/id"

/* A counter of this thread's flushes; -ENOENT: the kernel has none. */
static int flushes_open(void)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_TRACEPOINT,
		.size = sizeof(attr),
	};
	char id[32];

	if ((mount("tracefs", TRACING, "tracefs", 0, NULL) && errno != EBUSY) ||
	    read_file(FLUSH_ID, id, sizeof(id)))
		return -ENOENT;
	attr.config = strtoull(id, NULL, 10);
	return syscall(__NR_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

static __u64 flushes(int counter)
{
	__u64 n = 0;

	return read(counter, &n, sizeof(n)) == sizeof(n) ? n : ~0ull;
}

static void write_all(char *at, unsigned int count)
{
	while (count--)
		*(volatile __u64 *)(at + (size_t)count * PAGE) = 1;
}

/* Each case begins with FRAMES entries that were written. */
TEST_F(wincost, what_lies_side_by_side_goes_in_one_flush)
{
	struct exo_window_op ops[FRAMES / 4] = {};
	int counter = flushes_open();
	cpu_set_t cpus;
	__u64 before;
	unsigned int i;
	char *at;

#ifndef __x86_64__
	SKIP(return, "only x86 has an event for each flush (tlb:tlb_flush)");
#endif
	if (counter < 0)
		SKIP(return, "this kernel counts no flushes");
	at = window_create(self->fd, FRAMES * PAGE);
	ASSERT_NE(MAP_FAILED, at);
	ASSERT_EQ(0, window_map(self->fd, at, 0, FRAMES, self->frames.out_cap, 0, RW));
	write_all(at, FRAMES);

	/* On one processor, which the others' memory of this one is flushed from. */
	CPU_ZERO(&cpus);
	CPU_SET(sched_getcpu(), &cpus);
	ASSERT_EQ(0, sched_setaffinity(0, sizeof(cpus), &cpus));
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, window_protect(self->fd, at, 0, FRAMES, R));
		ASSERT_EQ(0, window_protect(self->fd, at, 0, FRAMES, RW));
		write_all(at, FRAMES);
	}

	/* Counting works, and more access costs none. */
	before = flushes(counter);
	ASSERT_EQ(0, window_protect(self->fd, at, 0, FRAMES, R));
	EXPECT_EQ(1, flushes(counter) - before);
	before = flushes(counter);
	ASSERT_EQ(0, window_protect(self->fd, at, 0, FRAMES, RW));
	EXPECT_EQ(0, flushes(counter) - before);

	/* Every second can be written. */
	for (i = 0; i < FRAMES; i += 2)
		ASSERT_EQ(0, window_protect(self->fd, at, i, 1, R));
	before = flushes(counter);
	ASSERT_EQ(0, window_protect(self->fd, at, 0, FRAMES, R));
	EXPECT_EQ(1, flushes(counter) - before);

	/* One of four goes, in one call; those between can be written, and stay. */
	ASSERT_EQ(0, window_protect(self->fd, at, 0, FRAMES, RW));
	write_all(at, FRAMES);
	for (i = 0; i < FRAMES / 4; i++) {
		ops[i].op = EXO_WINDOW_UNMAP;
		ops[i].first = 4 * i;
		ops[i].count = 1;
	}
	before = flushes(counter);
	ASSERT_EQ(0, window_set(self->fd, at, ops, FRAMES / 4));
	EXPECT_GE(2, flushes(counter) - before);

	/* A quarter is empty already. */
	before = flushes(counter);
	ASSERT_EQ(0, window_unmap(self->fd, at, 0, FRAMES));
	EXPECT_EQ(1, flushes(counter) - before);
	close(counter);
	ASSERT_EQ(0, munmap(at, FRAMES * PAGE));
}

/* ---- taking back ---- */

#define CAPS 1024u
#define FAR (4ull << 30) /* bytes between a capability's two entries, all of which have a table */

static __u64 us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000ull + now.tv_nsec / 1000;
}

/* Microseconds to take CAPS capabilities, each with an entry at either end of @apart bytes. */
static __u64 time_of_taking(struct __test_metadata *_metadata, FIXTURE_DATA(wincost) * self,
			    char *at, __u64 apart)
{
	struct exo_frames_alloc top;
	unsigned int i;
	__u32 child;
	__u64 began;

	ASSERT_EQ(0, frames_alloc(self->fd, self->t.pool, EXO_ORDER_4K, 1, ANY_NODE, &top));
	for (i = 0; i < CAPS; i++) {
		ASSERT_EQ(0, derive(self->fd, top.out_cap, RW, EXO_SESSION_SELF, 0, 0, &child));
		ASSERT_EQ(0, window_map(self->fd, at, i, 1, child, 0, R));
		ASSERT_EQ(0, window_map(self->fd, at, apart / PAGE + CAPS + i, 1, child, 0, R));
	}
	began = us();
	ASSERT_EQ(0, cap_revoke(self->fd, top.out_cap, 0, 0, NULL));
	began = us() - began;
	EXPECT_EQ(SIGBUS, touch_read(at));
	ASSERT_EQ(0, drop(self->fd, top.out_cap));
	return began;
}

/* Not a pass over the whole table for each of them. */
TEST_F(wincost, taking_capabilities_back_takes_as_long_as_they_have_entries)
{
	const __u64 size = FAR + 4 * CAPS * PAGE;
	char *at = window_create(self->fd, size);
	__u64 i, near, far;

	ASSERT_NE(MAP_FAILED, at);
	for (i = 0; i < size / HUGE_PAGE; i++)
		ASSERT_EQ(0, window_map(self->fd, at, i * LARGE, 1, self->frames.out_cap, 0, NONE));
	near = time_of_taking(_metadata, self, at, 0);
	far = time_of_taking(_metadata, self, at, FAR);
	TH_LOG("near %llu us, far %llu us", near, far);
	EXPECT_GT(4 * near + 100000, far);
	ASSERT_EQ(0, munmap(at, size));
}

/* ---- a program that is throttled ---- */

#define APART (1ull << 30) /* then each entry needs a table and page tables of its own */

struct setter {
	FIXTURE_DATA(wincost) * self;
	char *at;
	int ret;
};

static void *set_all(void *arg)
{
	struct setter *setter = arg;
	struct exo_window_op *ops = calloc(EXO_WINDOW_OPS_MAX, sizeof(*ops));
	unsigned int i;

	for (i = 0; ops && i < EXO_WINDOW_OPS_MAX; i++) {
		ops[i].op = EXO_WINDOW_MAP;
		ops[i].first = i * (APART / PAGE);
		ops[i].count = 1;
		ops[i].access = R;
		ops[i].frames = setter->self->frames.out_cap;
	}
	setter->ret = ops ? window_set(setter->self->fd, setter->at, ops, EXO_WINDOW_OPS_MAX)
			  : -ENOMEM;
	free(ops);
	return NULL;
}

/*
 * Above memory.high the kernel has who allocates sleep, for up to two seconds each time: not
 * with the locks that a revocation waits for.
 */
TEST_F(wincost, a_throttled_program_does_not_hold_up_who_takes_its_frames)
{
	const __u64 size = EXO_WINDOW_OPS_MAX * APART;
	struct setter setter = { .self = self };
	long long begun;
	pthread_t thread;
	struct cgroup c;
	char high[32];
	__u64 began;
	__u32 child;

	ASSERT_EQ(0, derive(self->fd, self->frames.out_cap, RW, EXO_SESSION_SELF, 0, 0, &child));
	CGROUP_SETUP(&c);
	setter.at = window_create(self->fd, size);
	ASSERT_NE(MAP_FAILED, setter.at);
	begun = cgroup_read(&c, "memory.current");
	snprintf(high, sizeof(high), "%lld", begun + (1 << 20));
	ASSERT_EQ(0, cgroup_write(&c, "memory.high", high));
	self->frames.out_cap = child;
	ASSERT_EQ(0, pthread_create(&thread, NULL, set_all, &setter));
	/* It is in the middle of it, or done. */
	while (cgroup_read(&c, "memory.current") < begun + (4 << 20))
		usleep(1000);
	began = us();
	ASSERT_EQ(0, drop(self->fd, child));
	TH_LOG("dropped in %llu us", us() - began);
	EXPECT_GT(5000000, us() - began);
	ASSERT_EQ(0, cgroup_write(&c, "memory.high", "max"));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	/* Only between two attempts to find memory may the drop come. */
	EXPECT_TRUE(!setter.ret || setter.ret == -ENOENT);
	EXPECT_EQ(SIGBUS, touch_read(setter.at));
	ASSERT_EQ(0, munmap(setter.at, size));
	cgroup_leave(&c);
}

TEST_HARNESS_MAIN
