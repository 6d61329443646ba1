// SPDX-License-Identifier: MIT
/*
 * A function in one holder's hands, and direct queues: that others are kept out as long as
 * it lasts, that each condition refuses for its own reason, that commands go without a
 * call, reach what is attached and nothing else, and that a dead queue's doorbells ring
 * nothing.
 */
#include <pthread.h>
#include <kselftest_harness.h>

#include "cgroup.h"
#include "lib.h"

#define DEPTH 16
#define DIRECT_RIGHTS (EXO_RIGHT_QUEUE | EXO_RIGHT_DIRECT | EXO_RIGHT_EXTENT | EXO_RIGHT_THREAD)
#define STATUS_INVALID_FIELD 0x002

static int direct_create(int fd, __u32 controller, struct exo_queue_create *arg)
{
	*arg = (struct exo_queue_create){
		.controller = controller,
		.mode = EXO_QUEUE_DIRECT,
		.depth = DEPTH,
	};
	return call(fd, EXO_QUEUE_CREATE, arg);
}

static bool translated(const struct tenant *t)
{
	struct exo_controller_query c;

	return !controller_query(t->grantor, t->root_controller, &c) &&
	       (c.out_features & EXO_CONTROLLER_TRANSLATED);
}

/* A tenant that holds a pool, and nobody has anything of the function. */
static int strip(struct tenant *t)
{
	int ret = drop(t->fd, t->controller);

	return ret ? ret : drop(t->fd, t->extent);
}

/* ---- exclusive controllers: with or without an IOMMU ---- */

FIXTURE(exclusive)
{
	struct tenant t;
	__u32 cap; /* in t.grantor */
};

FIXTURE_SETUP(exclusive)
{
	TENANT_SETUP(&self->t, "exo0");
	ASSERT_EQ(0, strip(&self->t));
	if (translated(&self->t))
		record("behind an IOMMU\n");
}

FIXTURE_TEARDOWN(exclusive)
{
	tenant_destroy(&self->t);
}

TEST_F(exclusive, a_controller_needs_the_right)
{
	__u32 weak;

	ASSERT_EQ(0, derive(self->t.grantor, self->t.root_controller, EXO_RIGHT_QUEUE,
			    EXO_SESSION_SELF, 0, 0, &weak));
	EXPECT_REFUSED(EACCES, EXO_REASON_RIGHT, offsetof(struct exo_controller_create, controller),
		       EXO_RIGHT_DIRECT,
		       exclusive_create(self->t.grantor, weak, EXO_RIGHT_QUEUE, &self->cap));
}

TEST_F(exclusive, a_controller_is_not_made_while_somebody_has_something_there)
{
	struct tenant *t = &self->t;
	struct exo_queue_create q;
	__u32 extent, plain;
	struct buffer b;

#define REFUSED_BUSY()                                                                           \
	EXPECT_REFUSED(                                                                          \
		EBUSY, EXO_REASON_EXCLUSIVE, offsetof(struct exo_controller_create, controller), \
		t->root_controller,                                                              \
		exclusive_create(t->grantor, t->root_controller, DIRECT_RIGHTS, &self->cap))
	ASSERT_EQ(0,
		  extent_create(t->grantor, t->root_controller, 1, EXO_RIGHT_READ, 0, 8, &extent));
	REFUSED_BUSY();
	ASSERT_EQ(0, drop(t->grantor, extent));
	ASSERT_EQ(0, queue_create(t->grantor, t->root_controller, DEPTH, &q));
	REFUSED_BUSY();
	ASSERT_EQ(0, drop(t->grantor, q.out_cap));
	ASSERT_EQ(0, controller_create(t->grantor, t->root_controller, EXO_RIGHT_QUEUE, 1, &plain));
	ASSERT_EQ(0, buffer_alloc(t->fd, t->pool, EXO_ORDER_4K, 1, &b));
	ASSERT_EQ(0, derive(t->grantor, plain, EXO_RIGHT_QUEUE, t->fd, 0, 0, &t->controller));
	ASSERT_EQ(0, buffer_attach(t->fd, t->controller, &b));
	REFUSED_BUSY();
	ASSERT_EQ(0, buffer_free(t->fd, &b));
	ASSERT_EQ(0, exclusive_create(t->grantor, t->root_controller, DIRECT_RIGHTS, &self->cap));
	/* Once is enough. */
	REFUSED_BUSY();
	/* Who had a controller before has nothing of it meanwhile. */
	EXPECT_REFUSED(EBUSY, EXO_REASON_EXCLUSIVE, offsetof(struct exo_queue_create, controller),
		       t->controller, queue_create(t->fd, t->controller, DEPTH, &q));
	ASSERT_EQ(0, drop(t->grantor, self->cap));
	EXPECT_EQ(0, queue_create(t->fd, t->controller, DEPTH, &q));
}

