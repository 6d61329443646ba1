// SPDX-License-Identifier: MIT
/*
 * The end of things with commands in flight: processes that are killed, close,
 * fork or exec; functions that are unbound; and the disk back in the hands of
 * its own driver, with the data that was written.
 */
#include <pthread.h>
#include <dirent.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <kselftest_harness.h>

#include "lib.h"

#define PARAMETERS "/sys/module/exo/parameters/"

static int set_timeout(const char *which, unsigned int ms)
{
	char path[96], text[16];

	snprintf(path, sizeof(path), PARAMETERS "%s_timeout_ms", which);
	snprintf(text, sizeof(text), "%u", ms);
	return write_file(path, text);
}

/* A session with a queue that is as busy as it can be. */
struct busy {
	int fd;
	__u32 controller;
	__u32 extent;
	struct ring ring;
	struct buffer b;
	__u32 nsid;
	__u32 blocks;
};

static int busy_start(struct busy *busy, struct tenant *t, __u32 depth, __u32 nsid)
{
	__u32 pool, extent;
	int ret;

	*busy = (struct busy){ .nsid = nsid, .blocks = t->transfer_max / t->block };
	busy->fd = session_open();
	if (busy->fd < 0)
		return busy->fd;
	ret = derive(t->fd, t->pool, EXO_RIGHT_ALLOC, busy->fd, 0, 0, &pool);
	if (!ret)
		ret = derive(t->fd, t->controller, EXO_RIGHT_QUEUE, busy->fd, 0, 0,
			     &busy->controller);
	if (!ret)
		ret = extent_create(t->grantor, t->root_controller, nsid,
				    EXO_RIGHT_READ | EXO_RIGHT_WRITE, EXTENT_FIRST, EXTENT_BLOCKS,
				    &extent);
	if (!ret)
		ret = derive(t->grantor, extent, EXO_RIGHT_READ | EXO_RIGHT_WRITE, busy->fd, 0, 0,
			     &busy->extent);
	if (!ret)
		ret = drop(t->grantor, extent);
	if (!ret)
		ret = ring_create(busy->fd, busy->controller, depth, &busy->ring);
	if (!ret)
		ret = queue_attach(busy->fd, busy->ring.cap, busy->extent);
	if (!ret)
		ret = buffer_alloc(busy->fd, pool, EXO_ORDER_4K, t->transfer_max / PAGE, &busy->b);
	if (!ret)
		ret = buffer_attach(busy->fd, busy->controller, &busy->b);
	return ret;
}

/* Fills every slot; 0 or what the submission said. */
static int busy_fill(struct busy *busy, __u8 opcode)
{
	__u32 i, accepted;

	for (i = 0; i < busy->ring.depth; i++) {
		struct sqe sqe = sqe_io(opcode, (__u16)i, busy->nsid, EXTENT_FIRST + i,
					busy->blocks - 1, busy->b.offset);

		ring_push(&busy->ring, &sqe);
	}
	return ring_submit(&busy->ring, &accepted);
}

/* For ever, until something says no. */
static int busy_loop(struct busy *busy)
{
	struct cqe cqe;
	__u32 i;
	int ret;

	for (;;) {
		ret = busy_fill(busy, OP_READ);
		if (ret)
			return ret;
		for (i = 0; i < busy->ring.depth; i++) {
			while (ring_reap(&busy->ring, &cqe, 20) == -ETIMEDOUT)
				if (__atomic_load_n(&busy->ring.status->state, __ATOMIC_ACQUIRE) ==
				    EXO_QUEUE_DEAD)
					return queue_submit(busy->fd, busy->ring.cap, NULL);
		}
	}
}

/* ---- processes that end ---- */

FIXTURE(process)
{
	struct tenant t;
	struct ring ring;
	struct buffer b;
	__u64 used;
};

FIXTURE_SETUP(process)
{
	TENANT_SETUP(&self->t, "exo0");
	ASSERT_EQ(0, ring_create(self->t.fd, self->t.controller, 4, &self->ring));
	ASSERT_EQ(0, queue_attach(self->t.fd, self->ring.cap, self->t.extent));
	ASSERT_EQ(0, buffer_alloc(self->t.fd, self->t.pool, EXO_ORDER_4K, 4, &self->b));
	ASSERT_EQ(0, buffer_attach(self->t.fd, self->t.controller, &self->b));
	self->used = frames_used(self->t.grantor);
}

FIXTURE_TEARDOWN(process)
{
	tenant_destroy(&self->t);
}

static void nothing_is_left(struct __test_metadata *_metadata, FIXTURE_DATA(process) * self)
{
	struct exo_controller_query q;

	EXPECT_EQ(self->used, frames_used(self->t.grantor));
	ASSERT_EQ(0, controller_query(self->t.fd, self->t.controller, &q));
	EXPECT_EQ(1, q.out_queues_used);
	EXPECT_EQ(EXO_CONTROLLER_LIVE, q.out_state);
	/* And the survivor works on. */
	EXPECT_EQ(0, ring_io(&self->ring, OP_READ, 1, EXTENT_FIRST, 8, self->b.offset));
}

