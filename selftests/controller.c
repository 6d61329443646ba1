// SPDX-License-Identifier: MIT
/*
 * Controllers: what they tell, their namespaces, and budgets of queues.
 */
#include <ctype.h>
#include <kselftest_harness.h>

#include "lib.h"

#define BOTH (EXO_RIGHT_QUEUE | EXO_RIGHT_EXTENT)

FIXTURE(controller)
{
	struct tenant t;
};

FIXTURE_VARIANT(controller)
{
	const char *serial;
};

FIXTURE_VARIANT_ADD(controller, first){
	.serial = "exo0",
};

FIXTURE_VARIANT_ADD(controller, second){
	.serial = "exo1",
};

FIXTURE_SETUP(controller)
{
	TENANT_SETUP(&self->t, variant->serial);
	ASSERT_EQ(0, become_nobody());
}

FIXTURE_TEARDOWN(controller)
{
	tenant_destroy(&self->t);
}

static __u32 queues_used(int fd, __u32 controller)
{
	struct exo_controller_query q;

	return controller_query(fd, controller, &q) ? ~0u : q.out_queues_used;
}

TEST_F(controller, it_tells_what_it_is)
{
	struct exo_controller_query q;
	struct exo_cap_query c;
	struct exo_info i;

	ASSERT_EQ(0, controller_query(self->t.grantor, self->t.root_controller, &q));
	EXPECT_EQ(self->t.address, q.out_address);
	EXPECT_EQ(EXO_CONTROLLER_LIVE, q.out_state);
	EXPECT_EQ(0, q.out_features & ~(EXO_CONTROLLER_TRANSLATED | EXO_CONTROLLER_WRITE_ZEROES |
					EXO_CONTROLLER_COMPARE | EXO_CONTROLLER_TRIM |
					EXO_CONTROLLER_COPY | EXO_CONTROLLER_ZONED |
					EXO_CONTROLLER_PLACEMENT | EXO_CONTROLLER_VOLATILE_CACHE |
					EXO_CONTROLLER_PRIORITY | EXO_CONTROLLER_SHADOW_DOORBELLS));
	EXPECT_LE(TENANT_QUEUES, q.out_queues);
	EXPECT_LE(TENANT_QUEUES, q.out_queues_used);
	EXPECT_LE(q.out_queues_used, q.out_queues);
	EXPECT_LE(1, q.out_depth_max);
	EXPECT_LE(4096, q.out_transfer_max);
	EXPECT_EQ(0, q.out_transfer_max % 4096);
	EXPECT_EQ(0x1b36, q.out_vendor);
	EXPECT_EQ(0x0010, q.out_device);
	EXPECT_EQ(0, memcmp(variant->serial, q.out_serial, 4));
	EXPECT_EQ(' ', q.out_serial[19]);
	EXPECT_EQ(0, memcmp("QEMU NVMe Ctrl", q.out_model, 14));
	EXPECT_TRUE(isprint(q.out_firmware[0]));
	EXPECT_LE(0x10000, q.out_nvme_version);
	ASSERT_EQ(0, info(self->t.fd, &i));
	EXPECT_LE(1, i.out_controllers);
	ASSERT_EQ(0, query(self->t.fd, self->t.controller, &c));
	EXPECT_EQ(EXO_TYPE_CONTROLLER, c.out_type);
	EXPECT_EQ(self->t.address, c.out_address);
	EXPECT_EQ(EXO_RIGHT_QUEUE, c.out_rights);
	EXPECT_EQ(0, c.out_len);
	EXPECT_EQ(0, c.out_mmap_offset);
	ASSERT_EQ(0, controller_query(self->t.fd, self->t.controller, &q));
	EXPECT_EQ(TENANT_QUEUES, q.out_queues);
	EXPECT_EQ(0, q.out_queues_used);
}

