// SPDX-License-Identifier: MIT
/*
 * Threads that touch a window while others set it, take its frames away or unmap it. A touch
 * sees what the table said before or says after, never anything else, and nothing of
 * it once the call that changed it has returned.
 */
#include <pthread.h>
#include <sched.h>
#include <kselftest_harness.h>

#include "window.h"

#define FRAMES 64u
#define ENTRIES 1024u
#define SIZE (ENTRIES * PAGE)
#define THREADS 3u
#define GOOD 0x600d  /* what threads write, */
#define BAD 0xbad    /* and what a frame's next owner does */
#define RUN_MS 2000u /* of each test, */
#define ROUNDS 20u   /* but so many rounds at least */

FIXTURE(winrace)
{
	struct tenant t;
	struct exo_frames_alloc frames, large;
	char *at;
	int fd;
	__u64 apart;	 /* entries that look_for_strangers() touches are so far from each other */
	void *elsewhere; /* where mremap() shall move it */
	bool stop;
	unsigned int wrong; /* what no thread may ever see */
	__u64 touched;	    /* that anything was done at all */
};

FIXTURE_SETUP(winrace)
{
	touches_begin();
	POOL_SETUP(&self->t);
	ASSERT_EQ(0, become_nobody());
	self->fd = self->t.fd;
	ASSERT_EQ(0, frames_alloc(self->fd, self->t.pool, EXO_ORDER_4K, FRAMES, ANY_NODE,
				  &self->frames));
	ASSERT_EQ(0, frames_alloc(self->fd, self->t.pool, EXO_ORDER_2M, 2, ANY_NODE, &self->large));
	self->at = window_create(self->fd, SIZE);
	ASSERT_NE(MAP_FAILED, self->at);
}

FIXTURE_TEARDOWN(winrace)
{
	tenant_destroy(&self->t);
}

static volatile __u64 *entry(FIXTURE_DATA(winrace) * self, __u64 i)
{
	return (volatile __u64 *)(self->at + i * PAGE);
}

static bool going(FIXTURE_DATA(winrace) * self)
{
	return !__atomic_load_n(&self->stop, __ATOMIC_ACQUIRE);
}

static void is_wrong(FIXTURE_DATA(winrace) * self)
{
	__atomic_fetch_add(&self->wrong, 1, __ATOMIC_RELAXED);
}

static void did_touch(FIXTURE_DATA(winrace) * self)
{
	__atomic_fetch_add(&self->touched, 1, __ATOMIC_RELAXED);
}

static void begin(struct __test_metadata *_metadata, FIXTURE_DATA(winrace) * self,
		  pthread_t *threads, unsigned int n, void *(*run)(void *))
{
	while (n--)
		ASSERT_EQ(0, pthread_create(&threads[n], NULL, run, self));
}

static void end(struct __test_metadata *_metadata, FIXTURE_DATA(winrace) * self, pthread_t *threads,
		unsigned int n)
{
	__atomic_store_n(&self->stop, true, __ATOMIC_RELEASE);
	while (n--)
		ASSERT_EQ(0, pthread_join(threads[n], NULL));
	EXPECT_EQ(0, self->wrong);
}

static bool more(__u64 n, __u64 limit)
{
	return n < ROUNDS || now_ms() < limit;
}

/* Until the others have done something since the last time, or the time is over. */
static void let_them(FIXTURE_DATA(winrace) * self, __u64 *before)
{
	const __u64 limit = now_ms() + 200;

	while (__atomic_load_n(&self->touched, __ATOMIC_RELAXED) == *before && now_ms() < limit)
		sched_yield();
	*before = __atomic_load_n(&self->touched, __ATOMIC_RELAXED);
}

/* ---- mapping and unmapping under touches ---- */

/* Frame i holds i + 1, and is in entry i or i + FRAMES, in this or the other order. */
static void *look_at_frames(void *arg)
{
	FIXTURE_DATA(winrace) *self = arg;
	__u64 value, i;

	while (going(self)) {
		for (i = 0; i < 2 * FRAMES; i++) {
			__u64 a = i % FRAMES + 1, b = FRAMES - i % FRAMES;

			if (!peek(entry(self, i), &value) && value != a && value != b)
				is_wrong(self);
			did_touch(self);
		}
	}
	return NULL;
}

