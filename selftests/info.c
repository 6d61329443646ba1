// SPDX-License-Identifier: MIT
/*
 * The info page: what a session knows of itself without a call, and never half of it.
 */
#include <pthread.h>
#include <kselftest_harness.h>

#include "lib.h"

FIXTURE(info)
{
	struct tenant t;
	const struct exo_info_page *page;
	__u32 root_granted;
};

static const struct exo_info_page *page_map(int fd)
{
	void *at = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, EXO_INFO_PAGE_OFFSET);

	return at == MAP_FAILED ? NULL : at;
}

/* The way the header says; the number of tries it took. */
static unsigned int page_read(const struct exo_info_page *page, struct exo_info_page *out)
{
	unsigned int tries = 0;
	__u32 seq;

	do {
		tries++;
		seq = __atomic_load_n(&page->seq, __ATOMIC_ACQUIRE);
		memcpy(out, page, sizeof(*out));
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
	} while ((seq & 1) || seq != __atomic_load_n(&page->seq, __ATOMIC_RELAXED));
	return tries;
}

FIXTURE_SETUP(info)
{
	TENANT_SETUP(&self->t, "exo0");
	self->page = page_map(self->t.fd);
	ASSERT_NE(NULL, self->page);
}

FIXTURE_TEARDOWN(info)
{
	tenant_destroy(&self->t);
}

TEST_F(info, it_has_a_version_and_a_size)
{
	EXPECT_EQ(EXO_INFO_PAGE_VERSION, self->page->version);
	EXPECT_EQ(sizeof(struct exo_info_page), self->page->size);
}

TEST_F(info, it_is_one_page_and_read_only)
{
	int fd = self->t.fd;

	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, fd, 0));
	EXPECT_EQ(ERANGE, errno);
	EXPECT_EQ(-1, mprotect((void *)self->page, PAGE, PROT_READ | PROT_WRITE));
	EXPECT_EQ(SIGSEGV, touch_write((void *)self->page));
}

TEST_F(info, frames_and_capabilities_are_counted)
{
	struct exo_info_page p;
	struct exo_frames_alloc f, g;
	struct exo_info i;
	int other = session_open();
	__u32 share;

	ASSERT_EQ(0, info(self->t.fd, &i));
	page_read(self->page, &p);
	EXPECT_EQ(3, p.caps);
	EXPECT_EQ(i.out_caps, p.caps);
	EXPECT_EQ(TENANT_FRAMES, p.frames_budget);
	EXPECT_EQ(0, p.frames_held);
	ASSERT_EQ(0, frames_alloc(self->t.fd, self->t.pool, EXO_ORDER_4K, 7, ANY_NODE, &f));
	ASSERT_EQ(0, frames_alloc(self->t.fd, self->t.pool, EXO_ORDER_2M, 2, ANY_NODE, &g));
	EXPECT_EQ(7 + 1024, self->page->frames_held);
	EXPECT_EQ(5, self->page->caps);
	/* Charged to who allocated them until they are free. */
	ASSERT_EQ(0, derive(self->t.fd, f.out_cap, EXO_RIGHT_READ, other, 0, 0, &share));
	ASSERT_EQ(0, drop(self->t.fd, f.out_cap));
	EXPECT_EQ(7 + 1024, self->page->frames_held);
	ASSERT_EQ(0, drop(other, share));
	EXPECT_EQ(1024, self->page->frames_held);
	ASSERT_EQ(0, drop(self->t.fd, g.out_cap));
	EXPECT_EQ(0, self->page->frames_held);
	EXPECT_EQ(3, self->page->caps);
	ASSERT_EQ(0, drop(self->t.fd, self->t.pool));
	EXPECT_EQ(0, self->page->frames_budget);
	EXPECT_EQ(0, self->page->frames_quarantined);
	close(other);
}