/* All that would let somebody else in, through the root too. */
static void expect_kept_out(struct __test_metadata *_metadata, struct tenant *t)
{
	struct exo_queue_create q;
	struct buffer b;
	__u32 cap;

	EXPECT_REFUSED(EBUSY, EXO_REASON_EXCLUSIVE,
		       offsetof(struct exo_controller_create, controller), t->root_controller,
		       controller_create(t->grantor, t->root_controller, EXO_RIGHT_QUEUE, 1, &cap));
	EXPECT_REFUSED(EBUSY, EXO_REASON_EXCLUSIVE, offsetof(struct exo_queue_create, controller),
		       t->root_controller, queue_create(t->grantor, t->root_controller, 1, &q));
	EXPECT_REFUSED(
		EBUSY, EXO_REASON_EXCLUSIVE, offsetof(struct exo_extent_create, controller),
		t->root_controller,
		extent_create(t->grantor, t->root_controller, 1, EXO_RIGHT_READ, 0, 1, &cap));
	ASSERT_EQ(0, buffer_alloc(t->grantor, t->root_pool, EXO_ORDER_4K, 1, &b));
	EXPECT_REFUSED(EBUSY, EXO_REASON_EXCLUSIVE, offsetof(struct exo_dma_attach, controller),
		       t->root_controller, buffer_attach(t->grantor, t->root_controller, &b));
	ASSERT_EQ(0, buffer_free(t->grantor, &b));
}

TEST_F(exclusive, others_are_kept_out_until_the_last_controller_and_queue_are_dead)
{
	struct tenant *t = &self->t;
	struct exo_queue_create q;
	__u32 child, extent;

	ASSERT_EQ(0, exclusive_create(t->grantor, t->root_controller, DIRECT_RIGHTS, &self->cap));
	expect_kept_out(_metadata, t);
	/* Through it everything can be made. */
	ASSERT_EQ(0, controller_create(t->grantor, self->cap, EXO_RIGHT_QUEUE, 2, &child));
	ASSERT_EQ(0, queue_create(t->grantor, child, DEPTH, &q));
	ASSERT_EQ(0, extent_create(t->grantor, self->cap, 1, EXO_RIGHT_READ, 0, 8, &extent));
	ASSERT_EQ(0, drop(t->grantor, self->cap));
	expect_kept_out(_metadata, t);
	ASSERT_EQ(0, drop(t->grantor, child));
	expect_kept_out(_metadata, t);
	ASSERT_EQ(0, drop(t->grantor, q.out_cap));
	/* An extent that was left is an extent like others. */
	ASSERT_EQ(0, queue_create(t->grantor, t->root_controller, DEPTH, &q));
	EXPECT_EQ(0, queue_attach(t->grantor, q.out_cap, extent));
}

/* Whether doorbells of checked queues lie in memory; of a direct one they are registers. */
static bool shadowed(const struct tenant *t)
{
	struct exo_controller_query c;

	return !controller_query(t->grantor, t->root_controller, &c) &&
	       (c.out_features & EXO_CONTROLLER_SHADOW_DOORBELLS);
}

TEST_F(exclusive, doorbells_lie_in_memory_but_while_the_function_is_somebodys_alone)
{
	struct tenant *t = &self->t;
	struct exo_queue_create q;
	struct buffer b;
	struct ring ring;
	__u32 extent;

	if (!shadowed(t))
		SKIP(return, "it has no Doorbell Buffer Config");
	ASSERT_EQ(0, buffer_alloc(t->grantor, t->root_pool, EXO_ORDER_4K, 1, &b));
	ASSERT_EQ(0, exclusive_create(t->grantor, t->root_controller, DIRECT_RIGHTS, &self->cap));
	EXPECT_FALSE(shadowed(t));
	ASSERT_EQ(0, queue_create(t->grantor, self->cap, DEPTH, &q));
	ASSERT_EQ(0, drop(t->grantor, self->cap));
	EXPECT_FALSE(shadowed(t));
	ASSERT_EQ(0, drop(t->grantor, q.out_cap));
	EXPECT_TRUE(shadowed(t));
	/* And works. */
	ASSERT_EQ(0, ring_create(t->grantor, t->root_controller, DEPTH, &ring));
	ASSERT_EQ(0, extent_create(t->grantor, t->root_controller, 1, EXO_RIGHT_READ, EXTENT_FIRST,
				   EXTENT_BLOCKS, &extent));
	ASSERT_EQ(0, queue_attach(t->grantor, ring.cap, extent));
	ASSERT_EQ(0, buffer_attach(t->grantor, t->root_controller, &b));
	EXPECT_EQ(0, ring_io(&ring, OP_READ, 1, EXTENT_FIRST, 1, b.offset));
}

