// SPDX-License-Identifier: MIT
/*
 * Queues with a polling thread of the kernel's: commands go without a call and with the
 * same check; the thread sleeps when it should, says so, is woken, keeps to its share of
 * a CPU, and ends with its queue.
 */
#include <dirent.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <kselftest_harness.h>

#include "lib.h"

#define MS 1000000ull
#define DEPTH 8

FIXTURE(thread)
{
	struct tenant t;
	__u32 controller; /* in t.fd, with the right to threads */
	struct ring ring;
	struct buffer buffer;
};

/* How a test wants its thread. */
static struct exo_queue_create asked(__u32 controller, __u32 cpu, __u32 percent, __u32 idle_us)
{
	return (struct exo_queue_create){
		.flags = EXO_QUEUE_THREAD,
		.controller = controller,
		.depth = DEPTH,
		.thread_cpu = cpu,
		.thread_percent = percent,
		.thread_idle_us = idle_us,
	};
}

static int ring_make(struct tenant *t, struct exo_queue_create arg, struct ring *ring)
{
	int ret = call(t->fd, EXO_QUEUE_CREATE, &arg);

	if (!ret)
		ret = ring_map(t->fd, &arg, ring);
	if (!ret)
		ret = queue_attach(t->fd, ring->cap, t->extent);
	return ret;
}

static __u32 said(const struct ring *ring)
{
	return __atomic_load_n(&ring->status->thread, __ATOMIC_ACQUIRE);
}

static bool says_soon(const struct ring *ring, __u32 what)
{
	__u64 end = now_ms() + 10000;

	while (said(ring) != what) {
		if (now_ms() > end)
			return false;
		sched_yield();
	}
	return true;
}

/* As the header asks of a program. True: no call was needed. */
static bool hand_over(struct ring *ring, const struct sqe *sqe)
{
	ring_push(ring, sqe);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return said(ring) == EXO_THREAD_RUNNING;
}

static struct sqe sqe_read(const struct buffer *b, __u16 cid, __u32 nsid, __u64 lba)
{
	return sqe_io(OP_READ, cid, nsid, lba, 0, b->offset + cid * PAGE);
}

static int reap_ok(struct ring *ring)
{
	struct cqe cqe;
	int ret = ring_reap(ring, &cqe, 10000);

	return ret ? ret : cqe.status >> 1;
}

static pid_t found; /* by threads(): the last */

/* Threads that poll for queues, of everybody. With @affinity: where the last one may run. */
static unsigned int threads(cpu_set_t *affinity)
{
	DIR *dir = opendir("/proc");
	unsigned int n = 0;
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		char path[300], name[64];

		snprintf(path, sizeof(path), "/proc/%s/comm", entry->d_name);
		if (read_file(path, name, sizeof(name)) || strncmp(name, "exo-poll/", 9))
			continue;
		n++;
		found = atoi(entry->d_name);
		if (affinity && sched_getaffinity(found, sizeof(*affinity), affinity))
			CPU_ZERO(affinity);
	}
	if (dir)
		closedir(dir);
	return n;
}

FIXTURE_SETUP(thread)
{
	__u32 made;

	TENANT_SETUP(&self->t, "exo0");
	ASSERT_EQ(0, controller_create(self->t.grantor, self->t.root_controller,
				       EXO_RIGHT_QUEUE | EXO_RIGHT_THREAD, 4, &made));
	ASSERT_EQ(0, derive(self->t.grantor, made, EXO_RIGHT_QUEUE | EXO_RIGHT_THREAD, self->t.fd,
			    0, 0, &self->controller));
	ASSERT_EQ(0, become_nobody());
	ASSERT_EQ(0, buffer_alloc(self->t.fd, self->t.pool, EXO_ORDER_4K, DEPTH, &self->buffer));
	ASSERT_EQ(0, buffer_attach(self->t.fd, self->controller, &self->buffer));
	ASSERT_EQ(0, ring_make(&self->t, asked(self->controller, EXO_CPU_ANY, 100, 20000),
			       &self->ring));
}

FIXTURE_TEARDOWN(thread)
{
	tenant_destroy(&self->t);
}