TEST_F(process, killed_with_commands_in_flight_leaves_nothing_behind)
{
	int round, status;

	for (round = 0; round < 12; round++) {
		pid_t pid = fork();

		ASSERT_LE(0, pid);
		if (!pid) {
			struct busy busy;

			if (busy_start(&busy, &self->t, 64, 1))
				_exit(1);
			_exit(busy_loop(&busy) ? 2 : 3);
		}
		usleep(20000 + random_u32() % 60000);
		kill(pid, SIGKILL);
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_TRUE(WIFSIGNALED(status));
		nothing_is_left(_metadata, self);
	}
}

TEST_F(process, killed_by_itself_right_after_a_submission)
{
	int round, status;

	for (round = 0; round < 6; round++) {
		pid_t pid = fork();

		ASSERT_LE(0, pid);
		if (!pid) {
			struct busy busy;

			if (busy_start(&busy, &self->t, 128, 1) ||
			    busy_fill(&busy, round % 2 ? OP_WRITE : OP_READ))
				_exit(1);
			kill(getpid(), SIGKILL);
		}
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_TRUE(WIFSIGNALED(status));
		nothing_is_left(_metadata, self);
	}
}

TEST_F(process, closing_with_commands_in_flight_leaves_nothing_behind)
{
	struct busy busy;
	int round;

	for (round = 0; round < 6; round++) {
		ASSERT_EQ(0, busy_start(&busy, &self->t, 64, 1));
		ASSERT_EQ(0, busy_fill(&busy, OP_READ));
		close(busy.fd);
		nothing_is_left(_metadata, self);
		/* The rings outlive it, dead; the frames do not. */
		EXPECT_EQ(EXO_QUEUE_DEAD, busy.ring.status->state);
		EXPECT_EQ(SIGBUS, touch_read(busy.b.at));
		ring_unmap(&busy.ring);
		munmap(busy.b.at, busy.b.size);
	}
}

TEST_F(process, a_child_that_dies_does_not_take_the_session_along)
{
	struct busy busy;
	struct cqe cqe;
	int status;
	__u32 i;
	pid_t pid;

	ASSERT_EQ(0, busy_start(&busy, &self->t, 32, 1));
	ASSERT_EQ(0, busy_fill(&busy, OP_READ));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		kill(getpid(), SIGKILL);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	for (i = 0; i < busy.ring.depth; i++) {
		ASSERT_EQ(0, ring_reap(&busy.ring, &cqe, 5000));
		EXPECT_EQ(0, cqe.status >> 1);
	}
	ASSERT_EQ(0, busy_fill(&busy, OP_READ));
	close(busy.fd);
	ring_unmap(&busy.ring);
	munmap(busy.b.at, busy.b.size);
	nothing_is_left(_metadata, self);
}

TEST_F(process, the_parent_may_die_and_the_child_keep_the_session)
{
	int pipe_[2], status;
	char result = 'x';
	pid_t pid;

	ASSERT_EQ(0, pipe(pipe_));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		struct busy busy;
		pid_t child;

		if (busy_start(&busy, &self->t, 32, 1))
			_exit(1);
		child = fork();
		if (child)
			_exit(busy_fill(&busy, OP_READ) ? 2 : 0);
		/* Orphaned: its parent's mappings are gone, the session is not. */
		usleep(100000);
		struct exo_queue_query q;
		struct ring ring;
		struct exo_queue_create again = { .out_cap = busy.ring.cap,
						  .depth = busy.ring.depth,
						  .out_entries = busy.ring.entries,
						  .out_mmap_offset = busy.ring.mmap_offset,
						  .out_rw_size = busy.ring.rw_size,
						  .out_ro_size = busy.ring.ro_size };

		result = '0' + (queue_query(busy.fd, busy.ring.cap, &q) != 0 ||
				q.out_submitted != 32 || ring_map(busy.fd, &again, &ring) != 0);
		if (write(pipe_[1], &result, 1) != 1)
			_exit(3);
		_exit(0);
	}
	close(pipe_[1]);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	ASSERT_EQ(1, read(pipe_[0], &result, 1));
	EXPECT_EQ('0', result);
	/* The pipe closes when the orphan is gone. */
	EXPECT_EQ(0, read(pipe_[0], &result, 1));
	EXPECT_EQ(self->used, frames_used_soon(self->t.grantor, self->used));
}

TEST_F(process, exec_ends_a_session_that_is_closed_on_exec)
{
	int status;
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid) {
		struct busy busy;

		if (busy_start(&busy, &self->t, 64, 1) || busy_fill(&busy, OP_READ))
			_exit(1);
		/* Prints its usage and ends. */
		freopen("/dev/null", "w", stdout);
		freopen("/dev/null", "w", stderr);
		execl("/proc/self/exe", "death", "-h", NULL);
		_exit(2);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFEXITED(status));
	EXPECT_EQ(KSFT_SKIP, WEXITSTATUS(status));
	nothing_is_left(_metadata, self);
}

