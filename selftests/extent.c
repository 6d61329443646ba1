// SPDX-License-Identifier: MIT
/*
 * Extents: ranges of logical blocks as capabilities.
 */
#include <kselftest_harness.h>

#include "lib.h"

#define RWT (EXO_RIGHT_READ | EXO_RIGHT_WRITE | EXO_RIGHT_TRIM)

FIXTURE(extent)
{
	struct tenant t;
	int fd; /* the grantor's */
	__u32 controller;
	__u64 blocks;
};

FIXTURE_SETUP(extent)
{
	struct exo_namespace_query ns;

	TENANT_SETUP(&self->t, "exo0");
	self->fd = self->t.grantor;
	self->controller = self->t.root_controller;
	ASSERT_EQ(0, namespace_query(self->fd, self->controller, 0, 1, &ns));
	self->blocks = ns.out_blocks;
	ASSERT_EQ(0, become_nobody());
}

FIXTURE_TEARDOWN(extent)
{
	tenant_destroy(&self->t);
}

TEST_F(extent, it_tells_what_it_is)
{
	struct exo_cap_query q;
	__u32 cap;

	ASSERT_EQ(0, extent_create(self->fd, self->controller, 1, RWT, 5, 7, &cap));
	ASSERT_EQ(0, query(self->fd, cap, &q));
	EXPECT_EQ(EXO_TYPE_EXTENT, q.out_type);
	EXPECT_EQ(RWT, q.out_rights);
	EXPECT_EQ(5, q.out_start);
	EXPECT_EQ(7, q.out_len);
	EXPECT_EQ(1, q.out_nsid);
	EXPECT_EQ(self->t.block_shift, q.out_unit_shift);
	EXPECT_EQ(self->t.address, q.out_address);
	EXPECT_EQ(0, q.out_mmap_offset);
}

TEST_F(extent, two_extents_of_a_namespace_have_the_same_object_number)
{
	struct exo_cap_query a, b, c;
	__u32 cap[3];

	ASSERT_EQ(0, extent_create(self->fd, self->controller, 1, RWT, 0, 8, &cap[0]));
	ASSERT_EQ(0, extent_create(self->fd, self->controller, 1, EXO_RIGHT_READ, 4, 8, &cap[1]));
	ASSERT_EQ(0, query(self->fd, cap[0], &a));
	ASSERT_EQ(0, query(self->fd, cap[1], &b));
	EXPECT_EQ(a.out_object, b.out_object);
	if (extent_create(self->fd, self->controller, 2, RWT, 0, 8, &cap[2]))
		return;
	ASSERT_EQ(0, query(self->fd, cap[2], &c));
	EXPECT_NE(a.out_object, c.out_object);
}

TEST_F(extent, the_whole_namespace_and_its_last_block_are_extents)
{
	__u32 cap;

	EXPECT_EQ(0, extent_create(self->fd, self->controller, 1, RWT, 0, self->blocks, &cap));
	EXPECT_EQ(0, extent_create(self->fd, self->controller, 1, RWT, self->blocks - 1, 1, &cap));
}

TEST_F(extent, beyond_the_namespace_there_are_none)
{
	const __u64 n = self->blocks;
	const struct {
		__u64 start, len;
		int err;
		__u32 reason;
	} cases[] = {
		{ 0, n + 1, ERANGE, EXO_REASON_RANGE },
		{ n - 1, 2, ERANGE, EXO_REASON_RANGE },
		{ n, 1, ERANGE, EXO_REASON_RANGE },
		{ n + 1, 1, ERANGE, EXO_REASON_RANGE },
		{ 0, ~0ull, ERANGE, EXO_REASON_RANGE },
		{ ~0ull - 1, 1, ERANGE, EXO_REASON_RANGE },
		{ 1ull << 63, 1, ERANGE, EXO_REASON_RANGE },
		{ 1, ~0ull, EOVERFLOW, EXO_REASON_OVERFLOW },
		{ ~0ull, 2, EOVERFLOW, EXO_REASON_OVERFLOW },
		{ ~0ull, ~0ull, EOVERFLOW, EXO_REASON_OVERFLOW },
		{ 1ull << 63, 1ull << 63, EOVERFLOW, EXO_REASON_OVERFLOW },
		{ 0, 0, EINVAL, EXO_REASON_VALUE },
		{ 7, 0, EINVAL, EXO_REASON_VALUE },
		{ n, 0, EINVAL, EXO_REASON_VALUE },
	};
	unsigned int i;
	__u32 cap;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		EXPECT_EQ(-cases[i].err, extent_create(self->fd, self->controller, 1, RWT,
						       cases[i].start, cases[i].len, &cap))
		{
			TH_LOG("start %llx len %llx", cases[i].start, cases[i].len);
		}
		EXPECT_EQ(cases[i].reason, last.reason);
		if (cases[i].reason == EXO_REASON_RANGE) {
			EXPECT_EQ(n, last.limit);
		}
	}
}

