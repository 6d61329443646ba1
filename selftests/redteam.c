// SPDX-License-Identifier: MIT
/*
 * Tenants with hostile intent, and a neighbour on the same controller whose blocks they are
 * after: random calls from many threads, random numbers in all memory that is shared with the
 * kernel or the device, commands in flight to blocks that change hands. The attacks that have a
 * place of their own are listed in Documentation/threat-model.md.
 */
#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <kselftest_harness.h>

#include "lib.h"

#define THREADS 64
#define RW (EXO_RIGHT_READ | EXO_RIGHT_WRITE)
#define MINE (EXTENT_FIRST + 1024) /* of the attackers; the neighbour has what lies before */
#define MINE_BLOCKS 512u

FIXTURE(redteam)
{
	struct tenant t;
	int fd; /* the attackers' session: 1 a pool, 2 a controller, 3 an extent */
	__u32 extent, granted;
	struct ring neighbour;
	struct buffer b;
	__u64 used;
	__u32 generation;
};

FIXTURE_SETUP(redteam)
{
	const __u32 rights = EXO_RIGHT_QUEUE | EXO_RIGHT_THREAD;
	struct tenant *t = &self->t;
	__u32 cap;

	TENANT_SETUP(t, "exo0");
	ASSERT_EQ(0, ring_create(t->fd, t->controller, 8, &self->neighbour));
	ASSERT_EQ(0, queue_attach(t->fd, self->neighbour.cap, t->extent));
	ASSERT_EQ(0, buffer_alloc(t->fd, t->pool, EXO_ORDER_4K, 64, &self->b));
	ASSERT_EQ(0, buffer_attach(t->fd, t->controller, &self->b));
	self->used = frames_used(t->grantor);
	self->fd = session_open();
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0,
		  derive(t->fd, t->pool, EXO_RIGHT_ALLOC | EXO_RIGHT_NAMES, self->fd, 0, 0, &cap));
	ASSERT_EQ(0, controller_create(t->grantor, t->root_controller, rights, 8, &self->granted));
	ASSERT_EQ(0, derive(t->grantor, self->granted, rights, self->fd, 0, 0, &cap));
	ASSERT_EQ(0, extent_create(t->grantor, t->root_controller, 1, RW | EXO_RIGHT_TRIM, MINE,
				   MINE_BLOCKS, &self->extent));
	ASSERT_EQ(0, derive(t->grantor, self->extent, RW | EXO_RIGHT_TRIM, self->fd, 0, 0, &cap));
	ASSERT_EQ(0, become_nobody());
}

FIXTURE_TEARDOWN(redteam)
{
	tenant_destroy(&self->t);
}

/* ---- the neighbour: blocks on both sides of the attackers', and frames ---- */

#define SIDE 64u

static void pattern(void *at, __u32 seed, __u32 blocks)
{
	__u32 i, *word = at;

	for (i = 0; i < blocks * 128; i++)
		word[i] = seed * 0x9e3779b9u + i;
}

static bool is_pattern(const void *at, __u32 seed, __u32 blocks)
{
	const __u32 *word = at;
	__u32 i;

	for (i = 0; i < blocks * 128; i++)
		if (word[i] != seed * 0x9e3779b9u + i)
			return false;
	return true;
}

static int neighbour_io(FIXTURE_DATA(redteam) * self, __u8 opcode, __u64 offset)
{
	struct ring *ring = &self->neighbour;
	int ret = ring_io(ring, opcode, 1, MINE - SIDE, SIDE, self->b.offset + offset);

	return ret ? ret
		   : ring_io(ring, opcode, 1, MINE + MINE_BLOCKS, SIDE, self->b.offset + offset);
}

/* For so long: what is written is read, and memory stays what it was. */
static void neighbour_for(struct __test_metadata *_metadata, FIXTURE_DATA(redteam) * self, __u64 ms)
{
	char *room = (char *)self->b.at + SIDE * 512;
	__u64 end = now_ms() + ms;

	while (now_ms() < end) {
		pattern(self->b.at, ++self->generation, SIDE);
		ASSERT_EQ(0, neighbour_io(self, OP_WRITE, 0));
		usleep(5000);
		ASSERT_TRUE(is_pattern(self->b.at, self->generation, SIDE));
		ASSERT_EQ(0, neighbour_io(self, OP_READ, SIDE * 512));
		ASSERT_TRUE(is_pattern(room, self->generation, SIDE));
	}
}

