// SPDX-License-Identifier: MIT
/*
 * Waiting: a sleeper is woken by what it waits for, misses nothing, and is not kept
 * longer than it asked for; who polls is not disturbed by interrupts.
 */
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <kselftest_harness.h>

#include "lib.h"

#define MS 1000000ull
#define SLOW_NSID 2 /* of exo1: 20 commands a second */
#define ADMIN_TIMEOUT "/sys/module/exo/parameters/admin_timeout_ms"
#define FAR (now_ns() + 20000 * MS)

/* Counts of all interrupts of queues since boot. */
static unsigned long long interrupts(void)
{
	FILE *file = fopen("/proc/interrupts", "r");
	unsigned long long sum = 0, n;
	char line[4096], *at;

	while (file && fgets(line, sizeof(line), file)) {
		if (!strstr(line, "exo-queue") || !(at = strchr(line, ':')))
			continue;
		for (at++; sscanf(at, " %llu", &n) == 1; at += strcspn(at, " ")) {
			sum += n;
			at += strspn(at, " ");
		}
	}
	if (file)
		fclose(file);
	return sum;
}

FIXTURE(wait)
{
	struct tenant t;
	struct ring ring;
	struct buffer buffer;
};

FIXTURE_VARIANT(wait)
{
	const char *serial;
	__u32 flags;
	__u32 completion;
};

FIXTURE_VARIANT_ADD(wait, interrupt){
	.serial = "exo0",
	.flags = 0,
	.completion = EXO_COMPLETION_INTERRUPT,
};

FIXTURE_VARIANT_ADD(wait, polled){
	.serial = "exo0",
	.flags = EXO_QUEUE_POLLED,
	.completion = EXO_COMPLETION_POLLED,
};

static int queue_make(struct tenant *t, __u32 flags, __u32 depth, struct ring *ring)
{
	struct exo_queue_create arg = {
		.flags = flags,
		.controller = t->controller,
		.depth = depth,
	};
	int ret = call(t->fd, EXO_QUEUE_CREATE, &arg);

	return ret ? ret : ring_map(t->fd, &arg, ring);
}

FIXTURE_SETUP(wait)
{
	TENANT_SETUP(&self->t, variant->serial);
	ASSERT_EQ(0, become_nobody());
	ASSERT_EQ(0, queue_make(&self->t, variant->flags, 8, &self->ring));
	ASSERT_EQ(0, queue_attach(self->t.fd, self->ring.cap, self->t.extent));
	ASSERT_EQ(0, buffer_alloc(self->t.fd, self->t.pool, EXO_ORDER_4K, 8, &self->buffer));
	ASSERT_EQ(0, buffer_attach(self->t.fd, self->t.controller, &self->buffer));
}

FIXTURE_TEARDOWN(wait)
{
	tenant_destroy(&self->t);
}

static int push_read(struct ring *ring, __u16 cid, __u32 nsid, __u64 lba, const struct buffer *b)
{
	struct sqe sqe = sqe_io(OP_READ, cid, nsid, lba, 0, b->offset + cid * PAGE);

	ring_push(ring, &sqe);
	return ring_submit(ring, NULL);
}

static int wait_one(struct ring *ring, __u64 deadline, __u64 *ready)
{
	return wait_queues(ring->fd, &ring->cap, 1, deadline, ready);
}

TEST_F(wait, the_completion_mode_in_force_is_told)
{
	struct exo_queue_query q;

	ASSERT_EQ(0, queue_query(self->t.fd, self->ring.cap, &q));
	EXPECT_EQ(variant->completion, q.out_completion);
}

TEST_F(wait, ten_thousand_sleepers_are_woken_ten_thousand_times)
{
	const unsigned int rounds = 10000;
	unsigned int i, slept = 0;
	struct cqe cqe;
	__u64 ready;

	for (i = 0; i < rounds; i++) {
		ASSERT_EQ(0,
			  push_read(&self->ring, i % 8, 1, EXTENT_FIRST + i % 64, &self->buffer));
		slept += ring_reap(&self->ring, &cqe, 0) != 0;
		if (self->ring.head == i + 1)
			continue;
		ASSERT_EQ(0, wait_one(&self->ring, FAR, &ready));
		ASSERT_EQ(1, ready);
		ASSERT_EQ(0, ring_reap(&self->ring, &cqe, 0))
		{
			TH_LOG("round %u: woken for nothing", i);
		}
	}
	TH_LOG("%u of %u rounds waited", slept, rounds);
	EXPECT_LT(0, slept);
}

