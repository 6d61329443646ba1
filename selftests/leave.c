// SPDX-License-Identifier: MIT
/*
 * Every way to end in every state: a process is brought to a state (frames shared, tokens
 * outstanding, queues busy, asleep in a wait, in the middle of revoking or of being revoked),
 * then it is killed, closes, executes, dies after a fork, or loses the function that it
 * uses. Whatever the two are, all comes back, and who shared with it goes on.
 */
#include <pthread.h>
#include <sys/eventfd.h>
#include <kselftest_harness.h>

#include "lib.h"

#define RW (EXO_RIGHT_READ | EXO_RIGHT_WRITE)
#define LONG_MS 60000u

/* ---- the process ---- */

enum way { KILLED, CLOSED, EXECUTED, ORPHANED, UNBOUND };

struct process {
	struct tenant *t;
	int fd, other;	/* its session, and one that shares with it and lives on */
	int tell, hear; /* pipes to and from the test */
	__u32 pool, controller, extent, shared;
	struct ring ring;
	struct buffer b;
	__u8 token[16];
};

FIXTURE(leaving)
{
	struct tenant t;
	int other;
	__u64 used;
	int caps;
	int tell[2], hear[2];
};

FIXTURE_VARIANT(leaving)
{
	enum way way;
};

FIXTURE_VARIANT_ADD(leaving, killed){ .way = KILLED };
FIXTURE_VARIANT_ADD(leaving, by_close){ .way = CLOSED };
FIXTURE_VARIANT_ADD(leaving, by_exec){ .way = EXECUTED };
FIXTURE_VARIANT_ADD(leaving, after_a_fork){ .way = ORPHANED };
FIXTURE_VARIANT_ADD(leaving, when_the_function_is_unbound){ .way = UNBOUND };

FIXTURE_SETUP(leaving)
{
	TENANT_SETUP(&self->t, "exo0");
	self->other = session_open();
	ASSERT_LE(0, self->other);
	self->used = frames_used(self->t.grantor);
	ASSERT_EQ(0, pipe2(self->tell, O_CLOEXEC));
	ASSERT_EQ(0, pipe2(self->hear, O_CLOEXEC));
}

FIXTURE_TEARDOWN(leaving)
{
	machine_bind(self->t.address, "exo");
	close(self->other);
	tenant_destroy(&self->t);
}

static int process_begin(struct process *p)
{
	struct tenant *t = p->t;
	int ret;

	p->fd = session_open();
	if (p->fd < 0)
		return p->fd;
	ret = derive(t->fd, t->pool, EXO_RIGHT_ALLOC, p->fd, 0, 0, &p->pool);
	if (!ret)
		ret = derive(t->fd, t->controller, EXO_RIGHT_QUEUE, p->fd, 0, 0, &p->controller);
	if (!ret)
		ret = derive(t->fd, t->extent, RW, p->fd, 0, 0, &p->extent);
	if (!ret)
		ret = ring_create(p->fd, p->controller, 32, &p->ring);
	if (!ret)
		ret = queue_attach(p->fd, p->ring.cap, p->extent);
	if (!ret)
		ret = buffer_alloc(p->fd, p->pool, EXO_ORDER_4K, 8, &p->b);
	return ret ? ret : buffer_attach(p->fd, p->controller, &p->b);
}

/* ---- states; each is reached when the process has said so ---- */

static void say_reached(struct process *p)
{
	if (write(p->tell, "", 1) != 1)
		_exit(9);
}

static int frames_shared(struct process *p)
{
	int ret = derive(p->fd, p->b.cap, EXO_RIGHT_READ, p->other, 0, 0, &p->shared);

	/* And in use there, by the device, too. */
	if (!ret && write(p->tell, &p->shared, sizeof(p->shared)) != sizeof(p->shared))
		ret = -EIO;
	return ret;
}

static int tokens_outstanding(struct process *p)
{
	int ret = token_create(p->fd, p->b.cap, EXO_RIGHT_READ, 0, p->token);

	if (!ret)
		ret = token_create(p->fd, p->ring.cap, EXO_RIGHT_READ, 3, p->token);
	if (!ret)
		ret = token_redeem(p->other, p->token, &p->shared);
	return ret ? ret : token_create(p->fd, p->extent, EXO_RIGHT_READ, 1, p->token);
}

static int queues_busy(struct process *p)
{
	__u32 i, accepted;

	for (i = 0; i < p->ring.depth; i++) {
		struct sqe sqe = sqe_io(i % 2 ? OP_READ : OP_WRITE, (__u16)i, 1, EXTENT_FIRST + i,
					63, p->b.offset);

		ring_push(&p->ring, &sqe);
	}
	return ring_submit(&p->ring, &accepted);
}

