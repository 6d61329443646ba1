// SPDX-License-Identifier: MIT
/*
 * Commands that list their blocks in a data buffer: Dataset Management and Copy. What is
 * listed is checked like what is named, in a copy that the program cannot change; a Copy
 * that read a block outside would show it.
 */
#include <pthread.h>
#include <kselftest_harness.h>

#include "lib.h"

#define FIRST EXTENT_FIRST
#define END (EXTENT_FIRST + EXTENT_BLOCKS)
#define OUTSIDE (FIRST ^ 0x1000) /* in one byte: nothing promises that eight are copied as one */

struct trim_range {
	__u32 attributes;
	__u32 blocks;
	__u64 slba;
};

struct copy_range {
	__u64 reserved0;
	__u64 slba;
	__u16 nlb;
	__u16 reserved18[3];
	__u64 reserved24;
};

/* The list lies at the end of the first page of @b, the data in the second half. */
FIXTURE(ranges)
{
	struct tenant t;
	struct ring ring;
	struct buffer b;
	__u32 extent; /* with all rights */
	__u32 whole;  /* namespace, which may only be deallocated */
	__u64 blocks; /* of it */
	struct trim_range *trim;
	struct copy_range *copy;
	__u64 list; /* offset of either */
};

#define DATA_PAGE 8u

FIXTURE_SETUP(ranges)
{
	struct tenant *t = &self->t;
	struct exo_controller_query c;
	struct exo_namespace_query ns;
	__u32 extent;

	TENANT_SETUP(t, "exo0");
	if (t->block != 512)
		SKIP(return, "namespace 1 has blocks of %u bytes, not 512", t->block);
	ASSERT_EQ(0, controller_query(t->fd, t->controller, &c));
	ASSERT_EQ(EXO_CONTROLLER_TRIM | EXO_CONTROLLER_COPY | EXO_CONTROLLER_COMPARE,
		  c.out_features &
			  (EXO_CONTROLLER_TRIM | EXO_CONTROLLER_COPY | EXO_CONTROLLER_COMPARE));
	ASSERT_EQ(0, extent_create(t->grantor, t->root_controller, 1,
				   EXO_RIGHT_READ | EXO_RIGHT_WRITE | EXO_RIGHT_TRIM, FIRST,
				   EXTENT_BLOCKS, &extent));
	ASSERT_EQ(0, derive(t->grantor, extent, EXO_RIGHT_READ | EXO_RIGHT_WRITE | EXO_RIGHT_TRIM,
			    t->fd, 0, 0, &self->extent));
	ASSERT_EQ(0, namespace_query(t->grantor, t->root_controller, 0, 1, &ns));
	self->blocks = ns.out_blocks;
	ASSERT_EQ(0, extent_create(t->grantor, t->root_controller, 1, EXO_RIGHT_TRIM, 0,
				   self->blocks, &extent));
	ASSERT_EQ(0, derive(t->grantor, extent, EXO_RIGHT_TRIM, t->fd, 0, 0, &self->whole));
	ASSERT_EQ(0, become_nobody());
	ASSERT_EQ(0, ring_create(t->fd, t->controller, 8, &self->ring));
	ASSERT_EQ(0, buffer_alloc(t->fd, t->pool, EXO_ORDER_4K, 16, &self->b));
	ASSERT_EQ(0, buffer_attach(t->fd, t->controller, &self->b));
	self->trim = self->b.at;
	self->copy = self->b.at;
	self->list = self->b.offset;
}

FIXTURE_TEARDOWN(ranges)
{
	tenant_destroy(&self->t);
}

static int attach(FIXTURE_DATA(ranges) * self, __u32 rights)
{
	__u32 cap;
	int ret = derive(self->t.fd, self->extent, rights, EXO_SESSION_SELF, 0, 0, &cap);

	return ret ? ret : queue_attach(self->t.fd, self->ring.cap, cap);
}

