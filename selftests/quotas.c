// SPDX-License-Identifier: MIT
/*
 * Quotas of open and active zones, of which a device has so many for all who use it: what
 * is set aside is there, what counts is never too little, and it comes back.
 */
#include "zoned.h"

TEST_F(zones, more_than_the_quota_are_not_active_until_one_is_finished_or_reset)
{
	struct exo_cap_query q;
	__u32 cap, end;

	ASSERT_EQ(0, attach(self, RWT, 8, 8, 2, 2, &cap));
	EXPECT_LEFT(2, 2);
	ASSERT_EQ(0, write_at(self, ZONE(8), 1));
	ASSERT_EQ(0, append(self, ZONE(9), 1));
	for (end = FINISH; end <= RESET; end += 2) {
		EXPECT_QUOTA(0, ZONE(10), 2, write_at(self, ZONE(10), 1));
		EXPECT_QUOTA(0, ZONE(10), 2, append(self, ZONE(10), 1));
		EXPECT_QUOTA(0, ZONE(10), 2, send(&self->ring, ZONE(10), OPEN));
		EXPECT_QUOTA(0, ZONE(10), 2,
			     ring_io(&self->ring, OP_WRITE_ZEROES, NSID, ZONE(10), 1, 0));
		ASSERT_EQ(0, query(self->t.fd, cap, &q));
		EXPECT_EQ(2, q.out_open_zones_used);
		EXPECT_EQ(2, q.out_active_zones_used);
		/* What is active may go on. */
		EXPECT_EQ(0, append(self, ZONE(8), 1));
		EXPECT_EQ(0, append(self, ZONE(9), 1));
		ASSERT_EQ(0, send(&self->ring, ZONE(9), end));
		EXPECT_EQ(0, write_at(self, ZONE(10), 1));
		EXPECT_QUOTA(0, ZONE(11), 2, write_at(self, ZONE(11), 1));
		ASSERT_EQ(0, send(&self->ring, ZONE(10), RESET));
		ASSERT_EQ(0, send(&self->ring, ZONE(9), RESET));
		ASSERT_EQ(0, append(self, ZONE(9), 1));
	}
}

TEST_F(zones, a_copy_into_a_zone_opens_it)
{
	__u32 cap;

	ASSERT_EQ(0, attach(self, RWT, 8, 8, 1, 1, &cap));
	ASSERT_EQ(0, write_at(self, ZONE(8), 1));
	EXPECT_QUOTA(0, ZONE(9), 1, copy(self, ZONE(8), 1, ZONE(9)));
	/* What it copies from need not be open. */
	ASSERT_EQ(0, send(&self->ring, ZONE(8), FINISH));
	EXPECT_EQ(0, copy(self, ZONE(8), 1, ZONE(9)));
	EXPECT_QUOTA(0, ZONE(10), 1, copy(self, ZONE(8), 1, ZONE(10)));
}

TEST_F(zones, what_is_refused_opens_no_zone)
{
	const __u64 nowhere = 1ull << 34;
	struct exo_cap_query q;
	__u32 cap;

	ASSERT_EQ(0, attach(self, RWT, 8, 8, 1, 1, &cap));
	EXPECT_REFUSED(EFAULT, EXO_REASON_BUFFER, 6, nowhere,
		       ring_io(&self->ring, OP_WRITE, NSID, ZONE(8), 1, nowhere));
	EXPECT_REFUSED(EFAULT, EXO_REASON_BUFFER, 6, nowhere,
		       ring_io(&self->ring, OP_ZONE_APPEND, NSID, ZONE(8), 1, nowhere));
	EXPECT_REFUSED(EINVAL, EXO_REASON_ZONE, 10, ZONE(9) - 1,
		       copy(self, ZONE(8), 2, ZONE(9) - 1));
	ASSERT_EQ(0, query(self->t.fd, cap, &q));
	EXPECT_EQ(0, q.out_open_zones_used);
	EXPECT_EQ(0, q.out_active_zones_used);
	EXPECT_EQ(0, write_at(self, ZONE(15), 1));
}

