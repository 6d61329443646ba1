// SPDX-License-Identifier: MIT
/*
 * Revocation: asked for first, forced at the deadline, recorded exactly; whoever complies
 * keeps the rest, whoever does not gets a documented answer and never another's data.
 */
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <kselftest_harness.h>

#include "lib.h"

#define IO_TIMEOUT "/sys/module/exo/parameters/io_timeout_ms"
#define SLOW_NSID 2 /* of exo1: 20 commands a second */
#define RW (EXO_RIGHT_READ | EXO_RIGHT_WRITE)

/* ---- frames: root's pool -> a pool of the grantor -> two holders ---- */

FIXTURE(frames)
{
	int root, a, b;
	__u32 claim, pool; /* root's */
	__u32 pool_a, pool_b;
	struct events events_a, events_b;
};

FIXTURE_SETUP(frames)
{
	const __u32 rights = EXO_RIGHT_ALLOC | EXO_RIGHT_NAMES;

	self->root = session_open();
	self->a = session_open();
	self->b = session_open();
	ASSERT_LE(0, self->root);
	ASSERT_LE(0, self->b);
	ASSERT_EQ(0, claim_pool(self->root, &self->claim));
	ASSERT_EQ(0, pool_create(self->root, self->claim, rights, 16384, &self->pool));
	ASSERT_EQ(0, derive(self->root, self->pool, rights, self->a, 0, 0, &self->pool_a));
	ASSERT_EQ(0, derive(self->root, self->pool, rights, self->b, 0, 0, &self->pool_b));
	ASSERT_EQ(0, events_create(self->a, 64, &self->events_a));
	ASSERT_EQ(0, events_create(self->b, 64, &self->events_b));
	ASSERT_EQ(0, become_nobody());
}

FIXTURE_TEARDOWN(frames)
{
	close(self->a);
	close(self->b);
	close(self->root);
}

TEST_F(frames, forced_at_once_they_are_gone_everywhere)
{
	struct exo_revoke_record records[8];
	struct exo_revoke r = { .records = (uintptr_t)records, .count = 8 };
	struct exo_cap_taken t;
	struct exo_cap_query q;
	struct exo_event e;
	struct buffer buffer;
	__u64 used = frames_used(self->root), names[4];
	struct exo_frame_name before[4];
	__u32 shared, caps[4];
	volatile char *other;
	unsigned int i;

	ASSERT_EQ(0, buffer_alloc(self->a, self->pool_a, EXO_ORDER_4K, 4, &buffer));
	ASSERT_EQ(0, frames_names(self->a, buffer.cap, 0, 4, before));
	memset(buffer.at, 0x5a, 4 * PAGE);
	ASSERT_EQ(0, derive(self->a, buffer.cap, EXO_RIGHT_READ, self->b, 1, 2, &shared));
	ASSERT_EQ(0, query(self->b, shared, &q));
	other = mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, self->b,
		     (off_t)(q.out_mmap_offset + PAGE));
	ASSERT_NE(MAP_FAILED, other);
	ASSERT_EQ(0x5a, *other);

	/* pool_a, pool_b, the frames and their share. */
	ASSERT_EQ(0, cap_revoke(self->root, self->pool, 0, 0, &r));
	EXPECT_EQ(4, r.out_taken);
	EXPECT_EQ(4, r.out_asked);
	EXPECT_EQ(4, r.out_frames);
	EXPECT_EQ(used, frames_used(self->root));

	EXPECT_EQ(SIGBUS, touch_read(buffer.at));
	EXPECT_EQ(SIGBUS, touch_read(other));
	EXPECT_REFUSED(ESTALE, EXO_REASON_STALE, offsetof(struct exo_cap_query, cap), shared,
		       query(self->b, shared, &q));
	EXPECT_REFUSED(ESTALE, EXO_REASON_STALE, offsetof(struct exo_frames_names, frames),
		       buffer.cap, frames_names(self->a, buffer.cap, 0, 1, before));
	EXPECT_EQ(MAP_FAILED,
		  mmap(NULL, PAGE, PROT_READ, MAP_SHARED, self->a, (off_t)buffer.mmap_offset));
	EXPECT_EQ(ESTALE, errno);

	/* The record of who revoked. Leaves go first. */
	for (i = 0; i < 4 && records[i].type != EXO_TYPE_FRAMES; i++)
		;
	ASSERT_LT(i, 3);
	EXPECT_EQ(shared, records[i].cap);
	EXPECT_EQ(1, records[i].start);
	EXPECT_EQ(2, records[i].len);
	EXPECT_EQ(EXO_TYPE_FRAMES, records[i + 1].type);
	EXPECT_EQ(buffer.cap, records[i + 1].cap);
	EXPECT_EQ(4, records[i + 1].len);

	/* The holder's: events, the list, the names of what is gone. */
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, events_next(&self->events_b, &e, 0));
		EXPECT_EQ(EXO_EVENT_REVOKE, e.type);
		EXPECT_EQ(0, e.value);
	}
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, events_next(&self->events_b, &e, 0));
		EXPECT_EQ(EXO_EVENT_TAKEN, e.type);
	}
	EXPECT_EQ(-ETIMEDOUT, events_next(&self->events_b, &e, 0));
	EXPECT_EQ(2, list_marked(self->a, EXO_LIST_TAKEN, caps, 4));
	EXPECT_EQ(0, list_marked(self->a, EXO_LIST_ASKED, caps, 4));
	ASSERT_EQ(0, cap_taken(self->a, buffer.cap, &t));
	EXPECT_EQ(EXO_TYPE_FRAMES, t.out_type);
	EXPECT_EQ(0, t.out_start);
	EXPECT_EQ(4, t.out_len);
	EXPECT_EQ(12, t.out_unit_shift);
	t = (struct exo_cap_taken){ .cap = buffer.cap, .count = 4, .names = (uintptr_t)names };
	ASSERT_EQ(0, call(self->a, EXO_CAP_TAKEN, &t));
	for (i = 0; i < 4; i++)
		EXPECT_EQ(before[i].pfn, names[i]);
	EXPECT_EQ(0, drop(self->a, buffer.cap));
	EXPECT_EQ(1, list_marked(self->a, EXO_LIST_TAKEN, caps, 4));
	EXPECT_EQ(-ENOENT, cap_taken(self->a, buffer.cap, &t));
	munmap(buffer.at, buffer.size);
	munmap((void *)other, 2 * PAGE);
	/* The pool is root's as before. */
	EXPECT_EQ(0, query(self->root, self->pool, &q));
}

struct holder {
	struct events *events;
	bool stop;
	unsigned int given;
};

/* An honest holder: gives up whatever is asked for. */
static void *comply(void *arg)
{
	struct holder *h = arg;
	struct exo_event e;

	while (!__atomic_load_n(&h->stop, __ATOMIC_ACQUIRE))
		if (!events_next(h->events, &e, 20) && e.type == EXO_EVENT_REVOKE)
			h->given += !drop(h->events->fd, e.cap);
	return NULL;
}