TEST_F(thread, takes_commands_without_a_call)
{
	struct exo_queue_query q;
	unsigned int i, calls = 0;

	for (i = 0; i < 2000; i++) {
		struct sqe sqe = sqe_read(&self->buffer, i % DEPTH, 1, EXTENT_FIRST + i % 64);

		/* It may have been idle before the first, and slept if this test was held up. */
		if (!hand_over(&self->ring, &sqe)) {
			ASSERT_EQ(0, ring_submit(&self->ring, NULL));
			calls++;
		}
		ASSERT_EQ(0, reap_ok(&self->ring));
	}
	EXPECT_GT(1000, calls);
	ASSERT_EQ(0, queue_query(self->t.fd, self->ring.cap, &q));
	EXPECT_EQ(2000, q.out_submitted);
	EXPECT_EQ(2000, q.out_completed);
	EXPECT_EQ(0, q.out_refused);
	EXPECT_LT(0, q.out_thread_ns);
}

TEST_F(thread, takes_a_full_ring_at_once_and_data_are_right)
{
	__u32 block = self->t.block, round, i;

	for (round = 0; round < 100; round++) {
		for (i = 0; i < DEPTH; i++) {
			struct sqe sqe = sqe_io(round % 2 ? OP_READ : OP_WRITE, (__u16)i, 1,
						EXTENT_FIRST + i, 0,
						self->buffer.offset + i * PAGE);

			memset(self->buffer.at + i * PAGE, round % 2 ? 0 : (int)(round + i), block);
			ring_push(&self->ring, &sqe);
		}
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		if (said(&self->ring) != EXO_THREAD_RUNNING) {
			ASSERT_EQ(0, ring_submit(&self->ring, NULL));
		}
		for (i = 0; i < DEPTH; i++) {
			ASSERT_EQ(0, reap_ok(&self->ring));
		}
		for (i = 0; round % 2 && i < DEPTH; i++) {
			ASSERT_EQ((__u8)(round - 1 + i), *(__u8 *)(self->buffer.at + i * PAGE));
		}
	}
}

TEST_F(thread, sleeps_when_idle_says_so_and_is_woken_by_a_submission)
{
	struct sqe sqe = sqe_read(&self->buffer, 0, 1, EXTENT_FIRST);
	struct exo_queue_query q;
	__u64 spent;

	ASSERT_TRUE(says_soon(&self->ring, EXO_THREAD_ASLEEP));
	ASSERT_EQ(0, queue_query(self->t.fd, self->ring.cap, &q));
	EXPECT_EQ(EXO_THREAD_ASLEEP, q.out_thread);
	spent = q.out_thread_ns;
	usleep(100000);
	ASSERT_EQ(0, queue_query(self->t.fd, self->ring.cap, &q));
	EXPECT_GT(spent + 10 * MS, q.out_thread_ns);
	EXPECT_FALSE(hand_over(&self->ring, &sqe));
	ASSERT_EQ(0, ring_submit(&self->ring, NULL));
	EXPECT_EQ(EXO_THREAD_RUNNING, said(&self->ring));
	EXPECT_EQ(0, reap_ok(&self->ring));
	ASSERT_TRUE(says_soon(&self->ring, EXO_THREAD_ASLEEP));
}

/* Each command right when the thread goes to sleep: one of the two must see the other. */
TEST_F_TIMEOUT(thread, loses_no_command_at_the_edge_of_sleep, 120)
{
	struct ring ring;
	unsigned int i, calls = 0;

	ASSERT_EQ(0, ring_make(&self->t, asked(self->controller, EXO_CPU_ANY, 100, 0), &ring));
	for (i = 0; i < 5000; i++) {
		struct sqe sqe = sqe_read(&self->buffer, 0, 1, EXTENT_FIRST);
		unsigned int spin = random_u32() % 2000;

		while (spin--)
			__asm__ volatile("" ::: "memory");
		if (!hand_over(&ring, &sqe)) {
			ASSERT_EQ(0, ring_submit(&ring, NULL));
			calls++;
		}
		ASSERT_EQ(0, reap_ok(&ring));
	}
	TH_LOG("%u of 5000 by call", calls);
	EXPECT_LT(0, calls);
}

