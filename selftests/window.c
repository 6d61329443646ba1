// SPDX-License-Identifier: MIT
/*
 * Windows: what the operations do to entries, what a touch of each does then, what dirty bits
 * tell, and what is refused.
 */
#include <kselftest_harness.h>

#include "cgroup.h"
#include "window.h"

#define FRAMES 64u    /* of 4 KiB */
#define UNITS 2u      /* of 2 MiB */
#define ENTRIES 2048u /* of the window: 8 MiB */

FIXTURE(window)
{
	struct tenant t;
	struct buffer b;     /* frames that the window shows; page i begins with i + 1 */
	struct buffer large; /* likewise, of 2 MiB */
	char *at;
	int fd;
};

static void number_pages(struct buffer *b)
{
	size_t i;

	for (i = 0; i < b->size / PAGE; i++)
		*(__u64 *)((char *)b->at + i * PAGE) = i + 1;
}

FIXTURE_SETUP(window)
{
	POOL_SETUP(&self->t);
	ASSERT_EQ(0, become_nobody());
	self->fd = self->t.fd;
	ASSERT_EQ(0, buffer_alloc(self->fd, self->t.pool, EXO_ORDER_4K, FRAMES, &self->b));
	ASSERT_EQ(0, buffer_alloc(self->fd, self->t.pool, EXO_ORDER_2M, UNITS, &self->large));
	number_pages(&self->b);
	number_pages(&self->large);
	self->at = window_create(self->fd, ENTRIES * PAGE);
	ASSERT_NE(MAP_FAILED, self->at);
}

FIXTURE_TEARDOWN(window)
{
	if (self->at)
		munmap(self->at, ENTRIES * PAGE);
	tenant_destroy(&self->t);
}

static volatile __u64 *entry(FIXTURE_DATA(window) * self, __u64 i)
{
	return (volatile __u64 *)(self->at + i * PAGE);
}

static volatile __u64 *frame(FIXTURE_DATA(window) * self, __u64 i)
{
	return (volatile __u64 *)((char *)self->b.at + i * PAGE);
}

static bool bit(const __u64 *bitmap, __u64 i)
{
	return bitmap[i / 64] >> (i % 64) & 1;
}

/* ---- entries ---- */

TEST_F(window, a_new_one_is_empty)
{
	static const __u64 some[] = { 0, 1, 511, 512, ENTRIES - 1 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(some); i++) {
		EXPECT_EQ(SIGBUS, touch_read(entry(self, some[i])));
		EXPECT_EQ(SIGBUS, touch_write(entry(self, some[i])));
	}
}

TEST_F(window, entries_show_the_frames_they_were_given)
{
	__u64 i;

	ASSERT_EQ(0, window_map(self->fd, self->at, 500, FRAMES, self->b.cap, 0, RW));
	for (i = 0; i < FRAMES; i++) {
		EXPECT_EQ(i + 1, *entry(self, 500 + i));
		*entry(self, 500 + i) = i + 1000;
		EXPECT_EQ(i + 1000, *frame(self, i));
	}
	EXPECT_EQ(SIGBUS, touch_read(entry(self, 499)));
	EXPECT_EQ(SIGBUS, touch_read(entry(self, 500 + FRAMES)));
}

TEST_F(window, scattered_frames_lie_side_by_side)
{
	struct exo_window_op ops[FRAMES] = { 0 };
	__u64 i;

	for (i = 0; i < FRAMES; i++)
		ops[i] = (struct exo_window_op){
			.op = EXO_WINDOW_MAP,
			.first = i,
			.count = 1,
			.access = RW,
			.frames = self->b.cap,
			.page = (i * 37) % FRAMES,
		};
	ASSERT_EQ(0, window_set(self->fd, self->at, ops, FRAMES));
	for (i = 0; i < FRAMES; i++) {
		EXPECT_EQ((i * 37) % FRAMES + 1, *entry(self, i));
	}
}

TEST_F(window, contiguous_frames_lie_scattered)
{
	struct exo_window_op ops[FRAMES] = { 0 };
	__u64 i;

	for (i = 0; i < FRAMES; i++)
		ops[i] = (struct exo_window_op){
			.op = EXO_WINDOW_MAP,
			.first = (i * 613) % ENTRIES,
			.count = 1,
			.access = R,
			.frames = self->b.cap,
			.page = i,
		};
	ASSERT_EQ(0, window_set(self->fd, self->at, ops, FRAMES));
	for (i = 0; i < FRAMES; i++) {
		EXPECT_EQ(i + 1, *entry(self, (i * 613) % ENTRIES));
		EXPECT_EQ(SIGBUS, touch_write(entry(self, (i * 613) % ENTRIES)));
	}
}

TEST_F(window, pages_of_large_frames_can_be_small_entries)
{
	ASSERT_EQ(0, window_map(self->fd, self->at, 3, 5, self->large.cap, LARGE + 7, RW));
	EXPECT_EQ(LARGE + 8, *entry(self, 3));
	EXPECT_EQ(LARGE + 12, *entry(self, 7));
}

