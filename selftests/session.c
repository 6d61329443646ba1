// SPDX-License-Identifier: MIT
/*
 * Sessions: an open of /dev/exo is empty and powerless, is a space of numbers
 * of its own, travels with its file descriptor and takes everything with it.
 */
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <poll.h>
#include <kselftest_harness.h>

#include "lib.h"

TEST(everybody_may_open_the_device)
{
	struct stat st;
	int fd;

	ASSERT_EQ(0, stat(EXO_DEVICE, &st));
	EXPECT_TRUE(S_ISCHR(st.st_mode));
	EXPECT_EQ(0666, st.st_mode & 0777);
	ASSERT_EQ(0, become_nobody());
	fd = session_open();
	EXPECT_LE(0, fd);
	close(fd);
}

TEST(a_new_session_is_empty_and_powerless)
{
	int fd = session_open();
	struct exo_info i;
	__u32 caps[4], cap;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, become_nobody());
	EXPECT_EQ(0, list(fd, caps, 4));
	EXPECT_EQ(0, info(fd, &i));
	EXPECT_EQ(0, i.out_caps);
	EXPECT_EQ(-EPERM, claim_pool(fd, &cap));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, PAGE));
	close(fd);
}

TEST(read_write_and_seek_of_a_session_do_nothing)
{
	int fd = session_open();
	char byte = 0;

	ASSERT_LE(0, fd);
	EXPECT_EQ(-1, read(fd, &byte, 1));
	EXPECT_EQ(-1, write(fd, &byte, 1));
	EXPECT_EQ(-1, pread(fd, &byte, 1, 1ll << 40));
	lseek(fd, 1ll << 40, SEEK_SET);
	EXPECT_EQ(-1, ftruncate(fd, 0));
	EXPECT_EQ(-1, fallocate(fd, 0, 0, 4096));
	close(fd);
}

TEST(a_session_opened_for_reading_is_no_more_powerful)
{
	int fd = open(EXO_DEVICE, O_RDONLY | O_CLOEXEC);
	struct tenant t;
	const char *why;
	struct buffer buffer;
	struct exo_frames_alloc arg;
	__u32 pool;
	void *at;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, tenant_create_pool(&t, &why));
	ASSERT_EQ(0, derive(t.grantor, t.root_pool, EXO_RIGHT_ALLOC, fd, 0, 0, &pool));
	if (frames_alloc(fd, pool, EXO_ORDER_4K, 1, ANY_NODE, &arg)) {
		close(fd);
		return;
	}
	/* mmap() itself refuses a shared writable mapping of a file not open for writing. */
	at = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)arg.out_mmap_offset);
	EXPECT_EQ(MAP_FAILED, at);
	at = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, (off_t)arg.out_mmap_offset);
	if (at != MAP_FAILED) {
		EXPECT_EQ(-1, mprotect(at, PAGE, PROT_READ | PROT_WRITE));
		EXPECT_EQ(0, touch_read(at));
	}
	(void)buffer;
	close(fd);
	tenant_destroy(&t);
}

FIXTURE(session)
{
	struct tenant t;
	__u64 used;
};

FIXTURE_SETUP(session)
{
	POOL_SETUP(&self->t);
	self->used = frames_used(self->t.grantor);
}

FIXTURE_TEARDOWN(session)
{
	tenant_destroy(&self->t);
}

TEST_F(session, a_number_means_nothing_in_another_session)
{
	int other = session_open();
	struct exo_cap_query q;
	__u32 child;
	__u32 cap;

	ASSERT_LE(0, other);
	for (cap = 0; cap < 64; cap++) {
		EXPECT_REFUSED(ENOENT, EXO_REASON_NO_CAP, offsetof(struct exo_cap_query, cap), cap,
			       query(other, cap, &q));
		EXPECT_EQ(-ENOENT, drop(other, cap));
		EXPECT_EQ(-ENOENT, derive(other, cap, 1, EXO_SESSION_SELF, 0, 0, &child));
	}
	/* A mapping offset is no name either. */
	{
		struct buffer buffer;

		ASSERT_EQ(0, buffer_alloc(self->t.fd, self->t.pool, EXO_ORDER_4K, 4, &buffer));
		EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, other,
					   (off_t)buffer.mmap_offset));
	}
	close(other);
}