TEST_F(wait, a_completion_that_is_already_there_ends_the_wait_at_once)
{
	struct exo_queue_query q;
	__u64 ready = 0, begin;

	ASSERT_EQ(0, push_read(&self->ring, 0, 1, EXTENT_FIRST, &self->buffer));
	do {
		ASSERT_EQ(0, queue_query(self->t.fd, self->ring.cap, &q));
	} while (!q.out_completed);
	begin = now_ms();
	ASSERT_EQ(0, wait_one(&self->ring, EXO_WAIT_FOREVER, &ready));
	EXPECT_EQ(1, ready);
	EXPECT_GT(begin + 1000, now_ms());
	/* A deadline of 0 only looks. */
	ASSERT_EQ(0, wait_one(&self->ring, 0, &ready));
	EXPECT_EQ(1, ready);
}

TEST_F(wait, the_deadline_ends_a_wait_with_nothing_ready)
{
	__u64 ready = 7, begin = now_ns(), deadline = begin + 30 * MS;

	ASSERT_EQ(0, wait_one(&self->ring, deadline, &ready));
	EXPECT_EQ(0, ready);
	EXPECT_LE(deadline, now_ns());
	EXPECT_GT(begin + 5000 * MS, now_ns());
	/* The past, and no queue at all. */
	ASSERT_EQ(0, wait_one(&self->ring, 1, &ready));
	EXPECT_EQ(0, ready);
	ASSERT_EQ(0, wait_one(&self->ring, 0, &ready));
	EXPECT_EQ(0, ready);
	begin = now_ns();
	ASSERT_EQ(0, wait_queues(self->t.fd, NULL, 0, begin + 5 * MS, &ready));
	EXPECT_EQ(0, ready);
	EXPECT_LE(begin + 5 * MS, now_ns());
}

TEST_F(wait, a_head_that_the_device_has_not_posted_is_refused)
{
	const __u32 wrong[] = { 1, 8, 0x7fffffff, 0x80000000, ~0u };
	__u32 caps[2] = { self->ring.cap, self->ring.cap };
	__u64 ready;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		self->ring.control->cq_head = wrong[i];
		EXPECT_EQ(-EINVAL, wait_one(&self->ring, EXO_WAIT_FOREVER, &ready));
		EXPECT_WHY(EXO_REASON_CQ_HEAD, offsetof(struct exo_wait, queues), wrong[i]);
		EXPECT_EQ(0, last.limit);
		EXPECT_EQ(0, last.index);
	}
	self->ring.control->cq_head = 0;
	EXPECT_EQ(0, wait_queues(self->t.fd, caps, 2, 0, &ready));
}

TEST_F(wait, what_is_no_queue_cannot_be_waited_for)
{
	__u32 caps[65] = { self->ring.cap, 99999 };
	__u64 ready;

	EXPECT_REFUSED(ENOENT, EXO_REASON_NO_CAP, offsetof(struct exo_wait, queues), 99999,
		       wait_queues(self->t.fd, caps, 2, 0, &ready));
	EXPECT_EQ(1, last.index);
	caps[1] = self->t.pool;
	EXPECT_REFUSED(EINVAL, EXO_REASON_WRONG_TYPE, offsetof(struct exo_wait, queues),
		       EXO_TYPE_POOL, wait_queues(self->t.fd, caps, 2, 0, &ready));
	EXPECT_REFUSED(EINVAL, EXO_REASON_VALUE, offsetof(struct exo_wait, count), 65,
		       wait_queues(self->t.fd, caps, 65, 0, &ready));
	EXPECT_EQ(EXO_WAIT_QUEUES_MAX, last.limit);
	EXPECT_EQ(-EFAULT, wait_queues(self->t.fd, (void *)8, 1, 0, &ready));
}