TEST_F(controller, a_child_takes_queues_from_its_parent_and_gives_them_back)
{
	__u32 child, grandchild;
	struct exo_queue_create queue;

	ASSERT_EQ(0, controller_create(self->t.fd, self->t.controller, EXO_RIGHT_QUEUE, 2, &child));
	EXPECT_EQ(2, queues_used(self->t.fd, self->t.controller));
	EXPECT_EQ(0, queues_used(self->t.fd, child));
	ASSERT_EQ(0, controller_create(self->t.fd, child, EXO_RIGHT_QUEUE, 1, &grandchild));
	EXPECT_EQ(1, queues_used(self->t.fd, child));
	ASSERT_EQ(0, queue_create(self->t.fd, grandchild, 8, &queue));
	EXPECT_EQ(1, queues_used(self->t.fd, grandchild));
	EXPECT_EQ(-EDQUOT, queue_create(self->t.fd, grandchild, 8, &queue));
	/* From the top: all comes back but the queue that lives. */
	ASSERT_EQ(0, drop(self->t.fd, child));
	ASSERT_EQ(0, drop(self->t.fd, grandchild));
	EXPECT_EQ(1, queues_used(self->t.fd, self->t.controller));
}

TEST_F(controller, a_dead_child_keeps_its_living_queues_until_they_are_dead)
{
	struct exo_queue_create queue;
	__u32 child;

	ASSERT_EQ(0, controller_create(self->t.fd, self->t.controller, EXO_RIGHT_QUEUE, 2, &child));
	ASSERT_EQ(0, queue_create(self->t.fd, child, 8, &queue));
	ASSERT_EQ(0, drop(self->t.fd, child));
	EXPECT_EQ(1, queues_used(self->t.fd, self->t.controller));
	ASSERT_EQ(0, drop(self->t.fd, queue.out_cap));
	EXPECT_EQ(0, queues_used(self->t.fd, self->t.controller));
}

TEST_F(controller, more_queues_than_are_left_are_refused)
{
	static const __u32 wrong[] = { TENANT_QUEUES + 1, 65536, 1u << 31, ~0u };
	unsigned int i;
	__u32 child;

	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		EXPECT_EQ(-EDQUOT, controller_create(self->t.fd, self->t.controller,
						     EXO_RIGHT_QUEUE, wrong[i], &child));
		EXPECT_EQ(EXO_REASON_BUDGET, last.reason);
		EXPECT_EQ(wrong[i], last.value);
		EXPECT_EQ(TENANT_QUEUES, last.limit);
	}
	EXPECT_REFUSED(
		EINVAL, EXO_REASON_VALUE, offsetof(struct exo_controller_create, queues), 0,
		controller_create(self->t.fd, self->t.controller, EXO_RIGHT_QUEUE, 0, &child));
	EXPECT_EQ(0, queues_used(self->t.fd, self->t.controller));
}

TEST_F(controller, its_rights_are_a_subset_and_not_empty)
{
	__u32 child;

	EXPECT_REFUSED(EINVAL, EXO_REASON_VALUE, offsetof(struct exo_controller_create, rights), 0,
		       controller_create(self->t.fd, self->t.controller, 0, 1, &child));
	EXPECT_REFUSED(EACCES, EXO_REASON_RIGHT, offsetof(struct exo_controller_create, rights),
		       EXO_RIGHT_EXTENT,
		       controller_create(self->t.fd, self->t.controller, BOTH, 1, &child));
	EXPECT_EQ(EXO_RIGHT_QUEUE, last.limit);
}

