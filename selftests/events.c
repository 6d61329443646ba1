// SPDX-License-Identifier: MIT
/*
 * The event ring: made once, mapped as it should be, waited for with poll() or EXO_WAIT.
 */
#include <poll.h>
#include <kselftest_harness.h>

#include "lib.h"

FIXTURE(events)
{
	int fd, holder;
	__u32 claim, pool, granted;
};

FIXTURE_SETUP(events)
{
	self->fd = session_open();
	self->holder = session_open();
	ASSERT_LE(0, self->holder);
	ASSERT_EQ(0, claim_pool(self->fd, &self->claim));
	ASSERT_EQ(0, pool_create(self->fd, self->claim, EXO_RIGHT_ALLOC, 64, &self->pool));
	ASSERT_EQ(0, derive(self->fd, self->pool, EXO_RIGHT_ALLOC, self->holder, 0, 0,
			    &self->granted));
}

FIXTURE_TEARDOWN(events)
{
	close(self->fd);
	close(self->holder);
}

TEST_F(events, a_ring_is_made_once_and_its_size_is_a_power_of_two)
{
	const __u32 wrong[] = { 0, 1, 8, 15, 17, 48, 4097, 8192, 1u << 31, ~0u };
	struct exo_events_create arg = { .entries = 16 };
	struct events events;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		EXPECT_REFUSED(EINVAL, EXO_REASON_VALUE,
			       offsetof(struct exo_events_create, entries), wrong[i],
			       events_create(self->holder, wrong[i], &events));
		EXPECT_EQ(EXO_EVENTS_MAX, last.limit);
	}
	ASSERT_EQ(0, events_create(self->holder, EXO_EVENTS_MAX, &events));
	EXPECT_REFUSED(EEXIST, EXO_REASON_EVENTS, 0, 0,
		       call(self->holder, EXO_EVENTS_CREATE, &arg));
	ASSERT_EQ(0, call(self->fd, EXO_EVENTS_CREATE, &arg));
	EXPECT_EQ(PAGE, arg.out_rw_size);
	EXPECT_EQ(2 * PAGE, arg.out_ro_size);
}

static int map_errno(int fd, off_t offset, size_t size, int prot)
{
	void *at = mmap(NULL, size, prot, MAP_SHARED, fd, offset);

	if (at == MAP_FAILED)
		return errno;
	munmap(at, size);
	return 0;
}

TEST_F(events, the_pages_of_a_session_are_mapped_as_they_should_be)
{
	struct exo_events_create arg = { .entries = 16 };
	const int rw = PROT_READ | PROT_WRITE;
	off_t at;

	EXPECT_EQ(ERANGE, map_errno(self->holder, PAGE, PAGE, PROT_READ));
	ASSERT_EQ(0, call(self->holder, EXO_EVENTS_CREATE, &arg));
	at = (off_t)arg.out_mmap_offset;
	EXPECT_EQ(0, map_errno(self->holder, at, PAGE, rw));
	EXPECT_EQ(0, map_errno(self->holder, at + PAGE, 2 * PAGE, PROT_READ));
	EXPECT_EQ(EACCES, map_errno(self->holder, at + PAGE, PAGE, rw));
	EXPECT_EQ(EACCES, map_errno(self->holder, at, PAGE, PROT_READ | PROT_EXEC));
	EXPECT_EQ(ERANGE, map_errno(self->holder, at, 2 * PAGE, PROT_READ));
	EXPECT_EQ(ERANGE, map_errno(self->holder, at + PAGE, 3 * PAGE, PROT_READ));
	EXPECT_EQ(ERANGE, map_errno(self->holder, at + 3 * PAGE, PAGE, PROT_READ));
}

TEST_F(events, poll_is_readable_while_events_are_unread)
{
	struct pollfd p = { .fd = self->holder, .events = POLLIN };
	struct events events;
	struct exo_event e;

	EXPECT_EQ(0, poll(&p, 1, 0));
	ASSERT_EQ(0, events_create(self->holder, 16, &events));
	EXPECT_EQ(0, poll(&p, 1, 0));
	ASSERT_EQ(0, cap_revoke(self->fd, self->pool, 0, 0, NULL));
	EXPECT_EQ(1, poll(&p, 1, 0));
	ASSERT_EQ(0, events_next(&events, &e, 0));
	EXPECT_EQ(EXO_EVENT_REVOKE, e.type);
	EXPECT_EQ(self->granted, e.cap);
	EXPECT_GE(now_ns(), e.time);
	EXPECT_EQ(1, poll(&p, 1, 0));
	ASSERT_EQ(0, events_next(&events, &e, 0));
	EXPECT_EQ(EXO_EVENT_TAKEN, e.type);
	EXPECT_EQ(0, poll(&p, 1, 0));
}

TEST_F(events, a_sleeper_is_woken_by_an_event)
{
	struct events events;
	struct exo_event e;
	int status;
	pid_t pid;

	ASSERT_EQ(0, events_create(self->holder, 16, &events));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		usleep(30000);
		_exit(cap_revoke(self->fd, self->pool, 0, 0, NULL) ? 1 : 0);
	}
	ASSERT_EQ(0, events_next(&events, &e, 20000));
	EXPECT_EQ(EXO_EVENT_REVOKE, e.type);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

TEST_F(events, without_a_ring_nothing_is_kept_but_the_state)
{
	struct exo_wait arg = { .flags = EXO_WAIT_EVENTS };
	__u32 cap;

	ASSERT_EQ(0, cap_revoke(self->fd, self->pool, 0, 0, NULL));
	ASSERT_EQ(0, call(self->holder, EXO_WAIT, &arg));
	EXPECT_EQ(0, arg.out_events);
	EXPECT_EQ(1, list_marked(self->holder, EXO_LIST_TAKEN, &cap, 1));
	EXPECT_EQ(self->granted, cap);
}

TEST_F(events, the_ring_outlives_its_session)
{
	struct events events;

	ASSERT_EQ(0, events_create(self->holder, 16, &events));
	ASSERT_EQ(0, cap_revoke(self->fd, self->pool, 0, 0, NULL));
	ASSERT_EQ(2, events.status->tail);
	close(self->holder);
	EXPECT_EQ(2, events.status->tail);
	EXPECT_EQ(EXO_EVENT_TAKEN, events.ring[1].type);
	EXPECT_EQ(0, touch_write(events.control));
	self->holder = session_open();
}

TEST_HARNESS_MAIN