TEST_F(exclusive, a_session_that_closes_leaves_the_function_to_others)
{
	struct tenant *t = &self->t;
	struct exo_queue_create q;
	int fd = session_open();
	__u32 root;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, claim_controller(fd, t->address, &root));
	ASSERT_EQ(0, exclusive_create(fd, root, DIRECT_RIGHTS, &self->cap));
	ASSERT_EQ(0, queue_create(fd, self->cap, DEPTH, &q));
	close(fd);
	EXPECT_EQ(0, queue_create(t->grantor, t->root_controller, DEPTH, &q));
}

TEST_F(exclusive, revoking_the_root_takes_it_back)
{
	struct tenant *t = &self->t;
	struct exo_queue_create q;

	ASSERT_EQ(0, exclusive_create(t->grantor, t->root_controller, DIRECT_RIGHTS, &self->cap));
	ASSERT_EQ(0, queue_create(t->grantor, self->cap, DEPTH, &q));
	ASSERT_EQ(0, cap_revoke(t->grantor, t->root_controller, 0, 0, NULL));
	EXPECT_EQ(0, queue_create(t->grantor, t->root_controller, DEPTH, &q));
}

TEST_F(exclusive, a_checked_queue_of_it_works_where_offsets_are_addresses)
{
	struct tenant *t = &self->t;
	struct buffer b, second;
	struct ring ring;
	__u32 extent;

	ASSERT_EQ(0, exclusive_create(t->grantor, t->root_controller, DIRECT_RIGHTS, &self->cap));
	ASSERT_EQ(0, ring_create(t->grantor, self->cap, DEPTH, &ring));
	ASSERT_EQ(0, extent_create(t->grantor, self->cap, 1, EXO_RIGHT_READ, EXTENT_FIRST,
				   EXTENT_BLOCKS, &extent));
	ASSERT_EQ(0, queue_attach(t->grantor, ring.cap, extent));
	ASSERT_EQ(0, buffer_alloc(t->grantor, t->root_pool, EXO_ORDER_4K, 16, &b));
	ASSERT_EQ(0, buffer_attach(t->grantor, self->cap, &b));
	EXPECT_EQ(0, ring_io(&ring, OP_READ, 1, EXTENT_FIRST, 16 * PAGE / t->block, b.offset));
	ASSERT_EQ(0, buffer_alloc(t->grantor, t->root_pool, EXO_ORDER_4K, 1, &second));
	ASSERT_EQ(0, buffer_attach(t->grantor, self->cap, &second));
	EXPECT_EQ(0, ring_io(&ring, OP_READ, 1, EXTENT_FIRST, 1, second.offset));
	EXPECT_EQ(0, dma_detach(t->grantor, self->cap, b.cap));
	EXPECT_REFUSED(EFAULT, EXO_REASON_BUFFER, 6, b.offset,
		       ring_io(&ring, OP_READ, 1, EXTENT_FIRST, 1, b.offset));
}

TEST_F(exclusive, without_an_iommu_there_are_no_direct_queues)
{
	struct tenant *t = &self->t;
	struct exo_queue_create q;

	if (translated(t))
		SKIP(return, "there is an IOMMU");
	ASSERT_EQ(0, exclusive_create(t->grantor, t->root_controller, DIRECT_RIGHTS, &self->cap));
	EXPECT_REFUSED(EOPNOTSUPP, EXO_REASON_UNTRANSLATED, offsetof(struct exo_queue_create, mode),
		       0, direct_create(t->grantor, self->cap, &q));
}

/* ---- direct queues ---- */

struct direct {
	struct exo_queue_create made;
	struct ring ring;
	__u32 tail;
	volatile __u32 *sq_doorbell;
	volatile __u32 *cq_doorbell;
};

FIXTURE(direct)
{
	struct tenant t;
	__u32 controller; /* in t.fd: exclusive */
	struct direct q;
	struct buffer b;
};

static int direct_map(int fd, struct direct *q)
{
	int ret = ring_map(fd, &q->made, &q->ring);
	char *rw = (char *)q->ring.control;

	if (ret)
		return ret;
	q->tail = 0;
	q->sq_doorbell = (__u32 *)(rw + q->made.out_sq_doorbell);
	q->cq_doorbell = (__u32 *)(rw + q->made.out_cq_doorbell);
	return 0;
}

static void direct_push(struct direct *q, const struct sqe *sqe)
{
	q->ring.sq[q->tail++ & (q->ring.entries - 1)] = *sqe;
}

static void direct_ring(struct direct *q)
{
	__atomic_thread_fence(__ATOMIC_RELEASE);
	*q->sq_doorbell = q->tail & (q->ring.entries - 1);
}