TEST_F(wait, a_queue_that_dies_wakes_its_sleepers)
{
	__u64 ready = 0, begin;
	int status;
	pid_t pid;

	/* Another thread's drop does not wait for the sleeper, nor the sleeper for it. */
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		usleep(50000);
		_exit(drop(self->t.fd, self->ring.cap) ? 1 : 0);
	}
	begin = now_ms();
	EXPECT_EQ(0, wait_one(&self->ring, FAR, &ready));
	EXPECT_EQ(1, ready);
	EXPECT_GT(begin + 10000, now_ms());
	EXPECT_EQ(EXO_QUEUE_DEAD, self->ring.status->state);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(-ENOENT, wait_one(&self->ring, FAR, &ready));
}

static void on_alarm(int signal __attribute__((unused)))
{
}

TEST_F(wait, a_signal_interrupts_a_wait)
{
	struct sigaction action = { .sa_handler = on_alarm };
	__u64 ready, begin = now_ns();

	ASSERT_EQ(0, sigaction(SIGALRM, &action, NULL));
	ualarm(20000, 0);
	EXPECT_EQ(-EINTR, wait_one(&self->ring, EXO_WAIT_FOREVER, &ready));
	/* With SA_RESTART it goes on, to the same deadline. */
	action.sa_flags = SA_RESTART;
	ASSERT_EQ(0, sigaction(SIGALRM, &action, NULL));
	begin = now_ns();
	ualarm(20000, 0);
	EXPECT_EQ(0, wait_one(&self->ring, begin + 100 * MS, &ready));
	EXPECT_LE(begin + 100 * MS, now_ns());
	EXPECT_EQ(0, ready);
}

TEST_F(wait, a_sleeper_can_be_killed)
{
	__u64 ready, begin;
	int status;
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid) {
		wait_one(&self->ring, EXO_WAIT_FOREVER, &ready);
		_exit(0);
	}
	usleep(20000);
	begin = now_ms();
	kill(pid, SIGKILL);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(SIGKILL, WTERMSIG(status));
	EXPECT_GT(begin + 5000, now_ms());
}

TEST_F(wait, several_threads_wait_for_one_queue_and_all_are_woken)
{
	struct ring *ring = &self->ring;
	pid_t pids[4];
	unsigned int i;
	int status;

	for (i = 0; i < ARRAY_SIZE(pids); i++) {
		pids[i] = fork();
		ASSERT_LE(0, pids[i]);
		if (!pids[i]) {
			__u64 ready = 0;

			_exit(wait_one(ring, FAR, &ready) || ready != 1);
		}
	}
	usleep(20000);
	ASSERT_EQ(0, push_read(ring, 0, 1, EXTENT_FIRST, &self->buffer));
	for (i = 0; i < ARRAY_SIZE(pids); i++) {
		ASSERT_EQ(pids[i], waitpid(pids[i], &status, 0));
		EXPECT_EQ(0, status);
	}
}

/* ---- several queues, one of them slow ---- */

FIXTURE(several)
{
	struct tenant t;
	struct ring rings[3];
	__u32 caps[3];
	struct buffer buffer;
	__u32 slow;
};

FIXTURE_SETUP(several)
{
	unsigned int i;
	__u32 root_extent;

	TENANT_SETUP(&self->t, "exo1");
	ASSERT_EQ(0, extent_create(self->t.grantor, self->t.root_controller, SLOW_NSID,
				   EXO_RIGHT_READ, 0, 4096, &root_extent));
	ASSERT_EQ(0, derive(self->t.grantor, root_extent, EXO_RIGHT_READ, self->t.fd, 0, 0,
			    &self->slow));
	ASSERT_EQ(0, become_nobody());
	ASSERT_EQ(0, buffer_alloc(self->t.fd, self->t.pool, EXO_ORDER_4K, 8, &self->buffer));
	ASSERT_EQ(0, buffer_attach(self->t.fd, self->t.controller, &self->buffer));
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0,
			  queue_make(&self->t, i == 2 ? EXO_QUEUE_POLLED : 0, 8, &self->rings[i]));
		ASSERT_EQ(0, queue_attach(self->t.fd, self->rings[i].cap, self->t.extent));
		ASSERT_EQ(0, queue_attach(self->t.fd, self->rings[i].cap, self->slow));
		self->caps[i] = self->rings[i].cap;
	}
}