TEST_F(winrace, a_touch_sees_a_frame_that_the_entry_had_or_none)
{
	const __u64 limit = now_ms() + RUN_MS;
	struct exo_window_op ops[FRAMES];
	pthread_t threads[THREADS];
	__u64 seen = 0, i, n;

	ASSERT_EQ(0, window_map(self->fd, self->at, 0, FRAMES, self->frames.out_cap, 0, RW));
	for (i = 0; i < FRAMES; i++)
		*entry(self, i) = i + 1;
	begin(_metadata, self, threads, THREADS, look_at_frames);
	for (n = 0; more(n, limit); n++) {
		const __u64 base = n & 1 ? FRAMES : 0;

		memset(ops, 0, sizeof(ops));
		for (i = 0; i < FRAMES; i++)
			ops[i] = (struct exo_window_op){
				.op = EXO_WINDOW_MAP,
				.first = base + i,
				.count = 1,
				.frames = self->frames.out_cap,
				.page = n & 2 ? i : FRAMES - 1 - i,
				.access = n & 4 ? R : RW,
			};
		ASSERT_EQ(0, window_set(self->fd, self->at, ops, FRAMES));
		let_them(self, &seen);
		ASSERT_EQ(0, window_unmap(self->fd, self->at, base + n % 32, 32));
	}
	end(_metadata, self, threads, THREADS);
}

/* ---- protection ---- */

static void *count_up(void *arg)
{
	FIXTURE_DATA(winrace) *self = arg;
	__u64 n = 0, i;

	while (going(self)) {
		n++;
		for (i = 0; i < 4; i++)
			if (!poke(entry(self, i), n))
				did_touch(self);
	}
	return NULL;
}

/* The race that matters: a write fault that was decided before the protection, and ends after. */
TEST_F(winrace, no_write_lands_after_the_entry_was_protected)
{
	const __u64 limit = now_ms() + RUN_MS;
	pthread_t threads[THREADS];
	__u64 seen = 0, n, i, before[4], value;

	ASSERT_EQ(0, window_map(self->fd, self->at, 0, 4, self->frames.out_cap, 0, RW));
	begin(_metadata, self, threads, THREADS, count_up);
	for (n = 0; more(n, limit); n++) {
		let_them(self, &seen);
		ASSERT_EQ(0, window_protect(self->fd, self->at, 0, 4, R));
		for (i = 0; i < 4; i++)
			before[i] = *entry(self, i);
		if (n & 1)
			sched_yield();
		for (i = 0; i < 4; i++) {
			ASSERT_EQ(0, peek(entry(self, i), &value));
			EXPECT_EQ(before[i], value);
		}
		/* Raised and lowered again at once: what faults in between must not be late. */
		ASSERT_EQ(0, window_protect(self->fd, self->at, 0, 4, RW));
		ASSERT_EQ(0, window_protect(self->fd, self->at, 0, 4, R));
		for (i = 0; i < 4; i++)
			before[i] = *entry(self, i);
		sched_yield();
		for (i = 0; i < 4; i++) {
			EXPECT_EQ(before[i], *entry(self, i));
		}
		ASSERT_EQ(0, window_protect(self->fd, self->at, 0, 4, RW));
	}
	end(_metadata, self, threads, THREADS);
	EXPECT_LT(0, self->touched);
}

static __u64 counted(FIXTURE_DATA(winrace) * self)
{
	__u64 sum = 0, i;

	for (i = 0; i < 4; i++)
		sum += *entry(self, i);
	return sum;
}

TEST_F(winrace, no_write_lands_in_2_MiB_after_they_were_protected)
{
	const __u64 limit = now_ms() + RUN_MS;
	pthread_t threads[THREADS];
	__u64 seen = 0, changes = 0, n, before, last_time, bitmap[LARGE / 64];

	ASSERT_EQ(0, window_map_large(self->fd, self->at, 0, LARGE, self->large.out_cap, 0, RW));
	last_time = counted(self);
	begin(_metadata, self, threads, THREADS, count_up);
	for (n = 0; more(n, limit) || !changes; n++) {
		int dirty;

		let_them(self, &seen);
		ASSERT_EQ(0, window_protect(self->fd, self->at, 0, LARGE, R));
		before = counted(self);
		dirty = window_dirty(self->fd, self->at, 0, LARGE, bitmap);
		/* What was written since it was last asked it is, and is not while it is protected. */
		EXPECT_TRUE(dirty == LARGE || (!dirty && before == last_time));
		changes += before != last_time;
		sched_yield();
		EXPECT_EQ(before, counted(self));
		EXPECT_EQ(0, window_dirty(self->fd, self->at, 0, LARGE, bitmap));
		last_time = before;
		ASSERT_EQ(0, window_protect(self->fd, self->at, 0, LARGE, RW));
	}
	end(_metadata, self, threads, THREADS);
}

