// SPDX-License-Identifier: MIT
/*
 * Everything at once: threads that do any command to any number, with any right,
 * in two sessions, while commands are in flight. Nothing is expected of a single
 * call; of the whole, that the kernel lives, that nothing leaks, and that who was
 * not involved never noticed.
 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <kselftest_harness.h>

#include "lib.h"

#define NUMBERS 28 /* capability numbers that the threads guess among */

/*
 * Somebody else may drop the queue's capability under whoever writes to its rings. If
 * another was derived meanwhile the queue lives on, and the rings are SIGBUS here.
 */
static __thread sigjmp_buf rings_gone;
static __thread volatile bool on_rings;

static void bus_error(int signal)
{
	if (on_rings)
		siglongjmp(rings_gone, 1);
	/* Anywhere else it is what it is. */
	(void)sigaction(signal, &(struct sigaction){ .sa_handler = SIG_DFL }, NULL);
}

FIXTURE(race)
{
	struct tenant t;
	int fd[2]; /* the sessions under attack */
	struct ring witness;
	struct buffer b;
	__u64 used;
};

FIXTURE_SETUP(race)
{
	struct sigaction action = { .sa_handler = bus_error };
	__u32 cap;
	int i;

	TENANT_SETUP(&self->t, "exo0");
	ASSERT_EQ(0, sigaction(SIGBUS, &action, NULL));
	ASSERT_EQ(0, ring_create(self->t.fd, self->t.controller, 8, &self->witness));
	ASSERT_EQ(0, queue_attach(self->t.fd, self->witness.cap, self->t.extent));
	ASSERT_EQ(0, buffer_alloc(self->t.fd, self->t.pool, EXO_ORDER_4K, 4, &self->b));
	ASSERT_EQ(0, buffer_attach(self->t.fd, self->t.controller, &self->b));
	self->used = frames_used(self->t.grantor);
	for (i = 0; i < 2; i++) {
		self->fd[i] = session_open();
		ASSERT_LE(0, self->fd[i]);
		ASSERT_EQ(0, derive(self->t.grantor, self->t.root_pool,
				    EXO_RIGHT_ALLOC | EXO_RIGHT_NAMES, self->fd[i], 0, 0, &cap));
		ASSERT_EQ(0, derive(self->t.fd, self->t.controller, EXO_RIGHT_QUEUE, self->fd[i], 0,
				    0, &cap));
		ASSERT_EQ(0, derive(self->t.fd, self->t.extent, EXO_RIGHT_READ | EXO_RIGHT_WRITE,
				    self->fd[i], EXTENT_FIRST + 1024, 4096, &cap));
	}
	ASSERT_EQ(0, become_nobody());
}

FIXTURE_TEARDOWN(race)
{
	tenant_destroy(&self->t);
}

struct attacker {
	int fd[2];
	bool *stop;
	unsigned long calls;
};

/* The first three numbers hold the grants: given up rarely, so that the game goes on. */
static __u32 guess(void)
{
	return 1 + random_u32() % NUMBERS;
}

static void race_rings(int fd, struct ring *ring)
{
	__u32 i;

	for (i = 0; i < ring->depth && i < 24; i++) {
		struct sqe sqe = sqe_io(random_u32() % 2 ? OP_READ : OP_WRITE, (__u16)i, 1,
					EXTENT_FIRST + 1024 + random_u32() % 4000,
					random_u32() % 64, random_u32() % 64 * PAGE);

		ring_push(ring, &sqe);
		if (queue_submit(fd, ring->cap, NULL))
			ring_rewind(ring);
	}
}

static void race_queue(int fd)
{
	struct exo_queue_create arg;
	struct ring ring;
	__u32 i;

	if (queue_create(fd, guess(), 1 + random_u32() % 64, &arg) || ring_map(fd, &arg, &ring))
		return;
	for (i = 0; i < 4; i++)
		queue_attach(fd, ring.cap, guess());
	on_rings = true;
	if (!sigsetjmp(rings_gone, 1))
		race_rings(fd, &ring);
	on_rings = false;
	ring_unmap(&ring);
}

static void race_map(int fd)
{
	struct exo_cap_query q;
	char *at;

	if (query(fd, guess(), &q) || !q.out_mmap_offset)
		return;
	at = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)q.out_mmap_offset);
	if (at == MAP_FAILED)
		return;
	/* System calls touch it for us: an error where a touch would be a signal. */
	if (write(STDERR_FILENO, at, 0) < 0 || lseek(fd, 0, SEEK_CUR) < 0)
		sched_yield();
	munmap(at, 4 * PAGE);
}