TEST_F(process, threads_that_die_in_every_call_leave_nothing_behind)
{
	int round, status;

	for (round = 0; round < 10; round++) {
		pid_t pid = fork();

		ASSERT_LE(0, pid);
		if (!pid) {
			int i;

			setpgid(0, 0);
			/* Four processes that share one session, at different calls when killed. */
			for (i = 0; i < 2; i++)
				if (!fork())
					break;
			for (;;) {
				struct busy busy;

				if (busy_start(&busy, &self->t, 8, 1) == 0)
					busy_fill(&busy, OP_READ);
				if (busy.fd >= 0)
					close(busy.fd);
				if (busy.ring.control)
					ring_unmap(&busy.ring);
				if (busy.b.at)
					munmap(busy.b.at, busy.b.size);
			}
		}
		setpgid(pid, pid);
		usleep(30000 + random_u32() % 50000);
		kill(-pid, SIGKILL);
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
	}
	EXPECT_EQ(self->used, frames_used_soon(self->t.grantor, self->used));
}

/* ---- slow commands: a namespace behind a throttle ---- */

#define SLOW_NSID 2

FIXTURE(slow)
{
	struct tenant t;
	struct busy busy;
	struct ring ring;
	struct buffer b;
	__u64 used;
	__u64 per_command_ms;
};

FIXTURE_SETUP(slow)
{
	struct exo_namespace_query ns;
	__u64 start;
	int i;

	TENANT_SETUP(&self->t, "exo1");
	if (namespace_query(self->t.grantor, self->t.root_controller, 0, SLOW_NSID, &ns))
		SKIP(return, "the second controller has no namespace 2");
	self->used = frames_used(self->t.grantor);
	ASSERT_EQ(0, busy_start(&self->busy, &self->t, 12, SLOW_NSID));
	self->busy.blocks = 1;
	start = now_ms();
	for (i = 0; i < 6; i++) {
		ASSERT_EQ(0, ring_io(&self->busy.ring, OP_READ, SLOW_NSID, EXTENT_FIRST, 1,
				     self->busy.b.offset));
	}
	self->per_command_ms = (now_ms() - start) / 6;
	if (self->per_command_ms < 10)
		SKIP(return, "namespace 2 of the second controller is not throttled");
	ASSERT_EQ(0, ring_create(self->t.fd, self->t.controller, 4, &self->ring));
	ASSERT_EQ(0, queue_attach(self->t.fd, self->ring.cap, self->t.extent));
	ASSERT_EQ(0, buffer_alloc(self->t.fd, self->t.pool, EXO_ORDER_4K, 4, &self->b));
	ASSERT_EQ(0, buffer_attach(self->t.fd, self->t.controller, &self->b));
}

FIXTURE_TEARDOWN(slow)
{
	set_timeout("io", 30000);
	set_timeout("admin", 60000);
	tenant_destroy(&self->t);
}

static __u32 posted(const struct ring *ring)
{
	__u32 i, n = 0;

	for (i = ring->head; i - ring->head < ring->depth; i++)
		n += (ring->cq[i & (ring->entries - 1)].status & 1) == !(i & ring->entries);
	return n;
}

TEST_F(slow, a_command_id_in_flight_is_refused)
{
	struct ring *r = &self->busy.ring;
	__u32 i, accepted;

	/* The last of so many is in flight for long. */
	for (i = 0; i < r->depth; i++) {
		struct sqe sqe = sqe_io(OP_READ, (__u16)(i < r->depth - 1 ? i : i - 1), SLOW_NSID,
					EXTENT_FIRST, 0, self->busy.b.offset);

		ring_push(r, &sqe);
	}
	ASSERT_EQ(0, ring_submit(r, &accepted));
	EXPECT_EQ(r->depth - 1, accepted);
	EXPECT_EQ(EXO_REASON_CID_IN_FLIGHT, last.reason);
	EXPECT_REFUSED(EEXIST, EXO_REASON_CID_IN_FLIGHT, 0, r->depth - 2,
		       ring_submit(r, &accepted));
}

TEST_F(slow, a_full_queue_says_so_before_anything_completed)
{
	struct sqe sqe = sqe_io(OP_READ, 0, SLOW_NSID, EXTENT_FIRST, 0, self->busy.b.offset);
	__u32 accepted;

	ASSERT_EQ(0, busy_fill(&self->busy, OP_READ));
	ring_push(&self->busy.ring, &sqe);
	EXPECT_EQ(-EAGAIN, ring_submit(&self->busy.ring, &accepted));
	EXPECT_EQ(EXO_REASON_QUEUE_FULL, last.reason);
	EXPECT_EQ(self->busy.ring.depth, last.limit);
}