/* Completions lie in the ring until somebody looks there: each of these does. */
TEST_F(zones, who_asks_for_a_queue_or_waits_for_it_sees_what_has_ended)
{
	struct exo_queue_query queue;
	struct exo_cap_query q;
	struct sqe sqe;
	struct cqe cqe;
	__u32 cap, round;
	__u64 ready;

	ASSERT_EQ(0, attach(self, RWT, 8, 8, 1, 1, &cap));
	for (round = 0; round < 2; round++) {
		ASSERT_EQ(0, write_at(self, ZONE(8), 1));
		sqe = sqe_send(1, ZONE(8), RESET);
		ring_push(&self->ring, &sqe);
		ASSERT_EQ(0, ring_submit(&self->ring, NULL));
		ASSERT_EQ(0, ring_reap(&self->ring, &cqe, 10000));
		ASSERT_EQ(0, query(self->t.fd, cap, &q));
		EXPECT_EQ(1, q.out_active_zones_used);
		if (round)
			wait_queues(self->t.fd, &self->ring.cap, 1, 0, &ready);
		else
			queue_query(self->t.fd, self->ring.cap, &queue);
		ASSERT_EQ(0, query(self->t.fd, cap, &q));
		EXPECT_EQ(0, q.out_active_zones_used);
	}
}

TEST_F(zones, a_closed_zone_is_active_and_not_open)
{
	struct exo_cap_query q;
	__u32 cap, i;

	ASSERT_EQ(0, attach(self, RWT, 8, 8, 1, 3, &cap));
	for (i = 8; i < 11; i++) {
		ASSERT_EQ(0, write_at(self, ZONE(i), 1));
		EXPECT_QUOTA(0, ZONE(i + 1), 1, write_at(self, ZONE(i + 1), 1));
		ASSERT_EQ(0, send(&self->ring, ZONE(i), CLOSE));
	}
	EXPECT_QUOTA(1, ZONE(11), 3, write_at(self, ZONE(11), 1));
	ASSERT_EQ(0, query(self->t.fd, cap, &q));
	EXPECT_EQ(0, q.out_open_zones_used);
	EXPECT_EQ(3, q.out_active_zones_used);
	/* One of them may be opened again. */
	EXPECT_EQ(0, append(self, ZONE(8), 1));
	EXPECT_QUOTA(0, ZONE(9), 1, append(self, ZONE(9), 1));
}

/* A write that may come after the reset leaves the zone as it finds it: in doubt it counts. */
TEST_F(zones, a_zone_that_is_reset_and_written_at_once_counts)
{
	struct sqe sqe[2];
	struct cqe cqe;
	__u32 cap, i, round;

	ASSERT_EQ(0, attach(self, RWT, 40, 8, 1, 1, &cap));
	for (round = 0; round < 2; round++) {
		ASSERT_EQ(0, write_at(self, ZONE(40), 1));
		sqe[round] = sqe_send(1, ZONE(40), RESET);
		sqe[!round] = sqe_io(OP_ZONE_APPEND, 2, NSID, ZONE(40), 0, self->b.offset);
		for (i = 0; i < 2; i++)
			ring_push(&self->ring, &sqe[i]);
		ASSERT_EQ(0, ring_submit(&self->ring, NULL));
		for (i = 0; i < 2; i++) {
			ASSERT_EQ(0, ring_reap(&self->ring, &cqe, 10000));
		}
		EXPECT_QUOTA(0, ZONE(41), 1, write_at(self, ZONE(41), 1));
		ASSERT_EQ(0, send(&self->ring, ZONE(40), RESET));
		EXPECT_EQ(0, write_at(self, ZONE(41), 1));
		ASSERT_EQ(0, send(&self->ring, ZONE(41), RESET));
		/* QEMU lets such a write pass a reset zone by; a reset of an open one mends it. */
		ASSERT_EQ(0, send(&self->ring, ZONE(40), OPEN));
		ASSERT_EQ(0, send(&self->ring, ZONE(40), RESET));
	}
}