static int direct_reap(struct direct *q)
{
	struct cqe cqe;
	int ret = ring_reap(&q->ring, &cqe, 10000);

	if (ret)
		return ret;
	*q->cq_doorbell = q->ring.head & (q->ring.entries - 1);
	return cqe.status >> 1;
}

static int direct_do(struct direct *q, const struct sqe *sqe)
{
	direct_push(q, sqe);
	direct_ring(q);
	return direct_reap(q);
}

/* Of pages one behind the other, as PRP1, PRP2 or a list say it. */
static struct sqe direct_io(struct direct *q, __u8 opcode, __u64 lba, __u32 bytes, __u32 block,
			    __u64 offset)
{
	struct sqe sqe = sqe_io(opcode, 0, 1, lba, bytes / block - 1, offset);
	__u64 first = (offset & ~(PAGE - 1)) + PAGE, pages, i, prp2 = first;
	__u64 *list = (__u64 *)((char *)q->ring.control + q->made.out_lists);

	pages = (offset + bytes - first + PAGE - 1) / PAGE;
	if (offset + bytes <= first)
		return sqe;
	if (pages > 1) {
		for (i = 0; i < pages; i++)
			list[i] = first + i * PAGE;
		prp2 = q->made.out_lists_offset;
	}
	sqe.dw[8] = (__u32)prp2;
	sqe.dw[9] = (__u32)(prp2 >> 32);
	return sqe;
}

FIXTURE_SETUP(direct)
{
	struct tenant *t = &self->t;
	__u32 cap;

	TENANT_SETUP(t, "exo0");
	ASSERT_EQ(0, strip(t));
	if (!translated(t))
		SKIP(return, "no IOMMU: no direct queues");
	ASSERT_EQ(0, exclusive_create(t->grantor, t->root_controller, DIRECT_RIGHTS, &cap));
	ASSERT_EQ(0, derive(t->grantor, cap, DIRECT_RIGHTS, t->fd, 0, 0, &self->controller));
	ASSERT_EQ(0, drop(t->grantor, cap));
	ASSERT_EQ(0, direct_create(t->fd, self->controller, &self->q.made));
	ASSERT_EQ(0, direct_map(t->fd, &self->q));
	ASSERT_EQ(0, buffer_alloc(t->fd, t->pool, EXO_ORDER_4K, 64, &self->b));
	ASSERT_EQ(0, buffer_attach(t->fd, self->controller, &self->b));
}

FIXTURE_TEARDOWN(direct)
{
	tenant_destroy(&self->t);
}

TEST_F(direct, a_queue_needs_its_right_and_an_exclusive_controller)
{
	struct tenant *t = &self->t;
	struct exo_queue_create q;
	__u32 weak;

	ASSERT_EQ(0,
		  derive(t->fd, self->controller, EXO_RIGHT_QUEUE, EXO_SESSION_SELF, 0, 0, &weak));
	EXPECT_REFUSED(EACCES, EXO_REASON_RIGHT, offsetof(struct exo_queue_create, controller),
		       EXO_RIGHT_DIRECT, direct_create(t->fd, weak, &q));
	ASSERT_EQ(0, drop(t->fd, weak));
	ASSERT_EQ(0, drop(t->fd, self->controller));
	ASSERT_EQ(0, drop(t->fd, self->q.ring.cap));
	EXPECT_REFUSED(EBUSY, EXO_REASON_EXCLUSIVE, offsetof(struct exo_queue_create, controller),
		       t->root_controller, direct_create(t->grantor, t->root_controller, &q));
}

TEST_F(direct, a_queue_says_what_it_is)
{
	struct exo_queue_query q;
	struct exo_cap_query c;

	ASSERT_EQ(0, queue_query(self->t.fd, self->q.ring.cap, &q));
	EXPECT_EQ(EXO_QUEUE_DIRECT, q.out_mode);
	ASSERT_EQ(0, query(self->t.fd, self->q.ring.cap, &c));
	EXPECT_EQ(EXO_QUEUE_DIRECT, c.out_mode);
	EXPECT_EQ(EXO_QUEUE_LIVE, q.out_state);
	EXPECT_EQ(DEPTH, q.out_depth);
	EXPECT_EQ(0, q.out_submitted);
	EXPECT_EQ(EXO_THREAD_NONE, q.out_thread);
}

