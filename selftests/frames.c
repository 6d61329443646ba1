// SPDX-License-Identifier: MIT
/*
 * Frames: counted, zero, named, charged to the memory cgroup, and all returned.
 */
#include <pthread.h>
#include <kselftest_harness.h>

#include "cgroup.h"
#include "lib.h"

FIXTURE(frames)
{
	struct tenant t;
	__u64 used;
	__u32 per_unit; /* 4 KiB frames */
};

FIXTURE_VARIANT(frames)
{
	__u32 order;
	__u32 count;
};

FIXTURE_VARIANT_ADD(frames, of_4k){
	.order = EXO_ORDER_4K,
	.count = 64,
};

FIXTURE_VARIANT_ADD(frames, of_2m){
	.order = EXO_ORDER_2M,
	.count = 2,
};

FIXTURE_SETUP(frames)
{
	POOL_SETUP(&self->t);
	self->used = frames_used(self->t.grantor);
	self->per_unit = 1u << variant->order;
	ASSERT_EQ(0, become_nobody());
}

FIXTURE_TEARDOWN(frames)
{
	tenant_destroy(&self->t);
}

static bool all_are(const unsigned char *at, unsigned char value, size_t size)
{
	size_t i;

	for (i = 0; i < size; i++)
		if (at[i] != value)
			return false;
	return true;
}

TEST_F(frames, they_are_counted_and_come_back)
{
	struct exo_frames_alloc arg;
	struct exo_cap_query q;

	ASSERT_EQ(0, frames_alloc(self->t.fd, self->t.pool, variant->order, variant->count,
				  ANY_NODE, &arg));
	EXPECT_EQ(self->used + variant->count * self->per_unit, frames_used(self->t.fd));
	ASSERT_EQ(0, query(self->t.fd, arg.out_cap, &q));
	EXPECT_EQ(EXO_TYPE_FRAMES, q.out_type);
	EXPECT_EQ(variant->count, q.out_len);
	EXPECT_EQ(12 + variant->order, q.out_unit_shift);
	EXPECT_EQ(arg.out_mmap_offset, q.out_mmap_offset);
	EXPECT_EQ(0, arg.out_mmap_offset % PAGE);
	ASSERT_EQ(0, drop(self->t.fd, arg.out_cap));
	EXPECT_EQ(self->used, frames_used(self->t.fd));
}

TEST_F(frames, they_are_zero_whoever_had_them_before)
{
	struct buffer buffer;
	int round;

	for (round = 0; round < 4; round++) {
		ASSERT_EQ(0, buffer_alloc(self->t.fd, self->t.pool, variant->order, variant->count,
					  &buffer));
		EXPECT_TRUE(all_are(buffer.at, 0, buffer.size));
		memset(buffer.at, 0xee, buffer.size);
		ASSERT_EQ(0, buffer_free(self->t.fd, &buffer));
	}
}

TEST_F(frames, each_unit_is_its_own_memory)
{
	struct buffer buffer;
	__u32 *word;
	__u64 i;

	ASSERT_EQ(0,
		  buffer_alloc(self->t.fd, self->t.pool, variant->order, variant->count, &buffer));
	word = buffer.at;
	for (i = 0; i < buffer.size / 4; i += 257)
		word[i] = (__u32)i;
	for (i = 0; i < buffer.size / 4; i += 257) {
		ASSERT_EQ((__u32)i, word[i]);
	}
	ASSERT_EQ(0, buffer_free(self->t.fd, &buffer));
}

TEST_F(frames, names_are_real_aligned_and_all_different)
{
	struct exo_frame_name names[64];
	struct exo_frames_alloc arg;
	__u32 i, j;

	ASSERT_EQ(0, frames_alloc(self->t.fd, self->t.pool, variant->order, variant->count,
				  ANY_NODE, &arg));
	ASSERT_EQ(0, frames_names(self->t.fd, arg.out_cap, 0, variant->count, names));
	for (i = 0; i < variant->count; i++) {
		EXPECT_NE(0, names[i].pfn);
		EXPECT_EQ(0, names[i].pfn % self->per_unit);
		EXPECT_EQ(variant->order, names[i].order);
		EXPECT_GT(1024, names[i].node);
		for (j = 0; j < i; j++) {
			EXPECT_NE(names[j].pfn, names[i].pfn);
		}
	}
	/* A part is the part. */
	{
		struct exo_frame_name one;

		ASSERT_EQ(0, frames_names(self->t.fd, arg.out_cap, variant->count - 1, 1, &one));
		EXPECT_EQ(0, memcmp(&one, &names[variant->count - 1], sizeof(one)));
	}
}