TEST_F(session, a_duplicate_descriptor_is_the_same_session)
{
	int copy = dup(self->t.fd);
	struct exo_cap_query q;

	ASSERT_LE(0, copy);
	EXPECT_EQ(0, query(copy, self->t.pool, &q));
	close(copy);
	EXPECT_EQ(0, query(self->t.fd, self->t.pool, &q));
}

TEST_F(session, a_child_that_inherits_the_descriptor_shares_the_session)
{
	struct exo_frames_alloc arg;
	struct exo_cap_query q;
	__u32 caps[16];
	int status, n = list(self->t.fd, caps, 16);
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid)
		_exit(frames_alloc(self->t.fd, self->t.pool, EXO_ORDER_4K, 3, ANY_NODE, &arg) ? 1
											      : 0);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, status);
	/* What the child made lives on in the session. */
	ASSERT_EQ(n + 1, list(self->t.fd, caps, 16));
	ASSERT_EQ(0, query(self->t.fd, caps[n], &q));
	EXPECT_EQ(EXO_TYPE_FRAMES, q.out_type);
	EXPECT_EQ(self->used + 3, frames_used(self->t.fd));
}

TEST_F(session, a_session_travels_over_a_socket_with_all_it_holds)
{
	char room[CMSG_SPACE(sizeof(int))] = { 0 }, byte = 0;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = room,
			      .msg_controllen = sizeof(room) };
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
	struct exo_cap_query q;
	int pair[2], got;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &self->t.fd, sizeof(int));
	ASSERT_EQ(1, sendmsg(pair[0], &msg, 0));
	close(self->t.fd);
	self->t.fd = -1;
	ASSERT_EQ(1, recvmsg(pair[1], &msg, 0));
	memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(int));
	EXPECT_EQ(0, query(got, self->t.pool, &q));
	EXPECT_EQ(EXO_TYPE_POOL, q.out_type);
	close(got);
	close(pair[0]);
	close(pair[1]);
}

TEST_F(session, closing_returns_everything)
{
	struct buffer buffer;
	int fd = session_open(), i;
	__u32 pool;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, derive(self->t.fd, self->t.pool, EXO_RIGHT_ALLOC, fd, 0, 0, &pool));
	for (i = 0; i < 8; i++) {
		ASSERT_EQ(0, buffer_alloc(fd, pool, EXO_ORDER_4K, 16, &buffer));
		memset(buffer.at, 0xff, buffer.size);
		munmap(buffer.at, buffer.size);
	}
	EXPECT_EQ(self->used + 128, frames_used(self->t.fd));
	close(fd);
	EXPECT_EQ(self->used, frames_used(self->t.fd));
}

TEST_F(session, closing_withdraws_its_mappings)
{
	struct buffer buffer;
	int fd = session_open();
	__u32 pool;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, derive(self->t.fd, self->t.pool, EXO_RIGHT_ALLOC, fd, 0, 0, &pool));
	ASSERT_EQ(0, buffer_alloc(fd, pool, EXO_ORDER_4K, 16, &buffer));
	memset(buffer.at, 0x5a, buffer.size);
	close(fd);
	EXPECT_EQ(self->used, frames_used(self->t.fd));
	EXPECT_EQ(SIGBUS, touch_read(buffer.at));
	EXPECT_EQ(SIGBUS, touch_write((char *)buffer.at + buffer.size - 1));
	munmap(buffer.at, buffer.size);
}

TEST_F(session, a_killed_process_leaves_nothing_behind)
{
	int round, status;

	for (round = 0; round < 8; round++) {
		pid_t pid = fork();

		ASSERT_LE(0, pid);
		if (!pid) {
			int fd = session_open();
			struct exo_frames_alloc arg;
			struct buffer buffer;
			__u32 pool;

			if (derive(self->t.fd, self->t.pool, EXO_RIGHT_ALLOC, fd, 0, 0, &pool) ||
			    buffer_alloc(fd, pool, EXO_ORDER_4K, 64, &buffer))
				_exit(1);
			memset(buffer.at, 1, buffer.size);
			alarm(1); /* in case the parent's signal never comes */
			for (;;)
				if (!frames_alloc(fd, pool, EXO_ORDER_4K, 32, ANY_NODE, &arg))
					drop(fd, arg.out_cap);
		}
		usleep(3000 + random_u32() % 20000);
		kill(pid, SIGKILL);
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_TRUE(WIFSIGNALED(status));
		EXPECT_EQ(self->used, frames_used(self->t.fd));
	}
}

struct churn {
	int fd, other;
	__u32 pool;
	bool stop;
};

