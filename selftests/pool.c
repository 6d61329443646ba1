// SPDX-License-Identifier: MIT
/*
 * Pools: budgets of frames that are parts of budgets.
 */
#include <kselftest_harness.h>

#include "lib.h"

FIXTURE(pool)
{
	struct tenant t;
};

FIXTURE_SETUP(pool)
{
	POOL_SETUP(&self->t);
	ASSERT_EQ(0, become_nobody());
}

FIXTURE_TEARDOWN(pool)
{
	tenant_destroy(&self->t);
}

static __u64 used_of(int fd, __u32 pool)
{
	__u64 used = ~0ull;

	pool_query(fd, pool, NULL, &used);
	return used;
}

TEST_F(pool, a_pool_tells_its_budget_and_what_is_used)
{
	struct exo_frames_alloc frames;
	__u64 budget, used;

	ASSERT_EQ(0, pool_query(self->t.fd, self->t.pool, &budget, &used));
	EXPECT_EQ(TENANT_FRAMES, budget);
	EXPECT_EQ(0, used);
	ASSERT_EQ(0, frames_alloc(self->t.fd, self->t.pool, EXO_ORDER_4K, 7, ANY_NODE, &frames));
	EXPECT_EQ(7, used_of(self->t.fd, self->t.pool));
	ASSERT_EQ(0, drop(self->t.fd, frames.out_cap));
	EXPECT_EQ(0, used_of(self->t.fd, self->t.pool));
}

TEST_F(pool, the_root_counts_a_childs_whole_budget_as_used)
{
	struct exo_info i;
	__u64 budget, used;

	ASSERT_EQ(0, info(self->t.grantor, &i));
	ASSERT_EQ(0, pool_query(self->t.grantor, self->t.root_pool, &budget, &used));
	EXPECT_EQ(i.out_frames_limit, budget);
	EXPECT_LE(TENANT_FRAMES, used);
}

TEST_F(pool, a_child_takes_its_budget_from_its_parent_and_gives_it_back)
{
	__u64 budget, used;
	__u32 child;

	ASSERT_EQ(0, pool_create(self->t.fd, self->t.pool, EXO_RIGHT_ALLOC, 100, &child));
	EXPECT_EQ(100, used_of(self->t.fd, self->t.pool));
	ASSERT_EQ(0, pool_query(self->t.fd, child, &budget, &used));
	EXPECT_EQ(100, budget);
	EXPECT_EQ(0, used);
	ASSERT_EQ(0, drop(self->t.fd, child));
	EXPECT_EQ(0, used_of(self->t.fd, self->t.pool));
}

TEST_F(pool, a_dead_child_keeps_what_its_frames_take_until_they_are_free)
{
	struct exo_frames_alloc frames;
	__u32 child;

	ASSERT_EQ(0, pool_create(self->t.fd, self->t.pool, EXO_RIGHT_ALLOC, 100, &child));
	ASSERT_EQ(0, frames_alloc(self->t.fd, child, EXO_ORDER_4K, 3, ANY_NODE, &frames));
	EXPECT_EQ(100, used_of(self->t.fd, self->t.pool));
	ASSERT_EQ(0, drop(self->t.fd, child));
	EXPECT_EQ(3, used_of(self->t.fd, self->t.pool));
	ASSERT_EQ(0, drop(self->t.fd, frames.out_cap));
	EXPECT_EQ(0, used_of(self->t.fd, self->t.pool));
}

TEST_F(pool, more_than_is_left_is_refused_and_changes_nothing)
{
	static const __u64 wrong[] = { TENANT_FRAMES + 1, 1ull << 32, 1ull << 52, 1ull << 63,
				       ~0ull };
	struct exo_frames_alloc frames;
	unsigned int i;
	__u32 child;

	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		EXPECT_EQ(-EDQUOT,
			  pool_create(self->t.fd, self->t.pool, EXO_RIGHT_ALLOC, wrong[i], &child));
		EXPECT_EQ(EXO_REASON_BUDGET, last.reason);
		EXPECT_EQ(wrong[i], last.value);
		EXPECT_EQ(TENANT_FRAMES, last.limit);
	}
	ASSERT_EQ(0, frames_alloc(self->t.fd, self->t.pool, EXO_ORDER_4K, 10, ANY_NODE, &frames));
	EXPECT_EQ(-EDQUOT, pool_create(self->t.fd, self->t.pool, EXO_RIGHT_ALLOC, TENANT_FRAMES - 9,
				       &child));
	EXPECT_EQ(TENANT_FRAMES - 10, last.limit);
	EXPECT_EQ(10, used_of(self->t.fd, self->t.pool));
	EXPECT_EQ(0, pool_create(self->t.fd, self->t.pool, EXO_RIGHT_ALLOC, TENANT_FRAMES - 10,
				 &child));
	EXPECT_EQ(-EDQUOT,
		  frames_alloc(self->t.fd, self->t.pool, EXO_ORDER_4K, 1, ANY_NODE, &frames));
	EXPECT_EQ(0, last.limit);
}