/* Then 2 MiB of its table are of two page tables. */
TEST_F(window, it_may_begin_at_any_page)
{
	const __u64 pages = 1024, before = 100, many = 3 * pages;
	char *area = mmap(NULL, many * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *beside, *at;
	__u64 i;

	ASSERT_NE(MAP_FAILED, area);
	at = area + (-(uintptr_t)area & (HUGE_PAGE - 1)) + HUGE_PAGE - before * PAGE;
	ASSERT_EQ(at, mmap(at, pages * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
			   self->fd, (off_t)EXO_WINDOW_OFFSET));
	/* What lies behind the first page table stays as it is. */
	beside = at + pages * PAGE;
	ASSERT_EQ(beside, mmap(beside, PAGE, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	*beside = 7;
	ASSERT_EQ(0, window_map(self->fd, at, 0, pages, self->large.cap, 0, RW));
	for (i = 0; i < pages; i++) {
		ASSERT_EQ(i + 1, *(__u64 *)(at + i * PAGE));
		*(__u64 *)(at + i * PAGE) = i + 2;
	}
	EXPECT_EQ(7, *beside);
	ASSERT_EQ(0, window_protect(self->fd, at, 0, pages, EXO_RIGHT_READ));
	EXPECT_EQ(SIGBUS, touch_write(at + (before - 1) * PAGE));
	EXPECT_EQ(SIGBUS, touch_write(at + before * PAGE));
	ASSERT_EQ(0, window_unmap(self->fd, at, before - 1, 2));
	EXPECT_EQ(SIGBUS, touch_read(at + (before - 1) * PAGE));
	EXPECT_EQ(SIGBUS, touch_read(at + before * PAGE));
	for (i = 0; i < pages; i++)
		ASSERT_EQ(i + 2, ((__u64 *)self->large.at)[i * PAGE / sizeof(__u64)]);
	munmap(area, many * PAGE);
}

TEST_F(window, one_frame_may_be_in_many_entries)
{
	__u64 i;

	for (i = 0; i < 100; i++) {
		ASSERT_EQ(0,
			  window_map(self->fd, self->at, i * 7, 1, self->b.cap, 5, i & 1 ? R : RW));
	}
	*entry(self, 0) = 77;
	for (i = 0; i < 100; i++) {
		EXPECT_EQ(77, *entry(self, i * 7));
		EXPECT_EQ(i & 1 ? SIGBUS : 0, touch_write(entry(self, i * 7)));
	}
}

TEST_F(window, an_entry_that_is_mapped_anew_shows_the_new_frame)
{
	__u64 i;

	for (i = 0; i < FRAMES; i++) {
		ASSERT_EQ(0, window_map(self->fd, self->at, 9, 1, self->b.cap, i, i & 1 ? R : RW));
		EXPECT_EQ(i + 1, *entry(self, 9));
		EXPECT_EQ(i & 1 ? SIGBUS : 0, touch_write(entry(self, 9)));
	}
}

TEST_F(window, access_is_what_was_last_said)
{
	static const __u32 turns[] = { R, RW, NONE, RW, R, NONE, R, RW, RW, NONE, NONE, RW };
	unsigned int i, n;

	ASSERT_EQ(0, window_map(self->fd, self->at, 0, FRAMES, self->b.cap, 0, RW));
	for (i = 0; i < ARRAY_SIZE(turns); i++) {
		ASSERT_EQ(0, window_protect(self->fd, self->at, 0, FRAMES, turns[i]));
		for (n = 0; n < FRAMES; n += 13) {
			EXPECT_EQ(turns[i] ? 0 : SIGBUS, touch_read(entry(self, n)));
			EXPECT_EQ(turns[i] == RW ? 0 : SIGBUS, touch_write(entry(self, n)));
			if (turns[i]) {
				EXPECT_EQ(n + 1, *entry(self, n));
			}
		}
	}
}

TEST_F(window, an_entry_without_access_can_be_mapped_and_keeps_its_frame)
{
	ASSERT_EQ(0, window_map(self->fd, self->at, 0, 4, self->b.cap, 8, NONE));
	EXPECT_EQ(SIGBUS, touch_read(entry(self, 2)));
	ASSERT_EQ(0, window_protect(self->fd, self->at, 0, 4, R));
	EXPECT_EQ(11, *entry(self, 2));
	EXPECT_EQ(SIGBUS, touch_write(entry(self, 2)));
}

TEST_F(window, unmapped_entries_are_empty_and_their_neighbours_stay)
{
	__u64 i;

	ASSERT_EQ(0, window_map(self->fd, self->at, 0, FRAMES, self->b.cap, 0, RW));
	ASSERT_EQ(0, window_unmap(self->fd, self->at, 10, 20));
	for (i = 0; i < FRAMES; i++) {
		EXPECT_EQ(i >= 10 && i < 30 ? SIGBUS : 0, touch_write(entry(self, i)));
	}
	/* What is empty can be unmapped. */
	ASSERT_EQ(0, window_unmap(self->fd, self->at, 0, ENTRIES));
	ASSERT_EQ(0, window_unmap(self->fd, self->at, 0, ENTRIES));
	EXPECT_EQ(SIGBUS, touch_read(entry(self, 0)));
}

TEST_F(window, mapping_what_is_there_changes_its_access_alone)
{
	__u64 bitmap;

	ASSERT_EQ(0, window_map(self->fd, self->at, 0, 8, self->b.cap, 0, RW));
	*entry(self, 3) = 4;
	ASSERT_EQ(0, window_map(self->fd, self->at, 0, 8, self->b.cap, 0, R));
	EXPECT_EQ(SIGBUS, touch_write(entry(self, 3)));
	ASSERT_EQ(0, window_map(self->fd, self->at, 0, 8, self->b.cap, 0, RW));
	EXPECT_EQ(1, window_dirty(self->fd, self->at, 0, 8, &bitmap));
	EXPECT_EQ(1 << 3, bitmap);
}

/* ---- batches ---- */

#define OP_MAP(first_, count_, cap, page_, access_)                                    \
	{                                                                              \
		.op = EXO_WINDOW_MAP, .first = first_, .count = count_, .frames = cap, \
		.page = page_, .access = access_                                       \
	}
#define OP_UNMAP(first_, count_)                                         \
	{                                                                \
		.op = EXO_WINDOW_UNMAP, .first = first_, .count = count_ \
	}
#define OP_PROTECT(first_, count_, access_)                                                   \
	{                                                                                     \
		.op = EXO_WINDOW_PROTECT, .first = first_, .count = count_, .access = access_ \
	}

TEST_F(window, operations_are_done_in_their_order)
{
	const __u32 cap = self->b.cap;
	const struct exo_window_op ops[] = {
		OP_MAP(0, 8, cap, 0, RW),
		OP_MAP(0, 1, cap, 20, R),
		OP_PROTECT(1, 1, NONE),
		OP_UNMAP(2, 1),
		OP_UNMAP(3, 1),
		OP_MAP(3, 1, cap, 30, RW),
		OP_PROTECT(4, 1, NONE),
		OP_PROTECT(4, 1, R),
		OP_PROTECT(5, 1, R),
		OP_PROTECT(5, 1, RW),
		OP_MAP(6, 1, cap, 40, RW),
		OP_PROTECT(6, 1, NONE),
		OP_MAP(6, 1, cap, 6, RW),
		OP_PROTECT(7, 1, NONE),
		OP_UNMAP(7, 1),
		OP_MAP(7, 1, cap, 50, R),
	};
	int round;

	/* Once over nothing, once over what the first left. */
	for (round = 0; round < 2; round++) {
		ASSERT_EQ(0, window_set(self->fd, self->at, ops, ARRAY_SIZE(ops)));
		EXPECT_EQ(21, *entry(self, 0));
		EXPECT_EQ(SIGBUS, touch_write(entry(self, 0)));
		EXPECT_EQ(SIGBUS, touch_read(entry(self, 1)));
		EXPECT_EQ(SIGBUS, touch_read(entry(self, 2)));
		EXPECT_EQ(31, *entry(self, 3));
		EXPECT_EQ(0, touch_write(entry(self, 3)));
		EXPECT_EQ(5, *entry(self, 4));
		EXPECT_EQ(SIGBUS, touch_write(entry(self, 4)));
		EXPECT_EQ(6, *entry(self, 5));
		EXPECT_EQ(0, touch_write(entry(self, 5)));
		EXPECT_EQ(7, *entry(self, 6));
		EXPECT_EQ(0, touch_write(entry(self, 6)));
		EXPECT_EQ(51, *entry(self, 7));
		EXPECT_EQ(SIGBUS, touch_write(entry(self, 7)));
	}
}

TEST_F(window, a_batch_ends_at_the_first_that_is_refused)
{
	const struct exo_window_op ops[] = {
		OP_MAP(0, 4, self->b.cap, 0, RW),
		OP_PROTECT(0, 2, R),
		OP_PROTECT(0, 5, NONE), /* the fifth is empty */
		OP_UNMAP(0, 4),
	};
	__u64 i;

	EXPECT_REFUSED(ENOENT, EXO_REASON_EMPTY, offsetof(struct exo_window_op, first), 4,
		       window_set(self->fd, self->at, ops, ARRAY_SIZE(ops)));
	EXPECT_EQ(2, last.index);
	for (i = 0; i < 4; i++) {
		EXPECT_EQ(i + 1, *entry(self, i));
		EXPECT_EQ(i < 2 ? SIGBUS : 0, touch_write(entry(self, i)));
	}
}

/* Which operations get one flush is the kernel's affair; that the entries between do not suffer, ours. */
TEST_F(window, entries_between_those_of_a_batch_keep_frame_access_and_dirty_bit)
{
	static const __u32 accesses[] = { R, NONE };
	struct exo_window_op ops[FRAMES / 4];
	unsigned int turn, i;
	__u64 bitmap;

	for (turn = 0; turn < 3; turn++) {
		ASSERT_EQ(0, window_map(self->fd, self->at, 0, FRAMES, self->b.cap, 0, RW));
		ASSERT_EQ(0, window_protect(self->fd, self->at, 2, 1, R));
		ASSERT_EQ(0, window_unmap(self->fd, self->at, 3, 1));
		ASSERT_LE(0, window_dirty(self->fd, self->at, 0, FRAMES, &bitmap));
		for (i = 1; i < FRAMES; i += 4)
			*entry(self, i) = i + 1;
		memset(ops, 0, sizeof(ops));
		for (i = 0; i < ARRAY_SIZE(ops); i++) {
			ops[i].op = turn < 2 ? EXO_WINDOW_PROTECT : EXO_WINDOW_UNMAP;
			ops[i].access = turn < 2 ? accesses[turn] : NONE;
			ops[i].first = 4 * i;
			ops[i].count = 1;
		}
		ASSERT_EQ(0, window_set(self->fd, self->at, ops, ARRAY_SIZE(ops)));
		EXPECT_EQ(FRAMES / 4, window_dirty(self->fd, self->at, 0, FRAMES, &bitmap));
		EXPECT_EQ(0x2222222222222222ull, bitmap);
		for (i = 0; i < FRAMES; i++) {
			bool ours = i % 4 == 0;

			EXPECT_EQ(i == 3 || (ours && turn) ? SIGBUS : 0,
				  touch_read(entry(self, i)));
			EXPECT_EQ(i == 2 || i == 3 || ours ? SIGBUS : 0,
				  touch_write(entry(self, i)));
			if (i != 3 && !(ours && turn)) {
				EXPECT_EQ(i + 1, *entry(self, i));
			}
		}
		ASSERT_EQ(0, window_unmap(self->fd, self->at, 0, FRAMES));
	}
}

TEST_F(window, a_batch_may_be_as_large_as_promised_and_no_larger)
{
	const __u32 n = EXO_WINDOW_OPS_MAX;
	struct exo_window_op *ops = calloc(n + 1, sizeof(*ops));
	char *big = window_create(self->fd, (__u64)EXO_WINDOW_PAGES_MAX * PAGE);
	__u32 i;

	ASSERT_NE(NULL, ops);
	ASSERT_NE(MAP_FAILED, big);
	for (i = 0; i < n; i++)
		ops[i] = (struct exo_window_op)OP_MAP(i, 1, self->b.cap, i % FRAMES, R);
	ASSERT_EQ(0, window_set(self->fd, big, ops, n));
	for (i = 0; i < n; i++) {
		ASSERT_EQ(i % FRAMES + 1, *(__u64 *)(big + i * PAGE));
	}
	EXPECT_REFUSED(EINVAL, EXO_REASON_VALUE, offsetof(struct exo_window_set, count), n + 1,
		       window_set(self->fd, big, ops, n + 1));
	EXPECT_EQ(n, last.limit);
	EXPECT_REFUSED(EINVAL, EXO_REASON_VALUE, offsetof(struct exo_window_set, count), 0,
		       window_set(self->fd, big, ops, 0));
	/* All entries of all operations count. */
	ops[0] = (struct exo_window_op)OP_UNMAP(0, EXO_WINDOW_PAGES_MAX);
	ops[1] = (struct exo_window_op)OP_UNMAP(0, 1);
	ASSERT_EQ(0, window_set(self->fd, big, ops, 1));
	EXPECT_REFUSED(EINVAL, EXO_REASON_VALUE, offsetof(struct exo_window_op, count), 1,
		       window_set(self->fd, big, ops, 2));
	EXPECT_EQ(1, last.index);
	EXPECT_EQ(0, last.limit);
	munmap(big, (size_t)EXO_WINDOW_PAGES_MAX * PAGE);
	free(ops);
}

/* ---- 2 MiB ---- */

/* Page tables of this process, in KiB. */
static long page_tables(void)
{
	FILE *file = fopen("/proc/self/status", "re");
	char line[128];
	long kib = -1;

	while (file && fgets(line, sizeof(line), file))
		sscanf(line, "VmPTE: %ld", &kib);
	if (file)
		fclose(file);
	return kib;
}

TEST_F(window, a_large_entry_is_one_page_table_entry)
{
	long before;
	__u64 i;

	/* What is above it is there already. */
	ASSERT_EQ(0, window_map(self->fd, self->at, ENTRIES - 1, 1, self->b.cap, 0, R));
	before = page_tables();
	ASSERT_EQ(0,
		  window_map_large(self->fd, self->at, LARGE, 2 * LARGE, self->large.cap, 0, RW));
	for (i = 0; i < 2 * LARGE; i++) {
		ASSERT_EQ(i + 1, *entry(self, LARGE + i));
	}
	for (i = 0; i < 2 * LARGE; i++)
		*entry(self, LARGE + i) = i + 1;
	EXPECT_EQ(before, page_tables());
	EXPECT_EQ(SIGBUS, touch_read(entry(self, LARGE - 1)));
	EXPECT_EQ(SIGBUS, touch_read(entry(self, 3 * LARGE)));
}

TEST_F(window, a_large_entry_is_protected_and_unmapped_as_a_whole)
{
	static const __u32 turns[] = { R, RW, NONE, RW, R, NONE, R };
	unsigned int i;

	ASSERT_EQ(0, window_map_large(self->fd, self->at, 0, LARGE, self->large.cap, LARGE, RW));
	for (i = 0; i < ARRAY_SIZE(turns); i++) {
		ASSERT_EQ(0, window_protect(self->fd, self->at, 0, LARGE, turns[i]));
		EXPECT_EQ(turns[i] ? 0 : SIGBUS, touch_read(entry(self, 100)));
		EXPECT_EQ(turns[i] == RW ? 0 : SIGBUS, touch_write(entry(self, 200)));
		if (turns[i]) {
			EXPECT_EQ(LARGE + 301, *entry(self, 300));
		}
	}
	ASSERT_EQ(0, window_unmap(self->fd, self->at, 0, LARGE));
	EXPECT_EQ(SIGBUS, touch_read(entry(self, 300)));
}

TEST_F(window, a_part_of_a_large_entry_is_refused)
{
	const struct exo_window_op parts[] = {
		OP_UNMAP(LARGE, 1),
		OP_UNMAP(LARGE + 1, LARGE - 1),
		OP_UNMAP(0, LARGE + 1),
		OP_PROTECT(LARGE + 1, 1, R),
		OP_PROTECT(LARGE, LARGE - 1, R),
		OP_MAP(LARGE + 5, 1, self->b.cap, 0, R),
		OP_MAP(2 * LARGE - 1, 2, self->b.cap, 0, R),
	};
	__u64 bitmap[16];
	unsigned int i;

	ASSERT_EQ(0, window_map_large(self->fd, self->at, LARGE, LARGE, self->large.cap, 0, RW));
	for (i = 0; i < ARRAY_SIZE(parts); i++) {
		EXPECT_REFUSED(EINVAL, EXO_REASON_LARGE, offsetof(struct exo_window_op, first),
			       LARGE, window_set(self->fd, self->at, &parts[i], 1));
		EXPECT_EQ(LARGE, last.limit);
	}
	EXPECT_REFUSED(EINVAL, EXO_REASON_LARGE, offsetof(struct exo_window_dirty, first), LARGE,
		       window_dirty(self->fd, self->at, LARGE + 64, 64, bitmap));
	EXPECT_REFUSED(EINVAL, EXO_REASON_LARGE, offsetof(struct exo_window_dirty, first), LARGE,
		       window_dirty(self->fd, self->at, 0, LARGE + 64, bitmap));
	EXPECT_EQ(1, *entry(self, LARGE));
	EXPECT_EQ(0, touch_write(entry(self, LARGE + 5)));
}

TEST_F(window, large_and_small_entries_replace_each_other)
{
	int round;

	for (round = 0; round < 3; round++) {
		ASSERT_EQ(0,
			  window_map_large(self->fd, self->at, 0, LARGE, self->large.cap, 0, RW));
		EXPECT_EQ(44, *entry(self, 43));
		EXPECT_EQ(0, touch_write(entry(self, 43)));
		ASSERT_EQ(0, window_map(self->fd, self->at, 0, LARGE, self->large.cap, LARGE, R));
		EXPECT_EQ(LARGE + 44, *entry(self, 43));
		EXPECT_EQ(SIGBUS, touch_write(entry(self, 43)));
		ASSERT_EQ(0, window_map(self->fd, self->at, 43, 1, self->b.cap, 5, RW));
		EXPECT_EQ(6, *entry(self, 43));
		ASSERT_EQ(0, window_map_large(self->fd, self->at, 0, LARGE, self->large.cap, LARGE,
					      R));
		EXPECT_EQ(LARGE + 44, *entry(self, 43));
		EXPECT_EQ(SIGBUS, touch_write(entry(self, 43)));
		ASSERT_EQ(0, window_unmap(self->fd, self->at, 0, 2 * LARGE));
		EXPECT_EQ(SIGBUS, touch_read(entry(self, 43)));
	}
	/* In one batch. */
	{
		const struct exo_window_op ops[] = {
			{ .op = EXO_WINDOW_MAP,
			  .count = LARGE,
			  .frames = self->large.cap,
			  .order = EXO_ORDER_2M,
			  .access = RW },
			OP_UNMAP(0, LARGE),
			OP_MAP(7, 1, self->b.cap, 7, RW),
			OP_PROTECT(7, 1, NONE),
			{ .op = EXO_WINDOW_MAP,
			  .first = LARGE,
			  .count = LARGE,
			  .frames = self->large.cap,
			  .page = LARGE,
			  .order = EXO_ORDER_2M,
			  .access = RW },
		};

		for (round = 0; round < 2; round++) {
			ASSERT_EQ(0, window_set(self->fd, self->at, ops, ARRAY_SIZE(ops)));
			EXPECT_EQ(SIGBUS, touch_read(entry(self, 7)));
			EXPECT_EQ(SIGBUS, touch_read(entry(self, 8)));
			EXPECT_EQ(LARGE + 3, *entry(self, LARGE + 2));
		}
	}
}

/* What is left to do to all 512 small entries is done to all, though an operation before was of one. */
TEST_F(window, a_large_entry_replaces_small_ones_of_which_the_same_batch_set_a_part)
{
	const __u32 accesses[] = { RW, R, NONE };
	struct exo_window_op ops[] = {
		OP_PROTECT(0, 1, RW),
		{ .op = EXO_WINDOW_MAP, .count = LARGE, .page = LARGE, .order = EXO_ORDER_2M },
		OP_PROTECT(LARGE, 1, RW),
	};
	__u64 used = frames_used(self->fd);
	unsigned int round, i, wrong;

	for (round = 0; round < 2 * ARRAY_SIZE(accesses); round++) {
		struct exo_frames_alloc frames;

		ASSERT_EQ(0, frames_alloc(self->fd, self->t.pool, EXO_ORDER_4K, LARGE, ANY_NODE,
					  &frames));
		ASSERT_EQ(0, window_map(self->fd, self->at, 0, LARGE + 1, self->large.cap, 0, RW));
		ASSERT_EQ(0, window_map(self->fd, self->at, 0, LARGE, frames.out_cap, 0, RW));
		for (i = 0; i < LARGE; i++)
			*entry(self, i) = 99;
		ops[1].frames = self->large.cap;
		ops[1].access = accesses[round / 2];
		/* With one of the next 2 MiB behind it, too. */
		ASSERT_EQ(0, window_set(self->fd, self->at, ops, 2 + round % 2));
		for (i = wrong = 0; i < LARGE; i++) {
			wrong += touch_read(entry(self, i)) != (ops[1].access ? 0 : SIGBUS);
			wrong += ops[1].access && *entry(self, i) != LARGE + i + 1;
			wrong += ops[1].access != RW && !touch_write(entry(self, i));
		}
		EXPECT_EQ(0, wrong);
		ASSERT_EQ(0, drop(self->fd, frames.out_cap));
		EXPECT_EQ(used, frames_used(self->fd));
		for (i = wrong = 0; i < LARGE; i++)
			wrong += !touch_read(entry(self, i)) && *entry(self, i) == 99;
		EXPECT_EQ(0, wrong);
	}
}

TEST_F(window, a_large_entry_must_be_aligned_in_every_respect)
{
	struct exo_window_op op = { .op = EXO_WINDOW_MAP,
				    .count = LARGE,
				    .order = EXO_ORDER_2M,
				    .frames = self->large.cap,
				    .access = R };
	char *odd;

#define WRONG(member, value)                                                                     \
	do {                                                                                     \
		struct exo_window_op wrong = op;                                                 \
                                                                                                 \
		wrong.member = value;                                                            \
		EXPECT_REFUSED(EINVAL, EXO_REASON_VALUE, offsetof(struct exo_window_op, member), \
			       value, window_set(self->fd, self->at, &wrong, 1));                \
	} while (0)
	WRONG(first, 1);
	WRONG(first, LARGE / 2);
	WRONG(count, 1);
	WRONG(count, LARGE + 1);
	WRONG(page, 8);
	WRONG(order, 1);
	WRONG(order, 18);
	op.frames = self->b.cap; /* which are of 4 KiB */
	WRONG(order, EXO_ORDER_2M);
	op.frames = self->large.cap;
	EXPECT_EQ(0, window_set(self->fd, self->at, &op, 1));

	odd = window_create(self->fd, 4 * HUGE_PAGE);
	ASSERT_NE(MAP_FAILED, odd);
	ASSERT_EQ(0, munmap(odd, 4 * HUGE_PAGE));
	ASSERT_EQ(odd + PAGE, mmap(odd + PAGE, 3 * HUGE_PAGE, PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_FIXED, self->fd, (off_t)EXO_WINDOW_OFFSET));
	EXPECT_REFUSED(EINVAL, EXO_REASON_VALUE, offsetof(struct exo_window_op, order),
		       EXO_ORDER_2M, window_set(self->fd, odd + PAGE, &op, 1));
	op.order = EXO_ORDER_4K;
	EXPECT_EQ(0, window_set(self->fd, odd + PAGE, &op, 1));
	EXPECT_EQ(LARGE, *(__u64 *)(odd + PAGE + (LARGE - 1) * PAGE));
	munmap(odd + PAGE, 3 * HUGE_PAGE);
}

/* ---- dirty bits ---- */

TEST_F(window, dirty_is_what_was_written_since_it_was_asked)
{
	__u64 bitmap;
	__u64 i;

	ASSERT_EQ(0, window_map(self->fd, self->at, 0, FRAMES, self->b.cap, 0, RW));
	EXPECT_EQ(0, window_dirty(self->fd, self->at, 0, FRAMES, &bitmap));
	for (i = 0; i < FRAMES; i++)
		(void)*entry(self, i);
	EXPECT_EQ(0, window_dirty(self->fd, self->at, 0, FRAMES, &bitmap));
	EXPECT_EQ(0, bitmap);
	for (i = 0; i < FRAMES; i += 3)
		*entry(self, i) = 1;
	EXPECT_EQ(22, window_dirty(self->fd, self->at, 0, FRAMES, &bitmap));
	EXPECT_EQ(0x9249249249249249ull, bitmap);
	EXPECT_EQ(0, window_dirty(self->fd, self->at, 0, FRAMES, &bitmap));
	/* And the same again: clearing lost nothing. */
	for (i = 0; i < FRAMES; i += 3)
		*entry(self, i) = 2;
	EXPECT_EQ(22, window_dirty(self->fd, self->at, 0, FRAMES, &bitmap));
}

TEST_F(window, only_what_was_asked_for_is_cleared)
{
	__u64 bitmap[2];

	ASSERT_EQ(0, window_map(self->fd, self->at, 480, FRAMES, self->b.cap, 0, RW));
	memset((void *)(self->at + 480 * PAGE), 1, FRAMES * PAGE);
	/* Across two of 2 MiB, more than a word, none of it aligned. */
	memset(bitmap, 0xff, sizeof(bitmap));
	EXPECT_EQ(FRAMES - 9, window_dirty(self->fd, self->at, 489, 100, bitmap));
	EXPECT_EQ((1ull << 55) - 1, bitmap[0]);
	EXPECT_EQ(0, bitmap[1]);
	EXPECT_EQ(9, window_dirty(self->fd, self->at, 400, 128, bitmap));
	EXPECT_EQ(0, bitmap[0]);
	EXPECT_EQ(0x1ffull << 16, bitmap[1]);
	EXPECT_EQ(0, window_dirty(self->fd, self->at, 480, 128, bitmap));
}

TEST_F(window, no_more_words_are_written_than_the_count_needs)
{
	static const __u32 counts[] = { 1, 63, 64, 65, 128, 129 };
	__u64 bitmap[4];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(counts); i++) {
		const __u32 words = (counts[i] + 63) / 64;

		memset(bitmap, 0x55, sizeof(bitmap));
		EXPECT_EQ(0, window_dirty(self->fd, self->at, 7, counts[i], bitmap));
		EXPECT_EQ(0, bitmap[words - 1]);
		EXPECT_EQ(0x5555555555555555ull, bitmap[words]);
	}
}

TEST_F(window, dirty_survives_another_access_and_not_another_frame)
{
	static const __u32 turns[] = { R, NONE, RW };
	unsigned int i;
	__u64 bitmap;

	ASSERT_EQ(0, window_map(self->fd, self->at, 0, 8, self->b.cap, 0, RW));
	for (i = 0; i < ARRAY_SIZE(turns); i++) {
		*entry(self, 2) = 3;
		ASSERT_EQ(0, window_protect(self->fd, self->at, 0, 8, turns[i]));
		EXPECT_EQ(1, window_dirty(self->fd, self->at, 0, 8, &bitmap));
		EXPECT_EQ(1 << 2, bitmap);
		ASSERT_EQ(0, window_protect(self->fd, self->at, 0, 8, RW));
		EXPECT_EQ(0, window_dirty(self->fd, self->at, 0, 8, &bitmap));
	}
	/* To none, and back before it is asked. */
	*entry(self, 5) = 6;
	ASSERT_EQ(0, window_protect(self->fd, self->at, 0, 8, NONE));
	ASSERT_EQ(0, window_protect(self->fd, self->at, 0, 8, RW));
	EXPECT_EQ(1, window_dirty(self->fd, self->at, 0, 8, &bitmap));
	EXPECT_EQ(1 << 5, bitmap);

	*entry(self, 5) = 6;
	ASSERT_EQ(0, window_map(self->fd, self->at, 0, 8, self->b.cap, 8, RW));
	EXPECT_EQ(0, window_dirty(self->fd, self->at, 0, 8, &bitmap));
	*entry(self, 5) = 6;
	ASSERT_EQ(0, window_unmap(self->fd, self->at, 0, 8));
	EXPECT_EQ(0, window_dirty(self->fd, self->at, 0, 8, &bitmap));
}

TEST_F(window, a_large_entry_is_dirty_as_a_whole)
{
	static const __u32 turns[] = { RW, R, NONE };
	__u64 bitmap[2 * LARGE / 64];
	unsigned int turn, i;

	for (turn = 0; turn < ARRAY_SIZE(turns); turn++) {
		ASSERT_EQ(0, window_map_large(self->fd, self->at, 0, 2 * LARGE, self->large.cap, 0,
					      RW));
		(void)*entry(self, 3);
		EXPECT_EQ(0, window_dirty(self->fd, self->at, 0, 2 * LARGE, bitmap));
		*entry(self, LARGE + 77) = LARGE + 78;
		ASSERT_EQ(0, window_protect(self->fd, self->at, 0, 2 * LARGE, turns[turn]));
		EXPECT_EQ(LARGE, window_dirty(self->fd, self->at, 0, 2 * LARGE, bitmap));
		for (i = 0; i < 2 * LARGE; i += 3) {
			EXPECT_EQ(i >= LARGE, bit(bitmap, i));
		}
		ASSERT_EQ(0, window_protect(self->fd, self->at, 0, 2 * LARGE, RW));
		EXPECT_EQ(0, window_dirty(self->fd, self->at, 0, 2 * LARGE, bitmap));
		*entry(self, LARGE + 77) = LARGE + 78;
		EXPECT_EQ(LARGE, window_dirty(self->fd, self->at, LARGE, LARGE, bitmap));
		ASSERT_EQ(0, window_unmap(self->fd, self->at, 0, 2 * LARGE));
	}
}

/* The 2 MiB have had a page table before. */
TEST_F(window, a_large_entry_of_small_page_table_entries_is_dirty_as_a_whole)
{
	__u64 bitmap[LARGE / 64];
	int round;

	ASSERT_EQ(0, window_map(self->fd, self->at, 5, 1, self->b.cap, 0, RW));
	ASSERT_EQ(0, window_map_large(self->fd, self->at, 0, LARGE, self->large.cap, 0, RW));
	for (round = 0; round < 3; round++) {
		EXPECT_EQ(31, *entry(self, 30));
		EXPECT_EQ(0, window_dirty(self->fd, self->at, 0, LARGE, bitmap));
		*entry(self, 30) = 31;
		*entry(self, 31) = 32;
		EXPECT_EQ(LARGE, window_dirty(self->fd, self->at, 0, LARGE, bitmap));
		*entry(self, 31) = 32;
		ASSERT_EQ(0, window_protect(self->fd, self->at, 0, LARGE, R));
		EXPECT_EQ(SIGBUS, touch_write(entry(self, 31)));
		EXPECT_EQ(LARGE, window_dirty(self->fd, self->at, 0, LARGE, bitmap));
		ASSERT_EQ(0, window_protect(self->fd, self->at, 0, LARGE, RW));
	}
}

TEST_F(window, bits_that_cannot_be_told_stay_set)
{
	void *nowhere = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	__u64 bitmap[(LARGE + FRAMES) / 64];

	ASSERT_EQ(0, window_map_large(self->fd, self->at, 0, LARGE, self->large.cap, 0, RW));
	ASSERT_EQ(0, window_map(self->fd, self->at, LARGE, FRAMES, self->b.cap, 0, RW));
	*entry(self, 9) = 10;
	*entry(self, LARGE + 1) = 2;
	EXPECT_EQ(-EFAULT, window_dirty(self->fd, self->at, 0, LARGE + FRAMES, nowhere));
	EXPECT_EQ(-EFAULT, window_dirty(self->fd, self->at, 0, LARGE + FRAMES, nowhere));
	EXPECT_EQ(LARGE + 1, window_dirty(self->fd, self->at, 0, LARGE + FRAMES, bitmap));
	EXPECT_EQ(2, bitmap[LARGE / 64]);
	/* The window itself is no place for them while it has none there. */
	*entry(self, 9) = 10;
	EXPECT_EQ(-EFAULT, window_dirty(self->fd, self->at, 0, LARGE,
					(__u64 *)(self->at + (ENTRIES - 1) * PAGE)));
	EXPECT_EQ(LARGE,
		  window_dirty(self->fd, self->at, 0, LARGE, (__u64 *)(self->at + LARGE * PAGE)));
	EXPECT_EQ(~0ull, *entry(self, LARGE));
}

/* ---- what is refused ---- */

TEST_F(window, making_one_has_its_errnos)
{
	const off_t at = (off_t)EXO_WINDOW_OFFSET;
	const int prot = PROT_READ | PROT_WRITE;
	int fd;

#define NOT_MADE(err, expr)                  \
	do {                                 \
		errno = 0;                   \
		EXPECT_EQ(MAP_FAILED, expr); \
		EXPECT_EQ(err, errno);       \
	} while (0)
	NOT_MADE(EACCES, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, self->fd, at));
	NOT_MADE(EACCES, mmap(NULL, PAGE, PROT_NONE, MAP_SHARED, self->fd, at));
	NOT_MADE(EACCES, mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED, self->fd, at));
	NOT_MADE(EACCES, mmap(NULL, PAGE, prot | PROT_EXEC, MAP_SHARED, self->fd, at));
	NOT_MADE(EINVAL, mmap(NULL, PAGE, prot, MAP_PRIVATE, self->fd, at));
	NOT_MADE(EINVAL, mmap(NULL, EXO_WINDOW_BYTES_MAX + PAGE, prot, MAP_SHARED | MAP_NORESERVE,
			      self->fd, at));
	/* Of a window there is no part. */
	NOT_MADE(ERANGE, mmap(NULL, PAGE, prot, MAP_SHARED, self->fd, at + (off_t)PAGE));
	fd = open(EXO_DEVICE, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	NOT_MADE(EACCES, mmap(NULL, PAGE, prot, MAP_SHARED, fd, at));
	close(fd);
}

TEST_F(window, a_window_is_known_to_its_session_by_where_it_begins)
{
	const __u32 field = offsetof(struct exo_window_set, window);
	int other = session_open();
	char *at = self->at;
	int status;
	pid_t pid;

	EXPECT_EQ(0, window_unmap(self->fd, at, 0, 1));
	EXPECT_REFUSED(ENOENT, EXO_REASON_NO_WINDOW, field, (uintptr_t)at,
		       window_unmap(other, at, 0, 1));
	EXPECT_REFUSED(ENOENT, EXO_REASON_NO_WINDOW, field, (uintptr_t)at + PAGE,
		       window_unmap(self->fd, at + PAGE, 0, 1));
	EXPECT_REFUSED(ENOENT, EXO_REASON_NO_WINDOW, field, (uintptr_t)self->b.at,
		       window_unmap(self->fd, self->b.at, 0, 1));
	EXPECT_REFUSED(ENOENT, EXO_REASON_NO_WINDOW, field, (uintptr_t)&status,
		       window_unmap(self->fd, &status, 0, 1));
	EXPECT_REFUSED(ENOENT, EXO_REASON_NO_WINDOW, field, ~0ull,
		       window_unmap(self->fd, (void *)~0ul, 0, 1));
	EXPECT_REFUSED(ENOENT, EXO_REASON_NO_WINDOW, offsetof(struct exo_window_dirty, window),
		       (uintptr_t)at, window_dirty(other, at, 0, 1, NULL));
	/* That there is none comes before anything else that is wrong. */
	EXPECT_EQ(-ENOENT, window_set(other, at, NULL, 0));
	close(other);

	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(window_unmap(self->fd, at, 0, 1) == -ENOENT && touch_read(at) == SIGSEGV ? 0
											       : 1);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);

	ASSERT_EQ(0, munmap(at, ENTRIES * PAGE));
	self->at = NULL;
	EXPECT_EQ(-ENOENT, window_unmap(self->fd, at, 0, 1));
}