TEST_F(thread, leaves_a_refused_command_for_a_call_to_explain)
{
	struct sqe good = sqe_read(&self->buffer, 0, 1, EXTENT_FIRST);
	struct sqe bad = sqe_read(&self->buffer, 1, 1, EXTENT_FIRST + EXTENT_BLOCKS);
	struct sqe behind = sqe_read(&self->buffer, 2, 1, EXTENT_FIRST);
	__u32 accepted;
	__u64 ready;

	if (!hand_over(&self->ring, &good)) {
		ASSERT_EQ(0, ring_submit(&self->ring, NULL));
	}
	ASSERT_EQ(0, reap_ok(&self->ring));
	hand_over(&self->ring, &bad);
	hand_over(&self->ring, &behind);
	ASSERT_TRUE(says_soon(&self->ring, EXO_THREAD_ASLEEP));
	EXPECT_EQ(1, self->ring.status->sq_head);
	/* Who waits is told that there is something to do. */
	EXPECT_EQ(0, wait_queues(self->t.fd, &self->ring.cap, 1, now_ns() + 20000 * MS, &ready));
	EXPECT_EQ(1, ready);
	EXPECT_REFUSED(ERANGE, EXO_REASON_LBA, 10, EXTENT_FIRST + EXTENT_BLOCKS,
		       ring_submit(&self->ring, &accepted));
	EXPECT_EQ(EXO_THREAD_ASLEEP, said(&self->ring));
	/* Mended, it goes on with those behind. */
	self->ring.sq[1] = sqe_read(&self->buffer, 1, 1, EXTENT_FIRST);
	ASSERT_EQ(0, ring_submit(&self->ring, &accepted));
	EXPECT_EQ(2, accepted);
	EXPECT_EQ(EXO_THREAD_RUNNING, said(&self->ring));
	EXPECT_EQ(0, reap_ok(&self->ring));
	EXPECT_EQ(0, reap_ok(&self->ring));
}

/* A refusal that was taken back is no reason to stay awake. */
TEST_F(thread, that_refused_keeps_nobody_awake_once_the_command_is_taken_back)
{
	struct sqe bad = sqe_read(&self->buffer, 1, 99, EXTENT_FIRST);
	__u64 ready, since;

	if (!hand_over(&self->ring, &bad)) {
		EXPECT_EQ(-ERANGE, ring_submit(&self->ring, NULL));
	}
	ASSERT_TRUE(says_soon(&self->ring, EXO_THREAD_ASLEEP));
	ring_rewind(&self->ring);
	since = now_ns();
	EXPECT_EQ(0, wait_queues(self->t.fd, &self->ring.cap, 1, since + 200 * MS, &ready));
	EXPECT_EQ(0, ready);
	EXPECT_LE(since + 200 * MS, now_ns());
}

/* Until its share is used up: it sleeps then, whatever it has to do. */
static bool spent_soon(int fd, const struct ring *ring)
{
	__u64 end = now_ms() + 10000;
	struct exo_queue_query q;
	__u32 before;

	if (queue_query(fd, ring->cap, &q))
		return false;
	before = q.out_thread_throttled;
	do {
		if (now_ms() > end || queue_query(fd, ring->cap, &q))
			return false;
	} while (q.out_thread_throttled == before);
	return true;
}

/* Refused by a call or by the thread: until a call is content the thread keeps its hands off. */
TEST_F(thread, touches_nothing_while_a_refused_command_is_mended)
{
	struct sqe bad = sqe_read(&self->buffer, 1, 99, EXTENT_FIRST);
	struct exo_queue_query q;
	struct ring ring;

	ASSERT_EQ(0, ring_make(&self->t, asked(self->controller, EXO_CPU_ANY, 1, 10000000), &ring));
	ASSERT_TRUE(spent_soon(self->t.fd, &ring));
	ring_push(&ring, &bad);
	EXPECT_EQ(-ERANGE, ring_submit(&ring, NULL));
	ring.sq[0] = sqe_read(&self->buffer, 1, 1, EXTENT_FIRST);
	/* Several periods. */
	usleep(400000);
	EXPECT_EQ(EXO_THREAD_ASLEEP, said(&ring));
	EXPECT_EQ(0, ring.status->sq_head);
	ASSERT_EQ(0, queue_query(self->t.fd, ring.cap, &q));
	EXPECT_EQ(0, q.out_submitted);
	EXPECT_EQ(0, ring_submit(&ring, NULL));
	EXPECT_EQ(0, reap_ok(&ring));
	/* And goes on of itself when its share is there again. */
	EXPECT_TRUE(says_soon(&ring, EXO_THREAD_RUNNING));
}

