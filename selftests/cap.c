// SPDX-License-Identifier: MIT
/*
 * Capabilities: who may claim a root, what may be derived from what, and that
 * nothing grows on the way down the tree.
 */
#include <sched.h>
#include <pthread.h>
#include <kselftest_harness.h>

#include "lib.h"

/* ---- claims ---- */

TEST(a_claim_by_a_caller_without_privilege_is_refused)
{
	int fd = session_open();
	__u32 cap;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, become_nobody());
	EXPECT_REFUSED(EPERM, EXO_REASON_PRIVILEGE, 0, 0, claim_pool(fd, &cap));
	EXPECT_REFUSED(EPERM, EXO_REASON_PRIVILEGE, 0, 0, claim_controller(fd, 0, &cap));
	close(fd);
}

TEST(a_claim_in_a_session_that_an_unprivileged_opener_made_is_refused)
{
	__u32 cap;
	int fd;

	ASSERT_EQ(0, seteuid(1000));
	fd = session_open();
	ASSERT_EQ(0, seteuid(0));
	ASSERT_LE(0, fd);
	EXPECT_REFUSED(EPERM, EXO_REASON_PRIVILEGE, 0, 1, claim_pool(fd, &cap));
	EXPECT_REFUSED(EPERM, EXO_REASON_PRIVILEGE, 0, 1, claim_controller(fd, 0, &cap));
	close(fd);
}

TEST(root_of_a_user_namespace_may_not_claim)
{
	__u32 cap;
	int fd;

	ASSERT_EQ(0, become_nobody());
	if (unshare(CLONE_NEWUSER))
		SKIP(return, "no user namespaces here: %s", strerror(errno));
	fd = session_open();
	ASSERT_LE(0, fd);
	EXPECT_REFUSED(EPERM, EXO_REASON_PRIVILEGE, 0, 0, claim_pool(fd, &cap));
	close(fd);
}

TEST(a_claim_of_what_is_no_root_is_refused)
{
	static const __u32 types[] = {
		0, EXO_TYPE_FRAMES, EXO_TYPE_EXTENT, EXO_TYPE_QUEUE, 6, ~0u
	};
	struct exo_claim arg = { 0 };
	int fd = session_open();
	unsigned int i;

	ASSERT_LE(0, fd);
	for (i = 0; i < ARRAY_SIZE(types); i++) {
		arg.type = types[i];
		EXPECT_REFUSED(EINVAL, EXO_REASON_VALUE, offsetof(struct exo_claim, type), types[i],
			       call(fd, EXO_CLAIM, &arg));
	}
	arg = (struct exo_claim){ .type = EXO_TYPE_POOL, .address = 8 };
	EXPECT_REFUSED(EINVAL, EXO_REASON_VALUE, offsetof(struct exo_claim, address), 8,
		       call(fd, EXO_CLAIM, &arg));
	close(fd);
}

TEST(a_claim_of_a_function_that_exo_does_not_have_is_refused)
{
	/* The host bridge, nothing at all, the last address there is. */
	static const __u32 addresses[] = { 0, EXO_PCI_ADDRESS(0, 0xff, 0xff), 0xffffffff };
	int fd = session_open();
	unsigned int i;
	__u32 cap;

	ASSERT_LE(0, fd);
	for (i = 0; i < ARRAY_SIZE(addresses); i++) {
		EXPECT_REFUSED(ENODEV, EXO_REASON_NO_DEVICE, offsetof(struct exo_claim, address),
			       addresses[i], claim_controller(fd, addresses[i], &cap));
	}
	close(fd);
}

TEST(several_sessions_may_claim_the_same_root)
{
	struct exo_cap_query a, b;
	int fd[2] = { session_open(), session_open() };
	__u32 cap[3];

	ASSERT_LE(0, fd[0]);
	ASSERT_LE(0, fd[1]);
	ASSERT_EQ(0, claim_pool(fd[0], &cap[0]));
	ASSERT_EQ(0, claim_pool(fd[1], &cap[1]));
	ASSERT_EQ(0, claim_pool(fd[0], &cap[2]));
	EXPECT_NE(cap[0], cap[2]);
	ASSERT_EQ(0, query(fd[0], cap[0], &a));
	ASSERT_EQ(0, query(fd[1], cap[1], &b));
	EXPECT_EQ(a.out_object, b.out_object);
	EXPECT_EQ(1, a.out_depth);
	EXPECT_EQ(EXO_TYPE_POOL, a.out_type);
	EXPECT_EQ(EXO_RIGHT_ALLOC | EXO_RIGHT_NAMES, a.out_rights);
	EXPECT_EQ(0, a.out_start);
	EXPECT_EQ(0, a.out_len);
	EXPECT_EQ(0, a.out_mmap_offset);
	EXPECT_EQ(0, a.out_unit_shift);
	EXPECT_EQ(0, a.out_nsid);
	EXPECT_EQ(0, a.out_address);
	close(fd[0]);
	EXPECT_EQ(0, query(fd[1], cap[1], &b));
	close(fd[1]);
}