TEST_F(window, what_an_operation_may_not_say_is_refused)
{
	struct exo_window_op op, good = OP_MAP(0, 4, self->b.cap, 0, RW);
	struct exo_window_op unmap = OP_UNMAP(0, 4), protect = OP_PROTECT(0, 4, R);

#define REFUSES(err, why, base, member, value_, told)                                  \
	do {                                                                           \
		op = base;                                                             \
		op.member = value_;                                                    \
		EXPECT_REFUSED(err, why, offsetof(struct exo_window_op, member), told, \
			       window_set(self->fd, self->at, &op, 1));                \
		EXPECT_EQ(0, last.index);                                              \
	} while (0)
#define VALUE(base, member, value) \
	REFUSES(EINVAL, EXO_REASON_VALUE, base, member, value, (__u64)(value))

	ASSERT_EQ(0, window_set(self->fd, self->at, &good, 1));
	VALUE(good, op, 0u);
	VALUE(good, op, 4u);
	VALUE(good, op, ~0u);
	VALUE(good, access, EXO_RIGHT_WRITE);
	VALUE(good, access, 8u);
	VALUE(good, access, RW | 4u);
	VALUE(good, access, ~0u);
	VALUE(good, count, 0u);
	VALUE(good, count, EXO_WINDOW_PAGES_MAX + 1);
	VALUE(good, count, ~0u);
	VALUE(good, order, ~0u);
	VALUE(unmap, access, R);
	VALUE(unmap, order, EXO_ORDER_2M);
	VALUE(unmap, frames, 1u);
	VALUE(unmap, page, 1u);
	VALUE(unmap, count, 0u);
	VALUE(protect, order, EXO_ORDER_2M);
	VALUE(protect, frames, 1u);
	VALUE(protect, page, 1u);
	VALUE(protect, access, EXO_RIGHT_WRITE);
	REFUSES(EOPNOTSUPP, EXO_REASON_RESERVED, good, __reserved, 1, 1);
	REFUSES(EOPNOTSUPP, EXO_REASON_RESERVED, protect, __reserved, 1u << 31, 1u << 31);

	REFUSES(ERANGE, EXO_REASON_RANGE, good, first, ENTRIES, ENTRIES);
	REFUSES(ERANGE, EXO_REASON_RANGE, unmap, first, 1ull << 62, 1ull << 62);
	REFUSES(EOVERFLOW, EXO_REASON_OVERFLOW, good, first, ~0ull, ~0ull);
	REFUSES(EOVERFLOW, EXO_REASON_OVERFLOW, protect, first, ~0ull - 3, ~0ull - 3);
	REFUSES(ERANGE, EXO_REASON_RANGE, unmap, count, ENTRIES + 1, ENTRIES);
	REFUSES(ERANGE, EXO_REASON_RANGE, good, page, FRAMES, FRAMES);
	REFUSES(ERANGE, EXO_REASON_RANGE, good, page, 1ull << 52, 1ull << 52);
	REFUSES(ERANGE, EXO_REASON_RANGE, good, count, FRAMES + 1, FRAMES);
	REFUSES(EOVERFLOW, EXO_REASON_OVERFLOW, good, page, ~0ull, ~0ull);

	REFUSES(ENOENT, EXO_REASON_NO_CAP, good, frames, 99999, 99999);
	REFUSES(ENOENT, EXO_REASON_NO_CAP, good, frames, 0, 0);
	REFUSES(EINVAL, EXO_REASON_WRONG_TYPE, good, frames, self->t.pool, EXO_TYPE_POOL);
	EXPECT_EQ(EXO_TYPE_FRAMES, last.limit);
	EXPECT_EQ(-EFAULT, window_set(self->fd, self->at, (void *)16, 1));
	/* All of it was refused, and nothing changed. */
	EXPECT_EQ(3, *entry(self, 2));
	EXPECT_EQ(0, touch_write(entry(self, 2)));
}

