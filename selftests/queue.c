// SPDX-License-Identifier: MIT
/*
 * Queues: creation and budget, attached extents, and data that arrives whole.
 */
#include <sched.h>
#include <pthread.h>
#include <kselftest_harness.h>

#include "lib.h"

/* ---- creation ---- */

FIXTURE(create)
{
	struct tenant t;
};

FIXTURE_SETUP(create)
{
	TENANT_SETUP(&self->t, "exo0");
	ASSERT_EQ(0, become_nobody());
}

FIXTURE_TEARDOWN(create)
{
	tenant_destroy(&self->t);
}

TEST_F(create, every_depth_up_to_the_limit_works)
{
	const __u32 max = self->t.depth_max;
	const __u32 depths[] = { 1, 2, 3, 7, 8, 9, 31, 32, 63, 127, 128, 255, 256, max - 1, max };
	struct exo_queue_query q;
	struct ring ring;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(depths); i++) {
		if (!depths[i] || depths[i] > max)
			continue;
		ASSERT_EQ(0, ring_create(self->t.fd, self->t.controller, depths[i], &ring))
		{
			TH_LOG("depth %u", depths[i]);
		}
		EXPECT_LT(depths[i], ring.entries);
		EXPECT_EQ(0, ring.entries & (ring.entries - 1));
		EXPECT_EQ(0, ring.rw_size % PAGE);
		EXPECT_EQ(0, ring.ro_size % PAGE);
		EXPECT_LE(PAGE + ring.entries * 64, ring.rw_size);
		EXPECT_LE(PAGE + ring.entries * 16, ring.ro_size);
		EXPECT_NE(0, ring.qid);
		ASSERT_EQ(0, queue_query(self->t.fd, ring.cap, &q));
		EXPECT_EQ(EXO_QUEUE_CHECKED, q.out_mode);
		EXPECT_EQ(EXO_QUEUE_LIVE, q.out_state);
		EXPECT_EQ(depths[i], q.out_depth);
		EXPECT_EQ(ring.entries, q.out_entries);
		EXPECT_EQ(ring.qid, q.out_qid);
		EXPECT_EQ(0, q.out_submitted);
		EXPECT_EQ(0, q.out_completed);
		EXPECT_EQ(0, q.out_refused);
		EXPECT_EQ(0, q.out_extents);
		ring_unmap(&ring);
		ASSERT_EQ(0, drop(self->t.fd, ring.cap));
	}
}

TEST_F(create, a_depth_that_cannot_be_is_refused)
{
	const __u32 wrong[] = { 0, self->t.depth_max + 1, 65535, 65536, 1u << 31, ~0u };
	struct exo_queue_create queue;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		EXPECT_REFUSED(EINVAL, EXO_REASON_VALUE, offsetof(struct exo_queue_create, depth),
			       wrong[i],
			       queue_create(self->t.fd, self->t.controller, wrong[i], &queue));
		EXPECT_EQ(self->t.depth_max, last.limit);
	}
}

TEST_F(create, a_mode_that_does_not_exist_is_refused)
{
	static const __u32 wrong[] = { 3, 4, 1u << 31, ~0u };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct exo_queue_create arg = { .controller = self->t.controller,
						.mode = wrong[i],
						.depth = 8 };

		EXPECT_REFUSED(EINVAL, EXO_REASON_VALUE, offsetof(struct exo_queue_create, mode),
			       wrong[i], call(self->t.fd, EXO_QUEUE_CREATE, &arg));
	}
}

TEST_F(create, the_budget_is_kept_and_given_back)
{
	struct exo_queue_create queue[TENANT_QUEUES + 1];
	struct exo_controller_query q;
	int i, j, round;

	for (round = 0; round < 3; round++) {
		for (i = 0; i < TENANT_QUEUES; i++) {
			ASSERT_EQ(0, queue_create(self->t.fd, self->t.controller, 8, &queue[i]));
			for (j = 0; j < i; j++) {
				EXPECT_NE(queue[j].out_qid, queue[i].out_qid);
			}
		}
		EXPECT_EQ(-EDQUOT, queue_create(self->t.fd, self->t.controller, 8, &queue[i]));
		EXPECT_EQ(EXO_REASON_BUDGET, last.reason);
		EXPECT_EQ(1, last.value);
		EXPECT_EQ(0, last.limit);
		ASSERT_EQ(0, controller_query(self->t.fd, self->t.controller, &q));
		EXPECT_EQ(TENANT_QUEUES, q.out_queues_used);
		for (i = 0; i < TENANT_QUEUES; i++) {
			ASSERT_EQ(0, drop(self->t.fd, queue[i].out_cap));
		}
		ASSERT_EQ(0, controller_query(self->t.fd, self->t.controller, &q));
		EXPECT_EQ(0, q.out_queues_used);
	}
}

TEST_F(create, queues_are_made_and_dropped_without_end_or_leak)
{
	struct exo_queue_create queue;
	__u64 used = frames_used(self->t.fd);
	int i;

	for (i = 0; i < 100; i++) {
		ASSERT_EQ(0, queue_create(self->t.fd, self->t.controller, 1 + random_u32() % 128,
					  &queue));
		ASSERT_EQ(0, drop(self->t.fd, queue.out_cap));
	}
	EXPECT_EQ(used, frames_used(self->t.fd));
}