/* ---- derivation: 16 frames, to have a range ---- */

FIXTURE(cap)
{
	struct tenant t;
	__u32 frames; /* units 0-15, READ, WRITE and NAMES */
	__u64 used;
};

FIXTURE_SETUP(cap)
{
	struct exo_frames_alloc arg;

	POOL_SETUP(&self->t);
	self->used = frames_used(self->t.grantor);
	ASSERT_EQ(0, frames_alloc(self->t.fd, self->t.pool, EXO_ORDER_4K, 16, ANY_NODE, &arg));
	self->frames = arg.out_cap;
	ASSERT_EQ(0, become_nobody());
}

FIXTURE_TEARDOWN(cap)
{
	tenant_destroy(&self->t);
}

TEST_F(cap, query_tells_what_it_is)
{
	struct exo_cap_query q;

	ASSERT_EQ(0, query(self->t.fd, self->frames, &q));
	EXPECT_EQ(EXO_TYPE_FRAMES, q.out_type);
	EXPECT_EQ(EXO_RIGHT_READ | EXO_RIGHT_WRITE | EXO_RIGHT_NAMES, q.out_rights);
	EXPECT_EQ(0, q.out_start);
	EXPECT_EQ(16, q.out_len);
	EXPECT_EQ(12, q.out_unit_shift);
	EXPECT_NE(0, q.out_mmap_offset);
	EXPECT_NE(0, q.out_object);
	EXPECT_EQ(0, q.out_nsid);
	EXPECT_EQ(0, q.out_address);
	EXPECT_EQ(0, q.out_qid);
	EXPECT_EQ(0, q.out_deadline);
	EXPECT_EQ(0, q.out_wanted);
}

TEST_F(cap, a_number_that_is_no_capability_is_enoent)
{
	static const __u32 wrong[] = { 0, 999, EXO_CAPS_MAX, EXO_CAPS_MAX + 1, 1u << 31, ~0u };
	struct exo_cap_query q;
	unsigned int i;
	__u32 child;

	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		EXPECT_REFUSED(ENOENT, EXO_REASON_NO_CAP, offsetof(struct exo_cap_query, cap),
			       wrong[i], query(self->t.fd, wrong[i], &q));
		EXPECT_REFUSED(ENOENT, EXO_REASON_NO_CAP, offsetof(struct exo_cap_drop, cap),
			       wrong[i], drop(self->t.fd, wrong[i]));
		EXPECT_REFUSED(ENOENT, EXO_REASON_NO_CAP, offsetof(struct exo_cap_derive, cap),
			       wrong[i],
			       derive(self->t.fd, wrong[i], 1, EXO_SESSION_SELF, 0, 0, &child));
	}
}

TEST_F(cap, every_subset_of_its_rights_can_be_derived_and_nothing_else)
{
	const __u32 all = EXO_RIGHT_READ | EXO_RIGHT_WRITE | EXO_RIGHT_NAMES;
	struct exo_cap_query q;
	__u32 rights, child;

	for (rights = 0; rights < 256; rights++) {
		int ret = derive(self->t.fd, self->frames, rights, EXO_SESSION_SELF, 0, 0, &child);

		if (!rights) {
			EXPECT_EQ(-EINVAL, ret);
			EXPECT_WHY(EXO_REASON_VALUE, offsetof(struct exo_cap_derive, rights), 0);
		} else if (rights & ~all) {
			EXPECT_EQ(-EACCES, ret);
			EXPECT_WHY(EXO_REASON_RIGHT, offsetof(struct exo_cap_derive, rights),
				   rights & ~all);
			EXPECT_EQ(all, last.limit);
		} else {
			ASSERT_EQ(0, ret);
			ASSERT_EQ(0, query(self->t.fd, child, &q));
			EXPECT_EQ(rights, q.out_rights);
			EXPECT_EQ(0, drop(self->t.fd, child));
		}
	}
	for (rights = 1u << 8; rights; rights <<= 1) {
		EXPECT_REFUSED(EACCES, EXO_REASON_RIGHT, offsetof(struct exo_cap_derive, rights),
			       rights,
			       derive(self->t.fd, self->frames, rights | EXO_RIGHT_READ,
				      EXO_SESSION_SELF, 0, 0, &child));
	}
}