FIXTURE_TEARDOWN(several)
{
	tenant_destroy(&self->t);
}

TEST_F(several, the_wait_names_the_queues_that_are_ready)
{
	struct cqe cqe;
	__u64 ready;
	unsigned int i;

	for (i = 0; i < 30; i++) {
		struct ring *ring = &self->rings[i % 3];

		ASSERT_EQ(0, push_read(ring, 1, 1, EXTENT_FIRST, &self->buffer));
		ASSERT_EQ(0, wait_queues(self->t.fd, self->caps, 3, FAR, &ready));
		EXPECT_EQ(1ull << i % 3, ready);
		ASSERT_EQ(0, ring_reap(ring, &cqe, 0));
	}
	/* All at once; a queue may be named twice. */
	for (i = 0; i < 3; i++)
		ASSERT_EQ(0, push_read(&self->rings[i], 1, 1, EXTENT_FIRST, &self->buffer));
	for (i = 0; i < 3; i++)
		ASSERT_EQ(0, wait_queues(self->t.fd, &self->caps[i], 1, FAR, &ready));
	ASSERT_EQ(0, wait_queues(self->t.fd, self->caps, 3, 0, &ready));
	EXPECT_EQ(7, ready);
}

TEST_F(several, a_sleeper_is_woken_by_interrupt_and_a_poller_is_not_disturbed)
{
	unsigned long long before;
	unsigned int i, slept = 0;
	struct cqe cqe;
	__u64 ready, begin;

	before = interrupts();
	for (i = 0; i < 8; i++) {
		begin = now_ms();
		ASSERT_EQ(0, push_read(&self->rings[0], 1, SLOW_NSID, i, &self->buffer));
		ASSERT_EQ(0, wait_queues(self->t.fd, self->caps, 1, FAR, &ready));
		ASSERT_EQ(1, ready);
		ASSERT_EQ(0, ring_reap(&self->rings[0], &cqe, 0));
		slept += now_ms() > begin + 10;
	}
	EXPECT_LT(1, slept);
	EXPECT_LE(before + slept, interrupts());
	/* After the last wait at most one arrives, which turns the vector off. */
	before = interrupts();
	for (i = 0; i < 500; i++) {
		ASSERT_EQ(0, push_read(&self->rings[0], 1, 1, EXTENT_FIRST, &self->buffer));
		ASSERT_EQ(0, ring_reap(&self->rings[0], &cqe, 10000));
	}
	EXPECT_GE(before + 1, interrupts());
}

TEST_F(several, an_eventfd_tells_of_completions_and_of_death)
{
	int efd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	struct pollfd p = { .fd = efd, .events = POLLIN };
	struct ring *ring = &self->rings[0];
	unsigned int i, reaped = 0;
	struct cqe cqe;
	__u64 count;

	ASSERT_LE(0, efd);
	ASSERT_EQ(0, queue_eventfd(self->t.fd, ring->cap, efd));
	for (i = 0; i < 20; i++) {
		ASSERT_EQ(0, push_read(ring, 1, i % 5 ? 1 : SLOW_NSID, i % 5 ? EXTENT_FIRST : 0,
				       &self->buffer));
		while (ring_reap(ring, &cqe, 0)) {
			ASSERT_EQ(1, poll(&p, 1, 20000));
			ASSERT_EQ(8, read(efd, &count, 8));
		}
		reaped++;
	}
	EXPECT_EQ(20, reaped);
	/* Taken away again, it hears nothing. */
	ASSERT_EQ(0, queue_eventfd(self->t.fd, ring->cap, -1));
	while (read(efd, &count, 8) == 8)
		;
	ASSERT_EQ(0, push_read(ring, 1, 1, EXTENT_FIRST, &self->buffer));
	ASSERT_EQ(0, ring_reap(ring, &cqe, 10000));
	EXPECT_EQ(0, poll(&p, 1, 20));
	/* Set again, it hears of the end. */
	ASSERT_EQ(0, queue_eventfd(self->t.fd, ring->cap, efd));
	while (read(efd, &count, 8) == 8)
		;
	ASSERT_EQ(0, drop(self->t.fd, ring->cap));
	EXPECT_EQ(1, poll(&p, 1, 10000));
	close(efd);
}