TEST_F(window, what_asking_for_dirty_bits_may_not_say_is_refused)
{
	__u64 bitmap[4];

#define NOT_TOLD(err, why, member, value, first_, count_)                          \
	EXPECT_REFUSED(err, why, offsetof(struct exo_window_dirty, member), value, \
		       window_dirty(self->fd, self->at, first_, count_, bitmap))
	NOT_TOLD(EINVAL, EXO_REASON_VALUE, count, 0, 0, 0);
	NOT_TOLD(EINVAL, EXO_REASON_VALUE, count, EXO_WINDOW_PAGES_MAX + 1, 0,
		 EXO_WINDOW_PAGES_MAX + 1);
	NOT_TOLD(ERANGE, EXO_REASON_RANGE, first, ENTRIES, ENTRIES, 1);
	NOT_TOLD(ERANGE, EXO_REASON_RANGE, count, ENTRIES, ENTRIES - 1, 2);
	NOT_TOLD(EOVERFLOW, EXO_REASON_OVERFLOW, first, ~0ull, ~0ull, 1);
}

TEST_F(window, rights_are_those_of_the_capability)
{
	const __u32 frames = offsetof(struct exo_window_op, frames);
	__u32 read, names, part;

	ASSERT_EQ(0, derive(self->fd, self->b.cap, R, EXO_SESSION_SELF, 0, 0, &read));
	ASSERT_EQ(0,
		  derive(self->fd, self->b.cap, EXO_RIGHT_NAMES, EXO_SESSION_SELF, 0, 0, &names));
	ASSERT_EQ(0, derive(self->fd, self->b.cap, RW, EXO_SESSION_SELF, 8, 4, &part));
	EXPECT_REFUSED(EACCES, EXO_REASON_RIGHT, frames, EXO_RIGHT_WRITE,
		       window_map(self->fd, self->at, 0, 1, read, 0, RW));
	EXPECT_REFUSED(EACCES, EXO_REASON_RIGHT, frames, R,
		       window_map(self->fd, self->at, 0, 1, names, 0, NONE));
	ASSERT_EQ(0, window_map(self->fd, self->at, 0, 4, read, 0, R));
	ASSERT_EQ(0, window_map(self->fd, self->at, 4, 4, part, 8, RW));
	EXPECT_REFUSED(EACCES, EXO_REASON_ENTRY_RIGHT, offsetof(struct exo_window_op, access), 2,
		       window_protect(self->fd, self->at, 2, 6, RW));
	EXPECT_EQ(EXO_RIGHT_WRITE, last.limit);
	EXPECT_EQ(SIGBUS, touch_write(entry(self, 3)));
	EXPECT_EQ(0, window_protect(self->fd, self->at, 0, 8, R));
	EXPECT_EQ(0, window_protect(self->fd, self->at, 4, 4, RW));
	/* A part is the part, in the numbering of the whole. */
	EXPECT_EQ(9, *entry(self, 4));
	EXPECT_REFUSED(ERANGE, EXO_REASON_RANGE, offsetof(struct exo_window_op, page), 7,
		       window_map(self->fd, self->at, 0, 1, part, 7, R));
	EXPECT_REFUSED(ERANGE, EXO_REASON_RANGE, offsetof(struct exo_window_op, count), 12,
		       window_map(self->fd, self->at, 0, 2, part, 11, R));
}