/* ---- dirty bits ---- */

static void *write_some(void *arg)
{
	FIXTURE_DATA(winrace) *self = arg;
	__u64 n = 0;

	while (going(self)) {
		__u64 i = random_u32() % FRAMES;

		if (!poke(entry(self, i), ++n))
			did_touch(self);
	}
	return NULL;
}

/* What changed between two looks at the memory was told to be dirty between those looks. */
TEST_F(winrace, no_write_is_missed_by_the_dirty_bits)
{
	const __u64 limit = now_ms() + RUN_MS;
	__u64 n, i, bitmap, told[FRAMES] = { 0 }, seen = 0;
	pthread_t threads[THREADS];

	ASSERT_EQ(0, window_map(self->fd, self->at, 0, FRAMES, self->frames.out_cap, 0, RW));
	begin(_metadata, self, threads, THREADS, write_some);
	for (n = 0; more(n, limit); n++) {
		let_them(self, &seen);
		/* As a pager does: protect, ask, and copy what is dirty. */
		if (n & 1)
			ASSERT_EQ(0,
				  window_protect(self->fd, self->at, 0, FRAMES, n & 2 ? R : NONE));
		ASSERT_LE(0, window_dirty(self->fd, self->at, 0, FRAMES, &bitmap));
		if (n & 1)
			ASSERT_EQ(0, window_protect(self->fd, self->at, 0, FRAMES, R));
		for (i = 0; i < FRAMES; i++) {
			__u64 value = *entry(self, i);

			if (n & 1 && !(bitmap >> i & 1)) {
				EXPECT_EQ(told[i], value);
			}
			if (n & 1)
				told[i] = value;
		}
		/* Without the protection: what was written may be told by the next. */
		if (!(n & 1)) {
			__u64 more;

			ASSERT_EQ(0, window_protect(self->fd, self->at, 0, FRAMES, R));
			ASSERT_LE(0, window_dirty(self->fd, self->at, 0, FRAMES, &more));
			for (i = 0; i < FRAMES; i++) {
				__u64 value = *entry(self, i);

				if (!((bitmap | more) >> i & 1)) {
					EXPECT_EQ(told[i], value);
				}
				told[i] = value;
			}
		}
		ASSERT_EQ(0, window_protect(self->fd, self->at, 0, FRAMES, RW));
	}
	end(_metadata, self, threads, THREADS);
}

/* ---- frames that change hands ---- */

static void *look_for_strangers(void *arg)
{
	FIXTURE_DATA(winrace) *self = arg;
	__u64 value, i;

	while (going(self)) {
		for (i = 0; i < FRAMES; i++) {
			if (!peek(entry(self, i * self->apart), &value) && value && value != GOOD)
				is_wrong(self);
			poke(entry(self, i * self->apart), GOOD);
			did_touch(self);
		}
	}
	return NULL;
}

/* The same through the kernel, while the kernel begins to move the window and gives it up. */
static void *look_from_behind(void *arg)
{
	FIXTURE_DATA(winrace) *self = arg;
	int mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	const __u64 good = GOOD;
	__u64 value, i;

	if (mem < 0)
		is_wrong(self);
	while (mem >= 0 && going(self)) {
		for (i = 0; i < FRAMES; i++) {
			off_t at = (uintptr_t)entry(self, i * self->apart);

			if (pread(mem, &value, sizeof(value), at) == sizeof(value) && value &&
			    value != GOOD)
				is_wrong(self);
			if (pwrite(mem, &good, sizeof(good), at) < 0 && errno != EIO)
				is_wrong(self);
			did_touch(self);
		}
		if (mremap(self->at, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, self->elsewhere) !=
		    MAP_FAILED)
			is_wrong(self);
	}
	close(mem);
	return NULL;
}