/* Longer than it may be idle there is no room: it is not idle, for it has something to take. */
TEST_F(thread, takes_the_rest_when_there_is_room_again)
{
	__u64 end = now_ms() + 10000;
	struct exo_queue_query q;
	struct ring ring;
	__u32 i;

	ASSERT_EQ(0, ring_make(&self->t, asked(self->controller, EXO_CPU_ANY, 100, 1000), &ring));
	ASSERT_EQ(0, ring_submit(&ring, NULL));
	for (i = 0; i < DEPTH + 4; i++) {
		struct sqe sqe = sqe_read(&self->buffer, i % DEPTH, 1, EXTENT_FIRST);

		if (!hand_over(&ring, &sqe)) {
			ASSERT_EQ(0, ring_submit(&ring, NULL));
		}
	}
	do {
		ASSERT_EQ(0, queue_query(self->t.fd, ring.cap, &q));
		ASSERT_GT(end, now_ms());
	} while (q.out_completed != DEPTH);
	usleep(50000);
	ring.head = DEPTH;
	__atomic_store_n(&ring.control->cq_head, ring.head, __ATOMIC_RELEASE);
	for (i = 0; i < 4; i++) {
		EXPECT_EQ(0, reap_ok(&ring));
	}
}

/* Asleep in EXO_WAIT until the queue is ready, for whatever reason. */
static pid_t sleeper(FIXTURE_DATA(thread) * self)
{
	pid_t pid = fork();
	__u64 ready = 0;

	if (pid)
		return pid;
	_exit(wait_queues(self->t.fd, &self->ring.cap, 1, EXO_WAIT_FOREVER, &ready) || ready != 1);
}

/* A refusal wakes who is asleep already, and an eventfd: found by the thread or by a call. */
static void refusal_wakes(struct __test_metadata *_metadata, FIXTURE_DATA(thread) * self,
			  bool by_call)
{
	struct sqe bad = sqe_read(&self->buffer, 1, 99, EXTENT_FIRST);
	int efd = eventfd(0, EFD_CLOEXEC), status;
	struct pollfd p = { .fd = efd, .events = POLLIN };
	pid_t pid = sleeper(self);

	ASSERT_LE(0, pid);
	ASSERT_LE(0, efd);
	ASSERT_EQ(0, queue_eventfd(self->t.fd, self->ring.cap, efd));
	/* Longer than the thread may be idle. */
	usleep(100000);
	ASSERT_TRUE(says_soon(&self->ring, EXO_THREAD_ASLEEP));
	if (!by_call) {
		ASSERT_EQ(0, ring_submit(&self->ring, NULL));
	}
	if (!hand_over(&self->ring, &bad)) {
		EXPECT_EQ(-ERANGE, ring_submit(&self->ring, NULL));
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(1, poll(&p, 1, 10000));
	ring_rewind(&self->ring);
	close(efd);
}

TEST_F(thread, wakes_a_sleeper_when_it_refuses)
{
	refusal_wakes(_metadata, self, false);
}

TEST_F(thread, of_a_queue_whose_call_is_refused_wakes_a_sleeper_as_well)
{
	refusal_wakes(_metadata, self, true);
}

TEST_F(thread, sleeps_on_indexes_that_cannot_be_true)
{
	static const __u32 tails[] = { 1000000, 0x80000000, ~0u, DEPTH * 2 + 1 };
	struct exo_queue_query q;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(tails); i++) {
		__u32 before = self->ring.status->sq_head;

		ASSERT_EQ(0, ring_submit(&self->ring, NULL));
		ASSERT_EQ(EXO_THREAD_RUNNING, said(&self->ring));
		__atomic_store_n(&self->ring.control->sq_tail, before + tails[i], __ATOMIC_RELEASE);
		ASSERT_TRUE(says_soon(&self->ring, EXO_THREAD_ASLEEP));
		EXPECT_REFUSED(EINVAL, EXO_REASON_RING_INDEX, 0, before + tails[i],
			       ring_submit(&self->ring, NULL));
		ring_rewind(&self->ring);
	}
	ASSERT_EQ(0, ring_submit(&self->ring, NULL));
	__atomic_store_n(&self->ring.control->cq_head, 5, __ATOMIC_RELEASE);
	__atomic_store_n(&self->ring.control->sq_tail, self->ring.status->sq_head + 1,
			 __ATOMIC_RELEASE);
	ASSERT_TRUE(says_soon(&self->ring, EXO_THREAD_ASLEEP));
	EXPECT_EQ(-EINVAL, ring_submit(&self->ring, NULL));
	__atomic_store_n(&self->ring.control->cq_head, 0, __ATOMIC_RELEASE);
	ring_rewind(&self->ring);
	ASSERT_EQ(0, queue_query(self->t.fd, self->ring.cap, &q));
	EXPECT_EQ(EXO_QUEUE_LIVE, q.out_state);
	EXPECT_EQ(0, q.out_submitted);
}