static void *create_and_drop(void *arg)
{
	struct tenant *t = arg;
	struct exo_queue_create queue;
	int i;

	for (i = 0; i < 60; i++)
		if (!queue_create(t->fd, t->controller, 8, &queue))
			drop(t->fd, queue.out_cap);
	return NULL;
}

TEST_F(create, threads_that_create_at_once_never_exceed_the_budget)
{
	struct exo_controller_query q;
	pthread_t threads[6];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(threads); i++) {
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, create_and_drop, &self->t));
	}
	for (i = 0; i < 50; i++) {
		ASSERT_EQ(0, controller_query(self->t.fd, self->t.controller, &q));
		EXPECT_GE(TENANT_QUEUES, q.out_queues_used);
	}
	for (i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	ASSERT_EQ(0, controller_query(self->t.fd, self->t.controller, &q));
	EXPECT_EQ(0, q.out_queues_used);
}

TEST_F(create, a_derived_queue_works_in_the_other_session)
{
	int other = session_open();
	struct exo_queue_create arg;
	struct exo_cap_query q;
	struct ring ring;
	struct buffer b;
	struct cqe cqe;
	struct sqe sqe;
	__u32 accepted;

	ASSERT_LE(0, other);
	ASSERT_EQ(0, queue_create(self->t.fd, self->t.controller, 8, &arg));
	ASSERT_EQ(0, queue_attach(self->t.fd, arg.out_cap, self->t.extent));
	ASSERT_EQ(0, buffer_alloc(self->t.fd, self->t.pool, EXO_ORDER_4K, 1, &b));
	ASSERT_EQ(0, buffer_attach(self->t.fd, self->t.controller, &b));
	ASSERT_EQ(0, derive(self->t.fd, arg.out_cap, EXO_RIGHT_SUBMIT, other, 0, 0, &arg.out_cap));
	ASSERT_EQ(0, query(other, arg.out_cap, &q));
	EXPECT_EQ(EXO_TYPE_QUEUE, q.out_type);
	EXPECT_EQ(EXO_RIGHT_SUBMIT, q.out_rights);
	EXPECT_EQ(self->t.address, q.out_address);
	arg.out_mmap_offset = q.out_mmap_offset;
	ASSERT_EQ(0, ring_map(other, &arg, &ring));
	/* Its buffer space is that of the session which created it. */
	sqe = sqe_io(OP_READ, 3, 1, EXTENT_FIRST, 0, b.offset);
	ring_push(&ring, &sqe);
	ASSERT_EQ(0, ring_submit(&ring, &accepted));
	EXPECT_EQ(1, accepted);
	ASSERT_EQ(0, ring_reap(&ring, &cqe, 5000));
	EXPECT_EQ(3, cqe.cid);
	EXPECT_EQ(0, cqe.status >> 1);
	ring_unmap(&ring);
	close(other);
}

/* ---- extents on a queue ---- */

FIXTURE(attach)
{
	struct tenant t;
	struct ring ring;
	struct buffer b;
};

FIXTURE_SETUP(attach)
{
	TENANT_SETUP(&self->t, "exo0");
	ASSERT_EQ(0, ring_create(self->t.fd, self->t.controller, 8, &self->ring));
	ASSERT_EQ(0, buffer_alloc(self->t.fd, self->t.pool, EXO_ORDER_4K, 16, &self->b));
	ASSERT_EQ(0, buffer_attach(self->t.fd, self->t.controller, &self->b));
}

FIXTURE_TEARDOWN(attach)
{
	tenant_destroy(&self->t);
}

TEST_F(attach, without_an_extent_nothing_can_be_named)
{
	EXPECT_REFUSED(ERANGE, EXO_REASON_NSID, 1, 1,
		       ring_io(&self->ring, OP_READ, 1, EXTENT_FIRST, 1, self->b.offset));
	EXPECT_EQ(-ERANGE, ring_io(&self->ring, OP_FLUSH, 1, 0, 1, 0));
	EXPECT_EQ(EXO_REASON_NSID, last.reason);
}

TEST_F(attach, a_second_time_is_refused)
{
	struct exo_queue_query q;

	ASSERT_EQ(0, queue_attach(self->t.fd, self->ring.cap, self->t.extent));
	EXPECT_EQ(-EEXIST, queue_attach(self->t.fd, self->ring.cap, self->t.extent));
	EXPECT_EQ(EXO_REASON_ATTACHED, last.reason);
	EXPECT_EQ(self->t.extent, last.value);
	ASSERT_EQ(0, queue_query(self->t.fd, self->ring.cap, &q));
	EXPECT_EQ(1, q.out_extents);
}