#define ATTACH(rights) ASSERT_EQ(0, attach(self, rights))
#define ALL (EXO_RIGHT_READ | EXO_RIGHT_WRITE | EXO_RIGHT_TRIM)

/* Data at @page of the buffer to or from @blocks at @slba. */
static int io(FIXTURE_DATA(ranges) * self, __u8 opcode, __u64 slba, __u32 blocks, __u32 page)
{
	return ring_io(&self->ring, opcode, 1, slba, blocks, self->b.offset + page * PAGE);
}

static struct sqe sqe_trim(FIXTURE_DATA(ranges) * self, __u32 count)
{
	struct sqe sqe = sqe_io(OP_DSM, 0, 1, (__u64)DW11_AD << 32 | (count - 1), 0, self->list);

	return sqe;
}

static int do_trim(FIXTURE_DATA(ranges) * self, __u32 count)
{
	struct sqe sqe = sqe_trim(self, count);

	return ring_do(&self->ring, &sqe);
}

static int do_copy(FIXTURE_DATA(ranges) * self, __u32 count, __u64 to)
{
	return ring_io(&self->ring, OP_COPY, 1, to, count, self->list);
}

/* ---- Compare ---- */

TEST_F(ranges, compare_tells_equal_from_different)
{
	char *data = (char *)self->b.at + DATA_PAGE * PAGE;

	ATTACH(ALL);
	fill_random(data, 2 * PAGE);
	ASSERT_EQ(0, io(self, OP_WRITE, FIRST + 64, 16, DATA_PAGE));
	EXPECT_EQ(0, io(self, OP_COMPARE, FIRST + 64, 16, DATA_PAGE));
	data[2 * PAGE - 1] ^= 1;
	EXPECT_EQ(STATUS_COMPARE_FAILURE, io(self, OP_COMPARE, FIRST + 64, 16, DATA_PAGE) & 0x7ff);
	EXPECT_REFUSED(ERANGE, EXO_REASON_LBA, 10, FIRST - 1,
		       io(self, OP_COMPARE, FIRST - 1, 1, DATA_PAGE));
}

TEST_F(ranges, compare_needs_the_right_to_read)
{
	ATTACH(EXO_RIGHT_WRITE | EXO_RIGHT_TRIM);
	EXPECT_REFUSED(EACCES, EXO_REASON_LBA_RIGHT, 0, EXO_RIGHT_READ,
		       io(self, OP_COMPARE, FIRST, 1, DATA_PAGE));
}

/* ---- Dataset Management ---- */

TEST_F(ranges, as_many_as_there_may_be_are_deallocated)
{
	__u32 i;

	ATTACH(ALL);
	for (i = 0; i < EXO_TRIM_RANGES; i++)
		self->trim[i] = (struct trim_range){ .blocks = 8, .slba = FIRST + 16 * i };
	EXPECT_EQ(0, do_trim(self, EXO_TRIM_RANGES));
	EXPECT_EQ(0, do_trim(self, 1));
	EXPECT_REFUSED(EINVAL, EXO_REASON_RANGES, 10, EXO_TRIM_RANGES + 1,
		       do_trim(self, EXO_TRIM_RANGES + 1));
	EXPECT_EQ(EXO_TRIM_RANGES, last.limit);
	EXPECT_REFUSED(EINVAL, EXO_REASON_RANGES, 10, 256, do_trim(self, 256));
}

TEST_F(ranges, deallocating_needs_its_right)
{
	ATTACH(EXO_RIGHT_READ | EXO_RIGHT_WRITE);
	self->trim[0] = (struct trim_range){ .blocks = 8, .slba = FIRST };
	EXPECT_REFUSED(EACCES, EXO_REASON_LBA_RIGHT, 0, EXO_RIGHT_TRIM, do_trim(self, 1));
}