TEST_F(several, an_eventfd_must_be_one_and_the_queue_must_have_an_interrupt)
{
	int efd = eventfd(0, EFD_CLOEXEC);
	__u32 weak, field = offsetof(struct exo_queue_eventfd, queue);

	EXPECT_REFUSED(EBADF, EXO_REASON_EVENTFD, offsetof(struct exo_queue_eventfd, eventfd),
		       self->t.fd, queue_eventfd(self->t.fd, self->caps[0], self->t.fd));
	EXPECT_REFUSED(EBADF, EXO_REASON_EVENTFD, offsetof(struct exo_queue_eventfd, eventfd),
		       (__u64)-2, queue_eventfd(self->t.fd, self->caps[0], -2));
	EXPECT_REFUSED(EOPNOTSUPP, EXO_REASON_POLLED, field, self->caps[2],
		       queue_eventfd(self->t.fd, self->caps[2], efd));
	EXPECT_REFUSED(ENOENT, EXO_REASON_NO_CAP, field, 99999,
		       queue_eventfd(self->t.fd, 99999, efd));
	EXPECT_REFUSED(EINVAL, EXO_REASON_WRONG_TYPE, field, EXO_TYPE_POOL,
		       queue_eventfd(self->t.fd, self->t.pool, efd));
	ASSERT_EQ(0,
		  derive(self->t.fd, self->caps[0], EXO_RIGHT_READ, EXO_SESSION_SELF, 0, 0, &weak));
	EXPECT_REFUSED(EACCES, EXO_REASON_RIGHT, field, EXO_RIGHT_SUBMIT,
		       queue_eventfd(self->t.fd, weak, efd));
	close(efd);
}

TEST_F(several, an_onlooker_sees_completions_and_waits_but_cannot_submit)
{
	struct exo_cap_query q;
	struct ring *ring = &self->rings[0];
	struct exo_queue_status *status;
	int other = session_open();
	__u64 ready;
	__u32 cap;
	void *at;

	ASSERT_LE(0, other);
	ASSERT_EQ(0, derive(self->t.fd, ring->cap, EXO_RIGHT_READ, other, 0, 0, &cap));
	ASSERT_EQ(0, query(other, cap, &q));
	at = mmap(NULL, ring->rw_size, PROT_READ, MAP_SHARED, other, (off_t)q.out_mmap_offset);
	EXPECT_EQ(MAP_FAILED, at);
	EXPECT_EQ(EACCES, errno);
	status = mmap(NULL, ring->ro_size, PROT_READ, MAP_SHARED, other,
		      (off_t)(q.out_mmap_offset + ring->rw_size));
	ASSERT_NE(MAP_FAILED, status);
	EXPECT_REFUSED(EACCES, EXO_REASON_RIGHT, offsetof(struct exo_queue_submit, queue),
		       EXO_RIGHT_SUBMIT, queue_submit(other, cap, NULL));
	EXPECT_REFUSED(EACCES, EXO_REASON_RIGHT, offsetof(struct exo_queue_attach, queue),
		       EXO_RIGHT_SUBMIT, queue_attach(other, cap, cap));
	EXPECT_REFUSED(EACCES, EXO_REASON_RIGHT, offsetof(struct exo_queue_detach, queue),
		       EXO_RIGHT_SUBMIT, queue_detach(other, cap, cap));
	ASSERT_EQ(0, push_read(ring, 1, SLOW_NSID, 0, &self->buffer));
	ASSERT_EQ(0, wait_queues(other, &cap, 1, FAR, &ready));
	EXPECT_EQ(1, ready);
	EXPECT_EQ(1, status->sq_head);
	munmap(status, ring->ro_size);
	close(other);
}

/* ---- vectors ---- */

FIXTURE(vectors)
{
	struct tenant t;
	char timeout[16];
};

