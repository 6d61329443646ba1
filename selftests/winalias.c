// SPDX-License-Identifier: MIT
/*
 * Frames that several windows show: with accesses of their own, in several sessions and
 * processes; and how they go from all of them at once.
 */
#include <kselftest_harness.h>

#include "window.h"

#define FRAMES 32u
#define ENTRIES 1024u
#define WINDOWS 8u

FIXTURE(winalias)
{
	struct tenant t;
	struct exo_frames_alloc frames, kept, large;
	__u64 used;
	int fd;
};

FIXTURE_SETUP(winalias)
{
	touches_begin();
	POOL_SETUP(&self->t);
	ASSERT_EQ(0, become_nobody());
	self->fd = self->t.fd;
	ASSERT_EQ(0, frames_alloc(self->fd, self->t.pool, EXO_ORDER_4K, FRAMES, ANY_NODE,
				  &self->kept));
	ASSERT_EQ(0, frames_alloc(self->fd, self->t.pool, EXO_ORDER_2M, 1, ANY_NODE, &self->large));
	self->used = frames_used(self->fd);
	ASSERT_EQ(0, frames_alloc(self->fd, self->t.pool, EXO_ORDER_4K, FRAMES, ANY_NODE,
				  &self->frames));
}

FIXTURE_TEARDOWN(winalias)
{
	tenant_destroy(&self->t);
}

static char *window(int fd)
{
	return window_create(fd, ENTRIES * PAGE);
}

static volatile __u64 *entry(char *at, __u64 i)
{
	return (volatile __u64 *)(at + i * PAGE);
}

TEST_F(winalias, windows_on_the_same_frames_have_accesses_of_their_own)
{
	char *a = window(self->fd), *b = window(self->fd);
	__u64 bitmap, value, i;

	ASSERT_NE(MAP_FAILED, a);
	ASSERT_NE(MAP_FAILED, b);
	ASSERT_EQ(0, window_map(self->fd, a, 0, FRAMES, self->frames.out_cap, 0, RW));
	ASSERT_EQ(0, window_map(self->fd, b, 100, FRAMES, self->frames.out_cap, 0, R));
	for (i = 0; i < FRAMES; i++) {
		ASSERT_EQ(0, poke(entry(a, i), i + 7));
		ASSERT_EQ(0, peek(entry(b, 100 + i), &value));
		EXPECT_EQ(i + 7, value);
		EXPECT_EQ(SIGBUS, poke(entry(b, 100 + i), 0));
	}
	/* A write through one is no write through the other. */
	EXPECT_EQ(0, window_dirty(self->fd, b, 100, 64, &bitmap));
	EXPECT_EQ(FRAMES, window_dirty(self->fd, a, 0, 64, &bitmap));
	ASSERT_EQ(0, window_protect(self->fd, b, 100, FRAMES, RW));
	ASSERT_EQ(0, window_protect(self->fd, a, 0, FRAMES, NONE));
	EXPECT_EQ(SIGBUS, peek(entry(a, 3), &value));
	EXPECT_EQ(0, poke(entry(b, 103), 1));
	EXPECT_EQ(0, window_dirty(self->fd, a, 0, 64, &bitmap));
	EXPECT_EQ(1, window_dirty(self->fd, b, 100, 64, &bitmap));
	ASSERT_EQ(0, window_unmap(self->fd, b, 100, FRAMES));
	ASSERT_EQ(0, window_protect(self->fd, a, 0, FRAMES, R));
	ASSERT_EQ(0, peek(entry(a, 3), &value));
	EXPECT_EQ(1, value);
	munmap(a, ENTRIES * PAGE);
	munmap(b, ENTRIES * PAGE);
}