/* What was dropped or taken is written by its next owner, who must not find our writes. */
static void change_hands(struct __test_metadata *_metadata, FIXTURE_DATA(winrace) * self,
			 __u32 order, void *(*look)(void *))
{
	const __u64 limit = now_ms() + RUN_MS;
	const __u32 units = order == EXO_ORDER_2M ? 2 : FRAMES;
	pthread_t threads[THREADS];
	struct exo_frames_alloc arg;
	__u64 n, i, seen = 0;
	struct buffer next;
	__u32 child;

	self->apart = order == EXO_ORDER_2M ? ENTRIES / FRAMES : 1;
	begin(_metadata, self, threads, THREADS, look);
	for (n = 0; more(n, limit); n++) {
		ASSERT_EQ(0, frames_alloc(self->fd, self->t.pool, order, units, ANY_NODE, &arg));
		ASSERT_EQ(0, derive(self->fd, arg.out_cap, RW, EXO_SESSION_SELF, 0, 0, &child));
		if (order == EXO_ORDER_2M) {
			ASSERT_EQ(0,
				  window_map_large(self->fd, self->at, 0, ENTRIES, child, 0, RW));
		} else {
			ASSERT_EQ(0, window_map(self->fd, self->at, 0, FRAMES, child, 0, RW));
		}
		let_them(self, &seen);
		if (n & 1) {
			ASSERT_EQ(0, cap_revoke(self->fd, arg.out_cap, 0, 0, NULL));
		}
		ASSERT_EQ(0, drop(self->fd, child));
		ASSERT_EQ(0, drop(self->fd, arg.out_cap));
		ASSERT_EQ(0, buffer_alloc(self->fd, self->t.pool, order, units, &next));
		for (i = 0; i < FRAMES; i++) {
			__u64 *word = (__u64 *)((char *)next.at + i * self->apart * PAGE);

			EXPECT_EQ(0, *word);
			*word = BAD;
		}
		sched_yield();
		for (i = 0; i < FRAMES; i++) {
			EXPECT_EQ(BAD, *(__u64 *)((char *)next.at + i * self->apart * PAGE));
		}
		ASSERT_EQ(0, buffer_free(self->fd, &next));
	}
	end(_metadata, self, threads, THREADS);
}

TEST_F(winrace, frames_that_were_taken_are_not_touched_any_more)
{
	change_hands(_metadata, self, EXO_ORDER_4K, look_for_strangers);
}

TEST_F(winrace, large_frames_that_were_taken_are_not_touched_any_more)
{
	change_hands(_metadata, self, EXO_ORDER_2M, look_for_strangers);
}

TEST_F(winrace, nor_are_they_by_a_debugger_while_the_window_would_move)
{
	self->elsewhere = mmap(NULL, SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->elsewhere);
	change_hands(_metadata, self, EXO_ORDER_4K, look_from_behind);
}

/* ---- several that set ---- */

static void *set_at_random(void *arg)
{
	FIXTURE_DATA(winrace) *self = arg;

	while (going(self)) {
		__u64 first = random_u32() % (ENTRIES - FRAMES), value;
		__u32 access = (__u32[]){ NONE, R, RW }[random_u32() % 3];
		__u32 count = 1 + random_u32() % FRAMES;
		__u64 bitmap[2];
		int ret = 0;

		switch (random_u32() % 8) {
		case 0:
		case 1:
			ret = window_map(self->fd, self->at, first, count, self->frames.out_cap,
					 random_u32() % (FRAMES - count + 1), access);
			break;
		case 2:
			ret = window_map_large(self->fd, self->at, random_u32() % 2 * LARGE, LARGE,
					       self->large.out_cap, random_u32() % 2 * LARGE,
					       access);
			break;
		case 3:
			ret = window_unmap(self->fd, self->at, first, count);
			break;
		case 4:
			ret = window_unmap(self->fd, self->at, random_u32() % 2 * LARGE, LARGE);
			break;
		case 5:
			ret = window_protect(self->fd, self->at, first, count, access);
			break;
		case 6:
			ret = window_protect(self->fd, self->at, random_u32() % 2 * LARGE, LARGE,
					     access);
			break;
		default:
			ret = window_dirty(self->fd, self->at, first, count, bitmap);
			break;
		}
		/* Entries that are empty, parts of 2 MiB, or what was dropped meanwhile. */
		if (ret < 0 && ret != -ENOENT && ret != -EINVAL && ret != -ESTALE)
			is_wrong(self);
		if (!peek(entry(self, first), &value))
			poke(entry(self, first), value);
		did_touch(self);
	}
	return NULL;
}

