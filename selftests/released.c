// SPDX-License-Identifier: MIT
/*
 * Adopted memory is let go when its capability goes, in whatever way that happens, but not
 * before the device has let go: with commands in flight, on a device that takes its time.
 */
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <kselftest_harness.h>

#include "lib.h"

#define RW (EXO_RIGHT_READ | EXO_RIGHT_WRITE)
#define PAGES 16u
#define SIZE (PAGES * PAGE)
#define SLOW_NSID 2 /* of exo1: 20 commands a second */

FIXTURE(slow)
{
	struct tenant t;
	struct ring ring;
	struct events events;
	__u64 before;
	__u32 slow;
	char *at;
	struct buffer b;
};

static int slow_queue(FIXTURE_DATA(slow) * self, int fd, __u32 controller, __u32 slow)
{
	int ret = ring_create(fd, controller, 30, &self->ring);

	return ret ? ret : queue_attach(fd, self->ring.cap, slow);
}

FIXTURE_SETUP(slow)
{
	struct tenant *t = &self->t;
	__u32 slow;

	TENANT_SETUP(t, "exo1");
	self->before = memory_adopted(t->fd);
	if (extent_create(t->grantor, t->root_controller, SLOW_NSID, EXO_RIGHT_READ, 0, 4096,
			  &slow))
		SKIP(return, "the second controller has no namespace 2");
	ASSERT_EQ(0, derive(t->grantor, slow, EXO_RIGHT_READ, t->fd, 0, 0, &self->slow));
	ASSERT_EQ(0, slow_queue(self, t->fd, t->controller, self->slow));
	ASSERT_EQ(0, events_create(t->fd, 64, &self->events));
	self->at = anonymous(SIZE);
	ASSERT_NE(MAP_FAILED, (void *)self->at);
	ASSERT_EQ(0, buffer_adopt(t->fd, t->controller, RW, self->at, SIZE, &self->b));
}

FIXTURE_TEARDOWN(slow)
{
	tenant_destroy(&self->t);
}

static int fill_queue(struct ring *ring, const struct buffer *b)
{
	__u32 i;

	for (i = 0; i < ring->depth; i++) {
		struct sqe sqe = sqe_io(OP_READ, i, SLOW_NSID, i, 0, b->offset + i % PAGES * PAGE);

		ring_push(ring, &sqe);
	}
	return ring_submit(ring, NULL);
}

static __u32 posted(struct ring *ring)
{
	struct cqe cqe;
	__u32 n = 0;

	while (!ring_reap(ring, &cqe, 0))
		n++;
	return n;
}

TEST_F(slow, a_drop_waits_for_the_commands_that_name_the_memory)
{
	ASSERT_EQ(0, fill_queue(&self->ring, &self->b));
	ASSERT_GT(self->ring.depth, posted(&self->ring));
	ASSERT_EQ(0, munmap(self->at, SIZE));
	EXPECT_EQ(self->before + PAGES, memory_adopted(self->t.fd));
	ASSERT_EQ(0, drop(self->t.fd, self->b.cap));
	EXPECT_EQ(self->before, memory_adopted(self->t.fd));
	EXPECT_EQ(self->ring.depth, self->ring.head + posted(&self->ring));
	EXPECT_EQ(EXO_QUEUE_LIVE, self->ring.status->state);
}

/* Number in the tree of the memory, as whoever granted the controller sees it. */
static __u64 node_of_memory(struct tenant *t)
{
	struct exo_tree_entry entries[64];
	struct exo_tree_list arg = {
		.cap = t->root_controller,
		.entries = (uintptr_t)entries,
		.count = 64,
	};
	__u32 i;

	if (call(t->grantor, EXO_TREE_LIST, &arg))
		return 0;
	for (i = 0; i < arg.out_count; i++)
		if (entries[i].type == EXO_TYPE_MEMORY)
			return entries[i].node;
	return 0;
}

TEST_F(slow, taking_it_takes_the_devices_access_and_not_the_programs)
{
	struct exo_revoke r = { .node = node_of_memory(&self->t) };
	struct tenant *t = &self->t;
	struct exo_cap_taken taken;
	struct exo_event e;
	__u64 names[1];
	char old[SIZE];

	ASSERT_NE(0, r.node);
	ASSERT_EQ(0, fill_queue(&self->ring, &self->b));
	ASSERT_EQ(0, cap_revoke(t->grantor, t->root_controller, 0, 0, &r));
	EXPECT_EQ(1, r.out_taken);
	EXPECT_EQ(self->before, memory_adopted(t->fd));
	/* All completed before the call returned, and the queue lives. */
	EXPECT_EQ(self->ring.depth, posted(&self->ring));
	EXPECT_EQ(EXO_QUEUE_LIVE, self->ring.status->state);
	EXPECT_REFUSED(EFAULT, EXO_REASON_BUFFER, 6, self->b.offset,
		       ring_io(&self->ring, OP_READ, SLOW_NSID, 0, 1, self->b.offset));
	fill_random(self->at, SIZE);
	memcpy(old, self->at, SIZE);
	EXPECT_EQ(0, memcmp(old, self->at, SIZE));
	ASSERT_EQ(0, events_next(&self->events, &e, 1000));
	EXPECT_EQ(EXO_EVENT_REVOKE, e.type);
	ASSERT_EQ(0, events_next(&self->events, &e, 1000));
	EXPECT_EQ(EXO_EVENT_TAKEN, e.type);
	EXPECT_EQ(self->b.cap, e.cap);
	ASSERT_EQ(0, cap_taken(t->fd, self->b.cap, &taken));
	EXPECT_EQ(EXO_TYPE_MEMORY, taken.out_type);
	EXPECT_EQ(PAGES, taken.out_len);
	EXPECT_EQ(12, taken.out_unit_shift);
	taken = (struct exo_cap_taken){ .cap = self->b.cap, .count = 1, .names = (uintptr_t)names };
	EXPECT_REFUSED(EINVAL, EXO_REASON_WRONG_TYPE, offsetof(struct exo_cap_taken, cap),
		       EXO_TYPE_MEMORY, call(t->fd, EXO_CAP_TAKEN, &taken));
	/* The program may have it adopted again. */
	EXPECT_EQ(0, buffer_adopt(t->fd, t->controller, RW, self->at, SIZE, &self->b));
}