TEST_F(controller, what_a_right_is_missing_for_is_refused)
{
	struct exo_namespace_query ns;
	struct exo_queue_create queue;
	__u32 only_extent, cap;
	struct buffer b;
	__u64 offset;

	/* The tenant has QUEUE only. */
	EXPECT_REFUSED(
		EACCES, EXO_REASON_RIGHT, offsetof(struct exo_extent_create, controller),
		EXO_RIGHT_EXTENT,
		extent_create(self->t.fd, self->t.controller, 1, EXO_RIGHT_READ, 0, 1, &cap));
	EXPECT_REFUSED(EACCES, EXO_REASON_RIGHT, offsetof(struct exo_namespace_query, controller),
		       EXO_RIGHT_EXTENT,
		       namespace_query(self->t.fd, self->t.controller, 0, 1, &ns));
	/* And who has EXTENT only: */
	ASSERT_EQ(0, derive(self->t.grantor, self->t.root_controller, EXO_RIGHT_EXTENT, self->t.fd,
			    0, 0, &only_extent));
	ASSERT_EQ(0, buffer_alloc(self->t.fd, self->t.pool, EXO_ORDER_4K, 1, &b));
	EXPECT_REFUSED(EACCES, EXO_REASON_RIGHT, offsetof(struct exo_queue_create, controller),
		       EXO_RIGHT_QUEUE, queue_create(self->t.fd, only_extent, 8, &queue));
	EXPECT_REFUSED(EACCES, EXO_REASON_RIGHT, offsetof(struct exo_controller_create, controller),
		       EXO_RIGHT_QUEUE,
		       controller_create(self->t.fd, only_extent, EXO_RIGHT_EXTENT, 1, &cap));
	EXPECT_REFUSED(EACCES, EXO_REASON_RIGHT, offsetof(struct exo_dma_attach, controller),
		       EXO_RIGHT_QUEUE, dma_attach(self->t.fd, only_extent, b.cap, &offset));
	EXPECT_EQ(0, namespace_query(self->t.fd, only_extent, 0, 1, &ns));
}

TEST_F(controller, namespaces_are_found_one_after_the_other)
{
	struct exo_namespace_query ns;
	__u32 nsid = 0, n = 0;
	int fd = self->t.grantor, ret;

	for (;;) {
		ret = namespace_query(fd, self->t.root_controller, EXO_NAMESPACE_NEXT, nsid, &ns);
		if (ret)
			break;
		ASSERT_LT(nsid, ns.out_nsid);
		EXPECT_LE(9, ns.out_block_shift);
		EXPECT_GE(16, ns.out_block_shift);
		EXPECT_LT(0, ns.out_blocks);
		nsid = ns.out_nsid;
		ASSERT_EQ(0, namespace_query(fd, self->t.root_controller, 0, nsid, &ns));
		EXPECT_EQ(nsid, ns.out_nsid);
		n++;
		ASSERT_GT(2000, n);
	}
	EXPECT_EQ(-ENOENT, ret);
	EXPECT_EQ(EXO_REASON_NO_NAMESPACE, last.reason);
	EXPECT_LE(1, n);
}

TEST_F(controller, a_namespace_that_does_not_exist_is_refused)
{
	static const __u32 wrong[] = { 0, 1000, 0x7fffffff, 0xfffffffe, 0xffffffff };
	struct exo_namespace_query ns;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		EXPECT_EQ(-ENOENT, namespace_query(self->t.grantor, self->t.root_controller, 0,
						   wrong[i], &ns));
		EXPECT_EQ(EXO_REASON_NO_NAMESPACE, last.reason);
		EXPECT_EQ(wrong[i], last.value);
	}
	EXPECT_EQ(-ENOENT, namespace_query(self->t.grantor, self->t.root_controller,
					   EXO_NAMESPACE_NEXT, 0xfffffffd, &ns));
}

/* Identify, CNS 02h, has no list above these: NVMe base 2.0 section 5.17. */
TEST_F(controller, a_list_that_the_device_refuses_is_EIO)
{
	struct exo_namespace_query ns;
	__u32 nsid;

	for (nsid = 0xfffffffe; nsid; nsid++) {
		EXPECT_EQ(-EIO, namespace_query(self->t.grantor, self->t.root_controller,
						EXO_NAMESPACE_NEXT, nsid, &ns));
		EXPECT_EQ(EXO_REASON_DEVICE, last.reason);
	}
}

TEST_HARNESS_MAIN
