// SPDX-License-Identifier: MIT
/*
 * Buffer space: frames attached to a controller, and how they leave it.
 */
#include <pthread.h>
#include <kselftest_harness.h>

#include "lib.h"

FIXTURE(dma)
{
	struct tenant t;
	struct ring ring;
	struct buffer b;
	__u64 used;
};

FIXTURE_VARIANT(dma)
{
	__u32 order;
	__u32 count;
};

FIXTURE_VARIANT_ADD(dma, of_4k){
	.order = EXO_ORDER_4K,
	.count = 16,
};

FIXTURE_VARIANT_ADD(dma, of_2m){
	.order = EXO_ORDER_2M,
	.count = 2,
};

FIXTURE_SETUP(dma)
{
	TENANT_SETUP(&self->t, "exo0");
	self->used = frames_used(self->t.grantor);
	ASSERT_EQ(0, become_nobody());
	ASSERT_EQ(0, ring_create(self->t.fd, self->t.controller, 8, &self->ring));
	ASSERT_EQ(0, queue_attach(self->t.fd, self->ring.cap, self->t.extent));
	ASSERT_EQ(0,
		  buffer_alloc(self->t.fd, self->t.pool, variant->order, variant->count, &self->b));
}

FIXTURE_TEARDOWN(dma)
{
	tenant_destroy(&self->t);
}

static int read_into(struct ring *ring, __u64 offset)
{
	return ring_io(ring, OP_READ, 1, EXTENT_FIRST, 1, offset);
}

static int write_from(struct ring *ring, __u64 offset)
{
	return ring_io(ring, OP_WRITE, 1, EXTENT_FIRST, 1, offset);
}

TEST_F(dma, an_attached_buffer_is_usable_over_its_whole_length)
{
	__u64 end;

	ASSERT_EQ(0, buffer_attach(self->t.fd, self->t.controller, &self->b));
	end = self->b.offset + self->b.size;
	EXPECT_EQ(0, self->b.offset % PAGE);
	EXPECT_EQ(0, read_into(&self->ring, self->b.offset));
	EXPECT_EQ(0, read_into(&self->ring, end - self->t.block));
	/* And one block or four bytes further it is not. */
	EXPECT_REFUSED(EFAULT, EXO_REASON_BUFFER, 6, end, read_into(&self->ring, end));
	EXPECT_REFUSED(EFAULT, EXO_REASON_BUFFER, 6, end,
		       read_into(&self->ring, end - self->t.block + 4));
}

TEST_F(dma, a_buffer_that_was_never_attached_is_refused)
{
	EXPECT_REFUSED(EFAULT, EXO_REASON_BUFFER, 6, 0, read_into(&self->ring, 0));
	EXPECT_REFUSED(EFAULT, EXO_REASON_BUFFER, 6, self->b.mmap_offset,
		       read_into(&self->ring, self->b.mmap_offset));
	EXPECT_REFUSED(EFAULT, EXO_REASON_BUFFER, 6, (uintptr_t)self->b.at,
		       read_into(&self->ring, (uintptr_t)self->b.at));
}

TEST_F(dma, a_second_attachment_by_the_same_capability_is_refused)
{
	__u64 offset;

	ASSERT_EQ(0, buffer_attach(self->t.fd, self->t.controller, &self->b));
	EXPECT_EQ(-EEXIST, dma_attach(self->t.fd, self->t.controller, self->b.cap, &offset));
	EXPECT_EQ(EXO_REASON_ATTACHED, last.reason);
	EXPECT_EQ(self->b.cap, last.value);
	EXPECT_EQ(0, read_into(&self->ring, self->b.offset));
}