TEST_F(frames, what_is_given_in_time_is_not_taken)
{
	struct holder a = { .events = &self->events_a }, b = { .events = &self->events_b };
	struct exo_frames_alloc f;
	struct exo_revoke r = { 0 };
	__u64 begin = now_ms();
	pthread_t ta, tb;
	unsigned int i;

	for (i = 0; i < 10; i++)
		ASSERT_EQ(0, frames_alloc(self->a, self->pool_a, EXO_ORDER_4K, 3, ANY_NODE, &f));
	ASSERT_EQ(0, pthread_create(&ta, NULL, comply, &a));
	ASSERT_EQ(0, pthread_create(&tb, NULL, comply, &b));
	EXPECT_EQ(0, cap_revoke(self->root, self->pool, 60000, 0, &r));
	EXPECT_EQ(12, r.out_asked);
	EXPECT_EQ(0, r.out_taken);
	EXPECT_EQ(30, r.out_frames);
	EXPECT_GT(begin + 30000, now_ms());
	a.stop = b.stop = true;
	pthread_join(ta, NULL);
	pthread_join(tb, NULL);
	EXPECT_EQ(11, a.given);
	EXPECT_EQ(1, b.given);
}

struct chooser {
	struct events *events;
	__u32 pool;
	__u32 give[2];
	bool right;
};

/* Asked for 20 frames of its pool, it gives two sets of ten that it picks. */
static void *choose(void *arg)
{
	struct chooser *c = arg;
	int fd = c->events->fd;
	struct exo_cap_query q;
	struct exo_event e;

	c->right = !events_next(c->events, &e, 20000) && e.type == EXO_EVENT_REVOKE &&
		   e.cap == c->pool && e.value == 20 && !query(fd, c->pool, &q) &&
		   q.out_wanted == 20 && q.out_deadline == e.deadline && !drop(fd, c->give[0]) &&
		   !drop(fd, c->give[1]);
	return NULL;
}

TEST_F(frames, so_many_of_a_pool_the_holder_chooses)
{
	struct chooser c = { .events = &self->events_a, .pool = self->pool_a };
	struct exo_frames_alloc f[8];
	struct exo_revoke r = { 0 };
	struct exo_cap_query q;
	struct exo_event e;
	pthread_t thread;
	unsigned int i;

	for (i = 0; i < 8; i++)
		ASSERT_EQ(0,
			  frames_alloc(self->a, self->pool_a, EXO_ORDER_4K, 10, ANY_NODE, &f[i]));
	c.give[0] = f[5].out_cap;
	c.give[1] = f[2].out_cap;
	ASSERT_EQ(0, pthread_create(&thread, NULL, choose, &c));
	EXPECT_EQ(0, cap_revoke(self->root, self->pool, 20000, 20, &r));
	pthread_join(thread, NULL);
	EXPECT_TRUE(c.right);
	EXPECT_EQ(0, r.out_taken);
	EXPECT_EQ(20, r.out_frames);
	for (i = 0; i < 8; i++)
		EXPECT_EQ(i == 5 || i == 2 ? -ENOENT : 0, query(self->a, f[i].out_cap, &q));
	ASSERT_EQ(0, events_next(&self->events_a, &e, 1000));
	EXPECT_EQ(EXO_EVENT_REVOKE_END, e.type);
}

TEST_F(frames, of_a_pool_only_as_much_is_taken_as_was_asked_for)
{
	struct exo_frames_alloc f[8];
	struct exo_cap_query q;
	struct exo_revoke r = { 0 };
	struct exo_event e;
	unsigned int i, alive = 0;
	__u32 share;

	for (i = 0; i < 8; i++)
		ASSERT_EQ(0,
			  frames_alloc(self->a, self->pool_a, EXO_ORDER_4K, 10, ANY_NODE, &f[i]));
	/* One is shared: it counts once both are gone. */
	ASSERT_EQ(0, derive(self->a, f[7].out_cap, RW, self->b, 0, 0, &share));
	ASSERT_EQ(0, cap_revoke(self->root, self->pool, 0, 35, &r));
	EXPECT_EQ(40, r.out_frames);
	for (i = 0; i < 8; i++)
		alive += !query(self->a, f[i].out_cap, &q);
	EXPECT_EQ(4, alive);
	/* b was asked for its pool and for the share, which came from no pool of its own. */
	ASSERT_EQ(0, events_next(&self->events_b, &e, 0));
	EXPECT_EQ(EXO_EVENT_REVOKE, e.type);
	EXPECT_EQ(35, e.value);
	/* The pools are still there, and the request is over. */
	ASSERT_EQ(0, query(self->a, self->pool_a, &q));
	EXPECT_EQ(0, q.out_deadline);
	EXPECT_EQ(0, frames_alloc(self->a, self->pool_a, EXO_ORDER_4K, 10, ANY_NODE, &f[0]));
	/* More than there is: all there is. */
	r = (struct exo_revoke){ 0 };
	ASSERT_EQ(0, cap_revoke(self->root, self->pool, 0, 1000000, &r));
	EXPECT_EQ(50, r.out_frames);
}

/* Gives one frame and takes it again, over and over. */
static void *churn(void *arg)
{
	struct chooser *c = arg;
	struct exo_frames_alloc f;

	while (!__atomic_load_n(&c->right, __ATOMIC_RELAXED))
		if (!frames_alloc(c->events->fd, c->pool, EXO_ORDER_4K, 1, ANY_NODE, &f))
			drop(c->events->fd, f.out_cap);
	return NULL;
}

TEST_F(frames, what_comes_back_only_to_be_allocated_again_does_not_count)
{
	struct chooser c = { .events = &self->events_a, .pool = self->pool_a };
	struct exo_revoke r = { 0 };
	struct exo_frames_alloc f;
	pthread_t thread;
	unsigned int i;

	for (i = 0; i < 10; i++)
		ASSERT_EQ(0, frames_alloc(self->a, self->pool_a, EXO_ORDER_4K, 10, ANY_NODE, &f));
	ASSERT_EQ(0, pthread_create(&thread, NULL, churn, &c));
	ASSERT_EQ(0, cap_revoke(self->root, self->pool, 200, 50, &r));
	EXPECT_LE(5, r.out_taken);
	EXPECT_LE(49, r.out_frames); /* one may be on its way */
	r = (struct exo_revoke){ 0 };
	ASSERT_EQ(0, cap_revoke(self->root, self->pool, 0, ~0ull, &r));
	EXPECT_LE(4, r.out_taken);
	c.right = true;
	pthread_join(thread, NULL);
	EXPECT_EQ(0, frames_used_soon(self->root, 0));
}