TEST_F(direct, data_comes_back_as_it_was_written_at_every_number_of_pages)
{
	struct tenant *t = &self->t;
	struct buffer *b = &self->b;
	__u32 half = (__u32)b->size / 2, bytes;
	char *from = b->at, *to = from + half;

	fill_random(from, half);
	for (bytes = t->block; bytes <= half && bytes <= t->transfer_max; bytes += PAGE / 2) {
		__u32 shift = bytes % PAGE && bytes + t->block <= half ? t->block : 0;
		struct sqe sqe = direct_io(&self->q, OP_WRITE, EXTENT_FIRST, bytes, t->block,
					   b->offset + shift);

		memset(to, 0, half);
		ASSERT_EQ(0, direct_do(&self->q, &sqe));
		sqe = direct_io(&self->q, OP_READ, EXTENT_FIRST, bytes, t->block, b->offset + half);
		ASSERT_EQ(0, direct_do(&self->q, &sqe));
		ASSERT_EQ(0, memcmp(from + shift, to, bytes));
	}
}

TEST_F(direct, memory_of_the_programs_own_is_reached_where_its_offset_says)
{
	struct tenant *t = &self->t;
	const __u32 half = 16 * PAGE;
	char *own =
		mmap(NULL, 2 * half, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct buffer b;
	struct sqe sqe;

	ASSERT_NE(MAP_FAILED, (void *)own);
	ASSERT_EQ(0, buffer_adopt(t->fd, self->controller, EXO_RIGHT_READ | EXO_RIGHT_WRITE, own,
				  2 * half, &b));
	fill_random(own, half);
	sqe = direct_io(&self->q, OP_WRITE, EXTENT_FIRST, half, t->block, b.offset);
	ASSERT_EQ(0, direct_do(&self->q, &sqe));
	sqe = direct_io(&self->q, OP_READ, EXTENT_FIRST, half, t->block, b.offset + half);
	ASSERT_EQ(0, direct_do(&self->q, &sqe));
	EXPECT_EQ(0, memcmp(own, own + half, half));
	EXPECT_EQ(0, drop(t->fd, b.cap));
}

TEST_F(direct, a_batch_goes_with_one_doorbell)
{
	struct tenant *t = &self->t;
	__u32 i, round;

	for (round = 0; round < 8; round++) {
		for (i = 0; i < DEPTH; i++) {
			struct sqe sqe = sqe_io(OP_READ, i, 1, EXTENT_FIRST + i, 0,
						self->b.offset + i * PAGE);

			direct_push(&self->q, &sqe);
		}
		direct_ring(&self->q);
		for (i = 0; i < DEPTH; i++)
			ASSERT_EQ(0, direct_reap(&self->q));
	}
	(void)t;
}

TEST_F(direct, frames_of_two_megabytes_are_reached)
{
	struct tenant *t = &self->t;
	struct buffer b;
	struct sqe sqe;

	if (buffer_alloc(t->fd, t->pool, EXO_ORDER_2M, 1, &b))
		SKIP(return, "no frame of 2 MiB is free");
	ASSERT_EQ(0, buffer_attach(t->fd, self->controller, &b));
	EXPECT_EQ(0, b.offset % HUGE_PAGE);
	sqe = direct_io(&self->q, OP_READ, EXTENT_FIRST, 32 * PAGE, t->block,
			b.offset + HUGE_PAGE - 32 * PAGE);
	EXPECT_EQ(0, direct_do(&self->q, &sqe));
}

TEST_F(direct, calls_for_checked_queues_are_refused)
{
	struct tenant *t = &self->t;
	struct exo_queue_create q = {
		.flags = EXO_QUEUE_THREAD,
		.controller = self->controller,
		.mode = EXO_QUEUE_DIRECT,
		.depth = DEPTH,
		.thread_cpu = EXO_CPU_ANY,
		.thread_percent = 1,
	};
	__u32 extent;

	EXPECT_REFUSED(EINVAL, EXO_REASON_VALUE, offsetof(struct exo_queue_create, mode),
		       EXO_QUEUE_DIRECT, call(t->fd, EXO_QUEUE_CREATE, &q));
	self->q.ring.control->sq_tail = 1;
	EXPECT_REFUSED(EINVAL, EXO_REASON_MODE, offsetof(struct exo_queue_submit, queue),
		       EXO_QUEUE_DIRECT, queue_submit(t->fd, self->q.ring.cap, NULL));
	ASSERT_EQ(0, extent_create(t->fd, self->controller, 1, EXO_RIGHT_READ, 0, 8, &extent));
	EXPECT_REFUSED(EINVAL, EXO_REASON_MODE, offsetof(struct exo_queue_attach, queue),
		       EXO_QUEUE_DIRECT, queue_attach(t->fd, self->q.ring.cap, extent));
	EXPECT_EQ(-ENOENT, queue_detach(t->fd, self->q.ring.cap, extent));
}

TEST_F(direct, who_waits_sleeps_until_there_is_a_completion)
{
	struct sqe sqe = sqe_io(OP_READ, 0, 1, EXTENT_FIRST, 0, self->b.offset);
	__u64 ready;
	__u32 i;

	ASSERT_EQ(0, wait_queues(self->t.fd, &self->q.ring.cap, 1, now_ns() + 1000000, &ready));
	EXPECT_EQ(0, ready);
	for (i = 0; i < 3 * DEPTH; i++) {
		direct_push(&self->q, &sqe);
		direct_ring(&self->q);
		ASSERT_EQ(0, wait_queues(self->t.fd, &self->q.ring.cap, 1, now_ns() + 10000000000,
					 &ready));
		ASSERT_EQ(1, ready);
		ASSERT_EQ(0, direct_reap(&self->q));
	}
}

TEST_F(direct, a_child_that_was_given_the_queue_uses_it)
{
	struct direct theirs = { .made = self->q.made };
	struct sqe sqe = sqe_io(OP_READ, 0, 1, EXTENT_FIRST, 0, self->b.offset);
	int other = session_open();

	ASSERT_LE(0, other);
	ASSERT_EQ(0, derive(self->t.fd, self->q.ring.cap, EXO_RIGHT_SUBMIT, other, 0, 0,
			    &theirs.made.out_cap));
	theirs.made.out_mmap_offset = (__u64)theirs.made.out_cap << 43;
	ASSERT_EQ(0, direct_map(other, &theirs));
	EXPECT_EQ(0, direct_do(&theirs, &sqe));
	/* Who may only see completions has no doorbells. */
	ASSERT_EQ(0, derive(self->t.fd, self->q.ring.cap, EXO_RIGHT_READ, other, 0, 0,
			    &theirs.made.out_cap));
	theirs.made.out_mmap_offset = (__u64)theirs.made.out_cap << 43;
	EXPECT_EQ(-EACCES, direct_map(other, &theirs));
	close(other);
}

/* ---- its end ---- */

static bool is_dead(const struct direct *q)
{
	return __atomic_load_n(&q->ring.status->state, __ATOMIC_ACQUIRE) == EXO_QUEUE_DEAD;
}

TEST_F(direct, doorbells_of_a_dead_queue_read_as_all_ones_and_ring_nothing)
{
	struct tenant *t = &self->t;
	struct sqe sqe = sqe_io(OP_WRITE, 0, 1, EXTENT_FIRST, 0, self->b.offset);
	struct exo_queue_create again;
	struct direct q;

	/* Both pages have been touched, and a second mapping has. */
	ASSERT_EQ(0, direct_do(&self->q, &sqe));
	q.made = self->q.made;
	ASSERT_EQ(0, direct_map(t->fd, &q));
	ASSERT_EQ(0, touch_read(q.sq_doorbell));
	ASSERT_EQ(0, drop(t->fd, self->q.ring.cap));
	EXPECT_TRUE(is_dead(&self->q));
	EXPECT_EQ(~0u, *self->q.sq_doorbell);
	EXPECT_EQ(~0u, *self->q.cq_doorbell);
	EXPECT_EQ(~0u, *q.sq_doorbell);
	/* The next queue has its number, and hears nothing of what the dead one's holder rings. */
	ASSERT_EQ(0, direct_create(t->fd, self->controller, &again));
	ASSERT_EQ(self->q.made.out_qid, again.out_qid);
	direct_push(&self->q, &sqe);
	direct_ring(&self->q);
	EXPECT_EQ(1 + 1, *self->q.sq_doorbell);
	q.made = again;
	ASSERT_EQ(0, direct_map(t->fd, &q));
	sqe.dw[0] = OP_READ | 7 << 16;
	EXPECT_EQ(0, direct_do(&q, &sqe));
}

TEST_F(direct, a_revoked_queue_dies_with_commands_in_flight_and_wakes_who_waits)
{
	struct tenant *t = &self->t;
	__u64 ready;
	__u32 i;

	for (i = 0; i < DEPTH; i++) {
		struct sqe sqe = direct_io(&self->q, OP_READ, EXTENT_FIRST, 2 * PAGE, t->block,
					   self->b.offset + 2 * i * PAGE);

		sqe.dw[0] |= i << 16;
		direct_push(&self->q, &sqe);
	}
	direct_ring(&self->q);
	ASSERT_EQ(0, cap_revoke(t->grantor, t->root_controller, 0, 0, NULL));
	EXPECT_TRUE(is_dead(&self->q));
	EXPECT_EQ(~0u, *self->q.sq_doorbell);
	ASSERT_EQ(0, wait_queues(t->fd, &self->q.ring.cap, 1, now_ns() + 10000000000, &ready));
	EXPECT_EQ(1, ready);
}

TEST_F(direct, a_killed_holder_leaves_a_function_that_works)
{
	struct tenant *t = &self->t;
	struct sqe sqe = sqe_io(OP_READ, 0, 1, EXTENT_FIRST, 0, self->b.offset);
	struct exo_queue_create q;
	int status;
	pid_t pid = fork();

	if (!pid) {
		struct direct mine = { .made = self->q.made };

		/* Mappings are not inherited. */
		if (direct_map(t->fd, &mine))
			_exit(1);
		for (;;) {
			direct_push(&mine, &sqe);
			direct_ring(&mine);
		}
	}
	ASSERT_LT(0, pid);
	while (!(__atomic_load_n(&self->q.ring.cq[0].status, __ATOMIC_ACQUIRE) & 1))
		;
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	close(t->fd);
	t->fd = -1;
	EXPECT_EQ(0, queue_create(t->grantor, t->root_controller, DEPTH, &q));
}

/* Whoever has one can write to what the kernel takes for the device's answers. */
TEST_F(direct, what_the_device_said_meanwhile_is_not_believed_afterwards)
{
	struct tenant *t = &self->t;
	struct exo_cap_query before, after;
	struct events events;
	struct exo_event e;
	__u32 extent;

	ASSERT_EQ(0, events_create(t->fd, 16, &events));
	ASSERT_EQ(0, extent_create(t->fd, self->controller, 1, EXO_RIGHT_READ, 0, 8, &extent));
	ASSERT_EQ(0, query(t->fd, extent, &before));
	ASSERT_EQ(0, drop(t->fd, self->q.ring.cap));
	EXPECT_EQ(0, query(t->fd, extent, &after));
	ASSERT_EQ(0, drop(t->fd, self->controller));
	EXPECT_EQ(-ESTALE, query(t->fd, extent, &after));
	ASSERT_EQ(0, events_next(&events, &e, 10000));
	EXPECT_EQ(EXO_EVENT_NAMESPACE, e.type);
	EXPECT_EQ(extent, e.cap);
	ASSERT_EQ(0,
		  extent_create(t->grantor, t->root_controller, 1, EXO_RIGHT_READ, 0, 8, &extent));
	ASSERT_EQ(0, query(t->grantor, extent, &after));
	EXPECT_NE(before.out_object, after.out_object);
}

/* The reset that follows needs memory, which must not be the holder's. */
TEST_F(direct, a_holder_without_memory_leaves_a_function_that_works)
{
	struct tenant *t = &self->t;
	struct exo_frames_alloc frames;
	struct exo_queue_create q;
	struct cgroup c;
	int limit, ret;

	/* From here on this process has its own of every page: none is charged to the group. */
	ASSERT_EQ(0, mlockall(MCL_CURRENT));
	CGROUP_SETUP(&c);
	limit = cgroup_open(&c, "memory.max");
	ASSERT_LE(0, limit);
	ASSERT_EQ(6, write(limit, "262144", 6));
	do
		ret = frames_alloc(t->fd, t->pool, 0, 1, ANY_NODE, &frames);
	while (!ret);
	EXPECT_EQ(-ENOMEM, ret);
	EXPECT_EQ(0, drop(t->fd, self->q.ring.cap));
	EXPECT_EQ(0, drop(t->fd, self->controller));
	EXPECT_EQ(3, write(limit, "max", 3));
	close(limit);
	cgroup_leave(&c);
	EXPECT_EQ(0, queue_create(t->grantor, t->root_controller, DEPTH, &q));
}

TEST_F(direct, unbinding_the_function_ends_everything)
{
	struct tenant *t = &self->t;
	struct sqe sqe = sqe_io(OP_READ, 0, 1, EXTENT_FIRST, 0, self->b.offset);

	direct_push(&self->q, &sqe);
	direct_ring(&self->q);
	ASSERT_EQ(0, machine_unbind(t->address));
	EXPECT_TRUE(is_dead(&self->q));
	EXPECT_EQ(~0u, *self->q.sq_doorbell);
	ASSERT_EQ(0, machine_bind(t->address, "exo"));
	EXPECT_EQ(~0u, *self->q.sq_doorbell);
	EXPECT_EQ(-ESTALE, drop(t->fd, self->controller) ?: -ESTALE);
}

/* ---- attacks ---- */

TEST_F(direct, a_debugger_does_not_touch_registers)
{
	__u32 word;
	int mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC);

	ASSERT_LE(0, mem);
	EXPECT_EQ(-1, pread(mem, &word, 4, (off_t)(uintptr_t)self->q.sq_doorbell));
	EXPECT_EQ(-1, pwrite(mem, &word, 4, (off_t)(uintptr_t)self->q.sq_doorbell));
	EXPECT_EQ(4, pread(mem, &word, 4, (off_t)(uintptr_t)self->q.ring.sq));
	close(mem);
}