TEST_F(slow, what_comes_of_a_controller_goes_with_it)
{
	struct tenant *t = &self->t;

	ASSERT_EQ(0, fill_queue(&self->ring, &self->b));
	ASSERT_EQ(0, cap_revoke(t->grantor, t->root_controller, 0, 0, NULL));
	EXPECT_EQ(self->before, memory_adopted(t->fd));
	EXPECT_EQ(EXO_QUEUE_DEAD, self->ring.status->state);
	EXPECT_EQ(0, touch_write(self->at));
}

TEST_F(slow, a_dropped_controller_leaves_it_to_its_adopter)
{
	struct tenant *t = &self->t;

	ASSERT_EQ(0, drop(t->fd, t->controller));
	EXPECT_EQ(0, ring_io(&self->ring, OP_READ, SLOW_NSID, 0, 1, self->b.offset));
	EXPECT_EQ(self->before + PAGES, memory_adopted(t->fd));
	EXPECT_NE(0, node_of_memory(t));
	ASSERT_EQ(0, drop(t->fd, self->b.cap));
	EXPECT_EQ(self->before, memory_adopted(t->fd));
}

TEST_F(slow, unbinding_the_function_unmaps_it_and_leaves_it_pinned)
{
	struct tenant *t = &self->t;

	ASSERT_EQ(0, fill_queue(&self->ring, &self->b));
	ASSERT_EQ(0, machine_unbind(t->address));
	EXPECT_EQ(self->before + PAGES, memory_adopted(t->fd));
	EXPECT_EQ(-ESTALE, dma_detach(t->fd, t->controller, self->b.cap));
	EXPECT_EQ(0, drop(t->fd, self->b.cap));
	EXPECT_EQ(self->before, memory_adopted(t->fd));
	EXPECT_EQ(0, machine_bind(t->address, "exo"));
}

/* ---- killed ---- */

/* A session of its own, with commands in flight on memory of its own; for ever. */
static void busy_for_ever(FIXTURE_DATA(slow) * self, int to)
{
	struct tenant *t = &self->t;
	int fd = session_open();
	__u32 controller, slow;
	struct buffer b;
	char *at = anonymous(SIZE);

	if (fd < 0 || derive(t->fd, t->controller, EXO_RIGHT_QUEUE, fd, 0, 0, &controller) ||
	    derive(t->fd, self->slow, EXO_RIGHT_READ, fd, 0, 0, &slow) ||
	    slow_queue(self, fd, controller, slow) ||
	    buffer_adopt(fd, controller, RW, at, SIZE, &b) || fill_queue(&self->ring, &b) ||
	    !tell(to))
		_exit(1);
	pause();
	_exit(2);
}

TEST_F(slow, a_process_that_is_killed_with_commands_in_flight_leaves_nothing_pinned)
{
	int from[2], round, status;
	pid_t pid;

	ASSERT_EQ(0, pipe(from));
	for (round = 0; round < 3; round++) {
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid)
			busy_for_ever(self, from[1]);
		ASSERT_TRUE(await(from[0]));
		EXPECT_EQ(self->before + 2 * PAGES, memory_adopted(self->t.fd));
		ASSERT_EQ(0, kill(pid, SIGKILL));
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_EQ(SIGKILL, status);
		EXPECT_EQ(self->before + PAGES, memory_adopted(self->t.fd));
	}
	EXPECT_EQ(0, ring_io(&self->ring, OP_READ, SLOW_NSID, 0, 1, self->b.offset));
}

/* Memory whose last page somebody is to bring in, who never does. */
static char *unanswered(int *uffd)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	char *at = anonymous(SIZE);

	*uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	reg.range.start = (uintptr_t)at + SIZE - PAGE;
	reg.range.len = PAGE;
	if (*uffd < 0 || ioctl(*uffd, UFFDIO_API, &api) || ioctl(*uffd, UFFDIO_REGISTER, &reg))
		return NULL;
	return at;
}

struct adopter {
	struct tenant *t;
	char *at;
};

static void *adopt_unanswered(void *arg)
{
	struct adopter *a = arg;
	__u32 cap;

	mem_adopt(a->t->fd, a->t->controller, RW, a->at, SIZE, &cap);
	return NULL;
}

TEST_F(slow, a_process_is_killed_while_its_memory_is_waited_for)
{
	int status;
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid) {
		struct adopter a = { .t = &self->t };
		struct pollfd p = { .events = POLLIN };
		pthread_t thread;

		a.at = unanswered(&p.fd);
		if (!a.at)
			_exit(77);
		/* Once it is asked for, the kernel is in the middle. */
		if (pthread_create(&thread, NULL, adopt_unanswered, &a) || poll(&p, 1, 10000) != 1)
			_exit(1);
		kill(getpid(), SIGKILL);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		SKIP(return, "this kernel has no userfaultfd");
	EXPECT_EQ(SIGKILL, status);
	EXPECT_EQ(self->before + PAGES, memory_adopted(self->t.fd));
}

TEST_HARNESS_MAIN