TEST_F(extent, a_namespace_that_does_not_exist_has_none)
{
	static const __u32 wrong[] = { 0, 1000, 0xfffffffe, 0xffffffff };
	unsigned int i;
	__u32 cap;

	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		EXPECT_EQ(-ENOENT,
			  extent_create(self->fd, self->controller, wrong[i], RWT, 0, 1, &cap));
		EXPECT_EQ(EXO_REASON_NO_NAMESPACE, last.reason);
		EXPECT_EQ(wrong[i], last.value);
	}
}

TEST_F(extent, only_read_write_and_trim_are_its_rights)
{
	__u32 rights, cap;

	for (rights = 0; rights < 256; rights++) {
		int ret = extent_create(self->fd, self->controller, 1, rights, 0, 1, &cap);

		if (!rights) {
			EXPECT_EQ(-EINVAL, ret);
			EXPECT_WHY(EXO_REASON_VALUE, offsetof(struct exo_extent_create, rights), 0);
		} else if (rights & ~RWT) {
			/* Never right, or not held: both are refusals with a reason. */
			EXPECT_TRUE(ret == -EINVAL || ret == -EACCES);
			EXPECT_TRUE(last.reason == EXO_REASON_VALUE ||
				    last.reason == EXO_REASON_RIGHT);
			EXPECT_EQ(offsetof(struct exo_extent_create, rights), last.field);
		} else {
			EXPECT_EQ(0, ret);
			EXPECT_EQ(0, drop(self->fd, cap));
		}
	}
	EXPECT_NE(0, extent_create(self->fd, self->controller, 1, 1u << 31 | EXO_RIGHT_READ, 0, 1,
				   &cap));
}

TEST_F(extent, its_parts_have_fewer_rights_and_smaller_ranges)
{
	struct exo_cap_query q;
	__u32 cap, part;

	ASSERT_EQ(0, extent_create(self->fd, self->controller, 1, EXO_RIGHT_READ | EXO_RIGHT_WRITE,
				   100, 50, &cap));
	ASSERT_EQ(0, derive(self->fd, cap, EXO_RIGHT_READ, EXO_SESSION_SELF, 110, 5, &part));
	ASSERT_EQ(0, query(self->fd, part, &q));
	EXPECT_EQ(110, q.out_start);
	EXPECT_EQ(5, q.out_len);
	EXPECT_EQ(EXO_RIGHT_READ, q.out_rights);
	EXPECT_EQ(1, q.out_nsid);
	EXPECT_EQ(-ERANGE, derive(self->fd, cap, EXO_RIGHT_READ, EXO_SESSION_SELF, 99, 2, &part));
	EXPECT_EQ(-ERANGE, derive(self->fd, cap, EXO_RIGHT_READ, EXO_SESSION_SELF, 149, 2, &part));
	EXPECT_EQ(-ERANGE, derive(self->fd, cap, EXO_RIGHT_READ, EXO_SESSION_SELF, 0, 1, &part));
	EXPECT_EQ(-EACCES, derive(self->fd, cap, EXO_RIGHT_TRIM, EXO_SESSION_SELF, 0, 0, &part));
	EXPECT_EQ(-EOVERFLOW,
		  derive(self->fd, cap, EXO_RIGHT_READ, EXO_SESSION_SELF, 110, ~0ull, &part));
}

TEST_F(extent, it_lives_on_without_the_controller_capability_it_came_from)
{
	struct exo_cap_query q;
	__u32 controller, cap;

	ASSERT_EQ(0, derive(self->fd, self->controller, EXO_RIGHT_EXTENT, EXO_SESSION_SELF, 0, 0,
			    &controller));
	ASSERT_EQ(0, extent_create(self->fd, controller, 1, RWT, 0, 8, &cap));
	ASSERT_EQ(0, drop(self->fd, controller));
	EXPECT_EQ(0, query(self->fd, cap, &q));
}

/* Whichever controller has such a namespace. */
static bool has_metadata(struct __test_metadata *_metadata, const char *serial)
{
	struct exo_namespace_query ns;
	__u32 nsid = 0, cap;
	bool found = false;
	struct tenant t;
	const char *why;

	if (tenant_create(&t, serial, &why))
		return false;
	while (!namespace_query(t.grantor, t.root_controller, EXO_NAMESPACE_NEXT, nsid, &ns)) {
		nsid = ns.out_nsid;
		if (!ns.out_metadata)
			continue;
		found = true;
		EXPECT_EQ(-EOPNOTSUPP,
			  extent_create(t.grantor, t.root_controller, nsid, RWT, 0, 1, &cap));
		EXPECT_EQ(EXO_REASON_FORMAT, last.reason);
		EXPECT_EQ(ns.out_metadata, last.value);
	}
	tenant_destroy(&t);
	return found;
}

TEST(a_format_with_metadata_has_no_extents)
{
	bool first = has_metadata(_metadata, "exo0"), second = has_metadata(_metadata, "exo1");

	if (!first && !second)
		SKIP(return, "no namespace has metadata");
}

TEST_HARNESS_MAIN
