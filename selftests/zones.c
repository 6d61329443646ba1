// SPDX-License-Identifier: MIT
/*
 * Zoned namespaces: extents of whole zones; Zone Append, Zone Management Send and Receive, and
 * what they may not say.
 */
#include "zoned.h"

/* ---- what is told, and whole zones ---- */

TEST_F(zones, a_zoned_namespace_and_its_extents_tell_what_they_are)
{
	struct exo_namespace_query ns;
	struct exo_cap_query q;
	__u32 cap;

	EXPECT_EQ(2, self->ns.out_command_set);
	EXPECT_EQ(256, self->size);
	EXPECT_EQ(64, self->count);
	EXPECT_EQ(4, self->ns.out_open_zones);
	EXPECT_EQ(6, self->ns.out_active_zones);
	EXPECT_LE(4096, self->ns.out_append_max);
	EXPECT_GE(self->t.transfer_max, self->ns.out_append_max);
	ASSERT_EQ(0, grant(self, RWT, 2, 3, 1, 2, &cap));
	ASSERT_EQ(0, query(self->t.fd, cap, &q));
	EXPECT_EQ(2, q.out_command_set);
	EXPECT_EQ(self->size, q.out_zone_blocks);
	EXPECT_EQ(self->ns.out_append_max, q.out_append_max);
	EXPECT_EQ(1, q.out_open_zones);
	EXPECT_EQ(0, q.out_open_zones_used);
	EXPECT_EQ(2, q.out_active_zones);
	EXPECT_EQ(0, q.out_active_zones_used);
	/* Without quotas of its own: all that nobody has set aside. */
	ASSERT_EQ(0, grant(self, RWT, 2, 3, 0, 0, &cap));
	ASSERT_EQ(0, query(self->t.fd, cap, &q));
	EXPECT_EQ(4, q.out_open_zones);
	EXPECT_EQ(1, q.out_open_zones_used);
	EXPECT_EQ(6, q.out_active_zones);
	EXPECT_EQ(2, q.out_active_zones_used);
	ASSERT_EQ(0, namespace_query(self->t.grantor, self->t.root_controller, 0, 1, &ns));
	EXPECT_EQ(0, ns.out_command_set);
	EXPECT_EQ(0, ns.out_zone_blocks);
	EXPECT_EQ(0, ns.out_open_zones);
	EXPECT_EQ(0, ns.out_append_max);
	ASSERT_EQ(0, query(self->t.fd, self->t.extent, &q));
	EXPECT_EQ(0, q.out_zone_blocks);
	EXPECT_EQ(0, q.out_open_zones);
}

TEST_F(zones, an_extent_is_made_of_whole_zones)
{
	const struct {
		__u64 start, len;
		bool start_bad;
	} cases[] = {
		{ 1, self->size, true },      { self->size - 1, self->size, true },
		{ self->size, 1, false },     { 0, self->size - 1, false },
		{ 0, self->size + 1, false }, { self->size / 2, self->size / 2, true },
	};
	struct exo_token_create token;
	__u32 whole, cap;
	unsigned int i;

	ASSERT_EQ(0, extent_of(self, RWT, 0, 4, 0, 0, &whole));
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		const __u64 start = cases[i].start, len = cases[i].len;
		const __u64 bad = cases[i].start_bad ? start : len;
		int fd = self->t.grantor;

		EXPECT_REFUSED(
			EINVAL, EXO_REASON_ZONE,
			cases[i].start_bad ? offsetof(struct exo_extent_create, start)
					   : offsetof(struct exo_extent_create, len),
			bad,
			extent_create(fd, self->t.root_controller, NSID, RWT, start, len, &cap));
		EXPECT_EQ(self->size, last.limit);
		EXPECT_REFUSED(EINVAL, EXO_REASON_ZONE,
			       cases[i].start_bad ? offsetof(struct exo_cap_derive, start)
						  : offsetof(struct exo_cap_derive, len),
			       bad, derive(fd, whole, RWT, EXO_SESSION_SELF, start, len, &cap));
		token = (struct exo_token_create){
			.cap = whole,
			.rights = RWT,
			.start = start,
			.len = len,
		};
		EXPECT_REFUSED(EINVAL, EXO_REASON_ZONE,
			       cases[i].start_bad ? offsetof(struct exo_token_create, start)
						  : offsetof(struct exo_token_create, len),
			       bad, call(fd, EXO_TOKEN_CREATE, &token));
	}
	EXPECT_EQ(0, derive(self->t.grantor, whole, RWT, EXO_SESSION_SELF, ZONE(3), ZONE(1), &cap));
}

/* ---- data ---- */