TEST_F(slow, detaching_a_buffer_waits_for_the_commands_that_name_it)
{
	ASSERT_EQ(0, busy_fill(&self->busy, OP_READ));
	ASSERT_GT(self->busy.ring.depth, posted(&self->busy.ring));
	ASSERT_EQ(0, dma_detach(self->busy.fd, self->busy.controller, self->busy.b.cap));
	EXPECT_EQ(self->busy.ring.depth, posted(&self->busy.ring));
}

TEST_F(slow, detaching_an_extent_waits_for_the_commands_in_it)
{
	ASSERT_EQ(0, busy_fill(&self->busy, OP_READ));
	ASSERT_EQ(0, queue_detach(self->busy.fd, self->busy.ring.cap, self->busy.extent));
	EXPECT_EQ(self->busy.ring.depth, posted(&self->busy.ring));
}

TEST_F(slow, dropping_frames_waits_and_frees_them_afterwards)
{
	ASSERT_EQ(0, busy_fill(&self->busy, OP_READ));
	ASSERT_EQ(0, drop(self->busy.fd, self->busy.b.cap));
	EXPECT_EQ(self->busy.ring.depth, posted(&self->busy.ring));
	EXPECT_EQ(self->used + 4, frames_used(self->t.fd));
}

struct stubborn {
	struct busy *busy;
	bool stop;
	unsigned int accepted;
};

/* Keeps the queue full, with new commands for old ones. */
static void *submit_on_and_on(void *arg)
{
	struct stubborn *s = arg;
	struct ring *r = &s->busy->ring;
	struct cqe cqe;

	while (!__atomic_load_n(&s->stop, __ATOMIC_RELAXED)) {
		struct sqe sqe;
		__u32 n;

		if (ring_reap(r, &cqe, 100))
			continue;
		sqe = sqe_io(OP_READ, cqe.cid, SLOW_NSID, EXTENT_FIRST, 0, s->busy->b.offset);
		ring_push(r, &sqe);
		if (ring_submit(r, &n))
			ring_rewind(r);
		else
			s->accepted += n;
	}
	return NULL;
}

TEST_F(slow, a_program_that_keeps_submitting_does_not_hold_up_a_detach)
{
	struct stubborn s = { .busy = &self->busy };
	__u64 start, limit = self->per_command_ms * self->busy.ring.depth * 4 + 3000;
	pthread_t thread;
	__u32 same;

	/* The same blocks twice: when one goes, the commands go on under the other. */
	ASSERT_EQ(0, derive(self->busy.fd, self->busy.extent, EXO_RIGHT_READ, EXO_SESSION_SELF, 0,
			    0, &same));
	ASSERT_EQ(0, queue_attach(self->busy.fd, self->busy.ring.cap, same));
	ASSERT_EQ(0, busy_fill(&self->busy, OP_READ));
	ASSERT_EQ(0, pthread_create(&thread, NULL, submit_on_and_on, &s));
	usleep(100000);
	start = now_ms();
	EXPECT_EQ(0, queue_detach(self->busy.fd, self->busy.ring.cap, self->busy.extent));
	EXPECT_GT(limit, now_ms() - start);
	usleep((__u32)self->per_command_ms * 3000);
	__atomic_store_n(&s.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	EXPECT_LT(0, s.accepted);
	EXPECT_EQ(EXO_QUEUE_LIVE, self->busy.ring.status->state);
}

TEST_F(slow, of_two_that_detach_the_same_buffer_one_does)
{
	int status, mine;
	pid_t pid;

	ASSERT_EQ(0, busy_fill(&self->busy, OP_READ));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(-dma_detach(self->busy.fd, self->busy.controller, self->busy.b.cap));
	mine = -dma_detach(self->busy.fd, self->busy.controller, self->busy.b.cap);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFEXITED(status));
	EXPECT_TRUE(mine == 0 || mine == ENOENT);
	EXPECT_TRUE(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == ENOENT);
	EXPECT_NE(mine, WEXITSTATUS(status));
	/* Whoever was told "not attached" was told so when it was true. */
	EXPECT_EQ(self->busy.ring.depth, posted(&self->busy.ring));
}

/* A process that tells when its queue is full, then waits for it to end. */
static int fill_and_drop(struct tenant *t, int tell)
{
	struct busy busy;

	if (busy_start(&busy, t, 12, SLOW_NSID))
		return 1;
	busy.blocks = 1;
	if (busy_fill(&busy, OP_READ) || write(tell, "", 1) != 1)
		return 2;
	return drop(busy.fd, busy.ring.cap) ? 3 : 0;
}