/* Which of them was last is theirs to know; the kernel stays sound, and so does the end. */
TEST_F(winrace, any_number_may_set_the_same_entries)
{
	const __u64 limit = now_ms() + RUN_MS;
	pthread_t threads[THREADS];
	__u64 seen = 0, value, i;

	begin(_metadata, self, threads, THREADS, set_at_random);
	for (i = 0; more(i, limit); i++)
		let_them(self, &seen);
	end(_metadata, self, threads, THREADS);
	EXPECT_LT(0, self->touched);
	/* All of it is as the last call says. */
	ASSERT_EQ(0, window_unmap(self->fd, self->at, 0, ENTRIES));
	for (i = 0; i < ENTRIES; i++) {
		EXPECT_EQ(SIGBUS, peek(entry(self, i), &value));
	}
	ASSERT_EQ(0, window_map(self->fd, self->at, 3, FRAMES, self->frames.out_cap, 0, RW));
	EXPECT_EQ(0, poke(entry(self, 3 + FRAMES - 1), 1));
	ASSERT_EQ(0, drop(self->fd, self->frames.out_cap));
	ASSERT_EQ(0, drop(self->fd, self->large.out_cap));
	EXPECT_EQ(0, frames_used_soon(self->fd, 0));
}

TEST_F(winrace, frames_may_be_dropped_while_they_are_mapped)
{
	const __u64 limit = now_ms() + RUN_MS;
	pthread_t threads[THREADS];
	__u64 n, seen = 0;

	begin(_metadata, self, threads, THREADS, set_at_random);
	for (n = 0; more(n, limit); n++) {
		struct exo_frames_alloc small, large;

		/* Who calls with the old numbers meanwhile gets ENOENT. */
		ASSERT_EQ(0, drop(self->fd, self->frames.out_cap));
		ASSERT_EQ(0, drop(self->fd, self->large.out_cap));
		ASSERT_EQ(0, frames_alloc(self->fd, self->t.pool, EXO_ORDER_4K, FRAMES, ANY_NODE,
					  &small));
		ASSERT_EQ(0,
			  frames_alloc(self->fd, self->t.pool, EXO_ORDER_2M, 2, ANY_NODE, &large));
		self->frames = small;
		self->large = large;
		let_them(self, &seen);
	}
	end(_metadata, self, threads, THREADS);
	ASSERT_EQ(0, drop(self->fd, self->frames.out_cap));
	ASSERT_EQ(0, drop(self->fd, self->large.out_cap));
	EXPECT_EQ(0, frames_used_soon(self->fd, 0));
}

/* A window ends while its capabilities do, its entries are set, and it is touched. */
TEST_F(winrace, a_window_may_end_at_any_moment)
{
	const __u64 limit = now_ms() + RUN_MS;
	pthread_t threads[THREADS];
	__u64 n, seen = 0;
	__u32 child;

	begin(_metadata, self, threads, THREADS, set_at_random);
	for (n = 0; more(n, limit); n++) {
		ASSERT_EQ(0, derive(self->fd, self->frames.out_cap, RW, EXO_SESSION_SELF, 0, 0,
				    &child));
		window_map(self->fd, self->at, 0, FRAMES, child, 0, RW);
		/* In its place there is a new one at once, so that no other mapping comes there. */
		ASSERT_EQ(self->at,
			  mmap(self->at, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
			       self->fd, (off_t)EXO_WINDOW_OFFSET));
		ASSERT_EQ(0, drop(self->fd, child));
		let_them(self, &seen);
	}
	end(_metadata, self, threads, THREADS);
	ASSERT_EQ(0, munmap(self->at, SIZE));
	ASSERT_EQ(0, drop(self->fd, self->frames.out_cap));
	ASSERT_EQ(0, drop(self->fd, self->large.out_cap));
	EXPECT_EQ(0, frames_used_soon(self->fd, 0));
}

TEST_HARNESS_MAIN