TEST_F(zones, what_is_written_and_appended_is_read_where_the_device_said)
{
	const __u32 block = 1u << self->ns.out_block_shift;
	char *data = self->b.at;
	struct cqe cqe;
	struct sqe sqe;
	__u32 cap, i;

	ASSERT_EQ(0, attach(self, RWT, 8, 2, 0, 0, &cap));
	fill_random(data, 16 * block);
	ASSERT_EQ(0, write_at(self, ZONE(8), 4));
	for (i = 0; i < 3; i++) {
		sqe = sqe_io(OP_ZONE_APPEND, 7, NSID, ZONE(8), 3,
			     self->b.offset + (4 + 4 * i) * block);
		ring_push(&self->ring, &sqe);
		ASSERT_EQ(0, ring_submit(&self->ring, NULL));
		ASSERT_EQ(0, ring_reap(&self->ring, &cqe, 10000));
		ASSERT_EQ(0, cqe.status >> 1);
		EXPECT_EQ(ZONE(8) + 4 + 4 * i, cqe.dw0 | (__u64)cqe.dw1 << 32);
	}
	ASSERT_EQ(0, ring_io(&self->ring, OP_READ, NSID, ZONE(8), 16, self->b.offset + 32 * PAGE));
	EXPECT_EQ(0, memcmp(data, data + 32 * PAGE, 16 * block));
	/* Where the zone does not go on, the device says no. */
	EXPECT_EQ(INVALID_WRITE, write_at(self, ZONE(8) + 17, 1) & STATUS_MASK);
	EXPECT_EQ(0, send(&self->ring, ZONE(8), RESET));
	EXPECT_EQ(EMPTY, state(self, 8));
}

TEST_F(zones, a_write_that_reaches_across_zones_is_refused)
{
	static const struct {
		__u32 before, blocks;
	} cases[] = { { 1, 2 }, { 64, 65 }, { 1, 128 }, { 127, 128 } };
	__u32 cap;
	unsigned int i;

	ASSERT_EQ(0, attach(self, RWT, 8, 2, 0, 0, &cap));
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		__u64 slba = ZONE(9) - cases[i].before;

		EXPECT_REFUSED(EINVAL, EXO_REASON_ZONE, 10, slba,
			       write_at(self, slba, cases[i].blocks));
		EXPECT_EQ(self->size, last.limit);
		EXPECT_REFUSED(
			EINVAL, EXO_REASON_ZONE, 10, slba,
			ring_io(&self->ring, OP_WRITE_ZEROES, NSID, slba, cases[i].blocks, 0));
	}
	/* Up to its end it is the device's to judge: here the zone holds less. */
	EXPECT_LT(0, write_at(self, ZONE(9) - 1, 1));
	EXPECT_EQ(EMPTY, state(self, 8));
}

TEST_F(zones, a_copy_writes_to_one_zone)
{
	__u32 cap;

	ASSERT_EQ(0, attach(self, RWT, 8, 2, 0, 0, &cap));
	fill_random(self->b.at, 8 * PAGE);
	ASSERT_EQ(0, write_at(self, ZONE(8), 8));
	EXPECT_REFUSED(EINVAL, EXO_REASON_ZONE, 10, ZONE(9) - 4,
		       copy(self, ZONE(8), 8, ZONE(9) - 4));
	ASSERT_EQ(0, copy(self, ZONE(8), 8, ZONE(9)));
	ASSERT_EQ(0, ring_io(&self->ring, OP_READ, NSID, ZONE(9), 8, self->b.offset + 16 * PAGE));
	EXPECT_EQ(0, memcmp(self->b.at, (char *)self->b.at + 16 * PAGE, 8 * PAGE));
}

/* ---- Zone Append ---- */

TEST_F(zones, an_append_names_a_zone_of_the_extent)
{
	const __u32 most = self->ns.out_append_max >> self->ns.out_block_shift;
	__u32 cap, i;

	ASSERT_EQ(0, attach(self, RWT, 8, 2, 0, 0, &cap));
	EXPECT_REFUSED(ERANGE, EXO_REASON_LBA, 10, ZONE(7), append(self, ZONE(7), 1));
	EXPECT_REFUSED(ERANGE, EXO_REASON_LBA, 10, ZONE(10), append(self, ZONE(10), 1));
	for (i = 1; i < self->size; i += 17) {
		EXPECT_REFUSED(EINVAL, EXO_REASON_ZONE, 10, ZONE(8) + i,
			       append(self, ZONE(8) + i, 1));
	}
	EXPECT_REFUSED(EMSGSIZE, EXO_REASON_TRANSFER, 12,
		       (__u64)(most + 1) << self->ns.out_block_shift,
		       append(self, ZONE(8), most + 1));
	EXPECT_EQ(self->ns.out_append_max, last.limit);
	EXPECT_EQ(EMPTY, state(self, 8));
	EXPECT_EQ(0, append(self, ZONE(8), most));
	EXPECT_EQ(0, append(self, ZONE(9), 1));
}