TEST_F(ranges, one_range_outside_is_refused_wherever_it_is_listed)
{
	static const struct trim_range outside[] = {
		{ .blocks = 1, .slba = FIRST - 1 }, { .blocks = 2, .slba = FIRST - 1 },
		{ .blocks = 1, .slba = END },	    { .blocks = 2, .slba = END - 1 },
		{ .blocks = ~0u, .slba = FIRST },   { .blocks = 1, .slba = FIRST | 1ull << 40 },
	};
	__u32 at, i;

	ATTACH(ALL);
	for (at = 0; at < EXO_TRIM_RANGES; at += 21) {
		for (i = 0; i < EXO_TRIM_RANGES; i++)
			self->trim[i] = (struct trim_range){ .blocks = 8, .slba = FIRST };
		for (i = 0; i < ARRAY_SIZE(outside); i++) {
			self->trim[at] = outside[i];
			EXPECT_REFUSED(ERANGE, EXO_REASON_LBA, 6, outside[i].slba,
				       do_trim(self, EXO_TRIM_RANGES));
			EXPECT_EQ(outside[i].blocks, last.limit);
		}
		self->trim[at] = (struct trim_range){ .blocks = 2, .slba = ~0ull };
		EXPECT_REFUSED(EOVERFLOW, EXO_REASON_LBA_OVERFLOW, 6, ~0ull,
			       do_trim(self, EXO_TRIM_RANGES));
	}
}

TEST_F(ranges, each_range_may_lie_in_another_extent_but_none_across_two)
{
	__u32 part, i;

	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, derive(self->t.fd, self->extent, ALL, EXO_SESSION_SELF, FIRST + 64 * i,
				    64, &part));
		ASSERT_EQ(0, queue_attach(self->t.fd, self->ring.cap, part));
	}
	self->trim[0] = (struct trim_range){ .blocks = 64, .slba = FIRST };
	self->trim[1] = (struct trim_range){ .blocks = 64, .slba = FIRST + 64 };
	EXPECT_EQ(0, do_trim(self, 2));
	self->trim[1].slba = FIRST + 32;
	EXPECT_REFUSED(ERANGE, EXO_REASON_LBA, 6, FIRST + 32, do_trim(self, 2));
	self->copy[0] = (struct copy_range){ .slba = FIRST, .nlb = 7 };
	self->copy[1] = (struct copy_range){ .slba = FIRST + 64, .nlb = 7 };
	EXPECT_EQ(0, do_copy(self, 2, FIRST + 100));
	EXPECT_REFUSED(ERANGE, EXO_REASON_LBA, 10, FIRST + 56, do_copy(self, 2, FIRST + 56));
}

TEST_F(ranges, more_of_a_range_than_its_place_is_refused)
{
	ATTACH(ALL);
	self->trim[0] = (struct trim_range){ .blocks = 8, .slba = FIRST };
	self->trim[1] = (struct trim_range){ .blocks = 8, .slba = FIRST + 8, .attributes = 1 };
	EXPECT_REFUSED(EINVAL, EXO_REASON_RANGE_BITS, 6, FIRST + 8, do_trim(self, 2));
	EXPECT_EQ(1, last.limit);
	EXPECT_EQ(0, do_trim(self, 1));
}

/* The namespace again and again, until that is more than may be named at once. */
TEST_F(ranges, more_than_may_be_deallocated_at_once_is_refused)
{
	const __u64 bytes = self->blocks * 512;
	__u32 i, count = (__u32)(EXO_TRIM_BYTES / bytes) + 1;

	ASSERT_GE(EXO_TRIM_RANGES, count);
	ASSERT_EQ(0, queue_attach(self->t.fd, self->ring.cap, self->whole));
	for (i = 0; i < count; i++)
		self->trim[i] = (struct trim_range){ .blocks = (__u32)self->blocks };
	EXPECT_REFUSED(EMSGSIZE, EXO_REASON_TRANSFER, 10, count * bytes, do_trim(self, count));
	EXPECT_EQ(EXO_TRIM_BYTES, last.limit);
}