/* Which of two queues the device serves first nobody knows: in doubt the zone counts. */
TEST_F(zones, a_zone_that_one_queue_resets_and_another_writes_counts_if_it_is_active)
{
	struct exo_queue_query queue;
	struct ring *first, two;
	struct exo_cap_query q;
	__u32 cap, round, kept = 0;
	struct sqe sqe;
	struct cqe cqe;

	ASSERT_EQ(0, attach(self, RWT, 8, 8, 1, 1, &cap));
	ASSERT_EQ(0, ring_create(self->t.fd, self->t.controller, 4, &two));
	ASSERT_EQ(0, queue_attach(self->t.fd, two.cap, cap));
	for (round = 0; round < 100; round++) {
		ASSERT_EQ(0, append(self, ZONE(8), 1));
		sqe = sqe_send(1, ZONE(8), RESET);
		ring_push(&self->ring, &sqe);
		sqe = sqe_io(OP_ZONE_APPEND, 1, NSID, ZONE(8), 0, self->b.offset);
		ring_push(&two, &sqe);
		first = random_u32() & 1 ? &self->ring : &two;
		ASSERT_EQ(0, ring_submit(first, NULL));
		ASSERT_EQ(0, ring_submit(first == &two ? &self->ring : &two, NULL));
		ASSERT_EQ(0, ring_reap(&self->ring, &cqe, 10000));
		ASSERT_EQ(0, ring_reap(&two, &cqe, 10000));
		ASSERT_EQ(0, queue_query(self->t.fd, self->ring.cap, &queue));
		ASSERT_EQ(0, queue_query(self->t.fd, two.cap, &queue));
		ASSERT_EQ(0, query(self->t.fd, cap, &q));
		if (state(self, 8) == EMPTY)
			continue;
		kept++;
		EXPECT_EQ(1, q.out_active_zones_used);
		EXPECT_EQ(1, q.out_open_zones_used);
	}
	TH_LOG("%u of %u were active afterwards", kept, round);
	ASSERT_EQ(0, send(&self->ring, ZONE(8), OPEN));
	ASSERT_EQ(0, send(&self->ring, ZONE(8), RESET));
}

TEST_F(zones, a_zone_written_to_its_end_counts_until_it_is_finished)
{
	__u32 cap, i;

	ASSERT_EQ(0, attach(self, RWT, 8, 8, 1, 1, &cap));
	for (i = 0; i < 192; i += 64) {
		ASSERT_EQ(0, write_at(self, ZONE(8) + i, 64));
	}
	EXPECT_EQ(FULL, state(self, 8));
	EXPECT_QUOTA(0, ZONE(9), 1, write_at(self, ZONE(9), 1));
	ASSERT_EQ(0, send(&self->ring, ZONE(8), FINISH));
	EXPECT_EQ(0, write_at(self, ZONE(9), 1));
	/* One more is not written, and counts; a command that failed ends nothing. */
	EXPECT_QUOTA(0, ZONE(8), 1, append(self, ZONE(8), 1));
	EXPECT_EQ(INVALID_TRANSITION, send(&self->ring, ZONE(8), CLOSE) & STATUS_MASK);
	EXPECT_QUOTA(0, ZONE(10), 1, append(self, ZONE(10), 1));
}

TEST_F(zones, what_is_derived_shares_the_quota)
{
	__u32 cap, part[2], i;
	__u8 token[16];

	ASSERT_EQ(0, grant(self, RWT, 8, 8, 2, 2, &cap));
	ASSERT_EQ(0, derive(self->t.fd, cap, RWT, EXO_SESSION_SELF, ZONE(8), ZONE(2), &part[0]));
	ASSERT_EQ(0, token_create(self->t.fd, cap, RWT, 1, token));
	ASSERT_EQ(0, token_redeem(self->t.fd, token, &part[1]));
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, queue_attach(self->t.fd, self->ring.cap, part[i]));
	}
	ASSERT_EQ(0, append(self, ZONE(8), 1));
	ASSERT_EQ(0, append(self, ZONE(15), 1));
	EXPECT_QUOTA(0, ZONE(9), 2, append(self, ZONE(9), 1));
	EXPECT_QUOTA(0, ZONE(14), 2, append(self, ZONE(14), 1));
	/* It lasts as long as one of them does. */
	ASSERT_EQ(0, drop(self->t.fd, cap));
	ASSERT_EQ(0, drop(self->t.fd, part[0]));
	EXPECT_LEFT(2, 2);
	EXPECT_QUOTA(0, ZONE(9), 2, append(self, ZONE(9), 1));
	/* What is active counts when they are gone, too. */
	ASSERT_EQ(0, send(&self->ring, ZONE(15), RESET));
	ASSERT_EQ(0, drop(self->t.fd, part[1]));
	EXPECT_LEFT(1, 1);
	ASSERT_EQ(0, send(&self->god, ZONE(8), RESET));
	ring_do(&self->god, &(struct sqe){ .dw = { OP_FLUSH, NSID } });
	EXPECT_LEFT(0, 0);
}