TEST_F(frames, more_than_the_budget_is_refused_and_changes_nothing)
{
	const __u32 most = TENANT_FRAMES / self->per_unit;
	struct exo_frames_alloc arg;
	__u64 used;

	EXPECT_EQ(-EDQUOT,
		  frames_alloc(self->t.fd, self->t.pool, variant->order, most + 1, ANY_NODE, &arg));
	EXPECT_EQ(EXO_REASON_BUDGET, last.reason);
	EXPECT_EQ((most + 1) * self->per_unit, last.value);
	EXPECT_EQ(TENANT_FRAMES, last.limit);
	EXPECT_EQ(-EDQUOT, frames_alloc(self->t.fd, self->t.pool, variant->order,
					EXO_FRAMES_UNITS_MAX, ANY_NODE, &arg));
	EXPECT_EQ((__u64)EXO_FRAMES_UNITS_MAX * self->per_unit, last.value);
	ASSERT_EQ(0, pool_query(self->t.fd, self->t.pool, NULL, &used));
	EXPECT_EQ(0, used);
	EXPECT_EQ(self->used, frames_used(self->t.fd));
}

TEST_F(frames, a_count_that_can_never_be_right_is_refused)
{
	static const __u32 wrong[] = { 0, EXO_FRAMES_UNITS_MAX + 1, 1u << 31, ~0u };
	struct exo_frames_alloc arg;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		EXPECT_REFUSED(EINVAL, EXO_REASON_VALUE, offsetof(struct exo_frames_alloc, count),
			       wrong[i],
			       frames_alloc(self->t.fd, self->t.pool, variant->order, wrong[i],
					    ANY_NODE, &arg));
	}
}

TEST_F(frames, a_node_that_does_not_exist_is_refused)
{
	static const __s32 wrong[] = { -2, 1000, 1 << 20, INT32_MAX, INT32_MIN };
	struct exo_frames_alloc arg;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		EXPECT_EQ(-EINVAL, frames_alloc(self->t.fd, self->t.pool, variant->order, 1,
						wrong[i], &arg));
		EXPECT_EQ(EXO_REASON_VALUE, last.reason);
		EXPECT_EQ(offsetof(struct exo_frames_alloc, node), last.field);
		EXPECT_EQ((__u32)wrong[i], (__u32)last.value);
	}
	EXPECT_EQ(0, frames_alloc(self->t.fd, self->t.pool, variant->order, 1, 0, &arg));
}

TEST_F(frames, a_derived_part_frees_nothing_until_the_last_part_is_dropped)
{
	struct exo_frames_alloc arg;
	__u32 part;

	ASSERT_EQ(0, frames_alloc(self->t.fd, self->t.pool, variant->order, variant->count,
				  ANY_NODE, &arg));
	ASSERT_EQ(0,
		  derive(self->t.fd, arg.out_cap, EXO_RIGHT_READ, EXO_SESSION_SELF, 1, 1, &part));
	ASSERT_EQ(0, drop(self->t.fd, arg.out_cap));
	EXPECT_EQ(self->used + variant->count * self->per_unit, frames_used(self->t.fd));
	ASSERT_EQ(0, drop(self->t.fd, part));
	EXPECT_EQ(self->used, frames_used(self->t.fd));
}