TEST_F(winalias, frames_of_another_session_are_shown_with_the_rights_that_were_given)
{
	int other = session_open();
	char *mine = window(self->fd), *theirs = window(other);
	__u64 value;
	__u32 cap;

	ASSERT_EQ(0, derive(self->fd, self->frames.out_cap, R, other, 4, 8, &cap));
	ASSERT_EQ(0, window_map(self->fd, mine, 0, FRAMES, self->frames.out_cap, 0, RW));
	ASSERT_EQ(0, window_map(other, theirs, 0, 8, cap, 4, R));
	EXPECT_EQ(-EACCES, window_protect(other, theirs, 0, 8, RW));
	EXPECT_EQ(-ERANGE, window_map(other, theirs, 0, 1, cap, 3, R));
	/* Neither session's calls reach the other's window. */
	EXPECT_EQ(-ENOENT, window_unmap(self->fd, theirs, 0, 8));
	EXPECT_EQ(-ENOENT, window_unmap(other, mine, 0, 8));
	ASSERT_EQ(0, poke(entry(mine, 6), 66));
	ASSERT_EQ(0, peek(entry(theirs, 2), &value));
	EXPECT_EQ(66, value);
	/* Dropped by its owner, the frames live on with whoever else has them. */
	ASSERT_EQ(0, drop(self->fd, self->frames.out_cap));
	EXPECT_EQ(SIGBUS, peek(entry(mine, 6), &value));
	ASSERT_EQ(0, peek(entry(theirs, 2), &value));
	EXPECT_EQ(66, value);
	EXPECT_EQ(self->used + FRAMES, frames_used(self->fd));
	close(other);
	EXPECT_EQ(SIGBUS, peek(entry(theirs, 2), &value));
	EXPECT_EQ(self->used, frames_used(self->fd));
}

/* ---- the end of a capability ---- */

TEST_F(winalias, revoked_frames_vanish_from_every_window_and_nothing_else_does)
{
	__u32 cap[WINDOWS], kept[WINDOWS], large[WINDOWS];
	char *at[WINDOWS];
	int fd[WINDOWS];
	__u64 bitmap, value;
	unsigned int i, k;

	for (i = 0; i < WINDOWS; i++) {
		fd[i] = i < 2 ? self->fd : session_open();
		at[i] = window(fd[i]);
		ASSERT_NE(MAP_FAILED, at[i]);
		ASSERT_EQ(0, derive(self->fd, self->frames.out_cap, RW, fd[i], 0, 0, &cap[i]));
		ASSERT_EQ(0, derive(self->fd, self->kept.out_cap, RW, fd[i], 0, 0, &kept[i]));
		ASSERT_EQ(0, derive(self->fd, self->large.out_cap, RW, fd[i], 0, 0, &large[i]));
		/* Every second entry, so that what stays lies in between. */
		for (k = 0; k < FRAMES; k++) {
			ASSERT_EQ(0, window_map(fd[i], at[i], 2 * k, 1, cap[i], k, RW));
			ASSERT_EQ(0, window_map(fd[i], at[i], 2 * k + 1, 1, kept[i], k, RW));
			ASSERT_EQ(0, poke(entry(at[i], 2 * k), k));
		}
		ASSERT_EQ(0, window_map_large(fd[i], at[i], LARGE, LARGE, large[i], 0, RW));
		ASSERT_EQ(0, poke(entry(at[i], LARGE + 9), 9));
		ASSERT_EQ(FRAMES, window_dirty(fd[i], at[i], 0, 64, &bitmap));
		for (k = 0; k < FRAMES; k += 2)
			ASSERT_EQ(0, poke(entry(at[i], 2 * k + 1), k + 100));
	}
	ASSERT_EQ(0, cap_revoke(self->fd, self->frames.out_cap, 0, 0, NULL));
	for (i = 0; i < WINDOWS; i++) {
		for (k = 0; k < FRAMES; k++) {
			EXPECT_EQ(SIGBUS, peek(entry(at[i], 2 * k), &value));
			EXPECT_EQ(SIGBUS, poke(entry(at[i], 2 * k), 1));
			ASSERT_EQ(0, peek(entry(at[i], 2 * k + 1), &value));
			if (k % 2 == 0) {
				EXPECT_EQ(k + 100, value);
			}
		}
		EXPECT_EQ(0, poke(entry(at[i], LARGE + 9), 9));
		/* Dirty bits of what stays are still there. */
		EXPECT_EQ(FRAMES / 2, window_dirty(fd[i], at[i], 0, 64, &bitmap));
		EXPECT_EQ(0x2222222222222222ull, bitmap);
		EXPECT_EQ(-ENOENT, window_protect(fd[i], at[i], 0, 1, R));
		EXPECT_EQ(EXO_REASON_EMPTY, last.reason);
		EXPECT_REFUSED(ESTALE, EXO_REASON_STALE, offsetof(struct exo_window_op, frames),
			       cap[i], window_map(fd[i], at[i], 0, 1, cap[i], 0, R));
	}
	/* The same with 2 MiB. */
	ASSERT_EQ(0, cap_revoke(self->fd, self->large.out_cap, 0, 0, NULL));
	for (i = 0; i < WINDOWS; i++) {
		EXPECT_EQ(SIGBUS, peek(entry(at[i], LARGE), &value));
		EXPECT_EQ(SIGBUS, poke(entry(at[i], LARGE + 9), 1));
		EXPECT_EQ(0, window_unmap(fd[i], at[i], LARGE + 9, 1));
		EXPECT_EQ(0, peek(entry(at[i], 1), &value));
	}
	/* Of the capability that was revoked from, nothing was taken. */
	EXPECT_EQ(0, window_map(self->fd, at[0], 0, 1, self->frames.out_cap, 0, RW));
	EXPECT_EQ(0, poke(entry(at[0], 0), 1));
	for (i = 0; i < WINDOWS; i++) {
		munmap(at[i], ENTRIES * PAGE);
		if (i >= 2)
			close(fd[i]);
	}
}