static void race_step(struct attacker *a)
{
	int fd = a->fd[random_u32() % 2], to = a->fd[random_u32() % 2];
	struct exo_frames_alloc frames;
	struct exo_frame_name name;
	struct exo_controller_query cq;
	struct exo_queue_query qq;
	__u32 cap = guess(), other = guess(), child;
	__u64 offset;

	switch (random_u32() % 16) {
	case 0:
		frames_alloc(fd, cap, random_u32() % 8 ? EXO_ORDER_4K : EXO_ORDER_2M,
			     1 + random_u32() % 8, ANY_NODE, &frames);
		break;
	case 1:
	case 2:
		if (cap > 3 || random_u32() % 64 == 0)
			drop(fd, cap);
		break;
	case 3:
		derive(fd, cap, 1 + random_u32() % 255, to, 0, 0, &child);
		break;
	case 4:
		derive(fd, cap, 1u << random_u32() % 8, to, random_u32() % 8, random_u32() % 8,
		       &child);
		break;
	case 5:
	case 6:
		dma_attach(fd, cap, other, &offset);
		break;
	case 7:
		dma_detach(fd, cap, other);
		break;
	case 8:
		queue_attach(fd, cap, other);
		break;
	case 9:
		queue_detach(fd, cap, other);
		break;
	case 10:
		queue_submit(fd, cap, NULL);
		break;
	case 11:
		race_queue(fd);
		break;
	case 12:
		race_map(fd);
		break;
	case 13:
		controller_create(fd, cap, EXO_RIGHT_QUEUE, 1, &child);
		break;
	case 14:
		pool_create(fd, cap, EXO_RIGHT_ALLOC, 1 + random_u32() % 64, &child);
		break;
	default:
		frames_names(fd, cap, 0, 1, &name);
		controller_query(fd, cap, &cq);
		queue_query(fd, cap, &qq);
		break;
	}
	a->calls++;
}

static void *race_run(void *arg)
{
	struct attacker *a = arg;

	while (!__atomic_load_n(a->stop, __ATOMIC_RELAXED))
		race_step(a);
	return NULL;
}

static void witness_for(struct __test_metadata *_metadata, FIXTURE_DATA(race) * self, __u64 ms)
{
	__u64 end = now_ms() + ms;

	while (now_ms() < end) {
		fill_random(self->b.at, 512);
		ASSERT_EQ(0, ring_io(&self->witness, OP_WRITE, 1, EXTENT_FIRST, 1, self->b.offset));
		ASSERT_EQ(0, ring_io(&self->witness, OP_READ, 1, EXTENT_FIRST, 1,
				     self->b.offset + PAGE));
		ASSERT_EQ(0, memcmp(self->b.at, (char *)self->b.at + PAGE, 512));
		usleep(5000);
	}
}

static void nothing_leaked(struct __test_metadata *_metadata, FIXTURE_DATA(race) * self)
{
	struct exo_controller_query q;
	int i;

	for (i = 0; i < 2; i++)
		close(self->fd[i]);
	EXPECT_EQ(self->used, frames_used_soon(self->t.grantor, self->used));
	ASSERT_EQ(0, controller_query(self->t.fd, self->t.controller, &q));
	EXPECT_EQ(1, q.out_queues_used);
	EXPECT_EQ(EXO_CONTROLLER_LIVE, q.out_state);
}

TEST_F_TIMEOUT(race, of_threads_on_two_sessions_ends_well, 120)
{
	struct attacker a[4];
	pthread_t threads[4];
	bool stop = false;
	unsigned int i;

	for (i = 0; i < 4; i++) {
		a[i] = (struct attacker){ .fd = { self->fd[0], self->fd[1] }, .stop = &stop };
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, race_run, &a[i]));
	}
	witness_for(_metadata, self, 3000);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		EXPECT_LT(0, a[i].calls);
	}
	nothing_leaked(_metadata, self);
}

TEST_F_TIMEOUT(race, of_processes_that_are_killed_ends_well, 120)
{
	int round, status;
	unsigned int i;

	for (round = 0; round < 8; round++) {
		pid_t pids[3];

		for (i = 0; i < 3; i++) {
			pids[i] = fork();
			ASSERT_LE(0, pids[i]);
			if (!pids[i]) {
				bool stop = false;
				struct attacker a = { .fd = { self->fd[0], self->fd[1] },
						      .stop = &stop };

				race_run(&a);
			}
		}
		witness_for(_metadata, self, 150);
		for (i = 0; i < 3; i++)
			kill(pids[i], SIGKILL);
		for (i = 0; i < 3; i++) {
			ASSERT_EQ(pids[i], waitpid(pids[i], &status, 0));
			EXPECT_TRUE(WIFSIGNALED(status));
			EXPECT_EQ(SIGKILL, WTERMSIG(status));
		}
	}
	nothing_leaked(_metadata, self);
}

TEST_HARNESS_MAIN