TEST_F(ranges, bits_beside_those_of_the_command_are_refused)
{
	struct sqe sqe;

	ATTACH(ALL);
	self->trim[0] = (struct trim_range){ .blocks = 8, .slba = FIRST };
	sqe = sqe_trim(self, 1);
	sqe.dw[11] |= 1;
	EXPECT_REFUSED(EINVAL, EXO_REASON_BITS, 11, 1, ring_do(&self->ring, &sqe));
	sqe = sqe_trim(self, 1);
	sqe.dw[12] = 1;
	EXPECT_REFUSED(EINVAL, EXO_REASON_BITS, 12, 1, ring_do(&self->ring, &sqe));
	sqe = sqe_trim(self, 1);
	sqe.dw[10] |= 0x100;
	EXPECT_REFUSED(EINVAL, EXO_REASON_BITS, 10, 0x100, ring_do(&self->ring, &sqe));
	sqe = sqe_io(OP_COPY, 0, 1, FIRST, 0x100, self->list); /* descriptor format 1h */
	EXPECT_REFUSED(EINVAL, EXO_REASON_BITS, 12, 0x100, ring_do(&self->ring, &sqe));
}

/* ---- the list ---- */

TEST_F(ranges, a_list_must_be_attached_to_its_end)
{
	const __u64 end = self->b.offset + self->b.size;
	struct trim_range *tail = (void *)((char *)self->b.at + self->b.size);

	ATTACH(ALL);
	tail[-2] = tail[-1] = (struct trim_range){ .blocks = 8, .slba = FIRST };
	self->list = end - 2 * sizeof(*tail);
	EXPECT_EQ(0, do_trim(self, 2));
	EXPECT_REFUSED(EFAULT, EXO_REASON_BUFFER, 6, end, do_trim(self, 3));
	self->list = 1ull << 50;
	EXPECT_REFUSED(EFAULT, EXO_REASON_BUFFER, 6, 1ull << 50, do_trim(self, 1));
	self->list = self->b.offset + 2;
	EXPECT_REFUSED(EINVAL, EXO_REASON_BUFFER_ALIGN, 6, self->list, do_trim(self, 1));
}

TEST_F(ranges, a_list_may_cross_a_page)
{
	struct trim_range *list = (void *)((char *)self->b.at + PAGE - 20);

	ATTACH(ALL);
	self->list = self->b.offset + PAGE - 20;
	list[0] = list[1] = list[2] = (struct trim_range){ .blocks = 8, .slba = FIRST };
	EXPECT_EQ(0, do_trim(self, 3));
	list[1].slba = FIRST - 8;
	EXPECT_REFUSED(ERANGE, EXO_REASON_LBA, 6, FIRST - 8, do_trim(self, 3));
}

TEST_F(ranges, a_list_in_frames_that_the_device_may_not_read_is_refused)
{
	struct buffer b = {};
	__u32 cap;

	ATTACH(ALL);
	ASSERT_EQ(0, buffer_alloc(self->t.fd, self->t.pool, EXO_ORDER_4K, 1, &b));
	ASSERT_EQ(0, derive(self->t.fd, b.cap, EXO_RIGHT_WRITE, EXO_SESSION_SELF, 0, 0, &cap));
	ASSERT_EQ(0, dma_attach(self->t.fd, self->t.controller, cap, &self->list));
	EXPECT_REFUSED(EACCES, EXO_REASON_BUFFER_RIGHT, 6, self->list, do_trim(self, 1));
	EXPECT_EQ(EXO_RIGHT_READ, last.limit);
}