/* Guesses numbers, derives and drops what other threads may be using. */
static void *churn(void *arg)
{
	struct churn *c = arg;
	struct exo_frames_alloc frames;
	struct exo_cap_query q;
	__u32 child, caps[32];

	while (!__atomic_load_n(&c->stop, __ATOMIC_RELAXED)) {
		__u32 guess = 1 + random_u32() % 24;

		switch (random_u32() % 7) {
		case 0:
			derive(c->fd, guess, EXO_RIGHT_ALLOC, random_u32() % 2 ? c->fd : c->other,
			       0, 0, &child);
			break;
		case 1:
		case 2:
			if (guess != c->pool)
				drop(c->fd, guess);
			break;
		case 3:
			query(c->fd, guess, &q);
			break;
		case 4:
			list(c->fd, caps, 32);
			break;
		case 5:
			frames_alloc(c->fd, guess, EXO_ORDER_4K, 1 + random_u32() % 16, ANY_NODE,
				     &frames);
			break;
		case 6:
			drop(c->other, 1 + random_u32() % 24);
			break;
		}
	}
	return NULL;
}

TEST_F(session, threads_that_race_on_one_session_break_nothing)
{
	struct churn c = { .fd = self->t.fd, .pool = self->t.pool, .other = session_open() };
	pthread_t threads[4];
	unsigned int i;

	ASSERT_LE(0, c.other);
	for (i = 0; i < ARRAY_SIZE(threads); i++) {
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, churn, &c));
	}
	usleep(1500000);
	__atomic_store_n(&c.stop, true, __ATOMIC_RELAXED);
	for (i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	close(c.other);
	close(self->t.fd);
	self->t.fd = -1;
	EXPECT_EQ(self->used, frames_used(self->t.grantor));
}

static void *open_close(void *arg)
{
	struct churn *c = arg;
	__u32 pool;

	while (!__atomic_load_n(&c->stop, __ATOMIC_RELAXED)) {
		int fd = session_open();

		if (fd < 0)
			continue;
		/* Somebody else may derive into it just while it closes: numbers are guessable. */
		derive(c->fd, c->pool, EXO_RIGHT_ALLOC, fd, 0, 0, &pool);
		derive(c->fd, c->pool, EXO_RIGHT_ALLOC, fd + (int)(random_u32() % 3) - 1, 0, 0,
		       &pool);
		close(fd);
	}
	return NULL;
}

TEST_F(session, deriving_into_sessions_that_close_loses_nothing)
{
	struct churn c = { .fd = self->t.fd, .pool = self->t.pool };
	pthread_t threads[4];
	unsigned int i;
	__u32 caps[8];

	for (i = 0; i < ARRAY_SIZE(threads); i++) {
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, open_close, &c));
	}
	usleep(700000);
	__atomic_store_n(&c.stop, true, __ATOMIC_RELAXED);
	for (i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	EXPECT_LE(1, list(self->t.fd, caps, 8));
	EXPECT_EQ(self->used, frames_used(self->t.grantor));
}

TEST_F(session, it_may_hold_itself_in_a_socket_and_still_end)
{
	/* A session's descriptor in flight in a socket that nobody reads: the collector's business. */
	char room[CMSG_SPACE(2 * sizeof(int))] = { 0 }, byte = 0;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = room,
			      .msg_controllen = sizeof(room) };
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
	struct exo_frames_alloc arg;
	int pair[2], fds[2];
	__u32 pool;
	int fd = session_open(), i;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, derive(self->t.fd, self->t.pool, EXO_RIGHT_ALLOC, fd, 0, 0, &pool));
	ASSERT_EQ(0, frames_alloc(fd, pool, EXO_ORDER_4K, 32, ANY_NODE, &arg));
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
	fds[0] = fd;
	fds[1] = pair[1];
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(fds));
	memcpy(CMSG_DATA(cmsg), fds, sizeof(fds));
	ASSERT_EQ(1, sendmsg(pair[0], &msg, 0));
	close(pair[0]);
	close(pair[1]);
	close(fd);
	/* Any further use of such sockets runs the collector. */
	for (i = 0; i < 1000 && frames_used(self->t.grantor) != self->used; i++) {
		ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
		close(pair[0]);
		close(pair[1]);
		usleep(2000);
	}
	EXPECT_EQ(self->used, frames_used(self->t.grantor));
}

TEST_HARNESS_MAIN