TEST_F(dma, the_same_frames_can_be_attached_by_two_capabilities)
{
	__u64 second;
	__u32 part;

	ASSERT_EQ(0, buffer_attach(self->t.fd, self->t.controller, &self->b));
	ASSERT_EQ(0, derive(self->t.fd, self->b.cap, EXO_RIGHT_READ | EXO_RIGHT_WRITE,
			    EXO_SESSION_SELF, 1, 1, &part));
	ASSERT_EQ(0, dma_attach(self->t.fd, self->t.controller, part, &second));
	EXPECT_NE(self->b.offset, second);
	/* The part's space begins with unit 1 and ends with it. */
	memset(self->b.at, 0xaa, self->b.size);
	ASSERT_EQ(0, write_from(&self->ring, self->b.offset));
	memset(self->b.at, 0, self->b.size);
	ASSERT_EQ(0, read_into(&self->ring, second));
	EXPECT_EQ(0, *(unsigned char *)self->b.at);
	EXPECT_EQ(0xaa, *((unsigned char *)self->b.at + (PAGE << variant->order)));
	EXPECT_EQ(-EFAULT, read_into(&self->ring, second + (PAGE << variant->order)));
	/* The end of one is not the end of the other. */
	ASSERT_EQ(0, drop(self->t.fd, part));
	EXPECT_EQ(-EFAULT, read_into(&self->ring, second));
	EXPECT_EQ(0, read_into(&self->ring, self->b.offset));
}

TEST_F(dma, a_detached_buffer_is_refused_and_can_be_attached_again)
{
	ASSERT_EQ(0, buffer_attach(self->t.fd, self->t.controller, &self->b));
	ASSERT_EQ(0, dma_detach(self->t.fd, self->t.controller, self->b.cap));
	EXPECT_REFUSED(EFAULT, EXO_REASON_BUFFER, 6, self->b.offset,
		       read_into(&self->ring, self->b.offset));
	EXPECT_EQ(-ENOENT, dma_detach(self->t.fd, self->t.controller, self->b.cap));
	EXPECT_EQ(EXO_REASON_NOT_ATTACHED, last.reason);
	EXPECT_EQ(self->b.cap, last.value);
	ASSERT_EQ(0, buffer_attach(self->t.fd, self->t.controller, &self->b));
	EXPECT_EQ(0, read_into(&self->ring, self->b.offset));
}

TEST_F(dma, dropping_the_frames_detaches_them_and_frees_them_only_then)
{
	const __u64 size = self->b.size / PAGE;

	ASSERT_EQ(0, buffer_attach(self->t.fd, self->t.controller, &self->b));
	EXPECT_EQ(self->used + size, frames_used(self->t.fd));
	ASSERT_EQ(0, buffer_free(self->t.fd, &self->b));
	EXPECT_EQ(self->used, frames_used(self->t.fd));
	EXPECT_EQ(-EFAULT, read_into(&self->ring, self->b.offset));
}

TEST_F(dma, dropping_the_controller_takes_its_attachments_along_or_keeps_them_working)
{
	ASSERT_EQ(0, buffer_attach(self->t.fd, self->t.controller, &self->b));
	ASSERT_EQ(0, drop(self->t.fd, self->t.controller));
	/* The queue was created by the dropped capability, but is an object of its own. */
	int ret = read_into(&self->ring, self->b.offset);

	EXPECT_TRUE(ret == 0 || ret == -EFAULT || ret == -ESTALE);
	ASSERT_EQ(0, buffer_free(self->t.fd, &self->b));
	EXPECT_EQ(self->used, frames_used(self->t.fd));
}

TEST_F(dma, rights_say_in_which_direction_the_device_may_go)
{
	__u32 ro, wo, names;
	__u64 ro_at, wo_at, offset;

	ASSERT_EQ(0, derive(self->t.fd, self->b.cap, EXO_RIGHT_READ, EXO_SESSION_SELF, 0, 0, &ro));
	ASSERT_EQ(0, derive(self->t.fd, self->b.cap, EXO_RIGHT_WRITE, EXO_SESSION_SELF, 0, 0, &wo));
	ASSERT_EQ(0,
		  derive(self->t.fd, self->b.cap, EXO_RIGHT_NAMES, EXO_SESSION_SELF, 0, 0, &names));
	ASSERT_EQ(0, dma_attach(self->t.fd, self->t.controller, ro, &ro_at));
	ASSERT_EQ(0, dma_attach(self->t.fd, self->t.controller, wo, &wo_at));
	EXPECT_EQ(-EACCES, dma_attach(self->t.fd, self->t.controller, names, &offset));
	EXPECT_EQ(EXO_REASON_RIGHT, last.reason);
	EXPECT_EQ(offsetof(struct exo_dma_attach, frames), last.field);

	EXPECT_EQ(0, write_from(&self->ring, ro_at));
	EXPECT_REFUSED(EACCES, EXO_REASON_BUFFER_RIGHT, 6, ro_at, read_into(&self->ring, ro_at));
	EXPECT_EQ(EXO_RIGHT_WRITE, last.limit);
	EXPECT_EQ(0, read_into(&self->ring, wo_at));
	EXPECT_REFUSED(EACCES, EXO_REASON_BUFFER_RIGHT, 6, wo_at, write_from(&self->ring, wo_at));
	EXPECT_EQ(EXO_RIGHT_READ, last.limit);
}