TEST_F(attach, detaching_ends_the_right)
{
	struct exo_queue_query q;

	EXPECT_EQ(-ENOENT, queue_detach(self->t.fd, self->ring.cap, self->t.extent));
	EXPECT_EQ(EXO_REASON_NOT_ATTACHED, last.reason);
	EXPECT_EQ(self->t.extent, last.value);
	ASSERT_EQ(0, queue_attach(self->t.fd, self->ring.cap, self->t.extent));
	EXPECT_EQ(0, ring_io(&self->ring, OP_READ, 1, EXTENT_FIRST, 1, self->b.offset));
	ASSERT_EQ(0, queue_detach(self->t.fd, self->ring.cap, self->t.extent));
	EXPECT_EQ(-ERANGE, ring_io(&self->ring, OP_READ, 1, EXTENT_FIRST, 1, self->b.offset));
	ASSERT_EQ(0, queue_query(self->t.fd, self->ring.cap, &q));
	EXPECT_EQ(0, q.out_extents);
	ASSERT_EQ(0, queue_attach(self->t.fd, self->ring.cap, self->t.extent));
	EXPECT_EQ(0, ring_io(&self->ring, OP_READ, 1, EXTENT_FIRST, 1, self->b.offset));
}

TEST_F(attach, dropping_the_extent_ends_the_right_too)
{
	struct exo_queue_query q;

	ASSERT_EQ(0, queue_attach(self->t.fd, self->ring.cap, self->t.extent));
	ASSERT_EQ(0, drop(self->t.fd, self->t.extent));
	EXPECT_EQ(-ERANGE, ring_io(&self->ring, OP_READ, 1, EXTENT_FIRST, 1, self->b.offset));
	ASSERT_EQ(0, queue_query(self->t.fd, self->ring.cap, &q));
	EXPECT_EQ(0, q.out_extents);
	EXPECT_EQ(EXO_QUEUE_LIVE, q.out_state);
}

TEST_F(attach, wrong_capabilities_are_refused)
{
	int fd = self->t.fd;
	__u32 queue = self->ring.cap;

	EXPECT_EQ(-EINVAL, queue_attach(fd, queue, self->t.pool));
	EXPECT_EQ(EXO_REASON_WRONG_TYPE, last.reason);
	EXPECT_EQ(offsetof(struct exo_queue_attach, extent), last.field);
	EXPECT_EQ(-EINVAL, queue_attach(fd, queue, queue));
	EXPECT_EQ(-EINVAL, queue_attach(fd, self->t.extent, self->t.extent));
	EXPECT_EQ(-ENOENT, queue_attach(fd, queue, 999));
	EXPECT_EQ(EXO_REASON_NO_CAP, last.reason);
	EXPECT_EQ(-ENOENT, queue_attach(fd, 999, self->t.extent));
	EXPECT_EQ(-EINVAL, queue_detach(fd, queue, self->t.pool));
	EXPECT_EQ(-ENOENT, queue_detach(fd, queue, 999));
}

TEST_F(attach, so_many_extents_and_no_more)
{
	struct exo_queue_query q;
	__u32 part[EXO_QUEUE_EXTENTS_MAX + 1], i;

	for (i = 0; i <= EXO_QUEUE_EXTENTS_MAX; i++) {
		ASSERT_EQ(0, derive(self->t.fd, self->t.extent, EXO_RIGHT_READ, EXO_SESSION_SELF,
				    EXTENT_FIRST + 2 * i, 1, &part[i]));
	}
	for (i = 0; i < EXO_QUEUE_EXTENTS_MAX; i++) {
		ASSERT_EQ(0, queue_attach(self->t.fd, self->ring.cap, part[i]));
	}
	EXPECT_EQ(-ENOSPC, queue_attach(self->t.fd, self->ring.cap, part[i]));
	EXPECT_EQ(EXO_REASON_TABLE_FULL, last.reason);
	EXPECT_EQ(EXO_QUEUE_EXTENTS_MAX, last.limit);
	ASSERT_EQ(0, queue_query(self->t.fd, self->ring.cap, &q));
	EXPECT_EQ(EXO_QUEUE_EXTENTS_MAX, q.out_extents);
	/* Each is usable, the blocks between them are not. */
	for (i = 0; i < EXO_QUEUE_EXTENTS_MAX; i++) {
		ASSERT_EQ(0, ring_io(&self->ring, OP_READ, 1, EXTENT_FIRST + 2 * i, 1,
				     self->b.offset));
		ASSERT_EQ(-ERANGE, ring_io(&self->ring, OP_READ, 1, EXTENT_FIRST + 2 * i + 1, 1,
					   self->b.offset));
	}
	/* One out from the middle, another in. */
	ASSERT_EQ(0, queue_detach(self->t.fd, self->ring.cap, part[31]));
	EXPECT_EQ(-ERANGE, ring_io(&self->ring, OP_READ, 1, EXTENT_FIRST + 62, 1, self->b.offset));
	EXPECT_EQ(0, ring_io(&self->ring, OP_READ, 1, EXTENT_FIRST + 60, 1, self->b.offset));
	EXPECT_EQ(0, ring_io(&self->ring, OP_READ, 1, EXTENT_FIRST + 64, 1, self->b.offset));
	EXPECT_EQ(0, queue_attach(self->t.fd, self->ring.cap, part[EXO_QUEUE_EXTENTS_MAX]));
}