TEST_F(winalias, they_vanish_from_windows_of_other_processes)
{
	int begun[2], go[2], status;
	char byte = 0;
	pid_t pid;

	ASSERT_EQ(0, pipe(begun));
	ASSERT_EQ(0, pipe(go));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		/* The session is shared, windows are each process's own. */
		char *at = window(self->fd);
		__u64 value = 0;
		__u32 cap;

		if (at == MAP_FAILED ||
		    derive(self->fd, self->frames.out_cap, RW, EXO_SESSION_SELF, 0, 0, &cap) ||
		    window_map(self->fd, at, 0, FRAMES, cap, 0, RW) || poke(entry(at, 5), 55) ||
		    peek(entry(at, 5), &value) || value != 55)
			_exit(1);
		if (write(begun[1], &byte, 1) != 1 || read(go[0], &byte, 1) != 1)
			_exit(2);
		_exit(peek(entry(at, 5), &value) == SIGBUS && poke(entry(at, 6), 1) == SIGBUS ? 0
											      : 3);
	}
	ASSERT_EQ(1, read(begun[0], &byte, 1));
	ASSERT_EQ(0, cap_revoke(self->fd, self->frames.out_cap, 0, 0, NULL));
	ASSERT_EQ(0, drop(self->fd, self->frames.out_cap));
	EXPECT_EQ(self->used, frames_used(self->fd));
	ASSERT_EQ(1, write(go[1], &byte, 1));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

TEST_F(winalias, a_mapping_and_windows_of_one_capability_end_together)
{
	char *at = window(self->fd), *view;
	__u64 value;

	view = mmap(NULL, FRAMES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, self->fd,
		    (off_t)self->frames.out_mmap_offset);
	ASSERT_NE(MAP_FAILED, view);
	ASSERT_EQ(0, window_map(self->fd, at, 0, FRAMES, self->frames.out_cap, 0, RW));
	ASSERT_EQ(0, poke(view, 5));
	ASSERT_EQ(0, peek(at, &value));
	EXPECT_EQ(5, value);
	ASSERT_EQ(0, drop(self->fd, self->frames.out_cap));
	EXPECT_EQ(SIGBUS, peek(at, &value));
	EXPECT_EQ(SIGBUS, peek(view, &value));
	EXPECT_EQ(self->used, frames_used(self->fd));
}

TEST_F(winalias, a_window_outlives_its_session_empty)
{
	int other = session_open();
	char *at = window(other);
	__u64 value;
	__u32 cap;

	ASSERT_EQ(0, derive(self->fd, self->frames.out_cap, RW, other, 0, 0, &cap));
	ASSERT_EQ(0, window_map(other, at, 0, FRAMES, cap, 0, RW));
	ASSERT_EQ(0, poke(at, 1));
	close(other);
	EXPECT_EQ(SIGBUS, peek(at, &value));
	/* Nor is it the next session's. */
	other = session_open();
	EXPECT_EQ(-ENOENT, window_unmap(other, at, 0, 1));
	ASSERT_EQ(0, munmap(at, ENTRIES * PAGE));
	close(other);
}