static void *sleep_in_a_wait(void *arg)
{
	struct process *p = arg;
	struct exo_wait wait = {
		.flags = EXO_WAIT_EVENTS,
		.queues = (uintptr_t)&p->ring.cap,
		.count = 1,
		.deadline = EXO_WAIT_FOREVER,
	};

	call(p->fd, EXO_WAIT, &wait);
	return NULL;
}

static int asleep(struct process *p)
{
	struct events events;
	pthread_t thread;
	int i, ret = events_create(p->fd, 16, &events);

	if (!ret)
		ret = queue_eventfd(p->fd, p->ring.cap, eventfd(0, EFD_CLOEXEC));
	for (i = 0; i < 3 && !ret; i++)
		ret = -pthread_create(&thread, NULL, sleep_in_a_wait, p);
	usleep(20000);
	return ret;
}

static void *revoke_for_long(void *arg)
{
	struct process *p = arg;

	cap_revoke(p->fd, p->b.cap, LONG_MS, 0, NULL);
	return NULL;
}

/* Asked for, and not given. */
static int revoking(struct process *p)
{
	__u32 asked = 0;
	pthread_t thread;
	int ret = derive(p->fd, p->b.cap, EXO_RIGHT_READ, p->other, 0, 0, &p->shared);

	if (!ret)
		ret = -pthread_create(&thread, NULL, revoke_for_long, p);
	while (!ret && list_marked(p->other, EXO_LIST_ASKED, &asked, 1) < 1)
		usleep(1000);
	return ret;
}

/* Somebody above asks it, and it does not give. */
static int being_revoked(struct process *p)
{
	struct exo_cap_query q = { 0 };

	if (write(p->tell, "", 1) != 1)
		return -EIO;
	while (!query(p->fd, p->pool, &q) && !q.out_deadline)
		usleep(1000);
	return 0;
}

/* ---- ways ---- */

/* What the process does when it is told to go. */
static void process_leave(struct process *p, enum way way)
{
	char byte;

	if (read(p->hear, &byte, 1) != 1)
		_exit(8);
	switch (way) {
	case CLOSED:
		close(p->fd);
		ring_unmap(&p->ring);
		munmap(p->b.at, p->b.size);
		_exit(0);
	case EXECUTED:
		execl("/bin/true", "true", NULL);
		_exit(7);
	case ORPHANED:
		/* The child has the session for a moment longer. */
		if (!fork())
			usleep(30000);
		_exit(0);
	default:
		for (;;)
			pause();
	}
}

static void process_run(struct process *p, int (*reach)(struct process *p), enum way way)
{
	int ret = process_begin(p);

	if (!ret)
		ret = reach(p);
	if (ret) {
		printf("# the process: %s (%d), reason %u\n", strerror(-ret), ret, last.reason);
		fflush(stdout);
		_exit(6);
	}
	say_reached(p);
	process_leave(p, way);
}

static pid_t process_start(FIXTURE_DATA(leaving) * self, int (*reach)(struct process *p),
			   enum way way)
{
	struct process p = {
		.t = &self->t,
		.other = self->other,
		.tell = self->tell[1],
		.hear = self->hear[0],
	};
	pid_t pid = fork();

	if (!pid)
		process_run(&p, reach, way);
	return pid;
}

static void process_end(struct __test_metadata *_metadata, FIXTURE_DATA(leaving) * self, pid_t pid,
			enum way way)
{
	int status;

	if (way == UNBOUND) {
		ASSERT_EQ(0, machine_unbind(self->t.address));
	}
	if (way == KILLED || way == UNBOUND)
		kill(pid, SIGKILL);
	else
		ASSERT_EQ(1, write(self->hear[1], "", 1));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	if (way == KILLED || way == UNBOUND) {
		EXPECT_TRUE(WIFSIGNALED(status));
	} else {
		EXPECT_EQ(0, status);
	}
}

static void wait_reached(struct __test_metadata *_metadata, FIXTURE_DATA(leaving) * self)
{
	char byte;

	ASSERT_EQ(1, read(self->tell[0], &byte, 1));
}

/* What the process left in the other's session is the other's, until it drops that. */
static void drop_the_others(FIXTURE_DATA(leaving) * self)
{
	__u32 caps[16];
	int i, n = list(self->other, caps, 16);

	for (i = 0; i < n; i++)
		drop(self->other, caps[i]);
}

static void nothing_is_left(struct __test_metadata *_metadata, FIXTURE_DATA(leaving) * self,
			    enum way way)
{
	struct exo_controller_query q;
	struct exo_tree_entry entries[16];
	struct exo_tree_list tree = {
		.cap = self->t.pool,
		.count = 16,
		.entries = (uintptr_t)entries,
	};
	__u64 end = now_ms() + 10000;