TEST_F(frames, names_beyond_the_range_are_refused)
{
	struct exo_frame_name names[4];
	struct exo_frames_alloc arg;
	__u32 n = variant->count, part;

	ASSERT_EQ(0, frames_alloc(self->t.fd, self->t.pool, variant->order, n, ANY_NODE, &arg));
	EXPECT_EQ(-ERANGE, frames_names(self->t.fd, arg.out_cap, n, 1, names));
	EXPECT_EQ(EXO_REASON_RANGE, last.reason);
	EXPECT_EQ(n, last.limit);
	EXPECT_EQ(-ERANGE, frames_names(self->t.fd, arg.out_cap, n - 1, 2, names));
	EXPECT_EQ(-ERANGE, frames_names(self->t.fd, arg.out_cap, ~0u, 1, names));
	EXPECT_EQ(-ERANGE, frames_names(self->t.fd, arg.out_cap, ~0u, ~0u, names));
	EXPECT_EQ(-ERANGE, frames_names(self->t.fd, arg.out_cap, 1, ~0u, names));
	EXPECT_REFUSED(EINVAL, EXO_REASON_VALUE, offsetof(struct exo_frames_names, count), 0,
		       frames_names(self->t.fd, arg.out_cap, 0, 0, names));
	EXPECT_EQ(-EFAULT, frames_names(self->t.fd, arg.out_cap, 0, 1, (void *)8));
	EXPECT_EQ(-EFAULT, frames_names(self->t.fd, arg.out_cap, 0, 1, NULL));
	EXPECT_EQ(-EFAULT, frames_names(self->t.fd, arg.out_cap, 0, 1, (void *)0xffffffff81000000));

	/* Of a part, only the names of the part. */
	ASSERT_EQ(0,
		  derive(self->t.fd, arg.out_cap, EXO_RIGHT_NAMES, EXO_SESSION_SELF, 1, 1, &part));
	EXPECT_EQ(0, frames_names(self->t.fd, part, 1, 1, names));
	EXPECT_EQ(-ERANGE, frames_names(self->t.fd, part, 0, 1, names));
	EXPECT_EQ(EXO_REASON_RANGE, last.reason);
	EXPECT_EQ(-ERANGE, frames_names(self->t.fd, part, 1, 2, names));
	EXPECT_EQ(-ERANGE, frames_names(self->t.fd, part, 2, 1, names));
}

TEST_F(frames, without_the_right_to_names_there_are_none)
{
	struct exo_frame_name name;
	struct exo_frames_alloc arg;
	__u32 plain, part;
	struct exo_cap_query q;

	/* From a pool without NAMES, frames come without NAMES. */
	ASSERT_EQ(0, derive(self->t.fd, self->t.pool, EXO_RIGHT_ALLOC, EXO_SESSION_SELF, 0, 0,
			    &plain));
	ASSERT_EQ(0, frames_alloc(self->t.fd, plain, variant->order, 1, ANY_NODE, &arg));
	ASSERT_EQ(0, query(self->t.fd, arg.out_cap, &q));
	EXPECT_EQ(EXO_RIGHT_READ | EXO_RIGHT_WRITE, q.out_rights);
	EXPECT_REFUSED(EACCES, EXO_REASON_RIGHT, offsetof(struct exo_frames_names, frames),
		       EXO_RIGHT_NAMES, frames_names(self->t.fd, arg.out_cap, 0, 1, &name));
	EXPECT_EQ(EXO_RIGHT_READ | EXO_RIGHT_WRITE, last.limit);
	/* And a right that was derived away is away. */
	ASSERT_EQ(0, frames_alloc(self->t.fd, self->t.pool, variant->order, 1, ANY_NODE, &arg));
	ASSERT_EQ(0,
		  derive(self->t.fd, arg.out_cap, EXO_RIGHT_READ, EXO_SESSION_SELF, 0, 0, &part));
	EXPECT_EQ(-EACCES, frames_names(self->t.fd, part, 0, 1, &name));
}

TEST_F(frames, they_are_shared_between_sessions_by_derived_capabilities)
{
	int other = session_open();
	struct exo_cap_query q;
	struct buffer buffer;
	char *at;
	__u32 cap;

	ASSERT_LE(0, other);
	ASSERT_EQ(0,
		  buffer_alloc(self->t.fd, self->t.pool, variant->order, variant->count, &buffer));
	ASSERT_EQ(0, derive(self->t.fd, buffer.cap, EXO_RIGHT_READ, other, 0, 0, &cap));
	ASSERT_EQ(0, query(other, cap, &q));
	at = mmap(NULL, buffer.size, PROT_READ, MAP_SHARED, other, (off_t)q.out_mmap_offset);
	ASSERT_NE(MAP_FAILED, at);
	strcpy(buffer.at, "seen by both");
	EXPECT_STREQ("seen by both", at);
	/* The giver goes; the frames stay for who still holds them. */
	munmap(buffer.at, buffer.size);
	close(self->t.fd);
	self->t.fd = -1;
	EXPECT_STREQ("seen by both", at);
	munmap(at, buffer.size);
	close(other);
	EXPECT_EQ(self->used, frames_used(self->t.grantor));
}