TEST_F(frames, nothing_grows_while_everything_is_asked_back)
{
	struct exo_frames_alloc f;
	struct exo_event e;
	__u32 cap;
	int status;
	pid_t pid;

	ASSERT_EQ(0, frames_alloc(self->a, self->pool_a, EXO_ORDER_4K, 1, ANY_NODE, &f));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(cap_revoke(self->root, self->pool, 500, 0, NULL) ? 1 : 0);
	ASSERT_EQ(0, events_next(&self->events_a, &e, 20000));
	EXPECT_REFUSED(EBUSY, EXO_REASON_REVOKING, 0, f.out_cap,
		       derive(self->a, f.out_cap, RW, EXO_SESSION_SELF, 0, 0, &cap));
	EXPECT_REFUSED(EBUSY, EXO_REASON_REVOKING, 0, self->pool_a,
		       frames_alloc(self->a, self->pool_a, EXO_ORDER_4K, 1, ANY_NODE, &f));
	EXPECT_REFUSED(EBUSY, EXO_REASON_REVOKING, 0, self->pool_a,
		       pool_create(self->a, self->pool_a, EXO_RIGHT_ALLOC, 1, &cap));
	EXPECT_REFUSED(EBUSY, EXO_REASON_REVOKING, 0, self->pool,
		       derive(self->root, self->pool, EXO_RIGHT_ALLOC, self->a, 0, 0, &cap));
	/* Beside it, all goes on. */
	EXPECT_EQ(0,
		  derive(self->root, self->claim, EXO_RIGHT_ALLOC, EXO_SESSION_SELF, 0, 0, &cap));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	/* And afterwards: what was taken is stale, the pool itself is as new. */
	EXPECT_REFUSED(ESTALE, EXO_REASON_STALE, offsetof(struct exo_frames_alloc, pool),
		       self->pool_a,
		       frames_alloc(self->a, self->pool_a, EXO_ORDER_4K, 1, ANY_NODE, &f));
	EXPECT_REFUSED(ESTALE, EXO_REASON_STALE, offsetof(struct exo_pool_create, pool),
		       self->pool_a, pool_create(self->a, self->pool_a, EXO_RIGHT_ALLOC, 1, &cap));
	EXPECT_REFUSED(ESTALE, EXO_REASON_STALE, offsetof(struct exo_cap_derive, cap), self->pool_a,
		       derive(self->a, self->pool_a, EXO_RIGHT_ALLOC, self->a, 0, 0, &cap));
	EXPECT_REFUSED(ESTALE, EXO_REASON_STALE, offsetof(struct exo_revoke, cap), self->pool_a,
		       cap_revoke(self->a, self->pool_a, 0, 0, NULL));
	EXPECT_REFUSED(ESTALE, EXO_REASON_STALE, offsetof(struct exo_pool_query, pool),
		       self->pool_a, pool_query(self->a, self->pool_a, NULL, NULL));
	EXPECT_EQ(0, derive(self->root, self->pool, EXO_RIGHT_ALLOC, self->a, 0, 0, &cap));
}

static void on_alarm(int signal __attribute__((unused)))
{
}

TEST_F(frames, a_signal_before_the_deadline_withdraws_the_request)
{
	struct sigaction action = { .sa_handler = on_alarm };
	struct exo_cap_query q;
	struct exo_frames_alloc f;
	struct exo_event e;
	__u32 caps[4];

	ASSERT_EQ(0, frames_alloc(self->a, self->pool_a, EXO_ORDER_4K, 1, ANY_NODE, &f));
	ASSERT_EQ(0, sigaction(SIGALRM, &action, NULL));
	ualarm(30000, 0);
	EXPECT_EQ(-EINTR, cap_revoke(self->root, self->pool, 60000, 0, NULL));
	ASSERT_EQ(0, events_next(&self->events_a, &e, 0));
	EXPECT_EQ(EXO_EVENT_REVOKE, e.type);
	ASSERT_EQ(0, events_next(&self->events_a, &e, 0));
	EXPECT_EQ(EXO_EVENT_REVOKE, e.type);
	ASSERT_EQ(0, events_next(&self->events_a, &e, 0));
	EXPECT_EQ(EXO_EVENT_REVOKE_END, e.type);
	EXPECT_EQ(0, list_marked(self->a, EXO_LIST_ASKED, caps, 4));
	ASSERT_EQ(0, query(self->a, f.out_cap, &q));
	EXPECT_EQ(0, q.out_deadline);
	EXPECT_EQ(0, derive(self->a, f.out_cap, RW, EXO_SESSION_SELF, 0, 0, caps));
}

/* Its own process, so that it can be killed: only the request of @cap's revocation is asked. */
static pid_t revoke_beside(FIXTURE_DATA(frames) * self, __u32 timeout_ms)
{
	pid_t pid = fork();

	if (!pid)
		_exit(-cap_revoke(self->root, self->pool, timeout_ms, 0, NULL));
	return pid;
}

static void next_is(struct __test_metadata *_metadata, FIXTURE_DATA(frames) * self, __u32 type,
		    __u64 *deadline)
{
	struct exo_event e;

	ASSERT_EQ(0, events_next(&self->events_a, &e, 5000));
	EXPECT_EQ(type, e.type);
	EXPECT_EQ(self->pool_a, e.cap);
	*deadline = e.deadline;
}

TEST_F(frames, of_two_requests_the_other_is_told_when_one_is_withdrawn)
{
	__u64 first, none, second, third;
	int status;
	pid_t late, soon;

	late = revoke_beside(self, 30000);
	ASSERT_LE(0, late);
	next_is(_metadata, self, EXO_EVENT_REVOKE, &first);
	/* More urgent: it is told, too, and when it is withdrawn, the other counts again. */
	soon = revoke_beside(self, 20000);
	ASSERT_LE(0, soon);
	next_is(_metadata, self, EXO_EVENT_REVOKE, &second);
	EXPECT_GT(first, second);
	ASSERT_EQ(0, kill(soon, SIGKILL));
	ASSERT_EQ(soon, waitpid(soon, &status, 0));
	next_is(_metadata, self, EXO_EVENT_REVOKE_END, &none);
	next_is(_metadata, self, EXO_EVENT_REVOKE, &third);
	EXPECT_EQ(first, third);

	/* Less urgent: nobody is told before the first is withdrawn. */
	soon = late;
	late = revoke_beside(self, 40000);
	ASSERT_LE(0, late);
	EXPECT_EQ(-ETIMEDOUT, events_next(&self->events_a, &(struct exo_event){}, 300));
	ASSERT_EQ(0, kill(soon, SIGKILL));
	ASSERT_EQ(soon, waitpid(soon, &status, 0));
	next_is(_metadata, self, EXO_EVENT_REVOKE_END, &none);
	next_is(_metadata, self, EXO_EVENT_REVOKE, &second);
	EXPECT_LT(first, second);

	/* What is given ends it: it was not by force. */
	EXPECT_EQ(0, drop(self->a, self->pool_a));
	EXPECT_EQ(0, drop(self->b, self->pool_b));
	ASSERT_EQ(late, waitpid(late, &status, 0));
	EXPECT_EQ(0, status);
}

TEST_F(frames, an_overflowing_event_ring_is_told_and_loses_no_request)
{
	struct exo_frames_alloc f;
	struct exo_event e;
	__u32 caps[256];
	unsigned int i;
	pid_t pid;

	for (i = 0; i < 200; i++)
		ASSERT_EQ(0, frames_alloc(self->a, self->pool_a, EXO_ORDER_4K, 1, ANY_NODE, &f));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		cap_revoke(self->root, self->pool, 60000, 0, NULL);
		_exit(0);
	}
	/* 201 are asked for, 64 fit. */
	while (__atomic_load_n(&self->events_a.status->lost, __ATOMIC_ACQUIRE) < 137)
		sched_yield();
	EXPECT_EQ(64, self->events_a.status->tail);
	EXPECT_EQ(201, list_marked(self->a, EXO_LIST_ASKED, caps, 256));
	for (i = 0; i < 64; i++)
		ASSERT_EQ(0, events_next(&self->events_a, &e, 0));
	EXPECT_EQ(-ETIMEDOUT, events_next(&self->events_a, &e, 0));
	kill(pid, SIGKILL);
	ASSERT_EQ(pid, waitpid(pid, NULL, 0));
	/* The revoker died: the request is withdrawn, nothing was taken. */
	EXPECT_EQ(0, list_marked(self->a, EXO_LIST_ASKED, caps, 256));
	EXPECT_EQ(0, list_marked(self->a, EXO_LIST_TAKEN, caps, 256));
	EXPECT_EQ(201, list(self->a, caps, 256));
}