TEST_F(cap, a_right_that_was_given_up_cannot_be_had_again)
{
	__u32 child, grandchild;

	ASSERT_EQ(0,
		  derive(self->t.fd, self->frames, EXO_RIGHT_READ, EXO_SESSION_SELF, 0, 0, &child));
	EXPECT_REFUSED(EACCES, EXO_REASON_RIGHT, offsetof(struct exo_cap_derive, rights),
		       EXO_RIGHT_WRITE,
		       derive(self->t.fd, child, EXO_RIGHT_READ | EXO_RIGHT_WRITE, EXO_SESSION_SELF,
			      0, 0, &grandchild));
	EXPECT_EQ(EXO_RIGHT_READ, last.limit);
}

TEST_F(cap, a_range_must_lie_within_the_parents)
{
	static const struct {
		__u64 start, len;
		int err;
		__u32 reason;
	} cases[] = {
		{ 0, 16, 0, 0 },
		{ 15, 1, 0, 0 },
		{ 4, 8, 0, 0 },
		{ 0, 17, ERANGE, EXO_REASON_RANGE },
		{ 15, 2, ERANGE, EXO_REASON_RANGE },
		{ 16, 1, ERANGE, EXO_REASON_RANGE },
		{ 1ull << 32, 1, ERANGE, EXO_REASON_RANGE },
		{ 0, ~0ull, ERANGE, EXO_REASON_RANGE },
		{ ~0ull - 1, 1, ERANGE, EXO_REASON_RANGE },
		{ 1, ~0ull, EOVERFLOW, EXO_REASON_OVERFLOW },
		{ ~0ull, 1, EOVERFLOW, EXO_REASON_OVERFLOW },
		{ 1ull << 63, 1ull << 63, EOVERFLOW, EXO_REASON_OVERFLOW },
		{ ~0ull, ~0ull, EOVERFLOW, EXO_REASON_OVERFLOW },
		{ 3, 0, EINVAL, EXO_REASON_VALUE },
		{ ~0ull, 0, EINVAL, EXO_REASON_VALUE },
	};
	struct exo_cap_query q;
	unsigned int i;
	__u32 child;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		EXPECT_EQ(-cases[i].err,
			  derive(self->t.fd, self->frames, EXO_RIGHT_READ, EXO_SESSION_SELF,
				 cases[i].start, cases[i].len, &child))
		{
			TH_LOG("start %llx len %llx", cases[i].start, cases[i].len);
		}
		EXPECT_EQ(cases[i].reason, last.reason);
		if (cases[i].err)
			continue;
		ASSERT_EQ(0, query(self->t.fd, child, &q));
		EXPECT_EQ(cases[i].start, q.out_start);
		EXPECT_EQ(cases[i].len, q.out_len);
		EXPECT_EQ(0, drop(self->t.fd, child));
	}
}

TEST_F(cap, a_grandchilds_range_is_in_the_numbering_of_the_object)
{
	struct exo_cap_query q;
	__u32 child, grandchild;

	ASSERT_EQ(0,
		  derive(self->t.fd, self->frames, EXO_RIGHT_READ, EXO_SESSION_SELF, 4, 8, &child));
	EXPECT_REFUSED(
		ERANGE, EXO_REASON_RANGE, offsetof(struct exo_cap_derive, start), 3,
		derive(self->t.fd, child, EXO_RIGHT_READ, EXO_SESSION_SELF, 3, 1, &grandchild));
	EXPECT_EQ(12, last.limit);
	EXPECT_EQ(-ERANGE,
		  derive(self->t.fd, child, EXO_RIGHT_READ, EXO_SESSION_SELF, 0, 16, &grandchild));
	EXPECT_EQ(-ERANGE,
		  derive(self->t.fd, child, EXO_RIGHT_READ, EXO_SESSION_SELF, 11, 2, &grandchild));
	EXPECT_EQ(-ERANGE,
		  derive(self->t.fd, child, EXO_RIGHT_READ, EXO_SESSION_SELF, 12, 1, &grandchild));
	ASSERT_EQ(0,
		  derive(self->t.fd, child, EXO_RIGHT_READ, EXO_SESSION_SELF, 6, 2, &grandchild));
	ASSERT_EQ(0, query(self->t.fd, grandchild, &q));
	EXPECT_EQ(6, q.out_start);
	EXPECT_EQ(2, q.out_len);
}

TEST_F(cap, what_has_no_range_takes_none)
{
	__u32 child;

	EXPECT_REFUSED(
		EINVAL, EXO_REASON_VALUE, offsetof(struct exo_cap_derive, len), 1,
		derive(self->t.fd, self->t.pool, EXO_RIGHT_ALLOC, EXO_SESSION_SELF, 0, 1, &child));
	EXPECT_EQ(-EINVAL, derive(self->t.fd, self->t.pool, EXO_RIGHT_ALLOC, EXO_SESSION_SELF, 1, 0,
				  &child));
}