/* ---- size and charge ---- */

TEST_F(window, one_may_be_larger_than_memory)
{
	const __u64 bytes = EXO_WINDOW_BYTES_MAX, entries = bytes / PAGE;
	char *at = window_create(self->fd, bytes);
	__u64 i, bitmap;

	ASSERT_NE(MAP_FAILED, at)
	{
		TH_LOG("%s", strerror(errno));
	}
	for (i = 0; i < FRAMES; i++) {
		__u64 first = i * (entries / FRAMES) + i;

		ASSERT_EQ(0, window_map(self->fd, at, first, 1, self->b.cap, i, RW));
		EXPECT_EQ(i + 1, *(__u64 *)(at + first * PAGE));
		EXPECT_EQ(SIGBUS, touch_read(at + (first + 1) * PAGE));
	}
	ASSERT_EQ(0, window_map(self->fd, at, entries - 1, 1, self->b.cap, 3, RW));
	*(__u64 *)(at + bytes - PAGE) = 4;
	EXPECT_EQ(1, window_dirty(self->fd, at, entries - 64, 64, &bitmap));
	EXPECT_EQ(1ull << 63, bitmap);
	EXPECT_EQ(0, window_dirty(self->fd, at, entries / 2 - 1000, 64, &bitmap));
	/* What is empty costs nothing to unmap, and all of it goes with the frames. */
	EXPECT_EQ(0, window_unmap(self->fd, at, entries / 2, EXO_WINDOW_PAGES_MAX));
	ASSERT_EQ(0, munmap(self->b.at, self->b.size));
	ASSERT_EQ(0, drop(self->fd, self->b.cap));
	EXPECT_EQ(SIGBUS, touch_read(at));
	EXPECT_EQ(SIGBUS, touch_read(at + bytes - PAGE));
	ASSERT_EQ(0, munmap(at, bytes));
}