TEST_F(frames, any_32_bit_head_is_harmless)
{
	const __u32 heads[] = { 0, 1, 63, 64, 65, 0x7fffffff, 0x80000000, ~0u };
	struct exo_frames_alloc f;
	struct pollfd p = { .fd = self->a, .events = POLLIN };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(heads); i++) {
		self->events_a.control->head = heads[i];
		ASSERT_EQ(0, frames_alloc(self->a, self->pool_a, EXO_ORDER_4K, 1, ANY_NODE, &f));
		EXPECT_LE(0, poll(&p, 1, 0));
		ASSERT_EQ(0, cap_revoke(self->a, self->pool_a, 0, 0, NULL));
		EXPECT_EQ(-ESTALE, derive(self->a, f.out_cap, RW, EXO_SESSION_SELF, 0, 0, &f.pool));
	}
}

TEST_F(frames, wrong_arguments_are_refused)
{
	struct exo_revoke_record record;
	struct exo_revoke r = { .count = EXO_RECORDS_MAX + 1 };
	struct exo_cap_taken t;
	struct exo_frames_alloc f;
	__u64 name;
	__u32 cap;

	ASSERT_EQ(0, frames_alloc(self->a, self->pool_a, EXO_ORDER_4K, 4, ANY_NODE, &f));
	EXPECT_REFUSED(ENOENT, EXO_REASON_NO_CAP, offsetof(struct exo_revoke, cap), 9999,
		       cap_revoke(self->root, 9999, 0, 0, NULL));
	EXPECT_REFUSED(EINVAL, EXO_REASON_WRONG_TYPE, offsetof(struct exo_revoke, frames),
		       EXO_TYPE_FRAMES, cap_revoke(self->a, f.out_cap, 0, 1, NULL));
	EXPECT_REFUSED(EINVAL, EXO_REASON_VALUE, offsetof(struct exo_revoke, count),
		       EXO_RECORDS_MAX + 1, cap_revoke(self->a, f.out_cap, 0, 0, &r));
	ASSERT_EQ(0, derive(self->a, f.out_cap, RW, self->b, 1, 2, &cap));
	r = (struct exo_revoke){ .count = 1, .records = 8 };
	EXPECT_EQ(-EFAULT, cap_revoke(self->a, f.out_cap, 0, 0, &r));
	EXPECT_EQ(0, cap_taken(self->b, cap, &t));
	EXPECT_REFUSED(EINVAL, EXO_REASON_NOT_TAKEN, offsetof(struct exo_cap_taken, cap), f.out_cap,
		       cap_taken(self->a, f.out_cap, &t));
	EXPECT_REFUSED(ENOENT, EXO_REASON_NO_CAP, offsetof(struct exo_cap_taken, cap), 9999,
		       cap_taken(self->a, 9999, &t));
	/* Names need the right, and lie in the range. */
	t = (struct exo_cap_taken){ .cap = cap, .first = 1, .count = 1, .names = (uintptr_t)&name };
	EXPECT_REFUSED(EACCES, EXO_REASON_RIGHT, offsetof(struct exo_cap_taken, cap),
		       EXO_RIGHT_NAMES, call(self->b, EXO_CAP_TAKEN, &t));
	r = (struct exo_revoke){ .count = 1, .records = (uintptr_t)&record };
	ASSERT_EQ(0, cap_revoke(self->root, self->pool, 0, 0, &r));
	t = (struct exo_cap_taken){ .cap = f.out_cap, .first = 4, .count = 1 };
	EXPECT_REFUSED(ERANGE, EXO_REASON_RANGE, offsetof(struct exo_cap_taken, first), 4,
		       call(self->a, EXO_CAP_TAKEN, &t));
	t = (struct exo_cap_taken){ .cap = f.out_cap, .first = 3, .count = 2 };
	EXPECT_REFUSED(ERANGE, EXO_REASON_RANGE, offsetof(struct exo_cap_taken, count), 4,
		       call(self->a, EXO_CAP_TAKEN, &t));
	t = (struct exo_cap_taken){ .cap = f.out_cap, .first = 3, .count = 1, .names = 8 };
	EXPECT_EQ(-EFAULT, call(self->a, EXO_CAP_TAKEN, &t));
	t = (struct exo_cap_taken){ .cap = self->pool_a, .count = 1, .names = (uintptr_t)&name };
	EXPECT_REFUSED(EINVAL, EXO_REASON_WRONG_TYPE, offsetof(struct exo_cap_taken, cap),
		       EXO_TYPE_POOL, call(self->a, EXO_CAP_TAKEN, &t));
}

/* ---- the tree, wide and deep ---- */

struct listing {
	struct exo_tree_entry *entries;
	__u32 n;
	__u64 top;
};

static int tree_list(int fd, __u32 cap, __u64 skip, __u32 max, struct listing *out)
{
	struct exo_tree_list arg = {
		.cap = cap,
		.skip = skip,
		.count = max,
		.entries = (uintptr_t)out->entries,
	};
	int ret = call(fd, EXO_TREE_LIST, &arg);

	out->n = arg.out_count;
	out->top = arg.out_node;
	return ret;
}

TEST_F(frames, the_listing_says_who_holds_what)
{
	struct exo_tree_entry entries[8];
	struct listing l = { .entries = entries };
	struct exo_frames_alloc f;
	__u32 cap;

	ASSERT_EQ(0, frames_alloc(self->a, self->pool_a, EXO_ORDER_4K, 4, ANY_NODE, &f));
	ASSERT_EQ(0, derive(self->a, f.out_cap, RW, self->b, 1, 2, &cap));
	ASSERT_EQ(0, tree_list(self->a, f.out_cap, 0, 8, &l));
	ASSERT_EQ(1, l.n);
	EXPECT_EQ(l.top, entries[0].parent);
	EXPECT_EQ(EXO_TYPE_FRAMES, entries[0].type);
	EXPECT_EQ(RW, entries[0].rights);
	EXPECT_EQ(1, entries[0].start);
	EXPECT_EQ(2, entries[0].len);
	EXPECT_EQ(12, entries[0].unit_shift);
	EXPECT_EQ(cap, entries[0].cap);
	EXPECT_EQ(EXO_TREE_HELD, entries[0].state);
	EXPECT_EQ(getpid(), entries[0].pid);
	EXPECT_EQ(0, entries[0].uid);
	/* A dropped one stays while something hangs from it; parents come first. */
	ASSERT_EQ(0, drop(self->a, f.out_cap));
	ASSERT_EQ(0, tree_list(self->root, self->pool, 0, 8, &l));
	ASSERT_EQ(4, l.n);
	for (cap = 0; cap < 4 && entries[cap].state != EXO_TREE_DROPPED; cap++)
		;
	ASSERT_GT(3, cap);
	EXPECT_EQ(entries[cap].node, entries[cap + 1].parent);
	for (cap = 0; cap < 4 && entries[cap].type != EXO_TYPE_POOL; cap++)
		;
	ASSERT_GT(4, cap);
	EXPECT_EQ(16384, entries[cap].budget);
	EXPECT_EQ(4, entries[cap].used);
	/* In pieces. */
	ASSERT_EQ(0, tree_list(self->root, self->pool, 3, 8, &l));
	EXPECT_EQ(1, l.n);
	ASSERT_EQ(0, tree_list(self->root, self->pool, 4, 8, &l));
	EXPECT_EQ(0, l.n);
	/* Any number may be left out. */
	ASSERT_EQ(0, tree_list(self->root, self->pool, ~0ull, 1, &l));
	EXPECT_EQ(0, l.n);
	ASSERT_EQ(0, tree_list(self->root, self->pool, ~0ull - 7, 8, &l));
	EXPECT_EQ(0, l.n);
	EXPECT_REFUSED(EINVAL, EXO_REASON_VALUE, offsetof(struct exo_tree_list, count), 0,
		       tree_list(self->root, self->pool, 0, 0, &l));
	EXPECT_REFUSED(ENOENT, EXO_REASON_NO_CAP, offsetof(struct exo_tree_list, cap), 9999,
		       tree_list(self->root, 9999, 0, 8, &l));
	l.entries = (void *)8;
	EXPECT_EQ(-EFAULT, tree_list(self->root, self->pool, 0, 8, &l));
	ASSERT_EQ(0, cap_revoke(self->root, self->pool, 0, 0, NULL));
	EXPECT_REFUSED(ESTALE, EXO_REASON_STALE, offsetof(struct exo_tree_list, cap), self->pool_a,
		       tree_list(self->a, self->pool_a, 0, 8, &l));
}