TEST_F(attach, an_extent_of_another_controller_is_refused)
{
	__u32 address, controller, extent;

	if (machine_find("exo1", &address))
		SKIP(return, "the machine has no second controller (serial exo1)");
	ASSERT_EQ(0, claim_controller(self->t.grantor, address, &controller));
	ASSERT_EQ(0, extent_create(self->t.grantor, controller, 1, EXO_RIGHT_READ, EXTENT_FIRST, 8,
				   &extent));
	ASSERT_EQ(0, derive(self->t.grantor, extent, EXO_RIGHT_READ, self->t.fd, 0, 0, &extent));
	EXPECT_EQ(-EINVAL, queue_attach(self->t.fd, self->ring.cap, extent));
	EXPECT_EQ(EXO_REASON_OTHER_CONTROLLER, last.reason);
	EXPECT_EQ(-ENOENT, queue_detach(self->t.fd, self->ring.cap, extent));
}

TEST_F(attach, a_command_must_lie_within_one_extent)
{
	__u32 left, right;

	/* Two neighbours: together they cover the command, but neither does. */
	ASSERT_EQ(0, derive(self->t.fd, self->t.extent, EXO_RIGHT_READ, EXO_SESSION_SELF,
			    EXTENT_FIRST, 8, &left));
	ASSERT_EQ(0, derive(self->t.fd, self->t.extent, EXO_RIGHT_READ, EXO_SESSION_SELF,
			    EXTENT_FIRST + 8, 8, &right));
	ASSERT_EQ(0, queue_attach(self->t.fd, self->ring.cap, left));
	ASSERT_EQ(0, queue_attach(self->t.fd, self->ring.cap, right));
	EXPECT_EQ(0, ring_io(&self->ring, OP_READ, 1, EXTENT_FIRST, 8, self->b.offset));
	EXPECT_EQ(0, ring_io(&self->ring, OP_READ, 1, EXTENT_FIRST + 8, 8, self->b.offset));
	EXPECT_EQ(-ERANGE, ring_io(&self->ring, OP_READ, 1, EXTENT_FIRST + 7, 2, self->b.offset));
	EXPECT_EQ(EXO_REASON_LBA, last.reason);
}

TEST_F(attach, the_right_may_come_from_any_extent_that_covers_the_command)
{
	__u32 ro, wo;

	ASSERT_EQ(0, derive(self->t.fd, self->t.extent, EXO_RIGHT_READ, EXO_SESSION_SELF,
			    EXTENT_FIRST, 16, &ro));
	ASSERT_EQ(0, derive(self->t.fd, self->t.extent, EXO_RIGHT_WRITE, EXO_SESSION_SELF,
			    EXTENT_FIRST + 8, 16, &wo));
	ASSERT_EQ(0, queue_attach(self->t.fd, self->ring.cap, ro));
	ASSERT_EQ(0, queue_attach(self->t.fd, self->ring.cap, wo));
	EXPECT_EQ(0, ring_io(&self->ring, OP_READ, 1, EXTENT_FIRST + 8, 8, self->b.offset));
	EXPECT_EQ(0, ring_io(&self->ring, OP_WRITE, 1, EXTENT_FIRST + 8, 8, self->b.offset));
	EXPECT_EQ(-EACCES, ring_io(&self->ring, OP_WRITE, 1, EXTENT_FIRST, 8, self->b.offset));
	EXPECT_EQ(EXO_REASON_LBA_RIGHT, last.reason);
	EXPECT_EQ(EXO_RIGHT_WRITE, last.value);
	EXPECT_EQ(EXO_RIGHT_READ, last.limit);
	EXPECT_EQ(-EACCES, ring_io(&self->ring, OP_READ, 1, EXTENT_FIRST + 16, 8, self->b.offset));
	EXPECT_EQ(EXO_REASON_LBA_RIGHT, last.reason);
}

/* ---- data ---- */

FIXTURE(data)
{
	struct tenant t;
	struct ring ring;
	struct buffer out, in;
	__u32 nsid;
};

FIXTURE_VARIANT(data)
{
	const char *serial;
	__u32 order;
};

FIXTURE_VARIANT_ADD(data, scattered_4k){
	.serial = "exo0",
	.order = EXO_ORDER_4K,
};

FIXTURE_VARIANT_ADD(data, frames_2m){
	.serial = "exo0",
	.order = EXO_ORDER_2M,
};

FIXTURE_VARIANT_ADD(data, second_controller){
	.serial = "exo1",
	.order = EXO_ORDER_4K,
};

FIXTURE_SETUP(data)
{
	__u32 count;

	TENANT_SETUP(&self->t, variant->serial);
	ASSERT_EQ(0, become_nobody());
	self->nsid = 1;
	count = (__u32)((self->t.transfer_max + 2 * PAGE) >> (12 + variant->order)) + 1;
	ASSERT_EQ(0, ring_create(self->t.fd, self->t.controller, 64, &self->ring));
	ASSERT_EQ(0, queue_attach(self->t.fd, self->ring.cap, self->t.extent));
	ASSERT_EQ(0, buffer_alloc(self->t.fd, self->t.pool, variant->order, count, &self->out));
	ASSERT_EQ(0, buffer_alloc(self->t.fd, self->t.pool, variant->order, count, &self->in));
	ASSERT_EQ(0, buffer_attach(self->t.fd, self->t.controller, &self->out));
	ASSERT_EQ(0, buffer_attach(self->t.fd, self->t.controller, &self->in));
	fill_random(self->out.at, self->out.size);
}