TEST_F(zones, an_append_needs_the_right_to_write_and_a_buffer_to_read)
{
	struct buffer b;
	struct sqe sqe;
	__u32 cap, wo;

	ASSERT_EQ(0, attach(self, EXO_RIGHT_READ, 8, 2, 0, 0, &cap));
	EXPECT_REFUSED(EACCES, EXO_REASON_LBA_RIGHT, 0, EXO_RIGHT_WRITE, append(self, ZONE(8), 1));
	ASSERT_EQ(0, attach(self, RWT, 8, 2, 0, 0, &cap));
	ASSERT_EQ(0, buffer_alloc(self->t.fd, self->t.pool, EXO_ORDER_4K, 1, &b));
	ASSERT_EQ(0, derive(self->t.fd, b.cap, EXO_RIGHT_WRITE, EXO_SESSION_SELF, 0, 0, &wo));
	ASSERT_EQ(0, dma_attach(self->t.fd, self->t.controller, wo, &b.offset));
	sqe = sqe_io(OP_ZONE_APPEND, 0, NSID, ZONE(8), 0, b.offset);
	EXPECT_REFUSED(EACCES, EXO_REASON_BUFFER_RIGHT, 6, b.offset, ring_do(&self->ring, &sqe));
	sqe = sqe_io(OP_ZONE_APPEND, 0, NSID, ZONE(8), 0, b.offset + (1ull << 33));
	EXPECT_REFUSED(EFAULT, EXO_REASON_BUFFER, 6, b.offset + (1ull << 33),
		       ring_do(&self->ring, &sqe));
}

/* ---- other namespaces; bits ---- */

TEST_F(zones, commands_of_zones_are_refused_where_there_are_none)
{
	struct sqe sqe;

	ASSERT_EQ(0, queue_attach(self->t.fd, self->ring.cap, self->t.extent));
	sqe = sqe_io(OP_ZONE_APPEND, 0, 1, EXTENT_FIRST, 0, self->b.offset);
	EXPECT_REFUSED(EOPNOTSUPP, EXO_REASON_OPCODE, 0, OP_ZONE_APPEND,
		       ring_do(&self->ring, &sqe));
	sqe = sqe_send(0, EXTENT_FIRST, OPEN);
	sqe.dw[1] = 1;
	EXPECT_REFUSED(EOPNOTSUPP, EXO_REASON_OPCODE, 0, OP_ZONE_SEND, ring_do(&self->ring, &sqe));
	sqe = sqe_io(OP_ZONE_RECEIVE, 0, 1, EXTENT_FIRST, 31, self->b.offset);
	sqe.dw[13] = REPORT;
	EXPECT_REFUSED(EOPNOTSUPP, EXO_REASON_OPCODE, 0, OP_ZONE_RECEIVE,
		       ring_do(&self->ring, &sqe));
}

static __u32 permitted_bits(__u8 opcode, unsigned int dword)
{
	switch (dword) {
	case 0:
		return 0xffff0000;
	case 1:
	case 10:
	case 11:
		return 0xffffffff;
	case 6:
	case 7:
		return opcode == OP_ZONE_SEND ? 0 : 0xffffffff;
	case 12:
		if (opcode == OP_ZONE_RECEIVE)
			return 0xffffffff;
		return opcode == OP_ZONE_APPEND ? 0xffff | DW12_FUA : 0;
	case 13:
		if (opcode == OP_ZONE_RECEIVE)
			return 0x1ffff;
		return opcode == OP_ZONE_SEND ? 0xff : 0;
	default:
		return 0;
	}
}

TEST_F(zones, every_bit_that_they_may_not_have_is_refused)
{
	const struct sqe legal[] = {
		sqe_io(OP_ZONE_APPEND, 0, NSID, ZONE(8), 0, self->b.offset),
		sqe_send(0, ZONE(8), OPEN),
		{ .dw = { OP_ZONE_RECEIVE, NSID, [6] = (__u32)self->b.offset, [10] = (__u32)ZONE(8),
			  [12] = 31, [13] = REPORT } },
	};
	unsigned int i, bit;
	__u32 cap;

	ASSERT_EQ(0, attach(self, RWT, 8, 2, 0, 0, &cap));
	for (i = 0; i < ARRAY_SIZE(legal); i++) {
		struct sqe sqe = legal[i];

		EXPECT_EQ(0, ring_do(&self->ring, &sqe));
		for (bit = 8; bit < 512; bit++) {
			sqe = legal[i];
			if (permitted_bits((__u8)sqe.dw[0], bit / 32) & 1u << bit % 32)
				continue;
			sqe.dw[bit / 32] |= 1u << bit % 32;
			EXPECT_REFUSED(EINVAL, EXO_REASON_BITS, bit / 32, 1u << bit % 32,
				       ring_do(&self->ring, &sqe));
		}
	}
}