TEST_F(window, its_frames_come_back_when_it_ends)
{
	__u64 used = frames_used(self->fd);
	struct exo_frames_alloc arg;

	ASSERT_EQ(0, frames_alloc(self->fd, self->t.pool, EXO_ORDER_4K, 16, ANY_NODE, &arg));
	ASSERT_EQ(0, window_map(self->fd, self->at, 0, 16, arg.out_cap, 0, RW));
	/* Dropped: gone from the window, and free. */
	ASSERT_EQ(0, drop(self->fd, arg.out_cap));
	EXPECT_EQ(SIGBUS, touch_read(entry(self, 0)));
	EXPECT_EQ(used, frames_used(self->fd));
	/* The number of a capability that ended may be another's by now. */
	ASSERT_EQ(0, frames_alloc(self->fd, self->t.pool, EXO_ORDER_4K, 16, ANY_NODE, &arg));
	ASSERT_EQ(0, window_map(self->fd, self->at, 4, 16, arg.out_cap, 0, RW));
	EXPECT_EQ(SIGBUS, touch_read(entry(self, 3)));
	EXPECT_EQ(0, *entry(self, 4));
	EXPECT_REFUSED(ENOENT, EXO_REASON_EMPTY, offsetof(struct exo_window_op, first), 3,
		       window_protect(self->fd, self->at, 3, 2, R));
	ASSERT_EQ(0, munmap(self->at, ENTRIES * PAGE));
	self->at = NULL;
	ASSERT_EQ(0, drop(self->fd, arg.out_cap));
	EXPECT_EQ(used, frames_used(self->fd));
}