static void *allocate_and_drop(void *arg)
{
	struct tenant *t = arg;
	struct exo_frames_alloc frames;
	int i;

	for (i = 0; i < 300; i++) {
		__u32 order = i % 16 ? EXO_ORDER_4K : EXO_ORDER_2M;

		if (!frames_alloc(t->fd, t->pool, order, 1 + random_u32() % 3, ANY_NODE, &frames))
			drop(t->fd, frames.out_cap);
	}
	return NULL;
}

TEST_F(frames, threads_that_allocate_at_once_never_exceed_the_budget)
{
	struct exo_frames_alloc rest;
	pthread_t threads[4];
	__u64 used;
	unsigned int i;

	/* Leave 8 frames: somebody is always refused. */
	ASSERT_EQ(0, frames_alloc(self->t.fd, self->t.pool, EXO_ORDER_4K, TENANT_FRAMES - 8,
				  ANY_NODE, &rest));
	for (i = 0; i < ARRAY_SIZE(threads); i++) {
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, allocate_and_drop, &self->t));
	}
	for (i = 0; i < 100; i++) {
		ASSERT_EQ(0, pool_query(self->t.fd, self->t.pool, NULL, &used));
		EXPECT_GE(TENANT_FRAMES, used);
		EXPECT_LE(TENANT_FRAMES - 8, used);
	}
	for (i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	ASSERT_EQ(0, pool_query(self->t.fd, self->t.pool, NULL, &used));
	EXPECT_EQ(TENANT_FRAMES - 8, used);
}

/* ---- what has no variants ---- */

FIXTURE(order)
{
	struct tenant t;
};

FIXTURE_SETUP(order)
{
	POOL_SETUP(&self->t);
}

FIXTURE_TEARDOWN(order)
{
	tenant_destroy(&self->t);
}

TEST_F(order, only_4k_and_2m_exist)
{
	struct exo_frames_alloc arg;
	__u32 order;

	for (order = 0; order < 70; order++) {
		if (order == EXO_ORDER_4K || order == EXO_ORDER_2M)
			continue;
		EXPECT_REFUSED(EINVAL, EXO_REASON_VALUE, offsetof(struct exo_frames_alloc, order),
			       order,
			       frames_alloc(self->t.fd, self->t.pool, order, 1, ANY_NODE, &arg));
	}
	EXPECT_EQ(-EINVAL, frames_alloc(self->t.fd, self->t.pool, ~0u, 1, ANY_NODE, &arg));
}

TEST_F(order, frames_come_from_the_node_that_was_asked_for)
{
	struct exo_frames_alloc arg;
	struct exo_frame_name names[8];
	int node, found = 0;
	unsigned int i;

	for (node = 0; node < 8; node++) {
		int ret = frames_alloc(self->t.fd, self->t.pool, EXO_ORDER_4K, 8, node, &arg);

		if (ret == -EINVAL)
			continue;
		ASSERT_EQ(0, ret);
		ASSERT_EQ(0, frames_names(self->t.fd, arg.out_cap, 0, 8, names));
		for (i = 0; i < 8; i++) {
			EXPECT_EQ((__u32)node, names[i].node);
		}
		found++;
	}
	EXPECT_LT(0, found);
}

/* ---- the memory cgroup ---- */

FIXTURE(cgroup)
{
	struct tenant t;
	struct cgroup c;
};

static long long cgroup_event(FIXTURE_DATA(cgroup) * self, const char *event)
{
	char path[160], text[512], *at;

	snprintf(path, sizeof(path), "%s/memory.events", self->c.path);
	if (read_file(path, text, sizeof(text)))
		return -1;
	at = strstr(text, event);
	return at ? atoll(at + strlen(event)) : -1;
}