static int derive_share(int fd, __u32 cap, __u32 open, __u32 active, __u32 *child)
{
	struct exo_cap_derive arg = {
		.cap = cap,
		.rights = EXO_RIGHT_READ | EXO_RIGHT_WRITE,
		.session_fd = EXO_SESSION_SELF,
		.open_zones = open,
		.active_zones = active,
	};
	int ret = call(fd, EXO_CAP_DERIVE, &arg);

	*child = arg.out_cap;
	return ret;
}

TEST_F(zones, what_is_derived_can_have_a_share_of_the_quota)
{
	const __u32 open = offsetof(struct exo_cap_derive, open_zones);
	const __u32 active = offsetof(struct exo_cap_derive, active_zones);
	__u32 cap, child, none;
	struct exo_cap_query q;
	int fd = self->t.fd;

	ASSERT_EQ(0, grant(self, RWT, 8, 8, 3, 4, &cap));
	ASSERT_EQ(0, derive_share(fd, cap, 1, 2, &child));
	EXPECT_REFUSED(EDQUOT, EXO_REASON_BUDGET, open, 3, derive_share(fd, cap, 3, 1, &none));
	EXPECT_EQ(2, last.limit);
	EXPECT_REFUSED(EDQUOT, EXO_REASON_BUDGET, active, 3, derive_share(fd, cap, 1, 3, &none));
	EXPECT_EQ(2, last.limit);
	EXPECT_REFUSED(EDQUOT, EXO_REASON_BUDGET, open, 2, derive_share(fd, child, 2, 1, &none));
	EXPECT_REFUSED(EINVAL, EXO_REASON_VALUE, open, 1,
		       derive_share(fd, self->t.extent, 1, 0, &none));
	ASSERT_EQ(0, query(fd, cap, &q));
	EXPECT_EQ(1, q.out_open_zones_used);
	EXPECT_EQ(2, q.out_active_zones_used);
	ASSERT_EQ(0, queue_attach(fd, self->ring.cap, child));
	ASSERT_EQ(0, append(self, ZONE(8), 1));
	EXPECT_QUOTA(0, ZONE(9), 1, append(self, ZONE(9), 1));
	ASSERT_EQ(0, queue_detach(fd, self->ring.cap, child));
	ASSERT_EQ(0, queue_attach(fd, self->ring.cap, cap));
	ASSERT_EQ(0, append(self, ZONE(9), 1));
	ASSERT_EQ(0, append(self, ZONE(10), 1));
	EXPECT_QUOTA(0, ZONE(11), 3, append(self, ZONE(11), 1));
	/* What the child leaves open is its parent's to close. */
	ASSERT_EQ(0, drop(fd, child));
	EXPECT_QUOTA(0, ZONE(11), 3, append(self, ZONE(11), 1));
	ASSERT_EQ(0, send(&self->ring, ZONE(8), RESET));
	EXPECT_EQ(0, append(self, ZONE(11), 1));
}

/* Of the other kind it shares its parent's quota, which outlives the parent for that. */
TEST_F(zones, a_share_of_one_kind_works_without_its_parent)
{
	__u32 kind, cap, child;

	for (kind = 0; kind < 2; kind++) {
		ASSERT_EQ(0, grant(self, RWT, 8, 8, 2, 2, &cap));
		ASSERT_EQ(0, derive_share(self->t.fd, cap, kind, !kind, &child));
		ASSERT_EQ(0, drop(self->t.fd, cap));
		EXPECT_LEFT(2, 2);
		ASSERT_EQ(0, queue_attach(self->t.fd, self->ring.cap, child));
		EXPECT_EQ(0, append(self, ZONE(8), 1));
		EXPECT_QUOTA(!kind, ZONE(9), 1, append(self, ZONE(9), 1));
		ASSERT_EQ(0, send(&self->god, ZONE(8), RESET));
		ASSERT_EQ(0, ring_do(&self->god, &(struct sqe){ .dw = { OP_FLUSH, NSID } }));
		ASSERT_EQ(0, drop(self->t.fd, child));
		EXPECT_LEFT(0, 0);
	}
}