TEST_F(slow, waiting_holds_up_no_other_queue)
{
	int attempt, pipe_[2], status, overlapped = 0;
	char byte;

	ASSERT_EQ(0, pipe(pipe_));
	/* On a busy machine our own command may take longer than the wait: try again. */
	for (attempt = 0; attempt < 10 && !overlapped; attempt++) {
		pid_t pid = fork();

		ASSERT_LE(0, pid);
		if (!pid)
			_exit(fill_and_drop(&self->t, pipe_[1]));
		ASSERT_EQ(1, read(pipe_[0], &byte, 1));
		EXPECT_EQ(0, ring_io(&self->ring, OP_READ, 1, EXTENT_FIRST, 8, self->b.offset));
		overlapped = waitpid(pid, &status, WNOHANG) == 0;
		if (overlapped) {
			ASSERT_EQ(pid, waitpid(pid, &status, 0));
		}
		EXPECT_EQ(0, status);
	}
	EXPECT_TRUE(overlapped);
}

TEST_F(slow, a_queue_whose_commands_do_not_end_in_time_dies_alone)
{
	struct exo_controller_query q;
	__u64 start;

	ASSERT_EQ(0, set_timeout("io", 200));
	ASSERT_EQ(0, busy_fill(&self->busy, OP_READ));
	start = now_ms();
	ASSERT_EQ(0, dma_detach(self->busy.fd, self->busy.controller, self->busy.b.cap));
	EXPECT_GT(200 + self->per_command_ms * 20 + 3000, now_ms() - start);
	EXPECT_EQ(EXO_QUEUE_DEAD, self->busy.ring.status->state);
	EXPECT_EQ(-ESTALE, queue_submit(self->busy.fd, self->busy.ring.cap, NULL));
	EXPECT_EQ(EXO_REASON_STALE, last.reason);
	ASSERT_EQ(0, controller_query(self->t.fd, self->t.controller, &q));
	EXPECT_EQ(EXO_CONTROLLER_LIVE, q.out_state);
	EXPECT_EQ(0, ring_io(&self->ring, OP_READ, 1, EXTENT_FIRST, 8, self->b.offset));
}

TEST_F(slow, a_killed_process_with_slow_commands_ends_within_the_limit)
{
	__u64 start;
	int status;
	pid_t pid;

	ASSERT_EQ(0, set_timeout("io", 200));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		struct busy busy;

		if (busy_start(&busy, &self->t, 16, SLOW_NSID))
			_exit(1);
		busy.blocks = 1;
		if (busy_fill(&busy, OP_READ))
			_exit(2);
		kill(getpid(), SIGKILL);
	}
	start = now_ms();
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status));
	EXPECT_GT(200 + self->per_command_ms * 30 + 5000, now_ms() - start);
	EXPECT_EQ(0, ring_io(&self->ring, OP_READ, 1, EXTENT_FIRST, 8, self->b.offset));
}

/* A queue of its own, filled with the largest Write Zeroes that the check lets pass. */
static int fill_with_zeroes(struct __test_metadata *_metadata, struct tenant *t, __u32 depth)
{
	struct exo_controller_query q;
	__u32 blocks = 65536, extent, i;
	struct ring ring;
	int fd;

	ASSERT_EQ(0, controller_query(t->fd, t->controller, &q));
	fd = session_open();
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, extent_create(t->grantor, t->root_controller, SLOW_NSID, EXO_RIGHT_WRITE,
				   EXTENT_FIRST, blocks, &extent));
	ASSERT_EQ(0, derive(t->grantor, extent, EXO_RIGHT_WRITE, fd, 0, 0, &extent));
	ASSERT_EQ(0, derive(t->fd, t->controller, EXO_RIGHT_QUEUE, fd, 0, 0, &i));
	ASSERT_EQ(0, ring_create(fd, i, depth, &ring));
	ASSERT_EQ(0, queue_attach(fd, ring.cap, extent));
	for (i = 0; i < depth; i++) {
		struct sqe sqe =
			sqe_io(OP_WRITE_ZEROES, (__u16)i, SLOW_NSID, EXTENT_FIRST, blocks - 1, 0);
		int ret;

		ring_push(&ring, &sqe);
		ret = ring_submit(&ring, NULL);
		if (ret) {
			ASSERT_EQ(-EMSGSIZE, ret);
			ASSERT_EQ(0, i);
			ring_rewind(&ring);
			blocks = (__u32)(last.limit / t->block);
			i--;
		}
	}
	TH_LOG("%u times %u blocks", depth, blocks);
	ring_unmap(&ring);
	return fd;
}