	drop_the_others(self);
	EXPECT_EQ(self->used, frames_used_soon(self->t.grantor, self->used));
	do {
		ASSERT_EQ(0, call(self->t.fd, EXO_TREE_LIST, &tree));
	} while (tree.out_count && now_ms() < end);
	EXPECT_EQ(0, tree.out_count);
	if (way == UNBOUND)
		return;
	do {
		ASSERT_EQ(0, controller_query(self->t.fd, self->t.controller, &q));
	} while (q.out_queues_used && now_ms() < end);
	EXPECT_EQ(EXO_CONTROLLER_LIVE, q.out_state);
	EXPECT_EQ(0, q.out_queues_used);
	EXPECT_EQ(0, q.out_vectors_used);
}

TEST_F(leaving, with_frames_shared_the_other_keeps_them)
{
	pid_t pid = process_start(self, frames_shared, variant->way);
	struct exo_cap_query q;
	__u32 shared;
	char *at;

	ASSERT_LE(0, pid);
	ASSERT_EQ((ssize_t)sizeof(shared), read(self->tell[0], &shared, sizeof(shared)));
	wait_reached(_metadata, self);
	ASSERT_EQ(0, query(self->other, shared, &q));
	at = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, self->other, (off_t)q.out_mmap_offset);
	ASSERT_NE(MAP_FAILED, at);
	EXPECT_EQ(0, touch_read(at));
	process_end(_metadata, self, pid, variant->way);
	EXPECT_EQ(0, query(self->other, shared, &q));
	EXPECT_EQ(0, touch_read(at));
	nothing_is_left(_metadata, self, variant->way);
	EXPECT_EQ(SIGBUS, touch_read(at));
	munmap(at, PAGE);
}

TEST_F(leaving, with_tokens_outstanding_they_end)
{
	pid_t pid = process_start(self, tokens_outstanding, variant->way);

	ASSERT_LE(0, pid);
	wait_reached(_metadata, self);
	process_end(_metadata, self, pid, variant->way);
	nothing_is_left(_metadata, self, variant->way);
}

TEST_F(leaving, with_busy_queues)
{
	pid_t pid = process_start(self, queues_busy, variant->way);

	ASSERT_LE(0, pid);
	wait_reached(_metadata, self);
	process_end(_metadata, self, pid, variant->way);
	nothing_is_left(_metadata, self, variant->way);
}

TEST_F(leaving, with_threads_asleep_in_a_wait)
{
	pid_t pid = process_start(self, asleep, variant->way);

	ASSERT_LE(0, pid);
	wait_reached(_metadata, self);
	process_end(_metadata, self, pid, variant->way);
	nothing_is_left(_metadata, self, variant->way);
}

/* Whoever was asked is told that it is over, and nothing stays closed to derivation. */
TEST_F(leaving, in_the_middle_of_revoking)
{
	pid_t pid = process_start(self, revoking, variant->way);
	__u64 end = now_ms() + 10000;
	__u32 cap, child;

	ASSERT_LE(0, pid);
	wait_reached(_metadata, self);
	ASSERT_EQ(1, list_marked(self->other, EXO_LIST_ASKED, &cap, 1));
	EXPECT_EQ(-EBUSY, derive(self->other, cap, EXO_RIGHT_READ, EXO_SESSION_SELF, 0, 0, &child));
	process_end(_metadata, self, pid, variant->way);
	while (list_marked(self->other, EXO_LIST_ASKED, &cap, 1) && now_ms() < end)
		usleep(1000);
	EXPECT_EQ(0, list_marked(self->other, EXO_LIST_ASKED, &cap, 1));
	EXPECT_EQ(0, list_marked(self->other, EXO_LIST_TAKEN, &cap, 1));
	ASSERT_EQ(1, list(self->other, &cap, 1));
	EXPECT_EQ(0, derive(self->other, cap, EXO_RIGHT_READ, EXO_SESSION_SELF, 0, 0, &child));
	nothing_is_left(_metadata, self, variant->way);
}

/* The revocation ends when the last holder is gone, long before its deadline. */
TEST_F(leaving, while_it_is_being_revoked)
{
	pid_t pid = process_start(self, being_revoked, variant->way), revoker;
	__u64 start = now_ms();
	int status;

	ASSERT_LE(0, pid);
	wait_reached(_metadata, self);
	revoker = fork();
	ASSERT_LE(0, revoker);
	if (!revoker) {
		struct exo_revoke r = { 0 };

		if (cap_revoke(self->t.fd, self->t.pool, LONG_MS, 0, &r))
			_exit(1);
		_exit(r.out_taken ? 2 : r.out_asked < 2);
	}
	wait_reached(_metadata, self);
	process_end(_metadata, self, pid, variant->way);
	ASSERT_EQ(revoker, waitpid(revoker, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_GT(LONG_MS / 2, now_ms() - start);
	nothing_is_left(_metadata, self, variant->way);
}

TEST_HARNESS_MAIN