/* ---- Zone Management Send ---- */

TEST_F(zones, a_zone_is_opened_closed_finished_and_reset)
{
	__u32 cap;

	ASSERT_EQ(0, attach(self, RWT, 8, 2, 0, 0, &cap));
	EXPECT_EQ(0, send(&self->ring, ZONE(8), OPEN));
	EXPECT_EQ(EXPLICITLY_OPEN, state(self, 8));
	EXPECT_EQ(0, write_at(self, ZONE(8), 1));
	EXPECT_EQ(0, send(&self->ring, ZONE(8), CLOSE));
	EXPECT_EQ(CLOSED, state(self, 8));
	EXPECT_EQ(0, send(&self->ring, ZONE(8), FINISH));
	EXPECT_EQ(FULL, state(self, 8));
	EXPECT_EQ(0, send(&self->ring, ZONE(8), RESET));
	EXPECT_EQ(EMPTY, state(self, 8));
	EXPECT_EQ(0, write_at(self, ZONE(9), 1));
	EXPECT_EQ(IMPLICITLY_OPEN, state(self, 9));
}

TEST_F(zones, all_zones_at_once_and_other_actions_are_refused)
{
	static const __u32 actions[] = { 0, 5, 6, 7, 8, 0x10, 0x11, 0x12, 0x80, 0xff };
	__u32 action, cap;
	unsigned int i;

	ASSERT_EQ(0, attach(self, RWT, 8, 2, 0, 0, &cap));
	ASSERT_EQ(0, write_at(self, ZONE(8), 1));
	for (action = CLOSE; action <= RESET; action++) {
		EXPECT_REFUSED(EINVAL, EXO_REASON_BITS, 13, SELECT_ALL,
			       send(&self->ring, ZONE(8), action | SELECT_ALL));
		EXPECT_REFUSED(ERANGE, EXO_REASON_LBA, 10, ZONE(10),
			       send(&self->ring, ZONE(10), action));
		EXPECT_REFUSED(ERANGE, EXO_REASON_LBA, 10, ZONE(8) - 1,
			       send(&self->ring, ZONE(8) - 1, action));
		EXPECT_REFUSED(EINVAL, EXO_REASON_ZONE, 10, ZONE(8) + 1,
			       send(&self->ring, ZONE(8) + 1, action));
	}
	for (i = 0; i < ARRAY_SIZE(actions); i++) {
		EXPECT_REFUSED(EINVAL, EXO_REASON_ZONE_ACTION, 13, actions[i],
			       send(&self->ring, ZONE(8), actions[i]));
	}
	EXPECT_EQ(IMPLICITLY_OPEN, state(self, 8));
}

TEST_F(zones, emptying_a_zone_needs_the_rights_to_write_and_to_trim)
{
	__u32 action, cap;

	ASSERT_EQ(0, attach(self, EXO_RIGHT_READ | EXO_RIGHT_WRITE, 8, 2, 0, 0, &cap));
	ASSERT_EQ(0, write_at(self, ZONE(8), 1));
	EXPECT_REFUSED(EACCES, EXO_REASON_LBA_RIGHT, 0, EXO_RIGHT_TRIM,
		       send(&self->ring, ZONE(8), RESET));
	for (action = CLOSE; action < RESET; action++) {
		EXPECT_EQ(0, send(&self->ring, ZONE(8), action == CLOSE ? OPEN : CLOSE));
	}
	ASSERT_EQ(0, queue_detach(self->t.fd, self->ring.cap, cap));
	ASSERT_EQ(0, attach(self, EXO_RIGHT_READ | EXO_RIGHT_TRIM, 8, 2, 0, 0, &cap));
	EXPECT_REFUSED(EACCES, EXO_REASON_LBA_RIGHT, 0, EXO_RIGHT_WRITE,
		       send(&self->ring, ZONE(8), RESET));
	for (action = CLOSE; action < RESET; action++) {
		EXPECT_REFUSED(EACCES, EXO_REASON_LBA_RIGHT, 0, EXO_RIGHT_WRITE,
			       send(&self->ring, ZONE(8), action));
	}
	EXPECT_EQ(CLOSED, state(self, 8));
}