TEST_F(slow, a_heap_of_the_largest_write_zeroes_does_not_fail_the_controller)
{
	struct exo_controller_query q;
	struct ring ring;
	__u64 start;
	int fd;

	ASSERT_EQ(0, controller_query(self->t.fd, self->t.controller, &q));
	if (!(q.out_features & EXO_CONTROLLER_WRITE_ZEROES))
		SKIP(return, "this controller has no Write Zeroes");
	/* 3 s of work; without a limit to each it would be minutes. */
	fd = fill_with_zeroes(_metadata, &self->t, 60);
	ASSERT_EQ(0, set_timeout("io", 200));
	ASSERT_EQ(0, set_timeout("admin", 10000));
	start = now_ms();
	close(fd);
	EXPECT_GT(10000, now_ms() - start);
	ASSERT_EQ(0, controller_query(self->t.fd, self->t.controller, &q));
	EXPECT_EQ(EXO_CONTROLLER_LIVE, q.out_state);
	/* The others go on, and new ones can begin. */
	EXPECT_EQ(0, ring_io(&self->ring, OP_READ, 1, EXTENT_FIRST, 8, self->b.offset));
	ASSERT_EQ(0, ring_create(self->t.fd, self->t.controller, 4, &ring));
	ASSERT_EQ(0, queue_attach(self->t.fd, ring.cap, self->t.extent));
	EXPECT_EQ(0, ring_io(&ring, OP_READ, 1, EXTENT_FIRST, 8, self->b.offset));
	ring_unmap(&ring);
}

/* ---- the function goes away ---- */

FIXTURE(unbind)
{
	struct tenant t;
	struct busy busy;
	__u64 used;
};

FIXTURE_SETUP(unbind)
{
	TENANT_SETUP(&self->t, "exo0");
	self->used = frames_used(self->t.grantor);
	ASSERT_EQ(0, busy_start(&self->busy, &self->t, 64, 1));
}

FIXTURE_TEARDOWN(unbind)
{
	machine_bind(self->t.address, "exo");
	tenant_destroy(&self->t);
}

#define EXPECT_GONE(expr)                                       \
	do {                                                    \
		int ret_ = expr;                                \
                                                                \
		EXPECT_TRUE(ret_ == -ESTALE || ret_ == -ENODEV) \
		{                                               \
			TH_LOG("%s: %d", #expr, ret_);          \
		}                                               \
		EXPECT_EQ(EXO_REASON_STALE, last.reason);       \
	} while (0)

static void everything_is_gone(struct __test_metadata *_metadata, FIXTURE_DATA(unbind) * self)
{
	struct tenant *t = &self->t;
	struct busy *b = &self->busy;
	struct exo_controller_query cq;
	struct exo_namespace_query nq;
	struct exo_queue_create queue;
	struct exo_queue_query qq;
	struct exo_cap_query q;
	__u32 cap, accepted;
	__u64 offset;

	EXPECT_GONE(queue_submit(b->fd, b->ring.cap, &accepted));
	EXPECT_GONE(queue_attach(b->fd, b->ring.cap, b->extent));
	EXPECT_GONE(queue_detach(b->fd, b->ring.cap, b->extent));
	EXPECT_GONE(dma_attach(b->fd, b->controller, b->b.cap, &offset));
	EXPECT_GONE(dma_detach(b->fd, b->controller, b->b.cap));
	EXPECT_GONE(queue_create(b->fd, b->controller, 8, &queue));
	EXPECT_GONE(controller_create(b->fd, b->controller, EXO_RIGHT_QUEUE, 1, &cap));
	EXPECT_GONE(controller_query(b->fd, b->controller, &cq));
	EXPECT_GONE(namespace_query(t->grantor, t->root_controller, 0, 1, &nq));
	EXPECT_GONE(namespace_query(t->grantor, t->root_controller, EXO_NAMESPACE_NEXT, 0, &nq));
	EXPECT_GONE(extent_create(t->grantor, t->root_controller, 1, EXO_RIGHT_READ, EXTENT_FIRST,
				  1, &cap));
	EXPECT_GONE(query(b->fd, b->controller, &q));
	EXPECT_GONE(query(b->fd, b->extent, &q));
	EXPECT_GONE(derive(b->fd, b->controller, EXO_RIGHT_QUEUE, EXO_SESSION_SELF, 0, 0, &cap));
	EXPECT_GONE(derive(b->fd, b->extent, EXO_RIGHT_READ, EXO_SESSION_SELF, 0, 0, &cap));
	EXPECT_REFUSED(ENODEV, EXO_REASON_NO_DEVICE, offsetof(struct exo_claim, address),
		       t->address, claim_controller(t->grantor, t->address, &cap));
	/* The dead queue can still be asked, and read. */
	EXPECT_EQ(0, queue_query(b->fd, b->ring.cap, &qq));
	EXPECT_EQ(EXO_QUEUE_DEAD, qq.out_state);
	EXPECT_EQ(64, qq.out_depth);
	EXPECT_EQ(EXO_QUEUE_DEAD, b->ring.status->state);
	EXPECT_EQ(0, touch_read(b->ring.cq));
	/* Frames are the pool's business. */
	EXPECT_EQ(0, touch_write(b->b.at));
}

TEST_F(unbind, with_commands_in_flight_ends_every_use_of_the_function)
{
	__u64 start;

	ASSERT_EQ(0, busy_fill(&self->busy, OP_READ));
	start = now_ms();
	ASSERT_EQ(0, machine_unbind(self->t.address));
	EXPECT_GT(10000, now_ms() - start);
	everything_is_gone(_metadata, self);
	close(self->busy.fd);
	EXPECT_EQ(self->used, frames_used_soon(self->t.grantor, self->used));
}

TEST_F(unbind, under_a_process_that_never_stops_submitting)
{
	int status;
	pid_t pid = fork();
	__u64 start;

	ASSERT_LE(0, pid);
	if (!pid) {
		struct busy busy;

		if (busy_start(&busy, &self->t, 32, 1))
			_exit(1);
		_exit(-busy_loop(&busy));
	}
	usleep(150000);
	start = now_ms();
	ASSERT_EQ(0, machine_unbind(self->t.address));
	EXPECT_GT(10000, now_ms() - start);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFEXITED(status));
	EXPECT_TRUE(WEXITSTATUS(status) == ESTALE || WEXITSTATUS(status) == ENODEV)
	{
		TH_LOG("the submitter ended with %d", WEXITSTATUS(status));
	}
}