TEST_F(info, queues_and_their_states_are_told)
{
	struct exo_queue_create q[2];
	struct exo_info_page p;
	unsigned int i, found = 0;

	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, queue_create(self->t.fd, self->t.controller, 8, &q[i]));
	page_read(self->page, &p);
	EXPECT_EQ(2, p.queue_caps);
	for (i = 0; i < EXO_INFO_QUEUES; i++) {
		if (p.queues[i].cap != q[1].out_cap)
			continue;
		found++;
		EXPECT_EQ(q[1].out_qid, p.queues[i].qid);
		EXPECT_EQ(q[1].out_completion, p.queues[i].completion);
		EXPECT_EQ(EXO_QUEUE_LIVE, p.queues[i].state);
	}
	EXPECT_EQ(1, found);
	ASSERT_EQ(0, cap_revoke(self->t.fd, self->t.controller, 0, 0, NULL));
	page_read(self->page, &p);
	EXPECT_EQ(2, p.caps_taken);
	for (i = 0, found = 0; i < EXO_INFO_QUEUES; i++)
		found += p.queues[i].cap && p.queues[i].state == EXO_QUEUE_DEAD;
	EXPECT_EQ(2, found);
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, drop(self->t.fd, q[i].out_cap));
	page_read(self->page, &p);
	EXPECT_EQ(0, p.queue_caps);
	for (i = 0; i < EXO_INFO_QUEUES; i++)
		EXPECT_EQ(0, p.queues[i].cap);
}

TEST_F(info, more_queues_than_entries_are_counted_and_their_entries_used_again)
{
	struct exo_queue_create q;
	__u32 caps[EXO_INFO_QUEUES + 6], i;
	int other = session_open();
	const struct exo_info_page *page = page_map(other);

	ASSERT_NE(NULL, page);
	ASSERT_EQ(0, queue_create(self->t.fd, self->t.controller, 8, &q));
	for (i = 0; i < ARRAY_SIZE(caps); i++)
		ASSERT_EQ(0, derive(self->t.fd, q.out_cap, EXO_RIGHT_READ, other, 0, 0, &caps[i]));
	EXPECT_EQ(ARRAY_SIZE(caps), page->queue_caps);
	for (i = 0; i < ARRAY_SIZE(caps); i++)
		ASSERT_EQ(0, drop(other, caps[i]));
	EXPECT_EQ(0, page->queue_caps);
	ASSERT_EQ(0, derive(self->t.fd, q.out_cap, EXO_RIGHT_READ, other, 0, 0, &caps[0]));
	for (i = 0; i < EXO_INFO_QUEUES && page->queues[i].cap != caps[0]; i++)
		;
	EXPECT_LT(i, EXO_INFO_QUEUES);
	close(other);
	/* The page outlives the session. */
	EXPECT_EQ(0, page->queue_caps);
}

TEST_F(info, the_epoch_grows_with_each_request_and_each_taking)
{
	struct exo_info_page p;
	struct exo_frames_alloc f;
	__u64 epoch = self->page->revocation_epoch;

	ASSERT_EQ(0, frames_alloc(self->t.fd, self->t.pool, EXO_ORDER_4K, 7, ANY_NODE, &f));
	EXPECT_EQ(epoch, self->page->revocation_epoch);
	ASSERT_EQ(0, cap_revoke(self->t.grantor, self->t.root_pool, 0, 5, NULL));
	page_read(self->page, &p);
	EXPECT_EQ(epoch + 2, p.revocation_epoch);
	EXPECT_EQ(1, p.caps_taken);
	EXPECT_EQ(0, p.frames_held);
}

struct churn {
	int fd;
	__u32 pool;
	bool stop;
};

static void *churn(void *arg)
{
	struct churn *c = arg;
	struct exo_frames_alloc f;

	while (!__atomic_load_n(&c->stop, __ATOMIC_RELAXED))
		if (!frames_alloc(c->fd, c->pool, EXO_ORDER_2M, 1, ANY_NODE, &f))
			drop(c->fd, f.out_cap);
	return NULL;
}

TEST_F(info, a_copy_is_never_half_of_a_change)
{
	struct churn c = { .fd = self->t.fd, .pool = self->t.pool };
	__u64 end = now_ms() + 1000;
	unsigned int n = 0;
	struct exo_info_page p;
	pthread_t thread;

	ASSERT_EQ(0, pthread_create(&thread, NULL, churn, &c));
	while (now_ms() < end) {
		page_read(self->page, &p);
		ASSERT_TRUE(p.frames_held == 0 || p.frames_held == 512);
		ASSERT_TRUE(p.caps == 3 || p.caps == 4);
		ASSERT_EQ(0, p.seq & 1);
		n++;
	}
	c.stop = true;
	pthread_join(thread, NULL);
	EXPECT_LT(100, n);
}

TEST_HARNESS_MAIN