FIXTURE_TEARDOWN(data)
{
	tenant_destroy(&self->t);
}

static int transfer(FIXTURE_DATA(data) * self, __u32 blocks, __u32 from, __u32 to)
{
	const __u64 slba = EXTENT_FIRST + random_u32() % (EXTENT_BLOCKS - blocks + 1);
	const size_t size = (size_t)blocks << self->t.block_shift;
	const char *out = (char *)self->out.at + from;
	char *in = (char *)self->in.at + to;
	int ret;

	/* Guards on both sides. */
	in[-1] = 0x3c;
	in[size] = 0x3c;
	ret = ring_io(&self->ring, OP_WRITE, 1, slba, blocks, self->out.offset + from);
	if (ret)
		return ret;
	ret = ring_io(&self->ring, OP_READ, 1, slba, blocks, self->in.offset + to);
	if (ret)
		return ret;
	if (in[-1] != 0x3c || in[size] != 0x3c)
		return -EOVERFLOW;
	return memcmp(out, in, size) ? -EBADMSG : 0;
}

TEST_F(data, of_every_size_at_any_offset_arrives_whole)
{
	const __u32 max = self->t.transfer_max >> self->t.block_shift;
	__u32 blocks;

	for (blocks = 1; blocks <= max; blocks += blocks < 300 || blocks > max - 20 ? 1 : 7) {
		/* Multiples of 4, the buffer's end included now and then. */
		__u32 from = 4 + random_u32() % (2 * PAGE - 8) / 4 * 4;
		__u32 to = 4 + random_u32() % (2 * PAGE - 8) / 4 * 4;

		ASSERT_EQ(0, transfer(self, blocks, from, to))
		{
			TH_LOG("%u blocks, from +%u to +%u", blocks, from, to);
		}
	}
}

TEST_F(data, at_page_boundaries_arrives_whole)
{
	static const __u32 offsets[] = { 4, PAGE - 512, PAGE - 4, PAGE, PAGE + 4, 2 * PAGE - 4 };
	const __u32 page = PAGE >> self->t.block_shift ? PAGE >> self->t.block_shift : 1;
	const __u32 max = self->t.transfer_max >> self->t.block_shift;
	const __u32 sizes[] = { 1, page, page + 1, 2 * page, 2 * page + 1, 3 * page, max - 1, max };
	unsigned int i, j;

	for (i = 0; i < ARRAY_SIZE(offsets); i++) {
		for (j = 0; j < ARRAY_SIZE(sizes); j++) {
			ASSERT_EQ(0, transfer(self, sizes[j], offsets[i], offsets[5 - i]))
			{
				TH_LOG("%u blocks, from +%u", sizes[j], offsets[i]);
			}
		}
	}
}

TEST_F(data, more_than_a_transfer_is_refused)
{
	const __u32 max = self->t.transfer_max >> self->t.block_shift;
	static const __u32 more[] = { 1, 2, 64 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(more); i++) {
		if (max + more[i] > 65536)
			continue;
		EXPECT_REFUSED(EMSGSIZE, EXO_REASON_TRANSFER, 12,
			       (max + more[i]) << self->t.block_shift,
			       ring_io(&self->ring, OP_READ, 1, EXTENT_FIRST, max + more[i],
				       self->in.offset));
		EXPECT_EQ(self->t.transfer_max, last.limit);
	}
}

TEST_F(data, write_zeroes_clears_what_it_names_and_nothing_else)
{
	struct exo_controller_query q;
	const size_t block = self->t.block;
	size_t i;

	ASSERT_EQ(0, controller_query(self->t.fd, self->t.controller, &q));
	if (!(q.out_features & EXO_CONTROLLER_WRITE_ZEROES)) {
		EXPECT_EQ(-EOPNOTSUPP,
			  ring_io(&self->ring, OP_WRITE_ZEROES, 1, EXTENT_FIRST, 1, 0));
		SKIP(return, "this controller has no Write Zeroes");
	}
	ASSERT_EQ(0, ring_io(&self->ring, OP_WRITE, 1, EXTENT_FIRST, 16, self->out.offset));
	ASSERT_EQ(0, ring_io(&self->ring, OP_WRITE_ZEROES, 1, EXTENT_FIRST + 4, 8, 0));
	ASSERT_EQ(0, ring_io(&self->ring, OP_READ, 1, EXTENT_FIRST, 16, self->in.offset));
	EXPECT_EQ(0, memcmp(self->in.at, self->out.at, 4 * block));
	for (i = 4 * block; i < 12 * block; i++) {
		ASSERT_EQ(0, ((char *)self->in.at)[i]);
	}
	EXPECT_EQ(0, memcmp((char *)self->in.at + 12 * block, (char *)self->out.at + 12 * block,
			    4 * block));
	/* It moves no data; the limit of a transfer binds it all the same. */
	EXPECT_EQ(0, ring_io(&self->ring, OP_WRITE_ZEROES, 1, EXTENT_FIRST,
			     self->t.transfer_max >> self->t.block_shift, 0));
}