static void nothing_is_left(struct __test_metadata *_metadata, FIXTURE_DATA(redteam) * self)
{
	struct tenant *t = &self->t;
	struct exo_controller_query q;

	close(self->fd);
	EXPECT_EQ(self->used, frames_used_soon(t->grantor, self->used));
	ASSERT_EQ(0, controller_query(t->grantor, self->granted, &q));
	EXPECT_EQ(0, q.out_queues_used);
	EXPECT_EQ(EXO_CONTROLLER_LIVE, q.out_state);
}

/* ---- random calls ---- */

struct caller {
	int fd;
	bool *stop;
	char *scratch; /* 64 KiB, of all threads */
	unsigned long calls, accepted;
};

static __u32 random_word(void)
{
	switch (random_u32() % 8) {
	case 0:
		return random_u32();
	case 1:
		return 1u << random_u32() % 32;
	case 2:
	case 3:
		return 0;
	default:
		return random_u32() % 24;
	}
}

/* Random bytes for a command; the call must come back before its time is over. */
static void random_call(struct caller *c)
{
	const struct command *command = &commands[random_u32() % commands_count];
	__u32 word[64] = { 0 }, i;
	__u64 *address;

	for (i = 4; i < command->size / 4; i++)
		word[i] = random_word();
	for (i = 2; i < command->size / 8; i++) {
		address = (__u64 *)word + i;
		if (random_u32() % 8 == 0)
			*address = (uintptr_t)c->scratch + random_u32() % 4096;
	}
	word[0] = random_u32() % 16 ? command->size : random_word();
	word[1] = random_u32() % 4 ? 0 : random_word();
	if (command->reserved && random_u32() % 8)
		memset((char *)word + command->reserved, 0, 4);
	if (command->cmd == EXO_WAIT)
		((struct exo_wait *)word)->deadline = now_ns() + random_u32() % 2000000;
	if (command->cmd == EXO_REVOKE)
		((struct exo_revoke *)word)->timeout_ms &= 3;
	/* The first three make the game: they go rarely. */
	if (command->cmd == EXO_CAP_DROP && word[4] < 4 && random_u32() % 64)
		return;
	c->calls++;
	c->accepted += !ioctl(c->fd, command->cmd, word);
}

static void *random_calls(void *arg)
{
	struct caller *c = arg;

	while (!__atomic_load_n(c->stop, __ATOMIC_RELAXED))
		random_call(c);
	return NULL;
}

TEST_F_TIMEOUT(redteam, of_64_threads_with_random_calls_on_one_session_reaches_nobody, 240)
{
	static struct caller c[THREADS];
	pthread_t threads[THREADS];
	unsigned long calls = 0, accepted = 0;
	char *scratch =
		mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	bool stop = false;
	int i;

	ASSERT_NE(MAP_FAILED, scratch);
	for (i = 0; i < THREADS; i++) {
		c[i] = (struct caller){ .fd = self->fd, .stop = &stop, .scratch = scratch };
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, random_calls, &c[i]));
	}
	neighbour_for(_metadata, self, 4000);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		calls += c[i].calls;
		accepted += c[i].accepted;
	}
	TH_LOG("%lu calls, of which %lu succeeded", calls, accepted);
	EXPECT_LT(THREADS, accepted);
	nothing_is_left(_metadata, self);
}

/* ---- random words in shared memory ---- */

struct shared_words {
	struct ring *ring; /* two: one with a thread of the kernel's */
	struct events *events;
	__u64 buffer;
	__u32 extent_blocks;
	bool stop;
	unsigned long written;
};

/* A command that may well be legal, for the queue to get anywhere. */
static void write_entry(struct shared_words *s, struct ring *ring)
{
	static const __u8 opcodes[] = { OP_READ, OP_WRITE, OP_FLUSH, OP_WRITE_ZEROES, OP_DSM };
	struct sqe sqe = sqe_io(opcodes[random_u32() % 5], (__u16)(random_u32() % 16), 1,
				MINE + random_u32() % (MINE_BLOCKS + 8), random_u32() % 16,
				s->buffer + random_u32() % 16 * 512);

	if (random_u32() % 2)
		sqe.dw[random_u32() % 16] = random_word();
	ring->sq[random_u32() % ring->entries] = sqe;
}