TEST_F(cap, a_receiver_that_is_no_session_is_refused)
{
	int null = open("/dev/null", O_RDWR), path = open(EXO_DEVICE, O_PATH), closed = dup(null);
	const int wrong[] = { null, path, closed, -2, 1 << 20, INT32_MIN, INT32_MAX };
	unsigned int i;
	__u32 child;

	close(closed);
	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		EXPECT_EQ(-EBADF,
			  derive(self->t.fd, self->frames, EXO_RIGHT_READ, wrong[i], 0, 0, &child))
		{
			TH_LOG("fd %d", wrong[i]);
		}
		EXPECT_EQ(EXO_REASON_SESSION, last.reason);
		EXPECT_EQ(offsetof(struct exo_cap_derive, session_fd), last.field);
		EXPECT_EQ((__u32)wrong[i], (__u32)last.value);
	}
}

TEST_F(cap, a_child_in_another_session_has_a_number_of_that_session)
{
	struct exo_cap_query q, p;
	int other = session_open();
	__u32 child, caps[4], n;

	ASSERT_LE(0, other);
	n = list(self->t.fd, caps, 4);
	ASSERT_EQ(0, derive(self->t.fd, self->frames, EXO_RIGHT_READ, other, 2, 3, &child));
	EXPECT_EQ(n, list(self->t.fd, caps, 4));
	ASSERT_EQ(1, list(other, caps, 4));
	EXPECT_EQ(child, caps[0]);
	ASSERT_EQ(0, query(other, child, &q));
	ASSERT_EQ(0, query(self->t.fd, self->frames, &p));
	EXPECT_EQ(p.out_object, q.out_object);
	EXPECT_EQ(p.out_depth + 1, q.out_depth);
	EXPECT_EQ(2, q.out_start);
	EXPECT_EQ(3, q.out_len);
	close(other);
}

TEST_F(cap, the_tree_is_at_most_so_deep)
{
	struct exo_cap_query q;
	__u32 cap = self->frames, child, i;

	ASSERT_EQ(0, query(self->t.fd, cap, &q));
	for (i = q.out_depth; i < EXO_DEPTH_MAX; i++) {
		ASSERT_EQ(0,
			  derive(self->t.fd, cap, EXO_RIGHT_READ, EXO_SESSION_SELF, 0, 0, &child));
		cap = child;
	}
	ASSERT_EQ(0, query(self->t.fd, cap, &q));
	EXPECT_EQ(EXO_DEPTH_MAX, q.out_depth);
	EXPECT_EQ(-ELOOP, derive(self->t.fd, cap, EXO_RIGHT_READ, EXO_SESSION_SELF, 0, 0, &child));
	EXPECT_EQ(EXO_REASON_DEPTH, last.reason);
	EXPECT_EQ(EXO_DEPTH_MAX, last.value);
	EXPECT_EQ(EXO_DEPTH_MAX, last.limit);
}

TEST_F(cap, giving_up_the_middle_does_not_make_the_tree_deeper_or_shallower)
{
	struct exo_cap_query q;
	__u32 chain[EXO_DEPTH_MAX + 1], n, i;

	ASSERT_EQ(0, query(self->t.fd, self->frames, &q));
	chain[q.out_depth] = self->frames;
	for (n = q.out_depth; n < EXO_DEPTH_MAX; n++) {
		ASSERT_EQ(0, derive(self->t.fd, chain[n], EXO_RIGHT_READ, EXO_SESSION_SELF, 0, 0,
				    &chain[n + 1]));
	}
	for (i = q.out_depth; i < EXO_DEPTH_MAX; i++) {
		ASSERT_EQ(0, drop(self->t.fd, chain[i]));
	}
	ASSERT_EQ(0, query(self->t.fd, chain[EXO_DEPTH_MAX], &q));
	EXPECT_EQ(EXO_DEPTH_MAX, q.out_depth);
	EXPECT_EQ(-ELOOP, derive(self->t.fd, chain[EXO_DEPTH_MAX], EXO_RIGHT_READ, EXO_SESSION_SELF,
				 0, 0, &chain[0]));
	EXPECT_EQ(self->used + 16, frames_used(self->t.fd));
	ASSERT_EQ(0, drop(self->t.fd, chain[EXO_DEPTH_MAX]));
	EXPECT_EQ(self->used, frames_used(self->t.fd));
}