/* The node of a capability; 0: it has none. */
static __u64 node_of(int fd, __u32 cap)
{
	struct exo_tree_entry entry;
	struct listing l = { .entries = &entry };

	return tree_list(fd, cap, 0, 1, &l) ? 0 : l.top;
}

TEST_F(frames, of_one_node_all_goes_and_nothing_beside_it)
{
	struct exo_revoke_record records[4];
	struct exo_revoke r = { .records = (uintptr_t)records, .count = 4 };
	struct exo_frames_alloc f, other;
	struct exo_cap_query q;
	struct exo_event e;
	__u32 share, below, beside;

	ASSERT_EQ(0, frames_alloc(self->a, self->pool_a, EXO_ORDER_4K, 4, ANY_NODE, &f));
	ASSERT_EQ(0, frames_alloc(self->a, self->pool_a, EXO_ORDER_4K, 5, ANY_NODE, &other));
	ASSERT_EQ(0, derive(self->a, f.out_cap, RW, self->b, 0, 1, &share));
	ASSERT_EQ(0, derive(self->b, share, EXO_RIGHT_READ, self->a, 0, 0, &below));
	ASSERT_EQ(0, derive(self->a, f.out_cap, RW, self->b, 1, 2, &beside));
	r.node = node_of(self->b, share);
	ASSERT_NE(0, r.node);
	ASSERT_EQ(0, cap_revoke(self->root, self->claim, 0, 0, &r));
	EXPECT_EQ(2, r.out_asked);
	ASSERT_EQ(2, r.out_taken);
	EXPECT_EQ(below, records[0].cap);
	EXPECT_EQ(share, records[1].cap);
	EXPECT_EQ(-ESTALE, query(self->b, share, &q));
	EXPECT_EQ(-ESTALE, query(self->a, below, &q));
	EXPECT_EQ(0, query(self->b, beside, &q));
	EXPECT_EQ(0, query(self->a, f.out_cap, &q));
	ASSERT_EQ(0, events_next(&self->events_b, &e, 0));
	EXPECT_EQ(EXO_EVENT_REVOKE, e.type);
	EXPECT_EQ(share, e.cap);
	/* It is no node any more, and what others may derive is as before. */
	EXPECT_REFUSED(ENOENT, EXO_REASON_NO_NODE, offsetof(struct exo_revoke, node), r.node,
		       cap_revoke(self->root, self->claim, 0, 0, &r));
	EXPECT_EQ(0, derive(self->a, f.out_cap, RW, self->b, 0, 1, &share));
	/* One that its holder dropped, and that others hold parts of. */
	r.node = node_of(self->a, f.out_cap);
	ASSERT_EQ(0, drop(self->a, f.out_cap));
	ASSERT_EQ(0, cap_revoke(self->root, self->pool, 0, 0, &r));
	EXPECT_EQ(2, r.out_taken);
	EXPECT_EQ(-ESTALE, query(self->b, beside, &q));
	EXPECT_EQ(0, query(self->a, other.out_cap, &q));
}

TEST_F(frames, a_node_is_given_in_time_or_taken_with_its_frames)
{
	struct holder a = { .events = &self->events_a };
	struct exo_frames_alloc f;
	struct exo_cap_query q;
	struct exo_revoke r = { 0 };
	__u64 begin = now_ms();
	pthread_t thread;

	ASSERT_EQ(0, frames_alloc(self->a, self->pool_a, EXO_ORDER_4K, 4, ANY_NODE, &f));
	r.node = node_of(self->a, f.out_cap);
	ASSERT_EQ(0, pthread_create(&thread, NULL, comply, &a));
	EXPECT_EQ(0, cap_revoke(self->root, self->claim, 60000, 0, &r));
	EXPECT_GT(begin + 30000, now_ms());
	EXPECT_EQ(1, r.out_asked);
	EXPECT_EQ(0, r.out_taken);
	a.stop = true;
	pthread_join(thread, NULL);
	EXPECT_EQ(1, a.given);
	EXPECT_EQ(-ENOENT, query(self->a, f.out_cap, &q));
	/* Of the pool that a node is, so many frames; its holder is asked, others are not. */
	ASSERT_EQ(0, frames_alloc(self->a, self->pool_a, EXO_ORDER_4K, 4, ANY_NODE, &f));
	ASSERT_EQ(0, frames_alloc(self->b, self->pool_b, EXO_ORDER_4K, 9, ANY_NODE, &f));
	r = (struct exo_revoke){ .node = node_of(self->a, self->pool_a) };
	ASSERT_NE(0, r.node);
	ASSERT_EQ(0, cap_revoke(self->root, self->claim, 0, 3, &r));
	EXPECT_EQ(1, r.out_asked);
	EXPECT_EQ(1, r.out_taken);
	EXPECT_EQ(4, r.out_frames);
	EXPECT_EQ(0, query(self->b, f.out_cap, &q));
	EXPECT_EQ(0, query(self->a, self->pool_a, &q));
	r.node = node_of(self->b, f.out_cap);
	EXPECT_REFUSED(EINVAL, EXO_REASON_WRONG_TYPE, offsetof(struct exo_revoke, frames),
		       EXO_TYPE_FRAMES, cap_revoke(self->root, self->claim, 0, 1, &r));
}

TEST_F(frames, only_what_lies_below_the_capability_is_taken_by_its_node)
{
	struct exo_frames_alloc f;
	struct exo_cap_query q;
	struct exo_revoke r = { 0 };

	ASSERT_EQ(0, frames_alloc(self->b, self->pool_b, EXO_ORDER_4K, 1, ANY_NODE, &f));
	r.node = node_of(self->b, f.out_cap);
	ASSERT_NE(0, r.node);
	EXPECT_REFUSED(ENOENT, EXO_REASON_NO_NODE, offsetof(struct exo_revoke, node), r.node,
		       cap_revoke(self->a, self->pool_a, 0, 0, &r));
	/* Nor oneself, nor what lies above. */
	r.node = node_of(self->b, self->pool_b);
	EXPECT_REFUSED(ENOENT, EXO_REASON_NO_NODE, offsetof(struct exo_revoke, node), r.node,
		       cap_revoke(self->b, self->pool_b, 0, 0, &r));
	EXPECT_REFUSED(ENOENT, EXO_REASON_NO_NODE, offsetof(struct exo_revoke, node), r.node,
		       cap_revoke(self->b, f.out_cap, 0, 0, &r));
	EXPECT_EQ(0, query(self->b, f.out_cap, &q));
}

