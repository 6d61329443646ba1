/* SPDX-License-Identifier: MIT */
/*
 * What the tests of zoned namespaces share: the namespace, empty; a tenant to whom zones are
 * granted; and the grantor's queue, which may do everything with all of them.
 */
#ifndef EXO_SELFTESTS_ZONED_H
#define EXO_SELFTESTS_ZONED_H

#include <kselftest_harness.h>

#include "lib.h"

#define NSID 5 /* of exo1 */
#define RWT (EXO_RIGHT_READ | EXO_RIGHT_WRITE | EXO_RIGHT_TRIM)

#define CLOSE 1u
#define FINISH 2u
#define OPEN 3u
#define RESET 4u
#define SELECT_ALL (1u << 8)
#define REPORT (1u << 16) /* Report Zones, partial */

#define EMPTY 0x1
#define IMPLICITLY_OPEN 0x2
#define EXPLICITLY_OPEN 0x3
#define CLOSED 0x4
#define FULL 0xe

/* Status without Command Retry Delay, More, Do Not Retry. */
#define STATUS_MASK 0x7ff
#define INVALID_WRITE 0x1bc
#define INVALID_TRANSITION 0x1bf

#define BUFFER_PAGES 136u

struct zone {
	__u8 type;
	__u8 state; /* in the upper half */
	__u8 attributes;
	__u8 reserved3[5];
	__u64 capacity;
	__u64 start;
	__u64 wp;
	__u8 reserved32[32];
};

struct report {
	__u64 count;
	__u8 reserved8[56];
	struct zone zones[64];
};

FIXTURE(zones)
{
	struct tenant t;
	struct exo_namespace_query ns;
	__u64 size;	  /* blocks of a zone */
	__u32 count;	  /* zones */
	struct ring god;  /* the grantor's: all zones, no quota */
	struct ring ring; /* the tenant's: nothing is attached at first */
	struct buffer b;
};

#define ZONE(n) ((n)*self->size)

static inline int extent_of(FIXTURE_DATA(zones) * self, __u32 rights, __u32 first, __u32 zones,
			    __u32 open, __u32 active, __u32 *cap)
{
	struct exo_extent_create arg = {
		.controller = self->t.root_controller,
		.nsid = NSID,
		.rights = rights,
		.start = ZONE(first),
		.len = ZONE(zones),
		.open_zones = open,
		.active_zones = active,
	};
	int ret = call(self->t.grantor, EXO_EXTENT_CREATE, &arg);

	*cap = arg.out_cap;
	return ret;
}

/* To the tenant, and to nobody else. */
static inline int grant(FIXTURE_DATA(zones) * self, __u32 rights, __u32 first, __u32 zones,
			__u32 open, __u32 active, __u32 *cap)
{
	__u32 extent;
	int ret = extent_of(self, rights, first, zones, open, active, &extent);

	if (!ret)
		ret = derive(self->t.grantor, extent, rights, self->t.fd, 0, 0, cap);
	return ret ? ret : drop(self->t.grantor, extent);
}

/* The same, and attached to its queue. */
static inline int attach(FIXTURE_DATA(zones) * self, __u32 rights, __u32 first, __u32 zones,
			 __u32 open, __u32 active, __u32 *cap)
{
	int ret = grant(self, rights, first, zones, open, active, cap);

	return ret ? ret : queue_attach(self->t.fd, self->ring.cap, *cap);
}

static inline struct sqe sqe_send(__u16 cid, __u64 slba, __u32 action)
{
	struct sqe sqe = sqe_io(OP_ZONE_SEND, cid, NSID, slba, 0, 0);

	sqe.dw[13] = action;
	return sqe;
}

static inline int send(struct ring *ring, __u64 slba, __u32 action)
{
	struct sqe sqe = sqe_send(0, slba, action);

	return ring_do(ring, &sqe);
}

static inline int write_at(FIXTURE_DATA(zones) * self, __u64 slba, __u32 blocks)
{
	return ring_io(&self->ring, OP_WRITE, NSID, slba, blocks, self->b.offset);
}