TEST_F(zones, more_than_the_namespace_has_left_is_set_aside_for_nobody)
{
	__u32 cap[3];

	ASSERT_EQ(0, grant(self, RWT, 8, 1, 3, 2, &cap[0]));
	EXPECT_LEFT(3, 2);
	EXPECT_REFUSED(EDQUOT, EXO_REASON_BUDGET, offsetof(struct exo_extent_create, open_zones), 2,
		       extent_of(self, RWT, 9, 1, 2, 1, &cap[1]));
	EXPECT_EQ(1, last.limit);
	EXPECT_REFUSED(EDQUOT, EXO_REASON_BUDGET, offsetof(struct exo_extent_create, active_zones),
		       5, extent_of(self, RWT, 9, 1, 1, 5, &cap[1]));
	EXPECT_EQ(4, last.limit);
	EXPECT_REFUSED(EDQUOT, EXO_REASON_BUDGET, offsetof(struct exo_extent_create, active_zones),
		       ~0u, extent_of(self, RWT, 9, 1, 0, ~0u, &cap[1]));
	EXPECT_LEFT(3, 2);
	ASSERT_EQ(0, grant(self, RWT, 9, 1, 1, 4, &cap[1]));
	EXPECT_LEFT(4, 6);
	/* Whoever shares the rest shares nothing. */
	ASSERT_EQ(0, attach(self, RWT, 10, 1, 0, 0, &cap[2]));
	EXPECT_QUOTA(0, ZONE(10), 4, write_at(self, ZONE(10), 1));
	ASSERT_EQ(0, drop(self->t.fd, cap[0]));
	ASSERT_EQ(0, drop(self->t.fd, cap[1]));
	EXPECT_LEFT(0, 0);
	EXPECT_EQ(0, write_at(self, ZONE(10), 1));
}

TEST_F(zones, a_quota_of_what_has_no_limit_is_refused)
{
	struct exo_extent_create arg = {
		.controller = self->t.root_controller,
		.nsid = 1,
		.rights = RWT,
		.len = 1,
		.open_zones = 1,
	};

	EXPECT_REFUSED(EINVAL, EXO_REASON_VALUE, offsetof(struct exo_extent_create, open_zones), 1,
		       call(self->t.grantor, EXO_EXTENT_CREATE, &arg));
	arg.open_zones = 0;
	arg.active_zones = 7;
	EXPECT_REFUSED(EINVAL, EXO_REASON_VALUE, offsetof(struct exo_extent_create, active_zones),
		       7, call(self->t.grantor, EXO_EXTENT_CREATE, &arg));
}

/* Both through one queue, and with explicit opens, which no device takes back by itself. */
TEST_F(zones, a_greedy_tenant_leaves_others_their_share)
{
	__u32 greedy, modest, i, opened = 0;

	ASSERT_EQ(0, attach(self, RWT, 8, 16, 0, 0, &greedy));
	ASSERT_EQ(0, attach(self, RWT, 32, 16, 2, 3, &modest));
	for (i = 8; i < 24; i++)
		opened += !send(&self->ring, ZONE(i), OPEN);
	EXPECT_EQ(2, opened);
	for (i = 8; i < 10; i++) {
		EXPECT_EQ(0, append(self, ZONE(i), 1));
		EXPECT_EQ(0, send(&self->ring, ZONE(i), CLOSE));
	}
	for (i = 10; i < 24; i++)
		opened += !send(&self->ring, ZONE(i), OPEN);
	EXPECT_EQ(3, opened);
	for (i = 32; i < 35; i++) {
		EXPECT_EQ(0, append(self, ZONE(i), 1));
		EXPECT_EQ(0, send(&self->ring, ZONE(i), CLOSE));
	}
	EXPECT_EQ(0, append(self, ZONE(32), 1));
	EXPECT_EQ(0, append(self, ZONE(33), 1));
}

/* A queue's death ends its commands, and says nothing of the zones. */
TEST_F(zones, a_tenant_that_dies_leaves_its_active_zones_to_who_resets_them)
{
	struct sqe sqe = sqe_io(OP_ZONE_APPEND, 1, NSID, ZONE(8), 0, self->b.offset);
	__u32 cap;

	ASSERT_EQ(0, attach(self, RWT, 8, 8, 2, 3, &cap));
	ring_push(&self->ring, &sqe);
	sqe = sqe_io(OP_ZONE_APPEND, 2, NSID, ZONE(9), 0, self->b.offset);
	ring_push(&self->ring, &sqe);
	ASSERT_EQ(0, ring_submit(&self->ring, NULL));
	close(self->t.fd);
	self->t.fd = -1;
	EXPECT_LEFT(2, 2);
	ASSERT_EQ(0, send(&self->god, ZONE(8), RESET));
	ASSERT_EQ(0, send(&self->god, ZONE(9), RESET));
	ring_do(&self->god, &(struct sqe){ .dw = { OP_FLUSH, NSID } });
	EXPECT_LEFT(0, 0);
}

TEST_HARNESS_MAIN