TEST_F(data, flush_and_forced_unit_access_work)
{
	struct sqe sqe = sqe_io(OP_WRITE, 1, 1, EXTENT_FIRST, DW12_FUA | 7, self->out.offset);

	EXPECT_EQ(0, ring_do(&self->ring, &sqe));
	sqe = sqe_io(OP_READ, 2, 1, EXTENT_FIRST, DW12_FUA | 7, self->in.offset);
	EXPECT_EQ(0, ring_do(&self->ring, &sqe));
	EXPECT_EQ(0, memcmp(self->in.at, self->out.at, 8 * self->t.block));
	sqe = (struct sqe){ .dw = { OP_FLUSH | 5 << 16, 1 } };
	EXPECT_EQ(0, ring_do(&self->ring, &sqe));
}

/* Reads of one block each, @batch at a time, @total in all, over every slot. */
static int pump(FIXTURE_DATA(data) * self, struct ring *ring, __u32 batch, __u32 total)
{
	__u32 sent = 0, done = 0, accepted, i;
	__u64 busy[32] = { 0 };
	struct cqe cqe;
	int ret;

	while (done < total) {
		__u32 n = 0;

		for (i = 0; i < ring->depth && n < batch && sent + n < total; i++) {
			if (busy[i / 64] & 1ull << i % 64)
				continue;
			struct sqe sqe = sqe_io(OP_READ, (__u16)i, self->nsid, EXTENT_FIRST + i, 0,
						self->in.offset + (__u64)i * self->t.block);

			busy[i / 64] |= 1ull << i % 64;
			ring_push(ring, &sqe);
			n++;
		}
		if (n) {
			ret = ring_submit(ring, &accepted);
			if (ret)
				return ret;
			if (accepted != n)
				return -EPROTO;
			sent += n;
		}
		ret = ring_reap(ring, &cqe, 10000);
		if (ret)
			return ret;
		if (cqe.status >> 1 || cqe.cid >= ring->depth || cqe.sq_id != ring->qid)
			return -EBADMSG;
		if (!(busy[cqe.cid / 64] & 1ull << cqe.cid % 64))
			return -EBADMSG;
		busy[cqe.cid / 64] &= ~(1ull << cqe.cid % 64);
		done++;
	}
	return 0;
}

TEST_F(data, the_rings_go_round_for_any_depth_and_batch)
{
	static const __u32 depths[] = { 1, 2, 3, 5, 8, 31, 64 };
	struct exo_queue_query q;
	struct ring ring;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(depths); i++) {
		__u32 total = 70 + 5 * depths[i];

		ASSERT_EQ(0, ring_create(self->t.fd, self->t.controller, depths[i], &ring));
		ASSERT_EQ(0, queue_attach(self->t.fd, ring.cap, self->t.extent));
		ASSERT_EQ(0, pump(self, &ring, depths[i], total))
		{
			TH_LOG("depth %u, whole", depths[i]);
		}
		ASSERT_EQ(0, pump(self, &ring, 1 + depths[i] / 2, total))
		{
			TH_LOG("depth %u, half", depths[i]);
		}
		EXPECT_EQ(2 * total, ring.status->sq_head);
		ASSERT_EQ(0, queue_query(self->t.fd, ring.cap, &q));
		EXPECT_EQ(2 * total, q.out_submitted);
		EXPECT_LE(2 * total - ring.depth, q.out_completed);
		EXPECT_EQ(0, q.out_refused);
		ring_unmap(&ring);
		ASSERT_EQ(0, drop(self->t.fd, ring.cap));
	}
}

TEST_F(data, a_full_queue_takes_no_more_until_completions_are_consumed)
{
	struct ring *r = &self->ring;
	struct sqe sqe;
	struct cqe cqe;
	__u32 i, accepted;

	for (i = 0; i < r->depth; i++) {
		sqe = sqe_io(OP_READ, (__u16)i, 1, EXTENT_FIRST, 0, self->in.offset);
		ring_push(r, &sqe);
	}
	ASSERT_EQ(0, ring_submit(r, &accepted));
	ASSERT_EQ(r->depth, accepted);
	/* All done, none consumed. */
	while ((__atomic_load_n(&r->cq[r->depth - 1].status, __ATOMIC_ACQUIRE) & 1) == 0)
		;
	ring_push(r, &sqe);
	EXPECT_EQ(-EAGAIN, ring_submit(r, NULL));
	EXPECT_EQ(EXO_REASON_QUEUE_FULL, last.reason);
	EXPECT_EQ(r->depth, last.value);
	EXPECT_EQ(r->depth, last.limit);
	EXPECT_EQ(r->depth, r->status->sq_head);
	/* One consumed, one taken. */
	ASSERT_EQ(0, ring_reap(r, &cqe, 0));
	ring_push(r, &sqe);
	ASSERT_EQ(0, ring_submit(r, &accepted));
	EXPECT_EQ(1, accepted);
	/* A partial success says why too. */
	EXPECT_EQ(EXO_REASON_QUEUE_FULL, last.reason);
	EXPECT_EQ(1, last.index);
}