TEST_F(dma, one_sessions_offsets_mean_nothing_to_anothers_queue)
{
	int other = session_open();
	__u32 controller, extent;
	struct ring ring;

	ASSERT_LE(0, other);
	ASSERT_EQ(0, buffer_attach(self->t.fd, self->t.controller, &self->b));
	ASSERT_EQ(0, derive(self->t.fd, self->t.controller, EXO_RIGHT_QUEUE, other, 0, 0,
			    &controller));
	ASSERT_EQ(0, derive(self->t.fd, self->t.extent, EXO_RIGHT_READ, other, 0, 0, &extent));
	ASSERT_EQ(0, ring_create(other, controller, 8, &ring));
	ASSERT_EQ(0, queue_attach(other, ring.cap, extent));
	EXPECT_REFUSED(EFAULT, EXO_REASON_BUFFER, 6, self->b.offset,
		       read_into(&ring, self->b.offset));
	EXPECT_EQ(0, read_into(&self->ring, self->b.offset));
	ring_unmap(&ring);
	close(other);
}

TEST_F(dma, frames_of_another_session_cannot_be_named)
{
	int other = session_open();
	__u32 controller;
	__u64 offset;

	ASSERT_LE(0, other);
	ASSERT_EQ(0, derive(self->t.fd, self->t.controller, EXO_RIGHT_QUEUE, other, 0, 0,
			    &controller));
	EXPECT_REFUSED(ENOENT, EXO_REASON_NO_CAP, offsetof(struct exo_dma_attach, frames), 57,
		       dma_attach(other, controller, 57, &offset));
	EXPECT_EQ(-ENOENT, dma_detach(other, controller, 57));
	EXPECT_EQ(-ENOENT, dma_attach(other, 99, 98, &offset));
	close(other);
}

TEST_F(dma, what_is_no_controller_or_no_frames_is_refused)
{
	__u64 offset;

	EXPECT_EQ(-EINVAL, dma_attach(self->t.fd, self->t.extent, self->b.cap, &offset));
	EXPECT_EQ(EXO_REASON_WRONG_TYPE, last.reason);
	EXPECT_EQ(-EINVAL, dma_attach(self->t.fd, self->t.controller, self->t.extent, &offset));
	EXPECT_EQ(EXO_REASON_WRONG_TYPE, last.reason);
	EXPECT_EQ(-EINVAL, dma_detach(self->t.fd, self->t.controller, self->t.pool));
	EXPECT_EQ(-ENOENT, dma_detach(self->t.fd, self->t.controller, self->b.cap));
	EXPECT_EQ(EXO_REASON_NOT_ATTACHED, last.reason);
}

TEST_F(dma, attachments_come_and_go_without_end_or_leak)
{
	struct buffer b;
	int i;

	for (i = 0; i < 200; i++) {
		ASSERT_EQ(0, buffer_alloc(self->t.fd, self->t.pool, variant->order, 1, &b));
		ASSERT_EQ(0, buffer_attach(self->t.fd, self->t.controller, &b));
		if (i % 3 == 0) {
			ASSERT_EQ(0, dma_detach(self->t.fd, self->t.controller, b.cap));
		}
		ASSERT_EQ(0, buffer_free(self->t.fd, &b));
	}
	EXPECT_EQ(self->used + self->b.size / PAGE, frames_used(self->t.fd));
}

struct attacher {
	struct tenant *t;
	struct buffer *b;
	bool stop;
};