FIXTURE_SETUP(vectors)
{
	TENANT_SETUP(&self->t, "exo1");
	ASSERT_EQ(0, read_file(ADMIN_TIMEOUT, self->timeout, sizeof(self->timeout)));
}

FIXTURE_TEARDOWN(vectors)
{
	write_file(ADMIN_TIMEOUT, self->timeout);
	tenant_destroy(&self->t);
}

/* exo1 has three vectors for its queues. */
TEST_F(vectors, when_they_run_out_a_queue_is_polled_and_says_so)
{
	struct exo_controller_query c;
	struct exo_queue_create q;
	__u32 caps[4];
	unsigned int i;

	ASSERT_EQ(0, controller_query(self->t.fd, self->t.controller, &c));
	EXPECT_EQ(3, c.out_vectors);
	EXPECT_EQ(0, c.out_vectors_used);
	for (i = 0; i < 4; i++) {
		ASSERT_EQ(0, queue_create(self->t.fd, self->t.controller, 4, &q));
		EXPECT_EQ(i < 3 ? EXO_COMPLETION_INTERRUPT : EXO_COMPLETION_POLLED,
			  q.out_completion);
		caps[i] = q.out_cap;
	}
	ASSERT_EQ(0, controller_query(self->t.fd, self->t.controller, &c));
	EXPECT_EQ(3, c.out_vectors_used);
	/* What one gives back another can have. */
	ASSERT_EQ(0, drop(self->t.fd, caps[1]));
	ASSERT_EQ(0, controller_query(self->t.fd, self->t.controller, &c));
	EXPECT_EQ(2, c.out_vectors_used);
	ASSERT_EQ(0, queue_create(self->t.fd, self->t.controller, 4, &q));
	EXPECT_EQ(EXO_COMPLETION_INTERRUPT, q.out_completion);
}

/* Where the function's MSI-X capability is in its configuration space, or 0. */
static off_t msix_capability(int config)
{
	__u8 at = 0, id = 0;
	int i;

	if (pread(config, &at, 1, 0x34) != 1)
		return 0;
	for (i = 0; at && i < 48; i++) {
		if (pread(config, &id, 1, at) != 1)
			return 0;
		if (id == 0x11)
			return at;
		if (pread(config, &at, 1, at + 1) != 1)
			return 0;
	}
	return 0;
}

/* A device whose MSI-X was switched off behind the kernel's back refuses vectors. */
TEST_F(vectors, a_queue_that_the_device_refuses_to_make_is_EIO_with_its_status)
{
	struct exo_controller_query c;
	struct exo_queue_create q;
	char path[64], name[16];
	__u16 control, off;
	off_t msix;
	int config;

	machine_name(self->t.address, name);
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config", name);
	config = open(path, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, config);
	msix = msix_capability(config);
	ASSERT_NE(0, msix);
	ASSERT_EQ(2, pread(config, &control, 2, msix + 2));
	ASSERT_EQ(0x8000, control & 0x8000);
	/* Its answer comes without an interrupt: it is found at the time-out. */
	ASSERT_EQ(0, write_file(ADMIN_TIMEOUT, "300"));
	off = control & ~0x8000;
	ASSERT_EQ(2, pwrite(config, &off, 2, msix + 2));
	EXPECT_EQ(-EIO, queue_create(self->t.fd, self->t.controller, 4, &q));
	ASSERT_EQ(2, pwrite(config, &control, 2, msix + 2));
	EXPECT_EQ(EXO_REASON_DEVICE, last.reason);
	/* NVMe base 2.0 section 5.4: Invalid Interrupt Vector. */
	EXPECT_EQ(0x108, last.value & 0x7ff);
	close(config);
	/* Nothing has changed. */
	ASSERT_EQ(0, controller_query(self->t.fd, self->t.controller, &c));
	EXPECT_EQ(EXO_CONTROLLER_LIVE, c.out_state);
	EXPECT_EQ(0, c.out_queues_used);
	EXPECT_EQ(0, c.out_vectors_used);
	ASSERT_EQ(0, queue_create(self->t.fd, self->t.controller, 4, &q));
	EXPECT_EQ(EXO_COMPLETION_INTERRUPT, q.out_completion);
}

TEST_HARNESS_MAIN