TEST_F(cap, the_children_of_a_dropped_parent_survive)
{
	int other = session_open();
	struct exo_cap_query q;
	__u32 child, second;

	ASSERT_LE(0, other);
	ASSERT_EQ(0, derive(self->t.fd, self->frames, EXO_RIGHT_READ | EXO_RIGHT_WRITE, other, 0, 0,
			    &child));
	ASSERT_EQ(0, drop(self->t.fd, self->frames));
	EXPECT_EQ(-ENOENT, query(self->t.fd, self->frames, &q));
	EXPECT_EQ(0, query(other, child, &q));
	EXPECT_EQ(self->used + 16, frames_used(other));
	EXPECT_EQ(0, derive(other, child, EXO_RIGHT_READ, EXO_SESSION_SELF, 0, 0, &second));
	EXPECT_EQ(0, drop(other, child));
	EXPECT_EQ(self->used + 16, frames_used(other));
	EXPECT_EQ(0, drop(other, second));
	EXPECT_EQ(self->used, frames_used(other));
	close(other);
}

TEST_F(cap, a_tenant_runs_on_when_who_granted_it_is_gone)
{
	struct exo_frames_alloc arg;

	close(self->t.grantor);
	self->t.grantor = -1;
	EXPECT_EQ(0, frames_alloc(self->t.fd, self->t.pool, EXO_ORDER_4K, 4, ANY_NODE, &arg));
}

TEST_F(cap, list_pages_through_all_in_ascending_order)
{
	__u32 caps[64], again[64], child, n, i, got = 0, after = 0;

	for (i = 0; i < 40; i++) {
		ASSERT_EQ(0, derive(self->t.fd, self->frames, EXO_RIGHT_READ, EXO_SESSION_SELF, 0,
				    0, &child));
	}
	n = list(self->t.fd, caps, 64);
	ASSERT_EQ(42, n);
	for (i = 1; i < n; i++) {
		EXPECT_LT(caps[i - 1], caps[i]);
	}
	for (;;) {
		struct exo_cap_list arg = { .after = after,
					    .count = 7,
					    .caps = (uintptr_t)(again + got) };

		ASSERT_EQ(0, call(self->t.fd, EXO_CAP_LIST, &arg));
		got += arg.out_count;
		if (arg.out_count < 7)
			break;
		after = again[got - 1];
	}
	EXPECT_EQ(n, got);
	EXPECT_EQ(0, memcmp(caps, again, n * sizeof(*caps)));
}

/* The kernel looks the first numbers up in another way than the rest. */
TEST_F(cap, any_number_is_found_while_it_is_held_and_not_after)
{
	__u32 caps[200], i;
	struct exo_cap_query q;

	for (i = 0; i < ARRAY_SIZE(caps); i++)
		ASSERT_EQ(0, derive(self->t.fd, self->frames, EXO_RIGHT_READ, EXO_SESSION_SELF, 0,
				    0, &caps[i]));
	for (i = 0; i < ARRAY_SIZE(caps); i += 2)
		EXPECT_EQ(0, drop(self->t.fd, caps[i]));
	for (i = 0; i < ARRAY_SIZE(caps); i++) {
		EXPECT_EQ(i % 2 ? 0 : -ENOENT, query(self->t.fd, caps[i], &q));
		EXPECT_EQ(i % 2 ? 0 : -ENOENT, drop(self->t.fd, caps[i]));
		EXPECT_EQ(-ENOENT, query(self->t.fd, caps[i], &q));
	}
}

TEST_F(cap, list_refuses_a_count_that_cannot_be_right)
{
	static const __u32 counts[] = { 0, EXO_CAPS_MAX + 1, ~0u };
	struct exo_cap_list arg = { 0 };
	__u32 cap[4];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(counts); i++) {
		arg = (struct exo_cap_list){ .count = counts[i], .caps = (uintptr_t)cap };
		EXPECT_REFUSED(EINVAL, EXO_REASON_VALUE, offsetof(struct exo_cap_list, count),
			       counts[i], call(self->t.fd, EXO_CAP_LIST, &arg));
	}
	arg = (struct exo_cap_list){ .count = 4, .caps = 8 };
	EXPECT_EQ(-EFAULT, call(self->t.fd, EXO_CAP_LIST, &arg));
	arg = (struct exo_cap_list){ .count = 4, .caps = 0xffffffff81000000ull };
	EXPECT_EQ(-EFAULT, call(self->t.fd, EXO_CAP_LIST, &arg));
	arg = (struct exo_cap_list){ .count = EXO_CAPS_MAX, .after = ~0u, .caps = 8 };
	EXPECT_EQ(0, call(self->t.fd, EXO_CAP_LIST, &arg));
	EXPECT_EQ(0, arg.out_count);
	/* Never more than asked for. */
	cap[1] = 0xabcdef;
	EXPECT_EQ(1, list(self->t.fd, cap, 1));
	EXPECT_EQ(0xabcdef, cap[1]);
}