/* ---- reports ---- */

TEST_F(zones, a_report_tells_of_the_extents_zones_and_of_no_other)
{
	char *at = (char *)self->b.at + 64 * PAGE;
	const struct report *report = report_of(self);
	__u32 cap, i;

	ASSERT_EQ(0, attach(self, RWT, 8, 4, 0, 0, &cap));
	ASSERT_EQ(0, write_at(self, ZONE(9), 3));
	ASSERT_EQ(0, send(&self->ring, ZONE(10), FINISH));
	/* The neighbour's, which nobody here may see. */
	ASSERT_EQ(0, send(&self->god, ZONE(12), OPEN));
	memset(at, 0x3c, 2 * PAGE);
	ASSERT_EQ(0, report_raw(self, ZONE(8), 64 + 4 * 64, REPORT));
	ASSERT_EQ(4, report->count);
	for (i = 0; i < 4; i++) {
		const struct zone *zone = &report->zones[i];

		EXPECT_EQ(ZONE(8 + i), zone->start);
		EXPECT_EQ(192, zone->capacity);
		EXPECT_EQ(i == 1 ? IMPLICITLY_OPEN : i == 2 ? FULL : EMPTY, zone->state >> 4);
	}
	EXPECT_EQ(ZONE(9) + 3, report->zones[1].wp);
	for (i = 64 + 4 * 64; i < 2 * PAGE; i++) {
		ASSERT_EQ(0x3c, at[i]);
	}
	/* From the middle on, and shorter than there would be room for. */
	ASSERT_EQ(0, report_raw(self, ZONE(10), 64 + 2 * 64, REPORT));
	EXPECT_EQ(2, report->count);
	EXPECT_EQ(ZONE(10), report->zones[0].start);
	ASSERT_EQ(0, report_raw(self, ZONE(8), 64 + 64 + 60, REPORT));
	EXPECT_EQ(1, report->count);
}

TEST_F(zones, a_report_that_has_room_for_more_zones_is_refused)
{
	static const __u32 more[] = { 4, 64, 4096, 1u << 19 };
	static const __u32 kinds[] = { 0, 1, REPORT | 1, REPORT | 2 << 8, REPORT | 5 << 8, 0xff };
	unsigned int i, first;
	struct sqe sqe;
	__u32 cap;

	ASSERT_EQ(0, attach(self, RWT, 8, 4, 0, 0, &cap));
	for (first = 8; first < 12; first++) {
		const __u32 most = 64 + (12 - first) * 64;

		EXPECT_EQ(0, report_raw(self, ZONE(first), most, REPORT));
		for (i = 0; i < ARRAY_SIZE(more); i++) {
			EXPECT_REFUSED(EMSGSIZE, EXO_REASON_ZONE_REPORT, 12, most + more[i],
				       report_raw(self, ZONE(first), most + more[i], REPORT));
			EXPECT_EQ(most, last.limit);
		}
	}
	sqe = sqe_io(OP_ZONE_RECEIVE, 0, NSID, ZONE(8), ~0u, self->b.offset);
	sqe.dw[13] = REPORT;
	EXPECT_REFUSED(EMSGSIZE, EXO_REASON_ZONE_REPORT, 12, 1ull << 34,
		       ring_do(&self->ring, &sqe));
	/* Of zones in one state, extended, or counting those behind. */
	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		EXPECT_REFUSED(EINVAL, EXO_REASON_ZONE_ACTION, 13, kinds[i],
			       report_raw(self, ZONE(8), 128, kinds[i]));
	}
	EXPECT_REFUSED(EINVAL, EXO_REASON_ZONE, 10, ZONE(8) + 1,
		       report_raw(self, ZONE(8) + 1, 128, REPORT));
	EXPECT_REFUSED(ERANGE, EXO_REASON_LBA, 10, ZONE(7), report_raw(self, ZONE(7), 128, REPORT));
	EXPECT_REFUSED(ERANGE, EXO_REASON_LBA, 10, ZONE(12),
		       report_raw(self, ZONE(12), 128, REPORT));
	ASSERT_EQ(0, queue_detach(self->t.fd, self->ring.cap, cap));
	ASSERT_EQ(0, attach(self, EXO_RIGHT_WRITE, 8, 4, 0, 0, &cap));
	EXPECT_REFUSED(EACCES, EXO_REASON_LBA_RIGHT, 0, EXO_RIGHT_READ,
		       report_raw(self, ZONE(8), 128, REPORT));
}

TEST_HARNESS_MAIN