struct rung {
	volatile __u32 *admin;
	bool stop;
};

static void *ring_admin(void *arg)
{
	struct rung *rung = arg;

	while (!__atomic_load_n(&rung->stop, __ATOMIC_RELAXED))
		*rung->admin = random_u32() % 32;
	return NULL;
}

/* The doorbells of the admin queue are at the begin of the same page. */
TEST_F(direct, ringing_for_the_admin_queue_runs_nothing)
{
	struct tenant *t = &self->t;
	struct rung rung = { .admin = (void *)((uintptr_t)self->q.sq_doorbell & ~(PAGE - 1)) };
	struct sqe sqe = sqe_io(OP_READ, 0, 1, EXTENT_FIRST, 0, self->b.offset);
	pthread_t thread;
	struct ring ring;
	__u32 i;

	ASSERT_EQ(0, pthread_create(&thread, NULL, ring_admin, &rung));
	for (i = 0; i < 50; i++) {
		ASSERT_EQ(0, ring_create(t->fd, self->controller, DEPTH, &ring));
		ring_unmap(&ring);
		ASSERT_EQ(0, drop(t->fd, ring.cap));
		ASSERT_EQ(0, direct_do(&self->q, &sqe));
	}
	__atomic_store_n(&rung.stop, true, __ATOMIC_RELAXED);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	/* Reset: what follows is as if nothing had been. */
	ASSERT_EQ(0, drop(t->fd, self->q.ring.cap));
	ASSERT_EQ(0, drop(t->fd, self->controller));
	for (i = 0; i < 50; i++) {
		ASSERT_EQ(0, ring_create(t->grantor, t->root_controller, DEPTH, &ring));
		ring_unmap(&ring);
		ASSERT_EQ(0, drop(t->grantor, ring.cap));
	}
}