/* A capability to the middle of larger frames: the list that is read is the one that is seen. */
TEST_F(ranges, a_list_in_a_part_of_larger_frames_is_found)
{
	struct buffer b = {};
	struct trim_range *list;
	__u32 cap;

	ATTACH(ALL);
	if (buffer_alloc(self->t.fd, self->t.pool, EXO_ORDER_2M, 2, &b))
		SKIP(return, "no frames of 2 MiB");
	ASSERT_EQ(0, derive(self->t.fd, b.cap, EXO_RIGHT_READ, EXO_SESSION_SELF, 1, 1, &cap));
	ASSERT_EQ(0, dma_attach(self->t.fd, self->t.controller, cap, &self->list));
	list = (void *)((char *)b.at + b.size / 2 + 5 * PAGE);
	self->list += 5 * PAGE;
	*list = (struct trim_range){ .blocks = 8, .slba = FIRST };
	EXPECT_EQ(0, do_trim(self, 1));
	list->slba = 77;
	EXPECT_REFUSED(ERANGE, EXO_REASON_LBA, 6, 77, do_trim(self, 1));
}

/* ---- Copy ---- */

TEST_F(ranges, a_copy_joins_its_ranges)
{
	char *data = (char *)self->b.at + DATA_PAGE * PAGE;

	ATTACH(ALL);
	fill_random(data, 4 * PAGE);
	ASSERT_EQ(0, io(self, OP_WRITE, FIRST, 32, DATA_PAGE));
	self->copy[0] = (struct copy_range){ .slba = FIRST + 24, .nlb = 7 };
	self->copy[1] = (struct copy_range){ .slba = FIRST, .nlb = 0 };
	self->copy[2] = (struct copy_range){ .slba = FIRST + 8, .nlb = 15 };
	ASSERT_EQ(0, do_copy(self, 3, FIRST + 256));
	ASSERT_EQ(0, io(self, OP_READ, FIRST + 256, 25, DATA_PAGE + 4));
	EXPECT_EQ(0, memcmp(data + 4 * PAGE, data + 24 * 512, 8 * 512));
	EXPECT_EQ(0, memcmp(data + 4 * PAGE + 8 * 512, data, 512));
	EXPECT_EQ(0, memcmp(data + 4 * PAGE + 9 * 512, data + 8 * 512, 16 * 512));
}

TEST_F(ranges, a_copy_needs_to_read_there_and_to_write_here)
{
	ATTACH(EXO_RIGHT_WRITE | EXO_RIGHT_TRIM);
	self->copy[0] = (struct copy_range){ .slba = FIRST, .nlb = 7 };
	EXPECT_REFUSED(EACCES, EXO_REASON_LBA_RIGHT, 0, EXO_RIGHT_READ,
		       do_copy(self, 1, FIRST + 64));
}

TEST_F(ranges, a_copy_needs_to_write_here)
{
	ATTACH(EXO_RIGHT_READ | EXO_RIGHT_TRIM);
	self->copy[0] = (struct copy_range){ .slba = FIRST, .nlb = 7 };
	EXPECT_REFUSED(EACCES, EXO_REASON_LBA_RIGHT, 0, EXO_RIGHT_WRITE,
		       do_copy(self, 1, FIRST + 64));
}