TEST_F(unbind, old_capabilities_stay_dead_when_the_function_comes_back)
{
	__u32 controller;

	ASSERT_EQ(0, machine_unbind(self->t.address));
	ASSERT_EQ(0, machine_bind(self->t.address, "exo"));
	ASSERT_EQ(0, claim_controller(self->t.grantor, self->t.address, &controller));
	{
		struct exo_controller_query cq;
		struct exo_cap_query q;
		__u64 offset;

		EXPECT_EQ(0, controller_query(self->t.grantor, controller, &cq));
		EXPECT_EQ(EXO_CONTROLLER_LIVE, cq.out_state);
		EXPECT_GONE(query(self->busy.fd, self->busy.controller, &q));
		EXPECT_GONE(dma_attach(self->busy.fd, self->busy.controller, self->busy.b.cap,
				       &offset));
		EXPECT_GONE(queue_submit(self->busy.fd, self->busy.ring.cap, NULL));
		/* An old extent does not fit a new queue. */
		struct exo_queue_create queue;

		ASSERT_EQ(0, queue_create(self->t.grantor, controller, 4, &queue));
		__u32 extent;
		int ret = derive(self->t.fd, self->t.extent, EXO_RIGHT_READ, self->t.grantor, 0, 0,
				 &extent);

		EXPECT_TRUE(ret == -ESTALE || ret == -ENODEV);
	}
	/* All of the dead can be dropped. */
	EXPECT_EQ(0, drop(self->busy.fd, self->busy.ring.cap));
	EXPECT_EQ(0, drop(self->busy.fd, self->busy.controller));
	EXPECT_EQ(0, drop(self->busy.fd, self->busy.extent));
	EXPECT_EQ(0, drop(self->busy.fd, self->busy.b.cap));
}

struct chaos {
	struct tenant *t;
	bool stop;
};

static void *make_and_break(void *arg)
{
	struct chaos *c = arg;

	while (!__atomic_load_n(&c->stop, __ATOMIC_RELAXED)) {
		struct busy busy;
		__u32 controller;

		/* A fresh claim each time: the function comes and goes. */
		if (!claim_controller(c->t->grantor, c->t->address, &controller)) {
			struct exo_namespace_query ns;
			struct exo_queue_create queue;
			__u32 extent;

			namespace_query(c->t->grantor, controller, 0, 1, &ns);
			extent_create(c->t->grantor, controller, 1, EXO_RIGHT_READ, EXTENT_FIRST, 8,
				      &extent);
			if (!queue_create(c->t->grantor, controller, 8, &queue)) {
				queue_attach(c->t->grantor, queue.out_cap, extent);
				drop(c->t->grantor, queue.out_cap);
			}
			drop(c->t->grantor, controller);
		}
		memset(&busy, 0, sizeof(busy));
		busy_start(&busy, c->t, 16, 1);
		if (busy.ring.control) {
			busy_fill(&busy, OP_READ);
			ring_unmap(&busy.ring);
		}
		if (busy.fd > 0)
			close(busy.fd);
		if (busy.b.at)
			munmap(busy.b.at, busy.b.size);
	}
	return NULL;
}

TEST_F_TIMEOUT(unbind, at_any_moment_of_other_calls_finishes, 120)
{
	struct chaos c = { .t = &self->t };
	pthread_t threads[3];
	unsigned int i;
	int round;

	for (i = 0; i < ARRAY_SIZE(threads); i++) {
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, make_and_break, &c));
	}
	for (round = 0; round < 8; round++) {
		__u64 start = now_ms();

		ASSERT_EQ(0, machine_unbind(self->t.address));
		EXPECT_GT(10000, now_ms() - start);
		usleep(random_u32() % 20000);
		ASSERT_EQ(0, machine_bind(self->t.address, "exo"));
		usleep(random_u32() % 100000);
	}
	__atomic_store_n(&c.stop, true, __ATOMIC_RELAXED);
	for (i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	close(self->busy.fd);
	EXPECT_EQ(self->used, frames_used_soon(self->t.grantor, self->used));
}