TEST_F(winalias, a_killed_process_leaves_nothing)
{
	int begun[2], status, round;
	char byte = 0;
	pid_t pid;

	ASSERT_EQ(0, pipe(begun));
	for (round = 0; round < 8; round++) {
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid) {
			int fd = session_open();
			struct exo_frames_alloc mine;
			char *at = window(fd);
			__u32 pool;

			if (derive(self->fd, self->t.pool, EXO_RIGHT_ALLOC, fd, 0, 0, &pool) ||
			    frames_alloc(fd, pool, EXO_ORDER_4K, FRAMES, ANY_NODE, &mine) ||
			    window_map(fd, at, 0, FRAMES, mine.out_cap, 0, RW) ||
			    write(begun[1], &byte, 1) != 1)
				_exit(1);
			for (;;) {
				window_unmap(fd, at, 0, FRAMES);
				window_map(fd, at, 0, FRAMES, mine.out_cap, 0, RW);
			}
		}
		ASSERT_EQ(1, read(begun[0], &byte, 1));
		usleep(random_u32() % 2000);
		ASSERT_EQ(0, kill(pid, SIGKILL));
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_TRUE(WIFSIGNALED(status));
		EXPECT_EQ(self->used + FRAMES, frames_used_soon(self->fd, self->used + FRAMES));
	}
}

TEST_F(winalias, exec_ends_a_window)
{
	int fd = session_open(), status;
	__u32 pool;
	pid_t pid;

	ASSERT_EQ(0, derive(self->fd, self->t.pool, EXO_RIGHT_ALLOC, fd, 0, 0, &pool));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		struct exo_frames_alloc mine;
		char *at = window(fd);

		if (frames_alloc(fd, pool, EXO_ORDER_4K, FRAMES, ANY_NODE, &mine) ||
		    window_map(fd, at, 0, FRAMES, mine.out_cap, 0, RW) || poke(at, 1))
			_exit(1);
		/* The session stays with us; the frames with their capability. */
		execl("/bin/true", "true", (char *)NULL);
		_exit(2);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(self->used + 2 * FRAMES, frames_used(self->fd));
	close(fd);
	EXPECT_EQ(self->used + FRAMES, frames_used(self->fd));
}

/* ---- many of everything ---- */

TEST_F(winalias, many_capabilities_in_one_window_and_many_windows_of_one)
{
	enum { MANY = 100 };
	char *at = window(self->fd), *windows[MANY];
	__u32 caps[MANY];
	__u64 value;
	int i;

	for (i = 0; i < MANY; i++) {
		ASSERT_EQ(0, derive(self->fd, self->frames.out_cap, RW, EXO_SESSION_SELF, 0, 0,
				    &caps[i]));
		ASSERT_EQ(0, window_map(self->fd, at, (__u64)i, 1, caps[i], (__u64)i % FRAMES, RW));
		windows[i] = window(self->fd);
		ASSERT_NE(MAP_FAILED, windows[i]);
		ASSERT_EQ(0, window_map(self->fd, windows[i], 0, 1, self->frames.out_cap, 0, RW));
	}
	for (i = 0; i < MANY; i += 2)
		ASSERT_EQ(0, drop(self->fd, caps[i]));
	for (i = 0; i < MANY; i++) {
		EXPECT_EQ(i & 1 ? 0 : SIGBUS, peek(entry(at, (__u64)i), &value));
	}
	ASSERT_EQ(0, drop(self->fd, self->frames.out_cap));
	for (i = 0; i < MANY; i++) {
		EXPECT_EQ(SIGBUS, peek(windows[i], &value));
		munmap(windows[i], ENTRIES * PAGE);
	}
	EXPECT_EQ(0, peek(entry(at, 1), &value));
	munmap(at, ENTRIES * PAGE);
	for (i = 1; i < MANY; i += 2)
		ASSERT_EQ(0, drop(self->fd, caps[i]));
	EXPECT_EQ(self->used, frames_used(self->fd));
}

TEST_HARNESS_MAIN