/* ---- the memory cgroup ---- */

FIXTURE(charge)
{
	struct tenant t;
	struct cgroup c;
	struct exo_frames_alloc frames;
};

FIXTURE_SETUP(charge)
{
	POOL_SETUP(&self->t);
	/* At the limit this process needs no page of its own any more, for which it would be killed. */
	ASSERT_EQ(0, mlockall(MCL_CURRENT));
	CGROUP_SETUP(&self->c);
	ASSERT_EQ(0,
		  frames_alloc(self->t.fd, self->t.pool, EXO_ORDER_4K, 1, ANY_NODE, &self->frames));
}

FIXTURE_TEARDOWN(charge)
{
	tenant_destroy(&self->t);
	cgroup_leave(&self->c);
}

/* Entries without access: they need no page tables, which are charged as those of any memory. */
TEST_F(charge, the_table_is_charged_and_at_the_limit_it_is_an_error)
{
	const __u64 bytes = 1ull << 40;
	long long before;
	__u64 i, done = 0;
	char *at = window_create(self->t.fd, bytes);
	int ret = 0;

	ASSERT_NE(MAP_FAILED, at);
	before = cgroup_read(&self->c, "memory.current");
	for (i = 0; i < 512; i++)
		ASSERT_EQ(0,
			  window_map(self->t.fd, at, i * LARGE, 1, self->frames.out_cap, 0, NONE));
	EXPECT_LE(before + 512 * 4096, cgroup_read(&self->c, "memory.current"));
	/* Not the 2 GiB of a full one, even where the allocator keeps more beside each object. */
	EXPECT_GE(before + (32 << 20), cgroup_read(&self->c, "memory.current"));

	ASSERT_EQ(0, cgroup_write(&self->c, "memory.max", "67108864"));
	for (; !ret && i < bytes / HUGE_PAGE; i++)
		ret = window_map(self->t.fd, at, i * LARGE, 1, self->frames.out_cap, 0, NONE);
	EXPECT_EQ(-ENOMEM, ret);
	EXPECT_EQ(EXO_REASON_MEMORY, last.reason);
	/* What was set before is set. */
	for (; done < 4; done++)
		EXPECT_EQ(0, window_protect(self->t.fd, at, done * LARGE, 1, NONE));
	ASSERT_EQ(0, munmap(at, bytes));
	ASSERT_EQ(0, cgroup_write(&self->c, "memory.max", "max"));
}

TEST_HARNESS_MAIN