TEST_F(frames, a_hundred_thousand_children_derive_list_drop_and_revoke)
{
	const __u32 n = 100000;
	struct listing l = { .entries = calloc(65536, sizeof(*l.entries)) };
	struct exo_frames_alloc f;
	__u32 i, cap, first = 0;
	struct exo_revoke r = { 0 };

	ASSERT_NE(NULL, l.entries);
	ASSERT_EQ(0, frames_alloc(self->a, self->pool_a, EXO_ORDER_4K, 4, ANY_NODE, &f));
	for (i = 0; i < n; i++) {
		ASSERT_EQ(0, derive(self->a, f.out_cap, RW, self->b, i % 4, 1, &cap));
		first = first ?: cap;
	}
	ASSERT_EQ(0, tree_list(self->a, f.out_cap, 0, 65536, &l));
	EXPECT_EQ(65536, l.n);
	ASSERT_EQ(0, tree_list(self->a, f.out_cap, 65536, 65536, &l));
	EXPECT_EQ(n - 65536, l.n);
	for (i = 0; i < n / 2; i++)
		ASSERT_EQ(0, drop(self->b, first + i));
	ASSERT_EQ(0, cap_revoke(self->a, f.out_cap, 0, 0, &r));
	EXPECT_EQ(n / 2, r.out_asked);
	EXPECT_EQ(n / 2, r.out_taken);
	ASSERT_EQ(0, tree_list(self->a, f.out_cap, 0, 8, &l));
	EXPECT_EQ(0, l.n);
	free(l.entries);
}

TEST_F(frames, a_chain_as_deep_as_it_may_be_goes_leaf_first)
{
	struct exo_revoke_record records[40];
	struct exo_revoke r = { .records = (uintptr_t)records, .count = 40 };
	struct exo_frames_alloc f;
	__u32 cap, i, n = 0;

	ASSERT_EQ(0, frames_alloc(self->a, self->pool_a, EXO_ORDER_4K, 4, ANY_NODE, &f));
	cap = f.out_cap;
	while (!derive(self->a, cap, RW, n % 2 ? self->a : self->b, 0, 0, &i)) {
		ASSERT_GT(40, n);
		n++;
		if (n % 2 == 0)
			cap = i;
		else if (derive(self->b, i, RW, self->a, 0, 0, &cap))
			break;
	}
	ASSERT_EQ(0, cap_revoke(self->a, f.out_cap, 0, 0, &r));
	EXPECT_LE(n, r.out_taken);
	EXPECT_EQ(0, derive(self->a, f.out_cap, RW, self->b, 0, 0, &i));
}

/* ---- claims ---- */

FIXTURE(claims)
{
	int first, second, tenant;
};

FIXTURE_SETUP(claims)
{
	self->first = session_open();
	self->second = session_open();
	self->tenant = session_open();
	ASSERT_LE(0, self->tenant);
}

FIXTURE_TEARDOWN(claims)
{
	close(self->first);
	close(self->second);
	close(self->tenant);
}

TEST_F(claims, a_new_claim_takes_back_what_a_dead_holder_granted)
{
	__u32 a, b, pool, granted;
	struct exo_frames_alloc f;
	struct exo_cap_query q;
	struct exo_revoke r = { 0 };

	ASSERT_EQ(0, claim_pool(self->first, &a));
	ASSERT_EQ(0, pool_create(self->first, a, EXO_RIGHT_ALLOC, 64, &pool));
	ASSERT_EQ(0, derive(self->first, pool, EXO_RIGHT_ALLOC, self->tenant, 0, 0, &granted));
	ASSERT_EQ(0, frames_alloc(self->tenant, granted, EXO_ORDER_4K, 8, ANY_NODE, &f));
	close(self->first);
	/* The tenant runs on. */
	ASSERT_EQ(0, query(self->tenant, f.out_cap, &q));
	ASSERT_EQ(0, frames_alloc(self->tenant, granted, EXO_ORDER_4K, 8, ANY_NODE, &f));
	ASSERT_EQ(0, claim_pool(self->second, &b));
	ASSERT_EQ(0, cap_revoke(self->second, b, 0, 0, &r));
	EXPECT_EQ(3, r.out_taken);
	EXPECT_EQ(16, r.out_frames);
	EXPECT_EQ(-ESTALE, query(self->tenant, f.out_cap, &q));
	EXPECT_EQ(0, query(self->second, b, &q));
	self->first = session_open();
}

TEST_F(claims, a_claim_does_not_take_another_claim)
{
	struct exo_cap_query q;
	__u32 a, b, pool;

	ASSERT_EQ(0, claim_pool(self->first, &a));
	ASSERT_EQ(0, claim_pool(self->second, &b));
	ASSERT_EQ(0, pool_create(self->first, a, EXO_RIGHT_ALLOC, 64, &pool));
	ASSERT_EQ(0, cap_revoke(self->second, b, 0, 0, NULL));
	EXPECT_EQ(0, query(self->first, a, &q));
	EXPECT_EQ(-ESTALE, query(self->first, pool, &q));
	EXPECT_EQ(0, pool_create(self->first, a, EXO_RIGHT_ALLOC, 64, &pool));
}

/* ---- controllers, extents, queues, buffers: with commands in flight ---- */

FIXTURE(device)
{
	struct tenant t;
	int other;
	struct ring ring;
	struct buffer buffer;
	__u32 slow, root_slow;
	struct events events;
	char timeout[16];
};

FIXTURE_SETUP(device)
{
	TENANT_SETUP(&self->t, "exo1");
	self->other = session_open();
	ASSERT_EQ(0, read_file(IO_TIMEOUT, self->timeout, sizeof(self->timeout)));
	ASSERT_EQ(0, extent_create(self->t.grantor, self->t.root_controller, SLOW_NSID,
				   EXO_RIGHT_READ, 0, 4096, &self->root_slow));
	ASSERT_EQ(0, derive(self->t.grantor, self->root_slow, EXO_RIGHT_READ, self->t.fd, 0, 0,
			    &self->slow));
	ASSERT_EQ(0, ring_create(self->t.fd, self->t.controller, 63, &self->ring));
	ASSERT_EQ(0, queue_attach(self->t.fd, self->ring.cap, self->t.extent));
	ASSERT_EQ(0, queue_attach(self->t.fd, self->ring.cap, self->slow));
	ASSERT_EQ(0, buffer_alloc(self->t.fd, self->t.pool, EXO_ORDER_4K, 64, &self->buffer));
	ASSERT_EQ(0, buffer_attach(self->t.fd, self->t.controller, &self->buffer));
	ASSERT_EQ(0, events_create(self->t.fd, 64, &self->events));
}

FIXTURE_TEARDOWN(device)
{
	write_file(IO_TIMEOUT, self->timeout);
	close(self->other);
	tenant_destroy(&self->t);
}

static void fill_queue(struct __test_metadata *_metadata, struct ring *ring, struct buffer *b,
		       unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++) {
		struct sqe sqe = sqe_io(OP_READ, i, SLOW_NSID, i, 0, b->offset + i * PAGE);

		ring_push(ring, &sqe);
	}
	ASSERT_EQ(0, ring_submit(ring, NULL));
}