TEST_F(cap, a_number_is_free_for_reuse_and_names_only_the_new_object)
{
	struct exo_cap_query q;
	__u64 object, first;
	__u32 i, child;

	ASSERT_EQ(0, query(self->t.fd, self->frames, &q));
	first = object = q.out_object;
	ASSERT_EQ(0, drop(self->t.fd, self->frames));
	for (i = 0; i < 64; i++) {
		struct exo_frames_alloc arg;

		ASSERT_EQ(0,
			  frames_alloc(self->t.fd, self->t.pool, EXO_ORDER_4K, 1, ANY_NODE, &arg));
		ASSERT_EQ(0, query(self->t.fd, arg.out_cap, &q));
		EXPECT_NE(object, q.out_object);
		EXPECT_NE(first, q.out_object);
		object = q.out_object;
		ASSERT_EQ(0, drop(self->t.fd, arg.out_cap));
		EXPECT_EQ(-ENOENT, drop(self->t.fd, arg.out_cap));
		EXPECT_EQ(-ENOENT, derive(self->t.fd, arg.out_cap, EXO_RIGHT_READ, EXO_SESSION_SELF,
					  0, 0, &child));
	}
}

TEST_F(cap, a_capability_of_another_type_is_refused_by_every_command)
{
	const int fd = self->t.fd;
	const __u32 pool = self->t.pool, frames = self->frames;
	struct exo_frames_alloc alloc;
	struct exo_frame_name name;
	struct exo_controller_query cq;
	struct exo_namespace_query nq;
	struct exo_queue_create qc;
	struct exo_queue_query qq;
	__u32 cap, n;
	__u64 u;

#define WRONG(struct_, field, number, held, wanted, expr)                                      \
	do {                                                                                   \
		EXPECT_REFUSED(EINVAL, EXO_REASON_WRONG_TYPE, offsetof(struct struct_, field), \
			       held, expr);                                                    \
		EXPECT_EQ(wanted, last.limit);                                                 \
	} while (0)
	WRONG(exo_pool_create, pool, frames, EXO_TYPE_FRAMES, EXO_TYPE_POOL,
	      pool_create(fd, frames, EXO_RIGHT_ALLOC, 1, &cap));
	WRONG(exo_pool_query, pool, frames, EXO_TYPE_FRAMES, EXO_TYPE_POOL,
	      pool_query(fd, frames, &u, &u));
	WRONG(exo_frames_alloc, pool, frames, EXO_TYPE_FRAMES, EXO_TYPE_POOL,
	      frames_alloc(fd, frames, EXO_ORDER_4K, 1, ANY_NODE, &alloc));
	WRONG(exo_frames_names, frames, pool, EXO_TYPE_POOL, EXO_TYPE_FRAMES,
	      frames_names(fd, pool, 0, 1, &name));
	WRONG(exo_controller_create, controller, pool, EXO_TYPE_POOL, EXO_TYPE_CONTROLLER,
	      controller_create(fd, pool, EXO_RIGHT_QUEUE, 1, &cap));
	WRONG(exo_controller_query, controller, frames, EXO_TYPE_FRAMES, EXO_TYPE_CONTROLLER,
	      controller_query(fd, frames, &cq));
	WRONG(exo_namespace_query, controller, pool, EXO_TYPE_POOL, EXO_TYPE_CONTROLLER,
	      namespace_query(fd, pool, 0, 1, &nq));
	WRONG(exo_extent_create, controller, frames, EXO_TYPE_FRAMES, EXO_TYPE_CONTROLLER,
	      extent_create(fd, frames, 1, EXO_RIGHT_READ, 0, 1, &cap));
	WRONG(exo_dma_attach, controller, pool, EXO_TYPE_POOL, EXO_TYPE_CONTROLLER,
	      dma_attach(fd, pool, frames, &u));
	WRONG(exo_dma_detach, controller, frames, EXO_TYPE_FRAMES, EXO_TYPE_CONTROLLER,
	      dma_detach(fd, frames, pool));
	WRONG(exo_queue_create, controller, pool, EXO_TYPE_POOL, EXO_TYPE_CONTROLLER,
	      queue_create(fd, pool, 8, &qc));
	WRONG(exo_queue_query, queue, pool, EXO_TYPE_POOL, EXO_TYPE_QUEUE,
	      queue_query(fd, pool, &qq));
	WRONG(exo_queue_attach, queue, frames, EXO_TYPE_FRAMES, EXO_TYPE_QUEUE,
	      queue_attach(fd, frames, pool));
	WRONG(exo_queue_detach, queue, pool, EXO_TYPE_POOL, EXO_TYPE_QUEUE,
	      queue_detach(fd, pool, frames));
	WRONG(exo_queue_submit, queue, pool, EXO_TYPE_POOL, EXO_TYPE_QUEUE,
	      queue_submit(fd, pool, &n));
#undef WRONG
}