static void *attach_detach(void *arg)
{
	struct attacher *a = arg;
	__u64 offset;

	while (!__atomic_load_n(&a->stop, __ATOMIC_RELAXED)) {
		dma_attach(a->t->fd, a->t->controller, a->b->cap, &offset);
		dma_detach(a->t->fd, a->t->controller, a->b->cap);
	}
	return NULL;
}

TEST_F(dma, a_buffer_detached_while_commands_name_it_is_refused_or_served)
{
	struct attacher a = { .t = &self->t, .b = &self->b };
	__u64 end = now_ms() + 600;
	int served = 0, refused = 0, ret;
	pthread_t thread;

	ASSERT_EQ(0, buffer_attach(self->t.fd, self->t.controller, &self->b));
	ASSERT_EQ(0, pthread_create(&thread, NULL, attach_detach, &a));
	while (now_ms() < end) {
		ret = read_into(&self->ring, self->b.offset);
		if (!ret) {
			served++;
		} else {
			ASSERT_EQ(-EFAULT, ret);
			refused++;
		}
	}
	__atomic_store_n(&a.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	TH_LOG("%d served, %d refused", served, refused);
	EXPECT_LT(0, served);
	EXPECT_LT(0, refused);
	ASSERT_EQ(0, buffer_free(self->t.fd, &self->b));
	EXPECT_EQ(self->used, frames_used(self->t.fd));
}

TEST_F(dma, frames_dropped_with_commands_in_flight_are_freed_after_them)
{
	int round;

	for (round = 0; round < 20; round++) {
		struct cqe cqe;
		struct buffer b;
		__u32 accepted, i, n = 0;

		ASSERT_EQ(0, buffer_alloc(self->t.fd, self->t.pool, variant->order, variant->count,
					  &b));
		ASSERT_EQ(0, buffer_attach(self->t.fd, self->t.controller, &b));
		for (i = 0; i < self->ring.depth; i++) {
			struct sqe sqe =
				sqe_io(OP_READ, (__u16)i, 1, EXTENT_FIRST + i, 15, b.offset);

			ring_push(&self->ring, &sqe);
		}
		ASSERT_EQ(0, ring_submit(&self->ring, &accepted));
		ASSERT_EQ(self->ring.depth, accepted);
		ASSERT_EQ(0, buffer_free(self->t.fd, &b));
		/* The drop waited: every completion has been posted. */
		for (i = 0; i < accepted; i++)
			n += !ring_reap(&self->ring, &cqe, 0);
		EXPECT_EQ(accepted, n);
		EXPECT_EQ(self->used + self->b.size / PAGE, frames_used(self->t.fd));
	}
}

/* ---- the end of buffer space ---- */

FIXTURE(space)
{
	struct tenant t;
};

FIXTURE_SETUP(space)
{
	TENANT_SETUP(&self->t, "exo0");
}

FIXTURE_TEARDOWN(space)
{
	tenant_destroy(&self->t);
}

TEST_F_TIMEOUT(space, has_an_end, 120)
{
	const __u32 units = TENANT_FRAMES >> EXO_ORDER_2M;
	struct exo_frames_alloc frames;
	__u32 part, n;
	__u64 offset;
	int ret;

	ret = frames_alloc(self->t.fd, self->t.pool, EXO_ORDER_2M, units, ANY_NODE, &frames);
	if (ret == -ENOMEM)
		SKIP(return, "no %u frames of 2 MiB left", units);
	ASSERT_EQ(0, ret);
	/* Attaching costs no frames: the same ones go in by one capability after the other. */
	for (n = 0; n < 4000 && !ret; n++) {
		ret = derive(self->t.fd, frames.out_cap, EXO_RIGHT_READ, EXO_SESSION_SELF, 0, 0,
			     &part);
		ASSERT_EQ(0, ret);
		ret = dma_attach(self->t.fd, self->t.controller, part, &offset);
	}
	EXPECT_EQ(-ENOSPC, ret);
	EXPECT_EQ(EXO_REASON_TABLE_FULL, last.reason);
	EXPECT_EQ(-ENOSPC, dma_attach(self->t.fd, self->t.controller, part, &offset));
	TH_LOG("%u attachments of %u MiB fit", n - 1, units * 2);
}

TEST_HARNESS_MAIN