TEST_F(thread, keeps_to_its_share_of_a_cpu_and_calls_do_the_work_meanwhile)
{
	struct exo_queue_query before, after;
	__u64 begin, passed, end;
	struct ring ring;
	unsigned int i = 0;

	ASSERT_EQ(0,
		  ring_make(&self->t, asked(self->controller, EXO_CPU_ANY, 20, 10000000), &ring));
	ASSERT_EQ(0, queue_query(self->t.fd, ring.cap, &before));
	begin = now_ns();
	end = begin + 3000 * MS;
	while (now_ns() < end) {
		struct sqe sqe = sqe_read(&self->buffer, i++ % DEPTH, 1, EXTENT_FIRST);

		if (!hand_over(&ring, &sqe)) {
			ASSERT_EQ(0, ring_submit(&ring, NULL));
		}
		ASSERT_EQ(0, reap_ok(&ring));
	}
	ASSERT_EQ(0, queue_query(self->t.fd, ring.cap, &after));
	passed = now_ns() - begin;
	TH_LOG("%u reads; the thread used %llu ms of %llu ms, throttled %u times", i,
	       (unsigned long long)(after.out_thread_ns - before.out_thread_ns) / MS,
	       (unsigned long long)passed / MS, after.out_thread_throttled);
	EXPECT_LT(0, after.out_thread_throttled);
	/* 20 %: what is used beyond it in one period is owed by the next. */
	EXPECT_GT(passed * 25 / 100, after.out_thread_ns - before.out_thread_ns);
	EXPECT_EQ(i, after.out_submitted);
}

TEST_F(thread, runs_where_it_was_pinned_and_nowhere_that_its_maker_may_not)
{
	cpu_set_t mine, its;
	struct ring ring;
	__u32 cpu;

	ASSERT_EQ(0, sched_getaffinity(0, sizeof(mine), &mine));
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		struct exo_queue_create arg = asked(self->controller, cpu, 100, 1000);

		if (!CPU_ISSET(cpu, &mine))
			continue;
		ASSERT_EQ(0, drop(self->t.fd, self->ring.cap));
		ASSERT_EQ(0, ring_make(&self->t, arg, &self->ring));
		ASSERT_EQ(1, threads(&its));
		EXPECT_EQ(1, CPU_COUNT(&its));
		EXPECT_TRUE(CPU_ISSET(cpu, &its));
	}
	CPU_ZERO(&mine);
	CPU_SET(0, &mine);
	ASSERT_EQ(0, sched_setaffinity(0, sizeof(mine), &mine));
	EXPECT_REFUSED(EINVAL, EXO_REASON_VALUE, offsetof(struct exo_queue_create, thread_cpu), 1,
		       ring_make(&self->t, asked(self->controller, 1, 100, 1000), &ring));
	ASSERT_EQ(0, drop(self->t.fd, self->ring.cap));
	ASSERT_EQ(0, ring_make(&self->t, asked(self->controller, EXO_CPU_ANY, 100, 1000),
			       &self->ring));
	ASSERT_EQ(1, threads(&its));
	EXPECT_TRUE(CPU_EQUAL(&mine, &its));
}