/* ---- stale parents: dropped while others derive from them ---- */

struct race {
	int fd;
	__u32 parent;
	__u32 pool;
	int results[134];
	int unexplained;
};

static void *race_derive(void *arg)
{
	struct race *race = arg;
	__u32 parent, child;
	int ret;

	while ((parent = __atomic_load_n(&race->parent, __ATOMIC_ACQUIRE))) {
		ret = derive(race->fd, parent, EXO_RIGHT_ALLOC, EXO_SESSION_SELF, 0, 0, &child);
		race->results[-ret]++;
		race->unexplained += ret && !last.reason;
		if (!ret)
			drop(race->fd, child);
	}
	return NULL;
}

TEST_F(cap, a_parent_dropped_during_a_derivation_yields_a_child_or_an_error)
{
	struct race race = { .fd = self->t.fd };
	__u64 end = now_ms() + 700;
	pthread_t thread;
	__u32 parent;
	int i;

	ASSERT_EQ(0, derive(self->t.fd, self->t.pool, EXO_RIGHT_ALLOC, EXO_SESSION_SELF, 0, 0,
			    &parent));
	race.parent = parent;
	ASSERT_EQ(0, pthread_create(&thread, NULL, race_derive, &race));
	while (now_ms() < end) {
		ASSERT_EQ(0, derive(self->t.fd, self->t.pool, EXO_RIGHT_ALLOC, EXO_SESSION_SELF, 0,
				    0, &parent));
		__atomic_store_n(&race.parent, parent, __ATOMIC_RELEASE);
		ASSERT_EQ(0, drop(self->t.fd, parent));
	}
	__atomic_store_n(&race.parent, 0, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	for (i = 0; i < 134; i++) {
		if (i != 0 && i != ENOENT && i != ESTALE && i != EACCES && i != EINVAL) {
			EXPECT_EQ(0, race.results[i])
			{
				TH_LOG("errno %d", i);
			}
		}
	}
	EXPECT_EQ(0, race.unexplained);
	TH_LOG("%d derived, %d ENOENT, %d ESTALE", race.results[0], race.results[ENOENT],
	       race.results[ESTALE]);
}

/* ---- a full table ---- */

static __u64 memory_available_kib(void)
{
	FILE *file = fopen("/proc/meminfo", "r");
	char line[128];
	unsigned long long kib = 0;

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "MemAvailable: %llu", &kib) == 1)
			break;
	if (file)
		fclose(file);
	return kib;
}

FIXTURE(table)
{
	struct tenant t;
};

FIXTURE_SETUP(table)
{
	TENANT_SETUP(&self->t, "exo0");
}

FIXTURE_TEARDOWN(table)
{
	tenant_destroy(&self->t);
}