/* ---- last: what the IOMMU logs ---- */

/* For guest-tests, which reads the log: from here to the end of the program. */
#define FAULTS "exo-test: IOMMU faults are expected\n"

TEST_F(direct, memory_that_is_not_attached_is_out_of_reach)
{
	struct tenant *t = &self->t;
	static _Alignas(PAGE) char own[PAGE];
	struct buffer gone, source;
	struct sqe sqe;
	__u64 before;

	memset(own, 0xa5, PAGE);
	ASSERT_EQ(0, buffer_adopt(t->fd, self->controller, EXO_RIGHT_READ, own, PAGE, &source));
	ASSERT_EQ(0, buffer_alloc(t->fd, t->pool, EXO_ORDER_4K, 1, &gone));
	ASSERT_EQ(0, buffer_attach(t->fd, self->controller, &gone));
	memset(gone.at, 0x5a, PAGE);
	ASSERT_EQ(0, dma_detach(t->fd, self->controller, gone.cap));
	fill_random(self->b.at, PAGE);
	sqe = sqe_io(OP_WRITE, 0, 1, EXTENT_FIRST, 0, self->b.offset);
	ASSERT_EQ(0, direct_do(&self->q, &sqe));
	ASSERT_EQ(0, write_file("/dev/kmsg", FAULTS));
	/*
	 * What was attached before; the kernel's own, by its physical address; and what the
	 * device may read but not write. (QEMU ends such commands with success.)
	 */
	sqe = sqe_io(OP_READ, 0, 1, EXTENT_FIRST, 0, gone.offset);
	EXPECT_LE(0, direct_do(&self->q, &sqe));
	sqe = sqe_io(OP_READ, 0, 1, EXTENT_FIRST, 0, 0x1000000);
	EXPECT_LE(0, direct_do(&self->q, &sqe));
	before = *(__u64 *)((char *)self->q.ring.control + self->q.made.out_lists);
	sqe = sqe_io(OP_READ, 0, 1, EXTENT_FIRST, 0, self->q.made.out_lists_offset);
	EXPECT_LE(0, direct_do(&self->q, &sqe));
	EXPECT_EQ(before, *(__u64 *)((char *)self->q.ring.control + self->q.made.out_lists));
	EXPECT_EQ(0x5a, *(char *)gone.at);
	sqe = sqe_io(OP_READ, 0, 1, EXTENT_FIRST, 0, source.offset);
	EXPECT_LE(0, direct_do(&self->q, &sqe));
	EXPECT_EQ((char)0xa5, own[0]);
	memset(self->b.at, 0, PAGE);
	sqe = sqe_io(OP_READ, 0, 1, EXTENT_FIRST, 0, self->b.offset);
	EXPECT_EQ(0, direct_do(&self->q, &sqe));
	EXPECT_NE(0, *(__u64 *)self->b.at);
}

TEST_HARNESS_MAIN