TEST_F_TIMEOUT(unbind, gives_the_disk_back_to_its_driver_with_the_data_intact, 120)
{
	const size_t size = 64 * 1024;
	const off_t at = (off_t)(EXTENT_FIRST + 256) * self->t.block;
	char *data = malloc(size), *back = malloc(size), name[40];
	struct exo_cap_query q;
	int fd;

	ASSERT_NE(NULL, data);
	ASSERT_NE(NULL, back);
	fill_random(self->busy.b.at, size);
	memcpy(data, self->busy.b.at, size);
	ASSERT_EQ(0, ring_io(&self->busy.ring, OP_WRITE, 1, EXTENT_FIRST + 256,
			     (__u32)(size / self->t.block), self->busy.b.offset));
	/* With reads in flight, and the session alive all the while. */
	ASSERT_EQ(0, busy_fill(&self->busy, OP_READ));
	ASSERT_EQ(0, machine_unbind(self->t.address));
	if (access("/sys/bus/pci/drivers/nvme", F_OK) &&
	    (system("modprobe nvme 2>/dev/null") || access("/sys/bus/pci/drivers/nvme", F_OK)))
		SKIP(return, "this kernel has no nvme driver");
	ASSERT_EQ(0, machine_bind(self->t.address, "nvme"));
	ASSERT_EQ(0, disk_find("exo0", name, sizeof(name)));
	fd = disk_open(name);
	ASSERT_LE(0, fd);
	ASSERT_EQ((ssize_t)size, pread(fd, back, size, at));
	EXPECT_EQ(0, memcmp(data, back, size));
	/* The other way round: what the block layer wrote, a queue reads. */
	fill_random(data, size);
	ASSERT_EQ((ssize_t)size, pwrite(fd, data, size, at));
	ASSERT_EQ(0, fsync(fd));
	close(fd);
	EXPECT_EQ(-ESTALE, query(self->busy.fd, self->busy.extent, &q));

	ASSERT_EQ(0, machine_bind(self->t.address, "exo"));
	{
		struct tenant t;
		struct busy busy;
		const char *why;

		ASSERT_EQ(0, tenant_create(&t, "exo0", &why));
		ASSERT_EQ(0, busy_start(&busy, &t, 4, 1));
		ASSERT_EQ(0, ring_io(&busy.ring, OP_READ, 1, EXTENT_FIRST + 256,
				     (__u32)(size / t.block), busy.b.offset));
		EXPECT_EQ(0, memcmp(data, busy.b.at, size));
		close(busy.fd);
		tenant_destroy(&t);
	}
	free(data);
	free(back);
}

/* ---- the module ---- */

TEST(the_module_cannot_be_removed_while_a_session_is_open)
{
	struct tenant t;
	struct buffer b;
	const char *why;

	ASSERT_EQ(0, tenant_create_pool(&t, &why));
	EXPECT_EQ(-1, syscall(SYS_delete_module, "exo", O_NONBLOCK));
	EXPECT_TRUE(errno == EWOULDBLOCK || errno == EBUSY);
	/* A mapping of frames or of a dead queue holds it as well. */
	ASSERT_EQ(0, buffer_alloc(t.fd, t.pool, EXO_ORDER_4K, 1, &b));
	tenant_destroy(&t);
	EXPECT_EQ(-1, syscall(SYS_delete_module, "exo", O_NONBLOCK));
	EXPECT_EQ(SIGBUS, touch_read(b.at));
	munmap(b.at, b.size);
}

TEST(the_module_comes_and_goes_with_controllers_bound)
{
	const char *path = getenv("EXO_MODULE");
	char text[PATH_MAX];
	__u32 address;
	int fd, round;

	/* selftests/vm/run says it in a file. */
	if (!path && !read_file("/work/module", text, sizeof(text)))
		path = text;
	if (!path)
		SKIP(return, "EXO_MODULE does not say where exo.ko is");
	if (machine_find("exo0", &address))
		SKIP(return, "no controller with serial number exo0");
	for (round = 0; round < 3; round++) {
		fd = open(path, O_RDONLY | O_CLOEXEC);
		ASSERT_LE(0, fd);
		ASSERT_EQ(0, syscall(SYS_delete_module, "exo", O_NONBLOCK));
		ASSERT_NE(0, access(EXO_DEVICE, F_OK));
		ASSERT_EQ(0, syscall(SYS_finit_module, fd, "", 0));
		close(fd);
		/* devtmpfs makes the node when the device is registered. */
		ASSERT_EQ(0, access(EXO_DEVICE, F_OK));
		ASSERT_EQ(0, machine_find("exo0", &address));
	}
}

TEST_HARNESS_MAIN