TEST_F(device, an_extent_on_a_busy_queue_goes_when_its_commands_have_ended)
{
	struct exo_cap_taken t;
	struct exo_revoke r = { 0 };
	unsigned int i;
	struct cqe cqe;

	fill_queue(_metadata, &self->ring, &self->buffer, 10);
	ASSERT_EQ(0, cap_revoke(self->t.grantor, self->root_slow, 0, 0, &r));
	EXPECT_EQ(1, r.out_taken);
	/* All ten completed before the call returned, and the queue lives. */
	for (i = 0; i < 10; i++) {
		ASSERT_EQ(0, ring_reap(&self->ring, &cqe, 0));
		EXPECT_EQ(0, cqe.status >> 1);
	}
	EXPECT_EQ(EXO_QUEUE_LIVE, self->ring.status->state);
	EXPECT_EQ(-ERANGE, ring_io(&self->ring, OP_READ, SLOW_NSID, 0, 1, self->buffer.offset));
	EXPECT_EQ(0, ring_io(&self->ring, OP_READ, 1, EXTENT_FIRST, 1, self->buffer.offset));
	ASSERT_EQ(0, cap_taken(self->t.fd, self->slow, &t));
	EXPECT_EQ(SLOW_NSID, t.out_nsid);
	EXPECT_EQ(0, t.out_start);
	EXPECT_EQ(4096, t.out_len);
	EXPECT_EQ(-ESTALE, queue_attach(self->t.fd, self->ring.cap, self->slow));
}

TEST_F(device, an_extent_on_a_stuck_queue_takes_the_queue_with_it_and_its_holder_is_told)
{
	struct exo_event e;
	__u64 begin;

	ASSERT_EQ(0, write_file(IO_TIMEOUT, "200"));
	fill_queue(_metadata, &self->ring, &self->buffer, 60);
	begin = now_ms();
	ASSERT_EQ(0, cap_revoke(self->t.grantor, self->root_slow, 0, 0, NULL));
	EXPECT_GT(begin + 8000, now_ms());
	EXPECT_EQ(EXO_QUEUE_DEAD, self->ring.status->state);
	EXPECT_EQ(-ESTALE, ring_submit(&self->ring, NULL));
	do {
		ASSERT_EQ(0, events_next(&self->events, &e, 5000));
	} while (e.type != EXO_EVENT_QUEUE_DEAD);
	EXPECT_EQ(self->ring.cap, e.cap);
}

TEST_F(device, frames_with_dma_in_flight_are_freed_only_when_it_has_ended)
{
	__u64 used = frames_used(self->t.fd);
	__u32 root_pool;
	struct exo_revoke r = { 0 };
	struct cqe cqe;
	unsigned int i;

	ASSERT_EQ(0, claim_pool(self->t.grantor, &root_pool));
	fill_queue(_metadata, &self->ring, &self->buffer, 10);
	ASSERT_EQ(0, cap_revoke(self->t.grantor, root_pool, 0, 64, &r));
	EXPECT_EQ(64, r.out_frames);
	EXPECT_EQ(used - 64, frames_used(self->t.fd));
	for (i = 0; i < 10; i++)
		ASSERT_EQ(0, ring_reap(&self->ring, &cqe, 0));
	EXPECT_EQ(SIGBUS, touch_read(self->buffer.at));
	EXPECT_EQ(-EFAULT, ring_io(&self->ring, OP_READ, 1, EXTENT_FIRST, 1, self->buffer.offset));
	EXPECT_EQ(EXO_QUEUE_LIVE, self->ring.status->state);
	EXPECT_EQ(-ESTALE, dma_detach(self->t.fd, self->t.controller, self->buffer.cap));
}

TEST_F(device, a_busy_queue_is_taken_and_its_rings_stay_readable)
{
	struct exo_queue_query q;
	struct exo_cap_taken t;
	struct exo_event e;
	__u64 ready;

	fill_queue(_metadata, &self->ring, &self->buffer, 5);
	ASSERT_EQ(0, cap_revoke(self->t.grantor, self->t.root_controller, 0, 0, NULL));
	EXPECT_EQ(EXO_QUEUE_DEAD, self->ring.status->state);
	EXPECT_EQ(0, touch_read(self->ring.cq));
	EXPECT_EQ(0, touch_write(self->ring.control));
	EXPECT_REFUSED(ESTALE, EXO_REASON_STALE, offsetof(struct exo_queue_submit, queue),
		       self->ring.cap, ring_submit(&self->ring, NULL));
	EXPECT_REFUSED(ESTALE, EXO_REASON_STALE, offsetof(struct exo_queue_eventfd, queue),
		       self->ring.cap, queue_eventfd(self->t.fd, self->ring.cap, -1));
	EXPECT_EQ(0, queue_query(self->t.fd, self->ring.cap, &q));
	EXPECT_EQ(EXO_QUEUE_DEAD, q.out_state);
	EXPECT_EQ(0, wait_queues(self->t.fd, &self->ring.cap, 1, EXO_WAIT_FOREVER, &ready));
	EXPECT_EQ(1, ready);
	ASSERT_EQ(0, cap_taken(self->t.fd, self->ring.cap, &t));
	EXPECT_EQ(EXO_TYPE_QUEUE, t.out_type);
	EXPECT_EQ(self->ring.qid, t.out_qid);
	EXPECT_EQ(self->t.address, t.out_address);
	/* Whoever is told of the taking is not told of a death too. */
	while (!events_next(&self->events, &e, 100))
		EXPECT_NE(EXO_EVENT_QUEUE_DEAD, e.type);
	/* The controller can be granted anew, and has all its queues. */
	EXPECT_EQ(0, derive(self->t.grantor, self->t.root_controller, EXO_RIGHT_QUEUE, self->other,
			    0, 0, &t.cap));
	for (ready = 0; ready < 4; ready++) {
		struct exo_queue_create c;

		EXPECT_EQ(0, queue_create(self->other, t.cap, 8, &c));
	}
}

TEST_F(device, one_of_two_holders_of_a_queue_loses_it_alone)
{
	struct exo_event e;
	__u64 ready;
	__u32 cap;

	ASSERT_EQ(0, derive(self->t.fd, self->ring.cap, EXO_RIGHT_SUBMIT, self->other, 0, 0, &cap));
	ASSERT_EQ(0, cap_revoke(self->t.fd, self->ring.cap, 0, 0, NULL));
	EXPECT_EQ(-ESTALE, queue_submit(self->other, cap, NULL));
	EXPECT_EQ(0, wait_queues(self->other, &cap, 1, EXO_WAIT_FOREVER, &ready));
	EXPECT_EQ(1, ready);
	EXPECT_EQ(0, ring_io(&self->ring, OP_READ, 1, EXTENT_FIRST, 1, self->buffer.offset));
	EXPECT_EQ(-ETIMEDOUT, events_next(&self->events, &e, 0));
	/* And again: what was taken before does not count. */
	ASSERT_EQ(0, derive(self->t.fd, self->ring.cap, EXO_RIGHT_SUBMIT, self->other, 0, 0, &cap));
	ASSERT_EQ(0, cap_revoke(self->t.fd, self->ring.cap, 0, 0, NULL));
	EXPECT_EQ(EXO_QUEUE_LIVE, self->ring.status->state);
	EXPECT_EQ(0, ring_io(&self->ring, OP_READ, 1, EXTENT_FIRST, 1, self->buffer.offset));
}