static inline int append(FIXTURE_DATA(zones) * self, __u64 slba, __u32 blocks)
{
	return ring_io(&self->ring, OP_ZONE_APPEND, NSID, slba, blocks, self->b.offset);
}

static inline int copy(FIXTURE_DATA(zones) * self, __u64 from, __u16 blocks, __u64 to)
{
	struct {
		__u64 reserved0, slba;
		__u16 nlb, reserved18[3];
		__u64 reserved24;
	} *range = (void *)((char *)self->b.at + 32 * PAGE);
	struct sqe sqe = sqe_io(OP_COPY, 0, NSID, to, 0, self->b.offset + 32 * PAGE);

	*range = (typeof(*range)){ .slba = from, .nlb = blocks - 1 };
	return ring_do(&self->ring, &sqe);
}

static inline int report_raw(FIXTURE_DATA(zones) * self, __u64 slba, __u32 bytes, __u32 dw13)
{
	struct sqe sqe =
		sqe_io(OP_ZONE_RECEIVE, 0, NSID, slba, bytes / 4 - 1, self->b.offset + 64 * PAGE);

	sqe.dw[13] = dw13;
	return ring_do(&self->ring, &sqe);
}

static inline const struct report *report_of(FIXTURE_DATA(zones) * self)
{
	return (void *)((char *)self->b.at + 64 * PAGE);
}

/* State of a zone, or a negative errno. */
static inline int state(FIXTURE_DATA(zones) * self, __u32 zone)
{
	int ret = report_raw(self, ZONE(zone), 128, REPORT);

	return ret ? -EIO : report_of(self)->zones[0].state >> 4;
}

static inline int left(FIXTURE_DATA(zones) * self, __u32 *open, __u32 *active)
{
	struct exo_namespace_query ns;
	int ret = namespace_query(self->t.grantor, self->t.root_controller, 0, NSID, &ns);

	*open = ns.out_open_zones_left;
	*active = ns.out_active_zones_left;
	return ret;
}

#define EXPECT_LEFT(open_, active_)                                   \
	do {                                                          \
		__u32 o_ = 0, a_ = 0;                                 \
		EXPECT_EQ(0, left(self, &o_, &a_));                   \
		EXPECT_EQ(self->ns.out_open_zones - (open_), o_);     \
		EXPECT_EQ(self->ns.out_active_zones - (active_), a_); \
	} while (0)

#define EXPECT_QUOTA(kind, slba, most, expr)                                     \
	do {                                                                     \
		EXPECT_REFUSED(EDQUOT, EXO_REASON_ZONE_QUOTA, kind, slba, expr); \
		EXPECT_EQ(most, last.limit);                                     \
	} while (0)

FIXTURE_SETUP(zones)
{
	struct tenant *t = &self->t;
	__u32 all, i;

	TENANT_SETUP(t, "exo1");
	if (namespace_query(t->grantor, t->root_controller, 0, NSID, &self->ns) ||
	    !self->ns.out_zone_blocks)
		SKIP(return, "the second controller has no zoned namespace 5");
	self->size = self->ns.out_zone_blocks;
	self->count = (__u32)(self->ns.out_blocks / self->size);
	ASSERT_EQ(0, extent_of(self, RWT, 0, self->count, 0, 0, &all));
	ASSERT_EQ(0, ring_create(t->grantor, t->root_controller, 4, &self->god));
	ASSERT_EQ(0, queue_attach(t->grantor, self->god.cap, all));
	ASSERT_EQ(0, become_nobody());
	ASSERT_EQ(0, ring_create(t->fd, t->controller, 16, &self->ring));
	ASSERT_EQ(0, buffer_alloc(t->fd, t->pool, EXO_ORDER_4K, BUFFER_PAGES, &self->b));
	ASSERT_EQ(0, buffer_attach(t->fd, t->controller, &self->b));
	for (i = 0; i < self->count; i++) {
		ASSERT_EQ(0, send(&self->god, ZONE(i), RESET));
	}
	EXPECT_LEFT(0, 0);
}

FIXTURE_TEARDOWN(zones)
{
	tenant_destroy(&self->t);
}

#endif