TEST_F_TIMEOUT(table, a_full_table_refuses_every_new_capability, 240)
{
	struct tenant *t = &self->t;
	int fd = t->grantor, i, ret = 0;
	struct exo_frames_alloc frames;
	struct exo_queue_create queue;
	__u64 start = now_ms(), used = frames_used(fd), adopted = memory_adopted(fd);
	static _Alignas(PAGE) char own[PAGE];
	struct exo_info info_;
	__u8 token[16];
	__u32 cap, n;

	if (memory_available_kib() < 600 * 1024)
		SKIP(return, "a million capabilities need 600 MiB of free memory");
	for (n = 0; n < 5000; n++) {
		ASSERT_EQ(0,
			  derive(fd, t->root_pool, EXO_RIGHT_ALLOC, EXO_SESSION_SELF, 0, 0, &cap));
	}
	if ((now_ms() - start) * (EXO_CAPS_MAX / 5000) > 100000)
		SKIP(return, "a million derivations would take %llu s on this kernel",
			   (now_ms() - start) * (EXO_CAPS_MAX / 5000) / 1000);
	for (; !ret && n <= EXO_CAPS_MAX; n++)
		ret = derive(fd, t->root_pool, EXO_RIGHT_ALLOC, EXO_SESSION_SELF, 0, 0, &cap);
	if (ret == -ENOMEM)
		SKIP(return, "no memory for a million capabilities");
	ASSERT_EQ(-ENOSPC, ret);
	ASSERT_EQ(0, info(fd, &info_));
	EXPECT_EQ(EXO_CAPS_MAX, info_.out_caps);
	record("table filled\n");
#define FULL(expr)                                             \
	do {                                                   \
		EXPECT_EQ(-ENOSPC, expr);                      \
		EXPECT_EQ(EXO_REASON_TABLE_FULL, last.reason); \
		EXPECT_EQ(EXO_CAPS_MAX, last.limit);           \
	} while (0)
	FULL(derive(fd, t->root_pool, EXO_RIGHT_ALLOC, EXO_SESSION_SELF, 0, 0, &cap));
	FULL(derive(t->fd, t->pool, EXO_RIGHT_ALLOC, fd, 0, 0, &cap));
	FULL(claim_pool(fd, &cap));
	FULL(pool_create(fd, t->root_pool, EXO_RIGHT_ALLOC, 1, &cap));
	FULL(frames_alloc(fd, t->root_pool, EXO_ORDER_4K, 1, ANY_NODE, &frames));
	FULL(mem_adopt(fd, t->root_controller, EXO_RIGHT_READ, own, PAGE, &cap));
	FULL(controller_create(fd, t->root_controller, EXO_RIGHT_QUEUE, 1, &cap));
	FULL(extent_create(fd, t->root_controller, 1, EXO_RIGHT_READ, EXTENT_FIRST, 1, &cap));
	FULL(queue_create(fd, t->root_controller, 8, &queue));
	ASSERT_EQ(0, token_create(t->fd, t->pool, EXO_RIGHT_ALLOC, 1, token));
	FULL(token_redeem(fd, token, &cap));
#undef FULL
	EXPECT_EQ(used, frames_used(fd));
	EXPECT_EQ(adopted, memory_adopted(fd));
	/* One back: one more fits. */
	ASSERT_EQ(0, drop(fd, 777));
	EXPECT_EQ(0, derive(fd, t->root_pool, EXO_RIGHT_ALLOC, EXO_SESSION_SELF, 0, 0, &cap));
	EXPECT_EQ(777, cap);
	for (i = 0; i < 3; i++) {
		EXPECT_EQ(-ENOSPC,
			  derive(fd, t->root_pool, EXO_RIGHT_ALLOC, EXO_SESSION_SELF, 0, 0, &cap));
	}
}

TEST_F(table, everything_that_makes_a_capability_respects_the_depth)
{
	struct tenant *t = &self->t;
	const __u32 both = EXO_RIGHT_QUEUE | EXO_RIGHT_EXTENT;
	__u32 pool = t->root_pool, controller = t->root_controller, cap, i;
	struct exo_controller_query before, after;
	struct exo_frames_alloc frames;
	struct exo_queue_create queue;
	__u64 used = frames_used(t->fd), adopted = memory_adopted(t->fd);
	static _Alignas(PAGE) char own[PAGE];
	__u8 token[16];

	for (i = 1; i < EXO_DEPTH_MAX; i++) {
		ASSERT_EQ(0,
			  derive(t->grantor, pool, EXO_RIGHT_ALLOC, EXO_SESSION_SELF, 0, 0, &pool));
		ASSERT_EQ(0, derive(t->grantor, controller, both, EXO_SESSION_SELF, 0, 0,
				    &controller));
	}
	ASSERT_EQ(0, controller_query(t->grantor, controller, &before));
#define DEEP(expr)                                        \
	do {                                              \
		EXPECT_EQ(-ELOOP, expr);                  \
		EXPECT_EQ(EXO_REASON_DEPTH, last.reason); \
		EXPECT_EQ(EXO_DEPTH_MAX, last.limit);     \
	} while (0)
	DEEP(derive(t->grantor, pool, EXO_RIGHT_ALLOC, t->fd, 0, 0, &cap));
	DEEP(pool_create(t->grantor, pool, EXO_RIGHT_ALLOC, 1, &cap));
	DEEP(frames_alloc(t->grantor, pool, EXO_ORDER_4K, 1, ANY_NODE, &frames));
	DEEP(mem_adopt(t->grantor, controller, EXO_RIGHT_READ, own, PAGE, &cap));
	DEEP(controller_create(t->grantor, controller, EXO_RIGHT_QUEUE, 1, &cap));
	DEEP(extent_create(t->grantor, controller, 1, EXO_RIGHT_READ, EXTENT_FIRST, 1, &cap));
	DEEP(queue_create(t->grantor, controller, 8, &queue));
	ASSERT_EQ(0, token_create(t->grantor, pool, EXO_RIGHT_ALLOC, 1, token));
	DEEP(token_redeem(t->fd, token, &cap));
#undef DEEP
	EXPECT_EQ(used, frames_used(t->fd));
	EXPECT_EQ(adopted, memory_adopted(t->fd));
	ASSERT_EQ(0, controller_query(t->grantor, controller, &after));
	EXPECT_EQ(before.out_queues_used, after.out_queues_used);
}

TEST_HARNESS_MAIN