TEST_F(pool, a_pool_of_nothing_is_refused)
{
	__u32 child;

	EXPECT_REFUSED(EINVAL, EXO_REASON_VALUE, offsetof(struct exo_pool_create, frames), 0,
		       pool_create(self->t.fd, self->t.pool, EXO_RIGHT_ALLOC, 0, &child));
}

TEST_F(pool, its_rights_are_a_subset_and_not_empty)
{
	__u32 child;

	EXPECT_REFUSED(EINVAL, EXO_REASON_VALUE, offsetof(struct exo_pool_create, rights), 0,
		       pool_create(self->t.fd, self->t.pool, 0, 1, &child));
	EXPECT_REFUSED(
		EACCES, EXO_REASON_RIGHT, offsetof(struct exo_pool_create, rights), EXO_RIGHT_READ,
		pool_create(self->t.fd, self->t.pool, EXO_RIGHT_ALLOC | EXO_RIGHT_READ, 1, &child));
	EXPECT_EQ(EXO_RIGHT_ALLOC | EXO_RIGHT_NAMES, last.limit);
	EXPECT_REFUSED(
		EACCES, EXO_REASON_RIGHT, offsetof(struct exo_pool_create, rights), 1u << 31,
		pool_create(self->t.fd, self->t.pool, EXO_RIGHT_ALLOC | 1u << 31, 1, &child));
	EXPECT_EQ(0, used_of(self->t.fd, self->t.pool));
}

TEST_F(pool, without_the_right_to_allocate_it_yields_nothing)
{
	struct exo_frames_alloc frames;
	__u32 names, child;

	ASSERT_EQ(0, derive(self->t.fd, self->t.pool, EXO_RIGHT_NAMES, EXO_SESSION_SELF, 0, 0,
			    &names));
	EXPECT_REFUSED(EACCES, EXO_REASON_RIGHT, offsetof(struct exo_pool_create, pool),
		       EXO_RIGHT_ALLOC, pool_create(self->t.fd, names, EXO_RIGHT_NAMES, 1, &child));
	EXPECT_EQ(EXO_RIGHT_NAMES, last.limit);
	EXPECT_REFUSED(EACCES, EXO_REASON_RIGHT, offsetof(struct exo_frames_alloc, pool),
		       EXO_RIGHT_ALLOC,
		       frames_alloc(self->t.fd, names, EXO_ORDER_4K, 1, ANY_NODE, &frames));
	EXPECT_EQ(0, pool_query(self->t.fd, names, NULL, NULL));
}

TEST_F(pool, a_derived_capability_shares_the_budget)
{
	struct exo_frames_alloc frames;
	__u32 same;

	ASSERT_EQ(0,
		  derive(self->t.fd, self->t.pool, EXO_RIGHT_ALLOC, EXO_SESSION_SELF, 0, 0, &same));
	ASSERT_EQ(0, frames_alloc(self->t.fd, same, EXO_ORDER_4K, 5, ANY_NODE, &frames));
	EXPECT_EQ(5, used_of(self->t.fd, self->t.pool));
}

TEST_F(pool, pools_nest_and_collapse_from_the_bottom)
{
	__u32 pools[20], n;
	struct exo_frames_alloc frames;

	pools[0] = self->t.pool;
	for (n = 1; n < 20; n++) {
		ASSERT_EQ(0, pool_create(self->t.fd, pools[n - 1], EXO_RIGHT_ALLOC, 100 - n,
					 &pools[n]));
	}
	ASSERT_EQ(0, frames_alloc(self->t.fd, pools[19], EXO_ORDER_4K, 81, ANY_NODE, &frames));
	/* From the top: all comes back but what the frames take. */
	for (n = 1; n < 20; n++) {
		ASSERT_EQ(0, drop(self->t.fd, pools[n]));
	}
	EXPECT_EQ(81, used_of(self->t.fd, self->t.pool));
	ASSERT_EQ(0, drop(self->t.fd, frames.out_cap));
	EXPECT_EQ(0, used_of(self->t.fd, self->t.pool));
}

TEST_HARNESS_MAIN