FIXTURE_SETUP(cgroup)
{
	POOL_SETUP(&self->t);
	CGROUP_SETUP(&self->c);
}

FIXTURE_TEARDOWN(cgroup)
{
	tenant_destroy(&self->t);
	cgroup_leave(&self->c);
}

TEST_F(cgroup, frames_are_charged_and_uncharged)
{
	struct exo_frames_alloc arg;
	long long before = cgroup_read(&self->c, "memory.current"), after;

	ASSERT_LE(0, before);
	ASSERT_EQ(0, frames_alloc(self->t.fd, self->t.pool, EXO_ORDER_2M, 4, ANY_NODE, &arg));
	after = cgroup_read(&self->c, "memory.current");
	EXPECT_LE(before + (long long)(4 * HUGE_PAGE) - (1 << 20), after);
	ASSERT_EQ(0, drop(self->t.fd, arg.out_cap));
	after = cgroup_read(&self->c, "memory.current");
	EXPECT_GE(before + (1 << 20), after);
}

TEST_F(cgroup, the_limit_refuses_frames_and_kills_nobody)
{
	struct exo_frames_alloc arg;
	__u64 used = frames_used(self->t.fd), pool_used;
	__u32 order;

	ASSERT_EQ(0, cgroup_write(&self->c, "memory.max", "6291456"));
	for (order = 0; order <= EXO_ORDER_2M; order += EXO_ORDER_2M) {
		__u32 count = TENANT_FRAMES >> order;

		EXPECT_EQ(-ENOMEM,
			  frames_alloc(self->t.fd, self->t.pool, order, count, ANY_NODE, &arg));
		EXPECT_EQ(EXO_REASON_MEMORY, last.reason);
		EXPECT_GT(count, last.value);
		EXPECT_EQ(used, frames_used(self->t.fd));
		ASSERT_EQ(0, pool_query(self->t.fd, self->t.pool, NULL, &pool_used));
		EXPECT_EQ(0, pool_used);
	}
	EXPECT_LE(0, cgroup_event(self, "oom_kill "));
	EXPECT_EQ(0, cgroup_event(self, "oom_kill "));
	/* What fits is given. */
	EXPECT_EQ(0, frames_alloc(self->t.fd, self->t.pool, EXO_ORDER_4K, 128, ANY_NODE, &arg));
}

TEST_F(cgroup, a_killed_process_uncharges_its_frames)
{
	long long before = cgroup_read(&self->c, "memory.current");
	int status;
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid) {
		int fd = session_open();
		struct exo_frames_alloc arg;
		__u32 pool;

		if (derive(self->t.fd, self->t.pool, EXO_RIGHT_ALLOC, fd, 0, 0, &pool) ||
		    frames_alloc(fd, pool, EXO_ORDER_2M, 4, ANY_NODE, &arg))
			_exit(1);
		kill(getpid(), SIGKILL);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFSIGNALED(status));
	EXPECT_GE(before + (2 << 20), cgroup_read(&self->c, "memory.current"));
}

TEST_F(cgroup, a_fatal_signal_ends_a_long_allocation)
{
	__u32 big;
	__u64 start, used = frames_used(self->t.fd), budget, left;
	int status;
	pid_t pid;

	ASSERT_EQ(0, pool_query(self->t.grantor, self->t.root_pool, &budget, &left));
	left = budget - left;
	if (left < 32768)
		SKIP(return, "the machine's pool has no 128 MiB left");
	ASSERT_EQ(0, pool_create(self->t.grantor, self->t.root_pool, EXO_RIGHT_ALLOC, 32768, &big));
	used = frames_used(self->t.fd);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		struct exo_frames_alloc arg;

		for (;;)
			if (!frames_alloc(self->t.grantor, big, EXO_ORDER_4K, 32768, ANY_NODE,
					  &arg))
				drop(self->t.grantor, arg.out_cap);
	}
	usleep(100000);
	start = now_ms();
	kill(pid, SIGKILL);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_GT(3000, now_ms() - start);
	/* At most one whole allocation was complete and belongs to the shared session. */
	EXPECT_TRUE(frames_used(self->t.fd) == used || frames_used(self->t.fd) == used + 32768);
}

TEST_HARNESS_MAIN