TEST_F(ranges, a_copy_stays_within_the_extent_at_both_ends)
{
	struct exo_cap_query q;
	__u32 i;

	ATTACH(ALL);
	ASSERT_EQ(0, query(self->t.fd, self->extent, &q));
	ASSERT_LT(0, q.out_copy_ranges);
	self->copy[0] = (struct copy_range){ .slba = FIRST - 1, .nlb = 1 };
	EXPECT_REFUSED(ERANGE, EXO_REASON_LBA, 6, FIRST - 1, do_copy(self, 1, FIRST + 64));
	self->copy[0] = (struct copy_range){ .slba = END - 1, .nlb = 1 };
	EXPECT_REFUSED(ERANGE, EXO_REASON_LBA, 6, END - 1, do_copy(self, 1, FIRST + 64));
	self->copy[0] = (struct copy_range){ .slba = FIRST, .nlb = 7 };
	EXPECT_REFUSED(ERANGE, EXO_REASON_LBA, 10, END - 7, do_copy(self, 1, END - 7));
	EXPECT_EQ(8, last.limit);
	EXPECT_REFUSED(ERANGE, EXO_REASON_LBA, 10, FIRST - 1, do_copy(self, 1, FIRST - 1));
	for (i = 0; i < EXO_COPY_RANGES; i++)
		self->copy[i] = (struct copy_range){ .slba = FIRST, .nlb = 0 };
	EXPECT_EQ(0, do_copy(self, q.out_copy_ranges, FIRST + 64));
	EXPECT_REFUSED(EINVAL, EXO_REASON_RANGES, 12, EXO_COPY_RANGES + 1,
		       do_copy(self, EXO_COPY_RANGES + 1, FIRST + 64));
	for (i = 0; i < EXO_COPY_RANGES; i++)
		self->copy[i].nlb = (__u16)(self->t.transfer_max / 512 / 8 - 1);
	EXPECT_REFUSED(EMSGSIZE, EXO_REASON_TRANSFER, 12, self->t.transfer_max * 4ull,
		       do_copy(self, 32, FIRST));
}

TEST_F(ranges, more_of_a_source_than_its_place_is_refused)
{
	const struct copy_range bad[] = {
		{ .reserved0 = 1, .slba = FIRST },
		{ .slba = FIRST, .reserved18 = { 1 } },
		{ .slba = FIRST, .reserved18 = { 0, 0, 0x8000 } },
		{ .slba = FIRST, .reserved24 = 1ull << 63 },
	};
	__u32 i;

	ATTACH(ALL);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		self->copy[0] = bad[i];
		EXPECT_REFUSED(EINVAL, EXO_REASON_RANGE_BITS, 6, FIRST,
			       do_copy(self, 1, FIRST + 64));
	}
}

/* ---- rewritten during the call ---- */

struct rewriter {
	struct copy_range *range;
	bool stop;
	unsigned long times;
};

static void *rewrite(void *arg)
{
	struct rewriter *w = arg;

	while (!__atomic_load_n(&w->stop, __ATOMIC_RELAXED)) {
		__atomic_store_n(&w->range->slba, FIRST, __ATOMIC_RELAXED);
		__atomic_store_n(&w->range->slba, OUTSIDE, __ATOMIC_RELAXED);
		w->times++;
	}
	return NULL;
}

TEST_F(ranges, a_list_rewritten_during_the_call_never_passes_unchecked)
{
	struct rewriter w = { .range = self->copy };
	char *data = (char *)self->b.at + DATA_PAGE * PAGE;
	unsigned int passed = 0, refused = 0;
	__u64 end = now_ms() + 1000;
	pthread_t thread;

	ATTACH(ALL);
	/* What is inside is known; what is outside is not that. */
	memset(data, 0x5a, PAGE);
	ASSERT_EQ(0, io(self, OP_WRITE, FIRST, 8, DATA_PAGE));
	self->copy[0] = (struct copy_range){ .slba = FIRST, .nlb = 7 };
	ASSERT_EQ(0, pthread_create(&thread, NULL, rewrite, &w));
	while (now_ms() < end) {
		int ret = do_copy(self, 1, FIRST + 64);

		if (ret) {
			ASSERT_EQ(-ERANGE, ret);
			ASSERT_EQ(OUTSIDE, last.value);
			refused++;
			continue;
		}
		passed++;
		ASSERT_EQ(0, io(self, OP_COMPARE, FIRST + 64, 8, DATA_PAGE));
	}
	__atomic_store_n(&w.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	TH_LOG("%u passed, %u refused, rewritten %lu times", passed, refused, w.times);
	EXPECT_LT(0, passed);
	EXPECT_LT(0, refused);
}

TEST_HARNESS_MAIN