TEST_F(thread, is_as_nice_as_its_maker)
{
	struct sched_param none = { 0 };

	ASSERT_EQ(1, threads(NULL));
	EXPECT_EQ(0, getpriority(PRIO_PROCESS, (id_t)found));
	ASSERT_EQ(0, drop(self->t.fd, self->ring.cap));
	ASSERT_EQ(0, setpriority(PRIO_PROCESS, 0, 5));
	ASSERT_EQ(0, ring_make(&self->t, asked(self->controller, EXO_CPU_ANY, 100, 1000),
			       &self->ring));
	ASSERT_EQ(1, threads(NULL));
	EXPECT_EQ(5, getpriority(PRIO_PROCESS, (id_t)found));
	ASSERT_EQ(0, drop(self->t.fd, self->ring.cap));
	ASSERT_EQ(0, sched_setscheduler(0, SCHED_IDLE, &none));
	ASSERT_EQ(0, ring_make(&self->t, asked(self->controller, EXO_CPU_ANY, 100, 1000),
			       &self->ring));
	ASSERT_EQ(1, threads(NULL));
	EXPECT_EQ(19, getpriority(PRIO_PROCESS, (id_t)found));
}

TEST_F(thread, is_refused_without_its_right_or_with_a_value_that_cannot_be)
{
	struct exo_queue_create arg = asked(self->t.controller, EXO_CPU_ANY, 100, 1000);
	const __u32 c = self->controller;

	EXPECT_REFUSED(EACCES, EXO_REASON_RIGHT, offsetof(struct exo_queue_create, controller),
		       EXO_RIGHT_THREAD, call(self->t.fd, EXO_QUEUE_CREATE, &arg));
#define REFUSED_VALUE(field, _value, ...)                                                          \
	do {                                                                                       \
		struct exo_queue_create arg_ = __VA_ARGS__;                                        \
                                                                                                   \
		EXPECT_REFUSED(EINVAL, EXO_REASON_VALUE, offsetof(struct exo_queue_create, field), \
			       _value, call(self->t.fd, EXO_QUEUE_CREATE, &arg_));                 \
	} while (0)
	REFUSED_VALUE(thread_cpu, 4096, asked(c, 4096, 100, 0));
	REFUSED_VALUE(thread_cpu, 0x7fffffff, asked(c, 0x7fffffff, 100, 0));
	REFUSED_VALUE(thread_percent, 0, asked(c, EXO_CPU_ANY, 0, 0));
	REFUSED_VALUE(thread_percent, 101, asked(c, EXO_CPU_ANY, 101, 0));
	REFUSED_VALUE(thread_idle_us, 10000001, asked(c, EXO_CPU_ANY, 1, 10000001));
	arg = (struct exo_queue_create){ .controller = c, .depth = 1 };
	REFUSED_VALUE(thread_cpu, 1,
		      (struct exo_queue_create){ .controller = c, .depth = 1, .thread_cpu = 1 });
	REFUSED_VALUE(
		thread_percent, 1,
		(struct exo_queue_create){ .controller = c, .depth = 1, .thread_percent = 1 });
	REFUSED_VALUE(
		thread_idle_us, 1,
		(struct exo_queue_create){ .controller = c, .depth = 1, .thread_idle_us = 1 });
	EXPECT_EQ(1, threads(NULL));
}

TEST_F(thread, of_a_queue_without_one_nothing_is_said)
{
	struct exo_queue_query q;
	struct ring ring;

	ASSERT_EQ(0, ring_create(self->t.fd, self->t.controller, DEPTH, &ring));
	EXPECT_EQ(EXO_THREAD_NONE, said(&ring));
	ASSERT_EQ(0, queue_query(self->t.fd, ring.cap, &q));
	EXPECT_EQ(EXO_THREAD_NONE, q.out_thread);
	EXPECT_EQ(0, q.out_thread_ns);
}

/* A child keeps it busy, and knows nothing of what its parent does to the queue. */
static pid_t hammer(FIXTURE_DATA(thread) * self)
{
	struct exo_queue_create again = { .out_cap = self->ring.cap,
					  .depth = DEPTH,
					  .out_entries = self->ring.entries,
					  .out_mmap_offset = self->ring.mmap_offset,
					  .out_rw_size = (__u32)self->ring.rw_size,
					  .out_ro_size = (__u32)self->ring.ro_size };
	struct ring ring;
	pid_t pid = fork();
	unsigned int i;

	if (pid)
		return pid;
	if (ring_map(self->t.fd, &again, &ring))
		_exit(1);
	for (i = 0;; i++) {
		struct sqe sqe = sqe_read(&self->buffer, i % DEPTH, 1, EXTENT_FIRST);
		struct cqe cqe;

		if (!hand_over(&ring, &sqe))
			ring_submit(&ring, NULL);
		ring_reap(&ring, &cqe, 100);
	}
}