TEST_F(device, an_eventfd_goes_with_the_capability_through_which_it_was_set)
{
	int efd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	__u64 count, ready;
	__u32 cap;

	ASSERT_LE(0, efd);
	ASSERT_EQ(0, derive(self->t.fd, self->ring.cap, EXO_RIGHT_SUBMIT, self->other, 0, 0, &cap));
	ASSERT_EQ(0, queue_eventfd(self->other, cap, efd));
	ASSERT_EQ(0, cap_revoke(self->t.fd, self->ring.cap, 0, 0, NULL));
	while (read(efd, &count, 8) == 8)
		;
	fill_queue(_metadata, &self->ring, &self->buffer, 2);
	ASSERT_EQ(0,
		  wait_queues(self->t.fd, &self->ring.cap, 1, now_ns() + 20000000000ull, &ready));
	EXPECT_EQ(1, ready);
	EXPECT_EQ(-1, read(efd, &count, 8));
	close(efd);
}

TEST_F(device, many_stuck_queues_are_waited_for_side_by_side)
{
	struct ring rings[3];
	struct exo_revoke r = { 0 };
	__u64 begin;
	unsigned int i;

	ASSERT_EQ(0, write_file(IO_TIMEOUT, "1500"));
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, ring_create(self->t.fd, self->t.controller, 63, &rings[i]));
		ASSERT_EQ(0, queue_attach(self->t.fd, rings[i].cap, self->slow));
		fill_queue(_metadata, &rings[i], &self->buffer, 40);
	}
	begin = now_ms();
	ASSERT_EQ(0, cap_revoke(self->t.grantor, self->root_slow, 0, 0, &r));
	/* Three times 1.5 s one after the other, and what the device needs to end them. */
	TH_LOG("%llu ms", now_ms() - begin);
	for (i = 0; i < 3; i++)
		EXPECT_EQ(EXO_QUEUE_DEAD, rings[i].status->state);
	EXPECT_EQ(1, r.out_taken);
}

TEST_F(device, nothing_is_made_of_a_controller_that_is_asked_back)
{
	const __u32 rights = EXO_RIGHT_QUEUE | EXO_RIGHT_EXTENT;
	struct tenant *t = &self->t;
	struct exo_queue_create q;
	struct exo_cap_query about;
	__u64 adopted = memory_adopted(t->fd);
	static _Alignas(PAGE) char own[PAGE];
	__u32 controller, cap;
	int status;
	pid_t pid;

	ASSERT_EQ(0,
		  derive(t->grantor, t->root_controller, rights, self->other, 0, 0, &controller));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(cap_revoke(t->grantor, t->root_controller, 700, 0, NULL) ? 1 : 0);
	do {
		ASSERT_EQ(0, query(self->other, controller, &about));
	} while (!about.out_deadline);
	EXPECT_REFUSED(EBUSY, EXO_REASON_REVOKING, 0, controller,
		       queue_create(self->other, controller, 4, &q));
	EXPECT_REFUSED(EBUSY, EXO_REASON_REVOKING, 0, controller,
		       controller_create(self->other, controller, rights, 1, &cap));
	EXPECT_REFUSED(EBUSY, EXO_REASON_REVOKING, 0, controller,
		       extent_create(self->other, controller, 1, EXO_RIGHT_READ, 0, 1, &cap));
	EXPECT_REFUSED(EBUSY, EXO_REASON_REVOKING, 0, controller,
		       mem_adopt(self->other, controller, EXO_RIGHT_READ, own, PAGE, &cap));
	EXPECT_EQ(adopted, memory_adopted(self->other));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	/* The failed ones left nothing behind. */
	ASSERT_EQ(0, queue_create(t->grantor, t->root_controller, 4, &q));
}

TEST_F(device, a_sleeper_wakes_when_its_queue_is_taken)
{
	struct tenant *t = &self->t;
	__u64 ready = 0;
	int status;
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid) {
		usleep(50000);
		_exit(cap_revoke(t->grantor, t->root_controller, 0, 0, NULL) ? 1 : 0);
	}
	EXPECT_EQ(0, wait_queues(t->fd, &self->ring.cap, 1, now_ns() + 20000000000ull, &ready));
	EXPECT_EQ(1, ready);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

/* ---- everything at once ---- */

#define RACERS 4

struct race {
	int root, sessions[RACERS];
	__u32 pool, pools[RACERS];
	bool stop;
	unsigned int me;
};

static void *race_tenant(void *arg)
{
	struct race *r = arg;
	int fd = r->sessions[r->me];

	while (!__atomic_load_n(&r->stop, __ATOMIC_RELAXED)) {
		__u32 caps[32], cap, pool = __atomic_load_n(&r->pools[r->me], __ATOMIC_RELAXED);
		int n, i, to = r->sessions[random_u32() % RACERS];
		struct exo_frames_alloc f;

		if (!frames_alloc(fd, pool, EXO_ORDER_4K, 1 + random_u32() % 4, ANY_NODE, &f)) {
			void *at = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
					(off_t)f.out_mmap_offset);

			if (at != MAP_FAILED)
				munmap(at, PAGE);
		}
		n = list(fd, caps, 32);
		for (i = 0; i < n; i++) {
			__u32 pick = caps[random_u32() % n];

			switch (random_u32() % 4) {
			case 0:
				derive(fd, pick, EXO_RIGHT_READ, to, 0, 0, &cap);
				break;
			case 1:
				if (pick != pool)
					drop(fd, pick);
				break;
			case 2:
				if (!(random_u32() % 8))
					cap_revoke(fd, pick, random_u32() % 2, 0, NULL);
				break;
			case 3:
				cap_revoke(fd, pool, random_u32() % 2, 3, NULL);
				break;
			}
		}
	}
	return NULL;
}

TEST(derive_drop_map_and_revoke_race_freely)
{
	struct race races[RACERS] = { { 0 } };
	int root = session_open();
	__u64 used = frames_used(root), end = now_ms() + 4000;
	pthread_t threads[RACERS];
	__u32 claim, pool, i, j;

	ASSERT_LE(0, root);
	ASSERT_EQ(0, claim_pool(root, &claim));
	ASSERT_EQ(0, pool_create(root, claim, EXO_RIGHT_ALLOC, 2048, &pool));
	for (i = 0; i < RACERS; i++) {
		races[0].sessions[i] = session_open();
		ASSERT_LE(0, races[0].sessions[i]);
		ASSERT_EQ(0, derive(root, pool, EXO_RIGHT_ALLOC, races[0].sessions[i], 0, 0,
				    &races[0].pools[i]));
	}
	for (i = 0; i < RACERS; i++) {
		races[i] = races[0];
		races[i].me = i;
	}
	for (i = 0; i < RACERS; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, race_tenant, &races[i]));
	for (j = 0; now_ms() < end; j++) {
		usleep(20000);
		/* Root takes all, and grants anew. */
		ASSERT_EQ(0, cap_revoke(root, pool, j % 3, 0, NULL));
		/* A call under way may still hold frames that it will not get. */
		EXPECT_EQ(used, frames_used_soon(root, used));
		for (i = 0; i < RACERS; i++)
			if (!derive(root, pool, EXO_RIGHT_ALLOC, races[0].sessions[i], 0, 0,
				    &claim))
				__atomic_store_n(&races[i].pools[i], claim, __ATOMIC_RELAXED);
	}
	for (i = 0; i < RACERS; i++)
		races[i].stop = true;
	for (i = 0; i < RACERS; i++)
		pthread_join(threads[i], NULL);
	for (i = 0; i < RACERS; i++)
		close(races[0].sessions[i]);
	TH_LOG("%u rounds", j);
	EXPECT_LT(10, j);
	EXPECT_EQ(used, frames_used_soon(root, used));
	close(root);
}

TEST_HARNESS_MAIN