TEST_F(data, an_empty_ring_is_submitted_with_success)
{
	__u32 accepted = 77;

	EXPECT_EQ(0, ring_submit(&self->ring, &accepted));
	EXPECT_EQ(0, accepted);
	EXPECT_EQ(EXO_REASON_NONE, last.reason);
}

TEST_F(data, a_refused_command_stays_in_the_ring_behind_those_before_it)
{
	struct ring *r = &self->ring;
	struct exo_queue_query q;
	struct sqe good, bad;
	struct cqe cqe;
	__u32 accepted, i;

	for (i = 0; i < 5; i++) {
		good = sqe_io(OP_READ, (__u16)i, 1, EXTENT_FIRST, 0, self->in.offset);
		ring_push(r, &good);
	}
	bad = sqe_io(OP_READ, 5, 1, EXTENT_FIRST - 1, 0, self->in.offset);
	ring_push(r, &bad);
	good = sqe_io(OP_READ, 6, 1, EXTENT_FIRST, 0, self->in.offset);
	ring_push(r, &good);
	ASSERT_EQ(0, ring_submit(r, &accepted));
	EXPECT_EQ(5, accepted);
	EXPECT_EQ(EXO_REASON_LBA, last.reason);
	EXPECT_EQ(10, last.field);
	EXPECT_EQ(5, last.index);
	EXPECT_EQ(EXTENT_FIRST - 1, last.value);
	EXPECT_EQ(5, r->status->sq_head);
	EXPECT_EQ(-ERANGE, ring_submit(r, &accepted));
	EXPECT_EQ(0, last.index);
	/* Mended in place, it and what follows it go through. */
	r->sq[5].dw[10]++;
	ASSERT_EQ(0, ring_submit(r, &accepted));
	EXPECT_EQ(2, accepted);
	for (i = 0; i < 7; i++) {
		ASSERT_EQ(0, ring_reap(r, &cqe, 5000));
		EXPECT_EQ(0, cqe.status >> 1);
	}
	ASSERT_EQ(0, queue_query(self->t.fd, r->cap, &q));
	EXPECT_EQ(7, q.out_submitted);
	EXPECT_EQ(7, q.out_completed);
	EXPECT_LE(1, q.out_refused);
}

TEST_F(data, a_drop_with_commands_in_flight_ends_cleanly)
{
	int round;

	for (round = 0; round < 10; round++) {
		struct ring ring;
		__u32 i, accepted;

		ASSERT_EQ(0, ring_create(self->t.fd, self->t.controller, 32, &ring));
		ASSERT_EQ(0, queue_attach(self->t.fd, ring.cap, self->t.extent));
		for (i = 0; i < 32; i++) {
			struct sqe sqe =
				sqe_io(OP_READ, (__u16)i, 1, EXTENT_FIRST, 255, self->in.offset);

			ring_push(&ring, &sqe);
		}
		ASSERT_EQ(0, ring_submit(&ring, &accepted));
		ASSERT_EQ(32, accepted);
		ASSERT_EQ(0, drop(self->t.fd, ring.cap));
		EXPECT_EQ(EXO_QUEUE_DEAD, ring.status->state);
		EXPECT_EQ(-ENOENT, queue_submit(self->t.fd, ring.cap, &accepted));
		ring_unmap(&ring);
	}
	/* The others never noticed. */
	EXPECT_EQ(0, transfer(self, 8, 4, 8));
}

/* ---- many at once ---- */

struct worker {
	const char *serial;
	__u32 slice; /* of the extent: 1024 blocks each */
	__u32 seconds_ms;
};

/* A process of its own: session, pool, controller share, slice of the extent. */
static int worker_run(struct tenant *t, const struct worker *w)
{
	const __u64 first = EXTENT_FIRST + w->slice * 1024ull;
	__u64 end = now_ms() + w->seconds_ms;
	__u32 pool, controller, extent, rounds = 0;
	int fd = session_open();
	struct buffer out, in;
	struct ring ring;
	int ret;

	if (fd < 0)
		return 1;
	if (derive(t->fd, t->pool, EXO_RIGHT_ALLOC, fd, 0, 0, &pool) ||
	    derive(t->fd, t->controller, EXO_RIGHT_QUEUE, fd, 0, 0, &controller) ||
	    derive(t->fd, t->extent, EXO_RIGHT_READ | EXO_RIGHT_WRITE, fd, first, 1024, &extent))
		return 2;
	close(t->fd);
	close(t->grantor);
	if (become_nobody() || ring_create(fd, controller, 16, &ring) ||
	    queue_attach(fd, ring.cap, extent) || buffer_alloc(fd, pool, EXO_ORDER_4K, 33, &out) ||
	    buffer_alloc(fd, pool, EXO_ORDER_4K, 33, &in) || buffer_attach(fd, controller, &out) ||
	    buffer_attach(fd, controller, &in))
		return 3;
	/* A few rounds at least, however slow the machine. */
	while (now_ms() < end || rounds < 3) {
		__u32 blocks = 1 + random_u32() % (32 * PAGE >> t->block_shift);
		__u64 slba;

		if (blocks > 1024)
			blocks = 1024;
		slba = first + random_u32() % (1024 - blocks + 1);
		fill_random(out.at, 512);
		((__u32 *)out.at)[1] = w->slice;
		ret = ring_io(&ring, OP_WRITE, 1, slba, blocks, out.offset);
		if (!ret)
			ret = ring_io(&ring, OP_READ, 1, slba, blocks, in.offset);
		if (ret)
			return 4;
		if (memcmp(in.at, out.at, (size_t)blocks << t->block_shift))
			return 5;
		/* A neighbour's blocks are out of reach. */
		if (rounds++ % 8 == 0 &&
		    ring_io(&ring, OP_READ, 1, first - 1, 1, in.offset) != -ERANGE)
			return 6;
	}
	return 0;
}