static bool gone_soon(void)
{
	__u64 end = now_ms() + 10000;

	while (threads(NULL))
		if (now_ms() > end)
			return false;
	return true;
}

TEST_F(thread, ends_when_its_busy_queue_is_dropped)
{
	pid_t pid = hammer(self);

	ASSERT_LE(0, pid);
	usleep(50000);
	EXPECT_EQ(1, threads(NULL));
	EXPECT_EQ(0, drop(self->t.fd, self->ring.cap));
	EXPECT_EQ(0, threads(NULL));
	EXPECT_EQ(EXO_THREAD_NONE, said(&self->ring));
	EXPECT_EQ(0, kill(pid, SIGKILL));
	EXPECT_EQ(pid, waitpid(pid, NULL, 0));
}

TEST_F(thread, ends_when_its_busy_queue_is_taken_by_force)
{
	struct exo_queue_query q;
	struct ring resting;
	pid_t pid;

	ASSERT_EQ(0,
		  ring_make(&self->t, asked(self->controller, EXO_CPU_ANY, 1, 10000000), &resting));
	pid = hammer(self);
	ASSERT_LE(0, pid);
	usleep(50000);
	EXPECT_TRUE(spent_soon(self->t.fd, &resting));
	EXPECT_EQ(0, cap_revoke(self->t.grantor, self->t.root_controller, 0, 0, NULL));
	EXPECT_EQ(0, threads(NULL));
	ASSERT_EQ(0, queue_query(self->t.fd, self->ring.cap, &q));
	EXPECT_EQ(EXO_QUEUE_DEAD, q.out_state);
	EXPECT_EQ(EXO_THREAD_NONE, q.out_thread);
	EXPECT_LT(0, q.out_thread_ns);
	EXPECT_EQ(EXO_THREAD_NONE, said(&self->ring));
	EXPECT_EQ(EXO_THREAD_NONE, said(&resting));
	EXPECT_EQ(0, kill(pid, SIGKILL));
	EXPECT_EQ(pid, waitpid(pid, NULL, 0));
}

TEST_F(thread, of_a_killed_program_is_gone)
{
	pid_t pid = hammer(self);
	int status;

	ASSERT_LE(0, pid);
	close(self->t.fd);
	self->t.fd = -1;
	usleep(50000);
	EXPECT_EQ(1, threads(NULL));
	kill(pid, SIGKILL);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status));
	EXPECT_TRUE(gone_soon());
}

/* What was taken back the thread does not let through, though nobody calls. */
TEST_F(thread, obeys_a_detached_extent_and_detached_frames)
{
	struct sqe sqe = sqe_read(&self->buffer, 0, 1, EXTENT_FIRST);

	ASSERT_EQ(0, ring_submit(&self->ring, NULL));
	ASSERT_EQ(0, queue_detach(self->t.fd, self->ring.cap, self->t.extent));
	hand_over(&self->ring, &sqe);
	ASSERT_TRUE(says_soon(&self->ring, EXO_THREAD_ASLEEP));
	EXPECT_REFUSED(ERANGE, EXO_REASON_NSID, 1, 1, ring_submit(&self->ring, NULL));
	ASSERT_EQ(0, queue_attach(self->t.fd, self->ring.cap, self->t.extent));
	ASSERT_EQ(0, ring_submit(&self->ring, NULL));
	EXPECT_EQ(0, reap_ok(&self->ring));
	ASSERT_EQ(0, dma_detach(self->t.fd, self->controller, self->buffer.cap));
	hand_over(&self->ring, &sqe);
	ASSERT_TRUE(says_soon(&self->ring, EXO_THREAD_ASLEEP));
	EXPECT_REFUSED(EFAULT, EXO_REASON_BUFFER, 6, self->buffer.offset,
		       ring_submit(&self->ring, NULL));
}

TEST_HARNESS_MAIN