static void write_word(struct shared_words *s)
{
	struct ring *ring = &s->ring[random_u32() % 2];
	volatile __u32 *control = (__u32 *)ring->control;

	switch (random_u32() % 8) {
	case 0:
		control[random_u32() % (PAGE / 4)] = random_u32();
		break;
	case 1:
		control[0] = ring->status->sq_head + random_word();
		break;
	case 2:
	case 3:
		control[0] = ring->status->sq_head + random_u32() % 16;
		break;
	case 4:
		control[1] = random_u32() % 2 ? random_u32() : control[1] + random_u32() % 4;
		break;
	case 5:
		s->events->control->head = random_word();
		break;
	default:
		write_entry(s, ring);
	}
}

static void *write_words(void *arg)
{
	struct shared_words *s = arg;

	while (!__atomic_load_n(&s->stop, __ATOMIC_RELAXED)) {
		write_word(s);
		__atomic_fetch_add(&s->written, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

/* The calls that read those words. An honest head now and then, or nothing is ever taken. */
static void *use_words(void *arg)
{
	struct shared_words *s = arg;
	struct exo_queue_query q;
	__u64 ready;

	while (!__atomic_load_n(&s->stop, __ATOMIC_RELAXED)) {
		struct ring *ring = &s->ring[random_u32() % 2];
		struct pollfd p = { .fd = ring->fd, .events = POLLIN };

		if (!queue_query(ring->fd, ring->cap, &q) && random_u32() % 2)
			ring->control->cq_head = (__u32)q.out_completed;
		queue_submit(ring->fd, ring->cap, NULL);
		wait_queues(ring->fd, &ring->cap, 1, now_ns() + 200000, &ready);
		poll(&p, 1, 0);
	}
	return NULL;
}

static void make_shared(struct __test_metadata *_metadata, FIXTURE_DATA(redteam) * self,
			struct shared_words *s)
{
	struct exo_queue_create arg = {
		.flags = EXO_QUEUE_THREAD,
		.controller = 2,
		.depth = 15,
		.thread_cpu = EXO_CPU_ANY,
		.thread_percent = 50,
		.thread_idle_us = 500,
	};
	struct buffer buffer;
	int i;

	ASSERT_EQ(0, ring_create(self->fd, 2, 15, &s->ring[0]));
	ASSERT_EQ(0, call(self->fd, EXO_QUEUE_CREATE, &arg));
	ASSERT_EQ(0, ring_map(self->fd, &arg, &s->ring[1]));
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, queue_attach(self->fd, s->ring[i].cap, 3));
	ASSERT_EQ(0, buffer_alloc(self->fd, 1, EXO_ORDER_4K, 4, &buffer));
	ASSERT_EQ(0, buffer_attach(self->fd, 2, &buffer));
	s->buffer = buffer.offset;
	ASSERT_EQ(0, events_create(self->fd, 16, s->events));
}

/* A slow machine takes its time until random words are a command. */
static bool both_were_used(const struct ring ring[2])
{
	struct exo_queue_query q;
	int i;

	for (i = 0; i < 2; i++)
		if (queue_query(ring[i].fd, ring[i].cap, &q) || !q.out_refused || !q.out_submitted)
			return false;
	return true;
}

TEST_F_TIMEOUT(redteam, with_random_words_in_all_shared_memory_reaches_nobody, 240)
{
	struct ring ring[2];
	struct events events;
	struct shared_words s = { .ring = ring, .events = &events };
	__u64 end = now_ms() + 120000;
	struct exo_queue_query q[2];
	pthread_t threads[4];
	int i;

	make_shared(_metadata, self, &s);
	for (i = 0; i < 4; i++)
		ASSERT_EQ(0,
			  pthread_create(&threads[i], NULL, i < 2 ? write_words : use_words, &s));
	do {
		neighbour_for(_metadata, self, 4000);
	} while (!both_were_used(ring) && now_ms() < end);
	__atomic_store_n(&s.stop, true, __ATOMIC_RELAXED);
	for (i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, queue_query(self->fd, ring[i].cap, &q[i]));
		EXPECT_EQ(EXO_QUEUE_LIVE, q[i].out_state);
		EXPECT_LT(0, q[i].out_refused);
		EXPECT_LT(0, q[i].out_submitted);
	}
	TH_LOG("%lu stores; %llu and %llu commands taken, %llu and %llu refused", s.written,
	       q[0].out_submitted, q[1].out_submitted, q[0].out_refused, q[1].out_refused);
	nothing_is_left(_metadata, self);
}

/* ---- blocks that change hands ---- */

struct former {
	struct ring ring;
	__u64 buffer;
	bool stop;
	unsigned long written;
};

/* Writes as much at a time as the queue holds, whether it may or not. */
static void *keep_writing(void *arg)
{
	struct former *f = arg;
	struct cqe cqe;
	__u32 i, accepted;

	while (!__atomic_load_n(&f->stop, __ATOMIC_RELAXED)) {
		for (i = 0; i < f->ring.depth; i++) {
			struct sqe sqe = sqe_io(OP_WRITE, (__u16)i, 1,
						MINE + random_u32() % (MINE_BLOCKS - 8), 7,
						f->buffer);

			ring_push(&f->ring, &sqe);
		}
		queue_submit(f->ring.fd, f->ring.cap, &accepted);
		f->written += accepted;
		for (i = 0; i < accepted; i++)
			if (ring_reap(&f->ring, &cqe, 10000))
				return (void *)1;
		ring_rewind(&f->ring);
	}
	return NULL;
}

/* The next owner: writes all blocks, and finds nothing else in them for a while. */
static void own(struct __test_metadata *_metadata, FIXTURE_DATA(redteam) * self, struct ring *ring,
		struct buffer *b, __u32 round)
{
	char *room = (char *)b->at + SIDE * 512;
	__u64 at;
	int i;

	pattern(b->at, round, SIDE);
	for (at = 0; at < MINE_BLOCKS; at += SIDE)
		ASSERT_EQ(0, ring_io(ring, OP_WRITE, 1, MINE + at, SIDE, b->offset));
	for (i = 0; i < 3; i++) {
		for (at = 0; at < MINE_BLOCKS; at += SIDE) {
			ASSERT_EQ(0, ring_io(ring, OP_READ, 1, MINE + at, SIDE,
					     b->offset + SIDE * 512));
			ASSERT_TRUE(is_pattern(room, round, SIDE))
			{
				TH_LOG("round %u, block %llu", round, at);
			}
		}
		usleep(2000);
	}
	(void)self;
}

/* What its holder gives up, or what is taken from him, with as many commands queued as can be. */
TEST_F_TIMEOUT(redteam, blocks_that_changed_hands_are_never_written_by_who_had_them, 240)
{
	struct tenant *t = &self->t;
	struct former f = { 0 };
	struct buffer b;
	pthread_t thread;
	__u64 end = now_ms() + 8000;
	__u32 round, cap = 3;
	void *ret;

	ASSERT_EQ(0, ring_create(self->fd, 2, 32, &f.ring));
	ASSERT_EQ(0, buffer_alloc(self->fd, 1, EXO_ORDER_4K, 1, &b));
	ASSERT_EQ(0, buffer_attach(self->fd, 2, &b));
	memset(b.at, 0xaa, PAGE);
	f.buffer = b.offset;
	ASSERT_EQ(0, pthread_create(&thread, NULL, keep_writing, &f));
	for (round = 1; round < 100 && now_ms() < end; round++) {
		unsigned long before = __atomic_load_n(&f.written, __ATOMIC_RELAXED);

		ASSERT_EQ(0, queue_attach(self->fd, f.ring.cap, cap));
		while (__atomic_load_n(&f.written, __ATOMIC_RELAXED) < before + 64)
			usleep(200);
		if (round % 2)
			ASSERT_EQ(0, cap_revoke(t->grantor, self->extent, 0, 0, NULL));
		ASSERT_EQ(0, drop(self->fd, cap));
		own(_metadata, self, &self->neighbour, &self->b, round);
		ASSERT_EQ(0, derive(t->grantor, self->extent, RW, self->fd, 0, 0, &cap));
	}
	__atomic_store_n(&f.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, &ret);
	EXPECT_EQ(NULL, ret);
	TH_LOG("%u times, %lu writes", round - 1, f.written);
	EXPECT_LT(2, round);
	nothing_is_left(_metadata, self);
}

TEST_HARNESS_MAIN