TEST(several_processes_on_one_controller_do_not_disturb_each_other)
{
	struct tenant t;
	pid_t pids[TENANT_QUEUES];
	__u32 i;

	TENANT_SETUP(&t, "exo0");
	for (i = 0; i < TENANT_QUEUES; i++) {
		struct worker w = { .slice = i + 1, .seconds_ms = 1500 };

		pids[i] = fork();
		ASSERT_LE(0, pids[i]);
		if (!pids[i])
			_exit(worker_run(&t, &w));
	}
	for (i = 0; i < TENANT_QUEUES; i++) {
		int status;

		ASSERT_EQ(pids[i], waitpid(pids[i], &status, 0));
		EXPECT_EQ(0, status)
		{
			TH_LOG("worker %u: status %x", i, status);
		}
	}
	tenant_destroy(&t);
}

TEST(two_controllers_work_at_once)
{
	struct tenant t[2];
	pid_t pids[4];
	int i;

	TENANT_SETUP(&t[0], "exo0");
	TENANT_SETUP(&t[1], "exo1");
	for (i = 0; i < 4; i++) {
		struct worker w = { .slice = (__u32)i + 1, .seconds_ms = 1000 };

		pids[i] = fork();
		ASSERT_LE(0, pids[i]);
		if (!pids[i])
			_exit(worker_run(&t[i % 2], &w));
	}
	for (i = 0; i < 4; i++) {
		int status;

		ASSERT_EQ(pids[i], waitpid(pids[i], &status, 0));
		EXPECT_EQ(0, status);
	}
	tenant_destroy(&t[0]);
	tenant_destroy(&t[1]);
}

struct submitter {
	struct ring *ring;
	__u64 buffer;
	__u16 first;
	__u32 accepted, errors;
	int first_error;
	struct exo_detail why;
	bool *stop;
};

static void *submit_blindly(void *arg)
{
	struct submitter *s = arg;
	__u32 accepted;

	while (!__atomic_load_n(s->stop, __ATOMIC_RELAXED)) {
		int ret = ring_submit(s->ring, &accepted);

		if (!ret) {
			s->accepted += accepted;
		} else if (!s->errors++) {
			s->first_error = ret;
			s->why = last;
		}
	}
	return NULL;
}

TEST_F(data, several_threads_may_submit_the_same_ring_at_once)
{
	struct ring *r = &self->ring;
	struct submitter s[3];
	pthread_t threads[3];
	bool stop = false;
	__u32 sent = 0, done = 0, i, total = 0;
	__u64 end = now_ms() + 800;
	struct cqe cqe;
	__u64 busy = 0;

	for (i = 0; i < 3; i++) {
		s[i] = (struct submitter){ .ring = r, .stop = &stop };
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, submit_blindly, &s[i]));
	}
	while (now_ms() < end || done < sent) {
		for (i = 0; i < r->depth && now_ms() < end; i++) {
			struct sqe sqe =
				sqe_io(OP_READ, (__u16)i, 1, EXTENT_FIRST, 0, self->in.offset);

			if (busy & 1ull << i)
				continue;
			busy |= 1ull << i;
			ring_push(r, &sqe);
			sent++;
		}
		ASSERT_EQ(0, ring_reap(r, &cqe, 5000));
		ASSERT_EQ(0, cqe.status >> 1);
		ASSERT_TRUE(busy & 1ull << cqe.cid);
		busy &= ~(1ull << cqe.cid);
		done++;
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (i = 0; i < 3; i++) {
		pthread_join(threads[i], NULL);
		total += s[i].accepted;
		EXPECT_EQ(0, s[i].errors)
		{
			TH_LOG("%s: reason %u, value %llu, limit %llu", strerror(-s[i].first_error),
			       s[i].why.reason, s[i].why.value, s[i].why.limit);
		}
	}
	/* Each was taken exactly once. */
	EXPECT_EQ(sent, total);
	EXPECT_EQ(sent, r->status->sq_head);
}

TEST_HARNESS_MAIN
